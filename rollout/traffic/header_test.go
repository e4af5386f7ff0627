package traffic_test

import (
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"net/http/httptrace"
	"net/textproto"
	"strings"
	"testing"

	"github.com/serin-go/serin/checks/analysis"
	"github.com/serin-go/serin/rollout/traffic"
	"github.com/serin-go/serin/strategies"
)

// headed answers with a header of some lines, of which the first has a size.
func headed(lines, size int, then http.HandlerFunc) http.HandlerFunc {
	return func(w http.ResponseWriter, req *http.Request) {
		for i := range lines {
			w.Header().Add("X-Line", strings.Repeat("x", max(1, size*(1-min(i, 1)))))
		}
		then(w, req)
	}
}

// TestLargeHeaders are failures of their arm, in each way in which an arm answers: the
// baseline serves, or the caller gets a 502; what is within the bounds passes.
func TestLargeHeaders(t *testing.T) {
	silent := func(w http.ResponseWriter, _ *http.Request) {}
	stubborn := func(w http.ResponseWriter, req *http.Request) {
		w.WriteHeader(200)
		w.WriteHeader(500)
		for range 100 {
			if _, err := io.WriteString(w, "x"); err == nil {
				t.Error("the body was taken")
			}
		}
		if req.Context().Err() == nil {
			t.Error("the attempt goes on")
		}
	}
	for name, tt := range map[string]struct {
		lines, size int
		then        http.HandlerFunc
		large       bool
	}{
		"190 lines":                {190, 1, good, false}, // the server adds some
		"60 KiB":                   {1, 60 << 10, good, false},
		"201 lines":                {201, 1, good, true},
		"10,000 lines":             {10_000, 1, good, true},
		"65 KiB":                   {1, 65 << 10, good, true},
		"a megabyte":               {2, 1 << 20, good, true},
		"201 lines and no body":    {201, 1, silent, true},
		"201 lines and a panic":    {201, 1, func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(200); panic(http.ErrAbortHandler) }, true},
		"201 lines, does not stop": {201, 1, stubborn, true},
	} {
		for _, way := range []string{"handler", "proxy", "transport", "proxy over a transport", "transport over a transport", "copy"} {
			if strings.Contains(name, "stop") && way != "handler" {
				continue // the server sees no errors
			}
			for _, alone := range []bool{false, true} {
				model := headed(tt.lines, tt.size, tt.then)
				new := traffic.Backend{Handler: model}
				if way != "handler" {
					new = traffic.Backend{URL: serve(t, model)}
				}
				if strings.Contains(way, "over") {
					new.Transport = http.DefaultTransport
				}
				var copies diary
				r, d := newRouter(t, "", "", func(c *traffic.Config) {
					c.Arms = map[string]traffic.Backend{"old": {URL: serve(t, good)}, "new": new}
					c.NoFallback = alone
					if way == "copy" {
						c.Split, c.Mirror.Observe = mirrored(strategies.Full), copies.observe
					}
				})
				req := httptest.NewRequest("POST", "http://gateway"+chat, strings.NewReader(streaming))
				req.Header.Set("Content-Type", "application/json")
				var got answer
				if strings.HasPrefix(way, "transport") {
					req.RequestURI = ""
					resp, err := r.RoundTripper().RoundTrip(req)
					if err != nil {
						if !alone || !tt.large {
							t.Fatalf("%s, %s: %v", name, way, err)
						}
						got.status = http.StatusBadGateway
					} else {
						got = read(resp)
					}
				} else {
					w := httptest.NewRecorder()
					w.Header().Set("Outer", strings.Repeat("x", 1<<20)) // which is not the arm's
					func() {
						defer func() {
							if p := recover(); p != nil && (tt.large || p != http.ErrAbortHandler) {
								panic(p)
							}
						}()
						r.ServeHTTP(w, req)
					}()
					got = read(w.Result())
					if len(w.Header()["X-Line"]) > 0 == (tt.large || way == "copy") || w.Header().Get("Outer") == "" {
						t.Errorf("%s, %s: the caller got %d lines", name, way, len(w.Header()["X-Line"]))
					}
				}
				want := answer{status: 200, body: goodStream, version: "new"}
				switch {
				case way == "copy", tt.large && !alone:
					want.version = "old"
				case tt.large:
					want.status = http.StatusBadGateway
				}
				if got.status != want.status || want.status == 200 && (got.body != want.body || got.version != want.version) {
					t.Errorf("%s, %s, alone %t: got %d of %q, %d bytes", name, way, alone, got.status, got.version, len(got.body))
				}
				o := d.one(t)
				if way == "copy" {
					o = copies.one(t)
				}
				if class := map[bool]analysis.Class{false: analysis.OK, true: analysis.Error}[tt.large]; o.Class != class || o.Arm != "new" {
					t.Errorf("%s, %s, alone %t: %s, %v", name, way, alone, o.Arm, o.Class)
				}
				idle(t, r)
			}
		}
	}
}

// TestLargeTrailers are dropped, and so are informational answers.
func TestLargeTrailers(t *testing.T) {
	for _, lines := range []int{1, 150, 250} {
		for _, announced := range []bool{false, true} {
			model := func(w http.ResponseWriter, req *http.Request) {
				for range lines {
					w.Header().Add("Link", "a")
				}
				w.WriteHeader(http.StatusEarlyHints)
				w.Header().Del("Link")
				prefix := http.TrailerPrefix
				if announced {
					w.Header().Set("Trailer", "Sum")
					prefix = ""
				}
				good(w, req)
				for range lines {
					w.Header().Add(prefix+"Sum", "1")
				}
			}
			url, r, _ := setup(t, unreachable(t), serve(t, model), nil)
			local, _, _ := setup(t, unreachable(t), "", func(c *traffic.Config) {
				c.Arms["new"] = traffic.Backend{Handler: http.HandlerFunc(model)}
			})
			client := &http.Client{Transport: r.RoundTripper()}
			for way, ask := range map[string]struct {
				client *http.Client
				url    string
			}{"proxy": {http.DefaultClient, url}, "handler": {http.DefaultClient, local}, "transport": {client, "http://models"}} {
				hints := 0
				ctx := httptrace.WithClientTrace(t.Context(), &httptrace.ClientTrace{
					Got1xxResponse: func(_ int, h textproto.MIMEHeader) error { hints += len(h["Link"]); return nil },
				})
				req, err := http.NewRequestWithContext(ctx, "POST", ask.url+chat, strings.NewReader(streaming))
				if err != nil {
					t.Fatal(err)
				}
				resp, err := ask.client.Do(req)
				if err != nil {
					t.Fatal(err)
				}
				if got := read(resp); got.body != goodStream || got.err != nil {
					t.Errorf("%s, %d lines: got %+v", way, lines, got)
				}
				want := lines
				if lines > 200 {
					want = 0
				}
				if n := len(resp.Trailer["Sum"]); n != want {
					t.Errorf("%s, announced %t: %d of %d trailers, want %d", way, announced, n, lines, want)
				}
				if way != "transport" && hints != want {
					t.Errorf("%s: %d of %d lines of a hint, want %d", way, hints, lines, want)
				}
			}
		}
	}
}

// TestEndlessHeaders: a header that does not end is not read to its end.
func TestEndlessHeaders(t *testing.T) {
	for name, line := range map[string]string{"lines": "X-Line: x\r\n", "one line": "xxxxxxxxxxxxxxxx"} {
		sent := make(chan int, 10)
		endless := accept(t, func(conn net.Conn) {
			_, err := io.WriteString(conn, "HTTP/1.1 200 OK\r\nX-First: ")
			n := 0
			for more := strings.Repeat(line, 100); err == nil; n += len(more) {
				_, err = io.WriteString(conn, more)
			}
			sent <- n
		})
		r, d := newRouter(t, serve(t, good), endless, nil)
		n := 0
		for shape, send := range through(t, r) {
			if a := send(streaming); a.body != goodStream || a.version != "old" {
				t.Errorf("%s, %s: %+v", name, shape, a)
			}
			n++
			if o := d.wait(t, n)[n-1]; o.Class != analysis.Error || o.Arm != "new" {
				t.Errorf("%s, %s: %+v", name, shape, o)
			}
			// The server sees that nothing more is read; the rest is in the system's buffers.
			if n := <-sent; n > 12<<20 {
				t.Errorf("%s, %s: %d bytes of a header were taken", name, shape, n)
			}
		}
		idle(t, r)
	}
}
