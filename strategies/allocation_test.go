package strategies_test

import (
	"math"
	"math/rand/v2"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"pgregory.net/rapid"

	"github.com/serin-go/serin/checks/analysis"
	"github.com/serin-go/serin/strategies"
)

// drawn returns shares by drawing, which is how the method is described.
func drawn(floor strategies.Weight, rivals []strategies.Rival) []float64 {
	rng := rand.New(rand.NewPCG(1, 2))
	const draws = 200_000
	count := make([]float64, len(rivals)+1)
	in := 1
	for _, r := range rivals {
		if !r.Dropped {
			in++
		}
	}
	for range draws {
		first, second := -1, -1
		var a, b float64
		for i := range count {
			x := 0.0
			if i > 0 {
				if rivals[i-1].Dropped {
					continue
				}
				x = rivals[i-1].Gain + rivals[i-1].Spread*rng.NormFloat64()
			}
			switch {
			case first < 0 || x > a:
				first, second, a, b = i, first, x, a
			case second < 0 || x > b:
				second, b = i, x
			}
		}
		count[first]++
		count[second]++
	}
	for i := range count {
		switch {
		case i > 0 && rivals[i-1].Dropped:
			count[i] = 0
		default:
			f := float64(floor)
			count[i] = f + (float64(strategies.Full)-float64(in)*f)*count[i]/draws/2
		}
	}
	return count
}

func known(gain, spread float64) strategies.Rival {
	return strategies.Rival{Gain: gain, Spread: spread, Known: true}
}

func TestSharesAreThoseOfDrawing(t *testing.T) {
	out := known(5, 1)
	out.Dropped = true
	for name, rivals := range map[string][]strategies.Rival{
		"alike":                  {known(0, 1), known(0, 1)},
		"one much better":        {known(3, 0.5), known(-1, 1), known(0.2, 0.5)},
		"all worse":              {known(-1, 0.3), known(-2, 0.3), known(-3, 0.3)},
		"unsure against sure":    {known(0.1, 0.01), known(0, 2), known(-0.1, 0.01)},
		"one that is out":        {known(0.5, 1), out, known(0.4, 1)},
		"one in, the rest out":   {out, out, known(-7, 0.1)},
		"many":                   {known(0, 1), known(0.1, 1), known(0.2, 1), known(0.3, 1), known(0.4, 1), known(0.5, 1), known(1, 1)},
		"sure of everything":     {known(1, 1e-9), known(2, 1e-9), known(3, 1e-9)},
		"of very different size": {known(1e-9, 1e-9), known(-1e9, 1e3)},
	} {
		got, ok := strategies.Allocation{}.Shares(rivals)
		if !ok {
			t.Fatalf("%s: unknown", name)
		}
		for i, want := range drawn(strategies.Percent(5), rivals) {
			if math.Abs(float64(got[i])-want) > 60 { // 0.6 points
				t.Errorf("%s: arm %d has %d, drawing gives %.0f (%v)", name, i, got[i], want, got)
			}
		}
	}
}

// TestSharesLaws: for any gains, shares are complete, no arm is below the floor, and an
// arm that is certainly better has no less.
func TestSharesLaws(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		n := rapid.IntRange(1, 8).Draw(t, "rivals")
		a := strategies.Allocation{Floor: strategies.Weight(rapid.IntRange(1, 10000/(n+1)).Draw(t, "floor"))}
		rivals := make([]strategies.Rival, n)
		for i := range rivals {
			rivals[i] = known(rapid.Float64().Draw(t, "gain"), math.Abs(rapid.Float64().Draw(t, "spread")))
			rivals[i].Dropped = rapid.IntRange(0, 3).Draw(t, "dropped") == 0
		}
		got, ok := a.Shares(rivals)
		if !ok || len(got) != n+1 {
			t.Fatalf("%v, %t", got, ok)
		}
		sum := strategies.Weight(0)
		for i, w := range got {
			sum += w
			switch {
			case i > 0 && rivals[i-1].Dropped:
				if w != 0 {
					t.Errorf("arm %d is out and has %d", i, w)
				}
			case w < a.Floor || w > strategies.Full:
				t.Errorf("arm %d has %d, the floor is %d", i, w, a.Floor)
			}
		}
		if sum != strategies.Full {
			t.Errorf("the sum of %v is %d", got, sum)
		}
	})
}

func TestSharesOfTheUnknown(t *testing.T) {
	for name, r := range map[string]strategies.Rival{
		"not known": {}, "no gain": known(math.NaN(), 1), "no spread": known(1, math.NaN()), "a negative spread": known(1, -1),
	} {
		if got, ok := (strategies.Allocation{}).Shares([]strategies.Rival{known(1, 1), r}); ok || got != nil {
			t.Errorf("%s: %v", name, got)
		}
	}
}

func TestAllocationIsDecidedByNext(t *testing.T) {
	list, err := strategies.AB{Rivals: []string{"b", "c"}, Bake: 24 * time.Hour, Allocate: &strategies.Allocation{Every: time.Hour}}.Stages("base", "a")
	if err != nil {
		t.Fatal(err)
	}
	rivals := []strategies.Rival{known(3, 0.1), known(-3, 0.1), known(-3, 0.1)}
	want := []strategies.Weight{4500, 4500, 500, 500}
	equal := []strategies.Weight{2500, 2500, 2500, 2500}
	for _, c := range []struct {
		name  string
		state strategies.State
		want  []strategies.Weight
	}{
		{"not yet", strategies.State{Baked: 59 * time.Minute}, nil},
		{"due", strategies.State{Baked: time.Hour}, want},
		{"just done", strategies.State{Baked: 90 * time.Minute, Allocated: time.Hour}, nil},
		{"again, and nothing to move", strategies.State{Baked: 3 * time.Hour, Allocated: time.Hour, Shares: want}, nil},
		{"paused", strategies.State{Baked: time.Hour, Paused: true}, nil},
		{"with nothing in force", strategies.State{Baked: time.Hour, Shares: equal[:2]}, nil},
	} {
		s := c.state
		s.Phase, s.Rivals = strategies.Baking, rivals
		if s.Shares == nil {
			s.Shares = equal
		}
		d := strategies.Next(list, s)
		if diff := cmp.Diff(c.want, d.Shares); diff != "" || (d.Do == strategies.DoRebalance) != (c.want != nil) {
			t.Errorf("%s: %+v (-want +got):\n%s", c.name, d, diff)
		}
	}
	s := strategies.State{Phase: strategies.Baking, Baked: time.Hour, Shares: equal, Rivals: []strategies.Rival{known(3, 0.1), known(-3, 0.1), {Arm: "c", Verdict: analysis.Harmed}}}
	if d := strategies.Next(list, s); d.Do != strategies.DoDrop {
		t.Errorf("harm comes first: %+v", d)
	}
}

func TestAllocationsThatMakeNoSense(t *testing.T) {
	for name, ab := range map[string]strategies.AB{
		"two arms":            {Allocate: &strategies.Allocation{}},
		"backwards":           {Rivals: []string{"b"}, Allocate: &strategies.Allocation{Every: -1}},
		"more floor than all": {Rivals: []string{"b"}, Allocate: &strategies.Allocation{Floor: 3334}},
		"wraps around":        {Rivals: []string{"b"}, Allocate: &strategies.Allocation{Floor: 1<<32 - 1}},
	} {
		if _, err := ab.Stages("base", "a"); err == nil {
			t.Errorf("%s is accepted", name)
		}
	}
}
