package loadtest

import (
	"iter"
	"math"
	"strings"
	"time"

	"github.com/serin-go/serin/checks/analysis"
)

// Report is the result of a run. The package documentation defines the durations. A
// Report is safe for concurrent reading.
type Report struct {
	// Generator has the reliability of the other figures.
	Generator     Generator
	Target, Model string
	// Began is the start of the run. Elapsed is the time from the start to the end of
	// the last request.
	Began   time.Time
	Elapsed time.Duration
	// Interrupted means that the context ended the run before its plan did, or
	// canceled requests.
	Interrupted bool

	// Sent is the number of requests that were sent; each has a class. Unsent is the
	// number of requests that were due and not sent because the run was interrupted.
	Sent, Unsent int
	// Trimmed is the number of sent requests in the warm-up or the cool-down.
	Trimmed int
	Classes map[analysis.Class]int
	// Faults has the number of requests with each fault.
	Faults map[Fault]int
	// Errors has the number of requests with each error that answers state. After 50
	// kinds, all further kinds are counted together, as "(other kinds)".
	Errors map[ErrorKind]int
	// FirstErrors has the first error of each class.
	FirstErrors map[analysis.Class]error

	// DueRate and SentRate are the planned and the actual rate in requests per second.
	// Both are 0 for fewer than two requests.
	DueRate, SentRate float64

	InputTokens, CachedTokens, OutputTokens, ReasoningTokens int
	// TokenSources has the number of requests for each source of output tokens.
	TokenSources map[TokenSource]int
	// Chunks is the number of token chunks. Coalesced is the number of them that
	// arrived together with the previous one, with a gap of 0.
	Chunks, Coalesced int

	// UnderWay is the number of requests without an outcome when a report of an
	// interval was made. It is 0 when a run has ended.
	UnderWay int
	// PeakConcurrency is the largest number of concurrent requests, and an upper bound
	// of it in merged reports. It is 0 if unknown, as for results from a file.
	PeakConcurrency int

	// TTFB includes all responses. TTFT, TTFC, ITL and ICL include all token chunks,
	// even if the answer failed later. E2E, TPOT and NTPOT include complete answers.
	// Latency includes complete answers and requests that timed out.
	TTFB, TTFT, TTFC, ITL, ICL, TPOT, NTPOT, E2E, Latency Distribution
	// SchedLag is the delay of sending after the instant at which requests were due.
	SchedLag Distribution
	// The corrected durations count from the instant at which requests were due. ITL,
	// ICL and TPOT do not depend on it.
	CorrectedTTFB, CorrectedTTFT, CorrectedTTFC, CorrectedNTPOT, CorrectedE2E, CorrectedLatency Distribution
	// Late means that the p99 of SchedLag exceeds LagBound, without the time in which
	// users waited for earlier answers; see [Result].UserWait. The uncorrected durations
	// are then too short.
	Late     bool
	LagBound time.Duration

	// Server is what the servers reported about themselves, or nil; see [ServerMetrics].
	Server *ServerSide
	// Tags has a part of the report for each tag of the workload, such as the parts of a
	// [workload.Mix]. It has up to 64 tags; requests with further tags count in OtherTags.
	Tags map[string]*Tagged
	// Goodput has an entry for each SLO of the plan.
	Goodput []Goodput
	// Judged has the result of each threshold of the plan.
	Judged []Judged
	// Aborted is the breached threshold that ended the run, or empty.
	Aborted string
	// Missing is the number of requests with an unknown outcome, because a worker of
	// a cluster was lost. They do not count as sent or unsent.
	Missing int
	// Incomplete is the reason why a file has further results that are not part of the
	// report, such as a line that is cut, or empty. Thresholds that hold then become
	// [checks.Unknown].
	Incomplete string
	// Notes has further information, one sentence each.
	Notes []string

	firstDue, lastDue, firstSent, lastSent time.Time
	keptDue, keptEnd                       time.Time     // of the requests that are not trimmed
	ownLag                                 *Distribution // the generator's part of SchedLag, or nil if that is all
	series                                 series
	batches                                []batches // of Goodput
	waits                                  [len(waits)]batches
	tally                                  tally
}

// TokenRate returns the output tokens per second of the run without warm-up and
// cool-down.
func (r *Report) TokenRate() float64 { return r.perSecond(r.OutputTokens) }

// totalTokenRate returns the input and output tokens per second of the same time.
func (r *Report) totalTokenRate() float64 { return r.perSecond(r.InputTokens + r.OutputTokens) }

// perSecond returns the rate of n of the requests that are not trimmed.
func (r *Report) perSecond(n int) float64 {
	if kept := r.kept(); kept > 0 {
		return float64(n) / kept.Seconds()
	}
	return 0
}

// kept returns the time in which the requests that are not trimmed were under way: from
// the start, or with trimmed requests from the instant at which the first of the others
// was due, to the end of the last one.
func (r *Report) kept() time.Duration {
	if r.Trimmed == 0 || r.keptEnd.IsZero() {
		return r.Elapsed
	}
	return r.keptEnd.Sub(r.keptDue)
}

// chunks are the token chunks of one answer: their instants and their numbers of
// tokens, nil for one token each.
type chunks struct {
	at     []time.Duration
	tokens []int
}

// gaps returns the gaps between chunks, with the number of tokens that each ends with.
func (c chunks) gaps() iter.Seq2[time.Duration, int] {
	return func(yield func(time.Duration, int) bool) {
		for i := 1; i < len(c.at); i++ {
			n := 1
			if c.tokens != nil {
				n = max(1, c.tokens[i])
			}
			if !yield(c.at[i]-c.at[i-1], n) {
				return
			}
		}
	}
}

// maxErrorText is the largest length of the text of an error in bytes.
const maxErrorText = 1000

// cut returns the beginning of a text, up to maxErrorText.
func cut(text string) string {
	if len(text) <= maxErrorText {
		return text
	}
	return strings.ToValidUTF8(text[:maxErrorText], "") // without a part of a character
}

// add adds one request and its token chunks.
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
	r.countError(res.Error, 1)
	r.Elapsed = max(r.Elapsed, res.Sent.Add(res.Latency).Sub(r.Began))

	r.addTag(res)
	r.series.add(r.Began, res)
	if res.Trimmed {
		r.Trimmed++
		return
	}
	r.keptDue, _ = span(r.keptDue, time.Time{}, res.Due)
	_, r.keptEnd = span(time.Time{}, r.keptEnd, res.Sent.Add(res.Latency))
	for i := range r.Goodput {
		if g := &r.Goodput[i]; !res.stopped() && !res.Fault.local() {
			good := g.SLO.Good(res)
			g.Sent++
			if good {
				g.Good++
				g.Tokens += res.OutputTokens
			}
			r.batches[i].add(res.Due.Sub(r.Began), g.SLO.used(res), good)
		}
	}
	for i, name := range waits {
		if v, ok := valueOf(name)(res); ok && !res.Fault.local() {
			r.waits[i].add(res.Due.Sub(r.Began), math.Log(v), false)
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
	r.addLag(res)
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
	for gap, n := range c.gaps() {
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

// finish computes the rates and the assessment of the generator.
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
	r.generatorLag().seal()
	r.Generator.LagP99, r.Generator.LagBound = r.generatorLag().Quantile(0.99), r.LagBound
	r.Generator.DueRate, r.Generator.SentRate = r.DueRate, r.SentRate
	r.Generator.Coalesced = float64(r.Coalesced) / float64(max(1, r.Chunks))
	r.Generator.Bottleneck, r.Generator.Reasons = false, nil
	shortest := r.ITL.Quantile(0.99)
	for _, d := range []*Distribution{&r.TTFT, &r.Latency} {
		if shortest == 0 {
			shortest = d.Quantile(0.99)
		}
	}
	r.Generator.judge(shortest)
	r.Generator.blame(r.Faults[faultLocal], r.Sent)
	for _, t := range r.Tags {
		t.finish(r)
	}
	for i := range r.Goodput {
		g := &r.Goodput[i]
		g.Rate, g.Effective = r.perSecond(g.Good), float64(g.Sent)
		if i < len(r.batches) {
			g.Effective /= max(1, goodputMargin*r.batches[i].dependence())
		}
	}
	r.Late = r.Generator.LagP99 > r.LagBound
}

// row is one kind of duration of a report.
type row struct {
	name  string
	d     *Distribution
	quiet bool // not in the text
}

func (r *Report) rows() []row {
	return []row{
		{"TTFB", &r.TTFB, false}, {"TTFT", &r.TTFT, false}, {"TTFC", &r.TTFC, false}, {"ITL", &r.ITL, false},
		{"ICL", &r.ICL, r.TokenSources[FromTokenizer] == 0}, // equals ITL
		{"TPOT", &r.TPOT, false}, {"NTPOT", &r.NTPOT, false}, {"E2E", &r.E2E, false}, {"Latency", &r.Latency, false}, {"SchedLag", &r.SchedLag, false},
		{"corrected TTFB", &r.CorrectedTTFB, true}, {"corrected TTFT", &r.CorrectedTTFT, false}, {"corrected TTFC", &r.CorrectedTTFC, true},
		{"corrected NTPOT", &r.CorrectedNTPOT, true}, {"corrected E2E", &r.CorrectedE2E, false}, {"corrected Latency", &r.CorrectedLatency, false},
	}
}

// Series returns the figures of the run over time, in at most 240 intervals of equal
// length.
func (r *Report) Series() []Interval { return r.series.intervals() }

// goodTokens returns the output tokens of the answers that kept the first SLO, or without
// SLOs of all answers.
func (r *Report) goodTokens() int {
	if len(r.Goodput) > 0 {
		return r.Goodput[0].Tokens
	}
	return r.OutputTokens
}
