package nginx_test

import (
	"context"
	"errors"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/serin-go/serin/rollout/nginx"
	"github.com/serin-go/serin/strategies"
)

func (p *plane) file(t *testing.T) string {
	t.Helper()
	b, err := os.ReadFile(filepath.Join(p.dir, "conf.d", "chat.conf"))
	if err != nil {
		t.Fatal(err)
	}
	return string(b)
}

func TestTheSplitBeforeStaysInForce(t *testing.T) {
	p, s := start(t, "")
	set(t, s, split(strategies.Full))
	before := p.file(t)
	check := func(name string, err error, want any) {
		t.Helper()
		if err == nil || !errors.As(err, want) {
			t.Errorf("%s: %v, want a %T", name, err, want)
		}
		if got := p.file(t); got != before {
			t.Errorf("%s: the file is\n%s\nwant\n%s", name, got, before)
		}
		if got := p.get(t, "/"); got != "green" {
			t.Errorf("%s: %s serves", name, got)
		}
		entries, err := os.ReadDir(filepath.Join(p.dir, "conf.d"))
		for _, e := range entries {
			if err != nil || strings.HasPrefix(e.Name(), ".") {
				t.Errorf("%s: %s is left behind, %v", name, e.Name(), err)
			}
		}
	}
	// Somebody else has broken the configuration.
	broken := filepath.Join(p.dir, "conf.d", "broken.conf")
	if err := os.WriteFile(broken, []byte("nonsense;\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	var failed *nginx.CommandError
	err := s.SetSplit(t.Context(), split(0))
	check("nginx -t fails", err, &failed)
	if failed == nil || !strings.Contains(failed.Output, `unknown directive "nonsense"`) {
		t.Errorf("the error does not say what nginx said: %v", err)
	}
	if err := os.Remove(broken); err != nil {
		t.Fatal(err)
	}
	no, err := exec.LookPath("false")
	if err != nil {
		t.Skip(err)
	}
	yes, err := exec.LookPath("true")
	if err != nil {
		t.Skip(err)
	}
	err = p.splitter(t, nginx.Config{Reload: []string{no}}).SetSplit(t.Context(), split(0))
	check("reload fails", err, &failed)
	var mismatch *nginx.MismatchError
	err = p.splitter(t, nginx.Config{Reload: []string{yes}, Timeout: 200 * time.Millisecond}).SetSplit(t.Context(), split(0))
	check("reload does nothing", err, &mismatch)
	if !errors.Is(err, context.DeadlineExceeded) {
		t.Errorf("reload does nothing: %v", err)
	}
	var notFound *exec.Error
	err = p.splitter(t, nginx.Config{Test: []string{"no-such-program-here"}}).SetSplit(t.Context(), split(0))
	check("no nginx", err, &notFound)

	set(t, s, split(0)) // and all is well again
	if got := p.get(t, "/"); got != "blue" {
		t.Errorf("%s serves", got)
	}
}

func TestTheSameSplitIsNotLoadedTwice(t *testing.T) {
	p, s := start(t, "")
	set(t, s, split(500))
	before, err := os.Stat(filepath.Join(p.dir, "conf.d", "chat.conf"))
	if err != nil {
		t.Fatal(err)
	}
	again, older := split(500), split(5000)
	again.Generation, older.Generation = 7, 6
	set(t, s, again)
	set(t, s, older) // is ignored
	after, err := os.Stat(filepath.Join(p.dir, "conf.d", "chat.conf"))
	if err != nil {
		t.Fatal(err)
	}
	if !os.SameFile(before, after) {
		t.Error("the file was written again")
	}
	// One who comes anew, as after a restart, finds it in force.
	set(t, p.splitter(t, nginx.Config{Test: []string{"no-such-program-here"}}), split(500))
}

func TestAFileThatCannotBeWritten(t *testing.T) {
	s, err := nginx.New(nginx.Config{Path: filepath.Join(t.TempDir(), "none", "chat.conf"), Variable: "chat", Status: "127.0.0.1:1"})
	if err != nil {
		t.Fatal(err)
	}
	if err := s.SetSplit(t.Context(), split(500)); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("got %v", err)
	}
}
