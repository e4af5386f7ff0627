package analysis

import (
	"fmt"
	"strconv"
)

// Kind says what the values of a metric are, and so how arms are compared.
type Kind int

const (
	// Rate is a share of the requests: each either is an event or is not. Arms
	// are compared by the 2x2 block test.
	Rate Kind = iota
	// Amount is a positive quantity of each request: a duration, a speed, a
	// price. Requests are compared pair by pair: whose is larger; and so are the
	// shares beyond the baseline's past 95th percentile, which shows what harms
	// the tail alone. Neither heavy tails nor the unit matter, and an incident
	// that hits both arms does not either. The reported value is the median.
	Amount
	// Score is a grade from 0 to 1 of each request. Arms are compared by the
	// mean difference of pairs.
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
)

var directionNames = []string{"lower", "higher"}

// String returns "lower" or "higher".
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

// Margin is how much worse than the baseline something may be: a factor or a
// difference, not both. The zero Margin stands for the default of its place.
type Margin struct {
	// Factor: 1.2 allows 20 % worse, 1 allows nothing. Zero: not a factor.
	Factor float64 `json:"factor,omitempty"`
	// Points: of a rate or a score, 0.01 allows 1 percentage point. Zero: no
	// difference.
	Points float64 `json:"points,omitempty"`
}

// Times returns the margin that allows the baseline's value times factor.
func Times(factor float64) Margin { return Margin{Factor: factor} }

// Plus returns the margin that allows the baseline's value plus points, which
// are shares of one: Plus(0.01) allows one percentage point.
func Plus(points float64) Margin { return Margin{Points: points} }

// String formats m as "x1.2" or "+0.01".
func (m Margin) String() string {
	if m.Factor != 0 {
		return "x" + strconv.FormatFloat(m.Factor, 'g', 4, 64)
	}
	return "+" + strconv.FormatFloat(m.Points, 'g', 4, 64)
}

// Metric is one thing that is measured on each request and compared between
// arms. The ready-made ones are functions that return a Metric whose fields may
// be changed before use; a custom one sets Name, Kind, Better and Of.
//
// It is plain data but for Of. A custom metric that was stored and read back
// must be given its Of again; see [Plan.Bind].
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
	// Tolerance is how much worse the candidate may be before that is harm.
	// Zero means no worse at all.
	Tolerance Margin `json:"tolerance,omitzero"`
	// Margin is how much worse the candidate may be and still be proven safe.
	// Proof of "no worse" without a margin would take for ever. Zero means one
	// percentage point for a rate, 1.2 times for an amount, 0.05 for a score.
	Margin Margin `json:"margin,omitzero"`
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
		return "2x2 blocks"
	case Amount:
		return "signs of pairs, and the share beyond the baseline's p95"
	case Score:
		return "bets on the differences of pairs"
	}
	return m.Kind.String()
}

// defaults returns m with its zero fields replaced by what they stand for.
func (m Metric) defaults() Metric {
	if m.Weight == 0 {
		m.Weight = 1
	}
	if m.Tolerance == (Margin{}) && m.Kind != Score { // of a score, no points at all
		m.Tolerance = Times(1)
	}
	if m.Margin == (Margin{}) {
		m.Margin = [...]Margin{Rate: Plus(0.01), Amount: Times(1.2), Score: Plus(0.05)}[m.Kind]
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
	m.Tolerance.problems(m.Kind, false, func(value any, want string) { bad("Tolerance", value, want) })
	m.Margin.problems(m.Kind, true, func(value any, want string) { bad("Margin", value, want) })
}

// problems reports what is wrong with m as a margin of a metric of kind k. A
// margin of proof must be wider than nothing.
func (m Margin) problems(k Kind, proof bool, bad func(value any, want string)) {
	zero := m == Margin{}
	switch {
	case zero:
	case m.Factor != 0 && m.Points != 0:
		bad(fmt.Sprintf("%v and %v", m.Factor, m.Points), "a factor or points, not both")
	case k == Amount && !(m.Factor >= 1 && m.Factor <= 1000):
		bad(m, "a factor from 1 to 1000")
	case k == Score && !(m.Points > 0 && m.Points < 1):
		bad(m, "points above 0 and below 1")
	case k == Rate && m.Factor != 0 && !(m.Factor >= 1 && m.Factor <= 1000):
		bad(m, "a factor from 1 to 1000, or points")
	case k == Rate && m.Factor == 0 && !(m.Points > 0 && m.Points < 1):
		bad(m, "points above 0 and below 1, or a factor")
	case proof && m.Factor == 1:
		bad(m, "a factor above 1: equality cannot be proven")
	}
}
