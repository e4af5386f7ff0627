package traffic_test

import (
	"bytes"
	"context"
	"errors"
	"io"
	"maps"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"

	"github.com/serin-go/serin/checks/analysis"
	"github.com/serin-go/serin/rollout/traffic"
)

// ignoreTimes leaves what a clock says, and texts, to tests that are about them.
var ignoreTimes = cmpopts.IgnoreFields(analysis.Observation{}, "At", "ID", "Latency", "TTFT", "ITL", "Stall", "Err")

func TestStream(t *testing.T) {
	url, r, d := setup(t, unreachable(t), serve(t, good), func(c *traffic.Config) {
		c.Arms["new"] = traffic.Backend{URL: c.Arms["new"].URL, Price: traffic.Price{Input: 1_000_000, Output: 2_000_000, CacheRead: 500_000}}
		c.Unit = func(*http.Request) string { return "ann" }
	})
	got := post(t, url, `{"stream":true}`)
	if got.body != goodStream || got.err != nil || got.status != 200 || got.version != "new" {
		t.Errorf("got %+v", got)
	}
	o := d.one(t)
	want := analysis.Observation{
		Arm: "new", Unit: "ann", Generation: 7, Route: "POST " + chat, Class: analysis.OK, Finish: analysis.FinishStop,
		InputTokens: 10, OutputTokens: 5, CachedTokens: 4, Cost: 6 + 2 + 10,
	}
	if diff := cmp.Diff(want, o, ignoreTimes); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
	if o.ID != got.id || len(o.ID) != 16 || o.At.IsZero() || o.TTFT <= 0 || o.Latency < o.TTFT || o.Err != nil {
		t.Errorf("observation %+v of request %s", o, got.id)
	}
	wantStats := []traffic.ArmStats{
		{Arm: "new", Requests: 1, ByClass: map[analysis.Class]uint64{analysis.OK: 1}},
		{Arm: "old", ByClass: map[analysis.Class]uint64{}},
	}
	if diff := cmp.Diff(wantStats, r.Stats()); diff != "" {
		t.Errorf("stats (-want +got):\n%s", diff)
	}
}

// TestChunksPassAtOnce has the model wait for the caller to have read each chunk
// before it sends the next: a router that held one back would wait for ever.
func TestChunksPassAtOnce(t *testing.T) {
	next := make(chan struct{})
	model := serve(t, func(w http.ResponseWriter, r *http.Request) {
		for range 20 {
			stream(w, token("x"))
			select {
			case <-next:
			case <-r.Context().Done():
				return
			}
		}
		stream(w, done)
	})
	url, _, d := setup(t, model, model, nil)
	resp, err := http.Post(url+chat, "application/json", strings.NewReader(streaming))
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	buf := make([]byte, len(token("x")))
	for i := range 20 {
		if _, err := io.ReadFull(resp.Body, buf); err != nil || string(buf) != token("x") {
			t.Fatalf("chunk %d: %q, %v", i, buf, err)
		}
		next <- struct{}{}
	}
	if rest, err := io.ReadAll(resp.Body); string(rest) != done || err != nil {
		t.Errorf("rest %q, %v", rest, err)
	}
	if o := d.one(t); o.Class != analysis.OK || o.OutputTokens != 20 || o.ITL <= 0 || o.Cost != -1 {
		t.Errorf("observation %+v", o)
	}
}

func TestClasses(t *testing.T) {
	document := func(status int, body string) http.HandlerFunc {
		return func(w http.ResponseWriter, _ *http.Request) {
			w.Header().Set("Content-Type", "application/json; charset=utf-8")
			w.WriteHeader(status)
			_, _ = io.WriteString(w, body)
		}
	}
	events := func(e ...string) http.HandlerFunc {
		return func(w http.ResponseWriter, _ *http.Request) { stream(w, e...) }
	}
	lines := func(l ...string) http.HandlerFunc {
		return func(w http.ResponseWriter, _ *http.Request) {
			w.Header().Set("Content-Type", "application/x-ndjson")
			_, _ = io.WriteString(w, strings.Join(l, "\n"))
		}
	}
	const line, last = `{"message":{"content":"Hi"},"done":false}`, `{"message":{"content":""},"done":true,"done_reason":"stop","prompt_eval_count":3,"eval_count":7}`
	const whole = `{"choices":[{"message":{"content":"Hi"},"finish_reason":"stop"}],"usage":{"prompt_tokens":3,"completion_tokens":2}}`
	tests := []struct {
		name  string
		model http.HandlerFunc
		want  analysis.Class
		out   int // output tokens
		path  string
		body  string
	}{
		{"document", document(200, whole), analysis.OK, 2, chat, "{}"},
		{"refusing document", document(200, `{"choices":[{"message":{"content":null,"refusal":"no"},"finish_reason":"stop"}]}`), analysis.Refused, 0, chat, "{}"},
		{"empty document", document(200, `{"choices":[{"message":{"content":""},"finish_reason":"stop"}]}`), analysis.Empty, 0, chat, "{}"},
		{"error in a 200 document", document(200, `{"error":{"message":"boom"}}`), analysis.Error, 0, chat, "{}"},
		{"half a document", document(200, whole[:40]), analysis.Truncated, 0, chat, "{}"},
		{"list of models", document(200, `{"object":"list","data":[{"id":"m"}]}`), analysis.Invalid, 0, chat, "{}"},
		{"list of models on another route", document(200, `{"object":"list","data":[{"id":"m"}]}`), analysis.Unread, 0, "/v1/odd", "{}"},
		{"document where a stream is due", document(200, whole), analysis.Invalid, 2, chat, streaming},
		{"no content", document(204, ""), analysis.Empty, 0, chat, "{}"},
		{"redirect", document(302, ""), analysis.Error, 0, chat, "{}"},
		{"400", document(400, `{"error":{"message":"bad"}}`), analysis.Rejected, 0, chat, "{}"},
		{"400 on another route", document(400, `{"error":{"message":"bad"}}`), analysis.Rejected, 0, "/v1/odd", "{}"},
		{"500 on another route", document(500, `{"error":{"message":"bad"}}`), analysis.Error, 0, "/v1/odd", "{}"},
		{"429", document(429, `{"error":{"message":"slow down"}}`), analysis.Limited, 0, chat, "{}"},
		{"error in a 200 stream", events(role, token("a"), "data: {\"error\":{\"message\":\"boom\"}}\n\n", done), analysis.Error, 1, chat, streaming},
		{"no terminator", events(role, token("a"), token("b")), analysis.Truncated, 2, chat, streaming},
		{"finish reason alone", events(role, token("a"), finish), analysis.OK, 1, chat, streaming},
		{"no token", events(role, finish, done), analysis.Empty, 0, chat, streaming},
		{"no event", events(": ping\n\n"), analysis.Empty, 0, chat, streaming},
		{"content filter", events(role, token("a"), strings.Replace(finish, "stop", "content_filter", 1), done), analysis.Refused, 1, chat, streaming},
		{"stream of something else", events("data: {\"price\":1}\n\n"), analysis.Invalid, 0, chat, streaming},
		{"stream where a document is due", events(role, token("a"), finish, done), analysis.Invalid, 1, chat, "{}"},
		{"lines", lines(line, line, last), analysis.OK, 7, "/api/chat", "{}"},
		{"lines without the last", lines(line, line), analysis.Truncated, 2, "/api/chat", "{}"},
		{"error in a line", lines(line, `{"error":"out of memory"}`), analysis.Error, 1, "/api/chat", "{}"},
		{"lines of something else", lines(`{"price":1}`, `{"price":2}`), analysis.Invalid, 0, "/api/chat", "{}"},
		{"lines of another interface", lines(line, line, last), analysis.Invalid, 7, chat, streaming},
		{"plain text", func(w http.ResponseWriter, _ *http.Request) { _, _ = io.WriteString(w, "hi") }, analysis.Invalid, 0, chat, "{}"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			model := serve(t, tt.model)
			client := &http.Client{CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }}
			send := func(url string) answer {
				t.Helper()
				resp, err := client.Post(url+tt.path, "application/json", strings.NewReader(tt.body))
				if err != nil {
					t.Fatal(err)
				}
				return read(resp)
			}
			direct := send(model)
			url, _, d := setup(t, unreachable(t), model, func(c *traffic.Config) { c.NoFallback = true })
			got := send(url)
			if got.body != direct.body || got.status != direct.status || got.version != "new" {
				t.Errorf("got %+v, the model sent %+v", got, direct)
			}
			o := d.one(t)
			if o.Class != tt.want || o.OutputTokens != tt.out || o.Arm != "new" {
				t.Errorf("observation %+v, want class %v and %d tokens", o, tt.want, tt.out)
			}
			if good := tt.want == analysis.OK || tt.want == analysis.Refused; good == (o.Err != nil) || (tt.want == analysis.OK) != (o.Why == "") {
				t.Errorf("class %v (%s) with error %v", o.Class, o.Why, o.Err)
			}
			if streamed := direct.status == http.StatusOK && strings.Contains(direct.body, "\n"); !streamed && o.TTFT != 0 {
				t.Errorf("TTFT %v of an answer that was not streamed", o.TTFT)
			}
		})
	}
}

// hang sends what it is given and then nothing until its caller is gone.
func hang(events ...string) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Content-Type", "text/event-stream")
		_ = http.NewResponseController(w).Flush()
		stream(w, events...)
		silent(w, r)
	}
}

// silent reads the request, without which a server does not notice that its
// caller is gone, and says nothing.
func silent(_ http.ResponseWriter, r *http.Request) {
	_, _ = io.Copy(io.Discard, r.Body)
	<-r.Context().Done()
}

func cutOff(w http.ResponseWriter, _ *http.Request) {
	w.Header().Set("Content-Type", "text/event-stream")
	_ = http.NewResponseController(w).Flush()
	panic(http.ErrAbortHandler)
}

func failing(w http.ResponseWriter, _ *http.Request) {
	w.Header().Set("X-Failed", "yes")
	w.Header().Set("Content-Length", "5")
	w.WriteHeader(503)
	_, _ = io.WriteString(w, "sorry")
}

func unanswered(t *testing.T) map[string]struct {
	url  string
	want analysis.Class
	why  string
} {
	type failure = struct {
		url  string
		want analysis.Class
		why  string
	}
	return map[string]failure{
		"down":               {unreachable(t), analysis.Error, "no answer"},
		"503":                {serve(t, failing), analysis.Error, "status 503"},
		"hangs":              {serve(t, silent), analysis.Timeout, "no first byte"},
		"hangs after header": {serve(t, hang()), analysis.Timeout, "no first byte"},
		"cut after header":   {serve(t, cutOff), analysis.Truncated, "broken off"},
		"endless error": {serve(t, func(w http.ResponseWriter, r *http.Request) {
			_, _ = io.Copy(io.Discard, r.Body)
			w.WriteHeader(500)
			for r.Context().Err() == nil {
				if _, err := w.Write(make([]byte, 10<<10)); err != nil {
					return
				}
			}
		}), analysis.Error, "status 500"},
	}
}

// briefly is a FirstByteTimeout for models that are meant to exceed it.
func briefly(c *traffic.Config) { c.FirstByteTimeout = briefTime }

const briefTime = time.Second // within which a busy machine answers

func TestFallback(t *testing.T) {
	for name, failure := range unanswered(t) {
		t.Run(name, func(t *testing.T) {
			body := strings.Repeat("prompt ", 10_000)
			old := serve(t, func(w http.ResponseWriter, r *http.Request) {
				if b, err := io.ReadAll(r.Body); err != nil || string(b) != body {
					t.Errorf("the baseline got %d bytes of %d, %v", len(b), len(body), err)
				}
				good(w, r)
			})
			url, r, d := setup(t, old, failure.url, briefly)
			resp, err := http.Post(url+chat, "application/json", strings.NewReader(body))
			if err != nil {
				t.Fatal(err)
			}
			if resp.Header.Get("X-Failed") != "" {
				t.Errorf("the header of the failed attempt got out: %v", resp.Header)
			}
			if got := read(resp); got.body != goodStream || got.err != nil || got.status != 200 || got.version != "old" {
				t.Errorf("got %+v", got)
			}
			o := d.one(t)
			want := analysis.Observation{Arm: "new", Generation: 7, Route: "POST " + chat, Class: failure.want, Why: failure.why, Cost: -1}
			if diff := cmp.Diff(want, o, ignoreTimes); diff != "" || o.Err == nil {
				t.Errorf("error %v, (-want +got):\n%s", o.Err, diff)
			}
			wantStats := []traffic.ArmStats{
				{Arm: "new", Requests: 1, Fallbacks: 1, ByClass: map[analysis.Class]uint64{failure.want: 1}, Why: map[string]uint64{failure.why: 1}},
				{Arm: "old", ByClass: map[analysis.Class]uint64{}},
			}
			if diff := cmp.Diff(wantStats, r.Stats()); diff != "" {
				t.Errorf("stats (-want +got):\n%s", diff)
			}
		})
	}
}

// TestNoFallback shows what callers get without a fallback: the failures of the
// baseline, and of a candidate whose failures are not to be hidden.
func TestNoFallback(t *testing.T) {
	want := map[string]answer{
		"down": {status: 502}, "503": {status: 503}, "hangs": {status: 504},
		"hangs after header": {status: 504},
	}
	for name, failure := range unanswered(t) {
		if name == "endless error" || name == "cut after header" {
			continue // one would be passed on for ever, of the other the header may or may not get through
		}
		t.Run(name, func(t *testing.T) {
			url, _, d := setup(t, failure.url, serve(t, good), func(c *traffic.Config) {
				briefly(c)
				c.Split = split(1, 0)
			})
			got := post(t, url, streaming)
			if got.status != want[name].status || !errors.Is(got.err, want[name].err) || got.version != "old" {
				t.Errorf("got %+v, want %+v", got, want[name])
			}
			if o := d.one(t); o.Class != failure.want || o.Arm != "old" || o.Err == nil {
				t.Errorf("observation %+v, want class %v", o, failure.want)
			}
		})
	}
	t.Run("by choice", func(t *testing.T) {
		url, _, d := setup(t, serve(t, good), serve(t, failing), func(c *traffic.Config) { c.NoFallback = true })
		if got := post(t, url, streaming); got.status != 503 || got.body != "sorry" || got.version != "new" {
			t.Errorf("got %+v", got)
		}
		d.one(t)
	})
	t.Run("both fail", func(t *testing.T) {
		url, _, d := setup(t, serve(t, failing), unreachable(t), nil)
		if got := post(t, url, streaming); got.status != 503 || got.body != "sorry" || got.version != "old" {
			t.Errorf("got %+v", got)
		}
		if o := d.one(t); o.Arm != "new" || o.Class != analysis.Error {
			t.Errorf("observation %+v", o)
		}
	})
}

// TestNothingLeaks checks that a caller learns nothing about the network behind
// the router when a connection fails.
func TestNothingLeaks(t *testing.T) {
	down := unreachable(t)
	url, _, _ := setup(t, down, down, nil)
	got := post(t, url, streaming)
	want := `{"error":{"message":"the model could not be reached","type":"server_error","param":null,"code":502}}` + "\n"
	if got.body != want {
		t.Errorf("got %q", got.body)
	}
}

// TestCutStream checks that a stream that breaks off looks broken off to the
// caller, too: an answer that ends cleanly half-way is taken for a whole one.
func TestCutStream(t *testing.T) {
	model := serve(t, func(w http.ResponseWriter, _ *http.Request) {
		stream(w, role, token("Hel"))
		panic(http.ErrAbortHandler)
	})
	url, _, d := setup(t, serve(t, good), model, nil)
	got := post(t, url, streaming)
	if got.body != role+token("Hel") || !errors.Is(got.err, io.ErrUnexpectedEOF) || got.version != "new" {
		t.Errorf("got %+v", got)
	}
	if o := d.one(t); o.Class != analysis.Truncated || o.OutputTokens != 1 || o.TTFT <= 0 {
		t.Errorf("observation %+v", o)
	}
}

func TestCancelReachesTheModel(t *testing.T) {
	reached := make(chan struct{})
	model := serve(t, func(w http.ResponseWriter, r *http.Request) {
		stream(w, role, token("Hel"))
		<-r.Context().Done()
		close(reached)
	})
	url, r, d := setup(t, model, model, nil)
	ctx, cancel := context.WithCancel(t.Context())
	req, err := http.NewRequestWithContext(ctx, "POST", url+chat, strings.NewReader(streaming))
	if err != nil {
		t.Fatal(err)
	}
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	if _, err := io.ReadFull(resp.Body, make([]byte, len(role+token("Hel")))); err != nil {
		t.Fatal(err)
	}
	if s := r.Stats()[0]; s.InFlight != 1 || s.Requests != 0 {
		t.Errorf("stats while the stream runs: %+v", s)
	}
	cancel()
	select {
	case <-reached:
	case <-time.After(patience):
		t.Fatal("the model goes on")
	}
	if o := d.one(t); !left(o.Class) || o.OutputTokens != 1 {
		t.Errorf("observation %+v", o)
	}
}

func TestCancelBeforeTheFirstByte(t *testing.T) {
	started := make(chan struct{})
	model := serve(t, func(w http.ResponseWriter, r *http.Request) { close(started); silent(w, r) })
	old := serve(t, func(http.ResponseWriter, *http.Request) { t.Error("a fallback for a caller who is gone") })
	url, _, d := setup(t, old, model, nil)
	ctx, cancel := context.WithCancel(t.Context())
	req, err := http.NewRequestWithContext(ctx, "POST", url+chat, strings.NewReader(streaming))
	if err != nil {
		t.Fatal(err)
	}
	go func() { <-started; cancel() }()
	if resp, err := http.DefaultClient.Do(req); err == nil {
		_ = resp.Body.Close()
		t.Fatal("got an answer")
	}
	if o := d.one(t); o.Class != analysis.Abandoned || o.Arm != "new" {
		t.Errorf("observation %+v", o)
	}
}

func TestBodies(t *testing.T) {
	echo := func(w http.ResponseWriter, r *http.Request) {
		b, err := io.ReadAll(r.Body)
		if err != nil {
			t.Errorf("the model got %d bytes and %v", len(b), err)
		}
		_, _ = w.Write(b)
	}
	for _, size := range []int{0, 1, 1000, 100_000, 1 << 20, 3 << 20} {
		for _, chunked := range []bool{false, true} {
			for _, up := range []bool{true, false} {
				model := unreachable(t)
				if up {
					model = serve(t, echo)
				}
				url, _, d := setup(t, serve(t, echo), model, func(c *traffic.Config) {
					c.MaxBody = 2 << 20
					c.Unit = func(r *http.Request) string { // may look at bodies that are held
						b, err := io.ReadAll(io.LimitReader(r.Body, 10))
						if size <= 2<<20 && (err != nil || len(b) != min(size, 10)) {
							t.Errorf("Unit read %d bytes, %v", len(b), err)
						}
						return "u"
					}
					if size > 2<<20 {
						c.Unit = nil
					}
				})
				body := bytes.Repeat([]byte("abcdefg."), size/8+1)[:size]
				var reader io.Reader = bytes.NewReader(body)
				if chunked {
					reader = io.MultiReader(reader)
				}
				resp, err := http.Post(url+chat, "text/plain", reader)
				if err != nil {
					t.Fatal(err)
				}
				got := read(resp)
				// Only a body that was not held can be lost with its arm.
				lost := !up && size > 2<<20
				if lost != (got.status == 502) || !lost && got.body != string(body) {
					t.Errorf("size %d, chunked %v, up %v: status %d, %d bytes, %v", size, chunked, up, got.status, len(got.body), got.err)
				}
				d.one(t)
			}
		}
	}
}

func TestUnreadableBody(t *testing.T) {
	r, d := newRouter(t, unreachable(t), unreachable(t), nil)
	url := serve(t, func(w http.ResponseWriter, req *http.Request) {
		req.Body = http.MaxBytesReader(w, req.Body, 10)
		r.ServeHTTP(w, req)
	})
	if got := post(t, url, strings.Repeat("x", 100)); got.status != http.StatusRequestEntityTooLarge {
		t.Errorf("got %+v", got)
	}
	if got := r.Unserved(); !maps.Equal(got, map[string]uint64{"body too large": 1}) {
		t.Errorf("unserved %v", got)
	}
	d.wait(t, 0) // no arm is charged
}
