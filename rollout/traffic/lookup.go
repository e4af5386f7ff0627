package traffic

import (
	"net/http"
	"time"

	"github.com/serin-go/serin/checks/analysis/answer"
	"github.com/serin-go/serin/internal/bounded"
)

// Arm returns the arm that a request of the unit would be given now, without
// giving it one: nothing is counted. It allocates nothing. "" is a unit of its
// own, whose arm is drawn.
func (r *Router) Arm(unit string) string {
	return r.table.Load().place(&subject{unit: bounded.Name(unit)}, r.expired()).arm.name
}

// ArmOf returns the arm that a request would be given now, rules, forced arms and
// the ids in its path included, without giving it one. It does not look at the body.
// It allocates nothing unless the request is about an id, or what the configuration
// says of requests allocates.
func (r *Router) ArmOf(req *http.Request) string {
	t := r.table.Load()
	s := subject{unit: r.unit(req), req: req}
	if t.units {
		s.tenant = r.tenant(req)
	}
	return r.place(t, &s, &answer.Ask{Route: r.routeOf(req)}, nil, r.expired()).arm.name
}

// expired reports what stale reports for the present time. It looks at the clock only
// if it matters.
func (r *Router) expired() bool { return r.expiry.Load() != 0 && r.stale(time.Now()) }
