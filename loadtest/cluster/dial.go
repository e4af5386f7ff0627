package cluster

import (
	"context"
	"crypto/tls"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptrace"
	"net/url"
	"strings"

	"github.com/serin-go/serin/checks"
)

// Dial connects to the coordinator at a URL such as https://coordinator:8443, whose
// server has its handler at the path of the URL, for [Worker.Join]. cfg has the worker's
// certificate and the authorities that it trusts. Dial verifies the certificate of the
// coordinator, whatever cfg says. HTTPS_PROXY and NO_PROXY in the environment are used.
func Dial(ctx context.Context, coordinator string, cfg *tls.Config) (net.Conn, error) {
	u, err := url.Parse(coordinator)
	if err != nil || u.Scheme != "https" || u.Host == "" {
		return nil, &checks.InvalidError{Package: "cluster", Field: "coordinator", Value: coordinator, Want: "a URL such as https://coordinator:8443"}
	}
	if cfg == nil || len(cfg.Certificates) == 0 && cfg.GetClientCertificate == nil {
		return nil, &checks.InvalidError{Package: "cluster", Field: "Certificates", Value: "[]", Want: "the certificate of the worker"}
	}
	cfg = cfg.Clone()
	cfg.InsecureSkipVerify, cfg.NextProtos = false, []string{"http/1.1"} // HTTP/2 has no upgrades
	transport := &http.Transport{Proxy: http.ProxyFromEnvironment, TLSClientConfig: cfg}
	defer transport.CloseIdleConnections() // after a refusal
	var conn net.Conn
	traced := httptrace.WithClientTrace(ctx, &httptrace.ClientTrace{GotConn: func(got httptrace.GotConnInfo) { conn = got.Conn }})
	r, err := http.NewRequestWithContext(traced, http.MethodGet, strings.TrimRight(coordinator, "/")+joinPath, nil)
	if err != nil {
		return nil, err
	}
	r.Header.Set("Connection", "Upgrade")
	r.Header.Set("Upgrade", protocolName)
	setVersion(r.Header)
	resp, err := transport.RoundTrip(r)
	if err != nil {
		return nil, fmt.Errorf("cluster: coordinator %s: %w", coordinator, err)
	}
	stream, ok := resp.Body.(io.ReadWriteCloser)
	if resp.StatusCode != http.StatusSwitchingProtocols || !ok {
		defer drain(resp.Body)
		return nil, &refusedError{peer: "coordinator " + coordinator, status: resp.StatusCode, why: reasonOf(resp.Body)}
	}
	return &upgraded{tlsConn{conn}, stream}, nil
}

// upgraded is a connection whose HTTP response has ended.
type upgraded struct {
	tlsConn // for deadlines, addresses and the state of TLS
	stream  io.ReadWriteCloser
}

func (u *upgraded) Read(b []byte) (int, error)  { return u.stream.Read(b) }
func (u *upgraded) Write(b []byte) (int, error) { return u.stream.Write(b) }
func (u *upgraded) Close() error                { return u.stream.Close() }

// tlsConn is a connection whose state of TLS can be read through the types that embed it.
type tlsConn struct{ net.Conn }

func (c tlsConn) ConnectionState() tls.ConnectionState {
	if state := tlsState(c.Conn); state != nil {
		return *state
	}
	return tls.ConnectionState{}
}
