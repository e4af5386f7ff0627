package answer

// Ask is what a request wants, as far as it decides what a good answer is. The
// zero value wants anything.
type Ask struct {
	Route Route
	// Read reports whether the body was read. If it was not, because it is not
	// JSON or not in memory, only Route is known and the form of the answer is not
	// compared with the request.
	Read bool
	// Model is the model that the request names, "" if it names none.
	Model string
	// Stream reports whether a stream is wanted, and Usage whether usage is to be
	// reported at its end.
	Stream, Usage bool
	// Tools reports whether the request offers tools to the model, ServerTools
	// whether the server may run one of them itself.
	Tools, ServerTools bool
	// Store reports whether the server is asked to keep the answer, and Background
	// whether it may answer later.
	Store, Background bool
	// N is the number of choices wanted, for all prompts together, and Inputs the
	// number of embeddings or moderations. 0 means unknown.
	N, Inputs int
	// MaxTokens is the limit of output tokens for each choice, as the servers of the
	// route's API know it. It is the largest of several limits that a server might
	// honour. For [Any] each limit counts. 0 means unknown.
	MaxTokens int
	// After names what the request continues: a previous response or an item of it,
	// a conversation, a container, cached content, a file, or a store of files that
	// a tool of the server searches. "" means nothing.
	After string
}
