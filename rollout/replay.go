package rollout

import (
	"fmt"
	"slices"
	"time"

	"github.com/serin-go/serin/checks"
	"github.com/serin-go/serin/checks/analysis"
	"github.com/serin-go/serin/strategies"
)

// Step is one decision of a [Replay].
type Step struct {
	// Seq is the recorded event at which it was taken.
	Seq    uint64
	At     time.Time
	Phase  strategies.Phase
	Stage  int
	Rule   string
	Reason string
}

// Replay makes the decisions of a recorded rollout again under another plan: a back-test.
// It takes the evidence, the checks and the commands from the log, at their times, and the
// stages, limits, monitoring and levels of proof from p. It returns the moves that p would
// have made. Under the recorded plan they equal the recorded ones.
//
// The log holds the evidence at its events, and at least every hour: between two events
// p moves no earlier than the later one.
//
// No log holds what users would have met under another split: the counts stay as recorded.
// An error says what the log lacks, such as the result of a check that only p asks for.
// The moves up to there are returned too.
func Replay(events []Event, p Plan) ([]Step, error) {
	if err := p.Validate(); err != nil {
		return nil, err
	}
	p, err := p.compile()
	if err != nil {
		return nil, err
	}
	if len(p.Rivals) > 0 {
		return nil, &checks.InvalidError{Package: "rollout", Field: "Plan.Rivals", Value: len(p.Rivals), Want: "none: a contest between several candidates cannot be replayed"}
	}
	r := replay{plan: p}
	var prev Event
	for _, ev := range events {
		if err := ev.Verify(prev); err != nil {
			return r.steps, err
		}
		if err := r.event(ev, prev); err != nil || r.s.Phase.Terminal() {
			return r.steps, err
		}
		prev = ev
	}
	return r.steps, nil
}

type replay struct {
	plan    Plan
	s       strategies.State
	entered int // the candidate's requests when the stage began
	steps   []Step
}

// event lets the time until ev pass, and decides by its content.
func (r *replay) event(ev, prev Event) error {
	if passed := ev.At.Sub(prev.At); prev.Seq > 0 && r.s.Phase.Timed() && !r.s.Paused {
		if r.s.Phase == strategies.Baking {
			r.s.Baked += passed
		}
		r.s.Waited += passed
	}
	r.s.Monitor, r.s.Postflight, r.s.RampDown = r.plan.Monitor, len(r.plan.Postflight) > 0, r.plan.RampDown
	if j := ev.Judgement; j != nil {
		r.s.Samples = j.Candidate.Requests - r.entered
		r.s.Verdict, r.s.VerdictReason = under(*j, r.plan.Analysis), j.Reason
	}
	if ev.Monitor != nil && ev.Monitor.Alarm {
		r.s.Verdict, r.s.VerdictReason = analysis.Harmed, ev.Monitor.Reason
	}
	r.s.Command = commandOf(ev, prev)
	if ev.Kind == Started || ev.Kind == Voted || ev.Kind == Disowned {
		return nil // nothing was decided yet; votes count when they are enough
	}
	if prev.Phase == strategies.Approving && ev.Phase != strategies.Approving && ev.Rule == "approval" {
		r.s.Consent, r.s.ConsentReason = strategies.Granted, ev.Reason
		if ev.Kind == Ended {
			r.s.Consent = strategies.Rejected
		}
	}
	r.s.Standing, r.s.OnStanding = "", strategies.ActionHold
	if ev.Rule == strategies.RuleStanding {
		r.s.Standing = ev.Reason
		if ev.Kind == Ended {
			r.s.OnStanding = strategies.ActionRollBack
		}
	}
	for range 4*len(r.plan.Stages) + 8 {
		if due := r.plan.due(r.s.Phase, r.s.Stage); r.s.Phase.Checking() && !r.s.Checked {
			switch {
			case len(due) == 0:
				r.s.Checked, r.s.Checks = true, checks.Pass
			case ev.Checks != nil && prev.Phase == r.s.Phase && covers(*ev.Checks, due):
				r.s.Checked, r.s.Checks, r.s.ChecksReason = true, ev.Checks.Status, ev.Checks.Summary()
			case r.s.Command == strategies.NoCommand && (ev.Phase != r.s.Phase || ev.Stage != r.s.Stage):
				return fmt.Errorf("rollout: the log has no result of the %s checks %q of stage %d", r.s.Phase, due, r.s.Stage)
			}
		}
		d := strategies.Next(r.plan.Stages, r.s)
		r.s.Command = strategies.NoCommand
		switch d.Do {
		case strategies.DoPause:
			r.s.Paused = true
			return nil
		case strategies.DoResume:
			r.s.Paused, r.s.Waited = false, 0
			continue
		case strategies.DoEnter:
			r.enter(d, ev)
		default:
			return nil
		}
		if r.s.Phase.Terminal() {
			return nil
		}
	}
	return nil
}

// covers reports whether a report has a result for each of the names.
func covers(r checks.Report, names []string) bool {
	for _, name := range names {
		if !slices.ContainsFunc(r.Results, func(n checks.NamedResult) bool { return n.Name == name }) {
			return false
		}
	}
	return true
}

// enter goes where d says.
func (r *replay) enter(d strategies.Decision, ev Event) {
	r.steps = append(r.steps, Step{Seq: ev.Seq, At: ev.At, Phase: d.Phase, Stage: d.Stage, Rule: d.Rule, Reason: d.Reason})
	r.s.Phase, r.s.Stage, r.s.Step, r.s.Waited = d.Phase, d.Stage, d.Step, 0
	r.s.Checked, r.s.Consent = false, strategies.Awaited
	if d.Resume {
		r.s.Paused = false
	}
	if d.Phase == strategies.Baking {
		r.s.Baked = 0
		r.entered += r.s.Samples
		r.s.Samples = 0
	}
}

// commandOf returns the command behind the event, or None if the engine decided.
func commandOf(ev, prev Event) strategies.Command {
	if ev.Rule != "command" || ev.By.Name == engineActor.Name {
		return strategies.NoCommand
	}
	switch {
	case ev.Kind == Paused:
		return strategies.Pause
	case ev.Kind == Resumed:
		return strategies.Resume
	case ev.Phase == strategies.Aborted:
		return strategies.Abort
	case ev.Phase == strategies.Superseded:
		return strategies.Supersede
	case ev.Phase == strategies.RampingDown:
		return strategies.RampDown
	case prev.Phase == strategies.BeforeStage || prev.Phase == strategies.Approving:
		return strategies.Skip
	default:
		return strategies.Promote
	}
}

// under returns the verdict of a judgement under the levels of another plan.
func under(j analysis.Judgement, p analysis.Plan) analysis.Verdict {
	orElse := func(alpha, otherwise float64) float64 {
		if alpha == 0 {
			return otherwise
		}
		return alpha
	}
	for _, f := range j.Metrics {
		if f.Role.RollsBack() && f.Ceiling.Rate > 0 && f.Ceiling.Above.E >= 1/orElse(p.AlphaRollback, 0.05) {
			return analysis.Harmed
		}
	}
	if j.Verdict == analysis.Harmed && !j.Harm.Reached() {
		return j.Verdict // by something other than the combined evidence, such as a breaker
	}
	if j.Harm.E >= 1/orElse(p.AlphaRollback, 0.05) {
		return analysis.Harmed
	}
	if j.Verdict != analysis.Safe && j.Verdict != analysis.Continue && j.Verdict != analysis.Harmed {
		return j.Verdict
	}
	gates, safe := 0, 0
	for _, f := range j.Metrics {
		if f.Role == analysis.Gate {
			gates++
			limit := 1 / orElse(p.AlphaPromote, 0.05)
			if f.Safe.E >= limit && (f.Ceiling.Rate == 0 || f.Ceiling.Below.E >= limit) {
				safe++
			}
		}
	}
	if gates > 0 && safe == gates {
		return analysis.Safe
	}
	return analysis.Continue
}
