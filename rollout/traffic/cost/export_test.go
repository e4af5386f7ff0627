package cost

import "github.com/serin-go/serin/internal/bounded"

// Visits returns how many accounts the ledger has looked at so far.
func (l *Ledger) Visits() uint64 {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.visits
}

// Reserved returns what is reserved for a tenant, and how many reservations are open.
func (l *Ledger) Reserved(tenant string) (int64, int) {
	l.mu.Lock()
	defer l.mu.Unlock()
	a := l.account(bounded.Name(tenant), l.now())
	return int64(a.reserved), a.open
}
