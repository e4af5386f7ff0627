package ledger_test

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"

	"github.com/serin-go/serin/rollout"
	"github.com/serin-go/serin/rollout/ledger"
	"github.com/serin-go/serin/rollout/memstore"
)

func TestNotebook(t *testing.T) {
	ctx := t.Context()
	store := new(memstore.Store)
	open := func() *ledger.Ledger {
		l, err := ledger.Open(ctx, ledger.Config{Store: store})
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { l.Close() })
		return l
	}
	service := rollout.Actor{Name: "gateway"}
	a, b := open().Notebook(service), open().Notebook(service)
	read := func(n *ledger.Notebook, after uint64) (all []string) {
		t.Helper()
		err := n.Notes(ctx, after, func(seq uint64, name string, what json.RawMessage) error {
			all = append(all, fmt.Sprintf("%d %s %s", seq, name, what))
			return nil
		})
		if err != nil {
			t.Fatal(err)
		}
		return all
	}
	if got := read(a, 0); got != nil {
		t.Errorf("%q", got)
	}
	for i := range 3 {
		if err := a.Note(ctx, "erase", i); err != nil {
			t.Fatal(err)
		}
		if got, want := read(b, uint64(i)), []string{fmt.Sprintf("%d erase %d", i+1, i)}; !slices.Equal(got, want) {
			t.Errorf("another process reads %q, want %q", got, want)
		}
	}
	for after, want := range []int{3, 2, 1, 0} {
		if got := read(b, uint64(after)); len(got) != want {
			t.Errorf("after %d: %q, want %d", after, got, want)
		}
	}
	stop := errors.New("stop")
	if err := b.Notes(ctx, 0, func(uint64, string, json.RawMessage) error { return stop }); !errors.Is(err, stop) {
		t.Errorf("%v, want the error of the function", err)
	}

	var tampered *ledger.TamperError
	none := func(uint64, string, json.RawMessage) error { return nil }
	const key = "ledger/main/000000000002"
	e, err := store.Get(ctx, key)
	if err != nil {
		t.Fatal(err)
	}
	altered := strings.Replace(string(e.Value), `"note":1`, `"note":9`, 1)
	revision, err := store.Put(ctx, key, []byte(altered), e.Revision)
	if err != nil {
		t.Fatal(err)
	}
	if err := b.Notes(ctx, 0, none); !errors.As(err, &tampered) || tampered.Seq != 2 {
		t.Errorf("an altered entry: %v", err)
	}
	if revision, err = store.Put(ctx, key, e.Value, revision); err != nil {
		t.Fatal(err)
	}
	if err := store.Delete(ctx, key, revision); err != nil {
		t.Fatal(err)
	}
	if err := a.Notes(ctx, 0, none); !errors.As(err, &tampered) || tampered.Seq != 2 {
		t.Errorf("a missing entry: %v", err)
	}
	ended, cancel := context.WithCancel(ctx)
	cancel()
	if err := a.Notes(ended, 0, none); !errors.Is(err, context.Canceled) {
		t.Errorf("an ended context: %v", err)
	}
}
