package cost

import (
	"time"

	"github.com/serin-go/serin/checks/analysis"
	"github.com/serin-go/serin/internal/looks"
)

// Series returns series of a ledger for detectors of anomalies, such as package anomaly, by
// name. In units of the ledger's currency there are
//
//   - "cost": what all tenants spend, by the second
//   - "cost of ARM", for each arm that the ledger knows now: what it costs, by the second
//   - "cost of a request of ARM": the mean of the requests whose cost is known
//
// They are about the time since the look before: NaN at the first look, after 5 min without
// one, and without a request for the mean. Each function is safe for concurrent use, and is
// for one reader.
func Series(l *Ledger) map[string]func(at time.Time) float64 {
	all := map[string]func(at time.Time) float64{
		"cost": looks.Rate(looks.Longest, func(time.Time) (sum float64, ok bool) {
			for _, s := range l.Arms() {
				sum += float(s.Cost)
			}
			return sum, true
		}),
	}
	for _, s := range l.Arms() {
		arm := s.Arm
		all["cost of "+arm] = looks.Rate(looks.Longest, func(time.Time) (float64, bool) {
			s, there := l.spending(arm)
			return float(s.Cost), there
		})
		all["cost of a request of "+arm] = looks.Quotient(looks.Longest, func(time.Time) (float64, float64, bool) {
			s, there := l.spending(arm)
			return float(s.Cost), float64(s.Requests - s.Unknown), there
		})
	}
	return all
}

func (l *Ledger) spending(name string) (Spending, bool) {
	for _, s := range l.Arms() {
		if s.Arm == name {
			return s, true
		}
	}
	return Spending{}, false
}

// float returns m in units of the currency, of which Money counts the millionths.
func float(m analysis.Money) float64 { return float64(m) / 1e6 }
