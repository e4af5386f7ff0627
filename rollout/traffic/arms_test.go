package traffic_test

import (
	"context"
	"errors"
	"io"
	"mime/multipart"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"testing"

	"github.com/serin-go/serin/checks"
	"github.com/serin-go/serin/rollout/traffic"
	"github.com/serin-go/serin/strategies"
)

// seen is a server that answers well and keeps what it was sent.
type seen struct {
	mu       sync.Mutex
	requests []*http.Request
	bodies   []string
	status   int
}

func (s *seen) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	body, _ := io.ReadAll(r.Body)
	s.mu.Lock()
	s.requests, s.bodies = append(s.requests, r), append(s.bodies, string(body))
	status := s.status
	s.mu.Unlock()
	if status != 0 {
		w.WriteHeader(status)
		return
	}
	w.Header().Set("Content-Type", "application/json")
	_, _ = io.WriteString(w, `{"choices":[{"index":0,"message":{"content":"hi"},"finish_reason":"stop"}]}`)
}

func (s *seen) last(t *testing.T) (*http.Request, string) {
	t.Helper()
	s.mu.Lock()
	defer s.mu.Unlock()
	if len(s.requests) == 0 {
		t.Fatal("the server was not asked")
	}
	return s.requests[len(s.requests)-1], s.bodies[len(s.bodies)-1]
}

func (s *seen) count() int {
	s.mu.Lock()
	defer s.mu.Unlock()
	return len(s.requests)
}

// exchangeIn sends a request in a shape and returns the status.
func exchangeIn(t *testing.T, r *traffic.Router, shape string, req *http.Request) int {
	t.Helper()
	if shape == "handler" {
		w := httptest.NewRecorder()
		r.ServeHTTP(w, req)
		return w.Code
	}
	req.RequestURI = ""
	resp, err := r.RoundTripper().RoundTrip(req)
	if err != nil {
		t.Log(err)
		return 0
	}
	_, _ = io.Copy(io.Discard, resp.Body)
	_ = resp.Body.Close()
	return resp.StatusCode
}

// TestTwoModelsAtOneEndpoint: two versions differ in the name of their model alone.
// Each is asked by its own name: live, in place of the other, and in copies.
func TestTwoModelsAtOneEndpoint(t *testing.T) {
	for _, shape := range []string{"handler", "transport"} {
		old, new := &seen{}, &seen{}
		oldURL, newURL := serve(t, old.ServeHTTP), serve(t, new.ServeHTTP)
		r, _ := newRouter(t, oldURL, newURL, func(c *traffic.Config) {
			c.Arms["old"] = traffic.Backend{URL: oldURL, Model: "chat-1.4"}
			c.Arms["new"] = traffic.Backend{URL: newURL, Model: "chat-1.5", Models: map[string]string{"fast": "fast-1.5"}}
		})
		ask := func(path, kind, body string) int {
			req := httptest.NewRequest("POST", "http://gateway"+path, strings.NewReader(body))
			req.Header.Set("Content-Type", kind)
			req.Header.Set("Content-MD5", "of the body before")
			return exchangeIn(t, r, shape, req)
		}
		for body, want := range map[string]string{
			`{"model":"chat", "messages":[],"n":1.50}`:        `{"model":"chat-1.5", "messages":[],"n":1.50}`,
			`{"messages":[],"mod\u0065l":"b","model":"fast"}`: `{"messages":[],"mod\u0065l":"fast-1.5","model":"fast-1.5"}`,
			`{"messages":[]}`: `{"messages":[]}`,
		} {
			if status := ask(chat, "application/json", body); status != 200 {
				t.Errorf("%s: status %d", shape, status)
			}
			got, sent := new.last(t)
			if sent != want || got.ContentLength != int64(len(want)) || got.Header.Get("Content-Md5") != "" && want != body {
				t.Errorf("%s: the server was sent %s of %d bytes, want %s", shape, sent, got.ContentLength, want)
			}
		}
		if ask("/openai/deployments/chat/chat/completions", "application/json", `{"messages":[]}`); true {
			if got, _ := new.last(t); got.URL.Path != "/openai/deployments/chat-1.5/chat/completions" {
				t.Errorf("%s: %s", shape, got.URL.Path)
			}
		}
		var form strings.Builder
		w := multipart.NewWriter(&form)
		_ = w.WriteField("model", "whisper")
		_ = w.Close()
		if ask("/v1/audio/transcriptions", w.FormDataContentType(), form.String()); true {
			if _, sent := new.last(t); !strings.Contains(sent, "\r\n\r\nchat-1.5\r\n") {
				t.Errorf("%s: the form was sent as %q", shape, sent)
			}
		}
		before := old.count()
		if status := ask(chat, "text/plain", "no JSON"); status != http.StatusRequestEntityTooLarge && status != 0 || old.count() != before {
			t.Errorf("%s: what cannot be asked by either name has status %d", shape, status)
		}
		// In place of the other one.
		new.mu.Lock()
		new.status = 503
		new.mu.Unlock()
		if status := ask(chat, "application/json", `{"model":"chat","messages":[]}`); status != 200 {
			t.Errorf("%s: status %d", shape, status)
		}
		if _, sent := old.last(t); sent != `{"model":"chat-1.4","messages":[]}` {
			t.Errorf("%s: the baseline was sent %s", shape, sent)
		}
	}
}

// TestCopiesAreAskedByTheirName in a shadow stage.
func TestCopiesAreAskedByTheirName(t *testing.T) {
	old, new := &seen{}, &seen{}
	oldURL, newURL := serve(t, old.ServeHTTP), serve(t, new.ServeHTTP)
	r, _ := newRouter(t, oldURL, newURL, func(c *traffic.Config) {
		c.Arms["old"] = traffic.Backend{URL: oldURL, Model: "chat-1.4"}
		c.Arms["new"] = traffic.Backend{URL: newURL, Model: "chat-1.5", Header: http.Header{"api-key": {"new's"}}}
		c.Split = mirrored(strategies.Full)
	})
	req := httptest.NewRequest("POST", "http://gateway"+chat, strings.NewReader(`{"model":"chat","messages":[],"tools":[{"type":"function","function":{"name":"f"}}]}`))
	req.Header.Set("Authorization", "Bearer ana")
	req.Header.Set("Serin-Unit", "ana")
	exchangeIn(t, r, "handler", req)
	waitFor(t, func() bool { return new.count() == 1 })
	got, sent := new.last(t)
	if sent != `{"model":"chat-1.5","messages":[]}` {
		t.Errorf("the copy is %s", sent)
	}
	if h := got.Header; h.Get("Authorization") != "" || h.Get("Api-Key") != "new's" || h.Get("Serin-Unit") != "" || h.Get("Serin-Mirror") != "1" {
		t.Errorf("the copy has header %v", h)
	}
}

// TestCredentialsStayHere: what a caller says to the router, and its credentials, do
// not reach a server that they are not for.
func TestCredentialsStayHere(t *testing.T) {
	private := []string{"Authorization", "Proxy-Authorization", "Cookie", "X-Api-Key", "Api-Key", "X-Goog-Api-Key", "Openai-Organization"}
	for name, tt := range map[string]struct {
		change func(*traffic.Backend)
		want   map[string]string // in addition to what the caller sent
		passed bool
	}{
		"private hosts":  {func(*traffic.Backend) {}, nil, true},
		"drop":           {func(b *traffic.Backend) { b.Credentials = traffic.Drop }, nil, false},
		"own credential": {func(b *traffic.Backend) { b.Header = http.Header{"authorization": {"Bearer own"}} }, map[string]string{"Authorization": "Bearer own"}, false},
		"own header": {func(b *traffic.Backend) { b.Header = http.Header{"anthropic-version": {"2"}, "X-Trace": {""}} },
			map[string]string{"Anthropic-Version": "2", "X-Trace": ""}, true},
	} {
		for _, shape := range []string{"handler", "transport"} {
			new := &seen{}
			url := serve(t, new.ServeHTTP)
			r, _ := newRouter(t, unreachable(t), url, func(c *traffic.Config) {
				b := traffic.Backend{URL: url}
				tt.change(&b)
				c.Arms["new"] = b
			})
			req := httptest.NewRequest("POST", "http://gateway"+chat+"?key=secret&x=1", strings.NewReader(`{"model":"m"}`))
			for _, h := range private {
				req.Header.Set(h, "the caller's")
			}
			req.Header.Set("X-Trace", "t")
			req.Header.Set("Serin-Unit", "ana")
			req.Header.Set("Serin-Arm", "new")
			req.Header.Set("Serin-Mirror", "1")
			exchangeIn(t, r, shape, req)
			got, _ := new.last(t)
			for _, h := range private {
				want := ""
				if tt.passed && h != "Proxy-Authorization" {
					want = "the caller's"
				}
				if v, ok := tt.want[h]; ok {
					want = v
				}
				if h == "Proxy-Authorization" && got.Header.Get(h) == "the caller's" && tt.passed {
					continue // the transport of a service that calls by itself
				}
				if got.Header.Get(h) != want {
					t.Errorf("%s, %s: %s is %q, want %q", name, shape, h, got.Header.Get(h), want)
				}
			}
			for h, want := range tt.want {
				if got.Header.Get(h) != want {
					t.Errorf("%s, %s: %s is %q, want %q", name, shape, h, got.Header.Get(h), want)
				}
			}
			if hasKey := strings.Contains(got.URL.RawQuery, "secret"); hasKey != tt.passed || !strings.Contains(got.URL.RawQuery, "x=1") {
				t.Errorf("%s, %s: the query is %s", name, shape, got.URL.RawQuery)
			}
			for h := range got.Header {
				if strings.HasPrefix(h, "Serin-") {
					t.Errorf("%s, %s: the server was sent %s", name, shape, h)
				}
			}
			if req.Header.Get("Serin-Unit") != "ana" || req.Header.Get("Cookie") == "" {
				t.Errorf("%s, %s: the caller's request was changed", name, shape)
			}
		}
	}
}

// wire is a transport that keeps the bytes of each request that it sends, by host. A
// host that fails answers with a 500.
type wire struct {
	mu    sync.Mutex
	sent  map[string]string
	fails string
}

func (w *wire) RoundTrip(req *http.Request) (*http.Response, error) {
	var raw strings.Builder
	host := req.URL.Host
	if err := req.WriteProxy(&raw); err != nil { // with the whole URL
		return nil, err
	}
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.sent == nil {
		w.sent = make(map[string]string)
	}
	w.sent[host] += raw.String()
	resp := &http.Response{StatusCode: 200, ProtoMajor: 1, Header: http.Header{"Content-Type": {"application/json"}}, Request: req,
		Body: io.NopCloser(strings.NewReader(`{"choices":[{"index":0,"message":{"content":"hi"},"finish_reason":"stop"}]}`))}
	if host == w.fails {
		resp.StatusCode = 500
	}
	return resp, nil
}

func (w *wire) to(host string) string {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.sent[host]
}

// TestCredentialsOfAnotherVendor: no byte of the caller's credentials reaches a vendor
// that they are not for: live, in place of the other one, and in copies.
func TestCredentialsOfAnotherVendor(t *testing.T) {
	const base, other = "api.openai.com", "api.anthropic.com"
	secrets := http.Header{
		"Authorization": {"Bearer secret-1"}, "Cookie": {"session=secret-2", "b=secret-3"}, "X-Api-Key": {"secret-4"}, "Api-Key": {"secret-5"},
		"X-Goog-Api-Key": {"secret-6"}, "Openai-Organization": {"secret-7"}, "Openai-Project": {"secret-8"}, "Proxy-Authorization": {"secret-9"},
		"X-Amz-Security-Token": {"secret-10"}, "X-Forwarded-Access-Token": {"secret-11"}, "Ocp-Apim-Subscription-Key": {"secret-12"},
	}
	for _, shape := range []string{"handler", "transport"} {
		for _, way := range []string{"live", "fallback", "copy", "with a key of its own"} {
			w := &wire{}
			r, _ := newRouter(t, "", "", func(c *traffic.Config) {
				b := traffic.Backend{URL: "https://" + other, Transport: w}
				switch way {
				case "fallback":
					w.fails = other
				case "copy":
					c.Split = mirrored(strategies.Full)
				case "with a key of its own":
					b.Header = http.Header{"X-Api-Key": {"own"}}
				}
				c.Arms = map[string]traffic.Backend{"old": {URL: "https://" + base, Transport: w}, "new": b}
			})
			req := httptest.NewRequest("POST", "http://gateway"+chat+"?key=secret-13&a=b&%6bey=secret-14", strings.NewReader(`{"model":"m","messages":[]}`))
			for name, values := range secrets {
				req.Header[name] = values
			}
			if status := exchangeIn(t, r, shape, req); status != 200 {
				t.Errorf("%s, %s: status %d", shape, way, status)
			}
			waitFor(t, func() bool { return w.to(other) != "" })
			if sent := w.to(other); strings.Contains(sent, "secret") || !strings.Contains(sent, "a=b") || strings.Contains(sent, "own") != (way == "with a key of its own") {
				t.Errorf("%s, %s: %s was sent\n%s", shape, way, other, sent)
			}
			if sent := w.to(base); (way == "fallback" || way == "copy") && (!strings.Contains(sent, "secret-1\r") || !strings.Contains(sent, "secret-2")) {
				t.Errorf("%s, %s: %s, whose they are, was sent\n%s", shape, way, base, sent)
			}
		}
	}
}

// TestUnitOfAContext: a service that knows its user need not write it into a header.
func TestUnitOfAContext(t *testing.T) {
	var units []string
	r, _ := newRouter(t, "", "", func(c *traffic.Config) {
		c.Arms = map[string]traffic.Backend{"old": {Handler: http.HandlerFunc(good)}, "new": {Handler: http.HandlerFunc(good)}}
		c.Exposed = func(e traffic.Exposure) { units = append(units, e.Unit) }
	})
	req := httptest.NewRequest("POST", "http://gateway"+chat, strings.NewReader(streaming))
	req.Header.Set(traffic.UnitHeader, "header")
	r.ServeHTTP(httptest.NewRecorder(), req)
	req = req.WithContext(traffic.WithUnit(context.Background(), "context"))
	req.Body = io.NopCloser(strings.NewReader(streaming))
	r.ServeHTTP(httptest.NewRecorder(), req)
	if strings.Join(units, " ") != "header context" {
		t.Errorf("units %q", units)
	}
}

// TestArmsThatCannotBe: a configuration that would send one vendor's key to another,
// or that holds what is no header, is refused with the field's name.
func TestArmsThatCannotBe(t *testing.T) {
	for field, b := range map[string]traffic.Backend{
		`Config.Arms["new"].Credentials`:       {URL: "https://api.anthropic.com", Credentials: traffic.Pass},
		`Config.Arms["new"].Header`:            {URL: "https://api.anthropic.com", Header: http.Header{"a b": {"1"}}},
		`Config.Arms["new"].Header["X-Trace"]`: {URL: "https://api.anthropic.com", Header: http.Header{"X-Trace": {"a\r\nX-Evil: 1"}}},
		"":                                     {URL: "https://api.anthropic.com", Credentials: traffic.Pass, Header: http.Header{"X-Api-Key": {"k"}}},
	} {
		_, err := traffic.New(traffic.Config{
			Arms: map[string]traffic.Backend{"old": {URL: "https://api.openai.com"}, "new": b}, Split: split(1, 5000),
		})
		var invalid *checks.InvalidError
		if errors.As(err, &invalid) != (field != "") || field != "" && invalid.Field != field {
			t.Errorf("%s: %v", field, err)
		}
	}
}
