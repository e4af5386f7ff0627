package health

import (
	"net/http"
	"strconv"
	"time"
)

// Live returns the handler of the liveness probe. It fails while a component with Matters
// Live has failed.
func (m *Monitor) Live() http.Handler { return m.handler(live) }

// Ready returns the handler of the readiness probe. It fails before startup has passed,
// while a component with Matters Ready or Live is bad or unknown, and once
// [Monitor.Drain] was called.
func (m *Monitor) Ready() http.Handler { return m.handler(ready) }

// Startup returns the handler of the startup probe. It fails until each component with
// Matters Ready or Live has been good at the same time. After that it passes always.
func (m *Monitor) Startup() http.Handler { return m.handler(startup) }

// All returns a handler that shows all components, for people. Its status code is the
// worse one of Ready and Live.
func (m *Monitor) All() http.Handler { return m.handler(all) }

// Values of headers that all responses share.
var (
	contentType = []string{"application/health+json"}
	noStore     = []string{"no-store"}
	allow       = []string{"GET, HEAD"}
)

// handler serves the rendered responses of an endpoint. It allows GET and HEAD.
func (m *Monitor) handler(endpoint int) http.Handler {
	retry := []string{strconv.Itoa(int(max(1, (m.cfg.Every+time.Second-1)/time.Second)))}
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		h := w.Header()
		if r.Method != http.MethodGet && r.Method != http.MethodHead {
			h["Allow"] = allow
			http.Error(w, "want GET or HEAD", http.StatusMethodNotAllowed)
			return
		}
		p := m.page.Load()
		details := 0
		if m.cfg.Details != nil && m.cfg.Details(r) {
			details = 1
		}
		resp := &p.responses[endpoint][details]
		if int64(m.now()) >= m.valid.Load() && resp.code == http.StatusOK && (endpoint == ready || endpoint == all) {
			resp = &m.stale.response
		}
		h["Content-Type"], h["Cache-Control"], h["Content-Length"] = contentType, noStore, resp.length
		if resp.code != http.StatusOK {
			h["Retry-After"] = retry
		}
		w.WriteHeader(resp.code)
		if r.Method == http.MethodGet {
			_, _ = w.Write(resp.body) // an error means that the client is gone
		}
	})
}
