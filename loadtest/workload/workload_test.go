package workload

import (
	"math"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
)

func instants(p *Trace, n int) (out []time.Duration) {
	for at := range p.Arrivals() {
		if len(out) == n {
			break
		}
		out = append(out, at)
	}
	return out
}

func TestSyntheticIsRepeatable(t *testing.T) {
	s := Synthetic{Input: Length{Mean: 200, SD: 80, LogNormal: true}, Output: Length{Choices: []Choice{{16, 1}, {64, 3}}}, Prefix: 20, Prefixes: 2, Seed: 5}
	sum, long := 0, 0
	prefixes := make(map[string]bool)
	for seq := range uint64(4000) {
		r := s.Request(seq)
		if diff := cmp.Diff(r, s.Request(seq)); diff != "" {
			t.Fatal(diff)
		}
		text := strings.Fields(r.Prompt.Messages[0].Content)
		sum += len(text)
		if r.MaxTokens == 64 {
			long++
		}
		if len(text) >= 20 {
			prefixes[strings.Join(text[:20], " ")] = true
		}
	}
	if mean := sum / 4000; mean < 190 || mean > 210 || long < 2900 || long > 3100 || len(prefixes) != 2 {
		t.Errorf("mean %d tokens, %d long, %d prefixes", sum/4000, long, len(prefixes))
	}
	if err := (Synthetic{Input: Length{Mean: -1}, Prefix: -1, Prefixes: -1}).Validate(); err == nil || strings.Count(err.Error(), "\n") != 2 {
		t.Errorf("not all problems: %v", err)
	}
}

func TestPairsStayTogether(t *testing.T) {
	s := Synthetic{Pairs: []Pair{{10, 400, 3}, {500, 20, 1}}, Seed: 2}
	seen := make(map[[2]int]int)
	for seq := range uint64(4000) {
		r := s.Request(seq)
		seen[[2]int{len(strings.Fields(r.Prompt.Messages[0].Content)), r.MaxTokens}]++
	}
	if n := seen[[2]int{10, 400}]; len(seen) != 2 || n < 2900 || n > 3100 {
		t.Errorf("%v", seen)
	}
	if err := (Synthetic{Pairs: []Pair{{-1, 1, 1}, {1, 1, 0}, {1, 1, math.NaN()}}}).Validate(); err == nil || strings.Count(err.Error(), "\n") != 2 {
		t.Errorf("not all problems: %v", err)
	}
}

func TestTraces(t *testing.T) {
	tests := []struct{ name, text, message string }{
		{"azure", "TIMESTAMP,ContextTokens,GeneratedTokens\n2023-11-16 18:15:46.5,374,44\n2023-11-16 18:15:50.5,396,109\n", ""},
		{"burstgpt", "Timestamp,Model,Request tokens,Response tokens,Total tokens,Log Type\n5,ChatGPT,374,44,418,Conversation log\n9,GPT-4,396,109,505,API log\n", ""},
		{"mooncake", "{\"timestamp\":1000,\"input_length\":374,\"output_length\":44,\"hash_ids\":[1]}\n{\"timestamp\":5000,\"input_length\":396,\"output_length\":109}\n", ""},
		{"bom", "\ufeffTIMESTAMP,ContextTokens,GeneratedTokens\r\n2023-11-16 18:15:46.5,374,44\r\n2023-11-16 18:15:50.5,396,109\r\n", ""},
		{"hashes", `{"timestamp":0,"input_length":1025,"output_length":1,"hash_ids":[1,2]}`, "line 1: 2 hash_ids for an input_length of 1025, want 3"},
		{"empty", "", "empty"},
		{"columns", "a,b,c\n1,2,3\n", "want TIMESTAMP"},
		{"cut off", "TIMESTAMP,ContextTokens,GeneratedTokens\n2023-11-16 18:15:46.5,374,44\n2023-11-16 18:1", "line 3: 1 columns, want 3"},
		{"number", "TIMESTAMP,ContextTokens,GeneratedTokens\nx,-1,y\n", "line 2: input is"},
		{"json", "{\"timestamp\":0}\n{", "line 2: unexpected end"},
	}
	for _, test := range tests {
		trace, err := ReadTrace(strings.NewReader(test.text), TraceOptions{Scale: 2})
		if test.message != "" {
			if err == nil || !strings.Contains(err.Error(), test.message) {
				t.Errorf("%s: %v, want %q", test.name, err, test.message)
			}
			continue
		}
		if err != nil {
			t.Errorf("%s: %v", test.name, err)
			continue
		}
		if diff := cmp.Diff([]time.Duration{0, 2 * time.Second}, instants(trace, 9)); diff != "" || trace.Request(1).MaxTokens != 109 || len(strings.Fields(trace.Request(0).Prompt.Messages[0].Content)) != 374 {
			t.Errorf("%s: %s %+v", test.name, diff, trace.Request(1).MaxTokens)
		}
	}
}

func FuzzReadTrace(f *testing.F) {
	f.Add("TIMESTAMP,ContextTokens,GeneratedTokens\n2023-11-16 18:15:46.5,374,44\n")
	f.Add(`{"timestamp":0,"input_length":1025,"output_length":1,"hash_ids":[1,2]}`)
	f.Fuzz(func(t *testing.T, text string) {
		trace, err := ReadTrace(strings.NewReader(text), TraceOptions{})
		if err == nil && (trace.Len() == 0 || !slices.IsSorted(instants(trace, 1000))) {
			t.Errorf("%v", trace)
		}
	})
}
