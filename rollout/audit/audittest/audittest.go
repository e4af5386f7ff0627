// Package audittest provides a conformance suite for implementations of audit.Anchor, which
// keep signed checkpoints of an audit trail in another place, such as an object store.
package audittest

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"testing"

	"github.com/serin-go/serin/internal/suitetest"
	"github.com/serin-go/serin/rollout"
	"github.com/serin-go/serin/rollout/audit"
)

// Anchor runs the conformance suite of [audit.Anchor]. open
// returns an anchor that keeps them in dir, or elsewhere under the name dir. Anchors with
// the same dir share their checkpoints, and dir is empty at first.
func Anchor(t *testing.T, open func(t *testing.T, dir string) audit.Anchor) {
	for name, part := range map[string]func(*testing.T, func() audit.Anchor){
		"Empty": empty, "Kept": kept, "Targets": targets, "Owned": owned,
		"Concurrent": concurrent, "Ended": ended,
	} {
		t.Run(name, func(t *testing.T) {
			dir := t.TempDir()
			part(t, func() audit.Anchor { return open(t, dir) })
		})
	}
}

func latest(ctx context.Context, t *testing.T, a audit.Anchor, target string) (checkpoint []byte, err error) {
	t.Helper()
	suitetest.Call(t, "Latest", func() { checkpoint, err = a.Latest(ctx, target) })
	return checkpoint, err
}

func keep(t *testing.T, a audit.Anchor, target string, checkpoint []byte) {
	t.Helper()
	var err error
	suitetest.Call(t, "Keep", func() { err = a.Keep(t.Context(), target, checkpoint) })
	if err != nil {
		t.Fatalf("Keep(%q) = %v", target, err)
	}
}

func has(t *testing.T, when string, a audit.Anchor, target string, want []byte) {
	t.Helper()
	if got, err := latest(t.Context(), t, a, target); err != nil || !bytes.Equal(got, want) {
		t.Errorf("%s: Latest(%q) = %q, %v, want %q", when, target, got, err, want)
	}
}

func hasNone(t *testing.T, a audit.Anchor, target string) {
	t.Helper()
	if got, err := latest(t.Context(), t, a, target); !errors.Is(err, rollout.ErrNotFound) {
		t.Errorf("Latest(%q) = %q, %v, want an error that wraps %v", target, got, err, rollout.ErrNotFound)
	}
}

func checkpoint(n int) []byte { return fmt.Appendf(nil, "example.com/audit\n%d\n\n\x00\xff\n", n) }

func empty(t *testing.T, open func() audit.Anchor) {
	a := open()
	hasNone(t, a, "chat")
	keep(t, a, "chat", checkpoint(1))
	has(t, "after Keep", a, "chat", checkpoint(1))
}

// kept replaces a checkpoint, also by a shorter one, and opens the anchor again.
func kept(t *testing.T, open func() audit.Anchor) {
	a := open()
	for _, n := range []int{1, 100, 2} {
		keep(t, a, "chat", checkpoint(n))
		keep(t, a, "chat", checkpoint(n))
		has(t, "after Keep", a, "chat", checkpoint(n))
		has(t, "in another anchor of the same place", open(), "chat", checkpoint(n))
	}
}

func targets(t *testing.T, open func() audit.Anchor) {
	a := open()
	names := []string{"chat", "chat-2", "chat.2", "c", "chat.checkpoint"}
	for i, target := range names {
		hasNone(t, a, target)
		keep(t, a, target, checkpoint(i))
	}
	for i, target := range names {
		has(t, "beside other targets", a, target, checkpoint(i))
	}
}

// owned changes slices after they were given and returned.
func owned(t *testing.T, open func() audit.Anchor) {
	a := open()
	given := checkpoint(1)
	keep(t, a, "chat", given)
	given[0]++
	has(t, "after the caller has changed its slice", a, "chat", checkpoint(1))
	if got, err := latest(t.Context(), t, a, "chat"); err == nil {
		got[0]++
	}
	has(t, "after the caller has changed the result", a, "chat", checkpoint(1))
}

func concurrent(t *testing.T, open func() audit.Anchor) {
	a := open()
	keep(t, a, "chat", checkpoint(0))
	suitetest.Together(t, "Keep and Latest", func(i int) {
		for range 3 {
			if err := a.Keep(t.Context(), "chat", checkpoint(i)); err != nil {
				t.Errorf("Keep = %v in concurrent calls", err)
			}
			got, err := a.Latest(t.Context(), "chat")
			var n int
			if _, scanned := fmt.Sscanf(string(got), "example.com/audit\n%d", &n); err != nil || scanned != nil || n < 0 || n > 7 || !bytes.Equal(got, checkpoint(n)) {
				t.Errorf("Latest = %q, %v in concurrent calls, want a checkpoint that was kept", got, err)
			}
		}
	})
}

func ended(t *testing.T, open func() audit.Anchor) {
	a := open()
	keep(t, a, "chat", checkpoint(1))
	over, cancel := context.WithCancel(t.Context())
	cancel()
	if got, err := latest(over, t, a, "chat"); errors.Is(err, rollout.ErrNotFound) || err == nil && !bytes.Equal(got, checkpoint(1)) {
		t.Errorf("Latest = %q, %v after its context has ended, want the checkpoint, or an error that does not wrap %v", got, err, rollout.ErrNotFound)
	}
	want := checkpoint(2)
	suitetest.Call(t, "Keep", func() {
		if a.Keep(over, "chat", checkpoint(2)) != nil {
			want = checkpoint(1)
		}
	})
	if got, err := latest(t.Context(), t, a, "chat"); err != nil || !bytes.Equal(got, checkpoint(2)) && !bytes.Equal(got, want) {
		t.Errorf("Latest = %q, %v after Keep with a context that has ended, want %q", got, err, want)
	}
	keep(t, a, "chat", checkpoint(3))
	has(t, "after contexts have ended", a, "chat", checkpoint(3))
}
