package audit

import (
	"errors"
	"fmt"

	"golang.org/x/mod/sumdb/note"
	"golang.org/x/mod/sumdb/tlog"

	"github.com/serin-go/serin/rollout"
)

// Root returns the root of the Merkle tree over the first n entries (RFC 6962), archived
// ones included. It is not known for fewer than [Log.Archived].
func (l *Log) Root(n int) (tlog.Hash, error) {
	root, err := l.tree.Root(int64(n))
	if err != nil {
		return root, fmt.Errorf("audit: %w", err)
	}
	return root, nil
}

// target returns the target that the log is about.
func (l *Log) target() (string, error) {
	for _, ev := range l.events {
		if t := ev.Rollout.Target(); t != "" {
			return t, nil
		}
	}
	return "", errors.New("audit: the log is empty")
}

// Inclusion proves that one entry is in a log.
type Inclusion struct {
	Index int              `json:"index"`
	Size  int              `json:"size"` // of the log, in entries
	Line  []byte           `json:"line"` // the exact entry
	Path  tlog.RecordProof `json:"path"`
}

// Prove returns a proof that event seq of a rollout is in l. A checkpoint
// of l suffices to check it.
func (l *Log) Prove(id rollout.ID, seq uint64) (Inclusion, error) {
	for i, ev := range l.events {
		if ev.Rollout == id && ev.Seq == seq {
			i := l.Archived() + i
			path, err := tlog.ProveRecord(int64(l.Size()), int64(i), &l.tree)
			return Inclusion{Index: i, Size: l.Size(), Line: l.lines[i-l.Archived()], Path: path}, err
		}
	}
	return Inclusion{}, fmt.Errorf("audit: %s event %d: %w", id, seq, rollout.ErrNotFound)
}

// Check reports whether p proves that its entry is in the log of a checkpoint.
func (p Inclusion) Check(checkpoint []byte, v note.Verifier) error {
	c, err := openCheckpoint(checkpoint, v)
	if err != nil {
		return err
	}
	if c.size != int64(p.Size) {
		return fmt.Errorf("audit: the proof is about a log of %d entries, the checkpoint about one of %d", p.Size, c.size)
	}
	return tlog.CheckRecord(p.Path, c.size, c.root, int64(p.Index), tlog.RecordHash(p.Line))
}

// Growth proves that a log of one size is the beginning of a larger one.
type Growth struct {
	From int            `json:"from"`
	To   int            `json:"to"`
	Path tlog.TreeProof `json:"path"`
}

// ProveGrowth returns a proof that the first n entries of l are the log that had
// n entries.
func (l *Log) ProveGrowth(n int) (Growth, error) {
	if n < 1 || n > l.Size() {
		return Growth{}, fmt.Errorf("audit: a log of %d entries has not grown from %d", l.Size(), n)
	}
	path, err := tlog.ProveTree(int64(l.Size()), int64(n), &l.tree)
	return Growth{From: n, To: l.Size(), Path: path}, err
}

// Check reports whether g proves that the log of the checkpoint newer begins with the
// log of the checkpoint older. Neither log is needed.
func (g Growth) Check(older, newer []byte, v note.Verifier) error {
	a, err := openCheckpoint(older, v)
	if err != nil {
		return err
	}
	b, err := openCheckpoint(newer, v)
	if err != nil {
		return err
	}
	if a.target != b.target || a.size != int64(g.From) || b.size != int64(g.To) {
		return fmt.Errorf("audit: the proof is about a log that grew from %d to %d, the checkpoints are of %s with %d and %s with %d", g.From, g.To, a.target, a.size, b.target, b.size)
	}
	return tlog.CheckTree(g.Path, b.size, b.root, a.size, a.root)
}
