// Package grpchealth serves the health of a process by the gRPC health checking protocol,
// grpc.health.v1, for Kubernetes gRPC probes, load balancers and gRPC clients. It is a
// module of its own, since it needs google.golang.org/grpc.
//
//	monitor, err := health.New(health.Config{...})
//	server := grpc.NewServer()
//	check := grpchealth.New(monitor)
//	healthpb.RegisterHealthServer(server, check)
//
// The empty service name is readiness. The names "live" and "startup" are the other
// endpoints of the monitor, and the name of a component is that component. Pass and Warn
// are SERVING; Fail and Unknown are NOT_SERVING.
//
// The protocol is described in grpc/doc/health-checking.md.
package grpchealth
