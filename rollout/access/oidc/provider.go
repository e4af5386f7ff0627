package oidc

import (
	"context"
	"crypto/cipher"
	"errors"
	"fmt"
	"net"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"sync"
	"time"

	gooidc "github.com/coreos/go-oidc/v3/oidc"
	"golang.org/x/oauth2"

	"github.com/serin-go/serin/checks"
	"github.com/serin-go/serin/internal/visible"
)

// Config configures a [Provider]. The tags are for go-envconfig.
type Config struct {
	// Issuer is the URL of the provider: its metadata are at
	// /.well-known/openid-configuration below it. It is required, and https, except on the
	// loopback interface.
	Issuer string `env:"ISSUER"`
	// ClientID is what the provider knows this service by. It is required.
	ClientID string `env:"CLIENT_ID"`
	// ClientSecret is the secret of the client. A public client has none.
	ClientSecret string `env:"CLIENT_SECRET"`
	// RedirectURL is the URL of the handler that calls [Provider.Finish], as the provider
	// knows it. It is required, except where only [Provider.Authenticate] is used.
	RedirectURL string `env:"REDIRECT_URL"`
	// Scopes are asked for beside openid. Default: profile, email, groups. An empty list that
	// is not nil asks for nothing else.
	Scopes []string `env:"SCOPES"`
	// RolesClaim is the claim of the ID token that has the roles, as a list or as one
	// string. Default groups. A token without it has no roles.
	RolesClaim string `env:"ROLES_CLAIM"`
	// Proofs are the values of the claim amr (RFC 8176) that mean a second factor, such as
	// mfa, otp or hwk. A token with one of them proves it at its auth_time; see
	// [rollout.Actor.Proved]. Default: none, so that no sign-in proves a second factor.
	Proofs []string `env:"PROOFS"`
	// Key seals what the browser keeps between [Provider.SignIn] and [Provider.Finish]: 32
	// random bytes. Processes that serve the same URL need the same key. If nil, a random key
	// is made.
	Key []byte `env:"KEY"`
	// Client calls the provider. Default: a client with a limit of 10 s.
	Client *http.Client `env:", noinit"`
}

// keySize is the size of [Config.Key] in bytes.
const keySize = 32

// Validate reports everything that is wrong with c, joined; each problem is a
// [*checks.InvalidError].
func (c Config) Validate() error {
	var errs []error
	bad := func(field string, value any, want string) {
		errs = append(errs, &checks.InvalidError{Package: "oidc", Field: "Config." + field, Value: value, Want: want})
	}
	if u, ok := httpsURL(c.Issuer); !ok || u.RawQuery != "" || u.Fragment != "" {
		bad("Issuer", hidden(c.Issuer), "an https URL without user, query and fragment, or an http URL of the loopback interface")
	}
	if c.ClientID == "" {
		bad("ClientID", c.ClientID, "the ID of this client")
	}
	if u, ok := httpsURL(c.RedirectURL); c.RedirectURL != "" && (!ok || u.Fragment != "") {
		bad("RedirectURL", hidden(c.RedirectURL), "an https URL without user and fragment, or an http URL of the loopback interface")
	}
	for _, list := range []struct {
		field  string
		values []string
	}{{"Scopes", c.Scopes}, {"Proofs", c.Proofs}} {
		for i, v := range list.values {
			if v == "" || strings.ContainsFunc(v, func(r rune) bool { return r <= ' ' || r > '~' || r == '"' || r == '\\' }) {
				bad(fmt.Sprintf("%s[%d]", list.field, i), v, "characters of ASCII that show, without quotes and backslashes")
			}
		}
	}
	if c.Key != nil && len(c.Key) != keySize {
		bad("Key", fmt.Sprintf("%d bytes", len(c.Key)), "32 random bytes, or nil")
	}
	return errors.Join(errs...)
}

// httpsURL parses a URL to which secrets may go.
func httpsURL(s string) (*url.URL, bool) {
	u, err := url.Parse(s)
	if err != nil || u.Host == "" || u.User != nil {
		return nil, false
	}
	loopback := u.Hostname() == "localhost"
	if ip := net.ParseIP(u.Hostname()); ip != nil {
		loopback = ip.IsLoopback()
	}
	return u, u.Scheme == "https" || u.Scheme == "http" && loopback
}

// hidden returns a URL for an error, without user and query.
func hidden(s string) string {
	u, err := url.Parse(s)
	if err != nil {
		return fmt.Sprintf("%d characters that are no URL", len(s))
	}
	u.User, u.RawQuery = nil, ""
	return u.String()
}

// Provider signs people in at one provider of OpenID Connect. Make one with [New]. It is safe
// for concurrent use.
type Provider struct {
	cfg  Config
	seal cipher.AEAD

	mu     sync.Mutex
	loaded *metadata
	failed time.Time // when it could not be loaded
	err    error
}

// metadata are what is known from the provider itself.
type metadata struct {
	verifier *gooidc.IDTokenVerifier
	oauth    oauth2.Config
	// namesItself says that each answer has the issuer (RFC 9207).
	namesItself bool
}

// New returns a provider. It does not call it: a provider that is down stops no service. It
// returns the errors of [Config.Validate].
func New(c Config) (*Provider, error) {
	if err := c.Validate(); err != nil {
		return nil, err
	}
	if c.Scopes == nil {
		c.Scopes = []string{"profile", "email", "groups"}
	}
	c.Scopes, c.Proofs = slices.Clone(c.Scopes), slices.Clone(c.Proofs)
	if c.RolesClaim == "" {
		c.RolesClaim = "groups"
	}
	if c.Client == nil {
		c.Client = &http.Client{Timeout: 10 * time.Second}
	}
	seal, err := newSeal(c.Key)
	if err != nil {
		return nil, err
	}
	return &Provider{cfg: c, seal: seal}, nil
}

// askAgain is the time between two attempts to load the metadata of a provider that fails.
const askAgain = 5 * time.Second

// asymmetric are the algorithms that are accepted for signatures: the provider's public keys
// verify all of them.
var asymmetric = []string{gooidc.RS256, gooidc.RS384, gooidc.RS512, gooidc.ES256, gooidc.ES384, gooidc.ES512, gooidc.PS256, gooidc.PS384, gooidc.PS512, gooidc.EdDSA}

// load returns the metadata, which it reads once.
func (p *Provider) load(ctx context.Context) (*metadata, error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.loaded != nil {
		return p.loaded, nil
	}
	if p.err != nil && time.Since(p.failed) < askAgain {
		return nil, p.err
	}
	m, err := p.read(ctx)
	if err != nil {
		if ctx.Err() == nil { // otherwise it says nothing about the provider
			p.failed, p.err = time.Now(), err
		}
		return nil, err
	}
	p.loaded, p.err = m, nil
	return m, nil
}

func (p *Provider) read(ctx context.Context) (*metadata, error) {
	client := *p.cfg.Client
	if client.Transport == nil {
		client.Transport = http.DefaultTransport
	}
	client.Transport = metadataTransport{client.Transport}
	found, err := gooidc.NewProvider(gooidc.ClientContext(ctx, &client), p.cfg.Issuer)
	if err != nil {
		return nil, &metadataError{p.cfg.Issuer, err}
	}
	var more struct {
		Algorithms  []string `json:"id_token_signing_alg_values_supported"`
		NamesItself bool     `json:"authorization_response_iss_parameter_supported"`
		Keys        string   `json:"jwks_uri"`
	}
	if err := found.Claims(&more); err != nil {
		return nil, fmt.Errorf("oidc: the metadata of %s: %w", p.cfg.Issuer, err)
	}
	ends := found.Endpoint()
	for field, value := range map[string]string{"authorization_endpoint": ends.AuthURL, "token_endpoint": ends.TokenURL, "jwks_uri": more.Keys} {
		if _, ok := httpsURL(value); !ok {
			return nil, fmt.Errorf("oidc: the metadata of %s: %w", p.cfg.Issuer,
				&checks.InvalidError{Package: "oidc", Field: field, Value: hidden(value), Want: "an https URL"})
		}
	}
	algorithms := slices.DeleteFunc(slices.Clone(asymmetric), func(a string) bool { return !slices.Contains(more.Algorithms, a) })
	if len(more.Algorithms) == 0 {
		algorithms = []string{gooidc.RS256} // which every provider has
	}
	if len(algorithms) == 0 {
		return nil, fmt.Errorf("oidc: the metadata of %s: %w", p.cfg.Issuer,
			&checks.InvalidError{Package: "oidc", Field: "id_token_signing_alg_values_supported", Value: more.Algorithms, Want: "one of " + strings.Join(asymmetric, ", ")})
	}
	// The keys are read again with this context, long after ctx has ended.
	keys := newKeySet(context.WithoutCancel(ctx), p.cfg.Client, more.Keys)
	return &metadata{
		verifier: gooidc.NewVerifier(p.cfg.Issuer, keys, &gooidc.Config{ClientID: p.cfg.ClientID, SupportedSigningAlgs: algorithms}),
		oauth: oauth2.Config{ClientID: p.cfg.ClientID, ClientSecret: p.cfg.ClientSecret, Endpoint: ends, RedirectURL: p.cfg.RedirectURL,
			Scopes: append([]string{gooidc.ScopeOpenID}, p.cfg.Scopes...)},
		namesItself: more.NamesItself,
	}, nil
}

const maxMetadata = 1 << 20 // bytes

// metadataTransport bounds the answer with the metadata. It drops the body of a failure, which
// the error would repeat.
type metadataTransport struct{ next http.RoundTripper }

// RoundTrip implements [http.RoundTripper].
func (t metadataTransport) RoundTrip(r *http.Request) (*http.Response, error) {
	resp, err := t.next.RoundTrip(r)
	if err != nil {
		return nil, err
	}
	if resp.StatusCode != http.StatusOK {
		_ = resp.Body.Close()
		resp.Body = http.NoBody
		return resp, nil
	}
	resp.Body = http.MaxBytesReader(nil, resp.Body, maxMetadata)
	return resp, nil
}

// metadataError is why metadata could not be read. Its text has at most 500 bytes of what the
// provider has sent, on one line.
type metadataError struct {
	issuer string
	err    error
}

func (e *metadataError) Error() string {
	const most = 500
	text := e.err.Error()
	return "oidc: the metadata of " + e.issuer + ": " + visible.Line(text[:min(len(text), most)])
}
func (e *metadataError) Unwrap() error { return e.err }
