// Package boltstore keeps the documents of package rollout in one file: the
// durable store of a single process.
//
// What Put has acknowledged survives a crash of the process at any instruction
// and a loss of power: every Put is one transaction and ends with an fsync.
// The file is locked while it is open; a second process is told so within a
// second. Each value carries its own checksum, so that damage below bbolt is
// found when it is read and is reported, never believed.
//
// # Dependencies
//
// go.etcd.io/bbolt: a B+ tree in a file with copy-on-write pages, tested
// against power failures.
package boltstore

import (
	"bytes"
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"hash/crc32"
	"iter"
	"os"
	"runtime/debug"
	"strconv"
	"time"

	"go.etcd.io/bbolt"
	bolterrors "go.etcd.io/bbolt/errors"

	"github.com/serin-go/serin/rollout"
)

var _ rollout.Store = (*Store)(nil)

// ErrLocked says that another process, or another Store of this one, has the
// file open.
var ErrLocked = errors.New("the file is open elsewhere")

// DamagedError says that the file, or a value in it, is not what was written.
// It is never repaired silently.
type DamagedError struct {
	Path string
	Key  string // empty when the file as a whole cannot be read
	Err  error
}

func (e *DamagedError) Error() string {
	if e.Key == "" {
		return fmt.Sprintf("boltstore: %s is damaged or not a store: %v", e.Path, e.Err)
	}
	return fmt.Sprintf("boltstore: %s: the value of %s is damaged: %v", e.Path, e.Key, e.Err)
}

// Unwrap returns what the file's reader said.
func (e *DamagedError) Unwrap() error { return e.Err }

var bucket = []byte("serin")

// lockTimeout bounds the wait for the file's lock.
const lockTimeout = time.Second

// Store is a [rollout.Store] in one file. It may be used concurrently.
type Store struct {
	db *bbolt.DB
}

// Open opens the store at path and creates it, readable by its owner alone, if
// it does not exist. The error wraps [ErrLocked] if the file is in use, and is
// a [*DamagedError] if it is not a store.
func Open(path string) (s *Store, err error) {
	defer contain(path, "", &err)()
	db, err := bbolt.Open(path, 0o600, &bbolt.Options{Timeout: lockTimeout, FreelistType: bbolt.FreelistMapType})
	switch {
	case errors.Is(err, bolterrors.ErrTimeout):
		return nil, fmt.Errorf("boltstore: %s: %w", path, ErrLocked)
	case errors.Is(err, bolterrors.ErrInvalid), errors.Is(err, bolterrors.ErrChecksum), errors.Is(err, bolterrors.ErrVersionMismatch):
		return nil, &DamagedError{Path: path, Err: err}
	case err != nil && (os.IsNotExist(err) || os.IsPermission(err)):
		return nil, fmt.Errorf("boltstore: %w", err)
	case err != nil:
		return nil, &DamagedError{Path: path, Err: err}
	}
	if err := db.Update(func(tx *bbolt.Tx) error {
		_, err := tx.CreateBucketIfNotExists(bucket)
		return err
	}); err != nil {
		db.Close()
		return nil, fmt.Errorf("boltstore: %s: %w", path, err)
	}
	return &Store{db: db}, nil
}

// Get implements [rollout.Store].
func (s *Store) Get(ctx context.Context, key string) (entry rollout.Entry, err error) {
	if err := ctx.Err(); err != nil {
		return entry, err
	}
	defer contain(s.db.Path(), key, &err)()
	err = s.db.View(func(tx *bbolt.Tx) error {
		raw := tx.Bucket(bucket).Get([]byte(key))
		if raw == nil {
			return fmt.Errorf("boltstore: %s: %w", key, rollout.ErrNotFound)
		}
		entry, err = s.decode(key, raw)
		return err
	})
	return entry, wrap(err)
}

// Put implements [rollout.Store].
func (s *Store) Put(ctx context.Context, key string, value []byte, prev rollout.Revision) (rev rollout.Revision, err error) {
	if err := ctx.Err(); err != nil {
		return "", err
	}
	defer contain(s.db.Path(), key, &err)()
	err = s.db.Update(func(tx *bbolt.Tx) error {
		b := tx.Bucket(bucket)
		var current rollout.Revision
		if raw := b.Get([]byte(key)); raw != nil {
			// A damaged value can be replaced by whoever has its revision, and
			// by nobody else.
			if len(raw) >= headerSize {
				current = revision(binary.BigEndian.Uint64(raw))
			} else {
				current = "damaged"
			}
		}
		if current != prev {
			return fmt.Errorf("boltstore: %s: %w", key, rollout.ErrConflict)
		}
		n, err := b.NextSequence()
		if err != nil {
			return err
		}
		rev = revision(n)
		return b.Put([]byte(key), encode(n, value))
	})
	return rev, wrap(err)
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
		if err := s.list(ctx, prefix, &entries); err != nil {
			yield(rollout.Entry{}, err)
			return
		}
		for _, e := range entries {
			if !yield(e, nil) {
				return
			}
		}
	}
}

func (s *Store) list(ctx context.Context, prefix string, entries *[]rollout.Entry) (err error) {
	if err := ctx.Err(); err != nil {
		return err
	}
	defer contain(s.db.Path(), prefix, &err)()
	return wrap(s.db.View(func(tx *bbolt.Tx) error {
		c := tx.Bucket(bucket).Cursor()
		for k, raw := c.Seek([]byte(prefix)); k != nil && bytes.HasPrefix(k, []byte(prefix)); k, raw = c.Next() {
			e, err := s.decode(string(k), raw)
			if err != nil {
				return err
			}
			*entries = append(*entries, e)
		}
		return nil
	}))
}

// Close implements [rollout.Store]. It waits for running transactions.
func (s *Store) Close() error { return s.db.Close() }

// A stored value is an 8-byte revision, a 4-byte CRC-32C of revision and
// value, and the value.
const headerSize = 8 + 4

var castagnoli = crc32.MakeTable(crc32.Castagnoli)

func encode(rev uint64, value []byte) []byte {
	raw := make([]byte, headerSize, headerSize+len(value))
	binary.BigEndian.PutUint64(raw, rev)
	raw = append(raw, value...)
	binary.BigEndian.PutUint32(raw[8:], sum(raw))
	return raw
}

func (s *Store) decode(key string, raw []byte) (rollout.Entry, error) {
	if len(raw) < headerSize {
		return rollout.Entry{}, &DamagedError{Path: s.db.Path(), Key: key, Err: fmt.Errorf("%d bytes are too few", len(raw))}
	}
	if want, got := binary.BigEndian.Uint32(raw[8:]), sum(raw); want != got {
		return rollout.Entry{}, &DamagedError{Path: s.db.Path(), Key: key, Err: fmt.Errorf("checksum %08x, want %08x", got, want)}
	}
	return rollout.Entry{
		Key:      key,
		Value:    bytes.Clone(raw[headerSize:]), // raw is only valid during the transaction
		Revision: revision(binary.BigEndian.Uint64(raw)),
	}, nil
}

func sum(raw []byte) uint32 {
	return crc32.Update(crc32.Checksum(raw[:8], castagnoli), castagnoli, raw[headerSize:])
}

func revision(n uint64) rollout.Revision { return rollout.Revision(strconv.FormatUint(n, 10)) }

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
