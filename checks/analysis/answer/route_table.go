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
	escapes := strings.IndexByte(path, '%') >= 0
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
		if escapes && !w.escape(segment) {
			return Route{}
		}
		if w.family == UnknownKind {
			w.step(segment, rest, more)
		}
		// Some servers take a backslash for a slash.
		if (w.last == noWord || w.family != UnknownKind) && strings.IndexByte(segment, '\\') >= 0 {
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

// escape notes the escapes of a segment that has not been stepped over yet. It
// reports false if they could turn the path into another one.
func (w *pathWalk) escape(segment string) bool {
	free := w.id || w.family != UnknownKind || w.last == modelList // an identifier
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
			if !free || i+3 >= len(segment) || !alphanumeric(segment[i+3]) {
				return false
			}
		case !free:
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

// route returns the route of a path that is in no family and ends with segment.
func (w *pathWalk) route(method, segment string) Route {
	if w.last == noWord {
		if r, ok := w.unlisted(method, segment); ok {
			return r
		}
	}
	var r Route
	switch {
	case method == "POST":
		r = w.post()
	case w.models && method == "GET":
		return Route{Kind: Auxiliary}
	case w.models && method != "CONNECT":
		return Route{Kind: Resource}
	default:
		r = w.get(method)
	}
	if r.Kind == UnknownKind && w.controls() {
		r.Kind = Control
	}
	if w.collection && (r.Kind == UnknownKind || r.Kind == Control || method != "POST" && r.Kind == Auxiliary) {
		return Route{Kind: Resource}
	}
	return r
}

// unlisted returns the route of a path whose last segment is no word, if it ends
// with a verb of Google's or is one of a series of names.
func (w *pathWalk) unlisted(method, segment string) (Route, bool) {
	if colon := strings.LastIndexByte(segment, ':'); colon > 0 && method == "POST" {
		if r := verbRoute(segment[colon+1:]); r.Kind != UnknownKind {
			if strings.IndexByte(segment, '%') >= 0 {
				return Route{}, true
			}
			return r, true
		}
		switch base := wordOf(segment[:colon]); {
		case base == resourceFamily, base == collection, base == modelList,
			base == imageVerb && segment[colon:] == ":submit": // Azure: a job
			return Route{Kind: Resource}, true
		}
		return Route{}, false
	}
	switch {
	case strings.HasSuffix(segment, "BidiGenerateContent"),
		strings.HasSuffix(segment, "BidiGenerateContentConstrained"):
		if method == "GET" {
			return Route{Kind: Realtime}, true
		}
	case w.prev == modelList, w.models, w.collection:
		// an identifier
	case strings.HasPrefix(segment, "update_weights"), strings.HasPrefix(segment, "init_weight"),
		strings.HasPrefix(segment, "reset_") && strings.HasSuffix(segment, "_cache"):
		return Route{Kind: Control}, true
	}
	return Route{}, false
}

// verbRoute returns the route of POST {name}:verb.
func verbRoute(verb string) Route {
	switch verb {
	case "generateContent":
		return Route{API: Gemini, Kind: Inference}
	case "streamGenerateContent":
		return Route{API: Gemini, Kind: Inference, Stream: true}
	case "embedContent", "batchEmbedContents":
		return Route{API: Embeddings, Kind: Inference}
	case "predict", "rawPredict", "directPredict", "directRawPredict", "generateAnswer":
		return Route{Kind: Inference}
	case "streamRawPredict", "serverStreamingPredict":
		return Route{Kind: Inference, Stream: true}
	case "countTokens", "computeTokens":
		return Route{Kind: Auxiliary}
	case "batchGenerateContent", "asyncBatchEmbedContent", "predictLongRunning", "fetchPredictOperation":
		return Route{Kind: Resource}
	}
	return Route{}
}

// controls reports whether the last words are a command to the server, whatever
// the method is.
func (w *pathWalk) controls() bool {
	switch w.last {
	case controlWord, setting:
		return true
	case adminVerb:
		return w.prev == adminNoun || w.before == adminNoun || w.prev == modelWord || w.before == modelWord
	case deleteWord:
		return w.prev == apiWord || w.prev == adminNoun || w.prev == modelWord
	case ollamaControl:
		return w.prev == apiWord
	case generate:
		return w.prev == adminNoun
	case loadWord:
		return w.models
	}
	return false
}

// get returns the route of a method that is not POST, if the last words are w's.
func (w *pathWalk) get(method string) Route {
	switch {
	case method == "CONNECT" && w.last == realtime:
		return Route{Kind: Realtime}
	case method != "GET":
		return Route{}
	}
	switch w.last {
	case readWord, health, ping, loadWord, weightsByName, setting, slots:
		return Route{Kind: Auxiliary}
	case ollamaRead:
		if w.prev == apiWord {
			return Route{Kind: Auxiliary}
		}
	case completions:
		if w.prev == chat {
			return Route{Kind: Resource} // lists what is kept
		}
	case realtime:
		return Route{Kind: Realtime}
	case translations:
		if w.prev == realtime {
			return Route{Kind: Realtime}
		}
	}
	if w.prev == health {
		return Route{Kind: Auxiliary}
	}
	return Route{}
}

// post returns the route of a POST whose last words are w's.
func (w *pathWalk) post() Route {
	if api, ok := w.inference(); ok {
		return Route{api, Inference, w.last == generateStream || w.last == awsStream || w.last == invocationsStream}
	}
	switch w.last {
	case computeWord, weightsByName, ping:
		return Route{Kind: Auxiliary}
	case show:
		if w.prev == apiWord {
			return Route{Kind: Auxiliary}
		}
	case slots, realtime: // POST realtime opens a WebRTC call
		return Route{Kind: Resource}
	case translations:
		if w.prev == realtime {
			return Route{Kind: Resource}
		}
	}
	return Route{}
}

// inference returns the interface of a POST that asks a model, and whether the
// last words are such a route.
func (w *pathWalk) inference() (API, bool) {
	versioned := w.prev == version1 || w.prev == version2
	switch w.last {
	case completions:
		if w.prev == chat || w.prev == fim {
			return Chat, true
		}
		return Completions, true
	case batch:
		return Chat, w.prev == completions && w.before == chat
	case chat:
		switch w.prev {
		case apiWord:
			return Ollama, true
		case version1:
			return Any, true // Cohere
		case version2:
			return Cohere, true
		}
	case responses:
		return Responses, true
	case compact:
		return Responses, w.prev == responses
	case messages:
		return Messages, versioned || w.prev == root || w.prev == anthropic
	case embeddings:
		return Embeddings, true
	case embed:
		return Embeddings, versioned || w.prev == apiWord
	case moderations:
		return Moderations, true
	case classify:
		return Rerank, true
	case imageVerb:
		return Images, w.prev == images
	case speech:
		return Speech, w.prev == audio
	case transcriptions, translations:
		return Transcription, w.prev == audio
	case generate:
		switch {
		case w.prev == apiWord:
			return Ollama, true
		case versioned, w.models: // Cohere, Triton
			return Any, true
		}
		return TGI, w.prev != adminNoun
	case generateStream:
		if w.models {
			return Any, true
		}
		return TGI, true
	case completion:
		return Completions, true
	case summarize:
		return Any, versioned
	case embedding, anyInference, invocationsStream:
		return Any, true
	case awsInvoke, awsStream:
		return Any, w.model
	}
	return Any, false
}
