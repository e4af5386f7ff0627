package analysis

import (
	"fmt"
	"math"
	"slices"
	"time"

	"github.com/serin-go/serin/internal/evalue"
)

// Judgement is the verdict on a candidate with everything that it rests on. It
// is plain data that survives JSON.
type Judgement struct {
	At      time.Time `json:"at"`
	Verdict Verdict   `json:"verdict"`
	// Reason is a sentence that a person understands.
	Reason    string   `json:"reason"`
	Baseline  ArmCount `json:"baseline"`
	Candidate ArmCount `json:"candidate"`
	// Harm is the combined evidence that the candidate is worse in any gate or
	// guard: the weighted average of their e-values. It is judged Harmed when E
	// reaches Limit.
	Harm Proof `json:"harm"`
	// Split says whether traffic is split as intended.
	Split SplitFinding `json:"split"`
	// Followed is the share of the assigned requests that have ended, or of which it is
	// known for how long they have not. Nothing is Safe below 0.99.
	Followed float64 `json:"followed"`
	// Sampled is the part of the requests that was followed at last: where all were too
	// many, chance has chosen them, of all arms alike.
	Sampled float64 `json:"sampled,omitempty"`
	// Unrandomised is the share of all requests that something other than chance has
	// assigned; they take no part.
	Unrandomised float64 `json:"unrandomised,omitempty"`
	// Stage is the number of the stage; see [Comparison.Stage].
	Stage int `json:"stage,omitempty"`
	// Needed forecasts how many more requests of the candidate it takes until
	// all gates are proven: the most that any of them needs. 0 means that all are
	// proven, or that one has no forecast.
	Needed int `json:"needed,omitempty"`
	// Strata are the parts of the traffic that are compared apart, the largest first.
	Strata []StratumFinding `json:"strata,omitempty"`
	// Metrics are in the order of the plan.
	Metrics []Finding `json:"metrics"`
}

// ArmCount says how many requests of an arm a judgement rests on.
type ArmCount struct {
	Arm string `json:"arm"`
	// Requests have ended; Served counts how many of them ended OK or Refused.
	// Excluded were cancelled by their callers, and are in neither.
	Requests int `json:"requests"`
	Served   int `json:"served"`
	Excluded int `json:"excluded,omitempty"`
}

// SplitFinding says whether traffic is split as intended, between the baseline
// and one candidate. Without expected shares only its limit is set.
type SplitFinding struct {
	// Baseline and Candidate count units once each, with their first assignment, and
	// requests without one; Expected is how many of them were meant to be the
	// candidate's.
	Baseline  int     `json:"baseline"`
	Candidate int     `json:"candidate"`
	Expected  float64 `json:"expected"`
	// Mismatch is the evidence that they are not.
	Mismatch Proof `json:"mismatch"`
}

// Proof is an e-value against its limit: 1 is no evidence, and Limit is reached
// by chance with a probability of at most 1/Limit, however often one looks.
type Proof struct {
	// E is the largest value so far, on which verdicts rest; Now is the
	// present one. Neither exceeds 1e300.
	E     float64 `json:"e"`
	Now   float64 `json:"now"`
	Limit float64 `json:"limit"`
}

// Reached reports whether the proof is complete.
func (p Proof) Reached() bool { return p.Limit > 0 && p.E >= p.Limit }

// proof returns s as a proof.
func (s strength) proof(limit float64) Proof {
	return Proof{E: exp(s.Peak), Now: exp(s.LogE), Limit: limit}
}

// exp returns e^x, kept finite so that it has a representation in JSON.
func exp(x float64) float64 { return math.Exp(min(x, 690)) }

// Finding is what a judgement says about one metric.
type Finding struct {
	Metric string    `json:"metric"`
	Kind   Kind      `json:"kind"`
	Unit   string    `json:"unit,omitempty"`
	Better Direction `json:"better"`
	Role   Role      `json:"role"`
	// Test names the test, as [Metric.Test] does.
	Test string `json:"test"`
	// Baseline and Candidate are rates, medians of amounts or means of scores;
	// BaselineN and CandidateN are the numbers of requests that have a value.
	Baseline   float64 `json:"baseline"`
	Candidate  float64 `json:"candidate"`
	BaselineN  int     `json:"baseline_n"`
	CandidateN int     `json:"candidate_n"`
	// Counted is what the evidence for harm of a rate rests on: assigned requests of the
	// baseline and the candidate, whether they had ended or not, and their events.
	Counted [2]Counted `json:"counted"`
	// Harm is the evidence that the candidate is worse. Its limit is where this
	// metric alone makes the verdict Harmed, given its weight.
	Harm Proof `json:"harm"`
	// Safe is the evidence that the candidate is no worse than Margin allows.
	Safe   Proof  `json:"safe"`
	Margin Margin `json:"margin"`
	// Ceiling is about [Metric.Ceiling].
	Ceiling CeilingFinding `json:"ceiling,omitzero"`
	// Answered says how many requests of each arm have a grade, of a metric of scores or
	// ratings; nil of any other.
	Answered *AnsweredFinding `json:"answered,omitempty"`
	// Effect is how much the candidate differs from the baseline.
	Effect Effect `json:"effect"`
	// Attributed says that this metric is among those in which the candidate is
	// worse: of all gates and guards that are attributed, at most a share of
	// [Plan.AlphaRollback] is expected to be there by chance (e-BH, on the
	// present e-values).
	Attributed bool `json:"attributed,omitempty"`
	// Needed forecasts how many more requests of the candidate it takes until
	// this metric is proven safe, if the evidence grows on as it has; 0 if it is
	// proven or there is no telling.
	Needed int `json:"needed,omitempty"`
	// Incident says that both arms have left together what the baseline was
	// before.
	Incident bool `json:"incident,omitempty"`
	// Verdict is about this metric alone. Reason is a sentence about it.
	Verdict Verdict `json:"verdict"`
	Reason  string  `json:"reason"`
}

// Judge returns the judgement on what a [Comparison] under plan p has gathered.
// It is pure: the stored evidence reproduces the judgement that
// [Comparison.Judge] gave, bit for bit. An error is an [*checks.InvalidError]: e is not
// of this plan, or cannot be.
func (p Plan) Judge(e Evidence, now time.Time) (Judgement, error) {
	p = p.withDefaults()
	if err := e.check(p); err != nil {
		return Judgement{}, err
	}
	return p.judge(e, now), nil
}

// judge returns the judgement on e, which is valid. p has its defaults.
func (p Plan) judge(e Evidence, now time.Time) Judgement {
	j := Judgement{
		At: now, Baseline: e.Baseline.count(), Candidate: e.Candidate.count(),
		Harm: e.Harm.proof(1 / p.AlphaRollback),
		Split: SplitFinding{
			Baseline: e.Split.Baseline, Candidate: e.Split.Candidate, Expected: e.Split.Expected,
			Mismatch: e.Split.proof(1 / p.AlphaSplit),
		},
		Metrics: make([]Finding, len(p.Metrics)), Stage: e.Stage, Followed: 1, Sampled: e.Sampled,
	}
	if n := e.Assigned[0] + e.Assigned[1]; n > 0 {
		j.Followed = 1 - float64(e.Unfollowed)/float64(n)
		j.Unrandomised = float64(e.Unrandomised) / float64(n+e.Unrandomised)
	}
	j.Strata = p.judgeStrata(e.Strata)
	var total float64
	for _, m := range p.Metrics {
		if m.Role.RollsBack() {
			total += m.Weight
		}
	}
	for i, m := range p.Metrics {
		share := 1.0
		if m.Role.RollsBack() {
			share = m.Weight / total
		}
		j.Metrics[i] = m.finding(&e.Metrics[i], share*p.AlphaRollback, p)
	}
	j.attribute(p.AlphaRollback)
	// The combined evidence may suffice where no single metric's does; then the
	// one that contributes most is the reason.
	if blamed := j.blamed(); j.harmShown() && blamed != nil {
		blamed.Verdict = Harmed
	}
	j.Needed = j.needed()
	for i := range j.Metrics {
		f := &j.Metrics[i]
		f.Reason = f.reason()
		if m := p.Metrics[i].meter(); m.Kind == Score || m.graded() {
			a := e.Metrics[i].answered(e.Assigned, p)
			f.Answered = &a
			f.Reason += a.words()
		}
	}
	j.Verdict, j.Reason = p.verdict(e, &j)
	return j
}

// attribute says in which metrics the candidate is worse.
func (j *Judgement) attribute(alpha float64) {
	present := make([]float64, 0, len(j.Metrics))
	for _, f := range j.Metrics {
		if f.Role.RollsBack() {
			present = append(present, f.Harm.Now)
		}
	}
	rejected := evalue.EBH(present, alpha)
	for i := range j.Metrics {
		if f := &j.Metrics[i]; f.Role.RollsBack() {
			f.Attributed, rejected = rejected[0], rejected[1:]
		}
	}
}

// needed returns the most that an open gate needs, or 0 if one has no forecast.
func (j *Judgement) needed() (most int) {
	for _, f := range j.Metrics {
		if !f.Role.MustBeProven() || f.Verdict == Safe || f.Verdict == NoEvidence {
			continue
		}
		if f.Needed == 0 {
			return 0
		}
		most = max(most, f.Needed)
	}
	return most
}

func (a armEvidence) count() ArmCount {
	return ArmCount{Arm: a.Arm, Requests: a.of(lasting), Served: a.of(served), Excluded: a.Classes[Cancelled]}
}

// finding returns what e says about m, all but the words.
func (m Metric) finding(e *metricEvidence, alphaHarm float64, p Plan) Finding {
	f := Finding{
		Metric: m.Name, Kind: m.Kind, Unit: m.Unit, Better: m.Better, Role: m.Role, Test: m.Test(), Margin: m.Margin,
		Baseline: e.Baseline.Value, BaselineN: e.Baseline.N,
		Candidate: e.Candidate.Value, CandidateN: e.Candidate.N, Counted: e.Counted,
		Harm: e.Harm.proof(1 / alphaHarm), Safe: e.Safe.proof(1 / p.AlphaPromote),
		Ceiling: e.Ceiling.finding(m.Ceiling, p), Effect: e.effect(m.Kind, p.AlphaRollback),
		Incident: e.Drift[0].Alarm && e.Drift[1].Alarm,
	}
	if !f.Safe.Reached() {
		f.Needed = e.needed(p.AlphaPromote)
	}
	switch {
	case f.Harm.Reached(), f.exceeded():
		f.Verdict = Harmed
	case f.BaselineN == 0 && f.CandidateN == 0:
		f.Verdict = NoEvidence
	case f.BaselineN == 0 || f.CandidateN == 0:
		f.Verdict = Unmeasurable
	case f.Safe.Reached() && f.Ceiling.below():
		f.Verdict = Safe
	}
	return f
}

// blamed returns the gate or guard that contributes most to the combined
// evidence for harm, or nil.
func (j *Judgement) blamed() *Finding {
	var worst *Finding
	for i := range j.Metrics {
		f := &j.Metrics[i]
		if f.Role.RollsBack() && (worst == nil || f.Harm.E/f.Harm.Limit > worst.Harm.E/worst.Harm.Limit) {
			worst = f
		}
	}
	return worst
}

// exceeded returns the first metric whose ceiling the candidate is above, or nil. The
// split does not matter to it: it compares nothing.
func (j *Judgement) exceeded() *Finding {
	for i := range j.Metrics {
		if f := &j.Metrics[i]; f.exceeded() {
			return f
		}
	}
	return nil
}

// harmShown reports whether the evidence for harm suffices. Where the split is in
// doubt it must be ten times as strong.
func (j *Judgement) harmShown() bool {
	h := j.Harm
	if j.Split.Mismatch.Reached() {
		h.Limit *= 10
	}
	return h.Reached()
}

// verdict decides, and says why. Everything that is not proven is not Safe.
//
// Where the baseline's answers on a route cannot be read, an equal candidate's
// cannot either, so nothing proves it safe. Harm that was found in what can be
// read still comes first: it takes the traffic away from the candidate, which
// Unmeasurable does not.
func (p Plan) verdict(e Evidence, j *Judgement) (Verdict, string) {
	route, unreadable := e.Baseline.unreadable()
	switch {
	case e.Tripped != "":
		return Harmed, e.Tripped
	case j.exceeded() != nil:
		return Harmed, j.exceeded().over()
	case j.harmShown():
		s := j.harmed()
		if unreadable {
			s += "; " + route.notRead(e.Baseline.Arm)
		}
		return Harmed, s
	case j.stratum() != nil && !j.Split.Mismatch.Reached():
		return Harmed, j.stratum().Reason
	case j.Split.Mismatch.Reached():
		return Unmeasurable, j.mismatched()
	case unreadable:
		return Unmeasurable, route.notRead(e.Baseline.Arm)
	case slices.ContainsFunc(j.Metrics, func(f Finding) bool { return f.Incident }):
		return Incident, j.incident()
	case e.Candidate.of(served) == 0:
		s := e.Candidate.unserved()
		if e.fewUnits() {
			s += "; " + e.tooFew(p.Unit)
		}
		return NoEvidence, s
	case j.Baseline.Requests == 0:
		return Unmeasurable, "no request of " + j.Baseline.Arm + " could be counted, so there is nothing to compare with"
	case min(e.Compared[0], e.Compared[1]) == 0:
		return Unmeasurable, e.uncompared()
	case min(j.Candidate.Served, j.Baseline.Served) < p.MinSamples:
		return Continue, j.collecting(p)
	}
	proven := 0
	var open, blind []Finding
	for _, f := range j.Metrics {
		switch {
		case f.Role != Gate, f.Verdict == NoEvidence:
		case f.Verdict == Safe:
			proven++
		case f.Verdict == Unmeasurable:
			blind = append(blind, f)
		default:
			open = append(open, f)
		}
	}
	switch {
	case len(blind) > 0:
		return Unmeasurable, unmeasurable(blind)
	case len(open) > 0 || proven == 0:
		return Continue, j.unproven(open, e.Warming)
	case e.troubled() != "":
		return Continue, e.troubled()
	case e.fewUnits():
		return Continue, e.tooFew(p.Unit)
	case j.Followed < minFollowed:
		return Continue, fmt.Sprintf("no harm seen; of %s of the requests it is not known what became of them", percent(1-j.Followed))
	}
	return Safe, j.safe()
}

// minFollowed is the share of the requests of which something must be known before
// the verdict may be Safe.
const minFollowed = 0.99
