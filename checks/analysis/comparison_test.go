package analysis

import (
	"encoding/json"
	"math"
	"math/rand/v2"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"
)

const (
	base = "1.4.0"
	cand = "1.5.0"
)

// load is simulated traffic: shares, rates and medians by arm.
type load struct {
	share  float64            // of the candidate
	errors map[string]float64 // rate, by arm
	slower float64            // factor on the candidate's times
	common float64            // factor on both arms' times
	rng    *rand.Rand
	now    time.Time
}

func newLoad(seed uint64, share float64) *load {
	return &load{
		share: share, errors: map[string]float64{base: 0.01, cand: 0.01}, slower: 1, common: 1,
		rng: rand.New(rand.NewPCG(seed, 1)), now: time.Unix(1e9, 0).UTC(),
	}
}

func (l *load) next() Observation {
	o := Observation{At: l.now, Class: OK, Arm: base, InputTokens: 100, OutputTokens: 60}
	if l.rng.Float64() < l.share {
		o.Arm = cand
	}
	f := l.common
	if o.Arm == cand {
		f *= l.slower
	}
	if l.rng.Float64() < l.errors[o.Arm] {
		o.Class = Error
		return o
	}
	wait := func(median float64) time.Duration {
		return time.Duration(f * median * math.Exp(0.6*l.rng.NormFloat64()) * 1e9)
	}
	o.TTFT, o.ITL = wait(0.2), wait(0.02)
	o.Latency = o.TTFT + 60*o.ITL
	o.Cost = Money(400 * math.Exp(0.4*l.rng.NormFloat64()))
	return o
}

// run records n requests and judges after every ten, a second each.
func (l *load) run(c *Comparison, n int) Judgement {
	var j Judgement
	for i := range n {
		c.r.Record(l.next())
		if i%10 == 9 {
			l.now = l.now.Add(time.Second)
			j = c.Judge(l.now)
		}
	}
	return j
}

// viaJSON returns what is read back from v in JSON, as a store would keep it.
func viaJSON[T any](t testing.TB, v T) (back T) {
	t.Helper()
	data, err := json.Marshal(v)
	if err != nil {
		t.Fatal(err)
	}
	if err := json.Unmarshal(data, &back); err != nil {
		t.Fatal(err)
	}
	return back
}

// judge judges c and checks the verdict and a part of its reason.
func judge(t testing.TB, c *Comparison, want Verdict, reason string) Judgement {
	t.Helper()
	j := c.Judge(time.Unix(1e9, 0))
	if j.Verdict != want || !strings.Contains(j.Reason, reason) {
		t.Errorf("%s (%s), want %s (%s)", j.Verdict, j.Reason, want, reason)
	}
	return j
}

func compare(t testing.TB, p Plan) *Comparison {
	t.Helper()
	r, err := NewRecorder(p, base, cand)
	if err != nil {
		t.Fatal(err)
	}
	c, err := r.Comparison(cand)
	if err != nil {
		t.Fatal(err)
	}
	return c
}

func TestVerdictOnGoodCandidate(t *testing.T) {
	c, l := compare(t, Plan{}), newLoad(1, 0.5)
	j := l.run(c, 20)
	if j.Verdict != Continue {
		t.Fatalf("after 20 requests: %s (%s)", j.Verdict, j.Reason)
	}
	j = l.run(c, 6000)
	if j.Verdict != Safe {
		t.Errorf("verdict = %s (%s), want safe", j.Verdict, j.Reason)
	}
}

func TestVerdictOnErrors(t *testing.T) {
	c, l := compare(t, Plan{}), newLoad(2, 0.1)
	l.errors[cand] = 0.08
	if j := l.run(c, 5000); j.Verdict != Harmed || j.blamed().Metric != nameErrors {
		t.Errorf("verdict = %s (%s), want harmed by errors", j.Verdict, j.Reason)
	}
}

func TestVerdictOnLatency(t *testing.T) {
	c, l := compare(t, Plan{}), newLoad(3, 0.1)
	l.slower = 1.6
	if j := l.run(c, 3000); j.Verdict != Harmed {
		t.Errorf("verdict = %s (%s), want harmed", j.Verdict, j.Reason)
	}
}

// What is judged, stored, restored in another process and judged on is the same
// as what is judged without an interruption.
func TestRestartContinuesExactly(t *testing.T) {
	p := Plan{Metrics: append(DefaultMetrics(), Satisfaction())}
	whole, half := compare(t, p), compare(t, p)
	l1, l2 := newLoad(4, 0.3), newLoad(4, 0.3)
	l1.run(whole, 1000)
	l2.run(half, 1000)
	data, err := json.Marshal(half.Evidence())
	if err != nil {
		t.Fatal(err)
	}
	if len(data) > 32<<10 {
		t.Errorf("the evidence takes %d bytes, want at most 32 KB", len(data))
	}
	var e Evidence
	if err := json.Unmarshal(data, &e); err != nil {
		t.Fatal(err)
	}
	again := compare(t, p)
	if err := again.Restore(e); err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(half.Evidence(), again.Evidence(), cmpopts.EquateEmpty()); diff != "" {
		t.Errorf("restored evidence (-want +got):\n%s", diff)
	}
	want, got := l1.run(whole, 1000), l2.run(again, 1000)
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("judgement (-want +got):\n%s", diff)
	}
	if diff := cmp.Diff(whole.Evidence(), again.Evidence(), cmpopts.EquateApprox(1e-12, 0)); diff != "" {
		t.Errorf("evidence (-want +got):\n%s", diff)
	}
}
