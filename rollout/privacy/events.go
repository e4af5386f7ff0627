package privacy

import (
	"bytes"
	"encoding/json"
	"slices"
	"strings"
)

// events redacts the documents of a token stream. Strings that events have under the same path
// are one text, where elements of an array are distinguished by their members index,
// output_index and content_index, except of strings that are known to be complete. What is held
// back at the end of a text is sent by an event of its own, like the last one.
type events struct {
	r     *Redactor
	flows map[string]*flow
	order []string // of flows
	lines []byte   // of the event that is read, but its data
	last  *ending
}

// ending is an event that ends texts, and is not sent before it is known that they have ended.
type ending struct {
	sent
	outs map[string][]byte // of its texts, by path
	ends []string          // the paths of texts that may end
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

func (f *flow) held() int {
	if f.json != nil {
		return f.json.held()
	}
	return f.text.held()
}

func (f *flow) flush(dst []byte) []byte {
	if f.json != nil {
		return f.json.flush(dst)
	}
	return f.text.Flush(dst)
}

// rawPath is the path of events that are not JSON.
const rawPath = ""

// next returns the event to send in place of data, if there is one, and what must be sent before
// it.
func (e *events) next(data []byte) (before []sent, event []byte) {
	root, ok := parse(data)
	if !ok && json.Valid(data) { // deeper or larger than events are
		return e.settle(nil, nil), e.r.answer(nil, data)
	}
	if !ok {
		before = e.settle(nil, nil)
		if string(data) == "[DONE]" {
			return append(before, e.end("", nil)...), data
		}
		f := e.flow(rawPath, "")
		f.last.lines = bytes.Clone(e.lines)
		return before, f.append(nil, data)
	}
	v := view{doc: data}
	v.visit(&root, "", "")
	before = e.settle(nil, &v)
	if e.flows[rawPath] != nil {
		before = e.rest(rawPath, before)
		e.forget(rawPath)
	}
	now := &ending{sent: sent{bytes.Clone(e.lines), bytes.Clone(data)}, outs: make(map[string][]byte)}
	var here []string
	held := 0
	event = v.render(e.r, func(leaf leaf) ([]byte, bool) {
		if len(e.flows) >= maxFlows && e.flows[leaf.path] == nil {
			return nil, false
		}
		name := leaf.node.name
		if strings.Contains(v.kind, "arguments") {
			name = "arguments"
		}
		f := e.flow(leaf.path, name)
		f.last = now.sent
		here = append(here, leaf.path)
		out := f.append(nil, unquote(data[leaf.start:leaf.end]))
		now.outs[leaf.path] = append(now.outs[leaf.path], out...)
		if v.ends(leaf.path) {
			now.ends = append(now.ends, leaf.path)
			held += f.held()
		}
		return out, true
	})
	for _, end := range v.over {
		before = append(before, e.end(end, here)...)
	}
	if held > 0 {
		e.last = now
		return before, nil
	}
	return before, event
}

// settle appends the event that was not sent. Texts that v goes on with have not ended.
func (e *events) settle(before []sent, v *view) []sent {
	last := e.last
	if last == nil {
		return before
	}
	e.last = nil
	for _, path := range last.ends {
		f := e.flows[path]
		if f == nil || v != nil && v.has(path) {
			continue
		}
		last.outs[path] = f.flush(last.outs[path])
		e.forget(path)
	}
	root, _ := parse(last.data)
	w := view{doc: last.data}
	w.visit(&root, "", "")
	return append(before, sent{last.lines, w.render(e.r, func(leaf leaf) ([]byte, bool) {
		out, ok := last.outs[leaf.path]
		if ok { // the same path again has nothing more
			last.outs[leaf.path] = []byte{}
		}
		return out, ok
	})})
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
	for _, leaf := range v.leaves {
		if leaf.delta && leaf.path == path {
			c := copier{v: &v, r: e.r, target: leaf.node, text: text}
			return append(rests, sent{f.last.lines, c.value(nil, &root, 0)})
		}
	}
	return rests
}

// within reports whether path is under another one; every path is under "".
func within(path, under string) bool {
	rest, ok := strings.CutPrefix(path, under)
	return ok && (under == "" || rest == "" || rest[0] == '/' || rest[0] == '.')
}
