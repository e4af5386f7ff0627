package replicas_test

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/serin-go/serin/checks"
	"github.com/serin-go/serin/rollout/traffic/replicas"
)

// servers stand for the servers of a version, by host.
type servers struct {
	mu     sync.Mutex
	count  map[string]int
	answer func(host string, r *http.Request) (*http.Response, error)
}

func (s *servers) RoundTrip(r *http.Request) (*http.Response, error) {
	s.mu.Lock()
	if s.count == nil {
		s.count = make(map[string]int)
	}
	s.count[r.URL.Host]++
	answer := s.answer
	s.mu.Unlock()
	if r.Body != nil {
		io.Copy(io.Discard, r.Body)
		r.Body.Close()
	}
	if answer != nil {
		return answer(r.URL.Host, r)
	}
	return respond(200, "ok"), nil
}

func (s *servers) of(host string) int {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.count[host]
}

func respond(status int, body string) *http.Response {
	return &http.Response{StatusCode: status, Header: http.Header{}, Body: io.NopCloser(strings.NewReader(body))}
}

func newPool(t testing.TB, s *servers, n int, change func(*replicas.Config)) *replicas.Pool {
	t.Helper()
	cfg := replicas.Config{Transport: s}
	for i := range n {
		cfg.Replicas = append(cfg.Replicas, replicas.Replica{URL: fmt.Sprintf("http://r%d", i)})
	}
	if change != nil {
		change(&cfg)
	}
	p, err := replicas.New(cfg)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { p.Close() })
	return p
}

func send(p *replicas.Pool, header ...string) (int, string, error) {
	req := httptest.NewRequest(http.MethodPost, "http://chat/v1", nil)
	req.Header["Idempotency-Key"] = nil // a question, which may be asked twice
	req.Body, req.GetBody = http.NoBody, nil
	for i := 0; i < len(header); i += 2 {
		req.Header.Set(header[i], header[i+1])
	}
	resp, err := p.RoundTrip(req)
	if err != nil {
		return 0, "", err
	}
	defer resp.Body.Close()
	b, err := io.ReadAll(resp.Body)
	return resp.StatusCode, string(b), err
}

func TestPoliciesShareTheLoad(t *testing.T) {
	// In virtual time all servers are equally quick, also on a busy machine.
	for _, policy := range []replicas.Policy{replicas.PowerOfTwo, replicas.LeastLoaded, replicas.Weighted, replicas.Affine} {
		synctest.Test(t, func(t *testing.T) { shareTheLoad(t, policy) })
	}
}

func shareTheLoad(t *testing.T, policy replicas.Policy) {
	s := &servers{}
	p := newPool(t, s, 3, func(c *replicas.Config) { c.Policy, c.Replicas[2].Weight = policy, 2 })
	const n = 4000
	for i := range n {
		if code, _, err := send(p, "Serin-Unit", fmt.Sprint("conversation-", i)); code != 200 || err != nil {
			t.Fatal(code, err)
		}
	}
	if policy == replicas.LeastLoaded { // one at a time, so the heaviest is always free
		return
	}
	if policy == replicas.PowerOfTwo { // with equal loads, the heavier one is seen as freer
		if s.of("r0") == 0 || s.of("r2") < s.of("r0") {
			t.Errorf("%v: %v", policy, s.count)
		}
		return
	}
	for host, share := range map[string]float64{"r0": 0.25, "r1": 0.25, "r2": 0.5} {
		if got := float64(s.of(host)) / n; got < share-0.04 || got > share+0.04 {
			t.Errorf("%v: %s has %.3f of the requests, want about %.2f", policy, host, got, share)
		}
	}
}

// TestSlowServerGetsLess: power of two sees that one takes ten times as long.
func TestSlowServerGetsLess(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := &servers{answer: func(host string, _ *http.Request) (*http.Response, error) {
			d := 10 * time.Millisecond
			if host == "r0" {
				d *= 10
			}
			time.Sleep(d)
			return respond(200, "ok"), nil
		}}
		p := newPool(t, s, 2, nil)
		var wg sync.WaitGroup
		for range 16 {
			wg.Go(func() {
				for range 100 {
					send(p)
				}
			})
		}
		wg.Wait()
		if slow, fast := s.of("r0"), s.of("r1"); slow*4 > fast {
			t.Errorf("the slow server had %d requests, the other one %d", slow, fast)
		}
	})
}

// TestAffinity: a key stays with its server; when a server goes only its keys move,
// and come back with it.
func TestAffinity(t *testing.T) {
	s := &servers{answer: func(host string, _ *http.Request) (*http.Response, error) { return respond(200, host), nil }}
	p := newPool(t, s, 4, func(c *replicas.Config) { c.Policy, c.SlowStart = replicas.Affine, -1 })
	where := func() map[string]string {
		at := make(map[string]string)
		for i := range 1000 {
			key := fmt.Sprint("conversation-", i)
			_, host, err := send(p, "Serin-Unit", key)
			if err != nil {
				t.Fatal(err)
			}
			at[key] = host
		}
		return at
	}
	before := where()
	if again := where(); !equal(before, again, "") {
		t.Error("keys move without a reason")
	}
	if err := p.Remove(t.Context(), "http://r2"); err != nil {
		t.Fatal(err)
	}
	if without := where(); !equal(before, without, "r2") {
		t.Error("keys of other servers have moved")
	}
	if err := p.Add(replicas.Replica{URL: "http://r2"}); err != nil {
		t.Fatal(err)
	}
	if after := where(); !equal(before, after, "") {
		t.Error("keys do not come back")
	}
}

func equal(a, b map[string]string, but string) bool {
	for k, v := range a {
		if v != but && b[k] != v || v == but && but != "" && b[k] == but {
			return false
		}
	}
	return true
}

// TestBoundedLoad: one key that everybody asks about does not pile up on one
// server.
func TestBoundedLoad(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		release := make(chan struct{})
		s := &servers{answer: func(string, *http.Request) (*http.Response, error) { <-release; return respond(200, "ok"), nil }}
		p := newPool(t, s, 4, func(c *replicas.Config) { c.Policy = replicas.Affine })
		var wg sync.WaitGroup
		for range 100 {
			wg.Go(func() { send(p, "Serin-Unit", "the one") })
			synctest.Wait()
		}
		for _, st := range p.Stats() {
			if st.InFlight > 32 { // 1.25 x 25, and one
				t.Errorf("%s has %d of 100 requests", st.URL, st.InFlight)
			}
		}
		close(release)
		wg.Wait()
	})
}

// TestEjection: with two servers, the one that fails is left out while the other
// one succeeds, for longer each time; if both fail neither is.
func TestEjection(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var bad atomic.Value
		bad.Store("r0")
		s := &servers{answer: func(host string, _ *http.Request) (*http.Response, error) {
			if b := bad.Load(); b == host || b == "all" {
				return respond(500, "no"), nil
			}
			return respond(200, "ok"), nil
		}}
		p := newPool(t, s, 2, func(c *replicas.Config) { c.Policy, c.SlowStart = replicas.Weighted, -1 })
		run := func(n int) (failed int) {
			for range n {
				if code, _, _ := send(p); code != 200 {
					failed++
				}
				time.Sleep(time.Millisecond)
			}
			return failed
		}
		if n := run(1000); n < 5 || n > 20 {
			t.Errorf("%d requests failed until the server was left out", n)
		}
		if st := p.Stats()[0]; st.State != replicas.Ejected {
			t.Errorf("%+v", st)
		}
		time.Sleep(10 * time.Second)
		if run(100) == 0 {
			t.Error("it was not tried again after ten seconds")
		}
		time.Sleep(11 * time.Second)
		if st := p.Stats()[0]; st.State != replicas.Ejected {
			t.Errorf("the second time is no longer than the first: %+v", st)
		}
		time.Sleep(10 * time.Second)
		bad.Store("nobody")
		if n := run(100); n != 0 || s.of("r0") == 0 || p.Stats()[0].State != replicas.Available {
			t.Errorf("%d failures, %+v", n, p.Stats()[0])
		}
		bad.Store("all")
		time.Sleep(time.Hour)
		run(100)
		for _, st := range p.Stats() {
			if st.State != replicas.Available {
				t.Errorf("all fail, and %s is left out", st.URL)
			}
		}
	})
}

func TestRetry(t *testing.T) {
	var down atomic.Bool
	s := &servers{answer: func(host string, r *http.Request) (*http.Response, error) {
		switch {
		case host == "r0":
			return nil, errors.New("connection refused")
		case down.Load():
			return respond(503, "overloaded"), nil
		}
		return respond(200, r.Header.Get("X")), nil
	}}
	p := newPool(t, s, 2, func(c *replicas.Config) { c.Policy, c.EjectAfter = replicas.Weighted, -1 })
	for range 100 {
		if code, _, err := send(p); code != 200 || err != nil {
			t.Fatalf("%d, %v", code, err)
		}
	}
	// A body that cannot be had again is sent once.
	failed := 0
	for range 100 {
		req, _ := http.NewRequest(http.MethodPost, "http://chat/", io.NopCloser(strings.NewReader("x")))
		if resp, err := p.RoundTrip(req); err != nil {
			failed++
		} else {
			resp.Body.Close()
		}
	}
	if failed < 20 {
		t.Errorf("%d of 100 failed, as half of them should", failed)
	}
	// What may have an effect, or has a key that one server remembers, is sent once.
	for name, h := range map[string]http.Header{"no key": {}, "a key": {"Idempotency-Key": {"k"}}} {
		before := s.of("r0") + s.of("r1")
		for range 50 {
			req, _ := http.NewRequest(http.MethodPost, "http://chat/v1/batches", strings.NewReader("x"))
			req.Header = h.Clone()
			if resp, err := p.RoundTrip(req); err == nil {
				resp.Body.Close()
			}
		}
		if n := s.of("r0") + s.of("r1") - before; n != 50 {
			t.Errorf("%s: 50 requests were sent %d times", name, n)
		}
	}
	// Retries are bounded: when nobody serves they do not double the load.
	down.Store(true)
	before := s.of("r0") + s.of("r1")
	for range 2000 {
		send(p)
	}
	if tries := s.of("r0") + s.of("r1") - before; tries > 2000+100+400+10 {
		t.Errorf("2000 requests were tried %d times", tries)
	}
	once := newPool(t, &servers{answer: func(string, *http.Request) (*http.Response, error) { return nil, errors.New("down") }}, 2, func(c *replicas.Config) { c.NoRetry = true })
	send(once)
	if n := once.Stats()[0].Failed + once.Stats()[1].Failed; n != 1 {
		t.Errorf("NoRetry tried %d times", n)
	}
}

// TestHedge: the second server is asked when the first one is silent, the first to
// answer wins, its answer arrives in full, and the other one is told.
func TestHedge(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		told := make(chan string, 10)
		s := &servers{}
		silent := ""
		s.answer = func(host string, r *http.Request) (*http.Response, error) {
			s.mu.Lock()
			if silent == "" {
				silent = host
			}
			slow := silent == host
			s.mu.Unlock()
			if slow {
				<-r.Context().Done()
				told <- host
				return nil, r.Context().Err()
			}
			out, in := io.Pipe()
			go func() {
				for _, part := range []string{"one ", "two ", "three"} {
					time.Sleep(time.Second)
					if r.Context().Err() != nil {
						in.CloseWithError(r.Context().Err())
						return
					}
					io.WriteString(in, part)
				}
				in.Close()
			}()
			return &http.Response{StatusCode: 200, Header: http.Header{}, Body: out}, nil
		}
		p := newPool(t, s, 2, func(c *replicas.Config) { c.Hedge = 500 * time.Millisecond })
		if code, body, err := send(p); code != 200 || body != "one two three" || err != nil {
			t.Errorf("%d %q %v", code, body, err)
		}
		select {
		case <-told:
		default:
			t.Error("the one that lost goes on")
		}
		synctest.Wait()
		for _, st := range p.Stats() {
			if st.InFlight != 0 {
				t.Errorf("%+v", st)
			}
		}
	})
}

func TestQueue(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		release := make(chan struct{})
		s := &servers{answer: func(string, *http.Request) (*http.Response, error) { <-release; return respond(200, "ok"), nil }}
		p := newPool(t, s, 1, func(c *replicas.Config) { c.MaxInFlight, c.MaxQueue = 2, 3 })
		var served, full atomic.Int64
		var wg sync.WaitGroup
		for range 10 {
			wg.Go(func() {
				_, _, err := send(p)
				var f *replicas.FullError
				switch {
				case err == nil:
					served.Add(1)
				case errors.As(err, &f) && f.InFlight == 2:
					full.Add(1)
				default:
					t.Error(err)
				}
			})
		}
		synctest.Wait()
		if full.Load() != 5 {
			t.Errorf("%d found no room, want 5", full.Load())
		}
		close(release)
		wg.Wait()
		if served.Load() != 5 {
			t.Errorf("%d were served, want 5", served.Load())
		}
	})
}

func TestHealthAndCapacity(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var sick atomic.Bool
		health := checks.Func(func(context.Context) checks.Result {
			if sick.Load() {
				return checks.Result{Status: checks.Fail}
			}
			return checks.Result{Status: checks.Pass}
		})
		s := &servers{}
		p := newPool(t, s, 2, func(c *replicas.Config) { c.Replicas[0].Health = health })
		synctest.Wait()
		want := func(state replicas.State, capacity checks.Status) {
			t.Helper()
			if st := p.Stats()[0]; st.State != state {
				t.Errorf("%s, want %s", st.State, state)
			}
			if r := p.Capacity(2).Check(t.Context()); r.Status != capacity || r.Evidence["http://r0"] != string(state) {
				t.Errorf("capacity: %+v", r)
			}
		}
		want(replicas.Available, checks.Pass)
		sick.Store(true)
		time.Sleep(6 * time.Second)
		want(replicas.Available, checks.Pass) // once is not enough
		time.Sleep(5 * time.Second)
		want(replicas.Sick, checks.Fail)
		before := s.of("r0")
		for range 100 {
			send(p)
		}
		if s.of("r0") != before {
			t.Error("a sick server was asked")
		}
		sick.Store(false)
		time.Sleep(5 * time.Second)
		want(replicas.Available, checks.Pass)
		for range 1000 {
			send(p)
		}
		if n := s.of("r0") - before; n == 0 || n > 400 {
			t.Errorf("a server that is just back has %d of 1000 requests", n)
		}
		p.Close()
	})
}

// TestRemoveWaits: streams end where they are, and nothing new comes.
func TestRemoveWaits(t *testing.T) {
	out, in := io.Pipe()
	s := &servers{answer: func(host string, _ *http.Request) (*http.Response, error) {
		if host == "r0" {
			return &http.Response{StatusCode: 200, Header: http.Header{}, Body: out}, nil
		}
		return respond(200, "ok"), nil
	}}
	p := newPool(t, s, 1, nil)
	req := httptest.NewRequest(http.MethodGet, "http://chat/", nil)
	resp, err := p.RoundTrip(req)
	if err != nil {
		t.Fatal(err)
	}
	if err := p.Add(replicas.Replica{URL: "http://r1"}); err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithTimeout(t.Context(), time.Millisecond)
	defer cancel()
	if err := p.Remove(ctx, "http://r0"); !errors.Is(err, context.DeadlineExceeded) {
		t.Errorf("Remove while a stream is under way: %v", err)
	}
	for range 20 {
		send(p)
	}
	if s.of("r0") != 1 {
		t.Error("a server that was removed was asked")
	}
	go func() { io.WriteString(in, "the end"); in.Close() }()
	if b, err := io.ReadAll(resp.Body); string(b) != "the end" || err != nil {
		t.Errorf("the stream: %q, %v", b, err)
	}
	if err := p.Remove(t.Context(), "http://r1"); err != nil {
		t.Fatal(err)
	}
	if _, _, err := send(p); !errors.Is(err, replicas.ErrNone) {
		t.Errorf("without servers: %v", err)
	}
}

func TestBrokenStreamsAndHangUps(t *testing.T) {
	s := &servers{answer: func(string, *http.Request) (*http.Response, error) {
		return &http.Response{StatusCode: 200, Header: http.Header{}, Body: io.NopCloser(io.MultiReader(strings.NewReader("x"), broken{}))}, nil
	}}
	p := newPool(t, s, 1, nil)
	if _, _, err := send(p); err == nil {
		t.Error("a broken stream looks whole")
	}
	if st := p.Stats()[0]; st.Failed != 1 || st.Served != 0 || st.InFlight != 0 {
		t.Errorf("%+v", st)
	}
	ctx, cancel := context.WithCancel(t.Context())
	resp, err := p.RoundTrip(httptest.NewRequest(http.MethodGet, "http://chat/", nil).WithContext(ctx))
	if err != nil {
		t.Fatal(err)
	}
	cancel()
	resp.Body.Close()
	if st := p.Stats()[0]; st.Failed != 1 || st.Served != 1 || st.InFlight != 0 {
		t.Errorf("who hangs up says nothing against the server: %+v", st)
	}
}

type broken struct{}

func (broken) Read([]byte) (int, error) { return 0, errors.New("connection reset") }

func TestBadConfig(t *testing.T) {
	_, err := replicas.New(replicas.Config{
		Replicas: []replicas.Replica{{URL: "r0:8000"}, {URL: "http://r1/path"}, {URL: "http://r2", Weight: -1}, {URL: "http://r2"}},
		Policy:   9, MaxInFlight: -1, MaxQueue: -1, Hedge: -1, HealthEvery: -1,
	})
	fields := map[string]bool{}
	for invalid := range checks.Invalid(err) {
		fields[invalid.Field] = true
	}
	for _, want := range []string{"Replicas[0].URL", "Replicas[1].URL", "Replicas[2].Weight", "Replicas[3].URL", "Policy", "MaxInFlight", "MaxQueue", "Hedge", "HealthEvery"} {
		if !fields["Config."+want] {
			t.Errorf("%v does not name %s", err, want)
		}
	}
	for _, c := range []replicas.Config{{}, {Replicas: []replicas.Replica{{URL: "http://a"}}, MaxQueue: 1}} {
		if _, err := replicas.New(c); err == nil {
			t.Errorf("%+v is accepted", c)
		}
	}
	p := newPool(t, &servers{}, 1, nil)
	for _, url := range []string{"http://r0", "HTTP://R0/", "http://r0:80"} {
		if err := p.Add(replicas.Replica{URL: url}); err == nil {
			t.Errorf("%s is added, which is there as http://r0", url)
		}
		c := replicas.Config{Replicas: []replicas.Replica{{URL: "http://r0"}, {URL: url}}}
		var invalid *checks.InvalidError
		if err := c.Validate(); !errors.As(err, &invalid) || invalid.Field != "Config.Replicas[1].URL" {
			t.Errorf("%s beside http://r0: %v", url, err)
		}
	}
	for _, url := range []string{"https://r0", "http://r0:8080"} {
		if err := p.Add(replicas.Replica{URL: url}); err != nil {
			t.Errorf("%s is another server than http://r0: %v", url, err)
		}
	}
	if err := p.Remove(t.Context(), "http://R0:80/"); err != nil || p.Add(replicas.Replica{URL: "http://r0"}) != nil {
		t.Errorf("http://r0 is not removed under another spelling, %v", err)
	}
	if err := p.Remove(t.Context(), "http://nobody"); err != nil {
		t.Error(err)
	}
}

func TestPromptPrefix(t *testing.T) {
	key := replicas.PromptPrefix(10)
	body := func(s string) *http.Request {
		r, _ := http.NewRequest("POST", "http://x", strings.NewReader(s))
		return r
	}
	keys := []string{key(body("0123456789abc")), key(body("0123456789xyz")), key(body("01")), key(httptest.NewRequest("POST", "/", nil))}
	if !slices.Equal(keys, []string{"0123456789", "0123456789", "01", ""}) {
		t.Errorf("%q", keys)
	}
}

// Example serves from two real servers; the second one is down.
func Example() {
	up := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { fmt.Fprintln(w, "hello") }))
	defer up.Close()
	pool, err := replicas.New(replicas.Config{Replicas: []replicas.Replica{{URL: up.URL}, {URL: "http://127.0.0.1:1"}}})
	if err != nil {
		fmt.Println(err)
		return
	}
	defer pool.Close()
	client := &http.Client{Transport: pool}
	for range 3 {
		resp, err := client.Get("http://chat-1-5-0/")
		if err != nil {
			fmt.Println(err)
			return
		}
		io.Copy(io.Discard, resp.Body)
		resp.Body.Close()
		fmt.Println(resp.StatusCode)
	}
	// Output:
	// 200
	// 200
	// 200
}

// TestSeries: failures are those between two looks, of a server that is there.
func TestSeries(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		fails := false
		s := &servers{answer: func(string, *http.Request) (*http.Response, error) {
			time.Sleep(50 * time.Millisecond)
			if fails {
				return respond(500, "no"), nil
			}
			return respond(200, "ok"), nil
		}}
		p := newPool(t, s, 1, nil)
		series := replicas.Series(p)
		look := func() string {
			now := time.Now()
			return fmt.Sprint(len(series), " ", series["available"](now), " ", series["in flight of http://r0"](now), " ",
				series["failures of http://r0"](now), " ", series["first byte of http://r0"](now))
		}
		if got := look(); got != "4 1 0 NaN NaN" {
			t.Errorf("before the first request: %s", got)
		}
		send(p)
		time.Sleep(time.Minute)
		if got := look(); got != "4 1 0 0 0.05" {
			t.Errorf("after a success: %s", got)
		}
		fails = true
		send(p)
		time.Sleep(time.Minute)
		if x := series["failures of http://r0"](time.Now()); x != 1 {
			t.Errorf("%v of the attempts failed, want all", x)
		}
		if err := p.Remove(t.Context(), "http://r0"); err != nil {
			t.Fatal(err)
		}
		if got := look(); got != "4 0 NaN NaN NaN" {
			t.Errorf("of a server that is gone: %s", got)
		}
	})
}
