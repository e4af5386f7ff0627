// Package cost provides prices of models, a cost ledger by tenant and by version, and
// budgets.
//
// A [Book] knows the prices of models, and plugs into a backend of package traffic.
// What it does not know has an unknown price and is not free. A [Ledger] adds up what
// was charged, by arm and by tenant, over a sliding window: each attempt at a request
// counts, fallbacks, retries and copies included. Its memory is bounded, names of
// tenants included, and a charge takes the same time for a newcomer among 100,000
// tenants as for any other. [Ledger.Check] makes a budget a check, which a rollout
// plan can name, and [Ledger.Guard] keeps tenants who have spent their budget from
// asking for more:
//
//	book, err := cost.ReadBook(file)
//	ledger, err := cost.NewLedger(cost.Config{Window: 24 * time.Hour})
//	router, err := traffic.New(traffic.Config{
//		Arms:    map[string]traffic.Backend{"1.4.0": {URL: url, PriceOf: book.Price}},
//		Charged: ledger.Charge,
//	})
//	handler := ledger.Guard(router, tenantOfRequest, func(tenant string) analysis.Money { return 100_000_000 })
//
// # Budgets that bind
//
// What a request costs is known when it has ended. So that requests under way cannot
// exceed a limit together, the router estimates what each will cost at most, and the
// guard reserves that until the request has ended: the input by the length of its
// text, and the output by what 95 % of the arm's answers do not exceed, or by the
// request's own limit if that is lower. A program that sends requests through
// [traffic.Router.RoundTripper] reserves with [Ledger.Reserve].
//
// # Dependencies
//
// The standard library; of this module checks, checks/analysis and rollout/traffic.
package cost
