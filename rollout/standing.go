package rollout

import (
	"context"
	"fmt"
	"strings"
	"sync/atomic"
	"time"

	"github.com/serin-go/serin/checks"
	"github.com/serin-go/serin/strategies"
)

// Standing is a check that must hold for as long as the candidate has traffic: it is
// looked at from the first traffic to the end of monitoring, beside the guards, by the
// leader.
type Standing struct {
	// Check names the check, which must be bound in [Config.Checks].
	Check string `json:"check"`
	// Every is the time between two looks. Zero means 1 min. A look that takes longer
	// delays the next one: no two run at the same time.
	Every time.Duration `json:"every_ns,omitempty"`
	// Grace is how long a result that is not known is borne, counted from the last one
	// that was known. Zero means 5 min.
	Grace time.Duration `json:"grace_ns,omitempty"`
	// OnFail is what happens when the check fails, or is not known for longer than Grace.
	// The zero value holds: the rollout is paused, and a person must resume it, which
	// accepts the failure until the check has passed again. Continue is refused.
	OnFail strategies.Action `json:"on_fail"`
}

const (
	defaultEvery = time.Minute
	defaultGrace = 5 * time.Minute
	// MaxStanding is the largest number of standing checks of a plan.
	MaxStanding = 100
)

func (s Standing) every() time.Duration {
	if s.Every == 0 {
		return defaultEvery
	}
	return s.Every
}

func (s Standing) grace() time.Duration {
	if s.Grace == 0 {
		return defaultGrace
	}
	return s.Grace
}

// validateStanding reports what is wrong with the standing checks of p.
func (p Plan) validateStanding(bad func(field string, value any, want string)) {
	if len(p.Standing) > MaxStanding {
		bad("Standing", len(p.Standing), fmt.Sprintf("at most %d", MaxStanding))
	}
	seen := make(map[string]bool)
	for i, s := range p.Standing {
		field := fmt.Sprintf("Standing[%d].", i)
		switch {
		case s.Check == "":
			bad(field+"Check", `""`, "the name of a check")
		case seen[s.Check]:
			bad(field+"Check", s.Check, "a check that no other one names")
		}
		seen[s.Check] = true
		if s.Every < 0 {
			bad(field+"Every", s.Every, "0 (for 1 min) or a longer time")
		}
		if s.Grace < 0 {
			bad(field+"Grace", s.Grace, "0 (for 5 min) or a longer time")
		}
		if s.OnFail != strategies.ActionHold && s.OnFail != strategies.ActionRollBack && s.OnFail != strategies.ActionEscalate {
			bad(field+"OnFail", s.OnFail, "hold, roll back or escalate")
		}
	}
}

// standingRun looks at one standing check. The driver's lock guards it.
type standingRun struct {
	Standing
	check    single
	running  bool
	due      time.Time
	known    time.Time // when the last result came that was known
	result   checks.NamedResult
	accepted bool // a person has gone on although it fails
}

// single runs a check once at a time, also one that ignores the end of its context.
type single struct {
	check checks.Check
	busy  *atomic.Bool
}

func (s single) Check(ctx context.Context) checks.Result {
	if !s.busy.CompareAndSwap(false, true) {
		return checks.Result{Summary: "an earlier look has not returned"}
	}
	defer s.busy.Store(false)
	return s.check.Check(ctx)
}

// lookOf says whether a standing check of a target is being looked at.
func (e *Engine) lookOf(target, check string) *atomic.Bool {
	busy, _ := e.looks.LoadOrStore(target+"/"+check, new(atomic.Bool))
	return busy.(*atomic.Bool)
}

// runStanding looks at the standing checks that are due.
func (d *driver) runStanding() {
	if d.doc.Moved.IsZero() || d.doc.Phase.Terminal() || d.doc.Phase == strategies.RampingDown || d.role != leader {
		d.runs = nil
		return
	}
	now := time.Now()
	if d.runs == nil {
		for _, s := range d.doc.Plan.Standing {
			v := &standingRun{Standing: s, known: now, check: single{check: d.e.cfg.Checks[s.Check], busy: d.e.lookOf(d.target, s.Check)}}
			v.result.Name = s.Check
			d.runs = append(d.runs, v)
		}
	}
	for _, v := range d.runs {
		if v.running || now.Before(v.due) || v.check.check == nil {
			continue
		}
		v.running, v.due = true, now.Add(v.every())
		ctx, cancel := context.WithTimeout(d.about(d.e.ctx, d.doc.Phase, d.doc.Stage), v.every()+v.grace())
		d.e.spawn(func() {
			defer cancel()
			report := boundReport(checks.Run(ctx, map[string]checks.Check{v.Check: v.check}))
			d.lock()
			defer d.unlock()
			v.running, v.result = false, report.Results[0]
			if v.result.Status != checks.Unknown {
				v.known = time.Now()
			}
			if why := v.failure(time.Now()); why == "" {
				v.accepted = false
			} else if !v.accepted {
				d.schedule()
			}
		})
	}
}

// failure says why the check does not hold, "" if it does or that is not known yet.
func (v *standingRun) failure(now time.Time) string {
	switch {
	case v.result.Status == checks.Fail:
		return because(v.Check+": "+v.result.Status.String(), v.result.Summary)
	case now.Sub(v.known) > v.grace():
		why := v.result.Summary
		if v.result.Err != nil {
			why = v.result.Err.Error()
		}
		return because(fmt.Sprintf("%s: not known for %v", v.Check, now.Sub(v.known).Round(time.Second)), why)
	}
	return ""
}

// failing returns what the standing checks demand, and why; "" if nothing.
func (d *driver) failing() (why string, do strategies.Action) {
	if d.role != leader { // what was seen while it led is old
		return "", strategies.ActionHold
	}
	var all []string
	now := time.Now()
	for _, v := range d.runs {
		reason := v.failure(now)
		if reason == "" || v.accepted {
			continue
		}
		all = append(all, reason)
		if severity(v.OnFail) > severity(do) {
			do = v.OnFail
		}
	}
	return bound(strings.Join(all, "; "), maxReason), do
}

// severity orders what may be done about a standing check that fails.
func severity(a strategies.Action) int {
	switch a {
	case strategies.ActionRollBack:
		return 2
	case strategies.ActionEscalate:
		return 1
	}
	return 0
}

// accept notes that a person goes on although standing checks fail.
func (d *driver) accept() {
	now := time.Now()
	for _, v := range d.runs {
		v.accepted = v.failure(now) != ""
	}
}

// standing returns the newest results of the standing checks, of which one does not hold.
func (d *driver) standing() *checks.Report {
	var r checks.Report // Unknown, unless one has failed
	for _, v := range d.runs {
		r.Results = append(r.Results, v.result)
		if v.result.Status == checks.Fail {
			r.Status = checks.Fail
		}
	}
	return &r
}
