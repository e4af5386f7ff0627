package workload

import (
	"errors"
	"os"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
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
{"messages": [{"content": "x"}]}
{"messages": [{"role": "user", "content": ["x"]}]}
["x"]`))
	for _, want := range []string{
		"line 2: unexpected end of JSON input", "line 3: message 1 has no content", `line 5: 0 of "prompt"`, `line 6: 2 of "prompt"`,
		"line 7: no messages", "line 8: no messages", "line 9: message 1 has no role", "line 10: json", "line 11: json",
	} {
		if err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("no %q in:\n%v", want, err)
		}
	}
	var line *LineError
	if !errors.As(err, &line) || line.Line != 2 {
		t.Errorf("the first error is %v, want that of line 2", line)
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
