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

	"github.com/serin-go/serin/checks"
	"github.com/serin-go/serin/loadtest"
	"github.com/serin-go/serin/loadtest/pace"
)

// run is one plan on its way through all workers.
type run struct {
	cfg     Config
	plan    loadtest.Plan
	members []*member
	stop    context.CancelCauseFunc
	wait    sync.WaitGroup

	mu     sync.Mutex
	parts  []*part
	live   *loadtest.Report // all intervals so far, to judge by
	looked time.Time        // when the thresholds were last looked at
	failed error            // a worker refused: the whole cannot be
}

// part is what one worker was asked to carry out. Only its own goroutine writes
// to it, until that has ended.
type part struct {
	worker *member
	plan   loadtest.Plan
	share  int // of the whole plan, from 0
	// It is the rest of the share of a worker that was lost.
	inherited bool

	report *loadtest.Report
	lost   error // why it ended in the middle
	after  time.Duration
	next   *part         // took over what was left
	until  time.Duration // when it did
	amiss  int           // requests that the worker has sent and not reported
}

func newRun(cfg Config, p loadtest.Plan, members []*member) *run {
	return &run{cfg: cfg, plan: p, members: members, live: loadtest.NewReport(p, p.Start)}
}

// carryOut gives each worker its share and waits for all of them.
func (r *run) carryOut(ctx context.Context) (*loadtest.Report, error) {
	working, stop := context.WithCancelCause(ctx)
	defer stop(nil)
	r.stop = stop
	for i, m := range r.members {
		m.lost, m.parts = false, 0
		if p, some := share(r.plan, i, len(r.members)); some {
			r.begin(working, &part{worker: m, plan: p, share: i})
		}
	}
	r.wait.Wait()
	if r.failed != nil {
		return nil, r.failed
	}
	end := time.Since(r.plan.Start)
	return r.conclude(end, ctx.Err() != nil), nil
}

// share returns part i of n of a plan, and whether there is anything in it.
// Thresholds are no matter of parts.
func share(p loadtest.Plan, i, n int) (loadtest.Plan, bool) {
	p.Thresholds, p.AbortOnBreach, p.OnInterval = nil, false, nil
	portion := func(whole int) int {
		if i < whole%n {
			return whole/n + 1
		}
		return whole / n
	}
	if p.Pacer == nil { // a closed loop
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
	r.wait.Go(func() {
		p.report = loadtest.NewReport(p.plan, r.plan.Start)
		first := true
		sum, err := p.worker.follow(ctx, rand.Text(), p.plan, func(i *loadtest.Report) {
			if first {
				p.report, first = i, false
			} else {
				p.report.Append(i)
			}
			r.observe(i)
		})
		var refused *refusedError
		switch {
		case errors.As(err, &refused) && !p.inherited:
			r.refuse(err)
		case err != nil:
			r.lose(ctx, p, err)
		default:
			p.amiss = sum.Sent + sum.Unsent - p.report.Sent - p.report.Unsent
		}
	})
}

// refuse ends the run: what one worker will not do, none will.
func (r *run) refuse(err error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.failed = errors.Join(r.failed, err)
	r.stop(err)
}

// abortAfter and abortEvery are those of loadtest.
const (
	abortAfter = 50
	abortEvery = 500 * time.Millisecond
)

// observe takes in an interval of any worker.
func (r *run) observe(i *loadtest.Report) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.live.Merge(i)
	if r.plan.OnInterval != nil {
		r.plan.OnInterval(i)
	}
	if !r.plan.AbortOnBreach || r.live.Sent < abortAfter || time.Since(r.looked) < abortEvery || r.live.Aborted != "" {
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

// lose deals with the loss of the worker of a part.
func (r *run) lose(ctx context.Context, p *part, err error) {
	at := time.Since(r.plan.Start)
	p.lost, p.after = err, max(0, at)
	r.cfg.Logger.WarnContext(ctx, "a worker was lost", "worker", p.worker.url, "after", at, "error", err)
	r.mu.Lock()
	p.worker.lost = true
	heir := r.heir()
	r.mu.Unlock()
	if heir == nil || r.cfg.DeclareMissing || ctx.Err() != nil {
		return
	}
	p.until = max(0, at+takeover)
	if rest, some := p.rest(p.until); some {
		p.next = &part{worker: heir, plan: rest, share: p.share, inherited: true}
		r.begin(ctx, p.next)
	}
}

// heir returns the worker that has the fewest parts of those that are left.
func (r *run) heir() *member {
	left := slices.DeleteFunc(slices.Clone(r.members), func(m *member) bool { return m.lost })
	if len(left) == 0 {
		return nil
	}
	return slices.MinFunc(left, func(a, b *member) int { return cmp.Compare(a.parts, b.parts) })
}

// rest returns the plan of what is left of p from an instant on.
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

// missing counts the requests of a lost part of which nothing is known, up to
// the end of the run.
func (p *part) missing(end time.Duration) int {
	if p.lost == nil {
		return max(0, p.amiss)
	}
	if p.plan.Pacer == nil {
		if p.next == nil && p.plan.Requests > 0 {
			return max(0, p.plan.Requests-p.report.Sent)
		}
		return 0 // how many were under way is not known; the note says so
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

// conclude merges the parts.
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

// note tells of one part in a sentence.
func (p *part) note(missing, of int) string {
	text := fmt.Sprintf("worker %s, clock off by %v +- %v, sent %d requests of share %d of %d", p.worker.url,
		p.worker.offset.Round(time.Microsecond), p.worker.within.Round(time.Microsecond), p.report.Sent, p.share+1, of)
	if p.lost != nil {
		text += fmt.Sprintf("; it was LOST %v after the start (%v), and %d requests are missing", p.after.Round(time.Millisecond), p.lost, missing)
		if p.plan.Pacer == nil && p.plan.Requests == 0 {
			text += fmt.Sprintf(" besides up to %d that were under way", p.plan.Users)
		}
		if p.next != nil {
			text += fmt.Sprintf("; %s took over the rest from %v on", p.next.worker.url, p.until.Round(time.Millisecond))
		}
	} else if missing > 0 {
		text += fmt.Sprintf("; its reports lack %d requests that it says it sent", missing)
	}
	return text
}
