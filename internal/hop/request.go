package hop

import (
	"cmp"
	"io"
	"net/http"
	"net/http/httptrace"
	"net/textproto"
	"slices"
	"strconv"
	"sync"
)

const (
	bufferSize = 8 << 10  // of what an answer is read into, and a small request written from
	uploadSize = 32 << 10 // of what a larger request is written from, and written by the caller
)

var (
	buffers = sync.Pool{New: func() any { return new([bufferSize]byte) }}
	uploads = sync.Pool{New: func() any { return new([uploadSize]byte) }}
)

// appendHead appends the head of a request, which serves has let pass.
func appendHead(b []byte, req *http.Request) ([]byte, error) {
	method := cmp.Or(req.Method, http.MethodGet)
	if !isToken(method) {
		return nil, &RequestError{BadMethod}
	}
	b = append(b, method...)
	b = append(b, ' ')
	from := len(b)
	if b = append(b, cmp.Or(req.URL.EscapedPath(), "/")...); req.URL.Opaque != "" {
		b = append(b[:from], req.URL.RequestURI()...)
	} else if req.URL.ForceQuery || req.URL.RawQuery != "" {
		b = append(append(b, '?'), req.URL.RawQuery...)
	}
	for _, c := range b[from:] {
		if c <= ' ' || c == 0x7f {
			return nil, &RequestError{BadTarget}
		}
	}
	b = append(b, " HTTP/1.1\r\n"...)

	b = appendField(b, "Host", cmp.Or(req.Host, req.URL.Host))
	agent := "Go-http-client/1.1" // as net/http has it
	if _, ok := req.Header["User-Agent"]; ok {
		agent = textproto.TrimString(req.Header.Get("User-Agent"))
	}
	if agent != "" { // which is checked below
		b = appendField(b, "User-Agent", agent)
	}
	if req.Close && !hasToken(req.Header["Connection"], "close") {
		b = appendField(b, "Connection", "close")
	}
	if req.ContentLength > 0 || method == http.MethodPost || method == http.MethodPut || method == http.MethodPatch {
		b = appendField(b, "Content-Length", strconv.FormatInt(req.ContentLength, 10))
	}
	for name, values := range req.Header {
		if !isToken(name) {
			return nil, &RequestError{BadField}
		}
		ours := written(name)
		for _, v := range values {
			if !isValue(v) {
				return nil, &RequestError{BadField}
			}
			if !ours {
				b = appendField(b, name, textproto.TrimString(v))
			}
		}
	}
	return append(b, "\r\n"...), nil
}

// written reports whether a field is not taken from the header of a request. net/http
// takes those whose names are spelled in an unusual way, which would be sent twice.
func written(name string) bool {
	switch http.CanonicalHeaderKey(name) {
	case "Host", "User-Agent", "Content-Length", "Transfer-Encoding", "Trailer",
		"Expect": // the body is in memory, and sent right away
		return true
	}
	return false
}

func appendField(b []byte, name, value string) []byte {
	b = append(b, name...)
	b = append(b, ": "...)
	b = append(b, value...)
	return append(b, "\r\n"...)
}

// upload is the sending of a request.
type upload struct {
	done    chan struct{} // closed when it has ended; nil if the caller sends itself
	n       int64         // bytes that were sent
	err     error
	refused bool // err is about the body, and not from the connection
}

// send sends a request with a body. It does so in a goroutine of its own if the body
// is so large that the server might have to read some of it before the rest can be
// written: it may answer and not read.
func (x *exchange) send(body io.ReadCloser) {
	u, trace := &x.up, x.trace
	head, err := appendHead(x.space[:0], x.req)
	if err != nil {
		closeBody(body)
		u.err, u.refused = err, true
		return
	}
	if trace != nil && trace.WroteHeaders != nil {
		trace.WroteHeaders()
	}
	if body == nil {
		body = http.NoBody
	}
	size := len(head) + int(min(x.req.ContentLength, uploadSize)) + 1 // one more, to see a body that goes on
	if size <= cap(head) {
		u.write(x.c, head[:size], len(head), body, trace)
		return
	}
	space := uploads.Get().(*[uploadSize]byte)
	if size <= len(space) {
		u.write(x.c, space[:size], copy(space[:], head), body, trace)
		uploads.Put(space)
		return
	}
	u.done = make(chan struct{})
	head = slices.Clone(head) // the answer takes its place
	go func() {
		defer close(u.done)
		u.stream(x.c, head, space[:], body, x.req.ContentLength)
		uploads.Put(space)
		u.traced(trace)
	}()
}

// write reads a body behind the head that is in p, up to its last byte, which must stay
// free, and writes both.
func (u *upload) write(c *conn, p []byte, head int, body io.ReadCloser, trace *httptrace.ClientTrace) {
	n, err := io.ReadFull(body, p[head:])
	if err == io.EOF || err == io.ErrUnexpectedEOF {
		err = nil
	}
	if closed := body.Close(); err == nil {
		err = closed
	}
	if err == nil && head+n != len(p)-1 {
		err = &RequestError{BadBodyLength}
	}
	if u.err, u.refused = err, err != nil; err == nil {
		n, u.err = c.Write(p[:len(p)-1])
		u.n = int64(n)
	}
	u.traced(trace)
}

// stream writes a head, and a body through buf.
func (u *upload) stream(c *conn, head, buf []byte, body io.ReadCloser, length int64) {
	w := bodyWriter{conn: c, left: int64(len(head)) + length}
	_, err := w.Write(head)
	if err == nil {
		_, err = io.CopyBuffer(&w, body, buf)
	}
	if closed := body.Close(); err == nil {
		err = closed
	}
	if err == nil && w.left != 0 {
		err = &RequestError{BadBodyLength}
	}
	u.n, u.err = int64(len(head))+length-w.left, err
	if u.refused = err != nil && w.err == nil; u.refused {
		c.close() // the server waits for the rest, and the caller for the server
	}
}

func (u *upload) traced(trace *httptrace.ClientTrace) {
	if trace != nil && trace.WroteRequest != nil {
		trace.WroteRequest(httptrace.WroteRequestInfo{Err: u.err})
	}
}

// bodyWriter writes a request of known length.
type bodyWriter struct {
	conn *conn
	left int64
	err  error // from the connection
}

func (w *bodyWriter) Write(p []byte) (int, error) {
	if int64(len(p)) > w.left {
		return 0, &RequestError{BadBodyLength}
	}
	var n int
	n, w.err = w.conn.Write(p)
	w.left -= int64(n)
	return n, w.err
}
