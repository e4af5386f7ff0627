package analysis

import (
	"encoding/json"
	"errors"
	"maps"
	"math"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"
	"pgregory.net/rapid"
)

var mergePlan = Plan{Metrics: append(DefaultMetrics(), Satisfaction())}

// replicas serves traffic by n replicas in turn, each with a comparison of its
// own, and one besides that sees the blocks of all, one after the other.
func replicas(t testing.TB, n, looks int, seed uint64, slower float64) (parts []*Comparison, union *Comparison) {
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
	for look := range looks {
		part := parts[look%n]
		for range 40 {
			o := l.next()
			if o.Class == OK {
				o.Score = 0.2 + 0.6*l.rng.Float64()
			}
			for _, c := range []*Comparison{part, union} {
				c.r.Assign(o.Arm, "", 1)
				c.r.Record(o)
			}
		}
		l.now = l.now.Add(time.Second)
		part.Judge(l.now)
		union.Judge(l.now)
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

// Merged evidence is that of one comparison that has seen all blocks: what is
// counted to the last bit, sums to rounding. The log-likelihoods of rates differ
// as far as each replica expected another rate of the baseline.
func TestMergeEqualsUnion(t *testing.T) {
	parts, union := replicas(t, 3, 150, 1, 1.1)
	got, err := mergePlan.Merge(gather(parts)...)
	if err != nil {
		t.Fatal(err)
	}
	want := union.Evidence()
	for i := range want.Metrics {
		w, g := &want.Metrics[i], &got.Metrics[i]
		kind := mergePlan.Metrics[i].Kind
		t.Logf("%-13s ln E for harm %7.3f merged, %7.3f whole; for safety %7.3f and %7.3f", w.Name, g.Harm.LogE, w.Harm.LogE, g.Safe.LogE, w.Safe.LogE)
		exact := map[Kind]int{Rate: 2, Amount: 2, Score: 1}[kind]
		if diff := cmp.Diff(w.Harm.Sums[:exact], g.Harm.Sums[:exact]); diff != "" {
			t.Errorf("%s: counts for harm (-whole +merged):\n%s", w.Name, diff)
		}
		if diff := cmp.Diff(w.Contrast, g.Contrast, cmpopts.EquateApprox(1e-9, 1e-12)); diff != "" {
			t.Errorf("%s: contrast (-whole +merged):\n%s", w.Name, diff)
		}
		if kind == Amount && !cmp.Equal(w.Safe.Sums, g.Safe.Sums) {
			t.Errorf("%s: pairs %v, want %v", w.Name, g.Safe.Sums, w.Safe.Sums)
		}
		if math.Abs(w.Harm.LogE-g.Harm.LogE) > 1+0.1*math.Abs(w.Harm.LogE) || math.Abs(w.Safe.LogE-g.Safe.LogE) > 1+0.1*math.Abs(w.Safe.LogE) {
			t.Errorf("%s: ln E %v and %v, want about %v and %v", w.Name, g.Harm.LogE, g.Safe.LogE, w.Harm.LogE, w.Safe.LogE)
		}
		for side, s := range [][2]*Sample{{&w.Baseline, &g.Baseline}, {&w.Candidate, &g.Candidate}} {
			if s[0].N != s[1].N || s[0].Events != s[1].Events || math.Abs(s[0].Value-s[1].Value) > 1e-9*s[0].Value {
				t.Errorf("%s, side %d: %+v, want %+v", w.Name, side, s[1], s[0])
			}
		}
	}
	for _, d := range []string{
		cmp.Diff(want.Baseline, got.Baseline), cmp.Diff(want.Candidate, got.Candidate),
		cmp.Diff(want.Split, got.Split, cmpopts.EquateApprox(1e-9, 1e-9), cmpopts.IgnoreFields(Strength{}, "Peak")),
	} {
		if d != "" {
			t.Errorf("(-whole +merged):\n%s", d)
		}
	}
	j, err := mergePlan.Judge(got, time.Unix(1e9, 0))
	if err != nil || j.Verdict != union.Judge(time.Unix(1e9, 0)).Verdict {
		t.Errorf("%s (%s), %v", j.Verdict, j.Reason, err)
	}
}

// It does not matter in which order replicas are merged, nor how they are
// grouped, nor whether they come as JSON.
func TestMergeOrder(t *testing.T) {
	rapid.Check(t, func(rt *rapid.T) {
		n := rapid.IntRange(2, 4).Draw(rt, "replicas")
		parts, _ := replicas(t, n, rapid.IntRange(0, 12).Draw(rt, "looks"), rapid.Uint64().Draw(rt, "seed"), 1)
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
			order[i] = list[from]
		}
		first, err := mergePlan.Merge(order[0], Evidence{}, order[1])
		if err != nil {
			rt.Fatal(err)
		}
		data, err := json.Marshal(first)
		if err != nil {
			rt.Fatal(err)
		}
		var read Evidence
		if err := json.Unmarshal(data, &read); err != nil {
			rt.Fatal(err)
		}
		grouped, err := mergePlan.Merge(append([]Evidence{read}, order[2:]...)...)
		if err != nil {
			rt.Fatal(err)
		}
		// Encoded distributions hold a sum that is rounded by its order.
		rounded := cmp.Options{
			cmpopts.EquateApprox(1e-9, 1e-9),
			cmp.Comparer(func(a, b []byte) bool { return len(a) == len(b) }),
			cmp.Comparer(func(a, b map[Class]int) bool { return maps.Equal(a, b) }),
		}
		if diff := cmp.Diff(all, grouped, rounded); diff != "" {
			rt.Errorf("(-at once +in groups):\n%s", diff)
		}
	})
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
	var invalid *InvalidError
	bad := parts[1].Evidence()
	bad.Candidate.Arm = "1.6.0"
	if _, err := mergePlan.Merge(list[0], bad); !errors.As(err, &invalid) {
		t.Errorf("another candidate: %v", err)
	}
	bad = parts[1].Evidence()
	bad.Metrics[0].Safe.Sums = nil
	if _, err := mergePlan.Merge(list[0], bad); !errors.As(err, &invalid) {
		t.Errorf("sums are missing: %v", err)
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

// Peaks that were reached before stay when evidence is merged anew.
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
	if diff := cmp.Diff(now, now.KeepPeaks(Evidence{Plan: "other"})); diff != "" {
		t.Errorf("peaks of another plan are kept:\n%s", diff)
	}
}
