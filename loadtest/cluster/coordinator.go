package cluster

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"maps"
	"net"
	"net/http"
	"slices"
	"sync"
	"time"

	"golang.org/x/sync/errgroup"

	"github.com/serin-go/serin/checks"
	"github.com/serin-go/serin/loadtest"
)

// Coordinator runs load tests on several workers. It connects to the
// workers of its configuration, and others join it by [Coordinator.Serve] or [Coordinator.ServeHTTP]. It
// is safe for concurrent use. Concurrent runs share the capacity of the workers.
type Coordinator struct {
	cfg Config
	ctx context.Context // ends with Close
	end context.CancelFunc

	handshakes chan struct{} // has one element for each in progress

	mu        sync.Mutex
	listeners []net.Listener
	joined    map[string]*peer // by name
	runs      map[*run]struct{}
	changed   chan struct{} // closed when joined has changed
	closed    bool
}

var _ http.Handler = (*Coordinator)(nil)

// New returns a coordinator without connecting to the workers. It returns the errors
// of [Config.Validate].
func New(cfg Config) (*Coordinator, error) {
	if err := cfg.Validate(); err != nil {
		return nil, err
	}
	if cfg.Lead == 0 {
		cfg.Lead = defaultLead
	}
	if cfg.Silence == 0 {
		cfg.Silence = defaultSilence
	}
	if cfg.Client == nil {
		cfg.Client = &http.Client{Transport: &http.Transport{Proxy: http.ProxyFromEnvironment, MaxIdleConnsPerHost: 4, ResponseHeaderTimeout: 30 * time.Second}}
	}
	if cfg.Logger == nil {
		cfg.Logger = slog.New(slog.DiscardHandler)
	}
	c := &Coordinator{cfg: cfg, handshakes: make(chan struct{}, maxHandshakes), joined: make(map[string]*peer), runs: make(map[*run]struct{}), changed: make(chan struct{})}
	c.ctx, c.end = context.WithCancel(context.Background())
	return c, nil
}

// change wakes up those who wait for a change of joined. The caller holds c.mu.
func (c *Coordinator) change() {
	close(c.changed)
	c.changed = make(chan struct{})
}

// Close ends the listeners of [Coordinator.Serve] and disconnects the workers that have
// joined, whose [Worker.Join] returns nil. Runs in progress lose them. Close returns
// the errors of closing the listeners.
func (c *Coordinator) Close() error {
	c.mu.Lock()
	first := !c.closed
	c.closed = true
	listeners, peers := c.listeners, make([]*peer, 0, len(c.joined))
	for _, p := range c.joined {
		if p.ready {
			peers = append(peers, p)
		}
	}
	c.mu.Unlock()
	if !first {
		return nil
	}
	var errs []error
	for _, l := range listeners {
		errs = append(errs, l.Close())
	}
	c.end()
	var wait sync.WaitGroup
	for _, p := range peers {
		wait.Go(func() { p.goodbye() })
	}
	wait.Wait()
	return errors.Join(errs...)
}

// Run runs p on all workers and returns the merged report. It differs from
// [loadtest.Run] as follows:
//
//   - It waits until there are [Config].MinWorkers. If ctx ends before, that is an error.
//   - All [Config].Workers must be reachable at the start. An unreachable one is an error.
//   - Header, APIKey, Tokenizer, Prepare, Transport and OnResult must not be set,
//     since functions and secrets are not sent. The workers have their own.
//   - OnInterval receives the intervals of the individual workers.
//   - Without a Pacer, Users and Requests are divided among the workers. Each worker
//     begins with the first prompt.
//   - Generator.DueCV and SentCV are unknown.
func (c *Coordinator) Run(ctx context.Context, p loadtest.Plan) (*loadtest.Report, error) {
	if err := errors.Join(p.Validate(), sendable(p)); err != nil {
		return nil, err
	}
	r := newRun(ctx, c.cfg, p)
	defer r.end(nil)
	for {
		peers, err := c.await(ctx, r)
		if err != nil {
			return nil, err
		}
		members, err := c.connect(ctx, peers)
		if err == nil && len(members) >= c.least() {
			defer c.forget(r)
			return r.execute(members)
		}
		c.forget(r)
		if err != nil {
			return nil, err
		}
	}
}

// least returns the number of workers that a run needs.
func (c *Coordinator) least() int { return max(1, c.cfg.MinWorkers) }

// await waits until there are enough workers, and registers r for those that join later.
func (c *Coordinator) await(ctx context.Context, r *run) ([]*peer, error) {
	for {
		var peers []*peer
		for _, url := range c.cfg.Workers {
			peers = append(peers, &peer{name: url, url: url, client: c.cfg.Client, token: c.cfg.Token})
		}
		c.mu.Lock()
		for _, name := range slices.Sorted(maps.Keys(c.joined)) { // so that shares do not depend on chance
			if p := c.joined[name]; p.ready {
				peers = append(peers, p)
			}
		}
		changed, closed := c.changed, c.closed
		enough := len(peers) >= c.least()
		if enough {
			c.runs[r] = struct{}{}
		}
		c.mu.Unlock()
		switch {
		case enough:
			return peers, nil
		case closed:
			return nil, fmt.Errorf("cluster: the coordinator is closed; have %d workers, want %d", len(peers), c.least())
		}
		c.cfg.Logger.InfoContext(ctx, "waiting for workers", "have", len(peers), "want", c.least())
		select {
		case <-changed:
		case <-c.ctx.Done():
		case <-ctx.Done():
			return nil, fmt.Errorf("cluster: have %d workers, want %d: %w", len(peers), c.least(), context.Cause(ctx))
		}
	}
}

// forget ends the registration of r.
func (c *Coordinator) forget(r *run) {
	c.mu.Lock()
	defer c.mu.Unlock()
	delete(c.runs, r)
}

// sendable returns an error for each field of p that cannot be sent to workers.
func sendable(p loadtest.Plan) error {
	var errs []error
	for _, f := range []struct {
		field string
		set   bool
	}{
		{"Header", len(p.Header) > 0}, {"APIKey", p.APIKey != ""}, {"Tokenizer", p.Tokenizer != nil},
		{"Prepare", p.Prepare != nil}, {"Transport", p.Transport != nil}, {"OnResult", p.OnResult != nil},
	} {
		if f.set {
			errs = append(errs, &checks.InvalidError{Package: "cluster", Field: "Plan." + f.field, Value: "set", Want: "unset, since workers have their own"})
		}
	}
	if _, err := p.MarshalJSON(); err != nil {
		errs = append(errs, err)
	}
	return errors.Join(errs...)
}

// connect reads the clocks of all workers. It fails with the first of the Workers that
// does. A worker that has joined and fails is disconnected.
func (c *Coordinator) connect(ctx context.Context, peers []*peer) ([]*member, error) {
	all := make([]*member, len(peers))
	group, ctx := errgroup.WithContext(ctx)
	for i, p := range peers {
		group.Go(func() error {
			m := &member{peer: p, silence: c.cfg.Silence}
			err := m.readClock(ctx)
			switch {
			case err == nil:
				all[i] = m
			case p.gone == nil:
				return err
			case ctx.Err() == nil:
				c.cfg.Logger.WarnContext(ctx, "worker lost", "worker", p.name, "error", err)
				p.close()
			}
			return nil
		})
	}
	err := group.Wait()
	var members []*member
	for _, m := range all {
		if m != nil {
			members = append(members, m)
		}
	}
	return members, err
}
