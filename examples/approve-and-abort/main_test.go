package main

import (
	"bytes"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// TestRun runs the program and looks for what it promises.
func TestRun(t *testing.T) {
	page := filepath.Join(t.TempDir(), "timeline.html")
	var out bytes.Buffer
	if err := run(t.Context(), &out, page); err != nil {
		t.Fatalf("%v\n%s", err, out.String())
	}
	for _, want := range []string{
		"ana approves: rollout: chat/1: cannot approve: ana started the rollout, and four eyes are required",
		"without a second factor: rollout: chat/1: cannot approve: ben has not proved a second factor",
		"ana may not abort on target chat",
		"chat/1 is promoted: 1.5.0 has 100%",
		"chat/2 is aborted (aborted: a customer called); the candidate got 0 requests after Abort had returned",
		"## chat/2", "| ended | ben | aborted",
	} {
		if !strings.Contains(out.String(), want) {
			t.Errorf("the output does not say %q:\n%s", want, out.String())
		}
	}
	html, err := os.ReadFile(page)
	if err != nil || !bytes.Contains(html, []byte("chat/1: promoted")) {
		t.Errorf("the timeline does not show the promotion (%v)", err)
	}
}
