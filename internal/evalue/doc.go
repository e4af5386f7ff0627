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
//	Events      events alone, under known shares of the traffic (EventsLogE: one share)
//	Pairs       pairs of heavy-tailed values: whose is larger (PairsLogE: the counts)
//	Bet         means of bounded values
//	Split       counts by category against intended shares (DirichletLogE: one stage)
//	Asymptotic  tests and confidence sequences for means
//	EBH         which of several hypotheses to reject
//
// What is shown beside a verdict, and what comes after a promotion:
//
//	RateInterval, Bounded  confidence sequences for a rate, for a mean of scores
//	Regression             differences of means, less what a covariate explains (CUPED)
//	Detector               a change at an unknown time, at a stated rate of false alarms
//	PSI, PageHinkley       customary measures of drift, the first with a limit that holds
//
// The state of each is plain data or gives such: counts and sums that survive
// JSON and add up over blocks, stages and replicas. Only a Detector and a
// PageHinkley are not sums, since they forget; replicas add up what they give
// to a step.
package evalue
