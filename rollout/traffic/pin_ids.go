package traffic

import (
	"net/http"
	"strings"

	"github.com/serin-go/serin/checks/analysis/answer"
	"github.com/serin-go/serin/internal/bounded"
	"github.com/serin-go/serin/internal/jsonwalk"
)

const (
	// maxIDHead is how much of an answer is searched for ids, in bytes.
	maxIDHead = 64 << 10
	// maxID is how long an id may be, in bytes, and maxIDs how many of one answer,
	// or of one request, count.
	maxID  = 512
	maxIDs = 4
	// maxIDPath and maxIDSegments are how long a path may be that is searched for
	// ids, in bytes and in segments.
	maxIDPath     = 2 << 10
	maxIDSegments = 32
)

// plausible reports whether s may be an id: printable, not too long, and not a word
// such as "files" or "cancel", which paths consist of.
func plausible(s string) bool {
	if s == "" || len(s) > maxID {
		return false
	}
	for i := range len(s) {
		if ch := s[i]; ch != '_' && (ch < 'a' || ch > 'z') {
			return bounded.Printable(s)
		}
	}
	return false
}

// idKey returns the name under which an id is remembered: of a name with slashes, as
// Gemini gives them, the last two segments.
func idKey(id string) string {
	last := strings.LastIndexByte(id, '/')
	if last < 0 {
		return id
	}
	return id[strings.LastIndexByte(id[:last], '/')+1:]
}

// idReader reads the ids that an answer names while it passes. It is for JSON
// documents and for streams of events that are JSON objects. It looks at the outermost
// members id and name, where name has a slash, and into response and file. It keeps
// nothing but the member that it is reading.
type idReader struct {
	pins   *pins
	arm    *arm
	left   int  // bytes that are still read; 0 ends it
	found  int  // ids so far
	stream bool // the first id is enough

	behind bool // the first byte of a line of a stream, which is one of data or is not
	data   bool

	depth  int
	inside bool // a member of the outermost object whose ids count
	isKey  bool // a string is the name of a member
	key    member
	value  member
	into   *member // what the string under way is copied to, nil if it is nothing
	quoted bool    // within a string
	escape bool    // behind a backslash

	keyRoom   [64]byte
	valueRoom [maxID]byte
}

// member is a string of bounded length, as it is written.
type member struct {
	b       []byte // room for it
	n       int
	escaped bool
	long    bool
}

func (m *member) reset() { m.n, m.escaped, m.long = 0, false, false }

func (m *member) add(ch byte) {
	if m.n == len(m.b) {
		m.long = true
		return
	}
	m.b[m.n] = ch
	m.n++
}

// text returns the string, "" if it is too long or not valid.
func (m *member) text() string {
	switch {
	case m.long:
		return ""
	case m.escaped:
		return string(jsonwalk.Unquote(m.b[:m.n]))
	}
	return string(m.b[:m.n])
}

// is reports whether the string is s.
func (m *member) is(s string) bool {
	if m.escaped {
		return m.text() == s
	}
	return !m.long && string(m.b[:m.n]) == s
}

// makesIDs reports whether the answer to a request names something that later
// requests refer to.
func makesIDs(method string, ask *answer.Ask) bool {
	switch ask.Route.Kind {
	case answer.Resource:
		return method != http.MethodGet && method != http.MethodHead && method != http.MethodDelete
	case answer.Inference:
		switch ask.Route.API {
		case answer.Responses:
			return !ask.Read || ask.Store || ask.Background
		case answer.Chat:
			return ask.Store
		}
	}
	return false
}

func newIDReader(p *pins, a *arm, stream bool) *idReader {
	d := &idReader{pins: p, arm: a, left: maxIDHead, stream: stream}
	d.key.b, d.value.b = d.keyRoom[:], d.valueRoom[:]
	return d
}

// idsOf returns the reader of an answer of an arm, nil if it names no ids that
// could be read.
func (r *Router) idsOf(a *arm, status int, h http.Header) *idReader {
	if status < 200 || status > 299 || len(h["Content-Encoding"]) > 0 {
		return nil
	}
	form := answer.UnknownForm
	if v := h["Content-Type"]; len(v) > 0 {
		form = answer.FormOf(v[0])
	}
	if form != answer.Document && form != answer.EventStream {
		return nil
	}
	return newIDReader(&r.pins, a, form == answer.EventStream)
}

// feed reads a part of the answer, before it is passed on.
func (d *idReader) feed(p []byte) {
	if d == nil || d.left == 0 {
		return
	}
	p = p[:min(len(p), d.left)]
	d.left -= len(p)
	for i := 0; i < len(p); i++ {
		if d.quoted {
			if d.into == nil && !d.escape {
				i += plainLen(p[i:])
			}
			if i < len(p) {
				d.string(p[i])
			}
			if d.left == 0 {
				return
			}
			continue
		}
		ch := p[i]
		if d.stream && d.depth == 0 && !d.inData(ch) {
			continue
		}
		switch ch {
		case '"':
			d.begin()
		case '{', '[':
			if d.depth == 0 && ch == '[' { // not an object
				if !d.stream {
					d.left = 0
					return
				}
				continue
			}
			d.depth++
			switch d.depth {
			case 1:
				d.isKey = true
			case 2:
				d.inside = ch == '{' && !d.isKey && (d.key.is("response") || d.key.is("file"))
				d.isKey = d.inside
			}
		case '}', ']':
			if d.depth == 0 {
				continue
			}
			switch d.depth--; d.depth {
			case 0:
				if !d.stream {
					d.left = 0
				}
			case 1:
				d.inside, d.isKey = false, false
			}
		case ',':
			if d.tracked() {
				d.isKey = true
			}
		case ':':
			if d.tracked() {
				d.isKey = false
			}
		}
		if d.left == 0 {
			return
		}
	}
}

// plainLen returns how many bytes of a string come before its end or an escape.
func plainLen(p []byte) int {
	for i, ch := range p {
		if ch == '"' || ch == '\\' {
			return i
		}
	}
	return len(p)
}

// inData reports whether a byte of a stream, outside of a document, is in a line of
// data.
func (d *idReader) inData(ch byte) bool {
	switch {
	case ch == '\n' || ch == '\r':
		d.behind, d.data = false, false
	case !d.behind:
		d.behind, d.data = true, ch == 'd'
	}
	return d.data
}

// tracked reports whether the members of the object under way are looked at.
func (d *idReader) tracked() bool { return d.depth == 1 || d.depth == 2 && d.inside }

// begin begins a string.
func (d *idReader) begin() {
	d.quoted, d.into = true, nil
	switch {
	case !d.tracked():
	case d.isKey:
		d.into = &d.key
	case d.key.is("id"), d.key.is("name"):
		d.into = &d.value
	}
	if d.into != nil {
		d.into.reset()
	}
}

// string reads a byte of a string.
func (d *idReader) string(ch byte) {
	switch {
	case d.escape:
		d.escape = false
	case ch == '\\':
		d.escape = true
		if d.into != nil {
			d.into.escaped = true
		}
	case ch == '"':
		d.quoted = false
		if d.into == &d.value {
			d.end()
		}
		return
	}
	if d.into != nil {
		d.into.add(ch)
	}
}

// end remembers the id that was read.
func (d *idReader) end() {
	id := d.value.text()
	if !plausible(id) || d.key.is("name") && (d.found > 0 || !strings.Contains(id, "/")) {
		return
	}
	d.pins.put(id, d.arm)
	if d.found++; d.found == maxIDs || d.stream {
		d.left = 0
	}
}

// eachID calls f with the ids in the path of a request about a resource, until it
// returns true: with each segment from the one on that shows what the request is
// about, alone and together with the one before.
func eachID(path string, f func(id string) bool) {
	if len(path) > maxIDPath || strings.Count(path, "/") > maxIDSegments {
		return
	}
	from := 0
	for i := 1; i <= len(path); i++ {
		if i < len(path) && path[i] != '/' {
			continue
		}
		if answer.RouteOf(http.MethodGet, path[:i]).Kind == answer.Resource {
			from = strings.LastIndexByte(path[:i], '/')
			break
		}
	}
	before := path[strings.LastIndexByte(path[:from], '/')+1 : from]
	for segment := range strings.SplitSeq(strings.Trim(path[from:], "/"), "/") {
		name, _, verb := strings.Cut(segment, ":") // files/abc:download
		for _, id := range [...]string{segment, name} {
			if plausible(id) && f(id) || before != "" && plausible(before+"/"+id) && f(before+"/"+id) {
				return
			}
			if !verb {
				break
			}
		}
		before = name
	}
}

// idsIn returns the ids that the body of a request about a resource names: the
// outermost members whose names end in _id or _ids, and training_file and
// validation_file.
func idsIn(body []byte) (ids []string) {
	c := jsonwalk.Cursor{B: body}
	if c.Peek() != '{' {
		return nil
	}
	c.Open('{')
	for c.More('}') {
		key := string(c.Key())
		switch {
		case strings.HasSuffix(key, "_id"), key == "training_file", key == "validation_file":
			ids = append(ids, string(c.Text()))
		case strings.HasSuffix(key, "_ids") && c.Peek() == '[':
			c.Open('[')
			for c.More(']') {
				if id := c.Text(); len(ids) < maxIDs {
					ids = append(ids, string(id))
				}
			}
		default:
			c.Skip()
		}
		if len(ids) >= maxIDs {
			break
		}
	}
	if c.Bad {
		return nil
	}
	return ids
}
