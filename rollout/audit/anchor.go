package audit

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"

	"golang.org/x/mod/sumdb/note"

	"github.com/serin-go/serin/rollout"
)

// Anchor keeps checkpoints in another place than the log: another disk, another
// host, a witness. Implementations must be safe for concurrent use.
type Anchor interface {
	// Latest returns the newest checkpoint of a target's log, or an error that
	// wraps [rollout.ErrNotFound].
	Latest(ctx context.Context, target string) ([]byte, error)
	// Keep keeps a checkpoint, durably.
	Keep(ctx context.Context, target string, checkpoint []byte) error
}

// Seal signs the present state of l and keeps it with the anchor, provided that
// l is sound and extends what was signed before; otherwise nothing is signed.
// Errors: [*TamperError] values, [ErrForked], or what the anchor said.
func Seal(ctx context.Context, l *Log, a Anchor, s note.Signer, v note.Verifier) ([]byte, error) {
	target, err := l.target()
	if err != nil {
		return nil, err
	}
	if err := l.Verify(); err != nil {
		return nil, err
	}
	latest, err := a.Latest(ctx, target)
	switch {
	case errors.Is(err, rollout.ErrNotFound):
	case err != nil:
		return nil, err
	default:
		if err := l.Extends(latest, v); err != nil {
			return nil, err
		}
	}
	signed, err := l.Checkpoint(s)
	if err != nil {
		return nil, err
	}
	return signed, a.Keep(ctx, target, signed)
}

// Heads returns a [rollout.Anchor] that knows the last entry of each log as the newest
// checkpoint kept with a names it. A checkpoint whose signature v does not confirm is an
// error. A checkpoint of an earlier version, which names no entry, counts as none until
// the next [Seal].
func Heads(a Anchor, v note.Verifier) rollout.Anchor { return &heads{a, v} }

type heads struct {
	anchor   Anchor
	verifier note.Verifier
}

// Head implements [rollout.Anchor].
func (h *heads) Head(ctx context.Context, target string) (rollout.Head, error) {
	signed, err := h.anchor.Latest(ctx, target)
	if err != nil {
		return rollout.Head{}, err
	}
	c, err := openCheckpoint(signed, h.verifier)
	switch {
	case err != nil:
		return rollout.Head{}, err
	case c.target != target:
		return rollout.Head{}, fmt.Errorf("audit: checkpoint is about target %s, want %s", c.target, target)
	case c.head.Rollout == "":
		return rollout.Head{}, fmt.Errorf("audit: checkpoint of %s names no entry: %w", target, rollout.ErrNotFound)
	}
	return c.head, nil
}

// Dir is an [Anchor] that keeps the newest checkpoint of each target in a file
// TARGET.checkpoint of a directory, which must exist.
type Dir string

// Latest implements [Anchor].
func (d Dir) Latest(_ context.Context, target string) ([]byte, error) {
	b, err := os.ReadFile(d.path(target))
	if errors.Is(err, os.ErrNotExist) {
		return nil, fmt.Errorf("audit: no checkpoint of %s: %w", target, rollout.ErrNotFound)
	} else if err != nil {
		return nil, fmt.Errorf("audit: %w", err)
	}
	return b, nil
}

func (d Dir) path(target string) string {
	return filepath.Join(string(d), filepath.Base(target)+".checkpoint")
}

// Keep implements [Anchor]: the file is replaced as a whole.
func (d Dir) Keep(_ context.Context, target string, checkpoint []byte) error {
	return replaceFile(string(d), filepath.Base(d.path(target)), checkpoint)
}

// replaceFile writes a file of a directory as a whole, durably.
func replaceFile(dir, name string, content []byte) (err error) {
	f, err := os.CreateTemp(dir, ".checkpoint-*")
	if err != nil {
		return fmt.Errorf("audit: %w", err)
	}
	defer func() {
		if err != nil {
			err = fmt.Errorf("audit: %w", errors.Join(err, os.Remove(f.Name())))
		}
	}()
	if _, err := f.Write(content); err != nil {
		return errors.Join(err, f.Close())
	}
	if err := errors.Join(f.Sync(), f.Close()); err != nil {
		return err
	}
	if err := os.Rename(f.Name(), filepath.Join(dir, name)); err != nil {
		return err
	}
	parent, err := os.Open(dir)
	if err != nil {
		return nil // it is renamed; that it is durable cannot be made sure of here
	}
	return errors.Join(parent.Sync(), parent.Close())
}
