package ledger_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"golang.org/x/mod/sumdb/note"

	"github.com/serin-go/serin/checks"
	"github.com/serin-go/serin/checks/checklist"
	"github.com/serin-go/serin/rollout"
	"github.com/serin-go/serin/rollout/audit"
	"github.com/serin-go/serin/rollout/ledger"
	"github.com/serin-go/serin/rollout/memstore"
	"github.com/serin-go/serin/strategies"
	"github.com/serin-go/serin/versioning"
)

const (
	digestA = "sha256:aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa"
	digestB = "sha256:bbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbb"
	day     = 24 * time.Hour
)

var (
	subject = checks.Subject{Rollout: "chat/1", Target: "chat", Candidate: "1.5.0", Digest: digestA, Plan: "sha256:9c", Starter: "sub-ben"}
	pia     = rollout.Actor{Name: "pia", Subject: "sub-pia", Roles: []string{"privacy"}}
	ana     = rollout.Actor{Name: "ana", Subject: "sub-ana", Roles: []string{"sre"}}
	ben     = rollout.Actor{Name: "ben", Subject: "sub-ben", Roles: []string{"developer", "privacy"}}
)

func list(t *testing.T) *checklist.List {
	t.Helper()
	l, err := checklist.New("deployment", checklist.Section{Name: "security", Items: []checklist.Item{
		{ID: "tuning", Owner: "ben", Check: checks.Func(func(context.Context) checks.Result {
			return checks.Result{Status: checks.Fail, Summary: "PSI 0.31"}
		})},
		{ID: "encryption", Owner: "eve", Firm: true, Valid: time.Hour, Check: checks.Func(func(context.Context) checks.Result {
			return checks.Result{Status: checks.Pass, Summary: "TLS 1.3"}
		})},
		{ID: "compliance", Owner: "pia", Attest: &checklist.Attest{Rules: checklist.By("privacy"), Others: true}},
		{ID: "proof", Owner: "pia", Level: checklist.Info, Attest: &checklist.Attest{Proof: true, MFA: time.Hour}},
	}})
	if err != nil {
		t.Fatal(err)
	}
	return l
}

func open(t *testing.T, c ledger.Config) *ledger.Ledger {
	t.Helper()
	if c.Store == nil {
		c.Store = new(memstore.Store)
	}
	c.Logger = slog.New(slog.DiscardHandler)
	l, err := ledger.Open(t.Context(), c)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { l.Close() })
	return l
}

func entries(t *testing.T, l *ledger.Ledger) (all []ledger.Entry) {
	t.Helper()
	for e, err := range l.Entries(t.Context()) {
		if err != nil {
			t.Fatal(err)
		}
		all = append(all, e)
	}
	return all
}

func TestLedgerCarriesAList(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		checklists := list(t)
		store := new(memstore.Store)
		l := open(t, ledger.Config{Store: store})
		l.Use(checklists, nil)
		ready := checklists.Check(l)
		ctx := checks.WithSubject(t.Context(), subject)
		look := func(want checks.Status) checks.Result {
			t.Helper()
			r := ready.Check(ctx)
			if r.Status != want {
				t.Errorf("%v, want %v: %s %v", r.Status, want, r.Summary, r.Err)
			}
			return r
		}
		look(checks.Fail)
		w, err := l.Waive(ctx, ledger.Waiver{Item: "tuning", Subject: subject, Reason: "retuning is planned for the next sprint", Until: time.Now().Add(14 * day)}, pia)
		if err != nil {
			t.Fatal(err)
		}
		look(checks.Fail)
		v, err := l.Vouch(ctx, "compliance", subject, ledger.Proof{Reason: "reviewed"}, pia)
		if err != nil {
			t.Fatal(err)
		}
		r := look(checks.Warn) // one is waived
		report, err := l.Report(ctx, r.Evidence["report"])
		if err != nil || report.Sum() != r.Evidence["report"] || len(report.Sections) != 1 {
			t.Errorf("report %+v, %v", report, err)
		}
		if _, err := l.Report(ctx, digestB); !errors.Is(err, rollout.ErrNotFound) {
			t.Errorf("%v, want ErrNotFound", err)
		}

		// Another process, and a restart, see the same.
		other := open(t, ledger.Config{Store: store})
		if r := checklists.Check(other).Check(ctx); r.Status != checks.Warn {
			t.Errorf("%+v", r)
		}
		if err := other.Withdraw(ctx, v.Seq, "the DPIA was withdrawn", ana); err != nil {
			t.Fatal(err)
		}
		look(checks.Fail)
		if _, err := l.Vouch(ctx, "compliance", subject, ledger.Proof{Reject: true, Reason: "no DPIA"}, pia); err != nil {
			t.Fatal(err)
		}
		if r := look(checks.Fail); !strings.Contains(r.Summary, "no DPIA") {
			t.Error(r.Summary)
		}
		if err := l.Withdraw(ctx, w.Seq, "no", ana); err != nil {
			t.Fatal(err)
		}
		if err := errors.Join(l.Verify(ctx), other.Verify(ctx)); err != nil {
			t.Error(err)
		}
		var kinds []string
		for i, e := range entries(t, l) {
			kinds = append(kinds, string(e.Kind))
			if e.Seq != uint64(i)+1 {
				t.Errorf("entry %d has number %d", i, e.Seq)
			}
		}
		if got := strings.Join(kinds, " "); got != "result waiver vote withdrawal vote withdrawal" {
			t.Error(got)
		}
	})
}

func TestBadInput(t *testing.T) {
	l := open(t, ledger.Config{MaxWaiver: 7 * day})
	l.Use(list(t))
	ctx := t.Context()
	soon := time.Now().Add(day)
	good := ledger.Waiver{Item: "tuning", Subject: subject, Reason: "retuning is planned for the next sprint", Until: soon}
	waive := func(change func(*ledger.Waiver), by rollout.Actor) error {
		w := good
		change(&w)
		_, err := l.Waive(ctx, w, by)
		return err
	}
	vouch := func(item string, s checks.Subject, p ledger.Proof, by rollout.Actor) error {
		_, err := l.Vouch(ctx, item, s, p, by)
		return err
	}
	fresh := pia
	fresh.Proved = time.Now()
	for name, c := range map[string]struct {
		err  error
		want string
	}{
		"unknown item":        {vouch("x", subject, ledger.Proof{}, pia), "item"},
		"no person vouches":   {vouch("tuning", subject, ledger.Proof{}, pia), "item"},
		"role":                {vouch("compliance", subject, ledger.Proof{}, ana), "by.Roles"},
		"starter":             {vouch("compliance", subject, ledger.Proof{}, ben), "by"},
		"no digest":           {vouch("compliance", checks.Subject{Target: "chat"}, ledger.Proof{}, pia), "Subject.Digest"},
		"rejects, silent":     {vouch("compliance", subject, ledger.Proof{Reject: true}, pia), "Proof.Reason"},
		"long":                {vouch("compliance", subject, ledger.Proof{Reason: strings.Repeat("x", 5000), Link: strings.Repeat("x", 5000)}, pia), "Proof.Reason Proof.Link"},
		"bad sum":             {vouch("compliance", subject, ledger.Proof{Sum: "sha256:1"}, pia), "Proof.Sum"},
		"no proof, no factor": {vouch("proof", subject, ledger.Proof{}, pia), "Proof.Link by.Proved"},
		"no link":             {vouch("proof", subject, ledger.Proof{Sum: digestA}, fresh), "Proof.Link"},
		"link with password":  {vouch("compliance", subject, ledger.Proof{Link: "https://user:secret@wiki.example.com/"}, pia), "Proof.Link"},
		"not a link":          {vouch("compliance", subject, ledger.Proof{Link: "javascript:alert(1)"}, pia), "Proof.Link"},
		"factor of tomorrow":  {vouch("proof", subject, ledger.Proof{Link: "https://x", Sum: digestA}, func() rollout.Actor { a := pia; a.Proved = time.Now().Add(day); return a }()), "by.Proved"},
		"no name":             {vouch("compliance", subject, ledger.Proof{}, rollout.Actor{Roles: []string{"privacy"}}), "Actor.Name"},
		"firm":                {waive(func(w *ledger.Waiver) { w.Item = "encryption" }, pia), "Waiver.Item"},
		"short reason":        {waive(func(w *ledger.Waiver) { w.Reason = "      because        " }, pia), "Waiver.Reason"},
		"no end":              {waive(func(w *ledger.Waiver) { w.Until = time.Time{} }, pia), "Waiver.Until"},
		"past":                {waive(func(w *ledger.Waiver) { w.Until = time.Now() }, pia), "Waiver.Until"},
		"too long":            {waive(func(w *ledger.Waiver) { w.Until = time.Now().Add(8 * day) }, pia), "Waiver.Until"},
		"own waiver":          {waive(func(w *ledger.Waiver) { w.Item = "compliance" }, ben), "by"},
		"all":                 {waive(func(w *ledger.Waiver) { *w = ledger.Waiver{} }, rollout.Actor{}), "Waiver.Reason Waiver.Until Waiver.Item Actor.Name"},
		"withdraw nothing":    {l.Withdraw(ctx, 99, "why", pia), "seq"},
		"withdraw, silent":    {l.Withdraw(ctx, 99, "", pia), "why seq"},
		"note":                {l.Note(ctx, "", func() {}, pia), "name what"},
		"long note":           {l.Note(ctx, "x", strings.Repeat("x", 65<<10), pia), "what"},
		"not a result":        {l.Keep(ctx, checklist.Record{Kind: checklist.Vote, Item: "compliance"}), "Record.Kind"},
		"report":              {l.KeepReport(ctx, "x", nil), "sum"},
	} {
		var fields []string
		for e := range checks.Invalid(c.err) {
			fields = append(fields, e.Field)
		}
		if got := strings.Join(fields, " "); got != c.want {
			t.Errorf("%s: %s, want %s: %v", name, got, c.want, c.err)
		}
	}
	if all := entries(t, l); len(all) != 0 {
		t.Errorf("%+v", all)
	}
	bad := ledger.Config{Name: "A b", MaxWaiver: -1, Key: "x", Anchor: audit.Dir(""), Targets: []string{"chat", "chat", ""}}
	_, err := ledger.Open(ctx, bad)
	var fields []string
	for e := range checks.Invalid(err) {
		fields = append(fields, strings.TrimPrefix(e.Field, "Config."))
	}
	if got := strings.Join(fields, " "); got != "Store Name MaxWaiver Key Signer Targets[1] Targets[2]" {
		t.Error(got)
	}
}

func TestRights(t *testing.T) {
	l := open(t, ledger.Config{Authorize: rollout.Roles{"privacy": {ledger.ActionAttest, ledger.ActionWaive}}.Authorize})
	if _, err := l.Vouch(t.Context(), "x", subject, ledger.Proof{}, pia); err != nil {
		t.Error(err)
	}
	var forbidden *rollout.ForbiddenError
	if _, err := l.Vouch(t.Context(), "x", subject, ledger.Proof{}, ana); !errors.As(err, &forbidden) || forbidden.Action != ledger.ActionAttest {
		t.Errorf("%v", err)
	}
	if err := l.Withdraw(t.Context(), 1, "why", pia); !errors.As(err, &forbidden) || forbidden.Action != ledger.ActionWithdraw {
		t.Errorf("%v", err)
	}
	if err := l.Close(); err != nil {
		t.Fatal(err)
	}
	refused := 0
	for _, e := range entries(t, l) {
		if e.Refused != nil && e.Refused.Rule == "authorize" {
			refused += e.Refused.Count
		}
	}
	if refused != 2 {
		t.Errorf("%d refusals are recorded, want 2", refused)
	}
}

// TestManyWriters: several processes write one chain.
func TestManyWriters(t *testing.T) {
	store := new(memstore.Store)
	const writers, each = 4, 25
	var all sync.WaitGroup
	for w := range writers {
		l := open(t, ledger.Config{Store: store})
		all.Go(func() {
			for i := range each {
				if err := l.Note(t.Context(), "note", fmt.Sprint(w, i), pia); err != nil {
					t.Error(err)
				}
			}
		})
	}
	all.Wait()
	l := open(t, ledger.Config{Store: store})
	seen := make(map[string]bool)
	for _, e := range entries(t, l) {
		seen[string(e.Note)] = true
	}
	if len(seen) != writers*each {
		t.Errorf("%d different entries, want %d", len(seen), writers*each)
	}
	if err := l.Verify(t.Context()); err != nil {
		t.Error(err)
	}
}

// unreliable is a store whose next Put fails, before or after it has taken effect.
type unreliable struct {
	rollout.Store
	mu            sync.Mutex
	before, after error
}

func (u *unreliable) fail(before, after error) {
	u.mu.Lock()
	defer u.mu.Unlock()
	u.before, u.after = before, after
}

func (u *unreliable) Put(ctx context.Context, key string, value []byte, prev rollout.Revision) (rollout.Revision, error) {
	u.mu.Lock()
	defer u.mu.Unlock()
	if u.before != nil {
		return "", u.before
	}
	rev, err := u.Store.Put(ctx, key, value, prev)
	return rev, errors.Join(err, u.after)
}

func TestStoreFails(t *testing.T) {
	oops := errors.New("disk")
	u := &unreliable{Store: new(memstore.Store)}
	l := open(t, ledger.Config{Store: u})
	ctx := t.Context()
	if _, err := l.Vouch(ctx, "x", subject, ledger.Proof{}, pia); err != nil {
		t.Fatal(err)
	}
	u.fail(oops, nil)
	if _, err := l.Vouch(ctx, "y", subject, ledger.Proof{}, pia); !errors.Is(err, oops) {
		t.Errorf("%v, want the error of the store", err)
	}
	if r, err := l.Records(ctx, "y"); err != nil || len(r) != 0 {
		t.Errorf("%+v, %v: a vote that was not written", r, err)
	}
	u.fail(nil, oops)
	if r, err := l.Vouch(ctx, "z", subject, ledger.Proof{}, pia); err != nil || r.Seq != 2 {
		t.Errorf("%+v, %v: the entry is in the store", r, err)
	}
	u.fail(nil, nil)
	gone, cancel := context.WithCancel(ctx)
	cancel()
	if _, err := l.Vouch(gone, "x", subject, ledger.Proof{}, pia); !errors.Is(err, context.Canceled) {
		t.Errorf("%v", err)
	}
	if err := l.Verify(ctx); err != nil {
		t.Error(err)
	}
}

// overwrite replaces or deletes what is under a key.
func overwrite(t *testing.T, s rollout.Store, key string, value []byte) {
	t.Helper()
	e, err := s.Get(t.Context(), key)
	if err == nil && value == nil {
		err = s.Delete(t.Context(), key, e.Revision)
	} else if err == nil {
		_, err = s.Put(t.Context(), key, value, e.Revision)
	}
	if err != nil {
		t.Fatal(err)
	}
}

func stored(t *testing.T, s rollout.Store) (all []rollout.Entry) {
	t.Helper()
	for e, err := range s.List(t.Context(), "ledger/main/") {
		if err != nil {
			t.Fatal(err)
		}
		all = append(all, e)
	}
	return all
}

// TestTampering: each bit of each entry that is flipped is found, and so are entries that
// are missing, exchanged, or from another ledger. Then no record counts.
func TestTampering(t *testing.T) {
	store := new(memstore.Store)
	l := open(t, ledger.Config{Store: store})
	ctx := t.Context()
	for _, item := range []string{"a", "b", "c"} {
		if _, err := l.Vouch(ctx, item, subject, ledger.Proof{}, pia); err != nil {
			t.Fatal(err)
		}
	}
	all := stored(t, store)
	found := func(what string) {
		t.Helper()
		var tampered *ledger.TamperError
		if err := l.Verify(ctx); !errors.As(err, &tampered) {
			t.Errorf("%s: %v, want a TamperError", what, err)
		}
		if r := l.Intact().Check(ctx); r.Status != checks.Fail {
			t.Errorf("%s: the check gives %v", what, r.Status)
		}
		if _, err := ledger.Open(ctx, ledger.Config{Store: store}); !errors.As(err, &tampered) && what != "the last is missing" {
			t.Errorf("%s: Open gives %v, want a TamperError", what, err)
		}
	}
	for _, e := range all {
		for i := range e.Value {
			for bit := range 8 {
				altered := bytes.Clone(e.Value)
				altered[i] ^= 1 << bit
				overwrite(t, store, e.Key, altered)
				var tampered *ledger.TamperError
				if err := l.Verify(ctx); !errors.As(err, &tampered) {
					t.Fatalf("bit %d of byte %d of %s: %v, want a TamperError", bit, i, e.Key, err)
				}
			}
		}
		overwrite(t, store, e.Key, e.Value[:len(e.Value)-1])
		found("a byte is missing")
		overwrite(t, store, e.Key, e.Value)
	}
	overwrite(t, store, all[0].Key, all[1].Value)
	overwrite(t, store, all[1].Key, all[0].Value)
	found("two are exchanged")
	overwrite(t, store, all[0].Key, all[0].Value)
	overwrite(t, store, all[1].Key, all[1].Value)
	if err := l.Verify(ctx); err != nil {
		t.Fatal(err)
	}
	if r := l.Intact().Check(ctx); r.Status != checks.Pass || !strings.Contains(r.Summary, "3 entries") {
		t.Errorf("%+v", r)
	}
	overwrite(t, store, all[1].Key, nil)
	found("one is missing")
	if _, err := store.Put(ctx, all[1].Key, all[1].Value, ""); err != nil {
		t.Fatal(err)
	}
	overwrite(t, store, all[2].Key, nil)
	found("the last is missing")

	// An entry that another process forges is not believed, and nothing else afterwards.
	if _, err := store.Put(ctx, all[2].Key, all[2].Value, ""); err != nil {
		t.Fatal(err)
	}
	forged := bytes.Replace(all[2].Value, []byte(`{"seq":3`), []byte(`{"seq":4`), 1)
	if _, err := store.Put(ctx, strings.Replace(all[2].Key, "3", "4", 1), forged, ""); err != nil {
		t.Fatal(err)
	}
	var tampered *ledger.TamperError
	if _, err := l.Records(ctx, "a"); !errors.As(err, &tampered) || tampered.Seq != 4 {
		t.Errorf("%v, want a TamperError of entry 4", err)
	}
	if _, err := l.Vouch(ctx, "a", subject, ledger.Proof{}, pia); !errors.As(err, &tampered) {
		t.Errorf("%v, want a TamperError", err)
	}
}

// TestAnchor: a ledger that was shortened, or written again as a whole, does not extend its
// checkpoint.
func TestAnchor(t *testing.T) {
	signer, verifierKey, err := note.GenerateKey(nil, "serin-test")
	if err != nil {
		t.Fatal(err)
	}
	key, err := note.NewSigner(signer)
	if err != nil {
		t.Fatal(err)
	}
	anchor := audit.Dir(t.TempDir())
	config := func(s rollout.Store) ledger.Config {
		return ledger.Config{Store: s, Signer: key, Key: verifierKey, Anchor: anchor, Logger: slog.New(slog.DiscardHandler)}
	}
	ctx := t.Context()
	store := new(memstore.Store)
	l, err := ledger.Open(ctx, config(store))
	if err != nil {
		t.Fatal(err)
	}
	for _, item := range []string{"a", "b", "c"} {
		if _, err := l.Vouch(ctx, item, subject, ledger.Proof{}, pia); err != nil {
			t.Fatal(err)
		}
	}
	if err := l.Close(); err != nil { // seals
		t.Fatal(err)
	}
	checkpoint, err := l.Checkpoint(ctx)
	if err != nil {
		t.Fatal(err)
	}
	verifier, err := note.NewVerifier(verifierKey)
	if err != nil {
		t.Fatal(err)
	}
	for seq := range uint64(5) {
		p, err := l.Prove(ctx, seq)
		if seq == 0 || seq > 3 {
			if !errors.Is(err, rollout.ErrNotFound) {
				t.Errorf("proof of entry %d: %v, want ErrNotFound", seq, err)
			}
			continue
		}
		if err := errors.Join(err, p.Check(checkpoint, verifier)); err != nil {
			t.Error(err)
		}
		p.Line = strings.Replace(p.Line, "pia", "eve", 1)
		if p.Check(checkpoint, verifier) == nil {
			t.Error("a proof of another line is believed")
		}
	}
	open(t, config(store)) // extends what was sealed
	overwrite(t, store, stored(t, store)[2].Key, nil)
	if _, err := ledger.Open(ctx, config(store)); !errors.Is(err, audit.ErrForked) {
		t.Errorf("shortened: %v, want ErrForked", err)
	}
	again := new(memstore.Store)
	forger := open(t, ledger.Config{Store: again})
	for range 4 {
		if _, err := forger.Vouch(ctx, "a", subject, ledger.Proof{}, ana); err != nil {
			t.Fatal(err)
		}
	}
	if _, err := ledger.Open(ctx, config(again)); !errors.Is(err, audit.ErrForked) {
		t.Errorf("written again: %v, want ErrForked", err)
	}
	if _, err := forger.Checkpoint(ctx); err == nil {
		t.Error("a checkpoint without a key")
	}
}

func refusal(actor string) rollout.Refusal {
	return rollout.Refusal{By: rollout.Actor{Name: actor}, Action: "promote", Target: "chat", Rule: "authorize", Reason: "no role permits it"}
}

func TestRefusals(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		l := open(t, ledger.Config{})
		for range 1000 {
			l.Refused(t.Context(), refusal("eve"))
		}
		time.Sleep(10 * time.Minute)
		all := entries(t, l)
		total := 0
		for _, e := range all {
			total += e.Refused.Count
		}
		if len(all) > 2 || total != 1000 || all[0].Refused.Targets[0] != "chat" {
			t.Errorf("%d refusals in %d entries, want 1,000 in at most 2", total, len(all))
		}
	})
}

func TestManyRefusals(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		store := new(memstore.Store)
		l := open(t, ledger.Config{Store: store})
		const all = 1_000_000
		for i := range all {
			l.Refused(t.Context(), refusal(fmt.Sprintf("actor-%d", i%5000)))
			if i%20000 == 0 {
				time.Sleep(time.Second)
			}
		}
		synctest.Wait()
		size := 0
		for _, e := range stored(t, store) {
			size += len(e.Value)
		}
		if n := len(stored(t, store)); n > 1001 || size > 1<<20 {
			t.Errorf("%d entries of %d bytes in a minute", n, size)
		}
		if err := l.Close(); err != nil {
			t.Fatal(err)
		}
		total := 0
		for _, e := range entries(t, l) {
			total += e.Refused.Count
		}
		if total != all {
			t.Errorf("%d refusals are recorded, want %d", total, all)
		}
	})
}

// TestRefusalsSurviveTheStore: what could not be written is counted on.
func TestRefusalsSurviveTheStore(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		u := &unreliable{Store: new(memstore.Store), before: errors.New("disk")}
		l := open(t, ledger.Config{Store: u})
		l.Refused(t.Context(), refusal("eve"))
		time.Sleep(90 * time.Second)
		l.Refused(t.Context(), refusal("eve"))
		synctest.Wait()
		u.fail(nil, nil)
		time.Sleep(2 * time.Minute)
		total := 0
		for _, e := range entries(t, l) {
			total += e.Refused.Count
		}
		if total != 2 {
			t.Errorf("%d refusals, want 2", total)
		}
	})
}

func TestReview(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		l := open(t, ledger.Config{})
		ctx := t.Context()
		reviewed := l.Reviewed(30 * day)
		state := func(want checks.Status) {
			t.Helper()
			if r := reviewed.Check(ctx); r.Status != want {
				t.Errorf("%v, want %v: %s %v", r.Status, want, r.Summary, r.Err)
			}
		}
		state(checks.Pass) // there is nothing
		for range 10 {
			l.Refused(ctx, refusal("eve"))
		}
		synctest.Wait()
		if _, err := l.Waive(ctx, ledger.Waiver{Item: "x", Subject: subject, Reason: "retuning is planned for the next sprint", Until: time.Now().Add(day)}, pia); err != nil {
			t.Fatal(err)
		}
		if _, err := l.Vouch(ctx, "y", subject, ledger.Proof{}, ben); err != nil {
			t.Fatal(err)
		}
		time.Sleep(30 * day)
		state(checks.Pass)
		time.Sleep(time.Second)
		state(checks.Fail)
		due, err := l.Propose(ctx)
		if err != nil || len(due.Ranges) != 1 || due.Ranges[0] != (ledger.Range{Log: ledger.Trail, To: len(entries(t, l))}) {
			t.Fatalf("%+v, %v", due, err)
		}
		if !slices.Contains(due.Sampled, "ledger/2") && !slices.Contains(due.Sampled, "ledger/1") {
			t.Errorf("the sample %q has no waiver", due.Sampled)
		}
		refused := func(r ledger.Review, by rollout.Actor, want string) {
			t.Helper()
			_, err := l.Review(ctx, r, by)
			var fields []string
			for e := range checks.Invalid(err) {
				fields = append(fields, e.Field)
			}
			if got := strings.Join(fields, " "); got != want {
				t.Errorf("%q, want %q: %v", got, want, err)
			}
		}
		due.Findings = "nothing out of the ordinary"
		to := due.Ranges[0].To
		refused(ledger.Review{}, ana, "Review.Findings Review.Ranges")
		refused(ledger.Review{Findings: "x", Ranges: []ledger.Range{{Log: ledger.Trail, From: 1, To: to}}}, ana, "Review.Ranges[0].From")
		refused(ledger.Review{Findings: "x", Ranges: []ledger.Range{{Log: ledger.Trail, To: to + 1}}}, ana, "Review.Ranges[0].To")
		refused(ledger.Review{Findings: "x", Ranges: []ledger.Range{{Log: "search", To: 1}}}, ana, "Review.Ranges[0].Log")
		refused(due, pia, "by") // who has waived
		e, err := l.Review(ctx, due, ana)
		if err != nil || e.Review.Ranges[0].Root == "" {
			t.Fatalf("%+v, %v", e, err)
		}
		state(checks.Pass)
		refused(due, ana, "Review.Ranges[0].From") // again
		if due, err = l.Propose(ctx); err != nil || len(due.Ranges) != 1 || due.Ranges[0].From != to {
			t.Errorf("%+v, %v", due, err)
		}
	})
}

// pool is a splitter that remembers its split.
type pool struct {
	mu    sync.Mutex
	split strategies.Split
}

func (p *pool) SetSplit(_ context.Context, s strategies.Split) error {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.split = s
	return nil
}

func (p *pool) weight(arm string) strategies.Weight {
	p.mu.Lock()
	defer p.mu.Unlock()
	for _, a := range p.split.Arms {
		if a.Name == arm {
			return a.Weight
		}
	}
	return 0
}

// TestWaiverLapses: while the candidate has 25 %, a waiver lapses: the rollout pauses at the
// next look, names item and waiver, keeps its split, and can be aborted.
func TestWaiverLapses(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		store := new(memstore.Store)
		checklists := list(t)
		l := open(t, ledger.Config{Store: store})
		l.Use(checklists, nil)
		p := &pool{}
		e, err := rollout.Open(t.Context(), rollout.Config{Store: store, Targets: map[string]rollout.Splitter{"chat": p},
			Checks: map[string]checks.Check{"ready": checklists.Check(l)}, Refused: l.Refused})
		if err != nil {
			t.Fatal(err)
		}
		defer e.Close()
		baseline := versioning.Release{Version: versioning.MustParse("1.4.0"), Digest: digestB}
		candidate := versioning.Release{Version: versioning.MustParse("1.5.0"), Digest: digestA}
		s := checks.Subject{Target: "chat", Digest: digestA}
		_, err1 := l.Waive(t.Context(), ledger.Waiver{Item: "tuning", Subject: s, Reason: "retuning is planned for the next sprint", Until: time.Now().Add(90 * time.Minute)}, pia)
		_, err2 := l.Vouch(t.Context(), "compliance", s, ledger.Proof{}, pia)
		if err := errors.Join(err1, err2); err != nil {
			t.Fatal(err)
		}
		id, err := e.Start(t.Context(), rollout.Plan{Target: "chat", Baseline: baseline, Candidate: candidate,
			Preflight: []string{"ready"}, Standing: []rollout.Standing{{Check: "ready"}},
			Strategy: strategies.Canary{Weights: []strategies.Weight{2500}, Bake: 3 * time.Hour, Limit: 10 * time.Hour, DangerouslyPromoteUnproven: true}}, ben)
		if err != nil {
			t.Fatal(err)
		}
		time.Sleep(time.Hour)
		st, err := e.Status(t.Context(), id)
		if err != nil || p.weight("1.5.0") != 2500 || st.Paused {
			t.Fatalf("%+v, %v, candidate at %v", st, err, p.weight("1.5.0"))
		}
		time.Sleep(32 * time.Minute)
		st, err = e.Status(t.Context(), id)
		if err != nil || !st.Paused || p.weight("1.5.0") != 2500 {
			t.Fatalf("paused %v, %v, candidate at %v", st.Paused, err, p.weight("1.5.0"))
		}
		for _, part := range []string{"tuning", "waiver of pia"} {
			if !strings.Contains(st.Reason, part) {
				t.Errorf("the reason %q does not name %q", st.Reason, part)
			}
		}
		if err := e.Do(t.Context(), id, strategies.Abort, ana); err != nil {
			t.Fatal(err)
		}
		time.Sleep(time.Minute)
		if w := p.weight("1.5.0"); w != 0 {
			t.Errorf("the candidate has %v after the abort", w)
		}
	})
}

// TestStarterCannotVouch: in a real rollout, the person who has started it cannot vouch
// under another display name.
func TestStarterCannotVouch(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		store := new(memstore.Store)
		l := open(t, ledger.Config{Store: store})
		checklists, err := checklist.New("deployment", checklist.Section{Name: "all", Items: []checklist.Item{
			{ID: "compliance", Owner: "pia", Attest: &checklist.Attest{Others: true}},
		}})
		if err != nil {
			t.Fatal(err)
		}
		e, err := rollout.Open(t.Context(), rollout.Config{Store: store, Targets: map[string]rollout.Splitter{"chat": &pool{}}, Checks: map[string]checks.Check{"ready": checklists.Check(l)}})
		if err != nil {
			t.Fatal(err)
		}
		defer e.Close()
		for _, by := range []rollout.Actor{{Name: "Benjamin", Subject: "idp|7"}, {Name: "ben"}} {
			if _, err := l.Vouch(t.Context(), "compliance", checks.Subject{Target: "chat", Digest: digestA}, ledger.Proof{}, by); err != nil {
				t.Fatal(err)
			}
		}
		id, err := e.Start(t.Context(), rollout.Plan{Target: "chat", Baseline: versioning.Release{Version: versioning.MustParse("1.4.0")},
			Candidate: versioning.Release{Version: versioning.MustParse("1.5.0"), Digest: digestA}, Preflight: []string{"ready"},
			Strategy: strategies.Canary{DangerouslyPromoteUnproven: true}}, rollout.Actor{Name: "Ben", Subject: "idp|7"})
		if err != nil {
			t.Fatal(err)
		}
		time.Sleep(time.Minute)
		if st, err := e.Status(t.Context(), id); err != nil || st.Phase != strategies.Failed {
			t.Errorf("%v, %v, want a failed preflight", st.Phase, err)
		}
	})
}

// TestRightsOfATarget: who may act for one target does nothing for another one, and nothing
// for the whole organisation.
func TestRightsOfATarget(t *testing.T) {
	checklists, err := checklist.New("deployment", checklist.Section{Name: "all", Items: []checklist.Item{
		{ID: "one", Owner: "o", Attest: &checklist.Attest{}}, {ID: "all", Owner: "o", Scope: checklist.OfOrganisation, Attest: &checklist.Attest{}},
	}})
	if err != nil {
		t.Fatal(err)
	}
	l := open(t, ledger.Config{Authorize: func(_ context.Context, _ rollout.Actor, _ rollout.Action, target string) error {
		if target != "sandbox" {
			return errors.New("only the sandbox")
		}
		return nil
	}})
	l.Use(checklists)
	sandbox := checks.Subject{Target: "sandbox", Digest: digestA}
	if _, err := l.Vouch(t.Context(), "one", sandbox, ledger.Proof{}, ana); err != nil {
		t.Fatal(err)
	}
	var forbidden *rollout.ForbiddenError
	if _, err := l.Vouch(t.Context(), "all", sandbox, ledger.Proof{}, ana); !errors.As(err, &forbidden) {
		t.Errorf("%v, want a ForbiddenError", err)
	}
	for target, want := range map[string]int{"sandbox": 1, "chat": 0} {
		r := checklists.Run(checks.WithSubject(t.Context(), checks.Subject{Target: target, Digest: digestA}), l)
		held := 0
		for _, i := range r.Sections[0].Items {
			if i.State.Holds() {
				held++
			}
		}
		if held != want {
			t.Errorf("%d items hold for %s, want %d", held, target, want)
		}
	}
}

// TestTwoLists: an item of two lists is held to what both require.
func TestTwoLists(t *testing.T) {
	lax, err := checklist.New("lax", checklist.Section{Name: "all", Items: []checklist.Item{{ID: "proof", Owner: "o", Attest: &checklist.Attest{}}, {ID: "encryption", Owner: "o", Attest: &checklist.Attest{}}}})
	if err != nil {
		t.Fatal(err)
	}
	l := open(t, ledger.Config{})
	l.Use(lax, list(t))
	if _, err := l.Vouch(t.Context(), "proof", subject, ledger.Proof{}, pia); err == nil {
		t.Error("a vote without the proof that one list requires")
	}
	w := ledger.Waiver{Item: "encryption", Subject: subject, Reason: "retuning is planned for the next sprint", Until: time.Now().Add(day)}
	if _, err := l.Waive(t.Context(), w, pia); err == nil {
		t.Error("a waiver of an item that is firm in one list")
	}
}

// TestForgedReview: a line that is no entry is no review.
func TestForgedReview(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		store := new(memstore.Store)
		l := open(t, ledger.Config{Store: store})
		if _, err := l.Vouch(t.Context(), "x", subject, ledger.Proof{}, pia); err != nil {
			t.Fatal(err)
		}
		time.Sleep(40 * day)
		forged := `{"kind":"review","review":{"ranges":[{"log":"ledger","from":0,"to":1}],"findings":"fine"}}`
		if _, err := store.Put(t.Context(), "ledger/main/000000000002", []byte(forged), ""); err != nil {
			t.Fatal(err)
		}
		if r := l.Reviewed(30 * day).Check(t.Context()); r.Status.Opens() {
			t.Errorf("%+v", r)
		}
	})
}

// TestReviewsAtTheSameTime: one of two reviews of the same range is refused, and a reviewer
// is known by name if one of the entries has no subject.
func TestReviewsAtTheSameTime(t *testing.T) {
	l := open(t, ledger.Config{})
	for range 5 {
		if err := l.Note(t.Context(), "sign-in", nil, ana); err != nil {
			t.Fatal(err)
		}
	}
	var all sync.WaitGroup
	var mu sync.Mutex
	accepted := 0
	for i := range 4 {
		all.Go(func() {
			_, err := l.Review(t.Context(), ledger.Review{Findings: "fine", Ranges: []ledger.Range{{Log: ledger.Trail, To: 2 + i%2}}}, eveOf(i))
			mu.Lock()
			defer mu.Unlock()
			if err == nil {
				accepted++
			}
		})
	}
	all.Wait()
	if accepted != 1 {
		t.Errorf("%d reviews from 0 are accepted, want 1", accepted)
	}
	if err := l.Note(t.Context(), "erase", nil, pia); err != nil {
		t.Fatal(err)
	}
	due, err := l.Propose(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	due.Findings = "fine"
	if _, err := l.Review(t.Context(), due, rollout.Actor{Name: " PIA "}); err == nil {
		t.Error("pia reviews her own erasure")
	}
}

func eveOf(i int) rollout.Actor { return rollout.Actor{Name: fmt.Sprint("eve-", i)} }

// TestLargeRefusal: a refusal of any size is recorded, and holds no other one up.
func TestLargeRefusal(t *testing.T) {
	l := open(t, ledger.Config{})
	large := refusal(strings.Repeat("x", 300<<10))
	large.Target, large.Rule, large.Reason = strings.Repeat("t", 300<<10), strings.Repeat("r", 300<<10), strings.Repeat("ö", 300<<10)
	large.By.Subject, large.By.Roles = strings.Repeat("s", 300<<10), slices.Repeat([]string{strings.Repeat("r", 100)}, 4000)
	l.Refused(t.Context(), large)
	l.Refused(t.Context(), refusal("eve"))
	if err := l.Close(); err != nil {
		t.Fatal(err)
	}
	if all := entries(t, l); len(all) != 2 {
		t.Errorf("%d entries, want 2", len(all))
	}
}

// slowAnchor is an anchor that waits for its context.
type slowAnchor struct{ audit.Dir }

func (slowAnchor) Keep(ctx context.Context, _ string, _ []byte) error {
	<-ctx.Done()
	return ctx.Err()
}

// slowStore is a store whose Put of entries waits for its context.
type slowStore struct{ rollout.Store }

func (s slowStore) Put(ctx context.Context, _ string, _ []byte, _ rollout.Revision) (rollout.Revision, error) {
	<-ctx.Done()
	return "", ctx.Err()
}

// TestSlowParts: an anchor that hangs holds nothing up, and a store that hangs holds up
// each call no longer than its context.
func TestSlowParts(t *testing.T) {
	private, public, err := note.GenerateKey(nil, "serin-test")
	if err != nil {
		t.Fatal(err)
	}
	signer, err := note.NewSigner(private)
	if err != nil {
		t.Fatal(err)
	}
	dir := audit.Dir(t.TempDir())
	synctest.Test(t, func(t *testing.T) {
		l := open(t, ledger.Config{Signer: signer, Key: public, Anchor: slowAnchor{dir}})
		if _, err := l.Vouch(t.Context(), "x", subject, ledger.Proof{}, pia); err != nil {
			t.Fatal(err)
		}
		time.Sleep(time.Minute + time.Second) // the anchor hangs now
		began := time.Now()
		if _, err := l.Vouch(t.Context(), "y", subject, ledger.Proof{}, pia); err != nil || time.Since(began) > 0 {
			t.Errorf("%v after %v", err, time.Since(began))
		}
	})
	synctest.Test(t, func(t *testing.T) {
		l := open(t, ledger.Config{Store: slowStore{new(memstore.Store)}})
		long, cancel := context.WithTimeout(t.Context(), time.Hour)
		defer cancel()
		go l.Vouch(long, "x", subject, ledger.Proof{}, pia)
		synctest.Wait()
		short, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		began := time.Now()
		if _, err := l.Records(short, "x"); !errors.Is(err, context.DeadlineExceeded) || time.Since(began) > time.Second {
			t.Errorf("%v after %v", err, time.Since(began))
		}
	})
}

// TestKeysDiffer: a key that does not verify what the signer signs is refused.
func TestKeysDiffer(t *testing.T) {
	private, _, err1 := note.GenerateKey(nil, "serin-test")
	_, public, err2 := note.GenerateKey(nil, "serin-test")
	signer, err3 := note.NewSigner(private)
	if err := errors.Join(err1, err2, err3); err != nil {
		t.Fatal(err)
	}
	err := ledger.Config{Store: new(memstore.Store), Signer: signer, Key: public}.Validate()
	var fields []string
	for e := range checks.Invalid(err) {
		fields = append(fields, e.Field)
	}
	if !slices.Equal(fields, []string{"Config.Key"}) {
		t.Errorf("%q, %v", fields, err)
	}
}

// TestListLosesAnItem: after a restart with a list that has lost an item, the rollout pauses,
// its approval is void, and the reason has both digests.
func TestListLosesAnItem(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		store := new(memstore.Store)
		pass := checks.Func(func(context.Context) checks.Result { return checks.Result{Status: checks.Pass} })
		items := []checklist.Item{{ID: "rbac", Owner: "eve", Check: pass}, {ID: "tls", Owner: "eve", Check: pass}}
		start := func(items []checklist.Item) (*rollout.Engine, string) {
			checklists, err := checklist.New("deployment", checklist.Section{Name: "security", Items: items})
			if err != nil {
				t.Fatal(err)
			}
			l := open(t, ledger.Config{Store: store})
			e, err := rollout.Open(t.Context(), rollout.Config{Store: store, Targets: map[string]rollout.Splitter{"chat": &pool{}}, Checks: map[string]checks.Check{"ready": checklists.Check(l)}})
			if err != nil {
				t.Fatal(err)
			}
			return e, checklists.Digest()
		}
		e, before := start(items)
		id, err := e.Start(t.Context(), rollout.Plan{Target: "chat", Baseline: versioning.Release{Version: versioning.MustParse("1.4.0")},
			Candidate: versioning.Release{Version: versioning.MustParse("1.5.0"), Digest: digestA}, Preflight: []string{"ready"},
			Strategy: strategies.BlueGreen{Approve: &strategies.Approval{Need: 2}}}, ben)
		if err != nil {
			t.Fatal(err)
		}
		time.Sleep(time.Minute)
		if err := e.Do(t.Context(), id, strategies.Approve, ana); err != nil {
			t.Fatal(err)
		}
		if st, err := e.Status(t.Context(), id); err != nil || len(st.Votes) != 1 {
			t.Fatalf("%d votes, %v", len(st.Votes), err)
		}
		if err := e.Close(); err != nil {
			t.Fatal(err)
		}
		e, after := start(items[:1])
		defer e.Close()
		time.Sleep(time.Minute)
		st, err := e.Status(t.Context(), id)
		if err != nil || !st.Paused || len(st.Votes) != 0 {
			t.Errorf("paused %v with %d votes, %v", st.Paused, len(st.Votes), err)
		}
		for _, digest := range []string{before, after} {
			if !strings.Contains(st.Reason, digest[:19]) {
				t.Errorf("the reason %q does not name %s", st.Reason, digest)
			}
		}
	})
}

// TestRefusedPromotions: what an engine refuses a thousand times takes two entries.
func TestRefusedPromotions(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		store := new(memstore.Store)
		l := open(t, ledger.Config{Store: store})
		e, err := rollout.Open(t.Context(), rollout.Config{Store: store, Targets: map[string]rollout.Splitter{"chat": &pool{}}, Refused: l.Refused,
			Authorize: rollout.Roles{"developer": {rollout.ActionStart}}.Authorize})
		if err != nil {
			t.Fatal(err)
		}
		defer e.Close()
		id, err := e.Start(t.Context(), rollout.Plan{Target: "chat", Baseline: versioning.Release{Version: versioning.MustParse("1.4.0")},
			Candidate: versioning.Release{Version: versioning.MustParse("1.5.0")}, Strategy: strategies.Canary{DangerouslyPromoteUnproven: true}}, ben)
		if err != nil {
			t.Fatal(err)
		}
		for range 1000 {
			var forbidden *rollout.ForbiddenError
			if err := e.Do(t.Context(), id, strategies.PromoteFully, ana); !errors.As(err, &forbidden) {
				t.Fatalf("%v, want a ForbiddenError", err)
			}
		}
		time.Sleep(5 * time.Minute)
		total := 0
		all := entries(t, l)
		for _, e := range all {
			total += e.Refused.Count
		}
		if len(all) > 2 || total != 1000 {
			t.Errorf("%d refusals in %d entries, want 1,000 in at most 2", total, len(all))
		}
	})
}

var _ io.Closer = (*ledger.Ledger)(nil)
