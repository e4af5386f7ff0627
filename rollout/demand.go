package rollout

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"reflect"
	"runtime/debug"
	"slices"
	"strings"
	"time"

	"github.com/serin-go/serin/checks"
	"github.com/serin-go/serin/internal/former"
	"github.com/serin-go/serin/strategies"
)

// Demand is what a target asks of every plan; see [Config.Demands].
// The zero Demand asks for nothing.
type Demand struct {
	// Preflight, Postflight and Standing are checks that the plan must have. A standing
	// check may be stricter: looked at more often, with less Grace, and with more done
	// about it.
	Preflight  []string   `json:"preflight,omitempty"`
	Postflight []string   `json:"postflight,omitempty"`
	Standing   []Standing `json:"standing,omitempty"`
	// Approve is what must be agreed to before the candidates have more than UpTo of the
	// traffic. Nil asks for nothing.
	Approve *strategies.Approval `json:"approve,omitempty"`
	UpTo    strategies.Weight    `json:"up_to,omitempty"`
	// MaxFirst is the largest share of the first stage that gives the candidates any.
	// Zero means any share.
	MaxFirst strategies.Weight `json:"max_first,omitempty"`
	// MinStages is how many stages must give the candidates traffic, the last included.
	MinStages int `json:"min_stages,omitempty"`
	// Windows are the only times in which stages may begin. A plan has windows within
	// them, in the same zone. None means any time.
	Windows []Window `json:"windows,omitempty"`
	// Monitor is how long the candidate is monitored at least after the last stage, MinBake
	// how long each stage with traffic lasts at least.
	Monitor time.Duration `json:"monitor_ns,omitempty"`
	MinBake time.Duration `json:"min_bake_ns,omitempty"`
	// Digest demands that the releases of the plan have one.
	Digest bool `json:"digest,omitempty"`
	// Never lists what a plan must not allow: "unproven" (all traffic for a candidate
	// that has not been shown to be no worse), "supersede", "return" (going back without
	// stages) and "silence is consent" (an approval that its timeout grants).
	Never []string `json:"never,omitempty"`
	// RollbackFree allows plans to go back without Approve; see [Plan.RollbackWindow].
	RollbackFree bool `json:"rollback_free,omitempty"`
}

// UnmarshalJSON implements [json.Unmarshaler]. It reads the names of earlier versions too.
// A field that no demand has is a [*checks.InvalidError] that names it: what is not
// understood would not be demanded.
func (d *Demand) UnmarshalJSON(data []byte) error {
	type plain Demand
	var read plain
	err := former.Decode(data, &read, former.Name{Now: "monitor_ns", Former: "watch_ns"}, former.Name{Now: "rollback_free", Former: "return_free"})
	if err != nil {
		return unreadable(err, "Demand", "a demand")
	}
	*d = Demand(read)
	return nil
}

// The entries of [Demand.Never].
const (
	NeverUnproven  = "unproven"
	NeverSupersede = "supersede"
	NeverReturn    = "return"
	NeverSilence   = "silence is consent"
)

var nevers = []string{NeverUnproven, NeverSupersede, NeverReturn, NeverSilence}

// WeakPlanError says in what a plan falls short of what its target demands, everything
// at the same time. It unwraps to Missing.
type WeakPlanError struct {
	Target  string
	Missing []*checks.InvalidError
}

func (e *WeakPlanError) Error() string {
	var all []string
	for _, m := range e.Missing {
		all = append(all, strings.TrimPrefix(m.Error(), "rollout: "))
	}
	return fmt.Sprintf("rollout: %s demands more of a plan: %s", e.Target, strings.Join(all, "; "))
}

// Unwrap returns Missing.
func (e *WeakPlanError) Unwrap() []error {
	all := make([]error, len(e.Missing))
	for i, m := range e.Missing {
		all[i] = m
	}
	return all
}

// Validate reports everything that is wrong with d, joined; each problem is an
// [*checks.InvalidError].
func (d Demand) Validate() error {
	var errs []error
	bad := func(field string, value any, want string) {
		errs = append(errs, &checks.InvalidError{Package: "rollout", Field: "Demand." + field, Value: value, Want: want})
	}
	Plan{Standing: d.Standing}.validateStanding(bad)
	for i, w := range d.Windows {
		w.problems(func(field string, value any, want string) { bad(fmt.Sprintf("Windows[%d].%s", i, field), value, want) })
	}
	if d.UpTo > strategies.Full || d.UpTo > 0 && d.Approve == nil {
		bad("UpTo", d.UpTo, "a weight up to Full, and an approval in Approve")
	}
	if d.MaxFirst > strategies.Full {
		bad("MaxFirst", d.MaxFirst, "a weight up to Full")
	}
	if d.MinStages < 0 || d.MinStages > strategies.MaxStages {
		bad("MinStages", d.MinStages, fmt.Sprintf("a number from 0 to %d", strategies.MaxStages))
	}
	if d.Monitor < 0 {
		bad("Monitor", d.Monitor, "a duration >= 0")
	}
	if d.MinBake < 0 {
		bad("MinBake", d.MinBake, "a duration >= 0")
	}
	for field, names := range map[string][]string{"Preflight": d.Preflight, "Postflight": d.Postflight} {
		if i := slices.Index(names, ""); i >= 0 {
			bad(fmt.Sprintf("%s[%d]", field, i), "", "the name of a check")
		}
	}
	if d.Approve != nil {
		errs = append(errs, checks.Within(d.Approve.Validate(), "rollout", "Approval", "Demand.Approve"))
	}
	for i, n := range d.Never {
		if !slices.Contains(nevers, n) {
			bad(fmt.Sprintf("Never[%d]", i), fmt.Sprintf("%q", n), "one of "+strings.Join(nevers, ", "))
		}
	}
	return errors.Join(errs...)
}

// Check reports everything in which p is weaker than d, as a [*WeakPlanError], or that p
// or d is not valid.
func (d Demand) Check(p Plan) error {
	if err := errors.Join(d.Validate(), p.Validate()); err != nil {
		return err
	}
	p, err := p.compile()
	if err != nil {
		return err
	}
	strong := d.fill(p)
	e := &WeakPlanError{Target: p.Target}
	weak := func(field string, have, want any) {
		if !reflect.DeepEqual(have, want) {
			e.Missing = append(e.Missing, &checks.InvalidError{Package: "rollout", Field: "Plan." + field, Value: fmt.Sprint(have), Want: fmt.Sprint(want)})
		}
	}
	weak("Preflight", p.Preflight, strong.Preflight)
	weak("Postflight", p.Postflight, strong.Postflight)
	weak("Standing", p.Standing, strong.Standing)
	weak("Windows", p.Windows, strong.Windows)
	weak("Monitor", p.Monitor, strong.Monitor)
	weak("Supersede", p.Supersede, strong.Supersede)
	weak("RollbackWindow", p.RollbackWindow, strong.RollbackWindow)
	weak("RollbackFree", p.RollbackFree, strong.RollbackFree)
	d.weakStages(p, weak)
	if d.Digest {
		without := func(field, digest string) {
			if digest == "" {
				e.Missing = append(e.Missing, &checks.InvalidError{Package: "rollout", Field: "Plan." + field + ".Digest", Value: "", Want: "a digest of each release"})
			}
		}
		without("Baseline", p.Baseline.Digest)
		without("Candidate", p.Candidate.Digest)
		for i, r := range p.Rivals {
			without(fmt.Sprintf("Rivals[%d]", i), r.Digest)
		}
	}
	if len(e.Missing) == 0 {
		return nil
	}
	return e
}

// weakStages reports what d demands of the stages of p and they do not have.
func (d Demand) weakStages(p Plan, weak func(field string, have, want any)) {
	first, n := withTraffic(p.Stages)
	switch {
	case n == 0:
	case d.MaxFirst > 0 && share(p.Stages[first]) > d.MaxFirst:
		weak(fmt.Sprintf("Stages[%d].Split", first), share(p.Stages[first]), "at most "+d.MaxFirst.String())
	}
	if n < d.MinStages {
		weak("Stages", fmt.Sprintf("%d stages with traffic", n), fmt.Sprintf("at least %d", d.MinStages))
	}
	if d.never(NeverUnproven) && proof(p.Stages) < 0 {
		weak("Stages", "no stage in which the candidate can be compared", "one that lasts until it is shown to be no worse")
	}
	for i, want := range d.tighten(p.Stages) {
		have := &p.Stages[i]
		field := fmt.Sprintf("Stages[%d].", i)
		weak(field+"Bake", have.Bake, want.Bake)
		weak(field+"Until", have.Until, want.Until)
		weak(field+"OnLimit", have.OnLimit, want.OnLimit)
		weak(field+"Approve", describe(have.Approve), describe(want.Approve))
	}
}

// Apply returns p, with its stages, as strong as d demands: checks, approvals, windows and
// stages that are missing are there, and what d never allows is not. It cannot fill in the
// digest of a release. The errors are the ones of [Plan.Validate].
func (d Demand) Apply(p Plan) (Plan, error) {
	if err := errors.Join(d.Validate(), p.Validate()); err != nil {
		return p, err
	}
	p, err := p.compile()
	if err != nil {
		return p, err
	}
	p = d.fill(p)
	return p, p.Validate()
}

// fill returns a copy of p, which is compiled, as strong as d demands.
func (d Demand) fill(p Plan) Plan {
	p.Preflight = union(p.Preflight, d.Preflight)
	p.Postflight = union(p.Postflight, d.Postflight)
	p.Standing = strongerVigils(p.Standing, d.Standing)
	p.Windows = inside(p.Windows, d.Windows)
	p.Monitor = max(p.Monitor, d.Monitor)
	p.Supersede = p.Supersede && !d.never(NeverSupersede)
	if d.never(NeverReturn) {
		p.RollbackWindow, p.RollbackFree = 0, false
	}
	p.RollbackFree = p.RollbackFree && (d.Approve == nil || d.RollbackFree)
	p.Stages = d.tighten(d.insert(slices.Clone(p.Stages)))
	return p
}

func (d Demand) never(what string) bool { return slices.Contains(d.Never, what) }

// share returns what a stage gives the candidates.
func share(s strategies.Stage) strategies.Weight {
	return strategies.Full - s.Split.Weight(s.Split.Baseline())
}

// withTraffic returns the first stage that gives the candidates traffic, and how many do.
func withTraffic(all []strategies.Stage) (first, n int) {
	first = len(all)
	for i, s := range all {
		if share(s) > 0 {
			first, n = min(first, i), n+1
		}
	}
	return first, n
}

// proof returns the stage before the candidate has all traffic at which it can be shown to
// be no worse: the last one that waits for that, or the last one; -1 without one.
func proof(all []strategies.Stage) int {
	at := -1
	for i, s := range all {
		w := share(s)
		if w == strategies.Full {
			break
		}
		if w > 0 && (at < 0 || s.Contest || s.Until == strategies.UntilSafe || all[at].Until != strategies.UntilSafe && !all[at].Contest) {
			at = i
		}
	}
	return at
}

// insert returns the stages of a plan with those that are missing, which have smaller
// shares than the first one.
func (d Demand) insert(all []strategies.Stage) []strategies.Stage {
	first, n := withTraffic(all)
	if n == 0 {
		return all
	}
	add := func(w strategies.Weight) {
		all = slices.Insert(all, first, smaller(all[first], w, all))
		n++
	}
	if d.MaxFirst > 0 && share(all[first]) > d.MaxFirst {
		add(d.MaxFirst)
	}
	if d.never(NeverUnproven) && proof(all) < 0 {
		add(strategies.Percent(5))
	}
	for n < d.MinStages && share(all[first]) > 1 {
		add(max(share(all[first])/2, 1))
	}
	return all
}

// tighten returns a copy of the stages with what d demands of each.
func (d Demand) tighten(list []strategies.Stage) []strategies.Stage {
	all := slices.Clone(list)
	over := false
	for i := range all {
		s := &all[i]
		w := share(*s)
		if w > 0 && s.Bake < d.MinBake {
			s.Bake = d.MinBake
			if s.Limit > 0 || s.Bake > strategies.DefaultLimit {
				s.Limit = max(s.Limit, 2*s.Bake)
			}
		}
		// Who can pass over a stage must not pass over what it asks for.
		if d.Approve != nil && w > d.UpTo && (!over || s.Approve != nil) {
			over = true
			s.Approve = stronger(s.Approve, *d.Approve)
		}
		if s.Approve != nil && s.Approve.OnTimeout == strategies.ActionContinue && d.never(NeverSilence) {
			loud := *s.Approve
			loud.OnTimeout = strategies.ActionHold
			s.Approve = &loud
		}
	}
	if at := proof(all); d.never(NeverUnproven) && at >= 0 {
		if !all[at].Contest {
			all[at].Until = strategies.UntilSafe
		}
		if all[at].OnLimit == strategies.ActionContinue {
			all[at].OnLimit = strategies.ActionHold
		}
	}
	return all
}

// smaller returns a stage before s that gives the candidates w of the traffic.
func smaller(s strategies.Stage, w strategies.Weight, all []strategies.Stage) strategies.Stage {
	s.Contest, s.Allocate, s.Until = false, nil, strategies.UntilBaked
	s.Split.Arms = slices.Clone(s.Split.Arms)
	was := share(s)
	s.Split.Arms[0].Weight = strategies.Full
	for i := range s.Split.Arms[1:] {
		a := &s.Split.Arms[1+i]
		a.Weight = strategies.Weight(uint64(a.Weight) * uint64(w) / uint64(was))
		s.Split.Arms[0].Weight -= a.Weight
	}
	s.Before, s.After = nil, nil
	name := "demanded " + w.String()
	for n := 2; slices.ContainsFunc(all, func(o strategies.Stage) bool { return o.Name == name }); n++ {
		name = fmt.Sprintf("demanded %v (%d)", w, n)
	}
	s.Name = name
	return s
}

func union(have, want []string) []string {
	for _, w := range want {
		if !slices.Contains(have, w) {
			have = append(slices.Clip(have), w)
		}
	}
	return have
}

// strongerVigils returns have with what want demands.
func strongerVigils(have, want []Standing) []Standing {
	all := slices.Clone(have)
	for _, w := range want {
		i := slices.IndexFunc(all, func(s Standing) bool { return s.Check == w.Check })
		if i < 0 {
			all = append(all, w)
			continue
		}
		s := &all[i]
		if s.every() > w.every() {
			s.Every = w.Every
		}
		if s.grace() > w.grace() {
			s.Grace = w.Grace
		}
		if severity(s.OnFail) < severity(w.OnFail) {
			s.OnFail = w.OnFail
		}
	}
	return all
}

// inside returns the windows of have that lie within a window of want, or want if there is no such window.
func inside(have, want []Window) []Window {
	if len(want) == 0 {
		return have
	}
	var all []Window
	for _, h := range have {
		if slices.ContainsFunc(want, func(w Window) bool { return h.within(w) }) {
			all = append(all, h)
		}
	}
	if len(all) == 0 {
		return want
	}
	return all
}

// within reports whether w is open only when o is, with no larger budget.
func (w Window) within(o Window) bool {
	if w.Zone != o.Zone || o.Budget > 0 && (w.Budget == 0 || w.Budget > o.Budget) {
		return false
	}
	on, err := days(w.Days)
	allowed, err2 := days(o.Days)
	if err != nil || err2 != nil {
		return false
	}
	for i := range on {
		if on[i] && !allowed[i] {
			return false
		}
	}
	from, to := w.minutes()
	first, last := o.minutes()
	return from >= first && to <= last
}

// minutes returns when the window opens and closes, in minutes of the day; a window over
// midnight closes after more than a day's minutes.
func (w Window) minutes() (from, to int) {
	fh, fm, _ := clock(w.From)
	th, tm, _ := clock(w.To)
	from, to = 60*fh+fm, 60*th+tm
	if to <= from {
		to += 24 * 60
	}
	return from, to
}

// demand returns what the target demands now. A function that panics or demands what
// cannot be is an error: nothing is started then.
func (e *Engine) demand(ctx context.Context, target string) (d Demand, err error) {
	if e.cfg.Demands == nil {
		return d, nil
	}
	defer func() {
		if p := recover(); p != nil {
			e.cfg.Logger.ErrorContext(ctx, "Config.Demands panicked", "target", target, "panic", fmt.Sprint(p), "stack", string(debug.Stack()))
			err = &checks.InvalidError{Package: "rollout", Field: "Config.Demands", Value: fmt.Sprintf("panic: %v", p), Want: "a function that does not panic"}
		}
	}()
	d = e.cfg.Demands(target)
	return d, d.Validate()
}

// demanded refuses a plan that is weaker than its target demands, unless it says why it
// may be, and by has the right to that.
func (e *Engine) demanded(ctx context.Context, p Plan, by Actor) error {
	d, err := e.demand(ctx, p.Target)
	if err != nil {
		return err
	}
	if p.DangerouslyWithoutDemands != "" {
		return e.authorize(ctx, by, ActionConfigure, p.Target)
	}
	return d.Check(p)
}

// weakness says in what a plan is weaker than its target demands now.
func (e *Engine) weakness(ctx context.Context, p Plan) string {
	d, err := e.demand(ctx, p.Target)
	if err == nil && p.DangerouslyWithoutDemands == "" && !p.returns() {
		err = d.Check(p)
	}
	if err == nil {
		return ""
	}
	return "; " + strings.TrimPrefix(err.Error(), "rollout: ")
}

// digest identifies d, "" if it demands nothing.
func (d Demand) digest() string {
	if reflect.DeepEqual(d, Demand{}) {
		return ""
	}
	body, err := json.Marshal(d)
	if err != nil {
		return "unusable"
	}
	return hashOf(body)
}
