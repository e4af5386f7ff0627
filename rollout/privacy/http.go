package privacy

import (
	"errors"
	"fmt"
	"io"
	"net/http"
	"slices"
	"strconv"
	"strings"
	"time"
)

// Direction says which bodies a Handler or a Transport redacts.
type Direction int

// The directions.
const (
	Both          Direction = iota
	RequestsOnly            // what is sent to the model
	ResponsesOnly           // what the model says
	Neither                 // the handler or transport is returned as it is
)

var directions = []string{"both", "requests", "answers", "none"}

// String returns "both", "requests", "answers" or "none".
func (d Direction) String() string {
	if d < 0 || int(d) >= len(directions) {
		return "Direction(" + strconv.Itoa(int(d)) + ")"
	}
	return directions[d]
}

// UnmarshalText sets d to the direction of a text that String returns.
func (d *Direction) UnmarshalText(text []byte) error {
	i := slices.Index(directions, string(text))
	if i < 0 {
		return invalid("Direction", string(text), strings.Join(directions, ", "))
	}
	*d = Direction(i)
	return nil
}

// ErrUnreadable means that a body cannot be redacted: it is compressed, in a form that is not
// read, or too large. The body is not sent on.
var ErrUnreadable = errors.New("privacy: body cannot be redacted")

// unreadable is a body in a form that cannot be redacted.
type unreadable string

func (u unreadable) Error() string { return ErrUnreadable.Error() + ": " + string(u) }
func (u unreadable) Unwrap() error { return ErrUnreadable }

// encodedAs returns the encodings of a body, "" for a body as it is.
func encodedAs(h http.Header) string {
	var all []string
	for e := range strings.SplitSeq(strings.Join(h.Values("Content-Encoding"), ","), ",") {
		if e = strings.TrimSpace(e); e != "" && !strings.EqualFold(e, "identity") {
			all = append(all, e)
		}
	}
	return strings.Join(all, ", ")
}

// unredactable reports whether an answer cannot be redacted: it is compressed, in a binary form
// with text in it, a part of a body, or no HTTP.
func unredactable(status int, h http.Header) bool {
	return status == http.StatusSwitchingProtocols || status == http.StatusPartialContent || encodedAs(h) != "" || mediumOf(h) == unknown
}

// entire asks for an answer that is not compressed, and not for a part of one, in which a value
// may be cut.
func entire(req *http.Request) *http.Request {
	req = req.Clone(req.Context())
	for _, name := range []string{"Accept-Encoding", "Range", "If-Range"} {
		req.Header.Del(name)
	}
	return req
}

// Handler returns a handler that redacts the bodies of requests before next sees them, and of
// its answers while they are written. Put it around a gateway or a router.
//
// What looks like JSON is redacted as JSON, whatever its type says. In multipart bodies, each
// part is redacted. Binary bodies such as images are passed on as they are, and so are headers
// and URLs.
//
// A request is refused with 415 if its body is compressed, in a binary form that holds texts,
// such as Protocol Buffers or MessagePack, or of another type than it says. One that is larger
// than MaxBody is refused with 413. Range is not passed on, since a value may be cut by it. An
// answer that is compressed, in such a form or a part is replaced by 502, and one that becomes
// too large to be held is broken off. The writer that next gets is no [http.Hijacker].
func (r *Redactor) Handler(next http.Handler, what Direction) http.Handler {
	if what == Neither {
		return next
	}
	return http.HandlerFunc(func(w http.ResponseWriter, req *http.Request) {
		if what != ResponsesOnly {
			redacted, err := r.request(req)
			var tooLarge *http.MaxBytesError
			var form unreadable
			switch {
			case err == nil:
				req = redacted
			case errors.As(err, &form):
				http.Error(w, err.Error(), http.StatusUnsupportedMediaType)
				return
			case errors.Is(err, ErrUnreadable), errors.As(err, &tooLarge):
				http.Error(w, "privacy: the body of the request is too large", http.StatusRequestEntityTooLarge)
				return
			default:
				http.Error(w, "privacy: the body of the request could not be read", http.StatusBadRequest)
				return
			}
		}
		if what == RequestsOnly {
			next.ServeHTTP(w, req)
			return
		}
		out := &writer{ResponseWriter: w, r: r, head: req.Method == http.MethodHead}
		next.ServeHTTP(out, entire(req))
		out.finish() // not after a panic, which breaks the answer off
	})
}

// writer redacts an answer.
type writer struct {
	http.ResponseWriter
	r       *Redactor
	head    bool
	status  int
	started bool // the header was looked at
	guessed bool // the type of the answer is
	sent    bool // the header was sent
	refused bool
	broken  bool // a part of the answer is missing
	body    body
	out     []byte
}

// WriteHeader implements [http.ResponseWriter].
func (w *writer) WriteHeader(status int) {
	if status >= 100 && status < 200 && status != http.StatusSwitchingProtocols {
		w.ResponseWriter.WriteHeader(status)
		return
	}
	if w.started {
		return
	}
	w.started, w.status = true, status
	h := w.Header()
	switch {
	case w.head, status == http.StatusNoContent, status == http.StatusNotModified:
		w.send()
		return
	case unredactable(status, h):
		w.refused, w.status = true, http.StatusBadGateway
		clear(h)
		h.Set("Content-Type", "text/plain; charset=utf-8")
		w.send()
		fmt.Fprintln(w.ResponseWriter, "privacy: the answer is compressed, in parts, binary with text in it or no HTTP, and cannot be redacted")
		return
	}
	if w.body = w.r.body(h, !w.guessed); w.body != nil {
		h.Del("Content-Length")
		h.Del("ETag")
		h.Del("Content-Digest")
		h.Del("Accept-Ranges")
	}
	if _, waits := w.body.(*documentBody); !waits {
		w.send()
	}
}

func (w *writer) send() {
	if !w.sent {
		w.sent = true
		w.ResponseWriter.WriteHeader(w.status)
	}
}

// Write implements [io.Writer].
func (w *writer) Write(p []byte) (int, error) {
	if !w.started {
		if w.Header().Get("Content-Type") == "" && len(p) > 0 {
			w.guessed = true
			w.Header().Set("Content-Type", http.DetectContentType(p))
		}
		w.WriteHeader(http.StatusOK)
	}
	switch {
	case w.refused:
		return len(p), nil
	case w.body == nil:
		return w.ResponseWriter.Write(p)
	}
	for piece := range slices.Chunk(p, 64<<10) {
		if w.body.size()+len(piece) > w.r.maxBody {
			w.broken = true
			return 0, fmt.Errorf("%w: it has more than %d bytes", ErrUnreadable, w.r.maxBody)
		}
		w.out = w.body.append(w.out[:0], piece)
		if len(w.out) > 0 {
			if _, err := w.ResponseWriter.Write(w.out); err != nil {
				return 0, err
			}
		}
	}
	return len(p), nil
}

func (w *writer) finish() {
	if w.broken {
		panic(http.ErrAbortHandler) // so that it does not look complete
	}
	if !w.started || w.refused || w.body == nil {
		return
	}
	w.out = w.body.flush(w.out[:0])
	w.send()
	if len(w.out) > 0 {
		_, _ = w.ResponseWriter.Write(w.out)
	}
}

// Flush implements [http.Flusher].
func (w *writer) Flush() { _ = w.FlushError() }

// FlushError is for [http.ResponseController].
func (w *writer) FlushError() error {
	if _, waits := w.body.(*documentBody); waits && !w.sent {
		return nil // the document is not complete
	}
	return http.NewResponseController(w.ResponseWriter).Flush()
}

// SetReadDeadline is for [http.ResponseController].
func (w *writer) SetReadDeadline(t time.Time) error {
	return http.NewResponseController(w.ResponseWriter).SetReadDeadline(t)
}

// SetWriteDeadline is for [http.ResponseController].
func (w *writer) SetWriteDeadline(t time.Time) error {
	return http.NewResponseController(w.ResponseWriter).SetWriteDeadline(t)
}

// EnableFullDuplex is for [http.ResponseController].
func (w *writer) EnableFullDuplex() error {
	return http.NewResponseController(w.ResponseWriter).EnableFullDuplex()
}

// Transport returns a RoundTripper that redacts the bodies of requests before next sends
// them, and of answers while they are read. Put it behind a router, in front of a model that
// others run. If next is nil, it is [http.DefaultTransport], except for Neither. What a Handler refuses is an
// error that wraps [ErrUnreadable].
func (r *Redactor) Transport(next http.RoundTripper, what Direction) http.RoundTripper {
	if what == Neither {
		return next
	}
	if next == nil {
		next = http.DefaultTransport
	}
	return &transport{r, next, what}
}

type transport struct {
	r    *Redactor
	next http.RoundTripper
	what Direction
}

// RoundTrip implements [http.RoundTripper].
func (t *transport) RoundTrip(req *http.Request) (*http.Response, error) {
	if t.what != ResponsesOnly {
		redacted, err := t.r.request(req)
		if err != nil {
			if req.Body != nil {
				_ = req.Body.Close()
			}
			return nil, err
		}
		req = redacted
	}
	if t.what == RequestsOnly {
		return t.next.RoundTrip(req)
	}
	resp, err := t.next.RoundTrip(entire(req))
	if err != nil || req.Method == http.MethodHead || resp.StatusCode == http.StatusNoContent || resp.StatusCode == http.StatusNotModified {
		return resp, err
	}
	if unredactable(resp.StatusCode, resp.Header) {
		_ = resp.Body.Close()
		return nil, unreadable(fmt.Sprintf("the answer has status %d, the Content-Type %.60q and the Content-Encoding %.40q, want an entire text without encoding", resp.StatusCode, resp.Header.Get("Content-Type"), encodedAs(resp.Header)))
	}
	if b := t.r.body(resp.Header, resp.Header.Get("Content-Type") != ""); b != nil {
		for _, name := range []string{"Content-Length", "ETag", "Content-Digest", "Accept-Ranges"} {
			resp.Header.Del(name)
		}
		resp.ContentLength = -1
		resp.Body = &reader{ReadCloser: resp.Body, body: b, most: t.r.maxBody, piece: make([]byte, 16<<10)}
	}
	return resp, nil
}

// reader redacts an answer.
type reader struct {
	io.ReadCloser
	body  body
	most  int
	piece []byte
	ready []byte // to be read
	out   []byte
	err   error
}

// Read implements [io.Reader].
func (r *reader) Read(p []byte) (int, error) {
	for len(r.ready) == 0 {
		if r.err != nil {
			return 0, r.err
		}
		n, err := r.ReadCloser.Read(r.piece)
		if r.body.size()+n > r.most {
			r.err = fmt.Errorf("%w: it has more than %d bytes", ErrUnreadable, r.most)
			return 0, r.err
		}
		r.out = r.body.append(r.out[:0], r.piece[:n])
		if r.err = err; err == io.EOF { // after another error, what is held back is dropped
			r.out = r.body.flush(r.out)
		}
		r.ready = r.out
	}
	n := copy(p, r.ready)
	r.ready = r.ready[n:]
	return n, nil
}
