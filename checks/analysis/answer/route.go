package answer

// API is the interface that a route belongs to, which decides what a good
// response looks like. The zero value is Any.
type API uint8

// The interfaces that are recognised.
const (
	// Any accepts the response of any interface below.
	Any API = iota
	Chat
	Completions
	Responses
	Messages
	Gemini
	Ollama
	Cohere
	TGI
	Embeddings
	Rerank
	Moderations
	Images
	Speech
	Transcription
	numAPIs
)

var apiNames = [numAPIs]string{
	"any", "chat", "completions", "responses", "messages", "gemini", "ollama", "cohere", "tgi",
	"embeddings", "rerank", "moderations", "images", "speech", "transcription",
}

// String returns the lower-case name of the interface.
func (a API) String() string {
	if a < numAPIs {
		return apiNames[a]
	}
	return "unknown"
}

// Kind is what a request to a route does. The zero value is UnknownKind.
type Kind uint8

// The kinds of routes.
const (
	// UnknownKind is a route that is not in the table of [RouteOf].
	UnknownKind Kind = iota
	// Inference asks a model for an answer and changes nothing on the server.
	Inference
	// Auxiliary reads something that is no answer of a model, such as the list of
	// models, or computes something without a model.
	Auxiliary
	// Resource creates, reads, changes or deletes something that the server keeps.
	Resource
	// Realtime opens a session over a WebSocket.
	Realtime
	// Control changes how the server works.
	Control
	numKinds
)

var kindNames = [numKinds]string{"unknown", "inference", "auxiliary", "resource", "realtime", "control"}

// String returns the lower-case name of the kind.
func (k Kind) String() string {
	if k < numKinds {
		return kindNames[k]
	}
	return "unknown"
}

// Route is what a request is about. The zero value is a route that is not known.
type Route struct {
	API  API
	Kind Kind
	// Stream reports whether the path itself asks for a stream, as
	// :streamGenerateContent does.
	Stream bool
}

// Measured reports whether a request to r is an observation of a model: whether
// its kind is [Inference], [Realtime] or [UnknownKind].
func (r Route) Measured() bool {
	return r.Kind == Inference || r.Kind == Realtime || r.Kind == UnknownKind
}
