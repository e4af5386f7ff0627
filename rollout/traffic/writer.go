package traffic

import (
	"bufio"
	"context"
	"errors"
	"maps"
	"net"
	"net/http"
	"time"
)

// writer stands between a backend's handler and the caller for one attempt to
// serve a request. It measures what passes, and holds back the header until the
// first byte of the body shows that there is an answer. It does so for all arms:
// if some callers have little patience for headers, they must have as little
// with the baseline as with a candidate, or the comparison is unfair.
//
// As any [http.ResponseWriter] it is used by one goroutine at a time; only
// overdue is called from another one.
type writer struct {
	http.ResponseWriter
	x   *exchange
	arm *arm
	// timed is the body of the request if it is not held, nil otherwise.
	timed *timedBody
	leg   *leg // of an attempt that the exchange is not about, if it is charged
	// fallback reports whether the baseline could serve instead, so that a failure
	// of the arm need not reach the caller; measured, whether the exchange is about
	// this attempt; opinion, whether its status decides what the other one was.
	fallback, measured, opinion bool

	cancel   context.CancelCauseFunc // ends the attempt
	stop     context.CancelCauseFunc // ends the request with the usage option; nil without it
	deadline deadline
	progress
	unlinger func() bool // keeps the attempt from being ended, nil if nothing would

	id       [1]string     // of the exchange, as the value of a header
	outer    http.Header   // the header as it was before, nil if it was empty
	status   int           // what the handler said; 0 before it did
	sent     bool          // the header is on its way to the caller
	hijacked bool          // the handler has taken the connection
	held     []byte        // of the body, until it shows that there is an answer
	given    time.Duration // when the chunk came that is being handed on; 0 if none is
	since    time.Duration // when the first of it came
	refused  bool          // the header is too large; neither it nor the body is passed on
	names    int           // how many the header had when it was sent
	failed   bool          // held is not an answer, and grows to its end
	failure  error         // why the arm did not answer, if that is known
	ids      *idReader     // of what the answer says was made; nil if it does not
	asked    bool          // the request asks for a usage report that the caller did not want
	declined bool          // the arm has refused that
	read     int           // bytes of the refusal
	filter   *usageFilter  // takes it out of the answer, or nil
	tail     tail          // of what was passed on
	gone     error         // why the caller could not be written to
}

var (
	_ http.Flusher  = (*writer)(nil)
	_ http.Hijacker = (*writer)(nil)
)

// Unwrap lets [http.ResponseController] reach what is not wrapped here.
func (w *writer) Unwrap() http.ResponseWriter { return w.ResponseWriter }

// overdue implements [overdue].
func (w *writer) overdue(now time.Time) time.Time {
	return w.check(now.Sub(w.x.began), w.x, w.cancel)
}

// WriteHeader implements [http.ResponseWriter].
func (w *writer) WriteHeader(status int) {
	large := largeHeader(w.Header(), w.outer)
	if status >= 100 && status < 200 && status != http.StatusSwitchingProtocols {
		if !large {
			w.ResponseWriter.WriteHeader(status)
		}
		return
	}
	if w.status != 0 || w.refused {
		return
	}
	if large {
		w.refused, w.failure = true, errLargeHeader
		w.cancel(errLargeHeader)
		return
	}
	w.status = status
	if w.asked && refusesUsage(status) {
		w.declined = true
		w.unlinger = w.x.router.limits.linger(w.stop)
		return
	}
	w.x.answeredPlain(w.arm, status)
	dropForeign(w.Header(), w.arm)
	if w.failure == nil {
		w.leg.start(status, w.Header())
		if w.x.makes {
			w.ids = w.x.router.idsOf(w.arm, status, w.Header())
		}
	}
	switch {
	case w.opinion:
		w.x.confirmed(status)
	case w.measured && w.failure == nil: // otherwise the status is ours
		w.x.start(status, w.Header())
		if w.fallback && w.x.settled() {
			w.unlinger = w.x.router.limits.linger(w.cancel)
		}
	}
	if w.asked {
		w.filter = w.x.usageFilter(w.arm, status, w.Header())
	}
}

// forget undoes what an arm has answered that refuses the usage option.
func (w *writer) forget() {
	w.restore()
	w.status, w.failure, w.declined, w.asked, w.read = 0, nil, false, false, 0
	w.x.askPlain(w.arm)
}

// pass passes on a part of the answer.
func (w *writer) pass(p []byte) (int, error) {
	if w.filter == nil {
		w.tail.add(p)
		return w.ResponseWriter.Write(p)
	}
	if out := w.filter.feed(p); len(out) > 0 {
		w.tail.add(out)
		if _, err := w.ResponseWriter.Write(out); err != nil {
			return 0, err
		}
	}
	return len(p), nil
}

// rest passes on what the filter has held back when the answer has ended.
func (w *writer) rest() {
	if w.filter == nil || !w.sent || w.gone != nil {
		return
	}
	if p := w.filter.end(); len(p) > 0 {
		_, _ = w.ResponseWriter.Write(p) // the observation does not depend on it
		_ = http.NewResponseController(w.ResponseWriter).Flush()
	}
}

// send sends the header.
func (w *writer) send() {
	w.sent = true
	w.sign()
	w.names = len(w.Header())
	w.ResponseWriter.WriteHeader(w.status)
}

// sign says in the header who serves which request.
func (w *writer) sign() {
	h := w.Header()
	h[VersionHeader] = w.arm.header
	w.id[0] = w.x.id
	h[RequestHeader] = w.id[:]
}

// maxDropped is how much of the body of an answer is read that will probably not
// be sent.
const maxDropped = 64 << 10

var errGivenUp = errors.New("traffic: the attempt was given up")

// Write implements [http.ResponseWriter]. The bytes are passed on before they
// are measured, under the time at which they came.
func (w *writer) Write(p []byte) (int, error) {
	if w.status == 0 {
		w.WriteHeader(http.StatusOK)
	}
	if w.refused {
		return 0, errGivenUp
	}
	if len(p) == 0 {
		return 0, nil // not an answer yet
	}
	if w.declined {
		if w.read += len(p); w.read > maxDropped {
			return 0, errGivenUp
		}
		return len(p), nil
	}
	w.ids.feed(p)
	at := time.Since(w.x.began)
	if w.fallback && !w.sent {
		return w.hold(p, at)
	}
	w.touch(busy) // before the phase changes, which counts from it
	if !w.answers() {
		return 0, errGivenUp
	}
	if !w.sent {
		w.send()
	}
	n, err := w.pass(p)
	if err != nil {
		w.gone = err
	}
	w.leg.feed(p[:n], at)
	if w.measured {
		w.given = at
		w.x.feed(p[:n], w.x.caller.arrives(w.x.caller.back, at))
		if w.x.silent(at) {
			w.stall(w.cancel)
		}
	}
	w.touch(at)
	return n, err
}

// hold keeps the beginning of an answer until it shows whether it is one.
func (w *writer) hold(p []byte, at time.Duration) (int, error) {
	if w.failure != nil { // the text is ours
		return w.keep(p)
	}
	w.touch(at)
	if !w.peeks() {
		return 0, errGivenUp
	}
	if len(w.held) == 0 {
		w.since = at
	}
	w.x.feed(p, at)
	if w.x.silent(at) {
		w.stall(w.cancel)
		return 0, errGivenUp
	}
	if w.failed {
		return w.keep(p)
	}
	switch w.x.weigh(len(w.held)+len(p), at-w.since) {
	case undecided:
		w.held = append(w.held, p...)
		return len(p), nil
	case failed:
		w.failed = true
		return w.keep(p)
	}
	return w.release(p)
}

// keep takes a part of an answer that has failed, and is passed on only if the
// baseline does not serve in its place. A short one is read to its end, which keeps
// the connection usable; the handler of another one is stopped.
func (w *writer) keep(p []byte) (int, error) {
	switch {
	case !w.x.hopeless(w.status, len(w.held)+len(p)):
		w.held = append(w.held, p...)
		return len(p), nil
	case w.failure == nil && w.x.stays():
		return w.release(p)
	case w.failure == nil:
		w.failure = errNoAnswer
	}
	return 0, errGivenUp
}

// release passes on what was held, and p behind it.
func (w *writer) release(p []byte) (int, error) {
	w.touch(busy)
	if !w.answers() {
		return 0, errGivenUp
	}
	w.send()
	w.held = append(w.held, p...)
	_, err := w.pass(w.held)
	w.touch(time.Since(w.x.began))
	if w.held = nil; err != nil {
		w.gone = err
		return 0, err
	}
	return len(p), nil
}

// Flush implements [http.Flusher].
func (w *writer) Flush() { _ = w.FlushError() }

// FlushError is what [http.ResponseController] calls. It does not make a header
// go out alone, which also spares a packet for each stream.
func (w *writer) FlushError() error {
	if !w.sent {
		return nil
	}
	w.touch(busy)
	err := http.NewResponseController(w.ResponseWriter).Flush()
	now := time.Since(w.x.began)
	w.touch(now)
	if w.measured && w.given > 0 {
		w.x.caller.took(w.given, now) // Write waits for callers with large chunks alone
		w.given = 0
	}
	return err
}

// Hijack implements [http.Hijacker]. A handler that takes the connection has
// answered.
func (w *writer) Hijack() (net.Conn, *bufio.ReadWriter, error) {
	conn, rw, err := http.NewResponseController(w.ResponseWriter).Hijack()
	if err == nil {
		w.hijacked = true
		w.touch(busy) // its connection may be silent for as long as it likes
		w.answers()
		w.sign()
		if w.measured && w.status == 0 {
			// A session is observed when its handshake is answered.
			w.status = http.StatusSwitchingProtocols
			w.x.start(w.status, w.Header())
			w.x.finish(ending{})
		}
	}
	return conn, rw, err
}

// conclude sends what the handler left unsent, once it has returned.
func (w *writer) conclude() {
	switch {
	case w.hijacked:
	case w.sent:
		if len(w.Header()) > w.names {
			dropLargeTrailers(w.Header())
		}
	case w.refused:
		w.restore()
		w.sent = true
		w.sign()
		writeError(w.ResponseWriter, http.StatusBadGateway, badAnswer)
	case w.ended() != nil:
		w.restore()
		w.sent = true
		w.sign()
		writeError(w.ResponseWriter, http.StatusGatewayTimeout, "the model did not answer in time")
	default:
		if w.status == 0 {
			w.WriteHeader(http.StatusOK)
		}
		if len(w.held) > 0 {
			_, _ = w.release(nil) // what went wrong is in w.gone, or the attempt has expired
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
