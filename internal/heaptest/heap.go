// Package heaptest measures the heap, for tests of what a type takes in memory.
package heaptest

import (
	"runtime"
	"runtime/metrics"
)

// InUse returns the bytes of the heap that a garbage collection has found to be in use.
// Garbage that other goroutines make meanwhile is not in it.
func InUse() int64 {
	runtime.GC()
	runtime.GC() // what the first one has finalized
	live := []metrics.Sample{{Name: "/gc/heap/live:bytes"}}
	metrics.Read(live)
	return int64(live[0].Value.Uint64())
}
