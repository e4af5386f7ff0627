// Command gateway is a complete OpenAI-compatible LLM gateway with canary rollouts of
// new model versions, to start from.
//
//	GATEWAY_TOKEN=secret go run ./examples/gateway
//	curl localhost:8080/v1/chat/completions -d '{"model":"tinylm","stream":true,"messages":[{"role":"user","content":"What is light?"}]}'
//	curl -H 'Authorization: Bearer secret' -X POST localhost:8080/rollout/start    # or abort, pause, resume, promote
//	curl -H 'Authorization: Bearer secret' localhost:8080/rollout                  # the status
//	curl localhost:8080/v1/feedback -d '{"id":"<header Serin-Request-Id>","score":1}'
//
// A user is the header X-User or the field user. Without STABLE_URL
// and CANDIDATE_URL two small models in this process stand for the versions. A
// gateway that is started again continues its rollout. Metrics are at /metrics.
package main

import (
	"cmp"
	"context"
	"crypto/rand"
	"crypto/subtle"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"os"
	"os/signal"
	"syscall"
	"time"

	"github.com/sethvargo/go-envconfig"

	"github.com/serin-go/serin/checks/analysis"
	"github.com/serin-go/serin/loadtest/modeltest"
	"github.com/serin-go/serin/rollout"
	"github.com/serin-go/serin/rollout/boltstore"
	"github.com/serin-go/serin/rollout/traffic"
	"github.com/serin-go/serin/strategies"
	"github.com/serin-go/serin/versioning"
)

type config struct {
	Addr         string             `env:"GATEWAY_ADDR, default=localhost:8080"`
	Store        string             `env:"GATEWAY_STORE, default=gateway.db"` // the file that keeps rollouts
	Token        string             `env:"GATEWAY_TOKEN"`                     // for /rollout, which is closed without one
	Stable       versioning.Version `env:"STABLE_VERSION, default=1.4.0"`
	StableURL    string             `env:"STABLE_URL"`
	Candidate    versioning.Version `env:"CANDIDATE_VERSION, default=1.5.0"`
	CandidateURL string             `env:"CANDIDATE_URL"`
	Bake         time.Duration      `env:"ROLLOUT_BAKE, default=1m"` // the least time of each stage
	Drain        time.Duration      `env:"DRAIN, default=10m"`       // for requests under way when the gateway is stopped
}

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	context.AfterFunc(ctx, stop) // a second signal ends the process
	var c config
	log := slog.New(slog.NewTextHandler(os.Stderr, nil))
	err := envconfig.Process(ctx, &c)
	if err == nil {
		err = serve(ctx, c, log, func(addr string) { log.Info("gateway listens", "addr", addr) })
	}
	if err != nil {
		log.Error("gateway", "error", err)
		os.Exit(1)
	}
}

type gateway struct {
	config
	router *traffic.Router
	engine *rollout.Engine
}

// serve runs the gateway until ctx ends, and then lets requests finish.
func serve(ctx context.Context, c config, log *slog.Logger, ready func(addr string)) (err error) {
	g := &gateway{config: c}
	if g.router, err = route(c, log); err != nil {
		return err
	}
	store, err := boltstore.Open(c.Store)
	if err != nil {
		return err
	}
	defer store.Close()
	g.engine, err = rollout.Open(ctx, rollout.Config{
		Store: store, Targets: map[string]rollout.Splitter{"chat": g.router}, Observer: rollout.Log(log), Logger: log,
	})
	if err != nil {
		return err
	}
	defer g.engine.Close()

	mux := http.NewServeMux()
	mux.Handle("/v1/", g.router)
	mux.HandleFunc("POST /v1/feedback", g.feedback)
	mux.HandleFunc("GET /metrics", g.metrics)
	mux.HandleFunc("GET /rollout", g.rollout)
	mux.HandleFunc("POST /rollout/{command}", g.rollout)
	listener, err := net.Listen("tcp", c.Addr)
	if err != nil {
		return err
	}
	server := &http.Server{Handler: mux, ReadHeaderTimeout: 10 * time.Second}
	drained := make(chan error, 1)
	context.AfterFunc(ctx, func() {
		limit, cancel := context.WithTimeout(context.WithoutCancel(ctx), c.Drain)
		defer cancel()
		drained <- server.Shutdown(limit)
	})
	ready(listener.Addr().String())
	if err := server.Serve(listener); !errors.Is(err, http.ErrServerClosed) {
		return err
	}
	return <-drained // Serve returns when Shutdown begins
}

// route makes the router, with a backend for each version.
func route(c config, log *slog.Logger) (*traffic.Router, error) {
	arms := make(map[string]traffic.Backend)
	for version, url := range map[string]string{c.Stable.String(): c.StableURL, c.Candidate.String(): c.CandidateURL} {
		backend := traffic.Backend{URL: url}
		if url == "" {
			lm, err := modeltest.New(modeltest.Config{TTFT: 50 * time.Millisecond, TimePerToken: 5 * time.Millisecond, Jitter: 0.3})
			if err != nil {
				return nil, err
			}
			backend.Handler = lm
		}
		arms[version] = backend
	}
	all := []strategies.Arm{{Name: c.Stable.String(), Weight: strategies.Full}}
	return traffic.New(traffic.Config{Arms: arms, Split: strategies.Split{Arms: all}, Unit: user, Logger: log})
}

// user returns the user of a request.
func user(r *http.Request) string {
	var body struct{ User string }
	if r.Header.Get("X-User") == "" {
		_ = json.NewDecoder(r.Body).Decode(&body) // what is not JSON is for the model to refuse
	}
	return cmp.Or(r.Header.Get("X-User"), body.User, rand.Text()) // else a new user each time
}

// plan raises the candidate's share stage by stage, and watches it afterwards.
func (c config) plan() rollout.Plan {
	satisfaction := analysis.Satisfaction()
	satisfaction.Role = analysis.Guard // few users answer: it can stop a rollout, not hold it up
	return rollout.Plan{
		Target: "chat", Baseline: versioning.Release{Version: c.Stable}, Candidate: versioning.Release{Version: c.Candidate},
		Strategy: strategies.Canary{Bake: c.Bake, OnLimit: strategies.ActionRollBack, OnNoEvidence: strategies.ActionRollBack},
		Analysis: analysis.Plan{Metrics: append(analysis.DefaultMetrics(), satisfaction), Unit: analysis.PerUser},
		Monitor:  c.Bake,
	}
}

// rollout starts a rollout, gives it a command, or only returns its status.
func (g *gateway) rollout(w http.ResponseWriter, r *http.Request) {
	if g.Token == "" || subtle.ConstantTimeCompare([]byte(r.Header.Get("Authorization")), []byte("Bearer "+g.Token)) != 1 {
		http.Error(w, "want Authorization: Bearer, with the token of GATEWAY_TOKEN", http.StatusUnauthorized)
		return
	}
	admin := rollout.Actor{Name: "admin"}
	var command strategies.Command
	st, err := g.engine.Newest(r.Context(), "chat")
	if name := r.PathValue("command"); name == "start" {
		_, err = g.engine.Start(r.Context(), g.plan(), admin)
	} else if name != "" && err == nil {
		if err = command.UnmarshalText([]byte(name)); err == nil {
			err = g.engine.Do(r.Context(), st.ID, command, admin)
		}
	}
	if err != nil {
		http.Error(w, err.Error(), http.StatusConflict)
	} else if st, err = g.engine.Newest(r.Context(), "chat"); err == nil {
		_ = json.NewEncoder(w).Encode(st) // a client that has gone needs no answer
	}
}

// feedback records a user's rating of an answer.
func (g *gateway) feedback(w http.ResponseWriter, r *http.Request) {
	var f struct {
		ID    string
		Score float64
	}
	if err := json.NewDecoder(http.MaxBytesReader(w, r.Body, 1000)).Decode(&f); err != nil || f.ID == "" {
		http.Error(w, `want {"id":"...","score":0 to 1}`, http.StatusBadRequest)
		return
	}
	fmt.Fprintln(w, g.router.Feedback(f.ID, f.Score))
}

// metrics returns counters of each version for Prometheus.
func (g *gateway) metrics(w http.ResponseWriter, _ *http.Request) {
	for _, s := range g.router.Stats() {
		fmt.Fprintf(w, "serin_in_flight{arm=%q} %d\nserin_fallbacks_total{arm=%q} %d\n", s.Arm, s.InFlight, s.Arm, s.Fallbacks)
		for class, n := range s.ByClass {
			fmt.Fprintf(w, "serin_requests_total{arm=%q,class=%q} %d\n", s.Arm, class, n)
		}
	}
	for _, a := range g.router.Split().Arms {
		fmt.Fprintf(w, "serin_weight{arm=%q} %g\n", a.Name, float64(a.Weight)/float64(strategies.Full))
	}
}
