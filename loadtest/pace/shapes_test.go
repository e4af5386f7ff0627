package pace

import (
	"math"
	"slices"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
)

const ms = time.Millisecond

func instants(p Pacer, n int) (out []time.Duration) {
	for at := range p.Arrivals() {
		if len(out) == n {
			break
		}
		out = append(out, at)
	}
	return out
}

func TestRamp(t *testing.T) {
	up := instants(Ramp(0, 10, 10*time.Second), 1000)
	if len(up) != 50 || up[49] != 10*time.Second || up[0] != 1414213562 { // t²/2 = k
		t.Errorf("%d arrivals, the first at %v, the last at %v", len(up), up[0], up[len(up)-1])
	}
	down := instants(Ramp(10, 0, 10*time.Second), 1000)
	if len(down) != 50 || down[49] != 10*time.Second || down[0] > 101*ms {
		t.Errorf("%d arrivals, the first at %v, the last at %v", len(down), down[0], down[len(down)-1])
	}
	flat := instants(Ramp(10, 10, time.Second), 1000)
	if diff := cmp.Diff(instants(Constant(10), 10), flat); diff != "" {
		t.Error(diff)
	}
	for _, p := range []Pacer{Ramp(-1, 2, time.Second), Ramp(0, 0, time.Second), Ramp(1, 2, 0), Ramp(math.NaN(), 1, 1), Sine(1, 2, 1), Sine(1, 1, 0),
		Gamma(1, 0, 1), Stages(), Stages(Stage{}), Shard(Constant(1), 2, 2), Shard(nil, 0, 1),
		Without(nil, 0, 0, 1), Without(Constant(1), -1, 0, 1), Without(Constant(1), 0, 2, 2), Without(Constant(1), 0, 0, 0), Merge(), Merge(Constant(1), nil)} {
		if checkPacer("", p) == nil {
			t.Errorf("%v is taken to be valid", p)
		}
	}
}

func TestSineAndStages(t *testing.T) {
	at := instants(Sine(100, 100, 10*time.Second), 1000)
	firstHalf := len(slices.DeleteFunc(slices.Clone(at), func(d time.Duration) bool { return d > 5*time.Second }))
	if want := 500 + 1000/math.Pi; math.Abs(float64(firstHalf)-want) > 1 || (at[999]-10*time.Second).Abs() > ms || !slices.IsSorted(at) {
		t.Errorf("%d in the first half, want %v; the last at %v", firstHalf, want, at[999])
	}
	staged := instants(Stages(Stage{Constant(2), time.Second}, Stage{Ramp(0, 4, time.Second), 2 * time.Second}, Stage{Constant(1), time.Second}), 100)
	want := []time.Duration{500 * ms, 1000 * ms, 1000*ms + 707106781, 2000 * ms, 4000 * ms}
	if diff := cmp.Diff(want, staged); diff != "" {
		t.Error(diff)
	}
}

func TestShardsAreTheWhole(t *testing.T) {
	for _, p := range []Pacer{Poisson(50, 3), Gamma(5, 0.5, 2), Sine(5, 3, time.Minute)} {
		var union []time.Duration
		for i := range 3 {
			union = append(union, instants(Shard(p, i, 3), 40)...)
		}
		slices.Sort(union)
		if diff := cmp.Diff(instants(p, 120), union); diff != "" {
			t.Errorf("%v: %s", p, diff)
		}
	}
	k := 0
	for number, at := range Numbered(Shard(After(Shard(First(Constant(1), 50), 1, 2), 0), 2, 3)) {
		if k++; k == 5 && (number != 29 || at != 30*time.Second) { // (4*3+2)*2+1
			t.Errorf("request 4 is %d of the whole, at %v", number, at)
		}
	}
	if k != 8 { // of 25 odd ones
		t.Errorf("%d requests, want 8", k)
	}
}

// TestGivenPartsAreTheWhole gives parts of shards away several times over. What is left
// and what was given is the whole schedule, each request once.
func TestGivenPartsAreTheWhole(t *testing.T) {
	type request struct {
		number uint64
		at     time.Duration
	}
	list := func(p Pacer) (all []request) {
		for number, at := range Numbered(p) {
			all = append(all, request{number, at})
		}
		return all
	}
	burst := listed{0, 1, 1, 1, 2, 2, 5, 5, 5, 5, 5, 6, 9}
	for _, whole := range []Pacer{First(Poisson(50, 3), 500), burst} {
		left := []Pacer{Shard(whole, 0, 3), Shard(whole, 1, 3), Shard(whole, 2, 3)}
		for round, from := range []time.Duration{2, 5, 5, time.Second, 3 * time.Second} {
			var given []Pacer
			for i, p := range left {
				n := len(left) + 1
				given = append(given, Shard(After(p, from), (i+round)%n, n))
				left[i] = Without(p, from, (i+round)%n, n)
			}
			left = append(left, Merge(given...))
		}
		left = append(left, After(left[0], 5))
		left[0] = Without(left[0], 5, 0, 1)
		for _, p := range left {
			if part := list(p); !slices.IsSortedFunc(part, func(a, b request) int { return int(a.at - b.at) }) {
				t.Errorf("%v is not in order: %v", p, part)
			}
		}
		got := list(Merge(left...))
		slices.SortFunc(got, func(a, b request) int { return int(a.number) - int(b.number) })
		if want := list(whole); !slices.Equal(got, want) {
			t.Errorf("%v becomes %v", want, got)
		}
	}
	for range Without(Constant(1000), time.Second, 0, 1).Arrivals() { // it ends
	}
}
