package traffic_test

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"log"
	"net"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/serin-go/serin/checks/analysis"
	answers "github.com/serin-go/serin/checks/analysis/answer"
	"github.com/serin-go/serin/rollout/traffic"
	"github.com/serin-go/serin/rollout/traffic/replicas"
	"github.com/serin-go/serin/strategies"
)

// receipts collects charges.
type receipts struct {
	mu   sync.Mutex
	seen []traffic.Charge
}

func (r *receipts) add(c traffic.Charge) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.seen = append(r.seen, c)
}

// wait returns the charges once there are n of them, in the order of their attempts.
func (r *receipts) wait(t *testing.T, n int) []traffic.Charge {
	t.Helper()
	seen := collected(t, &r.mu, &r.seen, n)
	slices.SortStableFunc(seen, func(a, b traffic.Charge) int { return cmp.Compare(a.Attempt, b.Attempt) })
	return seen
}

// tokenPrice makes one unit of money of one token.
var tokenPrice = traffic.Price{Input: 1e6, Output: 1e6}

// priced gives both arms the price of a token each.
func priced(c *traffic.Config) {
	for name, b := range c.Arms {
		b.Price = tokenPrice
		c.Arms[name] = b
	}
}

func refuses(code int) http.HandlerFunc {
	return func(w http.ResponseWriter, _ *http.Request) { http.Error(w, "no", code) }
}

// cut sends some events and breaks off.
func cut(events ...string) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		_, _ = io.Copy(io.Discard, r.Body)
		stream(w, events...)
		panic(http.ErrAbortHandler)
	}
}

// TestCharges: each attempt that has reached a server is charged once, and nothing
// else is.
func TestCharges(t *testing.T) {
	const start = `data: {"type":"message_start","message":{"type":"message","content":[],"usage":{"input_tokens":20,"output_tokens":1}}}` + "\n\n"
	delta := `data: {"type":"content_block_delta","index":0,"delta":{"type":"text_delta","text":"` + strings.Repeat("x", 40) + `"}}` + "\n\n"
	document := func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Type", "application/json")
		_, _ = io.WriteString(w, `{"object":"chat.completion","choices":[{"index":0,"message":{"content":"four"},"finish_reason":"stop"}]}`)
	}
	type want struct {
		attempt       traffic.Attempt
		arm           string
		input, output int
		cost          analysis.Money
		why           string
	}
	tests := []struct {
		name, path, body string
		new              http.HandlerFunc // nil: it is down
		change           func(*traffic.Config)
		want             []want
	}{
		{name: "a good stream", body: streaming, new: good, want: []want{{traffic.First, "new", 10, 5, 15, ""}}},
		{name: "a document that reports nothing", body: `{"messages":[{"content":"` + strings.Repeat("x", 394) + `"}]}`, new: document,
			want: []want{{traffic.First, "new", 99, 1, 100, "output not reported"}}},
		{name: "fallback after a failure", body: streaming, new: refuses(500),
			want: []want{{traffic.First, "new", 0, 0, 0, "status 500"}, {traffic.Fallback, "old", 10, 5, 15, ""}}},
		{name: "second opinion", body: streaming, new: refuses(400),
			want: []want{{traffic.First, "new", 0, 0, 0, "status 400"}, {traffic.Opinion, "old", 10, 5, 15, ""}}},
		{name: "fallback after an answer that was paid for", body: `{"messages":[]}`, new: func(w http.ResponseWriter, _ *http.Request) {
			w.Header().Set("Content-Type", "application/json")
			_, _ = io.WriteString(w, `{"object":"chat.completion","choices":[{"index":0,"message":{"content":"four"},"finish_reason":"odd"}],"usage":{"prompt_tokens":100,"completion_tokens":200}}`)
		}, want: []want{{traffic.First, "new", 100, 200, 300, ""}, {traffic.Fallback, "old", 10, 5, 15, ""}}},
		{name: "the arm cannot be reached", body: streaming, want: []want{{traffic.Fallback, "old", 10, 5, 15, ""}}},
		{name: "hung up without an answer", body: `{"stream":true,"messages":[{"content":"` + strings.Repeat("x", 400) + `"}]}`, new: cut(),
			want: []want{{traffic.First, "new", 100, 0, 100, "no answer"}, {traffic.Fallback, "old", 10, 5, 15, ""}}},
		{name: "cut in the middle", path: "/v1/messages", body: streaming, new: cut(append([]string{start}, slices.Repeat([]string{delta}, 300)...)...),
			want: []want{{traffic.First, "new", 20, 3001, 3021, "output not reported"}}},
		{name: "resources cost nothing", path: "/v1/files", body: `{}`, new: document},
		{name: "lists of models cost nothing", path: "GET /v1/models", new: document},
		{name: "an answer from a cache", body: streaming, new: func(w http.ResponseWriter, r *http.Request) {
			w.Header().Set("X-From-Cache", "yes")
			good(w, r)
		}, change: func(c *traffic.Config) {
			c.Cached = func(h http.Header) bool { return h.Get("X-From-Cache") != "" }
		}},
		{name: "a price that is not known", body: streaming, new: good, change: func(c *traffic.Config) {
			c.Arms["new"] = traffic.Backend{URL: c.Arms["new"].URL}
		}, want: []want{{traffic.First, "new", 10, 5, -1, ""}}},
		{name: "speech by what is spoken", path: "/v1/audio/speech", body: `{"model":"tts-1-hd","voice":"alloy","input":"Hello"}`, new: func(w http.ResponseWriter, _ *http.Request) {
			w.Header().Set("Content-Type", "audio/mpeg")
			_, _ = w.Write(make([]byte, 1000))
		}, change: func(c *traffic.Config) {
			c.Arms["new"] = traffic.Backend{URL: c.Arms["new"].URL, Price: traffic.Price{MillionCharacters: 2e6}}
		}, want: []want{{traffic.First, "new", 0, 0, 10, ""}}},
		{name: "the price of a model of Gemini", path: "/v1beta/models/gemini-3:generateContent", body: `{"contents":[]}`, new: func(w http.ResponseWriter, _ *http.Request) {
			w.Header().Set("Content-Type", "application/json")
			_, _ = io.WriteString(w, `{"candidates":[{"content":{"parts":[{"text":"Hi"}]},"finishReason":"STOP"}],"usageMetadata":{"promptTokenCount":10,"candidatesTokenCount":5},"modelVersion":"gemini-3"}`)
		}, change: func(c *traffic.Config) {
			c.Arms["new"] = traffic.Backend{URL: c.Arms["new"].URL, PriceOf: func(model string) (traffic.Price, bool) {
				return tokenPrice, model == "gemini-3"
			}}
		}, want: []want{{traffic.First, "new", 10, 5, 15, ""}}},
		{name: "the tier of Anthropic", path: "/v1/messages", body: `{"max_tokens":9,"messages":[]}`, new: func(w http.ResponseWriter, _ *http.Request) {
			w.Header().Set("Content-Type", "application/json")
			_, _ = io.WriteString(w, `{"type":"message","content":[{"type":"text","text":"Hi"}],"stop_reason":"end_turn","usage":{"input_tokens":10,"output_tokens":5,"service_tier":"priority"}}`)
		}, change: func(c *traffic.Config) {
			c.Arms["new"] = traffic.Backend{URL: c.Arms["new"].URL, Price: traffic.Price{Input: 1e6, Output: 1e6, Tiers: map[string]traffic.Price{"priority": {Input: 2e6, Output: 2e6}}}}
		}, want: []want{{traffic.First, "new", 10, 5, 30, ""}}},
		{name: "the price of the model that was asked for", body: `{"model":"m","stream":true}`, new: good, change: func(c *traffic.Config) {
			c.Arms["new"] = traffic.Backend{URL: c.Arms["new"].URL, PriceOf: func(model string) (traffic.Price, bool) {
				return traffic.Price{Output: 2e6}, model == "m"
			}}
		}, want: []want{{traffic.First, "new", 10, 5, 10, ""}}},
	}
	for _, tt := range tests {
		for _, shape := range []string{"handler", "transport"} {
			t.Run(tt.name+", "+shape, func(t *testing.T) {
				url := unreachable(t)
				if tt.new != nil {
					url = serve(t, tt.new)
				}
				var r receipts
				router, _ := newRouter(t, serve(t, good), url, func(c *traffic.Config) {
					c.Charged = r.add
					c.Tenant = func(*http.Request) string { return "shop" }
					priced(c)
					if tt.change != nil {
						tt.change(c)
					}
				})
				path := cmp.Or(tt.path, chat)
				method, path, found := strings.Cut(path, " ")
				if !found {
					method, path = http.MethodPost, method
				}
				req := httptest.NewRequest(method, "http://gateway"+path, strings.NewReader(tt.body))
				req.Header.Set(traffic.UnitHeader, "ana")
				func() {
					defer func() { _ = recover() }() // how a handler breaks an answer off
					exchangeIn(t, router, shape, req)
				}()
				for i, got := range r.wait(t, len(tt.want)) {
					want := tt.want[i]
					if got.Attempt != want.attempt || got.Arm != want.arm || got.Usage.Input != want.input || got.Usage.Output != want.output || got.Cost != want.cost || got.Why != want.why {
						t.Errorf("charge %d is %v %s, %d in, %d out, %d, %q, want %+v", i, got.Attempt, got.Arm, got.Usage.Input, got.Usage.Output, got.Cost, got.Why, want)
					}
					if got.Unit != "ana" || got.Tenant != "shop" || got.Request == "" || got.At.IsZero() || got.Estimated != (got.Why != "") || got.Paid {
						t.Errorf("charge %d: %+v", i, got)
					}
				}
			})
		}
	}
}

// TestCopiesAreCharged as copies, under the id of the request.
func TestCopiesAreCharged(t *testing.T) {
	var r receipts
	router, _ := newRouter(t, serve(t, good), serve(t, good), func(c *traffic.Config) {
		c.Charged, c.Split = r.add, mirrored(strategies.Full)
		priced(c)
	})
	account := &till{}
	req := httptest.NewRequest("POST", "http://gateway"+chat, strings.NewReader(streaming))
	exchangeIn(t, router, "handler", req.WithContext(traffic.WithAccount(req.Context(), account)))
	got := r.wait(t, 2)
	if first, copied := got[0], got[1]; first.Attempt != traffic.First || first.Arm != "old" || !first.Paid ||
		copied.Attempt != traffic.Mirror || copied.Arm != "new" || copied.Cost != 15 || copied.Paid || copied.Request != first.Request {
		t.Errorf("%+v", got)
	}
	if account.charges() != 1 {
		t.Errorf("the account was charged %d times, want once: copies are not its expense", account.charges())
	}
}

// TestAttemptsOfPoolsAreCharged: what a pool of replicas sends twice costs twice.
func TestAttemptsOfPoolsAreCharged(t *testing.T) {
	body := `{"stream":true,"messages":[{"content":"` + strings.Repeat("x", 400) + `"}]}`
	tests := []struct {
		name string
		slow bool // the first server is slow, and not broken
		want traffic.Attempt
		cost analysis.Money
	}{
		{"a retry after a server hung up", false, traffic.Retry, 100},
		{"a hedge", true, traffic.Hedge, 100},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			var once sync.Once
			server := serve(t, func(w http.ResponseWriter, r *http.Request) {
				_, _ = io.Copy(io.Discard, r.Body)
				first := false
				once.Do(func() { first = true })
				switch {
				case first && tt.slow:
					<-r.Context().Done()
				case first:
					panic(http.ErrAbortHandler)
				default:
					good(w, r)
				}
			})
			second := strings.Replace(server, "127.0.0.1", "localhost", 1)
			cfg := replicas.Config{Replicas: []replicas.Replica{{URL: server}, {URL: second}}}
			if tt.slow {
				cfg.Hedge = time.Millisecond
			}
			pool, err := replicas.New(cfg)
			if err != nil {
				t.Fatal(err)
			}
			t.Cleanup(func() { _ = pool.Close() })
			var r receipts
			router, _ := newRouter(t, unreachable(t), "http://pool", func(c *traffic.Config) {
				c.Charged = r.add
				c.Arms["new"] = traffic.Backend{URL: "http://pool", Transport: pool}
				priced(c)
			})
			req := httptest.NewRequest("POST", "http://gateway"+chat, strings.NewReader(body))
			if status := exchangeIn(t, router, "handler", req); status != 200 {
				t.Fatalf("status %d", status)
			}
			got := r.wait(t, 2)
			if first, other := got[0], got[1]; first.Attempt != traffic.First || first.Cost != 15 || other.Attempt != tt.want || other.Cost != tt.cost || !other.Estimated || other.Arm != "new" {
				t.Errorf("%+v", got)
			}
		})
	}
}

// till is an account that admits a number of requests.
type till struct {
	mu        sync.Mutex
	refuse    error
	estimates []analysis.Money
	seen      []traffic.Charge
	settled   []string
}

func (a *till) Reserve(_ string, estimate analysis.Money) error {
	a.mu.Lock()
	defer a.mu.Unlock()
	a.estimates = append(a.estimates, estimate)
	return a.refuse
}

func (a *till) Charge(c traffic.Charge) {
	a.mu.Lock()
	defer a.mu.Unlock()
	a.seen = append(a.seen, c)
}

func (a *till) Settle(request string) {
	a.mu.Lock()
	defer a.mu.Unlock()
	a.settled = append(a.settled, request)
}

func (a *till) charges() int {
	a.mu.Lock()
	defer a.mu.Unlock()
	return len(a.seen)
}

// panickingTill panics wherever it can.
type panickingTill struct{ inCharge bool }

func (p panickingTill) Reserve(string, analysis.Money) error {
	if !p.inCharge {
		panic("reserve")
	}
	return nil
}
func (panickingTill) Charge(traffic.Charge) { panic("charge") }
func (panickingTill) Settle(string)         { panic("settle") }

// TestAccountsRefuse: a request that its account does not pay for reaches no server,
// and its caller learns why.
func TestAccountsRefuse(t *testing.T) {
	refused := &traffic.RefusedError{Code: "budget_exceeded", Reason: `the budget of "ana" is spent`, RetryAfter: 90 * time.Second}
	for name, tt := range map[string]struct {
		account traffic.Account
		code    string
	}{
		"with a reason":   {&till{refuse: refused}, "budget_exceeded"},
		"wrapped":         {&till{refuse: fmt.Errorf("till: %w", refused)}, "budget_exceeded"},
		"without reasons": {&till{refuse: errors.New("the password is 1234")}, "budget"},
		"by a panic":      {panickingTill{}, "budget_unknown"},
	} {
		t.Run(name, func(t *testing.T) {
			model := &seen{}
			url := serve(t, model.ServeHTTP)
			router, d := newRouter(t, url, url, priced)
			request := func() *http.Request {
				req := httptest.NewRequest("POST", "http://gateway"+chat, strings.NewReader(`{"messages":[]}`))
				return req.WithContext(traffic.WithAccount(req.Context(), tt.account))
			}
			w := httptest.NewRecorder()
			router.ServeHTTP(w, request())
			if w.Code != http.StatusTooManyRequests || !strings.Contains(w.Body.String(), `"code":"`+tt.code+`"`) || strings.Contains(w.Body.String(), "1234") {
				t.Errorf("status %d, %s", w.Code, w.Body)
			}
			if tt.code == "budget_exceeded" && w.Header().Get("Retry-After") != "90" {
				t.Errorf("Retry-After %q, want 90", w.Header().Get("Retry-After"))
			}
			req := request()
			req.RequestURI = ""
			if resp, err := router.RoundTripper().RoundTrip(req); err == nil {
				t.Errorf("the transport returned status %d", resp.StatusCode)
			} else if got := new(traffic.RefusedError); tt.code == "budget_exceeded" && !errors.As(err, &got) {
				t.Errorf("the error is %v", err)
			}
			if n := model.count(); n != 0 {
				t.Errorf("the server was asked %d times", n)
			}
			d.wait(t, 0)
			if n := router.Unserved()["budget"]; n != 2 {
				t.Errorf("%d unserved for the budget, want 2", n)
			}
		})
	}
}

// TestChargesThatPanic leave the answer whole.
func TestChargesThatPanic(t *testing.T) {
	for _, shape := range []string{"handler", "transport"} {
		model := serve(t, good)
		router, d := newRouter(t, model, model, func(c *traffic.Config) {
			c.Charged = func(traffic.Charge) { panic("charged") }
			priced(c)
		})
		req := httptest.NewRequest("POST", "http://gateway"+chat, strings.NewReader(streaming))
		req = req.WithContext(traffic.WithAccount(req.Context(), panickingTill{inCharge: true}))
		if status := exchangeIn(t, router, shape, req); status != 200 {
			t.Errorf("%s: status %d", shape, status)
		}
		if o := d.one(t); o.Class != analysis.OK {
			t.Errorf("%s: class %v", shape, o.Class)
		}
		if p := router.Panics(); p["Charged"] != 1 || p["Account.Charge"] != 1 || p["Account.Settle"] != 1 {
			t.Errorf("%s: panics %v", shape, p)
		}
	}
}

// TestEstimates: what is reserved covers the input, and of the output what the request
// allows, or what answers of the arm have had so far; and what a fallback adds.
func TestEstimates(t *testing.T) {
	text := strings.Repeat("x", 400) // 100 tokens
	for name, tt := range map[string]struct {
		path, body string
		warm       int // requests before
		candidate  strategies.Weight
		want       analysis.Money
	}{
		"the most that is allowed":       {chat, `{"max_tokens":50,"prompt":"` + text + `"}`, 0, 0, 100 + 50},
		"of several choices":             {chat, `{"max_tokens":50,"n":3,"prompt":"` + text + `"}`, 0, 0, 100 + 150},
		"nothing known":                  {chat, `{"prompt":"` + text + `"}`, 0, 0, 100 + 4096},
		"as answers were":                {chat, `{"prompt":"` + text + `"}`, 20, 0, 100 + 5},
		"less than answers were":         {chat, `{"max_tokens":2,"prompt":"` + text + `"}`, 20, 0, 100 + 2},
		"a limit of another interface":   {chat, `{"n_predict":1,"max_output_tokens":1,"prompt":"` + text + `"}`, 0, 0, 100 + 4096},
		"embeddings of tokens":           {"/v1/embeddings", `{"input":[[` + strings.Repeat("7,", 299) + `7],[8]]}`, 0, 0, 301},
		"a document that is text":        {"/v1/messages", `{"max_tokens":50,"messages":[{"content":[{"source":{"data":"` + text + `","type":"text"}}]}]}`, 0, 0, 101 + 50},
		"embeddings have no output":      {"/v1/embeddings", `{"input":"` + text + `"}`, 0, 0, 100},
		"an image":                       {chat, `{"max_tokens":50,"messages":[{"content":[{"image_url":{"url":"data:image/png;base64,` + text + `"}}]}]}`, 0, 0, 1000 + 50},
		"the candidate and a fallback":   {chat, `{"max_tokens":50,"prompt":"` + text + `"}`, 0, strategies.Full, 100 + 100 + 50 + 1},
		"a resource is not paid for":     {"/v1/batches", `{}`, 0, 0, -1},
		"a list of models is not either": {"/v1/models/m:countTokens", `{}`, 0, 0, -1},
	} {
		t.Run(name, func(t *testing.T) {
			model := serve(t, good)
			router, _ := newRouter(t, model, model, func(c *traffic.Config) {
				c.Split = split(7, tt.candidate)
				priced(c)
			})
			account := &till{}
			ask := func(path, body string) {
				req := httptest.NewRequest("POST", "http://gateway"+path, strings.NewReader(body))
				exchangeIn(t, router, "handler", req.WithContext(traffic.WithAccount(context.Background(), account)))
			}
			for range tt.warm {
				ask(chat, streaming)
			}
			account.estimates = nil
			ask(tt.path, tt.body)
			if tt.want < 0 {
				if len(account.estimates) != 0 {
					t.Errorf("reserved %d", account.estimates)
				}
				return
			}
			const template = 16 // tokens that the server may add, of each arm
			if len(account.estimates) != 1 || account.estimates[0] < tt.want+template || account.estimates[0] > tt.want+2*template+2 {
				t.Errorf("reserved %d, want %d", account.estimates, tt.want)
			}
			if len(account.settled) != 1+tt.warm {
				t.Errorf("%d requests were settled, want %d", len(account.settled), 1+tt.warm)
			}
		})
	}
}

// TestAssignmentsAreCharged, too.
func TestAssignmentsAreCharged(t *testing.T) {
	var r receipts
	router, _ := newRouter(t, unreachable(t), unreachable(t), func(c *traffic.Config) {
		c.Charged = r.add
		priced(c)
	})
	router.Assign(t.Context(), "ana").Done(analysis.Observation{Class: analysis.OK, ID: "7", InputTokens: 3, OutputTokens: 4})
	if got := r.wait(t, 1)[0]; got.Cost != 7 || got.Arm != "new" || got.Unit != "ana" || got.Request != "7" || got.Usage != (answers.Usage{Input: 3, Output: 4, Reported: true}) {
		t.Errorf("%+v", got)
	}
}

// TestUnsentIsNotCharged: what has reached no server costs nothing.
func TestUnsentIsNotCharged(t *testing.T) {
	distrusted := httptest.NewUnstartedServer(http.HandlerFunc(good))
	distrusted.Config.ErrorLog = log.New(io.Discard, "", 0) // of handshakes that fail
	distrusted.StartTLS()
	t.Cleanup(distrusted.Close)
	pool := func(t *testing.T, hedge time.Duration, urls ...string) http.RoundTripper {
		var list []replicas.Replica
		for _, url := range urls {
			list = append(list, replicas.Replica{URL: url})
		}
		p, err := replicas.New(replicas.Config{Replicas: list, Hedge: hedge, EjectAfter: -1})
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { _ = p.Close() })
		return p
	}
	connecting := make(chan struct{}, 100)
	stuck := &http.Transport{DialContext: func(ctx context.Context, _, _ string) (net.Conn, error) {
		connecting <- struct{}{}
		<-ctx.Done()
		return nil, ctx.Err()
	}}
	for name, tt := range map[string]struct {
		arm    func(t *testing.T) traffic.Backend
		leaves bool
		shapes []string
		want   int // charges of a first attempt, a retry or a hedge
	}{
		"a certificate that is not trusted": {func(*testing.T) traffic.Backend { return traffic.Backend{URL: distrusted.URL} }, false, nil, 0},
		"the caller leaves while connecting": {func(*testing.T) traffic.Backend {
			return traffic.Backend{URL: "http://model", Transport: stuck}
		}, true, nil, 0},
		"an arm without a URL": {func(*testing.T) traffic.Backend {
			return traffic.Backend{Handler: http.HandlerFunc(good)}
		}, false, []string{"transport"}, 0},
		"a replica that is down": {func(t *testing.T) traffic.Backend {
			return traffic.Backend{URL: "http://pool", Transport: pool(t, 0, unreachable(t), serve(t, good))}
		}, false, nil, 1},
		"a replica that is down, with hedges": {func(t *testing.T) traffic.Backend {
			return traffic.Backend{URL: "http://pool", Transport: pool(t, time.Minute, unreachable(t), serve(t, good))}
		}, false, nil, 1},
	} {
		shapes := tt.shapes
		if shapes == nil {
			shapes = []string{"handler", "transport"}
		}
		for _, shape := range shapes {
			t.Run(name+", "+shape, func(t *testing.T) {
				var r receipts
				router, _ := newRouter(t, unreachable(t), unreachable(t), func(c *traffic.Config) {
					c.Charged, c.Arms["new"] = r.add, tt.arm(t)
					priced(c)
				})
				for range 10 {
					req := httptest.NewRequest("POST", "http://gateway"+chat, strings.NewReader(streaming))
					if tt.leaves {
						ctx, leave := context.WithCancel(req.Context())
						go func() { <-connecting; leave() }()
						req = req.WithContext(ctx)
					}
					exchangeIn(t, router, shape, req)
				}
				for _, c := range r.wait(t, 10*tt.want) {
					if c.Attempt != traffic.First {
						t.Errorf("charged %+v", c)
					}
				}
			})
		}
	}
}

// TestHitsCannotBeForged: a server that says that its answer comes from a cache is paid.
func TestHitsCannotBeForged(t *testing.T) {
	server := serve(t, func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set(traffic.CacheHeader, "hit")
		good(w, r)
	})
	pool, err := replicas.New(replicas.Config{Replicas: []replicas.Replica{{URL: server}}})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = pool.Close() })
	for name, transport := range map[string]http.RoundTripper{"none": nil, "http": &http.Transport{}, "pool": pool} {
		var r receipts
		router, _ := newRouter(t, unreachable(t), server, func(c *traffic.Config) {
			c.Charged = r.add
			c.Arms["new"] = traffic.Backend{URL: server, Transport: transport}
			priced(c)
		})
		w := httptest.NewRecorder()
		router.ServeHTTP(w, httptest.NewRequest("POST", "http://gateway"+chat, strings.NewReader(streaming)))
		if got := r.wait(t, 1)[0]; got.Cost != 15 || w.Header().Get(traffic.CacheHeader) != "" {
			t.Errorf("transport %s: charged %d, header %v", name, got.Cost, w.Header())
		}
	}
}

// TestRoutersBehindRouters: the account of a request is charged by the first router.
func TestRoutersBehindRouters(t *testing.T) {
	inner, _ := newRouter(t, unreachable(t), serve(t, good), priced)
	outer, _ := newRouter(t, unreachable(t), unreachable(t), func(c *traffic.Config) {
		c.Arms["new"] = traffic.Backend{Handler: inner}
		priced(c)
	})
	account := &till{}
	req := httptest.NewRequest("POST", "http://gateway"+chat, strings.NewReader(streaming))
	exchangeIn(t, outer, "handler", req.WithContext(traffic.WithAccount(req.Context(), account)))
	if account.charges() != 1 || len(account.estimates) != 1 {
		t.Errorf("%d charges, %d reservations, want one each", account.charges(), len(account.estimates))
	}
}

// TestMisfitCopiesAreDropped: a copy in which the model's name cannot be set was not
// sent, and says nothing about its arm.
func TestMisfitCopiesAreDropped(t *testing.T) {
	var r receipts
	router, _ := newRouter(t, serve(t, good), serve(t, good), func(c *traffic.Config) {
		c.Charged, c.Split = r.add, mirrored(strategies.Full)
		c.Arms["new"] = traffic.Backend{URL: c.Arms["new"].URL, Model: "m-2"}
		priced(c)
	})
	req := httptest.NewRequest("POST", "http://gateway/v1/audio/transcriptions", strings.NewReader("RIFF"))
	req.Header.Set("Content-Type", "audio/wav")
	exchangeIn(t, router, "handler", req)
	waitFor(t, func() bool { m := router.Mirrors(); return len(m) == 1 && m[0].Dropped == 1 && m[0].Copies == 0 })
	if got := r.wait(t, 1)[0]; got.Attempt != traffic.First {
		t.Errorf("charged %+v", got)
	}
}
