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
	// price. Requests are compared pair by pair: whose is larger. Neither heavy
	// tails nor the unit matter, and an incident that hits both arms does not
	// either. The reported value is the median.
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

// The classes that the ready-made metrics tell apart, as sets of bits.
const (
	failures = 1<<Error | 1<<Timeout | 1<<Truncated | 1<<Empty | 1<<Invalid | 1<<Limited
	// answered requests are the population of rates: not what the caller took
	// back or got wrong.
	answered = failures | 1<<OK | 1<<Refused
	// complete requests have a latency that says something: an error may be
	// quick, a timeout is at least as slow as it looks.
	complete = 1<<OK | 1<<Refused | 1<<Invalid | 1<<Timeout
	// begun requests may have produced tokens and cost.
	begun = answered &^ (1 << Limited)
)

// Names of the ready-made metrics.
const (
	nameErrors       = "error rate"
	nameTimeouts     = "timeouts"
	nameTruncations  = "truncated"
	nameRefusals     = "refusals"
	nameEmpty        = "empty output"
	nameInvalid      = "invalid output"
	nameRejections   = "rejections"
	nameTTFT         = "ttft"
	nameITL          = "itl"
	nameLatency      = "latency"
	nameSpeed        = "tokens/s"
	nameCost         = "cost"
	nameSatisfaction = "satisfaction"
)

// ErrorRate is the share of requests that got no usable answer: error, timeout,
// truncated stream, empty or invalid output, 429. Cancelled requests and those
// rejected as the caller's fault count neither as errors nor as requests.
// Candidates are proven within one percentage point.
func ErrorRate() Metric { return Metric{Name: nameErrors, Weight: 4} }

// Timeouts is the share of requests without a complete answer in time.
func Timeouts() Metric { return Metric{Name: nameTimeouts} }

// Truncations is the share of streams that ended before their terminator.
func Truncations() Metric { return Metric{Name: nameTruncations} }

// Refusals is the share of requests that the model declined.
func Refusals() Metric { return Metric{Name: nameRefusals} }

// EmptyOutputs is the share of complete answers without a token.
func EmptyOutputs() Metric { return Metric{Name: nameEmpty} }

// InvalidOutputs is the share of answers not in the structure asked for.
func InvalidOutputs() Metric { return Metric{Name: nameInvalid} }

// Rejections is the share of requests rejected as the caller's own fault. A
// candidate that understands less than the baseline rejects more.
func Rejections() Metric { return Metric{Name: nameRejections} }

// TTFT is the time to the first generated token, of requests that had one.
// Candidates are proven within a factor of 1.2.
func TTFT() Metric { return Metric{Name: nameTTFT, Kind: Amount, Unit: "s", Weight: 2} }

// ITL is a request's mean time between generated tokens, of requests with at
// least two. Candidates are proven within a factor of 1.2.
func ITL() Metric { return Metric{Name: nameITL, Kind: Amount, Unit: "s"} }

// Latency is the time from the request to the end of its answer, of complete
// answers and of timeouts. Candidates are proven within a factor of 1.2.
func Latency() Metric { return Metric{Name: nameLatency, Kind: Amount, Unit: "s", Weight: 2} }

// TokensPerSecond is the speed of generation after the first token. It is the
// reciprocal of [ITL], which decides already; so its role is Report.
func TokensPerSecond() Metric {
	return Metric{Name: nameSpeed, Kind: Amount, Unit: "tok/s", Better: Higher, Role: Report}
}

// Cost is the price of a request, of requests with a known price above zero.
// Candidates are proven within a factor of 1.2.
func Cost() Metric { return Metric{Name: nameCost, Kind: Amount, Weight: 1} }

// Satisfaction is [Observation.Score], of requests that have one. Candidates
// are proven within 0.05.
func Satisfaction() Metric { return Metric{Name: nameSatisfaction, Kind: Score, Better: Higher} }

// DefaultMetrics are those of a [Plan] that names none: error rate, TTFT, ITL,
// latency, tokens per second and cost.
func DefaultMetrics() []Metric {
	return []Metric{ErrorRate(), TTFT(), ITL(), Latency(), TokensPerSecond(), Cost()}
}

// source is how a metric's value is taken from an observation.
type source uint8

const (
	fromFunc source = iota
	fromClass
	fromTTFT
	fromITL
	fromLatency
	fromSpeed
	fromCost
	fromScore
)

// meter is a metric as the hot path needs it.
type meter struct {
	Metric
	source     source
	population uint16 // classes that are counted at all
	events     uint16 // classes that are events, if source is fromClass
}

// ready holds the ready-made meters by name.
var ready = map[string]meter{
	nameErrors:       {Metric: ErrorRate(), source: fromClass, population: answered, events: failures},
	nameTimeouts:     {Metric: Timeouts(), source: fromClass, population: answered, events: 1 << Timeout},
	nameTruncations:  {Metric: Truncations(), source: fromClass, population: answered, events: 1 << Truncated},
	nameRefusals:     {Metric: Refusals(), source: fromClass, population: answered, events: 1 << Refused},
	nameEmpty:        {Metric: EmptyOutputs(), source: fromClass, population: answered, events: 1 << Empty},
	nameInvalid:      {Metric: InvalidOutputs(), source: fromClass, population: answered, events: 1 << Invalid},
	nameRejections:   {Metric: Rejections(), source: fromClass, population: answered | 1<<Rejected, events: 1 << Rejected},
	nameTTFT:         {Metric: TTFT(), source: fromTTFT, population: begun},
	nameITL:          {Metric: ITL(), source: fromITL, population: begun},
	nameLatency:      {Metric: Latency(), source: fromLatency, population: complete},
	nameSpeed:        {Metric: TokensPerSecond(), source: fromSpeed, population: begun},
	nameCost:         {Metric: Cost(), source: fromCost, population: begun},
	nameSatisfaction: {Metric: Satisfaction(), source: fromScore, population: begun},
}

// meter returns m for the hot path, with its defaults filled in. m is valid.
func (m Metric) meter() meter {
	r := meter{source: fromFunc, population: answered}
	if m.Of == nil {
		r = ready[m.Name]
	}
	r.Metric = m.defaults()
	return r
}

// defaults returns m with its zero fields replaced by what they stand for.
func (m Metric) defaults() Metric {
	if m.Weight == 0 {
		m.Weight = 1
	}
	if m.Tolerance == (Margin{}) {
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
