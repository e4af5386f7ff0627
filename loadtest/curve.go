package loadtest

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"html/template"
	"io"
	"math"
	"slices"
	"strings"

	"github.com/serin-go/serin/internal/units"
)

// Curve is the curve of latency over throughput: the steps of a sweep, in ascending
// order of rate.
type Curve struct {
	Steps []Step
	// Knee is the index of the step after which latency rises faster than
	// throughput, or -1 if there is no knee. Steps in which the generator was the
	// bottleneck, or requests are missing, do not count.
	Knee int
}

const (
	minSteps = 3
	maxSweep = 100
)

// Sweep runs the plan of s at a number of rates from s.From to s.To, with a constant
// factor between them, and marks the knee. steps is the number of rates, from 3 to 100.
// The plan needs no SLO. When ctx ends, Sweep returns the completed steps. It returns
// the errors of [Search.Validate].
func Sweep(ctx context.Context, s Search, steps int) (Curve, error) {
	if len(s.Plan.SLOs) == 0 {
		s.Plan.SLOs = []SLO{{}}
	}
	err := s.Validate()
	if steps < minSteps || steps > maxSweep {
		err = errors.Join(err, invalid("steps", steps, "3 to 100"))
	}
	if err != nil {
		return Curve{Knee: -1}, err
	}
	s = s.withDefaults()
	var all []Step
	for i := range steps {
		rate := s.From * math.Pow(s.To/s.From, float64(i)/float64(steps-1))
		step, err := s.try(ctx, min(rate, s.To), uint64(i), false, 0)
		if err != nil {
			return newCurve(all), err
		}
		if ctx.Err() != nil {
			break // an interrupted step is not reliable
		}
		all = append(all, step)
		if s.OnStep != nil {
			s.OnStep(step)
		}
	}
	return newCurve(all), nil
}

// Curve returns the curve of the steps of a search.
func (c Capacity) Curve() Curve { return newCurve(c.Steps) }

func newCurve(steps []Step) Curve {
	c := Curve{Steps: slices.Clone(steps), Knee: -1}
	slices.SortStableFunc(c.Steps, func(a, b Step) int { return cmp.Compare(a.Rate, b.Rate) })
	var x, y []float64
	var at []int
	for i, s := range c.Steps {
		if !s.reliable() {
			continue
		}
		// The logarithm, because one step far beyond saturation would make the
		// others look equal.
		x, y, at = append(x, s.Throughput), append(y, math.Log(max(1e-6, s.latency()))), append(at, i)
	}
	if k := knee(x, y); k >= 0 {
		c.Knee = at[k]
	}
	return c
}

// A knee requires that the curve lies minBend of its range below the straight line and
// rises by minRise, because noise bends every line. minRise is a factor of two in
// latency.
const (
	minBend = 0.2
	minRise = math.Ln2
)

// knee returns the index of the point at which a rising curve lies furthest
// below the straight line from its first point to its last, both scaled to
// their ranges, by V. Satopaa et al., "Finding a Kneedle in a haystack" (2011).
// It returns -1 if the curve does not bend.
func knee(x, y []float64) int {
	if len(x) < minSteps {
		return -1
	}
	left, right, low, high := slices.Min(x), slices.Max(x), slices.Min(y), slices.Max(y)
	if right <= left || high-low < minRise {
		return -1
	}
	best, at := minBend, -1
	reached := low
	for i := range x[:len(x)-1] { // without the last point
		reached = max(reached, y[i]) // a dip below is noise
		if d := (x[i]-left)/(right-left) - (reached-low)/(high-low); d > best {
			best, at = d, i
		}
	}
	return at
}

// reliable reports whether the figures of s describe the target, not the generator.
func (s Step) reliable() bool {
	return s.Report == nil || !s.Report.Generator.Bottleneck && s.Report.Missing == 0
}

func throughput(s Step) float64 { return s.Throughput }

// latency returns the p99 of the corrected TTFT in seconds, or of the corrected
// latency if answers are not streams.
func (s Step) latency() float64 {
	if s.Report == nil {
		return 0
	}
	if s.Report.CorrectedTTFT.Count() == 0 {
		return s.Report.CorrectedLatency.Quantile(0.99).Seconds()
	}
	return s.Report.CorrectedTTFT.Quantile(0.99).Seconds()
}

// userSpeed returns the output tokens per second that a user sees at the median TPOT, or
// NaN if answers are not streams of more than one token.
func (s Step) userSpeed() float64 {
	if s.Report == nil || s.Report.TPOT.Quantile(0.5) <= 0 {
		return math.NaN()
	}
	return 1 / s.Report.TPOT.Quantile(0.5).Seconds()
}

// tokenRate returns the output tokens per second of all users.
func (s Step) tokenRate() float64 {
	if s.Report == nil {
		return 0
	}
	return s.Report.TokenRate()
}

// frontier returns the indices of the steps on the Pareto frontier of tokens per second
// for each user over tokens per second in all, in ascending order of the latter: no other
// reliable step has more of both.
func (c Curve) frontier() (at []int) {
	for i, s := range c.Steps {
		beaten := slices.ContainsFunc(c.Steps, func(o Step) bool {
			return o.reliable() && o.tokenRate() >= s.tokenRate() && o.userSpeed() >= s.userSpeed() && (o.tokenRate() > s.tokenRate() || o.userSpeed() > s.userSpeed())
		})
		if s.reliable() && !math.IsNaN(s.userSpeed()) && !beaten {
			at = append(at, i)
		}
	}
	slices.SortFunc(at, func(i, j int) int { return cmp.Compare(c.Steps[i].tokenRate(), c.Steps[j].tokenRate()) })
	return at
}

// finding describes the knee in a sentence, and the ends of the frontier in another.
func (c Curve) finding() string {
	left := ""
	if n := len(slices.DeleteFunc(slices.Clone(c.Steps), Step.reliable)); n > 0 {
		left = fmt.Sprintf(" %d of %d steps are left out: the generator was the bottleneck, or requests are missing.", n, len(c.Steps))
	}
	if at := c.frontier(); len(at) > 1 {
		most, quickest := c.Steps[at[len(at)-1]], c.Steps[at[0]]
		left += fmt.Sprintf(" Most tokens: %s/s, at %.3g/s for each user. Quickest: %.3g/s for each user, at %s/s in all.",
			number(most.tokenRate()), most.userSpeed(), quickest.userSpeed(), number(quickest.tokenRate()))
	}
	if c.Knee < 0 || c.Knee >= len(c.Steps) {
		return "No knee: latency does not bend within these rates." + left
	}
	s := c.Steps[c.Knee]
	return fmt.Sprintf("The knee is at %.4g answers/s (%.4g/s asked), with a p99 of %v.", s.Throughput, s.Rate, units.Short(units.Seconds(s.latency()))) + left
}

// String returns one line for each step, with the knee marked, without a final
// newline.
func (c Curve) String() string {
	var b strings.Builder
	for i, s := range c.Steps {
		mark := ""
		if i == c.Knee {
			mark = "  <- knee"
		}
		fmt.Fprintf(&b, "%v%s\n", s, mark)
	}
	return b.String() + c.finding()
}

// WriteHTML writes c as a self-contained HTML page without scripts: latency and tokens over
// throughput, and the Pareto frontier of tokens per second, of each user over all users. Steps in which the generator was the bottleneck are circles.
func (c Curve) WriteHTML(w io.Writer) error {
	target := ""
	over := func(name, colour string, x, y func(Step) float64) line {
		l := line{name: name, colour: colour, dots: true}
		for _, s := range c.Steps {
			if s.Report == nil {
				continue
			}
			target = s.Report.Target
			l.x, l.y, l.hollow = append(l.x, x(s)), append(l.y, y(s)), append(l.hollow, !s.reliable())
		}
		return l
	}
	steps, frontier := over("steps", blue, Step.tokenRate, Step.userSpeed), line{name: "Pareto frontier", colour: orange}
	steps.loose = true
	best := make([]bool, len(c.Steps))
	for _, i := range c.frontier() {
		best[i] = true
		frontier.x, frontier.y = append(frontier.x, c.Steps[i].tokenRate()), append(frontier.y, c.Steps[i].userSpeed())
	}
	ttft := func(q float64) func(Step) float64 {
		return func(s Step) float64 { return 1000 * s.Report.CorrectedTTFT.Quantile(q).Seconds() }
	}
	latency := func(q float64) func(Step) float64 {
		return func(s Step) float64 { return 1000 * s.Report.CorrectedLatency.Quantile(q).Seconds() }
	}
	millis := func(d func(*Report) *Distribution, q float64) func(Step) float64 {
		return func(s Step) float64 {
			if d(s.Report).Count() == 0 {
				return math.NaN()
			}
			return 1000 * d(s.Report).Quantile(q).Seconds()
		}
	}
	tpot, itl := func(r *Report) *Distribution { return &r.TPOT }, func(r *Report) *Distribution { return &r.ITL }
	rate := func(s Step) float64 { return s.Rate }
	withKnee := func(lines ...line) []line {
		if c.Knee >= 0 {
			lines = append(lines, line{name: "knee", colour: red, x: []float64{c.Steps[c.Knee].Throughput}, y: []float64{0}, mark: true})
		}
		return lines
	}
	plots := []template.HTML{
		plot("TTFT over answers per second", "answers/s", "ms", withKnee(over("p99", orange, throughput, ttft(0.99)), over("p50", blue, throughput, ttft(0.5)))...),
		plot("Latency over answers per second", "answers/s", "ms", withKnee(over("p99", orange, throughput, latency(0.99)), over("p50", blue, throughput, latency(0.5)))...),
		plot("TPOT over answers per second", "answers/s", "ms", withKnee(over("p99", orange, throughput, millis(tpot, 0.99)), over("p50", blue, throughput, millis(tpot, 0.5)))...),
		plot("ITL over answers per second", "answers/s", "ms", withKnee(over("p99", orange, throughput, millis(itl, 0.99)), over("p50", blue, throughput, millis(itl, 0.5)))...),
		plot("Tokens/s of each user over tokens/s of all", "1/s", "1/s", steps, frontier),
		plot("Answers per second over rate asked", "asked/s", "1/s", over("answers", blue, rate, throughput)),
		plot("Output tokens per second over rate asked", "asked/s", "1/s", over("tokens", green, rate, Step.tokenRate)),
		plot("Share of good requests over rate asked", "asked/s", "%", over("good", green, rate, func(s Step) float64 { return 100 * float64(s.Good) / float64(max(1, s.Sent)) })),
	}
	return writePage(w, "curve.html", struct {
		Curve
		Target, Finding string
		Plots           []template.HTML
		Best            []bool
	}{c, target, c.finding(), plots, best})
}
