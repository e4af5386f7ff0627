package loadtest

import (
	"context"
	"fmt"
	"sync"
	"time"

	"github.com/serin-go/serin/checks"
	"github.com/serin-go/serin/checks/analysis"
	"github.com/serin-go/serin/internal/units"
	"github.com/serin-go/serin/loadtest/workload"
)

// collector adds up the results of all workers of a run.
type collector struct {
	plan   Plan
	target string
	under  overlap
	used   resources               // at the start
	beat   *heartbeat              // runs from newCollector to conclude
	calm   func()                  // stops beat
	abort  context.CancelCauseFunc // ends the run; nil without AbortOnBreach
	proof  *evidence               // of breaches; nil without thresholds

	mu       sync.Mutex
	report   *Report
	interval *Report   // of this second; nil without OnInterval
	lately   resources // at the start of the interval
	looked   time.Time // of the last evaluation of the thresholds

	breached         []Judged
	failed, textless int // conversations that ended early, by cause
	doubted          int // answers with more tokens in their usage than bytes
	waited, lacking  int // turns of sessions that were sent later than in the trace, or with another answer before
}

// newCollector returns the collector of a run of p that began at p.Start.
func newCollector(p Plan, target string) *collector {
	c := &collector{plan: p, target: target, used: readResources()}
	c.beat, c.calm = startHeartbeat()
	c.report = newReport(p, c.target)
	if len(p.Thresholds) > 0 {
		c.proof = newEvidence(p.Thresholds)
	}
	if p.OnInterval != nil {
		c.interval, c.lately = newReport(p, c.target), c.used
	}
	return c
}

// abortBy makes thresholds that are breached end the run by end.
func (c *collector) abortBy(end context.CancelCauseFunc) {
	c.abort = end
}

// start counts a request that is sent now.
func (c *collector) start(due, sent time.Time) {
	c.under.enter(sent.Sub(c.report.Began))
	if since := due.Sub(c.report.Began); c.proof != nil && !c.trims(since) {
		c.proof.start(since)
	}
}

// trims reports whether requests due at an instant are in the warm-up or the cool-down.
func (c *collector) trims(due time.Duration) bool {
	return due < c.plan.WarmUp || c.plan.CoolDown > 0 && due > c.plan.Duration-c.plan.CoolDown
}

func (c *collector) add(r Result, what chunks) {
	c.mu.Lock()
	defer c.mu.Unlock()
	due := r.Due.Sub(c.report.Began)
	r.Trimmed = c.trims(due)
	c.report.add(r, what)
	if c.interval != nil {
		c.interval.add(r, what)
	}
	if c.proof != nil && !r.Trimmed {
		c.proof.end(due, r, what)
	}
	if c.abort != nil {
		c.checkBreach(r.Sent.Add(r.Latency))
	}
	if c.plan.OnResult != nil {
		c.plan.OnResult(r)
	}
}

// checkBreach ends the run if a threshold is breached.
func (c *collector) checkBreach(now time.Time) {
	if now.Sub(c.looked) < abortEvery {
		return
	}
	c.looked = now
	s := c.report.Summary()
	for i, t := range c.plan.Thresholds {
		if c.proof.breached(i, c.report.dependence(t.Metric)) {
			result := t.Judge(s)
			result.Status = checks.Fail
			c.breached = append(c.breached, Judged{t, result})
		}
	}
	if err := breach(c.breached); err != nil {
		c.report.Aborted = err.Error()
		if c.interval != nil {
			c.interval.Aborted = err.Error()
		}
		c.abort(err)
		c.abort = nil
	}
}

// skip counts n requests that were due and not sent.
func (c *collector) skip(n int) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.report.Unsent += n
	if c.interval != nil {
		c.interval.Unsent += n
	}
}

// endConversation counts a conversation that ended early after r.
func (c *collector) endConversation(r Result) {
	c.mu.Lock()
	defer c.mu.Unlock()
	switch {
	case r.stopped():
	case r.Class == analysis.OK, r.Class == analysis.Refused:
		c.textless++
	default:
		c.failed++
	}
}

// doubt counts an answer whose usage is impossible.
func (c *collector) doubt() {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.doubted++
}

// addTurn counts a turn of a session.
func (c *collector) addTurn(waited, lacks bool) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if waited {
		c.waited++
	}
	if lacks {
		c.lacking++
	}
}

// interval is the time between calls of OnInterval.
const interval = time.Second

// startIntervals calls OnInterval every interval until stop is called.
func (c *collector) startIntervals() (stop func()) {
	if c.interval == nil {
		return func() {}
	}
	done := make(chan struct{})
	var wait sync.WaitGroup
	wait.Go(func() {
		tick := time.NewTicker(interval)
		defer tick.Stop()
		for {
			select {
			case <-tick.C:
				c.flushInterval()
			case <-done:
				return
			}
		}
	})
	return func() {
		close(done)
		wait.Wait()
	}
}

// flushInterval passes the report of this interval to OnInterval and begins another.
func (c *collector) flushInterval() {
	fresh := newReport(c.plan, c.target)
	c.mu.Lock()
	r, before := c.interval, c.lately
	c.interval, c.lately = fresh, readResources()
	c.mu.Unlock()
	r.Generator.since(before)
	r.Generator.StallP99 = c.beat.recent()
	r.PeakConcurrency, r.UnderWay = c.under.recent(), c.under.current()
	r.finish()
	c.plan.OnInterval(r) // without the lock, since it may block
}

// conclude returns the report of the whole run.
func (c *collector) conclude(interrupted bool, sched *schedule) *Report {
	r := c.report
	c.calm()
	r.Interrupted = interrupted || r.Classes[analysis.Cancelled]+r.Classes[analysis.Abandoned] > 0
	if n := c.failed + c.textless; n > 0 {
		r.Notes = append(r.Notes, fmt.Sprintf("%s conversations ended before their last turn: %s after a failed answer, %s after an answer without text",
			units.Grouped(n), units.Grouped(c.failed), units.Grouped(c.textless)))
	}
	if c.doubted > 0 {
		r.Notes = append(r.Notes, fmt.Sprintf("the usage of %s answers is impossible, since it has more tokens than the answers have bytes: their tokens are counted without it", units.Grouped(c.doubted)))
	}
	if c.waited > 0 {
		r.Notes = append(r.Notes, fmt.Sprintf("%s turns of sessions were due later than planned, since the answer to the turn before had not ended", units.Grouped(c.waited)))
	}
	if c.lacking > 0 {
		r.Notes = append(r.Notes, fmt.Sprintf("%s turns of sessions were sent with a generated text in the place of an answer that this process has not", units.Grouped(c.lacking)))
	}
	if n := recordedAsFailed(c.plan.Workload); n > 0 {
		r.Notes = append(r.Notes, fmt.Sprintf("%s requests of the trace were left out, since they had failed when they were recorded", units.Grouped(n)))
	}
	if c.interval != nil {
		c.interval.Interrupted, c.interval.Notes = r.Interrupted, r.Notes
		c.flushInterval()
	}
	c.judge()
	r.Generator.since(c.used)
	r.Generator.StallP99 = c.beat.total()
	r.Generator.DueCV, r.Generator.SentCV = sched.asked.cv(), sched.taken.cv()
	r.PeakConcurrency = c.under.most()
	r.finish()
	return r
}

// judge judges the thresholds by the whole report and by the evidence. A threshold that
// ended the run keeps the result that it had then.
func (c *collector) judge() {
	r := c.report
	r.Judge(c.plan.Thresholds...)
	for i, j := range r.Judged {
		result := &r.Judged[i].Result
		switch shown := c.proof.breached(i, r.dependence(j.Threshold.Metric)); {
		case shown && result.Status != checks.Fail:
			result.Status = checks.Fail
			result.Summary += ", with the requests that ended without a value"
		case !shown && result.Status == checks.Fail && c.proof.enough(i):
			result.Status = checks.Unknown
			result.Summary += ", which may be chance"
		}
	}
	for _, b := range c.breached {
		for i := range r.Judged {
			if r.Judged[i].Threshold == b.Threshold {
				r.Judged[i] = b
			}
		}
	}
}

// recordedAsFailed returns the number of requests that traces in w leave out.
func recordedAsFailed(w workload.Workload) (n int) {
	switch w := w.(type) {
	case *workload.Trace:
		return w.Failed()
	case workload.Mix:
		for _, p := range w.Parts {
			n += recordedAsFailed(p.Workload)
		}
	}
	return n
}
