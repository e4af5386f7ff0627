package enginetest_test

import (
	"context"
	"fmt"
	"net/http"
	"net/http/httptest"
	"runtime"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/serin-go/serin/internal/worlds"
	"github.com/serin-go/serin/rollout"
	"github.com/serin-go/serin/rollout/memstore"
	"github.com/serin-go/serin/rollout/traffic"
	"github.com/serin-go/serin/strategies"
)

// TestBusyMachine has 24 callers ask equal handlers of 5 ms on a machine that is busy, in
// real time, through a stage at 50 % and monitoring with a holdback. It is played only if
// the flag asks for it.
func TestBusyMachine(t *testing.T) {
	if *rollouts == 0 {
		t.Skip("it takes 40 s of real time a rollout; -worlds 5 plays it five times")
	}
	var all []worlds.Result
	for range *rollouts {
		all = append(all, busy(t))
	}
	hold(t, []worlds.Claim{neverHarmed}, all)
}

func busy(t *testing.T) worlds.Result {
	answer := http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		time.Sleep(5 * time.Millisecond)
		w.Header().Set("Content-Type", "application/json")
		_, _ = w.Write([]byte(document))
	})
	router, err := traffic.New(traffic.Config{
		Arms: map[string]traffic.Backend{versions[0]: {Handler: answer}, versions[1]: {Handler: answer}}, Unit: traffic.UnitOf,
		Split: strategies.Split{Arms: []strategies.Arm{{Name: versions[0], Weight: strategies.Full}}},
	})
	if err != nil {
		t.Fatal(err)
	}
	ended := make(chan rollout.Event, 1)
	e, err := rollout.Open(t.Context(), rollout.Config{
		Store: new(memstore.Store), Targets: map[string]rollout.Splitter{"chat": router},
		Observer: rollout.ObserverFunc(func(_ context.Context, ev rollout.Event) {
			if ev.Phase.Terminal() {
				ended <- ev
			}
		}),
	})
	if err != nil {
		t.Fatal(err)
	}
	defer e.Close()
	ctx, cancel := context.WithCancel(t.Context())
	var working sync.WaitGroup
	defer working.Wait()
	defer cancel()
	for range 2 * runtime.GOMAXPROCS(0) {
		working.Go(func() {
			for ctx.Err() == nil { // the load of others
			}
		})
	}
	var sent atomic.Int64
	for range 24 {
		working.Go(func() {
			for ctx.Err() == nil {
				req := httptest.NewRequestWithContext(ctx, http.MethodPost, "/v1/chat/completions", strings.NewReader(`{"model":"m"}`))
				req.Header.Set("Content-Type", "application/json")
				req.Header.Set(traffic.UnitHeader, fmt.Sprint("user", sent.Add(1)))
				router.ServeHTTP(httptest.NewRecorder(), req)
			}
		})
	}
	p := rollout.Plan{
		Target: "chat", Baseline: release(versions[0]), Candidate: release(versions[1]), Monitor: 20 * time.Second, Holdback: strategies.Percent(1),
		Stages: []strategies.Stage{baked("half", strategies.Percent(50), 20*time.Second), baked("all", strategies.Full, 0)},
	}
	if _, err := e.Start(ctx, p, rollout.Actor{Name: "ana"}); err != nil {
		t.Fatal(err)
	}
	ev := <-ended
	t.Log(ev)
	r := worlds.Result{Harmed: -1, Safe: -1}
	if ev.Phase == strategies.RolledBack {
		r.Harmed = int(sent.Load())
	}
	return r
}
