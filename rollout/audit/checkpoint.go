package audit

import (
	"errors"
	"fmt"
	"strings"

	"golang.org/x/mod/sumdb/note"
	"golang.org/x/mod/sumdb/tlog"

	"github.com/serin-go/serin/internal/merkle"
	"github.com/serin-go/serin/rollout"
)

// A checkpoint is a signed note of three lines: what log, how many entries, and
// the root of its tree (C2SP tlog-checkpoint). An extension line names the last entry;
// checkpoints of earlier versions have none. Keys are made by note.GenerateKey.
type checkpoint struct {
	target string
	size   int64
	root   tlog.Hash
	more   string       // the line after these, if there is one
	head   rollout.Head // zero if it is not named
}

const (
	origin   = "serin/audit/"
	headLine = "head %s %d %s"
)

// Checkpoint signs the present state of l. Keep what it returns in another
// place than the log.
func (l *Log) Checkpoint(s note.Signer) ([]byte, error) {
	target, err := l.target()
	if err != nil {
		return nil, err
	}
	return l.sign(s, target, "")
}

// sign signs the present state of l, and one more line if more is not empty.
func (l *Log) sign(s note.Signer, target, more string) ([]byte, error) {
	root, err := l.Root(l.Size())
	if err != nil {
		return nil, err
	}
	c := merkle.Checkpoint{Origin: origin + target, Size: int64(l.Size()), Root: root}
	if more != "" {
		c.More = append(c.More, more)
	}
	if n := len(l.events); n > 0 && l.events[n-1].Rollout != "" {
		last := l.events[n-1]
		c.More = append(c.More, fmt.Sprintf(headLine, last.Rollout, last.Seq, last.Hash))
	}
	signed, err := c.Sign(s)
	if err != nil {
		return nil, fmt.Errorf("audit: %w", err)
	}
	return signed, nil
}

// openCheckpoint checks the signature of a checkpoint and reads it.
func openCheckpoint(signed []byte, v note.Verifier) (checkpoint, error) {
	m, err := merkle.Open(signed, v)
	if err != nil {
		return checkpoint{}, fmt.Errorf("audit: %w", err)
	}
	target, ok := strings.CutPrefix(m.Origin, origin)
	if !ok {
		return checkpoint{}, fmt.Errorf("audit: checkpoint: the log is of another kind, %q", m.Origin)
	}
	c := checkpoint{target: target, size: m.Size, root: m.Root}
	for _, line := range m.More {
		switch {
		case strings.HasPrefix(line, "head "):
			if _, err := fmt.Sscanf(line, headLine, &c.head.Rollout, &c.head.Seq, &c.head.Hash); err != nil {
				return checkpoint{}, fmt.Errorf("audit: checkpoint: no head in %q", line)
			}
		case c.more == "":
			c.more = line
		}
	}
	return c, nil
}

// ErrForked says that a log does not begin with what a checkpoint of it says:
// an entry before the checkpoint was altered, removed or put in.
var ErrForked = errors.New("audit: the log is not the one that was signed")

// Extends reports whether l begins with the log that was signed in checkpoint. A
// log that is shorter, or that differs before the checkpoint in a single byte,
// is an error that wraps [ErrForked]. Entries that are archived are known by their hashes;
// a checkpoint from before the last archive needs the archives too, see [Log.Join].
func (l *Log) Extends(signed []byte, v note.Verifier) error {
	c, err := openCheckpoint(signed, v)
	if err != nil {
		return err
	}
	target, err := l.target()
	switch {
	case err == nil && target != c.target:
		return fmt.Errorf("audit: the log is about %s, the checkpoint about %s", target, c.target)
	case c.size > int64(l.Size()):
		return fmt.Errorf("%w: it has %d entries, %d were signed", ErrForked, l.Size(), c.size)
	case c.size < int64(l.Archived()):
		return fmt.Errorf("audit: %w, with entry %d, and %d were signed: join it with its archives", merkle.ErrArchived, l.Archived(), c.size)
	}
	root, err := l.Root(int(c.size))
	if err != nil {
		return err
	}
	if root != c.root {
		return fmt.Errorf("%w: one of its first %d entries differs", ErrForked, c.size)
	}
	return nil
}
