package main

import (
	"context"
	"iter"
	"strings"
	"sync/atomic"
	"syscall"
	"time"

	"github.com/serin-go/serin/rollout"
	"github.com/serin-go/serin/rollout/memstore"
)

// counting is a store that counts what is asked of it.
type counting struct {
	*memstore.Store
	gets, puts, lists, bytes atomic.Int64
	commits                  atomic.Int64 // puts of the document
	evidence, document       atomic.Int64 // size of the last one written
}

func newCounting() *counting { return &counting{Store: new(memstore.Store)} }

// Shared implements [rollout.Sharer].
func (c *counting) Shared() bool { return true }

// Get implements [rollout.Store].
func (c *counting) Get(ctx context.Context, key string) (rollout.Entry, error) {
	c.gets.Add(1)
	e, err := c.Store.Get(ctx, key)
	c.bytes.Add(int64(len(e.Value)))
	return e, err
}

// Put implements [rollout.Store].
func (c *counting) Put(ctx context.Context, key string, value []byte, prev rollout.Revision) (rollout.Revision, error) {
	c.puts.Add(1)
	c.bytes.Add(int64(len(value)))
	switch {
	case strings.HasPrefix(key, "evidence/"):
		c.evidence.Store(int64(len(value)))
	case strings.HasPrefix(key, "rollout/"):
		c.document.Store(int64(len(value)))
		c.commits.Add(1)
	}
	return c.Store.Put(ctx, key, value, prev)
}

// Delete implements [rollout.Store].
func (c *counting) Delete(ctx context.Context, key string, prev rollout.Revision) error {
	c.puts.Add(1)
	return c.Store.Delete(ctx, key, prev)
}

// List implements [rollout.Store].
func (c *counting) List(ctx context.Context, prefix string) iter.Seq2[rollout.Entry, error] {
	return c.counted(c.Store.List(ctx, prefix))
}

// GetIf implements [rollout.Conditional].
func (c *counting) GetIf(ctx context.Context, key string, known rollout.Revision) (rollout.Entry, error) {
	c.gets.Add(1)
	e, err := c.Store.GetIf(ctx, key, known)
	c.bytes.Add(int64(len(e.Value)))
	return e, err
}

// ListIf implements [rollout.Conditional].
func (c *counting) ListIf(ctx context.Context, prefix string, known map[string]rollout.Revision) iter.Seq2[rollout.Entry, error] {
	return c.counted(c.Store.ListIf(ctx, prefix, known))
}

// counted counts a listing and what it yields.
func (c *counting) counted(list iter.Seq2[rollout.Entry, error]) iter.Seq2[rollout.Entry, error] {
	c.lists.Add(1)
	return func(yield func(rollout.Entry, error) bool) {
		for e, err := range list {
			c.bytes.Add(int64(len(e.Key) + len(e.Revision) + len(e.Value)))
			if !yield(e, err) {
				return
			}
		}
	}
}

// rates are counts per second, and bytes.
type rates struct {
	gets, puts, lists, bytes, cpu float64
	commits, evidence, document   float64 // not per second
}

func (r rates) ops() float64 { return r.gets + r.puts + r.lists }

// during returns what is asked of the store, on average, after the pause.
func (c *counting) during(ctx context.Context, pause, length time.Duration) (rates, error) {
	if err := sleep(ctx, pause); err != nil {
		return rates{}, err
	}
	gets, puts, lists, commits, bytes, busy, began := c.gets.Load(), c.puts.Load(), c.lists.Load(), c.commits.Load(), c.bytes.Load(), cpu(), time.Now()
	if err := sleep(ctx, length); err != nil {
		return rates{}, err
	}
	s := time.Since(began).Seconds()
	return rates{
		gets: float64(c.gets.Load()-gets) / s, puts: float64(c.puts.Load()-puts) / s, lists: float64(c.lists.Load()-lists) / s,
		bytes: float64(c.bytes.Load()-bytes) / s, cpu: (cpu() - busy).Seconds() / s,
		commits: float64(c.commits.Load() - commits), evidence: float64(c.evidence.Load()), document: float64(c.document.Load()),
	}, nil
}

func sleep(ctx context.Context, d time.Duration) error {
	select {
	case <-ctx.Done():
		return context.Cause(ctx)
	case <-time.After(d):
		return nil
	}
}

// cpu returns the CPU time that this process has taken.
func cpu() time.Duration {
	var r syscall.Rusage
	if syscall.Getrusage(syscall.RUSAGE_SELF, &r) != nil {
		return 0
	}
	return time.Duration(r.Utime.Nano() + r.Stime.Nano())
}
