package traffic_test

import (
	"context"
	"errors"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/serin-go/serin/checks/analysis"
	reading "github.com/serin-go/serin/checks/analysis/answer"
	"github.com/serin-go/serin/rollout/traffic"
)

// cuttable starts a server whose requests end when cut is called.
func cuttable(t *testing.T, h http.Handler) (url string, cut context.CancelCauseFunc) {
	t.Helper()
	base, cut := context.WithCancelCause(t.Context())
	s := httptest.NewUnstartedServer(h)
	s.Config.BaseContext = func(net.Listener) context.Context { return base }
	s.Start()
	t.Cleanup(s.Close)
	return s.URL, cut
}

// until answers with a header and a text, and then waits until its caller leaves.
func until(begun chan<- struct{}, status int, contentType, text string) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		_, _ = io.Copy(io.Discard, r.Body)
		if contentType != "" {
			w.Header().Set("Content-Type", contentType)
			w.WriteHeader(status)
			_, _ = io.WriteString(w, text)
			_ = http.NewResponseController(w).Flush()
		}
		begun <- struct{}{}
		<-r.Context().Done()
		panic(http.ErrAbortHandler)
	}
}

const events, lines = "text/event-stream", "application/x-ndjson"

// firsts holds the beginning of a stream of each interface.
var firsts = map[string]struct{ path, contentType, begin string }{
	"chat":        {chat, events, token("Hel")},
	"completions": {"/v1/completions", events, `data: {"object":"text_completion","choices":[{"index":0,"text":"Hel"}]}` + "\n\n"},
	"responses":   {"/v1/responses", events, "event: response.output_text.delta\r\ndata: " + `{"type":"response.output_text.delta","delta":"Hel"}` + "\r\n\r\n"},
	"messages":    {"/v1/messages", events, "event: content_block_delta\ndata: " + `{"type":"content_block_delta","index":0,"delta":{"type":"text_delta","text":"Hel"}}` + "\n\n"},
	"gemini":      {"/v1beta/models/m:streamGenerateContent", events, `data: {"candidates":[{"content":{"parts":[{"text":"Hel"}]}}]}` + "\r\r"},
	"ollama":      {"/api/chat", lines, `{"message":{"role":"assistant","content":"Hel"},"done":false}` + "\n"},
	"cohere":      {"/v2/chat", events, "event: content-delta\ndata: " + `{"type":"content-delta","delta":{"message":{"content":{"text":"Hel"}}}}` + "\n\n"},
	"tgi":         {"/generate_stream", events, `data: {"token":{"id":1,"text":"Hel"},"generated_text":null}` + "\n\n"},
}

// TestCutStreamsEndWithAnError: at a shutdown a stream of each interface, from either arm,
// ends with an error that a client of the interface reads, and counts as cut.
func TestCutStreamsEndWithAnError(t *testing.T) {
	for name, tt := range firsts {
		for _, arm := range []string{"old", "new"} {
			t.Run(name+" of "+arm, func(t *testing.T) {
				begun := make(chan struct{}, 1)
				model := serve(t, until(begun, http.StatusOK, tt.contentType, tt.begin))
				r, d := newRouter(t, model, model, nil)
				if arm == "old" {
					if err := r.SetSplit(t.Context(), split(8, 0)); err != nil {
						t.Fatal(err)
					}
				}
				url, cut := cuttable(t, r)
				resp, err := http.Post(url+tt.path, "application/json", strings.NewReader(streaming))
				if err != nil {
					t.Fatal(err)
				}
				defer resp.Body.Close()
				<-begun
				first := make([]byte, len(tt.begin))
				if _, err := io.ReadFull(resp.Body, first); err != nil || string(first) != tt.begin {
					t.Fatalf("the stream begins with %q, %v", first, err)
				}
				cut(traffic.ErrCut)
				rest, err := io.ReadAll(resp.Body)
				if err != nil {
					t.Errorf("the connection was broken off: %v", err)
				}
				ask := reading.AskOf(reading.RouteOf(http.MethodPost, tt.path), "application/json", []byte(streaming))
				reader := reading.Reader{Ask: ask}
				reader.Start(http.StatusOK, resp.Header)
				reader.Feed(append(first, rest...), time.Second)
				if out := reader.End(time.Second, reading.Cause{}); out.Class != analysis.Error {
					t.Errorf("a client reads %v (%s) in %q", out.Class, out.Why, rest)
				}
				if o := d.one(t); o.Class != analysis.Cancelled || o.Arm != arm {
					t.Errorf("observed at %s: %v", o.Arm, o.Class)
				}
				for _, s := range r.Stats() {
					if want := map[bool]uint64{true: 1}[s.Arm == arm]; s.Cut != want || s.Why["cut"] != want || s.Fallbacks != 0 {
						t.Errorf("%s: cut %d, why %v, %d fallbacks, want %d cut", s.Arm, s.Cut, s.Why, s.Fallbacks, want)
					}
				}
			})
		}
	}
}

// TestCutElsewhere: where an error has no place in an answer, the connection breaks off;
// without a byte of an answer there is a 503, and the baseline is not asked.
func TestCutElsewhere(t *testing.T) {
	document := `{"object":"chat.completion","choices":[{"index":0,"message":{"role":"assistant",`
	for name, tt := range map[string]struct {
		contentType, begin string
		path, body         string // default: a chat that asks for a stream
		status             int    // 0: the connection breaks off
		cut                uint64
	}{
		"nothing came":      {status: http.StatusServiceUnavailable, cut: 1},
		"within an event":   {contentType: events, begin: token("Hel") + `data: {"cho`, cut: 1},
		"after one line":    {contentType: events, begin: token("Hel") + "event: message\n", cut: 1},
		"within a document": {contentType: "application/json", begin: document, body: `{}`, cut: 1},
		"within a line":     {contentType: lines, begin: `{"message":{"content":"Hel"},"done":false}` + "\n" + `{"mess`, path: "/api/chat", cut: 1},
		"a file":            {contentType: "application/octet-stream", begin: "abc", path: "/v1/files/f/content", cut: 1},
		// A client of a stream whose end has come reads no further.
		"all came": {contentType: events, begin: token("Hel") + finish + done, cut: 0},
	} {
		t.Run(name, func(t *testing.T) {
			begun := make(chan struct{}, 1)
			r, d := newRouter(t, serve(t, until(begun, http.StatusOK, tt.contentType, tt.begin)), "", nil)
			if err := r.SetSplit(t.Context(), split(8, 0)); err != nil {
				t.Fatal(err)
			}
			url, cut := cuttable(t, r)
			body := tt.body
			if body == "" {
				body = streaming
			}
			path, method := tt.path, http.MethodPost
			if path == "" {
				path = chat
			} else if strings.HasPrefix(path, "/v1/files") {
				method, body = http.MethodGet, ""
			}
			type result struct {
				status int
				body   string
				err    error
			}
			got := make(chan result, 1)
			first := make(chan struct{})
			go func() {
				req, _ := http.NewRequest(method, url+path, strings.NewReader(body))
				resp, err := http.DefaultClient.Do(req)
				close(first)
				if err != nil {
					got <- result{err: err}
					return
				}
				defer resp.Body.Close()
				b, err := io.ReadAll(resp.Body)
				got <- result{resp.StatusCode, string(b), err}
			}()
			<-begun
			if tt.begin != "" {
				<-first
			}
			cut(traffic.ErrCut)
			a := <-got
			switch {
			case tt.status == 0 && (a.err == nil || a.body != tt.begin):
				t.Errorf("%d, %q, %v, want an answer that is broken off", a.status, a.body, a.err)
			case tt.status != 0 && (a.err != nil || a.status != tt.status || !strings.Contains(a.body, `"error"`)):
				t.Errorf("%d, %q, %v, want %d and an error", a.status, a.body, a.err, tt.status)
			}
			waitFor(t, func() bool { return r.Stats()[1].InFlight == 0 })
			if s := r.Stats()[1]; s.Cut != tt.cut {
				t.Errorf("%d cut, want %d: %+v", s.Cut, tt.cut, s)
			}
			if strings.HasPrefix(path, "/v1/files") {
				return // not compared
			}
			if o := d.one(t); (o.Class == analysis.Cancelled) != (tt.cut > 0) {
				t.Errorf("observed: %v", o.Class)
			}
		})
	}
}

// TestCutCandidateAndFallback: a candidate that is cut before its answer is not replaced
// by the baseline, and a baseline that answers in place of a candidate ends its stream
// with an error too.
func TestCutCandidateAndFallback(t *testing.T) {
	begun := make(chan struct{}, 1)
	for name, tt := range map[string]struct {
		candidate http.HandlerFunc
		arm       string // that is cut
	}{
		"candidate silent": {until(begun, 0, "", ""), "new"},
		"candidate failed": {func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(http.StatusInternalServerError) }, "old"},
	} {
		t.Run(name, func(t *testing.T) {
			r, _ := newRouter(t, serve(t, until(begun, http.StatusOK, events, token("Hel"))), serve(t, tt.candidate), nil)
			url, cut := cuttable(t, r)
			got := make(chan string, 1)
			first := make(chan struct{})
			go func() {
				defer close(got)
				resp, err := http.Post(url+chat, "application/json", strings.NewReader(streaming))
				close(first)
				if err != nil {
					t.Error(err)
					return
				}
				defer resp.Body.Close()
				b, err := io.ReadAll(resp.Body)
				if err != nil || (resp.StatusCode == http.StatusServiceUnavailable) != (tt.arm == "new") {
					t.Errorf("%d, %v", resp.StatusCode, err)
				}
				got <- string(b)
			}()
			<-begun
			if tt.arm == "old" {
				<-first
			}
			cut(traffic.ErrCut)
			if body := <-got; !strings.Contains(body, `"error"`) {
				t.Errorf("the caller got %q", body)
			}
			waitFor(t, func() bool {
				for _, s := range r.Stats() {
					if s.InFlight > 0 {
						return false
					}
				}
				return true
			})
			for _, s := range r.Stats() {
				if want := map[bool]uint64{true: 1}[s.Arm == tt.arm]; s.Cut != want {
					t.Errorf("%s: %d cut, want %d", s.Arm, s.Cut, want)
				}
			}
		})
	}
}

// TestCutTransport: a service that ends its own requests with ErrCut gets that as their
// error, and they are counted in the same way.
func TestCutTransport(t *testing.T) {
	for name, tt := range map[string]struct{ contentType, begin string }{"before an answer": {}, "within a stream": {events, token("Hel")}} {
		t.Run(name, func(t *testing.T) {
			begun := make(chan struct{}, 1)
			r, d := newRouter(t, serve(t, good), serve(t, until(begun, http.StatusOK, tt.contentType, tt.begin)), nil)
			ctx, cut := context.WithCancelCause(t.Context())
			go func() { <-begun; cut(traffic.ErrCut) }()
			req, _ := http.NewRequestWithContext(ctx, http.MethodPost, "http://models"+chat, strings.NewReader(streaming))
			resp, err := r.RoundTripper().RoundTrip(req)
			if err == nil {
				_, err = io.ReadAll(resp.Body)
				resp.Body.Close()
			}
			if !errors.Is(err, traffic.ErrCut) {
				t.Errorf("the error is %v", err)
			}
			if o := d.one(t); o.Class != analysis.Cancelled || o.Arm != "new" {
				t.Errorf("observed at %s: %v", o.Arm, o.Class)
			}
			if s := r.Stats()[0]; s.Cut != 1 || s.Fallbacks != 0 {
				t.Errorf("%+v", s)
			}
		})
	}
}

// TestLeavingIsNotCut: callers who leave by themselves are not counted as cut.
func TestLeavingIsNotCut(t *testing.T) {
	begun := make(chan struct{}, 1)
	r, d := newRouter(t, serve(t, good), serve(t, until(begun, http.StatusOK, events, token("Hel"))), nil)
	ctx, leave := context.WithCancel(t.Context())
	url, cut := cuttable(t, r)
	req, _ := http.NewRequestWithContext(ctx, http.MethodPost, url+chat, strings.NewReader(streaming))
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		t.Fatal(err)
	}
	<-begun
	leave()
	resp.Body.Close()
	o := d.one(t)
	cut(traffic.ErrCut)
	if s := r.Stats()[0]; !left(o.Class) || s.Cut != 0 {
		t.Errorf("%v, %d cut", o.Class, s.Cut)
	}
}

// TestGraceful: requests end whole if they end in time, and are cut if they do not. The
// server accepts no connection from the beginning of its shutdown on.
func TestGraceful(t *testing.T) {
	type key struct{}
	for name, inTime := range map[string]bool{"in time": true, "too late": false} {
		for _, base := range []bool{true, false} {
			t.Run(name, func(t *testing.T) {
				s := newSlow()
				r, _ := newRouter(t, "", serve(t, s.ServeHTTP), nil)
				server := &http.Server{Handler: http.HandlerFunc(func(w http.ResponseWriter, req *http.Request) {
					if (req.Context().Value(key{}) != nil) != base {
						t.Errorf("the context of the server's own has a value: %t", !base)
					}
					r.ServeHTTP(w, req)
				})}
				if base {
					server.BaseContext = func(net.Listener) context.Context { return context.WithValue(t.Context(), key{}, 1) }
				}
				shutdown := traffic.Graceful(server)
				l, err := net.Listen("tcp", "127.0.0.1:0")
				if err != nil {
					t.Fatal(err)
				}
				served, ended := make(chan error, 1), make(chan error, 1)
				go func() { served <- server.Serve(l) }()
				resp, err := http.Post("http://"+l.Addr().String()+chat, "application/json", strings.NewReader(streaming))
				if err != nil {
					t.Fatal(err)
				}
				defer resp.Body.Close()
				<-s.begun
				limit, expire := context.WithCancel(t.Context())
				defer expire()
				go func() { ended <- shutdown(limit) }()
				if err := <-served; !errors.Is(err, http.ErrServerClosed) {
					t.Error(err)
				}
				waitFor(t, func() bool {
					conn, err := net.Dial("tcp", l.Addr().String())
					if err == nil {
						conn.Close()
					}
					return err != nil
				})
				if inTime {
					close(s.release)
				} else {
					expire()
				}
				body, err := io.ReadAll(resp.Body)
				if err != nil || strings.HasSuffix(string(body), done) != inTime || strings.Contains(string(body), `"error"`) == inTime {
					t.Errorf("the caller got %q, %v", body, err)
				}
				if err := <-ended; errors.Is(err, traffic.ErrCut) == inTime {
					t.Errorf("the shutdown returned %v", err)
				}
				if s := r.Stats()[0]; (s.Cut == 0) != inTime || s.Requests != 1 {
					t.Errorf("%d of %d requests cut", s.Cut, s.Requests)
				}
			})
		}
	}
}
