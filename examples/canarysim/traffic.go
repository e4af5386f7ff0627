package main

import (
	"cmp"
	"math"
	"math/rand/v2"
	"slices"
)

// Between two looks at a rollout each version serves this many requests.
const (
	looks   = 60
	perLook = 200
)

// The healthy service: one request in a hundred fails, and latencies are
// lognormal with a median of half a second.
const (
	errorRate = 0.01
	median    = 0.5 // seconds
	sigma     = 0.6
)

// beyond99 is how many times the median the 99th percentile of a latency is.
var beyond99 = math.Exp(sigma * 2.3263478740408408)

// scenario is what is the matter with the candidate, or with both.
type scenario struct {
	name string
	// errors and slower are the candidate's error rate and the factor on its
	// latency.
	errors, slower float64
	// incident hits both versions for a twelfth of the time: ten times the
	// errors and twice the latency.
	incident bool
	// long makes answers of both versions take longAnswer, and their failures
	// come immediately.
	long bool
	// hangs is the share of the candidate's requests that never end.
	hangs float64
	// users is how many users send all requests. Each stays with one version,
	// and one in twenty fails thirty times as often as the others.
	users int
	// healthy says that a rollback would be wrong.
	healthy bool
}

var scenarios = []scenario{
	{name: "no change", errors: errorRate, slower: 1, healthy: true},
	{name: "incident", errors: errorRate, slower: 1, incident: true, healthy: true},
	{name: "errors 1 -> 2 %", errors: 0.02, slower: 1},
	{name: "errors 1 -> 5 %", errors: 0.05, slower: 1},
	{name: "latency +10 %", errors: errorRate, slower: 1.1},
	{name: "latency +50 %", errors: errorRate, slower: 1.5},
	{name: "long answers", errors: errorRate, slower: 1, long: true, healthy: true},
	{name: "200 users", errors: errorRate, slower: 1, users: 200, healthy: true},
	{name: "30 % hang", errors: errorRate, slower: 1, hangs: 0.3},
	{name: "long answers x2", errors: errorRate, slower: 2, long: true},
}

// usual is how many of the scenarios have short answers of independent requests, which
// all end. The others come after them.
const usual = 6

const (
	longAnswer = 25.0 // seconds, the median
	quick      = 0.1  // seconds until a request for a long answer fails
	badUsers   = 0.05
	badTimes   = 30
)

// median returns the healthy median of the latency in seconds.
func (s scenario) median() float64 {
	if s.long {
		return longAnswer
	}
	return median
}

// every returns the time between two looks in seconds.
func (s scenario) every() float64 {
	if s.long {
		return 10 // so much is in flight only where there is much traffic
	}
	return 60
}

// before returns for how many looks the baseline has served alone when the rollout begins,
// with the requests of both versions: until as much is in flight as ever will be.
func (s scenario) before() int {
	if s.long {
		return 18
	}
	return 1
}

// request is one request. Times are in seconds since the rollout began.
type request struct {
	number    int // from 0
	candidate bool
	user      int // 0 if it has a user of its own
	began     float64
	latency   float64 // infinite if it never ends
	failed    bool
}

func (q request) ends() float64 { return q.began + q.latency }

// look is what has happened since the look before.
type look struct {
	number     int       // from 0
	base, cand []request // were assigned, at the same times
	ended      []request // in the order in which they have ended
}

// traffic draws the requests of one rollout.
type traffic struct {
	scenario
	rng    *rand.Rand
	number int       // of the next request
	open   []request // have not ended
	users  [2][]int  // of the baseline and the candidate
	fails  []float64 // how often a user fails, over the mean of all
}

// start draws what the baseline serves before the rollout, and returns it.
func (t *traffic) start() (alone []request) {
	for user := range t.scenario.users {
		fails := 1.0
		if t.rng.Float64() < badUsers {
			fails = badTimes
		}
		t.fails = append(t.fails, fails/(1+badUsers*(badTimes-1)))
		arm := t.rng.IntN(2)
		t.users[arm] = append(t.users[arm], user)
	}
	for n := -2 * t.before() * perLook; n < 0; n++ {
		q := t.draw(false, float64(n)/(2*perLook)*t.every(), errorRate, 1)
		if alone = append(alone, q); q.ends() > 0 {
			t.open = append(t.open, q)
		}
	}
	return alone
}

// draw draws a request of a version.
func (t *traffic) draw(candidate bool, began, errors, slower float64) request {
	q := request{number: t.number, candidate: candidate, began: began}
	t.number++
	if t.scenario.users > 0 {
		arm := t.rng.IntN(2) // before the rollout the baseline has all users
		if began >= 0 {
			arm = 0
			if candidate {
				arm = 1
			}
		}
		user := t.users[arm][t.rng.IntN(len(t.users[arm]))]
		q.user, errors = user+1, errors*t.fails[user]
	}
	q.latency = slower * t.median() * math.Exp(sigma*t.rng.NormFloat64())
	q.failed = t.rng.Float64() < errors
	switch {
	case q.failed && t.long:
		q.latency = quick
	case candidate && t.hangs > 0 && t.rng.Float64() < t.hangs:
		q.latency, q.failed = math.Inf(1), false
	}
	return q
}

// next fills l with look n.
func (t *traffic) next(l *look, n int) {
	*l = look{number: n, base: l.base[:0], cand: l.cand[:0], ended: l.ended[:0]}
	times, slower := 1.0, 1.0
	if t.incident && n >= looks/3 && n < looks*5/12 {
		times, slower = 10, 2
	}
	for i := range perLook {
		// None comes in the last tenth, so that short answers end in their look.
		at := (float64(n) + 0.9*float64(i)/perLook) * t.every()
		l.base = append(l.base, t.draw(false, at, times*errorRate, slower))
		l.cand = append(l.cand, t.draw(true, at, times*t.errors, slower*t.slower))
	}
	t.open = append(append(t.open, l.base...), l.cand...)
	now, open := float64(n+1)*t.every(), t.open[:0]
	for _, q := range t.open {
		if q.ends() <= now {
			l.ended = append(l.ended, q)
		} else {
			open = append(open, q)
		}
	}
	t.open = open
	slices.SortFunc(l.ended, func(a, b request) int { return cmp.Compare(a.ends(), b.ends()) })
}
