package loadtest

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"
	"unicode"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"

	"github.com/serin-go/serin/checks"
	"github.com/serin-go/serin/checks/analysis"
	"github.com/serin-go/serin/loadtest/pace"
	"github.com/serin-go/serin/loadtest/workload"
)

// TestInterfaces asks each interface of the OpenAI API and looks at what was
// sent and what was made of the answer.
func TestInterfaces(t *testing.T) {
	document := http.Header{"Content-Type": {"application/json"}}
	text := func(s string) string {
		return event(`{"object":"text_completion","choices":[{"index":0,"text":"` + s + `","finish_reason":null}]}`)
	}
	delta := func(s string) string {
		return "event: response.output_text.delta\n" + event(`{"type":"response.output_text.delta","delta":"`+s+`"}`)
	}
	tests := []struct {
		api        API
		url, body  string
		answer     script
		chunks     int
		said       string
		in, out    int
		tokensFrom TokenSource
	}{
		{"", "http://model.test/v1/chat/completions", `{"model":"m","messages":[{"role":"user","content":"What?"}],"max_tokens":9,"stream":true,"stream_options":{"include_usage":true}}`,
			script{parts: []part{{data: role}, {at: 10 * ms, data: content("li")}, {at: 20 * ms, data: content("ght")}, {at: 30 * ms, data: finish + usage + done}}}, 2, "light", 9, 6, FromUsage},
		{Completions, "http://model.test/v1/completions", `{"model":"m","prompt":"What?","max_tokens":9,"stream":true,"stream_options":{"include_usage":true}}`,
			script{parts: []part{{at: 10 * ms, data: text("li")}, {at: 20 * ms, data: text("ght")}, {at: 30 * ms, data: done}}}, 2, "light", 0, 2, FromChunks},
		{Responses, "http://model.test/v1/responses", `{"model":"m","input":[{"role":"user","content":"What?"}],"max_output_tokens":9,"stream":true}`,
			script{parts: []part{{at: 10 * ms, data: delta("li")}, {at: 20 * ms, data: delta("ght")},
				{at: 30 * ms, data: event(`{"type":"response.completed","response":{"object":"response","status":"completed","usage":{"input_tokens":7,"output_tokens":5}}}`)}}}, 2, "light", 7, 5, FromUsage},
		{Embeddings, "http://model.test/v1/embeddings", `{"model":"m","input":"What?"}`,
			script{header: document, parts: []part{{at: 30 * ms, data: `{"object":"list","data":[{"object":"embedding","index":0,"embedding":[` + strings.Repeat("0.125,", 40_000) + `1]}],"model":"m","usage":{"prompt_tokens":3,"total_tokens":3}}`}}}, 0, "", 3, 0, ""},
	}
	for _, test := range tests {
		p := plan(roundTripFunc(func(r *http.Request) (*http.Response, error) {
			body, _ := io.ReadAll(r.Body)
			if r.URL.String() != test.url || string(body) != test.body || r.Header.Get("Content-Type") != "application/json" {
				t.Errorf("%s: %s %s", test.api, r.URL, body)
			}
			return test.answer.RoundTrip(r)
		}))
		p.API, p.MaxTokens, p.Prompts, p.Record = test.api, 9, []workload.Prompt{workload.Ask("What?")}, true
		report, results := simulate(t, p)
		r := results[0]
		if r.Class != analysis.OK || r.Fault != faultNone || r.Chunks != test.chunks || r.InputTokens != test.in || r.OutputTokens != test.out || r.TokenSource != test.tokensFrom || r.Latency != 30*ms {
			t.Errorf("%s: %+v", test.api, r)
		}
		if test.chunks > 0 && (r.TTFT != 10*ms || r.E2E != 20*ms || r.Recording.Text() != test.said) {
			t.Errorf("%s: TTFT %v, E2E %v, said %q", test.api, r.TTFT, r.E2E, r.Recording.Text())
		}
		if want := map[TokenSource]int{test.tokensFrom: 1}; test.tokensFrom != "" && !cmp.Equal(report.TokenSources, want) {
			t.Errorf("%s: sources %v", test.api, report.TokenSources)
		}
	}
	for name, s := range map[string]script{
		"no embedding": {header: document, parts: []part{{data: `{"object":"list","data":[]}`}}},
		"cut":          {header: document, parts: []part{{data: `{"object":"list","data":[{"embedding":[0.1`}}},
		"HTML":         {parts: []part{{data: "<p>embedding</p>"}}},
	} {
		p := plan(s)
		p.API = Embeddings
		if _, results := simulate(t, p); results[0].Class == analysis.OK {
			t.Errorf("%s is a good answer", name)
		}
	}
	p := plan(nil)
	p.API = "telepathy"
	if err := p.Validate(); err == nil || !strings.Contains(err.Error(), "API is") {
		t.Errorf("an unknown interface: %v", err)
	}
}

// TestTokenizer counts the tokens of a server that does not: those of the
// answer as a whole, and of each chunk for the ITL.
func TestTokenizer(t *testing.T) {
	p := plan(script{parts: []part{{at: 100 * ms, data: content("Hel")}, {at: 130 * ms, data: content("lo")}, {at: 190 * ms, data: content(" world, this")}, {at: 191 * ms, data: goodTail}}})
	p.Tokenizer = words
	report, results := simulate(t, p)
	r := results[0]
	// "Hello world, this" has 4; the last chunk has 3 of them, 20 ms each.
	if r.TokenSource != FromTokenizer || r.OutputTokens != 4 || r.InputTokens != 4 || r.TPOT != 30*ms || r.NTPOT != 47500*time.Microsecond {
		t.Errorf("%+v", r)
	}
	if report.ITL.Count() != 4 || report.ITL.Quantile(0) != 20*ms || report.ITL.Quantile(1) != 30*ms || report.ICL.Count() != 2 || report.ICL.Quantile(1) != 60*ms || r.Recording != nil {
		t.Errorf("ITL: %d from %v to %v, ICL: %d to %v", report.ITL.Count(), report.ITL.Quantile(0), report.ITL.Quantile(1), report.ICL.Count(), report.ICL.Quantile(1))
	}
	if text := report.String(); !strings.Contains(text, "by the tokenizer") || !strings.Contains(text, "\nICL ") {
		t.Errorf("%s", text)
	}
	p.Transport = script{parts: spoken} // one that reports usage is believed
	if report, results = simulate(t, p); results[0].TokenSource != FromUsage || results[0].OutputTokens != 6 || report.ITL.Count() != 5 {
		t.Errorf("%+v, %d ITL", results[0], report.ITL.Count())
	}
}

// TestTokenizerOfPrompts has prompts of exactly the lengths that were drawn, by the
// tokenizer of the plan.
func TestTokenizerOfPrompts(t *testing.T) {
	letters := func(text string) int { // four at a time, so that many words have two tokens
		n := 0
		for _, word := range strings.Fields(text) {
			n += (len(word) + 3) / 4
		}
		return n
	}
	p := plan(script{parts: []part{{data: content("a") + goodTail}}})
	p.Prompts, p.Tokenizer, p.Requests, p.Pacer = nil, letters, 50, pace.Constant(100)
	p.Workload = workload.Synthetic{Input: workload.Length{Mean: 60}, Prefix: 30, Seed: 4}
	_, results := simulate(t, p)
	for _, r := range results {
		if r.InputTokens != 60 {
			t.Errorf("request %d has %d tokens, want 60", r.Seq, r.InputTokens)
		}
	}
	p.Tokenizer = func(text string) int { return 7 * len(text) }
	var invalid *checks.InvalidError
	if _, err := Run(t.Context(), p); !errors.As(err, &invalid) || invalid.Field != "Plan.Tokenizer" {
		t.Errorf("a tokenizer without a word of one token: %v", err)
	}
}

// TestTargetPassword sends the password of a target, and shows it nowhere.
func TestTargetPassword(t *testing.T) {
	for _, tt := range []struct {
		target, key string
		header      http.Header
		want        string
	}{
		{"http://us%40er:pa%3A55w0rd@model.test/v1", "", nil, "Basic dXNAZXI6cGE6NTV3MHJk"},
		{"http://user@model.test", "", nil, "Basic dXNlcjo="},
		{"http://user:passw0rd@model.test", "key", nil, "Bearer key"},
		{"http://user:passw0rd@model.test", "", http.Header{"authorization": {"Custom x"}}, "Custom x"},
		{"http://model.test", "", nil, ""},
	} {
		p := plan(roundTripFunc(func(r *http.Request) (*http.Response, error) {
			if got := r.Header.Get("Authorization"); got != tt.want {
				t.Errorf("%s: %q, want %q", tt.target, got, tt.want)
			}
			return script{parts: spoken}.RoundTrip(r)
		}))
		p.Target, p.APIKey, p.Header = tt.target, Secret(tt.key), tt.header
		if report, _ := simulate(t, p); report.Target != "http://model.test/v1/chat/completions" {
			t.Error(report.Target)
		}
	}
	for _, target := range []string{"user:passw0rd@model.test", "ftp://user:passw0rd@model.test", "http://user:passw0rd@%zz"} {
		p := plan(nil)
		p.Target = target
		if err := p.Validate(); err == nil || strings.Contains(err.Error(), "passw0rd") {
			t.Errorf("%s: %v", target, err)
		}
	}
}

// TestSecretsStayHidden has a server that repeats what it was sent.
func TestSecretsStayHidden(t *testing.T) {
	p := plan(roundTripFunc(func(r *http.Request) (*http.Response, error) {
		if r.Header.Get("X-Tenant-Key") == "" {
			t.Error("the header is not sent")
		}
		if r.URL.Query().Get("sig") == "" || r.Header.Get("Authorization") != "Bearer sk-verysecretkey" {
			t.Errorf("%s %v", r.URL, r.Header)
		}
		return script{status: 401, parts: []part{{data: "bad key sk-verysecretkey of tenant-secret-1 at " + r.URL.RawQuery}}}.RoundTrip(r)
	}))
	p.Target, p.APIKey = "http://user:passw0rd@model.test/v1?sig=querysecret", "sk-verysecretkey"
	p.Header = http.Header{"x-tenant-key": {"tenant-secret-1"}}
	var all []Result
	p.OnResult = func(r Result) { all = append(all, r) }
	synctest.Test(t, func(t *testing.T) {
		report, err := Run(t.Context(), p)
		if err != nil {
			t.Fatal(err)
		}
		var page strings.Builder
		data, err1 := report.MarshalJSON()
		text := write(t, JSONLines, all...) + write(t, CSV, all...) + report.String() + string(data)
		if err := errors.Join(err1, report.WriteHTML(&page)); err != nil {
			t.Fatal(err)
		}
		text += page.String()
		for _, target := range []string{p.Target, "http://u:passw0rd@%zz"} {
			var file strings.Builder
			w, err := NewWriter(&file, CSV, "a", target)
			if err != nil {
				t.Fatal(err)
			}
			w.Write(all[0])
			if err := w.Flush(); err != nil {
				t.Fatal(err)
			}
			text += file.String()
		}
		for _, secret := range []string{"verysecret", "tenant-secret", "passw0rd", "querysecret"} {
			if i := strings.Index(text, secret); i >= 0 {
				t.Errorf("%s is written: ...%s...", secret, text[max(0, i-60):i+20])
			}
		}
		if report.Target != "http://model.test/v1/chat/completions" || !strings.Contains(all[0].Err.Error(), "bad key [secret] of [secret]") {
			t.Errorf("%s, %v", report.Target, all[0].Err)
		}
	})
	key := Secret("abcdefgh")
	for _, verb := range []string{"%v", "%s", "%q", "%#v", "%+v", "%x", "%d", "%T%v"} {
		if text := fmt.Sprintf(verb, key); strings.Contains(text, "abc") || strings.Contains(text, "6162") {
			t.Errorf("%s shows %s", verb, text)
		}
	}
	if data, err := json.Marshal(struct{ Key, Empty Secret }{Key: key}); err != nil || string(data) != `{"Key":"[secret]","Empty":""}` {
		t.Errorf("%s, %v", data, err)
	}
}

func TestReadTargets(t *testing.T) {
	const httpFile = `# two of them
GET http://a.test/x?q=1
Accept: text/plain
accept: text/html

POST https://b.test/
Content-Type: application/json
@body.json
DELETE http://c.test/7
`
	const jsonFile = `{"method":"GET","url":"http://a.test/x?q=1","header":{"accept":["text/plain","text/html"]}}

{"method":"POST","url":"https://b.test/","header":{"Content-Type":["application/json"]},"body":"eyJhIjoxfQ=="}
{"method":"DELETE","url":"http://c.test/7"}`
	open := func(name string) ([]byte, error) {
		if name != "body.json" {
			t.Errorf("opens %q", name)
		}
		return []byte(`{"a":1}`), nil
	}
	want := []workload.Request{
		{Method: "GET", Path: "http://a.test/x?q=1", Header: http.Header{"Accept": {"text/plain", "text/html"}}, Plain: true},
		{Method: "POST", Path: "https://b.test/", Header: http.Header{"Content-Type": {"application/json"}}, Body: []byte(`{"a":1}`), Plain: true},
		{Method: "DELETE", Path: "http://c.test/7", Plain: true},
	}
	for format, text := range map[workload.TargetFormat]string{workload.HTTPTargets: httpFile, workload.JSONTargets: jsonFile} {
		got, err := workload.ReadTargets(strings.NewReader(text), format, open)
		if err != nil {
			t.Fatal(format, err)
		}
		var all []workload.Request
		for i := range got.Len() {
			all = append(all, got.Request(uint64(i)))
		}
		if diff := cmp.Diff(want, all, cmpopts.EquateEmpty()); diff != "" {
			t.Errorf("%s (-want +got):\n%s", format, diff)
		}
		var sent []string
		p := plan(roundTripFunc(func(r *http.Request) (*http.Response, error) {
			sent = append(sent, r.Method+" "+r.URL.String()+" "+r.Header.Get("Accept"))
			return script{parts: []part{{data: "fine"}}, header: http.Header{}}.RoundTrip(r)
		}))
		p.Target, p.Model, p.Prompts, p.Workload, p.Requests = "", "", nil, got, 4
		report, results := simulate(t, p)
		if diff := cmp.Diff([]string{"GET http://a.test/x?q=1 text/plain", "POST https://b.test/ ", "DELETE http://c.test/7 ", "GET http://a.test/x?q=1 text/plain"}, sent); diff != "" || report.Classes[analysis.OK] != 4 {
			t.Errorf("sent (-want +got):\n%s\n%v", diff, report)
		}
		if results[0].Method != "GET" || results[0].URL != "http://a.test/x" || !strings.Contains(write(t, CSV, results...), ",DELETE,http://c.test/7,") {
			t.Errorf("%+v", results[0])
		}
	}
}

// TestRequests sends prompts and bodies of a workload. A body without a path goes to the
// API of the plan, and its answer is judged as one to a prompt.
func TestRequests(t *testing.T) {
	var sent []string
	p := plan(roundTripFunc(func(r *http.Request) (*http.Response, error) {
		var body []byte
		if r.Body != nil {
			var err error
			if body, err = io.ReadAll(r.Body); err != nil {
				return nil, err
			}
		}
		sent = append(sent, r.Method+" "+r.URL.Path+" "+r.Header.Get("Content-Type")+" "+string(body))
		return script{parts: []part{{data: content("a")}, {data: event(`{"error":{"message":"out of memory","code":500}}`)}}}.RoundTrip(r)
	}))
	p.Prompts, p.Requests = nil, 3
	p.Workload = workload.Requests{
		{Prompt: workload.Ask("x"), MaxTokens: 5}, {Body: []byte(`{"model":"own","stream":true}`)}, {Body: []byte{}, Path: "/health", Method: "GET", Plain: true},
	}
	data, err := json.Marshal(p)
	if err == nil {
		err = json.Unmarshal(data, &p)
	}
	if err != nil {
		t.Fatal(err)
	}
	report, _ := simulate(t, p)
	want := []string{
		`POST /v1/chat/completions application/json {"model":"m","messages":[{"role":"user","content":"x"}],"max_tokens":5,"stream":true,"stream_options":{"include_usage":true}}`,
		`POST /v1/chat/completions application/json {"model":"own","stream":true}`, `GET /health  `,
	}
	if diff := cmp.Diff(want, sent); diff != "" {
		t.Errorf("sent (-want +got):\n%s", diff)
	}
	if report.Classes[analysis.OK] != 1 || report.Target != "http://model.test/v1/chat/completions" {
		t.Errorf("streams that end with an error: %v", report.Classes)
	}
	p.Model, p.Workload = "", workload.Requests{{Body: []byte("{}")}}
	if err := p.Validate(); err != nil {
		t.Errorf("bodies need no model: %v", err)
	}
	p.API, p.Workload = Completions, workload.Requests{{Prompt: workload.Prompt{Messages: []workload.Message{{Role: "user", Parts: json.RawMessage(`[{"type":"image_url"}]`)}}}}, {MaxTokens: -1, Body: []byte{}, Method: "G T"}}
	var fields []string
	for invalid := range checks.Invalid(p.Validate()) {
		fields = append(fields, invalid.Field)
	}
	slices.Sort(fields)
	if diff := cmp.Diff([]string{"Plan.Model", "Plan.Workload.Requests[0].Prompt.Messages[0]", "Plan.Workload.Requests[1].MaxTokens", "Plan.Workload.Requests[1].Method"}, fields); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
}

// words counts words and punctuation marks, as a tokenizer would.
func words(text string) int {
	n := 0
	for _, field := range strings.Fields(text) {
		letters := strings.TrimFunc(field, unicode.IsPunct)
		n += len(field) - len(letters)
		if letters != "" {
			n++
		}
	}
	return n
}
