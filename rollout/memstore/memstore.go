// Package memstore keeps the documents of package rollout in memory: for tests
// and examples, where nothing needs to survive the process.
package memstore

import (
	"context"
	"fmt"
	"iter"
	"slices"
	"strconv"
	"strings"
	"sync"

	"github.com/serin-go/serin/rollout"
)

var (
	_ rollout.Store       = (*Store)(nil)
	_ rollout.Conditional = (*Store)(nil)
)

// Store is a [rollout.Store] in memory. The zero value is empty and ready to
// use. It may be used concurrently and must not be copied.
type Store struct {
	mu       sync.Mutex
	entries  map[string]rollout.Entry
	revision int
	watches  map[*watch]struct{}
	closed   bool
}

// watch is one that waits for hints.
type watch struct {
	prefix string
	hints  chan struct{}
}

// Get implements [rollout.Store].
func (s *Store) Get(ctx context.Context, key string) (rollout.Entry, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if err := s.ready(ctx); err != nil {
		return rollout.Entry{}, err
	}
	e, ok := s.entries[key]
	if !ok {
		return rollout.Entry{}, fmt.Errorf("memstore: %s: %w", key, rollout.ErrNotFound)
	}
	e.Value = slices.Clone(e.Value)
	return e, nil
}

// Put implements [rollout.Store].
func (s *Store) Put(ctx context.Context, key string, value []byte, prev rollout.Revision) (rollout.Revision, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if err := s.ready(ctx); err != nil {
		return "", err
	}
	if len(value) > rollout.MaxValue {
		return "", &rollout.ValueSizeError{Key: key, Size: len(value)}
	}
	if s.entries[key].Revision != prev {
		return "", fmt.Errorf("memstore: %s: %w", key, rollout.ErrConflict)
	}
	if s.entries == nil {
		s.entries = make(map[string]rollout.Entry)
	}
	s.revision++
	rev := rollout.Revision(strconv.Itoa(s.revision))
	s.entries[key] = rollout.Entry{Key: key, Value: slices.Clone(value), Revision: rev}
	s.hint(key)
	return rev, nil
}

// Delete implements [rollout.Store].
func (s *Store) Delete(ctx context.Context, key string, prev rollout.Revision) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if err := s.ready(ctx); err != nil {
		return err
	}
	if prev == "" || s.entries[key].Revision != prev {
		return fmt.Errorf("memstore: %s: %w", key, rollout.ErrConflict)
	}
	delete(s.entries, key)
	s.hint(key)
	return nil
}

// hint wakes the watches of a key. s.mu must be held.
func (s *Store) hint(key string) {
	for w := range s.watches {
		if strings.HasPrefix(key, w.prefix) {
			select {
			case w.hints <- struct{}{}:
			default: // a hint is waiting already
			}
		}
	}
}

// GetIf implements [rollout.Conditional].
func (s *Store) GetIf(ctx context.Context, key string, known rollout.Revision) (rollout.Entry, error) {
	e, err := s.Get(ctx, key)
	if err == nil && e.Revision == known {
		e.Value = nil
	}
	return e, err
}

// Watch implements [rollout.Store].
func (s *Store) Watch(ctx context.Context, prefix string) (<-chan struct{}, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if err := s.ready(ctx); err != nil {
		return nil, err
	}
	if s.watches == nil {
		s.watches = make(map[*watch]struct{})
	}
	w := &watch{prefix, make(chan struct{}, 1)}
	s.watches[w] = struct{}{}
	context.AfterFunc(ctx, func() {
		s.mu.Lock()
		defer s.mu.Unlock()
		delete(s.watches, w)
	})
	return w.hints, nil
}

// List implements [rollout.Store]. It yields the store as it was when the
// iteration began.
func (s *Store) List(ctx context.Context, prefix string) iter.Seq2[rollout.Entry, error] {
	return func(yield func(rollout.Entry, error) bool) {
		s.mu.Lock()
		err := s.ready(ctx)
		var found []rollout.Entry
		for key, e := range s.entries {
			if strings.HasPrefix(key, prefix) {
				found = append(found, e)
			}
		}
		s.mu.Unlock()
		if err != nil {
			yield(rollout.Entry{}, err)
			return
		}
		slices.SortFunc(found, func(a, b rollout.Entry) int { return strings.Compare(a.Key, b.Key) })
		for _, e := range found {
			if !yield(e, nil) {
				return
			}
		}
	}
}

// ListIf implements [rollout.Conditional].
func (s *Store) ListIf(ctx context.Context, prefix string, known map[string]rollout.Revision) iter.Seq2[rollout.Entry, error] {
	return func(yield func(rollout.Entry, error) bool) {
		for e, err := range s.List(ctx, prefix) {
			if err == nil && e.Revision == known[e.Key] {
				e.Value = nil
			}
			if !yield(e, err) {
				return
			}
		}
	}
}

// Close implements [rollout.Store].
func (s *Store) Close() error {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.closed = true
	return nil
}

// ready says whether an operation may go on. s.mu must be held.
func (s *Store) ready(ctx context.Context) error {
	if s.closed {
		return fmt.Errorf("memstore: %w", rollout.ErrClosed)
	}
	return context.Cause(ctx)
}
