package traffic_test

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"net/http"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/serin-go/serin/checks"
	"github.com/serin-go/serin/checks/analysis"
	answers "github.com/serin-go/serin/checks/analysis/answer"
	"github.com/serin-go/serin/rollout"
	"github.com/serin-go/serin/rollout/memstore"
	"github.com/serin-go/serin/rollout/traffic"
	"github.com/serin-go/serin/strategies"
	"github.com/serin-go/serin/versioning"
)

// mirrored is a split that copies a share of the baseline's requests.
func mirrored(share strategies.Weight) strategies.Split {
	s := split(7, 0)
	s.Mirrors = []strategies.Mirror{{Arm: "new", Share: share}}
	return s
}

// copies waits until n copies have ended one way or another, and returns the stats.
func copies(t testing.TB, r *traffic.Router, n uint64) traffic.MirrorStats {
	t.Helper()
	for deadline := time.Now().Add(patience); ; time.Sleep(time.Millisecond) {
		var m traffic.MirrorStats
		if all := r.Mirrors(); len(all) > 0 {
			m = all[0]
		}
		if got := m.Copies + m.Dropped + m.Capped + m.Oversize; got == n {
			return m
		} else if got > n || time.Now().After(deadline) {
			t.Fatalf("%+v, want %d", m, n)
		}
	}
}

// through sends a request in each of the two shapes.
func through(t *testing.T, r *traffic.Router) map[string]func(body string) answer {
	url := serve(t, r.ServeHTTP)
	client := &http.Client{Transport: r.RoundTripper()}
	return map[string]func(string) answer{
		"handler": func(body string) answer { return post(t, url, body) },
		"transport": func(body string) answer {
			resp, err := client.Post("http://models"+chat+"?x=1", "application/json", strings.NewReader(body))
			if err != nil {
				t.Fatal(err)
			}
			return read(resp)
		},
	}
}

func TestMirror(t *testing.T) {
	const body = `{"model":"a","stream":true,"tools":[{"type":"function"}],"tool_choice":"auto","messages":[{"role":"user","content":"1.50 é"}]}`
	var mu sync.Mutex
	var got []string
	candidate := serve(t, func(w http.ResponseWriter, req *http.Request) {
		b, _ := io.ReadAll(req.Body)
		mu.Lock()
		got = append(got, fmt.Sprint(req.Header.Get(traffic.MirrorHeader), " ", req.Header.Get("Authorization"), " ", req.Header.Get(traffic.ArmHeader), string(b)))
		mu.Unlock()
		good(w, req)
	})
	var copied diary
	baseline := serve(t, good)
	r, d := newRouter(t, baseline, candidate, func(c *traffic.Config) {
		c.Split = mirrored(strategies.Full)
		c.Arms["new"] = traffic.Backend{URL: candidate, Model: "b"}
		c.Mirror.Observe = copied.observe
	})
	n := 0
	for shape, send := range through(t, r) {
		if a := send(body); a.body != goodStream || a.version != "old" {
			t.Errorf("%s: the caller got %+v", shape, a)
		}
		n++
		d.wait(t, n) // no copy among them
		for _, o := range copied.wait(t, n) {
			if o.Arm != "new" || o.Class != analysis.OK || o.OutputTokens != 5 || o.TTFT <= 0 || o.Generation != 7 {
				t.Errorf("%s: the copy was measured as %+v", shape, o)
			}
		}
	}
	want := `1  {"model":"b","stream":true,"messages":[{"role":"user","content":"1.50 é"}]}`
	mu.Lock()
	defer mu.Unlock()
	if diff := cmp.Diff([]string{want, want}, got); diff != "" {
		t.Errorf("what the candidate was asked (-want +got):\n%s", diff)
	}
	for _, s := range r.Stats() {
		if want := map[string]uint64{"old": 2, "new": 0}[s.Arm]; s.Requests != want {
			t.Errorf("%s has %d requests", s.Arm, s.Requests)
		}
	}
}

// TestMirrorDisturbsNobody: a candidate that hangs, breaks off or fails costs
// the callers nothing, and copies beyond the queue are dropped and counted.
func TestMirrorDisturbsNobody(t *testing.T) {
	for name, h := range map[string]http.HandlerFunc{
		"fails":      func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(http.StatusInternalServerError) },
		"panics":     func(http.ResponseWriter, *http.Request) { panic("no") },
		"breaks off": func(w http.ResponseWriter, _ *http.Request) { stream(w, role, token("x")); panic(http.ErrAbortHandler) },
	} {
		t.Run(name, func(t *testing.T) {
			r, d := newRouter(t, serve(t, good), "http://127.0.0.1:1", func(c *traffic.Config) {
				c.Split = mirrored(strategies.Full)
				c.Arms["new"] = traffic.Backend{Handler: h}
			})
			url := serve(t, r.ServeHTTP)
			for range 5 {
				if a := post(t, url, streaming); a.body != goodStream {
					t.Errorf("the caller got %+v", a)
				}
			}
			for _, o := range d.wait(t, 5) {
				if o.Arm != "old" || o.Class != analysis.OK {
					t.Errorf("%+v", o)
				}
			}
			if m := copies(t, r, 5); m.ByClass[analysis.OK] != 0 || m.Copies != 5 {
				t.Errorf("%+v", m)
			}
		})
	}
	t.Run("hangs", func(t *testing.T) {
		release := make(chan struct{})
		r, _ := newRouter(t, serve(t, good), "", func(c *traffic.Config) {
			c.Split = mirrored(strategies.Full)
			c.Arms["new"] = traffic.Backend{Handler: http.HandlerFunc(func(w http.ResponseWriter, req *http.Request) { <-release; good(w, req) })}
			c.Mirror = traffic.Mirroring{Concurrent: 2, Queue: 3}
		})
		url := serve(t, r.ServeHTTP)
		for range 20 {
			if a := post(t, url, streaming); a.body != goodStream {
				t.Errorf("the caller got %+v", a)
			}
		}
		if m := copies(t, r, 15); m.Dropped != 15 {
			t.Errorf("%+v, want 15 dropped", m)
		}
		close(release)
		if m := copies(t, r, 20); m.ByClass[analysis.OK] != 5 {
			t.Errorf("%+v, want 5 that went well", m)
		}
	})
	t.Run("hangs for ever", func(t *testing.T) {
		r, _ := newRouter(t, serve(t, good), "", func(c *traffic.Config) {
			c.Split = mirrored(strategies.Full)
			c.Arms["new"] = traffic.Backend{Handler: http.HandlerFunc(func(_ http.ResponseWriter, req *http.Request) { <-req.Context().Done() })}
			c.Mirror.Timeout = 10 * time.Millisecond
		})
		post(t, serve(t, r.ServeHTTP), streaming)
		if m := copies(t, r, 1); m.ByClass[analysis.Timeout] != 1 {
			t.Errorf("%+v, want a timeout", m)
		}
	})
}

func TestMirrorLimits(t *testing.T) {
	start := func(change func(*traffic.Config)) (*traffic.Router, string) {
		r, _ := newRouter(t, serve(t, good), serve(t, good), func(c *traffic.Config) {
			c.Split = mirrored(strategies.Full)
			change(c)
		})
		return r, serve(t, r.ServeHTTP)
	}
	// 10 tokens in and 5 out at 1 a token cost 15.
	price := traffic.Price{Input: 1e6, Output: 1e6, CacheRead: 1e6}
	r, url := start(func(c *traffic.Config) {
		c.Arms["new"] = traffic.Backend{URL: c.Arms["new"].URL, Price: price}
		c.Mirror.MaxCost = 40
	})
	for i := range 6 {
		post(t, url, streaming)
		copies(t, r, uint64(i+1))
	}
	if m := copies(t, r, 6); m.Copies != 3 || m.Capped != 3 {
		t.Errorf("%+v, want 3 copies until they had cost 40", m)
	}
	r, url = start(func(c *traffic.Config) { c.Mirror.MaxCost = 40 })
	post(t, url, streaming)
	if m := copies(t, r, 1); m.Capped != 1 {
		t.Errorf("%+v: what costs nobody knows what is not free", m)
	}
	r, url = start(func(c *traffic.Config) { c.MaxBody = 10 })
	if a := post(t, url, strings.Repeat(" ", 100)+streaming); a.body != goodStream {
		t.Errorf("the caller got %+v", a)
	}
	if m := copies(t, r, 1); m.Oversize != 1 {
		t.Errorf("%+v, want one that is too large", m)
	}
	for _, m := range []traffic.Mirroring{{Concurrent: -1}, {Queue: -1}, {Timeout: -1}, {MaxCost: -1}, {MaxAnswer: -1}} {
		var bad *checks.InvalidError
		if _, err := traffic.New(traffic.Config{Arms: map[string]traffic.Backend{"old": {}}, Mirror: m}); !errors.As(err, &bad) {
			t.Errorf("%+v: %v, want an InvalidError", m, err)
		}
	}
	var none *traffic.NoBackendError
	s := mirrored(1)
	s.Arms[1].Name, s.Mirrors[0].Arm = "newer", "newer"
	if err := r.SetSplit(context.Background(), s); !errors.As(err, &none) {
		t.Errorf("a mirror without a backend: %v", err)
	}
}

// TestMirrorShare: a share of the users, always the same ones, and none after the
// split has changed or the arm was killed.
func TestMirrorShare(t *testing.T) {
	var mu sync.Mutex
	of := map[string]int{}
	r, _ := newRouter(t, serve(t, good), "", func(c *traffic.Config) {
		c.Split = mirrored(strategies.Percent(20))
		c.Arms["old"] = traffic.Backend{Handler: http.HandlerFunc(good)}
		c.Arms["new"] = traffic.Backend{Handler: http.HandlerFunc(func(w http.ResponseWriter, req *http.Request) {
			mu.Lock()
			of[req.Header.Get("X-User")]++
			mu.Unlock()
			good(w, req)
		})}
		c.Mirror.Queue = 100_000
		c.Unit = func(r *http.Request) string { return r.Header.Get("X-User") }
	})
	client := &discard{header: http.Header{}}
	ask := func(user string) {
		req, _ := http.NewRequest(http.MethodPost, "http://gateway"+chat, strings.NewReader(streaming))
		req.Header.Set("X-User", user)
		r.ServeHTTP(client, req)
	}
	for range 3 {
		for u := range 1000 {
			ask(fmt.Sprint("user-", u))
		}
	}
	var n uint64
	for deadline := time.Now().Add(patience); ; time.Sleep(time.Millisecond) {
		mu.Lock()
		users := len(of)
		three := true
		for _, k := range of {
			three = three && k == 3
		}
		mu.Unlock()
		if n = r.Mirrors()[0].Copies; n == uint64(3*users) && three && users > 150 && users < 250 {
			break
		}
		if time.Now().After(deadline) {
			t.Fatalf("%d copies of %d users, each three times: %t", n, users, three)
		}
	}
	if err := r.Kill("new"); err != nil {
		t.Fatal(err)
	}
	for u := range 1000 {
		ask(fmt.Sprint("user-", u))
	}
	if got := copies(t, r, n); got.Copies != n {
		t.Errorf("%d copies for an arm that was killed", got.Copies-n)
	}
}

// discard is a caller who does not look at the answer.
type discard struct{ header http.Header }

func (d *discard) Header() http.Header         { return d.header }
func (d *discard) Write(p []byte) (int, error) { return len(p), nil }
func (d *discard) WriteHeader(int)             {}
func (d *discard) SetReadDeadline(time.Time) error {
	return nil // what it reads has come already
}

func TestCompare(t *testing.T) {
	const tools = `{"choices":[{"message":{"content":null,"tool_calls":[{"function":{"name":"weather","arguments":"{\"city\": \"Bern\"}"}}]},"finish_reason":"tool_calls"}]}`
	events := func(list ...string) string { return "data: " + strings.Join(list, "\n\ndata: ") + "\n\n" }
	streamed := events(`{"choices":[{"delta":{"role":"assistant","tool_calls":[{"index":0,"function":{"name":"weather","arguments":""}}]}}]}`,
		`{"choices":[{"delta":{"tool_calls":[{"index":0,"function":{"arguments":"{\"city\""}}]}}]}`, `{"choices":[{"delta":{"tool_calls":[{"index":0,"function":{"arguments":":\"Bern\"}"}}]}}]}`,
		`{"choices":[{"delta":{},"finish_reason":"tool_calls"}]}`, "[DONE]")
	message := `{"type":"message","content":[{"type":"text","text":"Hello!"},{"type":"tool_use","name":"weather","input":{"city":"Bern"}}],"stop_reason":"end_turn","usage":{"output_tokens":2}}`
	messages := "event: message_start\n" + events(`{"type":"message_start","message":{"role":"assistant","content":[]}}`, `{"type":"content_block_start","index":0,"content_block":{"type":"text","text":""}}`,
		`{"type":"content_block_delta","index":0,"delta":{"type":"text_delta","text":"Hel"}}`, `{"type":"content_block_delta","index":0,"delta":{"type":"text_delta","text":"lo!"}}`,
		`{"type":"content_block_start","index":1,"content_block":{"type":"tool_use","name":"weather","input":{}}}`, `{"type":"content_block_delta","index":1,"delta":{"type":"input_json_delta","partial_json":"{\"city\":\"Bern\"}"}}`,
		`{"type":"message_delta","delta":{"stop_reason":"end_turn"},"usage":{"output_tokens":2}}`, `{"type":"message_stop"}`)
	response := `{"object":"response","status":"completed","output":[{"type":"message","content":[{"type":"output_text","text":"Hello!"}]},{"type":"function_call","name":"weather","arguments":"{\"city\":\"Bern\"}"}],"usage":{"output_tokens":2}}`
	responses := events(`{"type":"response.created","response":{"status":"in_progress"}}`, `{"type":"response.output_text.delta","delta":"Hel"}`, `{"type":"response.output_text.delta","delta":"lo!"}`,
		`{"type":"response.output_item.done","output_index":1,"item":{"type":"function_call","name":"weather","arguments":"{\"city\":\"Bern\"}"}}`, `{"type":"response.completed","response":{"status":"completed","usage":{"output_tokens":2}}}`)
	ollama := `{"message":{"content":"Hello!","tool_calls":[{"function":{"name":"weather","arguments":{"city":"Bern"}}}]},"done":true,"done_reason":"stop"}`
	ollamaLines := `{"message":{"content":"Hel"},"done":false}` + "\n" + `{"message":{"content":"lo!"},"done":false}` + "\n" +
		`{"message":{"content":"","tool_calls":[{"function":{"name":"weather","arguments":{"city":"Bern"}}}]},"done":false}` + "\n" + `{"message":{"content":""},"done":true,"done_reason":"stop"}` + "\n"
	generated := `{"response":"Hel","done":false}` + "\n" + `{"response":"lo!","done":false}` + "\n" + `{"response":"","done":true,"done_reason":"stop"}` + "\n"
	call := []traffic.ToolCall{{Name: "weather", Arguments: `{"city":"Bern"}`}}
	for _, tt := range []struct {
		name, primary, copy string
		text                string
		calls               []traffic.ToolCall
	}{
		{"tools, whole and streamed", tools, streamed, "", call},
		{"messages", message, messages, "Hello!", call},
		{"responses", response, responses, "Hello!", call},
		{"chats", `{"choices":[{"message":{"content":[{"type":"text","text":"Hello!"}]},"finish_reason":"stop"}]}`, goodStream, "Hello!", nil},
		{"Ollama, whole and in lines", ollama, ollamaLines, "Hello!", call},
		{"Ollama, generated", generated, goodStream, "Hello!", nil},
		{"completions", `{"choices":[{"text":" Hello! ","finish_reason":"stop"}]}`, goodStream, "Hello!", nil},
	} {
		t.Run(tt.name, func(t *testing.T) {
			give := func(body string) http.Handler {
				return http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
					w.Header().Set("Content-Type", "application/json")
					switch {
					case !strings.HasPrefix(body, "{"):
						w.Header().Set("Content-Type", "text/event-stream")
					case strings.Contains(body, "\n"):
						w.Header().Set("Content-Type", "application/x-ndjson")
					}
					io.WriteString(w, body)
				})
			}
			pairs := make(chan traffic.Pair, 1)
			r, _ := newRouter(t, "", "", func(c *traffic.Config) {
				c.Split = mirrored(strategies.Full)
				c.Arms = map[string]traffic.Backend{"old": {Handler: give(tt.primary)}, "new": {Handler: give(tt.copy)}}
				c.Mirror.Compare = func(_ context.Context, p traffic.Pair) (float64, float64, bool) { pairs <- p; return 0, 0, false }
				c.Routes = func(string, string) (answers.Route, bool) { // the two answers have forms of their own
					return answers.Route{Kind: answers.Inference}, true
				}
			})
			post(t, serve(t, r.ServeHTTP), "anything")
			var p traffic.Pair
			select {
			case p = <-pairs:
			case <-time.After(patience):
				t.Fatal("nothing was compared")
			}
			for which, a := range map[string]traffic.Answer{"primary": p.Primary, "copy": p.Copy} {
				if strings.TrimSpace(a.Text) != tt.text || len(a.ToolCalls) != len(tt.calls) || a.ID == "" || len(a.Body) == 0 {
					t.Errorf("%s: %q, %v", which, a.Text, a.ToolCalls)
				}
			}
			if p.Primary.Arm != "old" || p.Copy.Arm != "new" || string(p.Request) != "anything" {
				t.Errorf("%s and %s about %s", p.Primary.Arm, p.Copy.Arm, p.Request)
			}
			if !p.Same() {
				t.Errorf("they say the same:\n%+v\n%+v", p.Primary, p.Copy)
			}
			p.Copy.Text += "?"
			if p.Same() {
				t.Error("they do not say the same any more")
			}
		})
	}
}

// TestNotCompared: answers that are not complete, too long, or not the arm's own.
func TestNotCompared(t *testing.T) {
	broken := func(w http.ResponseWriter, _ *http.Request) { stream(w, role, token("x")); panic(http.ErrAbortHandler) }
	for name, c := range map[string]struct{ primary, copy http.HandlerFunc }{
		"the primary breaks off": {broken, good}, "the copy breaks off": {good, broken},
		"too long": {good, func(w http.ResponseWriter, _ *http.Request) {
			stream(w, role, token(strings.Repeat("x", 2000)), finish, done)
		}},
	} {
		r, _ := newRouter(t, "", "", func(cfg *traffic.Config) {
			cfg.Split = mirrored(strategies.Full)
			cfg.Arms = map[string]traffic.Backend{"old": {Handler: c.primary}, "new": {Handler: c.copy}}
			cfg.Mirror.MaxAnswer = 1000
			cfg.Mirror.Compare = func(context.Context, traffic.Pair) (float64, float64, bool) {
				t.Errorf("%s: it was compared", name)
				return 0, 0, false
			}
		})
		post(t, serve(t, r.ServeHTTP), streaming)
		copies(t, r, 1)
	}
}

// TestShadowRollout drives rollouts through shadow and canary with a real router:
// the judge stops a candidate whose answers are worse before any user has met it,
// and lets a good one pass.
func TestShadowRollout(t *testing.T) {
	for _, worse := range []bool{false, true} {
		t.Run(fmt.Sprintf("worse %t", worse), func(t *testing.T) {
			var met atomic.Int64 // users who met the candidate
			r, err := traffic.New(traffic.Config{
				Arms: map[string]traffic.Backend{
					"1.4.0": {Handler: http.HandlerFunc(good)},
					"1.5.0": {Handler: http.HandlerFunc(func(w http.ResponseWriter, req *http.Request) {
						if req.Header.Get(traffic.MirrorHeader) == "" {
							met.Add(1)
						}
						good(w, req)
					})},
				},
				Split: strategies.Split{Arms: []strategies.Arm{{Name: "1.4.0", Weight: strategies.Full}}},
				Mirror: traffic.Mirroring{Compare: func(context.Context, traffic.Pair) (float64, float64, bool) {
					a, b := rand.Float64(), rand.Float64()
					if worse {
						b /= 4
					}
					return a, b, true
				}},
			})
			if err != nil {
				t.Fatal(err)
			}
			e, err := rollout.Open(t.Context(), rollout.Config{Store: new(memstore.Store), Targets: map[string]rollout.Splitter{"chat": r}, Tick: 20 * time.Millisecond})
			if err != nil {
				t.Fatal(err)
			}
			defer e.Close()
			ctx, cancel := context.WithCancel(t.Context())
			defer cancel()
			for range 2 {
				go func() {
					for ctx.Err() == nil {
						req, _ := http.NewRequest(http.MethodPost, "http://gateway"+chat, strings.NewReader(streaming))
						r.ServeHTTP(&discard{header: http.Header{}}, req)
						time.Sleep(200 * time.Microsecond)
					}
				}()
			}
			satisfaction := analysis.Satisfaction()
			satisfaction.Role = analysis.Guard
			id, err := e.Start(ctx, rollout.Plan{
				Target:    "chat",
				Baseline:  versioning.Release{Version: versioning.MustParse("1.4.0")},
				Candidate: versioning.Release{Version: versioning.MustParse("1.5.0")},
				Strategy: strategies.Sequence(
					strategies.Shadow{Share: strategies.Full, MinSamples: 400, Bake: time.Second, Limit: time.Minute, Until: strategies.UntilBaked, OnLimit: strategies.ActionRollBack, OnNoEvidence: strategies.ActionRollBack},
					strategies.Canary{Weights: []strategies.Weight{5000}, Bake: 50 * time.Millisecond, DangerouslyPromoteUnproven: true},
				),
				Analysis: analysis.Plan{Metrics: []analysis.Metric{analysis.ErrorRate(), satisfaction}, Persist: -1}, // the stage is short
			}, rollout.Actor{Name: "ana"})
			if err != nil {
				t.Fatal(err)
			}
			for deadline := time.Now().Add(3 * patience); ; time.Sleep(5 * time.Millisecond) {
				st, err := e.Status(ctx, id)
				if err != nil {
					t.Fatal(err)
				}
				if st.Phase.Terminal() {
					if want := map[bool]strategies.Phase{false: strategies.Promoted, true: strategies.RolledBack}[worse]; st.Phase != want {
						t.Errorf("%v: %s", st.Phase, st.Reason)
					}
					break
				}
				if time.Now().After(deadline) {
					t.Fatalf("%v, waiting for %s: %+v", st.Phase, st.Waiting, r.Mirrors())
				}
			}
			if n := met.Load(); worse && n > 0 || !worse && n == 0 {
				t.Errorf("%d users have met the candidate", n)
			}
		})
	}
}

func FuzzWithoutTools(f *testing.F) {
	f.Add([]byte(`{"model":"a","tools":[1,{"x":"}"}],"n":1.50}`))
	f.Add([]byte(`{"model":"a"`))
	f.Add([]byte(`[1]`))
	f.Fuzz(func(t *testing.T, body []byte) {
		got := traffic.WithoutTools(body)
		var before, after map[string]any
		if json.Unmarshal(body, &before) != nil || before == nil {
			return // passed on as it is, or as much as makes sense of it
		}
		if err := json.Unmarshal(got, &after); err != nil {
			t.Fatalf("%q became %q: %v", body, got, err)
		}
		for _, name := range []string{"tools", "tool_choice", "parallel_tool_calls", "functions", "function_call", "mcp_servers"} {
			delete(before, name)
		}
		if diff := cmp.Diff(before, after); diff != "" {
			t.Errorf("%q became %q (-want +got):\n%s", body, got, diff)
		}
	})
}
