package sse

// Shape is a set of interfaces by what their documents look like.
type Shape uint32

// The interfaces that have shapes of their own.
const (
	ShapeChat          Shape = 1 << iota // choices with messages or deltas
	ShapeCompletions                     // choices with texts, or llama.cpp's content and stop
	ShapeResponses                       // OpenAI's responses
	ShapeMessages                        // Anthropic's messages
	ShapeGemini                          // candidates
	ShapeOllama                          // message or response, and done
	ShapeCohere                          // Cohere's chat, versions 1 and 2
	ShapeTGI                             // generated text, or SGLang's text and meta_info
	ShapeEmbeddings                      // vectors
	ShapeRerank                          // scores
	ShapeModerations                     // flags
	ShapeImages                          // images
	ShapeSpeech                          // audio in events
	ShapeTranscription                   // text alone
	ShapeOther                           // Bedrock's converse, Vertex' predictions
)
