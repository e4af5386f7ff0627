package trafficotel_test

import (
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"go.opentelemetry.io/otel/attribute"
	"go.opentelemetry.io/otel/codes"
	sdktrace "go.opentelemetry.io/otel/sdk/trace"
	"go.opentelemetry.io/otel/sdk/trace/tracetest"
	"go.opentelemetry.io/otel/trace"
	"go.opentelemetry.io/otel/trace/noop"

	"github.com/serin-go/serin/rollout/traffic"
	"github.com/serin-go/serin/rollout/traffic/trafficotel"
	"github.com/serin-go/serin/strategies"
)

const (
	chat     = "/v1/chat/completions"
	document = `{"model":"m-0613","choices":[{"message":{"role":"assistant","content":"secret answer"},"finish_reason":"stop"}],"usage":{"prompt_tokens":12,"completion_tokens":5,"prompt_tokens_details":{"cached_tokens":4}}}`
	ask      = `{"model":"m","user":"ana","messages":[{"role":"user","content":"secret prompt"}]}`
	parent   = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01"
)

// model is a server that keeps the headers of its requests.
type model struct {
	*httptest.Server
	answer string
	mu     sync.Mutex
	seen   []http.Header
}

func newModel(t testing.TB, status int) *model {
	t.Helper()
	m := &model{answer: document}
	m.Server = httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		_, _ = io.Copy(io.Discard, r.Body)
		m.mu.Lock()
		m.seen = append(m.seen, r.Header.Clone())
		m.mu.Unlock()
		w.Header().Set("Content-Type", "application/json")
		w.WriteHeader(status)
		_, _ = io.WriteString(w, m.answer)
	}))
	t.Cleanup(m.Close)
	return m
}

func (m *model) headers() []http.Header {
	m.mu.Lock()
	defer m.mu.Unlock()
	return slices.Clone(m.seen)
}

// routerTo returns a router that gives all traffic to the candidate.
func routerTo(t testing.TB, baseline, candidate string, change func(*traffic.Config)) *traffic.Router {
	t.Helper()
	cfg := traffic.Config{
		Arms:  map[string]traffic.Backend{"old": {URL: baseline}, "new": {URL: candidate}},
		Split: strategies.Split{Arms: []strategies.Arm{{Name: "old"}, {Name: "new", Weight: strategies.Full}}},
		Unit:  func(*http.Request) string { return "ana" },
	}
	if change != nil {
		change(&cfg)
	}
	r, err := traffic.New(cfg)
	if err != nil {
		t.Fatal(err)
	}
	return r
}

// shapes sends a request through a router in each shape, and returns when its answer was
// read.
var shapes = map[string]func(t *testing.T, tracing trafficotel.Tracing, r *traffic.Router, path string, h http.Header){
	"Handler": func(t *testing.T, tracing trafficotel.Tracing, r *traffic.Router, path string, h http.Header) {
		front := httptest.NewServer(tracing.Handler(r))
		defer front.Close() // waits for the handler
		send(t, http.DefaultTransport, front.URL+path, h)
	},
	"RoundTripper": func(t *testing.T, tracing trafficotel.Tracing, r *traffic.Router, path string, h http.Header) {
		send(t, tracing.RoundTripper(r.RoundTripper()), "http://x.invalid"+path, h)
	},
}

func send(t *testing.T, transport http.RoundTripper, url string, h http.Header) {
	t.Helper()
	req, err := http.NewRequest(http.MethodPost, url, strings.NewReader(ask))
	if err != nil {
		t.Fatal(err)
	}
	req.Header = h.Clone()
	req.Header.Set("Content-Type", "application/json")
	before := req.Header.Clone()
	resp, err := transport.RoundTrip(req)
	if err != nil {
		t.Fatal(err)
	}
	_, _ = io.Copy(io.Discard, resp.Body)
	_ = resp.Body.Close()
	for name := range before {
		if got, want := req.Header.Get(name), before.Get(name); got != want {
			t.Errorf("the caller's header %s is %q, was %q", name, got, want)
		}
	}
}

// recorded returns a tracer and what it has recorded.
func recorded() (trafficotel.Tracing, *tracetest.SpanRecorder) {
	recorder := tracetest.NewSpanRecorder()
	return trafficotel.Tracing{TracerProvider: sdktrace.NewTracerProvider(sdktrace.WithSpanProcessor(recorder))}, recorder
}

func words(attributes []attribute.KeyValue) string {
	var all []string
	for _, a := range attributes {
		if a.Key != "serin.request.id" {
			all = append(all, string(a.Key)+"="+a.Value.String())
		}
	}
	slices.Sort(all)
	return strings.Join(all, " ")
}

func TestSpan(t *testing.T) {
	const request = `gen_ai.operation.name=chat gen_ai.provider.name=openai gen_ai.request.model=m gen_ai.response.finish_reasons=["stop"] gen_ai.response.model=m-0613 ` +
		`gen_ai.usage.cache_read.input_tokens=4 gen_ai.usage.cache_write.input_tokens=0 gen_ai.usage.input_tokens=12 gen_ai.usage.output_tokens=5 gen_ai.usage.reasoning.output_tokens=0 `
	for name, serve := range shapes {
		for _, tt := range []struct {
			name               string
			baseline, status   int
			attributes, events string
			code               codes.Code
		}{
			{"an answer", 200, 200, request + "serin.arm=new serin.class=ok server.address=127.0.0.1", "first new ok 200", codes.Unset},
			{"a fallback", 200, 500, request + "serin.arm=new serin.class=error server.address=127.0.0.1", "first new error 500, fallback old ok 200", codes.Unset},
			{"a failure of both", 503, 500, "error.type=error gen_ai.operation.name=chat gen_ai.provider.name=openai gen_ai.request.model=m serin.arm=new serin.class=error server.address=127.0.0.1", "first new error 500, fallback old error 503", codes.Error},
		} {
			t.Run(name+"/"+tt.name, func(t *testing.T) {
				tracing, recorder := recorded()
				old, candidate := newModel(t, tt.baseline), newModel(t, tt.status)
				serve(t, tracing, routerTo(t, old.URL, candidate.URL, nil), chat, http.Header{"Traceparent": {parent}, "Tracestate": {"a=b"}})
				spans := recorder.Ended()
				if len(spans) != 1 || len(recorder.Started()) != 1 {
					t.Fatalf("%d spans have begun, %d ended; want one", len(recorder.Started()), len(spans))
				}
				s := spans[0]
				if s.Name() != "chat m" || s.SpanKind() != trace.SpanKindClient || s.Status().Code != tt.code ||
					s.Parent().SpanID().String() != "00f067aa0ba902b7" || s.SpanContext().TraceID().String() != "4bf92f3577b34da6a3ce929d0e0e4736" {
					t.Errorf("%s (%s) %v below %v", s.Name(), s.SpanKind(), s.Status(), s.Parent().SpanID())
				}
				got := words(s.Attributes())
				if tt.code == codes.Error {
					// The documents of failures have usage and a finish reason, too.
					got = strings.Join(slices.DeleteFunc(strings.Fields(got), func(w string) bool {
						return strings.HasPrefix(w, "gen_ai.usage") || strings.HasPrefix(w, "gen_ai.response")
					}), " ")
				}
				if got != tt.attributes {
					t.Errorf("attributes\n%s, want\n%s", got, tt.attributes)
				}
				var events []string
				for _, e := range s.Events() {
					a := attribute.NewSet(e.Attributes...)
					value := func(k attribute.Key) string { v, _ := a.Value(k); return v.String() }
					events = append(events, fmt.Sprint(value("serin.attempt"), " ", value("serin.arm"), " ", value("serin.class"), " ", value("http.response.status_code")))
				}
				if got := strings.Join(events, ", "); got != tt.events {
					t.Errorf("events %s, want %s", got, tt.events)
				}
				want := fmt.Sprintf("00-%s-%s-01", s.SpanContext().TraceID(), s.SpanContext().SpanID())
				for _, h := range append(candidate.headers(), old.headers()...) {
					if got := h["Traceparent"]; len(got) != 1 || got[0] != want || h.Get("Tracestate") != "a=b" {
						t.Errorf("an arm was sent traceparent %q and tracestate %q, want %q", got, h.Get("Tracestate"), want)
					}
				}
				if all := fmt.Sprint(s.Attributes(), s.Events()); strings.Contains(all, "secret") || strings.Contains(all, "ana") {
					t.Errorf("a span says too much: %s", all)
				}
			})
		}
	}
}

// Without a tracer the headers pass as they came, whatever they are.
func TestUntracedHeadersPass(t *testing.T) {
	for name, serve := range shapes {
		for _, provider := range []trace.TracerProvider{nil, noop.NewTracerProvider()} {
			for _, value := range []string{parent, "00-00000000000000000000000000000000-00f067aa0ba902b7-01", "cc-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01-extra", "nonsense"} {
				m := newModel(t, 200)
				serve(t, trafficotel.Tracing{TracerProvider: provider}, routerTo(t, m.URL, m.URL, nil), chat, http.Header{"Traceparent": {value}, "Tracestate": {"b=2, a=1"}})
				if h := m.headers()[0]; h.Get("Traceparent") != value || h.Get("Tracestate") != "b=2, a=1" {
					t.Errorf("%s, %T: %q came as %q, %q", name, provider, value, h.Get("Traceparent"), h.Get("Tracestate"))
				}
			}
		}
	}
}

func TestRequestsThatAreNoInferenceAreNotTraced(t *testing.T) {
	for name, serve := range shapes {
		tracing, recorder := recorded()
		m := newModel(t, 200)
		serve(t, tracing, routerTo(t, m.URL, m.URL, nil), "/v1/files", http.Header{"Traceparent": {parent}})
		if n := len(recorder.Started()); n != 0 || m.headers()[0].Get("Traceparent") != parent {
			t.Errorf("%s: %d spans, traceparent %q", name, n, m.headers()[0].Get("Traceparent"))
		}
	}
}

// A request that reaches no arm ends its span.
func TestSpanOfRequestThatIsRefused(t *testing.T) {
	tracing, recorder := recorded()
	m := newModel(t, 200)
	r := routerTo(t, m.URL, m.URL, func(c *traffic.Config) { c.BodyMemory = 1 })
	w := httptest.NewRecorder()
	tracing.Handler(r).ServeHTTP(w, httptest.NewRequest(http.MethodPost, chat, strings.NewReader(ask)))
	if spans := recorder.Ended(); w.Code != http.StatusServiceUnavailable || len(spans) != 1 || spans[0].Name() != "request" {
		t.Errorf("status %d, spans %v", w.Code, spans)
	}
	broken := routerTo(t, m.URL, "http://127.0.0.1:1", func(c *traffic.Config) { c.NoFallback = true })
	req, _ := http.NewRequest(http.MethodPost, "http://x.invalid"+chat, strings.NewReader(ask))
	if resp, err := tracing.RoundTripper(broken.RoundTripper()).RoundTrip(req); err == nil {
		t.Fatal(resp.Status)
	}
	if spans := recorder.Ended(); len(spans) != 2 || spans[1].Status().Code != codes.Error || !strings.Contains(words(spans[1].Attributes()), "error.type=error") {
		t.Errorf("spans %v", spans)
	}
}

func TestMirrorIsLinked(t *testing.T) {
	tracing, recorder := recorded()
	live, shadow := newModel(t, 200), newModel(t, 200)
	r := routerTo(t, live.URL, shadow.URL, func(c *traffic.Config) {
		c.Split = strategies.Split{Arms: []strategies.Arm{{Name: "old", Weight: strategies.Full}, {Name: "new"}}, Mirrors: []strategies.Mirror{{Arm: "new", Share: strategies.Full}}}
	})
	shapes["Handler"](t, tracing, r, chat, http.Header{"Traceparent": {parent}})
	for deadline := time.Now().Add(20 * time.Second); len(recorder.Ended()) < 2; time.Sleep(time.Millisecond) {
		if time.Now().After(deadline) {
			t.Fatalf("%d spans", len(recorder.Ended()))
		}
	}
	var request, mirror sdktrace.ReadOnlySpan
	for _, s := range recorder.Ended() {
		if s.Name() == "chat m" {
			request = s
		} else if s.Name() == "mirror chat m" {
			mirror = s
		}
	}
	if request == nil || mirror == nil {
		t.Fatalf("spans %v", recorder.Ended())
	}
	if l := mirror.Links(); mirror.Parent().IsValid() || mirror.SpanContext().TraceID() == request.SpanContext().TraceID() || len(l) != 1 || l[0].SpanContext.SpanID() != request.SpanContext().SpanID() {
		t.Errorf("below %v, links %v", mirror.Parent(), l)
	}
	if got := words(mirror.Attributes()); !strings.Contains(got, "serin.arm=new serin.class=ok") {
		t.Errorf("attributes %s", got)
	}
	if got, want := shadow.headers()[0].Get("Traceparent"), mirror.SpanContext().SpanID().String(); !strings.Contains(got, want) {
		t.Errorf("the mirror was sent %s, want the span %s", got, want)
	}
}
