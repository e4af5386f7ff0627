package console_test

import (
	"context"
	"errors"
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

// TestRetryOfOthers: a page that says who may begin again is not shown to those who may not.
func TestRetryOfOthers(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := begin(t, func(w *world) {
			may := w.cfg.May
			w.cfg.May = func(ctx context.Context, by rollout.Actor, what rollout.Action, target string) error {
				if what == rollout.ActionRetry && by.Name == "cem" {
					return errors.New("cem is on leave")
				}
				return may(ctx, by, what, target)
			}
		})
		states["aborted"](w)
		const link = `href="/chat/1/retry"`
		if page := w.get("/chat"); !strings.Contains(page, link) {
			t.Error("a person with the right to begin again is not offered it")
		}
		w.by = "cem sre"
		if page := w.get("/chat"); strings.Contains(page, link) || !strings.Contains(page, "cem is on leave") {
			t.Errorf("a person without the right to begin again sees a page with the offer: %s", words(page))
		}
	})
}
