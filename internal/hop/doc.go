// Package hop is an HTTP/1.1 client for reverse proxies: an [http.RoundTripper] that
// writes a request and reads its answer in the goroutine of the caller. An
// [http.Transport] hands both to two goroutines per connection, which costs a proxy
// about a third of its processor time.
//
// A [Transport] serves what is common: HTTP/1.1 to a server that is reached directly,
// with a body that is held in memory. It passes everything else to another
// RoundTripper: upgrades, bodies that are still being received, proxies, HTTP/2.
//
// It sends what an http.Transport without compression would send (RFC 9112), apart
// from "Expect: 100-continue", which a body in memory does not need. It is stricter
// about answers: a [ResponseError] lists what it refuses. Refused answers, and answers
// followed by bytes that do not belong to them, cost the connection, so that a server
// cannot place an answer before the next request.
//
// The package contains the client alone. Limits on time are in the context of a
// request. It needs the standard library, and package attempts, which defines errors
// of requests that were not sent.
package hop
