// Package probe provides ready-made checks of real things: HTTP endpoints, TLS
// certificates, DNS, SQL databases, disks, clocks, Prometheus metrics, model servers, GPUs,
// and the answers of a model.
//
//	ready := checks.All(
//		probe.HTTP(probe.HTTPOptions{URL: "https://gateway.example.com/healthz"}),
//		probe.TLS(probe.TLSOptions{Addr: "gateway.example.com:443"}),
//		probe.SQL(probe.SQLOptions{DB: db}),
//		probe.Completion(probe.Endpoint{URL: "http://10.0.0.7:8000", Model: "chat"}, probe.CompletionOptions{}),
//	)
//
// Each function returns a [checks.Check] for a gate of a rollout, a component of package
// health, or a test. The functions never fail: options that are invalid make every result
// Unknown, with one [*checks.InvalidError] for each mistake, and so open nothing.
//
// # Results
//
// Pass means that the thing was looked at and is as required. Fail means that it was
// looked at and is not, or that it did not answer within the time limit. Unknown means
// that it could not be looked at: the context has ended, the resolver does not answer, a
// metric is missing. The evidence of a result has the measured values. A result does not
// contain the user information or the query of a URL of the options. Errors of clients and
// servers are shown with at most 1 KiB, without the passwords, tokens and keys that they
// name; a secret that nothing in the text identifies as one cannot be recognized.
//
// A check that opens only after its time limit is a Fail, and Unknown if its context has
// ended.
//
// # Limits
//
// Unless its options say otherwise, a check ends after 10 seconds and reads at most 1 MiB.
// It does not follow redirects. It leaves no goroutine and no connection behind. All checks
// are safe for concurrent use, and have a digest of their requirements
// ([checks.Digester]).
//
// This package uses only the standard library. Package drill rehearses failures; package
// health serves the results of checks.
package probe
