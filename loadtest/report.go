package loadtest

import (
	"time"

	"github.com/serin-go/serin/checks/analysis"
)

// Report is what a run has found. The package documentation defines the
// durations. Its methods and distributions are safe for concurrent reading.
type Report struct {
	// Generator tells whether the figures below are to be believed.
	Generator     Generator
	Target, Model string
	// Began is when the run began, Elapsed how long it took until the last
	// request was finished.
	Began   time.Time
	Elapsed time.Duration
	// Interrupted says that the context ended the run before its plan did, or cut
	// off requests under way.
	Interrupted bool

	// Sent is the number of requests that were sent; each has a class. Unsent
	// counts those that became due and were not sent because the run was
	// interrupted.
	Sent, Unsent int
	// Trimmed of those sent belong to the warm-up or the cool-down.
	Trimmed int
	Classes map[analysis.Class]int
	// Faults counts what went wrong more closely.
	Faults map[Fault]int
	// FirstErrors holds the first error of each class that had any.
	FirstErrors map[analysis.Class]error

	// DueRate is the rate in requests a second at which requests were due,
	// SentRate the one that was reached. Both are 0 for fewer than two requests.
	DueRate, SentRate float64

	InputTokens, CachedTokens, OutputTokens, ReasoningTokens int
	// TokenSources says where the output tokens of how many requests come from.
	TokenSources map[TokenSource]int
	// Chunks is the number of token chunks, Coalesced how many of them arrived
	// in one piece with the one before: their gaps of 0 are no news of the model.
	Chunks, Coalesced int

	// PeakConcurrency is the largest number of requests that were under way at
	// one instant; of reports that were merged it is at most that. It is 0 when
	// unknown, as it is for results that were read from a file.
	PeakConcurrency int

	// TTFB has all responses, TTFT, TTFC, ITL and ICL all token chunks that
	// arrived, also those of answers that failed later. E2E, TPOT and NTPOT have
	// the answers that came to their own end; Latency has these and, with the time
	// they took in vain, those that ran into a timeout.
	TTFB, TTFT, TTFC, ITL, ICL, TPOT, NTPOT, E2E, Latency Distribution
	// SchedLag is how much later than due requests were sent.
	SchedLag Distribution
	// The corrected twins count from the instant at which requests were due. ITL,
	// ICL and TPOT have none: they do not depend on it.
	CorrectedTTFB, CorrectedTTFT, CorrectedTTFC, CorrectedNTPOT, CorrectedE2E, CorrectedLatency Distribution
	// Late says that the p99 of SchedLag exceeds LagBound. The uncorrected
	// figures are then better than what users would have met.
	Late     bool
	LagBound time.Duration

	// Goodput has an entry for each SLO of the plan.
	Goodput []Goodput
	// Judged has an entry for each threshold of the plan.
	Judged []Judged
	// Aborted says which threshold ended the run, empty if none did.
	Aborted string
	// Missing counts requests of which nothing is known, because the worker that
	// was to send them was lost. They are neither sent nor unsent.
	Missing int
	// Notes say what else should be known, one sentence each.
	Notes []string

	firstDue, lastDue, firstSent, lastSent time.Time
	series                                 series
	tally                                  tally
}

// TokenRate returns the output tokens per second of the whole run.
func (r *Report) TokenRate() float64 {
	if r.Elapsed <= 0 {
		return 0
	}
	return float64(r.OutputTokens) / r.Elapsed.Seconds()
}

// totalTokenRate returns the input and output tokens per second of the whole run.
func (r *Report) totalTokenRate() float64 {
	if r.Elapsed <= 0 {
		return 0
	}
	return float64(r.InputTokens+r.OutputTokens) / r.Elapsed.Seconds()
}

// chunks are the token chunks of one answer: when each arrived, and how many
// tokens it bore, nil for one each.
type chunks struct {
	at     []time.Duration
	tokens []int
}

// maxErrorText is how many bytes of an error are kept.
const maxErrorText = 1000

// add takes in one finished request and its token chunks.
func (r *Report) add(res Result, c chunks) {
	r.Sent++
	r.Classes[res.Class]++
	if res.Err != nil && r.FirstErrors[res.Class] == nil {
		r.FirstErrors[res.Class] = res.Err
	}
	r.firstDue, r.lastDue = span(r.firstDue, r.lastDue, res.Due)
	r.firstSent, r.lastSent = span(r.firstSent, r.lastSent, res.Sent)
	if res.Fault != faultNone {
		r.Faults[res.Fault]++
	}
	r.Elapsed = max(r.Elapsed, res.Sent.Add(res.Latency).Sub(r.Began))

	r.series.add(r.Began, res)
	if res.Trimmed {
		r.Trimmed++
		return
	}
	for i := range r.Goodput {
		if g := &r.Goodput[i]; !res.stopped() {
			g.Sent++
			if g.SLO.Good(res) {
				g.Good++
			}
		}
	}
	r.InputTokens += res.InputTokens
	r.CachedTokens += res.CachedTokens
	r.OutputTokens += res.OutputTokens
	r.ReasoningTokens += res.ReasoningTokens
	r.Chunks += res.Chunks
	r.Coalesced += res.Coalesced
	if res.TokenSource != "" {
		r.TokenSources[res.TokenSource]++
	}
	r.tally.add(res)
	r.measure(res, c)
}

// measure adds the durations of one request.
func (r *Report) measure(res Result, c chunks) {
	lag := res.SchedLag()
	r.SchedLag.add(lag)
	if res.Status != 0 {
		r.TTFB.add(res.TTFB)
		r.CorrectedTTFB.add(res.TTFB + lag)
	}
	if res.Chunks > 0 {
		r.TTFT.add(res.TTFT)
		r.CorrectedTTFT.add(res.TTFT + lag)
	}
	if res.TTFC > 0 {
		r.TTFC.add(res.TTFC)
		r.CorrectedTTFC.add(res.TTFC + lag)
	}
	for i := 1; i < len(c.at); i++ {
		gap, n := c.at[i]-c.at[i-1], 1
		if c.tokens != nil {
			n = max(1, c.tokens[i])
		}
		r.ICL.add(gap)
		r.ITL.addN(gap/time.Duration(n), uint64(n))
	}
	if res.complete() && res.Chunks > 0 {
		r.E2E.add(res.E2E)
		r.CorrectedE2E.add(res.E2E + lag)
		if res.NTPOT > 0 {
			r.NTPOT.add(res.NTPOT)
			r.CorrectedNTPOT.add(res.NTPOT + lag/time.Duration(max(1, res.OutputTokens)))
		}
	}
	if res.complete() && res.Chunks > 1 {
		r.TPOT.add(res.TPOT)
	}
	if res.complete() || res.Class == analysis.Timeout {
		r.Latency.add(res.Latency)
		r.CorrectedLatency.add(res.Latency + lag)
	}
}

func span(first, last, at time.Time) (time.Time, time.Time) {
	if first.IsZero() || at.Before(first) {
		first = at
	}
	if at.After(last) {
		last = at
	}
	return first, last
}

// NewReport returns an empty report of a run of p that began at an instant, to
// which others can be added by [Report.Merge].
func NewReport(p Plan, began time.Time) *Report {
	p = p.withDefaults()
	p.Start = began
	target := p.Target
	if u, err := p.endpoint(); err == nil {
		target = shown(u)
	}
	r := newReport(p, target)
	r.Generator.CPU = -1
	r.finish()
	return r
}

// newReport returns the empty report of a run.
func newReport(p Plan, target string) *Report {
	r := &Report{
		Target: target, Model: p.Model, Began: p.Start, LagBound: p.LagBound, TokenSources: make(map[TokenSource]int),
		Classes: make(map[analysis.Class]int), Faults: make(map[Fault]int), FirstErrors: make(map[analysis.Class]error),
	}
	for _, s := range p.SLOs {
		r.Goodput = append(r.Goodput, Goodput{SLO: s})
	}
	return r
}

// finish computes what follows from the whole.
func (r *Report) finish() {
	for _, row := range r.rows() {
		row.d.seal()
	}
	rate := func(first, last time.Time) float64 {
		if took := last.Sub(first); took > 0 {
			return float64(r.Sent-1) / took.Seconds()
		}
		return 0
	}
	r.DueRate, r.SentRate = rate(r.firstDue, r.lastDue), rate(r.firstSent, r.lastSent)
	r.Generator.LagP99, r.Generator.LagBound = r.SchedLag.Quantile(0.99), r.LagBound
	r.Generator.DueRate, r.Generator.SentRate = r.DueRate, r.SentRate
	r.Generator.Coalesced = float64(r.Coalesced) / float64(max(1, r.Chunks))
	r.Generator.Bottleneck, r.Generator.Reasons = false, nil
	r.Generator.judge()
	for i := range r.Goodput {
		if r.Elapsed > 0 {
			r.Goodput[i].Rate = float64(r.Goodput[i].Good) / r.Elapsed.Seconds()
		}
	}
	r.Late = r.SchedLag.Quantile(0.99) > r.LagBound
}

// Summary returns what [analysis.Threshold]s speak of, in the form in which live
// traffic is summarised: rates, TTFT, ITL (the mean of each request, as
// package analysis has it), latency and tokens per second.
func (r *Report) Summary() analysis.Summary { return r.tally.summary() }

// Judge sets Judged to the word of the thresholds, which need not be those of
// the plan.
func (r *Report) Judge(ts ...analysis.Threshold) { r.Judged = r.tally.judge(ts) }
