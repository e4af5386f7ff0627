// Package loadtest answers how much a language model service can take, and how
// its streams feel to users, before users find out.
//
// [Run] sends chat requests to a server that speaks the OpenAI API at the
// instants that a [Pacer] sets, whether or not earlier requests have been
// answered, as independent users would. It reads every stream to its end and
// gives a [Report]. Prompts come from JSON lines; see [ReadPrompts].
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
//   - ITL: the gaps between successive token chunks, all requests' together. A
//     chunk that arrived in one piece with the one before counts as a gap of 0.
//   - TPOT: (last token chunk - first token chunk) / (output tokens - 1), one
//     value for each request. It does not contain the TTFT.
//
// Output tokens are those that the server reports as usage; servers that send
// none have their token chunks counted, and the report says so.
//
// # Coordinated omission
//
// A load generator that falls behind its schedule waits when its users would
// not, and its figures miss the worst of what they would have met. Here each
// request knows when it was due: SchedLag is how much later it was sent, and the
// corrected figures count from the instant at which it was due. Believe those.
// A report whose p99 SchedLag exceeds [Plan.LagBound] is marked as late. SLOs,
// thresholds and comparisons rest on the corrected figures.
//
// # What to do with it
//
// [Gate] makes a check of a run that a rollout can name. [Compare] sends the same
// load to two targets and judges the second, [FindCapacity] looks for the rate
// at which an [SLO] breaks, and [Recorder] writes down live traffic that
// [ReadTrace] gives back for replay. [Writer] streams results to files that
// vegeta reads; a [Report] is text, JSON, an HdrHistogram log or a page.
// A [Recording] of a stream gives the figures of other tools by their own
// [Definition] of them.
//
// Each report begins with the verdict of the [Generator] on itself. Believe no
// figure of a run in which it was the bottleneck.
//
// The requests are sent by the vegeta library, which stays behind this
// package's own types.
package loadtest
