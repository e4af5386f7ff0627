package registry

import (
	"cmp"
	"context"
	"fmt"
	"slices"
	"strings"
	"sync"
	"time"
)

// Memory is a [Registry] that forgets everything when the process ends. Make one
// with [NewMemory].
type Memory struct {
	mu      sync.Mutex
	options Options
	book    book
}

// book is the state of a registry. Its methods change nothing when they fail.
type book struct {
	Records []Record         `json:"records"` // by key
	Aliases map[string][]pin `json:"aliases"` // by model
}

// pin is where an alias points.
type pin struct {
	Alias string `json:"alias"`
	To    Key    `json:"to"`
}

// NewMemory returns an empty registry.
func NewMemory(o Options) *Memory { return &Memory{options: o.withDefaults()} }

var _ Registry = (*Memory)(nil)

// Register implements [Registry].
func (m *Memory) Register(ctx context.Context, key Key, digest string) error {
	return m.change(ctx, func(b *book) (bool, error) { return b.register(key, digest, m.options.Now()) })
}

// SetAlias implements [Registry].
func (m *Memory) SetAlias(ctx context.Context, name, alias string, from, to Key) error {
	return m.change(ctx, func(b *book) (bool, error) { return b.setAlias(name, alias, from, to) })
}

// Yank implements [Registry].
func (m *Memory) Yank(ctx context.Context, key Key, reason string) error {
	return m.change(ctx, func(b *book) (bool, error) { return b.yank(key, reason) })
}

// Retire implements [Registry].
func (m *Memory) Retire(ctx context.Context, key Key, at time.Time, replacement string) error {
	return m.change(ctx, func(b *book) (bool, error) { return b.retire(key, at, replacement, m.options) })
}

func (m *Memory) change(ctx context.Context, f func(*book) (bool, error)) error {
	if err := ctx.Err(); err != nil {
		return fmt.Errorf("registry: %w", err)
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	_, err := f(&m.book)
	return err
}

// Get implements [Registry].
func (m *Memory) Get(ctx context.Context, key Key) (Record, error) {
	return view(ctx, &m.mu, func() (Record, error) { return m.book.get(key) })
}

// List implements [Registry].
func (m *Memory) List(ctx context.Context, name string) ([]Record, error) {
	return view(ctx, &m.mu, func() ([]Record, error) { return m.book.list(name), nil })
}

// Alias implements [Registry].
func (m *Memory) Alias(ctx context.Context, name, alias string) (Record, error) {
	return view(ctx, &m.mu, func() (Record, error) { return m.book.alias(name, alias) })
}

func view[T any](ctx context.Context, mu *sync.Mutex, f func() (T, error)) (T, error) {
	if err := ctx.Err(); err != nil {
		var zero T
		return zero, fmt.Errorf("registry: %w", err)
	}
	mu.Lock()
	defer mu.Unlock()
	return f()
}

// order sorts by name, then the latest version first, then by variant.
func order(a, b Key) int {
	return cmp.Or(strings.Compare(a.Name, b.Name), b.Version.Compare(a.Version), strings.Compare(a.Variant, b.Variant))
}

func (b *book) find(k Key) (i int, found bool) {
	return slices.BinarySearchFunc(b.Records, k, func(r Record, k Key) int { return order(r.Key, k) })
}

func (b *book) get(k Key) (Record, error) {
	i, found := b.find(k)
	if !found {
		return Record{}, fmt.Errorf("%w: %v", ErrNotFound, k)
	}
	return b.Records[i], nil
}

func (b *book) list(name string) []Record {
	var records []Record
	for _, r := range b.Records {
		if r.Name == name {
			records = append(records, r)
		}
	}
	return records
}

func (b *book) register(k Key, digest string, now time.Time) (changed bool, err error) {
	if err := checkKey(k); err != nil {
		return false, err
	}
	if err := checkDigest(digest); err != nil {
		return false, err
	}
	i, found := b.find(k)
	switch {
	case found && b.Records[i].Digest == digest:
		return false, nil
	case found:
		return false, fmt.Errorf("%w: %v is %s and cannot become %s", ErrExists, k, b.Records[i].Digest, digest)
	}
	if k.Version.Prerelease() == "" {
		// The latest come first, so that this finds the last prerelease.
		for _, r := range b.Records {
			if r.Name == k.Name && r.Variant == k.Variant && r.Version.Core() == k.Version && r.Yanked == "" {
				if r.Digest != digest {
					return false, fmt.Errorf("%w: %v was %s, %v would be %s", ErrNotPromoted, r.Key, r.Digest, k, digest)
				}
				break
			}
		}
	}
	b.Records = slices.Insert(b.Records, i, Record{Key: k, Digest: digest, Registered: now.UTC()})
	return true, nil
}

func (b *book) alias(name, alias string) (Record, error) {
	for _, p := range b.Aliases[name] {
		if p.Alias == alias {
			return b.get(p.To)
		}
	}
	return Record{}, fmt.Errorf("%w: alias %q of %q", ErrNotFound, alias, name)
}

func (b *book) setAlias(name, alias string, from, to Key) (changed bool, err error) {
	if strings.TrimSpace(name) == "" || strings.TrimSpace(alias) == "" {
		return false, fmt.Errorf("%w: alias %q of %q, want a name for both", ErrInvalid, alias, name)
	}
	pins := b.Aliases[name]
	i := slices.IndexFunc(pins, func(p pin) bool { return p.Alias == alias })
	var is Key
	if i >= 0 {
		is = pins[i].To
	}
	if is != from {
		return false, &ConflictError{name, alias, from, is}
	}
	if to == (Key{}) {
		if i >= 0 {
			b.Aliases[name] = slices.Delete(pins, i, i+1)
		}
		return i >= 0, nil
	}
	record, err := b.get(to)
	switch {
	case err != nil:
		return false, err
	case to.Name != name:
		return false, fmt.Errorf("%w: %v is no build of %q", ErrInvalid, to, name)
	case record.Yanked != "":
		return false, fmt.Errorf("%w: %v: %s", ErrYanked, to, record.Yanked)
	case i >= 0:
		pins[i].To = to
		return is != to, nil
	}
	if b.Aliases == nil {
		b.Aliases = map[string][]pin{}
	}
	b.Aliases[name] = append(pins, pin{alias, to})
	return true, nil
}

func (b *book) yank(k Key, reason string) (changed bool, err error) {
	i, found := b.find(k)
	switch {
	case !found:
		return false, fmt.Errorf("%w: %v", ErrNotFound, k)
	case strings.TrimSpace(reason) == "":
		return false, fmt.Errorf("%w: yanking %v needs a reason", ErrInvalid, k)
	case b.Records[i].Yanked != "":
		return false, nil
	}
	for _, p := range b.Aliases[k.Name] {
		if p.To == k {
			return false, fmt.Errorf("%w: move %q away from %v first", ErrAliased, p.Alias, k)
		}
	}
	b.Records[i].Yanked = reason
	return true, nil
}

func (b *book) retire(k Key, at time.Time, replacement string, o Options) (changed bool, err error) {
	i, found := b.find(k)
	if !found {
		return false, fmt.Errorf("%w: %v", ErrNotFound, k)
	}
	r := &b.Records[i]
	if r.RetireAt.Equal(at) && r.Replacement == replacement {
		return false, nil
	}
	earliest := o.Now().Add(o.MinNotice)
	if at.Before(earliest) && (r.RetireAt.IsZero() || at.Before(r.RetireAt)) {
		return false, fmt.Errorf("%w: %v cannot go on %s, want %s or later", ErrNotice, k, at.UTC().Format(time.RFC3339), earliest.UTC().Format(time.RFC3339))
	}
	r.RetireAt, r.Replacement = at.UTC(), replacement
	return true, nil
}
