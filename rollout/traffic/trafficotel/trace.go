package trafficotel

import (
	"context"
	"io"
	"net/http"
	"sync"

	"go.opentelemetry.io/otel"
	"go.opentelemetry.io/otel/attribute"
	"go.opentelemetry.io/otel/codes"
	"go.opentelemetry.io/otel/propagation"
	"go.opentelemetry.io/otel/trace"

	"github.com/serin-go/serin/checks/analysis/answer"
	"github.com/serin-go/serin/internal/traced"
)

// Handler returns a handler that traces the requests that next serves, a
// [*traffic.Router]. It traces with the global TracerProvider; see [Tracing].
func Handler(next http.Handler) http.Handler { return Tracing{}.Handler(next) }

// RoundTripper returns a transport that traces the requests that next sends, the result of
// [traffic.Router.RoundTripper]. It traces with the global TracerProvider; see [Tracing].
func RoundTripper(next http.RoundTripper) http.RoundTripper { return Tracing{}.RoundTripper(next) }

// Tracing says how requests are traced. The zero value is ready to use. Requests that are
// no inference by [answer.RouteOf], such as for the list of models, are not traced.
//
// The parent of a span is the span in the context of the request, or else what the header
// of the request names. A span has gen_ai.operation.name, gen_ai.provider.name,
// gen_ai.request.model, gen_ai.response.model, gen_ai.response.finish_reasons,
// gen_ai.usage.*, server.address, error.type, serin.arm, serin.class and
// serin.request.id. The last three belong to the arm that the request was assigned to;
// usage, response model and error.type belong to the attempt that ended last, so a request
// that the baseline served instead is no error. A span has no byte of a prompt or an answer, and names no user and no
// tenant. A request that was refused before an arm was chosen has none of these. A request
// that is traced is measured as one that is charged; see [traffic.Config].Charged.
type Tracing struct {
	// TracerProvider makes the spans. If nil, the global one does.
	TracerProvider trace.TracerProvider
	// Propagator reads and writes the headers. Default: the W3C's trace context, without
	// baggage.
	Propagator propagation.TextMapPropagator
}

// Handler returns a handler that traces the requests that next serves.
func (t Tracing) Handler(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		s, traced := t.start(r)
		if s == nil {
			next.ServeHTTP(w, r)
			return
		}
		defer s.end()
		next.ServeHTTP(w, traced)
	})
}

// RoundTripper returns a transport that traces the requests that next sends. The span of a
// request ends when the body of its response has been read to the end or closed.
func (t Tracing) RoundTripper(next http.RoundTripper) http.RoundTripper {
	return transport{t, next}
}

type transport struct {
	tracing Tracing
	next    http.RoundTripper
}

// RoundTrip implements [http.RoundTripper].
func (t transport) RoundTrip(r *http.Request) (*http.Response, error) {
	s, traced := t.tracing.start(r)
	if s == nil {
		return t.next.RoundTrip(r)
	}
	resp, err := t.next.RoundTrip(traced)
	if err != nil || resp.StatusCode == http.StatusSwitchingProtocols {
		s.end() // the connection is the caller's now, and its body must keep its abilities
		return resp, err
	}
	resp.Body = &body{ReadCloser: resp.Body, span: s}
	return resp, nil
}

// body ends a span with the body of the response.
type body struct {
	io.ReadCloser
	span *span
}

func (b *body) Read(p []byte) (int, error) {
	n, err := b.ReadCloser.Read(p)
	if err != nil {
		b.span.end()
	}
	return n, err
}

func (b *body) Close() error {
	err := b.ReadCloser.Close()
	b.span.end()
	return err
}

func (t Tracing) propagator() propagation.TextMapPropagator {
	if t.Propagator == nil {
		return propagation.TraceContext{}
	}
	return t.Propagator
}

// start returns the span of a request and a copy of the request that carries it. The span
// is nil if the request is not traced.
func (t Tracing) start(r *http.Request) (*span, *http.Request) {
	if !answer.RouteOf(r.Method, r.URL.Path).Measured() {
		return nil, nil
	}
	provider, ctx := t.TracerProvider, r.Context()
	if provider == nil {
		provider = otel.GetTracerProvider()
	}
	if !trace.SpanContextFromContext(ctx).IsValid() {
		ctx = t.propagator().Extract(ctx, propagation.HeaderCarrier(r.Header))
	}
	parent := trace.SpanContextFromContext(ctx)
	tracer := provider.Tracer(ScopeName)
	// Its name and the rest are known when the router has read the request.
	ctx, made := tracer.Start(ctx, "request", trace.WithSpanKind(trace.SpanKindClient))
	if c := made.SpanContext(); !c.IsValid() || c.SpanID() == parent.SpanID() {
		made.End()
		return nil, nil // there is no tracer
	}
	s := &span{tracing: t, tracer: tracer, Span: made}
	out := r.WithContext(traced.With(ctx, s))
	out.Header = r.Header.Clone()
	if out.Header == nil {
		out.Header = make(http.Header)
	}
	t.propagator().Inject(ctx, propagation.HeaderCarrier(out.Header))
	return s, out
}

// span is the span of one request. It implements [traced.Request].
type span struct {
	tracing Tracing
	tracer  trace.Tracer
	trace.Span

	mu       sync.Mutex
	assigned traced.Assignment
	last     traced.Attempt // whose answer the caller gets
	ended    bool
}

// Assigned implements [traced.Request].
func (s *span) Assigned(a traced.Assignment) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.assigned = a
	s.SetName(nameOf(a))
	s.SetAttributes(append(about(a), attribute.String("serin.arm", a.Arm), attribute.String("serin.request.id", a.ID))...)
}

// Attempted implements [traced.Request].
func (s *span) Attempted(a traced.Attempt) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.ended {
		return
	}
	switch a.Role {
	case "first":
		s.SetAttributes(attribute.String("serin.class", a.Class))
		s.last = a
	case "fallback", "opinion":
		s.last = a
	}
	s.AddEvent("attempt", trace.WithAttributes(
		attribute.String("serin.attempt", a.Role), attribute.String("serin.arm", a.Arm), attribute.String("serin.class", a.Class),
		attribute.String("serin.why", a.Why), attribute.Int("http.response.status_code", a.Status),
	))
	s.SetAttributes(outcome(a)...)
}

// Copied implements [traced.Request].
func (s *span) Copied(arm string, h http.Header) func(traced.Attempt) {
	s.mu.Lock()
	assigned := s.assigned
	s.mu.Unlock()
	ctx, made := s.tracer.Start(context.Background(), "mirror "+nameOf(assigned), trace.WithSpanKind(trace.SpanKindClient),
		trace.WithLinks(trace.Link{SpanContext: s.SpanContext()}), trace.WithAttributes(attribute.String("serin.arm", arm)))
	propagator := s.tracing.propagator()
	for _, name := range propagator.Fields() {
		h.Del(name)
	}
	propagator.Inject(ctx, propagation.HeaderCarrier(h))
	return func(a traced.Attempt) {
		made.SetAttributes(append(outcome(a), attribute.String("serin.class", a.Class))...)
		fail(made, a)
		made.End()
	}
}

// end ends the span, once.
func (s *span) end() {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.ended {
		return
	}
	s.ended = true
	fail(s.Span, s.last)
	s.End()
}

// fail sets the error of an attempt that has failed.
func fail(s trace.Span, a traced.Attempt) {
	if a.Failed {
		s.SetAttributes(attribute.String("error.type", a.Class))
		s.SetStatus(codes.Error, a.Why)
	}
}

func nameOf(a traced.Assignment) string {
	if a.Operation == "" {
		return "request"
	}
	if a.Model == "" {
		return a.Operation
	}
	return a.Operation + " " + a.Model
}

// about returns the attributes of a request.
func about(a traced.Assignment) []attribute.KeyValue {
	all := []attribute.KeyValue{attribute.String("gen_ai.operation.name", a.Operation), attribute.String("gen_ai.provider.name", a.Provider)}
	for name, value := range map[string]string{"gen_ai.request.model": a.Model, "server.address": a.Address} {
		if value != "" {
			all = append(all, attribute.String(name, value))
		}
	}
	return all
}

// outcome returns the attributes of the answer to an attempt.
func outcome(a traced.Attempt) []attribute.KeyValue {
	var all []attribute.KeyValue
	if a.Model != "" {
		all = append(all, attribute.String("gen_ai.response.model", a.Model))
	}
	if a.Finish != "" {
		all = append(all, attribute.StringSlice("gen_ai.response.finish_reasons", []string{a.Finish}))
	}
	if a.Counted {
		all = append(all, attribute.Int("gen_ai.usage.input_tokens", a.Input), attribute.Int("gen_ai.usage.output_tokens", a.Output),
			attribute.Int("gen_ai.usage.cache_read.input_tokens", a.CacheRead), attribute.Int("gen_ai.usage.cache_write.input_tokens", a.CacheWrite),
			attribute.Int("gen_ai.usage.reasoning.output_tokens", a.Reasoning))
	}
	return all
}
