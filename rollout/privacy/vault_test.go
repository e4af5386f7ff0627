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
	"iter"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/serin-go/serin/rollout"
	"github.com/serin-go/serin/rollout/boltstore"
	"github.com/serin-go/serin/rollout/ledger"
	"github.com/serin-go/serin/rollout/memstore"
	"github.com/serin-go/serin/rollout/privacy"
)

func secret(b byte) []byte { return bytes.Repeat([]byte{b}, 32) }

func keyring(t testing.TB, keys ...privacy.WrappingKey) *privacy.Keyring {
	t.Helper()
	if len(keys) == 0 {
		keys = []privacy.WrappingKey{{ID: "2026-11", Secret: secret(1)}}
	}
	r, err := privacy.NewKeyring(keys...)
	if err != nil {
		t.Fatal(err)
	}
	return r
}

func pseudonyms(t testing.TB) *privacy.Pseudonyms {
	t.Helper()
	p, err := privacy.NewPseudonyms(privacy.PseudonymKey{ID: "k1", Secret: secret(7)})
	if err != nil {
		t.Fatal(err)
	}
	return p
}

// notes returns a notebook of a ledger.
func notes(t testing.TB, s rollout.Store) *ledger.Notebook {
	t.Helper()
	l, err := ledger.Open(t.Context(), ledger.Config{Store: s})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { l.Close() })
	return l.Notebook(rollout.Actor{Name: "service"})
}

func vaultConfig(t testing.TB) privacy.VaultConfig {
	return privacy.VaultConfig{Purpose: "feedback", Keys: keyring(t), People: new(privacy.MemoryKeys), Pseudonyms: pseudonyms(t), Notes: notes(t, new(memstore.Store))}
}

func vault(t testing.TB, c privacy.VaultConfig) *privacy.Vault {
	t.Helper()
	v, err := privacy.OpenVault(t.Context(), c)
	if err != nil {
		t.Fatal(err)
	}
	return v
}

func seal(t testing.TB, v *privacy.Vault, person, field, plain string) []byte {
	t.Helper()
	b, err := v.Seal(t.Context(), person, field, []byte(plain))
	if err != nil {
		t.Fatal(err)
	}
	return b
}

func TestVaultSeals(t *testing.T) {
	ctx := t.Context()
	c := vaultConfig(t)
	v := vault(t, c)
	sealed := seal(t, v, "alice", "comment", "the answer is wrong")
	if bytes.Contains(sealed, []byte("wrong")) || bytes.Contains(sealed, []byte("alice")) {
		t.Errorf("sealed is %q", sealed)
	}
	if got, err := v.Open(ctx, "alice", "comment", sealed); err != nil || string(got) != "the answer is wrong" {
		t.Errorf("%q, %v", got, err)
	}
	if got, err := vault(t, c).Open(ctx, "alice", "comment", sealed); err != nil || string(got) != "the answer is wrong" {
		t.Errorf("after a restart: %q, %v", got, err)
	}
	if empty := seal(t, v, "alice", "comment", ""); len(empty) == 0 {
		t.Error("an empty field")
	} else if got, err := v.Open(ctx, "alice", "comment", empty); err != nil || len(got) != 0 {
		t.Errorf("an empty field: %q, %v", got, err)
	}
	for bit := range 8 * len(sealed) {
		altered := bytes.Clone(sealed)
		altered[bit/8] ^= 1 << (bit % 8)
		if got, err := v.Open(ctx, "alice", "comment", altered); !errors.Is(err, privacy.ErrSealed) {
			t.Fatalf("bit %d flipped: %q, %v", bit, got, err)
		}
	}
	for n := range sealed {
		if got, err := v.Open(ctx, "alice", "comment", sealed[:n]); !errors.Is(err, privacy.ErrSealed) {
			t.Fatalf("cut at %d: %q, %v", n, got, err)
		}
	}
	seal(t, v, "bob", "comment", "x")
	other := c
	other.Purpose = "support"
	for name, open := range map[string]func() ([]byte, error){
		"another person":  func() ([]byte, error) { return v.Open(ctx, "bob", "comment", sealed) },
		"another field":   func() ([]byte, error) { return v.Open(ctx, "alice", "prompt", sealed) },
		"another purpose": func() ([]byte, error) { return vault(t, other).Open(ctx, "alice", "comment", sealed) },
	} {
		if got, err := open(); !errors.Is(err, privacy.ErrSealed) {
			t.Errorf("%s: %q, %v", name, got, err)
		}
	}
	if got, err := v.Open(ctx, "carol", "comment", sealed); !errors.Is(err, privacy.ErrNoKey) {
		t.Errorf("a person without a key: %q, %v", got, err)
	}
	for _, person := range []string{"", "a\x00b", strings.Repeat("a", 1025)} {
		if _, err := v.Seal(ctx, person, "comment", nil); len(fields(err)) != 1 {
			t.Errorf("person %q: %v", person, err)
		}
	}
	if _, err := v.Seal(ctx, "alice", "", nil); !slices.Equal(fields(err), []string{"field"}) {
		t.Errorf("no field: %v", err)
	}
}

func TestVaultInvalid(t *testing.T) {
	_, err := privacy.OpenVault(t.Context(), privacy.VaultConfig{Forgetters: map[string]privacy.Forgetter{"cache": nil}})
	want := []string{"VaultConfig.Forgetters[cache]", "VaultConfig.Keys", "VaultConfig.Notes", "VaultConfig.People", "VaultConfig.Pseudonyms", "VaultConfig.Purpose"}
	if got := fields(err); !slices.Equal(got, want) {
		t.Errorf("%q, want %q", got, want)
	}
}

// TestKeyRotation: a new key wraps old data keys again, and the old one can be removed.
func TestKeyRotation(t *testing.T) {
	ctx := t.Context()
	old, young := privacy.WrappingKey{ID: "2025", Secret: secret(1)}, privacy.WrappingKey{ID: "2026", Secret: secret(2)}
	c := vaultConfig(t)
	c.Keys = keyring(t, old)
	sealed := map[string][]byte{}
	v := vault(t, c)
	for _, p := range []string{"alice", "bob", "carol"} {
		sealed[p] = seal(t, v, p, "comment", p)
	}
	c.Keys = keyring(t, young, old)
	v = vault(t, c)
	sealed["dave"] = seal(t, v, "dave", "comment", "dave")
	if n, err := v.Rewrap(ctx); n != 3 || err != nil {
		t.Errorf("%d, %v; want 3", n, err)
	}
	if n, err := v.Rewrap(ctx); n != 0 || err != nil {
		t.Errorf("again: %d, %v; want 0", n, err)
	}
	c.Keys = keyring(t, young)
	v = vault(t, c)
	for p, s := range sealed {
		if got, err := v.Open(ctx, p, "comment", s); err != nil || string(got) != p {
			t.Errorf("%s without the old key: %q, %v", p, got, err)
		}
	}
	c.Keys = keyring(t, old)
	if got, err := vault(t, c).Open(ctx, "alice", "comment", sealed["alice"]); !errors.Is(err, privacy.ErrNoKey) {
		t.Errorf("without the new key: %q, %v", got, err)
	}
	c.Keys = keyring(t, privacy.WrappingKey{ID: "2026", Secret: secret(9)})
	if got, err := vault(t, c).Open(ctx, "alice", "comment", sealed["alice"]); !errors.Is(err, privacy.ErrSealed) {
		t.Errorf("another key of the same name: %q, %v", got, err)
	}
}

// TestKeyOfAnotherPerson: the file of a key does not open under another name.
func TestKeyOfAnotherPerson(t *testing.T) {
	c := vaultConfig(t)
	people := c.People
	sealed := seal(t, vault(t, c), "alice", "comment", "x")
	k, err := people.Get(t.Context(), c.Pseudonyms.Of("", "alice"))
	if err != nil {
		t.Fatal(err)
	}
	if err := people.Create(t.Context(), c.Pseudonyms.Of("", "mallory"), k); err != nil {
		t.Fatal(err)
	}
	if got, err := vault(t, c).Open(t.Context(), "mallory", "comment", sealed); !errors.Is(err, privacy.ErrSealed) {
		t.Errorf("%q, %v", got, err)
	}
}

func TestKeyringWorn(t *testing.T) {
	privacy.SetMaxWraps(t, 2)
	v := vault(t, vaultConfig(t))
	seal(t, v, "alice", "comment", "x")
	seal(t, v, "bob", "comment", "x")
	if _, err := v.Seal(t.Context(), "carol", "comment", nil); !errors.Is(err, privacy.ErrWorn) {
		t.Errorf("%v, want ErrWorn", err)
	}
	seal(t, v, "alice", "comment", "y")
}

func TestKeyringSources(t *testing.T) {
	line := func(id string, b byte) string { return id + " " + base64.StdEncoding.EncodeToString(secret(b)) }
	want := keyring(t, privacy.WrappingKey{ID: "b", Secret: secret(2)}).Digest()
	path := filepath.Join(t.TempDir(), "keys")
	write := func(text string, mode fs.FileMode) {
		t.Helper()
		os.Remove(path)
		if err := os.WriteFile(path, []byte(text), mode); err != nil {
			t.Fatal(err)
		}
	}
	write("# keys\n\n"+line("b", 2)+"\n"+line("a", 1)+"\n", 0o600)
	if r, err := privacy.ReadKeyring(path); err != nil || r.Digest() != want {
		t.Errorf("file: %v", err)
	}
	t.Setenv("SERIN_TEST_KEYS", line("b", 2)+","+line("a", 1))
	if r, err := privacy.EnvKeyring("SERIN_TEST_KEYS"); err != nil || r.Digest() != want {
		t.Errorf("environment: %v", err)
	}
	hidden := base64.StdEncoding.EncodeToString(secret(2))
	for name, f := range map[string]func() error{
		"readable for others": func() error { write(line("a", 1), 0o644); _, err := privacy.ReadKeyring(path); return err },
		"no base64":           func() error { write("a "+hidden+"!", 0o600); _, err := privacy.ReadKeyring(path); return err },
		"too short":           func() error { write("a "+hidden[:16], 0o600); _, err := privacy.ReadKeyring(path); return err },
		"no ID":               func() error { write(hidden, 0o600); _, err := privacy.ReadKeyring(path); return err },
		"twice": func() error {
			write(line("a", 1)+"\n"+line("a", 2), 0o600)
			_, err := privacy.ReadKeyring(path)
			return err
		},
		"empty":   func() error { write("", 0o600); _, err := privacy.ReadKeyring(path); return err },
		"not set": func() error { _, err := privacy.EnvKeyring("SERIN_TEST_NO_KEYS"); return err },
		"no key": func() error {
			_, err := privacy.NewKeyring(privacy.WrappingKey{ID: "a b", Secret: secret(1)[:31]})
			return err
		},
	} {
		err := f()
		if len(fields(err)) == 0 {
			t.Errorf("%s: %v, want an InvalidError", name, err)
		} else if strings.Contains(err.Error(), hidden[:12]) {
			t.Errorf("%s: the error has the secret: %v", name, err)
		}
	}
	if _, err := privacy.ReadKeyring(path + "x"); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("no file: %v", err)
	}
}

// stores are the implementations of PersonKeys.
func stores(t *testing.T) map[string]privacy.PersonKeys {
	files, err := privacy.OpenFileKeys(filepath.Join(t.TempDir(), "keys"))
	if err != nil {
		t.Fatal(err)
	}
	return map[string]privacy.PersonKeys{"memory": new(privacy.MemoryKeys), "files": files}
}

func TestPersonKeys(t *testing.T) {
	for name, s := range stores(t) {
		t.Run(name, func(t *testing.T) {
			ctx := t.Context()
			a, b := privacy.WrappedKey{ID: []byte("1"), Key: "k", Wrapped: []byte{1}}, privacy.WrappedKey{ID: []byte("2"), Key: "k", Wrapped: []byte{2}}
			if _, err := s.Get(ctx, "p"); !errors.Is(err, privacy.ErrNoKey) {
				t.Errorf("Get: %v", err)
			}
			if err := s.Replace(ctx, "p", a); !errors.Is(err, privacy.ErrNoKey) {
				t.Errorf("Replace of nothing: %v", err)
			}
			if err := s.Create(ctx, "p", a); err != nil {
				t.Error(err)
			}
			if err := s.Create(ctx, "p", b); !errors.Is(err, fs.ErrExist) {
				t.Errorf("Create again: %v", err)
			}
			if k, err := s.Get(ctx, "p"); err != nil || !bytes.Equal(k.Wrapped, a.Wrapped) {
				t.Errorf("%v, %v", k, err)
			}
			if err := s.Replace(ctx, "p", b); err != nil {
				t.Error(err)
			}
			if k, err := s.Get(ctx, "p"); err != nil || !bytes.Equal(k.Wrapped, b.Wrapped) {
				t.Errorf("%v, %v", k, err)
			}
			if err := s.Create(ctx, "q", a); err != nil {
				t.Error(err)
			}
			if got := people(t, s.All(ctx)); !slices.Equal(got, []string{"p", "q"}) {
				t.Errorf("All: %q", got)
			}
			if err := s.Delete(ctx, "p", "never", "q"); err != nil {
				t.Error(err)
			}
			if got := people(t, s.All(ctx)); len(got) > 0 {
				t.Errorf("after Delete: %q", got)
			}
		})
	}
	dir := t.TempDir()
	if err := os.Chmod(dir, 0o755); err != nil {
		t.Fatal(err)
	}
	if _, err := privacy.OpenFileKeys(dir); len(fields(err)) != 1 {
		t.Errorf("a folder for everyone: %v", err)
	}
	files, err := privacy.OpenFileKeys(filepath.Join(dir, "keys"))
	if err != nil {
		t.Fatal(err)
	}
	if err := files.Create(t.Context(), "../p", privacy.WrappedKey{}); len(fields(err)) != 1 {
		t.Errorf("a name with a path: %v", err)
	}
	if err := os.WriteFile(filepath.Join(dir, "keys", "p"), []byte("{"), 0o600); err != nil {
		t.Fatal(err)
	}
	if _, err := files.Get(t.Context(), "p"); !errors.Is(err, privacy.ErrSealed) {
		t.Errorf("a damaged file: %v", err)
	}
}

func people(t *testing.T, all iter.Seq2[string, error]) (names []string) {
	t.Helper()
	for name, err := range all {
		if err != nil {
			t.Fatal(err)
		}
		names = append(names, name)
	}
	slices.Sort(names)
	return names
}

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
// data, the ledger, the keys, and the backup with restored keys.
func TestNothingIsLeft(t *testing.T) {
	ctx := t.Context()
	dir := t.TempDir()
	db, err := boltstore.Open(filepath.Join(dir, "data.db"))
	if err != nil {
		t.Fatal(err)
	}
	defer db.Close()
	keys, err := privacy.OpenFileKeys(filepath.Join(dir, "keys"))
	if err != nil {
		t.Fatal(err)
	}
	led, err := ledger.Open(ctx, ledger.Config{Store: db})
	if err != nil {
		t.Fatal(err)
	}
	defer led.Close()
	c := privacy.VaultConfig{Purpose: "feedback", Keys: keyring(t), People: keys, Pseudonyms: pseudonyms(t), Notes: led.Notebook(rollout.Actor{Name: "service"})}
	v := vault(t, c)
	random := make([]byte, 24)
	rand.Read(random)
	person, text := "alice-"+base64.RawURLEncoding.EncodeToString(random[:8]), "comment-"+base64.RawURLEncoding.EncodeToString(random)
	sealed := seal(t, v, person, "comment", text)
	if _, err := db.Put(ctx, "feedback/1", sealed, ""); err != nil {
		t.Fatal(err)
	}
	name := c.Pseudonyms.Of("", person)
	backup, err := keys.Get(ctx, name)
	if err != nil {
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
	if err := led.Verify(ctx); err != nil {
		t.Errorf("the ledger does not verify: %v", err)
	}
	files := map[string][]byte{}
	err = filepath.WalkDir(dir, func(path string, d fs.DirEntry, err error) error {
		if err != nil || d.IsDir() {
			return err
		}
		files[path], err = os.ReadFile(path)
		return err
	})
	if err != nil || len(files) == 0 {
		t.Fatalf("%d files, %v", len(files), err)
	}
	for path, content := range files {
		for _, s := range []string{person, text} {
			for _, form := range [][]byte{[]byte(s), []byte(base64.StdEncoding.EncodeToString([]byte(s))), []byte(s[len(s)-11:])} {
				if bytes.Contains(content, form) || strings.Contains(path, string(form)) {
					t.Errorf("%s has %q", path, form)
				}
			}
		}
	}
	if slices.Contains(slices.Collect(maps.Keys(files)), filepath.Join(dir, "keys", name)) {
		t.Error("the key is still there")
	}
}

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
		c := privacy.VaultConfig{Purpose: "feedback", Keys: keyring(b), People: keys, Pseudonyms: pseudonyms(b), Notes: notes(b, db)}
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

func BenchmarkSeal(b *testing.B) {
	v := vault(b, vaultConfig(b))
	plain := bytes.Repeat([]byte("x"), 512)
	b.Run("vault", func(b *testing.B) {
		for b.Loop() {
			if _, err := v.Seal(b.Context(), "alice", "comment", plain); err != nil {
				b.Fatal(err)
			}
		}
	})
	aead := privacy.NewAEAD(secret(3))
	b.Run("AEAD.Seal", func(b *testing.B) {
		for b.Loop() {
			aead.Seal(nil, nil, plain, []byte("feedback\x00alice\x00comment"))
		}
	})
}
