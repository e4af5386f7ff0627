package strategies

import (
	"fmt"
	"time"

	"github.com/serin-go/serin/checks"
	"github.com/serin-go/serin/checks/analysis"
)

// Phase is the phase of a rollout. The zero value is Preflight: no traffic has moved.
type Phase int

const (
	Preflight   Phase = iota // waits for the checks before any traffic moves
	Approving                // waits for the approval of a stage; the split is the one before the stage
	BeforeStage              // waits for the checks before a stage; the split is the one before the stage
	Baking                   // applies the stage's split and collects evidence
	AfterStage               // waits for the checks after a stage; its split still applies
	Monitoring               // monitors the candidate after the last stage
	Postflight               // waits for the checks after monitoring
	RampingDown              // reduces the candidate's share in steps after a command

	// The five outcomes. They are final.
	Promoted   // the candidate has all traffic
	RolledBack // the evidence or a check was against the candidate; the baseline has all traffic
	Aborted    // a person ended the rollout; the baseline has all traffic
	Superseded // a newer rollout of the same target replaced it
	Failed     // it could not run; no traffic has moved
)

// Terminal reports whether p is an outcome.
func (p Phase) Terminal() bool { return p >= Promoted }

// Checking reports whether p waits for checks.
func (p Phase) Checking() bool {
	return p == Preflight || p == BeforeStage || p == AfterStage || p == Postflight
}

// Timed reports whether the time in p counts, for a bake, a limit, monitoring or a
// deadline.
func (p Phase) Timed() bool {
	return p == Baking || p == Approving || p == Monitoring || p == RampingDown
}

// Command is the command of a person. The zero value is NoCommand.
type Command int

const (
	NoCommand    Command = iota
	Pause                // stay at this split until Resume; guards stay active
	Resume               // continue after Pause or a hold
	Promote              // end the stage now, without bake and proof; checks still apply
	Abort                // immediately give all traffic back to the baseline, finally
	Supersede            // end in favour of a newer rollout of the same target
	Approve              // approve the stage that waits for approval
	Reject               // reject it, which ends the rollout
	Skip                 // skip a stage that has not begun; the next one's approval and checks apply
	PromoteFully         // go to the last stage now; its approval and checks still apply
	RampDown             // end the rollout, and reduce the candidate's share in steps
)

// RampStep is one step of a ramp-down; see [RampDown].
type RampStep struct {
	// Weight is the candidate's share during the step, below the one before.
	Weight Weight `json:"weight"`
	// For is the duration of the step.
	For time.Duration `json:"for_ns"`
}

// State is the input of [Next].
type State struct {
	Phase Phase
	// Stage is the index of the stage of Phase; 0 during Preflight.
	Stage int
	// Paused means that only a command of a person moves the rollout forward.
	Paused bool
	// Baked is the time in the stage, without pauses. Waited is the time in this phase
	// since it began or was last resumed. The Limit of a stage and the Timeout of an
	// approval refer to Waited, so resuming a held rollout starts a new Limit.
	Baked, Waited time.Duration
	// Samples is the number of the candidate's requests during the stage.
	Samples int
	// Verdict is the latest verdict on the candidate, over the whole rollout.
	Verdict analysis.Verdict
	// VerdictReason is used as the reason of a decision that depends on Verdict.
	VerdictReason string
	// SplitError is the reason why the split of this state cannot be applied, or "".
	SplitError string
	// Monitor is the duration of the monitoring after the last stage. Postflight means
	// that checks follow.
	Monitor    time.Duration
	Postflight bool
	// Checked means that the checks of a checking phase have finished. Checks is their
	// result, and ChecksReason the reason.
	Checked      bool
	Checks       checks.Status
	ChecksReason string
	// Consent is the result of the votes in an approving phase, with the reason.
	Consent       Consent
	ConsentReason string
	// Frozen is the reason why no stage may begin, such as a freeze window, or "". A
	// freeze does not affect other moves. But if HeldBack is set, monitoring or the
	// promotion would raise the candidate's share, and is frozen too.
	Frozen   string
	HeldBack bool
	// Standing lists the standing checks that do not pass, or "". OnStanding is the
	// action for them: ActionHold, ActionEscalate or ActionRollBack.
	Standing   string
	OnStanding Action
	// RampDown lists the steps of a ramp-down. Step is the present step in RampingDown.
	RampDown []RampStep
	Step     int
	// Rivals lists the candidates of a contest, in the order of the plan. Other stages
	// ignore it. Shares lists the present weights of the baseline and the rivals.
	// Allocated is the value of Baked at their last change.
	Rivals    []Rival
	Shares    []Weight
	Allocated time.Duration
	// Command is the command of a person, or NoCommand.
	Command Command
}

// Rival is one of several candidates in a contest.
type Rival struct {
	Arm     string
	Dropped bool // removed, without traffic
	// Verdict, VerdictReason and Samples belong to this candidate.
	Verdict       analysis.Verdict
	VerdictReason string
	Samples       int
	// Gain is the estimated improvement over the baseline in the metric of the rollout.
	// Spread is its standard deviation. They are valid if Known is set. They order
	// candidates that are no worse, and determine the allocation of traffic.
	Gain, Spread float64
	Known        bool
}

// Do is the kind of a [Decision]. The zero value is DoStay.
type Do int

const (
	DoStay      Do = iota // no change
	DoEnter               // enter Phase, Stage and Step of the decision
	DoPause               // pause
	DoResume              // resume
	DoRefuse              // refuse the command, which is not possible in this state
	DoTakeVote            // record the vote
	DoDrop                // remove Arm from the contest; the baseline gets its traffic
	DoRebalance           // set the weights of the baseline and the rivals to Shares
)

// Decision is the result of [Next]: the next move and the reason.
type Decision struct {
	Do     Do
	Phase  Phase // to enter, if Do is DoEnter
	Stage  int
	Step   int  // of the ramp-down, if Phase is RampingDown
	Resume bool // the move also ends a pause
	// Arm is the rival to remove if Do is DoDrop, or the winner if Do is DoEnter. It is
	// empty otherwise.
	Arm    string
	Shares []Weight // of the baseline and the rivals, if Do is DoRebalance
	Urgent bool     // alert people
	// Rule is the stable name of the deciding rule, such as "harm".
	Rule   string
	Reason string
}

// Next returns the next decision of a rollout. It is pure: equal stages and states give
// equal decisions. It is total: every state has a decision, and an impossible state does
// not change. Its rules, in order:
//
//  1. An outcome is final.
//  2. Abort and Supersede always end the rollout.
//  3. Harm immediately rolls back: also during pauses, approvals and checks, and in spite
//     of Promote.
//  4. A standing check that does not pass rolls back or pauses.
//  5. A split that cannot be applied ends the rollout.
//  6. Other commands are executed if they are possible, and refused otherwise. No command
//     skips an approval or a check that is due.
//  7. Checks that are Fail or Unknown end the rollout.
//  8. A ramp-down continues.
//  9. A paused rollout stays.
//  10. Granted approvals, and checks that are Pass or Warn, start the next phase.
//  11. A stage ends when its bake, its samples and its evidence are complete. At its
//     limits, its actions apply. Until then, a contest may rebalance its traffic.
//  12. During a freeze, no stage begins, and neither monitoring nor a promotion raises the
//     candidate's share.
func Next(stages []Stage, s State) Decision {
	d := next(stages, s)
	gives := d.Do == DoEnter && (d.Phase == Monitoring || d.Phase == Promoted) && s.HeldBack
	begins := d.Do == DoEnter && d.Phase == Baking || gives
	switch {
	case !begins || s.Frozen == "":
		return d
	case s.Command != NoCommand && gives:
		return refuse(s, "the held-back traffic is frozen: "+s.Frozen)
	case s.Command != NoCommand:
		return refuse(s, "stages are frozen: "+s.Frozen)
	case gives:
		return Decision{Rule: "frozen", Reason: "waiting to give the held-back traffic to the candidate: " + s.Frozen}
	default:
		return Decision{Rule: "frozen", Reason: "waiting to begin stage " + stages[d.Stage].Name + ": " + s.Frozen}
	}
}

// RuleStanding is the Rule of decisions that standing checks cause.
const RuleStanding = "standing"

// onward reports whether c may move the rollout forward.
func (c Command) onward() bool {
	switch c {
	case Pause, Abort, Supersede, Reject, RampDown:
		return false
	}
	return true
}

// possible reports whether s can be reached in n stages.
func (s State) possible(n int) bool {
	switch {
	case s.Phase < 0 || s.Phase > Failed:
		return false
	case s.Phase.Terminal():
		return true
	case s.Phase == Preflight:
		return s.Stage == 0 && n > 0
	case s.Phase == Monitoring || s.Phase == Postflight:
		return s.Stage == n-1 && n > 0
	default:
		return s.Stage >= 0 && s.Stage < n
	}
}

func next(stages []Stage, s State) Decision {
	switch {
	case !s.possible(len(stages)):
		return Decision{Do: DoRefuse, Rule: "state", Reason: fmt.Sprintf("impossible state: %v, stage %d of %d", s.Phase, s.Stage, len(stages))}
	case s.Phase.Terminal():
		if s.Command != NoCommand {
			return refuse(s, "the rollout is over: "+s.Phase.String())
		}
		return Decision{Rule: "final", Reason: s.Phase.String()}
	case s.Command == Abort:
		return finish(s, Aborted, "command", "aborted")
	case s.Command == Supersede:
		return finish(s, Superseded, "command", "superseded by a newer rollout")
	case s.contest(stages) && harmed(s) != nil:
		return drop(s, harmed(s))
	case s.Verdict == analysis.Harmed && !s.contest(stages):
		return finish(s, RolledBack, "harm", orElse(s.VerdictReason, "the candidate is worse than the baseline"))
	case s.Standing != "" && s.OnStanding == ActionRollBack && s.Phase != RampingDown:
		return finish(s, RolledBack, RuleStanding, s.Standing)
	case s.SplitError != "":
		return finish(s, backOut(s), "split", "cannot apply the split: "+s.SplitError)
	case s.Standing != "" && !s.Paused && s.Phase != RampingDown && s.Command.onward():
		return Decision{
			Do: DoPause, Phase: s.Phase, Stage: s.Stage, Urgent: s.OnStanding == ActionEscalate, Rule: RuleStanding,
			Reason: s.Standing + "; a person must resume, promote or abort",
		}
	case s.Command != NoCommand:
		return command(stages, s)
	case s.Phase.Checking() && s.Checked && s.Checks != checks.Pass && s.Checks != checks.Warn:
		return finish(s, backOut(s), "checks", because(fmt.Sprintf("%s checks: %s", s.Phase, s.Checks), s.ChecksReason))
	case s.Phase == RampingDown:
		return rampDown(s)
	case s.Paused:
		return Decision{Rule: "paused", Reason: "paused"}
	case s.Phase.Checking():
		return checked(stages, s)
	case s.Phase == Approving:
		return approve(stages, s)
	case s.Phase == Monitoring:
		return monitor(s)
	case s.contest(stages):
		return compete(stages, s)
	default:
		return bake(stages, s)
	}
}
