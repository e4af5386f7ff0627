package loadtest

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"strconv"
	"strings"
	"sync"
	"time"

	"github.com/serin-go/serin/checks/analysis"
	"github.com/serin-go/serin/internal/sse"
)

// sender is the RoundTripper inside vegeta. It ignores the request that vegeta
// made but for its number, sends the planned one in its place, reads the answer
// to its end and concludes the result. vegeta sees an empty answer: its own
// measurements begin too early and lose what came before a failure.
type sender struct {
	plan     Plan
	run      context.Context // after its end nothing more is sent
	requests context.Context // after its end requests under way are cancelled
	schedule *schedule
	results  *collector
	url      *url.URL
	plain    *url.URL // the target as it was given
	keep     bool     // record all streams
	bodies   [][]byte // by prompt
	header   http.Header
	base     http.RoundTripper
}

// seqHeader is where vegeta puts the number of a request.
const seqHeader = "X-Vegeta-Seq"

// RoundTrip sends one planned request. The error is for numbers that vegeta
// did not make, which does not happen.
func (s *sender) RoundTrip(r *http.Request) (*http.Response, error) {
	seq, err := strconv.ParseUint(r.Header.Get(seqHeader), 10, 64)
	if err != nil {
		return nil, err
	}
	due := s.schedule.take(seq)
	if s.run.Err() != nil {
		s.results.skip()
	} else {
		s.carryOut(s.job(seq, due))
	}
	return &http.Response{StatusCode: http.StatusNoContent, Body: http.NoBody, Header: make(http.Header), Request: r}, nil
}

// carryOut sends one request and concludes its result.
func (s *sender) carryOut(j job) Result {
	x := exchanges.Get().(*exchange)
	defer exchanges.Put(x)
	result := s.send(j, x)
	s.results.add(result, x.tokens)
	x.meter.Reset()
	x.tokens, x.bytes, x.record = x.tokens[:0], 0, nil
	return result
}

// exchange is the memory that one request needs while it is under way.
type exchange struct {
	meter  sse.Meter
	tokens []time.Duration // when token chunks arrived, since Sent
	bytes  int64
	record *Recording // nil unless asked for
	buf    [16 << 10]byte
}

var exchanges = sync.Pool{New: func() any { return new(exchange) }}

// encodeBody returns the JSON of the request for one prompt. Encoding is done
// once for each prompt and before the run, so that none of it is measured.
func encodeBody(p Plan, prompt Prompt) []byte {
	body, err := json.Marshal(struct {
		Model         string          `json:"model"`
		Messages      []Message       `json:"messages"`
		MaxTokens     int             `json:"max_tokens,omitempty"`
		Stream        bool            `json:"stream"`
		StreamOptions map[string]bool `json:"stream_options"`
	}{p.Model, prompt.Messages, p.MaxTokens, true, map[string]bool{"include_usage": true}})
	if err != nil {
		panic(fmt.Sprintf("loadtest: a prompt has no JSON: %v", err)) // strings and numbers always have
	}
	return body
}

// job is one request that is about to be sent.
type job struct {
	seq    uint64
	due    time.Time
	prompt int
	body   []byte
	method string
	url    *url.URL
	plain  bool // any 2xx is a good answer
}

// job returns the planned request with the given number.
func (s *sender) job(seq uint64, due time.Time) job {
	seq = global(s.plan.Pacer, seq)
	j := job{seq: seq, due: due, method: http.MethodPost, url: s.url}
	if s.plan.Workload == nil {
		j.prompt = int(seq % uint64(len(s.bodies)))
		j.body = s.bodies[j.prompt]
		return j
	}
	asked := s.plan.Workload.Request(seq)
	j.prompt, j.plain = -1, asked.Plain
	if asked.Body == nil {
		p := s.plan
		if asked.MaxTokens > 0 {
			p.MaxTokens = asked.MaxTokens
		}
		j.body = encodeBody(p, asked.Prompt)
		return j
	}
	j.body = asked.Body
	if asked.Method != "" {
		j.method = asked.Method
	}
	if ref, err := url.Parse(asked.Path); err == nil && asked.Path != "" {
		j.url = s.url.ResolveReference(ref)
	} else if asked.Plain {
		j.url = s.plain
	}
	return j
}

// global returns the number in the whole schedule of request seq of its part.
func global(p Pacer, seq uint64) uint64 {
	if part, ok := p.(shard); ok {
		return global(part.of, seq*uint64(part.n)+uint64(part.i))
	}
	return seq
}

// request makes the planned request.
func (s *sender) request(ctx context.Context, j job) *http.Request {
	r := (&http.Request{
		Method: j.method, URL: j.url, Host: j.url.Host, Header: s.header.Clone(),
		Proto: "HTTP/1.1", ProtoMajor: 1, ProtoMinor: 1, ContentLength: int64(len(j.body)),
		// With GetBody the transport can repeat a request that met a connection
		// which the server had just closed.
		GetBody: func() (io.ReadCloser, error) { return io.NopCloser(bytes.NewReader(j.body)), nil },
	}).WithContext(ctx)
	if len(j.body) > 0 {
		r.Body, _ = r.GetBody()
	}
	if s.plan.Prepare != nil {
		s.plan.Prepare(j.seq, r)
	}
	return r
}

// send sends one request and reads the answer.
func (s *sender) send(j job, x *exchange) Result {
	result := Result{Seq: j.seq, Prompt: j.prompt, Due: j.due}
	ctx, cancel := context.WithCancelCause(s.requests)
	defer cancel(nil)
	deadline := watch(s.plan.Timeout, "the end of the answer", cancel)
	defer deadline.stop()
	first := watch(s.plan.FirstToken, firstText, cancel)
	defer first.stop()
	idle := watchdog{}
	defer func() { idle.stop() }()

	r := s.request(ctx, j)
	x.meter.OnToken = func(at time.Duration) {
		if len(x.tokens) == 0 {
			first.stop()
			idle = watch(s.plan.Idle, idleText, cancel)
		}
		x.tokens = append(x.tokens, at)
	}

	result.BytesOut = max(0, r.ContentLength)
	result.Sent = time.Now()
	resp, err := s.base.RoundTrip(r)
	if err != nil {
		result.Latency = time.Since(result.Sent)
		result.Class, result.Err = classify(0, sse.Stream{}, "", err, context.Cause(ctx))
		result.Fault = faultOf(0, sse.Stream{}, err, context.Cause(ctx))
		return result
	}
	defer resp.Body.Close()
	result.TTFB = time.Since(result.Sent)
	result.Status = resp.StatusCode
	result.Version, result.RequestID = resp.Header.Get("Serin-Version"), resp.Header.Get("Serin-Request-Id")
	x.meter.JSON = strings.HasPrefix(resp.Header.Get("Content-Type"), "application/json")
	x.record = nil
	if s.plan.Record || s.keep {
		x.record = new(Recording)
		result.Recording = x.record
	}
	head, end, err := x.read(resp.Body, result.Sent, func() { idle.reset() })
	result.Latency = end
	stream := x.meter.Stream()
	if x.meter.JSON {
		stream.Chunks, stream.ContentChunks, stream.Coalesced = 0, 0, 0 // not a stream: it has no instants
	}
	result.measure(stream)
	result.longest(x.tokens)
	result.BytesIn = x.bytes
	result.Class, result.Err = classify(resp.StatusCode, stream, head, err, context.Cause(ctx))
	result.Fault = faultOf(resp.StatusCode, stream, err, context.Cause(ctx))
	if plainly := resp.StatusCode/100 == 2 && err == nil; j.plain && plainly {
		result.Class, result.Fault, result.Err = analysis.OK, None, nil
	}
	return result
}

// read feeds the meter with body. It returns the head of it, when its end came,
// and the error that ended it, nil for an ordinary end.
func (x *exchange) read(body io.Reader, sent time.Time, alive func()) (head string, end time.Duration, err error) {
	const enough = 256 // for an error message
	for {
		n, err := body.Read(x.buf[:])
		// The instant comes before everything else: what follows takes time.
		at := time.Since(sent)
		if x.record != nil {
			x.record.add(x.buf[:n], at, err)
		}
		if n > 0 {
			x.bytes += int64(n)
			alive()
			if len(head) < enough {
				head += string(x.buf[:min(n, enough-len(head))])
			}
			x.meter.Feed(x.buf[:n], at)
		}
		if err != nil {
			x.meter.End(at)
			if errors.Is(err, io.EOF) {
				err = nil
			}
			return head, at, err
		}
	}
}

// maxRecording is how many bytes of a stream are kept.
const maxRecording = 4 << 20

func (r *Recording) add(p []byte, at time.Duration, err error) {
	if len(r.Body)+len(p) > maxRecording {
		r.Truncated = true
	}
	if !r.Truncated && len(p) > 0 {
		r.Body = append(r.Body, p...)
		r.Reads = append(r.Reads, Read{at, len(p)})
	}
	if err != nil {
		r.Reads = append(r.Reads, Read{At: at})
	}
}

// measure copies what the stream showed into r.
func (r *Result) measure(s sse.Stream) {
	r.Chunks, r.Coalesced = s.Chunks, s.Coalesced
	r.InputTokens, r.CachedTokens = s.InputTokens, min(s.CachedTokens, s.InputTokens)
	r.OutputTokens, r.ReasoningTokens, r.TokensFromUsage = s.OutputTokens, s.ReasoningTokens, s.FromUsage
	r.FinishReason = s.FinishReason
	if s.Chunks > 0 {
		r.TTFT, r.E2E, r.TPOT = s.First, s.Last, s.TPOT()
	}
	if s.ContentChunks > 0 {
		r.TTFC = s.FirstContent
	}
}

// longest notes the longest gap between token chunks.
func (r *Result) longest(tokens []time.Duration) {
	for i := 1; i < len(tokens); i++ {
		r.LongestGap = max(r.LongestGap, tokens[i]-tokens[i-1])
	}
}

const (
	firstText = "the first token"
	idleText  = "the next part of the stream"
)

// errStopped is the cause of requests that were cancelled with their run.
var errStopped = errors.New("loadtest: the run was stopped")

// timeoutError is the cause of requests that took too long.
type timeoutError struct {
	what  string
	after time.Duration
}

func (e *timeoutError) Error() string {
	return fmt.Sprintf("loadtest: %v passed without %s", e.after, e.what)
}

// watchdog cancels a request unless it is stopped or reset in time. The zero
// value watches nothing.
type watchdog struct {
	timer *time.Timer
	after time.Duration
}

func watch(after time.Duration, what string, cancel context.CancelCauseFunc) watchdog {
	if after == 0 {
		return watchdog{}
	}
	return watchdog{time.AfterFunc(after, func() { cancel(&timeoutError{what, after}) }), after}
}

func (w watchdog) reset() {
	if w.timer != nil {
		w.timer.Reset(w.after)
	}
}

func (w watchdog) stop() {
	if w.timer != nil {
		w.timer.Stop()
	}
}

// classify says how a request ended. status is 0 if there was no response, err
// is what interrupted it, and cause why its context ended, if it did.
func classify(status int, s sse.Stream, head string, err, cause error) (analysis.Class, error) {
	var timeout *timeoutError
	whole := err == nil || s.Done // what follows the terminator is of no interest
	switch {
	case !whole && errors.As(cause, &timeout):
		return analysis.Timeout, cause
	case !whole && cause != nil:
		return analysis.Cancelled, cause
	case status == 0:
		return analysis.Error, fmt.Errorf("loadtest: no response: %w", err)
	case status < 200 || status > 299:
		return statusClass(status), statusError(status, s, head)
	case s.Err != "":
		return analysis.Error, fmt.Errorf("loadtest: an error within the stream: %s", s.Err)
	case err != nil && !s.Done:
		return analysis.Truncated, fmt.Errorf("loadtest: the stream broke off: %w", err)
	case !s.Done:
		return analysis.Truncated, errors.New("loadtest: the stream ended without its terminator")
	case s.Refused:
		return analysis.Refused, nil
	case s.OutputTokens == 0:
		return analysis.Empty, nil
	}
	return analysis.OK, nil
}

func statusClass(status int) analysis.Class {
	switch {
	case status == http.StatusTooManyRequests:
		return analysis.Limited
	case status >= 400 && status < 500:
		return analysis.Rejected
	}
	return analysis.Error
}

func statusError(status int, s sse.Stream, head string) error {
	if s.Err != "" {
		head = s.Err
	}
	return fmt.Errorf("loadtest: status %d: %s", status, strings.ToValidUTF8(strings.TrimSpace(head), "?"))
}
