package rollouttest

import (
	"context"
	"testing"

	"github.com/serin-go/serin/internal/suitetest"
	"github.com/serin-go/serin/rollout"
)

// Observer runs the conformance suite of [rollout.Observer]: the observer takes the events
// of several rollouts at the same time, an event that is repeated or missing as after a
// crash, and a context that has ended; and it does not change an event. If it implements
// [Receiver], it must have an event when Observe returns.
func Observer(t *testing.T, open func(t *testing.T) rollout.Observer) {
	for name, part := range map[string]func(*testing.T, rollout.Observer, [][]entry){
		"Observed": observed, "Crash": crashed, "Concurrent": concurrentObserver,
		"Ended": endedObserver, "Unchanged": unchangedByObserver,
	} {
		t.Run(name, func(t *testing.T) { part(t, open(t), trails(t)) })
	}
}

func observe(ctx context.Context, t *testing.T, o rollout.Observer, e entry) {
	t.Helper()
	suitetest.Call(t, "Observe", func() { o.Observe(ctx, e.Event) })
}

func observed(t *testing.T, o rollout.Observer, all [][]entry) {
	for _, trail := range all {
		for _, e := range trail {
			observe(t.Context(), t, o, e)
			received(t, o, e)
		}
	}
}

// crashed begins in the middle of a rollout, repeats an event, and leaves one out.
func crashed(t *testing.T, o rollout.Observer, all [][]entry) {
	trail := all[0]
	for _, i := range []int{1, 1, 3, len(trail) - 1} {
		observe(t.Context(), t, o, trail[i])
		received(t, o, trail[i])
	}
	for _, e := range all[1] {
		observe(t.Context(), t, o, e)
		received(t, o, e)
	}
}

func concurrentObserver(t *testing.T, o rollout.Observer, all [][]entry) {
	suitetest.Together(t, "Observe", func(i int) {
		if i >= len(all) {
			return // one goroutine at a time for each rollout
		}
		for _, e := range all[i] {
			o.Observe(t.Context(), e.Event)
			received(t, o, e)
		}
	})
}

func endedObserver(t *testing.T, o rollout.Observer, all [][]entry) {
	ended, cancel := context.WithCancel(t.Context())
	cancel()
	for _, e := range all[0] {
		observe(ended, t, o, e)
	}
	for _, e := range all[1] {
		observe(t.Context(), t, o, e)
		received(t, o, e)
	}
}

func unchangedByObserver(t *testing.T, o rollout.Observer, all [][]entry) {
	for _, e := range all[0] {
		observe(t.Context(), t, o, e)
		unchanged(t, "Observe", e)
	}
}
