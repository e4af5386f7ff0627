package rollout_test

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"sync/atomic"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/serin-go/serin/checks"
	"github.com/serin-go/serin/rollout"
	"github.com/serin-go/serin/rollout/memstore"
	"github.com/serin-go/serin/strategies"
)

// holed is a store that has lost some of its values, holds others in their place, and
// counts the reads.
type holed struct {
	rollout.Store
	lost map[string]bool
	odd  map[string]string
	gets atomic.Int64
}

func (h *holed) Get(ctx context.Context, key string) (rollout.Entry, error) {
	h.gets.Add(1)
	if h.lost[key] {
		return rollout.Entry{}, fmt.Errorf("%s: %w", key, rollout.ErrNotFound)
	}
	entry, err := h.Store.Get(ctx, key)
	if odd, ok := h.odd[key]; ok {
		entry.Value = []byte(odd)
	}
	return entry, err
}

// aborted starts a rollout and aborts it.
func aborted(t *testing.T, e *rollout.Engine) rollout.ID {
	t.Helper()
	id := begin(t, e, plan())
	if err := e.Do(t.Context(), id, strategies.Abort, ana); err != nil {
		t.Fatal(err)
	}
	finish(t, e, id)
	return id
}

func TestReadAndHoles(t *testing.T) {
	run(t, func(t *testing.T, _ *target, cfg rollout.Config) {
		store := &holed{Store: new(memstore.Store), lost: make(map[string]bool), odd: make(map[string]string)}
		cfg.Store = store
		e := open(t, cfg)
		id := begin(t, e, plan())
		for _, c := range []strategies.Command{strategies.Pause, strategies.Resume, strategies.Pause} {
			if err := e.Do(t.Context(), id, c, ana); err != nil {
				t.Fatal(err)
			}
		}
		read := func(from uint64, n int) (seqs []uint64, err error) {
			events, err := e.Read(t.Context(), id, from, n)
			for _, ev := range events {
				seqs = append(seqs, ev.Seq)
			}
			return seqs, err
		}
		all, err := read(0, rollout.MaxPage)
		if newest := status(t, e, id).Seq; err != nil || newest < 4 || uint64(len(all)) != newest {
			t.Fatalf("Read = %v, %v; want %d events", all, err, newest)
		}
		for _, c := range []struct {
			from uint64
			n    int
			want []uint64
		}{{1, 2, all[:2]}, {2, 2, all[1:3]}, {uint64(len(all)), 5, all[len(all)-1:]}, {100, 5, nil}} {
			if got, err := read(c.from, c.n); err != nil || !slices.Equal(got, c.want) {
				t.Errorf("Read(%d, %d) = %v, %v; want %v", c.from, c.n, got, err, c.want)
			}
		}
		for _, n := range []int{-1, 0, rollout.MaxPage + 1} {
			var invalid *checks.InvalidError
			if _, err := read(1, n); !errors.As(err, &invalid) {
				t.Errorf("Read of %d events: %v, want an InvalidError", n, err)
			}
		}
		if _, err := e.Read(t.Context(), "chat/9", 1, 1); !errors.Is(err, rollout.ErrNotFound) {
			t.Errorf("Read of an unknown rollout: %v", err)
		}
		// The newest event is in the document, wherever the trail is.
		last := all[len(all)-1]
		store.lost[fmt.Sprintf("audit/%s/%010d", id, last)] = true
		if got, err := read(last, 1); err != nil || len(got) != 1 {
			t.Errorf("an event that the trail has not taken: %v, %v", got, err)
		}
		clear(store.lost)
		for name, spoil := range map[string]func(key string){
			"lost":    func(key string) { store.lost[key] = true },
			"foreign": func(key string) { store.odd[key] = "{}" },
			"no JSON": func(key string) { store.odd[key] = "\x00" },
		} {
			spoil(fmt.Sprintf("audit/%s/%010d", id, 2))
			var hole *rollout.MissingEventError
			if got, err := read(1, 9); !errors.As(err, &hole) || hole.Seq != 2 || hole.Rollout != id || !slices.Equal(got, all[:1]) {
				t.Errorf("%s: Read = %v, %v; want event 2 missing", name, got, err)
			}
			hole = nil
			var got []uint64
			for ev, err := range e.Events(t.Context(), id, 1) {
				if errors.As(err, &hole) {
					break
				}
				got = append(got, ev.Seq)
			}
			if hole == nil || hole.Seq != 2 || !slices.Equal(got, all[:1]) {
				t.Errorf("%s: Events = %v, then %v; want event 2 missing", name, got, hole)
			}
			clear(store.lost)
			clear(store.odd)
		}
	})
}

// TestEndThatIsNotInTheTrail: the last event of a rollout that has ended comes from its
// document, and the iteration ends.
func TestEndThatIsNotInTheTrail(t *testing.T) {
	run(t, func(t *testing.T, _ *target, cfg rollout.Config) {
		store := &holed{Store: new(memstore.Store), lost: make(map[string]bool)}
		cfg.Store = store
		e := open(t, cfg)
		id := aborted(t, e)
		store.lost[fmt.Sprintf("audit/%s/%010d", id, status(t, e, id).Seq)] = true
		ctx, cancel := context.WithTimeout(t.Context(), time.Hour)
		defer cancel()
		var end rollout.Event
		for ev, err := range e.Events(ctx, id, 1) {
			if err != nil {
				t.Fatal(err)
			}
			end = ev
		}
		if end.Kind != rollout.Ended {
			t.Errorf("the last event is %v", end)
		}
	})
}

func TestRollouts(t *testing.T) {
	run(t, func(t *testing.T, tgt *target, cfg rollout.Config) {
		store := &holed{Store: new(memstore.Store), lost: make(map[string]bool), odd: make(map[string]string)}
		cfg.Store = store
		cfg.Targets = map[string]rollout.Splitter{"chat": tgt, "search": &target{}, "answers": &target{}}
		e := open(t, cfg)
		if got, want := e.Targets(), []string{"answers", "chat", "search"}; !slices.Equal(got, want) {
			t.Errorf("Targets = %v, want %v", got, want)
		}
		list := func(target string, before rollout.ID, n int) (ids []rollout.ID, err error) {
			page, err := e.Rollouts(t.Context(), target, before, n)
			for _, st := range page {
				ids = append(ids, st.ID)
			}
			return ids, err
		}
		if got, err := list("chat", "", 5); err != nil || len(got) != 0 {
			t.Errorf("without a rollout: %v, %v", got, err)
		}
		for range 12 {
			aborted(t, e)
		}
		for _, c := range []struct {
			before rollout.ID
			n      int
			want   []rollout.ID
		}{
			{"", 2, []rollout.ID{"chat/12", "chat/11"}},
			{"", 1, []rollout.ID{"chat/12"}},
			{"chat/11", 3, []rollout.ID{"chat/10", "chat/9", "chat/8"}},
			{"chat/3", 5, []rollout.ID{"chat/2", "chat/1"}},
			{"chat/1", 5, nil},
			{"chat/13", 1, []rollout.ID{"chat/12"}},
			{"chat/18446744073709551615", 2, []rollout.ID{"chat/12", "chat/11"}},
		} {
			store.gets.Store(0)
			got, err := list("chat", c.before, c.n)
			if diff := cmp.Diff(c.want, got); err != nil || diff != "" {
				t.Errorf("%d before %q: %v (-want +got):\n%s", c.n, c.before, err, diff)
			}
			if n := store.gets.Load(); n > int64(c.n) {
				t.Errorf("%d before %q: %d reads", c.n, c.before, n)
			}
		}
		for _, before := range []rollout.ID{"search/3", "chat", "chat/", "chat/0", "chat/-1", "chat/x", "/1"} {
			var invalid *checks.InvalidError
			if got, err := list("chat", before, 5); !errors.As(err, &invalid) {
				t.Errorf("before %q: %v, %v; want an InvalidError", before, got, err)
			}
		}
		for _, n := range []int{-1, 0, rollout.MaxPage + 1} {
			var invalid *checks.InvalidError
			if _, err := list("chat", "", n); !errors.As(err, &invalid) {
				t.Errorf("%d rollouts: %v, want an InvalidError", n, err)
			}
		}
		store.odd["archive/chat/5"], store.lost["archive/chat/4"] = "{}", true
		var damaged *rollout.DamagedError
		got, err := list("chat", "chat/7", 3)
		if want := []rollout.ID{"chat/6", "chat/3"}; !errors.As(err, &damaged) || !slices.Equal(got, want) {
			t.Errorf("with damage: %v, %v; want %v and the damage", got, err, want)
		}
	})
}
