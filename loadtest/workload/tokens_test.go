package workload

import (
	"errors"
	"strings"
	"testing"

	"github.com/serin-go/serin/checks"
)

// tokenizers count in the ways of real ones.
var tokenizers = map[string]func(string) int{
	"words":                     func(text string) int { return len(strings.Fields(text)) },
	"pieces":                    pieces,
	"with a token at the start": func(text string) int { return 1 + pieces(text) },
	"the first word costs more": func(text string) int {
		return pieces(text) + len(strings.SplitN(text, " ", 2)[0])/2
	},
	"not by words": func(text string) int { return (len(text) + 3) / 4 },
}

// pieces counts pieces of up to four letters of each word.
func pieces(text string) (n int) {
	for word := range strings.FieldsSeq(text) {
		n += (len(word) + 3) / 4
	}
	return n
}

// TestExactLengths counts the tokens of generated prompts.
func TestExactLengths(t *testing.T) {
	trace, err := ReadTrace(strings.NewReader(`{"timestamp":0,"input_length":1025,"output_length":1,"hash_ids":[7,8,9]}
{"timestamp":1,"input_length":1300,"output_length":1,"hash_ids":[7,8,10]}
{"timestamp":2,"input_length":700,"output_length":1}
{"timestamp":3,"input_length":20,"output_length":1}`), TraceOptions{Seed: 2})
	if err != nil {
		t.Fatal(err)
	}
	for name, count := range tokenizers {
		for _, n := range []int{12, 13, 14, 15, 100, 777} {
			for _, prefix := range []int{0, 10, 2000} {
				w, err := Synthetic{Input: Length{Mean: float64(n)}, Prefix: prefix, Seed: 4}.WithTokenizer(count)
				if err != nil {
					t.Fatal(name, err)
				}
				for seq := range uint64(20) {
					text := w.Request(seq).Prompt.Messages[0].Content
					if got := count(text); got != n {
						t.Errorf("%s: request %d with prefix %d has %d tokens, want %d", name, seq, prefix, got, n)
					}
				}
			}
		}
		w, err := trace.WithTokenizer(count)
		if err != nil {
			t.Fatal(name, err)
		}
		m, err := Mix{Parts: []Part{{Name: "a", Weight: 1, Workload: trace}, {Name: "b", Weight: 1, Workload: HTTP("", "/", nil)}}}.WithTokenizer(count)
		if err != nil {
			t.Fatal(name, err)
		}
		mixed := 0
		var texts []string
		for seq, want := range []int{1025, 1300, 700, 20} {
			texts = append(texts, w.Request(uint64(seq)).Prompt.Messages[0].Content)
			if got := count(texts[seq]); got != want {
				t.Errorf("%s: request %d of a trace has %d tokens, want %d", name, seq, got, want)
			}
			if r := m.Request(uint64(seq)); r.Tag == "a" && r.Prompt.Messages[0].Content == texts[seq] {
				mixed++
			} else if r.Tag == "a" {
				t.Errorf("%s: request %d of a mix has another text", name, seq)
			}
		}
		if mixed == 0 {
			t.Errorf("%s: no request of the mix is of the trace", name)
		}
		shared := 0
		for shared < min(len(texts[0]), len(texts[1])) && texts[0][shared] == texts[1][shared] {
			shared++
		}
		if got := count(texts[0][:shared]); got < 1020 || got > 1026 {
			t.Errorf("%s: two prompts share %d tokens, want 1024", name, got)
		}
	}
	if trace.Request(3).Prompt.Messages[0].Content == "" || trace.sizer != nil {
		t.Error("WithTokenizer changes the trace")
	}
	var invalid *checks.InvalidError
	if _, err := (Synthetic{}).WithTokenizer(func(string) int { return 0 }); !errors.As(err, &invalid) || invalid.Field != "Tokenizer" {
		t.Errorf("a tokenizer that counts nothing: %v", err)
	}
}
