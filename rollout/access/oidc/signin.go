package oidc

import (
	"crypto/aes"
	"crypto/cipher"
	"crypto/rand"
	"crypto/subtle"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"time"

	gooidc "github.com/coreos/go-oidc/v3/oidc"
	"golang.org/x/oauth2"

	"github.com/serin-go/serin/rollout"
	"github.com/serin-go/serin/rollout/access"
)

const (
	// cookie is what the browser keeps. The prefix has browsers accept it from https alone,
	// for this host alone (RFC 6265bis).
	cookie = "__Host-serin-sign-in"
	// patience is how long a person may take at the provider.
	patience = 10 * time.Minute
)

// attempt is one sign-in that is under way.
type attempt struct {
	Issuer   string    `json:"issuer"`
	State    string    `json:"state"`
	Nonce    string    `json:"nonce"`
	Verifier string    `json:"verifier"`
	Until    time.Time `json:"until"`
}

func newSeal(key []byte) (cipher.AEAD, error) {
	if key == nil {
		key = make([]byte, keySize)
		rand.Read(key) // it does not fail
	}
	block, err := aes.NewCipher(key)
	if err != nil {
		return nil, fmt.Errorf("oidc: %w", err)
	}
	seal, err := cipher.NewGCMWithRandomNonce(block)
	if err != nil {
		return nil, fmt.Errorf("oidc: %w", err)
	}
	return seal, nil
}

// SignIn sends the browser to the provider. A provider that does not answer is the status
// 503. Of several sign-ins that a browser begins, the last one can be finished.
func (p *Provider) SignIn(w http.ResponseWriter, r *http.Request) {
	m, err := p.load(r.Context())
	if err != nil || p.cfg.RedirectURL == "" {
		http.Error(w, "sign-in is not available; try again in a minute", http.StatusServiceUnavailable)
		return
	}
	a := attempt{Issuer: p.cfg.Issuer, State: rand.Text(), Nonce: rand.Text(), Verifier: oauth2.GenerateVerifier(), Until: time.Now().Add(patience)}
	plain, err := json.Marshal(a)
	if err != nil {
		http.Error(w, "sign-in is not available", http.StatusInternalServerError)
		return
	}
	sealed := p.seal.Seal(nil, nil, plain, []byte(cookie))
	setCookie(w, base64.RawURLEncoding.EncodeToString(sealed), int(patience.Seconds()))
	w.Header().Set("Cache-Control", "no-store")
	http.Redirect(w, r, m.oauth.AuthCodeURL(a.State, gooidc.Nonce(a.Nonce), oauth2.S256ChallengeOption(a.Verifier)), http.StatusSeeOther)
}

func setCookie(w http.ResponseWriter, value string, age int) {
	http.SetCookie(w, &http.Cookie{Name: cookie, Value: value, Path: "/", Secure: true, HttpOnly: true, SameSite: http.SameSiteLaxMode, MaxAge: age})
}

// Finish checks the answer of the provider, and returns who has signed in. The attempt is over
// with it, whatever the outcome: the cookie is removed.
//
// The error is [access.ErrNoCredentials] if the browser has begun no sign-in,
// [access.ErrCredentials] if the answer is refused, and another one if the provider does not
// answer. A person who was turned away by the provider is an [access.ErrCredentials] too, with
// the code of the provider in its text.
func (p *Provider) Finish(w http.ResponseWriter, r *http.Request) (rollout.Actor, error) {
	setCookie(w, "", -1)
	w.Header().Set("Cache-Control", "no-store")
	a, err := p.attempt(r)
	if err != nil {
		return rollout.Actor{}, err
	}
	m, err := p.load(r.Context())
	if err != nil {
		return rollout.Actor{}, err
	}
	code, err := a.code(r, m.namesItself)
	if err != nil {
		return rollout.Actor{}, err
	}
	token, err := m.oauth.Exchange(gooidc.ClientContext(r.Context(), p.cfg.Client), code, oauth2.VerifierOption(a.Verifier))
	if refused := (*oauth2.RetrieveError)(nil); errors.As(err, &refused) && refused.Response.StatusCode < 500 {
		return rollout.Actor{}, refusal("the provider does not accept the code: %d %.64q", refused.Response.StatusCode, refused.ErrorCode)
	}
	if err != nil {
		return rollout.Actor{}, errors.New("oidc: the provider has not redeemed the code")
	}
	raw, ok := token.Extra("id_token").(string)
	if !ok {
		return rollout.Actor{}, refusal("the provider has sent no ID token")
	}
	c, err := p.verify(r.Context(), m, raw)
	if err != nil {
		return rollout.Actor{}, err
	}
	if subtle.ConstantTimeCompare([]byte(c.Nonce), []byte(a.Nonce)) != 1 {
		return rollout.Actor{}, refusal("nonce is of another sign-in")
	}
	return p.actor(c)
}

// attempt returns the sign-in that the browser has begun.
func (p *Provider) attempt(r *http.Request) (a attempt, err error) {
	all := r.CookiesNamed(cookie)
	switch {
	case len(all) == 0:
		return a, access.ErrNoCredentials
	case len(all) > 1:
		return a, refusal("the cookie occurs %d times", len(all))
	}
	sealed, err := base64.RawURLEncoding.DecodeString(all[0].Value)
	if err != nil {
		return a, refusal("the cookie is damaged")
	}
	plain, err := p.seal.Open(nil, nil, sealed, []byte(cookie))
	if err != nil || json.Unmarshal(plain, &a) != nil {
		return attempt{}, refusal("the cookie is not of this service")
	}
	left := time.Until(a.Until)
	switch {
	case a.Issuer != p.cfg.Issuer:
		return attempt{}, refusal("the sign-in was begun at another provider")
	case left <= 0 || left > patience:
		return attempt{}, refusal("the sign-in has taken longer than %v", patience)
	}
	return a, nil
}

// code returns the code of the answer to an attempt.
func (a attempt) code(r *http.Request, namesItself bool) (string, error) {
	q := r.URL.Query()
	for _, name := range []string{"state", "code", "iss", "error"} {
		if len(q[name]) > 1 {
			return "", refusal("%s occurs %d times", name, len(q[name]))
		}
	}
	if subtle.ConstantTimeCompare([]byte(q.Get("state")), []byte(a.State)) != 1 {
		return "", refusal("state is of another sign-in")
	}
	// Without it, the answer of one provider could be redeemed at another (RFC 9207).
	if iss := q.Get("iss"); iss != a.Issuer && (q.Has("iss") || namesItself) {
		return "", refusal("iss is not the provider that was asked")
	}
	if q.Has("error") {
		return "", refusal("the provider says %.64q", q.Get("error"))
	}
	if q.Get("code") == "" {
		return "", refusal("code is missing")
	}
	return q.Get("code"), nil
}

// refusal returns an error that says why credentials are not valid, without any of them.
func refusal(format string, args ...any) error {
	return fmt.Errorf("%w: %s", access.ErrCredentials, fmt.Sprintf(format, args...))
}
