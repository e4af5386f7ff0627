package ledger

import (
	"context"
	"errors"
	"fmt"

	"golang.org/x/mod/sumdb/note"
	"golang.org/x/mod/sumdb/tlog"

	"github.com/serin-go/serin/checks"
	"github.com/serin-go/serin/internal/merkle"
	"github.com/serin-go/serin/rollout"
	"github.com/serin-go/serin/rollout/audit"
)

// Verify reads all entries from the store and verifies the chain, that nothing is missing
// that this process has seen, and that the ledger extends the last checkpoint of
// [Config.Anchor]. Errors are a [*TamperError], one that wraps [audit.ErrForked], or errors
// of the store and the anchor.
func (l *Ledger) Verify(ctx context.Context) error {
	_, err := l.verify(ctx)
	return err
}

// verify verifies the ledger, and returns the number of its entries. The tree is computed
// only where there is a checkpoint to compare it with.
func (l *Ledger) verify(ctx context.Context) (size uint64, err error) {
	count := func(seq uint64, _ []byte) { size = seq }
	signed, err := l.latest(ctx)
	if err != nil {
		return 0, err
	}
	if signed == nil {
		err := l.chain(ctx, count)
		return size, err
	}
	var tree merkle.Tree
	if err := l.chain(ctx, func(seq uint64, line []byte) { count(seq, line); tree.Add(line) }); err != nil {
		return 0, err
	}
	return size, l.matches(signed, &tree)
}

// scan verifies the ledger, and calls each for every line. It returns the tree of the lines.
func (l *Ledger) scan(ctx context.Context, each func(seq uint64, line []byte)) (*merkle.Tree, error) {
	tree := new(merkle.Tree)
	if err := l.chain(ctx, func(seq uint64, line []byte) { tree.Add(line); each(seq, line) }); err != nil {
		return nil, err
	}
	return tree, l.extends(ctx, tree)
}

// chain verifies the chain alone, and calls each for every line.
func (l *Ledger) chain(ctx context.Context, each func(seq uint64, line []byte)) error {
	if err := l.enter(ctx); err != nil {
		return err
	}
	seen, hash := l.seq, l.hash
	l.leave()
	seq, prev := uint64(0), ""
	for line, err := range l.lines(ctx) {
		if err != nil {
			return err
		}
		seq++
		if prev, err = verify(line, seq, prev); err != nil {
			return err
		}
		each(seq, line)
		if seq == seen && prev != hash {
			return &TamperError{Seq: seq, Reason: "it is another one than before"}
		}
	}
	if seq < seen {
		return &TamperError{Seq: seq + 1, Reason: "it is missing"}
	}
	return nil
}

// origin is the first line of a checkpoint, and the name of the ledger for its anchor. It
// cannot be the name of a target.
func (l *Ledger) origin() string { return "serin/ledger/" + l.cfg.Name }
func (l *Ledger) anchored() string {
	return "~ledger-" + l.cfg.Name
}

// latest returns the last checkpoint of the anchor, or nil.
func (l *Ledger) latest(ctx context.Context) ([]byte, error) {
	if l.cfg.Anchor == nil {
		return nil, nil
	}
	signed, err := l.cfg.Anchor.Latest(ctx, l.anchored())
	if errors.Is(err, rollout.ErrNotFound) {
		return nil, nil
	}
	if err != nil {
		return nil, fmt.Errorf("ledger: anchor: %w", err)
	}
	return signed, nil
}

// extends reports whether a tree extends the last checkpoint of the anchor.
func (l *Ledger) extends(ctx context.Context, t *merkle.Tree) error {
	signed, err := l.latest(ctx)
	if err != nil || signed == nil {
		return err
	}
	return l.matches(signed, t)
}

// matches reports whether a tree extends a checkpoint.
func (l *Ledger) matches(signed []byte, t *merkle.Tree) error {
	c, err := merkle.Open(signed, l.verifier)
	switch {
	case err != nil:
		return fmt.Errorf("ledger: %w", err)
	case c.Origin != l.origin():
		return fmt.Errorf("ledger: the checkpoint is of %q, want %q", c.Origin, l.origin())
	case c.Size > t.Size():
		return fmt.Errorf("ledger: it has %d entries, %d were signed: %w", t.Size(), c.Size, audit.ErrForked)
	}
	root, err := t.Root(c.Size)
	if err != nil {
		return fmt.Errorf("ledger: %w", err)
	}
	if root != c.Root {
		return fmt.Errorf("ledger: one of its first %d entries differs: %w", c.Size, audit.ErrForked)
	}
	return nil
}

// errNoSigner means that checkpoints are asked for without a key.
var errNoSigner = &checks.InvalidError{Package: "ledger", Field: "Config.Signer", Value: nil, Want: "a signer, for checkpoints"}

// Checkpoint signs the present state of the ledger, with what other processes have written.
// Keep what it returns in another place. Without [Config.Signer] it returns a
// [*checks.InvalidError].
func (l *Ledger) Checkpoint(ctx context.Context) ([]byte, error) {
	if l.cfg.Signer == nil {
		return nil, errNoSigner
	}
	if err := l.enter(ctx); err != nil {
		return nil, err
	}
	defer l.leave()
	if err := l.refresh(ctx); err != nil {
		return nil, err
	}
	return l.sign(&l.tree)
}

// sign signs a tree.
func (l *Ledger) sign(t *merkle.Tree) ([]byte, error) {
	root, err := t.Root(t.Size())
	if err != nil {
		return nil, fmt.Errorf("ledger: %w", err)
	}
	signed, err := merkle.Checkpoint{Origin: l.origin(), Size: t.Size(), Root: root}.Sign(l.cfg.Signer)
	if err != nil {
		return nil, fmt.Errorf("ledger: %w", err)
	}
	return signed, nil
}

// seal keeps a checkpoint with the anchor if the ledger has grown. It does not hold up other
// calls while the anchor is slow.
func (l *Ledger) seal(ctx context.Context) error {
	if l.cfg.Anchor == nil {
		return nil
	}
	signed, size, err := l.unsealed(ctx)
	if err != nil || signed == nil {
		return err
	}
	if err := l.cfg.Anchor.Keep(ctx, l.anchored(), signed); err != nil {
		return fmt.Errorf("ledger: anchor: %w", err)
	}
	if err := l.enter(ctx); err != nil {
		return err
	}
	defer l.leave()
	l.sealed = max(l.sealed, size)
	return nil
}

// unsealed returns a checkpoint of what has grown since the last one, or nil.
func (l *Ledger) unsealed(ctx context.Context) ([]byte, int64, error) {
	latest, err := l.latest(ctx)
	if err != nil {
		return nil, 0, err
	}
	if err := l.enter(ctx); err != nil {
		return nil, 0, err
	}
	defer l.leave()
	if l.broken != nil || l.sealed == l.tree.Size() {
		return nil, 0, l.broken
	}
	// Another process may have sealed more.
	if err := l.refresh(ctx); err != nil {
		return nil, 0, err
	}
	if latest != nil {
		if err := l.matches(latest, &l.tree); err != nil {
			return nil, 0, err
		}
	}
	signed, err := l.sign(&l.tree)
	return signed, l.tree.Size(), err
}

// Inclusion proves that one entry is in a ledger.
type Inclusion struct {
	Seq  uint64           `json:"seq"`
	Size int64            `json:"size"` // of the ledger, in entries
	Line string           `json:"line"` // the exact entry
	Path tlog.RecordProof `json:"path"`
}

// Prove returns a proof that the entry seq is in the ledger as it is now. A checkpoint of
// the same size suffices to check it.
func (l *Ledger) Prove(ctx context.Context, seq uint64) (Inclusion, error) {
	e, err := l.cfg.Store.Get(ctx, l.key(seq))
	if err != nil {
		return Inclusion{}, fmt.Errorf("ledger: entry %d: %w", seq, err)
	}
	if err := l.enter(ctx); err != nil {
		return Inclusion{}, err
	}
	defer l.leave()
	if err := l.refresh(ctx); err != nil {
		return Inclusion{}, err
	}
	return prove(&l.tree, seq, e.Value)
}

// prove returns a proof that a line is in a tree.
func prove(t *merkle.Tree, seq uint64, line []byte) (Inclusion, error) {
	if seq == 0 || seq > uint64(t.Size()) {
		return Inclusion{}, fmt.Errorf("ledger: entry %d: %w", seq, rollout.ErrNotFound)
	}
	path, err := tlog.ProveRecord(t.Size(), int64(seq)-1, t)
	if err != nil {
		return Inclusion{}, fmt.Errorf("ledger: %w", err)
	}
	return Inclusion{Seq: seq, Size: t.Size(), Line: string(line), Path: path}, nil
}

// Check reports whether p proves that its entry is in the ledger of a checkpoint.
func (p Inclusion) Check(checkpoint []byte, v note.Verifier) error {
	if v == nil {
		return &checks.InvalidError{Package: "ledger", Field: "v", Value: nil, Want: "a verifier"}
	}
	c, err := merkle.Open(checkpoint, v)
	if err != nil {
		return fmt.Errorf("ledger: %w", err)
	}
	if c.Size != p.Size || p.Seq == 0 {
		return fmt.Errorf("ledger: the proof is about a ledger of %d entries, the checkpoint about one of %d", p.Size, c.Size)
	}
	if err := tlog.CheckRecord(p.Path, c.Size, c.Root, int64(p.Seq)-1, tlog.RecordHash([]byte(p.Line))); err != nil {
		return fmt.Errorf("ledger: %w", err)
	}
	return nil
}

// Intact returns a check that [Ledger.Verify] finds nothing. Damage is Fail; a store or an
// anchor that does not answer is Unknown.
func (l *Ledger) Intact() checks.Check {
	return checks.Func(func(ctx context.Context) checks.Result {
		size, err := l.verify(ctx)
		var tampered *TamperError
		switch {
		case err == nil:
			return checks.Result{Status: checks.Pass, Summary: fmt.Sprintf("the ledger is intact, with %d entries", size)}
		case errors.As(err, &tampered), errors.Is(err, audit.ErrForked):
			return checks.Result{Status: checks.Fail, Summary: err.Error(), Err: err}
		}
		return checks.Result{Summary: "the ledger cannot be verified", Err: err}
	})
}
