package cost

import (
	"context"
	"errors"
	"fmt"
	"hash/maphash"
	"log/slog"
	"math"
	"runtime/debug"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/serin-go/serin/checks"
	"github.com/serin-go/serin/checks/analysis"
	"github.com/serin-go/serin/internal/bounded"
	"github.com/serin-go/serin/rollout/traffic"
)

// Config says what a [Ledger] keeps. The zero Config is ready to use.
type Config struct {
	// Window is how long spending is remembered, in 24 steps. Default 24 h.
	Window time.Duration `env:"WINDOW"`
	// Tenant returns who pays for a request. If it panics, the request is charged to
	// the common account. If nil, the tenant of the charge pays, or the unit if it has
	// none.
	//
	// A name that is longer than 128 bytes or has characters that cannot be printed
	// is replaced by the first 128 bits of its SHA-256, in hexadecimal digits.
	Tenant func(analysis.Observation) string
	// Tenants bounds how many tenants have an account of their own, and MaxBytes how
	// much memory the accounts take together, names included. Default 100,000 and 64
	// MiB. If there is no room, a newcomer replaces the tenant that has not been
	// seen for the longest time, provided that this one has spent nothing within the
	// window. Otherwise the newcomer is charged to the common account, whose name is
	// empty.
	Tenants  int   `env:"TENANTS"`
	MaxBytes int64 `env:"MAX_BYTES"`
	// Unpriced admits requests of tenants with a limit whose price is not known.
	// Otherwise they are refused.
	Unpriced bool `env:"UNPRICED"`
	// Logger logs panics of Tenant and the functions of Guard, at most once a second.
	// If nil, they are only counted, in [Stats].
	Logger *slog.Logger `env:", noinit"`
}

// steps is how many parts a window has; what is older than the window by less than
// one of them may still count.
const steps = 24

// Ledger adds up what requests cost. An observation takes the same time however many
// tenants there are. Its methods are safe for concurrent use.
type Ledger struct {
	cfg    Config
	tenant func(analysis.Observation) string // nil if charges say who pays
	step   time.Duration
	seed   maphash.Seed

	mu      sync.Mutex
	buckets []*account // by hash of the name, linked by account.chain; a power of 2
	recent  account    // the ring of tenants in order of use: recent.older is the newest
	tenants int        // in the ring
	bytes   int64      // what they take
	common  account    // of newcomers without an account
	shared  uint64     // requests charged to common
	arms    map[string]*Spending
	all     account
	visits  uint64 // accounts looked at, for tests

	panics atomic.Uint64
	logged atomic.Int64 // when a panic was logged last
}

// account is what one tenant has spent within the window.
type account struct {
	name         []byte // reused by the tenant who takes the account over
	hash         uint64
	chain        *account // the next one in its bucket
	newer, older *account

	last     int64                 // the newest step
	spent    [steps]analysis.Money // by the number of the step, modulo steps
	unknown  uint64                // requests whose cost is not known, ever
	reserved analysis.Money
	open     int // reservations that have not been released
}

const (
	// accountSize is what an account takes without its name, its share of the buckets
	// included.
	accountSize = 328
	// minName is the least length for which there is room in an account.
	minName = 32
	// maxArms bounds how many arms have a Spending of their own.
	maxArms = 1_000
)

// otherArms is the name of the Spending of the arms beyond maxArms.
const otherArms = "other"

// Spending is what an arm has cost since the ledger began.
type Spending struct {
	Arm string
	// Requests is how many attempts or requests were charged. Unknown is how many of
	// them have a cost that is not known, which Cost does not contain. Estimated is
	// how many of them have a cost that was estimated.
	Requests, Unknown, Estimated uint64
	Cost                         analysis.Money
}

// Validate reports everything that is wrong with cfg, joined; each problem is a
// [*checks.InvalidError].
func (cfg Config) Validate() error {
	var errs []error
	if cfg.Window < 0 || cfg.Window > 0 && cfg.Window < steps*time.Millisecond {
		errs = append(errs, &checks.InvalidError{Package: "cost", Field: "Config.Window", Value: cfg.Window, Want: "0 for 24 hours, or at least 24 ms"})
	}
	if cfg.Tenants < 0 {
		errs = append(errs, &checks.InvalidError{Package: "cost", Field: "Config.Tenants", Value: cfg.Tenants, Want: "a number >= 0"})
	}
	if cfg.MaxBytes < 0 {
		errs = append(errs, &checks.InvalidError{Package: "cost", Field: "Config.MaxBytes", Value: cfg.MaxBytes, Want: "a number of bytes, or 0 for 64 MiB"})
	}
	return errors.Join(errs...)
}

// NewLedger returns an empty ledger. It returns the errors of [Config.Validate].
func NewLedger(cfg Config) (*Ledger, error) {
	if err := cfg.Validate(); err != nil {
		return nil, err
	}
	if cfg.Window == 0 {
		cfg.Window = 24 * time.Hour
	}
	if cfg.Tenants == 0 {
		cfg.Tenants = 100_000
	}
	if cfg.MaxBytes == 0 {
		cfg.MaxBytes = 64 << 20
	}
	cfg.Tenants = int(min(int64(cfg.Tenants), cfg.MaxBytes/accountSize))
	size := 1
	for size < cfg.Tenants {
		size *= 2
	}
	l := &Ledger{cfg: cfg, tenant: cfg.Tenant, step: cfg.Window / steps, seed: maphash.MakeSeed(), buckets: make([]*account, size), arms: make(map[string]*Spending)}
	l.recent.newer, l.recent.older = &l.recent, &l.recent
	return l, nil
}

// Charge adds what an attempt at a request has cost; it is what traffic.Config.Charged
// wants. A negative cost is unknown, and counted as unknown. Copies for mirrors are
// charged to their arm and to no tenant. What an account was charged with, as
// [Ledger.Guard] does, is not charged again.
func (l *Ledger) Charge(c traffic.Charge) {
	if c.Paid {
		return
	}
	tenant := c.Tenant
	if tenant == "" {
		tenant = c.Unit
	}
	if l.tenant != nil {
		tenant = l.tenantOf(analysis.Observation{At: c.At, ID: c.Request, Arm: c.Arm, Unit: c.Unit, Cost: c.Cost})
	}
	tenant = bounded.Name(tenant)
	l.mu.Lock()
	defer l.mu.Unlock()
	now := l.now()
	var a *account
	if c.Attempt != traffic.Mirror {
		a = l.account(tenant, now)
	}
	l.charge(a, c, now)
}

// Observe is like Charge for programs that observe requests and not their attempts:
// it does not add the cost of fallbacks and copies. It is what traffic.Config.Observe
// wants. A router that has Charge must not have Observe as well.
func (l *Ledger) Observe(o analysis.Observation) {
	l.Charge(traffic.Charge{At: o.At, Request: o.ID, Arm: o.Arm, Unit: o.Unit, Cost: o.Cost, Paid: o.Paid})
}

// tenantOf returns who pays, "" if Config.Tenant panics.
func (l *Ledger) tenantOf(o analysis.Observation) (tenant string) {
	defer func() {
		if p := recover(); p != nil {
			tenant = ""
			l.panicked("Tenant", p)
		}
	}()
	return l.tenant(o)
}

// charge adds the cost of an attempt to all sums. a is nil if no tenant pays.
func (l *Ledger) charge(a *account, c traffic.Charge, now int64) {
	spending := l.arm(c.Arm)
	spending.Requests++
	if c.Estimated {
		spending.Estimated++
	}
	if a == &l.common {
		l.shared++
	}
	if c.Cost < 0 {
		spending.Unknown++
		l.all.unknown++
		if a != nil {
			a.unknown++
		}
		return
	}
	spending.Cost = plus(spending.Cost, c.Cost)
	l.all.add(now, c.Cost)
	if a != nil {
		a.add(now, c.Cost)
	}
}

// arm returns the Spending of an arm.
func (l *Ledger) arm(name string) *Spending {
	if s := l.arms[name]; s != nil {
		return s
	}
	if name = bounded.Name(name); l.arms[name] == nil {
		if len(l.arms) >= maxArms {
			name = otherArms
		}
		if l.arms[name] == nil {
			name = strings.Clone(name)
			l.arms[name] = &Spending{Arm: name}
		}
	}
	return l.arms[name]
}

// now returns the number of the present step.
func (l *Ledger) now() int64 { return time.Now().UnixNano() / int64(l.step) }

// find returns the account of a tenant, or nil if it has none of its own.
func (l *Ledger) find(tenant string, hash uint64) *account {
	for a := l.buckets[hash&uint64(len(l.buckets)-1)]; a != nil; a = a.chain {
		l.visits++
		if a.hash == hash && string(a.name) == tenant {
			return a
		}
	}
	return nil
}

// account returns the account that a tenant is charged to, and marks it as used. It
// opens one if there is room.
func (l *Ledger) account(tenant string, now int64) *account {
	if tenant == "" {
		return &l.common
	}
	hash := maphash.String(l.seed, tenant)
	a := l.find(tenant, hash)
	if a == nil {
		if a = l.vacant(len(tenant), now); a == nil {
			return &l.common
		}
		at := hash & uint64(len(l.buckets)-1)
		*a = account{name: append(a.name[:0], tenant...), hash: hash, chain: l.buckets[at], last: now}
		l.buckets[at] = a
		l.tenants++
		l.bytes += accountSize + int64(cap(a.name))
	} else {
		a.newer.older, a.older.newer = a.older, a.newer
	}
	a.newer, a.older = &l.recent, l.recent.older
	a.newer.older, a.older.newer = a, a
	return a
}

// vacant returns an account for a newcomer whose name has a length, or nil if there is
// no room. It looks at the tenant that was not seen for the longest time and at no
// other.
func (l *Ledger) vacant(length int, now int64) *account {
	length = max(length, minName)
	if l.tenants < l.cfg.Tenants && l.bytes+accountSize+int64(length) <= l.cfg.MaxBytes {
		return &account{name: make([]byte, 0, length)}
	}
	oldest := l.recent.newer
	l.visits++
	if oldest == &l.recent || oldest.open > 0 || oldest.sum(now) != 0 {
		return nil
	}
	l.remove(oldest)
	if cap(oldest.name) < length {
		if l.bytes+accountSize+int64(length) > l.cfg.MaxBytes {
			return nil
		}
		oldest.name = make([]byte, 0, length)
	}
	return oldest
}

// remove forgets a tenant.
func (l *Ledger) remove(a *account) {
	a.newer.older, a.older.newer = a.older, a.newer
	at := &l.buckets[a.hash&uint64(len(l.buckets)-1)]
	for *at != a {
		l.visits++
		at = &(*at).chain
	}
	*at = a.chain
	l.tenants--
	l.bytes -= accountSize + int64(cap(a.name))
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
	a.spent[a.last%steps] = plus(a.spent[a.last%steps], cost)
}

func (a *account) sum(now int64) (sum analysis.Money) {
	a.turn(now)
	for _, m := range a.spent {
		sum = plus(sum, m)
	}
	return sum
}

// plus adds amounts that are not negative. A sum that is too large is the largest
// one.
func plus(a, b analysis.Money) analysis.Money {
	if a > math.MaxInt64-b {
		return math.MaxInt64
	}
	return a + b
}

// Spent returns what a tenant with an account of its own has spent within the window,
// and for the empty name what has been charged to the common account.
func (l *Ledger) Spent(tenant string) analysis.Money {
	tenant = bounded.Name(tenant)
	l.mu.Lock()
	defer l.mu.Unlock()
	if tenant == "" {
		return l.common.sum(l.now())
	}
	if a := l.find(tenant, maphash.String(l.seed, tenant)); a != nil {
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

// Stats says what a ledger holds.
type Stats struct {
	// Tenants is how many tenants have an account of their own, and Bytes how much
	// memory the accounts take, approximately.
	Tenants int
	Bytes   int64
	// Shared is how many requests were charged to the common account.
	Shared uint64
	// Panics is how often a function of the configuration or of Guard has panicked.
	Panics uint64
}

// Stats returns what the ledger holds now.
func (l *Ledger) Stats() Stats {
	l.mu.Lock()
	defer l.mu.Unlock()
	return Stats{Tenants: l.tenants, Bytes: l.bytes, Shared: l.shared, Panics: l.panics.Load()}
}

// panicked counts and logs that a function of the program has panicked.
func (l *Ledger) panicked(function string, p any) {
	l.panics.Add(1)
	now, last := time.Now().UnixNano(), l.logged.Load()
	if l.cfg.Logger == nil || now-last < int64(time.Second) || !l.logged.CompareAndSwap(last, now) {
		return
	}
	defer func() { _ = recover() }() // of the logger's handler
	l.cfg.Logger.LogAttrs(context.Background(), slog.LevelError, "cost: panic contained",
		slog.String("function", function), slog.String("panic", fmt.Sprint(p)), slog.String("stack", string(debug.Stack())))
}
