package workload

import (
	"errors"
	"os"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/serin-go/serin/checks"
)

func TestReadPrompts(t *testing.T) {
	got, err := ReadPrompts(strings.NewReader(`{"prompt": "one"}

{"messages": [{"role": "system", "content": "Be brief."}, {"role": "user", "content": "two"}], "id": 7}
{"question_id": 81, "category": "writing", "turns": ["three", "and then"]}`))
	want := []Prompt{Ask("one"), {[]Message{{"system", "Be brief."}, {"user", "two"}}}, Ask("three")}
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
		9: {"Prompt.Messages[0].Role", "Prompt.Messages[1].Content"}, 10: {}, 11: {},
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
	want := []Conversation{{Turns: []string{"one"}}, {"Be brief.", []string{"two", "three"}}, {Turns: []string{"four", "five"}}}
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
