package rollout

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/serin-go/serin/checks"
	"github.com/serin-go/serin/checks/analysis"
	"github.com/serin-go/serin/strategies"
)

// driver runs one rollout in this process. It decides with strategies.Next, commits with
// one compare-and-set, and only then lets the decision take effect. Where several
// processes share the store, each has a driver of the rollout: the leader's decides, and
// the followers' apply what it commits. Lowering the candidate is open to all of them.
type driver struct {
	e        *Engine
	id       ID
	target   string
	splitter Splitter
	kick     chan struct{} // wakes run before its next tick

	busy lock                 // held while deciding, committing and taking effect
	view atomic.Pointer[view] // what other goroutines may read

	role role
	committed
	writing
	measured
	shared
	monitoring
	standingChecks

	waiting   string    // why Next stays
	splitErr  error     // why doc.Split is not in force
	force     *force    // what this process gives its traffic
	tries     int       // to store the way back that was taken
	again     time.Time // when that is due
	inherited uint64    // generation of the split that an earlier life had in force, until it is here
	gate      *gate     // the checks of the phase
	preflight *gate     // checked again, later than in its phase

	waiters sync.Mutex
	changed chan struct{} // closed and replaced after each commit; guarded by waiters
}

// role is what a process is to a rollout.
type role int

const (
	follower role = iota // applies what the leader commits
	leader               // decides; an engine that is alone always leads
	retired              // another engine, or a newer rollout, has taken over
)

// committed is the rollout's document as the store has acknowledged it. What was counted
// since is added to doc in place.
type committed struct {
	doc  *document
	hash string
	rev  Revision
}

// writing is what the store has still to take, and when.
type writing struct {
	counted   time.Time // until when time is in doc.Baked
	saved     time.Time // when the evidence was last committed
	told      time.Time // when the last event was committed, or read
	unclaimed bool      // the store has not taken the claim of this life yet
	ungated   bool      // it has, but not the pause that changed checks ask for
	unaudited bool      // the last event is not in the audit trail yet
	untold    int       // failures to write it there
	notice    string    // what the next event has to say about the trail
	swept     bool      // the evidence of a rollout that has ended is deleted
	sweepAt   time.Time // when that is due
}

// measured is what this process has measured, and what follows from it with the evidence
// of the other replicas.
type measured struct {
	seen      *analysis.Recorder
	cmp       *analysis.Comparison
	entered   int // how many stages the comparisons know of
	judgement analysis.Judgement
	base      analysis.Evidence // of the winner of a contest, from before this process began
	variants  []*variant
	missing   string // what the last count could not gather
	unread    error  // why the evidence of an earlier life was not taken over
}

// shared is the evidence of the replicas that share the store.
type shared struct {
	own       ownEvidence
	others    map[string]sharedEvidence // by key
	known     map[string]Revision       // of others, and of what this process has published
	folds     map[string]*fold          // by candidate
	members   int                       // processes that share the store, as counted here
	published publication
	slowest   time.Duration // the longest period in which members wrote lately
	slowestAt time.Time     // when that was
}

// monitoring is what watches a candidate that has all traffic.
type monitoring struct {
	monitor     *analysis.Monitor // nil while there is a baseline to compare with
	report      analysis.MonitorReport
	found       uint64 // the event at which harm was found, by a process that has just begun
	unmonitored bool   // there is too little to compare the candidate with
}

// standingChecks is the state of the checks that must hold all the time.
type standingChecks struct {
	runs         []*standingRun // nil while they do not run
	failedReport *checks.Report // their results when one has failed last
}

func newDriver(e *Engine, s Splitter, doc *document, hash string, rev Revision) *driver {
	d := &driver{
		e: e, id: doc.ID, target: doc.ID.Target(), splitter: s, kick: make(chan struct{}, 1), busy: newLock(),
		force:     &force{plane: e.planes[doc.ID.Target()], want: doc.Split, ended: doc.Phase.Terminal()},
		committed: committed{doc: doc, hash: hash, rev: rev},
		writing:   writing{told: time.Now()},
		shared:    shared{others: make(map[string]sharedEvidence), known: make(map[string]Revision), folds: make(map[string]*fold)},
		changed:   make(chan struct{}),
	}
	if !e.shared() {
		d.role = leader
	}
	d.publishView()
	return d
}

// begin commits the first document of a rollout and starts its driver.
func (d *driver) begin(ctx context.Context, first *document) error {
	d.lock()
	defer d.unlock()
	if err := d.compare(); err != nil {
		return err
	}
	if err := d.commit(ctx, first); err != nil {
		return err
	}
	d.e.start(d) // only now: until then the target may belong to another engine
	return nil
}

// resume takes up a rollout that was found in the store, for an engine that is
// alone: it claims it, so that an earlier engine can write no more,
// and puts its split in force. A rollout that has ended only gets its split.
func (d *driver) resume(ctx context.Context) error {
	d.lock()
	defer d.unlock()
	// The crash may have come between the last commit and its audit entry.
	d.audit(ctx)
	if d.doc.Phase.Terminal() {
		d.apply(ctx)
		d.e.forget(ctx, d.id)
		return nil
	}
	if err := d.compare(); err != nil {
		return err
	}
	d.restore(ctx)
	d.judgement = judged(d.cmp, d.e.cfg.wall())
	d.force.unproved, d.unclaimed = true, true
	d.force.out = d.e.last.of(d.id)
	err := d.takeUp(ctx)
	if errors.Is(err, ErrConflict) {
		return err
	}
	return nil // it is tried again, and until then the baseline serves
}

// restore takes over the evidence that was stored. What cannot be read, as an earlier
// release wrote it otherwise, starts from zero: the rollout keeps its stage, and what was proven
// must be proven again.
func (d *driver) restore(ctx context.Context) {
	lost := func(arm string, err error) {
		d.unread = errors.Join(d.unread, err)
		d.e.cfg.Logger.WarnContext(ctx, "evidence starts from zero", "rollout", d.id, "candidate", arm, "error", err)
	}
	if err := d.cmp.Restore(d.doc.Evidence); err != nil {
		d.doc.Evidence = d.cmp.Evidence()
		lost(d.doc.candidate(), err)
	}
	for _, r := range d.variants {
		if _, err := d.merged(r.base, r.cmp.Evidence()); err != nil {
			r.base = analysis.Evidence{}
			lost(r.arm, err)
		}
	}
}

// takeUp claims the rollout for this life, if that has not been done.
func (d *driver) takeUp(ctx context.Context) error {
	switch {
	case !d.unclaimed:
		return nil
	case time.Now().Before(d.again):
		return errNotYet
	}
	why := "taken up after a restart"
	if d.unread != nil {
		why += "; the evidence starts from zero: " + d.unread.Error()
	}
	var err error
	if !d.ungated {
		err = d.claim(ctx, d.doc.Epoch+1, why)
	}
	if err == nil {
		err = d.regate(ctx)
		d.ungated, d.unclaimed = err != nil, err != nil
		if err != nil {
			d.force.set(&d.force.unproved, true)
		}
	}
	if err != nil {
		d.postpone()
		d.apply(ctx)
		d.e.cfg.Logger.ErrorContext(ctx, "cannot continue the rollout; serving baseline, retrying", "rollout", d.id, "error", err)
	}
	return err
}

// claim raises the epoch, which keeps everybody who led before from writing. A
// rollout whose checks are not all bound here is paused, and says so.
func (d *driver) claim(ctx context.Context, epoch uint64, why string) error {
	claim := d.doc.follow(strategies.Decision{Rule: "claim", Reason: why}, Continued, engineActor, d.e.cfg.wall())
	claim.Epoch, claim.Last.Epoch = epoch, epoch
	if err := d.commit(ctx, claim); err != nil {
		return err
	}
	d.unclaimed = false
	missing := d.e.unbound(d.doc.Plan)
	if len(missing) == 0 || d.doc.Paused || d.doc.Phase.Terminal() {
		return nil
	}
	return d.carryOut(ctx, strategies.Decision{
		Do: strategies.DoPause, Rule: "unbound", Urgent: true,
		Reason: "no check is bound to " + strings.Join(missing, ", ") + "; bind it, restart and resume",
	}, engineActor)
}

// compare prepares a fresh comparison of the two arms.
func (d *driver) compare() (err error) {
	p := d.doc.Plan
	if d.seen, err = analysis.NewRecorder(p.Analysis, p.Baseline.Arm(), p.candidates()...); err != nil {
		return err
	}
	if d.cmp, err = d.seen.Comparison(d.doc.candidate()); err != nil {
		return err
	}
	return d.startVariants()
}

// measure connects the target's observations with r.
func (d *driver) measure(r *analysis.Recorder) {
	if m, ok := d.splitter.(Measurer); ok {
		m.Measure(r)
	}
}

// run calls step at each tick. It returns when the rollout has ended and its last split is
// in force, when another engine has taken over, or when ctx ends.
func (d *driver) run(ctx context.Context) {
	ticker := time.NewTicker(d.e.cfg.Tick)
	defer ticker.Stop()
	for d.turn(ctx) {
		select {
		case <-ctx.Done():
			d.checkpoint()
			return
		case <-ticker.C:
		case <-d.kick:
		}
	}
}

// turn acquires the lock and calls step.
func (d *driver) turn(ctx context.Context) (more bool) {
	d.lock()
	defer d.unlock()
	return d.step(ctx)
}

// step carries the rollout as far as it goes now. It reports whether there is
// more to do later.
func (d *driver) step(ctx context.Context) (more bool) {
	if d.role == retired {
		return false
	}
	if d.splitErr != nil {
		d.apply(ctx)
	}
	// A rollout visits each phase of each stage at most once, which bounds the
	// loop even if Next were to err.
	var missing error
	for range 6*len(d.doc.Plan.Stages) + len(d.doc.Plan.RampDown) + 8 {
		if d.doc.Phase.Terminal() {
			break
		}
		missing = d.count(ctx)
		if d.takeUp(ctx) != nil {
			return d.role != retired
		}
		d.startChecks()
		d.runStanding()
		went, err := d.decide(ctx, missing)
		if err != nil {
			return d.role != retired
		}
		if !went {
			break
		}
	}
	if d.unaudited {
		d.audit(ctx)
	}
	if d.doc.Phase.Terminal() {
		return !d.sweep(ctx) || d.splitErr != nil || d.unaudited
	}
	if (time.Since(d.saved) >= d.checkpointEvery() || d.recount()) && missing == nil && d.force.exit() == nil {
		if err := d.save(ctx); err != nil {
			d.e.cfg.Logger.ErrorContext(ctx, "evidence not stored", "rollout", d.id, "error", err)
		}
	}
	return d.role != retired
}

// decide takes one decision, from what is known although something is missing.
// It reports whether the rollout went on by it.
func (d *driver) decide(ctx context.Context, missing error) (went bool, err error) {
	x := d.force.exit()
	if x != nil && time.Now().Before(d.again) {
		d.waiting = "the way back to be stored"
		return false, nil
	}
	if x != nil && x.order.Command != strategies.NoCommand {
		if !x.left.Load() {
			d.waiting = "the abort to be stored"
			return false, nil
		}
		return true, d.settle(ctx, x)
	}
	dec := strategies.Next(d.doc.Plan.Stages, d.state())
	if x != nil && d.exitOf(dec) == nil {
		dec = x.decision
		dec.Stage = d.doc.Stage
	}
	if wait, instead := d.recheck(dec); instead != nil {
		dec = *instead
	} else if wait != "" {
		d.waiting = wait
		return false, nil
	}
	d.waiting = dec.Reason
	if d.splitErr != nil && d.inherits() {
		d.waiting = "the splitter to take the split: " + bound(d.splitErr.Error(), maxError)
	}
	if missing != nil {
		d.waiting = "evidence that is not complete: " + bound(missing.Error(), maxError)
	}
	switch {
	case dec.Do == strategies.DoStay || dec.Do == strategies.DoRefuse:
		return false, nil
	case missing != nil && d.exitOf(dec) == nil && dec.Do != strategies.DoPause:
		return false, nil // better to wait than to go on by half of what is known
	}
	if err := d.carryOut(ctx, dec, engineActor); err != nil {
		d.e.cfg.Logger.ErrorContext(ctx, "rollout step not stored", "rollout", d.id, "error", err)
		return false, err
	}
	return true, nil
}

// checkpoint saves the evidence once more before the engine closes.
func (d *driver) checkpoint() {
	d.lock()
	defer d.unlock()
	d.stopChecks()
	if d.role != leader || d.doc.Phase.Terminal() || d.force.exit() != nil {
		return // what was not stored by now is not stored in a hurry
	}
	ctx, cancel := context.WithTimeout(context.WithoutCancel(d.e.ctx), 5*time.Second)
	defer cancel()
	err := d.count(ctx)
	if err == nil {
		err = d.save(ctx)
	}
	if err != nil {
		d.e.cfg.Logger.ErrorContext(ctx, "evidence not stored", "rollout", d.id, "error", err)
	}
}

// signOfLife is the longest time between two events of an active rollout.
const signOfLife = time.Hour

// save commits the evidence without any other change. It adds an event only where the
// last one was committed signOfLife ago, or where there is a notice to give.
func (d *driver) save(ctx context.Context) error {
	if d.notice == "" && time.Since(d.told) < signOfLife {
		return d.commit(ctx, d.doc.checkpoint(d.judged(), d.e.cfg.wall()))
	}
	next := d.doc.follow(strategies.Decision{Reason: d.judgement.Reason}, Measured, engineActor, d.e.cfg.wall())
	next.Last.Judgement, next.Last.Others = d.judged(), d.verdicts()
	return d.commit(ctx, next)
}

// judged returns a copy of the judgement, for an event to keep.
func (d *driver) judged() *analysis.Judgement {
	j := d.judgement
	return &j
}

// command carries out what a person has asked for.
func (d *driver) command(ctx context.Context, o order) error {
	var x *exit
	if o.Command == strategies.Abort {
		x = d.demand(o)
	}
	err := d.ordered(ctx, o, x)
	if x == nil || err == nil {
		return err
	}
	x.left.Store(true)
	d.schedule()
	if d.force.exit() == x {
		return &UnstoredError{Rollout: d.id, Command: o.Command, Err: err}
	}
	return err
}

// ordered is command without what an abort does before it waits, which is x.
func (d *driver) ordered(ctx context.Context, o order, x *exit) error {
	if err := d.lockFor(ctx); err != nil {
		if x != nil {
			d.e.remember(ctx, d.id, x)
		}
		return err
	}
	defer d.unlock()
	if d.e.shared() {
		if err := d.refresh(ctx); err != nil && (isConflict(err) || o.Command != strategies.Abort) {
			return err
		}
	}
	// A conflict means that another process has written. The command is then checked
	// against what it wrote.
	var err error
	for range 5 {
		if d.role == retired {
			return &ConflictError{Rollout: d.id, Reason: "another engine leads it, or a newer rollout has begun"}
		}
		if err = d.attempt(ctx, o); !errors.Is(err, ErrConflict) || isConflict(err) {
			break
		}
	}
	var refused *RefusedError
	switch final := isConflict(err) || errors.As(err, &refused) || isReused(err); {
	case x != nil && x == d.force.exit() && final:
		d.force.clear() // nothing has changed
		d.apply(ctx)
	case x != nil && x == d.force.exit() && err != nil:
		d.unstored(ctx, err)
	case errors.Is(err, ErrConflict) && !final:
		err = &ConflictError{Rollout: d.id, Reason: "the rollout changed concurrently five times; retry"}
	}
	return err
}

// settle tries again to store an abort that is in force here.
func (d *driver) settle(ctx context.Context, x *exit) error {
	err := d.attempt(ctx, x.order)
	var final *RefusedError
	if errors.As(err, &final) {
		d.force.clear() // the rollout has ended otherwise, or the split is not in force
		d.apply(ctx)
		return nil
	}
	if err != nil {
		d.unstored(ctx, err)
	}
	return err
}

// isConflict reports whether err is final, not one to be tried again.
func isConflict(err error) bool {
	var c *ConflictError
	return errors.As(err, &c)
}

func isReused(err error) bool {
	var k *KeyReusedError
	return errors.As(err, &k)
}

// attempt judges a command by the state as it is, and commits what it brings.
func (d *driver) attempt(ctx context.Context, o order) error {
	if used, err := o.served(d.doc); used {
		return err
	}
	if err := o.conflict(d.doc); err != nil {
		return err
	}
	if d.role == leader && !d.doc.Phase.Terminal() {
		if err := d.count(ctx); err != nil && o.onward() {
			return err
		}
	}
	state := d.state()
	state.Command = o.Command
	dec := strategies.Next(d.doc.Plan.Stages, state)
	by := o.by
	switch {
	case dec.Do == strategies.DoStay || dec.Do == strategies.DoRefuse:
		return &RefusedError{Rollout: d.id, Command: o.Command, Reason: dec.Reason}
	case dec.Rule != "command":
		by = engineActor // something else was more urgent than the command
	default:
		dec.Reason = because(dec.Reason, o.why)
	}
	if wait, instead := d.recheck(dec); instead != nil {
		dec, by = *instead, engineActor
	} else if wait != "" {
		return &RefusedError{Rollout: d.id, Command: o.Command, Reason: "cannot " + o.Command.String() + ": it waits for " + wait}
	}
	next := d.doc.follow(dec, kindOf(dec), by, d.e.cfg.wall())
	if dec.Do == strategies.DoTakeVote {
		vote := by.vote(o.Command, next.Last.At, o.why)
		if why := d.doc.approval().Admit(vote, d.doc.Starter.person()); why != "" {
			return &RefusedError{Rollout: d.id, Command: o.Command, Reason: "cannot " + o.Command.String() + ": " + why}
		}
		next.Votes = slices.DeleteFunc(slices.Clone(d.doc.Votes), func(v strategies.Vote) bool { return v.Person() == vote.Person() })
		next.Votes = append(next.Votes, vote)
	}
	if o.key != "" {
		served := append(slices.Clone(d.doc.Served), o.mark())
		next.Served = served[max(0, len(served)-MaxKeys):]
	}
	if x := d.exitOf(dec); x != nil && by.Name == engineActor.Name {
		d.lower(ctx, x)
	}
	next.Last.Judgement, next.Last.Monitor, next.Last.Others = d.judged(), d.alarm(), d.verdicts()
	d.late(&next.Last)
	if err := d.commit(ctx, next); err != nil {
		return err
	}
	if dec.Do == strategies.DoResume || dec.Resume {
		d.accept()
	}
	d.schedule()
	switch {
	case d.splitErr != nil:
		return fmt.Errorf("rollout: %s is stored, but the split is not in force yet: %w", o.Command, d.splitErr)
	case dec.Rule != "command":
		return &RefusedError{Rollout: d.id, Command: o.Command, Reason: dec.Reason}
	}
	return nil
}

// inherits reports whether the committed split was in force in an earlier life of this
// process, and has not been in this one. A plane that comes up later than this process is
// waited for; it does not end the rollout.
func (d *driver) inherits() bool { return d.inherited > 0 && d.inherited == d.doc.Split.Generation }

// supersede ends the rollout in favour of a newer one, unless it has ended.
func (d *driver) supersede(ctx context.Context, by Actor, candidate string) error {
	err := d.command(ctx, order{Command: strategies.Supersede, by: by, why: candidate})
	var refused *RefusedError
	if errors.As(err, &refused) {
		return nil
	}
	return err
}

// state is what is to be decided from.
func (d *driver) state() strategies.State {
	s := d.surroundings().complete(d.doc.state(d.judgement, d.e.cfg.wall()))
	if s.Standing != "" {
		d.failedReport = d.standing()
	}
	return s
}

// count adds what has happened since the last count: time and evidence. Only
// the process that leads calls it. The judgement rests on what could be gathered; the error says
// what is missing.
func (d *driver) count(ctx context.Context) (missing error) {
	now := time.Now()
	if !d.counted.IsZero() && (d.doc.Paused || d.doc.Phase == strategies.Approving) {
		d.doc.Held += now.Sub(d.counted)
	}
	if _, lowered := d.force.inForce(); d.doc.Phase.Timed() && d.splitErr == nil && lowered == "" && !d.counted.IsZero() {
		served := now.Sub(d.counted)
		if d.doc.Phase == strategies.Baking && !d.doc.Paused {
			d.doc.Baked += served
		}
		if !d.doc.Paused || d.doc.Phase == strategies.RampingDown {
			d.doc.Waited += served
		}
	}
	d.counted = now
	now = d.e.cfg.wall()
	if d.e.shared() {
		missing = d.gather(ctx, now)
	} else if own, err := d.look(now); err != nil {
		missing = err
	} else {
		missing = d.judge(now, own, nil, nil, nil)
	}
	d.monitored(ctx, now)
	text := ""
	if missing != nil {
		text = missing.Error()
	}
	if text != d.missing && text != "" {
		d.e.cfg.Logger.ErrorContext(ctx, "evidence not complete", "rollout", d.id, "error", missing)
	}
	d.missing = text
	return missing
}

// schedule makes run call step immediately.
func (d *driver) schedule() {
	select {
	case d.kick <- struct{}{}:
	default:
	}
}
