package worlds_test

import (
	"math"
	"testing"

	"github.com/serin-go/serin/internal/worlds"
)

// harmedAt returns rollouts that are judged Harmed after the given numbers of requests.
func harmedAt(at ...int) (list []worlds.Result) {
	for _, n := range at {
		list = append(list, worlds.Result{Harmed: n, Safe: -1})
	}
	return list
}

func repeat(n int, r worlds.Result) []worlds.Result {
	list := make([]worlds.Result, n)
	for i := range list {
		list[i] = r
	}
	return list
}

func TestClaims(t *testing.T) {
	none, safe := worlds.Result{Harmed: -1, Safe: -1}, worlds.Result{Harmed: -1, Safe: 500}
	late := worlds.Result{Harmed: 800, Safe: 500}
	mixed := func(n int, r worlds.Result) []worlds.Result { return append(repeat(100-n, none), repeat(n, r)...) }
	for _, tt := range []struct {
		name     string
		claim    worlds.Claim
		results  []worlds.Result
		measured float64
		ok       bool
	}{
		{"no results", worlds.Claim{Kind: worlds.HarmedAtMost, Bound: .05}, nil, math.NaN(), false},
		{"within three errors", worlds.Claim{Kind: worlds.HarmedAtMost, Bound: .05}, mixed(11, late), .11, true},
		{"beyond three errors", worlds.Claim{Kind: worlds.HarmedAtMost, Bound: .05}, mixed(12, late), .12, false},
		{"harm after safety is not found", worlds.Claim{Kind: worlds.HarmedAtLeast, Bound: .5}, repeat(100, late), 0, false},
		{"harm is found", worlds.Claim{Kind: worlds.HarmedAtLeast, Bound: .99}, harmedAt(10, 20), 1, true},
		{"harm is found late", worlds.Claim{Kind: worlds.HarmedAtLeast, Bound: .9, Within: 15}, harmedAt(10, 20, 30, 40), .25, false},
		{"safety before harm", worlds.Claim{Kind: worlds.SafeAtMost, Bound: .05}, mixed(50, late), .5, false},
		{"never safe", worlds.Claim{Kind: worlds.SafeAtMost}, mixed(1, safe), .01, false},
		{"safe", worlds.Claim{Kind: worlds.SafeAtLeast, Bound: .9, Within: 500}, repeat(10, safe), 1, true},
		{"safe too late", worlds.Claim{Kind: worlds.SafeAtLeast, Bound: .9, Within: 499}, repeat(10, safe), 0, false},
		{"median of few", worlds.Claim{Kind: worlds.HarmedMedian, Bound: 30}, harmedAt(10, 20, 30), 20, true},
		{"one of few beyond the median", worlds.Claim{Kind: worlds.HarmedMedian, Bound: 29}, harmedAt(10, 20, 30), 20, false},
		{"a third below the median", worlds.Claim{Kind: worlds.HarmedMedian, Bound: 100}, append(repeat(67, none), repeat(33, worlds.Result{Harmed: 9, Safe: -1})...), math.Inf(1), false},
		{"two fifths below the median", worlds.Claim{Kind: worlds.HarmedMedian, Bound: 100}, append(repeat(60, none), repeat(40, worlds.Result{Harmed: 9, Safe: -1})...), math.Inf(1), true},
		{"ratio", worlds.Claim{Kind: worlds.HarmedRatio, Bound: 3}, harmedAt(20, 30, 30), 3, true},
		{"ratio beyond", worlds.Claim{Kind: worlds.HarmedRatio, Bound: 2}, harmedAt(20, 30, 30), 3, false},
		{"safe at the end", worlds.Claim{Kind: worlds.SafeAtEndAtMost, Bound: .05}, repeat(9, worlds.Result{SafeAtEnd: true}), 1, false},
		{"breakers", worlds.Claim{Kind: worlds.TrippedAtMost, Bound: .001}, mixed(2, worlds.Result{Tripped: true}), .02, false},
		{"split", worlds.Claim{Kind: worlds.SplitAlarmAtMost, Bound: .01}, mixed(3, worlds.Result{SplitAlarm: true}), .03, true},
		{"named", worlds.Claim{Kind: worlds.NamedAtLeast, Bound: .95, Within: 50}, repeat(9, worlds.Result{Named: true, Harmed: 40, Safe: -1}), 1, true},
		{"others named", worlds.Claim{Kind: worlds.OthersAtMost, Bound: .05}, repeat(50, worlds.Result{Named: true, Others: 1}), .5, false},
		{"unrandomised", worlds.Claim{Kind: worlds.UnrandomisedNear, Bound: .05}, repeat(4, worlds.Result{Unrandomised: .056}), .056, false},
		{"agreement", worlds.Claim{Kind: worlds.AgreesAtLeast, Bound: .99}, repeat(4, worlds.Result{Agreed: 98, Looks: 100}), .98, false},
		{"agreement without looks", worlds.Claim{Kind: worlds.AgreesAtLeast, Bound: .99}, repeat(4, none), 0, false},
		{"cannot tell", worlds.Claim{Kind: worlds.CannotTellAtLeast, Bound: 1}, mixed(99, worlds.Result{CannotTell: true}), .99, false},
	} {
		measured, ok := tt.claim.Check(tt.results, 10)
		same := math.Abs(measured-tt.measured) < 1e-12 || math.IsNaN(measured) && math.IsNaN(tt.measured) || measured == tt.measured
		if !same || ok != tt.ok {
			t.Errorf("%s, %v: have %v, %v; want %v, %v", tt.name, tt.claim, measured, ok, tt.measured, tt.ok)
		}
	}
}

func TestCatalogueIsComplete(t *testing.T) {
	met, variants := map[int]bool{}, map[string]bool{}
	for _, w := range worlds.All() {
		if variants[w.ID()] {
			t.Errorf("two worlds are %s", w.ID())
		}
		variants[w.ID()] = true
		if w.Runs > 0 {
			met[w.Number] = true
		}
		if len(w.Claims) == 0 && w.Number != outlookWorld {
			t.Errorf("%s claims nothing", w.ID())
		}
		for _, c := range w.Claims {
			// The short form must be able to contradict a claim.
			if w.Runs > 0 && c.Kind == worlds.HarmedAtMost && c.Bound+3*math.Sqrt(c.Bound*(1-c.Bound)/float64(w.Runs)) > .5 {
				t.Errorf("%s: %d runs cannot contradict %v", w.ID(), w.Runs, c)
			}
		}
	}
	for n := 1; n <= 35; n++ {
		if byEngine := n == 23 || n == 24; met[n] == byEngine {
			t.Errorf("world %d is in the short form: %v", n, met[n])
		}
	}
}
