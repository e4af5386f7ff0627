package rollout

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/serin-go/serin/checks/analysis"
	"github.com/serin-go/serin/strategies"
)

// member is one process among those that share a store, for one target. It
// follows what is committed there, and leads when it holds the lease.
type member struct {
	e           *Engine
	target      string
	splitter    Splitter
	lease       lease
	plan        schedule
	lastContact time.Time // when the last reading that succeeded was sent
	until       time.Time // until when the splitter relies on its split; zero: for good
	looked      *Revision // of the document, or none, that was found while nothing is followed
	retry       time.Time // when it is looked at again, if it is not followed
	pause       time.Duration
	partitioned bool // the store has not answered for longer than a split is valid
}

func newMember(e *Engine, target string, s Splitter) *member {
	return &member{e: e, target: target, splitter: s, lease: lease{
		store: e.cfg.Store, key: leaseKey(target), holder: e.cfg.Replica, life: e.life, ttl: e.cfg.Lease,
	}}
}

// run follows and leads until ctx ends.
func (m *member) run(ctx context.Context) {
	hint, err := m.e.cfg.Store.Watch(ctx, documentKey(m.target))
	if err != nil {
		m.e.cfg.Logger.WarnContext(ctx, "store is polled, not watched", "target", m.target, "error", err)
	}
	m.plan.hinted = hint != nil
	pause := time.NewTimer(0)
	defer pause.Stop()
	for {
		var kick <-chan struct{}
		if d := m.e.current(m.target); d != nil {
			kick = d.kick
		}
		select {
		case <-ctx.Done():
			m.leave()
			return
		case _, ok := <-hint:
			if !ok {
				hint, m.plan.hinted = nil, false
			}
			if m.plan.hint(); m.follows() {
				pause.Reset(time.Until(m.next()))
				continue
			}
		case <-kick:
		case <-pause.C:
		}
		m.turn(ctx)
		pause.Reset(time.Until(m.next()))
	}
}

// follows reports whether another process leads, as far as is known.
func (m *member) follows() bool {
	d := m.e.current(m.target)
	return !m.lease.held() && (d == nil || !d.leads())
}

// next returns when there is something to do again.
func (m *member) next() time.Time {
	if !m.follows() {
		return time.Now().Add(min(m.e.cfg.Poll, m.e.cfg.Tick))
	}
	at := time.Now().Add(idleLongest)
	if d := m.e.current(m.target); d != nil && (!d.over() || d.view.Load().unset) {
		at = time.Now().Add(m.e.cfg.Tick)
	}
	return m.plan.next(at)
}

// turn is one round: keep the lease, read the document, lead or follow.
func (m *member) turn(ctx context.Context) {
	ctx, cancel := context.WithTimeout(ctx, m.e.cfg.Lease)
	defer cancel()
	leads, now := !m.follows(), time.Now()
	if leads || !now.Before(m.plan.beat) {
		err := m.lease.beat(ctx)
		if err != nil {
			m.e.cfg.Logger.DebugContext(ctx, "lease not written", "target", m.target, "error", err)
		}
		// A lease under its own name may be a twin's.
		m.plan.hasBeaten(&m.e.cfg, err != nil || m.lease.there.Holder == m.lease.holder)
	}
	twin := m.twin(ctx)
	if leads || !now.Before(m.plan.read) {
		lastContact := m.sync(ctx)
		d := m.e.current(m.target)
		if d != nil {
			m.plan.see(d.view.Load().doc.members(), !d.over(), m.e.cfg.Lease)
		}
		m.plan.hasRead(&m.e.cfg, !lastContact)
	}
	d := m.e.current(m.target)
	if d == nil {
		m.e.planes[m.target].insist()
		return
	}
	d.lock()
	defer d.unlock()
	stale, twinned := d.force.set(&d.force.stale, m.partitioned), d.force.set(&d.force.twin, twin && !d.doc.Phase.Terminal())
	if stale || twinned {
		d.apply(ctx)
	}
	switch {
	case !m.lease.held() || m.partitioned || twin:
		d.stepDown()
	case d.role == follower:
		m.claim(ctx, d)
	}
	if d.role == leader {
		d.step(ctx)
	} else {
		d.followerTick(ctx)
	}
}

// claim makes this process the leader of d.
func (m *member) claim(ctx context.Context, d *driver) {
	epoch := m.lease.there.Epoch
	if d.doc.Epoch > epoch { // the record of the lease was lost
		if err := m.lease.raise(ctx, d.doc.Epoch+1); err != nil || !m.lease.held() {
			return
		}
		epoch = m.lease.there.Epoch
	}
	d.counted = time.Time{}
	if d.doc.Epoch < epoch && !d.doc.Phase.Terminal() {
		var unreadable *evidenceError
		if err := d.gather(ctx, m.e.cfg.wall()); err != nil && !errors.As(err, &unreadable) {
			m.e.cfg.Logger.WarnContext(ctx, "cannot lead yet: evidence incomplete", "rollout", d.id, "error", err)
			return
		}
		if err := d.claim(ctx, epoch, fmt.Sprintf("%s leads now", m.e.cfg.Replica)); err != nil {
			m.e.cfg.Logger.WarnContext(ctx, "cannot lead: claim not stored", "rollout", d.id, "error", err)
			return
		}
	}
	if err := d.regate(ctx); err != nil {
		m.e.cfg.Logger.WarnContext(ctx, "cannot lead: claim not stored", "rollout", d.id, "error", err)
		return
	}
	d.role = leader
}

// leave gives up what this process leads.
func (m *member) leave() {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(m.e.ctx), m.e.cfg.Lease)
	defer cancel()
	if d := m.e.current(m.target); d != nil {
		d.checkpoint()
		d.lock()
		if !d.doc.Phase.Terminal() {
			if own, err := d.look(m.e.cfg.wall()); err == nil {
				_ = d.publish(ctx, own) // what is lost is a second's evidence
			}
		}
		if d.role == leader {
			d.role = follower
		}
		d.unlock()
	}
	m.lease.release(ctx)
}

// sync reads the target's document and follows it. It reports whether the store has
// answered with what can be followed.
func (m *member) sync(ctx context.Context) bool {
	d := m.e.current(m.target)
	var known uint64
	var rev Revision
	if d != nil {
		rev, known = d.view.Load().rev, d.commits()
	}
	sent := time.Now()
	getting, cancel := context.WithTimeout(ctx, m.e.cfg.Poll)
	defer cancel()
	entry, err := m.e.cfg.Store.(*patient).GetIf(getting, documentKey(m.target), rev)
	switch {
	case d == nil:
		if d = m.followFirst(ctx, entry, err, sent); d == nil {
			return m.e.states[m.target].trouble() == nil
		}
	case err == nil && rev != entry.Revision:
		if d, err = m.news(ctx, d, entry, known); err != nil {
			m.e.states[m.target].troubled(err)
		}
	}
	if err != nil {
		m.readFailed(ctx, err, sent)
		return false
	}
	m.lastContact, m.partitioned = sent, false
	m.e.states[m.target].answered(nil, sent)
	m.e.states[m.target].troubled(nil)
	m.renew(sent, d.over())
	return true
}

// renew has the splitter rely on its split for longer, since the store had nothing newer
// at sent. One that has not taken the newest split is given no more time.
func (m *member) renew(sent time.Time, over bool) {
	x, ok := m.splitter.(Expirer)
	if !ok {
		return
	}
	until := sent.Add(m.e.cfg.Validity)
	switch taken := m.e.planes[m.target].settled(); {
	case taken && over:
		until = time.Time{} // there is nothing to be rolled back any more
	case !taken && (over || !m.until.IsZero()):
		return
	}
	m.until = until
	x.Expire(until)
}

// news follows a document that this process has not seen yet.
func (m *member) news(ctx context.Context, d *driver, entry Entry, known uint64) (*driver, error) {
	doc, hash, err := m.e.decode(m.target, entry)
	if err != nil {
		return d, err
	}
	if err := d.check(doc, hash, known); err != nil {
		return d, err
	}
	if doc.ID != d.id {
		joined, err := m.join(ctx, d, doc, hash, entry.Revision)
		if err != nil {
			return d, err
		}
		return joined, nil
	}
	d.observeCommit(ctx, doc, hash, entry.Revision)
	return d, nil
}

// readFailed handles a document that could not be read. A splitter that implements Expirer
// needs no help; the others get the baseline's split when their own has expired.
func (m *member) readFailed(ctx context.Context, err error, sent time.Time) {
	if !m.lastContact.IsZero() {
		sent = m.lastContact
	}
	m.e.states[m.target].answered(err, sent)
	if time.Since(m.lastContact) < m.e.cfg.Validity {
		return
	}
	d := m.e.current(m.target)
	m.partitioned = d == nil || !d.over()
	serves := m.e.planes[m.target].serves()
	if d != nil && m.partitioned {
		serves = armList(d.view.Load().doc.Split.RollBack())
	}
	m.e.cfg.Logger.ErrorContext(ctx, "store unreachable", "target", m.target, "serves", serves, "error", err)
}

// join follows a rollout that this process has not known.
func (m *member) join(ctx context.Context, old *driver, doc *document, hash string, rev Revision) (*driver, error) {
	d := newDriver(m.e, m.splitter, doc, hash, rev)
	if m.looked == nil {
		d.found, d.inherited = doc.Seq, doc.Split.Generation // it was there before this process
	}
	d.unaudited = true // who wrote it may have died before its event was in the audit trail
	d.lock()
	defer d.unlock()
	if !doc.Phase.Terminal() {
		if err := d.compare(); err != nil {
			return nil, err
		}
		d.force.unproved = true
		d.force.out = m.e.last.of(d.id)
	}
	if old != nil {
		old.lock()
		old.stopChecks()
		old.role = retired
		old.unlock()
	}
	d.apply(ctx)
	if !m.e.start(d) {
		return m.e.current(m.target), nil
	}
	return d, nil
}

// check reports whether a document that was read, when this process knew commit
// known, may come after what is known: a store that has lost what it had
// acknowledged, or that holds another history, must not be followed.
func (d *driver) check(doc *document, hash string, known uint64) error {
	d.lock()
	defer d.unlock()
	switch {
	case doc.Number > d.doc.Number:
		return nil
	case doc.Number < d.doc.Number || doc.commits() < known:
		return fmt.Errorf("rollout: the store has gone back to %s #%d, after %s #%d", doc.ID, doc.Seq, d.id, d.doc.Seq)
	case doc.commits() == d.doc.commits() && hash != d.hash:
		return fmt.Errorf("rollout: the store holds another %s #%d than the one that was committed", doc.ID, doc.Seq)
	case doc.commits() == d.doc.commits()+1 && doc.Before != d.hash:
		return fmt.Errorf("rollout: %s #%d in the store does not follow #%d", doc.ID, doc.Seq, d.doc.Seq)
	}
	return d.doc.mayBecome(doc)
}

// observeCommit follows a document that was read, if it is news.
func (d *driver) observeCommit(ctx context.Context, doc *document, hash string, rev Revision) {
	d.lock()
	defer d.unlock()
	if doc.ID == d.id && doc.commits() > d.doc.commits() {
		d.adopt(ctx, doc, hash, rev)
		d.schedule()
	}
}

// refresh reads the document before a command is judged by it.
func (d *driver) refresh(ctx context.Context) error {
	entry, err := d.e.cfg.Store.Get(ctx, documentKey(d.target))
	if err != nil {
		return err
	}
	doc, hash, err := decodeDocument(d.target, entry.Value)
	switch {
	case err != nil:
		return err
	case doc.ID != d.id:
		return &ConflictError{Rollout: d.id, Reason: fmt.Sprintf("a newer rollout has begun, %s", doc.ID)}
	case doc.commits() > d.doc.commits():
		if err := d.doc.mayBecome(doc); err != nil {
			return err
		}
		d.adopt(ctx, doc, hash, entry.Revision)
	}
	return nil
}

// stepDown makes a leader a follower.
func (d *driver) stepDown() {
	if d.role == leader {
		d.stopChecks()
		d.role = follower
	}
}

// followerTick publishes this process's evidence and rolls back locally if a breaker trips
// here. Only the leader may raise the candidate's share; any process may lower it.
func (d *driver) followerTick(ctx context.Context) {
	if d.role == retired {
		return
	}
	if d.splitErr != nil {
		d.apply(ctx)
	}
	if d.doc.Phase.Terminal() {
		return
	}
	d.waiting = "another process leads"
	if now := time.Now(); now.Sub(d.published.looked) >= d.e.cfg.Tick*3/4 {
		d.published.looked = now
		d.share(ctx)
	}
	if d.own.tripped != "" {
		d.localRollback(ctx)
	}
	x, err := d.force.exit(), error(nil)
	switch {
	case x == nil || time.Now().Before(d.again):
		return
	case x.order.Command != strategies.NoCommand && !x.left.Load():
		return
	case x.order.Command != strategies.NoCommand:
		err = d.settle(ctx, x)
	default:
		dec := x.decision
		dec.Stage = d.doc.Stage
		err = d.carryOut(ctx, dec, engineActor)
	}
	if err != nil {
		d.e.cfg.Logger.WarnContext(ctx, "local rollback not stored yet", "rollout", d.id, "error", err)
	}
}

// share judges by what this process has seen, and makes it known when that is due.
func (d *driver) share(ctx context.Context) {
	now := d.e.cfg.wall()
	d.lookLocally(now)
	if !d.due(now) || d.force.is(&d.force.twin) {
		return
	}
	own, err := d.seenHere()
	if err == nil {
		err = d.publish(ctx, own)
	}
	if err != nil {
		d.e.cfg.Logger.DebugContext(ctx, "evidence not shared yet", "rollout", d.id, "error", err)
	}
}

// localRollback takes the candidate out here, because a breaker has tripped.
func (d *driver) localRollback(ctx context.Context) {
	state := d.state()
	reason := fmt.Sprintf("%s: %s", d.e.cfg.Replica, d.own.tripped)
	state.Verdict, state.VerdictReason = analysis.Harmed, reason
	if len(state.Rivals) > 0 { // the first is the plan's candidate
		state.Rivals[0].Verdict, state.Rivals[0].VerdictReason = analysis.Harmed, reason
	}
	if x := d.exitOf(strategies.Next(d.doc.Plan.Stages, state)); x != nil {
		d.lower(ctx, x)
	}
}

// followFirst follows the document of a target of which nothing is followed yet, as it was read
// with err. It returns nil for no document, and for one that cannot be followed, which it notes.
func (m *member) followFirst(ctx context.Context, entry Entry, err error, sent time.Time) *driver {
	state := m.e.states[m.target]
	switch {
	case errors.Is(err, ErrNotFound):
		entry = Entry{}
	case errors.Is(err, ErrDamaged):
	case err != nil:
		m.partition(ctx, err, sent)
		return nil
	}
	if m.looked != nil && *m.looked == entry.Revision && (state.trouble() == nil || time.Now().Before(m.retry)) {
		m.lastContact = sent
		state.answered(nil, sent)
		return nil
	}
	holding, cancel := context.WithTimeout(ctx, m.e.cfg.Lease)
	defer cancel()
	n, err := m.e.newest(holding, m.target)
	if err != nil && !isHeld(err) {
		m.partition(ctx, err, sent)
		return nil
	}
	var d *driver
	if err == nil && n.doc != nil {
		d, err = m.join(ctx, nil, n.doc, n.hash, n.rev)
	}
	m.lastContact, m.partitioned = sent, false
	state.answered(nil, sent)
	if m.looked == nil || *m.looked != n.rev {
		m.pause = m.e.cfg.Tick
	}
	m.looked = &n.rev
	if err == nil {
		state.troubled(nil)
		return d
	}
	m.retry, m.pause = time.Now().Add(m.pause), min(2*m.pause, longestPause)
	m.e.fallBack(m.target, n.doc, err)
	m.e.unfollowed(ctx, m.target, err, m.e.missing(n.doc)...)
	return nil
}

// partition notes that the store has not answered before anything was followed.
func (m *member) partition(ctx context.Context, err error, sent time.Time) {
	m.e.states[m.target].troubled(err)
	m.readFailed(ctx, err, sent)
}
