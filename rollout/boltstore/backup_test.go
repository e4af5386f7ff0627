package boltstore_test

import (
	"bytes"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"sync"
	"testing"

	"github.com/serin-go/serin/rollout"
	"github.com/serin-go/serin/rollout/boltstore"
)

// TestBackup takes backups while two keys are written in turn, the first one
// first. Each backup is a store as it was at one moment.
func TestBackup(t *testing.T) {
	s := open(t)
	defer s.Close()
	const rounds = 60
	var wg sync.WaitGroup
	done := make(chan struct{})
	wg.Go(func() {
		defer close(done)
		var revs [2]rollout.Revision
		for n := range rounds {
			for i := range revs {
				rev, err := s.Put(t.Context(), fmt.Sprint("k", i), bytes.Repeat([]byte{byte(n)}, 3000), revs[i])
				if err != nil {
					t.Error(err)
					return
				}
				revs[i] = rev
			}
		}
	})
	defer wg.Wait()
	for n, over := 0, false; !over; n++ {
		select {
		case <-done:
			over = true
		default:
		}
		var file bytes.Buffer
		if err := s.Backup(t.Context(), &file); err != nil {
			t.Fatal(err)
		}
		path := filepath.Join(t.TempDir(), fmt.Sprint(n, ".db"))
		if err := os.WriteFile(path, file.Bytes(), 0o600); err != nil {
			t.Fatal(err)
		}
		b, err := boltstore.Open(path)
		if err != nil {
			t.Fatal(err)
		}
		first, _ := b.Get(t.Context(), "k0")
		second, _ := b.Get(t.Context(), "k1")
		at := func(e rollout.Entry) int {
			if len(e.Value) == 0 {
				return -1
			}
			return int(e.Value[0])
		}
		if lead := at(first) - at(second); lead < 0 || lead > 1 {
			t.Errorf("a backup with %d and %d in it", at(first), at(second))
		}
		if over && at(second) != rounds-1 {
			t.Errorf("a backup after the last write has %d", at(second))
		}
		b.Close()
	}
}

type full struct{}

func (full) Write([]byte) (int, error) { return 0, os.ErrDeadlineExceeded }

func TestBackupErrors(t *testing.T) {
	s := open(t)
	if err := s.Backup(t.Context(), full{}); !errors.Is(err, os.ErrDeadlineExceeded) {
		t.Errorf("Backup to what takes nothing = %v", err)
	}
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	if err := s.Backup(t.Context(), new(bytes.Buffer)); !errors.Is(err, rollout.ErrClosed) {
		t.Errorf("Backup of a closed store = %v, want ErrClosed", err)
	}
}
