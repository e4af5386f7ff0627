package analysis

import (
	"fmt"
	"math"

	"github.com/serin-go/serin/internal/evalue"
)

// ceilingEvidence is the evidence in a metric with a [Metric.Ceiling]. It rests on the
// candidate's requests alone, and takes them to be independent.
type ceilingEvidence struct {
	// Above is the evidence that the rate is above the ceiling, since the rollout began
	// or since a later moment. Below is the evidence that it is below, in the present
	// stage.
	Above strength `json:"above"`
	Below strength `json:"below"`
	// Counted is what Above rests on.
	Counted Counted `json:"counted"`
}

// CeilingFinding says how the candidate stands to a [Metric.Ceiling]. It is zero for a
// metric without one.
type CeilingFinding struct {
	// Rate is the ceiling. Above makes the verdict Harmed when it is reached, and Below
	// must be reached before a gate is Safe.
	Rate  float64 `json:"rate"`
	Above Proof   `json:"above"`
	Below Proof   `json:"below"`
	// Counted are requests of the candidate, and the events among them, that Above
	// rests on.
	Counted Counted `json:"counted"`
}

// ceilingSteps are how far from its limit a rate may be, of what is left on that side.
var ceilingSteps = [...]float64{.15, .4, .7, .95}

// rateAbove returns ln E for "the rate is above the limit", which is below 1.
func rateAbove(limit, events, n float64) float64 {
	var logs [len(ceilingSteps)]float64
	null := max(limit, 1e-9)
	for i, s := range ceilingSteps {
		logs[i] = binomial(null+(1-null)*s, null, events, n)
	}
	return evalue.Average(logs[:], equal[:len(logs)])
}

// rateBelow returns ln E for "the rate is below the limit", which is above 0.
func rateBelow(limit, events, n float64) float64 {
	var logs [len(ceilingSteps)]float64
	for i, s := range ceilingSteps {
		logs[i] = binomial(limit*(1-s), limit, events, n)
	}
	return evalue.Average(logs[:], equal[:len(logs)])
}

// binomial returns the log of the likelihood ratio of the rate p against null.
func binomial(p, null, events, n float64) float64 {
	return events*math.Log(p/null) + (n-events)*math.Log((1-p)/(1-null))
}

// ceiling is what tests know of a metric with a ceiling.
type ceiling struct {
	metric, feature int
	rate            float64
	before          [2]float64 // requests of the candidate before the stage, and events
}

func newCeilings(l *layout) (list []ceiling) {
	for i, m := range l.plan.Metrics {
		if m.Ceiling > 0 {
			list = append(list, ceiling{metric: i, feature: l.first[i], rate: m.Ceiling})
		}
	}
	return list
}

// counted returns how many requests of the candidate have counted in an epoch, and how
// many of them are events.
func (e *epoch) counted() (n, events float64) { return max(e.n[1], e.events[1]), e.events[1] }

// enterCeilings begins a stage.
func (t *tests) enterCeilings() {
	for i := range t.ceilings {
		c := &t.ceilings[i]
		c.before[0], c.before[1] = t.epochs[c.feature][0].counted()
	}
}

// concludeCeilings computes the strength of the evidence about each ceiling.
func (t *tests) concludeCeilings() {
	for i := range t.ceilings {
		c := &t.ceilings[i]
		s := &t.perMetric[c.metric].ceiling
		best := math.Inf(-1)
		for k := range t.live {
			n, events := t.epochs[c.feature][k].counted()
			if e := math.Log(weightOf(t.starts[k])) + rateAbove(c.rate, events, n); e > best {
				best = e
				if e > s.Above.Peak || s.Above.Peak <= 0 {
					s.Counted = Counted{N: int(n), Events: int(events)}
				}
			}
		}
		s.Above.set(max(best, -700))
		n, events := t.epochs[c.feature][0].counted()
		below := max(rateBelow(c.rate, events-c.before[1], n-c.before[0]), -700)
		s.Below = strength{LogE: below, Peak: below}
	}
}

// mergeCeilings adds what another replica has seen, before anything else is added: of an
// earlier stage, nothing belongs to the present one.
func (t *tests) mergeCeilings(o *tests) {
	if o.stage > t.stage {
		t.enterCeilings()
	}
	if o.stage < t.stage {
		o.enterCeilings()
	}
	for i := range t.ceilings {
		t.ceilings[i].before[0] += o.ceilings[i].before[0]
		t.ceilings[i].before[1] += o.ceilings[i].before[1]
	}
}

func (p *packer) ceilings(list []ceiling) {
	for i := range list {
		p.floats(list[i].before[:]...)
	}
}

// ceilings reads what was stored, after the epochs.
func (u *unpacker) ceilings(t *tests) {
	for i := range t.ceilings {
		c := &t.ceilings[i]
		u.floats(&c.before[0], &c.before[1])
		n, events := t.epochs[c.feature][0].counted()
		if !(c.before[1] >= 0 && c.before[1] <= min(events, c.before[0]) && c.before[0] <= n) {
			u.err = errTests
		}
	}
}

// finding returns what e says about a ceiling.
func (e ceilingEvidence) finding(rate float64, p Plan) CeilingFinding {
	if rate == 0 {
		return CeilingFinding{}
	}
	return CeilingFinding{Rate: rate, Above: e.Above.proof(1 / p.AlphaRollback), Below: e.Below.proof(1 / p.AlphaPromote), Counted: e.Counted}
}

// below reports whether the candidate is below the ceiling, if there is one.
func (c CeilingFinding) below() bool { return c.Rate == 0 || c.Below.Reached() }

// exceeded reports whether the candidate is above the ceiling of a metric that rolls back.
func (f *Finding) exceeded() bool { return f.Role.RollsBack() && f.Ceiling.Above.Reached() }

// over words that the candidate is above the ceiling.
func (f *Finding) over() string {
	what := ""
	if f.Better == Higher {
		what = "not "
	}
	c := f.Ceiling
	return fmt.Sprintf("%s%s in %s of %s requests of the candidate (%s), above the ceiling of %s, e-value %s",
		what, f.Metric, thousands(c.Counted.Events), thousands(c.Counted.N), percent(float64(c.Counted.Events)/float64(max(c.Counted.N, 1))), percent(c.Rate), c.Above.of())
}

// check reports whether e can be evidence of a metric with the given ceiling.
func (e ceilingEvidence) check(rate float64) error {
	if rate == 0 && e != (ceilingEvidence{}) {
		return fmt.Errorf("evidence about a ceiling, which the metric does not have")
	}
	if c := e.Counted; c.Events < 0 || c.N < c.Events || c.N > maxCount {
		return fmt.Errorf("%d events of %d requests against a ceiling", c.Events, c.N)
	}
	if err := e.Above.check(); err != nil {
		return err
	}
	return e.Below.check()
}
