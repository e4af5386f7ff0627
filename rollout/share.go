package rollout

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"time"

	"github.com/serin-go/serin/checks/analysis"
)

// ownEvidence is what this process has seen, as the others know it.
type ownEvidence struct {
	rev     Revision
	value   []byte // as stored
	tripped string // which breaker has tripped here, "" if none has
}

// sharedEvidence is what another process has made known.
type sharedEvidence struct {
	rev      Revision
	evidence analysis.Evidence
}

// evidenceKey is where one process makes known what it has seen of a rollout.
func evidenceKey(id ID, replica string) string { return evidencePrefix(id) + replica }

func evidencePrefix(id ID) string { return "evidence/" + string(id) + "/" }

// recall goes on with what this process had seen before a restart.
func (d *driver) recall(ctx context.Context) error {
	entry, err := d.e.cfg.Store.Get(ctx, evidenceKey(d.id, d.e.cfg.Replica))
	if errors.Is(err, ErrNotFound) {
		return nil
	} else if err != nil {
		return err
	}
	var ev analysis.Evidence
	if err := json.Unmarshal(entry.Value, &ev); err != nil {
		return fmt.Errorf("rollout: evidence of %s: %w", d.e.cfg.Replica, err)
	}
	d.own.rev, d.own.value = entry.Revision, entry.Value
	return d.cmp.Restore(ev)
}

// publish makes this process's evidence known, if there is any news.
func (d *driver) publish(ctx context.Context) error {
	if d.cmp == nil || d.doc.Phase.Terminal() {
		return nil
	}
	ev := d.cmp.Evidence()
	d.own.tripped = ev.Tripped
	value, err := json.Marshal(ev)
	if err != nil || bytes.Equal(value, d.own.value) {
		return err
	}
	key := evidenceKey(d.id, d.e.cfg.Replica)
	rev, err := d.e.cfg.Store.Put(ctx, key, value, d.own.rev)
	if err != nil {
		// Nobody else writes this key: whatever is there is an earlier try.
		if entry, getErr := d.e.cfg.Store.Get(ctx, key); getErr == nil {
			d.own.rev, d.own.value = entry.Revision, entry.Value
		}
		return err
	}
	d.own.rev, d.own.value = rev, value
	return nil
}

// gather merges what all processes have seen into the document's evidence, and
// judges it.
func (d *driver) gather(ctx context.Context, now time.Time) error {
	d.cmp.Judge(now.UTC())
	// What a decision rests on must outlive this process.
	if err := d.publish(ctx); err != nil {
		return err
	}
	parts := []analysis.Evidence{d.cmp.Evidence()}
	mine := evidenceKey(d.id, d.e.cfg.Replica)
	for entry, err := range d.e.cfg.Store.List(ctx, evidencePrefix(d.id)) {
		if err != nil {
			return err
		}
		if entry.Key == mine {
			continue
		}
		other := d.others[entry.Key]
		if other.rev != entry.Revision {
			other = sharedEvidence{rev: entry.Revision}
			if err := json.Unmarshal(entry.Value, &other.evidence); err != nil {
				return fmt.Errorf("rollout: %s: %w", entry.Key, err)
			}
			d.others[entry.Key] = other
		}
		parts = append(parts, other.evidence)
	}
	plan := d.doc.Plan.Analysis
	merged, err := plan.Merge(parts...)
	if err != nil {
		return fmt.Errorf("rollout: evidence of %s: %w", d.id, err)
	}
	merged = merged.KeepPeaks(d.doc.Evidence)
	judgement, err := plan.Judge(merged, now.UTC())
	if err != nil {
		return fmt.Errorf("rollout: evidence of %s: %w", d.id, err)
	}
	d.doc.Evidence, d.judgement = merged, judgement
	return nil
}
