package sealedstore_test

import (
	"bytes"
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/serin-go/serin/checks"
	"github.com/serin-go/serin/rollout"
	"github.com/serin-go/serin/rollout/audit"
	"github.com/serin-go/serin/rollout/boltstore"
	"github.com/serin-go/serin/rollout/memstore"
	"github.com/serin-go/serin/rollout/privacy"
	"github.com/serin-go/serin/rollout/sealedstore"
	"github.com/serin-go/serin/rollout/storetest"
	"github.com/serin-go/serin/strategies"
	"github.com/serin-go/serin/versioning"
)

var (
	young = privacy.WrappingKey{ID: "2026", Secret: bytes.Repeat([]byte{2}, 32)}
	old   = privacy.WrappingKey{ID: "2025", Secret: bytes.Repeat([]byte{1}, 32)}
)

func keyring(t testing.TB, keys ...privacy.WrappingKey) *privacy.Keyring {
	t.Helper()
	r, err := privacy.NewKeyring(keys...)
	if err != nil {
		t.Fatal(err)
	}
	return r
}

func open(t testing.TB, inner rollout.Store, keys ...privacy.WrappingKey) *sealedstore.Store {
	t.Helper()
	s, err := sealedstore.New(t.Context(), sealedstore.Config{Store: inner, Keys: keyring(t, keys...)})
	if err != nil {
		t.Fatal(err)
	}
	return s
}

func put(t testing.TB, s rollout.Store, key, value string) rollout.Revision {
	t.Helper()
	revision, err := s.Put(t.Context(), key, []byte(value), "")
	if err != nil {
		t.Fatal(err)
	}
	return revision
}

// plainest hides what else a store can do.
type plainest struct{ rollout.Store }

func TestStore(t *testing.T) {
	for name, inner := range map[string]func(t *testing.T) rollout.Store{
		"memstore": func(*testing.T) rollout.Store { return new(memstore.Store) },
		"boltstore": func(t *testing.T) rollout.Store {
			s, err := boltstore.Open(filepath.Join(t.TempDir(), "store.db"))
			if err != nil {
				t.Fatal(err)
			}
			return s
		},
		"without Conditional": func(*testing.T) rollout.Store { return plainest{new(memstore.Store)} },
	} {
		t.Run(name, func(t *testing.T) {
			storetest.Run(t, func(t *testing.T) rollout.Store { return open(t, inner(t), young) })
		})
	}
}

// TestNothingInClear: a rollout with its audit trail, in a file.
func TestNothingInClear(t *testing.T) {
	path := filepath.Join(t.TempDir(), "store.db")
	bolt, err := boltstore.Open(path)
	if err != nil {
		t.Fatal(err)
	}
	s := open(t, bolt, young)
	ctx := t.Context()
	const person, reason = "ana-maria.szczesna", "the answers are too long, says the support"
	ana := rollout.Actor{Name: person, Roles: []string{"sre"}}
	engine, err := rollout.Open(ctx, rollout.Config{Store: s, Targets: map[string]rollout.Splitter{"chat": nowhere{}}, Checks: map[string]checks.Check{"sealed": s.Check()}})
	if err != nil {
		t.Fatal(err)
	}
	id, err := engine.Start(ctx, rollout.Plan{Target: "chat", Preflight: []string{"sealed"}, Baseline: versioning.Release{Version: versioning.MustParse("1.4.0")}, Candidate: versioning.Release{Version: versioning.MustParse("1.5.0")}}, ana)
	if err != nil {
		t.Fatal(err)
	}
	if err := engine.Do(ctx, id, strategies.Abort, ana, rollout.Because(reason)); err != nil {
		t.Fatal(err)
	}
	for _, err := range engine.Events(ctx, id, 1) { // until the rollout is over
		if err != nil {
			t.Fatal(err)
		}
	}
	if err := engine.Close(); err != nil {
		t.Fatal(err)
	}
	log, err := audit.Read(ctx, s, "chat")
	if err == nil {
		err = log.Verify()
	}
	if err != nil {
		t.Errorf("the audit trail does not verify: %v", err)
	}
	found, keyed := false, false
	for e, err := range s.List(ctx, "") {
		if err != nil {
			t.Fatal(err)
		}
		found = found || bytes.Contains(e.Value, []byte(reason))
		keyed = keyed || bytes.Contains(e.Value, []byte(keyring(t, young).Digest()))
	}
	if !found || !keyed {
		t.Errorf("the reason is stored: %v, the digest of the key is in the documents: %v", found, keyed)
	}
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	file, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	for _, text := range []string{person, reason, "szczesna", "\"phase\"", "the answers"} {
		if bytes.Contains(file, []byte(text)) {
			t.Errorf("the file has %q", text)
		}
	}
	if !bytes.Contains(file, []byte("rollout/chat")) {
		t.Error("the keys of entries are in clear, and this one is not")
	}
}

type nowhere struct{}

func (nowhere) SetSplit(context.Context, strategies.Split) error { return nil }

// replace changes a value of the inner store.
func replace(t *testing.T, inner rollout.Store, key string, change func([]byte) []byte) {
	t.Helper()
	e, err := inner.Get(t.Context(), key)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := inner.Put(t.Context(), key, change(e.Value), e.Revision); err != nil {
		t.Fatal(err)
	}
}

func TestAlteredValues(t *testing.T) {
	ctx := t.Context()
	inner := new(memstore.Store)
	s := open(t, inner, young)
	put(t, s, "rollout/chat", "value")
	put(t, s, "rollout/other", "other")
	original, err := inner.Get(ctx, "rollout/chat")
	if err != nil {
		t.Fatal(err)
	}
	for bit := range 8 * len(original.Value) {
		replace(t, inner, "rollout/chat", func([]byte) []byte {
			b := bytes.Clone(original.Value)
			b[bit/8] ^= 1 << (bit % 8)
			return b
		})
		e, err := s.Get(ctx, "rollout/chat")
		if err == nil || len(e.Value) > 0 || e.Revision == "" {
			t.Fatalf("bit %d: %q, %v", bit, e.Value, err)
		}
	}
	for n := range original.Value {
		replace(t, inner, "rollout/chat", func([]byte) []byte { return original.Value[:n] })
		if e, err := s.Get(ctx, "rollout/chat"); err == nil {
			t.Fatalf("cut at %d: %q", n, e.Value)
		}
	}
	replace(t, inner, "rollout/chat", func([]byte) []byte {
		e, err := inner.Get(ctx, "rollout/other")
		if err != nil {
			t.Fatal(err)
		}
		return e.Value
	})
	e, err := s.Get(ctx, "rollout/chat")
	if !errors.Is(err, rollout.ErrDamaged) || !errors.Is(err, privacy.ErrSealed) {
		t.Errorf("the value of another key: %q, %v", e.Value, err)
	}
	seen := 0
	for e, err := range s.List(ctx, "rollout/") {
		seen++
		if !errors.Is(err, rollout.ErrDamaged) || e.Key != "rollout/chat" {
			t.Errorf("List: %s, %v", e.Key, err)
		}
	}
	if seen != 1 {
		t.Errorf("List goes on after an error: %d", seen)
	}
	if _, err := s.Put(ctx, "rollout/chat", []byte("repaired"), e.Revision); err != nil {
		t.Errorf("a damaged value cannot be replaced: %v", err)
	}
}

// TestMissingKey: a value whose key is missing is not damaged, so that nothing replaces it.
func TestMissingKey(t *testing.T) {
	inner := new(memstore.Store)
	put(t, open(t, inner, old), "rollout/chat", "value")
	_, err := open(t, inner, young).Get(t.Context(), "rollout/chat")
	if !errors.Is(err, privacy.ErrNoKey) || errors.Is(err, rollout.ErrDamaged) {
		t.Errorf("%v", err)
	}
	_, err = open(t, inner, privacy.WrappingKey{ID: old.ID, Secret: young.Secret}).Get(t.Context(), "rollout/chat")
	if !errors.Is(err, privacy.ErrSealed) {
		t.Errorf("another key of the same name: %v", err)
	}
}

func TestRotation(t *testing.T) {
	ctx := t.Context()
	inner := new(memstore.Store)
	s := open(t, inner, old)
	values := map[string]string{"rollout/chat": "a", "audit/chat/1/0000000001": "b", "large": random(t, rollout.MaxValue)}
	for key, v := range values {
		put(t, s, key, v)
	}
	both := open(t, inner, young, old)
	put(t, both, "rollout/new", "c")
	values["rollout/new"] = "c"
	if n, err := both.Reseal(ctx); n != 3 || err != nil {
		t.Errorf("%d, %v; want 3", n, err)
	}
	if n, err := both.Reseal(ctx); n != 0 || err != nil {
		t.Errorf("again: %d, %v; want 0", n, err)
	}
	after := open(t, inner, young)
	for key, v := range values {
		if e, err := after.Get(ctx, key); err != nil || string(e.Value) != v {
			t.Errorf("%s without the old key: %d bytes, %v", key, len(e.Value), err)
		}
	}
}

func TestMigration(t *testing.T) {
	ctx := t.Context()
	inner := new(memstore.Store)
	put(t, inner, "rollout/chat", `{"phase":"staged"}`)
	put(t, inner, "empty", "")
	s := open(t, inner, young)
	if e, err := s.Get(ctx, "rollout/chat"); !errors.Is(err, sealedstore.ErrPlain) || len(e.Value) > 0 {
		t.Errorf("%q, %v", e.Value, err)
	}
	if n, err := s.Reseal(ctx); n != 0 || !errors.Is(err, sealedstore.ErrPlain) || !strings.Contains(err.Error(), "rollout/chat") {
		t.Errorf("a plain value without Plain: %d, %v; want 0 and ErrPlain with its key", n, err)
	}
	if _, err := s.Get(ctx, "rollout/chat"); !errors.Is(err, sealedstore.ErrPlain) {
		t.Errorf("after Reseal without Plain: %v, want ErrPlain", err)
	}
	migrating, err := sealedstore.New(ctx, sealedstore.Config{Store: inner, Keys: keyring(t, young), Plain: true})
	if err != nil {
		t.Fatal(err)
	}
	if e, err := migrating.Get(ctx, "rollout/chat"); err != nil || string(e.Value) != `{"phase":"staged"}` {
		t.Errorf("%q, %v", e.Value, err)
	}
	if n, err := migrating.Reseal(ctx); n != 2 || err != nil {
		t.Errorf("%d, %v", n, err)
	}
	if e, err := s.Get(ctx, "rollout/chat"); err != nil || string(e.Value) != `{"phase":"staged"}` {
		t.Errorf("%q, %v", e.Value, err)
	}
}

func random(t testing.TB, n int) string {
	t.Helper()
	b := make([]byte, n)
	rand.Read(b)
	return string(b)
}

// TestLargeValues: a value of the largest size is in two parts, of which nothing is left when
// it was replaced or deleted.
func TestLargeValues(t *testing.T) {
	ctx := t.Context()
	inner := new(memstore.Store)
	s := open(t, inner, young)
	inside := func() (keys []string) {
		for e, err := range inner.List(ctx, "") {
			if err != nil {
				t.Fatal(err)
			}
			keys = append(keys, e.Key)
		}
		return keys
	}
	large := random(t, rollout.MaxValue)
	revision := put(t, s, "k", large)
	if keys := inside(); len(keys) != 2 {
		t.Fatalf("%q", keys)
	}
	again := open(t, inner, young)
	if e, err := again.Get(ctx, "k"); err != nil || string(e.Value) != large {
		t.Errorf("after a restart: %d bytes, %v", len(e.Value), err)
	}
	if _, err := again.Put(ctx, "k", []byte(large), "another revision"); !errors.Is(err, rollout.ErrConflict) || len(inside()) != 2 {
		t.Errorf("a conflict: %v, %q", err, inside())
	}
	revision, err := again.Put(ctx, "k", []byte("small"), revision)
	if keys := inside(); err != nil || !slices.Equal(keys, []string{"k"}) {
		t.Errorf("replaced: %v, %q", err, keys)
	}
	if revision, err = again.Put(ctx, "k", []byte(large), revision); err != nil {
		t.Fatal(err)
	}
	if err := again.Delete(ctx, "k", revision); err != nil || len(inside()) != 0 {
		t.Errorf("deleted: %v, %q", err, inside())
	}
	put(t, s, "k", large)
	for _, key := range inside() {
		if strings.HasPrefix(key, "sealed/") {
			e, _ := inner.Get(ctx, key)
			if err := inner.Delete(ctx, key, e.Revision); err != nil {
				t.Fatal(err)
			}
		}
	}
	if e, err := s.Get(ctx, "k"); !errors.Is(err, rollout.ErrDamaged) {
		t.Errorf("without its second part: %d bytes, %v", len(e.Value), err)
	}
	var size *rollout.ValueSizeError
	if _, err := s.Put(ctx, "l", make([]byte, rollout.MaxValue+1), ""); !errors.As(err, &size) {
		t.Errorf("too large: %v", err)
	}
}

// broken is a KeyStore that fails, or answers with nonsense.
type broken struct {
	*privacy.Keyring
	err  error
	id   string
	size int
}

func (b *broken) Current(ctx context.Context) (string, error) {
	if b.err != nil || b.id != "" {
		return b.id, b.err
	}
	return b.Keyring.Current(ctx)
}

func (b *broken) Wrap(ctx context.Context, id string, key, about []byte) ([]byte, error) {
	w, err := b.Keyring.Wrap(ctx, id, key, about)
	return append(w, make([]byte, b.size)...), err
}

func TestBrokenKeys(t *testing.T) {
	ctx := t.Context()
	down := errors.New("KMS is down")
	for name, keys := range map[string]*broken{"down": {err: down}, "unknown key": {id: "other"}, "too large": {size: 3000}, "nonsense": {size: 1}} {
		keys.Keyring = keyring(t, young)
		if _, err := sealedstore.New(ctx, sealedstore.Config{Store: new(memstore.Store), Keys: keys}); err == nil {
			t.Errorf("%s: accepted", name)
		}
	}
	_, err := sealedstore.New(ctx, sealedstore.Config{})
	var fields []string
	for e := range checks.Invalid(err) {
		fields = append(fields, e.Field)
	}
	if !slices.Equal(fields, []string{"Config.Store", "Config.Keys"}) {
		t.Errorf("%q", fields)
	}
	synctest.Test(t, func(t *testing.T) {
		keys := &broken{Keyring: keyring(t, young)}
		s, err := sealedstore.New(t.Context(), sealedstore.Config{Store: new(memstore.Store), Keys: keys})
		if err != nil {
			t.Fatal(err)
		}
		revision := put(t, s, "rollout/chat", "a")
		keys.err = down
		if revision, err = s.Put(t.Context(), "rollout/chat", []byte("b"), revision); err != nil {
			t.Errorf("within an hour, a data key is at hand: %v", err)
		}
		time.Sleep(time.Hour)
		if _, err = s.Put(t.Context(), "rollout/chat", []byte("c"), revision); !errors.Is(err, down) || errors.Is(err, rollout.ErrConflict) {
			t.Errorf("after an hour: %v", err)
		}
		if e, err := s.Get(t.Context(), "rollout/chat"); err != nil || string(e.Value) != "b" {
			t.Errorf("%q, %v", e.Value, err)
		}
		if res := s.Check().Check(t.Context()); res.Status != checks.Unknown || !errors.Is(res.Err, down) {
			t.Errorf("%v, %v", res.Status, res.Err)
		}
	})
}

// TestCheck: another key is another digest.
func TestCheck(t *testing.T) {
	a, b := open(t, new(memstore.Store), young).Check(), open(t, new(memstore.Store), old).Check()
	first, err := checks.DigestOf(a)
	second, err2 := checks.DigestOf(b)
	if err != nil || err2 != nil || first == second || first == "" {
		t.Errorf("%q, %q, %v, %v", first, second, err, err2)
	}
	if res := a.Check(t.Context()); res.Status != checks.Pass || res.Evidence["key"] != "2026" || res.Evidence["digest"] != first {
		t.Errorf("%+v", res)
	}
}

// This seals a store in memory; any store is sealed in the same way.
func Example() {
	ctx := context.Background()
	keys, err := privacy.NewKeyring(privacy.WrappingKey{ID: "2026", Secret: []byte("a secret of 32 bytes, for tests.")}) // or ReadKeyring, or a KMS
	if err != nil {
		fmt.Println(err)
		return
	}
	inner := new(memstore.Store)
	store, err := sealedstore.New(ctx, sealedstore.Config{Store: inner, Keys: keys})
	if err != nil {
		fmt.Println(err)
		return
	}
	if _, err := store.Put(ctx, "rollout/chat", []byte(`{"by":"ana"}`), ""); err != nil {
		fmt.Println(err)
		return
	}
	outside, err1 := store.Get(ctx, "rollout/chat")
	inside, err2 := inner.Get(ctx, "rollout/chat")
	fmt.Println(string(outside.Value), bytes.Contains(inside.Value, []byte("ana")), err1, err2)
	// Output:
	// {"by":"ana"} false <nil> <nil>
}

func BenchmarkPut(b *testing.B) {
	value := []byte(random(b, 2048))
	for name, wrap := range map[string]func(rollout.Store) rollout.Store{
		"plain":  func(s rollout.Store) rollout.Store { return s },
		"sealed": func(s rollout.Store) rollout.Store { return open(b, s, young) },
	} {
		b.Run(name, func(b *testing.B) {
			s := wrap(new(memstore.Store)) // of this run alone, which begins without a revision
			var revision rollout.Revision
			for b.Loop() {
				var err error
				if revision, err = s.Put(b.Context(), "rollout/chat", value, revision); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}
