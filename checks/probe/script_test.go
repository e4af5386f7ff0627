package probe_test

import (
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/serin-go/serin/checks"
	"github.com/serin-go/serin/checks/probe"
)

// message is a message of a request.
type message struct {
	Role    string `json:"role"`
	Content string `json:"content"`
	Calls   []any  `json:"tool_calls"`
}

// talker is a model that answers by what was said: reply gets the messages of a request.
func talker(t *testing.T, reply func(messages []message) (content, tool, arguments string)) *http.Client {
	return in(func(w http.ResponseWriter, r *http.Request) {
		var body struct{ Messages []message }
		if err := json.NewDecoder(r.Body).Decode(&body); err != nil {
			t.Error(err)
		}
		content, tool, arguments := reply(body.Messages)
		m, finish := map[string]any{"role": "assistant", "content": content}, "stop"
		if tool != "" {
			finish = "tool_calls"
			m["tool_calls"] = []any{map[string]any{"id": "call_7", "type": "function", "function": map[string]any{"name": tool, "arguments": arguments}}}
		}
		w.Header().Set("Content-Type", "application/json")
		json.NewEncoder(w).Encode(map[string]any{"id": "c", "object": "chat.completion", "model": "chat",
			"choices": []any{map[string]any{"index": 0, "finish_reason": finish, "message": m}},
			"usage":   map[string]int{"prompt_tokens": 9, "completion_tokens": len(strings.Fields(content)), "total_tokens": 9 + len(strings.Fields(content))}})
	})
}

func scripted(c *http.Client) probe.Endpoint {
	return probe.Endpoint{URL: "http://gateway.example.com", Model: "chat", Client: c}
}

// TestScript: the model remembers what was said, calls a tool, uses its result, and answers in
// JSON.
func TestScript(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		shop := talker(t, func(m []message) (string, string, string) {
			last := m[len(m)-1]
			switch {
			case last.Role == "tool":
				return "Your order " + last.Content + ".", "", ""
			case strings.Contains(last.Content, "order"):
				return "", "find_order", `{"number": 17}`
			case strings.Contains(last.Content, "JSON"):
				return `{"name": "Ana", "messages": ` + fmt.Sprint(len(m)) + `}`, "", ""
			case strings.Contains(last.Content, "my name"):
				for _, old := range m {
					if strings.Contains(old.Content, "I am Ana") {
						return "You are Ana.", "", ""
					}
				}
				return "I do not know.", "", ""
			}
			return "Hello.", "", ""
		})
		whole := probe.ScriptOptions{System: "You are a shop.", Tools: map[string]map[string]string{"find_order": {"number": "integer"}}, Turns: []probe.Turn{
			{Say: "I am Ana.", Contains: []string{"hello"}, MaxOutput: 3},
			{Say: "What is my name?", Contains: []string{"Ana"}, Lacks: []string{"do not know"}, Matches: `^You are \w+\.$`},
			{Say: "Where is my order 17?", Tool: "find_order", Result: "arrives on Monday", Contains: []string{"monday"}},
			{Say: "Say that in JSON.", Members: map[string]string{"name": "string", "messages": "integer"}},
		}}
		r := probe.Script(scripted(shop), whole).Check(t.Context())
		if r.Status != checks.Pass || r.Evidence["turns"] != "4" {
			t.Errorf("%v: %s (%v) %v", r.Status, r.Summary, r.Err, r.Evidence)
		}
		for name, tt := range map[string]struct {
			turn probe.Turn
			part string
		}{
			"a text is missing":      {probe.Turn{Say: "Hi.", Contains: []string{"Hello", "Ana"}}, `does not have "Ana"`},
			"a text is there":        {probe.Turn{Say: "Hi.", Lacks: []string{"HELLO"}}, `has "HELLO"`},
			"no match":               {probe.Turn{Say: "Hi.", Matches: `^\d+$`}, `does not match ^\d+$`},
			"no JSON":                {probe.Turn{Say: "Hi.", Members: map[string]string{"a": "string"}}, "schema"},
			"another JSON":           {probe.Turn{Say: "JSON", Members: map[string]string{"a": "string"}}, "schema"},
			"a tool is not called":   {probe.Turn{Say: "Hi.", Tool: "find_order"}, "calls 0 tools"},
			"a tool is called":       {probe.Turn{Say: "My order?"}, `calls the tool "find_order"`},
			"another tool is called": {probe.Turn{Say: "My order?", Tool: "cancel_order"}, "want a call of cancel_order"},
			"too long":               {probe.Turn{Say: "Hi.", MaxOutput: 0, Contains: []string{"x"}}, `does not have "x"`},
		} {
			o := whole
			o.Tools = map[string]map[string]string{"find_order": {"number": "integer"}, "cancel_order": {"number": "integer"}}
			o.Turns = []probe.Turn{{Say: "I am Ana."}, tt.turn}
			r := probe.Script(scripted(shop), o).Check(t.Context())
			if r.Status != checks.Fail || !strings.Contains(r.Summary, tt.part) || !strings.HasPrefix(r.Summary, "turn 2, ") || r.Evidence["turns"] != "1" {
				t.Errorf("%s: %v: %s %v", name, r.Status, r.Summary, r.Evidence)
			}
		}
	})
}

// TestScriptOfSickModels: what is no answer is not one for a script either.
func TestScriptOfSickModels(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		hello := probe.ScriptOptions{Turns: []probe.Turn{{Say: "Hi.", MaxTime: time.Second, MaxOutput: 1}}}
		for name, tt := range map[string]struct {
			client *http.Client
			want   checks.Status
		}{
			"empty":        {talker(t, func([]message) (string, string, string) { return "", "", "" }), checks.Fail},
			"too long":     {talker(t, func([]message) (string, string, string) { return "Hello to you.", "", "" }), checks.Fail},
			"slow":         {talker(t, func([]message) (string, string, string) { time.Sleep(1001 * time.Millisecond); return "Hello.", "", "" }), checks.Fail},
			"just in time": {talker(t, func([]message) (string, string, string) { time.Sleep(time.Second); return "Hello.", "", "" }), checks.Pass},
			"a page":       {in(func(w http.ResponseWriter, _ *http.Request) { fmt.Fprint(w, "<html>") }), checks.Fail},
			"busy":         {in(func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(http.StatusTooManyRequests) }), checks.Unknown},
			"slow before a slow turn": {talker(t, func(m []message) (string, string, string) {
				if len(m) == 1 {
					time.Sleep(11 * time.Second)
				}
				return "Hello.", "", ""
			}), checks.Fail},
			"hangs": {in(func(_ http.ResponseWriter, r *http.Request) { <-r.Context().Done() }), checks.Fail},
		} {
			o := hello
			if name == "slow before a slow turn" {
				o.Turns = []probe.Turn{{Say: "Hi."}, {Say: "And now?", MaxTime: time.Minute}}
			}
			if r := probe.Script(scripted(tt.client), o).Check(t.Context()); r.Status != tt.want {
				t.Errorf("%s: %v: %s", name, r.Status, r.Summary)
			}
		}
	})
}

func TestScriptOptionsThatAreRefused(t *testing.T) {
	for field, o := range map[string]probe.ScriptOptions{
		"ScriptOptions.Turns":                    {},
		"ScriptOptions.MaxTokens":                {Turns: []probe.Turn{{Say: "Hi."}}, MaxTokens: -1},
		"ScriptOptions.Turns[0].Say":             {Turns: []probe.Turn{{}}},
		"ScriptOptions.Turns[0].Matches":         {Turns: []probe.Turn{{Say: "Hi.", Matches: "("}}},
		"ScriptOptions.Turns[0].Tool":            {Turns: []probe.Turn{{Say: "Hi.", Tool: "x"}}},
		"ScriptOptions.Turns[0].Result ":         {Turns: []probe.Turn{{Say: "Hi.", Tool: "x"}, {Say: "And now?"}}, Tools: map[string]map[string]string{"x": {"n": "string"}}},
		"ScriptOptions.Turns[0].Result":          {Turns: []probe.Turn{{Say: "Hi.", Result: "x"}}},
		"ScriptOptions.Turns[0].Contains":        {Turns: []probe.Turn{{Say: "Hi.", Lacks: []string{""}}}},
		"ScriptOptions.Turns[0].MaxTime":         {Turns: []probe.Turn{{Say: "Hi.", MaxTime: -1}}},
		"ScriptOptions.Turns[0].MaxOutput":       {Turns: []probe.Turn{{Say: "Hi.", MaxOutput: -1}}},
		`ScriptOptions.Turns[0].Members["a"]`:    {Turns: []probe.Turn{{Say: "Hi.", Members: map[string]string{"a": "text"}}}},
		`ScriptOptions.Tools["find_order"]["n"]`: {Turns: []probe.Turn{{Say: "Hi."}}, Tools: map[string]map[string]string{"find_order": {"n": "int"}}},
	} {
		var invalid *checks.InvalidError
		if r := probe.Script(scripted(nil), o).Check(t.Context()); r.Status != checks.Unknown || !errors.As(r.Err, &invalid) || invalid.Field != strings.TrimSpace(field) {
			t.Errorf("%s: %v, %v", field, r.Status, r.Err)
		}
	}
}
