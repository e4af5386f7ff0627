// Package burn answers: is the error budget being spent too fast?
//
// A service level objective of 99.9 % over 30 days allows one bad request in a
// thousand: the error budget. A burn rate of 1 spends it in just those 30 days,
// one of 14.4 spends 2 % of it in an hour. A [Budget] counts good and bad
// requests and says when the burn rate is too high in a long window and in a
// short one: the long one so that it matters, the short one so that it is not
// over already. These are the multi-window, multi-burn-rate alerts of Google's
// SRE workbook, chapter 5.
//
//	b, err := burn.New(burn.Config{Objective: burn.MustObjective("99.9%")})
//	b.Record(err == nil)               // for each request, from any goroutine
//	suite["error budget"] = b          // a Budget is a checks.Check
//
// Pages are Fail, tickets Warn. Too few requests are Unknown, never good and
// never a page: one error of one request says nothing.
//
// # In integers
//
// Whether a limit is exceeded is decided in integers: with floating point,
// 14.4*(1-0.999) is a little more than 0.0144, and whether an alert fires at
// its limit depends on how it is written down. Here, exactly at the limit is
// not beyond it.
//
// # For rollouts
//
// A budget of 30 days says little in a canary of 20 minutes. [ForRollout] gives
// windows for which the rollout itself is the period. It asks whether the
// service keeps its objective while the rollout is under way, not whether the
// candidate is worse than the baseline: an outage of both burns the budget too.
// Package analysis tells these apart.
//
// # Memory and time
//
// Each window is a ring of 61 counters of a sixtieth of its length, so that it
// covers its length and up to a sixtieth more; with the default windows that is
// 8 KB, whatever the traffic. Time is monotonic: what the wall clock does
// changes nothing. Each process counts what it has seen and begins anew when it
// starts.
package burn
