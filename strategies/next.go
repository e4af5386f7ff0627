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
	Preflight  Phase = iota // the checks before any traffic moves are due
	Before                  // the checks before a stage are due; the split is still the one before it
	Baking                  // the stage's split is in force and evidence is collected
	After                   // the checks after a stage are due; its split is still in force
	Postflight              // the checks after the last stage are due

	// The five outcomes. They are final.
	Promoted   // the candidate has all traffic
	RolledBack // the evidence or a check was against the candidate; the baseline has all traffic
	Aborted    // a person ended it; the baseline has all traffic
	Superseded // a newer rollout of the same target took its place
	Failed     // it could not run; no traffic has moved
)

// Terminal reports whether p is one of the outcomes.
func (p Phase) Terminal() bool { return p >= Promoted }

// Checking reports whether p waits for the result of checks.
func (p Phase) Checking() bool {
	return p == Preflight || p == Before || p == After || p == Postflight
}

// Command is what somebody asked for. The zero value is None.
type Command int

const (
	None      Command = iota
	Pause             // stay at this split, guards on, until Resume
	Resume            // go on after Pause or a hold
	Promote           // leave the stage now, without waiting for bake or proof; checks still apply
	Abort             // give all traffic back to the baseline, finally
	Supersede         // end in favour of a newer rollout of the same target
)

// State is everything that [Next] looks at.
type State struct {
	Phase Phase
	// Stage is the index of the stage that Phase is about; 0 during Preflight.
	Stage int
	// Paused says that nobody but a person moves this rollout forward.
	Paused bool
	// Baked is the time served in the stage so far, pauses excluded; Waited is
	// the part of it since the last resume, which is what a stage's Limit is
	// about: who resumes a rollout that was held grants it another Limit.
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
	// Postflight says that there are checks to pass after the last stage.
	Postflight bool
	// Checked says that the checks of a checking phase have finished, Checks
	// with which result, ChecksReason why.
	Checked      bool
	Checks       checks.Status
	ChecksReason string
	// Command is what a person has asked for, None if nobody has.
	Command Command
}

// Do is the kind of a [Decision]. The zero value is Stay: nothing changes.
type Do int

const (
	Stay      Do = iota // nothing changes
	Enter               // go to Phase and Stage of the decision
	SetPause            // stop moving forward
	SetResume           // go on
	Refuse              // the command makes no sense in this state
)

// Decision is what is to be done next, and why.
type Decision struct {
	Do     Do
	Phase  Phase // where to go, when Do is Enter
	Stage  int
	Reason string
}

// Next decides what happens next. It is pure: equal stages and states give
// equal decisions. It is total: every state has a defined decision, and a
// state that makes no sense stays where it is. Its rules, in order:
//
//  1. An outcome is final.
//  2. Abort and Supersede end the rollout, whatever else is the case.
//  3. Harm rolls back at once: paused, while checks run, and against Promote.
//  4. A split that cannot be put in force ends the rollout.
//  5. Pause, Resume and Promote are done where they make sense, else refused.
//  6. Checks that ended with Fail or Unknown end the rollout.
//  7. A paused rollout stays.
//  8. Checks that ended with Pass or Warn open the way.
//  9. A stage is left when its bake, its samples and its evidence are
//     complete; at its limit, OnLimit or OnNoEvidence decides.
func Next(stages []Stage, s State) Decision {
	switch {
	case s.Phase < 0 || s.Phase > Failed || !s.Phase.Terminal() && (s.Stage < 0 || s.Stage >= len(stages)):
		return Decision{Do: Refuse, Reason: fmt.Sprintf("no such state: %v, stage %d of %d", s.Phase, s.Stage, len(stages))}
	case s.Phase.Terminal():
		if s.Command != None {
			return refuse(s, "the rollout is over: "+s.Phase.String())
		}
		return Decision{Reason: s.Phase.String()}
	case s.Command == Abort:
		return finish(s, Aborted, "aborted")
	case s.Command == Supersede:
		return finish(s, Superseded, "superseded by a newer rollout")
	case s.Verdict == analysis.Harmed:
		return finish(s, RolledBack, orElse(s.VerdictReason, "the candidate is worse than the baseline"))
	case s.SplitError != "":
		return finish(s, backOut(s), "the split cannot be put in force: "+s.SplitError)
	case s.Command != None:
		return command(stages, s)
	case s.Phase.Checking() && s.Checked && s.Checks != checks.Pass && s.Checks != checks.Warn:
		return finish(s, backOut(s), because(fmt.Sprintf("%s checks: %s", s.Phase, s.Checks), s.ChecksReason))
	case s.Paused:
		return Decision{Reason: "paused"}
	case s.Phase.Checking():
		return checked(stages, s)
	default:
		return bake(stages, s)
	}
}

// command carries out Pause, Resume and Promote.
func command(stages []Stage, s State) Decision {
	switch {
	case s.Command == Pause && s.Paused:
		return refuse(s, "the rollout is paused already")
	case s.Command == Pause:
		return Decision{Do: SetPause, Phase: s.Phase, Stage: s.Stage, Reason: "paused"}
	case s.Command == Resume && !s.Paused:
		return refuse(s, "the rollout is not paused")
	case s.Command == Resume:
		return Decision{Do: SetResume, Phase: s.Phase, Stage: s.Stage, Reason: "resumed"}
	case s.Command == Promote && s.Phase != Baking:
		return refuse(s, "its checks ("+s.Phase.String()+") have not finished; they are never skipped")
	case s.Command == Promote:
		return leave(stages, s, "promoted out of stage "+stages[s.Stage].Name)
	default:
		return refuse(s, "there is no such command")
	}
}

// checked decides a phase whose checks, if they have ended, have passed.
func checked(stages []Stage, s State) Decision {
	if !s.Checked {
		return Decision{Reason: s.Phase.String() + " checks are running"}
	}
	switch s.Phase {
	case Preflight:
		return arrive(stages, 0, "preflight checks: "+s.Checks.String())
	case Before:
		return Decision{Do: Enter, Phase: Baking, Stage: s.Stage, Reason: "checks before the stage: " + s.Checks.String()}
	case After:
		return follow(stages, s, "checks after the stage: "+s.Checks.String())
	default:
		return promote(s)
	}
}

// bake decides a stage whose split is in force.
func bake(stages []Stage, s State) Decision {
	stage := stages[s.Stage]
	var missing string
	switch {
	case s.Baked < stage.Bake:
		return Decision{Reason: fmt.Sprintf("baking: %v of %v", s.Baked.Round(time.Second/10), stage.Bake)}
	case s.Samples < stage.MinSamples:
		missing = fmt.Sprintf("samples: %d of %d", s.Samples, stage.MinSamples)
	case stage.Until == UntilSafe && s.Verdict != analysis.Safe:
		missing = "proof that the candidate is no worse"
	default:
		return leave(stages, s, ended(stage, s))
	}
	if s.Waited < stage.limit() {
		return Decision{Reason: "waiting for " + missing}
	}
	action := stage.OnLimit
	if s.Verdict == analysis.NoEvidence || s.Verdict == analysis.Unmeasurable {
		action, missing = stage.OnNoEvidence, missing+" (verdict: "+s.Verdict.String()+")"
	}
	reason := fmt.Sprintf("limit of %v reached without %s", stage.limit(), missing)
	switch action {
	case RollBack:
		return finish(s, RolledBack, reason)
	case Continue:
		return leave(stages, s, reason)
	default:
		return Decision{Do: SetPause, Phase: s.Phase, Stage: s.Stage, Reason: reason + "; a person must promote, resume or abort"}
	}
}

// ended words why a stage ends well.
func ended(stage Stage, s State) string {
	if stage.Until == UntilSafe {
		return orElse(s.VerdictReason, "the candidate is no worse")
	}
	return fmt.Sprintf("baked %v with %d samples, no harm seen", stage.Bake, s.Samples)
}

// arrive enters stage i by way of its checks, if it has any.
func arrive(stages []Stage, i int, reason string) Decision {
	phase := Baking
	if len(stages[i].Before) > 0 {
		phase = Before
	}
	return Decision{Do: Enter, Phase: phase, Stage: i, Reason: reason}
}

// leave leaves the stage by way of its checks, if it has any.
func leave(stages []Stage, s State, reason string) Decision {
	if len(stages[s.Stage].After) > 0 {
		return Decision{Do: Enter, Phase: After, Stage: s.Stage, Reason: reason}
	}
	return follow(stages, s, reason)
}

// follow goes to what comes after the stage.
func follow(stages []Stage, s State, reason string) Decision {
	switch {
	case s.Stage+1 < len(stages):
		return arrive(stages, s.Stage+1, reason)
	case s.Postflight:
		return Decision{Do: Enter, Phase: Postflight, Stage: s.Stage, Reason: reason}
	default:
		return promote(s)
	}
}

// promote ends the rollout well.
func promote(s State) Decision {
	return finish(s, Promoted, orElse(s.VerdictReason, "all stages are complete"))
}

func finish(s State, outcome Phase, reason string) Decision {
	return Decision{Do: Enter, Phase: outcome, Stage: s.Stage, Reason: reason}
}

// backOut is the outcome of a rollout that cannot go on: Failed as long as no
// traffic has moved.
func backOut(s State) Phase {
	if s.Phase == Preflight || s.Stage == 0 && s.Phase == Before {
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
	return Decision{Do: Refuse, Phase: s.Phase, Stage: s.Stage, Reason: "cannot " + s.Command.String() + ": " + reason}
}

func orElse(s, otherwise string) string {
	if s == "" {
		return otherwise
	}
	return s
}
