package worlds_test

import (
	"github.com/serin-go/serin/checks/analysis"
	"github.com/serin-go/serin/internal/worlds"
)

var classes = [...]analysis.Class{
	worlds.OK: analysis.OK, worlds.Failed: analysis.Error, worlds.Refused: analysis.Refused, worlds.Rejected: analysis.Rejected,
	worlds.Unread: analysis.Unread, worlds.Left: analysis.Cancelled, worlds.Abandoned: analysis.Abandoned,
}

// observation returns r, which has ended, as a router would report it.
func observation(r *worlds.Request) analysis.Observation {
	o := analysis.Observation{
		At: began.Add(r.Ends), Class: classes[r.Outcome], TTFT: r.TTFT, ITL: r.ITL, Latency: r.Latency, Stall: r.Stall,
		InputTokens: r.Prompt, OutputTokens: r.Tokens, Cost: analysis.Money(r.Cost),
	}
	switch {
	case r.Cut:
		o.Finish = analysis.FinishLength
	case r.Outcome == worlds.OK:
		o.Finish = analysis.FinishStop
	case r.Outcome == worlds.Refused:
		o.Finish = analysis.FinishFilter
	}
	return o
}

// planOf returns the plan with which w is to be judged.
func planOf(w *worlds.World) analysis.Plan {
	var p analysis.Plan
	if w.Plan.NoPersist {
		p.Persist = -1
	}
	if w.Plan.NoBreaker {
		p.Breakers = []analysis.Breaker{}
	}
	if w.Plan.Warm > 0 {
		p.Warm = analysis.Warm{Requests: w.Plan.Warm}
	}
	if f := w.Plan.Tolerance; f > 0 {
		p.Metrics = analysis.DefaultMetrics()
		for i := range p.Metrics {
			if p.Metrics[i].Name == analysis.TTFT().Name {
				p.Metrics[i].Tolerance = analysis.Times(f)
			}
		}
	}
	return p
}
