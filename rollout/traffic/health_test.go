package traffic_test

import (
	"io"
	"net/http"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/serin-go/serin/checks"
	"github.com/serin-go/serin/checks/checkstest"
	"github.com/serin-go/serin/rollout/traffic"
	"github.com/serin-go/serin/strategies"
)

// TestHealth has the baseline and the candidate stop answering in turn.
func TestHealth(t *testing.T) {
	var oldDown, newDown atomic.Bool
	server := func(down *atomic.Bool) string {
		return serve(t, http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			_, _ = io.Copy(io.Discard, r.Body)
			if down.Load() {
				w.WriteHeader(http.StatusBadGateway)
				return
			}
			w.Header().Set("Content-Type", "application/json")
			_, _ = io.WriteString(w, `{"object":"chat.completion","choices":[{"message":{"role":"assistant","content":"Hello"},"finish_reason":"stop"}]}`)
		}))
	}
	r, _ := newRouter(t, server(&oldDown), server(&newDown), nil)
	half := split(8, strategies.Percent(50))
	if err := r.SetSplit(t.Context(), half); err != nil {
		t.Fatal(err)
	}
	health := traffic.Health(r)
	front := serve(t, r.ServeHTTP)
	ask := func() {
		t.Helper()
		for range 40 {
			resp, err := http.Post(front+chat, "application/json", strings.NewReader(`{"messages":[]}`))
			if err != nil {
				t.Fatal(err)
			}
			_, _ = io.Copy(io.Discard, resp.Body)
			resp.Body.Close()
		}
	}
	expect := func(when string, arms, split checks.Status) {
		t.Helper()
		for name, want := range map[string]checks.Status{"arms": arms, "split": split} {
			if got := health[name].Check(t.Context()); got.Status != want {
				t.Errorf("%s: %s is %v (%s %v), want %v", when, name, got.Status, got.Summary, got.Evidence, want)
			}
		}
	}
	expect("without requests", checks.Pass, checks.Pass)
	ask()
	expect("while both answer", checks.Pass, checks.Pass)
	newDown.Store(true)
	ask()
	expect("while the candidate fails", checks.Warn, checks.Pass)
	expect("without new requests", checks.Warn, checks.Pass)
	newDown.Store(false)
	ask()
	expect("when it answers again", checks.Pass, checks.Pass)
	oldDown.Store(true)
	ask()
	expect("while the baseline fails", checks.Fail, checks.Pass)
	oldDown.Store(false)
	ask()
	r.Expire(time.Now().Add(-time.Second))
	expect("when the split has expired", checks.Pass, checks.Warn)
}

func TestHealthChecksConform(t *testing.T) {
	for name := range traffic.Health(mustRouter(t)) {
		t.Run(name, func(t *testing.T) {
			checkstest.Exercise(t, func(t *testing.T) checks.Check { return traffic.Health(mustRouter(t))[name] })
		})
	}
}

func mustRouter(t *testing.T) *traffic.Router {
	t.Helper()
	r, _ := newRouter(t, "http://127.0.0.1:1", "http://127.0.0.1:2", nil)
	return r
}
