package rollout_test

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"iter"
	"strings"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/serin-go/serin/rollout"
	"github.com/serin-go/serin/rollout/memstore"
	"github.com/serin-go/serin/strategies"
)

// longHistory returns a store in which a target has n rollouts, which are copies of one
// that was aborted.
func longHistory(t testing.TB, n int) *memstore.Store {
	t.Helper()
	store := new(memstore.Store)
	e, err := rollout.Open(t.Context(), rollout.Config{Store: store, Targets: map[string]rollout.Splitter{"chat": &target{}}})
	if err != nil {
		t.Fatal(err)
	}
	id, err := e.Start(t.Context(), plan(), ana)
	if err == nil {
		err = e.Do(t.Context(), id, strategies.Abort, ana)
	}
	if err != nil {
		t.Fatal(err)
	}
	if err := e.Close(); err != nil {
		t.Fatal(err)
	}
	put := func(key string, value []byte) {
		entry, _ := store.Get(t.Context(), key)
		if _, err := store.Put(t.Context(), key, value, entry.Revision); err != nil {
			t.Fatal(err)
		}
	}
	newest, err := store.Get(t.Context(), "rollout/chat")
	if err != nil {
		t.Fatal(err)
	}
	var env struct {
		Sum string          `json:"sha256"`
		Doc json.RawMessage `json:"doc"`
	}
	if err := json.Unmarshal(newest.Value, &env); err != nil {
		t.Fatal(err)
	}
	trail := make(map[string][]byte)
	for e, err := range store.List(t.Context(), "audit/chat/1/") {
		if err != nil {
			t.Fatal(err)
		}
		trail[strings.TrimPrefix(e.Key, "audit/chat/1/")] = e.Value
	}
	doc := strings.Split(string(env.Doc), `"chat/1"`)
	for i := 1; i <= n; i++ {
		name := fmt.Sprintf(`"chat/%d"`, i)
		env.Doc = []byte(strings.Replace(strings.Join(doc, name), `"number":1,`, fmt.Sprintf(`"number":%d,`, i), 1))
		sum := sha256.Sum256(env.Doc)
		env.Sum = hex.EncodeToString(sum[:])
		value, err := json.Marshal(env)
		if err != nil {
			t.Fatal(err)
		}
		if i == n {
			put("rollout/chat", value)
		} else {
			put(fmt.Sprintf("archive/chat/%d", i), value)
		}
		for seq, entry := range trail {
			put(fmt.Sprintf("audit/chat/%d/%s", i, seq), entry)
		}
	}
	return store
}

// counted is a store that counts what is asked of it.
type counted struct {
	rollout.Store
	operations, listed atomic.Int64
}

func (c *counted) Get(ctx context.Context, key string) (rollout.Entry, error) {
	c.operations.Add(1)
	return c.Store.Get(ctx, key)
}

func (c *counted) Put(ctx context.Context, key string, value []byte, prev rollout.Revision) (rollout.Revision, error) {
	c.operations.Add(1)
	return c.Store.Put(ctx, key, value, prev)
}

func (c *counted) List(ctx context.Context, prefix string) iter.Seq2[rollout.Entry, error] {
	c.operations.Add(1)
	return func(yield func(rollout.Entry, error) bool) {
		for e, err := range c.Store.List(ctx, prefix) {
			c.listed.Add(1)
			if !yield(e, err) {
				return
			}
		}
	}
}

// look opens an engine, reads the newest page of its history and the page before it, and
// closes it.
func look(t testing.TB, store rollout.Store, page int) {
	t.Helper()
	e, err := rollout.Open(t.Context(), rollout.Config{Store: store, Targets: map[string]rollout.Splitter{"chat": &target{}}})
	if err != nil {
		t.Fatal(err)
	}
	defer e.Close()
	before := rollout.ID("")
	for range 2 {
		got, err := e.Rollouts(t.Context(), "chat", before, page)
		if err != nil || len(got) != page {
			t.Fatalf("%d rollouts, want %d: %v", len(got), page, err)
		}
		before = got[page-1].ID
	}
}

// TestLongHistory: what Open and a page of history ask of the store does not grow with the
// number of rollouts.
func TestLongHistory(t *testing.T) {
	cost := func(n int) (operations, listed int64) {
		store := longHistory(t, n)
		synctest.Test(t, func(t *testing.T) {
			c := &counted{Store: store}
			look(t, c, 20)
			time.Sleep(time.Minute)
			operations, listed = c.operations.Load(), c.listed.Load()
		})
		return operations, listed
	}
	few, _ := cost(100)
	many, listed := cost(5000)
	if many > few || many > 60 || listed > 0 {
		t.Errorf("%d operations and %d listed values with 5000 rollouts, %d operations with 100", many, listed, few)
	}
}

// BenchmarkHistory is the time until an engine over a store with many rollouts of one
// target is open and has returned two pages of 20 rollouts.
//
//	go test ./rollout -run '^$' -bench History
func BenchmarkHistory(b *testing.B) {
	var few float64
	for _, n := range []int{100, 100_000} {
		b.Run(fmt.Sprint(n), func(b *testing.B) {
			store := longHistory(b, n)
			b.ResetTimer()
			for b.Loop() {
				look(b, store, 20)
			}
			each := float64(b.Elapsed().Nanoseconds()) / float64(b.N)
			if n == 100 {
				few = each
			} else if few > 0 {
				b.ReportMetric(each/few, "x-of-100")
			}
		})
	}
}
