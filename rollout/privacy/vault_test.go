package privacy_test

import (
	"bytes"
	"encoding/base64"
	"errors"
	"io/fs"
	"iter"
	"log/slog"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/serin-go/serin/rollout"
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
	return privacy.VaultConfig{Purpose: "feedback", Keys: keyring(t), People: new(privacy.MemoryKeys), Pseudonyms: pseudonyms(t), Notes: notes(t, new(memstore.Store)), Logger: slog.New(slog.DiscardHandler)}
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

// TestFilesOfACrash: a file with a wrapped key that a crash has left before it got its name goes
// away with the key of the person, and when it is old.
func TestFilesOfACrash(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "keys")
	open := func() *privacy.FileKeys {
		f, err := privacy.OpenFileKeys(dir)
		if err != nil {
			t.Fatal(err)
		}
		return f
	}
	leave := func(name string, age time.Duration) {
		path := filepath.Join(dir, name)
		at := time.Now().Add(-age)
		if err := errors.Join(os.WriteFile(path, []byte(`{"wrapped":"AA=="}`), 0o600), os.Chtimes(path, at, at)); err != nil {
			t.Fatal(err)
		}
	}
	left := func() (names []string) {
		files, err := os.ReadDir(dir)
		if err != nil {
			t.Fatal(err)
		}
		for _, f := range files {
			names = append(names, f.Name())
		}
		return names
	}
	open()
	leave(".new-123", time.Hour)
	leave(".new-k1-alice.123", time.Hour)
	leave(".new-k1-alice.456", 0)
	leave(".new-k1-bob.789", 0) // another process may be writing it
	f := open()
	if got := left(); !slices.Equal(got, []string{".new-k1-alice.456", ".new-k1-bob.789"}) {
		t.Errorf("after OpenFileKeys: %q", got)
	}
	leave(".new-123", time.Hour)
	if err := f.Delete(t.Context(), "k1-alice"); err != nil {
		t.Error(err)
	}
	if got := left(); !slices.Equal(got, []string{".new-k1-bob.789"}) {
		t.Errorf("after Delete: %q", got)
	}
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
