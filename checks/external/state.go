package external

import (
	"fmt"
	"time"
)

// Phase is the state of a measurement, a metric or an analysis. The zero value is
// Pending.
type Phase int

// The phases from Successful on are final. Those from Inconclusive on do not open a
// gate. The worst is last.
const (
	Pending      Phase = iota // no measurement yet
	Running                   // no outcome yet
	Successful                // good
	Inconclusive              // neither good nor bad
	Error                     // not measurable
	Failed                    // bad
)

var phaseNames = []string{"pending", "running", "successful", "inconclusive", "error", "failed"}

// String returns the lower-case name of p.
func (p Phase) String() string {
	if p >= 0 && int(p) < len(phaseNames) {
		return phaseNames[p]
	}
	return fmt.Sprintf("Phase(%d)", int(p))
}

// MarshalText implements [encoding.TextMarshaler].
func (p Phase) MarshalText() ([]byte, error) { return []byte(p.String()), nil }

// UnmarshalText implements [encoding.TextUnmarshaler]. It accepts the results of
// [Phase.String].
func (p *Phase) UnmarshalText(text []byte) error {
	for i, name := range phaseNames {
		if name == string(text) {
			*p = Phase(i)
			return nil
		}
	}
	return fmt.Errorf("external: phase: unknown name (have %q, want one of %v)", text, phaseNames)
}

// Done reports whether p is final.
func (p Phase) Done() bool { return p >= Successful }

// bad reports whether p is final and does not open a gate.
func (p Phase) bad() bool { return p >= Inconclusive }

// Measurement is one answer of the source.
type Measurement struct {
	// Phase is Successful, Inconclusive, Error or Failed.
	Phase Phase     `json:"phase"`
	Began time.Time `json:"began"`
	Ended time.Time `json:"ended"`
	// Values are the values of the answer.
	Values Values `json:"values,omitempty"`
	// Message is the reason for an Error.
	Message string `json:"message,omitempty"`
}

// Tally is the state of one metric: the counts of its measurements. It is plain data.
// The zero Tally has no measurements.
type Tally struct {
	// Count is the number of measurements without errors.
	Count        int `json:"count"`
	Successful   int `json:"successful"`
	Failed       int `json:"failed"`
	Inconclusive int `json:"inconclusive"`
	Errors       int `json:"errors"`
	// ConsecutiveErrors and ConsecutiveSuccesses count back from the last measurement.
	ConsecutiveErrors    int `json:"consecutive_errors"`
	ConsecutiveSuccesses int `json:"consecutive_successes"`
	// Measurements lists the newest measurements, the oldest first.
	Measurements []Measurement `json:"measurements,omitempty"`
	// InFlight reports whether a query is in flight.
	InFlight bool `json:"in_flight,omitempty"`
}

// Record returns t with one more measurement.
func (m Metric) Record(t Tally, ms Measurement) Tally {
	t.InFlight = false
	streak, errors := t.ConsecutiveSuccesses, t.ConsecutiveErrors
	t.ConsecutiveSuccesses, t.ConsecutiveErrors = 0, 0
	t.Count++
	switch ms.Phase {
	case Successful:
		t.Successful++
		t.ConsecutiveSuccesses = streak + 1
	case Failed:
		t.Failed++
	case Inconclusive:
		t.Inconclusive++
	default:
		t.Count--
		t.Errors++
		t.ConsecutiveErrors = errors + 1
	}
	// A fresh slice: t is a value, and its copies must not share what follows.
	kept := append(t.Measurements[:len(t.Measurements):len(t.Measurements)], ms)
	t.Measurements = trim(kept, m.Keep)
	return t
}

// trim returns the newest n measurements, or 10 if n is 0.
func trim(ms []Measurement, n int) []Measurement {
	if n == 0 {
		n = defaultKeep
	}
	return ms[max(len(ms)-n, 0):]
}

// Assess returns the phase of a metric, and the reason if the phase is bad. ending means
// that there will be no more measurements.
func (m Metric) Assess(t Tally, ending bool) (Phase, string) {
	switch {
	case t.Count == 0 && t.Errors == 0 && ending:
		return Inconclusive, "stopped before its first measurement"
	case t.Count == 0 && t.Errors == 0 && !t.InFlight:
		return Pending, ""
	case t.InFlight && !ending:
		return Running, ""
	case m.FailureLimit != NoLimit && t.Failed > m.FailureLimit:
		return Failed, fmt.Sprintf("%d failed, at most %d allowed", t.Failed, m.FailureLimit)
	case t.Inconclusive > m.InconclusiveLimit:
		return Inconclusive, fmt.Sprintf("%d inconclusive, at most %d allowed", t.Inconclusive, m.InconclusiveLimit)
	}
	limit := defaultErrors
	if m.ConsecutiveErrorLimit != nil {
		limit = *m.ConsecutiveErrorLimit
	}
	streak := m.ConsecutiveSuccessLimit
	switch {
	case t.ConsecutiveErrors > limit:
		message := fmt.Sprintf("%d errors in a row, at most %d allowed", t.ConsecutiveErrors, limit)
		if n := len(t.Measurements); n > 0 {
			message += ": " + t.Measurements[n-1].Message
		}
		return Error, message
	case streak > 0 && t.ConsecutiveSuccesses >= streak:
		return Successful, ""
	case m.count() > 0 && t.Count >= m.count() && streak > 0:
		// All measurements are done, without the required successes.
		message := fmt.Sprintf("%d measurements without %d successes in a row", t.Count, streak)
		if m.FailureLimit == NoLimit {
			return Failed, message
		}
		return Inconclusive, message
	case m.count() > 0 && t.Count >= m.count():
		return Successful, ""
	case ending && t.Count == 0:
		return Inconclusive, "stopped before a measurement without an error"
	case ending && streak > 0:
		return Inconclusive, fmt.Sprintf("stopped before %d successes in a row", streak)
	case ending:
		return Successful, ""
	}
	return Running, ""
}

// Due returns the time of the next measurement of a metric in an analysis that began at
// the given time. The result may be in the past. ok is false if there is no next
// measurement.
func (m Metric) Due(t Tally, began time.Time) (at time.Time, ok bool) {
	if phase, _ := m.Assess(t, false); phase.Done() || t.InFlight {
		return time.Time{}, false
	}
	if len(t.Measurements) == 0 {
		return began.Add(m.InitialDelay), true
	}
	wait := m.Interval
	if wait == 0 {
		wait = retryAfter
	}
	return t.Measurements[len(t.Measurements)-1].Ended.Add(wait), true
}

// Summary counts the metrics of an analysis by phase.
type Summary struct {
	Count        int `json:"count"`
	Successful   int `json:"successful"`
	Failed       int `json:"failed"`
	Inconclusive int `json:"inconclusive"`
	Errors       int `json:"errors"`
}

func (s *Summary) add(p Phase) {
	s.Count++
	switch p {
	case Successful:
		s.Successful++
	case Failed:
		s.Failed++
	case Inconclusive:
		s.Inconclusive++
	case Error:
		s.Errors++
	}
}

// AssessAll returns the state of an analysis of metrics, given their tallies in the same
// order. The phase is the worst of the metrics that ended badly, or Running until all
// have ended. A dry run does not affect the outcome, but must end too. ending means that
// there will be no more measurements.
func AssessAll(metrics []Metric, tallies []Tally, ending bool) Report {
	var r Report
	for i, m := range metrics {
		mr := MetricReport{Name: m.Name, DryRun: m.DryRun, Tally: tallies[i]}
		mr.Phase, mr.Message = m.Assess(tallies[i], ending)
		r.Metrics = append(r.Metrics, mr)
	}
	r.Phase = Successful
	running, pending := false, true
	for _, mr := range r.Metrics {
		running = running || !mr.Phase.Done()
		pending = pending && mr.Phase == Pending
		if !mr.DryRun && mr.Phase.bad() && mr.Phase > r.Phase {
			r.Phase, r.Message = mr.Phase, fmt.Sprintf("metric %q is %v: %s", mr.Name, mr.Phase, mr.Message)
		}
	}
	switch {
	case r.Phase.bad():
	case pending:
		r.Phase = Pending
	case running:
		r.Phase = Running
	}
	for _, mr := range r.Metrics {
		if mr.DryRun {
			r.DryRun.add(mr.Phase)
		} else {
			r.Summary.add(mr.Phase)
		}
	}
	return r
}

// Report is the state of an analysis. It is plain data.
type Report struct {
	Phase Phase `json:"phase"`
	// Message names the metric that ended the analysis, with the reason. It is empty
	// if no metric ended it.
	Message string         `json:"message,omitempty"`
	Metrics []MetricReport `json:"metrics"`
	// Summary counts the metrics without dry runs, and DryRun the dry runs.
	Summary Summary `json:"summary"`
	DryRun  Summary `json:"dry_run"`
}

// MetricReport is the state of one metric.
type MetricReport struct {
	Name    string `json:"name"`
	Phase   Phase  `json:"phase"`
	Message string `json:"message,omitempty"`
	DryRun  bool   `json:"dry_run,omitempty"`
	Tally
}
