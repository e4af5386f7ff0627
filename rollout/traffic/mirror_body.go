package traffic

import (
	"bytes"
	"encoding/json"
	"net/http"
	"slices"
	"strings"

	"github.com/serin-go/serin/internal/jsonwalk"
)

// toolMembers are the members of a request that let the model call tools.
var toolMembers = []string{"tools", "tool_choice", "parallel_tool_calls", "functions", "function_call", "mcp_servers"}

// withoutTools returns a JSON object without the members that let the model call
// tools. Everything else stays as it is, byte for byte; what is not a JSON object
// stays altogether.
func withoutTools(body []byte) []byte {
	d := json.NewDecoder(bytes.NewReader(body))
	if t, err := d.Token(); err != nil || t != json.Delim('{') {
		return body
	}
	out := bytes.NewBuffer(make([]byte, 0, len(body)))
	out.WriteByte('{')
	changed := false
	for d.More() {
		t, err := d.Token()
		name, ok := t.(string)
		var value json.RawMessage
		if err != nil || !ok || d.Decode(&value) != nil {
			return body
		}
		if slices.Contains(toolMembers, name) {
			changed = true
			continue
		}
		if out.Len() > 1 {
			out.WriteByte(',')
		}
		key, _ := json.Marshal(name)
		out.Write(key)
		out.WriteByte(':')
		out.Write(value)
	}
	if _, err := d.Token(); err != nil || !changed {
		return body
	}
	out.WriteByte('}')
	return out.Bytes()
}

// withoutStore returns a JSON object that asks the server not to keep the answer.
// Everything else stays as it is, byte for byte; what is not a JSON object stays
// altogether.
func withoutStore(body []byte) []byte {
	const member = `"store":false`
	s := splicing{Cursor: jsonwalk.Cursor{B: body}, out: make([]byte, 0, len(body)+len(member)+1)}
	if s.Peek() != '{' {
		return body
	}
	named, members := false, false
	s.Open('{')
	for s.More('}') {
		members = true
		if string(s.Key()) != "store" {
			s.Skip()
			continue
		}
		named = true
		s.replace([]byte("false"))
	}
	if !named && !s.Bad {
		s.insert(s.I-1, members, member)
	}
	if s.Bad || s.Peek() != 0 {
		return body
	}
	return append(s.out, body[s.last:]...)
}

// outgoing returns the header of a copy, without what is about the connection or
// about this router.
func outgoing(h http.Header) http.Header {
	for _, list := range h["Connection"] {
		for name := range strings.SplitSeq(list, ",") {
			h.Del(strings.TrimSpace(name))
		}
	}
	for _, name := range []string{
		"Connection", "Proxy-Connection", "Keep-Alive", "Proxy-Authenticate", "Proxy-Authorization", "Te", "Trailer", "Transfer-Encoding",
		"Content-Length", "Accept-Encoding", "Expect",
	} {
		h.Del(name)
	}
	return h
}
