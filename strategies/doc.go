// Package strategies answers one question: what next? It holds the ways in
// which a new version takes over from an old one, as pure data and pure
// functions: equal inputs give equal outputs, with no clock, no goroutine and
// no input or output.
//
// A [Strategy] compiles to a list of [Stage] values. Each stage demands one
// [Split] of the live traffic and says what must be true before the next one
// may begin. [Next] is the only place where that is decided: it maps the
// stages and the present [State] to a [Decision]. Package rollout carries the
// decisions out; a test or a tool can call Next as well as it can:
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
// The standard library, and packages checks and checks/analysis of this module
// for the two words that decide: a check's Status and a Verdict.
//
// # What belongs here
//
// Decisions as pure functions of plain data. Anything that reads a clock, starts a
// goroutine or keeps state belongs to rollout, and statistics belong to
// checks/analysis.
package strategies
