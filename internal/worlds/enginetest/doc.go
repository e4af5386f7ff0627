// Package enginetest plays rollouts of package worlds through an engine and a router, in
// virtual time. It has tests alone.
package enginetest
