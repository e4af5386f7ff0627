package strategies

import (
	"fmt"
	"time"

	"github.com/serin-go/serin/checks/analysis"
)

// contest reports whether several candidates compete in this state.
func (s State) contest(stages []Stage) bool {
	return s.Phase == Baking && stages[s.Stage].Contest && len(s.Rivals) > 0
}

// harmed returns the first rival that does harm and is still in.
func harmed(s State) *Rival {
	for i := range s.Rivals {
		if r := &s.Rivals[i]; !r.Dropped && r.Verdict == analysis.Harmed {
			return r
		}
	}
	return nil
}

// drop removes a rival. If it is the last, the rollout ends.
func drop(s State, out *Rival) Decision {
	reason := out.Arm + ": " + orElse(out.VerdictReason, "worse than the baseline")
	for _, r := range s.Rivals {
		if !r.Dropped && r.Arm != out.Arm {
			return Decision{Do: DoDrop, Phase: s.Phase, Stage: s.Stage, Arm: out.Arm, Rule: "harm", Reason: reason}
		}
	}
	return finish(s, RolledBack, "harm", reason+"; no candidate is left")
}

// compete decides a contest in which no candidate does harm.
func compete(stages []Stage, s State) Decision {
	stage := stages[s.Stage]
	if d, due := allocate(stage, s); due {
		return d
	}
	if s.Baked < stage.Bake {
		return Decision{Rule: "bake", Reason: fmt.Sprintf("baking: %v of %v", s.Baked.Round(time.Second/10), stage.Bake)}
	}
	best, missing, silent := leader(stage, s)
	win := func(rule, reason string) Decision {
		d := leave(stages, s, rule, reason)
		d.Arm = best.Arm
		return d
	}
	if missing == "" {
		return win("evidence", best.Arm+" wins: "+orElse(best.VerdictReason, "no worse than the baseline"))
	}
	action, limit, rule := stage.OnLimit, stage.limit(), "limit"
	if silent {
		action, limit, rule = stage.OnNoEvidence, stage.evidenceLimit(), "no evidence"
	}
	if s.Waited < limit {
		return Decision{Rule: rule, Reason: "waiting for " + missing}
	}
	reason := fmt.Sprintf("horizon of %v reached without %s", limit, missing)
	if action == ActionContinue {
		return win(rule, reason+"; "+best.Arm+" is the best remaining candidate")
	}
	return expire(s, action, RolledBack, rule, reason)
}

// setWinner sets the winner of the contest that a promotion by hand ends.
func setWinner(stages []Stage, s State, d Decision) Decision {
	if s.contest(stages) {
		best, _, _ := leader(stages[s.Stage], s)
		d.Arm = best.Arm
	}
	return d
}

// leader returns the best remaining rival, the condition that is missing for it to win,
// and whether a rival has no samples. A rival that is shown to be no worse is better than
// one that is not. Then the gain decides, and then the order of the plan.
func leader(stage Stage, s State) (best Rival, missing string, silent bool) {
	better := func(a, b Rival) bool {
		if sa, sb := a.Verdict == analysis.Safe, b.Verdict == analysis.Safe; sa != sb {
			return sa
		}
		return a.Gain > b.Gain
	}
	found := false
	for _, r := range s.Rivals {
		if r.Dropped {
			continue
		}
		if !found || better(r, best) {
			best, found = r, true
		}
		switch {
		case missing != "":
		case r.Samples < stage.samples():
			missing = fmt.Sprintf("samples of %s: %d of %d", r.Arm, r.Samples, stage.samples())
		case r.Verdict == analysis.Incident:
			missing = "an end of the incident"
		case r.Verdict != analysis.Safe:
			missing = "proof that " + r.Arm + " is no worse"
		}
		silent = silent || r.Samples == 0
	}
	return best, missing, silent
}
