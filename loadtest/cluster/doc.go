// Package cluster provides distributed load testing: a [Coordinator] spreads one
// load test over several workers, for load that one machine cannot generate, and
// merges their results without loss into one report.
//
// Each load generator serves a [Worker]:
//
//	worker, err := cluster.NewWorker(cluster.WorkerConfig{Token: token})
//	...
//	http.ListenAndServe(":8090", worker)
//
// One machine runs the plan:
//
//	c, err := cluster.New(cluster.Config{Workers: []string{"http://a:8090", "http://b:8090"}, Token: token})
//	...
//	report, err := c.Run(ctx, plan)
//
// [Coordinator.Run] is a [loadtest.Runner]. Its Gate, and a [loadtest.Search] that
// uses it, judge the merged data, so thresholds never apply to the share of one
// worker.
//
// # How a run works
//
// The requests of the schedule are distributed in turn; see [pace.Shard]. The
// workers together send the same bytes at the same instants as one machine would.
// The coordinator estimates the clock offset of each worker. All workers start at
// the same instant, [Config].Lead after the announcement. Every second, a worker
// sends a report of that second with its HdrHistograms (V2), which merge exactly, in
// any order. Report.Notes has each worker, its clock offset and its share.
//
// # Worker failure
//
// A worker is lost if its connection breaks or if it sends nothing for
// [Config].Silence. Its earlier reports count. Within about a second, another worker
// takes over the rest of its share. With [Config].DeclareMissing, or if no worker is
// left, the rest is declared missing. Report.Missing counts the requests whose
// outcome is unknown, and a note has their number for each worker. A worker stops
// when its coordinator disconnects.
//
// # Security
//
// A client with the token can make a worker send any HTTP request. Serve workers
// over TLS or on a private network. Keys for the service under test are never
// transferred: each worker has its own [WorkerConfig].APIKey and Header.
package cluster
