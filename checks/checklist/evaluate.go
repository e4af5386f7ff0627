package checklist

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/serin-go/serin/checks"
	"github.com/serin-go/serin/internal/quorum"
	"github.com/serin-go/serin/internal/visible"
)

// clockSkew is how far in the future a record may be.
const clockSkew = 2 * time.Minute

// Run evaluates the list for the [checks.Subject] of ctx at the present time. Checks run
// concurrently, at most [checks.Concurrency] at a time; items that need others run after
// them. A check that panics affects only its item and the items that need it. Run returns
// when all checks have returned, or soon after ctx has ended: give it a deadline. Items whose
// checks have not begun by then are Unknown. Results of checks with Valid are stored in src.
// A nil src has no records, and stores nothing.
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
	failed bool   // the newest stored result is a failure
	lapsed string // the waiver that has ended
	ended  time.Time
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
		if e.list.items[id].Skip == "" {
			read[id] = checks.Func(func(ctx context.Context) checks.Result {
				r, err := e.src.Records(ctx, id)
				mu.Lock()
				defer mu.Unlock()
				records[id], errs[id] = r, err
				return checks.Result{Status: checks.Pass}
			})
		}
	}
	// Sources may be remote: a check contains one that hangs. A check that has used up all
	// the time of ctx does not keep others from their records.
	access, cancel := e.access(ctx)
	defer cancel()
	for _, r := range checks.Run(access, read).Results {
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
	lapsed, ended := "", time.Time{}
	done := func(h half) *pending {
		e.items[i.ID] = r.with(h.after(lapsed, ended))
		return nil
	}
	if i.Skip != "" {
		return done(half{state: Skipped, text: i.Skip})
	}
	ranked := rank(i.ID, records)
	if err == nil {
		if h, ok := e.waived(i, ranked); ok {
			return done(h)
		}
	}
	if n := e.blocked(i); n != "" {
		return done(half{state: Blocked, text: "needs " + n + ", whose state is " + e.items[n].State.String()})
	}
	if err != nil {
		return done(half{text: "the records cannot be read: " + err.Error(), err: err})
	}
	lapsed, ended = e.lapsed(i, ranked)
	if e.dry && i.Check != nil && i.Valid == 0 {
		p := half{state: Pass} // it runs at each evaluation: the records decide
		if i.Attest != nil {
			p = both(i, p, e.votes(i, ranked))
		} else if lapsed != "" {
			p.state = Unknown
		}
		return done(p)
	}
	var votes half
	if i.Attest != nil {
		votes = e.votes(i, ranked)
		if i.Check == nil {
			return done(votes)
		}
	}
	p := &pending{item: i, report: r, votes: votes, lapsed: lapsed, ended: ended}
	if i.Valid > 0 {
		p.before, p.stored, p.failed = e.results(i, ranked)
		if p.before.state.Holds() {
			return done(both(i, p.before, votes))
		}
	}
	if e.dry {
		return done(both(i, p.before, votes))
	}
	return p
}

// access is a context for the source, which does not end with the time of the checks.
func (e *evaluation) access(ctx context.Context) (context.Context, context.CancelFunc) {
	return context.WithTimeout(context.WithoutCancel(ctx), accessTime)
}

// accessTime is how long a source has for the records of a generation, and for a result.
const accessTime = 10 * time.Second

// after adds the waiver that has ended to the text of an item that does not hold.
func (h half) after(lapsed string, ended time.Time) half {
	if lapsed != "" && !h.state.Holds() {
		h.text = strings.TrimPrefix(h.text+"; "+lapsed, "; ")
		h.lacking = true
		if h.till.IsZero() {
			h.till = ended
		}
	}
	return h
}

// looked evaluates an item whose check has run now.
func (e *evaluation) looked(ctx context.Context, p *pending, res checks.Result) {
	i := p.item
	res = bound(res)
	h := half{state: stateOf(res.Status), text: res.Summary, err: res.Err, since: e.now, evidence: res.Evidence}
	if res.Err != nil && !h.state.Holds() {
		h.text = strings.TrimPrefix(h.text+": "+res.Err.Error(), ": ")
	}
	switch {
	case i.Valid == 0:
	case h.state == Unknown && !p.stored.At.IsZero():
		h = half{state: Warn, text: "the check cannot determine its status now: " + h.text + "; the stored result stays until it expires", err: h.err,
			since: p.stored.At, till: p.stored.Until, evidence: p.stored.Result.Evidence}
	case h.state == Unknown && p.before.text != "":
		h.state, h.till = p.before.state, p.before.till
		h.text = p.before.text + "; the check cannot determine its status now: " + h.text
	case h.state == Unknown, h.state == Fail && p.failed:
		// It proves nothing, or nothing new.
	default:
		until := e.now.Add(i.Valid)
		err := e.keep(ctx, i, Record{Kind: Looked, Item: i.ID, Check: e.identity(i), Subject: e.subject, At: e.now, Until: until, Result: res})
		switch {
		case err != nil && h.state.Holds():
			h.state, h.text, h.err = Unknown, h.text+"; the result is not stored: "+err.Error(), err
		case err != nil:
			h.text, h.err = h.text+"; the result is not stored: "+err.Error(), cmp.Or(h.err, err)
		case h.state.Holds():
			h.till = until // a failed check runs again
		}
	}
	e.items[i.ID] = p.report.with(both(i, h, p.votes).after(p.lapsed, p.ended))
}

// identity is what a stored result belongs to: the list, and the requirements of the check
// if it has a digest.
func (e *evaluation) identity(i *Item) string {
	digest, err := checks.DigestOf(i.Check)
	if err != nil {
		digest = "invalid" // New has refused that
	}
	return strings.TrimSpace(e.list.name + " " + digest)
}

// keep stores a result, unless it is about nothing.
func (e *evaluation) keep(ctx context.Context, i *Item, r Record) error {
	if missing := e.missing(i.Scope); missing != "" {
		return fmt.Errorf("checklist: %s", missing)
	}
	access, cancel := e.access(ctx)
	defer cancel()
	report := checks.Run(access, map[string]checks.Check{"keep": checks.Func(func(ctx context.Context) checks.Result {
		if err := e.src.Keep(ctx, r); err != nil {
			return checks.Result{Err: err}
		}
		return checks.Result{Status: checks.Pass}
	})})
	if res := report.Results[0]; res.Status != checks.Pass {
		return cmp.Or(res.Err, fmt.Errorf("checklist: %s", res.Summary))
	}
	return nil
}

// The bounds of a result, in bytes: those that an engine keeps.
const (
	maxResult   = 1 << 10
	maxError    = 2 << 10
	maxPairs    = 32
	maxEvidence = 256
)

// bound returns a result that is small and prints.
func bound(res checks.Result) checks.Result {
	res.Summary = visible.Line(cut(res.Summary, maxResult))
	if res.Err != nil {
		if text := res.Err.Error(); len(text) > maxError || text != visible.Line(text) {
			res.Err = errors.New(visible.Line(cut(text, maxError)))
		}
	}
	evidence := make(map[string]string, min(len(res.Evidence), maxPairs))
	for _, key := range slices.Sorted(maps.Keys(res.Evidence)) {
		if len(evidence) == maxPairs {
			break
		}
		evidence[visible.Line(cut(key, maxEvidence))] = visible.Line(cut(res.Evidence[key], maxEvidence))
	}
	if res.Evidence = evidence; len(evidence) == 0 {
		res.Evidence = nil
	}
	return res
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
	worst.text = strings.TrimPrefix(check.text+"; "+votes.text, "; ")
	worst.people, worst.link, worst.sum, worst.evidence = votes.people, votes.link, votes.sum, check.evidence
	worst.err = cmp.Or(check.err, votes.err)
	worst.lacking = votes.lacking
	worst.since = earliest(check.since, votes.since)
	worst.till = earliest(check.till, votes.till)
	return worst
}

// severity orders states from good to bad. What is no state is as bad as Unknown.
func severity(s State) int {
	order := []State{Pass, Warn, Waived, Skipped, Blocked, Unknown, Expired, Fail}
	if i := slices.Index(order, s); i >= 0 {
		return i
	}
	return slices.Index(order, Unknown)
}

// earliest is the earlier time; zero means never.
func earliest(a, b time.Time) time.Time {
	if a.IsZero() || !b.IsZero() && b.Before(a) {
		return b
	}
	return a
}

// ranked is a record of an item.
type ranked struct {
	Record
	gone bool // it was withdrawn
}

// rank returns the records of an item in order, without withdrawals.
func rank(id string, records []Record) []ranked {
	gone := make(map[uint64]bool)
	for _, r := range records {
		if r.Kind == Withdrawal && r.Item == id {
			gone[r.Of] = true
		}
	}
	var left []ranked
	for _, r := range records {
		if r.Item == id && r.Kind != Withdrawal {
			left = append(left, ranked{r, r.Seq != 0 && gone[r.Seq]})
		}
	}
	slices.SortStableFunc(left, func(a, b ranked) int { return cmp.Compare(a.Seq, b.Seq) })
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

// about says why a record is about something else, or "". Evidence for one target does not
// count for another, since the rights of people may differ.
func (e *evaluation) about(s Scope, r Record) string {
	if m := e.missing(s); m != "" {
		return m
	}
	have, want := "", ""
	switch s {
	case OfOrganisation:
		return ""
	case OfCandidate:
		have, want = r.Subject.Digest, e.subject.Digest
	case OfPlan:
		have, want = r.Subject.Plan, e.subject.Plan
	}
	if have != want {
		return fmt.Sprintf("the evidence is about %s, not %s", cmp.Or(have, "nothing"), want)
	}
	if have, want := r.Subject.Target, e.subject.Target; have != want {
		return fmt.Sprintf("the evidence is about target %s, not %s", cmp.Or(have, "none"), cmp.Or(want, "none"))
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

// results returns what the stored results of the check say, the passed one that still
// counts, or zero, and whether the newest one is a failure. The check must run unless the
// state holds.
func (e *evaluation) results(i *Item, records []ranked) (half, Record, bool) {
	var why half
	unknown := false
	for _, r := range slices.Backward(records) {
		if r.Kind != Looked {
			continue
		}
		text := e.about(i.Scope, r.Record)
		if text == "" {
			text = e.future(r.Record)
		}
		if text == "" && r.Check != e.identity(i) {
			text = "the evidence is of another list or another check"
		}
		switch {
		case text != "":
			if why.text == "" {
				why = half{text: text}
			}
			continue
		case r.gone:
			return half{}, Record{}, false // it was withdrawn: run it again
		case r.Result.Status == checks.Unknown:
			unknown = true
			continue
		case !r.Result.Status.Opens(), r.Result.Err != nil:
			return half{}, Record{}, !unknown // it failed: run it again
		}
		till := earliest(r.At.Add(i.Valid), r.Until)
		if !e.now.Before(till) {
			if why.text == "" || why.state == Unknown {
				why = half{state: Expired, text: fmt.Sprintf("expired %s; it was good for %v", stamp(till), i.Valid), till: till}
			}
			return why, Record{}, false
		}
		r.Until = till
		h := half{state: stateOf(r.Result.Status), text: r.Result.Summary, since: r.At, till: till, evidence: r.Result.Evidence}
		if unknown {
			h.state, h.text = Unknown, "" // run it again, and keep this one if that is Unknown too
		}
		return h, r.Record, false
	}
	return why, Record{}, false
}

// waiver returns the newest waiver of an item that is about the subject and complete.
func (e *evaluation) waiver(i *Item, records []ranked) (Record, bool) {
	if i.Firm {
		return Record{}, false
	}
	for _, r := range slices.Backward(records) {
		switch {
		case r.Kind != Waiver, e.about(i.Scope, r.Record) != "", e.future(r.Record) != "", strings.TrimSpace(r.Reason) == "",
			!r.Until.After(r.At), quorum.Person(r.By.Subject, r.By.Name) == "":
			continue
		case r.gone, i.Attest != nil && i.Attest.Others && (e.subject.Starter == "" || e.starter(r.By)):
			return Record{}, false
		}
		return r.Record, true
	}
	return Record{}, false
}

// waived evaluates the waivers of an item.
func (e *evaluation) waived(i *Item, records []ranked) (half, bool) {
	r, ok := e.waiver(i, records)
	if !ok || !e.now.Before(r.Until) {
		return half{}, false
	}
	return half{state: Waived, text: "waived until " + stamp(r.Until) + " by " + r.By.show() + ": " + r.Reason,
		people: []string{r.By.show()}, since: r.At, till: r.Until, link: r.Link, sum: r.Sum}, true
}

// lapsed describes the waiver of an item that has ended, and returns its end.
func (e *evaluation) lapsed(i *Item, records []ranked) (string, time.Time) {
	r, ok := e.waiver(i, records)
	if !ok {
		return "", time.Time{}
	}
	return "the waiver of " + r.By.show() + " has ended " + stamp(r.Until), r.Until
}

// stamp is a time in a text.
func stamp(t time.Time) string { return t.UTC().Format("2006-01-02 15:04:05") }
