package oidc_test

import (
	"crypto"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/sha256"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"maps"
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/go-jose/go-jose/v4"

	"github.com/serin-go/serin/rollout/access/oidc"
)

// standIn is a provider of OpenID Connect on the loopback interface: metadata, keys, the
// authorization endpoint that signs everybody in, and the token endpoint, which checks the
// client, the code, the redirect URL and PKCE.
type standIn struct {
	*httptest.Server
	t *testing.T

	mu       sync.Mutex
	key      *ecdsa.PrivateKey
	kid      string
	codes    map[string]url.Values // the requests that they were made for
	fetched  int                   // how often the keys were read
	down     map[string]int        // status by path
	metadata map[string]any        // overrides
	claims   map[string]any        // overrides; nil removes
	answer   url.Values            // overrides of what is sent to the redirect URL
	sign     func(claims map[string]any) string
}

const (
	client = "serin"
	secret = "a secret of the client"
)

func newStandIn(t *testing.T) *standIn {
	s := &standIn{t: t, kid: "1", codes: make(map[string]url.Values), down: make(map[string]int)}
	s.key = newKey(t)
	s.sign = func(c map[string]any) string { return s.signed(s.key, s.kid, c) }
	mux := http.NewServeMux()
	mux.HandleFunc("GET /.well-known/openid-configuration", s.discovery)
	mux.HandleFunc("GET /keys", s.keys)
	mux.HandleFunc("GET /authorize", s.authorize)
	mux.HandleFunc("POST /token", s.token)
	s.Server = httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		s.mu.Lock()
		status := s.down[r.URL.Path]
		s.mu.Unlock()
		if status != 0 {
			w.WriteHeader(status)
			return
		}
		mux.ServeHTTP(w, r)
	}))
	t.Cleanup(s.Close)
	return s
}

func newKey(t *testing.T) *ecdsa.PrivateKey {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	return key
}

func writeJSON(w http.ResponseWriter, v any) {
	w.Header().Set("Content-Type", "application/json")
	json.NewEncoder(w).Encode(v)
}

func (s *standIn) discovery(w http.ResponseWriter, _ *http.Request) {
	doc := map[string]any{"issuer": s.URL, "authorization_endpoint": s.URL + "/authorize", "token_endpoint": s.URL + "/token",
		"jwks_uri": s.URL + "/keys", "id_token_signing_alg_values_supported": []string{"ES256", "HS256", "none"}}
	s.mu.Lock()
	defer s.mu.Unlock()
	maps.Copy(doc, s.metadata)
	writeJSON(w, doc)
}

func (s *standIn) keys(w http.ResponseWriter, _ *http.Request) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.fetched++
	writeJSON(w, jose.JSONWebKeySet{Keys: []jose.JSONWebKey{{Key: s.key.Public(), KeyID: s.kid, Algorithm: "ES256", Use: "sig"}}})
}

// authorize signs in the one person that there is, and sends the browser back.
func (s *standIn) authorize(w http.ResponseWriter, r *http.Request) {
	q := r.URL.Query()
	s.mu.Lock()
	defer s.mu.Unlock()
	code := rand.Text()
	s.codes[code] = q
	back := url.Values{"code": {code}, "state": {q.Get("state")}, "iss": {s.URL}}
	for name, values := range s.answer {
		if back[name] = values; values == nil {
			delete(back, name)
		}
	}
	http.Redirect(w, r, q.Get("redirect_uri")+"?"+back.Encode(), http.StatusFound)
}

func (s *standIn) token(w http.ResponseWriter, r *http.Request) {
	s.mu.Lock()
	defer s.mu.Unlock()
	asked, ok := s.codes[r.FormValue("code")]
	delete(s.codes, r.FormValue("code"))
	id, pass, _ := r.BasicAuth()
	sum := sha256.Sum256([]byte(r.FormValue("code_verifier")))
	switch {
	case !ok || id != client || pass != url.QueryEscape(secret), r.FormValue("redirect_uri") != asked.Get("redirect_uri"),
		asked.Get("code_challenge_method") != "S256", asked.Get("code_challenge") != base64.RawURLEncoding.EncodeToString(sum[:]):
		w.WriteHeader(http.StatusBadRequest)
		writeJSON(w, map[string]string{"error": "invalid_grant"})
		return
	}
	writeJSON(w, map[string]any{"access_token": "opaque", "token_type": "Bearer", "id_token": s.sign(s.says(asked.Get("nonce")))})
}

// says returns the claims of the person who has signed in.
func (s *standIn) says(nonce string) map[string]any {
	now := time.Now()
	c := map[string]any{"iss": s.URL, "sub": "248289761001", "aud": client, "exp": now.Add(time.Hour).Unix(), "iat": now.Unix(),
		"email": "ana@example.com", "email_verified": true, "groups": []string{"sre", "developer"}}
	if nonce != "" {
		c["nonce"] = nonce
	}
	for name, value := range s.claims {
		if c[name] = value; value == nil {
			delete(c, name)
		}
	}
	return c
}

func (s *standIn) signed(key crypto.PrivateKey, kid string, claims map[string]any) string {
	s.t.Helper()
	signer, err := jose.NewSigner(jose.SigningKey{Algorithm: jose.ES256, Key: jose.JSONWebKey{Key: key, KeyID: kid}}, (&jose.SignerOptions{}).WithType("JWT"))
	if err != nil {
		s.t.Fatal(err)
	}
	payload, err := json.Marshal(claims)
	if err != nil {
		s.t.Fatal(err)
	}
	token, err := signer.Sign(payload)
	if err != nil {
		s.t.Fatal(err)
	}
	raw, err := token.CompactSerialize()
	if err != nil {
		s.t.Fatal(err)
	}
	return raw
}

// config is a configuration for the stand-in.
func (s *standIn) config() oidc.Config {
	return oidc.Config{Issuer: s.URL, ClientID: client, ClientSecret: secret, RedirectURL: "https://gateway.example.com/signed-in"}
}

func (s *standIn) provider(c oidc.Config) *oidc.Provider {
	s.t.Helper()
	p, err := oidc.New(c)
	if err != nil {
		s.t.Fatal(err)
	}
	return p
}

// browser is what one person's browser keeps.
type browser struct{ cookies []*http.Cookie }

// signIn begins a sign-in, and returns where the provider sends the browser back to.
func (b *browser) signIn(t *testing.T, p *oidc.Provider) *url.URL {
	t.Helper()
	w := httptest.NewRecorder()
	p.SignIn(w, httptest.NewRequest("GET", "https://gateway.example.com/sign-in", nil))
	if w.Code != http.StatusSeeOther {
		t.Fatalf("status %d: %s", w.Code, w.Body)
	}
	b.keep(w)
	c := &http.Client{CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }}
	resp, err := c.Get(w.Header().Get("Location"))
	if err != nil {
		t.Fatal(err)
	}
	resp.Body.Close()
	back, err := resp.Location()
	if err != nil {
		t.Fatal(err)
	}
	return back
}

func (b *browser) keep(w *httptest.ResponseRecorder) {
	for _, c := range w.Result().Cookies() {
		b.cookies = nil
		if c.MaxAge >= 0 {
			b.cookies = append(b.cookies, c)
		}
	}
}

// request returns the browser's request for a URL.
func (b *browser) request(u *url.URL) *http.Request {
	r := httptest.NewRequest("GET", u.String(), nil)
	for _, c := range b.cookies {
		r.AddCookie(c)
	}
	return r
}

// altered returns u with query parameters changed; nil removes one.
func altered(u *url.URL, change url.Values) *url.URL {
	other, q := *u, u.Query()
	for name, values := range change {
		if q[name] = values; values == nil {
			delete(q, name)
		}
	}
	other.RawQuery = q.Encode()
	return &other
}

// unsigned returns a token with a header of one's own and any signature.
func unsigned(header string, claims map[string]any, signature string) string {
	payload, err := json.Marshal(claims)
	if err != nil {
		panic(fmt.Sprint("claims: ", err))
	}
	enc := base64.RawURLEncoding
	return strings.Join([]string{enc.EncodeToString([]byte(header)), enc.EncodeToString(payload), enc.EncodeToString([]byte(signature))}, ".")
}
