package rollout

import (
	"time"

	"github.com/serin-go/serin/checks/analysis"
	"github.com/serin-go/serin/strategies"
)

// Status is how a rollout stands at one moment. It is plain data.
type Status struct {
	ID     ID               `json:"id"`
	Seq    uint64           `json:"seq"` // of its newest event
	Plan   Plan             `json:"plan"`
	Phase  strategies.Phase `json:"phase"`
	Stage  int              `json:"stage"`
	Paused bool             `json:"paused,omitempty"`
	// Split is in force in this process. Lowered says why it gives the candidate less
	// than what is committed, such as "not stored yet: ..."; empty if it does not.
	Split   strategies.Split `json:"split"`
	Lowered string           `json:"lowered,omitempty"`
	// Baked is the time served in the stage.
	Baked time.Duration `json:"baked_ns"`
	// Held is how long the rollout has waited for people, paused or for an
	// approval.
	Held time.Duration `json:"held_ns,omitempty"`
	// Samples counts the candidate's requests during the stage, Exposed during
	// the whole rollout.
	Samples int `json:"samples"`
	Exposed int `json:"exposed"`
	// Digest identifies the plan, see [OfPlan], together with the digests of its checks,
	// if any has one; see checks.Digester. Where it has none, it is [Plan.Digest]. Changed is the number of the
	// last event that was more than the writing down of evidence; see [IfSeq].
	Digest  string `json:"digest"`
	Changed uint64 `json:"changed"`
	// Votes are those on the stage that waits for approval.
	Votes []strategies.Vote `json:"votes,omitempty"`
	// Winner is the arm that has won a contest, Dropped those that are out.
	Winner  string   `json:"winner,omitempty"`
	Dropped []string `json:"dropped,omitempty"`
	// Leader reports whether this process leads the rollout: it decides and commits.
	Leader bool `json:"leader"`
	// SettledBy is when every process that shares the store has the split in
	// force, or gives everything to the baseline because it has not heard of it.
	// It is zero for an engine that is alone, where Split is in force.
	SettledBy time.Time `json:"settled_by,omitzero"`
	// Reason says why the rollout is where it is; Waiting, for one that has
	// not ended, what it waits for.
	Reason  string `json:"reason"`
	Waiting string `json:"waiting,omitempty"`
	// Judgement is the newest word on the candidate.
	Judgement analysis.Judgement `json:"judgement"`
	// Starter began the rollout.
	Starter Actor `json:"starter"`
	// At is the time of day, in UTC, at which all of this was known.
	At time.Time `json:"at"`
	// State is what [strategies.Next] decides from, as far as this process knows it. It is
	// not part of the JSON.
	State strategies.State `json:"-"`

	outdated bool // checks are looked at again before a stage begins
}

// status returns the state as the stored document has it.
func (d *document) status(now time.Time) Status {
	st := Status{
		At: now.UTC().Round(0), Starter: d.Starter,
		ID: d.ID, Seq: d.Seq, Plan: d.Plan,
		Phase: d.Phase, Stage: d.Stage, Paused: d.Paused, Split: d.Split,
		Baked:   d.Baked,
		Held:    d.Held,
		Exposed: d.Evidence.Requests(d.candidate()),
		Reason:  d.Reason,
		Digest:  d.Digest, Changed: d.Changed, Votes: d.Votes, Winner: d.Winner, Dropped: d.Dropped,
	}
	st.Samples = st.Exposed - d.Entered
	switch {
	case d.Note != nil && d.Note.Judgement != nil:
		st.Judgement = *d.Note.Judgement
	case d.Last.Judgement != nil:
		st.Judgement = *d.Last.Judgement
	}
	st.State = d.state(st.Judgement, now)
	return st
}

// Allows returns nil if command c of an actor makes sense now: if [Engine.Do] would carry
// it out in this state. Otherwise it returns the [*RefusedError] that Do would return. It
// asks no [Authorizer], and knows nothing of an [Option].
//
// Offer only what it allows, and give the command nevertheless: the state may change, and
// only Do decides. A Status that was read from JSON, or was made by hand, allows nothing but
// Abort, and Abort only before the rollout has ended.
func (st Status) Allows(c strategies.Command, by Actor) error {
	refused := func(why string) error {
		return &RefusedError{Rollout: st.ID, Command: c, Reason: why}
	}
	cannot := "cannot " + c.String() + ": "
	s := st.State
	switch known := s.Phase == st.Phase && s.Stage == st.Stage && s.Paused == st.Paused && !st.At.IsZero(); {
	case c == strategies.Abort && !st.Phase.Terminal():
		return nil
	case c == strategies.NoCommand || c == strategies.Supersede:
		return refused(cannot + "a rollout is superseded by Start with Plan.Supersede")
	case !known:
		return refused(cannot + "the state of the rollout is not known")
	}
	s.Command = c
	dec := strategies.Next(st.Plan.Stages, s)
	begins := dec.Do == strategies.DoEnter && dec.Phase == strategies.Baking
	switch {
	case dec.Do == strategies.DoStay || dec.Do == strategies.DoRefuse || dec.Rule != "command":
		return refused(dec.Reason)
	case begins && st.outdated:
		return refused(cannot + "it waits for " + lookedAtAgain)
	case dec.Do == strategies.DoTakeVote:
		asked := st.Plan.Stages[st.Stage].Approve
		if asked == nil {
			return refused(cannot + "the stage asks for no approval")
		}
		if why := asked.Admit(by.vote(c, st.At, ""), st.Starter.person()); why != "" {
			return refused(cannot + why)
		}
	}
	return nil
}
