// Package loadprom exports metrics of a load test in progress to Prometheus. An
// [Exporter] adds up the intervals of a run and serves them in the Prometheus text
// format, version 0.0.4, without the Prometheus client library.
//
//	metrics := loadprom.New()
//	plan.OnInterval = metrics.Add
//	go http.ListenAndServe(":9095", metrics)
//	report, err := loadtest.Run(ctx, plan)
//
// The names of the metrics begin with loadtest_:
//
//	requests_total{class}       counter    requests
//	faults_total{fault}         counter    causes of failures
//	unsent_total                counter    requests that were due and not sent
//	tokens_total{direction}     counter    input, cached, output, reasoning
//	chunks_total                counter    token chunks; coalesced_chunks_total of them arrived together with the previous one
//	good_requests_total{slo}    counter    requests that kept an SLO
//	duration_seconds{kind}      histogram  the durations of package loadtest: ttft, itl, tpot, latency, sched_lag, corrected_ttft ...
//	peak_concurrency            gauge      largest number of concurrent requests in the last interval
//	cpu_ratio                   gauge      CPU use of the generator in the last interval, from 0 to 1
//	generator_bottleneck        gauge      1 if the generator was the bottleneck in the last interval
package loadprom
