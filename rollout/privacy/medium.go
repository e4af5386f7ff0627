package privacy

import (
	"bytes"
	"encoding/json"
	"mime"
	"net/http"
	"slices"
	"strings"
)

// medium is how a body is read.
type medium int

const (
	opaque    medium = iota // images, audio, archives: it is passed on
	unknown                 // binary, with texts in it: it is refused
	document                // JSON
	stream                  // server-sent events
	lines                   // JSON lines
	multipart               // parts with a header each
	plain                   // other text
)

// binary are words in the names of binary types that hold texts.
var binary = []string{"protobuf", "grpc", "x-proto", "eventstream", "msgpack", "messagepack", "cbor", "bson", "avro", "thrift", "parquet", "arrow", "flatbuffers", "ubjson", "smile"}

// archives are words in the names of types that are passed on.
var archives = []string{"octet-stream", "zip", "pdf", "x-tar", "zstd", "x-xz", "x-bzip", "x-7z", "rar", "wasm"}

// mediumOf returns how a body of the given header is read.
func mediumOf(h http.Header) medium {
	t := mediaType(h)
	in := func(words []string) bool {
		return slices.ContainsFunc(words, func(word string) bool { return strings.Contains(t, word) })
	}
	switch main, sub, _ := strings.Cut(t, "/"); {
	case t == "text/event-stream":
		return stream
	case t == "application/x-ndjson", t == "application/jsonl", t == "application/x-jsonlines", t == "application/stream+json", t == "application/jsonlines", sub == "json-seq":
		return lines
	case sub == "json", strings.HasSuffix(sub, "+json"):
		return document
	case main == "multipart":
		return multipart
	case main == "text":
		return plain
	case in(binary):
		return unknown
	case main == "image" && sub != "svg+xml", main == "audio", main == "video", main == "font", in(archives):
		return opaque
	}
	return plain
}

func mediaType(h http.Header) string {
	t, _, err := mime.ParseMediaType(h.Get("Content-Type"))
	if err != nil {
		t, _, _ = strings.Cut(strings.ToLower(strings.TrimSpace(h.Get("Content-Type"))), ";")
	}
	return t
}

// looks returns how a body looks that begins with b: as a document, a stream or, if nothing is
// known, as plain text. decided is false if that depends on more of its first 512 bytes.
func looks(b []byte, final bool) (m medium, decided bool) {
	const bom, far = "\xef\xbb\xbf", 512
	if final = final || len(b) >= far; final {
		b = b[:min(len(b), far)]
	}
	if !final && strings.HasPrefix(bom, string(b)) {
		return plain, false
	}
	b = bytes.TrimLeft(withoutBOM(b), " \t\r\n\x1e")
	if len(b) == 0 {
		return plain, final
	}
	if b[0] == '{' || b[0] == '[' {
		next := bytes.TrimLeft(b[1:], " \t\r\n")
		switch {
		case len(next) == 0:
			return plain, final
		case next[0] == '"', next[0] == b[0]+2, b[0] == '[' && (next[0] == '{' || next[0] == '['):
			return document, true
		}
		return plain, true
	}
	for _, field := range []string{"data:", "event:"} {
		switch {
		case bytes.HasPrefix(b, []byte(field)):
			return stream, true
		case strings.HasPrefix(field, string(b)) && !final:
			return plain, false
		}
	}
	return plain, true
}

// body redacts a body in pieces.
type body interface {
	append(dst, piece []byte) []byte
	flush(dst []byte) []byte
	size() int // of what it holds back
}

type plainBody struct{ *Stream }

func (p plainBody) append(dst, piece []byte) []byte { return p.Append(dst, piece) }
func (p plainBody) flush(dst []byte) []byte         { return p.Flush(dst) }
func (p plainBody) size() int                       { return 0 }

// opaqueBody is passed on.
type opaqueBody struct{}

func (opaqueBody) append(dst, piece []byte) []byte { return append(dst, piece...) }
func (opaqueBody) flush(dst []byte) []byte         { return dst }
func (opaqueBody) size() int                       { return 0 }

// documentBody collects a document.
type documentBody struct {
	r      *Redactor
	doc    []byte
	opaque bool // unless it is a document
}

func (d *documentBody) append(dst, piece []byte) []byte {
	d.doc = append(d.doc, piece...)
	return dst
}

func (d *documentBody) flush(dst []byte) []byte {
	if doc := withoutBOM(d.doc); d.opaque && !json.Valid(doc) && !json.Valid(firstLine(doc)) {
		return append(dst, d.doc...)
	}
	return d.r.answer(dst, d.doc)
}

func (d *documentBody) size() int { return len(d.doc) }

func (w *wire) size() int { return len(w.buf) }

// sniffed is a body that is read as it looks.
type sniffed struct {
	r     *Redactor
	as    medium // unless it looks like a document
	typed bool   // it does not look like a stream
	buf   []byte
	body  body
}

func (s *sniffed) append(dst, piece []byte) []byte {
	if s.body != nil {
		return s.body.append(dst, piece)
	}
	s.buf = append(s.buf, piece...)
	return s.decide(dst, false)
}

func (s *sniffed) flush(dst []byte) []byte {
	if s.body == nil {
		dst = s.decide(dst, true)
	}
	return s.body.flush(dst)
}

func (s *sniffed) size() int {
	if s.body != nil {
		return s.body.size()
	}
	return len(s.buf)
}

func (s *sniffed) decide(dst []byte, final bool) []byte {
	m, decided := looks(s.buf, final)
	if !decided {
		return dst
	}
	switch {
	case m == document:
		s.body = &documentBody{r: s.r, opaque: s.as == opaque}
	case m == stream && !s.typed:
		s.body = &wire{events: events{r: s.r}}
	case s.as == opaque:
		s.body = opaqueBody{}
	default:
		s.body = plainBody{s.r.Stream()}
	}
	dst = s.body.append(dst, s.buf)
	s.buf = nil
	return dst
}

// answer redacts a document, and removes the probabilities of tokens, which hold the text in
// pieces.
func (r *Redactor) answer(dst, doc []byte) []byte {
	doc = withoutBOM(doc)
	if json.Valid(doc) {
		dst, _ = r.document(dst, doc, true)
		return dst
	}
	if json.Valid(firstLine(doc)) {
		w := &wire{events: events{r: r}, jsonl: true}
		return w.flush(w.append(dst, doc))
	}
	return r.JSON(dst, doc)
}

func firstLine(doc []byte) []byte {
	line, _, _ := bytes.Cut(bytes.TrimLeft(doc, " \t\r\n\x1e"), []byte("\n"))
	return bytes.TrimSpace(line)
}

func withoutBOM(b []byte) []byte { return bytes.TrimPrefix(b, []byte("\xef\xbb\xbf")) }

// body returns what redacts an answer of the given header, nil if it is passed on. typed reports
// whether its type is known, not guessed.
func (r *Redactor) body(h http.Header, typed bool) body {
	switch m := mediumOf(h); m {
	case document:
		return &documentBody{r: r}
	case stream:
		return &wire{events: events{r: r}}
	case lines:
		return &wire{events: events{r: r}, jsonl: true}
	case opaque:
		if mediaType(h) == "application/octet-stream" { // files of JSON lines, too
			return &sniffed{r: r, as: opaque, typed: true}
		}
		return nil
	}
	return &sniffed{r: r, as: plain, typed: typed}
}
