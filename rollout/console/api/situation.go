package api

import (
	"time"

	"github.com/serin-go/serin/rollout"
	"github.com/serin-go/serin/rollout/console/client"
	"github.com/serin-go/serin/rollout/console/internal/situation"
	"github.com/serin-go/serin/strategies"
)

// commands are the commands of people, in the order in which they are shown.
var commands = []strategies.Command{
	strategies.Abort, strategies.RampDown, strategies.Pause, strategies.Resume, strategies.Approve, strategies.Reject,
	strategies.Promote, strategies.PromoteFully, strategies.Skip,
}

// commandsOf returns the commands that make sense in a state, for a caller who may give them.
func commandsOf(st rollout.Status) []string {
	var all []string
	for _, c := range commands {
		vote := c == strategies.Approve || c == strategies.Reject
		if vote && st.Phase == strategies.Approving || !vote && st.Allows(c, rollout.Actor{Name: "anyone"}) == nil {
			all = append(all, c.String())
		}
	}
	return all
}

// urgencies are the texts of package situation's urgencies.
var urgencies = map[situation.Urgency]string{
	situation.Rest: "rest", situation.Moving: "moving", situation.Person: "person", situation.Alarm: "alarm",
}

// describe fills in the words about a state. changed is the event Status.Changed, or zero.
func describe(out *client.State, st rollout.Status, changed rollout.Event, at time.Time) {
	sit := situation.Of(st, situation.Facts{Now: at, Changed: changed})
	out.Situation, out.Urgency, out.Glyph = string(sit.Kind), urgencies[sit.Urgency], sit.Glyph
	out.Sentence, out.Next, out.Since, out.By = short(sit.Sentence), short(sit.Next), sit.Since, short(sit.By)
}
