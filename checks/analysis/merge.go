package analysis

import (
	"bytes"
	"encoding/json"
	"fmt"
	"math"
	"slices"

	"github.com/serin-go/serin/internal/hist"
)

// PlanError says that evidence was gathered under another plan than the one it
// is to be used with. It means nothing under that.
type PlanError struct {
	Part       int    // which of the parts, from 0
	Have, Want string // digests of plans, as in [Evidence.Plan]
}

func (e *PlanError) Error() string {
	return fmt.Sprintf("analysis: evidence %d is of plan %q, want %q", e.Part, e.Have, e.Want)
}

// Merge returns the evidence of several replicas that have compared the same two
// arms under plan p, each on its own requests: counts, distributions and sums by
// group add up, and a slot that several replicas have met counts once. (Only what a
// test expects of the baseline each replica has by what it knew itself.) The result
// does not depend on the order of the parts. An incident that any replica sees is one
// of the whole. Judge it with [Plan.Judge].
//
// The merged evidence is at its peak what it is now: to keep a verdict that was
// reached before, see [Evidence.KeepPeaks]. Merge the newest evidence of all replicas
// each time; a part that is merged twice counts twice. A replica that has seen nothing
// yet has the zero Evidence.
//
// An error is a [*PlanError] if a part is of another plan, and otherwise an
// [*checks.InvalidError].
func (p Plan) Merge(parts ...Evidence) (Evidence, error) {
	if err := p.Validate(); err != nil {
		return Evidence{}, err
	}
	p = p.withDefaults()
	m := newMerger(newLayout(p), p.digest())
	valid := make([]sortable, 0, len(parts))
	for i, e := range parts {
		if e.Plan == "" && len(e.Metrics) == 0 {
			continue
		}
		if want := m.sum.Plan; e.Plan != want {
			return Evidence{}, &PlanError{Part: i, Have: e.Plan, Want: want}
		}
		if err := e.checkAs(p, m.sum.Plan); err != nil {
			return Evidence{}, fmt.Errorf("analysis: evidence %d: %w", i, err)
		}
		key, err := json.Marshal(e)
		if err != nil {
			return Evidence{}, fmt.Errorf("analysis: evidence %d: %w", i, err)
		}
		valid = append(valid, sortable{key, i})
	}
	// Sums of floating-point numbers depend on their order, so there is one.
	slices.SortStableFunc(valid, func(x, y sortable) int { return bytes.Compare(x.key, y.key) })
	for _, v := range valid {
		if err := m.add(parts[v.part]); err != nil {
			return Evidence{}, fmt.Errorf("analysis: evidence %d: %w", v.part, err)
		}
	}
	return m.evidence(), nil
}

// sortable is a part of a merge, by its content.
type sortable struct {
	key  []byte
	part int
}

// KeepPeaks returns e with the peaks of harm, and the breaker, that were there
// before: Harmed stays. Safe does not: it rests on what is known now. Both must be of the same plan; of another one nothing is kept.
func (e Evidence) KeepPeaks(before Evidence) Evidence {
	if e.Plan != before.Plan || len(e.Metrics) != len(before.Metrics) {
		return e
	}
	e.Harm.Peak = max(e.Harm.Peak, before.Harm.Peak)
	e.Split.Peak = max(e.Split.Peak, before.Split.Peak)
	if before.Tripped != "" {
		e.Tripped = before.Tripped
	}
	metrics := make([]metricEvidence, len(e.Metrics))
	for i, m := range e.Metrics {
		m.Harm.Peak = max(m.Harm.Peak, before.Metrics[i].Harm.Peak)
		m.Answered.Peak = max(m.Answered.Peak, before.Metrics[i].Answered.Peak)
		if over := before.Metrics[i].Ceiling; over.Above.Peak > m.Ceiling.Above.Peak {
			m.Ceiling.Above.Peak, m.Ceiling.Counted = over.Above.Peak, over.Counted
		}
		metrics[i] = m
	}
	e.Metrics, e.Strata = metrics, keepNamed(e.Strata, before.Strata)
	return e
}

// merger adds up evidence.
type merger struct {
	layout layout
	sum    Evidence
	tests  tests
	past   *past
	hists  [][2]*hist.Histogram // by metric, nil of a rate
	strata []stratumEvidence    // of all parts
	parts  int
}

func newMerger(l layout, digest string) *merger {
	p := l.plan
	m := &merger{layout: l, sum: Evidence{evidence{Format: evidenceFormat, Plan: digest, Metrics: make([]metricEvidence, len(p.Metrics)), Warming: true}}}
	m.tests, m.past = newTests(&m.layout, 1), newPast(&m.layout)
	for i, metric := range p.Metrics {
		m.sum.Metrics[i].Name = metric.Name
		var sides [2]*hist.Histogram
		if metric.Kind != Rate {
			sides = [2]*hist.Histogram{new(hist.Histogram), new(hist.Histogram)}
		}
		m.hists = append(m.hists, sides)
	}
	return m
}

// add adds e, which is valid.
func (m *merger) add(e Evidence) error {
	if err := m.addArms(&e); err != nil {
		return err
	}
	t, past, err := m.layout.decodeTests(e.Tests)
	if err != nil {
		return badEvidence("Tests", err, "what was stored")
	}
	if !t.strata.divided {
		t.strata.left = 1
	}
	for i, by := range e.Metrics {
		for side, s := range []*sampleEvidence{&by.Baseline, &by.Candidate} {
			if len(s.Values) == 0 || m.hists[i][side] == nil {
				continue
			}
			if err := m.hists[i][side].MergeBinary(s.Values); err != nil {
				return badEvidence(fmt.Sprintf("Metrics[%d]", i), err, "what was stored")
			}
		}
	}
	m.addTests(&t, past)
	m.strata = append(m.strata, e.Strata...)
	m.parts++
	m.addCounts(&e)
	return nil
}

// addSum adds what o has added up.
func (m *merger) addSum(o *merger) error {
	if o.parts == 0 {
		return nil
	}
	if err := m.addArms(&o.sum); err != nil {
		return err
	}
	for i, sides := range o.hists {
		for side, h := range sides {
			if h != nil {
				m.hists[i][side].Merge(h)
			}
		}
	}
	m.addTests(&o.tests, o.past)
	m.strata = append(m.strata, o.strata...)
	m.parts += o.parts
	m.addCounts(&o.sum)
	return nil
}

// addArms adds the requests of both arms.
func (m *merger) addArms(e *Evidence) error {
	for _, a := range []struct {
		field   string
		sum, by *armEvidence
	}{{"Baseline", &m.sum.Baseline, &e.Baseline}, {"Candidate", &m.sum.Candidate, &e.Candidate}} {
		if a.sum.Arm != "" && a.sum.Arm != a.by.Arm {
			return badEvidence(a.field+".Arm", a.by.Arm, a.sum.Arm)
		}
		a.sum.add(*a.by)
	}
	return nil
}

func (m *merger) addTests(t *tests, past *past) {
	m.tests.merge(t)
	m.tests.strata.merge(&t.strata)
	m.past.add(past)
}

// addCounts adds everything else that is counted in plain numbers.
func (m *merger) addCounts(e *Evidence) {
	for side := range m.sum.Assigned {
		m.sum.Assigned[side] += e.Assigned[side]
		m.sum.Compared[side] += e.Compared[side]
	}
	m.sum.Unfollowed += e.Unfollowed
	m.sum.Unrandomised += e.Unrandomised
	if m.sum.Sampled == 0 || e.Sampled < m.sum.Sampled {
		m.sum.Sampled = e.Sampled
	}
	m.sum.Warming = m.sum.Warming && e.Warming
	m.sum.Stage = max(m.sum.Stage, e.Stage)
	if m.sum.Tripped == "" {
		m.sum.Tripped = e.Tripped
	}
	for i, by := range e.Metrics {
		sum := &m.sum.Metrics[i]
		sum.Contrast.add(by.Contrast)
		sum.Profile.add(by.Profile)
		for side := range sum.Drift {
			sum.Drift[side].add(by.Drift[side])
		}
		for _, s := range []struct{ sum, by *sampleEvidence }{{&sum.Baseline, &by.Baseline}, {&sum.Candidate, &by.Candidate}} {
			s.sum.N += s.by.N
			s.sum.Events += s.by.Events
		}
	}
}

// evidence returns what was added up, with its strength.
func (m *merger) evidence() Evidence {
	m.tests.conclude(&m.layout)
	for i, metric := range m.layout.plan.Metrics {
		sum := &m.sum.Metrics[i]
		of := &m.tests.perMetric[i]
		sum.Harm, sum.Safe, sum.Counted, sum.Ceiling, sum.Answered = of.harm, of.safe, of.counted, of.ceiling, of.answered
		for side, s := range []*sampleEvidence{&sum.Baseline, &sum.Candidate} {
			s.summarise(metric.Kind, m.hists[i][side])
		}
	}
	m.sum.Units = m.tests.few.known()
	m.sum.Strata = mergeStrata(m.strata, m.parts, m.layout.plan.AlphaRollback/2)
	m.tests.strata.left /= float64(max(m.parts, 1))
	m.sum.Tests = m.tests.encode(m.past)
	m.sum.Baseline.boundRoutes()
	m.sum.Candidate.boundRoutes()
	m.sum.Harm, m.sum.Split = m.tests.harm, m.tests.split.splitEvidence
	return m.sum
}

// add adds what another replica has seen.
func (p *past) add(o *past) {
	for i := range p.rates {
		r, q := &p.rates[i], &o.rates[i]
		r.n, r.events = r.n+q.n, r.events+q.events
		r.baseN, r.baseEvents = r.baseN+q.baseN, r.baseEvents+q.baseEvents
		for _, a := range q.ages[:min(q.seen, len(q.ages))] {
			r.ages[r.seen%len(r.ages)] = a
			r.seen++
		}
	}
	for i := range p.amounts {
		sum, more := p.amounts[i].list(), o.amounts[i].list()
		for k := range sum {
			sum[k] += more[k]
		}
		p.amounts[i].take(sum)
	}
	for i, h := range p.hists() {
		h.Merge(o.hists()[i])
	}
	for k := range p.prompts {
		p.prompts[k].merge(&o.prompts[k])
	}
}

// summarise fills in what follows from the counts and the distribution.
func (s *sampleEvidence) summarise(k Kind, h *hist.Histogram) {
	switch {
	case s.N == 0:
		return
	case k == Rate:
		s.Value = float64(s.Events) / float64(s.N)
		return
	case k == Amount:
		s.Value = h.Quantile(0.5)
	default:
		s.Value = h.Mean()
	}
	if h != nil && h.Count() > 0 {
		s.Values = h.AppendTo(nil)
	}
}

func (a *armEvidence) add(o armEvidence) {
	a.Arm = o.Arm
	if a.Classes == nil {
		a.Classes = make(map[Class]int)
	}
	for c, n := range o.Classes {
		a.Classes[c] += n
	}
	a.Invalid += o.Invalid
	a.addRoutes(o.Routes)
}

// add makes p the profile of both: rates add up, and of two levels it is the
// mean.
func (p *profileState) add(o profileState) {
	n := p.N + o.N
	if o.N == 0 || n == 0 {
		return
	}
	share := float64(o.N) / float64(n)
	p.N, p.Events, p.Level = n, p.Events+o.Events, (1-share)*p.Level+share*o.Level
}

// add makes d as far from the profile as the one of both that is farther.
func (d *driftState) add(o driftState) {
	d.Alarm = d.Alarm || o.Alarm
	if d.Sums == nil {
		d.Sums = o.clone().Sums
		return
	}
	for j, l := range o.Sums {
		d.Sums[j] = math.Max(d.Sums[j], l)
	}
}
