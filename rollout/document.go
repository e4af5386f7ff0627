package rollout

import (
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"time"

	"github.com/serin-go/serin/checks/analysis"
	"github.com/serin-go/serin/strategies"
)

// document is the whole durable state of a rollout: everything that must change
// together is in this one value. It is stored under its target's key, which
// makes "at most one active rollout per target" a matter of compare-and-set.
type document struct {
	Format int    `json:"format"` // documentFormat
	ID     ID     `json:"id"`
	Number uint64 `json:"number"` // the n-th rollout of its target
	Plan   Plan   `json:"plan"`

	// Seq counts the commits of this rollout from 1. Before is the hash of the
	// document that this one replaced: two successors of one document are a
	// fork that can be detected.
	Seq    uint64 `json:"seq"`
	Before string `json:"before,omitempty"`
	// Epoch fences: an engine writes only while the epoch is its own, and takes
	// a rollout over by raising it. Nonce is unique to each commit; it tells a
	// writer whose acknowledgement was lost that the commit is its own.
	Epoch uint64 `json:"epoch"`
	Nonce string `json:"nonce"`

	Phase  strategies.Phase `json:"phase"`
	Stage  int              `json:"stage"`
	Paused bool             `json:"paused,omitempty"`
	Reason string           `json:"reason"` // why it is where it is
	// Split is the split in force. Its generation grows over all rollouts of
	// the target.
	Split strategies.Split `json:"split"`

	// Baked and Waited are time served in the stage; see strategies.State.
	// Entered is the number of the candidate's requests when it began.
	Baked    time.Duration     `json:"baked_ns"`
	Waited   time.Duration     `json:"waited_ns"`
	Entered  int               `json:"entered"`
	Evidence analysis.Evidence `json:"evidence"`

	// Last is the event of this commit. It is written to the audit trail before
	// the next commit, so that no commit is without its entry.
	Last Event `json:"last"`
}

const documentFormat = 1

// envelope guards a document against damage below the store.
type envelope struct {
	Sum string          `json:"sha256"`
	Doc json.RawMessage `json:"doc"`
}

// encode returns d as it is stored, and the hash of its content.
func (d *document) encode() (value []byte, hash string, err error) {
	body, err := json.Marshal(d)
	if err != nil {
		return nil, "", fmt.Errorf("rollout: document of %s: %w", d.ID, err)
	}
	hash = hashOf(body)
	value, err = json.Marshal(envelope{Sum: hash, Doc: body})
	return value, hash, err
}

// decodeDocument reads what encode has written, or says why it cannot be that.
func decodeDocument(target string, value []byte) (*document, string, error) {
	damaged := func(err error) (*document, string, error) {
		return nil, "", &DamagedError{Target: target, Err: err}
	}
	var env envelope
	if err := json.Unmarshal(value, &env); err != nil {
		return damaged(err)
	}
	if sum := hashOf(env.Doc); sum != env.Sum {
		return damaged(fmt.Errorf("its hash is %s, it says %q", sum, env.Sum))
	}
	var d document
	if err := json.Unmarshal(env.Doc, &d); err != nil {
		return damaged(err)
	}
	switch {
	case d.Format != documentFormat:
		return damaged(fmt.Errorf("format %d, want %d", d.Format, documentFormat))
	case d.ID.Target() != target:
		return damaged(fmt.Errorf("it belongs to rollout %q", d.ID))
	case d.Stage < 0 || d.Stage >= len(d.Plan.Stages):
		return damaged(fmt.Errorf("stage %d of %d", d.Stage, len(d.Plan.Stages)))
	}
	if err := d.Split.Validate(); err != nil {
		return damaged(err)
	}
	return &d, env.Sum, nil
}

func hashOf(b []byte) string {
	sum := sha256.Sum256(b)
	return hex.EncodeToString(sum[:])
}

// follow returns the document that comes after d when dec is carried out, with
// the event that tells of it. d is not changed. What the engine has counted
// since the last commit must be in d already.
func (d *document) follow(dec strategies.Decision, kind Kind, by Actor, now time.Time) *document {
	next := *d
	switch dec.Do {
	case strategies.Enter:
		next.enter(dec.Phase, dec.Stage)
	case strategies.SetPause:
		next.Paused = true
	case strategies.SetResume:
		next.Paused, next.Waited = false, 0
	}
	if kind != Measured && kind != Continued {
		next.Reason = dec.Reason
	}
	next.Seq++
	next.Last = Event{
		Rollout: d.ID, Seq: next.Seq, At: now.UTC().Round(0), Kind: kind, By: by, Reason: dec.Reason,
		Phase: next.Phase, Stage: next.Stage, Name: next.Plan.Stages[next.Stage].Name,
		Paused: next.Paused, Split: next.Split, Baked: next.Baked,
		Prev: d.Last.Hash,
	}
	return &next
}

// enter puts d into a phase, with the split that the phase demands. Only
// entering a stage raises the candidate's share, and only an ending other than
// Promoted takes it away.
func (d *document) enter(phase strategies.Phase, stage int) {
	d.Phase, d.Stage = phase, stage
	split := d.Split
	switch {
	case phase == strategies.Baking:
		split = d.Plan.Stages[stage].Split
		d.Baked, d.Waited = 0, 0
		d.Entered = d.Evidence.Requests(d.Plan.Candidate.Arm())
	case phase.Terminal():
		d.Paused = false
		if phase != strategies.Promoted {
			split = split.RollBack()
		}
	}
	if !sameArms(split, d.Split) {
		split.Salt, split.Generation = d.Split.Salt, d.Split.Generation+1
		d.Split = split
	}
}

func sameArms(a, b strategies.Split) bool {
	if len(a.Arms) != len(b.Arms) {
		return false
	}
	for i := range a.Arms {
		if a.Arms[i] != b.Arms[i] {
			return false
		}
	}
	return true
}

// state is what strategies.Next decides from.
func (d *document) state(j analysis.Judgement) strategies.State {
	return strategies.State{
		Phase: d.Phase, Stage: d.Stage, Paused: d.Paused,
		Baked: d.Baked, Waited: d.Waited,
		Samples:       d.Evidence.Requests(d.Plan.Candidate.Arm()) - d.Entered,
		Verdict:       j.Verdict,
		VerdictReason: j.Reason,
		Postflight:    len(d.Plan.Postflight) > 0,
	}
}

// kindOf returns the kind of the event that tells of dec.
func kindOf(dec strategies.Decision) Kind {
	switch {
	case dec.Do == strategies.SetPause:
		return Paused
	case dec.Do == strategies.SetResume:
		return Resumed
	case dec.Phase.Terminal():
		return Ended
	}
	return PhaseEntered
}
