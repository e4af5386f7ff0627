package workload

import (
	"errors"
	"fmt"
	"io"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/serin-go/serin/checks"
)

// shareGPT returns a conversation in the format of ShareGPT. Each part is a source with a
// number of words of four bytes, or with nothing.
func shareGPT(id int, parts ...string) string {
	var all []string
	for _, part := range parts {
		from, n := part, 0
		if _, err := fmt.Sscanf(part, "%s %d", &from, &n); err != nil && !errors.Is(err, io.EOF) && !errors.Is(err, io.ErrUnexpectedEOF) {
			panic(err)
		}
		all = append(all, fmt.Sprintf(`{"from": %q, "value": %q}`, from, strings.Repeat("abc ", n)))
	}
	return fmt.Sprintf(`{"id": "x%d", "lang": "en", "conversations": [%s]}`, id, strings.Join(all, ", "))
}

func TestReadShareGPT(t *testing.T) {
	entries := []string{
		shareGPT(0, "human 9", "gpt 7"),
		shareGPT(1, "system 3", "user 10", "assistant 20", "human 30", "gpt 40"),
		shareGPT(2, "human 8", "gpt 8", "human 9"), // the last turn has no answer
		shareGPT(3, "human 8", "gpt 8", "human 9", "gpt 2030", "human 9", "gpt 9"),
		shareGPT(4), shareGPT(5, "human 9"), shareGPT(6, "system 9", "human 9"),
		shareGPT(7, "gpt 9", "human 9"), shareGPT(8, "human 9", "human 9"), shareGPT(9, "human 9", "gpt 9", "system 9", "human 9"),
		shareGPT(10, "human 9", "alien 9"),
		shareGPT(11, "human 9", "gpt"),
		shareGPT(12, "human 3", "gpt 9"), shareGPT(13, "human 9", "gpt 3"),
		shareGPT(14, "human 1025", "gpt 9"), shareGPT(15, "human 1000", "gpt 1100"),
	}
	got, err := ReadShareGPT(strings.NewReader("["+strings.Join(entries, ",\n")+"]\n"), ShareGPTOptions{})
	if err != nil {
		t.Fatal(err)
	}
	words := func(n int) string { return strings.Repeat("abc ", n) }
	ask := func(n, most int) Request { return Request{Prompt: Ask(words(n)), MaxTokens: most} }
	withSystem := Request{Prompt: Prompt{Messages: []Message{{Role: "system", Content: words(3)}, {Role: "user", Content: words(10)}}}, MaxTokens: 20}
	want := &ShareGPT{
		Conversations: []Conversation{{Turns: []string{words(9)}}, {System: words(3), Turns: []string{words(10), words(30)}}, {Turns: []string{words(8), words(9)}}, {Turns: []string{words(8), words(9)}}},
		Requests:      Requests{ask(9, 7), withSystem, ask(8, 8), ask(8, 8)},
		Skipped:       map[string]int{skipShort: 3, skipOrder: 3, skipRole: 1, skipText: 1, skipTooFew: 2, skipTooMany: 2},
		Cut:           1,
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
	if got.read() != len(entries) {
		t.Errorf("%d conversations counted, want %d", got.read(), len(entries))
	}
	for _, part := range []string{"4 of 16 conversations; left out:", "3 with fewer than two messages", "1 without their last turns"} {
		if !strings.Contains(got.String(), part) {
			t.Errorf("%q lacks %q", got, part)
		}
	}
	if err := errors.Join(got.Requests.Validate(), got.Conversations[1].Validate()); err != nil {
		t.Error(err)
	}
	got, err = ReadShareGPT(strings.NewReader("["+entries[12]+"]"), ShareGPTOptions{MinTokens: 1, Tokenizer: func(string) int { return 2 }})
	if err != nil || len(got.Requests) != 1 || got.Requests[0].MaxTokens != 2 {
		t.Errorf("with limits of its own: %v, %v", got, err)
	}
}

func TestInvalidShareGPT(t *testing.T) {
	for text, field := range map[string]string{
		`[{"id":1,"conversations":[]},{"conversations":[{"from":"human","value":7}]}]`: "ShareGPT[1].conversations.value",
		`[{"conversations":{"from":"human"}}]`:                                         "ShareGPT[0].conversations",
		`[{"id":"a"}]`:                                                                 "ShareGPT[0].conversations",
		`[7]`:                                                                          "ShareGPT[0]",
	} {
		_, err := ReadShareGPT(strings.NewReader(text), ShareGPTOptions{})
		var fields []string
		for invalid := range checks.Invalid(err) {
			fields = append(fields, invalid.Field)
		}
		if diff := cmp.Diff([]string{field}, fields); diff != "" {
			t.Errorf("%s: %v (-want +got):\n%s", text, err, diff)
		}
	}
	good := shareGPT(0, "human 9", "gpt 9")
	for _, text := range []string{"", "{}", "7", "[", "[]", "[" + good, "[" + good + "] x", "[" + good + "]]", "[" + shareGPT(0, "human 1", "gpt 1") + "]", "[{]"} {
		if got, err := ReadShareGPT(strings.NewReader(text), ShareGPTOptions{}); err == nil {
			t.Errorf("%s is accepted: %v", text, got)
		}
	}
	if _, err := ReadShareGPT(strings.NewReader("["+strings.Repeat("7,", 90)+"7]"), ShareGPTOptions{}); strings.Count(err.Error(), "\n") != maxShareGPTErrors-1 {
		t.Errorf("errors of 91 conversations: %v", err)
	}
	var invalid *checks.InvalidError
	if _, err := ReadShareGPT(strings.NewReader("["+good+"]"), ShareGPTOptions{MaxInput: -1}); !errors.As(err, &invalid) || invalid.Field != "ShareGPTOptions.MaxInput" {
		t.Errorf("%v", err)
	}
}

func FuzzReadShareGPT(f *testing.F) {
	f.Add("[" + shareGPT(0, "human 9", "gpt 9") + "," + shareGPT(1, "system 9", "human 9", "gpt 9") + "]")
	f.Add(`[{"conversations":[{"from":"human","value":7}]}]`)
	f.Fuzz(func(t *testing.T, text string) {
		got, err := ReadShareGPT(strings.NewReader(text), ShareGPTOptions{MinTokens: 1})
		if err != nil {
			return
		}
		if err := got.Requests.Validate(); err != nil || len(got.Requests) != len(got.Conversations) {
			t.Errorf("%v: %d requests, %d conversations", err, len(got.Requests), len(got.Conversations))
		}
		for _, c := range got.Conversations {
			if err := c.Validate(); err != nil {
				t.Error(err)
			}
		}
	})
}
