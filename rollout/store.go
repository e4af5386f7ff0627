package rollout

import (
	"context"
	"errors"
	"fmt"
	"iter"
)

// The errors of a [Store] that its callers branch on.
var (
	// ErrNotFound says that there is no value under the key, or no such rollout.
	ErrNotFound = errors.New("rollout: not found")
	// ErrConflict says that a Put or a Delete was not applied because the revision is
	// not the one that was expected. It means nothing else: not that another value
	// is visible already.
	ErrConflict = errors.New("rollout: conflict: the value has changed")
	// ErrDamaged says that what is stored is not what was written. With it, Get
	// returns the revision by which Put may replace it, and what is left of the
	// value, if there is such a revision.
	ErrDamaged = errors.New("rollout: damaged")
	// ErrClosed says that the store or the engine has been closed.
	ErrClosed = errors.New("rollout: closed")
)

// MaxValue is the size of the largest value that a [Store] takes, in bytes.
const MaxValue = 256 << 10

// ValueSizeError means that a value is larger than [MaxValue], and that nothing was
// written.
type ValueSizeError struct {
	Key  string
	Size int // in bytes
}

func (e *ValueSizeError) Error() string {
	return fmt.Sprintf("rollout: value of %s: too large (have %d bytes, want at most %d)", e.Key, e.Size, MaxValue)
}

// Revision identifies one state of one key. It is opaque and only good for
// [Store.Put] and [Store.Delete]: it says nothing about order. The empty Revision
// means that the key does not exist.
type Revision string

// Entry is a value as it was read from a [Store].
type Entry struct {
	Key      string
	Value    []byte
	Revision Revision
}

// Store keeps small documents, one under each key. The engine needs nothing
// else from it: no lease, no expiry, no transaction over several keys.
// Everything that must change together is in one value.
//
// Rules for implementers; package storetest tests them:
//
//   - Methods may be called concurrently.
//   - Keys match [a-z0-9/._-]{1,200}; values have at most [MaxValue] bytes. Put of a
//     larger one writes nothing and returns a [*ValueSizeError].
//   - Get returns the newest committed value, or an error that wraps
//     ErrNotFound, or ErrDamaged: never another value than was stored.
//   - Put stores value if the key's revision is prev; prev "" creates the key.
//     An error that wraps ErrConflict means that it was not applied, and
//     nothing else. Any other error means that the outcome is unknown. When Put
//     returns nil the value survives whatever the store promises to survive.
//   - Delete removes the key if its revision is prev. An error that wraps ErrConflict
//     means that it was not applied: the key has another revision, there is no such
//     key, or prev is "". Any other error means that the outcome is unknown. After
//     Delete the key does not exist, as if it had never been put.
//   - A revision is never given out twice for one key, even for equal values, and not
//     after the key was deleted.
//   - Watch returns a channel that receives after values under the prefix may
//     have changed, until ctx ends. It is a hint: it may miss, repeat and
//     coalesce changes, and may be nil.
//   - List yields the entries whose keys begin with prefix, in order of keys.
//     After an error it yields nothing more.
//   - After Close every method returns an error that wraps ErrClosed.
type Store interface {
	Get(ctx context.Context, key string) (Entry, error)
	Put(ctx context.Context, key string, value []byte, prev Revision) (Revision, error)
	Delete(ctx context.Context, key string, prev Revision) error
	Watch(ctx context.Context, prefix string) (<-chan struct{}, error)
	List(ctx context.Context, prefix string) iter.Seq2[Entry, error]
	Close() error
}

// Sharer is an optional interface for a [Store]. Shared reports whether other processes
// may use the store at the same time.
type Sharer interface {
	Shared() bool
}

// Conditional is an optional interface for a [Store] that can leave out values which the
// caller has. If it is not implemented, the engine reads them again and again, which
// matters where many processes share the store.
//
// An entry whose value was left out has a nil Value and the revision that is known.
// Otherwise the methods are Get and List.
type Conditional interface {
	// GetIf leaves out the value if the revision of key is known.
	GetIf(ctx context.Context, key string, known Revision) (Entry, error)
	// ListIf leaves out each value whose revision is known[key].
	ListIf(ctx context.Context, prefix string, known map[string]Revision) iter.Seq2[Entry, error]
}
