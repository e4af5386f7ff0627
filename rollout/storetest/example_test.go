package storetest_test

import (
	"testing"

	"github.com/serin-go/serin/rollout"
	"github.com/serin-go/serin/rollout/memstore"
	"github.com/serin-go/serin/rollout/storetest"
)

// The whole test of a store of one's own. Here it is memstore's.
func Example() {
	_ = func(t *testing.T) {
		storetest.Run(t, func(t *testing.T) rollout.Store { return new(memstore.Store) })
	}
}
