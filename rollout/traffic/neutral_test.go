package traffic_test

import (
	"bytes"
	"fmt"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"testing"

	"github.com/serin-go/serin/checks/analysis"
	"github.com/serin-go/serin/rollout/traffic"
)

// TestNeutralRoutesAreNotObserved: what is no question to a model neither counts as a
// success nor as a failure of an arm, however much of it there is.
func TestNeutralRoutesAreNotObserved(t *testing.T) {
	const chats, others = 100, 1_000
	model := func(w http.ResponseWriter, r *http.Request) {
		if r.URL.Path != chat || r.Method != http.MethodPost {
			w.WriteHeader(http.StatusNotFound)
			return
		}
		good(w, r)
	}
	var observed int
	r, err := traffic.New(traffic.Config{
		Arms:    map[string]traffic.Backend{"old": {Handler: http.HandlerFunc(model)}, "new": {Handler: http.HandlerFunc(model)}},
		Split:   split(7, 5_000),
		Observe: func(analysis.Observation) { observed++ },
	})
	if err != nil {
		t.Fatal(err)
	}
	for i := range others {
		for _, route := range []string{"OPTIONS " + chat, "GET /v1/models", "GET /health", "HEAD /v1/models"} {
			method, path, _ := strings.Cut(route, " ")
			r.ServeHTTP(httptest.NewRecorder(), httptest.NewRequest(method, path, nil))
		}
		if i%(others/chats) == 0 {
			r.ServeHTTP(httptest.NewRecorder(), httptest.NewRequest(http.MethodPost, chat, strings.NewReader(streaming)))
		}
	}
	if observed != chats {
		t.Errorf("%d observations of %d chats among %d other requests", observed, chats, 4*others)
	}
	for _, s := range r.Stats() {
		if n := s.ByClass[analysis.OK]; n != s.Requests || s.InFlight != 0 {
			t.Errorf("%s: %d of %d requests are good, %d in flight", s.Arm, n, s.Requests, s.InFlight)
		}
	}
}

// TestErrorTextsStayPrivate: the error text of a server reaches the caller, and neither
// a log nor an observation, an exposure or a reason.
func TestErrorTextsStayPrivate(t *testing.T) {
	const private = "DE89 3704 0044 0532 0130 00"
	fails := func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Type", "application/json")
		w.WriteHeader(http.StatusInternalServerError)
		fmt.Fprintf(w, `{"error":{"message":"cannot pay to %s","type":%q,"code":%q}}`, private, private, private)
	}
	for _, inStream := range []bool{false, true} {
		for _, fallback := range []bool{false, true} {
			t.Run(fmt.Sprintf("in a stream %t, with a fallback %t", inStream, fallback), func(t *testing.T) {
				candidate := fails
				if inStream {
					candidate = func(w http.ResponseWriter, _ *http.Request) {
						stream(w, fmt.Sprintf(`data: {"error":{"message":"cannot pay to %s","type":%q}}`, private, private)+"\n\n")
					}
				}
				var mu sync.Mutex
				var recorded bytes.Buffer
				say := func(v any) {
					mu.Lock()
					defer mu.Unlock()
					fmt.Fprintf(&recorded, "%+v\n", v)
				}
				r, d := newRouter(t, serve(t, fails), serve(t, candidate), func(c *traffic.Config) {
					c.NoFallback = !fallback
					c.Logger = slog.New(slog.NewTextHandler(writerFunc(func(p []byte) { say(string(p)) }), &slog.HandlerOptions{Level: slog.LevelDebug}))
					c.Exposed = func(e traffic.Exposure) { say(e) }
					c.Charged = func(c traffic.Charge) { say(c) }
				})
				req := httptest.NewRequest("POST", "http://gateway"+chat, strings.NewReader(streaming))
				w := httptest.NewRecorder()
				r.ServeHTTP(w, req)
				if !strings.Contains(w.Body.String(), private) {
					t.Errorf("the caller got %s", w.Body)
				}
				o := d.one(t)
				say(o)
				say(o.Err)
				say(r.Stats())
				say(r.Unserved())
				mu.Lock()
				defer mu.Unlock()
				if strings.Contains(recorded.String(), "3704") {
					t.Errorf("recorded: %s", recorded.String())
				}
			})
		}
	}
}

type writerFunc func([]byte)

func (f writerFunc) Write(p []byte) (int, error) {
	f(p)
	return len(p), nil
}
