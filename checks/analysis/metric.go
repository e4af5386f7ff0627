package analysis

import (
	"fmt"
	"strconv"
)

// Kind says what the values of a metric are, and so how arms are compared.
type Kind int

const (
	// Rate is a share of the requests: each either is an event or is not. Of each
	// slot of the split the first event is counted, and the sums by groups of slots.
	Rate Kind = iota
	// Amount is a positive quantity of each request: a duration, a speed, a
	// price. A request climbs the stairs of the baseline's past quantiles, and counts
	// with the share that it has climbed; the times of a request that is under way
	// count as far as they have come. Neither heavy tails nor the unit matter. The
	// reported value is the median.
	Amount
	// Score is a grade from 0 to 1 of each request. It counts with its difference
	// from the mean.
	Score
)

var kindNames = []string{"rate", "amount", "score"}

// String returns the name of k in lower case.
func (k Kind) String() string { return nameOf(k, kindNames) }

// MarshalText implements [encoding.TextMarshaler].
func (k Kind) MarshalText() ([]byte, error) { return marshalName(k, kindNames, "Metric.Kind") }

// UnmarshalText implements [encoding.TextUnmarshaler].
func (k *Kind) UnmarshalText(text []byte) error {
	return unmarshalName(k, text, kindNames, "Metric.Kind")
}

// Direction says which values of a metric are better.
type Direction int

const (
	Lower  Direction = iota // less is better: errors, latency, cost
	Higher                  // more is better: speed, satisfaction
	Same                    // any change is worse: the length of answers
)

var directionNames = []string{"lower", "higher", "same"}

// String returns "lower", "higher" or "same".
func (d Direction) String() string { return nameOf(d, directionNames) }

// MarshalText implements [encoding.TextMarshaler].
func (d Direction) MarshalText() ([]byte, error) {
	return marshalName(d, directionNames, "Metric.Better")
}

// UnmarshalText implements [encoding.TextUnmarshaler].
func (d *Direction) UnmarshalText(text []byte) error {
	return unmarshalName(d, text, directionNames, "Metric.Better")
}

// Role says what a metric may decide. The zero value is the strictest.
type Role int

const (
	// Gate can roll the candidate back, and the candidate must be proven no
	// worse in it before the verdict is Safe. Only a gate that no request of
	// either arm has measured is passed over, such as the time to first token
	// of a service that does not stream.
	Gate Role = iota
	// Guard can roll the candidate back, but need not be proven.
	Guard
	// Report decides nothing. It is measured, tested and shown: a dry run.
	Report
)

var roleNames = []string{"gate", "guard", "report"}

// RollsBack reports whether a metric in role r can make the verdict Harmed.
func (r Role) RollsBack() bool { return r == Gate || r == Guard }

// MustBeProven reports whether a metric in role r must be proven no worse
// before the verdict can be Safe.
func (r Role) MustBeProven() bool { return r == Gate }

// String returns the name of r in lower case.
func (r Role) String() string { return nameOf(r, roleNames) }

// MarshalText implements [encoding.TextMarshaler].
func (r Role) MarshalText() ([]byte, error) { return marshalName(r, roleNames, "Metric.Role") }

// UnmarshalText implements [encoding.TextUnmarshaler].
func (r *Role) UnmarshalText(text []byte) error {
	return unmarshalName(r, text, roleNames, "Metric.Role")
}

// Margin is how much worse than the baseline something may be: a factor, a
// difference, or the larger of both. The zero Margin stands for the default of its
// place.
type Margin struct {
	// Factor: 1.2 allows 20 % worse, 1 allows nothing. Zero: not a factor.
	Factor float64 `json:"factor,omitempty"`
	// Points: of a rate or a score, 0.01 allows 1 percentage point. Zero: no
	// difference.
	Points float64 `json:"points,omitempty"`
	// AtMost bounds, in points, what the factor allows. Zero: no bound.
	AtMost float64 `json:"at_most,omitempty"`
}

// points returns what m allows a rate or score of p to rise by.
func (m Margin) points(p float64) float64 {
	points := m.Points
	if m.Factor > 1 {
		points = max(points, (m.Factor-1)*p)
	}
	if m.AtMost > 0 {
		points = min(points, m.AtMost)
	}
	return points
}

// factor returns m's factor, 1 if it is a difference.
func factor(m Margin) float64 {
	if m.Factor == 0 {
		return 1
	}
	return m.Factor
}

// Times returns the margin that allows the baseline's value times factor.
func Times(factor float64) Margin { return Margin{Factor: factor} }

// Plus returns the margin that allows the baseline's value plus points, which
// are shares of one: Plus(0.01) allows one percentage point.
func Plus(points float64) Margin { return Margin{Points: points} }

// String formats m as "x1.2" or "+0.01".
func (m Margin) String() string {
	number := func(x float64) string { return strconv.FormatFloat(x, 'g', 4, 64) }
	s := "+" + number(m.Points)
	if m.Factor != 0 {
		s = "x" + number(m.Factor)
		if m.Points != 0 {
			s += " or +" + number(m.Points)
		}
	}
	if m.AtMost != 0 {
		s += ", at most +" + number(m.AtMost)
	}
	return s
}

// Metric is one thing that is measured on each request and compared between
// arms. The ready-made ones are functions that return a Metric whose fields may
// be changed before use; a custom one sets Name, Kind, Better and Of.
//
// Apart from Of it is plain data. A custom metric that was stored and read back needs its
// Of again; see [Plan.Bind].
type Metric struct {
	// Name identifies the metric within its plan. The names of the ready-made
	// metrics belong to them unless Of is set.
	Name string `json:"name"`
	Kind Kind   `json:"kind"`
	// Unit is shown after values. "s" makes them durations.
	Unit string `json:"unit,omitempty"`
	// Better says which values are better. Zero: lower ones.
	Better Direction `json:"better"`
	// Role says what the metric may decide. Zero: everything.
	Role Role `json:"role"`
	// Weight is the metric's share of the risk of a false rollback, relative to
	// the other gates and guards. Zero means 1.
	Weight float64 `json:"weight,omitempty"`
	// Tolerance is how much worse the candidate may be before that is harm. Zero
	// means 1.05 times for an amount, 1.15 times in either direction for one whose
	// better values are [Same], 0.01 for a score, and nothing for a rate.
	Tolerance Margin `json:"tolerance,omitzero"`
	// Margin is how much worse the candidate may be and still be proven safe.
	// Proof of "no worse" without a margin would never end. Zero means, for a
	// rate, twice the baseline's or 0.3 percentage points more, whichever is larger,
	// but at most 2.5 points more; 1.2 times for an amount; 0.05 for a score.
	Margin Margin `json:"margin,omitzero"`
	// Ceiling is a limit of the candidate's rate that does not depend on the baseline: a
	// share above 0 and below 1. Of a rate where higher is better it limits the share of
	// the others. A candidate of a gate or guard that is shown to be above it is Harmed,
	// wrongly with a probability of at most [Plan.AlphaRollback] if requests are
	// independent. A gate is Safe only if the candidate is shown to be below it, in the
	// present stage. Only a rate can have one; a [Threshold] limits other statistics.
	// Zero means no ceiling.
	Ceiling float64 `json:"ceiling,omitempty"`
	// Of returns the metric's value of one request, or false if it has none: 0
	// or 1 for a rate, a number >= 0 for an amount, 0 to 1 for a score. It is
	// called under a lock for each request: it must be quick, must not block,
	// and must not call the Recorder. Nil: the ready-made metric of that name.
	Of func(o Observation) (value float64, ok bool) `json:"-"`
}

// Test names the statistical test that compares two arms in m.
func (m Metric) Test() string {
	switch m.Kind {
	case Rate:
		return "first events of slots, and sums by groups of slots"
	case Amount:
		return "stairs of the baseline's quantiles by groups of slots, and first events beyond p95, p99 and p99.9"
	case Score:
		return "sums by groups of slots"
	}
	return m.Kind.String()
}

// defaults returns m with its zero fields replaced by what they stand for.
func (m Metric) defaults() Metric {
	if m.Weight == 0 {
		m.Weight = 1
	}
	if m.Tolerance == (Margin{}) {
		switch {
		case m.Kind == Amount && m.Better == Same:
			m.Tolerance = Times(1.15)
		case m.Kind == Amount:
			m.Tolerance = Times(1.05)
		case m.Kind == Score || m.Name == nameThumbs:
			m.Tolerance = Plus(0.01)
		}
	}
	if m.Margin == (Margin{}) && m.Kind >= 0 && int(m.Kind) < len(kindNames) {
		m.Margin = [...]Margin{Rate: {Factor: 2, Points: 0.003, AtMost: 0.025}, Amount: Times(1.2), Score: Plus(0.05)}[m.Kind]
	}
	return m
}

// problems reports everything that is wrong with m through bad.
func (m Metric) problems(bad func(field string, value any, want string)) {
	if m.Name == "" {
		bad("Name", `""`, "a name that is not empty")
	}
	for _, e := range []struct {
		field string
		value int
		names []string
	}{
		{"Kind", int(m.Kind), kindNames}, {"Better", int(m.Better), directionNames}, {"Role", int(m.Role), roleNames},
	} {
		if e.value < 0 || e.value >= len(e.names) {
			bad(e.field, e.value, fmt.Sprintf("one of %v", e.names))
		}
	}
	r, known := ready[m.Name]
	switch {
	case m.Of != nil:
	case !known:
		bad("Of", "nil", "a function: there is no ready-made metric of that name")
	case m.Kind != r.Kind || m.Better != r.Better || m.Unit != r.Unit:
		bad("Kind, Better, Unit", fmt.Sprintf("%s, %s, %q", m.Kind, m.Better, m.Unit),
			fmt.Sprintf("%s, %s, %q, as the ready-made metric has; or a function in Of", r.Kind, r.Better, r.Unit))
	}
	if !(m.Weight >= 0 && m.Weight <= 1e6) {
		bad("Weight", m.Weight, "a number from 0 to 1,000,000; 0 stands for 1")
	}
	if m.Ceiling != 0 && (m.Kind != Rate || !(m.Ceiling > 0 && m.Ceiling < 1)) {
		bad("Ceiling", m.Ceiling, "0 for none, or, of a rate, a share above 0 and below 1")
	}
	m.Tolerance.problems(m.Kind, false, func(value any, want string) { bad("Tolerance", value, want) })
	m.Margin.problems(m.Kind, true, func(value any, want string) { bad("Margin", value, want) })
}

// problems reports what is wrong with m as a margin of a metric of kind k. A
// margin of proof must be wider than nothing.
func (m Margin) problems(k Kind, proof bool, bad func(value any, want string)) {
	zero := m == Margin{}
	switch {
	case zero:
	case k != Rate && m.Factor != 0 && m.Points != 0:
		bad(m, "a factor or points, not both, except of a rate")
	case !(m.AtMost >= 0 && m.AtMost < 1) || m.AtMost != 0 && k != Rate:
		bad(m, "a bound from 0 to below 1 point, of a rate")
	case k == Rate && m.Factor != 0 && m.Points != 0 && !(m.Points > 0 && m.Points < 1):
		bad(m, "points above 0 and below 1")
	case k == Amount && !(m.Factor >= 1 && m.Factor <= 1000):
		bad(m, "a factor from 1 to 1000")
	case k == Score && !(m.Points > 0 && m.Points < 1):
		bad(m, "points above 0 and below 1")
	case k == Rate && m.Factor != 0 && !(m.Factor >= 1 && m.Factor <= 1000):
		bad(m, "a factor from 1 to 1000, or points")
	case k == Rate && m.Factor == 0 && !(m.Points > 0 && m.Points < 1):
		bad(m, "points above 0 and below 1, or a factor")
	case proof && m.Factor == 1 && m.Points == 0:
		bad(m, "a factor above 1: equality cannot be proven")
	}
}
