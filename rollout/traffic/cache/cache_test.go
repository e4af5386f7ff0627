package cache_test

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"runtime"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/serin-go/serin/checks"
	"github.com/serin-go/serin/rollout/traffic/cache"
)

// model answers with the number of the request.
type model struct {
	asked  atomic.Int64
	answer func(n int64, r *http.Request) *http.Response
}

func (m *model) RoundTrip(r *http.Request) (*http.Response, error) {
	n := m.asked.Add(1)
	if r.Body != nil {
		io.Copy(io.Discard, r.Body)
		r.Body.Close()
	}
	if m.answer != nil {
		return m.answer(n, r), nil
	}
	return document(fmt.Sprintf(`{"choices":[{"message":{"content":"%d"},"finish_reason":"stop"}]}`, n)), nil
}

func respond(status int, kind string, body io.Reader) *http.Response {
	return &http.Response{StatusCode: status, Header: http.Header{"Content-Type": {kind}}, Body: io.NopCloser(body), ContentLength: -1}
}

func document(body string) *http.Response {
	return respond(200, "application/json", strings.NewReader(body))
}

func newCache(t testing.TB, cfg cache.Config) *cache.Cache {
	t.Helper()
	c, err := cache.New(cfg)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { c.Close() })
	return c
}

// ask returns the body of the answer, and what the header says of where it is from.
func ask(t testing.TB, tr http.RoundTripper, body string, header ...string) (string, string) {
	t.Helper()
	req := httptest.NewRequest(http.MethodPost, "http://models/v1/chat/completions", strings.NewReader(body))
	req.Header.Set("Content-Type", "application/json")
	req.Header.Set("Authorization", "Bearer ana")
	for i := 0; i < len(header); i += 2 {
		req.Header.Set(header[i], header[i+1])
	}
	resp, err := tr.RoundTrip(req)
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	b, err := io.ReadAll(resp.Body)
	if err != nil {
		t.Fatal(err)
	}
	return string(b), resp.Header.Get("Serin-Cache")
}

const (
	fixed    = `{"model":"m","temperature":0,"messages":[{"role":"user","content":"hi"}]}`
	streamed = `{"model":"m","temperature":0,"stream":true,"messages":[{"role":"user","content":"hi"}]}`
)

func TestSameQuestion(t *testing.T) {
	for name, tt := range map[string]struct {
		first, second string
		header        []string
		same          bool
	}{
		"the same":               {fixed, fixed, nil, true},
		"members in other order": {fixed, `{ "messages":[{"content":"hi","role":"user"}], "temperature":0,"model":"m"}`, nil, true},
		"a seed":                 {`{"seed":7}`, `{"seed":7}`, nil, true},
		"a written zero":         {`{"temperature":0.0}`, `{"temperature":0.0}`, nil, true},
		"another text":           {fixed, strings.Replace(fixed, "hi", "ho", 1), nil, false},
		"another parameter":      {fixed, strings.Replace(fixed, "{", `{"max_tokens":1,`, 1), nil, false},
		"another tenant":         {fixed, fixed, []string{"Authorization", "Bearer ben"}, false},
		"wants a new answer":     {fixed, fixed, []string{"Cache-Control", "no-cache"}, false},
		"not determined":         {`{"temperature":1}`, `{"temperature":1}`, nil, false},
		"nothing said":           {`{}`, `{}`, nil, false},
		"kept by the server":     {`{"seed":1,"store":true}`, `{"seed":1,"store":true}`, nil, false},
		"continues":              {`{"seed":1,"previous_response_id":"r"}`, `{"seed":1,"previous_response_id":"r"}`, nil, false},
		"not JSON":               {`{"seed":1`, `{"seed":1`, nil, false},
		"more than JSON":         {`{"seed":1} {}`, `{"seed":1} {}`, nil, false},
		"another kind":           {fixed, fixed, []string{"Content-Type", "text/plain"}, false},
	} {
		t.Run(name, func(t *testing.T) {
			m := &model{}
			tr := newCache(t, cache.Config{}).Transport("1.4.0", m)
			a, where := ask(t, tr, tt.first)
			if where == "hit" {
				t.Error("the first answer is from memory")
			}
			b, where := ask(t, tr, tt.second, tt.header...)
			if (a == b) != tt.same || (where == "hit") != tt.same {
				t.Errorf("%q and then %q, %s", a, b, where)
			}
		})
	}
}

func TestVersionsAndMethods(t *testing.T) {
	m := &model{}
	c := newCache(t, cache.Config{})
	a, _ := ask(t, c.Transport("1.4.0", m), fixed)
	if b, _ := ask(t, c.Transport("1.5.0", m), fixed); a == b {
		t.Error("an answer has crossed from one version to another")
	}
	c.Forget("1.4.0")
	if b, where := ask(t, c.Transport("1.4.0", m), fixed); a == b || where != "miss" {
		t.Error("what was forgotten is there")
	}
	if _, where := ask(t, c.Transport("1.5.0", m), fixed); where != "hit" {
		t.Error("another version was forgotten, too")
	}
	req := httptest.NewRequest(http.MethodGet, "http://models/v1/models", nil)
	for range 2 {
		if resp, err := c.Transport("1.4.0", m).RoundTrip(req); err != nil || resp.Header.Get("Serin-Cache") != "" {
			t.Errorf("%v %v", resp, err)
		}
	}
	any := newCache(t, cache.Config{Any: true}).Transport("1", m)
	ask(t, any, `{}`)
	if _, where := ask(t, any, `{}`); where != "hit" {
		t.Error("Any remembers nothing")
	}
}

const events = "data: {\"choices\":[{\"delta\":{\"content\":\"Hel\"}}]}\n\ndata: {\"choices\":[{\"delta\":{\"content\":\"lo\"},\"finish_reason\":\"stop\"}]}\n\ndata: [DONE]\n\n"

func TestWhatIsRemembered(t *testing.T) {
	for name, tt := range map[string]struct {
		answer func() *http.Response
		hit    bool
	}{
		"a stream":  {func() *http.Response { return respond(200, "text/event-stream", strings.NewReader(events)) }, true},
		"cut short": {func() *http.Response { return respond(200, "text/event-stream", strings.NewReader(events[:60])) }, false},
		"broken":    {func() *http.Response { return respond(200, "text/event-stream", &breaking{events}) }, false},
		"with an error": {func() *http.Response {
			return respond(200, "text/event-stream", strings.NewReader("data: {\"error\":{\"message\":\"no\"}}\n\n"+events))
		}, false},
		"refused": {func() *http.Response {
			return document(`{"choices":[{"message":{"refusal":"no"},"finish_reason":"content_filter"}]}`)
		}, false},
		"an error": {func() *http.Response {
			return respond(500, "application/json", strings.NewReader(`{"error":{"message":"x"}}`))
		}, false},
		"a limit": {func() *http.Response { return respond(429, "application/json", strings.NewReader(`{}`)) }, false},
		"a page":  {func() *http.Response { return respond(200, "text/html", strings.NewReader("<p>hi")) }, false},
		"too long": {func() *http.Response {
			return document(`{"choices":[{"message":{"content":"` + strings.Repeat("x", 3000) + `"},"finish_reason":"stop"}]}`)
		}, false},
		"says hit by itself": {func() *http.Response {
			r := respond(500, "application/json", strings.NewReader("{}"))
			r.Header.Set("Serin-Cache", "hit")
			return r
		}, false},
		"another length": {func() *http.Response {
			r := document(`{"choices":[{"message":{"content":"x"},"finish_reason":"stop"}]}`)
			r.Header.Set("Content-Length", "9999")
			return r
		}, false},
	} {
		t.Run(name, func(t *testing.T) {
			m := &model{answer: func(int64, *http.Request) *http.Response { return tt.answer() }}
			tr := newCache(t, cache.Config{MaxAnswer: 2000}).Transport("1", m)
			var bodies []string
			for i := range 2 {
				question := fixed
				if strings.HasPrefix(tt.answer().Header.Get("Content-Type"), "text/event-stream") {
					question = streamed
				}
				req := httptest.NewRequest(http.MethodPost, "http://models/v1/chat/completions", strings.NewReader(question))
				req.Header.Set("Content-Type", "application/json")
				req.Header.Set("X-Api-Key", "sk-ana")
				resp, err := tr.RoundTrip(req)
				if err != nil {
					t.Fatal(err)
				}
				b, err := io.ReadAll(resp.Body)
				resp.Body.Close()
				if (err != nil) != (name == "broken") {
					t.Errorf("reading: %v", err)
				}
				bodies = append(bodies, string(b))
				if hit := resp.Header.Get("Serin-Cache") == "hit"; hit != (tt.hit && i == 1) {
					t.Errorf("answer %d: hit %t", i, hit)
				}
				if resp.StatusCode != tt.answer().StatusCode {
					t.Errorf("status %d", resp.StatusCode)
				}
			}
			if bodies[0] != bodies[1] {
				t.Errorf("%q and then %q", bodies[0], bodies[1])
			}
		})
	}
}

// breaking is a body that breaks off.
type breaking struct{ text string }

func (b *breaking) Read(p []byte) (int, error) {
	if b.text == "" {
		return 0, errors.New("connection reset")
	}
	n := copy(p, b.text[:min(len(b.text), 20)])
	b.text = b.text[n:]
	return n, nil
}

// TestReadAlong: ten who ask while the first one is being answered read the same
// stream as it comes, from one request; a caller who leaves does not disturb the others.
func TestReadAlong(t *testing.T) {
	c := newCache(t, cache.Config{}) // which has a goroutine of its own
	synctest.Test(t, func(t *testing.T) {
		out, in := io.Pipe()
		m := &model{answer: func(int64, *http.Request) *http.Response { return respond(200, "text/event-stream", out) }}
		tr := c.Transport("1", m)
		type user struct {
			cancel context.CancelFunc
			resp   *http.Response
			got    bytes.Buffer
		}
		var users []*user
		for range 10 {
			ctx, cancel := context.WithCancel(t.Context())
			req := httptest.NewRequest(http.MethodPost, "http://models/v1/chat/completions", strings.NewReader(streamed)).WithContext(ctx)
			req.Header.Set("Content-Type", "application/json")
			req.Header.Set("X-Api-Key", "sk-ana")
			resp, err := tr.RoundTrip(req)
			if err != nil {
				t.Fatal(err)
			}
			u := &user{cancel: cancel, resp: resp}
			users = append(users, u)
			go io.Copy(&u.got, resp.Body)
		}
		for _, part := range strings.SplitAfter(events, "\n\n") {
			io.WriteString(in, part)
			synctest.Wait()
			if part != "" && users[3].got.Len() == 0 {
				t.Error("what has come is not passed on")
			}
			users[0].cancel() // the one who asked first
			users[0].resp.Body.Close()
		}
		in.Close()
		synctest.Wait()
		for i, u := range users[1:] {
			if u.got.String() != events {
				t.Errorf("user %d got %q", i+1, u.got.String())
			}
			if where := u.resp.Header.Get("Serin-Cache"); where != "hit" {
				t.Errorf("user %d: %s", i+1, where)
			}
			u.resp.Body.Close()
			u.cancel()
		}
		if m.asked.Load() != 1 {
			t.Errorf("the model was asked %d times", m.asked.Load())
		}
		if s := c.Stats(); s.Shared != 9 || s.Misses != 1 {
			t.Errorf("%+v", s)
		}
		if n := c.Stats().Answers; n != 1 {
			t.Errorf("%d answers are remembered", n)
		}
	})
}

// TestLastReaderCancels: when all callers have left, the request to the model is cancelled.
func TestLastReaderCancels(t *testing.T) {
	c := newCache(t, cache.Config{})
	synctest.Test(t, func(t *testing.T) {
		cancelled := make(chan struct{})
		m := &model{answer: func(_ int64, r *http.Request) *http.Response {
			context.AfterFunc(r.Context(), func() { close(cancelled) })
			out, _ := io.Pipe()
			context.AfterFunc(r.Context(), func() { out.CloseWithError(r.Context().Err()) })
			return respond(200, "text/event-stream", out)
		}}
		tr := c.Transport("1", m)
		ctx, cancel := context.WithCancel(t.Context())
		req := httptest.NewRequest(http.MethodPost, "http://models/v1/chat/completions", strings.NewReader(streamed)).WithContext(ctx)
		req.Header.Set("Content-Type", "application/json")
		req.Header.Set("X-Api-Key", "sk-ana")
		resp, err := tr.RoundTrip(req)
		if err != nil {
			t.Fatal(err)
		}
		cancel()
		if _, err := resp.Body.Read(make([]byte, 1)); !errors.Is(err, context.Canceled) {
			t.Errorf("Read after the end of the context: %v", err)
		}
		resp.Body.Close()
		synctest.Wait()
		select {
		case <-cancelled:
		default:
			t.Error("the request to the model goes on")
		}
	})
}

// TestSlowReader: an answer that is too long to be remembered is not held in memory
// for slow readers, and reaches all of them in full.
func TestSlowReader(t *testing.T) {
	long := `{"choices":[{"message":{"content":"` + strings.Repeat("x", 1<<20) + `"},"finish_reason":"stop"}]}`
	m := &model{answer: func(int64, *http.Request) *http.Response { return document(long) }}
	tr := newCache(t, cache.Config{MaxAnswer: 10_000}).Transport("1", m)
	var wg sync.WaitGroup
	for range 4 {
		wg.Go(func() {
			if body, _ := ask(t, tr, fixed); body != long {
				t.Errorf("%d bytes of %d", len(body), len(long))
			}
		})
	}
	wg.Wait()
}

func TestBounds(t *testing.T) {
	m := &model{}
	c := newCache(t, cache.Config{MaxBytes: 100_000, MaxAnswer: 10_000})
	tr := c.Transport("1", m)
	for i := range 5000 {
		ask(t, tr, fmt.Sprintf(`{"seed":%d}`, i))
	}
	for deadline := time.Now().Add(20 * time.Second); c.Stats().Bytes > 100_000; runtime.Gosched() {
		if time.Now().After(deadline) {
			t.Fatalf("%+v", c.Stats())
		}
	}
	large := `{"seed":1,"text":"` + strings.Repeat("x", 2<<20) + `"}`
	for range 2 {
		if _, where := ask(t, tr, large); where != "" {
			t.Error("a question of 2 MB is remembered")
		}
	}
}

func TestBadConfig(t *testing.T) {
	for _, name := range []string{"Set-Cookie", "set-cookie2", "X-RateLimit-Remaining-Requests", "anthropic-ratelimit-tokens-reset", "X-Request-Id", "request-id", "Connection", "Serin-Cache", "two words", ""} {
		var invalid *checks.InvalidError
		if _, err := cache.New(cache.Config{Keep: []string{"X-Model", name}}); !errors.As(err, &invalid) || invalid.Field != "Config.Keep" {
			t.Errorf("Keep of %q: %v", name, err)
		}
	}
	for _, cfg := range []cache.Config{{MaxBytes: 1000, MaxAnswer: 1001}, {MaxAnswer: 64<<20 + 1}} {
		var invalid *checks.InvalidError
		if err := cfg.Validate(); !errors.As(err, &invalid) || invalid.Field != "Config.MaxAnswer" {
			t.Errorf("%d of %d bytes: %v, want an invalid MaxAnswer", cfg.MaxAnswer, cfg.MaxBytes, err)
		}
	}
	for _, cfg := range []cache.Config{{MaxBytes: 1000, MaxAnswer: 1000}, {MaxBytes: 1000}, {MaxAnswer: 64 << 20}, {MaxBytes: 128 << 20, MaxAnswer: 100 << 20}} {
		if err := cfg.Validate(); err != nil {
			t.Errorf("%d of %d bytes: %v", cfg.MaxAnswer, cfg.MaxBytes, err)
		}
	}
	_, err := cache.New(cache.Config{MaxBytes: -1, MaxAnswer: -1, TTL: -1, Keep: []string{"Set-Cookie"}})
	fields := map[string]bool{}
	for invalid := range checks.Invalid(err) {
		fields[invalid.Field] = true
	}
	for _, field := range []string{"MaxBytes", "MaxAnswer", "TTL", "Keep"} {
		if !fields["Config."+field] {
			t.Errorf("%v does not name %s", err, field)
		}
	}
}

// FuzzSame: what JSON takes for the same is the same question, whatever it looks
// like, and something else is not.
func FuzzSame(f *testing.F) {
	f.Add(`{"seed":1,"a":[1,2,{"b":null}]}`)
	f.Add(`{"seed":1,"n":1.50,"s":"\u00e9"}`)
	f.Add(`{"n":10}`)
	f.Add(`{"a":"\ud83d\ude00","b":"\ud800","a":1}`)
	f.Fuzz(func(t *testing.T, body string) {
		var v map[string]any
		d := json.NewDecoder(strings.NewReader(body))
		d.UseNumber()
		if d.Decode(&v) != nil || v == nil {
			return
		}
		if _, err := d.Token(); err != io.EOF {
			return
		}
		again, err := json.MarshalIndent(v, "", " ")
		if err != nil {
			return
		}
		c := newCache(t, cache.Config{Any: true})
		tr := c.Transport("1", &model{})
		ask(t, tr, body)
		if s := c.Stats(); s.Misses > 0 && s.Answers == 0 {
			return // the model's answer is not one to this request: with a number of choices, say
		}
		_, where := ask(t, tr, string(again))
		if passed := c.Stats().Passed > 0; where != "hit" && !passed {
			t.Errorf("%q and %q are not the same", body, again)
		}
		v["something"] = "else"
		other, _ := json.Marshal(v)
		if _, where := ask(t, tr, string(other)); where == "hit" && !strings.Contains(body, "something") {
			t.Errorf("%q and %q are the same", body, other)
		}
	})
}

func BenchmarkHit(b *testing.B) {
	tr := newCache(b, cache.Config{}).Transport("1", &model{})
	ask(b, tr, fixed)
	b.ReportAllocs()
	for b.Loop() {
		ask(b, tr, fixed)
	}
}

func BenchmarkMiss(b *testing.B) {
	tr := newCache(b, cache.Config{}).Transport("1", &model{})
	b.ReportAllocs()
	for i := 0; b.Loop(); i++ {
		ask(b, tr, fmt.Sprintf(`{"model":"m","seed":%d,"messages":[{"role":"user","content":"hi"}]}`, i))
	}
}

func BenchmarkPass(b *testing.B) {
	tr := newCache(b, cache.Config{}).Transport("1", &model{})
	b.ReportAllocs()
	for b.Loop() {
		ask(b, tr, fixed, "Cache-Control", "no-store")
	}
}

func Example() {
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Type", "application/json")
		fmt.Fprint(w, `{"choices":[{"message":{"content":"42"},"finish_reason":"stop"}]}`)
	}))
	defer server.Close()
	remembered, err := cache.New(cache.Config{})
	if err != nil {
		fmt.Println(err)
		return
	}
	defer remembered.Close()
	client := &http.Client{Transport: remembered.Transport("1.5.0", nil)}
	for _, key := range []string{"sk-ana", "sk-ana", "sk-ben", ""} {
		req, err := http.NewRequest("POST", server.URL+"/v1/chat/completions", strings.NewReader(`{"temperature":0,"messages":[]}`))
		if err != nil {
			fmt.Println(err)
			return
		}
		req.Header.Set("Content-Type", "application/json")
		req.Header.Set("X-Api-Key", key)
		resp, err := client.Do(req)
		if err != nil {
			fmt.Println(err)
			return
		}
		io.Copy(io.Discard, resp.Body)
		resp.Body.Close()
		fmt.Printf("%q: %q\n", key, resp.Header.Get("Serin-Cache"))
	}
	// Output:
	// "sk-ana": "miss"
	// "sk-ana": "hit"
	// "sk-ben": "miss"
	// "": ""
}

// The tenant is what the program has authenticated.
func ExampleConfig_tenant() {
	type tenant struct{}
	remembered, err := cache.New(cache.Config{Tenant: func(r *http.Request) string {
		name, _ := r.Context().Value(tenant{}).(string) // "" passes by the cache
		return name
	}})
	if err != nil {
		fmt.Println(err)
		return
	}
	defer remembered.Close()
	m := &model{}
	transport := remembered.Transport("1.5.0", m)
	for _, name := range []string{"ana", "ana", "ben"} {
		req := httptest.NewRequest("POST", "/v1/chat/completions", strings.NewReader(`{"temperature":0,"messages":[]}`))
		req = req.WithContext(context.WithValue(req.Context(), tenant{}, name))
		req.Header.Set("Content-Type", "application/json")
		resp, err := transport.RoundTrip(req)
		if err != nil {
			fmt.Println(err)
			return
		}
		io.Copy(io.Discard, resp.Body)
		resp.Body.Close()
		fmt.Println(name, resp.Header.Get("Serin-Cache"))
	}
	// Output:
	// ana miss
	// ana hit
	// ben miss
}
