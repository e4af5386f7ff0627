package analysis

import (
	"math"
	"math/rand/v2"
	"strconv"
	"strings"
	"testing"
	"time"
)

// sticky is traffic of users who send five requests each, spread over several
// looks, all of which share a fate.
func sticky(t *testing.T, seed uint64, unit Unit, share func(look int) float64) (harmed bool, requests int) {
	c := compare(t, Plan{Unit: unit, Breakers: []Breaker{}})
	rng := rand.New(rand.NewPCG(seed, 11))
	l := newLoad(seed, 0.5)
	type user struct {
		name string
		arm  string
		o    Observation
		left int
	}
	var users []user
	next := 0
	for look := range 60 {
		for range 20 {
			l.share = share(look)
			o := l.next()
			users = append(users, user{name: strconv.Itoa(next), arm: o.Arm, o: o, left: 5})
			next++
		}
		var still []user
		for _, u := range users {
			for u.left > 0 && rng.Float64() < 0.6 {
				o := u.o
				o.Unit = u.name
				c.r.Assign(u.arm, u.name, 0)
				c.r.Record(o)
				u.left--
			}
			if u.left > 0 {
				still = append(still, u)
			}
		}
		users = still
		l.now = l.now.Add(time.Second)
		if j := c.Judge(l.now); j.Verdict == Harmed {
			return true, j.Candidate.Requests
		}
	}
	return false, 0
}

// Users whose requests share a fate: counted per user, harm is found in no more
// candidates than promised, also on a ramp; counted per request, in far more.
func TestStickyUsers(t *testing.T) {
	count := func(unit Unit, share func(int) float64) float64 {
		n := 0
		for seed := range *runs {
			if harmed, _ := sticky(t, uint64(seed), unit, share); harmed {
				n++
			}
		}
		return float64(n) / float64(*runs)
	}
	half := func(int) float64 { return 0.5 }
	limit := 0.05 + 3*math.Sqrt(0.05*0.95/float64(*runs))
	perUser := count(PerUser, half)
	onRamp := count(PerSession, func(look int) float64 { return []float64{0.05, 0.1, 0.25, 0.5}[look/15] })
	perRequest := count(PerRequest, half)
	t.Logf("five requests a user, nothing wrong: harmed %.3f per user, %.3f per session on a ramp, %.3f per request", perUser, onRamp, perRequest)
	if perUser > limit || onRamp > limit {
		t.Errorf("harmed %.3f and %.3f, want at most %.3f", perUser, onRamp, limit)
	}
	if perRequest < 0.2 {
		t.Errorf("counted per request %.3f are harmed; the test is no test", perRequest)
	}
}

// A unit counts once in each metric, with its first value there; classes and
// breakers count requests.
func TestUnitsCountOnce(t *testing.T) {
	c := compare(t, Plan{Unit: PerUser, Metrics: append(DefaultMetrics(), Satisfaction())})
	feedUser := func(arm, user string, n int, o Observation) {
		o.Unit = user
		feed(c, arm, n, o)
	}
	feedUser(base, "a", 3, Observation{Class: Error})
	feedUser(base, "a", 3, Observation{Class: OK, TTFT: time.Second})
	feedUser(base, "a", 1, Observation{Class: OK, TTFT: time.Minute, Score: 1})
	feedUser(base, "b", 2, Observation{Class: OK, TTFT: time.Second})
	feedUser(cand, "a", 1, Observation{Class: OK, TTFT: time.Second})
	feed(c, cand, 10, Observation{Class: OK, TTFT: time.Second}) // without a unit: the ten count as one
	j := c.Judge(time.Unix(1e9, 0))
	for i, want := range map[int][4]float64{0: {2, 2, 0.5, 0}, 1: {2, 2, 1, 1}, 6: {2, 2, 0.5, 0}, 8: {2, 2, 0, 0}, 9: {1, 0, 1, 0}} {
		f := j.Metrics[i]
		got := [4]float64{float64(f.BaselineN), float64(f.CandidateN), f.Baseline, f.Candidate}
		for k := range got {
			if math.Abs(got[k]-want[k]) > 0.02 {
				t.Errorf("%s: %v, want %v", f.Metric, got, want)
				break
			}
		}
	}
	if j.Baseline.Requests != 9 || j.Baseline.Units != 2 || j.Candidate.Units != 2 {
		t.Errorf("%+v and %+v", j.Baseline, j.Candidate)
	}
	if !strings.Contains(j.Reason, "2 of 50 users of 1.5.0") {
		t.Errorf("reason %q", j.Reason)
	}
	feedUser(cand, "c", 50, Observation{Class: Error})
	if j := c.Judge(time.Unix(1e9+1, 0)); j.Verdict != Harmed || !strings.Contains(j.Reason, "breaker") {
		t.Errorf("fifty failures of one user: %s (%s)", j.Verdict, j.Reason)
	}
}

// Assignments of a unit count once, on whichever arm.
func TestAssignedUnitsCountOnce(t *testing.T) {
	c := compare(t, Plan{Unit: PerUser})
	if err := c.r.Expect(0, map[string]float64{base: 1, cand: 1}); err != nil {
		t.Fatal(err)
	}
	for i := range 1000 {
		c.r.Assign([]string{base, cand}[i%2], strconv.Itoa(i%10), 0)
		c.r.Assign(cand, strconv.Itoa(i%10), 0)
	}
	if s := c.Judge(time.Unix(1e9, 0)).Split; s.Baseline != 5 || s.Candidate != 5 {
		t.Errorf("%+v, want 5 users each", s)
	}
}

// The filter never counts a unit twice, and leaves out no more than it says.
func TestUnitFilter(t *testing.T) {
	f := newUnitFilter(countedBits)
	const units, metrics = 40_000, 5
	again, out := 0, 0
	for i := range units {
		key := hashOf(strconv.Itoa(i))
		for m := range metrics {
			if !f.first(key, m) {
				out++
			}
			if f.first(key, m) {
				again++
			}
		}
	}
	last := 0 // of the newest ones
	for i := range 1000 {
		if !f.first(hashOf(strconv.Itoa(units+i)), 0) {
			last++
		}
	}
	t.Logf("after %d units in %d metrics, %.1f %% of new ones are left out", units, metrics, float64(last)/10)
	if again > 0 || last > 130 || out > units*metrics/10 {
		t.Errorf("%d counted twice, %d left out, %d of the last 1,000", again, out, last)
	}
}
