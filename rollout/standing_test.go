package rollout_test

import (
	"context"
	"errors"
	"runtime"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/serin-go/serin/checks"
	"github.com/serin-go/serin/rollout"
	"github.com/serin-go/serin/strategies"
)

// certificate is a standing check whose result a test sets.
type certificate struct {
	mu     sync.Mutex
	result checks.Result
	looks  int
	phases map[string]bool
}

func (c *certificate) Check(ctx context.Context) checks.Result {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.looks++
	if s, ok := checks.SubjectOf(ctx); ok {
		c.phases[s.Phase] = true
	}
	return c.result
}

func (c *certificate) set(s checks.Status, summary string) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.result = checks.Result{Status: s, Summary: summary}
}

func (c *certificate) seen() int {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.looks
}

// standing begins a rollout with a standing check, and waits until it has traffic.
func standing(t *testing.T, tgt *target, cfg rollout.Config, s rollout.Standing) (*rollout.Engine, rollout.ID, *certificate) {
	t.Helper()
	c := &certificate{phases: make(map[string]bool)}
	c.set(checks.Pass, "")
	cfg.Checks["certificate"] = c
	e := open(t, cfg)
	go tgt.serve(t.Context(), time.Second)
	p := briskly("1.4.0", "1.5.0")
	p.Strategy = strategies.Canary{Weights: []strategies.Weight{5000}, Bake: 15 * time.Minute, Limit: time.Hour, DangerouslyPromoteUnproven: true}
	s.Check = "certificate"
	p.Standing = []rollout.Standing{s}
	id := begin(t, e, p)
	time.Sleep(time.Minute)
	return e, id, c
}

func pauses(t *testing.T, e *rollout.Engine, id rollout.ID) (n int) {
	t.Helper()
	for seq := uint64(1); seq <= status(t, e, id).Seq; seq++ {
		for ev, err := range e.Events(t.Context(), id, seq) {
			if err != nil {
				t.Fatal(err)
			}
			if ev.Kind == rollout.Paused {
				n++
				if ev.Rule != "standing" || ev.Checks == nil || len(ev.Checks.Results) != 1 {
					t.Errorf("paused by %v with %+v", ev, ev.Checks)
				}
			}
			break
		}
	}
	return n
}

// TestStandingCheckHolds: a check that fails pauses the rollout once, however often its
// result changes meanwhile; a person accepts the failure by going on, and a new failure
// pauses again.
func TestStandingCheckHolds(t *testing.T) {
	run(t, func(t *testing.T, tgt *target, cfg rollout.Config) {
		e, id, c := standing(t, tgt, cfg, rollout.Standing{Every: 10 * time.Second})
		if st := status(t, e, id); st.Paused || st.Phase != strategies.Baking {
			t.Fatalf("%v, paused %v: %s", st.Phase, st.Paused, st.Reason)
		}
		at := func(paused bool, says string) {
			t.Helper()
			time.Sleep(30 * time.Second)
			st := status(t, e, id)
			if st.Paused != paused || !strings.Contains(st.Reason, says) || st.Split.Weight("1.5.0") != 5000 {
				t.Fatalf("paused %v: %s, the candidate has %v; want paused %v: %s", st.Paused, st.Reason, st.Split.Weight("1.5.0"), paused, says)
			}
		}
		c.set(checks.Fail, "it has expired")
		at(true, "certificate: fail: it has expired")
		for range 5 {
			c.set(checks.Pass, "")
			at(true, "expired")
			c.set(checks.Fail, "it has expired")
			at(true, "expired")
		}
		if n := pauses(t, e, id); n != 1 {
			t.Errorf("%d pauses, want 1", n)
		}
		if err := e.Do(t.Context(), id, strategies.Resume, ana); err != nil {
			t.Fatal(err)
		}
		at(false, "resumed")
		c.set(checks.Pass, "")
		at(false, "resumed")
		c.set(checks.Fail, "it has expired again")
		at(true, "expired again")
		if n := pauses(t, e, id); n != 2 {
			t.Errorf("%d pauses, want 2", n)
		}
		c.set(checks.Warn, "a day is left")
		time.Sleep(30 * time.Second)
		if err := e.Do(t.Context(), id, strategies.Resume, ana); err != nil {
			t.Fatal(err)
		}
		time.Sleep(15 * time.Minute)
		if st := status(t, e, id); st.Phase == strategies.Baking && st.Stage == 0 {
			t.Errorf("it has not gone on: %s", st.Waiting)
		}
		if c.phases["preflight"] || !c.phases["baking"] {
			t.Errorf("it was asked in %v", c.phases)
		}
	})
}

// TestStandingFailureAcceptedElsewhere: a resume that another process has committed
// accepts the failure too; the leader does not pause again because of it.
func TestStandingFailureAcceptedElsewhere(t *testing.T) {
	run(t, func(t *testing.T, tgt *target, cfg rollout.Config) {
		cfg.Checkpoint = 10 * time.Second // a lone engine sees a command then
		e, id, c := standing(t, tgt, cfg, rollout.Standing{Every: 10 * time.Second})
		c.set(checks.Fail, "it has expired")
		time.Sleep(30 * time.Second)
		if st := status(t, e, id); !st.Paused {
			t.Fatalf("it goes on: %s", st.Reason)
		}
		commander, err := rollout.Commander(cfg.Store, rollout.Config{Checks: cfg.Checks})
		if err != nil {
			t.Fatal(err)
		}
		if err := commander.Do(t.Context(), id, strategies.Resume, ana); err != nil {
			t.Fatal(err)
		}
		time.Sleep(time.Minute)
		if st, n := status(t, e, id), pauses(t, e, id); st.Paused || n != 1 {
			t.Errorf("paused %t after %d pauses: %s", st.Paused, n, st.Reason)
		}
	})
}

// TestStandingCheckRollsBack: a failure takes the candidate out also while the rollout is
// paused, and against a person who promotes; and there are no looks after the end.
func TestStandingCheckRollsBack(t *testing.T) {
	run(t, func(t *testing.T, tgt *target, cfg rollout.Config) {
		e, id, c := standing(t, tgt, cfg, rollout.Standing{OnFail: strategies.ActionRollBack, Every: time.Second})
		if err := e.Do(t.Context(), id, strategies.Pause, ana); err != nil {
			t.Fatal(err)
		}
		c.set(checks.Fail, "revoked")
		time.Sleep(3 * time.Second)
		st := status(t, e, id)
		if st.Phase != strategies.RolledBack || !strings.Contains(st.Reason, "certificate: fail: revoked") || st.Split.Weight("1.5.0") != 0 {
			t.Fatalf("%v: %s, the candidate has %v", st.Phase, st.Reason, st.Split.Weight("1.5.0"))
		}
		looks := c.seen()
		time.Sleep(time.Minute)
		if more := c.seen() - looks; more > 0 {
			t.Errorf("%d looks after the end", more)
		}
		events := finish(t, e, id)
		steps, err := rollout.Replay(events, st.Plan)
		if err != nil || len(steps) == 0 || steps[len(steps)-1].Phase != strategies.RolledBack {
			t.Errorf("the replay ends with %+v, %v", steps, err)
		}
	})
}

// TestStandingCheckIsNotKnown: what is not known is borne for the time of grace, also when
// the check never returns, and does not start it a second time.
func TestStandingCheckIsNotKnown(t *testing.T) {
	looks := time.Duration(10_000)
	if rollout.RaceEnabled {
		looks = 300
	}
	for _, hangs := range []bool{false, true} {
		run(t, func(t *testing.T, tgt *target, cfg rollout.Config) {
			release := make(chan struct{})
			defer close(release)
			began := 0
			cfg.Checks["vendor"] = checks.Func(func(context.Context) checks.Result {
				if began++; hangs {
					<-release // whatever becomes of the context
				}
				return checks.Result{Err: errors.New("no answer")}
			})
			e := open(t, cfg)
			go tgt.serve(t.Context(), time.Minute)
			p := briskly("1.4.0", "1.5.0")
			p.Strategy = strategies.Canary{Weights: []strategies.Weight{5000}, Bake: 10 * time.Hour, Limit: 24 * time.Hour, DangerouslyPromoteUnproven: true}
			p.Standing = []rollout.Standing{{Check: "vendor", Every: time.Second, Grace: 2 * time.Minute, OnFail: strategies.ActionEscalate}}
			id := begin(t, e, p)
			time.Sleep(time.Minute + 50*time.Second)
			before := runtime.NumGoroutine()
			if st := status(t, e, id); st.Paused {
				t.Fatalf("paused within the time of grace: %s", st.Reason)
			}
			time.Sleep(20 * time.Second)
			if st := status(t, e, id); !st.Paused || rule(t, e, id) != strategies.RuleStanding || !strings.Contains(st.Reason, "vendor") {
				t.Fatalf("paused %v: %s", st.Paused, st.Reason)
			}
			time.Sleep(looks * time.Second)
			if now := runtime.NumGoroutine(); now > before+2 {
				t.Errorf("%d goroutines, %d before", now, before)
			}
			if n := pauses(t, e, id); n != 1 {
				t.Errorf("%d pauses, want 1", n)
			}
			if hangs && began != 1 {
				t.Errorf("the check was started %d times", began)
			}
		})
	}
}

func TestStandingIsValidated(t *testing.T) {
	p := briskly("1.4.0", "1.5.0")
	p.Standing = []rollout.Standing{{}, {Check: "a", Every: -1}, {Check: "a", Grace: -1}, {Check: "b", OnFail: strategies.ActionContinue}}
	err := p.Validate()
	want := []string{"Plan.Standing[0].Check", "Plan.Standing[1].Every", "Plan.Standing[2].Check", "Plan.Standing[2].Grace", "Plan.Standing[3].OnFail"}
	if got := invalidFields(err); !slices.Equal(got, want) {
		t.Errorf("%q, want %q", got, want)
	}
	run(t, func(t *testing.T, _ *target, cfg rollout.Config) {
		p := briskly("1.4.0", "1.5.0")
		p.Standing = []rollout.Standing{{Check: "nowhere"}}
		if _, err := open(t, cfg).Start(t.Context(), p, ana); !slices.Equal(invalidFields(err), []string{"Plan.Standing[0].Check"}) {
			t.Errorf("a check that is not bound: %v", err)
		}
	})
}
