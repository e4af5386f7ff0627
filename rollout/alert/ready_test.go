package alert_test

import (
	"context"
	"errors"
	"math/rand/v2"
	"slices"
	"strings"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/serin-go/serin/checks"
	"github.com/serin-go/serin/checks/anomaly"
	"github.com/serin-go/serin/checks/burn"
	"github.com/serin-go/serin/checks/checklist"
	"github.com/serin-go/serin/rollout"
	"github.com/serin-go/serin/rollout/alert"
	"github.com/serin-go/serin/rollout/memstore"
	"github.com/serin-go/serin/strategies"
	"github.com/serin-go/serin/versioning"
)

func look(r alert.Rule) []alert.Alert { return r.Look(context.Background(), time.Now()) }

func TestBurnRule(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b, err := burn.New(burn.Config{Objective: burn.MustObjective("99.9%")})
		if err != nil {
			t.Fatal(err)
		}
		rule := alert.Burn("answers", b, map[string]string{"target": "chat"})
		b.Add(0, 1) // one bad request of one is not significant
		if a := look(rule); len(a) != 1 || !a[0].Unknown {
			t.Errorf("little traffic: %+v", a)
		}
		b.Add(10_000, 0)
		b.Add(900, 100)
		a := look(rule)
		if len(a) != 1 || a[0].Severity != alert.Warning && a[0].Severity != alert.Critical || a[0].Values["burn"] == "" || !strings.Contains(a[0].Summary, "budget answers burns") {
			t.Errorf("%+v", a)
		}
		b.Add(0, 1000)
		if a := look(rule); a[0].Severity != alert.Critical || a[0].Labels["budget"] != "answers" {
			t.Errorf("%+v", a)
		}
	})
}

func TestExpiringRule(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		list, err := checklist.New("ongoing", checklist.Section{Name: "compliance", Items: []checklist.Item{
			{ID: "audit", Owner: "pia", Scope: checklist.OfOrganisation, Attest: &checklist.Attest{Valid: 30 * 24 * time.Hour}}}})
		if err != nil {
			t.Fatal(err)
		}
		var records checklist.Memory
		if err := records.Keep(t.Context(), checklist.Record{Kind: checklist.Vote, Item: "audit", Result: checks.Result{Status: checks.Pass}, By: checklist.Person{Name: "pia"}, At: time.Now(), Until: time.Now().Add(30 * 24 * time.Hour)}); err != nil {
			t.Fatal(err)
		}
		serving := false
		rule := alert.Expiring(list, &records, func() (checks.Subject, bool) { return checks.Subject{Target: "chat"}, serving })
		for _, tt := range []struct {
			after time.Duration
			name  string
			want  alert.Severity
		}{{20 * 24 * time.Hour, "", 0}, {4 * 24 * time.Hour, alert.EvidenceExpiring, alert.Info}, {5*24*time.Hour + 12*time.Hour, alert.EvidenceExpiring, alert.Warning}, {24 * time.Hour, alert.WaiverLapsed, alert.Warning}} {
			time.Sleep(tt.after)
			a := look(rule)
			if tt.name == "" {
				if len(a) > 0 {
					t.Errorf("%+v", a)
				}
				continue
			}
			if len(a) != 1 || a[0].Name != tt.name || a[0].Severity != tt.want || a[0].Labels["check"] != "audit" {
				t.Errorf("%s: %+v", tt.name, a)
			}
		}
		serving = true
		if a := look(rule); len(a) != 1 || a[0].Severity != alert.Critical {
			t.Errorf("%+v", a)
		}
	})
}

func TestChecksRule(t *testing.T) {
	status := checks.Pass
	rule := alert.Checks(map[string]checks.Check{"disk": checks.Func(func(context.Context) checks.Result {
		return checks.Result{Status: status, Summary: "10 % free"}
	})})
	for s, want := range map[checks.Status]string{checks.Pass: "", checks.Warn: "", checks.Fail: "fails", checks.Unknown: "unknown"} {
		status = s
		a := look(rule)
		if (want == "") != (len(a) == 0) || len(a) == 1 && a[0].Unknown != (want == "unknown") {
			t.Errorf("%v: %+v", s, a)
		}
	}
}

func TestSeriesRule(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		random := rand.New(rand.NewPCG(1, 1))
		var shift atomic.Int64
		r := &receiver{}
		rule := alert.Series(map[string]func(time.Time) float64{"queue": func(time.Time) float64 { return 100 + random.NormFloat64() + float64(shift.Load()) }},
			func(string) anomaly.Detector {
				d, err := anomaly.NewRobust(anomaly.Tuning{})
				if err != nil {
					t.Error(err)
				}
				return d
			}, map[string]string{"target": "chat"})
		start(t, alert.Config{Store: new(memstore.Store), Receivers: one(r), Rules: map[string]alert.Rule{"series": rule}})
		wait(2 * time.Hour)
		want(t, "ordinary", r.story(), nil)
		shift.Store(30)
		wait(10 * time.Minute)
		want(t, "an outage", r.story(), []string{"Anomaly warning fires"})
		shift.Store(0)
		wait(10 * time.Minute)
		want(t, "over", r.story(), []string{"Anomaly warning fires", "Anomaly warning ended"})
	})
}

// plane is a splitter that can refuse.
type plane struct{ refuses atomic.Bool }

func (p *plane) SetSplit(context.Context, strategies.Split) error {
	if p.refuses.Load() {
		return errors.New("the proxy does not answer")
	}
	return nil
}

var release = func(v string) versioning.Release { return versioning.Release{Version: versioning.MustParse(v)} }

// TestEngine follows a rollout of a real engine: an approval that waits, a split that is not in
// force, dead letters and their redelivery.
func TestEngine(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		store, r, p := new(memstore.Store), &receiver{}, &plane{}
		var m *alert.Manager
		var refuse atomic.Bool
		refuse.Store(true)
		sinks := map[string]rollout.Sink{
			"alerts": rollout.SinkFunc(func(ctx context.Context, e rollout.Event) error { return m.Notify(ctx, e) }),
			"strict": rollout.SinkFunc(func(_ context.Context, e rollout.Event) error {
				if refuse.Load() && e.Kind == rollout.Started {
					return rollout.Permanent(errors.New("answered 400"))
				}
				return nil
			}),
		}
		engine, err := rollout.Open(t.Context(), rollout.Config{Store: store, Targets: map[string]rollout.Splitter{"chat": p}, Sinks: sinks})
		if err != nil {
			t.Fatal(err)
		}
		defer engine.Close()
		m, _ = start(t, alert.Config{Store: store, Receivers: one(r), Rules: map[string]alert.Rule{"engine": alert.Engine(func() *rollout.Engine { return engine }, store), "letters": alert.Letters(store)}})
		id, err := engine.Start(t.Context(), rollout.Plan{Target: "chat", Baseline: release("1.4.0"), Candidate: release("1.5.0"),
			Strategy: strategies.Canary{Weights: []strategies.Weight{2500}, Bake: time.Minute, Limit: 2 * time.Minute, DangerouslyPromoteUnproven: true, Approve: &strategies.Approval{Timeout: 40 * time.Minute}, OnNoEvidence: strategies.ActionContinue},
		}, ana)
		if err != nil {
			t.Fatal(err)
		}
		wait(5 * time.Minute)
		want(t, "dead letter", r.story()[:1], []string{"DeadLetter error fires"})
		refuse.Store(false)
		if err := engine.Redeliver(t.Context(), "strict", string(id)+"/1"); err != nil {
			t.Fatal(err)
		}
		wait(2 * time.Minute)
		if s := r.story(); !slices.Contains(s, "DeadLetter error ended") {
			t.Errorf("redelivered: %q", s)
		}
		for range 10 { // until the approval
			if st, _ := engine.Status(t.Context(), id); st.Phase == strategies.Approving {
				break
			}
			wait(time.Minute)
		}
		wait(2 * time.Minute)
		before := len(r.story())
		if s := r.story(); !slices.Contains(s, "RolloutApproval info fires") {
			st, _ := engine.Status(t.Context(), id)
			t.Fatalf("%q, %v, %s, %s", s, st.Phase, st.Waiting, st.Reason)
		}
		wait(20 * time.Minute)
		if s := r.story(); len(s) != before {
			t.Errorf("an approval that waits: %q", s[before:])
		}
		wait(10 * time.Minute) // the last quarter
		want(t, "reminder", r.story()[before:], []string{"RolloutApproval warning fires"})
		began := time.Now()
		p.refuses.Store(true)
		if err := engine.Do(t.Context(), id, strategies.Abort, ben); err == nil {
			t.Error("the split is in force")
		}
		wait(time.Minute)
		var told []string
		for i, s := range r.story() {
			if at := r.times()[i]; !at.Before(began) {
				told = append(told, s)
			}
		}
		if all := strings.Join(told, "; "); !strings.Contains(all, "SplitNotInForce critical fires") || !strings.Contains(all, "RolloutRolledBack warning fires") {
			t.Errorf("an abort that is not in force: %q", told)
		}
		p.refuses.Store(false)
		wait(5 * time.Minute)
		if s := strings.Join(r.story(), "; "); !strings.Contains(s, "SplitNotInForce critical ended") {
			t.Errorf("in force again: %q", s)
		}
	})
}

// names are the names of the alerts that a rule returns.
func names(r alert.Rule) (all []string) {
	for _, a := range look(r) {
		all = append(all, a.Name+" "+a.Severity.String())
	}
	return all
}

func TestStoreSilent(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p := newProcess(new(memstore.Store), 0, false)
		engine, err := rollout.Open(t.Context(), rollout.Config{Store: p, Targets: map[string]rollout.Splitter{"chat": &plane{}}, Replica: "a"})
		if err != nil {
			t.Fatal(err)
		}
		defer engine.Close()
		if _, err := engine.Start(t.Context(), rollout.Plan{Target: "chat", Baseline: release("1.4.0"), Candidate: release("1.5.0")}, ana); err != nil {
			t.Fatal(err)
		}
		wait(time.Minute)
		rule := alert.Engine(func() *rollout.Engine { return engine }, p)
		want(t, "the store answers", names(rule), nil)
		close(p.dead)
		wait(2 * time.Minute)
		want(t, "the store is silent", names(rule), []string{"StoreSilent critical"})
		want(t, "without an engine", names(alert.Engine(func() *rollout.Engine { return nil }, p)), nil)
	})
}

func TestLeaderLost(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		store := new(memstore.Store)
		first := newProcess(store, 0, false)
		open := func(s rollout.Store, name string) *rollout.Engine {
			e, err := rollout.Open(t.Context(), rollout.Config{Store: s, Targets: map[string]rollout.Splitter{"chat": &plane{}}, Replica: name, Lease: time.Hour})
			if err != nil {
				t.Fatal(err)
			}
			return e
		}
		a := open(first, "a")
		defer a.Close()
		if _, err := a.Start(t.Context(), rollout.Plan{Target: "chat", Baseline: release("1.4.0"), Candidate: release("1.5.0")}, ana); err != nil {
			t.Fatal(err)
		}
		b := open(store, "b")
		defer b.Close()
		wait(time.Minute)
		rule := alert.Engine(func() *rollout.Engine { return b }, store)
		var seen []string
		looks := func(n int) {
			seen = nil
			for range n {
				seen = append(seen, names(rule)...)
				wait(5 * time.Second)
			}
		}
		close(first.dead) // a does not renew its lease, which b respects for an hour
		looks(30)
		if !slices.Contains(seen, "LeaderLost critical") {
			t.Errorf("nobody leads: %q", seen)
		}
	})
}
