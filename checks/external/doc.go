// Package external provides canary analysis of metrics from external systems, such as
// Prometheus, with the semantics of argo-rollouts AnalysisTemplates.
//
// A [Source] answers queries: a monitoring system, a data warehouse, a business
// dashboard. An [Analysis] queries it repeatedly, evaluates each answer by conditions,
// and counts. Each field has the same meaning as in an AnalysisTemplate:
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
// A [Guard] is an analysis that runs in the background and reports its state at any
// time.
//
// # Evaluation
//
// A measurement is Successful, Failed, Inconclusive (neither condition holds) or an Error
// (the source has no answer, or a condition cannot be applied to it). A metric is Failed
// after more than FailureLimit failures, Inconclusive after more than InconclusiveLimit
// inconclusive measurements, and an Error after more than ConsecutiveErrorLimit errors in
// a row. It is Successful after Count measurements, or after ConsecutiveSuccessLimit
// successes in a row. The first metric that ends badly ends the analysis. Metrics in a
// dry run are measured and reported, but do not affect the outcome.
//
// # Differences from argo-rollouts
//
//   - An analysis without measurements is never successful. It is Inconclusive if it ends
//     before its first measurement, or before the required successes in a row.
//   - An answer without values is an error, with or without conditions, unless a
//     condition uses len(result).
//   - Delays and intervals are durations. [New] rejects invalid ones with all other
//     problems of the configuration, instead of ignoring them.
//
// # Limits
//
// A limit on failed measurements is not a statistical test. With a fixed failure limit,
// long analyses roll back good candidates. For example, take a success rate of 99.5 %, a
// condition of 99 %, 100 requests per measurement, 60 measurements and a failure limit of
// 3. Then four of five analyses fail. Package analysis compares the requests of both arms
// and has a known error rate. Use this package for metrics that only another system has.
package external
