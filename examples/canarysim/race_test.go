//go:build race

package main

// The race detector makes a simulation ten times slower, and looks for
// something else than its figures.
const runs = 6
