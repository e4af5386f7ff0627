package audit

import (
	"bufio"
	"bytes"
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"iter"
	"slices"
	"strconv"
	"strings"

	"github.com/serin-go/serin/internal/merkle"
	"github.com/serin-go/serin/rollout"
)

// MaxLine bounds an entry, in bytes; it is the largest value of a store.
const MaxLine = 256 << 10

// Log is the audit trail of one target, oldest entry first. It is immutable,
// and safe for concurrent use.
type Log struct {
	first  uint64 // the number of its first rollout, 0 and 1 if none is archived
	lines  [][]byte
	events []rollout.Event // of the lines that could be read; the zero Event stands for one that could not
	tree   merkle.Tree

	stored *rollout.Head // of the newest document in the store; nil if that is not known
}

// Read reads the audit trail of a target from the engine's store, with the entries
// that are in quarantine since something else was in their place. An entry that
// cannot be understood is kept as it is; [Log.Verify] reports it, and a document of the
// target that is older than the trail. Rollouts that were archived and removed are not part
// of the log; see [Log.Join].
func Read(ctx context.Context, s rollout.Store, target string) (*Log, error) {
	l, err := removed(ctx, s, target)
	if err != nil {
		return nil, err
	}
	prefix := "audit/" + target + "/"
	type entry struct {
		number, seq uint64
		line        []byte
	}
	var entries []entry
	for _, at := range []string{prefix, "quarantine/" + prefix} {
		for e, err := range s.List(ctx, at) {
			if err != nil {
				return nil, fmt.Errorf("audit: %w", err)
			}
			number, seq, ok := strings.Cut(strings.TrimPrefix(e.Key, at), "/")
			n, err1 := strconv.ParseUint(number, 10, 64)
			q, err2 := strconv.ParseUint(seq, 10, 64)
			if !ok || err1 != nil || err2 != nil || n < l.first {
				continue // of a target whose name begins alike, or about to be deleted
			}
			if !slices.ContainsFunc(entries, func(o entry) bool { return at != prefix && o.number == n && o.seq == q && bytes.Equal(o.line, e.Value) }) {
				entries = append(entries, entry{n, q, e.Value})
			}
		}
	}
	slices.SortStableFunc(entries, func(a, b entry) int { return cmp.Or(cmp.Compare(a.number, b.number), cmp.Compare(a.seq, b.seq)) })
	for _, e := range entries {
		l.add(e.line)
	}
	// It is read after the entries: each of them was committed by then.
	head, err := rollout.StoredHead(ctx, s, target)
	switch {
	case err == nil || errors.Is(err, rollout.ErrNotFound):
		l.stored = &head
	case !errors.Is(err, rollout.ErrDamaged):
		return nil, fmt.Errorf("audit: %w", err)
	}
	return l, nil
}

// ReadJSONL reads a log that [Log.WriteJSONL] has written, or a sink that received the
// rollouts of one target one after the other; see [ReadJournal]. Lines that repeat the one
// before them, as a sink may after a crash, are one entry.
func ReadJSONL(r io.Reader) (*Log, error) {
	l := &Log{}
	sc := bufio.NewScanner(r)
	sc.Buffer(nil, MaxLine+1)
	for n := 1; sc.Scan(); n++ {
		line := bytes.Clone(sc.Bytes())
		if last := len(l.lines) - 1; len(line) == 0 || last >= 0 && bytes.Equal(line, l.lines[last]) {
			continue
		}
		l.add(line)
	}
	if err := sc.Err(); err != nil {
		return nil, fmt.Errorf("audit: line %d: %w", len(l.lines)+1, err)
	}
	return l, nil
}

// ReadJournal reads the log of one target from what a [Journal] has written, where the
// events of several rollouts and targets are mixed and some are repeated. Entries are put in
// order, and equal ones are one entry. Lines that are no entry of a trail are left out.
func ReadJournal(r io.Reader, target string) (*Log, error) {
	all, err := ReadJSONL(r)
	if err != nil {
		return nil, err
	}
	var order []int
	for i, ev := range all.events {
		if ev.Rollout.Target() == target {
			order = append(order, i)
		}
	}
	slices.SortStableFunc(order, func(a, b int) int {
		x, y := all.events[a], all.events[b]
		return cmp.Or(cmp.Compare(numberOf(x.Rollout), numberOf(y.Rollout)), cmp.Compare(x.Seq, y.Seq), bytes.Compare(all.lines[a], all.lines[b]))
	})
	l := &Log{}
	for _, i := range order {
		if last := l.Len() - 1; last >= 0 && bytes.Equal(all.lines[i], l.lines[last]) {
			continue
		}
		l.add(all.lines[i])
	}
	return l, nil
}

func (l *Log) add(line []byte) {
	var ev rollout.Event
	if json.Unmarshal(line, &ev) != nil {
		ev = rollout.Event{}
	}
	l.lines, l.events = append(l.lines, line), append(l.events, ev)
	l.tree.Add(line)
}

// Len returns the number of entries that l holds.
func (l *Log) Len() int { return len(l.lines) }

// Archived returns the number of entries before those that l holds: they were archived and
// removed, and l knows their hashes.
func (l *Log) Archived() int { return int(l.tree.Begin().Size) }

// Size returns the number of entries of the whole log, which checkpoints are about.
func (l *Log) Size() int { return l.Archived() + l.Len() }

// Events yields the entries, oldest first, with their index.
func (l *Log) Events() iter.Seq2[int, rollout.Event] { return slices.All(l.events) }

// Filter returns the log's entries of one rollout, as they are.
func (l *Log) Filter(id rollout.ID) []rollout.Event {
	return slices.DeleteFunc(slices.Clone(l.events), func(e rollout.Event) bool { return e.Rollout != id })
}

// TamperError says where a log is not what was written, and how that shows.
type TamperError struct {
	Index   int // of the entry, from 0; the length of the log for what is missing at its end
	Rollout rollout.ID
	Seq     uint64
	Reason  string
}

func (e *TamperError) Error() string {
	return fmt.Sprintf("audit: entry %d (%s event %d): %s", e.Index, e.Rollout, e.Seq, e.Reason)
}

// Verify reports everything in l that cannot have been written by an engine:
// entries that were altered, that are missing, out of order, or there twice. Of a log
// that [Read] has returned it also reports a document in the store that is older than the
// log, or has another last event; an engine does not follow it, see
// [rollout.OvertakenError]. The
// errors are [*TamperError] values, joined. It cannot see what is missing at the
// end, nor a log that was forged as a whole; see [Log.Complete] and
// [Log.Extends].
func (l *Log) Verify() error {
	var errs []error
	var prev rollout.Event
	number := max(l.first, 1) - 1
	for i, ev := range l.events {
		bad := func(format string, args ...any) {
			errs = append(errs, &TamperError{Index: i, Rollout: ev.Rollout, Seq: ev.Seq, Reason: fmt.Sprintf(format, args...)})
		}
		if ev.Rollout == "" {
			bad("it is not an entry of an audit trail")
			continue // what comes after it is held against what was before
		}
		if ev.Rollout != prev.Rollout {
			n := numberOf(ev.Rollout)
			switch {
			case n == 0 || prev.Rollout != "" && ev.Rollout.Target() != prev.Rollout.Target():
				bad("it belongs to another log")
			case n != number+1:
				bad("the target's rollout %d comes after rollout %d", n, number)
			case prev.Rollout != "" && prev.Kind != rollout.Ended:
				bad("the rollout before it has no end")
			}
			number, prev = n, rollout.Event{}
		}
		if _, err := rollout.VerifyEntry(l.lines[i], prev); err != nil {
			bad("%v", err)
		}
		prev = ev
	}
	return errors.Join(append(errs, l.overtaken())...)
}

// overtaken reports that the document in the store is not the one that the log leads to.
func (l *Log) overtaken() error {
	if l.stored == nil {
		return nil
	}
	number := numberOf(l.stored.Rollout)
	for i, ev := range slices.Backward(l.events) {
		n := numberOf(ev.Rollout)
		switch {
		case ev.Rollout == "":
			continue // it is reported already
		case n > number || n == number && ev.Seq > l.stored.Seq:
			return &TamperError{Index: i, Rollout: ev.Rollout, Seq: ev.Seq, Reason: fmt.Sprintf("the document in the store is older, of %s event %d", l.stored.Rollout, l.stored.Seq)}
		case n == number && ev.Seq == l.stored.Seq && ev.Hash != l.stored.Hash:
			return &TamperError{Index: i, Rollout: ev.Rollout, Seq: ev.Seq, Reason: "the document in the store has another event"}
		}
		return nil
	}
	return nil
}

func numberOf(id rollout.ID) uint64 {
	i := strings.LastIndexByte(string(id), '/')
	n, err := strconv.ParseUint(string(id[i+1:]), 10, 64)
	if err != nil {
		return 0
	}
	return n
}

// Complete reports whether l reaches the state of the rollout in st, which must be the
// newest of its target.
func (l *Log) Complete(st rollout.Status) error {
	last := rollout.Event{}
	if n := len(l.events); n > 0 {
		last = l.events[n-1]
	}
	if last.Rollout != st.ID || last.Seq < st.Seq {
		return &TamperError{Index: len(l.events), Rollout: st.ID, Seq: st.Seq, Reason: fmt.Sprintf("it is missing; the log ends with %s event %d", last.Rollout, last.Seq)}
	}
	return nil
}
