package analysis

import (
	"errors"
	"math"
	"math/rand/v2"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/serin-go/serin/checks"
)

// splitLoad serves traffic under a split that changes with every look, each look
// a generation of its own. It is off by a factor of the odds.
func splitLoad(t *testing.T, c *Comparison, looks int, off float64) Judgement {
	t.Helper()
	rng := rand.New(rand.NewPCG(1, 9))
	l := newLoad(2, 0.5)
	if c.r.looked > 0 {
		l.now = time.Unix(0, c.r.looked)
	}
	l.told = c.r
	var j Judgement
	for range looks {
		share := 0.05 + 0.9*rng.Float64()
		l.generation++
		if err := c.r.Expect(l.generation, map[string]float64{base: 1 - share, cand: share}); err != nil {
			t.Fatal(err)
		}
		l.share = share * off / (share*off + 1 - share)
		l.expected = l.share
		j = l.run(c, 20)
	}
	return j
}

// Weights that change every second are fine; traffic that does not follow them
// freezes the verdict.
func TestSplitThatNeverRests(t *testing.T) {
	alone(t)
	c := compare(t, Plan{})
	j := splitLoad(t, c, 600, 1)
	if j.Verdict != Safe && j.Verdict != Continue || j.Split.Mismatch.Reached() {
		t.Errorf("%s (%s), split %+v", j.Verdict, j.Reason, j.Split)
	}
	if n := j.Split.Baseline + j.Split.Candidate; n != 12_000 || math.Abs(j.Split.Expected-float64(j.Split.Candidate)) > 300 {
		t.Errorf("of 12,000 assignments the split knows %+v", j.Split)
	}
	c = compare(t, Plan{})
	j = splitLoad(t, c, 500, 1.5)
	if j.Verdict != Unmeasurable || !strings.Contains(j.Reason, "not split as intended") {
		t.Errorf("odds off by half: %s (%s)", j.Verdict, j.Reason)
	}
	// It stays, and survives a restart.
	again := compare(t, Plan{})
	if err := again.Restore(c.Evidence()); err != nil {
		t.Fatal(err)
	}
	if diff := differences(c.Evidence().Split, again.Evidence().Split); diff != "" {
		t.Errorf("restored (-want +got):\n%s", diff)
	}
	if j = splitLoad(t, again, 300, 1); j.Verdict != Unmeasurable {
		t.Errorf("after a restart: %s (%s)", j.Verdict, j.Reason)
	}
}

// Of traffic that is not split as intended nothing is safe, and harm needs ten times
// the limit: harm is taken away nevertheless.
func TestMismatchFreezes(t *testing.T) {
	for _, tt := range []struct {
		name     string
		errors   float64
		breakers []Breaker
		want     Verdict
	}{
		{"equal", 0.01, nil, Unmeasurable},
		{"worse", 0.1, []Breaker{}, Harmed},
		{"catastrophe", 0.9, nil, Harmed},
	} {
		c, l := compare(t, Plan{Breakers: tt.breakers}), newLoad(2, 0.5)
		l.errors[cand] = tt.errors
		l.told, l.expected, l.share = c.r, 0.5, 0.5
		if err := c.r.Expect(0, map[string]float64{base: 6, cand: 4}); err != nil {
			t.Fatal(err)
		}
		if j := l.run(c, 6000); j.Verdict != tt.want || !j.Split.Mismatch.Reached() {
			t.Errorf("%s: %s (%s), want %s", tt.name, j.Verdict, j.Reason, tt.want)
		}
	}
	// Between the limit and ten times that the alarm decides.
	j := Judgement{Harm: Proof{E: 100, Limit: 20}, Metrics: []Finding{{Role: Gate}}}
	if !j.harmShown() {
		t.Error("five times the limit is no harm")
	}
	j.Split.Mismatch = Proof{E: 100, Limit: 100}
	if j.harmShown() {
		t.Error("five times the limit is harm although the split is in doubt")
	}
	if j.Harm.E = 200; !j.harmShown() {
		t.Error("ten times the limit is no harm")
	}
}

// What a generation's shares say holds for its assignments, whenever they come.
func TestGenerations(t *testing.T) {
	c := compare(t, Plan{})
	expect := func(g uint64, share float64) {
		t.Helper()
		if err := c.r.Expect(g, map[string]float64{base: 1 - share, cand: share, "elsewhere": 3}); err != nil {
			t.Fatal(err)
		}
	}
	assign := func(g uint64, nb, nc int) {
		for range nb {
			c.r.Assign(base, "", g)
		}
		for range nc {
			c.r.Assign(cand, "", g)
		}
	}
	now := int64(1e9)
	check := func(when string, nb, nc int, expected float64) {
		t.Helper()
		now++
		s := c.Judge(time.Unix(now, 0)).Split
		if s.Baseline != nb || s.Candidate != nc || math.Abs(s.Expected-expected) > 1e-9 {
			t.Errorf("%s: %d and %d with %v expected, want %d, %d and %v", when, s.Baseline, s.Candidate, s.Expected, nb, nc, expected)
		}
	}
	assign(7, 5, 5)
	check("nothing expected", 0, 0, 0)
	expect(7, 0.5)
	check("expected after it came", 0, 0, 0)
	assign(7, 5, 5)
	check("expected", 5, 5, 5)
	expect(8, 0.1)
	assign(8, 9, 1)
	assign(7, 2, 2) // a late one of the generation before
	check("two generations", 16, 8, 8)
	expect(8, 0.5) // the same generation with other shares, from now on
	assign(8, 3, 3)
	check("changed", 19, 11, 11)
	expect(7+generations, 0.5)
	assign(7+generations, 1, 1)
	assign(7, 10, 10) // too late
	check("a slot that was taken", 20, 12, 12)
	expect(7+generations, 0) // the same generation, rolled back
	assign(7+generations, 5, 1)
	check("one that was on its way", 20, 12, 12)
	expect(1<<40+9, 0)
	assign(1<<40+9, 10, 0)
	check("nothing meant for the candidate, nothing to compare", 20, 12, 12)
	assign(1<<40+9, 0, 1)
	if s := c.Judge(time.Unix(1e9, 0)); s.Verdict == Safe || !s.Split.Mismatch.Reached() {
		t.Errorf("an assignment where none may be: %+v", s.Split)
	}
}

func TestExpectRefuses(t *testing.T) {
	c := compare(t, Plan{})
	for name, shares := range map[string]map[string]float64{
		"none": nil, "zero": {base: 0, cand: 0}, "unknown arms alone": {"elsewhere": 1},
		"negative": {base: 1, cand: -1}, "NaN": {base: 1, cand: math.NaN()}, "infinite": {base: 1, cand: math.Inf(1)},
	} {
		var invalid *checks.InvalidError
		if err := c.r.Expect(1, shares); !errors.As(err, &invalid) {
			t.Errorf("%s: %v, want an InvalidError", name, err)
		}
	}
	c.r.Assign(cand, "", 1)
	c.r.Assign("elsewhere", "", 1)
	if j := c.Judge(time.Unix(1e9, 0)); j.Split.Candidate != 0 {
		t.Errorf("what was refused is expected: %+v", j.Split)
	}
	e := c.Evidence()
	e.Split.Expected = 5
	if err := compare(t, Plan{}).Restore(e); err == nil {
		t.Error("evidence of a split that cannot be is restored")
	}
}

func TestConcurrentAssignments(t *testing.T) {
	c := compare(t, Plan{})
	if err := c.r.Expect(3, map[string]float64{base: 1, cand: 1}); err != nil {
		t.Fatal(err)
	}
	var wg sync.WaitGroup
	for g := range 8 {
		wg.Go(func() {
			for range 500 {
				c.r.Arm([]string{base, cand}[g%2]).Assign("", 3)
			}
		})
	}
	for range 10 {
		c.Judge(time.Unix(1e9, 0))
	}
	wg.Wait()
	if s := c.Judge(time.Unix(1e9, 0)).Split; s.Baseline != 2000 || s.Candidate != 2000 {
		t.Errorf("%+v, want 2,000 each", s)
	}
}

func BenchmarkAssign(b *testing.B) {
	r := benchRecorder(b)
	arm := r.Arm(cand)
	b.ReportAllocs()
	b.RunParallel(func(pb *testing.PB) {
		for pb.Next() {
			arm.Assign("", 5)
		}
	})
}
