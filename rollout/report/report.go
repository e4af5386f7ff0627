package report

import (
	"cmp"
	"context"
	"fmt"
	"iter"
	"slices"
	"strings"
	"time"

	"github.com/serin-go/serin/checks"
	"github.com/serin-go/serin/checks/analysis"
	"github.com/serin-go/serin/rollout"
	"github.com/serin-go/serin/strategies"
)

// Report is what a rollout was and what came of it. It is plain data. Its texts come
// from the rollout, and are escaped when they are written.
type Report struct {
	Rollout   rollout.ID `json:"rollout"`
	Target    string     `json:"target"`
	Baseline  string     `json:"baseline"`
	Candidate string     `json:"candidate"`
	Digest    string     `json:"digest,omitempty"` // of the candidate
	Plan      string     `json:"plan"`             // digest of the plan
	Starter   string     `json:"starter"`
	// Began and Ended are in UTC. A report of a rollout that is under way has no Ended.
	Began time.Time `json:"began"`
	Ended time.Time `json:"ended,omitzero"`
	// Outcome is the last phase, and Reason why the rollout is in it. Good says that the
	// candidate was promoted, or won.
	Outcome string `json:"outcome"`
	Reason  string `json:"reason"`
	Good    bool   `json:"good"`
	// Exposed is the number of requests that the candidate has been assigned, and Largest the
	// largest share of the traffic that it had.
	Exposed int    `json:"exposed"`
	Largest string `json:"largest"`
	// Steps are the events that a reader needs, in order.
	Steps []Step `json:"steps"`
	// Metrics are the last comparison with the baseline.
	Metrics []Metric `json:"metrics,omitempty"`
	// Incidents are what went wrong.
	Incidents []Step `json:"incidents,omitempty"`
	// Evidence is what the outcome rests on: checks that were looked at, and the hash of the
	// last event, which vouches for all of them.
	Evidence []Evidence `json:"evidence"`
	// Next is what is to be done now.
	Next []string `json:"next"`
}

// Step is one event.
type Step struct {
	At     time.Time `json:"at"`
	Title  string    `json:"title"`
	By     string    `json:"by"`
	Reason string    `json:"reason,omitempty"`
	Share  string    `json:"share"` // of the candidate, after it
}

// Metric is the comparison of one metric.
type Metric struct {
	Name      string `json:"name"`
	Baseline  string `json:"baseline"`
	Candidate string `json:"candidate"`
	// Requests is how many of the candidate's have a value.
	Requests int `json:"requests"`
	// Change is the difference with its 95 % interval, or "not known yet".
	Change string `json:"change"`
	// Verdict is in words, and Reason a sentence.
	Verdict string `json:"verdict"`
	Reason  string `json:"reason"`
	Decides bool   `json:"decides"` // it is not only reported
}

// Evidence is one thing that an outcome rests on.
type Evidence struct {
	Name string `json:"name"`
	Text string `json:"text"`
}

// Source has rollouts; [rollout.Engine] is one.
type Source interface {
	Status(ctx context.Context, id rollout.ID) (rollout.Status, error)
	Events(ctx context.Context, id rollout.ID, from uint64) iter.Seq2[rollout.Event, error]
}

// Options configures a report.
type Options struct {
	// Next are further things to do, after those that follow from the outcome.
	Next []string
}

// Read reads a rollout and makes its report. It returns the errors of the source and of [New].
func Read(ctx context.Context, s Source, id rollout.ID, o Options) (Report, error) {
	st, err := s.Status(ctx, id)
	if err != nil {
		return Report{}, fmt.Errorf("report: %w", err)
	}
	reading, cancel := context.WithCancel(ctx)
	defer cancel()
	var events []rollout.Event
	for ev, err := range s.Events(reading, id, 1) {
		if err != nil {
			return Report{}, fmt.Errorf("report: %w", err)
		}
		if events = append(events, ev); ev.Seq >= st.Seq {
			break // Events waits for more
		}
	}
	return New(st, events, o)
}

// New makes the report of a rollout from its status and all of its events. Events that are
// missing, doubled, or of another rollout are a [*checks.InvalidError].
func New(st rollout.Status, events []rollout.Event, o Options) (Report, error) {
	bad := func(field string, value any, want string) error {
		return &checks.InvalidError{Package: "report", Field: field, Value: value, Want: want}
	}
	if len(events) == 0 {
		return Report{}, bad("events", "empty", "all events of the rollout")
	}
	for i, ev := range events {
		if ev.Rollout != st.ID {
			return Report{}, bad(fmt.Sprintf("events[%d].Rollout", i), ev.Rollout, string(st.ID))
		}
		if ev.Seq != uint64(i+1) {
			return Report{}, bad(fmt.Sprintf("events[%d].Seq", i), ev.Seq, fmt.Sprint(i+1))
		}
	}
	first, last := events[0], events[len(events)-1]
	if last.Seq != st.Seq {
		return Report{}, bad("events", fmt.Sprintf("%d events", last.Seq), fmt.Sprintf("all %d of the rollout", st.Seq))
	}
	r := Report{Rollout: st.ID, Target: st.Plan.Target, Baseline: st.Plan.Baseline.String(), Candidate: st.Plan.Candidate.String(), Digest: st.Plan.Candidate.Digest,
		Plan: st.Digest, Starter: first.By.Name, Began: first.At.UTC(), Outcome: last.Phase.String(), Reason: last.Reason,
		Good: last.Phase == strategies.Promoted, Exposed: st.Exposed}
	if last.Phase.Terminal() {
		r.Ended = last.At.UTC()
	}
	r.steps(st, events)
	r.metrics(events)
	r.evidence(events)
	r.next(last, o)
	return r, nil
}

// share is the candidate's share after an event.
func share(st rollout.Status, ev rollout.Event) strategies.Weight {
	return ev.Split.Weight(st.Plan.Candidate.Arm())
}

// steps fills in the steps, the incidents and the largest share.
func (r *Report) steps(st rollout.Status, events []rollout.Event) {
	largest := strategies.Weight(0)
	for _, ev := range events {
		w := share(st, ev)
		largest = max(largest, w)
		if ev.Kind == rollout.Measured {
			continue
		}
		s := Step{At: ev.At.UTC(), Title: title(ev), By: ev.By.Name, Reason: ev.Reason, Share: w.String()}
		r.Steps = append(r.Steps, s)
		if incident(ev) {
			r.Incidents = append(r.Incidents, s)
		}
	}
	r.Largest = largest.String()
}

// title names an event for a person.
func title(ev rollout.Event) string {
	switch {
	case ev.Kind == rollout.Ended:
		return ev.Phase.String()
	case ev.Kind == rollout.PhaseEntered && ev.Name != "" && ev.Phase == strategies.Baking:
		return "stage " + ev.Name
	case ev.Kind == rollout.PhaseEntered:
		return strings.TrimSpace(ev.Phase.String() + " " + ev.Name)
	}
	return string(ev.Kind)
}

// incident reports whether an event is something that went wrong.
func incident(ev rollout.Event) bool {
	bad := ev.Judgement != nil && ev.Judgement.Verdict == analysis.Harmed || ev.Monitor != nil && ev.Monitor.Alarm ||
		ev.Checks != nil && !ev.Checks.Status.Opens()
	return ev.Urgent || bad || ev.Kind == rollout.Dropped || ev.Kind == rollout.Ended && ev.Phase != strategies.Promoted
}

// metrics takes the last judgement of the candidate that has metrics.
func (r *Report) metrics(events []rollout.Event) {
	for _, ev := range slices.Backward(events) {
		if ev.Judgement == nil || len(ev.Judgement.Metrics) == 0 {
			continue
		}
		for _, f := range ev.Judgement.Metrics {
			m := Metric{Name: f.Metric, Baseline: analysis.FormatValue(f.Baseline, f.Kind, f.Unit), Candidate: analysis.FormatValue(f.Candidate, f.Kind, f.Unit),
				Requests: f.CandidateN, Change: "not known yet", Verdict: f.Verdict.String(), Reason: f.Reason, Decides: f.Role.RollsBack()}
			if f.Effect.Known {
				m.Change = f.Effect.String()
			}
			r.Metrics = append(r.Metrics, m)
		}
		return
	}
}

// evidence takes the last report of each check, and the hash of the last event.
func (r *Report) evidence(events []rollout.Event) {
	seen := make(map[string]bool)
	for _, ev := range slices.Backward(events) {
		if ev.Checks == nil {
			continue
		}
		for _, c := range ev.Checks.Results {
			if !seen[c.Name] {
				seen[c.Name] = true
				r.Evidence = append(r.Evidence, Evidence{c.Name, fmt.Sprintf("%v: %s", c.Status, c.Summary)})
			}
		}
	}
	slices.SortFunc(r.Evidence, func(a, b Evidence) int { return cmp.Compare(a.Name, b.Name) })
	last := events[len(events)-1]
	if last.Hash != "" {
		r.Evidence = append(r.Evidence, Evidence{"audit trail", fmt.Sprintf("%d events, the last has the hash %s", len(events), last.Hash)})
	}
}

// next says what follows from the outcome.
func (r *Report) next(last rollout.Event, o Options) {
	add := func(format string, args ...any) { r.Next = append(r.Next, fmt.Sprintf(format, args...)) }
	switch last.Phase {
	case strategies.Promoted:
		add("publish the release notes of %s", r.Candidate)
		add("keep %s ready to go back to until its successor is promoted", r.Baseline)
	case strategies.RolledBack, strategies.Failed:
		add("find out why: %s", last.Reason)
		add("start %s again only with another digest, or after its cause is removed", r.Candidate)
	case strategies.Aborted:
		add("ask %s what is missing: %s", cmp.Or(last.By.Name, "the person who ended it"), last.Reason)
	case strategies.Superseded:
		add("look at the rollout that has taken its place")
	default:
		add("wait for the end, or act: %s", cmp.Or(last.Reason, last.Phase.String()))
	}
	for _, m := range r.Metrics {
		if m.Decides && m.Verdict == analysis.Harmed.String() {
			add("look at %s: %s", m.Name, m.Reason)
		}
	}
	r.Next = append(r.Next, o.Next...)
}

// Facts are lines for release notes: the outcome, the time, the traffic, and the metrics that
// differ.
func (r Report) Facts() []string {
	if r.Ended.IsZero() {
		return []string{fmt.Sprintf("Rollout of %s since %s, at most %s of the traffic", r.Candidate, day(r.Began), r.Largest)}
	}
	list := []string{fmt.Sprintf("Rollout %s on %s after %s, with %d requests and at most %s of the traffic",
		r.Outcome, day(r.Ended), r.Ended.Sub(r.Began).Round(time.Second), r.Exposed, r.Largest)}
	for _, m := range r.Metrics {
		if m.Decides && m.Change != "not known yet" {
			list = append(list, fmt.Sprintf("%s: %s, before %s (%s)", m.Name, m.Candidate, m.Baseline, m.Change))
		}
	}
	return list
}

func day(t time.Time) string { return t.Format(time.DateOnly) }

// Rollouts has the rollouts of a target; [rollout.Engine] is one.
type Rollouts interface {
	Source
	Rollouts(ctx context.Context, target string, before rollout.ID, n int) ([]rollout.Status, error)
}

// Written returns a check that the report of the last rollout of a target that has ended is
// kept, for instance in a wiki or in the bundle of a ledger, as kept reports. Until within after
// the end of the rollout, a missing report is a Warn, and then a Fail. A target of which no
// rollout has ended passes. Invalid arguments, and rollouts that cannot be read, are Unknown.
func Written(all Rollouts, target string, within time.Duration, kept func(ctx context.Context, id rollout.ID) (bool, error)) checks.Check {
	return checks.Func(func(ctx context.Context) checks.Result {
		if all == nil || kept == nil || target == "" || within <= 0 {
			return checks.Result{Summary: "the options of the check are invalid",
				Err: &checks.InvalidError{Package: "report", Field: "Written", Value: target, Want: "rollouts, a target, a positive time and a function"}}
		}
		st, at, err := lastEnded(ctx, all, target)
		if err != nil {
			return checks.Result{Summary: fmt.Sprintf("the rollouts of %s cannot be read", target), Err: err}
		}
		if st.ID == "" {
			return checks.Result{Status: checks.Pass, Summary: "no rollout has ended yet"}
		}
		ok, err := kept(ctx, st.ID)
		late := time.Since(at) - within
		switch {
		case err != nil:
			return checks.Result{Summary: fmt.Sprintf("the report of %s cannot be looked for", st.ID), Err: err}
		case ok:
			return checks.Result{Status: checks.Pass, Summary: fmt.Sprintf("the report of %s is kept", st.ID)}
		case late < 0:
			return checks.Result{Status: checks.Warn, Summary: fmt.Sprintf("the report of %s is missing, due in %v", st.ID, (-late).Round(time.Second))}
		}
		return checks.Result{Status: checks.Fail, Summary: fmt.Sprintf("the report of %s is missing, overdue by %v", st.ID, late.Round(time.Second))}
	})
}

// lastEnded returns the newest rollout of a target that has ended, and its end.
func lastEnded(ctx context.Context, all Rollouts, target string) (rollout.Status, time.Time, error) {
	before := rollout.ID("")
	for {
		page, err := all.Rollouts(ctx, target, before, rollout.MaxPage)
		if err != nil {
			return rollout.Status{}, time.Time{}, err
		}
		for _, st := range page {
			if !st.Phase.Terminal() {
				continue
			}
			for ev, err := range all.Events(ctx, st.ID, st.Seq) {
				return st, ev.At, err
			}
			return rollout.Status{}, time.Time{}, fmt.Errorf("report: the last event of %s is missing", st.ID)
		}
		if len(page) < rollout.MaxPage {
			return rollout.Status{}, time.Time{}, nil
		}
		before = page[len(page)-1].ID
	}
}
