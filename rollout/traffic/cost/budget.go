package cost

import (
	"context"
	"fmt"
	"net/http"
	"strconv"
	"time"

	"github.com/serin-go/serin/checks"
	"github.com/serin-go/serin/checks/analysis"
	"github.com/serin-go/serin/rollout/traffic"
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
// pace. It warns, too, if the cost of some requests is not known. The result for an
// invalid Budget is Unknown.
func (l *Ledger) Check(b Budget) checks.Check {
	return checks.Func(func(context.Context) checks.Result {
		if b.WarnAt == 0 {
			b.WarnAt = 0.8
		}
		if b.Limit <= 0 || !(b.WarnAt >= 0 && b.WarnAt <= 1) {
			return checks.Result{Err: &checks.InvalidError{Package: "cost", Field: "Budget", Value: fmt.Sprintf("%+v", b), Want: "a Limit > 0, and WarnAt from 0 to 1"}}
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
			r.Summary += fmt.Sprintf("; the cost of %d requests is not known", unknown)
		}
		return r
	})
}

// Guard returns a handler that answers 429 for tenants who have spent what limit
// allows them within the ledger's window, and otherwise passes on to next, which is a
// [traffic.Router] or leads to one. A limit of 0 or less means no limit.
//
// The tenant pays for every attempt at the request, fallbacks and retries included:
// Guard charges them, and traffic.Config need not name the ledger. The router reserves
// what the request will probably cost before a server is asked, and a request is
// admitted only while what its tenant has spent and reserved is less than the limit.
// So a limit is exceeded by at most one answer, and by what answers cost more than
// was reserved for them. A tenant without an account of its own, as there is no room
// for one, is held to what the common account has spent.
//
// A request whose price is not known is refused unless [Config].Unpriced is set. If
// tenant or limit panics, the request is refused.
func (l *Ledger) Guard(next http.Handler, tenant func(*http.Request) string, limit func(tenant string) analysis.Money) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		admitted, err := l.admit(r, tenant, limit)
		if err != nil {
			err.ServeHTTP(w, r)
			return
		}
		defer admitted.Release()
		next.ServeHTTP(w, r.WithContext(traffic.WithAccount(r.Context(), admitted)))
	})
}

// admit opens a reservation for a request, or returns why it is refused.
func (l *Ledger) admit(r *http.Request, tenant func(*http.Request) string, limit func(tenant string) analysis.Money) (admitted *Reservation, err *traffic.RefusedError) {
	function := "tenant"
	defer func() {
		if p := recover(); p != nil {
			l.panicked(function, p)
			admitted, err = nil, &traffic.RefusedError{Code: "budget_unknown", Reason: "the budget of this request cannot be determined"}
		}
	}()
	payer := tenant(r)
	function = "limit"
	most := limit(payer)
	admitted, ok := l.Reserve(payer, most, 0)
	if !ok {
		return nil, l.refusal(most, l.Spent(payer))
	}
	return admitted, nil
}

// refusal is the refusal of a request whose tenant has spent a limit, or has reserved
// what is left of it for requests under way.
func (l *Ledger) refusal(limit, spent analysis.Money) *traffic.RefusedError {
	if spent < limit {
		return &traffic.RefusedError{
			Code: "budget_reserved", Reason: fmt.Sprintf("the rest of the budget of %s is reserved for requests that are under way", Format(limit)),
			RetryAfter: time.Second,
		}
	}
	return &traffic.RefusedError{
		Code: "budget_exceeded", Reason: fmt.Sprintf("the budget of %s in %v is spent", Format(limit), l.cfg.Window),
		RetryAfter: l.step, // when something is forgotten
	}
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
