// Package compat reproduces the metrics and reports of other load testing tools,
// so that results of loadtest can be compared with theirs: TTFT, ITL, TPOT, E2E,
// throughput and goodput as vLLM's benchmark_serving, GuideLLM, AIPerf and
// inference-perf define them, and the reports of vegeta.
//
// The tools use equal names for different metrics. For example, the first token
// is the role chunk for vLLM, and the TPOT of GuideLLM includes the time to the
// first token. [Definition.Figures] computes the metrics of each tool from a
// recording of the stream; see [loadtest.Plan].Record. A [Report] prints a whole run
// in the layout of the tool.
package compat
