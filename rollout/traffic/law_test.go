package traffic_test

import (
	"bufio"
	"context"
	"flag"
	"fmt"
	"io"
	"math/rand/v2"
	"net"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	answers "github.com/serin-go/serin/checks/analysis/answer"
	"github.com/serin-go/serin/internal/corpus"
	"github.com/serin-go/serin/rollout/traffic"
	"github.com/serin-go/serin/rollout/traffic/cache"
	"github.com/serin-go/serin/rollout/traffic/replicas"
	"github.com/serin-go/serin/strategies"
)

var lawSeed = flag.Uint64("law", 1, "seed of the test of the law of effects")

// lawful is a request and what its sending may cause.
type lawful struct {
	method, path, kind, body string
	header                   http.Header

	most     int  // requests that servers accept together
	perPool  int  // and at the servers of one arm, 0 for as many as together
	resent   bool // twice as many, if connections that may have been idle are closed without an answer
	refusals bool // an answer of 400 or more has caused nothing: it does not count
	charged  bool // each of them, except those that were resent
}

const (
	askChat      = `{"model":"m","stream":true,"temperature":0,"messages":[{"role":"user","content":"Hi"}]}`
	askContinued = `{"model":"m","input":"Hi","previous_response_id":"resp_1"}`
)

// askedOnce are inferences with effects of their own: the server calls tools, or goes on
// without its caller, or that cannot be ruled out.
var askedOnce = []struct{ path, body string }{
	{"/v1/responses", `{"model":"m","input":"Hi","tools":[{"type":"mcp","server_label":"x"}]}`},
	{"/v1/responses", `{"model":"m","input":"Hi","stream":true,"tools":[{"type":"web_search"}]}`},
	{"/v1/responses", `{"model":"m","input":"Hi","tools":[{"type":"code_interpreter","container":{"type":"auto"}}]}`},
	{"/v1/responses", `{"model":"m","input":"Hi","background":true}`},
	{"/v1/chat/completions", `{"model":"m","messages":[],"web_search_options":{}}`},
	{"/v1/messages", `{"model":"m","messages":[],"tools":[{"type":"web_search_20250305","name":"web_search"}]}`},
	{"/v1/messages", `{"model":"m","messages":[],"mcp_servers":[{"type":"url","url":"https://mcp.example","name":"x"}]}`},
	{"/v1beta/models/gemini:generateContent", `{"contents":[],"tools":[{"google_search":{}}]}`},
	{"/v1/responses", `{"model":"m","tools":[{"type":"mcp","server_label":"x"}],"input":"` + strings.Repeat("long ", lawMaxBody/4) + `"}`},
	{"/v1/responses", `{"model":"m","tools":[{"type":"mcp","server_label":"x"}],"temperature":NaN}`}, // which Python reads
	{"/v1/responses", "\xef\xbb\xbf" + `{"model":"m","input":"Hi","tools":[{"type":"mcp","server_label":"x"}]}`},
}

// lawMaxBody is how much of a body is held, in bytes.
const lawMaxBody = 4 << 10

// agent is a chat route below which the configuration says that there are resources.
const agent = "/agent/v1/chat/completions"

// laws are the requests of the table of routes that may have effects, each with what it
// may cause.
func laws() (all []lawful) {
	for _, row := range corpus.Routes() {
		l := lawful{method: row.Method, path: row.Path, kind: row.Kind, body: `{}`, most: 1}
		switch row.Kind {
		case "inference":
			// The candidate's pool may be asked twice, the baseline's and the mirror's too.
			l.body, l.most, l.perPool, l.resent, l.charged = askChat, 3*2, 2, true, true
		case "auxiliary":
			l.most, l.perPool = 2, 1
		case "realtime":
			l.resent, l.body, l.header = true, "", http.Header{"Connection": {"Upgrade"}, "Upgrade": {"websocket"}}
		}
		if row.Path[0] != '/' || row.Method == http.MethodConnect {
			continue // not a request that an HTTP client sends
		}
		switch row.Method {
		case http.MethodGet, http.MethodHead, http.MethodOptions:
			if row.Kind != "realtime" {
				continue // without effects
			}
		case http.MethodTrace:
			l.resent = true // it is safe, see RFC 9110, section 9.2.1
		}
		all = append(all, l)
	}
	for _, ask := range askedOnce {
		all = append(all, lawful{method: "POST", path: ask.path, kind: "once", body: ask.body, most: 1, refusals: true, charged: true})
	}
	return append(all,
		lawful{method: "POST", path: "/v1/responses", kind: "continued", body: askContinued, most: 1, resent: true, charged: true},
		lawful{method: "POST", path: "/v1/responses", kind: "continued", body: `{"model":"m","conversation":"conv_1","input":"Hi","stream":true}`, most: 1, resent: true, charged: true},
		lawful{method: "POST", path: "/v1/chat/completions", kind: "once", header: http.Header{"Content-Type": {"text/plain"}}, body: askedOnce[4].body, most: 1, refusals: true, charged: true},
		lawful{method: "POST", path: agent, kind: "resource by configuration", body: askChat, most: 1},
	)
}

// fault is what every server does to a request at one instant.
type fault struct {
	name   string
	before bool     // the caller leaves before the request is sent
	early  bool     // after the first byte of the request
	send   []string // parts of the answer
	status int
	whole  bool // the answer ends well
	silent bool // and nothing comes until the caller has left
	gone   bool // the caller leaves at this instant
}

func faults() []fault {
	head := func(status int, kind string) string {
		return fmt.Sprintf("HTTP/1.1 %d Status\r\nContent-Type: %s\r\nTransfer-Encoding: chunked\r\nLocation: /elsewhere\r\n\r\n", status, kind)
	}
	chunk := func(s string) string { return fmt.Sprintf("%x\r\n%s\r\n", len(s), s) }
	const stream, document, end = "text/event-stream", "application/json", "0\r\n\r\n"
	instants := []fault{
		{name: "after the first byte of the request", early: true},
		{name: "after the last byte of the request"},
		{name: "after an informational status", send: []string{"HTTP/1.1 103 Early Hints\r\n\r\n"}},
		{name: "after the first byte of the answer", send: []string{"H"}},
		{name: "after the header of a stream", status: 200, send: []string{head(200, stream)}},
		{name: "after the first byte of the body", status: 200, send: []string{head(200, document), "1\r\n{"}},
		{name: "before content", status: 200, send: []string{head(200, stream), chunk(role)}},
		{name: "after content", status: 200, send: []string{head(200, stream), chunk(role), chunk(token("Hi"))}},
		{name: "at the last byte", status: 200, send: []string{head(200, stream), chunk(goodStream), end[:len(end)-1]}},
	}
	all := []fault{
		{name: "the caller leaves before the request is sent", before: true},
		{name: "a handshake", status: 101, send: []string{"HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\r\n"}},
		{name: "an error event", status: 200, whole: true, send: []string{head(200, stream), chunk(limited), end}},
		{name: "a page", status: 200, whole: true, send: []string{head(200, "text/html"), chunk("<html>"), end}},
		{name: "a good answer", status: 200, whole: true, send: []string{head(200, stream), chunk(goodStream), end}},
		{name: "no content", status: 204, whole: true, send: []string{"HTTP/1.1 204 No Content\r\n\r\n"}},
		{name: "silence", silent: true},
		{name: "silence after the header", status: 200, silent: true, send: []string{head(200, document)}},
	}
	for _, status := range []int{302, 400, 404, 408, 429, 500, 502, 503} {
		instants = append(instants, fault{name: fmt.Sprint("after the header of a ", status), status: status, send: []string{head(status, document)}})
		all = append(all, fault{name: fmt.Sprint("a whole ", status), status: status, whole: true, send: []string{head(status, document), chunk("{}"), end}})
	}
	for _, f := range instants {
		all = append(all, f)
		f.name, f.gone, f.silent = "the caller leaves "+f.name, true, true
		all = append(all, f)
	}
	return all
}

// scene is one run: what servers do, and what has come to them.
type scene struct {
	fault
	lawful
	what  string // for people
	run   string
	leave context.CancelFunc

	mu       sync.Mutex
	accepted map[string]int // by arm
	refused  int            // of them
	charged  map[traffic.Attempt]int
}

// accept notes a request that has come to an end.
func (s *scene) accept(arm string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.accepted[arm]++; s.status >= 400 {
		s.refused++
	}
}

func (s *scene) total() (n int) {
	for _, k := range s.accepted {
		n += k
	}
	return n
}

// check checks what the run has caused. It returns what was accepted without a charge,
// "" if all is charged: an attempt that is given up in the moment in which it is written
// may look as if it had not been sent.
func (s *scene) check(t *testing.T) (uncharged string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	n, times := s.total(), 1
	if s.refusals {
		n -= s.refused
	}
	if s.resent && len(s.send) == 0 && !s.silent {
		times = 2
	}
	if n > s.most*times {
		t.Errorf("%s: %v requests were accepted, at most %d may be", s.what, s.accepted, s.most*times)
	}
	for arm, n := range s.accepted {
		if s.perPool > 0 && n > s.perPool*times {
			t.Errorf("%s: %d requests were accepted by %q, at most %d may be", s.what, n, arm, s.perPool*times)
		}
	}
	charged := 0
	for _, n := range s.charged {
		charged += n
	}
	if s.lawful.charged && charged*times < s.total() {
		return fmt.Sprintf("%s: %d charges %v for requests that were accepted: %v", s.what, charged, s.charged, s.accepted)
	}
	return ""
}

// stage is a set of servers that play one scene after the other.
type stage struct {
	t      *testing.T
	now    atomic.Pointer[scene]
	scenes sync.Map // by run, since what is given up may still come to a server
	urls   map[string][]string
	cache  *cache.Cache
}

func newStage(t *testing.T) *stage {
	s := &stage{t: t, urls: map[string][]string{}}
	for _, arm := range []string{"old", "new", "copy", "half", "plain", "proxy"} {
		for range 3 {
			s.urls[arm] = append(s.urls[arm], accept(t, func(conn net.Conn) {
				in := bufio.NewReader(conn)
				for s.play(conn, in, arm) {
				}
			}))
		}
	}
	s.urls["half"][0] = unreachable(t)
	s.urls["down"] = []string{"http://127.0.0.1:1", "http://127.0.0.1:2", "http://127.0.0.1:3"}
	var err error
	if s.cache, err = cache.New(cache.Config{}); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = s.cache.Close() })
	return s
}

// play plays one request of a connection, and reports whether another may follow.
func (s *stage) play(conn net.Conn, in *bufio.Reader, arm string) bool {
	if _, err := in.Peek(1); err != nil {
		return false
	}
	if now := s.now.Load(); now.early && now.gone {
		now.leave()
	} else if now.early {
		return false
	}
	req, err := http.ReadRequest(in)
	if err != nil {
		return false
	}
	if _, err := io.Copy(io.Discard, req.Body); err != nil {
		return false
	}
	found, ok := s.scenes.Load(req.Header.Get("X-Run"))
	if !ok {
		s.t.Errorf("a request without its run: %v", req)
		return false
	}
	now := found.(*scene)
	now.accept(arm)
	for _, part := range now.send {
		if _, err := io.WriteString(conn, part); err != nil {
			return false
		}
	}
	if now.gone {
		now.leave()
	}
	if now.silent {
		_, _ = in.ReadByte() // until the connection is closed
	}
	return now.whole
}

// pool returns three replicas behind a cache, with hedging or retries.
func (s *stage) pool(t *testing.T, arm string) traffic.Backend {
	var list []replicas.Replica
	for _, url := range s.urls[arm] {
		list = append(list, replicas.Replica{URL: url})
	}
	cfg := replicas.Config{Replicas: list, Hedge: 3 * time.Millisecond, EjectAfter: 1 << 30}
	if arm == "half" {
		cfg.Hedge = 0 // only retries
	}
	pool, err := replicas.New(cfg)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = pool.Close() })
	return traffic.Backend{URL: "http://" + arm, Transport: s.cache.Transport(arm, pool), Price: tokenPrice}
}

// madeBy is a memory in which an arm has made whatever is asked for.
type madeBy string

func (m madeBy) Get(string) (arm string, generation uint64, ok bool) { return string(m), 0, true }
func (m madeBy) Put(string, string, uint64)                          {}

// routers returns routers with a candidate, a baseline and a mirror. Candidate and
// baseline are pools, a pool of which a server is down, one whose servers all are, one
// server, or a handler of the configuration. Each pair comes twice: once the candidate
// has made all that requests refer to.
func (s *stage) routers(t *testing.T, charged func(traffic.Charge)) (all []*traffic.Router) {
	arms := map[string]traffic.Backend{"plain": {URL: s.urls["plain"][0], Price: tokenPrice}}
	for _, arm := range []string{"old", "new", "copy", "half", "down"} {
		arms[arm] = s.pool(t, arm)
	}
	proxy, err := traffic.Proxy(s.urls["proxy"][0])
	if err != nil {
		t.Fatal(err)
	}
	arms["proxy"] = traffic.Backend{URL: s.urls["proxy"][0], Handler: proxy, Price: tokenPrice}
	for _, pair := range [][2]string{{"new", "old"}, {"plain", "old"}, {"new", "plain"}, {"half", "old"}, {"down", "half"}, {"new", "down"}, {"proxy", "old"}, {"new", "proxy"}} {
		cfg := traffic.Config{
			Arms: arms, AllowControl: true, MaxBody: lawMaxBody, Charged: charged, FallbackRatio: 1e9,
			FirstByteTimeout: 15 * time.Millisecond, Stall: 15 * time.Millisecond, Patience: -1,
			Mirror:   traffic.Mirroring{Timeout: 40 * time.Millisecond},
			MayForce: func(*http.Request, string) bool { return true },
			Routes: func(_, path string) (answers.Route, bool) {
				return answers.Route{Kind: answers.Resource}, path == agent
			},
			Split: strategies.Split{
				Arms:    []strategies.Arm{{Name: pair[1]}, {Name: pair[0], Weight: strategies.Full}, {Name: "copy"}},
				Mirrors: []strategies.Mirror{{Arm: "copy", Share: strategies.Full}},
			},
		}
		for _, cfg.Pins = range []traffic.Sticky{nil, madeBy(pair[0])} {
			r, err := traffic.New(cfg)
			if err != nil {
				t.Fatal(err)
			}
			all = append(all, r)
		}
	}
	return all
}

// ask sends the request of a scene.
func (now *scene) ask(ctx context.Context, r *traffic.Router, rng *rand.Rand, handler bool) {
	if now.before {
		now.leave()
	}
	req, _ := http.NewRequestWithContext(ctx, now.method, "http://gateway/", strings.NewReader(now.body))
	req.URL.Path = now.path
	req.Header.Set("Content-Type", "application/json")
	for k, v := range now.header {
		req.Header[k] = v
	}
	req.Header.Set("Authorization", "Bearer "+now.run) // each has answers of its own in the cache
	req.Header.Set("X-Run", now.run)
	req.Header.Set(traffic.UnitHeader, now.run)
	if rng.IntN(4) == 0 {
		split := r.Split()
		req.Header.Set(traffic.ArmHeader, split.Arms[1].Name)
	}
	if handler {
		req.GetBody, req.RequestURI = nil, req.URL.RequestURI()
		defer func() { _ = recover() }() // how a handler breaks an answer off
		r.ServeHTTP(httptest.NewRecorder(), req)
		return
	}
	if rng.IntN(2) == 0 {
		req.GetBody = nil
	}
	resp, err := r.RoundTripper().RoundTrip(req)
	if err != nil {
		return
	}
	_, _ = io.Copy(io.Discard, resp.Body)
	_ = resp.Body.Close()
}

// quiet waits until a router has nothing to do.
func quiet(t *testing.T, r *traffic.Router) {
	waitFor(t, func() bool {
		n := r.PendingCopies()
		for _, a := range r.Stats() {
			n += int64(a.InFlight)
		}
		return n == 0
	})
}

// TestEffectsLaw sends each request of the table of routes that may have effects with a
// fault at each instant, in one of the shapes, over new or idle connections, to arms of
// all kinds, with fallbacks, second opinions, retries, hedges, copies and a cache. What
// has effects is accepted at most once. An inference is accepted at most twice by each
// of candidate, baseline and mirror, and that is charged, except in one of 200 runs in
// which an attempt was given up while it was sent.
func TestEffectsLaw(t *testing.T) {
	all, every := laws(), 1
	if raceEnabled || testing.Short() {
		every = 8
	}
	const stages = 6 // at a time, since most runs wait
	var runs atomic.Int64
	var mu sync.Mutex
	attempts := map[traffic.Attempt]int{}
	kinds := map[string]int{}
	var uncharged []string
	var asked, again uint64 // by caches, and on new connections
	var wg sync.WaitGroup
	for part := range stages {
		wg.Go(func() {
			t.Run(fmt.Sprint("stage ", part), func(t *testing.T) {
				s := newStage(t)
				for i := part; i < len(all); i += stages {
					stale := s.route(t, all[i], i, every)
					mu.Lock()
					again += stale
					mu.Unlock()
				}
				s.scenes.Range(func(_, v any) bool {
					now := v.(*scene)
					if now.lawful.method == "" {
						return true // only for its connection
					}
					missing := now.check(t)
					runs.Add(1)
					mu.Lock()
					defer mu.Unlock()
					if missing != "" {
						uncharged = append(uncharged, missing)
					}
					now.mu.Lock() // what was given up may still come
					defer now.mu.Unlock()
					kinds[now.kind] = max(kinds[now.kind], now.total())
					for a, n := range now.charged {
						attempts[a] += n
					}
					return true
				})
				mu.Lock()
				defer mu.Unlock()
				asked += s.cache.Stats().Misses
			})
		})
	}
	wg.Wait()
	t.Logf("%d runs; at most %v accepted for one; charged %v; %d by caches, %d over idle connections that were closed", runs.Load(), kinds, attempts, asked, again)
	if len(uncharged) > int(runs.Load())/200 {
		t.Errorf("%d runs have uncharged attempts, such as:\n%s", len(uncharged), strings.Join(uncharged[:min(len(uncharged), 20)], "\n"))
	}
	for _, a := range []traffic.Attempt{traffic.First, traffic.Retry, traffic.Hedge, traffic.Fallback, traffic.Opinion, traffic.Mirror} {
		if attempts[a] == 0 {
			t.Errorf("there was no %v", a)
		}
	}
	if asked == 0 || again == 0 {
		t.Errorf("caches were asked %d times, %d requests met a connection that was closed", asked, again)
	}
	if every == 1 && runs.Load() < 5000 {
		t.Errorf("only %d runs", runs.Load())
	}
}

// route sends one request with each fault, or with a part of them. It returns how often
// a request was sent again over a new connection.
func (s *stage) route(t *testing.T, l lawful, number, every int) (stale uint64) {
	rng := rand.New(rand.NewPCG(*lawSeed, uint64(number)))
	charged := func(c traffic.Charge) {
		v, _ := s.scenes.Load(c.Unit)
		now := v.(*scene)
		now.mu.Lock()
		defer now.mu.Unlock()
		now.charged[c.Attempt]++
	}
	// New ones for each route, since the numbers of fallbacks and hedges are bounded.
	routers := s.routers(t, charged)
	play := func(l lawful, f fault, r *traffic.Router, handler bool, what string) {
		ctx, leave := context.WithCancel(context.Background())
		defer leave()
		now := &scene{fault: f, lawful: l, what: what, run: fmt.Sprintf("%d-%x", number, rng.Uint64()), leave: leave, accepted: map[string]int{}, charged: map[traffic.Attempt]int{}}
		s.scenes.Store(now.run, now)
		s.now.Store(now)
		now.ask(ctx, r, rng, handler)
		quiet(t, r)
	}
	for i, f := range faults() {
		handler, warm, r := rng.IntN(2) == 0, rng.IntN(2) == 0, routers[rng.IntN(len(routers))]
		if (i+number)%every != 0 {
			continue
		}
		if warm { // leave idle connections
			play(lawful{path: "/v1/models"}, fault{status: 200, whole: true, send: []string{"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\n{}"}}, r, handler, "warm")
		}
		arms := r.Split().Arms
		shape := map[bool]string{true: "handler", false: "transport"}[handler]
		play(l, f, r, handler, fmt.Sprintf("%s %s (%s), %s, %s, %s and %s, warm %t", l.method, l.path, l.kind, f.name, shape, arms[1].Name, arms[0].Name, warm))
	}
	for _, r := range routers {
		for _, a := range r.Stats() {
			stale += a.Stale
		}
	}
	return stale
}
