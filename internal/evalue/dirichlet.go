package evalue

import (
	"fmt"
	"math"
	"slices"
)

// DirichletLogE tests counts by category against intended shares: whether a
// traffic split is what it should be (Lindon and Malek). It returns ln E
// against "each event falls into category i with probability weights[i]/sum":
//
//	ln E = lnB(kθ + S) - lnB(kθ) - Σ S_i ln θ_i
//
// k is how strongly the alternative is tied to the weights; zero means 100. An
// event in a category of weight 0 is infinite evidence. Arguments that mean
// nothing (lengths that differ, negative or no weights, negative counts) are no
// evidence, 0.
func DirichletLogE(counts []int, weights []float64, k float64) float64 {
	if k == 0 {
		k = 100
	}
	var total float64
	for _, w := range weights {
		if !(w >= 0) {
			return 0
		}
		total += w
	}
	if len(counts) != len(weights) || !(k > 0) || !(total > 0) || math.IsInf(total, 1) {
		return 0
	}
	n, logE := 0, 0.0
	for i, s := range counts {
		if s < 0 {
			return 0
		}
		if s == 0 {
			continue
		}
		theta := weights[i] / total
		if theta == 0 {
			return math.Inf(1)
		}
		logE += logGamma(k*theta+float64(s)) - logGamma(k*theta) - float64(s)*math.Log(theta)
		n += s
	}
	return logE - logGamma(k+float64(n)) + logGamma(k)
}

func logGamma(x float64) float64 {
	v, _ := math.Lgamma(x)
	return v
}

// Split is [DirichletLogE] over a rollout whose weights change: a factor for
// each stage, multiplied. It is plain data. The zero Split has seen nothing. It
// is not safe for concurrent use.
type Split struct {
	// Weights and Counts are those of the present stage.
	Weights []float64 `json:"weights"`
	Counts  []int     `json:"counts"`
	// Past is ln E of the stages before.
	Past float64 `json:"past"`
}

// Stage begins a stage with the given weights, one for each arm. Counts that
// were taken under other weights must not be mixed with those of this stage.
func (s *Split) Stage(weights []float64) {
	s.Past = s.LogE()
	s.Weights, s.Counts = slices.Clone(weights), make([]int, len(weights))
}

// Count takes in n assignments to arm i. Impossible arguments are ignored.
func (s *Split) Count(i, n int) {
	if i >= 0 && i < len(s.Counts) && n > 0 {
		s.Counts[i] += n
	}
}

// LogE returns ln E for "traffic is not split as intended".
func (s *Split) LogE() float64 { return s.Past + DirichletLogE(s.Counts, s.Weights, 0) }

// Merge adds what another replica has counted since the same stage began. If
// its weights are others, there is an error and s is unchanged.
func (s *Split) Merge(o Split) error {
	switch {
	case len(o.Weights) == 0 && o.Past == 0:
		return nil
	case len(s.Weights) == 0 && s.Past == 0:
		s.Stage(o.Weights)
	case !slices.Equal(s.Weights, o.Weights):
		return fmt.Errorf("evalue: weights are %v, want those of this stage, %v", o.Weights, s.Weights)
	}
	if len(o.Counts) != len(s.Counts) || math.IsNaN(o.Past) {
		return fmt.Errorf("evalue: counts %v after ln E of %v, want %d counts", o.Counts, o.Past, len(s.Counts))
	}
	for i, n := range o.Counts {
		s.Counts[i] += max(n, 0)
	}
	s.Past += o.Past
	return nil
}
