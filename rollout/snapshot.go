package rollout

import (
	"context"
	"sync"
	"time"

	"github.com/serin-go/serin/checks/analysis"
)

// lock is held while a driver decides, commits and lets a commit take effect. It
// is held across calls to the store, so it is one that a caller can give up
// waiting for.
type lock chan struct{}

func newLock() lock { return make(lock, 1) }

// view is what a driver knew when its lock was last given back. Who only wants
// to know reads it, and waits for no store.
type view struct {
	doc       document
	judgement analysis.Judgement
	waiting   string
	leader    bool
	rev       Revision
	unset     bool // the split is not in force
	around    surroundings
	at        time.Time // when that was
	outdated  bool      // checks are looked at again before a stage begins
}

func (d *driver) lock() { d.busy <- struct{}{} }

// lockFor waits for the lock no longer than ctx allows.
func (d *driver) lockFor(ctx context.Context) error {
	select {
	case d.busy <- struct{}{}:
		return nil
	case <-ctx.Done():
		return context.Cause(ctx)
	}
}

// unlock lets others know what has changed, and gives the lock back.
func (d *driver) unlock() {
	d.publishView()
	<-d.busy
}

func (d *driver) publishView() {
	v := &view{
		doc: *d.doc, judgement: d.judgement, waiting: d.waiting, leader: d.role == leader, rev: d.rev, unset: d.splitErr != nil,
		at: d.e.cfg.wall(),
	}
	if !v.doc.Phase.Terminal() {
		v.around, v.outdated = d.surroundings(), d.outdated()
	}
	d.view.Store(v)
	d.e.bells[d.target].ring()
}

// bell lets any number of callers wait for the next change.
type bell struct {
	mu   sync.Mutex
	next chan struct{} // nil while no caller waits
}

func (b *bell) wait() <-chan struct{} {
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.next == nil {
		b.next = make(chan struct{})
	}
	return b.next
}

// ring does nothing for nil, of an engine without targets.
func (b *bell) ring() {
	if b == nil {
		return
	}
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.next != nil {
		close(b.next)
		b.next = nil
	}
}

// Changed returns a channel that is closed when what [Engine.Newest] returns of the target
// may have changed: after an event, and after each judgement, which is once a [Config.Tick]
// while a rollout is active. It asks nothing of the store. Ask for the channel first, then
// for the state. Close closes it; for a name that is no target of the engine it is nil.
func (e *Engine) Changed(target string) <-chan struct{} {
	b := e.bells[target]
	if b == nil {
		return nil
	}
	return b.wait()
}

// commits returns the number of the newest commit that d knows.
func (d *driver) commits() uint64 { return d.view.Load().doc.commits() }

// over reports whether the rollout has ended.
func (d *driver) over() bool { return d.view.Load().doc.Phase.Terminal() }

// leads reports whether this process leads the rollout.
func (d *driver) leads() bool { return d.view.Load().leader }

func (d *driver) status() Status {
	v := d.view.Load()
	st := v.doc.status(v.at)
	st.Judgement = v.judgement
	st.State = v.around.complete(v.doc.state(v.judgement, v.at))
	st.outdated = v.outdated
	st.Leader = v.leader
	st.Split, st.Lowered = d.force.inForce() // an abort changes it without the lock
	if d.e.shared() {
		st.SettledBy = v.doc.SplitAt.Add(d.e.cfg.Validity + d.e.cfg.Validity/100)
	}
	if !st.Phase.Terminal() {
		st.Waiting = v.waiting
	} else if v.judgement.Reason == "" && v.doc.Last.Judgement != nil {
		st.Judgement = *v.doc.Last.Judgement
	}
	return st
}
