package oteltest

import (
	"bytes"
	"context"
	"flag"
	"fmt"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/common/expfmt"
	exporter "go.opentelemetry.io/otel/exporters/prometheus"
	sdkmetric "go.opentelemetry.io/otel/sdk/metric"

	"github.com/serin-go/serin/checks/analysis"
	"github.com/serin-go/serin/rollout/traffic"
	"github.com/serin-go/serin/rollout/traffic/trafficotel"
	"github.com/serin-go/serin/rollout/traffic/trafficprom"
	"github.com/serin-go/serin/strategies"
)

var update = flag.Bool("update", false, "write the golden files")

// step is a binary fraction of a second, so that sums do not depend on their order.
const step = time.Second / 512

// router returns a router with some of all that it measures, always the same.
func router(t *testing.T) *traffic.Router {
	t.Helper()
	r, err := traffic.New(traffic.Config{
		Arms: map[string]traffic.Backend{
			"1.4.0":        {URL: "https://api.openai.com", Price: traffic.Price{Input: 2_500_000, Output: 10_000_000}},
			"1.5.0 \"b\\c": {URL: "http://10.0.0.1:8000", Provider: "vllm"},
		},
		Split: strategies.Split{Arms: []strategies.Arm{{Name: "1.4.0", Weight: 7500}, {Name: "1.5.0 \"b\\c", Weight: 2500}}},
		Unit:  func(r *http.Request) string { panic("no unit") },
	})
	if err != nil {
		t.Fatal(err)
	}
	for i := range 400 {
		o := analysis.Observation{
			Route: "POST /v1/chat/completions", Model: "small", Class: analysis.OK, Latency: time.Duration(i*i+1) * step, TTFT: time.Duration(i+1) * step, ITL: time.Duration(i+1) * step,
			InputTokens: 1 << (i % 20), OutputTokens: 1 + i%100, CachedTokens: 1 << (i % 20) / 2,
		}
		switch i % 10 {
		case 3:
			o.Class = analysis.Refused
		case 6:
			o.Class = analysis.Truncated
		case 7:
			o = analysis.Observation{Route: "POST /v1/embeddings", Model: "embed\u2028ding", Class: analysis.Error, Latency: time.Second, Cost: -1}
		}
		r.Assign(context.Background(), fmt.Sprint(i)).Done(o)
	}
	r.Assign(context.Background(), "in flight")
	r.ServeHTTP(httptest.NewRecorder(), httptest.NewRequest(http.MethodPost, "/sleep", nil)) // a control route
	r.ArmOf(httptest.NewRequest(http.MethodPost, "/v1/chat/completions", nil))
	return r
}

// golden compares got with a file of testdata.
func golden(t *testing.T, name string, got []byte) {
	t.Helper()
	file := filepath.Join("testdata", name)
	if *update {
		if err := os.WriteFile(file, got, 0o644); err != nil {
			t.Fatal(err)
		}
	}
	want, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(string(want), string(got)); diff != "" {
		t.Errorf("%s (-want +got):\n%s", file, diff)
	}
}

// throughSDK returns what the SDK's exporter for Prometheus makes of a Producer.
func throughSDK(t *testing.T, r *traffic.Router, cfg trafficotel.Config) []byte {
	t.Helper()
	producer, err := trafficotel.NewProducer(r, cfg)
	if err != nil {
		t.Fatal(err)
	}
	registry := prometheus.NewPedanticRegistry()
	reader, err := exporter.New(exporter.WithRegisterer(registry), exporter.WithProducer(producer), exporter.WithoutScopeInfo(), exporter.WithoutTargetInfo())
	if err != nil {
		t.Fatal(err)
	}
	sdkmetric.NewMeterProvider(sdkmetric.WithReader(reader))
	families, err := registry.Gather()
	if err != nil {
		t.Fatal(err)
	}
	var page bytes.Buffer
	for _, f := range families {
		if _, err := expfmt.MetricFamilyToText(&page, f); err != nil {
			t.Fatal(err)
		}
	}
	return page.Bytes()
}

// Both exporters write the same, byte for byte.
func TestBothExportersWriteTheSame(t *testing.T) {
	r := router(t)
	var page bytes.Buffer
	if _, err := trafficprom.New(r).WriteTo(&page); err != nil {
		t.Fatal(err)
	}
	golden(t, "metrics.txt", page.Bytes())
	golden(t, "metrics.txt", throughSDK(t, r, trafficotel.Config{}))
}

func TestLegacyNames(t *testing.T) {
	golden(t, "legacy.txt", throughSDK(t, router(t), trafficotel.Config{Names: trafficotel.Legacy}))
}

// Native histograms have the same counts and sums as those with explicit buckets.
func TestNativeHistograms(t *testing.T) {
	r := router(t)
	sums := regexp.MustCompile(`(?m)^[a-z_]+_(sum|count)\{.*$`)
	want := sums.FindAllString(string(throughSDK(t, r, trafficotel.Config{})), -1)
	got := string(throughSDK(t, r, trafficotel.Config{Exponential: true}))
	if diff := cmp.Diff(want, sums.FindAllString(got, -1)); diff != "" || len(want) == 0 {
		t.Errorf("(-want +got):\n%s", diff)
	}
	for _, line := range strings.Split(got, "\n") {
		if strings.Contains(line, "_bucket{") && !strings.Contains(line, `le="+Inf"`) {
			t.Errorf("an explicit bucket: %s", line)
		}
	}
}
