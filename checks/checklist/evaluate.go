package checklist

import (
	"cmp"
	"context"
	"fmt"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/serin-go/serin/checks"
	"github.com/serin-go/serin/internal/quorum"
)

// clockSkew is how far in the future a record may be.
const clockSkew = 2 * time.Minute

// Run evaluates the list for the [checks.Subject] of ctx at the present time. Checks run
// concurrently, at most [checks.Concurrency] at a time, and a check that hangs, panics or
// fails affects only its item and the items that need it. Results of checks with Valid are
// stored in src. A nil src has no records, and stores nothing.
func (l *List) Run(ctx context.Context, src Source) Report {
	return l.evaluate(ctx, src, false).report()
}

// evaluate evaluates the items that are reported and those that they need. dry does so from
// the records alone.
func (l *List) evaluate(ctx context.Context, src Source, dry bool) *evaluation {
	if src == nil {
		src = none{}
	}
	subject, _ := checks.SubjectOf(ctx)
	e := &evaluation{list: l, src: src, subject: subject, now: time.Now().UTC(), dry: dry, items: make(map[string]ItemReport)}
	needed := l.needed()
	for _, generation := range l.order {
		e.generation(ctx, slices.DeleteFunc(slices.Clone(generation), func(id string) bool { return !needed[id] }))
	}
	return e
}

// needed is the set of the items that are reported, and of those that they need.
func (l *List) needed() map[string]bool {
	needed := make(map[string]bool)
	var add func(id string)
	add = func(id string) {
		if !needed[id] {
			needed[id] = true
			for _, n := range l.items[id].Needs {
				add(n)
			}
		}
	}
	for _, i := range l.Items {
		add(i.ID)
	}
	return needed
}

// none is the source of a list that has none.
type none struct{}

func (none) Records(context.Context, string) ([]Record, error) { return nil, nil }
func (none) Keep(context.Context, Record) error {
	return fmt.Errorf("checklist: there is no source to store the result")
}

// evaluation is one run of a list.
type evaluation struct {
	list    *List
	src     Source
	subject checks.Subject
	now     time.Time
	dry     bool                  // no check runs, and no item blocks another
	items   map[string]ItemReport // finished
}

// pending is an item whose check must run.
type pending struct {
	item   *Item
	report ItemReport
	before half   // why stored results do not count
	stored Record // passed and still counts, although a later run was Unknown
	votes  half
	lapsed string // the waiver that has ended
}

// generation evaluates items that need only finished ones.
func (e *evaluation) generation(ctx context.Context, ids []string) {
	var mu sync.Mutex
	run := make(map[string]checks.Check)
	wait := make(map[string]*pending)
	records := make(map[string][]Record, len(ids))
	errs := make(map[string]error)
	read := make(map[string]checks.Check)
	for _, id := range ids {
		if item := e.list.items[id]; item.Skip == "" && e.blocked(item) == "" {
			read[id] = checks.Func(func(ctx context.Context) checks.Result {
				r, err := e.src.Records(ctx, id)
				mu.Lock()
				defer mu.Unlock()
				records[id], errs[id] = r, err
				return checks.Result{Status: checks.Pass}
			})
		}
	}
	// Sources may be remote: a check contains one that hangs.
	for _, r := range checks.Run(ctx, read).Results {
		if r.Status != checks.Pass {
			mu.Lock()
			errs[r.Name] = cmp.Or(r.Err, fmt.Errorf("checklist: %s", r.Summary))
			mu.Unlock()
		}
	}
	mu.Lock()
	for _, id := range ids {
		if p := e.stored(e.list.items[id], records[id], errs[id]); p != nil {
			run[id], wait[id] = p.item.Check, p
		}
	}
	mu.Unlock()
	for _, r := range checks.Run(ctx, run).Results {
		e.looked(ctx, wait[r.Name], r.Result)
	}
}

// blocked returns the first item that i needs and that does not hold, or "".
func (e *evaluation) blocked(i *Item) string {
	if e.dry {
		return ""
	}
	for _, n := range i.Needs {
		if !e.items[n].State.Holds() {
			return n
		}
	}
	return ""
}

// half is what the check or the people say about an item.
type half struct {
	state       State
	text        string
	err         error
	people      []string
	since, till time.Time
	link, sum   string
	evidence    map[string]string
	lacking     bool // it is known that evidence of people is missing
}

// stored evaluates an item from its records. It returns the item if its check must run.
func (e *evaluation) stored(i *Item, records []Record, err error) *pending {
	r := ItemReport{ID: i.ID, Title: cmp.Or(i.Title, i.ID), Owner: i.Owner, Level: i.Level, Automated: i.Check != nil, Controls: sorted(i.Controls), Runbook: i.Runbook}
	lapsed := ""
	done := func(h half) *pending {
		e.items[i.ID] = r.with(h.after(lapsed))
		return nil
	}
	if i.Skip != "" {
		return done(half{state: Skipped, text: i.Skip})
	}
	if n := e.blocked(i); n != "" {
		return done(half{state: Blocked, text: "needs " + n + ", whose state is " + e.items[n].State.String()})
	}
	if err != nil {
		return done(half{text: "the records cannot be read: " + err.Error(), err: err})
	}
	records = standing(i.ID, records)
	if h, ok := e.waived(i, records); ok {
		return done(h)
	}
	lapsed = e.lapsed(i, records)
	var votes half
	if i.Attest != nil {
		votes = e.votes(i, records)
		if i.Check == nil {
			return done(votes)
		}
	}
	p := &pending{item: i, report: r, votes: votes, lapsed: lapsed}
	if i.Valid > 0 {
		p.before, p.stored = e.results(i, records)
		if p.before.state.Holds() {
			return done(both(i, p.before, votes))
		}
	}
	if e.dry {
		return done(both(i, p.before, votes))
	}
	return p
}

// after adds the waiver that has ended to the text of an item that does not hold.
func (h half) after(lapsed string) half {
	if lapsed != "" && !h.state.Holds() {
		h.text += "; " + lapsed
		h.lacking = true
	}
	return h
}

// looked evaluates an item whose check has run now.
func (e *evaluation) looked(ctx context.Context, p *pending, res checks.Result) {
	i := p.item
	h := half{state: stateOf(res.Status), text: res.Summary, err: res.Err, since: e.now, evidence: res.Evidence}
	if res.Err != nil && !h.state.Holds() {
		h.text = strings.TrimPrefix(h.text+": "+res.Err.Error(), ": ")
	}
	switch {
	case i.Valid > 0 && !p.stored.At.IsZero() && h.state == Unknown:
		h = half{state: Warn, text: "the check cannot determine its status now: " + h.text + "; the stored result stays until it expires", err: h.err,
			since: p.stored.At, till: p.stored.Until, evidence: p.stored.Result.Evidence}
	case i.Valid > 0 && h.state == Unknown && p.before.text != "":
		h.state, h.till = p.before.state, p.before.till
		h.text = p.before.text + "; the check cannot determine its status now: " + h.text
	case i.Valid > 0:
		h.till = e.now.Add(i.Valid)
		kept := Record{Kind: Looked, Item: i.ID, Subject: e.subject, At: e.now, Until: h.till, Result: res}
		if err := e.keep(ctx, i, kept); err != nil {
			if h.state.Holds() {
				h.state = Unknown
			}
			h.text, h.err, h.till = h.text+"; the result is not stored: "+err.Error(), err, time.Time{}
		}
		if !h.state.Holds() {
			h.till = time.Time{} // a failed check runs again
		}
	}
	e.items[i.ID] = p.report.with(both(i, h, p.votes).after(p.lapsed))
}

// keep stores a result, unless it is about nothing.
func (e *evaluation) keep(ctx context.Context, i *Item, r Record) error {
	if missing := e.missing(i.Scope); missing != "" {
		return fmt.Errorf("checklist: %s", missing)
	}
	var err error
	report := checks.Run(ctx, map[string]checks.Check{"keep": checks.Func(func(ctx context.Context) checks.Result {
		if err := e.src.Keep(ctx, r); err != nil {
			return checks.Result{Err: err}
		}
		return checks.Result{Status: checks.Pass}
	})})
	if res := report.Results[0]; res.Status != checks.Pass {
		err = cmp.Or(res.Err, fmt.Errorf("checklist: %s", res.Summary))
	}
	return err
}

// both combines what the check and the people say.
func both(i *Item, check, votes half) half {
	if i.Attest == nil {
		return check
	}
	worst := check
	if severity(votes.state) > severity(check.state) {
		worst = votes
	}
	worst.text = check.text + "; " + votes.text
	worst.people, worst.link, worst.sum, worst.evidence = votes.people, votes.link, votes.sum, check.evidence
	worst.err = cmp.Or(check.err, votes.err)
	worst.lacking = votes.lacking
	worst.till = earliest(check.till, votes.till)
	return worst
}

// severity orders states from good to bad.
func severity(s State) int {
	return slices.Index([]State{Pass, Warn, Waived, Skipped, Blocked, Unknown, Expired, Fail}, s)
}

// earliest is the earlier time; zero means never.
func earliest(a, b time.Time) time.Time {
	if a.IsZero() || !b.IsZero() && b.Before(a) {
		return b
	}
	return a
}

// standing returns the records of an item that no other one withdraws, in order.
func standing(id string, records []Record) []Record {
	gone := make(map[uint64]bool)
	for _, r := range records {
		if r.Kind == Withdrawal && r.Item == id {
			gone[r.Of] = true
		}
	}
	var left []Record
	for _, r := range records {
		if r.Item == id && r.Kind != Withdrawal && (r.Seq == 0 || !gone[r.Seq]) {
			left = append(left, r)
		}
	}
	slices.SortStableFunc(left, func(a, b Record) int { return cmp.Compare(a.Seq, b.Seq) })
	return left
}

// missing says what the subject lacks for a scope, or "".
func (e *evaluation) missing(s Scope) string {
	switch {
	case s == OfCandidate && e.subject.Digest == "":
		return "the candidate has no digest that evidence could be about"
	case s == OfPlan && e.subject.Plan == "":
		return "there is no digest of a plan that evidence could be about"
	case s == OfTarget && e.subject.Target == "":
		return "there is no target that evidence could be about"
	}
	return ""
}

// about says why a record is about something else, or "".
func (e *evaluation) about(s Scope, r Record) string {
	if m := e.missing(s); m != "" {
		return m
	}
	have, want := "", ""
	switch s {
	case OfCandidate:
		have, want = r.Subject.Digest, e.subject.Digest
	case OfPlan:
		have, want = r.Subject.Plan, e.subject.Plan
	case OfTarget:
		have, want = r.Subject.Target, e.subject.Target
	}
	if have != want {
		return fmt.Sprintf("the evidence is about %s, not %s", cmp.Or(have, "nothing"), want)
	}
	return ""
}

// future says why the time of a record does not count, or "".
func (e *evaluation) future(r Record) string {
	if ahead := r.At.Sub(e.now); ahead > clockSkew {
		return fmt.Sprintf("the evidence is %v in the future", ahead.Round(time.Second))
	}
	if r.At.IsZero() {
		return "the evidence has no time"
	}
	return ""
}

// results returns what the stored results of the check say, and the passed one that still
// counts, or zero. The check must run unless the state holds.
func (e *evaluation) results(i *Item, records []Record) (half, Record) {
	var why half
	unknown := false
	for _, r := range slices.Backward(records) {
		if r.Kind != Looked {
			continue
		}
		text := e.about(i.Scope, r)
		if text == "" {
			text = e.future(r)
		}
		switch {
		case text != "":
			if why.text == "" {
				why = half{text: text}
			}
			continue
		case r.Result.Status == checks.Unknown:
			unknown = true
			continue
		case !r.Result.Status.Opens(), r.Result.Err != nil:
			return half{}, Record{} // it failed: run it again
		}
		till := earliest(r.At.Add(i.Valid), r.Until)
		if !e.now.Before(till) {
			if why.text == "" || why.state == Unknown {
				why = half{state: Expired, text: fmt.Sprintf("expired %s; it was good for %v", stamp(till), i.Valid), till: till}
			}
			return why, Record{}
		}
		r.Until = till
		h := half{state: stateOf(r.Result.Status), text: r.Result.Summary, since: r.At, till: till, evidence: r.Result.Evidence}
		if unknown {
			h.state, h.text = Unknown, "" // run it again, and keep this one if that is Unknown too
		}
		return h, r
	}
	return why, Record{}
}

// waived evaluates the waivers of an item.
func (e *evaluation) waived(i *Item, records []Record) (half, bool) {
	if i.Firm {
		return half{}, false
	}
	for _, r := range slices.Backward(records) {
		switch {
		case r.Kind != Waiver, e.about(i.Scope, r) != "", e.future(r) != "", strings.TrimSpace(r.Reason) == "",
			!e.now.Before(r.Until), !r.Until.After(r.At), quorum.Person(r.By.Subject, r.By.Name) == "",
			i.Attest != nil && i.Attest.Others && e.starter(r.By):
			continue
		}
		return half{state: Waived, text: "waived until " + stamp(r.Until) + " by " + r.By.show() + ": " + r.Reason,
			people: []string{r.By.show()}, since: r.At, till: r.Until, link: r.Link, sum: r.Sum}, true
	}
	return half{}, false
}

// lapsed describes the last waiver of an item that has ended, or "".
func (e *evaluation) lapsed(i *Item, records []Record) string {
	for _, r := range slices.Backward(records) {
		if r.Kind == Waiver && !i.Firm && e.about(i.Scope, r) == "" && !e.now.Before(r.Until) {
			return "the waiver of " + r.By.show() + " has ended " + stamp(r.Until)
		}
	}
	return ""
}

// starter reports whether p is the person who started the rollout.
func (e *evaluation) starter(p Person) bool {
	s := e.subject.Starter
	return s != "" && (quorum.Person(p.Subject, p.Name) == s || quorum.Person("", p.Name) == quorum.Person("", s))
}

func (p Person) show() string { return cmp.Or(p.Name, p.Subject) }

// votes evaluates what people say about an item.
func (e *evaluation) votes(i *Item, records []Record) half {
	if m := e.missing(i.Scope); m != "" {
		return half{text: m, lacking: true}
	}
	a, rules := i.Attest, i.Attest.rules()
	last := make(map[string]Record)
	var why string // why a vote does not count
	for _, r := range records {
		if r.Kind != Vote {
			continue
		}
		person := quorum.Person(r.By.Subject, r.By.Name)
		text := cmp.Or(e.about(i.Scope, r), e.future(r))
		if text == "" {
			text = a.refuses(e, rules, person, r)
		}
		if text != "" {
			why = text
			continue
		}
		last[person] = r
	}
	votes := make([]Record, 0, len(last))
	for _, r := range last {
		if r.Result.Status == checks.Fail {
			return half{state: Fail, text: strings.TrimSuffix("rejected by "+r.By.show()+": "+r.Reason, ": "), people: []string{r.By.show()}, since: r.At}
		}
		votes = append(votes, r)
	}
	// The newest votes that are enough hold longest.
	slices.SortFunc(votes, func(x, y Record) int {
		return cmp.Or(y.until(a).Compare(x.until(a)), cmp.Compare(y.Seq, x.Seq), cmp.Compare(x.By.show(), y.By.show()))
	})
	var roles [][]string
	for n, r := range votes {
		roles = append(roles, r.By.Roles)
		if missing, _ := quorum.Place(rules, roles); len(missing) > 0 {
			continue
		}
		h := half{state: Pass, till: r.until(a), since: r.At, link: votes[0].Link, sum: votes[0].Sum}
		for _, v := range votes[:n+1] {
			h.people = append(h.people, v.By.show())
			if v.At.Before(h.since) {
				h.since = v.At
			}
			if h.link == "" {
				h.link, h.sum = v.Link, v.Sum
			}
		}
		slices.Sort(h.people)
		h.text = "vouched for by " + strings.Join(h.people, ", ")
		if !e.now.Before(h.till) {
			h.state, h.text = Expired, h.text+", and expired "+stamp(h.till)
		}
		return h
	}
	missing, placed := quorum.Place(rules, roles)
	need := 0
	for _, r := range rules {
		need += r.Need
	}
	words := make([]string, len(missing))
	for k, m := range missing {
		words[k] = m.String()
	}
	text := fmt.Sprintf("%d of %d votes, still needed: %s", placed, need, strings.Join(words, ", "))
	if why != "" {
		text += "; " + why
	}
	return half{text: text, lacking: true}
}

// until is the end of a vote.
func (r Record) until(a *Attest) time.Time { return earliest(r.At.Add(a.valid()), r.Until) }

// refuses says why a vote does not count, or "".
func (a *Attest) refuses(e *evaluation, rules []quorum.Rule, person string, r Record) string {
	reject := r.Result.Status == checks.Fail
	switch {
	case person == "":
		return "a vote has no person"
	case r.Result.Status != checks.Pass && !reject:
		return "the vote of " + r.By.show() + " neither vouches nor rejects"
	case !slices.ContainsFunc(rules, func(q quorum.Rule) bool { return q.Takes(r.By.Roles) }):
		return r.By.show() + " has none of the roles that may vouch"
	case reject:
		return ""
	case a.Others && e.subject.Starter == "":
		return "it is not known who started the rollout"
	case a.Others && e.starter(r.By):
		return r.By.show() + " started the rollout, and others must vouch"
	case a.MFA > 0 && r.By.Proved.IsZero():
		return r.By.show() + " has not proved a second factor"
	case a.MFA > 0 && (r.At.Sub(r.By.Proved) > a.MFA || r.By.Proved.Sub(r.At) > clockSkew):
		return fmt.Sprintf("the second factor of %s was proved %v before the vote, want at most %v", r.By.show(), r.At.Sub(r.By.Proved).Round(time.Second), a.MFA)
	case a.Proof && (r.Link == "" || !digest(r.Sum)):
		return "the vote of " + r.By.show() + " has no proof: a link and its sha256"
	}
	return ""
}

// digest reports whether s is "sha256:" with 64 hexadecimal digits.
func digest(s string) bool {
	hex, ok := strings.CutPrefix(s, "sha256:")
	return ok && len(hex) == 64 && strings.Trim(hex, "0123456789abcdef") == ""
}

// stamp is a time in a text.
func stamp(t time.Time) string { return t.UTC().Format("2006-01-02 15:04:05") }
