package alert

import (
	"context"
	"fmt"
	"maps"
	"slices"
	"strconv"
	"strings"
	"sync"
	"time"

	"github.com/serin-go/serin/checks"
	"github.com/serin-go/serin/checks/analysis"
	"github.com/serin-go/serin/checks/anomaly"
	"github.com/serin-go/serin/checks/burn"
	"github.com/serin-go/serin/checks/checklist"
	"github.com/serin-go/serin/rollout"
	"github.com/serin-go/serin/strategies"
)

// Burn returns a rule that looks at an error budget: [BudgetBurn] is Critical while a page
// fires, and Warning while a ticket does. With too little traffic it is Unknown. name is the
// label budget, and labels are further ones.
func Burn(name string, b *burn.Budget, labels map[string]string) Rule {
	return RuleFunc(func(context.Context, time.Time) []Alert {
		all := maps.Clone(labels)
		if all == nil {
			all = make(map[string]string)
		}
		all["budget"] = name
		r := b.Report()
		a := Alert{Name: BudgetBurn, Labels: all, Values: make(map[string]string)}
		var worst *burn.WindowReport
		for i := range r.Windows {
			w := &r.Windows[i]
			if (w.Status == checks.Fail || w.Status == checks.Warn) && (worst == nil || w.Status == checks.Fail && worst.Status != checks.Fail) {
				worst = w
			}
		}
		switch {
		case worst != nil && worst.Status == checks.Fail:
			a.Severity = Critical
		case worst != nil:
			a.Severity = Warning
		case r.Status == checks.Unknown:
			a.Unknown = true
			return []Alert{a}
		default:
			return nil
		}
		// At a burn rate of Limit, the share Spend of the budget lasts for Long.
		left := time.Duration(float64(worst.Long) * worst.Limit / worst.Burn * 10_000 / float64(worst.Spend)).Round(time.Minute)
		a.Summary = fmt.Sprintf("budget %s burns %.1f times as fast as it lasts, limit %.1f: %d of %d requests of the last %v were bad · a whole budget is spent in %v at this rate · find what fails",
			name, worst.Burn, worst.Limit, worst.InLong.Bad, worst.InLong.Total, worst.Long, left)
		a.Values["burn"], a.Values["limit"] = fmt.Sprintf("%.2f", worst.Burn), fmt.Sprintf("%.2f", worst.Limit)
		a.Values["window"], a.Values["exhausted in"] = worst.Long.String(), left.String()
		return []Alert{a}
	})
}

// Expiring returns a rule about the evidence of a checklist: [EvidenceExpiring] is Info in the
// last 7 days and Warning on the last one; [WaiverLapsed] is for what has lapsed, Warning, and
// Critical while serving reports that a candidate serves on it. subject returns what the
// records are about.
func Expiring(list *checklist.List, src checklist.Source, subject func() (s checks.Subject, serving bool)) Rule {
	return RuleFunc(func(ctx context.Context, at time.Time) (all []Alert) {
		s, serving := subject()
		ctx = checks.WithSubject(ctx, s)
		for _, due := range list.Due(ctx, src, at.Add(longest)) {
			a := Alert{Name: EvidenceExpiring, Labels: map[string]string{"check": Cut(due.Item, maxLabel, size)}, Values: map[string]string{"owner": due.Owner, "state": due.State.String()}}
			if s.Target != "" {
				a.Labels["target"] = s.Target
			}
			left := due.Until.Sub(at)
			when := due.Until.UTC().Format("2 Jan 15:04 MST")
			switch {
			case left <= 0:
				a.Name, a.Severity = WaiverLapsed, Warning
				if serving {
					a.Severity = Critical
				}
				a.Summary = fmt.Sprintf("evidence or waiver of %s lapsed %s · owner %s · renew it", due.Item, when, due.Owner)
			case left <= 24*time.Hour:
				a.Severity = Warning
				fallthrough
			default:
				a.Summary = fmt.Sprintf("evidence or waiver of %s lapses %s · owner %s · renew it", due.Item, when, due.Owner)
			}
			all = append(all, a)
		}
		return all
	})
}

// Checks returns a rule about checks, by name: [CheckFailed] is Warning while one fails, and
// Unknown while it is not known. The checks run with each look, within 10 s.
func Checks(named map[string]checks.Check) Rule {
	return RuleFunc(func(ctx context.Context, _ time.Time) (all []Alert) {
		for _, r := range checks.Run(ctx, named).Results {
			if r.Status == checks.Pass || r.Status == checks.Warn {
				continue
			}
			text := r.Summary
			if r.Err != nil {
				text = strings.TrimPrefix(text+": "+r.Err.Error(), ": ")
			}
			all = append(all, Alert{Name: CheckFailed, Labels: map[string]string{"check": Cut(r.Name, maxLabel, size)}, Severity: Warning,
				Unknown: r.Status == checks.Unknown, Summary: fmt.Sprintf("check %s fails: %s", r.Name, text), Values: r.Evidence})
		}
		return all
	})
}

// Series returns a rule that looks at series with a detector for each, once a minute:
// [Anomaly] is Warning from the first alarm until 3 looks without one. detector makes the
// detector of a series. labels are added to the label series. Packages traffic, cost and
// replicas each have a function Series that returns the ready series of theirs.
func Series(series map[string]func(at time.Time) float64, detector func(name string) anomaly.Detector, labels map[string]string) Rule {
	type state struct {
		anomaly.Detector
		calm  int
		fires bool
		last  anomaly.Reading
	}
	var mu sync.Mutex
	states := make(map[string]*state)
	for name := range series {
		states[name] = &state{Detector: detector(name)}
	}
	look := RuleFunc(func(_ context.Context, at time.Time) (all []Alert) {
		mu.Lock()
		defer mu.Unlock()
		for _, name := range slices.Sorted(maps.Keys(series)) {
			s := states[name]
			r := s.Add(at, series[name](at))
			switch r.State {
			case checks.Fail:
				s.fires, s.calm, s.last = true, 0, r
			case checks.Unknown:
			default:
				s.calm++
				s.fires = s.fires && s.calm < 3
			}
			if !s.fires {
				continue
			}
			a := Alert{Name: Anomaly, Labels: maps.Clone(labels), Severity: Warning, Unknown: r.State == checks.Unknown,
				Summary: fmt.Sprintf("%s is %.4g, expected about %.4g: score %.1f, limit %.1f · it may end by itself · compare the versions", name, s.last.Value, s.last.Expected, s.last.Score, s.last.Limit),
				Values:  map[string]string{"value": fmt.Sprintf("%.4g", s.last.Value), "expected": fmt.Sprintf("%.4g", s.last.Expected), "score": fmt.Sprintf("%.2f", s.last.Score)}}
			if a.Labels == nil {
				a.Labels = make(map[string]string)
			}
			a.Labels["series"] = Cut(name, maxLabel, size)
			all = append(all, a)
		}
		return all
	})
	return Timed{Rule: look, Every: time.Minute, Keep: -1}
}

// Letters returns a rule about the dead letters of a store: [DeadLetter] is Error for each
// sink with events that it has not taken, until they are redelivered.
func Letters(s rollout.Store) Rule {
	const most = 1000
	look := RuleFunc(func(ctx context.Context, _ time.Time) []Alert {
		type sink struct {
			count int
			first rollout.DeadLetter
		}
		sinks := make(map[string]*sink)
		n := 0
		for letter, err := range rollout.DeadLetters(ctx, s) {
			if err != nil && ctx.Err() != nil {
				panic(err) // nothing is known
			}
			if n++; n > most {
				break
			}
			name := letter.Sink
			if err != nil {
				name = "unreadable"
				letter.Error = err.Error()
			}
			if sinks[name] == nil {
				sinks[name] = &sink{first: letter}
			}
			sinks[name].count++
		}
		var all []Alert
		for _, name := range slices.Sorted(maps.Keys(sinks)) {
			k := sinks[name]
			all = append(all, Alert{Name: DeadLetter, Labels: map[string]string{"sink": Cut(name, maxLabel, size)}, Severity: Error, Began: k.first.At,
				Summary: fmt.Sprintf("sink %s has given up %d events, the first %s: %s · mend it and redeliver them", name, k.count, k.first.Event.Key(), k.first.Error),
				Values:  map[string]string{"given up": strconv.Itoa(k.count)}})
		}
		return all
	})
	return Timed{Rule: look, Keep: -1}
}

// Engine returns a rule about the targets of an engine, as this process sees them:
// [SplitNotInForce] is Critical when the committed split has not been applied for 30 s,
// [StoreSilent] when the store has not answered for as long, [LeaderLost] when no process has
// renewed the lease of an active rollout for as long, and [RolloutIncident] while both versions have left
// what they were. It raises [RolloutApproval] to Warning when a quarter of its time is left.
// engine returns the engine, or nil while it is not open.
func Engine(engine func() *rollout.Engine, s rollout.Store) Rule {
	w := &watch{engine: engine, store: s, leases: make(map[string]rollout.Revision), since: make(map[string]time.Time)}
	return Timed{Rule: RuleFunc(w.look), Every: 5 * time.Second, Keep: 30 * time.Second}
}

// Ready returns the rules that every service has a use for, for [Config.Rules]: [Engine] and
// [Letters].
func Ready(engine func() *rollout.Engine, s rollout.Store) map[string]Rule {
	return map[string]Rule{"engine": Engine(engine, s), "dead letters": Letters(s)}
}

// watch watches an engine.
type watch struct {
	engine func() *rollout.Engine
	e      *rollout.Engine // of this look
	store  rollout.Store
	mu     sync.Mutex
	since  map[string]time.Time        // when conditions began
	leases map[string]rollout.Revision // as they were seen last
}

// lasting is how long a condition of an engine lasts before it is an alert.
const lasting = 30 * time.Second

// lasts reports whether a condition has held for a while.
func (w *watch) lasts(name string, holds bool, at time.Time) (time.Time, bool) {
	if !holds {
		delete(w.since, name)
		return time.Time{}, false
	}
	if _, there := w.since[name]; !there {
		w.since[name] = at
	}
	return w.since[name], at.Sub(w.since[name]) >= lasting
}

func (w *watch) look(ctx context.Context, at time.Time) (all []Alert) {
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.e = w.engine(); w.e == nil {
		return nil
	}
	for _, h := range w.e.Health() {
		target := map[string]string{"target": h.Target}
		if began, yes := w.lasts(h.Target+" split", h.PlaneErr != nil, at); yes {
			all = append(all, Alert{Name: SplitNotInForce, Labels: target, Severity: Critical, Began: began,
				Summary: fmt.Sprintf("%s: the committed split has not been in force since %s: %s · it is tried again and again · look at the router or proxy", h.Target, began.UTC().Format("15:04 MST"), h.Plane)})
		}
		if !h.StaleSince.IsZero() && at.Sub(h.StaleSince) >= lasting {
			all = append(all, Alert{Name: StoreSilent, Labels: target, Severity: Critical, Began: h.StaleSince,
				Summary: fmt.Sprintf("%s: the store has not answered since %s · the baseline serves, and nothing moves until the store answers · look at the store", h.Target, h.StaleSince.UTC().Format("15:04 MST"))})
		} else {
			all = append(all, w.rollout(ctx, h, at)...)
		}
	}
	return all
}

// rollout looks at the newest rollout of a target.
func (w *watch) rollout(ctx context.Context, h rollout.TargetHealth, at time.Time) (all []Alert) {
	st, err := w.e.Newest(ctx, h.Target)
	if err != nil || st.Phase.Terminal() {
		w.lasts(h.Target+" leader", false, at)
		return nil
	}
	if began, yes := w.lasts(h.Target+" leader", !h.Leader && !w.renewed(ctx, h.Target), at); yes {
		all = append(all, Alert{Name: LeaderLost, Labels: labels(st.ID), Severity: Critical, Began: began,
			Summary: fmt.Sprintf("%s has had no leader since %s · it does not move, and harm does not roll it back everywhere · look at the processes", st.ID, began.UTC().Format("15:04 MST"))})
	}
	if st.Judgement.Verdict == analysis.Incident {
		all = append(all, Alert{Name: RolloutIncident, Labels: labels(st.ID), Severity: Critical,
			Summary: fmt.Sprintf("%s: both versions have left what they were: %s · the rollout waits · look for a cause outside of the candidate", st.ID, st.Judgement.Reason)})
	}
	if st.Phase == strategies.Approving && st.Stage < len(st.Plan.Stages) && st.Plan.Stages[st.Stage].Approve != nil {
		patience := st.Plan.Stages[st.Stage].Approve.Timeout
		if patience == 0 {
			patience = strategies.DefaultPatience
		}
		if began := w.approving(ctx, st); !began.IsZero() && at.Sub(began) >= patience*3/4 {
			all = append(all, Alert{Name: RolloutApproval, Labels: labels(st.ID), Severity: Warning, Began: began,
				Summary: fmt.Sprintf("%s still waits for approval of stage %s, until %s: %s · approve or reject", st.ID, st.Plan.Stages[st.Stage].Name, began.Add(patience).UTC().Format("2 Jan 15:04 MST"), st.Waiting)})
		}
	}
	return all
}

// renewed reports whether another process has renewed its lease since the last look.
func (w *watch) renewed(ctx context.Context, target string) bool {
	e, err := w.store.Get(ctx, "lease/"+target)
	if err != nil {
		return false
	}
	was := w.leases[target]
	w.leases[target] = e.Revision
	return was != e.Revision
}

// approving returns when the wait for approval began, or the zero time.
func (w *watch) approving(ctx context.Context, st rollout.Status) (began time.Time) {
	const back = 100
	from := uint64(1)
	if st.Seq > back {
		from = st.Seq - back
	}
	events, err := w.e.Read(ctx, st.ID, from, back+1)
	if err != nil {
		return time.Time{}
	}
	for _, e := range events {
		if e.Kind == rollout.PhaseEntered {
			began = time.Time{}
			if e.Phase == strategies.Approving {
				began = e.At
			}
		}
	}
	return began
}
