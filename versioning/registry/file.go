package registry

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"time"
)

// File is a [Registry] in one file of JSON, which is replaced as a whole with
// each change and synced before it takes the place of the old one. Make one with
// [OpenFile]. One process at a time may have it open; a file beside it, with
// ".lock" at its end, sees to that.
type File struct {
	memory *Memory // its lock guards all below
	path   string
	closed bool
}

var _ Registry = (*File)(nil)

const fileVersion = 1

// fileFormat is what the file holds.
type fileFormat struct {
	Format int `json:"format"`
	book
}

// OpenFile opens the registry in a file, or a new one if there is no such file.
// Close it in the end. After a crash the lock stays behind; the error names it,
// and who knows that no other process runs may delete it.
func OpenFile(path string, o Options) (*File, error) {
	lock, err := os.OpenFile(path+".lock", os.O_CREATE|os.O_EXCL|os.O_WRONLY, 0o600)
	if errors.Is(err, fs.ErrExist) {
		return nil, fmt.Errorf("registry: %s is open in another process; if it is not, delete %s.lock: %w", path, path, err)
	}
	if err != nil {
		return nil, fmt.Errorf("registry: %w", err)
	}
	_ = lock.Close()
	f := &File{memory: NewMemory(o), path: path}
	if err := f.load(); err != nil {
		_ = os.Remove(path + ".lock")
		return nil, err
	}
	return f, nil
}

func (f *File) load() error {
	text, err := os.ReadFile(f.path)
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	if err != nil {
		return fmt.Errorf("registry: %w", err)
	}
	var content fileFormat
	d := json.NewDecoder(bytes.NewReader(text))
	d.DisallowUnknownFields()
	if err := d.Decode(&content); err != nil {
		return fmt.Errorf("registry: reading %s: %w", f.path, err)
	}
	if _, err := d.Token(); err != io.EOF {
		return fmt.Errorf("registry: reading %s: there is text behind the end", f.path)
	}
	if content.Format != fileVersion {
		return fmt.Errorf("registry: %s has format %d, want %d", f.path, content.Format, fileVersion)
	}
	for i, r := range content.Records {
		if err := errors.Join(checkKey(r.Key), checkDigest(r.Digest)); err != nil {
			return fmt.Errorf("registry: reading %s: %w", f.path, err)
		}
		if i > 0 && order(content.Records[i-1].Key, r.Key) >= 0 {
			return fmt.Errorf("registry: reading %s: %v is not in its place", f.path, r.Key)
		}
	}
	f.memory.book = content.book
	return nil
}

// Close gives the file free for others.
func (f *File) Close() error {
	f.memory.mu.Lock()
	defer f.memory.mu.Unlock()
	if f.closed {
		return nil
	}
	f.closed = true
	if err := os.Remove(f.path + ".lock"); err != nil {
		return fmt.Errorf("registry: %w", err)
	}
	return nil
}

// change applies a change to a copy, writes that, and takes it over only when it
// is on disk.
func (f *File) change(ctx context.Context, apply func(*book) (bool, error)) error {
	return f.memory.change(ctx, func(b *book) (bool, error) {
		if f.closed {
			return false, fmt.Errorf("registry: %s: %w", f.path, fs.ErrClosed)
		}
		next := b.clone()
		changed, err := apply(&next)
		if err != nil || !changed {
			return false, err
		}
		text, err := json.MarshalIndent(fileFormat{fileVersion, next}, "", "\t")
		if err != nil {
			return false, fmt.Errorf("registry: %w", err)
		}
		if err := replace(f.path, append(text, '\n')); err != nil {
			return false, fmt.Errorf("registry: writing %s: %w", f.path, err)
		}
		*b = next
		return true, nil
	})
}

func (b *book) clone() book {
	next := book{Records: slices.Clone(b.Records), Aliases: make(map[string][]pin, len(b.Aliases))}
	for name, pins := range b.Aliases {
		next.Aliases[name] = slices.Clone(pins)
	}
	return next
}

// replace writes a file so that there is the old one or the new one at any time,
// and the new one even if the power fails once it has returned.
func replace(path string, text []byte) error {
	dir := filepath.Dir(path)
	tmp, err := os.CreateTemp(dir, filepath.Base(path)+".*")
	if err != nil {
		return err
	}
	defer os.Remove(tmp.Name())
	_, err = tmp.Write(text)
	if err := errors.Join(err, tmp.Sync(), tmp.Close()); err != nil {
		return err
	}
	if err := os.Rename(tmp.Name(), path); err != nil {
		return err
	}
	folder, err := os.Open(dir)
	if err != nil {
		return err
	}
	return errors.Join(folder.Sync(), folder.Close())
}

// Register implements [Registry].
func (f *File) Register(ctx context.Context, key Key, digest string) error {
	return f.change(ctx, func(b *book) (bool, error) { return b.register(key, digest, f.memory.options.Now()) })
}

// SetAlias implements [Registry].
func (f *File) SetAlias(ctx context.Context, name, alias string, from, to Key) error {
	return f.change(ctx, func(b *book) (bool, error) { return b.setAlias(name, alias, from, to) })
}

// Yank implements [Registry].
func (f *File) Yank(ctx context.Context, key Key, reason string) error {
	return f.change(ctx, func(b *book) (bool, error) { return b.yank(key, reason) })
}

// Retire implements [Registry].
func (f *File) Retire(ctx context.Context, key Key, at time.Time, replacement string) error {
	return f.change(ctx, func(b *book) (bool, error) { return b.retire(key, at, replacement, f.memory.options) })
}

// Get implements [Registry].
func (f *File) Get(ctx context.Context, key Key) (Record, error) { return f.memory.Get(ctx, key) }

// List implements [Registry].
func (f *File) List(ctx context.Context, name string) ([]Record, error) {
	return f.memory.List(ctx, name)
}

// Alias implements [Registry].
func (f *File) Alias(ctx context.Context, name, alias string) (Record, error) {
	return f.memory.Alias(ctx, name, alias)
}
