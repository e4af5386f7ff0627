package analysis

import (
	"errors"
	"fmt"
	"math"
	"slices"
	"time"

	"github.com/serin-go/serin/checks"
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
	// 0.6: the 95th percentile is 2.7 times the median; and 0.25 for the time between
	// tokens, which is an average already.
	Spread float64
	// Answer is how long half of the answers take at most: what has not come yet is seen
	// later. Zero means 1 s.
	Answer time.Duration
	// ScoreSpread is the standard deviation of scores. Zero means 0.25.
	ScoreSpread float64
	// Measured is the share of requests that have a value, by metric, such as
	// 0.02 for ratings. A metric that is not named has 1.
	Measured map[string]float64
	// Limit is how long it may take until the verdict, such as the limit of a stage. Zero
	// asks for no [Outlook.Curve].
	Limit time.Duration
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
	// Exposure is how many requests the candidate must have had before a stage could
	// have found what is plainly broken, in nine rollouts of ten: errors of 5 %, or all
	// times longer by half. A stage that ends earlier has looked at little.
	Exposure int `json:"exposure"`
	// Curve is how probable each verdict is before [Traffic.Limit], or nil without one.
	Curve *Curve `json:"curve,omitempty"`
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
// [Plan.NamedRegressions]. The curve rests on the same approximations; its probabilities
// are as uncertain as these times are.
//
// It is pure. The error joins everything that is wrong with the arguments.
func (p Plan) Outlook(t Traffic, regressions ...Regression) (Outlook, error) {
	if len(regressions) == 0 {
		regressions = p.NamedRegressions()
	}
	p, t, err := p.expected(t, regressions)
	if err != nil {
		return Outlook{}, err
	}
	var o Outlook
	for _, r := range regressions {
		e := p.found(t, r)
		e.Regression = r
		o.Harmed = append(o.Harmed, e)
	}
	var gates []passage
	for _, m := range p.Metrics {
		if m.Role.MustBeProven() {
			gates = append(gates, m.proof(t, p.AlphaPromote, m.distance(t, degreeEqual)))
		}
	}
	o.Exposure = p.exposure(t)
	o.Safe = t.expectation(float64(p.MinSamples)*max(1, 1/t.perCandidate()), gates)
	if t.Limit > 0 {
		o.Curve = p.curve(t)
	}
	return o, nil
}

// Exposure returns the Exposure of [Plan.Outlook], with the same errors, in a small part of the
// time.
func (p Plan) Exposure(t Traffic) (int, error) {
	p, t, err := p.expected(t, nil)
	if err != nil {
		return 0, err
	}
	return p.exposure(t), nil
}

// exposure returns how many requests it takes to find what is plainly broken.
func (p Plan) exposure(t Traffic) (n int) {
	for _, r := range p.NamedRegressions() {
		if r.To >= 0.05 || r.Times >= 1.5 {
			n = max(n, p.found(t, r).P90)
		}
	}
	return n
}

// expected returns p and t with their defaults, or everything that is wrong with the arguments
// of Outlook.
func (p Plan) expected(t Traffic, regressions []Regression) (Plan, Traffic, error) {
	errs := []error{p.Validate(), t.validate()}
	if p.Validate() == nil {
		for i, r := range regressions {
			errs = append(errs, p.withDefaults().validateRegression(i, r))
		}
	}
	if err := errors.Join(errs...); err != nil {
		return p, t, err
	}
	if between := 1 / (t.PerSecond * min(t.Share, 1-t.Share)); p.Window > 0 && p.Window.Seconds() < between {
		return p, t, &checks.InvalidError{Package: "analysis", Field: "Plan.Window", Value: p.Window,
			Want: fmt.Sprintf("0, or at least %v, the mean time between two requests of the arm with fewer: no difference could be measured", time.Duration(between*1e9).Round(time.Second))}
	}
	return p.withDefaults(), t.withDefaults(), nil
}

// found says when r is found: when the evidence suffices without its loudest stretch,
// and of times not before the candidate is warm.
func (p Plan) found(t Traffic, r Regression) Expectation {
	e := t.expectation(1, []passage{p.harm(t, r)})
	if e.Never {
		return e
	}
	more := p.delay(t, r.Times != 0)
	e.Requests, e.Median, e.P90 = e.Requests+whole(more), e.Median+whole(more), e.P90+whole(more)
	e.Time, e.P90Time = t.lasts(float64(e.Requests)), t.lasts(float64(e.P90))
	return e
}

// delay returns how many requests of the candidate come in the time that every harm takes
// to be found, of rates or of times.
func (p Plan) delay(t Traffic, times bool) float64 {
	perSecond := t.PerSecond * t.Share
	wait := 2*p.persist().Seconds() + t.Answer.Seconds()
	more := 0.0
	if times {
		// Slow answers are looked at when nine in ten are over, at the next look.
		wait += 1.2*t.Answer.Seconds() + 1
		if w := p.Warm.withDefaults(); !p.Warm.none() {
			more = max(float64(w.Requests), w.For.Seconds()*perSecond)
		}
	}
	return more + wait*perSecond
}

func (t Traffic) withDefaults() Traffic {
	if t.Answer == 0 {
		t.Answer = time.Second
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
	case !given && m.Better == Higher:
		return 0.1
	case !given:
		return 0.01
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
// candidate's.
func (t Traffic) perCandidate() float64 { return (1 - t.Share) / t.Share }

// harm returns what it takes to find r.
func (p Plan) harm(t Traffic, r Regression) passage {
	var total float64
	var best passage
	for _, m := range p.Metrics {
		if m.Role.RollsBack() {
			total += m.Weight
		}
	}
	sooner := func(m Metric, next passage) {
		next = next.times(1 / t.measured(m))
		if best.mean == 0 || next.mean > 0 && next.mean < best.mean {
			best = next
		}
	}
	for _, m := range p.Metrics {
		if !m.Role.RollsBack() || !slices.Contains(r.Metrics, m.Name) {
			continue
		}
		target := -math.Log(wholeWeight * p.AlphaRollback * m.Weight / total)
		var next passage
		switch m.Kind {
		case Rate:
			b, c := t.rate(m), r.To
			if m.Better == Higher {
				c = 1 - c
			}
			growths, event := t.events(b, c)
			next = newPassage(growths, target+math.Log(1/firstShare)+event)
			if m.Ceiling > 0 {
				sooner(m, newPassage(ceilingGrowths(m.Ceiling, c, true), -math.Log(wholeWeight*p.AlphaRollback)))
			}
		case Amount:
			next = newPassage(t.slower(m, r.Times), target)
		case Score:
			next = newPassage(t.excess(r.To-m.Tolerance.Points, t.ScoreSpread*t.ScoreSpread), target)
		}
		sooner(m, next)
	}
	return best
}

// ceilingGrowths returns how fast the evidence grows that a rate is above or below a
// limit, by alternative.
func ceilingGrowths(limit, rate float64, above bool) []evalue.Growth {
	list := make([]evalue.Growth, len(ceilingSteps))
	for i, s := range ceilingSteps {
		p := limit * (1 - s)
		if above {
			p = limit + (1-limit)*s
		}
		hit, miss := binomial(p, limit, 1, 1), binomial(p, limit, 0, 1)
		list[i] = evalue.Growth{Mean: rate*hit + (1-rate)*miss, Variance: rate * (1 - rate) * (hit - miss) * (hit - miss)}
	}
	return list
}

// events returns how fast the evidence of first events grows with each request of
// the candidate, by alternative, when rates are base and cand. One event of the
// candidate adds event to the fastest: the loudest stretch, which harm must do without,
// holds at least one.
func (t Traffic) events(base, cand float64) (list []evalue.Growth, event float64) {
	hit, miss := evalue.MomentFactors(t.Share, 1)
	fastest := 0.0
	for i := range hit {
		c, b := cand, base*t.perCandidate()
		g := evalue.Growth{Mean: c*hit[i] + b*miss[i], Variance: c*hit[i]*hit[i] + b*miss[i]*miss[i]}
		if g.Mean > fastest {
			fastest, event = g.Mean, hit[i]
		}
		list = append(list, g)
	}
	return list, event
}

// excess returns how fast the evidence of sums by group grows when scores differ by a
// mean and have a mean square, by alternative.
func (t Traffic) excess(diff, square float64) []evalue.Growth {
	var list []evalue.Growth
	for _, theta := range [...]float64{0.02, 0.05, 0.12, 0.3, 0.8, 2} {
		d, v := (1-t.Share)*diff, (1-t.Share)*square
		list = append(list, evalue.Growth{Mean: theta*d - theta*theta*v/2, Variance: theta * theta * v})
	}
	return list
}

// spread returns the standard deviation of the logarithm of m.
func (t Traffic) spread(m Metric) float64 {
	switch {
	case t.Spread != 0:
		return t.Spread
	case m.Name == nameITL || m.Name == nameTPOT || m.Name == nameSpeed:
		return 0.25
	}
	return 0.6
}

// climbed returns the mean and the variance of how far a request gets up the stairs of
// an amount when it takes so many times as long as it used to.
func climbed(times, spread float64) (mean, variance float64) {
	shift := math.Log(times) / spread
	var square, top float64
	for k := range numStairs {
		top += stair[k]
		p := normal(shift - quantiles[k])
		mean += stair[k] * p
		next := 0.0
		if k+1 < numStairs {
			next = normal(shift - quantiles[k+1])
		}
		square += top * top * (p - next)
	}
	return mean, square - mean*mean
}

// quantiles are the quantiles of the standard normal distribution at the steps.
var quantiles = [...]float64{-1.2815515655446004, -0.6744897501960817, 0, 0.6744897501960817, 1.2815515655446004, 1.6448536269514722}

// tailQuantiles are the quantiles at the steps of the tail.
var tailQuantiles = [numTails]float64{1.6448536269514722, 2.3263478740408408, 3.090232306167813}

// slower returns how fast the evidence grows when an amount is larger by a factor.
func (t Traffic) slower(m Metric, times float64) []evalue.Growth {
	base, variance := climbed(1, t.spread(m))
	cand, more := climbed(times/m.Tolerance.Factor, t.spread(m))
	return t.excess(cand-base, (variance+more)/2)
}

// proof returns what it takes to prove that a candidate is safe in m which is worse than
// the baseline by a distance: a factor of an amount, else a difference.
func (m Metric) proof(t Traffic, alpha, worse float64) passage {
	target := -math.Log(alpha)
	var p passage
	switch m.Kind {
	case Rate:
		b := t.rate(m)
		p = newPassage(t.proven(m.Margin.points(b), b, worse), target)
		if q := newPassage(ceilingGrowths(m.Ceiling, b+worse, false), target); m.Ceiling > 0 && (q.mean == 0 || q.mean > p.mean) {
			p = q
		}
	case Amount:
		base, variance := climbed(1, t.spread(m))
		cand, _ := climbed(worse/m.Margin.Factor, t.spread(m))
		p = newPassage(t.excess(base-cand, variance), target)
		// The tail must be proven too: its last step takes longest.
		for k, points := range tailPoints {
			if m.Name != nameTTFT && m.Name != nameLatency {
				break
			}
			more := normal(math.Log(worse)/t.spread(m)-tailQuantiles[k]) - normal(-tailQuantiles[k])
			if q := newPassage(t.proven(points, 1-steps[firstTail+k], more), target); q.mean == 0 || p.mean != 0 && q.mean > p.mean {
				p = q
			}
		}
	case Score:
		p = newPassage(t.excess(m.Margin.Points-worse, t.ScoreSpread*t.ScoreSpread), target)
	}
	return p.times(1 / t.measured(m))
}

// proven returns how fast the evidence grows that a rate is within points of base, if it
// is more by a difference.
func (t Traffic) proven(points, base, more float64) []evalue.Growth {
	s := t.Share
	scatter := (1-s)*(base+more) + s*base
	floor := (1-s)*(base+points) + s*base
	var list []evalue.Growth
	for _, theta := range [...]float64{0.02, 0.05, 0.12, 0.3, 0.8, 2, 5} {
		d, v := (1-s)*(points-more), (1-s)*(scatter+2*floor)/3
		list = append(list, evalue.Growth{Mean: theta*d - theta*theta*v/2, Variance: theta * theta * (1 - s) * scatter})
	}
	return list
}

// validate reports everything that is wrong with t.
func (t Traffic) validate() error {
	var errs []error
	bad := func(field string, value any, want string) {
		errs = append(errs, &checks.InvalidError{Package: "analysis", Field: "Traffic." + field, Value: value, Want: want})
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
	if t.Limit < 0 {
		bad("Limit", t.Limit, "a duration >= 0; 0 stands for no limit")
	}
	if !(t.Answer >= 0 && t.Answer <= 24*time.Hour) {
		bad("Answer", t.Answer, "a duration from 0 to 24h; 0 stands for 1s")
	}
	if !(t.Spread >= 0 && t.Spread <= 10) {
		bad("Spread", t.Spread, "a number from 0 to 10; 0 stands for 0.6, and 0.25 of the time between tokens")
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
		errs = append(errs, &checks.InvalidError{Package: "analysis", Field: fmt.Sprintf("regressions[%d].%s", i, field), Value: value, Want: want})
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
