package access_test

import (
	"bytes"
	"errors"
	"net/http/httptest"
	"regexp"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/serin-go/serin/checks"
	"github.com/serin-go/serin/rollout"
	"github.com/serin-go/serin/rollout/access"
	"github.com/serin-go/serin/rollout/memstore"
)

// newTokens returns tokens with their store.
func newTokens(t *testing.T) (*access.Tokens, rollout.Store) {
	t.Helper()
	store := new(memstore.Store)
	tokens, err := access.NewTokens(access.TokensConfig{Store: store})
	if err != nil {
		t.Fatal(err)
	}
	return tokens, store
}

var issuer = rollout.Actor{Name: "ana", Subject: "idp|7", Roles: []string{"release", "sre"}}

func tokenRequest(until time.Time) access.TokenRequest {
	return access.TokenRequest{Name: "pipeline", Roles: []string{"release"}, Targets: []string{"chat-*"}, Until: until}
}

// with authenticates a request with an Authorization header.
func with(a access.Authenticator, headers ...string) (rollout.Actor, error) {
	r := httptest.NewRequest("GET", "/", nil)
	for _, h := range headers {
		r.Header.Add("Authorization", h)
	}
	return a.Authenticate(r)
}

// TestTokens: a token is accepted until its end, is found by scanners, and is not in the store.
func TestTokens(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		tokens, store := newTokens(t)
		token, issued, err := tokens.Issue(t.Context(), tokenRequest(time.Now().Add(24*time.Hour)), issuer)
		if err != nil || !regexp.MustCompile(`^serin_[0-9A-Za-z]{33}$`).MatchString(token) {
			t.Fatal(token, err)
		}
		by, err := with(tokens, "Bearer "+token)
		if err != nil || by.Name != "pipeline" || by.Subject != "token:"+issued.ID || len(by.Roles) != 1 || !by.Proved.IsZero() {
			t.Fatalf("%+v %v", by, err)
		}
		for e, err := range store.List(t.Context(), "") {
			if err != nil || bytes.Contains(e.Value, []byte(token[6:20])) {
				t.Errorf("the store has the token: %s %v", e.Value, err)
			}
		}
		used := func() time.Time {
			for i, err := range tokens.List(t.Context()) {
				if err != nil || i.ID != issued.ID || i.By.Name != "ana" {
					t.Errorf("%+v %v", i, err)
				}
				return i.Used
			}
			return time.Time{}
		}
		if first := used(); first.IsZero() {
			t.Error("the use is not known")
		} else if time.Sleep(2 * time.Hour); true {
			if _, err := with(tokens, "Bearer "+token); err != nil || !used().After(first) {
				t.Error("the later use is not known", err)
			}
		}
		time.Sleep(22*time.Hour - time.Nanosecond)
		if _, err := with(tokens, "Bearer "+token); err != nil {
			t.Error(err)
		}
		time.Sleep(time.Nanosecond)
		if _, err := with(tokens, "Bearer "+token); !errors.Is(err, access.ErrCredentials) {
			t.Errorf("after its end: %v", err)
		}
	})
}

// TestTokensRefuse: what is no token of the store is no credential.
func TestTokensRefuse(t *testing.T) {
	tokens, store := newTokens(t)
	token, issued, err := tokens.Issue(t.Context(), tokenRequest(time.Now().Add(time.Hour)), issuer)
	if err != nil {
		t.Fatal(err)
	}
	other := []byte(token)
	other[8] = map[bool]byte{true: 'a', false: 'b'}[other[8] != 'a']
	for name, c := range map[string]struct {
		headers []string
		want    error
	}{
		"nothing":      {nil, access.ErrNoCredentials},
		"basic":        {[]string{"Basic YTpi"}, access.ErrNoCredentials},
		"another kind": {[]string{"Bearer 123"}, access.ErrNoCredentials},
		"one letter":   {[]string{"Bearer " + string(other)}, access.ErrCredentials},
		"cut":          {[]string{"Bearer " + token[:len(token)-1]}, access.ErrCredentials},
		"longer":       {[]string{"Bearer " + token + "0"}, access.ErrCredentials},
		"twice":        {[]string{"Bearer " + token, "Bearer " + token}, access.ErrCredentials},
	} {
		if by, err := with(tokens, c.headers...); !errors.Is(err, c.want) || by.Name != "" {
			t.Errorf("%s: %+v %v", name, by, err)
		}
	}
	e, err := store.Get(t.Context(), "token/"+issued.ID)
	if err != nil {
		t.Fatal(err)
	}
	// A store in which the end was moved beyond 90 days, or the digest altered, gives no rights.
	for _, value := range [][]byte{
		bytes.Replace(e.Value, []byte(`"until":"20`), []byte(`"until":"21`), 1),
		regexp.MustCompile(`"digest":".`).ReplaceAll(e.Value, []byte(`"digest":"x`)),
		[]byte("{torn"),
	} {
		if e.Revision, err = store.Put(t.Context(), e.Key, value, e.Revision); err != nil {
			t.Fatal(err)
		}
		if _, err := with(tokens, "Bearer "+token); !errors.Is(err, access.ErrCredentials) {
			t.Errorf("%s: %v", value, err)
		}
	}
	_ = store.Close()
	if _, err := with(tokens, "Bearer "+token); err == nil || errors.Is(err, access.ErrCredentials) || errors.Is(err, access.ErrNoCredentials) {
		t.Errorf("a store that is closed: %v", err)
	}
}

// TestTokenRights: a token acts on its targets alone, for no person, and not after it was
// revoked.
func TestTokenRights(t *testing.T) {
	tokens, _ := newTokens(t)
	policy, err := access.NewPolicy(access.Grant{Role: "release", Actions: []rollout.Action{"*"}, Targets: []string{"*"}})
	if err != nil {
		t.Fatal(err)
	}
	may := tokens.Authorize(policy.Authorize)
	token, issued, err := tokens.Issue(t.Context(), tokenRequest(time.Now().Add(time.Hour)), issuer)
	if err != nil {
		t.Fatal(err)
	}
	by, err := with(tokens, "Bearer "+token)
	if err != nil {
		t.Fatal(err)
	}
	for _, c := range []struct {
		by     rollout.Actor
		what   rollout.Action
		target string
		want   bool
	}{
		{by, "start", "chat-eu", true}, {by, "abort", "chat-eu", true}, {by, "reject", "chat-eu", true},
		{by, "start", "chat", false}, {by, "start", "search", false}, {by, "read", "", false},
		{by, "approve", "chat-eu", false}, {by, "attest", "chat-eu", false}, {by, "waive", "chat-eu", false}, {by, "review", "chat-eu", false},
		{issuer, "approve", "search", true},
		{rollout.Actor{Name: "x", Subject: "token:", Roles: []string{"release"}}, "start", "chat-eu", false},
		{rollout.Actor{Name: "x", Subject: "token:../rollout/chat", Roles: []string{"release"}}, "start", "chat-eu", false},
	} {
		if got := may(t.Context(), c.by, c.what, c.target) == nil; got != c.want {
			t.Errorf("%s %s %s: %v", c.by.Subject, c.what, c.target, got)
		}
	}
	if tokens.Authorize(nil)(t.Context(), by, "start", "chat-eu") == nil {
		t.Error("without a policy a token may start")
	}
	for range 2 {
		if err := tokens.Revoke(t.Context(), issued.ID); err != nil {
			t.Fatal(err)
		}
	}
	if may(t.Context(), by, "abort", "chat-eu") == nil {
		t.Error("a token that was revoked has rights")
	}
	if _, err := with(tokens, "Bearer "+token); !errors.Is(err, access.ErrCredentials) {
		t.Error(err)
	}
}

// TestTokenRequests: everything that is wrong with a request comes at the same time, and no
// token has more than its issuer.
func TestTokenRequests(t *testing.T) {
	tokens, _ := newTokens(t)
	in := func(d time.Duration) time.Time { return time.Now().Add(d) }
	for _, c := range []struct {
		q    access.TokenRequest
		by   rollout.Actor
		want int
	}{
		{access.TokenRequest{}, issuer, 4},
		{access.TokenRequest{Name: "p", Roles: []string{"admin"}, Targets: []string{"Chat", "*-chat"}, Until: in(91 * 24 * time.Hour)}, issuer, 4},
		{tokenRequest(in(-time.Second)), issuer, 1},
		{tokenRequest(in(time.Hour)), rollout.Actor{Name: "ci", Subject: "token:1", Roles: []string{"release"}}, 1},
		{tokenRequest(in(time.Hour)), rollout.Actor{}, 2},
	} {
		_, _, err := tokens.Issue(t.Context(), c.q, c.by)
		n := 0
		for range checks.Invalid(err) {
			n++
		}
		if n != c.want {
			t.Errorf("%+v: %d mistakes, want %d: %v", c.q, n, c.want, err)
		}
	}
	var wrong *checks.InvalidError
	if _, err := access.NewTokens(access.TokensConfig{}); !errors.As(err, &wrong) {
		t.Error(err)
	}
	for _, id := range []string{"", "x", strings.Repeat("A", 32), "../rollout/chat"} {
		if err := tokens.Revoke(t.Context(), id); !errors.As(err, &wrong) {
			t.Errorf("%q: %v", id, err)
		}
	}
}
