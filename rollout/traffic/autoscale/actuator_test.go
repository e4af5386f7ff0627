package autoscale_test

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/serin-go/serin/checks"
	"github.com/serin-go/serin/loadtest/modeltest"
	"github.com/serin-go/serin/rollout/traffic/autoscale"
	"github.com/serin-go/serin/rollout/traffic/replicas"
)

// TestKubernetes speaks with a server that has one deployment, as the API of Kubernetes
// describes it.
func TestKubernetes(t *testing.T) {
	n := 2
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.Header.Get("Authorization") != "Bearer secret" {
			w.WriteHeader(http.StatusUnauthorized)
			return
		}
		if r.URL.Path != "/apis/apps/v1/namespaces/models/deployments/chat-1-5/scale" {
			w.WriteHeader(http.StatusNotFound)
			_, _ = io.WriteString(w, `{"kind":"Status","reason":"NotFound","message":"deployments.apps \"x\" not found"}`)
			return
		}
		if r.Method == http.MethodPatch {
			var patch struct{ Spec struct{ Replicas int } }
			if err := json.NewDecoder(r.Body).Decode(&patch); err != nil || r.Header.Get("Content-Type") != "application/merge-patch+json" {
				w.WriteHeader(http.StatusBadRequest)
				return
			}
			n = patch.Spec.Replicas
		}
		fmt.Fprintf(w, `{"kind":"Scale","apiVersion":"autoscaling/v1","metadata":{"name":"chat-1-5"},"spec":{"replicas":%d},"status":{"replicas":2}}`, n)
	}))
	defer server.Close()
	token := filepath.Join(t.TempDir(), "token")
	if err := os.WriteFile(token, []byte("secret\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	k, err := autoscale.NewKubernetes(autoscale.KubernetesConfig{Server: server.URL, Namespace: "models", TokenFile: token, Names: map[string]string{"1.5.0": "chat-1-5"}})
	if err != nil {
		t.Fatal(err)
	}
	if err := k.Scale(t.Context(), "1.5.0", 5); err != nil {
		t.Fatal(err)
	}
	if got, err := k.Desired(t.Context(), "1.5.0"); got != 5 || err != nil {
		t.Errorf("desired %d, %v", got, err)
	}
	var status *autoscale.StatusError
	if err := k.Scale(t.Context(), "1.4.0", 5); !errors.As(err, &status) || status.Code != http.StatusNotFound || !strings.Contains(status.Message, "not found") {
		t.Errorf("an unknown deployment: %v", err)
	}
	if err := k.Scale(t.Context(), "../secrets", 5); !errors.As(err, new(*checks.InvalidError)) {
		t.Errorf("an arm that is no name: %v", err)
	}
	for _, c := range []autoscale.KubernetesConfig{{Server: "nowhere"}, {Server: server.URL, Kind: "../x"}, {Server: server.URL, Names: map[string]string{"a": "A B"}}} {
		if _, err := autoscale.NewKubernetes(c); !errors.As(err, new(*checks.InvalidError)) {
			t.Errorf("%+v: %v", c, err)
		}
	}
}

func TestCommand(t *testing.T) {
	file := filepath.Join(t.TempDir(), "out")
	a := autoscale.Command("sh", "-c", `echo "$SERIN_ARM=$SERIN_REPLICAS" >"$0"`, file)
	if err := a.Scale(t.Context(), "1.5.0", 3); err != nil {
		t.Fatal(err)
	}
	if text, err := os.ReadFile(file); string(text) != "1.5.0=3\n" || err != nil {
		t.Errorf("the program wrote %q, %v", text, err)
	}
	if err := autoscale.Command("sh", "-c", "echo no quota; exit 3").Scale(t.Context(), "a", 1); err == nil || !strings.Contains(err.Error(), "no quota") {
		t.Errorf("a program that fails: %v", err)
	}
	if err := autoscale.Command("/does/not/exist").Scale(t.Context(), "a", 1); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("no such program: %v", err)
	}
}

func TestWebhook(t *testing.T) {
	var got string
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		body, _ := io.ReadAll(r.Body)
		got = r.Method + " " + r.Header.Get("Authorization") + " " + string(body)
		if strings.Contains(got, "1.6.0") {
			http.Redirect(w, r, "/elsewhere", http.StatusTemporaryRedirect)
		}
	}))
	defer server.Close()
	a, err := autoscale.Webhook(server.URL, "secret", nil)
	if err != nil {
		t.Fatal(err)
	}
	if err := a.Scale(t.Context(), "1.5.0", 3); err != nil || got != `POST Bearer secret {"arm":"1.5.0","replicas":3}` {
		t.Errorf("the server got %s, %v", got, err)
	}
	var status *autoscale.StatusError
	if err := a.Scale(t.Context(), "1.6.0", 3); !errors.As(err, &status) || status.Code != http.StatusTemporaryRedirect {
		t.Errorf("a redirect: %v", err)
	}
	if _, err := autoscale.Webhook("ftp://x", "", nil); !errors.As(err, new(*checks.InvalidError)) {
		t.Errorf("another scheme: %v", err)
	}
}

// waitFor waits until a state is reached.
func waitFor(t *testing.T, what string, reached func() bool) {
	t.Helper()
	for deadline := time.Now().Add(time.Minute); !reached(); time.Sleep(5 * time.Millisecond) {
		if time.Now().After(deadline) {
			t.Fatalf("waited a minute for %s", what)
		}
	}
}

// TestServers scales real model servers in this process up and down. No stream ends before
// its time.
func TestServers(t *testing.T) {
	pool, err := replicas.New(replicas.Config{Replicas: []replicas.Replica{{URL: "http://127.0.0.1:1"}}})
	if err != nil {
		t.Fatal(err)
	}
	defer pool.Close()
	_ = pool.Remove(t.Context(), "http://127.0.0.1:1")
	var started, stopped atomic.Int64
	servers, err := autoscale.NewServers(pool, 4, func(context.Context) (autoscale.Server, error) {
		model, err := modeltest.New(modeltest.Config{TTFT: time.Millisecond, TimePerToken: 20 * time.Millisecond})
		if err != nil {
			return autoscale.Server{}, err
		}
		s := httptest.NewServer(model)
		started.Add(1)
		return autoscale.Server{Replica: replicas.Replica{URL: s.URL}, Stop: func() { s.Close(); stopped.Add(1) }}, nil
	})
	if err != nil {
		t.Fatal(err)
	}
	defer servers.Close()
	l, err := autoscale.New(autoscale.Config{
		Scaler: autoscale.Scaler{Max: 5, StabilizeDown: -1}, Source: servers, Actuator: servers, Arms: []string{"a"}, Act: true,
	})
	if err != nil {
		t.Fatal(err)
	}
	ready := func(n int) func() bool {
		return func() bool {
			l.Step(t.Context())
			in, _ := servers.Measure(t.Context(), "a")
			return in.Ready == n
		}
	}
	waitFor(t, "the first server", ready(1))
	var streams sync.WaitGroup
	var complete, broken atomic.Int64
	client := &http.Client{Transport: pool}
	for range 16 {
		streams.Go(func() {
			resp, err := client.Post("http://model/v1/chat/completions", "application/json",
				strings.NewReader(`{"model":"tinylm","stream":true,"max_tokens":100,"messages":[{"role":"user","content":"What is light?"}]}`))
			if err != nil {
				broken.Add(1)
				return
			}
			defer resp.Body.Close()
			if body, err := io.ReadAll(resp.Body); err != nil || !strings.Contains(string(body), "[DONE]") {
				broken.Add(1)
				return
			}
			complete.Add(1)
		})
	}
	waitFor(t, "four servers", ready(4))
	// Scaling down while the streams run must not end them.
	if err := servers.Scale(t.Context(), "a", 1); err != nil {
		t.Fatal(err)
	}
	streams.Wait()
	if complete.Load() != 16 || broken.Load() != 0 {
		t.Errorf("%d streams are complete and %d broken", complete.Load(), broken.Load())
	}
	waitFor(t, "three servers to stop", func() bool { return stopped.Load() == started.Load()-1 })
}

// TestServersThatDoNotStart are tried again, and reported.
func TestServersThatDoNotStart(t *testing.T) {
	pool, err := replicas.New(replicas.Config{Replicas: []replicas.Replica{{URL: "http://127.0.0.1:1"}}})
	if err != nil {
		t.Fatal(err)
	}
	defer pool.Close()
	var calls atomic.Int64
	servers, err := autoscale.NewServers(pool, 1, func(context.Context) (autoscale.Server, error) {
		if calls.Add(1)%2 == 0 {
			panic("no GPU")
		}
		return autoscale.Server{}, errors.New("no GPU")
	})
	if err != nil {
		t.Fatal(err)
	}
	defer servers.Close()
	waitFor(t, "three errors", func() bool {
		_ = servers.Scale(t.Context(), "a", 1)
		return calls.Load() >= 3
	})
	waitFor(t, "an error of an earlier start", func() bool {
		return servers.Scale(t.Context(), "a", 0) != nil || servers.Scale(t.Context(), "a", 1) != nil
	})
	if _, err := autoscale.NewServers(nil, 0, nil); err == nil {
		t.Error("nothing is accepted")
	}
}
