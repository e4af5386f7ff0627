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
	Split  strategies.Split `json:"split"`
	// Baked is the time served in the stage.
	Baked time.Duration `json:"baked_ns"`
	// Samples counts the candidate's requests during the stage, Exposed during
	// the whole rollout.
	Samples int `json:"samples"`
	Exposed int `json:"exposed"`
	// Reason says why the rollout is where it is; Waiting, for one that has
	// not ended, what it waits for.
	Reason  string `json:"reason"`
	Waiting string `json:"waiting,omitempty"`
	// Judgement is the newest word on the candidate.
	Judgement analysis.Judgement `json:"judgement"`
}

// status tells what the stored document alone tells.
func (d *document) status() Status {
	st := Status{
		ID: d.ID, Seq: d.Seq, Plan: d.Plan,
		Phase: d.Phase, Stage: d.Stage, Paused: d.Paused, Split: d.Split,
		Baked:   d.Baked,
		Exposed: d.Evidence.Requests(d.Plan.Candidate.Arm()),
		Reason:  d.Reason,
	}
	st.Samples = st.Exposed - d.Entered
	if d.Last.Judgement != nil {
		st.Judgement = *d.Last.Judgement
	}
	return st
}
