package analysis

import (
	"fmt"
	"math"

	"github.com/serin-go/serin/internal/evalue"
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
// arms under plan p, each on its own requests: counts, distributions, pairs and
// log-likelihoods add up, and are those of one comparison that has seen all
// blocks. (Only what a test chooses before a block, such as the rate that it
// expects of the baseline, each replica has chosen by what it knew itself.) An
// incident that any replica sees is one of the whole. Judge it with
// [Plan.Judge].
//
// The merged evidence is at its peak what it is now: to keep a verdict that was
// reached before, see [Evidence.KeepPeaks]. Merge the newest evidence of each
// replica anew every time; a part that is merged twice counts twice. The zero
// Evidence is that of a replica that has seen nothing yet.
//
// An error is a [*PlanError] if a part is of another plan, and otherwise an
// [*InvalidError].
func (p Plan) Merge(parts ...Evidence) (Evidence, error) {
	if err := p.Validate(); err != nil {
		return Evidence{}, err
	}
	p = p.withDefaults()
	m := newMerger(p)
	for i, e := range parts {
		if e.Plan == "" && len(e.Metrics) == 0 {
			continue
		}
		if want := p.digest(); e.Plan != want {
			return Evidence{}, &PlanError{Part: i, Have: e.Plan, Want: want}
		}
		if err := e.check(p); err != nil {
			return Evidence{}, fmt.Errorf("analysis: evidence %d: %w", i, err)
		}
		if err := m.add(e); err != nil {
			return Evidence{}, fmt.Errorf("analysis: evidence %d: %w", i, err)
		}
	}
	return m.evidence(), nil
}

// KeepPeaks returns e with the peaks, and the breaker, that were there before:
// verdicts stay. Both must be of the same plan; of another one nothing is kept.
func (e Evidence) KeepPeaks(before Evidence) Evidence {
	if e.Plan != before.Plan || len(e.Metrics) != len(before.Metrics) {
		return e
	}
	e.Harm.Peak = max(e.Harm.Peak, before.Harm.Peak)
	e.Split.Peak = max(e.Split.Peak, before.Split.Peak)
	if before.Tripped != "" {
		e.Tripped = before.Tripped
	}
	metrics := make([]MetricEvidence, len(e.Metrics))
	for i, m := range e.Metrics {
		m.Harm.Peak = max(m.Harm.Peak, before.Metrics[i].Harm.Peak)
		m.Safe.Peak = max(m.Safe.Peak, before.Metrics[i].Safe.Peak)
		metrics[i] = m
	}
	e.Metrics = metrics
	return e
}

// merger adds up evidence.
type merger struct {
	plan     Plan
	sum      Evidence
	contests []contest
	hists    [][2]*hist.Histogram // by metric, nil of a rate
}

func newMerger(p Plan) *merger {
	m := &merger{plan: p, sum: Evidence{Plan: p.digest(), Metrics: make([]MetricEvidence, len(p.Metrics))}}
	for i, metric := range p.Metrics {
		m.sum.Metrics[i].Name = metric.Name
		m.contests = append(m.contests, newContest(metric))
		m.hists = append(m.hists, [2]*hist.Histogram{new(hist.Histogram), new(hist.Histogram)})
	}
	return m
}

// add adds e, which is valid.
func (m *merger) add(e Evidence) error {
	for _, a := range []struct {
		field   string
		sum, by *ArmEvidence
	}{{"Baseline", &m.sum.Baseline, &e.Baseline}, {"Candidate", &m.sum.Candidate, &e.Candidate}} {
		if a.sum.Arm != "" && a.sum.Arm != a.by.Arm {
			return badEvidence(a.field+".Arm", a.by.Arm, a.sum.Arm)
		}
		a.sum.add(*a.by)
	}
	m.sum.Split.add(e.Split)
	if m.sum.Tripped == "" {
		m.sum.Tripped = e.Tripped
	}
	for i, by := range e.Metrics {
		sum := &m.sum.Metrics[i]
		if err := m.contests[i].load(by); err != nil {
			return badEvidence(fmt.Sprintf("Metrics[%d]", i), err, "what was stored")
		}
		sum.Contrast.add(by.Contrast)
		sum.Profile.add(by.Profile)
		for side := range sum.Drift {
			sum.Drift[side].add(by.Drift[side])
		}
		for side, s := range []struct{ sum, by *Sample }{{&sum.Baseline, &by.Baseline}, {&sum.Candidate, &by.Candidate}} {
			s.sum.N += s.by.N
			s.sum.Events += s.by.Events
			if len(s.by.Values) > 0 {
				var h hist.Histogram
				if err := h.UnmarshalBinary(s.by.Values); err != nil {
					return badEvidence(fmt.Sprintf("Metrics[%d]", i), err, "what was stored")
				}
				m.hists[i][side].Merge(&h)
			}
		}
	}
	return nil
}

// evidence returns what was added up, with its strength.
func (m *merger) evidence() Evidence {
	var logE, weights []float64
	for i, metric := range m.plan.Metrics {
		sum := &m.sum.Metrics[i]
		m.contests[i].save(sum)
		harm, safe := m.contests[i].logE()
		sum.Harm.set(harm)
		sum.Safe.set(safe)
		if metric.Role.RollsBack() {
			logE, weights = append(logE, harm), append(weights, metric.Weight)
		}
		for side, s := range []*Sample{&sum.Baseline, &sum.Candidate} {
			s.summarise(metric.Kind, m.hists[i][side])
		}
	}
	m.sum.Baseline.boundRoutes()
	m.sum.Candidate.boundRoutes()
	m.sum.Harm.set(evalue.Average(logE, weights))
	m.sum.Split.set(m.sum.Split.LogE)
	return m.sum
}

// summarise fills in what follows from the counts and the distribution.
func (s *Sample) summarise(k Kind, h *hist.Histogram) {
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
	if h.Count() > 0 {
		s.Values = h.AppendTo(nil)
	}
}

func (a *ArmEvidence) add(o ArmEvidence) {
	a.Arm = o.Arm
	if a.Classes == nil {
		a.Classes = make(map[Class]int)
	}
	for c, n := range o.Classes {
		a.Classes[c] += n
	}
	a.Invalid += o.Invalid
	a.Units += o.Units
	a.addRoutes(o.Routes)
}

// add makes p the profile of both: rates add up, and of two levels it is the
// mean.
func (p *Profile) add(o Profile) {
	n := p.N + o.N
	if o.N == 0 || n == 0 {
		return
	}
	share := float64(o.N) / float64(n)
	p.N, p.Events, p.Level = n, p.Events+o.Events, (1-share)*p.Level+share*o.Level
}

// add makes d as far from the profile as the one of both that is farther.
func (d *Drift) add(o Drift) {
	d.Alarm = d.Alarm || o.Alarm
	if d.Sums == nil {
		d.Sums = o.clone().Sums
		return
	}
	for j, l := range o.Sums {
		d.Sums[j] = math.Max(d.Sums[j], l)
	}
}
