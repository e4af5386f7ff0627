package analysis

import (
	"encoding/json"
	"math"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp/cmpopts"
)

const (
	base = "1.4.0"
	cand = "1.5.0"
)

// load is simulated traffic: shares, rates and medians by arm. Its requests are
// assigned, followed and judged in the time of now.
type load struct {
	share  float64            // of the candidate
	errors map[string]float64 // rate, by arm
	slower float64            // factor on the candidate's times
	common float64            // factor on both arms' times
	second int                // requests a second, both arms
	rng    *rand.Rand
	now    time.Time

	expected   float64 // the share that this recorder expects:
	told       *Recorder
	generation uint64
	flying     []flying
}

// flying is a request that is under way.
type flying struct {
	Flight
	o Observation
}

func newLoad(seed uint64, share float64) *load {
	return &load{
		share: share, errors: map[string]float64{base: 0.01, cand: 0.01}, slower: 1, common: 1, second: 20,
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

// expect says what the shares are, under a new generation if they have changed.
func (l *load) expect(r *Recorder) {
	if l.told == r && l.expected == l.share {
		return
	}
	l.generation++
	l.told, l.expected = r, l.share
	if err := r.Expect(l.generation, map[string]float64{base: 1 - l.share, cand: l.share}); err != nil {
		panic(err)
	}
}

// begin assigns a request that will end as o says.
func (l *load) begin(r *Recorder, o Observation) {
	l.expect(r)
	f := r.Begin(Assigned{Arm: o.Arm, Unit: o.Unit, Generation: l.generation, Stream: o.TTFT > 0, At: l.now, Tenant: o.Tenant, Route: o.Route, Model: o.Model, InputTokens: o.InputTokens})
	o.At = l.now.Add(o.Latency)
	l.flying = append(l.flying, flying{f, o})
}

// end ends all requests that have ended by now, in that order.
func (l *load) end() {
	slices.SortStableFunc(l.flying, func(a, b flying) int { return a.o.At.Compare(b.o.At) })
	still := l.flying[:0]
	for _, f := range l.flying {
		begun := f.o.At.Add(-f.o.Latency)
		if f.o.TTFT > 0 && !begun.Add(f.o.TTFT).After(l.now) {
			f.First(begun.Add(f.o.TTFT))
		}
		if f.o.At.After(l.now) {
			still = append(still, f)
			continue
		}
		f.Done(f.o)
	}
	l.flying = still
}

// play plays n requests and judges each second. Stop, if it is not nil, ends it.
func (l *load) play(c *Comparison, n int, next func(i int) Observation, stop func(Judgement) bool) Judgement {
	var j Judgement
	for i := range n {
		l.begin(c.r, next(i))
		l.now = l.now.Add(time.Second / time.Duration(l.second))
		if i%l.second == l.second-1 || i == n-1 {
			l.end()
			if j = c.Judge(l.now); stop != nil && stop(j) {
				break
			}
		}
	}
	return j
}

// run plays n requests and judges each second.
func (l *load) run(c *Comparison, n int) Judgement {
	return l.play(c, n, func(int) Observation { return l.next() }, nil)
}

// rest lets the requests end that are under way, and judges each second.
func (l *load) rest(c *Comparison, seconds int) (j Judgement) {
	for range seconds {
		l.now = l.now.Add(time.Second)
		l.end()
		j = c.Judge(l.now)
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

// judge judges c as of now and checks the verdict and a part of its reason.
func judge(t testing.TB, c *Comparison, want Verdict, reason string) Judgement {
	t.Helper()
	j := c.Judge(time.Unix(1e9, 0)) // or later, if c has seen that
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
	j := l.run(c, 200)
	if j.Verdict != Continue {
		t.Fatalf("after 200 requests: %s (%s)", j.Verdict, j.Reason)
	}
	j = l.run(c, 6000)
	if j.Verdict != Safe {
		t.Errorf("verdict = %s (%s), want safe", j.Verdict, j.Reason)
	}
}

func TestVerdictOnErrors(t *testing.T) {
	c, l := compare(t, Plan{}), newLoad(2, 0.1)
	l.errors[cand] = 0.08
	if j := l.run(c, 8000); j.Verdict != Harmed || j.blamed().Metric != nameErrors {
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

// What is judged, stored and restored in another process is the same to the last
// bit, and goes on from there. Only what was under way is lost.
func TestRestartGoesOn(t *testing.T) {
	p := Plan{Metrics: append(DefaultMetrics(), Satisfaction())}
	whole, half := compare(t, p), compare(t, p)
	l1, l2 := newLoad(4, 0.3), newLoad(4, 0.3)
	l1.slower, l2.slower = 1.5, 1.5
	l1.run(whole, 1000)
	l2.run(half, 1000)
	data, err := json.Marshal(half.Evidence())
	if err != nil {
		t.Fatal(err)
	}
	if len(data) > 64<<10 {
		t.Errorf("the evidence takes %d bytes, want at most 64 KB", len(data))
	}
	var e Evidence
	if err := json.Unmarshal(data, &e); err != nil {
		t.Fatal(err)
	}
	lost := 0
	for _, f := range l2.flying {
		if f.o.Arm == cand {
			lost++
		}
	}
	l2.flying = nil
	again := compare(t, p)
	if err := again.Restore(e); err != nil {
		t.Fatal(err)
	}
	if diff := differences(half.Evidence(), again.Evidence(), cmpopts.EquateEmpty()); diff != "" {
		t.Errorf("restored evidence (-want +got):\n%s", diff)
	}
	want, got := l1.run(whole, 1000), l2.run(again, 1000)
	if got.Verdict != want.Verdict {
		t.Errorf("%s (%s), want %s (%s)", got.Verdict, got.Reason, want.Verdict, want.Reason)
	}
	if n := want.Candidate.Requests - got.Candidate.Requests; n < 0 || n != lost {
		t.Errorf("%d requests of the candidate are missing, but %d were under way", n, lost)
	}
	grown := false
	for i := range want.Metrics {
		a, b := math.Log(want.Metrics[i].Harm.Now), math.Log(got.Metrics[i].Harm.Now)
		t.Logf("%-14s ln E for harm %6.2f without a restart, %6.2f with one", want.Metrics[i].Metric, a, b)
		if math.Abs(a-b) > 1.5+0.25*math.Abs(a) {
			t.Errorf("%s: ln E for harm %v, want about %v", want.Metrics[i].Metric, b, a)
		}
		grown = grown || b > 2
	}
	if !grown {
		t.Error("no evidence has grown; the test is no test")
	}
}
