package sealedstore

import (
	"bytes"
	"cmp"
	"context"
	"crypto/rand"
	"encoding/hex"
	"errors"
	"fmt"
	"iter"
	"strings"
	"sync"

	"github.com/serin-go/serin/checks"
	"github.com/serin-go/serin/rollout"
	"github.com/serin-go/serin/rollout/privacy"
)

// Config configures a [Store]. Store and Keys are required.
type Config struct {
	// Store keeps the sealed values. Close closes it.
	Store rollout.Store
	// Keys wraps data keys.
	Keys privacy.KeyStore
	// Plain lets values be read that are not sealed, while a store is migrated.
	Plain bool
}

// ErrPlain means that a value in the store is not sealed, and [Config].Plain is not set; see
// [Store.Reseal].
var ErrPlain = errors.New("sealedstore: the value is not sealed")

// Store is a [rollout.Store] whose values are sealed. Make one with [New]. It is safe for
// concurrent use, and several processes may use one store, if the inner one allows it.
type Store struct {
	inner rollout.Store
	keys  privacy.KeyStore
	plain bool

	mu     sync.Mutex
	own    map[string]*dataKey // by target, to seal
	opened map[string]*dataKey // by wrapped form and target, to open
	rests  map[string]string   // the key of the rest of a large value, by the key of the value
}

var (
	_ rollout.Store       = (*Store)(nil)
	_ rollout.Conditional = (*Store)(nil)
	_ rollout.Sharer      = (*Store)(nil)
)

// New returns a store. It seals and opens a value to see that the keys work. Invalid fields
// are errors that join a [*checks.InvalidError] for each.
func New(ctx context.Context, c Config) (*Store, error) {
	var errs []error
	if c.Store == nil {
		errs = append(errs, &checks.InvalidError{Package: "sealedstore", Field: "Config.Store", Want: "a store"})
	}
	if c.Keys == nil {
		errs = append(errs, &checks.InvalidError{Package: "sealedstore", Field: "Config.Keys", Want: "keys"})
	}
	if err := errors.Join(errs...); err != nil {
		return nil, err
	}
	s := &Store{inner: c.Store, keys: c.Keys, plain: c.Plain, own: make(map[string]*dataKey), opened: make(map[string]*dataKey), rests: make(map[string]string)}
	return s, s.probe(ctx)
}

// probe seals and opens a value.
func (s *Store) probe(ctx context.Context) error {
	const key = "probe"
	sealed, err := s.seal(ctx, key, []byte(key))
	if err != nil {
		return err
	}
	if plain, err := s.open(ctx, key, sealed); err != nil || string(plain) != key {
		return fmt.Errorf("sealedstore: a value does not open after it was sealed: %w", cmp.Or(err, privacy.ErrSealed))
	}
	return nil
}

// restPrefix begins the keys of the rests of values that are too large for the inner store
// once they are sealed.
const restPrefix = "sealed/"

// headSize is how much of a large value is under its own key, in bytes.
const headSize = rollout.MaxValue - 4<<10

// Get implements [rollout.Store]. A value that was altered or moved is an error that wraps
// [rollout.ErrDamaged] and [privacy.ErrSealed]. If its key is missing, the error wraps
// [privacy.ErrNoKey], and the value is not damaged.
func (s *Store) Get(ctx context.Context, key string) (rollout.Entry, error) {
	e, err := s.inner.Get(ctx, key)
	if err != nil {
		return e, err
	}
	return s.entry(ctx, e)
}

// entry opens an entry of the inner store.
func (s *Store) entry(ctx context.Context, e rollout.Entry) (rollout.Entry, error) {
	const tries = 5 // a rest may be replaced between reading the value and reading the rest
	for try := 1; ; try++ {
		plain, err := s.whole(ctx, e)
		if err == nil {
			e.Value = plain
			return e, nil
		}
		if !errors.Is(err, errRest) || try == tries {
			e.Value = nil
			return e, fmt.Errorf("sealedstore: %s: %w", e.Key, err)
		}
		if e, err = s.inner.Get(ctx, e.Key); err != nil {
			return e, err
		}
	}
}

// errRest means that the rest of a value is not there.
var errRest = fmt.Errorf("%w: a part of the value is missing", rollout.ErrDamaged)

// whole joins a value with its rest, and opens it.
func (s *Store) whole(ctx context.Context, e rollout.Entry) ([]byte, error) {
	sealed := e.Value
	rest, head, has := cutRest(sealed)
	s.remember(e.Key, rest)
	if has {
		r, err := s.inner.Get(ctx, rest)
		if errors.Is(err, rollout.ErrNotFound) {
			return nil, errRest
		}
		if err != nil {
			return nil, err
		}
		sealed = append(bytes.Clone(head), r.Value...)
	}
	return s.open(ctx, e.Key, sealed)
}

// remember notes the rest of a value, so that it can be deleted with the value.
func (s *Store) remember(key, rest string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if rest == "" {
		delete(s.rests, key)
	} else {
		s.rests[key] = rest
	}
}

// Put implements [rollout.Store].
func (s *Store) Put(ctx context.Context, key string, value []byte, prev rollout.Revision) (rollout.Revision, error) {
	if len(value) > rollout.MaxValue {
		return "", &rollout.ValueSizeError{Key: key, Size: len(value)}
	}
	sealed, err := s.seal(ctx, key, value)
	if err != nil {
		return "", err
	}
	rest := ""
	var restRevision rollout.Revision
	if len(sealed) > rollout.MaxValue {
		id := make([]byte, 16)
		_, _ = rand.Read(id)
		rest = restPrefix + hex.EncodeToString(id)
		if restRevision, err = s.inner.Put(ctx, rest, sealed[headSize:], ""); err != nil {
			return "", withoutConflict(err)
		}
		sealed = append(append([]byte{withRest}, id...), sealed[:headSize]...)
	}
	revision, err := s.inner.Put(ctx, key, sealed, prev)
	switch {
	case errors.Is(err, rollout.ErrConflict) && rest != "": // it was not applied
		_ = s.inner.Delete(ctx, rest, restRevision)
		return revision, err
	case err != nil:
		return revision, err
	}
	s.mu.Lock()
	old := s.rests[key]
	s.mu.Unlock()
	s.remember(key, rest)
	s.drop(ctx, old)
	return revision, nil
}

// withoutConflict returns err in a way that does not say that a value has changed.
func withoutConflict(err error) error {
	if errors.Is(err, rollout.ErrConflict) {
		return fmt.Errorf("sealedstore: rest of the value: %s", err)
	}
	return err
}

// drop deletes the rest of a value that was replaced. If that fails it stays, and is sealed.
func (s *Store) drop(ctx context.Context, rest string) {
	if rest == "" {
		return
	}
	if e, err := s.inner.Get(ctx, rest); err == nil {
		_ = s.inner.Delete(ctx, rest, e.Revision)
	}
}

// Delete implements [rollout.Store].
func (s *Store) Delete(ctx context.Context, key string, prev rollout.Revision) error {
	if err := s.inner.Delete(ctx, key, prev); err != nil {
		return err
	}
	s.mu.Lock()
	old := s.rests[key]
	s.mu.Unlock()
	s.remember(key, "")
	s.drop(ctx, old)
	return nil
}

// Watch implements [rollout.Store].
func (s *Store) Watch(ctx context.Context, prefix string) (<-chan struct{}, error) {
	return s.inner.Watch(ctx, prefix)
}

// List implements [rollout.Store].
func (s *Store) List(ctx context.Context, prefix string) iter.Seq2[rollout.Entry, error] {
	return s.list(ctx, s.inner.List(ctx, prefix), nil)
}

// GetIf implements [rollout.Conditional].
func (s *Store) GetIf(ctx context.Context, key string, known rollout.Revision) (rollout.Entry, error) {
	c, ok := s.inner.(rollout.Conditional)
	if !ok {
		e, err := s.Get(ctx, key)
		if err == nil && e.Revision == known {
			e.Value = nil
		}
		return e, err
	}
	e, err := c.GetIf(ctx, key, known)
	if err != nil || e.Revision == known {
		return e, err
	}
	return s.entry(ctx, e)
}

// ListIf implements [rollout.Conditional].
func (s *Store) ListIf(ctx context.Context, prefix string, known map[string]rollout.Revision) iter.Seq2[rollout.Entry, error] {
	if c, ok := s.inner.(rollout.Conditional); ok {
		return s.list(ctx, c.ListIf(ctx, prefix, known), known)
	}
	return s.list(ctx, s.inner.List(ctx, prefix), known)
}

// list opens the entries of the inner store, but those that are known.
func (s *Store) list(ctx context.Context, entries iter.Seq2[rollout.Entry, error], known map[string]rollout.Revision) iter.Seq2[rollout.Entry, error] {
	return func(yield func(rollout.Entry, error) bool) {
		for e, err := range entries {
			if strings.HasPrefix(e.Key, restPrefix) {
				continue
			}
			if revision, ok := known[e.Key]; err == nil && ok && e.Revision == revision {
				e.Value = nil
			} else if err == nil {
				e, err = s.entry(ctx, e)
				if errors.Is(err, rollout.ErrNotFound) {
					continue // deleted meanwhile
				}
			}
			if !yield(e, err) || err != nil {
				return
			}
		}
	}
}

// Close implements [rollout.Store]. It closes the inner store.
func (s *Store) Close() error { return s.inner.Close() }

// Shared implements [rollout.Sharer].
func (s *Store) Shared() bool {
	sharer, ok := s.inner.(rollout.Sharer)
	return ok && sharer.Shared()
}

// Reseal seals values again whose data key is not wrapped by the current key, and with
// [Config].Plain those that are plain. It returns the number of values that it has written. It
// skips values that change meanwhile; they are sealed by that change. Errors of single values
// are joined. Without Plain, a plain value stays as it is, and its error wraps [ErrPlain]:
// anyone with access to the inner store could have put it there.
func (s *Store) Reseal(ctx context.Context) (n int, err error) {
	current, err := s.keys.Current(ctx)
	if err != nil {
		return 0, fmt.Errorf("sealedstore: wrapping key: %w", err)
	}
	var errs []error
	for e, err := range s.inner.List(ctx, "") {
		if err != nil {
			return n, errors.Join(append(errs, err)...)
		}
		_, head, _ := cutRest(e.Value)
		if h, err := parseHeader(head); strings.HasPrefix(e.Key, restPrefix) || err == nil && h.wrapping == current {
			continue
		}
		plain, err := s.entry(ctx, e)
		if err == nil {
			_, err = s.Put(ctx, e.Key, plain.Value, plain.Revision)
		}
		switch {
		case errors.Is(err, rollout.ErrConflict), errors.Is(err, rollout.ErrNotFound):
		case err != nil:
			errs = append(errs, err)
		default:
			n++
		}
	}
	return n, errors.Join(errs...)
}
