package loadtest

import (
	"cmp"
	"fmt"
	"maps"
	"math"
	"slices"
	"strconv"
	"strings"
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
	// CountedTokens is the number of requests whose output tokens were not
	// reported by the server but counted as chunks.
	CountedTokens int
	// Chunks is the number of token chunks, Coalesced how many of them arrived
	// in one piece with the one before: their gaps of 0 are no news of the model.
	Chunks, Coalesced int

	// TTFB has all responses, TTFT, TTFC and ITL all token chunks that arrived,
	// also those of answers that failed later. E2E and TPOT have the answers that
	// came to their own end; Latency has these and, with the time they took in
	// vain, those that ran into a timeout.
	TTFB, TTFT, TTFC, ITL, TPOT, E2E, Latency Distribution
	// SchedLag is how much later than due requests were sent.
	SchedLag Distribution
	// CorrectedTTFT, CorrectedE2E and CorrectedLatency count from the instant
	// at which requests were due.
	CorrectedTTFT, CorrectedE2E, CorrectedLatency Distribution
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

	firstDue, lastDue, firstSent, lastSent time.Time
	series                                 series
}

// TokenRate returns the output tokens per second of the whole run.
func (r *Report) TokenRate() float64 {
	if r.Elapsed <= 0 {
		return 0
	}
	return float64(r.OutputTokens) / r.Elapsed.Seconds()
}

// add takes in one finished request and the instants of its token chunks.
func (r *Report) add(res Result, tokens []time.Duration) {
	r.Sent++
	r.Classes[res.Class]++
	if res.Err != nil && r.FirstErrors[res.Class] == nil {
		r.FirstErrors[res.Class] = res.Err
	}
	r.firstDue, r.lastDue = span(r.firstDue, r.lastDue, res.Due)
	r.firstSent, r.lastSent = span(r.firstSent, r.lastSent, res.Sent)
	if res.Fault != None {
		r.Faults[res.Fault]++
	}
	r.Elapsed = max(r.Elapsed, res.Sent.Add(res.Latency).Sub(r.Began))

	r.series.add(r.Began, res)
	if res.Trimmed {
		r.Trimmed++
		return
	}
	for i := range r.Goodput {
		if g := &r.Goodput[i]; res.Class != analysis.Cancelled {
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
	if res.Chunks > 0 && !res.TokensFromUsage {
		r.CountedTokens++
	}
	r.measure(res, tokens)
}

// measure adds the durations of one request.
func (r *Report) measure(res Result, tokens []time.Duration) {
	lag := res.SchedLag()
	r.SchedLag.add(lag)
	if res.Status != 0 {
		r.TTFB.add(res.TTFB)
	}
	if res.Chunks > 0 {
		r.TTFT.add(res.TTFT)
		r.CorrectedTTFT.add(res.TTFT + lag)
	}
	if res.TTFC > 0 {
		r.TTFC.add(res.TTFC)
	}
	for i := 1; i < len(tokens); i++ {
		r.ITL.add(tokens[i] - tokens[i-1])
	}
	if res.complete() && res.Chunks > 0 {
		r.E2E.add(res.E2E)
		r.CorrectedE2E.add(res.E2E + lag)
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

// newReport returns the empty report of a run that begins now.
func newReport(p Plan, target string) *Report {
	r := &Report{
		Target: target, Model: p.Model, Began: time.Now(), LagBound: p.LagBound,
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
	r.Generator.judge()
	for i := range r.Goodput {
		if r.Elapsed > 0 {
			r.Goodput[i].Rate = float64(r.Goodput[i].Good) / r.Elapsed.Seconds()
		}
	}
	r.Late = r.SchedLag.Quantile(0.99) > r.LagBound
}

type row struct {
	name string
	d    *Distribution
}

func (r *Report) rows() []row {
	return []row{
		{"TTFB", &r.TTFB}, {"TTFT", &r.TTFT}, {"TTFC", &r.TTFC}, {"ITL", &r.ITL}, {"TPOT", &r.TPOT}, {"E2E", &r.E2E}, {"Latency", &r.Latency},
		{"SchedLag", &r.SchedLag}, {"corrected TTFT", &r.CorrectedTTFT}, {"corrected E2E", &r.CorrectedE2E}, {"corrected Latency", &r.CorrectedLatency},
	}
}

// String returns the report as a text of about 20 lines, without a final
// newline.
func (r *Report) String() string {
	var b strings.Builder
	fmt.Fprintf(&b, "Generator %v\n", r.Generator)
	for _, reason := range r.Generator.Reasons {
		fmt.Fprintf(&b, "          %s: believe the corrected figures at most\n", reason)
	}
	fmt.Fprintf(&b, "Requests  %s sent in %v, %.4g/s due, %.4g/s reached", grouped(r.Sent), short(r.Elapsed), r.DueRate, r.SentRate)
	if r.Trimmed > 0 {
		fmt.Fprintf(&b, "; %s of them trimmed", grouped(r.Trimmed))
	}
	if r.Interrupted {
		fmt.Fprintf(&b, "; interrupted, %s unsent", grouped(r.Unsent))
	}
	b.WriteString("\nOutcomes ")
	classes := slices.SortedFunc(maps.Keys(r.Classes), func(x, y analysis.Class) int { return cmp.Compare(x, y) })
	for i, c := range classes {
		b.WriteString([]string{" ", ", "}[min(i, 1)])
		fmt.Fprintf(&b, "%s %v (%.4g %%)", grouped(r.Classes[c]), c, 100*float64(r.Classes[c])/float64(r.Sent))
	}
	if len(r.Faults) > 0 {
		b.WriteString("\nFaults   ")
		for f := range Fault(len(faultNames)) {
			if n := r.Faults[f]; n > 0 {
				fmt.Fprintf(&b, " %s %v;", grouped(n), f)
			}
		}
	}
	for _, g := range r.Goodput {
		fmt.Fprintf(&b, "\nGoodput   %.4g/s: %s of %s sent kept %v (%.4g %%)", g.Rate, grouped(g.Good), grouped(g.Sent), g.SLO, 100*g.Share())
	}
	for _, j := range r.Judged {
		fmt.Fprintf(&b, "\nThreshold %v: %s", j.Result.Status, j.Result.Summary)
	}
	if r.Aborted != "" {
		fmt.Fprintf(&b, "\nAborted   %s", strings.TrimPrefix(r.Aborted, "loadtest: "))
	}
	fmt.Fprintf(&b, "\nTokens    %s out (%.4g/s), %s in, %s cached", grouped(r.OutputTokens), r.TokenRate(), grouped(r.InputTokens), grouped(r.CachedTokens))
	if r.CountedTokens > 0 {
		fmt.Fprintf(&b, "; %s answers without usage, their chunks counted", grouped(r.CountedTokens))
	}
	if r.Coalesced > 0 {
		fmt.Fprintf(&b, "; %.2g %% of the chunks coalesced", 100*float64(r.Coalesced)/float64(r.Chunks))
	}
	fmt.Fprintf(&b, "\n%-18s%9s%9s%9s%9s%9s%9s%9s\n", "", "count", "mean", "p50", "p90", "p99", "p99.9", "max")
	for _, row := range r.rows() {
		if row.d.Count() == 0 {
			continue
		}
		fmt.Fprintf(&b, "%-18s%9s%9v%9v%9v%9v%9v%9v\n", row.name, grouped(int(row.d.Count())), short(row.d.Mean()),
			short(row.d.Quantile(0.5)), short(row.d.Quantile(0.9)), short(row.d.Quantile(0.99)), short(row.d.Quantile(0.999)), short(row.d.Max()))
	}
	for _, c := range classes {
		if err := r.FirstErrors[c]; err != nil {
			fmt.Fprintf(&b, "First %v: %s\n", c, strings.TrimPrefix(err.Error(), "loadtest: "))
		}
	}
	return strings.TrimRight(b.String(), "\n")
}

// short rounds d to three digits that count.
func short(d time.Duration) time.Duration {
	if d == 0 {
		return 0
	}
	digits := math.Floor(math.Log10(math.Abs(float64(d))))
	return d.Round(time.Duration(math.Pow(10, max(0, digits-2))))
}

// grouped writes n with commas between thousands.
func grouped(n int) string {
	s := strconv.Itoa(n)
	for i := len(s) - 3; i > 0 && s[i-1] != '-'; i -= 3 {
		s = s[:i] + "," + s[i:]
	}
	return s
}
