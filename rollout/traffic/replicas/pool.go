package replicas

import (
	"context"
	"fmt"
	"net/http"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"github.com/serin-go/serin/checks"
	"github.com/serin-go/serin/internal/origin"
)

// Pool is an [http.RoundTripper] over several servers. It is safe for concurrent
// use. Make one with [New], and close it when it is not needed any more.
type Pool struct {
	cfg   Config
	began time.Time
	list  atomic.Pointer[[]*replica]
	ctx   context.Context
	close context.CancelFunc

	inFlight atomic.Int64
	waiting  atomic.Int64
	room     chan struct{} // nil without a limit
	tokens   atomic.Int64  // tenths of retries that may be made

	mu sync.Mutex // held to change the list

	hooks hooks
}

// New returns a pool. The error joins what is wrong with cfg, each an
// [*checks.InvalidError].
func New(cfg Config) (*Pool, error) {
	if err := cfg.Validate(); err != nil {
		return nil, err
	}
	p := &Pool{cfg: cfg.withDefaults(), began: time.Now()}
	p.hooks.logger = cfg.Logger
	p.ctx, p.close = context.WithCancel(context.Background())
	if cfg.MaxInFlight > 0 {
		p.room = make(chan struct{}, cfg.MaxInFlight)
	}
	p.tokens.Store(maxTokens)
	var list []*replica
	for _, r := range cfg.Replicas {
		n := newReplica(r, 0)
		n.since.Store(-int64(p.cfg.SlowStart)) // they all begin together
		p.watch(n)
		list = append(list, n)
	}
	p.list.Store(&list)
	return p, nil
}

// Close ends the health checks. Requests go on.
func (p *Pool) Close() error {
	p.close()
	return nil
}

// now is the time on the pool's clock, never 0.
func (p *Pool) now() int64 { return int64(time.Since(p.began)) + 1 }

// Add adds a server. Errors are [*checks.InvalidError] values, joined.
func (p *Pool) Add(r Replica) error {
	if err := r.validate("Replica"); err != nil {
		return err
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	list := *p.list.Load()
	if slices.ContainsFunc(list, func(n *replica) bool { return origin.Of(n.url) == r.origin() && !n.leaving.Load() }) {
		return &checks.InvalidError{Package: "replicas", Field: "Replica.URL", Value: r.URL, Want: "a server that is not there already"}
	}
	n := newReplica(r, p.now())
	p.watch(n)
	list = append(slices.Clone(list), n)
	p.list.Store(&list)
	return nil
}

// Remove takes a server out of the pool: it gets no more requests, and Remove
// returns when the requests that it has have ended. Errors: the cause of the end of
// ctx, with how many requests there were then; the server stays out. An unknown one
// is out already. The case of the host, a default port and a slash at the end do not count.
func (p *Pool) Remove(ctx context.Context, url string) error {
	p.mu.Lock()
	var gone *replica
	server := Replica{URL: url}.origin()
	list := slices.Clone(*p.list.Load())
	list = slices.DeleteFunc(list, func(r *replica) bool {
		if origin.Of(r.url) != server {
			return false
		}
		gone = r
		return true
	})
	p.list.Store(&list)
	p.mu.Unlock()
	if gone == nil {
		return nil
	}
	gone.leaving.Store(true)
	gone.stop()
	tick := time.NewTicker(10 * time.Millisecond)
	defer tick.Stop()
	for gone.inFlight.Load() > 0 {
		select {
		case <-tick.C:
		case <-ctx.Done():
			return fmt.Errorf("replicas: %s still serves %d requests: %w", url, gone.inFlight.Load(), context.Cause(ctx))
		}
	}
	return nil
}

// State says how a server is.
type State string

const (
	Available State = "available"
	Sick      State = "sick"    // its health check does not pass
	Ejected   State = "ejected" // it has failed too often
)

// Stats says how one server is, and what it has done.
type Stats struct {
	URL      string
	State    State
	InFlight int
	// Served went well; Failed did not, retries and hedges included.
	Served, Failed uint64
	// FirstByte is how long the first byte of an answer takes lately.
	FirstByte time.Duration
}

// Stats returns how all servers are, in the order in which they were added.
func (p *Pool) Stats() []Stats {
	now := p.now()
	var all []Stats
	for _, r := range *p.list.Load() {
		s := Stats{
			URL: r.name, State: Available, InFlight: int(r.inFlight.Load()),
			Served: r.served.Load(), Failed: r.failed.Load(), FirstByte: time.Duration(r.latency.Load()),
		}
		switch {
		case r.sick.Load():
			s.State = Sick
		case r.until.Load() > now:
			s.State = Ejected
		}
		all = append(all, s)
	}
	return all
}

// Capacity returns a check that passes if at least the given number of servers can
// serve now: for a rollout to ask before it gives them traffic.
func (p *Pool) Capacity(least int) checks.Check {
	return checks.Func(func(context.Context) checks.Result {
		able, all := 0, 0
		evidence := make(map[string]string)
		for _, s := range p.Stats() {
			all++
			if evidence[s.URL] = string(s.State); s.State == Available {
				able++
			}
		}
		r := checks.Result{Status: checks.Pass, Summary: fmt.Sprintf("%d of %d servers can serve, %d are needed", able, all, least), Evidence: evidence}
		if able < least {
			r.Status = checks.Fail
		}
		return r
	})
}

// watch looks after the health of a server until it is removed.
func (p *Pool) watch(r *replica) {
	ctx, cancel := context.WithCancel(p.ctx)
	r.stop = cancel
	if r.health == nil {
		return
	}
	r.sick.Store(true) // until it has shown otherwise
	go func() {
		defer cancel()
		bad := 1
		for {
			asking, done := context.WithTimeout(ctx, p.cfg.HealthEvery)
			result := p.check(asking, r)
			done()
			if ctx.Err() != nil {
				return
			}
			if result.Status.Opens() && result.Err == nil {
				if bad = 0; r.sick.Load() {
					r.since.Store(p.now())
					r.sick.Store(false)
				}
			} else if bad++; bad >= 2 {
				r.sick.Store(true)
			}
			select {
			case <-ctx.Done():
				return
			case <-time.After(p.cfg.HealthEvery):
			}
		}
	}()
}

// eject leaves a server out for a while, unless it may not be its fault.
func (p *Pool) eject(r *replica, now int64) {
	for _, other := range *p.list.Load() {
		if other != r && other.available(now) && other.succeeded.Load() > r.rowBegan.Load() {
			r.eject(now, p.cfg.SlowStart)
			return
		}
	}
}

var _ http.RoundTripper = (*Pool)(nil)
