package httproute_test

import (
	"fmt"
	"hash/fnv"
	"testing"

	"github.com/serin-go/serin/internal/fakeroute"
	"github.com/serin-go/serin/rollout"
	"github.com/serin-go/serin/rollout/httproute"
	"github.com/serin-go/serin/rollout/rollouttest"
)

// gateway is a splitter whose requests are served as the stored route says.
type gateway struct {
	*httproute.Splitter
	server *fakeroute.Server
}

func (g gateway) Serve(unit string) (string, error) {
	h := fnv.New32a()
	_, _ = h.Write([]byte(unit))
	var blue, green int
	w := weights(g.server, 0)
	if _, err := fmt.Sscan(w["chat-blue"]+" "+w["chat-green"], &blue, &green); err != nil {
		return "", err
	}
	if int(h.Sum32()%uint32(blue+green)) < green {
		return rollouttest.Candidate, nil
	}
	return rollouttest.Baseline, nil
}

func TestConformance(t *testing.T) {
	rollouttest.Splitter(t, func(t *testing.T) rollout.Splitter {
		s := fakeroute.New(chat)
		return gateway{open(t, s, nil), s}
	})
}
