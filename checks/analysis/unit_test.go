package analysis

import (
	"math"
	"math/rand/v2"
	"strconv"
	"testing"
	"time"
)

// sticky is traffic of users who send five requests each, spread over several
// seconds, all of which share a fate.
func sticky(t *testing.T, seed uint64, share func(second int) float64) bool {
	c := compare(t, Plan{Unit: PerUser, Breakers: []Breaker{}})
	rng := rand.New(rand.NewPCG(seed, 11))
	l := newLoad(seed, 0.5)
	type user struct {
		name       string
		o          Observation
		generation uint64
		left       int
	}
	var users []user
	next := 0
	for second := range 60 {
		l.share = share(second)
		l.expect(c.r)
		for range 8 {
			users = append(users, user{name: strconv.Itoa(next), o: l.next(), generation: l.generation, left: 5})
			next++
		}
		var still []user
		for _, u := range users {
			for u.left > 0 && rng.Float64() < 0.6 {
				u.o.At = l.now.Add(u.o.Latency)
				// One who stays is of the generation in which chance has decided.
				f := c.r.Begin(Assigned{Arm: u.o.Arm, Unit: u.name, Generation: u.generation, At: l.now, Stream: u.o.TTFT > 0})
				l.flying = append(l.flying, flying{f, u.o})
				u.left--
			}
			if u.left > 0 {
				still = append(still, u)
			}
		}
		users = still
		l.now = l.now.Add(time.Second)
		l.end()
		if c.Judge(l.now).Verdict == Harmed {
			return true
		}
	}
	return false
}

// Users whose requests share a fate: harm is found in no more equal candidates than
// promised, also on a ramp.
func TestStickyUsers(t *testing.T) {
	count := func(share func(int) float64) float64 {
		n := 0
		for seed := range *runs {
			if sticky(t, uint64(seed), share) {
				n++
			}
		}
		return float64(n) / float64(*runs)
	}
	limit := 0.05 + 3*math.Sqrt(0.05*0.95/float64(*runs))
	even := count(func(int) float64 { return 0.5 })
	onRamp := count(func(second int) float64 { return []float64{0.05, 0.1, 0.25, 0.5}[second/15] })
	t.Logf("five requests a user, nothing wrong: harmed %.3f, %.3f on a ramp", even, onRamp)
	if even > limit || onRamp > limit {
		t.Errorf("harmed %.3f and %.3f, want at most %.3f", even, onRamp, limit)
	}
}

// What few users suffer is no evidence, however many requests they send: of each slot
// the first failure counts, and twelve groups of slots are the least that do.
func TestOneUserProvesNothing(t *testing.T) {
	for _, tt := range []struct {
		users int
		want  Verdict
	}{{1, Continue}, {3, Continue}, {400, Harmed}} {
		c, l := compare(t, Plan{Unit: PerUser, Breakers: []Breaker{}}), newLoad(1, 0.5)
		arms := map[bool]string{false: base, true: cand}
		j := l.play(c, 4000, func(i int) Observation {
			user := l.rng.IntN(1000)
			o := l.next()
			o.Unit, o.Arm = strconv.Itoa(user), arms[mix(uint64(user)+5)&1 == 1]
			if i%2 == 0 { // the candidate's own users
				for user = l.rng.IntN(tt.users); mix(uint64(user)+5)&1 == 0; user++ {
				}
				o = Observation{Arm: cand, Unit: strconv.Itoa(user), Class: Error}
				if tt.users > 3 && l.rng.IntN(2) == 0 {
					o.Class = OK
				}
			}
			return o
		}, func(j Judgement) bool { return j.Split.Mismatch.Reached() })
		_ = j
		e := c.Evidence()
		if got := e.Metrics[0].Harm.LogE >= math.Log(20); got != (tt.want == Harmed) {
			t.Errorf("%d users: ln E %v, want %s", tt.users, e.Metrics[0].Harm.LogE, tt.want)
		}
	}
}

// Assignments of a unit count once, on whichever arm.
func TestAssignedUnitsCountOnce(t *testing.T) {
	c := compare(t, Plan{Unit: PerUser})
	if err := c.r.Expect(0, map[string]float64{base: 1, cand: 1}); err != nil {
		t.Fatal(err)
	}
	at := time.Unix(1e9, 0)
	for i := range 1000 {
		c.r.Begin(Assigned{Arm: []string{base, cand}[i%2], Unit: strconv.Itoa(i % 10), At: at}).Done(Observation{Class: OK, At: at})
		if i%100 == 99 {
			at = at.Add(time.Second)
			c.Judge(at)
		}
	}
	if s := c.Judge(at).Split; s.Baseline != 5 || s.Candidate != 5 {
		t.Errorf("%+v, want 5 users each", s)
	}
}

// A unit has the same slot in every process, and slots are even.
func TestSlots(t *testing.T) {
	// Computed apart: FNV-1a and the finaliser of splitmix64.
	if a, b := slotOf("user 1"), slotOf("user 2"); a != 11774 || b != 13470 {
		t.Errorf("%d and %d", a, b)
	}
	var counts [slots / 64]int
	const n = 64 * 256
	for i := range n {
		counts[slotOf("user "+strconv.Itoa(i))/64]++
	}
	chi := 0.0
	for _, c := range counts {
		d := float64(c) - float64(n)/float64(len(counts))
		chi += d * d / (float64(n) / float64(len(counts)))
	}
	if k := float64(len(counts) - 1); chi > k+4*math.Sqrt(2*k) || chi < k-4*math.Sqrt(2*k) {
		t.Errorf("chi square of %v with %v degrees of freedom", chi, k)
	}
}
