package registry

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"time"
)

// ErrChanged means that a [Storage] has not saved a document, because it is no longer
// what the caller has read.
var ErrChanged = errors.New("registry: document has changed")

// Document names a document of a [Storage]. Part 0 of a model holds its builds, its
// aliases and their newest moves; later parts hold older moves.
type Document struct {
	Model string
	Part  int
}

// Storage keeps the documents of a [Stored] registry. Its methods may be called
// concurrently, also by several processes.
type Storage interface {
	// Load returns the newest document and its revision, or nil and "" if it does
	// not exist.
	Load(ctx context.Context, d Document) (text []byte, revision string, err error)
	// Save replaces the document if it still has the revision, and creates it for "".
	// An error that wraps ErrChanged means that nothing was saved. After any other
	// error the outcome is unknown.
	Save(ctx context.Context, d Document, text []byte, revision string) error
}

// Stored is a [Registry] in a [Storage]. Make one with [NewStored]. Several processes
// may share the storage: each change is one compare-and-set of the document of its
// model. One model has room for about a thousand builds in a storage of 256 KiB
// documents; moves of aliases are unlimited.
type Stored struct {
	storage Storage
	options Options
}

var _ Registry = (*Stored)(nil)

// NewStored returns the registry in a storage.
func NewStored(s Storage, o Options) *Stored { return &Stored{s, o.withDefaults()} }

// page is the content of a document.
type page struct {
	Format int      `json:"format"`
	Model  string   `json:"model"`
	Builds []Record `json:"builds,omitempty"` // by version
	Alias  []Alias  `json:"aliases,omitempty"`
	Moves  []Move   `json:"moves,omitempty"` // the oldest first
	Parts  int      `json:"parts,omitempty"` // number of documents with older moves
}

const (
	// maxMoves is the number of moves in one document, and archivedMoves of these go to
	// an older part when there are more.
	maxMoves, archivedMoves = 100, 75
	// maxAttempts bounds the repetitions of a change that others were faster than.
	maxAttempts = 100
)

func (s *Stored) load(ctx context.Context, d Document) (p page, revision string, err error) {
	text, revision, err := s.storage.Load(ctx, d)
	if err != nil {
		return p, "", fmt.Errorf("registry: load %q part %d: %w", d.Model, d.Part, err)
	}
	if revision == "" {
		return page{Format: fileVersion, Model: d.Model}, "", nil
	}
	decoder := json.NewDecoder(bytes.NewReader(text))
	decoder.DisallowUnknownFields()
	if err := decoder.Decode(&p); err != nil {
		return p, "", fmt.Errorf("registry: read %q part %d: %w", d.Model, d.Part, err)
	}
	if p.Format != fileVersion || p.Model != d.Model {
		return p, "", fmt.Errorf("registry: read %q part %d: another document (have format %d of %q, want format %d)", d.Model, d.Part, p.Format, p.Model, fileVersion)
	}
	for i, r := range p.Builds {
		err := errors.Join(checkKey(r.Key), checkDigest(r.Digest))
		if err == nil && (r.Name != d.Model || i > 0 && order(p.Builds[i-1].Key, r.Key) >= 0) {
			err = fmt.Errorf("record %v is out of order", r.Key)
		}
		if err != nil {
			return p, "", fmt.Errorf("registry: read %q part %d: %w", d.Model, d.Part, err)
		}
	}
	return p, revision, nil
}

func (s *Stored) save(ctx context.Context, d Document, p page, revision string) error {
	text, err := json.Marshal(p)
	if err == nil {
		err = s.storage.Save(ctx, d, text, revision)
	}
	if err != nil {
		return fmt.Errorf("registry: save %q part %d: %w", d.Model, d.Part, err)
	}
	return nil
}

func (p *page) book() *book {
	return &book{Records: p.Builds, Aliases: map[string][]pin{p.Model: p.Alias}, Moves: map[string][]Move{p.Model: p.Moves}}
}

// change applies a change to the document of a model. It repeats the change if
// another one was faster.
func (s *Stored) change(ctx context.Context, model string, apply func(*book) (changed bool, err error)) error {
	if err := ctx.Err(); err != nil {
		return fmt.Errorf("registry: %w", err)
	}
	if err := checkKey(Key{Name: model}); err != nil {
		return err
	}
	d := Document{Model: model}
	for attempt := 1; ; attempt++ {
		p, revision, err := s.load(ctx, d)
		if err != nil {
			return err
		}
		b := p.book()
		changed, err := apply(b)
		if err != nil || !changed {
			return err
		}
		p.Builds, p.Alias, p.Moves = b.Records, b.Aliases[model], b.Moves[model]
		if err = s.archive(ctx, &p); err == nil {
			err = s.save(ctx, d, p, revision)
		}
		if err == nil || !errors.Is(err, ErrChanged) || attempt == maxAttempts {
			return err
		}
	}
}

// archive writes the oldest moves to a part of their own if there are many. A part is
// written before the document that counts it. If the document is not saved, the part
// counts for nothing, and the next attempt writes it again.
func (s *Stored) archive(ctx context.Context, p *page) error {
	if len(p.Moves) <= maxMoves {
		return nil
	}
	d := Document{Model: p.Model, Part: p.Parts + 1}
	_, revision, err := s.load(ctx, d)
	if err != nil {
		return err
	}
	if err := s.save(ctx, d, page{Format: fileVersion, Model: p.Model, Moves: p.Moves[:archivedMoves]}, revision); err != nil {
		return err
	}
	p.Moves = slices.Clone(p.Moves[archivedMoves:])
	p.Parts++
	return nil
}

// Register implements [Registry].
func (s *Stored) Register(ctx context.Context, key Key, digest string) error {
	return s.change(ctx, key.Name, func(b *book) (bool, error) { return b.register(key, digest, s.options.Now()) })
}

// SetAlias implements [Registry].
func (s *Stored) SetAlias(ctx context.Context, name, alias string, from, to Key) error {
	return s.Move(ctx, Move{Name: name, Alias: alias, From: from, To: to})
}

// Move implements [Registry].
func (s *Stored) Move(ctx context.Context, m Move) error {
	if m.To != (Key{}) && m.To.Name != m.Name {
		return fmt.Errorf("%w: alias: build of another model (have %v, want a build of %q)", ErrInvalid, m.To, m.Name)
	}
	return s.change(ctx, m.Name, func(b *book) (bool, error) { return b.move(m, s.options.Now()) })
}

// Withdraw implements [Registry].
func (s *Stored) Withdraw(ctx context.Context, w Withdrawal) error {
	return s.change(ctx, w.Key.Name, func(b *book) (bool, error) { return b.withdraw(w, s.options.Now()) })
}

// Yank implements [Registry].
func (s *Stored) Yank(ctx context.Context, key Key, reason string) error {
	return s.change(ctx, key.Name, func(b *book) (bool, error) { return b.yank(key, reason) })
}

// Retire implements [Registry].
func (s *Stored) Retire(ctx context.Context, key Key, at time.Time, replacement string) error {
	return s.change(ctx, key.Name, func(b *book) (bool, error) { return b.retire(key, at, replacement, s.options) })
}

// read returns the document of a model.
func (s *Stored) read(ctx context.Context, model string) (*book, error) {
	if err := ctx.Err(); err != nil {
		return nil, fmt.Errorf("registry: %w", err)
	}
	p, _, err := s.load(ctx, Document{Model: model})
	if err != nil {
		return nil, err
	}
	return p.book(), nil
}

// Get implements [Registry].
func (s *Stored) Get(ctx context.Context, key Key) (Record, error) {
	b, err := s.read(ctx, key.Name)
	if err != nil {
		return Record{}, err
	}
	return b.get(key)
}

// List implements [Registry].
func (s *Stored) List(ctx context.Context, name string) ([]Record, error) {
	b, err := s.read(ctx, name)
	if err != nil {
		return nil, err
	}
	return b.list(name), nil
}

// Alias implements [Registry].
func (s *Stored) Alias(ctx context.Context, name, alias string) (Record, error) {
	b, err := s.read(ctx, name)
	if err != nil {
		return Record{}, err
	}
	return b.alias(name, alias)
}

// Aliases implements [Registry].
func (s *Stored) Aliases(ctx context.Context, name string) ([]Alias, error) {
	b, err := s.read(ctx, name)
	if err != nil {
		return nil, err
	}
	return b.aliases(name), nil
}

// History implements [Registry].
func (s *Stored) History(ctx context.Context, name, alias string) ([]Move, error) {
	if err := ctx.Err(); err != nil {
		return nil, fmt.Errorf("registry: %w", err)
	}
	newest, _, err := s.load(ctx, Document{Model: name})
	if err != nil {
		return nil, err
	}
	var moves []Move
	for part := 1; part <= newest.Parts; part++ {
		older, revision, err := s.load(ctx, Document{name, part})
		if err == nil && revision == "" {
			err = fmt.Errorf("registry: history of %q: part %d of %d is missing", name, part, newest.Parts)
		}
		if err != nil {
			return nil, err
		}
		moves = append(moves, older.Moves...)
	}
	b := book{Moves: map[string][]Move{name: append(moves, newest.Moves...)}}
	return b.history(name, alias), nil
}
