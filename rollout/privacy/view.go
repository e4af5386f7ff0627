package privacy

import (
	"bytes"
	"slices"
	"strconv"
	"strings"
)

// view is what is known of an event.
type view struct {
	doc    []byte
	leaves []leaf
	kind   string   // the type of the event
	over   []string // the paths under which texts end
	whole  bool     // the texts of the event are complete, not pieces
}

// leaf is a literal of an event, or a value to be removed.
type leaf struct {
	*node
	path   string
	delta  bool // more of a text that other events have begun
	remove bool
}

// has reports whether the event goes on with the text under a path.
func (v *view) has(path string) bool {
	return slices.ContainsFunc(v.leaves, func(l leaf) bool { return l.delta && l.path == path && l.end-l.start > len(`""`) })
}

func (v *view) visit(n *node, path, group string) {
	if path == "" {
		v.kind = v.member(n, "type")
		if v.kind == "" {
			v.kind = v.member(n, "event_type")
		}
		v.whole = wholeKind(v.kind) || v.member(n, "custom_id") != "" // a line of a batch
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
			if v.whole && terminal(v.kind) || v.member(n, "done") == "true" {
				v.over = append(v.over, path)
			}
		} else if path == group && v.whole && terminal(v.kind) {
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
		delta := first == '"' && !v.whole && !complete(n.name) && !within(path, "/error")
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

// render returns the event with other texts: text returns what the text of a leaf becomes, or
// false if it is redacted alone, as what is no text is.
func (v *view) render(r *Redactor, text func(leaf) ([]byte, bool)) []byte {
	ed := editor{doc: v.doc}
	for _, l := range v.leaves {
		if l.remove {
			ed.replace(l.node, []byte("null"))
			continue
		}
		if l.delta {
			if out, ok := text(l); ok {
				if !bytes.Equal(out, unquote(v.doc[l.start:l.end])) {
					ed.replace(l.node, appendQuoted(nil, out))
				}
				continue
			}
		}
		if literal, changed := r.literal(v.doc, l.node); changed {
			ed.replace(l.node, literal)
		}
	}
	return ed.finish()
}

// complete reports whether strings of the given name are complete: identifiers and what an
// event says of itself.
func complete(name string) bool {
	switch name = strings.ToLower(name); name {
	case "object", "event", "name", "created", "service_tier", "system_fingerprint", "obfuscation", "signature", "encrypted_content",
		"provider", "language", "phase", "title", "url", "uri", "filename", "stop_sequence":
		return true
	}
	for _, end := range []string{"id", "_at", "type", "reason", "status", "version", "model", "role"} {
		if strings.HasSuffix(name, end) {
			return true
		}
	}
	return false
}

// wholeKind reports whether the texts of events of a type are complete.
func wholeKind(kind string) bool {
	for _, end := range []string{"start", "started", "added", "created", "updated", "in_progress", "audio.delta"} {
		if strings.HasSuffix(kind, end) {
			return true
		}
	}
	return terminal(kind)
}

// copier writes an event like another one, with nothing but a text and what says where it
// belongs.
type copier struct {
	v      *view
	r      *Redactor
	target *node // the text
	text   []byte
}

func (c *copier) leads(n *node) bool { return n.start <= c.target.start && c.target.end <= n.end }

func (c *copier) value(dst []byte, n *node, depth int) []byte {
	first := c.v.doc[n.start]
	switch {
	case n.start == c.target.start:
		return appendQuoted(dst, c.text)
	case first != '{' && first != '[':
		if literal, changed := c.r.literal(c.v.doc, n); changed {
			return append(dst, literal...)
		}
		return append(dst, c.v.doc[n.start:n.end]...)
	}
	dst = append(dst, first)
	from := len(dst)
	for i := range n.kids {
		k := &n.kids[i]
		if !c.keeps(k, depth) {
			continue
		}
		if len(dst) > from {
			dst = append(dst, ',')
		}
		if k.key != nil {
			dst = append(append(dst, c.v.doc[k.key.start:k.key.end]...), ':')
		}
		switch {
		case strings.HasSuffix(strings.ToLower(k.name), "reason"):
			dst = append(dst, "null"...)
		case k.name == "done":
			dst = append(dst, "false"...)
		default:
			dst = c.value(dst, k, depth+1)
		}
	}
	return append(dst, first+2)
}

// keeps reports whether the copy has a member or an element: what leads to the text, elements
// whose place counts, and what identifies the stream and the places.
func (c *copier) keeps(k *node, depth int) bool {
	first := c.v.doc[k.start]
	switch {
	case c.leads(k):
		return true
	case k.key == nil:
		return first == '{' && !c.v.indexed(k) && k.start < c.target.start
	case first == '{' || first == '[':
		return false
	}
	switch k.name {
	case "index", "output_index", "content_index", "summary_index", "type", "event_type", "finish_reason", "done":
		return true
	case "id", "object", "created", "created_at", "model", "event", "item_id", "response_id", "sequence_number", "system_fingerprint":
		return depth == 0
	}
	return false
}
