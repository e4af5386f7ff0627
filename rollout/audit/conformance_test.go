package audit_test

import (
	"path/filepath"
	"testing"

	"github.com/serin-go/serin/rollout"
	"github.com/serin-go/serin/rollout/audit"
	"github.com/serin-go/serin/rollout/audit/audittest"
	"github.com/serin-go/serin/rollout/rollouttest"
)

func TestConformance(t *testing.T) {
	t.Run("Dir", func(t *testing.T) {
		audittest.Anchor(t, func(_ *testing.T, dir string) audit.Anchor { return audit.Dir(dir) })
	})
	t.Run("Heads", func(t *testing.T) {
		store, _ := record(t)
		signer, verifier := keys(t)
		l := read(t, store)
		rollouttest.Anchor(t, func(t *testing.T) (rollout.Anchor, rollout.Head) {
			dir := audit.Dir(t.TempDir())
			if _, err := audit.Seal(t.Context(), l, dir, signer, verifier); err != nil {
				t.Fatal(err)
			}
			var last rollout.Event
			for _, last = range l.Events() {
			}
			return audit.Heads(dir, verifier), rollout.Head{Rollout: last.Rollout, Seq: last.Seq, Hash: last.Hash}
		})
	})
	t.Run("Journal", func(t *testing.T) {
		rollouttest.Sink(t, func(t *testing.T) rollout.Sink {
			j, err := audit.OpenJournal(filepath.Join(t.TempDir(), "audit.jsonl"))
			if err != nil {
				t.Fatal(err)
			}
			t.Cleanup(func() { _ = j.Close() })
			return j
		})
	})
}
