package privacy

import (
	"bytes"
	"encoding/json"
	"strings"
	"unicode/utf8"
)

// maxDepth and maxNodes bound the documents that are parsed.
const (
	maxDepth = 256
	maxNodes = 1 << 16
)

// node is a value of a JSON document: the bytes from start up to end.
type node struct {
	start, end int
	key        *node // of a member
	name       string
	kids       []node // of an object or array
}

// parser parses a document and keeps what it is written with: order, duplicate keys, spaces.
type parser struct {
	b     []byte
	i     int
	nodes int
}

// parse returns the root of a document, or false if doc is not one, is deeper than maxDepth or
// has more than maxNodes values.
func parse(doc []byte) (root node, ok bool) {
	if !json.Valid(doc) {
		return node{}, false
	}
	p := parser{b: doc}
	return p.value(0)
}

func (p *parser) space() {
	for p.i < len(p.b) && (p.b[p.i] == ' ' || p.b[p.i] == '\n' || p.b[p.i] == '\r' || p.b[p.i] == '\t') {
		p.i++
	}
}

func (p *parser) value(depth int) (n node, ok bool) {
	p.space()
	n.start = p.i
	if p.nodes++; p.nodes > maxNodes {
		return n, false
	}
	switch p.b[p.i] {
	case '{', '[':
		if depth == maxDepth {
			return n, false
		}
		object := p.b[p.i] == '{'
		p.i++
		for {
			p.space()
			if c := p.b[p.i]; c == '}' || c == ']' {
				p.i++
				break
			} else if c == ',' {
				p.i++
				continue
			}
			var key *node
			if object {
				k, _ := p.value(depth + 1)
				k.name = string(unquote(p.b[k.start:k.end]))
				key = &k
				p.space()
				p.i++ // the colon
			}
			kid, ok := p.value(depth + 1)
			if !ok {
				return n, false
			}
			if kid.key = key; key != nil {
				kid.name = key.name
			} else {
				kid.name = "" // of an array
			}
			n.kids = append(n.kids, kid)
		}
	default:
		p.literal()
	}
	n.end = p.i
	return n, true
}

// literal goes over a string, a number or a name.
func (p *parser) literal() {
	if p.b[p.i] != '"' {
		for p.i < len(p.b) && bytes.IndexByte([]byte(",]} \n\r\t"), p.b[p.i]) < 0 {
			p.i++
		}
		return
	}
	for p.i++; p.b[p.i] != '"'; p.i++ {
		if p.b[p.i] == '\\' {
			p.i++
		}
	}
	p.i++
}

// unquote decodes a valid string.
func unquote(literal []byte) []byte {
	inside := literal[1 : len(literal)-1]
	if bytes.IndexByte(inside, '\\') < 0 {
		return inside
	}
	var s string
	if json.Unmarshal(literal, &s) != nil {
		return inside
	}
	return []byte(s)
}

// appendQuoted appends a text as a string.
func appendQuoted(dst, text []byte) []byte {
	return append(appendEscaped(append(dst, '"'), text), '"')
}

func appendEscaped(dst, text []byte) []byte {
	const digits = "0123456789abcdef"
	for i := 0; i < len(text); {
		c := text[i]
		switch {
		case c == '"' || c == '\\':
			dst = append(dst, '\\', c)
		case c == '\n':
			dst = append(dst, '\\', 'n')
		case c == '\r':
			dst = append(dst, '\\', 'r')
		case c == '\t':
			dst = append(dst, '\\', 't')
		case c < ' ':
			dst = append(dst, '\\', 'u', '0', '0', digits[c>>4], digits[c&15])
		case c >= utf8.RuneSelf:
			_, n := utf8.DecodeRune(text[i:])
			dst = append(dst, text[i:i+n]...)
			i += n
			continue
		default:
			dst = append(dst, c)
		}
		i++
	}
	return dst
}

// JSON appends a JSON document to dst, with replacements in place of what it finds in
// decoded strings, names of members and numbers: in JSON, \u0040 is an @. A number that has a
// finding becomes a string. Everything else stays as it is, byte for byte, with duplicate
// members. Strings that hold a JSON object or array, as the arguments and the results of tool
// calls do, are redacted as JSON. A text that is not a document is redacted like one, as far
// as it goes.
func (r *Redactor) JSON(dst, doc []byte) []byte {
	if !json.Valid(doc) {
		s := r.loose()
		return s.flush(s.append(dst, doc))
	}
	dst, _ = r.document(dst, doc, false)
	return dst
}

// document redacts a valid document. Of an answer, it removes the probabilities of tokens.
// count is the number of changed literals.
func (r *Redactor) document(dst, doc []byte, answer bool) (_ []byte, count int) {
	e := editor{doc: doc, dst: dst}
	w := walker{parser: parser{b: doc}, editor: &e, answer: answer, edit: func(n *node) ([]byte, bool) { return r.literal(doc, n) }}
	w.value("")
	return e.finish(), e.count
}

// literal returns what replaces the literal n, if anything does.
func (r *Redactor) literal(doc []byte, n *node) ([]byte, bool) {
	raw := doc[n.start:n.end]
	if raw[0] == 't' || raw[0] == 'f' || raw[0] == 'n' {
		return nil, false
	}
	text := raw
	if raw[0] == '"' {
		text = unquote(raw)
	}
	if raw[0] == '"' && (nested(n.name) || len(text) > 0 && (text[0] == '{' || text[0] == '[')) {
		if json.Valid(text) {
			out, count := r.document(nil, text, false)
			return appendQuoted(nil, out), count > 0
		}
	}
	if raw[0] == '"' && nested(n.name) {
		s := r.loose()
		out := s.flush(s.append(nil, text))
		return appendQuoted(nil, out), s.count > 0
	}
	out, count := r.whole(nil, text, nil)
	if count == 0 {
		return nil, false
	}
	return appendQuoted(nil, out), true
}

// nested reports whether strings of the given name hold JSON.
func nested(name string) bool { return name == "arguments" || name == "partial_json" }

// editor replaces literals of a document.
type editor struct {
	doc, dst []byte
	from     int // what is before it was appended
	count    int
}

func (e *editor) replace(n *node, literal []byte) {
	e.dst = append(append(e.dst, e.doc[e.from:n.start]...), literal...)
	e.from = n.end
	e.count++
}

func (e *editor) finish() []byte { return append(e.dst, e.doc[e.from:]...) }

// walker edits a valid document without keeping what it has seen of it. Its depth is bounded
// by json.Valid, which takes at most 10,000.
type walker struct {
	parser
	*editor
	answer bool
	edit   func(*node) ([]byte, bool)
	node   node // the literal that is edited
}

// value edits a value, the member of the given name.
func (w *walker) value(name string) {
	w.space()
	start := w.i
	if c := w.b[start]; c != '{' && c != '[' {
		w.one(name)
		return
	}
	object := w.b[start] == '{'
	for w.i++; ; {
		w.space()
		switch c := w.b[w.i]; {
		case c == '}' || c == ']':
			w.i++
			return
		case c == ',':
			w.i++
		case object:
			w.member()
		default:
			w.value("")
		}
	}
}

func (w *walker) member() {
	name := w.name()
	w.space()
	w.i++ // the colon
	w.space()
	if c := w.b[w.i]; !w.answer || !probabilities(name) || c != '{' && c != '[' {
		w.value(name)
		return
	}
	n := node{start: w.i}
	skip := walker{parser: w.parser, editor: &editor{doc: w.b}, edit: func(*node) ([]byte, bool) { return nil, false }}
	skip.value("")
	n.end, w.i = skip.i, skip.i
	w.replace(&n, []byte("null"))
}

// name edits the name of a member, and returns it.
func (w *walker) name() string {
	start := w.i
	w.literal()
	name := string(unquote(w.b[start:w.i]))
	w.i = start
	w.one(name)
	return name
}

// one edits a literal.
func (w *walker) one(name string) {
	w.node = node{start: w.i, name: name}
	w.literal()
	w.node.end = w.i
	if literal, changed := w.edit(&w.node); changed {
		w.replace(&w.node, literal)
	}
}

// probabilities reports whether a member has the probabilities of tokens, and with them the
// text in pieces.
func probabilities(name string) bool {
	name = strings.ToLower(name)
	return strings.Contains(name, "logprob") || name == "completion_probabilities"
}
