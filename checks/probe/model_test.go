package probe_test

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/serin-go/serin/checks"
	"github.com/serin-go/serin/checks/analysis/answer"
	"github.com/serin-go/serin/checks/checkstest"
	"github.com/serin-go/serin/checks/probe"
	"github.com/serin-go/serin/loadtest/modeltest"
)

// in is a server without a network: each request is answered by h. It works in a bubble
// of synctest.
func in(h http.HandlerFunc) *http.Client {
	return &http.Client{Transport: roundTripper(h)}
}

type roundTripper http.HandlerFunc

func (h roundTripper) RoundTrip(r *http.Request) (*http.Response, error) {
	body, w := io.Pipe()
	rw := &pipe{header: make(http.Header), body: w, started: make(chan struct{}), status: 200}
	stop := context.AfterFunc(r.Context(), func() { w.CloseWithError(r.Context().Err()) })
	go func() {
		defer stop()
		defer func() {
			if recover() != nil {
				w.CloseWithError(io.ErrUnexpectedEOF)
			}
			rw.WriteHeader(200)
			w.Close()
		}()
		h(rw, r)
	}()
	select {
	case <-rw.started:
	case <-r.Context().Done():
		return nil, r.Context().Err()
	}
	return &http.Response{StatusCode: rw.status, Header: rw.sent, Body: body, Request: r}, nil
}

type pipe struct {
	header  http.Header
	sent    http.Header
	body    *io.PipeWriter
	status  int
	started chan struct{}
	wrote   bool
}

func (p *pipe) Header() http.Header { return p.header }
func (p *pipe) WriteHeader(status int) {
	if !p.wrote {
		p.wrote, p.status, p.sent = true, status, p.header.Clone()
		close(p.started)
	}
}
func (p *pipe) Write(b []byte) (int, error) { p.WriteHeader(200); return p.body.Write(b) }
func (p *pipe) Flush()                      { p.WriteHeader(200) }

// document answers with a JSON document, and events with the events of a stream.
func document(format string, args ...any) http.HandlerFunc {
	return func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Type", "application/json")
		fmt.Fprintf(w, format, args...)
	}
}

func events(all ...string) http.HandlerFunc {
	return func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Type", "text/event-stream")
		for _, e := range all {
			fmt.Fprintf(w, "data: %s\n\n", e)
		}
	}
}

func status(code int) http.HandlerFunc {
	return func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Retry-After", "7")
		w.WriteHeader(code)
	}
}

const (
	whole = `{"object":"chat.completion","model":%q,"choices":[{"index":0,"message":{"role":"assistant","content":%q},"finish_reason":"stop"}],"usage":{"prompt_tokens":3,"completion_tokens":2,"total_tokens":5}}`
	first = `{"object":"chat.completion.chunk","model":"m","choices":[{"index":0,"delta":{"content":"OK"}}]}`
	last  = `{"object":"chat.completion.chunk","model":"m","choices":[{"index":0,"delta":{},"finish_reason":"stop"}]}`
)

func TestCompletion(t *testing.T) {
	slow := func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Content-Type", "text/event-stream")
		w.(http.Flusher).Flush()
		time.Sleep(2 * time.Second)
		events(first, last, "[DONE]")(w, r)
	}
	stream := probe.CompletionOptions{Stream: true}
	for name, c := range map[string]struct {
		h    http.HandlerFunc
		o    probe.CompletionOptions
		want checks.Status
	}{
		"answer":                   {document(whole, "m", "OK."), probe.CompletionOptions{Want: "ok"}, checks.Pass},
		"cut by the limit":         {document(strings.Replace(whole, `"stop"`, `"length"`, 1), "m", "one two"), probe.CompletionOptions{MaxTokens: 2}, checks.Pass},
		"dated model":              {document(whole, "m-2026", "OK."), probe.CompletionOptions{}, checks.Pass},
		"stream":                   {events(first, last, "[DONE]"), stream, checks.Pass},
		"other text":               {document(whole, "m", "No."), probe.CompletionOptions{Want: "ok"}, checks.Fail},
		"empty content":            {document(whole, "m", ""), probe.CompletionOptions{}, checks.Fail},
		"blank content":            {document(whole, "m", " \n"), probe.CompletionOptions{}, checks.Fail},
		"other model":              {document(whole, "n", "OK."), probe.CompletionOptions{}, checks.Fail},
		"unnamed model":            {document(whole, "", "OK."), probe.CompletionOptions{}, checks.Fail},
		"no finish reason":         {document(strings.Replace(whole, `"stop"`, "null", 1), "m", "OK."), probe.CompletionOptions{}, checks.Fail},
		"page":                     {func(w http.ResponseWriter, _ *http.Request) { io.WriteString(w, "<html>Sign in</html>") }, probe.CompletionOptions{}, checks.Fail},
		"error in the document":    {document(`{"error":{"message":"CUDA","code":500}}`), probe.CompletionOptions{}, checks.Fail},
		"error in the first event": {events(`{"error":{"message":"CUDA","code":500}}`), stream, checks.Fail},
		"stream stops":             {events(first), stream, checks.Fail},
		"stream without [DONE]":    {events(first, last), stream, checks.Fail},
		"stream breaks off": {func(w http.ResponseWriter, r *http.Request) {
			events(first)(w, r)
			panic(http.ErrAbortHandler)
		}, stream, checks.Fail},
		"stream is a document": {document(whole, "m", "OK."), stream, checks.Fail},
		"slow first token":     {slow, probe.CompletionOptions{Stream: true, MaxTTFT: time.Second}, checks.Fail},
		"first token in time":  {slow, probe.CompletionOptions{Stream: true, MaxTTFT: 3 * time.Second}, checks.Pass},
		"no end":               {func(_ http.ResponseWriter, r *http.Request) { <-r.Context().Done() }, probe.CompletionOptions{}, checks.Fail},
		"endless": {func(w http.ResponseWriter, r *http.Request) {
			for r.Context().Err() == nil {
				events(first)(w, r)
			}
		}, stream, checks.Fail},
		"429": {status(429), probe.CompletionOptions{}, checks.Unknown},
		"503": {status(503), probe.CompletionOptions{}, checks.Unknown},
		"401": {status(401), probe.CompletionOptions{}, checks.Unknown},
		"404": {status(404), probe.CompletionOptions{}, checks.Fail},
		"500": {status(500), probe.CompletionOptions{}, checks.Fail},
		"301": {status(301), probe.CompletionOptions{}, checks.Fail},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				e := probe.Endpoint{URL: "http://model:8000", Model: "m", Answers: []string{"m", "m-2026"}, Client: in(c.h)}
				r := want(t, probe.Completion(e, c.o), c.want)
				if name == "429" && r.Evidence["retry_after"] != "7" {
					t.Errorf("evidence %v, want Retry-After", r.Evidence)
				}
			})
		})
	}
}

func TestCompletionAsks(t *testing.T) {
	var path, key string
	var body map[string]any
	h := func(w http.ResponseWriter, r *http.Request) {
		path, key, body = r.URL.Path, r.Header.Get("Authorization"), nil
		if err := json.NewDecoder(r.Body).Decode(&body); err != nil {
			t.Error(err)
		}
		switch {
		case strings.HasSuffix(path, "/messages"):
			document(`{"type":"message","role":"assistant","model":"m","content":[{"type":"text","text":"OK"}],"stop_reason":"end_turn","usage":{"input_tokens":3,"output_tokens":1}}`)(w, r)
		case strings.HasSuffix(path, "/chat/completions"):
			document(whole, "m", "OK")(w, r)
		default:
			document(`{"object":"text_completion","model":"m","choices":[{"index":0,"text":"OK","finish_reason":"stop"}],"usage":{"prompt_tokens":3,"completion_tokens":2}}`)(w, r)
		}
	}
	e := probe.Endpoint{URL: "http://model:8000/v1/", Model: "m", Client: in(h), Header: http.Header{"Authorization": {"Bearer secret"}},
		Extra: map[string]any{"max_tokens": nil, "max_completion_tokens": 512},
		Cost:  func(u answer.Usage) string { return fmt.Sprint(u.Input) }}
	for p, want := range map[string]string{"": "/v1/chat/completions", "/v1/completions": "/v1/completions", "/v1/messages": "/v1/messages"} {
		r := probe.Completion(e, probe.CompletionOptions{Path: p}).Check(t.Context())
		if r.Status != checks.Pass || r.Evidence["cost"] != "3" || r.Evidence["input_tokens"] != "3" {
			t.Errorf("%s: %+v", p, r)
		}
		if path != want || key != "Bearer secret" || body["model"] != "m" || body["temperature"] != 0.0 || body["max_completion_tokens"] != 512.0 {
			t.Errorf("%s: asked %s %q %v", p, path, key, body)
		}
		if _, ok := body["max_tokens"]; ok {
			t.Errorf("%s: %v has max_tokens", p, body)
		}
	}
}

// TestCompletionOnce: concurrent callers share one request, and a result is used again.
func TestCompletionOnce(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		asked := 0
		e := probe.Endpoint{URL: "http://model", Model: "m", Reuse: time.Minute, Client: in(func(w http.ResponseWriter, r *http.Request) {
			asked++
			time.Sleep(time.Second)
			document(whole, "m", "OK")(w, r)
		})}
		c := probe.Completion(e, probe.CompletionOptions{})
		for range 5 {
			go c.Check(t.Context())
		}
		time.Sleep(10 * time.Second)
		want(t, c, checks.Pass)
		if asked != 1 {
			t.Errorf("%d requests, want 1", asked)
		}
		time.Sleep(time.Minute)
		want(t, c, checks.Pass)
		if asked != 2 {
			t.Errorf("%d requests after a minute, want 2", asked)
		}
	})
}

func TestCompletionOfAModel(t *testing.T) {
	model, err := modeltest.New(modeltest.Config{Length: 4})
	if err != nil {
		t.Fatal(err)
	}
	e := probe.Endpoint{URL: serve(t, model.ServeHTTP), Model: modeltest.DefaultModel}
	for _, o := range []probe.CompletionOptions{{}, {Stream: true, MaxTTFT: time.Minute}, {Path: "/v1/completions", Stream: true}} {
		want(t, probe.Completion(e, o), checks.Pass)
	}
	e.Model = "another"
	want(t, probe.Completion(e, probe.CompletionOptions{}), checks.Fail)
	for _, broken := range []modeltest.Config{{ErrorRate: 1}, {StreamErrorRate: 1}, {TruncateRate: 1}, {RefusalRate: 1}} {
		model, err := modeltest.New(broken)
		if err != nil {
			t.Fatal(err)
		}
		e := probe.Endpoint{URL: serve(t, model.ServeHTTP), Model: modeltest.DefaultModel}
		want(t, probe.Completion(e, probe.CompletionOptions{Stream: true, MaxTokens: 40}), checks.Fail)
	}
}

func TestEmbedding(t *testing.T) {
	const one = `{"object":"list","model":"m","data":[{"object":"embedding","index":0,"embedding":%s}],"usage":{"prompt_tokens":3,"total_tokens":3}}`
	for name, c := range map[string]struct {
		h    http.HandlerFunc
		o    probe.EmbeddingOptions
		want checks.Status
	}{
		"vector":        {document(one, "[0.6,-0.8]"), probe.EmbeddingOptions{Dimension: 2, Unit: true}, checks.Pass},
		"longer vector": {document(one, "[3,4]"), probe.EmbeddingOptions{}, checks.Pass},
		"dimension":     {document(one, "[0.6,-0.8]"), probe.EmbeddingOptions{Dimension: 3}, checks.Fail},
		"norm":          {document(one, "[3,4]"), probe.EmbeddingOptions{Unit: true}, checks.Fail},
		"zero":          {document(one, "[0,0]"), probe.EmbeddingOptions{}, checks.Fail},
		"empty":         {document(one, "[]"), probe.EmbeddingOptions{}, checks.Fail},
		"null":          {document(one, "[1,null]"), probe.EmbeddingOptions{}, checks.Fail},
		"infinite":      {document(one, "[1e308,1e309]"), probe.EmbeddingOptions{}, checks.Fail},
		"texts":         {document(one, `["1"]`), probe.EmbeddingOptions{}, checks.Fail},
		"none":          {document(`{"object":"list","model":"m","data":[]}`), probe.EmbeddingOptions{}, checks.Fail},
		"two":           {document(`{"object":"list","model":"m","data":[{"index":0,"embedding":[1]},{"index":1,"embedding":[1]}]}`), probe.EmbeddingOptions{}, checks.Fail},
		"other model":   {document(strings.Replace(one, `"m"`, `"n"`, 1), "[1]"), probe.EmbeddingOptions{}, checks.Fail},
		"busy":          {status(429), probe.EmbeddingOptions{}, checks.Unknown},
	} {
		t.Run(name, func(t *testing.T) {
			r := want(t, probe.Embedding(probe.Endpoint{URL: "http://model", Model: "m", Client: in(c.h)}, c.o), c.want)
			if name == "vector" && (r.Evidence["dimension"] != "2" || r.Evidence["norm"] != "1") {
				t.Errorf("evidence %v", r.Evidence)
			}
		})
	}
}

func TestModeration(t *testing.T) {
	verdict := func(harmful, harmless string) http.HandlerFunc {
		return func(w http.ResponseWriter, r *http.Request) {
			v := harmless
			if body, _ := io.ReadAll(r.Body); strings.Contains(string(body), "kill") {
				v = harmful
			}
			document(`{"id":"modr-1","model":"m","results":[{"flagged":%s,"categories":{},"category_scores":{}}]}`, v)(w, r)
		}
	}
	for name, c := range map[string]struct {
		h    http.HandlerFunc
		want checks.Status
	}{
		"flags":         {verdict("true", "false"), checks.Pass},
		"flags nothing": {verdict("false", "false"), checks.Fail},
		"flags all":     {verdict("true", "true"), checks.Fail},
		"null":          {verdict("null", "null"), checks.Fail},
		"text":          {verdict(`"true"`, `"false"`), checks.Fail},
		"no results":    {document(`{"id":"modr-1","model":"m","results":[]}`), checks.Fail},
		"busy":          {status(503), checks.Unknown},
	} {
		t.Run(name, func(t *testing.T) {
			want(t, probe.Moderation(probe.Endpoint{URL: "http://model", Model: "m", Client: in(c.h)}, probe.ModerationOptions{}), c.want)
		})
	}
}

func TestJSONMode(t *testing.T) {
	for content, status := range map[string]checks.Status{
		`{"capital":"Paris","population":2.1}`:                   checks.Pass,
		`{"capital":"Paris","population":2}`:                     checks.Pass,
		`{"capital":"Paris","population":"2"}`:                   checks.Fail,
		`{"capital":"Paris"}`:                                    checks.Fail,
		`{"capital":"Paris","population":2,"mayor":"Ö"}`:         checks.Fail,
		`[{"capital":"Paris","population":2}]`:                   checks.Fail,
		`{"capital":"Paris","population":2} I hope so`:           checks.Fail,
		"```json\n{\"capital\":\"Paris\",\"population\":2}\n```": checks.Fail,
		`{"capital":"Pa`:                                         checks.Fail,
		"":                                                       checks.Fail,
	} {
		want(t, probe.JSONMode(probe.Endpoint{URL: "http://model", Model: "m", Client: in(document(whole, "m", content))}, probe.JSONModeOptions{}), status)
	}
	var format struct {
		ResponseFormat struct {
			Schema struct {
				Schema struct {
					Properties map[string]struct{ Type string }
					Required   []string
				}
			} `json:"json_schema"`
		} `json:"response_format"`
	}
	h := func(w http.ResponseWriter, r *http.Request) {
		json.NewDecoder(r.Body).Decode(&format)
		document(whole, "m", `{"b":1.0,"a":{},"c":true,"d":[],"e":"","f":1e3}`)(w, r)
	}
	want(t, probe.JSONMode(probe.Endpoint{URL: "http://model", Model: "m", Client: in(h)}, probe.JSONModeOptions{
		Prompt: "Describe it.", Members: map[string]string{"b": "integer", "a": "object", "c": "boolean", "d": "array", "e": "string", "f": "number"},
	}), checks.Pass)
	if s := format.ResponseFormat.Schema.Schema; s.Properties["b"].Type != "integer" || !slices.Equal(s.Required, []string{"a", "b", "c", "d", "e", "f"}) {
		t.Errorf("%+v", format)
	}
}

func TestToolCall(t *testing.T) {
	call := func(name, arguments string) string {
		return fmt.Sprintf(`{"id":"c","type":"function","function":{"name":%q,"arguments":%q}}`, name, arguments)
	}
	for name, c := range map[string]struct {
		calls []string
		want  checks.Status
	}{
		"call":            {[]string{call("get_weather", `{"city":"Paris"}`)}, checks.Pass},
		"other tool":      {[]string{call("weather", `{"city":"Paris"}`)}, checks.Fail},
		"other arguments": {[]string{call("get_weather", `{"town":"Paris"}`)}, checks.Fail},
		"broken":          {[]string{call("get_weather", `{"city":"Par`)}, checks.Fail},
		"twice":           {[]string{call("get_weather", `{"city":"Paris"}`), call("get_weather", `{"city":"Paris"}`)}, checks.Fail},
	} {
		t.Run(name, func(t *testing.T) {
			h := document(`{"object":"chat.completion","model":"m","choices":[{"index":0,"message":{"role":"assistant","content":null,"tool_calls":[%s]},"finish_reason":"tool_calls"}],"usage":{"prompt_tokens":3,"completion_tokens":2}}`, strings.Join(c.calls, ","))
			want(t, probe.ToolCall(probe.Endpoint{URL: "http://model", Model: "m", Client: in(h)}, probe.ToolCallOptions{}), c.want)
		})
	}
	want(t, probe.ToolCall(probe.Endpoint{URL: "http://model", Model: "m", Client: in(document(whole, "m", "It is sunny."))}, probe.ToolCallOptions{}), checks.Fail)
}

func TestModelBadOptions(t *testing.T) {
	ok := probe.Endpoint{URL: "http://model", Model: "m"}
	bad := probe.Endpoint{URL: "model:8000", Answers: []string{""}, Extra: map[string]any{"x": func() {}}, MaxTime: -1, Reuse: -1}
	for name, c := range map[string]struct {
		check checks.Check
		want  string
	}{
		"endpoint": {probe.Completion(bad, probe.CompletionOptions{}),
			"[Endpoint.URL Endpoint.Model Endpoint.Answers[0] Endpoint.Extra Endpoint.MaxTime Endpoint.Reuse]"},
		"completion": {probe.Completion(ok, probe.CompletionOptions{Path: "/v1/embeddings", MaxTokens: -1, MaxTTFT: time.Second}),
			"[CompletionOptions.Path CompletionOptions.MaxTokens CompletionOptions.MaxTTFT]"},
		"embedding":  {probe.Embedding(ok, probe.EmbeddingOptions{Dimension: -1}), "[EmbeddingOptions.Dimension]"},
		"moderation": {probe.Moderation(ok, probe.ModerationOptions{Harmful: "a", Harmless: "a"}), "[ModerationOptions.Harmless]"},
		"JSON": {probe.JSONMode(ok, probe.JSONModeOptions{Members: map[string]string{"a": "text"}, MaxTokens: -1}),
			`[JSONModeOptions.Prompt JSONModeOptions.Members["a"] JSONModeOptions.MaxTokens]`},
		"tool": {probe.ToolCall(ok, probe.ToolCallOptions{Tool: "a b"}),
			"[ToolCallOptions.Prompt ToolCallOptions.Tool ToolCallOptions.Arguments]"},
	} {
		if got := fmt.Sprint(fields(t, c.check)); got != c.want {
			t.Errorf("%s: %s, want %s", name, got, c.want)
		}
	}
}

func TestModelConformance(t *testing.T) {
	e := probe.Endpoint{URL: "http://model", Model: "m", Client: in(document(whole, "m", "OK"))}
	checkstest.Exercise(t, func(*testing.T) checks.Check { return probe.Completion(e, probe.CompletionOptions{}) })
}
