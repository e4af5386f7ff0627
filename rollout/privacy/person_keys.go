package privacy

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"iter"
	"maps"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"sync"
	"time"
)

// WrappedKey is the data key of a person, encrypted by a key of a [KeyStore].
type WrappedKey struct {
	ID      []byte `json:"id"`      // random, 16 bytes; sealed values name it
	Key     string `json:"key"`     // ID of the wrapping key
	Wrapped []byte `json:"wrapped"` // 32 bytes and what Wrap adds
}

// PersonKeys keeps one wrapped data key for each person. Keep it apart from the data, and out
// of the backups of the data: a person is erased by deleting the key. Persons are pseudonyms
// of [Pseudonyms]. Methods are called concurrently, also by several processes.
type PersonKeys interface {
	// Get returns the key of a person, or an error that wraps [ErrNoKey].
	Get(ctx context.Context, person string) (WrappedKey, error)
	// Create stores the key of a person who has none. If there is one, the error wraps
	// [fs.ErrExist].
	Create(ctx context.Context, person string, k WrappedKey) error
	// Replace stores another wrapping of a key. If there is no key, the error wraps ErrNoKey.
	Replace(ctx context.Context, person string, k WrappedKey) error
	// Delete removes the keys of people for good. A person without a key is no error.
	Delete(ctx context.Context, people ...string) error
	// All yields the people who have keys.
	All(ctx context.Context) iter.Seq2[string, error]
}

// MemoryKeys are [PersonKeys] in memory, for tests. The zero value is empty and ready to use.
type MemoryKeys struct {
	mu   sync.Mutex
	keys map[string]WrappedKey
}

// Get implements [PersonKeys].
func (m *MemoryKeys) Get(_ context.Context, person string) (WrappedKey, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	k, ok := m.keys[person]
	if !ok {
		return k, fmt.Errorf("%w: of person %s", ErrNoKey, person)
	}
	return k, nil
}

// Create implements [PersonKeys].
func (m *MemoryKeys) Create(_ context.Context, person string, k WrappedKey) error {
	m.mu.Lock()
	defer m.mu.Unlock()
	if _, ok := m.keys[person]; ok {
		return fmt.Errorf("privacy: key of person %s: %w", person, fs.ErrExist)
	}
	if m.keys == nil {
		m.keys = make(map[string]WrappedKey)
	}
	m.keys[person] = k
	return nil
}

// Replace implements [PersonKeys].
func (m *MemoryKeys) Replace(_ context.Context, person string, k WrappedKey) error {
	m.mu.Lock()
	defer m.mu.Unlock()
	if _, ok := m.keys[person]; !ok {
		return fmt.Errorf("%w: of person %s", ErrNoKey, person)
	}
	m.keys[person] = k
	return nil
}

// Delete implements [PersonKeys].
func (m *MemoryKeys) Delete(_ context.Context, people ...string) error {
	m.mu.Lock()
	defer m.mu.Unlock()
	for _, p := range people {
		delete(m.keys, p)
	}
	return nil
}

// All implements [PersonKeys].
func (m *MemoryKeys) All(context.Context) iter.Seq2[string, error] {
	m.mu.Lock()
	people := slices.Sorted(maps.Keys(m.keys))
	m.mu.Unlock()
	return func(yield func(string, error) bool) {
		for _, p := range people {
			if !yield(p, nil) {
				return
			}
		}
	}
}

// FileKeys are [PersonKeys] in the files of a folder, one for each person, of mode 0600. What
// it has returned without an error survives a crash. A file that a crash has left half-way is
// removed by Delete of its person, and by OpenFileKeys and Delete once it is a minute old. Make
// one with [OpenFileKeys].
type FileKeys struct{ dir string }

var fileName = regexp.MustCompile(`^[a-z0-9-]{1,128}$`)

// OpenFileKeys opens a folder, which is created with mode 0700. It must not be accessible for
// others.
func OpenFileKeys(dir string) (*FileKeys, error) {
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return nil, fmt.Errorf("privacy: %w", err)
	}
	info, err := os.Stat(dir)
	if err != nil {
		return nil, fmt.Errorf("privacy: %w", err)
	}
	if info.Mode().Perm()&0o077 != 0 {
		return nil, invalid("dir", fmt.Sprintf("%s with mode %v", dir, info.Mode()), "a folder of mode 0700")
	}
	f := &FileKeys{dir}
	return f, f.sweep()
}

// newFile begins the names of files that are written. The person and a dot follow.
const newFile = ".new-"

// staleAfter is how old such a file is if no process is writing it.
const staleAfter = time.Minute

// sweep removes files that a crash has left, and those that are written for the given people.
func (f *FileKeys) sweep(people ...string) error {
	files, err := os.ReadDir(f.dir)
	if err != nil {
		return fmt.Errorf("privacy: %w", err)
	}
	var errs []error
	for _, file := range files {
		name, is := strings.CutPrefix(file.Name(), newFile)
		if !is {
			continue
		}
		person, _, _ := strings.Cut(name, ".")
		if !slices.Contains(people, person) {
			info, err := file.Info()
			if err != nil || time.Since(info.ModTime()) < staleAfter {
				continue // gone, or still written
			}
		}
		if err := os.Remove(filepath.Join(f.dir, file.Name())); err != nil && !errors.Is(err, fs.ErrNotExist) {
			errs = append(errs, fmt.Errorf("privacy: %w", err))
		}
	}
	return errors.Join(errs...)
}

func (f *FileKeys) path(person string) (string, error) {
	if !fileName.MatchString(person) {
		return "", invalid("person", person, "a pseudonym")
	}
	return filepath.Join(f.dir, person), nil
}

// Get implements [PersonKeys].
func (f *FileKeys) Get(_ context.Context, person string) (k WrappedKey, err error) {
	path, err := f.path(person)
	if err != nil {
		return k, err
	}
	b, err := os.ReadFile(path)
	if errors.Is(err, fs.ErrNotExist) {
		return k, fmt.Errorf("%w: of person %s", ErrNoKey, person)
	}
	if err != nil {
		return k, fmt.Errorf("privacy: %w", err)
	}
	if err := json.Unmarshal(b, &k); err != nil {
		return k, fmt.Errorf("%w: the file of the key of person %s", ErrSealed, person)
	}
	return k, nil
}

// Create implements [PersonKeys].
func (f *FileKeys) Create(_ context.Context, person string, k WrappedKey) error {
	return f.write(person, k, os.Link)
}

// Replace implements [PersonKeys].
func (f *FileKeys) Replace(ctx context.Context, person string, k WrappedKey) error {
	if _, err := f.Get(ctx, person); err != nil {
		return err
	}
	return f.write(person, k, os.Rename)
}

// write writes a file and gives it its name by place.
func (f *FileKeys) write(person string, k WrappedKey, place func(from, to string) error) error {
	path, err := f.path(person)
	if err != nil {
		return err
	}
	b, err := json.Marshal(k)
	if err != nil {
		return fmt.Errorf("privacy: %w", err)
	}
	tmp, err := os.CreateTemp(f.dir, newFile+person+".*") // of mode 0600
	if err != nil {
		return fmt.Errorf("privacy: %w", err)
	}
	defer os.Remove(tmp.Name())
	_, err = tmp.Write(b)
	if err = errors.Join(err, tmp.Sync(), tmp.Close()); err != nil {
		return fmt.Errorf("privacy: %w", err)
	}
	if err := place(tmp.Name(), path); err != nil {
		return fmt.Errorf("privacy: key of person %s: %w", person, err)
	}
	return f.sync()
}

func (f *FileKeys) sync() error {
	d, err := os.Open(f.dir)
	if err != nil {
		return fmt.Errorf("privacy: %w", err)
	}
	if err := errors.Join(d.Sync(), d.Close()); err != nil {
		return fmt.Errorf("privacy: %w", err)
	}
	return nil
}

// Delete implements [PersonKeys].
func (f *FileKeys) Delete(_ context.Context, people ...string) error {
	var errs []error
	for _, p := range people {
		path, err := f.path(p)
		if err == nil {
			err = os.Remove(path)
		}
		if err != nil && !errors.Is(err, fs.ErrNotExist) {
			errs = append(errs, fmt.Errorf("privacy: %w", err))
		}
	}
	errs = append(errs, f.sweep(people...))
	return errors.Join(append(errs, f.sync())...)
}

// All implements [PersonKeys].
func (f *FileKeys) All(context.Context) iter.Seq2[string, error] {
	return func(yield func(string, error) bool) {
		files, err := os.ReadDir(f.dir)
		if err != nil {
			yield("", fmt.Errorf("privacy: %w", err))
			return
		}
		for _, file := range files {
			if !strings.HasPrefix(file.Name(), ".") && !yield(file.Name(), nil) {
				return
			}
		}
	}
}
