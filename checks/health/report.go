package health

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"iter"
	"maps"
	"strings"
	"time"
	"unicode/utf8"

	"github.com/serin-go/serin/checks"
	"github.com/serin-go/serin/internal/visible"
)

// maxOutput is the length of an output in bytes.
const maxOutput = 1 << 10

// Report is what a [Monitor] knows. It is plain data.
type Report struct {
	// At is when the report was made.
	At time.Time `json:"at"`
	// Live, Ready and Startup are the statuses of the endpoints. Pass and Warn are served
	// as 200, Fail and Unknown as 503.
	Live    checks.Status `json:"live"`
	Ready   checks.Status `json:"ready"`
	Startup checks.Status `json:"startup"`
	// Draining reports whether [Monitor.Drain] was called.
	Draining bool `json:"draining,omitempty"`
	// Components are in the order of Config.
	Components []ComponentReport `json:"components,omitempty"`
}

// ComponentReport is the state of one component.
type ComponentReport struct {
	Name        string        `json:"name"`
	Measurement string        `json:"measurement,omitempty"`
	Matters     Matters       `json:"matters"`
	Shared      bool          `json:"shared,omitempty"`
	Status      checks.Status `json:"status"`
	// State says more: "waiting" for the first result, "outdated", "blocked" by a
	// component that it needs, or "hung" while the check does not return.
	State string `json:"state,omitempty"`
	// Output is the reason for the last result, at most 1 KiB of printable text.
	Output string `json:"output,omitempty"`
	// Evidence is the evidence of the last result.
	Evidence map[string]string `json:"evidence,omitempty"`
	// Since is when Status was set, Looked when the last result arrived. Took is how long
	// its check took.
	Since  time.Time     `json:"since,omitzero"`
	Looked time.Time     `json:"looked,omitzero"`
	Took   time.Duration `json:"took,omitempty"`
}

// Report returns the present state of all components and endpoints.
func (m *Monitor) Report() Report {
	m.mu.Lock()
	defer m.mu.Unlock()
	return m.newReport()
}

// newReport returns the present state. The caller holds mu.
func (m *Monitor) newReport() Report {
	now := m.now()
	r := Report{
		At: m.time(now), Draining: m.draining,
		Live: m.wholes[live].status, Ready: m.wholes[ready].status, Startup: m.wholes[startup].status,
	}
	for _, c := range m.components {
		r.Components = append(r.Components, m.reportOf(c, now))
	}
	return r
}

func (m *Monitor) reportOf(c *component, now time.Duration) ComponentReport {
	status, why := c.now(now)
	r := ComponentReport{
		Name: c.Name, Measurement: c.Measurement, Matters: c.Matters, Shared: c.Shared, Status: status, State: string(why),
	}
	switch why {
	case waiting:
		r.Output = "not checked yet"
	case blocked:
		r.Output = "not checked while " + c.blockedBy + " is not good"
	default:
		r.Output, r.Evidence = output(c.last), maps.Clone(c.last.Evidence)
		r.Since, r.Looked, r.Took = m.time(c.since), m.time(c.at), c.took
		if why == outdated {
			r.Output = fmt.Sprintf("no result since %s", r.Looked.Format(time.RFC3339))
		}
		if why == hung {
			r.Output = fmt.Sprintf("hung since %s", m.time(c.hungSince).Format(time.RFC3339))
		}
	}
	return r
}

// output returns the reason for a result as one printable line.
func output(r checks.Result) string {
	text := r.Summary
	if r.Err != nil {
		text = strings.TrimPrefix(text+": "+r.Err.Error(), ": ")
	}
	text = visible.Line(text)
	if len(text) > maxOutput {
		end := maxOutput - len("...")
		for !utf8.RuneStart(text[end]) {
			end--
		}
		text = text[:end] + "..."
	}
	return text
}

// time returns the wall-clock time of a time of the monitor.
func (m *Monitor) time(t time.Duration) time.Time { return m.epoch.Add(t).UTC().Round(0) }

// Watch yields the present report, and then the newest one after each change of a status,
// until ctx ends. A slow receiver misses reports in between, but never the last one, and
// delays no check.
func (m *Monitor) Watch(ctx context.Context) iter.Seq[Report] {
	return func(yield func(Report) bool) {
		for ctx.Err() == nil {
			m.mu.Lock()
			report, news := m.report, m.news
			m.mu.Unlock()
			if !yield(report) {
				return
			}
			select {
			case <-news:
			case <-ctx.Done():
			}
		}
	}
}

// Check returns a check that has the status of readiness, for a deployment gate.
func (m *Monitor) Check() checks.Check { return (*readiness)(m) }

// readiness is the check of [Monitor.Check].
type readiness Monitor

// Check returns the status of readiness and the components that are not good.
func (r *readiness) Check(context.Context) checks.Result {
	report := (*Monitor)(r).Report()
	result := checks.Result{Status: report.Ready, Evidence: make(map[string]string)}
	var reasons []string
	if report.Draining {
		reasons = append(reasons, "the process is draining")
	}
	for _, c := range report.Components {
		result.Evidence[c.Name] = c.Status.String()
		if c.Status != checks.Pass {
			reasons = append(reasons, fmt.Sprintf("%s: %s (%s)", c.Name, c.Status, c.Output))
		}
	}
	if result.Summary = strings.Join(reasons, "; "); result.Summary == "" {
		result.Summary = fmt.Sprintf("%d components are healthy", len(report.Components))
	}
	return result
}

// Digest identifies the components that are checked.
func (r *readiness) Digest() string {
	all := sha256.New()
	for _, c := range r.cfg.Components {
		digest, err := checks.DigestOf(c.Check)
		if err != nil {
			digest = fmt.Sprintf("%T", c.Check)
		}
		fmt.Fprintf(all, "%q %v %t %q\n", c.Name, c.Matters, c.Shared, digest)
	}
	return hex.EncodeToString(all.Sum(nil))
}
