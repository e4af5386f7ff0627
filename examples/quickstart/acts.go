package main

import (
	"time"

	"github.com/serin-go/serin/checks/analysis"
	"github.com/serin-go/serin/loadtest/modeltest"
	"github.com/serin-go/serin/rollout"
	"github.com/serin-go/serin/strategies"
	"github.com/serin-go/serin/versioning"
)

// act is one rollout of the demonstration.
type act struct {
	from, to string           // versions
	story    string           // what is known about the candidate, unlike in real life
	want     strategies.Phase // how it should end
	any      bool             // any end is right
	samples  int              // requests that the candidate must answer in each stage
}

// acts are run in order. The baseline of each is the version that was promoted
// last.
var acts = []act{
	{from: "1.4.0", to: "1.5.0", story: "a good candidate", want: strategies.Promoted, samples: 250},
	{from: "1.5.0", to: "1.6.0", story: "60 % slower to the first token", want: strategies.RolledBack, samples: 250},
	{from: "1.5.0", to: "1.6.1", story: "8 % of its requests fail", want: strategies.RolledBack, samples: 250},
}

// yours is the one act against servers of the user's own.
var yours = []act{{from: "1.0.0", to: "1.1.0", story: "your candidate", any: true, samples: 20}}

// model is a version of the built-in language model. All take about 25 ms to
// the first token and 2 ms to each further one, and fail once in 200 requests,
// except for what the story says.
func model(version string) modeltest.Config {
	c := modeltest.Config{
		Seed: 1, Length: 12,
		TTFT: 25 * time.Millisecond, TimePerToken: 2 * time.Millisecond, Jitter: 0.25,
		ErrorRate: 0.005,
	}
	switch version {
	case "1.6.0":
		c.TTFT = c.TTFT * 160 / 100
	case "1.6.1":
		c.ErrorRate = 0.08
	}
	return c
}

// metrics are the default ones, with two changes that save time here: a candidate may
// fail one request in a hundred more than the baseline, and the time between tokens,
// which on a busy machine measures the machine, decides nothing.
func metrics() []analysis.Metric {
	list := analysis.DefaultMetrics()
	for i := range list {
		switch m := &list[i]; m.Name {
		case analysis.ErrorRate().Name, analysis.Unanswered().Name:
			m.Margin = analysis.Plus(0.01)
		case analysis.ITL().Name:
			m.Role = analysis.Report
		}
	}
	return list
}

// plan is how each candidate is rolled out: a canary that bakes for some
// seconds at 5, 25, 50 and 100 %, and must be proven no worse before it takes
// everything. A real one would bake for minutes or hours.
func (a act) plan(bake time.Duration) rollout.Plan {
	release := func(version string) versioning.Release {
		return versioning.Release{Model: "chat", Version: versioning.MustParse(version)}
	}
	return rollout.Plan{
		Target:    "chat",
		Baseline:  release(a.from),
		Candidate: release(a.to),
		Strategy: strategies.Canary{
			Bake: bake, Limit: 25 * bake, MinSamples: a.samples,
			OnLimit: strategies.ActionRollBack, OnNoEvidence: strategies.ActionRollBack,
		},
		Analysis:  analysis.Plan{Metrics: metrics()},
		Preflight: []string{"candidate answers", "candidate is newer"},
	}
}
