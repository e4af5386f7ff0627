package main

import (
	"bufio"
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"math/rand/v2"
	"net"
	"net/http"
	"net/http/httptest"
	"net/url"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/sethvargo/go-envconfig"

	"github.com/serin-go/serin/loadtest/modeltest"
	"github.com/serin-go/serin/rollout/boltstore"
	"github.com/serin-go/serin/rollout/traffic/apikeys"
)

// patience bounds waits, which end when a state is reached.
const patience = time.Minute

// running is a gateway that runs in this process or in another one.
type running struct {
	base, admin string
	stop        func()
	*gateway
}

// start runs a gateway with the given settings, until the test or stop ends it.
func start(t *testing.T, env map[string]string) running {
	t.Helper()
	g := &gateway{log: slog.New(slog.DiscardHandler)}
	for name, value := range map[string]string{
		"GATEWAY_ADDR": "127.0.0.1:0", "GATEWAY_ADMIN_ADDR": "127.0.0.1:0", "GATEWAY_TOKEN": "secret", "DRAIN_DELAY": "0s",
		"GATEWAY_STORE": filepath.Join(t.TempDir(), "gateway.db"),
	} {
		if env[name] == "" {
			env[name] = value
		}
	}
	if err := envconfig.ProcessWith(t.Context(), &envconfig.Config{Target: &g.config, Lookuper: envconfig.MapLookuper(env)}); err != nil {
		t.Fatal(err)
	}
	if err := g.prepare(); err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	ready, done := make(chan [2]string, 1), make(chan error, 1)
	go func() { done <- g.serve(ctx, func(callers, admin string) { ready <- [2]string{callers, admin} }) }()
	r := running{gateway: g, stop: sync.OnceFunc(func() {
		cancel()
		if err := <-done; err != nil {
			t.Errorf("the gateway ended with %v", err)
		}
	})}
	t.Cleanup(r.stop)
	select {
	case addr := <-ready:
		r.base, r.admin = "http://"+addr[0], "http://"+addr[1]
	case err := <-done:
		done <- nil
		t.Fatal(err)
	}
	return r
}

// status returns the status of a GET.
func status(t *testing.T, url string) int {
	t.Helper()
	resp, err := http.Get(url)
	if err != nil {
		t.Fatal(err)
	}
	resp.Body.Close()
	return resp.StatusCode
}

// until waits until a state is reached.
func until(t *testing.T, what string, reached func() bool) {
	t.Helper()
	for deadline := time.Now().Add(patience); !reached(); time.Sleep(10 * time.Millisecond) {
		if time.Now().After(deadline) {
			t.Fatalf("not within %v: %s", patience, what)
		}
	}
}

// started waits until the store is open.
func (r running) started(t *testing.T) running {
	t.Helper()
	until(t, "the gateway has started", func() bool { return status(t, r.admin+"/startupz") == http.StatusOK })
	return r
}

func model(t *testing.T, cfg modeltest.Config) string {
	t.Helper()
	lm, err := modeltest.New(cfg)
	if err != nil {
		t.Fatal(err)
	}
	s := httptest.NewServer(lm)
	t.Cleanup(s.Close)
	return s.URL
}

// call sends a request to /rollout.
func call(t *testing.T, method, url, token string) (int, map[string]any) {
	t.Helper()
	req, _ := http.NewRequest(method, url, nil)
	req.Header.Set("Authorization", "Bearer "+token)
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	body, _ := io.ReadAll(resp.Body)
	var st map[string]any
	_ = json.Unmarshal(body, &st)
	return resp.StatusCode, st
}

// ask streams a chat and returns its version and ID. It fails the test if the
// stream is not complete.
func ask(t *testing.T, base, user string) (version, id string) {
	body := fmt.Sprintf(`{"model":"tinylm","stream":true,"max_tokens":8,"user":%q,"messages":[{"role":"user","content":"What is light?"}]}`, user)
	resp, err := http.Post(base+"/v1/chat/completions", "application/json", strings.NewReader(body))
	if err != nil {
		t.Error(err)
		return "", ""
	}
	defer resp.Body.Close()
	last := ""
	for sc := bufio.NewScanner(resp.Body); sc.Scan(); {
		if sc.Text() != "" {
			last = sc.Text()
		}
	}
	if resp.StatusCode != http.StatusOK || last != "data: [DONE]" {
		t.Errorf("status %d, the stream ends with %q", resp.StatusCode, last)
	}
	return resp.Header.Get("Serin-Version"), resp.Header.Get("Serin-Request-Id")
}

// users ask until stop is called; no two of them at one time are the same.
func users(t *testing.T, base string) (stop func()) {
	quit := make(chan struct{})
	var wg sync.WaitGroup
	for range 4 {
		wg.Go(func() {
			for {
				select {
				case <-quit:
					return
				default:
					ask(t, base, fmt.Sprint(rand.Uint64()))
				}
			}
		})
	}
	stop = sync.OnceFunc(func() { close(quit); wg.Wait() })
	t.Cleanup(stop)
	return stop
}

// await waits until the rollout is in one of the phases.
func (r running) await(t *testing.T, phases ...any) map[string]any {
	t.Helper()
	var st map[string]any
	until(t, fmt.Sprint("in a phase of ", phases), func() bool {
		_, st = call(t, "GET", r.admin+"/rollout", "secret")
		return slices.Contains(phases, st["phase"])
	})
	return st
}

func TestRollout(t *testing.T) {
	env := map[string]string{
		"STABLE_URL": model(t, modeltest.Config{Length: 8}), "CANDIDATE_URL": model(t, modeltest.Config{Length: 8, ErrorRate: 1}),
		"GATEWAY_STORE": filepath.Join(t.TempDir(), "gateway.db"), "ROLLOUT_BAKE": "100ms",
	}
	g := start(t, env).started(t)
	quiet := users(t, g.base)
	if code, _ := call(t, "GET", g.admin+"/rollout", "secret"); code != http.StatusConflict {
		t.Errorf("before the first rollout: %d", code)
	}
	for _, token := range []string{"", "wrong"} {
		if code, _ := call(t, "POST", g.admin+"/rollout/start", token); code != http.StatusUnauthorized {
			t.Errorf("token %q: %d", token, code)
		}
	}
	for _, path := range []string{"/rollout", "/metrics", "/feedback"} {
		if code, _ := call(t, "GET", g.base+path, "secret"); code != http.StatusNotFound {
			t.Errorf("callers see %s: %d", path, code)
		}
	}
	// The first candidate fails all its requests: no user notices.
	if code, st := call(t, "POST", g.admin+"/rollout/start", "secret"); code != http.StatusOK || st["id"] != "chat/1" {
		t.Fatalf("%d: %v", code, st)
	}
	st := g.await(t, "rolled back", "promoted")
	if st["phase"] != "rolled back" {
		t.Errorf("a candidate that fails was %v", st["phase"])
	}
	quiet()
	g.stop()

	// A gateway that is started again knows what was. The next candidate is good.
	env["CANDIDATE_URL"] = model(t, modeltest.Config{Length: 8})
	g = start(t, env).started(t)
	if code, st := call(t, "GET", g.admin+"/rollout", "secret"); code != http.StatusOK || st["phase"] != "rolled back" {
		t.Errorf("after a restart: %d, %v", code, st["phase"])
	}
	users(t, g.base)
	if code, _ := call(t, "POST", g.admin+"/rollout/start", "secret"); code != http.StatusOK {
		t.Fatal(code)
	}
	g.await(t, "baking")
	for _, command := range []string{"pause", "start", "resume"} {
		want := http.StatusOK
		if command == "start" {
			want = http.StatusConflict // there is one under way
		}
		if code, _ := call(t, "POST", g.admin+"/rollout/"+command, "secret"); code != want {
			t.Errorf("%s: %d, want %d", command, code, want)
		}
	}
	if code, _ := call(t, "POST", g.admin+"/rollout/explode", "secret"); code != http.StatusConflict {
		t.Errorf("a command that does not exist: %d", code)
	}
	if code, _ := call(t, "POST", g.admin+"/rollout/abort", "secret"); code != http.StatusOK {
		t.Error(code)
	}
	if st := g.await(t, "aborted"); st["phase"] != "aborted" {
		t.Error(st["phase"])
	}
}

func TestUsersStayAndRateAnswers(t *testing.T) {
	g := start(t, map[string]string{
		"STABLE_URL": model(t, modeltest.Config{Length: 8}), "CANDIDATE_URL": model(t, modeltest.Config{Length: 8}), "ROLLOUT_BAKE": "1h",
	}).started(t)
	if code, _ := call(t, "POST", g.admin+"/rollout/start", "secret"); code != http.StatusOK {
		t.Fatal(code)
	}
	g.await(t, "baking")
	of := map[string]string{}
	for i := range 100 {
		user := fmt.Sprint("user-", i%20)
		version, id := ask(t, g.base, user)
		if was := of[user]; was != "" && was != version {
			t.Errorf("%s met %s and %s", user, was, version)
		}
		of[user] = version
		resp, err := http.PostForm(g.admin+"/feedback", url.Values{"id": {id}, "score": {"1"}})
		if err != nil {
			t.Fatal(err)
		}
		counted, _ := io.ReadAll(resp.Body)
		resp.Body.Close()
		if string(counted) != "counted\n" {
			t.Fatalf("feedback on %s: %s", id, counted)
		}
	}
	for _, bad := range []url.Values{{}, {"id": {"x"}}, {"id": {"x"}, "score": {"good"}}, {"score": {"1"}}} {
		resp, err := http.PostForm(g.admin+"/feedback", bad)
		if err != nil || resp.StatusCode != http.StatusBadRequest {
			t.Errorf("feedback %v: %v, %v", bad, resp.Status, err)
		}
	}
	resp, err := http.Get(g.admin + "/metrics")
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	page, _ := io.ReadAll(resp.Body)
	for _, want := range []string{`serin_traffic_requests_total{serin_arm="1.4.0",serin_class="ok"}`, `serin_traffic_weight{serin_arm="1.5.0"} 0.`} {
		if !strings.Contains(string(page), want) {
			t.Errorf("the metrics do not have %s:\n%s", want, page)
		}
	}
}

// TestStoreAway: while the store cannot be opened the gateway is alive, has not started,
// and its baseline serves. It starts when the store is there.
func TestStoreAway(t *testing.T) {
	for name, tt := range map[string]func(t *testing.T, path string) (mend func() error){
		"no folder": func(_ *testing.T, path string) func() error {
			return func() error { return os.Mkdir(filepath.Dir(path), 0o700) }
		},
		"locked": func(t *testing.T, path string) func() error {
			if err := os.Mkdir(filepath.Dir(path), 0o700); err != nil {
				t.Fatal(err)
			}
			other, err := boltstore.Open(path)
			if err != nil {
				t.Fatal(err)
			}
			return other.Close
		},
		"damaged": func(t *testing.T, path string) func() error {
			if err := errors.Join(os.Mkdir(filepath.Dir(path), 0o700), os.WriteFile(path, bytes.Repeat([]byte("x"), 1<<16), 0o600)); err != nil {
				t.Fatal(err)
			}
			return func() error { return os.Remove(path) }
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			path := filepath.Join(t.TempDir(), "away", "gateway.db")
			mend := tt(t, path)
			g := start(t, map[string]string{"GATEWAY_STORE": path, "STABLE_URL": model(t, modeltest.Config{Length: 8})})
			for url, want := range map[string]int{
				g.base + "/livez": 200, g.base + "/startupz": 503, g.base + "/readyz": 503, g.admin + "/livez": 200, g.admin + "/startupz": 503, g.admin + "/readyz": 503,
			} {
				if code := status(t, url); code != want {
					t.Errorf("%s: %d, want %d", url, code, want)
				}
			}
			if code, _ := call(t, "GET", g.admin+"/rollout", "secret"); code != http.StatusServiceUnavailable {
				t.Errorf("a command: %d", code)
			}
			for range 20 {
				if version, _ := ask(t, g.base, ""); version != "1.4.0" {
					t.Errorf("version %q serves", version)
				}
			}
			if err := mend(); err != nil {
				t.Fatal(err)
			}
			g.started(t)
			if code := status(t, g.base+"/readyz"); code != http.StatusOK {
				t.Errorf("with the store it is not ready: %d", code)
			}
			if code, _ := call(t, "POST", g.admin+"/rollout/start", "secret"); code != http.StatusOK {
				t.Errorf("a rollout: %d", code)
			}
		})
	}
}

// keys writes a file in which key a is of team search, b of team search, and c of team
// support, whose budget is a tenth of a unit of money.
func keys(t *testing.T, name string) string {
	t.Helper()
	hash := func(key string) string { return fmt.Sprintf("%x", sha256.Sum256([]byte(key))) }
	text := fmt.Sprintf(`{%q: {"team": "search"}, %q: {"team": "search"}, %q: {"team": "support", "budget": 0.1}}`, hash("a"), hash("b"), hash("c"))
	if err := os.WriteFile(name, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	return name
}

// post sends a chat with a key and a user.
func post(t *testing.T, base, key, user string) *http.Response {
	t.Helper()
	body := fmt.Sprintf(`{"model":"tinylm","max_tokens":4,"user":%q,"messages":[{"role":"user","content":"What is light?"}]}`, user)
	req, _ := http.NewRequest(http.MethodPost, base+"/v1/chat/completions", strings.NewReader(body))
	req.Header.Set("Authorization", "Bearer "+key)
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		t.Fatal(err)
	}
	_, _ = io.Copy(io.Discard, resp.Body)
	resp.Body.Close()
	return resp
}

func TestKeys(t *testing.T) {
	dir := t.TempDir()
	prices := filepath.Join(dir, "prices.json")
	if err := os.WriteFile(prices, []byte(`{"tinylm": {"input": 1000, "output": 1000}}`), 0o600); err != nil {
		t.Fatal(err)
	}
	var mu sync.Mutex
	seen := map[string]bool{}
	lm, err := modeltest.New(modeltest.Config{Length: 4})
	if err != nil {
		t.Fatal(err)
	}
	upstream := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		mu.Lock()
		seen[r.Header.Get("Authorization")+r.Header.Get("X-Api-Key")] = true
		mu.Unlock()
		lm.ServeHTTP(w, r)
	}))
	defer upstream.Close()
	g := start(t, map[string]string{
		"GATEWAY_KEYS": keys(t, filepath.Join(dir, "keys.json")), "GATEWAY_PRICES": prices, "GATEWAY_MODELS": "tinylm,other",
		"STABLE_URL": upstream.URL, "STABLE_KEY": "vendor", "CANDIDATE_URL": upstream.URL, "CANDIDATE_KEY": "vendor",
	}).started(t)

	// 401 comes before the body, which never does.
	for _, header := range []string{"", "Authorization: Bearer d\r\n", "Authorization: Bearer \r\n", "X-Api-Key: \r\n"} {
		resp := raw(t, g.base, "POST /v1/chat/completions HTTP/1.1\r\nHost: x\r\nContent-Length: 100\r\n"+header+"\r\n")
		if resp.StatusCode != http.StatusUnauthorized {
			t.Errorf("%q: %s", header, resp.Status)
		}
	}
	if code := status(t, g.base+"/v1/models"); code != http.StatusUnauthorized {
		t.Errorf("the models without a key: %d", code)
	}
	for path, want := range map[string]int{"/v1/models": 200, "/v1/models/other": 200, "/v1/models/none": 404} {
		if code, list := call(t, "GET", g.base+path, "a"); code != want || path == "/v1/models" && len(list["data"].([]any)) != 2 {
			t.Errorf("%s: %d, %v", path, code, list)
		}
	}
	if resp := post(t, g.base, "a", "ana"); resp.StatusCode != http.StatusOK {
		t.Fatal(resp.Status)
	}
	mu.Lock()
	if len(seen) != 1 || !seen["Bearer vendor"] {
		t.Errorf("the servers have seen the credentials %v", seen)
	}
	mu.Unlock()

	// A team's budget binds; another team goes on.
	spent := 0
	for spent < 1000 && post(t, g.base, "c", "").StatusCode == http.StatusOK {
		spent++
	}
	if resp := post(t, g.base, "c", ""); spent == 0 || resp.StatusCode != http.StatusTooManyRequests {
		t.Errorf("after %d answers: %s", spent, resp.Status)
	}
	if resp := post(t, g.base, "b", ""); resp.StatusCode != http.StatusOK {
		t.Errorf("another team: %s", resp.Status)
	}
}

func TestUser(t *testing.T) {
	as := func(team, key, header, body string) string {
		r := httptest.NewRequest(http.MethodPost, "/", strings.NewReader(body))
		r.Header.Set("X-User", header)
		r.Header.Set("Authorization", "Bearer "+key)
		name := ""
		apikeys.Require(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) { name = user(r) }),
			func(*http.Request) (string, bool) { return team, true }).ServeHTTP(httptest.NewRecorder(), r)
		return name
	}
	for _, tt := range []struct{ team, header, body, want string }{
		{"search", "ana", `{"user":"ben"}`, "search/ana"}, {"search", "", `{"user":"ben"}`, "search/ben"}, {"", "", `{"user":"ben"}`, "ben"},
		{"search", "", `{}`, fmt.Sprintf("%x", sha256.Sum256([]byte("a")))},
	} {
		if got := as(tt.team, "a", tt.header, tt.body); got != tt.want {
			t.Errorf("%+v: %q", tt, got)
		}
	}
	if a, b := as("", "a", "", "x"), as("", "a", "", "x"); a == "" || a == b {
		t.Errorf("callers without a key are %q and %q", a, b)
	}
}

// raw sends bytes to a gateway and reads the response.
func raw(t *testing.T, base, request string) *http.Response {
	t.Helper()
	conn, err := net.Dial("tcp", strings.TrimPrefix(base, "http://"))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { conn.Close() })
	if _, err := io.WriteString(conn, request); err != nil {
		t.Fatal(err)
	}
	resp, err := http.ReadResponse(bufio.NewReader(conn), nil)
	if err != nil {
		t.Fatal(err)
	}
	return resp
}

// TestLimits: a body that never comes is a 408, one that is too large a 413, and a header
// that is too large a 431.
func TestLimits(t *testing.T) {
	sink := httptest.NewServer(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) { _, _ = io.Copy(io.Discard, r.Body) }))
	defer sink.Close()
	g := start(t, map[string]string{"REQUEST_STALL": "100ms", "STABLE_URL": sink.URL})
	const head = "POST /v1/chat/completions HTTP/1.1\r\nHost: x\r\nContent-Length: 100\r\n"
	for name, tt := range map[string]struct {
		request string
		want    int
	}{
		"no body": {head + "\r\n", http.StatusRequestTimeout}, "a part of the body": {head + "\r\n{", http.StatusRequestTimeout},
		"a large header": {head + "X-Large: " + strings.Repeat("x", 100<<10), http.StatusRequestHeaderFieldsTooLarge},
	} {
		if resp := raw(t, g.base, tt.request); resp.StatusCode != tt.want {
			t.Errorf("%s: %s, want %d", name, resp.Status, tt.want)
		}
	}
	// The gateway closes the connection while the body is still being sent, and the answer can be
	// lost with it.
	for range 20 {
		upload, err := http.Post(g.base+"/v1/files", "application/octet-stream", io.LimitReader(zeros{}, 65<<20))
		if errors.Is(err, syscall.ECONNRESET) || errors.Is(err, syscall.EPIPE) {
			continue
		}
		if err != nil {
			t.Fatal(err)
		}
		defer upload.Body.Close()
		if upload.StatusCode != http.StatusRequestEntityTooLarge {
			t.Errorf("a body of 65 MiB: %s", upload.Status)
		}
		return
	}
	t.Error("20 bodies of 65 MiB had no answer")
}

// zeros is a body without end.
type zeros struct{}

func (zeros) Read(p []byte) (int, error) { clear(p); return len(p), nil }

// TestRedact: with GATEWAY_REDACT, a model server gets no personal data, and the callers get
// none of what it says.
func TestRedact(t *testing.T) {
	var mu sync.Mutex
	var asked string
	upstream := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		body, _ := io.ReadAll(r.Body)
		mu.Lock()
		asked = string(body)
		mu.Unlock()
		w.Header().Set("Content-Type", "application/json")
		io.WriteString(w, `{"choices":[{"index":0,"message":{"role":"assistant","content":"Pay by 4111 1111 1111 1111."},"finish_reason":"stop"}]}`)
	}))
	defer upstream.Close()
	for redact, want := range map[string][2]string{
		"":         {"alice@example.com", "4111 1111 1111 1111"},
		"both":     {"[EMAIL]", "[CARD]"},
		"requests": {"[EMAIL]", "4111 1111 1111 1111"},
	} {
		env := map[string]string{"STABLE_URL": upstream.URL, "CANDIDATE_URL": upstream.URL}
		if redact != "" {
			env["GATEWAY_REDACT"] = redact
		}
		g := start(t, env)
		resp, err := http.Post(g.base+"/v1/chat/completions", "application/json", strings.NewReader(`{"model":"tinylm","messages":[{"role":"user","content":"I am alice@example.com"}]}`))
		if err != nil {
			t.Fatal(err)
		}
		body, err := io.ReadAll(resp.Body)
		resp.Body.Close()
		mu.Lock()
		if err != nil || !strings.Contains(asked, "I am "+want[0]) || !strings.Contains(string(body), "Pay by "+want[1]) {
			t.Errorf("%q: %v, the model was asked %s and the caller told %s", redact, err, asked, body)
		}
		mu.Unlock()
		g.stop()
	}
}

// TestAlerts: an abort arrives at Slack and at an Alertmanager.
func TestAlerts(t *testing.T) {
	var mu sync.Mutex
	got := make(map[string]string)
	receivers := httptest.NewServer(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
		body, _ := io.ReadAll(r.Body)
		mu.Lock()
		defer mu.Unlock()
		got[r.URL.Path] += string(body)
	}))
	defer receivers.Close()
	g := start(t, map[string]string{"GATEWAY_SLACK": receivers.URL + "/slack", "GATEWAY_ALERTMANAGER": receivers.URL, "ROLLOUT_BAKE": "1h"}).started(t)
	if code, _ := call(t, "POST", g.admin+"/rollout/start", "secret"); code != http.StatusOK {
		t.Fatal(code)
	}
	g.await(t, "baking")
	if code, _ := call(t, "POST", g.admin+"/rollout/abort", "secret"); code != http.StatusOK {
		t.Fatal(code)
	}
	for _, path := range []string{"/slack", "/api/v2/alerts"} {
		until(t, "a message at "+path, func() bool {
			mu.Lock()
			defer mu.Unlock()
			return strings.Contains(got[path], "RolloutRolledBack") && strings.Contains(got[path], "chat/1 aborted by admin")
		})
	}
}
