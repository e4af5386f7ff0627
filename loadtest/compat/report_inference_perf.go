package compat

import (
	"bytes"
	"encoding/json"
	"fmt"
	"strings"
)

// members is a JSON object whose members keep their order.
type members []member

type member struct {
	name  string
	value any
}

// MarshalJSON implements [json.Marshaler].
func (m members) MarshalJSON() ([]byte, error) {
	var b bytes.Buffer
	for i, each := range m {
		value, err := json.Marshal(each.value)
		if err != nil {
			return nil, err
		}
		fmt.Fprintf(&b, "%c%q:%s", "{,"[min(i, 1)], each.name, value)
	}
	if len(m) == 0 {
		b.WriteByte('{')
	}
	b.WriteByte('}')
	return b.Bytes(), nil
}

// inferencePerf returns the JSON of summary_lifecycle_metrics.json, in seconds, without
// the members for images, audio and video.
func (r *Report) inferencePerf() (string, error) {
	rate := func(n int) float64 { return per(n, r.firstSent, r.lastEnd) }
	latency := members{
		{"request_latency", r.summary(&r.e2e)}, {"normalized_time_per_output_token", r.summary(&r.ntpot)}, {"time_per_output_token", r.summary(&r.tpot)},
		{"time_to_first_token", r.summary(&r.ttft)}, {"inter_token_latency", r.summary(&r.itl)},
	}
	throughput := members{
		{"input_tokens_per_sec", rate(r.input)}, {"output_tokens_per_sec", rate(r.output)}, {"total_tokens_per_sec", rate(r.input + r.output)}, {"requests_per_sec", rate(r.done)},
	}
	successes := members{{"count", r.done}, {"latency", latency}, {"throughput", throughput}, {"prompt_len", r.summary(&r.in)}, {"output_len", r.summary(&r.out)}}
	if r.limited() {
		successes = append(successes, member{"goodput_metrics", members{
			{"goodput_percentage", 100 * float64(r.good) / float64(max(1, r.done))}, {"request_goodput", rate(r.good)}, {"good_requests", r.good}, {"total_requests", r.done},
		}})
	}
	data, err := json.MarshalIndent(members{
		{"benchmark_time_seconds", r.lastEnd.Sub(r.firstSent).Seconds()},
		{"load_summary", members{{"count", r.done + r.failed}, {"schedule_delay", r.summary(&r.lag)}}},
		{"successes", successes},
		{"failures", members{{"count", r.failed}, {"request_latency", r.summary(&r.failedE2E)}, {"prompt_len", r.summary(&r.failedIn)}}},
	}, "", "  ")
	return string(data) + "\n", err
}

// summary returns the statistics of v, or nil if there are no values.
func (r *Report) summary(v *values) any {
	if v.n == 0 {
		return nil
	}
	all := members{{"mean", v.mean}, {"min", v.least}, {"max", v.most}}
	for _, p := range []float64{0.1, 1, 5, 10, 25, 50, 75, 90, 95, 99, 99.9} {
		name := strings.Replace(fmt.Sprintf("p%g", p), "p50", "median", 1)
		all = append(all, member{name, v.quantile(InferencePerf, p/100)})
	}
	return all
}
