package enginetest_test

import (
	"math"
	"slices"
	"testing"
	"time"

	"github.com/serin-go/serin/internal/worlds"
	"github.com/serin-go/serin/strategies"
)

// contest is an A/B test of three candidates.
func contest(candidates []worlds.Service, likes []float64, horizon time.Duration) trial {
	return trial{
		number: 36, perSecond: 100, services: append([]worlds.Service{quick(.01)}, candidates...), goal: "thumbs up", likes: likes,
		strategy: strategies.AB{Rivals: versions[2:], Bake: 20 * time.Second, Horizon: horizon, OnTie: strategies.ActionRollBack},
	}
}

// quick is a service of documents that take about a second.
func quick(errors float64) worlds.Service { return worlds.Service{Document: 1, Errors: errors} }

// share holds how often something was so against a bound. It is a share of runs rollouts.
func share(t *testing.T, what string, n, runs int, atLeast bool, bound float64) {
	t.Helper()
	measured, within := float64(n)/float64(runs), 3*math.Sqrt(bound*(1-bound)/float64(runs))
	t.Logf("%s: %d of %d", what, n, runs)
	if atLeast && measured < bound-within || !atLeast && measured > bound+within {
		t.Errorf("%s: in %.4g of %d rollouts, want %.4g +- %.4g", what, measured, runs, bound, within)
	}
}

// TestContestOfThree has a candidate that does harm, one that is equal and one that
// users like better. The first one leaves, and the best of the others wins.
func TestContestOfThree(t *testing.T) {
	tr := contest([]worlds.Service{quick(.01), quick(.06), quick(.01)}, []float64{.7, .7, .7, .9}, 20*time.Minute)
	runs := number(2)
	var left, lost, better, harmful int
	for i := range runs {
		out := tr.play(t, uint64(i+1))
		t.Log(out.end, out.dropped)
		if slices.Contains(out.dropped, versions[2]) {
			left++
		}
		if slices.Contains(out.dropped, versions[1]) || slices.Contains(out.dropped, versions[3]) {
			lost++
		}
		switch out.winner {
		case versions[2]:
			harmful++
		case versions[3]:
			better++
		}
	}
	share(t, "the harmful one leaves", left, runs, true, .99)
	share(t, "the harmful one wins", harmful, runs, false, .05)
	share(t, "another one leaves", lost, runs, false, 2*.05)
	share(t, "the best one wins", better, runs, true, .9)
}

// TestContestAtTheMargin has three candidates that fail as often as the margin allows, or
// more often. What a contest promises is that its winner is no worse: none of them wins.
func TestContestAtTheMargin(t *testing.T) {
	tr := contest([]worlds.Service{quick(.02), quick(.02), quick(.03)}, nil, 3*time.Minute)
	runs := number(1)
	won := 0
	for i := range runs {
		out := tr.play(t, uint64(i+1))
		t.Log(out.end, out.dropped)
		if out.end.Phase == strategies.Promoted {
			won++
		}
	}
	share(t, "a candidate at the margin wins", won, runs, false, .05)
}
