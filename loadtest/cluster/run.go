package cluster

import (
	"cmp"
	"context"
	"errors"
	"slices"
	"sync"
	"time"

	"github.com/serin-go/serin/checks"
	"github.com/serin-go/serin/loadtest"
	"github.com/serin-go/serin/loadtest/pace"
)

// run is one run of a plan on all workers.
type run struct {
	cfg     Config
	plan    loadtest.Plan
	asked   context.Context // of the caller; its end interrupts the run
	ctx     context.Context // ends with asked, at a refusal and at a breach
	end     context.CancelCauseFunc
	began   chan struct{} // closed when the shares have begun
	idle    chan struct{} // closed when all parts have ended
	reports sync.Mutex    // held while OnInterval is called

	mu      sync.Mutex
	members []*member
	shares  int // at the start
	parts   []*part
	running int              // parts, and what may begin parts
	err     error            // the first refusal
	live    *loadtest.Report // all intervals so far, for the thresholds
	looked  time.Time        // of the last evaluation of the thresholds
}

func newRun(ctx context.Context, cfg Config, p loadtest.Plan) *run {
	r := &run{cfg: cfg, plan: p, asked: ctx, running: 1, began: make(chan struct{}), idle: make(chan struct{})}
	r.ctx, r.end = context.WithCancelCause(ctx)
	return r
}

// execute runs the shares of all workers and returns the merged report.
func (r *run) execute(members []*member) (*loadtest.Report, error) {
	r.plan.Start = time.Now().Add(r.cfg.Lead)
	r.live = loadtest.NewReport(r.plan, r.plan.Start)
	r.members, r.shares = members, len(members)
	tracking, stop := context.WithCancel(r.ctx)
	var tracked sync.WaitGroup
	for i, m := range members {
		tracked.Go(func() { m.trackClock(tracking) })
		if p, some := share(r.plan, i, len(members)); some {
			r.begin(&part{worker: m, plan: p, share: i})
		}
	}
	close(r.began)
	r.release(nil)
	<-r.idle
	stop()
	tracked.Wait()
	if r.err != nil {
		return nil, r.err
	}
	return r.conclude(time.Since(r.plan.Start), r.asked.Err() != nil), nil
}

// hold keeps the run from ending until release is called. It returns false if the run has
// ended.
func (r *run) hold() bool {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.running == 0 {
		return false
	}
	r.running++
	return true
}

// release ends a hold. An error ends the run.
func (r *run) release(err error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if err != nil && r.err == nil {
		r.err = err
		r.end(err)
	}
	if r.running--; r.running == 0 {
		close(r.idle)
	}
}

// since returns the time since the start, which is negative before it.
func (r *run) since() time.Duration { return time.Since(r.plan.Start) }

// share returns share i of n of a plan and whether it has any requests. Thresholds
// apply to the whole only.
func share(p loadtest.Plan, i, n int) (loadtest.Plan, bool) {
	p.Thresholds, p.AbortOnBreach, p.OnInterval = nil, false, nil
	portion := func(whole int) int {
		if i < whole%n {
			return whole/n + 1
		}
		return whole / n
	}
	if p.Pacer == nil { // closed loop
		none := p.Requests > 0 && portion(p.Requests) == 0
		p.Users, p.Requests = portion(p.Users), portion(p.Requests)
		return p, p.Users > 0 && !none
	}
	if p.Requests > 0 {
		p.Pacer, p.Requests = pace.First(p.Pacer, p.Requests), 0
	}
	p.Pacer = pace.Shard(p.Pacer, i, n)
	if p.Users > 0 {
		p.Users = max(1, portion(p.Users))
	}
	return p, true
}

// begin starts the goroutine of a part. The caller has a hold.
func (r *run) begin(p *part) {
	p.init(r.plan.Start)
	r.mu.Lock()
	r.parts = append(r.parts, p)
	p.worker.parts++
	r.running++
	r.mu.Unlock()
	go func() { r.release(r.work(p)) }()
}

// work runs a part on its worker. It returns an error if the worker refuses a share at
// the start.
func (r *run) work(p *part) error {
	call, end := context.WithCancelCause(context.WithoutCancel(r.ctx))
	defer end(nil)
	hangUp := func(err error) {
		end(err)
		if p.worker.close != nil {
			p.worker.close() // the end of a request would wait until it can be sent
		}
	}
	defer context.AfterFunc(p.abandoned, func() { hangUp(context.Cause(p.abandoned)) })()
	sum, err := p.worker.runPart(r.ctx, call, hangUp, p.id, p.plan, observer{
		accepted: p.accept,
		leaving:  func() { r.leaving(p) },
		interval: func(i *loadtest.Report) { r.observe(p, i) },
	})
	p.accept() // so that no one waits
	var refused *refusedError
	switch {
	case errors.As(err, &refused) && !p.later:
		return err
	case err != nil:
		r.workerLost(p, err)
		return nil
	}
	r.mu.Lock()
	p.ended = true
	p.unreported = sum.Sent + sum.Unsent - p.report.Sent - p.report.Unsent
	left := p.left
	r.mu.Unlock()
	if left && p.plan.Pacer == nil && r.ctx.Err() == nil { // a closed loop, whose rest is now known
		at := max(0, r.since())
		if rest, some := p.rest(at); some {
			r.handOver(p, rest, at)
		}
	}
	return nil
}

// abortEvery has the value of package loadtest.
const abortEvery = 500 * time.Millisecond

// observe adds an interval of a part and evaluates the thresholds.
func (r *run) observe(p *part, i *loadtest.Report) {
	r.mu.Lock()
	p.add(i)
	r.live.Merge(i)
	r.live.UnderWay = 0
	for _, p := range r.parts {
		r.live.UnderWay += p.underWay
	}
	r.mu.Unlock()
	if r.plan.OnInterval != nil {
		r.reports.Lock()
		r.plan.OnInterval(i)
		r.reports.Unlock()
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	if !r.plan.AbortOnBreach || time.Since(r.looked) < abortEvery || r.live.Aborted != "" {
		return
	}
	r.looked = time.Now()
	r.live.Judge(r.plan.Thresholds...)
	var breached []loadtest.Judged
	for _, j := range r.live.Judged {
		if j.Result.Status == checks.Fail {
			breached = append(breached, j)
		}
	}
	if len(breached) > 0 {
		err := &loadtest.BreachError{Breached: breached}
		r.live.Aborted = err.Error()
		r.end(err)
	}
}

// workerLost handles the loss of the worker of p: another worker takes over the rest.
func (r *run) workerLost(p *part, err error) {
	at := r.since()
	r.mu.Lock()
	p.lost, p.after, p.ended = err, max(0, at), true
	p.worker.lost = true
	taken := p.next != nil
	r.mu.Unlock()
	r.cfg.Logger.WarnContext(r.ctx, "worker lost", "worker", p.worker.name, "after", at, "error", err)
	if r.cfg.DeclareMissing || taken || r.ctx.Err() != nil {
		return
	}
	from := max(0, at+takeover)
	if rest, some := p.rest(from); some {
		r.handOver(p, rest, from)
	}
}

// handOver begins the rest of a part that has ended, from an instant on, on another
// worker. Without one, the rest is missing until a worker joins.
func (r *run) handOver(p *part, rest loadtest.Plan, from time.Duration) {
	r.mu.Lock()
	successor := r.successor()
	if successor != nil {
		p.next, p.until = &part{worker: successor, plan: rest, share: p.share, later: true}, from
	}
	r.mu.Unlock()
	if successor != nil {
		r.begin(p.next)
	}
}

// successor returns the available worker with the fewest parts, or nil. The caller holds
// r.mu.
func (r *run) successor() *member {
	left := slices.DeleteFunc(slices.Clone(r.members), func(m *member) bool { return !m.available() })
	if len(left) == 0 {
		return nil
	}
	return slices.MinFunc(left, func(a, b *member) int { return cmp.Compare(a.parts, b.parts) })
}

// available reports whether a part can begin on the worker. The caller holds the lock of
// the run.
func (m *member) available() bool { return !m.lost && !m.leaving && !m.left() }

// leaving hands the rest of p, whose worker wants to leave, to another worker.
func (r *run) leaving(p *part) {
	if !r.hold() {
		return
	}
	r.mu.Lock()
	first := !p.worker.leaving
	p.worker.leaving = true
	successor := r.successor()
	p.left, p.after = true, max(0, r.since())
	closed := p.plan.Pacer == nil
	r.mu.Unlock()
	if first {
		r.cfg.Logger.InfoContext(r.ctx, "worker leaves", "worker", p.worker.name, "after", p.after)
	}
	go func() {
		defer r.release(nil)
		from := max(0, r.since()+takeover)
		if closed || successor == nil {
			p.drop(r, from)
			return
		}
		next := &part{worker: successor, plan: p.plan, share: p.share, later: true}
		if p.give(r, giveRequest{From: from, Of: 1}, next) != nil {
			r.begin(next)
		}
	}()
}

// join gives a worker that has joined during the run its share of the rest: of n workers,
// each gives up one n-th of what it has. It also takes over what no worker was left for.
// The users of closed loops stay where they are; in such a run, the worker takes over
// the shares of workers that leave or are lost.
func (r *run) join(p *peer) {
	select {
	case <-r.began:
	case <-r.ctx.Done():
		return
	}
	if !r.hold() {
		return
	}
	defer r.release(nil)
	m := &member{peer: p, silence: r.cfg.Silence}
	if err := m.readClock(r.ctx); err != nil {
		r.cfg.Logger.WarnContext(r.ctx, "worker lost", "worker", p.name, "error", err)
		return
	}
	from := max(0, r.since()+takeover)
	r.mu.Lock()
	if len(r.members)-r.shares >= maxJoined { // each of them divides the shares once more
		r.mu.Unlock()
		r.cfg.Logger.WarnContext(r.ctx, "worker not used in this run", "worker", p.name, "joined", maxJoined)
		return
	}
	r.members = append(r.members, m)
	n := 0
	for _, m := range r.members {
		if m.available() {
			n++
		}
	}
	parts := slices.Clone(r.parts)
	r.mu.Unlock()

	given := make([]pace.Pacer, len(parts))
	var wait sync.WaitGroup
	for i, p := range parts {
		wait.Go(func() {
			if given[i] = p.adopt(r, m, from); given[i] == nil && p.plan.Pacer != nil && n > 1 {
				given[i] = p.give(r, giveRequest{From: from, Part: i % n, Of: n}, nil) // not the same one of all
			}
		})
	}
	wait.Wait()
	given = slices.DeleteFunc(given, func(p pace.Pacer) bool { return p == nil })
	if len(given) == 0 {
		return
	}
	plan, _ := share(r.plan, 0, n)
	plan.Pacer, plan.Requests = pace.Merge(given...), 0
	r.begin(&part{worker: m, plan: plan, share: -1, joined: from, later: true})
}
