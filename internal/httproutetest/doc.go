// Package httproutetest is a module of its own that tests package httproute
// against the schema of HTTPRoute as Gateway API publishes it, checked by the code
// that the API server of Kubernetes checks it with: unknown fields, types, bounds
// and the rules in CEL. It also reads the manifest of examples/gateway with the types of
// Kubernetes. No importer of Serin links either.
package httproutetest
