package loadtest

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"strings"
	"sync"
	"time"

	"github.com/serin-go/serin/checks/analysis"
	"github.com/serin-go/serin/checks/analysis/answer"
	"github.com/serin-go/serin/loadtest/workload"
)

// exchange is the state of one pending request. It is pooled.
type exchange struct {
	reader answer.Reader
	tokens []time.Duration // when token chunks arrived, since Sent
	counts []int           // tokens of each chunk, nil if unknown
	bytes  int64
	record *Recording // nil unless needed
	head   []byte     // the first bytes of the answer
	moved  string     // the address of a redirect
	buf    [16 << 10]byte
}

var exchanges = sync.Pool{New: func() any { return new(exchange) }}

// send sends one request and reads the answer.
func (s *sender) send(j job, x *exchange) Result {
	result := Result{Seq: j.seq, Prompt: j.prompt, Tag: j.tag, Due: j.due, URL: j.shown}
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
	x.reader.Ask = s.ask(j, r)
	x.reader.OnToken = func(at time.Duration) {
		if len(x.tokens) == 0 {
			first.stop()
			idle = watch(s.plan.Idle, idleText, cancel)
		}
		x.tokens = append(x.tokens, at)
	}

	result.BytesOut = max(0, r.ContentLength)
	result.Sent = time.Now()
	result.UserWait = max(0, j.free.Sub(j.due))
	s.results.start(j.due, result.Sent)
	defer func() { s.results.under.leave(result.Sent.Add(result.Latency).Sub(s.began)) }()
	resp, err := s.base.RoundTrip(r)
	result.Latency = time.Since(result.Sent)
	if err == nil {
		defer resp.Body.Close()
		result.TTFB = result.Latency
		result.Status = resp.StatusCode
		result.Version, result.RequestID = resp.Header.Get("Serin-Version"), resp.Header.Get("Serin-Request-Id")
		if s.plan.Record || s.keep || s.plan.Tokenizer != nil {
			x.record = new(Recording)
		}
		x.reader.Start(resp.StatusCode, resp.Header)
		x.moved = moved(resp)
		result.Latency, err = x.read(resp.Body, result.Sent, maxHead, func() { idle.reset() })
	}
	s.conclude(&result, j, x, err, context.Cause(ctx))
	return result
}

// conclude sets the outcome of a request that has ended. err is the error of the
// connection, or nil. cause is the cause of the end of its context, or nil.
func (s *sender) conclude(result *Result, j job, x *exchange, err, cause error) {
	o := x.reader.End(result.Latency, causeOf(err, cause))
	if err == nil && good(result.Status) && j.any() {
		o.Class, o.Why, o.Err = analysis.OK, "", nil
	}
	if x.record != nil {
		x.record.Form = o.Form
	}
	if s.plan.Record || s.keep {
		result.Recording = x.record
	}
	result.BytesIn = x.bytes
	if result.measure(&o) {
		s.results.doubt()
	}
	if result.Chunks == 0 {
		x.tokens = x.tokens[:0]
	}
	if s.plan.Tokenizer != nil && x.record != nil {
		x.counts = result.tokenize(*x.record, j.asked, s.plan.Tokenizer, len(x.tokens))
	}
	if result.Chunks > 0 && result.OutputTokens > 0 {
		result.NTPOT = result.E2E / time.Duration(result.OutputTokens)
	}
	result.Class, result.Why = o.Class, o.Why
	result.Fault, result.Error = faultOf(&o, err, cause), errorKindOf(&o)
	result.Err = s.censor.error(explain(&o, x, err, cause))
}

// causeOf returns the cause of the end of a response; see [sender.conclude].
func causeOf(err, cause error) answer.Cause {
	switch {
	case err == nil:
		return answer.Cause{}
	case timeoutOf(cause) != nil:
		return answer.Cause{Kind: answer.TimedOut, Err: cause}
	case cause != nil:
		return answer.Cause{Kind: answer.Gone, Err: cause}
	}
	return answer.Cause{Kind: answer.Broken, Err: err}
}

// moved returns the address that a redirect names, without what may be secret, or "".
func moved(resp *http.Response) string {
	if resp.StatusCode/100 != 3 || resp.Header.Get("Location") == "" {
		return ""
	}
	to, err := resp.Location()
	if err != nil {
		return "an address that cannot be parsed"
	}
	return shown(to)
}

// explain returns the error of an outcome, which may be nil. The error of a status
// other than 2xx, or of an answer that begins with an error, has the first bytes of the
// answer.
func explain(o *answer.Outcome, x *exchange, err, cause error) error {
	head := func() string { return strings.ToValidUTF8(strings.TrimSpace(string(x.head)), "?") }
	switch {
	case o.Err == nil:
		return nil
	case o.Class == analysis.Timeout, o.Class == analysis.Cancelled, o.Class == analysis.Abandoned:
		return cause
	case o.Status == 0:
		return fmt.Errorf("loadtest: no response: %w", err)
	case x.moved != "":
		return fmt.Errorf("loadtest: status %d to %s, which is not followed: %s", o.Status, x.moved, cmp.Or(head(), "no text"))
	case !good(o.Status):
		return fmt.Errorf("loadtest: status %d: %s", o.Status, head())
	case (o.Class == analysis.Error || o.Class == analysis.Limited) && err == nil && len(x.head) > 0 && o.Chunks == 0 && !o.Visible && o.Finish == "":
		return fmt.Errorf("%w: %s", o.Err, head())
	}
	return o.Err
}

// maxHead is the number of bytes of an answer in the text of an error.
const maxHead = 256

// read passes body to the reader and keeps its first bytes, at most most. It calls
// alive after each read. It returns the instant of the end, and the error if the end
// is not io.EOF.
func (x *exchange) read(body io.Reader, sent time.Time, most int, alive func()) (end time.Duration, err error) {
	x.head = x.head[:0]
	for {
		n, err := body.Read(x.buf[:])
		// Before everything else, since the rest takes time.
		at := time.Since(sent)
		if x.record != nil {
			x.record.add(x.buf[:n], at, err)
		}
		if n > 0 {
			x.bytes += int64(n)
			alive()
			if room := most - len(x.head); room > 0 {
				x.head = append(x.head, x.buf[:min(n, room)]...)
			}
			x.reader.Feed(x.buf[:n], at)
		}
		if errors.Is(err, io.EOF) {
			return at, nil
		} else if err != nil {
			return at, err
		}
	}
}

// measure copies tokens and durations into r. An answer that is not a stream, or is
// compressed, has no durations of tokens and no chunks. A stream whose server reports more
// tokens, without reasoning that may be hidden, than the stream has bytes is counted by its
// chunks, since a token has at least one byte. measure reports whether it is such a stream.
func (r *Result) measure(o *answer.Outcome) (doubted bool) {
	r.InputTokens, r.CachedTokens = o.Usage.Input, min(o.Usage.Cached, o.Usage.Input)
	r.FinishReason = o.Finish
	timed := o.Chunks > 0 && o.Form != answer.Document && o.First >= o.FirstByte
	if timed {
		r.Chunks, r.Coalesced, r.LongestGap = o.Chunks, o.Coalesced, o.Stall
		r.TTFT, r.TTFC, r.E2E, r.TPOT = o.First, o.FirstContent, o.Last, o.ITL
	}
	switch {
	case o.Usage.Output == 0 || !timed && !o.Usage.Reported:
		return false
	case timed && o.Usage.Reported && int64(o.Usage.Output-o.Usage.Reasoning) > r.BytesIn:
		r.OutputTokens, r.TokenSource = o.Chunks, FromChunks
		r.TPOT = (r.E2E - r.TTFT) / time.Duration(max(1, o.Chunks-1))
		return true
	case o.Usage.Reported:
		r.TokenSource = FromUsage
	default:
		r.TokenSource = FromChunks
	}
	r.OutputTokens, r.ReasoningTokens = o.Usage.Output, o.Usage.Reasoning
	return false
}

// tokenize counts the tokens of the answer and the prompt that the server has not
// reported. It returns the tokens of each of n chunks, or nil if the recording has
// another number of chunks. A token is a byte long or longer, except for a few
// that a tokenizer adds.
func (r *Result) tokenize(rec Recording, asked workload.Prompt, count func(string) int, n int) (counts []int) {
	const mostAdded = 16
	tokens := func(text string) int { return max(0, min(count(text), len(text)+mostAdded)) }
	var all strings.Builder
	for _, text := range rec.texts() {
		counts = append(counts, tokens(text))
		all.WriteString(text)
	}
	if r.TokenSource != FromUsage && all.Len() > 0 && !rec.Truncated {
		// Of the whole text, since a token can span two chunks.
		r.OutputTokens, r.TokenSource = tokens(all.String()), FromTokenizer
		if r.Chunks > 1 && r.OutputTokens > 1 {
			r.TPOT = (r.E2E - r.TTFT) / time.Duration(r.OutputTokens-1)
		}
	}
	if r.InputTokens == 0 {
		r.InputTokens = tokens(textOf(asked))
	}
	if len(counts) != n {
		return nil
	}
	return counts
}

// errStopped is the cause of requests that were canceled with their run.
var errStopped = errors.New("loadtest: the run was stopped")

// execute sends one request and records its result.
func (s *sender) execute(j job) Result {
	x := exchanges.Get().(*exchange)
	defer exchanges.Put(x)
	result := s.send(j, x)
	s.results.add(result, chunks{x.tokens, x.counts})
	x.reader.Reset()
	x.tokens, x.counts, x.bytes, x.record, x.moved, x.head = x.tokens[:0], nil, 0, nil, "", x.head[:0]
	return result
}
