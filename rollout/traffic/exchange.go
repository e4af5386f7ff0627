package traffic

import (
	"context"
	"errors"
	"fmt"
	"math"
	"math/rand/v2"
	"mime"
	"net/http"
	"strings"
	"sync"
	"time"

	"github.com/serin-go/serin/checks/analysis"
	"github.com/serin-go/serin/internal/sse"
)

// exchange is one request and its answer, whatever the shape in which they
// pass. It belongs to one goroutine at a time.
type exchange struct {
	router     *Router
	arm        *arm
	generation uint64
	unit, id   string
	began      time.Time
	why        Reason // the arm is this one
	table      *table
	rescue     bool // the baseline has served

	meter     *sse.Meter // nil if the answer's body is in no form that it can read
	streaming bool       // the meter reads a stream, not one document
	status    int
	caller    caller
	copies    []*copied // of the request, that go to mirrors; see mirror.go
}

// meters are used again: a meter has memory for the event under way.
var meters = sync.Pool{New: func() any { return new(sse.Meter) }}

// ending says how an exchange ended, as far as the answer itself does not.
type ending struct {
	expired bool  // no first byte in time
	broken  error // the arm failed, or broke off its answer
	gone    error // the caller went away, or gave up waiting
}

var (
	errFirstByte = errors.New("traffic: no byte of an answer in time")
	errBrokenOff = errors.New("traffic: the answer was broken off")
)

// begin makes of x the exchange of a request that is about to be served, and
// assigns it.
func (r *Router) begin(x *exchange, req *http.Request) *table {
	t := r.table.Load()
	x.router, x.table, x.generation, x.unit, x.id = r, t, t.split.Generation, r.unit(req), newID()
	x.began = time.Now()
	x.arm, x.why = r.place(t, x.unit, req, r.stale(x.began), true)
	r.assigned(t, x.arm, x.unit, x.why)
	return t
}

// newID returns 64 random bits in hexadecimal.
func newID() string {
	const digits = "0123456789abcdef"
	var b [16]byte
	bits := rand.Uint64()
	for i := range b {
		b[i] = digits[bits>>(60-4*i)&15]
	}
	return string(b[:])
}

// answer takes the status and the header of the answer that is measured, and
// decides how its body is to be read.
func (x *exchange) answer(status int, h http.Header) {
	x.status = status
	for _, c := range x.copies {
		c.primary.kind(h)
	}
	if x.why == ByWeight && x.router.cached(h) {
		x.why = ByCache
	}
	if enc := h.Get("Content-Encoding"); enc != "" && enc != "identity" {
		return // compressed by somebody behind us; the status must do
	}
	f := formOf(h.Get("Content-Type"))
	x.streaming = f == eventStream || f == jsonLines
	if f != unread {
		x.meter = meters.Get().(*sse.Meter)
		x.meter.JSON, x.meter.Lines, x.meter.Model = f == jsonDocument, f == jsonLines, x.arm.backend.PriceOf != nil
	}
}

// form is how an answer's body is to be read.
type form int

const (
	unread       form = iota // nothing that is known
	jsonDocument             // one document
	jsonLines                // a document on each line
	eventStream              // server-sent events
)

// formOf returns the form of a body from its media type. What is ordinary is known
// at a glance.
func formOf(kind string) form {
	switch {
	case kind == "application/json":
		return jsonDocument
	case strings.HasPrefix(kind, "text/event-stream"):
		return eventStream
	}
	kind, _, err := mime.ParseMediaType(kind)
	switch {
	case err != nil:
		return unread
	case kind == "application/x-ndjson", kind == "application/ndjson", kind == "application/jsonl", kind == "application/x-jsonlines":
		return jsonLines
	case kind == "application/json", strings.HasSuffix(kind, "+json"):
		return jsonDocument
	}
	return unread
}

// feed measures a part of the answer's body that passed at the given instant.
func (x *exchange) feed(p []byte, at time.Duration) {
	for _, c := range x.copies {
		c.primary.add(p)
	}
	if x.meter != nil {
		x.meter.Feed(p, at)
	}
}

// result ends the measurement and gives the meter back.
func (x *exchange) result(at time.Duration) sse.Stream {
	m := x.meter
	if m == nil {
		return sse.Stream{}
	}
	x.meter = nil
	m.End(at)
	s := m.Stream()
	m.Reset()
	meters.Put(m)
	return s
}

// finish records the one observation of the exchange.
func (x *exchange) finish(e ending) {
	o, s := x.observation(e)
	for _, c := range x.copies {
		c.answered(o, s)
	}
	x.router.report(x.table, x.arm, o, x.why, x.rescue)
}

// observation ends the measurement.
func (x *exchange) observation(e ending) (analysis.Observation, sse.Stream) {
	now := time.Now()
	metered := x.meter != nil
	s := x.result(now.Sub(x.began) - x.caller.total)
	class, err := x.classify(s, e, metered && x.streaming)
	o := analysis.Observation{
		At: now, ID: x.id, Arm: x.arm.name, Unit: x.unit, Generation: x.generation,
		Class: class, Latency: now.Sub(x.began) - x.caller.total, ITL: s.TPOT(), Err: err,
		Stall: s.Stall, ClientStall: x.caller.total,
		InputTokens: s.InputTokens, OutputTokens: s.OutputTokens, CachedTokens: s.CachedTokens,
		Cost: -1,
	}
	if x.streaming && (s.Chunks > 0 || !s.Known) {
		o.TTFT = s.First
	}
	switch {
	case x.why == ByCache:
		o.Cost = 0
	case s.FromUsage:
		o.Cost = x.arm.backend.price(s.Model).cost(s.InputTokens, s.OutputTokens, s.CachedTokens, s.ReasoningTokens)
	}
	return o, s
}

// rescued records the one observation of an exchange whose arm failed and whose
// request the baseline served: what the baseline generated says nothing about
// the arm.
func (x *exchange) rescued(e ending) {
	x.arm.stats.rescued.Add(1)
	x.rescue = true
	for _, c := range x.copies {
		c.primary.spoilt = true // what was kept is the baseline's
	}
	x.result(0)
	if x.status < 500 {
		x.status = 0 // a header without an answer behind it
	}
	x.finish(e)
}

// classify says how the exchange ended. The rules are tried in order: what
// stopped an answer says more than the part of it that came. streamed says that
// the answer was a stream that could be read.
func (x *exchange) classify(s sse.Stream, e ending, streamed bool) (analysis.Class, error) {
	switch {
	case e.expired:
		return analysis.Timeout, errFirstByte
	case e.gone != nil && !(s.Done && e.broken == nil):
		// A caller who hangs up after the terminator has had everything.
		if errors.Is(e.gone, context.DeadlineExceeded) {
			return analysis.Timeout, e.gone
		}
		return analysis.Cancelled, e.gone
	case x.status == http.StatusTooManyRequests:
		return analysis.Limited, nil
	case x.status >= 500:
		if e.broken != nil {
			return analysis.Error, e.broken
		}
		return analysis.Error, fmt.Errorf("traffic: the arm answered with status %d", x.status)
	case x.status >= 400:
		return analysis.Rejected, nil
	case s.Err != "":
		return analysis.Error, fmt.Errorf("traffic: error inside an answer: %s", s.Err)
	case e.broken != nil && x.status == 0:
		return analysis.Error, e.broken
	case e.broken != nil:
		return analysis.Truncated, e.broken
	case s.Known && !s.Done:
		return analysis.Truncated, errBrokenOff
	case s.Refused:
		return analysis.Refused, nil
	case s.Chunks == 0 && (s.Known || streamed && s.Events == 0):
		return analysis.Empty, nil
	}
	return analysis.OK, nil
}

// price returns the price of a model, the zero Price if it is unknown.
func (b *Backend) price(model string) Price {
	if b.PriceOf == nil {
		return b.Price
	}
	if p, known := b.PriceOf(model); known {
		return p
	}
	return Price{}
}

// cost returns what tokens cost, -1 if the price is unknown.
func (p Price) cost(input, output, cached, reasoning int) analysis.Money {
	if p == (Price{}) {
		return -1
	}
	if p.Cached == 0 {
		p.Cached = p.Input
	}
	if p.Reasoning == 0 {
		p.Reasoning = p.Output
	}
	const million = 1e6
	sum := float64(max(input-cached, 0))*float64(p.Input) + float64(cached)*float64(p.Cached) +
		float64(max(output-reasoning, 0))*float64(p.Output) + float64(reasoning)*float64(p.Reasoning)
	return analysis.Money(math.Round(min(sum/million, 1e18)))
}
