package rollout

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"strings"
	"sync"
	"time"

	"github.com/serin-go/serin/checks"
	"github.com/serin-go/serin/checks/analysis"
	"github.com/serin-go/serin/strategies"
)

// driver carries one rollout forward. It decides with strategies.Next, commits
// with one compare-and-set, and only then lets the decision take effect.
type driver struct {
	e        *Engine
	id       ID
	target   string
	splitter Splitter
	kick     chan struct{} // wakes run before its next tick

	mu   sync.Mutex // held while deciding, committing and taking effect
	doc  *document  // as committed; what was counted since is added in place
	hash string     // of the committed document
	rev  Revision   // of the committed document
	seen *analysis.Recorder
	cmp  *analysis.Comparison

	judgement analysis.Judgement
	waiting   string    // why Next stays
	counted   time.Time // until when time is in doc.Baked
	saved     time.Time // when the evidence was last committed
	splitErr  error     // why doc.Split is not in force
	unaudited bool      // the last event is not in the audit trail yet
	replaced  bool      // another engine has taken the rollout over
	gate      *gate
}

// gate is a run of the checks that a phase waits for.
type gate struct {
	phase  strategies.Phase
	stage  int
	cancel context.CancelFunc
	report *checks.Report // nil while they run
}

func newDriver(e *Engine, s Splitter, doc *document, hash string, rev Revision) *driver {
	return &driver{
		e: e, id: doc.ID, target: doc.ID.Target(), splitter: s, kick: make(chan struct{}, 1),
		doc: doc, hash: hash, rev: rev,
	}
}

// begin commits the first document of a rollout and prepares to drive it.
func (d *driver) begin(ctx context.Context, first *document) error {
	d.mu.Lock()
	defer d.mu.Unlock()
	if err := d.compare(); err != nil {
		return err
	}
	if err := d.commit(ctx, first); err != nil {
		return err
	}
	d.measure(d.seen) // only now: until then the target may be somebody else's
	return nil
}

// resume takes up a rollout that was found in the store: it claims it, so that
// an engine that drove it before can write no more, and puts its split in
// force. A rollout that has ended only gets its split.
func (d *driver) resume(ctx context.Context) error {
	d.mu.Lock()
	defer d.mu.Unlock()
	// The crash may have come between the last commit and its audit entry.
	if err := writeAudit(ctx, d.e.cfg.Store, d.doc.Last); err != nil {
		return err
	}
	if d.doc.Phase.Terminal() {
		d.apply(ctx)
		return d.splitErr
	}
	if err := d.compare(); err != nil {
		return err
	}
	if err := d.cmp.Restore(d.doc.Evidence); err != nil {
		return err
	}
	d.measure(d.seen)
	d.judgement = d.cmp.Judge(time.Now().UTC())
	claim := d.doc.follow(strategies.Decision{Reason: "taken up after a restart"}, Continued, engineActor, time.Now())
	claim.Epoch++
	if err := d.commit(ctx, claim); err != nil {
		return err
	}
	missing := d.e.unbound(d.doc.Plan)
	if len(missing) == 0 || d.doc.Paused {
		return nil
	}
	return d.carryOut(ctx, strategies.Decision{
		Do:     strategies.SetPause,
		Reason: "no check is bound to " + strings.Join(missing, ", ") + "; bind it, restart and resume",
	}, engineActor)
}

// compare prepares a fresh comparison of the two arms.
func (d *driver) compare() (err error) {
	p := d.doc.Plan
	if d.seen, err = analysis.NewRecorder(p.Analysis, p.Baseline.Arm(), p.Candidate.Arm()); err != nil {
		return err
	}
	d.cmp, err = d.seen.Comparison(p.Candidate.Arm())
	return err
}

// measure connects the target's observations with r.
func (d *driver) measure(r *analysis.Recorder) {
	if m, ok := d.splitter.(Measurer); ok {
		m.Measure(r)
	}
}

// run drives until the rollout has ended and its last split is in force, until
// somebody else drives it, or until ctx ends.
func (d *driver) run(ctx context.Context) {
	ticker := time.NewTicker(d.e.cfg.Tick)
	defer ticker.Stop()
	for d.step(ctx) {
		select {
		case <-ctx.Done():
			d.checkpoint()
			return
		case <-ticker.C:
		case <-d.kick:
		}
	}
}

// step carries the rollout as far as it goes now. It reports whether there is
// more to do later.
func (d *driver) step(ctx context.Context) (more bool) {
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.replaced {
		return false
	}
	if d.splitErr != nil {
		d.apply(ctx)
	}
	if d.unaudited {
		d.audit(ctx)
	}
	// A rollout visits each phase of each stage at most once, which bounds the
	// loop even if Next were to err.
	for range 4*len(d.doc.Plan.Stages) + 4 {
		if d.doc.Phase.Terminal() {
			return d.splitErr != nil || d.unaudited
		}
		d.count()
		d.startChecks(ctx)
		dec := strategies.Next(d.doc.Plan.Stages, d.state())
		d.waiting = dec.Reason
		if dec.Do == strategies.Stay || dec.Do == strategies.Refuse {
			break
		}
		if err := d.carryOut(ctx, dec, engineActor); err != nil {
			d.e.cfg.Logger.ErrorContext(ctx, "rollout step not stored", "rollout", d.id, "error", err)
			return !d.replaced
		}
	}
	if time.Since(d.saved) >= d.e.cfg.Checkpoint && !d.doc.Phase.Terminal() {
		if err := d.save(ctx); err != nil {
			d.e.cfg.Logger.ErrorContext(ctx, "evidence not stored", "rollout", d.id, "error", err)
		}
	}
	return !d.replaced
}

// checkpoint saves the evidence once more before the engine closes.
func (d *driver) checkpoint() {
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.gate != nil {
		d.gate.cancel()
	}
	if d.replaced || d.doc.Phase.Terminal() {
		return
	}
	d.count()
	ctx, cancel := context.WithTimeout(context.WithoutCancel(d.e.ctx), 5*time.Second)
	defer cancel()
	if err := d.save(ctx); err != nil {
		d.e.cfg.Logger.ErrorContext(ctx, "evidence not stored", "rollout", d.id, "error", err)
	}
}

// save commits the evidence without any other change.
func (d *driver) save(ctx context.Context) error {
	next := d.doc.follow(strategies.Decision{Reason: d.judgement.Reason}, Measured, engineActor, time.Now())
	next.Last.Judgement = d.judged()
	return d.commit(ctx, next)
}

// judged returns a copy of the judgement, for an event to keep.
func (d *driver) judged() *analysis.Judgement {
	j := d.judgement
	return &j
}

// command carries out what a person has asked for.
func (d *driver) command(ctx context.Context, c strategies.Command, by Actor) error {
	d.mu.Lock()
	defer d.mu.Unlock()
	// A conflict means that another engine has written; the command is judged
	// anew by what it wrote.
	for range 3 {
		if d.replaced {
			return fmt.Errorf("rollout: %s is driven by another engine now", d.id)
		}
		if !d.doc.Phase.Terminal() {
			d.count()
		}
		state := d.state()
		state.Command = c
		dec := strategies.Next(d.doc.Plan.Stages, state)
		if dec.Do == strategies.Stay || dec.Do == strategies.Refuse {
			return &RefusedError{Rollout: d.id, Command: c, Reason: dec.Reason}
		}
		err := d.carryOut(ctx, dec, by)
		if errors.Is(err, ErrConflict) {
			continue
		}
		d.wakeUp()
		if err == nil && d.splitErr != nil {
			err = fmt.Errorf("rollout: %s is stored, but the split is not in force yet: %w", c, d.splitErr)
		}
		return err
	}
	return fmt.Errorf("rollout: %s: %w", d.id, ErrConflict)
}

// state is what is to be decided from.
func (d *driver) state() strategies.State {
	s := d.doc.state(d.judgement)
	if d.splitErr != nil {
		s.SplitError = d.splitErr.Error()
	}
	if g := d.gate; g != nil && g.phase == s.Phase && g.stage == s.Stage && g.report != nil {
		s.Checked, s.Checks, s.ChecksReason = true, g.report.Status, g.report.Summary()
	}
	return s
}

// count adds what has happened since the last count: time and evidence.
func (d *driver) count() {
	now := time.Now()
	if d.doc.Phase == strategies.Baking && !d.doc.Paused && d.splitErr == nil && !d.counted.IsZero() {
		d.doc.Baked += now.Sub(d.counted)
		d.doc.Waited += now.Sub(d.counted)
	}
	d.counted = now
	d.judgement = d.cmp.Judge(now.UTC())
	d.doc.Evidence = d.cmp.Evidence()
}

// startChecks starts the checks that the phase waits for, unless they have been
// started.
func (d *driver) startChecks(ctx context.Context) {
	phase, stage := d.doc.Phase, d.doc.Stage
	if g := d.gate; g != nil && (g.phase != phase || g.stage != stage) {
		g.cancel()
		d.gate = nil
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
	ctx, cancel := context.WithTimeout(ctx, d.e.cfg.CheckTimeout)
	g := &gate{phase: phase, stage: stage, cancel: cancel}
	d.gate = g
	d.e.wg.Go(func() {
		defer cancel()
		report := checks.Run(ctx, due)
		d.mu.Lock()
		g.report = &report
		d.mu.Unlock()
		d.wakeUp()
	})
}

// carryOut commits what was decided.
func (d *driver) carryOut(ctx context.Context, dec strategies.Decision, by Actor) error {
	next := d.doc.follow(dec, kindOf(dec), by, time.Now())
	next.Last.Judgement = d.judged()
	if g := d.gate; g != nil && d.doc.Phase.Checking() {
		next.Last.Checks = g.report
	}
	return d.commit(ctx, next)
}

// commit stores next in place of d.doc, and then lets it take effect. The event
// of the commit before is in the audit trail by then, and that of this one is
// written at once after it. Errors: ErrConflict if somebody else has written,
// with d.doc read anew; otherwise the outcome is unknown and d.doc unchanged.
func (d *driver) commit(ctx context.Context, next *document) error {
	store := d.e.cfg.Store
	if d.unaudited {
		if err := writeAudit(ctx, store, d.doc.Last); err != nil {
			return err
		}
		d.unaudited = false
	}
	var err error
	next.Before, next.Nonce = d.hash, rand.Text()
	if next.Last, _, err = next.Last.sealed(); err != nil {
		return err
	}
	value, hash, err := next.encode()
	if err != nil {
		return err
	}
	rev, err := store.Put(ctx, documentKey(d.target), value, d.rev)
	if err != nil {
		if rev, err = d.resolve(ctx, next, err); err != nil {
			return err
		}
	}
	d.doc, d.hash, d.rev, d.saved = next, hash, rev, time.Now()
	d.apply(ctx)
	d.audit(ctx)
	return nil
}

// audit writes the event of the last commit to the audit trail. It is in the
// document; if it cannot be written now, step tries again, and commit does
// before it goes on.
func (d *driver) audit(ctx context.Context) {
	err := writeAudit(context.WithoutCancel(ctx), d.e.cfg.Store, d.doc.Last)
	if d.unaudited = err != nil; d.unaudited {
		d.e.cfg.Logger.ErrorContext(ctx, "audit entry delayed", "rollout", d.id, "seq", d.doc.Seq, "error", err)
	}
	d.e.wake()
}

// resolve finds out what became of a Put that returned an error. It returns the
// revision if next was stored after all.
func (d *driver) resolve(ctx context.Context, next *document, putErr error) (Revision, error) {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), 5*time.Second)
	defer cancel()
	entry, err := d.e.cfg.Store.Get(ctx, documentKey(d.target))
	if err != nil {
		return "", errors.Join(putErr, err)
	}
	there, hash, err := decodeDocument(d.target, entry.Value)
	switch {
	case err != nil:
		return "", errors.Join(putErr, err)
	case there.Nonce == next.Nonce:
		return entry.Revision, nil
	case entry.Revision == d.rev:
		return "", putErr // nothing was written
	case d.doc.Seq == 0:
		return "", errors.Join(putErr, ErrConflict) // a rollout that somebody else began
	case there.ID != d.id || there.Epoch != d.doc.Epoch:
		d.replaced = true
		return "", fmt.Errorf("rollout: %s was taken over by another engine: %w", d.id, ErrConflict)
	}
	there.Plan.Analysis = d.doc.Plan.Analysis // with its functions
	d.doc, d.hash, d.rev, d.unaudited = there, hash, entry.Revision, true
	d.apply(ctx)
	return "", errors.Join(putErr, ErrConflict)
}

// apply puts the committed split in force.
func (d *driver) apply(ctx context.Context) {
	// Once it is committed it takes effect, whether the caller still waits or not.
	err := d.splitter.SetSplit(context.WithoutCancel(ctx), d.doc.Split)
	if err != nil && d.splitErr == nil {
		d.e.cfg.Logger.ErrorContext(ctx, "split not in force", "rollout", d.id, "error", err)
	}
	d.splitErr = err
	if err == nil && d.doc.Phase.Terminal() {
		d.measure(nil)
	}
}

// wakeUp makes run look again at once.
func (d *driver) wakeUp() {
	select {
	case d.kick <- struct{}{}:
	default:
	}
}

func (d *driver) status() Status {
	d.mu.Lock()
	defer d.mu.Unlock()
	st := d.doc.status()
	st.Judgement = d.judgement
	if !st.Phase.Terminal() {
		st.Waiting = d.waiting
	} else if d.judgement.Reason == "" && d.doc.Last.Judgement != nil {
		st.Judgement = *d.doc.Last.Judgement
	}
	return st
}
