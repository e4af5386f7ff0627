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

// auditKey is where one event is stored, for ever. The number has a fixed
// width, so that keys sort as numbers do.
func auditKey(id ID, seq uint64) string { return fmt.Sprintf("audit/%s/%010d", id, seq) }

// writeAudit puts a sealed event into the audit trail. Writing it again changes
// nothing; another event in its place is an error.
func writeAudit(ctx context.Context, s Store, ev Event) error {
	body, err := json.Marshal(ev)
	if err != nil {
		return err
	}
	return createOnce(ctx, s, auditKey(ev.Rollout, ev.Seq), body)
}

func unmarshalEvent(b []byte, ev *Event) error {
	if err := json.Unmarshal(b, ev); err != nil {
		return fmt.Errorf("rollout: an audit entry cannot be read: %w", err)
	}
	return nil
}

// createOnce stores value under a key that is written only once. It succeeds if
// the same value is there already, whoever wrote it: also this call, when its
// acknowledgement was lost.
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
		return fmt.Errorf("rollout: %s was written before, with another content: %w", key, putErr)
	}
	return nil
}
