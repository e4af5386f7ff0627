package access_test

import (
	"crypto/sha256"
	"errors"
	"fmt"
	"net/http"
	"net/http/httptest"
	"net/netip"
	"reflect"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/serin-go/serin/checks"
	"github.com/serin-go/serin/rollout"
	"github.com/serin-go/serin/rollout/access"
)

func request(from string, header ...string) *http.Request {
	r := httptest.NewRequest("GET", "/", nil)
	r.RemoteAddr = from
	for i := 0; i+1 < len(header); i += 2 {
		r.Header.Add(header[i], header[i+1])
	}
	return r
}

func TestHeader(t *testing.T) {
	a, err := access.Header(access.HeaderOptions{Trusted: []netip.Prefix{netip.MustParsePrefix("10.0.0.0/8"), netip.MustParsePrefix("::1/128")}, Name: "X-Forwarded-Preferred-Username"})
	if err != nil {
		t.Fatal(err)
	}
	ana := rollout.Actor{Name: "Ana", Subject: "idp|7", Roles: []string{"sre", "privacy"}}
	full := []string{"X-Forwarded-User", "idp|7", "X-Forwarded-Preferred-Username", "Ana", "X-Forwarded-Groups", "sre, privacy,"}
	for name, c := range map[string]struct {
		r    *http.Request
		want rollout.Actor
		err  error
	}{
		"user":                    {request("10.1.2.3:4000", full...), ana, nil},
		"by IPv6":                 {request("[::1]:4000", full...), ana, nil},
		"mapped":                  {request("[::ffff:10.1.2.3]:4000", full...), ana, nil},
		"without name and roles":  {request("10.1.2.3:4000", "X-Forwarded-User", "idp|7"), rollout.Actor{Name: "idp|7", Subject: "idp|7"}, nil},
		"not the proxy":           {request("192.0.2.1:4000", full...), rollout.Actor{}, access.ErrNoCredentials},
		"no address":              {request("pipe", full...), rollout.Actor{}, access.ErrNoCredentials},
		"no user":                 {request("10.1.2.3:4000", "X-Forwarded-Groups", "sre"), rollout.Actor{}, access.ErrNoCredentials},
		"two users":               {request("10.1.2.3:4000", "X-Forwarded-User", "a", "X-Forwarded-User", "b"), rollout.Actor{}, access.ErrCredentials},
		"roles twice":             {request("10.1.2.3:4000", append(full, "X-Forwarded-Groups", "admin")...), rollout.Actor{}, access.ErrCredentials},
		"a subject with a blank":  {request("10.1.2.3:4000", "X-Forwarded-User", "a b"), rollout.Actor{}, access.ErrCredentials},
		"a subject that is wide":  {request("10.1.2.3:4000", "X-Forwarded-User", "ａｎａ"), rollout.Actor{}, access.ErrCredentials},
		"a name that turns round": {request("10.1.2.3:4000", "X-Forwarded-User", "a", "X-Forwarded-Preferred-Username", "ana\u202e"), rollout.Actor{}, access.ErrCredentials},
		"a role that is long":     {request("10.1.2.3:4000", "X-Forwarded-User", "a", "X-Forwarded-Groups", strings.Repeat("x", 200)), rollout.Actor{}, access.ErrCredentials},
	} {
		got, err := a.Authenticate(c.r)
		if !errors.Is(err, c.err) || !reflect.DeepEqual(got, c.want) {
			t.Errorf("%s: %+v, %v, want %+v, %v", name, got, err, c.want, c.err)
		}
	}
	b, err := access.Header(access.HeaderOptions{Trusted: []netip.Prefix{netip.MustParsePrefix("10.0.0.0/8")}, Issuer: "https://login.example.com"})
	if err != nil {
		t.Fatal(err)
	}
	if got, err := b.Authenticate(request("10.1.2.3:4000", "X-Forwarded-User", "7")); err != nil || got.Subject != "https://login.example.com#7" || got.Name != "7" {
		t.Errorf("with an issuer: %+v, %v", got, err)
	}
	if got, err := b.Authenticate(request("10.1.2.3:4000", "X-Forwarded-User", strings.Repeat("7", 240))); !errors.Is(err, access.ErrCredentials) {
		t.Errorf("a subject that is too long with its issuer: %+v, %v", got, err)
	}
	_, err = access.Header(access.HeaderOptions{User: "X User", Roles: "x user", Issuer: "a b"})
	_, err2 := access.Header(access.HeaderOptions{Roles: "a\nb", Trusted: []netip.Prefix{netip.MustParsePrefix("0.0.0.0/0"), netip.MustParsePrefix("::ffff:10.0.0.0/104")}})
	err = errors.Join(err, err2)
	var fields []string
	for e := range checks.Invalid(err) {
		fields = append(fields, e.Field)
	}
	if got := strings.Join(fields, " "); got != "HeaderOptions.Trusted HeaderOptions.User HeaderOptions.Roles HeaderOptions.Roles HeaderOptions.Issuer HeaderOptions.Trusted[0] HeaderOptions.Trusted[1] HeaderOptions.Roles" {
		t.Error(got)
	}
}

func digestOf(token string) string { return fmt.Sprintf("sha256:%x", sha256.Sum256([]byte(token))) }

func TestBearer(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		ci := rollout.Actor{Name: "ci", Roles: []string{"developer"}}
		a, err := access.Bearer(access.Token{Digest: digestOf("secret-1"), Actor: ci, Until: time.Now().Add(time.Hour)})
		if err != nil {
			t.Fatal(err)
		}
		for name, c := range map[string]struct {
			header []string
			err    error
		}{
			"token":         {[]string{"Authorization", "Bearer secret-1"}, nil},
			"other case":    {[]string{"Authorization", "bearer secret-1"}, nil},
			"none":          {nil, access.ErrNoCredentials},
			"other scheme":  {[]string{"Authorization", "Basic secret-1"}, access.ErrNoCredentials},
			"cut":           {[]string{"Authorization", "Bearer secret-"}, access.ErrCredentials},
			"longer":        {[]string{"Authorization", "Bearer secret-12"}, access.ErrCredentials},
			"token in case": {[]string{"Authorization", "Bearer SECRET-1"}, access.ErrCredentials},
			"empty":         {[]string{"Authorization", "Bearer "}, access.ErrCredentials},
			"scheme alone":  {[]string{"Authorization", "Bearer"}, access.ErrCredentials},
			"the digest":    {[]string{"Authorization", "Bearer " + digestOf("secret-1")}, access.ErrCredentials},
			"twice":         {[]string{"Authorization", "Bearer x", "Authorization", "Bearer secret-1"}, access.ErrCredentials},
		} {
			got, err := a.Authenticate(request("192.0.2.1:1", c.header...))
			if !errors.Is(err, c.err) || (err == nil) != (got.Name == "ci") || strings.Contains(fmt.Sprint(err), "secret") {
				t.Errorf("%s: %+v, %v, want %v", name, got, err, c.err)
			}
		}
		got, _ := a.Authenticate(request("192.0.2.1:1", "Authorization", "Bearer secret-1"))
		got.Roles[0] = "sre"
		if again, _ := a.Authenticate(request("192.0.2.1:1", "Authorization", "Bearer secret-1")); again.Roles[0] != "developer" {
			t.Error("a caller has changed the roles of a token")
		}
		time.Sleep(time.Hour)
		if _, err := a.Authenticate(request("192.0.2.1:1", "Authorization", "Bearer secret-1")); !errors.Is(err, access.ErrCredentials) {
			t.Errorf("%v: the token has ended", err)
		}
		_, err = access.Bearer(access.Token{Digest: digestOf(""), Actor: ci, Until: time.Now()}, access.Token{Digest: "secret", Actor: ci, Until: time.Now()}, access.Token{Digest: digestOf("a")}, access.Token{Digest: digestOf("a"), Actor: ci, Until: time.Now()})
		var fields []string
		for e := range checks.Invalid(err) {
			fields = append(fields, e.Field)
		}
		if got := strings.Join(fields, " "); got != "tokens[0].Digest tokens[1].Digest tokens[2].Until tokens[2].Actor.Name tokens[3].Digest" || strings.Contains(err.Error(), "secret") {
			t.Errorf("%s: %v", got, err)
		}
	})
}

func TestFirst(t *testing.T) {
	proxy, err1 := access.Header(access.HeaderOptions{Trusted: []netip.Prefix{netip.MustParsePrefix("10.0.0.0/8")}})
	tokens, err2 := access.Bearer(access.Token{Digest: digestOf("t"), Actor: rollout.Actor{Name: "ci"}, Until: time.Now().Add(time.Hour)})
	if err := errors.Join(err1, err2); err != nil {
		t.Fatal(err)
	}
	a := access.First(nil, tokens, proxy)
	for _, c := range []struct {
		header []string
		name   string
		err    error
	}{
		{[]string{"Authorization", "Bearer t", "X-Forwarded-User", "ana"}, "ci", nil},
		{[]string{"X-Forwarded-User", "ana"}, "ana", nil},
		{[]string{"Authorization", "Bearer wrong", "X-Forwarded-User", "ana"}, "", access.ErrCredentials},
		{nil, "", access.ErrNoCredentials},
	} {
		if got, err := a.Authenticate(request("10.0.0.1:1", c.header...)); got.Name != c.name || !errors.Is(err, c.err) {
			t.Errorf("%q: %+v, %v", c.header, got, err)
		}
	}
	if _, err := access.First().Authenticate(request("10.0.0.1:1")); !errors.Is(err, access.ErrNoCredentials) {
		t.Error(err)
	}
}
