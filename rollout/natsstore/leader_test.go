package natsstore_test

import (
	"context"
	"errors"
	"testing"
	"time"

	"github.com/serin-go/serin/rollout/natsstore"
)

// TestOpenWithoutLeader: of three servers one is left. The error says that there is no
// leader.
func TestOpenWithoutLeader(t *testing.T) {
	c := serve(t, 3, "always")
	for _, m := range c.members[1:] {
		m.kill()
	}
	ctx, cancel := context.WithTimeout(t.Context(), 3*time.Second)
	defer cancel()
	_, err := natsstore.Open(ctx, natsstore.Config{URL: c.members[0].url})
	if !errors.Is(err, natsstore.ErrNoLeader) || !errors.Is(err, context.DeadlineExceeded) {
		t.Errorf("Open: %v", err)
	}
}
