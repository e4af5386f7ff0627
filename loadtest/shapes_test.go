package loadtest

import (
	"io"
	"math"
	"net/http"
	"os"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/serin-go/serin/checks/analysis"
	"github.com/serin-go/serin/loadtest/pace"
	"github.com/serin-go/serin/loadtest/workload"
)

func instants(p pace.Pacer, n int) (out []time.Duration) {
	for at := range p.Arrivals() {
		if len(out) == n {
			break
		}
		out = append(out, at)
	}
	return out
}

func TestGammaVariesAsAsked(t *testing.T) {
	for shape, want := range map[float64]float64{0.25: 2, 1: 1, 4: 0.5} {
		var g gaps
		var last time.Duration
		for _, at := range instants(pace.Gamma(10, shape, 7), 100_000) {
			g.add(time.Unix(0, 0).Add(at))
			last = at
		}
		if cv := g.cv(); cv < want*0.97 || cv > want*1.03 || math.Abs(last.Seconds()/10_000-1) > 0.03 {
			t.Errorf("shape %v: CV %v, want %v; the last at %v", shape, cv, want, last)
		}
		if diff := cmp.Diff(instants(pace.Gamma(10, shape, 7), 100), instants(pace.Gamma(10, shape, 7), 100)); diff != "" {
			t.Error(diff)
		}
	}
}

// TestShardsSendTheSameBytes compares what one process sends with what three do,
// at which instant.
func TestShardsSendTheSameBytes(t *testing.T) {
	sent := func(pacers ...pace.Pacer) map[string]string {
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
			p.Workload = workload.Synthetic{Input: workload.Length{Mean: 30, SD: 10}, Output: workload.Length{Mean: 9, SD: 3}, Prefix: 5, Prefixes: 3, Seed: 6}
			simulate(t, p)
		}
		return all
	}
	whole := pace.First(pace.Constant(3), 60)
	one := sent(whole)
	if diff := cmp.Diff(one, sent(pace.Shard(whole, 0, 3), pace.Shard(whole, 1, 3), pace.Shard(whole, 2, 3))); diff != "" || len(one) != 60 {
		t.Errorf("%d requests (-one +three):\n%s", len(one), diff)
	}
	if diff := cmp.Diff(one, sent(pace.Shard(whole, 0, 2), pace.After(pace.Shard(whole, 1, 2), 5*time.Second), pace.Shard(pace.First(pace.Constant(3), 14), 1, 2))); diff != "" {
		t.Errorf("with a share that was taken over (-one +three):\n%s", diff)
	}
}

func TestAzureTrace(t *testing.T) {
	f, err := os.Open("../../shared/data/azure_llm_2023_conv.csv")
	if err != nil {
		t.Skip("the trace is not here")
	}
	defer f.Close()
	trace, err := workload.ReadTrace(f, workload.TraceOptions{Scale: 60})
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
	p.Conversations = []workload.Conversation{{System: "Be brief.", Turns: []string{"What is seen?", "And heard?"}}}
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
		p.Model, p.Prompts, p.Workload = "", nil, workload.HTTP("", "/healthz", nil)
		report, err := Run(t.Context(), p)
		if err != nil || report.Classes[analysis.OK] != 1 || len(report.Faults) != 0 {
			t.Errorf("%v, %v", report, err)
		}
	})
}
