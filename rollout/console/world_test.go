package console_test

import (
	"context"
	"io"
	"math/rand/v2"
	"net/http"
	"net/http/httptest"
	"net/netip"
	"net/url"
	"regexp"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/serin-go/serin/checks"
	"github.com/serin-go/serin/checks/analysis"
	"github.com/serin-go/serin/rollout"
	"github.com/serin-go/serin/rollout/access"
	"github.com/serin-go/serin/rollout/console"
	"github.com/serin-go/serin/rollout/memstore"
	"github.com/serin-go/serin/strategies"
	"github.com/serin-go/serin/versioning"
)

// plane is a router of a target, with users behind it.
type plane struct {
	mu     sync.Mutex
	split  strategies.Split
	rec    *analysis.Recorder
	errors map[string]float64 // by version
}

func (p *plane) SetSplit(_ context.Context, s strategies.Split) error {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.split = s
	return nil
}

func (p *plane) Measure(r *analysis.Recorder) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.rec = r
}

// fail has the versions fail with these probabilities.
func (p *plane) fail(errors map[string]float64) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.errors = errors
}

// serve serves 20 requests a second until ctx ends.
func (p *plane) serve(ctx context.Context) {
	rng := rand.New(rand.NewPCG(1, 2))
	tick := time.NewTicker(50 * time.Millisecond)
	defer tick.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-tick.C:
		}
		p.mu.Lock()
		split, rec, failing := p.split, p.rec, p.errors
		p.mu.Unlock()
		if rec == nil || len(split.Arms) == 0 {
			continue
		}
		arms := []string{split.Arms[split.Slots()[rng.IntN(int(strategies.Full))]].Name}
		for _, m := range split.Mirrors {
			if rng.IntN(int(strategies.Full)) < int(m.Share) {
				arms = append(arms, m.Arm)
			}
		}
		for _, arm := range arms {
			o := analysis.Observation{Arm: arm, Class: analysis.OK, Generation: split.Generation, OutputTokens: 20 + rng.IntN(20),
				TTFT: time.Duration(250+rng.IntN(100)) * time.Millisecond, Latency: time.Duration(900+rng.IntN(400)) * time.Millisecond, ITL: time.Duration(18+rng.IntN(6)) * time.Millisecond}
			if rng.Float64() < failing[arm] {
				o = analysis.Observation{Arm: arm, Class: analysis.Error, Generation: split.Generation, Latency: 200 * time.Millisecond}
			}
			rec.Record(o)
		}
	}
}

// world is a console over an engine with one target, "chat".
type world struct {
	t      *testing.T
	plane  *plane
	store  *memstore.Store
	engine *rollout.Engine
	con    *console.Console
	cfg    console.Config
	checks map[string]checks.Check
	by     string // who asks, with roles: "ana sre"
}

// The people of the tests, each with the role of the same name or none.
const sre, developer, viewer, stranger = "ana sre", "ben developer", "eve viewer", "mallory"

// begin returns a world. change may change the configuration of its console.
func begin(t *testing.T, change func(w *world)) *world {
	t.Helper()
	pass := checks.Func(func(context.Context) checks.Result { return checks.Result{Status: checks.Pass, Summary: "all good"} })
	w := &world{t: t, plane: &plane{errors: map[string]float64{"1.5.0": .01, "1.6.0": .01}}, store: new(memstore.Store), by: sre, checks: map[string]checks.Check{
		"pass": pass,
		"fail": checks.Func(func(context.Context) checks.Result {
			return checks.Result{Status: checks.Fail, Summary: "compliance-audits lacks a vote of privacy"}
		}),
		"hang": checks.Func(func(ctx context.Context) checks.Result { <-ctx.Done(); return checks.Result{} }),
	}}
	policy, err := access.NewPolicy(
		access.Grant{Role: "sre", Actions: []rollout.Action{"*"}, Targets: []string{"*"}},
		access.Grant{Role: "developer", Actions: []rollout.Action{"start", "read", "pause", "abort"}, Targets: []string{"*"}},
		access.Grant{Role: "viewer", Actions: []rollout.Action{"read"}, Targets: []string{"*"}},
	)
	if err != nil {
		t.Fatal(err)
	}
	who, err := access.Header(access.HeaderOptions{Trusted: []netip.Prefix{netip.MustParsePrefix("127.0.0.0/8")}})
	if err != nil {
		t.Fatal(err)
	}
	w.cfg = console.Config{Store: w.store, Who: who, May: policy.Authorize}
	w.engine, err = rollout.Open(t.Context(), rollout.Config{Store: w.store, Targets: map[string]rollout.Splitter{"chat": w.plane}, Checks: w.checks, Authorize: policy.Authorize})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { w.engine.Close() })
	w.cfg.Engine = w.engine
	if change != nil {
		change(w)
	}
	if w.con, err = console.New(w.cfg); err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	t.Cleanup(cancel)
	go w.plane.serve(ctx)
	go w.con.Run(ctx)
	return w
}

// run runs f in virtual time.
func run(t *testing.T, f func(t *testing.T, w *world)) {
	t.Helper()
	synctest.Test(t, func(t *testing.T) { f(t, begin(t, nil)) })
}

func plan() rollout.Plan {
	return rollout.Plan{
		Target: "chat", Baseline: versioning.Release{Version: versioning.MustParse("1.5.0")}, Candidate: versioning.Release{Version: versioning.MustParse("1.6.0")},
		Strategy: strategies.Canary{Bake: 10 * time.Minute}, RampDown: strategies.RampSteps(2000, 2, time.Minute),
	}
}

func (w *world) start(p rollout.Plan) rollout.ID {
	w.t.Helper()
	id, err := w.engine.Start(w.t.Context(), p, rollout.Actor{Name: "ana", Roles: []string{"sre"}})
	if err != nil {
		w.t.Fatal(err)
	}
	return id
}

// wait waits up to a day until the newest rollout is as wanted.
func (w *world) wait(want func(st rollout.Status) bool) rollout.Status {
	w.t.Helper()
	for range 24 * 3600 {
		synctest.Wait() // what happens at this moment has happened
		st, err := w.engine.Newest(w.t.Context(), "chat")
		if err != nil {
			w.t.Fatal(err)
		}
		if want(st) {
			return st
		}
		time.Sleep(time.Second)
	}
	st, _ := w.engine.Newest(w.t.Context(), "chat")
	w.t.Fatalf("it never was as wanted: %v, stage %d, %s, waiting for %s", st.Phase, st.Stage, st.Reason, st.Waiting)
	return rollout.Status{}
}

// ask sends a request as the present person.
func (w *world) ask(method, path string, form url.Values, header ...string) *http.Response {
	w.t.Helper()
	return w.askIn(w.t.Context(), method, path, form, header...)
}

func (w *world) askIn(ctx context.Context, method, path string, form url.Values, header ...string) *http.Response {
	w.t.Helper()
	var body io.Reader
	if form != nil {
		body = strings.NewReader(form.Encode())
	}
	r := httptest.NewRequestWithContext(ctx, method, path, body)
	r.RemoteAddr = "127.0.0.1:4711"
	r.Host = "localhost"
	if form != nil {
		r.Header.Set("Content-Type", "application/x-www-form-urlencoded")
		r.Header.Set("Sec-Fetch-Site", "same-origin")
	}
	name, role := w.by, ""
	if i := strings.LastIndex(w.by, " "); i >= 0 {
		name, role = w.by[:i], w.by[i+1:]
	}
	for header, value := range map[string]string{"X-Forwarded-User": name, "X-Forwarded-Groups": role} {
		if value != "" {
			r.Header.Set(header, value)
		}
	}
	for i := 0; i+1 < len(header); i += 2 {
		if r.Header.Del(header[i]); header[i+1] != "" {
			r.Header.Set(header[i], header[i+1])
		}
	}
	rec := httptest.NewRecorder()
	w.con.ServeHTTP(rec, r)
	return rec.Result()
}

// get returns a page that must be there.
func (w *world) get(path string) string {
	w.t.Helper()
	resp := w.ask("GET", path, nil)
	body, _ := io.ReadAll(resp.Body)
	if resp.StatusCode != http.StatusOK {
		w.t.Fatalf("GET %s: %s\n%s", path, resp.Status, body)
	}
	return string(body)
}

var (
	hiddenField = regexp.MustCompile(`<input type="hidden" name="([^"]*)" value="([^"]*)">`)
	formAction  = regexp.MustCompile(`<form method="post" action="([^"]*)">`)
	anchor      = regexp.MustCompile(`<a [^>]*href="([^"]*)"`)
)

// submit opens the page of a form and sends it, with further fields.
func (w *world) submit(path string, more url.Values) *http.Response {
	w.t.Helper()
	page := w.get(path)
	action := formAction.FindStringSubmatch(page)
	if action == nil {
		w.t.Fatalf("no form on %s", path)
	}
	form := url.Values{}
	for _, f := range hiddenField.FindAllStringSubmatch(page, -1) {
		form.Set(f[1], f[2])
	}
	for k, v := range more {
		form[k] = v
	}
	return w.ask("POST", action[1], form)
}

func read(resp *http.Response) string {
	body, _ := io.ReadAll(resp.Body)
	return string(body)
}
