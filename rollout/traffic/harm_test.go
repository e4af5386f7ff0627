package traffic_test

import (
	"context"
	"fmt"
	"net/http"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/serin-go/serin/checks/analysis"
	"github.com/serin-go/serin/rollout"
	"github.com/serin-go/serin/rollout/memstore"
	"github.com/serin-go/serin/rollout/traffic"
	"github.com/serin-go/serin/strategies"
	"github.com/serin-go/serin/versioning"
)

// TestNobodyMeetsABrokenCandidate rolls out candidates that fail each of their
// requests, to 5 % of all users, in either shape: nobody sees an error, the failures
// count against the candidate alone, and the rollout rolls back.
func TestNobodyMeetsABrokenCandidate(t *testing.T) {
	for name, fails := range map[string]http.HandlerFunc{
		"answers with 503":      failing,
		"breaks off":            func(http.ResponseWriter, *http.Request) { panic(http.ErrAbortHandler) },
		"error in a 200 stream": func(w http.ResponseWriter, _ *http.Request) { stream(w, created, limited) },
	} {
		t.Run(name, func(t *testing.T) {
			var asked, wrong atomic.Int64
			r, _ := newRouter(t, serve(t, good), serve(t, fails), func(c *traffic.Config) {
				c.Arms = map[string]traffic.Backend{"1.4.0": c.Arms["old"], "1.5.0": c.Arms["new"]}
				c.Split, c.Observe = strategies.Split{Arms: []strategies.Arm{{Name: "1.4.0", Weight: strategies.Full}}}, nil
			})
			e, err := rollout.Open(t.Context(), rollout.Config{Store: new(memstore.Store), Targets: map[string]rollout.Splitter{"chat": r}, Tick: 20 * time.Millisecond})
			if err != nil {
				t.Fatal(err)
			}
			defer e.Close()
			ctx, cancel := context.WithCancel(t.Context())
			var users sync.WaitGroup
			defer users.Wait()
			defer cancel()
			shapes := map[string]*http.Client{serve(t, r.ServeHTTP): {}, "http://models": {Transport: r.RoundTripper()}}
			for url, client := range shapes {
				users.Go(func() {
					for i := 0; ctx.Err() == nil; i++ {
						req, _ := http.NewRequest(http.MethodPost, url+chat, strings.NewReader(`{"stream":true}`))
						req.Header.Set(traffic.UnitHeader, fmt.Sprint(url, i))
						asked.Add(1)
						resp, err := client.Do(req)
						if err != nil {
							wrong.Add(1)
							continue
						}
						if a := read(resp); a.status != http.StatusOK || a.body != goodStream || a.err != nil {
							wrong.Add(1)
						}
					}
				})
			}
			id, err := e.Start(ctx, rollout.Plan{
				Target:    "chat",
				Baseline:  versioning.Release{Version: versioning.MustParse("1.4.0")},
				Candidate: versioning.Release{Version: versioning.MustParse("1.5.0")},
				Strategy: strategies.Canary{
					Weights: []strategies.Weight{500, strategies.Full}, Bake: time.Minute, MinSamples: 100_000, Limit: time.Hour,
				},
				Analysis: analysis.Plan{Metrics: []analysis.Metric{analysis.ErrorRate()}},
			}, rollout.Actor{Name: "ana"})
			if err != nil {
				t.Fatal(err)
			}
			for deadline := time.Now().Add(3 * patience); ; time.Sleep(5 * time.Millisecond) {
				st, err := e.Status(ctx, id)
				if err != nil {
					t.Fatal(err)
				}
				if st.Phase.Terminal() {
					if st.Phase != strategies.RolledBack {
						t.Errorf("%v: %s", st.Phase, st.Reason)
					}
					break
				}
				if time.Now().After(deadline) {
					t.Fatalf("%v, waiting for %s: %+v", st.Phase, st.Waiting, r.Stats())
				}
			}
			cancel()
			users.Wait()
			if wrong.Load() != 0 {
				t.Errorf("%d of %d users have seen a failure", wrong.Load(), asked.Load())
			}
			var total uint64
			for _, s := range r.Stats() {
				total += s.Requests
				if s.Arm == "1.5.0" && (s.Fallbacks == 0 || s.Fallbacks != s.Requests) {
					t.Errorf("%d of the candidate's %d requests fell back", s.Fallbacks, s.Requests)
				}
			}
			if total != uint64(asked.Load()) {
				t.Errorf("%d requests are in the stats, %d were sent", total, asked.Load())
			}
			t.Logf("%d requests, none wrong, %+v", asked.Load(), r.Stats())
		})
	}
}
