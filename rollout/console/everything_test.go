package console_test

import (
	"context"
	"testing/fstest"
	"time"

	"github.com/serin-go/serin/checks/checklist"
	"github.com/serin-go/serin/checks/health"
	"github.com/serin-go/serin/rollout"
	"github.com/serin-go/serin/rollout/alert"
	"github.com/serin-go/serin/rollout/console"
	"github.com/serin-go/serin/rollout/ledger"
)

// everything configures all that a console can show.
func everything(w *world) {
	t := w.t
	led, err := ledger.Open(t.Context(), ledger.Config{Store: w.store, Authorize: w.cfg.May})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { led.Close() })
	list, err := checklist.New("deployment", checklist.Section{Name: "security", Items: []checklist.Item{
		{ID: "tls", Title: "Encryption in transit", Owner: "eve", Check: w.checks["pass"], Firm: true},
		{ID: "docs", Title: "Runbook is read", Owner: "ana", Attest: &checklist.Attest{}},
		{ID: "tuning", Title: "Model is tuned", Owner: "ben", Check: w.checks["fail"]},
	}})
	if err != nil {
		t.Fatal(err)
	}
	led.Use(list)
	alerts, err := alert.New(alert.Config{Store: w.store, Receivers: map[string]alert.Notifier{"chat-room": alert.NotifierFunc(func(context.Context, alert.Notification) error { return nil })}})
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	t.Cleanup(cancel)
	go alerts.Run(ctx)
	if err := alerts.Set(t.Context(), alert.Alert{Name: "RolloutHeld", Labels: map[string]string{"target": "chat"}, Severity: alert.Critical, Summary: "chat/1 is held since 02:10", Runbook: "https://wiki.example.com/held"}); err != nil {
		t.Fatal(err)
	}
	monitor, err := health.New(health.Config{Components: []health.Component{{Name: "store", Check: w.checks["pass"]}}})
	if err != nil {
		t.Fatal(err)
	}
	go monitor.Run(ctx)
	w.cfg.Ledger, w.cfg.Lists, w.cfg.Alerts, w.cfg.Health = led, map[string]*checklist.List{"deployment": list}, alerts, monitor
	w.cfg.Call = func(string) (string, string) { return "ben until 08:00", "https://wiki.example.com/runbook" }
	w.cfg.Panels = []console.Panel{
		{Name: "cost", Title: "Cost", Template: `<table><tr><th scope="row">{{.Version}}</th><td>{{.Spent}}</td></tr></table>`, Data: func(_ context.Context, id string) (any, error) {
			if id != "" {
				return nil, rollout.ErrNotFound
			}
			return struct{ Version, Spent string }{"1.5.0", "12.30 €"}, nil
		}},
		{Name: "load", Data: func(context.Context, string) (any, error) { return map[string]int{"requests": 12}, nil }},
	}
	w.cfg.Plans = fstest.MapFS{"next.yaml": {Data: []byte(nextPlan)}, "wrong.yaml": {Data: []byte("apiVersion: serin/v1\nbke: 10\n")}, "notes.txt": {Data: []byte("-")}}
	time.Sleep(time.Second)
}

const nextPlan = `apiVersion: serin/v1
target: chat
baseline: {version: "1.5.0"}
candidate: {version: "1.6.0"}
strategy:
  canary: {bake: 30m}
`
