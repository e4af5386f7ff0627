package cache

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"maps"
	"net/http"
	"strconv"
	"sync"
	"time"

	"github.com/serin-go/serin/checks/analysis"
	"github.com/serin-go/serin/checks/analysis/answer"
	"github.com/serin-go/serin/rollout/traffic"
)

// errNotShared says that an answer is for who asked first alone.
var errNotShared = errors.New("cache: not to be shared")

// flight is a question that is being answered, for all who ask it meanwhile. One
// goroutine reads the answer into memory, and everybody reads it there. It goes on
// while anybody reads.
type flight struct {
	cache   *Cache
	ask     answer.Ask
	cancel  context.CancelFunc
	opened  chan struct{} // closed when head or failure is there, which do not change then
	head    *http.Response
	failure error

	mu      sync.Mutex
	moved   *sync.Cond // something has changed
	alone   bool       // nobody may join any more
	body    []byte
	base    int64 // how much of the answer before body has been forgotten
	ended   bool
	err     error
	readers map[*reader]bool
}

// board returns a place among the readers of a question's answer, and whether the
// question has not been asked yet. If nobody may join any more, the reader has no
// flight that it could read.
func (c *Cache) board(k key, ask answer.Ask, ctx context.Context) (r *reader, first bool) {
	c.mu.Lock()
	defer c.mu.Unlock()
	f := c.flights[k]
	if first = f == nil; first {
		f = &flight{cache: c, ask: ask, opened: make(chan struct{}), readers: make(map[*reader]bool)}
		f.moved = sync.NewCond(&f.mu)
		c.flights[k] = f
	}
	r = &reader{flight: f, ctx: ctx}
	f.mu.Lock()
	defer f.mu.Unlock()
	if r.late = f.alone; !r.late {
		f.readers[r] = true
	}
	return r, first
}

// run asks the question and reads the answer to its end.
func (f *flight) run(t *transport, req *http.Request, k key) {
	c := f.cache
	ctx, cancel := context.WithCancel(context.WithoutCancel(req.Context()))
	defer cancel()
	f.mu.Lock()
	f.cancel = cancel
	if f.alone { // the only one who asked has gone already
		cancel()
	}
	f.mu.Unlock()
	resp, err := t.next.RoundTrip(req.WithContext(ctx))
	leave := func() {
		c.mu.Lock()
		defer c.mu.Unlock()
		if c.flights[k] == f {
			delete(c.flights, k)
		}
	}
	f.mu.Lock()
	f.head, f.failure = resp, err
	f.alone = f.alone || err != nil || resp.StatusCode != http.StatusOK || len(resp.Trailer) > 0
	shared := !f.alone
	f.mu.Unlock()
	if !shared {
		leave()
	}
	if err == nil {
		resp.Header.Del(traffic.CacheHeader) // it is ours to say
	}
	close(f.opened)
	if err != nil {
		f.end(err)
		return
	}
	defer resp.Body.Close()
	err = f.pump(resp.Body)
	if whole := f.whole(resp); shared && err == nil && whole != nil {
		c.store.Set(k, &stored{version: t.version, header: resp.Header.Clone(), body: whole})
	}
	leave() // only now: who comes next finds the answer
	f.end(err)
}

// pump reads the answer into memory, never more than may be remembered ahead of the
// slowest reader.
func (f *flight) pump(body io.Reader) error {
	buf := make([]byte, 32<<10)
	for {
		n, err := body.Read(buf)
		f.mu.Lock()
		f.body = append(f.body, buf[:n]...)
		f.moved.Broadcast()
		for int64(len(f.body)) > f.cache.cfg.MaxAnswer && len(f.readers) > 0 {
			f.alone = true
			if !f.forget() {
				f.moved.Wait()
			}
		}
		gone := len(f.readers) == 0
		f.mu.Unlock()
		switch {
		case err == io.EOF:
			return nil
		case err != nil:
			return err
		case gone:
			return context.Canceled
		}
	}
}

// forget drops what all readers have read, and reports whether that was something.
func (f *flight) forget() bool {
	least := f.base + int64(len(f.body))
	for r := range f.readers {
		least = min(least, r.at)
	}
	n := least - f.base
	f.body, f.base = append(f.body[:0], f.body[n:]...), least
	return n > 0
}

// whole returns the answer if it is one that can be given again.
func (f *flight) whole(resp *http.Response) []byte {
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.base > 0 || int64(len(f.body)) > f.cache.cfg.MaxAnswer {
		return nil
	}
	if length := resp.Header.Get("Content-Length"); length != "" && length != strconv.Itoa(len(f.body)) {
		return nil
	}
	r := answer.Get()
	defer answer.Put(r)
	r.Ask = f.ask
	r.Start(resp.StatusCode, resp.Header)
	r.Feed(f.body, 0)
	if o := r.End(time.Nanosecond, answer.Cause{}); o.Class != analysis.OK {
		return nil
	}
	return f.body
}

// end says that nothing more comes.
func (f *flight) end(err error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.ended, f.err = true, err
	f.moved.Broadcast()
}

// response returns the answer as it is being given, to the one who asked first or
// to another.
func (r *reader) response(req *http.Request, first bool) (*http.Response, error) {
	f := r.flight
	if r.late {
		return nil, errNotShared
	}
	select {
	case <-f.opened:
	case <-req.Context().Done():
		r.leave()
		return nil, context.Cause(req.Context())
	}
	switch own := f.head == nil || f.head.StatusCode != http.StatusOK || len(f.head.Trailer) > 0; {
	case own && !first:
		r.leave()
		return nil, errNotShared
	case f.head == nil:
		r.leave()
		return nil, f.failure
	}
	r.stop = context.AfterFunc(req.Context(), func() {
		f.mu.Lock()
		defer f.mu.Unlock()
		f.moved.Broadcast()
	})
	resp := *f.head
	resp.Request, resp.Body, resp.Header = req, r, maps.Clone(f.head.Header)
	resp.Header.Set(traffic.CacheHeader, "miss")
	if !first {
		resp.Header.Set(traffic.CacheHeader, "hit")
	}
	return &resp, nil
}

// reader is the body of a response: one's own place in the answer.
type reader struct {
	flight *flight
	ctx    context.Context
	stop   func() bool
	late   bool // it has come too late to read along
	at     int64
	closed bool
}

// Read implements [io.Reader].
func (r *reader) Read(p []byte) (int, error) {
	f := r.flight
	f.mu.Lock()
	defer f.mu.Unlock()
	for {
		switch rest := f.body[min(max(0, r.at-f.base), int64(len(f.body))):]; {
		case r.closed:
			return 0, http.ErrBodyReadAfterClose
		case r.ctx.Err() != nil:
			return 0, context.Cause(r.ctx)
		case len(rest) > 0:
			n := copy(p, rest)
			r.at += int64(n)
			f.moved.Broadcast()
			return n, nil
		case f.ended && f.err != nil:
			return 0, fmt.Errorf("cache: %w", f.err)
		case f.ended:
			return 0, io.EOF
		}
		f.moved.Wait()
	}
}

// Close implements [io.Closer]. When the last reader has gone the question is given
// up.
func (r *reader) Close() error {
	r.leave()
	return nil
}

func (r *reader) leave() {
	if r.stop != nil {
		r.stop()
	}
	f := r.flight
	f.mu.Lock()
	defer f.mu.Unlock()
	r.closed = true
	delete(f.readers, r)
	if len(f.readers) == 0 && !f.ended {
		f.alone = true
		if f.cancel != nil {
			f.cancel()
		}
	}
	f.moved.Broadcast()
}

// response returns an answer from memory.
func (s *stored) response(req *http.Request) *http.Response {
	h := maps.Clone(s.header)
	h.Set(traffic.CacheHeader, "hit")
	length := int64(-1)
	if h.Get("Content-Length") != "" {
		length = int64(len(s.body))
	}
	return &http.Response{
		Status: "200 OK", StatusCode: http.StatusOK, Proto: "HTTP/1.1", ProtoMajor: 1, ProtoMinor: 1,
		Header: h, Body: io.NopCloser(bytes.NewReader(s.body)), ContentLength: length, Request: req,
	}
}
