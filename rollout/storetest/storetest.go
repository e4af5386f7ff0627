// Package storetest is a conformance suite for implementations of [rollout.Store]. It
// tests the rules that the engine relies on. A store's own test is a few lines:
//
//	func TestStore(t *testing.T) {
//		storetest.Run(t, func(t *testing.T) rollout.Store { ... })
//	}
//
// A failure names the rule that was broken and why the engine needs it.
package storetest

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"runtime"
	"strconv"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/serin-go/serin/rollout"
)

// Run runs the suite. open returns a new, empty store each time; Run closes it.
func Run(t *testing.T, open func(t *testing.T) rollout.Store) {
	for _, c := range []struct {
		name string
		test func(t *testing.T, s rollout.Store)
	}{
		{"GetUnknown", getUnknown},
		{"CreateOnlyOnce", createOnlyOnce},
		{"CompareAndSet", compareAndSet},
		{"EqualValuesGetNewRevisions", newRevisions},
		{"Values", values},
		{"ValuesTooLarge", tooLarge},
		{"ValuesAreCopies", copies},
		{"List", list},
		{"Conditional", conditional},
		{"Increments", increments},
		{"CancelledContext", cancelled},
		{"Delete", deletes},
		{"DeleteComparesRevisions", deleteCompares},
		{"DeletedKeysGetNewRevisions", deletedRevisions},
		{"DeletesOfOneKey", deletesTogether},
		{"Linearizable", linearizable},
		{"Watch", watch},
		{"WatchDelete", watchDelete},
		{"Closed", closed},
	} {
		t.Run(c.name, func(t *testing.T) {
			s := open(t)
			t.Cleanup(func() { s.Close() })
			c.test(t, s)
		})
	}
}

func put(t *testing.T, s rollout.Store, key, value string, prev rollout.Revision) rollout.Revision {
	t.Helper()
	rev, err := s.Put(t.Context(), key, []byte(value), prev)
	if err != nil {
		t.Fatalf("Put(%s, %q, prev %q): %v", key, value, prev, err)
	}
	return rev
}

func wantValue(t *testing.T, s rollout.Store, key, want string) rollout.Revision {
	t.Helper()
	e, err := s.Get(t.Context(), key)
	if err != nil || string(e.Value) != want || e.Key != key {
		t.Fatalf("Get(%s) = %q, %v under key %q; want %q", key, e.Value, err, e.Key, want)
	}
	return e.Revision
}

func getUnknown(t *testing.T, s rollout.Store) {
	if e, err := s.Get(t.Context(), "rollout/none"); !errors.Is(err, rollout.ErrNotFound) {
		t.Errorf("Get of a key that was never put = %v, %v; want an error that wraps ErrNotFound, or the engine cannot distinguish a new target from a failing store", e, err)
	}
}

func createOnlyOnce(t *testing.T, s rollout.Store) {
	put(t, s, "audit/a/1", "first", "")
	if _, err := s.Put(t.Context(), "audit/a/1", []byte("second"), ""); !errors.Is(err, rollout.ErrConflict) {
		t.Errorf("second Put with prev \"\" = %v; want ErrConflict, or an audit entry could be replaced", err)
	}
	wantValue(t, s, "audit/a/1", "first")
}

func compareAndSet(t *testing.T, s rollout.Store) {
	r1 := put(t, s, "k", "1", "")
	if got := wantValue(t, s, "k", "1"); got != r1 {
		t.Errorf("Get's revision = %q, Put's %q; want the same, or the first write after a start would conflict", got, r1)
	}
	r2 := put(t, s, "k", "2", r1)
	for _, prev := range []rollout.Revision{r1, "", "never given out"} {
		if _, err := s.Put(t.Context(), "k", []byte("3"), prev); !errors.Is(err, rollout.ErrConflict) {
			t.Errorf("Put with revision %q of an older state = %v; want ErrConflict, or a replaced driver could still write", prev, err)
		}
	}
	if _, err := s.Put(t.Context(), "other", []byte("3"), r2); !errors.Is(err, rollout.ErrConflict) {
		t.Errorf("Put of a new key with another key's revision = %v; want ErrConflict", err)
	}
	wantValue(t, s, "k", "2")
}

func newRevisions(t *testing.T, s rollout.Store) {
	seen := map[rollout.Revision]bool{}
	var rev rollout.Revision
	for i := range 50 {
		rev = put(t, s, "k", strconv.Itoa(i%2), rev)
		if seen[rev] || rev == "" {
			t.Fatalf("revision %q was given out twice, or is empty; then a write could be bound to a state that is long gone", rev)
		}
		seen[rev] = true
	}
}

func values(t *testing.T, s rollout.Store) {
	for name, value := range map[string][]byte{
		"empty":   {},
		"nul":     {0, 1, 0},
		"utf8":    []byte("żółć 🐦"),
		"invalid": {0xff, 0xfe},
		"256kib":  bytes.Repeat([]byte{7}, 256<<10),
	} {
		if _, err := s.Put(t.Context(), name, value, ""); err != nil {
			t.Errorf("%s: Put: %v", name, err)
			continue
		}
		if e, err := s.Get(t.Context(), name); err != nil || !bytes.Equal(e.Value, value) {
			t.Errorf("%s: Get = %d bytes, %v; want the %d bytes that were put", name, len(e.Value), err, len(value))
		}
	}
}

func copies(t *testing.T, s rollout.Store) {
	value := []byte("before")
	if _, err := s.Put(t.Context(), "k", value, ""); err != nil {
		t.Fatal(err)
	}
	copy(value, "after!")
	wantValue(t, s, "k", "before")
	e, _ := s.Get(t.Context(), "k")
	copy(e.Value, "after!")
	wantValue(t, s, "k", "before")
}

func list(t *testing.T, s rollout.Store) {
	for _, key := range []string{"b/2", "a/1", "b/1", "b/10", "c"} {
		put(t, s, key, key, "")
	}
	keys := func(prefix string, limit int) (got []string) {
		for e, err := range s.List(t.Context(), prefix) {
			if err != nil {
				t.Fatalf("List(%q): %v", prefix, err)
			}
			if string(e.Value) != e.Key || e.Revision == "" {
				t.Errorf("List(%q) yields value %q and revision %q under key %q", prefix, e.Value, e.Revision, e.Key)
			}
			if got = append(got, e.Key); len(got) == limit {
				break
			}
		}
		return got
	}
	for _, c := range []struct {
		prefix string
		limit  int
		want   []string
	}{
		{"", 0, []string{"a/1", "b/1", "b/10", "b/2", "c"}},
		{"b/", 0, []string{"b/1", "b/10", "b/2"}},
		{"b/", 2, []string{"b/1", "b/10"}},
		{"nothing", 0, nil},
	} {
		if diff := cmp.Diff(c.want, keys(c.prefix, c.limit)); diff != "" {
			t.Errorf("List(%q), %d at most (-want +got):\n%s", c.prefix, c.limit, diff)
		}
	}
}

// increments makes many writers fight for one key: each success must be built
// upon the one before it.
func increments(t *testing.T, s rollout.Store) {
	const writers, times = 16, 20
	put(t, s, "n", "0", "")
	var wg sync.WaitGroup
	errs := make(chan error, writers)
	for range writers {
		wg.Go(func() {
			for range times {
				if err := increment(t.Context(), s); err != nil {
					errs <- err
					return
				}
			}
		})
	}
	wg.Wait()
	close(errs)
	for err := range errs {
		t.Error(err)
	}
	wantValue(t, s, "n", strconv.Itoa(writers*times))
}

func increment(ctx context.Context, s rollout.Store) error {
	for {
		e, err := s.Get(ctx, "n")
		if err != nil {
			return err
		}
		n, err := strconv.Atoi(string(e.Value))
		if err != nil {
			return fmt.Errorf("a torn value: %w", err)
		}
		runtime.Gosched() // so that others come between, even in a fast store
		_, err = s.Put(ctx, "n", []byte(strconv.Itoa(n+1)), e.Revision)
		if !errors.Is(err, rollout.ErrConflict) {
			return err
		}
	}
}

func linearizable(t *testing.T, s rollout.Store) {
	ctx, cancel := context.WithTimeout(t.Context(), 500*time.Millisecond)
	defer cancel()
	Linearizable(ctx, t, []rollout.Store{s}, nil)
}

func cancelled(t *testing.T, s rollout.Store) {
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if _, err := s.Put(ctx, "k", []byte("v"), ""); err == nil {
		wantValue(t, s, "k", "v") // done in time; then it must be there
	} else if errors.Is(err, rollout.ErrConflict) {
		t.Errorf("Put with a cancelled context = %v; ErrConflict means \"not applied\" and nothing else", err)
	}
}

func watch(t *testing.T, s rollout.Store) {
	hints, err := s.Watch(t.Context(), "k")
	if err != nil {
		t.Fatalf("Watch: %v", err)
	}
	if hints == nil {
		t.Skip("this store gives no hints, which is allowed")
	}
	put(t, s, "k", "v", "")
	select {
	case <-hints:
	case <-time.After(10 * time.Second):
		t.Error("no hint 10 s after a Put that came after Watch had returned")
	}
}

func conditional(t *testing.T, s rollout.Store) {
	c, ok := s.(rollout.Conditional)
	if !ok {
		t.Skip("this store has no rollout.Conditional, which is allowed")
	}
	first := put(t, s, "evidence/a/1", "one", "")
	second := put(t, s, "evidence/a/2", "two", "")
	put(t, s, "evidence/b/1", "other", "")
	for _, q := range []struct {
		known rollout.Revision
		want  string
	}{{first, ""}, {second, "one"}, {"", "one"}, {"never given out", "one"}} {
		e, err := c.GetIf(t.Context(), "evidence/a/1", q.known)
		if err != nil || string(e.Value) != q.want || e.Revision != first || e.Key != "evidence/a/1" {
			t.Errorf("GetIf of revision %q where %q is known = %q, revision %q, %v; want %q, or the engine would read what it knows, or not see what is new", first, q.known, e.Value, e.Revision, err, q.want)
		}
	}
	if e, err := c.GetIf(t.Context(), "rollout/none", first); !errors.Is(err, rollout.ErrNotFound) {
		t.Errorf("GetIf of a key that was never put = %v, %v; want an error that wraps ErrNotFound, since what is lost is not unchanged", e, err)
	}
	newer := put(t, s, "evidence/a/1", "three", first)
	var got []string
	for e, err := range c.ListIf(t.Context(), "evidence/a/", map[string]rollout.Revision{"evidence/a/1": first, "evidence/a/2": second, "evidence/a/3": first}) {
		if err != nil {
			t.Fatalf("ListIf: %v", err)
		}
		got = append(got, fmt.Sprintf("%s %s %q", e.Key, e.Revision, e.Value))
	}
	want := []string{fmt.Sprintf("evidence/a/1 %s %q", newer, "three"), fmt.Sprintf("evidence/a/2 %s %q", second, "")}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("ListIf where the second is known (-want +got):\n%s", diff)
	}
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	if _, err := c.GetIf(t.Context(), "evidence/a/1", first); !errors.Is(err, rollout.ErrClosed) {
		t.Errorf("GetIf after Close = %v; want ErrClosed", err)
	}
	for _, err := range c.ListIf(t.Context(), "", nil) {
		if !errors.Is(err, rollout.ErrClosed) {
			t.Errorf("ListIf after Close = %v; want ErrClosed", err)
		}
	}
}

func closed(t *testing.T, s rollout.Store) {
	rev := put(t, s, "k", "v", "")
	if err := s.Close(); err != nil {
		t.Fatalf("Close: %v", err)
	}
	if _, err := s.Get(t.Context(), "k"); !errors.Is(err, rollout.ErrClosed) {
		t.Errorf("Get after Close = %v; want ErrClosed", err)
	}
	if _, err := s.Put(t.Context(), "k", nil, ""); !errors.Is(err, rollout.ErrClosed) {
		t.Errorf("Put after Close = %v; want ErrClosed", err)
	}
	if err := s.Delete(t.Context(), "k", rev); !errors.Is(err, rollout.ErrClosed) {
		t.Errorf("Delete after Close = %v; want ErrClosed", err)
	}
	for _, err := range s.List(t.Context(), "") {
		if !errors.Is(err, rollout.ErrClosed) {
			t.Errorf("List after Close = %v; want ErrClosed", err)
		}
	}
}
