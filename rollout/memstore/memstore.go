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

var _ rollout.Store = (*Store)(nil)

// Store is a [rollout.Store] in memory. The zero value is empty and ready to
// use. It may be used concurrently and must not be copied.
type Store struct {
	mu       sync.Mutex
	entries  map[string]rollout.Entry
	revision int
	changed  chan struct{} // closed and replaced by each change; nil until somebody watches
	closed   bool
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
	s.hint()
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
	s.hint()
	return nil
}

// hint wakes those who watch. s.mu must be held.
func (s *Store) hint() {
	if s.changed != nil {
		close(s.changed)
		s.changed = nil
	}
}

// Watch implements [rollout.Store]. It hints at every change of the store.
func (s *Store) Watch(ctx context.Context, _ string) (<-chan struct{}, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if err := s.ready(ctx); err != nil {
		return nil, err
	}
	hints := make(chan struct{}, 1)
	next := s.next()
	go func() {
		for {
			select {
			case <-ctx.Done():
				return
			case <-next:
			}
			s.mu.Lock()
			next = s.next()
			s.mu.Unlock()
			select {
			case hints <- struct{}{}:
			default: // a hint is waiting already
			}
		}
	}()
	return hints, nil
}

// next returns the channel that the next change closes. s.mu must be held.
func (s *Store) next() <-chan struct{} {
	if s.changed == nil {
		s.changed = make(chan struct{})
	}
	return s.changed
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
