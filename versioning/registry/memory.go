package registry

import (
	"cmp"
	"context"
	"fmt"
	"io/fs"
	"slices"
	"strings"
	"sync"
	"time"
)

// table is a [Registry] in memory. Both registries of this package embed it.
type table struct {
	mu      sync.Mutex
	options Options
	book    book
	save    func(next book) error // stores a changed book; nil keeps it in memory only
	closed  bool
}

// book is the state of a registry. A method that returns an error changes nothing.
type book struct {
	Records []Record         `json:"records"` // by key
	Aliases map[string][]pin `json:"aliases"` // by model
}

// pin is the target of an alias.
type pin struct {
	Alias string `json:"alias"`
	To    Key    `json:"to"`
}

// Memory is a [Registry] that lasts as long as the process. Make one with
// [NewMemory].
type Memory struct{ table }

// NewMemory returns an empty registry.
func NewMemory(o Options) *Memory { return &Memory{table{options: o.withDefaults()}} }

var _ Registry = (*Memory)(nil)

// Register implements [Registry].
func (t *table) Register(ctx context.Context, key Key, digest string) error {
	return t.change(ctx, func(b *book) (bool, error) { return b.register(key, digest, t.options.Now()) })
}

// SetAlias implements [Registry].
func (t *table) SetAlias(ctx context.Context, name, alias string, from, to Key) error {
	return t.change(ctx, func(b *book) (bool, error) { return b.setAlias(name, alias, from, to) })
}

// Yank implements [Registry].
func (t *table) Yank(ctx context.Context, key Key, reason string) error {
	return t.change(ctx, func(b *book) (bool, error) { return b.yank(key, reason) })
}

// Retire implements [Registry].
func (t *table) Retire(ctx context.Context, key Key, at time.Time, replacement string) error {
	return t.change(ctx, func(b *book) (bool, error) { return b.retire(key, at, replacement, t.options) })
}

// change applies a change. If there is a save function, it changes a copy, and
// applies the change only after the copy is saved.
func (t *table) change(ctx context.Context, apply func(*book) (changed bool, err error)) error {
	if err := ctx.Err(); err != nil {
		return fmt.Errorf("registry: %w", err)
	}
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.closed {
		return fmt.Errorf("registry: %w", fs.ErrClosed)
	}
	if t.save == nil {
		_, err := apply(&t.book)
		return err
	}
	next := t.book.clone()
	changed, err := apply(&next)
	if err != nil || !changed {
		return err
	}
	if err := t.save(next); err != nil {
		return err
	}
	t.book = next
	return nil
}

// Get implements [Registry].
func (t *table) Get(ctx context.Context, key Key) (Record, error) {
	return view(ctx, &t.mu, func() (Record, error) { return t.book.get(key) })
}

// List implements [Registry].
func (t *table) List(ctx context.Context, name string) ([]Record, error) {
	return view(ctx, &t.mu, func() ([]Record, error) { return t.book.list(name), nil })
}

// Alias implements [Registry].
func (t *table) Alias(ctx context.Context, name, alias string) (Record, error) {
	return view(ctx, &t.mu, func() (Record, error) { return t.book.alias(name, alias) })
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

func (b *book) clone() book {
	next := book{Records: slices.Clone(b.Records), Aliases: make(map[string][]pin, len(b.Aliases))}
	for name, pins := range b.Aliases {
		next.Aliases[name] = slices.Clone(pins)
	}
	return next
}

// order compares by name, then by version with the latest first, then by variant.
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
		return false, fmt.Errorf("%w: build %v (have %s, want %s)", ErrExists, k, b.Records[i].Digest, digest)
	}
	if k.Version.Prerelease() == "" {
		// The latest come first, so this finds the last prerelease.
		for _, r := range b.Records {
			if r.Name == k.Name && r.Variant == k.Variant && r.Version.Core() == k.Version && r.Yanked == "" {
				if r.Digest != digest {
					return false, fmt.Errorf("%w: build %v (have %s, want %s of %v)", ErrNotPromoted, k, digest, r.Digest, r.Key)
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
		return false, fmt.Errorf("%w: alias: empty name (have alias %q of model %q)", ErrInvalid, alias, name)
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
		return false, fmt.Errorf("%w: alias: build of another model (have %v, want a build of %q)", ErrInvalid, to, name)
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
		return false, fmt.Errorf("%w: yank %v: reason is empty", ErrInvalid, k)
	case b.Records[i].Yanked != "":
		return false, nil
	}
	for _, p := range b.Aliases[k.Name] {
		if p.To == k {
			return false, fmt.Errorf("%w: move alias %q away from %v first", ErrAliased, p.Alias, k)
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
		return false, fmt.Errorf("%w: build %v (have %s, want %s or later)", ErrNotice, k, at.UTC().Format(time.RFC3339), earliest.UTC().Format(time.RFC3339))
	}
	r.RetireAt, r.Replacement = at.UTC(), replacement
	return true, nil
}
