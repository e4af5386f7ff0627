package traffic_test

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/serin-go/serin/checks/analysis"
	"github.com/serin-go/serin/rollout/traffic"
)

// script is a transport to a server that answers as it says, without a network, so
// that it can be used where time is simulated. Each chunk comes in a read of its
// own.
type script struct {
	status int    // 0 means 200
	kind   string // the media type; "" means JSON
	header http.Header
	chunks []string
	before time.Duration   // until the header comes
	pauses []time.Duration // before each chunk; none beyond their number
	broken error           // what comes behind the last chunk, nil for the end
	hangs  bool            // behind the last chunk, until the request is cancelled
	mute   bool            // sends no header, until the request is cancelled

	asked    atomic.Int64
	left     atomic.Int64 // requests that were cancelled before the end of their answers
	leftAt   atomic.Int64 // when the last of them was, in nanoseconds since 1970
	received atomic.Pointer[http.Header]
}

func (s *script) RoundTrip(req *http.Request) (*http.Response, error) {
	s.asked.Add(1)
	h := req.Header.Clone()
	s.received.Store(&h)
	if req.Body != nil {
		_, _ = io.Copy(io.Discard, req.Body)
		_ = req.Body.Close()
	}
	ended := context.AfterFunc(req.Context(), func() {
		s.leftAt.Store(time.Now().UnixNano())
		s.left.Add(1)
	})
	if s.mute {
		return nil, s.wait(req.Context(), -1)
	}
	if err := s.wait(req.Context(), s.before); err != nil {
		return nil, err
	}
	if s.broken != nil || len(s.chunks) == 0 && !s.hangs {
		ended()
	}
	if s.broken != nil && len(s.chunks) == 0 && s.status == 0 {
		return nil, s.broken
	}
	resp := &http.Response{
		StatusCode: s.status, ProtoMajor: 1, ProtoMinor: 1, Header: make(http.Header), ContentLength: -1, Request: req,
		Body: &scriptBody{script: s, ctx: req.Context(), ended: ended},
	}
	for k, v := range s.header {
		resp.Header[k] = v
	}
	if resp.StatusCode == 0 {
		resp.StatusCode = http.StatusOK
	}
	if resp.Header.Set("Content-Type", s.kind); s.kind == "" {
		resp.Header.Set("Content-Type", "application/json")
	}
	return resp, nil
}

// wait waits for d or until ctx ends. A negative d is without end.
func (s *script) wait(ctx context.Context, d time.Duration) error {
	if d == 0 {
		return ctx.Err()
	}
	var timer <-chan time.Time
	if d > 0 {
		timer = time.After(d)
	}
	select {
	case <-timer:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}

type scriptBody struct {
	*script
	ctx   context.Context
	ended func() bool
	next  int
	rest  string
}

func (b *scriptBody) Read(p []byte) (int, error) {
	if b.rest == "" {
		if b.next == len(b.chunks) {
			switch {
			case b.hangs:
				return 0, b.wait(b.ctx, -1)
			case b.broken != nil:
				return 0, b.broken
			}
			return 0, io.EOF
		}
		if b.next < len(b.pauses) {
			if err := b.wait(b.ctx, b.pauses[b.next]); err != nil {
				return 0, err
			}
		}
		b.rest = b.chunks[b.next]
		b.next++
	}
	n := copy(p, b.rest)
	if b.rest = b.rest[n:]; b.rest == "" && b.next == len(b.chunks) && !b.hangs {
		b.ended()
	}
	return n, nil
}

func (b *scriptBody) Close() error { return nil }

// streamOf is a script that answers with a stream.
func streamOf(events ...string) *script {
	return &script{kind: "text/event-stream", chunks: events}
}

// documentOf is a script that answers with a document.
func documentOf(body string) *script { return &script{chunks: []string{body}} }

// scripted returns a router whose candidate new has all traffic, and what it
// observes.
func scripted(t testing.TB, old, new http.RoundTripper, change func(*traffic.Config)) (*traffic.Router, *diary) {
	t.Helper()
	return newRouter(t, "http://old.invalid", "http://new.invalid", func(c *traffic.Config) {
		c.Arms["old"] = traffic.Backend{URL: c.Arms["old"].URL, Transport: old}
		c.Arms["new"] = traffic.Backend{URL: c.Arms["new"].URL, Transport: new}
		if change != nil {
			change(c)
		}
	})
}

// result is what a caller got.
type result struct {
	status  int
	body    string
	version string
	header  http.Header
	err     error // that there was no response, or that it was broken off
}

// errAborted stands for a connection that a handler has broken off.
var errAborted = errors.New("the connection was broken off")

// local sends a request in each of the two shapes, without a network.
func local(r *traffic.Router) map[string]func(ctx context.Context, path, body string) result {
	return map[string]func(context.Context, string, string) result{
		"handler": func(ctx context.Context, path, body string) (res result) {
			ctx = context.WithValue(ctx, http.ServerContextKey, new(http.Server)) // or else a proxy hides that an answer broke off
			req := httptest.NewRequestWithContext(ctx, http.MethodPost, path, strings.NewReader(body))
			req.Header.Set("Content-Type", "application/json")
			w := &caught{ResponseRecorder: httptest.NewRecorder()}
			defer func() {
				if p := recover(); p == http.ErrAbortHandler {
					res.err = errAborted
				} else if p != nil {
					panic(p)
				}
				w.mu.Lock()
				defer w.mu.Unlock()
				res.status, res.body, res.header, res.version = w.Code, w.Body.String(), w.Header(), w.Header().Get(traffic.VersionHeader)
			}()
			r.ServeHTTP(w, req)
			return res
		},
		"transport": func(ctx context.Context, path, body string) result {
			req, err := http.NewRequestWithContext(ctx, http.MethodPost, "http://models"+path, strings.NewReader(body))
			if err != nil {
				return result{err: err}
			}
			req.Header.Set("Content-Type", "application/json")
			resp, err := r.RoundTripper().RoundTrip(req)
			if err != nil {
				return result{err: err}
			}
			b, err := io.ReadAll(resp.Body)
			_ = resp.Body.Close()
			return result{resp.StatusCode, string(b), resp.Header.Get(traffic.VersionHeader), resp.Header, err}
		},
	}
}

// caught records an answer that another goroutine looks at.
type caught struct {
	mu sync.Mutex
	*httptest.ResponseRecorder
}

func (c *caught) Write(p []byte) (int, error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.ResponseRecorder.Write(p)
}

func (c *caught) Flush() {}

// armStats returns the stats of an arm.
func armStats(t testing.TB, r *traffic.Router, arm string) traffic.ArmStats {
	t.Helper()
	for _, s := range r.Stats() {
		if s.Arm == arm {
			return s
		}
	}
	t.Fatalf("no arm %q", arm)
	return traffic.ArmStats{}
}

// idle waits until nothing is in flight, which may be a moment after the last caller
// has its answer.
func idle(t testing.TB, r *traffic.Router) {
	t.Helper()
	waitFor(t, func() bool {
		n := 0
		for _, s := range r.Stats() {
			n += s.InFlight
		}
		for _, g := range r.Generations() {
			n += g.InFlight
		}
		return n == 0 && r.BodyMemoryUsed() == 0
	})
}

// last returns the newest observation, of n.
func (d *diary) last(t testing.TB, n int) analysis.Observation { t.Helper(); return d.wait(t, n)[n-1] }

var errReset = fmt.Errorf("read: %w", errors.New("connection reset by peer"))

// scripts is a transport that answers each request by a script of its own.
type scripts func() *script

func (s scripts) RoundTrip(req *http.Request) (*http.Response, error) { return s().RoundTrip(req) }
