package evalue

import "math"

// logMeanExp returns ln(mean(exp(l))), the mixture of alternatives with equal
// weights, without overflow. It returns 0, no evidence, if l is empty.
func logMeanExp(l []float64) float64 {
	if len(l) == 0 {
		return 0
	}
	top := math.Inf(-1)
	for _, x := range l {
		top = max(top, x)
	}
	if math.IsInf(top, 0) {
		return top
	}
	var sum float64
	for _, x := range l {
		sum += math.Exp(x - top)
	}
	return top + math.Log(sum/float64(len(l)))
}

// Average returns the log of the weighted average of e-values, which are given as
// logs. The average is an e-value against the hypothesis that all their nulls hold,
// under any dependence. Weights are relative. If no weight is positive, it returns
// 0, no evidence.
func Average(logE, weights []float64) float64 {
	top, total := math.Inf(-1), 0.0
	for i, l := range logE {
		if weights[i] > 0 {
			top, total = max(top, l), total+weights[i]
		}
	}
	if total == 0 || math.IsInf(top, 0) {
		return max(top, 0)
	}
	var sum float64
	for i, l := range logE {
		if weights[i] > 0 {
			sum += weights[i] / total * math.Exp(l-top)
		}
	}
	return top + math.Log(sum)
}
