package evalue

// shareOdds are the alternatives of [ShareLogE] as multiples of the odds, with their
// weights. Twice the odds, the harm that is to be found, has the largest weight.
var shareOdds = [...]struct{ factor, weight float64 }{{1.25, 0.1}, {1.5, 0.15}, {2, 0.5}, {3, 0.1}, {6, 0.1}, {20, 0.05}}

// ShareLogE returns ln E for "the true share of events exceeds share" after events of n
// trials: the mixture of the likelihood ratios of multiples of the odds of share, from
// 1.25 to 20. It is valid at every stopping time, rises with events, and falls with n
// at equal events. So trials whose outcome is not yet known may count as trials without
// an event. A share of 0 is exceeded by the first event, and a share of 1 never.
// Impossible arguments give 0, no evidence.
//
// dependence is the number of trials that show as much as one independent trial, or 1.
func ShareLogE(events, n int, share, dependence float64) float64 {
	switch {
	case events < 0 || events > n || !(share >= 0 && share < 1 && dependence >= 1):
		return 0
	case share == 0:
		if events > 0 {
			return impossible
		}
		return 0
	}
	var logs, weights [len(shareOdds)]float64
	for j, a := range shareOdds {
		odds := a.factor * share / (1 - share)
		logs[j], weights[j] = logRatio(events, n, odds/(1+odds), share)/dependence, a.weight
	}
	return Average(logs[:], weights[:])
}
