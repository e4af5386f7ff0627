package rollout

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"strings"
	"sync"

	"github.com/serin-go/serin/checks"
	"github.com/serin-go/serin/strategies"
)

// Engine carries rollouts through their stages. It may be used concurrently.
type Engine struct {
	cfg  Config
	life string // identifies this engine among all that had the same replica name
	// remote says that this engine has no targets: it reads, and gives commands to engines
	// that have targets.
	remote bool
	ctx    context.Context // ends with Close; the drivers live in it
	stop   context.CancelCauseFunc
	wg     sync.WaitGroup

	mu     sync.Mutex
	planes map[string]*plane       // of each target; never changes
	states map[string]*targetState // of each target; never changes
	last   lastWords
	known  knownSplits
	asking patient // counts what hangs in Config.Anchor

	drivers map[string]*driver // the newest of each target
	feeding map[string]int     // how many goroutines deliver a rollout to a sink, by cursor

	bells map[string]*bell // of each target; never changes
	looks sync.Map         // standing checks that are being looked at: *atomic.Bool by target and check
}

// Open returns an engine over cfg.Store and continues what it finds there: it
// puts the split that each target's newest rollout demands in force, and leads
// the rollouts that have not ended. A rollout that needs a check that is not
// bound any more is paused and says so.
//
// Open fails only if cfg is not valid or the store was closed. A target that cannot be
// followed does not affect the others: while the store does not answer, the document is
// damaged or older than its audit trail, or a metric of its plan is not bound, the
// target serves the split of [Config.LastKnown], or its baseline. Its methods return a
// [*NotFollowedError], and it is tried again after longer and longer pauses. The same
// holds for a plane that refuses or hangs, such as a router without a backend for an
// arm; [Engine.Health] returns what is wrong with each target.
//
// The engine works until Close; ctx bounds Open alone. Without
// [Config.Replica], a later engine over the same store takes the rollouts over
// immediately, and the earlier one stops as soon as it notices. With it, the processes
// elect a leader for each target, and the others follow.
func Open(ctx context.Context, cfg Config) (*Engine, error) {
	if err := cfg.Validate(); err != nil {
		return nil, err
	}
	if len(cfg.Targets) == 0 {
		return newRemote(cfg), nil
	}
	e := &Engine{
		cfg:     cfg.withDefaults(),
		life:    strings.ToLower(rand.Text()),
		planes:  make(map[string]*plane),
		states:  make(map[string]*targetState),
		bells:   make(map[string]*bell),
		drivers: make(map[string]*driver),
		feeding: make(map[string]int),
	}
	for target, splitter := range e.cfg.Targets {
		e.planes[target] = newPlane(splitter)
		e.bells[target] = new(bell)
		e.states[target] = &targetState{opening: newLock()}
	}
	e.last.keep = cfg.LastResort
	if e.last.load(); e.last.err != nil {
		e.cfg.Logger.ErrorContext(ctx, "last resort not read", "error", e.last.err)
	}
	e.ctx, e.stop = context.WithCancelCause(context.WithoutCancel(ctx))
	e.openKnown(ctx)
	var wg sync.WaitGroup
	for target, splitter := range e.cfg.Targets {
		wg.Go(func() { e.open(ctx, target, splitter) }) // one that hangs holds up no other
	}
	wg.Wait()
	for target := range e.cfg.Targets {
		if err := e.states[target].trouble(); errors.Is(err, ErrClosed) {
			e.Close()
			return nil, err
		}
	}
	if !e.cfg.Retain.zero() {
		e.spawn(e.retain)
	}
	return e, nil
}

// open takes up or follows one target, as far as that is possible now.
func (e *Engine) open(ctx context.Context, target string, splitter Splitter) {
	if e.shared() {
		m := newMember(e, target, splitter)
		m.sync(ctx) // what there is to follow is followed before Open returns
		e.spawn(func() { m.run(e.ctx) })
		return
	}
	if e.observeCommit(ctx, target, splitter) != nil {
		e.spawn(func() { e.retake(target, splitter) })
	}
}

// shared reports whether other processes use the store.
func (e *Engine) shared() bool { return e.cfg.Replica != "" }

// decode reads a document and gives its plan the functions that a stored plan
// has not.
func (e *Engine) decode(target string, entry Entry) (*document, string, error) {
	doc, hash, err := decodeDocument(target, entry.Value)
	if err != nil {
		return nil, "", err
	}
	doc.Plan.Analysis = doc.Plan.Analysis.Bind(e.cfg.Metrics...)
	return doc, hash, nil
}

// start makes d the driver of its target, connects it with the target's observations, and
// starts the observer. If the target has a driver of this rollout or of a later one, start
// does nothing and returns false: a rollout that begins here may be read from the store
// before its own Start has returned, and evidence must be counted in one place. The caller
// holds d's lock, or has the only reference to d.
func (e *Engine) start(d *driver) bool {
	if e.remote {
		return false
	}
	begun := *d.doc
	e.mu.Lock()
	if there := e.drivers[d.target]; there != nil && there.view.Load().doc.Number >= begun.Number {
		e.mu.Unlock()
		return false
	}
	e.drivers[d.target] = d
	e.mu.Unlock()
	e.states[d.target].troubled(nil)
	if !begun.Phase.Terminal() {
		d.measure(d.seen)
	}
	if !e.shared() {
		e.spawn(func() { d.run(e.ctx) })
	}
	id, from := begun.ID, d.found+1
	if e.cfg.Observer != nil {
		e.spawn(func() { e.observe(id, from) })
	}
	e.deliver(&begun)
	return true
}

// observe gives a rollout's events to the observer. It reads them from the audit trail, so
// a slow observer delays no decision.
func (e *Engine) observe(id ID, from uint64) {
	for e.ctx.Err() == nil {
		var failed error
		for ev, err := range e.Events(e.ctx, id, from) {
			if failed = err; err != nil {
				break
			}
			e.cfg.Observer.Observe(e.ctx, ev)
			from = ev.Seq + 1
		}
		if failed == nil || e.ctx.Err() != nil {
			return
		}
		e.cfg.Logger.ErrorContext(e.ctx, "cannot read events for the observer; retrying", "rollout", id, "error", failed)
		sleep(e.ctx, retryAfter)
	}
}

// Close stops the engine's rollouts and waits until that is done. The splits in force stay
// in force. The rollouts go on when an engine is opened over the store again. If another
// process shares the store, they go on there immediately.
func (e *Engine) Close() error {
	e.mu.Lock() // nothing is spawned any more once it is released
	e.stop(ErrClosed)
	e.mu.Unlock()
	e.wg.Wait()
	for _, b := range e.bells {
		b.ring()
	}
	e.closeKnown()
	return nil
}

// spawn runs f beside everything else, unless the engine is closed; Close waits for
// it.
func (e *Engine) spawn(f func()) {
	e.mu.Lock()
	defer e.mu.Unlock()
	if e.ctx.Err() == nil {
		e.wg.Go(f)
	}
}

// Do carries out a command on a rollout, and returns when its outcome is stored
// and in force here. Abort takes the candidate's traffic away here before anything
// else, also while the store does not answer; if it cannot be stored then, the error
// is an [*UnstoredError], and storing it is tried again. In other processes that share the store it is in force when they
// have read it, or when the split they know has expired; see
// [Status.SettledBy]. by is recorded.
//
// Errors: a [*RefusedError] for a command that makes no sense in the present
// state, a [*ForbiddenError] if the person may not give it, a [*ConflictError] if an
// [Option] does not hold or other commands came first again and again; a
// [*KeyReusedError]; a [*NotFollowedError] if this process does not follow the target's
// newest rollout, whose candidate has no traffic here then; or what
// the store said, in which case the command may have been carried out, which a
// repetition with the same [Key] settles.
func (e *Engine) Do(ctx context.Context, id ID, c strategies.Command, by Actor, opts ...Option) (err error) {
	defer func() { e.refuse(ctx, by, Action(c.String()), id.Target(), id, err) }()
	if err := context.Cause(e.ctx); err != nil {
		return err
	}
	if err := e.authorize(ctx, by, Action(c.String()), id.Target()); err != nil {
		return err
	}
	if c == strategies.Supersede {
		return &checks.InvalidError{Package: "rollout", Field: "Command", Value: c, Want: "another command: a rollout is superseded by Start with Plan.Supersede"}
	}
	o := order{Command: c, by: by}
	for _, opt := range opts {
		opt(&o)
	}
	if !plainName(o.key) {
		return &checks.InvalidError{Package: "rollout", Field: "Key", Value: fmt.Sprintf("%q", bound(o.key, maxNameSize)), Want: wantName}
	}
	o.why = bound(o.why, maxReason)
	if d := e.driver(id); d != nil {
		return d.command(ctx, o)
	}
	if e.remote {
		if d, err := e.guest(ctx, id.Target()); err != nil {
			return err
		} else if d != nil && d.id == id {
			return d.ordered(ctx, o, nil)
		}
	} else if err := e.ready(ctx, id.Target()); err != nil {
		return err
	} else if d := e.driver(id); d != nil { // now it is followed
		return d.command(ctx, o)
	}
	st, err := e.Status(ctx, id)
	if err != nil {
		return err
	}
	if st.Phase.Terminal() {
		return &RefusedError{Rollout: id, Command: c, Reason: "the rollout is over: " + st.Phase.String()}
	}
	return fmt.Errorf("rollout: %s is not known to this engine; it has no such target", id)
}

// current returns the driver of the target's newest rollout, or nil.
func (e *Engine) current(target string) *driver {
	e.mu.Lock()
	defer e.mu.Unlock()
	return e.drivers[target]
}

// driver returns the driver of the rollout, nil if it is not the newest of its
// target or not led here.
func (e *Engine) driver(id ID) *driver {
	if d := e.current(id.Target()); d != nil && d.id == id {
		return d
	}
	return nil
}

// Status returns the state of a rollout. If this process leads it, the judgement is the
// newest instead of the stored one. An unknown id is an error that wraps ErrNotFound. If the target is not followed, the error is a [*NotFollowedError].
func (e *Engine) Status(ctx context.Context, id ID) (Status, error) {
	if d := e.driver(id); d != nil {
		return d.status(), nil
	}
	if err := e.notFollowed(id.Target()); err != nil {
		return Status{}, err
	}
	doc, err := e.find(ctx, id)
	if err != nil {
		return Status{}, err
	}
	return doc.status(e.cfg.wall()), nil
}

// find reads the last document of a rollout.
func (e *Engine) find(ctx context.Context, id ID) (*document, error) {
	for _, key := range []string{documentKey(id.Target()), archiveKey(id)} {
		entry, err := e.cfg.Store.Get(ctx, key)
		switch {
		case errors.Is(err, ErrNotFound):
			continue
		case errors.Is(err, ErrDamaged):
			return nil, &DamagedError{Target: id.Target(), Err: err}
		case err != nil:
			return nil, err
		}
		doc, _, err := decodeDocument(id.Target(), entry.Value)
		if err != nil {
			return nil, err
		}
		if doc.ID == id {
			return doc, nil
		}
	}
	return nil, fmt.Errorf("rollout: %q: %w", id, ErrNotFound)
}

// Newest returns the state of the target's newest rollout, active or not. A target that
// never had a rollout is an error that wraps ErrNotFound. If the target is not
// followed, the error is a [*NotFollowedError].
func (e *Engine) Newest(ctx context.Context, target string) (Status, error) {
	if d := e.current(target); d != nil {
		return d.status(), nil
	}
	if err := e.notFollowed(target); err != nil {
		return Status{}, err
	}
	entry, err := e.cfg.Store.Get(ctx, documentKey(target))
	if err != nil {
		return Status{}, err
	}
	doc, _, err := decodeDocument(target, entry.Value)
	if err != nil {
		return Status{}, err
	}
	return doc.status(e.cfg.wall()), nil
}
