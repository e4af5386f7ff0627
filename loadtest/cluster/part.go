package cluster

import (
	"context"
	"crypto/rand"
	"sync"
	"time"

	"github.com/serin-go/serin/loadtest"
	"github.com/serin-go/serin/loadtest/pace"
)

// part is a part of the plan on one worker. The run's lock guards what changes.
type part struct {
	worker *member
	id     string        // of the run on the worker
	plan   loadtest.Plan // as it began
	share  int           // number of the share at the start, or negative for what a late worker was given
	joined time.Duration // since the start, when a late worker began
	later  bool          // the part began during the run

	accepted  chan struct{} // closed when the worker runs the part, or does not
	accept    func()
	abandoned context.Context // its end hangs up
	abandon   context.CancelCauseFunc
	giving    sync.Mutex // held while the worker is asked to give up a share

	schedule   pace.Pacer // what is left of the plan's schedule; nil in a closed loop
	report     *loadtest.Report
	first      bool          // report has an interval
	underWay   int           // at the end of the last interval
	ended      bool          // all is reported, or the worker is lost
	lost       error         // why the worker was lost
	left       bool          // the worker has asked to leave
	dropped    bool          // the worker has left when there was no other one
	dropAt     time.Duration // since the start, when it sent no more
	after      time.Duration // since the start, when it was lost or asked to leave
	next       *part         // took over the rest
	until      time.Duration // since the start, when next began
	unreported int           // requests in the worker's totals, but in no interval
}

// init prepares a part that is about to begin.
func (p *part) init(start time.Time) {
	p.id, p.schedule = rand.Text(), p.plan.Pacer
	p.report = loadtest.NewReport(p.plan, start)
	p.accepted = make(chan struct{})
	p.accept = sync.OnceFunc(func() { close(p.accepted) })
	p.abandoned, p.abandon = context.WithCancelCause(context.Background())
}

// add adds an interval. The caller holds the lock of the run.
func (p *part) add(i *loadtest.Report) {
	if p.first {
		p.report.Append(i)
	} else {
		p.report, p.first = i, true
	}
	p.underWay = i.UnderWay
}

// give makes the worker give up a share of what is due from an instant on, which next
// takes over if it is not nil. It returns the share, or nil if there is nothing to give. A
// worker that does not answer is lost, since it is not known what it sends.
func (p *part) give(r *run, asked giveRequest, next *part) pace.Pacer {
	p.giving.Lock() // the worker gives up several shares in the same order
	defer p.giving.Unlock()
	<-p.accepted
	r.mu.Lock()
	over := p.ended || p.left && asked.Of > 1
	r.mu.Unlock()
	if over {
		return nil
	}
	from, given, err := p.worker.give(context.WithoutCancel(r.ctx), p.id, asked)
	if err != nil {
		p.abandon(err)
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	if !given || p.lost != nil { // a lost worker's rest is with another one
		return nil
	}
	share := pace.Shard(pace.After(p.schedule, from), asked.Part, asked.Of)
	p.schedule = pace.Without(p.schedule, from, asked.Part, asked.Of)
	if next != nil {
		next.plan.Pacer, p.next, p.until = share, next, from
	}
	return share
}

// drop makes the worker stop at an instant although no worker takes over the rest now.
func (p *part) drop(r *run, from time.Duration) {
	p.giving.Lock()
	defer p.giving.Unlock()
	<-p.accepted
	from, given, err := p.worker.give(context.WithoutCancel(r.ctx), p.id, giveRequest{From: from, Of: 1})
	if err != nil {
		p.abandon(err)
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	p.dropped, p.dropAt = given, from
}

// adopt returns the rest of p from an instant on if p has no worker and no successor.
// Then m is its successor.
func (p *part) adopt(r *run, m *member, from time.Duration) pace.Pacer {
	p.giving.Lock()
	defer p.giving.Unlock()
	r.mu.Lock()
	defer r.mu.Unlock()
	if p.schedule == nil || p.next != nil || p.lost == nil && !p.dropped || r.cfg.DeclareMissing {
		return nil
	}
	p.next, p.until = &part{worker: m}, max(from, p.dropAt)
	return pace.After(p.schedule, p.until)
}

// rest returns the plan for the part of p from an instant on, and whether it has any
// requests.
func (p *part) rest(from time.Duration) (loadtest.Plan, bool) {
	rest := p.plan
	if rest.Duration > 0 && from >= rest.Duration {
		return rest, false
	}
	if p.schedule != nil {
		rest.Pacer = pace.After(p.schedule, from)
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

// missing returns the number of requests of p whose outcome is unknown. The schedule is
// counted up to the end of the run.
func (p *part) missing(end time.Duration) int {
	if p.schedule == nil {
		if (p.lost != nil || p.left) && p.next == nil && p.plan.Requests > 0 {
			return max(0, p.plan.Requests-p.report.Sent)
		}
		if p.lost != nil {
			return 0 // the number of concurrent requests is unknown; see note
		}
		return max(0, p.unreported)
	}
	if p.lost == nil && !p.dropped {
		return max(0, p.unreported)
	}
	n := 0
	for at := range p.schedule.Arrivals() {
		if at > end || p.next != nil && at >= p.until {
			break
		}
		n++
	}
	return max(0, n-p.report.Sent-p.report.Unsent)
}
