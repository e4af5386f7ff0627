package main

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"io"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"golang.org/x/mod/sumdb/note"

	"github.com/serin-go/serin/checks"
	"github.com/serin-go/serin/checks/checklist"
	"github.com/serin-go/serin/rollout"
	"github.com/serin-go/serin/rollout/access"
	"github.com/serin-go/serin/rollout/alert"
	"github.com/serin-go/serin/rollout/boltstore"
	"github.com/serin-go/serin/rollout/console/api"
	"github.com/serin-go/serin/rollout/ledger"
	"github.com/serin-go/serin/rollout/memstore"
	"github.com/serin-go/serin/strategies"
	"github.com/serin-go/serin/versioning"
)

// plane takes every split.
type plane struct{}

func (plane) SetSplit(context.Context, strategies.Split) error { return nil }

// people are the callers, by token.
var people = map[string]rollout.Actor{
	"ana":  {Name: "ana", Roles: []string{"sre"}, Proved: time.Now()},
	"ben":  {Name: "ben", Roles: []string{"sre"}},
	"cleo": {Name: "cleo", Roles: []string{"reader"}},
}

// world is a server over a real engine, for one target.
type world struct {
	t       *testing.T
	engine  *rollout.Engine
	api     *api.Server
	http    *httptest.Server
	public  string // key of the signer
	broken  *flaw
	home    string
	serving string // the version that was promoted last
}

// flaw is a check that passes until it is broken.
type flaw struct {
	mu sync.Mutex
	on bool
}

func (f *flaw) Check(context.Context) checks.Result {
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.on {
		return checks.Result{Status: checks.Fail, Summary: "it is broken"}
	}
	return checks.Result{Status: checks.Pass}
}

func (f *flaw) breaks() {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.on = true
}

// newWorld returns a world that stores in a file, or else in memory.
func newWorld(t *testing.T, file bool) *world {
	t.Helper()
	w := &world{t: t, broken: new(flaw), home: t.TempDir(), serving: "1.4.0"}
	var store rollout.Store = new(memstore.Store)
	if file {
		bolt, err := boltstore.Open(filepath.Join(t.TempDir(), "serin.db"))
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { _ = bolt.Close() })
		store = bolt
	}
	policy, err := access.NewPolicy(
		access.Grant{Role: "sre", Actions: []rollout.Action{"*"}, Targets: []string{"*"}},
		access.Grant{Role: "reader", Actions: []rollout.Action{"read"}, Targets: []string{"*"}},
	)
	if err != nil {
		t.Fatal(err)
	}
	var tokens []access.Token
	for name, actor := range people {
		sum := sha256.Sum256([]byte(name))
		tokens = append(tokens, access.Token{Digest: "sha256:" + hex.EncodeToString(sum[:]), Actor: actor, Until: time.Now().Add(24 * time.Hour)})
	}
	who, err := access.Bearer(tokens...)
	if err != nil {
		t.Fatal(err)
	}
	private, public, err := note.GenerateKey(nil, "serin.test")
	if err != nil {
		t.Fatal(err)
	}
	signer, err := note.NewSigner(private)
	if err != nil {
		t.Fatal(err)
	}
	w.public = public
	list, err := checklist.New("release", checklist.Section{Name: "quality", Items: []checklist.Item{
		{ID: "evals", Owner: "ana", Check: w.broken},
		{ID: "privacy", Title: "Privacy review", Owner: "ben", Attest: &checklist.Attest{Rules: checklist.By("sre")}},
	}})
	if err != nil {
		t.Fatal(err)
	}
	book, err := ledger.Open(t.Context(), ledger.Config{Store: store, Authorize: policy.Authorize, Targets: []string{"chat"}, Signer: signer, Key: public})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = book.Close() })
	book.Use(list)
	w.engine, err = rollout.Open(t.Context(), rollout.Config{
		Store: store, Authorize: policy.Authorize, Targets: map[string]rollout.Splitter{"chat": plane{}}, Tick: 5 * time.Millisecond,
		Checks: map[string]checks.Check{"ready": w.broken, "never": checks.Func(func(context.Context) checks.Result {
			return checks.Result{Status: checks.Fail, Summary: "the model is not there"}
		})},
	})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = w.engine.Close() })
	alerts, err := alert.New(alert.Config{
		Store: store, Authorize: policy.Authorize,
		Receivers: map[string]alert.Notifier{"log": alert.NotifierFunc(func(context.Context, alert.Notification) error { return nil })},
	})
	if err != nil {
		t.Fatal(err)
	}
	if err := alerts.Set(t.Context(), alert.Alert{Name: "RolloutHeld", Labels: map[string]string{"target": "chat"}, Severity: alert.Critical, Summary: "it is held"}); err != nil {
		t.Fatal(err)
	}
	issued, err := access.NewTokens(access.TokensConfig{Store: store})
	if err != nil {
		t.Fatal(err)
	}
	w.api, err = api.New(api.Config{
		Engine: w.engine, Store: store, Who: access.First(issued, who), May: issued.Authorize(policy.Authorize), Tokens: issued, Ledger: book, Signer: signer, Alerts: alerts,
		Lists: map[string]*checklist.List{"release": list}, Limits: api.Limits{Changes: 10_000},
	})
	if err != nil {
		t.Fatal(err)
	}
	w.http = httptest.NewServer(w.api)
	t.Cleanup(w.http.Close)
	t.Cleanup(func() { _ = w.api.Close() }) // before http, whose streams it ends
	return w
}

// result is what a run of ctl left.
type result struct {
	code      int
	out, errs string
}

// as runs ctl as a person, with standard input.
func (w *world) as(person, input string, args ...string) result {
	w.t.Helper()
	var out, errs bytes.Buffer
	code := run(w.t.Context(), w.screen(person, input, &out, &errs), args)
	return result{code, out.String(), errs.String()}
}

// screen returns the screen of a person who is not at a terminal.
func (w *world) screen(person, input string, out, errs io.Writer) screen {
	return screen{in: strings.NewReader(input), out: out, err: errs, getenv: func(name string) string {
		return map[string]string{"SERIN_SERVER": w.http.URL, "SERIN_TOKEN": person, "XDG_CONFIG_HOME": w.home}[name]
	}}
}

// ctl runs ctl as ana, and wants an exit code.
func (w *world) ctl(code int, args ...string) result {
	w.t.Helper()
	return w.want(code, "ana", args...)
}

// want runs ctl as a person, and wants an exit code.
func (w *world) want(code int, person string, args ...string) result {
	w.t.Helper()
	r := w.as(person, "", args...)
	if r.code != code {
		w.t.Fatalf("ctl %s: exit code %d, want %d\n%s%s", strings.Join(args, " "), r.code, code, r.out, r.errs)
	}
	return r
}

// decode decodes the output of ctl into a type of the client, of which nothing is unknown.
func decode[T any](t *testing.T, text string) (v T) {
	t.Helper()
	d := json.NewDecoder(strings.NewReader(text))
	d.DisallowUnknownFields()
	if err := d.Decode(&v); err != nil {
		t.Fatalf("%v\n%s", err, text)
	}
	return v
}

// until waits until a rollout is in a phase.
func (w *world) until(id rollout.ID, phase strategies.Phase) {
	w.t.Helper()
	for {
		changed := w.engine.Changed(id.Target())
		st, err := w.engine.Status(w.t.Context(), id)
		if err != nil {
			w.t.Fatal(err)
		}
		if st.Phase == phase {
			return
		}
		if st.Phase.Terminal() {
			w.t.Fatalf("%s is %s: %s", id, st.Phase, st.Reason)
		}
		select {
		case <-changed:
		case <-w.t.Context().Done():
			w.t.Fatalf("%s is %s", id, st.Phase)
		}
	}
}

// plan writes a plan file and returns its name. more is added to what all plans have. Plans
// that are made after a promotion begin with the version that was promoted.
func (w *world) plan(more string) string {
	w.t.Helper()
	name := filepath.Join(w.t.TempDir(), "plan.yaml")
	if st, err := w.engine.Newest(w.t.Context(), "chat"); err == nil && st.Phase == strategies.Promoted {
		w.serving = st.Plan.Candidate.Arm()
	}
	serving := versioning.MustParse(w.serving)
	text := fmt.Sprintf("apiVersion: serin/v1\ntarget: chat\nbaseline: {version: %q}\ncandidate: {version: %q, digest: \"sha256:%064d\"}\n%s\n", serving, serving.Next(versioning.Minor), 7, more)
	if err := os.WriteFile(name, []byte(text), 0o600); err != nil {
		w.t.Fatal(err)
	}
	return name
}

// Plans of rollouts that go on by themselves, and that wait.
const (
	quick     = "strategy: {bluegreen: {keep: 1ms, dangerously_switch_unchecked: true}}"
	slow      = "strategy: {canary: {weights: [5%, 50%], bake: 24h}}"
	approving = "strategy: {bluegreen: {keep: 1ms, approve: {roles: [sre], mfa: 24h}}}"
	shut      = "preflight: [never]"
	fragile   = slow + "\nstanding: [{check: ready, every: 1ms, on_fail: roll back}]"
)
