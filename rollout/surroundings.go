package rollout

import (
	"github.com/serin-go/serin/checks"
	"github.com/serin-go/serin/checks/analysis"
	"github.com/serin-go/serin/strategies"
)

// surroundings is what a process knows of a rollout beside its document and the judgement.
type surroundings struct {
	rivals     []strategies.Rival // nil without a contest
	splitError string
	alarm      string // why the monitor has found harm, "" if it has not
	standing   string // the standing checks that do not pass
	onStanding strategies.Action
	phase      strategies.Phase // of the checks, with stage
	stage      int
	checks     *checks.Report // nil while they run
	shares     []strategies.Weight
}

// surroundings returns what this process knows now.
func (d *driver) surroundings() surroundings {
	a := surroundings{rivals: d.variantStates()}
	if a.rivals != nil {
		a.shares = d.doc.shares()
	}
	if d.splitErr != nil && !d.inherits() && d.role == leader { // the leader decides on what a router refuses
		a.splitError = bound(d.splitErr.Error(), maxError)
	}
	if alarm := d.alarm(); alarm != nil {
		a.alarm = alarm.Reason
	}
	a.standing, a.onStanding = d.failing()
	if g := d.gate; g != nil {
		a.phase, a.stage, a.checks = g.phase, g.stage, g.report
	}
	return a
}

// complete returns s, which a document has, with what its surroundings add.
func (a surroundings) complete(s strategies.State) strategies.State {
	if s.Rivals = a.rivals; s.Rivals != nil {
		s.Shares = a.shares
	}
	s.SplitError = a.splitError
	if a.alarm != "" && s.Verdict != analysis.Harmed {
		s.Verdict, s.VerdictReason = analysis.Harmed, a.alarm
	}
	s.Standing, s.OnStanding = a.standing, a.onStanding
	if a.checks != nil && a.phase == s.Phase && a.stage == s.Stage {
		s.Checked, s.Checks, s.ChecksReason = true, a.checks.Status, a.checks.Summary()
	}
	return s
}
