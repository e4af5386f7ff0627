package loadtest

import (
	"context"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/serin-go/serin/checks/analysis"
	"github.com/serin-go/serin/loadtest/pace"
	"github.com/serin-go/serin/loadtest/workload"
)

// TestBadServers meets servers that do what they should not, over real
// connections. Nothing may hang, panic, or count as what it is not.
func TestBadServers(t *testing.T) {
	write := func(pieces ...string) http.HandlerFunc {
		return func(w http.ResponseWriter, _ *http.Request) {
			w.Header().Set("Content-Type", "text/event-stream")
			for _, p := range pieces {
				_, _ = io.WriteString(w, p)
				_ = http.NewResponseController(w).Flush()
			}
		}
	}
	good := role + content("a") + content("b") + goodTail
	var hops atomic.Int64
	tests := []struct {
		name    string
		serve   http.HandlerFunc
		class   analysis.Class
		fault   Fault
		chunks  int
		message string
	}{
		{"answers HTML", func(w http.ResponseWriter, _ *http.Request) {
			w.Header().Set("Content-Type", "text/html")
			_, _ = io.WriteString(w, "<!DOCTYPE html><title>Hello</title>")
		}, analysis.Invalid, faultMalformed, 0, "html"},
		{"redirects for ever", func(w http.ResponseWriter, r *http.Request) {
			hops.Add(1)
			http.Redirect(w, r, "/v1/chat/completions?again", http.StatusTemporaryRedirect)
		}, analysis.Error, faultRedirected, 0, "status 307"},
		{"never ends a stream", func(w http.ResponseWriter, r *http.Request) {
			write(role, content("a"))(w, r)
			<-r.Context().Done()
		}, analysis.Timeout, faultStalled, 1, "without the next part"},
		{"never begins one", func(_ http.ResponseWriter, r *http.Request) { <-r.Context().Done() }, analysis.Timeout, faultLateToken, 0, "without the first token"},
		{"drips for ever", func(w http.ResponseWriter, r *http.Request) {
			w.Header().Set("Content-Type", "text/event-stream")
			for r.Context().Err() == nil {
				_, _ = io.WriteString(w, ": ping\n\n"+content("a"))
				_ = http.NewResponseController(w).Flush()
				time.Sleep(10 * ms)
			}
		}, analysis.Timeout, faultLateEnd, -1, "without the end of the answer"},
		{"sends events of 10 MB", write(role, content(strings.Repeat("long ", 2<<20)), content("b"), goodTail), analysis.OK, faultNone, 2, ""},
		{"sends 10 MB without a line end", write(strings.Repeat("x", 10<<20)), analysis.Invalid, faultMalformed, 0, "not json"},
		{"sends invalid UTF-8", write(role, content("a\xff\xfe\xed\xa0\x80"), content("b"), goodTail), analysis.OK, faultNone, 2, ""},
		{"sends an error in invalid UTF-8", func(w http.ResponseWriter, _ *http.Request) {
			w.WriteHeader(503)
			_, _ = io.WriteString(w, "down\xff\xfe")
		}, analysis.Error, faultServerError, 0, "down?"},
		{"sends CRLF", write(strings.ReplaceAll(good, "\n", "\r\n")), analysis.OK, faultNone, 2, ""},
		{"sends CR", write(strings.ReplaceAll(good, "\n", "\r")), analysis.OK, faultNone, 2, ""},
		{"sends comments", write(": ping\n\n", role, ":\n", content("a"), ": data: "+content("x"), content("b"), goodTail), analysis.OK, faultNone, 2, ""},
		{"leaves spaces out", write(strings.ReplaceAll(good, "data: ", "data:")), analysis.OK, faultNone, 2, ""},
		{"sends several data lines", write(strings.ReplaceAll(good, `,"choices"`, ",\ndata: \"choices\"")), analysis.OK, faultNone, 2, ""},
		{"sends one byte at a time", write(strings.Split(good, "")...), analysis.OK, faultNone, 2, ""},
		{"sends broken JSON", write("data: {\"choices\":[{\"delta\":\n\n", "data: nonsense\n\n"), analysis.Invalid, faultMalformed, 0, "not json"},
		{"sends an error in a stream", write(role, content("a"), event(`{"error":{"message":"out of memory","code":"oom"}}`)), analysis.Error, faultErrorInStream, 1, "code oom"},
		{"cuts the connection", func(w http.ResponseWriter, r *http.Request) {
			write(role, content("a"))(w, r)
			panic(http.ErrAbortHandler)
		}, analysis.Truncated, faultCut, 1, "broken off (status 200): unexpected EOF"},
		{"hangs up before the header", func(http.ResponseWriter, *http.Request) { panic(http.ErrAbortHandler) }, analysis.Error, faultBroken, 0, "no response"},
		{"lies about the length", func(w http.ResponseWriter, _ *http.Request) {
			w.Header().Set("Content-Type", "application/json")
			w.Header().Set("Content-Length", "100")
			_, _ = io.WriteString(w, `{"object":"chat.completion","choices":[`)
		}, analysis.Truncated, faultCut, 0, "broken off (status 200): unexpected EOF"},
		{"answers nothing", func(http.ResponseWriter, *http.Request) {}, analysis.Empty, faultMalformed, 0, "no content"},
		{"answers with other JSON", func(w http.ResponseWriter, _ *http.Request) {
			w.Header().Set("Content-Type", "application/json")
			_, _ = io.WriteString(w, `["hello"]`)
		}, analysis.Invalid, faultMalformed, 0, "stream asked, document came"},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
				_, _ = io.Copy(io.Discard, r.Body) // or the server would not notice that the client has gone
				test.serve(w, r)
			}))
			defer server.Close()
			p := Plan{Target: server.URL, Model: "m", Prompts: []workload.Prompt{workload.Ask("What is light?")}, Pacer: pace.Constant(1000), Requests: 2, Timeout: time.Minute}
			switch test.fault { // a limit that is not of interest can end others on a busy machine
			case faultStalled:
				p.Idle = time.Second
			case faultLateToken:
				p.FirstToken = time.Second
			case faultLateEnd:
				p.Timeout = 500 * ms
			}
			var results []Result
			p.OnResult = func(r Result) { results = append(results, r) }
			report, err := Run(t.Context(), p)
			if err != nil || report.Sent != 2 || len(results) != 2 || report.Interrupted {
				t.Fatalf("%v, %v", report, err)
			}
			for _, r := range results {
				if test.chunks >= 0 && r.Chunks != test.chunks || r.Fault != test.fault {
					t.Errorf("fault %v with %d chunks, want %v with %d", r.Fault, r.Chunks, test.fault, test.chunks)
				}
				wantClass(t, r, test.class, test.message)
			}
		})
	}
	t.Cleanup(func() {
		if hops.Load() != 2 {
			t.Errorf("%d requests met a redirect, want 2: it is not followed", hops.Load())
		}
	})
}

// TestInterruptAtAnyMoment ends runs of real requests at odd instants. Whatever
// was under way is in the report, as stopped.
func TestInterruptAtAnyMoment(t *testing.T) {
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Content-Type", "text/event-stream")
		_, _ = io.WriteString(w, role+content("a"))
		_ = http.NewResponseController(w).Flush()
		_, _ = io.Copy(io.Discard, r.Body)
		if r.ContentLength%2 == 0 {
			<-r.Context().Done() // it never ends
			return
		}
		time.Sleep(30 * ms)
		_, _ = io.WriteString(w, goodTail)
	}))
	defer server.Close()
	for _, after := range []time.Duration{0, ms, 20 * ms, 75 * ms, 310 * ms} {
		ctx, cancel := context.WithCancel(t.Context())
		p := Plan{Target: server.URL, Model: "m", Prompts: []workload.Prompt{workload.Ask("odd"), workload.Ask("even")}, Pacer: pace.Poisson(300, 3)}
		seen := make(map[analysis.Class]int)
		p.OnResult = func(r Result) { seen[r.Class]++ }
		time.AfterFunc(after, cancel)
		began := time.Now()
		report, err := Run(ctx, p)
		took := time.Since(began) - after
		if err != nil || !report.Interrupted || report.Elapsed > took+after {
			t.Fatalf("%v, %v", report, err)
		}
		total := 0
		for c, n := range report.Classes {
			total += n
			if c != analysis.OK && c != analysis.Cancelled && c != analysis.Abandoned || seen[c] != n {
				t.Errorf("after %v: %d of %v, %d were told of", after, n, c, seen[c])
			}
		}
		stopped := report.Classes[analysis.Cancelled] + report.Classes[analysis.Abandoned]
		if total != report.Sent || report.Sent > 2 && (stopped == 0 || report.Faults[faultStopped] != stopped) {
			t.Errorf("after %v: %v", after, report)
		}
		if err := report.WriteHTML(io.Discard); err != nil {
			t.Error(err)
		}
		t.Logf("interrupted after %v: %d requests, %d of them stopped, the report came %v later", after, report.Sent, stopped, took)
		cancel()
	}
}
