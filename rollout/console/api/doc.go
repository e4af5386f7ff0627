// Package api serves the HTTP API of the console: REST with JSON, problem details (RFC 9457),
// idempotency keys, ETags and server-sent events, to start, watch, approve and abort rollouts
// from other processes.
//
//	server, err := api.New(api.Config{
//		Engine: engine, Store: store,
//		Who: tokens, May: policy.Authorize,
//	})
//	...
//	mux.Handle("/api/v1/", server)
//
// Package client has the types of the wire and a client in Go. The routes are described by
// /api/v1/openapi.json (OpenAPI 3.1).
//
// # Rights
//
// Without Config.Who only this machine may read, and no request changes anything. With it,
// each request is authenticated, and Config.May decides by the actions of package access. What
// a caller may not read does not exist: the answer is the same 404.
//
// Requests with an effect from another origin are refused (net/http.CrossOriginProtection).
// So is a request with an effect that has a cookie, no bearer token, and neither
// Sec-Fetch-Site nor Origin.
//
// # Effects
//
// The package decides nothing: what it does is Engine.Start, Do and Retry, and reads. Each POST
// has an Idempotency-Key. Repeated with the same key, the same request that was carried out gets
// the first answer again, for up to 24 hours and as long as the process lives. Starts, retries and
// commands are also settled by the engine's own keys, which outlive the process and hold for all
// servers that share the store. A refusal has no effect and is not kept.
// Approve, promote, promote-fully, skip and resume need an If-Match, so that they act on what the
// caller has seen. An abort waits for nothing: it needs no condition. Commands that lower or hold
// a candidate are not limited.
//
// # Streams
//
// GET /api/v1/stream sends the newest state of rollouts, targets and alerts after each change.
// States are encoded once for all viewers, and a slow viewer misses states in between, never
// the last one.
//
// # Dependencies
//
// Package audit brings golang.org/x/mod for signed notes, and package planfile brings
// go.yaml.in/yaml/v3 for plan files.
//
// # What belongs here
//
// Routes, rights, conditions and the translation between this module's types and the JSON.
// Pages belong to package console, and sentences about a rollout to its package situation.
package api
