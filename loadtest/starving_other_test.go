//go:build !linux

package loadtest

// starvingVar is for Linux only.
const starvingVar = ""

func runStarving(string) {}
