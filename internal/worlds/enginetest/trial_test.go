package enginetest_test

import (
	"context"
	"fmt"
	"io"
	"math/rand/v2"
	"net/http"
	"net/http/httptest"
	"strconv"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/serin-go/serin/checks/analysis"
	"github.com/serin-go/serin/internal/worlds"
	"github.com/serin-go/serin/rollout"
	"github.com/serin-go/serin/rollout/memstore"
	"github.com/serin-go/serin/rollout/traffic"
	"github.com/serin-go/serin/strategies"
	"github.com/serin-go/serin/versioning"
)

// versions are the baseline and the candidates.
var versions = []string{"1.4.0", "1.5.0", "1.5.1", "1.5.2"}

// trial is a service under a rollout, with callers who come at random.
type trial struct {
	number    int // of the world
	variant   string
	runs      int // by default, for each that the flag asks for; zero means 1
	perSecond float64
	// services are the baseline and its candidates.
	services []worlds.Service
	servers  int           // of each version; zero: no request waits
	pool     bool          // all versions share the servers
	patience time.Duration // after which callers leave; zero: never
	handler  bool          // requests go through the Handler, otherwise the RoundTripper
	restart  time.Duration // between restarts of the process; zero: none
	// stages are the stages of the rollout; if nil, strategy makes them.
	stages   []strategies.Stage
	strategy strategies.Strategy
	goal     string
	likes    []float64 // share of approval by version; nil: no answer is rated
	claims   []worlds.Claim
	// look sees each event, with the numbers of requests that the versions were sent.
	look func(t testing.TB, ev rollout.Event, asked []int64)
}

// outcome is how a rollout has ended.
type outcome struct {
	worlds.Result
	end     rollout.Event
	winner  string
	dropped []string
}

// play plays one rollout in virtual time.
func (tr *trial) play(t *testing.T, seed uint64) (out outcome) {
	synctest.Test(t, func(t *testing.T) {
		p := &process{trial: tr, seed: seed, store: new(memstore.Store)}
		for i, s := range tr.services {
			f := &fleet{service: s, seed: seed}
			if tr.servers > 0 {
				f.servers = make(chan struct{}, tr.servers)
			}
			if tr.pool && i > 0 {
				f.servers = p.fleets[0].servers
			}
			p.fleets = append(p.fleets, f)
		}
		out = p.run(t)
	})
	return out
}

// process is the process that serves, in all its lives.
type process struct {
	*trial
	seed   uint64
	store  *memstore.Store
	fleets []*fleet
	sent   int // requests

	id    rollout.ID
	mu    sync.Mutex
	asked map[uint64][]int64 // by event
}

// run lives until the rollout has ended.
func (p *process) run(t *testing.T) outcome {
	p.asked = make(map[uint64][]int64)
	rng := rand.New(rand.NewPCG(p.seed, uint64(p.number)))
	for {
		st, over := p.life(t, rng)
		if over {
			return p.outcome(t, st)
		}
	}
}

// life opens an engine and a router, and serves until the next restart or the end of the
// rollout. What is in flight then is lost.
func (p *process) life(t *testing.T, rng *rand.Rand) (st rollout.Status, over bool) {
	router := p.router(t)
	ended := make(chan struct{})
	e, err := rollout.Open(t.Context(), rollout.Config{
		Store: p.store, Targets: map[string]rollout.Splitter{"chat": router},
		Observer: rollout.ObserverFunc(func(_ context.Context, ev rollout.Event) {
			p.observe(t, ev)
			if ev.Kind == rollout.Paused || ev.Phase.Terminal() {
				close(ended)
			}
		}),
	})
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	var callers sync.WaitGroup
	defer callers.Wait()
	defer cancel()
	defer e.Close()
	if p.id == "" {
		if p.id, err = e.Start(ctx, p.plan(), rollout.Actor{Name: "ana"}); err != nil {
			t.Fatal(err)
		}
	}
	callers.Go(func() {
		for {
			if wait(ctx, time.Duration(rng.ExpFloat64()/p.perSecond*1e9)) != nil {
				return
			}
			p.sent++
			n := p.sent
			callers.Go(func() { p.call(ctx, t, router, n) })
		}
	})
	restart := p.restart
	if restart == 0 {
		restart = 10 * strategies.DefaultHorizon
	}
	select {
	case <-ended:
		over = true
	case <-time.After(restart):
	}
	if st, err = e.Status(ctx, p.id); err != nil {
		t.Fatal(err)
	}
	return st, over || st.Phase.Terminal()
}

func (p *process) router(t *testing.T) *traffic.Router {
	cfg := traffic.Config{
		Arms: map[string]traffic.Backend{}, Unit: traffic.UnitOf,
		Split: strategies.Split{Arms: []strategies.Arm{{Name: versions[0], Weight: strategies.Full}}},
	}
	for i, f := range p.fleets {
		cfg.Arms[versions[i]] = traffic.Backend{URL: "http://" + versions[i] + ".invalid", Transport: f}
	}
	r, err := traffic.New(cfg)
	if err != nil {
		t.Fatal(err)
	}
	return r
}

func release(version string) versioning.Release {
	return versioning.Release{Version: versioning.MustParse(version)}
}

func (p *process) plan() rollout.Plan {
	plan := rollout.Plan{
		Target: "chat", Baseline: release(versions[0]), Candidate: release(versions[1]),
		Stages: p.stages, Strategy: p.strategy, Goal: p.goal,
	}
	for i := 2; i < len(p.fleets); i++ {
		plan.Rivals = append(plan.Rivals, release(versions[i]))
	}
	return plan
}

// call sends request n and reads its answer.
func (p *process) call(ctx context.Context, t *testing.T, router *traffic.Router, n int) {
	if p.patience > 0 {
		var cancel context.CancelFunc
		ctx, cancel = context.WithTimeout(ctx, p.patience)
		defer cancel()
	}
	ask := `{"model":"m"}`
	if p.services[0].Document == 0 {
		ask = `{"model":"m","stream":true}`
	}
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, "http://models/v1/chat/completions", strings.NewReader(ask))
	if err != nil {
		t.Error(err)
		return
	}
	req.Header.Set("Content-Type", "application/json")
	req.Header.Set(traffic.UnitHeader, fmt.Sprintf("user%d-%d", p.seed, n))
	req.Header.Set(numberHeader, strconv.Itoa(n))
	if p.handler {
		defer func() {
			if r := recover(); r != nil && r != http.ErrAbortHandler {
				panic(r)
			}
		}()
		router.ServeHTTP(httptest.NewRecorder(), req)
		return
	}
	resp, err := router.RoundTripper().RoundTrip(req)
	if err != nil {
		return // the caller has left, or the answer has failed
	}
	_, err = io.Copy(io.Discard, resp.Body)
	_ = resp.Body.Close()
	if p.likes != nil && err == nil {
		p.rate(router, resp, n)
	}
}

// rate rates an answer.
func (p *process) rate(router *traffic.Router, resp *http.Response, n int) {
	for i, v := range versions[:len(p.fleets)] {
		if v == resp.Header.Get(traffic.VersionHeader) {
			up := rand.New(rand.NewPCG(^p.seed, uint64(n))).Float64() < p.likes[i]
			router.Feedback(resp.Header.Get(traffic.RequestHeader), analysis.FromThumb(up))
		}
	}
}

func (p *process) observe(t *testing.T, ev rollout.Event) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if _, seen := p.asked[ev.Seq]; seen {
		return // by an earlier life
	}
	var asked []int64
	for _, f := range p.fleets {
		asked = append(asked, f.asked.Load())
	}
	p.asked[ev.Seq] = asked
	if p.look != nil {
		p.look(t, ev, asked)
	}
}

// outcome returns how the rollout has ended.
func (p *process) outcome(t *testing.T, st rollout.Status) outcome {
	out := outcome{Result: worlds.Result{Harmed: -1, Safe: -1}, winner: st.Winner, dropped: st.Dropped}
	p.mu.Lock()
	defer p.mu.Unlock()
	e, err := rollout.Open(t.Context(), rollout.Config{Store: p.store, Targets: map[string]rollout.Splitter{"chat": p.router(t)}})
	if err != nil {
		t.Fatal(err)
	}
	defer e.Close()
	for ev, err := range e.Events(t.Context(), p.id, 1) {
		if err != nil {
			t.Fatal(err)
		}
		out.end = ev
	}
	asked := int(p.fleets[1].asked.Load())
	switch {
	case out.end.Phase == strategies.RolledBack && out.end.Rule == "harm":
		out.Harmed = asked
	case out.end.Phase == strategies.Promoted:
		out.Safe, out.SafeAtEnd = asked, true
	case out.end.Rule != "limit":
		t.Errorf("%s: the rollout ends unforeseen: %s", p.variant, out.end)
	}
	return out
}

// Stages of trials. A stage in which the baseline is alone gives it a past.

func alone(d time.Duration) strategies.Stage { return baked("alone", 0, d) }

func baked(name string, w strategies.Weight, d time.Duration) strategies.Stage {
	s := stage(name, w)
	s.Until, s.Bake = strategies.UntilBaked, d
	s.Limit, s.OnLimit = d+10*time.Minute, strategies.ActionRollBack
	return s
}

// proven is a stage that ends when the candidate is proven to be no worse, and rolls back
// at its limit.
func proven(w strategies.Weight, limit time.Duration) strategies.Stage {
	s := stage("proof", w)
	s.Limit, s.OnLimit, s.OnNoEvidence, s.OnUnmeasurable = limit, strategies.ActionRollBack, strategies.ActionRollBack, strategies.ActionRollBack
	return s
}

func stage(name string, w strategies.Weight) strategies.Stage {
	return strategies.Stage{Name: name, Split: strategies.Split{Arms: []strategies.Arm{
		{Name: versions[0], Weight: strategies.Full - w}, {Name: versions[1], Weight: w},
	}}}
}
