package cache

import (
	"bytes"
	"crypto/sha256"
	"encoding/binary"
	"encoding/json"
	"hash"
	"io"
	"mime"
	"net/http"
	"slices"
	"strings"
	"unicode/utf8"

	"github.com/serin-go/serin/checks/analysis/answer"
)

// key identifies a request to a version on behalf of a caller: the SHA-256 of all
// that its answer may depend on.
type key [sha256.Size]byte

// maxQuestion bounds the bodies of requests that are looked at.
const maxQuestion = 1 << 20

// read returns the body of a request, or nil and a body with the same bytes if it is
// too large. It closes a body that it has read to the end.
func read(req *http.Request) (data []byte, large io.ReadCloser, err error) {
	var b bytes.Buffer
	if req.ContentLength > 0 {
		b.Grow(int(min(req.ContentLength, maxQuestion)) + bytes.MinRead)
	}
	if _, err := b.ReadFrom(io.LimitReader(req.Body, maxQuestion+1)); err != nil {
		req.Body.Close()
		return nil, nil, err
	}
	if b.Len() > maxQuestion {
		return nil, struct {
			io.Reader
			io.Closer
		}{io.MultiReader(&b, req.Body), req.Body}, nil
	}
	if err := req.Body.Close(); err != nil {
		return nil, nil, err
	}
	return b.Bytes(), nil, nil
}

// outgoing returns a copy of a request with a body that can be had again if the body of
// the request can: without GetBody it must not be repeated.
func outgoing(req *http.Request, body []byte) *http.Request {
	out := req.Clone(req.Context())
	again := func() (io.ReadCloser, error) { return io.NopCloser(bytes.NewReader(body)), nil }
	out.Body, _ = again() // which has no errors
	if req.GetBody != nil {
		out.GetBody = again
	}
	out.ContentLength = int64(len(body))
	return out
}

// question is a request that may be answered from memory.
type question struct {
	key key
	ask answer.Ask
}

// routeOf returns the route of a request and whether the header of the request
// allows an answer from memory. It does not read the body.
func routeOf(req *http.Request) (answer.Route, freshness, bool) {
	if req.Method != http.MethodPost || req.Body == nil || req.Body == http.NoBody || req.ContentLength > maxQuestion || req.URL == nil {
		return answer.Route{}, freshness{}, false
	}
	route := answer.RouteOf(req.Method, req.URL.EscapedPath())
	if route.Kind != answer.Inference {
		return route, freshness{}, false
	}
	for name := range req.Header {
		switch name = strings.ToLower(name); {
		case name == "range", name == "upgrade", name == "trailer", strings.HasPrefix(name, "if-"):
			return route, freshness{}, false
		}
	}
	if len(req.Trailer) > 0 {
		return route, freshness{}, false
	}
	kind, _, err := mime.ParseMediaType(req.Header.Get("Content-Type"))
	if err != nil || kind != "application/json" {
		return route, freshness{}, false
	}
	fresh, ok := requested(req.Header)
	return route, fresh, ok
}

// questionOf returns the question that a request asks, or false if its answer is
// not to be remembered.
func (c *Cache) questionOf(version, tenant string, route answer.Route, req *http.Request, body []byte) (q question, ok bool) {
	q.ask = answer.AskOf(route, req.Header.Get("Content-Type"), body)
	if !q.ask.Read || q.ask.ServerTools || q.ask.Store || q.ask.Background || q.ask.After != "" {
		return q, false
	}
	members, same, ok := canonical(body)
	if !ok || !c.cfg.Any && !determined(route.API, members) {
		return q, false
	}
	h := sha256.New()
	part(h, version)
	part(h, tenant)
	part(h, req.Host)
	part(h, req.URL.Scheme)
	part(h, req.URL.Host)
	part(h, req.URL.RequestURI())
	partHeader(h, req.Header)
	_, _ = h.Write(same)
	h.Sum(q.key[:0])
	return q, true
}

// part adds a string to a hash so that parts cannot run into each other.
func part(h hash.Hash, s string) {
	var length [8]byte
	binary.BigEndian.PutUint64(length[:], uint64(len(s)))
	_, _ = h.Write(length[:]) // a hash has no errors
	_, _ = io.WriteString(h, s)
}

// partHeader adds the headers that are part of the key to a hash, whatever the case
// of their names.
func partHeader(h hash.Hash, header http.Header) {
	type line struct{ name, as string }
	lines := make([]line, 0, 16)
	for as := range header {
		if name := strings.ToLower(as); keyed(name) {
			lines = append(lines, line{name, as})
		}
	}
	slices.SortFunc(lines, func(a, b line) int {
		if n := strings.Compare(a.name, b.name); n != 0 {
			return n
		}
		return strings.Compare(a.as, b.as)
	})
	for _, l := range lines {
		for _, v := range header[l.as] {
			part(h, l.name)
			part(h, v)
		}
	}
	part(h, "") // no header has this name
}

// determined reports whether a request has one right answer: its interface samples
// nothing, or its temperature is 0, or it has a seed.
func determined(api answer.API, members map[string]any) bool {
	switch api {
	case answer.Embeddings, answer.Rerank, answer.Moderations:
		return true
	}
	for _, at := range []string{"", "generationConfig", "generation_config", "options", "parameters"} {
		m := members
		if at != "" {
			m, _ = members[at].(map[string]any)
		}
		if _, ok := m["seed"].(json.Number); ok {
			return true
		}
		if t, ok := m["temperature"].(json.Number); ok {
			if f, err := t.Float64(); err == nil && f == 0 {
				return true
			}
		}
	}
	return false
}

// canonical returns the members of a JSON object, and the object in the one form
// that it shares with those that mean the same: members sorted, no space between
// them. Numbers stay as written. It returns false for what two servers could read
// in two ways: repeated members, halves of surrogate pairs and bytes that are not
// UTF-8.
func canonical(body []byte) (members map[string]any, same []byte, ok bool) {
	if !utf8.Valid(body) {
		return nil, nil, false
	}
	d := json.NewDecoder(bytes.NewReader(body))
	d.UseNumber()
	if d.Decode(&members) != nil || members == nil {
		return nil, nil, false
	}
	if _, err := d.Token(); err != io.EOF {
		return nil, nil, false // the server may read what follows
	}
	written, whole := written(body)
	if !whole || written != count(members) {
		return nil, nil, false
	}
	same, err := json.Marshal(members)
	return members, same, err == nil
}

// written returns how many members the objects of a JSON document have as they are
// written, repeated ones included, and whether its strings have whole characters.
func written(body []byte) (members int, whole bool) {
	inside, high := false, false // in a string; after the first half of a surrogate pair
	for i := 0; i < len(body); i++ {
		switch c := body[i]; {
		case !inside:
			if c == ':' {
				members++
			}
			inside = c == '"'
		case c == '\\' && body[i+1] == 'u':
			half := body[i+2]|0x20 == 'd' && body[i+3] >= '8'
			low := half && body[i+3]|0x20 >= 'c'
			if half && low != high || !half && high {
				return 0, false
			}
			high = half && !low
			i += 5
		case high:
			return 0, false
		case c == '\\':
			i++
		case c == '"':
			inside = false
		}
	}
	return members, true
}

// count returns how many members the objects of a value have.
func count(v any) (n int) {
	switch v := v.(type) {
	case map[string]any:
		n = len(v)
		for _, member := range v {
			n += count(member)
		}
	case []any:
		for _, element := range v {
			n += count(element)
		}
	}
	return n
}
