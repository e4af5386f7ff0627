package modeltest

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"io"
	"maps"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/serin-go/serin/checks"
)

const hello = `{"model":"tinylm","messages":[{"role":"user","content":"What is light?"}]`

func server(t testing.TB, cfg Config) *Server {
	t.Helper()
	s, err := New(cfg)
	if err != nil {
		t.Fatal(err)
	}
	return s
}

func post(h http.Handler, path, body string) *httptest.ResponseRecorder {
	w := httptest.NewRecorder()
	h.ServeHTTP(w, httptest.NewRequest(http.MethodPost, path, strings.NewReader(body)))
	return w
}

// events cuts a body into the data of its server-sent events.
func events(t testing.TB, body string) []string {
	t.Helper()
	if !strings.HasSuffix(body, "\n\n") {
		t.Errorf("the stream ends within an event: %q", body)
	}
	var out []string
	for event := range strings.SplitSeq(strings.TrimSuffix(body, "\n\n"), "\n\n") {
		data, ok := strings.CutPrefix(event, "data: ")
		if !ok {
			t.Errorf("not an event: %q", event)
		}
		out = append(out, data)
	}
	return out
}

// completion is what tests read from replies; its shape is written down apart
// from the server's own types on purpose.
type completion struct {
	ID, Object, Model string
	Created           int64
	Choices           []struct {
		Index        int
		FinishReason *string `json:"finish_reason"`
		Text         *string
		Message      struct{ Role, Content, Refusal *string }
		Delta        map[string]any
	}
	Usage *struct {
		Prompt     int `json:"prompt_tokens"`
		Completion int `json:"completion_tokens"`
		Total      int `json:"total_tokens"`
	}
	Error *struct {
		Message, Type string
		Param, Code   *string
	}
}

func decode(t testing.TB, body string) completion {
	t.Helper()
	var c completion
	if err := json.Unmarshal([]byte(body), &c); err != nil {
		t.Fatalf("%v in %q", err, body)
	}
	return c
}

func TestStreamHasTheShapeOfTheAPI(t *testing.T) {
	h := server(t, Config{Seed: 1})
	w := post(h, "/v1/chat/completions", hello+`,"stream":true,"stream_options":{"include_usage":true}}`)
	if w.Code != 200 || !strings.HasPrefix(w.Header().Get("Content-Type"), "text/event-stream") {
		t.Fatalf("status %d, type %q", w.Code, w.Header().Get("Content-Type"))
	}
	all := events(t, w.Body.String())
	if last := all[len(all)-1]; last != "[DONE]" {
		t.Errorf("the last event is %q, want [DONE]", last)
	}
	all = all[:len(all)-1]
	var text strings.Builder
	for i, event := range all {
		c := decode(t, event)
		if c.Object != "chat.completion.chunk" || c.Model != "tinylm" || c.ID != decode(t, all[0]).ID || c.Created == 0 {
			t.Errorf("chunk %d: %s", i, event)
		}
		if i == len(all)-1 {
			if !strings.Contains(event, `"choices":[]`) || c.Usage == nil || c.Usage.Completion != len(all)-3 || c.Usage.Prompt != 4 || c.Usage.Total != 4+len(all)-3 {
				t.Errorf("usage chunk: %s, want %d completion tokens", event, len(all)-3)
			}
			continue
		}
		if !strings.Contains(event, `"usage":null`) {
			t.Errorf("chunk %d has no null usage: %s", i, event)
		}
		var want map[string]any
		switch content, _ := c.Choices[0].Delta["content"].(string); i {
		case 0:
			want = map[string]any{"role": "assistant", "content": ""}
		case len(all) - 2:
			want = map[string]any{}
		default:
			want = map[string]any{"content": content}
			if content == "" {
				t.Errorf("chunk %d is empty: %s", i, event)
			}
			text.WriteString(content)
		}
		if diff := cmp.Diff(want, c.Choices[0].Delta); diff != "" {
			t.Errorf("chunk %d (-want +got):\n%s", i, diff)
		}
		if finish := c.Choices[0].FinishReason; (finish != nil) != (i == len(all)-2) || finish != nil && *finish != "stop" {
			t.Errorf("chunk %d: %s", i, event)
		}
	}
	whole := decode(t, post(h, "/v1/chat/completions", hello+`}`).Body.String())
	if got := *whole.Choices[0].Message.Content; got != text.String() || got == "" {
		t.Errorf("whole and streamed answers differ:\n%s\n%s", got, &text)
	}
	if whole.Object != "chat.completion" || *whole.Choices[0].Message.Role != "assistant" || whole.Usage.Completion != len(all)-3 {
		t.Errorf("whole answer: %+v", whole)
	}
	if w := post(h, "/v1/chat/completions", hello+`,"stream":true}`); strings.Contains(w.Body.String(), "usage") {
		t.Error("usage was sent although it was not asked for")
	}
}

func TestTextCompletions(t *testing.T) {
	h := server(t, Config{Seed: 1})
	const body = `{"model":"tinylm","prompt":"Are not the Rays of","max_tokens":7`
	whole := decode(t, post(h, "/v1/completions", body+`}`).Body.String())
	if whole.Object != "text_completion" || *whole.Choices[0].FinishReason != "length" || whole.Usage.Completion != 7 || whole.Usage.Prompt != 5 {
		t.Errorf("whole: %+v", whole)
	}
	var text string
	all := events(t, post(h, "/v1/completions", body+`,"stream":true}`).Body.String())
	for _, event := range all[:len(all)-1] {
		text += *decode(t, event).Choices[0].Text
	}
	if text != *whole.Choices[0].Text || len(all) != 7+2 {
		t.Errorf("%d events with %q, want 9 with %q", len(all), text, *whole.Choices[0].Text)
	}
}

func TestSameRequestSameText(t *testing.T) {
	text := func(seed uint64, body string) string {
		return *decode(t, post(server(t, Config{Seed: seed}), "/v1/chat/completions", body).Body.String()).Choices[0].Message.Content
	}
	base := text(1, hello+`}`)
	if again := text(1, hello+`,"user":"somebody"}`); again != base {
		t.Error("the same request gave another text")
	}
	for name, other := range map[string]string{
		"server's seed":  text(2, hello+`}`),
		"request's seed": text(1, hello+`,"seed":1}`),
		"prompt":         text(1, strings.Replace(hello, "light", "fire", 1)+`}`),
		"temperature":    text(1, hello+`,"temperature":0}`),
	} {
		if other == base {
			t.Errorf("another %s gave the same text", name)
		}
	}
}

func TestParameters(t *testing.T) {
	h := server(t, Config{Seed: 3})
	base := *decode(t, post(h, "/v1/chat/completions", hello+`}`).Body.String()).Choices[0].Message.Content
	stop := strings.Fields(base)[3]
	for _, test := range []struct{ body, want, finish string }{
		{`,"max_completion_tokens":1}`, tokenize(base)[0], "length"},
		{`,"max_tokens":5,"max_completion_tokens":2}`, strings.Join(tokenize(base)[:2], ""), "length"},
		{`,"stop":"` + stop + `"}`, base[:strings.Index(base, stop)], "stop"},
		{`,"stop":["` + stop + `","` + base[:1] + `"]}`, "", "stop"},
		{`,"stop":null,"temperature":null,"n":1,"logit_bias":{}}`, base, "stop"},
	} {
		c := decode(t, post(h, "/v1/chat/completions", hello+test.body).Body.String())
		if *c.Choices[0].Message.Content != test.want || *c.Choices[0].FinishReason != test.finish {
			t.Errorf("%s: %q (%s), want %q (%s)", test.body, *c.Choices[0].Message.Content, *c.Choices[0].FinishReason, test.want, test.finish)
		}
	}
	parts := `{"model":"tinylm","messages":[{"role":"user","content":[{"type":"text","text":"What is "},{"type":"text","text":"light?"}]}]}`
	if got := *decode(t, post(h, "/v1/chat/completions", parts).Body.String()).Choices[0].Message.Content; got != base {
		t.Errorf("a prompt in parts gives %q, want %q", got, base)
	}
}

func TestBadRequests(t *testing.T) {
	h := server(t, Config{MaxBody: 500})
	tests := []struct {
		method, path, body   string
		status               int
		param, code, message string
	}{
		{"POST", "/v1/chat/completions", `{`, 400, "", "", "parse the JSON"},
		{"POST", "/v1/chat/completions", ``, 400, "", "", "parse the JSON"},
		{"POST", "/v1/chat/completions", hello + `} {}`, 400, "", "", "more after"},
		{"POST", "/v1/chat/completions", `{"model":7}`, 400, "model", "", "Invalid type"},
		{"POST", "/v1/chat/completions", `{"messages":[]}`, 400, "model", "", "model parameter"},
		{"POST", "/v1/chat/completions", `{"model":"gpt","messages":[{"role":"user","content":"x"}]}`, 404, "model", "model_not_found", "'gpt'"},
		{"POST", "/v1/chat/completions", `{"model":"tinylm"}`, 400, "messages", "", "messages"},
		{"POST", "/v1/chat/completions", `{"model":"tinylm","messages":[]}`, 400, "messages", "", "messages"},
		{"POST", "/v1/chat/completions", `{"model":"tinylm","messages":[{"role":"king","content":"x"}]}`, 400, "messages[0].role", "", "'king'"},
		{"POST", "/v1/chat/completions", hello + `,"temperature":2.5}`, 400, "temperature", "", "2.5"},
		{"POST", "/v1/chat/completions", hello + `,"temperature":-1}`, 400, "temperature", "", "-1"},
		{"POST", "/v1/chat/completions", hello + `,"max_tokens":0}`, 400, "max_tokens", "", "0"},
		{"POST", "/v1/chat/completions", hello + `,"max_completion_tokens":-5}`, 400, "max_completion_tokens", "", "-5"},
		{"POST", "/v1/chat/completions", hello + `,"n":2}`, 400, "n", "", "2"},
		{"POST", "/v1/chat/completions", hello + `,"stop":["a","b","c","d","e"]}`, 400, "stop", "", "5"},
		{"POST", "/v1/chat/completions", `{"model":"` + strings.Repeat("x", 600) + `"}`, 413, "", "", "larger than 500"},
		{"POST", "/v1/completions", `{"model":"tinylm"}`, 400, "prompt", "", "one string"},
		{"POST", "/v1/completions", `{"model":"tinylm","prompt":["a","b"]}`, 400, "prompt", "", "got 2"},
		{"GET", "/v1/chat/completions", ``, 405, "", "", "Not allowed to GET"},
		{"DELETE", "/v1/models", ``, 405, "", "", "Not allowed to DELETE"},
		{"GET", "/v1/models/gpt", ``, 404, "model", "model_not_found", "'gpt'"},
		{"GET", "/v2", ``, 404, "", "", "Unknown request URL"},
	}
	for _, test := range tests {
		w := httptest.NewRecorder()
		h.ServeHTTP(w, httptest.NewRequest(test.method, test.path, strings.NewReader(test.body)))
		c := decode(t, w.Body.String())
		if w.Code != test.status || c.Error == nil {
			t.Errorf("%s %s %s: status %d, %s", test.method, test.path, test.body, w.Code, w.Body)
			continue
		}
		text := func(s *string) string {
			if s == nil {
				return ""
			}
			return *s
		}
		if c.Error.Type != "invalid_request_error" || text(c.Error.Param) != test.param || text(c.Error.Code) != test.code || !strings.Contains(c.Error.Message, test.message) {
			t.Errorf("%s %s: %s", test.method, test.body, w.Body)
		}
		if w.Code == 405 && w.Header().Get("Allow") == "" {
			t.Error("status 405 without an Allow header")
		}
	}
}

func TestModels(t *testing.T) {
	h := server(t, Config{Models: []string{"a", "b"}})
	w := httptest.NewRecorder()
	h.ServeHTTP(w, httptest.NewRequest(http.MethodGet, "/v1/models", nil))
	var list struct {
		Object string
		Data   []struct{ ID, Object string }
	}
	if err := json.Unmarshal(w.Body.Bytes(), &list); err != nil || list.Object != "list" || len(list.Data) != 2 || list.Data[1].ID != "b" || list.Data[0].Object != "model" {
		t.Errorf("%v, %s", err, w.Body)
	}
}

// clocked notes when each event was flushed, since the beginning.
type clocked struct {
	httptest.ResponseRecorder
	began   time.Time
	flushes []time.Duration
}

func (c *clocked) Flush() { c.flushes = append(c.flushes, time.Since(c.began)) }

func timed(ctx context.Context, h http.Handler, body string) *clocked {
	w := &clocked{began: time.Now(), ResponseRecorder: httptest.ResponseRecorder{Body: new(bytes.Buffer)}}
	h.ServeHTTP(w, httptest.NewRequestWithContext(ctx, http.MethodPost, "/v1/chat/completions", strings.NewReader(body)))
	return w
}

func TestTokensComeWhenTheyAreDue(t *testing.T) {
	const ms = time.Millisecond
	tests := []struct {
		name string
		cfg  Config
		want []time.Duration // role, four tokens, finish, [DONE]
	}{
		{"steady", Config{TTFT: 200 * ms, TimePerToken: 20 * ms}, []time.Duration{0, 200 * ms, 220 * ms, 240 * ms, 260 * ms, 260 * ms, 260 * ms}},
		{"two to a chunk", Config{TTFT: 200 * ms, TimePerToken: 20 * ms, TokensPerChunk: 2}, []time.Duration{0, 220 * ms, 260 * ms, 260 * ms, 260 * ms}},
		{"at once", Config{}, make([]time.Duration, 7)},
	}
	for _, test := range tests {
		synctest.Test(t, func(t *testing.T) {
			w := timed(t.Context(), server(t, test.cfg), hello+`,"stream":true,"max_tokens":4}`)
			if diff := cmp.Diff(test.want, w.flushes); diff != "" {
				t.Errorf("%s: flushed at (-want +got):\n%s", test.name, diff)
			}
		})
	}
	synctest.Test(t, func(t *testing.T) {
		began := time.Now()
		timed(t.Context(), server(t, Config{TTFT: time.Second, TimePerToken: 10 * ms}), hello+`,"max_tokens":11}`)
		if took := time.Since(began); took != 1100*ms {
			t.Errorf("a whole answer took %v, want 1.1s", took)
		}
	})
}

func TestStall(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := timed(t.Context(), server(t, Config{TimePerToken: time.Millisecond, StallRate: 1, StallFor: 5 * time.Second}), hello+`,"stream":true}`)
		stalls := 0
		for i := 2; i < len(w.flushes)-2; i++ {
			switch gap := w.flushes[i] - w.flushes[i-1]; gap {
			case time.Millisecond:
			case 5*time.Second + time.Millisecond:
				stalls++
			default:
				t.Errorf("gap %d is %v", i, gap)
			}
		}
		if stalls != 1 {
			t.Errorf("%d stalls, want 1", stalls)
		}
	})
}

func TestCancelEndsTheWork(t *testing.T) {
	for _, stream := range []string{`,"stream":true}`, `}`} {
		synctest.Test(t, func(t *testing.T) {
			ctx, cancel := context.WithTimeout(t.Context(), 90*time.Millisecond)
			defer cancel()
			began := time.Now()
			w := timed(ctx, server(t, Config{TimePerToken: 20 * time.Millisecond, Length: 500}), hello+stream)
			if took := time.Since(began); took != 90*time.Millisecond {
				t.Errorf("the handler returned after %v, want 90ms", took)
			}
			if strings.Contains(w.Body.String(), "[DONE]") || strings.Contains(w.Body.String(), "stop") {
				t.Errorf("a cancelled request was answered in full: %s", w.Body)
			}
		})
	}
}

func TestJitterKeepsTheMean(t *testing.T) {
	l := Config{Seed: 5}.faults(1)
	const n = 20_000
	var sum, squares float64
	for range n {
		x := float64(l.vary(100*time.Millisecond, 0.5)) / float64(100*time.Millisecond)
		sum += x
		squares += x * x
	}
	mean := sum / n
	if variance := squares/n - mean*mean; mean < 0.98 || mean > 1.02 || variance < 0.22 || variance > 0.28 {
		t.Errorf("mean %.3f, variance %.3f, want 1 and 0.25", mean, variance)
	}
}

// outcomes counts how many of n streams ended in which way.
func outcomes(t *testing.T, cfg Config, n int) map[string]int {
	t.Helper()
	h := server(t, cfg)
	count := make(map[string]int)
	for range n {
		w := httptest.NewRecorder()
		aborted := func() (aborted bool) {
			defer func() {
				switch p := recover(); p {
				case nil:
				case http.ErrAbortHandler:
					aborted = true
				default:
					panic(p)
				}
			}()
			h.ServeHTTP(w, httptest.NewRequest(http.MethodPost, "/v1/chat/completions", strings.NewReader(hello+`,"stream":true,"stream_options":{"include_usage":true}}`)))
			return false
		}()
		body := w.Body.String()
		switch {
		case aborted:
			count["truncated"]++
			if !strings.Contains(body, `{"content":"`) || strings.Contains(body, `"finish_reason":"`) {
				t.Errorf("cut in the wrong place: %s", body)
			}
		case w.Code == 500:
			count["error"]++
			if c := decode(t, body); c.Error == nil || c.Error.Type != "server_error" {
				t.Errorf("error: %s", body)
			}
		case strings.Contains(body, `{"refusal":"`):
			count["refused"]++
		case strings.Contains(body, `"content_filter"`):
			count["filtered"]++
		case strings.Contains(body, `data: {"error":`):
			count["stream error"]++
			if strings.Contains(body, "[DONE]") {
				t.Errorf("an error, and then [DONE]: %s", body)
			}
		case strings.HasSuffix(body, "data: [DONE]\n\n"):
			count["ok"]++
		default:
			t.Errorf("no known outcome: %s", body)
		}
	}
	return count
}

func TestRates(t *testing.T) {
	const n = 2000
	tests := []struct {
		cfg  Config
		want map[string]float64
	}{
		{Config{}, map[string]float64{"ok": 1}},
		{Config{ErrorRate: 1}, map[string]float64{"error": 1}},
		{Config{ErrorRate: 0.08}, map[string]float64{"ok": 0.92, "error": 0.08}},
		{Config{RefusalRate: 0.2}, map[string]float64{"ok": 0.8, "refused": 0.1, "filtered": 0.1}},
		{Config{TruncateRate: 0.1}, map[string]float64{"ok": 0.9, "truncated": 0.1}},
		{Config{StreamErrorRate: 0.3}, map[string]float64{"ok": 0.7, "stream error": 0.3}},
	}
	for _, test := range tests {
		test.cfg.Seed, test.cfg.Length = 11, 8
		got := outcomes(t, test.cfg, n)
		if diff := cmp.Diff(slices.Sorted(maps.Keys(test.want)), slices.Sorted(maps.Keys(got))); diff != "" {
			t.Errorf("%+v (-want +got):\n%s", test.cfg, diff)
		}
		for outcome, share := range test.want {
			// Three standard deviations of the largest share; the seed is fixed, so
			// this cannot flake.
			if have := float64(got[outcome]) / n; have < share-0.03 || have > share+0.03 {
				t.Errorf("%+v: %.3f %s, want %.3f", test.cfg, have, outcome, share)
			}
		}
	}
}

func TestTruncationReachesTheClient(t *testing.T) {
	ts := httptest.NewServer(server(t, Config{TruncateRate: 1}))
	defer ts.Close()
	for _, rest := range []string{`}`, `,"stream":true}`} {
		resp, err := http.Post(ts.URL+"/v1/chat/completions", "application/json", strings.NewReader(hello+rest))
		if err != nil {
			t.Fatal(err)
		}
		body, err := io.ReadAll(resp.Body)
		resp.Body.Close()
		if !errors.Is(err, io.ErrUnexpectedEOF) || len(body) == 0 {
			t.Errorf("%s: read %d bytes and %v, want some and an unexpected EOF", rest, len(body), err)
		}
	}
}

func TestValidateReportsAllProblems(t *testing.T) {
	_, err := New(Config{Models: []string{""}, Length: -1, MaxBody: -1, TokensPerChunk: -1, TTFT: -1, TimePerToken: -1, StallFor: -1,
		Jitter: -1, ErrorRate: 1.1, StreamErrorRate: -0.1, RefusalRate: 2, StallRate: 3, TruncateRate: -1})
	for _, field := range []string{"Models[0]", "Length", "MaxBody", "TokensPerChunk", "TTFT", "TimePerToken", "StallFor", "Jitter",
		"ErrorRate", "StreamErrorRate", "RefusalRate", "StallRate", "TruncateRate"} {
		if err == nil || !strings.Contains(err.Error(), "modeltest: Config."+field+" is ") {
			t.Errorf("%s is not reported in: %v", field, err)
		}
	}
	var invalid *checks.InvalidError
	if !errors.As(err, &invalid) {
		t.Errorf("%T has no *checks.InvalidError", err)
	}
}

func FuzzRequest(f *testing.F) {
	f.Add(hello + `}`)
	f.Add(hello + `,"stream":true,"stop":["a"],"temperature":0.5,"max_tokens":3}`)
	f.Add(`{"model":"tinylm","messages":[{"role":"user","content":[{"text":"x"}]}],"prompt":null,"stop":null}`)
	f.Add(`{"model":"tinylm","messages":[{"role":"user","content":null}]}`)
	h := server(f, Config{Length: 4})
	f.Fuzz(func(t *testing.T, body string) {
		for _, path := range []string{"/v1/chat/completions", "/v1/completions"} {
			w := post(h, path, body)
			if w.Code == 200 && strings.HasPrefix(w.Header().Get("Content-Type"), "text/event-stream") {
				events(t, w.Body.String())
				continue
			}
			if c := decode(t, w.Body.String()); (w.Code == 200) == (c.Error != nil) || w.Code >= 500 {
				t.Errorf("status %d: %s", w.Code, w.Body)
			}
		}
	})
}

func BenchmarkStream(b *testing.B) {
	h := server(b, Config{Seed: 1, Length: 48})
	b.ReportAllocs()
	for b.Loop() {
		post(h, "/v1/chat/completions", hello+`,"stream":true}`)
	}
}
