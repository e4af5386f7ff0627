package boltstore_test

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/serin-go/serin/checks"
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

func TestStoreWithoutSync(t *testing.T) {
	storetest.Run(t, func(t *testing.T) rollout.Store {
		s, err := boltstore.New(boltstore.Config{Path: filepath.Join(t.TempDir(), "serin.db"), DangerouslyNoSync: true})
		if err != nil {
			t.Fatal(err)
		}
		return s
	})
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
	var invalid *checks.InvalidError
	if _, err := boltstore.New(boltstore.Config{}); !errors.As(err, &invalid) || invalid.Field != "Config.Path" {
		t.Errorf("New with no path = %v", err)
	}
	if _, err := boltstore.Open(filepath.Join(dir, "missing", "serin.db")); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("Open in a folder that does not exist = %v, want ErrNotExist", err)
	}
}

// BenchmarkPut is one commit, with and without the wait for the disk.
func BenchmarkPut(b *testing.B) {
	for name, noSync := range map[string]bool{"sync": false, "nosync": true} {
		b.Run(name, func(b *testing.B) {
			s, err := boltstore.New(boltstore.Config{Path: filepath.Join(b.TempDir(), "serin.db"), DangerouslyNoSync: noSync})
			if err != nil {
				b.Fatal(err)
			}
			defer s.Close()
			value := []byte(strings.Repeat("x", 8<<10))
			rev, err := s.Put(b.Context(), "rollout/chat", value, "")
			if err != nil {
				b.Fatal(err)
			}
			for b.Loop() {
				if rev, err = s.Put(b.Context(), "rollout/chat", value, rev); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}
