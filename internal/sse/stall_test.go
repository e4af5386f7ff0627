package sse

import (
	"testing"
	"time"

	"github.com/google/go-cmp/cmp/cmpopts"
)

// butStall leaves out of a comparison what follows from the times of a test, which
// TestStall is about.
var butStall = cmpopts.IgnoreFields(seen{}, "Stall")

// TestStall: the longest time between two tokens counts; what comes before the first
// and behind the last does not.
func TestStall(t *testing.T) {
	const token = "data: {\"choices\":[{\"delta\":{\"content\":\"a\"}}]}\n\n"
	var m Meter
	m.Feed([]byte("data: {\"choices\":[{\"delta\":{\"role\":\"assistant\"}}]}\n\n"), time.Second)
	for _, at := range []time.Duration{9, 10, 13, 13, 14} {
		m.Feed([]byte(token), at*time.Second)
	}
	m.Feed([]byte("data: [DONE]\n\n"), time.Minute)
	m.End(time.Minute)
	if s := m.Stream(); s.Stall != 3*time.Second || s.Coalesced != 1 {
		t.Errorf("stall %v, %d coalesced", s.Stall, s.Coalesced)
	}
}
