package serin_test

import (
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/serin-go/serin/loadtest/modeltest"
	"github.com/serin-go/serin/rollout"
	"github.com/serin-go/serin/rollout/memstore"
	"github.com/serin-go/serin/rollout/traffic"
	"github.com/serin-go/serin/strategies"
	"github.com/serin-go/serin/versioning"
)

// TestUselessCandidate rolls out a candidate that fails every request, in three
// ways. No user sees an error, and it is rolled back.
func TestUselessCandidate(t *testing.T) {
	for name, candidate := range map[string]http.HandlerFunc{
		"fails": func(w http.ResponseWriter, _ *http.Request) {
			http.Error(w, "out of memory", http.StatusInternalServerError)
		},
		"hangs up": func(http.ResponseWriter, *http.Request) { panic(http.ErrAbortHandler) },
		"never answers": func(_ http.ResponseWriter, r *http.Request) {
			io.Copy(io.Discard, r.Body) // only then does the server notice who hangs up
			<-r.Context().Done()
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			good, err := modeltest.New(modeltest.Config{Seed: 1, Length: 5})
			if err != nil {
				t.Fatal(err)
			}
			baselineServer, candidateServer := httptest.NewServer(good), httptest.NewServer(candidate)
			defer baselineServer.Close()
			defer candidateServer.Close()
			router, err := traffic.New(traffic.Config{
				Arms:             map[string]traffic.Backend{"1.4.0": {URL: baselineServer.URL}, "1.5.0": {URL: candidateServer.URL}},
				Split:            strategies.Split{Arms: []strategies.Arm{{Name: "1.4.0", Weight: strategies.Full}}},
				FirstByteTimeout: 250 * time.Millisecond,
			})
			if err != nil {
				t.Fatal(err)
			}
			front := httptest.NewServer(router)
			defer front.Close()
			engine, err := rollout.Open(t.Context(), rollout.Config{
				Store: new(memstore.Store), Targets: map[string]rollout.Splitter{"chat": router}, Tick: 10 * time.Millisecond,
			})
			if err != nil {
				t.Fatal(err)
			}
			defer engine.Close()
			id, err := engine.Start(t.Context(), rollout.Plan{
				Target:    "chat",
				Baseline:  versioning.Release{Version: versioning.MustParse("1.4.0")},
				Candidate: versioning.Release{Version: versioning.MustParse("1.5.0")},
				Strategy:  strategies.Canary{Weights: []strategies.Weight{2000}, MinSamples: 1_000_000},
			}, rollout.Actor{Name: "ana"})
			if err != nil {
				t.Fatal(err)
			}

			requests, st := 0, rollout.Status{}
			for ; !st.Phase.Terminal() && requests < 20_000; requests++ {
				resp, err := http.Post(front.URL+"/v1/chat/completions", "application/json",
					strings.NewReader(`{"model":"tinylm","stream":true,"messages":[{"role":"user","content":"Hello."}]}`))
				if err != nil {
					t.Fatalf("request %d: %v", requests, err)
				}
				body, err := io.ReadAll(resp.Body)
				resp.Body.Close()
				if err != nil || resp.StatusCode != http.StatusOK || !strings.HasSuffix(string(body), "data: [DONE]\n\n") {
					t.Fatalf("request %d: %s, %v, %d bytes", requests, resp.Status, err, len(body))
				}
				if st, err = engine.Status(t.Context(), id); err != nil {
					t.Fatal(err)
				}
			}
			if st.Phase != strategies.RolledBack {
				t.Errorf("after %d requests, %d of them on the candidate: %v, %s", requests, st.Exposed, st.Phase, st.Reason)
			}
			t.Logf("%d requests, %d of them on the candidate, none failed; %s", requests, st.Exposed, st.Reason)
		})
	}
}
