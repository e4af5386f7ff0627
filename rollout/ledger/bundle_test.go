package ledger_test

import (
	"archive/zip"
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"golang.org/x/mod/sumdb/note"

	"github.com/serin-go/serin/checks"
	"github.com/serin-go/serin/rollout"
	"github.com/serin-go/serin/rollout/audit"
	"github.com/serin-go/serin/rollout/ledger"
	"github.com/serin-go/serin/rollout/memstore"
	"github.com/serin-go/serin/strategies"
	"github.com/serin-go/serin/versioning"
)

// governed runs a rollout with a ledger, and returns the ledger and what its bundle is about.
func governed(t *testing.T, store rollout.Store) (*ledger.Ledger, ledger.Bundle) {
	t.Helper()
	private, public, err := note.GenerateKey(nil, "serin-test")
	if err != nil {
		t.Fatal(err)
	}
	signer, err := note.NewSigner(private)
	if err != nil {
		t.Fatal(err)
	}
	checklists := list(t)
	l, err := ledger.Open(t.Context(), ledger.Config{Store: store, Signer: signer, Key: public, Logger: slog.New(slog.DiscardHandler)})
	if err != nil {
		t.Fatal(err)
	}
	e, err := rollout.Open(t.Context(), rollout.Config{Store: store, Targets: map[string]rollout.Splitter{"chat": &pool{}}})
	if err != nil {
		t.Fatal(err)
	}
	plan := rollout.Plan{Target: "chat", Baseline: versioning.Release{Version: versioning.MustParse("1.4.0")}, Candidate: versioning.Release{Version: versioning.MustParse("1.5.0"), Digest: digestA},
		Strategy: strategies.Canary{Weights: []strategies.Weight{2500}, Bake: time.Hour, Limit: 10 * time.Hour, DangerouslyPromoteUnproven: true}}
	id, err := e.Start(t.Context(), plan, ben)
	if err != nil {
		t.Fatal(err)
	}
	_, err1 := l.Vouch(t.Context(), "compliance", subject, ledger.Proof{Reason: "ümlaut </script>"}, pia)
	_, err2 := l.Waive(t.Context(), ledger.Waiver{Item: "tuning", Subject: subject, Reason: "retuning is planned for the next sprint", Until: time.Now().Add(day)}, pia)
	err3 := l.Note(t.Context(), "erase", map[string]int{"people": 1}, ana)
	time.Sleep(time.Minute)
	if err := errors.Join(err1, err2, err3, e.Do(t.Context(), id, strategies.Abort, ana)); err != nil {
		t.Fatal(err)
	}
	time.Sleep(time.Minute)
	if err := e.Close(); err != nil {
		t.Fatal(err)
	}
	report := checklists.Run(checks.WithSubject(t.Context(), subject), l)
	if err := l.Close(); err != nil {
		t.Fatal(err)
	}
	return l, ledger.Bundle{Report: report, Plan: plan, Manifest: []byte(`{"model":"chat"}`)}
}

func bundle(t *testing.T) map[string][]byte {
	t.Helper()
	files := make(map[string][]byte)
	synctest.Test(t, func(t *testing.T) {
		l, b := governed(t, new(memstore.Store))
		var first, second bytes.Buffer
		sum, err1 := l.Bundle(t.Context(), &first, b)
		_, err2 := l.Bundle(t.Context(), &second, b)
		if err := errors.Join(err1, err2); err != nil {
			t.Fatal(err)
		}
		if !bytes.Equal(first.Bytes(), second.Bytes()) {
			t.Error("two bundles of one state differ")
		}
		if sum != fmt.Sprintf("%x", sha256.Sum256(first.Bytes())) {
			t.Error("the sum is another one")
		}
		z, err := zip.NewReader(bytes.NewReader(first.Bytes()), int64(first.Len()))
		if err != nil {
			t.Fatal(err)
		}
		for _, f := range z.File {
			r, err := f.Open()
			if err != nil {
				t.Fatal(err)
			}
			if files[f.Name], err = io.ReadAll(r); err != nil {
				t.Fatal(err)
			}
		}
		if _, err := l.Bundle(t.Context(), failing{}, b); !errors.Is(err, io.ErrClosedPipe) {
			t.Errorf("%v, want the error of the writer", err)
		}
	})
	return files
}

type failing struct{}

func (failing) Write([]byte) (int, error) { return 0, io.ErrClosedPipe }

func TestBundle(t *testing.T) {
	files := bundle(t)
	for _, name := range []string{"report.txt", "report.md", "report.html", "report.json", "report.junit.xml", "report.oscal.json", "plan.json", "manifest.json",
		"events.jsonl", "ledger.jsonl", "ledger.checkpoint.txt", "events.checkpoint.txt", "keys.txt", "README.txt", "SHA256SUMS", "proofs/ledger-000000000001.json"} {
		if len(files[name]) == 0 {
			t.Errorf("there is no %s", name)
		}
	}
}

func TestBundleOfATamperedLedger(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		store := new(memstore.Store)
		l, b := governed(t, store)
		e := stored(t, store)[1]
		overwrite(t, store, e.Key, bytes.Replace(e.Value, []byte("pia"), []byte("eve"), 1))
		var tampered *ledger.TamperError
		if _, err := l.Bundle(t.Context(), io.Discard, b); !errors.As(err, &tampered) {
			t.Errorf("%v, want a TamperError", err)
		}
		overwrite(t, store, e.Key, e.Value)
		for e, err := range store.List(t.Context(), "audit/chat/1/") {
			if err != nil {
				t.Fatal(err)
			}
			overwrite(t, store, e.Key, bytes.Replace(e.Value, []byte("ben"), []byte("eve"), 1))
			break
		}
		var trail *audit.TamperError
		if _, err := l.Bundle(t.Context(), io.Discard, b); !errors.As(err, &trail) {
			t.Errorf("%v, want a TamperError of the trail", err)
		}
	})
}

// TestBundleOfTwoProcesses: a bundle has what another process has written, and its
// checkpoint and proofs are about the same entries.
func TestBundleOfTwoProcesses(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		store := new(memstore.Store)
		l, b := governed(t, store)
		other := open(t, ledger.Config{Store: store})
		if _, err := other.Vouch(t.Context(), "compliance", subject, ledger.Proof{}, ana); err != nil {
			t.Fatal(err)
		}
		var file bytes.Buffer
		if _, err := l.Bundle(t.Context(), &file, b); err != nil {
			t.Fatal(err)
		}
		z, err := zip.NewReader(bytes.NewReader(file.Bytes()), int64(file.Len()))
		if err != nil {
			t.Fatal(err)
		}
		content := func(name string) []byte {
			f, err := z.Open(name)
			if err != nil {
				t.Fatal(err)
			}
			b, err := io.ReadAll(f)
			if err != nil {
				t.Fatal(err)
			}
			return b
		}
		verifier, err := note.NewVerifier(strings.TrimSpace(string(content("keys.txt"))))
		if err != nil {
			t.Fatal(err)
		}
		last := bytes.Count(content("ledger.jsonl"), []byte("\n"))
		var p ledger.Inclusion
		if err := json.Unmarshal(content(fmt.Sprintf("proofs/ledger-%012d.json", last)), &p); err != nil {
			t.Fatal(err)
		}
		if err := p.Check(content("ledger.checkpoint.txt"), verifier); err != nil {
			t.Error(err)
		}
		b.Plan.Target, b.Manifest = "search", []byte("{")
		_, err = l.Bundle(t.Context(), io.Discard, b)
		var fields []string
		for e := range checks.Invalid(err) {
			fields = append(fields, e.Field)
		}
		if got := strings.Join(fields, " "); got != "Bundle.Plan.Target Bundle.Manifest" {
			t.Error(got)
		}
	})
}

// TestBundleVerifies: sha256sum finds each altered byte, and a program in another language,
// which knows README.txt only, verifies sums, chains, roots and signatures, and finds what
// sha256sum cannot: files that were altered with their sums.
func TestBundleVerifies(t *testing.T) {
	node, err := exec.LookPath("node")
	if err != nil {
		t.Skip("install node to verify a bundle in another language")
	}
	files := bundle(t)
	verify := func(change func(map[string][]byte)) error {
		dir := t.TempDir()
		own := make(map[string][]byte)
		for name, b := range files {
			own[name] = bytes.Clone(b)
		}
		change(own)
		for name, b := range own {
			file := filepath.Join(dir, filepath.FromSlash(name))
			if err := errors.Join(os.MkdirAll(filepath.Dir(file), 0o755), os.WriteFile(file, b, 0o644)); err != nil {
				t.Fatal(err)
			}
		}
		ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
		defer cancel()
		out, err := exec.CommandContext(ctx, node, filepath.Join("testdata", "verify.js"), dir).CombinedOutput()
		if err != nil && !bytes.Contains(out, []byte("bundle: ")) {
			t.Fatalf("%v: %s", err, out)
		}
		return err
	}
	sums := func(own map[string][]byte) {
		var text strings.Builder
		for line := range strings.Lines(string(own["SHA256SUMS"])) {
			name := strings.TrimSpace(line[66:])
			fmt.Fprintf(&text, "%x  %s\n", sha256.Sum256(own[name]), name)
		}
		own["SHA256SUMS"] = []byte(text.String())
	}
	if err := verify(func(map[string][]byte) {}); err != nil {
		t.Fatal("a sound bundle does not verify")
	}
	for name, change := range map[string]func(map[string][]byte){
		"a byte of the report": func(f map[string][]byte) { f["report.md"][10] ^= 1 },
		"a missing file":       func(f map[string][]byte) { delete(f, "plan.json") },
		"a byte of the ledger": func(f map[string][]byte) { f["ledger.jsonl"][40] ^= 1; sums(f) },
		"a byte of the events": func(f map[string][]byte) { f["events.jsonl"][40] ^= 1; sums(f) },
		"the last entry": func(f map[string][]byte) {
			lines := bytes.SplitAfter(f["ledger.jsonl"], []byte("\n"))
			f["ledger.jsonl"] = bytes.Join(lines[:len(lines)-2], nil)
			sums(f)
		},
		"the signature": func(f map[string][]byte) {
			f["ledger.checkpoint.txt"][len(f["ledger.checkpoint.txt"])-10] ^= 1
			sums(f)
		},
		"a proof": func(f map[string][]byte) {
			p := f["proofs/ledger-000000000001.json"]
			p[bytes.Index(p, []byte("pia"))] = 'q'
			sums(f)
		},
	} {
		if verify(change) == nil {
			t.Errorf("%s was altered and is not found", name)
		}
	}
	// Every byte, without starting a program for each.
	want := make(map[string]string)
	for line := range strings.Lines(string(files["SHA256SUMS"])) {
		want[strings.TrimSpace(line[66:])] = line[:64]
	}
	for name, b := range files {
		if name == "SHA256SUMS" {
			continue
		}
		if want[name] != fmt.Sprintf("%x", sha256.Sum256(b)) {
			t.Errorf("SHA256SUMS has another sum of %s", name)
		}
	}
	if len(want) != len(files)-1 {
		t.Errorf("SHA256SUMS has %d files, want %d", len(want), len(files)-1)
	}
}
