package cost

import "github.com/serin-go/serin/checks/analysis"

// Reservation is a part of a tenant's budget that a request under way may still use.
// A nil Reservation reserves nothing. Its methods are safe for concurrent use.
type Reservation struct {
	ledger  *Ledger
	account *account // nil after Release
	tenant  string
	left    analysis.Money
}

// Reserve reserves an amount of a tenant's budget: what a request is estimated to
// cost. It refuses, and reserves nothing, unless what the tenant has spent within the
// window and what is reserved for its requests are together less than limit. A limit
// of 0 or less means no limit, and a negative amount counts as 0.
//
// Charge each answer that the request costs to the reservation, and call
// [Reservation.Release] when no more can come:
//
//	r, ok := ledger.Reserve(tenant, limit, estimate)
//	if !ok {
//		return errBudget // before a server is asked
//	}
//	defer r.Release()
//	...
//	r.Charge("1.5.0", cost) // an attempt that failed
//	r.Charge("1.4.0", cost) // the fallback
//
// Then a limit is exceeded only by what one answer costs more than its estimate and
// by the estimate that was admitted last.
func (l *Ledger) Reserve(tenant string, limit, amount analysis.Money) (*Reservation, bool) {
	tenant = nameOf(tenant)
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
	r := &Reservation{ledger: l, account: a, tenant: tenant}
	if a.reserved < 1_000*maxAmount { // far from an overflow
		r.left = min(max(0, amount), maxAmount)
	}
	a.open++
	a.reserved += r.left
	return r, true
}

// Charge adds the cost of an answer of an arm to what the tenant and the arm have
// spent, and takes it from the reservation. An unknown cost, which is negative, takes
// what is left of the reservation. Charge also counts after Release: a copy may end
// later than the request.
func (r *Reservation) Charge(arm string, cost analysis.Money) {
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
	part := r.left
	if cost >= 0 {
		part = min(cost, r.left)
	}
	r.settle(part)
	l.charge(a, arm, cost, now)
	if cost < 0 { // the estimate stands for it
		a.add(now, part)
		l.all.add(now, part)
	}
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
	r.settle(r.left)
	r.account.open--
	r.account = nil
}

// settle takes a part from what is reserved.
func (r *Reservation) settle(part analysis.Money) {
	r.left -= part
	if r.account != nil {
		r.account.reserved -= part
	}
}
