package hop

import (
	"bytes"
	"context"
	"io"
	"net/http"
	"net/http/httptrace"
	"net/textproto"
	"sync/atomic"
	"time"
)

// exchange is one attempt to have a request answered, and the body of the answer.
type exchange struct {
	resp  http.Response
	t     *Transport
	req   *http.Request
	ctx   context.Context
	trace *httptrace.ClientTrace
	c     *conn
	up    upload
	stop  func() bool // ends the watch on ctx; nil if it cannot end

	space *[bufferSize]byte // pooled memory, nil when it was given back
	buf   []byte            // that is what space holds, or larger
	r, w  int               // what was received and not read yet: buf[r:w]

	got     bool // a byte of the answer was received
	keep    bool // the connection may serve another request after the answer
	budget  int  // bytes that the header may still have
	framing framing
	left    int64 // of the body, or of the chunk
	phase   phase
	excess  int64 // of the chunks: bytes that are not data
	state   atomic.Int32
	err     error // with which the body has ended
	coding  [1]string
}

// run sends the request on x.c and reads the header of the answer. If it fails, it has
// closed the connection, and is not using body any more.
func (x *exchange) run(body io.ReadCloser) error {
	x.space = buffers.Get().(*[bufferSize]byte)
	if x.ctx.Done() != nil {
		x.stop = context.AfterFunc(x.ctx, x.c.close)
	}
	x.keep = !x.req.Close
	x.send(body)
	x.buf = x.space[:]
	if x.up.done == nil && (x.up.refused || x.up.err != nil && x.up.n == 0) {
		x.end(false)
		return x.up.err
	}
	// What could not be written to its end may have been answered before.
	err := x.answer()
	if err == nil {
		return nil
	}
	x.end(false)
	if _, refused := err.(*ResponseError); x.up.err != nil && !refused {
		return x.up.err
	}
	return err
}

// resendable reports whether a request that has ended with an error may be sent again:
// its connection had been idle and ended without an answer, and the server has not got
// the request, or it may be repeated.
func (x *exchange) resendable(err error) bool {
	if !x.c.reused || x.got || x.up.refused || x.ctx.Err() != nil {
		return false
	}
	held := x.req.Body != nil && x.req.Body != http.NoBody
	if held && x.req.GetBody == nil {
		return false
	}
	if x.up.n == 0 && x.up.err != nil {
		return true
	}
	switch x.req.Method {
	case "", http.MethodGet, http.MethodHead, http.MethodOptions, http.MethodTrace:
		return true
	}
	_, key := x.req.Header["Idempotency-Key"]
	_, xKey := x.req.Header["X-Idempotency-Key"]
	return held && (key || xKey)
}

// fault returns the error that the caller sees.
func (x *exchange) fault(err error) error {
	if x.ctx.Err() != nil {
		return context.Cause(x.ctx)
	}
	if at, ok := x.ctx.Deadline(); ok && !time.Now().Before(at) {
		return context.DeadlineExceeded // a dialer was faster than the timer of ctx
	}
	return err
}

// end lets go of the connection, which is kept if that is wanted and possible, of the
// memory, and of the request. It is called once.
func (x *exchange) end(whole bool) {
	c := x.c
	unwatched := x.stop == nil || x.stop()
	clean := x.r == x.w
	if x.space != nil {
		buffers.Put(x.space)
		x.space, x.buf, x.r, x.w = nil, nil, 0, 0
	}
	if !whole || !x.keep || !clean || !x.uploaded() || !unwatched {
		if c.close(); x.up.done != nil {
			<-x.up.done // soon: nothing can be written any more
		}
		return
	}
	err := c.backend.put(c)
	if x.trace != nil && x.trace.PutIdleConn != nil {
		x.trace.PutIdleConn(err)
	}
}

// lastWrite is how long an answer that has ended waits for its request to be written.
const lastWrite = 50 * time.Millisecond

// uploaded reports whether the request was sent to its end.
func (x *exchange) uploaded() bool {
	if x.up.done != nil { // the server has answered; has it also read everything?
		err := x.c.SetWriteDeadline(time.Now().Add(lastWrite))
		<-x.up.done
		if err != nil || x.c.SetWriteDeadline(time.Time{}) != nil {
			return false
		}
	}
	return x.up.err == nil
}

// fill receives more of the answer.
func (x *exchange) fill() error {
	switch {
	case x.r == x.w:
		x.r, x.w = 0, 0
	case x.w == len(x.buf) && x.r > 0:
		x.w = copy(x.buf, x.buf[x.r:x.w])
		x.r = 0
	case x.w == len(x.buf):
		x.buf = append(x.buf, make([]byte, len(x.buf))...) // of a long header; it is bounded
	}
	n, err := x.read(x.buf[x.w:])
	x.w += n
	return err
}

// read reads from the connection.
func (x *exchange) read(p []byte) (int, error) {
	n, err := x.c.Read(p)
	if n > 0 {
		return n, nil // the error, if any, comes again
	}
	if err == nil {
		err = io.ErrNoProgress
	}
	return 0, err
}

// answer reads the header of the answer.
func (x *exchange) answer() error {
	if err := x.fill(); err != nil {
		return err
	}
	x.got = true
	if x.trace != nil && x.trace.GotFirstResponseByte != nil {
		x.trace.GotFirstResponseByte()
	}
	x.budget = x.t.config.MaxHeaderBytes
	for {
		head, lines, err := x.block(true, x.budget)
		if err != nil {
			return err
		}
		x.budget -= len(head)
		if err := x.parse(head, lines); err != nil {
			return err
		}
		if x.resp.StatusCode >= 200 {
			if x.resp.Body = x; x.framing == none {
				x.resp.Body = http.NoBody
				x.end(true)
			}
			return nil
		}
		if err := x.inform(); err != nil {
			return err
		}
	}
}

// inform passes an interim answer on.
func (x *exchange) inform() error {
	code := x.resp.StatusCode
	if code == http.StatusSwitchingProtocols {
		return &ResponseError{NotAsked}
	}
	if x.framing != none {
		return &ResponseError{BadContentLength}
	}
	if code != http.StatusContinue && x.trace != nil && x.trace.Got1xxResponse != nil {
		if err := x.trace.Got1xxResponse(code, textproto.MIMEHeader(x.resp.Header)); err != nil {
			return err
		}
		x.budget = x.t.config.MaxHeaderBytes // the caller limits their number
	}
	x.resp = http.Response{}
	return nil
}

// maxLines bounds the lines of a header or trailer, which cost more memory than bytes.
const maxLines = 1000

// block reads lines up to an empty one, which it leaves out of the lines that it
// counts. The first one is a status line if status is set, all others are fields.
func (x *exchange) block(status bool, maxBytes int) (string, int, error) {
	lines := 0
	at := x.r // of a line
	for {
		end := bytes.IndexByte(x.buf[at:x.w], '\n')
		if end < 0 {
			if x.w-x.r > maxBytes {
				return "", 0, &ResponseError{LargeHeader}
			}
			at -= x.r
			if err := x.more(true); err != nil {
				return "", 0, err
			}
			at += x.r
			continue
		}
		line := x.buf[at : at+end]
		at += end + 1
		if at-x.r > maxBytes {
			return "", 0, &ResponseError{LargeHeader}
		}
		if len(line) == 0 || line[len(line)-1] != '\r' {
			return "", 0, &ResponseError{BadLineEnd}
		}
		line = line[:len(line)-1]
		switch {
		case status && lines == 0:
			if !isStatusLine(line) {
				return "", 0, &ResponseError{BadStatusLine}
			}
		case len(line) == 0:
			text := string(x.buf[x.r:at])
			x.r = at
			return text, lines, nil
		case !isField(line):
			return "", 0, &ResponseError{BadHeaderLine}
		}
		if lines++; lines > maxLines {
			return "", 0, &ResponseError{LargeHeader}
		}
	}
}
