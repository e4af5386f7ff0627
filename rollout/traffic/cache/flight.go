package cache

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"strconv"
	"sync"
	"time"

	"github.com/serin-go/serin/checks/analysis"
	"github.com/serin-go/serin/checks/analysis/answer"
	"github.com/serin-go/serin/internal/attempts"
	"github.com/serin-go/serin/rollout/traffic"
)

// errNotShared means that the answer in flight is not for this request, which has
// to be sent to the server itself.
var errNotShared = errors.New("cache: response is not to be shared")

const (
	// readSize is how much is read from a server in one step.
	readSize = 8 << 10
	// window bounds how much of an answer that will not be stored is read ahead of
	// its slowest reader.
	window = 64 << 10
	// givingUp bounds how long a request that was given up waits for its transport to
	// return, which a transport that obeys its context does immediately.
	givingUp = 100 * time.Millisecond
)

// flight is a request that is being answered, for all that coalesce with it. One
// goroutine reads the answer into memory, and all readers read it there. It goes on
// while there is a reader.
type flight struct {
	cache   *Cache
	ask     answer.Ask
	cancel  context.CancelFunc
	opened  chan struct{} // closed when the fields of the next group are set
	head    *http.Response
	kept    http.Header // what other callers see of head's header; nil if they see nothing
	life    time.Duration
	age     time.Duration
	at      time.Time
	size    int64 // of kept
	failure error

	mu      sync.Mutex
	cond    *sync.Cond // something has changed
	alone   bool       // no reader may join any more, and the answer is not stored
	body    []byte
	base    int64 // how much of the answer before body has been forgotten
	held    int64 // what the flight has taken of Cache.buffered
	ended   bool
	err     error
	readers map[*reader]bool
}

// join adds a reader to the flight of a request, whose body has a size, and reports
// whether it is the first one, who has to start it. The reader has no flight if
// there is no memory for one more, and is late if no reader may join any more.
func (c *Cache) join(q question, size int, ctx context.Context) (r *reader, first bool) {
	c.mu.Lock()
	defer c.mu.Unlock()
	f := c.flights[q.key]
	if first = f == nil; first {
		held := int64(size + readSize)
		if c.buffered.Load()+held > c.budget {
			return &reader{late: true}, false
		}
		c.buffered.Add(held)
		f = &flight{cache: c, ask: q.ask, opened: make(chan struct{}), readers: make(map[*reader]bool), held: held}
		f.cond = sync.NewCond(&f.mu)
		c.flights[q.key] = f
	}
	r = &reader{flight: f, ctx: ctx}
	f.mu.Lock()
	defer f.mu.Unlock()
	if r.late = f.alone; !r.late {
		f.readers[r] = true
	}
	return r, first
}

// leave removes a flight, so that no reader joins it any more.
func (c *Cache) leave(k key, f *flight) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.flights[k] == f {
		delete(c.flights, k)
	}
}

// run sends the request and reads the answer to its end.
func (f *flight) run(t *transport, req *http.Request, k key) {
	c := f.cache
	ctx, cancel := context.WithCancel(context.WithoutCancel(req.Context()))
	defer cancel()
	f.mu.Lock()
	f.cancel = cancel
	if f.alone { // the only reader has left already
		cancel()
	}
	f.mu.Unlock()
	resp, err := t.send(req.WithContext(ctx))
	f.mu.Lock()
	f.failure, f.at = err, time.Now()
	if err == nil {
		head := *resp // reading the body may set resp.Trailer
		f.head = &head
	}
	if err == nil && resp.StatusCode == http.StatusOK && len(resp.Trailer) == 0 {
		if f.life, f.age = lifetime(resp.Header, c.cfg.TTL, f.at); f.life > 0 {
			if kept, size, ok := c.keep(resp.Header); ok {
				f.kept, f.size = kept, size
			}
		}
	}
	f.alone = f.alone || f.kept == nil
	shared := !f.alone
	f.mu.Unlock()
	if !shared {
		c.leave(k, f)
	}
	close(f.opened)
	if err != nil {
		f.end(err)
		return
	}
	err = f.pump(resp.Body)
	if whole := f.whole(); shared && err == nil && whole != nil {
		c.store.Set(k, &stored{
			version: t.version, header: f.kept, body: whole, weight: weigh(len(whole), f.size), at: f.at, age: f.age, life: f.life,
		})
	}
	c.leave(k, f) // only now: the next request finds the answer
	f.end(err)
	_, _ = c.contained(func() (int, error) { return 0, resp.Body.Close() }) // the answer has been read
}

// contained calls a method of a server's response. A panic is an error.
func (c *Cache) contained(call func() (int, error)) (n int, err error) {
	defer func() {
		if p := recover(); p != nil {
			n, err = 0, c.panicked("Transport", p)
		}
	}()
	return call()
}

// pump reads the answer into memory.
func (f *flight) pump(body io.Reader) error {
	buf := make([]byte, readSize)
	for {
		n, err := f.cache.contained(func() (int, error) { return body.Read(buf) })
		f.mu.Lock()
		f.add(buf[:n])
		f.cond.Broadcast()
		for f.alone && len(f.body) > window && len(f.readers) > 0 {
			if !f.forget() {
				f.cond.Wait()
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

// add appends to the body. If the answer gets too large to be stored, or there is no
// memory for it, the flight is alone from then on.
func (f *flight) add(p []byte) {
	if need := len(f.body) + len(p); need > cap(f.body) {
		larger := max(need, cap(f.body)+cap(f.body)/4, 1<<10)
		more := int64(larger - cap(f.body))
		if f.cache.buffered.Load()+more > f.cache.budget {
			f.alone = true
		}
		f.take(more)
		f.body = append(make([]byte, 0, larger), f.body...)
	}
	f.body = append(f.body, p...)
	f.alone = f.alone || f.base+int64(len(f.body)) > f.cache.cfg.MaxAnswer
}

// take adds to what the flight holds.
func (f *flight) take(n int64) {
	f.held += n
	f.cache.buffered.Add(n)
}

// forget drops what all readers have read, and reports whether that was something.
func (f *flight) forget() bool {
	least := f.base + int64(len(f.body))
	for r := range f.readers {
		least = min(least, r.at)
	}
	rest := f.body[least-f.base:]
	if len(rest) == len(f.body) {
		return false
	}
	if most := window + readSize; cap(f.body) > most && len(rest) <= window {
		f.take(int64(most - cap(f.body)))
		f.body = append(make([]byte, 0, most), rest...)
	} else {
		f.body = append(f.body[:0], rest...)
	}
	f.base = least
	return true
}

// whole returns the body of the answer if it is one that can be given again, or nil.
func (f *flight) whole() []byte {
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.kept == nil || f.base > 0 || int64(len(f.body)) > f.cache.cfg.MaxAnswer {
		return nil
	}
	if length := f.kept.Get("Content-Length"); length != "" && length != strconv.Itoa(len(f.body)) {
		return nil
	}
	r := answer.Get()
	defer answer.Put(r)
	r.Ask = f.ask
	r.Start(f.head.StatusCode, f.head.Header)
	r.Feed(f.body, 0)
	if o := r.End(time.Nanosecond, answer.Cause{}); o.Class != analysis.OK || o.Deferred {
		return nil
	}
	return bytes.Clone(f.body)
}

// end marks the end of the answer.
func (f *flight) end(err error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.ended, f.err = true, err
	f.free()
	f.cond.Broadcast()
}

// free gives back what the flight holds when the answer has ended and has no
// readers.
func (f *flight) free() {
	if f.ended && len(f.readers) == 0 {
		f.body = nil
		f.take(-f.held)
	}
}

// response returns the answer as it comes, to the first reader or to another one.
func (r *reader) response(req *http.Request, first bool) (*http.Response, error) {
	f := r.flight
	if r.late {
		return nil, errNotShared
	}
	select {
	case <-f.opened:
	case <-req.Context().Done():
		r.leave()
		err := context.Cause(req.Context())
		if !first {
			return nil, &attempts.UnsentError{Err: err}
		}
		select { // until it is known whether the server was asked
		case <-f.opened:
		case <-time.After(givingUp):
		}
		return nil, err
	}
	switch {
	case f.kept == nil && !first:
		r.leave()
		return nil, errNotShared
	case f.head == nil:
		r.leave()
		return nil, f.failure
	}
	r.stop = context.AfterFunc(req.Context(), func() {
		f.mu.Lock()
		defer f.mu.Unlock()
		f.cond.Broadcast()
	})
	if !first {
		return respond(req, f.kept, f.age, f.head.ContentLength, r), nil
	}
	resp := *f.head
	resp.Request, resp.Body, resp.Header = req, r, f.head.Header.Clone()
	resp.Header.Set(traffic.CacheHeader, "miss")
	return &resp, nil
}

// reader is the body of a response: a position in the answer of a flight.
type reader struct {
	flight *flight
	ctx    context.Context
	stop   func() bool
	late   bool // it cannot read the answer of the flight
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
			f.cond.Broadcast()
			return n, nil
		case f.ended && f.err != nil:
			return 0, fmt.Errorf("cache: %w", f.err)
		case f.ended:
			return 0, io.EOF
		}
		f.cond.Wait()
	}
}

// Close implements [io.Closer]. When the last reader has left, the request to the
// server is cancelled.
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
	if r.closed {
		return
	}
	r.closed = true
	delete(f.readers, r)
	if len(f.readers) == 0 && !f.ended {
		f.alone = true
		if f.cancel != nil {
			f.cancel()
		}
	}
	f.free()
	f.cond.Broadcast()
}

// respond returns a response with what other callers than the first one see of an
// answer, which was of an age when it came or is now.
func respond(req *http.Request, kept http.Header, age time.Duration, length int64, body io.ReadCloser) *http.Response {
	h := kept.Clone()
	h.Set(traffic.CacheHeader, "hit")
	h.Set("Age", strconv.FormatInt(int64(age/time.Second), 10))
	return &http.Response{
		Status: "200 OK", StatusCode: http.StatusOK, Proto: "HTTP/1.1", ProtoMajor: 1, ProtoMinor: 1,
		Header: h, Body: body, ContentLength: length, Request: req,
	}
}

// response returns an answer from memory, which is of an age now.
func (s *stored) response(req *http.Request, age time.Duration) *http.Response {
	length := int64(-1)
	if s.header.Get("Content-Length") != "" {
		length = int64(len(s.body))
	}
	return respond(req, s.header, age, length, io.NopCloser(bytes.NewReader(s.body)))
}
