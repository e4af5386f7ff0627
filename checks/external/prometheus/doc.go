// Package prometheus queries metrics from Prometheus for canary analysis.
//
// A [Source] is an external.Source that uses the HTTP API of Prometheus. Thanos, Mimir,
// Cortex and VictoriaMetrics have the same API. The package needs only net/http.
//
//	source, err := prometheus.New(prometheus.Config{Address: "http://prometheus:9090"})
//	values, err := source.Query(ctx, `sum(rate(http_requests_total{code=~"5.."}[1m]))`)
//
// # Values
//
// A scalar gives one value. An instant vector gives one value for each series, in the
// order of the server. A range vector gives all values of each series in turn. NaN and
// infinities are values. An empty vector is external.ErrNoData: the metric does not exist,
// or the expression excludes all series. A division of zero by zero is NaN if the series
// exist, and external.ErrNoData otherwise.
//
// # Errors
//
// An [*Error] is an error that the server reports, such as an invalid query. A response
// that is not JSON (such as the page of a proxy), too large, truncated, or a histogram is
// an error too. Warnings mean that the response may be incomplete. They are logged, or
// errors if [Config.Strict] is set.
package prometheus
