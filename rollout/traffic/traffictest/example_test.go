package traffictest_test

import (
	"testing"

	"github.com/serin-go/serin/rollout/traffic"
	"github.com/serin-go/serin/rollout/traffic/sticky"
	"github.com/serin-go/serin/rollout/traffic/traffictest"
)

// The whole test of a store of one's own. Here it is package sticky's.
func Example() {
	_ = func(t *testing.T) {
		traffictest.Sticky(t, func(t *testing.T) traffic.Sticky {
			store, err := sticky.New(sticky.Config{})
			if err != nil {
				t.Fatal(err)
			}
			t.Cleanup(func() { _ = store.Close() })
			return store
		})
	}
}
