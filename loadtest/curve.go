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

	"github.com/serin-go/serin/checks/analysis"
	"github.com/serin-go/serin/internal/units"
)

// Curve is how latency rises with throughput: the steps of a sweep, in the order
// of their rates.
type Curve struct {
	Steps []Step
	// Knee is the index of the step after which latency rises faster than
	// throughput, -1 if there is no such bend.
	Knee int
}

const (
	minSteps = 3
	maxSweep = 100
)

// Sweep runs the plan of s at steps rates from s.From to s.To, each a fixed
// factor above the one before, whatever comes of them, and marks the knee. The
// plan needs no SLO here. When ctx ends, so does the sweep, with the steps it
// has. The error is a search that is not valid.
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
		step, err := s.try(ctx, min(rate, s.To), uint64(i))
		if err != nil {
			return newCurve(all), err
		}
		if ctx.Err() != nil {
			break // a step that was cut short says nothing
		}
		all = append(all, step)
		if s.OnStep != nil {
			s.OnStep(step)
		}
	}
	return newCurve(all), nil
}

// Curve returns the steps of a search as a curve.
func (c Capacity) Curve() Curve { return newCurve(c.Steps) }

func newCurve(steps []Step) Curve {
	c := Curve{Steps: slices.Clone(steps), Knee: -1}
	slices.SortStableFunc(c.Steps, func(a, b Step) int { return cmp.Compare(a.Rate, b.Rate) })
	x, y := make([]float64, len(c.Steps)), make([]float64, len(c.Steps))
	for i, s := range c.Steps {
		// Of the logarithm, or a step far beyond saturation would make all others
		// look alike.
		x[i], y[i] = s.Throughput, math.Log(max(1e-6, s.latency()))
	}
	c.Knee = knee(x, y)
	return c
}

// minBend is how far from the straight line a curve must bend, in shares of its
// range, and minRise how much its y must rise, for its knee to mean anything:
// noise bends every line a little. Of logarithms, it is a factor of two.
const (
	minBend = 0.2
	minRise = math.Ln2
)

// knee returns the index of the point at which a rising curve lies furthest
// below the straight line from its first point to its last, both scaled to
// their ranges, by V. Satopaa et al., "Finding a Kneedle in a haystack" (2011).
// It is -1 for curves that do not bend.
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
	for i := range x[:len(x)-1] { // after the last one nothing rises any more
		reached = max(reached, y[i]) // a dip below is noise
		if d := (x[i]-left)/(right-left) - (reached-low)/(high-low); d > best {
			best, at = d, i
		}
	}
	return at
}

// throughputOf returns the OK answers per second of a run.
func throughputOf(r *Report) float64 {
	if r.Elapsed <= 0 {
		return 0
	}
	return float64(r.Classes[analysis.OK]) / r.Elapsed.Seconds()
}

func throughput(s Step) float64 { return s.Throughput }

// latency is what the knee is looked for in: the p99 of the corrected TTFT, or
// of the latency where nothing streams.
func (s Step) latency() float64 {
	if s.Report == nil {
		return 0
	}
	if s.Report.CorrectedTTFT.Count() == 0 {
		return s.Report.CorrectedLatency.Quantile(0.99).Seconds()
	}
	return s.Report.CorrectedTTFT.Quantile(0.99).Seconds()
}

// finding says in a sentence where the knee is.
func (c Curve) finding() string {
	if c.Knee < 0 {
		return "No knee: latency does not bend within these rates."
	}
	s := c.Steps[c.Knee]
	return fmt.Sprintf("The knee is at %.4g answers/s (%.4g/s asked), with a p99 of %v.", s.Throughput, s.Rate, units.Short(units.Seconds(s.latency())))
}

// String returns the curve as a text, one line for each step, without a final
// newline. The knee is marked.
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

// WriteHTML writes c as one page that holds all it needs: no script, and
// nothing that is fetched from anywhere.
func (c Curve) WriteHTML(w io.Writer) error {
	target := ""
	over := func(name, colour string, x, y func(Step) float64) line {
		l := line{name: name, colour: colour, dots: true}
		for _, s := range c.Steps {
			if s.Report == nil {
				continue
			}
			target = s.Report.Target
			l.x, l.y = append(l.x, x(s)), append(l.y, y(s))
		}
		return l
	}
	ttft := func(q float64) func(Step) float64 {
		return func(s Step) float64 { return 1000 * s.Report.CorrectedTTFT.Quantile(q).Seconds() }
	}
	latency := func(q float64) func(Step) float64 {
		return func(s Step) float64 { return 1000 * s.Report.CorrectedLatency.Quantile(q).Seconds() }
	}
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
		plot("Answers per second over rate asked", "asked/s", "1/s", over("answers", blue, rate, throughput)),
		plot("Output tokens per second over rate asked", "asked/s", "1/s", over("tokens", green, rate, func(s Step) float64 { return s.Report.TokenRate() })),
		plot("Share of good requests over rate asked", "asked/s", "%", over("good", green, rate, func(s Step) float64 { return 100 * float64(s.Good) / float64(max(1, s.Sent)) })),
	}
	return writePage(w, "curve.html", struct {
		Curve
		Target, Finding string
		Plots           []template.HTML
	}{c, target, c.finding(), plots})
}
