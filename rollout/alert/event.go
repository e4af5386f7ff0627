package alert

import (
	"context"
	"fmt"
	"maps"
	"strings"
	"time"

	"github.com/serin-go/serin/internal/quorum"
	"github.com/serin-go/serin/rollout"
	"github.com/serin-go/serin/strategies"
)

// The names of the alerts about rollouts. RUNBOOKS.md says when each one fires and ends.
const (
	RolloutRolledBack = "RolloutRolledBack"
	RolloutHeld       = "RolloutHeld"
	RolloutApproval   = "RolloutApproval"
	RolloutIncident   = "RolloutIncident"
	RolloutRegressed  = "RolloutRegressed"
	RolloutFailed     = "RolloutFailed"
	SplitNotInForce   = "SplitNotInForce"
	LeaderLost        = "LeaderLost"
	StoreSilent       = "StoreSilent"
	CheckFailed       = "CheckFailed"
	EvidenceExpiring  = "EvidenceExpiring"
	WaiverLapsed      = "WaiverLapsed"
	BudgetBurn        = "BudgetBurn"
	Anomaly           = "Anomaly"
	DeadLetter        = "DeadLetter"
)

// outcomeStays is how long the end of a rollout is an alert.
const outcomeStays = time.Hour

// Notify implements [rollout.Sink]. It returns after the state was stored, and does not wait
// for receivers. The events of a rollout may come again and in another order: each alert
// follows the newest event about it. Errors are from the store.
func (m *Manager) Notify(ctx context.Context, e rollout.Event) error {
	return m.update(ctx, true, func(d *document) bool { return d.follow(e, now()) })
}

// follow changes what fires by an event. It reports whether something has changed.
func (d *document) follow(e rollout.Event, at time.Time) bool {
	f := &followed{}
	if old := d.Rollouts[e.Rollout]; old != nil {
		*f = *old
	}
	f.Seen = maps.Clone(f.Seen)
	if f.Seen == nil {
		f.Seen = make(map[string]uint64)
	}
	changed := false
	// newer reports whether no later event about this alert was followed.
	newer := func(name string) bool {
		if e.Seq <= f.Seen[name] {
			return false
		}
		f.Seen[name], changed = e.Seq, true
		return true
	}
	set := func(name string, s Severity, summary string, until time.Time) {
		if !newer(name) {
			return
		}
		a := Alert{Name: name, Labels: labels(e.Rollout), Severity: s, Summary: summary, Detail: e.Explain(), Began: e.At, Values: map[string]string{"stage": e.Name, "phase": e.Phase.String()}}
		if a, err := a.normal(); err == nil {
			d.fire(a.Key(), a, at, "", func(x *entry) {
				if !until.IsZero() {
					x.Until = until
				}
			})
		}
	}
	clear := func(names ...string) {
		for _, name := range names {
			if newer(name) {
				d.end(Alert{Name: name, Labels: labels(e.Rollout)}.Key(), at)
			}
		}
	}
	if e.Monitor != nil && e.Kind != rollout.Ended {
		set(RolloutRegressed, Critical, fmt.Sprintf("%s is promoted and became worse: %s · %s · abort or roll back by hand", e.Rollout, e.Reason, serves(e)), time.Time{})
	}
	switch e.Kind {
	case rollout.Started:
		if newer("start") {
			f.Starter, f.Started = quorum.Person(e.By.Subject, e.By.Name), e.At
			d.outcomesBefore(e.Rollout, at)
		}
	case rollout.Paused:
		switch {
		case e.Rule == "command":
			clear(RolloutHeld)
		case e.Urgent:
			set(RolloutHeld, Critical, held(e), time.Time{})
		default:
			set(RolloutHeld, Warning, held(e), time.Time{})
		}
	case rollout.Resumed:
		clear(RolloutHeld)
	case rollout.PhaseEntered:
		if e.Phase == strategies.Approving {
			set(RolloutApproval, Info, fmt.Sprintf("%s waits for approval of stage %s: %s · %s · nothing moves until people approve or reject", e.Rollout, e.Name, e.Reason, serves(e)), time.Time{})
		} else {
			clear(RolloutApproval)
		}
	case rollout.Ended:
		clear(RolloutHeld, RolloutApproval, RolloutIncident, RolloutRegressed, CheckFailed)
		until := at.Add(outcomeStays)
		switch e.Phase {
		case strategies.RolledBack:
			set(RolloutRolledBack, Error, fmt.Sprintf("%s rolled back: %s · %s · no action needed; find out why before the next start", e.Rollout, e.Reason, serves(e)), until)
		case strategies.Aborted:
			set(RolloutRolledBack, Warning, fmt.Sprintf("%s aborted by %s: %s · %s · no action needed", e.Rollout, e.By.Name, e.Reason, serves(e)), until)
		case strategies.Failed:
			set(RolloutFailed, Error, fmt.Sprintf("%s failed: %s · %s · mend the cause and start again", e.Rollout, e.Reason, serves(e)), time.Time{})
		}
	}
	if e.Phase != strategies.Approving && e.Kind != rollout.Ended && e.Kind != rollout.Started {
		if old := f.Seen[RolloutApproval]; old != 0 && old < e.Seq {
			clear(RolloutApproval)
		}
	}
	if !changed {
		return false
	}
	f.At = at
	d.Rollouts[e.Rollout] = f
	return true
}

// outcomesBefore ends the outcomes of earlier rollouts of the target.
func (d *document) outcomesBefore(id rollout.ID, at time.Time) {
	for key, e := range d.Alerts {
		outcome := e.Name == RolloutRolledBack || e.Name == RolloutFailed || e.Name == RolloutRegressed
		if outcome && e.Labels["target"] == id.Target() && e.Labels["rollout"] != string(id) {
			d.end(key, at)
		}
	}
}

func labels(id rollout.ID) map[string]string {
	return map[string]string{"target": id.Target(), "rollout": string(id)}
}

// serves says which version has how much of the traffic.
func serves(e rollout.Event) string {
	var parts []string
	for _, a := range e.Split.Arms {
		if a.Weight > 0 {
			parts = append(parts, a.Name+" serves "+a.Weight.String())
		}
	}
	if len(parts) == 0 {
		return "no traffic has moved"
	}
	return strings.Join(parts, ", ")
}

// held is the first line about a rollout that waits for people.
func held(e rollout.Event) string {
	at := "stage " + e.Name
	if arms := e.Split.Arms; len(arms) > 1 {
		at = arms[len(arms)-1].Weight.String()
	}
	return fmt.Sprintf("%s held at %s: %s · since %s · %s · nothing moves until a person acts · resume or abort", e.Rollout, at, e.Reason, e.At.UTC().Format("15:04 MST"), serves(e))
}
