package main

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"flag"
	"fmt"
	"net"
	"net/http"
	"net/netip"
	"os"
	"strconv"
	"strings"

	"github.com/serin-go/serin/loadtest"
)

// connection has the flags for connections.
type connection struct {
	insecure, http2 bool
	cacert          string
	resolve         list[address]
}

// address is an address to connect to in place of a host and port.
type address struct{ of, to string }

// add adds the flags for connections.
func (o *connection) add(fs *flag.FlagSet) {
	fs.BoolVar(&o.insecure, "insecure", false, "accept any certificate of a server")
	fs.StringVar(&o.cacert, "cacert", "", "accept also certificates of the authorities in this `file`, in PEM")
	o.resolve.parse = parseAddress
	fs.Var(&o.resolve, "resolve", "connect to an address for a host and port, such as `host:443:10.0.0.7`; may be repeated")
	fs.BoolVar(&o.http2, "http2", true, "use HTTP/2 with servers that offer it by TLS")
}

// parseAddress parses host:port:address. IPv6 addresses may be in brackets.
func parseAddress(text string) (address, error) {
	bad := fmt.Errorf("%q, want host:port:address, such as host:443:10.0.0.7", text)
	host, rest, found := strings.Cut(text, ":")
	if strings.HasPrefix(text, "[") {
		host, rest, found = strings.Cut(text[1:], "]:")
	}
	port, to, also := strings.Cut(rest, ":")
	if n, err := strconv.ParseUint(port, 10, 16); !found || !also || host == "" || err != nil || n == 0 {
		return address{}, bad
	}
	if bare, ok := strings.CutPrefix(to, "["); ok {
		if to, ok = strings.CutSuffix(bare, "]"); !ok {
			return address{}, bad
		}
	}
	ip, err := netip.ParseAddr(to)
	if err != nil {
		return address{}, bad
	}
	return address{net.JoinHostPort(strings.ToLower(host), port), net.JoinHostPort(ip.String(), port)}, nil
}

// transport returns the Transport of the flags, or nil if all have their defaults.
func (o *connection) transport(workers int) (http.RoundTripper, error) {
	if !o.insecure && o.http2 && o.cacert == "" && len(o.resolve.values) == 0 {
		return nil, nil
	}
	t := loadtest.NewTransport(workers)
	t.TLSClientConfig = &tls.Config{InsecureSkipVerify: o.insecure}
	if o.cacert != "" {
		pem, err := os.ReadFile(o.cacert)
		if err != nil {
			return nil, fmt.Errorf("-cacert: %w", err)
		}
		pool, err := x509.SystemCertPool()
		if err != nil {
			pool = x509.NewCertPool() // the system has no authorities
		}
		if !pool.AppendCertsFromPEM(pem) {
			return nil, fmt.Errorf("-cacert: %s has no certificate, want PEM", o.cacert)
		}
		t.TLSClientConfig.RootCAs = pool
	}
	if !o.http2 {
		t.ForceAttemptHTTP2, t.Protocols = false, new(http.Protocols)
		t.Protocols.SetHTTP1(true)
	}
	dial := t.DialContext
	t.DialContext = func(ctx context.Context, network, addr string) (net.Conn, error) {
		for _, a := range o.resolve.values {
			if strings.EqualFold(a.of, addr) {
				addr = a.to
				break
			}
		}
		return dial(ctx, network, addr)
	}
	return t, nil
}
