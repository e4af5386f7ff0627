// Package checks provides health checks and deployment gates for canary releases and
// progressive delivery.
//
// A [Check] returns a [Result]: a [Status], a sentence and evidence. [Run] runs named
// checks concurrently and returns a [Report]. A panic or a check that never returns
// affects only its own result. [All], [Any], [Named], [Cached], [WithTimeout] and
// [WithRetry] combine and wrap checks.
//
// # Failing closed
//
// The zero Status is Unknown, and Unknown does not open a gate. A check that cannot
// determine the status returns Unknown and an error. Fail means that the check found
// a problem. A nil check, a panic, an abandoned check and an empty report are Unknown.
//
// # What belongs here
//
// Answers to whether a version is good, and the evidence for them. Packages below this
// one measure: live traffic, error budgets, metrics of other systems. What follows
// from a verdict belongs to strategies. No package here changes traffic.
package checks
