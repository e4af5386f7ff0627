package cluster_test

import (
	"bufio"
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/json"
	"encoding/pem"
	"errors"
	"fmt"
	"math/big"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/serin-go/serin/checks"
	"github.com/serin-go/serin/loadtest"
	"github.com/serin-go/serin/loadtest/cluster"
	"github.com/serin-go/serin/loadtest/cluster/clustertest"
)

// authority signs certificates for tests.
type authority struct {
	t    *testing.T
	cert *x509.Certificate
	key  *ecdsa.PrivateKey
	pool *x509.CertPool
}

func newAuthority(t *testing.T) *authority {
	t.Helper()
	a := &authority{t: t, pool: x509.NewCertPool()}
	template := &x509.Certificate{
		SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: "test authority"}, NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(time.Hour),
		IsCA: true, BasicConstraintsValid: true, KeyUsage: x509.KeyUsageCertSign,
	}
	a.cert, a.key = a.sign(template, nil, nil)
	a.pool.AddCert(a.cert)
	return a
}

func (a *authority) sign(template, parent *x509.Certificate, by *ecdsa.PrivateKey) (*x509.Certificate, *ecdsa.PrivateKey) {
	a.t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		a.t.Fatal(err)
	}
	if parent == nil {
		parent, by = template, key
	}
	der, err := x509.CreateCertificate(rand.Reader, template, parent, &key.PublicKey, by)
	if err != nil {
		a.t.Fatal(err)
	}
	cert, err := x509.ParseCertificate(der)
	if err != nil {
		a.t.Fatal(err)
	}
	return cert, key
}

// issue returns a certificate that expires after some time.
func (a *authority) issue(name string, expires time.Duration) tls.Certificate {
	a.t.Helper()
	cert, key := a.sign(&x509.Certificate{
		SerialNumber: big.NewInt(time.Now().UnixNano()), DNSNames: []string{name}, IPAddresses: []net.IP{net.IPv4(127, 0, 0, 1)},
		NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(expires),
		KeyUsage: x509.KeyUsageDigitalSignature, ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth, x509.ExtKeyUsageClientAuth},
	}, a.cert, a.key)
	return tls.Certificate{Certificate: [][]byte{cert.Raw}, PrivateKey: key, Leaf: cert}
}

// worker returns the configuration of TLS of a worker.
func (a *authority) worker(name string) *tls.Config {
	return &tls.Config{RootCAs: a.pool, Certificates: []tls.Certificate{a.issue(name, time.Hour)}}
}

// save writes the certificate of a worker and the authority's to a folder.
func (a *authority) save(dir string) {
	a.t.Helper()
	cert := a.issue("worker", time.Hour)
	key, err := x509.MarshalPKCS8PrivateKey(cert.PrivateKey)
	if err != nil {
		a.t.Fatal(err)
	}
	for name, block := range map[string]*pem.Block{
		"ca.crt": {Type: "CERTIFICATE", Bytes: a.cert.Raw}, "tls.crt": {Type: "CERTIFICATE", Bytes: cert.Certificate[0]}, "tls.key": {Type: "PRIVATE KEY", Bytes: key},
	} {
		if err := os.WriteFile(filepath.Join(dir, name), pem.EncodeToMemory(block), 0o600); err != nil {
			a.t.Fatal(err)
		}
	}
}

// loadTLS reads what save has written.
func loadTLS(dir string) (*tls.Config, error) {
	cert, err := tls.LoadX509KeyPair(filepath.Join(dir, "tls.crt"), filepath.Join(dir, "tls.key"))
	if err != nil {
		return nil, err
	}
	ca, err := os.ReadFile(filepath.Join(dir, "ca.crt"))
	if err != nil {
		return nil, err
	}
	cfg := &tls.Config{RootCAs: x509.NewCertPool(), Certificates: []tls.Certificate{cert}}
	if !cfg.RootCAs.AppendCertsFromPEM(ca) {
		return nil, errors.New("no certificate in ca.crt")
	}
	return cfg, nil
}

// serveTLS serves h with mutual TLS and returns its URL.
func (a *authority) serveTLS(t *testing.T, h http.Handler) string {
	t.Helper()
	server := httptest.NewUnstartedServer(h)
	server.Config.ErrorLog = nil
	server.TLS = &tls.Config{ClientCAs: a.pool, ClientAuth: tls.RequireAndVerifyClientCert, Certificates: []tls.Certificate{a.issue("coordinator", time.Hour)}}
	server.StartTLS()
	t.Cleanup(server.Close)
	return server.URL
}

// TestHTTPS runs the conformance suite over HTTPS with mutual TLS.
func TestHTTPS(t *testing.T) {
	clustertest.Run(t, func(t *testing.T, c *cluster.Coordinator) func(context.Context) (net.Conn, error) {
		a := newAuthority(t)
		url, cfg := a.serveTLS(t, c), a.worker("worker")
		return func(ctx context.Context) (net.Conn, error) { return cluster.Dial(ctx, url, cfg) }
	})
}

// TestTLSListener has a worker join at a listener of package tls.
func TestTLSListener(t *testing.T) {
	a := newAuthority(t)
	l, err := tls.Listen("tcp", "127.0.0.1:0", &tls.Config{ClientCAs: a.pool, ClientAuth: tls.RequireAndVerifyClientCert, Certificates: []tls.Certificate{a.issue("coordinator", time.Hour)}})
	if err != nil {
		t.Fatal(err)
	}
	c, err := cluster.New(cluster.Config{MinWorkers: 1, Names: []string{"worker"}, Lead: 100 * time.Millisecond, Silence: time.Minute})
	if err != nil {
		t.Fatal(err)
	}
	serve(t, c, l)
	w, err := cluster.NewWorker(cluster.WorkerConfig{Name: "w1", Transport: inProcess{http.NotFoundHandler()}})
	if err != nil {
		t.Fatal(err)
	}
	d := &tls.Dialer{Config: a.worker("worker")}
	joined := make(chan error, 1)
	go func() {
		joined <- w.Join(t.Context(), func(ctx context.Context) (net.Conn, error) { return d.DialContext(ctx, "tcp", l.Addr().String()) })
	}()
	p := fleetPlan()
	p.Requests = 8
	if r, err := c.Run(t.Context(), p); err != nil || r.Sent != 8 || r.Missing != 0 {
		t.Errorf("%v\n%v", err, r)
	}
	if err := errors.Join(c.Close(), <-joined); err != nil {
		t.Error(err)
	}
}

// serve serves c at l until the end of the test.
func serve(t *testing.T, c *cluster.Coordinator, l net.Listener) {
	t.Helper()
	var wait sync.WaitGroup
	wait.Go(func() {
		if err := c.Serve(l); err != nil {
			t.Errorf("Serve: %v", err)
		}
	})
	t.Cleanup(func() {
		_ = c.Close() // the listener's errors
		wait.Wait()
	})
}

// refusal runs Join with a configuration that is refused, and returns its error.
func refusal(t *testing.T, cfg cluster.Config, worker cluster.WorkerConfig, dial func(*cluster.Coordinator) func(context.Context) (net.Conn, error)) error {
	t.Helper()
	cfg.MinWorkers = 1
	c, err := cluster.New(cfg)
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	w, err := cluster.NewWorker(worker)
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	err = w.Join(ctx, dial(c))
	if err == nil || ctx.Err() != nil {
		t.Fatalf("Join: %v, want a refusal", err)
	}
	done, look := context.WithCancelCause(ctx)
	look(errors.New("looked"))
	if _, err := c.Run(done, testPlan("http://model.test")); err == nil || !strings.Contains(err.Error(), "have 0 workers, want 1") {
		t.Errorf("Run: %v", err)
	}
	return err
}

// TestCertificates has workers and coordinators whose certificates must be refused.
func TestCertificates(t *testing.T) {
	a, stranger := newAuthority(t), newAuthority(t)
	good := a.worker("w1")
	with := func(change func(*tls.Config)) *tls.Config {
		cfg := good.Clone()
		change(cfg)
		return cfg
	}
	for name, test := range map[string]struct {
		worker *tls.Config
		names  []string
		want   string
	}{
		"expired":             {worker: with(func(c *tls.Config) { c.Certificates = []tls.Certificate{a.issue("w1", -time.Minute)} }), want: "remote error"},
		"unknown authority":   {worker: with(func(c *tls.Config) { c.Certificates = stranger.worker("w1").Certificates }), want: "remote error"},
		"none":                {worker: &tls.Config{RootCAs: a.pool}, want: "Certificates"},
		"unknown coordinator": {worker: with(func(c *tls.Config) { c.RootCAs, c.InsecureSkipVerify = stranger.pool, true }), want: "certificate signed by unknown authority"},
		"name":                {worker: good, names: []string{"w2", "worker"}, want: `name is ["w1"], want one of ["w2" "worker"]`},
	} {
		t.Run(name, func(t *testing.T) {
			// Its name alone does not help a worker whose certificate has another one.
			err := refusal(t, cluster.Config{Names: test.names}, cluster.WorkerConfig{Name: "worker"}, func(c *cluster.Coordinator) func(context.Context) (net.Conn, error) {
				url := a.serveTLS(t, c)
				return func(ctx context.Context) (net.Conn, error) { return cluster.Dial(ctx, url, test.worker) }
			})
			if !strings.Contains(err.Error(), test.want) {
				t.Errorf("%v, want %q", err, test.want)
			}
		})
	}
}

// TestNothingProves has connections whose ends have neither a token nor a certificate, or
// different tokens.
func TestNothingProves(t *testing.T) {
	for name, test := range map[string]struct{ coordinator, worker loadtest.Secret }{
		"neither":             {"", ""},
		"a coordinator only":  {token, ""},
		"a worker only":       {"", token},
		"different ones":      {token, "another token, as long"},
		"different, as short": {loadtest.Secret(token[:16]), loadtest.Secret(token[:17])},
	} {
		t.Run(name, func(t *testing.T) {
			err := refusal(t, cluster.Config{Token: test.coordinator}, cluster.WorkerConfig{Name: "w1", Token: test.worker}, func(c *cluster.Coordinator) func(context.Context) (net.Conn, error) {
				l, err := net.Listen("tcp", "127.0.0.1:0")
				if err != nil {
					t.Fatal(err)
				}
				serve(t, c, l)
				return func(ctx context.Context) (net.Conn, error) {
					return new(net.Dialer).DialContext(ctx, "tcp", l.Addr().String())
				}
			})
			if !strings.Contains(err.Error(), "token") {
				t.Error(err)
			}
		})
	}
	// A name that is not listed is refused with the right token as well.
	err := refusal(t, cluster.Config{Token: token, Names: []string{"w2"}}, cluster.WorkerConfig{Name: "w1", Token: token}, func(c *cluster.Coordinator) func(context.Context) (net.Conn, error) {
		l, err := net.Listen("tcp", "127.0.0.1:0")
		if err != nil {
			t.Fatal(err)
		}
		serve(t, c, l)
		return func(ctx context.Context) (net.Conn, error) {
			return new(net.Dialer).DialContext(ctx, "tcp", l.Addr().String())
		}
	})
	if !strings.Contains(err.Error(), `want one of ["w2"]`) {
		t.Error(err)
	}
}

// TestHTTPSRefuses sends requests that are not of workers.
func TestHTTPSRefuses(t *testing.T) {
	a := newAuthority(t)
	c, err := cluster.New(cluster.Config{MinWorkers: 1})
	if err != nil {
		t.Fatal(err)
	}
	plain := httptest.NewServer(c)
	defer plain.Close()
	secure := a.serveTLS(t, c)
	client := &http.Client{Transport: &http.Transport{TLSClientConfig: a.worker("w1")}}
	for _, test := range []struct {
		method, url string
		status      int
	}{
		{"GET", plain.URL + "/v1/join", 403}, {"GET", secure + "/", 404}, {"GET", secure + "/v1/join", 426}, {"POST", secure + "/v1/join", 426},
	} {
		r, err := http.NewRequestWithContext(t.Context(), test.method, test.url, nil)
		if err != nil {
			t.Fatal(err)
		}
		resp, err := client.Do(r)
		if err != nil {
			t.Fatal(err)
		}
		_ = resp.Body.Close() // not read
		if resp.StatusCode != test.status {
			t.Errorf("%s %s: %d, want %d", test.method, test.url, resp.StatusCode, test.status)
		}
	}
	var invalid *checks.InvalidError
	for _, url := range []string{"http://127.0.0.1:1", "127.0.0.1:1", "https://", ""} {
		if _, err := cluster.Dial(t.Context(), url, a.worker("w1")); !errors.As(err, &invalid) || invalid.Field != "coordinator" {
			t.Errorf("Dial(%q): %v", url, err)
		}
	}
	w, err := cluster.NewWorker(cluster.WorkerConfig{Name: "w1"})
	if err != nil {
		t.Fatal(err)
	}
	own := httptest.NewServer(w)
	defer own.Close()
	resp, err := http.Get(own.URL + "/v1/clock")
	if err != nil {
		t.Fatal(err)
	}
	_ = resp.Body.Close() // not read
	if resp.StatusCode != http.StatusUnauthorized {
		t.Errorf("a worker without a token: %s", resp.Status)
	}
}

// TestVersions has a coordinator, a worker that joins and a worker at a URL of another
// version.
func TestVersions(t *testing.T) {
	check := func(what string, err error, peer string, ours, theirs int) {
		t.Helper()
		var version *cluster.VersionError
		if !errors.As(err, &version) || *version != (cluster.VersionError{Peer: peer, Ours: ours, Theirs: theirs}) {
			t.Errorf("%s: %v, want %d and %d", what, err, ours, theirs)
		}
	}
	w, err := cluster.NewWorker(cluster.WorkerConfig{Name: "w1", Token: token})
	if err != nil {
		t.Fatal(err)
	}
	ours := 2
	err = w.Join(t.Context(), func(context.Context) (net.Conn, error) {
		a, b := net.Pipe()
		go func() {
			_, _ = bufio.NewReader(b).ReadSlice('\n') // the worker's version does not matter
			fmt.Fprintln(b, `{"protocol":"serin-loadtest","version":7,"error":"version mismatch","again":true}`)
		}()
		return a, nil
	})
	check("Join", err, "the coordinator", ours, 7)

	c, err := cluster.New(cluster.Config{MinWorkers: 1, Token: token})
	if err != nil {
		t.Fatal(err)
	}
	l := newPipes()
	serve(t, c, l)
	conn, err := l.dial(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	fmt.Fprintln(conn, `{"protocol":"serin-loadtest","version":1,"name":"w1","nonce":"x"}`)
	var reply struct {
		Version int
		Error   string
	}
	if err := json.NewDecoder(conn).Decode(&reply); err != nil || reply.Version != ours || !strings.Contains(reply.Error, "worker w1 has 1, this program has 2") {
		t.Errorf("%+v, %v", reply, err)
	}

	old := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Serin-Loadtest-Version", "9")
		http.Error(w, "version", http.StatusBadRequest)
	}))
	defer old.Close()
	_, err = coordinator(t, nil, old.URL).Run(t.Context(), testPlan("http://model.test"))
	check("Run", err, "worker "+old.URL, ours, 9)
	unversioned := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { fmt.Fprint(w, `{"now":"2026-01-01T00:00:00Z"}`) }))
	defer unversioned.Close()
	_, err = coordinator(t, nil, unversioned.URL).Run(t.Context(), testPlan("http://model.test"))
	check("Run", err, "worker "+unversioned.URL, ours, 0)
}

// pipes is a listener of connections within the process.
type pipes struct {
	conns  chan net.Conn
	closed chan struct{}
	once   sync.Once
}

func newPipes() *pipes { return &pipes{conns: make(chan net.Conn), closed: make(chan struct{})} }

func (p *pipes) Accept() (net.Conn, error) {
	select {
	case c := <-p.conns:
		return c, nil
	case <-p.closed:
		return nil, net.ErrClosed
	}
}

func (p *pipes) Close() error {
	p.once.Do(func() { close(p.closed) })
	return nil
}

func (p *pipes) Addr() net.Addr { return &net.UnixAddr{Name: "pipe"} }

func (p *pipes) dial(ctx context.Context) (net.Conn, error) {
	a, b := net.Pipe()
	select {
	case p.conns <- b:
		return a, nil
	case <-p.closed:
		return nil, net.ErrClosed
	case <-ctx.Done():
		return nil, ctx.Err()
	}
}

// TestNameIsTaken has two workers of one name. The second one joins when the first one
// has left, and its Join returns when the coordinator is closed.
func TestNameIsTaken(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c, err := cluster.New(cluster.Config{MinWorkers: 1, Token: token})
		if err != nil {
			t.Fatal(err)
		}
		l := newPipes()
		serve(t, c, l)
		dials := [2]int{}
		var workers [2]*cluster.Worker
		var joins [2]chan error
		for i := range workers {
			if workers[i], err = cluster.NewWorker(cluster.WorkerConfig{Name: "w1", Token: token}); err != nil {
				t.Fatal(err)
			}
			joins[i] = make(chan error, 1)
			go func() {
				joins[i] <- workers[i].Join(t.Context(), func(ctx context.Context) (net.Conn, error) {
					dials[i]++
					return l.dial(ctx)
				})
			}()
			synctest.Wait()
		}
		time.Sleep(2 * time.Minute)
		synctest.Wait()
		if dials[0] != 1 || dials[1] < 5 || dials[1] > 20 {
			t.Errorf("%d and %d attempts", dials[0], dials[1])
		}
		if err := errors.Join(workers[0].Leave(t.Context()), <-joins[0]); err != nil {
			t.Error(err)
		}
		time.Sleep(time.Minute)
		synctest.Wait()
		before := dials[1]
		time.Sleep(time.Hour) // connected
		synctest.Wait()
		if dials[1] != before {
			t.Errorf("%d attempts, then %d", before, dials[1])
		}
		if err := errors.Join(c.Close(), <-joins[1]); err != nil {
			t.Error(err)
		}
		if _, err := c.Run(t.Context(), testPlan("http://model.test")); err == nil || !strings.Contains(err.Error(), "closed") {
			t.Errorf("Run of a closed coordinator: %v", err)
		}
	})
}
