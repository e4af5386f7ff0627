package cluster

import (
	"cmp"
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"slices"
	"sync"
	"time"

	"golang.org/x/sync/errgroup"

	"github.com/serin-go/serin/checks"
	"github.com/serin-go/serin/loadtest"
	"github.com/serin-go/serin/loadtest/pace"
)

// run is one run of a plan on all workers.
type run struct {
	cfg     Config
	plan    loadtest.Plan
	members []*member
	stop    context.CancelCauseFunc
	group   *errgroup.Group // of parts; its first error is a worker's refusal

	mu     sync.Mutex
	parts  []*part
	live   *loadtest.Report // all intervals so far, for the thresholds
	looked time.Time        // of the last evaluation of the thresholds
}

// part is a part of the plan on one worker. Only its own goroutine writes to it
// until the goroutine has ended.
type part struct {
	worker *member
	plan   loadtest.Plan
	share  int // number of the share, from 0
	// takenOver means that the part is the rest of a lost worker's share.
	takenOver bool

	report     *loadtest.Report
	underWay   int           // at the end of the last interval
	lost       error         // why the worker was lost
	after      time.Duration // since the start, when it was lost
	next       *part         // took over the rest
	until      time.Duration // since the start, when next began
	unreported int           // requests in the worker's totals, but in no interval
}

func newRun(cfg Config, p loadtest.Plan, members []*member) *run {
	return &run{cfg: cfg, plan: p, members: members, live: loadtest.NewReport(p, p.Start)}
}

// execute runs the shares of all workers and returns the merged report.
func (r *run) execute(ctx context.Context) (*loadtest.Report, error) {
	working, stop := context.WithCancelCause(ctx)
	defer stop(nil)
	r.stop = stop
	r.group, working = errgroup.WithContext(working) // a refusal ends all parts
	for i, m := range r.members {
		m.lost, m.parts = false, 0
		if p, some := share(r.plan, i, len(r.members)); some {
			r.begin(working, &part{worker: m, plan: p, share: i})
		}
	}
	if err := r.group.Wait(); err != nil {
		return nil, err
	}
	end := time.Since(r.plan.Start)
	return r.conclude(end, ctx.Err() != nil), nil
}

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

// begin starts the goroutine of a part.
func (r *run) begin(ctx context.Context, p *part) {
	r.mu.Lock()
	r.parts = append(r.parts, p)
	p.worker.parts++
	r.mu.Unlock()
	r.group.Go(func() error {
		p.report = loadtest.NewReport(p.plan, r.plan.Start)
		first := true
		sum, err := p.worker.runPart(ctx, rand.Text(), p.plan, func(i *loadtest.Report) {
			if first {
				p.report, first = i, false
			} else {
				p.report.Append(i)
			}
			r.observe(p, i)
		})
		var refused *refusedError
		switch {
		case errors.As(err, &refused) && !p.takenOver:
			return err
		case err != nil:
			r.workerLost(ctx, p, err)
		default:
			p.unreported = sum.Sent + sum.Unsent - p.report.Sent - p.report.Unsent
		}
		return nil
	})
}

// abortEvery has the value of package loadtest.
const abortEvery = 500 * time.Millisecond

// observe adds an interval of a part and evaluates the thresholds.
func (r *run) observe(p *part, i *loadtest.Report) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.live.Merge(i)
	p.underWay, r.live.UnderWay = i.UnderWay, 0
	for _, p := range r.parts {
		r.live.UnderWay += p.underWay
	}
	if r.plan.OnInterval != nil {
		r.plan.OnInterval(i)
	}
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
		r.stop(err)
	}
}

// workerLost handles the loss of the worker of p: another worker takes over the rest.
func (r *run) workerLost(ctx context.Context, p *part, err error) {
	at := time.Since(r.plan.Start)
	p.lost, p.after = err, max(0, at)
	r.cfg.Logger.WarnContext(ctx, "worker lost", "worker", p.worker.url, "after", at, "error", err)
	r.mu.Lock()
	p.worker.lost = true
	successor := r.successor()
	r.mu.Unlock()
	if successor == nil || r.cfg.DeclareMissing || ctx.Err() != nil {
		return
	}
	p.until = max(0, at+takeover)
	if rest, some := p.rest(p.until); some {
		p.next = &part{worker: successor, plan: rest, share: p.share, takenOver: true}
		r.begin(ctx, p.next)
	}
}

// successor returns the remaining worker with the fewest parts, or nil.
func (r *run) successor() *member {
	left := slices.DeleteFunc(slices.Clone(r.members), func(m *member) bool { return m.lost })
	if len(left) == 0 {
		return nil
	}
	return slices.MinFunc(left, func(a, b *member) int { return cmp.Compare(a.parts, b.parts) })
}

// rest returns the plan for the part of p from an instant on, and whether it has any
// requests.
func (p *part) rest(from time.Duration) (loadtest.Plan, bool) {
	rest := p.plan
	if rest.Duration > 0 && from >= rest.Duration {
		return rest, false
	}
	if rest.Pacer != nil {
		rest.Pacer = pace.After(rest.Pacer, from)
		return rest, true
	}
	rest.Start = rest.Start.Add(from)
	rest.WarmUp = max(0, rest.WarmUp-from)
	if rest.Duration > 0 {
		rest.Duration -= from
	}
	if rest.Requests > 0 {
		rest.Requests -= p.report.Sent
		return rest, rest.Requests > 0
	}
	return rest, true
}

// missing returns the number of requests of p whose outcome is unknown, up to the end
// of the run.
func (p *part) missing(end time.Duration) int {
	if p.lost == nil {
		return max(0, p.unreported)
	}
	if p.plan.Pacer == nil {
		if p.next == nil && p.plan.Requests > 0 {
			return max(0, p.plan.Requests-p.report.Sent)
		}
		return 0 // the number of concurrent requests is unknown; see note
	}
	if d := p.plan.Duration; d > 0 {
		end = min(end, d)
	}
	n := 0
	for at := range p.plan.Pacer.Arrivals() {
		if at > end || p.next != nil && at >= p.until {
			break
		}
		n++
	}
	return max(0, n-p.report.Sent-p.report.Unsent)
}

// conclude returns the merged report of all parts.
func (r *run) conclude(end time.Duration, interrupted bool) *loadtest.Report {
	out := loadtest.NewReport(r.plan, r.plan.Start)
	for _, p := range r.parts {
		missing := p.missing(end)
		out.Merge(p.report)
		out.Missing += missing
		out.Interrupted = out.Interrupted || p.lost != nil && p.next == nil && missing > 0
		out.Notes = append(out.Notes, p.note(missing, len(r.members)))
	}
	out.Interrupted = out.Interrupted || interrupted || r.live.Aborted != ""
	out.Aborted = r.live.Aborted
	out.Judge(r.plan.Thresholds...)
	return out
}

// note describes a part for [loadtest.Report].Notes.
func (p *part) note(missing, of int) string {
	text := fmt.Sprintf("worker %s, clock off by %v +- %v, sent %d requests of share %d of %d", p.worker.url,
		p.worker.offset.Round(time.Microsecond), p.worker.within.Round(time.Microsecond), p.report.Sent, p.share+1, of)
	if p.lost != nil {
		text += fmt.Sprintf("; LOST %v after the start (%v), %d requests missing", p.after.Round(time.Millisecond), p.lost, missing)
		if p.plan.Pacer == nil && p.plan.Requests == 0 {
			text += fmt.Sprintf(" and up to %d that were in flight", p.plan.Users)
		}
		if p.next != nil {
			text += fmt.Sprintf("; %s took over the rest from %v on", p.next.worker.url, p.until.Round(time.Millisecond))
		}
	} else if missing > 0 {
		text += fmt.Sprintf("; its reports lack %d requests of its totals", missing)
	}
	return text
}
