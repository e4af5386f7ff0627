package main

import (
	"math"
	"math/rand/v2"
)

// A rollout is looked at once in a while; between two looks each version serves
// so many requests.
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

// p99 is the true 99th percentile of the healthy service's latency.
var p99 = median * math.Exp(sigma*2.3263478740408408)

// scenario is what is the matter with the candidate, or with both.
type scenario struct {
	name string
	// errors and slower are the candidate's error rate and the factor on its
	// latency.
	errors, slower float64
	// incident hits both versions for a twelfth of the time: ten times the
	// errors and twice the latency.
	incident bool
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
}

// request is one request: its latency in seconds and whether it failed.
type request struct {
	latency float64
	failed  bool
}

// look is what both versions served since the look before.
type look struct {
	number     int // from 0
	base, cand []request
}

func newLook() *look {
	return &look{base: make([]request, perLook), cand: make([]request, perLook)}
}

// draw fills l with the traffic of look n.
func (s scenario) draw(l *look, n int, rng *rand.Rand) {
	l.number = n
	outage := s.incident && n >= looks/3 && n < looks*5/12
	fill := func(of []request, errors, slower float64) {
		if outage {
			errors, slower = 10*errors, 2*slower
		}
		for i := range of {
			of[i] = request{latency: slower * median * math.Exp(sigma*rng.NormFloat64()), failed: rng.Float64() < errors}
		}
	}
	fill(l.base, errorRate, 1)
	fill(l.cand, s.errors, s.slower)
}
