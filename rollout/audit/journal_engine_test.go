package audit_test

import (
	"bytes"
	"context"
	"errors"
	"os"
	"path/filepath"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/serin-go/serin/rollout"
	"github.com/serin-go/serin/rollout/audit"
	"github.com/serin-go/serin/rollout/memstore"
	"github.com/serin-go/serin/strategies"
	"github.com/serin-go/serin/versioning"
)

var _ rollout.EntrySink = (*audit.Journal)(nil)

// stammering is a journal whose acknowledgements are lost now and then.
type stammering struct {
	*audit.Journal
	n atomic.Int64
}

func (s *stammering) NotifyEntry(ctx context.Context, e rollout.Event, entry []byte) error {
	err := s.Journal.NotifyEntry(ctx, e, entry)
	if err == nil && s.n.Add(1)%3 == 0 {
		return errors.New("no answer")
	}
	return err
}

// TestJournalIsACopy: with several targets, rollouts, restarts, lost acknowledgements and
// hours without an event, the journal holds the trail of each target, byte by byte.
func TestJournalIsACopy(t *testing.T) {
	path := filepath.Join(t.TempDir(), "audit.jsonl")
	store := new(memstore.Store)
	release := func(v string) versioning.Release { return versioning.Release{Version: versioning.MustParse(v)} }
	var mu sync.Mutex
	var pager []rollout.Event
	synctest.Test(t, func(t *testing.T) {
		for round := range 3 {
			j, err := audit.OpenJournal(path)
			if err != nil {
				t.Fatal(err)
			}
			e, err := rollout.Open(t.Context(), rollout.Config{
				Store: store, Targets: map[string]rollout.Splitter{"chat": plane{}, "chat-2": plane{}},
				Sinks: map[string]rollout.Sink{
					"journal": &stammering{Journal: j},
					"pager": rollout.SinkFunc(func(_ context.Context, ev rollout.Event) error {
						mu.Lock()
						defer mu.Unlock()
						pager = append(pager, ev)
						return nil
					}),
				},
				Tick: 10 * time.Second, Checkpoint: time.Minute,
			})
			if err != nil {
				t.Fatal(err)
			}
			for _, target := range []string{"chat", "chat-2"} {
				st, err := e.Newest(t.Context(), target)
				id := st.ID
				if round > 0 {
					if err == nil {
						err = e.Do(t.Context(), id, strategies.Abort, rollout.Actor{Name: "ben"}, rollout.Because("caf\xe9 <b>"))
					}
					if err != nil {
						t.Error(err)
					}
				}
				if id, err = e.Start(t.Context(), rollout.Plan{Target: target, Baseline: release("1.4.0"), Candidate: release("1.5.0"),
					Strategy: strategies.Canary{Bake: 100 * time.Hour, Limit: 200 * time.Hour}}, rollout.Actor{Name: "ana"}); err != nil {
					t.Error(err)
				} else if err := e.Do(t.Context(), id, strategies.Pause, rollout.Actor{Name: "ana"}); err != nil {
					t.Error(err)
				}
			}
			time.Sleep(5*time.Hour + time.Second)
			if err := errors.Join(e.Close(), j.Close()); err != nil {
				t.Error(err)
			}
		}
	})
	text, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	for _, target := range []string{"chat", "chat-2"} {
		trail, err := audit.Read(t.Context(), store, target)
		if err != nil {
			t.Fatal(err)
		}
		copied, err := audit.ReadJournal(bytes.NewReader(text), target)
		if err != nil {
			t.Fatal(err)
		}
		if err := copied.Verify(); err != nil {
			t.Errorf("%s: the copy: %v", target, err)
		}
		var want, got bytes.Buffer
		if err := errors.Join(trail.WriteJSONL(&want), copied.WriteJSONL(&got)); err != nil {
			t.Fatal(err)
		}
		measured := 0
		for _, ev := range trail.Events() {
			if ev.Kind == rollout.Measured {
				measured++
			}
		}
		if !bytes.Equal(want.Bytes(), got.Bytes()) || measured < 10 {
			t.Errorf("%s: the copy has %d of %d entries, of which %d are measurements", target, copied.Len(), trail.Len(), measured)
		}
	}
	for _, ev := range pager {
		if ev.Kind == rollout.Measured {
			t.Errorf("the pager received %v", ev)
		}
	}
	if len(pager) == 0 {
		t.Error("the pager received nothing")
	}
}
