package ledger

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/serin-go/serin/checks"
	"github.com/serin-go/serin/checks/checklist"
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
	person string
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

// read reads a log.
func (l *Ledger) read(ctx context.Context, log string) (trail, error) {
	if log == Trail {
		var t trail
		for e, err := range l.Entries(ctx) {
			if err != nil {
				return trail{}, err
			}
			v := event{name: fmt.Sprintf("%s/%d", Trail, e.Seq), at: e.At, person: quorum.Person(e.By.Subject, e.By.Name), action: string(e.Kind)}
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
			l.mu.Lock()
			defer l.mu.Unlock()
			if err := l.refresh(ctx); err != nil {
				return "", err
			}
			root, err := l.tree.Root(int64(n))
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
		v := event{name: fmt.Sprintf("%s/%d", e.Rollout, e.Seq), at: e.At, person: quorum.Person(e.By.Subject, e.By.Name)}
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

// reviewed returns how many entries of each log were reviewed.
func (l *Ledger) reviewed(ctx context.Context) (map[string]int, error) {
	done := make(map[string]int)
	for e, err := range l.Entries(ctx) {
		if err != nil {
			return nil, err
		}
		if e.Review != nil {
			for _, r := range e.Review.Ranges {
				done[r.Log] = r.To
			}
		}
	}
	return done, nil
}

// Propose returns the review that is due: of each log the entries since the last review,
// and in Sampled those that must be looked at: waivers, erasures, changes of configuration,
// aborts, full promotions, and refusals in bursts.
func (l *Ledger) Propose(ctx context.Context) (Review, error) {
	done, err := l.reviewed(ctx)
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
	var p problems
	p.reason("Review.Findings", r.Findings, 1)
	if len(r.Ranges) == 0 {
		p.add("Review.Ranges", "empty", "at least one range")
	}
	done, err := l.reviewed(ctx)
	if err != nil {
		return Entry{}, err
	}
	r.Ranges = slices.Clone(r.Ranges)
	me := quorum.Person(by.Subject, by.Name)
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
			if e.person == me && slices.Contains(sensitive, e.action) {
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
	return l.append(ctx, Entry{At: now(), Kind: Reviewed, By: by, Review: &r})
}

// Reviewed returns a check that no entry of the ledger or of the trails of [Config.Targets]
// has waited longer than within for a review. within is positive.
func (l *Ledger) Reviewed(within time.Duration) checks.Check {
	return checks.Func(func(ctx context.Context) checks.Result {
		if within <= 0 {
			return checks.Result{Err: &checks.InvalidError{Package: "ledger", Field: "within", Value: within, Want: "a positive duration"}}
		}
		done, err := l.reviewed(ctx)
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
			} else if n < t.size {
				if age := time.Since(t.events[n].at); age > within {
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
