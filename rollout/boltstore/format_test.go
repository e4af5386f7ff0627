package boltstore_test

import (
	"bytes"
	"errors"
	"os"
	"path/filepath"
	"testing"

	"go.etcd.io/bbolt"

	"github.com/serin-go/serin/rollout"
	"github.com/serin-go/serin/rollout/boltstore"
)

// TestOlderFormat: a file of the first format is not damaged, and is left as it is.
func TestOlderFormat(t *testing.T) {
	path := filepath.Join(t.TempDir(), "serin.db")
	db, err := bbolt.Open(path, 0o600, nil)
	if err != nil {
		t.Fatal(err)
	}
	err = db.Update(func(tx *bbolt.Tx) error {
		b, err := tx.CreateBucket([]byte("serin"))
		if err != nil {
			return err
		}
		return b.Put([]byte("rollout/chat"), []byte("12345678 a document"))
	})
	if err = errors.Join(err, db.Close()); err != nil {
		t.Fatal(err)
	}
	before, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	_, err = boltstore.Open(path)
	var older *boltstore.FormatError
	if !errors.As(err, &older) || older.Format != 1 || older.Path != path || errors.Is(err, rollout.ErrDamaged) {
		t.Errorf("Open: %v", err)
	}
	if after, err := os.ReadFile(path); err != nil || !bytes.Equal(before, after) {
		t.Errorf("the file has changed: %v", err)
	}
}
