// Package drift finds that prompts or answers have moved since a model was tuned, and
// evaluations that have become worse: findings for the people who tune it.
//
//	var tuned, now drift.Profile // add a Sample for each answer, or unmarshal a stored one
//	check := drift.Check(drift.Options{
//		Reference: func(context.Context) (*drift.Profile, error) { return &tuned, nil },
//		Current:   func(context.Context) (*drift.Profile, error) { return &now, nil },
//		Owner:     "ben",
//	})
//
// A [Profile] counts lengths of prompts and answers, refusals, languages and scores, in
// constant memory and without any text. [Compare] compares two of them feature by feature.
//
// # When something has moved
//
// The measure is the population stability index over at most ten bins of the reference and, for
// lengths and scores, the Kolmogorov-Smirnov distance. Something has moved when the index is
// above 0.1 and above what it exceeds by chance in 1 of 1,000 looks at all features together, or
// when the distance is, with the limit of the two-sample test (N. Smirnov 1948). An index above
// 0.25 is a large change, as is usual in credit scoring, where the index comes from (N.
// Siddiqi, Credit Risk Scorecards, 2006). Answers of one conversation are not independent, so the limit of chance is
// too small where a few users send most requests; the limits of 0.1 and 0.25 do not depend on
// that.
//
// The package uses only the standard library.
package drift
