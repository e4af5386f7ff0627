package traffic_test

import (
	"math"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"sync/atomic"
	"testing"
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
	if len(series) != 8 {
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
