package main

import (
	"bytes"
	"context"
	_ "embed"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/serin-go/serin/checks"
	"github.com/serin-go/serin/loadtest"
	"github.com/serin-go/serin/loadtest/modeltest"
	"github.com/serin-go/serin/loadtest/pace"
	"github.com/serin-go/serin/loadtest/workload"
	"github.com/serin-go/serin/rollout"
	"github.com/serin-go/serin/rollout/boltstore"
	"github.com/serin-go/serin/rollout/traffic"
	"github.com/serin-go/serin/strategies"
	"github.com/serin-go/serin/versioning"
)

//go:embed prompts.jsonl
var builtinPrompts []byte

// demo is the whole service in one process: two model servers, the router in
// front of them, the engine that moves its traffic, and the load.
type demo struct {
	cfg     config
	acts    []act
	servers [2]*server
	router  *traffic.Router
	engine  *rollout.Engine
	seen    *watch
	now     atomic.Pointer[act] // the act that is played, for its checks
}

// server is a model server whose version can be replaced.
type server struct {
	url string
	lm  atomic.Pointer[modeltest.Server]
}

func (s *server) ServeHTTP(w http.ResponseWriter, r *http.Request) { s.lm.Load().ServeHTTP(w, r) }

// run plays the acts and returns an error if one of them did not end as it
// should.
func run(ctx context.Context, cfg config, out io.Writer) (err error) {
	d := &demo{cfg: cfg, acts: acts, seen: newWatch()}
	if cfg.external() {
		d.acts = yours
	}
	store, err := boltstore.Open(cfg.Store)
	if err != nil {
		return err
	}
	defer store.Close()
	ctx, stop := context.WithCancel(ctx)
	defer stop()
	if err := d.serveModels(ctx); err != nil {
		return err
	}
	if err := d.route(); err != nil {
		return err
	}
	d.engine, err = rollout.Open(ctx, rollout.Config{
		Store:   store,
		Targets: map[string]rollout.Splitter{"chat": d.router},
		Checks: map[string]checks.Check{
			"candidate answers":  checks.Func(d.answers),
			"candidate is newer": checks.Func(d.isNewer),
		},
		Tick:       250 * time.Millisecond,
		Checkpoint: 500 * time.Millisecond,
	})
	if err != nil {
		return err
	}
	defer d.engine.Close()

	first, under, err := d.find(ctx)
	if err != nil {
		return err
	}
	if err := d.deploy(d.acts[first]); err != nil {
		return err
	}
	handler, err := d.handler(ctx, store)
	if err != nil {
		return err
	}
	front, err := listen(ctx, d.cfg.Addr, handler)
	if err != nil {
		return err
	}
	if at := consoleURL(front); d.cfg.Addr != "" {
		fmt.Fprintf(out, "see it live at %s\n", at)
	}
	view := newView(d, out)
	defer view.close()
	view.line("the router listens on %s; requests are split between two servers behind it", front)
	loadCtx, stopLoad := context.WithCancel(ctx)
	defer stopLoad()
	loaded, err := d.load(loadCtx, front)
	if err != nil {
		return err
	}
	results, err := d.play(ctx, view, first, under)
	if err != nil {
		return err
	}
	view.close()
	stopLoad()
	if err := d.conclude(ctx, out, results, <-loaded); err != nil || d.cfg.Addr == "" {
		return err
	}
	fmt.Fprintf(out, "the router goes on serving on %s, and the console at %s; interrupt to end\n", front, consoleURL(front))
	<-ctx.Done()
	return nil
}

// serveModels starts two servers on loopback ports, unless the user has some.
func (d *demo) serveModels(ctx context.Context) (err error) {
	for i := range d.servers {
		s := &server{}
		d.servers[i] = s
		if d.cfg.external() {
			s.url = []string{d.cfg.Baseline, d.cfg.Candidate}[i]
		} else if s.url, err = listen(ctx, "", s); err != nil {
			return err
		}
	}
	return nil
}

// route makes the router. Versions take turns on the two servers: each
// candidate is deployed where the version before the baseline was.
func (d *demo) route() (err error) {
	arms := make(map[string]traffic.Backend)
	backend := func(i int) traffic.Backend {
		return traffic.Backend{
			URL:   d.servers[i].url,
			Price: traffic.Price{Input: 500_000, Output: 1_500_000}, // 0.50 and 1.50 a million tokens
		}
	}
	for i, a := range d.acts {
		arms[a.from] = backend(min(i, 1))
		arms[a.to] = backend(1 - min(i, 1))
	}
	d.router, err = traffic.New(traffic.Config{
		Arms:             arms,
		Split:            strategies.Split{Arms: []strategies.Arm{{Name: d.acts[0].from, Weight: strategies.Full}}},
		FirstByteTimeout: 30 * time.Second,
		Observe:          d.seen.observe,
	})
	return err
}

// deploy puts the two versions of an act on their servers.
func (d *demo) deploy(a act) error {
	d.now.Store(&a)
	if d.cfg.external() {
		return nil
	}
	for i, version := range []string{a.from, a.to} {
		lm, err := modeltest.New(model(version))
		if err != nil {
			return err
		}
		if a.from != d.acts[0].from {
			i = 1 - i
		}
		d.servers[i].lm.Store(lm)
	}
	return nil
}

// find looks for a rollout that a killed process has left behind. It returns
// the act to begin with, and its rollout if it is under way.
func (d *demo) find(ctx context.Context) (first int, under rollout.ID, err error) {
	if d.cfg.Only > 0 {
		first = d.cfg.Only - 1
	}
	st, err := d.engine.Newest(ctx, "chat")
	if errors.Is(err, rollout.ErrNotFound) {
		return first, "", nil
	}
	if err != nil || st.Phase.Terminal() {
		return first, "", err
	}
	for i, a := range d.acts {
		if a.from == st.Plan.Baseline.Arm() && a.to == st.Plan.Candidate.Arm() {
			return i, st.ID, nil
		}
	}
	return 0, "", fmt.Errorf("%s holds the unfinished rollout %s (%s to %s), which this program does not know", d.cfg.Store, st.ID, st.Plan.Baseline, st.Plan.Candidate)
}

// play runs the acts one after the other.
func (d *demo) play(ctx context.Context, view *view, first int, under rollout.ID) ([]*result, error) {
	last := len(d.acts) - 1
	if d.cfg.Only > 0 {
		last = first
	}
	var results []*result
	for i := first; i <= last; i++ {
		a := d.acts[i]
		if err := d.deploy(a); err != nil {
			return nil, err
		}
		d.seen.begin()
		id := under
		if under = ""; id == "" {
			var err error
			if id, err = d.start(ctx, a.plan(d.bake())); err != nil {
				return nil, err
			}
		}
		r := &result{act: a, id: id}
		view.act(i+1, r)
		if err := d.follow(ctx, r, view); err != nil {
			return nil, err
		}
		r.load = d.seen.totals()
		results = append(results, r)
	}
	return results, nil
}

// start starts a rollout. What an earlier run in the same folder has left in service makes
// room, as the demonstration begins from the same version each time. A service leaves that to
// a person: what serves may be what users need.
func (d *demo) start(ctx context.Context, p rollout.Plan) (rollout.ID, error) {
	by := rollout.Actor{Name: "quickstart"}
	id, err := d.engine.Start(ctx, p, by)
	var stale *rollout.StaleBaselineError
	if errors.As(err, &stale) {
		p.DangerouslyReplaceServing = stale.Serving.Arm()
		return d.engine.Start(ctx, p, by)
	}
	return id, err
}

// follow collects the events of an act until it has ended, and samples what its
// candidate has shown meanwhile.
func (d *demo) follow(ctx context.Context, r *result, view *view) error {
	sampling, stop := context.WithCancel(ctx)
	var wg sync.WaitGroup
	wg.Go(func() { d.sample(sampling, r, view) })
	defer wg.Wait()
	defer stop()
	for ev, err := range d.engine.Events(ctx, r.id, 1) {
		if err != nil {
			return err
		}
		r.add(ev)
		view.event(ev)
	}
	return nil
}

// sample adds the newest judgement to the act's curve, twice a second until ctx ends.
func (d *demo) sample(ctx context.Context, r *result, view *view) {
	ticker := time.NewTicker(500 * time.Millisecond)
	defer ticker.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-ticker.C:
		}
		st, err := d.engine.Status(ctx, r.id)
		if err != nil || st.Judgement.Candidate.Requests == 0 {
			continue
		}
		r.curve = append(r.curve, st.Judgement)
		if len(r.curve)%4 == 0 {
			view.progress(st)
		}
	}
}

// bake is how long each stage lasts at least.
func (d *demo) bake() time.Duration {
	bake := 4 * time.Second
	if d.cfg.external() {
		bake = 30 * time.Second
	}
	return time.Duration(float64(bake) / d.cfg.Speed)
}

// load starts the load, which lasts until ctx ends. The channel then gets its
// report.
func (d *demo) load(ctx context.Context, target string) (<-chan *loadtest.Report, error) {
	prompts, err := d.prompts()
	if err != nil {
		return nil, err
	}
	rate := d.cfg.Rate
	if rate == 0 {
		if rate = 400 * d.cfg.Speed; d.cfg.external() {
			rate = 5
		}
	}
	plan := loadtest.Plan{
		Target: target, Model: d.cfg.Model, Prompts: prompts,
		Pacer: pace.Poisson(rate, 1), MaxTokens: 256, Drain: 10 * time.Second,
		Workers: 500, // a machine that is too slow for the rate gets less of it
		Header:  http.Header{},
		// 997 users, and each stays with one version.
		Prepare: func(seq uint64, r *http.Request) {
			r.Header.Set(traffic.UnitHeader, "user-"+strconv.FormatUint(seq*7919%997, 10))
		},
		OnResult: d.seen.result,
	}
	if d.cfg.Token != "" {
		plan.Header.Set("Authorization", "Bearer "+d.cfg.Token)
	}
	if err := plan.Validate(); err != nil {
		return nil, err
	}
	d.seen.rate = rate
	done := make(chan *loadtest.Report, 1)
	go func() {
		report, _ := loadtest.Run(ctx, plan) // the plan is valid, and the end of ctx is no error
		done <- report
	}()
	return done, nil
}

func (d *demo) prompts() ([]workload.Prompt, error) {
	if d.cfg.Prompts == "" {
		return workload.ReadPrompts(bytes.NewReader(builtinPrompts))
	}
	f, err := os.Open(d.cfg.Prompts)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	return workload.ReadPrompts(f)
}

// answers is the check "candidate answers".
func (d *demo) answers(ctx context.Context) checks.Result {
	i := 0
	if a := d.now.Load(); a.from == d.acts[0].from {
		i = 1
	}
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, strings.TrimRight(d.servers[i].url, "/")+"/v1/models", nil)
	if err != nil {
		return checks.Result{Err: err}
	}
	if d.cfg.Token != "" {
		req.Header.Set("Authorization", "Bearer "+d.cfg.Token)
	}
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		return checks.Result{Status: checks.Fail, Err: err}
	}
	defer resp.Body.Close()
	if resp.StatusCode != http.StatusOK {
		return checks.Result{Status: checks.Fail, Summary: "GET /v1/models: " + resp.Status}
	}
	return checks.Result{Status: checks.Pass, Summary: "GET /v1/models: " + resp.Status}
}

// isNewer is the check "candidate is newer".
func (d *demo) isNewer(context.Context) checks.Result {
	a := d.now.Load()
	if versioning.MustParse(a.to).Compare(versioning.MustParse(a.from)) <= 0 {
		return checks.Result{Status: checks.Fail, Summary: a.to + " does not come after " + a.from}
	}
	return checks.Result{Status: checks.Pass, Summary: a.to + " comes after " + a.from}
}

// listen serves h until ctx ends and returns its URL. No addr means a loopback
// port that is free.
func listen(ctx context.Context, addr string, h http.Handler) (string, error) {
	if addr == "" {
		addr = "127.0.0.1:0"
	}
	l, err := net.Listen("tcp", addr)
	if err != nil {
		return "", err
	}
	s := &http.Server{Handler: h, ReadHeaderTimeout: 10 * time.Second}
	go s.Serve(l)
	context.AfterFunc(ctx, func() {
		ctx, cancel := context.WithTimeout(context.Background(), 10*time.Second)
		defer cancel()
		s.Shutdown(ctx)
	})
	return "http://" + l.Addr().String(), nil
}
