package traffic

import (
	"bytes"
	"io"
	"math/rand/v2"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync/atomic"
	"testing"

	"github.com/serin-go/serin/checks/analysis/answer"
	"github.com/serin-go/serin/strategies"
)

const (
	contentEvent = `data: {"id":"c","choices":[{"index":0,"delta":{"content":"hi"},"finish_reason":null}],"usage":null}` + "\n\n"
	usageEvent   = `data: {"id":"c","choices":[],"usage":{"prompt_tokens":10,"completion_tokens":5}}` + "\n\n"
	doneEvent    = "data: [DONE]\n\n"
)

// filtered returns what a new filter lets pass of some parts of a stream.
func filtered(t *testing.T, parts ...[]byte) string {
	t.Helper()
	var f usageFilter
	var out []byte
	for _, p := range parts {
		before := bytes.Clone(p)
		out = append(out, f.feed(p)...)
		if !bytes.Equal(p, before) {
			t.Fatalf("%q was changed", before)
		}
		if cap(f.held) > 2*maxUsageEvent {
			t.Fatalf("%d bytes are held", cap(f.held))
		}
	}
	return string(append(out, f.end()...))
}

// eachCut calls f with a stream cut in two at each of its bytes, in three, in single
// bytes, and at random.
func eachCut(stream string, f func(parts ...[]byte)) {
	b := []byte(stream)
	for i := range len(b) + 1 {
		f(b[:i], b[i:])
	}
	for i := range len(b) {
		f(b[:i], b[i:i+1], b[i+1:])
	}
	single := make([][]byte, len(b))
	for i := range b {
		single[i] = b[i : i+1]
	}
	f(single...)
	for seed := range uint64(50) {
		r := rand.New(rand.NewPCG(seed, 1))
		var parts [][]byte
		for rest := b; len(rest) > 0; {
			n := 1 + r.IntN(min(len(rest), 60))
			parts = append(parts, rest[:n])
			rest = rest[n:]
		}
		f(parts...)
	}
}

func TestUsageFilter(t *testing.T) {
	crlf := func(s string) string { return strings.ReplaceAll(s, "\n", "\r\n") }
	cr := func(s string) string { return strings.ReplaceAll(s, "\n", "\r") }
	narrow := func(s string) string { return strings.ReplaceAll(s, "data: ", "data:") }
	several := "data: {\"id\":\"c\",\ndata: \"choices\": [ ],\nid: 7\ndata: \"usage\":{\"prompt_tokens\":1}}\n\n"
	long := `data: {"choices":[],"x":"` + strings.Repeat("x", maxUsageEvent) + `","usage":{}}` + "\n\n"
	for name, tt := range map[string]struct{ stream, want string }{
		"the last event but one":     {contentEvent + contentEvent + usageEvent + doneEvent, contentEvent + contentEvent + doneEvent},
		"CR LF":                      {crlf(contentEvent + usageEvent + doneEvent), crlf(contentEvent + doneEvent)},
		"CR":                         {cr(contentEvent + usageEvent + doneEvent), cr(contentEvent + doneEvent)},
		"without a space":            {narrow(contentEvent + usageEvent + doneEvent), narrow(contentEvent + doneEvent)},
		"several lines":              {contentEvent + several + doneEvent, contentEvent + doneEvent},
		"several lines with CR LF":   {crlf(contentEvent + several + doneEvent), crlf(contentEvent + doneEvent)},
		"several events":             {usageEvent + contentEvent + usageEvent + usageEvent + doneEvent, contentEvent + doneEvent},
		"usage alone":                {usageEvent, ""},
		"members in another order":   {`data: {"usage":{"a":1},"choices":[ ],"x":[{}]}` + "\n\n" + doneEvent, doneEvent},
		"escaped names":              {`data: {"us\u0061ge":{"a":1},"ch\u006fices":[]}` + "\n\n" + doneEvent, doneEvent},
		"a name and an id":           {"event: message\nid: 1\n" + usageEvent + doneEvent, doneEvent},
		"comments":                   {": ping\n\n" + contentEvent + ": ping\n\n" + usageEvent + ": ping\n\n" + doneEvent, ": ping\n\n" + contentEvent + ": ping\n\n: ping\n\n" + doneEvent},
		"comments within":            {contentEvent + ": a\nid: 1\n: b\n" + usageEvent + doneEvent, contentEvent + ": a\n: b\n" + doneEvent},
		"comments within, CR LF":     {crlf(contentEvent + ": a\nid: 1\n: b\n" + usageEvent + doneEvent), crlf(contentEvent + ": a\n: b\n" + doneEvent)},
		"comments within, CR":        {cr(contentEvent + ": a\nid: 1\n: b\n" + usageEvent + doneEvent), cr(contentEvent + ": a\n: b\n" + doneEvent)},
		"further empty lines":        {"\n\n" + contentEvent + "\n\n" + usageEvent + "\n" + doneEvent, "\n\n" + contentEvent + "\n\n\n" + doneEvent},
		"no empty line at the end":   {contentEvent + strings.TrimRight(usageEvent, "\n"), contentEvent},
		"one line end at the end":    {contentEvent + strings.TrimSuffix(usageEvent, "\n"), contentEvent},
		"error and usage":            {`data: {"error":{"message":"no"},"choices":[],"usage":{}}` + "\n\n", "*"},
		"no error and usage":         {`data: {"error":null,"choices":[],"usage":{}}` + "\n\n", ""},
		"an event named error":       {"event: error\n" + usageEvent + doneEvent, "*"},
		"a name behind the data":     {usageEvent[:len(usageEvent)-1] + "event:error\n\n" + doneEvent, "*"},
		"choices that are not empty": {`data: {"usage":{"a":1},"choices":[{"index":0,"delta":{}}]}` + "\n\n" + doneEvent, "*"},
		"repeated choices":           {`data: {"choices":[],"usage":{"a":1},"choices":[{"index":0}]}` + "\n\n" + doneEvent, "*"},
		"usage null":                 {`data: {"choices":[],"usage":null,"prompt_filter_results":[]}` + "\n\n" + doneEvent, "*"},
		"no usage":                   {`data: {"choices":[],"prompt_filter_results":[]}` + "\n\n" + doneEvent, "*"},
		"no choices":                 {`data: {"usage":{"a":1}}` + "\n\n" + doneEvent, "*"},
		"choices null":               {`data: {"choices":null,"usage":{"a":1}}` + "\n\n" + doneEvent, "*"},
		"usage that is no object":    {`data: {"choices":[],"usage":5}` + "\n\n" + doneEvent, "*"},
		"usage deep inside":          {`data: {"a":{"choices":[],"usage":{}}}` + "\n\n" + doneEvent, "*"},
		"no JSON":                    {"data: {\"choices\":[],\"usage\":{}\n\ndata: x\n\ndata: {\"choices\":[],\"usage\":{}}}\n\ndata\n\ndata:\n\n", "*"},
		"other fields":               {"id: 1\nretry: 5\n\nfoo: bar\n\nid\n\n", "*"},
		"a field of another name":    {"xdata: {\"choices\":[],\"usage\":{}}\n\n", "*"},
		"an unknown field before":    {"foo: bar\n" + usageEvent + doneEvent, "*"},
		"no stream":                  {"{\"choices\":[],\"usage\":{}}\n\n<html>", "*"},
		"byte order mark":            {"\ufeff" + contentEvent + usageEvent + doneEvent, "\ufeff" + contentEvent + doneEvent},
		"broken off within":          {contentEvent + usageEvent[:40], "*"},
		"broken off before":          {contentEvent + `data: {"id":"c"`, "*"},
		"nothing":                    {"", ""},
	} {
		if tt.want == "*" {
			tt.want = tt.stream
		}
		eachCut(tt.stream, func(parts ...[]byte) {
			if got := filtered(t, parts...); got != tt.want {
				t.Errorf("%s, cut into %q:\n%q, want\n%q", name, parts, got, tt.want)
			}
		})
	}
	for _, size := range []int{1, 7, 4096, 32 << 10} {
		stream, parts := []byte(contentEvent+long+usageEvent+doneEvent), [][]byte(nil)
		for rest := stream; len(rest) > 0; rest = rest[min(size, len(rest)):] {
			parts = append(parts, rest[:min(size, len(rest))])
		}
		if got := filtered(t, parts...); got != contentEvent+long+doneEvent {
			t.Errorf("in parts of %d bytes a long event became %d bytes, want %d", size, len(got), len(contentEvent+long+doneEvent))
		}
	}
}

// TestUsageFilterIsPrompt: what cannot be a usage report is not held back.
func TestUsageFilterIsPrompt(t *testing.T) {
	for name, tt := range map[string]struct{ part, want string }{
		"the first choice": {`data: {"id":"c","choices":[{`, "*"},
		"the end":          {`data: [`, "*"},
		"a comment":        {": pi", "*"},
		"usage null":       {`data: {"choices":[],"usage":n`, "*"},
		"no stream":        {`{"choices":[]`, "*"},
		"a whole event":    {contentEvent, "*"},
		"undecided":        {contentEvent + `data: {"choices":[]`, contentEvent},
		"not yet a field":  {"dat", ""},
	} {
		if tt.want == "*" {
			tt.want = tt.part
		}
		var f usageFilter
		if got := string(f.feed([]byte(tt.part))); got != tt.want {
			t.Errorf("%s: %q passes, want %q", name, got, tt.want)
		}
	}
}

func TestUsageFilterDoesNotAllocate(t *testing.T) {
	var f usageFilter
	whole, begun, rest := []byte(contentEvent), []byte(usageEvent[:20]), []byte(usageEvent[20:]+doneEvent)
	step := func() {
		f.feed(whole)
		f.feed(begun)
		f.feed(rest)
	}
	step()
	if n := testing.AllocsPerRun(100, step); n != 0 {
		t.Errorf("%v allocations", n)
	}
}

// FuzzUsageFilter: however a stream is cut, the same bytes pass, and each of them
// came in that order.
func FuzzUsageFilter(f *testing.F) {
	f.Add(contentEvent+usageEvent+doneEvent, uint64(1))
	f.Add(": a\r\nid: 1\r"+usageEvent+"\r\n\n", uint64(2))
	f.Fuzz(func(t *testing.T, stream string, seed uint64) {
		want := filtered(t, []byte(stream))
		if !strings.Contains(stream, "data:") && want != stream {
			t.Fatalf("%q became %q", stream, want)
		}
		at := 0
		for i := range len(want) {
			n := strings.IndexByte(stream[at:], want[i])
			if n < 0 {
				t.Fatalf("%q became %q", stream, want)
			}
			at += n + 1
		}
		r := rand.New(rand.NewPCG(seed, 1))
		var parts [][]byte
		for rest := []byte(stream); len(rest) > 0; {
			n := 1 + r.IntN(len(rest))
			parts = append(parts, rest[:n])
			rest = rest[n:]
		}
		if got := filtered(t, parts...); got != want {
			t.Fatalf("cut into %q it became %q, want %q", parts, got, want)
		}
	})
}

func TestNewUsageFilter(t *testing.T) {
	for name, tt := range map[string]struct {
		status int
		header http.Header
		want   bool
	}{
		"a stream":             {200, http.Header{"Content-Type": {"text/event-stream; charset=utf-8"}}, true},
		"a stream with length": {200, http.Header{"Content-Type": {"text/event-stream"}, "Content-Length": {"5"}, "Digest": {"x"}}, true},
		"identity":             {200, http.Header{"Content-Type": {"text/event-stream"}, "Content-Encoding": {"identity"}}, true},
		"no type":              {200, http.Header{}, true},
		"no type, but length":  {200, http.Header{"Content-Length": {"5"}}, false},
		"gzip":                 {200, http.Header{"Content-Type": {"text/event-stream"}, "Content-Encoding": {"gzip"}, "Content-Length": {"5"}}, false},
		"a document":           {200, http.Header{"Content-Type": {"application/json"}, "Content-Length": {"5"}}, false},
		"an error":             {500, http.Header{"Content-Type": {"text/event-stream"}}, false},
	} {
		length := tt.header["Content-Length"]
		if got := newUsageFilter(tt.status, tt.header) != nil; got != tt.want {
			t.Errorf("%s: a filter: %t", name, got)
		}
		if kept := tt.header["Content-Length"] != nil; length != nil && kept == tt.want || tt.want && tt.header["Digest"] != nil {
			t.Errorf("%s: the header is %v", name, tt.header)
		}
	}
}

// TestUsageWithoutMemory: a request that finds no memory for the option goes without
// it.
func TestUsageWithoutMemory(t *testing.T) {
	m := &bodyMemory{limit: 20}
	held := &share{memory: m}
	body := &payload{data: []byte(`{"stream":true}`), held: true}
	req := httptest.NewRequest("POST", "http://gateway/v1/chat/completions", nil)
	ask := answer.Ask{Route: answer.Route{API: answer.Chat, Kind: answer.Inference}, Stream: true, Read: true}
	r := &Router{maxBody: 1 << 20}
	if s, err := r.shape(&arm{}, ask, req, body, held, true); err != nil || s.body != body || s.usage || m.used.Load() != 0 {
		t.Errorf("%+v, %v, %d bytes are taken", s, err, m.used.Load())
	}
	if _, err := r.shape(&arm{backend: Backend{Model: "m"}}, ask, req, body, held, true); !isBodyMemory(err) {
		t.Errorf("with a model to set: %v", err)
	}
	m.limit = 1000
	s, err := r.shape(&arm{}, ask, req, body, held, true)
	if err != nil || !s.usage || m.used.Load() != int64(cap(s.body.data)) {
		t.Errorf("%+v, %v, %d bytes are taken", s, err, m.used.Load())
	}
}

// TestRefusedUsageGivesMemoryBack: the request that is sent again needs no more memory
// than the one that was refused, and nothing stays taken.
func TestRefusedUsageGivesMemoryBack(t *testing.T) {
	const body = `{"model":"chat","stream":true}`
	var r *Router
	var first, second atomic.Int64 // what is taken while the server is asked
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, req *http.Request) {
		data, _ := io.ReadAll(req.Body)
		if bytes.Contains(data, []byte("include_usage")) {
			first.Store(r.bodies.used.Load())
			w.WriteHeader(http.StatusBadRequest)
			return
		}
		second.Store(r.bodies.used.Load())
		w.Header().Set("Content-Type", "text/event-stream")
		_, _ = io.WriteString(w, contentEvent+doneEvent)
	}))
	defer server.Close()
	for _, shape := range []string{"handler", "transport"} {
		var err error
		if r, err = New(Config{
			Arms:     map[string]Backend{"a": {URL: server.URL, Model: "chat-1.5"}},
			Split:    strategies.Split{Arms: []strategies.Arm{{Name: "a", Weight: strategies.Full}}},
			AskUsage: true,
		}); err != nil {
			t.Fatal(err)
		}
		req := httptest.NewRequest("POST", "http://gateway/v1/chat/completions", strings.NewReader(body))
		var status int
		if shape == "handler" {
			w := httptest.NewRecorder()
			r.ServeHTTP(w, req)
			status = w.Code
		} else {
			req.RequestURI = ""
			resp, err := r.RoundTripper().RoundTrip(req)
			if err != nil {
				t.Fatal(err)
			}
			_, _ = io.Copy(io.Discard, resp.Body)
			_ = resp.Body.Close()
			status = resp.StatusCode
		}
		if status != http.StatusOK || first.Load() == 0 || second.Load() == 0 || second.Load() > first.Load() || r.bodies.used.Load() != 0 {
			t.Errorf("%s: status %d; %d and %d bytes were taken, and %d are", shape, status, first.Load(), second.Load(), r.bodies.used.Load())
		}
	}
}
