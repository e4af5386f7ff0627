package autoscale

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"maps"
	"slices"
	"sync"
	"time"

	"github.com/serin-go/serin/checks"
	"github.com/serin-go/serin/strategies"
)

// Source measures the replicas of an arm. Its methods are safe for concurrent use.
type Source interface {
	// Measure returns what is known now. The loop sets Input.At and Input.Floor. What is
	// not known is left out: a missing signal lowers nothing. An error means that nothing
	// is known.
	Measure(ctx context.Context, arm string) (Input, error)
}

// SourceFunc adapts a function to a [Source].
type SourceFunc func(ctx context.Context, arm string) (Input, error)

// Measure calls f.
func (f SourceFunc) Measure(ctx context.Context, arm string) (Input, error) { return f(ctx, arm) }

// Actuator sets the number of replicas of an arm. Its methods are safe for concurrent use.
type Actuator interface {
	// Scale asks for n replicas. It does not wait until they serve. To ask for a number
	// twice has the same effect as once. Scaling down ends replicas with the fewest token
	// streams, after these have ended.
	Scale(ctx context.Context, arm string, n int) error
}

// ActuatorFunc adapts a function to an [Actuator].
type ActuatorFunc func(ctx context.Context, arm string, n int) error

// Scale calls f.
func (f ActuatorFunc) Scale(ctx context.Context, arm string, n int) error { return f(ctx, arm, n) }

// Config configures a [Loop].
type Config struct {
	// Scaler has the rules for each arm. Scalers replaces it for some arms.
	Scaler  Scaler            `env:", prefix=SCALER_"`
	Scalers map[string]Scaler `env:", noinit"`
	// Arms are the arms that are scaled. Other arms are not touched.
	Arms []string `env:"ARMS"`
	// Source measures, Actuator scales. Source is required, Actuator too if Act is set.
	Source   Source   `env:", noinit"`
	Actuator Actuator `env:", noinit"`
	// Act has the loop scale. Without it, the loop only decides and logs.
	Act bool `env:"ACT"`
	// Every is the time between two decisions. Default 15 s, in mode KPA 2 s.
	Every time.Duration `env:"EVERY"`
	// Load returns the load of all arms together, and Capacity is what one replica of an
	// arm serves, in the same unit. Without both, a split sets no floors.
	Load     func() float64     `env:", noinit"`
	Capacity map[string]float64 `env:"CAPACITY"`
	// Logger logs changes, errors and conflicts. Default [slog.Default].
	Logger *slog.Logger `env:", noinit"`
}

// Validate reports everything that is wrong with c, joined; each problem is a
// [*checks.InvalidError].
func (c Config) Validate() error {
	var errs []error
	bad := func(field string, value any, want string) {
		errs = append(errs, &checks.InvalidError{Package: "autoscale", Field: "Config." + field, Value: value, Want: want})
	}
	errs = append(errs, checks.Within(c.Scaler.Validate(), "autoscale", "Scaler", "Config.Scaler"))
	for _, arm := range slices.Sorted(maps.Keys(c.Scalers)) {
		errs = append(errs, checks.Within(c.Scalers[arm].Validate(), "autoscale", "Scaler", fmt.Sprintf("Config.Scalers[%q]", arm)))
	}
	if len(c.Arms) == 0 {
		bad("Arms", "empty", "at least one arm")
	}
	for i, arm := range c.Arms {
		if arm == "" || slices.Contains(c.Arms[:i], arm) {
			bad(fmt.Sprintf("Arms[%d]", i), arm, "a name that occurs once")
		}
	}
	if c.Source == nil {
		bad("Source", nil, "a source")
	}
	if c.Act && c.Actuator == nil {
		bad("Actuator", nil, "an actuator, since Act is set")
	}
	if c.Every < 0 {
		bad("Every", c.Every, "a positive duration, or 0 for the default")
	}
	for _, arm := range slices.Sorted(maps.Keys(c.Capacity)) {
		if v := c.Capacity[arm]; !(v > 0) {
			bad(fmt.Sprintf("Capacity[%q]", arm), v, "a positive number")
		}
	}
	return errors.Join(errs...)
}

// Loop measures, decides and scales. Make one with [New]. It is safe for concurrent use.
type Loop struct {
	cfg Config

	mu     sync.Mutex
	split  strategies.Split
	keep   bool
	states map[string]State
	last   map[string]Report
}

// Report is the last decision for an arm.
type Report struct {
	Arm      string    `json:"arm"`
	At       time.Time `json:"at"`
	Ready    int       `json:"ready"`
	Starting int       `json:"starting,omitempty"`
	Floor    int       `json:"floor,omitempty"`
	Decision Decision  `json:"decision"`
	// Misses is the number of decisions in a row without a known signal. From the third on,
	// the source needs attention.
	Misses int `json:"misses,omitempty"`
	// Error is why the arm could not be measured or scaled.
	Error string `json:"error,omitempty"`
}

// New returns a Loop that has decided nothing yet. It returns the errors of
// [Config.Validate].
func New(c Config) (*Loop, error) {
	if err := c.Validate(); err != nil {
		return nil, err
	}
	every := 15 * time.Second
	if c.Scaler.Mode == KPA {
		every = 2 * time.Second
	}
	c.Every = cmp.Or(c.Every, every)
	c.Logger = cmp.Or(c.Logger, slog.Default())
	c.Arms, c.Scalers, c.Capacity = slices.Clone(c.Arms), maps.Clone(c.Scalers), maps.Clone(c.Capacity)
	return &Loop{cfg: c, states: make(map[string]State), last: make(map[string]Report)}, nil
}

// Expect sets the split that the replicas must be able to serve. Call it before the split
// takes effect. keep has the baseline keep the capacity for the whole load: it is set while
// a rollout runs or is monitored.
func (l *Loop) Expect(s strategies.Split, keep bool) {
	l.mu.Lock()
	defer l.mu.Unlock()
	s.Arms = slices.Clone(s.Arms)
	l.split, l.keep = s, keep
}

// floors returns the floors for a split.
func (l *Loop) floors(s strategies.Split, keep bool) map[string]int {
	if l.cfg.Load == nil {
		return nil
	}
	return Floors(s, l.cfg.Load(), l.cfg.Capacity, keep)
}

// Run decides for all arms until ctx ends, and then returns nil.
func (l *Loop) Run(ctx context.Context) error {
	ticker := time.NewTicker(l.cfg.Every)
	defer ticker.Stop()
	for ctx.Err() == nil {
		l.Step(ctx)
		select {
		case <-ticker.C:
		case <-ctx.Done():
		}
	}
	return nil
}

// Step decides for all arms once.
func (l *Loop) Step(ctx context.Context) {
	l.mu.Lock()
	split, keep := l.split, l.keep
	l.mu.Unlock()
	floors := l.floors(split, keep)
	for _, arm := range l.cfg.Arms {
		l.step(ctx, arm, floors[arm])
	}
}

func (l *Loop) step(ctx context.Context, arm string, floor int) {
	scaler, ok := l.cfg.Scalers[arm]
	if !ok {
		scaler = l.cfg.Scaler
	}
	limited, cancel := context.WithTimeout(ctx, l.cfg.Every)
	defer cancel()
	in, err := l.measure(limited, arm)
	if ctx.Err() != nil {
		return
	}
	in.At, in.Floor = time.Now(), floor
	l.mu.Lock()
	before, state := l.last[arm], l.states[arm]
	l.mu.Unlock()
	r := Report{Arm: arm, At: in.At, Ready: in.Ready, Starting: in.Starting, Floor: floor}
	if err != nil {
		// Nothing is known, not even the number of replicas: nothing changes.
		state.Misses++
		r.Decision = Decision{Replicas: before.Decision.Replicas, Proposed: before.Decision.Replicas, By: "unknown", Unknown: true}
		r.Ready, r.Starting = before.Ready, before.Starting
	} else {
		r.Decision, state = scaler.Next(in, state)
		if l.cfg.Act && r.Decision.Replicas != in.Desired {
			err = l.scale(limited, arm, r.Decision.Replicas)
		}
		if !l.cfg.Act || err != nil {
			state.Asked = in.Desired // nothing was asked for
		}
	}
	r.Misses = state.Misses
	if err != nil {
		r.Error = err.Error()
	}
	l.mu.Lock()
	l.last[arm], l.states[arm] = r, state
	l.mu.Unlock()
	l.log(ctx, before, r, in.Desired)
}

// log logs what is new.
func (l *Loop) log(ctx context.Context, before, r Report, desired int) {
	switch {
	case r.Error != "" && r.Error != before.Error:
		l.cfg.Logger.WarnContext(ctx, "arm not scaled", "arm", r.Arm, "error", r.Error)
	case r.Decision.Conflict && !before.Decision.Conflict:
		l.cfg.Logger.WarnContext(ctx, "something else scales the arm too", "arm", r.Arm, "replicas", desired)
	case r.Misses == 3:
		l.cfg.Logger.WarnContext(ctx, "no signal is known, the number of replicas stays", "arm", r.Arm, "replicas", desired)
	case r.Error == "" && r.Decision.Replicas != desired:
		l.cfg.Logger.InfoContext(ctx, "arm scaled", "arm", r.Arm, "from", desired, "to", r.Decision.Replicas, "by", r.Decision.By, "dry_run", !l.cfg.Act)
	}
}

// measure calls the source and turns a panic into an error.
func (l *Loop) measure(ctx context.Context, arm string) (in Input, err error) {
	defer contain(&err)
	return l.cfg.Source.Measure(ctx, arm)
}

// scale calls the actuator and turns a panic into an error.
func (l *Loop) scale(ctx context.Context, arm string, n int) (err error) {
	defer contain(&err)
	return l.cfg.Actuator.Scale(ctx, arm, n)
}

func contain(err *error) {
	if v := recover(); v != nil {
		*err = fmt.Errorf("autoscale: panic: %v", v)
	}
}

// Reports returns the last decision for each arm, in the order of Config.Arms.
func (l *Loop) Reports() []Report {
	l.mu.Lock()
	defer l.mu.Unlock()
	var all []Report
	for _, arm := range l.cfg.Arms {
		if r, ok := l.last[arm]; ok {
			all = append(all, r)
		}
	}
	return all
}

// Check returns a check of the loop: it warns while an arm cannot be measured or scaled,
// while no signal has been known three times in a row, and while something else scales an
// arm too. Before the first decision it is Unknown.
func (l *Loop) Check() checks.Check {
	return checks.Func(func(context.Context) checks.Result {
		reports := l.Reports()
		if len(reports) == 0 {
			return checks.Result{Summary: "nothing was decided yet"}
		}
		result := checks.Result{Status: checks.Pass, Summary: "every arm is scaled", Evidence: make(map[string]string)}
		for _, r := range reports {
			result.Evidence[r.Arm] = fmt.Sprintf("%d replicas by %s, %d ready", r.Decision.Replicas, r.Decision.By, r.Ready)
			switch {
			case r.Error != "":
				result.Status, result.Summary = checks.Warn, fmt.Sprintf("%s is not scaled: %s", r.Arm, r.Error)
			case r.Misses >= 3:
				result.Status, result.Summary = checks.Warn, fmt.Sprintf("no signal of %s is known", r.Arm)
			case r.Decision.Conflict:
				result.Status, result.Summary = checks.Warn, fmt.Sprintf("something else scales %s too", r.Arm)
			}
		}
		return result
	})
}

// Room returns a check for the gate before a stage. It waits until each arm of the split has
// the replicas ready that it needs; see [Floors]. splitOf returns the split of the stage,
// such as rollout.SplitOf. The check calls Expect, so that the loop scales the arms
// meanwhile. If replicas are still missing when its context ends, it fails. It is Unknown
// without a split, without Config.Load, without the capacity of an arm, and if an arm
// cannot be measured.
func (l *Loop) Room(splitOf func(context.Context) (strategies.Split, bool)) checks.Check {
	return checks.Func(func(ctx context.Context) checks.Result {
		s, ok := splitOf(ctx)
		if !ok {
			return checks.Result{Summary: "the split of the stage is not known"}
		}
		ticker := time.NewTicker(time.Second)
		defer ticker.Stop()
		for {
			l.Expect(s, true) // an event about the split in force may have come between
			result := l.room(ctx, s)
			if result.Status != checks.Fail {
				return result
			}
			select {
			case <-ticker.C:
			case <-ctx.Done():
				return result
			}
		}
	})
}

// room compares the replicas that are ready with those that a split needs.
func (l *Loop) room(ctx context.Context, s strategies.Split) checks.Result {
	floors := l.floors(s, true)
	result := checks.Result{Status: checks.Pass, Summary: "every arm has the replicas that it needs", Evidence: make(map[string]string)}
	for _, a := range s.Arms {
		need, ok := floors[a.Name]
		if !ok && a.Weight == 0 {
			continue
		}
		if !ok {
			return checks.Result{Summary: fmt.Sprintf("what %s needs is not known, since Config.Load or Config.Capacity is missing", a.Name)}
		}
		in, err := l.measure(ctx, a.Name)
		if err != nil {
			return checks.Result{Summary: fmt.Sprintf("%s cannot be measured", a.Name), Err: err}
		}
		result.Evidence[a.Name] = fmt.Sprintf("%d of %d replicas", in.Ready, need)
		if in.Ready < need {
			result.Status, result.Summary = checks.Fail, fmt.Sprintf("%s has %d of %d replicas", a.Name, in.Ready, need)
		}
	}
	return result
}
