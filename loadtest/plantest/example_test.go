package plantest_test

import (
	"testing"

	"github.com/serin-go/serin/loadtest/pace"
	"github.com/serin-go/serin/loadtest/plantest"
)

// The whole test of a schedule of one's own. Here it is package pace's.
func Example() {
	_ = func(t *testing.T) {
		plantest.Pacer(t, func(t *testing.T) pace.Pacer { return pace.Poisson(20, 1) })
	}
}
