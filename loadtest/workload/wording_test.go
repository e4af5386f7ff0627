package workload

import (
	"strings"
	"testing"

	"github.com/serin-go/serin/checks"
)

// TestErrorsNameMembers has errors of files that name the member and what is accepted.
func TestErrorsNameMembers(t *testing.T) {
	prompts := func(text string) error { _, err := ReadPrompts(strings.NewReader(text)); return err }
	share := func(text string) error {
		_, err := ReadShareGPT(strings.NewReader(text), ShareGPTOptions{})
		return err
	}
	trace := func(text string) error {
		_, err := ReadTrace(strings.NewReader(text), TraceOptions{})
		return err
	}
	for name, test := range map[string]struct {
		err         error
		field, want string
	}{
		"a prompt":        {prompts(`{"prompt":5}`), "prompt", "a text"},
		"turns":           {prompts(`{"turns":"x"}`), "turns", "an array"},
		"no object":       {prompts(`5`), "line", "an object"},
		"a message":       {share(`[{"conversations":[{"from":1,"value":"x"}]}]`), "ShareGPT[0].conversations.from", "a text"},
		"messages":        {share(`[{"conversations":{}}]`), "ShareGPT[0].conversations", "an array"},
		"no conversation": {share(`[5]`), "ShareGPT[0]", "an object"},
		"a hash":          {trace(`{"timestamp":0,"input_length":5,"output_length":1,"hash_ids":["a"]}`), "hash_ids", "an integer"},
		"a length":        {trace(`{"timestamp":0,"input_length":1.5,"output_length":1}`), "input_length", "an integer"},
	} {
		found := false
		for e := range checks.Invalid(test.err) {
			found = found || e.Field == test.field && e.Want == test.want
		}
		if !found {
			t.Errorf("%s: %v, want the field %s and %s", name, test.err, test.field, test.want)
		}
	}
}

func TestMarksAndEmptyFiles(t *testing.T) {
	if all, err := ReadPrompts(strings.NewReader("\ufeff{\"prompt\":\"one\"}\n")); err != nil || len(all) != 1 {
		t.Errorf("a byte order mark: %v, %v", all, err)
	}
	if all, err := ReadShareGPT(strings.NewReader("\ufeff["+shareGPT(0, "human 9", "gpt 9")+"]"), ShareGPTOptions{}); err != nil || len(all.Requests) != 1 {
		t.Errorf("a byte order mark: %v, %v", all, err)
	}
	for _, text := range []string{"", "TIMESTAMP,ContextTokens,GeneratedTokens\n", "{}"} {
		if trace, err := ReadTrace(strings.NewReader(text), TraceOptions{}); err == nil {
			t.Errorf("%q is a trace: %v", text, trace)
		}
	}
}
