package cost

import (
	"github.com/serin-go/serin/checks/analysis"
	"github.com/serin-go/serin/internal/bounded"
	"github.com/serin-go/serin/rollout/traffic"
)

// Reservation is a part of a tenant's budget that requests under way may still use. It
// is a [traffic.Account]: the router reserves from it and charges it. A nil
// Reservation reserves nothing. Its methods are safe for concurrent use.
type Reservation struct {
	ledger  *Ledger
	account *account // nil after Release
	tenant  string
	limit   analysis.Money
	left    analysis.Money            // of all that is reserved
	open    map[string]analysis.Money // the part of each request under way
}

var _ traffic.Account = (*Reservation)(nil)

// Reserve reserves an amount of a tenant's budget: what a request is estimated to
// cost, or 0 if the router is to estimate that. It refuses, and reserves nothing,
// unless what the tenant has spent within the window and what is reserved for its
// requests are together less than limit. A limit of 0 or less means no limit, and a
// negative amount counts as 0.
//
// [Ledger.Guard] does this for handlers. A program that sends requests itself puts the
// reservation into their context, and calls [Reservation.Release] when no more
// requests can come:
//
//	r, ok := ledger.Reserve(tenant, limit, 0)
//	if !ok {
//		return errBudget // before a server is asked
//	}
//	defer r.Release()
//	ctx = traffic.WithAccount(ctx, r)
//
// Then a limit is exceeded only by what one answer costs more than its estimate and
// by the estimate that was admitted last.
func (l *Ledger) Reserve(tenant string, limit, amount analysis.Money) (*Reservation, bool) {
	tenant = bounded.Name(tenant)
	l.mu.Lock()
	defer l.mu.Unlock()
	now := l.now()
	a := l.account(tenant, now)
	if limit > 0 && plus(a.sum(now), a.reserved) >= limit {
		return nil, false
	}
	if a == &l.common {
		tenant = ""
	}
	r := &Reservation{ledger: l, account: a, tenant: tenant, limit: limit}
	a.open++
	r.add(amount)
	return r, true
}

// add reserves an amount more.
func (r *Reservation) add(amount analysis.Money) {
	if r.account.reserved < 1_000*maxAmount { // far from an overflow
		amount = min(max(0, amount), maxAmount)
		r.left += amount
		r.account.reserved += amount
	}
}

// Reserve implements [traffic.Account]. It refuses with a [*traffic.RefusedError] if
// the budget is spent or reserved by other requests, or if the estimate is negative,
// which means that the price is not known, unless [Config].Unpriced is set.
func (r *Reservation) Reserve(request string, estimate analysis.Money) error {
	if r == nil || r.limit <= 0 {
		return nil
	}
	l := r.ledger
	if estimate < 0 && !l.cfg.Unpriced {
		return &traffic.RefusedError{Code: "price_unknown", Reason: "the price of this request is not known"}
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	if r.account == nil {
		return l.refusal(r.limit, r.limit)
	}
	if spent := r.account.sum(l.now()); plus(spent, r.account.reserved) >= r.limit {
		return l.refusal(r.limit, spent)
	}
	before := r.left
	r.add(estimate)
	if r.open == nil {
		r.open = make(map[string]analysis.Money)
	}
	r.open[request] += r.left - before
	return nil
}

// Charge implements [traffic.Account]: it adds the cost of an attempt to what the
// tenant and the arm have spent, and takes it from what is reserved for the request. An
// unknown cost, which is negative, takes all of that. Charge also counts after Release.
func (r *Reservation) Charge(c traffic.Charge) {
	if r == nil {
		return
	}
	l := r.ledger
	l.mu.Lock()
	defer l.mu.Unlock()
	now := l.now()
	a := l.account(r.tenant, now)
	if r.account != nil {
		a = r.account // the same, unless it is the common one
	}
	mine, known := r.open[c.Request]
	if !known {
		mine = r.left
		for _, part := range r.open {
			mine -= part
		}
	}
	part := mine
	if c.Cost >= 0 {
		part = min(c.Cost, mine)
	}
	r.give(part)
	if known {
		r.open[c.Request] = mine - part
	}
	l.charge(a, c, now)
	if c.Cost < 0 { // the estimate stands for it
		a.add(now, part)
		l.all.add(now, part)
	}
}

// Settle implements [traffic.Account]: what a request that has ended has not used can
// be spent by other requests.
func (r *Reservation) Settle(request string) {
	if r == nil {
		return
	}
	r.ledger.mu.Lock()
	defer r.ledger.mu.Unlock()
	r.give(r.open[request])
	delete(r.open, request)
}

// Release ends the reservation: what is left of it can be spent by other requests of
// the tenant. Calls after the first have no effect.
func (r *Reservation) Release() {
	if r == nil {
		return
	}
	r.ledger.mu.Lock()
	defer r.ledger.mu.Unlock()
	if r.account == nil {
		return
	}
	r.give(r.left)
	r.account.open--
	r.account, r.open = nil, nil
}

// give gives a part of what is reserved back.
func (r *Reservation) give(part analysis.Money) {
	r.left -= part
	if r.account != nil {
		r.account.reserved -= part
	}
}
