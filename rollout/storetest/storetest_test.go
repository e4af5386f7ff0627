package storetest_test

import (
	"context"
	"errors"
	"iter"
	"os"
	"os/exec"
	"slices"
	"strings"
	"sync"
	"testing"

	"github.com/serin-go/serin/rollout"
	"github.com/serin-go/serin/rollout/memstore"
	"github.com/serin-go/serin/rollout/storetest"
)

// broken are stores that break one rule each, by the test that must notice; what
// follows a # tells those apart that the same one must notice.
var broken = map[string]func() rollout.Store{
	"CompareAndSet": func() rollout.Store { return &lastWins{new(memstore.Store)} },
	"CreateOnlyOnce": func() rollout.Store {
		return &override{Store: new(memstore.Store), put: func(s rollout.Store, ctx context.Context, key string, value []byte, prev rollout.Revision) (rollout.Revision, error) {
			if e, err := s.Get(ctx, key); prev == "" && err == nil {
				prev = e.Revision // "create" replaces
			}
			return s.Put(ctx, key, value, prev)
		}}
	},
	"Increments": func() rollout.Store {
		return &override{Store: new(memstore.Store), put: func(s rollout.Store, ctx context.Context, key string, value []byte, prev rollout.Revision) (rollout.Revision, error) {
			rev, err := s.Put(ctx, key, value, prev)
			if e, getErr := s.Get(ctx, key); err != nil && getErr == nil && key == "n" {
				s.Put(ctx, key, value, e.Revision) // a conflict that was applied after all
			}
			return rev, err
		}}
	},
	"ValuesAreCopies": func() rollout.Store { return &sharing{Store: new(memstore.Store), last: map[string][]byte{}} },
	"List":            func() rollout.Store { return &unordered{new(memstore.Store)} },
	"Values": func() rollout.Store {
		return &override{Store: new(memstore.Store), put: func(s rollout.Store, ctx context.Context, key string, value []byte, prev rollout.Revision) (rollout.Revision, error) {
			return s.Put(ctx, key, []byte(strings.ToValidUTF8(string(value), "?")), prev)
		}}
	},
	"Closed":         func() rollout.Store { return &immortal{new(memstore.Store)} },
	"ValuesTooLarge": func() rollout.Store { return &cutting{new(memstore.Store)} },
	"Delete":         func() rollout.Store { return &tombs{new(memstore.Store)} },
	"DeleteComparesRevisions": func() rollout.Store {
		return &deleter{Store: new(memstore.Store), del: func(s rollout.Store, ctx context.Context, key string, _ rollout.Revision) error {
			e, _ := s.Get(ctx, key)
			return s.Delete(ctx, key, e.Revision)
		}}
	},
	"DeleteComparesRevisions#idempotent": func() rollout.Store {
		return &deleter{Store: new(memstore.Store), del: func(s rollout.Store, ctx context.Context, key string, prev rollout.Revision) error {
			if _, err := s.Get(ctx, key); errors.Is(err, rollout.ErrNotFound) {
				return nil
			}
			return s.Delete(ctx, key, prev)
		}}
	},
	"DeletedKeysGetNewRevisions": func() rollout.Store {
		return &forgetful{Store: new(memstore.Store), revs: map[string]rollout.Revision{}}
	},
	"DeletesOfOneKey": func() rollout.Store {
		return &deleter{Store: new(memstore.Store), del: func(s rollout.Store, ctx context.Context, key string, prev rollout.Revision) error {
			if err := s.Delete(ctx, key, prev); strings.HasPrefix(key, "k/") && prev != "" {
				return nil // another writer may have been first
			} else {
				return err
			}
		}}
	},
	"WatchDelete":  func() rollout.Store { return &deaf{Store: new(memstore.Store)} },
	"Linearizable": func() rollout.Store { return &replicated{Store: new(memstore.Store)} },
}

type override struct {
	rollout.Store
	put func(s rollout.Store, ctx context.Context, key string, value []byte, prev rollout.Revision) (rollout.Revision, error)
}

func (o *override) Put(ctx context.Context, key string, value []byte, prev rollout.Revision) (rollout.Revision, error) {
	return o.put(o.Store, ctx, key, value, prev)
}

// deleter deletes otherwise.
type deleter struct {
	rollout.Store
	del func(s rollout.Store, ctx context.Context, key string, prev rollout.Revision) error
}

func (d *deleter) Delete(ctx context.Context, key string, prev rollout.Revision) error {
	return d.del(d.Store, ctx, key, prev)
}

// cutting stores the beginning of what is too large.
type cutting struct{ rollout.Store }

func (c *cutting) Put(ctx context.Context, key string, value []byte, prev rollout.Revision) (rollout.Revision, error) {
	return c.Store.Put(ctx, key, value[:min(len(value), rollout.MaxValue)], prev)
}

// tombs lists what was deleted, as an empty value.
type tombs struct{ rollout.Store }

const tomb = "\x00deleted"

func (s *tombs) Delete(ctx context.Context, key string, prev rollout.Revision) error {
	if prev == "" {
		return rollout.ErrConflict
	}
	_, err := s.Store.Put(ctx, key, []byte(tomb), prev)
	return err
}

func (s *tombs) Get(ctx context.Context, key string) (rollout.Entry, error) {
	e, err := s.Store.Get(ctx, key)
	if string(e.Value) == tomb {
		return rollout.Entry{}, rollout.ErrNotFound
	}
	return e, err
}

// forgetful begins to count the revisions of a key again after it was deleted.
type forgetful struct {
	rollout.Store
	mu   sync.Mutex
	revs map[string]rollout.Revision // of the store below
}

func (f *forgetful) Put(ctx context.Context, key string, value []byte, prev rollout.Revision) (rollout.Revision, error) {
	if key != "k" {
		return f.Store.Put(ctx, key, value, prev)
	}
	f.mu.Lock()
	defer f.mu.Unlock()
	if prev == "1" {
		prev = f.revs[key]
	}
	rev, err := f.Store.Put(ctx, key, value, prev)
	if err != nil {
		return "", err
	}
	f.revs[key] = rev
	return "1", nil
}

func (f *forgetful) Delete(ctx context.Context, key string, prev rollout.Revision) error {
	f.mu.Lock()
	defer f.mu.Unlock()
	if key == "k" && prev == "1" {
		prev = f.revs[key]
	}
	return f.Store.Delete(ctx, key, prev)
}

// deaf gives hints of what is put alone.
type deaf struct {
	rollout.Store
	puts []chan struct{}
}

func (d *deaf) Watch(context.Context, string) (<-chan struct{}, error) {
	d.puts = append(d.puts, make(chan struct{}, 100))
	return d.puts[len(d.puts)-1], nil
}

func (d *deaf) Put(ctx context.Context, key string, value []byte, prev rollout.Revision) (rollout.Revision, error) {
	for _, c := range d.puts {
		c <- struct{}{}
	}
	return d.Store.Put(ctx, key, value, prev)
}

// lastWins ignores the revision.
type lastWins struct{ rollout.Store }

func (l *lastWins) Put(ctx context.Context, key string, value []byte, _ rollout.Revision) (rollout.Revision, error) {
	e, _ := l.Get(ctx, key)
	return l.Store.Put(ctx, key, value, e.Revision)
}

// sharing hands out the memory that it was given.
type sharing struct {
	rollout.Store
	last map[string][]byte
}

func (s *sharing) Put(ctx context.Context, key string, value []byte, prev rollout.Revision) (rollout.Revision, error) {
	rev, err := s.Store.Put(ctx, key, value, prev)
	if err == nil {
		s.last[key] = value
	}
	return rev, err
}

func (s *sharing) Get(ctx context.Context, key string) (rollout.Entry, error) {
	e, err := s.Store.Get(ctx, key)
	if err == nil {
		e.Value = s.last[key]
	}
	return e, err
}

// unordered lists from the last key to the first.
type unordered struct{ rollout.Store }

func (u *unordered) List(ctx context.Context, prefix string) iter.Seq2[rollout.Entry, error] {
	return func(yield func(rollout.Entry, error) bool) {
		var all []rollout.Entry
		for e, err := range u.Store.List(ctx, prefix) {
			if err != nil {
				yield(e, err)
				return
			}
			all = append(all, e)
		}
		for _, e := range slices.Backward(all) {
			if !yield(e, nil) {
				return
			}
		}
	}
}

// replicated answers some Gets from a replica that is a little behind, as
// databases do that read from the nearest server.
type replicated struct {
	rollout.Store
	mu     sync.Mutex
	behind map[string]rollout.Entry
	gets   int
}

func (r *replicated) Get(ctx context.Context, key string) (rollout.Entry, error) {
	e, err := r.Store.Get(ctx, key)
	r.mu.Lock()
	defer r.mu.Unlock()
	if err != nil || !strings.HasPrefix(key, "linearizable/") {
		return e, err
	}
	if r.gets++; r.gets%20 == 0 && r.behind[key].Key != "" {
		return r.behind[key], nil
	}
	if r.behind == nil {
		r.behind = make(map[string]rollout.Entry)
	}
	if r.gets%3 == 0 {
		r.behind[key] = e
	}
	return e, nil
}

// immortal goes on after Close.
type immortal struct{ rollout.Store }

func (*immortal) Close() error { return nil }

const brokenEnv = "STORETEST_BROKEN"

// TestOne runs the suite over one broken store. It is for TestBrokenStores,
// which wants it to fail.
func TestOne(t *testing.T) {
	open, ok := broken[os.Getenv(brokenEnv)]
	if !ok {
		t.Skip("runs only as a process of TestBrokenStores")
	}
	storetest.Run(t, func(*testing.T) rollout.Store { return open() })
}

// TestBrokenStores: each broken store is found out by the test that is about
// its rule.
func TestBrokenStores(t *testing.T) {
	if os.Getenv(brokenEnv) != "" {
		t.Skip("a process of its own")
	}
	exe, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	for name := range broken {
		rule, _, _ := strings.Cut(name, "#")
		cmd := exec.Command(exe, "-test.run=TestOne/"+rule+"$", "-test.v")
		cmd.Env = append(os.Environ(), brokenEnv+"="+name)
		out, err := cmd.CombinedOutput()
		if err == nil || !strings.Contains(string(out), "--- FAIL: TestOne/"+rule) {
			t.Errorf("the store that breaks %s was not found out: %v\n%s", name, err, out)
		}
	}
}
