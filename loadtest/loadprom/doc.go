// Package loadprom answers how Prometheus watches a load test while it goes on:
// an [Exporter] adds up the intervals of a run and serves them in the text format
// of Prometheus, version 0.0.4. It needs nothing but the standard library.
//
//	metrics := loadprom.New()
//	plan.OnInterval = metrics.Add
//	go http.ListenAndServe(":9095", metrics)
//	report, err := loadtest.Run(ctx, plan)
//
// The families, all of which begin with loadtest_, are:
//
//	requests_total{class}       counter    requests that were finished
//	faults_total{fault}         counter    what went wrong with them
//	unsent_total                counter    due, and not sent
//	tokens_total{direction}     counter    input, cached, output, reasoning
//	chunks_total                counter    token chunks, coalesced_chunks_total of them in one piece with another
//	good_requests_total{slo}    counter    requests that kept an SLO
//	duration_seconds{kind}      histogram  the durations of package loadtest: ttft, itl, tpot, latency, sched_lag, corrected_ttft ...
//	peak_concurrency            gauge      the most requests under way in the last interval
//	cpu_ratio                   gauge      the share of its processors' time that the generator uses
//	generator_bottleneck        gauge      1 if the generator was too late in the last interval
package loadprom
