package rollouttest_test

import (
	"context"
	"testing"

	"github.com/serin-go/serin/rollout"
	"github.com/serin-go/serin/rollout/rollouttest"
)

// The whole test of a sink of one's own. Here it is a function.
func Example() {
	_ = func(t *testing.T) {
		rollouttest.Sink(t, func(t *testing.T) rollout.Sink {
			return rollout.SinkFunc(func(context.Context, rollout.Event) error { return nil })
		})
	}
}
