package api_test

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/serin-go/serin/checks"
	"github.com/serin-go/serin/checks/checklist"
	"github.com/serin-go/serin/checks/health"
	"github.com/serin-go/serin/rollout"
	"github.com/serin-go/serin/rollout/alert"
	"github.com/serin-go/serin/rollout/audit"
	"github.com/serin-go/serin/rollout/console/api"
	"github.com/serin-go/serin/rollout/console/client"
	"github.com/serin-go/serin/rollout/ledger"
	"github.com/serin-go/serin/strategies"
	"golang.org/x/mod/sumdb/note"
)

// TestAudit: the audit trail is verified and exported, and a proof of one event holds against
// its checkpoint.
func TestAudit(t *testing.T) {
	var public string
	w := newWorld(t, func(w *world, _ *rollout.Config, s *api.Config) {
		private, verifier, err := note.GenerateKey(nil, "serin.test")
		if err != nil {
			t.Fatal(err)
		}
		public = verifier
		if s.Signer, err = note.NewSigner(private); err != nil {
			t.Fatal(err)
		}
	})
	verifier, err := note.NewVerifier(public)
	if err != nil {
		t.Fatal(err)
	}
	id := string(w.begin(baking, strategies.Baking))
	ben := w.as("ben")
	v, err := ben.Verify(t.Context(), "chat")
	if err != nil || !v.Sound || v.Events < 2 || v.Root == "" {
		t.Fatalf("%+v %v", v, err)
	}
	export, err := ben.Export(t.Context(), "chat")
	if err != nil {
		t.Fatal(err)
	}
	body, err := io.ReadAll(export)
	_ = export.Close()
	if err != nil {
		t.Fatal(err)
	}
	log, err := audit.ReadJSONL(bytes.NewReader(body))
	if err != nil || log.Verify() != nil || log.Len() != v.Events {
		t.Fatalf("%v %v", err, log.Verify())
	}
	checkpoint, err := ben.Checkpoint(t.Context(), "chat")
	if err != nil || log.Extends(checkpoint, verifier) != nil {
		t.Fatalf("%s %v", checkpoint, err)
	}
	proof, err := ben.Prove(t.Context(), id, 1)
	if err != nil {
		t.Fatal(err)
	}
	var inclusion audit.Inclusion
	if err := json.Unmarshal(proof.Inclusion, &inclusion); err != nil {
		t.Fatal(err)
	}
	if err := inclusion.Check([]byte(proof.Checkpoint), verifier); err != nil {
		t.Error(err)
	}
	if text, err := ben.Explain(t.Context(), id, 1); err != nil || !strings.Contains(text, id+" event 1") {
		t.Errorf("%s %v", text, err)
	}
	for _, path := range []string{"/audit/chat/verify", "/audit/chat/export", "/audit/chat/checkpoint", "/rollouts/chat/1/events/1/proof"} {
		if a := w.send("cleo", "GET", path, ""); a.problem(t).Name() != client.Forbidden {
			t.Errorf("%s without the right: %d %s", path, a.status, a.body)
		}
	}
	entry, err := w.store.Get(t.Context(), "audit/chat/1/0000000001")
	if err != nil {
		t.Fatal(err)
	}
	if _, err := w.store.Put(t.Context(), entry.Key, bytes.Replace(entry.Value, []byte(`"ana"`), []byte(`"eve"`), 1), entry.Revision); err != nil {
		t.Fatal(err)
	}
	if v, err = ben.Verify(t.Context(), "chat"); err != nil || v.Sound || len(v.Problems) == 0 {
		t.Errorf("an altered trail: %+v %v", v, err)
	}
}

// TestChecklist: people see what is missing, vouch, waive and withdraw.
func TestChecklist(t *testing.T) {
	proved := map[string]time.Time{"ben": time.Now()}
	w := newWorld(t, withLedger, func(_ *world, _ *rollout.Config, s *api.Config) { s.Who = tokens(t, proved) })
	id := string(w.begin(approving, strategies.Baking))
	state := func(item string) string {
		t.Helper()
		list, err := w.as("cleo").Checklist(t.Context(), "release", id)
		if err != nil {
			t.Fatal(err)
		}
		for _, i := range list.Sections[0].Items {
			if i.ID == item {
				return i.State
			}
		}
		return "missing"
	}
	if s := state("evals") + " " + state("privacy") + " " + state("pen-test"); s != "pass unknown unknown" {
		t.Error(s)
	}
	seq, err := w.as("ana").Vouch(t.Context(), "release", "privacy", client.Vouching{Rollout: id, Reason: "reviewed"}, "1")
	if err != nil || state("privacy") != "pass" {
		t.Fatal(seq, err, state("privacy"))
	}
	again, err := w.as("ana").Vouch(t.Context(), "release", "privacy", client.Vouching{Rollout: id, Reason: "reviewed"}, "1")
	if err != nil || again != seq {
		t.Errorf("repeated: %d %v, want %d", again, err, seq)
	}
	if _, err := w.as("cleo").Vouch(t.Context(), "release", "privacy", client.Vouching{Rollout: id}, ""); named(err) != client.Forbidden {
		t.Errorf("without the right: %v", err)
	}
	if _, err := w.as("ben").Vouch(t.Context(), "release", "pen-test", client.Vouching{Rollout: id}, ""); err != nil {
		t.Error(err)
	}
	if err := w.as("ana").Withdraw(t.Context(), seq, "found something"); named(err) != client.Forbidden {
		t.Errorf("without the right: %v", err)
	}
	if err := w.as("ben").Withdraw(t.Context(), seq, "found something"); err != nil || state("privacy") == "pass" {
		t.Error(err, state("privacy"))
	}
	waiver := client.Waiver{Rollout: id, Reason: "the reviewer is away until Monday", Until: time.Now().Add(24 * time.Hour)}
	if _, err := w.as("ben").Waive(t.Context(), "release", "privacy", waiver, ""); err != nil || state("privacy") != "waived" {
		t.Error(err, state("privacy"))
	}
	waiver.Until = time.Time{}
	if _, err := w.as("ben").Waive(t.Context(), "release", "privacy", waiver, ""); named(err) != client.InvalidRequest {
		t.Errorf("without an end: %v", err)
	}
	for _, path := range []string{"/checklists/other", "/checklists/release?rollout=chat/9"} {
		if a := w.send("ben", "GET", path, ""); a.status != 404 {
			t.Errorf("%s: %d %s", path, a.status, a.body)
		}
	}
	for e, err := range w.ledger.Entries(t.Context()) {
		if err != nil || e.Kind == ledger.Kind(checklist.Looked) {
			t.Errorf("reading a checklist has written %+v %v", e, err)
		}
	}
}

// TestStepUp: C15, as far as the API goes: an old second factor is asked for again, and the same
// vote counts then.
func TestStepUp(t *testing.T) {
	proved := map[string]time.Time{"ben": time.Now().Add(-10 * time.Minute)}
	w := newWorld(t, withLedger, func(_ *world, _ *rollout.Config, s *api.Config) { s.Who = tokens(t, proved) })
	id := w.begin(approving, strategies.Baking)
	w.ask(id)
	_, err := w.as("ben").Vouch(t.Context(), "release", "pen-test", client.Vouching{Rollout: string(id)}, "")
	var p *client.Problem
	if !errors.As(err, &p) || p.Name() != client.StepUpRequired || time.Duration(p.MaxAge) != 5*time.Minute {
		t.Errorf("a vote with an old factor: %v", err)
	}
	r, _, err := w.as("ben").Rollout(t.Context(), string(id), 0)
	if err != nil {
		t.Fatal(err)
	}
	order := client.Order{Command: "approve", IfSeq: r.Changed, OfPlan: r.Digest, Key: "approval"}
	if err := w.as("ben").Do(t.Context(), string(id), order); !errors.As(err, &p) || p.Name() != client.StepUpRequired {
		t.Fatalf("an approval with an old factor: %v", err)
	}
	// ana has started it: a fresh factor would not help her.
	if err := w.as("ana").Do(t.Context(), string(id), order); named(err) != client.Refused {
		t.Errorf("four eyes: %v", err)
	}
	wrong := order
	wrong.OfPlan, wrong.Key = "another", ""
	if err := w.as("ben").Do(t.Context(), string(id), wrong); named(err) != client.Conflict {
		t.Errorf("an approval of another plan: %v", err)
	}
	fresh, err := api.New(api.Config{Engine: w.engine, Store: w.store, Who: tokens(t, map[string]time.Time{"ben": time.Now()}), May: policyOf(t).Authorize})
	if err != nil {
		t.Fatal(err)
	}
	w.http.Config.Handler = fresh
	if err := w.as("ben").Do(t.Context(), string(id), order); err != nil {
		t.Errorf("the same approval with a fresh factor: %v", err)
	}
}

// TestOperations: alerts, silences, tests of receivers, health and panels.
func TestOperations(t *testing.T) {
	w := newWorld(t, func(w *world, engine *rollout.Config, s *api.Config) {
		manager, err := alert.New(alert.Config{
			Store: w.store, Authorize: engine.Authorize,
			Receivers: map[string]alert.Notifier{"log": alert.NotifierFunc(func(context.Context, alert.Notification) error { return nil })},
		})
		if err != nil {
			t.Fatal(err)
		}
		for _, target := range []string{"chat", "rank"} {
			if err := manager.Set(t.Context(), alert.Alert{Name: "RolloutHeld", Labels: map[string]string{"target": target}, Severity: alert.Critical, Summary: "held \u202e" + target}); err != nil {
				t.Fatal(err)
			}
		}
		s.Alerts = manager
		if s.Health, err = health.New(health.Config{Components: []health.Component{{Name: "store", Check: checks.Func(func(context.Context) checks.Result { return checks.Result{Status: checks.Pass} })}}}); err != nil {
			t.Fatal(err)
		}
		s.Panels = map[string]func(context.Context, string) (any, error){
			"versions": func(context.Context, string) (any, error) { return []string{"1.4.0"}, nil },
			"load": func(_ context.Context, id string) (any, error) {
				if id != "7" {
					return nil, fmt.Errorf("no report: %w", rollout.ErrNotFound)
				}
				return map[string]int{"report": 7}, nil
			},
		}
	})
	all, err := w.as("ben").Alerts(t.Context())
	if err != nil || len(all.Firing) != 2 || strings.Contains(all.Firing[0].Summary, "\u202e") {
		t.Errorf("%+v %v", all, err)
	}
	some, err := w.as("eve").Alerts(t.Context())
	if err != nil || len(some.Firing) != 1 || some.Firing[0].Labels["target"] != "rank" {
		t.Errorf("%+v %v", some, err)
	}
	silence := client.Silence{Match: map[string]string{"target": "chat"}, To: time.Now().Add(time.Hour), Reason: "known"}
	if _, err := w.as("ana").Silence(t.Context(), silence, ""); named(err) != client.Forbidden {
		t.Errorf("without the right: %v", err)
	}
	begun, err := w.as("ben").Silence(t.Context(), silence, "")
	if err != nil || begun.NeedsSecond {
		t.Fatal(begun, err)
	}
	id := begun.ID
	if all, err = w.as("ben").Alerts(t.Context()); err != nil || len(all.Silences) != 1 || all.Silences[0].ID != id || all.Silences[0].By.Name != "ben" {
		t.Errorf("%+v %v", all.Silences, err)
	}
	if err := w.as("eve").Unsilence(t.Context(), id); named(err) != client.NotFound {
		t.Errorf("a silence of a target that may not be read: %v", err)
	}
	if err := w.as("ben").Unsilence(t.Context(), id); err != nil {
		t.Error(err)
	}
	silence.To = time.Now().Add(20 * 24 * time.Hour)
	if long, err := w.as("ben").Silence(t.Context(), silence, ""); err != nil || !long.NeedsSecond {
		t.Errorf("20 days by one person: %+v %v", long, err)
	}
	long, err := w.as("ben").Silence(t.Context(), silence, "")
	if err != nil {
		t.Fatal(err)
	}
	for _, c := range []struct{ person, id, want string }{
		{"ana", long.ID, client.Forbidden}, {"cleo", long.ID, client.Forbidden}, {"eve", long.ID, client.NotFound}, {"ben", long.ID, client.Refused},
		{"fay", "nothing", client.NotFound}, {"fay", id, client.Refused}, {"fay", long.ID, ""}, {"fay", long.ID, ""},
	} {
		if err := w.as(c.person).Second(t.Context(), c.id, ""); named(err) != c.want || err != nil && c.want == "" {
			t.Errorf("%s agrees: %v, want %q", c.person, err, c.want)
		}
	}
	if all, err = w.as("ben").Alerts(t.Context()); err != nil || !slices.ContainsFunc(all.Silences, func(s client.Silence) bool { return s.ID == long.ID && s.Seconded.Name == "fay" }) {
		t.Errorf("%+v %v", all.Silences, err)
	}
	if got, err := w.as("ben").TestReceiver(t.Context(), "log"); err != nil || got.Accepted.IsZero() {
		t.Errorf("%+v %v", got, err)
	}
	if _, err := w.as("ben").TestReceiver(t.Context(), "nowhere"); named(err) != client.InvalidRequest {
		t.Errorf("%v", err)
	}
	if h, err := w.as("ben").Health(t.Context()); err != nil || len(h.Components) != 1 || h.Components[0].Status != "unknown" {
		t.Errorf("%+v %v", h, err)
	}
	if v, err := w.as("cleo").Panel(t.Context(), "versions", ""); err != nil || string(v) != `["1.4.0"]`+"\n" && string(v) != `["1.4.0"]` {
		t.Errorf("%s %v", v, err)
	}
	if _, err := w.as("cleo").Panel(t.Context(), "load", "8"); named(err) != client.NotFound {
		t.Errorf("%v", err)
	}
	if _, err := w.as("eve").Panel(t.Context(), "versions", ""); named(err) != client.NotFound {
		t.Errorf("without the right: %v", err)
	}
	if _, err := w.as("cleo").Panel(t.Context(), "feedback", ""); named(err) != client.NotFound {
		t.Errorf("a panel that is not configured: %v", err)
	}
}

// TestMayStart: a plan is judged as its start would be, before and while a rollout is active, and
// nothing is started or recorded.
func TestMayStart(t *testing.T) {
	w := newWorld(t, func(_ *world, engine *rollout.Config, _ *api.Config) {
		engine.Demands = func(target string) rollout.Demand {
			if target == "search" {
				return rollout.Demand{Preflight: []string{"ready"}}
			}
			return rollout.Demand{}
		}
	})
	plans := map[string]string{
		"good": baking, "another target": strings.Replace(baking, "chat", "void", 1), "hidden": strings.Replace(baking, "chat", "rank", 1),
		"weak": strings.Replace(baking, "chat", "search", 1), "unbound check": baking + "preflight: [evals]\n", "supersedes": baking + "supersede: true\n",
		"other baseline": strings.Replace(baking, "1.4.0", "1.3.0", 1), "without demands": baking + "dangerously_without_demands: haste\n",
	}
	judge := func(when string, want map[string]string) {
		t.Helper()
		for _, person := range []string{"ana", "ben", "cleo", "eve"} {
			for name, text := range plans {
				_, err := w.as(person).MayStart(t.Context(), text)
				if said, ok := want[person+" "+name]; ok && named(err) != said || !ok && err == nil {
					t.Errorf("%s, %s, %s: %v, want %q", when, person, name, err, said)
				}
			}
		}
	}
	first := map[string]string{"ana good": "", "ben good": "", "cleo good": client.Forbidden, "eve good": client.NotFound, "ana hidden": client.NotFound, "ben hidden": "", "eve hidden": "",
		"ben another target": client.InvalidPlan, "ben weak": client.InvalidPlan, "ben unbound check": client.InvalidPlan, "ana supersedes": "", "ben supersedes": "",
		"ana other baseline": "", "ben other baseline": "", "ana without demands": client.Forbidden, "ben without demands": ""}
	judge("before", first)
	if names, err := w.engine.Rollouts(t.Context(), "chat", "", 10); err != nil || len(names) > 0 {
		t.Errorf("something was started: %v %v", names, err)
	}
	id := w.begin(baking, strategies.Baking)
	changed := w.until(id, strategies.Baking).Seq
	judge("active", map[string]string{"ana good": client.Busy, "ben good": client.Busy, "ana supersedes": client.Forbidden, "ben supersedes": "",
		"ben other baseline": client.Busy, "ben without demands": client.Busy, "ben hidden": "", "eve hidden": "", "cleo good": client.Forbidden, "eve good": client.NotFound})
	if got := w.until(id, strategies.Baking).Seq; got < changed {
		t.Errorf("event %d after %d", got, changed)
	}
	if err := w.as("ben").Do(t.Context(), string(id), client.Order{Command: "abort"}); err != nil {
		t.Fatal(err)
	}
	w.until(id, strategies.Aborted)
	first["ana other baseline"], first["ben other baseline"] = client.InvalidPlan, client.InvalidPlan // 1.4.0 serves
	judge("after", first)
	for _, text := range []string{baking, plans["unbound check"]} { // it says what a start says
		_, beforehand := w.as("ben").MayStart(t.Context(), text)
		if _, err := w.as("ben").Start(t.Context(), text, ""); named(err) != named(beforehand) {
			t.Errorf("a start: %v, judged as %v", err, beforehand)
		}
	}
	if a := w.send("ben", "POST", "/plans/validate?start=yes", baking, "Idempotency-Key", "1", "Content-Type", "application/yaml"); a.problem(t).Name() != client.InvalidRequest {
		t.Errorf("%d %s", a.status, a.body)
	}
}

// TestPlans: validate, forecast and diff store nothing.
func TestPlans(t *testing.T) {
	w := newWorld(t)
	cleo := w.as("cleo")
	v, err := cleo.Validate(t.Context(), baking)
	if err != nil || v.Target != "chat" || len(v.Stages) != 3 || v.Stages[0].Share.Text != "5%" {
		t.Fatalf("%+v %v", v, err)
	}
	if again, err := cleo.Validate(t.Context(), v.Plan); err != nil || again.Digest != v.Digest {
		t.Errorf("the canonical plan has another digest: %v", err)
	}
	f, err := cleo.Forecast(t.Context(), baking, 100)
	if err != nil || len(f.Stages) != 3 || f.Expected <= 0 || f.Text == "" {
		t.Errorf("%+v %v", f, err)
	}
	if _, err := cleo.Forecast(t.Context(), baking, -1); named(err) != client.InvalidRequest {
		t.Error(err)
	}
	d, err := w.as("ana").Diff(t.Context(), baking, "")
	if err != nil || d.Against != "" || d.Equal || len(d.Lines) == 0 {
		t.Errorf("%+v %v", d, err)
	}
	id := string(w.begin(baking, strategies.Baking))
	if d, err = w.as("ana").Diff(t.Context(), baking, id); err != nil || !d.Equal || d.Against != id {
		t.Errorf("%+v %v", d, err)
	}
	other := strings.Replace(baking, "bake: 24h", "bake: 12h", 1)
	if d, err = w.as("ana").Diff(t.Context(), other, id); err != nil || d.Equal || len(d.Changes) == 0 {
		t.Errorf("%+v %v", d, err)
	}
	if _, err := w.as("eve").Diff(t.Context(), baking, id); named(err) != client.NotFound {
		t.Errorf("a difference to a plan that may not be read: %v", err)
	}
	text, err := cleo.Plan(t.Context(), id)
	if err != nil {
		t.Fatal(err)
	}
	if v, err := cleo.Validate(t.Context(), string(text)); err != nil || v.Target != "chat" {
		t.Errorf("%s %v", text, err)
	}
}
