package pgstore_test

import (
	"bytes"
	"context"
	"fmt"
	"io/fs"
	"os"
	"strings"
	"testing"

	"github.com/serin-go/serin/checks"
	"github.com/serin-go/serin/rollout"
	"github.com/serin-go/serin/rollout/drill"
	"github.com/serin-go/serin/rollout/privacy"
	"github.com/serin-go/serin/rollout/sealedstore"
	"github.com/serin-go/serin/rollout/storetest"
)

// sealing returns a sealed store over another one.
func sealing(t *testing.T, inner rollout.Store) rollout.Store {
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

// TestSealed: the suite over a sealed store in PostgreSQL.
func TestSealed(t *testing.T) {
	s := serve(t)
	storetest.Run(t, func(t *testing.T) rollout.Store {
		return sealing(t, open(t, s, fmt.Sprintf("s%d", tables.Add(1))))
	})
}

// TestEncryptedAtRest: the files of the server have nothing of a sealed store. In a plain one
// the record is there, although PostgreSQL compresses it.
func TestEncryptedAtRest(t *testing.T) {
	s := serve(t)
	for table, want := range map[string]checks.Status{"plain": checks.Fail, "sealed": checks.Pass} {
		inner := open(t, s, table)
		store := rollout.Store(inner)
		if table == "sealed" {
			store = sealing(t, inner)
		}
		const key = "feedback/1"
		res := drill.Encrypted(drill.EncryptedOptions{
			Files: func(context.Context) (fs.FS, error) { return os.DirFS(s.data()), nil },
			Write: func(ctx context.Context, record string) error {
				_, err := store.Put(ctx, key, []byte(record), "")
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
				_, err = inner.Put(ctx, key, e.Value, e.Revision)
				return err
			},
		}).Check(t.Context())
		if res.Status != want || want == checks.Fail && !strings.Contains(res.Summary, "in clear") && !strings.Contains(res.Summary, "compressed") {
			t.Errorf("%s: %v: %s, %v, %v", table, res.Status, res.Summary, res.Err, res.Evidence)
		}
	}
}
