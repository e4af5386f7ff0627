// Package health answers whether this process can serve: liveness, readiness and startup
// probes for Kubernetes and load balancers, in the format application/health+json
// (draft-inadarei-api-health-check-06), and a graceful shutdown that drains token streams.
//
//	monitor, err := health.New(health.Config{Components: []health.Component{
//		{Name: "store", Check: probe, Shared: true},
//	}})
//	go monitor.Run(ctx)
//	mux.Handle("/livez", monitor.Live())
//	mux.Handle("/readyz", monitor.Ready())
//	mux.Handle("/startupz", monitor.Startup())
//
// A component is a [checks.Check] that runs in the background. A request never runs a
// check: it gets a response that was rendered when something changed. A check that hangs,
// panics or exits its goroutine affects only its own component.
//
// # What each endpoint reports
//
// Liveness is for what a restart repairs, such as a loop that has stopped ([Beat]) or a
// mutex that is never unlocked ([Lock]). It must not depend on other services. Readiness
// fails while this process cannot serve requests. Startup passes when all components
// have passed, and then never fails again.
//
// A dependency that all replicas share must not fail readiness: it would remove all
// replicas from the load balancer together, and turn slow responses into an outage. Mark
// it with [Component].Shared: then it delays startup, and later only warns.
//
// What is not known is not ready. Before the first result, and when results are too old,
// startup and readiness fail with "x-state":"unknown".
//
// # Shutdown
//
// [Monitor.Drain] makes readiness fail, waits until load balancers have noticed, refuses
// new requests, and lets running requests finish. Wrap the handler of the service with
// [Monitor.Track] for that. A main function calls Drain, [net/http.Server.Shutdown],
// rollout.Engine.Close, and closes the store, in this order.
//
// Package grpchealth, a module of its own, serves the same by gRPC. This package uses only
// the standard library.
package health
