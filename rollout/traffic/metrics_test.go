package traffic_test

import (
	"context"
	"errors"
	"fmt"
	"io"
	"math"
	"math/rand/v2"
	"net/http"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/serin-go/serin/checks"
	"github.com/serin-go/serin/checks/analysis"
	"github.com/serin-go/serin/rollout/traffic"
	"github.com/serin-go/serin/strategies"
)

// metricsOf returns what was measured of an arm.
func metricsOf(t testing.TB, r *traffic.Router, arm string) traffic.ArmMetrics {
	t.Helper()
	all := r.Metrics()
	i := slices.IndexFunc(all, func(a traffic.ArmMetrics) bool { return a.Arm == arm })
	if i < 0 {
		t.Fatalf("no metrics of %s", arm)
	}
	return all[i]
}

// counts words what was counted of an operation, without the times themselves.
func counts(o traffic.OperationMetrics) string {
	s := fmt.Sprintf("%s %s %q:", o.Operation, o.Provider, o.Model)
	for class := range analysis.NumClasses {
		if h, ok := o.Duration[class]; ok {
			s += fmt.Sprintf(" %d %s,", h.Count, class)
		}
	}
	s += fmt.Sprintf(" first byte %d, TTFT %d", o.FirstByte.Count, o.TTFT.Count)
	s += fmt.Sprintf(", input %g of %d, output %g of %d", o.InputTokens.Sum, o.InputTokens.Count, o.OutputTokens.Sum, o.OutputTokens.Count)
	return s + fmt.Sprintf(", used %v, cost %d, unpriced %d", o.Tokens, o.Cost, o.Unpriced)
}

func TestMetricsOfRequests(t *testing.T) {
	document := func(text string) http.HandlerFunc {
		return func(w http.ResponseWriter, r *http.Request) {
			_, _ = io.Copy(io.Discard, r.Body)
			w.Header().Set("Content-Type", "application/json")
			_, _ = io.WriteString(w, text)
		}
	}
	price := traffic.Price{Input: 1_000_000, Output: 2_000_000}
	for _, tt := range []struct {
		name, path, ask string
		model           http.HandlerFunc
		want            string
	}{
		{
			"a stream", chat, `{"model":"m","stream":true}`, good,
			`chat openai "m": 1 ok, first byte 1, TTFT 1, input 10 of 1, output 5 of 1, used {{10 0 0} {5 0 0} 4 0 0}, cost 20, unpriced 0`,
		},
		{
			"a document has no TTFT", chat, `{"model":"m"}`, document(`{"choices":[{"message":{"role":"assistant","content":"Hi"},"finish_reason":"stop"}],"usage":{"prompt_tokens":12,"completion_tokens":5,"prompt_tokens_details":{"audio_tokens":3},"completion_tokens_details":{"reasoning_tokens":2}}}`),
			`chat openai "m": 1 ok, first byte 1, TTFT 0, input 12 of 1, output 5 of 1, used {{9 3 0} {5 0 0} 0 0 2}, cost 22, unpriced 0`,
		},
		{
			"a stream that breaks off counts its tokens, and is no success", chat, `{"model":"m","stream":true}`,
			func(w http.ResponseWriter, _ *http.Request) {
				stream(w, role, token("a"), token("b"))
				panic(http.ErrAbortHandler)
			},
			`chat openai "m": 1 truncated, first byte 1, TTFT 1, input 0 of 0, output 0 of 0, used {{0 0 0} {2 0 0} 0 0 0}, cost 0, unpriced 1`,
		},
		{
			"an error is free", chat, `{"model":"m"}`, func(w http.ResponseWriter, _ *http.Request) { http.Error(w, "{}", http.StatusBadRequest) },
			`chat openai "m": 1 rejected, first byte 1, TTFT 0, input 0 of 0, output 0 of 0, used {{0 0 0} {0 0 0} 0 0 0}, cost 0, unpriced 0`,
		},
		{
			"embeddings", "/v1/embeddings", `{"model":"e","input":"x"}`, document(`{"object":"list","data":[{"object":"embedding","index":0,"embedding":[0.1]}],"usage":{"prompt_tokens":7,"total_tokens":7}}`),
			`embeddings openai "e": 1 ok, first byte 1, TTFT 0, input 7 of 1, output 0 of 1, used {{7 0 0} {0 0 0} 0 0 0}, cost 7, unpriced 0`,
		},
		{
			"the provider follows from the interface", "/v1/messages", `{"model":"c","max_tokens":9}`,
			document(`{"type":"message","role":"assistant","content":[{"type":"text","text":"Hi"}],"stop_reason":"end_turn","usage":{"input_tokens":3,"cache_creation_input_tokens":2,"output_tokens":4}}`),
			`chat anthropic "c": 1 ok, first byte 1, TTFT 0, input 5 of 1, output 4 of 1, used {{5 0 0} {4 0 0} 0 2 0}, cost 13, unpriced 0`,
		},
		{
			"responses", "/v1/responses", `{"model":"m","store":false}`,
			document(`{"object":"response","status":"completed","output":[{"type":"message","role":"assistant","content":[{"type":"output_text","text":"Hi"}]}],"usage":{"input_tokens":3,"output_tokens":4}}`),
			`chat openai "m": 1 ok, first byte 1, TTFT 0, input 3 of 1, output 4 of 1, used {{3 0 0} {4 0 0} 0 0 0}, cost 11, unpriced 0`,
		},
	} {
		for _, charged := range []bool{false, true} {
			t.Run(fmt.Sprintf("%s/charged %t", tt.name, charged), func(t *testing.T) {
				model := serve(t, tt.model)
				url, r, d := setup(t, model, model, func(c *traffic.Config) {
					c.NoFallback = true
					c.Arms = map[string]traffic.Backend{"old": {URL: model, Price: price}, "new": {URL: model, Price: price}}
					if charged {
						c.Charged = func(traffic.Charge) {}
					}
				})
				postTo(t, url+tt.path, tt.ask)
				d.one(t)
				got := metricsOf(t, r, "new")
				if len(got.Operations) != 1 {
					t.Fatalf("%d operations: %+v", len(got.Operations), got.Operations)
				}
				if charged && strings.Contains(tt.name, "breaks off") {
					// What was not reported is estimated, and has a price.
					if o := got.Operations[0]; o.Unpriced != 0 || o.Cost < 4 || o.Tokens.Output.Other < 2 || o.OutputTokens.Count != 0 {
						t.Errorf("%s", counts(o))
					}
					return
				}
				if diff := cmp.Diff(tt.want, counts(got.Operations[0])); diff != "" {
					t.Errorf("(-want +got):\n%s", diff)
				}
				if got.Address != "127.0.0.1" || got.Requests != 1 || len(metricsOf(t, r, "old").Operations) != 0 {
					t.Errorf("%+v", got)
				}
			})
		}
	}
}

// paced is the body of a stream whose parts come one second apart.
type paced struct {
	parts []string
	rest  string // of a part
}

func (s *paced) Read(p []byte) (int, error) {
	if s.rest == "" {
		if len(s.parts) == 0 {
			return 0, io.EOF
		}
		time.Sleep(time.Second)
		s.rest, s.parts = s.parts[0], s.parts[1:]
	}
	n := copy(p, s.rest)
	s.rest = s.rest[n:]
	return n, nil
}

func (s *paced) Close() error { return nil }

func TestMetricsOfTimes(t *testing.T) {
	one := strings.Replace(usage, `"completion_tokens":5`, `"completion_tokens":1`, 1)
	for _, tt := range []struct {
		name                                string
		parts                               []string
		firstByte, ttft, perToken, duration string
	}{
		{"five tokens in three events", []string{role, token("Hel"), token("lo"), token("!"), finish, usage, done}, "1 of 1", "2 of 1", "0.5 of 1", "7 of 1"},
		{"no report: three events are three tokens", []string{role, token("Hel"), token("lo"), token("!"), finish, done}, "1 of 1", "2 of 1", "1 of 1", "6 of 1"},
		{"one token has no time per token", []string{role, token("Hi"), finish, one, done}, "1 of 1", "2 of 1", "0 of 0", "5 of 1"},
		{"a stream that fails has none either", []string{role, token("a"), token("b"), "data: {\"error\":{\"message\":\"x\"}}\n\n"}, "1 of 1", "2 of 1", "0 of 0", "4 of 1"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				under := roundTrip(func(r *http.Request) (*http.Response, error) {
					return &http.Response{StatusCode: 200, Header: http.Header{"Content-Type": {"text/event-stream"}}, ContentLength: -1, Body: &paced{parts: tt.parts}, Request: r}, nil
				})
				r, _ := newRouter(t, "http://a.invalid", "http://b.invalid", func(c *traffic.Config) {
					c.Arms["new"] = traffic.Backend{URL: "http://b.invalid", Transport: under}
					c.NoFallback = true
				})
				client := &http.Client{Transport: r.RoundTripper()}
				resp, err := client.Post("http://x.invalid"+chat, "application/json", strings.NewReader(streaming))
				if err != nil {
					t.Fatal(err)
				}
				read(resp)
				o := metricsOf(t, r, "new").Operations[0]
				var duration traffic.Histogram
				for _, duration = range o.Duration {
				}
				for i, h := range []traffic.Histogram{o.FirstByte, o.TTFT, o.PerOutputToken, duration} {
					if got, want := fmt.Sprintf("%g of %d", h.Sum, h.Count), []string{tt.firstByte, tt.ttft, tt.perToken, tt.duration}[i]; got != want {
						t.Errorf("%d: %s, want %s: %s", i, got, want, counts(o))
					}
				}
			})
		})
	}
}

// A candidate's failure and the baseline's answer are counted where they belong: the time
// of the failure at the candidate, the tokens of the answer at the baseline.
func TestMetricsOfFallback(t *testing.T) {
	for _, charged := range []bool{false, true} {
		t.Run(fmt.Sprintf("charged %t", charged), func(t *testing.T) {
			failing := func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(http.StatusInternalServerError) }
			url, r, d := setup(t, serve(t, good), serve(t, failing), func(c *traffic.Config) {
				if charged {
					c.Charged = func(traffic.Charge) {}
				}
			})
			if a := post(t, url, `{"model":"m","stream":true}`); a.version != "old" {
				t.Fatalf("%+v", a)
			}
			d.one(t)
			waitFor(t, func() bool { return len(metricsOf(t, r, "old").Operations) == 1 })
			candidate, baseline := metricsOf(t, r, "new"), metricsOf(t, r, "old")
			if o := candidate.Operations[0]; o.Duration[analysis.Error].Count != 1 || o.Tokens != (traffic.TokenCounts{}) || candidate.Fallbacks != 1 {
				t.Errorf("candidate: %s", counts(o))
			}
			if o := baseline.Operations[0]; len(o.Duration) != 0 || o.Tokens.Input.Other != 10 || o.Tokens.Output.Other != 5 || o.Unpriced != 1 {
				t.Errorf("baseline: %s", counts(o))
			}
		})
	}
}

func TestMetricsOfCopies(t *testing.T) {
	model := serve(t, good)
	shadow := split(1, 0)
	shadow.Mirrors = []strategies.Mirror{{Arm: "new", Share: strategies.Full}}
	url, r, d := setup(t, model, model, func(c *traffic.Config) { c.Split = shadow })
	post(t, url, `{"model":"m","stream":true}`)
	d.one(t)
	waitFor(t, func() bool { return len(metricsOf(t, r, "new").Operations) == 1 })
	if o := metricsOf(t, r, "new").Operations[0]; len(o.Duration) != 0 || o.Tokens.Output.Other != 5 {
		t.Errorf("a copy counts as %s", counts(o))
	}
}

// What is no inference, and what a cache has answered, is not in the histograms.
func TestMetricsLeaveOut(t *testing.T) {
	model := func(w http.ResponseWriter, r *http.Request) {
		if r.Header.Get("X-Hit") != "" {
			w.Header().Set("X-From", "cache")
		}
		good(w, r)
	}
	url, r, d := setup(t, serve(t, good), serve(t, model), func(c *traffic.Config) {
		c.Cached = func(h http.Header) bool { return h.Get("X-From") == "cache" }
	})
	for _, path := range []string{"/v1/models", "/v1/files"} {
		resp, err := http.Get(url + path)
		if err != nil {
			t.Fatal(err)
		}
		read(resp)
	}
	req, _ := http.NewRequest(http.MethodPost, url+chat, strings.NewReader(streaming))
	req.Header.Set("X-Hit", "1")
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		t.Fatal(err)
	}
	read(resp)
	d.wait(t, 2) // the files, and the answer of the cache
	for _, a := range r.Metrics() {
		if len(a.Operations) != 0 {
			t.Errorf("%s: %s", a.Arm, counts(a.Operations[0]))
		}
	}
}

func TestMetricsOfAssignments(t *testing.T) {
	r, _ := newRouter(t, "http://a.invalid", "http://b.invalid", nil)
	ctx := context.Background()
	r.Assign(ctx, "a").Done(analysis.Observation{
		Route: "POST /v1/chat/completions", Model: "m", Class: analysis.OK, Latency: time.Second, TTFT: 100 * time.Millisecond, ITL: 10 * time.Millisecond,
		InputTokens: 10, OutputTokens: 20, CachedTokens: 4, Cost: 7,
	})
	r.Assign(ctx, "b").Done(analysis.Observation{Class: analysis.Class(200), Latency: time.Second, Cost: -1})
	got := metricsOf(t, r, "new")
	var all []string
	for _, o := range got.Operations {
		all = append(all, counts(o))
	}
	if diff := cmp.Diff([]string{
		`chat openai "m": 1 ok, first byte 0, TTFT 1, input 10 of 1, output 20 of 1, used {{10 0 0} {20 0 0} 4 0 0}, cost 7, unpriced 0`,
		`unknown openai "": 1 error, first byte 0, TTFT 0, input 0 of 0, output 0 of 0, used {{0 0 0} {0 0 0} 0 0 0}, cost 0, unpriced 1`,
	}, all); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
	if h := got.Operations[0].PerOutputToken; h.Count != 1 || h.Sum != 0.01 {
		t.Errorf("time per output token %+v", h)
	}
	if h := got.Operations[0].TTFT; h.AtMost(0.09) != 0 || h.AtMost(0.1016) != 1 || h.Sum != 0.1 {
		t.Errorf("TTFT %+v", h)
	}
}

// Callers that name any model they like take no more than a bounded amount of memory, and
// cannot make metrics with names of their own without end.
func TestMetricsAreBounded(t *testing.T) {
	r, _ := newRouter(t, "http://a.invalid", "http://b.invalid", func(c *traffic.Config) { c.Observe = nil })
	routes := []string{"POST /v1/chat/completions", "POST /v1/embeddings", "POST /v1/messages", "POST /v1/completions", "POST /v1/rerank"}
	const n = 20_000
	rnd := rand.New(rand.NewPCG(1, 1))
	for i := range n {
		r.Assign(context.Background(), "a").Done(analysis.Observation{
			Route: routes[i%len(routes)], Model: strings.Repeat("model", 1000) + fmt.Sprint(i), Class: analysis.Class(i % int(analysis.NumClasses)),
			Latency: time.Duration(1 << rnd.IntN(62)), TTFT: time.Duration(1 << rnd.IntN(62)), ITL: time.Duration(1 << rnd.IntN(62)),
			InputTokens: 1 << rnd.IntN(62), OutputTokens: math.MaxInt,
		})
	}
	var requests uint64
	buckets := 0
	operations := metricsOf(t, r, "new").Operations
	for _, o := range operations {
		for _, h := range o.Duration {
			requests += h.Count
			buckets += len(h.Buckets)
			if len(h.Buckets) > 38+2 { // one of each octave, and the smallest and the largest value
				t.Errorf("%d buckets", len(h.Buckets))
			}
		}
		if len(o.Model) > 128 {
			t.Errorf("a model of %d bytes", len(o.Model))
		}
	}
	if requests != n || len(operations) > 16+len(routes) {
		t.Errorf("%d requests in %d operations, want %d in at most %d", requests, len(operations), n, 16+len(routes))
	}
	if !slices.ContainsFunc(operations, func(o traffic.OperationMetrics) bool { return o.Model == "other" && o.Operation == "embeddings" }) {
		t.Error("no model called other")
	}
}

// Nothing is lost or counted twice while requests and collections overlap, whatever
// happens to the arm.
func TestMetricsWhileRequestsGoOn(t *testing.T) {
	r, _ := newRouter(t, "http://a.invalid", "http://b.invalid", func(c *traffic.Config) { c.Observe = nil })
	const workers, each = 8, 2000
	var work sync.WaitGroup
	for w := range workers {
		work.Go(func() {
			for i := range each {
				r.Assign(context.Background(), "").Done(analysis.Observation{Model: fmt.Sprint("m", (w+i)%3), Class: analysis.OK, Latency: time.Millisecond, Cost: 1})
				if i%100 == 0 {
					r.Metrics()
				}
				if w == 0 && i%500 == 0 {
					if err := r.SetBackend("new", traffic.Backend{URL: "http://c.invalid"}); err != nil {
						t.Error(err)
					}
				}
			}
		})
	}
	work.Wait()
	got := metricsOf(t, r, "new")
	var n, money uint64
	for _, o := range got.Operations {
		n += o.Duration[analysis.OK].Count
		money += uint64(o.Cost)
	}
	if n != workers*each || money != n || got.Address != "c.invalid" || len(got.Operations) != 3 {
		t.Errorf("%d requests cost %d in %d operations at %s", n, money, len(got.Operations), got.Address)
	}
}

func TestProviders(t *testing.T) {
	for _, tt := range []struct{ url, provider, want string }{
		{"https://api.openai.com/v1", "", "openai"},
		{"https://me.openai.azure.com", "", "azure.ai.openai"},
		{"https://API.Anthropic.com.", "", "anthropic"},
		{"https://europe-west1-aiplatform.googleapis.com", "", "gcp.vertex_ai"},
		{"https://generativelanguage.googleapis.com", "", "gcp.gemini"},
		{"https://bedrock-runtime.eu-west-1.amazonaws.com", "", "aws.bedrock"},
		{"https://models.s3.amazonaws.com", "", "openai"},
		{"https://api.groq.com", "my-proxy", "my-proxy"},
		{"https://notopenai.com", "", "openai"}, // by the interface
		{"https://evil-mistral.ai", "", "openai"},
		{"http://10.0.0.1:8000", "vllm", "vllm"},
		{"", "", "openai"},
	} {
		b := traffic.Backend{URL: tt.url, Provider: tt.provider}
		r, err := traffic.New(traffic.Config{Arms: map[string]traffic.Backend{"a": b}})
		if err != nil {
			t.Fatal(err)
		}
		r.Assign(context.Background(), "").Done(analysis.Observation{Route: "POST /v1/chat/completions", Class: analysis.OK})
		if got := r.Metrics()[0].Operations[0].Provider; got != tt.want {
			t.Errorf("%+v is provided by %s", tt, got)
		}
	}
	for _, bad := range []string{"a b", "a\n", `a"`, "ä", strings.Repeat("x", 65)} {
		_, err := traffic.New(traffic.Config{Arms: map[string]traffic.Backend{"a": {Provider: bad}}})
		if invalid := (*checks.InvalidError)(nil); !errors.As(err, &invalid) || invalid.Field != `Config.Arms["a"].Provider` {
			t.Errorf("%.10q: %v", bad, err)
		}
	}
}
