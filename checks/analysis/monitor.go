package analysis

import (
	"errors"
	"fmt"
	"math"
	"slices"
	"sync"
	"time"

	"github.com/serin-go/serin/checks"
	"github.com/serin-go/serin/internal/evalue"
)

// Monitor looks for harm that begins after a promotion, when there is no baseline
// any more to compare with: it holds one arm against what the baseline was, as
// the evidence of the rollout has it. It is an e-detector (Shin, Ramdas and
// Rinaldo) with the factors of a comparison, and finds harm beyond the margins whenever
// it begins. [Plan.MonitorRunLength] bounds how often it errs. It cannot distinguish harm
// by the arm from an incident that would hit every version.
//
// It is safe for concurrent use.
type Monitor struct {
	r *Recorder

	mu      sync.Mutex
	rd      reading
	from    []cursor // by metric
	guards  []guard
	lengths []lengthMonitor
	looks   int
	now     float64 // ln of the statistic
	peak    float64
	blamed  string    // what raised the alarm
	block   time.Time // when the open stretch began
}

// Monitor returns a monitor over the named arm of r, from now on, against the
// baseline in before: evidence of a comparison under the same plan. Metrics of
// which the baseline has shown fewer than 200 values are not monitored.
//
// The error is an [*checks.InvalidError]: the arm is unknown, the evidence is of
// another plan, or nothing can be monitored with it.
func (r *Recorder) Monitor(arm string, before Evidence) (*Monitor, error) {
	a := r.Arm(arm)
	if a == r.stray {
		return nil, &checks.InvalidError{Package: "analysis", Field: "arm", Value: fmt.Sprintf("%q", arm), Want: "an arm of the recorder"}
	}
	if err := before.check(r.plan); err != nil {
		return nil, err
	}
	w := &Monitor{r: r, rd: reading{arm: a, metrics: make([]metricReading, len(r.meters))}, now: math.Inf(-1), peak: math.Inf(-1)}
	for i, m := range r.meters {
		if g, ok := newGuard(i, m.Metric, before.Metrics[i].Baseline); ok {
			w.guards = append(w.guards, g)
		}
		if l, ok := newLengthMonitor(i, m, before.Metrics[i].Baseline); ok {
			w.lengths = append(w.lengths, l)
		}
	}
	if len(w.guards) == 0 {
		return nil, badEvidence("Metrics[].Baseline.N", "too small", fmt.Sprintf("at least %d values of a metric that rolls back", profileMin))
	}
	a.lock()
	defer a.mu.Unlock()
	for i := range a.tallies {
		w.from = append(w.from, a.tallies[i].cursor())
	}
	return w, nil
}

// MonitorReport is what a monitor has found so far. It is plain data that survives
// JSON.
type MonitorReport struct {
	At  time.Time `json:"at"`
	Arm string    `json:"arm"`
	// Looks counts calls of [Monitor.Look].
	Looks int `json:"looks"`
	// Alarm says that the arm has become worse than the margins allow. It stays.
	Alarm bool `json:"alarm"`
	// Reason is a sentence that a person understands.
	Reason string `json:"reason"`
	// Evidence is the e-detector's statistic: E at its largest, Now at present.
	// Its limit is the run length.
	Evidence Proof `json:"evidence"`
	// Metrics are those that are monitored.
	Metrics []MonitorFinding `json:"metrics"`
	// Lengths compares the lengths of inputs and outputs with what they were, if
	// the plan measures them. They raise no alarm: other questions are not harm.
	Lengths []LengthDrift `json:"lengths,omitempty"`
}

// MonitorFinding is what a report says about one metric.
type MonitorFinding struct {
	Metric string `json:"metric"`
	// N counts the values since the monitor began, and Bad those that were bad:
	// events of a rate; amounts worse than the baseline's 95th percentile by more
	// than the margin. Of a score, Bad is 0.
	N   int `json:"n"`
	Bad int `json:"bad"`
	// Seen is the share of bad ones, or the mean of a score. Allowed is what it
	// may be: the baseline's by the margin, or as high (low) as the baseline's
	// own uncertainty leaves possible.
	Seen    float64 `json:"seen"`
	Allowed float64 `json:"allowed"`
	// E is this metric's statistic at present.
	E float64 `json:"e"`
}

// Look takes in what was recorded since the last call and reports. Look as often
// as you like, at times that do not depend on the outcomes.
func (w *Monitor) Look(now time.Time) MonitorReport {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.rd.read(w.r, func(i int) uint64 { return w.from[i].next })
	w.looks++
	// No stretch of the length of Plan.Persist brings more than a third of what an alarm
	// takes.
	most, fresh := math.Inf(1), false
	if persist := w.r.plan.persist(); persist > 0 {
		most = w.limit() / 3
		if fresh = w.block.IsZero() || now.Sub(w.block) >= persist || now.Before(w.block); fresh {
			w.block = now
		}
	}
	var logs, weights []float64
	for k := range w.guards {
		g := &w.guards[k]
		m := &w.rd.metrics[g.index]
		g.look(m.at.minus(w.from[g.index]), m.fresh, most, fresh)
		for p := range g.parts {
			logs = append(logs, g.parts[p].LogSR())
			weights = append(weights, g.metric.Weight/float64(len(g.parts)))
		}
	}
	for k := range w.lengths {
		w.lengths[k].look(w.rd.metrics[w.lengths[k].index].fresh)
	}
	for i := range w.from {
		w.from[i] = w.rd.metrics[i].at
	}
	w.now = evalue.Average(logs, weights)
	w.peak = max(w.peak, w.now)
	if w.peak >= w.limit() && w.blamed == "" {
		w.blamed = w.worst().words()
	}
	return w.report(now)
}

func (w *Monitor) limit() float64 { return math.Log(w.r.plan.MonitorRunLength) }

// worst returns the guard that contributes most.
func (w *Monitor) worst() *guard {
	worst := &w.guards[0]
	for k := range w.guards {
		if g := &w.guards[k]; g.logE()+math.Log(g.metric.Weight) > worst.logE()+math.Log(worst.metric.Weight) {
			worst = g
		}
	}
	return worst
}

func (w *Monitor) report(now time.Time) MonitorReport {
	rep := MonitorReport{
		At: now, Arm: w.rd.arm.name, Looks: w.looks, Alarm: w.blamed != "",
		Evidence: Proof{E: exp(w.peak), Now: exp(w.now), Limit: w.r.plan.MonitorRunLength},
	}
	rep.Reason = fmt.Sprintf("%s is as the baseline was, within the margins, as far as can be seen", rep.Arm)
	if rep.Alarm {
		rep.Reason = rep.Arm + " has become worse: " + w.blamed
	}
	n := 0
	for k := range w.guards {
		f := w.guards[k].finding()
		n += f.N
		rep.Metrics = append(rep.Metrics, f)
	}
	if n == 0 {
		rep.Reason = "no request of " + rep.Arm + " could be counted"
	}
	for k := range w.lengths {
		d := w.lengths[k].drift
		d.Counts = nil // of a window that is not full
		rep.Lengths = append(rep.Lengths, d)
	}
	return rep
}

// MonitorState is what a [Monitor] has gathered. It survives JSON. [Monitor.Restore] reads
// it, so a restarted process continues to monitor.
type MonitorState struct {
	monitorState
}

type monitorState struct {
	Plan  string  `json:"plan"`
	Arm   string  `json:"arm"`
	Looks int     `json:"looks"`
	Peak  float64 `json:"peak"`
	// Blamed is what raised the alarm, empty if nothing has.
	Blamed  string        `json:"blamed,omitempty"`
	Metrics []guardState  `json:"metrics"`
	Lengths []LengthDrift `json:"lengths,omitempty"`
}

// guardState is what a monitor has gathered of one metric.
type guardState struct {
	Metric string `json:"metric"`
	N      int    `json:"n"`
	Bad    int    `json:"bad"`
	// Runs are what was seen since the trouble began, by part of the distribution and
	// alternative.
	Runs [][]runState `json:"runs,omitempty"`
	// Sum adds up scores.
	Sum float64 `json:"sum,omitempty"`
	// Detectors are the logs of the Shiryaev-Roberts statistics, by part of the
	// distribution and alternative.
	Detectors [][]float64 `json:"detectors"`
}

// runState is what a monitor has seen of a metric since a moment. Of scores it has the sum, of
// other metrics how many were bad.
type runState struct {
	N   int     `json:"n"`
	Bad int     `json:"bad,omitempty"`
	Sum float64 `json:"sum,omitempty"`
}

func (r runState) plus(s runState) runState {
	return runState{N: r.N + s.N, Bad: r.Bad + s.Bad, Sum: r.Sum + s.Sum}
}

// State returns what w has gathered up to the last look.
func (w *Monitor) State() MonitorState {
	w.mu.Lock()
	defer w.mu.Unlock()
	s := MonitorState{monitorState{Plan: w.r.plan.digest(), Arm: w.rd.arm.name, Looks: w.looks, Peak: max(w.peak, -1e300), Blamed: w.blamed}}
	for k := range w.guards {
		s.Metrics = append(s.Metrics, w.guards[k].state())
	}
	for k := range w.lengths {
		d := w.lengths[k].drift
		d.Counts = slices.Clone(d.Counts)
		s.Lengths = append(s.Lengths, d)
	}
	return s
}

// Restore gives w, which has not looked yet, what an earlier monitor over the same
// arm with the same plan and evidence has gathered. If the error, an
// [*checks.InvalidError], is not nil, w is unchanged.
func (w *Monitor) Restore(s MonitorState) error {
	w.mu.Lock()
	defer w.mu.Unlock()
	bad := func(field string, value any, want string) error {
		return &checks.InvalidError{Package: "analysis", Field: "MonitorState." + field, Value: value, Want: want}
	}
	switch {
	case w.looks > 0:
		return bad("Looks", w.looks, "a monitor that has not looked yet")
	case s.Plan != w.r.plan.digest():
		return bad("Plan", s.Plan, w.r.plan.digest())
	case s.Arm != w.rd.arm.name:
		return bad("Arm", s.Arm, w.rd.arm.name)
	case s.Looks < 0 || math.IsNaN(s.Peak) || math.IsInf(s.Peak, 0):
		return bad("Peak", s.Peak, "a finite number")
	case len(s.Metrics) != len(w.guards) || len(s.Lengths) != len(w.lengths):
		return bad("Metrics", len(s.Metrics), fmt.Sprintf("%d metrics and %d lengths", len(w.guards), len(w.lengths)))
	}
	var errs []error
	for k, g := range s.Metrics {
		errs = append(errs, w.guards[k].check(g))
	}
	for k, d := range s.Lengths {
		errs = append(errs, w.lengths[k].check(d))
	}
	if err := errors.Join(errs...); err != nil {
		return bad("Metrics", err, "what was stored")
	}
	for k, g := range s.Metrics {
		w.guards[k].restore(g)
	}
	for k, d := range s.Lengths {
		w.lengths[k].restore(d)
	}
	w.looks, w.peak, w.blamed = s.Looks, s.Peak, s.Blamed
	return nil
}
