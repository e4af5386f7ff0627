package analysis

import (
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/serin-go/serin/checks"
	"github.com/serin-go/serin/internal/former"
)

// Plan says how candidates are judged. The zero value is ready to use, and each
// field's zero value means the default that it documents.
//
// A Plan is plain data. JSON keeps all of it but the functions of custom metrics; see
// [Plan.Bind].
type Plan struct {
	// Metrics are compared between the arms. Nil means [DefaultMetrics]. A plan that
	// names metrics, but not [ErrorRate] or [Unanswered] as a gate or guard, gets both as
	// guards after its own metrics. Together they have half of AlphaRollback.
	Metrics []Metric `json:"metrics,omitempty"`
	// DangerouslyWithoutErrors leaves Metrics as they are. A candidate that fails each
	// request is then found only as far as Metrics show it. Default false.
	DangerouslyWithoutErrors bool `json:"dangerously_without_errors,omitempty"`
	// AlphaRollback bounds the probability that a candidate that is no worse is
	// ever judged Harmed, over all metrics and however often one looks. Zero
	// means 0.05.
	AlphaRollback float64 `json:"alpha_rollback,omitempty"`
	// AlphaPromote bounds the probability that a candidate that is worse than a
	// gate's margin is ever judged Safe. Zero means 0.05.
	AlphaPromote float64 `json:"alpha_promote,omitempty"`
	// AlphaSplit bounds the probability that traffic that is split as intended is
	// ever said not to be; see [Recorder.Expect]. Traffic that is not split as
	// intended proves nothing: the requests that an arm was not given may be the ones
	// that it would have harmed. The verdict is never Safe from then on. Harm is still
	// found, by ten times the evidence, and breakers act. Zero means 0.01.
	AlphaSplit float64 `json:"alpha_split,omitempty"`
	// Unit names what the split assigns at random, for the reasons of a verdict. The
	// tests count slots of the split, whatever it is.
	Unit Unit `json:"unit,omitempty"`
	// Persist is for how long harm must last: it must be shown without the loudest
	// stretch of that length. Zero means 2 s; negative: it need not last. Breakers do
	// not wait.
	Persist time.Duration `json:"persist_ns,omitempty"`
	// Warm says when the candidate is warm: its times do not count before, nor do the
	// baseline's of the same time.
	Warm Warm `json:"warm,omitzero"`
	// Strata says by which properties of requests the arms are compared apart as well as
	// in the whole, in [ErrorRate], [Unanswered] and [TTFT]. Each kind keeps its 16
	// heaviest values, if they are printable and no longer than 128 bytes, and compares
	// the rest as "other". From the look on at which two values of a kind have 20
	// requests each, the strata have half of AlphaRollback and the whole has the other
	// half. Nil means all kinds; empty but not nil means none.
	Strata []Stratum `json:"strata"`
	// FeedbackWithin is how long after a request its feedback still counts. Zero
	// means one hour.
	FeedbackWithin time.Duration `json:"feedback_within_ns,omitempty"`
	// Remember is how many requests of each arm are remembered for feedback, if a
	// metric of satisfaction is among the metrics: at 24 bytes each, up to
	// 1,048,576. Zero means 16,384.
	Remember int `json:"remember,omitempty"`
	// MinSamples is the smallest number of requests of each arm that were answered,
	// OK or Refused, before the verdict may be Safe. Zero means 50.
	MinSamples int `json:"min_samples,omitempty"`
	// Breakers judge a candidate Harmed before the other evidence. Nil means these, of
	// metrics that the plan has: an error rate or a share of unanswered requests above
	// 20 %. Empty but not nil means none. Guards that a plan gets because its Metrics
	// lack them bring their breakers, unless Breakers is empty but not nil.
	Breakers []Breaker `json:"breakers"`
	// MonitorRunLength is the mean number of looks of a [Monitor] until a false alarm,
	// at the least, if nothing has become worse. Zero means 1,000,000: eleven
	// days of a look each second.
	MonitorRunLength float64 `json:"monitor_run_length,omitempty"`
	// Window is how far apart in time requests may be and still be compared for the
	// effect that is reported. Zero means one minute. Tests pair nothing in time.
	Window time.Duration `json:"window_ns,omitempty"`
}

// UnmarshalJSON implements [json.Unmarshaler]. It reads the names of earlier versions too. A
// member that no plan has is an error: what is not understood would not be judged.
func (p *Plan) UnmarshalJSON(data []byte) error {
	type plain Plan
	var read plain
	if err := former.Decode(data, &read, former.Name{Now: "monitor_run_length", Former: "watch_run_length"}); err != nil {
		var both *former.BothError
		if errors.As(err, &both) {
			return &checks.InvalidError{Package: "analysis", Field: "Plan", Value: both, Want: "one of them"}
		}
		return err
	}
	*p = Plan(read)
	return nil
}

// Warm says how long a version takes to get warm: connections, caches, a first batch.
// The zero value means 30 requests and 3 s.
type Warm struct {
	// Requests is how many requests of the candidate, and For how long from the
	// first of them, whichever ends later; but no longer than five minutes.
	// Zero means 30 and 3 s; negative: the candidate is warm from the start.
	Requests int           `json:"requests,omitempty"`
	For      time.Duration `json:"for_ns,omitempty"`
}

const maxWarm = 5 * time.Minute

func (w Warm) none() bool { return w.Requests < 0 || w.For < 0 }

func (w Warm) withDefaults() Warm {
	if w.Requests == 0 {
		w.Requests = 30
	}
	if w.For == 0 {
		w.For = 3 * time.Second
	}
	return w
}

// persist returns how long harm must last, 0 if it need not.
func (p Plan) persist() time.Duration {
	if p.Persist == 0 {
		return defaultBlock
	}
	return max(p.Persist, 0)
}

// withDefaults returns p with its zero fields replaced by what they stand for.
func (p Plan) withDefaults() Plan {
	if p.Metrics == nil {
		p.Metrics = DefaultMetrics()
	}
	p = p.guarded()
	p.Metrics = slices.Clone(p.Metrics)
	for i, m := range p.Metrics {
		p.Metrics[i] = m.defaults()
	}
	if p.AlphaRollback == 0 {
		p.AlphaRollback = 0.05
	}
	if p.AlphaPromote == 0 {
		p.AlphaPromote = 0.05
	}
	if p.AlphaSplit == 0 {
		p.AlphaSplit = 0.01
	}
	if p.Strata == nil {
		p.Strata = []Stratum{ByTenant, ByRoute, ByModel, ByPrompt}
	}
	if p.FeedbackWithin == 0 {
		p.FeedbackWithin = time.Hour
	}
	if p.Remember == 0 {
		p.Remember = 1 << 14
	}
	if p.MinSamples == 0 {
		p.MinSamples = 50
	}
	if p.Breakers == nil {
		for _, b := range defaultBreakers {
			if slices.ContainsFunc(p.Metrics, func(m Metric) bool { return m.Name == b.Metric && m.Of == nil }) {
				p.Breakers = append(p.Breakers, b)
			}
		}
	}
	if p.MonitorRunLength == 0 {
		p.MonitorRunLength = 1e6
	}
	if p.Window == 0 {
		p.Window = time.Minute
	}
	return p
}

var defaultBreakers = []Breaker{
	{Metric: nameErrors, Above: 0.2},
	{Metric: nameUnanswered, Above: 0.2},
}

// guarded returns p with the guards that its metrics lack. Without a name that is free
// it cannot have them.
func (p Plan) guarded() Plan {
	if len(p.Metrics) == 0 || p.DangerouslyWithoutErrors || slices.ContainsFunc(p.Metrics, Metric.guardsErrors) {
		return p
	}
	own, total := p.Metrics, 0.0
	for _, m := range own {
		if m.Role.RollsBack() {
			total += m.defaults().Weight
		}
	}
	p.Metrics = slices.Clip(own)
	p.Breakers = slices.Clip(p.Breakers)
	errors, unanswered := ErrorRate(), Unanswered()
	weights := errors.Weight + unanswered.Weight
	for i, m := range []Metric{errors, unanswered} {
		if slices.ContainsFunc(own, func(o Metric) bool { return o.Name == m.Name }) {
			continue
		}
		m.Role, m.Weight = Guard, m.Weight/weights*total
		p.Metrics = append(p.Metrics, m)
		if len(p.Breakers) > 0 && !slices.ContainsFunc(p.Breakers, func(b Breaker) bool { return b.Metric == m.Name }) {
			p.Breakers = append(p.Breakers, defaultBreakers[i])
		}
	}
	return p
}

// guardsErrors reports whether a candidate that fails is found by m.
func (m Metric) guardsErrors() bool {
	return (m.Name == nameErrors || m.Name == nameUnanswered) && m.Of == nil && m.Role.RollsBack()
}

// Validate reports everything that is wrong with p, joined; each problem is an
// [*checks.InvalidError].
func (p Plan) Validate() error {
	var errs []error
	bad := func(field string, value any, want string) {
		errs = append(errs, &checks.InvalidError{Package: "analysis", Field: "Plan." + field, Value: value, Want: want})
	}
	if p.Metrics != nil && len(p.Metrics) == 0 {
		bad("Metrics", "empty", "nil for the defaults, or at least one metric")
	}
	guarded := p.guarded()
	if n := len(guarded.Metrics); n > maxMetrics {
		bad("Metrics", n, fmt.Sprintf("at most %d metrics, with the guards that they lack", maxMetrics))
	}
	kinds := make(map[string]Kind)
	gates := false
	metrics := p.Metrics
	if metrics == nil {
		metrics = DefaultMetrics()
	}
	for i, m := range metrics {
		prefix := fmt.Sprintf("Metrics[%d].", i)
		m.problems(func(field string, value any, want string) { bad(prefix+field, value, want) })
		if _, twice := kinds[m.Name]; twice {
			bad(prefix+"Name", m.Name, "a name that no other metric has")
		}
		kinds[m.Name] = m.Kind
		gates = gates || m.Role == Gate
	}
	for _, m := range guarded.Metrics[len(p.Metrics):] {
		kinds[m.Name] = m.Kind
	}
	if len(p.Metrics) > 0 && !p.DangerouslyWithoutErrors && !slices.ContainsFunc(guarded.Metrics, Metric.guardsErrors) {
		bad("Metrics[].Role", "never gate or guard, of the error rate and of unanswered requests", "one of them as a gate or guard, or DangerouslyWithoutErrors")
	}
	if !gates && len(metrics) > 0 {
		bad("Metrics[].Role", "never gate", "at least one gate: without one nothing could ever be proven")
	}
	alpha := func(field string, a, zero float64) {
		if a != 0 && !(a >= 1e-9 && a <= 0.5) {
			bad(field, a, fmt.Sprintf("0 for %v, or a probability from 1e-9 to 0.5", zero))
		}
	}
	alpha("AlphaRollback", p.AlphaRollback, 0.05)
	alpha("AlphaPromote", p.AlphaPromote, 0.05)
	alpha("AlphaSplit", p.AlphaSplit, 0.01)
	if p.MinSamples < 0 {
		bad("MinSamples", p.MinSamples, "a number >= 0; 0 stands for 50")
	}
	if p.Unit < 0 || int(p.Unit) >= len(unitNames) {
		bad("Unit", int(p.Unit), fmt.Sprintf("one of %v", unitNames))
	}
	for i, s := range p.Strata {
		if s < 0 || s >= numStrata {
			bad(fmt.Sprintf("Strata[%d]", i), int(s), fmt.Sprintf("one of %v", stratumNames))
		}
	}
	if p.FeedbackWithin < 0 {
		bad("FeedbackWithin", p.FeedbackWithin, "a duration >= 0; 0 stands for 1h")
	}
	if p.Remember < 0 || p.Remember > maxRemember {
		bad("Remember", p.Remember, fmt.Sprintf("0 to %d; 0 stands for %d", maxRemember, 1<<14))
	}
	if p.MonitorRunLength != 0 && !(p.MonitorRunLength >= 10 && p.MonitorRunLength <= 1e15) {
		bad("MonitorRunLength", p.MonitorRunLength, "0 for a million, or a number from 10 to 1e15")
	}
	if p.Persist > time.Minute {
		bad("Persist", p.Persist, "at most 1m; 0 stands for 2s, a negative one for none")
	}
	if p.Warm.Requests > 1<<20 || p.Warm.For > maxWarm {
		bad("Warm", p.Warm, fmt.Sprintf("at most %d requests and %v; 0 stands for 30 and 3s", 1<<20, maxWarm))
	}
	if p.Window < 0 {
		bad("Window", p.Window, "a duration >= 0; 0 stands for 1m")
	}
	for i, b := range p.Breakers {
		prefix := fmt.Sprintf("Breakers[%d].", i)
		if k, known := kinds[b.Metric]; !known || k != Rate {
			bad(prefix+"Metric", fmt.Sprintf("%q", b.Metric), "the name of a metric of the plan whose kind is rate")
		}
		if !(b.Above >= 0 && b.Above < 1) {
			bad(prefix+"Above", b.Above, "a share from 0 to below 1")
		}
	}
	return errors.Join(errs...)
}

const (
	// These keep a recorder's memory in bounds.
	maxMetrics  = 64
	maxRemember = 1 << 20
)

// Bind returns p with the functions of custom put into the metrics of the same
// names. A plan that was read from JSON needs it if it has custom metrics;
// [Plan.Validate] says which still lack theirs.
func (p Plan) Bind(custom ...Metric) Plan {
	p.Metrics = slices.Clone(p.Metrics)
	for i, m := range p.Metrics {
		for _, c := range custom {
			if c.Name == m.Name {
				p.Metrics[i].Of = c.Of
			}
		}
	}
	return p
}

// digest identifies what p measures and decides: evidence gathered under one
// digest means nothing under another.
func (p Plan) digest() string {
	data, err := json.Marshal(p.withDefaults())
	if err != nil {
		return "" // only an invalid plan has no JSON
	}
	sum := sha256.Sum256(data)
	return hex.EncodeToString(sum[:8])
}
