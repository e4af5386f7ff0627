package traffic

import (
	"fmt"
	"net/http"
	"net/netip"
	"slices"
	"strings"

	"github.com/serin-go/serin/checks"
)

// The headers that say where a request came from.
const (
	forwardedFor   = "X-Forwarded-For"
	forwardedHost  = "X-Forwarded-Host"
	forwardedProto = "X-Forwarded-Proto"
	forwardedList  = "Forwarded" // RFC 7239
)

var forwardedNames = [...]string{forwardedFor, forwardedHost, forwardedProto, forwardedList}

// trustedProxies are the addresses whose word about earlier peers is taken.
type trustedProxies []netip.Prefix

// newTrustedProxies returns prefixes in the form in which contain looks addresses up.
func newTrustedProxies(prefixes []netip.Prefix) (t trustedProxies, errs []error) {
	for i, p := range prefixes {
		if !p.IsValid() {
			errs = append(errs, &checks.InvalidError{
				Package: "traffic", Field: fmt.Sprintf("Config.TrustedProxies[%d]", i), Value: p, Want: "an address and the length of its prefix, such as 10.0.0.0/8",
			})
			continue
		}
		if p.Addr().Is4In6() && p.Bits() >= 96 {
			p = netip.PrefixFrom(p.Addr().Unmap(), p.Bits()-96)
		}
		t = append(t, p)
	}
	return t, errs
}

// contain reports whether an address is trusted. The zero Addr is not.
func (t trustedProxies) contain(a netip.Addr) bool {
	for _, p := range t {
		if p.Contains(a) {
			return true
		}
	}
	return false
}

// ClientIP returns the address of the client that a request received by this process
// came from, without a zone, as IPv4 where it is an IPv4-mapped IPv6 address. It is
// the peer of the connection, [http.Request].RemoteAddr, unless [Config].TrustedProxies
// contains that. Then it is the last address in X-Forwarded-For that TrustedProxies
// does not contain, or the first address if it contains all. An entry that is no
// address ends the search: the trusted address behind it is returned. The zero Addr
// means unknown: the peer is a unix socket, or RemoteAddr is empty. ClientIP does not
// look at Forwarded and X-Real-IP.
func (r *Router) ClientIP(req *http.Request) netip.Addr { return r.trusted.client(req) }

func (t trustedProxies) client(req *http.Request) netip.Addr {
	client := peerOf(req.RemoteAddr)
	for _, line := range slices.Backward(req.Header[forwardedFor]) {
		for more := true; more; {
			if !t.contain(client) {
				return client
			}
			entry := line
			if i := strings.LastIndexByte(line, ','); i >= 0 {
				line, entry = line[:i], line[i+1:]
			} else {
				more = false
			}
			before := peerOf(strings.Trim(entry, " \t"))
			if !before.IsValid() {
				return client
			}
			client = before
		}
	}
	return client
}

// peerOf parses an address with or without a port: as [http.Request].RemoteAddr has
// it, or an entry of X-Forwarded-For. It returns the zero Addr if s is neither.
func peerOf(s string) netip.Addr {
	if p, err := netip.ParseAddrPort(s); err == nil {
		return p.Addr().Unmap().WithZone("")
	}
	if inside, ok := strings.CutPrefix(s, "["); ok {
		s, ok = strings.CutSuffix(inside, "]")
		if !ok || !strings.Contains(s, ":") {
			return netip.Addr{}
		}
	}
	a, err := netip.ParseAddr(s)
	if err != nil {
		return netip.Addr{}
	}
	return a.Unmap().WithZone("")
}

// forwarded reports whether a header says where its request came from.
func forwarded(h http.Header) bool {
	for _, name := range forwardedNames {
		if _, ok := h[name]; ok {
			return true
		}
	}
	return false
}

// forward sets in out, a header of its own, where a request came from that was
// received as in. What in says itself is kept if its peer is trusted, and its peer is
// added to the lists. Otherwise it is replaced. Forwarded is sent on only where in has
// it: an element for the peer alone would contradict X-Forwarded-For.
func (t trustedProxies) forward(in *http.Request, out http.Header) {
	peer := peerOf(in.RemoteAddr)
	trusts := t.contain(peer)
	values := new([len(forwardedNames)]string) // in one piece of memory
	proto := "http"
	if in.TLS != nil {
		proto = "https"
	}
	delete(out, forwardedFor)
	if peer.IsValid() {
		values[0] = peer.String()
		if prior := joined(in.Header[forwardedFor]); trusts && prior != "" {
			values[0] = prior + ", " + values[0]
		}
		out[forwardedFor] = values[0:1:1]
	}
	values[1], values[2] = in.Host, proto
	for i := 1; i <= 2; i++ {
		name := forwardedNames[i]
		if prior := in.Header[name]; trusts && joined(prior) != "" {
			out[name] = slices.Clone(prior) // what the client asked for
			continue
		}
		out[name] = values[i : i+1 : i+1]
	}
	prior, has := in.Header[forwardedList]
	if !has {
		delete(out, forwardedList)
		return
	}
	values[3] = forwardedElement(peer, in.Host, proto)
	if prior := joined(prior); trusts && prior != "" && !opensQuote(prior) {
		values[3] = prior + ", " + values[3]
	}
	out[forwardedList] = values[3:]
}

// joined returns the lines of a header that is a list as one.
func joined(lines []string) string {
	if len(lines) == 1 {
		return strings.Trim(lines[0], " \t")
	}
	var filled []string
	for _, line := range lines {
		if line = strings.Trim(line, " \t"); line != "" {
			filled = append(filled, line)
		}
	}
	return strings.Join(filled, ", ")
}

// opensQuote reports whether a list ends within a quoted string (RFC 9110, section
// 5.6.4), which would hide what is added behind it.
func opensQuote(list string) (open bool) {
	for i := 0; i < len(list); i++ {
		switch {
		case list[i] == '"':
			open = !open
		case list[i] == '\\' && open:
			i++
		}
	}
	return open
}

// forwardedElement returns an element of Forwarded (RFC 7239, section 4).
func forwardedElement(peer netip.Addr, host, proto string) string {
	node := "unknown"
	switch {
	case peer.Is4():
		node = peer.String()
	case peer.IsValid():
		node = `"[` + peer.String() + `]"`
	}
	element := "for=" + node
	if headerName(host) {
		element += ";host=" + host
	} else if host != "" {
		element += `;host="` + strings.NewReplacer(`\`, `\\`, `"`, `\"`).Replace(host) + `"`
	}
	return element + ";proto=" + proto
}
