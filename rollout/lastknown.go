package rollout

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"sync"
	"time"

	"github.com/serin-go/serin/strategies"
)

// LastKnown keeps one small record outside of the [Store]: the last committed split of
// each target. An engine that is opened while the store does not answer puts it in force
// until the store does.
//
// Of a rollout that had ended, promoted or not, the split is served as it was committed,
// for as long as the store is away: it is the last that this process knew to be good. Of
// a rollout that was under way, all traffic goes to its baseline: it may have been rolled
// back meanwhile, by another process or in a life whose record was lost. So the record
// gives no candidate traffic that was not promoted, and what [LastResort] holds counts
// before it.
//
// Save replaces the record, at most [MaxLastKnown] bytes; Load returns the last one that
// was saved, or nil. Both may be called concurrently.
type LastKnown interface {
	Load() ([]byte, error)
	Save(record []byte) error
}

// MaxLastKnown bounds the record of a [LastKnown], in bytes: room for the splits of some
// 500 targets.
const MaxLastKnown = 128 << 10

// LastKnownFile is a [LastKnown] in the file with this name, better on another disk than
// the store's. It is created at the first Load or Save, at its full size of two records,
// so that a disk that fills up later leaves room for it. A loss of power leaves the
// record before or the new one.
func LastKnownFile(name string) LastKnown {
	return &slotFile{name: name, noun: "last known", max: MaxLastKnown, mend: true}
}

// knownFormat is the number of the form of the record.
const knownFormat = 1

// knownRecord is what is kept.
type knownRecord struct {
	Format  int                   `json:"format"`
	Targets map[string]knownSplit `json:"targets"`
}

// knownSplit is the last committed split of a target.
type knownSplit struct {
	Rollout ID               `json:"rollout"`
	Ended   bool             `json:"ended,omitempty"`
	Split   strategies.Split `json:"split"`
}

// serves returns the split that may be served without the store.
func (k knownSplit) serves(lastResort bool) strategies.Split {
	s := k.Split
	if !k.Ended || lastResort {
		s = s.RollBack()
	}
	s.Generation = 0 // whatever the store holds is newer
	return s
}

// knownSplits are the last known splits of an engine.
type knownSplits struct {
	keep LastKnown // nil keeps nothing

	mu      sync.Mutex
	record  knownRecord
	changed bool
	saving  chan struct{} // closed when the record is saved; nil if it is
}

// loadKnown reads the record. A damaged one, or one of another format, is an error.
func loadKnown(keep LastKnown) (knownRecord, error) {
	none := knownRecord{Format: knownFormat, Targets: make(map[string]knownSplit)}
	raw, err := keep.Load()
	if err != nil || len(raw) == 0 {
		return none, err
	}
	var r knownRecord
	if err := json.Unmarshal(raw, &r); err != nil {
		return none, fmt.Errorf("%w: %w", ErrDamaged, err)
	}
	if r.Format != knownFormat {
		return none, fmt.Errorf("rollout: last known: format %d, want %d", r.Format, knownFormat)
	}
	var errs []error
	for target, k := range r.Targets {
		err := k.Split.Validate()
		if err == nil && k.Rollout.Target() != target {
			err = fmt.Errorf("split of rollout %q", k.Rollout)
		}
		if err != nil {
			errs = append(errs, fmt.Errorf("rollout: last known: target %q: %w", target, err))
			continue
		}
		none.Targets[target] = k
	}
	return none, errors.Join(errs...)
}

// openKnown puts the last known splits in force.
func (e *Engine) openKnown(ctx context.Context) {
	e.known.keep = e.cfg.LastKnown
	if e.known.keep == nil {
		return
	}
	var err error
	if e.known.record, err = loadKnown(e.known.keep); err != nil {
		e.cfg.Logger.ErrorContext(ctx, "last known splits not read", "error", err)
	}
	for target, k := range e.known.record.Targets {
		if p := e.planes[target]; p != nil {
			p.demand(k.serves(e.last.of(k.Rollout) != nil))
		}
	}
}

// know keeps a committed split for the next life of this process. It does not wait for
// the disk.
func (e *Engine) know(d *document) {
	k := &e.known
	if k.keep == nil {
		return
	}
	now := knownSplit{Rollout: d.ID, Ended: d.Phase.Terminal(), Split: d.Split}
	if !now.Ended {
		now.Split.Table = nil // all traffic will go to the baseline
	}
	k.mu.Lock()
	defer k.mu.Unlock()
	target := d.ID.Target()
	old := k.record.Targets[target]
	if old.Rollout == now.Rollout && old.Ended == now.Ended && old.Split.Generation == now.Split.Generation {
		return
	}
	k.record.Targets[target] = now
	k.changed = true
	if k.saving == nil {
		k.saving = make(chan struct{})
		go e.saveKnown()
	}
}

// saveKnown saves the record until there is nothing new.
func (e *Engine) saveKnown() {
	k := &e.known
	pause := e.cfg.Tick
	for {
		k.mu.Lock()
		if !k.changed {
			close(k.saving)
			k.saving = nil
			k.mu.Unlock()
			return
		}
		k.changed = false
		r := knownRecord{Format: knownFormat, Targets: maps.Clone(k.record.Targets)}
		k.mu.Unlock()
		raw, err := json.Marshal(r)
		if err == nil {
			err = k.keep.Save(raw)
		}
		if err == nil {
			continue
		}
		e.cfg.Logger.ErrorContext(e.ctx, "last known splits not written", "error", err)
		k.mu.Lock()
		k.changed = e.ctx.Err() == nil
		k.mu.Unlock()
		sleep(e.ctx, pause)
		pause = min(2*pause, longestPause)
	}
}

// closeKnown waits until the record is saved, but no longer than storeTimeout.
func (e *Engine) closeKnown() {
	e.known.mu.Lock()
	saving := e.known.saving
	e.known.mu.Unlock()
	if saving == nil {
		return
	}
	timer := time.NewTimer(storeTimeout)
	defer timer.Stop()
	select {
	case <-saving:
	case <-timer.C:
	}
}
