package tinylm

import (
	"context"
	"encoding/json"
	"net/http"
	"strings"
)

// turn is the answering of one request.
type turn struct {
	server  *Server
	request *request
	luck    *luck
	answer  *answer
	clock   metronome
	base    reply // what all chunks have in common
	mishap  int   // the number of tokens after which luck strikes
}

// pause waits until token i is due.
func (t *turn) pause(ctx context.Context, i int) error {
	cfg := t.server.cfg
	mean := cfg.TimePerToken
	if i == 0 {
		mean = cfg.TTFT
	}
	d := t.luck.vary(mean, cfg.Jitter)
	if t.luck.stall && i == t.mishap {
		d += cfg.StallFor
	}
	return t.clock.wait(ctx, d)
}

// whole sends the answer in one piece once all of it has been generated.
func (t *turn) whole(ctx context.Context, w http.ResponseWriter) {
	for i := range t.answer.tokens {
		if t.pause(ctx, i) != nil {
			return // nobody is waiting any more
		}
	}
	if t.luck.breakOff {
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
	if !t.luck.chop {
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
func (t *turn) stream(ctx context.Context, w http.ResponseWriter) {
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
			return // nobody is listening any more
		}
		struck := i+1 == t.mishap && (t.luck.chop || t.luck.breakOff)
		pending = append(pending, token)
		if len(pending) == t.server.cfg.TokensPerChunk || i+1 == len(t.answer.tokens) || struck {
			send(t.tokens(strings.Join(pending, "")))
			pending = pending[:0]
		}
		if struck && t.luck.chop {
			panic(http.ErrAbortHandler)
		}
		if struck {
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

// sender returns a function that writes one event to w and flushes it. Writes
// that fail need no care: the request's context ends with the connection.
func sender(w http.ResponseWriter) func(data []byte) {
	flusher := http.NewResponseController(w)
	var event []byte
	return func(data []byte) {
		event = append(append(append(event[:0], "data: "...), data...), "\n\n"...)
		w.Write(event)
		flusher.Flush()
	}
}

func (t *turn) withUsage() bool {
	return t.request.StreamOptions != nil && t.request.StreamOptions.IncludeUsage
}

// chunk returns the JSON of a chunk with one choice. When usage was asked for,
// the API has it null in all chunks but the one that carries it.
func (t *turn) chunk(c choice) []byte {
	r := t.base
	r.Choices = []choice{c}
	if t.withUsage() {
		r.Usage = json.RawMessage("null")
	}
	return encode(r)
}

func (t *turn) tokens(text string) []byte {
	switch {
	case !t.request.chat:
		return t.chunk(choice{Text: &text})
	case t.answer.refused:
		return t.chunk(choice{Delta: &delta{Refusal: &text}})
	}
	return t.chunk(choice{Delta: &delta{Content: &text}})
}

func (t *turn) finish() []byte {
	c := choice{Finish: &t.answer.finish}
	if t.request.chat {
		c.Delta = new(delta)
	} else {
		c.Text = new(string)
	}
	return t.chunk(c)
}
