package burn

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/serin-go/serin/checks"
)

// Config configures a [Budget]. Objective is required.
type Config struct {
	// Objective is the share of requests that should be good.
	Objective Objective `env:"OBJECTIVE"`
	// Period is the period of the budget, in whole seconds, at most 366 days. Default
	// 30 days.
	Period time.Duration `env:"PERIOD"`
	// Windows lists 1 to 16 windows. Default [DefaultWindows].
	Windows []Window
	// MinEvents is the least number of requests in the long window. With fewer
	// requests, the status is Unknown. Default 100.
	MinEvents int `env:"MIN_EVENTS"`
}

// Validate returns all problems of c, joined. Each is an [*checks.InvalidError].
func (c Config) Validate() error {
	var errs []error
	bad := func(field string, value any, want string) {
		errs = append(errs, &checks.InvalidError{Package: "burn", Field: "Config." + field, Value: value, Want: want})
	}
	if c.Objective == 0 || c.Objective >= million {
		bad("Objective", c.Objective, "above 0% and below 100%")
	}
	const most = 366 * 24 * time.Hour // so that limits fit into their terms
	span := func(field string, d time.Duration) {
		if d < time.Second || d > most || d%time.Second != 0 {
			bad(field, d, "whole seconds from 1s to 366 days")
		}
	}
	if c.Period != 0 {
		span("Period", c.Period)
	}
	if c.MinEvents < 0 {
		bad("MinEvents", c.MinEvents, "a number >= 0; 0 stands for 100")
	}
	if c.Windows != nil && len(c.Windows) == 0 || len(c.Windows) > 16 {
		bad("Windows", fmt.Sprintf("a list of %d", len(c.Windows)), "nil for the defaults, or 1 to 16 windows")
	}
	c = c.withDefaults()
	sane := len(errs) == 0
	for i, w := range c.Windows {
		before := len(errs)
		field := func(name string) string { return fmt.Sprintf("Windows[%d].%s", i, name) }
		if w.Severity != Page && w.Severity != Ticket {
			bad(field("Severity"), w.Severity, "page or ticket")
		}
		if w.Spend < 1 || w.Spend > whole {
			bad(field("Spend"), w.Spend, "1 to 10000 hundredths of a percent")
		}
		span(field("Long"), w.Long)
		span(field("Short"), w.Short)
		if w.Short > w.Long {
			bad(field("Short"), w.Short, fmt.Sprintf("at most Long, %v", w.Long))
		}
		// An alert must be able to fire.
		if l := w.limit(c.Objective, c.Period); sane && len(errs) == before && !l.exceeded(1, 1) {
			bad(field("Spend"), w.Spend, fmt.Sprintf("less, because at %v a full outage does not reach a burn rate of %.4g", c.Objective, w.Factor(c.Period)))
		}
	}
	return errors.Join(errs...)
}

func (c Config) withDefaults() Config {
	if c.Period == 0 {
		c.Period = 30 * 24 * time.Hour
	}
	if c.Windows == nil {
		c.Windows = DefaultWindows()
	}
	if c.MinEvents == 0 {
		c.MinEvents = 100
	}
	return c
}

// Budget monitors an error budget. It is a [checks.Check] and is safe for concurrent
// use.
type Budget struct {
	cfg    Config
	limits []limit
	start  time.Time
	pairs  [][2]*ring // long and short, by window; equal lengths share a ring

	mu    sync.Mutex
	rings []*ring
}

var _ checks.Check = (*Budget)(nil)

// New returns a full budget. It returns the errors of [Config.Validate].
func New(cfg Config) (*Budget, error) {
	if err := cfg.Validate(); err != nil {
		return nil, err
	}
	cfg = cfg.withDefaults()
	cfg.Windows = slices.Clone(cfg.Windows)
	b := &Budget{cfg: cfg, start: time.Now()}
	of := func(length time.Duration) *ring {
		width := length / slots
		i := slices.IndexFunc(b.rings, func(r *ring) bool { return r.width == width })
		if i < 0 {
			i = len(b.rings)
			b.rings = append(b.rings, &ring{width: width})
		}
		return b.rings[i]
	}
	for _, w := range cfg.Windows {
		b.limits = append(b.limits, w.limit(cfg.Objective, cfg.Period))
		b.pairs = append(b.pairs, [2]*ring{of(w.Long), of(w.Short)})
	}
	return b, nil
}

// Record counts one request that has just ended. good is false for a bad request.
func (b *Budget) Record(good bool) {
	if good {
		b.Add(1, 0)
	} else {
		b.Add(0, 1)
	}
}

// Add counts requests that have just ended. Negative numbers count as 0.
func (b *Budget) Add(good, bad int) {
	c := Counts{Bad: uint64(max(bad, 0)), Total: uint64(max(good, 0)) + uint64(max(bad, 0))}
	b.mu.Lock()
	defer b.mu.Unlock()
	// Under the lock, so that time does not go back between two calls.
	since := time.Since(b.start)
	for _, r := range b.rings {
		r.advance(since)
		r.add(c)
	}
}

// Report holds the present burn rates of a [Budget]. It is plain data.
type Report struct {
	// Status is Fail if a page fires. Otherwise it is Unknown if a window has too few
	// requests, Warn if a ticket fires, and Pass if no window fires.
	Status  checks.Status  `json:"status"`
	Windows []WindowReport `json:"windows"`
}

// WindowReport is the state of one [Window].
type WindowReport struct {
	Window
	// Status is Fail if a page fires, Warn if a ticket fires, Unknown if there are too
	// few requests, and Pass otherwise.
	Status checks.Status `json:"status"`
	// InLong and InShort count the requests in the two windows.
	InLong  Counts `json:"in_long"`
	InShort Counts `json:"in_short"`
	// Burn is the burn rate in the long window. The window fires above Limit.
	Burn  float64 `json:"burn"`
	Limit float64 `json:"limit"`
}

// Report returns the present burn rates.
func (b *Budget) Report() Report {
	counts := make([][2]Counts, len(b.pairs))
	b.mu.Lock()
	since := time.Since(b.start)
	for _, r := range b.rings {
		r.advance(since)
	}
	for i, p := range b.pairs {
		counts[i] = [2]Counts{p[0].sum, p[1].sum}
	}
	b.mu.Unlock()
	r := Report{Status: checks.Pass}
	for i, w := range b.cfg.Windows {
		wr := WindowReport{Window: w, InLong: counts[i][0], InShort: counts[i][1], Limit: w.Factor(b.cfg.Period)}
		wr.Status = b.judge(i, wr.InLong, wr.InShort)
		if wr.InLong.Total > 0 {
			wr.Burn = float64(wr.InLong.Bad) / float64(wr.InLong.Total) * million / float64(b.cfg.Objective.allowed())
		}
		r.Windows = append(r.Windows, wr)
		r.Status = r.Status.Worse(wr.Status)
	}
	return r
}

// judge returns the status of window i.
func (b *Budget) judge(i int, inLong, inShort Counts) checks.Status {
	l := b.limits[i]
	switch {
	case inLong.Total < uint64(b.cfg.MinEvents) || inShort.Total == 0:
		return checks.Unknown
	case !l.exceeded(inLong.Bad, inLong.Total) || !l.exceeded(inShort.Bad, inShort.Total):
		return checks.Pass
	case b.cfg.Windows[i].Severity == Page:
		return checks.Fail
	}
	return checks.Warn
}

// Check implements [checks.Check]. It returns the result of [Budget.Report].
func (b *Budget) Check(context.Context) checks.Result {
	r := b.Report()
	res := checks.Result{Status: r.Status, Evidence: map[string]string{"objective": b.cfg.Objective.String()}}
	var firing, sparse []string
	for _, w := range r.Windows {
		span := short(w.Long)
		res.Evidence[w.Severity.String()+" "+span] = fmt.Sprintf("%v: burn rate %.3g, limit %.4g, %d of %d bad",
			w.Status, w.Burn, w.Limit, w.InLong.Bad, w.InLong.Total)
		switch w.Status {
		case checks.Fail, checks.Warn:
			firing = append(firing, fmt.Sprintf("%v: %d of %d requests bad in %s, burn rate %.3g above %.4g",
				w.Severity, w.InLong.Bad, w.InLong.Total, span, w.Burn, w.Limit))
		case checks.Unknown:
			sparse = append(sparse, span)
		}
	}
	switch {
	case len(firing) > 0:
		res.Summary = strings.Join(firing, "; ")
	case len(sparse) > 0:
		res.Summary = fmt.Sprintf("too few requests in %s, want %d", strings.Join(sparse, ", "), b.cfg.MinEvents)
	default:
		res.Summary = fmt.Sprintf("burn rates within limits for the objective %v", b.cfg.Objective)
	}
	return res
}

// short returns d without trailing zeros: 1h for 1h0m0s.
func short(d time.Duration) string {
	s := d.String()
	if strings.HasSuffix(s, "m0s") {
		s = strings.TrimSuffix(s, "0s")
	}
	if strings.HasSuffix(s, "h0m") {
		s = strings.TrimSuffix(s, "0m")
	}
	return s
}
