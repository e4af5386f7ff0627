package sse

import (
	"bytes"

	"github.com/serin-go/serin/internal/jsonwalk"
)

type cursor = jsonwalk.Cursor

// chunk is what one JSON document of a stream says. Its slices point into the
// document.
type chunk struct {
	common
	turns  turns // choices or candidates
	usage  usage
	rare   rare
	rarely bool // rare is not zero
	cursor cursor
}

// common is the part of a chunk that is small.
type common struct {
	summary
	finish []byte // the finish reason of a document that has one for all
	fault  fault

	done    bool // the terminator of a stream
	marker  bool // [DONE]
	repeats bool // it repeats what came in events before it

	deferred, blocked bool
	failed            bool // a terminal status other than completed or incomplete
	items, empty      int  // embeddings, results or images, and those without content

	holes jsonwalk.Holes // what may change in it

	whole, short bool // the document is complete, or could become so with more bytes
	size         int  // how many bytes it took, with the white space behind it

	model, tier []byte
	top         top
}

// reset prepares k for another document. The large part, which most documents do not
// use, is only touched if it was used.
func (k *chunk) reset(data []byte) {
	k.common = common{}
	k.cursor = cursor{B: data}
	if k.turns.listed {
		k.turns = turns{}
	}
	if k.usage.touched {
		k.usage = usage{}
	}
	if k.rarely {
		k.rare, k.rarely = rare{}, false
	}
}

// summary is all that an ordinary chunk says.
type summary struct {
	tokens       // generated here
	shapes Shape // interfaces that have such documents
	known  bool
	listed bool // there is a list of choices, which may be empty
	seen   [2]uint64
	said   int // bytes of text
}

// tokens says what kinds of tokens were generated.
type tokens struct {
	content, reasoning, tool, refusal bool
	calls                             int // tool calls that begin
	searches                          int // of the web, by the server
}

// bears reports whether there are tokens of any kind.
func (t *tokens) bears() bool { return t.content || t.reasoning || t.tool || t.refusal }

func (t *tokens) join(o tokens) {
	t.content = t.content || o.content
	t.reasoning = t.reasoning || o.reasoning
	t.tool = t.tool || o.tool
	t.refusal = t.refusal || o.refusal
	t.calls += o.calls
	t.searches += o.searches
}

// top is what members of the outermost object say whose meaning depends on
// others.
type top struct {
	kind, object, status, stop, ended, code []byte
	stopReason, doneReason                  []byte

	delta       tokens // what an object named "delta" holds
	deltaText   bool   // "delta" holds anything
	deltaFinish []byte

	message, chatSeen bool   // "message" is a string, an object
	chat              tokens // what that object holds

	contentString, responseString, textString, textList, generated bool
	text                                                           tokens // of any of these
	thinking                                                       bool

	blocksSeen bool
	blocks     tokens // of "content" as a list
	block      tokens // of "content_block" or "item"
}

// rare is what the other members of the outermost object say.
type rare struct {
	eventType []byte
	groq      fault
	token     tokens // of "token"
	calls     tokens // of "tool_calls", which Cohere's old chat has here
	media     bool

	outputSeen, converse bool
	output               tokens // of "output" as a list, or as an object

	enveloped bool
	envelope  envelope

	dataSeen, resultsSeen, embeddingsSeen bool
	data, results, embeddings             items
	scored                                bool // the object has a score itself

	metaSeen bool
	meta     []byte // a finish reason
}

// envelope is the object around a whole answer that an event reports on.
type envelope struct {
	status, finish []byte
	fault          fault
	usage          usage
	output         tokens
	model, tier    []byte
}

var done = []byte("[DONE]")

// parse reads the document at the start of data into k. A document that breaks
// off gives what it showed up to there.
func (k *chunk) parse(data []byte) {
	k.reset(data)
	c := &k.cursor
	switch ch := c.Peek(); {
	case ch == '[' && bytes.HasPrefix(data[c.I:], done):
		c.I += len(done)
		k.done, k.marker, k.known = true, true, true
	case ch == '{':
		k.object(c)
	case ch == '[':
		k.list(c)
	default:
		c.Skip()
	}
	if !c.Bad {
		c.Peek()
	}
	k.whole, k.short, k.size, k.holes, k.said = !c.Bad, c.Short, c.I, c.Holes, c.Said
}

// sizeOf returns the size of the document at the start of data, with the white
// space behind it, and false if it is not complete.
func sizeOf(data []byte) (int, bool) {
	c := cursor{B: data}
	if c.Peek() == '[' && bytes.HasPrefix(data[c.I:], done) {
		c.I += len(done)
	} else {
		c.Skip()
	}
	if c.Bad {
		return 0, false
	}
	c.Peek()
	return c.I, true
}

// object reads the outermost object.
func (k *chunk) object(c *cursor) {
	c.Open('{')
	for c.More('}') {
		k.member(c)
	}
	k.interpret()
}

// list reads a list of documents: generated texts, vectors, results, or an array
// of candidates that came whole.
func (k *chunk) list(c *cursor) {
	c.Open('[')
	for c.More(']') {
		if c.Peek() != '{' {
			if c.Peek() == '[' {
				k.shapes |= ShapeEmbeddings
				k.known = true
				var v items
				v.vector(c)
				k.items, k.empty = k.items+v.vectors, k.empty+v.empty
			} else {
				c.Skip()
			}
			continue
		}
		var e chunk
		e.object(c)
		if !e.inLists() {
			k.fault.join(e.fault)
			k.known = k.known || e.known
			continue
		}
		k.join(&e)
	}
}

// inLists reports whether an interface answers with a list of such documents. A list
// of others, such as chat completions, is no answer.
func (k *chunk) inLists() bool {
	const some = ShapeGemini | ShapeTGI | ShapeEmbeddings | ShapeCompletions // llama.cpp
	return k.rare.scored || k.shapes&some != 0 && (!k.turns.listed || k.shapes&ShapeGemini != 0)
}

// join adds what another document of the same list says.
func (k *chunk) join(e *chunk) {
	k.tokens.join(e.tokens)
	k.shapes |= e.shapes
	k.turns.join(&e.turns)
	k.listed, k.seen = k.turns.listed, k.turns.seen
	if len(e.finish) > 0 {
		k.finish = e.finish
	}
	k.fault.join(e.fault)
	k.usage.merge(&e.usage)
	k.done, k.known, k.blocked = k.done || e.done, k.known || e.known, k.blocked || e.blocked
	k.failed = k.failed || e.failed
	k.items, k.empty = k.items+e.items, k.empty+e.empty
	if e.rare.scored {
		k.shapes, k.known, k.done = k.shapes|ShapeRerank, true, true
		k.items++
	}
	if len(e.model) > 0 {
		k.model = e.model
	}
}

// member reads one member of the outermost object. Each assigns what it says, so
// if a member is repeated the last one counts.
func (k *chunk) member(c *cursor) {
	t := &k.top
	name := c.Key()
	switch string(name) {
	case "choices":
		k.turns = turns{}
		if c.Open('[') {
			k.turns.listed = true
			for c.More(']') {
				k.turns.choice(c, &k.usage)
			}
		}
	case "usage":
		k.usage.read(c)
	case "type":
		t.kind = c.Text()
	case "object":
		t.object = c.Text()
	case "model", "modelVersion": // of Gemini
		k.model = c.Text()
	case "service_tier":
		k.tier = c.Text()
	case "delta":
		t.readDelta(c, &k.usage)
	case "error":
		k.fault.read(c)
	case "code":
		t.code = scalar(c)
	case "error_type":
		k.fault.noteKind(c.Text())
	case "message":
		t.readMessage(c, k)
	case "response":
		if c.Peek() == '"' {
			t.responseString, t.text.content = true, c.Filled()
		} else {
			k.rarely = true
			k.rare.enveloped = c.Peek() == '{'
			k.rare.envelope.read(c)
		}
	case "done":
		t.ended = literal(c)
	case "done_reason":
		t.doneReason = c.Text()
	case "thinking":
		t.thinking = c.Filled()
	case "prompt_eval_count", "tokens_evaluated":
		k.usage.set(&k.usage.input, c)
	case "eval_count", "tokens_predicted":
		k.usage.set(&k.usage.output, c)
	case "content_block":
		t.block = readBlock(c)
	case "item":
		t.block = readItem(c)
	case "content":
		if c.Peek() == '[' {
			t.blocks = readList(c, readBlock)
			t.blocksSeen = true
		} else {
			t.contentString = c.Peek() == '"'
			t.text.content = c.Filled()
		}
	case "output":
		k.rarely = true
		k.rare.readOutput(c)
	case "stop_reason":
		t.stopReason = c.Text()
	case "stopReason", "finish_reason", "finishReason":
		k.finish = c.Text()
	case "stop":
		t.stop = literal(c)
	case "stop_type":
		t.stopReason = c.Text()
	case "status":
		t.status = c.Text()
	case "incomplete_details":
		k.finish = reasonOf(c)
	case "obfuscation": // random text that hides how long the token is
		c.Filled()
	case "sequence_number":
		c.Counter()
	default:
		k.rarer(c, name)
	}
}

// rarer reads the other members of the outermost object. Its cases stand apart,
// since nearly all events have only the members above.
func (k *chunk) rarer(c *cursor, name []byte) {
	t, r := &k.top, &k.rare
	k.rarely = true
	switch string(name) {
	case "text":
		t.textString, t.textList = c.Peek() == '"', c.Peek() == '['
		t.text.content = c.Filled()
	case "generated_text":
		t.generated = c.Peek() == '"'
		t.text.content = c.Filled() || t.text.content
	case "token":
		r.token = readToken(c)
		k.shapes |= ShapeTGI
	case "details":
		k.finish = k.readDetails(c)
	case "meta_info":
		r.metaSeen = true
		r.meta = k.readMeta(c)
	case "event_type":
		r.eventType = c.Text()
	case "tool_calls":
		r.calls = readList(c, readCall)
	case "candidates":
		k.turns = turns{}
		if c.Open('[') {
			k.turns.listed = true
			k.shapes |= ShapeGemini
			for c.More(']') {
				k.turns.candidate(c)
			}
		}
	case "promptFeedback":
		k.blocked = len(fieldOf(c, "blockReason")) > 0
		k.shapes |= ShapeGemini
	case "usageMetadata":
		k.usage.read(c)
	case "meta":
		k.usage.read(c)
	case "x_groq":
		k.readGroq(c)
	case "data":
		r.data, r.dataSeen = readItems(c)
	case "results", "classifications", "predictions":
		r.results, r.resultsSeen = readItems(c)
	case "embedding":
		r.embeddings, r.embeddingsSeen = items{}, true
		r.embeddings.vector(c)
	case "embeddings":
		r.embeddings, r.embeddingsSeen = readVectors(c)
	case "score", "relevance_score":
		r.scored = true
		c.Skip()
	case "b64_json", "partial_image_b64", "audio":
		r.media = c.Filled()
	default:
		c.Skip()
	}
}

// scalar returns a string without its quotes, or the bytes of a number.
func scalar(c *cursor) []byte {
	if c.Peek() == '"' {
		return c.Text()
	}
	v := c.Value()
	if len(v) > 0 && (v[0] == '{' || v[0] == '[') {
		return nil
	}
	return v
}

// literal returns the bytes of a value.
func literal(c *cursor) []byte {
	c.Peek()
	from := c.I
	c.Skip()
	return c.B[from:c.I]
}

// reasonOf returns the reason in an object of details.
func reasonOf(c *cursor) []byte { return fieldOf(c, "reason") }

// fieldOf returns a string member of an object.
func fieldOf(c *cursor, name string) (v []byte) {
	if !c.Open('{') {
		return nil
	}
	for c.More('}') {
		if string(c.Key()) == name {
			v = c.Text()
		} else {
			c.Skip()
		}
	}
	return v
}
