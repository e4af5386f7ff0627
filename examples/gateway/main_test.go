package main

import (
	"bufio"
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"log/slog"
	"math/rand/v2"
	"net/http"
	"net/http/httptest"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/sethvargo/go-envconfig"

	"github.com/serin-go/serin/loadtest/modeltest"
)

// start runs a gateway with the given environment, until the test or stop ends it.
func start(t *testing.T, env map[string]string) (base string, stop func()) {
	t.Helper()
	var c config
	env["GATEWAY_ADDR"], env["GATEWAY_TOKEN"] = "127.0.0.1:0", "secret"
	if err := envconfig.ProcessWith(t.Context(), &envconfig.Config{Target: &c, Lookuper: envconfig.MapLookuper(env)}); err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	ready, done := make(chan string, 1), make(chan error, 1)
	go func() { done <- serve(ctx, c, slog.New(slog.DiscardHandler), func(addr string) { ready <- addr }) }()
	stop = sync.OnceFunc(func() {
		cancel()
		if err := <-done; err != nil {
			t.Errorf("the gateway ended with %v", err)
		}
	})
	t.Cleanup(stop)
	select {
	case addr := <-ready:
		return "http://" + addr, stop
	case err := <-done:
		done <- nil
		t.Fatal(err)
		return "", nil
	}
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
func await(t *testing.T, base string, phases ...string) map[string]any {
	t.Helper()
	for deadline := time.Now().Add(3 * time.Minute); ; time.Sleep(50 * time.Millisecond) {
		_, st := call(t, "GET", base+"/rollout", "secret")
		for _, p := range phases {
			if st["phase"] == p {
				return st
			}
		}
		if time.Now().After(deadline) {
			t.Fatalf("not %q within three minutes: %v, %v", phases, st["phase"], st["waiting"])
		}
	}
}

func TestRollout(t *testing.T) {
	env := map[string]string{
		"STABLE_URL": model(t, modeltest.Config{Length: 8}), "CANDIDATE_URL": model(t, modeltest.Config{Length: 8, ErrorRate: 1}),
		"GATEWAY_STORE": filepath.Join(t.TempDir(), "gateway.db"), "ROLLOUT_BAKE": "100ms",
	}
	base, stop := start(t, env)
	quiet := users(t, base)
	if code, _ := call(t, "GET", base+"/rollout", "secret"); code != http.StatusConflict {
		t.Errorf("before the first rollout: %d", code)
	}
	for _, token := range []string{"", "wrong"} {
		if code, _ := call(t, "POST", base+"/rollout/start", token); code != http.StatusUnauthorized {
			t.Errorf("token %q: %d", token, code)
		}
	}
	// The first candidate fails all its requests: no user notices.
	if code, st := call(t, "POST", base+"/rollout/start", "secret"); code != http.StatusOK || st["id"] != "chat/1" {
		t.Fatalf("%d: %v", code, st)
	}
	st := await(t, base, "rolled back", "promoted")
	if st["phase"] != "rolled back" {
		t.Errorf("a candidate that fails was %v", st["phase"])
	}
	quiet()
	stop()

	// A gateway that is started again knows what was. The next candidate is good.
	env["CANDIDATE_URL"] = model(t, modeltest.Config{Length: 8})
	base, _ = start(t, env)
	if code, st := call(t, "GET", base+"/rollout", "secret"); code != http.StatusOK || st["phase"] != "rolled back" {
		t.Errorf("after a restart: %d, %v", code, st["phase"])
	}
	users(t, base)
	if code, _ := call(t, "POST", base+"/rollout/start", "secret"); code != http.StatusOK {
		t.Fatal(code)
	}
	await(t, base, "baking")
	for _, command := range []string{"pause", "start", "resume"} {
		want := http.StatusOK
		if command == "start" {
			want = http.StatusConflict // there is one under way
		}
		if code, _ := call(t, "POST", base+"/rollout/"+command, "secret"); code != want {
			t.Errorf("%s: %d, want %d", command, code, want)
		}
	}
	if code, _ := call(t, "POST", base+"/rollout/explode", "secret"); code != http.StatusConflict {
		t.Errorf("a command that does not exist: %d", code)
	}
	if code, _ := call(t, "POST", base+"/rollout/abort", "secret"); code != http.StatusOK {
		t.Error(code)
	}
	if st := await(t, base, "aborted"); st["phase"] != "aborted" {
		t.Error(st["phase"])
	}
}

func TestUsersStayAndSayWhatTheyThink(t *testing.T) {
	base, _ := start(t, map[string]string{
		"STABLE_URL": model(t, modeltest.Config{Length: 8}), "CANDIDATE_URL": model(t, modeltest.Config{Length: 8}),
		"GATEWAY_STORE": filepath.Join(t.TempDir(), "gateway.db"), "ROLLOUT_BAKE": "1h",
	})
	if code, _ := call(t, "POST", base+"/rollout/start", "secret"); code != http.StatusOK {
		t.Fatal(code)
	}
	await(t, base, "baking")
	of := map[string]string{}
	for i := range 100 {
		user := fmt.Sprint("user-", i%20)
		version, id := ask(t, base, user)
		if was := of[user]; was != "" && was != version {
			t.Errorf("%s met %s and %s", user, was, version)
		}
		of[user] = version
		resp, err := http.Post(base+"/v1/feedback", "application/json", strings.NewReader(fmt.Sprintf(`{"id":%q,"score":1}`, id)))
		if err != nil {
			t.Fatal(err)
		}
		said, _ := io.ReadAll(resp.Body)
		resp.Body.Close()
		if string(said) != "counted\n" {
			t.Fatalf("feedback on %s: %s", id, said)
		}
	}
	resp, err := http.Post(base+"/v1/feedback", "application/json", bytes.NewReader([]byte("x")))
	if err != nil || resp.StatusCode != http.StatusBadRequest {
		t.Errorf("feedback that is none: %v, %v", resp.Status, err)
	}
	resp, err = http.Get(base + "/metrics")
	if err != nil {
		t.Fatal(err)
	}
	page, _ := io.ReadAll(resp.Body)
	for _, want := range []string{`serin_requests_total{arm="1.4.0",class="ok"}`, `serin_weight{arm="1.5.0"} 0.`, `serin_in_flight{arm="1.5.0"} 0`} {
		if !strings.Contains(string(page), want) {
			t.Errorf("the metrics do not have %s:\n%s", want, page)
		}
	}
}
