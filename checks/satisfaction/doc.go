// Package satisfaction counts what users say about the answers of each version: thumbs, one to
// five stars, and the question how likely they are to recommend the service.
//
//	var t satisfaction.Tally
//	t.Answered("1.5.0", 1)
//	err := t.Rate(satisfaction.Rating{ID: requestID, Version: "1.5.0", Scale: satisfaction.Stars, Value: 5})
//	s := t.Summary("1.5.0") // CSAT 85 % (76.7 to 90.7), 2 % of the answers rated
//
// A rating belongs to one answer, by the ID of its request. A later rating of the same answer
// replaces the former. CSAT is the share of ratings of four and five stars (top two boxes), with
// its 95 % interval by Wilson's method; NPS is the share of 9 and 10 less the share of 0 to 6 on
// the scale from 0 to 10 (F. Reichheld, The One Number You Need to Grow, 2003).
//
// Users who rate are not a random choice of all. Compare versions with each other at the same
// time, and look at the response rate: package analysis does both during a rollout.
//
// The package uses only the standard library.
package satisfaction
