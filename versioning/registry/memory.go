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
	// Moves are the moves of all aliases by model, the oldest first.
	Moves map[string][]Move `json:"moves,omitempty"`
}

// pin is the target of an alias.
type pin = Alias

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
	return t.Move(ctx, Move{Name: name, Alias: alias, From: from, To: to})
}

// Move implements [Registry].
func (t *table) Move(ctx context.Context, m Move) error {
	return t.change(ctx, func(b *book) (bool, error) { return b.move(m, t.options.Now()) })
}

// Withdraw implements [Registry].
func (t *table) Withdraw(ctx context.Context, w Withdrawal) error {
	return t.change(ctx, func(b *book) (bool, error) { return b.withdraw(w, t.options.Now()) })
}

// Yank implements [Registry].
func (t *table) Yank(ctx context.Context, key Key, reason string) error {
	return t.change(ctx, func(b *book) (bool, error) { return b.yank(key, reason) })
}

// Retire implements [Registry].
func (t *table) Retire(ctx context.Context, key Key, at time.Time, replacement string) error {
	return t.change(ctx, func(b *book) (bool, error) { return b.retire(key, at, replacement, t.options) })
}

// change applies a change to a copy, and keeps the copy after it is saved, if there
// is a save function.
func (t *table) change(ctx context.Context, apply func(*book) (changed bool, err error)) error {
	if err := ctx.Err(); err != nil {
		return fmt.Errorf("registry: %w", err)
	}
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.closed {
		return fmt.Errorf("registry: %w", fs.ErrClosed)
	}
	next := t.book.clone()
	changed, err := apply(&next)
	if err != nil || !changed {
		return err
	}
	if t.save != nil {
		if err := t.save(next); err != nil {
			return err
		}
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

// Aliases implements [Registry].
func (t *table) Aliases(ctx context.Context, name string) ([]Alias, error) {
	return view(ctx, &t.mu, func() ([]Alias, error) { return t.book.aliases(name), nil })
}

// History implements [Registry].
func (t *table) History(ctx context.Context, name, alias string) ([]Move, error) {
	return view(ctx, &t.mu, func() ([]Move, error) { return t.book.history(name, alias), nil })
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
	if b.Moves != nil {
		next.Moves = make(map[string][]Move, len(b.Moves))
		for name, moves := range b.Moves {
			next.Moves[name] = slices.Clip(moves) // the next move goes to a copy
		}
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
		if p.Name == alias {
			return b.get(p.To)
		}
	}
	return Record{}, fmt.Errorf("%w: alias %q of %q", ErrNotFound, alias, name)
}

func (b *book) aliases(name string) []Alias {
	return slices.SortedFunc(slices.Values(b.Aliases[name]), func(x, y Alias) int { return strings.Compare(x.Name, y.Name) })
}

func (b *book) history(name, alias string) []Move {
	var moves []Move
	for _, m := range b.Moves[name] {
		if m.Alias == alias {
			moves = append(moves, m)
		}
	}
	return moves
}

// maxMoveText bounds the texts of a move in bytes.
const maxMoveText = 1024

func (b *book) move(m Move, now time.Time) (changed bool, err error) {
	if strings.TrimSpace(m.Name) == "" || strings.TrimSpace(m.Alias) == "" {
		return false, fmt.Errorf("%w: alias: empty name (have alias %q of model %q)", ErrInvalid, m.Alias, m.Name)
	}
	for field, text := range map[string]string{"alias": m.Alias, "by": m.By, "rollout": m.Rollout, "reason": m.Reason} {
		if len(text) > maxMoveText {
			return false, fmt.Errorf("%w: move: %s too long (have %d bytes, want at most %d)", ErrInvalid, field, len(text), maxMoveText)
		}
	}
	pins := b.Aliases[m.Name]
	i := slices.IndexFunc(pins, func(p pin) bool { return p.Name == m.Alias })
	var is Key
	if i >= 0 {
		is = pins[i].To
	}
	if is != m.From {
		return false, &ConflictError{m.Name, m.Alias, m.From, is}
	}
	if m.To != (Key{}) {
		record, err := b.get(m.To)
		switch {
		case err != nil:
			return false, err
		case m.To.Name != m.Name:
			return false, fmt.Errorf("%w: alias: build of another model (have %v, want a build of %q)", ErrInvalid, m.To, m.Name)
		case record.Yanked != "":
			return false, fmt.Errorf("%w: %v: %s", ErrYanked, m.To, record.Yanked)
		}
	}
	if m.To == is {
		return false, nil
	}
	b.repoint(m, now)
	return true, nil
}

// repoint carries out a move that is valid.
func (b *book) repoint(m Move, now time.Time) {
	pins := b.Aliases[m.Name]
	i := slices.IndexFunc(pins, func(p pin) bool { return p.Name == m.Alias })
	switch {
	case m.To == (Key{}):
		b.Aliases[m.Name] = slices.Delete(pins, i, i+1)
	case i >= 0:
		pins[i].To = m.To
	default:
		if b.Aliases == nil {
			b.Aliases = map[string][]pin{}
		}
		b.Aliases[m.Name] = append(pins, pin{m.Alias, m.To})
	}
	if m.At.IsZero() {
		m.At = now
	}
	m.At = m.At.UTC()
	if b.Moves == nil {
		b.Moves = map[string][]Move{}
	}
	b.Moves[m.Name] = append(b.Moves[m.Name], m)
}

func (b *book) withdraw(w Withdrawal, now time.Time) (changed bool, err error) {
	i, found := b.find(w.Key)
	if !found {
		return false, fmt.Errorf("%w: %v", ErrNotFound, w.Key)
	}
	to, err := b.get(w.To)
	switch {
	case strings.TrimSpace(w.Reason) == "":
		return false, fmt.Errorf("%w: withdraw %v: reason is empty", ErrInvalid, w.Key)
	case len(w.Reason) > maxMoveText || len(w.By) > maxMoveText || len(w.Rollout) > maxMoveText:
		return false, fmt.Errorf("%w: withdraw %v: text too long (want at most %d bytes each)", ErrInvalid, w.Key, maxMoveText)
	case err != nil:
		return false, err
	case w.To == w.Key || w.To.Name != w.Key.Name:
		return false, fmt.Errorf("%w: withdraw %v: aliases cannot move there (have %v, want another build of %q)", ErrInvalid, w.Key, w.To, w.Key.Name)
	case to.Yanked != "":
		return false, fmt.Errorf("%w: %v: %s", ErrYanked, w.To, to.Yanked)
	}
	for _, p := range b.aliases(w.Key.Name) {
		if p.To == w.Key {
			b.repoint(Move{Name: w.Key.Name, Alias: p.Name, From: w.Key, To: w.To, By: w.By, Rollout: w.Rollout, Reason: w.Reason}, now)
			changed = true
		}
	}
	if b.Records[i].Yanked == "" {
		b.Records[i].Yanked = w.Reason
		changed = true
	}
	return changed, nil
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
			return false, fmt.Errorf("%w: move alias %q away from %v first", ErrAliased, p.Name, k)
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
