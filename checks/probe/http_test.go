package probe_test

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log"
	"net"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/serin-go/serin/checks"
	"github.com/serin-go/serin/checks/checkstest"
	"github.com/serin-go/serin/checks/probe"
)

// fields are the fields that the result of c says are invalid.
func fields(t *testing.T, c checks.Check) []string {
	t.Helper()
	r := c.Check(t.Context())
	if r.Status != checks.Unknown {
		t.Errorf("%v, want Unknown", r.Status)
	}
	var all []string
	for e := range checks.Invalid(r.Err) {
		if e.Package != "probe" {
			t.Errorf("package %q", e.Package)
		}
		all = append(all, e.Field)
	}
	return all
}

func want(t *testing.T, c checks.Check, status checks.Status) checks.Result {
	t.Helper()
	r := c.Check(t.Context())
	if r.Status != status {
		t.Errorf("%v, want %v: %s %v", r.Status, status, r.Summary, r.Err)
	}
	return r
}

func serve(t *testing.T, h http.HandlerFunc) string {
	s := httptest.NewServer(h)
	t.Cleanup(s.Close)
	return s.URL
}

func TestHTTP(t *testing.T) {
	url := serve(t, func(w http.ResponseWriter, r *http.Request) {
		switch r.URL.Path {
		case "/away":
			http.Redirect(w, r, "/ok", http.StatusFound)
		case "/down":
			w.WriteHeader(http.StatusServiceUnavailable)
		case "/long":
			w.Write(make([]byte, 1<<20+1))
		case "/cut":
			w.Header().Set("Content-Length", "10")
			io.WriteString(w, "short")
		case "/echo":
			body, _ := io.ReadAll(r.Body)
			fmt.Fprintf(w, "%s %s %s", r.Method, r.Header.Get("Authorization"), body)
		case "/slow":
			<-r.Context().Done()
		default:
			io.WriteString(w, `{"status":"pass","checks":[{"n":1.50,"a/b":null}]}`)
		}
	})
	secure := httptest.NewUnstartedServer(http.HandlerFunc(func(http.ResponseWriter, *http.Request) {}))
	secure.Config.ErrorLog = log.New(io.Discard, "", 0)
	secure.StartTLS()
	defer secure.Close()
	for name, c := range map[string]struct {
		o    probe.HTTPOptions
		want checks.Status
	}{
		"pass":            {probe.HTTPOptions{URL: url}, checks.Pass},
		"status":          {probe.HTTPOptions{URL: url + "/down"}, checks.Fail},
		"wanted status":   {probe.HTTPOptions{URL: url + "/down", Want: []int{503}}, checks.Pass},
		"unwanted":        {probe.HTTPOptions{URL: url, Want: []int{204}}, checks.Fail},
		"redirect":        {probe.HTTPOptions{URL: url + "/away"}, checks.Fail},
		"follow":          {probe.HTTPOptions{URL: url + "/away", Redirects: 1, Contains: "pass"}, checks.Pass},
		"contains":        {probe.HTTPOptions{URL: url, Contains: `"pass"`}, checks.Pass},
		"does not":        {probe.HTTPOptions{URL: url, Contains: `"fail"`}, checks.Fail},
		"long":            {probe.HTTPOptions{URL: url + "/long"}, checks.Pass},
		"long, contains":  {probe.HTTPOptions{URL: url + "/long", Contains: "\x00"}, checks.Pass},
		"long, does not":  {probe.HTTPOptions{URL: url + "/long", Contains: "x"}, checks.Unknown},
		"long JSON":       {probe.HTTPOptions{URL: url + "/long", JSON: map[string]string{"": "0"}}, checks.Unknown},
		"cut":             {probe.HTTPOptions{URL: url + "/cut"}, checks.Fail},
		"request":         {probe.HTTPOptions{URL: url + "/echo", Body: "x", Header: http.Header{"Authorization": {"k"}}, Contains: "POST k x"}, checks.Pass},
		"JSON":            {probe.HTTPOptions{URL: url, JSON: map[string]string{"/status": "pass", "/checks/0/n": "1.50", "/checks/0/a~1b": "null"}}, checks.Pass},
		"other value":     {probe.HTTPOptions{URL: url, JSON: map[string]string{"/status": "warn"}}, checks.Fail},
		"no value":        {probe.HTTPOptions{URL: url, JSON: map[string]string{"/checks/00/n": "1.50"}}, checks.Fail},
		"not JSON":        {probe.HTTPOptions{URL: url + "/echo", JSON: map[string]string{"": ""}}, checks.Fail},
		"slow":            {probe.HTTPOptions{URL: url + "/slow", MaxTime: time.Millisecond}, checks.Fail},
		"no listener":     {probe.HTTPOptions{URL: "http://" + closed(t)}, checks.Fail},
		"unknown to DNS":  {probe.HTTPOptions{URL: "http://probe.invalid", MaxTime: 5 * time.Second}, checks.Fail},
		"not loopback":    {probe.HTTPOptions{URL: "http://10.0.0.1", Client: &http.Client{Transport: answerAll{}}}, checks.Warn},
		"TLS, or not":     {probe.HTTPOptions{URL: strings.Replace(url, "http", "https", 1)}, checks.Fail},
		"certificate":     {probe.HTTPOptions{URL: secure.URL}, checks.Fail},
		"trusted":         {probe.HTTPOptions{URL: secure.URL, Client: secure.Client()}, checks.Pass},
		"unusual success": {probe.HTTPOptions{URL: "https://x", Client: &http.Client{Transport: answerAll{}}}, checks.Pass},
	} {
		t.Run(name, func(t *testing.T) {
			if name == "unknown to DNS" {
				if _, err := net.LookupHost("probe.invalid"); err == nil || !err.(*net.DNSError).IsNotFound {
					t.Skip("the resolver of this machine does not say that a name does not exist")
				}
			}
			want(t, probe.HTTP(c.o), c.want)
		})
	}
}

// answerAll answers every request with 200.
type answerAll struct{}

func (answerAll) RoundTrip(r *http.Request) (*http.Response, error) {
	return &http.Response{StatusCode: 200, Body: http.NoBody, Request: r}, nil
}

// closed is an address on which nothing listens.
func closed(t *testing.T) string {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	l.Close()
	return l.Addr().String()
}

func TestHTTPBadOptions(t *testing.T) {
	got := fields(t, probe.HTTP(probe.HTTPOptions{URL: "ftp://user:secret@x?k=secret", Method: "a b", Want: []int{200, 99}, JSON: map[string]string{"a": ""}, MaxTime: -1, Redirects: -1}))
	if s := fmt.Sprint(got); s != `[HTTPOptions.URL HTTPOptions.MaxTime HTTPOptions.Redirects HTTPOptions.Method HTTPOptions.Want[1] HTTPOptions.JSON["a"]]` {
		t.Error(s)
	}
	for _, url := range []string{"", "x", "http://", "http://a b", "admin:secret@gateway/x", "admin:secret", "http://u:sec/secret@h", "ftp://user:secret@x?k=secret", "http://user:secret@" + closed(t) + "/?k=secret"} {
		r := probe.HTTP(probe.HTTPOptions{URL: url, Header: http.Header{"Authorization": {"secret"}}}).Check(t.Context())
		if all := fmt.Sprint(r, r.Err); strings.Contains(all, "secret") || r.Status.Opens() {
			t.Errorf("%s: %s", url, all)
		}
	}
}

func TestHTTPEnds(t *testing.T) {
	entered := make(chan struct{}, 1)
	url := serve(t, func(_ http.ResponseWriter, r *http.Request) { entered <- struct{}{}; <-r.Context().Done() })
	ctx, cancel := context.WithCancel(t.Context())
	go func() { <-entered; cancel() }()
	if r := probe.HTTP(probe.HTTPOptions{URL: url}).Check(ctx); r.Status != checks.Unknown || !errors.Is(r.Err, context.Canceled) {
		t.Errorf("%+v", r)
	}
}

func TestConformance(t *testing.T) {
	url := serve(t, func(w http.ResponseWriter, _ *http.Request) { io.WriteString(w, "ok") })
	checkstest.Exercise(t, func(*testing.T) checks.Check {
		return probe.HTTP(probe.HTTPOptions{URL: url, Contains: "ok"})
	})
}

func TestDigest(t *testing.T) {
	digest := func(o probe.HTTPOptions) string {
		d, err := checks.DigestOf(probe.HTTP(o))
		if err != nil || d == "" {
			t.Errorf("%q, %v", d, err)
		}
		return d
	}
	a := digest(probe.HTTPOptions{URL: "http://user:a@x?k=a", Header: http.Header{"Authorization": {"a"}}})
	if b := digest(probe.HTTPOptions{URL: "http://user:b@x?k=a", Header: http.Header{"Authorization": {"b"}}, MaxTime: 10 * time.Second, Method: "GET"}); a != b {
		t.Error("the digest depends on secrets, or on whether defaults are spelled out")
	}
	for _, o := range []probe.HTTPOptions{
		{URL: "http://x?k=a", Contains: "y"}, {URL: "http://x?k=b"}, {URL: "http://x"}, {URL: "http://x?k=a", Body: "y", Method: "GET"},
		{URL: "http://x?k=a", Header: http.Header{"Host": {"y"}}}, {URL: "http://x/a%2Fb?k=a"}, {URL: "http://x/a/b?k=a"},
	} {
		if digest(o) == a {
			t.Errorf("the digest does not depend on what is asked or wanted: %+v", o)
		}
	}
	if digest(probe.HTTPOptions{URL: "http://x/a%2Fb"}) == digest(probe.HTTPOptions{URL: "http://x/a/b"}) {
		t.Error("two paths have the same digest")
	}
}

// TestHTTPKeepsItsOptions: options that change later do not change the check.
func TestHTTPKeepsItsOptions(t *testing.T) {
	url := serve(t, func(w http.ResponseWriter, r *http.Request) {
		w.WriteHeader(http.StatusTeapot)
		fmt.Fprintf(w, `{"key":%q}`, r.Header.Get("Key"))
	})
	o := probe.HTTPOptions{URL: url, Want: []int{418}, JSON: map[string]string{"/key": "a"}, Header: http.Header{"Key": {"a"}}}
	c := probe.HTTP(o)
	o.Want[0], o.JSON["/key"], o.Header["Key"][0] = 500, "b", "b"
	want(t, c, checks.Pass)
}

// byURL answers requests by their host and path, with a response that does not name its
// request. A text that begins with "to " is the location of a redirect.
type byURL map[string]string

func (a byURL) RoundTrip(r *http.Request) (*http.Response, error) {
	resp := &http.Response{StatusCode: 200, Header: make(http.Header), Body: http.NoBody}
	if to, ok := strings.CutPrefix(a[r.URL.Scheme+"://"+r.URL.Host+r.URL.Path], "to "); ok {
		resp.StatusCode = http.StatusTemporaryRedirect
		resp.Header.Set("Location", to)
	}
	return resp, nil
}

func TestHTTPRedirects(t *testing.T) {
	for name, c := range map[string]struct {
		url    string
		client byURL
		want   checks.Status
	}{
		"no redirect":           {"https://a.test/", nil, checks.Pass},
		"no redirect, open":     {"http://a.test/", nil, checks.Warn},
		"first hop open":        {"http://a.test/", byURL{"http://a.test/": "to https://a.test/"}, checks.Warn},
		"second hop open":       {"https://a.test/", byURL{"https://a.test/": "to http://a.test/"}, checks.Fail},
		"same host":             {"https://a.test/", byURL{"https://a.test/": "to https://A.test:443/x"}, checks.Pass},
		"three times":           {"https://a.test/", byURL{"https://a.test/": "to /x", "https://a.test/x": "to /y", "https://a.test/y": "to /z"}, checks.Fail},
		"another host":          {"https://a.test/", byURL{"https://a.test/": "to https://b.test/"}, checks.Fail},
		"another port":          {"https://a.test/", byURL{"https://a.test/": "to https://a.test:8443/"}, checks.Fail},
		"another host, later":   {"https://a.test/", byURL{"https://a.test/": "to /x", "https://a.test/x": "to //b.test"}, checks.Fail},
		"no URL":                {"https://a.test/", byURL{"https://a.test/": "to https://hidden:hidden@[bad/?k=hidden"}, checks.Fail},
		"no URL, and very long": {"https://a.test/", byURL{"https://a.test/": "to https://[" + strings.Repeat("a", 1<<20)}, checks.Fail},
		"a very long one":       {"https://a.test/", byURL{"https://a.test/": "to https://b.test/" + strings.Repeat("a", 1<<20)}, checks.Fail},
	} {
		t.Run(name, func(t *testing.T) {
			r := want(t, probe.HTTP(probe.HTTPOptions{URL: c.url, Redirects: 2, Client: &http.Client{Transport: c.client}}), c.want)
			if all := fmt.Sprint(r, r.Err); len(all) > 4<<10 || strings.Contains(all, "hidden") {
				t.Errorf("%d bytes: %.300s", len(all), all)
			}
		})
	}
}

// TestHTTPKeepsSecrets: a redirect sends no header, body or referrer to another server.
func TestHTTPKeepsSecrets(t *testing.T) {
	other := serve(t, func(_ http.ResponseWriter, r *http.Request) { t.Errorf("got %v", r.Header) })
	url := serve(t, func(w http.ResponseWriter, r *http.Request) { http.Redirect(w, r, other, http.StatusTemporaryRedirect) })
	r := want(t, probe.HTTP(probe.HTTPOptions{URL: url + "/?k=hidden", Redirects: 5, Body: "hidden", Header: http.Header{"X-Api-Key": {"hidden"}}}), checks.Fail)
	if strings.Contains(fmt.Sprint(r, r.Err), "hidden") {
		t.Error(r)
	}
}

// TestHTTPLongAnswers: what a server sends instead of HTTP does not fill the result.
func TestHTTPLongAnswers(t *testing.T) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	go func() {
		for {
			conn, err := l.Accept()
			if err != nil {
				return
			}
			io.WriteString(conn, "-ERR token=hidden "+strings.Repeat("x", 2000)+"\r\n\r\n")
			io.Copy(io.Discard, conn)
			conn.Close()
		}
	}()
	r := probe.HTTP(probe.HTTPOptions{URL: "http://" + l.Addr().String()}).Check(t.Context())
	if all := fmt.Sprint(r, r.Err); r.Status.Opens() || r.Err == nil || len(all) > 3<<10 || strings.Contains(all, "hidden") {
		t.Errorf("%d bytes: %.300s", len(all), all)
	}
}
