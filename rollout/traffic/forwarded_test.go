package traffic_test

import (
	"crypto/tls"
	"errors"
	"fmt"
	"net/http"
	"net/http/httptest"
	"net/netip"
	"slices"
	"strings"
	"testing"

	"github.com/sethvargo/go-envconfig"

	"github.com/serin-go/serin/checks"
	"github.com/serin-go/serin/rollout/traffic"
	"github.com/serin-go/serin/strategies"
)

// proxies are the trusted ones of these tests.
var proxies = []netip.Prefix{
	netip.MustParsePrefix("10.0.0.0/8"), netip.MustParsePrefix("fd00::/8"), netip.MustParsePrefix("fe80::/10"),
	netip.MustParsePrefix("::ffff:172.16.0.0/108"),
}

// cameFrom is a header of a request that was sent on, and where it came from.
type cameFrom map[string][]string

// fromProxy returns a request that a peer sends with some header.
func fromProxy(peer string, header cameFrom) *http.Request {
	req := httptest.NewRequest("POST", "http://gateway"+chat, strings.NewReader(`{"messages":[]}`))
	req.RemoteAddr = peer
	for name, values := range header {
		req.Header[name] = values
	}
	return req
}

// TestForwardedHeaders: what a stranger says about earlier peers goes no further,
// what a trusted proxy says does.
func TestForwardedHeaders(t *testing.T) {
	const (
		xff, host, proto, list = "X-Forwarded-For", "X-Forwarded-Host", "X-Forwarded-Proto", "Forwarded"
	)
	forged := cameFrom{xff: {"1.1.1.1", "2.2.2.2"}, host: {"evil"}, proto: {"https"}, list: {`for=1.1.1.1;host=evil`, `for=2.2.2.2`}}
	for name, tt := range map[string]struct {
		peer      string
		tls       bool
		in, want  cameFrom
		untrusted bool // there are no trusted proxies
	}{
		"a stranger": {peer: "192.0.2.1:9", in: forged,
			want: cameFrom{xff: {"192.0.2.1"}, host: {"gateway"}, proto: {"http"}, list: {"for=192.0.2.1;host=gateway;proto=http"}}},
		"a stranger by IPv6": {peer: "[2001:db8::1]:9", tls: true, in: forged,
			want: cameFrom{xff: {"2001:db8::1"}, host: {"gateway"}, proto: {"https"}, list: {`for="[2001:db8::1]";host=gateway;proto=https`}}},
		"a stranger who says nothing": {peer: "192.0.2.1:9", want: cameFrom{xff: {"192.0.2.1"}, host: {"gateway"}, proto: {"http"}}},
		"no trusted proxies": {peer: "10.0.0.1:9", untrusted: true, in: forged,
			want: cameFrom{xff: {"10.0.0.1"}, host: {"gateway"}, proto: {"http"}, list: {"for=10.0.0.1;host=gateway;proto=http"}}},
		"a trusted proxy": {peer: "10.0.0.1:9", in: forged,
			want: cameFrom{xff: {"1.1.1.1, 2.2.2.2, 10.0.0.1"}, host: {"evil"}, proto: {"https"},
				list: {"for=1.1.1.1;host=evil, for=2.2.2.2, for=10.0.0.1;host=gateway;proto=http"}}},
		"a trusted proxy by IPv6": {peer: "[fe80::1%eth0]:9", in: cameFrom{xff: {"1.1.1.1"}},
			want: cameFrom{xff: {"1.1.1.1, fe80::1"}, host: {"gateway"}, proto: {"http"}}},
		"a trusted proxy, mapped": {peer: "[::ffff:172.16.0.1]:9", in: cameFrom{xff: {"1.1.1.1"}},
			want: cameFrom{xff: {"1.1.1.1, 172.16.0.1"}, host: {"gateway"}, proto: {"http"}}},
		"a trusted proxy that says nothing": {peer: "10.0.0.1:9", tls: true, want: cameFrom{xff: {"10.0.0.1"}, host: {"gateway"}, proto: {"https"}}},
		"a trusted proxy that says empty lines": {peer: "10.0.0.1:9", in: cameFrom{xff: {"", ""}, host: {""}, proto: {""}, list: {""}},
			want: cameFrom{xff: {"10.0.0.1"}, host: {"gateway"}, proto: {"http"}, list: {"for=10.0.0.1;host=gateway;proto=http"}}},
		"a trusted proxy that says garbage": {peer: "10.0.0.1:9", in: cameFrom{xff: {`"; drop`}}, want: cameFrom{xff: {`"; drop, 10.0.0.1`}, host: {"gateway"}, proto: {"http"}}},
		"a trusted proxy that says an open quote": {peer: "10.0.0.1:9", in: cameFrom{list: {`for=1.1.1.1;host="x\"`}},
			want: cameFrom{xff: {"10.0.0.1"}, host: {"gateway"}, proto: {"http"}, list: {"for=10.0.0.1;host=gateway;proto=http"}}},
		"a trusted proxy that quotes": {peer: "10.0.0.1:9", in: cameFrom{list: {`for="1.1.1.1:1";host="x\"\\"`}},
			want: cameFrom{xff: {"10.0.0.1"}, host: {"gateway"}, proto: {"http"}, list: {`for="1.1.1.1:1";host="x\"\\", for=10.0.0.1;host=gateway;proto=http`}}},
		"a unix socket": {peer: "@", in: forged, want: cameFrom{host: {"gateway"}, proto: {"http"}, list: {"for=unknown;host=gateway;proto=http"}}},
		"no peer":       {in: forged, want: cameFrom{host: {"gateway"}, proto: {"http"}, list: {"for=unknown;host=gateway;proto=http"}}},
	} {
		for _, shape := range []string{"proxied", "own handler", "own Proxy", "copy", "copy to an own handler", "copy to an own Proxy"} {
			server := &seen{}
			url := serve(t, server.ServeHTTP)
			var b traffic.Backend
			switch {
			case strings.HasSuffix(shape, "own handler"):
				b.Handler = server
			case strings.HasSuffix(shape, "own Proxy"):
				proxy, err := traffic.Proxy(url)
				if err != nil {
					t.Fatal(err)
				}
				b.Handler = proxy
			default:
				b.URL = url
			}
			r, _ := newRouter(t, unreachable(t), "", func(c *traffic.Config) {
				c.Arms["new"] = b
				if strings.HasPrefix(shape, "copy") {
					c.Arms["old"], c.Split = traffic.Backend{Handler: http.HandlerFunc(good)}, mirrored(strategies.Full)
				}
				if !tt.untrusted {
					c.TrustedProxies = proxies
				}
			})
			req := fromProxy(tt.peer, tt.in)
			if tt.tls {
				req.TLS = &tls.ConnectionState{}
			}
			before := req.Header.Clone()
			r.ServeHTTP(httptest.NewRecorder(), req)
			waitFor(t, func() bool { return server.count() == 1 })
			got, _ := server.last(t)
			for _, h := range []string{xff, host, proto, list} {
				if !slices.Equal(got.Header[h], tt.want[h]) {
					t.Errorf("%s, %s: %s is %q, want %q", name, shape, h, got.Header[h], tt.want[h])
				}
				if !slices.Equal(req.Header[h], before[h]) {
					t.Errorf("%s, %s: the caller's %s was changed to %q", name, shape, h, req.Header[h])
				}
			}
		}
		// A service that sends requests itself says what it likes.
		server := &seen{}
		r, _ := newRouter(t, unreachable(t), serve(t, server.ServeHTTP), func(c *traffic.Config) { c.TrustedProxies = proxies })
		exchangeIn(t, r, "transport", fromProxy(tt.peer, tt.in))
		got, _ := server.last(t)
		for _, h := range []string{xff, host, proto, list} {
			if !slices.Equal(got.Header[h], tt.in[h]) {
				t.Errorf("%s, transport: %s is %q, want %q", name, h, got.Header[h], tt.in[h])
			}
		}
	}
}

// TestOwnHandlersWithoutProxies: without trusted proxies, and without anything to
// replace, a handler gets the header as it came.
func TestOwnHandlersWithoutProxies(t *testing.T) {
	server := &seen{}
	r, _ := newRouter(t, unreachable(t), "", func(c *traffic.Config) { c.Arms["new"] = traffic.Backend{Handler: server} })
	r.ServeHTTP(httptest.NewRecorder(), fromProxy("192.0.2.1:9", nil))
	if got, _ := server.last(t); got.Header["X-Forwarded-For"] != nil || got.RemoteAddr != "192.0.2.1:9" {
		t.Errorf("%v from %s", got.Header, got.RemoteAddr)
	}
}

func TestClientIP(t *testing.T) {
	for name, tt := range map[string]struct {
		peer  string
		lines []string
		want  string // "" is the zero Addr
	}{
		"a stranger":                     {"192.0.2.1:9", nil, "192.0.2.1"},
		"a stranger who forges":          {"192.0.2.1:9", []string{"1.1.1.1"}, "192.0.2.1"},
		"a stranger who forges a proxy":  {"192.0.2.1:9", []string{"1.1.1.1, 10.0.0.1"}, "192.0.2.1"},
		"a proxy":                        {"10.0.0.1:9", []string{"1.1.1.1"}, "1.1.1.1"},
		"a client who forges":            {"10.0.0.1:9", []string{"8.8.8.8, 1.1.1.1"}, "1.1.1.1"},
		"a client who forges lines":      {"10.0.0.1:9", []string{"8.8.8.8", "10.0.0.9, 1.1.1.1"}, "1.1.1.1"},
		"two proxies":                    {"10.0.0.1:9", []string{"8.8.8.8,1.1.1.1,10.0.0.2"}, "1.1.1.1"},
		"two proxies in lines":           {"10.0.0.1:9", []string{"8.8.8.8", "1.1.1.1", "10.0.0.2"}, "1.1.1.1"},
		"proxies alone":                  {"10.0.0.1:9", []string{"10.0.0.3, fd00::2"}, "10.0.0.3"},
		"a proxy that says nothing":      {"10.0.0.1:9", nil, "10.0.0.1"},
		"a proxy that says an empty one": {"10.0.0.1:9", []string{""}, "10.0.0.1"},
		"garbage":                        {"10.0.0.1:9", []string{"x"}, "10.0.0.1"},
		"garbage behind a client":        {"10.0.0.1:9", []string{"1.1.1.1, unknown"}, "10.0.0.1"},
		"garbage behind a proxy":         {"10.0.0.1:9", []string{"1.1.1.1, x, 10.0.0.2"}, "10.0.0.2"},
		"garbage before a client":        {"10.0.0.1:9", []string{"x, 1.1.1.1"}, "1.1.1.1"},
		"an empty entry":                 {"10.0.0.1:9", []string{"1.1.1.1,,10.0.0.2"}, "10.0.0.2"},
		"a range":                        {"10.0.0.1:9", []string{"1.1.1.0/24"}, "10.0.0.1"},
		"leading zeros":                  {"10.0.0.1:9", []string{"1.1.1.01"}, "10.0.0.1"},
		"an entry with a port":           {"10.0.0.1:9", []string{"1.1.1.1:4711, 10.0.0.2:80"}, "1.1.1.1"},
		"IPv6 with a port":               {"[fd00::1]:9", []string{"[2001:db8::1]:4711"}, "2001:db8::1"},
		"IPv6 in brackets":               {"[fd00::1]:9", []string{"[2001:db8::1]"}, "2001:db8::1"},
		"IPv6":                           {"[fd00::1]:9", []string{"2001:db8::1"}, "2001:db8::1"},
		"IPv4 in brackets":               {"[fd00::1]:9", []string{"[1.1.1.1]"}, "fd00::1"},
		"half a bracket":                 {"[fd00::1]:9", []string{"[2001:db8::1"}, "fd00::1"},
		"tabs and spaces":                {"10.0.0.1:9", []string{"\t 1.1.1.1 \t,\t10.0.0.2 "}, "1.1.1.1"},
		"mapped":                         {"[::ffff:10.0.0.1]:9", []string{"::ffff:1.1.1.1, ::ffff:172.16.3.4"}, "1.1.1.1"},
		"a mapped stranger":              {"[::ffff:192.0.2.1]:9", nil, "192.0.2.1"},
		"a zone":                         {"[fe80::1%eth0]:9", []string{"fe80::2%x, fe80::3%y"}, "fe80::2"},
		"a stranger with a zone":         {"[2001:db8::1%eth0]:9", nil, "2001:db8::1"},
		"without a port":                 {"192.0.2.1", nil, "192.0.2.1"},
		"IPv6 without a port":            {"2001:db8::1", nil, "2001:db8::1"},
		"a unix socket":                  {"@", []string{"1.1.1.1"}, ""},
		"a unix socket with a path":      {"/run/gateway.sock", []string{"1.1.1.1"}, ""},
		"no peer":                        {"", []string{"1.1.1.1"}, ""},
		"a port alone":                   {":9", []string{"1.1.1.1"}, ""},
		"a name":                         {"localhost:9", nil, ""},
	} {
		r, _ := newRouter(t, "http://a", "http://b", func(c *traffic.Config) { c.TrustedProxies = proxies })
		got := r.ClientIP(fromProxy(tt.peer, cameFrom{"X-Forwarded-For": tt.lines, "X-Real-Ip": {"9.9.9.9"}, "Forwarded": {"for=9.9.9.9"}}))
		want := netip.Addr{}
		if tt.want != "" {
			want = netip.MustParseAddr(tt.want)
		}
		if got != want {
			t.Errorf("%s: %v, want %v", name, got, want)
		}
	}
	r, _ := newRouter(t, "http://a", "http://b", nil)
	if got := r.ClientIP(fromProxy("10.0.0.1:9", cameFrom{"X-Forwarded-For": {"1.1.1.1"}})); got != netip.MustParseAddr("10.0.0.1") {
		t.Errorf("without trusted proxies: %v", got)
	}
}

func TestTrustedProxiesOfAConfig(t *testing.T) {
	var cfg struct {
		TrustedProxies []netip.Prefix `env:"TRUSTED_PROXIES"`
	}
	err := envconfig.ProcessWith(t.Context(), &envconfig.Config{
		Target: &cfg, Lookuper: envconfig.MapLookuper(map[string]string{"TRUSTED_PROXIES": "10.0.0.0/8,fd00::/8"}),
	})
	if err != nil || fmt.Sprint(cfg.TrustedProxies) != "[10.0.0.0/8 fd00::/8]" {
		t.Errorf("%v, %v", cfg.TrustedProxies, err)
	}
	_, err = traffic.New(traffic.Config{
		Arms: map[string]traffic.Backend{"a": {URL: "http://a"}}, TrustedProxies: []netip.Prefix{proxies[0], {}, netip.PrefixFrom(netip.MustParseAddr("10.0.0.1"), 33)},
	})
	for i := 1; i <= 2; i++ {
		if want := fmt.Sprintf("Config.TrustedProxies[%d]", i); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%v, want %s", err, want)
		}
	}
	var invalid *checks.InvalidError
	if !errors.As(err, &invalid) || invalid.Field != "Config.TrustedProxies[1]" {
		t.Errorf("%v", err)
	}
}

func FuzzClientIP(f *testing.F) {
	f.Add("10.0.0.1:9", "1.1.1.1, 10.0.0.2", "fd00::1")
	f.Add("[fe80::1%eth0]:9", "[::1]:9,,x", "")
	r, _ := newRouter(f, "http://a", "http://b", func(c *traffic.Config) { c.TrustedProxies = proxies })
	trusted := func(a netip.Addr) bool {
		return slices.ContainsFunc(proxies, func(p netip.Prefix) bool {
			return p.Contains(a) || a.Is4() && p.Addr().Is4In6() && p.Contains(netip.AddrFrom16(a.As16()))
		})
	}
	f.Fuzz(func(t *testing.T, peer, one, two string) {
		got := r.ClientIP(&http.Request{RemoteAddr: peer, Header: http.Header{"X-Forwarded-For": {one, two}}})
		direct := r.ClientIP(&http.Request{RemoteAddr: peer})
		if got.Zone() != "" || got.Is4In6() || !trusted(direct) && got != direct || direct.IsValid() && !got.IsValid() {
			t.Fatalf("%q, %q, %q: %v", peer, one, two, got)
		}
	})
}
