package traffic_test

import (
	"bufio"
	"bytes"
	"fmt"
	"io"
	"log"
	"log/slog"
	"net"
	"net/http"
	"net/http/httptest"
	"net/http/httptrace"
	"net/textproto"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/serin-go/serin/checks/analysis"
	"github.com/serin-go/serin/rollout/traffic"
)

func TestInformationalAndTrailers(t *testing.T) {
	model := serve(t, func(w http.ResponseWriter, _ *http.Request) {
		h := w.Header()
		h.Set("Link", "</style.css>; rel=preload")
		w.WriteHeader(http.StatusEarlyHints)
		h.Del("Link")
		h.Set("Trailer", "Checksum")
		stream(w, role, token("Hel"), finish, done)
		h.Set("Checksum", "17")
	})
	url, _, d := setup(t, unreachable(t), model, nil)
	var hints []string
	ctx := httptrace.WithClientTrace(t.Context(), &httptrace.ClientTrace{
		Got1xxResponse: func(code int, h textproto.MIMEHeader) error {
			hints = append(hints, fmt.Sprint(code, h.Get("Link")))
			return nil
		},
	})
	req, err := http.NewRequestWithContext(ctx, "POST", url+chat, strings.NewReader(streaming))
	if err != nil {
		t.Fatal(err)
	}
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		t.Fatal(err)
	}
	if got := read(resp); got.err != nil || got.status != 200 || got.version != "new" {
		t.Errorf("got %+v", got)
	}
	if len(hints) != 1 || hints[0] != "103</style.css>; rel=preload" {
		t.Errorf("hints %q", hints)
	}
	if got := resp.Trailer.Get("Checksum"); got != "17" {
		t.Errorf("trailer %q", got)
	}
	d.one(t)
}

func TestUpgrade(t *testing.T) {
	model := serve(t, func(w http.ResponseWriter, _ *http.Request) {
		conn, rw, err := http.NewResponseController(w).Hijack()
		if err != nil {
			t.Error(err)
			return
		}
		defer conn.Close()
		fmt.Fprint(rw, "HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: echo\r\n\r\n")
		_ = rw.Flush()
		line, _ := rw.ReadString('\n')
		fmt.Fprint(rw, "echo ", line)
		_ = rw.Flush()
	})
	url, _, d := setup(t, unreachable(t), model, nil)
	conn, err := net.Dial("tcp", strings.TrimPrefix(url, "http://"))
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	fmt.Fprint(conn, "GET /v1/realtime HTTP/1.1\r\nHost: x\r\nConnection: Upgrade\r\nUpgrade: echo\r\n\r\n")
	r := bufio.NewReader(conn)
	resp, err := http.ReadResponse(r, nil)
	if err != nil || resp.StatusCode != 101 || resp.Header.Get(traffic.VersionHeader) != "new" {
		t.Fatalf("response %+v, %v", resp, err)
	}
	fmt.Fprint(conn, "hello\n")
	if line, err := r.ReadString('\n'); line != "echo hello\n" {
		t.Errorf("got %q, %v", line, err)
	}
	_ = conn.Close()
	if o := d.one(t); o.Class != analysis.OK {
		t.Errorf("observation %+v", o)
	}
}

// TestHandlerBackends covers arms that are handlers in the same process.
func TestHandlerBackends(t *testing.T) {
	var log bytes.Buffer
	tests := []struct {
		name    string
		handler http.HandlerFunc
		version string
		class   analysis.Class
	}{
		{"answers", good, "new", analysis.OK},
		{"panics", func(http.ResponseWriter, *http.Request) { panic("boom") }, "old", analysis.Error},
		{"panics after a header", func(w http.ResponseWriter, _ *http.Request) {
			w.Header().Set("Content-Type", "text/plain")
			w.WriteHeader(200)
			panic("boom")
		}, "old", analysis.Truncated},
		{"sends nothing", func(http.ResponseWriter, *http.Request) {}, "old", analysis.Empty},
		{"sends a header only", func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(202) }, "old", analysis.Empty},
		{"answers late in spite of its context", func(w http.ResponseWriter, r *http.Request) {
			<-r.Context().Done()
			if _, err := io.WriteString(w, "late"); err == nil {
				t.Error("a late answer was taken")
			}
		}, "old", analysis.Timeout},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			r, d := newRouter(t, "http://x.invalid", "http://x.invalid", func(c *traffic.Config) {
				briefly(c)
				c.Arms = map[string]traffic.Backend{"old": {Handler: http.HandlerFunc(good)}, "new": {Handler: tt.handler}}
				c.Logger = slog.New(slog.NewTextHandler(&log, nil))
			})
			// A header set by somebody around the router outlives a failed attempt.
			url := serve(t, func(w http.ResponseWriter, req *http.Request) {
				w.Header().Set("Outer", "kept")
				r.ServeHTTP(w, req)
			})
			resp, err := http.Post(url+chat, "application/json", strings.NewReader(streaming))
			if err != nil {
				t.Fatal(err)
			}
			outer := resp.Header.Get("Outer")
			if got := read(resp); got.version != tt.version || got.err != nil || outer != "kept" {
				t.Errorf("got %+v, outer header %q", got, outer)
			}
			if o := d.one(t); o.Class != tt.class || o.Arm != "new" {
				t.Errorf("observation %+v", o)
			}
		})
	}
	for _, want := range []string{"a handler panicked", "panic=boom", "in place of an arm that failed", "arm=new"} {
		if !strings.Contains(log.String(), want) {
			t.Errorf("the log does not say %q:\n%s", want, log.String())
		}
	}
}

// TestPanicPassesOn checks that a panic after which no fallback is possible stays one.
func TestPanicPassesOn(t *testing.T) {
	r, d := newRouter(t, "http://x.invalid", "http://x.invalid", func(c *traffic.Config) {
		c.Arms = map[string]traffic.Backend{"old": {}, "new": {Handler: http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
			stream(w, role, token("Hel"))
			panic("boom")
		})}}
	})
	url := serve(t, func(w http.ResponseWriter, req *http.Request) {
		defer func() {
			if p := recover(); p != "boom" {
				t.Errorf("panicked with %v", p)
			}
			panic(http.ErrAbortHandler)
		}()
		r.ServeHTTP(w, req)
	})
	if got := post(t, url, streaming); got.err == nil {
		t.Errorf("got %+v", got)
	}
	if o := d.one(t); o.Class != analysis.Truncated {
		t.Errorf("observation %+v", o)
	}
}

// TestResponseController checks that handlers reach what the server offers.
func TestResponseController(t *testing.T) {
	r, d := newRouter(t, "http://x.invalid", "http://x.invalid", func(c *traffic.Config) {
		c.Arms["new"] = traffic.Backend{Handler: http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
			if err := http.NewResponseController(w).SetWriteDeadline(time.Now().Add(patience)); err != nil {
				t.Error(err)
			}
			if _, ok := w.(http.Flusher); !ok {
				t.Error("not a Flusher")
			}
		})}
	})
	post(t, serve(t, r.ServeHTTP), streaming)
	d.one(t)
}

// TestBodyIsHeld checks that a model is not asked before the whole request is
// there: only then can its answer not get in the way of the body.
func TestBodyIsHeld(t *testing.T) {
	var complete atomic.Bool
	model := serve(t, func(w http.ResponseWriter, r *http.Request) {
		if !complete.Load() {
			t.Error("the model was asked when half of the request was there")
		}
		good(w, r)
	})
	url, _, d := setup(t, unreachable(t), model, nil)
	body, send := io.Pipe()
	go func() {
		fmt.Fprint(send, "first half, ")
		time.Sleep(20 * time.Millisecond) // gives a router that does not wait the time to show it
		complete.Store(true)
		fmt.Fprint(send, "second half")
		_ = send.Close()
	}()
	resp, err := http.Post(url+chat, "text/plain", body)
	if err != nil {
		t.Fatal(err)
	}
	if got := read(resp); got.body != goodStream || got.err != nil {
		t.Errorf("got %+v", got)
	}
	d.one(t)
}

// TestLargeBodyBothWays has a model answer in full while a body that is too
// large to be held is still on its way.
func TestLargeBodyBothWays(t *testing.T) {
	model := serve(t, func(w http.ResponseWriter, r *http.Request) {
		if err := http.NewResponseController(w).EnableFullDuplex(); err != nil {
			t.Error(err)
		}
		if _, err := io.ReadFull(r.Body, make([]byte, 2000)); err != nil {
			t.Error(err)
		}
		good(w, r)
		_, _ = io.Copy(io.Discard, r.Body)
	})
	url, _, d := setup(t, unreachable(t), model, func(c *traffic.Config) { c.MaxBody = 1000 })
	body, send := io.Pipe()
	go func() { _, _ = send.Write(make([]byte, 2000)) }()
	resp, err := http.Post(url+chat, "text/plain", body)
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	answer := make([]byte, len(goodStream))
	if _, err := io.ReadFull(resp.Body, answer); err != nil || string(answer) != goodStream {
		t.Errorf("got %q, %v", answer, err)
	}
	_ = send.Close()
	if rest, err := io.ReadAll(resp.Body); err != nil || len(rest) > 0 {
		t.Errorf("rest %q, %v", rest, err)
	}
	if o := d.one(t); o.Class != analysis.OK {
		t.Errorf("observation %+v", o)
	}
}

// TestBodyLeftUnread: a backend that answers without reading a body which is not held
// leaves the connection usable (golang/go#68560).
func TestBodyLeftUnread(t *testing.T) {
	r, _ := newRouter(t, unreachable(t), unreachable(t), func(c *traffic.Config) {
		c.MaxBody = 10
		c.Arms["new"] = traffic.Backend{Handler: http.HandlerFunc(good)}
	})
	var problems strings.Builder // written by the server alone, and read after its end
	server := httptest.NewUnstartedServer(r)
	server.Config.ErrorLog = log.New(&problems, "", 0)
	server.Start()
	for range 20 {
		if a := postTo(t, server.URL+chat, `{"stream":true,"messages":"`+strings.Repeat("x", 100<<10)+`"}`); a.status != 200 || a.body != goodStream {
			t.Errorf("status %d, %d bytes", a.status, len(a.body))
		}
	}
	server.Close()
	if problems.Len() > 0 {
		t.Errorf("the server says %s", problems.String())
	}
}
