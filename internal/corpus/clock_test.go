package corpus_test

import (
	"bytes"
	"context"
	"io"
	"net/http"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/serin-go/serin/checks/analysis"
	"github.com/serin-go/serin/checks/analysis/answer"
	"github.com/serin-go/serin/internal/corpus"
	"github.com/serin-go/serin/rollout/traffic"
)

// paced serves a row with 10 ms before each chunk, and calls reached at
// the event that the row is about.
type paced struct {
	row     corpus.Row
	reached func()
}

func (p paced) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	row := p.row
	event := func(i int) bool {
		if row.After.Chunk != i {
			return false
		}
		p.reached()
		<-r.Context().Done()
		return true
	}
	w.Header()["Content-Type"] = nil
	for name, values := range row.HTTPHeader() {
		w.Header()[name] = values
	}
	if event(-1) {
		return
	}
	w.WriteHeader(row.Status)
	for i, chunk := range row.Chunks {
		time.Sleep(10 * time.Millisecond)
		_, _ = w.Write(chunk)
		_ = http.NewResponseController(w).Flush()
		if event(i) {
			return
		}
	}
}

// memory is a transport to a handler, without a network.
type memory struct{ handler http.Handler }

type memoryWriter struct {
	header http.Header
	status int
	ready  chan struct{}
	once   sync.Once
	body   *io.PipeWriter
}

func (w *memoryWriter) Header() http.Header { return w.header }
func (w *memoryWriter) Flush()              { w.WriteHeader(http.StatusOK) }
func (w *memoryWriter) WriteHeader(status int) {
	w.once.Do(func() { w.status = status; close(w.ready) })
}
func (w *memoryWriter) Write(p []byte) (int, error) {
	w.WriteHeader(http.StatusOK)
	return w.body.Write(p)
}

func (m memory) RoundTrip(req *http.Request) (*http.Response, error) {
	r, pipe := io.Pipe()
	w := &memoryWriter{header: make(http.Header), ready: make(chan struct{}), body: pipe}
	context.AfterFunc(req.Context(), func() { _ = r.CloseWithError(context.Cause(req.Context())) })
	go func() {
		m.handler.ServeHTTP(w, req)
		w.WriteHeader(http.StatusOK)
		_ = pipe.Close()
	}()
	select {
	case <-w.ready:
		return &http.Response{StatusCode: w.status, Header: w.header, Body: r, ContentLength: -1, Request: req}, nil
	case <-req.Context().Done():
		return nil, context.Cause(req.Context())
	}
}

// TestClock sends the answers that stall, and those whose caller leaves, through
// the router in both shapes, in virtual time.
func TestClock(t *testing.T) {
	total := 0
	for _, row := range corpus.Rows() {
		path, _, _ := strings.Cut(row.Route, "?")
		if row.After == nil || row.After.What == corpus.Cut || !answer.RouteOf(row.Method, path).Measured() {
			continue
		}
		total++
		for _, shape := range []string{"handler", "transport"} {
			synctest.Test(t, func(t *testing.T) {
				var seen []analysis.Observation
				ctx, leave := context.WithCancel(t.Context())
				defer leave()
				model := paced{row, func() {
					if row.After.What != corpus.Gone {
						return
					}
					patience := time.Millisecond // with an answer that flows
					if slices.Contains(row.Class, "abandoned") {
						patience = 30 * time.Second
					}
					time.AfterFunc(patience, leave)
				}}
				r, err := traffic.New(traffic.Config{
					Arms:    map[string]traffic.Backend{"1.4.0": {URL: "http://model", Transport: memory{model}, Handler: model}},
					Observe: func(o analysis.Observation) { seen = append(seen, o) },
				})
				if err != nil {
					t.Fatal(err)
				}
				req, _ := http.NewRequestWithContext(ctx, row.Method, "http://gateway"+row.Route, bytes.NewReader(row.Request()))
				req.Header.Set("Content-Type", "application/json")
				if shape == "handler" {
					func() {
						defer func() { _ = recover() }() // a server would cut the connection
						r.ServeHTTP(&caller{header: make(http.Header)}, req)
					}()
				} else if resp, err := r.RoundTripper().RoundTrip(req); err == nil {
					_, _ = io.Copy(io.Discard, resp.Body)
					_ = resp.Body.Close()
				}
				synctest.Wait()
				if len(seen) != 1 || !slices.Contains(row.Class, seen[0].Class.String()) {
					t.Errorf("%s, %s: %+v, want %v", shape, row.Name, seen, row.Class)
				}
			})
		}
	}
	t.Logf("%d answers in two shapes", total)
}
