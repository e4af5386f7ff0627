package natsstore_test

import (
	"context"
	"errors"
	"fmt"
	"os"
	"slices"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"

	"github.com/serin-go/serin/checks"
	"github.com/serin-go/serin/rollout"
	"github.com/serin-go/serin/rollout/natsstore"
	"github.com/serin-go/serin/rollout/storetest"
	"github.com/serin-go/serin/rollout/storetest/proctest"
)

const (
	urlVariable     = "SERIN_TEST_URL"
	monitorVariable = "SERIN_TEST_MONITOR"
)

func TestMain(m *testing.M) {
	if conf := os.Getenv(serverVariable); conf != "" {
		runServer(conf)
		return
	}
	proctest.Main(m, openHere)
}

// openHere opens the store in a process that a test has started.
func openHere(ctx context.Context) (rollout.Store, error) {
	return natsstore.Open(ctx, natsstore.Config{URL: os.Getenv(urlVariable), Monitor: strings.Split(os.Getenv(monitorVariable), ",")})
}

func (c *cluster) env() []string {
	return []string{urlVariable + "=" + c.url, monitorVariable + "=" + strings.Join(c.monitor, ",")}
}

var buckets atomic.Int64

func open(t testing.TB, c *cluster, bucket string) *natsstore.Store {
	t.Helper()
	store, err := natsstore.Open(context.Background(), natsstore.Config{URL: c.url, Bucket: bucket, Monitor: c.monitor})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { store.Close() })
	return store
}

func TestStore(t *testing.T) {
	c := serve(t, 3, "always")
	storetest.Run(t, func(t *testing.T) rollout.Store { return open(t, c, fmt.Sprintf("b%d", buckets.Add(1))) })
}

func TestKilled(t *testing.T) { proctest.Killed(t, openHere, serve(t, 3, "always").env()...) }

func TestThreeProcesses(t *testing.T) {
	proctest.ThreeProcesses(t, openHere, serve(t, 3, "always").env()...)
}

// TestServersKilled increments a counter from many goroutines while one server
// after the other is killed and started again, the bucket's leader first:
// whatever was acknowledged is there, a conflict was never applied, and only
// outcomes that were unknown may be either.
func TestServersKilled(t *testing.T) {
	c := serve(t, 3, "always")
	store := open(t, c, "servers")
	if _, err := store.Put(t.Context(), "n", []byte("0"), ""); err != nil {
		t.Fatal(err)
	}
	changed, err := store.Watch(t.Context(), "n")
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	var acknowledged, unknown, conflicts atomic.Int64
	var wg sync.WaitGroup
	for range 8 {
		wg.Go(func() {
			for ctx.Err() == nil {
				short, done := context.WithTimeout(ctx, time.Second)
				e, err := store.Get(short, "n")
				if err != nil {
					done()
					time.Sleep(10 * time.Millisecond)
					continue
				}
				n, _ := strconv.Atoi(string(e.Value))
				switch _, err = store.Put(short, "n", []byte(strconv.Itoa(n+1)), e.Revision); {
				case err == nil:
					acknowledged.Add(1)
				case errors.Is(err, rollout.ErrConflict):
					conflicts.Add(1)
				default:
					unknown.Add(1)
				}
				done()
			}
		})
	}
	more := func(n int64) {
		deadline := time.Now().Add(time.Minute)
		for before := acknowledged.Load(); acknowledged.Load() < before+n; time.Sleep(time.Millisecond) {
			if time.Now().After(deadline) {
				t.Fatalf("no progress within a minute: %d acknowledged, %d conflicts, %d unknown", acknowledged.Load(), conflicts.Load(), unknown.Load())
			}
		}
	}
	for range 3 {
		more(50)
		m := c.leader("servers")
		m.kill()
		more(50) // two of three go on
		m.start()
		c.await(3)
	}
	more(50)
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
	t.Logf("%d acknowledged, %d conflicts, %d unknown, while three leaders were killed", acknowledged.Load(), conflicts.Load(), unknown.Load())

	// The watch has outlived them. What has piled up is taken first.
	for quiet := false; !quiet; {
		select {
		case <-changed:
		case <-time.After(300 * time.Millisecond):
			quiet = true
		}
	}
	deadline := time.Now().Add(30 * time.Second)
	for rev := e.Revision; ; {
		next, err := store.Put(t.Context(), "n", []byte("again"), rev)
		if errors.Is(err, rollout.ErrConflict) { // one of those whose outcome was unknown came late
			e, getErr := store.Get(t.Context(), "n")
			next, err = e.Revision, getErr
		}
		if err != nil {
			t.Fatal(err)
		}
		rev = next
		select {
		case <-changed:
			return
		case <-time.After(time.Second):
		}
		if time.Now().After(deadline) {
			t.Fatal("the watch has not outlived the servers")
		}
	}
}

// leader returns the server that leads a bucket.
func (c *cluster) leader(bucket string) *member {
	t := c.members[0].t
	t.Helper()
	conn, err := nats.Connect(c.url)
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	js, _ := jetstream.New(conn)
	for range 100 {
		ctx, cancel := context.WithTimeout(context.Background(), time.Second)
		s, err := js.Stream(ctx, "KV_"+bucket)
		cancel()
		if err == nil && s.CachedInfo().Cluster != nil {
			for _, m := range c.members {
				if m.name == s.CachedInfo().Cluster.Leader {
					return m
				}
			}
		}
		time.Sleep(100 * time.Millisecond)
	}
	t.Fatal("nobody leads the bucket")
	return nil
}

// TestKeys: every key that the rules allow is a key of its own.
func TestKeys(t *testing.T) {
	c := serve(t, 1, "always")
	store, err := natsstore.Open(t.Context(), natsstore.Config{URL: c.url, Replicas: 1, DangerouslyAllowUnsafe: true})
	if err != nil {
		t.Fatal(err)
	}
	defer store.Close()
	keys := []string{"a", "a.b", "a/b", "a//b", "a/", "/a", "/", "//", "a..b", ".", "..", "-", "_", "a-b", "a_b", strings.Repeat("k", 200), strings.Repeat("k/", 100)}
	for _, k := range keys {
		if _, err := store.Put(t.Context(), k, []byte(k), ""); err != nil {
			t.Errorf("Put(%q): %v", k, err)
		}
	}
	var got []string
	for e, err := range store.List(t.Context(), "") {
		if err != nil {
			t.Fatal(err)
		}
		if string(e.Value) != e.Key {
			t.Errorf("under %q is what belongs to %q", e.Key, e.Value)
		}
		got = append(got, e.Key)
	}
	if len(got) != len(keys) {
		t.Errorf("%d keys of %d: %q", len(got), len(keys), got)
	}
	for _, prefix := range []string{"a/", "a", "a//", "/", "//", ".", "k/k/"} {
		var want, got []string
		for _, k := range keys {
			if strings.HasPrefix(k, prefix) {
				want = append(want, k)
			}
		}
		for e, err := range store.List(t.Context(), prefix) {
			if err != nil {
				t.Fatal(err)
			}
			got = append(got, e.Key)
		}
		if len(got) != len(want) {
			t.Errorf("List(%q) = %q, want %q", prefix, got, want)
		}
	}
}

// conditions returns what the UnsafeErrors in err are about.
func conditions(err error) (all []string) {
	if joined, ok := err.(interface{ Unwrap() []error }); ok {
		for _, e := range joined.Unwrap() {
			all = append(all, conditions(e)...)
		}
		return all
	}
	var unsafe *natsstore.UnsafeError
	if errors.As(err, &unsafe) {
		return []string{unsafe.Condition}
	}
	return nil
}

func TestConditions(t *testing.T) {
	c := serve(t, 1, "2m")
	conn, err := nats.Connect(c.url)
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	js, err := jetstream.New(conn)
	if err != nil {
		t.Fatal(err)
	}
	// A bucket as the tools of NATS make it, with everything that is wrong.
	if _, err := js.CreateKeyValue(t.Context(), jetstream.KeyValueConfig{Bucket: "theirs", TTL: time.Hour, History: 5, Storage: jetstream.MemoryStorage, MaxValueSize: 1000}); err != nil {
		t.Fatal(err)
	}
	for _, tt := range []struct {
		name string
		cfg  natsstore.Config
		want []string
	}{
		{"theirs", natsstore.Config{Conn: conn, Bucket: "theirs", SyncAlways: true}, []string{
			"bucket theirs: replicas", "bucket theirs: storage", "bucket theirs: direct reads", "bucket theirs: max age", "bucket theirs: history", "bucket theirs: max message size", "bucket theirs: deny purge", "bucket theirs: rollup",
		}},
		{"nobody was asked", natsstore.Config{Conn: conn, Bucket: "ours", Replicas: 1}, []string{"bucket ours: replicas", "sync_interval"}},
		{"who was asked does not sync", natsstore.Config{Conn: conn, Bucket: "ours", Replicas: 1, Monitor: c.monitor}, []string{"bucket ours: replicas", "sync_interval of " + c.monitor[0]}},
		{"nobody answers", natsstore.Config{Conn: conn, Bucket: "ours", Replicas: 1, Monitor: []string{"http://127.0.0.1:1"}}, []string{"bucket ours: replicas", "sync_interval of http://127.0.0.1:1"}},
	} {
		_, err := natsstore.Open(t.Context(), tt.cfg)
		if diff := cmp.Diff(tt.want, conditions(err)); diff != "" {
			t.Errorf("%s: %v (-want +got):\n%s", tt.name, err, diff)
		}
		tt.cfg.DangerouslyAllowUnsafe = true
		s, err := natsstore.Open(t.Context(), tt.cfg)
		if err != nil {
			t.Fatal(err)
		}
		if diff := cmp.Diff(tt.want, conditions(s.Unsafe())); diff != "" {
			t.Errorf("%s: Unsafe (-want +got):\n%s", tt.name, diff)
		}
		s.Close()
	}
	if conn.IsClosed() {
		t.Error("a connection that was lent was closed")
	}
}

func TestBadConfig(t *testing.T) {
	_, err := natsstore.Open(t.Context(), natsstore.Config{Bucket: "a.b", Replicas: 2, Monitor: []string{"n1:8222"}})
	var fields []string
	for invalid := range checks.Invalid(err) {
		fields = append(fields, invalid.Field)
	}
	slices.Sort(fields)
	if diff := cmp.Diff([]string{"Config.Bucket", "Config.Monitor[0]", "Config.Replicas", "Config.URL"}, fields); diff != "" {
		t.Errorf("fields (-want +got):\n%s", diff)
	}
	if _, err := natsstore.Open(t.Context(), natsstore.Config{URL: "nats://127.0.0.1:1"}); err == nil {
		t.Error("a server that is not there was opened")
	}
}

// BenchmarkPut is one durable commit on three servers.
func BenchmarkPut(b *testing.B) {
	store := open(b, serve(b, 3, "always"), "bench")
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
