package loadtest

import (
	"io"
	"math"
	"net/http"
	"os"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/serin-go/serin/checks/analysis"
)

func instants(p Pacer, n int) (out []time.Duration) {
	for at := range p.Arrivals() {
		if len(out) == n {
			break
		}
		out = append(out, at)
	}
	return out
}

func TestRamp(t *testing.T) {
	up := instants(Ramp(0, 10, 10*time.Second), 1000)
	if len(up) != 50 || up[49] != 10*time.Second || up[0] != 1414213562 { // t²/2 = k
		t.Errorf("%d arrivals, the first at %v, the last at %v", len(up), up[0], up[len(up)-1])
	}
	down := instants(Ramp(10, 0, 10*time.Second), 1000)
	if len(down) != 50 || down[49] != 10*time.Second || down[0] > 101*ms {
		t.Errorf("%d arrivals, the first at %v, the last at %v", len(down), down[0], down[len(down)-1])
	}
	flat := instants(Ramp(10, 10, time.Second), 1000)
	if diff := cmp.Diff(instants(Constant(10), 10), flat); diff != "" {
		t.Error(diff)
	}
	for _, p := range []Pacer{Ramp(-1, 2, time.Second), Ramp(0, 0, time.Second), Ramp(1, 2, 0), Ramp(math.NaN(), 1, 1), Sine(1, 2, 1), Sine(1, 1, 0),
		Gamma(1, 0, 1), Stages(), Stages(Stage{}), Shard(Constant(1), 2, 2), Shard(nil, 0, 1)} {
		if checkPacer("", p) == nil {
			t.Errorf("%v is taken to be valid", p)
		}
	}
}

func TestSineAndStages(t *testing.T) {
	at := instants(Sine(100, 100, 10*time.Second), 1000)
	firstHalf := len(slices.DeleteFunc(slices.Clone(at), func(d time.Duration) bool { return d > 5*time.Second }))
	if want := 500 + 1000/math.Pi; math.Abs(float64(firstHalf)-want) > 1 || (at[999]-10*time.Second).Abs() > ms || !slices.IsSorted(at) {
		t.Errorf("%d in the first half, want %v; the last at %v", firstHalf, want, at[999])
	}
	staged := instants(Stages(Stage{Constant(2), time.Second}, Stage{Ramp(0, 4, time.Second), 2 * time.Second}, Stage{Constant(1), time.Second}), 100)
	want := []time.Duration{500 * ms, 1000 * ms, 1000*ms + 707106781, 2000 * ms, 4000 * ms}
	if diff := cmp.Diff(want, staged); diff != "" {
		t.Error(diff)
	}
}

func TestGammaVariesAsAsked(t *testing.T) {
	for shape, want := range map[float64]float64{0.25: 2, 1: 1, 4: 0.5} {
		var g gaps
		var last time.Duration
		for _, at := range instants(Gamma(10, shape, 7), 100_000) {
			g.add(time.Unix(0, 0).Add(at))
			last = at
		}
		if cv := g.cv(); cv < want*0.97 || cv > want*1.03 || math.Abs(last.Seconds()/10_000-1) > 0.03 {
			t.Errorf("shape %v: CV %v, want %v; the last at %v", shape, cv, want, last)
		}
		if diff := cmp.Diff(instants(Gamma(10, shape, 7), 100), instants(Gamma(10, shape, 7), 100)); diff != "" {
			t.Error(diff)
		}
	}
}

func TestShardsAreTheWhole(t *testing.T) {
	for _, p := range []Pacer{Poisson(50, 3), Gamma(5, 0.5, 2), Sine(5, 3, time.Minute)} {
		var union []time.Duration
		for i := range 3 {
			union = append(union, instants(Shard(p, i, 3), 40)...)
		}
		slices.Sort(union)
		if diff := cmp.Diff(instants(p, 120), union); diff != "" {
			t.Errorf("%v: %s", p, diff)
		}
	}
	k := 0
	for number, at := range numbered(Shard(After(Shard(First(Constant(1), 50), 1, 2), 0), 2, 3)) {
		if k++; k == 5 && (number != 29 || at != 30*time.Second) { // (4*3+2)*2+1
			t.Errorf("request 4 is %d of the whole, at %v", number, at)
		}
	}
	if k != 8 { // of 25 odd ones
		t.Errorf("%d requests, want 8", k)
	}
}

// TestShardsSendTheSameBytes compares what one process sends with what three do,
// at which instant.
func TestShardsSendTheSameBytes(t *testing.T) {
	sent := func(pacers ...Pacer) map[string]string {
		all := make(map[string]string)
		for _, pacer := range pacers {
			began := time.Date(2000, 1, 1, 0, 0, 0, 0, time.UTC) // of each bubble
			p := plan(roundTripFunc(func(r *http.Request) (*http.Response, error) {
				body, err := io.ReadAll(r.Body)
				if err != nil {
					t.Error(err)
				}
				all[time.Since(began).String()] += string(body)
				return speak(0).RoundTrip(r)
			}))
			p.Pacer, p.Requests, p.Prompts, p.Workers = pacer, 0, nil, 1
			p.Workload = Synthetic{Input: Length{Mean: 30, SD: 10}, Output: Length{Mean: 9, SD: 3}, Prefix: 5, Prefixes: 3, Seed: 6}
			simulate(t, p)
		}
		return all
	}
	whole := First(Constant(3), 60)
	one := sent(whole)
	if diff := cmp.Diff(one, sent(Shard(whole, 0, 3), Shard(whole, 1, 3), Shard(whole, 2, 3))); diff != "" || len(one) != 60 {
		t.Errorf("%d requests (-one +three):\n%s", len(one), diff)
	}
	if diff := cmp.Diff(one, sent(Shard(whole, 0, 2), After(Shard(whole, 1, 2), 5*time.Second), Shard(First(Constant(3), 14), 1, 2))); diff != "" {
		t.Errorf("with a share that was taken over (-one +three):\n%s", diff)
	}
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

func TestAzureTrace(t *testing.T) {
	f, err := os.Open("../../shared/data/azure_llm_2023_conv.csv")
	if err != nil {
		t.Skip("the trace is not here")
	}
	defer f.Close()
	trace, err := ReadTrace(f, TraceOptions{Scale: 60})
	if err != nil || trace.Len() != 19_366 {
		t.Fatal(trace, err)
	}
	quick := script{parts: []part{{at: ms, data: content("a") + goodTail}}}
	p := plan(quick)
	p.Prompts, p.Workload, p.Pacer, p.Requests = nil, trace, trace, 0
	report, _ := simulate(t, p)
	if report.Sent != 19_366 || report.Classes[analysis.OK] != 19_366 || report.Interrupted || report.TTFT.Count() != 19_366 {
		t.Errorf("%v", report)
	}
}

func TestUsersWaitAndThink(t *testing.T) {
	p := plan(script{parts: []part{{at: 100 * ms, data: content("a") + goodTail}}})
	p.Pacer, p.Requests, p.Users, p.Think, p.Duration = nil, 0, 4, 150*ms, 950*ms
	report, _ := simulate(t, p) // each user sends at 0, 250, 500 and 750 ms
	if report.Sent != 16 || report.Interrupted || report.Late || report.Classes[analysis.OK] != 16 {
		t.Errorf("%v", report)
	}
	p.Requests = 7
	if report, _ := simulate(t, p); report.Sent != 7 {
		t.Errorf("%d sent, want 7", report.Sent)
	}
}

func TestConversationsSendWhatWasSaid(t *testing.T) {
	var bodies []string
	p := plan(roundTripFunc(func(r *http.Request) (*http.Response, error) {
		body, _ := io.ReadAll(r.Body)
		bodies = append(bodies, string(body))
		return script{parts: []part{{data: content("li") + content("ght")}, {at: ms, data: goodTail}}}.RoundTrip(r)
	}))
	p.Pacer, p.Prompts, p.Requests, p.Users = nil, nil, 3, 1
	p.Conversations = []Conversation{{System: "Be brief.", Turns: []string{"What is seen?", "And heard?"}}}
	report, _ := simulate(t, p)
	want := `"messages":[{"role":"system","content":"Be brief."},{"role":"user","content":"What is seen?"},{"role":"assistant","content":"light"},{"role":"user","content":"And heard?"}]`
	if report.Sent != 3 || len(bodies) != 3 || !strings.Contains(bodies[1], want) || bodies[2] != bodies[0] {
		t.Errorf("%d sent: %q", report.Sent, bodies)
	}
}

func TestPlainHTTP(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p := plan(roundTripFunc(func(r *http.Request) (*http.Response, error) {
			if r.Method != "GET" || r.URL.String() != "http://model.test/healthz" || r.Body != nil {
				t.Errorf("%s %s", r.Method, r.URL)
			}
			return script{parts: []part{{data: "fine"}}, header: http.Header{}}.RoundTrip(r)
		}))
		p.Model, p.Prompts, p.Workload = "", nil, HTTP("", "/healthz", nil)
		report, err := Run(t.Context(), p)
		if err != nil || report.Classes[analysis.OK] != 1 || len(report.Faults) != 0 {
			t.Errorf("%v, %v", report, err)
		}
	})
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
