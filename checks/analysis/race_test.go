//go:build race

package analysis

// The simulations measure nothing that the race detector sees, and take ten times as
// long with it.
func init() { *runs = 4 }
