package sse

import (
	"bytes"
	"strings"
)

// fault is an error within an answer.
type fault struct {
	seen    bool
	limited bool   // about a rate or a quota
	kind    []byte // its type
	code    []byte
}

// read reads the value of a member "error". null, false, 0, "", {} and an object
// whose members are empty are no errors.
func (f *fault) read(c *cursor) {
	*f = fault{}
	switch c.Peek() {
	case '"':
		f.seen = len(c.Text()) > 0
	case '{':
		c.Open('{')
		for c.More('}') {
			switch string(c.Key()) {
			case "message":
				f.seen = len(scalar(c)) > 0 || f.seen
			case "type", "error_type":
				f.noteKind(nonzero(scalar(c)))
			case "code", "status":
				f.note(nonzero(scalar(c)))
			default:
				c.Skip()
			}
		}
	case '[':
		f.seen = c.Filled()
	default:
		v := c.Value()
		f.seen = len(v) > 0 && string(v) != "0"
	}
}

// nonzero returns v, or nil for "0".
func nonzero(v []byte) []byte {
	if string(v) == "0" {
		return nil
	}
	return v
}

// note takes the code of an error.
func (f *fault) note(v []byte) {
	if len(v) > 0 {
		f.seen, f.limited, f.code = true, f.limited || aboutLimits(v), v
	}
}

// noteKind takes the type of an error.
func (f *fault) noteKind(v []byte) {
	if len(v) > 0 {
		f.seen, f.limited, f.kind = true, f.limited || aboutLimits(v), v
	}
}

func (f *fault) join(o fault) {
	f.seen, f.limited = f.seen || o.seen, f.limited || o.limited
	if len(o.code) > 0 {
		f.code = o.code
	}
	if len(o.kind) > 0 {
		f.kind = o.kind
	}
}

// limits are parts of the types and codes of errors about rates and quotas, in
// lower case and without separators, from the published error tables of OpenAI,
// Anthropic, Google, AWS, Azure, Mistral, Cohere and Alibaba Cloud.
var limits = [][]byte{
	[]byte("ratelimit"), []byte("quota"), []byte("toomanyrequests"), []byte("resourceexhausted"), []byte("throttl"),
	[]byte("requestspermin"), []byte("tokenspermin"), []byte("limitrequests"), []byte("concurrencylimit"),
}

// aboutLimits reports whether an error's type or code is about a rate or a quota.
func aboutLimits(v []byte) bool {
	if string(v) == "429" {
		return true
	}
	var plain [64]byte
	n := 0
	for _, ch := range v {
		if ch == '_' || ch == '-' || ch == ' ' || ch == '.' {
			continue
		}
		if ch >= 'A' && ch <= 'Z' {
			ch += 'a' - 'A'
		}
		if n == len(plain) {
			break
		}
		plain[n] = ch
		n++
	}
	for _, part := range limits {
		if bytes.Contains(plain[:n], part) {
			return true
		}
	}
	return false
}

// codeOf returns an error's code if it is short and plain, and otherwise "".
func codeOf(v []byte) string {
	if len(v) > 64 {
		return ""
	}
	for _, ch := range v {
		if !(ch >= 'a' && ch <= 'z' || ch >= 'A' && ch <= 'Z' || ch >= '0' && ch <= '9' || strings.IndexByte("_.-", ch) >= 0) {
			return ""
		}
	}
	return string(v)
}
