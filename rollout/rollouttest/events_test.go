package rollouttest_test

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"sync"
	"testing"

	"github.com/serin-go/serin/internal/suitetest"
	"github.com/serin-go/serin/rollout"
	"github.com/serin-go/serin/rollout/rollouttest"
)

// inbox is a sink that keeps all rules. If breaks is not nil, it is called for each event
// and breaks one.
type inbox struct {
	breaks func(ctx context.Context, e rollout.Event, raw []byte, again bool) error

	mu   sync.Mutex
	have map[string]bool
}

var errDropped = errors.New("dropped")

func (i *inbox) take(ctx context.Context, e rollout.Event, raw []byte) error {
	if i.breaks != nil {
		i.mu.Lock()
		again := i.have[e.Key()]
		i.mu.Unlock()
		switch err := i.breaks(ctx, e, raw, again); {
		case errors.Is(err, errDropped):
			return nil
		case err != nil:
			return err
		}
	}
	if ctx.Err() != nil {
		return ctx.Err()
	}
	i.mu.Lock()
	defer i.mu.Unlock()
	if i.have == nil {
		i.have = make(map[string]bool)
	}
	i.have[e.Key()] = true
	return nil
}

func (i *inbox) NotifyEntry(ctx context.Context, e rollout.Event, raw []byte) error {
	return i.take(ctx, e, raw)
}

func (i *inbox) Notify(ctx context.Context, e rollout.Event) error { return i.take(ctx, e, nil) }

func (i *inbox) Has(key string) bool {
	i.mu.Lock()
	defer i.mu.Unlock()
	return i.have[key]
}

// observer is an inbox as an observer.
type observer struct{ inbox }

func (o *observer) Observe(ctx context.Context, e rollout.Event) {
	if err := o.take(context.WithoutCancel(ctx), e, nil); err != nil {
		panic(err)
	}
}

func TestSink(t *testing.T) {
	rollouttest.Sink(t, func(*testing.T) rollout.Sink { return new(inbox) })
	t.Run("SinkFunc", func(t *testing.T) {
		rollouttest.Sink(t, func(*testing.T) rollout.Sink { return rollout.SinkFunc(new(inbox).Notify) })
	})
}

func TestObserver(t *testing.T) {
	rollouttest.Observer(t, func(*testing.T) rollout.Observer { return new(observer) })
	log := rollout.Log(slog.New(slog.DiscardHandler))
	for name, o := range map[string]rollout.Observer{
		"ObserverFunc": rollout.ObserverFunc(new(observer).Observe), "Log": log, "Tee": rollout.Tee(new(observer), log),
	} {
		t.Run(name, func(t *testing.T) {
			rollouttest.Observer(t, func(*testing.T) rollout.Observer { return o })
		})
	}
}

// broken are ways to break a rule about events.
func broken() map[string]func(ctx context.Context, e rollout.Event, raw []byte, again bool) error {
	crowd := suitetest.NewCrowd()
	return map[string]func(ctx context.Context, e rollout.Event, raw []byte, again bool) error{
		"loses the last event": func(_ context.Context, e rollout.Event, _ []byte, _ bool) error {
			if e.Kind == rollout.Ended {
				return errDropped
			}
			return nil
		},
		"refuses repetitions": func(_ context.Context, e rollout.Event, _ []byte, again bool) error {
			if again {
				return fmt.Errorf("event %s is here", e.Key())
			}
			return nil
		},
		"takes one event at a time": func(context.Context, rollout.Event, []byte, bool) error {
			if crowd.Meet() {
				return errors.New("busy")
			}
			return nil
		},
		"gives up for good": func(ctx context.Context, _ rollout.Event, _ []byte, _ bool) error {
			return rollout.Permanent(ctx.Err())
		},
		"wraps that it gives up for good": func(ctx context.Context, _ rollout.Event, _ []byte, _ bool) error {
			if ctx.Err() == nil {
				return nil
			}
			return fmt.Errorf("inbox: %w", rollout.Permanent(ctx.Err()))
		},
		"hangs": func(ctx context.Context, _ rollout.Event, _ []byte, _ bool) error { select {} },
		"changes the event": func(_ context.Context, e rollout.Event, _ []byte, _ bool) error {
			e.Split.Arms[0].Weight = 1
			return nil
		},
		"changes the entry": func(_ context.Context, _ rollout.Event, raw []byte, _ bool) error {
			if raw != nil {
				raw[0] = '['
			}
			return nil
		},
	}
}

func TestBrokenSinks(t *testing.T) {
	all := make(map[string]suitetest.Broken)
	for name, part := range map[string]string{
		"loses the last event": "Delivered", "refuses repetitions": "Repeated", "takes one event at a time": "Concurrent",
		"gives up for good": "Ended", "wraps that it gives up for good": "Ended", "hangs": "Ended",
		"changes the event": "Unchanged", "changes the entry": "Unchanged",
	} {
		i := &inbox{breaks: broken()[name]}
		all[name] = suitetest.Broken{Part: part, Suite: func(t *testing.T) {
			rollouttest.Sink(t, func(*testing.T) rollout.Sink { return i })
		}}
	}
	suitetest.Fails(t, all)
}

func TestBrokenObservers(t *testing.T) {
	all := make(map[string]suitetest.Broken)
	for name, part := range map[string]string{
		"loses the last event": "Observed", "refuses repetitions": "Crash", "takes one event at a time": "Concurrent",
		"hangs": "Ended", "changes the event": "Unchanged",
	} {
		o := &observer{inbox{breaks: broken()[name]}}
		all[name] = suitetest.Broken{Part: part, Suite: func(t *testing.T) {
			rollouttest.Observer(t, func(*testing.T) rollout.Observer { return o })
		}}
	}
	suitetest.Fails(t, all)
}
