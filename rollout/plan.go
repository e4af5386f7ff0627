package rollout

import (
	"encoding/json"
	"errors"
	"fmt"
	"iter"
	"reflect"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/serin-go/serin/checks"
	"github.com/serin-go/serin/checks/analysis"
	"github.com/serin-go/serin/internal/former"
	"github.com/serin-go/serin/strategies"
	"github.com/serin-go/serin/versioning"
)

// ID identifies a rollout within its store: the target, a slash and a number
// that counts the target's rollouts from 1, as in "chat/3".
type ID string

// Target returns the target that the rollout is about.
func (id ID) Target() string {
	i := strings.LastIndexByte(string(id), '/')
	if i < 0 {
		return ""
	}
	return string(id[:i])
}

// numbered returns the ID of the n-th rollout of a target.
func numbered(target string, n uint64) ID { return ID(target + "/" + strconv.FormatUint(n, 10)) }

// number returns which rollout of its target id is, from 1.
func (id ID) number() (uint64, error) {
	n, err := strconv.ParseUint(strings.TrimPrefix(string(id), id.Target()+"/"), 10, 64)
	if err == nil && n == 0 {
		err = strconv.ErrRange
	}
	return n, err
}

// Plan says what is to be rolled out, how, and what must hold. It is data: what
// was started is stored with the rollout and survives a restart.
type Plan struct {
	// Target names what is moved, one of the targets of [Config]. It matches
	// [a-z0-9._-]{1,64}.
	Target string `json:"target"`
	// Baseline is the release that serves now, Candidate the one that is to
	// take over. Their versions name the arms of the split.
	Baseline  versioning.Release `json:"baseline"`
	Candidate versioning.Release `json:"candidate"`
	// Rivals are further candidates, which compete with the first one in the stage that
	// is a contest, an A/B/n test; see strategies.AB. The winner is the candidate from
	// then on. Goal names the metric that orders the candidates which were shown to be no
	// worse than the baseline. Empty means the first metric of the plan.
	Rivals []versioning.Release `json:"rivals,omitempty"`
	Goal   string               `json:"goal,omitempty"`
	// Strategy makes the stages. It is used when Stages is nil; nil then means
	// the zero [strategies.Canary].
	Strategy strategies.Strategy `json:"-"`
	// Stages are carried out in order. Start fills them in from Strategy and
	// gives each split the rollout's salt.
	Stages []strategies.Stage `json:"stages"`
	// Preflight names the checks that must pass before any traffic moves,
	// Postflight those that must pass after the last stage. Each must be bound
	// in [Config].
	Preflight  []string `json:"preflight,omitempty"`
	Postflight []string `json:"postflight,omitempty"`
	// Standing are checks that must hold for as long as the candidate has traffic.
	Standing []Standing `json:"standing,omitempty"`
	// Analysis says how the candidate is judged. The zero value has good
	// defaults.
	Analysis analysis.Plan `json:"analysis"`
	// Monitor is how long the candidate is monitored after the last stage, with
	// everything that can roll it back, before the postflight checks. Zero is no
	// time.
	Monitor time.Duration `json:"monitor_ns,omitempty"`
	// Holdback is the share of traffic that the baseline keeps while it monitors,
	// so that there is something to compare with. Zero keeps none.
	Holdback strategies.Weight `json:"holdback,omitempty"`
	// RampDown holds the steps of the command RampDown. Nil means that the command is
	// refused; an abort takes all traffic back in one step.
	RampDown []strategies.RampStep `json:"ramp_down,omitempty"`
	// Windows are the times in which stages may begin, Freezes those in which
	// none may. No windows means any time.
	Windows []Window `json:"windows,omitempty"`
	Freezes []Freeze `json:"freezes,omitempty"`
	// Supersede ends an active rollout of the target, in favour of this one,
	// instead of refusing to start.
	Supersede bool `json:"supersede,omitempty"`
	// RollbackWindow lets the target go back to a version that is known to be good
	// without stages: one that served as baseline, or was promoted, in a rollout
	// that ended no longer ago than this, and was not rolled back since. Its preflight
	// and postflight checks still apply. Zero means that every rollout goes through its
	// stages.
	// What an approval of the plan's stages demands is demanded of it too, the strictest
	// of each, unless RollbackFree says that going back needs no approval.
	RollbackWindow time.Duration `json:"rollback_window_ns,omitempty"`
	RollbackFree   bool          `json:"rollback_free,omitempty"`
	// DangerouslyReplaceServing names the version that serves the target now, if it is
	// neither the baseline nor to stay: it loses its traffic to them when the first stage
	// begins. Empty means that a plan whose baseline does not serve is refused with a
	// [*StaleBaselineError].
	DangerouslyReplaceServing string `json:"dangerously_replace_serving,omitempty"`
	// DangerouslyWithoutDemands says why the plan may be weaker than its target demands;
	// see [Config.Demands]. It asks for [ActionConfigure], and the rollout begins with an
	// urgent event that gives the reason. Empty means that the demands hold.
	DangerouslyWithoutDemands string `json:"dangerously_without_demands,omitempty"`
}

// Digest identifies the plan: the SHA-256 of its JSON, in hex. What it leaves
// out is what a plan leaves out when it is stored, the functions.
func (p Plan) Digest() string {
	body, err := json.Marshal(p)
	if err != nil {
		return ""
	}
	return hashOf(body)
}

// UnmarshalJSON implements [json.Unmarshaler]. It takes what a plan is written as; a field
// that no plan has, such as a misspelt one or a strategy, which is not data, is an
// [*checks.InvalidError] that names it: what is not understood would not be carried out.
func (p *Plan) UnmarshalJSON(data []byte) error {
	type plain Plan
	var read plain
	if err := former.Decode(data, &read, formerPlan...); err != nil {
		return unreadable(err, "Plan", "a plan, with stages in place of a strategy")
	}
	*p = Plan(read)
	return nil
}

// unreadable returns the error of decoding a type as a [*checks.InvalidError].
func unreadable(err error, typ, what string) error {
	bad := func(field string, value any, want string) error {
		return &checks.InvalidError{Package: "rollout", Field: field, Value: value, Want: want}
	}
	var both *former.BothError
	if errors.As(err, &both) {
		return bad(typ, both, "one of them")
	}
	var invalid *checks.InvalidError
	if errors.As(err, &invalid) {
		return err
	}
	var wrong *json.UnmarshalTypeError
	if errors.As(err, &wrong) && wrong.Field != "" {
		return bad(typ+"."+wrong.Field, "a JSON "+wrong.Value, "a value for "+wrong.Type.String())
	}
	if name, ok := former.Unknown(err); ok {
		return bad(typ, "with a member "+name, "members of "+what)
	}
	return bad(typ, strings.TrimPrefix(err.Error(), "json: "), "the JSON of "+what)
}

// formerPlan are the members of plans that had another name in earlier versions.
var formerPlan = []former.Name{
	{Now: "monitor_ns", Former: "watch_ns"}, {Now: "ramp_down", Former: "descent"},
	{Now: "rollback_window_ns", Former: "return_window_ns"}, {Now: "rollback_free", Former: "return_free"},
}

// compile returns p with its stages filled in.
func (p Plan) compile() (Plan, error) {
	if p.Stages != nil {
		p.Stages = slices.Clone(p.Stages)
		return p, nil
	}
	if p.Strategy == nil {
		p.Strategy = strategies.Canary{}
	}
	if v := reflect.ValueOf(p.Strategy); v.Kind() == reflect.Pointer {
		if v.IsNil() {
			return p, &checks.InvalidError{Package: "rollout", Field: strategyName(p.Strategy), Value: "a nil pointer", Want: "a strategy"}
		}
		if s, ok := v.Elem().Interface().(strategies.Strategy); ok {
			p.Strategy = s
		}
	}
	var err error
	p.Stages, err = p.Strategy.Stages(p.Baseline.Arm(), p.Candidate.Arm())
	if c, zero := p.Strategy.(strategies.Canary); zero && err == nil && c.Bake == 0 && c.MinSamples == 0 {
		p.expose()
	}
	return p, err
}

// strategyName returns the name of the type of s, by which its errors name their fields.
func strategyName(s strategies.Strategy) string {
	return strings.TrimPrefix(strings.TrimPrefix(fmt.Sprintf("%T", s), "*"), "strategies.")
}

// minBake is how long a stage lasts at least for which nothing was said.
const minBake = 30 * time.Second

// expose lets each stage that compares two versions last until it could have found what
// is plainly broken.
func (p *Plan) expose() {
	for i := range p.Stages {
		s := &p.Stages[i]
		cand, base := s.Split.Weight(p.Candidate.Arm()), s.Split.Weight(p.Baseline.Arm())
		if cand == 0 || base == 0 {
			continue
		}
		// What counts are requests: at so slow a rate nothing else does.
		n, err := p.Analysis.Exposure(analysis.Traffic{PerSecond: 0.001, Share: float64(cand) / float64(cand+base)})
		if err != nil {
			continue // Validate says what is wrong with the plan
		}
		s.Bake, s.MinSamples = minBake, n
	}
}

var targetName = regexp.MustCompile(`^[a-z0-9._-]{1,64}$`)

// Validate reports everything that is wrong with p, joined; it needs no engine.
// Each problem is a [*checks.InvalidError] whose field is a path from Plan. A strategy of
// another package may report other errors.
func (p Plan) Validate() error {
	var errs []error
	bad := func(field string, value any, want string) {
		errs = append(errs, &checks.InvalidError{Package: "rollout", Field: "Plan." + field, Value: value, Want: want})
	}
	if !targetName.MatchString(p.Target) {
		bad("Target", fmt.Sprintf("%q", p.Target), "a name that matches "+targetName.String())
	}
	strategy := strategyName(p.Strategy)
	p, err := p.compile()
	same := p.Baseline.Version == p.Candidate.Version
	if err = checks.Within(err, "rollout", strategy, "Plan.Strategy"); err != nil {
		for invalid := range checks.Invalid(err) {
			if invalid.Field == "Plan.Strategy.candidate" { // the argument of Stages
				invalid.Field, same = "Plan.Candidate.Version", false
			}
		}
		errs = append(errs, err)
	}
	if same {
		bad("Candidate.Version", p.Candidate.Version, "another version than the baseline's")
	}
	if err == nil {
		errs = append(errs, checks.Within(strategies.ValidateStages(p.Stages), "rollout", "", "Plan"))
	}
	for i, s := range p.Stages {
		for _, a := range s.Split.Arms {
			if a.Name != p.Baseline.Arm() && !slices.Contains(p.candidates(), a.Name) {
				bad(fmt.Sprintf("Stages[%d].Split.Arms", i), a.Name, p.Baseline.Arm()+" or "+strings.Join(p.candidates(), " or "))
			}
		}
		if b := s.Split.Baseline(); b != "" && b != p.Baseline.Arm() {
			bad(fmt.Sprintf("Stages[%d].Split.Arms[0]", i), b, "the baseline, "+p.Baseline.Arm())
		}
	}
	p.validateRivals(bad)
	p.validateStanding(bad)
	if err := p.Analysis.Validate(); err != nil {
		errs = append(errs, checks.Within(err, "rollout", "Plan", "Plan.Analysis"))
	}
	if err := strategies.ValidateRampSteps(p.RampDown); err != nil {
		errs = append(errs, checks.Within(err, "rollout", "", "Plan"))
	}
	if p.Monitor < 0 {
		bad("Monitor", p.Monitor, "a duration >= 0")
	}
	if p.RollbackWindow < 0 {
		bad("RollbackWindow", p.RollbackWindow, "a duration >= 0")
	}
	if p.Holdback >= strategies.Full || p.Holdback > 0 && p.Monitor == 0 {
		bad("Holdback", p.Holdback, "a weight below Full, and a Monitor during which it is kept")
	}
	for i, w := range p.Windows {
		w.problems(func(field string, value any, want string) { bad(fmt.Sprintf("Windows[%d].%s", i, field), value, want) })
	}
	for i, f := range p.Freezes {
		if !f.To.After(f.From) {
			bad(fmt.Sprintf("Freezes[%d].To", i), f.To, "a time after From, "+f.From.String())
		}
	}
	return errors.Join(errs...)
}

// checkFields yields the path and the name of each check that the plan names.
func (p Plan) checkFields() iter.Seq2[string, string] {
	return func(yield func(field, name string) bool) {
		list := func(field string, names []string) bool {
			for i, name := range names {
				if !yield(fmt.Sprintf("%s[%d]", field, i), name) {
					return false
				}
			}
			return true
		}
		if !list("Preflight", p.Preflight) || !list("Postflight", p.Postflight) {
			return
		}
		for i, s := range p.Standing {
			if !yield(fmt.Sprintf("Standing[%d].Check", i), s.Check) {
				return
			}
		}
		for i, s := range p.Stages {
			if !list(fmt.Sprintf("Stages[%d].Before", i), s.Before) || !list(fmt.Sprintf("Stages[%d].After", i), s.After) {
				return
			}
		}
	}
}

// checkNames returns the names of all the plan's checks, each once, in order.
func (p Plan) checkNames() (names []string) {
	for _, name := range p.checkFields() {
		names = append(names, name)
	}
	slices.Sort(names)
	return slices.Compact(names)
}

// due returns the names of the checks that a checking phase waits for.
func (p Plan) due(phase strategies.Phase, stage int) []string {
	switch phase {
	case strategies.Preflight:
		return p.Preflight
	case strategies.BeforeStage:
		return p.Stages[stage].Before
	case strategies.AfterStage:
		return p.Stages[stage].After
	case strategies.Postflight:
		return p.Postflight
	}
	return nil
}
