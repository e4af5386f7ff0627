package analysis

import (
	"errors"
	"fmt"
	"math"
	"math/rand/v2"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"
	"pgregory.net/rapid"

	"github.com/serin-go/serin/checks"
)

var mergePlan = Plan{Metrics: append(DefaultMetrics(), Satisfaction())}

// replicas serves the traffic of 2,000 users by n replicas at random, each with a
// comparison of its own, and one more that sees all of it.
func replicas(t testing.TB, n, seconds int, seed uint64, slower float64) (parts []*Comparison, union *Comparison) {
	l := newLoad(seed, 0.3)
	l.slower = slower
	union = compare(t, mergePlan)
	for range n {
		parts = append(parts, compare(t, mergePlan))
	}
	for _, c := range append(parts, union) {
		if err := c.r.Expect(1, map[string]float64{base: 7, cand: 3}); err != nil {
			t.Fatal(err)
		}
	}
	for range seconds {
		for range 40 {
			user := l.rng.IntN(2000)
			o := l.next()
			for o.Arm == cand != (mix(uint64(user)+seed)%10 < 3) {
				o = l.next()
			}
			o.Unit = fmt.Sprint("user ", user)
			if o.Class == OK {
				o.Score = 0.2 + 0.6*l.rng.Float64()
			}
			part := parts[l.rng.IntN(n)]
			for _, c := range []*Comparison{part, union} {
				a := Assigned{Arm: o.Arm, Unit: o.Unit, Generation: 1, Stream: o.TTFT > 0, At: l.now}
				f := o
				f.At = l.now.Add(o.Latency)
				l.flying = append(l.flying, flying{c.r.Begin(a), f})
			}
		}
		l.now = l.now.Add(time.Second)
		l.end()
		for _, c := range append(parts, union) {
			c.Judge(l.now)
		}
	}
	return parts, union
}

func gather(parts []*Comparison) []Evidence {
	var list []Evidence
	for _, c := range parts {
		list = append(list, c.Evidence())
	}
	return list
}

// Merged evidence equals the evidence of one comparison that has seen all requests: what is counted
// to the last one, and so is what is concluded, except what each replica expected of the
// baseline by what it knew itself.
func TestMergeEqualsUnion(t *testing.T) {
	for slower, want := range map[float64]Verdict{1: Safe, 1.5: Harmed} {
		parts, union := replicas(t, 3, 150, 1, slower)
		got, err := mergePlan.Merge(gather(parts)...)
		if err != nil {
			t.Fatal(err)
		}
		whole := union.Evidence()
		for i := range whole.Metrics {
			w, g := &whole.Metrics[i], &got.Metrics[i]
			t.Logf("%-13s ln E for harm %7.3f merged, %7.3f whole; for safety %7.3f and %7.3f", w.Name, g.Harm.LogE, w.Harm.LogE, g.Safe.LogE, w.Safe.LogE)
			if math.Abs(w.Harm.LogE-g.Harm.LogE) > 1.5+0.3*math.Abs(w.Harm.LogE) || math.Abs(w.Safe.LogE-g.Safe.LogE) > 1.5+0.3*math.Abs(w.Safe.LogE) {
				t.Errorf("%s: ln E %v and %v, want about %v and %v", w.Name, g.Harm.LogE, g.Safe.LogE, w.Harm.LogE, w.Safe.LogE)
			}
			for side, s := range [][2]*sampleEvidence{{&w.Baseline, &g.Baseline}, {&w.Candidate, &g.Candidate}} {
				if s[0].N != s[1].N || s[0].Events != s[1].Events || math.Abs(s[0].Value-s[1].Value) > 1e-9*s[0].Value {
					t.Errorf("%s, side %d: %+v, want %+v", w.Name, side, s[1], s[0])
				}
			}
		}
		for _, d := range []string{
			differences(whole.Baseline, got.Baseline), differences(whole.Candidate, got.Candidate),
			// Where two users share a slot, the union has seen which came first.
			differences(whole.Split, got.Split, cmp.Comparer(func(a, b int) bool { return a-b <= 20 && b-a <= 20 }),
				cmpopts.EquateApprox(1e-9, 1e-9), cmpopts.IgnoreFields(splitEvidence{}, "strength")),
			differences([][2]int{whole.Assigned, whole.Compared}, [][2]int{got.Assigned, got.Compared}),
		} {
			if d != "" {
				t.Errorf("(-whole +merged):\n%s", d)
			}
		}
		j, err := mergePlan.Judge(got, time.Unix(1e9, 0))
		k, also := mergePlan.Judge(whole, time.Unix(1e9, 0))
		// Each replica knows less of the baseline, so that a proof begins later.
		later := want == Safe && j.Verdict == Continue
		if err != nil || j.Verdict != want && !later || also != nil || k.Verdict != want {
			t.Errorf("times %v: %s (%s), %v; whole %s (%s), %v; want %s", slower, j.Verdict, j.Reason, err, k.Verdict, k.Reason, also, want)
		}
	}
}

// Replicas that are merged in another order, or after JSON, give the same evidence to the
// last bit. Merged in other groups, they differ by rounding only.
func TestMergeOrder(t *testing.T) {
	alone(t)
	rapid.Check(t, func(rt *rapid.T) {
		n := rapid.IntRange(2, 4).Draw(rt, "replicas")
		parts, _ := replicas(t, n, rapid.IntRange(0, 12).Draw(rt, "seconds"), rapid.Uint64().Draw(rt, "seed"), 1)
		list := gather(parts)
		all, err := mergePlan.Merge(list...)
		if err != nil {
			rt.Fatal(err)
		}
		order := make([]Evidence, n)
		indices := make([]int, n)
		for i := range n {
			indices[i] = i
		}
		for i, from := range rapid.Permutation(indices).Draw(rt, "order") {
			order[i] = viaJSON(t, list[from])
		}
		again, err := mergePlan.Merge(order...)
		if err != nil {
			rt.Fatal(err)
		}
		if diff := differences(all, again); diff != "" {
			rt.Errorf("the order matters (-want +got):\n%s", diff)
		}
		first, err := mergePlan.Merge(order[0], Evidence{}, order[1])
		if err != nil {
			rt.Fatal(err)
		}
		grouped, err := mergePlan.Merge(append([]Evidence{first}, order[2:]...)...)
		if err != nil {
			rt.Fatal(err)
		}
		// Encoded distributions hold a sum that is rounded by its order.
		rounded := cmp.Options{
			cmpopts.EquateApprox(1e-4, 1e-4),
			cmp.Comparer(func(a, b []byte) bool { return math.Abs(float64(len(a)-len(b))) <= 0.05*float64(len(a)) }),
		}
		if diff := differences(all, grouped, rounded); diff != "" {
			rt.Errorf("(-at once +in groups):\n%s", diff)
		}
	})
}

// A slot that several replicas have met counts once, where it was first.
func TestMergeCountsSlotsOnce(t *testing.T) {
	p := Plan{Metrics: []Metric{ErrorRate()}, Breakers: []Breaker{}}
	serve := func(c *Comparison, generation uint64, arm string, users ...string) Evidence {
		for g := range uint64(3) {
			if err := c.r.Expect(g, map[string]float64{base: 1, cand: 1}); err != nil {
				t.Fatal(err)
			}
		}
		at := time.Unix(1e9, 0)
		for _, u := range users {
			c.r.Begin(Assigned{Arm: arm, Unit: u, Generation: generation, At: at}).Done(Observation{Class: Error, At: at})
		}
		c.Judge(at.Add(time.Second))
		return c.Evidence()
	}
	users := []string{"a", "b", "c", "d", "e"}
	one := serve(compare(t, p), 1, base, users...)
	two := serve(compare(t, p), 1, base, append(users, "f")...)
	moved := serve(compare(t, p), 2, cand, "a", "b", "g")
	for _, tt := range []struct {
		name  string
		parts []Evidence
		want  [2]int
	}{
		{"alone", []Evidence{one}, [2]int{5, 0}},
		{"the same users twice", []Evidence{one, two}, [2]int{6, 0}},
		{"those who have moved", []Evidence{moved, one, two}, [2]int{6, 1}},
		{"those who have moved, alone", []Evidence{moved}, [2]int{0, 3}},
	} {
		e, err := p.Merge(tt.parts...)
		if err != nil {
			t.Fatal(err)
		}
		l := newLayout(p.withDefaults())
		state, _, err := l.decodeTests(e.Tests)
		if err != nil {
			t.Fatal(err)
		}
		var events [2]int
		for _, m := range state.epochs[0][0].marks {
			events[m.hit]++
		}
		if got := [2]int{e.Split.Baseline, e.Split.Candidate}; got != tt.want || events != tt.want {
			t.Errorf("%s: %v users and %v first events, want %v", tt.name, got, events, tt.want)
		}
	}
}

func TestMergeRefuses(t *testing.T) {
	parts, _ := replicas(t, 2, 10, 1, 1)
	list := gather(parts)
	var other *PlanError
	if _, err := (Plan{AlphaRollback: 0.01}).Merge(list...); !errors.As(err, &other) || other.Part != 0 {
		t.Errorf("another plan: %v", err)
	}
	strange := compare(t, Plan{}).Evidence()
	if _, err := mergePlan.Merge(list[0], strange); !errors.As(err, &other) || other.Part != 1 || other.Have != strange.Plan {
		t.Errorf("replicas with different plans: %v", err)
	}
	var invalid *checks.InvalidError
	for name, change := range map[string]func(e *Evidence){
		"another candidate":        func(e *Evidence) { e.Candidate.Arm = "1.6.0" },
		"tests are missing":        func(e *Evidence) { e.Tests = nil },
		"a sum without end":        func(e *Evidence) { e.Metrics[0].Safe.LogE = math.Inf(1) },
		"of the time before":       func(e *Evidence) { e.Format = 0 },
		"of a format that was":     func(e *Evidence) { e.Format = 1 },
		"of a format that will be": func(e *Evidence) { e.Format = 3 },
	} {
		bad := parts[1].Evidence()
		change(&bad)
		if _, err := mergePlan.Merge(list[0], bad); !errors.As(err, &invalid) {
			t.Errorf("%s: %v", name, err)
		}
		if bad.Format == evidenceFormat {
			continue
		}
		for what, err := range map[string]error{
			"judged":   func() error { _, err := mergePlan.Judge(bad, time.Unix(1e9, 0)); return err }(),
			"restored": compare(t, mergePlan).Restore(bad),
		} {
			if !errors.As(err, &invalid) || invalid.Field != "Evidence.Format" {
				t.Errorf("%s, %s: %v", name, what, err)
			}
		}
	}
	if _, err := (Plan{AlphaPromote: 7}).Merge(); !errors.As(err, &invalid) {
		t.Errorf("an invalid plan: %v", err)
	}
	empty, err := mergePlan.Merge()
	if err != nil {
		t.Fatal(err)
	}
	if j, err := mergePlan.Judge(empty, time.Unix(1e9, 0)); err != nil || j.Verdict != NoEvidence {
		t.Errorf("nothing merged: %s (%s), %v", j.Verdict, j.Reason, err)
	}
}

// Peaks of harm that were reached before stay when evidence is merged again; what was
// proven does not.
func TestKeepPeaks(t *testing.T) {
	parts, _ := replicas(t, 2, 100, 1, 2)
	before, err := mergePlan.Merge(gather(parts)...)
	if err != nil {
		t.Fatal(err)
	}
	parts, _ = replicas(t, 2, 10, 1, 1)
	now, err := mergePlan.Merge(gather(parts)...)
	if err != nil {
		t.Fatal(err)
	}
	at := time.Unix(1e9, 0)
	if j, err := mergePlan.Judge(now, at); err != nil || j.Verdict == Harmed {
		t.Fatalf("%s (%s), %v", j.Verdict, j.Reason, err)
	}
	if j, err := mergePlan.Judge(now.KeepPeaks(before), at); err != nil || j.Verdict != Harmed {
		t.Errorf("%s (%s), %v", j.Verdict, j.Reason, err)
	}
	if diff := differences(now, now.KeepPeaks(Evidence{evidence{Plan: "other"}})); diff != "" {
		t.Errorf("peaks of another plan are kept:\n%s", diff)
	}
	proven := before
	proven.Metrics = append([]metricEvidence(nil), before.Metrics...)
	proven.Metrics[0].Safe = strength{LogE: 9, Peak: 9}
	if got := now.KeepPeaks(proven).Metrics[0].Safe; got != now.Metrics[0].Safe {
		t.Errorf("a proof is kept that has gone: %+v", got)
	}
}

// FuzzTests merges whatever may stand in the state of the tests: it is refused, or gives
// evidence that is accepted again.
func FuzzTests(f *testing.F) {
	p := Plan{Metrics: []Metric{ErrorRate(), Latency(), ThumbsUp()}}
	c, l := compare(f, p), newLoad(1, 0.5)
	f.Add([]byte(nil))
	f.Add(c.Evidence().Tests)
	for i := range 3 {
		c.Stage(c.tests.stage+1, l.now)
		l.share = []float64{0.5, 0.2, 0.5}[i]
		l.run(c, 400)
		f.Add(c.Evidence().Tests)
	}
	good := c.Evidence()
	rng := rand.New(rand.NewPCG(1, 1))
	for range 20 {
		bad := append([]byte(nil), good.Tests...)
		for range 1 + rng.IntN(5) {
			bad[rng.IntN(len(bad))] = byte(rng.Uint32())
		}
		f.Add(bad)
	}
	f.Fuzz(func(t *testing.T, data []byte) {
		e := good
		e.Tests = data
		merged, err := p.Merge(e, good)
		if err != nil {
			var invalid *checks.InvalidError
			if !errors.As(err, &invalid) {
				t.Errorf("%v, want an InvalidError", err)
			}
			return
		}
		if _, err := p.Judge(viaJSON(t, merged), l.now); err != nil {
			t.Errorf("merged, but not judged: %v", err)
		}
		fresh := compare(t, p)
		if err := fresh.Restore(e); err != nil {
			t.Errorf("merged, but not restored: %v", err)
		}
		fresh.Judge(l.now)
	})
}
