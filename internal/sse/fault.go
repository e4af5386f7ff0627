package sse

import (
	"bytes"
	"strings"
)

// fault is an error within an answer.
type fault struct {
	seen    bool
	limited bool   // about a rate or a quota
	code    []byte // its code or type
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
			case "type", "code", "status", "error_type":
				if v := scalar(c); len(v) > 0 && string(v) != "0" {
					f.note(v)
				}
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

// note takes the type or the code of an error.
func (f *fault) note(v []byte) {
	if len(v) == 0 {
		return
	}
	f.seen = true
	f.limited = f.limited || aboutLimits(v)
	f.code = v
}

func (f *fault) join(o fault) {
	f.seen, f.limited = f.seen || o.seen, f.limited || o.limited
	if len(o.code) > 0 {
		f.code = o.code
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
