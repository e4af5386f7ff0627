// Command gateway is a complete OpenAI-compatible LLM gateway with canary rollouts of
// new model versions, to start from. README.md says how a team runs it in Kubernetes.
//
//	GATEWAY_TOKEN=secret go run ./examples/gateway
//	curl localhost:8080/v1/chat/completions -d '{"model":"tinylm","stream":true,"messages":[{"role":"user","content":"What is light?"}]}'
//
// On a second listener, for operators and their tools:
//
//	curl -H 'Authorization: Bearer secret' -X POST localhost:8081/rollout/start    # or abort, pause, resume, promote
//	curl -H 'Authorization: Bearer secret' localhost:8081/rollout                  # the status
//	curl -d id=<header Serin-Request-Id> -d score=1 localhost:8081/feedback
//	curl localhost:8081/metrics
//	http://localhost:8081/serin/                # the console; sign in with the token
//
// A user is the header X-User or the field user, or the key that was sent. Without
// STABLE_URL and CANDIDATE_URL two small models in this process stand for the versions. A
// gateway that is started again continues its rollout.
package main

import (
	"cmp"
	"context"
	"crypto/rand"
	"crypto/subtle"
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"os"
	"os/signal"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"time"

	"github.com/sethvargo/go-envconfig"

	"github.com/serin-go/serin/checks"
	"github.com/serin-go/serin/checks/analysis"
	"github.com/serin-go/serin/checks/health"
	"github.com/serin-go/serin/loadtest/modeltest"
	"github.com/serin-go/serin/rollout"
	"github.com/serin-go/serin/rollout/alert"
	"github.com/serin-go/serin/rollout/alert/notify"
	"github.com/serin-go/serin/rollout/boltstore"
	"github.com/serin-go/serin/rollout/console"
	"github.com/serin-go/serin/rollout/envfile"
	"github.com/serin-go/serin/rollout/privacy"
	"github.com/serin-go/serin/rollout/traffic"
	"github.com/serin-go/serin/rollout/traffic/apikeys"
	"github.com/serin-go/serin/rollout/traffic/cost"
	"github.com/serin-go/serin/rollout/traffic/trafficprom"
	"github.com/serin-go/serin/strategies"
	"github.com/serin-go/serin/versioning"
)

// config holds the settings, from the environment or from members of the same names in a
// file. The environment goes before the file.
type config struct {
	Addr   string        `env:"GATEWAY_ADDR, default=localhost:8080"`       // for callers
	Admin  string        `env:"GATEWAY_ADMIN_ADDR, default=localhost:8081"` // for operators; do not expose it
	Store  string        `env:"GATEWAY_STORE, default=gateway.db"`          // the file that keeps rollouts
	Token  notify.Secret `env:"GATEWAY_TOKEN"`                              // for /rollout, which is closed without one
	Keys   string        `env:"GATEWAY_KEYS"`                               // the file with the keys of callers, see package apikeys
	Prices string        `env:"GATEWAY_PRICES"`                             // the file with the prices of models, see package cost
	Models []string      `env:"GATEWAY_MODELS, default=tinylm"`             // that callers are offered

	Alerts notify.Receivers `env:", prefix=GATEWAY_"` // GATEWAY_SLACK and GATEWAY_ALERTMANAGER, where alerts are sent

	Redact privacy.Direction `env:"GATEWAY_REDACT, default=none"` // personal data in requests to models, in answers, or in both

	Stable       versioning.Version `env:"STABLE_VERSION, default=1.4.0"`
	StableURL    string             `env:"STABLE_URL"`
	StableKey    notify.Secret      `env:"STABLE_KEY"` // for its servers, in place of the caller's
	Candidate    versioning.Version `env:"CANDIDATE_VERSION, default=1.5.0"`
	CandidateURL string             `env:"CANDIDATE_URL"`
	CandidateKey notify.Secret      `env:"CANDIDATE_KEY"`

	Bake  time.Duration `env:"ROLLOUT_BAKE, default=1m"`   // the least time of each stage
	Stall time.Duration `env:"REQUEST_STALL, default=10s"` // for the next byte of a request's body
	Delay time.Duration `env:"DRAIN_DELAY, default=15s"`   // until balancers know that the gateway is not ready
	Drain time.Duration `env:"DRAIN, default=10m"`         // for requests under way after that
}

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	context.AfterFunc(ctx, stop) // a second signal ends the process
	file := flag.String("config", os.Getenv("GATEWAY_CONFIG"), "a JSON `file` with settings")
	check := flag.Bool("check", false, "print what the configuration means, and exit")
	flag.Parse()
	g := &gateway{log: slog.New(slog.NewTextHandler(os.Stderr, nil))}
	settings, err := envfile.Read(*file)
	if err == nil {
		err = errors.Join(envconfig.ProcessWith(ctx, &envconfig.Config{Target: &g.config, Lookuper: settings}), settings.Unused())
	}
	if err == nil {
		err = g.prepare()
	}
	if err == nil && *check {
		fmt.Printf("%+v\nteams with keys: %q\nterminationGracePeriodSeconds: more than %.0f\n", g.config, g.access.Load().keys.Teams(), (g.Delay + g.Drain + traffic.CutTime).Seconds())
	} else if err == nil {
		err = g.serve(ctx, func(callers, admin string) { g.log.Info("gateway listens", "callers", callers, "admin", admin) })
	}
	if err != nil {
		g.log.Error("gateway", "error", err)
		os.Exit(1)
	}
}

type gateway struct {
	config
	log    *slog.Logger
	access atomic.Pointer[access]
	router *traffic.Router
	health *health.Monitor
	told   map[string]alert.Notifier
	engine atomic.Pointer[rollout.Engine]  // nil until the store is open
	pages  atomic.Pointer[console.Console] // as well
}

// access says who may ask, and what that costs.
type access struct {
	keys   *apikeys.Keys
	prices *cost.Book
}

// reload reads the keys and the prices. If that fails, those before stay in force.
func (g *gateway) reload() error {
	keys, err := apikeys.ReadFile(g.Keys)
	prices, failed := cost.ReadBookFile(g.Prices)
	if err = errors.Join(err, failed); err == nil {
		g.access.Store(&access{keys, prices})
	}
	return err
}

// authenticate returns the team of a request, and whether it may ask. Replace it to have
// another service decide.
func (g *gateway) authenticate(r *http.Request) (team string, ok bool) {
	if g.Keys == "" {
		return "", true
	}
	return g.access.Load().keys.Authenticate(r)
}

// prepare makes everything that needs no network.
func (g *gateway) prepare() error {
	arms := make(map[string]traffic.Backend)
	redactor, bad := privacy.NewRedactor(privacy.Config{})
	for _, v := range []struct {
		versioning.Version
		url string
		key notify.Secret
	}{{g.Stable, g.StableURL, g.StableKey}, {g.Candidate, g.CandidateURL, g.CandidateKey}} {
		b := traffic.Backend{URL: v.url, Transport: redactor.Transport(nil, g.Redact), Credentials: traffic.Drop, PriceOf: func(model string) (traffic.Price, bool) { return g.access.Load().prices.Price(model) }}
		if v.key != "" {
			b.Header = http.Header{"Authorization": {"Bearer " + string(v.key)}}
		}
		if v.url == "" {
			lm, err := modeltest.New(modeltest.Config{Models: g.Models, TTFT: 50 * time.Millisecond, TimePerToken: 5 * time.Millisecond, Jitter: 0.3})
			if err != nil {
				return err
			}
			b.Handler = redactor.Handler(lm, g.Redact)
		}
		arms[v.String()] = b
	}
	router, err := traffic.New(traffic.Config{Arms: arms, Split: strategies.Split{Arms: []strategies.Arm{{Name: g.Stable.String(), Weight: strategies.Full}}}, Unit: user, Tenant: apikeys.TeamOf, RequestStall: g.Stall, Logger: g.log})
	monitor, failed := health.New(health.Config{Every: time.Second, Components: []health.Component{{Name: "rollouts", Check: checks.Func(g.leads)}}})
	told, invalid := g.Alerts.Notifiers(g.log)
	g.router, g.health, g.told = router, monitor, told
	return errors.Join(err, failed, bad, invalid, g.plan().Validate(), g.reload())
}

// serve runs the gateway until ctx ends, and then lets requests finish.
func (g *gateway) serve(ctx context.Context, ready func(callers, admin string)) error {
	hup := make(chan os.Signal, 1)
	signal.Notify(hup, syscall.SIGHUP)
	defer signal.Stop(hup)
	callers, err := net.Listen("tcp", g.Addr)
	if err != nil {
		return err
	}
	defer callers.Close()
	admin, err := net.Listen("tcp", g.Admin)
	if err != nil {
		return err
	}
	// The router limits the times of bodies and answers.
	public := &http.Server{Handler: http.MaxBytesHandler(g.public(), 64<<20), ReadHeaderTimeout: 10 * time.Second, IdleTimeout: 2 * time.Minute, MaxHeaderBytes: 64 << 10}
	shutdown := traffic.Graceful(public)
	private := &http.Server{Handler: g.private(), ReadTimeout: 10 * time.Second, MaxHeaderBytes: 64 << 10}
	defer private.Close()
	failed := make(chan error, 2)
	go func() { failed <- public.Serve(callers) }()
	go func() { failed <- private.Serve(admin) }()
	var working sync.WaitGroup
	defer working.Wait()
	rolling, end := context.WithCancel(context.WithoutCancel(ctx))
	defer end() // when all requests have ended
	working.Go(func() { g.roll(rolling) })
	working.Go(func() { _ = g.health.Run(rolling) })
	ready(callers.Addr().String(), admin.Addr().String())
	for ctx.Err() == nil {
		select {
		case err := <-failed:
			return err
		case <-hup:
			g.log.Info("keys and prices are read again", "error", g.reload())
		case <-ctx.Done():
		}
	}
	g.health.Drain(rolling, health.Drain{Notice: max(g.Delay, 1), Streams: -1}) // balancers notice meanwhile
	limit, cancel := context.WithTimeout(rolling, g.Drain)
	defer cancel()
	if err := shutdown(limit); err != nil {
		g.log.Warn("requests were cut", "error", err)
	}
	var requests, cuts uint64
	for _, s := range g.router.Stats() {
		requests, cuts = requests+s.Requests, cuts+s.Cut
	}
	g.log.Info("gateway ends", "requests", requests, "cut", cuts)
	return nil
}

// roll leads the rollouts until ctx ends. While the store cannot be opened, the baseline
// serves.
func (g *gateway) roll(ctx context.Context) {
	store, err := boltstore.Open(g.Store)
	for ; err != nil; store, err = boltstore.Open(g.Store) {
		g.log.Error("the store cannot be opened; the baseline serves", "error", err)
		select {
		case <-ctx.Done():
			return
		case <-time.After(time.Second):
		}
	}
	defer store.Close()
	alerts, invalid := alert.New(alert.Config{Store: store, Receivers: g.told, Logger: g.log, Rules: alert.Ready(g.engine.Load, store)})
	engine, err := rollout.Open(ctx, rollout.Config{
		Store: store, Targets: map[string]rollout.Splitter{"chat": g.router}, Observer: rollout.Log(g.log), Logger: g.log, Sinks: map[string]rollout.Sink{"alerts": alerts},
	})
	if err = errors.Join(invalid, err); err != nil {
		g.log.Error("rollouts cannot be led; the baseline serves", "error", err)
		return
	}
	defer engine.Close()
	g.engine.Store(engine)
	if err := g.openConsole(ctx, engine, store, alerts); err != nil {
		g.log.Error("the console is not open", "error", err)
	}
	_ = alerts.Run(ctx) // until ctx ends
}

// public serves callers.
func (g *gateway) public() http.Handler {
	var models http.Handler = g.router
	if ledger, err := cost.NewLedger(cost.Config{Logger: g.log}); err == nil && g.Keys != "" {
		models = ledger.Guard(g.router, apikeys.TeamOf, func(team string) analysis.Money { return g.access.Load().keys.Budget(team) })
	} else {
		g.log.Warn("open to every caller, since GATEWAY_KEYS is not set")
	}
	mux, list := g.probes(), traffic.ModelList(g.Models...)
	mux.Handle("/v1/", apikeys.Require(models, g.authenticate))
	mux.Handle("GET /v1/models", apikeys.Require(list, g.authenticate))
	mux.Handle("GET /v1/models/", apikeys.Require(list, g.authenticate))
	return mux
}

// private serves operators and their tools.
func (g *gateway) private() http.Handler {
	mux := g.probes()
	mux.Handle("GET /metrics", trafficprom.New(g.router))
	mux.HandleFunc("GET /rollout", g.rollout)
	mux.HandleFunc("POST /rollout/{command}", g.rollout)
	mux.HandleFunc("POST /feedback", g.feedback)
	mux.HandleFunc("/serin/", g.console)
	return mux
}

// user returns the user of a request within its team, or its key.
func user(r *http.Request) string {
	var body struct{ User string }
	if r.Header.Get("X-User") == "" {
		_ = json.NewDecoder(r.Body).Decode(&body) // what is not JSON is for the model to refuse
	}
	team, name := apikeys.TeamOf(r), cmp.Or(r.Header.Get("X-User"), body.User)
	if team != "" && name == "" {
		return apikeys.HashOf(r)
	}
	return cmp.Or(strings.Trim(team+"/"+name, "/"), rand.Text()) // else a new user each time
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
	engine := g.engine.Load()
	if g.Token == "" || subtle.ConstantTimeCompare([]byte(r.Header.Get("Authorization")), []byte("Bearer "+string(g.Token))) != 1 {
		http.Error(w, "want Authorization: Bearer, with the token of GATEWAY_TOKEN", http.StatusUnauthorized)
		return
	} else if engine == nil {
		http.Error(w, "the store is not open", http.StatusServiceUnavailable)
		return
	}
	var command strategies.Command
	st, err := engine.Newest(r.Context(), "chat")
	if name := r.PathValue("command"); name == "start" {
		_, err = engine.Start(r.Context(), g.plan(), rollout.Actor{Name: "admin"})
	} else if name != "" && err == nil {
		if err = command.UnmarshalText([]byte(name)); err == nil {
			err = engine.Do(r.Context(), st.ID, command, rollout.Actor{Name: "admin"})
		}
	}
	if err != nil {
		http.Error(w, err.Error(), http.StatusConflict)
	} else if st, err = engine.Newest(r.Context(), "chat"); err == nil {
		_ = json.NewEncoder(w).Encode(st) // a client that has gone needs no answer
	}
}

// feedback records a user's rating of an answer, a score from 0 to 1.
func (g *gateway) feedback(w http.ResponseWriter, r *http.Request) {
	if score, err := strconv.ParseFloat(r.FormValue("score"), 64); err != nil || r.FormValue("id") == "" {
		http.Error(w, "want id and score", http.StatusBadRequest)
	} else {
		fmt.Fprintln(w, g.router.Feedback(r.FormValue("id"), score))
	}
}
