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
// # Workers that dial out
//
// A worker behind a NAT or a firewall joins the coordinator instead. Over HTTPS, both
// ends have certificates:
//
//	worker.Join(ctx, func(ctx context.Context) (net.Conn, error) {
//		return cluster.Dial(ctx, "https://coordinator:8443", mutualTLS)
//	})
//
// The coordinator is the handler of a server that verifies the certificates of clients,
// and its runs wait for [Config].MinWorkers. Any other network will do that has a
// [net.Listener] for [Coordinator.Serve] and a dialer for [Worker.Join]. Package
// natscluster has them for NATS. Package clustertest tests such connections. A worker
// serves its HTTP API on the connection that it has opened, so that all workers do the
// same, whichever end dials.
//
// A coordinator and a worker of different versions of the protocol refuse each other with
// a [*VersionError].
//
// # How a run works
//
// The requests of the schedule are distributed in turn; see [pace.Shard]. The
// workers together send the same bytes at the same instants as one machine would.
// The coordinator estimates the clock offset of each worker before the run and every
// 10 s during the run. All workers start at the same instant, [Config].Lead after the
// announcement. The latest offset counts for the instants in reports and for parts of the
// plan that begin later. Durations do not depend on it. Every second, a worker
// sends a report of that second with its HdrHistograms (V2), which merge exactly, in
// any order. Report.Notes has each worker, its clock offset with the change during the
// run, and its share. The last note compares the numbers of requests with the plan.
//
// # Workers that come and go
//
// A worker that joins during a run receives its share of the rest: of n workers, each
// gives up one n-th of what it has not sent yet. The users of a closed loop stay where
// they are; there, a late worker takes over from those that leave or are lost. Up to 1,000
// workers can be connected that have joined, and as many can join during one run.
//
// [Worker.Leave] gives the rest of a worker's shares to another worker, which continues
// at the same instant, and waits for the answers. Each request is sent once.
//
// A worker is lost if its connection breaks or if it sends nothing for
// [Config].Silence. Its earlier reports count. Within about a second, another worker
// takes over the rest of its share. With [Config].DeclareMissing, or if no worker is
// left, the rest is declared missing. Report.Missing counts the requests whose
// outcome is unknown, and a note has their number for each worker. A worker stops
// when its coordinator disconnects.
//
// The numbers of requests sent, unsent and missing are the number of requests in the
// plan, unless the run was interrupted.
//
// # Security
//
// A client with the token can make a worker send any HTTP request. Serve workers
// over TLS or on a private network. A worker that joins trusts a coordinator whose
// certificate it has verified or that has the token. The token itself is not sent then.
// Keys for the service under test are never transferred: each worker has its own
// [WorkerConfig].APIKey and Header.
package cluster
