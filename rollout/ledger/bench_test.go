package ledger_test

import (
	"archive/zip"
	"bytes"
	"encoding/json"
	"fmt"
	"io"
	"log/slog"
	"path/filepath"
	"testing"

	"github.com/serin-go/serin/rollout"
	"github.com/serin-go/serin/rollout/boltstore"
	"github.com/serin-go/serin/rollout/ledger"
	"github.com/serin-go/serin/rollout/memstore"
)

func ledgerOn(b *testing.B, s rollout.Store) *ledger.Ledger {
	b.Helper()
	l, err := ledger.Open(b.Context(), ledger.Config{Store: s, Logger: slog.New(slog.DiscardHandler)})
	if err != nil {
		b.Fatal(err)
	}
	b.Cleanup(func() { l.Close() })
	return l
}

// BenchmarkAppend writes one vote, beside one Put of as many bytes.
func BenchmarkAppend(b *testing.B) {
	s, err := boltstore.Open(filepath.Join(b.TempDir(), "serin.db"))
	if err != nil {
		b.Fatal(err)
	}
	defer s.Close()
	l := ledgerOn(b, s)
	if _, err := l.Vouch(b.Context(), "compliance", subject, ledger.Proof{}, pia); err != nil {
		b.Fatal(err)
	}
	e, err := s.Get(b.Context(), "ledger/main/000000000001")
	if err != nil {
		b.Fatal(err)
	}
	n := 0
	b.Run("put", func(b *testing.B) {
		for b.Loop() {
			n++
			if _, err := s.Put(b.Context(), fmt.Sprintf("bench/%012d", n), e.Value, ""); err != nil {
				b.Fatal(err)
			}
		}
	})
	b.Run("vouch", func(b *testing.B) {
		for b.Loop() {
			if _, err := l.Vouch(b.Context(), "compliance", subject, ledger.Proof{}, pia); err != nil {
				b.Fatal(err)
			}
		}
	})
}

// BenchmarkVerify verifies 10,000 entries, beside decoding them.
func BenchmarkVerify(b *testing.B) {
	s := new(memstore.Store)
	l := ledgerOn(b, s)
	for range 10_000 {
		if _, err := l.Vouch(b.Context(), "compliance", subject, ledger.Proof{Reason: "the DPIA was reviewed"}, pia); err != nil {
			b.Fatal(err)
		}
	}
	b.Run("verify", func(b *testing.B) {
		for b.Loop() {
			if err := l.Verify(b.Context()); err != nil {
				b.Fatal(err)
			}
		}
	})
	b.Run("decode", func(b *testing.B) {
		for b.Loop() {
			for e, err := range s.List(b.Context(), "ledger/main/") {
				var entry ledger.Entry
				if err != nil || json.Unmarshal(e.Value, &entry) != nil {
					b.Fatal(err)
				}
			}
		}
	})
	b.Run("bundle", func(b *testing.B) {
		for b.Loop() {
			if _, err := l.Bundle(b.Context(), io.Discard, ledger.Bundle{}); err != nil {
				b.Fatal(err)
			}
		}
	})
	var file bytes.Buffer
	if _, err := l.Bundle(b.Context(), &file, ledger.Bundle{}); err != nil {
		b.Fatal(err)
	}
	z, err := zip.NewReader(bytes.NewReader(file.Bytes()), int64(file.Len()))
	if err != nil {
		b.Fatal(err)
	}
	files := make(map[string][]byte)
	for _, f := range z.File {
		r, err := f.Open()
		if err != nil {
			b.Fatal(err)
		}
		if files[f.Name], err = io.ReadAll(r); err != nil {
			b.Fatal(err)
		}
	}
	b.Run("zip", func(b *testing.B) {
		for b.Loop() {
			w := zip.NewWriter(io.Discard)
			for name, content := range files {
				f, err := w.Create(name)
				if err != nil {
					b.Fatal(err)
				}
				if _, err := f.Write(content); err != nil {
					b.Fatal(err)
				}
			}
			if err := w.Close(); err != nil {
				b.Fatal(err)
			}
		}
	})
}
