package storetest_test

import (
	"context"
	"errors"
	"math/rand/v2"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/serin-go/serin/rollout"
	"github.com/serin-go/serin/rollout/memstore"
	"github.com/serin-go/serin/rollout/storetest"
)

type putFunc = func(s rollout.Store, ctx context.Context, key string, value []byte, prev rollout.Revision) (rollout.Revision, error)

// broken stores whose histories tell, and nothing else does: each breaks its rule
// for the keys of that test alone.
func init() {
	for name, put := range map[string]putFunc{
		"acknowledged and lost": func(s rollout.Store, ctx context.Context, key string, value []byte, prev rollout.Revision) (rollout.Revision, error) {
			if rand.IntN(20) == 0 {
				if e, _ := s.Get(ctx, key); e.Revision == prev {
					return "lost" + rollout.Revision(value), nil
				}
			}
			return s.Put(ctx, key, value, prev)
		},
		"compared, then set": func(s rollout.Store, ctx context.Context, key string, value []byte, prev rollout.Revision) (rollout.Revision, error) {
			if e, _ := s.Get(ctx, key); e.Revision != prev {
				return "", rollout.ErrConflict
			}
			time.Sleep(rand.N(time.Millisecond))
			e, _ := s.Get(ctx, key)
			return s.Put(ctx, key, value, e.Revision)
		},
		"a conflict that was applied": func(s rollout.Store, ctx context.Context, key string, value []byte, prev rollout.Revision) (rollout.Revision, error) {
			rev, err := s.Put(ctx, key, value, prev)
			if errors.Is(err, rollout.ErrConflict) && rand.IntN(20) == 0 {
				e, _ := s.Get(ctx, key)
				_, _ = s.Put(ctx, key, value, e.Revision)
			}
			return rev, err
		},
		"repeated after it was replaced": func(s rollout.Store, ctx context.Context, key string, value []byte, prev rollout.Revision) (rollout.Revision, error) {
			rev, err := s.Put(ctx, key, value, prev)
			if err == nil && rand.IntN(20) == 0 { // as a client does that has not heard of its success
				time.Sleep(time.Millisecond)
				e, _ := s.Get(ctx, key)
				return s.Put(ctx, key, value, e.Revision)
			}
			return rev, err
		},
	} {
		broken["Linearizable#"+name] = func() rollout.Store {
			return &override{Store: new(memstore.Store), put: func(s rollout.Store, ctx context.Context, key string, value []byte, prev rollout.Revision) (rollout.Revision, error) {
				if !strings.HasPrefix(key, "linearizable/") {
					return s.Put(ctx, key, value, prev)
				}
				return put(s, ctx, key, value, prev)
			}}
		}
	}
}

// TestUnknownOutcomes: a store that loses its replies, and its requests, breaks no
// rule as long as it says that it does not know.
func TestUnknownOutcomes(t *testing.T) {
	var lost atomic.Int64
	s := &override{Store: new(memstore.Store), put: func(s rollout.Store, ctx context.Context, key string, value []byte, prev rollout.Revision) (rollout.Revision, error) {
		unknown := errors.New("no answer")
		switch rand.IntN(30) {
		case 0: // the request is lost
			lost.Add(1)
			return "", unknown
		case 1: // the reply is
			lost.Add(1)
			_, _ = s.Put(ctx, key, value, prev)
			return "", unknown
		case 2: // the request comes late
			lost.Add(1)
			time.AfterFunc(rand.N(3*time.Millisecond), func() { _, _ = s.Put(context.WithoutCancel(ctx), key, value, prev) })
			return "", unknown
		}
		return s.Put(ctx, key, value, prev)
	}}
	ctx, cancel := context.WithTimeout(t.Context(), time.Second)
	defer cancel()
	storetest.Linearizable(ctx, t, []rollout.Store{s, s}, nil)
	if lost.Load() == 0 {
		t.Error("nothing was lost")
	}
}
