package strategies

import (
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/serin-go/serin/checks/analysis"
)

// command executes every command except Abort and Supersede.
func command(stages []Stage, s State) Decision {
	last := s.Stage == len(stages)-1
	switch s.Command {
	case Pause:
		if s.Paused {
			return refuse(s, "the rollout is already paused")
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
			return setWinner(stages, s, byHand(leave(stages, s, "command", "promoted from stage "+stages[s.Stage].Name)))
		case Monitoring:
			return byHand(monitored(s, "command", "the monitoring was ended"))
		}
		return refuse(s, waitsFor(s))
	case PromoteFully:
		to := len(stages) - 1
		switch {
		case s.Phase == Baking && passesApproval(stages, s.Stage+1, to):
			return refuse(s, "a stage in between requires an approval, which cannot be skipped; promote to that stage")
		case s.Phase == Baking && !last:
			return setWinner(stages, s, byHand(arrive(stages, to, "command", "promoted fully")))
		case s.Phase == Baking:
			return setWinner(stages, s, byHand(leave(stages, s, "command", "promoted fully")))
		case s.Phase == Monitoring:
			return byHand(monitored(s, "command", "promoted fully"))
		}
		return refuse(s, waitsFor(s))
	case Skip:
		if s.Phase != Approving && s.Phase != BeforeStage {
			return refuse(s, "only a stage that has not begun can be skipped; the phase is "+s.Phase.String())
		}
		if last {
			return refuse(s, "the last stage cannot be skipped")
		}
		if s.Phase == Approving && passesApproval(stages, s.Stage, s.Stage+1) {
			return refuse(s, "the stage waits for an approval, and the next one requires none")
		}
		return byHand(arrive(stages, s.Stage+1, "command", "stage "+stages[s.Stage].Name+" skipped"))
	case Approve, Reject:
		if s.Phase != Approving {
			return refuse(s, "no approval is pending; the phase is "+s.Phase.String())
		}
		return Decision{Do: DoTakeVote, Phase: s.Phase, Stage: s.Stage, Rule: "command", Reason: s.Command.String()}
	case RampDown:
		switch {
		case s.Phase == RampingDown:
			return refuse(s, "the rollout is already ramping down")
		case len(s.RampDown) == 0:
			return refuse(s, "the plan has no ramp-down; abort instead")
		case backOut(s) == Failed:
			return finish(s, Aborted, "command", "aborted before any traffic had moved")
		}
		return Decision{Do: DoEnter, Phase: RampingDown, Stage: s.Stage, Rule: "command", Reason: "aborted; ramping down the candidate"}
	}
	return refuse(s, "unknown command")
}

// passesApproval reports whether a move to stage to skips the approval of a stage in
// from..to, because to itself requires none.
func passesApproval(stages []Stage, from, to int) bool {
	if to >= len(stages) || stages[to].Approve != nil {
		return false
	}
	return slices.ContainsFunc(stages[min(from, to):to], func(s Stage) bool { return s.Approve != nil })
}

// waitsFor returns the reason why a rollout cannot be promoted now.
func waitsFor(s State) string {
	switch {
	case s.Phase.Checking():
		return "its checks (" + s.Phase.String() + ") have not finished, and cannot be skipped"
	case s.Phase == Approving:
		return "the stage waits for an approval, which cannot be skipped"
	default:
		return "the rollout is ramping down"
	}
}

// byHand marks a move by a person's command, which also ends a pause.
func byHand(d Decision) Decision {
	d.Resume = true
	return d
}

// rampDown continues a ramp-down.
func rampDown(s State) Decision {
	switch {
	case s.Step < 0 || s.Step >= len(s.RampDown):
		return finish(s, Aborted, "ramp down", "aborted")
	case s.Waited < s.RampDown[s.Step].For:
		return Decision{Rule: "ramp down", Reason: "ramping down: candidate at " + s.RampDown[s.Step].Weight.String()}
	case s.Step+1 < len(s.RampDown):
		return Decision{Do: DoEnter, Phase: RampingDown, Stage: s.Stage, Step: s.Step + 1, Rule: "ramp down", Reason: "ramping down: candidate to " + s.RampDown[s.Step+1].Weight.String()}
	default:
		return finish(s, Aborted, "ramp down", "aborted; ramp-down complete")
	}
}

// approve decides a stage that waits for an approval.
func approve(stages []Stage, s State) Decision {
	a := stages[s.Stage].Approve
	switch {
	case a == nil || s.Consent == Granted:
		return prepare(stages, s.Stage, "approval", orElse(s.ConsentReason, "no approval is required"))
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

// minIncident is the minimum time by which an incident prolongs monitoring before a person
// is alerted. Otherwise this is the planned duration once more.
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

// checked decides a checking phase whose checks are running or have passed.
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
		missing = because("comparable measurements", s.VerdictReason)
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

// expire applies an action after a limit.
func expire(s State, a Action, outcome Phase, rule, reason string) Decision {
	if a == ActionRollBack {
		return finish(s, outcome, rule, reason)
	}
	return Decision{
		Do: DoPause, Phase: s.Phase, Stage: s.Stage, Urgent: a == ActionEscalate, Rule: rule,
		Reason: reason + "; a person must resume, promote or abort",
	}
}

// ended returns the reason why a stage ends successfully.
func ended(stage Stage, s State) string {
	if stage.Until == UntilSafe {
		return orElse(s.VerdictReason, "the candidate is no worse")
	}
	return fmt.Sprintf("baked %v with %d samples, no harm seen", stage.Bake, s.Samples)
}

// arrive enters stage i, by its approval and its checks if it has any.
func arrive(stages []Stage, i int, rule, reason string) Decision {
	if stages[i].Approve != nil {
		return Decision{Do: DoEnter, Phase: Approving, Stage: i, Rule: rule, Reason: reason}
	}
	return prepare(stages, i, rule, reason)
}

// prepare enters stage i, by its checks if it has any.
func prepare(stages []Stage, i int, rule, reason string) Decision {
	phase := Baking
	if len(stages[i].Before) > 0 {
		phase = BeforeStage
	}
	return Decision{Do: DoEnter, Phase: phase, Stage: i, Rule: rule, Reason: reason}
}

// leave leaves the stage, by its checks if it has any.
func leave(stages []Stage, s State, rule, reason string) Decision {
	if len(stages[s.Stage].After) > 0 {
		return Decision{Do: DoEnter, Phase: AfterStage, Stage: s.Stage, Rule: rule, Reason: reason}
	}
	return follow(stages, s, rule, reason)
}

// follow enters the phase after the stage.
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

// promote ends the rollout successfully.
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

// backOut returns the outcome of a rollout that cannot continue: Failed if no traffic has
// moved.
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
