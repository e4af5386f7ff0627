package openaitest

import (
	"bytes"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"sync"
	"testing"
	"time"

	"github.com/openai/openai-go/v3"
	"github.com/openai/openai-go/v3/option"

	"github.com/serin-go/serin/checks/analysis"
	"github.com/serin-go/serin/loadtest/modeltest"
	"github.com/serin-go/serin/rollout/traffic"
	"github.com/serin-go/serin/strategies"
)

// testHeader names a request on its way through the router.
const testHeader = "X-Test-Id"

// ledger keeps what one side has seen of each request's answer.
type ledger struct {
	mu     sync.Mutex
	bodies map[string]*bytes.Buffer
	arms   map[string]string
}

func newLedger() *ledger {
	return &ledger{bodies: make(map[string]*bytes.Buffer), arms: make(map[string]string)}
}

// open begins the record of a request. Seeing one twice is an error of the
// router, which shows as a body that is twice as long.
func (l *ledger) open(id, arm string) *bytes.Buffer {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.bodies[id] == nil {
		l.bodies[id] = new(bytes.Buffer)
	}
	l.arms[id] = arm
	return l.bodies[id]
}

// recorded is a server of a version that writes down what it sends.
func recorded(t *testing.T, sent *ledger, arm string, cfg modeltest.Config) string {
	t.Helper()
	model, err := modeltest.New(cfg)
	if err != nil {
		t.Fatal(err)
	}
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		model.ServeHTTP(&teeWriter{w, sent.open(r.Header.Get(testHeader), arm)}, r)
	}))
	t.Cleanup(server.Close)
	return server.URL
}

type teeWriter struct {
	http.ResponseWriter
	copy *bytes.Buffer
}

func (w *teeWriter) Write(p []byte) (int, error) {
	w.copy.Write(p)
	return w.ResponseWriter.Write(p)
}

func (w *teeWriter) Unwrap() http.ResponseWriter { return w.ResponseWriter }

type teeBody struct {
	io.ReadCloser
	copy *bytes.Buffer
}

func (b *teeBody) Read(p []byte) (int, error) {
	n, err := b.ReadCloser.Read(p)
	b.copy.Write(p[:n])
	return n, err
}

// TestRouterUnderFlippingSplits streams chats with the official client while
// the split flips. Every stream arrives complete and byte for byte as the
// backend sent it, and is observed once, under the arm that served it.
func TestRouterUnderFlippingSplits(t *testing.T) {
	const chats, atOnce = 200, 20
	sent, received := newLedger(), newLedger()
	model := modeltest.Config{Seed: 7, Length: 30, TTFT: 5 * time.Millisecond, TimePerToken: time.Millisecond, Jitter: 0.3}

	var mu sync.Mutex
	observed := make(map[string][]analysis.Observation) // by request id of the router
	router, err := traffic.New(traffic.Config{
		Arms: map[string]traffic.Backend{
			"1.4.0": {URL: recorded(t, sent, "1.4.0", model)},
			"1.5.0": {URL: recorded(t, sent, "1.5.0", model)},
		},
		Split: flip(0),
		Observe: func(o analysis.Observation) {
			mu.Lock()
			defer mu.Unlock()
			observed[o.ID] = append(observed[o.ID], o)
		},
	})
	if err != nil {
		t.Fatal(err)
	}
	front := httptest.NewServer(router)

	stop := make(chan struct{})
	var flipping sync.WaitGroup
	flipping.Go(func() {
		ticker := time.NewTicker(10 * time.Millisecond)
		defer ticker.Stop()
		for n := 1; ; n++ {
			select {
			case <-stop:
				return
			case <-ticker.C:
				if err := router.SetSplit(t.Context(), flip(n)); err != nil {
					t.Error(err)
				}
			}
		}
	})

	ids := make(map[string]string) // the router's request id by ours
	client := openai.NewClient(option.WithBaseURL(front.URL+"/v1"), option.WithAPIKey("none"), option.WithMaxRetries(0),
		option.WithMiddleware(func(r *http.Request, next option.MiddlewareNext) (*http.Response, error) {
			resp, err := next(r)
			if err == nil {
				id := r.Header.Get(testHeader)
				resp.Body = &teeBody{resp.Body, received.open(id, resp.Header.Get(traffic.VersionHeader))}
				mu.Lock()
				ids[id] = resp.Header.Get(traffic.RequestHeader)
				mu.Unlock()
			}
			return resp, err
		}))
	slots := make(chan struct{}, atOnce)
	var wg sync.WaitGroup
	for i := range chats {
		slots <- struct{}{}
		wg.Go(func() {
			defer func() { <-slots }()
			id := fmt.Sprintf("chat-%d", i)
			params := chat(fmt.Sprintf("Question %d: what is light?", i))
			params.StreamOptions.IncludeUsage = openai.Bool(true)
			s := client.Chat.Completions.NewStreaming(t.Context(), params, option.WithHeader(testHeader, id))
			defer s.Close()
			var acc openai.ChatCompletionAccumulator
			for s.Next() {
				acc.AddChunk(s.Current())
			}
			if err := s.Err(); err != nil || len(acc.Choices) != 1 || acc.Choices[0].FinishReason == "" || acc.Usage.CompletionTokens == 0 {
				t.Errorf("%s: %v, %d choices, usage %+v", id, err, len(acc.Choices), acc.Usage)
			}
		})
	}
	wg.Wait()
	close(stop)
	flipping.Wait()
	front.Close() // waits until the router has ended its requests

	served := make(map[string]int)
	for i := range chats {
		id := fmt.Sprintf("chat-%d", i)
		arm := sent.arms[id]
		served[arm]++
		if want, got := sent.bodies[id].String(), received.bodies[id].String(); want != got || len(want) == 0 {
			t.Errorf("%s: received %d bytes that differ from the %d that were sent", id, len(got), len(want))
		}
		if received.arms[id] != arm {
			t.Errorf("%s: served by %s, the header says %s", id, arm, received.arms[id])
		}
		o := observed[ids[id]]
		if len(o) != 1 || o[0].Arm != arm || o[0].Class != analysis.OK || o[0].OutputTokens == 0 || o[0].TTFT <= 0 {
			t.Errorf("%s: served by %s, observed as %+v", id, arm, o)
		}
	}
	if len(observed) != chats || served["1.4.0"] == 0 || served["1.5.0"] == 0 {
		t.Errorf("%d requests observed, want %d; served by %v, want both arms", len(observed), chats, served)
	}
}

// flip is the n-th split: most of the traffic changes sides each time.
func flip(n int) strategies.Split {
	w := strategies.Percent(10)
	if n%2 == 1 {
		w = strategies.Percent(90)
	}
	return strategies.Split{
		Arms:       []strategies.Arm{{Name: "1.4.0", Weight: strategies.Full - w}, {Name: "1.5.0", Weight: w}},
		Generation: uint64(n + 1),
	}
}
