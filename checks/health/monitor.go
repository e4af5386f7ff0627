package health

import (
	"cmp"
	"context"
	"fmt"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"github.com/serin-go/serin/checks"
)

// Monitor checks components in the background and serves what it knows about them. Make
// one with [New] and start it with [Monitor.Run]. It is safe for concurrent use.
type Monitor struct {
	cfg   Config
	epoch time.Time // times are held as durations since then, by the monotonic clock
	wake  chan struct{}

	mu         sync.Mutex
	running    bool
	components []*component
	started    bool // startup has passed
	draining   bool
	wholes     [3]whole // live, ready, startup
	reviewAt   time.Duration
	renderAt   time.Duration
	report     Report
	news       chan struct{} // closed when a status has changed
	settled    chan struct{} // closed when a component's status has changed

	// What handlers read.
	page  atomic.Pointer[page]
	valid atomic.Int64 // until when the page may be served, as a duration since epoch
	stale stalePage    // served afterwards

	requests requests
}

// forever is later than every time.
const forever = time.Duration(1<<63 - 1)

// New returns a Monitor whose components are Unknown until [Monitor.Run] checks them. Its
// error holds everything that is wrong with c, as [Config.Validate] returns it.
func New(c Config) (*Monitor, error) {
	if err := c.Validate(); err != nil {
		return nil, err
	}
	m := &Monitor{
		cfg: c.withDefaults(), epoch: time.Now(), wake: make(chan struct{}, 1),
		reviewAt: forever, renderAt: forever,
		news: make(chan struct{}), settled: make(chan struct{}),
	}
	for i := range m.cfg.Components {
		m.components = append(m.components, &component{
			Component: m.cfg.Components[i],
			stale:     cmp.Or(c.Stale, 3*m.cfg.Components[i].Every+m.cfg.Components[i].Timeout),
		})
	}
	m.requests.init()
	m.stale = m.renderStale()
	m.mu.Lock()
	defer m.mu.Unlock()
	rest := func() { // Dwell counts neither what holds without results, nor the first result
		for i := range m.wholes {
			m.wholes[i].at = -m.cfg.Dwell
		}
	}
	rest()
	m.evaluate(true)
	m.render()
	rest()
	return m, nil
}

// now returns the time since the monitor was made.
func (m *Monitor) now() time.Duration { return time.Since(m.epoch) }

// Run checks the components until ctx ends, and then returns nil. It checks all of them
// immediately, and afterwards at evenly distributed times. It returns an error if the
// monitor already runs.
//
// A check that ignores its context is abandoned when Run returns.
func (m *Monitor) Run(ctx context.Context) error {
	m.mu.Lock()
	if m.running {
		m.mu.Unlock()
		return fmt.Errorf("health: monitor: Run was called while it runs")
	}
	m.running = true
	m.mu.Unlock()
	var all sync.WaitGroup
	for i, c := range m.components {
		all.Go(func() { m.follow(ctx, c, c.Every*time.Duration(i+1)/time.Duration(len(m.components))) })
	}
	all.Go(func() { m.review(ctx) })
	all.Wait()
	m.mu.Lock()
	defer m.mu.Unlock()
	m.running = false
	return nil
}

// follow checks c until ctx ends: now, after the first delay, and then after each Every.
func (m *Monitor) follow(ctx context.Context, c *component, first time.Duration) {
	ticker := time.NewTicker(max(1, first))
	defer ticker.Stop()
	for m.unblocked(ctx, c) && m.look(ctx, c, ticker.C) {
		select {
		case <-ticker.C:
			ticker.Reset(c.Every)
		case <-ctx.Done():
			return
		}
	}
}

// unblocked waits until everything that c needs is good. It returns false if ctx ends.
func (m *Monitor) unblocked(ctx context.Context, c *component) bool {
	for len(c.Needs) > 0 {
		m.mu.Lock()
		by := m.blockedBy(c)
		if by != c.blockedBy {
			c.block(by)
			m.evaluate(true)
		}
		settled := m.settled
		m.mu.Unlock()
		if by == "" {
			break
		}
		select {
		case <-settled:
		case <-ctx.Done():
		}
		if ctx.Err() != nil {
			return false
		}
	}
	return ctx.Err() == nil
}

// blockedBy returns the first component that c needs and that is not good, or "". The
// caller holds mu.
func (m *Monitor) blockedBy(c *component) string {
	for _, need := range c.Needs {
		i := slices.IndexFunc(m.components, func(o *component) bool { return o.Name == need })
		if status, _ := m.components[i].now(m.now()); !status.Opens() {
			return need
		}
	}
	return ""
}

// look calls the check of c once. A check that does not return in time counts as failed
// then and at each tick, until it returns: it is never called twice at the same time.
// look returns false if ctx ends.
func (m *Monitor) look(ctx context.Context, c *component, ticks <-chan time.Time) bool {
	began := m.now()
	limited, cancel := context.WithTimeout(ctx, c.Timeout)
	defer cancel()
	done := make(chan checks.Result, 1)
	go func() {
		// Run contains panics and exits. Its own context never ends, so that it returns
		// when the check returns.
		check := checks.Func(func(context.Context) checks.Result { return c.Check.Check(limited) })
		done <- checks.Run(context.Background(), map[string]checks.Check{c.Name: check}).Results[0].Result
	}()
	select {
	case result := <-done:
		if ctx.Err() == nil {
			m.settle(c, began, result, false)
		}
		return ctx.Err() == nil
	case <-limited.Done():
	}
	tooLate := checks.Result{Status: checks.Fail, Summary: fmt.Sprintf("no result within %v", c.Timeout)}
	// Most checks return when their context ends. Those are late, and do not hang.
	grace := time.NewTimer(c.Timeout / 10)
	defer grace.Stop()
	select {
	case result := <-done:
		if result.Status == checks.Unknown {
			result = tooLate
		}
		if ctx.Err() == nil {
			m.settle(c, began, result, false)
		}
		return ctx.Err() == nil
	case <-grace.C:
	case <-ctx.Done():
	}
	for ctx.Err() == nil {
		m.settle(c, began, tooLate, true)
		select {
		case <-done:
			m.returned(c)
			return ctx.Err() == nil
		case <-ticks:
		case <-ctx.Done():
		}
	}
	return false
}

// settle takes the result of a check that began at a time, and publishes what changes.
func (m *Monitor) settle(c *component, began time.Duration, result checks.Result, hung bool) {
	m.mu.Lock()
	defer m.mu.Unlock()
	now := m.now()
	status, why := c.now(now)
	if c.hung = hung; hung {
		c.hungSince = began
	}
	c.take(result, began, now, m.cfg.FailAfter, m.cfg.PassAfter)
	status2, why2 := c.now(now)
	m.evaluate(status2 != status || why2 != why)
}

// returned notes that a check that was abandoned has returned. Its result is too old.
func (m *Monitor) returned(c *component) {
	m.mu.Lock()
	defer m.mu.Unlock()
	c.hung = false
	m.evaluate(true)
}

// review publishes what changes by the passing of time: results that become too old,
// statuses that were held back by Dwell, and details that are not rendered yet.
func (m *Monitor) review(ctx context.Context) {
	timer := time.NewTimer(0)
	defer timer.Stop()
	for {
		select {
		case <-timer.C:
		case <-m.wake:
		case <-ctx.Done():
			return
		}
		m.mu.Lock()
		now := m.now()
		if now >= m.reviewAt || now >= time.Duration(m.valid.Load()) {
			m.evaluate(true)
		}
		if now >= m.renderAt {
			m.render()
		}
		timer.Reset(min(m.reviewAt, m.renderAt, time.Duration(m.valid.Load())) - now)
		m.mu.Unlock()
	}
}
