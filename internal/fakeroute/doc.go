// Package fakeroute provides a Kubernetes API server with one HTTPRoute for tests. It
// applies patches, counts resource versions and generations, rejects patches of an old
// version, and has a gateway that writes the status. [Server].Validate checks objects
// against a schema; the tests in internal/httproutetest use the validation of Kubernetes.
package fakeroute
