package sse

import (
	"testing"
	"unsafe"
)

// TestSize holds the memory of a Meter, whatever it is fed, below 72 KiB.
func TestSize(t *testing.T) {
	if n := unsafe.Sizeof(Meter{}) + carrySize + maxTemplate; n > 72<<10 {
		t.Errorf("a meter may take %d bytes", n)
	}
}
