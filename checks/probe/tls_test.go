package probe_test

import (
	"bytes"
	"context"
	"crypto"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/rsa"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"errors"
	"fmt"
	"io"
	"math/big"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/serin-go/serin/checks"
	"github.com/serin-go/serin/checks/checkstest"
	"github.com/serin-go/serin/checks/probe"
)

const day = 24 * time.Hour

// issued is a certificate with its key.
type issued struct {
	*x509.Certificate
	key crypto.Signer
}

var serials atomic.Int64

// issue issues a certificate that is valid for the time left, signed by the issuer, or by
// itself if that is nil. change may change the template.
func issue(t testing.TB, name string, left time.Duration, issuer *issued, key crypto.Signer, change func(*x509.Certificate)) *issued {
	t.Helper()
	if key == nil {
		var err error
		if key, err = ecdsa.GenerateKey(elliptic.P256(), rand.Reader); err != nil {
			t.Fatal(err)
		}
	}
	// The hour makes a certificate of n days last n days during the test.
	template := &x509.Certificate{
		SerialNumber: big.NewInt(serials.Add(1)), Subject: pkix.Name{CommonName: name},
		NotBefore: time.Now().Add(min(0, left) - day), NotAfter: time.Now().Add(left + time.Hour),
		BasicConstraintsValid: true, IsCA: true, KeyUsage: x509.KeyUsageCertSign | x509.KeyUsageDigitalSignature,
	}
	if change == nil && name == "127.0.0.1" {
		change = server
	}
	if change != nil {
		change(template)
	}
	by := issuer
	if by == nil {
		by = &issued{template, key}
	}
	der, err := x509.CreateCertificate(rand.Reader, template, by.Certificate, key.Public(), by.key)
	if err != nil {
		t.Fatal(err)
	}
	c, err := x509.ParseCertificate(der)
	if err != nil {
		t.Fatal(err)
	}
	return &issued{c, key}
}

// server makes a template one for a server on the loopback.
func server(c *x509.Certificate) {
	c.IsCA, c.IPAddresses, c.KeyUsage = false, []net.IP{net.IPv4(127, 0, 0, 1)}, x509.KeyUsageDigitalSignature|x509.KeyUsageKeyEncipherment
	c.ExtKeyUsage = []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth}
}

func pool(certs ...*issued) *x509.CertPool {
	p := x509.NewCertPool()
	for _, c := range certs {
		p.AddCert(c.Certificate)
	}
	return p
}

// chain is what a server presents.
func chain(certs ...*issued) tls.Certificate {
	c := tls.Certificate{PrivateKey: certs[0].key}
	for _, i := range certs {
		c.Certificate = append(c.Certificate, i.Raw)
	}
	return c
}

// listen serves TLS handshakes until the test ends. done is called after each.
func listen(t testing.TB, config *tls.Config, done func(*tls.Conn, error)) string {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	var wg sync.WaitGroup
	ctx, cancel := context.WithCancel(context.Background())
	t.Cleanup(func() { cancel(); l.Close(); wg.Wait() })
	wg.Go(func() {
		for {
			conn, err := l.Accept()
			if err != nil {
				return
			}
			wg.Go(func() {
				defer conn.Close()
				c := tls.Server(conn, config)
				err := c.HandshakeContext(ctx)
				if done != nil {
					done(c, err)
				}
				if err == nil {
					stop := context.AfterFunc(ctx, func() { conn.Close() })
					defer stop()
					io.Copy(io.Discard, c)
				}
			})
		}
	})
	return l.Addr().String()
}

func TestTLSVersions(t *testing.T) {
	root := issue(t, "root", 900*day, nil, nil, nil)
	key, err := rsa.GenerateKey(rand.Reader, 2048)
	if err != nil {
		t.Fatal(err)
	}
	leaf := issue(t, "127.0.0.1", 90*day, root, nil, nil)
	leafRSA := issue(t, "127.0.0.1", 90*day, root, key, nil)
	for name, c := range map[string]struct {
		server   *tls.Config
		min      uint16
		want     checks.Status
		versions string
	}{
		"from 1.0":          {&tls.Config{MinVersion: tls.VersionTLS10}, 0, checks.Fail, "1.0, 1.1, 1.2, 1.3"},
		"from 1.1":          {&tls.Config{MinVersion: tls.VersionTLS11}, 0, checks.Fail, "1.1, 1.2, 1.3"},
		"from 1.2":          {&tls.Config{MinVersion: tls.VersionTLS12}, 0, checks.Pass, "1.2, 1.3"},
		"from 1.3":          {&tls.Config{MinVersion: tls.VersionTLS13}, 0, checks.Pass, "1.3"},
		"default of Go":     {&tls.Config{}, 0, checks.Pass, "1.2, 1.3"},
		"1.2 is too old":    {&tls.Config{}, tls.VersionTLS13, checks.Fail, "1.2, 1.3"},
		"1.0 is required":   {&tls.Config{MinVersion: tls.VersionTLS10}, tls.VersionTLS10, checks.Pass, "1.0, 1.1, 1.2, 1.3"},
		"only old":          {&tls.Config{MinVersion: tls.VersionTLS10, MaxVersion: tls.VersionTLS11}, 0, checks.Fail, "1.0, 1.1"},
		"only 1.2":          {&tls.Config{MaxVersion: tls.VersionTLS12}, 0, checks.Pass, "1.2"},
		"client must prove": {&tls.Config{ClientAuth: tls.RequireAnyClientCert}, 0, checks.Pass, "1.2, 1.3"},
		"old with suites that clients no longer offer": {
			&tls.Config{MinVersion: tls.VersionTLS10, CipherSuites: []uint16{tls.TLS_RSA_WITH_AES_128_CBC_SHA}, Certificates: []tls.Certificate{chain(leafRSA)}},
			0, checks.Fail, "1.0, 1.1, 1.3"},
	} {
		t.Run(name, func(t *testing.T) {
			if c.server.Certificates == nil {
				c.server.Certificates = []tls.Certificate{chain(leaf)}
			}
			addr := listen(t, c.server, nil)
			r := want(t, probe.TLS(probe.TLSOptions{Addr: addr, Min: c.min, Roots: pool(root)}), c.want)
			if r.Evidence["versions"] != c.versions {
				t.Errorf("accepted %q, want %q", r.Evidence["versions"], c.versions)
			}
			if strings.Contains(c.versions, "1.3") && (r.Evidence["version"] != "TLS 1.3" || r.Evidence["group"] != "X25519MLKEM768" || r.Evidence["days"] != "90") {
				t.Errorf("evidence %v", r.Evidence)
			}
		})
	}
}

func TestTLSCertificates(t *testing.T) {
	root := issue(t, "root", 900*day, nil, nil, nil)
	other := issue(t, "other", 900*day, nil, nil, nil)
	between := issue(t, "between", 30*day, root, nil, nil)
	weak, err := rsa.GenerateKey(rand.Reader, 1024)
	if err != nil {
		t.Fatal(err)
	}
	short, err := ecdsa.GenerateKey(elliptic.P224(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	strong, err := rsa.GenerateKey(rand.Reader, 2048)
	if err != nil {
		t.Fatal(err)
	}
	sha1 := func(c *x509.Certificate) { c.SignatureAlgorithm = x509.SHA1WithRSA }
	rootRSA := issue(t, "root", 900*day, nil, strong, sha1)
	betweenP224 := issue(t, "between", 300*day, root, short, nil)

	// The new root is trusted itself, and has a certificate of the old one, which has expired.
	old := issue(t, "old root", -day, nil, nil, nil)
	fresh := issue(t, "new root", 900*day, nil, nil, nil)
	crossed := issue(t, "new root", -day, old, fresh.key, nil)
	leaf := issue(t, "127.0.0.1", 90*day, fresh, nil, nil)
	expired := issue(t, "127.0.0.1", -day, root, nil, nil)
	// The other certificate of the old root has not expired, but expires soon.
	ending := issue(t, "old root", 5*day, nil, old.key, nil)
	crossedSoon := issue(t, "new root", 5*day, ending, fresh.key, nil)

	// A root with a weak key lasts longer than the new root.
	ends30 := issue(t, "new root", 30*day, nil, fresh.key, nil)
	weakRoot := issue(t, "weak root", 900*day, nil, short, nil)
	crossedWeak := issue(t, "new root", 900*day, weakRoot, fresh.key, nil)

	var name x509.HostnameError
	var authority x509.UnknownAuthorityError
	var invalid x509.CertificateInvalidError
	var algorithm x509.InsecureAlgorithmError
	for label, c := range map[string]struct {
		chain []*issued
		o     probe.TLSOptions
		want  checks.Status
		err   any
		first *issued
	}{
		"good":              {[]*issued{leaf}, probe.TLSOptions{Roots: pool(fresh)}, checks.Pass, nil, leaf},
		"wrong name":        {[]*issued{leaf}, probe.TLSOptions{Roots: pool(fresh), Name: "example.com"}, checks.Fail, &name, nil},
		"unknown authority": {[]*issued{leaf}, probe.TLSOptions{Roots: pool(root)}, checks.Fail, &authority, nil},
		"expired":           {[]*issued{expired}, probe.TLSOptions{Roots: pool(root)}, checks.Fail, &invalid, expired},
		"20 days left":      {[]*issued{issue(t, "127.0.0.1", 20*day, root, nil, nil)}, probe.TLSOptions{Roots: pool(root)}, checks.Fail, nil, nil},
		"21 days left":      {[]*issued{issue(t, "127.0.0.1", 21*day, root, nil, nil)}, probe.TLSOptions{Roots: pool(root)}, checks.Pass, nil, nil},
		"20 are enough":     {[]*issued{issue(t, "127.0.0.1", 20*day, root, nil, nil)}, probe.TLSOptions{Roots: pool(root), Left: 20 * day}, checks.Pass, nil, nil},
		"intermediate ends first": {
			[]*issued{issue(t, "127.0.0.1", 90*day, between, nil, nil), between}, probe.TLSOptions{Roots: pool(root)}, checks.Pass, nil, between},
		"intermediate ends too early": {
			[]*issued{issue(t, "127.0.0.1", 90*day, between, nil, nil), between}, probe.TLSOptions{Roots: pool(root), Left: 60 * day}, checks.Fail, nil, between},
		"intermediate is missing":                 {[]*issued{issue(t, "127.0.0.1", 90*day, between, nil, nil)}, probe.TLSOptions{Roots: pool(root)}, checks.Fail, &authority, nil},
		"cross-signed by an expired root":         {[]*issued{leaf, crossed}, probe.TLSOptions{Roots: pool(fresh, old)}, checks.Pass, nil, leaf},
		"only the expired root":                   {[]*issued{leaf, crossed}, probe.TLSOptions{Roots: pool(old)}, checks.Fail, &invalid, nil},
		"the chain that lasts longest":            {[]*issued{leaf, crossedSoon}, probe.TLSOptions{Roots: pool(fresh, ending)}, checks.Pass, nil, leaf},
		"only the chain that ends soon":           {[]*issued{leaf, crossedSoon}, probe.TLSOptions{Roots: pool(ending)}, checks.Fail, nil, nil},
		"the chain without a weak key":            {[]*issued{leaf, crossedWeak}, probe.TLSOptions{Roots: pool(ends30, weakRoot)}, checks.Pass, nil, ends30},
		"only a chain with a weak key":            {[]*issued{leaf, crossedWeak}, probe.TLSOptions{Roots: pool(weakRoot)}, checks.Fail, nil, nil},
		"RSA with 1024 bits":                      {[]*issued{issue(t, "127.0.0.1", 90*day, root, weak, nil)}, probe.TLSOptions{Roots: pool(root)}, checks.Fail, nil, nil},
		"RSA with 2048 bits":                      {[]*issued{issue(t, "127.0.0.1", 90*day, root, strong, nil)}, probe.TLSOptions{Roots: pool(root)}, checks.Pass, nil, nil},
		"P-224":                                   {[]*issued{issue(t, "127.0.0.1", 90*day, betweenP224, nil, nil), betweenP224}, probe.TLSOptions{Roots: pool(root)}, checks.Fail, nil, nil},
		"signed with SHA-1":                       {[]*issued{issue(t, "127.0.0.1", 90*day, rootRSA, nil, func(c *x509.Certificate) { server(c); sha1(c) })}, probe.TLSOptions{Roots: pool(rootRSA)}, checks.Fail, &algorithm, nil},
		"root signed with SHA-1":                  {[]*issued{issue(t, "127.0.0.1", 90*day, rootRSA, nil, nil)}, probe.TLSOptions{Roots: pool(rootRSA)}, checks.Pass, nil, nil},
		"protocol of two":                         {[]*issued{leaf}, probe.TLSOptions{Roots: pool(fresh), ALPN: []string{"h3", "h2"}}, checks.Pass, nil, nil},
		"protocol that the server does not have":  {[]*issued{leaf}, probe.TLSOptions{Roots: pool(fresh), ALPN: []string{"h3"}}, checks.Fail, nil, nil},
		"an unrelated certificate after the leaf": {[]*issued{leaf, other}, probe.TLSOptions{Roots: pool(fresh)}, checks.Pass, nil, leaf},
	} {
		t.Run(label, func(t *testing.T) {
			c.o.Addr = listen(t, &tls.Config{Certificates: []tls.Certificate{chain(c.chain...)}, NextProtos: []string{"h2"}}, nil)
			r := want(t, probe.TLS(c.o), c.want)
			if c.err != nil && !errors.As(r.Err, c.err) {
				t.Errorf("error %T %v, want %T", r.Err, r.Err, c.err)
			}
			for _, e := range []any{&name, &authority, &invalid, &algorithm} {
				if (c.err == nil || e == &algorithm && c.err != e) && errors.As(r.Err, e) {
					t.Errorf("error %T", r.Err)
				}
			}
			if c.first != nil && (r.Evidence["until"] != c.first.NotAfter.UTC().Format(time.RFC3339) || !strings.Contains(r.Evidence["first"], c.first.Subject.CommonName)) {
				t.Errorf("evidence %v, want %v of %q", r.Evidence, c.first.NotAfter, c.first.Subject.CommonName)
			}
			if len(c.o.ALPN) == 2 && r.Evidence["alpn"] != "h2" {
				t.Errorf("ALPN %q", r.Evidence["alpn"])
			}
		})
	}
}

// TestTLSUnclear: a server that does not refuse old versions by an alert may accept them
// from others. OpenSSL refuses those that its security level excludes by internal_error, as
// package tls does if GetConfigForClient fails.
func TestTLSUnclear(t *testing.T) {
	root := issue(t, "root", 900*day, nil, nil, nil)
	leaf := issue(t, "127.0.0.1", 90*day, root, nil, nil)
	const newer = "closed, of a version that may be accepted"
	for name, c := range map[string]struct {
		hang bool
		old  func(net.Conn, uint16) error
		want checks.Status
	}{
		"silent": {true, func(net.Conn, uint16) error { return nil }, checks.Unknown},
		"closed": {false, func(c net.Conn, _ uint16) error { return c.Close() }, checks.Unknown},
		"alert":  {false, func(net.Conn, uint16) error { return nil }, checks.Pass},
		"unrecognized name, which is not about the version": {false, alert(112), checks.Unknown},
		"protocol version": {false, alert(70), checks.Pass},
		newer: {false, func(c net.Conn, version uint16) error {
			if version == tls.VersionTLS12 {
				return c.Close()
			}
			return nil
		}, checks.Pass},
	} {
		t.Run(name, func(t *testing.T) {
			ctx, cancel := context.WithCancel(t.Context())
			defer cancel()
			checked := make(chan struct{})
			var shaken atomic.Int64
			config := &tls.Config{Certificates: []tls.Certificate{chain(leaf)}}
			config.GetConfigForClient = func(hello *tls.ClientHelloInfo) (*tls.Config, error) {
				version := slices.Max(hello.SupportedVersions)
				if version == tls.VersionTLS13 || version == tls.VersionTLS12 && name != newer {
					return nil, nil
				}
				if c.hang {
					<-checked
				}
				return nil, errors.Join(c.old(hello.Conn, version), errors.New("too old"))
			}
			addr := listen(t, config, func(conn *tls.Conn, err error) {
				if err != nil {
					return
				}
				io.Copy(io.Discard, conn) // until the client has read all, and closes
				if shaken.Add(1) == 3 && c.hang {
					cancel()
				}
			})
			r := probe.TLS(probe.TLSOptions{Addr: addr, Roots: pool(root)}).Check(ctx)
			close(checked)
			versions := map[bool]string{true: "1.3", false: "1.2, 1.3"}[name == newer]
			if r.Status != c.want || (r.Err == nil) != (c.want == checks.Pass) || r.Evidence["versions"] != versions {
				t.Errorf("%+v", r)
			}
		})
	}
}

// TestTLSAnotherKey: the chain is valid, but the server signs with another private key, so
// that no client can talk to it, whether or not it asks for a client certificate.
func TestTLSAnotherKey(t *testing.T) {
	root := issue(t, "root", 900*day, nil, nil, nil)
	leaf := issue(t, "127.0.0.1", 90*day, root, nil, nil)
	stranger := issue(t, "stranger", 90*day, nil, nil, nil)
	right := chain(leaf)
	wrong := chain(leaf)
	wrong.PrivateKey = stranger.key
	only := func(version uint16, c tls.Certificate) *tls.Config {
		return &tls.Config{MinVersion: version, MaxVersion: version, Certificates: []tls.Certificate{c}}
	}
	mixed := func(for12, for13 tls.Certificate) *tls.Config {
		return &tls.Config{GetConfigForClient: func(hello *tls.ClientHelloInfo) (*tls.Config, error) {
			if slices.Contains(hello.SupportedVersions, tls.VersionTLS13) {
				return only(tls.VersionTLS13, for13), nil
			}
			return only(tls.VersionTLS12, for12), nil
		}}
	}
	asking := only(tls.VersionTLS12, wrong)
	asking.ClientAuth = tls.RequireAnyClientCert
	for name, config := range map[string]*tls.Config{
		"TLS 1.2": only(tls.VersionTLS12, wrong), "TLS 1.3": only(tls.VersionTLS13, wrong), "with a client certificate": asking,
		"both": {Certificates: []tls.Certificate{wrong}}, "only with TLS 1.2": mixed(wrong, right), "only with TLS 1.3": mixed(right, wrong),
	} {
		t.Run(name, func(t *testing.T) {
			addr := listen(t, config, nil)
			if r := want(t, probe.TLS(probe.TLSOptions{Addr: addr, Roots: pool(root)}), checks.Fail); r.Err == nil {
				t.Error("no error")
			}
		})
	}
}

// TestTLSUsualHandshake: each version alone is accepted, but clients that offer all versions
// get no answer.
func TestTLSUsualHandshake(t *testing.T) {
	root := issue(t, "root", 900*day, nil, nil, nil)
	config := &tls.Config{Certificates: []tls.Certificate{chain(issue(t, "127.0.0.1", 90*day, root, nil, nil))}}
	config.GetConfigForClient = func(hello *tls.ClientHelloInfo) (*tls.Config, error) {
		if slices.Contains(hello.SupportedVersions, tls.VersionTLS13) {
			return nil, errors.Join(hello.Conn.Close(), errors.New("dropped"))
		}
		return nil, nil
	}
	o := probe.TLSOptions{Addr: listen(t, config, nil), Roots: pool(root)}
	if r := want(t, probe.TLS(o), checks.Fail); r.Err == nil || r.Evidence["versions"] != "1.2" {
		t.Errorf("%+v", r)
	}
}

// alert sends an alert and closes the connection.
func alert(description byte) func(net.Conn, uint16) error {
	return func(c net.Conn, _ uint16) error {
		_, err := c.Write([]byte{21, 3, 1, 0, 2, 2, description})
		return errors.Join(err, c.Close())
	}
}

func TestTLSNoServer(t *testing.T) {
	plain := strings.TrimPrefix(serve(t, http.NotFound), "http://")
	silent, err := net.Listen("tcp", "127.0.0.1:0") // connects, but does not answer
	if err != nil {
		t.Fatal(err)
	}
	defer silent.Close()
	for name, o := range map[string]probe.TLSOptions{
		"no listener": {Addr: closed(t)},
		"plain HTTP":  {Addr: plain},
		"silent":      {Addr: silent.Addr().String(), MaxTime: time.Millisecond},
		"alert":       {Addr: listen(t, &tls.Config{GetCertificate: func(*tls.ClientHelloInfo) (*tls.Certificate, error) { return nil, errors.New("none") }}, nil)},
	} {
		t.Run(name, func(t *testing.T) { want(t, probe.TLS(o), checks.Fail) })
	}
	want(t, probe.TLS(probe.TLSOptions{Addr: "localhost:1", MaxTime: 1}), checks.Fail)
}

func TestTLSDigest(t *testing.T) {
	one, two := issue(t, "one", day, nil, nil, nil), issue(t, "two", day, nil, nil, nil)
	digest := func(o probe.TLSOptions) string {
		o.Addr = "x:443"
		d, err := checks.DigestOf(probe.TLS(o))
		if err != nil {
			t.Error(err)
		}
		return d
	}
	all := []string{
		digest(probe.TLSOptions{}), digest(probe.TLSOptions{Roots: pool()}), digest(probe.TLSOptions{Roots: pool(one)}),
		digest(probe.TLSOptions{Roots: pool(two)}), digest(probe.TLSOptions{Roots: pool(one, two)}),
	}
	if slices.Sort(all); len(slices.Compact(all)) != 5 {
		t.Error("the digest does not depend on the authorities")
	}
	if digest(probe.TLSOptions{Roots: pool(two, one)}) != digest(probe.TLSOptions{Roots: pool(one, two)}) {
		t.Error("the digest depends on the order of the authorities")
	}
	if digest(probe.TLSOptions{}) != digest(probe.TLSOptions{MaxTime: 10 * time.Second, Min: tls.VersionTLS12, Left: 21 * day}) {
		t.Error("the digest depends on whether the defaults are spelled out")
	}
}

// TestTLSRootsAreKept: a pool that changes later does not change the check.
func TestTLSRootsAreKept(t *testing.T) {
	root := issue(t, "root", 900*day, nil, nil, nil)
	addr := listen(t, &tls.Config{Certificates: []tls.Certificate{chain(issue(t, "127.0.0.1", 90*day, root, nil, nil))}}, nil)
	roots := pool()
	c := probe.TLS(probe.TLSOptions{Addr: addr, Roots: roots})
	roots.AddCert(root.Certificate)
	want(t, c, checks.Fail)
}

func TestTLSBadOptions(t *testing.T) {
	got := fields(t, probe.TLS(probe.TLSOptions{Addr: "host", Min: 1, Left: -1, MaxTime: -1, ALPN: []string{"h2", ""}}))
	if s := fmt.Sprint(got); s != "[TLSOptions.Addr TLSOptions.Left TLSOptions.MaxTime TLSOptions.Min TLSOptions.ALPN[1]]" {
		t.Error(s)
	}
	for _, addr := range []string{"", ":443", "host:", "host:0", "host:65536", "host:https", "a:b:1", "[a:b]:1"} {
		if got := fields(t, probe.TLS(probe.TLSOptions{Addr: addr})); len(got) != 1 {
			t.Errorf("%q: %v", addr, got)
		}
	}
}

func TestTLSConformance(t *testing.T) {
	root := issue(t, "root", 900*day, nil, nil, nil)
	addr := listen(t, &tls.Config{Certificates: []tls.Certificate{chain(issue(t, "127.0.0.1", 90*day, root, nil, nil))}}, nil)
	checkstest.Exercise(t, func(*testing.T) checks.Check {
		return probe.TLS(probe.TLSOptions{Addr: addr, Roots: pool(root)})
	})
}

// TestTLSStapled: responses are made by openssl.
func TestTLSStapled(t *testing.T) {
	if _, err := exec.LookPath("openssl"); err != nil {
		t.Skip("needs openssl: apt-get install openssl")
	}
	staple := func(c *x509.Certificate) {
		server(c)
		c.ExtraExtensions = []pkix.Extension{{Id: []int{1, 3, 6, 1, 5, 5, 7, 1, 24}, Value: []byte{0x30, 3, 2, 1, 5}}}
	}
	root := issue(t, "root", 900*day, nil, nil, nil)
	stranger := issue(t, "root", 900*day, nil, nil, nil)
	leaf := issue(t, "127.0.0.1", 90*day, root, nil, staple)
	another := issue(t, "127.0.0.1", 90*day, root, nil, staple)
	mayDelegate := func(c *x509.Certificate) {
		c.IsCA, c.ExtKeyUsage = false, []x509.ExtKeyUsage{x509.ExtKeyUsageOCSPSigning}
	}
	responder := issue(t, "responder", 90*day, root, nil, mayDelegate)
	expired := issue(t, "responder", -day, root, nil, mayDelegate)
	impostor := issue(t, "responder", 90*day, root, nil, server)
	foreign := issue(t, "responder", 90*day, stranger, nil, mayDelegate)
	good := ocsp(t, root, root, leaf, "V", "1")
	damaged := bytes.Clone(good)
	damaged[len(damaged)-1] ^= 1
	for name, c := range map[string]struct {
		response []byte
		want     checks.Status
	}{
		"none":                     {nil, checks.Fail},
		"good":                     {good, checks.Pass},
		"delegated":                {ocsp(t, root, responder, leaf, "V", "1"), checks.Pass},
		"expired responder":        {ocsp(t, root, expired, leaf, "V", "1"), checks.Fail},
		"responder without right":  {ocsp(t, root, impostor, leaf, "V", "1"), checks.Fail},
		"responder of another CA":  {ocsp(t, root, foreign, leaf, "V", "1"), checks.Fail},
		"revoked":                  {ocsp(t, root, root, leaf, "R", "1"), checks.Fail},
		"unknown":                  {ocsp(t, root, root, leaf, "", "1"), checks.Fail},
		"without end":              {ocsp(t, root, root, leaf, "V", ""), checks.Fail},
		"for two certificates":     {ocsp(t, root, root, leaf, "V", "1", another), checks.Pass},
		"for another certificate":  {ocsp(t, root, root, another, "V", "1"), checks.Fail},
		"signed by another key":    {ocsp(t, stranger, stranger, leaf, "V", "1"), checks.Fail},
		"signature damaged":        {damaged, checks.Fail},
		"try later":                {[]byte{0x30, 3, 0x0a, 1, 3}, checks.Fail},
		"not a response":           {[]byte("x"), checks.Fail},
		"more than the response":   {append(bytes.Clone(good), 0), checks.Fail},
		"response without content": {[]byte{0x30, 3, 0x0a, 1, 0}, checks.Fail},
	} {
		t.Run(name, func(t *testing.T) {
			cert := chain(leaf)
			cert.OCSPStaple = c.response
			addr := listen(t, &tls.Config{Certificates: []tls.Certificate{cert}}, nil)
			r := want(t, probe.TLS(probe.TLSOptions{Addr: addr, Roots: pool(root)}), c.want)
			if c.want == checks.Pass && r.Evidence["ocsp"] != "good" {
				t.Error(r.Evidence)
			}
		})
	}
	both := []*x509.Certificate{leaf.Certificate, root.Certificate}
	for hours, ok := range map[time.Duration]bool{-2: false, 1: true, 23: true, 25: false} {
		if err := probe.Stapled(good, both, time.Now().Add(hours*time.Hour)); (err == nil) != ok {
			t.Errorf("after %d hours: %v", hours, err)
		}
	}
	t.Run("malformed requirement", func(t *testing.T) {
		malformed := issue(t, "127.0.0.1", 90*day, root, nil, func(c *x509.Certificate) {
			staple(c)
			c.ExtraExtensions[0].Value = []byte{5}
		})
		addr := listen(t, &tls.Config{Certificates: []tls.Certificate{chain(malformed)}}, nil)
		want(t, probe.TLS(probe.TLSOptions{Addr: addr, Roots: pool(root)}), checks.Fail)
	})
	t.Run("not required", func(t *testing.T) {
		addr := listen(t, &tls.Config{Certificates: []tls.Certificate{chain(issue(t, "127.0.0.1", 90*day, root, nil, nil))}}, nil)
		want(t, probe.TLS(probe.TLSOptions{Addr: addr, Roots: pool(root)}), checks.Pass)
	})
}

// ocsp returns the response of a responder of an authority about a certificate, after those
// in before. status is the status in the database of openssl, or empty if the certificate is
// not in it.
func ocsp(t *testing.T, authority, responder, about *issued, status, days string, before ...*issued) []byte {
	t.Helper()
	dir := t.TempDir()
	write := func(name, kind string, der []byte) string {
		path := filepath.Join(dir, name)
		if err := os.WriteFile(path, pem.EncodeToMemory(&pem.Block{Type: kind, Bytes: der}), 0o600); err != nil {
			t.Fatal(err)
		}
		return path
	}
	key, err := x509.MarshalPKCS8PrivateKey(responder.key)
	if err != nil {
		t.Fatal(err)
	}
	index, revoked := "", ""
	if status == "R" {
		revoked = "200101000000Z"
	}
	if status != "" {
		index = fmt.Sprintf("%s\t491231235959Z\t%s\t%02X\tunknown\t/CN=127.0.0.1\n", status, revoked, about.SerialNumber)
	}
	database := filepath.Join(dir, "index.txt")
	if err := os.WriteFile(database, []byte(index), 0o600); err != nil {
		t.Fatal(err)
	}
	out := filepath.Join(dir, "response")
	ca := write("ca", "CERTIFICATE", authority.Raw)
	args := []string{"ocsp", "-index", database, "-CA", ca, "-issuer", ca,
		"-rsigner", write("signer", "CERTIFICATE", responder.Raw), "-rkey", write("key", "PRIVATE KEY", key),
		"-rmd", "sha256", "-no_nonce", "-noverify", "-respout", out}
	for i, c := range append(before, about) {
		args = append(args, "-cert", write(fmt.Sprint(i), "CERTIFICATE", c.Raw))
	}
	if days != "" {
		args = append(args, "-ndays", days)
	}
	if text, err := exec.Command("openssl", args...).CombinedOutput(); err != nil {
		t.Fatalf("openssl %v: %v\n%s", args, err, text)
	}
	response, err := os.ReadFile(out)
	if err != nil {
		t.Fatal(err)
	}
	return response
}
