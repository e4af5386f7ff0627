package autoscale_test

import (
	"context"
	"errors"
	"fmt"
	"io"
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
	"github.com/serin-go/serin/internal/exposition"
	"github.com/serin-go/serin/rollout/traffic/autoscale"
)

// pages serves metrics pages by path.
func pages(t *testing.T, byPath map[string]string) string {
	t.Helper()
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		page, ok := byPath[r.URL.Path]
		if !ok {
			w.WriteHeader(http.StatusServiceUnavailable)
			return
		}
		w.Header().Set("Content-Type", "text/plain; version=0.0.4")
		io.WriteString(w, page)
	}))
	t.Cleanup(server.Close)
	return server.URL
}

func metrics(t *testing.T, c autoscale.MetricsConfig, urls ...string) *autoscale.Metrics {
	t.Helper()
	c.Replicas = func(_ context.Context, arm string) ([]string, error) {
		if arm != "a" {
			return nil, fmt.Errorf("no arm %q", arm)
		}
		return urls, nil
	}
	m, err := autoscale.NewMetrics(c)
	if err != nil {
		t.Fatal(err)
	}
	return m
}

// A replica whose page cannot be read is missing in the signals. It is not zero.
func TestMetricsMissing(t *testing.T) {
	url := pages(t, map[string]string{
		"/new":     "vllm:num_requests_waiting 10\nvllm:num_requests_running 2\nvllm:kv_cache_usage_perc 0.5\n",
		"/old":     "vllm:num_requests_waiting 20\nvllm:num_requests_running 0\nvllm:gpu_cache_usage_perc 0.25\n",
		"/both":    "vllm:num_requests_waiting 0\nvllm:num_requests_running 0\nvllm:gpu_cache_usage_perc 1\nvllm:kv_cache_usage_perc 0.125\n",
		"/neither": "vllm:num_requests_waiting 0\nvllm:num_requests_running 0\n",
		"/cut":     "vllm:num_requests_waiting 0\nvllm:kv_cache_usage_perc 0.",
	})
	all := []string{url + "/new", url + "/old", url + "/both", url + "/neither", url + "/cut", url + "/down", url + "/new"}
	m := metrics(t, autoscale.MetricsConfig{Kind: "vllm", Waiting: 30, KVUse: 0.6, Parallel: 2}, all...)
	in, err := m.Measure(t.Context(), "a")
	if err != nil {
		t.Fatal(err)
	}
	want := autoscale.Input{
		Ready: 6, Desired: 6, Stable: -1, Panic: -1,
		Busy: 3, // one has requests, of two it is not known
		Signals: []autoscale.Signal{
			{Name: "waiting", Sum: 30, Known: 4, Target: 30},
			{Name: "KV use", Sum: 0.875, Known: 3, Target: 0.6},
		},
	}
	if diff := cmp.Diff(want, in); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
	// What is missing does not scale down.
	d, _ := autoscale.Scaler{}.Next(autoscale.Input{Ready: in.Ready, Desired: in.Desired, Signals: in.Signals}, autoscale.State{})
	if d.Proposed != 5 {
		t.Errorf("proposed %d by %s, want 5: a KV use of 0.875, and 0.6 for each of the 3 that are missing", d.Proposed, d.By)
	}
}

func TestMetricsErrors(t *testing.T) {
	url := pages(t, map[string]string{"/cut": "vllm:num_requests_waiting 1\nvllm:num_requests_wai"})
	down := httptest.NewServer(nil)
	down.Close()
	m := metrics(t, autoscale.MetricsConfig{Kind: "vllm", Waiting: 30}, url+"/cut?token=hidden", strings.Replace(url, "//", "//ana:hidden@", 1)+"/none", down.URL+"/?token=hidden", "nowhere", ":hidden")
	_, err := m.Measure(t.Context(), "a")
	var page *autoscale.PageError
	var status *autoscale.StatusError
	var syntax *exposition.SyntaxError
	var invalid *checks.InvalidError
	if !errors.As(err, &page) || page.URL != url+"/cut" && page.URL != url+"/none" && page.URL != down.URL+"/" && page.URL != "a URL that is not valid" {
		t.Errorf("%v, want an error of a page", err)
	}
	if !errors.As(err, &status) || status.Code != http.StatusServiceUnavailable {
		t.Errorf("%v, want an error of a status", err)
	}
	if !errors.As(err, &syntax) || syntax.Line != 2 {
		t.Errorf("%v, want an error of line 2", err)
	}
	if !errors.As(err, &invalid) || invalid.Field != "Replicas" {
		t.Errorf("%v, want an error of an address", err)
	}
	if strings.Contains(err.Error(), "hidden") {
		t.Errorf("a secret is shown: %v", err)
	}
	if _, err := m.Measure(t.Context(), "b"); err == nil {
		t.Error("an arm whose replicas are not known is measured")
	}
	failing := errors.New("no")
	m = metrics(t, autoscale.MetricsConfig{Kind: "vllm", Waiting: 30, Desired: func(context.Context, string) (int, error) { return 0, failing }})
	if _, err := m.Measure(t.Context(), "a"); !errors.Is(err, failing) {
		t.Errorf("%v, want the error of Desired", err)
	}
}

// No replicas are no error: they may be starting.
func TestMetricsWithoutReplicas(t *testing.T) {
	m := metrics(t, autoscale.MetricsConfig{Kind: "tgi", Waiting: 30, Desired: func(context.Context, string) (int, error) { return 2, nil }})
	in, err := m.Measure(t.Context(), "a")
	if err != nil || in.Ready != 0 || in.Starting != 2 || in.Desired != 2 || len(in.Signals) > 0 {
		t.Errorf("%+v %v", in, err)
	}
}

// Pages are read with a bound on their number at a time, and a time limit for each.
func TestMetricsBounds(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var now, most atomic.Int32
		client := &http.Client{Transport: roundTrip(func(r *http.Request) (*http.Response, error) {
			n := now.Add(1)
			defer now.Add(-1)
			for {
				if m := most.Load(); n <= m || most.CompareAndSwap(m, n) {
					break
				}
			}
			ready := time.After(time.Second)
			if r.URL.Path == "/hangs" {
				ready = nil
			}
			select {
			case <-ready:
				return answer("sglang:num_running_reqs 1\n"), nil
			case <-r.Context().Done():
				return nil, r.Context().Err()
			}
		})}
		urls := []string{"http://host/hangs"}
		for i := range 20 {
			urls = append(urls, fmt.Sprint("http://host/", i))
		}
		m := metrics(t, autoscale.MetricsConfig{Kind: "sglang", Running: 10, Parallel: 4, Timeout: 3 * time.Second, Client: client}, urls...)
		in, err := m.Measure(t.Context(), "a")
		if err != nil || in.Ready != 21 || in.Signals[0].Known != 20 || in.Signals[0].Sum != 20 {
			t.Errorf("%+v %v", in, err)
		}
		if most.Load() != 4 {
			t.Errorf("%d pages at a time, want 4", most.Load())
		}
		ctx, cancel := context.WithCancel(t.Context())
		cancel()
		if _, err := m.Measure(ctx, "a"); !errors.Is(err, context.Canceled) {
			t.Errorf("%v, want that the context has ended", err)
		}
	})
}

type roundTrip func(*http.Request) (*http.Response, error)

func (f roundTrip) RoundTrip(r *http.Request) (*http.Response, error) { return f(r) }

func answer(page string) *http.Response {
	return &http.Response{StatusCode: http.StatusOK, Header: http.Header{"Content-Type": {"text/plain"}}, Body: io.NopCloser(strings.NewReader(page))}
}

// The time to first token is measured over the last minute, not since the start.
func TestMetricsTTFT(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		counts := map[string][3]int{"/0": {1000, 1000, 1000}, "/1": {1000, 1000, 1000}} // up to 0.1 s, 1 s, more
		client := &http.Client{Transport: roundTrip(func(r *http.Request) (*http.Response, error) {
			c, ok := counts[r.URL.Path]
			if !ok {
				return nil, errors.New("down")
			}
			var page strings.Builder
			page.WriteString("# TYPE vllm:time_to_first_token_seconds histogram\n")
			for i, le := range []string{"0.1", "1.0", "+Inf"} {
				fmt.Fprintf(&page, "vllm:time_to_first_token_seconds_bucket{le=%q} %d\n", le, c[i])
			}
			return answer(page.String()), nil
		})}
		m := metrics(t, autoscale.MetricsConfig{Kind: "vllm", TTFT: 500 * time.Millisecond, Client: client}, "http://host/0", "http://host/1")
		expect := func(what string, sum float64, known int) {
			t.Helper()
			in, err := m.Measure(t.Context(), "a")
			if err != nil {
				t.Fatal(err)
			}
			if s := in.Signals[0]; s.Name != "TTFT" || s.Target != 0.5 || s.Known != known || s.Sum < sum-1e-9 || s.Sum > sum+1e-9 {
				t.Errorf("%s: %+v, want a sum of %v over %d replicas", what, s, sum, known)
			}
		}
		expect("first look", 0, 0)
		time.Sleep(15 * time.Second)
		expect("no requests", 0, 2)
		time.Sleep(15 * time.Second)
		counts["/0"] = [3]int{1000, 1020, 1020} // 20 requests between 0.1 and 1 s: 0.95 is 0.955 s
		expect("slow requests", 2*0.955, 2)
		for range 5 {
			time.Sleep(15 * time.Second)
			if _, err := m.Measure(t.Context(), "a"); err != nil {
				t.Fatal(err)
			}
		}
		expect("a minute later", 0, 2)
		counts["/1"] = [3]int{10, 10, 10}
		time.Sleep(15 * time.Second)
		expect("a server has restarted", 0, 1)
		time.Sleep(15 * time.Second)
		expect("and is known again", 0, 2)
		delete(counts, "/1")
		expect("a server is down", 0, 1)
	})
}

func TestMetricsConfigValidate(t *testing.T) {
	replicas := func(context.Context, string) ([]string, error) { return nil, nil }
	for _, test := range []struct {
		name   string
		config autoscale.MetricsConfig
		want   []string
	}{
		{"nothing", autoscale.MetricsConfig{}, []string{"Replicas", "Kind", "Waiting"}},
		{"an unknown kind", autoscale.MetricsConfig{Replicas: replicas, Kind: "vLLM", Waiting: 1}, []string{"Kind"}},
		{"a kind without metrics", autoscale.MetricsConfig{Replicas: replicas, Kind: "ollama", Waiting: 1}, []string{"Kind"}},
		{"signals that a kind does not have", autoscale.MetricsConfig{Replicas: replicas, Kind: "tgi", KVUse: 0.5, TTFT: 1, Waiting: 1}, []string{"KVUse", "TTFT"}},
		{"targets", autoscale.MetricsConfig{Replicas: replicas, Kind: "sglang", KVUse: 60, Waiting: -1, Tokens: -1, TTFT: -1}, []string{"Waiting", "KVUse", "Tokens", "TTFT"}},
		{"bounds", autoscale.MetricsConfig{Replicas: replicas, Kind: "vllm", Running: 1, Timeout: -1, Parallel: -1}, []string{"Timeout", "Parallel"}},
	} {
		_, err := autoscale.NewMetrics(test.config)
		var got []string
		for e := range checks.Invalid(err) {
			got = append(got, strings.TrimPrefix(e.Field, "MetricsConfig."))
		}
		if !slices.Equal(got, test.want) {
			t.Errorf("%s: %q, want %q", test.name, got, test.want)
		}
	}
}
