package evalue

import (
	"cmp"
	"slices"
)

// EBH applies the e-Benjamini-Hochberg procedure (Wang and Ramdas, "False discovery
// rate control with e-values") to e-values, not their logs. It returns the
// hypotheses to reject. The expected share of false rejections is at most alpha
// under any dependence. It rejects the k largest, for the largest k whose k-th
// e-value is at least len(e)/(k*alpha).
func EBH(e []float64, alpha float64) []bool {
	order := make([]int, len(e))
	for i := range order {
		order[i] = i
	}
	slices.SortStableFunc(order, func(i, j int) int { return cmp.Compare(e[j], e[i]) })
	reject := make([]bool, len(e))
	for k := len(e); k > 0; k-- {
		if float64(k)*e[order[k-1]]*alpha >= float64(len(e)) {
			for _, i := range order[:k] {
				reject[i] = true
			}
			break
		}
	}
	return reject
}
