package probe_test

import (
	"context"
	"database/sql"
	"fmt"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"time"

	"github.com/serin-go/serin/checks/probe"
)

func ExampleTLS() {
	server := httptest.NewTLSServer(http.NotFoundHandler())
	defer server.Close()
	roots := server.Client().Transport.(*http.Transport).TLSClientConfig.RootCAs
	r := probe.TLS(probe.TLSOptions{
		Addr:  server.Listener.Addr().String(),
		Name:  "example.com",
		Roots: roots,
		Left:  30 * 24 * time.Hour,
	}).Check(context.Background())
	fmt.Println(r.Status, r.Evidence["versions"], r.Evidence["group"])
	// Output: pass 1.2, 1.3 X25519MLKEM768
}

func ExampleRedirects() {
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		http.Redirect(w, r, "https://127.0.0.1"+r.RequestURI, http.StatusPermanentRedirect)
	}))
	defer server.Close()
	r := probe.Redirects(server.URL + "/v1/models").Check(context.Background())
	fmt.Println(r.Status, r.Evidence["location"])
	// Output: pass https://127.0.0.1/v1/models
}

func ExampleHSTS() {
	server := httptest.NewTLSServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Strict-Transport-Security", "max-age=86400")
	}))
	defer server.Close()
	r := probe.HSTS(probe.HSTSOptions{URL: "https://example.com", Client: server.Client()}).Check(context.Background())
	fmt.Println(r.Status, r.Summary)
	// Output: fail https://example.com: max-age is 86400 s, want at least 15552000 s
}

func ExampleTCP() {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		fmt.Println(err)
		return
	}
	defer l.Close()
	fmt.Println(probe.TCP(l.Addr().String()).Check(context.Background()).Status)
	// Output: pass
}

func ExampleUnix() {
	path := filepath.Join(os.TempDir(), "no-server.sock")
	fmt.Println(probe.Unix(path).Check(context.Background()).Status)
	// Output: fail
}

// redis stands for a client whose Ping has another signature.
type redis struct{}

func (redis) Ping(context.Context) (string, error) { return "PONG", nil }

// redisPinger adapts it.
type redisPinger struct{ redis }

func (p redisPinger) Ping(ctx context.Context) error { _, err := p.redis.Ping(ctx); return err }

func ExamplePing() {
	r := probe.Ping(redisPinger{}).Check(context.Background())
	fmt.Println(r.Status, r.Summary)
	// Output: pass ping answered
}

func ExampleGoroutines() {
	check := probe.Goroutines(probe.GoroutinesOptions{Max: 5000, Slope: 1000})
	r := check.Check(context.Background())
	fmt.Println(r.Status, r.Err)
	// Output: unknown the growth is known after 10 minutes
}

func ExampleClock() {
	server := httptest.NewServer(http.NotFoundHandler()) // stands for three servers
	defer server.Close()
	dial := func(ctx context.Context, network, _ string) (net.Conn, error) {
		return new(net.Dialer).DialContext(ctx, network, server.Listener.Addr().String())
	}
	r := probe.Clock(probe.ClockOptions{
		URLs:   []string{"http://a.example.com", "http://b.example.net", "http://c.example.org"},
		Client: &http.Client{Transport: &http.Transport{DialContext: dial, DisableKeepAlives: true}},
	}).Check(context.Background())
	fmt.Println(r.Status, r.Summary)
	// Output: pass the clock is right within 2s, by 3 of 3 servers
}

func ExampleDNS() {
	server, err := net.ListenPacket("udp", "127.0.0.1:0")
	if err != nil {
		fmt.Println(err)
		return
	}
	defer server.Close()
	go func() { // answers that no name exists
		query := make([]byte, 512)
		for {
			n, from, err := server.ReadFrom(query)
			if err != nil {
				return
			}
			query[2], query[3] = 0x81, 0x83
			server.WriteTo(query[:n], from)
		}
	}()
	r := probe.DNS(probe.DNSOptions{
		Name:   "gateway.example.com",
		Want:   []string{"192.0.2.10"},
		Server: server.LocalAddr().String(),
	}).Check(context.Background())
	fmt.Println(r.Status, r.Summary)
	// Output: fail gateway.example.com: the name does not exist
}

func ExampleSQL() {
	db, err := sql.Open("pgx", "postgres://serin@db.internal/serin") // with a driver for PostgreSQL
	if err != nil {
		fmt.Println("no driver")
		db = nil
	}
	check := probe.SQL(probe.SQLOptions{DB: db, Replica: true, MaxLag: 5 * time.Second})
	fmt.Println(check.Check(context.Background()).Status)
	// Output:
	// no driver
	// unknown
}
