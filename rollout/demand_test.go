package rollout_test

import (
	"errors"
	"reflect"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/serin-go/serin/checks"
	"github.com/serin-go/serin/rollout"
	"github.com/serin-go/serin/strategies"
)

var demands = []struct {
	name   string
	demand rollout.Demand
	field  string // of a plan that is weaker
}{
	{"preflight", rollout.Demand{Preflight: []string{"pass"}}, "Plan.Preflight"},
	{"postflight", rollout.Demand{Postflight: []string{"pass"}}, "Plan.Postflight"},
	{"standing", rollout.Demand{Standing: []rollout.Standing{{Check: "pass", OnFail: strategies.ActionRollBack}}}, "Plan.Standing"},
	{"approval", rollout.Demand{Approve: &strategies.Approval{Need: 2, Roles: []string{"sre"}, FourEyes: true}, UpTo: 1000}, "Plan.Stages[0].Approve"},
	{"first share", rollout.Demand{MaxFirst: 500}, "Plan.Stages[0].Split"},
	{"stages", rollout.Demand{MinStages: 4}, "Plan.Stages"},
	{"windows", rollout.Demand{Windows: []rollout.Window{{Days: "mon-fri", From: "09:00", To: "16:00", Zone: "Europe/Berlin", Budget: 2}}}, "Plan.Windows"},
	{"monitor", rollout.Demand{Monitor: time.Hour}, "Plan.Monitor"},
	{"bake", rollout.Demand{MinBake: time.Hour}, "Plan.Stages[0].Bake"},
	{"unproven", rollout.Demand{Never: []string{rollout.NeverUnproven}}, "Plan.Stages[0].Until"},
	{"supersede", rollout.Demand{Never: []string{rollout.NeverSupersede}}, "Plan.Supersede"},
	{"return", rollout.Demand{Never: []string{rollout.NeverReturn}}, "Plan.RollbackWindow"},
	{"silence", rollout.Demand{Never: []string{rollout.NeverSilence}}, "Plan.Stages[1].Approve"},
}

// weak violates all demands, except the one for digests.
func weak() rollout.Plan {
	p := briskly("1.4.0", "1.5.0")
	p.Strategy = strategies.Canary{
		Weights: []strategies.Weight{5000}, Bake: time.Minute, Limit: time.Hour, DangerouslyPromoteUnproven: true,
		Approve: &strategies.Approval{OnTimeout: strategies.ActionContinue},
	}
	p.Supersede, p.RollbackWindow = true, time.Hour
	return p
}

// TestDemands: a plan that is weaker than its target demands is refused, with the field;
// what Apply makes of it is accepted, and is left alone by Apply.
func TestDemands(t *testing.T) {
	all := rollout.Demand{}
	for _, c := range demands {
		to, from := reflect.ValueOf(&all).Elem(), reflect.ValueOf(c.demand)
		for i := range from.NumField() {
			switch f := from.Field(i); {
			case f.IsZero():
			case f.Kind() == reflect.Slice:
				to.Field(i).Set(reflect.AppendSlice(to.Field(i), f))
			default:
				to.Field(i).Set(f)
			}
		}
	}
	try := func(t *testing.T, d rollout.Demand, fields ...string) {
		t.Helper()
		run(t, func(t *testing.T, tgt *target, cfg rollout.Config) {
			cfg.Demands = func(string) rollout.Demand { return d }
			e := open(t, cfg)
			_, err := e.Start(t.Context(), weak(), ana)
			var missing *rollout.WeakPlanError
			if !errors.As(err, &missing) || missing.Target != "chat" {
				t.Fatalf("Start: %v", err)
			}
			for _, f := range fields {
				if !slices.Contains(invalidFields(err), f) {
					t.Errorf("%v does not name %s", err, f)
				}
			}
			for _, m := range missing.Missing {
				first := strings.ReplaceAll(m.Field, "Stages[1]", "Stages[0]")
				if !slices.ContainsFunc(fields, func(f string) bool { return strings.ReplaceAll(f, "Stages[1]", "Stages[0]") == first }) {
					t.Errorf("it names %s too: %v", m.Field, m)
				}
			}
			p, err := d.Apply(weak())
			if err != nil {
				t.Fatal(err)
			}
			if again, err := d.Apply(p); err != nil || !reflect.DeepEqual(again, p) {
				t.Errorf("Apply changes what it has made: %v", err)
			}
			id := begin(t, e, p)
			if err := e.Do(t.Context(), id, strategies.Abort, ana); err != nil {
				t.Fatal(err)
			}
			if _, err := e.Retry(t.Context(), id, ana); err != nil {
				t.Errorf("Retry of a plan that is strong enough: %v", err)
			}
		})
	}
	var fields []string
	for _, c := range demands {
		t.Run(c.name, func(t *testing.T) { try(t, c.demand, c.field) })
		if c.field != "Plan.Stages" || c.name == "stages" {
			fields = append(fields, c.field)
		}
	}
	t.Run("all", func(t *testing.T) { try(t, all, fields...) })
}

// TestDigestIsDemanded: a release without a digest is refused; Apply cannot make one up.
func TestDigestIsDemanded(t *testing.T) {
	d := rollout.Demand{Digest: true}
	p := briskly("1.4.0", "1.5.0")
	p.Baseline.Digest = "sha256:a"
	if err := d.Check(p); !slices.Equal(invalidFields(err), []string{"Plan.Candidate.Digest"}) {
		t.Errorf("no digest: %v", err)
	}
	p.Candidate.Digest = "sha256:b"
	if err := d.Check(p); err != nil {
		t.Error(err)
	}
}

// TestStrongerPlansAreAccepted: a plan that asks for more than the target is good enough.
func TestStrongerPlansAreAccepted(t *testing.T) {
	d := rollout.Demand{
		Standing: []rollout.Standing{{Check: "pass", Every: time.Minute}},
		Approve:  &strategies.Approval{Rules: []strategies.ApprovalRule{{Need: 2, Roles: []string{"sre", "lead"}}, {Need: 1}}},
		UpTo:     5000, MaxFirst: 5000, MinStages: 2, Windows: []rollout.Window{{Days: "mon-thu", From: "08:00", To: "18:00"}}, Monitor: time.Hour, MinBake: time.Second,
	}
	strong := func() rollout.Plan {
		p := briskly("1.4.0", "1.5.0")
		stages, err := p.Strategy.Stages("1.4.0", "1.5.0")
		if err != nil {
			t.Fatal(err)
		}
		stages[1].Approve = &strategies.Approval{Rules: []strategies.ApprovalRule{{Need: 2, Roles: []string{"lead"}}, {Need: 1, Roles: []string{"privacy"}}}, FourEyes: true}
		p.Stages, p.Monitor = stages, 2*time.Hour
		p.Standing = []rollout.Standing{{Check: "pass", Every: time.Second, OnFail: strategies.ActionEscalate}}
		p.Windows = []rollout.Window{{Days: "tue", From: "09:00", To: "17:00", Budget: 1}}
		return p
	}
	if err := d.Check(strong()); err != nil {
		t.Error(err)
	}
	for name, weaken := range map[string]func(*rollout.Plan){
		"fewer people":       func(p *rollout.Plan) { p.Stages[1].Approve.Rules[0].Need = 1 },
		"other people":       func(p *rollout.Plan) { p.Stages[1].Approve.Rules[0].Roles = []string{"lead", "intern"} },
		"one rule":           func(p *rollout.Plan) { p.Stages[1].Approve.Rules = p.Stages[1].Approve.Rules[:1] },
		"looks less often":   func(p *rollout.Plan) { p.Standing[0].Every = time.Hour },
		"has more grace":     func(p *rollout.Plan) { p.Standing[0].Grace = time.Hour },
		"a day too many":     func(p *rollout.Plan) { p.Windows[0].Days = "thu-fri" },
		"open too long":      func(p *rollout.Plan) { p.Windows[0].To = "19:00" },
		"open over midnight": func(p *rollout.Plan) { p.Windows[0].To = "08:30" },
		"another zone":       func(p *rollout.Plan) { p.Windows[0].Zone = "Asia/Tokyo" },
		"any time besides":   func(p *rollout.Plan) { p.Windows = append(p.Windows, rollout.Window{}) },
		"an early approval":  func(p *rollout.Plan) { p.Stages[0].Split.Arms[0].Weight, p.Stages[0].Split.Arms[1].Weight = 4999, 5001 },
		"no time":            func(p *rollout.Plan) { p.Stages[0].Bake = 0 },
		"no monitoring":      func(p *rollout.Plan) { p.Monitor = 0 },
	} {
		p := strong()
		weaken(&p)
		if err := d.Check(p); err == nil {
			t.Errorf("%s: accepted", name)
		} else if p, err = d.Apply(p); err != nil || d.Check(p) != nil {
			t.Errorf("%s: Apply: %v, %v", name, err, d.Check(p))
		}
	}
}

// TestDemandsOverARestart: demands that have changed pause what runs and void its votes; a
// new plan and a retry are held against the new ones.
func TestDemandsOverARestart(t *testing.T) {
	run(t, func(t *testing.T, tgt *target, cfg rollout.Config) {
		demand := rollout.Demand{Preflight: []string{"pass"}}
		cfg.Demands = func(string) rollout.Demand { return demand }
		e := open(t, cfg)
		go tgt.serve(t.Context(), time.Second)
		p := briskly("1.4.0", "1.5.0")
		p.Preflight = []string{"pass"}
		id := begin(t, e, p)
		time.Sleep(5 * time.Second)
		digest := status(t, e, id).Digest
		e.Close()
		demand.Monitor = time.Hour
		e = open(t, cfg)
		time.Sleep(5 * time.Second)
		st := status(t, e, id)
		if !st.Paused || rule(t, e, id) != "gates" || !strings.Contains(st.Reason, "Plan.Monitor") || st.Digest == digest {
			t.Errorf("under new demands it is paused: %v, %s, digest %s, was %s", st.Paused, st.Reason, st.Digest, digest)
		}
		if err := e.Do(t.Context(), id, strategies.Abort, ana); err != nil {
			t.Fatal(err)
		}
		var missing *rollout.WeakPlanError
		if _, err := e.Retry(t.Context(), id, ana); !errors.As(err, &missing) {
			t.Errorf("Retry of a plan that is weaker now: %v", err)
		}
	})
}

// TestBreakGlass: who may configure starts a weaker plan, with a reason, and that is urgent.
func TestBreakGlass(t *testing.T) {
	run(t, func(t *testing.T, tgt *target, cfg rollout.Config) {
		cfg.Demands = func(target string) rollout.Demand { return rollout.Demand{Monitor: time.Hour} }
		cfg.Authorize = rollout.Roles{"dev": {rollout.ActionStart}, "lead": {rollout.ActionStart, rollout.ActionConfigure}}.Authorize
		e := open(t, cfg)
		p := briskly("1.4.0", "1.5.0")
		p.DangerouslyWithoutDemands = "the site is down"
		var forbidden *rollout.ForbiddenError
		if _, err := e.Start(t.Context(), p, rollout.Actor{Name: "dan", Roles: []string{"dev"}}); !errors.As(err, &forbidden) || forbidden.Action != rollout.ActionConfigure {
			t.Errorf("without the right: %v", err)
		}
		id, err := e.Start(t.Context(), p, rollout.Actor{Name: "lea", Roles: []string{"lead"}})
		if err != nil {
			t.Fatal(err)
		}
		for ev, err := range e.Events(t.Context(), id, 1) {
			if err != nil || !ev.Urgent || !strings.Contains(ev.Reason, "the site is down") {
				t.Errorf("it begins with %v, urgent %v, %v", ev, ev.Urgent, err)
			}
			break
		}
	})
}

// TestDemandsThatCannotBeUsed refuse every plan.
func TestDemandsThatCannotBeUsed(t *testing.T) {
	for name, f := range map[string]func(string) rollout.Demand{
		"panics":    func(string) rollout.Demand { panic("policy") },
		"not valid": func(string) rollout.Demand { return rollout.Demand{Never: []string{"ever"}, Monitor: -1, UpTo: 5} },
	} {
		t.Run(name, func(t *testing.T) {
			run(t, func(t *testing.T, tgt *target, cfg rollout.Config) {
				cfg.Demands = f
				_, err := open(t, cfg).Start(t.Context(), briskly("1.4.0", "1.5.0"), ana)
				var invalid *checks.InvalidError
				if !errors.As(err, &invalid) {
					t.Errorf("Start: %v", err)
				}
				if name == "not valid" {
					for _, f := range []string{"Demand.Never[0]", "Demand.Monitor", "Demand.UpTo"} {
						if !slices.Contains(invalidFields(err), f) {
							t.Errorf("%v does not name %s", err, f)
						}
					}
				}
			})
		})
	}
}
