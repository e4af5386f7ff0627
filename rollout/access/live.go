package access

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"sync/atomic"
	"time"

	"github.com/serin-go/serin/checks"
	"github.com/serin-go/serin/rollout"
)

// LiveConfig configures a [Live] policy.
type LiveConfig struct {
	// Read returns all grants, such as from a file or a database. It returns soon after ctx
	// ends.
	Read func(ctx context.Context) ([]Grant, error) `env:", noinit"`
	// Every is the time between two readings. Default 1 min.
	Every time.Duration `env:"EVERY"`
	// Changed is called when the policy could not be read, once for a series of failures,
	// and with nil when it could be read again, such as to alert people and to note it in a
	// ledger. It must not block, and must not call the Live. Nil calls nothing.
	Changed func(err error) `env:", noinit"`
}

// Live is a policy that is read again and again. A policy that cannot be read, or that is
// not valid, is not loaded: the last good one stays. Make one with [NewLive]. It is safe
// for concurrent use.
type Live struct {
	cfg     LiveConfig
	current atomic.Pointer[Policy]

	mu      sync.Mutex // held while the policy is read: a later reading wins
	failing bool
}

// NewLive reads the policy for the first time. It returns the error of Read or of
// [NewPolicy], and [*checks.InvalidError] values for the configuration.
func NewLive(ctx context.Context, c LiveConfig) (*Live, error) {
	var errs []error
	if c.Read == nil {
		errs = append(errs, &checks.InvalidError{Package: "access", Field: "LiveConfig.Read", Value: nil, Want: "a function"})
	}
	if c.Every < 0 {
		errs = append(errs, &checks.InvalidError{Package: "access", Field: "LiveConfig.Every", Value: c.Every, Want: "a positive duration, or 0 for 1 min"})
	}
	if len(errs) > 0 {
		return nil, errors.Join(errs...)
	}
	if c.Every == 0 {
		c.Every = time.Minute
	}
	l := &Live{cfg: c}
	p, err := l.read(ctx)
	if err != nil {
		return nil, err
	}
	l.current.Store(p)
	return l, nil
}

// read reads a policy. One without grants is valid, and denies everything.
func (l *Live) read(ctx context.Context) (p *Policy, err error) {
	defer func() {
		if v := recover(); v != nil {
			p, err = nil, fmt.Errorf("access: reading the policy: panic: %v", v)
		}
	}()
	grants, err := l.cfg.Read(ctx)
	if err != nil {
		return nil, fmt.Errorf("access: reading the policy: %w", err)
	}
	return NewPolicy(grants...)
}

// Run reads the policy again and again until ctx ends. It returns the error of ctx.
func (l *Live) Run(ctx context.Context) error {
	tick := time.NewTicker(l.cfg.Every)
	defer tick.Stop()
	for {
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-tick.C:
			l.Reload(ctx) // Changed has the error
		}
	}
}

// Reload reads the policy now. If that fails, the policy stays, and Reload returns the error.
func (l *Live) Reload(ctx context.Context) error {
	l.mu.Lock()
	defer l.mu.Unlock()
	limited, cancel := context.WithTimeout(ctx, l.cfg.Every)
	defer cancel()
	p, err := l.read(limited)
	if err != nil && ctx.Err() != nil {
		return err // it says nothing about the policy
	}
	if err == nil {
		l.current.Store(p)
	}
	if was := l.failing; was != (err != nil) && l.cfg.Changed != nil {
		l.report(err)
	}
	l.failing = err != nil
	return err
}

// report calls Changed, whose panics end nothing.
func (l *Live) report(err error) {
	defer func() { _ = recover() }()
	l.cfg.Changed(err)
}

// Policy returns the policy in force.
func (l *Live) Policy() *Policy { return l.current.Load() }

// Authorize is a [rollout.Authorizer] of the policy in force; see [Policy.Authorize].
func (l *Live) Authorize(ctx context.Context, by rollout.Actor, what rollout.Action, target string) error {
	return l.current.Load().Authorize(ctx, by, what, target)
}
