package rollout

import (
	"context"
	"errors"
	"fmt"
	"iter"
	"log/slog"
	"slices"
	"strconv"
	"strings"
	"sync"
	"time"

	"github.com/serin-go/serin/checks"
	"github.com/serin-go/serin/checks/analysis"
	"github.com/serin-go/serin/strategies"
)

// Splitter puts a split in force: traffic.Router in this process, or whatever
// else divides a target's traffic.
//
// SetSplit takes effect for the requests that come after it has returned.
// Setting the split that is in force already changes nothing. On an error the
// split before it stays in force. An engine calls it for one target at a time.
type Splitter interface {
	SetSplit(ctx context.Context, s strategies.Split) error
}

// Measurer is what a [Splitter] may implement besides: it sends each finished
// request's observation to r from now on; nil ends that. Measure is called
// before the first split of a rollout and after its last.
type Measurer interface {
	Measure(r *analysis.Recorder)
}

// Config configures an [Engine]. Store and Targets are required.
type Config struct {
	// Store keeps the rollouts. The engine does not close it.
	Store Store
	// Targets holds what can be rolled out, by name.
	Targets map[string]Splitter
	// Checks binds the names that plans use to checks.
	Checks map[string]checks.Check
	// Metrics binds the custom metrics of plans: their functions are not
	// stored, and are found here by name after a restart.
	Metrics []analysis.Metric
	// Observer is told of every event. Nil means nobody.
	Observer Observer
	// Logger receives what the engine could not do. Nil discards it.
	Logger *slog.Logger `env:", noinit"`

	// Tick is the time between two judgements. Zero means 1 s.
	Tick time.Duration `env:"TICK"`
	// Checkpoint is the time between two writings of the evidence; a crash
	// loses at most that much of evidence and bake time. Zero means 10 s.
	Checkpoint time.Duration `env:"CHECKPOINT"`
	// CheckTimeout bounds the checks of one phase together; what has not
	// finished by then is unknown, which opens no gate. Zero means 10 min.
	CheckTimeout time.Duration `env:"CHECK_TIMEOUT"`
}

// Validate reports everything that is wrong with c, joined; each problem is an
// [*InvalidError].
func (c Config) Validate() error {
	var errs []error
	bad := func(field string, value any, want string) {
		errs = append(errs, &InvalidError{Field: "Config." + field, Value: value, Want: want})
	}
	if c.Store == nil {
		bad("Store", nil, "a store, such as one that boltstore.Open returns")
	}
	if len(c.Targets) == 0 {
		bad("Targets", "empty", "at least one target")
	}
	for name, s := range c.Targets {
		if !targetName.MatchString(name) {
			bad("Targets", fmt.Sprintf("%q", name), "names that match "+targetName.String())
		}
		if s == nil {
			bad(fmt.Sprintf("Targets[%q]", name), nil, "a splitter")
		}
	}
	for name, c := range c.Checks {
		if c == nil {
			bad(fmt.Sprintf("Checks[%q]", name), nil, "a check")
		}
	}
	for field, d := range map[string]time.Duration{"Tick": c.Tick, "Checkpoint": c.Checkpoint, "CheckTimeout": c.CheckTimeout} {
		if d < 0 {
			bad(field, d, "a duration >= 0")
		}
	}
	return errors.Join(errs...)
}

func (c Config) withDefaults() Config {
	orElse := func(d *time.Duration, otherwise time.Duration) {
		if *d == 0 {
			*d = otherwise
		}
	}
	orElse(&c.Tick, time.Second)
	orElse(&c.Checkpoint, 10*time.Second)
	orElse(&c.CheckTimeout, 10*time.Minute)
	if c.Logger == nil {
		c.Logger = slog.New(slog.DiscardHandler)
	}
	return c
}

// Engine carries rollouts through their stages. It may be used concurrently.
type Engine struct {
	cfg  Config
	ctx  context.Context // ends with Close; the drivers live in it
	stop context.CancelCauseFunc
	wg   sync.WaitGroup

	mu      sync.Mutex
	drivers map[string]*driver // the newest of each target
	damaged map[string]error   // targets whose document cannot be read
	changed chan struct{}      // closed and replaced after each commit
}

// Open returns an engine over cfg.Store and continues what it finds there: it
// puts the split that each target's newest rollout demands in force, and drives
// the rollouts that have not ended. A rollout that needs a check that is not
// bound any more is paused and says so. A target whose document cannot be read
// is left alone, and the error is logged and returned by Status.
//
// The engine works until Close; ctx bounds Open alone. Two engines must not
// drive one target: the later one takes its rollout over, and the earlier one
// stops driving it as soon as it notices.
func Open(ctx context.Context, cfg Config) (*Engine, error) {
	if err := cfg.Validate(); err != nil {
		return nil, err
	}
	e := &Engine{
		cfg:     cfg.withDefaults(),
		drivers: make(map[string]*driver),
		damaged: make(map[string]error),
		changed: make(chan struct{}),
	}
	e.ctx, e.stop = context.WithCancelCause(context.WithoutCancel(ctx))
	for target, splitter := range e.cfg.Targets {
		if err := e.take(ctx, target, splitter); err != nil {
			e.Close()
			return nil, err
		}
	}
	return e, nil
}

// take takes up what the store holds about one target.
func (e *Engine) take(ctx context.Context, target string, splitter Splitter) error {
	entry, err := e.cfg.Store.Get(ctx, documentKey(target))
	if errors.Is(err, ErrNotFound) {
		return nil
	} else if err != nil {
		return err
	}
	doc, hash, err := decodeDocument(target, entry.Value)
	if err != nil {
		e.damaged[target] = err
		e.cfg.Logger.ErrorContext(ctx, "rollout not continued", "target", target, "error", err)
		return nil
	}
	doc.Plan.Analysis = doc.Plan.Analysis.Bind(e.cfg.Metrics...)
	d := newDriver(e, splitter, doc, hash, entry.Revision)
	if err := d.resume(ctx); err != nil {
		return fmt.Errorf("rollout: continuing %s: %w", doc.ID, err)
	}
	e.start(d)
	return nil
}

// start makes d the driver of its target.
func (e *Engine) start(d *driver) {
	e.mu.Lock()
	defer e.mu.Unlock()
	e.drivers[d.target] = d
	e.wg.Go(func() { d.run(e.ctx) })
	if e.cfg.Observer != nil {
		id, from := d.doc.ID, d.doc.Seq
		e.wg.Go(func() { e.observe(id, from) })
	}
}

// observe tells the observer of a rollout's events. It reads them from the
// audit trail, so that nobody waits for the observer.
func (e *Engine) observe(id ID, from uint64) {
	for ev, err := range e.Events(e.ctx, id, from) {
		if err != nil {
			if e.ctx.Err() == nil {
				e.cfg.Logger.ErrorContext(e.ctx, "observer not told", "rollout", id, "error", err)
			}
			return
		}
		e.cfg.Observer.Observe(e.ctx, ev)
	}
}

// Close stops driving and waits until that is done. The splits in force stay in
// force, and the rollouts go on when an engine is opened over the store again.
func (e *Engine) Close() error {
	e.stop(ErrClosed)
	e.wg.Wait()
	return nil
}

// Start begins a rollout and returns its ID. It returns as soon as the plan is
// stored; no traffic has moved by then. by is recorded.
//
// Errors: everything that is wrong with the plan, joined; a [*BusyError] if
// another rollout of the target is active; ErrClosed; or what the store said,
// in which case the rollout may have begun, which Status can tell.
func (e *Engine) Start(ctx context.Context, p Plan, by Actor) (_ ID, err error) {
	if err := context.Cause(e.ctx); err != nil {
		return "", err
	}
	if err := e.accept(p, by); err != nil {
		return "", err
	}
	if p, err = p.compile(); err != nil {
		return "", err
	}
	if old := e.current(p.Target); old != nil {
		// What ended the old rollout must have taken effect before this one
		// begins, and its driver must not touch the target any more.
		old.mu.Lock()
		defer old.mu.Unlock()
		defer func() { old.replaced = old.replaced || err == nil }()
	}
	number, generation, prev, err := e.makeWay(ctx, p.Target)
	if err != nil {
		return "", err
	}
	id := ID(p.Target + "/" + strconv.FormatUint(number, 10))
	split := strategies.Split{
		Arms:       []strategies.Arm{{Name: p.Baseline.Arm(), Weight: strategies.Full}, {Name: p.Candidate.Arm()}},
		Salt:       string(id),
		Generation: generation + 1,
	}
	for i := range p.Stages {
		p.Stages[i].Split.Salt = split.Salt
	}
	doc := &document{Format: documentFormat, ID: id, Number: number, Plan: p, Epoch: 1, Split: split}
	d := newDriver(e, e.cfg.Targets[p.Target], doc, "", prev)
	begun := strategies.Decision{Reason: fmt.Sprintf("%s replaces %s in %d stages", p.Candidate, p.Baseline, len(p.Stages))}
	err = d.begin(ctx, doc.follow(begun, Started, by, time.Now()))
	if errors.Is(err, ErrConflict) {
		_, _, _, err = e.makeWay(ctx, p.Target) // names the rollout that was faster
		return "", err
	} else if err != nil {
		return "", err
	}
	e.start(d)
	return id, nil
}

// accept reports whether the engine can carry out p, and everything that is in
// the way.
func (e *Engine) accept(p Plan, by Actor) error {
	errs := []error{p.Validate()}
	if by.Name == "" {
		errs = append(errs, &InvalidError{Field: "Actor.Name", Value: `""`, Want: "the name of who starts the rollout"})
	}
	if e.cfg.Targets[p.Target] == nil && targetName.MatchString(p.Target) {
		errs = append(errs, &InvalidError{Field: "Plan.Target", Value: p.Target, Want: "a target of Config.Targets"})
	}
	p, _ = p.compile() // Validate has told of the error
	for i, m := range p.Analysis.Metrics {
		bound := slices.ContainsFunc(e.cfg.Metrics, func(b analysis.Metric) bool { return b.Name == m.Name && b.Of != nil })
		if m.Of != nil && !bound {
			errs = append(errs, &InvalidError{Field: fmt.Sprintf("Plan.Analysis.Metrics[%d]", i), Value: fmt.Sprintf("%q", m.Name), Want: "a custom metric that is bound in Config.Metrics too, or it would be lost by a restart"})
		}
	}
	for _, name := range e.unbound(p) {
		errs = append(errs, &InvalidError{Field: "Plan: check", Value: fmt.Sprintf("%q", name), Want: "a name that is bound in Config.Checks"})
	}
	return errors.Join(errs...)
}

// unbound returns the plan's checks that have no binding.
func (e *Engine) unbound(p Plan) []string {
	var names []string
	for _, name := range p.checkNames() {
		if e.cfg.Checks[name] == nil {
			names = append(names, name)
		}
	}
	return names
}

// makeWay files what the target's last rollout has left and returns the number
// of the next one, the last generation used, and the revision to replace.
func (e *Engine) makeWay(ctx context.Context, target string) (number, generation uint64, prev Revision, err error) {
	entry, err := e.cfg.Store.Get(ctx, documentKey(target))
	if errors.Is(err, ErrNotFound) {
		return 1, 0, "", nil
	} else if err != nil {
		return 0, 0, "", err
	}
	doc, _, err := decodeDocument(target, entry.Value)
	if err != nil {
		return e.quarantine(ctx, target, entry)
	}
	if !doc.Phase.Terminal() {
		return 0, 0, "", &BusyError{Target: target, Active: doc.ID}
	}
	if err := writeAudit(ctx, e.cfg.Store, doc.Last); err != nil {
		return 0, 0, "", err
	}
	if err := createOnce(ctx, e.cfg.Store, archiveKey(doc.ID), entry.Value); err != nil {
		return 0, 0, "", err
	}
	return doc.Number + 1, doc.Split.Generation, entry.Revision, nil
}

// quarantine keeps a copy of a document that cannot be read. Its number and its
// generation are unknown, so they are passed over with a wide margin.
func (e *Engine) quarantine(ctx context.Context, target string, entry Entry) (number, generation uint64, prev Revision, err error) {
	const margin = 1 << 20
	for a, err := range e.cfg.Store.List(ctx, "audit/"+target+"/") {
		if err != nil {
			return 0, 0, "", err
		}
		n, _, _ := strings.Cut(strings.TrimPrefix(a.Key, "audit/"+target+"/"), "/")
		if n, err := strconv.ParseUint(n, 10, 64); err == nil {
			number = max(number, n)
		}
		var ev Event
		if unmarshalEvent(a.Value, &ev) == nil {
			generation = max(generation, ev.Split.Generation)
		}
	}
	key := fmt.Sprintf("quarantine/%s/%d", target, number)
	if err := createOnce(ctx, e.cfg.Store, key, entry.Value); err != nil {
		return 0, 0, "", err
	}
	e.mu.Lock()
	delete(e.damaged, target)
	e.mu.Unlock()
	return number + 1, generation + margin, entry.Revision, nil
}

// Do carries out a command on a rollout that this engine drives, and returns
// when its outcome is stored and in force: after Abort has returned, no new
// request reaches the candidate. by is recorded. A command that makes no sense
// in the present state is a [*RefusedError].
func (e *Engine) Do(ctx context.Context, id ID, c strategies.Command, by Actor) error {
	if err := context.Cause(e.ctx); err != nil {
		return err
	}
	if by.Name == "" {
		return &InvalidError{Field: "Actor.Name", Value: `""`, Want: "the name of who gives the command"}
	}
	if d := e.driver(id); d != nil {
		return d.command(ctx, c, by)
	}
	st, err := e.Status(ctx, id)
	if err != nil {
		return err
	}
	if st.Phase.Terminal() {
		return &RefusedError{Rollout: id, Command: c, Reason: "the rollout is over: " + st.Phase.String()}
	}
	return fmt.Errorf("rollout: %s is not driven by this engine", id)
}

// current returns the driver of the target's newest rollout, nil if there is
// none.
func (e *Engine) current(target string) *driver {
	e.mu.Lock()
	defer e.mu.Unlock()
	return e.drivers[target]
}

// driver returns the driver of the rollout, nil if it is not the newest of its
// target or not driven here.
func (e *Engine) driver(id ID) *driver {
	if d := e.current(id.Target()); d != nil && d.id == id {
		return d
	}
	return nil
}

// Status tells how a rollout stands. For one that this engine drives the
// judgement is the newest, not the stored one. An unknown id is an error that
// wraps ErrNotFound.
func (e *Engine) Status(ctx context.Context, id ID) (Status, error) {
	if d := e.driver(id); d != nil {
		return d.status(), nil
	}
	e.mu.Lock()
	err := e.damaged[id.Target()]
	e.mu.Unlock()
	if err != nil {
		return Status{}, err
	}
	for _, key := range []string{documentKey(id.Target()), archiveKey(id)} {
		entry, err := e.cfg.Store.Get(ctx, key)
		if errors.Is(err, ErrNotFound) {
			continue
		} else if err != nil {
			return Status{}, err
		}
		doc, _, err := decodeDocument(id.Target(), entry.Value)
		if err != nil {
			return Status{}, err
		}
		if doc.ID == id {
			return doc.status(), nil
		}
	}
	return Status{}, fmt.Errorf("rollout: %q: %w", id, ErrNotFound)
}

// Newest tells how the newest rollout of a target stands, active or not. A
// target that never had one is an error that wraps ErrNotFound.
func (e *Engine) Newest(ctx context.Context, target string) (Status, error) {
	if d := e.current(target); d != nil {
		return d.status(), nil
	}
	entry, err := e.cfg.Store.Get(ctx, documentKey(target))
	if err != nil {
		return Status{}, err
	}
	doc, _, err := decodeDocument(target, entry.Value)
	if err != nil {
		return Status{}, err
	}
	return doc.status(), nil
}

// Events returns the events of a rollout with Seq from and later, as they are
// in the audit trail, and follows it: the iteration ends after the event that
// ends the rollout, when the caller breaks off, or with an error, such as the
// cause of ctx's end. from 0 and 1 are the same.
func (e *Engine) Events(ctx context.Context, id ID, from uint64) iter.Seq2[Event, error] {
	return func(yield func(Event, error) bool) {
		for seq := max(from, 1); ; seq++ {
			ev, err := e.event(ctx, id, seq)
			if err != nil {
				if !errors.Is(err, errNoMore) {
					yield(Event{}, err)
				}
				return
			}
			if !yield(ev, nil) || ev.Kind == Ended {
				return
			}
		}
	}
}

var errNoMore = errors.New("no more events")

// pollEvery bounds how late an event is seen that another process has written.
const pollEvery = 500 * time.Millisecond

// event waits for one event.
func (e *Engine) event(ctx context.Context, id ID, seq uint64) (Event, error) {
	var ev Event
	for {
		changed := e.next()
		entry, err := e.cfg.Store.Get(ctx, auditKey(id, seq))
		if err == nil {
			return ev, unmarshalEvent(entry.Value, &ev)
		} else if !errors.Is(err, ErrNotFound) {
			return ev, err
		}
		st, err := e.Status(ctx, id)
		if err != nil {
			return ev, err
		}
		if st.Phase.Terminal() && seq > st.Seq {
			return ev, errNoMore
		}
		timer := time.NewTimer(pollEvery)
		select {
		case <-changed:
		case <-timer.C:
		case <-ctx.Done():
			err = context.Cause(ctx)
		case <-e.ctx.Done():
			err = context.Cause(e.ctx)
		}
		timer.Stop()
		if err != nil {
			return ev, err
		}
	}
}

// next returns the channel that the next commit closes.
func (e *Engine) next() <-chan struct{} {
	e.mu.Lock()
	defer e.mu.Unlock()
	return e.changed
}

// wake tells those who wait for events that there is a new one.
func (e *Engine) wake() {
	e.mu.Lock()
	defer e.mu.Unlock()
	close(e.changed)
	e.changed = make(chan struct{})
}
