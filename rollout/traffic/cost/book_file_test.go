package cost_test

import (
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/serin-go/serin/checks"
	"github.com/serin-go/serin/rollout/traffic/cost"
)

func TestReadBookFile(t *testing.T) {
	name := filepath.Join(t.TempDir(), "prices.json")
	if _, err := cost.ReadBookFile(name); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("without the file: %v", err)
	}
	if err := os.WriteFile(name, []byte(`{"m": {"input": 1}}`), 0o600); err != nil {
		t.Fatal(err)
	}
	b, err := cost.ReadBookFile(name)
	if err != nil {
		t.Fatal(err)
	}
	if p, ok := b.Price("m"); !ok || p.Input != 1_000_000 {
		t.Errorf("%+v, %t", p, ok)
	}
	if err := os.WriteFile(name, []byte(`{"m": {}}`), 0o600); err != nil {
		t.Fatal(err)
	}
	var bad *checks.InvalidError
	if _, err := cost.ReadBookFile(name); !errors.As(err, &bad) || !strings.Contains(err.Error(), name) {
		t.Errorf("a file with a mistake: %v", err)
	}
	if b, err := cost.ReadBookFile(""); err != nil {
		t.Error(err)
	} else if _, ok := b.Price("m"); ok {
		t.Error("without a name there is a price")
	}
}
