package strategies

import (
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/serin-go/serin/checks/analysis"
)

// command carries out every command but Abort and Supersede.
func command(stages []Stage, s State) Decision {
	last := s.Stage == len(stages)-1
	switch s.Command {
	case Pause:
		if s.Paused {
			return refuse(s, "the rollout is paused already")
		}
		return Decision{Do: DoPause, Phase: s.Phase, Stage: s.Stage, Rule: "command", Reason: "paused"}
	case Resume:
		if !s.Paused {
			return refuse(s, "the rollout is not paused")
		}
		return Decision{Do: DoResume, Phase: s.Phase, Stage: s.Stage, Rule: "command", Reason: "resumed"}
	case Promote:
		switch s.Phase {
		case Baking:
			return crown(stages, s, byHand(leave(stages, s, "command", "promoted out of stage "+stages[s.Stage].Name)))
		case Monitoring:
			return byHand(monitored(s, "command", "the monitoring was ended"))
		}
		return refuse(s, waitsFor(s))
	case PromoteFully:
		to := len(stages) - 1
		switch {
		case s.Phase == Baking && passesApproval(stages, s.Stage+1, to):
			return refuse(s, "a stage in between asks for an approval, which is never passed over; promote to that stage")
		case s.Phase == Baking && !last:
			return crown(stages, s, byHand(arrive(stages, to, "command", "promoted fully")))
		case s.Phase == Baking:
			return crown(stages, s, byHand(leave(stages, s, "command", "promoted fully")))
		case s.Phase == Monitoring:
			return byHand(monitored(s, "command", "promoted fully"))
		}
		return refuse(s, waitsFor(s))
	case Skip:
		if s.Phase != Approving && s.Phase != BeforeStage {
			return refuse(s, "only a stage that has not begun can be passed over; this is "+s.Phase.String())
		}
		if last {
			return refuse(s, "the last stage cannot be passed over")
		}
		if s.Phase == Approving && passesApproval(stages, s.Stage, s.Stage+1) {
			return refuse(s, "the stage waits for an approval, and the next one asks for none")
		}
		return byHand(arrive(stages, s.Stage+1, "command", "stage "+stages[s.Stage].Name+" was passed over"))
	case Approve, Reject:
		if s.Phase != Approving {
			return refuse(s, "nothing waits for approval; this is "+s.Phase.String())
		}
		return Decision{Do: DoTakeVote, Phase: s.Phase, Stage: s.Stage, Rule: "command", Reason: s.Command.String()}
	case RampDown:
		switch {
		case s.Phase == RampingDown:
			return refuse(s, "it is on its way down already")
		case len(s.RampDown) == 0:
			return refuse(s, "the plan has no way down; abort instead")
		case backOut(s) == Failed:
			return finish(s, Aborted, "command", "aborted before any traffic had moved")
		}
		return Decision{Do: DoEnter, Phase: RampingDown, Stage: s.Stage, Rule: "command", Reason: "aborted; the candidate's share goes down"}
	}
	return refuse(s, "there is no such command")
}

// passesApproval reports whether going to stage to leaves out the approval of a stage
// from from on: to itself asks for none.
func passesApproval(stages []Stage, from, to int) bool {
	if to >= len(stages) || stages[to].Approve != nil {
		return false
	}
	return slices.ContainsFunc(stages[min(from, to):to], func(s Stage) bool { return s.Approve != nil })
}

// waitsFor says what stands between a rollout and the stage it would go to.
func waitsFor(s State) string {
	switch {
	case s.Phase.Checking():
		return "its checks (" + s.Phase.String() + ") have not finished; they are never skipped"
	case s.Phase == Approving:
		return "the stage waits for approval, which is never skipped"
	default:
		return "it is on its way down"
	}
}

// byHand marks a move that a person asked for: it ends a pause as well.
func byHand(d Decision) Decision {
	d.Resume = true
	return d
}

// descend goes on with the way down.
func descend(s State) Decision {
	switch {
	case s.Step < 0 || s.Step >= len(s.RampDown):
		return finish(s, Aborted, "ramp down", "aborted")
	case s.Waited < s.RampDown[s.Step].For:
		return Decision{Rule: "ramp down", Reason: "going down: " + s.RampDown[s.Step].Weight.String()}
	case s.Step+1 < len(s.RampDown):
		return Decision{Do: DoEnter, Phase: RampingDown, Stage: s.Stage, Step: s.Step + 1, Rule: "ramp down", Reason: "going down to " + s.RampDown[s.Step+1].Weight.String()}
	default:
		return finish(s, Aborted, "ramp down", "aborted; the way down is complete")
	}
}

// approve decides a stage that waits for people.
func approve(stages []Stage, s State) Decision {
	a := stages[s.Stage].Approve
	switch {
	case a == nil || s.Consent == Granted:
		return prepare(stages, s.Stage, "approval", orElse(s.ConsentReason, "nobody has to approve"))
	case s.Consent == Rejected:
		return finish(s, Aborted, "approval", orElse(s.ConsentReason, "rejected"))
	case s.Waited < a.patience():
		return Decision{Rule: "approval", Reason: because("waiting for approval", s.ConsentReason)}
	}
	reason := because(fmt.Sprintf("no approval within %v", a.patience()), s.ConsentReason)
	if a.OnTimeout == ActionContinue {
		return prepare(stages, s.Stage, "approval timeout", reason)
	}
	return expire(s, a.OnTimeout, backOut(s), "approval timeout", reason)
}

// minIncident is how much longer than planned monitoring lasts at least before a person is
// called to an incident that has not ended. Otherwise it is as long again as planned.
const minIncident = 10 * time.Minute

// monitor decides a rollout whose stages are complete.
func monitor(s State) Decision {
	if s.Verdict == analysis.Incident {
		if limit := s.Monitor + max(s.Monitor, minIncident); s.Waited >= limit {
			return expire(s, ActionEscalate, RolledBack, "incident", fmt.Sprintf("the monitoring of %v cannot end after %v: %s", s.Monitor, limit, orElse(s.VerdictReason, "an incident lasts")))
		}
		return Decision{Rule: "incident", Reason: "waiting for an end of the incident: " + orElse(s.VerdictReason, "an incident")}
	}
	if s.Waited < s.Monitor {
		return Decision{Rule: "monitor", Reason: fmt.Sprintf("monitoring: %v of %v", s.Waited.Round(time.Second/10), s.Monitor)}
	}
	return monitored(s, "monitor", fmt.Sprintf("monitored for %v, no harm seen", s.Monitor))
}

func monitored(s State, rule, reason string) Decision {
	if s.Postflight {
		return Decision{Do: DoEnter, Phase: Postflight, Stage: s.Stage, Rule: rule, Reason: reason}
	}
	if rule != "command" {
		rule = "complete"
	}
	return promote(s, rule)
}

// checked decides a phase whose checks, if they have ended, have passed.
func checked(stages []Stage, s State) Decision {
	if !s.Checked {
		reason := s.Phase.String() + " checks are running"
		switch s.Phase {
		case BeforeStage:
			reason = "waiting for checks before the stage: " + strings.Join(stages[s.Stage].Before, ", ")
		case AfterStage:
			reason = "waiting for checks after the stage: " + strings.Join(stages[s.Stage].After, ", ")
		}
		return Decision{Rule: "checks", Reason: reason}
	}
	switch s.Phase {
	case Preflight:
		return arrive(stages, 0, "checks", "preflight checks: "+s.Checks.String())
	case BeforeStage:
		return Decision{Do: DoEnter, Phase: Baking, Stage: s.Stage, Rule: "checks", Reason: "checks before the stage: " + s.Checks.String()}
	case AfterStage:
		return follow(stages, s, "checks", "checks after the stage: "+s.Checks.String())
	default:
		return promote(s, "complete")
	}
}

// bake decides a stage whose split is in force.
func bake(stages []Stage, s State) Decision {
	stage := stages[s.Stage]
	var missing string
	switch {
	case s.Baked < stage.Bake:
		return Decision{Rule: "bake", Reason: fmt.Sprintf("baking: %v of %v", s.Baked.Round(time.Second/10), stage.Bake)}
	case s.Verdict == analysis.Incident:
		missing = "an end of the incident: " + s.VerdictReason
	case s.Samples < stage.samples():
		missing = fmt.Sprintf("samples: %d of %d", s.Samples, stage.samples())
	case s.Verdict == analysis.NoEvidence && stage.samples() > 0:
		missing = because("an answer of the candidate", s.VerdictReason)
	case s.Verdict == analysis.Unmeasurable && stage.compares():
		missing = because("something that can be compared", s.VerdictReason)
	case stage.Until == UntilSafe && s.Verdict != analysis.Safe:
		missing = "proof that the candidate is no worse"
	default:
		return leave(stages, s, "evidence", ended(stage, s))
	}
	action, limit, rule := stage.OnLimit, stage.limit(), "limit"
	switch {
	case s.Verdict == analysis.NoEvidence || s.Samples == 0:
		action, limit, rule = stage.OnNoEvidence, stage.evidenceLimit(), "no evidence"
	case s.Verdict == analysis.Unmeasurable:
		action, limit, rule = stage.OnUnmeasurable, stage.evidenceLimit(), "unmeasurable"
	}
	if s.Waited < limit {
		return Decision{Rule: rule, Reason: "waiting for " + missing}
	}
	reason := fmt.Sprintf("limit of %v reached without %s", limit, missing)
	if rule != "limit" {
		reason += " (verdict: " + s.Verdict.String() + ")"
	}
	if action == ActionContinue {
		return leave(stages, s, rule, reason)
	}
	return expire(s, action, RolledBack, rule, reason)
}

// expire carries out what is to happen when a limit has passed.
func expire(s State, a Action, outcome Phase, rule, reason string) Decision {
	if a == ActionRollBack {
		return finish(s, outcome, rule, reason)
	}
	return Decision{
		Do: DoPause, Phase: s.Phase, Stage: s.Stage, Urgent: a == ActionEscalate, Rule: rule,
		Reason: reason + "; a person must resume, promote or abort",
	}
}

// ended words why a stage ends well.
func ended(stage Stage, s State) string {
	if stage.Until == UntilSafe {
		return orElse(s.VerdictReason, "the candidate is no worse")
	}
	return fmt.Sprintf("baked %v with %d samples, no harm seen", stage.Bake, s.Samples)
}

// arrive goes to stage i by way of its approval and its checks, if it has any.
func arrive(stages []Stage, i int, rule, reason string) Decision {
	if stages[i].Approve != nil {
		return Decision{Do: DoEnter, Phase: Approving, Stage: i, Rule: rule, Reason: reason}
	}
	return prepare(stages, i, rule, reason)
}

// prepare goes to stage i by way of its checks, if it has any.
func prepare(stages []Stage, i int, rule, reason string) Decision {
	phase := Baking
	if len(stages[i].Before) > 0 {
		phase = BeforeStage
	}
	return Decision{Do: DoEnter, Phase: phase, Stage: i, Rule: rule, Reason: reason}
}

// leave leaves the stage by way of its checks, if it has any.
func leave(stages []Stage, s State, rule, reason string) Decision {
	if len(stages[s.Stage].After) > 0 {
		return Decision{Do: DoEnter, Phase: AfterStage, Stage: s.Stage, Rule: rule, Reason: reason}
	}
	return follow(stages, s, rule, reason)
}

// follow goes to what comes after the stage.
func follow(stages []Stage, s State, rule, reason string) Decision {
	switch {
	case s.Stage+1 < len(stages):
		return arrive(stages, s.Stage+1, rule, reason)
	case s.Monitor > 0:
		return Decision{Do: DoEnter, Phase: Monitoring, Stage: s.Stage, Rule: rule, Reason: reason}
	default:
		return monitored(s, rule, reason)
	}
}

// promote ends the rollout well.
func promote(s State, rule string) Decision {
	reason := "all stages are complete, no harm seen"
	if s.Verdict == analysis.Safe {
		reason = orElse(s.VerdictReason, reason)
	}
	return finish(s, Promoted, rule, reason)
}

func finish(s State, outcome Phase, rule, reason string) Decision {
	return Decision{Do: DoEnter, Phase: outcome, Stage: s.Stage, Rule: rule, Reason: reason}
}

// backOut is the outcome of a rollout that cannot go on: Failed as long as no
// traffic has moved.
func backOut(s State) Phase {
	if s.Phase == Preflight || s.Stage == 0 && (s.Phase == BeforeStage || s.Phase == Approving) {
		return Failed
	}
	return RolledBack
}

func because(what, why string) string {
	if why == "" {
		return what
	}
	return what + ": " + why
}

func refuse(s State, reason string) Decision {
	return Decision{Do: DoRefuse, Phase: s.Phase, Stage: s.Stage, Rule: "command", Reason: "cannot " + s.Command.String() + ": " + reason}
}

func orElse(s, otherwise string) string {
	if s == "" {
		return otherwise
	}
	return s
}
