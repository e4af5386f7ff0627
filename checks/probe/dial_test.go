package probe_test

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"net"
	"net/http"
	"path/filepath"
	"runtime"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/serin-go/serin/checks"
	"github.com/serin-go/serin/checks/checkstest"
	"github.com/serin-go/serin/checks/probe"
)

func TestDial(t *testing.T) {
	tcp, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer tcp.Close()
	path := filepath.Join(t.TempDir(), "s")
	unix, err := net.Listen("unix", path)
	if err != nil {
		t.Fatal(err)
	}
	defer unix.Close()
	if r := want(t, probe.TCP(tcp.Addr().String()), checks.Pass); r.Evidence["address"] != tcp.Addr().String() || r.Evidence["milliseconds"] == "" {
		t.Error(r.Evidence)
	}
	want(t, probe.TCP(closed(t)), checks.Fail)
	want(t, probe.Unix(path), checks.Pass)
	want(t, probe.Unix(path+"x"), checks.Fail)
	checkstest.Exercise(t, func(*testing.T) checks.Check { return probe.TCP(tcp.Addr().String()) })
	checkstest.Exercise(t, func(*testing.T) checks.Check { return probe.Unix(path) })
	for _, c := range []checks.Check{probe.TCP("host"), probe.Unix(""), probe.Ping(nil)} {
		if got := fields(t, c); len(got) != 1 {
			t.Error(got)
		}
	}
}

type pinger func(context.Context) error

func (p pinger) Ping(ctx context.Context) error { return p(ctx) }

func TestPing(t *testing.T) {
	var answer error
	c := probe.Ping(pinger(func(ctx context.Context) error { return errors.Join(answer, ctx.Err()) }))
	if r := want(t, c, checks.Pass); r.Evidence["milliseconds"] == "" {
		t.Error(r.Evidence)
	}
	checkstest.Exercise(t, func(*testing.T) checks.Check { return c })
	answer = fmt.Errorf("dial redis://user:hidden@10.0.0.1 password=hidden&x: %w", net.ErrClosed)
	r := want(t, c, checks.Fail)
	if !errors.Is(r.Err, net.ErrClosed) || strings.Contains(fmt.Sprint(r, r.Err), "hidden") {
		t.Error(r)
	}
	ctx, cancel := context.WithCancel(t.Context())
	c = probe.Ping(pinger(func(ctx context.Context) error { cancel(); <-ctx.Done(); return ctx.Err() }))
	if r := c.Check(ctx); r.Status != checks.Unknown || !errors.Is(r.Err, context.Canceled) {
		t.Error(r)
	}
}

// TestPingLate: an answer after the time limit does not pass, even if the client ignores its
// context.
func TestPingLate(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := probe.Ping(pinger(func(context.Context) error { time.Sleep(time.Minute); return nil }))
		if r := want(t, c, checks.Fail); r.Err == nil {
			t.Error("no error")
		}
		ctx, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		if r := c.Check(ctx); r.Status != checks.Unknown || !errors.Is(r.Err, context.DeadlineExceeded) {
			t.Errorf("%+v", r)
		}
	})
}

// TestPingHidesPasswords: errors of clients name passwords in many notations.
func TestPingHidesPasswords(t *testing.T) {
	for _, text := range []string{
		"dial app:hidden@tcp(db:3306)/x: refused", `parse "postgres://u:hid/hidden@db": invalid port`, `{"password":"hidden"}`,
		"password: hidden", "password = hidden", "GET https://h/x?k=hidden: 500", "api_key=hidden", "Bearer hidden", "redis: AUTH hidden failed",
	} {
		r := want(t, probe.Ping(pinger(func(context.Context) error { return errors.New(text) })), checks.Fail)
		if strings.Contains(fmt.Sprint(r, r.Err), "hidden") {
			t.Error(r, r.Err)
		}
	}
	long := errors.New(strings.Repeat("x", 1<<20) + "\x1b")
	r := want(t, probe.Ping(pinger(func(context.Context) error { return long })), checks.Fail)
	if len(r.Summary) > 2<<10 || len(r.Err.Error()) > 2<<10 || !errors.Is(r.Err, long) {
		t.Errorf("%d, %d bytes", len(r.Summary), len(r.Err.Error()))
	}
}

// TestNothingIsLeft: checks leave no goroutines behind, and so no connections of a client.
func TestNothingIsLeft(t *testing.T) {
	root := issue(t, "root", 900*day, nil, nil, nil)
	secure := listen(t, &tls.Config{Certificates: []tls.Certificate{chain(issue(t, "127.0.0.1", 90*day, root, nil, nil))}}, nil)
	urls, hosts := named(t)
	plain := serve(t, http.NotFound)
	dns := (&nameServer{zone: zone(), cut: true}).start(t)
	before := runtime.NumGoroutine()
	for range 20 {
		for _, c := range []checks.Check{
			probe.TLS(probe.TLSOptions{Addr: secure, Roots: pool(root)}),
			probe.TLS(probe.TLSOptions{Addr: secure}),
			probe.Clock(probe.ClockOptions{URLs: urls, Client: hosts}),
			probe.Redirects(plain),
			probe.HSTS(probe.HSTSOptions{URL: "https://localhost"}),
			probe.DNS(probe.DNSOptions{Name: "both.test", Server: dns.addr}),
			probe.TCP(secure),
		} {
			c.Check(t.Context())
		}
	}
	tick := time.NewTicker(10 * time.Millisecond)
	defer tick.Stop()
	for end := time.After(time.Minute); runtime.NumGoroutine() > before+5; { // the servers end theirs later
		select {
		case <-tick.C:
		case <-end:
			t.Fatalf("%d goroutines, %d before", runtime.NumGoroutine(), before)
		}
	}
}
