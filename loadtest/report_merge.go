package loadtest

import (
	"fmt"
	"maps"
	"slices"
	"time"

	"github.com/serin-go/serin/checks/analysis"
	"github.com/serin-go/serin/internal/units"
)

// NewReport returns an empty report of a run of p that began at began. Other reports
// can be added to it by [Report.Merge].
func NewReport(p Plan, began time.Time) *Report {
	p = p.withDefaults()
	p.Start = began
	target := p.Target
	if u, err := p.endpoint(); err == nil {
		target = shown(u)
	}
	r := newReport(p, target)
	r.Generator.CPU = -1
	r.finish()
	return r
}

// newReport returns the empty report of a run.
func newReport(p Plan, target string) *Report {
	r := &Report{
		Target: target, Model: p.Model, Began: p.Start, LagBound: p.LagBound, TokenSources: make(map[TokenSource]int),
		Classes: make(map[analysis.Class]int), Faults: make(map[Fault]int), Errors: make(map[ErrorKind]int), FirstErrors: make(map[analysis.Class]error),
	}
	for _, s := range p.SLOs {
		r.Goodput = append(r.Goodput, Goodput{SLO: s})
	}
	r.batches = goodputBatches(len(r.Goodput))
	return r
}

// Merge adds o to r, as if one run had sent the requests of both. It is for simultaneous
// runs of shards of one schedule; see [pace.Shard]. Counts add up and distributions
// merge without loss. Goodput of an SLO that only one of them has is left out, and Notes
// name it. PeakConcurrency becomes an upper bound, and DueCV and SentCV
// become unknown. Merge does not evaluate thresholds again; see [Report.Judge]. It does
// not modify o.
func (r *Report) Merge(o *Report) {
	r.PeakConcurrency += o.PeakConcurrency
	r.UnderWay += o.UnderWay
	stall := max(r.Generator.StallP99, o.Generator.StallP99)
	r.join(o, max(r.Generator.CPU, o.Generator.CPU), stall)
}

// Append adds o to r, where o is a later interval of the same run, such as from
// [Plan].OnInterval. It differs from [Report.Merge]: PeakConcurrency is the larger one,
// and CPU and StallP99 are means over time.
func (r *Report) Append(o *Report) {
	r.PeakConcurrency, r.UnderWay = max(r.PeakConcurrency, o.PeakConcurrency), o.UnderWay
	cpu := -1.0
	if mine, theirs := r.Generator, o.Generator; mine.wall+theirs.wall > 0 && theirs.CPU >= 0 {
		cpu = (max(0, mine.CPU)*mine.wall.Seconds() + theirs.CPU*theirs.wall.Seconds()) / (mine.wall + theirs.wall).Seconds()
	}
	wall := r.Generator.wall + o.Generator.wall
	stall := units.Seconds((r.Generator.StallP99.Seconds()*r.Generator.wall.Seconds() + o.Generator.StallP99.Seconds()*o.Generator.wall.Seconds()) / max(1e-9, wall.Seconds()))
	r.join(o, cpu, stall)
	r.Generator.wall = wall
}

func (r *Report) join(o *Report, cpu float64, stall time.Duration) {
	r.Elapsed = max(r.Elapsed, o.Elapsed)
	r.Interrupted = r.Interrupted || o.Interrupted
	if r.Server == nil {
		r.Server = o.Server
	}
	if r.Aborted == "" {
		r.Aborted = o.Aborted
	}
	if r.Incomplete == "" {
		r.Incomplete = o.Incomplete
	}
	r.Sent, r.Unsent, r.Trimmed, r.Missing = r.Sent+o.Sent, r.Unsent+o.Unsent, r.Trimmed+o.Trimmed, r.Missing+o.Missing
	r.Notes = append(r.Notes[:len(r.Notes):len(r.Notes)], o.Notes...)
	r.Classes, r.Faults, r.Errors, r.TokenSources = ensure(r.Classes), ensure(r.Faults), ensure(r.Errors), ensure(r.TokenSources)
	for c, n := range o.Classes {
		r.Classes[c] += n
	}
	for f, n := range o.Faults {
		r.Faults[f] += n
	}
	for _, e := range o.errorCounts() {
		r.countError(e.ErrorKind, e.N)
	}
	for s, n := range o.TokenSources {
		r.TokenSources[s] += n
	}
	firsts := make(map[analysis.Class]error)
	maps.Copy(firsts, o.FirstErrors)
	maps.Copy(firsts, r.FirstErrors)
	r.FirstErrors = firsts
	r.InputTokens, r.CachedTokens = r.InputTokens+o.InputTokens, r.CachedTokens+o.CachedTokens
	r.OutputTokens, r.ReasoningTokens = r.OutputTokens+o.OutputTokens, r.ReasoningTokens+o.ReasoningTokens
	r.Chunks, r.Coalesced = r.Chunks+o.Chunks, r.Coalesced+o.Coalesced
	r.mergeGoodput(o)
	for i := range r.waits {
		r.waits[i].merge(&o.waits[i])
	}
	r.mergeTags(o)
	r.mergeLag(o)
	theirs := o.rows()
	for i, row := range r.rows() {
		row.d.merge(theirs[i].d)
	}
	for i := range o.series.bins {
		r.series.merge(o.series.width, i, &o.series.bins[i])
	}
	r.tally.merge(&o.tally)
	for _, at := range []time.Time{o.firstDue, o.lastDue} {
		if !at.IsZero() {
			r.firstDue, r.lastDue = span(r.firstDue, r.lastDue, at)
		}
	}
	for _, at := range []time.Time{o.firstSent, o.lastSent} {
		if !at.IsZero() {
			r.firstSent, r.lastSent = span(r.firstSent, r.lastSent, at)
		}
	}
	if !o.keptDue.IsZero() {
		r.keptDue, _ = span(r.keptDue, time.Time{}, o.keptDue)
		_, r.keptEnd = span(time.Time{}, r.keptEnd, o.keptEnd)
	}
	mine := r.Generator
	r.Generator = Generator{CPU: cpu, StallP99: stall, Procs: max(mine.Procs, o.Generator.Procs),
		GCPauses: mine.GCPauses + o.Generator.GCPauses, GCPauseMax: max(mine.GCPauseMax, o.Generator.GCPauseMax)}
	r.finish()
}

// mergeGoodput adds the goodput of o to the goodput of r. Goodput of an SLO that only one
// of them has would be of fewer requests than the report, so it is left out with a note.
func (r *Report) mergeGoodput(o *Report) {
	leave := func(g Goodput) {
		note := fmt.Sprintf("the goodput of the SLO %q is left out, since not all parts of the report have it", g.SLO)
		if !slices.Contains(r.Notes, note) {
			r.Notes = append(r.Notes, note)
		}
	}
	mine, states := r.Goodput, r.batches
	r.Goodput, r.batches = nil, nil
	for i, g := range mine {
		at := slices.IndexFunc(o.Goodput, func(theirs Goodput) bool { return theirs.SLO == g.SLO })
		if at < 0 {
			leave(g)
			continue
		}
		theirs := o.Goodput[at]
		g.Good, g.Sent, g.Tokens = g.Good+theirs.Good, g.Sent+theirs.Sent, g.Tokens+theirs.Tokens
		var state batches
		if i < len(states) {
			state = states[i]
		}
		if at < len(o.batches) {
			state.merge(&o.batches[at])
		}
		r.Goodput, r.batches = append(r.Goodput, g), append(r.batches, state)
	}
	for _, g := range o.Goodput {
		if !slices.ContainsFunc(mine, func(known Goodput) bool { return known.SLO == g.SLO }) {
			leave(g)
		}
	}
}

// Shift adds d to all instants of r, for a report of a machine with another clock.
func (r *Report) Shift(d time.Duration) {
	for _, at := range []*time.Time{&r.Began, &r.firstDue, &r.lastDue, &r.firstSent, &r.lastSent, &r.keptDue, &r.keptEnd} {
		if !at.IsZero() {
			*at = at.Add(d)
		}
	}
}
