package traffic_test

import (
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"github.com/serin-go/serin/rollout"
	"github.com/serin-go/serin/rollout/rollouttest"
	"github.com/serin-go/serin/rollout/traffic"
	"github.com/serin-go/serin/strategies"
)

// routed is a router whose requests are served in memory.
type routed struct{ *traffic.Router }

func (r routed) Serve(unit string) (string, error) {
	w := httptest.NewRecorder()
	req := httptest.NewRequest(http.MethodPost, "/v1/chat/completions", strings.NewReader(`{"messages":[{"role":"user","content":"hi"}]}`))
	req.Header.Set("X-User", unit)
	r.ServeHTTP(w, req)
	return w.Header().Get("X-Arm"), nil
}

func TestConformance(t *testing.T) {
	arm := func(name string) traffic.Backend {
		return traffic.Backend{Handler: http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
			w.Header().Set("X-Arm", name)
			w.Header().Set("Content-Type", "application/json")
			_, _ = io.WriteString(w, `{"choices":[{"finish_reason":"stop","message":{"role":"assistant","content":"hello"}}],"usage":{"prompt_tokens":1,"completion_tokens":1}}`)
		})}
	}
	for name, unit := range map[string]func(*http.Request) string{
		"units": func(r *http.Request) string { return r.Header.Get("X-User") }, "requests": nil,
	} {
		t.Run(name, func(t *testing.T) {
			rollouttest.Splitter(t, func(t *testing.T) rollout.Splitter {
				router, err := traffic.New(traffic.Config{
					Arms:  map[string]traffic.Backend{rollouttest.Baseline: arm(rollouttest.Baseline), rollouttest.Candidate: arm(rollouttest.Candidate)},
					Split: strategies.Split{Arms: []strategies.Arm{{Name: rollouttest.Baseline, Weight: strategies.Full}}},
					Unit:  unit,
				})
				if err != nil {
					t.Fatal(err)
				}
				return routed{router}
			})
		})
	}
}
