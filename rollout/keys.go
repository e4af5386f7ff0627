package rollout

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
)

// documentKey is where the newest rollout of a target is stored.
func documentKey(target string) string { return "rollout/" + target }

// archiveKey is where the last document of a rollout is kept once a newer
// rollout of its target has begun.
func archiveKey(id ID) string { return "archive/" + string(id) }

// auditKey is where one event is stored; see [Retain] for how long. The number has a fixed
// width, so that keys sort as numbers do.
func auditKey(id ID, seq uint64) string { return fmt.Sprintf("%s%010d", auditPrefix(id), seq) }

func auditPrefix(id ID) string { return "audit/" + string(id) + "/" }

// quarantinedKey is where an event is stored whose place in the audit trail cannot
// be had.
func quarantinedKey(id ID, seq uint64) string { return "quarantine/" + auditKey(id, seq) }

// fileEvent puts a sealed event into the audit trail, as the bytes that were hashed.
// Writing it again changes nothing. If something else is in its place, or the place
// is given up, the event is kept in quarantine, and elsewhere says why.
func fileEvent(ctx context.Context, s Store, ev Event, raw []byte, giveUp bool) (elsewhere, err error) {
	err = createOnce(ctx, s, auditKey(ev.Rollout, ev.Seq), raw)
	if err == nil || !giveUp && !errors.Is(err, errInTheWay) && !errors.Is(err, ErrDamaged) {
		return nil, err
	}
	if also := createOnce(ctx, s, quarantinedKey(ev.Rollout, ev.Seq), raw); also != nil {
		return nil, errors.Join(err, also)
	}
	return err, nil
}

// errInTheWay says that something else is under a key that is written once.
var errInTheWay = errors.New("written before, with another content")

func unmarshalEvent(b []byte, ev *Event) error {
	if err := json.Unmarshal(b, ev); err != nil {
		return fmt.Errorf("rollout: an audit entry cannot be read: %w", err)
	}
	return nil
}

// createOnce stores value under a key that is written only once. It succeeds if the same
// value is there already, for instance since the acknowledgement of this call was lost.
func createOnce(ctx context.Context, s Store, key string, value []byte) error {
	_, putErr := s.Put(ctx, key, value, "")
	if putErr == nil {
		return nil
	}
	there, err := s.Get(ctx, key)
	switch {
	case err != nil:
		return errors.Join(putErr, err)
	case !bytes.Equal(there.Value, value):
		return fmt.Errorf("rollout: %s: %w", key, errInTheWay)
	}
	return nil
}
