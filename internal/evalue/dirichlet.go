package evalue

import "math"

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
