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
}

// status returns the state as the stored document has it.
func (d *document) status() Status {
	st := Status{
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
	return st
}
