package evalue

import (
	"flag"
	"math"
	"math/rand/v2"
	"runtime"
	"slices"
	"sync"
	"sync/atomic"
	"testing"
	"time"
)

var runs = flag.Int("runs", 200, "simulated rollouts per row of TestValidity")

const alpha = 0.05

// stage is one look of a simulated rollout: sizes and the common base rate.
type stage struct {
	nb, nc int
	rate   float64
	slower float64 // of both arms' times, in standard deviations of their logs
}

// steady is looks at equal sizes and rates.
func steady(looks, nb, nc int, rate float64) []stage {
	s := make([]stage, looks)
	for i := range s {
		s[i] = stage{nb: nb, nc: nc, rate: rate}
	}
	return s
}

// ramp goes 5, 10, 25, 50 % in looks of size requests each, while the rate
// changes from one to the other at the third step, and the times with it.
func ramp(looks, size int, from, to float64) []stage {
	var s []stage
	for i, share := range []float64{0.05, 0.1, 0.25, 0.5} {
		nc := int(float64(size) * share)
		part := steady(looks/4, size-nc, nc, from)
		if i >= 2 {
			for j := range part {
				part[j].rate, part[j].slower = to, 1
			}
		}
		s = append(s, part...)
	}
	return s
}

// incident has a twelfth of the looks in which both arms fail ten times as often
// and take twice as long.
func incident(s []stage) []stage {
	for i := len(s) / 3; i < len(s)*5/12; i++ {
		s[i].rate, s[i].slower = 10*s[i].rate, math.Ln2/0.6
	}
	return s
}

// binom draws from a binomial distribution.
func binom(rng *rand.Rand, n int, p float64) (x int) {
	// Skipping from one event to the next is exact and quick when p is small.
	for i := geometric(rng, p); i < n; i += 1 + geometric(rng, p) {
		x++
	}
	return x
}

func geometric(rng *rand.Rand, p float64) int {
	return int(min(math.Log(1-rng.Float64())/math.Log1p(-p), 1e9))
}

// simulate carries out n seeded runs on all processors. Each worker gets its own
// run from newRun, so that what a run needs is made once.
func simulate(n int, seed uint64, newRun func() func(i int, rng *rand.Rand)) {
	var next atomic.Int64
	var wg sync.WaitGroup
	for range runtime.GOMAXPROCS(0) {
		wg.Go(func() {
			run := newRun()
			pcg := rand.NewPCG(0, 0)
			rng := rand.New(pcg)
			for {
				i := int(next.Add(1)) - 1
				if i >= n {
					return
				}
				pcg.Seed(seed, uint64(i)) // the same numbers whichever worker it is
				run(i, rng)
			}
		})
	}
	wg.Wait()
}

// crossings returns in what share of n simulated rollouts a test ever reaches
// 1/alpha.
func crossings(n int, seed uint64, newTest func() func(rng *rand.Rand) (crossed bool)) float64 {
	var count atomic.Int64
	simulate(n, seed, func() func(int, *rand.Rand) {
		test := newTest()
		return func(_ int, rng *rand.Rand) {
			if test(rng) {
				count.Add(1)
			}
		}
	})
	return float64(count.Load()) / float64(n)
}

// blocks is a rollout judged by a test in 2x2 blocks.
func blocks(plan []stage, newTest func() *TwoByTwo, cand func(base float64) float64) func() func(*rand.Rand) bool {
	return func() func(*rand.Rand) bool {
		e := newTest()
		return func(rng *rand.Rand) bool {
			*e = *NewTwoByTwo(0)
			for _, s := range plan {
				e.Block(binom(rng, s.nb, s.rate), s.nb, binom(rng, s.nc, cand(s.rate)), s.nc)
				if e.LogE() >= -math.Log(alpha) {
					return true
				}
			}
			return false
		}
	}
}

// sticky is a rollout of users with so many requests that share their user's
// fate, counted per user or, which is the trap, per request.
func sticky(cluster int, perUser bool) func() func(*rand.Rand) bool {
	return func() func(*rand.Rand) bool {
		e := NewTwoByTwo(0)
		return func(rng *rand.Rand) bool {
			*e = *NewTwoByTwo(0)
			const users = 40
			for range 60 {
				b, c, n := binom(rng, users, 0.01), binom(rng, users, 0.01), users
				if !perUser {
					b, c, n = b*cluster, c*cluster, n*cluster
				}
				e.Block(b, n, c, n)
				if e.LogE() >= -math.Log(alpha) {
					return true
				}
			}
			return false
		}
	}
}

// signs is a rollout judged by pairs of times, whose logs are normal.
func signs(plan []stage) func() func(*rand.Rand) bool {
	return func() func(*rand.Rand) bool {
		return func(rng *rand.Rand) bool {
			var p Pairs
			for _, s := range plan {
				for range min(s.nb, s.nc) {
					p.Add(10+s.slower+rng.NormFloat64(), 10+s.slower+rng.NormFloat64(), 1)
				}
				if p.LogE() >= -math.Log(alpha) {
					return true
				}
			}
			return false
		}
	}
}

// request is what one unit of a combined rollout shows: the log of its time, in
// standard deviations, and whether it failed. They depend on each other: a slow
// request fails more often.
type request struct {
	time   float64
	failed bool
}

func (r *request) draw(rng *rand.Rand, s stage) {
	z := rng.NormFloat64()
	r.time = z + s.slower
	r.failed = rng.Float64() < min(s.rate*math.Exp(z-0.5), 1) // on average at the rate
}

// combined is a rollout judged by the average of three tests: failures by 2x2
// blocks, times by pairs, and times beyond the 95th percentile of the quiet time
// by 2x2 blocks.
func combined(plan []stage) func() func(*rand.Rand) bool {
	return func() func(*rand.Rand) bool {
		fail, tail := NewTwoByTwo(0), NewTwoByTwo(0.05)
		base, cand := make([]request, 400), make([]request, 400)
		logE, weights := make([]float64, 3), []float64{4, 2, 1}
		return func(rng *rand.Rand) bool {
			*fail = *NewTwoByTwo(0)
			*tail = *NewTwoByTwo(0.05)
			var pairs Pairs
			for _, s := range plan {
				var failed, late [2]int
				for arm, of := range [][]request{base[:s.nb], cand[:s.nc]} {
					for i := range of {
						of[i].draw(rng, s)
						if of[i].failed {
							failed[arm]++
						}
						if of[i].time > 1.6449 {
							late[arm]++
						}
					}
				}
				fail.Block(failed[0], s.nb, failed[1], s.nc)
				tail.Block(late[0], s.nb, late[1], s.nc)
				for i := range min(s.nb, s.nc) {
					pairs.Add(10+base[i].time, 10+cand[i].time, 1)
				}
				logE[0], logE[1], logE[2] = fail.LogE(), pairs.LogE(), tail.LogE()
				if Average(logE, weights) >= -math.Log(alpha) {
					return true
				}
			}
			return false
		}
	}
}

// TestValidity simulates rollouts in which the null holds and checks how often
// a test ever says otherwise, looking after every block: at most alpha, plus
// three standard errors. One row counts dependent requests as if they were
// independent, and this simulation must see the difference. Its table is printed with -v:
//
//	go test ./internal/evalue -run Validity -runs 10000 -v
func TestValidity(t *testing.T) {
	harm := func() *TwoByTwo { return NewTwoByTwo(0) }
	equal := func(rate float64) float64 { return rate }
	drift, slowDrift := ramp(60, 400, 0.01, 0.03), ramp(1200, 20, 0.01, 0.03)
	began := time.Now()
	limit := alpha + 3*math.Sqrt(alpha*(1-alpha)/float64(*runs))
	t.Logf("%d runs a row, at most %.4f", *runs, limit)
	for seed, row := range []struct {
		name string
		trap bool
		test func() func(*rand.Rand) bool
	}{
		{"A1, 60 looks of 200+200", false, blocks(steady(60, 200, 200, 0.01), harm, equal)},
		{"A1, 60 looks of 360+40", false, blocks(steady(60, 360, 40, 0.01), harm, equal)},
		{"A1, 1,200 looks of 10+10", false, blocks(steady(1200, 10, 10, 0.01), harm, equal)},
		{"A1, 1,200 looks of 18+2", false, blocks(steady(1200, 18, 2, 0.01), harm, equal)},
		{"A1, 60 looks of 20+20, rate 30 %", false, blocks(steady(60, 20, 20, 0.3), harm, equal)},
		{"A1, ramp, rate 1 % throughout", false, blocks(ramp(60, 400, 0.01, 0.01), harm, equal)},
		{"A1, ramp, rate 1 -> 3 %", false, blocks(drift, harm, equal)},
		{"A1, ramp, rate 1 -> 3 %, 1,200 looks", false, blocks(slowDrift, harm, equal)},
		{"A1, ramp, rate 1 -> 0.2 %", false, blocks(ramp(60, 400, 0.01, 0.002), harm, equal)},
		{"A1, ramp, rate 1 -> 20 %", false, blocks(ramp(60, 400, 0.01, 0.2), harm, equal)},
		{"A1, incident on both arms", false, blocks(incident(steady(60, 200, 200, 0.01)), harm, equal)},
		{"A1, incident on both arms, 1,200 looks of 18+2", false, blocks(incident(steady(1200, 18, 2, 0.01)), harm, equal)},
		{"A1, users of 5 requests, per user", false, sticky(5, true)},
		{"A1, users of 5 requests, per request: a trap", true, sticky(5, false)},
		{"B4, 60 looks of 200+200", false, signs(steady(60, 200, 200, 0))},
		{"B4, 1,200 looks of 18+2", false, signs(steady(1200, 18, 2, 0))},
		{"B4, incident on both arms, 1,200 looks of 10+10", false, signs(incident(steady(1200, 10, 10, 0)))},
		{"combined, 60 looks of 200+200", false, combined(steady(60, 200, 200, 0.01))},
		{"combined, 60 looks of 360+40", false, combined(steady(60, 360, 40, 0.01))},
		{"combined, 1,200 looks of 10+10", false, combined(steady(1200, 10, 10, 0.01))},
		{"combined, 1,200 looks of 18+2", false, combined(steady(1200, 18, 2, 0.01))},
		{"combined, ramp, rate 1 -> 3 %, slower", false, combined(drift)},
		{"combined, ramp, rate 1 -> 3 %, 1,200 looks", false, combined(slowDrift)},
		{"combined, incident on both arms", false, combined(incident(steady(60, 200, 200, 0.01)))},
	} {
		got := crossings(*runs, uint64(seed+1), row.test)
		t.Logf("%-50s %.4f", row.name, got)
		switch {
		case !row.trap && got > limit:
			t.Errorf("%s: %.4f false alarms, want at most %.4f", row.name, got, limit)
		case row.trap && got < 2*limit:
			t.Errorf("%s: %.4f false alarms; a simulation that cannot see a trap shows nothing", row.name, got)
		}
	}
	t.Logf("took %v", time.Since(began).Round(time.Second))
}

// TestDetection checks that the tests are not merely careful: median numbers of
// candidate requests until harm is found, or safety proven.
func TestDetection(t *testing.T) {
	n := max(*runs/5, 200)
	needed := make([]int, n)
	median := func(seed uint64, newTest func() *TwoByTwo, cand float64) int {
		simulate(n, seed, func() func(int, *rand.Rand) {
			e := newTest()
			return func(i int, rng *rand.Rand) {
				*e = *NewTwoByTwo(0)
				needed[i] = 0
				for e.LogE() < -math.Log(alpha) && needed[i] < 12_000 {
					needed[i] += 10
					e.Block(binom(rng, 10, 0.01), 10, binom(rng, 10, cand), 10)
				}
			}
		})
		slices.Sort(needed)
		return needed[n/2]
	}
	harm := func() *TwoByTwo { return NewTwoByTwo(0) }
	for _, tt := range []struct {
		name   string
		median int
		atMost int
	}{
		{"errors 1 -> 5 %", median(1, harm, 0.05), 300},
		{"errors 1 -> 2 %", median(2, harm, 0.02), 2200},
	} {
		t.Logf("%-32s median %5d candidate requests", tt.name, tt.median)
		if tt.median > tt.atMost {
			t.Errorf("%s: median %d, want at most %d", tt.name, tt.median, tt.atMost)
		}
	}
}
