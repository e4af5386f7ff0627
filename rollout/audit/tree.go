package audit

import (
	"errors"
	"fmt"
	"math/bits"
	"slices"

	"golang.org/x/mod/sumdb/note"
	"golang.org/x/mod/sumdb/tlog"

	"github.com/serin-go/serin/rollout"
)

// hashes are the stored hashes of the Merkle tree over the entries. Of a tree whose first
// entries are archived they begin with its frontier.
type hashes struct {
	size     int64 // of the tree, in entries
	frontier frontier
	list     []tlog.Hash // the hashes of the entries after the frontier
}

// frontier is what is needed of the first entries of a tree to go on with it: the hashes
// of the largest complete subtrees, from the left.
type frontier struct {
	Size   int64       `json:"size"` // in entries
	Hashes []tlog.Hash `json:"hashes,omitempty"`
}

// indexes returns which stored hashes make up the frontier of a tree of n entries.
func frontierIndexes(n int64) (indexes []int64) {
	for from := int64(0); from < n; {
		level := bits.Len64(uint64(n-from)) - 1
		indexes = append(indexes, tlog.StoredHashIndex(level, from>>level))
		from += 1 << level
	}
	return indexes
}

// after returns the tree that goes on from f.
func (f frontier) after() (hashes, error) {
	if f.Size < 0 || len(f.Hashes) != bits.OnesCount64(uint64(f.Size)) {
		return hashes{}, fmt.Errorf("audit: a tree of %d entries does not end with %d hashes", f.Size, len(f.Hashes))
	}
	return hashes{size: f.Size, frontier: f}, nil
}

// end returns the frontier of the whole tree.
func (h *hashes) end() (frontier, error) {
	all, err := h.ReadHashes(frontierIndexes(h.size))
	return frontier{Size: h.size, Hashes: all}, err
}

func (h *hashes) add(line []byte) {
	// Stored hashes are numbered without gaps. A record needs the hashes of complete
	// subtrees before it, which are stored already, so this cannot fail.
	more, err := tlog.StoredHashes(h.size, line, h)
	if err != nil {
		panic(fmt.Sprintf("audit: a hash of the tree is missing: %v", err))
	}
	h.list = append(h.list, more...)
	h.size++
}

// ReadHashes implements [tlog.HashReader].
func (h *hashes) ReadHashes(indexes []int64) ([]tlog.Hash, error) {
	out := make([]tlog.Hash, len(indexes))
	begin := tlog.StoredHashCount(h.frontier.Size)
	for i, x := range indexes {
		if j := slices.Index(frontierIndexes(h.frontier.Size), x); j >= 0 {
			out[i] = h.frontier.Hashes[j]
			continue
		}
		if x < begin || x >= begin+int64(len(h.list)) {
			return nil, fmt.Errorf("%w: the tree has no hash %d", errArchived, x)
		}
		out[i] = h.list[x-begin]
	}
	return out, nil
}

// errArchived says that something is asked about entries that are in archives.
var errArchived = errors.New("audit: the log begins later")

// Root returns the root of the Merkle tree over the first n entries (RFC 6962), archived
// ones included. It is not known for fewer than [Log.Archived].
func (l *Log) Root(n int) (tlog.Hash, error) {
	if n < l.Archived() || n > l.Size() {
		return tlog.Hash{}, fmt.Errorf("audit: root of %d entries: the log has entries %d to %d", n, l.Archived(), l.Size())
	}
	return tlog.TreeHash(int64(n), &l.hashes)
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
			path, err := tlog.ProveRecord(int64(l.Size()), int64(i), &l.hashes)
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
	path, err := tlog.ProveTree(int64(l.Size()), int64(n), &l.hashes)
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
