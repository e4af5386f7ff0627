// Package merkle keeps the Merkle tree over the lines of an append-only log (RFC 6962), and
// signs checkpoints of it (C2SP tlog-checkpoint).
package merkle

import (
	"errors"
	"fmt"
	"math/bits"
	"slices"

	"golang.org/x/mod/sumdb/tlog"
)

// Tree holds the stored hashes of the tree. Of a tree whose first entries are archived they
// begin with its frontier. The zero Tree is empty. It is not safe for concurrent use with
// Add.
type Tree struct {
	size     int64 // in entries
	frontier Frontier
	list     []tlog.Hash // the hashes of the entries after the frontier
}

// Frontier is what is needed of the first entries of a tree to go on with it: the hashes
// of the largest complete subtrees, from the left.
type Frontier struct {
	Size   int64       `json:"size"` // in entries
	Hashes []tlog.Hash `json:"hashes,omitempty"`
}

// ErrArchived means that something is asked about entries before the frontier.
var ErrArchived = errors.New("the log begins later")

// indexes returns which stored hashes make up the frontier of a tree of n entries.
func indexes(n int64) (all []int64) {
	for from := int64(0); from < n; {
		level := bits.Len64(uint64(n-from)) - 1
		all = append(all, tlog.StoredHashIndex(level, from>>level))
		from += 1 << level
	}
	return all
}

// After returns the tree that goes on from f.
func (f Frontier) After() (Tree, error) {
	if f.Size < 0 || len(f.Hashes) != bits.OnesCount64(uint64(f.Size)) {
		return Tree{}, fmt.Errorf("a tree of %d entries does not end with %d hashes", f.Size, len(f.Hashes))
	}
	return Tree{size: f.Size, frontier: f}, nil
}

// Size is the number of entries. Begin returns the frontier that the tree began with, and
// End the frontier of the whole tree.
func (t *Tree) Size() int64     { return t.size }
func (t *Tree) Begin() Frontier { return t.frontier }
func (t *Tree) End() (Frontier, error) {
	all, err := t.ReadHashes(indexes(t.size))
	return Frontier{Size: t.size, Hashes: all}, err
}

// Add appends one entry.
func (t *Tree) Add(line []byte) {
	// Stored hashes are numbered without gaps. A record needs the hashes of complete
	// subtrees before it, which are stored already, so this cannot fail.
	more, err := tlog.StoredHashes(t.size, line, t)
	if err != nil {
		panic(fmt.Sprintf("merkle: a hash of the tree is missing: %v", err))
	}
	t.list = append(t.list, more...)
	t.size++
}

// ReadHashes implements [tlog.HashReader].
func (t *Tree) ReadHashes(at []int64) ([]tlog.Hash, error) {
	out := make([]tlog.Hash, len(at))
	begin := tlog.StoredHashCount(t.frontier.Size)
	for i, x := range at {
		if x >= begin && x < begin+int64(len(t.list)) {
			out[i] = t.list[x-begin]
			continue
		}
		j := slices.Index(indexes(t.frontier.Size), x)
		if j < 0 {
			return nil, fmt.Errorf("%w: the tree has no hash %d", ErrArchived, x)
		}
		out[i] = t.frontier.Hashes[j]
	}
	return out, nil
}

// Root returns the root of the tree over the first n entries.
func (t *Tree) Root(n int64) (tlog.Hash, error) {
	if n < t.frontier.Size || n > t.size {
		return tlog.Hash{}, fmt.Errorf("root of %d entries: the log has entries %d to %d", n, t.frontier.Size, t.size)
	}
	return tlog.TreeHash(n, t)
}
