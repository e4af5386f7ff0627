package traffic

import (
	"bufio"
	"context"
	"errors"
	"maps"
	"net"
	"net/http"
	"sync/atomic"
	"time"
)

// writer stands between a backend's handler and the caller for one attempt to
// serve a request. It measures what passes, and holds back the header until the
// first byte of the body shows that there is an answer. It does so for all arms:
// if some callers have little patience for headers, they must have as little
// with the baseline as with a candidate, or the comparison is unfair.
//
// As any [http.ResponseWriter] it is used by one goroutine at a time; only
// expire is called from another one.
type writer struct {
	http.ResponseWriter
	x   *exchange
	arm *arm
	// rescuable says that an error of the arm need not reach the caller;
	// measured, that the exchange is about this attempt.
	rescuable, measured bool

	cancel context.CancelCauseFunc // ends the attempt
	alarm  alarm

	id       [1]string   // of the exchange, as the value of a header
	outer    http.Header // the header as it was before, nil if it was empty
	progress atomic.Uint32
	status   int  // what the handler said; 0 before it did
	sent     bool // the header is on its way to the caller
	hijacked bool
	held     []byte        // of the body, until it shows that there is an answer
	given    time.Duration // when the chunk came that is being handed on; 0 if none is
	since    time.Duration // when the first of it came
	dropped  int           // bytes of an error's body that nobody will see
	failure  error         // why the arm did not answer, if it could be told
	gone     error         // why the caller could not be written to
}

// The progress of an attempt towards its first byte.
const (
	waiting uint32 = iota
	answering
	expired
)

var (
	_ http.Flusher  = (*writer)(nil)
	_ http.Hijacker = (*writer)(nil)
)

// Unwrap lets [http.ResponseController] reach what is not wrapped here.
func (w *writer) Unwrap() http.ResponseWriter { return w.ResponseWriter }

// expire gives the attempt up unless its first byte has come.
func (w *writer) expire() {
	if w.progress.CompareAndSwap(waiting, expired) {
		w.cancel(errFirstByte)
	}
}

// WriteHeader implements [http.ResponseWriter].
func (w *writer) WriteHeader(status int) {
	if status >= 100 && status < 200 && status != http.StatusSwitchingProtocols {
		w.ResponseWriter.WriteHeader(status)
		return
	}
	if w.status != 0 {
		return
	}
	w.status = status
	if w.measured {
		w.x.answer(status, w.Header())
	}
}

// send sends the header.
func (w *writer) send() {
	w.sent = true
	w.sign()
	w.ResponseWriter.WriteHeader(w.status)
}

// sign says in the header who serves which request.
func (w *writer) sign() {
	h := w.Header()
	h[VersionHeader] = w.arm.header
	w.id[0] = w.x.id
	h[RequestHeader] = w.id[:]
}

// maxDropped is how much of the body of an answer that will not be sent is read,
// which keeps the connection usable, before the handler is stopped.
const maxDropped = 64 << 10

var errGivenUp = errors.New("traffic: the attempt was given up")

// Write implements [http.ResponseWriter]. The bytes are passed on before they
// are measured, under the time at which they came.
func (w *writer) Write(p []byte) (int, error) {
	if w.status == 0 {
		w.WriteHeader(http.StatusOK)
	}
	if w.rescuable && !w.sent && w.status >= 500 {
		if w.dropped += len(p); w.dropped > maxDropped {
			return 0, errGivenUp
		}
		return len(p), nil
	}
	if len(p) == 0 {
		return 0, nil // not an answer yet
	}
	at := time.Since(w.x.began)
	if w.rescuable && !w.sent && w.x.holds() {
		return w.hold(p, at)
	}
	if w.progress.Load() != answering && !w.progress.CompareAndSwap(waiting, answering) {
		return 0, errGivenUp
	}
	if !w.sent {
		w.send()
	}
	n, err := w.ResponseWriter.Write(p)
	if err != nil {
		w.gone = err
	}
	if w.measured {
		w.given = at
		w.x.feed(p[:n], w.x.caller.arrives(w.x.caller.back, at))
	}
	return n, err
}

// hold keeps the beginning of a stream until it shows whether there is an answer.
func (w *writer) hold(p []byte, at time.Duration) (int, error) {
	if w.failure != nil {
		return 0, errGivenUp
	}
	if len(w.held) == 0 {
		w.since = at
	}
	w.held = append(w.held, p...)
	w.x.feed(p, at)
	switch v, err := w.x.weigh(len(w.held), at-w.since); v {
	case undecided:
		return len(p), nil
	case failed:
		w.failure = err
		return 0, errGivenUp
	}
	if err := w.release(); err != nil {
		return 0, err
	}
	return len(p), nil
}

// release passes on what was held.
func (w *writer) release() error {
	if !w.progress.CompareAndSwap(waiting, answering) {
		return errGivenUp
	}
	w.send()
	_, err := w.ResponseWriter.Write(w.held)
	if w.held = nil; err != nil {
		w.gone = err
	}
	return err
}

// Flush implements [http.Flusher].
func (w *writer) Flush() { _ = w.FlushError() }

// FlushError is what [http.ResponseController] calls. It does not make a header
// go out alone, which spares a packet for each stream besides.
func (w *writer) FlushError() error {
	if !w.sent {
		return nil
	}
	err := http.NewResponseController(w.ResponseWriter).Flush()
	if w.measured && w.given > 0 {
		w.x.caller.took(w.given, time.Since(w.x.began)) // Write does not wait for callers, but for large chunks
		w.given = 0
	}
	return err
}

// Hijack implements [http.Hijacker]. Who takes the connection has answered.
func (w *writer) Hijack() (net.Conn, *bufio.ReadWriter, error) {
	conn, rw, err := http.NewResponseController(w.ResponseWriter).Hijack()
	if err == nil {
		w.hijacked = true
		w.progress.CompareAndSwap(waiting, answering)
		w.sign()
	}
	return conn, rw, err
}

// conclude sends what the handler left unsent, once it has returned.
func (w *writer) conclude() {
	switch {
	case w.hijacked || w.sent:
	case w.progress.Load() == expired:
		w.restore()
		w.sent = true
		w.sign()
		writeError(w.ResponseWriter, http.StatusGatewayTimeout, "the model did not answer in time")
	default:
		if w.status == 0 {
			w.WriteHeader(http.StatusOK)
		}
		if len(w.held) > 0 {
			_ = w.release() // what went wrong is in w.gone, or the attempt has expired
			return
		}
		w.send()
	}
}

// restore undoes what the handler has done to the header.
func (w *writer) restore() {
	h := w.Header()
	clear(h)
	maps.Copy(h, w.outer)
}
