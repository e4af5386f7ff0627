package traffic_test

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log"
	"net/http"
	"net/http/httputil"
	"net/url"
	"reflect"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/sethvargo/go-envconfig"

	"github.com/serin-go/serin/checks"
	"github.com/serin-go/serin/checks/analysis"
	"github.com/serin-go/serin/rollout/traffic"
	"github.com/serin-go/serin/strategies"
)

// TestFlip flips the split while streams run: each stream arrives whole and as
// its model sent it, and each is counted once, under its arm and generation.
func TestFlip(t *testing.T) {
	const callers, each = 8, 40
	model := func(name string) http.HandlerFunc {
		return func(w http.ResponseWriter, r *http.Request) {
			n := r.Header.Get("Number")
			stream(w, role, token(name), token(n), token(strings.Repeat(n, 50)), finish, usage, done)
		}
	}
	want := func(arm, n string) string {
		return role + token(arm) + token(n) + token(strings.Repeat(n, 50)) + finish + usage + done
	}
	url, r, d := setup(t, serve(t, model("old")), serve(t, model("new")), func(c *traffic.Config) { c.Split = split(1, 5000) })
	rec, err := analysis.NewRecorder(analysis.Plan{}, "old", "new")
	if err != nil {
		t.Fatal(err)
	}
	r.Measure(rec)

	stop := make(chan struct{})
	flipped := make(chan uint64)
	go func() {
		g := uint64(1)
		for weight := strategies.Weight(0); ; weight = strategies.Full - weight {
			select {
			case <-stop:
				flipped <- g
				return
			case <-time.After(time.Millisecond):
				g++
				if err := r.SetSplit(context.Background(), split(g, weight)); err != nil {
					t.Error(err)
				}
			}
		}
	}()

	var byArm sync.Map // request id to the arm that the caller was told
	var wg sync.WaitGroup
	for c := range callers {
		wg.Go(func() {
			for i := range each {
				n := fmt.Sprintf("%d-%d", c, i)
				req, err := http.NewRequest("POST", url+chat, strings.NewReader(`{"stream":true}`))
				if err != nil {
					t.Error(err)
					return
				}
				req.Header.Set("Number", n)
				resp, err := http.DefaultClient.Do(req)
				if err != nil {
					t.Error(err)
					return
				}
				got := read(resp)
				if got.err != nil || got.body != want(got.version, n) {
					t.Errorf("stream %s of %s: %v\n%s", n, got.version, got.err, got.body)
				}
				byArm.Store(got.id, got.version)
			}
		})
	}
	wg.Wait()
	close(stop)
	last := <-flipped

	generations := map[uint64]map[string]bool{}
	for _, o := range d.wait(t, callers*each) {
		arm, ok := byArm.LoadAndDelete(o.ID)
		if !ok || arm != o.Arm || o.Class != analysis.OK || o.OutputTokens != 5 || o.Generation < 1 || o.Generation > last {
			t.Errorf("observation %+v, the caller was served by %v", o, arm)
		}
		if generations[o.Generation] == nil {
			generations[o.Generation] = map[string]bool{}
		}
		generations[o.Generation][o.Arm] = true
	}
	// From the second one on, each generation gave everything to one arm.
	for g, arms := range generations {
		if g > 1 && len(arms) != 1 {
			t.Errorf("generation %d served by %v", g, arms)
		}
	}
	stats := r.Stats()
	if got := stats[0].Requests + stats[1].Requests; got != callers*each || stats[0].InFlight+stats[1].InFlight != 0 {
		t.Errorf("stats %+v", stats)
	}
	if rec.Unknown() != 0 {
		t.Errorf("the recorder does not know %d observations", rec.Unknown())
	}
}

// TestInstantAnswers sends bodies to a model that answers without having read
// them, which can make a plain reverse proxy break off streams (golang/go#40747):
// through one, whose losses are logged, and through the router, which must have none.
//
//	go test ./rollout/traffic -run InstantAnswers -v
func TestInstantAnswers(t *testing.T) {
	n := 10_000
	if testing.Short() {
		n = 400
	}
	model := serve(t, good)
	target, err := url.Parse(model)
	if err != nil {
		t.Fatal(err)
	}
	plain := serve(t, (&httputil.ReverseProxy{
		Rewrite: func(pr *httputil.ProxyRequest) { pr.SetURL(target) }, ErrorLog: log.New(io.Discard, "", 0),
	}).ServeHTTP)
	ours, _, d := setup(t, unreachable(t), model, func(c *traffic.Config) { c.NoFallback = true })
	lost := make(map[string]int64)
	body := `{"stream":true,"messages":[{"role":"user","content":"` + strings.Repeat("x", 50) + `"}]}`
	for _, front := range []struct{ name, url string }{{"ReverseProxy", plain}, {"Router", ours}} {
		var left, broken atomic.Int64
		left.Store(int64(n))
		client := &http.Client{Transport: &http.Transport{MaxIdleConnsPerHost: 16}}
		var wg sync.WaitGroup
		for range 16 {
			wg.Go(func() {
				for left.Add(-1) >= 0 {
					resp, err := client.Post(front.url+"/v1/chat/completions", "application/json", strings.NewReader(body))
					if err != nil {
						broken.Add(1)
						continue
					}
					if a := read(resp); a.err != nil || a.body != goodStream {
						broken.Add(1)
					}
				}
			})
		}
		wg.Wait()
		client.CloseIdleConnections()
		lost[front.name] = broken.Load()
	}
	t.Logf("of %d streams through each: %v broken", n, lost)
	if lost["Router"] != 0 {
		t.Errorf("the router broke %d of %d streams", lost["Router"], n)
	}
	for _, o := range d.wait(t, n) {
		if o.Class != analysis.OK {
			t.Fatalf("observation %+v", o)
		}
	}
}

func TestSetSplit(t *testing.T) {
	ctx := context.Background()
	r, err := traffic.New(traffic.Config{Arms: map[string]traffic.Backend{"old": {}}})
	if err != nil {
		t.Fatal(err)
	}
	all := strategies.Split{Arms: []strategies.Arm{{Name: "old", Weight: strategies.Full}}}
	if diff := cmp.Diff(all, r.Split()); diff != "" {
		t.Errorf("split at the start (-want +got):\n%s", diff)
	}

	var missing *traffic.NoBackendError
	if err := r.SetSplit(ctx, split(3, 500)); !errors.As(err, &missing) || missing.Arm != "new" {
		t.Errorf("SetSplit with an arm that is not there: %v", err)
	}
	var invalid *checks.InvalidError
	if err := r.SetSplit(ctx, strategies.Split{}); !errors.As(err, &invalid) {
		t.Errorf("SetSplit of the zero split: %v", err)
	}
	cancelled, cancel := context.WithCancel(ctx)
	cancel()
	if err := r.SetSplit(cancelled, all); !errors.Is(err, context.Canceled) {
		t.Errorf("SetSplit with a context that has ended: %v", err)
	}
	if diff := cmp.Diff(all, r.Split()); diff != "" {
		t.Errorf("split after errors (-want +got):\n%s", diff)
	}

	if err := r.SetSplit(ctx, split(3, 0)); err != nil {
		t.Errorf("SetSplit with an arm without weight and backend: %v", err)
	}
	if err := r.SetBackend("new", traffic.Backend{}); err != nil {
		t.Fatal(err)
	}
	if err := r.SetSplit(ctx, split(4, 500)); err != nil {
		t.Fatal(err)
	}
	if err := r.SetSplit(ctx, split(3, strategies.Full)); err != nil || r.Split().Weight("new") != 500 {
		t.Errorf("an older generation: %v, split %v", err, r.Split())
	}
	if err := r.SetSplit(ctx, split(0, 700)); err != nil || r.Split().Weight("new") != 700 {
		t.Errorf("a split set by hand: %v, split %v", err, r.Split())
	}

	var busy *traffic.InUseError
	for _, arm := range []string{"old", "new"} {
		if err := r.RemoveBackend(arm); !errors.As(err, &busy) || busy.Arm != arm {
			t.Errorf("RemoveBackend(%q): %v", arm, err)
		}
	}
	if err := r.SetSplit(ctx, all); err != nil {
		t.Fatal(err)
	}
	if err := r.RemoveBackend("new"); err != nil {
		t.Error(err)
	}
	if s := r.Stats(); len(s) != 1 || s[0].Arm != "old" {
		t.Errorf("stats %+v", s)
	}
}

func TestSetBackendReplaces(t *testing.T) {
	url, r, d := setup(t, unreachable(t), unreachable(t), func(c *traffic.Config) { c.NoFallback = true })
	if got := post(t, url, streaming); got.status != 502 {
		t.Errorf("got %+v", got)
	}
	if err := r.SetBackend("new", traffic.Backend{Handler: http.HandlerFunc(good)}); err != nil {
		t.Fatal(err)
	}
	if got := post(t, url, streaming); got.status != 200 || got.body != goodStream {
		t.Errorf("got %+v", got)
	}
	d.wait(t, 2)
	if s := r.Stats()[0]; s.Arm != "new" || s.Requests != 2 {
		t.Errorf("stats %+v", s)
	}
}

func TestConfigErrors(t *testing.T) {
	tests := []struct {
		name string
		cfg  traffic.Config
		want []string // fields and arms that the error names
	}{
		{"zero", traffic.Config{}, []string{"Config.Arms"}},
		{"no split", traffic.Config{Arms: map[string]traffic.Backend{"a": {}, "b": {}}}, []string{"Config.Split"}},
		{"everything", traffic.Config{
			Arms: map[string]traffic.Backend{
				"":  {URL: "http://x"},
				"a": {URL: "localhost:80", Price: traffic.Price{Output: -1}},
				"b": {Transport: http.DefaultTransport},
			},
			MaxBody: -1,
			Split:   strategies.Split{Arms: []strategies.Arm{{Name: "c", Weight: 1}}},
		}, []string{
			`Config.MaxBody is -1`, `Config.Arms[""] is`, `Config.Arms["a"].URL is "localhost:80"`, `Config.Arms["a"].Price.Output is -1`,
			`Config.Arms["b"].URL`, `arm "c"`, `Split.Arms is 0.01% in all`,
		}},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			_, err := traffic.New(tt.cfg)
			if err == nil {
				t.Fatal("no error")
			}
			for _, w := range tt.want {
				if !strings.Contains(err.Error(), w) {
					t.Errorf("error does not name %s:\n%v", w, err)
				}
			}
		})
	}
	for _, target := range []string{"", "x", "ftp://host", "http://", "http://h?q", "http://h#f", "://"} {
		var invalid *checks.InvalidError
		if _, err := traffic.Proxy(target); !errors.As(err, &invalid) {
			t.Errorf("Proxy(%q): %v", target, err)
		}
	}
}

func TestAssign(t *testing.T) {
	r, d := newRouter(t, "http://a.invalid", "http://b.invalid", func(c *traffic.Config) {
		c.Arms["new"] = traffic.Backend{Price: traffic.Price{Input: 1_000_000, Output: 2_000_000}}
	})
	a := r.Assign(context.Background(), "ann")
	if a.Arm() != "new" || a.Generation() != 7 || r.Stats()[0].InFlight != 1 {
		t.Errorf("assigned to %q in generation %d", a.Arm(), a.Generation())
	}
	copied := a
	if !a.Done(analysis.Observation{Class: analysis.Empty, InputTokens: 3, OutputTokens: 4, Arm: "forged"}) {
		t.Error("the first Done had no effect")
	}
	// The ticket of a may serve b now, which must not matter to the copy.
	b := r.Assign(context.Background(), "ben")
	if a.Done(analysis.Observation{Class: analysis.OK}) || copied.Done(analysis.Observation{Class: analysis.OK}) {
		t.Error("a second Done had an effect")
	}
	if !b.Done(analysis.Observation{Class: analysis.Cancelled, Latency: time.Minute, Cost: 5}) {
		t.Error("Done of the second assignment had no effect")
	}
	seen := d.wait(t, 2)
	want := []analysis.Observation{
		{Arm: "new", Unit: "ann", Generation: 7, Class: analysis.Empty, InputTokens: 3, OutputTokens: 4, Cost: 11},
		{Arm: "new", Unit: "ben", Generation: 7, Class: analysis.Cancelled, Cost: 5},
	}
	if diff := cmp.Diff(want, seen, ignoreTimes); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
	if seen[0].Latency <= 0 || seen[1].Latency != time.Minute || seen[0].At.IsZero() {
		t.Errorf("times of %+v", seen)
	}
	if (traffic.Assignment{}).Done(analysis.Observation{Class: analysis.OK}) || (traffic.Assignment{}).Arm() != "" {
		t.Error("the zero Assignment does something")
	}
}

// TestAssignOnce reports each assignment from several goroutines at a time.
func TestAssignOnce(t *testing.T) {
	var counted atomic.Int64
	r, _ := newRouter(t, "http://a.invalid", "http://b.invalid", func(c *traffic.Config) {
		c.Observe = func(analysis.Observation) { counted.Add(1) }
	})
	var wg sync.WaitGroup
	for range 500 {
		a := r.Assign(context.Background(), "")
		for range 3 {
			wg.Go(func() { a.Done(analysis.Observation{Class: analysis.OK}) })
		}
	}
	wg.Wait()
	if counted.Load() != 500 || r.Stats()[0].Requests != 500 || r.Stats()[0].InFlight != 0 {
		t.Errorf("counted %d, stats %+v", counted.Load(), r.Stats())
	}
}

// TestShapesAgree checks that all three shapes serve a unit by the same arm.
func TestShapesAgree(t *testing.T) {
	url, r, _ := setup(t, serve(t, good), serve(t, good), func(c *traffic.Config) { c.Split = split(1, 5000) })
	for i := range 20 {
		unit := fmt.Sprint("user-", i)
		a := r.Assign(context.Background(), unit)
		a.Done(analysis.Observation{Class: analysis.OK})
		for _, client := range []*http.Client{http.DefaultClient, {Transport: r.RoundTripper()}} {
			req, err := http.NewRequest("POST", url+chat, strings.NewReader(streaming))
			if err != nil {
				t.Fatal(err)
			}
			req.Header.Set(traffic.UnitHeader, unit)
			resp, err := client.Do(req)
			if err != nil {
				t.Fatal(err)
			}
			if got := read(resp); got.version != a.Arm() {
				t.Errorf("%s: %s and %s", unit, got.version, a.Arm())
			}
		}
	}
}

// TestMeasure uses a recorder that knows none of the arms: it counts what it was
// given.
func TestMeasure(t *testing.T) {
	r, _ := newRouter(t, "http://a.invalid", "http://b.invalid", nil)
	first, err := analysis.NewRecorder(analysis.Plan{}, "x", "y")
	if err != nil {
		t.Fatal(err)
	}
	second, err := analysis.NewRecorder(analysis.Plan{}, "x", "y")
	if err != nil {
		t.Fatal(err)
	}
	for i, rec := range []*analysis.Recorder{nil, first, second, first, nil} {
		r.Measure(rec)
		for range i {
			r.Assign(context.Background(), "").Done(analysis.Observation{Class: analysis.OK})
		}
	}
	if first.Unknown() != 1+3 || second.Unknown() != 2 {
		t.Errorf("recorded %d and %d, want 4 and 2", first.Unknown(), second.Unknown())
	}
}

// TestConfigFromEnvironment fills the plain fields of a Config from variables, by their
// names of today and by the names of earlier versions, with a prefix and without one. A
// name of today wins.
func TestConfigFromEnvironment(t *testing.T) {
	type vars = map[string]string
	want := traffic.Config{MaxBody: 1000, FirstByteTimeout: 3 * time.Second, PeekTimeout: time.Second, FallbackRatio: 0.5, NoFallback: true}
	for name, env := range map[string]vars{
		"names of today": {"MAX_BODY": "1000", "FIRST_BYTE_TIMEOUT": "3s", "PEEK_TIMEOUT": "1s", "FALLBACK_RATIO": "0.5", "NO_FALLBACK": "true"},
		"former names":   {"MAX_BODY": "1000", "FIRST_BYTE_TIMEOUT": "3s", "HOLD_BACK": "1s", "RESCUE_RATIO": "0.5", "NO_RESCUE": "true"},
		"both":           {"MAX_BODY": "1000", "FIRST_BYTE_TIMEOUT": "3s", "PEEK_TIMEOUT": "1s", "FALLBACK_RATIO": "0.5", "NO_FALLBACK": "true", "HOLD_BACK": "2s", "RESCUE_RATIO": "2", "NO_RESCUE": "false"},
	} {
		for _, prefix := range []string{"", "CHAT_"} {
			prefixed := vars{}
			for key, value := range env {
				prefixed[prefix+key] = value
			}
			var cfg traffic.Config
			if err := envconfig.ProcessWith(t.Context(), &envconfig.Config{Target: &cfg, Lookuper: envconfig.PrefixLookuper(prefix, envconfig.MapLookuper(prefixed))}); err != nil {
				t.Errorf("%s: %v", name, err)
			}
			got := traffic.WithDefaults(cfg)
			if got.MaxBody != want.MaxBody || got.FirstByteTimeout != want.FirstByteTimeout || got.PeekTimeout != want.PeekTimeout || got.FallbackRatio != want.FallbackRatio || got.NoFallback != want.NoFallback {
				t.Errorf("%s with the prefix %q: %+v", name, prefix, got)
			}
		}
	}
	var none traffic.Config
	if err := envconfig.ProcessWith(t.Context(), &envconfig.Config{Target: &none, Lookuper: envconfig.MapLookuper(nil)}); err != nil || !reflect.DeepEqual(none, traffic.Config{}) {
		t.Errorf("without variables: %+v, %v", none, err)
	}
}
