// Package evalue answers: how strong is the evidence, however often one looks?
//
// An e-value is a non-negative statistic whose expectation is at most 1 if the
// null hypothesis holds; an e-process is one at every stopping time. So the
// probability that it ever reaches 1/alpha is at most alpha (Ville): one may
// look after every request, and stop or go on as one likes. All functions here
// return ln E, since E itself soon leaves the range of a float64. Reject at
// ln E >= ln(1/alpha).
//
// Evidence adds up: the log-likelihood ratios of independent blocks, stages and
// replicas are summed per alternative before the alternatives are averaged.
// Averages of e-values are e-values under any dependence.
//
//	TwoByTwo    rates of two arms, block by block; base rate and shares may drift
//	EventsLogE  events alone, under a constant share of the traffic
//	PairsLogE   pairs of heavy-tailed values: whose is larger
//	Bet         means of bounded values
//	Dirichlet   counts by category against intended shares
//	Asymptotic  confidence sequences for means
//	EBH         which of several hypotheses to reject
package evalue
