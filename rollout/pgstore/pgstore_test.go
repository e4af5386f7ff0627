package pgstore_test

import (
	"context"
	"errors"
	"fmt"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/serin-go/serin/checks"
	"github.com/serin-go/serin/rollout"
	"github.com/serin-go/serin/rollout/pgstore"
	"github.com/serin-go/serin/rollout/storetest"
	"github.com/serin-go/serin/rollout/storetest/proctest"
)

var tables atomic.Int64

func open(t testing.TB, s *server, table string) *pgstore.Store {
	t.Helper()
	store, err := pgstore.Open(context.Background(), pgstore.Config{URL: s.url, Table: table})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { store.Close() })
	return store
}

func TestStore(t *testing.T) {
	s := serve(t)
	storetest.Run(t, func(t *testing.T) rollout.Store {
		return open(t, s, fmt.Sprintf("t%d", tables.Add(1)))
	})
}

// TestTwoHandles: what one process writes the other reads, and a closed handle
// leaves the other alone.
func TestTwoHandles(t *testing.T) {
	s := serve(t)
	a, b := open(t, s, "two"), open(t, s, "two")
	if !a.Shared() {
		t.Error("a store for several processes says that it is not shared")
	}
	rev, err := a.Put(t.Context(), "rollout/chat", []byte("1"), "")
	if err != nil {
		t.Fatal(err)
	}
	if e, err := b.Get(t.Context(), "rollout/chat"); err != nil || string(e.Value) != "1" || e.Revision != rev {
		t.Errorf("the other handle reads %q at %s, %v", e.Value, e.Revision, err)
	}
	if err := a.Close(); err != nil {
		t.Fatal(err)
	}
	if _, err := b.Put(t.Context(), "rollout/chat", []byte("2"), rev); err != nil {
		t.Error(err)
	}
	if _, err := b.Put(t.Context(), "rollout/chat", nil, "no revision of ours"); !errors.Is(err, rollout.ErrConflict) {
		t.Errorf("Put with a foreign revision = %v, want ErrConflict", err)
	}
}

// TestRestarts increments a counter from many goroutines while the server is
// killed and started again: whatever was acknowledged is there, a conflict was
// never applied, and only outcomes that were unknown may be either.
func TestRestarts(t *testing.T) {
	s := serve(t)
	store := open(t, s, "restarts")
	if _, err := store.Put(t.Context(), "n", []byte("0"), ""); err != nil {
		t.Fatal(err)
	}
	changed, err := store.Watch(t.Context(), "n")
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	var acknowledged, unknown atomic.Int64
	var wg sync.WaitGroup
	for range 8 {
		wg.Go(func() {
			for ctx.Err() == nil {
				e, err := store.Get(ctx, "n")
				if err != nil {
					time.Sleep(10 * time.Millisecond)
					continue
				}
				n, _ := strconv.Atoi(string(e.Value))
				switch _, err = store.Put(ctx, "n", []byte(strconv.Itoa(n+1)), e.Revision); {
				case err == nil:
					acknowledged.Add(1)
				case !errors.Is(err, rollout.ErrConflict):
					unknown.Add(1)
				}
			}
		})
	}
	for range 3 {
		for before := acknowledged.Load(); acknowledged.Load() < before+50; {
			time.Sleep(time.Millisecond)
		}
		s.stop("immediate")
		s.start()
	}
	for before := acknowledged.Load(); acknowledged.Load() < before+50; {
		time.Sleep(time.Millisecond)
	}
	cancel()
	wg.Wait()
	e, err := store.Get(t.Context(), "n")
	if err != nil {
		t.Fatal(err)
	}
	n, _ := strconv.ParseInt(string(e.Value), 10, 64)
	if sure := acknowledged.Load(); n < sure || n > sure+unknown.Load() {
		t.Errorf("the counter is %d after %d acknowledged and %d unknown increments", n, sure, unknown.Load())
	}
	t.Logf("%d acknowledged, %d unknown, over three crashes of the server", acknowledged.Load(), unknown.Load())

	// The watch has outlived the crashes. What has piled up is taken first.
	deadline := time.After(30 * time.Second)
	for quiet := false; !quiet; {
		select {
		case <-changed:
		case <-time.After(200 * time.Millisecond):
			quiet = true
		}
	}
	rev := e.Revision
	for {
		if rev, err = store.Put(t.Context(), "n", []byte("again"), rev); err != nil {
			t.Fatal(err)
		}
		select {
		case <-changed:
			return
		case <-deadline:
			t.Fatal("the watch has not outlived a crash of the server")
		case <-time.After(time.Second): // it may be connecting just now
		}
	}
}

// TestLinearizable crashes the server, or cuts the connections to it with
// statements under way, again and again, while two processes' worth of handles read
// and write.
func TestLinearizable(t *testing.T) {
	for name, fault := range map[string]func(s *server, wire *proctest.Wire){
		"Crashed": func(s *server, _ *proctest.Wire) {
			s.stop("immediate")
			s.start()
		},
		"Cut": func(_ *server, wire *proctest.Wire) {
			wire.Cut()
			time.Sleep(100 * time.Millisecond)
			wire.Mend()
		},
	} {
		t.Run(name, func(t *testing.T) {
			s := serve(t)
			wire := proctest.NewWire(t, fmt.Sprintf("127.0.0.1:%d", s.port))
			wired, err := pgstore.Open(t.Context(), pgstore.Config{
				URL: strings.Replace(s.url, fmt.Sprintf("127.0.0.1:%d", s.port), wire.Addr(), 1), Table: "lin",
			})
			if err != nil {
				t.Fatal(err)
			}
			defer wired.Close()
			ctx, cancel := context.WithTimeout(t.Context(), 6*time.Second)
			defer cancel()
			handles := []rollout.Store{open(t, s, "lin"), wired}
			storetest.Linearizable(ctx, t, handles, func(ctx context.Context) {
				for ctx.Err() == nil {
					time.Sleep(500 * time.Millisecond)
					fault(s, wire)
				}
			})
		})
	}
}

func TestBadConfig(t *testing.T) {
	for _, c := range []struct {
		cfg  pgstore.Config
		want string
	}{
		{pgstore.Config{}, "Config.URL"},
		{pgstore.Config{URL: "postgres://x/y?sslmode=perhaps"}, "Config.URL"},
		{pgstore.Config{URL: "postgres://x/y", Table: "serin; DROP TABLE users"}, "Config.Table"},
	} {
		_, err := pgstore.Open(t.Context(), c.cfg)
		var invalid *checks.InvalidError
		if !errors.As(err, &invalid) || invalid.Field != c.want {
			t.Errorf("Open(%+v) = %v, want an InvalidError of %s", c.cfg, err, c.want)
		}
	}
	ctx, cancel := context.WithTimeout(t.Context(), 5*time.Second)
	defer cancel()
	if _, err := pgstore.Open(ctx, pgstore.Config{URL: "postgres://127.0.0.1:1/db"}); err == nil {
		t.Error("a server that is not there was opened")
	}
}

// TestReadOnly: a server that takes no writes is not connected to, and one that
// stops taking them is left.
func TestReadOnly(t *testing.T) {
	s := serve(t)
	store := open(t, s, "ro")
	rev, err := store.Put(t.Context(), "k", []byte("1"), "")
	if err != nil {
		t.Fatal(err)
	}
	s.run("psql", s.url, "-c", "ALTER SYSTEM SET default_transaction_read_only = on", "-c", "SELECT pg_reload_conf()")
	deadline := time.Now().Add(20 * time.Second)
	for {
		if _, err = store.Put(t.Context(), "k", []byte("2"), rev); err != nil && !errors.Is(err, rollout.ErrConflict) {
			break
		}
		if err == nil {
			e, _ := store.Get(t.Context(), "k")
			rev = e.Revision
		}
		if time.Now().After(deadline) {
			t.Fatal("a server that takes no writes still takes them")
		}
		time.Sleep(50 * time.Millisecond)
	}
	if _, err := pgstore.Open(t.Context(), pgstore.Config{URL: s.url, Table: "ro"}); err == nil {
		t.Error("a server that takes no writes was opened")
	}
	s.run("psql", s.url, "-c", "SET default_transaction_read_only = off", "-c", "ALTER SYSTEM RESET default_transaction_read_only", "-c", "SELECT pg_reload_conf()")
	for {
		e, err := store.Get(t.Context(), "k")
		if err == nil {
			if _, err = store.Put(t.Context(), "k", []byte("3"), e.Revision); err == nil {
				return
			}
		}
		if time.Now().After(deadline) {
			t.Fatalf("the store does not come back: %v", err)
		}
		time.Sleep(50 * time.Millisecond)
	}
}

// BenchmarkPut is one durable commit.
func BenchmarkPut(b *testing.B) {
	s := serve(b)
	store := open(b, s, "bench")
	value := []byte(strings.Repeat("x", 8<<10))
	rev, err := store.Put(b.Context(), "rollout/chat", value, "")
	if err != nil {
		b.Fatal(err)
	}
	for b.Loop() {
		if rev, err = store.Put(b.Context(), "rollout/chat", value, rev); err != nil {
			b.Fatal(err)
		}
	}
}
