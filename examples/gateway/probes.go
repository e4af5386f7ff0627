package main

import (
	"context"
	"net/http"

	"github.com/serin-go/serin/checks"
)

// leads reports whether the engine follows the newest rollout and its split is in force.
func (g *gateway) leads(context.Context) checks.Result {
	switch engine := g.engine.Load(); {
	case engine == nil:
		return checks.Result{Status: checks.Fail, Summary: "the store is not open"}
	case !engine.Health()[0].Follows || engine.Health()[0].PlaneErr != nil:
		return checks.Result{Status: checks.Fail, Summary: "the split is not in force"}
	}
	return checks.Result{Status: checks.Pass}
}

// probes answers Kubernetes and load balancers.
func (g *gateway) probes() *http.ServeMux {
	mux := http.NewServeMux()
	mux.Handle("/livez", g.health.Live())
	mux.Handle("/startupz", g.health.Startup())
	mux.Handle("/readyz", g.health.Ready())
	return mux
}
