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
		{"too many hashes", `{"timestamp":0,"input_length":1024,"output_length":1,"hash_ids":[1,2,3]}`, "line 1: 3 hash_ids for an input_length of 1024, want 2"},
		{"hash of a text", `{"timestamp":0,"input_length":5,"output_length":1,"hash_ids":["a"]}`, "hash_ids"},
		{"session", "Timestamp,Session ID,Request tokens,Response tokens\n0,a b,1,1\n", "line 2: session ID is"},
		{"no session", "Timestamp,Request tokens,Response tokens,Session ID\n0,1,1\n", "line 2: 3 columns, want 4"},
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

// TestPrefixBlocks has the prompts of a trace with hash IDs, also after JSON.
func TestPrefixBlocks(t *testing.T) {
	trace, err := ReadTrace(strings.NewReader(`{"timestamp":0,"input_length":1025,"output_length":1,"hash_ids":[7,8,9]}
{"timestamp":1,"input_length":1300,"output_length":1,"hash_ids":[7,8,10]}
{"timestamp":2,"input_length":700,"output_length":1,"hash_ids":[11,8]}
{"timestamp":3,"input_length":0,"output_length":1,"hash_ids":[]}`), TraceOptions{Seed: 2})
	if err != nil {
		t.Fatal(err)
	}
	data, err := Marshal(trace)
	if err != nil {
		t.Fatal(err)
	}
	back, err := Unmarshal(data)
	if err != nil {
		t.Fatal(err)
	}
	var words [][]string
	for i := range uint64(4) {
		if diff := cmp.Diff(trace.Request(i), back.Request(i)); diff != "" {
			t.Errorf("request %d after JSON (-want +got):\n%s", i, diff)
		}
		words = append(words, strings.Fields(back.Request(i).Prompt.Messages[0].Content))
	}
	if len(words[0]) != 1025 || len(words[1]) != 1300 || len(words[2]) != 700 || len(words[3]) != 1 {
		t.Fatalf("%d, %d, %d and %d words", len(words[0]), len(words[1]), len(words[2]), len(words[3]))
	}
	if !slices.Equal(words[0][:1024], words[1][:1024]) || slices.Equal(words[0][:16], words[2][:16]) || !slices.Equal(words[0][512:700], words[2][512:]) {
		t.Error("blocks with the same ID differ, or others are equal")
	}
}

// TestSessionsSurviveJSON compares the requests of sessions before and after.
func TestSessionsSurviveJSON(t *testing.T) {
	trace, err := ReadTrace(strings.NewReader("Timestamp,Session ID,Request tokens,Response tokens\n0,a,3,2\n1,a,9,1\n2,,4,1\n"), TraceOptions{})
	if err != nil {
		t.Fatal(err)
	}
	data, err := Marshal(trace)
	if err != nil {
		t.Fatal(err)
	}
	back, err := Unmarshal(data)
	if err != nil {
		t.Fatal(err)
	}
	want := []Session{{"a", 0, 2}, {"a", 1, 2}, {}, {"a-1", 0, 2}}
	for i := range uint64(4) {
		if diff := cmp.Diff(trace.Request(i), back.Request(i)); diff != "" || back.(*Trace).Session(i) != want[i] {
			t.Errorf("request %d of session %+v (-want +got):\n%s", i, back.(*Trace).Session(i), diff)
		}
	}
}

// TestRepeatedSessionsAreOthers has session IDs that look like the session IDs of a repetition.
func TestRepeatedSessionsAreOthers(t *testing.T) {
	trace, err := ReadTrace(strings.NewReader("Timestamp,Session ID,Request tokens,Response tokens\n0,a,3,2\n1,a-1,3,2\n2,a-1-1,3,2\n3,a-,3,2\n4,a--,3,2\n"), TraceOptions{})
	if err != nil {
		t.Fatal(err)
	}
	seen := make(map[string]bool)
	for i := range uint64(20) {
		s := trace.Session(i)
		if seen[s.ID] || checkSession("", s.ID) != nil {
			t.Errorf("request %d has session %q again", i, s.ID)
		}
		seen[s.ID] = true
	}
}

func FuzzReadTrace(f *testing.F) {
	f.Add("TIMESTAMP,ContextTokens,GeneratedTokens\n2023-11-16 18:15:46.5,374,44\n")
	f.Add(`{"timestamp":0,"input_length":1025,"output_length":1,"hash_ids":[1,2]}`)
	f.Add("Timestamp,Session ID,Request tokens,Response tokens\n0,a,1,1\n1,a,7,1\n2,,3,1")
	f.Fuzz(func(t *testing.T, text string) {
		trace, err := ReadTrace(strings.NewReader(text), TraceOptions{})
		if err != nil {
			return
		}
		if trace.Len() == 0 || !slices.IsSorted(instants(trace, 1000)) {
			t.Errorf("%v", trace)
		}
		turns := make(map[string]int)
		for i := range uint64(min(trace.Len(), 20)) {
			s := trace.Session(i)
			if s.ID != "" && (s.Turn != turns[s.ID] || s.Turn >= s.Turns) {
				t.Errorf("request %d: %+v, want turn %d", i, s, turns[s.ID])
			}
			turns[s.ID]++
			if a := trace.arrivals[i]; max(a.Input, a.Output) < 1000 {
				if err := trace.Request(i).Prompt.Validate(); err != nil {
					t.Errorf("request %d: %v", i, err)
				}
			}
		}
	})
}
