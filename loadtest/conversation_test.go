package loadtest

import (
	"encoding/json"
	"io"
	"net/http"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/serin-go/serin/checks/analysis"
	"github.com/serin-go/serin/loadtest/workload"
)

// TestConversationsContinue plays conversations of three turns with answers of
// every form. Each turn must hold the text of the answers before.
func TestConversationsContinue(t *testing.T) {
	const document = `{"object":"chat.completion","choices":[{"index":0,"message":{"role":"assistant","content":"light"},"finish_reason":"stop"}]}`
	header := func(kind string) http.Header { return http.Header{"Content-Type": {kind}} }
	stream := role + content("li") + content("ght") + goodTail
	answers := map[string]struct {
		script script
		class  analysis.Class
	}{
		"events":                      {script{parts: []part{{data: stream}}}, analysis.OK},
		"CRLF":                        {script{parts: []part{{data: strings.ReplaceAll(stream, "\n", "\r\n")}}}, analysis.OK},
		"CR":                          {script{parts: []part{{data: strings.ReplaceAll(stream, "\n", "\r")}}}, analysis.OK},
		"no empty lines":              {script{parts: []part{{data: strings.ReplaceAll(stream, "\n\n", "\n")}}}, analysis.OK},
		"comments":                    {script{parts: []part{{data: ": ping\n\n" + stream}}}, analysis.OK},
		"byte order mark":             {script{parts: []part{{data: "\ufeff" + stream}}}, analysis.OK},
		"no media type":               {script{header: http.Header{}, parts: []part{{data: stream}}}, analysis.OK},
		"parts of content":            {script{parts: []part{{data: event(`{"choices":[{"index":0,"delta":{"content":[{"type":"text","text":"light"}]}}]}`) + goodTail}}}, analysis.OK},
		"document":                    {script{header: header("application/json"), parts: []part{{data: document}}}, analysis.Invalid},
		"other JSON type":             {script{header: header("Application/Vnd.X+JSON; charset=utf-8"), parts: []part{{data: document}}}, analysis.Invalid},
		"document in a stream's type": {script{parts: []part{{data: document}}}, analysis.Invalid},
	}
	for name, answer := range answers {
		t.Run(name, func(t *testing.T) {
			var asked []string
			p := conversations(answer.script)
			next := p.Transport
			p.Transport = roundTripFunc(func(r *http.Request) (*http.Response, error) {
				var body struct{ Messages []workload.Message }
				if err := json.NewDecoder(r.Body).Decode(&body); err != nil {
					t.Error(err)
				}
				said := ""
				for _, m := range body.Messages {
					said += m.Role[:1] + ":" + m.Content + " "
				}
				asked = append(asked, said)
				return next.RoundTrip(r)
			})
			report, _ := simulate(t, p)
			if want := []string{"u:a ", "u:a a:light u:b ", "u:a a:light u:b a:light u:c "}; !slices.Equal(asked, append(want, want...)) {
				t.Errorf("asked %q", asked)
			}
			if report.Classes[answer.class] != 6 || len(report.Notes) != 0 {
				t.Errorf("classes %v, notes %q", report.Classes, report.Notes)
			}
		})
	}
}

func conversations(s script) Plan {
	p := plan(s)
	p.Prompts, p.Pacer, p.Users, p.Requests = nil, nil, 1, 6
	p.Conversations = []workload.Conversation{{Turns: []string{"a", "b", "c"}}}
	return p
}

// TestConversationsThatEndAreNoted has answers that a user cannot reply to.
func TestConversationsThatEndAreNoted(t *testing.T) {
	call := event(`{"choices":[{"index":0,"delta":{"tool_calls":[{"index":0,"function":{"name":"f","arguments":"{}"}}]}}]}`) +
		event(`{"choices":[{"index":0,"delta":{},"finish_reason":"tool_calls"}]}`) + done
	for name, test := range map[string]struct {
		script script
		want   string
	}{
		"500":       {script{status: 500}, "6 conversations ended before their last turn: 6 after a failed answer, 0 after an answer without text"},
		"HTML":      {script{parts: []part{{data: "<html>"}}}, "6 conversations ended before their last turn: 6 after a failed answer, 0 after an answer without text"},
		"empty":     {script{parts: []part{{data: role + goodTail}}}, "6 conversations ended before their last turn: 6 after a failed answer, 0 after an answer without text"},
		"cut":       {script{parts: []part{{data: content("a")}, {err: io.ErrUnexpectedEOF}}}, "6 conversations ended before their last turn: 6 after a failed answer, 0 after an answer without text"},
		"tool call": {script{parts: []part{{data: call}}}, "6 conversations ended before their last turn: 0 after a failed answer, 6 after an answer without text"},
	} {
		t.Run(name, func(t *testing.T) {
			p := conversations(test.script)
			sum := NewReport(p, time.Date(2000, 1, 1, 0, 0, 0, 0, time.UTC))
			p.OnInterval = sum.Append
			report, _ := simulate(t, p)
			for _, r := range []*Report{report, sum} {
				if !slices.Equal(r.Notes, []string{test.want}) || !strings.Contains(r.String(), test.want) {
					t.Errorf("notes %q", r.Notes)
				}
			}
		})
	}
	p := conversations(script{parts: []part{{at: ms, data: call}}})
	p.Conversations = []workload.Conversation{{Turns: []string{"a"}}} // its last turn needs no text
	if report, _ := simulate(t, p); len(report.Notes) != 0 || report.Classes[analysis.OK] != 6 {
		t.Errorf("notes %q, classes %v", report.Notes, report.Classes)
	}
}
