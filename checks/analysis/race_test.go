//go:build race

package analysis

// raced says that the race detector is on. It has nothing to see in rollouts that are
// played in one goroutine, and they take ten times as long with it.
const raced = true

func init() { *runs = 4 }
