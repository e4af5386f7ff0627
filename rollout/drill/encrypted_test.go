package drill_test

import (
	"bytes"
	"compress/gzip"
	"context"
	"crypto/aes"
	"crypto/cipher"
	"encoding/base64"
	"errors"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"testing/fstest"
	"time"

	"github.com/serin-go/serin/checks"
	"github.com/serin-go/serin/rollout"
	"github.com/serin-go/serin/rollout/boltstore"
	"github.com/serin-go/serin/rollout/drill"
	"github.com/serin-go/serin/rollout/privacy"
	"github.com/serin-go/serin/rollout/sealedstore"
)

// coded is a store whose values are coded in a way that is no encryption.
type coded struct {
	rollout.Store
	encode, decode func([]byte) []byte
}

func (c coded) Put(ctx context.Context, key string, value []byte, prev rollout.Revision) (rollout.Revision, error) {
	return c.Store.Put(ctx, key, c.encode(value), prev)
}

func (c coded) Get(ctx context.Context, key string) (rollout.Entry, error) {
	e, err := c.Store.Get(ctx, key)
	e.Value = c.decode(e.Value)
	return e, err
}

func zip(b []byte) []byte {
	var out bytes.Buffer
	z := gzip.NewWriter(&out)
	z.Write(b)
	z.Close()
	return out.Bytes()
}

func unzip(b []byte) []byte {
	z, err := gzip.NewReader(bytes.NewReader(b))
	if err != nil {
		return nil
	}
	out, _ := io.ReadAll(z)
	return out
}

func encode64(b []byte) []byte { return []byte(base64.StdEncoding.EncodeToString(b)) }

func decode64(b []byte) []byte {
	out, _ := base64.StdEncoding.DecodeString(string(b))
	return out
}

func xor(b []byte) []byte {
	out := bytes.Clone(b)
	for i := range out {
		out[i] ^= 0x5a
	}
	return out
}

// counterMode encrypts and does not authenticate.
func counterMode(b []byte) []byte {
	block, _ := aes.NewCipher(make([]byte, 32))
	out := make([]byte, len(b))
	cipher.NewCTR(block, make([]byte, 16)).XORKeyStream(out, b)
	return out
}

// sealing returns a sealed store over another one.
func sealing(t testing.TB, inner rollout.Store) rollout.Store {
	t.Helper()
	keys, err := privacy.NewKeyring(privacy.WrappingKey{ID: "k1", Secret: bytes.Repeat([]byte{1}, 32)})
	if err != nil {
		t.Fatal(err)
	}
	s, err := sealedstore.New(t.Context(), sealedstore.Config{Store: inner, Keys: keys})
	if err != nil {
		t.Fatal(err)
	}
	return s
}

// atRest are the options for a store over a file. around makes the store of the service.
func atRest(t testing.TB, around func(inner rollout.Store) rollout.Store) drill.EncryptedOptions {
	t.Helper()
	dir := t.TempDir()
	inner, err := boltstore.Open(filepath.Join(dir, "store.db"))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { inner.Close() })
	store := around(inner)
	const key = "feedback/1"
	revision := rollout.Revision("")
	return drill.EncryptedOptions{
		Files: func(context.Context) (fs.FS, error) { return os.DirFS(dir), nil },
		Write: func(ctx context.Context, record string) (err error) {
			revision, err = store.Put(ctx, key, []byte(record), revision)
			return err
		},
		Read: func(ctx context.Context) (string, error) {
			e, err := store.Get(ctx, key)
			return string(e.Value), err
		},
		Alter: func(ctx context.Context) error {
			e, err := inner.Get(ctx, key)
			if err != nil {
				return err
			}
			e.Value[len(e.Value)/2] ^= 1
			revision, err = inner.Put(ctx, key, e.Value, e.Revision)
			return err
		},
	}
}

func TestEncrypted(t *testing.T) {
	same := func(s rollout.Store) rollout.Store { return s }
	with := func(encode, decode func([]byte) []byte) func(rollout.Store) rollout.Store {
		return func(s rollout.Store) rollout.Store { return coded{s, encode, decode} }
	}
	for name, tt := range map[string]struct {
		around func(rollout.Store) rollout.Store
		want   checks.Status
		says   string
	}{
		"sealed":            {func(s rollout.Store) rollout.Store { return sealing(t, s) }, checks.Pass, "none of"},
		"plain":             {same, checks.Fail, "store.db"},
		"base64":            {with(encode64, decode64), checks.Fail, "store.db"},
		"compressed":        {with(zip, unzip), checks.Fail, "compressed"},
		"xor":               {with(xor, xor), checks.Fail, "encoded"},
		"not authenticated": {with(counterMode, counterMode), checks.Fail, "altered"},
	} {
		t.Run(name, func(t *testing.T) {
			c := drill.Encrypted(atRest(t, tt.around))
			for range 2 {
				res := c.Check(t.Context())
				if res.Status != tt.want || !strings.Contains(res.Summary, tt.says) {
					t.Errorf("%v: %s, %v, %v; want %v: %s", res.Status, res.Summary, res.Err, res.Evidence, tt.want, tt.says)
				}
			}
		})
	}
	o := atRest(t, func(s rollout.Store) rollout.Store { return sealing(t, s) })
	o.Alter = nil
	if res := drill.Encrypted(o).Check(t.Context()); res.Status != checks.Pass || res.Evidence["altered record"] != "not tried" {
		t.Errorf("without Alter: %v", res)
	}
}

// TestEncryptedElsewhere: a record that is not encrypted is found, or nothing is said, also if
// another file changes that looks random.
func TestEncryptedElsewhere(t *testing.T) {
	for name, tt := range map[string]struct {
		store func(t *testing.T, dir string) string // returns the file of the record
		form  func([]byte) []byte
		want  checks.Status
	}{
		"compressed": {func(_ *testing.T, dir string) string { return filepath.Join(dir, "records") }, func(b []byte) []byte { return append([]byte("header"), zip(b)...) }, checks.Fail},
		"behind a link to a file": {func(t *testing.T, dir string) string {
			path := filepath.Join(t.TempDir(), "records")
			if err := os.Symlink(path, filepath.Join(dir, "records")); err != nil {
				t.Fatal(err)
			}
			return path
		}, bytes.Clone, checks.Fail},
		"behind a link to a folder": {func(t *testing.T, dir string) string {
			out := t.TempDir()
			if err := os.Symlink(out, filepath.Join(dir, "data")); err != nil {
				t.Fatal(err)
			}
			return filepath.Join(out, "records")
		}, bytes.Clone, checks.Unknown},
	} {
		t.Run(name, func(t *testing.T) {
			dir := t.TempDir()
			path := tt.store(t, dir)
			kept := ""
			res := drill.Encrypted(drill.EncryptedOptions{
				Files: func(context.Context) (fs.FS, error) { return os.DirFS(dir), nil },
				Write: func(_ context.Context, record string) error {
					kept = record
					return errors.Join(os.WriteFile(path, tt.form([]byte(record)), 0o600),
						os.WriteFile(filepath.Join(dir, "tickets"), counterMode(make([]byte, 8192)), 0o600))
				},
				Read: func(context.Context) (string, error) { return kept, nil },
			}).Check(t.Context())
			if res.Status != tt.want {
				t.Errorf("%v: %s, %v; want %v", res.Status, res.Summary, res.Err, tt.want)
			}
		})
	}
}

// TestEncryptedUnknown: what proves nothing is no success.
func TestEncryptedUnknown(t *testing.T) {
	for name, change := range map[string]func(*drill.EncryptedOptions){
		"other files": func(o *drill.EncryptedOptions) {
			o.Files = func(context.Context) (fs.FS, error) { return fstest.MapFS{"a": {Data: []byte("b")}}, nil }
		},
		"no files": func(o *drill.EncryptedOptions) {
			o.Files = func(context.Context) (fs.FS, error) { return fstest.MapFS{}, nil }
		},
		"missing folder": func(o *drill.EncryptedOptions) {
			o.Files = func(context.Context) (fs.FS, error) { return nil, errTwin }
		},
		"nothing written": func(o *drill.EncryptedOptions) { o.Write = func(context.Context, string) error { return nil } },
		"not written":     func(o *drill.EncryptedOptions) { o.Write = func(context.Context, string) error { return errTwin } },
		"not read":        func(o *drill.EncryptedOptions) { o.Read = func(context.Context) (string, error) { return "", errTwin } },
		"another record":  func(o *drill.EncryptedOptions) { o.Read = func(context.Context) (string, error) { return "x", nil } },
		"not altered":     func(o *drill.EncryptedOptions) { o.Alter = func(context.Context) error { return errTwin } },
		"panic":           func(o *drill.EncryptedOptions) { o.Write = func(context.Context, string) error { panic("x") } },
		"goexit":          func(o *drill.EncryptedOptions) { o.Write = func(context.Context, string) error { quits(); return nil } },
	} {
		t.Run(name, func(t *testing.T) {
			o := atRest(t, func(s rollout.Store) rollout.Store { return sealing(t, s) })
			change(&o)
			want(t, drill.Encrypted(o).Check(t.Context()), checks.Unknown)
		})
	}
	ended, cancel := context.WithCancel(t.Context())
	o := atRest(t, func(s rollout.Store) rollout.Store { return s })
	write := o.Write
	o.Write = func(ctx context.Context, record string) error {
		cancel()
		return errors.Join(write(ctx, record), ctx.Err())
	}
	want(t, drill.Encrypted(o).Check(ended), checks.Unknown)
	if got := fields(t, drill.Encrypted(drill.EncryptedOptions{Timeout: -1}).Check(t.Context())); !slices.Equal(got, []string{"EncryptedOptions.Files", "EncryptedOptions.Read", "EncryptedOptions.Timeout", "EncryptedOptions.Write"}) {
		t.Errorf("%q", got)
	}
	same := atRest(t, func(s rollout.Store) rollout.Store { return s })
	other, bare := same, same
	other.Timeout, bare.Alter = time.Hour, nil
	digests(t, drill.Encrypted(same), drill.Encrypted(same), drill.Encrypted(other), drill.Encrypted(bare))
}
