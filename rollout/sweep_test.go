package rollout_test

import (
	"errors"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/serin-go/serin/rollout"
	"github.com/serin-go/serin/rollout/memstore"
	"github.com/serin-go/serin/strategies"
)

// keysOf returns the keys of a store that begin with prefix.
func keysOf(t *testing.T, s rollout.Store, prefix string) (keys []string) {
	t.Helper()
	for e, err := range s.List(t.Context(), prefix) {
		if err != nil {
			t.Fatal(err)
		}
		keys = append(keys, e.Key)
	}
	return keys
}

// TestEvidenceIsSwept: what processes have made known of a rollout, dead ones too, is
// deleted after its end, and not before. A store that deletes nothing delays that.
func TestEvidenceIsSwept(t *testing.T) {
	for _, shared := range []bool{true, false} {
		t.Run(fmt.Sprintf("shared %t", shared), func(t *testing.T) {
			run(t, func(t *testing.T, _ *target, cfg rollout.Config) {
				store := &faulty{Store: new(memstore.Store), mend: make(chan struct{})}
				var engines []*rollout.Engine
				another := func(name string) {
					x := &expiring{}
					go x.serve(t.Context(), 100*time.Millisecond)
					c := cfg
					c.Store, c.Replica, c.Targets = store, name, map[string]rollout.Splitter{"chat": x}
					engines = append(engines, open(t, c))
				}
				for i := range 3 {
					another(fmt.Sprintf("replica-%d", i))
				}
				// More than one turn deletes, of processes that died in the middle of it.
				for i := range 100 {
					key := fmt.Sprintf("evidence/chat/1/dead.%d", i)
					if _, err := store.Put(t.Context(), key, []byte("{}"), ""); err != nil {
						t.Fatal(err)
					}
				}
				for _, foreign := range []string{"evidence/chat/9/x.y", "evidence/chat/x/y", "evidence/chat-2/1/x.y"} {
					if _, err := store.Put(t.Context(), foreign, []byte("{}"), ""); err != nil {
						t.Fatal(err)
					}
				}
				p := plan()
				p.Strategy = strategies.Canary{Weights: []strategies.Weight{5000}, Bake: 10 * time.Hour, Limit: 20 * time.Hour}
				id := begin(t, engines[0], p)
				time.Sleep(time.Minute)
				if n := len(keysOf(t, store, "evidence/chat/1/")); n != 103 {
					t.Fatalf("%d processes have made known what they have seen, want 103", n)
				}
				store.befall(func(op, _ string, _ int) error {
					if op == "delete" {
						return errors.New("not now")
					}
					return nil
				})
				if err := engines[1].Do(t.Context(), id, strategies.Abort, ana); err != nil {
					t.Fatal(err)
				}
				time.Sleep(2 * time.Second) // until everyone has heard of it
				before := status(t, engines[0], id)
				if !shared { // the next one to open the store is alone
					for _, e := range engines {
						if err := e.Close(); err != nil {
							t.Fatal(err)
						}
					}
					c := cfg
					c.Store = store
					engines = []*rollout.Engine{open(t, c)}
				}
				time.Sleep(10 * time.Minute)
				if n := len(keysOf(t, store, "evidence/chat/1/")); n != 103 {
					t.Errorf("%d are left in a store that deletes nothing, want 103", n)
				}
				if n := len(keysOf(t, store, "audit/")); uint64(n) != before.Seq {
					t.Errorf("%d audit entries for %d events", n, before.Seq)
				}
				store.befall(nil)
				time.Sleep(10 * time.Minute)
				want := "evidence/chat/9/x.y evidence/chat/x/y"
				if got := strings.Join(keysOf(t, store, "evidence/chat/"), " "); got != want {
					t.Errorf("left are %s, want %s", got, want)
				}
				if got := keysOf(t, store, "evidence/chat-2/"); len(got) != 1 {
					t.Errorf("another target has %q", got)
				}
				if after := status(t, engines[0], id); after.Exposed < before.Exposed*9/10 {
					t.Errorf("%d requests are known after that, %d were before", after.Exposed, before.Exposed)
				}
			})
		})
	}
}
