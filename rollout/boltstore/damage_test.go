package boltstore_test

import (
	"bytes"
	"errors"
	"flag"
	"fmt"
	"math/rand/v2"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/serin-go/serin/rollout"
	"github.com/serin-go/serin/rollout/boltstore"
)

var flips = flag.Int("flips", 1500, "how often a store's file is damaged")

// sample writes a store whose file has branches, values that run over several
// pages, and older copies of entries in its free pages.
func sample(t *testing.T, path string) map[string]rollout.Entry {
	t.Helper()
	s, err := boltstore.New(boltstore.Config{Path: path, DangerouslyNoSync: true})
	if err != nil {
		t.Fatal(err)
	}
	defer s.Close()
	all := make(map[string]rollout.Entry)
	for round := range 3 {
		for i := range 61 {
			key := fmt.Sprintf("k/%02d", i)
			value := fmt.Appendf(nil, "%d:%0*d", round, 300+i%7*3000/(1+i%5), i)
			rev, err := s.Put(t.Context(), key, value, all[key].Revision)
			if err != nil {
				t.Fatal(err)
			}
			all[key] = rollout.Entry{Key: key, Value: value, Revision: rev}
		}
	}
	return all
}

// harm is a way in which a file goes bad.
type harm func(rng *rand.Rand, file []byte) []byte

var harms = map[string]harm{
	"a bit": func(rng *rand.Rand, file []byte) []byte {
		file[rng.IntN(len(file))] ^= 1 << rng.IntN(8)
		return file
	},
	"a bit of a page's beginning": func(rng *rand.Rand, file []byte) []byte { // where it does the most harm
		file[rng.IntN(len(file)/4096)*4096+rng.IntN(128)] ^= 1 << rng.IntN(8)
		return file
	},
	"a bit of a page's count": func(rng *rand.Rand, file []byte) []byte { // entries vanish
		file[rng.IntN(len(file)/4096)*4096+10] ^= 1 << rng.IntN(4)
		return file
	},
	"a bit of the first pages": func(rng *rand.Rand, file []byte) []byte { // the newer one of which counts
		file[rng.IntN(2)*4096+16+rng.IntN(64)] ^= 1 << rng.IntN(8)
		return file
	},
	"bytes": func(rng *rand.Rand, file []byte) []byte {
		start := rng.IntN(len(file))
		for i := start; i < min(len(file), start+1+rng.IntN(600)); i++ {
			file[i] = byte(rng.Uint32())
		}
		return file
	},
	"a page of zeros": func(rng *rand.Rand, file []byte) []byte {
		clear(file[rng.IntN(len(file)/4096)*4096:][:4096])
		return file
	},
	"one of the first pages in the other's place": func(rng *rand.Rand, file []byte) []byte {
		from := rng.IntN(2)
		copy(file[(1-from)*4096:][:4096], bytes.Clone(file[from*4096:][:4096]))
		return file
	},
	"a page in another's place": func(rng *rand.Rand, file []byte) []byte {
		from, to := rng.IntN(len(file)/4096)*4096, rng.IntN(len(file)/4096)*4096
		copy(file[to:to+4096], bytes.Clone(file[from:from+4096]))
		return file
	},
	"the end is missing": func(rng *rand.Rand, file []byte) []byte { return file[:rng.IntN(len(file))] },
}

// TestDamage damages a store's file in all ways. Whatever is read afterwards is
// what was written, or a DamagedError: never a panic, never other bytes, and never
// that there is nothing. The same holds after the store has been written to.
//
//	go test ./rollout/boltstore -run Damage -flips 100000
func TestDamage(t *testing.T) {
	path := filepath.Join(t.TempDir(), "serin.db")
	all := sample(t, path)
	good, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	for name, harm := range harms {
		t.Run(name, func(t *testing.T) {
			outcomes := make(map[string]int)
			for trial := range *flips / len(harms) {
				rng := rand.New(rand.NewPCG(uint64(trial), 7))
				if err := os.WriteFile(path, harm(rng, bytes.Clone(good)), 0o600); err != nil {
					t.Fatal(err)
				}
				outcome := survive(t, path, all, rng)
				if outcomes[outcome]++; t.Failed() {
					t.Fatalf("with seed %d, 7", trial)
				}
			}
			t.Logf("%d files: %v", *flips/len(harms), outcomes)
			if outcomes["not opened"]+outcomes["in part"] == 0 {
				t.Error("no damage was noticed at all; the test damages nothing")
			}
		})
	}
}

// survive reads and writes a damaged store.
func survive(t *testing.T, path string, all map[string]rollout.Entry, rng *rand.Rand) string {
	t.Helper()
	s, err := boltstore.New(boltstore.Config{Path: path, DangerouslyNoSync: true})
	if isDamage(t, "New", err) {
		return "not opened"
	}
	defer s.Close()
	outcome := "whole"
	if !reads(t, s, all) {
		outcome = "in part"
	}
	if rng.IntN(4) > 0 {
		return outcome
	}
	// What is written now must not hit what was there.
	now := make(map[string]rollout.Entry)
	for key, e := range all {
		if now[key] = e; rng.IntN(3) == 0 {
			e.Value = bytes.Repeat([]byte("new"), rng.IntN(2000))
			if e.Revision, err = s.Put(t.Context(), key, e.Value, e.Revision); !isDamage(t, "Put", err) {
				now[key] = e
			}
		}
	}
	reads(t, s, now)
	if err := s.Close(); err != nil {
		t.Error(err)
	}
	again, err := boltstore.Open(path)
	if isDamage(t, "New, after it was written to", err) {
		return outcome
	}
	defer again.Close()
	reads(t, again, now)
	return outcome
}

// reads reports whether all entries are there.
func reads(t *testing.T, s *boltstore.Store, all map[string]rollout.Entry) bool {
	t.Helper()
	whole := true
	for key, want := range all {
		e, err := s.Get(t.Context(), key)
		if isDamage(t, "Get", err) {
			whole = false
		} else if !bytes.Equal(e.Value, want.Value) || e.Revision != want.Revision {
			t.Errorf("%s is %d bytes at %s, want the %d bytes at %s", key, len(e.Value), e.Revision, len(want.Value), want.Revision)
		}
	}
	if _, err := s.Get(t.Context(), "k/never"); !errors.Is(err, rollout.ErrNotFound) && !isDamage(t, "Get", err) {
		t.Error("a key that was never put is there")
	}
	listed, ended := 0, false
	for e, err := range s.List(t.Context(), "k/") {
		if isDamage(t, "List", err) {
			ended = true
			continue
		}
		if want := all[e.Key]; !bytes.Equal(e.Value, want.Value) || e.Revision != want.Revision {
			t.Errorf("%s is listed with %d bytes at %s", e.Key, len(e.Value), e.Revision)
		}
		listed++
	}
	if !ended && listed != len(all) || ended == whole {
		t.Errorf("%d of %d entries were listed, with an error: %t, and all could be read: %t", listed, len(all), ended, whole)
	}
	var copied bytes.Buffer
	if err := s.Backup(t.Context(), &copied); whole && err != nil || !whole && (err == nil || copied.Len() > 0) {
		t.Errorf("a backup of %d bytes, %v, and all could be read: %t", copied.Len(), err, whole)
	}
	return whole
}

// isDamage reports whether err is a DamagedError; nothing else may go wrong.
func isDamage(t *testing.T, what string, err error) bool {
	t.Helper()
	var damaged *boltstore.DamagedError
	if err != nil && !errors.As(err, &damaged) {
		t.Errorf("%s: %v, want a DamagedError", what, err)
	}
	return err != nil
}

// TestDamagedEntry: one document that is damaged leaves the others alone.
func TestDamagedEntry(t *testing.T) {
	path := filepath.Join(t.TempDir(), "serin.db")
	s, err := boltstore.Open(path)
	if err != nil {
		t.Fatal(err)
	}
	revs := make(map[string]rollout.Revision)
	for _, key := range []string{"rollout/a", "rollout/b", "rollout/c"} {
		if revs[key], err = s.Put(t.Context(), key, []byte("the document "+key), ""); err != nil {
			t.Fatal(err)
		}
	}
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	file, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(path, bytes.ReplaceAll(file, []byte("document rollout/b"), []byte("document rollout/x")), 0o600); err != nil {
		t.Fatal(err)
	}
	if s, err = boltstore.Open(path); err != nil {
		t.Fatal(err)
	}
	defer s.Close()
	var damaged *boltstore.DamagedError
	left, err := s.Get(t.Context(), "rollout/b")
	if !errors.As(err, &damaged) || damaged.Key != "rollout/b" || left.Revision != revs["rollout/b"] {
		t.Errorf("Get of what is damaged = %v, at revision %s", err, left.Revision)
	}
	for _, prev := range []rollout.Revision{"", revs["rollout/a"], "0"} {
		if _, err := s.Put(t.Context(), "rollout/b", nil, prev); !errors.As(err, &damaged) {
			t.Errorf("Put over what is damaged, by who has not seen it = %v", err)
		}
	}
	for _, key := range []string{"rollout/new", "rollout/x"} { // could be what the damaged one was
		if _, err := s.Get(t.Context(), key); !errors.As(err, &damaged) || errors.Is(err, rollout.ErrNotFound) || !strings.Contains(err.Error(), "rollout/b") {
			t.Errorf("Get of what may have been = %v", err)
		}
		if _, err := s.Put(t.Context(), key, nil, ""); !errors.As(err, &damaged) {
			t.Errorf("Put of what may have been = %v", err)
		}
	}
	for _, key := range []string{"rollout/a", "rollout/c"} {
		if _, err := s.Put(t.Context(), key, []byte("more"), revs[key]); err != nil {
			t.Errorf("Put of what is whole = %v", err)
		}
		if e, err := s.Get(t.Context(), key); err != nil || string(e.Value) != "more" {
			t.Errorf("Get of what is whole = %q, %v", e.Value, err)
		}
	}
	// Who has seen what is left of it may replace it, and then all is well.
	if _, err := s.Put(t.Context(), "quarantine/b", left.Value, ""); !errors.As(err, &damaged) {
		t.Errorf("Put of what may have been = %v", err)
	}
	if _, err := s.Put(t.Context(), "rollout/b", []byte("anew"), left.Revision); err != nil {
		t.Fatal(err)
	}
	if _, err := s.Put(t.Context(), "quarantine/b", left.Value, ""); err != nil {
		t.Error(err)
	}
	if _, err := s.Get(t.Context(), "rollout/x"); !errors.Is(err, rollout.ErrNotFound) {
		t.Errorf("Get of what never was = %v", err)
	}
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	if s, err = boltstore.Open(path); err != nil {
		t.Fatal(err)
	}
	defer s.Close()
	if e, err := s.Get(t.Context(), "rollout/b"); err != nil || string(e.Value) != "anew" {
		t.Errorf("what was replaced is %q, %v", e.Value, err)
	}
}
