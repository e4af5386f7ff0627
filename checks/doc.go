// Package checks answers: is it good, and how do we know?
//
// A [Check] looks at one thing and returns a [Result]: a [Status], a sentence
// for people, and the evidence. [Run] carries out named checks concurrently and
// gathers a [Report]. Neither a panic nor a check that never returns gets
// beyond its own result. [All], [Any], [Named], [Cached], [WithTimeout] and
// [WithRetry] make checks of checks.
//
// # Failing closed
//
// The zero Status is Unknown, and Unknown opens no gate. A check that could not
// look returns Unknown with the error: Fail means that it looked and found
// something wrong. A nil check, a panic, a check that was abandoned when its
// time was up, and an empty report are Unknown.
//
// # What belongs here
//
// Answers to whether a version is good, and the evidence for them. Packages below this
// one measure: live traffic, error budgets, metrics of other systems. What follows
// from a verdict belongs to strategies. No package here changes traffic.
package checks
