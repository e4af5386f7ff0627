package boltstore_test

import (
	"errors"
	"fmt"
	"path/filepath"
	"testing"

	"github.com/serin-go/serin/rollout"
	"github.com/serin-go/serin/rollout/boltstore"
)

// TestReopenAfterDeletes: the record of all entries counts those that are left, and a
// revision from before a deletion stays used after a restart.
func TestReopenAfterDeletes(t *testing.T) {
	path := filepath.Join(t.TempDir(), "serin.db")
	seen := make(map[rollout.Revision]bool)
	for round := range 4 {
		s, err := boltstore.Open(path)
		if err != nil {
			t.Fatal(err)
		}
		revs := make(map[string]rollout.Revision)
		for i := range 200 {
			key := fmt.Sprintf("k/%d", i)
			if revs[key], err = s.Put(t.Context(), key, make([]byte, i*10), ""); err != nil {
				t.Fatalf("round %d: %v", round, err)
			}
			if seen[revs[key]] {
				t.Fatalf("revision %s was given out before the restart", revs[key])
			}
			seen[revs[key]] = true
		}
		for key, rev := range revs {
			if err := s.Delete(t.Context(), key, rev); err != nil {
				t.Fatal(err)
			}
		}
		if _, err := s.Get(t.Context(), "k/1"); !errors.Is(err, rollout.ErrNotFound) {
			t.Errorf("after a delete: %v", err)
		}
		if err := s.Close(); err != nil {
			t.Fatal(err)
		}
	}
}
