package privacy_test

import (
	"bytes"
	"context"
	"crypto/rand"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"log/slog"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/serin-go/serin/rollout"
	"github.com/serin-go/serin/rollout/audit"
	"github.com/serin-go/serin/rollout/boltstore"
	"github.com/serin-go/serin/rollout/ledger"
	"github.com/serin-go/serin/rollout/memstore"
	"github.com/serin-go/serin/rollout/privacy"
	"github.com/serin-go/serin/rollout/privacy/tuning"
	"github.com/serin-go/serin/rollout/sealedstore"
	"github.com/serin-go/serin/strategies"
	"github.com/serin-go/serin/versioning"
)

func erase(people ...string) privacy.Erasure {
	return privacy.Erasure{People: people, By: "pia", Why: "request 17", Scope: "everything"}
}

func TestErase(t *testing.T) {
	ctx := t.Context()
	c := vaultConfig(t)
	var forgotten []string
	c.Forgetters = map[string]privacy.Forgetter{"cache": privacy.ForgetterFunc(func(_ context.Context, p string) error { forgotten = append(forgotten, p); return nil })}
	v := vault(t, c)
	alice, bob := seal(t, v, "alice", "comment", "a"), seal(t, v, "bob", "comment", "b")
	other := vault(t, c) // another process
	if _, err := other.Open(ctx, "bob", "comment", bob); err != nil {
		t.Fatal(err)
	}
	first, err := v.Erase(ctx, erase("alice"))
	if err != nil || len(first) != 1 || first[0].Person != c.Pseudonyms.Of("", "alice") || first[0].By != "pia" {
		t.Fatalf("%+v, %v", first, err)
	}
	for name, v := range map[string]*privacy.Vault{"this process": v, "another process": other, "a restart": vault(t, c)} {
		if got, err := v.Open(ctx, "alice", "comment", alice); !errors.Is(err, privacy.ErrErased) {
			t.Errorf("%s: %q, %v", name, got, err)
		}
		if _, err := v.Seal(ctx, "alice", "comment", nil); !errors.Is(err, privacy.ErrErased) {
			t.Errorf("%s: Seal: %v", name, err)
		}
		if got, err := v.Open(ctx, "bob", "comment", bob); err != nil || string(got) != "b" {
			t.Errorf("%s: bob: %q, %v", name, got, err)
		}
	}
	again, err := v.Erase(ctx, erase("alice"))
	if err != nil || !slices.Equal(again, first) {
		t.Errorf("again: %+v, %v; want the first record", again, err)
	}
	if stone, gone, err := other.Erased(ctx, "alice"); !gone || err != nil || stone != first[0] {
		t.Errorf("%+v, %v, %v", stone, gone, err)
	}
	if _, gone, err := other.Erased(ctx, "bob"); gone || err != nil {
		t.Errorf("bob: %v, %v", gone, err)
	}
	if !slices.Equal(forgotten, []string{"alice", "alice"}) {
		t.Errorf("forgotten: %q", forgotten)
	}
	if stones, err := v.Erase(ctx, erase("dave", "erin", "dave")); err != nil || len(stones) != 2 {
		t.Errorf("a person twice: %+v, %v", stones, err)
	}
	if stones, err := v.Erase(ctx, erase("unknown")); err != nil || len(stones) != 1 {
		t.Errorf("a person without data: %+v, %v", stones, err)
	}
	for _, e := range []privacy.Erasure{{}, {People: []string{"bob"}, By: "pia"}, {People: []string{""}, By: "pia", Why: "x"}, erase("pia"), {People: []string{"bob"}, By: "pia", Why: "bob wants it"}} {
		if _, err := v.Erase(ctx, e); len(fields(err)) == 0 {
			t.Errorf("%+v: %v", e, err)
		}
	}
	if _, err := v.Open(ctx, "bob", "comment", bob); err != nil {
		t.Errorf("bob: %v", err)
	}
}

// TestEraseInAnotherProcess: a key that is kept in memory is given up within a minute.
func TestEraseInAnotherProcess(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := vaultConfig(t)
		here, there := vault(t, c), vault(t, c)
		sealed := seal(t, here, "alice", "comment", "x")
		if _, err := there.Erase(t.Context(), erase("alice")); err != nil {
			t.Fatal(err)
		}
		time.Sleep(time.Minute)
		if got, err := here.Open(t.Context(), "alice", "comment", sealed); !errors.Is(err, privacy.ErrErased) {
			t.Errorf("%q, %v", got, err)
		}
	})
}

// late creates a key after the person was erased by another process.
type late struct {
	privacy.PersonKeys
	before func()
}

func (l *late) Create(ctx context.Context, person string, k privacy.WrappedKey) error {
	l.before()
	return l.PersonKeys.Create(ctx, person, k)
}

// TestEraseWhileSealing: a key that is created at the time of the erasure does not stay.
func TestEraseWhileSealing(t *testing.T) {
	c := vaultConfig(t)
	people := c.People
	other := vault(t, c)
	c.People = &late{people, func() {
		if _, err := other.Erase(t.Context(), erase("alice")); err != nil {
			t.Error(err)
		}
	}}
	if _, err := vault(t, c).Seal(t.Context(), "alice", "comment", nil); !errors.Is(err, privacy.ErrErased) {
		t.Errorf("%v, want ErrErased", err)
	}
	if _, err := people.Get(t.Context(), c.Pseudonyms.Of("", "alice")); !errors.Is(err, privacy.ErrNoKey) {
		t.Errorf("the key is there: %v", err)
	}
}

// TestRestoredKeys: keys of yesterday do not bring a person back.
func TestRestoredKeys(t *testing.T) {
	ctx := t.Context()
	c := vaultConfig(t)
	v := vault(t, c)
	sealed := seal(t, v, "alice", "comment", "x")
	name := c.Pseudonyms.Of("", "alice")
	backup, err := c.People.Get(ctx, name)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := v.Erase(ctx, erase("alice")); err != nil {
		t.Fatal(err)
	}
	restore := func() {
		if err := c.People.Create(ctx, name, backup); err != nil {
			t.Fatal(err)
		}
	}
	restore()
	if got, err := v.Open(ctx, "alice", "comment", sealed); !errors.Is(err, privacy.ErrErased) {
		t.Errorf("while the process runs: %q, %v", got, err)
	}
	v = vault(t, c)
	if _, err := c.People.Get(ctx, name); !errors.Is(err, privacy.ErrNoKey) {
		t.Errorf("the restored key is still there: %v", err)
	}
	if got, err := v.Open(ctx, "alice", "comment", sealed); !errors.Is(err, privacy.ErrErased) {
		t.Errorf("after a restart: %q, %v", got, err)
	}
	restore()
	if _, err := v.Rewrap(ctx); err != nil {
		t.Error(err)
	}
	if _, err := c.People.Get(ctx, name); !errors.Is(err, privacy.ErrNoKey) {
		t.Errorf("the restored key is still there after Rewrap: %v", err)
	}
}

func TestEraseHeld(t *testing.T) {
	c := vaultConfig(t)
	failed := errors.New("register of holds is down")
	c.Held = func(_ context.Context, p string) (string, error) {
		return map[string]string{"alice": "case 2026/4"}[p], map[string]error{"carol": failed}[p]
	}
	v := vault(t, c)
	sealed := map[string][]byte{}
	for _, p := range []string{"alice", "bob", "carol"} {
		sealed[p] = seal(t, v, p, "comment", p)
	}
	stones, err := v.Erase(t.Context(), erase("alice", "bob", "carol"))
	var held *privacy.HoldError
	if len(stones) != 1 || !errors.As(err, &held) || held.Reference != "case 2026/4" || !errors.Is(err, failed) || strings.Contains(err.Error(), "alice") {
		t.Errorf("%+v, %v", stones, err)
	}
	for p, gone := range map[string]bool{"alice": false, "bob": true, "carol": false} {
		if _, err := v.Open(t.Context(), p, "comment", sealed[p]); errors.Is(err, privacy.ErrErased) != gone {
			t.Errorf("%s: %v", p, err)
		}
	}
}

// TestEraseForgetters: one that fails or panics is named, the others are told, and the next
// call repeats it.
func TestEraseForgetters(t *testing.T) {
	c := vaultConfig(t)
	down := errors.New("down")
	told := map[string]int{}
	c.Forgetters = map[string]privacy.Forgetter{
		"cache": privacy.ForgetterFunc(func(context.Context, string) error {
			if told["cache"]++; told["cache"] == 1 {
				return down
			}
			return nil
		}),
		"feedback": privacy.ForgetterFunc(func(_ context.Context, p string) error { panic(p) }),
		"sticky":   privacy.ForgetterFunc(func(context.Context, string) error { told["sticky"]++; return nil }),
	}
	v := vault(t, c)
	sealed := seal(t, v, "alice", "comment", "x")
	_, err := v.Erase(t.Context(), erase("alice"))
	var failed *privacy.ForgetError
	if !errors.Is(err, down) || !errors.As(err, &failed) || strings.Contains(err.Error(), "alice") || told["sticky"] != 1 {
		t.Errorf("%v, %v", err, told)
	}
	if _, err := v.Open(t.Context(), "alice", "comment", sealed); !errors.Is(err, privacy.ErrErased) {
		t.Errorf("%v", err)
	}
	if _, err := v.Erase(t.Context(), erase("alice")); errors.Is(err, down) || told["cache"] != 2 {
		t.Errorf("again: %v, %v", err, told)
	}
}

// readOnly notes refuse to be written.
type readOnly struct {
	*ledger.Notebook
	err error
}

func (n readOnly) Note(context.Context, string, any) error { return n.err }

type notesFunc = func(seq uint64, name string, what json.RawMessage) error

// TestEraseWithoutRecord: what cannot be recorded is not erased, and without the record
// nothing is opened.
func TestEraseWithoutRecord(t *testing.T) {
	c := vaultConfig(t)
	down := errors.New("down")
	c.Notes = readOnly{notes(t, new(memstore.Store)), down}
	v := vault(t, c)
	sealed := seal(t, v, "alice", "comment", "x")
	if _, err := v.Erase(t.Context(), erase("alice")); !errors.Is(err, down) {
		t.Errorf("%v", err)
	}
	if got, err := v.Open(t.Context(), "alice", "comment", sealed); err != nil {
		t.Errorf("%q, %v", got, err)
	}
	c.Notes = unreadable{}
	if _, err := privacy.OpenVault(t.Context(), c); !errors.Is(err, errUnreadable) {
		t.Errorf("%v", err)
	}
}

var errUnreadable = errors.New("unreadable")

type unreadable struct{}

func (unreadable) Note(context.Context, string, any) error        { return errUnreadable }
func (unreadable) Notes(context.Context, uint64, notesFunc) error { return errUnreadable }

// TestConcurrentUse: seals, opens, erasures and rotations at the same time.
func TestConcurrentUse(t *testing.T) {
	c := vaultConfig(t)
	c.Keys = keyring(t, privacy.WrappingKey{ID: "b", Secret: secret(2)}, privacy.WrappingKey{ID: "a", Secret: secret(1)})
	v := vault(t, c)
	var wg sync.WaitGroup
	for i := range 8 {
		wg.Go(func() {
			for j := range 30 {
				person := fmt.Sprint("person-", (i+j)%10)
				sealed, err := v.Seal(t.Context(), person, "f", []byte(person))
				if errors.Is(err, privacy.ErrErased) {
					continue
				}
				if err != nil {
					t.Error(err)
					return
				}
				if got, err := v.Open(t.Context(), person, "f", sealed); err == nil && string(got) != person || err != nil && !errors.Is(err, privacy.ErrErased) {
					t.Errorf("%q, %v", got, err)
				}
				if j == 20 {
					if _, err := v.Erase(t.Context(), erase(person)); err != nil {
						t.Error(err)
					}
				}
			}
		})
	}
	wg.Go(func() {
		if _, err := v.Rewrap(t.Context()); err != nil {
			t.Error(err)
		}
	})
	wg.Wait()
}

// TestNothingIsLeft: after an erasure, no file has a byte sequence of the person: the store of
// data, the ledger, the audit trail, the log, the export, the keys, and the backups of all
// that were made before, with yesterday's keys restored.
func TestNothingIsLeft(t *testing.T) {
	ctx := t.Context()
	dir := t.TempDir()
	file := func(name string) *os.File {
		f, err := os.Create(filepath.Join(dir, name))
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { f.Close() })
		return f
	}
	db, err1 := boltstore.Open(filepath.Join(dir, "data.db"))
	keys, err2 := privacy.OpenFileKeys(filepath.Join(dir, "keys"))
	led, err3 := ledger.Open(ctx, ledger.Config{Store: db})
	store, err4 := sealedstore.New(ctx, sealedstore.Config{Store: db, Keys: keyring(t)})
	if err := errors.Join(err1, err2, err3, err4); err != nil {
		t.Fatal(err)
	}
	defer db.Close()
	defer led.Close()
	r := redactor(t, privacy.Config{})
	random := make([]byte, 24)
	rand.Read(random)
	person := strings.ToLower(base64.RawURLEncoding.EncodeToString(random[:9])) + "@example.com"
	text := "comment-" + base64.RawURLEncoding.EncodeToString(random)

	log := slog.New(slog.NewJSONHandler(file("service.log"), nil))
	answers := map[string]string{person: text} // a cache
	c := privacy.VaultConfig{Purpose: "feedback", Keys: keyring(t), People: keys, Pseudonyms: pseudonyms(t), Notes: led.Notebook(rollout.Actor{Name: "service"}), Logger: log,
		Forgetters: map[string]privacy.Forgetter{"cache": privacy.ForgetterFunc(func(_ context.Context, p string) error { delete(answers, p); return nil })}}
	v := vault(t, c)
	log.Info(r.Text("asked by " + person))
	sealed := seal(t, v, person, "comment", text)
	if _, err := db.Put(ctx, "feedback/1", sealed, ""); err != nil {
		t.Fatal(err)
	}
	engine, err := rollout.Open(ctx, rollout.Config{Store: store, Targets: map[string]rollout.Splitter{"chat": nowhere{}}, Logger: slog.New(slog.DiscardHandler)})
	if err != nil {
		t.Fatal(err)
	}
	id, err := engine.Start(ctx, rollout.Plan{Target: "chat", Baseline: versioning.Release{Version: versioning.MustParse("1.4.0")}, Candidate: versioning.Release{Version: versioning.MustParse("1.5.0")}}, rollout.Actor{Name: "ana"})
	if err == nil {
		err = engine.Do(ctx, id, strategies.Abort, rollout.Actor{Name: "ana"}, rollout.Because(person+" complains: "+text))
	}
	for _, failed := range engine.Events(ctx, id, 1) { // until the rollout is over
		err = errors.Join(err, failed)
	}
	name := c.Pseudonyms.Of("", person)
	backup, failed := keys.Get(ctx, name)
	if err := errors.Join(err, engine.Close(), failed, db.Backup(ctx, file("backup.db"))); err != nil {
		t.Fatal(err)
	}

	if _, err := v.Erase(ctx, erase(person)); err != nil {
		t.Fatal(err)
	}
	if err := keys.Create(ctx, name, backup); err != nil { // yesterday's keys are restored
		t.Fatal(err)
	}
	v = vault(t, c)
	if got, err := v.Open(ctx, person, "comment", sealed); !errors.Is(err, privacy.ErrErased) {
		t.Errorf("%q, %v", got, err)
	}
	exporter, err := tuning.New(tuning.Config{Purpose: "tuning", Redactor: r, Pseudonyms: c.Pseudonyms, Erased: v.Erased, Notes: c.Notes,
		Consent: func(context.Context, string, string) (string, error) { return "yes", nil }})
	if err != nil {
		t.Fatal(err)
	}
	x, err := exporter.Write(ctx, file("export.jsonl"), func(yield func(tuning.Feedback, error) bool) {
		_ = yield(tuning.Feedback{Person: person, Prompt: text}, nil) && yield(tuning.Feedback{Person: "bob", Prompt: "of bob"}, nil)
	})
	if err != nil || x.Erased != 1 || x.Written != 1 {
		t.Errorf("%+v, %v", x, err)
	}
	if len(answers) > 0 {
		t.Errorf("the cache has %v", answers)
	}
	trail, err := audit.Read(ctx, store, "chat")
	if err == nil {
		err = errors.Join(trail.Verify(), led.Verify(ctx))
	}
	if err != nil {
		t.Errorf("the chains do not verify: %v", err)
	}

	files := map[string][]byte{}
	err = filepath.WalkDir(dir, func(path string, d fs.DirEntry, err error) error {
		if err != nil || d.IsDir() {
			return err
		}
		files[filepath.Base(path)], err = os.ReadFile(path)
		return err
	})
	if err != nil || len(files) != 4 { // data.db, backup.db, service.log, export.jsonl
		t.Fatalf("%d files, %v", len(files), err)
	}
	for name, content := range files {
		if len(content) == 0 {
			t.Errorf("%s is empty", name)
		}
		for _, s := range []string{person, text} {
			for _, form := range []string{s, base64.StdEncoding.EncodeToString([]byte(s)), strings.TrimSuffix(s, "@example.com"), s[len(s)/2:]} {
				if form != "" && form != "example.com" && bytes.Contains(content, []byte(form)) {
					t.Errorf("%s has %q", name, form)
				}
			}
		}
	}
}

type nowhere struct{}

func (nowhere) SetSplit(context.Context, strategies.Split) error { return nil }

// BenchmarkErase10000 erases 10,000 people whose keys are in files, with tombstones in a
// ledger in a file.
func BenchmarkErase10000(b *testing.B) {
	for b.Loop() {
		b.StopTimer()
		dir := b.TempDir()
		db, err := boltstore.Open(filepath.Join(dir, "data.db"))
		if err != nil {
			b.Fatal(err)
		}
		keys, err := privacy.OpenFileKeys(filepath.Join(dir, "keys"))
		if err != nil {
			b.Fatal(err)
		}
		c := privacy.VaultConfig{Purpose: "feedback", Keys: keyring(b), People: keys, Pseudonyms: pseudonyms(b), Notes: notes(b, db), Logger: slog.New(slog.DiscardHandler)}
		v := vault(b, c)
		all := make([]string, 10_000)
		for i := range all {
			all[i] = fmt.Sprintf("person-%05d", i)
			seal(b, v, all[i], "comment", "x")
		}
		b.StartTimer()
		stones, err := v.Erase(b.Context(), erase(all...))
		if err != nil || len(stones) != len(all) {
			b.Fatalf("%d, %v", len(stones), err)
		}
		b.StopTimer()
		db.Close()
		b.StartTimer()
	}
}
