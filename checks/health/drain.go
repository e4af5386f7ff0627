package health

import (
	"bytes"
	"context"
	"errors"
	"net/http"
	"strings"
	"sync"
	"time"
)

// ErrDrained is the cause of the context of a request that [Monitor.Drain] has ended.
var ErrDrained = errors.New("health: request: not finished in time, the process is shutting down")

// Drain says how a process stops. The zero Drain uses the defaults.
type Drain struct {
	// Notice is the time from which readiness fails until new requests are refused. It is
	// at least the period of the load balancer's checks times the failures that it needs.
	// Default 15 s. Negative: 0.
	Notice time.Duration `env:"NOTICE"`
	// Streams is the time that running requests have after Notice. Default 10 min.
	// Negative: 0.
	Streams time.Duration `env:"STREAMS"`
	// Cause is the cause of the contexts of requests that are cut. If it is set, the
	// handler ends the responses itself, as traffic.Router does for traffic.ErrCut.
	// Default [ErrDrained], for which Track ends them.
	Cause error `env:", noinit"`
}

// requests are those that [Monitor.Track] has admitted.
type requests struct {
	mu     sync.Mutex
	closed bool // new requests are refused
	list   map[*tracked]struct{}
	idle   chan struct{} // closed when closed is set and the list is empty

	once sync.Once
	cut  int
}

func (r *requests) init() {
	r.list = make(map[*tracked]struct{})
	r.idle = make(chan struct{})
}

// add admits a request, unless requests are refused.
func (r *requests) add(t *tracked) bool {
	r.mu.Lock()
	defer r.mu.Unlock()
	if !r.closed {
		r.list[t] = struct{}{}
	}
	return !r.closed
}

func (r *requests) remove(t *tracked) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if delete(r.list, t); r.closed && len(r.list) == 0 {
		close(r.idle)
	}
}

// close refuses new requests.
func (r *requests) close() {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.closed = true; len(r.list) == 0 {
		close(r.idle)
	}
}

// cutAll ends all requests that are still running, and returns their number.
func (r *requests) cutAll(cause error) int {
	r.mu.Lock()
	list := make([]*tracked, 0, len(r.list))
	for t := range r.list {
		list = append(list, t)
	}
	r.mu.Unlock()
	n := 0
	for _, t := range list {
		if t.end(cause) {
			n++
		}
	}
	return n
}

// InFlight returns the number of requests that [Monitor.Track] is serving.
func (m *Monitor) InFlight() int {
	m.requests.mu.Lock()
	defer m.requests.mu.Unlock()
	return len(m.requests.list)
}

// Drain takes the process out of service. Readiness fails immediately. After d.Notice, new
// requests are refused. Requests that are running then have the time d.Streams. After that
// they are cut: their contexts end with the cause [ErrDrained], and a token stream ends
// with an error event. Drain returns the number of requests that were cut, when all have
// ended, or when a request does not end within five seconds after it was cut.
//
// The end of ctx ends Notice and Streams. Do not pass the context that the signal of the
// shutdown has ended, but [context.WithoutCancel] of it. Only the first call of Drain has
// an effect; others wait for it and return the same number.
func (m *Monitor) Drain(ctx context.Context, d Drain) (cut int) {
	m.requests.once.Do(func() {
		m.mu.Lock()
		m.draining = true
		m.evaluate(true)
		m.render()
		m.mu.Unlock()
		pause(ctx, or(d.Notice, 15*time.Second), nil)
		m.requests.close()
		pause(ctx, or(d.Streams, 10*time.Minute), m.requests.idle)
		m.requests.cut = m.requests.cutAll(d.Cause)
		pause(context.Background(), 5*time.Second, m.requests.idle)
	})
	return m.requests.cut
}

// or returns d, or def if d is zero.
func or(d, def time.Duration) time.Duration {
	if d == 0 {
		return def
	}
	return d
}

// pause waits for d, the end of ctx, or done.
func pause(ctx context.Context, d time.Duration, done <-chan struct{}) {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-timer.C:
	case <-done:
	case <-ctx.Done():
	}
}

// Track returns a handler that calls next for each request until [Monitor.Drain] refuses
// new ones. It answers these with 503 and "Connection: close". It counts running requests
// and can end them. Wrap the whole service with it, but not the health endpoints.
func (m *Monitor) Track(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		ctx, cancel := context.WithCancelCause(r.Context())
		defer cancel(nil)
		t := &tracked{ResponseWriter: w, cancel: cancel}
		if !m.requests.add(t) {
			refuse(w)
			return
		}
		defer m.requests.remove(t)
		defer t.finish()
		next.ServeHTTP(t, r.WithContext(ctx))
	})
}

// refuse answers a request that comes too late.
func refuse(w http.ResponseWriter) {
	h := w.Header()
	h.Set("Connection", "close")
	h.Set("Retry-After", "1")
	h.Set("Content-Type", "application/json")
	w.WriteHeader(http.StatusServiceUnavailable)
	_, _ = w.Write([]byte(drainError + "\n")) // an error means that the client is gone
}

// drainError is understood by clients of the OpenAI and of the Anthropic API.
const drainError = `{"type":"error","error":{"type":"overloaded_error","code":"draining","message":"The server is shutting down. Send the request again."}}`

// tracked is the response of a running request.
type tracked struct {
	http.ResponseWriter
	cancel context.CancelCauseFunc

	mu      sync.Mutex
	wrote   bool    // the header
	stream  bool    // the response is a stream of events
	tail    [2]byte // the last bytes of the body
	ended   bool    // by end
	partial bool    // ended in the middle of a response that is no stream
	done    bool
}

// Unwrap returns the writer below, for [http.ResponseController].
func (t *tracked) Unwrap() http.ResponseWriter { return t.ResponseWriter }

// WriteHeader writes the header.
func (t *tracked) WriteHeader(code int) {
	t.mu.Lock()
	defer t.mu.Unlock()
	if !t.ended {
		t.header(code)
	}
}

func (t *tracked) header(code int) {
	if code >= 200 && !t.wrote {
		t.wrote = true
		t.stream = strings.HasPrefix(t.Header().Get("Content-Type"), "text/event-stream")
	}
	t.ResponseWriter.WriteHeader(code)
}

// Write writes a part of the body. It returns ErrDrained if the request was cut.
func (t *tracked) Write(p []byte) (int, error) {
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.ended {
		return 0, ErrDrained
	}
	if !t.wrote {
		t.header(http.StatusOK)
	}
	n, err := t.ResponseWriter.Write(p)
	if n >= 2 {
		t.tail = [2]byte(p[n-2 : n])
	} else if n == 1 {
		t.tail = [2]byte{t.tail[1], p[0]}
	}
	return n, err
}

// Flush sends what was written.
func (t *tracked) Flush() { _ = t.FlushError() }

// FlushError sends what was written.
func (t *tracked) FlushError() error {
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.ended {
		return ErrDrained
	}
	return http.NewResponseController(t.ResponseWriter).Flush()
}

// end ends the request, and reports whether it was still running. Without a cause, a
// response that has not begun becomes 503, and a stream gets an error event as its end.
func (t *tracked) end(cause error) bool {
	if cause != nil {
		t.mu.Lock()
		running := !t.done
		t.mu.Unlock()
		t.cancel(cause)
		return running
	}
	controller := http.NewResponseController(t.ResponseWriter)
	// A client that does not read must not hold up the others.
	_ = controller.SetWriteDeadline(time.Now().Add(time.Second))
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.done || t.ended {
		return false
	}
	t.ended = true
	switch {
	case !t.wrote:
		refuse(t.ResponseWriter)
	case t.stream:
		if !bytes.Equal(t.tail[:], []byte("\n\n")) && t.tail != [2]byte{} {
			_, _ = t.ResponseWriter.Write([]byte("\n\n"))
		}
		_, _ = t.ResponseWriter.Write([]byte("event: error\ndata: " + drainError + "\n\n"))
	default:
		t.partial = true
	}
	_ = controller.Flush()
	t.cancel(ErrDrained)
	return true
}

// finish notes that the handler has returned or panicked. A reverse proxy panics with
// [http.ErrAbortHandler] when its request ends; a stream that has its error event is
// complete nevertheless. A response of another kind is aborted, so that the client does
// not take it for complete.
func (t *tracked) finish() {
	panicked := recover()
	t.mu.Lock()
	t.done = true
	complete, partial := t.ended && !t.partial, t.partial
	t.mu.Unlock()
	if partial {
		panic(http.ErrAbortHandler)
	}
	if panicked != nil && !(complete && panicked == http.ErrAbortHandler) {
		panic(panicked)
	}
}
