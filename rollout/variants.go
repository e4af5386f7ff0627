package rollout

import (
	"fmt"
	"math"
	"slices"
	"time"

	"github.com/serin-go/serin/checks/analysis"
	"github.com/serin-go/serin/strategies"
)

// candidates returns the arms that may take the baseline's place, the plan's
// candidate first.
func (p Plan) candidates() []string {
	arms := []string{p.Candidate.Arm()}
	for _, r := range p.Rivals {
		arms = append(arms, r.Arm())
	}
	return arms
}

// validateRivals checks what is particular about several candidates.
func (p Plan) validateRivals(bad func(field string, value any, want string)) {
	seen := map[string]bool{p.Baseline.Arm(): true, p.Candidate.Arm(): true}
	for i, r := range p.Rivals {
		if seen[r.Arm()] {
			bad(fmt.Sprintf("Rivals[%d].Version", i), r.Arm(), "a version that no other arm has")
		}
		seen[r.Arm()] = true
	}
	contests := 0
	for i, s := range p.Stages {
		if !s.Contest {
			continue
		}
		contests++
		for _, arm := range p.candidates() {
			if s.Split.Weight(arm) == 0 {
				bad(fmt.Sprintf("Stages[%d].Split.Arms", i), arm+" without traffic", "a share for every candidate that competes")
			}
		}
	}
	if len(p.Rivals) > 0 && contests != 1 {
		bad("Rivals", len(p.Rivals), "one stage that is a contest, such as the one of strategies.AB")
	}
	metrics := p.Analysis.Metrics
	if metrics == nil {
		metrics = analysis.DefaultMetrics()
	}
	if p.Goal != "" && !slices.ContainsFunc(metrics, func(m analysis.Metric) bool { return m.Name == p.Goal }) {
		bad("Goal", fmt.Sprintf("%q", p.Goal), "the name of a metric of the analysis")
	}
}

// candidate returns the arm that may take the baseline's place: the winner of
// the contest, once there is one.
func (d *document) candidate() string {
	if d.Winner != "" {
		return d.Winner
	}
	return d.Plan.Candidate.Arm()
}

// renamed returns s with the plan's candidate replaced by the one that has won.
func (d *document) renamed(s strategies.Split) strategies.Split {
	from, to := d.Plan.Candidate.Arm(), d.candidate()
	if from == to {
		return s
	}
	s.Arms, s.Rules, s.Mirrors = slices.Clone(s.Arms), slices.Clone(s.Rules), slices.Clone(s.Mirrors)
	for i := range s.Arms {
		if s.Arms[i].Name == from {
			s.Arms[i].Name = to
		}
	}
	for i := range s.Rules {
		if s.Rules[i].Arm == from {
			s.Rules[i].Arm = to
		}
	}
	for i := range s.Mirrors {
		if s.Mirrors[i].Arm == from {
			s.Mirrors[i].Arm = to
		}
	}
	return s
}

// drop takes a variant's traffic away, in favour of the baseline.
func (d *document) drop(arm string, now time.Time) {
	d.Dropped = append(slices.Clone(d.Dropped), arm)
	d.reshare(now, func(arms []strategies.Arm) {
		for i := range arms {
			if arms[i].Name == arm {
				arms[0].Weight += arms[i].Weight
				arms[i].Weight = 0
			}
		}
	})
}

// rebalance gives the baseline and the variants new shares of the traffic.
func (d *document) rebalance(shares []strategies.Weight, now time.Time) {
	d.Allocated = d.Baked
	of := make(map[string]strategies.Weight, len(shares))
	for i, arm := range d.competing() {
		of[arm] = shares[i]
	}
	d.reshare(now, func(arms []strategies.Arm) {
		for i := range arms {
			arms[i].Weight = of[arms[i].Name]
		}
	})
}

// reshare changes the weights of the split, and moves no user who need not move.
func (d *document) reshare(now time.Time, change func([]strategies.Arm)) {
	split := d.Split
	split.Arms, split.Table = slices.Clone(split.Arms), nil
	change(split.Arms)
	split = split.Follow(d.Split)
	split.Generation = d.Split.Generation + 1
	d.Split, d.SplitAt = split, now.UTC().Round(0)
}

// competing returns the arms of the contest, the baseline first and the
// candidates in the order of the plan.
func (d *document) competing() []string {
	return append([]string{d.Plan.Baseline.Arm()}, d.Plan.candidates()...)
}

// shares returns the weights in force of the arms that compete.
func (d *document) shares() []strategies.Weight {
	var list []strategies.Weight
	for _, arm := range d.competing() {
		list = append(list, d.Split.Weight(arm))
	}
	return list
}

// win makes one of several candidates the candidate.
func (d *document) win(arm string) {
	if arm != d.candidate() {
		d.Evidence = d.Others[arm]
	}
	d.Winner, d.Others = arm, nil
}

// variant is a further candidate as this process compares it.
type variant struct {
	arm       string
	cmp       *analysis.Comparison
	base      analysis.Evidence // from before this process began
	judgement analysis.Judgement
}

// startVariants begins the comparison of the further candidates, as long as there is a
// contest to come.
func (d *driver) startVariants() error {
	d.variants = nil
	if d.doc.Winner != "" {
		return nil
	}
	for _, arm := range d.doc.Plan.candidates()[1:] {
		cmp, err := d.seen.Comparison(arm)
		if err != nil {
			return err
		}
		r := &variant{arm: arm, cmp: cmp}
		if !d.e.shared() {
			r.base = d.doc.Others[arm]
		}
		d.variants = append(d.variants, r)
	}
	return nil
}

// promoteWinner makes the winner's comparison the current one, if the plan's candidate has
// not won.
func (d *driver) promoteWinner() {
	if d.doc.Winner == "" || len(d.variants) == 0 {
		return
	}
	for _, r := range d.variants {
		if r.arm == d.doc.Winner {
			d.cmp, d.base, d.judgement = r.cmp, r.base, r.judgement
		}
	}
	d.variants = nil
}

// variantStates returns all candidates that compete, as strategies.Next needs them.
func (d *driver) variantStates() []strategies.Rival {
	if len(d.variants) == 0 {
		return nil
	}
	list := []strategies.Rival{d.variantState(d.doc.Plan.Candidate.Arm(), d.judgement, d.doc.Evidence)}
	for _, r := range d.variants {
		list = append(list, d.variantState(r.arm, r.judgement, d.doc.Others[r.arm]))
	}
	return list
}

func (d *driver) variantState(arm string, j analysis.Judgement, e analysis.Evidence) strategies.Rival {
	r := strategies.Rival{
		Arm: arm, Dropped: slices.Contains(d.doc.Dropped, arm),
		Verdict: j.Verdict, VerdictReason: j.Reason, Samples: e.Requests(arm),
	}
	r.Gain, r.Spread, r.Known = gain(j, d.doc.Plan.Goal)
	return r
}

// gain returns how much better the candidate seems to be in one metric, and the standard
// deviation of that number. It derives the deviation from the effect's interval as if the
// effect were normally distributed. The interval is valid at all times, so it is wider
// than an interval for one time, and traffic moves carefully.
func gain(j analysis.Judgement, goal string) (value, spread float64, known bool) {
	for _, f := range j.Metrics {
		if f.Metric != goal || !f.Effect.Known {
			continue
		}
		e := f.Effect
		if e.Ratio {
			e.Value, e.Low, e.High = math.Log(e.Value), math.Log(e.Low), math.Log(e.High)
		}
		if f.Better == analysis.Lower {
			e.Value = -e.Value
		}
		return e.Value, (e.High - e.Low) / 2 / (math.Sqrt2 * math.Erfinv(e.Level)), true
	}
	return 0, 0, false
}

// verdicts returns the judgements of the further candidates, for an event to
// keep.
func (d *driver) verdicts() []analysis.Judgement {
	var list []analysis.Judgement
	for _, r := range d.variants {
		list = append(list, r.judgement)
	}
	return list
}
