// Package kayenta implements the judge of Kayenta, Spinnaker's automated canary analysis,
// for comparison and migration.
//
// A metric is a series of points of each arm, for example one per minute.
// [Metric.Classify] compares the arms with a Mann-Whitney test with a tolerance. [Score]
// combines the labels of all metrics.
//
// It differs from the original in one point. The estimate and the ends of the confidence
// interval are exact: they are order statistics of the differences of the points. The
// original uses a root finder that stops within 0.0001, in the unit of the metric. So here
// a verdict does not depend on units.
//
// The results are not anytime-valid: the confidence holds for one look at independent
// points. Package evalue has tests for repeated looks.
package kayenta
