package loadtest

import (
	"math"
	"slices"
	"strconv"
	"strings"
	"sync"
	"time"

	"github.com/serin-go/serin/checks/analysis"
	"github.com/serin-go/serin/internal/evalue"
)

// level is the probability that thresholds which the target keeps end a run or fail
// it, however often they are evaluated.
const level = 0.05

// maxCohorts is the largest number of cohorts. When they are full, pairs of neighbors
// are merged.
const maxCohorts = 512

// evidence tests the thresholds of a run while it is in progress. It counts requests
// by cohorts of the instant at which they were due, because failures tend to end
// before successes. A request under way counts as one that keeps the threshold, so it
// can hide a breach for a while and can never cause one. It is safe for concurrent use.
type evidence struct {
	mu      sync.Mutex
	tests   []limitTest
	width   time.Duration
	cohorts []cohort
}

// cohort has the requests that were due in one interval.
type cohort struct {
	started, ended int
	sums           []sums // by test
}

// sums are the figures of a cohort for one threshold.
type sums struct {
	outside        int // ended without a value for the threshold
	events         int
	n, sum, square float64 // of a test of a mean
}

func newEvidence(ts []analysis.Threshold) *evidence {
	e := &evidence{width: abortEvery}
	for _, t := range ts {
		e.tests = append(e.tests, newLimitTest(t))
	}
	return e
}

// at returns the cohort of an instant, given as time since the start.
func (e *evidence) at(due time.Duration) *cohort {
	due = max(0, due)
	for due/e.width >= maxCohorts {
		for i := range e.cohorts {
			if i%2 == 1 {
				e.cohorts[i/2].merge(&e.cohorts[i])
			} else {
				e.cohorts[i/2] = e.cohorts[i]
			}
		}
		e.cohorts = e.cohorts[:(len(e.cohorts)+1)/2]
		e.width *= 2
	}
	for int(due/e.width) >= len(e.cohorts) {
		e.cohorts = append(e.cohorts, cohort{sums: make([]sums, len(e.tests))})
	}
	return &e.cohorts[due/e.width]
}

func (c *cohort) merge(o *cohort) {
	c.started, c.ended = c.started+o.started, c.ended+o.ended
	for i := range c.sums {
		a, b := &c.sums[i], o.sums[i]
		a.outside, a.events, a.n, a.sum, a.square = a.outside+b.outside, a.events+b.events, a.n+b.n, a.sum+b.sum, a.square+b.square
	}
}

// start counts a request that is sent.
func (e *evidence) start(due time.Duration) {
	e.mu.Lock()
	defer e.mu.Unlock()
	e.at(due).started++
}

// end counts a request that has ended.
func (e *evidence) end(due time.Duration, r Result, what chunks) {
	if r.stopped() {
		return // its own end is not known
	}
	e.mu.Lock()
	defer e.mu.Unlock()
	c := e.at(due)
	c.ended++
	for i, t := range e.tests {
		s := &c.sums[i]
		switch {
		case r.Fault.local():
			s.outside++
		case t.event != nil:
			event, counts := t.event(r, what)
			if !counts {
				s.outside++
			} else if event {
				s.events++
			}
		case t.excess != nil:
			if x, counts := t.excess(r, what); counts {
				s.n, s.sum, s.square = s.n+1, s.sum+x, s.square+x*x
			}
		}
	}
}

// breached reports whether the threshold with index i is shown not to hold, by the
// requests due up to any of the cohorts. dependence is the number of requests that show
// as much as one independent request.
func (e *evidence) breached(i int, dependence float64) bool {
	e.mu.Lock()
	defer e.mu.Unlock()
	var all sums
	started, ended := 0, 0
	for k := range e.cohorts {
		c := &e.cohorts[k]
		started, ended = started+c.started, ended+c.ended
		s := c.sums[i]
		all.outside, all.events = all.outside+s.outside, all.events+s.events
		all.n, all.sum, all.square = all.n+s.n, all.sum+s.sum, all.square+s.square
		switch t := e.tests[i]; {
		case t.event != nil:
			if exceeds(all.events, started-all.outside, t.share, dependence, len(e.tests)) {
				return true
			}
		case t.excess != nil:
			if started > ended {
				return false // the mean of those that ended early says nothing
			}
			if all.above(level/float64(len(e.tests)), dependence) {
				return true
			}
		}
	}
	return false
}

// enough reports whether the threshold with index i is tested by a mean, of enough
// requests to prove one.
func (e *evidence) enough(i int) bool {
	e.mu.Lock()
	defer e.mu.Unlock()
	n := 0.0 // stays 0 without a mean
	for _, c := range e.cohorts {
		n += c.sums[i].n
	}
	return n >= fewest
}

// exceeds reports whether events of n trials show a true share above share. dependence is
// the number of trials that show as much as one independent trial, and of the number of
// thresholds that are judged together.
func exceeds(events, n int, share, dependence float64, of int) bool {
	return evalue.ShareLogE(events, n, share, dependence) >= math.Log(float64(of)/level)
}

// fewest is the number of requests from which the confidence sequence of a mean,
// which is asymptotic, is used.
const fewest = 50

// above reports whether the mean is shown to be above 0. dependence is the number of
// values that show as much as one independent value.
func (s sums) above(alpha, dependence float64) bool {
	if s.n < fewest {
		return false
	}
	mean := s.sum / s.n
	return mean > evalue.AsymptoticHalfWidth(s.n/dependence, max(0, s.square/s.n-mean*mean), alpha, 500, true)
}

// limitTest is the test of one threshold: of the share of requests with an event, or of
// the mean excess over the limit. Both are nil if only a whole run can show it.
type limitTest struct {
	// event reports whether a request exceeds the limit and whether it counts. The
	// threshold allows a share of them.
	event func(Result, chunks) (event, counts bool)
	share float64
	// excess returns the excess of a request and whether it counts.
	excess func(Result, chunks) (x float64, counts bool)
}

// newLimitTest returns the test of a valid threshold.
func newLimitTest(t analysis.Threshold) limitTest {
	for _, r := range rates() {
		if r.metric.Name == t.Metric {
			share := t.Limit
			if t.AtLeast {
				share = 1 - t.Limit
			}
			return limitTest{share: share, event: func(res Result, _ chunks) (bool, bool) {
				return r.events(res.Class) != t.AtLeast, r.population(res.Class)
			}}
		}
	}
	exceeds := func(v float64) bool { return v > t.Limit }
	if t.AtLeast {
		exceeds = func(v float64) bool { return v < t.Limit }
	}
	share, shared := allowed(t)
	if t.Metric == nameITL || t.Metric == nameICL {
		return newGapTest(t, exceeds, share, shared)
	}
	value, waiting := valueOf(t.Metric), beforeEnd(t.Metric) && !t.AtLeast
	switch {
	case shared:
		return limitTest{share: share, event: func(r Result, _ chunks) (bool, bool) {
			v, counts := value(r)
			if waiting && !counts && r.Class == analysis.Timeout && (r.Latency+r.SchedLag()).Seconds() > t.Limit {
				return true, true // what the request was still waiting for is later than that
			}
			return exceeds(v), counts
		}}
	case t.Statistic == "mean":
		return limitTest{excess: func(r Result, _ chunks) (float64, bool) {
			v, counts := value(r)
			return over(t, v, 1), counts
		}}
	}
	return limitTest{}
}

// beforeEnd reports whether a metric is a duration that a request which has timed out was
// still waiting for, if it has no value of it.
func beforeEnd(metric string) bool {
	return slices.Contains([]string{analysis.TTFT().Name, nameTTFB, nameTTFC, nameE2E}, metric)
}

// newGapTest returns the test of a threshold for the gaps of all streams together. The
// gaps of one stream depend on each other, so a request is one observation.
func newGapTest(t analysis.Threshold, exceeds func(float64) bool, share float64, shared bool) limitTest {
	gaps := func(c chunks, each func(seconds, n float64)) (some bool) {
		for gap, n := range c.gaps() {
			if t.Metric == nameITL {
				each((gap / time.Duration(n)).Seconds(), float64(n))
			} else {
				each(gap.Seconds(), 1)
			}
			some = true
		}
		return some
	}
	switch {
	case shared && share == 0: // the longest or the shortest of all
		return limitTest{event: func(_ Result, c chunks) (event, counts bool) {
			counts = gaps(c, func(v, _ float64) { event = event || exceeds(v) })
			return event, counts
		}}
	case shared:
		return limitTest{excess: func(_ Result, c chunks) (x float64, counts bool) {
			counts = gaps(c, func(v, n float64) {
				x -= share * n
				if exceeds(v) {
					x += n
				}
			})
			return x, counts
		}}
	case t.Statistic == "mean":
		return limitTest{excess: func(_ Result, c chunks) (x float64, counts bool) {
			counts = gaps(c, func(v, n float64) { x += over(t, v, n) })
			return x, counts
		}}
	}
	return limitTest{}
}

// over returns by how much n values of v exceed the limit of t.
func over(t analysis.Threshold, v, n float64) float64 {
	if t.AtLeast {
		return n * (t.Limit - v)
	}
	return n * (v - t.Limit)
}

// allowed returns the share of values that may exceed the limit of t. It returns false
// if t does not limit a share.
func allowed(t analysis.Threshold) (share float64, ok bool) {
	switch {
	case t.Statistic == "max" && !t.AtLeast, t.Statistic == "min" && t.AtLeast:
		return 0, true
	case !strings.HasPrefix(t.Statistic, "p"):
		return 0, false
	}
	q, err := strconv.ParseFloat(t.Statistic[1:], 64)
	if err != nil {
		return 0, false
	}
	if t.AtLeast {
		return q / 100, true
	}
	return 1 - q/100, true
}
