package examples_test

import (
	"context"
	"net/http"
	"os"
	"time"

	"golang.org/x/mod/sumdb/note"

	"github.com/serin-go/serin/checks"
	"github.com/serin-go/serin/checks/analysis"
	"github.com/serin-go/serin/checks/analysis/answer"
	"github.com/serin-go/serin/checks/health"
	"github.com/serin-go/serin/loadtest"
	"github.com/serin-go/serin/rollout"
	"github.com/serin-go/serin/rollout/audit"
	"github.com/serin-go/serin/rollout/traffic"
	"github.com/serin-go/serin/rollout/traffic/cost"
	"github.com/serin-go/serin/strategies"
)

// These functions hold the code that the guides show. They are compiled and not run.
var _ = []any{routing, routes, budget, people, several, retain, outage, unit, lowTraffic, shadow, gate, forecast, withHealth}

func routing(pool14, pool15 http.RoundTripper, book *cost.Book, ledger *cost.Ledger, judge func(context.Context, traffic.Pair) (float64, float64, bool), warehouse func(traffic.Exposure)) traffic.Config {
	return traffic.Config{
		Arms: map[string]traffic.Backend{
			"1.4.0": {URL: "http://chat-1-4", Transport: pool14, PriceOf: book.Price},
			"1.5.0": {URL: "http://chat-1-5", Transport: pool15, PriceOf: book.Price, Model: "chat-1.5"},
		},
		Unit:    func(r *http.Request) string { return r.Header.Get("X-User") },
		Layers:  []traffic.Layer{traffic.Holdout("2026", strategies.Percent(2))}, // never meet a candidate
		Mirror:  traffic.Mirroring{Compare: judge, MaxCost: 20_000_000},          // shadow traffic, judged
		Charged: ledger.Charge,                                                   // what each tenant has spent
		Exposed: traffic.OnceEach(1_000_000, warehouse),                          // which unit met which version, and why
		Drain:   5 * time.Minute,                                                 // for streams of a version that has lost its traffic
	}
}

func routes() traffic.Config {
	return traffic.Config{
		Routes: func(method, path string) (answer.Route, bool) {
			return answer.Route{API: answer.Chat, Kind: answer.Inference}, path == "/ask"
		},
	}
}

func budget(ledger *cost.Ledger, router *traffic.Router, tenantOf func(*http.Request) string) http.Handler {
	limit := func(tenant string) analysis.Money { return 100_000_000 } // 100.00 a day
	handler := ledger.Guard(router, tenantOf, limit)                   // 429 beyond it
	return handler
}

func people() rollout.Plan {
	return rollout.Plan{
		Strategy: strategies.Sequence(
			strategies.Shadow{Share: strategies.Percent(5)},
			strategies.Canary{
				Weights: strategies.Exponential(10, 10), // 0.1, 1, 10, 100 %
				Prove:   strategies.Percent(10),
				Approve: &strategies.Approval{Roles: []string{"sre"}, FourEyes: true, MFA: 5 * time.Minute},
			}),
		Windows:  []rollout.Window{{Days: "mon-thu", From: "09:00", To: "16:00", Zone: "Europe/Vienna", Budget: 2}},
		Monitor:  24 * time.Hour,
		Holdback: strategies.Percent(1),
		RampDown: strategies.RampSteps(strategies.Percent(50), 4, time.Minute),
	}
}

func several(store rollout.Store, router *traffic.Router) rollout.Config {
	hostname, _ := os.Hostname()
	return rollout.Config{
		Store: store, Targets: map[string]rollout.Splitter{"chat": router},
		Replica: hostname, // unique among the processes, and the same after a restart
	}
}

func retain(signer note.Signer) rollout.Config {
	return rollout.Config{
		Retain: rollout.Retain{
			Rollouts: 100, For: 90 * 24 * time.Hour,
			Archive: audit.Archive{Dir: "/var/lib/serin/archive", Signer: signer},
		},
	}
}

func outage() rollout.Config {
	return rollout.Config{
		LastKnown:  rollout.LastKnownFile("/var/lib/serin/last-known"),
		LastResort: rollout.LastResortFile("/var/lib/serin/last-resort"),
	}
}

func unit(r *http.Request) traffic.Config {
	ctx := traffic.WithUnit(r.Context(), r.Header.Get("X-User"))
	_ = ctx
	return traffic.Config{
		Unit: func(r *http.Request) string { return r.Header.Get("X-Tenant") },
	}
}

func lowTraffic() strategies.Strategy {
	return strategies.Canary{
		Weights: []strategies.Weight{strategies.Percent(10), strategies.Percent(50)},
		Bake:    2 * time.Hour, // each stage lasts as long as it takes to see something
		Limit:   48 * time.Hour,
		OnLimit: strategies.ActionRollBack,
	}
}

func shadow() strategies.Strategy {
	return strategies.Shadow{Share: strategies.Percent(50)} // no user meets the candidate
}

func gate(plan loadtest.Plan, limit analysis.Threshold) map[string]checks.Check {
	return map[string]checks.Check{"load": loadtest.Gate(plan, limit)}
}

func forecast(plan rollout.Plan) (rollout.Forecast, error) {
	forecast, err := plan.Forecast(analysis.Traffic{PerSecond: 0.5})
	return forecast, err
}

// withHealth adds probes and a graceful shutdown to a service.
func withHealth(ctx context.Context, engine *rollout.Engine, mux *http.ServeMux, service http.Handler) (*http.Server, error) {
	monitor, err := health.New(health.Config{Components: health.Components(rollout.Health(engine), health.Component{Shared: true})})
	if err != nil {
		return nil, err
	}
	go monitor.Run(ctx)
	mux.Handle("/livez", monitor.Live())
	mux.Handle("/readyz", monitor.Ready())
	server := &http.Server{Handler: monitor.Track(service)}
	return server, nil
}
