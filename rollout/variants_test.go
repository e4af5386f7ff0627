package rollout_test

import (
	"errors"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/serin-go/serin/checks"
	"github.com/serin-go/serin/checks/analysis"
	"github.com/serin-go/serin/rollout"
	"github.com/serin-go/serin/rollout/memstore"
	"github.com/serin-go/serin/strategies"
	"github.com/serin-go/serin/versioning"
)

// contest is an A/B test of three candidates.
func contest() rollout.Plan {
	p := plan()
	p.Rivals = []versioning.Release{release("1.5.1"), release("1.5.2")}
	p.Strategy = strategies.AB{Rivals: []string{"1.5.1", "1.5.2"}, Bake: time.Minute, OnTie: strategies.ActionRollBack}
	p.Goal = "ttft"
	return p
}

// TestContest lets three candidates compete: the one that fails drops out, and
// the fastest of those that are no worse takes everything.
func TestContest(t *testing.T) {
	for _, restart := range []bool{false, true} {
		t.Run(fmt.Sprintf("restart %t", restart), func(t *testing.T) {
			run(t, func(t *testing.T, tgt *target, cfg rollout.Config) {
				tgt.errorRate = map[string]float64{"1.4.0": 0.01, "1.5.0": 0.01, "1.5.1": 0.3, "1.5.2": 0.01}
				tgt.ttft = map[string]time.Duration{"1.4.0": 200 * time.Millisecond, "1.5.0": 190 * time.Millisecond, "1.5.2": 100 * time.Millisecond}
				go tgt.serve(t.Context(), 20*time.Millisecond)
				e, err := rollout.Open(t.Context(), cfg)
				if err != nil {
					t.Fatal(err)
				}
				defer func() { e.Close() }()
				id := begin(t, e, contest())
				if restart {
					time.Sleep(40 * time.Second)
					e.Close()
					if e, err = rollout.Open(t.Context(), cfg); err != nil {
						t.Fatal(err)
					}
				}
				events := finish(t, e, id)
				end := last(events)
				if end.Phase != strategies.Promoted || end.Split.Weight("1.5.2") != strategies.Full {
					t.Fatalf("%v with %v: %s; want 1.5.2 to have won", end.Phase, end.Split.Arms, end.Reason)
				}
				var dropped []string
				for _, ev := range events {
					if ev.Kind == rollout.Dropped {
						dropped = append(dropped, ev.Reason)
						if ev.Split.Weight("1.5.1") != 0 || ev.Split.Weight("1.5.0") != 2500 || ev.Split.Weight("1.4.0") != 5000 {
							t.Errorf("after the drop it is %v", ev.Split.Arms)
						}
						if len(ev.Others) != 2 {
							t.Errorf("the event has the judgements of %d others, want 2", len(ev.Others))
						}
					}
				}
				if len(dropped) != 1 || !strings.HasPrefix(dropped[0], "1.5.1: ") {
					t.Errorf("dropped: %q, want 1.5.1 alone", dropped)
				}
				st := status(t, e, id)
				if st.Winner != "1.5.2" || len(st.Dropped) != 1 || st.Exposed < 100 {
					t.Errorf("winner %q, dropped %q, exposed %d", st.Winner, st.Dropped, st.Exposed)
				}
				// The winner is the target's next baseline; the plan must say so.
				p := plan()
				p.Baseline = release("1.4.0")
				var stale *rollout.StaleBaselineError
				if _, err := e.Start(t.Context(), p, ana); !errors.As(err, &stale) || stale.Serving.Arm() != "1.5.2" {
					t.Errorf("a plan whose baseline is the loser: %v", err)
				}
				p.DangerouslyReplaceServing = "1.5.2"
				p.Baseline, p.Candidate, p.RollbackWindow = release("1.6.0"), release("1.5.2"), time.Hour
				if id := begin(t, e, p); status(t, e, id).Plan.Stages[0].Name != "return" {
					t.Error("the winner of the contest is not known to be good")
				}
			})
		})
	}
}

// TestContestNobodyLeft: when all candidates do harm the baseline stays.
func TestContestNobodyLeft(t *testing.T) {
	run(t, func(t *testing.T, tgt *target, cfg rollout.Config) {
		tgt.errorRate = map[string]float64{"1.4.0": 0.01, "1.5.0": 0.4, "1.5.1": 0.4, "1.5.2": 0.4}
		go tgt.serve(t.Context(), 20*time.Millisecond)
		e := open(t, cfg)
		end := last(finish(t, e, begin(t, e, contest())))
		if end.Phase != strategies.RolledBack || end.Rule != "harm" || tgt.current().Weight("1.4.0") != strategies.Full {
			t.Errorf("%v: %s, split %v", end.Phase, end.Reason, tgt.current().Arms)
		}
	})
}

// TestContestOfReplicas has three processes hold a contest together, with the
// one that drives dying in the middle.
func TestContestOfReplicas(t *testing.T) {
	run(t, func(t *testing.T, _ *target, cfg rollout.Config) {
		store := new(memstore.Store)
		var engines []*rollout.Engine
		var targets []*expiring
		for i := range 3 {
			x := &expiring{}
			x.errorRate = map[string]float64{"1.4.0": 0.01, "1.5.0": 0.01, "1.5.1": 0.3, "1.5.2": 0.01}
			x.ttft = map[string]time.Duration{"1.5.2": 120 * time.Millisecond}
			go x.serve(t.Context(), 10*time.Millisecond)
			c := cfg
			c.Store, c.Replica, c.Targets = store, fmt.Sprintf("replica-%d", i), map[string]rollout.Splitter{"chat": x}
			c.Tick = 3 * time.Second
			engines, targets = append(engines, open(t, c)), append(targets, x)
		}
		id := begin(t, engines[0], contest())
		time.Sleep(30 * time.Second)
		alive := -1
		for i, e := range engines {
			if status(t, e, id).Leader {
				e.Close()
			} else {
				alive = i
			}
		}
		end := last(finish(t, engines[alive], id))
		if end.Phase != strategies.Promoted || end.Split.Weight("1.5.2") != strategies.Full {
			t.Errorf("%v with %v: %s; want 1.5.2 to have won", end.Phase, end.Split.Arms, end.Reason)
		}
		if got := targets[alive].current().Weight("1.5.2"); got != strategies.Full {
			t.Errorf("1.5.2 serves %v", got)
		}
	})
}

func TestBadContests(t *testing.T) {
	for _, c := range []struct {
		want   string
		change func(*rollout.Plan)
	}{
		{"Plan.Rivals[1].Version", func(p *rollout.Plan) { p.Rivals[1] = p.Candidate }},
		{"Plan.Rivals", func(p *rollout.Plan) { p.Strategy = nil }},
		{"Plan.Stages[0].Split.Arms", func(p *rollout.Plan) { p.Rivals = p.Rivals[:1] }},
		{"Plan.Stages[0].Split.Arms", func(p *rollout.Plan) {
			p.Strategy = strategies.Adjust(strategies.AB{}, "a/b 50%", func(s *strategies.Stage) { s.Contest = true })
		}},
		{"Plan.Goal", func(p *rollout.Plan) { p.Goal = "beauty"; p.Analysis.Metrics = []analysis.Metric{analysis.ErrorRate()} }},
		{"Plan.Strategy.Share", func(p *rollout.Plan) { p.Strategy = strategies.AB{Rivals: []string{"1.5.1", "1.5.2"}, Share: 4000} }},
	} {
		p := contest()
		c.change(&p)
		err := p.Validate()
		found := false
		for invalid := range checks.Invalid(err) {
			found = found || invalid.Field == c.want && invalid.Package == "rollout"
		}
		if !found {
			t.Errorf("Validate = %v\ndoes not name %s", err, c.want)
		}
	}
}

// TestContestAllocates: while nothing is decided, traffic moves to the candidate
// that seems to be the best, each change is an event, and no arm is left without.
func TestContestAllocates(t *testing.T) {
	run(t, func(t *testing.T, tgt *target, cfg rollout.Config) {
		tgt.ttft = map[string]time.Duration{
			"1.4.0": 200 * time.Millisecond, "1.5.0": 400 * time.Millisecond, "1.5.1": 390 * time.Millisecond, "1.5.2": 100 * time.Millisecond,
		}
		go tgt.serve(t.Context(), 20*time.Millisecond)
		e := open(t, cfg)
		p := contest()
		p.Strategy = strategies.AB{
			Rivals: []string{"1.5.1", "1.5.2"}, Bake: 20 * time.Minute, OnTie: strategies.ActionRollBack,
			Allocate: &strategies.Allocation{Every: time.Minute, Floor: 800},
		}
		// Slower is no harm here, so that all stay in.
		ttft := analysis.TTFT()
		ttft.Role = analysis.Report
		p.Analysis = analysis.Plan{Metrics: []analysis.Metric{analysis.ErrorRate(), ttft}}
		events := finish(t, e, begin(t, e, p))
		var moves []rollout.Event
		for i, ev := range events {
			if ev.Kind != rollout.Rebalanced {
				continue
			}
			moves = append(moves, ev)
			if ev.Rule != "allocation" || ev.Split.Generation != events[i-1].Split.Generation+1 || ev.Judgement == nil || len(ev.Others) != 2 {
				t.Errorf("%s: rule %s, generation %d", ev, ev.Rule, ev.Split.Generation)
			}
			for _, a := range ev.Split.Arms {
				if a.Weight < 800 {
					t.Errorf("%s: %s has %v", ev, a.Name, a.Weight)
				}
			}
		}
		if len(moves) == 0 {
			t.Fatalf("no traffic was moved: %v", last(events))
		}
		if w := last(moves).Split; w.Weight("1.5.2") < 4000 || w.Weight("1.4.0") < 4000 {
			t.Errorf("the two best have %v and %v", w.Weight("1.5.2"), w.Weight("1.4.0"))
		}
		if end := last(events); end.Phase != strategies.Promoted || end.Split.Weight("1.5.2") != strategies.Full {
			t.Errorf("%v with %v: %s", end.Phase, end.Split.Arms, end.Reason)
		}
	})
}
