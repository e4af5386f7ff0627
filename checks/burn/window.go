package burn

import (
	"fmt"
	"math/bits"
	"time"
)

// Severity says what a burn rate that is too high calls for.
type Severity int

const (
	Page   Severity = iota // somebody, now; the check fails
	Ticket                 // somebody, on a working day; the check warns
)

// String returns "page" or "ticket".
func (s Severity) String() string {
	switch s {
	case Page:
		return "page"
	case Ticket:
		return "ticket"
	}
	return fmt.Sprintf("Severity(%d)", int(s))
}

// MarshalText implements [encoding.TextMarshaler].
func (s Severity) MarshalText() ([]byte, error) { return []byte(s.String()), nil }

// UnmarshalText implements [encoding.TextUnmarshaler].
func (s *Severity) UnmarshalText(text []byte) error {
	switch string(text) {
	case "page":
		*s = Page
	case "ticket":
		*s = Ticket
	default:
		return fmt.Errorf("burn: severity %q, want page or ticket", text)
	}
	return nil
}

// Window is a pair of windows with a limit: it fires when the share of the
// budget that is spent in the long one would exceed Spend, and the short one
// burns as fast.
type Window struct {
	Severity Severity `json:"severity"`
	// Spend is a share of the budget in hundredths of a percent: 200 is 2 %.
	Spend int `json:"spend"`
	// Long and Short are whole seconds.
	Long  time.Duration `json:"long_ns"`
	Short time.Duration `json:"short_ns"`
}

// whole is a budget in hundredths of a percent.
const whole = 10_000

// DefaultWindows are those of the SRE workbook, for a period of about 30 days.
func DefaultWindows() []Window {
	return []Window{
		{Severity: Page, Spend: 200, Long: time.Hour, Short: 5 * time.Minute},
		{Severity: Page, Spend: 500, Long: 6 * time.Hour, Short: 30 * time.Minute},
		{Severity: Ticket, Spend: 1000, Long: 24 * time.Hour, Short: 2 * time.Hour},
		{Severity: Ticket, Spend: 1000, Long: 72 * time.Hour, Short: 6 * time.Hour},
	}
}

// ForRollout returns windows for a period that is the duration of a rollout, to
// be given as [Config.Period] too: a page when half of the rollout's budget is
// spent within a twelfth of it (burn rate 6) or within a quarter of it (2), a
// ticket when half of it is spent within half of it (1). Periods below a minute
// are taken for one.
func ForRollout(period time.Duration) []Window {
	period = max(period, time.Minute)
	part := func(n time.Duration) time.Duration { return max((period / n).Round(time.Second), time.Second) }
	return []Window{
		{Severity: Page, Spend: whole / 2, Long: part(12), Short: part(60)},
		{Severity: Page, Spend: whole / 2, Long: part(4), Short: part(24)},
		{Severity: Ticket, Spend: whole / 2, Long: part(2), Short: part(12)},
	}
}

// Factor returns the burn rate beyond which w fires: Spend * period / Long.
func (w Window) Factor(period time.Duration) float64 {
	return float64(w.Spend) / whole * float64(period) / float64(w.Long)
}

// Outage returns after how long an outage that begins now, with every request
// bad and the traffic even, makes w fire.
func (w Window) Outage(o Objective, period time.Duration) time.Duration {
	// In seconds and hundredths of a percent there is nothing to lose.
	allowed := float64(w.Spend) * float64(o.allowed()) / (whole * million)
	return time.Duration(allowed * float64(period))
}

// limit is a window's limit on the share of bad requests, as a fraction: it is
// exceeded if bad*of > total*is.
type limit struct{ is, of uint64 }

// limit returns w's: Spend/10,000 * period/Long * allowed/1,000,000. Its terms
// are below 2^59.
func (w Window) limit(o Objective, period time.Duration) limit {
	return limit{
		is: uint64(w.Spend) * uint64(period/time.Second) * o.allowed(),
		of: whole * million * uint64(w.Long/time.Second),
	}
}

// exceeded decides in 128 bits.
func (l limit) exceeded(bad, total uint64) bool {
	hi, lo := bits.Mul64(bad, l.of)
	hi2, lo2 := bits.Mul64(total, l.is)
	return hi > hi2 || hi == hi2 && lo > lo2
}
