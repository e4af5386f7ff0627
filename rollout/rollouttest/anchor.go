package rollouttest

import (
	"context"
	"errors"
	"testing"

	"github.com/serin-go/serin/internal/suitetest"
	"github.com/serin-go/serin/rollout"
)

// Anchor runs the conformance suite of [rollout.Anchor]. open returns an anchor that
// knows the head of one target, and that head. An error that wraps [rollout.ErrNotFound]
// means that no head is known, so an anchor must not return it for another reason.
func Anchor(t *testing.T, open func(t *testing.T) (rollout.Anchor, rollout.Head)) {
	for name, part := range map[string]func(*testing.T, rollout.Anchor, rollout.Head){
		"Known": knownHead, "Unknown": unknownHead, "Concurrent": concurrentHeads, "Ended": endedHead,
	} {
		t.Run(name, func(t *testing.T) {
			a, known := open(t)
			part(t, a, known)
		})
	}
}

func headOf(ctx context.Context, t *testing.T, a rollout.Anchor, target string) (h rollout.Head, err error) {
	t.Helper()
	suitetest.Call(t, "Head", func() { h, err = a.Head(ctx, target) })
	return h, err
}

func knownHead(t *testing.T, a rollout.Anchor, known rollout.Head) {
	for range 3 {
		if got, err := headOf(t.Context(), t, a, known.Rollout.Target()); err != nil || got != known {
			t.Errorf("Head(%q) = %+v, %v, want %+v", known.Rollout.Target(), got, err, known)
		}
	}
}

func unknownHead(t *testing.T, a rollout.Anchor, known rollout.Head) {
	for _, target := range []string{"other", known.Rollout.Target() + "-2", known.Rollout.Target()[:1]} {
		if got, err := headOf(t.Context(), t, a, target); !errors.Is(err, rollout.ErrNotFound) {
			t.Errorf("Head(%q) = %+v, %v, want an error that wraps %v", target, got, err, rollout.ErrNotFound)
		}
	}
}

func concurrentHeads(t *testing.T, a rollout.Anchor, known rollout.Head) {
	suitetest.Together(t, "Head", func(int) {
		if got, err := a.Head(t.Context(), known.Rollout.Target()); err != nil || got != known {
			t.Errorf("Head(%q) = %+v, %v in concurrent calls, want %+v", known.Rollout.Target(), got, err, known)
		}
	})
}

func endedHead(t *testing.T, a rollout.Anchor, known rollout.Head) {
	ended, cancel := context.WithCancel(t.Context())
	cancel()
	got, err := headOf(ended, t, a, known.Rollout.Target())
	if errors.Is(err, rollout.ErrNotFound) || err == nil && got != known {
		t.Errorf("Head = %+v, %v after its context has ended, want %+v, or an error that does not wrap %v", got, err, known, rollout.ErrNotFound)
	}
	knownHead(t, a, known)
}
