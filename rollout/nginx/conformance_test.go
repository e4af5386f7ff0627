package nginx_test

import (
	"net/http"
	"testing"

	"github.com/serin-go/serin/internal/planetest"
	"github.com/serin-go/serin/rollout"
	"github.com/serin-go/serin/rollout/nginx"
	"github.com/serin-go/serin/rollout/rollouttest"
)

// proxied is a splitter whose requests go through the real nginx.
type proxied struct {
	*nginx.Splitter
	plane *plane
}

func (p proxied) AssignsUnits() bool { return p.Sticky() }

func (p proxied) Serve(unit string) (string, error) {
	body, _, err := planetest.Get(p.plane.client, p.plane.url, http.Header{"X-User": {unit}})
	return map[string]string{"blue": rollouttest.Baseline, "green": rollouttest.Candidate}[body], err
}

func TestConformance(t *testing.T) {
	rollouttest.Splitter(t, func(t *testing.T) rollout.Splitter {
		p, s := start(t, "$http_x_user")
		return proxied{s, p}
	})
}
