// Package evalue implements e-values for A/B tests and canary analysis: sequential
// tests and confidence sequences that stay valid however often one looks.
//
// An e-value is a non-negative statistic whose expectation is at most 1 under the
// null hypothesis. An e-process is an e-value at every stopping time. The
// probability that it ever reaches 1/alpha is at most alpha (Ville). So one may look
// after every request, and stop at any time. All functions return ln E, because E
// soon leaves the range of a float64. Reject at ln E >= ln(1/alpha).
//
// Evidence adds up: the log-likelihood ratios of independent blocks, stages and
// replicas are summed per alternative, and then the alternatives are averaged. An
// average of e-values is an e-value under any dependence.
//
//	Groups, RateHarm, ...  scores by groups of slots: is the candidate worse?
//	Moments                events by the arm of their slot
//	Odds                   whether traffic is split as intended
//	TwoByTwo               rates of two arms, block by block
//	Pairs                  which of two heavy-tailed values is larger
//	EBH                    which of several hypotheses to reject
//	AsymptoticHalfWidth    a confidence sequence for a mean
//	RateInterval           a confidence sequence for a rate
//	ShareLogE              whether a share exceeds a limit
//	Regression, Ridge      what covariates explain of an outcome (CUPED)
//	Detector               a change at an unknown time, at a given rate of false alarms
//	PSI                    the population stability index, with a limit
//	ChiSquaredTail         p-values of chi-squared tests, for one look only
//
// All states are plain data, survive JSON, and add up over blocks, stages and
// replicas. The exception is a Detector, which forgets. Replicas add up the
// evidence of a step before they call [Detector.Step].
package evalue
