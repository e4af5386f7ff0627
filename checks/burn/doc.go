// Package burn provides SLO burn-rate alerts: it checks whether a service consumes its
// error budget too fast.
//
// A service level objective of 99.9 % over 30 days allows one bad request in a thousand:
// the error budget. A burn rate of 1 spends it in 30 days. A burn rate of 14.4 spends 2 %
// of it in an hour. A [Budget] counts good and bad requests. It alerts if the burn rate is
// too high in a long window and in a short one. The long window shows that the problem is
// significant, and the short one that it is not over. These are the multi-window,
// multi-burn-rate alerts of Google's SRE workbook, chapter 5.
//
//	b, err := burn.New(burn.Config{Objective: burn.MustObjective("99.9%")})
//	b.Record(err == nil)               // for each request, from any goroutine
//	suite["error budget"] = b          // a Budget is a checks.Check
//
// A page is Fail, and a ticket is Warn. Too few requests are Unknown: one error in one
// request is not significant.
//
// # Exact limits
//
// A Budget compares limits in integers. In floating point, 14.4*(1-0.999) is a little
// more than 0.0144, and an alert at the limit would depend on rounding. A rate exactly at
// the limit does not fire.
//
// # For rollouts
//
// A budget of 30 days is too long for a canary of 20 minutes. [ForRollout] returns windows
// for a period that equals the duration of the rollout. They show whether the service
// keeps its objective during the rollout, not whether the candidate is worse than the
// baseline: an outage of both consumes the budget too. Package analysis compares the two.
//
// # Memory and time
//
// Each window is a ring of 61 counters of a sixtieth of its length. It covers its length
// and up to a sixtieth more. The default windows need 8 KB, whatever the traffic. Time is
// monotonic, so changes of the wall clock have no effect. Each process counts its own
// requests from its start.
package burn
