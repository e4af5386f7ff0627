//go:build race

package main

// raced says that the race detector is on. It makes a simulation ten times slower, and
// looks for something else than its figures.
const raced = true
