package main

import (
	"archive/zip"
	"bytes"
	"context"
	"encoding/json"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/serin-go/serin/checks/checklist"
	"github.com/serin-go/serin/internal/pagetest"
)

// TestStory runs the example: refused, mended, paused, promoted, and everything written.
func TestStory(t *testing.T) {
	dir := t.TempDir()
	var out bytes.Buffer
	if err := run(t.Context(), &out, dir); err != nil {
		t.Fatalf("%v\n%s", err, out.String())
	}
	text := out.String()
	for _, part := range []string{"chat/1 is failed", "chat/2 is paused", "chat/2 is promoted", "The answer to [EMAIL] was wrong", "the person was erased", "34 of 34 items hold"} {
		_, rest, found := strings.Cut(text, part)
		if !found {
			t.Fatalf("no %q in order in\n%s", part, out.String())
		}
		text = rest
	}
	for _, told := range []string{"slack: TEST AlertTest", "pager: trigger test", "RolloutFailed", "RolloutHeld", "RolloutApproval", "slack: RESOLVED"} {
		if !strings.Contains(out.String(), told) {
			t.Errorf("no message has %q in\n%s", told, out.String())
		}
	}
	page, err := os.ReadFile(filepath.Join(dir, "report.html"))
	if err != nil {
		t.Fatal(err)
	}
	var report checklist.Report
	b, err := os.ReadFile(filepath.Join(dir, "report.json"))
	if err != nil {
		t.Fatal(err)
	}
	if err := json.Unmarshal(b, &report); err != nil || report.State != checklist.Pass {
		t.Errorf("%v, %v", report.State, err)
	}
	z, err := zip.OpenReader(filepath.Join(dir, "evidence.zip"))
	if err != nil {
		t.Fatal(err)
	}
	defer z.Close()
	if len(z.File) < 15 {
		t.Errorf("the bundle has %d files", len(z.File))
	}
	t.Run("page", func(t *testing.T) { pagetest.Accessible(t, page) })
}

// TestInterrupted: the example ends soon after an interrupt.
func TestInterrupted(t *testing.T) {
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if err := run(ctx, new(bytes.Buffer), t.TempDir()); err == nil {
		t.Error("it has run to its end")
	}
}
