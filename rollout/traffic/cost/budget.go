package cost

import (
	"context"
	"fmt"
	"io"
	"math"
	"net/http"
	"strconv"

	"github.com/serin-go/serin/checks"
	"github.com/serin-go/serin/checks/analysis"
)

// Budget is what may be spent within the ledger's window.
type Budget struct {
	Limit analysis.Money // more than 0
	// WarnAt is the share of Limit, 0 to 1, from which there is a warning. Zero
	// means 0.8.
	WarnAt float64
}

// Check returns a check of what all tenants have spent together: it fails when
// the budget is spent, and warns when it soon will be, or would be at the present
// pace. Where nobody knows what some of the requests cost it warns, too. A Budget
// that makes no sense is Unknown.
func (l *Ledger) Check(b Budget) checks.Check {
	return checks.Func(func(context.Context) checks.Result {
		if b.WarnAt == 0 {
			b.WarnAt = 0.8
		}
		if b.Limit <= 0 || !(b.WarnAt >= 0 && b.WarnAt <= 1) {
			return checks.Result{Err: &InvalidError{Field: "Budget", Value: fmt.Sprintf("%+v", b), Want: "a Limit > 0, and WarnAt from 0 to 1"}}
		}
		spent, forecast := l.Total(), l.Forecast()
		l.mu.Lock()
		unknown := l.all.unknown
		l.mu.Unlock()
		r := checks.Result{
			Status:  checks.Pass,
			Summary: fmt.Sprintf("%s of %s spent in %v, %s at the present pace", Format(spent), Format(b.Limit), l.cfg.Window, Format(forecast)),
			Evidence: map[string]string{
				"spent": Format(spent), "limit": Format(b.Limit), "forecast": Format(forecast), "unknown": strconv.FormatUint(unknown, 10),
			},
		}
		switch {
		case spent >= b.Limit:
			r.Status = checks.Fail
		case float64(spent) >= b.WarnAt*float64(b.Limit) || forecast >= b.Limit:
			r.Status = checks.Warn
		case unknown > 0:
			r.Status = checks.Warn
			r.Summary += fmt.Sprintf("; nobody knows what %d requests cost", unknown)
		}
		return r
	})
}

// Guard returns a handler that answers 429 for tenants who have spent what limit
// allows them within the ledger's window, and otherwise passes on to next. A limit
// of 0 or less is none. What is known is what requests that have ended cost: those
// that are under way may exceed the limit.
func (l *Ledger) Guard(next http.Handler, tenant func(*http.Request) string, limit func(tenant string) analysis.Money) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		who := tenant(r)
		most := limit(who)
		if most <= 0 || l.Spent(who) < most {
			next.ServeHTTP(w, r)
			return
		}
		body := fmt.Sprintf(`{"error":{"message":"the budget of %s in %v is spent","type":"insufficient_quota","param":null,"code":"budget_exceeded"}}`+"\n", Format(most), l.cfg.Window)
		w.Header().Set("Content-Type", "application/json")
		w.Header().Set("Content-Length", strconv.Itoa(len(body)))
		w.Header().Set("Retry-After", strconv.Itoa(int(math.Ceil(l.step.Seconds())))) // when something is forgotten
		w.WriteHeader(http.StatusTooManyRequests)
		_, _ = io.WriteString(w, body) // a caller who has gone needs no answer
	})
}

// Format writes an amount as people do, with at least two digits behind the point:
// 12.50, or 0.000125.
func Format(m analysis.Money) string {
	sign, u := "", uint64(m)
	if m < 0 {
		sign, u = "-", -u
	}
	fraction := fmt.Sprintf("%06d", u%1_000_000)
	for len(fraction) > 2 && fraction[len(fraction)-1] == '0' {
		fraction = fraction[:len(fraction)-1]
	}
	return fmt.Sprintf("%s%d.%s", sign, u/1_000_000, fraction)
}
