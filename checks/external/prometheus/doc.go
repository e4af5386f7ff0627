// Package prometheus answers: what does Prometheus say?
//
// A [Source] is an external.Source that asks a server by its HTTP API: that of
// Prometheus itself or of what speaks like it, such as Thanos, Mimir, Cortex or
// VictoriaMetrics. Nothing but net/http is needed.
//
//	source, err := prometheus.New(prometheus.Config{Address: "http://prometheus:9090"})
//	values, err := source.Query(ctx, `sum(rate(http_requests_total{code=~"5.."}[1m]))`)
//
// # What an answer becomes
//
// A scalar is one value; an instant vector one value for each series, in the
// order of the server; a range vector all values of each series in turn. NaN
// and infinities are values. An empty vector is external.ErrNoData: nobody
// exports such a metric, or the expression has filtered everything out. A
// division of nothing by nothing is NaN, where there are such series, and no
// data, where there are none.
//
// # What goes wrong
//
// An [*Error] is what the server says is wrong, such as a query that it cannot
// parse. A server that answers with a page of a proxy instead of JSON, an
// answer that is too large or cut off, and a histogram, which is no number, are
// errors too. Warnings, which mean that something is missing from the answer,
// are logged, or errors if [Config.Strict] is set.
package prometheus
