// Package kayenta answers: what would Kayenta's judge have said?
//
// It classifies metrics and scores them as the judge of Spinnaker's automated
// canary analysis does, for comparison and for people who migrate. A metric is
// a series of points of each arm, one a minute say; [Metric.Classify] compares
// them by a Mann-Whitney test with a tolerance, and [Score] sums the labels of
// all metrics up.
//
// In one thing it is better than the original: the ends of the confidence
// interval and the estimate are order statistics of the differences between the
// points, exact, where the original looks for them by a root finder that stops
// within 0.0001 in whatever unit the metric has. So a verdict does not depend
// on units.
//
// What it cannot be is anytime-valid: its confidence holds for one look at
// independent points. See package evalue for tests that may be looked at always.
package kayenta
