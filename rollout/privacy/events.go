package privacy

import (
	"bytes"
	"encoding/json"
	"slices"
	"strconv"
	"strings"
)

// events redacts the documents of a token stream. Texts that events add to one another are
// one text: those under the same path, where elements of an array are distinguished by their
// members index, output_index and content_index. What is held back at the end of a text is
// sent by a copy of its last event.
type events struct {
	r     *Redactor
	flows map[string]*flow
	order []string // of flows
	lines []byte   // of the event that is read, but its data
}

// sent is an event to send.
type sent struct{ lines, data []byte }

// flow is a text that comes in pieces.
type flow struct {
	text *Stream // or
	json *loose
	last sent // the event that the last piece came in
}

func (f *flow) append(dst, piece []byte) []byte {
	if f.json != nil {
		return f.json.append(dst, piece)
	}
	return f.text.Append(dst, piece)
}

func (f *flow) flush(dst []byte) []byte {
	if f.json != nil {
		return f.json.flush(dst)
	}
	return f.text.Flush(dst)
}

// rawPath is the path of events that are not JSON.
const rawPath = ""

// next returns the event to send in place of data, and what must be sent before it.
func (e *events) next(data []byte) (before []sent, event []byte) {
	root, ok := parse(data)
	if !ok && json.Valid(data) { // deeper or larger than events are
		return nil, e.r.answer(nil, data)
	}
	if !ok {
		if string(data) == "[DONE]" {
			return e.end("", nil), data
		}
		f := e.flow(rawPath, "")
		f.last.lines = append(f.last.lines[:0], e.lines...)
		return nil, f.append(nil, data)
	}
	v := view{doc: data}
	v.visit(&root, "", "")
	ed := editor{doc: data}
	var here []string
	v.edit(&ed, func(leaf leaf) ([]byte, bool) {
		if !leaf.delta || len(e.flows) >= maxFlows && e.flows[leaf.path] == nil {
			return e.r.literal(data, leaf.node)
		}
		name := leaf.node.name
		if strings.Contains(v.kind, "arguments") {
			name = "arguments"
		}
		f := e.flow(leaf.path, name)
		f.last = sent{append(f.last.lines[:0], e.lines...), append(f.last.data[:0], data...)}
		here = append(here, leaf.path)
		text := unquote(data[leaf.start:leaf.end])
		out := f.append(nil, text)
		if v.ends(leaf.path) {
			out = f.flush(out)
		}
		return appendQuoted(nil, out), !bytes.Equal(out, text)
	})
	event = ed.finish()
	if f := e.flows[rawPath]; f != nil {
		before = e.rest(rawPath, before)
		e.forget(rawPath)
	}
	for _, end := range v.over {
		before = append(before, e.end(end, here)...)
	}
	for _, path := range here {
		if v.ends(path) {
			e.forget(path)
		}
	}
	return before, event
}

func (e *events) flow(path, name string) *flow {
	f := e.flows[path]
	if f == nil {
		if e.flows == nil {
			e.flows = make(map[string]*flow)
		}
		f = &flow{}
		if nested(name) {
			f.json = e.r.loose()
		} else {
			f.text = e.r.Stream()
		}
		e.flows[path] = f
		e.order = append(e.order, path)
	}
	return f
}

// end returns the rests of the texts under a path, except of texts that the current event
// goes on with.
func (e *events) end(under string, here []string) (rests []sent) {
	for _, path := range slices.Clone(e.order) {
		if !within(path, under) {
			continue
		}
		current := false
		for _, h := range here {
			current = current || h == path
		}
		if !current {
			rests = e.rest(path, rests)
			e.forget(path)
		}
	}
	return rests
}

// forget forgets a text that has ended.
func (e *events) forget(path string) {
	delete(e.flows, path)
	if i := slices.Index(e.order, path); i >= 0 {
		e.order = slices.Delete(e.order, i, i+1)
	}
}

// maxFlows is how many texts of a stream are open at a time. The pieces of more texts are
// redacted one by one.
const maxFlows = 1024

// rest appends the event with the rest of a text, if there is one.
func (e *events) rest(path string, rests []sent) []sent {
	f := e.flows[path]
	text := f.flush(nil)
	if len(text) == 0 {
		return rests
	}
	if path == rawPath {
		return append(rests, sent{f.last.lines, text})
	}
	root, _ := parse(f.last.data)
	v := view{doc: f.last.data}
	v.visit(&root, "", "")
	ed := editor{doc: f.last.data}
	v.edit(&ed, func(leaf leaf) ([]byte, bool) {
		switch {
		case leaf.delta && leaf.path == path:
			return appendQuoted(nil, text), true
		case leaf.delta:
			return []byte(`""`), true
		}
		return e.r.literal(f.last.data, leaf.node)
	})
	return append(rests, sent{f.last.lines, ed.finish()})
}

// within reports whether path is under another one; every path is under "".
func within(path, under string) bool {
	rest, ok := strings.CutPrefix(path, under)
	return ok && (under == "" || rest == "" || rest[0] == '/' || rest[0] == '.')
}

// view is what is known of an event.
type view struct {
	doc    []byte
	leaves []leaf
	kind   string   // the type of the event
	over   []string // the paths under which texts end
}

// leaf is a literal of an event, or a value to be removed.
type leaf struct {
	*node
	path   string
	delta  bool // more of a text that other events have begun
	remove bool
}

// deltas are the names of strings that a stream adds to one another, in the APIs of OpenAI,
// Anthropic, Google, Cohere, Ollama and TGI.
var deltas = map[string]bool{"content": true, "text": true, "delta": true, "arguments": true, "partial_json": true, "reasoning": true,
	"reasoning_content": true, "thinking": true, "refusal": true, "response": true, "tool_plan": true, "transcript": true}

func (v *view) visit(n *node, path, group string) {
	if path == "" {
		v.kind = v.member(n, "type")
		if v.kind == "" {
			v.kind = v.member(n, "event_type")
		}
	}
	first := v.doc[n.start]
	if first == '{' {
		at := ""
		for _, name := range []string{"output_index", "content_index", "summary_index", "index"} {
			if i := v.member(n, name); i != "" && (path != "" || v.kind != "") { // else it counts events
				at += "." + i
			}
		}
		if at != "" {
			path += "/#" + at[1:]
			if group == "" {
				group = path
			}
		}
		if path == "" || group == "" {
			if v.whole() && terminal(v.kind) || v.member(n, "done") == "true" {
				v.over = append(v.over, path)
			}
		} else if path == group && v.whole() && terminal(v.kind) {
			v.over = append(v.over, path)
		}
		for _, name := range []string{"finish_reason", "finishReason", "stop_reason", "done_reason"} {
			if reason := v.member(n, name); reason != "" && reason != "null" && reason != "FINISH_REASON_UNSPECIFIED" {
				v.over = append(v.over, group)
			}
		}
	}
	for i := range n.kids {
		k := &n.kids[i]
		if k.key != nil {
			v.leaves = append(v.leaves, leaf{node: k.key})
		}
		if c := v.doc[k.start]; probabilities(k.name) && (c == '{' || c == '[') {
			v.leaves = append(v.leaves, leaf{node: k, remove: true})
			continue
		}
		below := path + "/" + k.name
		if k.key == nil {
			below = path + "/#" + strconv.Itoa(i)
			if len(k.kids) > 0 && v.indexed(k) {
				below = path
			}
		}
		v.visit(k, below, group)
	}
	if first != '{' && first != '[' {
		delta := first == '"' && deltas[n.name] && !v.whole()
		v.leaves = append(v.leaves, leaf{node: n, path: path, delta: delta})
	}
}

// indexed reports whether an element of an array has a member with its index.
func (v *view) indexed(n *node) bool { return v.member(n, "index") != "" }

// member returns a literal member of an object, without quotes.
func (v *view) member(n *node, name string) string {
	for i := range n.kids {
		if k := &n.kids[i]; k.name == name && k.key != nil && len(k.kids) == 0 {
			if c := v.doc[k.start]; c != '{' && c != '[' {
				return strings.Trim(string(v.doc[k.start:k.end]), `"`)
			}
		}
	}
	return ""
}

// whole reports whether the event has texts that are complete, not pieces.
func (v *view) whole() bool {
	return v.kind != "" && !strings.Contains(v.kind, "delta") && v.kind != "text-generation"
}

// terminal reports whether an event of the given type ends texts.
func terminal(kind string) bool {
	for _, end := range []string{"stop", "done", "completed", "end", "incomplete", "failed", "error", "cancelled"} {
		if strings.HasSuffix(kind, end) {
			return true
		}
	}
	return false
}

// ends reports whether the text under a path ends with the event.
func (v *view) ends(path string) bool {
	for _, end := range v.over {
		if within(path, end) {
			return true
		}
	}
	return false
}

// edit replaces the leaves in the order of the document.
func (v *view) edit(ed *editor, edit func(leaf) ([]byte, bool)) {
	for _, l := range v.leaves {
		if l.remove {
			ed.replace(l.node, []byte("null"))
		} else if literal, changed := edit(l); changed {
			ed.replace(l.node, literal)
		}
	}
}

// wire redacts a stream of events as it is on the wire: server-sent events (WHATWG HTML,
// 9.2) or JSON lines.
type wire struct {
	events
	jsonl bool // JSON lines
	buf   []byte
	seen  int  // bytes of buf in which no event ends
	cr    bool // the last byte was a CR
	begun bool // the first event was seen
}

// append appends to dst what can be sent on after a piece.
func (w *wire) append(dst, piece []byte) []byte {
	if w.jsonl {
		w.buf = append(w.buf, piece...)
	} else {
		w.unify(piece)
	}
	from := 0
	for n := w.complete(from); n > 0; n = w.complete(from) {
		dst = w.block(dst, w.buf[from:n])
		from = n
	}
	w.buf = w.buf[:copy(w.buf, w.buf[from:])]
	w.seen = len(w.buf)
	return dst
}

// unify appends a piece with LF in place of CR and of CR LF.
func (w *wire) unify(piece []byte) {
	for _, c := range piece {
		if c == '\n' && w.cr {
			w.cr = false
			continue
		}
		if w.cr = c == '\r'; w.cr {
			c = '\n'
		}
		w.buf = append(w.buf, c)
	}
}

// flush appends the rest to dst. The stream has ended.
func (w *wire) flush(dst []byte) []byte {
	if len(w.buf) > 0 {
		dst = w.block(dst, w.buf)
		w.buf, w.seen = nil, 0
	}
	for _, rest := range w.end("", nil) {
		dst = w.event(dst, rest)
	}
	return dst
}

// complete returns the end of the event that begins at from, 0 if it has not arrived.
func (w *wire) complete(from int) int {
	end := "\n\n"
	if w.jsonl {
		end = "\n"
	}
	start := from
	if from == 0 {
		start = max(0, w.seen-len(end)+1)
	}
	if n := bytes.Index(w.buf[start:], []byte(end)); n >= 0 {
		return start + n + len(end)
	}
	return 0
}

// block appends one event.
func (w *wire) block(dst, block []byte) []byte {
	if !w.begun {
		w.begun, block = true, withoutBOM(block)
	}
	if w.jsonl {
		if len(bytes.TrimSpace(block)) == 0 {
			return append(dst, block...)
		}
		line := bytes.TrimLeft(block, "\x1e") // of JSON text sequences, RFC 7464
		w.lines = append(w.lines[:0], block[:len(block)-len(line)]...)
		before, event := w.next(bytes.TrimSpace(line))
		for _, b := range before {
			dst = w.event(dst, b)
		}
		return w.event(dst, sent{w.lines, event})
	}
	var data []byte
	has := false
	other := w.lines[:0]
	for line := range bytes.Lines(block) {
		line = bytes.TrimRight(line, "\n")
		if value, is := bytes.CutPrefix(line, []byte("data:")); is {
			if has {
				data = append(data, '\n')
			}
			data, has = append(data, bytes.TrimPrefix(value, []byte(" "))...), true
		} else if len(line) > 0 {
			other = append(append(other, w.r.Redact(nil, line)...), '\n')
		}
	}
	if !has {
		return append(append(dst, other...), '\n')
	}
	w.lines = other
	before, event := w.next(data)
	for _, b := range before {
		dst = w.event(dst, b)
	}
	if bytes.Equal(event, data) && bytes.HasSuffix(block, []byte("\n")) && len(other) == 0 {
		return append(dst, block...)
	}
	return w.event(dst, sent{other, event})
}

// event appends an event.
func (w *wire) event(dst []byte, s sent) []byte {
	if w.jsonl {
		return append(append(append(dst, s.lines...), s.data...), '\n')
	}
	dst = append(dst, s.lines...)
	for line := range bytes.SplitSeq(s.data, []byte("\n")) {
		dst = append(append(append(dst, "data: "...), line...), '\n')
	}
	return append(dst, '\n')
}
