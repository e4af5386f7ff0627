package loadtest

import (
	"bytes"
	"encoding/json"
	"fmt"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/serin-go/serin/checks/analysis"
	"github.com/serin-go/serin/loadtest/pace"
)

// TestErrorsThatAnswersState keeps type and code of errors within streams and documents.
func TestErrorsThatAnswersState(t *testing.T) {
	stream := func(events ...string) script { return script{parts: []part{{data: strings.Join(events, "")}}} }
	for name, test := range map[string]struct {
		script script
		want   ErrorKind
		class  analysis.Class
	}{
		"OpenAI":                {stream(content("a"), event(`{"error":{"message":"x","type":"server_error","param":null,"code":"model_overloaded"}}`), done), ErrorKind{"server_error", "model_overloaded"}, analysis.Error},
		"vLLM, with a number":   {stream(content("a"), event(`{"error":{"object":"error","message":"x","type":"BadRequestError","param":null,"code":400}}`), done), ErrorKind{"BadRequestError", "400"}, analysis.Error},
		"Anthropic":             {stream("event: error\n" + event(`{"type":"error","error":{"type":"overloaded_error","message":"Overloaded"}}`)), ErrorKind{Type: "overloaded_error"}, analysis.Error},
		"a limit":               {stream(content("a"), event(`{"error":{"message":"x","type":"tokens","code":"rate_limit_exceeded"}}`), done), ErrorKind{"tokens", "rate_limit_exceeded"}, analysis.Limited},
		"a text":                {stream(content("a"), event(`{"error":"out of memory"}`), done), ErrorKind{}, analysis.Error},
		"a type that is a text": {stream(content("a"), event(`{"error":{"message":"x","type":"key sk-123 is bad","code":"c1"}}`), done), ErrorKind{Code: "c1"}, analysis.Error},
		"two errors":            {stream(event(`{"error":{"type":"first"}}`), event(`{"error":{"type":"second","code":"2"}}`)), ErrorKind{Type: "first"}, analysis.Error},
		"a status":              {script{status: 503, header: http.Header{"Content-Type": {"application/json"}}, parts: []part{{data: `{"error":{"message":"x","type":"overloaded","code":"busy"}}`}}}, ErrorKind{"overloaded", "busy"}, analysis.Error},
		"no error":              {stream(content("a"), goodTail), ErrorKind{}, analysis.OK},
	} {
		r := one(t, test.script)
		if r.Error != test.want || r.Class != test.class {
			t.Errorf("%s: class %v with %+v, want %v with %+v (%v)", name, r.Class, r.Error, test.class, test.want, r.Err)
		}
		var back Result
		if err := ReadResults(strings.NewReader(write(t, JSONLines, r)), func(r Result) error { back = r; return nil }); err != nil || back.Error != test.want {
			t.Errorf("%s: read back %+v, %v", name, back.Error, err)
		}
	}
}

// TestReportCountsErrors has errors of three kinds in text, JSON, HTML and merged reports.
func TestReportCountsErrors(t *testing.T) {
	kinds := []string{`"type":"overloaded_error"`, `"type":"overloaded_error"`, `"type":"server_error","code":"7"`, `"code":"<b>"`, `"code":"c-3"`}
	n := 0
	p := plan(roundTripFunc(func(r *http.Request) (*http.Response, error) {
		n++
		return script{parts: []part{{data: content("a") + event(`{"error":{`+kinds[n-1]+`}}`) + done}}}.RoundTrip(r)
	}))
	p.Pacer, p.Requests = pace.Constant(1), len(kinds)
	report, _ := simulate(t, p)
	want := map[ErrorKind]int{{Type: "overloaded_error"}: 2, {Type: "server_error", Code: "7"}: 1, {Code: "c-3"}: 1}
	if diff := cmp.Diff(want, report.Errors); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
	if text := report.String(); !strings.Contains(text, "\nErrors    2 overloaded_error; 1 code c-3; 1 server_error, code 7;\n") {
		t.Error(text)
	}
	var page bytes.Buffer
	if err := report.WriteHTML(&page); err != nil || !strings.Contains(page.String(), "<td>server_error, code 7</td><td>1</td>") {
		t.Errorf("%v\n%s", err, page.String())
	}
	data, err := json.Marshal(report)
	if err != nil || !strings.Contains(string(data), `"errors":[{"type":"overloaded_error","count":2}`) {
		t.Errorf("%v\n%s", err, data)
	}
	var back Report
	if err := json.Unmarshal(data, &back); err != nil || !cmp.Equal(want, back.Errors) {
		t.Errorf("read back: %v, %v", err, back.Errors)
	}
	back.Merge(report)
	if got := back.Errors[ErrorKind{Type: "overloaded_error"}]; got != 4 {
		t.Errorf("merged: %d, want 4", got)
	}
	if err := json.Unmarshal(bytes.Replace(data, []byte(`"count":2`), []byte(`"count":-2`), 1), &back); err == nil {
		t.Error("a negative count is read")
	}
}

// TestErrorKindsAreBounded counts a kind for each of many requests.
func TestErrorKindsAreBounded(t *testing.T) {
	r, other := newReport(Plan{}, ""), newReport(Plan{}, "")
	const n = 100_000
	at := time.Unix(0, 0)
	for i := range n {
		r.add(Result{Due: at, Sent: at, Class: analysis.Error, Error: ErrorKind{Code: fmt.Sprint("request-", i)}}, chunks{})
		other.add(Result{Due: at, Sent: at, Class: analysis.Error, Error: ErrorKind{Code: fmt.Sprint("answer-", i)}}, chunks{})
	}
	r.Merge(other)
	sum := 0
	for _, k := range r.Errors {
		sum += k
	}
	if len(r.Errors) != maxErrorKinds+1 || sum != 2*n || r.Classes[analysis.Error] != 2*n {
		t.Errorf("%d kinds of %d errors, %d in the class", len(r.Errors), sum, r.Classes[analysis.Error])
	}
	if text := r.String(); strings.Count(text, "request-") != shownErrors-1 || !strings.Contains(text, "199,950 (other kinds);") || !strings.Contains(text, " and 46 more kinds\n") {
		t.Error(text)
	}
}
