// Package cluster answers what a service can take from more load than one
// machine can send: a [Coordinator] spreads one load test over several workers
// and merges what they find, without loss, into one report.
//
// Each machine that shall send load serves a [Worker]:
//
//	worker, err := cluster.NewWorker(cluster.WorkerConfig{Token: token})
//	...
//	http.ListenAndServe(":8090", worker)
//
// and one machine runs the plan:
//
//	c, err := cluster.New(cluster.Config{Workers: []string{"http://a:8090", "http://b:8090"}, Token: token})
//	...
//	report, err := c.Run(ctx, plan)
//
// [Coordinator.Run] is a [loadtest.Runner]: its Gate and the Run of a
// [loadtest.Search] judge merged data, so no threshold is ever judged on the
// share of one machine.
//
// # How a run goes
//
// The plan's schedule is dealt out request by request ([pace.Shard]), so the
// workers together send the same bytes at the same instants as one machine
// would. The coordinator estimates by how much each worker's clock is off, and
// all begin at one instant, which lies [Config].Lead ahead. Each second a worker
// sends a report on that second, with its histograms in the V2 format of
// HdrHistogram; these merge exactly, in any order. Report.Notes name each
// worker, the offset of its clock and the share it sent.
//
// # When a worker is lost
//
// A worker whose connection breaks, or that says nothing for [Config].Silence,
// is lost. What it has reported counts. The rest of its share is taken over by
// another worker within a second or so, or declared missing if
// [Config].DeclareMissing says so or no worker is left. Requests of which nothing
// is known are counted in Report.Missing, and a note says whose they were:
// nothing is dropped in silence. A worker whose coordinator goes away stops.
//
// # Trust
//
// Who has the token can make a worker send any HTTP request; serve workers over
// TLS or on a network of your own. Keys for the service under test are never
// sent: each worker has its own [WorkerConfig].APIKey and Header.
package cluster
