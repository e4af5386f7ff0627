package storetest

import (
	"bytes"
	"errors"
	"strconv"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/serin-go/serin/rollout"
)

func tooLarge(t *testing.T, s rollout.Store) {
	value := bytes.Repeat([]byte{7}, rollout.MaxValue+1)
	refused := func(key string, prev rollout.Revision) {
		t.Helper()
		_, err := s.Put(t.Context(), key, value, prev)
		var size *rollout.ValueSizeError
		if !errors.As(err, &size) || size.Key != key || size.Size != len(value) || errors.Is(err, rollout.ErrConflict) {
			t.Errorf("Put(%s) of %d bytes = %v; want a ValueSizeError, or a document would grow until no store takes it", key, len(value), err)
		}
	}
	refused("new", "")
	if e, err := s.Get(t.Context(), "new"); !errors.Is(err, rollout.ErrNotFound) {
		t.Errorf("Get after a value was refused = %d bytes, %v; want ErrNotFound", len(e.Value), err)
	}
	rev := put(t, s, "old", "small", "")
	refused("old", rev)
	wantValue(t, s, "old", "small")
	put(t, s, "old", "smaller", rev)
}

func wantNone(t *testing.T, s rollout.Store, key string) {
	t.Helper()
	if e, err := s.Get(t.Context(), key); !errors.Is(err, rollout.ErrNotFound) {
		t.Fatalf("Get(%s) after it was deleted = %q, %v; want ErrNotFound", key, e.Value, err)
	}
}

func remove(t *testing.T, s rollout.Store, key string, prev rollout.Revision) {
	t.Helper()
	if err := s.Delete(t.Context(), key, prev); err != nil {
		t.Fatalf("Delete(%s, prev %q): %v", key, prev, err)
	}
}

func deletes(t *testing.T, s rollout.Store) {
	keys := []string{"a/1", "a/10", "a/2", "b"}
	revs := make(map[string]rollout.Revision)
	for _, key := range keys {
		revs[key] = put(t, s, key, key, "")
	}
	remove(t, s, "a/1", revs["a/1"])
	wantNone(t, s, "a/1")
	for _, key := range keys[1:] {
		wantValue(t, s, key, key)
	}
	listed := func(prefix string) (got []string) {
		for e, err := range s.List(t.Context(), prefix) {
			if err != nil {
				t.Fatalf("List(%q): %v", prefix, err)
			}
			got = append(got, e.Key)
		}
		return got
	}
	if diff := cmp.Diff([]string{"a/10", "a/2"}, listed("a/")); diff != "" {
		t.Errorf("List after Delete (-want +got):\n%s", diff)
	}
	for _, key := range keys[1:] {
		remove(t, s, key, revs[key])
	}
	if got := listed(""); len(got) > 0 {
		t.Errorf("List of a store of which all keys were deleted = %q", got)
	}
	put(t, s, "b", "again", "")
	wantValue(t, s, "b", "again")
	if diff := cmp.Diff([]string{"b"}, listed("")); diff != "" {
		t.Errorf("List after a key was put again (-want +got):\n%s", diff)
	}
}

func deleteCompares(t *testing.T, s rollout.Store) {
	r1 := put(t, s, "k", "1", "")
	r2 := put(t, s, "k", "2", r1)
	other := put(t, s, "other", "1", "")
	for _, c := range []struct {
		key  string
		prev rollout.Revision
		why  string
	}{
		{"k", r1, "the revision of an older state, or a change would be lost that the caller has not seen"},
		{"k", "", "no revision"},
		{"k", "never given out", "a revision that was never given out"},
		{"k", other, "the revision of another key"},
		{"none", "", "a key that does not exist and no revision"},
		{"none", r2, "a key that does not exist"},
	} {
		if err := s.Delete(t.Context(), c.key, c.prev); !errors.Is(err, rollout.ErrConflict) {
			t.Errorf("Delete(%s, prev %q) = %v; want ErrConflict for %s", c.key, c.prev, err, c.why)
		}
	}
	if got := wantValue(t, s, "k", "2"); got != r2 {
		t.Errorf("the revision is %q after deletes that were refused, want %q", got, r2)
	}
	remove(t, s, "k", r2)
	for _, prev := range []rollout.Revision{r2, ""} {
		if err := s.Delete(t.Context(), "k", prev); !errors.Is(err, rollout.ErrConflict) {
			t.Errorf("second Delete, prev %q = %v; want ErrConflict", prev, err)
		}
	}
	if _, err := s.Put(t.Context(), "k", []byte("3"), r2); !errors.Is(err, rollout.ErrConflict) {
		t.Errorf("Put with the revision of a value that was deleted = %v; want ErrConflict", err)
	}
	wantNone(t, s, "k")
}

func deletedRevisions(t *testing.T, s rollout.Store) {
	seen := make(map[rollout.Revision]bool)
	var old rollout.Revision
	for range 20 {
		rev := put(t, s, "k", "same", "")
		if seen[rev] {
			t.Fatalf("revision %q was given out again after a Delete; then a late write could replace a value that its writer has never seen", rev)
		}
		if seen[rev] = true; old != "" {
			if _, err := s.Put(t.Context(), "k", []byte("late"), old); !errors.Is(err, rollout.ErrConflict) {
				t.Fatalf("Put with a revision from before a Delete = %v; want ErrConflict", err)
			}
			if err := s.Delete(t.Context(), "k", old); !errors.Is(err, rollout.ErrConflict) {
				t.Fatalf("Delete with a revision from before a Delete = %v; want ErrConflict", err)
			}
		}
		remove(t, s, "k", rev)
		old = rev
	}
}

// deletesTogether has many delete one value, while others replace it: one of them wins.
func deletesTogether(t *testing.T, s rollout.Store) {
	for round := range 10 {
		key := "k/" + strconv.Itoa(round)
		rev := put(t, s, key, "v", "")
		var wg sync.WaitGroup
		var mu sync.Mutex
		deleted, replaced := 0, 0
		for i := range 8 {
			wg.Go(func() {
				var err error
				if i%2 == 0 {
					err = s.Delete(t.Context(), key, rev)
				} else {
					_, err = s.Put(t.Context(), key, []byte("w"), rev)
				}
				mu.Lock()
				defer mu.Unlock()
				switch {
				case err == nil && i%2 == 0:
					deleted++
				case err == nil:
					replaced++
				case !errors.Is(err, rollout.ErrConflict):
					t.Errorf("one of several writes = %v; want ErrConflict", err)
				}
			})
		}
		wg.Wait()
		if deleted+replaced != 1 {
			t.Fatalf("one revision was deleted %d times and replaced %d times, want one of the two", deleted, replaced)
		}
		if deleted == 1 {
			wantNone(t, s, key)
		} else {
			wantValue(t, s, key, "w")
		}
	}
}

func watchDelete(t *testing.T, s rollout.Store) {
	rev := put(t, s, "k", "v", "")
	hints, err := s.Watch(t.Context(), "k")
	if err != nil {
		t.Fatalf("Watch: %v", err)
	}
	if hints == nil {
		t.Skip("this store gives no hints, which is allowed")
	}
	remove(t, s, "k", rev)
	select {
	case <-hints:
	case <-time.After(10 * time.Second):
		t.Error("no hint 10 s after a Delete that came after Watch had returned")
	}
}
