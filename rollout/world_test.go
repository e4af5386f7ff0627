package rollout

import (
	"context"
	"errors"
	"fmt"
	"iter"
	"maps"
	"math/rand/v2"
	"slices"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/serin-go/serin/checks"
	"github.com/serin-go/serin/checks/analysis"
	"github.com/serin-go/serin/strategies"
	"github.com/serin-go/serin/versioning"
)

// world is a simulated data centre in virtual time: one store, several
// processes that share it, users, people who give commands, and faults. All
// chance comes from one seed. What it checks is in laws_test.go.
type world struct {
	anarchy bool
	cfg     Config // what all processes have in common

	mu      sync.Mutex
	rng     *rand.Rand
	calm    bool // no more faults
	data    map[string]Entry
	rev     int
	alive   map[string]*process
	names   int
	acts    []act // commands that were acknowledged
	told    map[string]int
	traits  traits
	history // what the laws look at
}

// traits are what some worlds have and others have not.
type traits struct{ gates, freezes, standing, planes, keys bool }

// act is a command that was acknowledged to somebody.
type act struct {
	id  ID
	cmd strategies.Command
	by  string
}

func newWorld(seed uint64, anarchy bool) *world {
	w := &world{
		anarchy: anarchy, rng: rand.New(rand.NewPCG(seed, 7)),
		data: make(map[string]Entry), alive: make(map[string]*process), told: make(map[string]int),
	}
	w.history.init()
	pass := func(ctx context.Context) checks.Result {
		select {
		case <-time.After(w.between(0, 2*time.Second)):
			return checks.Result{Status: checks.Pass}
		case <-ctx.Done():
			return checks.Result{}
		}
	}
	trait := func() bool { return w.rng.IntN(4) == 0 }
	w.traits = traits{gates: trait(), freezes: trait(), standing: trait(), planes: trait(), keys: trait()}
	wobbly := func(context.Context) checks.Result {
		if w.chance(0.03) {
			return checks.Result{Status: checks.Fail, Summary: "expired"}
		}
		return checks.Result{Status: checks.Pass}
	}
	w.cfg = Config{
		Checks: map[string]checks.Check{"slow": checks.Func(pass), "wobbly": checks.Func(wobbly)},
		Tick:   time.Second, Checkpoint: 4 * time.Second,
		Lease: 3 * time.Second, Poll: 500 * time.Millisecond, Validity: 2 * time.Second,
	}
	return w
}

// chance is true with probability p while there are faults.
func (w *world) chance(p float64) bool {
	w.mu.Lock()
	defer w.mu.Unlock()
	return !w.calm && w.rng.Float64() < p
}

func (w *world) between(lo, hi time.Duration) time.Duration {
	w.mu.Lock()
	defer w.mu.Unlock()
	return lo + time.Duration(w.rng.Int64N(int64(hi-lo)))
}

func (w *world) intn(n int) int {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.rng.IntN(n)
}

// some returns one of the processes that live, nil if none does.
func (w *world) some() *process {
	w.mu.Lock()
	defer w.mu.Unlock()
	names := slices.Sorted(maps.Keys(w.alive))
	if len(names) == 0 {
		return nil
	}
	return w.alive[names[w.rng.IntN(len(names))]]
}

// process is one process of the simulated service: an engine and a router.
type process struct {
	*world
	name   string
	engine *Engine
	dead   chan struct{}
	target *simTarget
	// aborted holds the rollouts of which an abort was asked for here, and was neither
	// refused nor lost to a conflict. Guarded by world.mu.
	aborted map[ID]bool
	harmed  time.Time // when harm was known here, guarded by world.mu

	pm      sync.Mutex
	cut     time.Time                           // until when it cannot reach the store
	frozen  time.Time                           // until when it does nothing at all
	skew    time.Duration                       // how far its clock is off
	crashIn int                                 // store operations left until it crashes; 0 is never
	doomed  bool                                // it is going to crash, and will be started again
	after   bool                                // it crashes after the operation was applied, not before
	ill     func(op, key string, size int) bool // which operations fail until then
	illFor  time.Time
	// Until when its router takes no splits, and whether it hangs or refuses.
	planeIll   time.Time
	planeHangs bool
}

// blocked reports whether the router takes no splits, or has not had the time since to
// take the one that is due.
func (p *process) blocked() bool {
	p.pm.Lock()
	defer p.pm.Unlock()
	return time.Since(p.planeIll) < 3*time.Second
}

// illnesses are ways in which a store fails for one process, by operation, by key and by
// size.
var illnesses = []func(op, key string, size int) bool{
	func(op, _ string, _ int) bool { return op == "put" },
	func(op, key string, _ int) bool { return op == "put" && strings.HasPrefix(key, "audit/") },
	func(op, key string, _ int) bool { return op == "put" && strings.HasPrefix(key, "rollout/") },
	func(op, key string, _ int) bool { return op == "put" && strings.HasPrefix(key, "evidence/") },
	func(op, _ string, _ int) bool { return op == "delete" },
	func(op, _ string, _ int) bool { return op == "list" },
	func(_, _ string, size int) bool { return size > 6<<10 },
}

// sick reports whether the store fails this operation.
func (p *process) sick(op, key string, size int) bool {
	p.pm.Lock()
	defer p.pm.Unlock()
	return p.ill != nil && time.Now().Before(p.illFor) && p.ill(op, key, size)
}

var (
	errCrashed = errors.New("the process has crashed")
	errNetwork = errors.New("connection reset")
)

// boot starts a process; it serves until it crashes.
func (w *world) boot(ctx context.Context, name string) (*process, error) {
	p := &process{world: w, name: name, dead: make(chan struct{}), aborted: make(map[ID]bool)}
	p.target = &simTarget{p: p}
	cfg := w.cfg
	cfg.Replica, cfg.Store = name, p
	cfg.Targets = map[string]Splitter{"chat": p.target}
	cfg.Sinks = map[string]Sink{"pager": SinkFunc(p.notify)}
	cfg.wall = p.wall
	e, err := Open(ctx, cfg)
	if err != nil {
		return nil, err
	}
	w.mu.Lock()
	p.engine = e
	w.alive[name] = p
	w.mu.Unlock()
	go p.target.serve()
	return p, nil
}

// wall is the time of day as the process has it: wrong, and without a monotonic
// clock that would correct differences.
func (p *process) wall() time.Time {
	p.thaw() // what is frozen does nothing, also between operations
	return p.clock()
}

// clock is wall for callers that must not wait.
func (p *process) clock() time.Time {
	p.pm.Lock()
	defer p.pm.Unlock()
	return time.Now().Round(0).Add(p.skew)
}

// thaw returns when the process is not frozen.
func (p *process) thaw() {
	p.pm.Lock()
	frozen := time.Until(p.frozen)
	p.pm.Unlock()
	time.Sleep(frozen)
}

// crash ends the process: from now on it reaches nothing and nobody hears of it.
func (p *process) crash() {
	p.mu.Lock()
	defer p.mu.Unlock()
	select {
	case <-p.dead:
	default:
		close(p.dead)
		delete(p.alive, p.name)
	}
}

func (p *process) isDead() bool {
	select {
	case <-p.dead:
		return true
	default:
		return false
	}
}

// notify is a pager that is often out of order.
func (p *process) notify(ctx context.Context, ev Event) error {
	if p.isDead() || p.chance(0.2) {
		return errNetwork
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	p.told[ev.Key()]++
	if !p.committed(ev) {
		p.broken("15: the pager was told of %s, which was not committed", ev)
	}
	return nil
}

// operation is one operation on the store as the network treats it.
func (p *process) operation(ctx context.Context, apply func()) error {
	p.thaw()
	defer p.thaw()
	if !pause(ctx, p.between(time.Millisecond, 10*time.Millisecond)) {
		return ctx.Err()
	}
	p.thaw()
	p.pm.Lock()
	cut := p.cut
	crash := false
	if p.crashIn > 0 {
		p.crashIn--
		crash = p.crashIn == 0
	}
	after := p.after
	p.pm.Unlock()
	if crash {
		if after && !p.isDead() {
			p.locked(apply)
		}
		p.crash()
	}
	switch {
	case p.isDead():
		return errCrashed
	case time.Now().Before(cut):
		pause(ctx, time.Until(cut))
		return errors.Join(errNetwork, ctx.Err())
	case p.chance(0.01):
		return errNetwork // the request was lost
	case p.chance(0.01):
		p.locked(apply)
		return errNetwork // the answer was lost
	case p.chance(0.005):
		// The answer does not come, and the request arrives late, if at all.
		late := p.between(time.Second, 8*time.Second)
		go func() {
			time.Sleep(late)
			p.locked(apply)
		}()
		pause(ctx, late/2)
		return errNetwork
	}
	p.locked(apply)
	return nil
}

func (p *process) locked(f func()) {
	p.mu.Lock()
	defer p.mu.Unlock()
	f()
}

func pause(ctx context.Context, d time.Duration) bool {
	select {
	case <-time.After(d):
		return true
	case <-ctx.Done():
		return false
	}
}

// Get implements Store.
func (p *process) Get(ctx context.Context, key string) (Entry, error) {
	// What is returned is not what apply writes to: it may run late.
	var e Entry
	there := false
	if p.sick("get", key, 0) {
		return Entry{}, errNetwork
	}
	if err := p.operation(ctx, func() { e, there = p.data[key] }); err != nil {
		return Entry{}, err
	}
	if !there {
		return Entry{}, ErrNotFound
	}
	return e, nil
}

// Put implements Store.
func (p *process) Put(ctx context.Context, key string, value []byte, prev Revision) (Revision, error) {
	var rev Revision
	conflict := false
	if p.sick("put", key, len(value)) {
		return "", errNetwork
	}
	err := p.operation(ctx, func() {
		if p.data[key].Revision != prev {
			conflict = true
			return
		}
		p.rev++
		rev = Revision(strconv.Itoa(p.rev))
		p.data[key] = Entry{Key: key, Value: slices.Clone(value), Revision: rev}
		p.wrote(key, value)
	})
	switch {
	case err != nil:
		return "", err
	case conflict:
		return "", ErrConflict
	}
	return rev, nil
}

// Delete implements Store.
func (p *process) Delete(ctx context.Context, key string, prev Revision) error {
	conflict := false
	if p.sick("delete", key, 0) {
		return errNetwork
	}
	err := p.operation(ctx, func() {
		if conflict = prev == "" || p.data[key].Revision != prev; !conflict {
			p.removed(key)
			delete(p.data, key)
		}
	})
	switch {
	case err != nil:
		return err
	case conflict:
		return ErrConflict
	}
	return nil
}

// Watch implements Store: there are no hints, and everything is polled for.
func (p *process) Watch(context.Context, string) (<-chan struct{}, error) { return nil, nil }

// List implements Store.
func (p *process) List(ctx context.Context, prefix string) iter.Seq2[Entry, error] {
	return func(yield func(Entry, error) bool) {
		var found []Entry
		if p.sick("list", prefix, 0) {
			yield(Entry{}, errNetwork)
			return
		}
		err := p.operation(ctx, func() {
			for _, key := range slices.Sorted(maps.Keys(p.data)) {
				if strings.HasPrefix(key, prefix) {
					found = append(found, p.data[key])
				}
			}
		})
		if err != nil {
			yield(Entry{}, err)
			return
		}
		for _, e := range found {
			if !yield(e, nil) {
				return
			}
		}
	}
}

// Close implements Store.
func (p *process) Close() error { return nil }

// simTarget is the router of one process, with users behind it.
type simTarget struct {
	p      *process
	split  atomic.Pointer[strategies.Split]
	expiry atomic.Pointer[time.Time]
	rec    atomic.Pointer[analysis.Recorder]
}

func (t *simTarget) SetSplit(_ context.Context, s strategies.Split) error {
	t.p.thaw()
	t.p.pm.Lock()
	ill, hangs := time.Until(t.p.planeIll), t.p.planeHangs
	t.p.pm.Unlock()
	switch {
	case ill > 0 && hangs:
		time.Sleep(ill)
	case ill > 0:
		return errNetwork
	}
	if old := t.split.Load(); old == nil || s.Generation >= old.Generation {
		t.split.Store(&s)
	}
	return nil
}

func (t *simTarget) Expire(at time.Time) { t.expiry.Store(&at) }

func (t *simTarget) Measure(r *analysis.Recorder) { t.rec.Store(r) }

// knows checks that a process which drives, and has known of harm for longer than a
// tick, serves by the candidate no more. world.mu is held.
func (p *process) knows(arm string, split strategies.Split) {
	if p.engine == nil {
		return
	}
	d := p.engine.current("chat")
	if d == nil {
		return
	}
	v := d.view.Load()
	switch {
	case !v.leader || v.judgement.Verdict != analysis.Harmed || v.doc.Phase.Terminal():
		p.harmed = time.Time{}
	case p.harmed.IsZero():
		p.harmed = time.Now()
	case time.Since(p.harmed) > p.cfg.Tick && split.Salt == string(d.id) && arm != split.Baseline():
		p.broken("the way back: %s serves by %s of %s, %v after it knew of harm", p.name, arm, d.id, time.Since(p.harmed))
	}
}

// serve serves a request every 200 ms until the process dies.
func (t *simTarget) serve() {
	for {
		select {
		case <-t.p.dead:
			return
		case <-time.After(200 * time.Millisecond):
		}
		t.p.thaw()
		t.request()
	}
}

func (t *simTarget) request() {
	split := t.split.Load()
	if split == nil {
		return
	}
	expiry := t.expiry.Load()
	stale := expiry != nil && !expiry.IsZero() && !time.Now().Before(*expiry)
	w := t.p.world
	w.mu.Lock()
	defer w.mu.Unlock()
	arm := split.Arms[split.Slots()[w.rng.IntN(int(strategies.Full))]].Name
	if stale {
		arm = split.Baseline()
	}
	if !t.p.blocked() { // what a router does not take it does not serve by
		w.served(t.p.name, arm, *split)
		if id := ID(split.Salt); t.p.aborted[id] && arm != split.Baseline() && !w.promoted[split.Generation] {
			w.broken("the way back: %s serves by %s of %s, which was aborted there", t.p.name, arm, id)
		}
		t.p.knows(arm, *split)
	}
	rec := t.rec.Load()
	if rec == nil || stale {
		return
	}
	o := analysis.Observation{Class: analysis.OK, At: t.p.clock(), Arm: arm, Generation: split.Generation, TTFT: 200 * time.Millisecond, Latency: time.Second}
	if bad[arm] && w.rng.Float64() < 0.6 {
		o.Class = analysis.Error
	}
	rec.Record(o)
}

// bad are the versions that fail most of their requests.
var bad = map[string]bool{"1.6.0": true}

// release returns the n-th release that is rolled out.
func simRelease(n int) versioning.Release {
	return versioning.Release{Version: versioning.MustParse(fmt.Sprintf("1.%d.0", 4+n))}
}

// simPlan rolls candidate out in place of baseline. The last stage wants the approval of
// another person than the one who has started it; in some worlds the second one too. In
// some there is a freeze, and a check that must hold all the time and sometimes does not.
func (w *world) simPlan(baseline, candidate int) Plan {
	canary := strategies.Canary{
		Weights: []strategies.Weight{1000, 5000}, Bake: 4 * time.Second, Limit: 20 * time.Second, MinSamples: 5,
		OnLimit: strategies.ActionRollBack, OnNoEvidence: strategies.ActionRollBack,
		DangerouslyPromoteUnproven: true, Approve: &strategies.Approval{FourEyes: true, Timeout: 30 * time.Second},
		Before: []string{"slow"},
	}
	p := Plan{
		Target: "chat", Baseline: simRelease(baseline), Candidate: simRelease(candidate), Strategy: canary,
		Preflight: []string{"slow"}, Postflight: []string{"slow"}, Monitor: 4 * time.Second, Holdback: 1000,
		// One metric will do, and is cheap. What a crash leaves of stages of four seconds must
		// be enough to find a version that fails: so what counts need not persist for long.
		Analysis: analysis.Plan{Metrics: []analysis.Metric{analysis.ErrorRate()}, Persist: time.Second / 2},
		RampDown: strategies.RampSteps(5000, 3, 2*time.Second), Supersede: w.intn(4) == 0,
	}
	if w.traits.gates {
		stages, err := canary.Stages(p.Baseline.Arm(), p.Candidate.Arm())
		if err != nil {
			panic(err)
		}
		stages[1].Approve = &strategies.Approval{FourEyes: true, Timeout: 20 * time.Second, OnTimeout: strategies.ActionRollBack}
		p.Stages = stages
	}
	if w.traits.freezes {
		from := time.Now().Add(w.between(0, 15*time.Second))
		p.Freezes = []Freeze{{From: from, To: from.Add(w.between(time.Second, 10*time.Second)), Reason: "weekend"}}
	}
	if w.traits.standing {
		p.Standing = []Standing{{Check: "wobbly", Every: time.Second, Grace: 10 * time.Second, OnFail: pickOne(w, strategies.ActionHold, strategies.ActionEscalate, strategies.ActionRollBack)}}
	}
	return p
}
