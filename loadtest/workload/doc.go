// Package workload provides the requests of LLM load tests: prompts and
// multi-turn conversations, synthetic prompts with token lengths from a
// distribution, recorded traces of production traffic, and any HTTP requests.
//
//   - [ReadPrompts] and [ReadConversations] read JSON lines, and [ReadShareGPT] reads
//     conversations in the format of ShareGPT.
//   - [Requests] are requests of your own, and a [Mix] has several workloads by
//     weight, such as the requests for LoRA adapters.
//   - [Synthetic] generates prompts of a given length.
//   - [ReadTrace] reads the published traces of Azure, BurstGPT and Mooncake,
//     and the files of a [Recorder], which records the traffic of a service.
//   - [HTTP] sends one HTTP request again and again. [ReadTargets] reads requests
//     in the formats of vegeta.
package workload
