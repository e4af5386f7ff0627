package oidc

import (
	"cmp"
	"context"
	"encoding/base64"
	"encoding/json"
	"net/http"
	"slices"
	"strings"
	"time"

	"github.com/serin-go/serin/rollout"
	"github.com/serin-go/serin/rollout/access"
)

// leeway is how far the clock of a provider may be ahead.
const leeway = 2 * time.Minute

// claims are what an ID token says. All of its claims are in all.
type claims struct {
	Issuer   string
	Subject  string
	Nonce    string
	all      map[string]json.RawMessage
	audience []string
}

// text returns a claim that is a string, or "".
func (c claims) text(name string) (s string) {
	if json.Unmarshal(c.all[name], &s) != nil {
		return ""
	}
	return s
}

// verify checks an ID token, and returns what it says.
func (p *Provider) verify(ctx context.Context, m *metadata, raw string) (claims, error) {
	var why error
	token, err := m.verifier.Verify(context.WithValue(ctx, unknown{}, &why), raw)
	if err != nil {
		if why = cmp.Or(why, ctx.Err()); why != nil {
			return claims{}, why
		}
		return claims{}, refusal("the ID token is not valid: %.200s", err.Error())
	}
	c := claims{Issuer: token.Issuer, Subject: token.Subject, Nonce: token.Nonce, audience: token.Audience}
	if token.Claims(&c.all) != nil {
		return claims{}, refusal("the ID token cannot be read")
	}
	var azp string
	_, named := c.all["azp"]
	if named && json.Unmarshal(c.all["azp"], &azp) != nil {
		return claims{}, refusal("azp of the ID token is no string")
	}
	switch {
	case token.Issuer != p.cfg.Issuer:
		return claims{}, refusal("the ID token is of another issuer")
	case named && azp != p.cfg.ClientID:
		return claims{}, refusal("azp of the ID token is another client")
	case len(token.Audience) > 1 && !named:
		return claims{}, refusal("the ID token is for %d audiences, and has no azp", len(token.Audience))
	case token.Subject == "":
		return claims{}, refusal("sub of the ID token is missing")
	case time.Until(token.IssuedAt) > leeway || token.IssuedAt.IsZero():
		return claims{}, refusal("iat of the ID token is missing or in the future")
	}
	return c, nil
}

// actor returns the person of a token.
func (p *Provider) actor(c claims) (rollout.Actor, error) {
	// An issuer has no fragment, so that two pairs are never one.
	by := rollout.Actor{Subject: c.Issuer + "#" + c.Subject, Name: c.Subject}
	var verified bool
	if email := c.text("email"); email != "" && json.Unmarshal(c.all["email_verified"], &verified) == nil && verified {
		by.Name = email
	}
	roles, ok := list(c.all[p.cfg.RolesClaim])
	if !ok {
		return rollout.Actor{}, refusal("%s of the ID token is neither a list of strings nor a string", p.cfg.RolesClaim)
	}
	by.Roles = roles
	proved, err := p.proved(c)
	if err != nil {
		return rollout.Actor{}, err
	}
	by.Proved = proved
	if err := by.Validate(); err != nil {
		return rollout.Actor{}, refusal("the ID token names no actor: %v", err)
	}
	return by, nil
}

// list returns a claim that is a list of strings or one string. One that is missing is empty.
func list(raw json.RawMessage) ([]string, bool) {
	if len(raw) == 0 || string(raw) == "null" {
		return nil, true
	}
	var several []string
	if json.Unmarshal(raw, &several) == nil {
		return several, true
	}
	var one string
	if json.Unmarshal(raw, &one) != nil || one == "" {
		return nil, false
	}
	return []string{one}, true
}

// proved returns when a second factor was proved at the provider; the zero time if none was.
func (p *Provider) proved(c claims) (time.Time, error) {
	methods, ok := list(c.all["amr"])
	if !ok {
		return time.Time{}, refusal("amr of the ID token is no list of strings")
	}
	if !slices.ContainsFunc(methods, func(m string) bool { return slices.Contains(p.cfg.Proofs, m) }) {
		return time.Time{}, nil
	}
	var seconds int64
	if json.Unmarshal(c.all["auth_time"], &seconds) != nil || seconds <= 0 {
		return time.Time{}, nil // it was proved at an unknown time
	}
	at := time.Unix(seconds, 0).UTC()
	switch ahead := time.Until(at); {
	case ahead > leeway:
		return time.Time{}, refusal("auth_time of the ID token is in the future")
	case ahead > 0:
		at = time.Now().UTC()
	}
	return at, nil
}

// maxToken is the size of the longest ID token that is looked at.
const maxToken = 64 << 10

// Authenticate implements [access.Authenticator] for an ID token of this client in the header
// Authorization. What is not a token of this issuer is [access.ErrNoCredentials], so that
// others may know it.
func (p *Provider) Authenticate(r *http.Request) (rollout.Actor, error) {
	all := r.Header.Values("Authorization")
	if len(all) == 0 {
		return rollout.Actor{}, access.ErrNoCredentials
	}
	scheme, raw, _ := strings.Cut(all[0], " ")
	if !strings.EqualFold(scheme, "Bearer") {
		return rollout.Actor{}, access.ErrNoCredentials
	}
	if raw = strings.Trim(raw, " "); len(raw) > maxToken || issuerOf(raw) != p.cfg.Issuer {
		return rollout.Actor{}, access.ErrNoCredentials
	}
	if len(all) > 1 {
		return rollout.Actor{}, refusal("the header Authorization occurs %d times", len(all))
	}
	m, err := p.load(r.Context())
	if err != nil {
		return rollout.Actor{}, err
	}
	c, err := p.verify(r.Context(), m, raw)
	if err != nil {
		return rollout.Actor{}, err
	}
	return p.actor(c)
}

// issuerOf returns what a token says about its issuer, before anything is verified.
func issuerOf(raw string) string {
	parts := strings.Split(raw, ".")
	if len(parts) != 3 {
		return ""
	}
	payload, err := base64.RawURLEncoding.DecodeString(parts[1])
	if err != nil {
		return ""
	}
	var said struct {
		Issuer string `json:"iss"`
	}
	if json.Unmarshal(payload, &said) != nil {
		return ""
	}
	return said.Issuer
}
