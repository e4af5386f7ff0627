package duties_test

import (
	"context"
	"errors"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/serin-go/serin/checks"
	"github.com/serin-go/serin/rollout"
	"github.com/serin-go/serin/rollout/ledger"
	"github.com/serin-go/serin/rollout/memstore"
	"github.com/serin-go/serin/rollout/privacy"
	"github.com/serin-go/serin/rollout/privacy/duties"
)

const day = 24 * time.Hour

func fields(err error) (all []string) {
	for e := range checks.Invalid(err) {
		all = append(all, e.Field)
	}
	slices.Sort(all)
	return all
}

// open opens the requests of a ledger. Only alice and bob are known.
func open(t *testing.T, s rollout.Store) *duties.Requests {
	t.Helper()
	led, err := ledger.Open(t.Context(), ledger.Config{Store: s})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { led.Close() })
	p, err := privacy.NewPseudonyms(privacy.PseudonymKey{ID: "k1", Secret: []byte("0123456789abcdef0123456789abcdef")})
	if err != nil {
		t.Fatal(err)
	}
	r, err := duties.OpenRequests(t.Context(), led.Notebook(rollout.Actor{Name: "service"}), p, func(_ context.Context, person string) (bool, error) {
		return person == "alice" || person == "bob", nil
	})
	if err != nil {
		t.Fatal(err)
	}
	return r
}

type notes = privacy.Notes

// interrupted are notes before which something else happens, once.
type interrupted struct {
	notes
	before func()
}

func (n *interrupted) Note(ctx context.Context, name string, what any) error {
	if f := n.before; f != nil {
		n.before = nil
		f()
	}
	return n.notes.Note(ctx, name, what)
}

// TestSameIDInTwoProcesses: of two processes that take an ID at the same time, one gets an
// error, since its request was not recorded.
func TestSameIDInTwoProcesses(t *testing.T) {
	ctx := t.Context()
	led, err := ledger.Open(ctx, ledger.Config{Store: new(memstore.Store)})
	if err != nil {
		t.Fatal(err)
	}
	defer led.Close()
	p, err := privacy.NewPseudonyms(privacy.PseudonymKey{ID: "k1", Secret: []byte("0123456789abcdef0123456789abcdef")})
	if err != nil {
		t.Fatal(err)
	}
	n := &interrupted{notes: led.Notebook(rollout.Actor{Name: "service"})}
	a, err := duties.OpenRequests(ctx, n, p, nil)
	if err != nil {
		t.Fatal(err)
	}
	b, err := duties.OpenRequests(ctx, n.notes, p, nil)
	if err != nil {
		t.Fatal(err)
	}
	q := duties.Request{ID: "1", Kind: duties.Erasure, Law: duties.GDPR}
	n.before = func() {
		if _, err := b.Receive(ctx, "bob", q); err != nil {
			t.Error(err)
		}
	}
	if _, err := a.Receive(ctx, "alice", q); !slices.Equal(fields(err), []string{"Request.ID"}) {
		t.Errorf("the second request: %v, want an error about Request.ID", err)
	}
	if all, err := a.All(ctx); err != nil || len(all) != 1 || all[0].Person != p.Of("", "bob") {
		t.Errorf("%+v, %v; want the request of bob", all, err)
	}
}

func TestDue(t *testing.T) {
	at := func(s string) time.Time {
		d, err := time.Parse(time.DateOnly, s)
		if err != nil {
			t.Fatal(err)
		}
		return d
	}
	for _, tt := range []struct {
		law           duties.Law
		received, due string
	}{
		{duties.GDPR, "2026-01-15", "2026-02-15"}, {duties.GDPR, "2026-01-31", "2026-02-28"}, {duties.GDPR, "2028-01-31", "2028-02-29"},
		{duties.GDPR, "2026-08-31", "2026-09-30"}, {duties.GDPR, "2026-12-31", "2027-01-31"}, {duties.CCPA, "2026-01-01", "2026-02-15"},
	} {
		if got := tt.law.Due(at(tt.received)); !got.Equal(at(tt.due)) {
			t.Errorf("%s, received %s: due %v, want %s", tt.law, tt.received, got, tt.due)
		}
	}
}

// TestClock: 45 days of the CCPA.
func TestClock(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := open(t, new(memstore.Store))
		check := r.Check()
		if _, err := r.Receive(t.Context(), "alice", duties.Request{ID: "T-17", Kind: duties.Erasure, Law: duties.CCPA}); err != nil {
			t.Fatal(err)
		}
		began := time.Now()
		for _, tt := range []struct {
			day  int
			want checks.Status
		}{{0, checks.Pass}, {39, checks.Pass}, {40, checks.Warn}, {45, checks.Warn}, {46, checks.Fail}, {50, checks.Fail}} {
			time.Sleep(time.Until(began.Add(time.Duration(tt.day) * day)))
			res := check.Check(t.Context())
			if res.Status != tt.want || tt.want != checks.Pass && !strings.Contains(res.Summary, "T-17 (erasure, due 2000-02-15)") {
				t.Errorf("day %d: %v %s, want %v", tt.day, res.Status, res.Summary, tt.want)
			}
		}
		if _, err := r.Finish(t.Context(), "T-17", "erased"); err != nil {
			t.Fatal(err)
		}
		if res := check.Check(t.Context()); res.Status != checks.Pass {
			t.Errorf("done: %v %s", res.Status, res.Summary)
		}
	})
}

func TestRequests(t *testing.T) {
	ctx := t.Context()
	store := new(memstore.Store)
	r := open(t, store)
	q, err := r.Receive(ctx, "alice", duties.Request{ID: "T-1", Kind: duties.Access, Law: duties.GDPR})
	if err != nil || strings.Contains(q.Person, "alice") {
		t.Fatalf("%+v, %v", q, err)
	}
	if _, err := r.Receive(ctx, "mallory", duties.Request{ID: "T-2", Kind: duties.Access, Law: duties.GDPR}); !errors.Is(err, duties.ErrUnknownPerson) || strings.Contains(err.Error(), "mallory") {
		t.Errorf("an unknown person: %v", err)
	}
	for name, tt := range map[string]struct {
		person string
		q      duties.Request
		want   []string
	}{
		"twice":       {"alice", duties.Request{ID: "T-1", Kind: duties.Access, Law: duties.GDPR}, []string{"Request.ID"}},
		"empty":       {"", duties.Request{}, []string{"Request.ID", "Request.Kind", "Request.Law", "person"}},
		"with person": {"alice", duties.Request{ID: "alice", Kind: duties.Access, Law: duties.GDPR}, []string{"Request.ID"}},
		"future":      {"bob", duties.Request{ID: "T-3", Kind: duties.Access, Law: duties.GDPR, Received: time.Now().Add(time.Hour)}, []string{"Request.Received"}},
	} {
		if _, err := r.Receive(ctx, tt.person, tt.q); !slices.Equal(fields(err), tt.want) {
			t.Errorf("%s: %v, want %q", name, err, tt.want)
		}
	}
	again := open(t, store) // a restart, or another process
	for _, id := range []string{"T-9", ""} {
		if _, err := again.Finish(ctx, id, "done"); len(fields(err)) != 1 {
			t.Errorf("Finish(%q): %v", id, err)
		}
	}
	if _, err := again.Finish(ctx, "T-1", " "); !slices.Equal(fields(err), []string{"outcome"}) {
		t.Errorf("no outcome: %v", err)
	}
	if _, err := again.Finish(ctx, "T-1", "sent"); err != nil {
		t.Error(err)
	}
	if _, err := r.Finish(ctx, "T-1", "sent"); len(fields(err)) != 1 {
		t.Errorf("done twice: %v", err)
	}
	all, err := r.All(ctx)
	if err != nil || len(all) != 1 || all[0].Outcome != "sent" || all[0].Done.IsZero() {
		t.Errorf("%+v, %v", all, err)
	}
	ended, cancel := context.WithCancel(ctx)
	cancel()
	if res := r.Check().Check(ended); res.Status != checks.Unknown || res.Err == nil {
		t.Errorf("an unreadable record: %v", res.Status)
	}
	if _, err := duties.OpenRequests(ctx, nil, nil, nil); len(fields(err)) != 1 {
		t.Errorf("%v", err)
	}
}

func TestRetention(t *testing.T) {
	r, err := duties.NewRetention(
		duties.Class{Name: "AI Act 26(6)", Data: []string{"logs", "audit"}, Least: 183 * day},
		duties.Class{Name: "house", Data: []string{"logs"}, Most: 365 * day},
		duties.Class{Name: "feedback", Data: []string{"feedback"}, Least: day, Most: 90 * day},
	)
	if err != nil {
		t.Fatal(err)
	}
	now := time.Date(2026, 11, 29, 0, 0, 0, 0, time.UTC)
	old := duties.Prefix{Data: "logs", Oldest: now.Add(-300 * day), Newest: now.Add(-183 * day), Exported: true, Checkpointed: true}
	for name, tt := range map[string]struct {
		change             func(*duties.Prefix)
		removable, overdue bool
	}{
		"old enough":       {func(*duties.Prefix) {}, true, false},
		"a second too new": {func(p *duties.Prefix) { p.Newest = p.Newest.Add(time.Second) }, false, false},
		"no time":          {func(p *duties.Prefix) { p.Newest = time.Time{} }, false, false},
		"not exported":     {func(p *duties.Prefix) { p.Exported = false }, false, false},
		"no checkpoint":    {func(p *duties.Prefix) { p.Checkpointed = false }, false, false},
		"on hold":          {func(p *duties.Prefix) { p.Hold, p.Oldest = "case 4", now.Add(-900*day) }, false, false},
		"too old":          {func(p *duties.Prefix) { p.Oldest = now.Add(-366 * day) }, true, true},
		"unknown data":     {func(p *duties.Prefix) { p.Data = "traces" }, false, true},
		"without a bound":  {func(p *duties.Prefix) { p.Data, p.Oldest = "audit", now.Add(-9000*day) }, true, false},
	} {
		p := old
		tt.change(&p)
		if err := r.Removable(p, now); (err == nil) != tt.removable {
			t.Errorf("%s: Removable: %v", name, err)
		}
		if err := r.Overdue(p, now); (err != nil) != tt.overdue {
			t.Errorf("%s: Overdue: %v", name, err)
		}
	}
	_, err = duties.NewRetention(
		duties.Class{Name: "AI Act 26(6)", Data: []string{"logs"}, Least: 183 * day},
		duties.Class{Name: "house", Data: []string{"feedback", "logs"}, Most: 90 * day},
	)
	if got := fields(err); !slices.Equal(got, []string{"classes[0].Least"}) || !strings.Contains(err.Error(), "house") {
		t.Errorf("a contradiction: %v", err)
	}
	_, err = duties.NewRetention(duties.Class{}, duties.Class{Name: "x", Data: []string{""}, Most: -1})
	if got := fields(err); !slices.Equal(got, []string{"classes[0]", "classes[0].Data", "classes[0].Name", "classes[1]", "classes[1].Data"}) {
		t.Errorf("%q", got)
	}
}
