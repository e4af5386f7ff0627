package modeltest

import (
	"context"
	"encoding/json"
	"net/http"
	"strings"
)

// responder sends the answer to one request.
type responder struct {
	server  *Server
	request *request
	faults  *faults
	answer  *answer
	clock   schedule
	base    reply // the fields that all chunks share
	faultAt int   // the number of tokens after which a fault happens
}

// pause waits until token i is due.
func (t *responder) pause(ctx context.Context, i int) error {
	cfg := t.server.cfg
	mean := cfg.TimePerToken
	if i == 0 {
		mean = cfg.TTFT
	}
	d := t.faults.vary(mean, cfg.Jitter)
	if t.faults.stall && i == t.faultAt {
		d += cfg.StallFor
	}
	return t.clock.wait(ctx, d)
}

// whole sends the answer in one piece once all of it has been generated.
func (t *responder) whole(ctx context.Context, w http.ResponseWriter) {
	for i := range t.answer.tokens {
		if t.pause(ctx, i) != nil {
			return // the client is gone
		}
	}
	if t.faults.streamError {
		serverError().write(w)
		return
	}
	text, finish := t.answer.text(), t.answer.finish
	c := choice{Finish: &finish}
	switch {
	case !t.request.chat:
		c.Text = &text
	case t.answer.refused:
		c.Message = &replyMessage{Role: "assistant", Refusal: &text}
	default:
		c.Message = &replyMessage{Role: "assistant", Content: &text}
	}
	t.base.Choices, t.base.Usage = []choice{c}, t.answer.usage
	body := encode(t.base)
	if !t.faults.truncate {
		writeJSON(w, http.StatusOK, body)
		return
	}
	w.Header().Set("Content-Type", "application/json")
	w.Write(body[:len(body)/2])
	http.NewResponseController(w).Flush()
	panic(http.ErrAbortHandler)
}

// stream sends the answer as server-sent events: for a chat a chunk with the
// role, then the tokens, the finish reason, the usage if asked for, and
// [DONE]. Each event is flushed.
func (t *responder) stream(ctx context.Context, w http.ResponseWriter) {
	if t.request.chat {
		t.base.Object = "chat.completion.chunk"
	}
	h := w.Header()
	h.Set("Content-Type", "text/event-stream; charset=utf-8")
	h.Set("Cache-Control", "no-cache")
	send := sender(w)
	if t.request.chat {
		send(t.chunk(choice{Delta: &delta{Role: "assistant", Content: new(string)}}))
	}
	var pending []string
	for i, token := range t.answer.tokens {
		if t.pause(ctx, i) != nil {
			return // the client is gone
		}
		faulty := i+1 == t.faultAt && (t.faults.truncate || t.faults.streamError)
		pending = append(pending, token)
		if len(pending) == t.server.cfg.TokensPerChunk || i+1 == len(t.answer.tokens) || faulty {
			send(t.tokens(strings.Join(pending, "")))
			pending = pending[:0]
		}
		if faulty && t.faults.truncate {
			panic(http.ErrAbortHandler)
		}
		if faulty {
			send(serverError().body())
			return
		}
	}
	send(t.finish())
	if t.withUsage() {
		last := t.base
		last.Choices, last.Usage = []choice{}, t.answer.usage
		send(encode(last))
	}
	send([]byte("[DONE]"))
}

// sender returns a function that writes one event to w and flushes it. It
// ignores errors: when the connection breaks, the request's context ends.
func sender(w http.ResponseWriter) func(data []byte) {
	flusher := http.NewResponseController(w)
	var event []byte
	return func(data []byte) {
		event = append(append(append(event[:0], "data: "...), data...), "\n\n"...)
		w.Write(event)
		flusher.Flush()
	}
}

func (t *responder) withUsage() bool {
	return t.request.StreamOptions != nil && t.request.StreamOptions.IncludeUsage
}

// chunk returns the JSON of a chunk with one choice. If the client asked for
// usage, it is null in all chunks except the last, as in the OpenAI API.
func (t *responder) chunk(c choice) []byte {
	r := t.base
	r.Choices = []choice{c}
	if t.withUsage() {
		r.Usage = json.RawMessage("null")
	}
	return encode(r)
}

func (t *responder) tokens(text string) []byte {
	switch {
	case !t.request.chat:
		return t.chunk(choice{Text: &text})
	case t.answer.refused:
		return t.chunk(choice{Delta: &delta{Refusal: &text}})
	}
	return t.chunk(choice{Delta: &delta{Content: &text}})
}

func (t *responder) finish() []byte {
	c := choice{Finish: &t.answer.finish}
	if t.request.chat {
		c.Delta = new(delta)
	} else {
		c.Text = new(string)
	}
	return t.chunk(c)
}
