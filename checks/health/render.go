package health

import (
	"encoding/json"
	"net/http"
	"strconv"
	"time"

	"github.com/serin-go/serin/checks"
)

// all is the endpoint that shows all components.
const all = startup + 1

// page holds the rendered responses.
type page struct {
	responses [all + 1][2]response // by endpoint, without and with details
}

// response is a rendered response.
type response struct {
	code   int
	body   []byte
	length []string // Content-Length
}

// stalePage is served when what is known is too old.
type stalePage struct{ response }

// bodyJSON is the root of a response, without its checks.
type bodyJSON struct {
	Status  string `json:"status"`
	State   state  `json:"x-state,omitempty"`
	Version string `json:"version,omitempty"`
	Release string `json:"releaseId,omitempty"`
	Service string `json:"serviceId,omitempty"`
	Output  string `json:"output,omitempty"`
}

// nodeJSON is an element of a response's checks.
type nodeJSON struct {
	Status        string  `json:"status"`
	State         state   `json:"x-state,omitempty"`
	Time          string  `json:"time,omitempty"`
	ObservedValue float64 `json:"observedValue,omitempty"`
	ObservedUnit  string  `json:"observedUnit,omitempty"`
	Output        string  `json:"output,omitempty"`
}

// statusOf returns the word of the draft for s. Unknown is fail.
func statusOf(s checks.Status) (status string, state state) {
	if s == checks.Unknown {
		return checks.Fail.String(), "unknown"
	}
	return s.String(), known
}

// render renders all responses. The caller holds mu.
func (m *Monitor) render() {
	m.renderAt = forever
	report := m.newReport()
	p := new(page)
	for details := range 2 {
		if details == 1 && m.cfg.Details == nil {
			break // no request may see them
		}
		var nodes [all + 1][]byte
		for i, c := range report.Components {
			node := renderNode(c, details == 1)
			nodes[all] = appendNode(nodes[all], node)
			switch m.components[i].Matters {
			case Live:
				nodes[live] = appendNode(nodes[live], node)
				fallthrough
			case Ready:
				nodes[ready] = appendNode(nodes[ready], node)
				nodes[startup] = appendNode(nodes[startup], node)
			case Warn:
				nodes[ready] = appendNode(nodes[ready], node)
			}
		}
		for i, s := range [all + 1]checks.Status{report.Live, report.Ready, report.Startup, report.Ready.Worse(report.Live)} {
			p.responses[i][details] = m.renderResponse(i, s, nodes[i])
		}
	}
	m.page.Store(p)
	if differs(report, m.report) {
		close(m.news)
		m.news = make(chan struct{})
	}
	m.report = report
}

func (m *Monitor) renderResponse(endpoint int, s checks.Status, nodes []byte) response {
	root := bodyJSON{Version: m.cfg.Version, Release: m.cfg.Release, Service: m.cfg.Service}
	root.Status, root.State = statusOf(s)
	switch {
	case m.draining && (endpoint == ready || endpoint == all):
		root.State, root.Output = draining, "the process is shutting down"
	case !m.started && s == checks.Unknown:
		root.State = "unknown"
		root.Output = "the process is starting"
	case !m.started && endpoint == startup:
		root.Output = "the process has not started within " + m.cfg.StartupLimit.String()
	}
	return newResponse(s, root, nodes)
}

// renderStale renders the response for results that are too old.
func (m *Monitor) renderStale() stalePage {
	root := bodyJSON{Version: m.cfg.Version, Release: m.cfg.Release, Service: m.cfg.Service}
	root.Status, root.State = statusOf(checks.Unknown)
	root.Output = "the results of the checks are too old"
	return stalePage{newResponse(checks.Unknown, root, nil)}
}

func newResponse(s checks.Status, root bodyJSON, nodes []byte) response {
	r := response{code: http.StatusOK}
	if !s.Opens() {
		r.code = http.StatusServiceUnavailable
	}
	r.body = marshal(root)
	if len(nodes) > 0 {
		r.body = append(r.body[:len(r.body)-1], `,"checks":{`...)
		r.body = append(append(r.body, nodes...), "}}"...)
	}
	r.body = append(r.body, '\n')
	r.length = []string{strconv.Itoa(len(r.body))}
	return r
}

// renderNode renders `"component:measurement":[{...}]`.
func renderNode(c ComponentReport, details bool) []byte {
	key := c.Name
	if c.Measurement != "" {
		key += ":" + c.Measurement
	}
	var n nodeJSON
	n.Status, n.State = statusOf(c.Status)
	if c.State == string(hung) {
		n.State = hung
	}
	if !c.Looked.IsZero() {
		n.Time = c.Looked.Format(time.RFC3339)
		if c.Measurement == "responseTime" {
			n.ObservedValue, n.ObservedUnit = float64(c.Took.Microseconds())/1000, "ms"
		}
	}
	if details && c.Status != checks.Pass {
		n.Output = c.Output
	}
	return append(append(append(marshal(key), ":["...), marshal(n)...), ']')
}

func appendNode(nodes, node []byte) []byte {
	if len(nodes) > 0 {
		nodes = append(nodes, ',')
	}
	return append(nodes, node...)
}

// marshal returns v in JSON. v holds only text and finite numbers.
func marshal(v any) []byte {
	text, err := json.Marshal(v)
	if err != nil {
		panic(err)
	}
	return text
}

// differs reports whether a status or a state differs between two reports.
func differs(a, b Report) bool {
	if a.Live != b.Live || a.Ready != b.Ready || a.Startup != b.Startup || a.Draining != b.Draining || len(a.Components) != len(b.Components) {
		return true
	}
	for i, c := range a.Components {
		if o := b.Components[i]; c.Status != o.Status || c.State != o.State {
			return true
		}
	}
	return false
}
