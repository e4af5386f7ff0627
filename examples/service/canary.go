package main

import (
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"log/slog"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"slices"
	"time"

	client "github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/promhttp"
	"go.opentelemetry.io/otel/exporters/prometheus"
	"go.opentelemetry.io/otel/sdk/metric"

	"github.com/serin-go/serin/checks/health"
	"github.com/serin-go/serin/loadtest/modeltest"
	"github.com/serin-go/serin/rollout"
	"github.com/serin-go/serin/rollout/boltstore"
	"github.com/serin-go/serin/rollout/pgstore"
	"github.com/serin-go/serin/rollout/traffic"
	"github.com/serin-go/serin/rollout/traffic/trafficotel"
	"github.com/serin-go/serin/strategies"
	"github.com/serin-go/serin/versioning"
)

// deployment is what Serin adds to the service.
type deployment struct {
	config
	router *traffic.Router
	engine *rollout.Engine
	store  rollout.Store
	health *health.Monitor
	meters *metric.MeterProvider
	scrape http.Handler // of metrics
}

// open makes the router and opens the engine, which continues a rollout under way.
func open(ctx context.Context, c config, log *slog.Logger) (_ *deployment, err error) {
	d := &deployment{config: c}
	d.router, err = traffic.New(traffic.Config{
		Arms: map[string]traffic.Backend{
			c.Stable.String():    {URL: c.StableURL},
			c.Candidate.String(): {URL: c.CandidateURL},
		},
		Split:  strategies.Split{Arms: []strategies.Arm{{Name: c.Stable.String(), Weight: strategies.Full}}},
		Logger: log,
	})
	if err != nil {
		return nil, err
	}
	if d.store, err = openStore(ctx, c, log); err != nil {
		return nil, err
	}
	replica, _ := os.Hostname() // without a name the engine makes one up
	cfg := rollout.Config{
		Store:     d.store,
		Targets:   map[string]rollout.Splitter{"chat": d.router},
		LastKnown: rollout.LastKnownFile(filepath.Join(c.Dir, "last-known.json")),
		Observer:  rollout.Log(log), Logger: log, Tick: c.Tick,
	}
	if c.Database != "" {
		cfg.Replica = replica
	}
	if d.engine, err = rollout.Open(ctx, cfg); err != nil {
		return nil, errors.Join(err, d.store.Close())
	}
	if err = d.observe(); err != nil {
		return nil, errors.Join(err, d.Close())
	}
	return d, nil
}

// observe makes the probes, and the metrics for Prometheus.
func (d *deployment) observe() (err error) {
	d.health, err = health.New(health.Config{Components: slices.Concat(
		health.Components(rollout.Health(d.engine), health.Component{Shared: true}), // all replicas have the store in common
		health.Components(traffic.Health(d.router), health.Component{Matters: health.Warn}),
	)})
	if err != nil {
		return err
	}
	producer, err := trafficotel.NewProducer(d.router, trafficotel.Config{})
	if err != nil {
		return err
	}
	registry := client.NewRegistry()
	exporter, err := prometheus.New(prometheus.WithRegisterer(registry), prometheus.WithProducer(producer))
	if err != nil {
		return err
	}
	d.meters = metric.NewMeterProvider(metric.WithReader(exporter))
	d.scrape = promhttp.HandlerFor(registry, promhttp.HandlerOpts{})
	return nil
}

func (d *deployment) Close() error {
	err := errors.Join(d.engine.Close(), d.store.Close())
	if d.meters != nil {
		err = errors.Join(err, d.meters.Shutdown(context.Background()))
	}
	return err
}

// plan gives the candidate 5, 25, 50 and 100 % of the users, each for Bake or longer.
func (d *deployment) plan() rollout.Plan {
	return rollout.Plan{
		Target:    "chat",
		Baseline:  versioning.Release{Version: d.Stable},
		Candidate: versioning.Release{Version: d.Candidate},
		Strategy:  strategies.Canary{Bake: d.Bake},
	}
}

// withUser makes all requests of a user meet the same version.
func withUser(r *http.Request) context.Context {
	return traffic.WithUnit(r.Context(), r.Header.Get("X-User"))
}

// openStore opens PostgreSQL, or a file where there is no DATABASE_URL.
func openStore(ctx context.Context, c config, log *slog.Logger) (rollout.Store, error) {
	if c.Database != "" {
		return pgstore.Open(ctx, pgstore.Config{URL: c.Database})
	}
	file := filepath.Join(c.Dir, "service.db")
	log.Warn("DATABASE_URL is not set: rollouts are stored in a file, so only one process can serve", "file", file)
	return boltstore.Open(file)
}

// smallModel serves a small model on this machine until ctx ends, and returns its URL.
func smallModel(ctx context.Context) (string, error) {
	model, err := modeltest.New(modeltest.Config{TTFT: 50 * time.Millisecond, TimePerToken: 5 * time.Millisecond, Jitter: 0.3})
	if err != nil {
		return "", err
	}
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return "", err
	}
	server := &http.Server{Handler: model, ReadHeaderTimeout: 10 * time.Second}
	context.AfterFunc(ctx, func() { _ = server.Close() })
	go func() { _ = server.Serve(listener) }()
	return "http://" + listener.Addr().String(), nil
}

// admin starts rollouts, gives them commands and returns their status as JSON.
func (d *deployment) admin() http.Handler {
	mux := http.NewServeMux()
	status := func(w http.ResponseWriter, r *http.Request, err error) {
		var st rollout.Status
		if err == nil {
			st, err = d.engine.Newest(r.Context(), "chat")
		}
		if err != nil {
			http.Error(w, err.Error(), http.StatusConflict)
			return
		}
		_ = json.NewEncoder(w).Encode(st)
	}
	mux.Handle("/livez", d.health.Live())
	mux.Handle("/readyz", d.health.Ready())
	mux.Handle("/startupz", d.health.Startup())
	mux.Handle("GET /metrics", d.scrape)
	mux.HandleFunc("GET /rollout", func(w http.ResponseWriter, r *http.Request) { status(w, r, nil) })
	mux.HandleFunc("POST /rollout/{command}", func(w http.ResponseWriter, r *http.Request) {
		by := rollout.Actor{Name: cmp.Or(r.Header.Get("X-User"), "operator")}
		if r.PathValue("command") == "start" {
			_, err := d.engine.Start(r.Context(), d.plan(), by)
			status(w, r, err)
			return
		}
		var command strategies.Command
		err := command.UnmarshalText([]byte(r.PathValue("command")))
		st, newest := d.engine.Newest(r.Context(), "chat")
		if err = errors.Join(err, newest); err == nil {
			err = d.engine.Do(r.Context(), st.ID, command, by, rollout.Because(r.FormValue("reason")))
		}
		status(w, r, err)
	})
	return mux
}
