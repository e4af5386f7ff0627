package rollout

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/serin-go/serin/checks"
	"github.com/serin-go/serin/checks/analysis"
	"github.com/serin-go/serin/strategies"
	"github.com/serin-go/serin/versioning"
)

// Start begins a rollout and returns its ID. It returns as soon as the plan is
// stored; no traffic has moved by then. by is recorded.
//
// Errors: everything that is wrong with the plan, joined; a [*ForbiddenError];
// a [*BusyError] if another rollout of the target is active and the plan does
// not supersede it, which asks for [ActionSupersede] too; a [*StaleBaselineError] if
// another version than the plan's baseline serves; a [*WeakPlanError]; a [*KeyReusedError];
// ErrClosed; or an error of the store. After an error of the store the rollout may have begun:
// ask Newest, or repeat a start that has a [Key], which begins it once.
//
// Of the options, Key and [Replayed] apply. The keys of the last 16 starts and retries of a
// target are stored with its rollouts, so they hold for all processes that share the store, and
// after a restart.
func (e *Engine) Start(ctx context.Context, p Plan, by Actor, opts ...Option) (_ ID, err error) {
	defer func() { e.refuse(ctx, by, ActionStart, p.Target, "", err) }()
	if err := context.Cause(e.ctx); err != nil {
		return "", err
	}
	o, err := startOrder(by, opts)
	if err != nil {
		return "", err
	}
	if err := e.accept(p, by); err != nil {
		return "", err
	}
	if err := e.authorize(ctx, by, ActionStart, p.Target); err != nil {
		return "", err
	}
	whole, err := p.compile()
	if err != nil {
		return "", err
	}
	mark := o.startMark(ActionStart, whole.Digest())
	return e.keyed(ctx, p.Target, o, mark, func() (ID, error) { return e.begin(ctx, p, by, mark) })
}

// Retry begins a rollout again that has ended otherwise than Promoted: with the
// same plan, from its preflight checks on, under a new ID. Options are as for [Engine.Start].
func (e *Engine) Retry(ctx context.Context, id ID, by Actor, opts ...Option) (_ ID, err error) {
	defer func() { e.refuse(ctx, by, ActionRetry, id.Target(), id, err) }()
	if err := context.Cause(e.ctx); err != nil {
		return "", err
	}
	o, err := startOrder(by, opts)
	if err != nil {
		return "", err
	}
	if err := e.authorize(ctx, by, ActionRetry, id.Target()); err != nil {
		return "", err
	}
	mark := o.startMark(ActionRetry, string(id))
	return e.keyed(ctx, id.Target(), o, mark, func() (ID, error) { return e.again(ctx, id, by, mark) })
}

// again begins a rollout again.
func (e *Engine) again(ctx context.Context, id ID, by Actor, mark string) (ID, error) {
	doc, err := e.find(ctx, id)
	if err != nil {
		return "", err
	}
	switch {
	case !doc.Phase.Terminal():
		return "", &BusyError{Target: id.Target(), Active: id}
	case doc.Phase == strategies.Promoted:
		return "", &RefusedError{Rollout: id, Reason: "cannot retry: it was promoted"}
	}
	p := doc.Plan
	p.Analysis = p.Analysis.Bind(e.cfg.Metrics...)
	if err := e.accept(p, by); err != nil {
		return "", err
	}
	return e.begin(ctx, p, by, mark)
}

// begin stores the first document of a rollout whose plan has been accepted, with the mark of
// its key. It begins nothing, and returns errStarted, if that was done before under the key.
func (e *Engine) begin(ctx context.Context, p Plan, by Actor, mark string) (_ ID, err error) {
	if e.remote {
		if err := e.hasTarget(ctx, p.Target); err != nil {
			return "", err
		}
	}
	if p, err = p.compile(); err != nil {
		return "", err
	}
	if err := e.demanded(ctx, p, by); err != nil {
		return "", err
	}
	if u := unitAssigner(e.cfg.Targets[p.Target]); u != nil && p.Analysis.Unit == analysis.PerRequest && u.AssignsUnits() {
		p.Analysis.Unit = analysis.PerUser
	}
	old := e.current(p.Target)
	if e.remote {
		if old, err = e.guest(ctx, p.Target); err != nil && !errors.Is(err, ErrDamaged) { // makeWay keeps what is damaged
			return "", err
		}
	} else if old == nil {
		release, err := e.mayBegin(ctx, p.Target)
		if err != nil {
			return "", err
		}
		defer release()
		old = e.current(p.Target)
	}
	if old != nil {
		if id, err := old.view.Load().doc.startedBy(mark); id != "" || err != nil {
			return "", errors.Join(err, errStarted)
		}
		if p.Supersede && !old.over() {
			if err := e.authorize(ctx, by, ActionSupersede, p.Target); err != nil {
				return "", err
			}
			if err := old.supersede(ctx, by, p.Candidate.String()); err != nil {
				return "", err
			}
		}
		// What ended the old rollout must have taken effect before this one
		// begins, and its driver must not touch the target any more.
		old.lock()
		defer old.unlock()
		defer func() {
			if err == nil {
				old.role = retired
			}
		}()
	}
	last, prev, err := e.makeWay(ctx, p.Target)
	if err != nil {
		return "", err
	}
	if id, err := last.startedBy(mark); id != "" || err != nil {
		return "", errors.Join(err, errStarted)
	}
	serving := last.Serving
	if serving != nil {
		if err := p.follows(*serving); err != nil {
			return "", err
		}
	}
	number := last.Number + 1
	id := numbered(p.Target, number)
	split := strategies.Split{
		Arms:       []strategies.Arm{{Name: p.Baseline.Arm(), Weight: strategies.Full}},
		Salt:       string(id),
		Generation: last.Split.Generation + 1,
	}
	for _, arm := range p.candidates() {
		split.Arms = append(split.Arms, strategies.Arm{Name: arm})
	}
	if serving != nil && serving.Arm() != p.Baseline.Arm() {
		// Until the first stage begins the split in force is the one that was.
		split.Arms[0].Weight = 0
		split.Arms = slices.DeleteFunc(split.Arms, func(a strategies.Arm) bool { return a.Name == serving.Arm() })
		split.Arms = slices.Insert(split.Arms, 0, strategies.Arm{Name: serving.Arm(), Weight: strategies.Full})
	}
	reason := fmt.Sprintf("%s replaces %s in %d stages", p.Candidate, p.Baseline, len(p.Stages))
	now := e.cfg.wall()
	if good := knownGood(last.History, p, now); good != "" {
		back := strictest(p.Stages)
		if p.RollbackFree {
			back = nil
		}
		p.Stages = []strategies.Stage{{Name: returnStage, Split: split.Plain(), Until: strategies.UntilBaked, Approve: back}}
		p.Stages[0].Split.Arms = []strategies.Arm{{Name: p.Baseline.Arm()}, {Name: p.Candidate.Arm(), Weight: strategies.Full}}
		reason = fmt.Sprintf("back to %s, known to be good from %s", p.Candidate, good)
	}
	for i := range p.Stages {
		p.Stages[i].Split.Salt = split.Salt
	}
	gates, err := e.gates(ctx, p)
	if err != nil {
		return "", err
	}
	digest := p.Digest()
	doc := &document{
		Format: documentFormat, ID: id, Number: number, Members: last.Members, Plan: p, Digest: gatedDigest(digest, gates), Starter: by,
		Epoch: max(1, last.Epoch), Split: split, History: last.History, Moves: last.Moves, Serving: serving,
		Starts: started(last.Starts, mark, number),
	}
	if len(gates) > 0 {
		doc.Gates, doc.PlanDigest = gates, digest
	}
	if last.Reason != "" {
		reason += "; " + last.Reason
	}
	d := newDriver(e, e.cfg.Targets[p.Target], doc, "", prev)
	if e.remote {
		d.detach()
	}
	start := strategies.Decision{Rule: "command", Reason: reason, Urgent: last.Reason != ""}
	if why := p.DangerouslyWithoutDemands; why != "" && e.cfg.Demands != nil {
		start.Reason, start.Urgent = start.Reason+"; without the demands of "+p.Target+": "+why, true
	}
	err = d.begin(ctx, doc.follow(start, Started, by, now))
	if errors.Is(err, ErrConflict) {
		_, _, err = e.makeWay(ctx, p.Target) // names the rollout that was faster
		if err == nil {
			err = &ConflictError{Rollout: id, Reason: "another rollout was started and ended meanwhile"}
		}
		return "", err
	} else if err != nil {
		return "", err
	}
	return id, nil
}

// returnStage is the name of the only stage of a way back to a version that is known to be
// good.
const returnStage = "return"

// returns reports whether the plan's stages were replaced by a way back.
func (p Plan) returns() bool { return len(p.Stages) == 1 && p.Stages[0].Name == returnStage }

// knownGood returns the rollout that shows that the plan's candidate is good
// and that is recent enough to rely on, or "". The last word about the
// version counts.
func knownGood(history []past, p Plan, now time.Time) ID {
	cand := p.Candidate.Arm()
	for _, h := range slices.Backward(history) {
		switch {
		case h.Candidate == cand && h.Outcome == strategies.RolledBack:
			return ""
		case h.Baseline != cand && (h.Candidate != cand || h.Outcome != strategies.Promoted):
		case p.RollbackWindow > 0 && now.Sub(h.Ended) <= p.RollbackWindow:
			return h.ID
		}
	}
	return ""
}

// follows returns a [*StaleBaselineError] if the plan does not begin with the release that serves.
func (p Plan) follows(serving versioning.Release) error {
	if p.DangerouslyReplaceServing != serving.Arm() && stale(p.Baseline, serving) {
		return &StaleBaselineError{Target: p.Target, Serving: serving, Plan: p.Baseline}
	}
	return nil
}

// stale reports whether a plan's baseline is another release than the one that serves,
// by its version or, where both have one, by its digest.
func stale(baseline, serving versioning.Release) bool {
	return baseline.Arm() != serving.Arm() || baseline.Digest != "" && serving.Digest != "" && baseline.Digest != serving.Digest
}

// strictest returns an approval that demands what the approvals of the stages demand,
// the most of each, or nil. Where the roles differ, the approval that needs most people
// has the say; where there are rules, all of them must be met.
func strictest(stages []strategies.Stage) *strategies.Approval {
	var all *strategies.Approval
	shorter := func(a, b time.Duration) time.Duration {
		if a == 0 || b > 0 && b < a {
			return b
		}
		return a
	}
	for _, s := range stages {
		a := s.Approve
		switch {
		case a == nil:
			continue
		case all == nil:
			first := *a
			first.Not = slices.Clone(a.Not)
			all = &first
			continue
		case len(a.Rules) > 0 || len(all.Rules) > 0:
			all.Rules = strictestRules(all.Demands(), a.Demands())
			all.Need, all.Roles = 0, nil
		case max(1, a.Need) > max(1, all.Need) || len(all.Roles) == 0:
			if len(a.Roles) > 0 {
				all.Roles = a.Roles
			}
		}
		if len(all.Rules) == 0 {
			all.Need = max(all.Need, a.Need)
		}
		for _, n := range a.Not {
			if !slices.Contains(all.Not, n) {
				all.Not = append(all.Not, n)
			}
		}
		all.FourEyes = all.FourEyes || a.FourEyes
		all.MFA, all.Timeout = shorter(all.MFA, a.MFA), shorter(all.Timeout, a.Timeout)
		if all.OnTimeout == strategies.ActionContinue {
			all.OnTimeout = a.OnTimeout // silence is consent only if it always is
		}
	}
	return all
}

// strictestRules returns what a and b demand, the most where the roles are the same.
func strictestRules(a, b []strategies.ApprovalRule) []strategies.ApprovalRule {
	all := mergeRules(nil, a, func(x, y int) int { return x + y })
	b = mergeRules(nil, b, func(x, y int) int { return x + y })
	return mergeRules(all, b, func(x, y int) int { return max(x, y) })
}

// mergeRules appends more to all. A rule whose roles all has already is joined with it.
func mergeRules(all, more []strategies.ApprovalRule, join func(x, y int) int) []strategies.ApprovalRule {
	for _, r := range more {
		i := slices.IndexFunc(all, func(o strategies.ApprovalRule) bool { return sameRoles(o.Roles, r.Roles) })
		if i < 0 {
			all = append(all, r)
			continue
		}
		all[i].Need = join(all[i].Need, r.Need)
	}
	return all
}

// sameRoles reports whether a and b name the same roles, in any order.
func sameRoles(a, b []string) bool {
	within := func(a, b []string) bool {
		return !slices.ContainsFunc(a, func(r string) bool { return !slices.Contains(b, r) })
	}
	return within(a, b) && within(b, a)
}

// accept returns every reason why the engine cannot carry out p, joined.
func (e *Engine) accept(p Plan, by Actor) error {
	errs := []error{p.Validate(), by.Validate()}
	splitter := e.cfg.Targets[p.Target]
	if splitter == nil && targetName.MatchString(p.Target) && !e.remote {
		errs = append(errs, &checks.InvalidError{Package: "rollout", Field: "Plan.Target", Value: p.Target, Want: "a target of Config.Targets"})
	}
	p, _ = p.compile() // Validate has reported the error
	if prober, ok := splitter.(Prober); ok {
		for i, s := range p.Stages {
			if err := prober.CanSplit(s.Split); err != nil {
				errs = append(errs, fmt.Errorf("rollout: Plan.Stages[%d] (%s): %w", i, s.Name, err))
			}
		}
	}
	for i, s := range p.Stages {
		if unknown := e.unknownRoles(s.Approve); len(unknown) > 0 {
			errs = append(errs, &checks.InvalidError{Package: "rollout", Field: fmt.Sprintf("Plan.Stages[%d].Approve", i), Value: strings.Join(unknown, ", "), Want: "roles that people can have: " + strings.Join(e.cfg.Roles, ", ")})
		}
	}
	if u := unitAssigner(splitter); u != nil && p.Analysis.Unit != analysis.PerRequest && !u.AssignsUnits() {
		errs = append(errs, &checks.InvalidError{Package: "rollout", Field: "Plan.Analysis.Unit", Value: p.Analysis.Unit, Want: "request, or a target that assigns by unit, such as a router with Config.Unit"})
	}
	for i, m := range p.Analysis.Metrics {
		bound := slices.ContainsFunc(e.cfg.Metrics, func(b analysis.Metric) bool { return b.Name == m.Name && b.Of != nil })
		if m.Of != nil && !bound {
			errs = append(errs, &checks.InvalidError{Package: "rollout", Field: fmt.Sprintf("Plan.Analysis.Metrics[%d]", i), Value: fmt.Sprintf("%q", m.Name), Want: "a custom metric that is bound in Config.Metrics too, or it would be lost by a restart"})
		}
	}
	for field, name := range p.checkFields() {
		if e.cfg.Checks[name] == nil {
			errs = append(errs, &checks.InvalidError{Package: "rollout", Field: "Plan." + field, Value: strconv.Quote(name), Want: "a check that is bound in Config.Checks"})
		}
	}
	return errors.Join(errs...)
}

// unknownRoles returns the roles that an approval asks for and that no person can have.
func (e *Engine) unknownRoles(a *strategies.Approval) (unknown []string) {
	if a == nil || len(e.cfg.Roles) == 0 {
		return nil
	}
	for _, r := range a.Demands() {
		for _, role := range r.Roles {
			if !slices.Contains(e.cfg.Roles, role) && !slices.Contains(unknown, role) {
				unknown = append(unknown, role)
			}
		}
	}
	return unknown
}

// unbound returns the plan's checks that have no binding.
func (e *Engine) unbound(p Plan) []string {
	var names []string
	for _, name := range p.checkNames() {
		if e.cfg.Checks[name] == nil {
			names = append(names, name)
		}
	}
	return names
}

// makeWay files what the target's last rollout has left. It returns what the
// next one continues from that, in a document, and the revision to replace.
func (e *Engine) makeWay(ctx context.Context, target string) (last document, prev Revision, err error) {
	entry, err := e.cfg.Store.Get(ctx, documentKey(target))
	switch {
	case errors.Is(err, ErrNotFound):
		if err := e.holdBeforeStart(ctx, target, found{}); err != nil {
			return e.quarantine(ctx, target, entry, err)
		}
		return last, "", nil
	case errors.Is(err, ErrDamaged) && entry.Revision != "":
		// What is left takes the place of what is damaged, which makes the store
		// whole again; it still cannot be read, and is kept as what cannot be.
		entry.Revision, err = e.cfg.Store.Put(ctx, documentKey(target), entry.Value, entry.Revision)
		if err != nil {
			return last, "", err
		}
		return e.quarantine(ctx, target, entry, &DamagedError{Target: target, Err: ErrDamaged})
	case err != nil:
		return last, "", err
	}
	doc, _, err := decodeDocument(target, entry.Value)
	if err == nil {
		err = e.holdBeforeStart(ctx, target, found{doc: doc, rev: entry.Revision})
	}
	if err != nil {
		return e.quarantine(ctx, target, entry, err)
	}
	if !doc.Phase.Terminal() {
		return last, "", &BusyError{Target: target, Active: doc.ID}
	}
	for _, raw := range append(slices.Clone(doc.Owed), doc.lastRaw) {
		var ev Event
		if err := unmarshalEvent(raw, &ev); err != nil {
			return last, "", err
		}
		if _, err := fileEvent(ctx, e.cfg.Store, ev, raw, false); err != nil {
			return last, "", err
		}
	}
	if err := createOnce(ctx, e.cfg.Store, archiveKey(doc.ID), entry.Value); err != nil {
		return last, "", err
	}
	left := doc.serving()
	return document{ID: doc.ID, Starts: doc.Starts, Number: doc.Number, Members: doc.Members, Epoch: doc.Epoch, Split: doc.Split, History: doc.history(), Moves: doc.moves(), Serving: &left}, entry.Revision, nil
}

// holdBeforeStart holds a document against its trail where this process has not
// followed it: a rollout may begin after one that was overtaken, but not in its place.
func (e *Engine) holdBeforeStart(ctx context.Context, target string, n found) error {
	if e.current(target) != nil {
		return nil
	}
	return e.hold(ctx, target, n)
}

// quarantine keeps a copy of a document that cannot be read, or must not be followed.
// Its number and its generation are unknown, so they are passed over with a wide margin.
// Any other reason why is returned as it is.
func (e *Engine) quarantine(ctx context.Context, target string, entry Entry, why error) (last document, prev Revision, err error) {
	const margin = 1 << 20
	var overtaken *OvertakenError
	switch {
	case errors.As(why, &overtaken):
		last.Number = overtaken.Known.Rollout.ordinal()
	case !errors.Is(why, ErrDamaged):
		return last, "", why
	}
	for a, err := range e.cfg.Store.List(ctx, "audit/"+target+"/") {
		if err != nil {
			return last, "", err
		}
		n, _, _ := strings.Cut(strings.TrimPrefix(a.Key, "audit/"+target+"/"), "/")
		if n, err := strconv.ParseUint(n, 10, 64); err == nil {
			last.Number = max(last.Number, n)
		}
		var ev Event
		if unmarshalEvent(a.Value, &ev) == nil {
			last.Split.Generation = max(last.Split.Generation, ev.Split.Generation)
			last.Epoch = max(last.Epoch, ev.Epoch)
		}
	}
	last.Split.Generation += margin
	key := fmt.Sprintf("quarantine/%s/%d", target, last.Number)
	last.Reason = strings.TrimPrefix(why.Error(), "rollout: ")
	if entry.Revision == "" {
		return last, "", nil // there is nothing to keep
	}
	if err := createOnce(ctx, e.cfg.Store, key, entry.Value); err != nil {
		return last, "", err
	}
	last.Reason += "; it is kept under " + key
	return last, entry.Revision, nil
}
