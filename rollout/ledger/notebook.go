package ledger

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"sync"

	"github.com/serin-go/serin/rollout"
)

// Notebook reads and writes the notes of a ledger for an actor. It is a privacy.Notes. Make
// one with [Ledger.Notebook]. It is safe for concurrent use.
type Notebook struct {
	ledger *Ledger
	by     rollout.Actor

	mu    sync.Mutex
	noted uint64 // the last note up to seq
	seq   uint64 // the last entry that was read
	hash  string // of it
}

// Notebook returns a notebook whose notes are by the given actor, such as a service.
func (l *Ledger) Notebook(by rollout.Actor) *Notebook { return &Notebook{ledger: l, by: by} }

// Note records a note; see [Ledger.Note].
func (n *Notebook) Note(ctx context.Context, name string, what any) error {
	return n.ledger.Note(ctx, name, what, n.by)
}

// Notes calls f with each note after entry number after, in order, and returns its first
// error. It verifies every entry that it reads, of all kinds; one that was altered or is
// missing is a [*TamperError].
func (n *Notebook) Notes(ctx context.Context, after uint64, f func(seq uint64, name string, what json.RawMessage) error) error {
	l := n.ledger
	n.mu.Lock()
	noted, read, prev := n.noted, n.seq, n.hash
	n.mu.Unlock()
	if after >= noted && after <= read {
		after = read // there are no notes between
	} else if prev, noted = "", after; after > 0 {
		e, err := l.cfg.Store.Get(ctx, l.key(after))
		if err != nil {
			return fmt.Errorf("ledger: entry %d: %w", after, err)
		}
		if len(e.Value) < tail {
			return &TamperError{Seq: after, Reason: "it does not end with its hash"}
		}
		prev = string(e.Value[len(e.Value)-len(`"}`)-2*32 : len(e.Value)-len(`"}`)])
	}
	for seq := after + 1; ; seq++ {
		stored, err := l.cfg.Store.Get(ctx, l.key(seq))
		if errors.Is(err, rollout.ErrNotFound) {
			n.mu.Lock()
			if n.seq < seq {
				n.noted, n.seq, n.hash = noted, seq-1, prev
			}
			n.mu.Unlock()
			return n.whole(ctx, seq-1)
		}
		if err != nil {
			return fmt.Errorf("ledger: entry %d: %w", seq, err)
		}
		if prev, err = verify(stored.Value, seq, prev); err != nil {
			return err
		}
		var e Entry
		if err := json.Unmarshal(stored.Value, &e); err != nil {
			return &TamperError{Seq: seq, Reason: "it cannot be read: " + err.Error()}
		}
		if e.Kind != Noted {
			continue
		}
		noted = seq
		if err := f(seq, e.Name, e.Note); err != nil {
			return err
		}
	}
}

// whole reports entries that this ledger has seen and that are missing after last.
func (n *Notebook) whole(ctx context.Context, last uint64) error {
	if err := n.ledger.enter(ctx); err != nil {
		return err
	}
	defer n.ledger.leave()
	if n.ledger.broken != nil {
		return n.ledger.broken
	}
	if n.ledger.seq > last {
		if _, err := n.ledger.cfg.Store.Get(ctx, n.ledger.key(last+1)); errors.Is(err, rollout.ErrNotFound) {
			return &TamperError{Seq: last + 1, Reason: "it is missing"}
		}
	}
	return nil
}
