package rollout

import (
	"errors"
	"fmt"
	"math/rand/v2"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"

	"github.com/serin-go/serin/checks/analysis"
)

// seenBy returns the evidence of a process that has served n requests.
func seenBy(tb testing.TB, p analysis.Plan, seed uint64, n int) analysis.Evidence {
	tb.Helper()
	r, err := analysis.NewRecorder(p, "1.4.0", "1.5.0")
	if err != nil {
		tb.Fatal(err)
	}
	c, err := r.Comparison("1.5.0")
	if err != nil {
		tb.Fatal(err)
	}
	if err := r.Expect(1, map[string]float64{"1.4.0": 1, "1.5.0": 1}); err != nil {
		tb.Fatal(err)
	}
	rng := rand.New(rand.NewPCG(seed, 5))
	now := time.Unix(1e9, 0)
	for i := range n {
		latency := time.Duration((.5 + rng.ExpFloat64()) * float64(time.Second))
		now = now.Add(200 * time.Millisecond)
		r.Record(analysis.Observation{
			Class: analysis.OK, At: now, Arm: [...]string{"1.4.0", "1.5.0"}[rng.IntN(2)], Generation: 1,
			Unit: fmt.Sprint(rng.IntN(1e6)), Latency: latency, TTFT: latency / 3,
		})
		if i%50 == 49 || i == n-1 {
			c.Judge(now)
		}
	}
	return c.Evidence()
}

// TestFold adds up processes that come, change and go, and compares each sum with
// a merge of all of them.
func TestFold(t *testing.T) {
	p := analysis.Plan{Persist: -1, Metrics: []analysis.Metric{analysis.ErrorRate(), analysis.Latency()}}
	own := seenBy(t, p, 0, 20)
	var pool []analysis.Evidence
	for i := range uint64(12) {
		pool = append(pool, seenBy(t, p, i+1, 20+10*int(i)))
	}
	f, err := newFold(p, "1.4.0", "1.5.0")
	if err != nil {
		t.Fatal(err)
	}
	rng := rand.New(rand.NewPCG(1, 1))
	others := make(map[string]sharedEvidence)
	for round := range 40 {
		var changed []string
		for range 1 + rng.IntN(8) {
			key := fmt.Sprint("evidence/chat/1/process-", rng.IntN(60))
			if rng.IntN(5) == 0 {
				delete(others, key)
			} else {
				others[key] = sharedEvidence{arms: map[string]analysis.Evidence{"1.5.0": pool[rng.IntN(len(pool))]}}
			}
			changed = append(changed, key)
		}
		sum, left, err := f.sum(own, others, changed, 0)
		if left != nil || err != nil {
			t.Fatalf("round %d: %v, %v", round, left, err)
		}
		parts := []analysis.Evidence{own}
		for _, o := range others {
			parts = append(parts, o.arms["1.5.0"])
		}
		want, err := p.Merge(parts...)
		if err != nil {
			t.Fatal(err)
		}
		if d := cmp.Diff(asJSON(t, want, "tests", "values"), asJSON(t, sum, "tests", "values"), cmpopts.EquateApprox(1e-6, 1e-6)); d != "" {
			t.Fatalf("round %d, %d processes (-merged +folded):\n%s", round, len(others), d)
		}
	}
}

// Evidence that does not fit is left out and named, and counts again when it is replaced.
func TestFoldLeavesOut(t *testing.T) {
	p := analysis.Plan{Metrics: []analysis.Metric{analysis.ErrorRate()}}
	good := seenBy(t, p, 1, 30)
	damaged := good
	damaged.Tests = good.Tests[:len(good.Tests)/2]
	strange := good
	strange.Baseline.Arm = "1.3.0"
	for name, bad := range map[string]analysis.Evidence{"of another plan": seenBy(t, analysis.Plan{}, 1, 5), "damaged": damaged, "about another arm": strange} {
		t.Run(name, func(t *testing.T) {
			f, err := newFold(p, "1.4.0", "1.5.0")
			if err != nil {
				t.Fatal(err)
			}
			others := map[string]sharedEvidence{
				"a": {arms: map[string]analysis.Evidence{"1.5.0": good}}, "b": {arms: map[string]analysis.Evidence{"1.5.0": bad}},
				"c": {arms: map[string]analysis.Evidence{"1.5.0": good}}, "d": {arms: map[string]analysis.Evidence{"1.6.0": good, "1.5.0": {}}},
			}
			for round, changed := range [][]string{{"a", "b", "c", "d"}, nil, {"c"}} {
				sum, left, err := f.sum(good, others, changed, 0)
				var which *evidenceError
				if err != nil || !errors.As(left, &which) || which.key != "b" {
					t.Fatalf("round %d: left out %v, %v; want b", round, left, err)
				}
				if got, want := sum.Assigned[0]+sum.Assigned[1], 3*30; got != want {
					t.Errorf("round %d: %d requests, want %d", round, got, want)
				}
			}
			others["b"] = sharedEvidence{arms: map[string]analysis.Evidence{"1.5.0": good}}
			sum, left, err := f.sum(good, others, []string{"b"}, 0)
			if got := sum.Assigned[0] + sum.Assigned[1]; left != nil || err != nil || got != 4*30 {
				t.Errorf("after it was replaced: %d requests, %v, %v; want %d", got, left, err, 4*30)
			}
		})
	}
	// What this process has seen itself cannot be left out.
	f, _ := newFold(p, "1.4.0", "1.5.0")
	if _, _, err := f.sum(damaged, nil, nil, 0); err == nil {
		t.Error("damaged evidence of its own was added up")
	}
}

// BenchmarkFold is the leader's tick among many processes that write in turn.
//
//	go test ./rollout -run '^$' -bench Fold
func BenchmarkFold(b *testing.B) {
	p := analysis.Plan{}
	var pool []analysis.Evidence
	var packed []byte
	for i := range uint64(8) {
		e := seenBy(b, p, i, 600)
		pool = append(pool, e)
		packed, _ = packEvidence(map[string]analysis.Evidence{"1.5.0": e})
	}
	for _, n := range []int{100, 1000, 10_000} {
		b.Run(fmt.Sprint(n), func(b *testing.B) {
			f, err := newFold(p, "1.4.0", "1.5.0")
			if err != nil {
				b.Fatal(err)
			}
			others := make(map[string]sharedEvidence, n)
			var all []string
			for i := range n {
				key := fmt.Sprint("evidence/chat/1/process-", i)
				others[key] = sharedEvidence{arms: map[string]analysis.Evidence{"1.5.0": pool[i%len(pool)]}}
				all = append(all, key)
			}
			every := publishEvery(n, len(packed), time.Hour)
			if _, _, err := f.sum(pool[0], others, all, every); err != nil {
				b.Fatal(err)
			}
			for tick := 0; b.Loop(); tick++ {
				var changed []string
				from, to := phaseAt(tick, every), phaseAt(tick+1, every)
				for _, key := range all {
					if at := phaseOf(key); from <= at && at < to || to < from && (at >= from || at < to) {
						if _, err := unpackEvidence(packed); err != nil {
							b.Fatal(err)
						}
						changed = append(changed, key)
					}
				}
				sum, left, err := f.sum(pool[0], others, changed, every)
				if left != nil || err != nil {
					b.Fatal(left, err)
				}
				if _, err := p.Judge(sum, time.Unix(1e9, 0)); err != nil {
					b.Fatal(err)
				}
			}
			b.ReportMetric(float64(len(packed)), "bytes")
			b.ReportMetric(every.Seconds(), "period-s")
		})
	}
}

// phaseAt returns the phase of the processes that begin to write at a second.
func phaseAt(second int, every time.Duration) float64 {
	period := int(every / time.Second)
	return float64(second%period) / float64(period)
}
