package analysis

import (
	"errors"
	"fmt"
	"math"
	"slices"
	"time"

	"github.com/serin-go/serin/internal/evalue"
)

// Traffic is what a rollout will have to learn from.
type Traffic struct {
	// PerSecond is how many requests (or units, see [Plan.Unit]) there are in a
	// second, of both arms together. It must be above 0.
	PerSecond float64
	// Share is the candidate's share of them, above 0 and below 1.
	Share float64
	// Rates are the baseline's rates by metric, above 0 and below 1: of errors,
	// or of thumbs up. A metric that is not named has 0.01, or 0.9 if higher is
	// better.
	Rates map[string]float64
	// Spread is the standard deviation of the logarithm of amounts. Zero means
	// 0.6: the 95th percentile is 2.7 times the median.
	Spread float64
	// ScoreSpread is the standard deviation of scores. Zero means 0.25.
	ScoreSpread float64
	// Measured is the share of requests that have a value, by metric, such as
	// 0.02 for ratings. A metric that is not named has 1.
	Measured map[string]float64
}

// Regression is a way in which a candidate may be worse.
type Regression struct {
	Name string `json:"name"`
	// Metrics are the names of those that change, all of one kind. Amounts that
	// change together are one regression.
	Metrics []string `json:"metrics"`
	// To is the candidate's rate, or how much lower (higher) its mean score is
	// than the baseline's, where higher (lower) is better.
	To float64 `json:"to,omitempty"`
	// Times is how many times worse amounts are: 1.5 is 50 % longer, or a speed
	// of two thirds.
	Times float64 `json:"times,omitempty"`
}

// Expectation says how many requests of the candidate it takes until a verdict,
// and how long that is.
type Expectation struct {
	Regression Regression `json:"regression,omitzero"`
	// Never says that the verdict is not to be expected at all: the regression is
	// within the tolerances, or there is no gate. All else is 0 then.
	Never bool `json:"never,omitempty"`
	// Requests are expected, on average; half of all rollouts need no more than
	// Median and nine in ten no more than P90.
	Requests int `json:"requests"`
	Median   int `json:"median"`
	P90      int `json:"p90"`
	// Time and P90Time are the same in time, at the given traffic.
	Time    time.Duration `json:"time_ns"`
	P90Time time.Duration `json:"p90_time_ns"`
}

// Outlook is what can be said before a rollout starts.
type Outlook struct {
	// Harmed is about each regression, in the order asked for.
	Harmed []Expectation `json:"harmed"`
	// Safe is about a candidate that is equal to the baseline.
	Safe Expectation `json:"safe"`
}

// NamedRegressions are those that an outlook is about unless others are asked
// for, as far as p measures what changes: errors of 5 % and of 2 %, all times
// longer by half and by a tenth.
func (p Plan) NamedRegressions() []Regression {
	var list []Regression
	var times []string
	for _, m := range p.withDefaults().Metrics {
		switch {
		case !m.Role.RollsBack():
		case m.Name == nameErrors && m.Kind == Rate:
			list = append(list,
				Regression{Name: "5 % errors", Metrics: []string{m.Name}, To: 0.05},
				Regression{Name: "2 % errors", Metrics: []string{m.Name}, To: 0.02})
		case m.Kind == Amount && m.Unit == "s":
			times = append(times, m.Name)
		}
	}
	if len(times) > 0 {
		list = append(list,
			Regression{Name: "times +50 %", Metrics: times, Times: 1.5},
			Regression{Name: "times +10 %", Metrics: times, Times: 1.1})
	}
	return list
}

// Outlook says how long it will take under p until named regressions are found
// and until an equal candidate is proven safe, from the growth of the evidence
// (Wald) and its variance: amounts taken to be log-normal, requests independent.
// Simulations of whole rollouts bear it out to within a third; where several
// metrics change together it may be half as long again as it turns out, or
// twice in the worst tenth. Without regressions, it is about
// [Plan.NamedRegressions].
//
// It is pure. The error joins everything that is wrong with the arguments.
func (p Plan) Outlook(t Traffic, regressions ...Regression) (Outlook, error) {
	if len(regressions) == 0 {
		regressions = p.NamedRegressions()
	}
	errs := []error{p.Validate(), t.validate()}
	if p.Validate() == nil {
		for i, r := range regressions {
			errs = append(errs, p.withDefaults().validateRegression(i, r))
		}
	}
	if err := errors.Join(errs...); err != nil {
		return Outlook{}, err
	}
	p, t = p.withDefaults(), t.withDefaults()
	var o Outlook
	for _, r := range regressions {
		e := t.expectation(1, []passage{p.harm(t, r)})
		e.Regression = r
		o.Harmed = append(o.Harmed, e)
	}
	var gates []passage
	for _, m := range p.Metrics {
		if m.Role.MustBeProven() {
			gates = append(gates, m.proof(t, p.AlphaPromote))
		}
	}
	o.Safe = t.expectation(float64(p.MinSamples)*max(1, 1/t.perCandidate()), gates)
	return o, nil
}

func (t Traffic) withDefaults() Traffic {
	if t.Spread == 0 {
		t.Spread = 0.6
	}
	if t.ScoreSpread == 0 {
		t.ScoreSpread = 0.25
	}
	return t
}

// rate returns the share of bad requests of the baseline in m.
func (t Traffic) rate(m Metric) float64 {
	r, given := t.Rates[m.Name]
	switch {
	case !given:
		return [...]float64{Lower: 0.01, Higher: 0.1}[m.Better]
	case m.Better == Higher:
		return 1 - r
	}
	return r
}

func (t Traffic) measured(m Metric) float64 {
	if s, given := t.Measured[m.Name]; given {
		return s
	}
	return 1
}

// perCandidate is how many requests of the baseline there are for each of the
// candidate's; pairs how many pairs.
func (t Traffic) perCandidate() float64 { return (1 - t.Share) / t.Share }
func (t Traffic) pairs() float64        { return min(1, t.perCandidate()) }

// harm returns what it takes to find r.
func (p Plan) harm(t Traffic, r Regression) passage {
	var total, weight float64
	var best passage
	for _, m := range p.Metrics {
		if !m.Role.RollsBack() {
			continue
		}
		total += m.Weight
		if slices.Contains(r.Metrics, m.Name) {
			weight += m.Weight
		}
	}
	// Metrics that change together reach the limit together: their weights add
	// up.
	target := -math.Log(p.AlphaRollback * weight / total)
	for _, m := range p.Metrics {
		if !m.Role.RollsBack() || !slices.Contains(r.Metrics, m.Name) {
			continue
		}
		var next passage
		switch m.Kind {
		case Rate:
			b, c := t.rate(m), r.To
			if m.Better == Higher {
				c = 1 - c
			}
			next = newPassage(newRateContest(m).harm.Growth(b, c, t.perCandidate(), 1), target)
		case Amount:
			next = newPassage(t.slower(r.Times/m.Tolerance.Factor), target)
		case Score:
			next = t.bet(r.To-m.Tolerance.Points, target)
		}
		next = next.times(1 / t.measured(m))
		if best.mean == 0 || next.mean > 0 && next.mean < best.mean {
			best = next
		}
	}
	return best
}

// slower returns how fast the evidence grows of each alternative in pairs and in
// the tail, when amounts are larger by a factor. The pairs have three shares of
// the evidence and the tail has one, with as many alternatives.
func (t Traffic) slower(factor float64) []evalue.Growth {
	shift := math.Log(factor) / t.Spread
	pairs := scaled(evalue.PairsGrowth(normal(shift/math.Sqrt2)), t.pairs())
	beyond := normal(shift - tailQuantile)
	tail := newTailTest().Growth(tailShare, beyond, t.perCandidate(), 1)
	return slices.Concat(pairs, pairs, pairs, tail)
}

// tailQuantile is the 95 % quantile of the standard normal distribution.
const tailQuantile = 1.6448536269514722

// proof returns what it takes to prove that a candidate which is equal to the
// baseline is safe in m.
func (m Metric) proof(t Traffic, alpha float64) passage {
	target := -math.Log(alpha)
	var p passage
	switch m.Kind {
	case Rate:
		b := t.rate(m)
		p = newPassage(newRateContest(m).safe.Growth(b, b, t.perCandidate(), 1), target)
	case Amount:
		win := normal(math.Log(m.Margin.Factor) / (t.Spread * math.Sqrt2))
		p = newPassage(scaled(evalue.PairsGrowth(win), t.pairs()), target)
	case Score:
		p = t.bet(m.Margin.Points, target)
	}
	return p.times(1 / t.measured(m))
}

// bet returns what it takes to prove an edge of the mean difference of scores.
func (t Traffic) bet(edge, target float64) passage {
	variance := 2 * t.ScoreSpread * t.ScoreSpread
	stake := min(edge/(variance+edge*edge), 0.5)
	growth := evalue.Growth{Mean: stake*edge - stake*stake*(variance+edge*edge)/2, Variance: stake * stake * variance}
	// Learning how large the edge is costs about as much as it takes to see it.
	return newPassage(scaled([]evalue.Growth{growth}, t.pairs()), target+1)
}

func scaled(list []evalue.Growth, by float64) []evalue.Growth {
	for i := range list {
		list[i].Mean *= by
		list[i].Variance *= by
	}
	return list
}

// validate reports everything that is wrong with t.
func (t Traffic) validate() error {
	var errs []error
	bad := func(field string, value any, want string) {
		errs = append(errs, &InvalidError{Field: "Traffic." + field, Value: value, Want: want})
	}
	if !(t.PerSecond > 0 && t.PerSecond <= 1e9) {
		bad("PerSecond", t.PerSecond, "a number above 0, at most a billion")
	}
	if !(t.Share > 0 && t.Share < 1) {
		bad("Share", t.Share, "a share above 0 and below 1")
	}
	for name, r := range t.Rates {
		if !(r > 0 && r < 1) {
			bad(fmt.Sprintf("Rates[%q]", name), r, "a rate above 0 and below 1")
		}
	}
	for name, r := range t.Measured {
		if !(r > 0 && r <= 1) {
			bad(fmt.Sprintf("Measured[%q]", name), r, "a share above 0, at most 1")
		}
	}
	if !(t.Spread >= 0 && t.Spread <= 10) {
		bad("Spread", t.Spread, "a number from 0 to 10; 0 stands for 0.6")
	}
	if !(t.ScoreSpread >= 0 && t.ScoreSpread <= 0.5) {
		bad("ScoreSpread", t.ScoreSpread, "a number from 0 to 0.5; 0 stands for 0.25")
	}
	return errors.Join(errs...)
}

// validateRegression reports everything that is wrong with regression i. p has
// its defaults.
func (p Plan) validateRegression(i int, r Regression) error {
	var errs []error
	bad := func(field string, value any, want string) {
		errs = append(errs, &InvalidError{Field: fmt.Sprintf("regressions[%d].%s", i, field), Value: value, Want: want})
	}
	if len(r.Metrics) == 0 {
		bad("Metrics", "empty", "at least one metric of the plan that rolls back")
	}
	kind := Kind(-1)
	for _, name := range r.Metrics {
		k := slices.IndexFunc(p.Metrics, func(m Metric) bool { return m.Name == name && m.Role.RollsBack() })
		switch {
		case k < 0:
			bad("Metrics", fmt.Sprintf("%q", name), "metrics of the plan that roll back")
		case kind >= 0 && p.Metrics[k].Kind != kind:
			bad("Metrics", fmt.Sprintf("%q", name), "metrics of one kind")
		default:
			kind = p.Metrics[k].Kind
		}
	}
	if kind == Amount && !(r.Times > 0 && r.Times <= 1e6) {
		bad("Times", r.Times, "a factor above 0")
	}
	if (kind == Rate || kind == Score) && !(r.To > 0 && r.To < 1) {
		bad("To", r.To, "a share above 0 and below 1")
	}
	return errors.Join(errs...)
}
