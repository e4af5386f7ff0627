package rolloutotel_test

import (
	"testing"

	"github.com/serin-go/serin/rollout"
	"github.com/serin-go/serin/rollout/rolloutotel"
	"github.com/serin-go/serin/rollout/rollouttest"
)

func TestConformance(t *testing.T) {
	rollouttest.Observer(t, func(t *testing.T) rollout.Observer {
		o, err := rolloutotel.New(rolloutotel.Config{})
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { _ = o.Close() })
		return o
	})
}
