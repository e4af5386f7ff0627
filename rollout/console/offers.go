package console

import (
	"errors"
	"fmt"
	"strings"

	"github.com/serin-go/serin/rollout"
	"github.com/serin-go/serin/rollout/console/internal/situation"
	"github.com/serin-go/serin/strategies"
)

// offer is a command as a page shows it: what it would do, and why it cannot be given.
type offer struct {
	Command strategies.Command
	// Label says what the command does, as an effect. Effects are sentences about it.
	Label   string
	Effects []string
	Href    string
	// Why says why it cannot be given now; empty if it can.
	Why string
	// Factor means that a second factor is asked for in the same form.
	Factor bool
	// Strong marks the commands that end a rollout or give the candidate everything.
	Strong bool
}

// commands are offered in this order.
var commands = []strategies.Command{
	strategies.Approve, strategies.Reject, strategies.Resume, strategies.Pause,
	strategies.Promote, strategies.PromoteFully, strategies.Skip, strategies.RampDown, strategies.Abort,
}

// offers returns what the caller may do to a rollout.
func (v *visit) offers(st rollout.Status) []offer {
	all := make([]offer, 0, len(commands))
	for _, c := range commands {
		all = append(all, v.offer(st, c))
	}
	return all
}

// offer returns one command for the caller.
func (v *visit) offer(st rollout.Status, c strategies.Command) offer {
	o := offer{Command: c, Href: v.cfg.Prefix + "/" + string(st.ID) + "/" + c.String()}
	o.Label, o.Effects = effects(st, c)
	o.Strong = c == strategies.Abort || c == strategies.PromoteFully || c == strategies.Reject
	o.Why, o.Factor = v.verdict(st, c)
	return o
}

// verdict returns why the caller cannot give a command, or "", and whether the form asks for a
// second factor.
func (v *visit) verdict(st rollout.Status, c strategies.Command) (why string, factor bool) {
	if err := v.may(rollout.Action(c.String()), st.ID.Target()); err != nil {
		return "you may not: " + reason(err), false
	}
	err := st.Allows(c, v.by)
	if err != nil && c == strategies.Approve && v.cfg.Factor != nil {
		again := v.by
		again.Proved = st.At
		if proved := st.Allows(c, again); proved == nil {
			return "", true
		}
	}
	if err != nil {
		return reason(err), false
	}
	return "", false
}

// reason words why something is not possible, without what the page says already.
func reason(err error) string {
	var refused *rollout.RefusedError
	var forbidden *rollout.ForbiddenError
	switch {
	case errors.As(err, &refused):
		if _, why, ok := strings.Cut(refused.Reason, ": "); ok && strings.HasPrefix(refused.Reason, "cannot ") {
			return why
		}
		return refused.Reason
	case errors.As(err, &forbidden):
		return forbidden.Reason
	}
	return err.Error()
}

// names returns the names of the versions, and what the candidates have.
func names(st rollout.Status) (baseline, candidate string, has strategies.Weight) {
	baseline, candidate = st.Plan.Baseline.Arm(), st.Plan.Candidate.Arm()
	if st.Winner != "" {
		candidate = st.Winner
	}
	if len(st.Split.Arms) > 0 {
		has = strategies.Full - st.Split.Weight(baseline)
	}
	return baseline, candidate, has
}

// stageShare returns what a stage gives the candidates, in words.
func stageShare(st rollout.Status, i int) string {
	if i < 0 || i >= len(st.Plan.Stages) {
		return "100 %"
	}
	s := st.Plan.Stages[i].Split
	given := strategies.Full - s.Weight(st.Plan.Baseline.Arm())
	if given == 0 && len(s.Mirrors) > 0 {
		return "copies of requests"
	}
	return situation.Percent(given)
}

// effects words what a command does in this state.
func effects(st rollout.Status, c strategies.Command) (label string, all []string) {
	base, cand, has := names(st)
	all = []string{moves(st, c)}
	switch c {
	case strategies.Abort:
		label = "Give everything to " + base
		all = []string{
			fmt.Sprintf("%s goes from %s to 0 %% immediately; %s gets 100 %%.", cand, situation.Percent(has), base),
			"The rollout ends as aborted. This is final: going on needs a new rollout.",
		}
	case strategies.Approve:
		label = fmt.Sprintf("Approve %s for %s", stageShare(st, st.Stage), cand)
		all = []string{"Your name and your approval of this plan are recorded.", fmt.Sprintf("With all approvals, %s goes on to %s by its checks.", cand, stageShare(st, st.Stage))}
	case strategies.Reject:
		label = "Reject, which ends the rollout"
		all = []string{fmt.Sprintf("The rollout ends as aborted, and %s gets 100 %%.", base)}
	case strategies.Pause:
		label = "Stop at " + situation.Percent(has)
		all = []string{fmt.Sprintf("%s keeps %s until a person goes on. Harm still rolls back by itself.", cand, situation.Percent(has))}
	case strategies.Resume:
		label = "Go on from " + situation.Percent(has)
		all = []string{"The rollout goes on by its plan. Time limits begin again, and failing standing checks are accepted until they pass once."}
	case strategies.Promote:
		label = "Go to " + stageShare(st, st.Stage+1) + " now"
		if st.Phase == strategies.Monitoring {
			label = "End the monitoring now"
		}
		all = append(all, "What is skipped: the rest of the bake time and the proof of this stage. Checks and approvals still apply.")
	case strategies.PromoteFully:
		label = "Give 100 % to " + cand + " now"
		all = append(all, "What is skipped: all stages in between, with their bake time and proof. The last stage's checks and approval still apply.")
	case strategies.Skip:
		label = "Skip the stage of " + stageShare(st, st.Stage)
		all = append(all, "What is skipped: this stage, with its checks and its measurements.")
	case strategies.RampDown:
		label = "Take traffic from " + cand + " in steps"
		var steps []string
		for _, s := range st.Plan.RampDown {
			steps = append(steps, situation.Percent(s.Weight)+" for "+situation.Span(s.For))
		}
		all = []string{"The rollout ends as aborted after these steps: " + orElse(strings.Join(steps, ", "), "none") + ", 0 %."}
	}
	return label, all
}

// moves words the next phase after a command, as strategies.Next decides it.
func moves(st rollout.Status, c strategies.Command) string {
	s := st.State
	s.Command = c
	d := strategies.Next(st.Plan.Stages, s)
	_, cand, has := names(st)
	if d.Do != strategies.DoEnter {
		return ""
	}
	share := stageShare(st, d.Stage)
	switch d.Phase {
	case strategies.Baking:
		return fmt.Sprintf("%s goes from %s to %s immediately.", cand, situation.Percent(has), share)
	case strategies.BeforeStage, strategies.AfterStage, strategies.Postflight, strategies.Preflight:
		return fmt.Sprintf("Checks run next; %s keeps %s until they pass.", cand, situation.Percent(has))
	case strategies.Approving:
		return fmt.Sprintf("%s keeps %s until people approve %s.", cand, situation.Percent(has), share)
	case strategies.Monitoring:
		return fmt.Sprintf("All stages are complete; %s is monitored.", cand)
	case strategies.Promoted:
		return fmt.Sprintf("%s gets 100 %%, and the rollout ends as promoted.", cand)
	}
	return "The rollout ends as " + d.Phase.String() + "."
}

// rights identifies what the caller is offered, for the cache: callers with the same rights share
// a page, whose words are made once.
func (v *visit) rights(st rollout.Status) string {
	var b strings.Builder
	for _, c := range commands {
		why, factor := v.verdict(st, c)
		if factor {
			b.WriteByte('?')
		}
		b.WriteString(why)
		b.WriteByte(0)
	}
	return b.String()
}
