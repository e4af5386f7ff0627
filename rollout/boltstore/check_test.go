package boltstore

import (
	"encoding/binary"
	"fmt"
	"os"
	"path/filepath"
	"testing"

	"github.com/serin-go/serin/rollout"
)

// file returns the file of a store with n entries of 500 bytes, each put twice.
func file(t testing.TB, n int) []byte {
	t.Helper()
	path := filepath.Join(t.TempDir(), "serin.db")
	s, err := New(Config{Path: path, DangerouslyNoSync: true})
	if err != nil {
		t.Fatal(err)
	}
	for i := range n {
		var rev rollout.Revision
		for range 2 {
			if rev, err = s.Put(t.Context(), fmt.Sprintf("k/%03d", i), make([]byte, 500), rev); err != nil {
				t.Fatal(err)
			}
		}
	}
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	raw, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	return raw
}

func TestCheckWhole(t *testing.T) {
	for _, n := range []int{0, 1, 3, 100} {
		found, err := check(file(t, n))
		if err != nil || found.entries.Count != uint64(n) || len(found.damaged) > 0 || found.fresh {
			t.Errorf("%d entries: %+v, %v", n, found, err)
		}
	}
}

// TestCheckCycle: pages that lead back to themselves, or to the same page twice, are
// found out; bbolt would follow them until the process dies.
func TestCheckCycle(t *testing.T) {
	raw := file(t, 100)
	size, branches := os.Getpagesize(), 0
	for at := 2 * size; at+size <= len(raw); at += size {
		page := raw[at : at+size]
		if number16(page[8:]) != kindBranch {
			continue
		}
		first, second := page[pageHeader+8:], page[pageHeader+elementSize+8:]
		was := number64(first)
		for _, child := range []uint64{number64(page), number64(second), 0, 1, 1 << 60, ^uint64(0)} {
			binary.NativeEndian.PutUint64(first, child)
			if _, err := check(raw); err != nil { // a page that is no longer used may lead anywhere
				branches++
			}
		}
		binary.NativeEndian.PutUint64(first, was)
	}
	if branches != 6 {
		t.Errorf("%d bad branches were found, want the 6 of the only one that is in use", branches)
	}
}

// FuzzCheck: whatever is in a file, looking at it ends, and does not panic.
func FuzzCheck(f *testing.F) {
	for _, n := range []int{0, 3, 100} {
		f.Add(file(f, n), 0, byte(0))
	}
	f.Add([]byte{}, 0, byte(0))
	f.Fuzz(func(t *testing.T, raw []byte, at int, bits byte) {
		if len(raw) > 0 {
			at = (at%len(raw) + len(raw)) % len(raw)
			raw[at] ^= bits
		}
		if found, err := check(raw); err == nil && !found.fresh && found.entries.Count < uint64(len(found.damaged)) {
			t.Errorf("%d of %d entries are damaged", len(found.damaged), found.entries.Count)
		}
	})
}
