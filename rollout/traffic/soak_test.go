package traffic_test

import (
	"context"
	"flag"
	"fmt"
	"io"
	"math/rand/v2"
	"net"
	"net/http"
	"net/http/httptest"
	"runtime"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/serin-go/serin/checks/analysis"
	"github.com/serin-go/serin/rollout/traffic"
	"github.com/serin-go/serin/strategies"
)

var soak = flag.Duration("soak", 3*time.Second, "how long TestSoak lasts")

// mortal is a backend that dies and returns: while it is dead it breaks off what
// it is answering, and takes no new requests.
type mortal struct {
	mu   sync.Mutex
	life context.Context
	die  context.CancelFunc
	dead atomic.Bool
}

func (m *mortal) revive() {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.life, m.die = context.WithCancel(context.Background())
	m.dead.Store(false)
}

func (m *mortal) kill() {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.dead.Store(true)
	m.die()
}

func (m *mortal) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	m.mu.Lock()
	life := m.life
	m.mu.Unlock()
	if _, err := io.Copy(io.Discard, r.Body); err != nil || m.dead.Load() {
		panic(http.ErrAbortHandler)
	}
	id := r.Header.Get("X-Asked")
	switch r.URL.RawQuery {
	case "json":
		w.Header().Set("Content-Type", "application/json")
		fmt.Fprint(w, `{"choices":[{"message":{"content":"`+id+`"},"finish_reason":"stop"}],"usage":{"prompt_tokens":1,"completion_tokens":1}}`)
	case "error":
		w.WriteHeader(http.StatusServiceUnavailable)
	default:
		stream(w, role)
		for range 1 + rand.IntN(20) {
			select {
			case <-life.Done():
				panic(http.ErrAbortHandler)
			case <-time.After(rand.N(2 * time.Millisecond)):
			}
			stream(w, token(id))
		}
		stream(w, finish, usage, done)
	}
}

// TestSoak sends mixed traffic in both shapes while splits flip and backends die
// and return, and callers hang up. Each request is observed exactly once, nothing
// leaks, what says that it is complete is, and no answer belongs to another request.
//
//	go test ./rollout/traffic -race -run Soak -soak 30m
func TestSoak(t *testing.T) {
	backends := map[string]*mortal{"old": {}, "new": {}}
	open := sockets{state: make(map[net.Conn]http.ConnState)}
	arms := make(map[string]traffic.Backend)
	for name, m := range backends {
		m.revive()
		s := httptest.NewUnstartedServer(m)
		s.Config.ConnState = open.count
		s.Start()
		t.Cleanup(s.Close)
		arms[name] = traffic.Backend{URL: s.URL}
	}
	var observed atomic.Int64
	r, err := traffic.New(traffic.Config{
		Arms: arms, Split: split(1, 1000), Observe: func(analysis.Observation) { observed.Add(1) },
		FirstByteTimeout: 5 * time.Second,
		Mirror:           traffic.Mirroring{Compare: func(context.Context, traffic.Pair) (float64, float64, bool) { return 0, 0, false }},
	})
	if err != nil {
		t.Fatal(err)
	}
	front := httptest.NewServer(r)
	t.Cleanup(front.Close)
	direct := &http.Client{Transport: r.RoundTripper()}
	proxied := &http.Client{Transport: &http.Transport{MaxIdleConnsPerHost: 64}}
	t.Cleanup(proxied.CloseIdleConnections)

	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	var sent, complete, broken atomic.Int64
	var users, others sync.WaitGroup
	for i := range 16 {
		users.Go(func() {
			client, base := proxied, front.URL
			if i%2 == 0 {
				client, base = direct, "http://models"
			}
			for ctx.Err() == nil {
				request(client, base, &sent, &complete, &broken)
			}
		})
	}
	others.Go(func() { // whoever moves the traffic
		for g := uint64(2); pauseFor(ctx, rand.N(20*time.Millisecond)); g++ {
			s := split(g, strategies.Weight(rand.IntN(10_001)))
			if g%5 == 0 && s.Arms[0].Weight > 0 {
				s.Mirrors = []strategies.Mirror{{Arm: "new", Share: 3000}}
			}
			if err := r.SetSplit(ctx, s); err != nil && ctx.Err() == nil {
				t.Error(err)
			}
		}
	})
	others.Go(func() { // whatever befalls the backends
		for pauseFor(ctx, rand.N(300*time.Millisecond)) {
			m := backends[[]string{"old", "new"}[rand.IntN(2)]]
			m.kill()
			pauseFor(ctx, rand.N(50*time.Millisecond))
			m.revive()
		}
	})
	var first, last usageOf
	pauseFor(ctx, *soak/3)
	first = measured()
	pauseFor(ctx, *soak*2/3)
	last = measured()
	cancel()
	users.Wait()
	others.Wait()

	for deadline := time.Now().Add(patience); observed.Load() != sent.Load() && time.Now().Before(deadline); {
		time.Sleep(5 * time.Millisecond) // the last ones end a moment later
	}
	total := uint64(0)
	for _, s := range r.Stats() {
		total += s.Requests
	}
	if observed.Load() != sent.Load() || total != uint64(sent.Load()) {
		t.Errorf("%d requests were sent, %d observed, %d are in the stats", sent.Load(), observed.Load(), total)
	}
	if complete.Load() == 0 || broken.Load() == 0 {
		t.Errorf("%d complete, %d broken: that shows little", complete.Load(), broken.Load())
	}
	if last.goroutines > first.goroutines+100 {
		t.Errorf("%d goroutines after a third of the time, %d at the end", first.goroutines, last.goroutines)
	}
	if last.heap > 2*first.heap+16<<20 {
		t.Errorf("%d MB in use after a third of the time, %d MB at the end", first.heap>>20, last.heap>>20)
	}
	t.Logf("%d requests in %v, %d complete, %d broken off or refused; goroutines %d and %d, heap %d and %d KB; %+v",
		sent.Load(), *soak, complete.Load(), broken.Load(), first.goroutines, last.goroutines, first.heap>>10, last.heap>>10, r.Mirrors())

	// At rest nothing is left of it all.
	front.CloseClientConnections()
	deadline := time.Now().Add(patience)
	for {
		inFlight := 0
		for _, s := range r.Stats() {
			inFlight += s.InFlight
		}
		if inFlight == 0 && open.active() == 0 {
			break
		}
		if time.Now().After(deadline) {
			t.Fatalf("%d requests are still in flight, over %d connections", inFlight, open.active())
		}
		time.Sleep(5 * time.Millisecond)
	}
}

// sockets are the connections of servers.
type sockets struct {
	mu    sync.Mutex
	state map[net.Conn]http.ConnState
}

func (s *sockets) count(c net.Conn, now http.ConnState) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.state[c] = now; now == http.StateClosed {
		delete(s.state, c)
	}
}

// active returns how many connections have a request under way.
func (s *sockets) active() (n int) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, now := range s.state {
		if now == http.StateActive {
			n++
		}
	}
	return n
}

// request sends one request of some kind, and sees whether what came back may be as
// it is: a stream that ends without an error has its terminator.
func request(client *http.Client, base string, sent, complete, broken *atomic.Int64) {
	ctx, cancel := context.WithCancel(context.Background())
	defer cancel()
	kind := []string{"stream", "stream", "stream", "json", "error"}[rand.IntN(5)]
	req, _ := http.NewRequestWithContext(ctx, http.MethodPost, base+chat+"?"+kind, strings.NewReader(fmt.Sprintf(`{"stream":%t}`, kind == "stream")))
	id := fmt.Sprintf("ask-%d.", sent.Add(1))
	req.Header.Set("X-Asked", id)
	resp, err := client.Do(req)
	if err != nil {
		broken.Add(1)
		return
	}
	defer resp.Body.Close()
	if rand.IntN(10) == 0 { // this one hangs up
		_, _ = io.CopyN(io.Discard, resp.Body, 100)
		return
	}
	body, err := io.ReadAll(resp.Body)
	if strings.Count(string(body), "ask-") != strings.Count(string(body), id) {
		panic(fmt.Sprintf("an answer to another request than %s: %q", id, body))
	}
	switch {
	case err != nil || resp.StatusCode >= 500:
		broken.Add(1)
	case kind == "stream" && !strings.HasSuffix(string(body), done):
		panic(fmt.Sprintf("a stream that ends like this was delivered as complete: %q", body[max(0, len(body)-100):]))
	default:
		complete.Add(1)
	}
}

// pauseFor reports whether ctx goes on after d.
func pauseFor(ctx context.Context, d time.Duration) bool {
	select {
	case <-ctx.Done():
		return false
	case <-time.After(d):
		return true
	}
}

type usageOf struct {
	goroutines int
	heap       uint64
}

func measured() usageOf {
	runtime.GC()
	var m runtime.MemStats
	runtime.ReadMemStats(&m)
	return usageOf{runtime.NumGoroutine(), m.HeapAlloc}
}
