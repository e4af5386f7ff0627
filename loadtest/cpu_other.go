//go:build !unix

package loadtest

// processCPU returns -1: the processor time is not known here.
func processCPU() float64 { return -1 }
