package loadtest

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"strings"
	"sync"
	"time"

	"github.com/serin-go/serin/checks/analysis"
	"github.com/serin-go/serin/internal/sse"
)

// exchange is the memory that one request needs while it is under way.
type exchange struct {
	meter  sse.Meter
	tokens []time.Duration // when token chunks arrived, since Sent
	borne  []int           // how many tokens each of them bore, if that is known
	bytes  int64
	record *Recording // nil unless asked for
	head   []byte     // the first bytes of the answer
	buf    [16 << 10]byte
}

var exchanges = sync.Pool{New: func() any { return new(exchange) }}

// send sends one request and reads the answer.
func (s *sender) send(j job, x *exchange) Result {
	result := Result{Seq: j.seq, Prompt: j.prompt, Due: j.due, URL: j.shown}
	if j.shown != "" {
		result.Method = j.method
	}
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
	s.results.under.enter(result.Sent.Sub(s.began))
	defer func() { s.results.under.leave(result.Sent.Add(result.Latency).Sub(s.began)) }()
	resp, err := s.base.RoundTrip(r)
	if err != nil {
		result.Latency = time.Since(result.Sent)
		result.Class, result.Err = classify(0, sse.Stream{}, nil, err, context.Cause(ctx))
		result.Fault = faultOf(0, sse.Stream{}, err, context.Cause(ctx))
		result.Err = s.censor.error(result.Err)
		return result
	}
	defer resp.Body.Close()
	result.TTFB = time.Since(result.Sent)
	result.Status = resp.StatusCode
	result.Version, result.RequestID = resp.Header.Get("Serin-Version"), resp.Header.Get("Serin-Request-Id")
	x.meter.JSON = isJSON(resp.Header.Get("Content-Type"))
	if s.plan.Record || s.keep || s.plan.Tokenizer != nil {
		x.record = new(Recording)
	}
	result.Latency, err = x.read(resp.Body, result.Sent, func() { idle.reset() })
	s.conclude(&result, j, x, err, context.Cause(ctx))
	return result
}

// isJSON tells a document from a stream.
func isJSON(contentType string) bool {
	return strings.HasPrefix(strings.ToLower(contentType), "application/json")
}

// conclude fills in what the answer showed, now that it has ended.
func (s *sender) conclude(result *Result, j job, x *exchange, err, cause error) {
	stream := x.meter.Stream()
	if x.meter.JSON {
		stream.Chunks, stream.ContentChunks, stream.Coalesced = 0, 0, 0 // not a stream: it has no instants
	}
	if s.plan.Record || s.keep {
		result.Recording = x.record
	}
	result.measure(stream)
	if s.plan.Tokenizer != nil && x.record != nil {
		x.borne = result.tokenize(*x.record, j.asked, s.plan.Tokenizer, len(x.tokens))
	}
	if stream.Chunks > 0 && result.OutputTokens > 0 {
		result.NTPOT = result.E2E / time.Duration(result.OutputTokens)
	}
	result.longest(x.tokens)
	result.BytesIn = x.bytes
	result.Class, result.Err = classify(result.Status, stream, x.head, err, cause)
	result.Fault = faultOf(result.Status, stream, err, cause)
	if result.Status/100 == 2 && err == nil && (j.plain || s.plan.API == Embeddings && stream.Done && bytes.Contains(x.head, []byte(`"embedding"`))) {
		result.Class, result.Fault, result.Err = analysis.OK, None, nil
	}
	result.Err = s.censor.error(result.Err)
}

// read feeds the meter with body and keeps its head. It returns when its end
// came, and the error that ended it, nil for an ordinary end.
func (x *exchange) read(body io.Reader, sent time.Time, alive func()) (end time.Duration, err error) {
	const enough = 512 // for an error message, and for what kind of answer it is
	x.head = x.head[:0]
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
			if room := enough - len(x.head); room > 0 {
				x.head = append(x.head, x.buf[:min(n, room)]...)
			}
			x.meter.Feed(x.buf[:n], at)
		}
		if err != nil {
			x.meter.End(at)
			if errors.Is(err, io.EOF) {
				err = nil
			}
			return at, err
		}
	}
}

// measure copies what the stream showed into r.
func (r *Result) measure(s sse.Stream) {
	r.Chunks, r.Coalesced = s.Chunks, s.Coalesced
	r.InputTokens, r.CachedTokens = s.InputTokens, min(s.CachedTokens, s.InputTokens)
	r.OutputTokens, r.ReasoningTokens = s.OutputTokens, s.ReasoningTokens
	switch {
	case s.OutputTokens == 0:
	case s.FromUsage:
		r.TokenSource = FromUsage
	case s.Chunks > 0:
		r.TokenSource = FromChunks
	}
	r.FinishReason = s.FinishReason
	if s.Chunks > 0 {
		r.TTFT, r.E2E, r.TPOT = s.First, s.Last, s.TPOT()
	}
	if s.ContentChunks > 0 {
		r.TTFC = s.FirstContent
	}
}

// tokenize counts the tokens of the answer, and of the prompt, where the server
// has not reported them, and returns those of each of n chunks, nil if the
// recording does not tell them apart.
func (r *Result) tokenize(rec Recording, asked Prompt, count func(string) int, n int) (borne []int) {
	var all strings.Builder
	for _, text := range rec.texts() {
		borne = append(borne, count(text))
		all.WriteString(text)
	}
	if r.TokenSource != FromUsage && all.Len() > 0 && !rec.Truncated {
		// Of the whole: chunks are no borders of tokens.
		r.OutputTokens, r.TokenSource = count(all.String()), FromTokenizer
		if r.Chunks > 1 && r.OutputTokens > 1 {
			r.TPOT = (r.E2E - r.TTFT) / time.Duration(r.OutputTokens-1)
		}
	}
	if r.InputTokens == 0 {
		r.InputTokens = count(asked.text())
	}
	if len(borne) != n {
		return nil
	}
	return borne
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

// timeoutOf returns the timeout that ended a request, nil if none did.
func timeoutOf(cause error) *timeoutError {
	var timeout *timeoutError
	if !errors.As(cause, &timeout) {
		return nil
	}
	return timeout
}

// classify says how a request ended. status is 0 if there was no response, err
// is what interrupted it, and cause why its context ended, if it did.
func classify(status int, s sse.Stream, head []byte, err, cause error) (analysis.Class, error) {
	whole := err == nil || s.Done // what follows the terminator is of no interest
	switch {
	case !whole && timeoutOf(cause) != nil:
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

func statusError(status int, s sse.Stream, head []byte) error {
	text := s.Err
	if text == "" {
		text = string(head[:min(len(head), 256)])
	}
	return fmt.Errorf("loadtest: status %d: %s", status, strings.ToValidUTF8(strings.TrimSpace(text), "?"))
}
