package health

import (
	"time"

	"github.com/serin-go/serin/checks"
)

// component is the state of a Component. Monitor.mu guards it.
type component struct {
	Component
	stale time.Duration // the age from which on a result counts no more

	status    checks.Status // after FailAfter and PassAfter
	certain   bool          // status was set by a result that is certain
	since     time.Duration // when status was set
	seen      bool          // whether there is a result
	last      checks.Result
	at        time.Duration // when last was taken
	took      time.Duration
	bad, good int // results in a row
	hung      bool
	hungSince time.Duration
	blockedBy string
}

// block stops or continues the checks of c. After that the first result counts alone.
func (c *component) block(by string) {
	c.blockedBy, c.seen, c.status, c.certain = by, false, checks.Unknown, false
	c.bad, c.good = 0, 0
}

// take adds the result of a check.
func (c *component) take(r checks.Result, began, now time.Duration, failAfter, passAfter int) {
	first := !c.seen
	c.last, c.at, c.took, c.seen = r, now, now-began, true
	if r.Status.Opens() {
		c.good, c.bad = c.good+1, 0
	} else {
		c.good, c.bad = 0, c.bad+1
	}
	certain := r.Status == checks.Fail && r.Evidence["certain"] == "true"
	switch {
	case first, certain,
		r.Status.Opens() == c.status.Opens(), // from Pass to Warn, or from Unknown to Fail
		c.good >= passAfter, c.bad >= failAfter:
		if first || c.status != r.Status {
			c.since = now
		}
		c.status, c.certain = r.Status, certain
	}
}

// state says why a component or an endpoint is Unknown, or what is special about it.
type state string

const (
	known    state = ""
	waiting  state = "waiting"  // for the first result
	outdated state = "outdated" // the last result is too old
	blocked  state = "blocked"  // by a component that it needs
	hung     state = "hung"     // its check has not returned
	starting state = "starting"
	draining state = "draining"
)

// now returns the status of c at a time, and why it is Unknown or hangs.
func (c *component) now(t time.Duration) (checks.Status, state) {
	switch {
	case c.blockedBy != "":
		return checks.Unknown, blocked
	case !c.seen:
		return checks.Unknown, waiting
	case t-c.at >= c.stale:
		return checks.Unknown, outdated
	case c.hung:
		return c.status, hung
	}
	return c.status, known
}
