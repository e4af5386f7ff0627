package loadtest

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"math"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/serin-go/serin/checks"
	"github.com/serin-go/serin/loadtest/pace"
)

// metricsPages answers with pages by host.
type metricsPages map[string]func() (status int, text string)

func (p metricsPages) RoundTrip(r *http.Request) (*http.Response, error) {
	status, text := p[r.URL.Host]()
	return &http.Response{StatusCode: status, Header: http.Header{"Content-Type": {"text/plain; version=0.0.4"}, "Location": {"http://elsewhere/metrics"}}, Body: io.NopCloser(strings.NewReader(text)), Request: r}, nil
}

// watched runs 20 requests in 10 s with two servers and a GPU exporter.
func watched(t *testing.T, pages func(began time.Time) metricsPages) (report *Report) {
	t.Helper()
	synctest.Test(t, func(t *testing.T) {
		p := plan(script{parts: spoken})
		p.Pacer, p.Requests, p.Duration, p.SLOs = pace.Constant(2), 20, 0, []SLO{{}}
		m := ServerMetrics{
			Pages:       []MetricsPage{{URL: "http://a/metrics", Kind: "vllm"}, {URL: "http://user:secret@b/metrics?key=secret", Kind: "vllm"}, {URL: "http://gpu/metrics", Kind: "dcgm"}},
			HourlyPrice: 36, Client: &http.Client{Transport: pages(time.Now())},
		}
		r, err := m.Watch(Run)(t.Context(), p)
		if err != nil {
			t.Fatal(err)
		}
		report = r
	})
	return report
}

func vllmPage(running, waiting int, kv float64, queries, hits int) string {
	return fmt.Sprintf("vllm:num_requests_running %d\nvllm:num_requests_waiting %d\nvllm:kv_cache_usage_perc %g\nvllm:prefix_cache_queries_total %d\nvllm:prefix_cache_hits_total %d\n", running, waiting, kv, queries, hits)
}

func TestServerMetrics(t *testing.T) {
	r := watched(t, func(began time.Time) metricsPages {
		seconds := func() int { return int(time.Since(began).Seconds()) }
		return metricsPages{
			"a": func() (int, string) { return 200, vllmPage(3, seconds(), 0.2, 100*seconds(), 50*seconds()) },
			"b": func() (int, string) { return 200, vllmPage(4, 1, 0.7, 1000+100*seconds(), 1000+100*seconds()) },
			"gpu": func() (int, string) {
				return 200, fmt.Sprintf("DCGM_FI_DEV_GPU_UTIL{gpu=\"0\"} 50\nDCGM_FI_DEV_GPU_UTIL{gpu=\"1\"} 100\nDCGM_FI_DEV_POWER_USAGE{gpu=\"0\"} 300\nDCGM_FI_DEV_TOTAL_ENERGY_CONSUMPTION{gpu=\"0\"} %d\n", 300_000*seconds())
			},
		}
	})
	s := r.Server
	if len(s.Samples) < 10 || s.Failed != 0 || s.Reads != 3*len(s.Samples) {
		t.Fatalf("%d samples, %d of %d reads failed: %s", len(s.Samples), s.Failed, s.Reads, s.FirstError)
	}
	for i, one := range s.Samples[:10] {
		want := map[string]float64{figureRunning: 7, figureWaiting: float64(i + 1), figureKVUse: 0.7, figureGPUUse: 0.75, figurePower: 300}
		if diff := cmp.Diff(want, one.Values); diff != "" || math.Abs(one.At-float64(i)) > 1e-6 {
			t.Errorf("sample %d at %v (-want +got):\n%s", i, one.At, diff)
		}
	}
	took := math.Floor(r.Elapsed.Seconds())
	want := map[string]float64{figureCacheQueries: 200 * took, figureCacheHits: 150 * took, figureEnergy: 300 * took}
	if diff := cmp.Diff(want, s.Added); diff != "" || *s.CacheHitRate != 0.75 {
		t.Errorf("cache hits %v, counters (-want +got):\n%s", *s.CacheHitRate, diff)
	}
	tokens := float64(r.Goodput[0].Tokens)
	if tokens != float64(r.OutputTokens) || tokens == 0 || math.Abs(*s.EnergyPerGoodToken-300*took/tokens) > 1e-9 || math.Abs(*s.CostPerGoodToken-0.01*r.Elapsed.Seconds()/tokens) > 1e-9 {
		t.Errorf("%v good tokens, %v J, %v for each", tokens, *s.EnergyPerGoodToken, *s.CostPerGoodToken)
	}
	for _, part := range []string{"running 7, up to 7", "waiting 6", "KV cache 70 %", "GPUs 75 %", "prefix cache hits 75 %", "J per good token"} {
		if !strings.Contains(r.String(), part) {
			t.Errorf("the text lacks %q:\n%v", part, r)
		}
	}
	data, err := json.Marshal(r)
	back := new(Report)
	if err == nil {
		err = json.Unmarshal(data, back)
	}
	if diff := cmp.Diff(r.Server, back.Server); err != nil || diff != "" {
		t.Errorf("%v (-want +got):\n%s", err, diff)
	}
	var page bytes.Buffer
	if err := back.WriteHTML(&page); err != nil || !strings.Contains(page.String(), "Requests in the server") || !strings.Contains(page.String(), "KV cache and GPUs in use") {
		t.Errorf("the page lacks plots of the server: %v", err)
	}
}

// TestServerMetricsThatAreMissing has a server that restarts, one that fails and a page
// without the metrics. What is not known is not zero.
func TestServerMetricsThatAreMissing(t *testing.T) {
	r := watched(t, func(began time.Time) metricsPages {
		return metricsPages{
			"a": func() (int, string) {
				n := int(time.Since(began).Seconds())
				return 200, vllmPage(1, 1, 0.1, 100+n%5, 100+n%5) // two restarts
			},
			"b": func() (int, string) {
				if time.Since(began) > 3500*ms && time.Since(began) < 6500*ms {
					return 503, "vllm:num_requests_running 99\n"
				}
				return 200, vllmPage(1, 1, 0.1, 5, 5)
			},
			"gpu": func() (int, string) { return 200, "DCGM_FI_DEV_GPU_UTIL{gpu=\"0\"} 50\n" },
		}
	})
	s := r.Server
	if s.Failed != 3 || s.FirstError != "http://b/metrics: status 503" {
		t.Errorf("%d failed: %q", s.Failed, s.FirstError)
	}
	if len(s.Added) != 0 || s.CacheHitRate != nil || s.EnergyPerGoodToken != nil || s.CostPerGoodToken == nil {
		t.Errorf("%+v", s)
	}
	for _, one := range s.Samples {
		if _, ok := one.Values[figurePower]; ok || one.Values[figureRunning] != 2 || one.At > 3.5 && one.At < 6.5 {
			t.Errorf("%+v", one)
		}
	}
	if data, err := json.Marshal(r); err != nil || bytes.Contains(data, []byte("secret")) || strings.Contains(r.String(), "secret") {
		t.Errorf("a secret is shown, %v", err)
	}
}

// TestServerMetricsThatAreImpossible leaves out what cannot be, and names it.
func TestServerMetricsThatAreImpossible(t *testing.T) {
	for name, tt := range map[string]struct {
		a, gpu     string
		impossible []string
		figure     string // of the samples
	}{
		"shares above 1":  {vllmPage(1, 1, 7.5, 100, 50), "DCGM_FI_DEV_GPU_UTIL{gpu=\"0\"} 250\n", []string{figureKVUse, figureGPUUse}, figureRunning},
		"negative":        {strings.Replace(vllmPage(1, 1, 0.5, 100, 50), "waiting 1", "waiting -1", 1), "DCGM_FI_DEV_GPU_UTIL{gpu=\"0\"} -3\nDCGM_FI_DEV_POWER_USAGE{gpu=\"0\"} 300\n", []string{figureWaiting, figureGPUUse}, figurePower},
		"constant energy": {vllmPage(1, 1, 0.5, 100, 50), "DCGM_FI_DEV_POWER_USAGE{gpu=\"0\"} 300\nDCGM_FI_DEV_TOTAL_ENERGY_CONSUMPTION{gpu=\"0\"} 5000\n", []string{figureEnergy}, figurePower},
		"more hits":       {"", "DCGM_FI_DEV_POWER_USAGE{gpu=\"0\"} 300\n", []string{figureCacheQueries, figureCacheHits}, figureRunning},
		"hits alone":      {"", "DCGM_FI_DEV_POWER_USAGE{gpu=\"0\"} 300\n", nil, figureRunning},
		"not known":       {vllmPage(1, 1, 0.5, 100, 50), "DCGM_FI_DEV_POWER_USAGE{gpu=\"0\"} 2147483632\nDCGM_FI_DEV_GPU_UTIL{gpu=\"0\"} 3\n", nil, figureGPUUse},
	} {
		r := watched(t, func(began time.Time) metricsPages {
			return metricsPages{
				"a": func() (int, string) {
					if tt.a == "" {
						n := int(time.Since(began).Seconds())
						page := vllmPage(1, 1, 0.5, 10*n, 20*n)
						if name == "hits alone" {
							page = strings.ReplaceAll(page, "prefix_cache_queries_total", "other_total")
						}
						return 200, page
					}
					return 200, tt.a
				},
				"b":   func() (int, string) { return 200, vllmPage(1, 1, 0.1, 5, 5) },
				"gpu": func() (int, string) { return 200, tt.gpu },
			}
		})
		s := r.Server
		if diff := cmp.Diff(tt.impossible, s.Impossible); diff != "" || s.Failed != 0 || s.EnergyPerGoodToken != nil {
			t.Errorf("%s: %+v (-want +got):\n%s", name, s, diff)
		}
		if strings.Contains(r.String(), "left out, since values were impossible: "+strings.Join(tt.impossible, ", ")) != (tt.impossible != nil) {
			t.Errorf("%s: %v", name, s)
		}
		for _, one := range s.Samples {
			for _, figure := range tt.impossible {
				if v, ok := one.Values[figure]; ok {
					t.Errorf("%s: %s is %v", name, figure, v)
				}
			}
			if _, ok := one.Values[tt.figure]; !ok {
				t.Errorf("%s: %s is missing", name, tt.figure)
			}
		}
		for _, figure := range tt.impossible {
			if v, ok := s.Added[figure]; ok {
				t.Errorf("%s: %s is %v", name, figure, v)
			}
		}
		if slices.Contains(tt.impossible, figureCacheHits) && s.CacheHitRate != nil {
			t.Errorf("%s: a hit rate of %v", name, *s.CacheHitRate)
		}
	}
}

// TestServerMetricsOfALongRun keeps a bounded number of samples.
func TestServerMetricsOfALongRun(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		m := ServerMetrics{Pages: []MetricsPage{{URL: "http://a/metrics", Kind: "tgi"}}, Client: &http.Client{Transport: metricsPages{"a": func() (int, string) { return 200, "tgi_queue_size 1\n" }}}}
		r, err := m.Watch(func(_ context.Context, p Plan) (*Report, error) {
			r := NewReport(p, time.Now())
			time.Sleep(2 * time.Hour)
			return r, nil
		})(t.Context(), Plan{})
		if err != nil {
			t.Fatal(err)
		}
		n := len(r.Server.Samples)
		if n < maxSamples/2 || n > maxSamples || r.Server.Samples[0].At != 0 || r.Server.Samples[n-1].At < 7100 {
			t.Errorf("%d samples, from %v to %v", n, r.Server.Samples[0].At, r.Server.Samples[n-1].At)
		}
		for i := range n - 1 {
			if gap := r.Server.Samples[i+1].At - r.Server.Samples[i].At; gap != r.Server.Samples[1].At {
				t.Fatalf("gap %d is %v s", i, gap)
			}
		}
	})
}

// TestServerMetricsOfARealServer reads a page over HTTP, with the client of the package.
func TestServerMetricsOfARealServer(t *testing.T) {
	var reads atomic.Int64
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.Header.Get("Authorization") != "Bearer x" {
			w.WriteHeader(http.StatusUnauthorized)
			return
		}
		reads.Add(1)
		w.Header().Set("Content-Type", "text/plain; version=0.0.4")
		_, _ = io.WriteString(w, "llamacpp:requests_processing 2\nllamacpp:tokens_predicted_total 10\n")
	}))
	defer server.Close()
	m := ServerMetrics{Pages: []MetricsPage{{URL: server.URL + "/metrics", Kind: "llama.cpp", Header: http.Header{"Authorization": {"Bearer x"}}}}, Every: time.Hour}
	r, err := m.Watch(func(context.Context, Plan) (*Report, error) { return NewReport(Plan{}, time.Now()), nil })(t.Context(), Plan{})
	if err != nil || reads.Load() == 0 || r.Server.Failed != 0 || len(r.Server.Samples) == 0 || r.Server.Samples[0].Values[figureRunning] != 2 {
		t.Errorf("%+v, %v", r, err)
	}
}

func TestServerMetricsAreValidated(t *testing.T) {
	bad := ServerMetrics{Pages: []MetricsPage{{URL: "ftp://x", Kind: "ollama"}, {URL: "::", Kind: ""}}, Every: time.Millisecond, Timeout: -1, HourlyPrice: math.NaN()}
	_, err := bad.Watch(Run)(t.Context(), Plan{})
	var invalid *checks.InvalidError
	if !errors.As(err, &invalid) || strings.Count(err.Error(), "\n") != 6 {
		t.Errorf("%v", err)
	}
	if (ServerMetrics{}).Validate() == nil {
		t.Error("no pages are accepted")
	}
}

// TestServerMetricsThatCannotBeAdded has a counter that comes late, one that goes, numbers
// whose sum is not finite, and a redirect.
func TestServerMetricsThatCannotBeAdded(t *testing.T) {
	for name, page := range map[string]func(began time.Time) (int, string){
		"late": func(began time.Time) (int, string) {
			if time.Since(began) < 5*time.Second {
				return 200, "vllm:num_requests_running 1\n"
			}
			return 200, fmt.Sprintf("vllm:num_requests_running 1\nvllm:generation_tokens_total %d\n", int(time.Since(began).Seconds()))
		},
		"gone": func(began time.Time) (int, string) {
			if time.Since(began) > 5*time.Second {
				return 200, "vllm:num_requests_running 1\n"
			}
			return 200, "vllm:num_requests_running 1\nvllm:generation_tokens_total 7\n"
		},
		"huge": func(began time.Time) (int, string) {
			if time.Since(began) < time.Second {
				return 200, "vllm:num_requests_running 1.7e308\nvllm:generation_tokens_total 0\n"
			}
			return 200, "vllm:num_requests_running 1.7e308\nvllm:generation_tokens_total 1.7e308\n"
		},
		"redirect": func(time.Time) (int, string) { return 302, "vllm:num_requests_running 1\n" },
	} {
		r := watched(t, func(began time.Time) metricsPages {
			one := func() (int, string) { return page(began) }
			return metricsPages{"a": one, "b": one, "gpu": func() (int, string) { return 200, "DCGM_FI_DEV_GPU_UTIL{gpu=\"0\"} 50\n" }, "elsewhere": func() (int, string) {
				t.Error("a redirect is followed")
				return 404, ""
			}}
		})
		if _, ok := r.Server.Added[figureGenerated]; ok {
			t.Errorf("%s: %v", name, r.Server.Added)
		}
		if _, err := json.Marshal(r); err != nil {
			t.Errorf("%s: %v", name, err)
		}
	}
}
