package peerbench

import (
	"bytes"
	"fmt"
	"math"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"
	"unicode/utf8"

	dto "github.com/prometheus/client_model/go"
	"github.com/prometheus/common/expfmt"
	"github.com/prometheus/common/model"

	"github.com/serin-go/serin/internal/exposition"
)

const (
	textType        = "text/plain; version=0.0.4"
	openMetricsType = "application/openmetrics-text; version=1.0.0"
)

// vllmPage returns a page of a vLLM server with a number of engines, with the names and the
// bounds of its source (vllm/v1/metrics/loggers.py), as the Python client writes it.
func vllmPage(engines int) []byte {
	rng := rand.New(rand.NewPCG(1, 2))
	var b bytes.Buffer
	labels := func(engine int, more string) string {
		return fmt.Sprintf(`{engine="%d",%smodel_name="meta-llama/Llama-3.1-70B-Instruct"}`, engine, more)
	}
	head := func(name, typ, help string) {
		fmt.Fprintf(&b, "# HELP vllm:%s %s\n# TYPE vllm:%s %s\n", name, help, name, typ)
	}
	for _, name := range []string{"num_requests_running", "num_requests_waiting", "gpu_cache_usage_perc", "kv_cache_usage_perc"} {
		head(name, "gauge", "Number of requests, or use of the KV cache.")
		for e := range engines {
			fmt.Fprintf(&b, "vllm:%s%s %v\n", name, labels(e, ""), rng.Float64())
		}
	}
	for _, name := range []string{"num_preemptions", "prompt_tokens", "generation_tokens", "prefix_cache_queries", "prefix_cache_hits"} {
		for _, typ := range []string{"total", "created"} {
			head(name+"_"+typ, map[string]string{"total": "counter", "created": "gauge"}[typ], "Cumulative number.")
			for e := range engines {
				fmt.Fprintf(&b, "vllm:%s_%s%s %v\n", name, typ, labels(e, ""), 1e9*rng.Float64())
			}
		}
	}
	head("request_success_total", "counter", "Count of successfully processed requests.")
	for e := range engines {
		for _, reason := range []string{"stop", "length", "abort"} {
			fmt.Fprintf(&b, "vllm:request_success_total%s %d.0\n", labels(e, `finished_reason="`+reason+`",`), rng.IntN(1e6))
		}
	}
	latencies := []float64{0.3, 0.5, 0.8, 1, 1.5, 2, 2.5, 5, 10, 15, 20, 30, 40, 50, 60, 120, 240, 480, 960, 1920, 7680}
	counts := []float64{1, 2, 5, 10, 20, 50, 100, 200, 500, 1000, 2000, 5000, 10000, 20000, 50000, 100000}
	for _, h := range []struct {
		name   string
		bounds []float64
	}{
		{"time_to_first_token_seconds", []float64{0.001, 0.005, 0.01, 0.02, 0.04, 0.06, 0.08, 0.1, 0.25, 0.5, 0.75, 1, 2.5, 5, 7.5, 10, 20, 40, 80, 160, 640, 2560}},
		{"time_per_output_token_seconds", []float64{0.01, 0.025, 0.05, 0.075, 0.1, 0.15, 0.2, 0.3, 0.4, 0.5, 0.75, 1, 2.5, 5, 7.5, 10, 20, 40, 80}},
		{"iteration_tokens_total", []float64{1, 8, 16, 32, 64, 128, 256, 512, 1024, 2048, 4096, 8192, 16384}},
		{"request_params_n", []float64{1, 2, 5, 10, 20}},
		{"e2e_request_latency_seconds", latencies}, {"request_queue_time_seconds", latencies}, {"request_inference_time_seconds", latencies},
		{"request_prefill_time_seconds", latencies}, {"request_decode_time_seconds", latencies},
		{"request_prompt_tokens", counts}, {"request_generation_tokens", counts}, {"request_params_max_tokens", counts},
	} {
		head(h.name, "histogram", "Histogram of "+h.name+".")
		for e := range engines {
			n := 0
			for _, bound := range append(slices.Clone(h.bounds), math.Inf(1)) {
				n += rng.IntN(1000)
				fmt.Fprintf(&b, "vllm:%s_bucket%s %d.0\n", h.name, labels(e, fmt.Sprintf(`le="%v",`, bound)), n)
			}
			fmt.Fprintf(&b, "vllm:%s_count%s %d.0\nvllm:%s_sum%s %v\n", h.name, labels(e, ""), n, h.name, labels(e, ""), float64(n)*rng.Float64())
		}
	}
	return b.Bytes()
}

// peerSamples returns the samples that expfmt reads, as sorted texts.
func peerSamples(page []byte) ([]string, map[string]*dto.MetricFamily, error) {
	parser := expfmt.NewTextParser(model.UTF8Validation)
	families, err := parser.TextToMetricFamilies(bytes.NewReader(page))
	if err != nil {
		return nil, nil, err
	}
	var all []string
	for name, f := range families {
		for _, m := range f.Metric {
			add := func(suffix, label string, bound, v float64) {
				var labels []string
				for _, l := range m.Label {
					labels = append(labels, fmt.Sprintf("%q=%q", l.GetName(), l.GetValue()))
				}
				if label != "" {
					labels = append(labels, fmt.Sprintf("%q=%v", label, bound))
				}
				slices.Sort(labels)
				all = append(all, fmt.Sprintf("%q %v %v %v", name+suffix, labels, v, m.GetTimestampMs()))
			}
			switch f.GetType() {
			case dto.MetricType_COUNTER:
				add("", "", 0, m.GetCounter().GetValue())
			case dto.MetricType_GAUGE:
				add("", "", 0, m.GetGauge().GetValue())
			case dto.MetricType_UNTYPED:
				add("", "", 0, m.GetUntyped().GetValue())
			case dto.MetricType_HISTOGRAM:
				for _, k := range m.GetHistogram().Bucket {
					add("_bucket", "le", k.GetUpperBound(), float64(k.GetCumulativeCount()))
				}
				add("_count", "", 0, float64(m.GetHistogram().GetSampleCount()))
				add("_sum", "", 0, m.GetHistogram().GetSampleSum())
			case dto.MetricType_SUMMARY:
				for _, q := range m.GetSummary().Quantile {
					add("", "quantile", q.GetQuantile(), q.GetValue())
				}
				add("_count", "", 0, float64(m.GetSummary().GetSampleCount()))
				add("_sum", "", 0, m.GetSummary().GetSampleSum())
			}
		}
	}
	slices.Sort(all)
	return all, families, nil
}

// ourSamples returns the samples that package exposition reads, as sorted texts.
func ourSamples(page []byte, contentType string) ([]string, error) {
	var all []string
	for s, err := range exposition.Parse(page, contentType) {
		if err != nil {
			return nil, err
		}
		var labels []string
		for name, value := range s.Labels() {
			text := fmt.Sprintf("%q=%q", name, value)
			if name == "le" && s.Type == exposition.Histogram || name == "quantile" && s.Type == exposition.Summary {
				var bound float64
				if _, err := fmt.Sscan(value, &bound); err != nil {
					return nil, err
				}
				text = fmt.Sprintf("%q=%v", name, bound)
			}
			labels = append(labels, text)
		}
		slices.Sort(labels)
		ms := int64(0)
		if !s.Time.IsZero() {
			ms = s.Time.UnixMilli()
		}
		all = append(all, fmt.Sprintf("%q %v %v %v", s.Name, labels, s.Value, ms))
	}
	slices.Sort(all)
	return all, nil
}

// What we read of a page of vLLM is what expfmt reads, in both formats.
func TestExposition(t *testing.T) {
	page := vllmPage(2)
	want, families, err := peerSamples(page)
	if err != nil {
		t.Fatal(err)
	}
	compare := func(contentType string, page []byte, want []string) {
		t.Helper()
		got, err := ourSamples(page, contentType)
		if err != nil {
			t.Fatal(err)
		}
		if !slices.Equal(got, want) {
			t.Errorf("%s: %d samples, expfmt has %d others", contentType, len(got), len(want))
		}
	}
	compare(textType, page, want)

	var text, openMetrics bytes.Buffer
	for _, name := range slices.Sorted(func(yield func(string) bool) {
		for name := range families {
			if !yield(name) {
				return
			}
		}
	}) {
		if _, err := expfmt.MetricFamilyToText(&text, families[name]); err != nil {
			t.Fatal(err)
		}
		if _, err := expfmt.MetricFamilyToOpenMetrics(&openMetrics, families[name]); err != nil {
			t.Fatal(err)
		}
	}
	if _, err := expfmt.FinalizeOpenMetrics(&openMetrics); err != nil {
		t.Fatal(err)
	}
	compare(textType, text.Bytes(), want)
	compare(openMetricsType, openMetrics.Bytes(), want)
}

// FuzzExposition holds the parser against expfmt on pages without histograms and summaries,
// which expfmt groups. Everything that we accept expfmt accepts, with the same samples. What
// we refuse and expfmt accepts is listed in stricter.
func FuzzExposition(f *testing.F) {
	for _, page := range []string{
		"# HELP a Text \\\\.\n# TYPE a counter\na{b=\"c\\n\"} 1 2\n", "{\"a.b\",c=\"d\"} NaN\n", "a{b=\"c\",} +Inf\n\n# x\n a 1\n",
		"# TYPE a gauge\na 1e3\na{} 2\n", "a 1\n# HELP a b\n", "# TYPE a untyped\na{\"b c\"=\"d\"} .5 -7\n", "a{a=\"\",b=\"\"}0\n",
	} {
		f.Add([]byte(page))
	}
	f.Fuzz(func(t *testing.T, page []byte) {
		if bytes.Contains(page, []byte("histogram")) || bytes.Contains(page, []byte("summary")) || !utf8.Valid(page) {
			return
		}
		got, err := ourSamples(page, textType)
		want, _, peer := peerSamples(page)
		switch {
		case err == nil && peer != nil && strings.Contains(peer.Error(), `expected integer as timestamp, got ""`):
			// Blanks behind a value, which Prometheus accepts, and we do.
		case err == nil && peer != nil:
			t.Fatalf("we read %q, expfmt says %v", got, peer)
		case err == nil && !slices.Equal(got, want):
			t.Fatalf("we read %q, expfmt %q", got, want)
		case err != nil && peer == nil && !stricter(string(page), err.Error()):
			t.Fatalf("expfmt reads %q, we say %v", want, err)
		}
	})
}

// stricter reports whether we refuse a page for a reason that expfmt does not have: lines
// HELP and TYPE that are incomplete, types in capitals or of OpenMetrics, a value right
// behind a name without labels, names in odd places, blanks without a line feed at the end.
func stricter(page, reason string) bool {
	if last := page[strings.LastIndexByte(page, '\n')+1:]; strings.Contains(reason, "a line feed") {
		return strings.Trim(last, " \t") == ""
	}
	for _, known := range []string{"want a space", "want counter, gauge", "the name of a metric", "one TYPE line", "one HELP line", "one name of the metric",
		"= after the name", "the name of a label", "not empty"} {
		if strings.Contains(reason, known) {
			return true
		}
	}
	return false
}

// BenchmarkExposition reads a page of 200 kB, as an autoscaler does: it adds up the
// waiting requests, and reads the histogram of the time to first token.
func BenchmarkExposition(b *testing.B) {
	page := vllmPage(7)
	const waiting, ttft = "vllm:num_requests_waiting", "vllm:time_to_first_token_seconds"
	b.Run("serin", func(b *testing.B) {
		b.SetBytes(int64(len(page)))
		b.ReportAllocs()
		for b.Loop() {
			var sum float64
			var buckets exposition.Buckets
			for s, err := range exposition.Parse(page, textType) {
				if err != nil {
					b.Fatal(err)
				}
				switch s.Name {
				case waiting:
					sum += s.Value
				case ttft + "_bucket":
					buckets.Add(s)
				}
			}
			if _, ok := buckets.Quantile(0.95); !ok || sum <= 0 {
				b.Fatal("nothing was read")
			}
		}
	})
	b.Run("expfmt", func(b *testing.B) {
		b.SetBytes(int64(len(page)))
		b.ReportAllocs()
		for b.Loop() {
			parser := expfmt.NewTextParser(model.UTF8Validation)
			families, err := parser.TextToMetricFamilies(bytes.NewReader(page))
			if err != nil {
				b.Fatal(err)
			}
			var sum float64
			for _, m := range families[waiting].Metric {
				sum += m.GetGauge().GetValue()
			}
			counts := make(map[float64]uint64)
			for _, m := range families[ttft].Metric {
				for _, k := range m.GetHistogram().Bucket {
					counts[k.GetUpperBound()] += k.GetCumulativeCount()
				}
			}
			if sum <= 0 || len(counts) != 23 {
				b.Fatal("nothing was read")
			}
		}
	})
}
