package audit_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"testing"
	"testing/synctest"
	"time"

	"golang.org/x/mod/sumdb/note"

	"github.com/serin-go/serin/rollout"
	"github.com/serin-go/serin/rollout/audit"
	"github.com/serin-go/serin/rollout/memstore"
	"github.com/serin-go/serin/strategies"
	"github.com/serin-go/serin/versioning"
)

// retire runs n rollouts and has an engine archive all but four of them. It returns the
// store, the folder of the archives, and a checkpoint after each rollout.
func retire(t *testing.T, n int, s note.Signer) (store *memstore.Store, dir string, checkpoints [][]byte) {
	t.Helper()
	store, dir = new(memstore.Store), t.TempDir()
	synctest.Test(t, func(t *testing.T) {
		e, err := rollout.Open(t.Context(), rollout.Config{
			Store: store, Targets: map[string]rollout.Splitter{"chat": plane{}},
			Retain: rollout.Retain{Rollouts: 4, Archive: audit.Archive{Dir: dir, Signer: s}},
		})
		if err != nil {
			t.Fatal(err)
		}
		defer e.Close()
		for range n {
			id, err := e.Start(t.Context(), rollout.Plan{
				Target:    "chat",
				Baseline:  versioning.Release{Version: versioning.MustParse("1.4.0")},
				Candidate: versioning.Release{Version: versioning.MustParse("1.5.0")},
			}, rollout.Actor{Name: "ana"})
			if err != nil {
				t.Fatal(err)
			}
			for _, c := range append([]strategies.Command{strategies.Pause, strategies.Resume}[:len(checkpoints)%3], strategies.Abort) {
				if err := e.Do(t.Context(), id, c, rollout.Actor{Name: "ben"}); err != nil {
					t.Fatal(err)
				}
			}
			signed, err := read(t, store).Checkpoint(s)
			if err != nil {
				t.Fatal(err)
			}
			checkpoints = append(checkpoints, signed)
		}
		time.Sleep(2 * time.Minute)
	})
	return store, dir, checkpoints
}

// TestArchive: what was removed is verified from its files alone, and they and the store
// make up the log that was there before, byte by byte.
func TestArchive(t *testing.T) {
	s, v := keys(t)
	const rollouts = 11
	store, dir, checkpoints := retire(t, rollouts, s)
	rest := read(t, store)
	if err := rest.Verify(); err != nil {
		t.Errorf("the log without its beginning: %v", err)
	}
	if rest.Archived() == 0 || len(rest.Filter("chat/7")) > 0 || len(rest.Filter("chat/8")) == 0 {
		t.Errorf("%d entries are archived, %d are left", rest.Archived(), rest.Len())
	}
	var parts []*audit.Log
	for n := 1; n <= rollouts-4; n++ {
		f, err := os.ReadFile(filepath.Join(dir, fmt.Sprintf("chat-%d.jsonl", n)))
		if err != nil {
			t.Fatal(err)
		}
		a, err := audit.ReadArchive(bytes.NewReader(f), v)
		if err != nil || a.ID != rollout.ID(fmt.Sprintf("chat/%d", n)) || len(a.Document) == 0 {
			t.Fatalf("archive %d: %s, %v", n, a.ID, err)
		}
		parts = append(parts, a.Log)
		// An entry of it is proven by the checkpoint that was signed when it was in the store.
		if proof, err := a.Log.Prove(a.ID, 1); err != nil || proof.Check(checkpoints[n-1], v) != nil {
			t.Errorf("proof of an entry of %s: %v", a.ID, errors.Join(err, proof.Check(checkpoints[n-1], v)))
		}
	}
	whole, err := rest.Join(parts...)
	if err != nil {
		t.Fatal(err)
	}
	if err := whole.Verify(); err != nil || whole.Archived() != 0 || whole.Len() != rest.Size() {
		t.Errorf("joined: %d of %d entries, %v", whole.Len(), rest.Size(), err)
	}
	for i, c := range checkpoints {
		if err := whole.Extends(c, v); err != nil {
			t.Errorf("the whole log and checkpoint %d: %v", i+1, err)
		}
		err := rest.Extends(c, v)
		if later := i+1 >= rollouts-4; (err == nil) != later || errors.Is(err, audit.ErrForked) {
			t.Errorf("the rest and checkpoint %d: %v", i+1, err)
		}
	}
	again, err := rest.Checkpoint(s)
	if err != nil || !bytes.Equal(again, checkpoints[rollouts-1]) {
		t.Errorf("the rest signs another log than the whole one: %v", err)
	}
	if _, err := rest.Join(parts[:3]...); !errors.Is(err, audit.ErrForked) {
		t.Errorf("joined with a gap: %v", err)
	}
	if _, err := rest.Join(parts[1:]...); err != nil {
		t.Errorf("joined without the first one: %v", err)
	}
}

// TestArchiveTampered: one flipped bit, a missing line and another signer show.
func TestArchiveTampered(t *testing.T) {
	s, v := keys(t)
	_, dir, _ := retire(t, 6, s)
	path := filepath.Join(dir, "chat-2.jsonl")
	good, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	for i := range good {
		if i%53 != 0 && i > 200 && i < len(good)-400 {
			continue
		}
		bad := bytes.Clone(good)
		bad[i] ^= 1
		if _, err := audit.ReadArchive(bytes.NewReader(bad), v); err == nil {
			// The signature line of a note ends with base64, whose last character has
			// bits that mean nothing.
			if a, err := audit.ReadArchive(bytes.NewReader(bad), v); err != nil || a.Log.Verify() != nil || i < len(good)-120 {
				t.Fatalf("byte %d of %d: a change from %q to %q does not show", i, len(good), good[i], bad[i])
			}
		}
	}
	lines := bytes.SplitAfter(good, []byte("\n"))
	for i := range lines[:len(lines)-1] {
		var bad [][]byte
		bad = append(append(bad, lines[:i]...), lines[i+1:]...)
		if _, err := audit.ReadArchive(bytes.NewReader(bytes.Join(bad, nil)), v); err == nil {
			t.Errorf("line %d is missing, and that does not show", i+1)
		}
	}
	for _, bad := range []string{"", "{}", "{}\n{}\n", "x\ny\nz\n"} {
		if _, err := audit.ReadArchive(bytes.NewReader([]byte(bad)), v); err == nil {
			t.Errorf("%q was taken for an archive", bad)
		}
	}
	_, other := keys(t)
	if _, err := audit.ReadArchive(bytes.NewReader(good), other); err == nil {
		t.Error("an archive of another signer was taken")
	}
}

// TestArchiveRefuses: what is not sound is not sealed, so it is not deleted either.
func TestArchiveRefuses(t *testing.T) {
	s, _ := keys(t)
	store, _ := record(t)
	var events [][]byte
	for e, err := range store.List(t.Context(), "audit/chat/1/") {
		if err != nil {
			t.Fatal(err)
		}
		events = append(events, e.Value)
	}
	a := audit.Archive{Dir: t.TempDir(), Signer: s}
	good := rollout.Record{ID: "chat/1", Events: events, Document: []byte("{}")}
	first, err := a.Archive(t.Context(), good)
	if err != nil {
		t.Fatal(err)
	}
	if again, err := a.Archive(t.Context(), good); err != nil || !bytes.Equal(first, again) {
		t.Errorf("the same record again: %q, %v; want %q", again, err, first)
	}
	altered := bytes.Replace(events[1], []byte(`"by"`), []byte(`"By"`), 1)
	for name, r := range map[string]rollout.Record{
		"no end":            {ID: "chat/1", Events: events[:len(events)-1], Document: []byte("{}")},
		"a hole":            {ID: "chat/1", Events: append([][]byte{events[0]}, events[2:]...), Document: []byte("{}")},
		"altered":           {ID: "chat/1", Events: append([][]byte{events[0], altered}, events[2:]...), Document: []byte("{}")},
		"another rollout":   {ID: "chat/2", Events: events, Document: []byte("{}")},
		"nothing":           {ID: "chat/1", Document: []byte("{}")},
		"a foreign receipt": {ID: "chat/1", Events: events, Document: []byte("{}"), Before: []byte("sealed")},
		"a false receipt":   {ID: "chat/1", Events: events, Document: []byte("{}"), Before: []byte(`{"size":3}`)},
	} {
		if _, err := a.Archive(t.Context(), r); err == nil {
			t.Errorf("%s: it was sealed", name)
		}
	}
	for _, a := range []audit.Archive{{}, {Dir: t.TempDir()}, {Signer: s}, {Dir: "/nowhere/at/all", Signer: s}} {
		if _, err := a.Archive(context.Background(), good); err == nil {
			t.Errorf("%+v has sealed it", a)
		}
	}
}
