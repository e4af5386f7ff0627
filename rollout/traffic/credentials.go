package traffic

import (
	"fmt"
	"maps"
	"net"
	"net/http"
	"net/netip"
	"net/url"
	"slices"
	"strings"

	"github.com/serin-go/serin/checks"
)

// Credentials says whether the credentials of callers are sent on to an arm.
type Credentials uint8

const (
	// Auto sends them on to an arm with the scheme and the host of the baseline, and
	// where both hosts are private: loopback, RFC 1918 and RFC 4193 addresses, names
	// of one label, and names in .local, .internal, .svc and .cluster.local. All
	// other arms get none. Copies for mirrors get none.
	Auto Credentials = iota
	// Pass sends them on. New refuses it for an arm at another public host than the
	// baseline: that would send the key of one vendor to another. Give such an arm a
	// credential of its own in [Backend].Header.
	Pass
	// Drop does not send them on.
	Drop
)

// credentialHeaders are the headers that hold a caller's credentials, in canonical
// spelling.
var credentialHeaders = []string{
	"Authorization", "Proxy-Authorization", "Cookie", "Cookie2", "X-Api-Key", "Api-Key", "X-Goog-Api-Key", "Ocp-Apim-Subscription-Key",
	"X-Amz-Security-Token", "X-Forwarded-Access-Token", "Openai-Organization", "Openai-Project",
}

// dropCredentials removes the credentials of a caller from a header.
func dropCredentials(h http.Header) {
	for _, name := range credentialHeaders {
		delete(h, name)
	}
}

// dropKey returns a query without its member "key", which is how Google's
// interfaces take an API key. It leaves everything else as it is.
func dropKey(query string) string {
	if !strings.Contains(query, "key") && !strings.Contains(query, "%") {
		return query
	}
	kept := make([]string, 0, 4)
	for pair := range strings.SplitSeq(query, "&") {
		name, _, _ := strings.Cut(pair, "=")
		if plain, err := url.QueryUnescape(name); err == nil && plain == "key" {
			continue
		}
		kept = append(kept, pair)
	}
	return strings.Join(kept, "&")
}

// passes reports whether a caller's credentials are sent on to an arm at the given
// address, beside a baseline at another; either is nil if it is a handler of the
// same process.
func (c Credentials) passes(arm, baseline *url.URL, mirror bool) bool {
	switch c {
	case Pass:
		return true
	case Auto:
		switch {
		case mirror:
			return false
		case arm == nil:
			return true // it does not leave the process here
		case baseline == nil:
			return private(arm.Hostname())
		}
		return arm.Scheme == baseline.Scheme && strings.EqualFold(arm.Host, baseline.Host) ||
			private(arm.Hostname()) && private(baseline.Hostname())
	}
	return false
}

// dress makes the header of a request, which is its own, what an arm is to be sent:
// without what is between the caller and the router, without credentials that are
// not for the arm, and with the arm's own header. mirror reports whether it is a
// copy.
func (r *Router) dress(a *arm, out *http.Request, mirror bool) {
	dropOwn(out.Header)
	var baseline *url.URL
	if base := r.table.Load().baseline(); base != nil {
		baseline = base.address()
	}
	a.dropBaggage(out.Header, baseline)
	if a.ownCredential || !a.backend.Credentials.passes(a.address(), baseline, mirror) {
		dropCredentials(out.Header)
		if query := dropKey(out.URL.RawQuery); query != out.URL.RawQuery {
			u := *out.URL
			u.RawQuery = query
			out.URL = &u
		}
	}
	for name, values := range a.backend.Header {
		if len(values) == 0 || len(values) == 1 && values[0] == "" {
			delete(out.Header, name)
		} else {
			out.Header[name] = values
		}
	}
	if mirror {
		out.Header[MirrorHeader] = []string{"1"}
	}
}

// validateCredentials reports the arms that would be sent credentials for another
// vendor.
func (r *Router) validateCredentials(baseline string) (errs []error) {
	base := r.arms[baseline]
	for _, name := range slices.Sorted(maps.Keys(r.arms)) {
		a := r.arms[name]
		if base == nil || a.backend.Credentials != Pass || a.ownCredential || a.address() == nil || base.address() == nil || private(a.address().Hostname()) {
			continue
		}
		if !Auto.passes(a.address(), base.address(), false) {
			errs = append(errs, &checks.InvalidError{
				Package: "traffic", Field: fmt.Sprintf("Config.Arms[%q].Credentials", name), Value: "Pass",
				Want: fmt.Sprintf("Auto or Drop, or a credential in Header: the baseline %q is at another host", baseline),
			})
		}
	}
	return errs
}

// address returns where an arm is, nil if it is a handler of this process.
func (a *arm) address() *url.URL {
	if a.upstream == nil {
		return nil
	}
	return a.upstream.base
}

// private reports whether a host is one of the operator's own.
func private(host string) bool {
	if addr, err := netip.ParseAddr(host); err == nil {
		addr = addr.Unmap()
		return addr.IsLoopback() || addr.IsPrivate()
	}
	host = strings.ToLower(strings.TrimSuffix(host, "."))
	if host == "" || net.ParseIP(host) != nil {
		return false
	}
	if !strings.Contains(host, ".") {
		return true
	}
	for _, zone := range []string{".local", ".localhost", ".internal", ".svc", ".cluster.local"} {
		if strings.HasSuffix(host, zone) {
			return true
		}
	}
	return false
}

// ownPrefix begins the names of headers that are the router's own.
const ownPrefix = "Serin-"

// dropOwn removes the router's own headers from the header of a request to a backend
// or of a backend's answer.
func dropOwn(h http.Header) {
	for name := range h {
		if len(name) > len(ownPrefix) && strings.EqualFold(name[:len(ownPrefix)], ownPrefix) {
			delete(h, name)
		}
	}
}

// dropForeign removes headers of a backend's answer that are the router's to set. A
// transport of the configuration, such as a cache, may say that the answer is its
// own. An [http.Transport] passes on what a server says.
func dropForeign(h http.Header, a *arm) {
	var cached []string
	_, plain := a.backend.Transport.(*http.Transport)
	if a.backend.Transport != nil && !plain || a.own {
		cached = h[CacheHeader]
	}
	dropOwn(h)
	if cached != nil {
		h[CacheHeader] = cached
	}
}
