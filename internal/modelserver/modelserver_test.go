package modelserver_test

import (
	"errors"
	"math"
	"testing"

	"github.com/serin-go/serin/internal/exposition"
	"github.com/serin-go/serin/internal/modelserver"
)

const text = "text/plain; version=0.0.4"

func TestRead(t *testing.T) {
	const unknown = -1
	for _, test := range []struct {
		name  string
		kind  modelserver.Kind
		model string
		page  string
		want  [5]float64 // running, waiting, KV use, tokens, preemptions
		ttft  float64    // number of observations
	}{
		{"vLLM with the old name", modelserver.VLLM, "", `vllm:num_requests_running{engine="0",model_name="m"} 2.0
vllm:num_requests_waiting{engine="0",model_name="m"} 3.0
vllm:gpu_cache_usage_perc{engine="0",model_name="m"} 0.4
vllm:num_preemptions_total{engine="0",model_name="m"} 5.0
`, [5]float64{2, 3, 0.4, unknown, 5}, 0},
		{"vLLM with the new name", modelserver.VLLM, "", "vllm:kv_cache_usage_perc 0.5\n", [5]float64{unknown, unknown, 0.5, unknown, unknown}, 0},
		{"vLLM with both names", modelserver.VLLM, "", "vllm:gpu_cache_usage_perc 0.4\nvllm:kv_cache_usage_perc 0\n", [5]float64{unknown, unknown, 0, unknown, unknown}, 0},
		{"vLLM with neither", modelserver.VLLM, "", "vllm:num_requests_waiting 1\nvllm:num_requests_waiting_by_reason 1\n", [5]float64{unknown, 1, unknown, unknown, unknown}, 0},
		{"vLLM with two engines", modelserver.VLLM, "", `vllm:num_requests_waiting{engine="0"} 3
vllm:num_requests_waiting{engine="1"} 3
vllm:kv_cache_usage_perc{engine="0"} 0.9
vllm:kv_cache_usage_perc{engine="1"} 0.1
# TYPE vllm:time_to_first_token_seconds histogram
vllm:time_to_first_token_seconds_bucket{engine="0",le="+Inf"} 4
vllm:time_to_first_token_seconds_bucket{engine="1",le="+Inf"} 6
`, [5]float64{unknown, 6, 0.9, unknown, unknown}, 10},
		{"negative and infinite numbers", modelserver.VLLM, "", "vllm:kv_cache_usage_perc NaN\nvllm:gpu_cache_usage_perc 0.3\nvllm:num_requests_waiting -1\nvllm:num_requests_running +Inf\n",
			[5]float64{unknown, unknown, unknown, unknown, unknown}, 0},
		{"one of two models", modelserver.VLLM, "m", `vllm:num_requests_waiting{model_name="m"} 3
vllm:num_requests_waiting{model_name="n"} 4
vllm:num_requests_running 5
`, [5]float64{5, 3, unknown, unknown, unknown}, 0},
		{"SGLang, each rank with the whole number", modelserver.SGLang, "", `sglang:num_queue_reqs{dp_rank="0",tp_rank="0",priority=""} 3
sglang:num_queue_reqs{dp_rank="0",tp_rank="1",priority=""} 3
sglang:num_queue_reqs{dp_rank="1",tp_rank="2",priority=""} 4
sglang:num_queue_reqs{dp_rank="1",tp_rank="2",priority="5"} 4
sglang:num_running_reqs 1
sglang:token_usage{tp_rank="0"} 0.7
sglang:token_usage{tp_rank="1"} 0.7
sglang:num_used_tokens{tp_rank="0"} 1000
sglang:num_retracted_requests_total 2
sglang:num_retracted_reqs 9
# TYPE sglang:time_to_first_token_seconds histogram
sglang:time_to_first_token_seconds_bucket{le="+Inf",priority="5"} 4
`, [5]float64{1, 7, 0.7, 1000, 2}, 4},
		{"TGI", modelserver.TGI, "", "tgi_batch_current_size 4\ntgi_queue_size 7\n", [5]float64{4, 7, unknown, unknown, unknown}, 0},
		{"llama.cpp, older", modelserver.LlamaCPP, "", "llamacpp:requests_processing 1\nllamacpp:requests_deferred 2\nllamacpp:kv_cache_usage_ratio 0.5\nllamacpp:kv_cache_tokens 100\n",
			[5]float64{1, 2, 0.5, 100, unknown}, 0},
		{"llama.cpp", modelserver.LlamaCPP, "", "llamacpp:requests_processing 1\nllamacpp:requests_deferred 2\n", [5]float64{1, 2, unknown, unknown, unknown}, 0},
		{"Triton with TensorRT-LLM", modelserver.Triton, "a", `nv_trt_llm_request_metrics{model="a",request_type="waiting",version="1"} 1
nv_trt_llm_request_metrics{model="a",request_type="scheduled",version="1"} 2
nv_trt_llm_request_metrics{model="a",request_type="max",version="1"} 512
nv_trt_llm_request_metrics{model="b",request_type="waiting",version="1"} 8
nv_trt_llm_kv_cache_block_metrics{kv_cache_block_type="fraction",model="a",version="1"} 0.25
nv_trt_llm_kv_cache_block_metrics{kv_cache_block_type="max",model="a",version="1"} 6239
nv_inference_pending_request_count{model="a",version="1"} 9
`, [5]float64{2, 1, 0.25, unknown, unknown}, 0},
		{"Triton", modelserver.Triton, "", "nv_inference_pending_request_count{model=\"a\"} 9\nnv_inference_pending_request_count{model=\"b\"} 1\n", [5]float64{unknown, 10, unknown, unknown, unknown}, 0},
		{"another server", modelserver.TGI, "", "vllm:num_requests_waiting 1\n", [5]float64{unknown, unknown, unknown, unknown, unknown}, 0},
		{"no kind", "", "", "vllm:num_requests_waiting 1\n", [5]float64{unknown, unknown, unknown, unknown, unknown}, 0},
	} {
		load, err := modelserver.Read([]byte(test.page), text, test.kind, test.model)
		if err != nil {
			t.Errorf("%s: %v", test.name, err)
		}
		for i, v := range load.Values[:modelserver.Generated] {
			if !v.Known {
				v.Value = unknown
			}
			if v.Value != test.want[i] {
				t.Errorf("%s: %v is %v, want %v", test.name, modelserver.Signal(i), v.Value, test.want[i])
			}
		}
		if load.TTFT.Count() != test.ttft {
			t.Errorf("%s: %v observations, want %v", test.name, load.TTFT.Count(), test.ttft)
		}
	}
}

func TestReadMalformed(t *testing.T) {
	var syntax *exposition.SyntaxError
	if _, err := modelserver.Read([]byte("vllm:num_requests_waiting 1\nvllm:kv_cache_us"), text, modelserver.VLLM, ""); !errors.As(err, &syntax) || syntax.Line != 2 {
		t.Errorf("%v, want a syntax error in line 2", err)
	}
	var other *exposition.ContentTypeError
	if _, err := modelserver.Read([]byte("<html>"), "text/html", modelserver.VLLM, ""); !errors.As(err, &other) {
		t.Errorf("%v, want another content type", err)
	}
}

func TestKind(t *testing.T) {
	for _, kind := range []modelserver.Kind{modelserver.VLLM, modelserver.SGLang, modelserver.TGI, modelserver.LlamaCPP, modelserver.Triton} {
		if !kind.Valid() || !kind.Has(modelserver.Waiting) || !kind.Has(modelserver.Running) {
			t.Errorf("%s has no queue", kind)
		}
	}
	if !modelserver.Ollama.Valid() || modelserver.Ollama.Has(modelserver.Waiting) {
		t.Error("Ollama has a metrics page")
	}
	if modelserver.Kind("").Valid() || modelserver.Kind("VLLM").Valid() {
		t.Error("kinds that do not exist are valid")
	}
	if names := modelserver.VLLM.Names(modelserver.KVUse); len(names) != 2 || names[0] != "vllm:kv_cache_usage_perc" {
		t.Errorf("names of the KV use: %q, want the newer first", names)
	}
}

// TestCounters has counters of tokens and of the prefix cache.
func TestCounters(t *testing.T) {
	const unknown = -1
	for _, test := range []struct {
		kind modelserver.Kind
		page string
		want [3]float64 // generated, cache queries, cache hits
	}{
		{modelserver.VLLM, `vllm:generation_tokens_total{engine="0",model_name="m"} 700
vllm:generation_tokens_total{engine="1",model_name="m"} 300
vllm:prefix_cache_queries_total{engine="0"} 500
vllm:prefix_cache_hits_total{engine="0"} 400
vllm:gpu_prefix_cache_queries_total{engine="0"} 9
`, [3]float64{1000, 500, 400}},
		{modelserver.SGLang, "sglang:prompt_tokens_total{tp_rank=\"0\"} 8\nsglang:prompt_tokens_total{tp_rank=\"1\"} 8\nsglang:cached_tokens_total{cache_source=\"device\"} 2\nsglang:cached_tokens_total{cache_source=\"host\"} 1\nsglang:generation_tokens_total 5\n",
			[3]float64{5, 8, 3}},
		{modelserver.TGI, "# TYPE tgi_request_generated_tokens histogram\ntgi_request_generated_tokens_bucket{le=\"+Inf\"} 2\ntgi_request_generated_tokens_sum 64\ntgi_request_generated_tokens_count 2\n", [3]float64{64, unknown, unknown}},
		{modelserver.LlamaCPP, "llamacpp:tokens_predicted_total 12\n", [3]float64{12, unknown, unknown}},
		{modelserver.Triton, "nv_inference_pending_request_count 1\n", [3]float64{unknown, unknown, unknown}},
	} {
		load, err := modelserver.Read([]byte(test.page), text, test.kind, "")
		if err != nil {
			t.Fatal(err)
		}
		for i, want := range test.want {
			v := load.Values[int(modelserver.Generated)+i]
			if v.Known != (want != unknown) || v.Known && v.Value != want {
				t.Errorf("%s: %v is %+v, want %v", test.kind, modelserver.Generated+modelserver.Signal(i), v, want)
			}
		}
	}
}

// TestReadGPUs has GPUs that are shared, parts of a GPU, and values that are not known.
func TestReadGPUs(t *testing.T) {
	const page = `# TYPE DCGM_FI_DEV_GPU_UTIL gauge
DCGM_FI_DEV_GPU_UTIL{gpu="0",UUID="a",Hostname="h",pod="x"} 80
DCGM_FI_DEV_GPU_UTIL{gpu="0",UUID="a",Hostname="h",pod="y"} 80
DCGM_FI_DEV_GPU_UTIL{gpu="1",UUID="b",Hostname="h"} 40
DCGM_FI_DEV_GPU_UTIL{gpu="1",UUID="b",GPU_I_ID="3",Hostname="h"} 99
DCGM_FI_DEV_POWER_USAGE{gpu="0",UUID="a",Hostname="h"} 301.5
DCGM_FI_DEV_POWER_USAGE{gpu="1",UUID="b",Hostname="h"} 2147483632
DCGM_FI_DEV_TOTAL_ENERGY_CONSUMPTION{gpu="0",UUID="a",Hostname="h"} 5000000000
DCGM_FI_DEV_TOTAL_ENERGY_CONSUMPTION{gpu="1",UUID="b",Hostname="h"} 1000000
`
	got, err := modelserver.ReadGPUs([]byte(page), text)
	if err != nil || !got.Use.Known || math.Abs(got.Use.Value-0.6) > 1e-9 || got.Power.Known || !got.Energy.Known || math.Abs(got.Energy.Value-5_001_000) > 1e-3 {
		t.Errorf("%+v, %v", got, err)
	}
	if got, err = modelserver.ReadGPUs([]byte("up 1\n"), text); err != nil || got.Use.Known || got.Power.Known || got.Energy.Known {
		t.Errorf("an empty page: %+v, %v", got, err)
	}
	if _, err = modelserver.ReadGPUs([]byte("DCGM_FI"), text); err == nil {
		t.Error("a page that is cut is accepted")
	}
}
