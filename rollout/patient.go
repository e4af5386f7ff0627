package rollout

import (
	"context"
	"errors"
	"fmt"
	"iter"
	"sync/atomic"
	"time"
)

const (
	// storeTimeout bounds one operation of the store, listTimeout a listing, which may
	// be long.
	storeTimeout = 5 * time.Second
	listTimeout  = time.Minute
	// storeGrace is how long an operation may go on after its context has ended.
	storeGrace = storeTimeout / 10
	// maxStuck is how many operations may be under way that were given up.
	maxStuck = 16
)

var errStoreHangs = errors.New("rollout: the store does not answer")

// patient is a store whose operations end in time, also if the store underneath
// ignores its contexts. An operation that was given up may still be applied: its
// outcome is unknown, as after any error that is not a conflict.
type patient struct {
	Store
	stuck atomic.Int32
}

// within calls f, and gives it up after the limit or with ctx.
func within[T any](ctx context.Context, p *patient, limit time.Duration, f func(context.Context) (T, error)) (T, error) {
	type answer struct {
		value T
		err   error
	}
	switch n := p.stuck.Load(); {
	case n >= maxStuck:
		return *new(T), errStoreHangs
	case n > 0: // others wait already to see whether it comes back
		limit = storeTimeout / 5
	}
	ctx, cancel := context.WithTimeoutCause(ctx, limit, errStoreHangs)
	defer cancel()
	answers := make(chan answer, 1)
	var given atomic.Bool // up, or the answer
	go func() {
		a := answer{err: errors.New("rollout: the store panicked")}
		defer func() {
			if r := recover(); r != nil {
				a.err = fmt.Errorf("rollout: the store panicked: %v", r)
			}
			if given.Swap(true) {
				p.stuck.Add(-1)
			}
			answers <- a
		}()
		a.value, a.err = f(ctx)
	}()
	select {
	case a := <-answers:
		return a.value, a.err
	case <-ctx.Done():
	}
	if p.stuck.Load() == 0 { // it is about to answer, unless it heeds no context
		timer := time.NewTimer(storeGrace)
		defer timer.Stop()
		select {
		case a := <-answers:
			return a.value, a.err
		case <-timer.C:
		}
	}
	p.stuck.Add(1)
	if given.Swap(true) { // just now
		p.stuck.Add(-1)
		a := <-answers
		return a.value, a.err
	}
	return *new(T), context.Cause(ctx)
}

// Get implements [Store].
func (p *patient) Get(ctx context.Context, key string) (Entry, error) {
	return within(ctx, p, storeTimeout, func(ctx context.Context) (Entry, error) { return p.Store.Get(ctx, key) })
}

// Put implements [Store].
func (p *patient) Put(ctx context.Context, key string, value []byte, prev Revision) (Revision, error) {
	return within(ctx, p, storeTimeout, func(ctx context.Context) (Revision, error) { return p.Store.Put(ctx, key, value, prev) })
}

// Delete implements [Store].
func (p *patient) Delete(ctx context.Context, key string, prev Revision) error {
	_, err := within(ctx, p, storeTimeout, func(ctx context.Context) (struct{}, error) { return struct{}{}, p.Store.Delete(ctx, key, prev) })
	return err
}

// GetIf implements [Conditional], also if the store does not.
func (p *patient) GetIf(ctx context.Context, key string, known Revision) (Entry, error) {
	c, ok := p.Store.(Conditional)
	if !ok || known == "" {
		return p.Get(ctx, key)
	}
	return within(ctx, p, storeTimeout, func(ctx context.Context) (Entry, error) { return c.GetIf(ctx, key, known) })
}

// List implements [Store]. The entries are gathered before the first is given out.
func (p *patient) List(ctx context.Context, prefix string) iter.Seq2[Entry, error] {
	return p.list(ctx, func(ctx context.Context) iter.Seq2[Entry, error] { return p.Store.List(ctx, prefix) })
}

// ListIf implements [Conditional], also if the store does not.
func (p *patient) ListIf(ctx context.Context, prefix string, known map[string]Revision) iter.Seq2[Entry, error] {
	c, ok := p.Store.(Conditional)
	if !ok {
		return p.List(ctx, prefix)
	}
	return p.list(ctx, func(ctx context.Context) iter.Seq2[Entry, error] { return c.ListIf(ctx, prefix, known) })
}

// list gathers what a listing yields, and yields it.
func (p *patient) list(ctx context.Context, listing func(context.Context) iter.Seq2[Entry, error]) iter.Seq2[Entry, error] {
	type list struct {
		entries []Entry
		err     error
	}
	return func(yield func(Entry, error) bool) {
		all, err := within(ctx, p, listTimeout, func(ctx context.Context) (l list, _ error) {
			for e, err := range listing(ctx) {
				if err != nil {
					l.err = err
					break
				}
				l.entries = append(l.entries, e)
			}
			return l, nil
		})
		for _, e := range all.entries {
			if !yield(e, nil) {
				return
			}
		}
		if err == nil {
			err = all.err
		}
		if err != nil {
			yield(Entry{}, err)
		}
	}
}

// Watch implements [Store].
func (p *patient) Watch(ctx context.Context, prefix string) (<-chan struct{}, error) {
	return within(ctx, p, storeTimeout, func(context.Context) (<-chan struct{}, error) { return p.Store.Watch(ctx, prefix) })
}
