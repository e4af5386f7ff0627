package rollout_test

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/serin-go/serin/checks"
	"github.com/serin-go/serin/rollout"
	"github.com/serin-go/serin/rollout/memstore"
)

// shelf is an archiver that remembers what it was given.
type shelf struct {
	mu      sync.Mutex
	records map[rollout.ID]rollout.Record
	order   []rollout.ID
	fail    func(rollout.Record) error
}

func (s *shelf) Archive(_ context.Context, r rollout.Record) ([]byte, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.fail != nil {
		if err := s.fail(r); err != nil {
			return nil, err
		}
	}
	if s.records == nil {
		s.records = make(map[rollout.ID]rollout.Record)
	}
	if was, ok := s.records[r.ID]; ok {
		if diff := cmp.Diff(was, r); diff != "" {
			return nil, fmt.Errorf("another record of %s:\n%s", r.ID, diff)
		}
		return []byte("sealed " + r.ID), nil
	}
	s.records[r.ID], s.order = r, append(s.order, r.ID)
	return []byte("sealed " + r.ID), nil
}

func (s *shelf) given() []rollout.ID {
	s.mu.Lock()
	defer s.mu.Unlock()
	return slices.Clone(s.order)
}

func ids(from, to int) (out []rollout.ID) {
	for i := from; i <= to; i++ {
		out = append(out, rollout.ID(fmt.Sprintf("chat/%d", i)))
	}
	return out
}

// inStore returns the rollouts of which a store holds a document or a whole trail.
func inStore(t *testing.T, s rollout.Store) (out []rollout.ID) {
	t.Helper()
	for i := 1; i < 100; i++ {
		id := rollout.ID(fmt.Sprintf("chat/%d", i))
		_, err := s.Get(t.Context(), "archive/"+string(id))
		if len(keysOf(t, s, fmt.Sprintf("audit/%s/", id))) > 0 || err == nil {
			out = append(out, id)
		}
	}
	return out
}

func TestRetain(t *testing.T) {
	run(t, func(t *testing.T, _ *target, cfg rollout.Config) {
		archive := &shelf{}
		cfg.Retain = rollout.Retain{Rollouts: 5, For: time.Hour, Archive: archive}
		var told atomic.Int64
		cfg.Sinks = map[string]rollout.Sink{"pager": rollout.SinkFunc(func(context.Context, rollout.Event) error { told.Add(1); return nil })}
		e := open(t, cfg)
		trail := make(map[rollout.ID][]string)
		for range 12 {
			id := aborted(t, e)
			for _, key := range keysOf(t, cfg.Store, fmt.Sprintf("audit/%s/", id)) {
				entry, err := cfg.Store.Get(t.Context(), key)
				if err != nil {
					t.Fatal(err)
				}
				trail[id] = append(trail[id], string(entry.Value))
			}
		}
		time.Sleep(50 * time.Minute)
		if diff := cmp.Diff(ids(1, 12), inStore(t, cfg.Store)); diff != "" {
			t.Errorf("before an hour has passed (-want +got):\n%s", diff)
		}
		time.Sleep(15 * time.Minute)
		if diff := cmp.Diff(ids(8, 12), inStore(t, cfg.Store)); diff != "" {
			t.Errorf("in the store (-want +got):\n%s", diff)
		}
		if diff := cmp.Diff(ids(1, 7), archive.given()); diff != "" {
			t.Errorf("in the archive (-want +got):\n%s", diff)
		}
		for i, id := range ids(1, 7) {
			r := archive.records[id]
			var got []string
			for _, line := range r.Events {
				got = append(got, string(line))
			}
			if diff := cmp.Diff(trail[id], got); diff != "" {
				t.Errorf("%s (-want +got):\n%s", id, diff)
			}
			if i > 0 && string(r.Before) != "sealed "+string(ids(i, i)[0]) || i == 0 && r.Before != nil || !json.Valid(r.Document) {
				t.Errorf("%s comes after %q, with a document of %d bytes", id, r.Before, len(r.Document))
			}
			if _, err := cfg.Store.Get(t.Context(), "sink/pager/"+string(id)); !errors.Is(err, rollout.ErrNotFound) {
				t.Errorf("the sink's place in %s: %v", id, err)
			}
			if _, err := e.Status(t.Context(), id); !errors.Is(err, rollout.ErrNotFound) {
				t.Errorf("Status of %s: %v", id, err)
			}
		}
		page, err := e.Rollouts(t.Context(), "chat", "", 100)
		if err != nil || len(page) != 5 || page[4].ID != "chat/8" {
			t.Errorf("%d rollouts are listed: %v", len(page), err)
		}
		if page, err := e.Rollouts(t.Context(), "chat", "chat/8", 100); err != nil || len(page) != 0 {
			t.Errorf("%d rollouts are listed before the oldest: %v", len(page), err)
		}
		if told.Load() == 0 {
			t.Error("the sink was told of nothing")
		}
		// The next rollout follows the newest one, and the number goes on.
		if id := aborted(t, e); id != "chat/13" {
			t.Errorf("the next one is %s", id)
		}
	})
}

// TestRetainKeeps: what is held, not delivered, not sealed or damaged stays, and so does
// what is newer. It is removed as soon as nothing is in the way.
func TestRetainKeeps(t *testing.T) {
	for name, c := range map[string]struct {
		obstruct func(cfg *rollout.Config, archive *shelf, blocked *atomic.Bool)
	}{
		"held": {func(cfg *rollout.Config, _ *shelf, blocked *atomic.Bool) {
			cfg.Retain.Hold = func(id rollout.ID) bool { return blocked.Load() && id == "chat/3" }
		}},
		"a panic of Hold": {func(cfg *rollout.Config, _ *shelf, blocked *atomic.Bool) {
			cfg.Retain.Hold = func(id rollout.ID) bool {
				if blocked.Load() && id == "chat/3" {
					panic("no")
				}
				return false
			}
		}},
		"the archive is full": {func(_ *rollout.Config, archive *shelf, blocked *atomic.Bool) {
			archive.fail = func(r rollout.Record) error {
				if blocked.Load() && r.ID == "chat/3" {
					return errFull
				}
				return nil
			}
		}},
		"the archiver panics": {func(_ *rollout.Config, archive *shelf, blocked *atomic.Bool) {
			archive.fail = func(r rollout.Record) error {
				if blocked.Load() && r.ID == "chat/3" {
					panic("no")
				}
				return nil
			}
		}},
		"an event is missing": {func(cfg *rollout.Config, _ *shelf, blocked *atomic.Bool) {
			began := time.Now()
			cfg.Store = &gated{Store: cfg.Store, hidden: func(key string) bool {
				return blocked.Load() && time.Since(began) > 30*time.Second && strings.HasPrefix(key, "audit/chat/3/")
			}}
		}},
		"a sink is not told": {func(cfg *rollout.Config, _ *shelf, blocked *atomic.Bool) {
			cfg.Sinks = map[string]rollout.Sink{"pager": rollout.SinkFunc(func(ctx context.Context, ev rollout.Event) error {
				if blocked.Load() && ev.Rollout == "chat/3" && ev.Seq > 1 {
					<-ctx.Done()
					return ctx.Err()
				}
				return nil
			})}
		}},
	} {
		t.Run(name, func(t *testing.T) {
			run(t, func(t *testing.T, _ *target, cfg rollout.Config) {
				archive, blocked := &shelf{}, new(atomic.Bool)
				blocked.Store(true)
				cfg.Retain = rollout.Retain{Rollouts: 4, Archive: archive}
				c.obstruct(&cfg, archive, blocked)
				e := open(t, cfg)
				for range 9 {
					aborted(t, e)
				}
				time.Sleep(5*time.Minute + 30*time.Second)
				if diff := cmp.Diff(ids(1, 2), archive.given()); diff != "" {
					t.Errorf("in the archive meanwhile (-want +got):\n%s", diff)
				}
				if diff := cmp.Diff(ids(3, 9), inStore(t, cfg.Store)); diff != "" {
					t.Errorf("in the store meanwhile (-want +got):\n%s", diff)
				}
				blocked.Store(false)
				time.Sleep(30 * time.Minute)
				if diff := cmp.Diff(ids(6, 9), inStore(t, cfg.Store)); diff != "" {
					t.Errorf("in the store (-want +got):\n%s", diff)
				}
				if diff := cmp.Diff(ids(1, 5), archive.given()); diff != "" {
					t.Errorf("in the archive (-want +got):\n%s", diff)
				}
			})
		})
	}
}

// gated is a store that hides some keys from Get.
type gated struct {
	rollout.Store
	hidden func(key string) bool
}

func (g *gated) Get(ctx context.Context, key string) (rollout.Entry, error) {
	if g.hidden(key) {
		return rollout.Entry{}, rollout.ErrNotFound
	}
	return g.Store.Get(ctx, key)
}

// TestRetainCrashes: the process crashes before or after any write, and another one takes
// over. No rollout is ever neither whole in the store nor in the archive, and in the end all
// is as without the crash.
func TestRetainCrashes(t *testing.T) {
	for n := 1; ; n++ {
		crashed := false
		run(t, func(t *testing.T, _ *target, cfg rollout.Config) {
			below := cfg.Store
			e := open(t, cfg)
			whole := make(map[rollout.ID]int)
			for range 6 {
				id := aborted(t, e)
				whole[id] = len(keysOf(t, below, fmt.Sprintf("audit/%s/", id)))
			}
			if err := e.Close(); err != nil {
				t.Fatal(err)
			}
			// Something else in the place of a later event is nothing that was sealed.
			if _, err := below.Put(t.Context(), "audit/chat/1/0000000099", []byte("foreign"), ""); err != nil {
				t.Fatal(err)
			}
			archive := &shelf{}
			cfg.Retain = rollout.Retain{Rollouts: 4, Archive: archive}
			dying := &faulty{Store: below, mend: make(chan struct{})}
			writes, after := 0, n%2 == 0
			cfg.Store = dying
			dying.fault = func(op, key string, _ int) error {
				if crashed {
					return errCrashed
				}
				if op == "put" || op == "delete" {
					if writes++; writes == (n+1)/2 {
						crashed = true
						if after {
							return nil // this one is still applied
						}
						return errCrashed
					}
				}
				return nil
			}
			e = open(t, cfg)
			time.Sleep(5 * time.Minute)
			if err := e.Close(); err != nil {
				t.Fatal(err)
			}
			for id, events := range whole {
				_, sealed := archive.records[id]
				entries := len(keysOf(t, below, fmt.Sprintf("audit/%s/0000", id))) - len(keysOf(t, below, fmt.Sprintf("audit/%s/0000000099", id)))
				if _, err := below.Get(t.Context(), "archive/"+string(id)); !sealed && (entries != events || err != nil && id != "chat/6") {
					t.Errorf("crash %d: %s is not sealed, and has %d of %d events: %v", n, id, entries, events, err)
				}
			}
			cfg.Store = below
			e = open(t, cfg)
			defer e.Close()
			time.Sleep(5 * time.Minute)
			if diff := cmp.Diff(ids(1, 2), archive.given()); diff != "" {
				t.Errorf("crash %d: in the archive (-want +got):\n%s", n, diff)
			}
			want := append([]rollout.ID{"chat/1"}, ids(3, 6)...) // with the foreign value
			if diff := cmp.Diff(want, inStore(t, below)); diff != "" {
				t.Errorf("crash %d: in the store (-want +got):\n%s", n, diff)
			}
			if got := keysOf(t, below, "audit/chat/1/"); !slices.Equal(got, []string{"audit/chat/1/0000000099"}) {
				t.Errorf("crash %d: left are %q", n, got)
			}
		})
		if t.Failed() || !crashed {
			t.Logf("%d crashes", n-1)
			break
		}
	}
}

func TestRetainValidate(t *testing.T) {
	for _, c := range []struct {
		retain rollout.Retain
		want   string // the field
	}{
		{rollout.Retain{}, ""},
		{rollout.Retain{Rollouts: 4, Archive: &shelf{}}, ""},
		{rollout.Retain{For: time.Hour, Archive: &shelf{}}, ""},
		{rollout.Retain{Hold: func(rollout.ID) bool { return true }}, ""},
		{rollout.Retain{Rollouts: -1, Archive: &shelf{}}, "Config.Retain.Rollouts"},
		{rollout.Retain{Rollouts: 3, Archive: &shelf{}}, "Config.Retain.Rollouts"},
		{rollout.Retain{For: -time.Second, Archive: &shelf{}}, "Config.Retain.For"},
		{rollout.Retain{Rollouts: 10}, "Config.Retain.Archive"},
		{rollout.Retain{For: time.Hour}, "Config.Retain.Archive"},
		{rollout.Retain{Archive: &shelf{}}, "Config.Retain.Archive"},
	} {
		cfg := rollout.Config{Store: new(memstore.Store), Targets: map[string]rollout.Splitter{"chat": &target{}}, Retain: c.retain}
		err := cfg.Validate()
		var invalid *checks.InvalidError
		switch {
		case c.want == "" && err != nil:
			t.Errorf("%+v: %v", c.retain, err)
		case c.want != "" && (!errors.As(err, &invalid) || invalid.Field != c.want):
			t.Errorf("%+v: %v, want an error about %s", c.retain, err, c.want)
		}
	}
}
