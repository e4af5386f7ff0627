package corpus_test

import (
	"context"
	"io"
	"net/http"
	"net/http/httptest"
	"strconv"
	"strings"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/serin-go/serin/checks/analysis"
	answers "github.com/serin-go/serin/checks/analysis/answer"
	"github.com/serin-go/serin/rollout"
	"github.com/serin-go/serin/rollout/traffic"
	"github.com/serin-go/serin/strategies"
)

// hello is an answer.
const hello = `{"choices":[{"index":0,"message":{"role":"assistant","content":"Hello"},"finish_reason":"stop"}]}`

// lasting returns a handler that takes some time for its answer, or until its
// caller leaves.
func lasting(d func() time.Duration, body string) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, req *http.Request) {
		_, _ = io.Copy(io.Discard, req.Body)
		select {
		case <-time.After(d()):
			w.Header().Set("Content-Type", "application/json")
			_, _ = io.WriteString(w, body)
		case <-req.Context().Done():
		}
	})
}

// patient rolls a candidate out to users who wait for at most patience, until the
// rollout has ended or for the given time. It returns where the rollout stands, and
// calls served with what each user got.
func patient(t *testing.T, cfg traffic.Config, s strategies.Strategy, path string, patience, within time.Duration, served func(w *httptest.ResponseRecorder, left bool)) rollout.Status {
	t.Helper()
	return trial(t, cfg, s, within, func(router *traffic.Router, n int) func() {
		return func() {
			mine, leave := context.WithTimeout(t.Context(), patience)
			defer leave()
			req := httptest.NewRequestWithContext(mine, http.MethodPost, path, strings.NewReader(`{"model":"m"}`))
			req.Header.Set(traffic.UnitHeader, strconv.Itoa(n))
			w := httptest.NewRecorder()
			router.ServeHTTP(w, req)
			served(w, mine.Err() != nil)
		}
	}).Status
}

// TestSilentCandidateIsRolledBack: a candidate that takes requests and says nothing
// is given up before many users have waited in vain.
func TestSilentCandidateIsRolledBack(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var n, waited atomic.Int64
		st := patient(t, traffic.Config{Arms: map[string]traffic.Backend{
			"1.4.0": {Handler: lasting(func() time.Duration { // a 99th percentile of 200 ms
				if n.Add(1)%50 == 0 {
					return 200 * time.Millisecond
				}
				return 100 * time.Millisecond
			}, hello)},
			"1.5.0": {Handler: lasting(func() time.Duration { return 24 * time.Hour }, "")},
		}}, nil, chatRoute, 8*time.Second, 10*time.Minute, func(w *httptest.ResponseRecorder, left bool) {
			if left || w.Code != 200 {
				waited.Add(1)
			}
		})
		if st.Phase != strategies.RolledBack || waited.Load() >= 50 {
			t.Errorf("%v: %s; %d users have waited in vain", st.Phase, st.Reason, waited.Load())
		}
		t.Logf("%d users have waited in vain: %s", waited.Load(), st.Reason)
	})
}

// TestBothUnreadable: nothing is concluded from two arms whose answers cannot be
// read, and the reason says how they could be; then they are compared.
func TestBothUnreadable(t *testing.T) {
	const path = "/v1/odd"
	for _, classify := range []bool{false, true} {
		t.Run(strconv.FormatBool(classify), func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				same := traffic.Backend{Handler: lasting(func() time.Duration { return 50 * time.Millisecond }, `{"odd":"answer"}`)}
				cfg := traffic.Config{Arms: map[string]traffic.Backend{"1.4.0": same, "1.5.0": same}}
				if classify {
					cfg.Classify = func(_ answers.Ask, head []byte, o *answers.Outcome) {
						if o.Class == analysis.Unread && string(head) == `{"odd":"answer"}` {
							o.Class, o.Why = analysis.OK, ""
						}
					}
				}
				canary := strategies.Canary{Weights: []strategies.Weight{strategies.Percent(20), strategies.Percent(50)}, Bake: time.Minute, Limit: 10 * time.Minute, MinSamples: 500}
				var raised atomic.Int64
				st := patient(t, cfg, canary, path, time.Minute, 15*time.Minute, func(w *httptest.ResponseRecorder, _ bool) {
					if w.Code != 200 || w.Body.String() != `{"odd":"answer"}` {
						raised.Add(1)
					}
				})
				if raised.Load() != 0 {
					t.Errorf("%d users got something else", raised.Load())
				}
				if classify {
					if st.Phase != strategies.Promoted {
						t.Errorf("%v at stage %d: %s", st.Phase, st.Stage, st.Reason)
					}
					return
				}
				if st.Phase.Terminal() || st.Stage != 0 || st.Judgement.Verdict != analysis.Unmeasurable {
					t.Errorf("%v at stage %d, %v: %s", st.Phase, st.Stage, st.Judgement.Verdict, st.Reason)
				}
				for _, want := range []string{"POST " + path, "unknown route", "1.4.0", "Config.Classify"} {
					if !strings.Contains(st.Judgement.Reason, want) {
						t.Errorf("the reason does not name %q: %s", want, st.Judgement.Reason)
					}
				}
			})
		})
	}
}
