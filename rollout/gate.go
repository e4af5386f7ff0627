package rollout

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/serin-go/serin/checks"
	"github.com/serin-go/serin/strategies"
)

// gate is a run of the checks that a phase waits for.
type gate struct {
	phase  strategies.Phase
	stage  int
	cancel context.CancelFunc
	report *checks.Report // nil while they run
	done   time.Time      // when there was a report
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
	d.gate = d.runChecks(phase, stage)
}

// runChecks runs the checks that a phase waits for, beside the driver.
func (d *driver) runChecks(phase strategies.Phase, stage int) *gate {
	due := make(map[string]checks.Check)
	for _, name := range d.doc.Plan.due(phase, stage) {
		due[name] = d.e.cfg.Checks[name] // nil if it is not bound: unknown, which opens nothing
	}
	if len(due) == 0 {
		return &gate{phase: phase, stage: stage, cancel: func() {}, report: &checks.Report{Status: checks.Pass}, done: time.Now()}
	}
	ctx, cancel := context.WithTimeout(d.about(d.e.ctx, phase, stage), d.e.cfg.CheckTimeout)
	g := &gate{phase: phase, stage: stage, cancel: cancel}
	d.e.spawn(func() {
		defer cancel()
		report := boundReport(checks.Run(ctx, due))
		d.lock()
		g.report, g.done = report, time.Now()
		d.unlock()
		d.schedule()
	})
	return g
}

type planKey struct{}

// PlanOf returns the plan of the rollout that a check is asked about, and whether ctx
// carries one; see [checks.SubjectOf]. The plan is a copy that shares its slices: it must
// not be changed.
func PlanOf(ctx context.Context) (Plan, bool) {
	p, ok := ctx.Value(planKey{}).(Plan)
	return p, ok
}

// SplitOf returns the split of the stage that a check with this context is asked about. ok
// is false outside of a gate.
func SplitOf(ctx context.Context) (s strategies.Split, ok bool) {
	p, ok := PlanOf(ctx)
	subject, of := checks.SubjectOf(ctx)
	if !ok || !of || subject.Stage >= len(p.Stages) {
		return strategies.Split{}, false
	}
	return p.Stages[subject.Stage].Split, true
}

// about returns a context that says what checks are asked about.
func (d *driver) about(ctx context.Context, phase strategies.Phase, stage int) context.Context {
	p := d.doc.Plan
	left := p.Monitor
	for _, s := range p.Stages[stage:] {
		left += limit(s)
	}
	candidate := p.Candidate
	for _, r := range p.Rivals {
		if r.Arm() == d.doc.candidate() {
			candidate = r
		}
	}
	ctx = context.WithValue(ctx, planKey{}, p)
	return checks.WithSubject(ctx, checks.Subject{
		Rollout: string(d.id), Target: d.target, Model: candidate.Model,
		Baseline: p.Baseline.Arm(), Candidate: candidate.Arm(), BaselineDigest: p.Baseline.Digest, Digest: candidate.Digest,
		Plan: d.doc.Digest, Phase: phase.String(), Stage: stage, Starter: d.doc.Starter.person(), StarterName: d.doc.Starter.Name,
		Until: d.e.cfg.wall().Add(left).UTC().Round(0),
	})
}

// recheck has checks looked at again whose results are too old for the stage that dec
// begins. It returns what is to be waited for, "" if they are good, and the decision
// that takes the place of dec where they are not.
func (d *driver) recheck(dec strategies.Decision) (wait string, instead *strategies.Decision) {
	if dec.Do != strategies.DoEnter || dec.Phase != strategies.Baking {
		return "", nil
	}
	if d.gateOutdated() {
		d.stopChecks()
		d.startChecks()
		return lookedAtAgain, nil
	}
	if !d.preflightCounts() {
		return "", nil
	}
	if g := d.preflight; g != nil && g.report != nil {
		d.preflight = nil
		if g.report.Status != checks.Pass && g.report.Status != checks.Warn {
			return "", &strategies.Decision{
				Do: strategies.DoEnter, Phase: strategies.Failed, Stage: d.doc.Stage, Rule: "checks",
				Reason: because(fmt.Sprintf("preflight checks, looked at again: %s", g.report.Status), g.report.Summary()),
			}
		}
		d.doc.Preflighted = d.e.cfg.wall().UTC().Round(0)
		return "", nil
	}
	if !d.preflightOutdated() {
		return "", nil
	}
	if d.preflight == nil && !d.e.remote {
		d.preflight = d.runChecks(strategies.Preflight, 0)
	}
	return lookedAtAgain, nil
}

const lookedAtAgain = "checks that are looked at again, since their results are old"

// gateOutdated reports whether the checks of the phase have finished too long ago.
func (d *driver) gateOutdated() bool {
	g := d.gate
	return g != nil && d.doc.Phase.Checking() && g.report != nil && len(g.report.Results) > 0 && time.Since(g.done) > d.e.cfg.CheckValid
}

// preflightCounts reports whether a stage that begins needs recent preflight checks.
func (d *driver) preflightCounts() bool {
	return d.doc.Moved.IsZero() && len(d.doc.Plan.Preflight) > 0 && d.doc.Phase != strategies.Preflight
}

// preflightOutdated reports whether the preflight checks have passed too long ago. The
// clock may have been set, by the former leader, or here.
func (d *driver) preflightOutdated() bool {
	age := d.e.cfg.wall().Sub(d.doc.Preflighted)
	return age < 0 || age > d.e.cfg.CheckValid
}

// outdated reports whether a stage that begins now has to wait for checks.
func (d *driver) outdated() bool {
	if g := d.preflight; d.preflightCounts() && g != nil && g.report != nil {
		return g.report.Status != checks.Pass && g.report.Status != checks.Warn
	}
	return d.gateOutdated() || d.preflightCounts() && d.preflightOutdated()
}

// stopChecks ends the checks that are running, if any are.
func (d *driver) stopChecks() {
	if d.gate != nil {
		d.gate.cancel()
		d.gate = nil
	}
	if d.preflight != nil {
		d.preflight.cancel()
		d.preflight = nil
	}
}

// carryOut commits what was decided. A way back is taken before that.
func (d *driver) carryOut(ctx context.Context, dec strategies.Decision, by Actor) error {
	next := d.doc.follow(dec, kindOf(dec), by, d.e.cfg.wall())
	next.Last.Judgement, next.Last.Monitor, next.Last.Others = d.judged(), d.alarm(), d.verdicts()
	if g := d.gate; g != nil && d.doc.Phase.Checking() {
		next.Last.Checks = g.report
	}
	if dec.Rule == strategies.RuleStanding {
		next.Last.Checks = d.failedReport
	}
	if d.doc.Phase == strategies.Preflight && !next.Phase.Terminal() && next.Phase != strategies.Preflight {
		next.Preflighted = d.e.cfg.wall().UTC().Round(0)
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
