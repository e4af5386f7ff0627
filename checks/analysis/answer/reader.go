package answer

import (
	"bytes"
	"net/http"
	"strings"
	"time"

	"github.com/serin-go/serin/checks/analysis"
	"github.com/serin-go/serin/internal/sse"
)

// Reader reads a response while its bytes pass, and says in the end what it was.
// It keeps at most 72 KiB of it, and up to 1 MiB of one that is compressed.
//
// Set Ask and the other fields, then call Start once, Feed for each part of the
// body and End once. The route in Ask decides what a good answer is: the zero
// Route is one that is not known, whose complete answers are [analysis.Unread];
// Route{Kind: Inference} takes the answer of any interface. A Reader is used by
// one goroutine at a time; callers may pool it, with Reset between two responses.
type Reader struct {
	// Ask is what the request wants.
	Ask Ask
	// OnToken, if not nil, is called for each event with generated tokens.
	OnToken func(at time.Duration)
	// Names asks for the names of the model and the service tier.
	Names bool
	// FinishReasons adds to the table of [EndOf], and goes before it. Its keys are
	// compared as they are.
	FinishReasons map[string]End

	meter  sse.Meter
	packed []byte // a compressed body
	reading
}

// reading is what a Reader knows of one response.
type reading struct {
	status  int
	started bool // Start was called
	form    Form
	picture bool // its type is one of images
	decided bool // form is final
	flows   bool // the meter needs nothing but the bytes
	kind    bool // the media type is not known: the body decides
	coding  coding
	spilled bool // packed would be larger than what is kept

	lead  [maxLead]byte // the first bytes but white space
	leads int
	html  bool

	bytes       int64
	first, last time.Duration // bytes
	gap         time.Duration // the longest between two reads
}

// State is how far a response has come. The zero value is Waiting.
type State uint8

// The states of a response.
const (
	Waiting  State = iota // nothing has shown yet whether there is an answer
	Begun                 // content was seen
	Failed                // no content was seen, and none can make it a good answer
	Complete              // its terminator was seen
)

// CauseKind is why a response ended.
type CauseKind uint8

// The kinds of causes. The zero value is Whole.
const (
	Whole     CauseKind = iota // by itself
	Broken                     // the server failed, or broke it off
	TimedOut                   // a time limit of the router or of the test
	Gone                       // the caller left
	Malformed                  // what the server sent is not HTTP, or is ambiguous
)

// Cause says why a response ended. Err is what was reported, nil for Whole.
type Cause struct {
	Kind CauseKind
	Err  error
}

// maxLead is how many bytes of the beginning decide the form of a body.
const maxLead = 16

// Start takes the status and the header of the response.
func (r *Reader) Start(status int, h http.Header) {
	r.started, r.status = true, status
	r.form = FormOf(first(h, "Content-Type"))
	r.picture = isImage(first(h, "Content-Type"))
	r.kind = r.form == UnknownForm
	r.coding = codingOf(first(h, "Content-Encoding"))
	r.meter.OnToken, r.meter.Model, r.meter.Form = r.OnToken, r.Names, meterForms[r.form]
}

// isImage reports whether a content type is one of images.
func isImage(contentType string) bool {
	const image = "image/"
	return len(contentType) >= len(image) && strings.EqualFold(contentType[:len(image)], image)
}

// first returns the first value of a header in canonical spelling, or "".
func first(h http.Header, name string) string {
	if v := h[name]; len(v) > 0 {
		return v[0]
	}
	return ""
}

// Feed takes the bytes of one read and the instant at which they came, counted
// from the start of the request. It does not keep p.
func (r *Reader) Feed(p []byte, at time.Duration) {
	if r.flows && len(p) > 0 {
		r.bytes += int64(len(p))
		r.meter.Feed(p, at)
		return
	}
	if len(p) == 0 {
		return
	}
	if r.bytes == 0 {
		r.first = at
	} else {
		r.gap = max(r.gap, at-r.last)
	}
	r.bytes += int64(len(p))
	r.last = at
	if r.coding != identity {
		r.pack(p)
		return
	}
	r.read(p, at)
}

// read takes bytes of the body as it is when it is not compressed.
func (r *Reader) read(p []byte, at time.Duration) {
	if !r.decided {
		if !r.decide(p, at) {
			return
		}
	}
	if r.form <= Array && r.form != UnknownForm {
		r.meter.Feed(p, at)
		r.flows = r.decided && r.coding == identity && r.Ask.Route.Kind == Inference
	}
}

// decide finds out the form by the first bytes. It reports whether p is still to
// be read; until the form is decided it keeps the bytes itself.
func (r *Reader) decide(p []byte, at time.Duration) bool {
	if r.leads == 0 && !r.kind && usual[r.form][p[0]] {
		r.decided = true
		return true
	}
	before := r.leads
	for _, ch := range p {
		if before == 0 && r.leads == 0 && (ch == ' ' || ch == '\n' || ch == '\r' || ch == '\t') {
			continue // white space means nothing to any form
		}
		if r.leads == maxLead {
			break
		}
		r.lead[r.leads] = ch
		r.leads++
	}
	head := r.lead[:r.leads]
	if !r.kind && bytes.HasPrefix([]byte("\xEF\xBB\xBF"), head) {
		return true // nothing but white space and a byte order mark, which the meter skips
	}
	if r.form == Binary && page(head) && len(head) < maxLead {
		return true // it may become a page
	}
	sniffed := UnknownForm
	if r.kind || len(head) > 0 && (head[0] == '{' || head[0] == '[') && r.form != Document || r.Ask.Stream {
		sniffed = Sniff(head)
	}
	switch {
	case sniffed == UnknownForm && r.kind && len(head) < maxLead:
		return false // it may show yet
	case page(head) && (r.form != Binary || markup(head)):
		r.html = true
	case r.kind && sniffed == Document && r.Ask.Stream && r.Ask.Route.API == Ollama:
		r.form = Lines
	case r.kind && sniffed != UnknownForm:
		r.form = sniffed
	case r.kind:
		r.form = Plain
	case r.form == EventStream && (sniffed == Document || sniffed == Array):
		r.form = sniffed
	case r.form == Document && sniffed == Array && r.Ask.Stream && (r.Ask.Route.API == Gemini || r.Ask.Route.API == Any):
		r.form = Array
	}
	r.decided = true
	r.meter.Form = meterForms[r.form]
	if r.kind {
		r.meter.Feed(head[:before], at)
	}
	return true
}

// usual holds the bytes that bodies of a declared form begin with, if they are
// what they are declared to be.
var usual = [numForms][256]bool{
	Document:    {'{': true},
	Lines:       {'{': true},
	EventStream: {'d': true, 'e': true, 'i': true, 'r': true, ':': true},
}

var meterForms = [numForms]sse.Form{Document: sse.Document, Lines: sse.Lines, Array: sse.Array}

// page reports whether a body begins like a page for people.
func page(head []byte) bool {
	head = bytes.TrimPrefix(head, []byte("\xEF\xBB\xBF"))
	return len(head) > 0 && head[0] == '<'
}

// markup reports whether a body of bytes begins like a page for people.
func markup(head []byte) bool {
	head = bytes.ToLower(head)
	return bytes.HasPrefix(head, []byte("<!doctype")) || bytes.HasPrefix(head, []byte("<html")) || bytes.HasPrefix(head, []byte("<?xml"))
}

// State returns how far the response has come. Of a document it is Waiting until
// its end, unless the status or its first bytes show that it is no answer.
func (r *Reader) State() State {
	if !r.started {
		return Waiting
	}
	if class, _ := statusClass(r.Ask.Route.Kind, r.status); class != analysis.OK {
		return Failed
	}
	switch {
	case r.Ask.Route.Kind != Inference:
		if r.bytes > 0 {
			return Begun
		}
		return Waiting
	case r.status == http.StatusNoContent, r.status == http.StatusResetContent, r.html:
		return Failed
	case r.coding != identity, !r.decided:
		return Waiting
	}
	tokens, events, failed, over := r.meter.Progress()
	switch {
	case r.formWhy(events) != "":
		return Failed
	case r.form == Binary, r.form == Plain:
		return Begun
	case r.form == Document, r.form == Lines && r.Ask.Read && !r.Ask.Stream:
		return Waiting
	case tokens == 0 && failed:
		return Failed
	case tokens == 0: // a terminator alone is no answer yet
		return Waiting
	case over:
		return Complete
	}
	return Begun
}

// Tokens returns how many events with generated tokens have come so far.
func (r *Reader) Tokens() int { return r.meter.Chunks() }

// Form returns the form of the body as far as it is known.
func (r *Reader) Form() Form { return r.form }

// Reset makes r ready for another response. It keeps the memory and forgets
// everything else, the exported fields included.
func (r *Reader) Reset() {
	r.meter.Reset()
	r.packed = r.packed[:0]
	if cap(r.packed) > 64<<10 {
		r.packed = nil
	}
	r.Ask, r.OnToken, r.Names, r.FinishReasons, r.reading = Ask{}, nil, false, nil, reading{}
}
