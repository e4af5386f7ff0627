package workload

import (
	"encoding/json"
	"errors"
	"os"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/serin-go/serin/checks"
)

func TestReadPrompts(t *testing.T) {
	got, err := ReadPrompts(strings.NewReader(`{"prompt": "one"}

{"messages": [{"role": "system", "content": "Be brief."}, {"role": "user", "content": "two"}], "id": 7}
{"question_id": 81, "category": "writing", "turns": ["three", "and then"]}`))
	want := []Prompt{Ask("one"), {Messages: []Message{{Role: "system", Content: "Be brief."}, {Role: "user", Content: "two"}}}, Ask("three")}
	if diff := cmp.Diff(want, got); diff != "" || err != nil {
		t.Errorf("%v, prompts (-want +got):\n%s", err, diff)
	}
}

func TestReadPromptsNamesTheLines(t *testing.T) {
	_, err := ReadPrompts(strings.NewReader(`{"prompt": "good"}
{
{"prompt": ""}

{"text": "x"}
{"prompt": "x", "turns": ["y"]}
{"turns": []}
{"messages": []}
{"messages": [{"content": "x"}, {"role": "user"}]}
{"messages": [{"role": "user", "content": ["x"]}]}
["x"]`))
	got := make(map[int][]string) // the fields of each line
	joined, _ := err.(interface{ Unwrap() []error })
	for _, err := range joined.Unwrap() {
		var line *LineError
		if !errors.As(err, &line) || strings.Count(err.Error(), "workload: ") != 1 {
			t.Fatalf("%v, want a LineError with one prefix", err)
		}
		got[line.Line] = []string{}
		for invalid := range checks.Invalid(err) {
			got[line.Line] = append(got[line.Line], invalid.Field)
		}
	}
	want := map[int][]string{
		2: {}, 3: {"Prompt.Messages[0].Content"}, 5: {}, 6: {}, 7: {"Prompt.Messages"}, 8: {"Prompt.Messages"},
		9: {"Prompt.Messages[0].Role", "Prompt.Messages[1].Content"}, 10: {"line"}, 11: {"line"},
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
	if _, err := ReadPrompts(strings.NewReader("\n\n")); err == nil {
		t.Error("a file without prompts is accepted")
	}
	if _, err := ReadPrompts(strings.NewReader(`{"prompt":"x"}` + "\n" + strings.Repeat("x", maxLine+1))); err == nil || !strings.Contains(err.Error(), "line 2") {
		t.Errorf("a line that is too long: %v", err)
	}
}

func TestReadMTBench(t *testing.T) {
	f, err := os.Open("../../shared/data/mt_bench_questions.jsonl")
	if err != nil {
		t.Skip("the MT-bench questions are not there: ", err)
	}
	defer f.Close()
	prompts, err := ReadPrompts(f)
	if err != nil || len(prompts) != 80 || !strings.HasPrefix(prompts[0].Messages[0].Content, "Compose an engaging travel blog") {
		t.Errorf("%d prompts, %v", len(prompts), err)
	}
}

func FuzzReadPrompts(f *testing.F) {
	f.Add(`{"prompt": "one"}` + "\n" + `{"turns": ["a"]}`)
	f.Add(`{"messages": [{"role": "user", "content": "two"}]}`)
	f.Add("{\n[]\nnull\n0\n")
	f.Fuzz(func(t *testing.T, s string) {
		prompts, err := ReadPrompts(strings.NewReader(s))
		if (err == nil) == (len(prompts) == 0) {
			t.Errorf("%d prompts and %v", len(prompts), err)
		}
		for _, p := range prompts {
			if err := p.Validate(); err != nil {
				t.Errorf("accepted %+v: %v", p, err)
			}
		}
	})
}

func TestReadConversations(t *testing.T) {
	got, err := ReadConversations(strings.NewReader(`{"prompt": "one"}
{"messages": [{"role": "system", "content": "Be brief."}, {"role": "user", "content": "two"}, {"role": "assistant", "content": "yes"}, {"role": "user", "content": "three"}]}
{"question_id": 81, "turns": ["four", "five"]}`))
	want := []Conversation{{Turns: []string{"one"}}, {System: "Be brief.", Turns: []string{"two", "three"}}, {Turns: []string{"four", "five"}}}
	if diff := cmp.Diff(want, got); diff != "" || err != nil {
		t.Errorf("%v, conversations (-want +got):\n%s", err, diff)
	}
	if _, err := ReadConversations(strings.NewReader("{\"turns\":[\"a\",\"\"]}\n{\"messages\":[{\"role\":\"system\",\"content\":\"x\"}]}\n{")); err == nil || !strings.Contains(err.Error(), "line 1") || !strings.Contains(err.Error(), "line 2") || !strings.Contains(err.Error(), "line 3") {
		t.Errorf("bad conversations: %v", err)
	}
}

func TestInvalidConversations(t *testing.T) {
	for _, tt := range []struct {
		turns []string
		want  []string
	}{{nil, []string{"Conversation.Turns"}}, {[]string{"a", "", "b", ""}, []string{"Conversation.Turns[1]", "Conversation.Turns[3]"}}, {[]string{"a"}, nil}} {
		var got []string
		for invalid := range checks.Invalid(Conversation{Turns: tt.turns}.Validate()) {
			got = append(got, invalid.Field)
		}
		if diff := cmp.Diff(tt.want, got); diff != "" {
			t.Errorf("%q (-want +got):\n%s", tt.turns, diff)
		}
	}
}

// TestMembersOfALine sends or refuses each member of a line.
func TestMembersOfALine(t *testing.T) {
	for line, want := range map[string]string{
		`{"prompt":"x","ignore_eos":true,"min_tokens":64,"temperature":0}`:                                                                `{"ignore_eos":true,"min_tokens":64,"temperature":0}`,
		`{"prompt":"x","tools":[{"type":"function"}],"response_format":{"type":"json_object"},"model":"other","max_completion_tokens":9}`: `{"max_completion_tokens":9,"model":"other","response_format":{"type":"json_object"},"tools":[{"type":"function"}]}`,
		`{"turns":["x","y"],"extra_body":{"own":1},"seed":7,"question_id":81,"category":"writing"}`:                                       `{"own":1,"seed":7}`,
		`{"prompt":"x","id":1}`: "null",
	} {
		for name, read := range map[string]func() (map[string]json.RawMessage, error){
			"prompt": func() (map[string]json.RawMessage, error) {
				p, err := ReadPrompts(strings.NewReader(line))
				return append(p, Prompt{})[0].ExtraBody, err
			},
			"conversation": func() (map[string]json.RawMessage, error) {
				c, err := ReadConversations(strings.NewReader(line))
				return append(c, Conversation{})[0].ExtraBody, err
			},
		} {
			extra, err := read()
			got, _ := json.Marshal(extra)
			if err != nil || string(got) != want {
				t.Errorf("%s of %s: %s, %v, want %s", name, line, got, err, want)
			}
		}
	}
	for _, line := range []string{
		`{"prompt":"x","temprature":0}`, `{"prompt":"x","extra_body":{"seed":1},"seed":2}`, `{"prompt":"x","extra_body":[1]}`, `{"prompt":"x","extra_body":{"messages":[]}}`,
		`{"timestamp":1,"input_length":4,"output_length":4,"temprature":0}`,
	} {
		_, prompts := ReadPrompts(strings.NewReader(line))
		_, trace := ReadTrace(strings.NewReader(line), TraceOptions{})
		var bad *LineError
		if !errors.As(prompts, &bad) || !errors.As(trace, &bad) {
			t.Errorf("%s is accepted: %v, %v", line, prompts, trace)
		}
	}
	trace, err := ReadTrace(strings.NewReader(`{"timestamp":1,"input_length":4,"output_length":4,"ignore_eos":true,"chat_id":5}`), TraceOptions{})
	if err != nil || string(trace.Request(0).Prompt.ExtraBody["ignore_eos"]) != "true" {
		t.Errorf("a trace: %v, %v", trace, err)
	}
}

// TestParametersOfAWrongType refuses parameters that a server would refuse for each request,
// by line and member.
func TestParametersOfAWrongType(t *testing.T) {
	for name, values := range map[string]struct{ right, wrong string }{
		"temperature":           {`0|0.7|1e-1`, `"0"|-1|null|true|[0]`},
		"presence_penalty":      {`-1.5`, `"a"`},
		"top_k":                 {`-1|20|20.0`, `1.5|"20"`},
		"ignore_eos":            {`true|false`, `1|"true"|null`},
		"min_tokens":            {`0|64`, `-1|"64"|0.5`},
		"max_tokens":            {`1|64`, `0|"64"|{}`},
		"max_completion_tokens": {`9`, `0|null`},
		"tools":                 {`[]|[{"type":"function"}]`, `{"type":"function"}|["f"]|null|"f"`},
		"response_format":       {`{"type":"json_object"}`, `"json_object"|[]`},
		"model":                 {`"sql-lora"`, `""|7|null`},
		"stop":                  {`"a"|["a","b"]`, `7|{}`},
		"tool_choice":           {`"auto"|{"type":"function"}`, `true|[]`},
		"logprobs":              {`true|5`, `"5"|null`},
		"logit_bias":            {`{}`, `[]`},
		"stop_token_ids":        {`[1]`, `1`},
	} {
		for value := range strings.SplitSeq(values.right, "|") {
			p, err := ReadPrompts(strings.NewReader(`{"prompt":"x","` + name + `":` + value + `}`))
			if err != nil || string(p[0].ExtraBody[name]) != value {
				t.Errorf("%s %s: %v", name, value, err)
			}
		}
		for value := range strings.SplitSeq(values.wrong, "|") {
			line := `{"prompt":"x","` + name + `":` + value + `,"echo":7}`
			_, err := ReadPrompts(strings.NewReader("\n" + line))
			var bad *LineError
			var fields []string
			for invalid := range checks.Invalid(err) {
				fields = append(fields, invalid.Field)
			}
			if !errors.As(err, &bad) || bad.Line != 2 || !slices.Contains(fields, name) || !slices.Contains(fields, "echo") {
				t.Errorf("%s: %v, fields %q", line, err, fields)
			}
		}
	}
	var bad *LineError
	if _, err := ReadConversations(strings.NewReader(`{"turns":["x"],"max_tokens":3,"extra_body":{"max_completion_tokens":4}}`)); !errors.As(err, &bad) {
		t.Errorf("two limits of output tokens: %v", err)
	}
}

// TestMessagesAreSentAsTheyAre has what a message can have beside a text.
func TestMessagesAreSentAsTheyAre(t *testing.T) {
	for _, message := range []string{
		`{"content":"x","role":"user"}`,
		`{"content":[{"type":"text","text":"what is it?"},{"type":"image_url","image_url":{"url":"data:image/gif;base64,R0lGODlhAQABAAAAACw="}}],"role":"user"}`,
		`{"content":[{"type":"input_audio","input_audio":{"data":"UklGRg==","format":"wav"}}],"name":"ada","role":"user"}`,
		`{"content":null,"role":"assistant","tool_calls":[{"id":"a","type":"function","function":{"name":"f","arguments":"{}"}}]}`,
		`{"content":"42","role":"tool","tool_call_id":"a"}`,
	} {
		prompts, err := ReadPrompts(strings.NewReader(`{"messages":[` + message + `]}`))
		if err != nil {
			t.Errorf("%s: %v", message, err)
			continue
		}
		sent, err := json.Marshal(prompts[0].Messages[0])
		var want, got any
		if err := errors.Join(err, json.Unmarshal([]byte(message), &want), json.Unmarshal(sent, &got)); err != nil {
			t.Fatal(err)
		}
		if diff := cmp.Diff(want, got); diff != "" {
			t.Errorf("(-want +got):\n%s", diff)
		}
		_, err = ReadConversations(strings.NewReader(`{"messages":[` + message + `]}`))
		if simple := message == `{"content":"x","role":"user"}`; (err == nil) != simple {
			t.Errorf("%s in a conversation: %v", message, err)
		}
	}
	for _, message := range []string{
		`{"role":"user","content":[]}`, `{"role":"user","content":[{"text":"x"}]}`, `{"role":"user","content":7}`, `{"role":"user","content":null}`, `{"content":[{"type":"text"}]}`, `7`,
	} {
		if _, err := ReadPrompts(strings.NewReader(`{"messages":[` + message + `]}`)); err == nil {
			t.Errorf("%s is accepted", message)
		}
	}
	for _, m := range []Message{
		{Role: "user", Content: "x", Parts: json.RawMessage(`[{"type":"text"}]`)}, {Role: "user", Parts: json.RawMessage(`[`)},
		{Role: "user", Content: "x", Other: map[string]json.RawMessage{"role": json.RawMessage(`"y"`)}}, {Role: "user", Content: "x", Other: map[string]json.RawMessage{"name": nil}},
	} {
		var invalid *checks.InvalidError
		if err := (Prompt{Messages: []Message{m}}).Validate(); !errors.As(err, &invalid) {
			t.Errorf("%+v: %v", m, err)
		}
	}
	if text := (Message{Parts: json.RawMessage(`[{"type":"text","text":"a"},{"type":"image_url"},{"type":"text","text":"b"}]`)}).Text(); text != "a\nb" {
		t.Errorf("text %q", text)
	}
}
