package health

import (
	"time"

	"github.com/serin-go/serin/checks"
)

// whole is the status of an endpoint.
type whole struct {
	status checks.Status
	at     time.Duration // of the last change between good and bad, or between Pass and Warn
}

const (
	live = iota
	ready
	startup
)

// set changes the status to s, but no sooner than dwell after the change before it unless
// it must change now. It returns whether it has changed, and when s is to be set otherwise.
func (w *whole) set(s checks.Status, now, dwell time.Duration, must bool) (changed bool, again time.Duration) {
	if s == w.status {
		return false, forever
	}
	if !s.Opens() && !w.status.Opens() { // Fail and Unknown are served alike
		w.status = s
		return true, forever
	}
	if !must && now < w.at+dwell {
		return false, w.at + dwell
	}
	w.status, w.at = s, now
	return true, forever
}

// evaluate sets the status of each endpoint from the statuses of the components, which have
// changed or not, and renders the responses: now if an endpoint has changed, otherwise
// after a while. The caller holds mu.
func (m *Monitor) evaluate(changed bool) {
	now := m.now()
	m.valid.Store(int64(m.validUntil()))
	if !changed {
		m.renderBefore(now + m.cfg.Every)
		return
	}
	close(m.settled)
	m.settled = make(chan struct{})

	next := [3]checks.Status{live: checks.Pass, ready: checks.Pass, startup: checks.Pass}
	must := false
	for _, c := range m.components {
		status, why := c.now(now)
		must = must || m.decides(c) && (c.certain || why == outdated)
		m.count(&next, c, status, why)
	}
	m.started = m.started || next[startup].Opens()
	switch {
	case m.started:
		next[startup] = checks.Pass
	case now >= m.cfg.StartupLimit:
		next[startup] = checks.Fail
	default:
		next[startup] = checks.Unknown
	}
	if !m.started {
		next[ready] = next[ready].Worse(checks.Unknown)
	}
	if m.draining {
		next[ready], must = checks.Fail, true
	}
	m.reviewAt = forever
	if !m.started && now < m.cfg.StartupLimit {
		m.reviewAt = m.cfg.StartupLimit
	}
	moved := false
	for i := range m.wholes {
		set, again := m.wholes[i].set(next[i], now, m.cfg.Dwell, must || i == startup)
		moved = moved || set
		m.reviewAt = min(m.reviewAt, again)
	}
	if moved {
		m.render()
	} else {
		m.renderBefore(now + min(100*time.Millisecond, m.cfg.Every/2))
	}
	m.nudge()
}

// count adds the status of c to the statuses of the endpoints.
func (m *Monitor) count(next *[3]checks.Status, c *component, status checks.Status, why state) {
	switch c.Matters {
	case Live:
		next[startup] = next[startup].Worse(status)
		next[ready] = next[ready].Worse(status)
		switch { // a restart is for what is known to be broken
		case why == waiting, why == blocked:
			return
		case status == checks.Unknown:
			status = checks.Warn
		}
		next[live] = next[live].Worse(status)
	case Ready:
		next[startup] = next[startup].Worse(status)
		if c.Shared && !m.cfg.Alone && m.started && !status.Opens() {
			status = checks.Warn
		}
		next[ready] = next[ready].Worse(status)
	case Warn:
		if status != checks.Pass {
			next[ready] = next[ready].Worse(checks.Warn)
		}
	}
}

// decides reports whether c can make an endpoint fail.
func (m *Monitor) decides(c *component) bool {
	return c.Matters == Live || c.Matters == Ready && (!c.Shared || m.cfg.Alone || !m.started)
}

// validUntil returns when the first result that counts becomes too old.
func (m *Monitor) validUntil() time.Duration {
	until, now := forever, m.now()
	for _, c := range m.components {
		if c.seen && c.blockedBy == "" && now < c.at+c.stale && m.decides(c) {
			until = min(until, c.at+c.stale)
		}
	}
	return until
}

// renderBefore has the responses rendered at a time, or sooner.
func (m *Monitor) renderBefore(t time.Duration) {
	if t < m.renderAt {
		m.renderAt = t
		m.nudge()
	}
}

// nudge makes review look at its times again.
func (m *Monitor) nudge() {
	select {
	case m.wake <- struct{}{}:
	default:
	}
}
