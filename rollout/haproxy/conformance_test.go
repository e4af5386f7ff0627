package haproxy_test

import (
	"net/http"
	"testing"

	"github.com/serin-go/serin/internal/planetest"
	"github.com/serin-go/serin/rollout"
	"github.com/serin-go/serin/rollout/haproxy"
	"github.com/serin-go/serin/rollout/rollouttest"
)

// proxied is a splitter whose requests go through the real haproxy.
type proxied struct {
	*haproxy.Splitter
	plane *plane
}

func (p proxied) Serve(string) (string, error) {
	body, _, err := planetest.Get(http.DefaultClient, p.plane.url, nil)
	return map[string]string{"blue": rollouttest.Baseline, "green": rollouttest.Candidate}[body], err
}

func TestConformance(t *testing.T) {
	for _, more := range []string{"    balance roundrobin", "    balance roundrobin\n    cookie SRV insert indirect"} {
		rollouttest.Splitter(t, func(t *testing.T) rollout.Splitter {
			p := start(t, more)
			return proxied{p.splitter(t, haproxy.Config{}), p}
		})
	}
}
