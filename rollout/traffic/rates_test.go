package traffic_test

import (
	"io"
	"math"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/serin-go/serin/rollout/traffic"
	"github.com/serin-go/serin/strategies"
)

func TestSeries(t *testing.T) {
	var fails atomic.Bool
	arm := http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		if fails.Load() {
			w.WriteHeader(http.StatusInternalServerError)
		}
	})
	router, err := traffic.New(traffic.Config{
		Arms:  map[string]traffic.Backend{"old": {Handler: arm}, "new": {Handler: arm}},
		Split: strategies.Split{Arms: []strategies.Arm{{Name: "old", Weight: strategies.Full}}},
	})
	if err != nil {
		t.Fatal(err)
	}
	series := traffic.Series(router)
	if len(series) != 18 {
		t.Fatalf("%d series", len(series))
	}
	at := time.Date(2026, 3, 2, 0, 0, 0, 0, time.UTC)
	look := func(after time.Duration) (all []float64) {
		at = at.Add(after)
		for _, name := range []string{"requests of old", "errors of old", "fallbacks of old", "in flight of old"} {
			all = append(all, series[name](at))
		}
		return all
	}
	ask := func(n int) {
		for range n {
			router.ServeHTTP(httptest.NewRecorder(), httptest.NewRequestWithContext(t.Context(), http.MethodPost, "/v1/chat/completions", strings.NewReader(`{"model":"m"}`)))
		}
	}
	nan := math.NaN()
	same := func(what string, got, want []float64) {
		t.Helper()
		if !slices.EqualFunc(got, want, func(a, b float64) bool { return a == b || math.IsNaN(a) && math.IsNaN(b) }) {
			t.Errorf("%s: %v, want %v", what, got, want)
		}
	}
	ask(3)
	same("the first look", look(0), []float64{nan, nan, nan, 0})
	fails.Store(true)
	ask(60)
	same("failures", look(time.Minute), []float64{1, 1, 0, 0})
	same("no requests", look(time.Minute), []float64{0, nan, nan, 0})
	ask(10)
	same("after a gap", look(10*time.Minute), []float64{nan, nan, nan, 0})
	if err := router.RemoveBackend("new"); err != nil {
		t.Fatal(err)
	}
	if x := series["in flight of new"](at); !math.IsNaN(x) {
		t.Errorf("an arm that is gone: %v", x)
	}
}

// TestSeriesOfStreams: times and lengths are about the time since the look before, and no earlier one.
func TestSeriesOfStreams(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var ttft, gap time.Duration
		arm := http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
			w.Header().Set("Content-Type", "text/event-stream")
			send := func(text string) {
				_, _ = io.WriteString(w, "data: "+text+"\n\n")
				_ = http.NewResponseController(w).Flush()
			}
			time.Sleep(ttft)
			for i := range 5 {
				if i > 0 {
					time.Sleep(gap)
				}
				send(`{"object":"chat.completion.chunk","choices":[{"index":0,"delta":{"content":"word "}}]}`)
			}
			send(`{"object":"chat.completion.chunk","choices":[{"index":0,"delta":{},"finish_reason":"stop"}]}`)
			send(`{"object":"chat.completion.chunk","choices":[],"usage":{"prompt_tokens":7,"completion_tokens":5,"total_tokens":12}}`)
			send(`[DONE]`)
		})
		router, err := traffic.New(traffic.Config{
			Arms:  map[string]traffic.Backend{"m": {Handler: arm}},
			Split: strategies.Split{Arms: []strategies.Arm{{Name: "m", Weight: strategies.Full}}},
		})
		if err != nil {
			t.Fatal(err)
		}
		series := traffic.Series(router)
		names := []string{"TTFT p50 of m", "TTFT p95 of m", "TPOT p50 of m", "output tokens of m", "refusals of m"}
		look := func() (all []float64) {
			for _, name := range names {
				all = append(all, series[name](time.Now()))
			}
			return all
		}
		ask := func(first, then time.Duration, n int) {
			ttft, gap = first, then
			for range n {
				body := `{"model":"m","stream":true,"stream_options":{"include_usage":true}}`
				router.ServeHTTP(httptest.NewRecorder(), httptest.NewRequestWithContext(t.Context(), http.MethodPost, "/v1/chat/completions", strings.NewReader(body)))
			}
		}
		ask(time.Second, 500*time.Millisecond, 10)
		for i, v := range look() {
			if !math.IsNaN(v) {
				t.Errorf("%s at the first look: %v", names[i], v)
			}
		}
		ask(100*time.Millisecond, 20*time.Millisecond, 18)
		ask(400*time.Millisecond, 20*time.Millisecond, 2)
		got := look()
		for i, want := range []float64{0.1, 0.4, 0.02, 5, 0} {
			if !(math.Abs(got[i]-want) <= 0.016*want) {
				t.Errorf("%s: %v, want %v", names[i], got[i], want)
			}
		}
		time.Sleep(time.Minute)
		for i, v := range look() {
			if !math.IsNaN(v) {
				t.Errorf("%s without requests: %v", names[i], v)
			}
		}
	})
}
