package rollout

import (
	"context"
	"encoding/json"
	"sync"
	"time"

	"github.com/serin-go/serin/strategies"
)

// LastResort keeps one small record outside of the [Store]: which rollouts were
// ended here while the store could not take that. An engine that is opened over the
// same record does not bring their candidates back. Save replaces the record, at most
// [MaxLastResort] bytes; Load returns the last one that was saved, or nil. Both may be called concurrently.
type LastResort interface {
	Load() ([]byte, error)
	Save(record []byte) error
}

// MaxLastResort bounds the record of a [LastResort], in bytes.
const MaxLastResort = 16 << 10

// LastResortFile is a [LastResort] in the file with this name, better on another
// disk than the store's. It is created at the first Load or Save, at its full size
// of two records, so that a disk that fills up later leaves room for it. A loss of
// power leaves the record before or the new one.
func LastResortFile(name string) LastResort {
	return &slotFile{name: name, noun: "last resort", max: MaxLastResort}
}

// lastWord is what is kept of an [exit].
type lastWord struct {
	Rollout  ID                  `json:"rollout"`
	At       time.Time           `json:"at"`
	Command  strategies.Command  `json:"command,omitempty"`
	By       Actor               `json:"by,omitzero"`
	Why      string              `json:"why,omitempty"`
	Key      string              `json:"key,omitempty"`
	Decision strategies.Decision `json:"decision,omitzero"`
	Arms     []string            `json:"arms,omitempty"`
}

func (w lastWord) exit() *exit {
	x := &exit{order: order{Command: w.Command, by: w.By, why: w.Why, key: w.Key}, decision: w.Decision, at: w.At, arms: w.Arms}
	x.left.Store(true)
	return x
}

// lastWords are the words of an engine, by target.
type lastWords struct {
	keep  LastResort // nil keeps nothing
	mu    sync.Mutex
	words map[string]lastWord
	err   error // why it is not known what an earlier life has left
}

// load reads what an earlier life has left.
func (l *lastWords) load() {
	l.words = make(map[string]lastWord)
	if l.keep == nil {
		return
	}
	record, err := l.keep.Load()
	if err == nil && len(record) > 0 {
		err = json.Unmarshal(record, &l.words)
	}
	l.err = err
}

// of returns the way back that an earlier life has taken in this rollout, nil if it
// has taken none.
func (l *lastWords) of(id ID) *exit {
	l.mu.Lock()
	defer l.mu.Unlock()
	if w, ok := l.words[id.Target()]; ok && w.Rollout == id {
		return w.exit()
	}
	return nil
}

// change lets f change the words, and saves them if it did.
func (l *lastWords) change(f func(map[string]lastWord) bool) error {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.keep == nil || !f(l.words) {
		return nil
	}
	record, err := json.Marshal(l.words)
	if err != nil {
		return err
	}
	return l.keep.Save(record)
}

// remember keeps a way back for the next life of this process.
func (e *Engine) remember(ctx context.Context, id ID, x *exit) {
	w := lastWord{
		Rollout: id, At: x.at.UTC(), Command: x.order.Command, By: x.order.by, Why: bound(x.order.why, 256), Key: x.order.key,
		Decision: x.decision, Arms: x.arms,
	}
	w.Decision.Reason = bound(w.Decision.Reason, 256)
	err := e.last.change(func(words map[string]lastWord) bool {
		old, ok := words[id.Target()]
		words[id.Target()] = w
		return !ok || old.Rollout != id || old.Command != w.Command || len(old.Arms) != len(w.Arms)
	})
	if err != nil {
		e.cfg.Logger.ErrorContext(ctx, "last resort not written", "rollout", id, "error", err)
	}
}

// forget drops what is kept of a rollout whose end is stored.
func (e *Engine) forget(ctx context.Context, id ID) {
	err := e.last.change(func(words map[string]lastWord) bool {
		w, ok := words[id.Target()]
		if ok = ok && w.Rollout == id; ok {
			delete(words, id.Target())
		}
		return ok
	})
	if err != nil {
		e.cfg.Logger.ErrorContext(ctx, "last resort not written", "rollout", id, "error", err)
	}
}
