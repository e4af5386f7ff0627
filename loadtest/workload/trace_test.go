package workload_test

import (
	"errors"
	"testing"

	"github.com/serin-go/serin/checks"
	"github.com/serin-go/serin/loadtest/workload"
)

// TestTraceWithoutRequests: a trace that cannot be asked for a request is refused.
func TestTraceWithoutRequests(t *testing.T) {
	for name, trace := range map[string]*workload.Trace{"nil": nil, "zero": {}} {
		var invalid *checks.InvalidError
		if err := trace.Validate(); !errors.As(err, &invalid) {
			t.Errorf("%s: %v", name, err)
		}
	}
}
