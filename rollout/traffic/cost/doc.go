// Package cost provides prices of models, a cost ledger by tenant and by version, and
// budgets.
//
// A [Book] knows the prices of models, and plugs into a backend of package traffic;
// what it does not know has an unknown price, never none. A [Ledger] adds up what
// has been observed, by arm and by tenant, over a sliding window. Its memory is
// bounded, names of tenants included, and an observation takes the same time for a
// newcomer among 100,000 tenants as for any other. [Ledger.Check] makes a budget a
// check, which a rollout plan can name, and [Ledger.Guard] keeps tenants who have
// spent their budget from asking for more:
//
//	book, err := cost.ReadBook(file)
//	ledger, err := cost.NewLedger(cost.Config{Window: 24 * time.Hour, Tenant: tenantOf})
//	router, err := traffic.New(traffic.Config{
//		Arms:    map[string]traffic.Backend{"1.4.0": {URL: url, PriceOf: book.Price}},
//		Observe: ledger.Observe,
//	})
//	handler := ledger.Guard(router, tenantOfRequest, func(tenant string) analysis.Money { return 100_000_000 })
//
// # Budgets that bind
//
// What a request costs is known when it has ended. For a limit that requests under
// way cannot exceed together, set [Config].Estimate, and Guard reserves the estimate
// until the request has ended. A program that knows the cost of each attempt, failed
// ones and fallbacks included, reserves with [Ledger.Reserve] and charges the attempts
// to the [Reservation] in the place of observing them.
//
// # Dependencies
//
// The standard library; of this module checks, checks/analysis and rollout/traffic.
package cost
