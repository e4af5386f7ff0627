package answer

import "strings"

// RouteOf returns what a request with a method and a path asks for. An empty
// method means GET. The path has no query; it may be decoded or not. Its last
// segments decide, so that any prefix is accepted, and a trailing slash is
// ignored; but below a segment such as files or organization everything has the
// kind of that segment. HEAD and OPTIONS are [Auxiliary] whatever the path is.
//
// RouteOf fails closed. It returns the zero Route for what is not in the published
// interface of a provider that it knows, for paths with empty segments, "." or
// "..", and for escapes in the segments that decide.
func RouteOf(method, path string) Route {
	switch method {
	case "POST", "GET", "PUT", "PATCH", "DELETE", "CONNECT":
	case "HEAD", "OPTIONS":
		return Route{Kind: Auxiliary}
	case "":
		method = "GET"
	default:
		return Route{}
	}
	if path == "" || path == "/" {
		if method == "GET" {
			return Route{Kind: Auxiliary}
		}
		return Route{}
	}
	if path[0] != '/' {
		return Route{}
	}
	w := pathWalk{last: root, prev: root}
	segment, rest := "", path[1:]
	if len(path) > 4 && path[:4] == "/v1/" { // most paths
		w.last, rest = version1, path[4:]
	}
	for more := true; more; {
		if n := strings.IndexByte(rest, '/'); n >= 0 {
			segment, rest = rest[:n], rest[n+1:]
			more = rest != ""
		} else {
			segment, rest, more = rest, "", false
		}
		if segment == "" || segment[0] == '.' && (segment == "." || segment == "..") {
			return Route{}
		}
		identifier := w.id || w.family != UnknownKind || w.last == modelList
		if w.family == UnknownKind {
			w.step(segment, rest, more)
		}
		if (w.last == noWord || w.family != UnknownKind) && !w.plain(segment, identifier) {
			return Route{}
		}
	}
	switch {
	case method == "CONNECT" && w.last != realtime: // WebSocket over HTTP/2
		return Route{}
	case w.family != UnknownKind:
		return Route{Kind: w.family}
	case w.escaped:
		return Route{}
	}
	return w.route(method, segment)
}

// pathWalk is the state of RouteOf between two segments.
type pathWalk struct {
	// last is the word of the segment that was read last, prev and before the
	// words of the two segments before it.
	before, prev, last word
	// family is the kind of everything below, if it is known.
	family Kind
	// id says that the next segment is an identifier.
	id bool
	// escaped says that a segment since the last version had an escape.
	escaped bool
	// inProject says that a project was named, and what it is of is not known yet.
	inProject bool
	// Segments that were seen.
	collection, models, model bool
}

// step reads one segment. rest is the path behind it, and more whether there is
// any.
func (w *pathWalk) step(segment, rest string, more bool) {
	if w.id {
		w.id = false
		next := noWord
		if !more && w.last == modelWord {
			next = wordOf(segment) // model/new of LiteLLM
		}
		w.before, w.prev, w.last = w.prev, w.last, next
		return
	}
	next := wordOf(segment)
	w.before, w.prev, w.last = w.prev, w.last, next
	if next >= leaves && !w.inProject {
		return
	}
	if w.inProject {
		w.inProject = false
		if next != locations && next != openAI && next != resourceFamily {
			w.family = Control
			return
		}
	}
	if w.prev == modelList && next <= projects {
		w.last = noWord // a model may have any name
		return
	}
	switch next {
	case resourceFamily:
		w.family = Resource
	case controlFamily:
		w.family = Control
	case collection:
		w.collection, w.id = true, true
	case modelList:
		w.models = true
		w.id = segment == "engines"
	case modelWord:
		w.model, w.id = true, true
	case projects:
		w.inProject, w.id = true, true
		if !more || strings.IndexByte(strings.TrimSuffix(rest, "/"), '/') < 0 {
			w.family = Control
		}
	case locations:
		w.id = true
	case version1, version2, version:
		w.escaped = false
	case completions:
		if more && w.prev == chat && !oneOf(rest, "batch", "render", "render") {
			w.family = Resource
		}
	case responses:
		if more && !oneOf(rest, "compact", "input_tokens", "render") {
			w.family = Resource
		}
	case realtime:
		if more && !oneOf(rest, "translations", "translations", "translations") {
			w.family = Resource
		}
	case blobs:
		if w.prev == apiWord {
			w.family = Resource
		}
	case voices:
		if w.prev == audio {
			w.family = Resource
		}
	case slots:
		if more {
			w.family = Resource
		}
	}
}

// oneOf reports whether rest, without a trailing slash, is a, b or c.
func oneOf(rest, a, b, c string) bool {
	rest = strings.TrimSuffix(rest, "/")
	return rest == a || rest == b || rest == c
}

// plain reports whether the escapes of a segment leave the path what it is, and
// notes those that are in no identifier.
func (w *pathWalk) plain(segment string, identifier bool) bool {
	if strings.IndexByte(segment, '\\') >= 0 { // a slash to some servers
		return false
	}
	if strings.IndexByte(segment, '%') < 0 {
		return true
	}
	for i := 0; i < len(segment); i++ {
		if segment[i] != '%' {
			continue
		}
		if i+2 >= len(segment) {
			return false
		}
		high, low := unhex(segment[i+1]), unhex(segment[i+2])
		if high > 15 || low > 15 {
			return false
		}
		switch ch := high<<4 | low; {
		case ch < ' ', ch == 0x7f, ch == '.', ch == '%', ch == '\\':
			return false
		case ch == '/':
			// The identifiers of Bedrock have slashes.
			if !identifier || i+3 >= len(segment) || !alphanumeric(segment[i+3]) {
				return false
			}
		case !identifier:
			w.escaped = true
		}
	}
	return true
}

func unhex(ch byte) byte {
	switch {
	case '0' <= ch && ch <= '9':
		return ch - '0'
	case 'a' <= ch|0x20 && ch|0x20 <= 'f':
		return ch | 0x20 - 'a' + 10
	}
	return 0xff
}

func alphanumeric(ch byte) bool {
	return '0' <= ch && ch <= '9' || 'a' <= ch|0x20 && ch|0x20 <= 'z'
}
