package loadtest

import (
	"io"
	"net/http"
	"testing"

	"github.com/serin-go/serin/checks/analysis"
	"github.com/serin-go/serin/loadtest/workload"
)

// TestPathsThatAreNotKnown asks for a model at paths that name no API: the plan
// names it.
func TestPathsThatAreNotKnown(t *testing.T) {
	const (
		stream     = `{"model":"m","stream":true,"messages":[]}`
		embedding  = `{"object":"list","data":[{"object":"embedding","index":0,"embedding":[0.5]}]}`
		moderation = `{"id":"x","results":[{"flagged":false}]}`
	)
	good := script{parts: []part{{data: content("a") + goodTail}}}
	document := func(text string) script {
		return script{header: http.Header{"Content-Type": {"application/json"}}, parts: []part{{data: text}}}
	}
	for _, test := range []struct {
		api        API
		path, body string
		script     script
		class      analysis.Class
		why        string
	}{
		{"", "/my/prefix/chat", stream, good, analysis.OK, ""},
		{"", "/my/prefix/ask?x=1", stream, good, analysis.OK, ""},
		{"", "/my/prefix/ask", stream, document(embedding), analysis.Invalid, "stream asked, document came"},
		{"", "/my/prefix/ask", `{"model":"m"}`, document(embedding), analysis.Invalid, "another interface"},
		{"", "/my/prefix/ask", stream, document("<p>"), analysis.Invalid, "html"},
		{Embeddings, "/vectors", `{"model":"m","input":"a"}`, document(embedding), analysis.OK, ""},
		{Embeddings, "/vectors", `{"model":"m","input":["a","b"]}`, document(embedding), analysis.Invalid, "too few results"},
		{"", "/v1/embeddings", `{"model":"m","input":"a"}`, document(embedding), analysis.OK, ""}, // the path goes before the plan
		{"", "/v1/moderations", `{"input":"a"}`, document(moderation), analysis.OK, ""},
		{"", "/v1/files", `{}`, document(`{"id":"file-1"}`), analysis.Unread, "no inference"},
	} {
		p := plan(test.script)
		p.API, p.Prompts, p.Workload = test.api, nil, fixed{Path: test.path, Body: []byte(test.body)}
		_, results := simulate(t, p)
		if r := results[0]; r.Class != test.class || r.Why != test.why {
			t.Errorf("%s %s %s: class %v (%s), want %v (%s)", test.api, test.path, test.body, r.Class, r.Why, test.class, test.why)
		}
	}
}

// fixed is a workload of one request.
type fixed workload.Request

func (f fixed) Request(uint64) workload.Request { return workload.Request(f) }

// TestPlainAnswers counts any whole 2xx as good, and nothing else.
func TestPlainAnswers(t *testing.T) {
	for _, test := range []struct {
		script script
		class  analysis.Class
		fault  Fault
	}{
		{script{parts: []part{{data: "fine"}}}, analysis.OK, faultNone},
		{script{status: 204}, analysis.OK, faultNone},
		{script{header: http.Header{"Content-Type": {"text/html"}}, parts: []part{{data: "<p>"}}}, analysis.OK, faultNone},
		{script{header: http.Header{"Content-Type": {"application/json"}}, parts: []part{{data: `{"error":"x"}`}}}, analysis.OK, faultNone},
		{script{parts: []part{{data: "fi"}, {err: io.ErrUnexpectedEOF}}}, analysis.Truncated, faultCut},
		{script{parts: []part{{data: "fi"}, {at: 1000 * ms, data: "ne"}}}, analysis.Timeout, faultLateToken},
		{script{status: 302}, analysis.Error, faultRedirected},
		{script{status: 404}, analysis.Rejected, faultBadRequest},
		{script{status: 429}, analysis.Limited, faultTooMany},
		{script{status: 502}, analysis.Error, faultServerError},
	} {
		p := plan(test.script)
		p.Prompts, p.Workload, p.Timeout = nil, workload.HTTP("", "/health", nil), 500*ms
		_, results := simulate(t, p)
		if r := results[0]; r.Class != test.class || r.Fault != test.fault || (r.Class == analysis.OK) != (r.Why == "") {
			t.Errorf("%+v: class %v (%s), fault %v, want %v and %v", test.script, r.Class, r.Why, r.Fault, test.class, test.fault)
		}
	}
}

// TestAskOfWhatIsSent has the header of a request changed after its body was read.
func TestAskOfWhatIsSent(t *testing.T) {
	const document = `{"object":"chat.completion","choices":[{"index":0,"message":{"role":"assistant","content":"light"},"finish_reason":"stop"}]}`
	p := plan(script{header: http.Header{"Content-Type": {"application/json"}}, parts: []part{{data: document}}})
	p.Requests = 2
	p.Prepare = func(seq uint64, r *http.Request) {
		if seq == 1 {
			r.Header.Set("Content-Type", "application/octet-stream") // whether a stream is asked is then not known
		}
	}
	_, results := simulate(t, p)
	if results[0].Class != analysis.Invalid || results[1].Class != analysis.OK {
		t.Errorf("classes %v and %v, want invalid and ok", results[0].Class, results[1].Class)
	}
}
