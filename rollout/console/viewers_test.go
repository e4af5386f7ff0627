package console_test

import (
	"strings"
	"testing"
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
