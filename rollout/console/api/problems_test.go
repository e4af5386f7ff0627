package api_test

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"maps"
	"os"
	"regexp"
	"slices"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/serin-go/serin/rollout"
	"github.com/serin-go/serin/rollout/console/api"
	"github.com/serin-go/serin/rollout/console/client"
	"github.com/serin-go/serin/strategies"
)

var update = flag.Bool("update", false, "write the golden files")

// golden compares text with a file of testdata.
func golden(t *testing.T, file, text string) {
	t.Helper()
	file = "testdata/" + file
	if *update {
		if err := os.WriteFile(file, []byte(text), 0o644); err != nil {
			t.Fatal(err)
		}
		return
	}
	want, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	if text != string(want) {
		t.Errorf("%s differs; go test -update writes it. Have:\n%s", file, text)
	}
}

// moving is what differs between two runs.
var moving = regexp.MustCompile(`"[0-9a-f]{64}"|\d{4}-\d\d-\d\dT[0-9:.]+Z`)

// wrongPlan has nine mistakes.
const wrongPlan = `apiVersion: serin/v1
target: Chat Service
baseline: {version: 1.10}
candidate: {version: "1.6.0", digset: "sha256:00"}
strategy:
  canary:
    weights: [5, 50%]
    bake: 10
windows: [{days: mon-fry, zone: Europe/Atlantis}]
monitor: -1h
holdback: 120%
`

// unreliable is a store whose writes fail while it is broken: nothing is known about them.
type unreliable struct {
	rollout.Store
	broken atomic.Bool
}

func (s *unreliable) Put(ctx context.Context, key string, value []byte, prev rollout.Revision) (rollout.Revision, error) {
	if s.broken.Load() {
		return "", errors.New("connection lost")
	}
	return s.Store.Put(ctx, key, value, prev)
}

// TestProblems: C17. There is a golden problem for each name.
func TestProblems(t *testing.T) {
	var out strings.Builder
	seen := make(map[string]bool)
	show := func(w *world, person, method, path, body string, header ...string) {
		t.Helper()
		a := w.send(person, method, path, body, header...)
		p := a.problem(t)
		if want := api.ProblemNames()[p.Name()]; p.Status != want && (p.Name() != client.TooMany || p.Status != 503) {
			t.Errorf("%s has status %d, want %d", p.Name(), p.Status, want)
		}
		seen[p.Name()] = true
		fmt.Fprintf(&out, "## %s\n%s %s", p.Name(), method, path)
		for i := 0; i+1 < len(header); i += 2 {
			fmt.Fprintf(&out, "\n%s: %s", header[i], header[i+1])
		}
		if len(body) < 1000 {
			fmt.Fprintf(&out, "\n%s\n", body)
		} else {
			fmt.Fprintf(&out, "\n(%d bytes)\n", len(body))
		}
		var shown bytes.Buffer
		if err := json.Indent(&shown, a.body, "", "  "); err != nil {
			t.Fatal(err)
		}
		for _, name := range []string{"Allow", "Retry-After", "WWW-Authenticate"} {
			if v := a.header.Get(name); v != "" {
				fmt.Fprintf(&out, "%s: %s\n", name, v)
			}
		}
		fmt.Fprintf(&out, "%d %s\n\n", a.status, moving.ReplaceAllString(shown.String(), `…`))
	}

	broken := &unreliable{}
	begun, leave := make(chan struct{}, 1), make(chan struct{})
	w := newWorld(t, func(w *world, engine *rollout.Config, server *api.Config) {
		broken.Store = w.store
		w.store, engine.Store, server.Store = broken, broken, broken
		if _, err := w.store.Put(t.Context(), "rollout/rank", []byte("{torn"), ""); err != nil {
			t.Fatal(err)
		}
		server.Who = tokens(t, map[string]time.Time{"cleo": time.Now()})
		server.Panels = map[string]func(context.Context, string) (any, error){
			"cost": func(context.Context, string) (any, error) { panic("no prices") },
		}
		may := server.May
		server.May = func(ctx context.Context, by rollout.Actor, what rollout.Action, target string) error {
			if target == "search" && what == rollout.ActionStart {
				begun <- struct{}{}
				<-leave
			}
			return may(ctx, by, what, target)
		}
	})
	show(w, "ana", "POST", "/rollouts", wrongPlan, "Idempotency-Key", "k", "Content-Type", "application/yaml")
	show(w, "ana", "POST", "/rollouts/chat/1/commands", `{"command":"pause","resaon":"lunch"}`, "Idempotency-Key", "k1")
	show(w, "ana", "GET", "/rollouts?limit=500", "")
	id := w.begin(baking, strategies.Baking)
	path := "/rollouts/" + string(id)
	show(w, "ana", "POST", "/rollouts", baking, "Idempotency-Key", "k2", "Content-Type", "application/yaml")
	show(w, "ben", "POST", path+"/commands", `{"command":"resume"}`, "Idempotency-Key", "r", "If-Match", w.send("ben", "GET", path, "").header.Get("ETag"))
	show(w, "ben", "POST", path+"/commands", `{"command":"promote"}`, "Idempotency-Key", "s", "If-Match", `"1"`)
	show(w, "ben", "POST", path+"/commands", `{"command":"promote"}`, "Idempotency-Key", "t")
	show(w, "cleo", "POST", path+"/commands", `{"command":"abort"}`, "Idempotency-Key", "u")
	show(w, "", "GET", path, "")
	show(w, "eve", "GET", path, "")
	show(w, "ana", "GET", "/rollouts/nowhere/1", "")
	show(w, "ana", "DELETE", path, "")
	if a := w.send("ana", "POST", path+"/commands", `{"command":"pause"}`, "Idempotency-Key", "k2"); a.status != 204 {
		t.Fatalf("%d %s", a.status, a.body)
	}
	show(w, "ana", "POST", path+"/commands", `{"command":"abort"}`, "Idempotency-Key", "k2")
	show(w, "ana", "POST", "/rollouts", strings.Repeat("#", 300<<10), "Idempotency-Key", "v", "Content-Type", "application/yaml")
	show(w, "ben", "GET", "/rollouts/rank/1", "")
	show(w, "ben", "GET", "/cost", "")

	searching := strings.Replace(baking, "target: chat", "target: search", 1)
	done := make(chan reply)
	go func() {
		done <- w.send("ana", "POST", "/rollouts", searching, "Idempotency-Key", "w", "Content-Type", "application/yaml")
	}()
	<-begun
	show(w, "ana", "POST", "/rollouts", searching, "Idempotency-Key", "w", "Content-Type", "application/yaml")
	close(leave)
	if a := <-done; a.status != 201 {
		t.Errorf("%d %s", a.status, a.body)
	}

	if err := w.as("ben").Do(t.Context(), string(id), client.Order{Command: "abort"}); err != nil {
		t.Fatal(err)
	}
	id = w.begin(approving, strategies.Baking)
	w.ask(id)
	path = "/rollouts/" + string(id)
	show(w, "ben", "POST", path+"/commands", `{"command":"approve"}`, "Idempotency-Key", "x", "If-Match", w.send("ben", "GET", path, "").header.Get("ETag"))
	broken.broken.Store(true)
	show(w, "ben", "POST", path+"/commands", `{"command":"pause"}`, "Idempotency-Key", "y")
	broken.broken.Store(false)
	if err := w.api.Close(); err != nil {
		t.Fatal(err)
	}
	show(w, "ben", "GET", "/stream?see=chat", "")

	slow := newWorld(t, limited(1))
	slow.send("ben", "POST", "/rollouts/chat/1/commands", `{"command":"resume"}`, "Idempotency-Key", "1")
	show(slow, "ben", "POST", "/rollouts/chat/1/commands", `{"command":"resume"}`, "Idempotency-Key", "2")

	for _, name := range slices.Sorted(maps.Keys(api.ProblemNames())) {
		if !seen[name] {
			t.Errorf("no problem %s", name)
		}
	}
	golden(t, "problems.txt", out.String())
}

// TestPlanMistakes: C17. A plan with nine mistakes is answered with nine, each with its place.
func TestPlanMistakes(t *testing.T) {
	w := newWorld(t)
	p := w.send("ana", "POST", "/rollouts", wrongPlan, "Idempotency-Key", "k", "Content-Type", "application/yaml").problem(t)
	if len(p.Errors) != 9 {
		t.Errorf("%d mistakes, want 9", len(p.Errors))
	}
	for _, m := range p.Errors {
		if m.Line == 0 || m.Column == 0 || m.Pointer == "" || m.Detail == "" {
			t.Errorf("%+v", m)
		}
	}
}

// TestPointer: paths of fields become JSON pointers.
func TestPointer(t *testing.T) {
	for field, want := range map[string]string{
		"Plan.Stages[2].MinSamples":            "/stages/2/min_samples",
		"Plan.Baseline.Version":                "/baseline/version",
		"Plan.Analysis.Metrics[0].Margin.Rate": "/analysis/metrics/0/margin/rate",
		`Config.Lists["a/b"]`:                  "/lists/a~1b",
		"Key":                                  "",
		"X.TTFT":                               "/ttft",
	} {
		if got := api.Pointer(field); got != want {
			t.Errorf("%s: %s, want %s", field, got, want)
		}
	}
}
