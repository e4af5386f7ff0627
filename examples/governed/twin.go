package main

import (
	"bytes"
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"errors"
	"fmt"
	"io"
	"log"
	"math/big"
	"net"
	"net/http"
	"net/http/httputil"
	"net/url"
	"sync"
	"sync/atomic"
	"time"

	"github.com/serin-go/serin/checks/analysis"
	"github.com/serin-go/serin/checks/burn"
	"github.com/serin-go/serin/loadtest/modeltest"
	"github.com/serin-go/serin/loadtest/workload"
	"github.com/serin-go/serin/rollout"
	"github.com/serin-go/serin/rollout/access"
	"github.com/serin-go/serin/rollout/alert"
	"github.com/serin-go/serin/rollout/drill"
	"github.com/serin-go/serin/rollout/memstore"
	"github.com/serin-go/serin/rollout/registrystore"
	"github.com/serin-go/serin/rollout/traffic"
	"github.com/serin-go/serin/rollout/traffic/autoscale"
	"github.com/serin-go/serin/rollout/traffic/cache"
	"github.com/serin-go/serin/rollout/traffic/cost"
	"github.com/serin-go/serin/rollout/traffic/replicas"
	"github.com/serin-go/serin/strategies"
	"github.com/serin-go/serin/versioning"
)

// price is what a million tokens cost, in millionths.
var price = traffic.Price{Input: 2_000_000, Output: 8_000_000}

var prompts = []workload.Prompt{workload.Ask("What is light?"), workload.Ask("Why is the sky blue?")}

// The contents of the two releases.
var digests = map[string]string{"1.4.0": digest("1.4.0"), "1.5.0": digest("1.5.0")}

// twin is everything that the checklist looks at: two versions of a model behind a router,
// and copies of the infrastructure without users, which the drills may break.
type twin struct {
	fault  fault
	models map[string]*served
	router *traffic.Router // serves the users
	drills *traffic.Router // a copy with the weights 3:1
	cache  *cache.Cache
	budget *burn.Budget
	pool   *pool
	scaled *scaled
	edge   *edge
	vault  *vault
	copy   *rollout.Engine // has the policy of the service, and no users
	alerts *alert.Manager
	inbox  *inbox

	rehearsal *rehearsal
	papers    *papers
	spent     *cost.Ledger
	builds    *registrystore.Registry
	engine    *rollout.Engine     // of the service; set when the list exists
	kept      map[rollout.ID]bool // reports that are kept; see [keep]
	keeping   sync.Mutex
}

// served is one version of the model, served over HTTP.
type served struct {
	url     string
	handler http.Handler
}

func (m *served) ServeHTTP(w http.ResponseWriter, r *http.Request) { m.handler.ServeHTTP(w, r) }

func newTwin(ctx context.Context) (*twin, error) {
	tw := &twin{models: make(map[string]*served), kept: make(map[rollout.ID]bool)}
	tw.scaled, tw.papers = &scaled{fault: &tw.fault}, newPapers(time.Now(), &tw.fault)
	var err error
	if tw.spent, err = cost.NewLedger(cost.Config{}); err != nil {
		return nil, err
	}
	arms := make(map[string]traffic.Backend)
	for version := range digests {
		// A model is slow enough for a pause of this machine not to look like a slower version.
		lm, err := modeltest.New(modeltest.Config{Models: []string{"chat"}, Length: 8, TTFT: 40 * time.Millisecond, TimePerToken: 2 * time.Millisecond, Jitter: 0.25})
		if err != nil {
			return nil, err
		}
		tw.models[version] = &served{handler: http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			if tw.fault.is("performance") && version == "1.5.0" {
				body, _ := io.ReadAll(r.Body)
				if bytes.Contains(body, []byte("sky")) {
					http.Error(w, "out of memory", http.StatusInternalServerError)
					return
				}
				r.Body = io.NopCloser(bytes.NewReader(body))
			}
			lm.ServeHTTP(w, r)
		})}
		if tw.models[version].url, err = listen(ctx, tw.models[version], nil); err != nil {
			return nil, err
		}
		arms[version] = traffic.Backend{URL: tw.models[version].url, Price: price}
	}
	split := func(baseline strategies.Weight) strategies.Split {
		return strategies.Split{Arms: []strategies.Arm{{Name: "1.4.0", Weight: baseline}, {Name: "1.5.0", Weight: strategies.Full - baseline}}}
	}
	var errs [7]error
	tw.router, errs[0] = traffic.New(traffic.Config{Arms: arms, Split: split(strategies.Full), Observe: tw.spent.Observe})
	tw.drills, errs[1] = traffic.New(traffic.Config{Arms: arms, Split: split(strategies.Percent(75))})
	tw.cache, errs[2] = cache.New(cache.Config{TTL: time.Second})
	tw.budget, errs[3] = burn.New(burn.Config{Objective: burn.MustObjective("99%")})
	tw.pool, errs[4] = newPool(ctx)
	tw.edge, errs[5] = newEdge(ctx)
	tw.alerts, tw.inbox, errs[6] = newAlerts(ctx, &tw.fault)
	if err := errors.Join(errs[:]...); err != nil {
		return nil, err
	}
	policy, err := access.NewPolicy(grants...)
	if err != nil {
		return nil, err
	}
	tw.copy, err = rollout.Open(ctx, rollout.Config{Store: new(memstore.Store), Targets: map[string]rollout.Splitter{"chat": nowhere{}}, Authorize: policy.Authorize})
	if err != nil {
		return nil, err
	}
	tw.rehearsal, err = newRehearsal(ctx, tw)
	go tw.scaled.run(ctx)
	return tw, err
}

// keep notes that the report of a rollout is kept.
func (tw *twin) keep(id rollout.ID) {
	tw.keeping.Lock()
	defer tw.keeping.Unlock()
	tw.kept[id] = true
}

func (tw *twin) isKept(_ context.Context, id rollout.ID) (bool, error) {
	if tw.fault.is("metrics-analysis") {
		return false, errors.New("the wiki is down")
	}
	tw.keeping.Lock()
	defer tw.keeping.Unlock()
	return tw.kept[id], nil
}

// nowhere divides no traffic.
type nowhere struct{}

// SetSplit implements [rollout.Splitter].
func (nowhere) SetSplit(context.Context, strategies.Split) error { return nil }

// command gives a command to the copy of the engine, for the drill of the roles. It reports
// whether the engine has refused it for lack of the right.
func (tw *twin) command(ctx context.Context, by rollout.Actor, what rollout.Action, target string) (refused bool, err error) {
	if tw.fault.is("access-control") {
		return false, nil
	}
	if what == rollout.ActionStart {
		_, err = tw.copy.Start(ctx, rollout.Plan{Target: target, Baseline: tw.release("1.4.0"), Candidate: tw.release("1.5.0"),
			Strategy: strategies.Canary{DangerouslyPromoteUnproven: true}}, by)
	} else {
		var c strategies.Command
		if err := c.UnmarshalText([]byte(what)); err != nil {
			return false, err
		}
		err = tw.copy.Do(ctx, rollout.ID(target+"/1"), c, by)
	}
	var (
		forbidden *rollout.ForbiddenError
		busy      *rollout.BusyError
		state     *rollout.RefusedError
	)
	switch {
	case errors.As(err, &forbidden) && forbidden.Action == what && forbidden.Target == target:
		return true, nil
	case err == nil, errors.As(err, &busy), errors.As(err, &state), errors.Is(err, rollout.ErrNotFound):
		return false, nil // it was let through
	}
	return false, err
}

func (tw *twin) release(version string) versioning.Release {
	return versioning.Release{Model: "chat", Version: versioning.MustParse(version), Digest: digests[version]}
}

// plan and traffic are what is known before the rollout begins, for the checks that look ahead.
func (tw *twin) plan(context.Context) (rollout.Plan, error) {
	p := plan(tw)
	if tw.fault.is("canary") {
		p.Strategy = strategies.Canary{Weights: []strategies.Weight{strategies.Percent(10), strategies.Percent(50)}, Bake: time.Minute}
	}
	return p, nil
}

func (tw *twin) traffic(context.Context) (analysis.Traffic, error) {
	if tw.fault.is("ab-testing") {
		return analysis.Traffic{}, nil
	}
	return analysis.Traffic{PerSecond: 100}, nil
}

// users sends requests through the router until ctx ends.
func (tw *twin) users(ctx context.Context) {
	front, err := listen(ctx, tw.router, nil)
	if err != nil {
		return
	}
	for n := 0; ctx.Err() == nil; n++ {
		go func() {
			err := ask(ctx, front, fmt.Sprintf("user-%d", n))
			if ctx.Err() == nil {
				tw.budget.Record(err == nil)
			}
		}()
		select {
		case <-time.After(10 * time.Millisecond):
		case <-ctx.Done():
		}
	}
}

// ask asks a model one question.
func ask(ctx context.Context, base, user string) error {
	body := bytes.NewReader([]byte(`{"model":"chat","messages":[{"role":"user","content":"What is light?"}]}`))
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, base+"/v1/chat/completions", body)
	if err != nil {
		return err
	}
	req.Header.Set("Content-Type", "application/json")
	req.Header.Set("Serin-Unit", user)
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		return err
	}
	defer resp.Body.Close()
	if _, err := io.Copy(io.Discard, resp.Body); err != nil {
		return err
	}
	if resp.StatusCode != http.StatusOK {
		return fmt.Errorf("status %d", resp.StatusCode)
	}
	return nil
}

// assign returns the version that a user gets, for the drill of the weights.
func (tw *twin) assign(_ context.Context, seq int) (string, error) {
	if tw.fault.is("load-balancers") {
		return "1.4.0", nil
	}
	return tw.drills.Arm(fmt.Sprintf("user-%d", seq)), nil
}

// front and forget are the cache of the service, for the drill of the cache.
func (tw *twin) front(version string, origin http.RoundTripper) (http.Handler, error) {
	at, err := url.Parse(tw.models["1.4.0"].url)
	if err != nil {
		return nil, err
	}
	proxy := httputil.NewSingleHostReverseProxy(at)
	good, mixed := tw.cache.Transport(version, origin), tw.cache.Transport("1.4.0", origin)
	proxy.Transport = transport(func(r *http.Request) (*http.Response, error) {
		if tw.fault.is("caching") {
			return mixed.RoundTrip(r)
		}
		return good.RoundTrip(r)
	})
	return proxy, nil
}

type transport func(*http.Request) (*http.Response, error)

func (t transport) RoundTrip(r *http.Request) (*http.Response, error) { return t(r) }

func (tw *twin) forget(_ context.Context, version string) error {
	tw.cache.Forget(version)
	return nil
}

// warm are the options of the drill that the baseline can take all traffic back.
func (tw *twin) warm() drill.WarmBaselineOptions {
	return drill.WarmBaselineOptions{
		Split: func(context.Context) (strategies.Split, error) { // after the last stage
			return strategies.Split{Arms: []strategies.Arm{{Name: "1.4.0"}, {Name: "1.5.0", Weight: strategies.Full}}}, nil
		},
		Load:     func(context.Context) (float64, error) { return 100, nil },
		Capacity: 200,
		Ready: func(context.Context, string) (int, error) {
			if tw.fault.is("blue-green") {
				return 0, nil
			}
			return 1, nil
		},
		Send: func(ctx context.Context, version string) error { return ask(ctx, tw.models[version].url, "drill") },
	}
}

// pool is three replicas behind a pool, one of which the drill kills. A dead one keeps its
// port, and breaks every request off.
type pool struct {
	replicas *replicas.Pool
	dead     map[string]*atomic.Bool
}

func newPool(ctx context.Context) (*pool, error) {
	p := &pool{dead: make(map[string]*atomic.Bool)}
	cfg := replicas.Config{EjectAfter: 1, HealthEvery: 200 * time.Millisecond, SlowStart: -1}
	for _, name := range []string{"r1", "r2", "r3"} {
		dead := new(atomic.Bool)
		at, err := listen(ctx, http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
			if dead.Load() {
				panic(http.ErrAbortHandler)
			}
			w.Header().Set("Served-By", name)
		}), nil)
		if err != nil {
			return nil, err
		}
		p.dead[name] = dead
		cfg.Replicas = append(cfg.Replicas, replicas.Replica{URL: at})
	}
	var err error
	p.replicas, err = replicas.New(cfg)
	return p, err
}

func (p *pool) start(_ context.Context, name string) error { p.dead[name].Store(false); return nil }

func (p *pool) stop(_ context.Context, name string) error { p.dead[name].Store(true); return nil }

func (p *pool) send(ctx context.Context, _ int) (string, error) {
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, "http://pool/", nil)
	if err != nil {
		return "", err
	}
	resp, err := p.replicas.RoundTrip(req)
	if err != nil {
		return "", err
	}
	defer resp.Body.Close()
	return resp.Header.Get("Served-By"), nil
}

// scaled is a copy of the service whose replicas serve 2 requests at a time each. Its scaler
// decides ten times a second, so that the drill does not take minutes.
type scaled struct {
	fault             *fault
	inFlight, desired atomic.Int64
}

func (s *scaled) send(ctx context.Context, _ int) error {
	s.inFlight.Add(1)
	defer s.inFlight.Add(-1)
	select {
	case <-time.After(100 * time.Millisecond):
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}

func (s *scaled) want(context.Context) (int, error) { return int(s.desired.Load()), nil }

func (s *scaled) run(ctx context.Context) {
	scaler := autoscale.Scaler{Min: 2, Max: 20, StabilizeDown: 6 * time.Second}
	var state autoscale.State
	s.desired.Store(2)
	for tick := time.Tick(100 * time.Millisecond); ctx.Err() == nil; {
		select {
		case <-ctx.Done():
		case at := <-tick:
			if s.fault.is("autoscaling") {
				continue
			}
			n := int(s.desired.Load())
			var d autoscale.Decision
			d, state = scaler.Next(autoscale.Input{At: at, Ready: n, Desired: n, Signals: []autoscale.Signal{
				{Name: "in flight", Sum: float64(s.inFlight.Load()), Known: n, Target: 2}}}, state)
			s.desired.Store(int64(d.Replicas))
		}
	}
}

// edge is a TLS server that accepts TLS 1.1 until it is mended.
type edge struct {
	addr  string
	roots *x509.CertPool
	least atomic.Uint32
}

func newEdge(ctx context.Context) (*edge, error) {
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return nil, err
	}
	template := &x509.Certificate{SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: "localhost"}, DNSNames: []string{"localhost"},
		NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(90 * day), IsCA: true, BasicConstraintsValid: true, KeyUsage: x509.KeyUsageDigitalSignature | x509.KeyUsageCertSign}
	der, err := x509.CreateCertificate(rand.Reader, template, template, key.Public(), key)
	if err != nil {
		return nil, err
	}
	leaf, err := x509.ParseCertificate(der)
	if err != nil {
		return nil, err
	}
	e := &edge{roots: x509.NewCertPool()}
	e.roots.AddCert(leaf)
	e.least.Store(tls.VersionTLS11)
	cert := tls.Certificate{Certificate: [][]byte{der}, PrivateKey: key}
	config := &tls.Config{GetConfigForClient: func(*tls.ClientHelloInfo) (*tls.Config, error) {
		return &tls.Config{Certificates: []tls.Certificate{cert}, MinVersion: uint16(e.least.Load())}, nil
	}}
	at, err := listen(ctx, http.NotFoundHandler(), config)
	if err != nil {
		return nil, err
	}
	e.addr = at[len("https://"):]
	return e, nil
}

// listen serves h on a port of this machine until ctx ends. It returns the URL.
func listen(ctx context.Context, h http.Handler, secure *tls.Config) (string, error) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return "", err
	}
	at := "http://" + l.Addr().String()
	if secure != nil {
		at, l = "https://"+l.Addr().String(), tls.NewListener(l, secure)
	}
	srv := &http.Server{Handler: h, ErrorLog: log.New(io.Discard, "", 0), ReadHeaderTimeout: 10 * time.Second}
	go srv.Serve(l)
	context.AfterFunc(ctx, func() { srv.Close() })
	return at, nil
}
