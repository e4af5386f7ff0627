package drill_test

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/serin-go/serin/checks"
	"github.com/serin-go/serin/checks/checkstest"
	"github.com/serin-go/serin/rollout/drill"
	"github.com/serin-go/serin/rollout/traffic/replicas"
)

// host is a server on the loopback interface that can be killed, and started again at the
// same address.
type host struct {
	address string
	mu      sync.Mutex
	server  *httptest.Server
}

func newHost(t *testing.T) *host {
	t.Helper()
	h := &host{address: "127.0.0.1:0"}
	if err := h.start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(h.kill)
	return h
}

func (h *host) start() error {
	h.mu.Lock()
	defer h.mu.Unlock()
	listener, err := net.Listen("tcp", h.address)
	if err != nil {
		return err
	}
	h.address = listener.Addr().String()
	h.server = &httptest.Server{Listener: listener, Config: &http.Server{Handler: http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		io.WriteString(w, h.address)
	})}}
	h.server.Start()
	return nil
}

func (h *host) kill() {
	h.mu.Lock()
	defer h.mu.Unlock()
	if h.server != nil {
		h.server.Config.Close() // the listener and all connections
		h.server = nil
	}
}

// dialled passes while something listens at an address.
func dialled(address string) checks.Check {
	return checks.Func(func(ctx context.Context) checks.Result {
		conn, err := new(net.Dialer).DialContext(ctx, "tcp", address)
		if err != nil {
			return checks.Result{Status: checks.Fail, Err: err}
		}
		conn.Close()
		return checks.Result{Status: checks.Pass}
	})
}

// TestDeadReplicaOfThree kills one of three real servers behind a real pool.
func TestDeadReplicaOfThree(t *testing.T) {
	hosts := make(map[string]*host)
	transport := &http.Transport{MaxIdleConnsPerHost: 32}
	defer transport.CloseIdleConnections()
	cfg := replicas.Config{Transport: transport, HealthEvery: 200 * time.Millisecond, SlowStart: -1, EjectAfter: -1}
	dead := ""
	for range 3 {
		h := newHost(t)
		hosts[h.address], dead = h, h.address
		cfg.Replicas = append(cfg.Replicas, replicas.Replica{URL: "http://" + h.address, Health: dialled(h.address)})
	}
	pool, err := replicas.New(cfg)
	if err != nil {
		t.Fatal(err)
	}
	defer pool.Close()
	state := func() replicas.State {
		for _, s := range pool.Stats() {
			if s.URL == "http://"+dead {
				return s.State
			}
		}
		return ""
	}
	var duringOutage []replicas.State
	res := drill.DeadReplica(drill.DeadReplicaOptions{
		Server: dead, Rate: 50, MaxFailures: 10, Within: 1500 * time.Millisecond, Return: time.Minute,
		Stop: func(_ context.Context, server string) error { hosts[server].kill(); return nil },
		Start: func(_ context.Context, server string) error {
			duringOutage = append(duringOutage, state())
			return hosts[server].start()
		},
		Send: get(pool),
	}).Check(t.Context())
	want(t, res, checks.Pass)
	t.Log(res.Summary, res.Evidence)
	if !slices.Equal(duringOutage, []replicas.State{replicas.Sick}) || state() != replicas.Available {
		t.Errorf("%v before the start, %v after the drill; want sick and available", duringOutage, state())
	}
}

// get sends a GET through a transport, and returns the host that answered.
func get(tr http.RoundTripper) func(context.Context, int) (string, error) {
	return func(ctx context.Context, _ int) (string, error) {
		req, err := http.NewRequestWithContext(ctx, http.MethodGet, "http://chat/v1/models", nil)
		if err != nil {
			return "", err
		}
		resp, err := tr.RoundTrip(req)
		if err != nil {
			return "", err
		}
		defer resp.Body.Close()
		b, err := io.ReadAll(io.LimitReader(resp.Body, 1<<20))
		if err == nil && resp.StatusCode != http.StatusOK {
			err = fmt.Errorf("status %d", resp.StatusCode)
		}
		return string(b), err
	}
}

// hall has three servers in virtual time, each of which takes 20 ms.
type hall struct {
	mu   sync.Mutex
	dead map[string]bool
}

func (h *hall) RoundTrip(req *http.Request) (*http.Response, error) {
	time.Sleep(20 * time.Millisecond)
	h.mu.Lock()
	defer h.mu.Unlock()
	if h.dead[req.URL.Host] {
		return nil, &net.OpError{Op: "dial", Net: "tcp", Err: errors.New("connection refused")}
	}
	return &http.Response{StatusCode: 200, Header: http.Header{}, Body: io.NopCloser(strings.NewReader(req.URL.Host))}, nil
}

func (h *hall) set(server string, dead bool) {
	h.mu.Lock()
	defer h.mu.Unlock()
	if h.dead == nil {
		h.dead = make(map[string]bool)
	}
	h.dead[server] = dead
}

func (h *hall) isDead(server string) bool {
	h.mu.Lock()
	defer h.mu.Unlock()
	return h.dead[server]
}

func (h *hall) options(send func(context.Context, int) (string, error)) drill.DeadReplicaOptions {
	return drill.DeadReplicaOptions{
		Server: "r2", Send: send,
		Stop:  func(_ context.Context, server string) error { h.set(server, true); return nil },
		Start: func(_ context.Context, server string) error { h.set(server, false); return nil },
	}
}

// TestDeadReplicaEjected: a pool without health checks ejects the server by its failures,
// tries it again after ten seconds and later, and users see none of it.
func TestDeadReplicaEjected(t *testing.T) {
	for _, tt := range []struct {
		name   string
		change func(*replicas.Config)
		status checks.Status
	}{
		{"retries", func(*replicas.Config) {}, checks.Pass},
		{"no retries", func(c *replicas.Config) { c.NoRetry = true }, checks.Fail},
		{"no ejection", func(c *replicas.Config) { c.NoRetry, c.EjectAfter = true, -1 }, checks.Fail},
	} {
		t.Run(tt.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				h := &hall{}
				cfg := replicas.Config{Transport: h, Replicas: []replicas.Replica{{URL: "http://r0"}, {URL: "http://r1"}, {URL: "http://r2"}}}
				tt.change(&cfg)
				pool, err := replicas.New(cfg)
				if err != nil {
					t.Fatal(err)
				}
				defer pool.Close()
				var ejected atomic.Bool
				send := get(pool)
				o := h.options(func(ctx context.Context, seq int) (string, error) {
					if h.isDead("r2") && pool.Stats()[2].State == replicas.Ejected {
						ejected.Store(true)
					}
					return send(ctx, seq)
				})
				res := drill.DeadReplica(o).Check(t.Context())
				want(t, res, tt.status)
				if tt.status == checks.Pass && (!ejected.Load() || pool.Stats()[2].State != replicas.Available || res.Evidence["stopped for"] != "20s") {
					t.Errorf("ejected %t, now %v, %v", ejected.Load(), pool.Stats()[2].State, res.Evidence)
				}
				if h.isDead("r2") {
					t.Error("the server was not started again")
				}
			})
		})
	}
}

// rotate asks the servers in turn, except for those that skip excludes.
func (h *hall) rotate(skip func(server string) bool) func(context.Context, int) (string, error) {
	return func(ctx context.Context, seq int) (string, error) {
		for i := range 3 {
			if server := fmt.Sprintf("r%d", (seq+i)%3); !skip(server) {
				req, err := http.NewRequestWithContext(ctx, http.MethodGet, "http://"+server, nil)
				if err != nil {
					return "", err
				}
				if resp, err := h.RoundTrip(req); err != nil {
					return "", err
				} else {
					return server, resp.Body.Close()
				}
			}
		}
		return "", errTwin
	}
}

func TestDeadReplicaFinds(t *testing.T) {
	for name, tt := range map[string]struct {
		change func(h *hall, o *drill.DeadReplicaOptions)
		status checks.Status
		dead   bool // the server remains stopped
	}{
		"noticed immediately": {func(h *hall, o *drill.DeadReplicaOptions) {}, checks.Pass, false},
		"a few failures":      {failFor(5, 5*time.Second), checks.Pass, false},
		"too many failures":   {failFor(4, 5*time.Second), checks.Fail, false},
		"late failures":       {failFor(1000, 12*time.Second), checks.Fail, false},
		"never returns to the rotation": {func(h *hall, o *drill.DeadReplicaOptions) {
			out := false
			o.Send = h.rotate(func(s string) bool { out = out || h.isDead(s); return s == "r2" && out })
		}, checks.Fail, false},
		"requests hang": {func(h *hall, o *drill.DeadReplicaOptions) {
			o.Timeout = time.Second
			rotate := h.rotate(func(string) bool { return false })
			o.Send = func(ctx context.Context, seq int) (string, error) {
				server, err := rotate(ctx, seq)
				if err != nil {
					<-ctx.Done()
				}
				return server, err
			}
		}, checks.Fail, false},
		"never asked": {func(h *hall, o *drill.DeadReplicaOptions) { o.Server = "r7" }, checks.Unknown, false},
		"failures before": {func(h *hall, o *drill.DeadReplicaOptions) {
			o.Send = func(context.Context, int) (string, error) { return "", errTwin }
		}, checks.Unknown, false},
		"not stopped": {func(h *hall, o *drill.DeadReplicaOptions) {
			o.Stop = func(context.Context, string) error { return nil }
		}, checks.Unknown, false},
		"stop fails": {func(h *hall, o *drill.DeadReplicaOptions) {
			o.Stop = func(_ context.Context, server string) error { h.set(server, true); return errTwin }
		}, checks.Unknown, false},
		"stop panics": {func(h *hall, o *drill.DeadReplicaOptions) {
			o.Stop = func(_ context.Context, server string) error { h.set(server, true); panic("twin") }
		}, checks.Unknown, false},
		"start fails": {func(h *hall, o *drill.DeadReplicaOptions) {
			o.Start = func(context.Context, string) error { return errTwin }
		}, checks.Fail, true},
		"start panics": {func(h *hall, o *drill.DeadReplicaOptions) {
			o.Start = func(context.Context, string) error { panic("twin") }
		}, checks.Fail, true},
		"start hangs": {func(h *hall, o *drill.DeadReplicaOptions) {
			o.Start = func(ctx context.Context, _ string) error { <-ctx.Done(); return ctx.Err() }
		}, checks.Fail, true},
		"start does nothing": {func(h *hall, o *drill.DeadReplicaOptions) {
			o.Start = func(context.Context, string) error { return nil }
		}, checks.Fail, true},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				h := &hall{}
				o := h.options(h.rotate(h.isDead))
				tt.change(h, &o)
				res := drill.DeadReplica(o).Check(t.Context())
				want(t, res, tt.status)
				if h.isDead("r2") != tt.dead {
					t.Errorf("stopped: %t, want %t", h.isDead("r2"), tt.dead)
				}
				if tt.dead && !strings.Contains(res.Summary, `"r2"`) {
					t.Errorf("%q does not name the server", res.Summary)
				}
			})
		})
	}
}

// failFor has the rotation notice the death after the given time. At most so many failures
// may occur. The server has a third of 20 requests a second.
func failFor(most int, d time.Duration) func(h *hall, o *drill.DeadReplicaOptions) {
	return func(h *hall, o *drill.DeadReplicaOptions) {
		var died time.Time
		stop := o.Stop
		o.MaxFailures = most
		o.Rate = 3 // one a second for each server
		o.Stop = func(ctx context.Context, server string) error {
			died = time.Now()
			return stop(ctx, server)
		}
		o.Send = h.rotate(func(server string) bool { return h.isDead(server) && time.Since(died) > d })
	}
}

// TestDeadReplicaIsRestored: the server is started again when the run ends early, and the
// start is not cut short.
func TestDeadReplicaIsRestored(t *testing.T) {
	for name, start := range map[string]error{"starts": nil, "does not start": errTwin} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				h := &hall{}
				o := h.options(h.rotate(h.isDead))
				ctx, cancel := context.WithCancel(t.Context())
				defer cancel()
				o.Stop = func(_ context.Context, server string) error {
					h.set(server, true)
					time.AfterFunc(time.Second, cancel)
					return nil
				}
				o.Start = func(ctx context.Context, server string) error {
					select {
					case <-time.After(10 * time.Second):
					case <-ctx.Done():
						return ctx.Err()
					}
					h.set(server, start != nil)
					return start
				}
				res := drill.DeadReplica(o).Check(ctx)
				if start == nil {
					want(t, res, checks.Unknown)
					if !errors.Is(res.Err, context.Canceled) || h.isDead("r2") {
						t.Errorf("%v, stopped: %t", res.Err, h.isDead("r2"))
					}
					return
				}
				want(t, res, checks.Fail)
				if !strings.Contains(res.Summary, `"r2"`) || !errors.Is(res.Err, errTwin) {
					t.Errorf("%q, %v", res.Summary, res.Err)
				}
			})
		})
	}
}

// TestDeadReplicaIsRestoredFromAHang: a request that ignores its context ends the run, and
// the server is started nevertheless.
func TestDeadReplicaIsRestoredFromAHang(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		h := &hall{}
		rotate := h.rotate(h.isDead)
		release := make(chan struct{})
		o := h.options(nil)
		o.Timeout = time.Second
		o.Send = func(ctx context.Context, seq int) (string, error) {
			if h.isDead("r2") {
				<-release
			}
			return rotate(ctx, seq)
		}
		c := drill.DeadReplica(o)
		res := c.Check(t.Context())
		want(t, res, checks.Unknown)
		if h.isDead("r2") {
			t.Error("the server was not started again")
		}
		if res := c.Check(t.Context()); !errors.Is(res.Err, drill.ErrBusy) {
			t.Errorf("%v, want ErrBusy", res.Err)
		}
		close(release)
		time.Sleep(time.Second)
	})
}

// TestDeadReplicaCountsRequests: of five requests a second, four or five begin in the second
// half of the outage, when none may fail.
func TestDeadReplicaCountsRequests(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		h := &hall{}
		o := h.options(h.rotate(h.isDead))
		o.Rate, o.Within = 5, time.Second
		res := drill.DeadReplica(o).Check(t.Context())
		want(t, res, checks.Pass)
		if n := res.Evidence["requests after within"]; n != "4" && n != "5" {
			t.Error(res.Evidence)
		}
	})
}

func TestDeadReplicaInvalidOptions(t *testing.T) {
	h := &hall{}
	for name, tt := range map[string]struct {
		change func(*drill.DeadReplicaOptions)
		want   []string
	}{
		"zero": {func(o *drill.DeadReplicaOptions) { *o = drill.DeadReplicaOptions{} }, []string{"Send", "Server", "Start", "Stop"}},
		"negative": {func(o *drill.DeadReplicaOptions) {
			o.Rate, o.Timeout, o.MaxFailures, o.Within, o.Return = -1, -1, -1, -1, -1
		}, []string{"MaxFailures", "Rate", "Return", "Timeout", "Within"}},
		"no load":   {func(o *drill.DeadReplicaOptions) { o.Rate, o.Within = 0.2, time.Second }, []string{"Rate"}},
		"in flight": {func(o *drill.DeadReplicaOptions) { o.Rate, o.Timeout = 500, time.Minute }, []string{"Rate"}},
	} {
		t.Run(name, func(t *testing.T) {
			o := h.options(h.rotate(h.isDead))
			tt.change(&o)
			for i := range tt.want {
				tt.want[i] = "DeadReplicaOptions." + tt.want[i]
			}
			if got := fields(t, drill.DeadReplica(o).Check(t.Context())); !slices.Equal(got, tt.want) {
				t.Errorf("%v, want %v", got, tt.want)
			}
		})
	}
}

func TestDeadReplicaConformance(t *testing.T) {
	checkstest.Exercise(t, func(*testing.T) checks.Check {
		h := &hall{}
		o := h.options(h.rotate(h.isDead))
		o.Rate, o.Within = 500, 20*time.Millisecond
		return drill.DeadReplica(o)
	})
	of := func(o drill.DeadReplicaOptions) checks.Check { return drill.DeadReplica(o) }
	digests(t, of(drill.DeadReplicaOptions{Server: "a"}), of(drill.DeadReplicaOptions{Server: "a", Rate: 20}),
		of(drill.DeadReplicaOptions{Server: "b"}), of(drill.DeadReplicaOptions{Server: "a", MaxFailures: 1}),
		of(drill.DeadReplicaOptions{Server: "a", Within: time.Second}))
}

// ExampleDeadReplica stops one of two servers. The balancer of the example notices it
// immediately.
func ExampleDeadReplica() {
	var mu sync.Mutex
	alive := map[string]bool{"gpu-1": true, "gpu-2": true}
	set := func(up bool) func(context.Context, string) error {
		return func(_ context.Context, server string) error {
			mu.Lock()
			defer mu.Unlock()
			alive[server] = up
			return nil
		}
	}
	check := drill.DeadReplica(drill.DeadReplicaOptions{
		Server: "gpu-2", Stop: set(false), Start: set(true),
		// Send asks the load balancer of the twin.
		Send: func(_ context.Context, seq int) (string, error) {
			mu.Lock()
			defer mu.Unlock()
			if seq%2 == 1 && alive["gpu-2"] {
				return "gpu-2", nil
			}
			return "gpu-1", nil
		},
		Rate: 100, Within: 200 * time.Millisecond, // real ones are longer
	})
	res := check.Check(context.Background())
	fmt.Println(res.Status, res.Evidence["failures"], "failures")
	// Output: pass 0 failures
}
