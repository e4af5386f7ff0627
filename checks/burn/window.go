package burn

import (
	"fmt"
	"math/bits"
	"time"
)

// Severity is the urgency of an alert.
type Severity int

const (
	Page   Severity = iota // act now; the check fails
	Ticket                 // act within days; the check warns
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
		return fmt.Errorf("burn: severity: unknown name (have %q, want page or ticket)", text)
	}
	return nil
}

// Window is a pair of a long and a short window with a limit. It fires if the burn rate
// in both exceeds the rate that spends the share Spend of the budget in the long window.
type Window struct {
	Severity Severity `json:"severity"`
	// Spend is a share of the budget in hundredths of a percent, 1 to 10000: 200 is
	// 2 %.
	Spend int `json:"spend"`
	// Long and Short are whole seconds.
	Long  time.Duration `json:"long_ns"`
	Short time.Duration `json:"short_ns"`
}

// whole is a budget in hundredths of a percent.
const whole = 10_000

// DefaultWindows returns the windows of the SRE workbook, for a period of about 30 days.
// It returns a new slice each time.
func DefaultWindows() []Window {
	return []Window{
		{Severity: Page, Spend: 200, Long: time.Hour, Short: 5 * time.Minute},
		{Severity: Page, Spend: 500, Long: 6 * time.Hour, Short: 30 * time.Minute},
		{Severity: Ticket, Spend: 1000, Long: 24 * time.Hour, Short: 2 * time.Hour},
		{Severity: Ticket, Spend: 1000, Long: 72 * time.Hour, Short: 6 * time.Hour},
	}
}

// ForRollout returns windows for a period that equals the duration of a rollout. Set
// [Config.Period] to the same period. A page fires if half of the budget is spent within
// a twelfth of the period (burn rate 6) or within a quarter of it (burn rate 2). A ticket
// fires if half of the budget is spent within half of the period (burn rate 1). The
// minimum period is one minute.
func ForRollout(period time.Duration) []Window {
	period = max(period, time.Minute)
	part := func(n time.Duration) time.Duration { return max((period / n).Round(time.Second), time.Second) }
	return []Window{
		{Severity: Page, Spend: whole / 2, Long: part(12), Short: part(60)},
		{Severity: Page, Spend: whole / 2, Long: part(4), Short: part(24)},
		{Severity: Ticket, Spend: whole / 2, Long: part(2), Short: part(12)},
	}
}

// Factor returns the burn rate above which w fires: Spend * period / Long.
func (w Window) Factor(period time.Duration) float64 {
	return float64(w.Spend) / whole * float64(period) / float64(w.Long)
}

// Outage returns the time until w fires in an outage with only bad requests and constant
// traffic.
func (w Window) Outage(o Objective, period time.Duration) time.Duration {
	// Exact, because these are whole seconds and hundredths of a percent.
	allowed := float64(w.Spend) * float64(o.allowed()) / (whole * million)
	return time.Duration(allowed * float64(period))
}

// limit is the limit on the share of bad requests as a fraction. It is exceeded if
// bad*of > total*is.
type limit struct{ is, of uint64 }

// limit returns Spend/10,000 * period/Long * allowed/1,000,000. Both terms are below
// 2^59.
func (w Window) limit(o Objective, period time.Duration) limit {
	return limit{
		is: uint64(w.Spend) * uint64(period/time.Second) * o.allowed(),
		of: whole * million * uint64(w.Long/time.Second),
	}
}

// exceeded compares in 128 bits.
func (l limit) exceeded(bad, total uint64) bool {
	hi, lo := bits.Mul64(bad, l.of)
	hi2, lo2 := bits.Mul64(total, l.is)
	return hi > hi2 || hi == hi2 && lo > lo2
}
