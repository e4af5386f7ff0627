package traffic

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"net"
	"net/http"
	"strconv"
	"time"

	"github.com/serin-go/serin/checks/analysis"
	"github.com/serin-go/serin/checks/analysis/answer"
)

// ErrCut is the cause by which a server ends the requests that are left when its time
// to shut down is over: it cancels their contexts with it. [Graceful] does so for an
// [http.Server].
//
// A stream of events or of lines then ends with an error in the form of its interface. A
// caller without a byte of the answer gets a 503. In all other cases, and within an
// event, the connection is broken off. The requests have the class
// [analysis.Cancelled], say nothing about their arms, and are counted as
// [ArmStats].Cut. No arm is asked in place of another one.
var ErrCut = errors.New("traffic: cut at shutdown")

// CutTime is how long requests have to end after they were cut.
const CutTime = 10 * time.Second

// Graceful prepares server, which must not serve yet, for a shutdown that breaks off no
// answer, and returns that shutdown. It may be called once. The function closes the
// listeners and idle connections, and waits until the requests under way have ended.
// Requests that have not ended when ctx ends are cut with [ErrCut]; what is left
// [CutTime] later loses its connection. It returns nil if all requests have ended by
// themselves, and an error that wraps ErrCut otherwise.
//
// [http.Server.Serve] returns when the shutdown begins: a program must wait for the
// function, not for Serve. Connections that a handler has taken over, as for WebSocket,
// are not waited for, and end when ctx ends.
func Graceful(server *http.Server) (shutdown func(ctx context.Context) error) {
	base, cut := context.WithCancelCause(context.Background())
	before := server.BaseContext
	server.BaseContext = func(l net.Listener) context.Context {
		if before == nil {
			return base
		}
		ctx, end := context.WithCancelCause(before(l))
		context.AfterFunc(base, func() { end(ErrCut) })
		return ctx
	}
	return func(ctx context.Context) error {
		err := server.Shutdown(ctx)
		if err == nil {
			return nil
		}
		cut(ErrCut)
		ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), CutTime)
		defer cancel()
		if server.Shutdown(ctx) != nil {
			err = errors.Join(err, server.Close())
		}
		return fmt.Errorf("%w: %w", ErrCut, err)
	}
}

// cutText is what the callers of such requests read.
const cutText = "the server is shutting down; send the request again"

// left returns why the caller of a request wants no answer any more, nil if it does.
func left(ctx context.Context) error {
	err := ctx.Err()
	if err != nil && errors.Is(context.Cause(ctx), ErrCut) {
		return ErrCut
	}
	return err
}

// unfinished reports whether an attempt that ErrCut has ended has left its answer without
// an end; p is what its handler has panicked with.
func (w *writer) unfinished(e ending, p any) bool {
	switch {
	case w.hijacked:
		w.arm.stats.cut.Add(1) // its session has ended, which was observed at its start
		return false
	case w.measured && w.x.end(e).Class != analysis.Cancelled:
		return false
	case p == nil && w.failure == nil && w.status != 0 && w.x.ask.Route.Kind != answer.Inference:
		return false
	}
	if !w.measured {
		w.arm.stats.cut.Add(1)
	}
	return true
}

// cutShort ends an answer that has no end. It returns what to panic with if only a
// connection that breaks off can show that.
func (w *writer) cutShort() (panicked any) {
	if !w.sent {
		w.restore()
		w.sent = true
		w.sign()
		unavailable(w.ResponseWriter, cutText)
		return nil
	}
	if w.failure == ErrCut {
		return nil // the 503 is sent already
	}
	event := w.lastWords()
	if event == "" {
		return http.ErrAbortHandler
	}
	w.filter = nil // what it holds back would come behind the end
	if _, err := w.ResponseWriter.Write([]byte(event)); err != nil {
		return http.ErrAbortHandler
	}
	return nil
}

// lastWords returns the error that ends a stream, or "" if there is no place for one.
func (w *writer) lastWords() string {
	h := w.Header()
	if len(h["Content-Length"]) > 0 || len(h["Content-Encoding"]) > 0 || w.status != http.StatusOK || w.x.ask.Route.Kind != answer.Inference {
		return ""
	}
	text, api := strconv.Quote(cutText), w.x.ask.Route.API
	switch form := answer.FormOf(h.Get("Content-Type")); {
	case form == answer.Lines && w.tail.endsLine():
		return `{"error":` + text + "}\n"
	case form != answer.EventStream || !w.tail.endsEvent():
		return ""
	}
	const failed = `{"type":"server_error","code":"server_shutdown","param":null,"message":`
	switch api {
	case answer.Responses: // its clients look for the one or the other
		return "event: error\ndata: " + `{"type":"error","code":"server_shutdown","param":null,"message":` + text + `,"error":` + failed + text + "}}\n\n"
	case answer.Messages:
		return "event: error\ndata: " + `{"type":"error","error":{"type":"overloaded_error","message":` + text + "}}\n\n"
	case answer.Gemini:
		return `data: {"error":{"code":503,"status":"UNAVAILABLE","message":` + text + "}}\n\n"
	case answer.Cohere:
		return "event: message-end\ndata: " + `{"type":"message-end","delta":{"finish_reason":"ERROR","error":` + text + "}}\n\n"
	case answer.TGI:
		return `data: {"error_type":"incomplete_generation","error":` + text + "}\n\n"
	}
	return `data: {"error":` + failed + text + "}}\n\n"
}

// tail is the last bytes of what has passed: enough to see whether an event has ended.
type tail [4]byte

func (t *tail) add(p []byte) {
	n := copy(t[:], t[min(len(p), len(t)):])
	copy(t[n:], p[max(0, len(p)-len(t)):])
}

func (t *tail) endsLine() bool { return t[len(t)-1] == '\n' }

func (t *tail) endsEvent() bool {
	return bytes.HasSuffix(t[:], []byte("\n\n")) || bytes.HasSuffix(t[:], []byte("\r\r")) || string(t[:]) == "\r\n\r\n"
}
