package access

import (
	"context"
	"time"

	"github.com/serin-go/serin/rollout"
)

const (
	// usageWait is how long a request waits until it is stored that its credentials were used.
	usageWait = 100 * time.Millisecond
	// usageLimit bounds the writing, and usagePlaces how much is written at the same time.
	usageLimit, usagePlaces = 10 * time.Second, 16
)

// usage stores that credentials were used. A store that does not answer does not keep a
// request waiting: it may be the abort of a rollout.
type usage struct{ places chan struct{} }

func newUsage() usage { return usage{make(chan struct{}, usagePlaces)} }

// put stores value if the store takes it and nothing else was first.
func (u usage) put(ctx context.Context, store rollout.Store, key string, value []byte, rev rollout.Revision) {
	select {
	case u.places <- struct{}{}:
	default:
		return
	}
	done := make(chan struct{})
	go func() {
		defer func() { <-u.places; close(done) }()
		ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), usageLimit)
		defer cancel()
		_, _ = store.Put(ctx, key, value, rev) // otherwise it is stored at the next use
	}()
	patience := time.NewTimer(usageWait)
	defer patience.Stop()
	select {
	case <-done:
	case <-patience.C:
	}
}
