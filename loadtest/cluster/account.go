package cluster

import (
	"fmt"
	"math"
	"time"

	"github.com/serin-go/serin/checks/analysis"
	"github.com/serin-go/serin/internal/units"
	"github.com/serin-go/serin/loadtest"
)

// conclude returns the merged report of all parts.
func (r *run) conclude(elapsed time.Duration, interrupted bool) *loadtest.Report {
	out := loadtest.NewReport(r.plan, r.plan.Start)
	interrupted = interrupted || r.live.Aborted != ""
	end := elapsed
	if !interrupted {
		end = r.limit(elapsed)
	}
	for _, p := range r.parts {
		missing := p.missing(end)
		if p.left && p.report.Classes[analysis.Cancelled]+p.report.Classes[analysis.Abandoned] == 0 {
			p.report.Interrupted = false // another worker went on
		}
		out.Merge(p.report)
		out.Missing += missing
		out.Interrupted = out.Interrupted || (p.lost != nil || p.left) && p.next == nil && missing > 0
		out.Notes = append(out.Notes, p.note(missing, r.shares))
	}
	if planned := r.planned(end); planned > 0 && !interrupted {
		out.Notes = append(out.Notes, account(planned, out))
	}
	out.Interrupted = out.Interrupted || interrupted
	out.Aborted = r.live.Aborted
	out.Judge(r.plan.Thresholds...)
	return out
}

// limit returns the instant up to which the schedule is sent: its end or, if it is
// endless, the end of the run, which lasted for elapsed.
func (r *run) limit(elapsed time.Duration) time.Duration {
	_, listed := r.plan.Pacer.(interface{ Len() int })
	switch {
	case r.plan.Duration > 0:
		return r.plan.Duration
	case r.plan.Requests > 0 || listed:
		return math.MaxInt64
	}
	return elapsed
}

// planned returns the number of requests of the plan up to an instant, or 0 if it has
// none: for a closed loop without a number of requests, or with a duration.
func (r *run) planned(end time.Duration) int {
	if r.plan.Pacer == nil {
		if r.plan.Duration > 0 {
			return 0
		}
		return r.plan.Requests
	}
	n := 0
	for at := range r.plan.Pacer.Arrivals() {
		if at > end || r.plan.Requests > 0 && n == r.plan.Requests {
			break
		}
		n++
	}
	return n
}

// account compares a report with the number of requests of the plan, which is counted
// apart from the workers' shares.
func account(planned int, r *loadtest.Report) string {
	text := fmt.Sprintf("the plan has %s requests: %s sent, %s unsent, %s missing", units.Grouped(planned), units.Grouped(r.Sent), units.Grouped(r.Unsent), units.Grouped(r.Missing))
	if sum := r.Sent + r.Unsent + r.Missing; sum != planned {
		text += fmt.Sprintf(", which is %s in all and does not add up", units.Grouped(sum))
	}
	return text
}

// note describes a part for [loadtest.Report].Notes.
func (p *part) note(missing, of int) string {
	text := fmt.Sprintf("worker %s, %v, sent %d requests of ", p.worker.name, &p.worker.clock, p.report.Sent)
	if p.share >= 0 {
		text += fmt.Sprintf("share %d of %d", p.share+1, of)
	} else {
		text += fmt.Sprintf("what the others gave up when it joined, from %v on", p.joined.Round(time.Millisecond))
	}
	switch {
	case p.lost != nil:
		text += fmt.Sprintf("; LOST %v after the start (%v), %d requests missing", p.after.Round(time.Millisecond), p.lost, missing)
		if p.plan.Pacer == nil && p.plan.Requests == 0 {
			text += fmt.Sprintf(" and up to %d that were in flight", p.plan.Users)
		}
	case p.left:
		text += fmt.Sprintf("; left %v after the start, %d requests missing", p.after.Round(time.Millisecond), missing)
	case missing > 0:
		text += fmt.Sprintf("; its reports lack %d requests of its totals", missing)
	}
	if p.next != nil {
		text += fmt.Sprintf("; %s took over the rest from %v on", p.next.worker.name, p.until.Round(time.Millisecond))
	}
	return text
}
