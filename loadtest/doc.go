// Package loadtest provides open-loop load testing of LLM services: time to first
// token, inter-token latency, throughput and goodput of streams, corrected for
// coordinated omission; capacity search; comparison of two versions; and a check
// that gates a canary rollout on the result.
//
// [Run] runs a [Plan]. It sends requests to a server with the OpenAI API at the
// instants of a schedule, whether or not earlier requests have been answered, as
// independent users do. It reads every stream to its end and returns a [Report].
//
//	report, err := loadtest.Run(ctx, loadtest.Plan{
//		Target:   "http://127.0.0.1:8000",
//		Model:    "my-model",
//		Pacer:    pace.Poisson(20, 1), // 20 requests per second at random
//		Workload: workload.Synthetic{Input: workload.Length{Mean: 200, SD: 80, LogNormal: true}},
//		Duration: time.Minute,
//		SLOs:     []loadtest.SLO{{TTFT: 400 * time.Millisecond, TPOT: 50 * time.Millisecond}},
//	})
//	if err != nil {
//		return err // the plan is not valid
//	}
//	fmt.Println(report)
//
// The command in examples/loadtest has all of this on the command line, and a small
// model to try it with.
//
// # Metrics
//
// A token chunk is a part of a stream with generated output: content, reasoning, a
// refusal or a tool call that is not empty. The role chunk, the finish chunk and the
// usage chunk are not token chunks. Durations count from the instant at which the
// request was sent:
//
//   - TTFB: to the header of the response. Servers send the header and the role chunk
//     long before the first token, so it says little about the model.
//   - TTFT: to the first token chunk.
//   - TTFC: to the first chunk of content, which follows the reasoning.
//   - E2E: to the last token chunk.
//   - Latency: to the end of the response.
//   - ICL: the gaps between successive token chunks of all requests. A chunk that
//     arrived together with the previous one has a gap of 0.
//   - ITL: the gaps between successive tokens. With a [Plan].Tokenizer, the tokens of a
//     chunk are spread evenly over the gap before it. Without one, a chunk counts as
//     one token, and ITL equals ICL.
//   - TPOT: (last token chunk - first token chunk) / (output tokens - 1), one value for
//     each request. It does not include the TTFT.
//   - NTPOT: E2E / output tokens, one value for each request.
//   - SchedLag: the delay between the instant at which a request was due and the
//     instant at which it was sent.
//
// Each Read of a stream is timed once, when it returns and before anything is parsed.
// The number of output tokens comes from the server's usage report, or else from the
// Tokenizer, or else from the number of token chunks; see [TokenSource]. Failed
// streams keep their status, tokens and timing. The cause of a failure is a [Fault].
//
// The class of a request is the class that live traffic has for the same request and
// answer; package answer computes both. An answer in an unknown format is never OK. An
// answer to [workload.HTTP] or [workload.Targets] is OK if it is complete and its
// status is 2xx.
//
// # Coordinated omission
//
// When a load generator falls behind its schedule, it does not measure what users
// would have experienced in the meantime. This package knows when each request was
// due. Every duration that starts with a request has a corrected twin, which counts
// from that instant. SLOs, thresholds and comparisons use the corrected durations.
//
// Each report begins with a [Generator], the assessment of the load generator itself:
// the rate and the variation of arrivals compared to the schedule, the lag, the share
// of coalesced chunks, garbage collection pauses and CPU use. If the generator was the
// bottleneck, the other figures are not reliable.
//
// # Schedules and requests
//
// Package pace has the schedules: constant, Poisson, gamma, ramp, sine, stages, and
// shards of a schedule. Package workload has the requests: prompts, conversations,
// generated prompts, recorded traces with their sessions and prefixes, HTTP requests
// of any kind, and mixes of them. [API] selects the API of the server. Equal seeds
// give equal instants and equal bytes.
//
// [Plan].Users limits the load to a number of users who wait for answers, in a closed
// loop or in turn at the instants of a schedule. WarmUp and CoolDown are excluded from
// all durations.
//
// Keys are set by [Plan].APIKey or Header. No [Result], report or error text contains
// them, even if a server repeats them. A [Recording] has the answer as it is.
//
// # Reports
//
// Requests with a tag, such as the parts of a [workload.Mix], have a part of the
// report of their own; see [Report].Tags.
//
// A [Report] is available as text, as JSON that can be read back, as an HdrHistogram
// log and as an HTML page without scripts. [Writer] writes results to files that
// vegeta can read; [ReadResults] and [Summarise] read them back. Package compat prints
// a run with the metrics and in the layout of other tools.
//
// A quantile beyond which fewer than ten values lie is marked with ~, and the report
// has their number: p99 needs 1,000 values, p95 needs 200. Chance leaves 4 to 17 values
// where ten are expected, so with fewer the quantile is not measured.
//
// Memory is bounded in the length of a run: results are not retained, and
// distributions of more than 4,096 values are HdrHistograms with three digits, which
// merge without loss ([Report.Merge]).
//
// [Plan].Thresholds are limits for a run and can end it early: each rate, and each kind
// of duration above by its name in lower case, such as "itl p99 <= 50ms". A run ends
// early, and a threshold of a rate or a quantile fails, only if chance is no explanation,
// however often one looks. Requests under way count as neither good nor bad. [Gate]
// makes a check of a run, which a rollout can name. [Compare] sends the same load to two targets and
// judges the candidate; [CompareFiles] compares two recorded runs. [FindCapacity]
// searches for the highest rate at which an [SLO] holds. Its confidence bounds allow for
// requests that wait for each other: at the limit they are wrong for up to 5 % of the
// simulated runs of M/M/1, M/G/4 and batching servers at loads of 0.5 to 0.95, and bounds
// for independent requests for up to 100 %.
// [Sweep] draws the curve of latency over throughput and marks its knee.
//
// [ServerMetrics] reads the metrics pages of the servers during a run, so that the report
// has their queues, caches and GPUs on the same axis of time, and the energy and the cost
// of a good token.
//
// OnResult and OnInterval of a plan report on a run while it is in progress. Package
// loadprom exports that to Prometheus and package loadotel to OpenTelemetry. Package
// cluster distributes a run over several machines.
//
// Requests are sent by the vegeta library, which is not part of the API. Files of
// results have the members that vegeta reads. Their latency ends with the response and
// is not corrected.
//
// # What belongs here
//
// Load that this process generates, and its measurements. Analysis of live traffic
// belongs to checks/analysis, and parsing an answer to checks/analysis/answer. No
// package below this one imports rollout.
package loadtest
