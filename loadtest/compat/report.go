package compat

import (
	"errors"
	"fmt"
	"io"
	"slices"
	"strings"
	"time"

	"github.com/serin-go/serin/checks"
	"github.com/serin-go/serin/checks/analysis"
	"github.com/serin-go/serin/loadtest"
)

// Report has the metrics of a run as another tool defines them, from the recordings of
// its requests; see [loadtest.Plan].Record. Its memory is bounded: quantiles of more than
// 16,384 values have an error of up to 0.1 %. A Report is not safe for concurrent use.
// Make one by [NewReport].
type Report struct {
	as     Definition
	limits loadtest.SLO
	tokens func(string) int

	good, done, failed, bare, cut int
	input, output                 int
	firstDue, firstSent, lastEnd  time.Time // of all requests
	firstGood, lastToken          time.Time // of those that succeeded
	busy                          time.Duration

	ttft, ttfot, second, itl, icl, tpot, ntpot, e2e values
	speed, in, out, lag, failedIn, failedE2E        values
}

// NewReport returns an empty report in the form of a tool. tokens returns the number of
// tokens of a text, as for [Definition.Figures]. limits are the limits of goodput, or
// zero. It is an error if d is unknown or its goodput lacks one of the limits: vLLM has
// no ITL, AIPerf no TPOT, inference-perf no ITL of a chunk, and GuideLLM no goodput.
func NewReport(d Definition, tokens func(text string) int, limits loadtest.SLO) (*Report, error) {
	if err := d.validate(); err != nil {
		return nil, err
	}
	has := map[Definition]string{VLLM: "ttft, tpot and latency", AIPerf: "ttft, itl and latency", InferencePerf: "ttft, tpot and latency", GuideLLM: "no limit, as it has no goodput"}[d]
	for _, l := range []struct {
		name  string
		limit time.Duration
	}{{"ttft", limits.TTFT}, {"tpot", limits.TPOT}, {"itl", limits.ITL}, {"latency", limits.Latency}} {
		if l.limit != 0 && !strings.Contains(has, l.name) {
			return nil, &checks.InvalidError{Package: "compat", Field: "limits", Value: l.name + " <= " + l.limit.String(), Want: fmt.Sprintf("%s for %s", has, d)}
		}
	}
	tally := values{counts: true}
	return &Report{as: d, limits: limits, tokens: tokens, speed: tally, in: tally, out: tally, failedIn: tally}, nil
}

// errNoRecording is the error of an answer that was not recorded.
var errNoRecording = errors.New("compat: a result has no recording, want results of a run with Plan.Record")

// Add adds a result. Results of the warm-up and the cool-down are left out. A request
// succeeded if its answer is complete, whatever the answer says, since the tools do not
// look. It is an error if such a result has no recording.
func (r *Report) Add(res loadtest.Result) error {
	if res.Trimmed {
		return nil
	}
	whole := slices.Contains([]analysis.Class{analysis.OK, analysis.Refused, analysis.Empty, analysis.Invalid}, res.Class)
	if whole && res.Recording == nil {
		return errNoRecording
	}
	end := res.Sent.Add(res.Latency)
	r.firstDue, r.firstSent, r.lastEnd = first(r.firstDue, res.Due), first(r.firstSent, res.Sent), last(r.lastEnd, end)
	r.busy += res.Latency
	r.lag.add(res.SchedLag().Seconds())
	if !whole {
		r.failed++
		r.failedE2E.add(res.Latency.Seconds())
		r.failedIn.add(float64(res.InputTokens))
		return nil
	}
	r.done++
	r.input += res.InputTokens
	r.in.add(float64(res.InputTokens))
	if res.Recording.Truncated {
		r.cut++
		return nil
	}
	f, err := r.as.Figures(*res.Recording, r.tokens)
	if err != nil {
		r.bare++ // the tool counts it without figures
		r.out.add(0)
		return nil
	}
	r.firstGood = first(r.firstGood, res.Sent)
	if f.E2E != nil {
		r.lastToken = last(r.lastToken, res.Sent.Add(*f.E2E))
	}
	r.measure(f)
	return nil
}

// measure adds the figures of a request.
func (r *Report) measure(f Figures) {
	r.output += f.Tokens
	r.out.add(float64(f.Tokens))
	for _, m := range []struct {
		to *values
		d  *time.Duration
	}{{&r.ttft, f.TTFT}, {&r.ttfot, f.TTFOT}, {&r.tpot, f.TPOT}, {&r.ntpot, f.NTPOT}, {&r.e2e, f.E2E}} {
		m.to.time(m.d)
	}
	for _, gap := range f.ITL {
		r.itl.add(gap.Seconds())
	}
	for _, gap := range f.ICL {
		r.icl.add(gap.Seconds())
	}
	if len(f.ICL) > 0 {
		r.second.add(f.ICL[0].Seconds())
	}
	if r.as == AIPerf && len(f.ITL) == 1 && f.ITL[0] > 0 {
		r.speed.add(1 / f.ITL[0].Seconds())
	}
	if r.as.good(f, r.limits) {
		r.good++
	}
}

// Notes returns a sentence for each kind of answer that has no figures.
func (r *Report) Notes() (notes []string) {
	if r.bare > 0 {
		notes = append(notes, fmt.Sprintf("%d of %d answers have no chunk that %s counts", r.bare, r.done, r.as))
	}
	if r.cut > 0 {
		notes = append(notes, fmt.Sprintf("%d of %d answers are left out, since their recordings are longer than 4 MiB", r.cut, r.done))
	}
	return notes
}

// WriteText writes the report in the layout of the tool: the tables on the terminal, or
// for inference-perf the JSON of its summary.
func (r *Report) WriteText(w io.Writer) error {
	text, err := map[Definition]func() (string, error){VLLM: r.vllm, GuideLLM: r.guidellm, AIPerf: r.aiperf, InferencePerf: r.inferencePerf}[r.as]()
	if err == nil {
		_, err = io.WriteString(w, text)
	}
	if err != nil {
		return fmt.Errorf("compat: write %s report: %w", r.as, err)
	}
	return nil
}

// limited reports whether there is a goodput.
func (r *Report) limited() bool { return r.limits != loadtest.SLO{Name: r.limits.Name} }

// per returns n per second of the time from one instant to another.
func per[N int | float64](n N, from, to time.Time) float64 {
	if took := to.Sub(from); took > 0 {
		return float64(n) / took.Seconds()
	}
	return 0
}

func first(a, b time.Time) time.Time {
	if a.IsZero() || b.Before(a) {
		return b
	}
	return a
}

func last(a, b time.Time) time.Time {
	if b.After(a) {
		return b
	}
	return a
}
