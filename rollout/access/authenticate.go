package access

import (
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"net/http"
	"net/netip"
	"slices"
	"strings"
	"time"

	"github.com/serin-go/serin/checks"
	"github.com/serin-go/serin/rollout"
)

// Authenticator says who sends a request. Its methods are safe for concurrent use.
type Authenticator interface {
	// Authenticate returns the actor of a request. The error is [ErrNoCredentials],
	// [ErrCredentials], or another one if it cannot be known, such as of a store. The actor
	// is zero with every error.
	Authenticate(r *http.Request) (rollout.Actor, error)
}

// The errors of authenticators.
var (
	// ErrNoCredentials means that a request has no credentials of the kind that is looked
	// at.
	ErrNoCredentials = errors.New("access: the request has no credentials")
	// ErrCredentials means that credentials are not valid.
	ErrCredentials = errors.New("access: the credentials are not valid")
)

// HeaderOptions configures [Header].
type HeaderOptions struct {
	// Trusted are the networks of the proxies that set the headers. It is required: from
	// any other address, the headers are not looked at.
	Trusted []netip.Prefix
	// User is the header with the subject of the user. Default X-Forwarded-User. Name is the
	// header with the display name; default: the subject.
	User, Name string
	// Roles is the header with the roles, separated by commas. Default X-Forwarded-Groups.
	Roles string
	// Issuer is the provider at which the proxy authenticates users, such as
	// https://login.example.com. With it, the subject is issuer, "#" and user, as package
	// oidc forms it, so that a person who comes by both ways is one, and users of two
	// providers with the same name are two. Printable ASCII without blanks, up to 200
	// bytes. Empty: the user alone.
	Issuer string
}

// Header returns an [Authenticator] for services behind a proxy that authenticates users,
// such as oauth2-proxy. The proxy must remove these headers from what clients send. A header
// that occurs twice, and a value that cannot be an actor, is [ErrCredentials].
func Header(o HeaderOptions) (Authenticator, error) {
	var errs []error
	bad := func(field string, value any, want string) {
		errs = append(errs, &checks.InvalidError{Package: "access", Field: "HeaderOptions." + field, Value: value, Want: want})
	}
	if len(o.Trusted) == 0 {
		bad("Trusted", "empty", "the networks of the proxies")
	}
	for i, p := range o.Trusted {
		if !p.IsValid() || p.Bits() == 0 || p.Addr().Is4In6() {
			bad(fmt.Sprintf("Trusted[%d]", i), p.String(), "a network such as 10.0.0.0/8, and not all addresses")
		}
	}
	for _, h := range []struct {
		field string
		name  *string
		zero  string
	}{{"User", &o.User, "X-Forwarded-User"}, {"Name", &o.Name, ""}, {"Roles", &o.Roles, "X-Forwarded-Groups"}} {
		if *h.name == "" {
			*h.name = h.zero
		}
		if strings.Trim(*h.name, "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789-") != "" {
			bad(h.field, *h.name, "a header such as X-Forwarded-User")
		}
	}
	if strings.EqualFold(o.User, o.Roles) {
		bad("Roles", o.Roles, "another header than User")
	}
	if len(o.Issuer) > 200 || strings.ContainsFunc(o.Issuer, func(r rune) bool { return r <= ' ' || r > '~' }) {
		bad("Issuer", fmt.Sprintf("%d bytes", len(o.Issuer)), "up to 200 bytes of printable ASCII without blanks")
	}
	if len(errs) > 0 {
		return nil, errors.Join(errs...)
	}
	o.Trusted = slices.Clone(o.Trusted)
	return &header{o}, nil
}

type header struct{ HeaderOptions }

// Authenticate implements [Authenticator].
func (h *header) Authenticate(r *http.Request) (rollout.Actor, error) {
	from, err := netip.ParseAddrPort(r.RemoteAddr)
	if err != nil || !slices.ContainsFunc(h.Trusted, func(p netip.Prefix) bool { return p.Contains(from.Addr().Unmap()) }) {
		return rollout.Actor{}, ErrNoCredentials
	}
	var values [3]string
	for i, name := range []string{h.User, h.Name, h.Roles} {
		if name == "" {
			continue
		}
		all := r.Header.Values(name)
		if len(all) > 1 {
			return rollout.Actor{}, fmt.Errorf("%w: the header %s occurs %d times", ErrCredentials, name, len(all))
		}
		if len(all) == 1 {
			values[i] = all[0]
		}
	}
	if values[0] == "" {
		return rollout.Actor{}, ErrNoCredentials
	}
	by := rollout.Actor{Subject: values[0], Name: values[1]}
	if by.Name == "" {
		by.Name = by.Subject
	}
	if h.Issuer != "" {
		by.Subject = h.Issuer + "#" + by.Subject
	}
	for role := range strings.SplitSeq(values[2], ",") {
		if role = strings.TrimSpace(role); role != "" {
			by.Roles = append(by.Roles, role)
		}
	}
	if err := by.Validate(); err != nil {
		return rollout.Actor{}, fmt.Errorf("%w: %w", ErrCredentials, err)
	}
	return by, nil
}

// Token is a bearer token of a program.
type Token struct {
	// Digest is "sha256:" and the SHA-256 of the token in hexadecimal digits, so that a
	// configuration does not hold the token. Make tokens of at least 128 random bits.
	Digest string
	// Actor is who the token stands for.
	Actor rollout.Actor
	// Until is when the token ends. It is required.
	Until time.Time
}

// Bearer returns an [Authenticator] for bearer tokens (RFC 6750) in the header
// Authorization. A token that is not known, or has ended, is [ErrCredentials].
func Bearer(tokens ...Token) (Authenticator, error) {
	b := &bearer{tokens: make(map[[sha256.Size]byte]Token)}
	var errs []error
	for i, t := range tokens {
		field := fmt.Sprintf("tokens[%d].", i)
		digits, ok := strings.CutPrefix(t.Digest, "sha256:")
		raw, err := hex.DecodeString(digits)
		_, twice := b.tokens[[sha256.Size]byte(append(raw, make([]byte, sha256.Size)...))]
		if !ok || err != nil || len(raw) != sha256.Size || twice || [sha256.Size]byte(raw) == sha256.Sum256(nil) {
			errs = append(errs, &checks.InvalidError{Package: "access", Field: field + "Digest", Value: fmt.Sprintf("%d characters", len(t.Digest)), Want: "sha256: and 64 hexadecimal digits, different for each token, and not of an empty token"})
			continue
		}
		if t.Until.IsZero() {
			errs = append(errs, &checks.InvalidError{Package: "access", Field: field + "Until", Value: t.Until, Want: "the end of the token"})
		}
		errs = append(errs, checks.Within(t.Actor.Validate(), "access", "Actor", field+"Actor"))
		t.Actor.Roles = slices.Clone(t.Actor.Roles)
		b.tokens[[sha256.Size]byte(raw)] = t
	}
	if err := errors.Join(errs...); err != nil {
		return nil, err
	}
	return b, nil
}

// bearer finds a token by its digest: what takes how long says nothing about the token.
type bearer struct{ tokens map[[sha256.Size]byte]Token }

// Authenticate implements [Authenticator].
func (b *bearer) Authenticate(r *http.Request) (rollout.Actor, error) {
	all := r.Header.Values("Authorization")
	if len(all) == 0 {
		return rollout.Actor{}, ErrNoCredentials
	}
	scheme, token, ok := strings.Cut(all[0], " ")
	switch {
	case len(all) > 1:
		return rollout.Actor{}, fmt.Errorf("%w: the header Authorization occurs %d times", ErrCredentials, len(all))
	case !strings.EqualFold(scheme, "Bearer"):
		return rollout.Actor{}, ErrNoCredentials
	case !ok:
		return rollout.Actor{}, ErrCredentials
	}
	t, ok := b.tokens[sha256.Sum256([]byte(strings.Trim(token, " ")))]
	if !ok || !time.Now().Before(t.Until) {
		return rollout.Actor{}, ErrCredentials
	}
	by := t.Actor
	by.Roles = slices.Clone(by.Roles)
	return by, nil
}

// First returns an [Authenticator] that asks each of list until one finds credentials.
// Credentials that are not valid end the search.
func First(list ...Authenticator) Authenticator { return first(slices.Clone(list)) }

type first []Authenticator

// Authenticate implements [Authenticator].
func (f first) Authenticate(r *http.Request) (rollout.Actor, error) {
	for _, a := range f {
		if a == nil {
			continue
		}
		by, err := a.Authenticate(r)
		if err == nil {
			return by, nil
		}
		if !errors.Is(err, ErrNoCredentials) {
			return rollout.Actor{}, err
		}
	}
	return rollout.Actor{}, ErrNoCredentials
}
