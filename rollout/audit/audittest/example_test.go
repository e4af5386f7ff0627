package audittest_test

import (
	"testing"

	"github.com/serin-go/serin/rollout/audit"
	"github.com/serin-go/serin/rollout/audit/audittest"
)

// The whole test of an anchor of one's own. Here it is a directory.
func Example() {
	_ = func(t *testing.T) {
		audittest.Anchor(t, func(t *testing.T, dir string) audit.Anchor { return audit.Dir(dir) })
	}
}
