package answer

import (
	"github.com/serin-go/serin/internal/jsonwalk"
)

// AskOf returns what a request on a route with a body wants. It reads bodies that
// are one JSON object and whose content type is empty or JSON; of any other body
// only Route is set. If a member is repeated, the last one counts. The result does
// not refer to body.
func AskOf(r Route, contentType string, body []byte) Ask {
	if contentType != "" && FormOf(contentType) != Document {
		return Ask{Route: r}
	}
	s := askScan{Cursor: jsonwalk.Cursor{B: body}, ask: Ask{Route: r}}
	if s.Peek() != '{' {
		return Ask{Route: r}
	}
	s.Open('{')
	for s.More('}') {
		s.member(s.Key())
	}
	s.Peek()
	if s.Bad || s.I != len(body) {
		return Ask{Route: r}
	}
	return s.result()
}

// flag is a member that is true or false, or has its default.
type flag uint8

const (
	unset flag = iota
	yes
	no
)

// or returns the flag's value, or its default.
func (f flag) or(def bool) bool {
	if f == unset {
		return def
	}
	return f == yes
}

// The members that say how many answers are wanted.
const (
	inInput = iota
	inInputs
	inTexts
	inImages
	inRequests
	inContent
	inPrompt
	inMessages
	numInputs
)

// maxPrompts bounds the prompts of one request, and the choices for each, that are
// distinguished.
const maxPrompts = 1 << 10

// The members that limit the output.
const (
	limitCompletion = iota // max_completion_tokens
	limitOutput            // max_output_tokens
	limitTokens            // max_tokens
	limitSample            // max_tokens_to_sample
	limitNew               // max_new_tokens
	limitPredict           // n_predict
	limitGemini            // generationConfig
	limitOllama            // options
	limitTGI               // parameters
	limitSGLang            // sampling_params
	limitBedrock           // inferenceConfig
	numLimits
)

// A limitSet is a set of members that limit the output.
type limitSet uint16

// apiLimits are the limits that the servers of an interface honour. An interface that
// is not here has no limit.
var apiLimits = [numAPIs]limitSet{
	Any:         1<<numLimits - 1,
	Chat:        1<<limitCompletion | 1<<limitTokens,
	Completions: 1 << limitTokens,
	Responses:   1 << limitOutput,
	Messages:    1 << limitTokens,
	Gemini:      1 << limitGemini,
	Ollama:      1 << limitOllama,
	Cohere:      1 << limitTokens,
	TGI:         1 << limitTGI,
}

// limit returns the largest limit of output tokens that a server might honour, 0 if
// there may be none.
func (s *askScan) limit() (most int) {
	set := limitSet(1<<numLimits - 1)
	api := s.ask.Route.API
	if api < numAPIs {
		set = apiLimits[api]
	}
	if api == TGI && !s.hasInputs { // SGLang, which has no inputs
		set = 1 << limitSGLang
	}
	own := false
	for i, n := range s.limits {
		if set>>i&1 != 0 {
			most, own = max(most, n), own || n > 0
		}
	}
	// llama.cpp prefers its own member. No other server knows it, so that it
	// raises the limit and never sets one.
	if own && (api == Chat || api == Completions) {
		most = max(most, s.limits[limitPredict])
	}
	return most
}

// The members that name what the request continues, by precedence.
const (
	afterResponse = iota
	afterConversation
	afterCache
	afterContainer
	afterInputFile
	afterMessageFile
	afterContentFile
	afterToolFile
	numAfters
)

// askScan reads the body of a request. What a member sets is kept apart for each
// member, so that a repetition replaces it and nothing else.
type askScan struct {
	jsonwalk.Cursor
	ask                       Ask
	model                     []byte
	after                     [numAfters][]byte
	stream, store, background flag
	n, candidates             int
	inputs                    [numInputs]int
	limits                    [numLimits]int
	hasInputs                 bool

	tools, toolConfig                       toolSet
	functions                               bool
	servers, plugins, connectors, webSearch bool
}

// member reads the value of a member of the body.
func (s *askScan) member(key []byte) {
	switch string(key) {
	case "model":
		s.model = s.Text()
	case "messages":
		s.input(inMessages)
	case "stream":
		s.stream = s.flag()
	case "stream_options":
		s.ask.Usage = s.includesUsage()
	case "tools":
		s.after[afterToolFile] = nil
		s.tools = s.toolList()
	case "functions":
		s.functions = s.array()
	case "toolConfig": // Bedrock; Gemini's has no tools
		s.toolConfig = toolSet{}
		if s.Open('{') {
			for s.More('}') {
				if string(s.Key()) == "tools" {
					s.toolConfig = s.toolList()
				} else {
					s.Skip()
				}
			}
		}
	case "mcp_servers":
		s.servers = s.Filled()
	case "plugins":
		s.plugins = s.Filled()
	case "connectors":
		s.connectors = s.Filled()
	case "web_search_options": // {} searches with the defaults
		s.webSearch = len(s.Value()) > 0
	case "store":
		s.store = s.flag()
	case "background":
		s.background = s.flag()
	case "n":
		s.n, _ = s.Number()
	case "input":
		s.input(inInput)
	case "inputs":
		s.input(inInputs)
	case "texts":
		s.input(inTexts)
	case "images":
		s.input(inImages)
	case "requests":
		s.input(inRequests)
	case "content":
		s.input(inContent)
	case "prompt":
		s.input(inPrompt)
	case "contents":
		s.Peek()
		from := s.I
		s.Skip()
		s.after[afterContentFile] = fileOfGemini(s.B[from:s.I])
	case "max_completion_tokens":
		s.limits[limitCompletion], _ = s.Number()
	case "max_output_tokens":
		s.limits[limitOutput], _ = s.Number()
	case "max_tokens":
		s.limits[limitTokens], _ = s.Number()
	case "max_tokens_to_sample":
		s.limits[limitSample], _ = s.Number()
	case "max_new_tokens":
		s.limits[limitNew], _ = s.Number()
	case "n_predict":
		s.limits[limitPredict], _ = s.Number()
	case "generationConfig", "generation_config":
		s.limits[limitGemini], s.candidates = s.generationConfig()
	case "options":
		s.limits[limitOllama] = s.nested("num_predict")
	case "parameters":
		s.limits[limitTGI] = s.nested("max_new_tokens")
	case "sampling_params":
		s.limits[limitSGLang] = s.nested("max_new_tokens")
	case "inferenceConfig":
		s.limits[limitBedrock] = s.nested("maxTokens")
	case "previous_response_id":
		s.after[afterResponse] = s.Text()
	case "conversation":
		s.after[afterConversation] = s.identifier()
	case "container":
		s.after[afterContainer] = s.identifier()
	case "cachedContent", "cached_content":
		s.after[afterCache] = s.Text()
	default:
		s.Skip()
	}
}

// flag reads true or false.
func (s *askScan) flag() flag {
	f := unset
	switch s.Peek() {
	case 't':
		f = yes
	case 'f':
		f = no
	}
	s.Skip()
	return f
}

// array skips a value and reports whether it is an array that is not empty.
func (s *askScan) array() bool {
	isArray := s.Peek() == '['
	return s.Filled() && isArray
}

// includesUsage reads stream_options.
func (s *askScan) includesUsage() bool {
	f := unset
	if s.Open('{') {
		for s.More('}') {
			if string(s.Key()) == "include_usage" {
				f = s.flag()
			} else {
				s.Skip()
			}
		}
	}
	return f == yes
}

// generationConfig reads the object of Gemini's parameters, which have two spellings.
// The larger number counts.
func (s *askScan) generationConfig() (limit, candidates int) {
	if !s.Open('{') {
		return 0, 0
	}
	var limits, counts [2]int
	for s.More('}') {
		switch string(s.Key()) {
		case "maxOutputTokens":
			limits[0], _ = s.Number()
		case "max_output_tokens":
			limits[1], _ = s.Number()
		case "candidateCount":
			counts[0], _ = s.Number()
		case "candidate_count":
			counts[1], _ = s.Number()
		default:
			s.Skip()
		}
	}
	return max(limits[0], limits[1]), max(counts[0], counts[1])
}

// nested reads an object of parameters and returns the number of one of them.
func (s *askScan) nested(name string) (n int) {
	if s.Open('{') {
		for s.More('}') {
			if string(s.Key()) == name {
				n, _ = s.Number()
			} else {
				s.Skip()
			}
		}
	}
	return n
}

// identifier reads an identifier, or an object that has one.
func (s *askScan) identifier() (id []byte) {
	if s.Peek() == '"' {
		return s.Text()
	}
	if s.Open('{') {
		for s.More('}') {
			if string(s.Key()) == "id" {
				id = s.Text()
			} else {
				s.Skip()
			}
		}
	}
	return id
}

// input reads a member that holds what is to be embedded, moderated or answered.
func (s *askScan) input(member int) {
	count := s.ask.Route.API == Embeddings || s.ask.Route.API == Moderations || s.ask.Route.API == Completions && member == inPrompt
	s.Peek()
	from := s.I
	if !count {
		s.Skip()
	} else {
		s.inputs[member] = s.countInputs(member)
	}
	switch member {
	case inInputs:
		s.hasInputs = true
	case inInput:
		s.after[afterInputFile] = fileOf(s.B[from:s.I])
	case inMessages:
		s.after[afterMessageFile] = fileOf(s.B[from:s.I])
	}
}

// countInputs reads a value and returns how many answers it asks for, 0 if that
// is not known.
func (s *askScan) countInputs(member int) int {
	switch s.Peek() {
	case '"', '{':
		s.Skip()
		return 1
	case '[':
	default:
		s.Skip()
		return 0
	}
	inside := jsonwalk.Cursor{B: s.B, I: s.I + 1}
	switch first := inside.Peek(); {
	case first == ']':
		s.Skip()
		return 0
	case member == inMessages, member == inContent:
		s.Skip()
		return 1 // a conversation
	case first == '"' || first == '[':
	case first == '{' && (member == inInputs || member == inRequests):
	case first == '{' && s.ask.Route.API != Moderations:
		s.Skip()
		return 0
	default:
		s.Skip()
		return 1 // the tokens of one text, the parts of one message
	}
	n := 0
	s.Open('[')
	for s.More(']') {
		s.Skip()
		n++
	}
	return n
}

// result returns the Ask of a body that was read to its end.
func (s *askScan) result() Ask {
	a := s.ask
	a.Read = true
	a.Model = string(s.model)
	a.Stream = a.Route.Stream || s.stream.or(a.Route.API == Ollama)
	a.Tools = s.tools.any || s.toolConfig.any || s.functions
	a.ServerTools = s.tools.server || s.toolConfig.server || s.servers || s.plugins || s.connectors || s.webSearch
	a.Store = s.store.or(a.Route.API == Responses)
	a.Background = s.background == yes
	switch a.Route.API {
	case Gemini:
		a.N = s.candidates
	case Any:
		a.N = max(s.n, s.candidates)
	default:
		a.N = s.n
	}
	if a.Route.API == Completions {
		if n := s.inputs[inPrompt]; n > 1 && n <= maxPrompts && a.N <= maxPrompts {
			a.N = max(a.N, 1) * n // choices for each prompt
		}
		s.inputs[inPrompt] = 0
	}
	for _, n := range s.inputs {
		a.Inputs = max(a.Inputs, n)
	}
	a.MaxTokens = s.limit()
	for _, id := range s.after {
		if len(id) > 0 {
			a.After = string(id)
			break
		}
	}
	return a
}
