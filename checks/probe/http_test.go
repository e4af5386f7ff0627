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
		"long":            {probe.HTTPOptions{URL: url + "/long"}, checks.Unknown},
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
	for _, url := range []string{"", "x", "http://", "http://a b", "ftp://user:secret@x?k=secret", "http://user:secret@" + closed(t) + "/?k=secret"} {
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
	if b := digest(probe.HTTPOptions{URL: "http://user:b@x?k=b", Header: http.Header{"Authorization": {"b"}}}); a != b {
		t.Error("the digest depends on secrets")
	}
	if b := digest(probe.HTTPOptions{URL: "http://x", Contains: "y"}); a == b {
		t.Error("the digest does not depend on what is wanted")
	}
}
