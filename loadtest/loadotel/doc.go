// Package loadotel exports load test results as OpenTelemetry metrics. A [Recorder]
// records each result by the metrics API. The package depends on the API only, not on
// the SDK.
//
//	metrics, err := loadotel.New(loadotel.Config{MeterProvider: provider})
//	...
//	plan.OnResult = metrics.Record
//	report, err := loadtest.Run(ctx, plan)
//
// The instruments, of the scope [ScopeName], are:
//
//	loadtest.requests             {request}  counter    by loadtest.class and loadtest.fault
//	loadtest.tokens               {token}    counter    by gen_ai.token.type, input or output
//	loadtest.duration             s          histogram  to the end of the answer, by loadtest.class
//	loadtest.time_to_first_token  s          histogram  of streams that had one
//	loadtest.time_per_output_token s         histogram  the TPOT of complete streams
//	loadtest.sched_lag            s          histogram  the delay of sending
//
// Durations count from the instant at which requests were due, so they are corrected for
// coordinated omission. They include loadtest.sched_lag, the delay of the generator.
package loadotel
