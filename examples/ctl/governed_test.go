package main

import (
	"bufio"
	"bytes"
	"crypto/hmac"
	"crypto/sha1"
	"encoding/base32"
	"encoding/binary"
	"fmt"
	"io"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"syscall"
	"testing"
	"time"
)

// phone is the authenticator app of ana and pia: it shows the one-time password of a time
// (RFC 6238).
func phone(t *testing.T, secret string, at time.Time) string {
	t.Helper()
	key, err := base32.StdEncoding.DecodeString(secret)
	if err != nil {
		t.Fatal(err)
	}
	h := hmac.New(sha1.New, key)
	_ = binary.Write(h, binary.BigEndian, at.Unix()/30)
	sum := h.Sum(nil)
	return fmt.Sprintf("%06d", binary.BigEndian.Uint32(sum[sum[len(sum)-1]&0x0f:])&0x7fffffff%1_000_000)
}

// governed is examples/governed in a process of its own.
type governed struct {
	t           *testing.T
	ctl, dir    string
	url, secret string
	tokens      map[string]string
}

var (
	consoleAt = regexp.MustCompile(`The console is at (\S+)\. `)
	tokenOf   = regexp.MustCompile(`^  (\w+), .*: (\S+)$`)
	secretOf  = regexp.MustCompile(`has the secret (\w+);`)
)

// govern starts examples/governed, and waits until it has printed what people need.
func govern(t *testing.T) *governed {
	t.Helper()
	g := &governed{t: t, ctl: build(t, "."), dir: t.TempDir(), tokens: make(map[string]string)}
	cmd := exec.CommandContext(t.Context(), build(t, "../governed"), "-addr", "127.0.0.1:0", "-out", g.dir)
	cmd.Cancel = func() error { return cmd.Process.Signal(syscall.SIGTERM) }
	cmd.WaitDelay = time.Minute
	cmd.Dir = g.dir
	r, w := io.Pipe()
	var errs bytes.Buffer
	cmd.Stdout, cmd.Stderr = w, &errs
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		_ = cmd.Process.Signal(syscall.SIGTERM)
		_ = cmd.Wait()
		_ = w.Close()
	})
	for lines := bufio.NewScanner(r); lines.Scan(); {
		if found := consoleAt.FindStringSubmatch(lines.Text()); found != nil {
			g.url = found[1]
		}
		if found := tokenOf.FindStringSubmatch(lines.Text()); found != nil {
			g.tokens[found[1]] = found[2]
		}
		if found := secretOf.FindStringSubmatch(lines.Text()); found != nil {
			g.secret = found[1]
			go func() { _, _ = io.Copy(io.Discard, r) }()
			return g
		}
	}
	t.Fatal("examples/governed does not serve")
	return nil
}

// as runs ctl as a person, and wants one of the exit codes.
func (g *governed) as(person, input string, code int, args ...string) string {
	g.t.Helper()
	cmd := exec.CommandContext(g.t.Context(), g.ctl, args...)
	cmd.Dir, cmd.Stdin = g.dir, strings.NewReader(input)
	cmd.Env = []string{"SERIN_SERVER=" + g.url, "SERIN_TOKEN=" + g.tokens[person], "XDG_CONFIG_HOME=" + g.dir}
	var out, errs bytes.Buffer
	cmd.Stdout, cmd.Stderr = &out, &errs
	_ = cmd.Run()
	if got := cmd.ProcessState.ExitCode(); got != code {
		g.t.Fatalf("%s: ctl %q: exit code %d, want %d\n%s%s", person, args, got, code, out.String(), errs.String())
	}
	return out.String() + errs.String()
}

// TestGoverned: C37, a whole life against examples/governed, as processes: held by the
// checklist, vouched for, one rollout aborted, the next one approved with one-time passwords
// and promoted, and the audit trail verified without the server.
func TestGoverned(t *testing.T) {
	if testing.Short() {
		t.Skip("builds two programs and runs a rollout")
	}
	t.Parallel()
	g := govern(t)
	start := []string{"start", "-f", filepath.Join(g.dir, "plan.yaml"), "-set", "analysis.metrics=[errors]"} // times say nothing on a busy machine
	if text := g.as("ben", "", keptShut, append(start, "-wait")...); !strings.Contains(text, "compliance-audits") {
		t.Errorf("kept out because of\n%s", text)
	}
	if text := g.as("pia", "", 0, "checklist", "due", "deployment", "chat/1"); !strings.Contains(text, "compliance-audits") {
		t.Errorf("due are\n%s", text)
	}
	g.as("pia", "", 0, "checklist", "vouch", "deployment", "compliance-audits", "-for", "chat/1", "-m", "the audit of 2026 is done",
		"-link", "https://example.com/audits/2026", "-sum", "sha256:"+strings.Repeat("a", 64))

	g.as("ben", "", waiting, append(start, "-wait", "-hold", "fail")...)
	g.as("ana", "", 0, "abort", "-m", "the release notes are wrong")
	g.as("ana", "", aborted, "status", "chat/2", "-watch")

	g.as("ben", "", 0, start...)
	for _, person := range []string{"ana", "pia"} {
		g.as(person, "", waiting, "status", "chat/3", "-watch", "-hold", "fail")
		g.as(person, "", forbidden, "approve", "chat/3")
		g.as(person, "000000\n", forbidden, "prove")
		g.as(person, phone(t, g.secret, time.Now())+"\n", 0, "prove")
		g.as(person, "", 0, "approve", "chat/3", "-m", "looks good")
	}
	g.as("ben", "", 0, "status", "chat/3", "-watch")
	trail := g.as("ana", "", 0, "audit", "export")
	export := filepath.Join(g.dir, "audit.jsonl")
	if err := store(export, []byte(trail)); err != nil {
		t.Fatal(err)
	}
	g.url = "http://127.0.0.1:1" // files need no server
	if text := g.as("", "", 0, "audit", "verify", export); !strings.Contains(text, "sound") {
		t.Error(text)
	}
}
