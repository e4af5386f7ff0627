package rollout

import (
	"context"
	"errors"
	"fmt"

	"github.com/serin-go/serin/strategies"
)

// Head is the newest entry of the audit trail of a target that is known: the rollout,
// the number of its event, and that event's [Event.Hash].
type Head struct {
	Rollout ID     `json:"rollout"`
	Seq     uint64 `json:"seq"`
	Hash    string `json:"hash"`
}

// Anchor keeps the heads of audit trails in another place than the [Store]: another
// disk, another host, a witness. Function audit.Heads returns one.
//
// Head returns the newest known head of a target's trail, or an error that wraps
// [ErrNotFound] if none is known. It must be safe for concurrent use.
type Anchor interface {
	Head(ctx context.Context, target string) (Head, error)
}

// OvertakenError means that the stored document of a target is older than what its
// audit trail or [Config.Anchor] knows, as after a backup was put back, or differs from
// it. It is not followed: it could bring a candidate back that was rolled back. The
// baseline serves. Commands on it are refused; the next [Engine.Start] keeps a copy of
// the document under quarantine/ and begins after the newest rollout in the trail.
type OvertakenError struct {
	Target string
	// Stored is the last event of the document. It is the zero Head if the store has no
	// document.
	Stored Head
	// Known is an entry that the document does not lead to.
	Known Head
	// Anchor reports whether Config.Anchor knows that entry; otherwise the audit trail
	// has it.
	Anchor bool

	split strategies.Split // after the known entry, if that is known
}

func (e *OvertakenError) Error() string {
	by, stored := "its audit trail has", fmt.Sprintf("ends with %s #%d", e.Stored.Rollout, e.Stored.Seq)
	if e.Anchor {
		by = "Config.Anchor knows"
	}
	if e.Stored.Rollout == "" {
		stored = "is missing"
	}
	other := ""
	if e.Stored.Rollout == e.Known.Rollout && e.Stored.Seq == e.Known.Seq {
		other = "another "
	}
	return fmt.Sprintf("rollout: the document of target %s %s, but %s %s%s #%d; restore the newer document, or start a rollout", e.Target, stored, by, other, e.Known.Rollout, e.Known.Seq)
}

// isHeld reports whether err is about a document that the store has given.
func isHeld(err error) bool {
	var overtaken *OvertakenError
	var anchor *anchorError
	return errors.Is(err, ErrDamaged) || errors.As(err, &overtaken) || errors.As(err, &anchor)
}

// anchorError means that Config.Anchor could not be asked.
type anchorError struct{ err error }

func (e *anchorError) Error() string { return fmt.Sprintf("rollout: Config.Anchor: %v", e.err) }
func (e *anchorError) Unwrap() error { return e.err }

// ordinal returns which rollout of its target id is, or 0.
func (id ID) ordinal() uint64 {
	n, err := id.number()
	if err != nil {
		return 0
	}
	return n
}

// before reports whether h is of an older event than o of the same target.
func (h Head) before(o Head) bool {
	n, m := h.Rollout.ordinal(), o.Rollout.ordinal()
	return n < m || n == m && h.Seq < o.Seq
}

// head returns the last event of d. d may be nil.
func (d *document) head() Head {
	if d == nil {
		return Head{}
	}
	return Head{Rollout: d.ID, Seq: d.Seq, Hash: d.Last.Hash}
}

// StoredHead returns the last event of the newest document of a target in s. Errors: one
// that wraps [ErrNotFound] if the target never had a rollout, a [*DamagedError], or the
// error of the store.
func StoredHead(ctx context.Context, s Store, target string) (Head, error) {
	entry, err := s.Get(ctx, documentKey(target))
	if err != nil {
		return Head{}, err
	}
	doc, _, err := decodeDocument(target, entry.Value)
	return doc.head(), err
}

// found is a document as it was read; doc is nil if the store has no document.
type found struct {
	doc  *document
	hash string
	rev  Revision
}

// newest reads the newest document of a target, and holds it against its audit trail.
// With an [*OvertakenError] it returns the document, too.
func (e *Engine) newest(ctx context.Context, target string) (found, error) {
	var n found
	for range 5 {
		entry, err := e.cfg.Store.Get(ctx, documentKey(target))
		switch {
		case errors.Is(err, ErrNotFound):
			n = found{}
		case errors.Is(err, ErrDamaged):
			return found{}, &DamagedError{Target: target, Err: err}
		case err != nil:
			return found{}, err
		default:
			n.rev = entry.Revision
			if n.doc, n.hash, err = e.decode(target, entry); err != nil {
				return found{}, err
			}
		}
		if err = e.hold(ctx, target, n); !errors.Is(err, errMoved) {
			return n, err
		}
	}
	return n, errMoved
}

var errMoved = errors.New("rollout: the document changes faster than it can be compared with its audit trail")

// hold reports whether the audit trail and the anchor have nothing that the document
// does not lead to. An event is committed before its entry is written, so a document
// that still is the newest after its trail was read cannot be behind it. It may be ahead
// of it, as after a crash. Errors: an [*OvertakenError]; errMoved if the document has
// changed meanwhile; or what the store or the anchor returned.
func (e *Engine) hold(ctx context.Context, target string, n found) error {
	stored := n.doc.head()
	prev := ""
	if n.doc != nil {
		prev = n.doc.Last.Prev
	}
	known, err := e.overtaking(ctx, target, stored, prev)
	if err == nil && known == nil {
		known, err = e.anchored(ctx, target, stored)
	}
	if known == nil || err != nil {
		return err
	}
	var rev Revision
	switch entry, err := e.cfg.Store.Get(ctx, documentKey(target)); {
	case errors.Is(err, ErrNotFound):
	case err != nil:
		return err
	default:
		rev = entry.Revision
	}
	if rev != n.rev {
		return errMoved
	}
	return known
}

// overtaking returns the entry of the audit trail that the document does not lead to.
// prev is the hash of the event before its last one.
func (e *Engine) overtaking(ctx context.Context, target string, stored Head, prev string) (*OvertakenError, error) {
	next := numbered(target, stored.Rollout.ordinal()+1)
	for _, place := range []struct {
		id   ID
		seq  uint64
		hash string // of the event in the document's history; "" if it has none
	}{
		{stored.Rollout, stored.Seq - 1, prev},
		{stored.Rollout, stored.Seq, stored.Hash},
		{stored.Rollout, stored.Seq + 1, ""},
		{next, 1, ""},
	} {
		if place.id == "" || place.seq == 0 {
			continue
		}
		for _, key := range []string{auditKey(place.id, place.seq), quarantinedKey(place.id, place.seq)} {
			ev, err := e.entry(ctx, key, place.id, place.seq)
			if err != nil {
				return nil, err
			}
			if ev != nil && !(place.hash != "" && (ev.Hash == place.hash || ev.Hash == "")) {
				return &OvertakenError{
					Target: target, Stored: stored, split: ev.Split,
					Known: Head{Rollout: ev.Rollout, Seq: ev.Seq, Hash: ev.Hash},
				}, nil
			}
		}
	}
	return nil, nil
}

// entry reads an entry of the audit trail. It returns nil if the entry is
// missing, or if something else is in its place. Of an entry that is damaged below the store, the event
// has no hash.
func (e *Engine) entry(ctx context.Context, key string, id ID, seq uint64) (*Event, error) {
	stored, err := e.cfg.Store.Get(ctx, key)
	switch {
	case errors.Is(err, ErrNotFound):
		return nil, nil
	case errors.Is(err, ErrDamaged) && stored.Revision == "":
		return nil, nil // the store does not know whether there is an entry
	case errors.Is(err, ErrDamaged):
		return &Event{Rollout: id, Seq: seq}, nil
	case err != nil:
		return nil, err
	}
	var ev Event
	if unmarshalEvent(stored.Value, &ev) != nil || ev.Rollout != id || ev.Seq != seq || !intact(stored.Value, ev) {
		return nil, nil
	}
	return &ev, nil
}

// intact reports whether entry, which reads as ev, is what was hashed.
func intact(entry []byte, ev Event) bool {
	_, err := VerifyEntry(entry, Event{Rollout: ev.Rollout, Seq: ev.Seq - 1, Hash: ev.Prev})
	return err == nil
}

// anchored asks Config.Anchor.
func (e *Engine) anchored(ctx context.Context, target string, stored Head) (*OvertakenError, error) {
	if e.cfg.Anchor == nil {
		return nil, nil
	}
	known, err := within(ctx, &e.asking, storeTimeout, func(ctx context.Context) (Head, error) { return e.cfg.Anchor.Head(ctx, target) })
	switch {
	case errors.Is(err, ErrNotFound):
		return nil, nil
	case err != nil:
		return nil, &anchorError{err}
	case known.Rollout.Target() != target || known.Rollout.ordinal() == 0:
		return nil, &anchorError{fmt.Errorf("head of target %s is of rollout %q", target, known.Rollout)}
	}
	overtaken := &OvertakenError{Target: target, Stored: stored, Known: known, Anchor: true}
	switch {
	case stored.before(known):
		return overtaken, nil
	case stored.Rollout == known.Rollout && stored.Seq == known.Seq:
		if stored.Hash != known.Hash {
			return overtaken, nil
		}
		return nil, nil
	}
	// The anchor is older: what it knows must still be in the trail.
	for _, key := range []string{auditKey(known.Rollout, known.Seq), quarantinedKey(known.Rollout, known.Seq)} {
		ev, err := e.entry(ctx, key, known.Rollout, known.Seq)
		if err != nil {
			return nil, err
		}
		if ev != nil && ev.Hash != known.Hash && ev.Hash != "" {
			return overtaken, nil
		}
	}
	return nil, nil
}
