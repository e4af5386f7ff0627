package evalue

import (
	"math"
	"math/rand/v2"
	"slices"
	"testing"

	"github.com/google/go-cmp/cmp"
	"pgregory.net/rapid"
)

// Each alternative's factor for one event has expectation 1, whatever the share.
func TestOddsIsEValue(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		share := rapid.Float64Range(0, 1).Draw(t, "share")
		var c, b Odds
		c.Count(1, 0, share)
		b.Count(0, 1, share)
		for j := range oddsLogs {
			e := 0.0
			if share > 0 {
				e += share * math.Exp(c.L[j])
			}
			if share < 1 {
				e += (1 - share) * math.Exp(b.L[j])
			}
			if math.Abs(e-1) > 1e-9 {
				t.Errorf("alternative %d has expectation %v", j, e)
			}
		}
	})
}

// False alarms and detection, with a look after every 500 events, and with a
// share that changes with every ten.
func TestOddsSimulated(t *testing.T) {
	limit := math.Log(100)
	alarm := func(seed uint64, served float64, steady, changing bool, events int) int {
		rng := rand.New(rand.NewPCG(seed, 7))
		var o Odds
		step := 500
		if changing {
			step = 10
		}
		for n := step; n <= events; n += step {
			share := served
			switch {
			case changing:
				share = 0.05 + 0.9*rng.Float64()
			case served < 0.3:
				share = 0.1
			default:
				share = 0.5
			}
			q := share
			if !steady { // the odds are off by what served is off
				q = served
				if changing {
					factor := served / (1 - served)
					q = share * factor / (share*factor + 1 - share)
				}
			}
			cand := 0
			for range step {
				if rng.Float64() < q {
					cand++
				}
			}
			o.Count(cand, step-cand, share)
			if o.LogE() >= limit {
				return n
			}
		}
		return math.MaxInt
	}
	n := max(*runs/4, 100)
	for _, changing := range []bool{false, true} {
		count := 0
		for i := range n {
			if alarm(uint64(i), 0.5, true, changing, 20_000) < math.MaxInt {
				count++
			}
		}
		if got, most := float64(count)/float64(n), 0.01+3*math.Sqrt(0.01*0.99/float64(n)); got > most {
			t.Errorf("share changing %v: %.3f false alarms, want at most %.3f", changing, got, most)
		}
	}
	for _, tt := range []struct {
		served   float64
		changing bool
		atMost   int
	}{
		{0.52, false, 9500}, {0.55, false, 2000}, {0.12, false, 4500}, {0.55, true, 3000},
	} {
		var needed []int
		for i := range n / 2 {
			needed = append(needed, alarm(uint64(i), tt.served, false, tt.changing, 60_000))
		}
		slices.Sort(needed)
		median := needed[len(needed)/2]
		t.Logf("served %v, share changing %v: median %d events to the alarm", tt.served, tt.changing, median)
		if median > tt.atMost {
			t.Errorf("served %v, share changing %v: median %d events, want at most %d", tt.served, tt.changing, median, tt.atMost)
		}
	}
}

func TestOddsOfOddCounts(t *testing.T) {
	var o Odds
	o.Count(-1, 5, 0.5)
	o.Count(5, -1, 0.5)
	o.Count(5, 5, math.NaN())
	o.Count(5, 5, 2)
	o.Count(0, 0, 0.5)
	if diff := cmp.Diff(Odds{}, o); diff != "" {
		t.Errorf("impossible counts (-want +got):\n%s", diff)
	}
	o.Count(0, 1000, 0)
	o.Count(1000, 0, 1)
	if o.LogE() != 0 {
		t.Errorf("nothing where nothing is meant to be: ln E = %v", o.LogE())
	}
	o.Count(1, 0, 0)
	if o.LogE() < 1e8 {
		t.Errorf("an event where none is meant to be: ln E = %v", o.LogE())
	}
}
