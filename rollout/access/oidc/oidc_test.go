package oidc_test

import (
	"crypto/hmac"
	"crypto/rand"
	"crypto/sha256"
	"crypto/x509"
	"encoding/base64"
	"encoding/pem"
	"errors"
	"net/http"
	"net/http/httptest"
	"net/url"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/serin-go/serin/checks"
	"github.com/serin-go/serin/rollout"
	"github.com/serin-go/serin/rollout/access"
	"github.com/serin-go/serin/rollout/access/oidc"
)

func TestSignIn(t *testing.T) {
	s := newStandIn(t)
	p := s.provider(s.config())
	var b browser
	back := b.signIn(t, p)
	w := httptest.NewRecorder()
	by, err := p.Finish(w, b.request(back))
	if err != nil {
		t.Fatal(err)
	}
	want := rollout.Actor{Subject: s.URL + "#248289761001", Name: "ana@example.com", Roles: []string{"sre", "developer"}}
	if by.Subject != want.Subject || by.Name != want.Name || !slices.Equal(by.Roles, want.Roles) || !by.Proved.IsZero() {
		t.Errorf("%+v has signed in, want %+v", by, want)
	}
	b.keep(w)
	if len(b.cookies) > 0 {
		t.Errorf("the browser keeps %v", b.cookies)
	}
	if _, err := p.Finish(httptest.NewRecorder(), b.request(back)); !errors.Is(err, access.ErrNoCredentials) {
		t.Errorf("the same answer again: %v", err)
	}
}

// TestCookie: what the browser keeps is for this host and https alone, and says nothing.
func TestCookie(t *testing.T) {
	s := newStandIn(t)
	w := httptest.NewRecorder()
	s.provider(s.config()).SignIn(w, httptest.NewRequest("GET", "/sign-in", nil))
	c := w.Result().Cookies()[0]
	if !strings.HasPrefix(c.Name, "__Host-") || !c.Secure || !c.HttpOnly || c.Path != "/" || c.Domain != "" || c.SameSite != http.SameSiteLaxMode {
		t.Errorf("the cookie is %v", c)
	}
	to, err := url.Parse(w.Header().Get("Location"))
	if err != nil {
		t.Fatal(err)
	}
	raw, err := base64.RawURLEncoding.DecodeString(c.Value)
	if err != nil {
		t.Fatal(err)
	}
	for _, name := range []string{"state", "nonce"} {
		if v := to.Query().Get(name); len(v) < 20 || strings.Contains(string(raw), v) {
			t.Errorf("%s %q is short, or in the cookie", name, v)
		}
	}
}

// TestAnswersThatAreRefused: each attack on the way back, by what the answer or the browser
// has instead of what it should.
func TestAnswersThatAreRefused(t *testing.T) {
	s := newStandIn(t)
	p := s.provider(s.config())
	foreign := newStandIn(t)
	for _, tt := range []struct {
		name   string
		change url.Values
	}{
		{"an unknown state", url.Values{"state": {"AAAA"}}},
		{"no state", url.Values{"state": nil}},
		{"an empty state", url.Values{"state": {""}}},
		{"two states", url.Values{"state": {"AAAA", "BBBB"}}},
		{"two codes", url.Values{"code": {"AAAA", "BBBB"}}},
		{"no code", url.Values{"code": nil}},
		{"an unknown code", url.Values{"code": {"AAAA"}}},
		{"the issuer of another provider", url.Values{"iss": {foreign.URL}}},
		{"an empty issuer", url.Values{"iss": {""}}},
		{"an error", url.Values{"error": {"access_denied"}}},
		{"an error with control characters", url.Values{"error": {"\x1b[2J"}}},
	} {
		var b browser
		back := b.signIn(t, p)
		by, err := p.Finish(httptest.NewRecorder(), b.request(altered(back, tt.change)))
		if !errors.Is(err, access.ErrCredentials) || by.Name != "" || strings.Contains(err.Error(), "\x1b") {
			t.Errorf("%s: %+v, %v", tt.name, by, err)
		}
	}
}

// TestAnotherBrowser: an answer that comes to a browser that has not asked for it: an attacker
// sends a link.
func TestAnotherBrowser(t *testing.T) {
	s := newStandIn(t)
	p := s.provider(s.config())
	var attacker, victim, third browser
	link := attacker.signIn(t, p)
	if _, err := p.Finish(httptest.NewRecorder(), third.request(link)); !errors.Is(err, access.ErrNoCredentials) {
		t.Errorf("a browser that has begun nothing: %v", err)
	}
	victim.signIn(t, p)
	if _, err := p.Finish(httptest.NewRecorder(), victim.request(link)); !errors.Is(err, access.ErrCredentials) {
		t.Errorf("a browser that has begun another sign-in: %v", err)
	}
	// With the state of the victim, PKCE is what stops the attacker's code.
	own := victim.signIn(t, p)
	if _, err := p.Finish(httptest.NewRecorder(), victim.request(altered(own, url.Values{"code": {link.Query().Get("code")}}))); !errors.Is(err, access.ErrCredentials) {
		t.Errorf("the code of another browser: %v", err)
	}
}

// TestMixUp: a sign-in that was begun at one provider is answered by another one.
func TestMixUp(t *testing.T) {
	honest, evil := newStandIn(t), newStandIn(t)
	key := make([]byte, 32)
	with := func(s *standIn) *oidc.Provider {
		c := s.config()
		c.Key = key
		return s.provider(c)
	}
	var b browser
	back := b.signIn(t, with(honest))
	if _, err := with(evil).Finish(httptest.NewRecorder(), b.request(back)); !errors.Is(err, access.ErrCredentials) {
		t.Errorf("the attempt at one provider, finished at another: %v", err)
	}
	silent := altered(back, url.Values{"iss": nil})
	if _, err := with(honest).Finish(httptest.NewRecorder(), b.request(silent)); err != nil {
		t.Errorf("a provider that never names itself: %v", err)
	}
	honest.metadata = map[string]any{"authorization_response_iss_parameter_supported": true}
	p := with(honest)
	silent = altered(b.signIn(t, p), url.Values{"iss": nil})
	if _, err := p.Finish(httptest.NewRecorder(), b.request(silent)); !errors.Is(err, access.ErrCredentials) {
		t.Errorf("a provider that always names itself does not: %v", err)
	}
}

// TestSealedCookies: cookies that were cut, altered, doubled, or made by another service.
func TestSealedCookies(t *testing.T) {
	s := newStandIn(t)
	p, other := s.provider(s.config()), s.provider(s.config())
	var b browser
	back := b.signIn(t, p)
	good := b.cookies[0].Value
	if _, err := other.Finish(httptest.NewRecorder(), b.request(back)); !errors.Is(err, access.ErrCredentials) {
		t.Errorf("the cookie of a service with another key: %v", err)
	}
	raw, err := base64.RawURLEncoding.DecodeString(good)
	if err != nil {
		t.Fatal(err)
	}
	for i := range raw {
		bad := slices.Clone(raw)
		bad[i] ^= 1
		for _, value := range []string{base64.RawURLEncoding.EncodeToString(bad), base64.RawURLEncoding.EncodeToString(raw[:i])} {
			r := httptest.NewRequest("GET", back.String(), nil)
			r.AddCookie(&http.Cookie{Name: b.cookies[0].Name, Value: value})
			if _, err := p.Finish(httptest.NewRecorder(), r); !errors.Is(err, access.ErrCredentials) {
				t.Fatalf("byte %d altered, or cut there: %v", i, err)
			}
		}
	}
	r := b.request(back)
	r.AddCookie(&http.Cookie{Name: b.cookies[0].Name, Value: good})
	if _, err := p.Finish(httptest.NewRecorder(), r); !errors.Is(err, access.ErrCredentials) {
		t.Errorf("two cookies: %v", err)
	}
}

// TestTokens: what an ID token says, on the way back and as the credential of a program.
func TestTokens(t *testing.T) {
	far := time.Now().Add(time.Hour).Unix()
	for _, tt := range []struct {
		name   string
		claims map[string]any
		good   bool
	}{
		{"as it should be", nil, true},
		{"azp is this client", map[string]any{"azp": client}, true},
		{"several audiences, azp is this client", map[string]any{"aud": []string{"other", client}, "azp": client}, true},
		{"for another client", map[string]any{"aud": "other"}, false},
		{"for a client whose name begins alike", map[string]any{"aud": client + "2"}, false},
		{"for a client of another case", map[string]any{"aud": "Serin"}, false},
		{"for no client", map[string]any{"aud": nil}, false},
		{"for an empty list", map[string]any{"aud": []string{}}, false},
		{"several audiences, no azp", map[string]any{"aud": []string{client, "other"}}, false},
		{"several audiences, azp is another client", map[string]any{"aud": []string{client, "other"}, "azp": "other"}, false},
		{"azp is another client", map[string]any{"azp": "other"}, false},
		{"azp is empty", map[string]any{"azp": ""}, false},
		{"azp is a list", map[string]any{"azp": []string{client}}, false},
		{"of another issuer", map[string]any{"iss": "https://login.example.com"}, false},
		{"of an issuer with one slash more", map[string]any{"iss": "SLASH"}, false},
		{"no subject", map[string]any{"sub": nil}, false},
		{"an empty subject", map[string]any{"sub": ""}, false},
		{"a subject with a blank", map[string]any{"sub": "a b"}, false},
		{"a subject of a kilobyte", map[string]any{"sub": strings.Repeat("a", 1000)}, false},
		{"has ended", map[string]any{"exp": time.Now().Add(-time.Second).Unix()}, false},
		{"has no end", map[string]any{"exp": nil}, false},
		{"issued in the future", map[string]any{"iat": far}, false},
		{"issued never", map[string]any{"iat": nil}, false},
		{"not before an hour from now", map[string]any{"nbf": far}, false},
		{"roles that are no list", map[string]any{"groups": map[string]any{"sre": true}}, false},
		{"a role that is a number", map[string]any{"groups": []any{"sre", 7}}, false},
		{"a role with a line break", map[string]any{"groups": []string{"sre\nadmin"}}, false},
		{"an empty role", map[string]any{"groups": []string{""}}, false},
		{"no roles", map[string]any{"groups": nil}, true},
		{"one role", map[string]any{"groups": "sre"}, true},
		{"amr that is an object", map[string]any{"amr": map[string]any{}}, false},
		{"a verified address that is no name", map[string]any{"email": "ana\u0301@example.com"}, false},
	} {
		t.Run(tt.name, func(t *testing.T) {
			s := newStandIn(t)
			if tt.claims["iss"] == "SLASH" {
				tt.claims["iss"] = s.URL + "/"
			}
			s.claims = tt.claims
			p := s.provider(s.config())
			var b browser
			by, err := p.Finish(httptest.NewRecorder(), b.request(b.signIn(t, p)))
			if tt.good != (err == nil) || err != nil && (!errors.Is(err, access.ErrCredentials) || by.Name != "") {
				t.Errorf("sign-in: %+v, %v, want it accepted: %v", by, err, tt.good)
			}
			by, err = p.Authenticate(bearer(s.sign(s.says(""))))
			if tt.good != (err == nil) || err != nil && by.Name != "" {
				t.Errorf("bearer token: %+v, %v, want it accepted: %v", by, err, tt.good)
			}
		})
	}
}

func bearer(token string) *http.Request {
	r := httptest.NewRequest("GET", "/", nil)
	r.Header.Set("Authorization", "Bearer "+token)
	return r
}

// TestNonce: the ID token of another sign-in is put in the place of the one that was asked
// for.
func TestNonce(t *testing.T) {
	for name, nonce := range map[string]any{"another one": "AAAA", "an empty one": "", "none": nil} {
		s := newStandIn(t)
		s.claims = map[string]any{"nonce": nonce}
		p := s.provider(s.config())
		var b browser
		if _, err := p.Finish(httptest.NewRecorder(), b.request(b.signIn(t, p))); !errors.Is(err, access.ErrCredentials) {
			t.Errorf("%s: %v", name, err)
		}
	}
}

// TestSignatures: tokens that the issuer has not signed.
func TestSignatures(t *testing.T) {
	s := newStandIn(t)
	p := s.provider(s.config())
	claims := s.says("")
	der, err := x509.MarshalPKIXPublicKey(s.key.Public())
	if err != nil {
		t.Fatal(err)
	}
	public := pem.EncodeToMemory(&pem.Block{Type: "PUBLIC KEY", Bytes: der})
	confused := unsigned(`{"alg":"HS256","kid":"1"}`, claims, "")
	mac := hmac.New(sha256.New, public)
	mac.Write([]byte(strings.TrimSuffix(confused, ".")))
	good := s.sign(claims)
	parts := strings.Split(good, ".")
	for name, token := range map[string]string{
		"no algorithm":                      unsigned(`{"alg":"none"}`, claims, ""),
		"no algorithm, with a signature":    unsigned(`{"alg":"none"}`, claims, "x"),
		"no algorithm in another spelling":  unsigned(`{"alg":"nOnE"}`, claims, ""),
		"the public key as a shared secret": strings.TrimSuffix(confused, ".") + "." + base64.RawURLEncoding.EncodeToString(mac.Sum(nil)),
		"another key, the same name":        s.signed(newKey(t), s.kid, claims),
		"another key, another name":         s.signed(newKey(t), "2", claims),
		"a key in the token":                unsigned(`{"alg":"ES256","jwk":{"kty":"EC"}}`, claims, "x"),
		"no signature":                      parts[0] + "." + parts[1] + ".",
		"the claims of another token":       parts[0] + "." + strings.Split(unsigned("{}", s.says("x"), ""), ".")[1] + "." + parts[2],
	} {
		if by, err := p.Authenticate(bearer(token)); !errors.Is(err, access.ErrCredentials) || by.Name != "" {
			t.Errorf("%s: %+v, %v", name, by, err)
		}
	}
	for i := range good {
		if good[i] == '.' {
			continue
		}
		other := byte('A')
		if good[i] == 'A' {
			other = 'Q'
		}
		cut, changed := good[:i], good[:i]+string(other)+good[i+1:]
		for _, token := range []string{cut, changed} {
			if i == len(good)-1 && token == changed {
				continue // the last digit has bits that mean nothing
			}
			if by, err := p.Authenticate(bearer(token)); err == nil {
				t.Fatalf("cut or changed at %d: %+v", i, by)
			}
		}
	}
}

// TestCredentialsOfOthers: what is not a token of this issuer is left to others.
func TestCredentialsOfOthers(t *testing.T) {
	s := newStandIn(t)
	p := s.provider(s.config())
	other := newStandIn(t)
	for name, r := range map[string]*http.Request{
		"no header":               httptest.NewRequest("GET", "/", nil),
		"an opaque token":         bearer("0123456789"),
		"three parts of nothing":  bearer(".."),
		"a token of someone else": bearer(other.sign(other.says(""))),
		"a token of 100 KB":       bearer(strings.Repeat("a", 100_000)),
	} {
		if _, err := p.Authenticate(r); !errors.Is(err, access.ErrNoCredentials) {
			t.Errorf("%s: %v", name, err)
		}
	}
	r := bearer(s.sign(s.says("")))
	r.Header.Add("Authorization", "Bearer x")
	if _, err := p.Authenticate(r); !errors.Is(err, access.ErrCredentials) {
		t.Errorf("two headers: %v", err)
	}
	if s.fetched > 1 {
		t.Errorf("the keys were read %d times", s.fetched)
	}
}

// TestName: an unverified address is not shown, since any user can claim it.
func TestName(t *testing.T) {
	for _, verified := range []any{nil, false, "true", 1} {
		s := newStandIn(t)
		s.claims = map[string]any{"email_verified": verified}
		by, err := s.provider(s.config()).Authenticate(bearer(s.sign(s.says(""))))
		if err != nil || by.Name != "248289761001" {
			t.Errorf("email_verified %v: %+v, %v", verified, by, err)
		}
	}
}

// TestProofs: a second factor that was proved at the provider.
func TestProofs(t *testing.T) {
	ago := time.Now().Add(-time.Minute).Truncate(time.Second)
	for _, tt := range []struct {
		name   string
		claims map[string]any
		proved time.Time
		refuse bool
	}{
		{"a code", map[string]any{"amr": []string{"pwd", "otp"}, "auth_time": ago.Unix()}, ago, false},
		{"a password alone", map[string]any{"amr": []string{"pwd"}, "auth_time": ago.Unix()}, time.Time{}, false},
		{"at an unknown time", map[string]any{"amr": []string{"otp"}}, time.Time{}, false},
		{"by an unknown method", map[string]any{"auth_time": ago.Unix()}, time.Time{}, false},
		{"in the future", map[string]any{"amr": []string{"otp"}, "auth_time": time.Now().Add(time.Hour).Unix()}, time.Time{}, true},
		{"a time that is text", map[string]any{"amr": []string{"otp"}, "auth_time": "now"}, time.Time{}, false},
	} {
		s := newStandIn(t)
		c := s.config()
		c.Proofs = []string{"otp", "hwk"}
		s.claims = tt.claims
		by, err := s.provider(c).Authenticate(bearer(s.sign(s.says(""))))
		if (err != nil) != tt.refuse || !by.Proved.Equal(tt.proved) {
			t.Errorf("%s: %v, %v, want %v", tt.name, by.Proved, err, tt.proved)
		}
	}
	s := newStandIn(t)
	s.claims = map[string]any{"amr": []string{"otp"}, "auth_time": ago.Unix()}
	if by, err := s.provider(s.config()).Authenticate(bearer(s.sign(s.says("")))); err != nil || !by.Proved.IsZero() {
		t.Errorf("without Proofs: %v, %v", by.Proved, err)
	}
}

// TestProviderIsDown: no sign-in succeeds, nothing is said about credentials, and it works
// again afterwards.
func TestProviderIsDown(t *testing.T) {
	s := newStandIn(t)
	token := s.sign(s.says(""))
	s.down["/.well-known/openid-configuration"] = http.StatusBadGateway
	p := s.provider(s.config())
	w := httptest.NewRecorder()
	if p.SignIn(w, httptest.NewRequest("GET", "/sign-in", nil)); w.Code != http.StatusServiceUnavailable {
		t.Errorf("sign-in: status %d", w.Code)
	}
	unclear := func(err error) bool {
		return err != nil && !errors.Is(err, access.ErrCredentials) && !errors.Is(err, access.ErrNoCredentials)
	}
	if _, err := p.Authenticate(bearer(token)); !unclear(err) {
		t.Errorf("bearer token: %v", err)
	}
	delete(s.down, "/.well-known/openid-configuration")
	s.down["/keys"] = http.StatusServiceUnavailable
	p = s.provider(s.config())
	if _, err := p.Authenticate(bearer(token)); !unclear(err) {
		t.Errorf("bearer token without the keys: %v", err)
	}
	var b browser
	back := b.signIn(t, p)
	s.mu.Lock()
	s.down["/token"] = http.StatusInternalServerError
	s.mu.Unlock()
	if _, err := p.Finish(httptest.NewRecorder(), b.request(back)); !unclear(err) {
		t.Errorf("the code cannot be redeemed: %v", err)
	}
	s.mu.Lock()
	clear(s.down)
	s.mu.Unlock()
	if by, err := p.Authenticate(bearer(token)); err != nil {
		t.Errorf("afterwards: %+v, %v", by, err)
	}
}

// TestKeysThatChange: a new key is read when a token has it, and forged tokens do not decide
// how often.
func TestKeysThatChange(t *testing.T) {
	s := newStandIn(t)
	p := s.provider(s.config())
	for range 100 {
		if _, err := p.Authenticate(bearer(s.signed(newKey(t), rand.Text(), s.says("")))); !errors.Is(err, access.ErrCredentials) {
			t.Fatal(err)
		}
	}
	if s.fetched > 10 {
		t.Errorf("100 forged tokens have the keys read %d times", s.fetched)
	}
}

// TestMetadataThatAreRefused: a provider whose metadata are not its own, or that has secrets
// sent in clear.
func TestMetadataThatAreRefused(t *testing.T) {
	for name, change := range map[string]map[string]any{
		"another issuer":         {"issuer": "https://login.example.com"},
		"tokens in clear":        {"token_endpoint": "http://login.example.com/token"},
		"keys in clear":          {"jwks_uri": "http://login.example.com/keys"},
		"sign-in in clear":       {"authorization_endpoint": "http://login.example.com/authorize"},
		"only shared secrets":    {"id_token_signing_alg_values_supported": []string{"HS256", "none"}},
		"a document of 2 MiB":    {"padding": strings.Repeat("x", 2<<20)},
		"a long issuer":          {"issuer": strings.Repeat("x\n", 100_000)},
		"algorithms as a number": {"id_token_signing_alg_values_supported": 7},
	} {
		s := newStandIn(t)
		s.metadata = change
		w := httptest.NewRecorder()
		p := s.provider(s.config())
		if p.SignIn(w, httptest.NewRequest("GET", "/", nil)); w.Code != http.StatusServiceUnavailable {
			t.Errorf("%s: status %d, to %s", name, w.Code, w.Header().Get("Location"))
		}
	}
}

func TestConfigThatIsRefused(t *testing.T) {
	good := oidc.Config{Issuer: "https://login.example.com", ClientID: client}
	for field, change := range map[string]func(*oidc.Config){
		"Config.Issuer":      func(c *oidc.Config) { c.Issuer = "http://login.example.com" },
		"Config.ClientID":    func(c *oidc.Config) { c.ClientID = "" },
		"Config.RedirectURL": func(c *oidc.Config) { c.RedirectURL = "https://user:pass@gateway.example.com/#x" },
		"Config.Scopes[1]":   func(c *oidc.Config) { c.Scopes = []string{"email", "a b"} },
		"Config.Proofs[0]":   func(c *oidc.Config) { c.Proofs = []string{""} },
		"Config.Key":         func(c *oidc.Config) { c.Key = make([]byte, 16) },
	} {
		c := good
		change(&c)
		_, err := oidc.New(c)
		var invalid *checks.InvalidError
		if !errors.As(err, &invalid) || invalid.Field != field || strings.Contains(err.Error(), "pass@") {
			t.Errorf("%s: %v", field, err)
		}
	}
	if _, err := oidc.New(good); err != nil {
		t.Error(err)
	}
	for _, issuer := range []string{"", "login.example.com", "https://", "https://u@login.example.com", "https://login.example.com?a=b", "https://login.example.com#a", ":", "http://127.0.0.1.example.com"} {
		if _, err := oidc.New(oidc.Config{Issuer: issuer, ClientID: client}); err == nil {
			t.Errorf("the issuer %q is accepted", issuer)
		}
	}
}

// FuzzAuthenticate: no header makes an actor, and none panics.
func FuzzAuthenticate(f *testing.F) {
	p, err := oidc.New(oidc.Config{Issuer: "http://127.0.0.1:1", ClientID: client})
	if err != nil {
		f.Fatal(err)
	}
	f.Add("Bearer a.b.c")
	f.Add("Bearer " + unsigned(`{"alg":"none"}`, map[string]any{"iss": "http://127.0.0.1:1", "aud": client}, ""))
	f.Fuzz(func(t *testing.T, header string) {
		r := httptest.NewRequest("GET", "/", nil)
		r.Header["Authorization"] = []string{header}
		if by, err := p.Authenticate(r); err == nil {
			t.Errorf("%+v", by)
		}
	})
}
