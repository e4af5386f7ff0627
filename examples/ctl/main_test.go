package main

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"golang.org/x/mod/sumdb/note"

	"github.com/serin-go/serin/rollout/audit"
	"github.com/serin-go/serin/rollout/console/client"
	"github.com/serin-go/serin/strategies"
)

// TestExitCodes: C27, each exit code, over a store in memory and one in a file.
func TestExitCodes(t *testing.T) {
	for name, file := range map[string]bool{"memory": false, "file": true} {
		t.Run(name, func(t *testing.T) {
			w := newWorld(t, file)
			w.ctl(0, "start", "-f", w.plan(quick), "-wait")
			w.ctl(failed, "status", "chat/99")
			w.ctl(failed, "start", "-f", "no such file")
			w.ctl(wrongUse, "start")
			w.ctl(wrongUse, "abort", "-colour")
			w.ctl(wrongUse, "explain", "chat/1", "first")
			w.ctl(wrongUse, "promote-fully", "chat/1")
			w.ctl(keptShut, "start", "-f", w.plan(shut), "-wait")
			w.ctl(waiting, "start", "-f", w.plan(approving), "-wait", "-hold", "fail")
			w.want(forbidden, "cleo", "abort", "chat/3")
			w.want(forbidden, "unknown", "list")
			w.want(forbidden, "ben", "approve") // the second factor is missing
			if r := w.ctl(conflict, "start", "-f", w.plan(quick)); !strings.Contains(r.errs, "chat/3") {
				t.Errorf("busy, and the errors do not name the active rollout: %s", r.errs)
			}
			w.ctl(conflict, "approve", "-if", "1")
			w.ctl(timedOut, "status", "-watch", "-timeout", "20ms")
			w.ctl(0, "approve", "-m", "looks good")
			w.ctl(0, "status", "-watch")
			w.ctl(0, "start", "-f", w.plan(slow))
			w.until("chat/4", strategies.Baking)
			w.ctl(0, "pause", "chat", "-m", "lunch")
			w.ctl(waiting, "status", "-watch", "-hold", "fail")
			w.ctl(0, "resume", "chat/4")
			w.ctl(0, "abort", "-m", "enough")
			w.ctl(aborted, "status", "chat/4", "-watch")
			w.ctl(conflict, "abort", "chat/4")
			w.ctl(0, "start", "-f", w.plan(fragile))
			w.until("chat/5", strategies.Baking)
			w.broken.breaks()
			w.ctl(rolledBack, "status", "-watch")
			w.ctl(0, "retry", "chat/4", "-o", "json")
			w.ctl(0, "start", "-f", w.plan("supersede: true\n"+quick), "-wait")
			w.ctl(aborted, "status", "chat/6", "-watch")
		})
	}
}

// TestJSON: what is printed with -o json decodes into the types of the client, with nothing
// that they do not have, and one object a line.
func TestJSON(t *testing.T) {
	w := newWorld(t, false)
	plan := w.plan(quick)
	lines := strings.Split(strings.TrimSpace(w.ctl(0, "start", "-f", plan, "-wait", "-o", "json").out), "\n")
	for i, l := range lines {
		s := decode[client.State](t, l)
		if last := i == len(lines)-1; (s.Outcome == "promoted") != last {
			t.Errorf("state %d of %d: %s", i, len(lines), l)
		}
	}
	if got := decode[[]client.Target](t, w.ctl(0, "-o", "json", "list").out); len(got) != 1 || got[0].State.ID != "chat/1" {
		t.Errorf("%+v", got)
	}
	if got := decode[[]client.Target](t, w.ctl(0, "-o", "json").out); len(got) != 0 {
		t.Errorf("%+v needs a person", got)
	}
	if got := decode[client.Rollout](t, w.ctl(0, "history", "-o", "json").out); got.Outcome != "promoted" || !strings.HasPrefix(got.By.Via, "ctl") {
		t.Errorf("%+v", got)
	}
	for i, l := range strings.Split(strings.TrimSpace(w.ctl(0, "events", "-o", "json").out), "\n") {
		if e := decode[client.Event](t, l); e.Seq != uint64(i+1) {
			t.Errorf("event %d is line %d", e.Seq, i+1)
		}
	}
	if got := decode[client.Identity](t, w.ctl(0, "whoami", "-o", "json").out); got.Name != "ana" {
		t.Errorf("%+v", got)
	}
	if got := decode[client.Validation](t, w.ctl(0, "validate", "-f", plan, "-o", "json").out); got.Target != "chat" || got.Digest == "" {
		t.Errorf("%+v", got)
	}
	if got := decode[client.Validation](t, w.ctl(0, "validate", "-f", w.plan(quick), "-remote", "-o", "json").out); len(got.Stages) != 2 {
		t.Errorf("%+v", got)
	}
	if got := decode[client.Forecast](t, w.ctl(0, "forecast", "-f", plan, "-rate", "10", "-o", "json").out); len(got.Stages) != 2 {
		t.Errorf("%+v", got)
	}
	if got := decode[client.Diff](t, w.ctl(0, "diff", "-f", plan, "-set", "candidate.version=1.6.0", "-o", "json").out); got.Equal || got.Against != "chat/1" {
		t.Errorf("%+v", got)
	}
	if got := decode[client.Diff](t, w.ctl(0, "diff", "-f", plan, plan, "-o", "json").out); !got.Equal {
		t.Errorf("%+v", got)
	}
	if got := decode[client.Checklist](t, w.ctl(keptShut, "checklist", "release", "-o", "json").out); len(got.Sections) != 1 {
		t.Errorf("%+v", got)
	}
	if got := decode[client.Verification](t, w.ctl(0, "audit", "verify", "-o", "json").out); !got.Sound {
		t.Errorf("%+v", got)
	}
	bad := w.plan("strategy: {canary: {bke: 1m}}")
	if got := decode[client.Problem](t, w.ctl(failed, "start", "-f", bad, "-o", "json").errs); got.Name() != client.InvalidPlan || got.Errors[0].Line != 5 {
		t.Errorf("%+v", got)
	}
	if got := decode[client.Problem](t, w.ctl(failed, "status", "chat/9", "-o", "json").errs); got.Name() != client.NotFound {
		t.Errorf("%+v", got)
	}
}

// TestPeople: what people read has the next step, and the state.
func TestPeople(t *testing.T) {
	w := newWorld(t, false)
	says := func(text string, want ...string) {
		t.Helper()
		for _, part := range want {
			if !strings.Contains(text, part) {
				t.Errorf("want %q in:\n%s", part, text)
			}
		}
	}
	says(w.ctl(0).out, "Nothing waits", "ctl help")
	says(w.ctl(0, "list").out, "chat", "never had")
	w.ctl(0, "start", "-f", w.plan(approving), "-set", "candidate.version=1.6.0")
	w.until("chat/1", strategies.Approving)
	says(w.ctl(0).out, "chat/1", "ctl approve chat/1")
	status := w.ctl(0, "status").out
	if says(status, "1.4.0 → 1.6.0", "100%", "approve", "0 samples"); strings.Contains(status, "of 0 samples") {
		t.Errorf("there is no minimum:\n%s", status)
	}
	says(w.want(forbidden, "ben", "approve").errs, "second factor", "/me")
	says(w.want(forbidden, "cleo", "reject").errs, "whoami")
	says(w.want(0, "cleo", "whoami").out, "cleo", "read")
	says(w.want(forbidden, "nope", "whoami").errs, "login")
	says(w.ctl(conflict, "resume").errs, "What makes sense now", "abort")
	says(w.ctl(0, "reject", "-m", "not today").out, "chat/1")
	says(w.ctl(aborted, "status", "-watch").out, "rejection") // the next tick acts on the vote
	says(w.ctl(0, "events").out, "not today")
	says(w.ctl(0, "explain", "1").out, "chat")
	says(w.ctl(0, "history", "-outcome", "aborted").out, "chat/1", "ana")
	if r := w.ctl(0, "history", "-outcome", "promoted"); r.out != "" {
		t.Error(r.out)
	}
	says(w.ctl(failed, "validate", "-f", w.plan("strategy: {canary: {bke: 1m}}")).errs, "plan.yaml:5:21: strategy.canary.bke: unknown, want bake")
	says(w.ctl(failed, "validate", "-f", w.plan("preflight: [unbound]"), "-remote").errs, "a check that is bound")
	w.want(forbidden, "cleo", "validate", "-f", w.plan(slow), "-remote")
	says(w.ctl(0, "forecast", "-f", w.plan(slow), "-rate", "10").out, "canary 5%")
	foreign := w.ctl(failed, "start", "-f", w.plan("preflight: [nowhere]"))
	if says(foreign.errs, "validate -f -remote"); strings.Count(foreign.errs, "nowhere") != 1 {
		t.Errorf("a mistake that the server finds is not reported once:\n%s", foreign.errs)
	}
	own := w.plan(slow + "\nanalysis: {metrics: [errors, {grade: {kind: score, better: higher, role: guard}}]}")
	says(w.ctl(0, "forecast", "-f", own, "-rate", "10").out, "canary 5%")
	says(w.ctl(0, "diff", "-f", own, own, "-set", "monitor=1h").out, "+ monitor: 1h")
	w.ctl(failed, "start", "-f", own) // the server does not have it
	says(w.ctl(0, "diff", "-f", w.plan(slow), w.plan(quick)).out, "- strategy", "+ strategy")
	says(w.ctl(0, "start", "-h").out, "-hold", "-set")
	says(w.ctl(0, "help").out, "Exit codes")
	says(w.ctl(wrongUse, "strat").errs, "ctl help")
}

// TestChecklist votes for an item until the list holds.
func TestChecklist(t *testing.T) {
	w := newWorld(t, false)
	w.ctl(0, "start", "-f", w.plan(slow))
	if r := w.ctl(keptShut, "checklist", "release", "chat/1"); !strings.Contains(r.out, "privacy") {
		t.Error(r.out)
	}
	if r := w.ctl(0, "checklist", "due", "release", "chat"); !strings.Contains(r.out, "✗  privacy") {
		t.Error(r.out)
	}
	r := w.ctl(0, "checklist", "vouch", "release", "privacy", "-for", "chat/1", "-m", "read it", "-link", "https://example.com/review", "-sum", "sha256:"+strings.Repeat("a", 64))
	w.ctl(0, "checklist", "release", "chat/1")
	seq := strings.Fields(strings.TrimPrefix(r.out, "recorded as "))[0]
	w.ctl(0, "checklist", "withdraw", strings.Trim(seq, ";"), "-m", "wrong one")
	w.ctl(keptShut, "checklist", "release", "chat/1")
	w.ctl(0, "checklist", "waive", "release", "privacy", "-lasts", "1h", "-m", "the reviewer is back tomorrow")
	w.ctl(0, "checklist", "release", "chat/1")
	w.want(forbidden, "cleo", "checklist", "vouch", "release", "privacy", "-for", "chat/1")
	w.ctl(wrongUse, "checklist", "waive", "release", "privacy")
	w.ctl(wrongUse, "checklist")
	w.ctl(0, "abort", "chat/1")
}

// TestToken issues a token to a program, which acts by it, and ends it.
func TestToken(t *testing.T) {
	w := newWorld(t, false)
	secret := strings.TrimSpace(w.ctl(0, "token", "-issue", "pipeline", "-role", "sre", "-on", "chat", "-for", "24h").out)
	if r := w.want(0, secret, "whoami"); !strings.Contains(r.out, "pipeline, sre") {
		t.Error(r.out)
	}
	w.want(forbidden, secret, "token", "-issue", "another", "-role", "sre", "-on", "chat")
	all := decode[[]client.Token](t, w.ctl(0, "token", "-o", "json").out)
	if len(all) != 1 || all[0].Name != "pipeline" || all[0].Secret != "" {
		t.Fatalf("%+v", all)
	}
	if r := w.ctl(0, "token"); !strings.Contains(r.out, all[0].ID) || strings.Contains(r.out, secret) {
		t.Error(r.out)
	}
	w.want(failed, "cleo", "token", "-revoke", all[0].ID)
	w.ctl(0, "token", "-revoke", all[0].ID)
	w.want(forbidden, secret, "whoami")
	for _, args := range [][]string{
		{"-issue", "p"}, {"-issue", "p", "-role", "sre"}, {"-role", "sre"}, {"-issue", "p", "-role", "sre", "-on", "chat", "-revoke", "x"},
		{"-issue", "p", "-role", "", "-on", "chat"}, {"-issue", "p", "-role", "sre", "-on", "chat", "-for", "0s"},
	} {
		w.ctl(wrongUse, append([]string{"token"}, args...)...)
	}
	w.ctl(failed, "token", "-issue", "p", "-role", "sre", "-on", "chat", "-for", "2161h")
}

// TestAlerts silences an alert, and tests the way to a receiver.
func TestAlerts(t *testing.T) {
	w := newWorld(t, false)
	if r := w.ctl(0, "alerts"); !strings.Contains(r.out, "RolloutHeld") || !strings.Contains(r.out, "it is held") {
		t.Error(r.out)
	}
	silence := decode[client.Silence](t, w.ctl(0, "silence", "-match", "target=chat", "-for", "1h", "-m", "known", "-o", "json").out)
	if got := decode[client.Alerts](t, w.ctl(0, "alerts", "-o", "json").out); len(got.Silences) != 1 || got.Silences[0].ID != silence.ID {
		t.Errorf("%+v", got)
	}
	w.ctl(0, "silence", "-end", silence.ID)
	if got := decode[client.Alerts](t, w.ctl(0, "alerts", "-o", "json").out); len(got.Silences) > 0 && got.Silences[0].To.After(time.Now()) {
		t.Errorf("%+v", got)
	}
	if r := w.ctl(0, "alerts"); strings.Contains(r.out, silence.ID) {
		t.Errorf("an ended silence is shown:\n%s", r.out)
	}
	long := w.ctl(waiting, "silence", "-match", "target=chat", "-for", "480h", "-m", "holidays")
	if !strings.Contains(long.errs, "no effect") || long.out != "" {
		t.Errorf("20 days by one person: %s%s", long.out, long.errs)
	}
	if got := decode[client.Silence](t, w.ctl(waiting, "silence", "-match", "target=chat", "-for", "480h", "-m", "holidays", "-o", "json").out); !got.NeedsSecond {
		t.Errorf("%+v", got)
	}
	made := decode[client.Silence](t, w.ctl(waiting, "silence", "-match", "target=chat", "-for", "480h", "-m", "repair", "-o", "json").out)
	w.ctl(conflict, "silence", "-second", made.ID)
	w.want(forbidden, "cleo", "silence", "-second", made.ID)
	if r := w.want(0, "ben", "silence", "-second", made.ID); !strings.Contains(r.out, "agreed") {
		t.Error(r.out)
	}
	if r := w.ctl(0, "alerts"); !strings.Contains(r.out, "with ben") {
		t.Error(r.out)
	}
	w.want(failed, "ben", "silence", "-second", "nothing")
	w.ctl(wrongUse, "silence")
	w.ctl(wrongUse, "silence", "-match", "target")
	w.ctl(wrongUse, "silence", "-second", made.ID, "-end", made.ID)
	w.ctl(wrongUse, "silence", "-second", made.ID, "-for", "1h")
	w.want(forbidden, "cleo", "silence", "-match", "target=chat", "-for", "1h", "-m", "no")
	if got := decode[client.Receipt](t, w.ctl(0, "test-alert", "log", "-o", "json").out); got.Accepted.IsZero() {
		t.Errorf("%+v", got)
	}
	w.ctl(failed, "test-alert", "unknown")
}

// TestAudit verifies an export without the server, and finds what was changed in it.
func TestAudit(t *testing.T) {
	w := newWorld(t, true)
	w.ctl(0, "start", "-f", w.plan(quick), "-wait")
	export := w.ctl(0, "audit", "export").out
	signed := w.ctl(0, "audit", "checkpoint", "chat").out
	w.ctl(0, "start", "-f", w.plan(slow))
	w.ctl(0, "abort")
	later := w.ctl(0, "audit", "export", "chat").out
	dir := t.TempDir()
	write := func(name, text string) string {
		path := filepath.Join(dir, name)
		if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
		return path
	}
	first, second, checkpoint := write("first.jsonl", export), write("second.jsonl", later), write("checkpoint", signed)
	forged := write("forged.jsonl", strings.Replace(export, `"ana"`, `"eve"`, 1))
	noServer := func(code int, args ...string) string {
		t.Helper()
		var out, errs bytes.Buffer
		s := screen{in: strings.NewReader(""), out: &out, err: &errs, getenv: func(string) string { return "" }}
		if got := run(t.Context(), s, append([]string{"audit", "verify"}, args...)); got != code {
			t.Errorf("%q: exit code %d, want %d\n%s%s", args, got, code, out.String(), errs.String())
		}
		return out.String()
	}
	noServer(0, first)
	noServer(0, second, "-checkpoint", checkpoint, "-key", w.public)
	noServer(0, first, second)
	if out := noServer(failed, forged); !strings.Contains(out, "NOT SOUND") {
		t.Error(out)
	}
	noServer(failed, first, forged)
	noServer(failed, write("empty.jsonl", ""))
	noServer(failed, write("short.jsonl", export[:len(export)/2]), "-checkpoint", checkpoint, "-key", w.public)
	noServer(failed, second, "-checkpoint", checkpoint)
	noServer(wrongUse, first, "-key", "no key")
	noServer(failed, first, filepath.Join(dir, "missing"))
	w.ctl(0, "audit", "verify", "chat")
	proof := decode[client.EventProof](t, w.ctl(0, "audit", "prove", "chat/1", "1").out)
	v, err := note.NewVerifier(w.public)
	if err != nil {
		t.Fatal(err)
	}
	var inclusion audit.Inclusion
	if err := json.Unmarshal(proof.Inclusion, &inclusion); err != nil {
		t.Fatal(err)
	}
	for _, args := range [][]string{{"-checkpoint", checkpoint, "-key", w.public}, {"chat", "-checkpoint", checkpoint}, {"missing.jsonl", "-key", w.public}} {
		if r := w.ctl(wrongUse, append([]string{"audit", "verify"}, args...)...); !strings.Contains(r.errs, "export") {
			t.Error(r.errs)
		}
	}
	if err := inclusion.Check([]byte(proof.Checkpoint), v); err != nil {
		t.Error(err)
	}
	w.ctl(wrongUse, "audit")
	w.ctl(wrongUse, "audit", "read")
}

// TestFollow: events are followed until the rollout ends.
func TestFollow(t *testing.T) {
	w := newWorld(t, false)
	w.ctl(0, "start", "-f", w.plan(slow))
	w.until("chat/1", strategies.Baking)
	r, out := io.Pipe()
	code := make(chan int, 1)
	go func() {
		code <- run(t.Context(), w.screen("ana", "", out, io.Discard), []string{"events", "-follow", "-o", "json"})
		_ = out.Close()
	}()
	d := json.NewDecoder(r)
	var last client.Event
	for err := d.Decode(&last); err != io.EOF; err = d.Decode(&last) {
		if err != nil {
			t.Fatal(err)
		}
		if last.Seq == 2 {
			w.ctl(0, "abort", "chat/1", "-m", "enough")
		}
	}
	if got := <-code; got != 0 || last.Kind != "ended" {
		t.Errorf("exit code %d after %s", got, last.Text)
	}
}

// TestRestart: a watch goes on when the server has lost all connections.
func TestRestart(t *testing.T) {
	w := newWorld(t, false)
	w.ctl(0, "start", "-f", w.plan(slow))
	w.until("chat/1", strategies.Baking)
	r, out := io.Pipe()
	code := make(chan int, 1)
	go func() {
		code <- run(t.Context(), w.screen("ana", "", out, io.Discard), []string{"status", "-watch", "-o", "json"})
		_ = out.Close()
	}()
	d := json.NewDecoder(r)
	var s client.State
	if err := d.Decode(&s); err != nil {
		t.Fatal(err)
	}
	w.http.CloseClientConnections()
	if err := d.Decode(&s); err != nil { // a full state, first after the restart
		t.Fatal(err)
	}
	w.ctl(0, "abort", "chat/1")
	for err := d.Decode(&s); err != io.EOF; err = d.Decode(&s) {
		if err != nil {
			t.Fatal(err)
		}
	}
	if got := <-code; got != aborted || s.Outcome != "aborted" {
		t.Errorf("exit code %d, outcome %q", got, s.Outcome)
	}
}

// TestLogin stores the server and the token for its owner alone, and refuses a file that
// others may read.
func TestLogin(t *testing.T) {
	w := newWorld(t, false)
	home := t.TempDir()
	login := func(input string, args ...string) result {
		var out, errs bytes.Buffer
		s := screen{in: strings.NewReader(input), out: &out, err: &errs, getenv: func(name string) string {
			return map[string]string{"XDG_CONFIG_HOME": home}[name]
		}}
		code := run(t.Context(), s, args)
		return result{code, out.String(), errs.String()}
	}
	for _, c := range []struct {
		code  int
		input string
		args  []string
	}{
		{wrongUse, "", []string{"list"}},
		{wrongUse, "ana\n", []string{"login"}},
		{wrongUse, "ana\n", []string{"login", "-server", "ftp://x"}},
		{forbidden, "nope\n", []string{"login", "-server", w.http.URL}},
		{wrongUse, "", []string{"list"}},
		{0, "ana\n", []string{"login", "-server", w.http.URL}},
		{0, "", []string{"list"}},
		{failed, "", []string{"list", "-server", "http://127.0.0.1:1"}},
	} {
		if r := login(c.input, c.args...); r.code != c.code || strings.Contains(r.out+r.errs, "ana\n") {
			t.Errorf("%q: exit code %d, want %d\n%s%s", c.args, r.code, c.code, r.out, r.errs)
		}
	}
	path := filepath.Join(home, "serin", "ctl.json")
	info, err := os.Stat(path)
	if err != nil || info.Mode().Perm() != 0o600 {
		t.Fatalf("%v, %v", info, err)
	}
	if err := os.Chmod(path, 0o644); err != nil {
		t.Fatal(err)
	}
	if r := login("", "list"); r.code != failed || !strings.Contains(r.errs, "0644") {
		t.Errorf("exit code %d: %s", r.code, r.errs)
	}
}

// TestConfirm: on a terminal a person confirms what cannot be taken back in steps.
func TestConfirm(t *testing.T) {
	w := newWorld(t, false)
	w.ctl(0, "start", "-f", w.plan(slow))
	w.until("chat/1", strategies.Baking)
	for answer, code := range map[string]int{"no\n": failed, "": failed, "y\n": failed} {
		var out, errs bytes.Buffer
		s := w.screen("ana", answer, &out, &errs)
		s.terminal = true
		if got := run(t.Context(), s, []string{"promote-fully"}); got != code || !strings.Contains(errs.String(), "nothing was done") {
			t.Errorf("%q: exit code %d, %s", answer, got, errs.String())
		}
	}
	w.ctl(0, "promote-fully", "-yes")
	w.ctl(0, "abort", "chat/1")
}

// TestHostileTexts: no text moves the cursor of a terminal.
func TestHostileTexts(t *testing.T) {
	w := newWorld(t, false)
	w.ctl(0, "start", "-f", w.plan(slow))
	w.until("chat/1", strategies.Baking)
	w.ctl(0, "pause", "chat/1", "-m", "\x1b[2Jcleared\u202e\r")
	for _, args := range [][]string{{}, {"list"}, {"status"}, {"events"}, {"history"}, {"explain", "2"}} {
		if r := w.ctl(0, args...); strings.ContainsAny(r.out, "\x1b\u202e\r") {
			t.Errorf("ctl %q: %q", args, r.out)
		}
	}
	w.ctl(0, "abort", "chat/1")
}

// TestTable aligns columns, and cuts the last one at the width of the terminal.
func TestTable(t *testing.T) {
	var out bytes.Buffer
	screen{out: &out, width: 14}.table([][]string{{"a", "é", "short"}, {"long", "b", "longer than\nthat"}})
	if want := "a     é  short\nlong  b  long…\n"; out.String() != want {
		t.Errorf("%q, want %q", out.String(), want)
	}
}

// TestCompletion loads the scripts in the shells that are there.
func TestCompletion(t *testing.T) {
	for shell, load := range map[string]string{
		"bash": `source %s && COMP_WORDS=(ctl sta) COMP_CWORD=1 && _ctl && echo "${COMPREPLY[*]}"`,
		"zsh":  `autoload -Uz compinit && compinit -u -D && source %s && [[ ${_comps[ctl]} == _ctl ]] && _describe() { print -rl -- ${(P)2} } && CURRENT=2 words=(ctl sta) && _ctl`,
		"fish": `source %s; complete -C 'ctl sta' | string split -f1 \t`,
	} {
		t.Run(shell, func(t *testing.T) {
			path, err := exec.LookPath(shell)
			if err != nil {
				t.Skip(shell + " is not there")
			}
			var out, errs bytes.Buffer
			if code := run(context.Background(), screen{out: &out, err: &errs, getenv: os.Getenv}, []string{"completion", shell}); code != 0 {
				t.Fatal(code, errs.String())
			}
			script := filepath.Join(t.TempDir(), "script")
			if err := os.WriteFile(script, out.Bytes(), 0o600); err != nil {
				t.Fatal(err)
			}
			got, err := exec.Command(path, "-c", fmt.Sprintf(load, script)).CombinedOutput()
			if err != nil || !strings.Contains(string(got), "status") || !strings.Contains(string(got), "start") {
				t.Errorf("%v: %s", err, got)
			}
		})
	}
	if code := run(context.Background(), screen{out: io.Discard, err: io.Discard, getenv: os.Getenv}, []string{"completion", "csh"}); code != wrongUse {
		t.Error(code)
	}
}

// TestStartedBefore: a start that was carried out before, by the same key, does not look like a
// new one.
func TestStartedBefore(t *testing.T) {
	w := newWorld(t, false)
	args := []string{"start", "-f", w.plan(slow), "-key", "release-1"}
	if r := w.ctl(0, args...); !strings.Contains(r.out, "chat/1 started") {
		t.Error(r.out)
	}
	w.until("chat/1", strategies.Baking)
	const before = "already started by this key: chat/1"
	if r := w.ctl(0, args...); !strings.Contains(r.out, before) || strings.Contains(r.out, "chat/1 started") {
		t.Error(r.out)
	}
	if got := decode[struct {
		ID       string
		Replayed bool
	}](t, w.ctl(0, append(args, "-o", "json")...).out); got.ID != "chat/1" || !got.Replayed {
		t.Errorf("%+v", got)
	}
	w.ctl(0, "abort", "chat/1")
	if r := w.ctl(aborted, append(args, "-wait")...); !strings.Contains(r.out, before) {
		t.Error(r.out)
	}
	w.ctl(0, "retry", "chat/1", "-key", "again")
	if r := w.ctl(0, "retry", "chat/1", "-key", "again"); !strings.Contains(r.out, "already started by this key: chat/2") {
		t.Error(r.out)
	}
	w.ctl(0, "abort", "chat/2")
}
