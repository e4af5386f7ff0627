package openaitest

import (
	"bytes"
	"encoding/json"
	"errors"
	"io"
	"net/http"
	"net/http/httptest"
	"slices"
	"testing"
	"time"

	"github.com/openai/openai-go/v3"
	"github.com/openai/openai-go/v3/option"

	"github.com/serin-go/serin/checks/analysis"
	"github.com/serin-go/serin/loadtest/modeltest"
	"github.com/serin-go/serin/rollout/traffic"
	"github.com/serin-go/serin/rollout/traffic/replicas"
	"github.com/serin-go/serin/strategies"
)

const patience = 20 * time.Second // for what happens immediately if all is well

// asked is a request as a server got it.
type asked struct {
	Model         string `json:"model"`
	StreamOptions struct {
		IncludeUsage bool `json:"include_usage"`
	} `json:"stream_options"`
	copied bool
}

// twoModels serves two models at one URL and sends what it is asked to a channel. A
// request for another model gets a 404 from it, as from every server.
func twoModels(t *testing.T, before func(http.ResponseWriter, *http.Request, asked) bool) (string, <-chan asked) {
	t.Helper()
	model, err := modeltest.New(modeltest.Config{Seed: 3, Length: 12, Models: []string{"chat-1.4", "chat-1.5"}})
	if err != nil {
		t.Fatal(err)
	}
	requests := make(chan asked, 16)
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		body, _ := io.ReadAll(r.Body)
		var a asked
		if err := json.Unmarshal(body, &a); err != nil {
			t.Errorf("the server was sent %q: %v", body, err)
		}
		a.copied = r.Header.Get(traffic.MirrorHeader) != ""
		requests <- a
		if before == nil || before(w, r, a) {
			r.Body = io.NopCloser(bytes.NewReader(body))
			model.ServeHTTP(w, r)
		}
	}))
	t.Cleanup(server.Close)
	return server.URL, requests
}

// next returns what a server is asked next.
func next[T any](t *testing.T, from <-chan T) T {
	t.Helper()
	select {
	case v := <-from:
		return v
	case <-time.After(patience):
		t.Fatal("nothing came")
	}
	panic("unreachable")
}

// through returns the official client with a router between it and the servers: as a
// gateway, or as the client's transport.
func through(t *testing.T, shape, url string, change func(*traffic.Config)) openai.Client {
	t.Helper()
	cfg := traffic.Config{
		Arms:  map[string]traffic.Backend{"1.4.0": {URL: url, Model: "chat-1.4"}, "1.5.0": {URL: url, Model: "chat-1.5"}},
		Split: all("1.5.0"),
	}
	if change != nil {
		change(&cfg)
	}
	router, err := traffic.New(cfg)
	if err != nil {
		t.Fatal(err)
	}
	options := []option.RequestOption{option.WithAPIKey("none"), option.WithMaxRetries(0)}
	if shape == "transport" {
		options = append(options, option.WithBaseURL("http://models.internal/v1"), option.WithHTTPClient(&http.Client{Transport: router.RoundTripper()}))
	} else {
		front := httptest.NewServer(router)
		t.Cleanup(front.Close)
		options = append(options, option.WithBaseURL(front.URL+"/v1"))
	}
	return openai.NewClient(options...)
}

// all is the split that gives all traffic to one of the two arms.
func all(arm string) strategies.Split {
	s := strategies.Split{Arms: []strategies.Arm{{Name: "1.4.0"}, {Name: "1.5.0"}}, Generation: 1}
	for i := range s.Arms {
		if s.Arms[i].Name == arm {
			s.Arms[i].Weight = strategies.Full
		}
	}
	return s
}

// converse has a client chat, as a stream and as a document, and returns the model
// that each answer names.
func converse(t *testing.T, client openai.Client) (models []string) {
	t.Helper()
	params := chat("What is light?")
	params.Model = "chat"
	whole, err := client.Chat.Completions.New(t.Context(), params)
	if err != nil || len(whole.Choices) != 1 || whole.Choices[0].Message.Content == "" {
		t.Fatalf("document: %v, %+v", err, whole)
	}
	s := client.Chat.Completions.NewStreaming(t.Context(), params)
	defer s.Close()
	var acc openai.ChatCompletionAccumulator
	for s.Next() {
		if !acc.AddChunk(s.Current()) {
			t.Fatal("the accumulator refused a chunk")
		}
	}
	if s.Err() != nil || len(acc.Choices) != 1 || acc.Choices[0].FinishReason == "" {
		t.Fatalf("stream: %v, %+v", s.Err(), acc)
	}
	return []string{whole.Model, acc.Model}
}

// TestTwoModelsAtOneURL: two versions that differ in the name of their model alone
// are each asked by their own name, in whatever way they come to be asked.
func TestTwoModelsAtOneURL(t *testing.T) {
	for _, shape := range []string{"gateway", "transport"} {
		t.Run(shape+", live", func(t *testing.T) {
			for arm, want := range map[string]string{"1.4.0": "chat-1.4", "1.5.0": "chat-1.5"} {
				url, requests := twoModels(t, nil)
				client := through(t, shape, url, func(c *traffic.Config) { c.Split = all(arm) })
				if got := converse(t, client); !slices.Equal(got, []string{want, want}) {
					t.Errorf("arm %s answered as %q", arm, got)
				}
				for range 2 {
					if a := next(t, requests); a.Model != want {
						t.Errorf("arm %s was asked for %q", arm, a.Model)
					}
				}
			}
		})
		t.Run(shape+", fallback", func(t *testing.T) {
			url, requests := twoModels(t, func(w http.ResponseWriter, _ *http.Request, a asked) bool {
				if a.Model == "chat-1.5" {
					http.Error(w, "out of memory", http.StatusInternalServerError)
				}
				return a.Model != "chat-1.5"
			})
			if got := converse(t, through(t, shape, url, nil)); !slices.Equal(got, []string{"chat-1.4", "chat-1.4"}) {
				t.Errorf("the baseline answered as %q", got)
			}
			for _, want := range []string{"chat-1.5", "chat-1.4", "chat-1.5", "chat-1.4"} {
				if a := next(t, requests); a.Model != want {
					t.Errorf("asked for %q, want %q", a.Model, want)
				}
			}
		})
		t.Run(shape+", hedged", func(t *testing.T) {
			// Two servers of each version. The one that is asked first does not answer.
			turn := make(chan struct{}, 1)
			before := func(_ http.ResponseWriter, r *http.Request, _ asked) bool {
				select {
				case turn <- struct{}{}:
					<-r.Context().Done()
					return false
				default:
					<-turn
					return true
				}
			}
			one, asksOne := twoModels(t, before)
			two, asksTwo := twoModels(t, before)
			pool, err := replicas.New(replicas.Config{Replicas: []replicas.Replica{{URL: one}, {URL: two}}, Hedge: time.Millisecond})
			if err != nil {
				t.Fatal(err)
			}
			t.Cleanup(func() { _ = pool.Close() })
			for arm, want := range map[string]string{"1.4.0": "chat-1.4", "1.5.0": "chat-1.5"} {
				client := through(t, shape, one, func(c *traffic.Config) {
					c.Split = all(arm)
					for name, b := range c.Arms {
						b.Transport = pool
						c.Arms[name] = b
					}
				})
				if got := converse(t, client); !slices.Equal(got, []string{want, want}) {
					t.Errorf("arm %s answered as %q", arm, got)
				}
				for range 2 {
					if a, b := next(t, asksOne), next(t, asksTwo); a.Model != want || b.Model != want {
						t.Errorf("the servers of arm %s were asked for %q and %q", arm, a.Model, b.Model)
					}
				}
			}
		})
		t.Run(shape+", mirrored", func(t *testing.T) {
			url, requests := twoModels(t, nil)
			copies := make(chan analysis.Observation, 2)
			client := through(t, shape, url, func(c *traffic.Config) {
				c.Split = all("1.4.0")
				c.Split.Mirrors = []strategies.Mirror{{Arm: "1.5.0", Share: strategies.Full}}
				c.Mirror.Observe = func(o analysis.Observation) { copies <- o }
			})
			if got := converse(t, client); !slices.Equal(got, []string{"chat-1.4", "chat-1.4"}) {
				t.Errorf("the baseline answered as %q", got)
			}
			for range 4 {
				if a := next(t, requests); a.copied != (a.Model == "chat-1.5") || !a.copied && a.Model != "chat-1.4" {
					t.Errorf("asked for %q, as a copy: %t", a.Model, a.copied)
				}
			}
			for range 2 {
				if o := next(t, copies); o.Class != analysis.OK || o.Arm != "1.5.0" {
					t.Errorf("the copy was observed as %+v", o)
				}
			}
		})
	}
}

// TestUsageThatTheClientDoesNotWant: a stream ends well for the client, without a
// chunk that reports usage, and is charged by the report.
func TestUsageThatTheClientDoesNotWant(t *testing.T) {
	for _, shape := range []string{"gateway", "transport"} {
		url, requests := twoModels(t, nil)
		charges := make(chan traffic.Charge, 1)
		client := through(t, shape, url, func(c *traffic.Config) {
			c.AskUsage = true
			c.Charged = func(charge traffic.Charge) { charges <- charge }
		})
		params := chat("What is light?")
		params.Model = "chat"
		s := client.Chat.Completions.NewStreaming(t.Context(), params)
		tokens, finished := 0, false
		for s.Next() {
			chunk := s.Current()
			if len(chunk.Choices) != 1 || chunk.Usage.TotalTokens != 0 {
				t.Errorf("%s: the client got %s", shape, chunk.RawJSON())
				continue
			}
			if chunk.Choices[0].Delta.Content != "" {
				tokens++
			}
			finished = finished || chunk.Choices[0].FinishReason == "stop"
		}
		if err := errors.Join(s.Err(), s.Close()); err != nil || !finished || tokens == 0 {
			t.Errorf("%s: %v after %d tokens, finished: %t", shape, err, tokens, finished)
		}
		if a := next(t, requests); !a.StreamOptions.IncludeUsage || a.Model != "chat-1.5" {
			t.Errorf("%s: the server was asked %+v", shape, a)
		}
		// You are Sir Isaac . What is light ?
		if c := next(t, charges); c.Estimated && c.Cost >= 0 || !c.Usage.Reported || c.Usage.Input != 9 || c.Usage.Output != tokens {
			t.Errorf("%s: %d tokens charged as %+v", shape, tokens, c)
		}
	}
}
