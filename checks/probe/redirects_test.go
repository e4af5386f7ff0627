package probe_test

import (
	"fmt"
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"
	"testing"
	"time"

	"github.com/serin-go/serin/checks"
	"github.com/serin-go/serin/checks/checkstest"
	"github.com/serin-go/serin/checks/probe"
)

func TestRedirects(t *testing.T) {
	base := serve(t, func(w http.ResponseWriter, r *http.Request) {
		to, status := url.URL{Scheme: "https", Host: "127.0.0.1", Path: r.URL.Path, RawQuery: r.URL.RawQuery}, http.StatusMovedPermanently
		switch r.URL.Path {
		case "/none":
			return
		case "/308":
			status = http.StatusPermanentRedirect
		case "/found":
			status = http.StatusFound
		case "/http":
			to.Scheme = "http"
		case "/host":
			to.Host = "localhost"
		case "/path":
			to.Path = "/"
		case "/query":
			to.RawQuery = ""
		case "/user":
			to.User = url.UserPassword("hidden", "hidden")
		case "/port":
			to.Host = "127.0.0.1:22"
		case "/443":
			to.Host = "127.0.0.1:443"
		case "/bad", "/bad-and-long":
			w.Header().Set("Location", "https://hidden:hidden@[bad/?k=hidden"+strings.Repeat("a", len(r.URL.Path)<<10))
			w.WriteHeader(status)
			return
		case "/long":
			to.Host, to.Path = "localhost", strings.Repeat("/a", 10<<10)
		case "/empty":
			w.WriteHeader(status)
			return
		}
		http.Redirect(w, r, to.String(), status)
	})
	for path, status := range map[string]checks.Status{
		"": checks.Pass, "/": checks.Pass, "/a/b%20c?d=e": checks.Pass, "/308": checks.Pass, "/443": checks.Pass,
		"/port": checks.Fail, "/bad": checks.Fail, "/bad-and-long": checks.Fail, "/long": checks.Fail,
		"/none": checks.Fail, "/found": checks.Fail, "/http": checks.Fail, "/host": checks.Fail, "/path": checks.Fail,
		"/query?k=hidden": checks.Fail, "/user": checks.Fail, "/empty": checks.Fail,
	} {
		r := want(t, probe.Redirects(base+path), status)
		all := fmt.Sprint(r, r.Err)
		if !strings.HasPrefix(path, "/bad") && r.Evidence["status"] == "" || strings.Contains(all, "hidden") || len(all) > 4<<10 {
			t.Errorf("%s: %+v", path, r)
		}
	}
	want(t, probe.Redirects("http://"+closed(t)), checks.Fail)
	if got := fields(t, probe.Redirects("https://x")); len(got) != 1 {
		t.Error(got)
	}
	checkstest.Exercise(t, func(*testing.T) checks.Check { return probe.Redirects(base) })
}

func TestHSTS(t *testing.T) {
	server := httptest.NewTLSServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		for _, v := range r.URL.Query()["v"] {
			w.Header().Add("Strict-Transport-Security", v)
		}
		w.WriteHeader(http.StatusNotFound)
	}))
	defer server.Close()
	ask := func(o probe.HSTSOptions, headers ...string) checks.Check {
		o.URL, o.Client = "https://example.com/?"+url.Values{"v": headers}.Encode(), server.Client()
		return probe.HSTS(o)
	}
	for _, c := range []struct {
		want    checks.Status
		headers []string
	}{
		{checks.Pass, []string{"max-age=15552000"}},
		{checks.Fail, []string{"max-age=15551999"}},
		{checks.Pass, []string{`Max-Age = "31536000" ; includeSubDomains; preload`}},
		{checks.Pass, []string{";max-age=15552000;;other=1"}},
		{checks.Pass, []string{`x="a; max-age=0; \" y=b";max-age=15552000`}},
		{checks.Fail, []string{`x="a; max-age=31536000; y=b"`}},
		{checks.Fail, []string{`max-age=31536000; x="a`}},
		{checks.Fail, []string{`max-age="31536000" x`}},
		{checks.Fail, []string{"max-age=31536000; some words"}},
		{checks.Fail, []string{"max-age=31536000; =x"}},
		{checks.Fail, []string{"max-age=31536000, max-age=0"}},
		{checks.Fail, []string{"max-age=31536000; includeSubDomains=false"}},
		{checks.Fail, []string{"max-age=31536000; includeSubDomains="}},
		{checks.Fail, []string{"max-age=+31536000"}},
		{checks.Pass, []string{"max-age=15552000", "max-age=0"}},
		{checks.Fail, []string{"max-age=0", "max-age=15552000"}},
		{checks.Fail, nil},
		{checks.Fail, []string{"includeSubDomains"}},
		{checks.Fail, []string{"max-age=15552000; max-age=15552000"}},
		{checks.Fail, []string{"max-age=-1"}},
		{checks.Fail, []string{"max-age=1e9"}},
		{checks.Fail, []string{"max-age="}},
		{checks.Fail, []string{"max-age"}},
		{checks.Fail, []string{`max-age="`}},
		{checks.Fail, []string{"max-age=99999999999999999999"}},
	} {
		if r := ask(probe.HSTSOptions{}, c.headers...).Check(t.Context()); r.Status != c.want {
			t.Errorf("%q: %v, want %v: %s %v", c.headers, r.Status, c.want, r.Summary, r.Err)
		}
	}
	want(t, ask(probe.HSTSOptions{Min: time.Hour}, "max-age=3600"), checks.Pass)
	want(t, ask(probe.HSTSOptions{Subdomains: true}, "max-age=31536000"), checks.Fail)
	r := want(t, ask(probe.HSTSOptions{Subdomains: true}, "max-age=31536000; IncludeSubdomains"), checks.Pass)
	if r.Evidence["max-age"] != "31536000" || r.Evidence["includeSubDomains"] != "true" {
		t.Error(r.Evidence)
	}
	for _, u := range []string{"http://example.com", "https://127.0.0.1", "https://[::1]", ""} {
		if got := fmt.Sprint(fields(t, probe.HSTS(probe.HSTSOptions{URL: u, Min: -1}))); got != "[HSTSOptions.URL HSTSOptions.Min]" {
			t.Errorf("%q: %s", u, got)
		}
	}
	checkstest.Exercise(t, func(*testing.T) checks.Check { return ask(probe.HSTSOptions{}, "max-age=31536000") })
}
