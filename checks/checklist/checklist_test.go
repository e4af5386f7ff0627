package checklist_test

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/serin-go/serin/checks"
	"github.com/serin-go/serin/checks/checklist"
	"github.com/serin-go/serin/checks/checkstest"
)

const (
	digestA = "sha256:aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa"
	digestB = "sha256:bbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbb"
	day     = 24 * time.Hour
)

var (
	subject = checks.Subject{Rollout: "chat/3", Target: "chat", Model: "chat", Candidate: "1.5.0", Digest: digestA, Plan: "sha256:9c1e", Starter: "sub-starter", StarterName: "Ben"}
	pia     = checklist.Person{Subject: "sub-pia", Name: "pia", Roles: []string{"privacy"}}
	ana     = checklist.Person{Subject: "sub-ana", Name: "ana", Roles: []string{"sre"}}
	both    = checklist.Person{Subject: "sub-x", Name: "x", Roles: []string{"sre", "privacy"}}
)

// result is a check with one result.
func result(s checks.Status, text string) checks.Check {
	return checks.Func(func(context.Context) checks.Result { return checks.Result{Status: s, Summary: text} })
}

func list(t *testing.T, items ...checklist.Item) *checklist.List {
	t.Helper()
	for i := range items {
		if items[i].Owner == "" {
			items[i].Owner = "ana"
		}
	}
	l, err := checklist.New("deployment", checklist.Section{Name: "all", Items: items})
	if err != nil {
		t.Fatal(err)
	}
	return l
}

func about(t *testing.T, s checks.Subject) context.Context { return checks.WithSubject(t.Context(), s) }

// run evaluates l for the subject and returns the items by ID.
func run(t *testing.T, l *checklist.List, src checklist.Source) map[string]checklist.ItemReport {
	t.Helper()
	items := make(map[string]checklist.ItemReport)
	for _, s := range l.Run(about(t, subject), src).Sections {
		for _, i := range s.Items {
			items[i.ID] = i
		}
	}
	return items
}

func vote(by checklist.Person, at time.Time) checklist.Record {
	return checklist.Record{Kind: checklist.Vote, Item: "x", Subject: subject, By: by, At: at, Result: checks.Result{Status: checks.Pass}}
}

func reject(by checklist.Person, at time.Time) checklist.Record {
	r := vote(by, at)
	r.Result.Status = checks.Fail
	return r
}

func looked(s checks.Status, at time.Time) checklist.Record {
	return checklist.Record{Kind: checklist.Looked, Item: "x", Subject: subject, At: at, Until: at.Add(365 * day), Check: "deployment", Result: checks.Result{Status: s, Summary: "stored"}}
}

func waiver(by checklist.Person, at, until time.Time) checklist.Record {
	return checklist.Record{Kind: checklist.Waiver, Item: "x", Subject: subject, By: by, At: at, Until: until, Reason: "retuning is planned"}
}

func with(r checklist.Record, change func(*checklist.Record)) checklist.Record {
	change(&r)
	return r
}

func memory(t *testing.T, records ...checklist.Record) *checklist.Memory {
	t.Helper()
	var m checklist.Memory
	for _, r := range records {
		if err := m.Keep(t.Context(), r); err != nil {
			t.Fatal(err)
		}
	}
	return &m
}

// TestStates: an item with records, evaluated at one time.
func TestStates(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		now := time.Now()
		ago := func(d time.Duration) time.Time { return now.Add(-d) }
		fresh := func(p checklist.Person, age time.Duration) checklist.Person {
			p.Proved = now.Add(-age)
			return p
		}
		people := &checklist.Attest{Rules: checklist.By("privacy"), Valid: time.Hour}
		two := &checklist.Attest{Rules: []checklist.Rule{{Need: 1, Roles: []string{"sre"}}, {Need: 1, Roles: []string{"privacy"}}}, Valid: time.Hour}
		pass, fail, unknown := result(checks.Pass, "now"), result(checks.Fail, "now"), result(checks.Unknown, "now")
		type records = []checklist.Record
		for name, c := range map[string]struct {
			item    checklist.Item
			records records
			want    checklist.State
		}{
			"passed":               {checklist.Item{Check: pass}, nil, checklist.Pass},
			"warned":               {checklist.Item{Check: result(checks.Warn, "")}, nil, checklist.Warn},
			"failed":               {checklist.Item{Check: fail}, nil, checklist.Fail},
			"undetermined":         {checklist.Item{Check: unknown}, nil, checklist.Unknown},
			"panics":               {checklist.Item{Check: checks.Func(func(context.Context) checks.Result { panic("x") })}, nil, checklist.Unknown},
			"status of no meaning": {checklist.Item{Check: result(checks.Status(9), "")}, nil, checklist.Unknown},
			"pass with an error":   {checklist.Item{Check: checks.Func(func(context.Context) checks.Result { return checks.Result{Status: checks.Pass, Err: errors.New("x")} })}, nil, checklist.Unknown},
			"stored":               {checklist.Item{Check: fail, Valid: time.Hour}, records{looked(checks.Pass, ago(time.Hour-time.Millisecond))}, checklist.Pass},
			"stored, at its end":   {checklist.Item{Check: unknown, Valid: time.Hour}, records{looked(checks.Pass, ago(time.Hour))}, checklist.Expired},
			"stored, runs again":   {checklist.Item{Check: fail, Valid: time.Hour}, records{looked(checks.Pass, ago(time.Hour))}, checklist.Fail},
			"stored failure":       {checklist.Item{Check: pass, Valid: time.Hour}, records{looked(checks.Fail, ago(time.Minute))}, checklist.Pass},
			"failure after a pass": {checklist.Item{Check: unknown, Valid: time.Hour}, records{looked(checks.Pass, ago(2*time.Minute)), looked(checks.Fail, ago(time.Minute))}, checklist.Unknown},
			"unknown after a pass": {checklist.Item{Check: unknown, Valid: time.Hour}, records{looked(checks.Pass, ago(2*time.Minute)), looked(checks.Unknown, ago(time.Minute))}, checklist.Warn},
			"ends by the record":   {checklist.Item{Check: unknown, Valid: time.Hour}, records{with(looked(checks.Pass, ago(time.Minute)), func(r *checklist.Record) { r.Until = now })}, checklist.Expired},
			"other digest":         {checklist.Item{Check: unknown, Valid: time.Hour}, records{with(looked(checks.Pass, ago(time.Minute)), func(r *checklist.Record) { r.Subject.Digest = digestB })}, checklist.Unknown},
			"no digest":            {checklist.Item{Check: unknown, Valid: time.Hour}, records{with(looked(checks.Pass, ago(time.Minute)), func(r *checklist.Record) { r.Subject.Digest = "" })}, checklist.Unknown},
			"other item":           {checklist.Item{Check: unknown, Valid: time.Hour}, records{with(looked(checks.Pass, ago(time.Minute)), func(r *checklist.Record) { r.Item = "y" })}, checklist.Unknown},
			"from the future":      {checklist.Item{Check: unknown, Valid: time.Hour}, records{looked(checks.Pass, now.Add(2*time.Minute+1))}, checklist.Unknown},
			"clock ahead":          {checklist.Item{Check: unknown, Valid: time.Hour}, records{looked(checks.Pass, now.Add(2*time.Minute))}, checklist.Pass},
			"without time":         {checklist.Item{Check: unknown, Valid: time.Hour}, records{looked(checks.Pass, time.Time{})}, checklist.Unknown},
			"withdrawn result":     {checklist.Item{Check: unknown, Valid: time.Hour}, records{looked(checks.Pass, ago(time.Minute)), {Kind: checklist.Withdrawal, Item: "x", Of: 1}}, checklist.Unknown},
			"other target":         {checklist.Item{Check: unknown, Valid: time.Hour, Scope: checklist.OfTarget}, records{with(looked(checks.Pass, ago(time.Minute)), func(r *checklist.Record) { r.Subject.Target = "search" })}, checklist.Unknown},
			"target, other digest": {checklist.Item{Check: unknown, Valid: time.Hour, Scope: checklist.OfTarget}, records{with(looked(checks.Pass, ago(time.Minute)), func(r *checklist.Record) { r.Subject.Digest = digestB })}, checklist.Pass},
			"other plan":           {checklist.Item{Check: unknown, Valid: time.Hour, Scope: checklist.OfPlan}, records{with(looked(checks.Pass, ago(time.Minute)), func(r *checklist.Record) { r.Subject.Plan = "sha256:77" })}, checklist.Unknown},
			"organisation":         {checklist.Item{Check: unknown, Valid: time.Hour, Scope: checklist.OfOrganisation}, records{with(looked(checks.Pass, ago(time.Minute)), func(r *checklist.Record) { r.Subject = checks.Subject{} })}, checklist.Pass},
			"strange kind":         {checklist.Item{Check: unknown, Valid: time.Hour}, records{with(looked(checks.Pass, ago(time.Minute)), func(r *checklist.Record) { r.Kind = "passed" })}, checklist.Unknown},

			"no vote":                 {checklist.Item{Attest: people}, nil, checklist.Unknown},
			"vouched":                 {checklist.Item{Attest: people}, records{vote(pia, ago(time.Minute))}, checklist.Pass},
			"last moment":             {checklist.Item{Attest: people}, records{vote(pia, ago(time.Hour-time.Millisecond))}, checklist.Pass},
			"vote expired":            {checklist.Item{Attest: people}, records{vote(pia, ago(time.Hour))}, checklist.Expired},
			"wrong role":              {checklist.Item{Attest: people}, records{vote(ana, ago(time.Minute))}, checklist.Unknown},
			"about another digest":    {checklist.Item{Attest: people}, records{with(vote(pia, ago(time.Minute)), func(r *checklist.Record) { r.Subject.Digest = digestB })}, checklist.Unknown},
			"rejected":                {checklist.Item{Attest: two}, records{vote(pia, ago(time.Minute)), vote(ana, ago(time.Minute)), reject(both, ago(time.Minute))}, checklist.Fail},
			"rejected by another":     {checklist.Item{Attest: two}, records{vote(pia, ago(time.Minute)), vote(ana, ago(time.Minute)), reject(checklist.Person{Name: "z"}, ago(time.Minute))}, checklist.Pass},
			"last word":               {checklist.Item{Attest: people}, records{vote(pia, ago(2*time.Minute)), reject(pia, ago(time.Minute))}, checklist.Fail},
			"changed their mind":      {checklist.Item{Attest: people}, records{reject(pia, ago(2*time.Minute)), vote(pia, ago(time.Minute))}, checklist.Pass},
			"withdrawn":               {checklist.Item{Attest: people}, records{vote(pia, ago(time.Minute)), {Kind: checklist.Withdrawal, Item: "x", Of: 1, By: ana}}, checklist.Unknown},
			"neither":                 {checklist.Item{Attest: people}, records{with(vote(pia, ago(time.Minute)), func(r *checklist.Record) { r.Result.Status = checks.Warn })}, checklist.Unknown},
			"no name":                 {checklist.Item{Attest: &checklist.Attest{}}, records{vote(checklist.Person{}, ago(time.Minute))}, checklist.Unknown},
			"one person for two":      {checklist.Item{Attest: two}, records{vote(both, ago(time.Minute))}, checklist.Unknown},
			"two people":              {checklist.Item{Attest: two}, records{vote(both, ago(time.Minute)), vote(ana, ago(time.Minute))}, checklist.Pass},
			"two without privacy":     {checklist.Item{Attest: two}, records{vote(both, ago(time.Minute)), vote(checklist.Person{Name: "y", Roles: []string{"dev"}}, ago(time.Minute))}, checklist.Unknown},
			"one person, spelt twice": {checklist.Item{Attest: &checklist.Attest{Rules: []checklist.Rule{{Need: 2}}}}, records{vote(checklist.Person{Name: "Ana@Example.com"}, ago(time.Minute)), vote(checklist.Person{Name: "ana@example.com "}, ago(time.Minute))}, checklist.Unknown},
			"one subject, two names":  {checklist.Item{Attest: &checklist.Attest{Rules: []checklist.Rule{{Need: 2}}}}, records{vote(checklist.Person{Subject: "1", Name: "a"}, ago(time.Minute)), vote(checklist.Person{Subject: "1", Name: "b"}, ago(time.Minute))}, checklist.Unknown},
			"oldest vote needed":      {checklist.Item{Attest: &checklist.Attest{Rules: []checklist.Rule{{Need: 2}}, Valid: time.Hour}}, records{vote(pia, ago(time.Hour)), vote(ana, ago(20*time.Minute))}, checklist.Expired},
			"oldest not needed":       {checklist.Item{Attest: &checklist.Attest{Valid: time.Hour}}, records{vote(pia, ago(time.Hour)), vote(ana, ago(20*time.Minute))}, checklist.Pass},
			"no second factor":        {checklist.Item{Attest: &checklist.Attest{MFA: time.Hour}}, records{vote(pia, ago(time.Minute))}, checklist.Unknown},
			"old second factor":       {checklist.Item{Attest: &checklist.Attest{MFA: time.Hour}}, records{vote(fresh(pia, 2*time.Hour), ago(time.Minute))}, checklist.Unknown},
			"second factor":           {checklist.Item{Attest: &checklist.Attest{MFA: time.Hour}}, records{vote(fresh(pia, time.Hour), ago(time.Minute))}, checklist.Pass},
			"rejects without":         {checklist.Item{Attest: &checklist.Attest{MFA: time.Hour}}, records{reject(pia, ago(time.Minute))}, checklist.Fail},
			"starter":                 {checklist.Item{Attest: &checklist.Attest{Others: true}}, records{vote(checklist.Person{Subject: "sub-starter"}, ago(time.Minute))}, checklist.Unknown},
			"others":                  {checklist.Item{Attest: &checklist.Attest{Others: true}}, records{vote(pia, ago(time.Minute))}, checklist.Pass},
			"no proof":                {checklist.Item{Attest: &checklist.Attest{Proof: true}}, records{vote(pia, ago(time.Minute))}, checklist.Unknown},
			"bad proof":               {checklist.Item{Attest: &checklist.Attest{Proof: true}}, records{with(vote(pia, ago(time.Minute)), func(r *checklist.Record) { r.Link, r.Sum = "https://x", "md5:1" })}, checklist.Unknown},
			"proof":                   {checklist.Item{Attest: &checklist.Attest{Proof: true}}, records{with(vote(pia, ago(time.Minute)), func(r *checklist.Record) { r.Link, r.Sum = "https://x", digestB })}, checklist.Pass},
			"both hold":               {checklist.Item{Check: pass, Attest: people}, records{vote(pia, ago(time.Minute))}, checklist.Pass},
			"the check does not":      {checklist.Item{Check: fail, Attest: people}, records{vote(pia, ago(time.Minute))}, checklist.Fail},
			"the people do not":       {checklist.Item{Check: pass, Attest: people}, nil, checklist.Unknown},

			"role lost, rejects":       {checklist.Item{Attest: people}, records{vote(pia, ago(2*time.Minute)), with(reject(pia, ago(time.Minute)), func(r *checklist.Record) { r.By.Roles = []string{"dev"} })}, checklist.Unknown},
			"rejects in the future":    {checklist.Item{Attest: people}, records{vote(pia, ago(2*time.Minute)), reject(pia, now.Add(time.Hour))}, checklist.Fail},
			"vouches in the future":    {checklist.Item{Attest: people}, records{vote(pia, ago(2*time.Minute)), vote(pia, now.Add(time.Hour))}, checklist.Unknown},
			"rejection withdrawn":      {checklist.Item{Attest: people}, records{vote(pia, ago(2*time.Minute)), reject(pia, ago(time.Minute)), {Kind: checklist.Withdrawal, Item: "x", Of: 2}}, checklist.Unknown},
			"vote for other target":    {checklist.Item{Attest: people}, records{with(vote(pia, ago(time.Minute)), func(r *checklist.Record) { r.Subject.Target = "sandbox" })}, checklist.Unknown},
			"waiver, other target":     {checklist.Item{Check: fail}, records{with(waiver(pia, ago(time.Minute), now.Add(day)), func(r *checklist.Record) { r.Subject.Target = "sandbox" })}, checklist.Fail},
			"with and without subject": {checklist.Item{Attest: &checklist.Attest{Rules: []checklist.Rule{{Need: 2}}}}, records{vote(checklist.Person{Subject: "1", Name: "Ana"}, ago(time.Minute)), vote(checklist.Person{Name: "ana"}, ago(time.Minute))}, checklist.Unknown},
			"starter's other name":     {checklist.Item{Attest: &checklist.Attest{Others: true}}, records{vote(checklist.Person{Subject: "sub-starter", Name: "Benjamin"}, ago(time.Minute))}, checklist.Unknown},
			"starter, no subject":      {checklist.Item{Attest: &checklist.Attest{Others: true}}, records{vote(checklist.Person{Name: " Ben"}, ago(time.Minute))}, checklist.Unknown},
			"result of another list":   {checklist.Item{Check: unknown, Valid: time.Hour}, records{with(looked(checks.Pass, ago(time.Minute)), func(r *checklist.Record) { r.Check = "lax" })}, checklist.Unknown},
			"result of another check":  {checklist.Item{Check: unknown, Valid: time.Hour}, records{with(looked(checks.Pass, ago(time.Minute)), func(r *checklist.Record) { r.Check = "deployment sha256:1" })}, checklist.Unknown},
			"failure withdrawn":        {checklist.Item{Check: fail, Valid: time.Hour}, records{looked(checks.Pass, ago(2*time.Minute)), looked(checks.Fail, ago(time.Minute)), {Kind: checklist.Withdrawal, Item: "x", Of: 2}}, checklist.Fail},
			"shorter waiver":           {checklist.Item{Check: fail}, records{waiver(pia, ago(2*time.Minute), now.Add(day)), waiver(pia, ago(time.Minute), now)}, checklist.Fail},

			"waived":                {checklist.Item{Check: fail}, records{waiver(pia, ago(time.Minute), now.Add(1))}, checklist.Waived},
			"waiver, at its end":    {checklist.Item{Check: fail}, records{waiver(pia, ago(time.Minute), now)}, checklist.Fail},
			"waiver without reason": {checklist.Item{Check: fail}, records{with(waiver(pia, ago(time.Minute), now.Add(day)), func(r *checklist.Record) { r.Reason = " " })}, checklist.Fail},
			"waiver without end":    {checklist.Item{Check: fail}, records{waiver(pia, ago(time.Minute), time.Time{})}, checklist.Fail},
			"waiver of no one":      {checklist.Item{Check: fail}, records{waiver(checklist.Person{}, ago(time.Minute), now.Add(day))}, checklist.Fail},
			"waiver, other digest":  {checklist.Item{Check: fail}, records{with(waiver(pia, ago(time.Minute), now.Add(day)), func(r *checklist.Record) { r.Subject.Digest = digestB })}, checklist.Fail},
			"waiver withdrawn":      {checklist.Item{Check: fail}, records{waiver(pia, ago(time.Minute), now.Add(day)), {Kind: checklist.Withdrawal, Item: "x", Of: 1}}, checklist.Fail},
			"waiver, firm":          {checklist.Item{Check: fail, Firm: true}, records{waiver(pia, ago(time.Minute), now.Add(day))}, checklist.Fail},
			"waiver by the starter": {checklist.Item{Attest: &checklist.Attest{Others: true}}, records{waiver(checklist.Person{Subject: "sub-starter"}, ago(time.Minute), now.Add(day))}, checklist.Unknown},
			"skipped":               {checklist.Item{Skip: "no GPU here", Level: checklist.Should}, nil, checklist.Skipped},
		} {
			c.item.ID = "x"
			got := run(t, list(t, c.item), memory(t, c.records...))["x"]
			if got.State != c.want {
				t.Errorf("%s: %v, want %v: %s %s", name, got.State, c.want, got.Text, got.Error)
			}
			if got.Text == "" && !got.State.Holds() && name != "status of no meaning" {
				t.Errorf("%s: no text says why it is %v", name, got.State)
			}
			if strings.Contains(name, "digest") && !got.State.Holds() && got.State != checklist.Fail && name != "no digest" && name != "waiver, other digest" && (!strings.Contains(got.Text, digestA) || !strings.Contains(got.Text, digestB)) {
				t.Errorf("%s: %q does not name both digests", name, got.Text)
			}
		}
	})
}

// TestStored: a check with Valid runs once, and again when its result has expired.
func TestStored(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		runs, status := 0, checks.Pass
		check := checks.Func(func(context.Context) checks.Result {
			runs++
			return checks.Result{Status: status, Summary: "measured"}
		})
		l := list(t, checklist.Item{ID: "x", Check: check, Valid: time.Hour})
		m := memory(t)
		expect := func(want checklist.State, total int) {
			t.Helper()
			if got := run(t, l, m)["x"]; got.State != want || runs != total {
				t.Errorf("%v after %d runs, want %v after %d: %s", got.State, runs, want, total, got.Text)
			}
		}
		expect(checklist.Pass, 1)
		time.Sleep(time.Hour - 1)
		expect(checklist.Pass, 1)
		time.Sleep(time.Nanosecond)
		expect(checklist.Pass, 2)
		time.Sleep(time.Hour)
		status = checks.Unknown
		expect(checklist.Expired, 3)
		status = checks.Fail
		expect(checklist.Fail, 4)
		status = checks.Pass
		expect(checklist.Pass, 5)
		other := subject
		other.Digest = digestB
		l.Run(about(t, other), m)
		if runs != 6 {
			t.Error("the result for one digest was used for another")
		}
		if r := l.Run(t.Context(), m); r.State.Holds() {
			t.Errorf("%v without a subject", r.State)
		}
	})
}

// broken is a source that fails.
type broken struct {
	checklist.Memory
	records, keep error
	hang          bool
}

func (b *broken) Records(ctx context.Context, item string) ([]checklist.Record, error) {
	if b.hang {
		<-ctx.Done()
	}
	if b.records != nil {
		return nil, b.records
	}
	return b.Memory.Records(ctx, item)
}

func (b *broken) Keep(ctx context.Context, r checklist.Record) error {
	if b.keep != nil {
		return b.keep
	}
	return b.Memory.Keep(ctx, r)
}

func TestBrokenSources(t *testing.T) {
	oops := errors.New("disk")
	pass := result(checks.Pass, "measured")
	stored, live, vouched := checklist.Item{ID: "stored", Check: pass, Valid: time.Hour}, checklist.Item{ID: "live", Check: pass}, checklist.Item{ID: "vouched", Attest: &checklist.Attest{}}
	l := list(t, stored, live, vouched)
	if got := run(t, l, &broken{records: oops}); got["stored"].State.Holds() || got["vouched"].State.Holds() {
		t.Errorf("%+v", got)
	}
	if got := run(t, l, &broken{keep: oops}); got["stored"].State != checklist.Unknown || !strings.Contains(got["stored"].Error, "disk") || got["live"].State != checklist.Pass {
		t.Errorf("%+v", got)
	}
	if got := run(t, l, nil); got["stored"].State.Holds() || got["vouched"].State.Holds() || got["live"].State != checklist.Pass {
		t.Errorf("%+v", got)
	}
	synctest.Test(t, func(t *testing.T) {
		ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
		defer cancel()
		if r := l.Check(&broken{hang: true}).Check(checks.WithSubject(ctx, subject)); r.Status.Opens() {
			t.Errorf("%+v", r)
		}
		synctest.Wait()
	})
}

func TestNeeds(t *testing.T) {
	ran := false
	l := list(t,
		checklist.Item{ID: "c", Needs: []string{"b"}, Check: checks.Func(func(context.Context) checks.Result { ran = true; return checks.Result{Status: checks.Pass} })},
		checklist.Item{ID: "b", Needs: []string{"a"}, Check: result(checks.Pass, "")},
		checklist.Item{ID: "a", Check: result(checks.Fail, "no")},
		checklist.Item{ID: "w", Check: result(checks.Fail, "no")},
		checklist.Item{ID: "v", Needs: []string{"w"}, Check: result(checks.Pass, "")},
	)
	now := time.Now()
	src := memory(t, with(waiver(pia, now, now.Add(day)), func(r *checklist.Record) { r.Item = "w" }))
	got := run(t, l, src)
	for id, want := range map[string]checklist.State{"a": checklist.Fail, "b": checklist.Blocked, "c": checklist.Blocked, "w": checklist.Waived, "v": checklist.Pass} {
		if got[id].State != want {
			t.Errorf("%s is %v, want %v", id, got[id].State, want)
		}
	}
	if ran {
		t.Error("the check of a blocked item ran")
	}
}

func TestListState(t *testing.T) {
	pass, fail, unknown := result(checks.Pass, ""), result(checks.Fail, "broken"), result(checks.Unknown, "dark")
	for name, c := range map[string]struct {
		items []checklist.Item
		want  checks.Status
		score float64
	}{
		"all pass":         {[]checklist.Item{{ID: "a", Check: pass}, {ID: "b", Check: pass}}, checks.Pass, 1},
		"one fails":        {[]checklist.Item{{ID: "a", Check: pass}, {ID: "b", Check: fail}}, checks.Fail, 0.5},
		"one is unknown":   {[]checklist.Item{{ID: "a", Check: pass}, {ID: "b", Check: unknown}}, checks.Unknown, 0.5},
		"no vote":          {[]checklist.Item{{ID: "a", Check: pass}, {ID: "b", Attest: &checklist.Attest{}}}, checks.Fail, 0.5},
		"failure is worse": {[]checklist.Item{{ID: "a", Check: unknown}, {ID: "b", Check: fail}}, checks.Fail, 0},
		"should fails":     {[]checklist.Item{{ID: "a", Check: pass}, {ID: "b", Check: fail, Level: checklist.Should}}, checks.Warn, 0.5},
		"info fails":       {[]checklist.Item{{ID: "a", Check: pass}, {ID: "b", Check: fail, Level: checklist.Info}}, checks.Pass, 0.5},
		"one warns":        {[]checklist.Item{{ID: "a", Check: pass}, {ID: "b", Check: result(checks.Warn, "")}}, checks.Warn, 0.75},
		"skipped":          {[]checklist.Item{{ID: "a", Check: pass}, {ID: "b", Skip: "n/a", Level: checklist.Should}}, checks.Pass, 1},
		"people":           {[]checklist.Item{{ID: "x", Attest: &checklist.Attest{}}, {ID: "b", Check: pass}}, checks.Pass, 0.75},
	} {
		l := list(t, c.items...)
		src := memory(t, vote(pia, time.Now()))
		report := l.Run(about(t, subject), src)
		r := l.Check(src).Check(about(t, subject))
		if r.Status != c.want || report.Score != c.score {
			t.Errorf("%s: %v with score %v, want %v and %v: %s", name, r.Status, report.Score, c.want, c.score, r.Summary)
		}
		for i := range report.Sections[0].Items {
			if item := report.Sections[0].Items[i]; !r.Status.Opens() && !item.State.Holds() && !strings.Contains(r.Summary, item.ID) {
				t.Errorf("%s: %q does not name %s", name, r.Summary, item.ID)
			}
		}
	}
}

func TestScore(t *testing.T) {
	pass := result(checks.Pass, "")
	now := time.Now()
	l, err := checklist.New("l",
		checklist.Section{Name: "a", Items: []checklist.Item{{ID: "1", Owner: "o", Check: pass}, {ID: "2", Owner: "o", Check: pass}}},
		checklist.Section{Name: "b", Items: []checklist.Item{{ID: "x", Owner: "o", Attest: &checklist.Attest{}}, {ID: "4", Owner: "o", Check: result(checks.Fail, "")}}},
	)
	if err != nil {
		t.Fatal(err)
	}
	src := memory(t, vote(pia, now), with(waiver(pia, now, now.Add(day)), func(r *checklist.Record) { r.Item = "4" }))
	r := l.Run(about(t, subject), src)
	if r.Sections[0].Score != 1 || r.Sections[1].Score != 0.5 || r.Score != 0.5 {
		t.Errorf("%v %v %v", r.Sections[0].Score, r.Sections[1].Score, r.Score)
	}
}

func TestBadLists(t *testing.T) {
	pass := result(checks.Pass, "")
	good := checklist.Item{ID: "a", Owner: "o", Check: pass}
	section := func(items ...checklist.Item) []checklist.Section {
		return []checklist.Section{{Name: "s", Items: items}}
	}
	change := func(f func(*checklist.Item)) []checklist.Section {
		i := good
		f(&i)
		return section(i)
	}
	for name, c := range map[string]struct {
		list     string
		sections []checklist.Section
		want     string
	}{
		"nothing":  {"", nil, "name sections"},
		"empty":    {"l", []checklist.Section{{Name: "s"}, {Name: "s", Items: []checklist.Item{good}}}, "sections[0].Items sections[1].Name"},
		"no name":  {"l", section(checklist.Item{Check: pass}), "sections[0].Items[0].ID sections[0].Items[0].Owner"},
		"twice":    {"l", section(good, good), "sections[0].Items[1].ID"},
		"no check": {"l", change(func(i *checklist.Item) { i.Check = nil }), "sections[0].Items[0].Check"},
		"negative": {"l", change(func(i *checklist.Item) { i.Valid, i.Attest = -1, &checklist.Attest{Valid: -1, MFA: -1} }), "sections[0].Items[0].Valid sections[0].Items[0].Attest.Valid sections[0].Items[0].Attest.MFA"},
		"rules": {"l", change(func(i *checklist.Item) {
			i.Attest = &checklist.Attest{Rules: []checklist.Rule{{Need: 11}, {Roles: []string{""}}}}
		}), "sections[0].Items[0].Attest.Rules[0].Need sections[0].Items[0].Attest.Rules[1].Roles"},
		"words":        {"l", change(func(i *checklist.Item) { i.Scope, i.Level, i.Title = "world", "may", "\x1b[31m" }), "sections[0].Items[0].Scope sections[0].Items[0].Level sections[0].Items[0].Title"},
		"skipped must": {"l", change(func(i *checklist.Item) { i.Skip = "no" }), "sections[0].Items[0].Skip"},
		"controls":     {"l", change(func(i *checklist.Item) { i.Controls = []string{"gdpr", ":32", "gdpr:32", "gdpr:33", "a:b c"} }), "sections[0].Items[0].Controls[0] sections[0].Items[0].Controls[1] sections[0].Items[0].Controls[4]"},
		"unknown need": {"l", change(func(i *checklist.Item) { i.Needs = []string{"b"} }), "sections[0].Items[0].Needs[0]"},
		"needs itself": {"l", change(func(i *checklist.Item) { i.Needs = []string{"a"} }), "Needs"},
		"circle": {"l", section(checklist.Item{ID: "a", Owner: "o", Check: pass, Needs: []string{"b"}}, checklist.Item{ID: "b", Owner: "o", Check: pass, Needs: []string{"c"}},
			checklist.Item{ID: "c", Owner: "o", Check: pass, Needs: []string{"b"}}), "Needs"},
	} {
		_, err := checklist.New(c.list, c.sections...)
		var fields []string
		for e := range checks.Invalid(err) {
			fields = append(fields, e.Field)
			if name == "circle" && e.Value != "b -> c -> b" {
				t.Errorf("circle %v", e.Value)
			}
		}
		if got := strings.Join(fields, " "); got != c.want {
			t.Errorf("%s: %s, want %s", name, got, c.want)
		}
	}
}

func TestDigest(t *testing.T) {
	a := checklist.Item{ID: "a", Owner: "o", Check: result(checks.Pass, ""), Needs: []string{"b", "c"}}
	b, c := checklist.Item{ID: "b", Owner: "o", Attest: &checklist.Attest{}}, checklist.Item{ID: "c", Owner: "o", Attest: &checklist.Attest{}}
	digest := func(items ...checklist.Item) string { return list(t, items...).Digest() }
	first := digest(a, b, c)
	swapped := a
	swapped.Needs = []string{"c", "b"}
	if digest(c, swapped, b) != first {
		t.Error("the digest depends on the order")
	}
	for name, change := range map[string]func(*checklist.Item){
		"firm": func(i *checklist.Item) { i.Firm = true }, "level": func(i *checklist.Item) { i.Level = checklist.Info },
		"owner": func(i *checklist.Item) { i.Owner = "p" }, "valid": func(i *checklist.Item) { i.Valid = 1 }, "attest": func(i *checklist.Item) { i.Attest = &checklist.Attest{MFA: 1} },
		"need": func(i *checklist.Item) { i.Needs = i.Needs[:1] }, "scope": func(i *checklist.Item) { i.Scope = checklist.OfTarget }, "controls": func(i *checklist.Item) { i.Controls = []string{"a:1"} },
	} {
		changed := a
		change(&changed)
		if digest(changed, b, c) == first {
			t.Errorf("the digest does not depend on %s", name)
		}
	}
	if digest(b, c) == first {
		t.Error("the digest does not depend on an item")
	}
	l := list(t, a, b, c)
	if d, err := checks.DigestOf(l.Check(nil)); err != nil || d != first {
		t.Errorf("%q, %v", d, err)
	}
}

func TestOnly(t *testing.T) {
	var mu sync.Mutex
	ran := make(map[string]int)
	item := func(id string, s checks.Status, needs ...string) checklist.Item {
		return checklist.Item{ID: id, Owner: "o", Needs: needs, Check: checks.Func(func(context.Context) checks.Result {
			mu.Lock()
			defer mu.Unlock()
			ran[id]++
			return checks.Result{Status: s}
		})}
	}
	l, err := checklist.New("l",
		checklist.Section{Name: "before", Items: []checklist.Item{item("a", checks.Pass), item("b", checks.Fail)}},
		checklist.Section{Name: "after", Items: []checklist.Item{item("c", checks.Pass, "a")}},
	)
	if err != nil {
		t.Fatal(err)
	}
	after := l.Only("after")
	if r := after.Run(about(t, subject), nil); r.State != checklist.Pass || len(r.Sections) != 1 || ran["a"] != 1 || ran["b"] != 0 || ran["c"] != 1 {
		t.Errorf("%v, ran %v", r, ran)
	}
	if after.Digest() == l.Digest() || l.Only("before", "after").Digest() != l.Only("after", "before").Digest() {
		t.Error("digests of parts")
	}
	if l.Only("after", "after").Digest() != after.Digest() {
		t.Error("a name that occurs twice changes the digest")
	}
	for _, bad := range []*checklist.List{l.Only("later"), l.Only(), l.Only("after").Only("before")} {
		r := bad.Check(nil).Check(about(t, subject))
		if r.Status.Opens() || r.Summary == "" {
			t.Errorf("%+v", r)
		}
	}
}

func TestDue(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		now := time.Now()
		never := checks.Func(func(context.Context) checks.Result { t.Error("a check ran"); return checks.Result{} })
		l := list(t,
			checklist.Item{ID: "later", Check: never, Valid: 3 * day}, checklist.Item{ID: "past", Check: never, Valid: day, Needs: []string{"live"}},
			checklist.Item{ID: "live", Check: never}, checklist.Item{ID: "waived", Check: never}, checklist.Item{ID: "far", Attest: &checklist.Attest{}},
		)
		of := func(id string, r checklist.Record) checklist.Record { r.Item = id; return r }
		src := memory(t, of("later", looked(checks.Pass, now.Add(-day))), of("past", looked(checks.Pass, now.Add(-2*day))),
			of("waived", waiver(pia, now, now.Add(day))), of("far", vote(pia, now)))
		var got []string
		for _, d := range l.Due(about(t, subject), src, now.Add(2*day)) {
			got = append(got, fmt.Sprintf("%s %v %v", d.Item, d.State, d.Until.Sub(now)))
		}
		if want := []string{"past expired -24h0m0s", "waived waived 24h0m0s", "later pass 48h0m0s"}; !slices.Equal(got, want) {
			t.Errorf("%q, want %q", got, want)
		}
	})
}

// TestLapsedWaiver: the reason names the waiver that has ended.
func TestLapsedWaiver(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		l := list(t, checklist.Item{ID: "x", Check: result(checks.Fail, "drift 0.4")})
		src := memory(t, waiver(pia, time.Now(), time.Now().Add(day)))
		c := l.Check(src)
		if r := c.Check(about(t, subject)); r.Status != checks.Warn {
			t.Errorf("%+v", r)
		}
		time.Sleep(day)
		r := c.Check(about(t, subject))
		if r.Status != checks.Fail {
			t.Errorf("%+v", r)
		}
		for _, part := range []string{"x", "pia", "2000-01-02 00:00:00", "drift 0.4"} {
			if !strings.Contains(r.Summary, part) {
				t.Errorf("%q does not name %q", r.Summary, part)
			}
		}
	})
}

// TestBounds: what a list says to a gate stays within the limits of an engine.
func TestBounds(t *testing.T) {
	var items []checklist.Item
	for i := range 200 {
		items = append(items, checklist.Item{ID: fmt.Sprintf("item-%d", i), Check: result(checks.Fail, strings.Repeat("ö", 2000))})
	}
	r := list(t, items...).Check(nil).Check(about(t, subject))
	if len(r.Summary) > 1024 || len(r.Evidence) > 32 || !strings.Contains(r.Summary, "more") {
		t.Errorf("%d bytes, %d pairs: %s", len(r.Summary), len(r.Evidence), r.Summary)
	}
	for k, v := range r.Evidence {
		if len(v) > 256 {
			t.Errorf("%s has %d bytes", k, len(v))
		}
	}
}

// keeper keeps reports.
type keeper struct {
	checklist.Memory
	reports map[string][]byte
	err     error
}

func (k *keeper) KeepReport(_ context.Context, sum string, report []byte) error {
	k.reports[sum] = report
	return k.err
}

func TestReportsAreKept(t *testing.T) {
	l := list(t, checklist.Item{ID: "x", Check: result(checks.Pass, "fine")})
	k := &keeper{reports: make(map[string][]byte)}
	r := l.Check(k).Check(about(t, subject))
	if r.Status != checks.Pass || !strings.Contains(string(k.reports[r.Evidence["report"]]), "fine") {
		t.Errorf("%+v, kept %q", r, k.reports)
	}
	again := l.Check(k)
	first := again.Check(about(t, subject))
	k.err = errors.New("disk")
	if r := again.Check(about(t, subject)); r.Status != checks.Pass || r.Evidence["report"] != first.Evidence["report"] {
		t.Errorf("%+v after %+v: an equal result is stored again", r, first)
	}
	if r := l.Check(k).Check(about(t, subject)); r.Status != checks.Unknown || !errors.Is(r.Err, k.err) {
		t.Errorf("%+v", r)
	}
}

func TestConformance(t *testing.T) {
	checkstest.Exercise(t, func(t *testing.T) checks.Check {
		return list(t, checklist.Item{ID: "x", Check: result(checks.Pass, "fine"), Valid: time.Hour}, checklist.Item{ID: "y", Attest: &checklist.Attest{}}).Check(memory(t))
	})
}

// TestListIsImmutable: what a caller keeps of a list does not change it.
func TestListIsImmutable(t *testing.T) {
	roles := []string{"privacy"}
	attest := &checklist.Attest{Rules: checklist.By(roles...)}
	items := []checklist.Item{{ID: "x", Owner: "o", Attest: attest}}
	l, err := checklist.New("deployment", checklist.Section{Name: "all", Items: items})
	if err != nil {
		t.Fatal(err)
	}
	roles[0], attest.Rules[0].Roles[0], attest.MFA, items[0].ID = "sre", "sre", 1, "y"
	if got := run(t, l, memory(t, vote(ana, time.Now())))["x"]; got.State.Holds() {
		t.Errorf("%+v", got)
	}
}

// TestAlteredReport: a report that contradicts its items opens nothing.
func TestAlteredReport(t *testing.T) {
	r := list(t, checklist.Item{ID: "x", Check: result(checks.Fail, "no")}).Run(about(t, subject), nil)
	r.State = checklist.Pass
	if got := r.Result(); got.Status != checks.Fail {
		t.Errorf("%+v", got)
	}
	r = list(t, checklist.Item{ID: "x", Check: result(checks.Pass, "")}).Run(about(t, subject), nil)
	r.Problem = "a section is missing"
	for _, r := range []checklist.Report{r, {State: checklist.Pass}, {State: 99}} {
		if got := r.Result(); got.Status.Opens() {
			t.Errorf("%+v", got)
		}
	}
}

// TestUnknownStarter: where others must vouch, a waiver does not count either if it is not
// known who started the rollout.
func TestUnknownStarter(t *testing.T) {
	l := list(t, checklist.Item{ID: "x", Attest: &checklist.Attest{Others: true}})
	s := subject
	s.Starter, s.StarterName = "", ""
	w := waiver(checklist.Person{Name: "ben"}, time.Now(), time.Now().Add(day))
	if r := l.Run(about(t, s), memory(t, w)); r.State.Holds() {
		t.Errorf("%+v", r)
	}
}

// TestSameBytes: the order in which people are looked at does not show.
func TestSameBytes(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var all []checklist.Record
		for i := range 4 {
			all = append(all, reject(checklist.Person{Name: fmt.Sprint("p", i)}, time.Now()))
		}
		l, src := list(t, checklist.Item{ID: "x", Attest: &checklist.Attest{}}), memory(t, all...)
		first := l.Run(about(t, subject), src).Sum()
		for range 50 {
			if l.Run(about(t, subject), src).Sum() != first {
				t.Fatal("equal records give different reports")
			}
		}
	})
}

// TestOneCheckHangs: a check that hangs until the end of ctx does not spoil an item that has
// passed, nor one that people vouch for.
func TestOneCheckHangs(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		hang := make(chan struct{})
		defer close(hang)
		l := list(t,
			checklist.Item{ID: "hangs", Check: checks.Func(func(context.Context) checks.Result { <-hang; return checks.Result{} })},
			checklist.Item{ID: "stored", Check: result(checks.Pass, "fine"), Valid: time.Hour},
			checklist.Item{ID: "x", Attest: &checklist.Attest{}, Needs: []string{"stored"}},
		)
		src := memory(t, vote(pia, time.Now()))
		ctx, cancel := context.WithTimeout(about(t, subject), time.Minute)
		defer cancel()
		for _, i := range l.Run(ctx, src).Sections[0].Items {
			want := checklist.Pass
			if i.ID == "hangs" {
				want = checklist.Unknown
			}
			if i.State != want {
				t.Errorf("%s is %v, want %v: %s %s", i.ID, i.State, want, i.Text, i.Error)
			}
		}
	})
}

// TestFailuresAreStoredOnce: a check that goes on failing, or that cannot determine its
// status, does not fill the source.
func TestFailuresAreStoredOnce(t *testing.T) {
	status := checks.Fail
	l := list(t, checklist.Item{ID: "x", Valid: time.Hour, Check: checks.Func(func(context.Context) checks.Result {
		return checks.Result{Status: status, Evidence: map[string]string{"big": strings.Repeat("x", 1<<20), "odd": "\xff\x1b"}}
	})})
	src := memory(t)
	for range 10 {
		run(t, l, src)
	}
	status = checks.Unknown
	run(t, l, src)
	all, err := src.Records(t.Context(), "x")
	if err != nil || len(all) != 1 || len(all[0].Result.Evidence["big"]) > 300 {
		t.Errorf("%d records, %v", len(all), err)
	}
}
