package external

import (
	"fmt"
	"time"
)

// Phase is how a measurement, a metric or an analysis stands. The zero value is
// Pending.
type Phase int

// The phases from Inconclusive on are final and keep a gate shut, the worst
// last.
const (
	Pending      Phase = iota // nothing was measured yet
	Running                   // measured, and not decided
	Successful                // done, and good
	Inconclusive              // neither good nor bad
	Error                     // could not be measured
	Failed                    // measured, and bad
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

// UnmarshalText implements [encoding.TextUnmarshaler]. It accepts what
// [Phase.String] returns.
func (p *Phase) UnmarshalText(text []byte) error {
	for i, name := range phaseNames {
		if name == string(text) {
			*p = Phase(i)
			return nil
		}
	}
	return fmt.Errorf("external: phase %q, want one of %v", text, phaseNames)
}

// Done reports whether p is final.
func (p Phase) Done() bool { return p >= Successful }

// bad reports whether p is final and keeps a gate shut.
func (p Phase) bad() bool { return p >= Inconclusive }

// Measurement is one answer of the source.
type Measurement struct {
	// Phase is Successful, Inconclusive, Error or Failed.
	Phase Phase     `json:"phase"`
	Began time.Time `json:"began"`
	Ended time.Time `json:"ended"`
	// Values are what the source answered; JSON has no NaN, so they are text
	// there.
	Values Values `json:"values,omitempty"`
	// Message is why it is an Error.
	Message string `json:"message,omitempty"`
}

// Tally is the state of one metric: what its measurements have added up to. It
// is plain data. The zero Tally has seen none.
type Tally struct {
	// Count counts measurements but errors.
	Count        int `json:"count"`
	Successful   int `json:"successful"`
	Failed       int `json:"failed"`
	Inconclusive int `json:"inconclusive"`
	Errors       int `json:"errors"`
	// ConsecutiveErrors and ConsecutiveSuccesses are up to the last measurement.
	ConsecutiveErrors    int `json:"consecutive_errors"`
	ConsecutiveSuccesses int `json:"consecutive_successes"`
	// Measurements are the newest ones, oldest first.
	Measurements []Measurement `json:"measurements,omitempty"`
	// InFlight says that the source is being asked.
	InFlight bool `json:"in_flight,omitempty"`
}

// Record returns t with a measurement taken in.
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
	t.Measurements = Trim(kept, m.Keep)
	return t
}

// Trim returns the newest n measurements; zero means 10.
func Trim(ms []Measurement, n int) []Measurement {
	if n == 0 {
		n = defaultKeep
	}
	return ms[max(len(ms)-n, 0):]
}

// Assess returns the phase of a metric and, if it is bad, the reason. ending
// says that no more measurements will be taken.
func (m Metric) Assess(t Tally, ending bool) (Phase, string) {
	switch {
	case t.Count == 0 && t.Errors == 0 && ending:
		return Inconclusive, "it was told to end before its first measurement"
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
		// The measurements are used up, and what was demanded is not there.
		message := fmt.Sprintf("%d measurements without %d successes in a row", t.Count, streak)
		if m.FailureLimit == NoLimit {
			return Failed, message
		}
		return Inconclusive, message
	case m.count() > 0 && t.Count >= m.count():
		return Successful, ""
	case ending && t.Count == 0:
		return Inconclusive, "it was told to end before a measurement succeeded"
	case ending && streak > 0:
		return Inconclusive, fmt.Sprintf("it was told to end before %d successes in a row", streak)
	case ending:
		return Successful, ""
	}
	return Running, ""
}

// Due returns when the next measurement of a metric is to begin, if there is to
// be one, for an analysis that began at the time given. It may lie in the past.
func (m Metric) Due(t Tally, began time.Time) (time.Time, bool) {
	if phase, _ := m.Assess(t, false); phase.Done() || t.InFlight {
		return time.Time{}, false
	}
	if len(t.Measurements) == 0 {
		return began.Add(m.InitialDelay), true
	}
	wait := m.Interval
	if wait == 0 {
		wait = RetryAfter
	}
	return t.Measurements[len(t.Measurements)-1].Ended.Add(wait), true
}

// Summary counts the metrics of an analysis by how they ended.
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

// AssessAll returns how an analysis of metrics stands, given their tallies in
// the same order: the worst of those that have ended badly, or Running until
// all have ended. Dry runs are waited for and decide nothing; they are summed
// up apart. ending says that no more measurements will be taken.
func AssessAll(metrics []Metric, tallies []Tally, ending bool) Report {
	var r Report
	for i, m := range metrics {
		mr := MetricReport{Name: m.Name, DryRun: m.DryRun, Tally: tallies[i]}
		mr.Phase, mr.Message = m.Assess(tallies[i], ending)
		r.Metrics = append(r.Metrics, mr)
	}
	// What ended badly ends all the others, and those are then assessed as
	// what has no more measurements to come.
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

// Report is how an analysis stands or has ended. It is plain data.
type Report struct {
	Phase Phase `json:"phase"`
	// Message says which metric ended the analysis, and why; empty if none did.
	Message string         `json:"message,omitempty"`
	Metrics []MetricReport `json:"metrics"`
	// Summary counts the metrics that decide, DryRun those that do not.
	Summary Summary `json:"summary"`
	DryRun  Summary `json:"dry_run"`
}

// MetricReport is how one metric stands or has ended.
type MetricReport struct {
	Name    string `json:"name"`
	Phase   Phase  `json:"phase"`
	Message string `json:"message,omitempty"`
	DryRun  bool   `json:"dry_run,omitempty"`
	Tally
}
