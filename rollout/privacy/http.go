package privacy

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"mime"
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

// ErrUnreadable means that a body cannot be redacted: it is compressed, or too large. The
// body is not sent on.
var ErrUnreadable = errors.New("privacy: body cannot be redacted")

// medium is how a body is read.
type medium int

const (
	opaque   medium = iota // images, audio, archives: it is passed on
	document               // JSON
	stream                 // server-sent events
	lines                  // JSON lines
	plain                  // other text
)

// mediumOf returns how a body of the given header is read.
func mediumOf(h http.Header) medium {
	t, _, err := mime.ParseMediaType(h.Get("Content-Type"))
	if err != nil {
		t, _, _ = strings.Cut(strings.ToLower(strings.TrimSpace(h.Get("Content-Type"))), ";")
	}
	switch main, sub, _ := strings.Cut(t, "/"); {
	case t == "text/event-stream":
		return stream
	case t == "application/x-ndjson", t == "application/jsonl", t == "application/x-jsonlines", t == "application/stream+json", t == "application/jsonlines":
		return lines
	case sub == "json", strings.HasSuffix(sub, "+json"):
		return document
	case main == "image", main == "audio", main == "video", main == "font", sub == "octet-stream", sub == "zip", sub == "gzip", sub == "pdf", sub == "protobuf", sub == "grpc":
		return opaque
	case main == "multipart":
		return opaque
	}
	return plain
}

// body redacts a body in pieces.
type body interface {
	append(dst, piece []byte) []byte
	flush(dst []byte) []byte
}

type plainBody struct{ *Stream }

func (p plainBody) append(dst, piece []byte) []byte { return p.Append(dst, piece) }
func (p plainBody) flush(dst []byte) []byte         { return p.Flush(dst) }

// documentBody collects a document.
type documentBody struct {
	r   *Redactor
	doc []byte
}

func (d *documentBody) append(dst, piece []byte) []byte {
	d.doc = append(d.doc, piece...)
	return dst
}

func (d *documentBody) flush(dst []byte) []byte { return d.r.answer(dst, d.doc) }

// answer redacts a document, and removes logprobs, which hold the text in pieces.
func (r *Redactor) answer(dst, doc []byte) []byte {
	root, ok := parse(doc)
	if !ok {
		return r.JSON(dst, doc)
	}
	v := view{doc: doc}
	v.visit(&root, "", "")
	ed := editor{doc: doc, dst: dst}
	v.edit(&ed, func(l leaf) ([]byte, bool) { return r.literal(doc, l.node) })
	return ed.finish()
}

// body returns what redacts a body of the given header, nil if it is passed on.
func (r *Redactor) body(h http.Header) body {
	switch mediumOf(h) {
	case document:
		return &documentBody{r: r}
	case stream:
		return &wire{events: events{r: r}}
	case lines:
		return &wire{events: events{r: r}, jsonl: true}
	case plain:
		return plainBody{r.Stream()}
	}
	return nil
}

// size returns how much a body holds back.
func size(b body) int {
	switch b := b.(type) {
	case *documentBody:
		return len(b.doc)
	case *wire:
		return len(b.buf)
	}
	return 0
}

func encoded(h http.Header) bool {
	e := strings.ToLower(strings.TrimSpace(h.Get("Content-Encoding")))
	return e != "" && e != "identity"
}

// request returns a copy of req with a redacted body. It reads the body.
func (r *Redactor) request(req *http.Request) (*http.Request, error) {
	if req.Body == nil || req.Body == http.NoBody {
		return req, nil
	}
	b := r.body(req.Header)
	if encoded(req.Header) {
		return nil, fmt.Errorf("%w: its Content-Encoding is %.40q, want none", ErrUnreadable, req.Header.Get("Content-Encoding"))
	}
	if b == nil {
		return req, nil
	}
	raw, err := io.ReadAll(io.LimitReader(req.Body, int64(r.maxBody)+1))
	if err != nil {
		return nil, err
	}
	if len(raw) > r.maxBody {
		return nil, fmt.Errorf("%w: it has more than %d bytes", ErrUnreadable, r.maxBody)
	}
	var out []byte
	if first := bytes.TrimSpace(raw); len(first) > 0 && (first[0] == '{' || first[0] == '[') && mediumOf(req.Header) != lines {
		out = r.JSON(nil, raw) // whatever its type says
	} else {
		out = b.flush(b.append(nil, raw))
	}
	closer := req.Body
	req = req.Clone(req.Context())
	req.Body = struct {
		io.Reader
		io.Closer
	}{bytes.NewReader(out), closer}
	req.GetBody = func() (io.ReadCloser, error) { return io.NopCloser(bytes.NewReader(out)), nil }
	req.ContentLength = int64(len(out))
	req.TransferEncoding = nil
	if req.Header.Get("Content-Length") != "" {
		req.Header.Set("Content-Length", strconv.Itoa(len(out)))
	}
	return req, nil
}

// identity asks for an answer that is not compressed.
func identity(req *http.Request) *http.Request {
	if req.Header.Get("Accept-Encoding") == "" {
		return req
	}
	req = req.Clone(req.Context())
	req.Header.Del("Accept-Encoding")
	return req
}

// Handler returns a handler that redacts the bodies of requests before next sees them, and of
// its answers while they are written. Put it around a gateway or a router.
//
// A request whose body is compressed is refused with 415, and one that is larger than MaxBody
// with 413. An answer that is compressed although it was not asked for is replaced by 502, and
// one that becomes too large to be held is broken off. Headers, URLs and binary bodies such as
// images are passed on as they are. The writer that next gets is no [http.Hijacker].
func (r *Redactor) Handler(next http.Handler, what Direction) http.Handler {
	if what == Neither {
		return next
	}
	return http.HandlerFunc(func(w http.ResponseWriter, req *http.Request) {
		if what != ResponsesOnly {
			redacted, err := r.request(req)
			var tooLarge *http.MaxBytesError
			switch {
			case err == nil:
				req = redacted
			case errors.Is(err, ErrUnreadable) && encoded(req.Header):
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
		next.ServeHTTP(out, identity(req))
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
	case status == http.StatusSwitchingProtocols, encoded(h):
		w.refused, w.status = true, http.StatusBadGateway
		clear(h)
		h.Set("Content-Type", "text/plain; charset=utf-8")
		w.send()
		fmt.Fprintln(w.ResponseWriter, "privacy: the answer is compressed or no HTTP, and cannot be redacted")
		return
	}
	if w.body = w.r.body(h); w.body != nil {
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
			w.Header().Set("Content-Type", http.DetectContentType(p))
		}
		w.WriteHeader(http.StatusOK)
	}
	switch {
	case w.refused:
		return len(p), nil
	case w.body == nil:
		return w.ResponseWriter.Write(p)
	case size(w.body)+len(p) > w.r.maxBody:
		w.broken = true
		return 0, fmt.Errorf("%w: it has more than %d bytes", ErrUnreadable, w.r.maxBody)
	}
	w.out = w.body.append(w.out[:0], p)
	if len(w.out) > 0 {
		if _, err := w.ResponseWriter.Write(w.out); err != nil {
			return 0, err
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
	resp, err := t.next.RoundTrip(identity(req))
	if err != nil || req.Method == http.MethodHead || resp.StatusCode == http.StatusNoContent || resp.StatusCode == http.StatusNotModified {
		return resp, err
	}
	if encoded(resp.Header) || resp.StatusCode == http.StatusSwitchingProtocols {
		_ = resp.Body.Close()
		return nil, fmt.Errorf("%w: the answer has status %d and the Content-Encoding %.40q, want none", ErrUnreadable, resp.StatusCode, resp.Header.Get("Content-Encoding"))
	}
	if b := t.r.body(resp.Header); b != nil {
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
		if size(r.body)+n > r.most {
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
