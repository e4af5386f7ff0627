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

// maxFileDepth bounds how deep a reference to a file may be in the input: the
// list, a message, its content, a part, the part's source.
const maxFileDepth = 6

// fileOf returns the first file_id in a value, or nil if it is no array or has none.
func fileOf(value []byte) []byte {
	if len(value) == 0 || value[0] != '[' || !hasFileKey(value) {
		return nil
	}
	c := jsonwalk.Cursor{B: value}
	return findFile(&c, maxFileDepth)
}

// hasFileKey reports whether "file_id" occurs in b. Texts have few underscores, so
// that looking for these first is several times faster than bytes.Contains.
func hasFileKey(b []byte) bool {
	const before, key = 5, `"file_id"`
	for range 64 {
		n := bytes.IndexByte(b, '_')
		if n < 0 {
			return false
		}
		if n >= before && bytes.HasPrefix(b[n-before:], []byte(key)) {
			return true
		}
		b = b[n+1:]
	}
	return bytes.Contains(b, []byte(key))
}

// findFile reads a value and returns the first file_id in it.
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
		for c.More('}') {
			switch key := c.Key(); {
			case id != nil:
				c.Skip()
			case string(key) == "file_id":
				if id = c.Text(); len(id) == 0 {
					id = nil
				}
			default:
				id = findFile(c, depth-1)
			}
		}
	default:
		c.Skip()
	}
	return id
}
