package rollout

import (
	"context"
	"crypto/rand"
	"encoding/json"
	"errors"
	"os"
	"sync"
	"time"
)

// lease elects the leader of a target among several processes. It only avoids duplicate
// work: the epoch in the document, the fencing token, keeps a former leader from writing.
// Clocks of different processes are not compared: a process that waits to take over
// measures on its own monotonic clock for how long the lease has not changed.
type lease struct {
	store  Store
	key    string
	holder string
	life   string // of this process; another one of the same name is a twin
	ttl    time.Duration

	rev   Revision    // of the lease as last seen
	there leaseRecord // and its content
	since time.Time   // when that was first seen
	until time.Time   // how long this process may rely on holding it
	twin  *leaseRecord
}

type leaseRecord struct {
	Holder string `json:"holder"` // "" if it was given back
	Life   string `json:"life,omitempty"`
	Host   string `json:"host,omitempty"` // where that life is, for people
	PID    int    `json:"pid,omitempty"`
	Epoch  uint64 `json:"epoch"` // grows with each change of the holder
	Beat   uint64 `json:"beat"`  // grows with each renewal
	Nonce  string `json:"nonce"`
}

// hostname names this machine for people, "" if it has no name.
var hostname = sync.OnceValue(func() string {
	name, err := os.Hostname()
	if err != nil {
		return ""
	}
	return bound(name, maxNameSize)
})

func leaseKey(target string) string { return "lease/" + target }

// held reports whether this process may act as the holder.
func (l *lease) held() bool { return time.Now().Before(l.until) }

// margin is how much earlier than the others the holder gives up.
func (l *lease) margin() time.Duration { return l.ttl / 5 }

// beat renews the lease if it is held, and takes it if it is free.
func (l *lease) beat(ctx context.Context) error {
	began := time.Now()
	mine := l.there.Holder == l.holder && l.there.Life == l.life && l.rev != "" && !l.until.IsZero()
	if mine && began.Before(l.until) {
		if left := l.until.Sub(began); left > l.ttl-l.margin()-l.ttl/3 {
			return nil
		}
		next := l.there
		next.Beat++
		return l.put(ctx, next, began)
	}
	entry, err := l.store.Get(ctx, l.key)
	switch {
	case errors.Is(err, ErrNotFound):
		l.rev = ""
		return l.put(ctx, leaseRecord{Holder: l.holder, Epoch: 1}, began)
	case err != nil:
		return err
	}
	var there leaseRecord
	if err := json.Unmarshal(entry.Value, &there); err != nil {
		there = leaseRecord{} // damaged: free, and its epoch is found in the document
	}
	if entry.Revision != l.rev {
		l.twin = nil
		if there.Holder == l.holder && l.there.Holder == l.holder && there.Life != l.life && there.Life != "" {
			l.twin = &there // it has written while this process looked
		}
		l.rev, l.there, l.since = entry.Revision, there, time.Now()
	}
	// A holder of our name and of another life may be this process before a crash, which
	// beats no more, or a twin.
	if free := there.Holder == "" || there.Holder == l.holder && there.Life == l.life; !free && time.Since(l.since) < l.ttl {
		return nil
	}
	l.twin = nil
	return l.put(ctx, leaseRecord{Holder: l.holder, Epoch: there.Epoch + 1}, began)
}

// put writes the lease. It is held from the moment the attempt began.
func (l *lease) put(ctx context.Context, next leaseRecord, began time.Time) error {
	next.Nonce, next.Life = rand.Text(), l.life
	next.Host, next.PID = hostname(), os.Getpid()
	value, err := json.Marshal(next)
	if err != nil {
		return err
	}
	ctx, cancel := context.WithTimeout(ctx, l.ttl/2)
	defer cancel()
	rev, err := l.store.Put(ctx, l.key, value, l.rev)
	if err != nil {
		entry, getErr := l.store.Get(ctx, l.key)
		var there leaseRecord
		if getErr != nil || json.Unmarshal(entry.Value, &there) != nil || there.Nonce != next.Nonce {
			if errors.Is(err, ErrConflict) {
				l.until = time.Time{} // another process has it
				return nil
			}
			return err // the outcome is unknown; until stands as it was
		}
		rev = entry.Revision
	}
	l.rev, l.there, l.since = rev, next, began
	l.until = began.Add(l.ttl - l.margin())
	return nil
}

// raise takes up an epoch that is ahead of the lease's, as after the loss of
// the lease's record.
func (l *lease) raise(ctx context.Context, epoch uint64) error {
	next := l.there
	next.Epoch = epoch
	return l.put(ctx, next, time.Now())
}

// release gives the lease back, so that another process can lead immediately.
func (l *lease) release(ctx context.Context) {
	if !l.held() {
		return
	}
	l.until = time.Time{}
	next := l.there
	next.Holder = ""
	if value, err := json.Marshal(next); err == nil {
		_, _ = l.store.Put(ctx, l.key, value, l.rev) // if it fails, the lease ends by itself
	}
}
