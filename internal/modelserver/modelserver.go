// Package modelserver knows the metrics of LLM servers: vLLM, SGLang, TGI, llama.cpp and
// Triton. [Read] reads the load of a server from its metrics page, whatever its version
// calls the metrics.
//
// Sources of the names: vllm/v1/metrics/loggers.py of vLLM (gpu_cache_usage_perc became
// kv_cache_usage_perc in 0.9), srt/observability/metrics_collector.py of SGLang, "Metrics" in
// the reference of text-generation-inference, tools/server/README.md of llama.cpp (builds
// since 2025 have no metrics of the KV cache), the documentation of Triton and of its
// TensorRT-LLM backend. Ollama has no metrics page.
package modelserver

import (
	"math"
	"slices"
	"strings"

	"github.com/serin-go/serin/internal/exposition"
)

// Kind is a kind of server. The zero value is not one.
type Kind string

const (
	VLLM     Kind = "vllm"
	SGLang   Kind = "sglang"
	TGI      Kind = "tgi"
	LlamaCPP Kind = "llama.cpp"
	Triton   Kind = "triton"
	Ollama   Kind = "ollama"
)

// Valid reports whether k is a kind.
func (k Kind) Valid() bool { return k == Ollama || servers[k] != nil }

// Signal is one measurement of a server.
type Signal int

const (
	Running      Signal = iota // requests that are processed
	Waiting                    // requests in the queue
	KVUse                      // share of the KV cache in use, 0 to 1
	Tokens                     // tokens in the KV cache
	Preemptions                // preempted requests since the start
	Generated                  // output tokens since the start
	CacheQueries               // tokens looked up in the prefix cache since the start
	CacheHits                  // tokens of them that were found
	TTFT                       // time to first token
	signals                    // their number
)

// Has reports whether servers of a kind have a metric for a signal.
func (k Kind) Has(s Signal) bool { return len(k.Names(s)) > 0 }

// Always reports whether every version of the servers of a kind has a metric for a signal,
// from its start on.
func (k Kind) Always(s Signal) bool {
	return (k == VLLM || k == SGLang) && (s == Running || s == Waiting || s == KVUse)
}

// Names returns the names of the metrics for a signal, the newest first.
func (k Kind) Names(s Signal) []string {
	var names []string
	if srv := servers[k]; srv != nil {
		for _, m := range srv.metrics[s] {
			names = append(names, m.name)
		}
	}
	return names
}

// metric is a sample name, with a label that the sample must have.
type metric struct{ name, label, value string }

// server is what is known about a kind.
type server struct {
	// metrics are the names by signal. The first that is on a page counts.
	metrics [signals][]metric
	// copies are labels by which series are repeated: each of them has the whole number.
	copies []string
	// parts is a label of series that are parts of another series, in which it is empty.
	parts string
	// model is the label that has the name of the model.
	model string
}

var servers = map[Kind]*server{
	VLLM: {model: "model_name", metrics: [signals][]metric{
		Running:      {{name: "vllm:num_requests_running"}},
		Waiting:      {{name: "vllm:num_requests_waiting"}},
		KVUse:        {{name: "vllm:kv_cache_usage_perc"}, {name: "vllm:gpu_cache_usage_perc"}},
		Preemptions:  {{name: "vllm:num_preemptions_total"}},
		Generated:    {{name: "vllm:generation_tokens_total"}},
		CacheQueries: {{name: "vllm:prefix_cache_queries_total"}, {name: "vllm:gpu_prefix_cache_queries_total"}},
		CacheHits:    {{name: "vllm:prefix_cache_hits_total"}, {name: "vllm:gpu_prefix_cache_hits_total"}},
		TTFT:         {{name: "vllm:time_to_first_token_seconds_bucket"}},
	}},
	SGLang: {model: "model_name", parts: "priority", copies: []string{"tp_rank", "pp_rank", "moe_ep_rank", "engine_type", "pid"}, metrics: [signals][]metric{
		Running:      {{name: "sglang:num_running_reqs"}},
		Waiting:      {{name: "sglang:num_queue_reqs"}},
		KVUse:        {{name: "sglang:token_usage"}},
		Tokens:       {{name: "sglang:num_used_tokens"}},
		Preemptions:  {{name: "sglang:num_retracted_requests_total"}},
		Generated:    {{name: "sglang:generation_tokens_total"}},
		CacheQueries: {{name: "sglang:prompt_tokens_total"}},
		CacheHits:    {{name: "sglang:cached_tokens_total"}},
		TTFT:         {{name: "sglang:time_to_first_token_seconds_bucket"}},
	}},
	TGI: {metrics: [signals][]metric{
		Running:   {{name: "tgi_batch_current_size"}},
		Waiting:   {{name: "tgi_queue_size"}},
		Generated: {{name: "tgi_request_generated_tokens_sum"}},
	}},
	LlamaCPP: {metrics: [signals][]metric{
		Running:   {{name: "llamacpp:requests_processing"}},
		Waiting:   {{name: "llamacpp:requests_deferred"}},
		KVUse:     {{name: "llamacpp:kv_cache_usage_ratio"}},
		Tokens:    {{name: "llamacpp:kv_cache_tokens"}},
		Generated: {{name: "llamacpp:tokens_predicted_total"}},
	}},
	Triton: {model: "model", metrics: [signals][]metric{
		Running: {{"nv_trt_llm_request_metrics", "request_type", "scheduled"}},
		Waiting: {{"nv_trt_llm_request_metrics", "request_type", "waiting"}, {name: "nv_inference_pending_request_count"}},
		KVUse:   {{"nv_trt_llm_kv_cache_block_metrics", "kv_cache_block_type", "fraction"}},
	}},
}

// Value is a measurement, if it is known.
type Value struct {
	Value float64
	Known bool
	// Invalid means that it is not known since the page has a value that is negative or
	// not finite.
	Invalid bool
	Name    string // of the metric it was read from
}

// Load is the load of a server. What is not on its page is not known.
type Load struct {
	// Values are by signal, from Running to CacheHits. Counts are summed up over the
	// engines of the server; of KVUse it is the largest.
	Values [TTFT]Value
	// TTFT is the histogram of the time to first token in seconds, since the start of the
	// server. It is empty if the page has none.
	TTFT exposition.Buckets
}

// Read reads the load of a server from its page. If model is not empty, only series of this
// model count, as far as the series name one. A value that is negative or not finite makes
// its signal unknown. Read returns the errors of [exposition.Parse].
func Read(page []byte, contentType string, kind Kind, model string) (Load, error) {
	var load Load
	srv := servers[kind]
	if srv == nil {
		srv = new(server)
	}
	found := make(map[metric]*gauge)
	for s, err := range exposition.Parse(page, contentType) {
		if err != nil {
			return Load{}, err
		}
		for signal := range srv.metrics {
			for _, m := range srv.metrics[signal] {
				if s.Name != m.name || !srv.counts(s, m, model) {
					continue
				}
				if Signal(signal) == TTFT {
					load.TTFT.Add(s)
					continue
				}
				g := found[m]
				if g == nil {
					g = &gauge{series: make(map[string]float64)}
					found[m] = g
				}
				g.add(srv.key(s), s.Value)
			}
		}
	}
	for signal := range load.Values {
		for _, m := range srv.metrics[signal] {
			if g := found[m]; g != nil {
				load.Values[signal] = g.value(Signal(signal) == KVUse)
				load.Values[signal].Name = m.name
				break
			}
		}
	}
	return load, nil
}

// counts reports whether a sample is one of a metric and of a model.
func (srv *server) counts(s exposition.Sample, m metric, model string) bool {
	if m.label != "" {
		if v, _ := s.Label(m.label); v != m.value {
			return false
		}
	}
	if srv.parts != "" && s.Type != exposition.Histogram {
		if v, _ := s.Label(srv.parts); v != "" {
			return false
		}
	}
	if model != "" && srv.model != "" {
		if v, ok := s.Label(srv.model); ok && v != model {
			return false
		}
	}
	return true
}

// key identifies what a series is a copy of.
func (srv *server) key(s exposition.Sample) string {
	var labels []string
	for name, value := range s.Labels() {
		if !slices.Contains(srv.copies, name) {
			labels = append(labels, name+"\x00"+value+"\x00")
		}
	}
	slices.Sort(labels)
	return strings.Join(labels, "")
}

// gauge adds up the series of a metric.
type gauge struct {
	series  map[string]float64 // the largest of the copies
	invalid bool
}

func (g *gauge) add(key string, v float64) {
	if !(v >= 0) || math.IsInf(v, 1) {
		g.invalid = true
		return
	}
	g.series[key] = max(g.series[key], v)
}

// value returns the largest of the series, or their sum.
func (g *gauge) value(largest bool) Value {
	total := 0.0
	for _, v := range g.series {
		if largest {
			total = max(total, v)
		} else {
			total += v
		}
	}
	invalid := g.invalid || math.IsInf(total, 1)
	return Value{Value: total, Known: !invalid, Invalid: invalid}
}

var signalNames = [signals]string{"running", "waiting", "KV use", "tokens", "preemptions", "tokens generated", "cache queries", "cache hits", "TTFT"}

// String returns the name of s for people.
func (s Signal) String() string {
	if s < 0 || s >= signals {
		return "unknown"
	}
	return signalNames[s]
}
