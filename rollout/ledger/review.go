package ledger

import (
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/serin-go/serin/checks"
	"github.com/serin-go/serin/checks/checklist"
	"github.com/serin-go/serin/internal/merkle"
	"github.com/serin-go/serin/internal/quorum"
	"github.com/serin-go/serin/rollout"
	"github.com/serin-go/serin/rollout/audit"
	"github.com/serin-go/serin/strategies"
)

// Trail is the name of the ledger in a [Range].
const Trail = "ledger"

// Range is a part of a record: the ledger, or the audit trail of a target.
type Range struct {
	// Log is [Trail] or a target of [Config.Targets].
	Log string `json:"log"`
	// From is the number of entries that were reviewed before, and To the number that are
	// reviewed now. Root is the root of the Merkle tree over the first To entries; it is
	// set by [Ledger.Review].
	From int    `json:"from"`
	To   int    `json:"to"`
	Root string `json:"root,omitempty"`
}

// Review is what a person has reviewed.
type Review struct {
	Ranges []Range `json:"ranges"`
	// Sampled lists the entries that were looked at closely, as [Ledger.Propose] names
	// them, and Findings is what the reviewer says.
	Sampled  []string `json:"sampled,omitempty"`
	Findings string   `json:"findings"`
}

// sensitive are the actions whose actors must not review them.
var sensitive = []string{"waive", strategies.PromoteFully.String(), "erase", "configure"}

// event is an entry of the ledger or of an audit trail, as a reviewer sees it.
type event struct {
	name   string // "ledger/12", "chat/3/7"
	at     time.Time
	by     rollout.Actor
	action string // "waive", "abort", ...
	burst  bool   // many refusals
}

// trail is a log with its size, its roots, and its events.
type trail struct {
	size   int
	root   func(n int) (string, error)
	events []event // one for each entry
}

// burst is the number of refusals in one entry that a reviewer must see.
const burst = 10

// verified returns all entries, and their tree.
func (l *Ledger) verified(ctx context.Context) ([]Entry, *merkle.Tree, error) {
	var all []Entry
	var broken error
	tree, err := l.scan(ctx, func(seq uint64, line []byte) {
		var e Entry
		if err := json.Unmarshal(line, &e); err != nil {
			broken = &TamperError{Seq: seq, Reason: "it cannot be read: " + err.Error()}
		}
		all = append(all, e)
	})
	return all, tree, cmp.Or(err, broken)
}

// read reads a log.
func (l *Ledger) read(ctx context.Context, log string) (trail, error) {
	if log == Trail {
		var t trail
		all, tree, err := l.verified(ctx)
		if err != nil {
			return trail{}, err
		}
		for _, e := range all {
			v := event{name: fmt.Sprintf("%s/%d", Trail, e.Seq), at: e.At, by: e.By, action: string(e.Kind)}
			switch e.Kind {
			case Kind(checklist.Waiver):
				v.action = "waive"
			case Noted:
				v.action = e.Name
			case Refusals:
				v.burst = e.Refused != nil && e.Refused.Count >= burst
			}
			t.events = append(t.events, v)
		}
		t.size = len(t.events)
		t.root = func(n int) (string, error) {
			root, err := tree.Root(int64(n))
			return root.String(), err
		}
		return t, nil
	}
	a, err := audit.Read(ctx, l.cfg.Store, log)
	if err != nil {
		return trail{}, err
	}
	if err := a.Verify(); err != nil {
		return trail{}, err
	}
	t := trail{size: a.Size(), root: func(n int) (string, error) {
		root, err := a.Root(n)
		return root.String(), err
	}}
	t.events = make([]event, a.Archived(), a.Size())
	for _, e := range a.Events() {
		v := event{name: fmt.Sprintf("%s/%d", e.Rollout, e.Seq), at: e.At, by: e.By}
		switch {
		case e.Rule != "command":
		case e.Phase == strategies.Aborted:
			v.action = strategies.Abort.String()
		case strings.HasPrefix(e.Reason, "promoted fully"):
			v.action = strategies.PromoteFully.String()
		}
		t.events = append(t.events, v)
	}
	return t, nil
}

// logs are the names of all logs that are reviewed.
func (l *Ledger) logs() []string { return append([]string{Trail}, l.cfg.Targets...) }

// reviewed returns how many entries of each log were reviewed, and the number of entries of
// the ledger.
func (l *Ledger) reviewed(ctx context.Context) (map[string]int, uint64, error) {
	done := make(map[string]int)
	all, _, err := l.verified(ctx)
	if err != nil {
		return nil, 0, err
	}
	for _, e := range all {
		if e.Review != nil && e.Kind == Reviewed {
			for _, r := range e.Review.Ranges {
				done[r.Log] = max(done[r.Log], r.To)
			}
		}
	}
	return done, uint64(len(all)), nil
}

// Propose returns the review that is due: of each log the entries since the last review,
// and in Sampled those that must be looked at: waivers, erasures, changes of configuration,
// aborts, full promotions, and refusals in bursts.
func (l *Ledger) Propose(ctx context.Context) (Review, error) {
	done, _, err := l.reviewed(ctx)
	if err != nil {
		return Review{}, err
	}
	var r Review
	for _, log := range l.logs() {
		t, err := l.read(ctx, log)
		if err != nil {
			return Review{}, err
		}
		if t.size <= done[log] {
			continue
		}
		r.Ranges = append(r.Ranges, Range{Log: log, From: done[log], To: t.size})
		for _, e := range t.events[done[log]:] {
			if e.burst || slices.Contains(sensitive, e.action) || e.action == strategies.Abort.String() {
				r.Sampled = append(r.Sampled, e.name)
			}
		}
	}
	return r, nil
}

// Review records that a person has reviewed ranges of the ledger and of audit trails. Each
// range begins where the review before it ended; a gap is refused. So is a reviewer who has
// waived, promoted fully, erased or configured something within the ranges. Errors are as
// for [Ledger.Vouch].
func (l *Ledger) Review(ctx context.Context, r Review, by rollout.Actor) (Entry, error) {
	for {
		e, err := l.review(ctx, r, by)
		if !errors.Is(err, errMoved) {
			return e, err
		}
	}
}

// review tries to record a review. It returns errMoved if another entry was written.
func (l *Ledger) review(ctx context.Context, r Review, by rollout.Actor) (Entry, error) {
	var p problems
	p.reason("Review.Findings", r.Findings, 1)
	if len(r.Ranges) == 0 {
		p.add("Review.Ranges", "empty", "at least one range")
	}
	if len(r.Sampled) > maxSampled {
		p.add("Review.Sampled", len(r.Sampled), fmt.Sprintf("at most %d entries", maxSampled))
	}
	done, last, err := l.reviewed(ctx)
	if err != nil {
		return Entry{}, err
	}
	r.Ranges = slices.Clone(r.Ranges)
	seen := make(map[string]bool)
	for i := range r.Ranges {
		g, at := &r.Ranges[i], fmt.Sprintf("Review.Ranges[%d]", i)
		if !slices.Contains(l.logs(), g.Log) || seen[g.Log] {
			p.add(at+".Log", g.Log, fmt.Sprintf("one of %q, each once", l.logs()))
			continue
		}
		seen[g.Log] = true
		t, err := l.read(ctx, g.Log)
		if err != nil {
			return Entry{}, err
		}
		if g.From != done[g.Log] {
			p.add(at+".From", g.From, fmt.Sprintf("%d, where the review before it ended", done[g.Log]))
			continue
		}
		if g.To <= g.From || g.To > t.size {
			p.add(at+".To", g.To, fmt.Sprintf("more than %d, at most %d", g.From, t.size))
			continue
		}
		for _, e := range t.events[g.From:g.To] {
			if quorum.Same(e.by.Subject, e.by.Name, by.Subject, by.Name) && slices.Contains(sensitive, e.action) {
				p.add("by", by.Name, fmt.Sprintf("a person who has not done %s (%s)", e.action, e.name))
				break
			}
		}
		if g.Root, err = t.root(g.To); err != nil {
			return Entry{}, err
		}
	}
	if err := l.admit(ctx, &p, by, ActionReview, ""); err != nil {
		return Entry{}, err
	}
	return l.appendAfter(ctx, last, Entry{At: now(), Kind: Reviewed, By: by, Review: &r})
}

// maxSampled bounds the sample of a review.
const maxSampled = 1000

// Reviewed returns a check that no entry of the ledger or of the trails of [Config.Targets]
// has waited longer than within for a review. Reviews alone need no review. within is
// positive. A ledger or a trail that does not verify is Unknown.
func (l *Ledger) Reviewed(within time.Duration) checks.Check {
	return checks.Func(func(ctx context.Context) checks.Result {
		if within <= 0 {
			return checks.Result{Err: &checks.InvalidError{Package: "ledger", Field: "within", Value: within, Want: "a positive duration"}}
		}
		done, _, err := l.reviewed(ctx)
		if err != nil {
			return checks.Result{Summary: "the ledger cannot be read", Err: err}
		}
		var late []error
		for _, log := range l.logs() {
			t, err := l.read(ctx, log)
			if err != nil {
				return checks.Result{Summary: "the log of " + log + " cannot be read", Err: err}
			}
			if n := done[log]; n > t.size {
				return checks.Result{Status: checks.Fail, Summary: fmt.Sprintf("%d entries of %s were reviewed, and it has %d", n, log, t.size)}
			} else if rest := t.events[n:]; slices.ContainsFunc(rest, func(e event) bool { return e.action != string(Reviewed) }) {
				if age := time.Since(rest[0].at); age > within {
					late = append(late, fmt.Errorf("%d entries of %s wait for a review, the oldest for %v, want at most %v", t.size-n, log, age.Round(time.Second), within))
				}
			}
		}
		if len(late) > 0 {
			err := errors.Join(late...)
			return checks.Result{Status: checks.Fail, Summary: late[0].Error(), Err: err}
		}
		return checks.Result{Status: checks.Pass, Summary: fmt.Sprintf("everything older than %v was reviewed", within)}
	})
}
