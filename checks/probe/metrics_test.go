package probe_test

import (
	"context"
	"errors"
	"fmt"
	"io"
	"math"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/serin-go/serin/checks"
	"github.com/serin-go/serin/checks/checkstest"
	"github.com/serin-go/serin/checks/probe"
	"github.com/serin-go/serin/internal/exposition"
	"github.com/serin-go/serin/internal/promtest"
)

// metricsPages serves texts by path. A text that begins with { is JSON.
func metricsPages(t *testing.T, byPath map[string]string) string {
	return serve(t, func(w http.ResponseWriter, r *http.Request) {
		text, ok := byPath[r.URL.Path]
		if !ok {
			w.WriteHeader(http.StatusNotFound)
			return
		}
		w.Header().Set("Content-Type", "text/plain; version=0.0.4")
		if strings.HasPrefix(text, "{") {
			w.Header().Set("Content-Type", "application/json")
		}
		io.WriteString(w, text)
	})
}

func TestMetrics(t *testing.T) {
	url := metricsPages(t, map[string]string{"/metrics": `# TYPE http_requests_total counter
http_requests_total{code="200",path="/a"} 90
http_requests_total{code="200",path="/b"} 60
http_requests_total{code="500",path="/a"} 3
# TYPE temperature_celsius gauge
temperature_celsius NaN
up 1
`})
	rule := func(name string, labels map[string]string) probe.MetricRule {
		return probe.MetricRule{Name: name, Labels: labels}
	}
	ok := map[string]string{"code": "200"}
	for _, test := range []struct {
		name   string
		rule   probe.MetricRule
		status checks.Status
	}{
		{"a value that is there", rule("up", nil), checks.Pass},
		{"each within bounds", probe.MetricRule{Name: "http_requests_total", Labels: ok, Min: new(60.0), Max: new(90.0)}, checks.Pass},
		{"one too large", probe.MetricRule{Name: "http_requests_total", Labels: ok, Max: new(89.0)}, checks.Fail},
		{"one too small", probe.MetricRule{Name: "http_requests_total", Labels: ok, Min: new(61.0)}, checks.Fail},
		{"the sum within bounds", probe.MetricRule{Name: "http_requests_total", Labels: ok, Sum: true, Min: new(150.0), Max: new(150.0)}, checks.Pass},
		{"the sum too large", probe.MetricRule{Name: "http_requests_total", Sum: true, Max: new(152.0)}, checks.Fail},
		{"an empty label that is missing", probe.MetricRule{Name: "up", Labels: map[string]string{"job": ""}}, checks.Pass},
		{"a name that is missing", rule("http_request_total", nil), checks.Unknown},
		{"labels that are missing", rule("http_requests_total", map[string]string{"code": "404"}), checks.Unknown},
		{"a bound for a name that is missing", probe.MetricRule{Name: "down", Max: new(1.0)}, checks.Unknown},
		{"NaN", probe.MetricRule{Name: "temperature_celsius", Max: new(80.0)}, checks.Unknown},
	} {
		r := probe.Metrics(probe.MetricsOptions{URL: url + "/metrics", Want: []probe.MetricRule{test.rule}}).Check(t.Context())
		if r.Status != test.status || (r.Status == checks.Unknown) != (r.Err != nil) {
			t.Errorf("%s: %v, want %v: %s %v", test.name, r.Status, test.status, r.Summary, r.Err)
		}
	}

	// A name that is missing: the similar ones, the nearest first.
	r := want(t, probe.Metrics(probe.MetricsOptions{URL: url + "/metrics", Want: []probe.MetricRule{rule("http_request_total", nil), rule("celsius", nil)}}), checks.Unknown)
	if r.Evidence["similar"] != "http_requests_total, temperature_celsius" {
		t.Errorf("similar: %q", r.Evidence["similar"])
	}
	r = want(t, probe.Metrics(probe.MetricsOptions{URL: url + "/metrics", Want: []probe.MetricRule{rule("other", nil)}}), checks.Unknown)
	if r.Evidence["similar"] == "" {
		t.Error("nothing says that no name is similar")
	}
	// What fails counts more than what is missing, and both are there.
	r = want(t, probe.Metrics(probe.MetricsOptions{URL: url + "/metrics", Want: []probe.MetricRule{rule("other", nil), {Name: "up", Max: new(0.0)}}}), checks.Fail)
	if r.Err == nil || r.Evidence["up"] != "1" {
		t.Errorf("%v %v", r.Err, r.Evidence)
	}
}

func TestMetricsPages(t *testing.T) {
	url := serve(t, func(w http.ResponseWriter, r *http.Request) {
		if r.Header.Get("Authorization") != "Bearer hidden" {
			w.WriteHeader(http.StatusUnauthorized)
			return
		}
		switch r.URL.Path {
		case "/openmetrics":
			w.Header().Set("Content-Type", "application/openmetrics-text; version=1.0.0")
			io.WriteString(w, "# TYPE a counter\na_total 1\n# EOF\n")
		case "/cut":
			io.WriteString(w, "up 1\nup")
		case "/html":
			io.WriteString(w, "<html>")
		case "/away":
			http.Redirect(w, r, "/openmetrics", http.StatusFound)
		case "/long":
			line := []byte(strings.Repeat("up 1\n", 1000))
			for range exposition.MaxPage/len(line) + 2 {
				if _, err := w.Write(line); err != nil {
					return
				}
			}
		case "/hangs":
			<-r.Context().Done()
		}
	})
	check := func(path string, maxTime time.Duration) checks.Check {
		return probe.Metrics(probe.MetricsOptions{URL: url + path, Want: []probe.MetricRule{{Name: "a_total", Min: new(1.0)}},
			Header: http.Header{"Authorization": {"Bearer hidden"}}, MaxTime: maxTime})
	}
	want(t, check("/openmetrics?key=hidden", 0), checks.Pass)
	for _, path := range []string{"/html", "/away", "/cut", "/long"} {
		r := want(t, check(path+"?key=hidden", time.Minute), checks.Unknown)
		if r.Err == nil || strings.Contains(r.Summary+r.Err.Error(), "hidden") {
			t.Errorf("%s: %s %v", path, r.Summary, r.Err)
		}
	}
	var syntax *exposition.SyntaxError
	if r := check("/cut", 0).Check(t.Context()); !errors.As(r.Err, &syntax) || syntax.Line != 2 {
		t.Errorf("%v, want an error of line 2", r.Err)
	}
	var other *exposition.ContentTypeError
	if r := check("/html", 0).Check(t.Context()); !errors.As(r.Err, &other) {
		t.Errorf("%v, want an error of the content type", r.Err)
	}
	want(t, check("/hangs", 50*time.Millisecond), checks.Fail)
	want(t, probe.Metrics(probe.MetricsOptions{URL: url + "/openmetrics", Want: []probe.MetricRule{{Name: "a_total"}}}), checks.Unknown) // 401
	down := httptest.NewServer(nil)
	down.Close()
	want(t, probe.Metrics(probe.MetricsOptions{URL: down.URL, Want: []probe.MetricRule{{Name: "a"}}}), checks.Fail)

	checkstest.Exercise(t, func(*testing.T) checks.Check { return check("/openmetrics", 0) })
}

func TestMetricsInvalid(t *testing.T) {
	got := fields(t, probe.Metrics(probe.MetricsOptions{URL: "ftp://host", MaxTime: -1}))
	if want := []string{"MetricsOptions.URL", "MetricsOptions.MaxTime", "MetricsOptions.Want"}; !slices.Equal(got, want) {
		t.Errorf("%q, want %q", got, want)
	}
	got = fields(t, probe.Metrics(probe.MetricsOptions{URL: "http://host", Want: []probe.MetricRule{
		{Name: "a", Min: new(2.0), Max: new(1.0)}, {}, {Name: "b", Min: new(math.NaN()), Max: new(math.Inf(1))},
	}}))
	if want := []string{"MetricsOptions.Want[0].Min", "MetricsOptions.Want[1].Name", "MetricsOptions.Want[2].Min", "MetricsOptions.Want[2].Max"}; !slices.Equal(got, want) {
		t.Errorf("%q, want %q", got, want)
	}
	// What the caller changes later has no effect.
	url := metricsPages(t, map[string]string{"/": "up 1\n"})
	limit := 1.0
	c := probe.Metrics(probe.MetricsOptions{URL: url, Want: []probe.MetricRule{{Name: "up", Max: &limit}}})
	limit = 0
	want(t, c, checks.Pass)
	digest := func(limit float64) string {
		return probe.Metrics(probe.MetricsOptions{URL: url, Want: []probe.MetricRule{{Name: "up", Max: &limit}}}).(checks.Digester).Digest()
	}
	if one, again := digest(1), digest(1); one != again || one == digest(2) {
		t.Error("the digest does not identify the bounds")
	}
}

// The page of a real Prometheus is read.
func TestMetricsPrometheus(t *testing.T) {
	url := promtest.Start(t, "http://127.0.0.1:1")
	c := probe.Metrics(probe.MetricsOptions{URL: url + "/metrics", Want: []probe.MetricRule{
		{Name: "prometheus_build_info", Min: new(1.0), Max: new(1.0)},
		{Name: "prometheus_http_request_duration_seconds_bucket", Labels: map[string]string{"le": "+Inf"}, Sum: true, Min: new(1.0)},
		{Name: "go_goroutines", Min: new(1.0)},
	}})
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	for { // until it has started, and has served its own page
		r := c.Check(ctx)
		if r.Status == checks.Pass {
			break
		}
		if errors.As(r.Err, new(*exposition.SyntaxError)) || ctx.Err() != nil {
			t.Fatalf("%v: %s %v %v", r.Status, r.Summary, r.Err, r.Evidence)
		}
		select {
		case <-time.After(100 * time.Millisecond):
		case <-ctx.Done():
		}
	}
	resp, err := http.DefaultClient.Get(url + "/metrics")
	if err != nil {
		t.Fatal(err)
	}
	page, err := io.ReadAll(resp.Body)
	resp.Body.Close()
	if err != nil {
		t.Fatal(err)
	}
	types := make(map[exposition.Type]int)
	for s, err := range exposition.Parse(page, resp.Header.Get("Content-Type")) {
		if err != nil {
			t.Fatal(err)
		}
		types[s.Type]++
	}
	for _, typ := range []exposition.Type{exposition.Counter, exposition.Gauge, exposition.Histogram, exposition.Summary} {
		if types[typ] == 0 {
			t.Errorf("no samples of type %d among %v", typ, types)
		}
	}
}

const vllm = "vllm:num_requests_running{engine=\"0\",model_name=\"m\"} 4.0\nvllm:num_requests_waiting{engine=\"0\",model_name=\"m\"} 10.0\n"

// vLLM renamed the metric of its KV cache. Both names are read, the newer wins, and neither
// is Unknown.
func TestServerKVNames(t *testing.T) {
	const older, newer = "vllm:gpu_cache_usage_perc{engine=\"0\"} 0.6\n", "vllm:kv_cache_usage_perc{engine=\"0\"} 0.9\n"
	url := metricsPages(t, map[string]string{
		"/old/metrics": vllm + older, "/new/metrics": vllm + newer, "/both/metrics": vllm + older + newer,
		"/neither/metrics": vllm + "vllm:kv_cache_usage 0.9\n",
	})
	for path, test := range map[string]struct {
		below, above checks.Status // with a limit of 0.7 and of 0.95
		use          string
	}{
		"/old": {checks.Pass, checks.Pass, "0.6"}, "/new": {checks.Fail, checks.Pass, "0.9"}, "/both": {checks.Fail, checks.Pass, "0.9"},
		"/neither": {checks.Unknown, checks.Unknown, ""},
	} {
		r := want(t, probe.Server(probe.ServerOptions{URL: url + path, Kind: "vllm", MaxKVUse: 0.7}), test.below)
		if r.Evidence["KV use"] != test.use || (r.Evidence["similar"] != "") != (path == "/neither") {
			t.Errorf("%s: %v", path, r.Evidence)
		}
		want(t, probe.Server(probe.ServerOptions{URL: url + path + "/v1/", Kind: "vllm", MaxKVUse: 0.95}), test.above)
		if path == "/neither" { // even without a limit
			r := want(t, probe.Server(probe.ServerOptions{URL: url + path, Kind: "vllm"}), checks.Unknown)
			if !strings.HasPrefix(r.Evidence["similar"], "vllm:kv_cache_usage") {
				t.Errorf("similar: %q", r.Evidence["similar"])
			}
		}
	}
}

func TestServer(t *testing.T) {
	const models = `{"object":"list","data":[{"id":"m"},{"id":"lora"}]}`
	url := metricsPages(t, map[string]string{
		"/vllm/metrics": vllm + "vllm:kv_cache_usage_perc 0.5\n", "/vllm/v1/models": models,
		"/sglang/metrics": "sglang:num_running_reqs 4\nsglang:num_queue_reqs{tp_rank=\"0\"} 10\nsglang:num_queue_reqs{tp_rank=\"1\"} 10\nsglang:token_usage 0.5\n", "/sglang/v1/models": models,
		"/tgi/metrics": "tgi_batch_current_size 4\ntgi_queue_size 10\n", "/tgi/v1/models": models,
		"/llama/metrics": "llamacpp:requests_processing 4\nllamacpp:requests_deferred 10\n", "/llama/v1/models": models,
		"/triton/metrics":           "nv_inference_pending_request_count{model=\"m\"} 10\nnv_inference_pending_request_count{model=\"n\"} 50\n",
		"/triton/v2/models/m/ready": "", "/triton/v2/models/a/b/ready": "",
		"/ollama/api/tags": `{"models":[{"name":"m:latest"},{"name":"lora:8b"}]}`,
		"/broken/metrics":  vllm + "vllm:kv_cache_usage_perc 0.", "/broken/v1/models": "[]",
		"/empty/metrics": "up 1\n", "/empty/v1/models": `{"data":[]}`,
	})
	triton := url + "/triton/metrics"
	for _, test := range []struct {
		name    string
		options probe.ServerOptions
		status  checks.Status
	}{
		{"vLLM", probe.ServerOptions{URL: "/vllm", Kind: "vllm", Model: "m", MaxRunning: 4, MaxWaiting: 10, MaxKVUse: 0.5}, checks.Pass},
		{"vLLM, long queue", probe.ServerOptions{URL: "/vllm", Kind: "vllm", Model: "m", MaxWaiting: 9}, checks.Fail},
		{"vLLM, many requests", probe.ServerOptions{URL: "/vllm", Kind: "vllm", Model: "m", MaxRunning: 3}, checks.Fail},
		{"vLLM, another model", probe.ServerOptions{URL: "/vllm", Kind: "vllm", Model: "n"}, checks.Fail},
		{"vLLM, an adapter", probe.ServerOptions{URL: "/vllm", Kind: "vllm", Model: "lora"}, checks.Pass},
		{"vLLM, no preemptions on the page", probe.ServerOptions{URL: "/vllm", Kind: "vllm", Watch: time.Millisecond}, checks.Unknown},
		{"SGLang", probe.ServerOptions{URL: "/sglang", Kind: "sglang", Model: "m", MaxWaiting: 10, MaxKVUse: 0.5}, checks.Pass},
		{"SGLang, long queue", probe.ServerOptions{URL: "/sglang", Kind: "sglang", MaxWaiting: 9}, checks.Fail},
		{"TGI", probe.ServerOptions{URL: "/tgi", Kind: "tgi", Model: "m", MaxWaiting: 10}, checks.Pass},
		{"TGI, long queue", probe.ServerOptions{URL: "/tgi", Kind: "tgi", MaxWaiting: 9}, checks.Fail},
		{"llama.cpp", probe.ServerOptions{URL: "/llama", Kind: "llama.cpp", Model: "m", MaxWaiting: 10}, checks.Pass},
		{"llama.cpp without metrics of the cache", probe.ServerOptions{URL: "/llama", Kind: "llama.cpp", MaxKVUse: 0.9}, checks.Unknown},
		{"Triton", probe.ServerOptions{URL: "/triton", MetricsURL: triton, Kind: "triton", Model: "m", MaxWaiting: 10}, checks.Pass},
		{"Triton, all models", probe.ServerOptions{URL: "/triton", MetricsURL: triton, Kind: "triton", MaxWaiting: 59}, checks.Fail},
		{"Triton, model not ready", probe.ServerOptions{URL: "/triton", MetricsURL: triton, Kind: "triton", Model: "x"}, checks.Fail},
		{"Triton without TensorRT-LLM", probe.ServerOptions{URL: "/triton", MetricsURL: triton, Kind: "triton", MaxKVUse: 0.9}, checks.Unknown},
		{"Ollama", probe.ServerOptions{URL: "/ollama", Kind: "ollama"}, checks.Pass},
		{"Ollama, latest", probe.ServerOptions{URL: "/ollama", Kind: "ollama", Model: "m"}, checks.Pass},
		{"Ollama, tag", probe.ServerOptions{URL: "/ollama/v1", Kind: "ollama", Model: "lora:8b"}, checks.Pass},
		{"Ollama, another tag", probe.ServerOptions{URL: "/ollama", Kind: "ollama", Model: "lora"}, checks.Fail},
		{"another kind of server", probe.ServerOptions{URL: "/vllm", Kind: "tgi"}, checks.Unknown},
		{"a page that is cut", probe.ServerOptions{URL: "/broken", Kind: "vllm"}, checks.Unknown},
		{"a list that is not one", probe.ServerOptions{URL: "/broken", Kind: "vllm", Model: "m"}, checks.Unknown},
		{"no models", probe.ServerOptions{URL: "/empty", Kind: "vllm", Model: "m"}, checks.Fail},
		{"no server", probe.ServerOptions{URL: "/none", Kind: "vllm"}, checks.Unknown},
		{"no server, with a model", probe.ServerOptions{URL: "/none", Kind: "vllm", Model: "m"}, checks.Unknown},
	} {
		test.options.URL = url + test.options.URL
		r := probe.Server(test.options).Check(t.Context())
		if r.Status != test.status || r.Status == checks.Unknown && r.Err == nil {
			t.Errorf("%s: %v, want %v: %s %v", test.name, r.Status, test.status, r.Summary, r.Err)
		}
	}
	checkstest.Exercise(t, func(*testing.T) checks.Check {
		return probe.Server(probe.ServerOptions{URL: url + "/vllm", Kind: "vllm", Model: "m"})
	})
}

type transport func(*http.Request) (*http.Response, error)

func (f transport) RoundTrip(r *http.Request) (*http.Response, error) { return f(r) }

func found(text string) (*http.Response, error) {
	return &http.Response{StatusCode: http.StatusOK, Header: http.Header{"Content-Type": {"text/plain"}}, Body: io.NopCloser(strings.NewReader(text))}, nil
}

// Preemptions are counted between two looks.
func TestServerWatch(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		start := time.Now()
		server := func(before, after int) *http.Client {
			return &http.Client{Transport: transport(func(r *http.Request) (*http.Response, error) {
				n := before
				if time.Since(start) >= 5*time.Second {
					n = after
				}
				return found(fmt.Sprintf("%svllm:kv_cache_usage_perc 1\nvllm:num_preemptions_total %d\n", vllm, n))
			})}
		}
		for _, test := range []struct {
			before, after, allowed int
			status                 checks.Status
		}{{100, 100, 0, checks.Pass}, {100, 101, 0, checks.Fail}, {100, 103, 3, checks.Pass}, {100, 104, 3, checks.Fail}, {100, 0, 3, checks.Unknown}} {
			start = time.Now()
			want(t, probe.Server(probe.ServerOptions{URL: "http://host", Kind: "vllm", Watch: 5 * time.Second, MaxPreemptions: test.allowed, Client: server(test.before, test.after)}), test.status)
		}
		ctx, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		if r := probe.Server(probe.ServerOptions{URL: "http://host", Kind: "vllm", Watch: 5 * time.Second, Client: server(1, 1)}).Check(ctx); r.Status != checks.Unknown {
			t.Errorf("%v after the context has ended, want Unknown", r.Status)
		}
	})
}

// The requests go where the kinds of servers have their pages, with the credentials.
func TestServerAddresses(t *testing.T) {
	for _, test := range []struct {
		options probe.ServerOptions
		want    []string
	}{
		{probe.ServerOptions{URL: "https://host:8000/v1", Kind: "vllm", Model: "m"}, []string{"https://host:8000/v1/models", "https://host:8000/metrics"}},
		{probe.ServerOptions{URL: "https://host:8000/base/", Kind: "sglang", Model: "m"}, []string{"https://host:8000/base/v1/models", "https://host:8000/base/metrics"}},
		{probe.ServerOptions{URL: "http://[::1]:8000", Kind: "triton", Model: "a/b c"}, []string{"http://[::1]:8000/v2/models/a%2Fb%20c/ready", "http://[::1]:8002/metrics"}},
		{probe.ServerOptions{URL: "http://host:11434/v1", Kind: "ollama", Model: "m"}, []string{"http://host:11434/api/tags"}},
		{probe.ServerOptions{URL: "http://host", MetricsURL: "http://other:9000/m?x=y", Kind: "tgi"}, []string{"http://other:9000/m?x=y"}},
	} {
		var mu sync.Mutex
		var got []string
		test.options.Header = http.Header{"Authorization": {"Bearer key"}}
		test.options.Client = &http.Client{Transport: transport(func(r *http.Request) (*http.Response, error) {
			mu.Lock()
			defer mu.Unlock()
			if r.Header.Get("Authorization") != "Bearer key" {
				t.Errorf("%v has no credentials", r.URL)
			}
			got = append(got, r.URL.String())
			return found(`{"data":[{"id":"m"}],"models":[{"name":"m"}]}`)
		})}
		probe.Server(test.options).Check(t.Context())
		if !slices.Equal(got, test.want) {
			t.Errorf("%q, want %q", got, test.want)
		}
	}
}

func TestServerInvalid(t *testing.T) {
	for _, test := range []struct {
		options probe.ServerOptions
		want    []string
	}{
		{probe.ServerOptions{}, []string{"URL", "Kind"}},
		{probe.ServerOptions{URL: "http://host", MetricsURL: "host", Kind: "vLLM"}, []string{"MetricsURL", "Kind"}},
		{probe.ServerOptions{URL: "http://host", Kind: "vllm", MaxRunning: -1, MaxWaiting: -1, MaxKVUse: 60, MaxPreemptions: 1, MaxTime: -1}, []string{"MaxRunning", "MaxWaiting", "MaxKVUse", "MaxTime", "MaxPreemptions"}},
		{probe.ServerOptions{URL: "http://host", Kind: "vllm", MaxKVUse: math.NaN(), Watch: 10 * time.Second}, []string{"MaxKVUse", "Watch"}},
		{probe.ServerOptions{URL: "http://host", Kind: "tgi", MaxKVUse: 0.9, Watch: time.Second}, []string{"MaxKVUse", "Watch"}},
		{probe.ServerOptions{URL: "http://host", MetricsURL: "http://host/metrics", Kind: "ollama", MaxWaiting: 1}, []string{"MaxWaiting", "MetricsURL"}},
	} {
		got := fields(t, probe.Server(test.options))
		for i := range got {
			got[i] = strings.TrimPrefix(got[i], "ServerOptions.")
		}
		if !slices.Equal(got, test.want) {
			t.Errorf("%q, want %q", got, test.want)
		}
	}
}
