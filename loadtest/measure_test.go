package loadtest

import (
	"errors"
	"io"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"

	"github.com/serin-go/serin/checks/analysis"
)

func TestDefinitions(t *testing.T) {
	report, results := simulate(t, plan(script{parts: spoken}))
	want := Result{
		Class: analysis.OK, Status: 200, TTFB: 0, TTFT: 200 * ms, TTFC: 200 * ms, E2E: 310 * ms, TPOT: 22 * ms, Latency: 315 * ms, LongestGap: 60 * ms, BytesOut: 123, BytesIn: 919,
		Chunks: 4, InputTokens: 9, CachedTokens: 4, OutputTokens: 6, ReasoningTokens: 2, TokenSource: FromUsage, NTPOT: 51_666_666, FinishReason: "stop",
	}
	if diff := cmp.Diff(want, results[0], cmpopts.IgnoreFields(Result{}, "Due", "Sent")); diff != "" {
		t.Errorf("result (-want +got):\n%s", diff)
	}
	if got := []time.Duration{report.ITL.Quantile(0), report.ITL.Quantile(0.5), report.ITL.Quantile(1)}; !cmp.Equal(got, []time.Duration{20 * ms, 30 * ms, 60 * ms}) || report.ITL.Count() != 3 {
		t.Errorf("%d gaps, min, median and max %v, want 3 with 20, 30 and 60 ms", report.ITL.Count(), got)
	}
	if !results[0].Sent.Equal(results[0].Due) || report.SchedLag.Quantile(1) != 0 {
		t.Errorf("sent %v, due %v", results[0].Sent, results[0].Due)
	}
}

func TestReasoningComesFirst(t *testing.T) {
	thought := event(`{"object":"chat.completion.chunk","choices":[{"index":0,"delta":{"reasoning_content":"hm"}}]}`)
	r := one(t, script{parts: []part{{at: 100 * ms, data: thought}, {at: 400 * ms, data: content("so")}, {at: 401 * ms, data: goodTail}}})
	if r.TTFT != 100*ms || r.TTFC != 400*ms {
		t.Errorf("TTFT %v and TTFC %v, want 100ms and 400ms", r.TTFT, r.TTFC)
	}
	report, _ := simulate(t, plan(script{parts: []part{{at: 100 * ms, data: thought}, {at: 101 * ms, data: goodTail}}}))
	if report.TTFT.Count() != 1 || report.TTFC.Count() != 0 {
		t.Errorf("%d TTFT and %d TTFC, want 1 and none", report.TTFT.Count(), report.TTFC.Count())
	}
}

func TestUsageMovesNoInstants(t *testing.T) {
	before, _ := simulate(t, plan(script{parts: []part{{at: 10 * ms, data: content("a")}, {at: 20 * ms, data: content("b")}, {at: 90 * ms, data: goodTail}}}))
	after, _ := simulate(t, plan(script{parts: []part{{at: 10 * ms, data: content("a")}, {at: 20 * ms, data: content("b")}, {at: 50 * ms, data: usage}, {at: 90 * ms, data: goodTail}}}))
	if before.E2E.Quantile(1) != 20*ms || after.E2E.Quantile(1) != 20*ms || after.ITL.Count() != 1 {
		t.Errorf("E2E %v and %v with %d gaps, want 20ms twice and 1", before.E2E.Quantile(1), after.E2E.Quantile(1), after.ITL.Count())
	}
	if before.OutputTokens != 2 || before.TokenSources[FromChunks] != 1 || after.OutputTokens != 6 || after.TokenSources[FromChunks] != 0 {
		t.Errorf("tokens %d (%d counted) and %d (%d counted), want 2 (1) and 6 (0)", before.OutputTokens, before.TokenSources[FromChunks], after.OutputTokens, after.TokenSources[FromChunks])
	}
	lying := strings.Replace(usage, `"cached_tokens":4`, `"cached_tokens":40`, 1)
	if r := one(t, script{parts: []part{{data: content("a") + lying + goodTail}}}); r.CachedTokens != 9 || r.InputTokens != 9 {
		t.Errorf("%d cached of %d input tokens, want them clamped to 9 of 9", r.CachedTokens, r.InputTokens)
	}
}

// TestFramingDoesNotMatter plays one stream in many disguises, each of which
// must give the same figures.
// TestImpossibleUsage has streams that report more tokens than they have bytes, and one whose
// tokens are hidden reasoning.
func TestImpossibleUsage(t *testing.T) {
	for _, tt := range []struct {
		usage   string
		tokens  int
		tpot    time.Duration
		source  TokenSource
		doubted bool
	}{
		{`{"prompt_tokens":9,"completion_tokens":1000000}`, 2, 10 * ms, FromChunks, true},
		{`{"prompt_tokens":9,"completion_tokens":1000000,"completion_tokens_details":{"reasoning_tokens":999990}}`, 1_000_000, 10, FromUsage, false},
		{`{"prompt_tokens":9,"completion_tokens":11}`, 11, ms, FromUsage, false},
	} {
		p := plan(script{parts: []part{{data: role}, {at: 10 * ms, data: content("a")}, {at: 20 * ms, data: content("b") + finish + event(`{"object":"chat.completion.chunk","choices":[],"usage":`+tt.usage+`}`) + done}}})
		report, results := simulate(t, p)
		if r := results[0]; r.OutputTokens != tt.tokens || r.TPOT != tt.tpot || r.TokenSource != tt.source || r.Class != analysis.OK {
			t.Errorf("%s: %+v", tt.usage, r)
		}
		if doubted := strings.Contains(report.String(), "\nNote      the usage of 1 answers is impossible"); doubted != tt.doubted {
			t.Errorf("%s: %v", tt.usage, report)
		}
	}
}

func TestFramingDoesNotMatter(t *testing.T) {
	_, want := simulate(t, plan(script{parts: spoken}))
	disguises := map[string]func(string) string{
		"CRLF":        func(s string) string { return strings.ReplaceAll(s, "\n", "\r\n") },
		"no space":    func(s string) string { return strings.ReplaceAll(s, "data: ", "data:") },
		"comments":    func(s string) string { return ": ping\n\n" + s },
		"event names": func(s string) string { return "event: chunk\nid: 7\n" + s },
		"two lines":   func(s string) string { return strings.Replace(s, `,"choices"`, ",\ndata: \"choices\"", 1) },
	}
	for name, disguise := range disguises {
		var parts []part
		for _, p := range spoken {
			if p.err == nil {
				p.data = disguise(p.data)
			}
			parts = append(parts, p)
		}
		_, got := simulate(t, plan(script{parts: parts}))
		if diff := cmp.Diff(want[0], got[0], cmpopts.IgnoreFields(Result{}, "Due", "Sent", "BytesIn")); diff != "" {
			t.Errorf("%s (-plain +disguised):\n%s", name, diff)
		}
	}
	var bytes []part // all bytes apart, the last of each event when it is due
	for _, p := range spoken {
		if p.err != nil {
			bytes = append(bytes, p)
		}
		for i := range len(p.data) {
			bytes = append(bytes, part{at: p.at, data: p.data[i : i+1]})
		}
	}
	_, got := simulate(t, plan(script{parts: bytes}))
	if diff := cmp.Diff(want[0], got[0], cmpopts.IgnoreFields(Result{}, "Due", "Sent")); diff != "" {
		t.Errorf("byte by byte (-whole +split):\n%s", diff)
	}
}

func TestCoalescedChunks(t *testing.T) {
	report, results := simulate(t, plan(script{parts: []part{{at: 10 * ms, data: content("a") + content("b")}, {at: 30 * ms, data: content("c") + goodTail}}}))
	if r := results[0]; r.Class != analysis.OK || r.Coalesced != 1 || r.Chunks != 3 {
		t.Errorf("class %v, %d of %d chunks coalesced, want ok and 1 of 3", r.Class, r.Coalesced, r.Chunks)
	}
	if report.ITL.Quantile(0) != 0 || report.ITL.Quantile(1) != 20*ms {
		t.Errorf("gaps from %v to %v, want 0 to 20ms", report.ITL.Quantile(0), report.ITL.Quantile(1))
	}
}

func TestClasses(t *testing.T) {
	broken := errors.New("connection reset")
	refusal := event(`{"object":"chat.completion.chunk","choices":[{"index":0,"delta":{"refusal":"No."}}]}`)
	tests := []struct {
		name    string
		s       script
		want    analysis.Class
		message string
	}{
		{"good", script{parts: []part{{data: role + content("a") + goodTail}}}, analysis.OK, ""},
		{"good, then reset", script{parts: []part{{data: content("a") + goodTail}, {err: broken}}}, analysis.OK, ""},
		{"cut", script{parts: []part{{data: role + content("a")}, {err: broken}}}, analysis.Truncated, "broken off (status 200): connection reset"},
		{"no terminator", script{parts: []part{{data: role + content("a")}}}, analysis.Truncated, "no finish reason"},
		{"error inside", script{parts: []part{{data: content("a") + event(`{"error":{"message":"out of memory","code":"oom"}}`)}}}, analysis.Error, "error in the answer (status 200, code oom)"},
		{"empty", script{parts: []part{{data: role + goodTail}}}, analysis.Empty, "no tokens"},
		{"refusal", script{parts: []part{{data: role + refusal + goodTail}}}, analysis.Refused, ""},
		{"filter", script{parts: []part{{data: content("a") + strings.Replace(finish, "stop", "content_filter", 1) + done}}}, analysis.Refused, ""},
		{"500", script{status: 500, header: http.Header{"Content-Type": {"application/json"}}, parts: []part{{data: `{"error":{"message":"boom"}}`}}}, analysis.Error, `status 500: {"error":{"message":"boom"}}`},
		{"502 in HTML", script{status: 502, header: http.Header{"Content-Type": {"text/html"}}, parts: []part{{data: "<h1>bad gateway</h1>"}}}, analysis.Error, "status 502: <h1>bad"},
		{"429", script{status: 429, parts: []part{{data: "slow down"}}}, analysis.Limited, "status 429: slow down"},
		{"404", script{status: 404, parts: []part{{data: "no such model"}}}, analysis.Rejected, "status 404"},
		{"redirect", script{status: 307, header: http.Header{"Location": {"http://u:pw@elsewhere.test/v1?key=1"}}}, analysis.Error, "status 307 to http://elsewhere.test/v1, which is not followed: no text"},
		{"redirect nowhere", script{status: 302, header: http.Header{"Location": {"http://[pw"}}, parts: []part{{data: "moved"}}}, analysis.Error, "status 302 to an address that cannot be parsed, which is not followed: moved"},
		{"error document", script{header: http.Header{"Content-Type": {"application/json"}}, parts: []part{{data: `{"error":{"message":"no such model","code":404}}`}}}, analysis.Error, `error in the answer (status 200, code 404): {"error":{"message":"no such model"`},
		{"error event", script{parts: []part{{data: event(`{"error":{"message":"no such model"}}`)}}}, analysis.Error, `error in the answer (status 200): data: {"error":{"message":"no such model"`},
		{"not streamed", script{header: http.Header{"Content-Type": {"application/json"}}, parts: []part{{at: 40 * ms, data: `{"object":"chat.completion","choices":[{"index":0,"message":{"role":"assistant","content":"a b"},"finish_reason":"stop"}],"usage":{"prompt_tokens":1,"completion_tokens":2}}`}}}, analysis.Invalid, "stream asked, document came"},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) { wantClass(t, one(t, test.s), test.want, test.message) })
	}
	t.Run("an answer is not an error text", func(t *testing.T) {
		if r := one(t, tests[4].s); strings.Contains(r.Err.Error(), "out of memory") || tests[4].name != "error inside" {
			t.Errorf("%v, want no byte of an answer with tokens", r.Err)
		}
	})
	t.Run("no response", func(t *testing.T) {
		report, results := simulate(t, plan(roundTripFunc(func(*http.Request) (*http.Response, error) { return nil, broken })))
		wantClass(t, results[0], analysis.Error, "no response: connection reset")
		if report.Latency.Count() != 0 || report.Classes[analysis.Error] != 1 || report.FirstErrors[analysis.Error] == nil {
			t.Errorf("report of a dead server: %v", report)
		}
	})
	t.Run("not streamed has no instants", func(t *testing.T) {
		report, results := simulate(t, plan(tests[len(tests)-1].s))
		if report.TTFT.Count() != 0 || report.Latency.Quantile(1) != 40*ms || results[0].OutputTokens != 2 {
			t.Errorf("TTFT of %d, latency %v, %d tokens, want none, 40ms and 2", report.TTFT.Count(), report.Latency.Quantile(1), results[0].OutputTokens)
		}
	})
}

func TestTimeouts(t *testing.T) {
	drip := []part{{data: role}}
	for at := 100 * ms; at < 10*time.Second; at += 100 * ms {
		drip = append(drip, part{at: at, data: content("a")})
	}
	halt := []part{{at: 50 * ms, data: content("a")}, {at: 90 * ms, data: content("b")}, {at: time.Minute, data: goodTail}}
	tests := []struct {
		name    string
		parts   []part
		change  func(*Plan)
		message string
		latency time.Duration
		chunks  int
	}{
		{"total", drip, func(p *Plan) { p.Timeout, p.FirstToken, p.Idle = 350*ms, 200*ms, 150*ms }, "350ms passed without the end of the answer", 350 * ms, 3},
		{"first token", []part{{data: role}, {at: time.Minute, data: content("a") + goodTail}}, func(p *Plan) { p.FirstToken = 200 * ms }, "200ms passed without the first token", 200 * ms, 0},
		{"idle", halt, func(p *Plan) { p.FirstToken, p.Idle = 60*ms, 150*ms }, "150ms passed without the next part", 240 * ms, 2},
		{"default", []part{{at: time.Hour, err: io.EOF}}, func(p *Plan) {}, "2m0s passed", 2 * time.Minute, 0},
	}
	for _, test := range tests {
		p := plan(script{parts: test.parts})
		test.change(&p)
		report, results := simulate(t, p)
		wantClass(t, results[0], analysis.Timeout, test.message)
		if r := results[0]; r.Latency != test.latency || r.Chunks != test.chunks {
			t.Errorf("%s: latency %v with %d chunks, want %v with %d", test.name, r.Latency, r.Chunks, test.latency, test.chunks)
		}
		if report.Latency.Quantile(1) != test.latency || report.E2E.Count() != 0 {
			t.Errorf("%s: latency %v, %d E2E, want %v and none", test.name, report.Latency.Quantile(1), report.E2E.Count(), test.latency)
		}
	}
}
