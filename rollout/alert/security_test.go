package alert_test

import (
	"errors"
	"fmt"
	"os"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/serin-go/serin/checks"
	"github.com/serin-go/serin/rollout"
	"github.com/serin-go/serin/rollout/alert"
	"github.com/serin-go/serin/rollout/memstore"
)

// TestSecurity: each kind makes one alert with a count when there are enough events, and none
// with one event less.
func TestSecurity(t *testing.T) {
	for _, kind := range alert.SecurityKinds() {
		t.Run(kind.Kind, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				r := &receiver{}
				m, _ := start(t, alert.Config{Store: new(memstore.Store), Receivers: one(r)})
				event := alert.SecurityEvent{Kind: kind.Kind, Source: "mallory", Target: "chat", Summary: "seen\r\nhere"}
				for range kind.Count - 1 {
					if err := m.Security(event); err != nil {
						t.Fatal(err)
					}
				}
				wait(kind.Within + time.Minute)
				want(t, "one less", r.story(), nil)
				for range 3 * kind.Count {
					if err := m.Security(event); err != nil {
						t.Fatal(err)
					}
				}
				wait(2 * time.Minute)
				name := "Security" + kind.Kind + " " + kind.Severity.String()
				want(t, "told", r.story(), []string{name + " fires"})
				if a := m.Firing()[0]; a.Labels["source"] != "mallory" || a.Values["count"] == "" || strings.ContainsAny(a.Summary, "\r\n") || a.Labels["ocsf_class"] != fmt.Sprint(kind.Class) {
					t.Errorf("%+v", a)
				}
				wait(2 * time.Hour)
				s := r.story()
				if ended := strings.HasSuffix(s[len(s)-1], "ended"); ended == kind.Stays {
					t.Errorf("%q", s)
				}
			})
		})
	}
}

func TestRefusals(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := &receiver{}
		m, _ := start(t, alert.Config{Store: new(memstore.Store), Receivers: one(r)})
		for i := range 50 {
			m.Refused(t.Context(), rollout.Refusal{By: rollout.Actor{Name: fmt.Sprint("bot", i)}, Action: "abort", Target: "chat", Rule: "authorize", Reason: "may not"})
			m.Refused(t.Context(), rollout.Refusal{By: ana, Action: "abort", Target: "chat", Rule: "conflict", Reason: "too late"})
		}
		wait(time.Minute)
		if f := m.Firing(); len(f) != 1 || f[0].Labels["source"] != "all" || f[0].Values["count"] != "50" {
			t.Errorf("%+v", f)
		}
	})
}

// However many sources there are, memory and alerts are bounded.
func TestSecurityIsBounded(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := &receiver{}
		m, _ := start(t, alert.Config{Store: new(memstore.Store), Receivers: one(r)})
		for i := range 20_000 {
			if err := m.Security(alert.SecurityEvent{Kind: "SignInNew", Source: fmt.Sprint("net", i)}); err != nil {
				t.Fatal(err)
			}
		}
		wait(2 * time.Minute)
		if c := m.Counts(); c.Firing > 1001 || len(r.messages()) > 2 { // one a minute
			t.Errorf("%+v, %d messages", c, len(r.messages()))
		}
		var invalid *checks.InvalidError
		if err := m.Security(alert.SecurityEvent{Kind: "Nonsense"}); !errors.As(err, &invalid) {
			t.Error(err)
		}
	})
}

// TestRunbooks: each alert has a runbook.
func TestRunbooks(t *testing.T) {
	text, err := os.ReadFile("RUNBOOKS.md")
	if err != nil {
		t.Fatal(err)
	}
	names := []string{alert.RolloutRolledBack, alert.RolloutHeld, alert.RolloutApproval, alert.RolloutIncident, alert.RolloutRegressed, alert.RolloutFailed, alert.SplitNotInForce, alert.LeaderLost,
		alert.StoreSilent, alert.CheckFailed, alert.EvidenceExpiring, alert.WaiverLapsed, alert.BudgetBurn, alert.Anomaly, alert.DeadLetter, "AlertStorm", "SilenceEnded", "Heartbeat"}
	for _, k := range alert.SecurityKinds() {
		names = append(names, "Security"+k.Kind)
	}
	for _, name := range names {
		if !strings.Contains(string(text), "\n## "+name+"\n") {
			t.Errorf("no runbook for %s", name)
		}
	}
}
