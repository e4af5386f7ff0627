// Package cost answers what requests cost, who has spent how much, and what happens
// when it is too much.
//
// A [Book] knows the prices of models, and plugs into a backend of package traffic;
// what it does not know has an unknown price, never none. A [Ledger] adds up what
// has been observed, by arm and by tenant, over a sliding window and in bounded
// memory. [Ledger.Check] makes a budget a check, which a rollout plan can name, and
// [Ledger.Guard] keeps tenants who have spent theirs from asking for more:
//
//	book, err := cost.ReadBook(file)
//	ledger, err := cost.NewLedger(cost.Config{Window: 24 * time.Hour, Tenant: tenantOf})
//	router, err := traffic.New(traffic.Config{
//		Arms:    map[string]traffic.Backend{"1.4.0": {URL: url, PriceOf: book.Price}},
//		Observe: ledger.Observe,
//	})
//	handler := ledger.Guard(router, tenantOfRequest, func(tenant string) analysis.Money { return 100_000_000 })
//
// # Dependencies
//
// The standard library; of this module checks, checks/analysis and rollout/traffic.
package cost
