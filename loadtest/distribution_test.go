package loadtest

import (
	"encoding/json"
	"math/rand/v2"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
)

// draws returns n log-normal durations around the median.
func draws(rng *rand.Rand, n int, median time.Duration) []time.Duration {
	out := make([]time.Duration, n)
	for i := range out {
		out[i] = time.Duration(float64(median) * (0.5 + rng.ExpFloat64()))
	}
	return out
}

// TestMergeEqualsTheUnion lets one of 16 workers be ten times slower: the mean
// of the workers' p99s would be far from the truth.
func TestMergeEqualsTheUnion(t *testing.T) {
	for _, each := range []int{100, 5000} {
		rng := rand.New(rand.NewPCG(1, uint64(each)))
		var union, merged Distribution
		for w := range 16 {
			var part Distribution
			for _, d := range draws(rng, each, 20*ms*time.Duration(1+9*(w/15))) {
				union.add(d)
				part.add(d)
			}
			merged.merge(&part)
		}
		union.seal()
		merged.seal()
		if union.Count() != merged.Count() || union.Quantile(1) != merged.Quantile(1) || union.Quantile(0) != merged.Quantile(0) {
			t.Errorf("%d and %d durations", union.Count(), merged.Count())
		}
		for _, q := range []float64{0, 0.5, 0.9, 0.99, 0.999, 1} {
			if a, b := union.Quantile(q), merged.Quantile(q); a != b {
				t.Errorf("quantile %v of the union is %v, of the merged parts %v", q, a, b)
			}
		}
	}
}

func TestDistributionSurvivesJSON(t *testing.T) {
	var d, back Distribution
	for _, v := range draws(rand.New(rand.NewPCG(4, 4)), 6000, 10*ms) {
		d.add(v)
	}
	data, err := json.Marshal(d)
	if err == nil {
		err = json.Unmarshal(data, &back)
	}
	if err != nil {
		t.Fatal(err)
	}
	for _, q := range []float64{0, 0.5, 0.99, 1} {
		if diff := cmp.Diff(d.Quantile(q), back.Quantile(q)); diff != "" {
			t.Errorf("quantile %v: %s", q, diff)
		}
	}
	if d.Count() != back.Count() || (d.Mean()-back.Mean()).Abs() > 1 {
		t.Errorf("%d with mean %v, want %d with %v", back.Count(), back.Mean(), d.Count(), d.Mean())
	}
}
