package jsclients

import (
	"bytes"
	"encoding/json"
	"net/http/httptest"
	"os"
	"os/exec"
	"path/filepath"
	"sync"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/serin-go/serin/checks/analysis"
	"github.com/serin-go/serin/rollout/traffic"
	"github.com/serin-go/serin/strategies"
)

// run returns what the clients made of the server at url.
func run(t *testing.T, url string) map[string]any {
	t.Helper()
	modules := os.Getenv("SERIN_NODE_MODULES")
	if _, err := os.Stat(filepath.Join(modules, "openai")); modules == "" || err != nil {
		t.Skip("needs node and, in the folder that SERIN_NODE_MODULES names, what `npm install openai ai @ai-sdk/openai @anthropic-ai/sdk zod` installs")
	}
	// Modules are looked for where the script is.
	dir := t.TempDir()
	script, err := os.ReadFile("testdata/clients.mjs")
	if err == nil {
		err = os.WriteFile(filepath.Join(dir, "clients.mjs"), script, 0o600)
	}
	if err == nil {
		err = os.Symlink(modules, filepath.Join(dir, "node_modules"))
	}
	if err != nil {
		t.Fatal(err)
	}
	var out, errs bytes.Buffer
	cmd := exec.Command("node", filepath.Join(dir, "clients.mjs"), url)
	cmd.Stdout, cmd.Stderr = &out, &errs
	if err := cmd.Run(); err != nil {
		t.Fatalf("%v\n%s", err, errs.String())
	}
	var results map[string]any
	if err := json.Unmarshal(out.Bytes(), &results); err != nil {
		t.Fatalf("%v: %s", err, out.String())
	}
	return results
}

// TestSameAsWithout: through a router that splits between two versions, all
// clients see what they see without it, and each request is measured once.
func TestSameAsWithout(t *testing.T) {
	server := httptest.NewServer(upstream())
	defer server.Close()
	want := run(t, server.URL)

	var mu sync.Mutex
	classes := map[analysis.Class]int{}
	tokens, seen := 0, 0
	split := strategies.Split{Arms: []strategies.Arm{{Name: "1.4.0", Weight: strategies.Percent(50)}, {Name: "1.5.0", Weight: strategies.Percent(50)}}}
	router, err := traffic.New(traffic.Config{
		Arms: map[string]traffic.Backend{"1.4.0": {URL: server.URL}, "1.5.0": {URL: server.URL}}, Split: split,
		Observe: func(o analysis.Observation) {
			mu.Lock()
			defer mu.Unlock()
			classes[o.Class]++
			tokens += o.OutputTokens
			seen++
		},
	})
	if err != nil {
		t.Fatal(err)
	}
	front := httptest.NewServer(router)
	defer front.Close()
	got := run(t, front.URL)
	for name := range want {
		if diff := cmp.Diff(want[name], got[name]); diff != "" {
			t.Errorf("%s (-without +through):\n%s", name, diff)
		}
	}
	if len(want) != 15 {
		t.Errorf("%d results, want 15", len(want))
	}
	// Without a single wrong conclusion of the test itself: what should have
	// worked did.
	for _, name := range []string{"openai chat, streamed tools", "openai responses, streamed", "anthropic messages, streamed", "ai stream with tools", "ai responses"} {
		if m, _ := want[name].(map[string]any); m["error"] != nil {
			t.Errorf("%s, without the router: %v", name, m)
		}
	}
	mu.Lock()
	defer mu.Unlock()
	if seen != 16 || classes[analysis.Truncated] != 1 || classes[analysis.Rejected] != 1 || classes[analysis.Error] != 1 || classes[analysis.OK] != 13 {
		t.Errorf("%d requests were observed: %v", seen, classes)
	}
	if tokens == 0 {
		t.Error("no usage was seen")
	}
}
