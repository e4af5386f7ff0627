// Package anomaly finds anomalies in time series of a service, such as requests, errors,
// latencies and cost: robust z-scores, EWMA and CUSUM control charts, and a seasonal
// expectation by the hour of the week.
//
//	detector, err := anomaly.NewEWMA(anomaly.Tuning{})
//	...
//	reading := detector.Add(time.Now(), value) // once a minute
//	if reading.State == checks.Fail {
//		log.Print(reading.Value, ", expected ", reading.Expected)
//	}
//
// An anomaly is an alarm, and no verdict: whether a candidate is worse than its baseline is
// the question of package analysis.
//
// # Limits
//
// A service with 20 series with a look each minute makes 201,600 looks a week. One
// false alarm a week needs a mean of 200,000 looks between two of them, and the limits of
// textbooks are for one gauge: an EWMA with limit 3 alarms every 562 looks. The defaults are
// for independent values. Values of real series are not; [Calibrate] finds limits from a
// history.
//
// # Values
//
// Expectations come from the newest values that did not alarm, so that an outage does not
// become normal. Values that alarm for 3 hours do: they are a new level. After a gap of more
// than 3 intervals, EWMA and CUSUM begin again. [PerSecond] makes a rate of a counter.
//
// A detector has a state of a few KB, which survives JSON. This package uses only the standard
// library.
package anomaly
