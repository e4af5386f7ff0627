package cost

import (
	"errors"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/serin-go/serin/checks/analysis"
)

// Config says what a [Ledger] keeps. The zero Config is ready to use.
type Config struct {
	// Window is how long spending is remembered, in 24 steps. Zero means 24 hours.
	Window time.Duration `env:"WINDOW"`
	// Tenant says who pays for a request. Nil means its unit.
	Tenant func(analysis.Observation) string
	// Tenants is how many tenants are told apart. When there are more, those that
	// have spent nothing within the window are forgotten; if there is nobody like
	// that, newcomers share one account, under the empty name. Zero means 100,000.
	Tenants int `env:"TENANTS"`
}

// steps is how many parts a window has; what is older than the window by less than
// one of them may still count.
const steps = 24

// Ledger adds up what requests cost. It is safe for concurrent use.
type Ledger struct {
	cfg  Config
	step time.Duration

	mu      sync.Mutex
	tenants map[string]*account
	arms    map[string]*Spending
	all     account
}

// account is what one tenant has spent within the window.
type account struct {
	spent   [steps]analysis.Money // by the number of the step, modulo steps
	last    int64                 // the newest step
	unknown uint64                // requests whose cost nobody knows, ever
}

// Spending is what an arm has cost since the ledger began.
type Spending struct {
	Arm string
	// Requests is how many there were; Unknown is how many of them have a cost that
	// nobody knows, which Cost does not contain.
	Requests, Unknown uint64
	Cost              analysis.Money
}

// NewLedger returns an empty ledger. The error joins what is wrong with cfg, each
// an [*InvalidError].
func NewLedger(cfg Config) (*Ledger, error) {
	var errs []error
	if cfg.Window < 0 || cfg.Window > 0 && cfg.Window < steps*time.Millisecond {
		errs = append(errs, &InvalidError{Field: "Config.Window", Value: cfg.Window, Want: "0 for 24 hours, or at least 24 ms"})
	}
	if cfg.Tenants < 0 {
		errs = append(errs, &InvalidError{Field: "Config.Tenants", Value: cfg.Tenants, Want: "a number >= 0"})
	}
	if err := errors.Join(errs...); err != nil {
		return nil, err
	}
	if cfg.Window == 0 {
		cfg.Window = 24 * time.Hour
	}
	if cfg.Tenants == 0 {
		cfg.Tenants = 100_000
	}
	if cfg.Tenant == nil {
		cfg.Tenant = func(o analysis.Observation) string { return o.Unit }
	}
	return &Ledger{cfg: cfg, step: cfg.Window / steps, tenants: make(map[string]*account), arms: make(map[string]*Spending)}, nil
}

// Observe adds the cost of a request; it is what traffic.Config.Observe wants. A
// negative cost is unknown, and counted as that.
func (l *Ledger) Observe(o analysis.Observation) {
	tenant := l.cfg.Tenant(o)
	l.mu.Lock()
	defer l.mu.Unlock()
	now := l.now()
	arm := l.arms[o.Arm]
	if arm == nil {
		arm = &Spending{Arm: o.Arm}
		l.arms[o.Arm] = arm
	}
	arm.Requests++
	a := l.account(tenant, now)
	if o.Cost < 0 {
		arm.Unknown++
		a.unknown++
		l.all.unknown++
		return
	}
	arm.Cost += o.Cost
	a.add(now, o.Cost)
	l.all.add(now, o.Cost)
}

// now returns the number of the present step.
func (l *Ledger) now() int64 { return time.Now().UnixNano() / int64(l.step) }

// account returns that of a tenant, and opens it if there is room.
func (l *Ledger) account(tenant string, now int64) *account {
	if a := l.tenants[tenant]; a != nil {
		return a
	}
	if len(l.tenants) >= l.cfg.Tenants && tenant != "" {
		for name, a := range l.tenants {
			if a.sum(now) == 0 {
				delete(l.tenants, name)
			}
		}
		if len(l.tenants) >= l.cfg.Tenants {
			return l.account("", now)
		}
	}
	a := &account{last: now}
	l.tenants[tenant] = a
	return a
}

// turn forgets what is older than the window.
func (a *account) turn(now int64) {
	for s := max(a.last+1, now-steps+1); s <= now; s++ {
		a.spent[s%steps] = 0
	}
	a.last = max(a.last, now) // a clock that is set back changes nothing
}

func (a *account) add(now int64, cost analysis.Money) {
	a.turn(now)
	a.spent[a.last%steps] += cost
}

func (a *account) sum(now int64) (sum analysis.Money) {
	a.turn(now)
	for _, m := range a.spent {
		sum += m
	}
	return sum
}

// Spent returns what a tenant has spent within the window.
func (l *Ledger) Spent(tenant string) analysis.Money {
	l.mu.Lock()
	defer l.mu.Unlock()
	if a := l.tenants[tenant]; a != nil {
		return a.sum(l.now())
	}
	return 0
}

// Total returns what all tenants have spent within the window.
func (l *Ledger) Total() analysis.Money {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.all.sum(l.now())
}

// Forecast returns what all tenants together will spend in a window, at the pace of
// the last sixth of the present one.
func (l *Ledger) Forecast() analysis.Money {
	l.mu.Lock()
	defer l.mu.Unlock()
	now := l.now()
	l.all.turn(now)
	var recent analysis.Money
	const part = steps / 6
	for s := now - part; s < now; s++ { // the present step is not over
		recent += l.all.spent[((s%steps)+steps)%steps]
	}
	return recent * (steps / part)
}

// Arms returns what each arm has cost since the ledger began, by name.
func (l *Ledger) Arms() []Spending {
	l.mu.Lock()
	defer l.mu.Unlock()
	var all []Spending
	for _, s := range l.arms {
		all = append(all, *s)
	}
	slices.SortFunc(all, func(a, b Spending) int { return strings.Compare(a.Arm, b.Arm) })
	return all
}
