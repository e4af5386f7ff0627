// Package guard decides what pages and API of the console have in common: whether a request is
// of this machine, whether it may come from a page of another origin, and what it may do.
//
// It needs only the standard library and package rollout.
package guard

import (
	"context"
	"errors"
	"net"
	"net/http"
	"net/netip"
	"strings"

	"github.com/serin-go/serin/rollout"
)

// Read is the action of reading, which needs no policy.
const Read rollout.Action = "read"

// The reasons of denials without a policy.
var (
	errUnsigned = errors.New("the caller has not signed in")
	errNoPolicy = errors.New("the console has no policy, so it only reads")
)

// May returns why a caller may not do something to a target, or nil. signed reports whether
// the caller has signed in; one who has not is this machine. Without a policy there is only
// reading.
func May(ctx context.Context, policy rollout.Authorizer, by rollout.Actor, signed bool, what rollout.Action, target string) error {
	switch {
	case !signed && what == Read:
		return nil // this machine
	case !signed:
		return errUnsigned
	case policy != nil:
		return policy(ctx, by, what, target)
	case what == Read:
		return nil
	}
	return errNoPolicy
}

// Local reports whether a request comes from this machine, by a name of this machine, and
// through no proxy that says so. The Host keeps pages of other sites from reading by a name
// that they have pointed to this machine.
func Local(r *http.Request) bool {
	from, err := netip.ParseAddrPort(r.RemoteAddr)
	if err != nil || !from.Addr().Unmap().IsLoopback() {
		return false
	}
	for _, h := range []string{"Forwarded", "X-Forwarded-For", "X-Forwarded-Host", "X-Real-Ip", "Via"} {
		if r.Header.Get(h) != "" {
			return false
		}
	}
	host := r.Host
	if h, _, err := net.SplitHostPort(host); err == nil {
		host = h
	}
	addr, err := netip.ParseAddr(strings.Trim(host, "[]"))
	return strings.EqualFold(host, "localhost") || err == nil && addr.IsLoopback()
}

// SameOrigin returns why a request with an effect may come from a page of another origin, or
// nil. It is stricter than p: a request with a cookie has to say where it comes from, unless it
// has a bearer token, which no browser adds by itself, as it does Basic.
func SameOrigin(p *http.CrossOriginProtection, r *http.Request) error {
	if err := p.Check(r); err != nil {
		return err
	}
	scheme, _, _ := strings.Cut(r.Header.Get("Authorization"), " ")
	if r.Header.Get("Cookie") != "" && !strings.EqualFold(scheme, "Bearer") && r.Header.Get("Sec-Fetch-Site") == "" && r.Header.Get("Origin") == "" {
		return errors.New("a request with a cookie needs Sec-Fetch-Site or Origin")
	}
	return nil
}
