package audit_test

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"

	"github.com/serin-go/serin/rollout"
	"github.com/serin-go/serin/rollout/audit"
)

func TestJournal(t *testing.T) {
	path := filepath.Join(t.TempDir(), "audit.jsonl")
	j, err := audit.OpenJournal(path)
	if err != nil {
		t.Fatal(err)
	}
	store, _ := record(t)
	l := read(t, store)
	for _, ev := range l.Events() {
		if err := j.Notify(t.Context(), ev); err != nil {
			t.Fatal(err)
		}
		if ev.Seq == 2 { // as after a crash: at least once
			if err := j.Notify(t.Context(), ev); err != nil {
				t.Fatal(err)
			}
		}
	}
	if err := j.Append(t.Context(), []byte("two\nlines")); err == nil {
		t.Error("two lines were taken for one")
	}
	if err := j.Close(); err != nil {
		t.Fatal(err)
	}
	if err := j.Append(t.Context(), []byte("late")); !errors.Is(err, os.ErrClosed) {
		t.Errorf("Append after Close = %v", err)
	}
	// A crash in the middle of the next line.
	f, err := os.OpenFile(path, os.O_APPEND|os.O_WRONLY, 0)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := f.WriteString(`{"rollout":"chat/9` + strings.Repeat("x", 10_000)); err != nil {
		t.Fatal(err)
	}
	f.Close()
	if j, err = audit.OpenJournal(path); err != nil {
		t.Fatal(err)
	}
	defer j.Close()
	if f, err = os.Open(path); err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	again, err := audit.ReadJSONL(f)
	if err != nil || again.Len() != l.Len() || again.Verify() != nil {
		t.Errorf("the journal has %d of %d entries: %v", again.Len(), l.Len(), errors.Join(err, again.Verify()))
	}
	if info, err := f.Stat(); err != nil || info.Mode().Perm() != 0o600 {
		t.Errorf("the journal has mode %v, %v", info.Mode(), err)
	}
	if _, err := audit.OpenJournal(t.TempDir()); err == nil {
		t.Error("a directory was opened as a journal")
	}
}

// TestJournalTogether has many write at once: every line is there, whole.
func TestJournalTogether(t *testing.T) {
	path := filepath.Join(t.TempDir(), "audit.jsonl")
	j, err := audit.OpenJournal(path)
	if err != nil {
		t.Fatal(err)
	}
	var wg sync.WaitGroup
	for w := range 32 {
		wg.Go(func() {
			for i := range 20 {
				if err := j.Append(t.Context(), fmt.Appendf(nil, "writer %d line %d", w, i)); err != nil {
					t.Error(err)
				}
			}
		})
	}
	wg.Wait()
	if err := j.Close(); err != nil {
		t.Fatal(err)
	}
	b, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	seen := make(map[string]int)
	for line := range strings.Lines(string(b)) {
		seen[line]++
	}
	for w := range 32 {
		for i := range 20 {
			if n := seen[fmt.Sprintf("writer %d line %d\n", w, i)]; n != 1 {
				t.Errorf("line %d of writer %d is there %d times", i, w, n)
			}
		}
	}
}

var _ rollout.Sink = (*audit.Journal)(nil)

// BenchmarkJournal appends durably: 64 writers that share fsyncs, against one
// that has each to itself.
func BenchmarkJournal(b *testing.B) {
	line := []byte(strings.Repeat("x", 384))
	for _, writers := range []int{1, 64} {
		b.Run(fmt.Sprintf("writers=%d", writers), func(b *testing.B) {
			j, err := audit.OpenJournal(filepath.Join(b.TempDir(), "audit.jsonl"))
			if err != nil {
				b.Fatal(err)
			}
			defer j.Close()
			work := make(chan struct{}, b.N)
			for range b.N {
				work <- struct{}{}
			}
			close(work)
			b.SetBytes(int64(len(line)))
			b.ResetTimer()
			var wg sync.WaitGroup
			for range writers {
				wg.Go(func() {
					for range work {
						if err := j.Append(context.Background(), line); err != nil {
							b.Error(err)
						}
					}
				})
			}
			wg.Wait()
			b.ReportMetric(float64(b.N)/b.Elapsed().Seconds(), "appends/s")
		})
	}
}
