package rollout

import (
	"context"
	"errors"

	"github.com/serin-go/serin/checks"
	"github.com/serin-go/serin/strategies"
)

// gate is a run of the checks that a phase waits for.
type gate struct {
	phase  strategies.Phase
	stage  int
	cancel context.CancelFunc
	report *checks.Report // nil while they run
}

// startChecks starts the checks that the phase waits for, unless they have been
// started. They run beside the driver, which goes on guarding.
func (d *driver) startChecks() {
	phase, stage := d.doc.Phase, d.doc.Stage
	if g := d.gate; g != nil && (g.phase != phase || g.stage != stage) {
		d.stopChecks()
	}
	if !phase.Checking() || d.gate != nil {
		return
	}
	due := make(map[string]checks.Check)
	for _, name := range d.doc.Plan.due(phase, stage) {
		due[name] = d.e.cfg.Checks[name] // nil if it is not bound: unknown, which opens nothing
	}
	if len(due) == 0 {
		d.gate = &gate{phase: phase, stage: stage, cancel: func() {}, report: &checks.Report{Status: checks.Pass}}
		return
	}
	ctx, cancel := context.WithTimeout(d.e.ctx, d.e.cfg.CheckTimeout)
	g := &gate{phase: phase, stage: stage, cancel: cancel}
	d.gate = g
	d.e.spawn(func() {
		defer cancel()
		report := checks.Run(ctx, due)
		d.lock()
		g.report = boundReport(report)
		d.unlock()
		d.wakeUp()
	})
}

// stopChecks ends the checks that are running, if any are.
func (d *driver) stopChecks() {
	if d.gate != nil {
		d.gate.cancel()
		d.gate = nil
	}
}

// carryOut commits what was decided. A way back is taken before that.
func (d *driver) carryOut(ctx context.Context, dec strategies.Decision, by Actor) error {
	next := d.doc.follow(dec, kindOf(dec), by, d.e.cfg.wall())
	next.Last.Judgement, next.Last.Watch, next.Last.Others = d.judged(), d.alarm(), d.verdicts()
	if g := d.gate; g != nil && d.doc.Phase.Checking() {
		next.Last.Checks = g.report
	}
	if x := d.exitOf(dec); x != nil {
		d.lower(ctx, x)
	}
	d.late(&next.Last)
	err := d.commit(ctx, next)
	if err != nil && !errors.Is(err, ErrConflict) {
		d.unstored(ctx, err)
	}
	return err
}
