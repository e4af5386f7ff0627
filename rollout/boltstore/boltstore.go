// Package boltstore stores rollouts in one bbolt file: the durable store of a single
// process.
//
// What Put has acknowledged survives a crash of the process at any instruction
// and a loss of power: every Put is one transaction and ends with an fsync.
// The file is locked while it is open; a second process gets
// ErrLocked within a second.
//
// # Speed against durability
//
// With [Config].DangerouslyNoSync a Put does not wait for the disk, which takes
// most of its time. What was acknowledged still survives the death of the process:
// the kernel has it. After a loss of power or a crash of the machine, though, what
// was acknowledged may be missing and the file may be damaged as a whole.
//
// # Damage
//
// Disks and memory do flip bits. Each entry carries a checksum of its key, its
// revision and its value, and the file a record of all its entries. Open looks at
// the whole file with a reader of its own, before bbolt does, which would believe
// what it finds. What cannot be trusted is a [*DamagedError], never repaired and
// never believed:
//
//   - If all that is damaged is in single entries, the store opens. The others are
//     given out as ever, and changed. For the damaged ones Get returns a
//     DamagedError, with the revision by which Put replaces them, and so does Get
//     for keys that are not there: one of them may be what a damaged entry was.
//     List gives out what is whole and ends with the error.
//   - If more is damaged, such as the way to the entries, or if there are entries
//     too many or too few, Open returns the error.
//
// The engine leaves a target whose document is damaged to its baseline, and keeps
// what is left of it when a new rollout begins. Other damage makes every Put of a new
// key fail: stop the process, and replace the file with a backup. [Store.Backup] makes
// a backup at any time; it is a store file like any other.
//
// # Dependencies
//
// go.etcd.io/bbolt: a B+ tree in a file with copy-on-write pages, tested
// against power failures.
package boltstore

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"iter"
	"maps"
	"os"
	"runtime/debug"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"go.etcd.io/bbolt"
	bolterrors "go.etcd.io/bbolt/errors"

	"github.com/serin-go/serin/checks"
	"github.com/serin-go/serin/rollout"
)

var _ rollout.Store = (*Store)(nil)

// ErrLocked says that another process, or another Store of this one, has the
// file open.
var ErrLocked = errors.New("the file is open elsewhere")

// DamagedError says that the file, or an entry of it, is not what was written. It
// is a [rollout.ErrDamaged].
type DamagedError struct {
	Path string
	Key  string // that was asked for; empty when the file as a whole is meant
	Err  error
}

func (e *DamagedError) Error() string {
	if e.Key == "" {
		return fmt.Sprintf("boltstore: %s is damaged or not a store: %v", e.Path, e.Err)
	}
	return fmt.Sprintf("boltstore: %s: the entry of %s cannot be trusted: %v", e.Path, e.Key, e.Err)
}

// Is reports whether target is [rollout.ErrDamaged].
func (e *DamagedError) Is(target error) bool { return target == rollout.ErrDamaged }

// Unwrap returns what the file's reader said.
func (e *DamagedError) Unwrap() error { return e.Err }

// FormatError means that the file is a store of an earlier format, which this version does
// not read. The file is unchanged.
type FormatError struct {
	Path   string
	Format int // of the file
}

func (e *FormatError) Error() string {
	return fmt.Sprintf("boltstore: %s has format %d, want %d; open it with the version that wrote it, or begin with a new file", e.Path, e.Format, format)
}

// lockTimeout bounds the wait for the file's lock.
const lockTimeout = time.Second

// Config says where the store is, and what it may lose. Path is required.
type Config struct {
	// Path names the file. It is created, readable by its owner alone, if it does
	// not exist.
	Path string `env:"SERIN_FILE"`
	// DangerouslyNoSync makes Put return before the disk has what was written. The
	// package comment says what that may lose. Close waits for the disk.
	DangerouslyNoSync bool `env:"DANGEROUSLY_NO_SYNC"`
}

// Store is a [rollout.Store] in one file. It may be used concurrently.
type Store struct {
	db     *bbolt.DB
	noSync bool
	closed atomic.Bool

	mu      sync.Mutex
	damaged map[string]bool // entries, by the keys under which they were found
}

// Open opens the store at path as New does, with a Config that has no other field
// set.
func Open(path string) (*Store, error) { return New(Config{Path: path}) }

// Validate returns a [*checks.InvalidError] if cfg has no Path.
func (cfg Config) Validate() error {
	if cfg.Path == "" {
		return &checks.InvalidError{Package: "boltstore", Field: "Config.Path", Value: "", Want: "the name of a file"}
	}
	return nil
}

// New opens a store. It returns the errors of [Config.Validate]. Otherwise the error wraps [ErrLocked] if the file is in use. It is a
// [*FormatError] if an earlier version has written the file, and a [*DamagedError] if it
// is not a store or cannot be trusted.
func New(cfg Config) (s *Store, err error) {
	defer contain(cfg.Path, "", &err)()
	if err := cfg.Validate(); err != nil {
		return nil, err
	}
	found, err := inspect(cfg.Path)
	if err != nil {
		return nil, err
	}
	db, err := bbolt.Open(cfg.Path, 0o600, &bbolt.Options{
		Timeout: lockTimeout, FreelistType: bbolt.FreelistMapType, NoSync: cfg.DangerouslyNoSync, NoGrowSync: cfg.DangerouslyNoSync,
	})
	if err != nil {
		return nil, openError(cfg.Path, err)
	}
	s = &Store{db: db, noSync: cfg.DangerouslyNoSync, damaged: make(map[string]bool)}
	for _, key := range found.damaged {
		s.damaged[key] = true
	}
	if found.fresh {
		err = db.Update(func(tx *bbolt.Tx) error {
			_, err := tx.CreateBucketIfNotExists(entryBucket)
			if err != nil {
				return err
			}
			b, err := tx.CreateBucketIfNotExists(recordBucket)
			if err != nil || b.Get(recordKey) != nil { // by another process, just now
				return err
			}
			return b.Put(recordKey, tally{}.encode())
		})
	}
	if err != nil {
		return nil, errors.Join(fmt.Errorf("boltstore: %s: %w", cfg.Path, err), db.Close())
	}
	return s, nil
}

// inspect looks at the file before it is opened for writing.
func inspect(path string) (content, error) {
	if info, err := os.Stat(path); errors.Is(err, os.ErrNotExist) || err == nil && info.Size() == 0 {
		return content{fresh: true}, nil
	}
	// Opened for reading, it is locked against those who write.
	db, err := bbolt.Open(path, 0o600, &bbolt.Options{Timeout: lockTimeout, ReadOnly: true})
	if err != nil {
		return content{}, openError(path, err)
	}
	defer db.Close()
	file, err := os.ReadFile(path)
	if err != nil {
		return content{}, fmt.Errorf("boltstore: %w", err)
	}
	found, err := check(file)
	var older *FormatError
	if errors.As(err, &older) {
		older.Path = path
		return content{}, older
	}
	if err != nil {
		return content{}, &DamagedError{Path: path, Err: err}
	}
	return found, nil
}

// openError says what bbolt means.
func openError(path string, err error) error {
	switch {
	case errors.Is(err, bolterrors.ErrTimeout):
		return fmt.Errorf("boltstore: %s: %w", path, ErrLocked)
	case errors.Is(err, os.ErrNotExist), errors.Is(err, os.ErrPermission):
		return fmt.Errorf("boltstore: %w", err)
	}
	return &DamagedError{Path: path, Err: err}
}

// Get implements [rollout.Store]. With the [*DamagedError] of a single entry it
// returns what is left of it, and the revision with which Put replaces it.
func (s *Store) Get(ctx context.Context, key string) (entry rollout.Entry, err error) {
	if err := ctx.Err(); err != nil {
		return entry, err
	}
	defer contain(s.db.Path(), key, &err)()
	err = s.db.View(func(tx *bbolt.Tx) error {
		raw := tx.Bucket(entryBucket).Get([]byte(key))
		if raw == nil {
			if err := s.doubt(key); err != nil {
				return err
			}
			return fmt.Errorf("boltstore: %s: %w", key, rollout.ErrNotFound)
		}
		entry, err = s.decode([]byte(key), raw)
		return err
	})
	return entry, wrap(err)
}

// Put implements [rollout.Store].
func (s *Store) Put(ctx context.Context, key string, value []byte, prev rollout.Revision) (rev rollout.Revision, err error) {
	if len(value) > rollout.MaxValue {
		return "", &rollout.ValueSizeError{Key: key, Size: len(value)}
	}
	err = s.change(ctx, key, prev, func(entries *bbolt.Bucket, all *tally) error {
		all.Revision++
		raw := encode([]byte(key), all.Revision, value)
		_, sum, _ := header(raw)
		all.add(sum)
		rev = revision(all.Revision)
		return entries.Put([]byte(key), raw)
	})
	if err != nil {
		return "", err
	}
	return rev, nil
}

// Delete implements [rollout.Store]. It removes a damaged entry by the revision that Get
// returns for it.
func (s *Store) Delete(ctx context.Context, key string, prev rollout.Revision) error {
	return s.change(ctx, key, prev, func(entries *bbolt.Bucket, _ *tally) error {
		if prev == "" {
			return fmt.Errorf("boltstore: %s: %w", key, rollout.ErrConflict)
		}
		return entries.Delete([]byte(key))
	})
}

// change calls apply in a transaction if the revision of key is prev. The entry of
// that revision is not in the record any more by then.
func (s *Store) change(ctx context.Context, key string, prev rollout.Revision, apply func(entries *bbolt.Bucket, all *tally) error) (err error) {
	if err := ctx.Err(); err != nil {
		return err
	}
	defer contain(s.db.Path(), key, &err)()
	err = s.db.Update(func(tx *bbolt.Tx) error {
		entries, record := tx.Bucket(entryBucket), tx.Bucket(recordBucket)
		all, err := decodeTally(record.Get(recordKey))
		if err != nil {
			return s.damage("", err)
		}
		var current rollout.Revision
		if raw := entries.Get([]byte(key)); raw != nil {
			e, err := s.decode([]byte(key), raw)
			if err != nil && e.Revision != prev { // which may be damaged itself
				return err
			}
			current = e.Revision
			_, sum, _ := header(raw)
			all.remove(sum)
		} else if err := s.doubt(key); err != nil {
			return err
		}
		if current != prev {
			return fmt.Errorf("boltstore: %s: %w", key, rollout.ErrConflict)
		}
		if err := apply(entries, &all); err != nil {
			return err
		}
		return record.Put(recordKey, all.encode())
	})
	if err != nil {
		return wrap(err)
	}
	s.mu.Lock()
	delete(s.damaged, key)
	s.mu.Unlock()
	return nil
}

// doubt returns an error if key, which was not found, may be one of the damaged
// entries.
func (s *Store) doubt(key string) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if len(s.damaged) == 0 {
		return nil
	}
	return s.damage(key, fmt.Errorf("entries of the file are damaged: %q", slices.Sorted(maps.Keys(s.damaged))))
}

func (s *Store) damage(key string, err error) error {
	return &DamagedError{Path: s.db.Path(), Key: key, Err: err}
}

// Watch implements [rollout.Store]. One process writes the file and knows when
// it does, so there is nothing to hint at.
func (s *Store) Watch(context.Context, string) (<-chan struct{}, error) { return nil, nil }

// List implements [rollout.Store].
func (s *Store) List(ctx context.Context, prefix string) iter.Seq2[rollout.Entry, error] {
	return func(yield func(rollout.Entry, error) bool) {
		// The entries are gathered first: a transaction that stayed open while
		// the caller works would block every write that grows the file.
		var entries []rollout.Entry
		err := s.list(ctx, prefix, &entries)
		for _, e := range entries {
			if !yield(e, nil) {
				return
			}
		}
		if err != nil {
			yield(rollout.Entry{}, err)
		}
	}
}

func (s *Store) list(ctx context.Context, prefix string, entries *[]rollout.Entry) (err error) {
	if err := ctx.Err(); err != nil {
		return err
	}
	defer contain(s.db.Path(), prefix, &err)()
	return wrap(s.db.View(func(tx *bbolt.Tx) error {
		c := tx.Bucket(entryBucket).Cursor()
		for k, raw := c.Seek([]byte(prefix)); k != nil && bytes.HasPrefix(k, []byte(prefix)); k, raw = c.Next() {
			if e, err := s.decode(k, raw); err == nil {
				*entries = append(*entries, e)
			} else if s.doubt(prefix) == nil { // it was whole when the file was opened
				return err
			}
		}
		return s.doubt(prefix)
	}))
}

// Backup writes a copy of the store, as it is at one moment, while others go on
// reading and writing. The copy is a store file. It is looked at before the first
// byte is written, as Open would, so that what is damaged never takes the place of
// a good copy: the error is a [*DamagedError] then. It is held in memory
// meanwhile.
func (s *Store) Backup(ctx context.Context, w io.Writer) (err error) {
	if err := ctx.Err(); err != nil {
		return err
	}
	defer contain(s.db.Path(), "", &err)()
	var file bytes.Buffer
	if err := s.db.View(func(tx *bbolt.Tx) error {
		_, err := tx.WriteTo(&file)
		return err
	}); err != nil {
		return wrap(err)
	}
	found, err := check(file.Bytes())
	if err == nil && len(found.damaged) > 0 {
		err = fmt.Errorf("%d entries are damaged: %q", len(found.damaged), found.damaged)
	}
	if err != nil {
		return s.damage("", err)
	}
	if _, err := file.WriteTo(w); err != nil {
		return fmt.Errorf("boltstore: backup of %s: %w", s.db.Path(), err)
	}
	return nil
}

// Close implements [rollout.Store]. It waits for running transactions.
func (s *Store) Close() (err error) {
	if !s.closed.Swap(true) && s.noSync {
		err = s.db.Sync()
	}
	return errors.Join(err, s.db.Close())
}

// wrap gives bbolt's words for a closed store ours.
func wrap(err error) error {
	if errors.Is(err, bolterrors.ErrDatabaseNotOpen) {
		return fmt.Errorf("boltstore: %w", rollout.ErrClosed)
	}
	return err
}

// contain is used as `defer contain(path, key, &err)()`. It turns a panic into a
// [*DamagedError]: bbolt can panic, and reading the mapped file can fault, when
// pages are damaged, and the host must survive that.
func contain(path, key string, err *error) func() {
	before := debug.SetPanicOnFault(true)
	return func() {
		debug.SetPanicOnFault(before)
		if r := recover(); r != nil {
			*err = &DamagedError{Path: path, Key: key, Err: fmt.Errorf("%v", r)}
		}
	}
}
