package health

import (
	"cmp"
	"errors"
	"fmt"
	"maps"
	"net/http"
	"slices"
	"strings"
	"time"

	"github.com/serin-go/serin/checks"
)

// Matters says which endpoints a component affects. The zero value is Ready.
type Matters int

const (
	Ready Matters = iota // fails readiness
	Live                 // fails liveness and readiness: only a restart repairs it
	Warn                 // never fails, only warns
	Info                 // is shown, and affects no endpoint
)

var mattersNames = []string{"ready", "live", "warn", "info"}

// String returns "ready", "live", "warn" or "info".
func (m Matters) String() string {
	if m < 0 || int(m) >= len(mattersNames) {
		return fmt.Sprintf("Matters(%d)", int(m))
	}
	return mattersNames[m]
}

// MarshalText implements [encoding.TextMarshaler].
func (m Matters) MarshalText() ([]byte, error) {
	if m < 0 || int(m) >= len(mattersNames) {
		return nil, &checks.InvalidError{Package: "health", Field: "Matters", Value: int(m), Want: "Ready, Live, Warn or Info"}
	}
	return []byte(m.String()), nil
}

// UnmarshalText implements [encoding.TextUnmarshaler]. It accepts the results of
// [Matters.String].
func (m *Matters) UnmarshalText(text []byte) error {
	i := slices.Index(mattersNames, string(text))
	if i < 0 {
		return &checks.InvalidError{Package: "health", Field: "Matters", Value: string(text), Want: strings.Join(mattersNames, ", ")}
	}
	*m = Matters(i)
	return nil
}

// Component is a part of the service, or something that the service depends on.
type Component struct {
	// Name identifies the component, such as "store". It has no colon, and is unique
	// within a Config.
	Name string
	// Measurement is what is measured, such as "responseTime", for which the duration of
	// the check is reported. It has no colon and may be empty.
	Measurement string
	// Check is called in the background, never twice at the same time. A result with
	// Evidence["certain"] = "true" takes effect without FailAfter and Dwell.
	Check checks.Check
	// Matters says which endpoints the component affects.
	Matters Matters
	// Shared means that all replicas of the service have the component in common. Startup
	// waits for it. After that it only warns, unless Config.Alone is set. A component with
	// Matters Live cannot be shared.
	Shared bool
	// Needs are the names of components without which Check makes no sense. While one of
	// them is neither Pass nor Warn, Check is not called, and the component is Unknown.
	Needs []string
	// Every and Timeout replace the values of Config if they are not zero.
	Every, Timeout time.Duration
}

// Config configures a [Monitor]. The zero Config is valid: a process without components
// is alive and ready.
type Config struct {
	// Version, Release and Service are shown as "version", "releaseId" and "serviceId".
	Version string `env:"VERSION"`
	Release string `env:"RELEASE"`
	Service string `env:"SERVICE"`
	// Components are checked independently of each other.
	Components []Component `env:", noinit"`
	// Every is the time between the starts of two checks of a component. Default 10 s.
	Every time.Duration `env:"EVERY"`
	// Timeout is the time after which a check counts as failed. Default 2 s.
	Timeout time.Duration `env:"TIMEOUT"`
	// FailAfter is the number of bad results in a row after which a component is bad.
	// Fail, Unknown and a timeout are bad. Default 3.
	FailAfter int `env:"FAIL_AFTER"`
	// PassAfter is the number of good results in a row after which a bad component is
	// good again. Default 2. The first result of a component counts alone.
	PassAfter int `env:"PASS_AFTER"`
	// Dwell is the least time between two changes of an endpoint's status. Default 10 s.
	// Negative: 0.
	Dwell time.Duration `env:"DWELL"`
	// Stale is the age from which on the last result of a component counts no more.
	// Default: three times Every, and Timeout, of the component.
	Stale time.Duration `env:"STALE"`
	// StartupLimit is the time after which a startup that has not passed is reported as
	// failed, not as starting. Both are 503. Default 10 min.
	StartupLimit time.Duration `env:"STARTUP_LIMIT"`
	// Alone means that the service has only this replica. Then a shared component with
	// Matters Ready fails readiness.
	Alone bool `env:"ALONE"`
	// Details reports whether the sender of a request may see the outputs of checks, which
	// can contain addresses and internals. Default: no request may.
	Details func(*http.Request) bool `env:", noinit"`
}

// Validate reports everything that is wrong with c, joined; each problem is a
// [*checks.InvalidError].
func (c Config) Validate() error {
	var errs []error
	bad := func(field string, value any, want string) {
		errs = append(errs, &checks.InvalidError{Package: "health", Field: "Config." + field, Value: value, Want: want})
	}
	positive := func(field string, d time.Duration) {
		if d < 0 {
			bad(field, d, "a positive duration, or 0 for the default")
		}
	}
	positive("Every", c.Every)
	positive("Timeout", c.Timeout)
	positive("Stale", c.Stale)
	positive("StartupLimit", c.StartupLimit)
	for _, f := range []struct {
		field string
		n     int
	}{{"FailAfter", c.FailAfter}, {"PassAfter", c.PassAfter}} {
		if f.n < 0 {
			bad(f.field, f.n, "at least 1, or 0 for the default")
		}
	}
	needs := make(map[string][]string)
	for i, p := range c.Components {
		field := fmt.Sprintf("Components[%d].", i)
		_, twice := needs[p.Name]
		switch {
		case p.Name == "" || strings.Contains(p.Name, ":"):
			bad(field+"Name", p.Name, "a name without a colon")
		case twice:
			bad(field+"Name", p.Name, "a name that no other component has")
		}
		needs[p.Name] = p.Needs
		if strings.Contains(p.Measurement, ":") {
			bad(field+"Measurement", p.Measurement, "a name without a colon")
		}
		if p.Check == nil {
			bad(field+"Check", nil, "a check")
		}
		if f, ok := p.Check.(checks.Func); ok && f == nil {
			bad(field+"Check", "a nil checks.Func", "a check")
		}
		if p.Matters < Ready || p.Matters > Info {
			bad(field+"Matters", int(p.Matters), "Ready, Live, Warn or Info")
		}
		if p.Shared && p.Matters == Live {
			bad(field+"Shared", true, "false, since a restart does not repair what all replicas share")
		}
		positive(field+"Every", p.Every)
		positive(field+"Timeout", p.Timeout)
		if stale := c.Stale; stale > 0 && p.Check != nil {
			if every := cmp.Or(p.Every, cmp.Or(c.Every, defaultEvery)); stale < every {
				bad("Stale", stale, fmt.Sprintf("at least %v, the time between two checks of %s", every, p.Name))
			}
		}
	}
	for i, p := range c.Components {
		for j, need := range p.Needs {
			field := fmt.Sprintf("Components[%d].Needs[%d]", i, j)
			if _, ok := needs[need]; !ok {
				bad(field, need, "the name of a component")
			} else if reaches(needs, need, p.Name, make(map[string]bool)) {
				bad(field, need, "a component that does not need "+p.Name+" itself")
			}
		}
	}
	return errors.Join(errs...)
}

// reaches reports whether from is to, or needs it directly or indirectly.
func reaches(needs map[string][]string, from, to string, seen map[string]bool) bool {
	if from == to {
		return true
	}
	if seen[from] {
		return false
	}
	seen[from] = true
	return slices.ContainsFunc(needs[from], func(n string) bool { return reaches(needs, n, to, seen) })
}

const defaultEvery = 10 * time.Second

// withDefaults returns c with its defaults.
func (c Config) withDefaults() Config {
	c.Every = cmp.Or(c.Every, defaultEvery)
	c.Timeout = cmp.Or(c.Timeout, 2*time.Second)
	c.FailAfter = cmp.Or(c.FailAfter, 3)
	c.PassAfter = cmp.Or(c.PassAfter, 2)
	c.Dwell = max(0, cmp.Or(c.Dwell, 10*time.Second))
	c.StartupLimit = cmp.Or(c.StartupLimit, 10*time.Minute)
	c.Components = slices.Clone(c.Components)
	for i := range c.Components {
		p := &c.Components[i]
		p.Every, p.Timeout = cmp.Or(p.Every, c.Every), cmp.Or(p.Timeout, c.Timeout)
		p.Needs = slices.Clone(p.Needs)
	}
	return c
}

// Components returns a component for each of several checks, such as the results
// of rollout.Health and traffic.Health. Each is like c, with its own name and check. They are
// sorted by name.
func Components(named map[string]checks.Check, c Component) []Component {
	var all []Component
	for _, name := range slices.Sorted(maps.Keys(named)) {
		c.Name, c.Check = name, named[name]
		all = append(all, c)
	}
	return all
}
