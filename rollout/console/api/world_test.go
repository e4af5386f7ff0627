package api_test

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"io"
	"net/http"
	"net/http/httptest"
	"net/netip"
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
	"github.com/serin-go/serin/rollout/boltstore"
	"github.com/serin-go/serin/rollout/console/api"
	"github.com/serin-go/serin/rollout/console/client"
	"github.com/serin-go/serin/rollout/ledger"
	"github.com/serin-go/serin/rollout/memstore"
	"github.com/serin-go/serin/rollout/planfile"
	"github.com/serin-go/serin/strategies"
)

// plane takes every split.
type plane struct{}

func (plane) SetSplit(context.Context, strategies.Split) error { return nil }

// world is a server of the API over a real engine.
type world struct {
	t       testing.TB
	store   rollout.Store
	engine  *rollout.Engine
	ledger  *ledger.Ledger
	api     *api.Server
	http    *httptest.Server
	mu      sync.Mutex
	refusal []rollout.Refusal
}

// people are the callers, by token, with their roles.
var people = map[string]rollout.Actor{
	"ana":  {Name: "ana", Roles: []string{"developer"}},
	"ben":  {Name: "ben", Roles: []string{"sre"}},
	"fay":  {Name: "fay", Roles: []string{"sre"}},
	"cleo": {Name: "cleo", Roles: []string{"reader"}},
	"eve":  {Name: "eve", Roles: []string{"other-team"}},
}

// policyOf is the policy of all tests.
func policyOf(t testing.TB) *access.Policy {
	t.Helper()
	p, err := access.NewPolicy(
		access.Grant{Role: "developer", Actions: []rollout.Action{"start", "retry", "read", "pause", "abort", "attest", "approve"}, Targets: []string{"chat", "search"}},
		access.Grant{Role: "sre", Actions: []rollout.Action{"*"}, Targets: []string{"*"}},
		access.Grant{Role: "reader", Actions: []rollout.Action{"read"}, Targets: []string{"*"}},
		access.Grant{Role: "other-team", Actions: []rollout.Action{"*"}, Targets: []string{"rank"}},
	)
	if err != nil {
		t.Fatal(err)
	}
	return p
}

// tokens authenticates the people by their names as tokens. Names in proved have proved a
// second factor at that time.
func tokens(t testing.TB, proved map[string]time.Time) access.Authenticator {
	t.Helper()
	var all []access.Token
	for name, actor := range people {
		actor.Proved = proved[name]
		sum := sha256.Sum256([]byte(name))
		all = append(all, access.Token{Digest: "sha256:" + hex.EncodeToString(sum[:]), Actor: actor, Until: time.Now().Add(24 * time.Hour)})
	}
	who, err := access.Bearer(all...)
	if err != nil {
		t.Fatal(err)
	}
	return who
}

// option changes the configurations of a world.
type option func(w *world, engine *rollout.Config, server *api.Config)

// onBolt has the world store in a file.
func onBolt(w *world, engine *rollout.Config, server *api.Config) {
	store, err := boltstore.Open(filepath.Join(w.t.TempDir(), "serin.db"))
	if err != nil {
		w.t.Fatal(err)
	}
	w.t.Cleanup(func() { _ = store.Close() })
	w.store, engine.Store, server.Store = store, store, store
}

// newWorld returns a world with the targets chat, rank and search, on a port of this machine.
func newWorld(t testing.TB, opts ...option) *world {
	t.Helper()
	w := assemble(t, opts...)
	w.http = httptest.NewServer(w.api)
	t.Cleanup(w.http.Close)
	t.Cleanup(func() { _ = w.api.Close() }) // before http, whose streams it ends
	return w
}

// assemble returns a world without a port.
func assemble(t testing.TB, opts ...option) *world {
	t.Helper()
	w := &world{t: t, store: new(memstore.Store)}
	policy := policyOf(t)
	engine := rollout.Config{
		Store: w.store, Authorize: policy.Authorize,
		Targets: map[string]rollout.Splitter{"chat": plane{}, "rank": plane{}, "search": plane{}},
		Checks: map[string]checks.Check{
			"ready": checks.Func(func(context.Context) checks.Result { return checks.Result{Status: checks.Pass} }),
			"wait":  checks.Func(func(ctx context.Context) checks.Result { <-ctx.Done(); return checks.Result{} }),
		},
	}
	server := api.Config{Store: w.store, Who: tokens(t, nil), May: policy.Authorize, Refused: w.refuse, Limits: api.Limits{Changes: 10_000}}
	for _, o := range opts {
		o(w, &engine, &server)
	}
	var err error
	if w.engine, err = rollout.Open(t.Context(), engine); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = w.engine.Close() })
	if server.Engine == nil {
		server.Engine = w.engine
	}
	if w.api, err = api.New(server); err != nil {
		t.Fatal(err)
	}
	return w
}

func (w *world) refuse(_ context.Context, r rollout.Refusal) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.refusal = append(w.refusal, r)
}

// withLedger gives the world a ledger, a checklist and a signer.
func withLedger(w *world, engine *rollout.Config, server *api.Config) {
	private, public, err := note.GenerateKey(nil, "serin.test")
	if err != nil {
		w.t.Fatal(err)
	}
	signer, err := note.NewSigner(private)
	if err != nil {
		w.t.Fatal(err)
	}
	w.ledger, err = ledger.Open(w.t.Context(), ledger.Config{Store: w.store, Authorize: engine.Authorize, Targets: []string{"chat"}, Signer: signer, Key: public})
	if err != nil {
		w.t.Fatal(err)
	}
	w.t.Cleanup(func() { _ = w.ledger.Close() })
	list, err := checklist.New("release", checklist.Section{Name: "quality", Items: []checklist.Item{
		{ID: "evals", Owner: "ana", Check: engine.Checks["ready"], Valid: time.Hour},
		{ID: "privacy", Title: "Privacy review", Owner: "lea", Attest: &checklist.Attest{Rules: checklist.By("developer")}},
		{ID: "pen-test", Owner: "ben", Attest: &checklist.Attest{Rules: checklist.By("sre"), MFA: 5 * time.Minute}},
	}})
	if err != nil {
		w.t.Fatal(err)
	}
	w.ledger.Use(list)
	server.Ledger, server.Lists, server.Signer = w.ledger, map[string]*checklist.List{"release": list}, signer
}

// as returns a client of a person.
func (w *world) as(name string) *client.Client {
	w.t.Helper()
	c, err := client.New(client.Config{URL: w.http.URL, Token: name, HTTP: w.http.Client()})
	if err != nil {
		w.t.Fatal(err)
	}
	return c
}

// reply is an answer as it came.
type reply struct {
	status int
	header http.Header
	body   []byte
}

// problem returns the problem of an answer.
func (a reply) problem(t *testing.T) *client.Problem {
	t.Helper()
	var p client.Problem
	if kind := a.header.Get("Content-Type"); kind != "application/problem+json" {
		t.Fatalf("%d %s: %s, want a problem", a.status, kind, a.body)
	}
	if err := json.Unmarshal(a.body, &p); err != nil {
		t.Fatal(err)
	}
	if p.Status != a.status {
		t.Fatalf("the problem says %d, the answer %d", p.Status, a.status)
	}
	return &p
}

// send sends a request. header has pairs of names and values. A person "" has no token.
func (w *world) send(person, method, path, body string, header ...string) reply {
	w.t.Helper()
	req, err := http.NewRequestWithContext(w.t.Context(), method, w.http.URL+client.Base+path, strings.NewReader(body))
	if err != nil {
		w.t.Fatal(err)
	}
	if person != "" {
		req.Header.Set("Authorization", "Bearer "+person)
	}
	if body != "" {
		req.Header.Set("Content-Type", "application/json")
	}
	for i := 0; i+1 < len(header); i += 2 {
		if header[i+1] == "" {
			req.Header.Del(header[i])
			continue
		}
		req.Header.Set(header[i], header[i+1])
		if header[i] == "Host" {
			req.Host = header[i+1]
		}
	}
	resp, err := w.http.Client().Do(req)
	if err != nil {
		w.t.Fatal(err)
	}
	defer func() { _ = resp.Body.Close() }()
	got, err := io.ReadAll(resp.Body)
	if err != nil {
		w.t.Fatal(err)
	}
	a := reply{resp.StatusCode, resp.Header, bytes.TrimSpace(got)}
	check(w.t, method, path, a)
	return a
}

// Plans.
const (
	baking = `
apiVersion: serin/v1
target: chat
baseline: {version: "1.4.0"}
candidate: {version: "1.5.0"}
strategy: {canary: {weights: [5%, 50%], bake: 24h}}
`
	approving = `
apiVersion: serin/v1
target: chat
baseline: {version: "1.4.0"}
candidate: {version: "1.5.0", digest: "sha256:5f0c"}
strategy: {canary: {weights: [5%], bake: 24h, approve: {roles: [sre, developer], four_eyes: true, mfa: 5m}}}
`
)

// begin starts a plan as ana and waits until the rollout is in a phase.
func (w *world) begin(plan string, phase strategies.Phase) rollout.ID {
	w.t.Helper()
	id, err := w.as("ana").Start(w.t.Context(), plan, "")
	if err != nil {
		w.t.Fatal(err)
	}
	w.until(rollout.ID(id), phase)
	return rollout.ID(id)
}

// ask has a rollout that bakes go on to the stage that asks for an approval.
func (w *world) ask(id rollout.ID) {
	w.t.Helper()
	r, _, err := w.as("ben").Rollout(w.t.Context(), string(id), 0)
	if err == nil {
		err = w.as("ben").Do(w.t.Context(), string(id), client.Order{Command: "promote", IfSeq: r.Changed})
	}
	if err != nil {
		w.t.Fatal(err)
	}
	w.until(id, strategies.Approving)
}

// until waits until a rollout is in a phase.
func (w *world) until(id rollout.ID, phase strategies.Phase) rollout.Status {
	w.t.Helper()
	for {
		changed := w.engine.Changed(id.Target())
		st, err := w.engine.Status(w.t.Context(), id)
		if err != nil {
			w.t.Fatal(err)
		}
		if st.Phase == phase {
			return st
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

// named returns the name of an error that is a problem, or "".
func named(err error) string {
	var p *client.Problem
	if !errors.As(err, &p) {
		return ""
	}
	return p.Name()
}

// limited sets how many changes a second a person may ask for.
func limited(n int) option {
	return func(_ *world, _ *rollout.Config, server *api.Config) { server.Limits.Changes = n }
}

// loopback returns the networks of this machine.
func loopback() []netip.Prefix {
	return []netip.Prefix{netip.MustParsePrefix("127.0.0.0/8"), netip.MustParsePrefix("::1/128")}
}

// plan reads a plan file.
func plan(t testing.TB, text string) rollout.Plan {
	t.Helper()
	p, err := planfile.Read("plan.yaml", []byte(text))
	if err != nil {
		t.Fatal(err)
	}
	return p
}

// etag returns the ETag of a rollout.
func etag(t *testing.T, w *world, id rollout.ID) string {
	t.Helper()
	return w.send("ben", "GET", "/rollouts/"+string(id), "").header.Get("ETag")
}

// invalid counts the mistakes that an error names.
func invalid(err error) int {
	n := 0
	for range checks.Invalid(err) {
		n++
	}
	return n
}
