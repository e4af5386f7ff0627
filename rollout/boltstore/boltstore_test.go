package boltstore_test

import (
	"errors"
	"fmt"
	"math/rand/v2"
	"os"
	"path/filepath"
	"testing"

	"github.com/serin-go/serin/rollout"
	"github.com/serin-go/serin/rollout/boltstore"
	"github.com/serin-go/serin/rollout/storetest"
)

func open(t *testing.T) *boltstore.Store {
	t.Helper()
	s, err := boltstore.Open(filepath.Join(t.TempDir(), "serin.db"))
	if err != nil {
		t.Fatal(err)
	}
	return s
}

func TestStore(t *testing.T) {
	storetest.Run(t, func(t *testing.T) rollout.Store { return open(t) })
}

func TestReopenKeeps(t *testing.T) {
	path := filepath.Join(t.TempDir(), "serin.db")
	var rev rollout.Revision
	for i := range 3 {
		s, err := boltstore.Open(path)
		if err != nil {
			t.Fatal(err)
		}
		if i > 0 {
			e, err := s.Get(t.Context(), "k")
			if err != nil || string(e.Value) != fmt.Sprint(i-1) || e.Revision != rev {
				t.Fatalf("after reopening: %q at %q, %v; want %d at %q", e.Value, e.Revision, err, i-1, rev)
			}
		}
		if rev, err = s.Put(t.Context(), "k", []byte(fmt.Sprint(i)), rev); err != nil {
			t.Fatal(err)
		}
		if err := s.Close(); err != nil {
			t.Fatal(err)
		}
	}
}

func TestLocked(t *testing.T) {
	path := filepath.Join(t.TempDir(), "serin.db")
	s, err := boltstore.Open(path)
	if err != nil {
		t.Fatal(err)
	}
	defer s.Close()
	if _, err := boltstore.Open(path); !errors.Is(err, boltstore.ErrLocked) {
		t.Errorf("second Open = %v, want ErrLocked", err)
	}
}

func TestOpenBadFiles(t *testing.T) {
	dir := t.TempDir()
	for name, content := range map[string]string{
		"text": "This is not a database, though it is long enough for a page header.\n",
		"long": string(make([]byte, 64<<10)),
		"one":  "x",
	} {
		path := filepath.Join(dir, name)
		if err := os.WriteFile(path, []byte(content), 0o600); err != nil {
			t.Fatal(err)
		}
		var damaged *boltstore.DamagedError
		if _, err := boltstore.Open(path); !errors.As(err, &damaged) || damaged.Path != path {
			t.Errorf("%s: Open = %v, want a DamagedError with the path", name, err)
		}
		if after, err := os.ReadFile(path); err != nil || string(after) != content {
			t.Errorf("%s: Open changed a file that is not its own (%v)", name, err)
		}
	}
	if _, err := boltstore.Open(filepath.Join(dir, "missing", "serin.db")); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("Open in a folder that does not exist = %v, want ErrNotExist", err)
	}
}

// TestDamage flips bytes all over a store's file. Whatever is read afterwards
// is what was written, or an error: never a panic, never other bytes.
func TestDamage(t *testing.T) {
	dir := t.TempDir()
	path := filepath.Join(dir, "serin.db")
	s, err := boltstore.Open(path)
	if err != nil {
		t.Fatal(err)
	}
	const n = 40
	value := func(i int) string { return fmt.Sprintf("%0300d", i) }
	for i := range n {
		if _, err := s.Put(t.Context(), fmt.Sprintf("k/%02d", i), []byte(value(i)), ""); err != nil {
			t.Fatal(err)
		}
	}
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	good, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	rng := rand.New(rand.NewPCG(1, 2))
	noticed := 0
	for trial := range 60 {
		bad := []byte(string(good))
		start := rng.IntN(len(bad))
		for i := start; i < min(len(bad), start+1+rng.IntN(64)); i++ {
			bad[i] ^= byte(1 + rng.IntN(255))
		}
		if trial%6 == 0 {
			bad = bad[:rng.IntN(len(bad))]
		}
		path := filepath.Join(dir, fmt.Sprintf("bad%d.db", trial))
		if err := os.WriteFile(path, bad, 0o600); err != nil {
			t.Fatal(err)
		}
		s, err := boltstore.Open(path)
		if err != nil {
			noticed++
			continue
		}
		for i := range n {
			e, err := s.Get(t.Context(), fmt.Sprintf("k/%02d", i))
			switch {
			case err != nil:
				noticed++
			case string(e.Value) != value(i):
				t.Fatalf("trial %d: a damaged value was returned as if it were good", trial)
			}
		}
	}
	if noticed == 0 {
		t.Error("no damage was noticed at all; the test damages nothing")
	}
}
