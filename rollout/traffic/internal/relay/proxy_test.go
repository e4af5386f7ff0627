package relay

import (
	"context"
	"errors"
	"io"
	"net/http"
	"net/http/httptest"
	"net/http/httptrace"
	"net/textproto"
	"net/url"
	"slices"
	"strings"
	"testing"
)

// transport answers requests in the process.
type transport func(*http.Request) (*http.Response, error)

func (t transport) RoundTrip(req *http.Request) (*http.Response, error) { return t(req) }

// buffer is the memory for answers.
type buffer struct{}

func (buffer) Get() []byte { return make([]byte, 100) }
func (buffer) Put([]byte)  {}

// freeing is a body behind whose end the request is free.
type freeing struct{ io.Reader }

func (freeing) Close() error       { return nil }
func (freeing) FreesRequest() bool { return true }

func newProxy(t transport) *Proxy {
	return New(Config{
		Target: &url.URL{Scheme: "http", Host: "model"}, Transport: t, Buffers: buffer{},
		Dress:  func(_, out *http.Request) { out.Header["Dressed"] = []string{"1"} },
		Fail:   func(w http.ResponseWriter, _ *http.Request, _ error) { w.WriteHeader(http.StatusBadGateway) },
		Broken: func(http.ResponseWriter, error) {},
	})
}

// request returns a request as a server receives it.
func request(header http.Header, change func(context.Context) context.Context) *http.Request {
	ctx, cancel := context.WithCancel(context.Background())
	_ = cancel // a server's request can end
	if change != nil {
		ctx = change(ctx)
	}
	req := httptest.NewRequest(http.MethodPost, "/x", nil).WithContext(ctx)
	req.Header = header
	return req
}

// TestNothingRemains: memory that serves one request after another keeps nothing of the
// one before.
func TestNothingRemains(t *testing.T) {
	var sent []http.Header
	var hints int
	var paths []string
	p := newProxy(func(out *http.Request) (*http.Response, error) {
		sent, paths = append(sent, out.Header.Clone()), append(paths, out.URL.RequestURI())
		trace := httptrace.ContextClientTrace(out.Context())
		if err := trace.Got1xxResponse(http.StatusEarlyHints, textproto.MIMEHeader{"Link": {"a"}}); err != nil {
			return nil, err
		}
		return &http.Response{StatusCode: 200, Header: http.Header{}, ContentLength: 1, Body: freeing{strings.NewReader("x")}}, nil
	})
	traced := func(ctx context.Context) context.Context {
		return httptrace.WithClientTrace(ctx, &httptrace.ClientTrace{
			Got1xxResponse: func(int, textproto.MIMEHeader) error { hints++; return nil },
		})
	}
	many := make(http.Header)
	for i := range 2 * headerRoom {
		many["X-"+string(rune('A'+i))] = []string{"1"}
	}
	for range 20 {
		sent, paths, hints = nil, nil, 0
		first := request(http.Header{"Authorization": {"Bearer secret"}, "Te": {"trailers"}}, traced)
		first.URL.RawQuery = "key=secret"
		p.ServeHTTP(httptest.NewRecorder(), first)
		p.ServeHTTP(httptest.NewRecorder(), request(many, nil))
		w := httptest.NewRecorder()
		p.ServeHTTP(w, request(http.Header{"X": {"1"}}, nil))
		if hints != 1 {
			t.Fatalf("%d hints came to the first caller, want 1", hints)
		}
		if len(sent[0]) != 4 || len(sent[1]) != len(many)+2 || len(sent[2]) != 3 || paths[2] != "/x" {
			t.Fatalf("sent %v to %v", sent, paths)
		}
		if w.Body.String() != "x" {
			t.Fatalf("got %q", w.Body)
		}
	}
	if len(many) != 2*headerRoom {
		t.Errorf("the caller's header was changed: %d names", len(many))
	}
}

// TestNotFree: a transport that may use a request for longer keeps its memory.
func TestNotFree(t *testing.T) {
	var kept []*http.Request
	p := newProxy(func(out *http.Request) (*http.Response, error) {
		kept = append(kept, out)
		if len(kept)%3 == 0 {
			return nil, errors.New("failed")
		}
		return &http.Response{StatusCode: 200, Header: http.Header{}, ContentLength: 1, Body: io.NopCloser(strings.NewReader("x"))}, nil
	})
	for i := range 30 {
		p.ServeHTTP(httptest.NewRecorder(), request(http.Header{"X": {string(rune('a' + i))}}, nil))
	}
	for i, out := range kept {
		if v := out.Header["X"]; !slices.Equal(v, []string{string(rune('a' + i))}) || out.URL.Path != "/x" {
			t.Errorf("request %d has become %v to %v", i, out.Header, out.URL)
		}
	}
}

// TestLateHint: an informational answer behind the end of a request changes nothing.
func TestLateHint(t *testing.T) {
	var late *httptrace.ClientTrace
	p := newProxy(func(out *http.Request) (*http.Response, error) {
		late = httptrace.ContextClientTrace(out.Context())
		return nil, errors.New("failed")
	})
	w := httptest.NewRecorder()
	p.ServeHTTP(w, request(http.Header{}, nil))
	if err := late.Got1xxResponse(http.StatusEarlyHints, textproto.MIMEHeader{"Link": {"a"}}); err != nil {
		t.Error(err)
	}
	if w.Code != http.StatusBadGateway || len(w.Result().Header) != 0 {
		t.Errorf("got %d, %v", w.Code, w.Result().Header)
	}
}
