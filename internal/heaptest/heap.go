// Package heaptest measures the heap, for tests of what a type takes in memory.
package heaptest

import "runtime"

// InUse returns the bytes on the heap that are in use, after garbage collection.
func InUse() int64 {
	runtime.GC()
	runtime.GC() // what the first one has finalized
	var m runtime.MemStats
	runtime.ReadMemStats(&m)
	return int64(m.HeapAlloc)
}
