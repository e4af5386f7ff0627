package privacy_test

import (
	"bytes"
	"compress/gzip"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"
	"testing"
	"time"

	"github.com/serin-go/serin/checks/analysis/answer"
	"github.com/serin-go/serin/rollout/privacy"
	"github.com/serin-go/serin/rollout/traffic"
	"github.com/serin-go/serin/strategies"
)

// said is text with personal data, as tokens of a model.
const said = "Hello alice, your mail is alice@example.com and your card 4111 1111 1111 1111. Call +43 1 5880158!"

const redacted = "Hello alice, your mail is [EMAIL] and your card [CARD]. Call [PHONE]!"

// called are the arguments of a tool call.
const called = `{"to":"alice\u0040example.com","n":[1,2]}`

// dialects writes texts as the events of token streams. Each text is in pieces of n bytes.
var dialects = map[string]struct {
	api    answer.API
	route  string
	stream func(n int) string
}{
	"OpenAI": {answer.Chat, "/v1/chat/completions", func(n int) string {
		var b strings.Builder
		chunk := func(choice int, delta, finish string) {
			fmt.Fprintf(&b, "data: {\"id\":\"chatcmpl-1\",\"object\":\"chat.completion.chunk\",\"choices\":[{\"index\":%d,\"delta\":%s,\"logprobs\":{\"content\":[{\"token\":\"alice\"}]},\"finish_reason\":%s}]}\n\n", choice, delta, finish)
		}
		chunk(0, `{"role":"assistant","content":""}`, "null")
		for _, p := range pieces(said, n) {
			chunk(0, `{"content":`+quote(p)+`}`, "null")
			chunk(1, `{"content":`+quote(p)+`}`, "null")
		}
		for i, p := range pieces(called, n) {
			name := ""
			if i == 0 {
				name = `"name":"mail",`
			}
			chunk(0, `{"tool_calls":[{"index":0,"function":{`+name+`"arguments":`+quote(p)+`}}]}`, "null")
		}
		chunk(0, `{}`, `"tool_calls"`)
		chunk(1, `{}`, `"stop"`)
		b.WriteString("data: {\"id\":\"chatcmpl-1\",\"choices\":[],\"usage\":{\"completion_tokens\":12}}\n\ndata: [DONE]\n\n")
		return b.String()
	}},
	"Anthropic": {answer.Messages, "/v1/messages", func(n int) string {
		var b strings.Builder
		event := func(kind, rest string) {
			fmt.Fprintf(&b, "event: %s\r\ndata: {\"type\":%q%s}\r\n\r\n", kind, kind, rest)
		}
		event("message_start", `,"message":{"content":[]}`)
		event("content_block_start", `,"index":0,"content_block":{"type":"text","text":""}`)
		for _, p := range pieces(said, n) {
			event("content_block_delta", `,"index":0,"delta":{"type":"text_delta","text":`+quote(p)+`}`)
			event("ping", "")
		}
		event("content_block_stop", `,"index":0`)
		event("content_block_start", `,"index":1,"content_block":{"type":"tool_use","name":"mail","input":{}}`)
		for _, p := range pieces(called, n) {
			event("content_block_delta", `,"index":1,"delta":{"type":"input_json_delta","partial_json":`+quote(p)+`}`)
		}
		event("content_block_stop", `,"index":1`)
		event("message_delta", `,"delta":{"stop_reason":"tool_use"}`)
		event("message_stop", "")
		return b.String()
	}},
	"Responses": {answer.Responses, "/v1/responses", func(n int) string {
		var b strings.Builder
		event := func(kind, rest string) { fmt.Fprintf(&b, "event: %s\ndata: {\"type\":%q%s}\n\n", kind, kind, rest) }
		for _, p := range pieces(said, n) {
			event("response.output_text.delta", `,"output_index":0,"content_index":0,"delta":`+quote(p))
		}
		event("response.output_text.done", `,"output_index":0,"content_index":0,"text":`+quote(said))
		for _, p := range pieces(called, n) {
			event("response.function_call_arguments.delta", `,"output_index":1,"delta":`+quote(p))
		}
		event("response.output_item.done", `,"output_index":1,"item":{"type":"function_call","name":"mail","arguments":`+quote(called)+`}`)
		event("response.completed", `,"response":{"output":[{"content":[{"text":`+quote(said)+`}]}]}`)
		return b.String()
	}},
	"TGI": {answer.TGI, "/generate_stream", func(n int) string {
		var b strings.Builder
		for i, p := range pieces(said, n) {
			fmt.Fprintf(&b, "data:{\"index\":%d,\"token\":{\"id\":1,\"text\":%s,\"special\":false},\"generated_text\":null,\"details\":null}\n\n", i, quote(p))
		}
		fmt.Fprintf(&b, "data:{\"index\":99,\"token\":{\"id\":2,\"text\":\"\",\"special\":true},\"generated_text\":%s,\"details\":{\"finish_reason\":\"eos_token\"}}\n\n", quote(said))
		return b.String()
	}},
	"Gemini": {answer.Gemini, "/v1beta/models/m:streamGenerateContent", func(n int) string {
		var b strings.Builder
		all := pieces(said, n)
		for i, p := range all {
			finish := ""
			if i == len(all)-1 {
				finish = `,"finishReason":"STOP"`
			}
			fmt.Fprintf(&b, "data: {\"candidates\":[{\"content\":{\"parts\":[{\"text\":%s}]}%s}]}\n\n", quote(p), finish)
		}
		return b.String()
	}},
}

func quote(s string) string {
	b, _ := json.Marshal(s)
	return string(b)
}

func pieces(s string, n int) (all []string) {
	for len(s) > n {
		all = append(all, s[:n])
		s = s[n:]
	}
	return append(all, s)
}

// reply is a handler that answers with a stream in pieces.
func reply(contentType, body string, piece int) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Content-Type", contentType)
		for _, p := range pieces(body, piece) {
			io.WriteString(w, p)
			http.NewResponseController(w).Flush()
		}
	})
}

// TestTokenStreams: the answer through the redactor is what a redactor of the whole text
// gives, however texts are cut into events and events into writes.
func TestTokenStreams(t *testing.T) {
	r := redactor(t, privacy.Config{})
	for name, d := range dialects {
		t.Run(name, func(t *testing.T) {
			for n := 1; n <= len(said); n++ {
				for _, through := range []http.Handler{
					r.Handler(reply("text/event-stream", d.stream(n), 7+n), privacy.Both),
					proxied(r.Transport(roundTrip(reply("text/event-stream; charset=utf-8", d.stream(n), 1000)), privacy.Both)),
				} {
					w := httptest.NewRecorder()
					through.ServeHTTP(w, httptest.NewRequest("POST", d.route, nil))
					got := w.Body.String()
					if strings.Contains(got, "example.com") || strings.Contains(got, "1111") || strings.Contains(got, "5880158") || strings.Contains(got, `"token":"alice"`) {
						t.Fatalf("pieces of %d: it says\n%s", n, got)
					}
					text := answer.TextOf(answer.Route{API: d.api}, answer.EventStream, w.Body.Bytes())
					want := redacted
					if name == "OpenAI" { // its two choices are one text here
						if strings.Count(text.Content, "[EMAIL]") != 2 || len(text.Content) != 2*len(redacted) {
							t.Fatalf("pieces of %d: %q", n, text.Content)
						}
						want = text.Content
					}
					if text.Content != want {
						t.Fatalf("pieces of %d:\n got %q\nwant %q", n, text.Content, want)
					}
					if name != "Gemini" && name != "TGI" && (len(text.ToolCalls) != 1 || text.ToolCalls[0].Arguments != `{"to":"[EMAIL]","n":[1,2]}`) {
						t.Fatalf("pieces of %d: %+v\n%s", n, text.ToolCalls, got)
					}
				}
			}
		})
	}
}

func proxied(rt http.RoundTripper) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		resp, err := rt.RoundTrip(r)
		if err != nil {
			http.Error(w, err.Error(), 500)
			return
		}
		defer resp.Body.Close()
		w.Header().Set("Content-Type", resp.Header.Get("Content-Type"))
		w.WriteHeader(resp.StatusCode)
		io.Copy(w, resp.Body)
	})
}

type roundTripper func(*http.Request) (*http.Response, error)

func (f roundTripper) RoundTrip(r *http.Request) (*http.Response, error) { return f(r) }

func roundTrip(h http.Handler) http.RoundTripper {
	return roundTripper(func(r *http.Request) (*http.Response, error) {
		w := httptest.NewRecorder()
		h.ServeHTTP(w, r)
		return w.Result(), nil
	})
}

// TestCleanStreamIsUnchanged: a stream in which nothing is found and every event ends with a
// space keeps its bytes.
func TestCleanStreamIsUnchanged(t *testing.T) {
	r := redactor(t, privacy.Config{})
	body := "data: {\"id\":\"1\", \"choices\":[{\"index\":0,\"delta\":{\"content\":\"Hello \"}}]}\n\n: ping\n\ndata: {\"choices\":[{\"index\":0,\"delta\":{\"content\":\"you. \"},\"finish_reason\":\"stop\"}]}\n\ndata: [DONE]\n\n"
	w := httptest.NewRecorder()
	r.Handler(reply("text/event-stream", body, 10), privacy.Both).ServeHTTP(w, httptest.NewRequest("POST", "/", nil))
	if got := w.Body.String(); got != body {
		t.Errorf("got\n%s", got)
	}
}

// png is the begin of an image, with what looks like an address in it.
const png = "\x89PNG\r\n\x1a\nalice@example.com"

// form is a form with a name and a file.
func form(file, contentType string) string {
	return "--b\r\nContent-Disposition: form-data; name=\"purpose\"\r\n\r\nbatch\r\n--b\r\nContent-Disposition: form-data; name=\"file\"; filename=\"f\"\r\nContent-Type: " + contentType + "\r\n\r\n" + file + "\r\n--b--\r\n"
}

// TestManyEvents: the time for a body is proportional to its size. If it were to its square,
// this would take minutes.
func TestManyEvents(t *testing.T) {
	r := redactor(t, privacy.Config{})
	body := strings.Repeat("\n", 4<<20)
	for _, contentType := range []string{"application/x-ndjson", "text/event-stream"} {
		w := httptest.NewRecorder()
		r.Handler(reply(contentType, body, len(body)), privacy.ResponsesOnly).ServeHTTP(w, httptest.NewRequest("POST", "/", nil))
		if n := w.Body.Len(); n == 0 || n > len(body) {
			t.Errorf("%s: %d bytes of an answer of %d", contentType, n, len(body))
		}
		req := httptest.NewRequest("POST", "/", strings.NewReader(body))
		req.Header.Set("Content-Type", contentType)
		read := 0
		r.Handler(http.HandlerFunc(func(_ http.ResponseWriter, req *http.Request) {
			b, err := io.ReadAll(req.Body)
			if read = len(b); err != nil {
				t.Error(err)
			}
		}), privacy.RequestsOnly).ServeHTTP(httptest.NewRecorder(), req)
		if read == 0 || read > len(body) {
			t.Errorf("%s: %d bytes of %d", contentType, read, len(body))
		}
	}
}

// TestRange: a part of an answer is not asked for, and not passed on.
func TestRange(t *testing.T) {
	r := redactor(t, privacy.Config{})
	files := http.HandlerFunc(func(w http.ResponseWriter, req *http.Request) {
		http.ServeContent(w, req, "x.json", time.Time{}, strings.NewReader(`{"m":"alice@example.com"}`))
	})
	part := http.HandlerFunc(func(w http.ResponseWriter, req *http.Request) {
		w.Header().Set("Content-Type", "application/json")
		w.WriteHeader(http.StatusPartialContent)
		io.WriteString(w, `{"m":"alice`)
	})
	for _, tt := range []struct {
		next   http.Handler
		status int
	}{{files, 200}, {part, 502}} {
		req := httptest.NewRequest("GET", "/x.json", nil)
		req.Header.Set("Range", "bytes=0-10")
		w := httptest.NewRecorder()
		r.Handler(tt.next, privacy.Both).ServeHTTP(w, req)
		if w.Code != tt.status || strings.Contains(w.Body.String(), "alice") || tt.status == 200 && w.Body.String() != `{"m":"[EMAIL]"}` {
			t.Errorf("%d %s, want %d", w.Code, w.Body, tt.status)
		}
		req = httptest.NewRequest("GET", "/x.json", nil)
		resp, err := r.Transport(roundTrip(tt.next), privacy.Both).RoundTrip(req)
		if tt.status == 502 && !errors.Is(err, privacy.ErrUnreadable) || tt.status == 200 && (err != nil || resp.StatusCode != 200) {
			t.Errorf("%v, want %d", err, tt.status)
		}
	}
}

func TestHandlerBodies(t *testing.T) {
	r := redactor(t, privacy.Config{MaxBody: 1000})
	echo := http.HandlerFunc(func(w http.ResponseWriter, req *http.Request) {
		for _, name := range []string{"Content-Type", "Content-Encoding"} {
			if v := req.Header.Get("X-" + name); v != "" {
				w.Header().Set(name, v)
			}
		}
		body, _ := io.ReadAll(req.Body)
		w.Header().Set("X-Read", string(body))
		w.Header().Set("ETag", `"1"`)
		w.Write(body)
	})
	var zipped bytes.Buffer
	z := gzip.NewWriter(&zipped)
	io.WriteString(z, said)
	z.Close()
	for _, tt := range []struct {
		name         string
		what         privacy.Direction
		body         string
		in, out, enc string // types of the request and the answer, and the answer's encoding
		status       int
		read, want   string
	}{
		{"JSON", privacy.Both, `{"a":"alice\u0040example.com"}`, "application/json", "application/json", "", 200, `{"a":"[EMAIL]"}`, `{"a":"[EMAIL]"}`},
		{"no type", privacy.Both, `{"a":"alice\u0040example.com"}`, "", "", "", 200, `{"a":"[EMAIL]"}`, `{"a":"[EMAIL]"}`},
		{"requests", privacy.RequestsOnly, said, "text/plain", "text/plain", "", 200, redacted, redacted},
		{"answers", privacy.ResponsesOnly, said, "text/plain", "text/plain", "", 200, said, redacted},
		{"JSON lines", privacy.ResponsesOnly, "{\"message\":{\"content\":\"alice@exam\"},\"done\":false}\n{\"message\":{\"content\":\"ple.com\"},\"done\":true}\n", "", "application/x-ndjson", "", 200, "",
			"{\"message\":{\"content\":\"\"},\"done\":false}\n{\"message\":{\"content\":\"[EMAIL]\"},\"done\":true}\n"},
		{"an image", privacy.Both, png, "image/png", "image/png", "", 200, png, png},
		{"an image that is text", privacy.Both, "alice@example.com", "image/png", "", "", 415, "", ""},
		{"JSON as an image", privacy.Both, `{"a":"alice\u0040example.com"}`, "image/png", "application/json", "", 200, `{"a":"[EMAIL]"}`, `{"a":"[EMAIL]"}`},
		{"JSON as bytes", privacy.Both, `{"a":"alice\u0040example.com"}`, "application/octet-stream", "application/octet-stream", "", 200, `{"a":"[EMAIL]"}`, `{"a":"[EMAIL]"}`},
		{"text as bytes", privacy.Both, "alice@example.com", "application/octet-stream", "text/plain", "", 200, "[EMAIL]", "[EMAIL]"},
		{"bytes", privacy.Both, "\x00\x01alice@example.com", "application/octet-stream", "application/octet-stream", "", 200, "\x00\x01alice@example.com", "\x00\x01alice@example.com"},
		{"parts", privacy.RequestsOnly, form(`{"a":"alice\u0040example.com"}`+"\n"+`{"b":1}`+"\n", "text/plain"), "multipart/form-data; boundary=b", "", "", 200, form(`{"a":"[EMAIL]"}`+"\n"+`{"b":1}`+"\n", "text/plain"), ""},
		{"parts with an image", privacy.RequestsOnly, form(png, "image/png"), "multipart/form-data; boundary=b", "", "", 200, form(png, "image/png"), ""},
		{"parts that are broken", privacy.Both, "--b\r\nalice@example.com", "multipart/form-data; boundary=b", "", "", 415, "", ""},
		{"a form without parts", privacy.Both, `{"a":"alice@example.com"}`, "multipart/form-data; boundary=b", "", "", 415, "", ""},
		{"parts without a boundary", privacy.Both, "alice@example.com", "multipart/form-data", "", "", 415, "", ""},
		{"a message", privacy.Both, "\n\x11alice@example.com", "application/x-protobuf", "", "", 415, "", ""},
		{"another binary form", privacy.Both, "\x00\x11alice@example.com", "application/x-mine", "", "", 415, "", ""},
		{"an answer in another form", privacy.ResponsesOnly, "\n\x11alice@example.com", "", "application/vnd.amazon.eventstream", "", 502, "\n\x11alice@example.com", ""},
		{"JSON in an answer of text", privacy.ResponsesOnly, `{"c":"\n+49 151 23456789","logprobs":["ali","ce@example.com"]}`, "", "text/plain", "", 200, "", `{"c":"\n[PHONE]","logprobs":null}`},
		{"JSON lines in an answer of text", privacy.ResponsesOnly, "{\"a\":1}\n{\"logprobs\":[\"ali\"]}\n", "", "text/plain", "", 200, "", "{\"a\":1}\n{\"logprobs\":null}\n"},
		{"a mark of the byte order", privacy.ResponsesOnly, "\ufeff" + `{"logprobs":[{"token":"ali"}]}`, "", "application/json", "", 200, "", `{"logprobs":null}`},
		{"depth", privacy.ResponsesOnly, `{"logprobs":["ali"],"x":` + strings.Repeat("[", 300) + strings.Repeat("]", 300) + `}`, "", "application/json", "", 200, "", `{"logprobs":null,"x":` + strings.Repeat("[", 300) + strings.Repeat("]", 300) + `}`},
		{"other probabilities", privacy.ResponsesOnly, `{"prompt_logprobs":[{"1":"ali"}],"logprobsResult":{"a":["ce@"]},"top_logprobs":[[]],"completion_probabilities":[{}],"logprobs":true}`, "", "application/json", "", 200, "",
			`{"prompt_logprobs":null,"logprobsResult":null,"top_logprobs":null,"completion_probabilities":null,"logprobs":true}`},
		{"a stream with CR", privacy.ResponsesOnly, "\ufeffdata: {\"logprobs\":[\"ali\"]}\r\rdata: {\"logprobs\":[\"ce@\"]}\r\r", "", "text/event-stream", "", 200, "", "data: {\"logprobs\":null}\n\ndata: {\"logprobs\":null}\n\n"},
		{"too large", privacy.Both, strings.Repeat("a", 1001), "text/plain", "", "", 413, "", ""},
		{"a compressed answer", privacy.ResponsesOnly, zipped.String(), "", "application/json", "gzip", 502, zipped.String(), ""},
	} {
		t.Run(tt.name, func(t *testing.T) {
			req := httptest.NewRequest("POST", "/", strings.NewReader(tt.body))
			req.Header.Set("Content-Type", tt.in)
			req.Header.Set("X-Content-Type", tt.out)
			req.Header.Set("X-Content-Encoding", tt.enc)
			w := httptest.NewRecorder()
			r.Handler(echo, tt.what).ServeHTTP(w, req)
			if w.Code != tt.status || tt.want != "" && w.Body.String() != tt.want {
				t.Errorf("%d %q, want %d %q", w.Code, w.Body, tt.status, tt.want)
			}
			if tt.read != "" && tt.status == 200 && w.Header().Get("X-Read") != tt.read {
				t.Errorf("next has read %q, want %q", w.Header().Get("X-Read"), tt.read)
			}
			if bytes.Contains(w.Body.Bytes(), zipped.Bytes()) {
				t.Error("a compressed answer was passed on")
			}
		})
	}
	req := httptest.NewRequest("POST", "/", &zipped)
	req.Header.Set("Content-Encoding", "gzip")
	w := httptest.NewRecorder()
	if r.Handler(echo, privacy.Both).ServeHTTP(w, req); w.Code != 415 {
		t.Errorf("a compressed request: %d", w.Code)
	}
	req.Header["Content-Encoding"] = []string{"", "gzip"}
	w = httptest.NewRecorder()
	if r.Handler(echo, privacy.Both).ServeHTTP(w, req); w.Code != 415 {
		t.Errorf("a request that is compressed by its second header: %d", w.Code)
	}
	if _, err := r.Transport(roundTrip(echo), privacy.Both).RoundTrip(req); !errors.Is(err, privacy.ErrUnreadable) {
		t.Errorf("a compressed request: %v", err)
	}
}

func TestDirection(t *testing.T) {
	for _, d := range []privacy.Direction{privacy.Both, privacy.RequestsOnly, privacy.ResponsesOnly, privacy.Neither} {
		var read privacy.Direction
		if err := read.UnmarshalText([]byte(d.String())); err != nil || read != d {
			t.Errorf("%v: %v, %v", d, read, err)
		}
	}
	var d privacy.Direction
	if err := d.UnmarshalText([]byte("true")); len(fields(err)) != 1 {
		t.Errorf("true: %v", err)
	}
	r := redactor(t, privacy.Config{})
	if r.Transport(nil, privacy.Neither) != nil {
		t.Error("a transport that does nothing is not nil")
	}
	w := httptest.NewRecorder()
	r.Handler(reply("text/plain", said, 100), privacy.Neither).ServeHTTP(w, httptest.NewRequest("POST", "/", nil))
	if w.Body.String() != said {
		t.Errorf("%q", w.Body)
	}
}

// TestHandlerBrokenOff: what is held back of an answer that was broken off is not sent.
func TestHandlerBrokenOff(t *testing.T) {
	r := redactor(t, privacy.Config{MaxBody: 1000})
	for name, next := range map[string]http.Handler{
		"panic": http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
			w.Header().Set("Content-Type", "text/plain")
			io.WriteString(w, "Hello alice")
			panic(http.ErrAbortHandler)
		}),
		"too large": reply("application/json", `{"a":"`+strings.Repeat("alice", 1000), 100),
	} {
		server := httptest.NewServer(r.Handler(next, privacy.Both))
		defer server.Close()
		resp, err := http.Get(server.URL)
		var body []byte
		if err == nil {
			body, err = io.ReadAll(resp.Body)
			resp.Body.Close()
		}
		if err == nil || bytes.Contains(body, []byte("alice")) {
			t.Errorf("%s: %q, %v; want the answer to be broken off", name, body, err)
		}
	}
}

// TestAroundRouter: a handler in front of the router and a transport behind it.
func TestAroundRouter(t *testing.T) {
	r := redactor(t, privacy.Config{})
	var asked []byte
	model := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, req *http.Request) {
		asked, _ = io.ReadAll(req.Body)
		reply("text/event-stream", dialects["OpenAI"].stream(5), 64).ServeHTTP(w, req)
	}))
	defer model.Close()
	if _, err := url.Parse(model.URL); err != nil {
		t.Fatal(err)
	}
	for _, behind := range []bool{false, true} {
		backend := traffic.Backend{URL: model.URL}
		if behind {
			backend.Transport = r.Transport(nil, privacy.Both)
		}
		router, err := traffic.New(traffic.Config{Arms: map[string]traffic.Backend{"1.4.0": backend},
			Split: strategies.Split{Arms: []strategies.Arm{{Name: "1.4.0", Weight: strategies.Full}}}})
		if err != nil {
			t.Fatal(err)
		}
		var front http.Handler = router
		if !behind {
			front = r.Handler(router, privacy.Both)
		}
		server := httptest.NewServer(front)
		resp, err := http.Post(server.URL+"/v1/chat/completions", "application/json", strings.NewReader(`{"model":"m","stream":true,"messages":[{"role":"user","content":"I am alice\u0040example.com"}]}`))
		if err != nil {
			t.Fatal(err)
		}
		body, err := io.ReadAll(resp.Body)
		resp.Body.Close()
		server.Close()
		if err != nil || strings.Contains(string(body), "1111") || !strings.Contains(string(body), "[EMAIL]") {
			t.Errorf("behind %v: %v\n%s", behind, err, body)
		}
		if !strings.Contains(string(asked), "I am [EMAIL]") {
			t.Errorf("behind %v: the model was asked %s", behind, asked)
		}
	}
}

// FuzzAnswer: an answer of any type and content is redacted the same, however it is cut into
// writes, and valid JSON stays valid.
func FuzzAnswer(f *testing.F) {
	types := []string{"text/event-stream", "application/x-ndjson", "application/json", "text/plain"}
	for _, d := range dialects {
		f.Add(uint8(0), []byte(d.stream(60)), uint16(50))
	}
	f.Add(uint8(1), []byte("{\"message\":{\"content\":\"alice@exam\"},\"done\":false}\n{\"message\":{\"content\":\"ple.com\"},\"done\":true}\n"), uint16(3))
	f.Add(uint8(2), []byte(`{"choices":[{"message":{"content":"alice@example.com"},"logprobs":{"content":[]}}]}`), uint16(3))
	f.Add(uint8(0), []byte("data: alice@\ndata: example.com\r\n\r\ndata: [DONE]\n\nid: alice@example.com\n\n"), uint16(1))
	r := redactor(f, privacy.Config{})
	run := func(contentType string, body []byte, piece int) []byte {
		w := httptest.NewRecorder()
		r.Handler(reply(contentType, string(body), max(piece, 1)), privacy.ResponsesOnly).ServeHTTP(w, httptest.NewRequest("POST", "/", nil))
		return w.Body.Bytes()
	}
	f.Fuzz(func(t *testing.T, kind uint8, body []byte, piece uint16) {
		contentType := types[int(kind)%len(types)]
		whole := run(contentType, body, len(body))
		if got := run(contentType, body, int(piece)); !bytes.Equal(got, whole) {
			t.Fatalf("%s in pieces of %d of %q:\n got %q\nwant %q", contentType, piece, body, got, whole)
		}
		if contentType == "application/json" && json.Valid(body) && !json.Valid(whole) {
			t.Fatalf("%q becomes %q", body, whole)
		}
	})
}
