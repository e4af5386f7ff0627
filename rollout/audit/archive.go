package audit

import (
	"bufio"
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"strings"

	"golang.org/x/mod/sumdb/note"

	"github.com/serin-go/serin/internal/merkle"
	"github.com/serin-go/serin/rollout"
)

var _ rollout.Archiver = Archive{}

// Archive is a [rollout.Archiver]. It writes each rollout into one file of a directory,
// TARGET-NUMBER.jsonl, which [ReadArchive] verifies without anything else:
//
//   - the first line is an object: the rollout, its last document, and the frontier of the
//     Merkle tree over the entries of the target before it;
//   - then come the entries of its audit trail as they were stored, one a line;
//   - the last line is an object with a checkpoint of the target's log up to there, as
//     [Log.Checkpoint] signs it, with one more line that binds the first one.
//
// The frontiers join the archives of a target to one log, see [Log.Join]. Where several
// processes share the store, Dir must be a directory that they share, too.
type Archive struct {
	Dir    string      // must exist
	Signer note.Signer // its key is made by note.GenerateKey
}

const archiveFormat = 1

// archiveHead is the first line of an archive.
type archiveHead struct {
	Format   int             `json:"format"`
	Rollout  rollout.ID      `json:"rollout"`
	Entries  int             `json:"entries"`
	Before   merkle.Frontier `json:"before"`
	Document json.RawMessage `json:"document,omitempty"`
}

// archiveTail is the last line of an archive.
type archiveTail struct {
	Checkpoint string `json:"checkpoint"`
}

// bind is the line of the checkpoint that is about the first line of the archive.
func bind(id rollout.ID, head []byte) string {
	sum := sha256.Sum256(head)
	return "archive " + string(id) + " " + hex.EncodeToString(sum[:])
}

// Archive implements [rollout.Archiver]. The receipt is the frontier after the rollout. It
// writes nothing if the record is not sound: the error holds [*TamperError] values then.
// A record without a document, since that was damaged, may be without an end.
func (a Archive) Archive(_ context.Context, r rollout.Record) (receipt []byte, err error) {
	if a.Signer == nil || a.Dir == "" {
		return nil, errors.New("audit: archive: want a directory and a signer")
	}
	head := archiveHead{Format: archiveFormat, Rollout: r.ID, Entries: len(r.Events), Document: r.Document}
	if r.Before != nil {
		if err := json.Unmarshal(r.Before, &head.Before); err != nil {
			return nil, fmt.Errorf("audit: archive: receipt of the rollout before %s: %w", r.ID, err)
		}
	}
	l, err := after(head.Before, numberOf(r.ID))
	if err != nil {
		return nil, err
	}
	for _, line := range r.Events {
		if bytes.IndexByte(line, '\n') >= 0 {
			return nil, fmt.Errorf("audit: archive: an entry of %s has more than one line", r.ID)
		}
		l.add(bytes.Clone(line))
	}
	if err := l.whole(r.ID, r.Document != nil); err != nil {
		return nil, err
	}
	first, err := json.Marshal(head)
	if err != nil {
		return nil, fmt.Errorf("audit: archive: %w", err)
	}
	signed, err := l.sign(a.Signer, r.ID.Target(), bind(r.ID, first))
	if err != nil {
		return nil, err
	}
	last, err := json.Marshal(archiveTail{Checkpoint: string(signed)})
	if err != nil {
		return nil, fmt.Errorf("audit: archive: %w", err)
	}
	file := bytes.Join(append(append([][]byte{first}, l.lines...), last, nil), []byte("\n"))
	end, err := l.tree.End()
	if err != nil {
		return nil, err
	}
	if receipt, err = json.Marshal(end); err != nil {
		return nil, fmt.Errorf("audit: archive: %w", err)
	}
	name := strings.ReplaceAll(string(r.ID), "/", "-") + ".jsonl"
	return receipt, replaceFile(a.Dir, name, file)
}

// whole reports whether l is the sound trail of one rollout, up to its end.
func (l *Log) whole(id rollout.ID, ended bool) error {
	if err := l.Verify(); err != nil {
		return err
	}
	end := rollout.Event{}
	for i, ev := range l.events {
		if end = ev; ev.Rollout != id {
			return &TamperError{Index: i, Rollout: ev.Rollout, Seq: ev.Seq, Reason: fmt.Sprintf("it does not belong to %s", id)}
		}
	}
	if ended && end.Kind != rollout.Ended {
		return &TamperError{Index: l.Len(), Rollout: id, Seq: end.Seq + 1, Reason: "the rollout has no end"}
	}
	return nil
}

// after returns an empty log that goes on from a frontier, with the given rollout.
func after(f merkle.Frontier, first uint64) (*Log, error) {
	tree, err := f.After()
	if err != nil {
		return nil, fmt.Errorf("audit: %w", err)
	}
	return &Log{first: first, tree: tree}, nil
}

// removed returns the empty log that begins after what was removed from a store.
func removed(ctx context.Context, s rollout.Store, target string) (*Log, error) {
	entry, err := s.Get(ctx, "retained/"+target)
	if errors.Is(err, rollout.ErrNotFound) {
		return &Log{}, nil
	} else if err != nil {
		return nil, fmt.Errorf("audit: %w", err)
	}
	var at struct {
		First   uint64 `json:"first"`
		Receipt []byte `json:"receipt"`
	}
	if err := json.Unmarshal(entry.Value, &at); err != nil {
		return nil, fmt.Errorf("audit: %s: %w", entry.Key, err)
	}
	var f merkle.Frontier
	if json.Unmarshal(at.Receipt, &f) != nil {
		f = merkle.Frontier{} // of another archiver
	}
	return after(f, at.First)
}

// Archived is one archive.
type Archived struct {
	ID rollout.ID
	// Log holds the entries of the rollout. It goes on from the archives before it.
	Log *Log
	// Document is the last document of the rollout as it was stored, or nil if it was
	// damaged.
	Document []byte
}

// ReadArchive reads an archive and verifies it: the signature, every entry, the chain of
// the entries up to the end of the rollout, and the document.
func ReadArchive(r io.Reader, v note.Verifier) (Archived, error) {
	bad := func(err error) (Archived, error) { return Archived{}, fmt.Errorf("audit: archive: %w", err) }
	var lines [][]byte
	sc := bufio.NewScanner(r)
	sc.Buffer(nil, 2*MaxLine)
	for sc.Scan() {
		lines = append(lines, bytes.Clone(sc.Bytes()))
	}
	if err := sc.Err(); err != nil {
		return bad(err)
	}
	if len(lines) < 2 {
		return bad(fmt.Errorf("%d lines are too few", len(lines)))
	}
	var head archiveHead
	var tail archiveTail
	first, entries := lines[0], lines[1:len(lines)-1]
	if err := errors.Join(json.Unmarshal(first, &head), json.Unmarshal(lines[len(lines)-1], &tail)); err != nil {
		return bad(err)
	}
	if head.Format != archiveFormat || head.Entries != len(entries) {
		return bad(fmt.Errorf("format %d with %d of %d entries, want format %d", head.Format, len(entries), head.Entries, archiveFormat))
	}
	c, err := openCheckpoint([]byte(tail.Checkpoint), v)
	if err != nil {
		return Archived{}, err
	}
	l, err := after(head.Before, numberOf(head.Rollout))
	if err != nil {
		return Archived{}, err
	}
	for _, line := range entries {
		l.add(line)
	}
	root, err := l.Root(l.Size())
	switch {
	case err != nil:
		return Archived{}, err
	case c.target != head.Rollout.Target() || c.more != bind(head.Rollout, first):
		return bad(fmt.Errorf("%w: its first line differs", ErrForked))
	case c.size != int64(l.Size()) || c.root != root:
		return bad(fmt.Errorf("%w: its entries differ", ErrForked))
	}
	if err := l.whole(head.Rollout, head.Document != nil); err != nil {
		return Archived{}, err
	}
	return Archived{ID: head.Rollout, Log: l, Document: head.Document}, nil
}

// Join returns the log that begins with the given logs, in order, and ends with l. The
// given ones come from [ReadArchive], and l from [Read]. Each must go on where the log
// before it ends; otherwise the error wraps [ErrForked].
func (l *Log) Join(before ...*Log) (*Log, error) {
	all := &Log{}
	for i, part := range append(before[:len(before):len(before)], l) {
		if i == 0 {
			var err error
			if all, err = after(part.tree.Begin(), part.first); err != nil {
				return nil, err
			}
		}
		end, err := all.tree.End()
		if err != nil {
			return nil, err
		}
		if have, want := fmt.Sprint(part.tree.Begin()), fmt.Sprint(end); have != want {
			return nil, fmt.Errorf("%w: part %d goes on from entry %d, the one before it ends with %d", ErrForked, i, part.Archived(), all.Size())
		}
		for _, line := range part.lines {
			all.add(line)
		}
	}
	return all, nil
}
