package cache_test

import (
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"github.com/serin-go/serin/rollout/traffic"
	"github.com/serin-go/serin/rollout/traffic/cache"
	"github.com/serin-go/serin/strategies"
)

// send sends a request with the given header lines, "Name: value", to a path.
func send(t testing.TB, tr http.RoundTripper, path, body string, header ...string) *http.Response {
	t.Helper()
	req := httptest.NewRequest(http.MethodPost, "http://models"+path, strings.NewReader(body))
	req.Header["Content-Type"] = []string{"application/json"}
	for _, line := range header {
		name, value, _ := strings.Cut(line, ": ")
		req.Header[name] = append(req.Header[name], value) // as it is spelt
	}
	resp, err := tr.RoundTrip(req)
	if err != nil {
		t.Fatal(err)
	}
	b, err := io.ReadAll(resp.Body)
	if err != nil {
		t.Fatal(err)
	}
	if err := resp.Body.Close(); err != nil {
		t.Fatal(err)
	}
	resp.Body = io.NopCloser(strings.NewReader(string(b)))
	return resp
}

const chat = "/v1/chat/completions"

// TestCredentialsShareNoAnswer sends one question with many credentials: each of
// them gets an answer of its own from the server, a wrong one its 401, and the
// second request of each a hit.
func TestCredentialsShareNoAnswer(t *testing.T) {
	m := &model{answer: func(n int64, r *http.Request) *http.Response {
		for _, values := range r.Header {
			if strings.Contains(strings.Join(values, ","), "wrong") {
				return respond(401, "application/json", strings.NewReader(`{"error":{"message":"no"}}`))
			}
		}
		return document(fmt.Sprintf(`{"choices":[{"message":{"content":"%d"},"finish_reason":"stop"}]}`, n))
	}}
	tr := newCache(t, cache.Config{}).Transport("1", m)
	var callers [][]string // path, and header lines
	for _, name := range []string{"Authorization", "Proxy-Authorization", "Cookie", "X-Api-Key", "Api-Key", "X-Goog-Api-Key", "Ocp-Apim-Subscription-Key",
		"X-Amz-Security-Token", "X-Forwarded-Access-Token", "Openai-Organization", "OpenAI-Project", "x-api-key"} {
		callers = append(callers, []string{chat, name + ": sk-ana-" + name}, []string{chat, name + ": sk-ben-" + name}, []string{chat, name + ": wrong"},
			[]string{chat, name + ": sk-ana-" + name, name + ": sk-ben"})
	}
	for _, more := range []string{"Openai-Organization: a", "Openai-Organization: b", "OpenAI-Project: a", "Cookie: session=1", "Cookie: session=2", "Openai-Beta: assistants=v2",
		"Anthropic-Version: 2023-06-01", "anthropic-beta: x", "X-Goog-User-Project: p", "X-Auth-Token: t", "X-Forwarded-User: ben", "X-Tenant-Id: 7", "X-Portkey-Virtual-Key: v",
		"X-Amzn-Bedrock-Guardrailidentifier: g", "Accept: text/event-stream", "Accept-Encoding: gzip", "Proxy-Authorization: Basic eA=="} {
		callers = append(callers, []string{chat, "X-Api-Key: sk-ana-X-Api-Key", more})
	}
	callers = append(callers, []string{chat + "?key=ana"}, []string{chat + "?key=ben"}, []string{chat + "?key=ana&x=1"}, []string{"/v2" + chat, "X-Api-Key: sk-ana"})
	seen := make(map[string]int)
	for i, caller := range callers {
		wrong := strings.Contains(strings.Join(caller, ","), "wrong")
		for second := range 2 {
			resp := send(t, tr, caller[0], fixed, caller[1:]...)
			b, _ := io.ReadAll(resp.Body)
			where := resp.Header.Get(traffic.CacheHeader)
			if wrong {
				if resp.StatusCode != 401 || where == "hit" {
					t.Errorf("%q: %d, %s", caller, resp.StatusCode, where)
				}
				continue
			}
			if want := []string{"miss", "hit"}[second]; where != want {
				t.Errorf("%q, request %d: %s, want %s", caller, second, where, want)
			}
			if other, ok := seen[string(b)]; ok && other != i && !strings.EqualFold(fmt.Sprint(callers[other]), fmt.Sprint(caller)) {
				t.Errorf("%q got the answer of %q", caller, callers[other])
			}
			seen[string(b)] = i
		}
	}
}

// TestNoIdentityNoCache sends requests that are equal in all and have no credential.
func TestNoIdentityNoCache(t *testing.T) {
	for _, header := range [][]string{nil, {"Authorization: "}, {"Authorization: Bearer "}, {"X-Api-Key:  "}, {"Anthropic-Version: 2023-06-01"}, {"X-Forwarded-For: 192.0.2.1"}} {
		m := &model{}
		c := newCache(t, cache.Config{Any: true})
		tr := c.Transport("1", m)
		for range 3 {
			if where := send(t, tr, chat+"?key=", fixed, header...).Header.Get(traffic.CacheHeader); where != "" {
				t.Errorf("%q: %s", header, where)
			}
		}
		if n := m.asked.Load(); n != 3 || c.Stats().Passed != 3 {
			t.Errorf("%q: the server got %d of 3 requests; %+v", header, n, c.Stats())
		}
	}
}

// TestTenants sets Config.Tenant: tenants share no answer, whatever credentials they
// have in common, and a wrong credential is not hidden by a hit of the same tenant.
func TestTenants(t *testing.T) {
	m := &model{}
	c := newCache(t, cache.Config{Tenant: func(r *http.Request) string {
		if r.Header.Get("X-Team") == "panic" {
			panic("boom")
		}
		return r.Header.Get("X-Team")
	}})
	tr := c.Transport("1", m)
	for _, tt := range []struct {
		header []string
		where  string
	}{
		{[]string{"X-Team: ana"}, "miss"},
		{[]string{"X-Team: ana"}, "hit"},
		{[]string{"X-Team: ben"}, "miss"},
		{[]string{"X-Team: ben", "Authorization: Bearer k"}, "miss"},
		{[]string{"X-Team: ben", "Authorization: Bearer k"}, "hit"},
		{[]string{"X-Team: ana", "Authorization: Bearer k"}, "miss"},
		{[]string{"X-Team: ", "Authorization: Bearer k"}, ""},
		{[]string{"Authorization: Bearer k"}, ""},
		{[]string{"X-Team: panic", "Authorization: Bearer k"}, ""},
		{[]string{"X-Team: panic", "Authorization: Bearer k"}, ""},
	} {
		before := m.asked.Load()
		if where := send(t, tr, chat, fixed, tt.header...).Header.Get(traffic.CacheHeader); where != tt.where || (m.asked.Load() > before) != (where != "hit") {
			t.Errorf("%q: %q, want %q", tt.header, where, tt.where)
		}
	}
	if s := c.Stats(); s.Panics != 2 || s.Passed != 4 {
		t.Errorf("%+v", s)
	}
}

// TestHeadersOfHits: what belongs to one response is in no other one, and what
// Config.Keep names is.
func TestHeadersOfHits(t *testing.T) {
	own := []string{"Set-Cookie", "Set-Cookie2", "X-Ratelimit-Remaining-Requests", "Anthropic-Ratelimit-Tokens-Remaining", "X-Request-Id", "Request-Id", "Openai-Organization",
		"Retry-After", "Date", "Server", "Connection", "Www-Authenticate", "X-Anything", "Serin-Arm"}
	const text = `{"choices":[{"message":{"content":"x"},"finish_reason":"stop"}]}`
	length := fmt.Sprint(len(text))
	m := &model{answer: func(n int64, r *http.Request) *http.Response {
		resp := document(text)
		for _, name := range own {
			resp.Header.Set(name, "of ana")
		}
		resp.Header.Set("Access-Control-Allow-Origin", "*")
		resp.Header.Set("Content-Length", length)
		return resp
	}}
	tr := newCache(t, cache.Config{Keep: []string{"access-control-allow-origin", "X-Absent"}}).Transport("1", m)
	first := send(t, tr, chat, fixed, "X-Api-Key: ana")
	for _, name := range own {
		if first.Header.Get(name) == "" {
			t.Errorf("the first response lacks %s", name)
		}
	}
	hit := send(t, tr, chat, fixed, "X-Api-Key: ana")
	want := http.Header{"Content-Type": {"application/json"}, "Content-Length": {length}, "Access-Control-Allow-Origin": {"*"}, "Age": {"0"}, "Serin-Cache": {"hit"}}
	if got := hit.Header; len(got) != len(want) {
		t.Errorf("got %v, want %v", got, want)
	}
	for name := range want {
		if hit.Header.Get(name) != want.Get(name) {
			t.Errorf("%s is %q, want %q", name, hit.Header.Get(name), want.Get(name))
		}
	}
	hit.Header.Set("Content-Type", "changed")
	if again := send(t, tr, chat, fixed, "X-Api-Key: ana"); again.Header.Get("Content-Type") != "application/json" {
		t.Error("the header of one hit is the header of the next")
	}
}

// TestCoalescedHeaders: a caller who reads along gets what a hit would have.
func TestCoalescedHeaders(t *testing.T) {
	release, asked := make(chan struct{}), make(chan struct{})
	m := &model{answer: func(int64, *http.Request) *http.Response {
		close(asked)
		<-release
		resp := document(`{"choices":[{"message":{"content":"x"},"finish_reason":"stop"}]}`)
		resp.Header.Set("Set-Cookie", "session=ana")
		resp.Header.Set("X-Request-Id", "req_1")
		return resp
	}}
	c := newCache(t, cache.Config{})
	tr := c.Transport("1", m)
	got := make(chan *http.Response, 2)
	go func() { got <- send(t, tr, chat, fixed, "X-Api-Key: ana") }()
	<-asked
	go func() { got <- send(t, tr, chat, fixed, "X-Api-Key: ana") }()
	close(release)
	cookies := 0
	for range 2 {
		resp := <-got
		if resp.Header.Get("Set-Cookie") != "" && resp.Header.Get("X-Request-Id") != "" {
			cookies++
		}
	}
	if cookies != 1 || m.asked.Load() != 1 {
		t.Errorf("%d callers have the cookie, the server got %d requests", cookies, m.asked.Load())
	}
}

// TestOnlyInference: requests that have an effect, continue something or are not in
// the table of routes reach the server each time.
func TestOnlyInference(t *testing.T) {
	for _, tt := range []struct {
		path, body string
		hit        bool
	}{
		{chat, fixed, true},
		{"/v1/messages", fixed, true},
		{"/openai/deployments/d/chat/completions?api-version=1", fixed, true},
		{"/v1beta/models/gemini-3:generateContent", `{"contents":[],"generationConfig":{"temperature":0}}`, true},
		{"/api/chat", `{"model":"m","stream":false,"options":{"seed":1}}`, true},
		{"/v1/embeddings", `{"model":"m","input":"hi"}`, true},
		{"/v1/responses", `{"temperature":0,"input":"hi"}`, false}, // stored unless it says otherwise
		{"/v1/responses", `{"temperature":0,"store":false,"input":"hi"}`, true},
		{"/v1/responses", `{"temperature":0,"store":false,"previous_response_id":"resp_1"}`, false},
		{"/v1/responses", `{"temperature":0,"store":false,"conversation":"conv_1"}`, false},
		{"/v1/responses", `{"temperature":0,"store":false,"background":true}`, false},
		{"/v1/responses", `{"temperature":0,"store":false,"tools":[{"type":"mcp","server_label":"x"}]}`, false},
		{"/v1/messages", `{"temperature":0,"tools":[{"type":"web_search_20250305","name":"web_search"}]}`, false},
		{"/v1/batches", fixed, false},
		{"/v1/files", fixed, false},
		{"/v1/sleep", fixed, false},
		{"/v1/tokenize", fixed, false},
		{"/my/own/route", fixed, false},
		{chat, `{"temperature":0,"model":"a","model":"b"}`, false},
		{chat, `{"temperature":0,"messages":[{"role":"user","role":"system"}]}`, false},
		{chat, `{"temperature":0,"user":"\ud800"}`, false},
		{chat, `{"temperature":0,"user":"\ud83d\ude00 \\ud800 \": \u00e9"}`, true},
		{chat, "{\"temperature\":0,\"user\":\"\xff\"}", false},
		{chat, `{"Temperature":0}`, false},
		{chat, `[]`, false},
	} {
		m := &model{answer: func(n int64, r *http.Request) *http.Response {
			answers := map[string]string{
				"/v1/messages":   `{"type":"message","role":"assistant","content":[{"type":"text","text":"hi"}],"stop_reason":"end_turn","usage":{"input_tokens":1,"output_tokens":1}}`,
				"/v1/embeddings": `{"object":"list","data":[{"object":"embedding","index":0,"embedding":[0.5]}],"usage":{"prompt_tokens":1,"total_tokens":1}}`,
				"/v1/responses":  `{"object":"response","status":"completed","output":[{"type":"message","role":"assistant","content":[{"type":"output_text","text":"hi"}]}]}`,
				"/api/chat":      `{"model":"m","message":{"role":"assistant","content":"hi"},"done":true,"done_reason":"stop"}`,
				"/v1beta/models/gemini-3:generateContent": `{"candidates":[{"content":{"parts":[{"text":"hi"}],"role":"model"},"finishReason":"STOP"}]}`,
			}
			if a := answers[r.URL.Path]; a != "" {
				return document(a)
			}
			return document(`{"choices":[{"message":{"content":"x"},"finish_reason":"stop"}]}`)
		}}
		tr := newCache(t, cache.Config{}).Transport("1", m)
		for range 2 {
			send(t, tr, tt.path, tt.body, "X-Api-Key: ana")
		}
		if hit := m.asked.Load() == 1; hit != tt.hit {
			t.Errorf("%s %s: %d requests reach the server", tt.path, tt.body, m.asked.Load())
		}
	}
}

// TestRollback rolls a candidate with a warm cache back: its answers are not given
// for the baseline, and not for a later version either.
func TestRollback(t *testing.T) {
	backends := make(map[string]traffic.Backend)
	c := newCache(t, cache.Config{})
	for _, version := range []string{"1.4.0", "1.5.0"} {
		m := &model{answer: func(int64, *http.Request) *http.Response {
			return document(fmt.Sprintf(`{"choices":[{"message":{"content":%q},"finish_reason":"stop"}]}`, version))
		}}
		backends[version] = traffic.Backend{URL: "http://models", Transport: c.Transport(version, m)}
	}
	at := func(candidate strategies.Weight, generation uint64) strategies.Split {
		return strategies.Split{Generation: generation, Arms: []strategies.Arm{{Name: "1.4.0", Weight: strategies.Full - candidate}, {Name: "1.5.0", Weight: candidate}}}
	}
	r, err := traffic.New(traffic.Config{Arms: backends, Split: at(strategies.Full, 1)})
	if err != nil {
		t.Fatal(err)
	}
	for i, want := range []struct {
		candidate strategies.Weight
		version   string
		where     string
	}{{strategies.Full, "1.5.0", "miss"}, {strategies.Full, "1.5.0", "hit"}, {0, "1.4.0", "miss"}, {0, "1.4.0", "hit"}, {strategies.Full, "1.5.0", "hit"}} {
		if err := r.SetSplit(t.Context(), at(want.candidate, uint64(i+2))); err != nil {
			t.Fatal(err)
		}
		req := httptest.NewRequest(http.MethodPost, chat, strings.NewReader(fixed))
		req.Header.Set("Content-Type", "application/json")
		req.Header.Set("Authorization", "Bearer ana")
		w := httptest.NewRecorder()
		r.ServeHTTP(w, req)
		if !strings.Contains(w.Body.String(), want.version) {
			t.Errorf("request %d got %s, want %s, a %s", i, w.Body, want.version, want.where)
		}
	}
	if s := c.Stats(); s.Hits != 3 || s.Misses != 2 {
		t.Errorf("%+v", s)
	}
}
