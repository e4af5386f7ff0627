package evalue

import (
	"cmp"
	"slices"
)

// EBH is the e-Benjamini-Hochberg procedure (Wang and Ramdas, "False discovery
// rate control with e-values"). It says which of the hypotheses with e-values e
// (not their logs) to reject so that the expected share of false ones among
// them is at most alpha, whatever their dependence: the k largest, for the
// largest k whose k-th e-value is at least len(e)/(k*alpha).
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
