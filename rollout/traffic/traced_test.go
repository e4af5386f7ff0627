package traffic_test

import (
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"github.com/serin-go/serin/internal/traced"
	"github.com/serin-go/serin/rollout/traffic"
	"github.com/serin-go/serin/strategies"
)

const document = `{"choices":[{"message":{"role":"assistant","content":"Hi"},"finish_reason":"stop"}],"usage":{"prompt_tokens":12,"completion_tokens":5}}`

// recorder is a transport that keeps the headers of requests.
type recorder chan http.Header

func (c recorder) RoundTrip(r *http.Request) (*http.Response, error) {
	if r.Body != nil {
		_, _ = io.Copy(io.Discard, r.Body)
		_ = r.Body.Close()
	}
	c <- r.Header.Clone()
	return &http.Response{StatusCode: 200, Header: http.Header{"Content-Type": {"application/json"}}, Body: io.NopCloser(strings.NewReader(document)), Request: r}, nil
}

// askThrough sends a request through a router in one of its shapes.
func askThrough(t *testing.T, r *traffic.Router, handler bool, req *http.Request) {
	t.Helper()
	if handler {
		w := httptest.NewRecorder()
		r.ServeHTTP(w, req)
		if w.Code != http.StatusOK || w.Body.String() != document {
			t.Fatalf("status %d: %s", w.Code, w.Body)
		}
		return
	}
	req.RequestURI = ""
	resp, err := r.RoundTripper().RoundTrip(req)
	if err != nil {
		t.Fatal(err)
	}
	if a := read(resp); a.body != document || a.err != nil {
		t.Fatalf("%+v", a)
	}
}

// Baggage goes where credentials would go. The trace context goes everywhere as it came.
func TestBaggageStaysWithTheHost(t *testing.T) {
	for _, tt := range []struct {
		name, baseline, arm string
		mirror, kept        bool
	}{
		{"the same host", "https://api.a.example", "https://api.a.example/v2", false, true},
		{"another public host", "https://api.a.example", "https://api.b.example", false, false},
		{"the same host without TLS", "https://api.a.example", "http://api.a.example", false, false},
		{"two private hosts", "http://10.0.0.1", "http://models.svc", false, true},
		{"from a private host to a public one", "http://10.0.0.1", "https://api.b.example", false, false},
		{"a copy for another public host", "https://api.a.example", "https://api.b.example", true, false},
		{"a copy for the same host", "https://api.a.example", "https://api.a.example", true, true},
	} {
		for _, handler := range []bool{true, false} {
			at := make(recorder, 1)
			arms := map[string]traffic.Backend{"old": {URL: tt.baseline, Transport: make(recorder, 1)}, "new": {URL: tt.arm, Transport: at}}
			s := split(1, strategies.Full)
			if tt.mirror {
				s = split(1, 0)
				s.Mirrors = []strategies.Mirror{{Arm: "new", Share: strategies.Full}}
			}
			r, err := traffic.New(traffic.Config{Arms: arms, Split: s})
			if err != nil {
				t.Fatal(err)
			}
			req := httptest.NewRequest(http.MethodPost, tt.baseline+chat, strings.NewReader("{}"))
			for name, v := range map[string]string{"Baggage": "user=ana", "Traceparent": "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-00", "Tracestate": "b=2, a=1"} {
				req.Header.Set(name, v)
			}
			askThrough(t, r, handler, req)
			got := <-at
			if kept := got.Get("Baggage") == "user=ana"; kept != tt.kept || !kept && got["Baggage"] != nil {
				t.Errorf("%s, handler %t: baggage %q", tt.name, handler, got["Baggage"])
			}
			for _, name := range []string{"Traceparent", "Tracestate"} {
				if got.Get(name) != req.Header.Get(name) {
					t.Errorf("%s, handler %t: %s %q, want %q", tt.name, handler, name, got[name], req.Header[name])
				}
			}
			if req.Header.Get("Baggage") != "user=ana" {
				t.Errorf("%s: the caller's header has changed", tt.name)
			}
		}
	}
}

// faulty is a tracer that panics wherever it is called.
type faulty struct{ ends bool }

func (faulty) Assigned(traced.Assignment) { panic("Assigned") }
func (faulty) Attempted(traced.Attempt)   { panic("Attempted") }
func (f faulty) Copied(string, http.Header) func(traced.Attempt) {
	if f.ends {
		return func(traced.Attempt) { panic("ended") }
	}
	panic("Copied")
}

func TestPanicsOfTracer(t *testing.T) {
	for _, ends := range []bool{false, true} {
		for _, handler := range []bool{true, false} {
			copies := make(recorder, 1)
			s := split(1, 0)
			s.Mirrors = []strategies.Mirror{{Arm: "new", Share: strategies.Full}}
			arms := map[string]traffic.Backend{"old": {URL: "http://a.invalid", Transport: make(recorder, 1)}, "new": {URL: "http://b.invalid", Transport: copies}}
			r, err := traffic.New(traffic.Config{Arms: arms, Split: s})
			if err != nil {
				t.Fatal(err)
			}
			req := httptest.NewRequest(http.MethodPost, "http://a.invalid"+chat, strings.NewReader("{}"))
			askThrough(t, r, handler, req.WithContext(traced.With(req.Context(), faulty{ends})))
			<-copies
			waitFor(t, func() bool { return r.PendingCopies() == 0 && r.Panics()["Tracer"] == 3 })
			if inFlight := r.Stats()[0].InFlight + r.Stats()[1].InFlight; inFlight != 0 {
				t.Errorf("%d in flight", inFlight)
			}
		}
	}
}
