package answer

import (
	"bytes"

	"github.com/serin-go/serin/internal/jsonwalk"
)

// toolSet says which tools a request offers.
type toolSet struct {
	any    bool // there is one
	server bool // the server may run one itself
}

// toolList reads an array of tools.
func (s *askScan) toolList() (t toolSet) {
	if !s.Open('[') {
		return t
	}
	for s.More(']') {
		t.any = true
		if s.serverTool() {
			t.server = true
		}
	}
	return t
}

// serverTool reads one tool and reports whether the server may run it. A tool that
// is not known to be the caller's is the server's.
func (s *askScan) serverTool() bool {
	if !s.Open('{') {
		return true
	}
	var kind []byte
	named, others := false, 0
	for s.More('}') {
		switch string(s.Key()) {
		case "type":
			switch s.Peek() {
			case '"':
				kind = s.Text()
			case 'n':
				s.Skip()
			default:
				s.Skip()
				kind = []byte{} // not known
			}
		case "name", "function":
			named = true
			s.Skip()
		case "functionDeclarations", "function_declarations", "toolSpec", "cachePoint":
			s.Skip()
		case "container", "vector_store_ids", "input_image_mask":
			if s.Peek() != 'n' {
				others++
			}
			if id := s.kept(); len(s.after[afterToolFile]) == 0 {
				s.after[afterToolFile] = id
			}
		default:
			null := s.Peek() == 'n'
			s.Skip()
			if !null {
				others++
			}
		}
	}
	if kind != nil {
		return !s.callerTool(kind)
	}
	// Without a type: a function that has a name (Anthropic, Cohere), or an object
	// whose members are the tools (Gemini).
	return others > 0 && (!named || s.ask.Route.API == Gemini)
}

// callerTools are the types of tools that Anthropic defines and callers run, up to
// their date.
var callerTools = [...]string{"bash_", "text_editor_", "computer_", "memory_", "browser_"}

// callerTool reports whether the caller runs the tools of a type.
func (s *askScan) callerTool(kind []byte) bool {
	switch string(kind) {
	case "function", "custom":
		return true
	}
	if s.ask.Route.API != Messages {
		return false
	}
	for _, prefix := range callerTools {
		if len(kind) > len(prefix) && string(kind[:len(prefix)]) == prefix {
			return true
		}
	}
	return false
}

// maxFileDepth bounds how deep a reference to a file may be in the input: the list, a
// message, its content, the result of a tool, its content, a part, the part's source,
// and their objects.
const maxFileDepth = 10

// kept reads what a tool of the server works on, and returns the first id in it: an
// id, a list of ids, or an object that has a file_id or file_ids.
func (s *askScan) kept() (id []byte) {
	switch s.Peek() {
	case '[':
		s.Open('[')
		for s.More(']') {
			if next := s.Text(); len(id) == 0 {
				id = next
			}
		}
		return id
	case '{':
		s.Open('{')
		for s.More('}') {
			switch string(s.Key()) {
			case "file_id", "file_ids":
				if next := s.kept(); len(id) == 0 {
					id = next
				}
			default:
				s.Skip()
			}
		}
		return id
	}
	return s.Text()
}

// fileOf returns what the first reference in a value names that only one account
// has: a file, or an item of an earlier answer. It returns nil if the value is no
// array or has none.
func fileOf(value []byte) []byte {
	if len(value) == 0 || value[0] != '[' || !hasFileKey(value) {
		return nil
	}
	c := jsonwalk.Cursor{B: value}
	return findFile(&c, maxFileDepth)
}

// fileOfGemini is fileOf for the contents of a request to Gemini.
func fileOfGemini(value []byte) []byte {
	if !bytes.Contains(value, []byte(`"fileUri"`)) {
		return fileOf(value)
	}
	c := jsonwalk.Cursor{B: value}
	return findFile(&c, maxFileDepth)
}

// hasFileKey reports whether b may hold file_id, file_uri or item_reference. Texts
// have few underscores, so that looking for these first is several times faster than
// bytes.Contains.
func hasFileKey(b []byte) bool {
	const before, file, item = 5, `"file_`, `"item_`
	for range 64 {
		n := bytes.IndexByte(b, '_')
		if n < 0 {
			return false
		}
		if n >= before {
			from := b[n-before : n+1]
			if string(from) == file || string(from) == item {
				return true
			}
		}
		b = b[n+1:]
	}
	return bytes.Contains(b, []byte(file)) || bytes.Contains(b, []byte(item))
}

// findFile reads a value and returns what the first reference in it names.
func findFile(c *jsonwalk.Cursor, depth int) (id []byte) {
	switch ch := c.Peek(); {
	case depth == 0:
		c.Skip()
	case ch == '[':
		c.Open('[')
		for c.More(']') {
			if id == nil {
				id = findFile(c, depth-1)
			} else {
				c.Skip()
			}
		}
	case ch == '{':
		c.Open('{')
		var own []byte
		reference := false
		for c.More('}') {
			switch key := c.Key(); {
			case id != nil:
				c.Skip()
			case string(key) == "file_id", string(key) == "fileUri", string(key) == "file_uri":
				if id = c.Text(); len(id) == 0 {
					id = nil
				}
			case string(key) == "type":
				reference = string(c.Text()) == "item_reference"
			case string(key) == "id":
				own = c.Text()
			default:
				id = findFile(c, depth-1)
			}
		}
		if reference && len(own) > 0 && id == nil {
			id = own
		}
	default:
		c.Skip()
	}
	return id
}
