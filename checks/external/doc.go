// Package external answers: what do metrics that live elsewhere say?
//
// A [Source] answers queries: a monitoring system, a warehouse, a business
// dashboard. An [Analysis] asks it again and again, judges each answer by
// conditions, and counts. Its semantics are those of an AnalysisTemplate of
// argo-rollouts, field by field, for people who migrate:
//
//	prom, err := prometheus.New(prometheus.Config{Address: "http://prometheus:9090"})
//	a, err := external.New(external.Config{Source: prom, Metrics: []external.Metric{{
//		Name:         "success rate",
//		Query:        `sum(rate(http_requests_total{code!~"5.."}[1m])) / sum(rate(http_requests_total[1m]))`,
//		Success:      external.MustCondition("result[0] >= 0.95"),
//		Interval:     time.Minute,
//		Count:        10,
//		FailureLimit: 3,
//	}}})
//	suite["success rate"] = a // an Analysis is a checks.Check
//
// A [Guard] is an analysis that goes on for as long as its context and says at
// any time how it stands.
//
// # How it is judged
//
// A measurement is Successful, Failed, Inconclusive (neither condition holds)
// or an Error (the source gave no answer, or a condition could not be applied
// to it). A metric fails when it has failed more often than FailureLimit, is
// Inconclusive beyond InconclusiveLimit, and an Error beyond
// ConsecutiveErrorLimit errors in a row; it is Successful after Count
// measurements, or ConsecutiveSuccessLimit successes in a row. The first metric
// that ends badly ends the analysis and stops the others. Metrics in a dry run
// are measured and reported and decide nothing.
//
// # What differs from argo-rollouts
//
//   - No measurement at all is never success: an analysis that is told to end
//     before its first measurement is Inconclusive. So is one that was told to
//     end before the successes in a row that it demands.
//   - An answer without values is an error unless a condition asks for
//     len(result); it is so without conditions too.
//   - Delays and intervals are durations: one that cannot be is refused by
//     [New] with every other problem of the configuration, instead of being
//     passed over while the rest goes on.
//
// # What it cannot do
//
// A limit on failed measurements is no statistical test. With a failure limit
// that is fixed, long analyses roll back healthy candidates: at a success rate
// of 99.5 % against a limit of 99 %, with 100 requests a measurement, 60
// measurements and a failure limit of 3, in four of five cases. Package
// analysis compares the arms' own requests and states its error; use this
// package for what only another system knows.
package external
