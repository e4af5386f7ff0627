package cost

import (
	"context"
	"fmt"
	"io"
	"math"
	"net/http"
	"strconv"
	"time"

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
// pace. It warns, too, if the cost of some requests is not known. The result for an
// invalid Budget is Unknown.
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
			r.Summary += fmt.Sprintf("; the cost of %d requests is not known", unknown)
		}
		return r
	})
}

// Guard returns a handler that answers 429 for tenants who have spent what limit
// allows them within the ledger's window, and otherwise passes on to next. A limit
// of 0 or less means no limit.
//
// Guard reserves [Config].Estimate until next has returned, and admits a request only
// while what its tenant has spent and reserved is less than the limit. So a limit is
// exceeded by at most one answer, provided that the cost of a request has been
// observed when next returns and is not above its estimate. A tenant without an account
// of its own, as there is no room for one, is held to what the common account has
// spent.
//
// If tenant, limit or Estimate panics, the request is refused.
func (l *Ledger) Guard(next http.Handler, tenant func(*http.Request) string, limit func(tenant string) analysis.Money) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		admitted, refused := l.admit(r, tenant, limit)
		if refused != nil {
			refused.write(w, l.step)
			return
		}
		defer admitted.Release()
		next.ServeHTTP(w, r)
	})
}

// refusal is why Guard refuses a request.
type refusal struct{ code, message string }

func (f *refusal) write(w http.ResponseWriter, step time.Duration) {
	body := fmt.Sprintf(`{"error":{"message":"%s","type":"insufficient_quota","param":null,"code":"%s"}}`+"\n", f.message, f.code)
	w.Header().Set("Content-Type", "application/json")
	w.Header().Set("Content-Length", strconv.Itoa(len(body)))
	w.Header().Set("Retry-After", strconv.Itoa(int(math.Ceil(step.Seconds())))) // when something is forgotten
	w.WriteHeader(http.StatusTooManyRequests)
	_, _ = io.WriteString(w, body) // a caller who has gone needs no answer
}

// admit reserves what a request is estimated to cost, or returns why it is refused.
func (l *Ledger) admit(r *http.Request, tenant func(*http.Request) string, limit func(tenant string) analysis.Money) (admitted *Reservation, refused *refusal) {
	function := "tenant"
	defer func() {
		if p := recover(); p != nil {
			l.panicked(function, p)
			admitted, refused = nil, &refusal{"budget_unknown", "the budget of this request cannot be determined"}
		}
	}()
	payer := tenant(r)
	function = "limit"
	most := limit(payer)
	if most <= 0 {
		return nil, nil
	}
	var amount analysis.Money
	if l.cfg.Estimate != nil {
		function = "Estimate"
		if amount = l.cfg.Estimate(r); amount < 0 && !l.cfg.Unpriced {
			return nil, &refusal{"price_unknown", "the price of this request is not known"}
		}
	}
	admitted, ok := l.Reserve(payer, most, amount)
	if !ok {
		return nil, &refusal{"budget_exceeded", fmt.Sprintf("the budget of %s in %v is spent", Format(most), l.cfg.Window)}
	}
	return admitted, nil
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
