package rollout

import (
	"cmp"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/serin-go/serin/checks/analysis"
	"github.com/serin-go/serin/strategies"
	"github.com/serin-go/serin/versioning"
)

// document is the whole durable state of a rollout: everything that must change
// together is in this one value. It is stored under its target's key, which
// makes "at most one active rollout per target" a matter of compare-and-set.
type document struct {
	Format int    `json:"format"` // documentFormat
	ID     ID     `json:"id"`
	Number uint64 `json:"number"` // the n-th rollout of its target
	Plan   Plan   `json:"plan"`
	// Digest identifies Plan and Gates, PlanDigest the plan alone where there are gates.
	// Starter began the rollout.
	Digest     string `json:"digest"`
	PlanDigest string `json:"plan_digest,omitempty"`
	Starter    Actor  `json:"starter"`
	// Gates are the digests of the plan's checks, by name, of those that have one.
	Gates map[string]string `json:"gates,omitempty"`

	// Seq counts the events of this rollout from 1. Before is the hash of the
	// document that this one replaced: two successors of one document are a
	// fork that can be detected.
	Seq    uint64 `json:"seq"`
	Before string `json:"before,omitempty"`
	// Epoch is the fencing token: an engine writes only while the epoch is its own, and
	// takes a rollout over by raising it. Nonce is unique to each commit. By it a writer
	// whose acknowledgement was lost recognises its own commit.
	Epoch uint64 `json:"epoch"`
	Nonce string `json:"nonce"`
	// Writer is the replica that committed it, empty if there is but one.
	Writer string `json:"writer,omitempty"`
	// Members is how many processes share the store, as the leader has counted last.
	Members int `json:"members,omitempty"`

	Phase  strategies.Phase `json:"phase"`
	Stage  int              `json:"stage"`
	Paused bool             `json:"paused,omitempty"`
	Reason string           `json:"reason"`         // why it is where it is
	Step   int              `json:"step,omitempty"` // of the way down
	// Changed is the number of the last event that was more than the writing
	// down of evidence.
	Changed uint64 `json:"changed"`
	// Votes are about the gate that Phase is at.
	Votes []strategies.Vote `json:"votes,omitempty"`
	// Served are the idempotency keys of the last commands.
	Served []string `json:"served,omitempty"`
	// Starts are the idempotency keys of the target's last starts, with what was asked for
	// and the number of the rollout, oldest first.
	Starts []string `json:"starts,omitempty"`
	// Preflighted is when the preflight checks had passed, the last time before traffic
	// moved.
	Preflighted time.Time `json:"preflighted,omitzero"`
	// Moved is when the first traffic moved. History is about the target's
	// earlier rollouts, newest last.
	Moved   time.Time `json:"moved,omitzero"`
	History []past    `json:"history,omitempty"`
	// Moves are the seconds since 1970 at which earlier rollouts moved their first
	// traffic, oldest first, as far back as an opening of a window can reach.
	Moves []int64 `json:"moves,omitempty"`
	// Serving served the target when the rollout began, nil if that was not known.
	Serving *versioning.Release `json:"serving,omitempty"`
	// Split is the split in force. Its generation grows over all rollouts of
	// the target.
	Split strategies.Split `json:"split"`
	// SplitAt is when it was committed.
	SplitAt time.Time `json:"split_at,omitzero"`

	// Baked and Waited are time served in the stage; see strategies.State.
	// Entered is the number of the candidate's requests when it began.
	Baked  time.Duration `json:"baked_ns"`
	Waited time.Duration `json:"waited_ns"`
	// Held is time paused or waiting for approval, in the whole rollout.
	Held     time.Duration     `json:"held_ns,omitempty"`
	Entered  int               `json:"entered"`
	Evidence analysis.Evidence `json:"evidence"`
	// Others is the evidence on further candidates while they compete. Dropped
	// have dropped out, Winner has won.
	Others  map[string]analysis.Evidence `json:"others,omitempty"`
	Dropped []string                     `json:"dropped,omitempty"`
	// Allocated is Baked when the contest's traffic was shared out last.
	Allocated time.Duration `json:"allocated_ns,omitempty"`
	Winner    string        `json:"winner,omitempty"`
	// Monitor is what a candidate that has all traffic has shown against the past
	// of the baseline.
	Monitor *analysis.MonitorState `json:"monitor,omitempty"`

	// Last is the event of this commit. It is written to the audit trail before
	// the next commit, so that no commit is without its entry.
	Last Event `json:"last"`
	// Owed are events before Last that the audit trail could not take yet, as the
	// bytes that were hashed.
	Owed []json.RawMessage `json:"owed,omitempty"`
	// Notes counts the checkpoints of this rollout. Note is the newest one since Last, nil
	// if there was none.
	Notes uint64 `json:"notes,omitempty"`
	Note  *note  `json:"note,omitempty"`

	lastRaw json.RawMessage // Last as the bytes that were hashed
}

const documentFormat = 1

// note is a checkpoint: a commit that stores evidence and time, and adds no event.
type note struct {
	At        time.Time           `json:"at"`
	Judgement *analysis.Judgement `json:"judgement,omitempty"`
}

// commits returns how many commits the rollout has, which numbers the one that left d.
// A process that follows may miss some: two documents are neighbours only if their
// numbers are.
func (d *document) commits() uint64 { return d.Seq + d.Notes }

// mayBecome refuses a document of the same rollout that goes on after its end. An engine never
// writes one, so the store does not hold what was committed.
func (d *document) mayBecome(next *document) error {
	if !d.Phase.Terminal() || next.Phase.Terminal() {
		return nil
	}
	return fmt.Errorf("rollout: the store holds %s #%d, which is %s, after #%d, where it had ended as %s",
		next.ID, next.Seq, next.Phase, d.Seq, d.Phase)
}

// past is what a rollout has to know of one before it.
type past struct {
	ID        ID               `json:"id"`
	Baseline  string           `json:"baseline"`
	Candidate string           `json:"candidate"`
	Outcome   strategies.Phase `json:"outcome"`
	Moved     time.Time        `json:"moved,omitzero"`
	Ended     time.Time        `json:"ended"`
}

// maxHistory is how many earlier rollouts a document lists.
const maxHistory = 32

// history is what the target's next rollout has to know.
func (d *document) history() []past {
	h := append(slices.Clone(d.History), past{
		ID: d.ID, Baseline: d.Plan.Baseline.Arm(), Candidate: d.candidate(),
		Outcome: d.Phase, Moved: d.Moved, Ended: d.Last.At,
	})
	return h[max(0, len(h)-maxHistory):]
}

// moves is what windows with a budget have to know of this rollout and those before it.
func (d *document) moves() []int64 {
	m := slices.Clone(d.Moves)
	if !d.Moved.IsZero() {
		m = append(m, d.Moved.Unix())
	}
	old := d.Last.At.Add(-longestOpening).Unix()
	m = slices.DeleteFunc(m, func(at int64) bool { return at < old })
	return m[max(0, len(m)-MaxBudget):]
}

// serving returns the release that a rollout which has ended has left in service.
func (d *document) serving() versioning.Release {
	switch {
	case d.Phase != strategies.Promoted && d.Moved.IsZero() && d.Serving != nil:
		return *d.Serving // it ended before its first stage
	case d.Phase != strategies.Promoted:
		return d.Plan.Baseline
	}
	for _, r := range append([]versioning.Release{d.Plan.Candidate}, d.Plan.Rivals...) {
		if r.Arm() == d.candidate() {
			return r
		}
	}
	return d.Plan.Candidate
}

// frozen says why no stage may begin now; empty if one may.
func (d *document) frozen(now time.Time) string {
	return d.Plan.frozen(now, d.Moves, d.Moved.IsZero())
}

// envelope guards a document against damage below the store.
type envelope struct {
	Sum string          `json:"sha256"`
	Doc json.RawMessage `json:"doc"`
}

// encode returns d as it is stored, and the hash of its content.
func (d *document) encode() (value []byte, hash string, err error) {
	type fields document // the last event is stored as the bytes that were hashed
	last := d.lastRaw
	if last == nil {
		if last, err = json.Marshal(d.Last); err != nil {
			return nil, "", fmt.Errorf("rollout: document of %s: %w", d.ID, err)
		}
	}
	body, err := json.Marshal(struct {
		*fields
		Last json.RawMessage `json:"last"`
	}{(*fields)(d), last})
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
	var raw struct {
		Last json.RawMessage `json:"last"`
		// The names of earlier versions.
		Watch    *analysis.MonitorState `json:"watch"`
		Allotted time.Duration          `json:"allotted_ns"`
	}
	if err := errors.Join(json.Unmarshal(env.Doc, &d), json.Unmarshal(env.Doc, &raw)); err != nil {
		return damaged(err)
	}
	d.lastRaw = raw.Last
	if d.Last.Format < 2 && len(raw.Last) > 0 {
		if err := unmarshalEvent(raw.Last, &d.Last); err != nil {
			return damaged(err)
		}
	}
	d.Monitor, d.Allocated = cmp.Or(d.Monitor, raw.Watch), cmp.Or(d.Allocated, raw.Allotted)
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

// follow returns the document after dec is carried out, with the event of dec. It does not
// change d. What the engine has counted since the last commit must be in d already.
func (d *document) follow(dec strategies.Decision, kind Kind, by Actor, now time.Time) *document {
	next := *d
	dec.Reason = bound(dec.Reason, maxReason)
	switch dec.Do {
	case strategies.DoEnter:
		if dec.Arm != "" {
			next.win(dec.Arm)
		}
		next.enter(dec, now)
	case strategies.DoDrop:
		next.drop(dec.Arm, now)
	case strategies.DoRebalance:
		next.rebalance(dec.Shares, now)
	case strategies.DoPause:
		next.Paused = true
	case strategies.DoResume:
		next.Paused, next.Waited = false, 0
	}
	next.Seq, next.Note = next.Seq+1, nil
	if kind != Measured && kind != Continued {
		next.Reason, next.Changed = dec.Reason, next.Seq
	}
	next.Last = Event{
		Format: eventFormat, Rollout: d.ID, Seq: next.Seq, At: now.UTC().Round(0), Kind: kind, By: by, Reason: dec.Reason,
		Rule: dec.Rule, Urgent: dec.Urgent, Epoch: next.Epoch,
		Phase: next.Phase, Stage: next.Stage, Name: next.Plan.Stages[next.Stage].Name,
		Paused: next.Paused, Split: next.Split, Baked: next.Baked,
		Prev: d.Last.Hash,
	}
	return &next
}

// checkpoint returns the document that comes after d when evidence and time are stored
// and nothing else changes. The last event stays the last one.
func (d *document) checkpoint(j *analysis.Judgement, now time.Time) *document {
	next := *d
	next.Notes++
	next.Note = &note{At: now.UTC().Round(0), Judgement: j}
	return &next
}

// enter puts d into a phase, with the split that the phase demands. Only
// entering a stage or the monitoring raises the candidate's share, and every ending
// other than Promoted takes it away.
func (d *document) enter(dec strategies.Decision, now time.Time) {
	d.Phase, d.Stage, d.Step, d.Waited, d.Votes = dec.Phase, dec.Stage, dec.Step, 0, nil
	if dec.Resume {
		d.Paused = false
	}
	split := d.Split
	switch {
	case dec.Phase == strategies.Baking:
		split = d.renamed(d.Plan.Stages[dec.Stage].Split)
		d.Baked, d.Allocated = 0, 0
		d.Entered = d.Evidence.Requests(d.candidate())
	case dec.Phase == strategies.Monitoring && d.Plan.Holdback > 0:
		split = d.give(strategies.Full - d.Plan.Holdback)
	case dec.Phase == strategies.RampingDown:
		d.Paused = false
		split = d.give(min(d.Plan.RampDown[dec.Step].Weight, d.Split.Weight(d.candidate())))
	case dec.Phase == strategies.Promoted:
		d.Paused = false
		split = d.renamed(d.Plan.Stages[dec.Stage].Split.Plain())
	case dec.Phase.Terminal():
		d.Paused = false
		split = split.RollBack()
	}
	split = split.Follow(d.Split) // who need not move stays
	split.Generation = d.Split.Generation
	if !split.Equal(d.Split) {
		split.Generation++
		d.Split, d.SplitAt = split, now.UTC().Round(0)
	}
	if d.Moved.IsZero() && slices.ContainsFunc(d.Plan.candidates(), d.Split.Reaches) {
		d.Moved = now.UTC().Round(0)
	}
}

// give returns the split that gives the candidate w and the baseline the rest.
func (d *document) give(w strategies.Weight) strategies.Split {
	s := d.Split.RollBack()
	for i := range s.Arms {
		if s.Arms[i].Name == d.candidate() {
			s.Arms[0].Weight, s.Arms[i].Weight = strategies.Full-w, w
		}
	}
	return s
}

// withdraws reports whether d gives no candidate more than the document before it,
// and lets nothing go on that waited.
func (d *document) withdraws() bool {
	return d.Phase.Terminal() && d.Phase != strategies.Promoted || d.Last.Kind == Paused || d.Last.Kind == Dropped
}

// slim takes away from d what its decision does not need.
func (d *document) slim() {
	if d.Note != nil {
		d.Note.Judgement = nil
		return
	}
	d.Reason = bound(d.Reason, 256)
	d.Last.Reason = bound(d.Last.Reason, 256)
	d.Last.Judgement, d.Last.Checks, d.Last.Others, d.Last.Monitor = nil, nil, nil, nil
	d.Votes = slices.Clone(d.Votes)
	for i := range d.Votes {
		d.Votes[i].Reason = bound(d.Votes[i].Reason, 256)
	}
}

// sameClock reports whether time served in d counts for o as well.
func (d *document) sameClock(o *document) bool {
	return d.Phase == o.Phase && d.Stage == o.Stage && d.Step == o.Step && d.Paused == o.Paused
}

// state is what strategies.Next decides from.
func (d *document) state(j analysis.Judgement, now time.Time) strategies.State {
	s := strategies.State{
		Phase: d.Phase, Stage: d.Stage, Paused: d.Paused,
		Baked: d.Baked, Waited: d.Waited,
		Samples:       d.Evidence.Requests(d.candidate()) - d.Entered,
		Verdict:       j.Verdict,
		VerdictReason: j.Reason,
		Monitor:       d.Plan.Monitor,
		Postflight:    len(d.Plan.Postflight) > 0,
		RampDown:      d.Plan.RampDown, Step: d.Step,
		Allocated: d.Allocated,
	}
	if !d.Phase.Terminal() {
		s.Frozen = d.frozen(now)
		s.HeldBack = d.Plan.Holdback > 0 && (d.Phase == strategies.Monitoring || d.Phase == strategies.Postflight ||
			d.Split.Weight(d.candidate()) < strategies.Full-d.Plan.Holdback)
	}
	if a := d.approval(); a != nil {
		s.Consent, s.ConsentReason = a.Judge(d.Votes, d.Starter.person())
	}
	return s
}

// approval returns what the gate that d is at demands, nil if d is at none.
func (d *document) approval() *strategies.Approval {
	if d.Phase != strategies.Approving {
		return nil
	}
	return d.Plan.Stages[d.Stage].Approve
}

// kindOf returns the kind of dec's event.
func kindOf(dec strategies.Decision) Kind {
	switch {
	case dec.Do == strategies.DoPause:
		return Paused
	case dec.Do == strategies.DoResume:
		return Resumed
	case dec.Do == strategies.DoTakeVote:
		return Voted
	case dec.Do == strategies.DoDrop:
		return Dropped
	case dec.Do == strategies.DoRebalance:
		return Rebalanced
	case dec.Phase.Terminal():
		return Ended
	}
	return PhaseEntered
}
