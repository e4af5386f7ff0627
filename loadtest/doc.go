// Package loadtest answers how much a language model service can take, and how
// its streams feel to users, before users find out.
//
// [Run] carries out a [Plan]: it sends requests to a server that speaks the
// OpenAI API at the instants that a [Pacer] sets, whether or not earlier requests
// have been answered, as independent users would. It reads every stream to its
// end and gives a [Report].
//
//	report, err := loadtest.Run(ctx, loadtest.Plan{
//		Target:   "http://127.0.0.1:8000",
//		Model:    "my-model",
//		Pacer:    pace.Poisson(20, 1), // 20 requests a second at random
//		Workload: workload.Synthetic{Input: workload.Length{Mean: 200, SD: 80, LogNormal: true}},
//		Duration: time.Minute,
//		SLOs:     []loadtest.SLO{{TTFT: 400 * time.Millisecond, TPOT: 50 * time.Millisecond}},
//	})
//	if err != nil {
//		return err // the plan is not valid, and says all that is wrong with it
//	}
//	fmt.Println(report)
//
// The command in examples/loadtest does all of this from a terminal, and brings
// a small model of its own to try it on.
//
// # What is measured
//
// A token chunk is a part of the stream that bears generated output: content,
// reasoning, a refusal or a tool call that is not empty. The role chunk, the
// finish chunk and the usage chunk are none. Counted from the instant at which
// the request was sent:
//
//   - TTFB: to the header of the response. It says little: servers send headers
//     and the role chunk long before the model has thought of anything.
//   - TTFT: to the first token chunk.
//   - TTFC: to the first chunk of content, which follows the reasoning.
//   - E2E: to the last token chunk.
//   - Latency: to the end of the response.
//   - ICL: the gaps between successive token chunks, all requests' together. A
//     chunk that arrived in one piece with the one before counts as a gap of 0.
//   - ITL: the gaps between successive tokens. With a [Plan.Tokenizer] the tokens
//     of a chunk are taken to be spread evenly over the gap before it; without
//     one a chunk counts as one token, and ITL is ICL.
//   - TPOT: (last token chunk - first token chunk) / (output tokens - 1), one
//     value for each request. It does not contain the TTFT.
//   - NTPOT: E2E / output tokens, one value for each request.
//   - SchedLag: how much later than due the request was sent.
//
// Each Read of a stream is timed once, when it returns and before anything is
// parsed. Output tokens are those that the server reports as usage; else those
// that the Tokenizer counts in the text; else the token chunks. The report says
// which, see [TokenSource]. Failed streams keep their status, tokens and timing;
// what went wrong is one of a closed set of [Fault]s.
//
// The class of a request is the class that live traffic has for the same request
// and answer: package answer recognises both. An answer that it does not
// recognise is never OK. An answer to [HTTP] or [Targets] is OK if it is a whole
// 2xx, whatever it says.
//
// Other tools use the same names for other things. A [Recording] of a stream
// gives the figures of each by its own [Definition] of them.
//
// # Coordinated omission
//
// A load generator that falls behind its schedule waits when its users would
// not, and its figures miss the worst of what they would have met. Here each
// request knows when it was due, and every duration from the start of a request
// has a corrected twin that counts from that instant. Believe those. SLOs,
// thresholds and comparisons rest on them.
//
// Each report begins with the verdict of the [Generator] on itself: the rate and
// the variation of arrivals that it reached against those asked for, its lag, its
// share of coalesced chunks, pauses and processors. Believe no figure of a run in
// which it was the bottleneck.
//
// # When to send
//
// [Constant], [Poisson], [Gamma], [Ramp] and [Sine] are schedules, [Stages] puts
// them one after the other, and a [Trace] replays recorded traffic at any speed.
// A schedule depends on nothing but its parameters: equal seeds give equal
// instants and, with the workloads of this package, equal bytes. [Shard], [After]
// and [First] are parts of a schedule whose requests ask what they would in the
// whole. Users in a closed loop, and users who take turns in an open one, are a
// matter of [Plan].Users; with Conversations they go on with what was said.
// WarmUp and CoolDown are left out of all figures.
//
// # What to send
//
// Prompts come from JSON lines ([ReadPrompts], [ReadConversations]), are made up
// ([Synthetic]) or recorded ([ReadTrace]); [API] says which interface is asked.
// [HTTP] and [ReadTargets], which reads vegeta's formats, send any requests.
// Other workloads may be written: see [Workload].
//
// Keys go into [Plan].APIKey or Header. No [Result], report or error text shows
// them, even when a server repeats them.
//
// # What to do with it
//
// A [Report] is text, JSON that is read back, an HdrHistogram log, or a page
// without scripts. [Writer] streams results to files that vegeta reads,
// [ReadResults] and [Summarise] read them back, and [VegetaReport] makes vegeta's
// own reports of them. Memory is bounded however long a run is: results are let
// go of, and distributions beyond 4,096 values are HdrHistograms with three
// digits, which merge without loss ([Report.Merge]).
//
// [Plan].Thresholds judge a run, and end it early if they shall; [Gate] makes a
// check of one that a rollout can name. [Compare] sends the same load to two
// targets and judges the second, and [CompareFiles] does so with two recorded
// runs. [FindCapacity] looks for the highest rate at which an [SLO] holds, with
// confidence bounds; [Sweep] draws throughput against latency with the knee
// marked. [Recorder] writes down live traffic for replay.
//
// OnResult and OnInterval of a plan tell of a run as it goes on. Package loadprom
// makes metrics of that for Prometheus, package loadotel for OpenTelemetry, and
// package cluster spreads a run over several machines.
//
// # Numbers of other tools
//
// Requests are sent by the vegeta library, which stays behind this package's own
// types. A [Result] file has vegeta's members under vegeta's names, and more
// besides; their latency is that to the end of the response, uncorrected.
//
// # What belongs here
//
// Load that this process generates, and what it measured. Analysis of live traffic
// belongs to checks/analysis, and reading an answer to checks/analysis/answer. No
// package here imports rollout.
package loadtest
