// Package loadotel answers how a load test shows up in OpenTelemetry: a
// [Recorder] turns each result into measurements of the metrics API. It needs
// the API only; where they go is for the provider to say.
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
//	loadtest.sched_lag            s          histogram  how late the request was sent
//
// Durations count from when requests were due, so they hold against coordinated
// omission; loadtest.sched_lag tells how much of them is the generator's.
package loadotel
