package console_test

import (
	"context"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/serin-go/serin/rollout"
)

// TestOldRollout: who looks at an old rollout leaves the numbers of the newest one as they are.
func TestOldRollout(t *testing.T) {
	run(t, func(t *testing.T, w *world) {
		states["aborted"](w)
		if _, err := w.engine.Retry(t.Context(), "chat/1", ana); err != nil {
			t.Fatal(err)
		}
		w.wait(func(st rollout.Status) bool { return st.ID == "chat/2" && st.Baked > 3*time.Minute })
		w.get("/chat/1")
		if page := words(w.get("/chat")); strings.Count(page, "/min") != 2 {
			t.Errorf("the page has lost the rates of both versions: %s", page)
		}
	})
}

// strict is an engine that reads nothing for a caller who has left, as one with a distant store.
type strict struct{ *rollout.Engine }

func (s strict) Read(ctx context.Context, id rollout.ID, from uint64, n int) ([]rollout.Event, error) {
	if err := ctx.Err(); err != nil {
		return nil, err
	}
	return s.Engine.Read(ctx, id, from, n)
}

// TestViewerWhoLeaves: a viewer who is gone before the page is made leaves a whole page to
// those who share it.
func TestViewerWhoLeaves(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var leave context.CancelFunc
		w := begin(t, func(w *world) {
			w.cfg.Engine = strict{w.engine}
			may := w.cfg.May
			w.cfg.May = func(ctx context.Context, by rollout.Actor, what rollout.Action, target string) error {
				if leave != nil && what == "abort" { // the state is read, and the page is not made
					leave()
				}
				if ctx.Err() != nil {
					return nil // the policy is not at fault
				}
				return may(ctx, by, what, target)
			}
		})
		states["paused"](w)
		ctx, cancel := context.WithCancel(t.Context())
		leave = cancel
		w.askIn(ctx, "GET", "/chat", nil)
		if leave = nil; ctx.Err() == nil {
			t.Fatal("the viewer has not left")
		}
		if page := words(w.get("/chat")); !strings.Contains(page, "paused by ana since") || strings.Contains(page, "started –") {
			t.Errorf("the page is not whole: %s", page)
		}
	})
}
