package answer

import "strings"

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
