package strategies

import (
	"fmt"
	"time"

	"github.com/serin-go/serin/checks"
	"github.com/serin-go/serin/checks/analysis"
)

// Phase says where a rollout stands. The zero value is Preflight: no traffic
// has moved yet.
type Phase int

const (
	Preflight   Phase = iota // the checks before any traffic moves are due
	Approving                // people must agree before a stage; the split is still the one before it
	BeforeStage              // the checks before a stage are due; the split is still the one before it
	Baking                   // the stage's split is in force and evidence is collected
	AfterStage               // the checks after a stage are due; its split is still in force
	Monitoring               // all stages are complete, and the candidate is monitored for a while longer
	Postflight               // the checks after all that are due
	RampingDown              // a person has ended it, and the candidate's share goes down in steps

	// The five outcomes. They are final.
	Promoted   // the candidate has passed everything
	RolledBack // the evidence or a check was against the candidate; the baseline has all traffic
	Aborted    // a person ended it; the baseline has all traffic
	Superseded // a newer rollout of the same target took its place
	Failed     // it could not run; no traffic has moved
)

// Terminal reports whether p is one of the outcomes.
func (p Phase) Terminal() bool { return p >= Promoted }

// Checking reports whether p waits for the result of checks.
func (p Phase) Checking() bool {
	return p == Preflight || p == BeforeStage || p == AfterStage || p == Postflight
}

// Timed reports whether time spent in p counts for something: a bake, a limit,
// monitoring or a deadline.
func (p Phase) Timed() bool {
	return p == Baking || p == Approving || p == Monitoring || p == RampingDown
}

// Command is what somebody asked for. The zero value is None.
type Command int

const (
	NoCommand    Command = iota
	Pause                // stay at this split, guards on, until Resume
	Resume               // go on after Pause or a hold
	Promote              // leave the stage now, without waiting for bake or proof; checks still apply
	Abort                // give all traffic back to the baseline at once, finally
	Supersede            // end in favour of a newer rollout of the same target
	Approve              // agree to the stage that waits for approval
	Reject               // refuse it, which ends the rollout
	Skip                 // pass over a stage that has not begun; the next one's approval and checks apply
	PromoteFully         // go to the last stage now; its approval and checks still apply
	RampDown             // end the rollout, but take the traffic back in steps
)

// RampStep is one step of the way down after [RampDown].
type RampStep struct {
	// Weight is the candidate's share during the step, below the one before.
	Weight Weight `json:"weight"`
	// For is how long the step lasts.
	For time.Duration `json:"for_ns"`
}

// State is everything that [Next] looks at.
type State struct {
	Phase Phase
	// Stage is the index of the stage that Phase is about; 0 during Preflight.
	Stage int
	// Paused says that nobody but a person moves this rollout forward.
	Paused bool
	// Baked is the time served in the stage, pauses excluded. Waited is the
	// time in this phase since it began or was last resumed, which is what a
	// stage's Limit and an approval's Timeout are about: who resumes a rollout
	// that was held grants it another Limit.
	Baked, Waited time.Duration
	// Samples counts the candidate's requests during the stage.
	Samples int
	// Verdict is the newest word on the candidate. It is about the whole
	// rollout, not about the stage alone.
	Verdict analysis.Verdict
	// VerdictReason is repeated in the reason of a decision that rests on it.
	VerdictReason string
	// SplitError says why the split of this state cannot be put in force; empty
	// when it is.
	SplitError string
	// Monitor is how long the candidate is monitored after the last stage, and
	// Postflight says that there are checks to pass after that.
	Monitor    time.Duration
	Postflight bool
	// Checked says that the checks of a checking phase have finished, Checks
	// with which result, ChecksReason why.
	Checked      bool
	Checks       checks.Status
	ChecksReason string
	// Consent is how the votes of an approving phase stand, and why.
	Consent       Consent
	ConsentReason string
	// Frozen says why no stage may begin now, such as a freeze window, and until
	// when; empty when one may. Nothing else is frozen, but for monitoring or a promotion
	// that raises the candidate's share, which HeldBack says.
	Frozen   string
	HeldBack bool
	// Standing says which checks that must hold all the time do not, empty if all do.
	// OnStanding is what is done about it: Hold, Escalate or RollBack.
	Standing   string
	OnStanding Action
	// RampDown is the way down, Step where on it a rollout in RampingDown is.
	RampDown []RampStep
	Step     int
	// Rivals are the candidates of a stage that is a contest, in the order of the
	// plan. They are not used in other stages. Shares are the weights in force,
	// the baseline's and theirs, and Allocated is Baked when they were changed last.
	Rivals    []Rival
	Shares    []Weight
	Allocated time.Duration
	// Command is what a person has asked for, None if nobody has.
	Command Command
}

// Rival is one of several candidates that compete.
type Rival struct {
	Arm     string
	Dropped bool // it is out, and has no traffic
	// Verdict, VerdictReason and Samples are about this one.
	Verdict       analysis.Verdict
	VerdictReason string
	Samples       int
	// Gain is how much better than the baseline it seems to be in what the
	// rollout is about, and Spread the standard deviation of what is known of
	// that; Known says that something is. It orders those that are shown to be no
	// worse, and shares the traffic out.
	Gain, Spread float64
	Known        bool
}

// Do is the kind of a [Decision]. The zero value is Stay: nothing changes.
type Do int

const (
	DoStay      Do = iota // nothing changes
	DoEnter               // go to Phase, Stage and Step of the decision
	DoPause               // stop moving forward
	DoResume              // go on
	DoRefuse              // the command makes no sense in this state
	DoTakeVote            // write the vote down
	DoDrop                // take Arm out of the contest; the baseline has its traffic
	DoRebalance           // give the baseline and the rivals Shares of the traffic
)

// Decision is what is to be done next, and why.
type Decision struct {
	Do     Do
	Phase  Phase // where to go, when Do is Enter
	Stage  int
	Step   int  // of the way down, when Phase is RampingDown
	Resume bool // a move that ends a pause too
	// Arm is the rival that drops out or, when Do is Enter, that has won and is
	// the candidate from now on; empty otherwise.
	Arm    string
	Shares []Weight // of the baseline and the rivals, when Do is Rebalance
	Urgent bool     // people should be woken
	// Rule names the rule that decided, in a few stable words, such as "harm".
	Rule   string
	Reason string
}

// Next decides what happens next. It is pure: equal stages and states give
// equal decisions. It is total: every state has a defined decision, and a
// state that makes no sense stays where it is. Its rules, in order:
//
//  1. An outcome is final.
//  2. Abort and Supersede end the rollout, whatever else is the case.
//  3. Harm rolls back at once: paused, while people are asked and checks run,
//     and against Promote.
//  4. A check that must hold all the time, and does not, rolls back or pauses.
//  5. A split that cannot be put in force ends the rollout.
//  6. The other commands are done where they make sense, else refused. None of
//     them passes by an approval or a check that has begun to be due.
//  7. Checks that ended with Fail or Unknown end the rollout.
//  8. The way down goes on.
//  9. A paused rollout stays.
//  10. Approvals, and checks that ended with Pass or Warn, open the way.
//  11. A stage is left when its bake, its samples and its evidence are
//     complete; at its limits, its actions decide. Until then a contest may
//     share its traffic out anew.
//  12. While the rollout is frozen no stage begins, and neither monitoring nor a
//     promotion raises the candidate's share.
func Next(stages []Stage, s State) Decision {
	d := next(stages, s)
	gives := d.Do == DoEnter && (d.Phase == Monitoring || d.Phase == Promoted) && s.HeldBack
	begins := d.Do == DoEnter && d.Phase == Baking || gives
	switch {
	case !begins || s.Frozen == "":
		return d
	case s.Command != NoCommand && gives:
		return refuse(s, "what is held back may not move now: "+s.Frozen)
	case s.Command != NoCommand:
		return refuse(s, "no stage may begin now: "+s.Frozen)
	case gives:
		return Decision{Rule: "frozen", Reason: "waiting to give the candidate what is held back: " + s.Frozen}
	default:
		return Decision{Rule: "frozen", Reason: "waiting to begin stage " + stages[d.Stage].Name + ": " + s.Frozen}
	}
}

// RuleStanding is the rule of decisions that checks bring about which must hold all the
// time.
const RuleStanding = "standing"

// onward reports whether c asks for more than what is.
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
		return Decision{Do: DoRefuse, Rule: "state", Reason: fmt.Sprintf("no such state: %v, stage %d of %d", s.Phase, s.Stage, len(stages))}
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
		return finish(s, backOut(s), "split", "the split cannot be put in force: "+s.SplitError)
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
		return descend(s)
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
