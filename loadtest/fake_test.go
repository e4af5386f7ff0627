package loadtest

import (
	"context"
	"io"
	"net/http"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/serin-go/serin/checks/analysis"
	"github.com/serin-go/serin/loadtest/pace"
	"github.com/serin-go/serin/loadtest/workload"
)

const ms = time.Millisecond

// part is what one Read of a scripted response returns, and when, counted from
// the request. An err ends the response.
type part struct {
	at   time.Duration
	data string
	err  error
}

// script is a response that is played in virtual time.
type script struct {
	status int // 0 means 200
	header http.Header
	parts  []part
}

// RoundTripFunc makes a Transport of a function.
type roundTripFunc func(*http.Request) (*http.Response, error)

func (f roundTripFunc) RoundTrip(r *http.Request) (*http.Response, error) { return f(r) }

func (s script) RoundTrip(r *http.Request) (*http.Response, error) {
	status, header := s.status, s.header
	if status == 0 {
		status = http.StatusOK
	}
	if header == nil {
		header = http.Header{"Content-Type": {"text/event-stream"}}
	}
	return &http.Response{StatusCode: status, Header: header, Body: &player{ctx: r.Context(), began: time.Now(), parts: s.parts}}, nil
}

type player struct {
	ctx   context.Context
	began time.Time
	parts []part
	rest  string // of a part that was larger than the reader's buffer
}

func (p *player) Read(b []byte) (int, error) {
	if p.rest == "" {
		if len(p.parts) == 0 {
			return 0, io.EOF
		}
		next := p.parts[0]
		if wait := time.Until(p.began.Add(next.at)); wait > 0 {
			if err := sleep(p.ctx, wait); err != nil {
				return 0, err
			}
		} else if err := p.ctx.Err(); err != nil {
			return 0, err
		}
		p.parts = p.parts[1:]
		if next.err != nil {
			return 0, next.err
		}
		p.rest = next.data
	}
	n := copy(b, p.rest)
	p.rest = p.rest[n:]
	return n, nil
}

func (p *player) Close() error { return nil }

func sleep(ctx context.Context, d time.Duration) error {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-timer.C:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}

func event(json string) string { return "data: " + json + "\n\n" }

func content(text string) string {
	return event(`{"object":"chat.completion.chunk","choices":[{"index":0,"delta":{"content":"` + text + `"},"finish_reason":null}]}`)
}

const (
	role     = `data: {"object":"chat.completion.chunk","choices":[{"index":0,"delta":{"role":"assistant","content":""},"finish_reason":null}]}` + "\n\n"
	finish   = `data: {"object":"chat.completion.chunk","choices":[{"index":0,"delta":{},"finish_reason":"stop"}]}` + "\n\n"
	usage    = `data: {"object":"chat.completion.chunk","choices":[],"usage":{"prompt_tokens":9,"completion_tokens":6,"total_tokens":15,"prompt_tokens_details":{"cached_tokens":4},"completion_tokens_details":{"reasoning_tokens":2}}}` + "\n\n"
	done     = "data: [DONE]\n\n"
	goodTail = finish + done
)

// spoken is the stream of the specification's comparison of tools.
var spoken = []part{
	{at: 5 * ms, data: role}, {at: 200 * ms, data: content("Hel")}, {at: 230 * ms, data: content("lo")},
	{at: 290 * ms, data: content(" world, this")}, {at: 310 * ms, data: content("!")}, {at: 312 * ms, data: finish},
	{at: 313 * ms, data: usage}, {at: 314 * ms, data: done}, {at: 315 * ms, err: io.EOF},
}

func plan(transport http.RoundTripper) Plan {
	return Plan{Target: "http://model.test", Model: "m", Prompts: []workload.Prompt{workload.Ask("What is light?")}, Pacer: pace.Constant(1), Requests: 1, Transport: transport}
}

// simulate runs p in virtual time and returns its report and results.
func simulate(t *testing.T, p Plan) (report *Report, results []Result) {
	t.Helper()
	p.OnResult = func(r Result) { results = append(results, r) }
	synctest.Test(t, func(t *testing.T) {
		var err error
		if report, err = Run(t.Context(), p); err != nil {
			t.Fatal(err)
		}
	})
	return report, results
}

// one simulates a single request that is answered by s.
func one(t *testing.T, s script) Result {
	t.Helper()
	_, results := simulate(t, plan(s))
	if len(results) != 1 {
		t.Fatalf("%d results, want 1", len(results))
	}
	return results[0]
}

func wantClass(t *testing.T, r Result, want analysis.Class, message string) {
	t.Helper()
	text := ""
	if r.Err != nil {
		text = r.Err.Error()
	}
	if r.Class != want || !strings.Contains(text, message) || (text == "") != (message == "") {
		t.Errorf("class %v with error %q, want %v with %q", r.Class, text, want, message)
	}
}
