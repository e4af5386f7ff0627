package replicas

import (
	"context"
	"errors"
	"io"
	"net/http"
	"strings"
	"sync"
	"time"

	"github.com/serin-go/serin/internal/attempts"
)

// The budget of retries and hedges: each request earns a fifth of one, up to a
// hundred.
const (
	perRetry  = 10
	perTry    = 2
	maxTokens = 100 * perRetry
)

// spend takes a retry out of the budget, if there is one.
func (p *Pool) spend() bool {
	if p.tokens.Add(-perRetry) >= 0 {
		return true
	}
	p.tokens.Add(perRetry)
	return false
}

// RoundTrip implements [http.RoundTripper]. It replaces scheme and host of the request
// by the scheme and host of a server.
func (p *Pool) RoundTrip(req *http.Request) (*http.Response, error) {
	if err := p.enter(req.Context()); err != nil {
		if req.Body != nil {
			err = errors.Join(err, req.Body.Close())
		}
		return nil, err
	}
	leave := sync.OnceFunc(p.leave)
	if p.tokens.Load() < maxTokens {
		p.tokens.Add(perTry)
	}
	list := *p.list.Load()
	key := ""
	if p.cfg.Policy == Affine {
		key = p.key(req)
	}
	again := repeatable(req) && !attempts.IsAtHome(req.Context())
	first := p.pick(list, key, nil, p.now())
	if first == nil {
		leave()
		if req.Body != nil {
			return nil, errors.Join(ErrNone, req.Body.Close())
		}
		return nil, ErrNone
	}
	var resp *http.Response
	var err error
	if p.cfg.Hedge > 0 && again && len(list) > 1 {
		resp, err = p.hedge(req, list, key, first)
	} else {
		sent := attempts.Track(req.Context())
		resp, err = p.try(req, req.Body, first, sent)
		if again && !p.cfg.NoRetry && req.Context().Err() == nil && unserved(resp, err) && len(list) > 1 && p.spend() {
			resp, err = p.second(req, list, key, first, sent, resp, err)
		}
	}
	if err != nil {
		leave()
		return nil, err
	}
	if b, ok := resp.Body.(*body); ok {
		b.leave = leave
	} else {
		leave() // the connection is the caller's now
	}
	return resp, nil
}

// repeatable reports whether a request may be sent to more than one server: it has no
// effect, or its maker allows it as for [http.Transport], by an Idempotency-Key
// without a value. A key with a value is one server's to remember.
func repeatable(req *http.Request) bool {
	if req.Body != nil && req.Body != http.NoBody && req.GetBody == nil {
		return false
	}
	if _, opens := req.Header["Upgrade"]; opens {
		return false // a session
	}
	switch req.Method {
	case "", http.MethodGet, http.MethodHead, http.MethodOptions:
		return true
	}
	key, ok := req.Header["Idempotency-Key"]
	return ok && len(key) == 0
}

// unserved reports whether a request was not served by a server that could not.
func unserved(resp *http.Response, err error) bool {
	return err != nil || resp.StatusCode == http.StatusBadGateway || resp.StatusCode == http.StatusServiceUnavailable
}

// second tries another server. Without another server the first answer stands.
func (p *Pool) second(req *http.Request, list []*replica, key string, first *replica, sent *attempts.Sent, resp *http.Response, err error) (*http.Response, error) {
	other := p.pick(list, key, first, p.now())
	if other == nil || other == first {
		return resp, err
	}
	body, bodyErr := replay(req)
	if bodyErr != nil {
		return resp, err
	}
	if err == nil || sent.Reached(err) {
		attempts.Count(req.Context(), false, statusOf(resp))
	}
	if resp != nil {
		_, _ = io.CopyN(io.Discard, resp.Body, 4<<10) // keeps the connection usable
		_ = resp.Body.Close()                         // it will not be read
	}
	return p.try(req, body, other, nil)
}

// statusOf returns the status of an answer, 0 without an answer.
func statusOf(resp *http.Response) int {
	if resp == nil {
		return 0
	}
	return resp.StatusCode
}

func replay(req *http.Request) (io.ReadCloser, error) {
	if req.GetBody == nil {
		return req.Body, nil
	}
	return req.GetBody()
}

// hedge asks another server as well if the first one takes long.
func (p *Pool) hedge(req *http.Request, list []*replica, key string, first *replica) (*http.Response, error) {
	type outcome struct {
		number int
		resp   *http.Response
		err    error
		sent   *attempts.Sent
	}
	results := make(chan outcome, 2)
	cancels := make([]context.CancelFunc, 0, 2)
	all := make([]*attempts.Sent, 0, 2)
	ask := func(r *replica, content io.ReadCloser) {
		ctx, cancel := context.WithCancel(req.Context())
		number := len(cancels)
		sent := attempts.Track(ctx)
		cancels, all = append(cancels, cancel), append(all, sent)
		go func() {
			resp, err := p.try(req.WithContext(ctx), content, r, sent)
			if err != nil {
				cancel()
			} else if b, ok := resp.Body.(*body); ok {
				b.cancel = cancel // it lives as long as the answer
			}
			results <- outcome{number, resp, err, sent}
		}()
	}
	ask(first, req.Body)
	timer := time.NewTimer(p.cfg.Hedge)
	defer timer.Stop()
	pending, hedged, late := 1, false, false
	another := func() {
		if hedged || !p.spend() {
			return
		}
		hedged = true
		if other := p.pick(list, key, first, p.now()); other != nil && other != first {
			if content, err := replay(req); err == nil {
				pending++
				ask(other, content)
			}
		}
	}
	var last outcome
	for {
		select {
		case <-timer.C:
			late = true
			another()
		case last = <-results:
			pending--
			if unserved(last.resp, last.err) && req.Context().Err() == nil {
				if !p.cfg.NoRetry {
					another()
				}
				if pending > 0 {
					if last.err == nil || last.sent.Reached(last.err) {
						attempts.Count(req.Context(), late, statusOf(last.resp))
					}
					if last.resp != nil {
						_ = last.resp.Body.Close()
					}
					continue
				}
			}
			if pending > 0 { // the other one is given up, when it shows itself
				counted := all[1-last.number].Reached(nil)
				if counted {
					attempts.Count(req.Context(), true, 0)
				}
				go func() {
					defer p.hooks.contain("Transport")
					o := <-results
					if !counted && (o.err == nil || o.sent.Reached(o.err)) { // it has found a connection since
						attempts.Count(req.Context(), true, statusOf(o.resp))
					}
					if o.resp != nil {
						_ = o.resp.Body.Close()
					}
				}()
				for i, cancel := range cancels {
					if i != last.number {
						cancel()
					}
				}
			}
			return last.resp, last.err
		}
	}
}

// try sends the request to one server, and lets sent see it.
func (p *Pool) try(req *http.Request, content io.ReadCloser, r *replica, sent *attempts.Sent) (*http.Response, error) {
	out := req.WithContext(sent.In(req.Context()))
	u := *req.URL
	u.Scheme, u.Host = r.url.Scheme, r.url.Host
	out.URL, out.Host, out.Body = &u, "", content
	r.inFlight.Add(1)
	p.inFlight.Add(1)
	began := p.now()
	resp, err := p.send(out)
	if err != nil {
		p.ended(r, req.Context().Err() == nil)
		return nil, err
	}
	if resp.StatusCode == http.StatusSwitchingProtocols {
		p.ended(r, false)
		r.succeed(p.now())
		return resp, nil
	}
	for name := range resp.Header {
		if strings.HasPrefix(name, "Serin-") {
			delete(resp.Header, name) // which servers do not set
		}
	}
	resp.Body = &body{ReadCloser: resp.Body, pool: p, replica: r, sent: began, ctx: req.Context(), bad: resp.StatusCode >= 500}
	return resp, nil
}

// ended notes that an attempt has, and how.
func (p *Pool) ended(r *replica, failed bool) {
	r.inFlight.Add(-1)
	p.inFlight.Add(-1)
	if now := p.now(); failed && r.fail(now, p.cfg.EjectAfter) {
		p.eject(r, now)
	}
}

// body is the body of an answer. The request is in flight until it has been read or
// closed.
type body struct {
	io.ReadCloser
	pool    *Pool
	replica *replica
	ctx     context.Context
	sent    int64
	bad     bool // the status says so
	leave   func()
	cancel  context.CancelFunc // nil unless there was a hedge

	mu    sync.Mutex
	began bool
	done  bool
}

// Read implements [io.Reader].
func (b *body) Read(p []byte) (int, error) {
	n, err := b.ReadCloser.Read(p)
	b.mu.Lock()
	defer b.mu.Unlock()
	if n > 0 && !b.began {
		b.began = true
		now := b.pool.now()
		b.replica.first(time.Duration(now-b.sent), b.replica.succeeded.Load(), now)
	}
	switch {
	case err == io.EOF:
		b.end(b.bad)
	case err != nil:
		b.end(b.ctx.Err() == nil)
	}
	return n, err
}

// Close implements [io.Closer]. Closing early does not count as a failure.
func (b *body) Close() error {
	defer func() { // even if the transport's own body panics
		b.mu.Lock()
		defer b.mu.Unlock()
		b.end(b.bad)
	}()
	return b.ReadCloser.Close()
}

// end ends the request, once.
func (b *body) end(failed bool) {
	if b.done {
		return
	}
	b.done = true
	b.pool.ended(b.replica, failed)
	if !failed {
		b.replica.succeed(b.pool.now())
	}
	if b.cancel != nil {
		b.cancel()
	}
	if b.leave != nil {
		b.leave()
	}
}

// enter waits for room.
func (p *Pool) enter(ctx context.Context) error {
	if p.room == nil {
		return nil
	}
	select {
	case p.room <- struct{}{}:
		return nil
	default:
	}
	if n := p.waiting.Add(1); n > int64(p.cfg.MaxQueue) {
		p.waiting.Add(-1)
		return &FullError{InFlight: len(p.room), Queue: int(n - 1)}
	}
	defer p.waiting.Add(-1)
	select {
	case p.room <- struct{}{}:
		return nil
	case <-ctx.Done():
		return &attempts.UnsentError{Err: context.Cause(ctx)}
	}
}

func (p *Pool) leave() {
	if p.room != nil {
		<-p.room
	}
}
