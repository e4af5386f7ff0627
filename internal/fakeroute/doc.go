// Package fakeroute is an API server of Kubernetes with one HTTPRoute, for tests:
// it keeps what is patched, counts versions and generations, refuses patches of
// an old version, and has a gateway that writes the status. What the schema of an
// HTTPRoute demands is checked by whoever gives [Server] a Validate; the one in
// internal/httproutetest is that of Kubernetes itself.
package fakeroute
