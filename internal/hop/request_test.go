package hop_test

import (
	"bufio"
	"bytes"
	"errors"
	"io"
	"net"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"testing"

	"github.com/serin-go/serin/internal/hop"
)

// written returns the lines of the head that a RoundTripper writes for a request, in
// order, and the body behind it.
func written(t *testing.T, rt http.RoundTripper, req *http.Request) (lines []string, body string, err error) {
	t.Helper()
	head := make(chan []string, 1)
	rest := make(chan string, 1)
	s := serve(t, func(_ int64, c net.Conn, in *bufio.Reader) {
		var raw bytes.Buffer
		req, err := http.ReadRequest(bufio.NewReader(io.TeeReader(in, &raw)))
		if err != nil {
			return
		}
		b, _ := io.ReadAll(req.Body)
		text, _, _ := strings.Cut(raw.String(), "\r\n\r\n")
		head <- strings.Split(text, "\r\n")
		rest <- string(b)
		_, _ = io.WriteString(c, ok+"Connection: close\r\n\r\n")
	})
	u, _ := url.Parse(s.url)
	req = req.Clone(t.Context())
	port := u.Host
	req.URL.Host = u.Host
	if g := ask(rt, req); g.err != nil {
		return nil, "", g.err
	}
	lines = <-head
	for i := range lines {
		lines[i] = strings.ReplaceAll(lines[i], port, "server")
	}
	slices.Sort(lines[1:])
	return lines, <-rest, nil
}

func request(method, target, body string, h http.Header, change func(*http.Request)) *http.Request {
	req, err := http.NewRequest(method, "http://x"+target, strings.NewReader(body))
	if err != nil {
		panic(err)
	}
	if body == "" {
		req.Body, req.GetBody = nil, nil
	}
	if h != nil {
		req.Header = h
	}
	req.Host = ""
	if change != nil {
		change(req)
	}
	return req
}

// TestRequestsAsNetHTTP: the same request reaches the server in the same words, in any
// order of fields.
func TestRequestsAsNetHTTP(t *testing.T) {
	large := strings.Repeat("x", 300<<10)
	for name, req := range map[string]*http.Request{
		"post":             request("POST", "/v1/chat", "{}", http.Header{"Content-Type": {"application/json"}}, nil),
		"no method":        request("", "/", "", nil, nil),
		"empty post":       request("POST", "/", "", nil, nil),
		"no body":          request("PATCH", "/", "", nil, func(r *http.Request) { r.Body = http.NoBody }),
		"delete":           request("DELETE", "/a", "", nil, nil),
		"get with body":    request("GET", "/a", "{}", nil, nil),
		"query":            request("GET", "/a%2Fb/ä?x=1&y=%20", "", nil, nil),
		"question mark":    request("GET", "/a?", "", nil, nil),
		"no path":          request("GET", "?a", "", nil, nil),
		"opaque":           request("GET", "/", "", nil, func(r *http.Request) { r.URL.Opaque = "/x%2fy" }),
		"opaque host":      request("GET", "/", "", nil, func(r *http.Request) { r.URL.Opaque = "//y/x" }),
		"star":             request("OPTIONS", "", "", nil, func(r *http.Request) { r.URL.Path = "*" }),
		"host":             request("GET", "/", "", http.Header{"Host": {"y"}}, func(r *http.Request) { r.Host = "models:80" }),
		"agent":            request("GET", "/", "", http.Header{"User-Agent": {" a b\t", "c"}}, nil),
		"no agent":         request("GET", "/", "", http.Header{"User-Agent": {""}}, nil),
		"nil agent":        request("GET", "/", "", http.Header{"User-Agent": nil}, nil),
		"close":            request("GET", "/", "", nil, func(r *http.Request) { r.Close = true }),
		"close twice":      request("GET", "/", "", http.Header{"Connection": {"x, CLOSE"}}, func(r *http.Request) { r.Close = true }),
		"spaces":           request("GET", "/", "", http.Header{"X": {" a ", "", "\tb"}}, nil),
		"unusual spelling": request("GET", "/", "", http.Header{"x-Y": {"a"}}, nil),
		"key":              request("POST", "/", "{}", http.Header{"Idempotency-Key": nil}, nil),
		"own lengths":      request("POST", "/", "{}", http.Header{"Content-Length": {"7"}, "Transfer-Encoding": {"chunked"}, "Trailer": {"X"}}, nil),
		"obs-text":         request("GET", "/", "", http.Header{"X": {"\xe4"}}, nil),
		"te":               request("GET", "/", "", http.Header{"Te": {"trailers"}, "Connection": {"te"}}, nil),
		"10 KiB":           request("POST", "/", large[:10<<10], nil, nil),
		"32 KiB":           request("POST", "/", large[:32<<10], nil, nil),
		"300 KiB":          request("POST", "/", large, nil, nil),
		"large header":     request("POST", "/", "{}", http.Header{"X": {large[:60<<10]}}, nil),
		"both large":       request("POST", "/", large, http.Header{"X": {large[:60<<10]}}, nil),
	} {
		t.Run(name, func(t *testing.T) {
			plain := &http.Transport{DisableCompression: true}
			defer plain.CloseIdleConnections()
			want, body, err := written(t, plain, req.Clone(t.Context()))
			if err != nil {
				t.Fatal(err)
			}
			if req.GetBody != nil {
				req.Body, _ = req.GetBody()
			}
			got, same, err := written(t, newClient(t), req)
			if err != nil || !slices.Equal(got, want) || same != body {
				t.Errorf("sent %.200q %d, net/http sends %.200q %d, %v", got, len(same), want, len(body), err)
			}
		})
	}
}

// TestSmuggledRequests: what would be another request than the one that was meant is
// refused before it is sent, or sent without.
func TestSmuggledRequests(t *testing.T) {
	for name, tt := range map[string]struct {
		req *http.Request
		why hop.Reason
	}{
		"method":          {request("GET", "/", "", nil, func(r *http.Request) { r.Method = "GET / HTTP/1.1\r\nX:" }), hop.BadMethod},
		"method space":    {request("GET", "/", "", nil, func(r *http.Request) { r.Method = "GET " }), hop.BadMethod},
		"query":           {request("GET", "/", "", nil, func(r *http.Request) { r.URL.RawQuery = "a HTTP/1.1\r\nX: y" }), hop.BadTarget},
		"query space":     {request("GET", "/", "", nil, func(r *http.Request) { r.URL.RawQuery = "a b" }), hop.BadTarget},
		"query tab":       {request("GET", "/", "", nil, func(r *http.Request) { r.URL.RawQuery = "a\tb" }), hop.BadTarget},
		"query NUL":       {request("GET", "/", "", nil, func(r *http.Request) { r.URL.RawQuery = "a\x00" }), hop.BadTarget},
		"opaque":          {request("GET", "/", "", nil, func(r *http.Request) { r.URL.Opaque = "/ HTTP/1.1\r\nX:y" }), hop.BadTarget},
		"name":            {request("GET", "/", "", http.Header{"X\r\nY": {"a"}}, nil), hop.BadField},
		"name space":      {request("GET", "/", "", http.Header{"Content-Length ": {"5"}}, nil), hop.BadField},
		"name colon":      {request("GET", "/", "", http.Header{"X:": {"5"}}, nil), hop.BadField},
		"no name":         {request("GET", "/", "", http.Header{"": {"5"}}, nil), hop.BadField},
		"value":           {request("GET", "/", "", http.Header{"X": {"a\r\nTransfer-Encoding: chunked"}}, nil), hop.BadField},
		"value LF":        {request("GET", "/", "", http.Header{"X": {"a\nb"}}, nil), hop.BadField},
		"value CR":        {request("GET", "/", "", http.Header{"X": {"a\r"}}, nil), hop.BadField},
		"value NUL":       {request("GET", "/", "", http.Header{"X": {"\x00"}}, nil), hop.BadField},
		"agent":           {request("GET", "/", "", http.Header{"User-Agent": {"a\r\nX: y"}}, nil), hop.BadField},
		"short body":      {request("POST", "/", "{}", nil, func(r *http.Request) { r.ContentLength = 3 }), hop.BadBodyLength},
		"long body":       {request("POST", "/", "{}GET / HTTP/1.1\r\n\r\n", nil, func(r *http.Request) { r.ContentLength = 2 }), hop.BadBodyLength},
		"large short one": {request("POST", "/", strings.Repeat("x", 100<<10), nil, func(r *http.Request) { r.ContentLength++ }), hop.BadBodyLength},
		"large long one":  {request("POST", "/", strings.Repeat("x", 100<<10), nil, func(r *http.Request) { r.ContentLength-- }), hop.BadBodyLength},
	} {
		t.Run(name, func(t *testing.T) {
			closed := false
			if tt.req.Body != nil {
				tt.req.Body = &closing{tt.req.Body, &closed}
			}
			_, _, err := written(t, newClient(t), tt.req)
			var refused *hop.RequestError
			if !errors.As(err, &refused) || refused.Why != tt.why {
				t.Errorf("got %v", err)
			}
			if tt.req.Body != nil && !closed {
				t.Error("the body is open")
			}
		})
	}

	// The lengths of a caller are not sent, however they are spelled.
	for _, name := range []string{"content-length", "CONTENT-LENGTH", "transfer-encoding", "Transfer-encoding", "host", "expect"} {
		lines, _, err := written(t, newClient(t), request("POST", "/", "{}", http.Header{name: {"100-continue"}, "Expect": {"100-continue"}}, nil))
		if err != nil || len(lines) != 4 {
			t.Errorf("%s: sent %q, %v", name, lines, err)
		}
	}
}

// closing notes that a body was closed.
type closing struct {
	io.ReadCloser
	closed *bool
}

func (c *closing) Close() error {
	*c.closed = true
	return c.ReadCloser.Close()
}
