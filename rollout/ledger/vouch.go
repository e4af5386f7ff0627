package ledger

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/url"
	"strings"
	"time"
	"unicode/utf8"

	"github.com/serin-go/serin/checks"
	"github.com/serin-go/serin/checks/checklist"
	"github.com/serin-go/serin/internal/quorum"
	"github.com/serin-go/serin/rollout"
)

// The bounds of what people may say, in bytes.
const (
	minReason = 20
	maxReason = 4 << 10
	maxNote   = 64 << 10
)

// Proof is what a person gives with a vote.
type Proof struct {
	// Reject rejects the item instead of vouching for it.
	Reject bool
	// Reason is the reason in words. A rejection has one.
	Reason string
	// Link is the address of the proof, and Sum "sha256:" with the digest of what is there.
	Link, Sum string
}

// Waiver accepts an item that does not hold, for a time.
type Waiver struct {
	Item    string
	Subject checks.Subject
	// Reason has at least 20 characters.
	Reason string
	// Until is the end, at most [Config.MaxWaiver] from now.
	Until time.Time
}

// problems collects what is wrong with arguments.
type problems struct{ errs []error }

func (p *problems) add(field string, value any, want string) {
	p.errs = append(p.errs, &checks.InvalidError{Package: "ledger", Field: field, Value: value, Want: want})
}

func (p *problems) reason(field, s string, least int) {
	if n := utf8.RuneCountInString(strings.TrimSpace(s)); n < least || len(s) > maxReason {
		p.add(field, fmt.Sprintf("%d characters", n), fmt.Sprintf("%d characters to %d bytes", least, maxReason))
	}
}

// declared returns the items with an id of all lists.
func (l *Ledger) declared(p *problems, field, id string) (all []checklist.Item) {
	l.lock <- struct{}{}
	lists := l.lists
	l.leave()
	for _, list := range lists {
		for _, i := range list.Items {
			if i.ID == id {
				all = append(all, i)
			}
		}
	}
	if id == "" || len(lists) > 0 && len(all) == 0 {
		p.add(field, id, "the ID of an item of the lists")
	}
	return all
}

// target returns the target for which an actor must have the right: none for evidence that
// counts for all.
func target(items []checklist.Item, s checks.Subject) string {
	for _, i := range items {
		if i.Scope == checklist.OfOrganisation {
			return ""
		}
	}
	return s.Target
}

// about checks that a subject names what evidence of an item is about.
func (p *problems) about(i checklist.Item, s checks.Subject) {
	switch {
	case i.Scope == checklist.OfCandidate && s.Digest == "":
		p.add("Subject.Digest", s.Digest, "the digest of the candidate")
	case i.Scope == checklist.OfPlan && s.Plan == "":
		p.add("Subject.Plan", s.Plan, "the digest of the plan")
	case i.Scope == checklist.OfTarget && s.Target == "":
		p.add("Subject.Target", s.Target, "a target")
	}
}

// admit checks an actor and their right.
func (l *Ledger) admit(ctx context.Context, p *problems, by rollout.Actor, what rollout.Action, target string) error {
	if err := errors.Join(append(p.errs, by.Validate())...); err != nil {
		return err
	}
	if l.cfg.Authorize == nil {
		return nil
	}
	err := l.cfg.Authorize(ctx, by, what, target)
	if err == nil {
		return nil
	}
	reason := err.Error()
	if f := (*rollout.ForbiddenError)(nil); errors.As(err, &f) {
		reason = f.Reason
	} else {
		err = &rollout.ForbiddenError{Actor: by.Name, Action: what, Target: target, Reason: reason, Err: err}
	}
	l.Refused(ctx, rollout.Refusal{By: by, Action: what, Target: target, Rule: "authorize", Reason: reason})
	return err
}

func person(by rollout.Actor) checklist.Person {
	return checklist.Person{Subject: by.Subject, Name: by.Name, Roles: by.Roles, Proved: by.Proved}
}

// record writes a record of a person.
func (l *Ledger) record(ctx context.Context, r checklist.Record, by rollout.Actor) (checklist.Record, error) {
	r.By, r.At = person(by), now()
	e, err := l.append(ctx, Entry{At: r.At, Kind: Kind(r.Kind), By: by, Record: &r})
	if err != nil {
		return checklist.Record{}, err
	}
	r.Seq = e.Seq
	return r, nil
}

// Vouch records that a person vouches for an item, or rejects it, and returns the record
// with its number. It refuses a vote that could not count: for an item that no person
// vouches for, from a role that may not, without the second factor or the proof that the
// item requires. Errors are [*checks.InvalidError] values, joined, a
// [*rollout.ForbiddenError], or errors of the store; after one of these the vote may have
// been written nevertheless.
func (l *Ledger) Vouch(ctx context.Context, item string, s checks.Subject, v Proof, by rollout.Actor) (checklist.Record, error) {
	var p problems
	r := checklist.Record{Kind: checklist.Vote, Item: item, Subject: s, Reason: v.Reason, Link: v.Link, Sum: v.Sum, Result: checks.Result{Status: checks.Pass}}
	least := 0
	if v.Reject {
		r.Result.Status, least = checks.Fail, 1
	}
	p.reason("Proof.Reason", v.Reason, least)
	if u, err := url.Parse(v.Link); v.Link != "" && (err != nil || u.Host == "" || u.User != nil || u.Scheme != "http" && u.Scheme != "https" || len(v.Link) > maxReason) {
		p.add("Proof.Link", fmt.Sprintf("%d bytes", len(v.Link)), fmt.Sprintf("an http or https URL without a user, of at most %d bytes", maxReason))
	}
	if _, err := reportKey(v.Sum); v.Sum != "" && err != nil {
		p.add("Proof.Sum", v.Sum, "sha256: and 64 hexadecimal digits")
	}
	items := l.declared(&p, "item", item)
	for _, i := range items {
		p.about(i, s)
		p.vote(i, s, v, by)
	}
	if err := l.admit(ctx, &p, by, ActionAttest, target(items, s)); err != nil {
		return checklist.Record{}, err
	}
	return l.record(ctx, r, by)
}

// vote checks a vote against what an item requires.
func (p *problems) vote(i checklist.Item, s checks.Subject, v Proof, by rollout.Actor) {
	a := i.Attest
	if a == nil {
		p.add("item", i.ID, "an item that people vouch for")
		return
	}
	takes := len(a.Rules) == 0
	for _, rule := range a.Rules {
		takes = takes || quorum.Rule(rule).Takes(by.Roles)
	}
	if !takes {
		p.add("by.Roles", by.Roles, "a role that may vouch for the item")
	}
	if v.Reject {
		return
	}
	if a.Proof && (v.Link == "" || v.Sum == "") {
		p.add("Proof.Link", v.Link, "a link and a sum, which the item requires")
	}
	if age := now().Sub(by.Proved); a.MFA > 0 && (age > a.MFA || age < -time.Minute) {
		p.add("by.Proved", by.Proved, fmt.Sprintf("a second factor at most %v ago", a.MFA))
	}
	if a.Others && starter(s, by) {
		p.add("by", by.Name, "another person than the one who started the rollout")
	}
}

// starter reports whether an actor has started the rollout of s.
func starter(s checks.Subject, by rollout.Actor) bool {
	return s.Starter != "" && (s.Starter == quorum.Person(by.Subject, by.Name) || quorum.Person("", by.Name) == quorum.Person("", s.Starter) ||
		by.Subject == "" && s.StarterName != "" && quorum.Same("", by.Name, "", s.StarterName))
}

// Waive records a waiver, and returns the record with its number. It refuses waivers of
// firm items. Errors are as for [Ledger.Vouch].
func (l *Ledger) Waive(ctx context.Context, w Waiver, by rollout.Actor) (checklist.Record, error) {
	var p problems
	p.reason("Waiver.Reason", w.Reason, minReason)
	if left := time.Until(w.Until); left <= 0 || left > l.cfg.MaxWaiver {
		p.add("Waiver.Until", w.Until, fmt.Sprintf("a time in the future, at most %v from now", l.cfg.MaxWaiver))
	}
	items := l.declared(&p, "Waiver.Item", w.Item)
	for _, i := range items {
		p.about(i, w.Subject)
		if i.Firm {
			p.add("Waiver.Item", w.Item, "an item that is not firm")
		}
		if i.Attest != nil && i.Attest.Others && starter(w.Subject, by) {
			p.add("by", by.Name, "another person than the one who started the rollout")
		}
	}
	if err := l.admit(ctx, &p, by, ActionWaive, target(items, w.Subject)); err != nil {
		return checklist.Record{}, err
	}
	return l.record(ctx, checklist.Record{Kind: checklist.Waiver, Item: w.Item, Subject: w.Subject, Reason: w.Reason, Until: w.Until.UTC()}, by)
}

// Withdraw takes back the vote, the waiver or the result with a number. It takes effect
// with the next evaluation of the list. Errors are as for [Ledger.Vouch]; the number of
// another entry is a [*checks.InvalidError].
func (l *Ledger) Withdraw(ctx context.Context, seq uint64, why string, by rollout.Actor) error {
	var p problems
	p.reason("why", why, 1)
	if err := l.enter(ctx); err != nil {
		return err
	}
	err := l.refresh(ctx)
	var of checklist.Record
	for _, records := range l.items {
		for _, r := range records {
			if r.Seq == seq && r.Kind != checklist.Withdrawal {
				of = r
			}
		}
	}
	l.leave()
	if err != nil {
		return err
	}
	if of.Item == "" {
		p.add("seq", seq, "the number of a vote, a waiver or a result")
	}
	if err := l.admit(ctx, &p, by, ActionWithdraw, of.Subject.Target); err != nil {
		return err
	}
	_, err = l.record(ctx, checklist.Record{Kind: checklist.Withdrawal, Item: of.Item, Subject: of.Subject, Reason: why, Of: seq}, by)
	return err
}

// Note records a security event, an erasure or a change of configuration. name says what
// happened, in at most 128 bytes: "erase" for an erasure and "configure" for a change of
// configuration, which [Ledger.Propose] samples and the actor must not review. what holds
// details, which marshal to at most 64 KiB of JSON. Errors are as for [Ledger.Vouch].
func (l *Ledger) Note(ctx context.Context, name string, what any, by rollout.Actor) error {
	var p problems
	if strings.TrimSpace(name) == "" || len(name) > 128 {
		p.add("name", name, "1 to 128 bytes")
	}
	details, err := json.Marshal(what)
	if err != nil || len(details) > maxNote {
		p.add("what", fmt.Sprintf("%T", what), fmt.Sprintf("a value that marshals to at most %d bytes of JSON", maxNote))
	}
	if err := l.admit(ctx, &p, by, ActionNote, ""); err != nil {
		return err
	}
	_, err = l.append(ctx, Entry{At: now(), Kind: Noted, By: by, Name: name, Note: details})
	return err
}
