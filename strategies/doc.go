// Package strategies provides deployment strategies for progressive delivery: canary,
// blue-green, rolling, shadow traffic and A/B tests, with traffic splits, approvals and
// ramps. It is pure data and pure functions: equal inputs give equal outputs, without
// clocks, goroutines or I/O.
//
// A [Strategy] compiles to a list of [Stage] values. Each stage has one [Split] of the
// live traffic and the conditions for the next stage. [Next] is the state machine: it
// maps the stages and the present [State] to a [Decision]. Package rollout executes the
// decisions. Tests and tools can call Next too. Package strategytest tests strategies.
//
//	stages, err := strategies.Canary{
//		Weights: []strategies.Weight{500, 2500, 5000, strategies.Full},
//		Bake:    10 * time.Minute,
//	}.Stages("1.4.0", "1.5.0")
//
// Weights are integers, hundredths of a percent, and sum to exactly 10,000.
//
// # Dependencies
//
// The standard library, and packages checks and checks/analysis of this module for
// checks.Status and analysis.Verdict.
//
// # What belongs here
//
// Decisions as pure functions of plain data. Anything that reads a clock, starts a
// goroutine or keeps state belongs to rollout, and statistics belong to
// checks/analysis.
package strategies
