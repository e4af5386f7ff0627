package loadtest

import (
	"encoding/json"
	"iter"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"

	"github.com/serin-go/serin/checks/analysis"
	"github.com/serin-go/serin/loadtest/pace"
	"github.com/serin-go/serin/loadtest/workload"
)

// TestPlanSurvivesJSON compares what a plan would send before and after.
func TestPlanSurvivesJSON(t *testing.T) {
	trace, err := workload.ReadTrace(strings.NewReader("Timestamp,Request tokens,Response tokens\n5,37,4\n9,39,10\n"), workload.TraceOptions{Seed: 4})
	if err != nil {
		t.Fatal(err)
	}
	targets, err := workload.ReadTargets(strings.NewReader("PUT http://a.test/x?y=1\nA: b\n\nGET http://b.test/\n"), workload.HTTPTargets, nil)
	if err != nil {
		t.Fatal(err)
	}
	for _, pacer := range []pace.Pacer{
		nil, pace.Constant(3), pace.Poisson(4, 5), pace.Gamma(3, 0.5, 6), pace.Ramp(1, 9, time.Minute), pace.Sine(5, 4, time.Hour), trace,
		pace.Stages(pace.Stage{Pacer: pace.Constant(4), For: time.Second}, pace.Stage{Pacer: pace.Ramp(4, 0, time.Second), For: 2 * time.Second}), pace.Shard(pace.After(pace.First(pace.Poisson(4, 5), 30), time.Second), 1, 2),
	} {
		for _, work := range []workload.Workload{nil, workload.Synthetic{Input: workload.Length{Mean: 9, SD: 3, LogNormal: true, Choices: []workload.Choice{{Tokens: 3, Weight: 1}}}, Output: workload.Length{Mean: 4}, Prefix: 2, Seed: 8}, workload.Synthetic{Pairs: []workload.Pair{{Input: 3, Output: 4, Weight: 1}}}, workload.HTTP("PUT", "/x", []byte("y")), targets, trace} {
			p := Plan{
				Target: "http://a.test", API: Responses, Model: "m", Prompts: []workload.Prompt{workload.Ask("a")}, Workload: work, Pacer: pacer, Users: 3, Think: time.Second,
				Conversations: []workload.Conversation{{System: "s", Turns: []string{"t"}}}, Start: time.Unix(5, 6).UTC(), Duration: time.Minute, Requests: 7, MaxTokens: 8, Timeout: 9, FirstToken: 10,
				Idle: 11, Drain: 12, Workers: 13, LagBound: 14, WarmUp: 15, CoolDown: 16, SLOs: []SLO{{Name: "n", TTFT: 17}},
				Thresholds: []analysis.Threshold{threshold(t, "ttft p95 <= 1s")}, AbortOnBreach: true, Record: true, SessionHeader: "X-Session-Id",
				Header: http.Header{"X": {"secret header"}}, APIKey: "secret key",
			}
			data, err := json.Marshal(p)
			if err != nil {
				t.Fatal(err)
			}
			if strings.Contains(string(data), "secret") {
				t.Errorf("a secret is written: %s", data)
			}
			var back Plan
			if err := json.Unmarshal(data, &back); err != nil {
				t.Fatalf("%v of %s", err, data)
			}
			if pacer != nil {
				if diff := cmp.Diff(instants(pacer, 50), instants(back.Pacer, 50)); diff != "" {
					t.Errorf("%v: %s", pacer, diff)
				}
			}
			if work != nil {
				for i := range uint64(3) {
					if diff := cmp.Diff(work.Request(i), back.Workload.Request(i), cmpopts.EquateEmpty()); diff != "" {
						t.Errorf("%v: %s", work, diff)
					}
				}
			}
			again, err := json.Marshal(back)
			if err != nil || string(again) != string(data) {
				t.Errorf("%v\n%s\n%s", err, data, again)
			}
		}
	}
}

// ownPacer is one that a user wrote.
type ownPacer struct{}

func (ownPacer) Arrivals() iter.Seq[time.Duration] { return func(func(time.Duration) bool) {} }

func TestPlansThatHaveNoJSON(t *testing.T) {
	if _, err := json.Marshal(Plan{Pacer: pace.Shard(ownPacer{}, 0, 1)}); err == nil || !strings.Contains(err.Error(), "ownPacer") {
		t.Errorf("a pacer of another package: %v", err)
	}
	for text, want := range map[string]string{
		`{"colour":1}`: "colour", `{"pacer":{}}`: "constant", `{"workload":{}}`: "synthetic", `{"duration":"soon"}`: "soon", `[]`: "array",
		`{"pacer":{"trace":{"arrivals":[{"at_ns":5},{"at_ns":4}]}}}`: "arrivals[1]", `{"pacer":{"trace":{}}}`: "at least one",
		`{"workload":{"targets":[{"method":"GET","path":"x"}]}}`: "Targets[0].Path", `{"pacer":{"stages":[{"pacer":{}}]}}`: "constant",
	} {
		if err := json.Unmarshal([]byte(text), new(Plan)); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%s: %v, want %q", text, err, want)
		}
	}
}

func FuzzPlan(f *testing.F) {
	f.Add([]byte(`{"target":"http://a","model":"m","pacer":{"shard":{"pacer":{"poisson":{"rate":5,"seed":1}},"part":0,"of":2}},"workload":{"synthetic":{"input":{"mean":3}}},"duration":"3s"}`))
	f.Add([]byte(`{"pacer":{"stages":[{"pacer":{"ramp":{"from":0,"to":4,"over":"3s"}},"for":"1s"}]},"workload":{"http":{"path":"/x"}}}`))
	f.Add([]byte(`{"pacer":{"constant":{"rate":5}},"target":"http://a","workload":{"mix":{"seed":3,"parts":[{"name":"a","weight":1,"model":"m","workload":{"requests":[{"prompt":{"messages":[{"role":"user","content":"x"}]}}]}}]}}}`))
	f.Add([]byte(`{"pacer":{"constant":{"rate":5}},"target":"http://a","model":"m","workload":{"trace":{"seed":1,"arrivals":[{"at_ns":1,"input":513,"output":4,"hash_ids":[1,2]},{"at_ns":2,"input":3,"output":1,"session":"a"},{"at_ns":3,"input":9,"output":1,"session":"a"}]}}}`))
	f.Fuzz(func(t *testing.T, data []byte) {
		var p Plan
		if json.Unmarshal(data, &p) == nil && p.Validate() == nil && p.Pacer != nil {
			_ = instants(p.Pacer, 10)
			if p.Workload != nil && len(data) < 1000 {
				_ = p.Workload.Request(1)
			}
		}
	})
}
