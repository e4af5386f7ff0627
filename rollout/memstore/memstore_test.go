package memstore_test

import (
	"testing"

	"github.com/serin-go/serin/rollout"
	"github.com/serin-go/serin/rollout/memstore"
	"github.com/serin-go/serin/rollout/storetest"
)

func TestStore(t *testing.T) {
	storetest.Run(t, func(*testing.T) rollout.Store { return new(memstore.Store) })
}
