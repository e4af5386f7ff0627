package sse

import "bytes"

// chunk is what one JSON document of a stream says. Its slices point into the
// document.
type chunk struct {
	content, reasoning, tool, refusal bool // what kinds of tokens it bears

	calls  int    // tool calls that begin here
	finish []byte // the finish reason
	err    []byte // the error, as JSON
	usage  usage
	done   bool
	known  bool

	holes holes // what may change in it

	whole bool // the document was complete
	size  int  // how many bytes it took, with the white space behind it

	kind    []byte // "type" of events that have one
	object  []byte
	model   []byte
	message []byte // a top-level "message" that is a string, quotes included
	text    bool   // a top-level "delta" that is a string and not empty
	status  []byte
	ended   []byte // "done", if it is true or false
	turn    turn
}

// turn is what the "message" or "response" of an event bears, which is news only in
// Ollama's interface.
type turn struct {
	seen, content, reasoning, tool bool
	calls                          int
}

// parse reads the document at the start of data. A document that breaks off
// gives what it showed up to there.
func parse(data []byte) chunk {
	var k chunk
	c := cursor{b: data}
	if c.peek() == '[' && bytes.HasPrefix(data[c.i:], done) {
		c.i += len(done)
		k.done, k.known = true, true
	} else if c.peek() == '{' {
		c.i++
		for c.more('}') {
			k.member(&c)
		}
		k.interpret()
	} else {
		c.bad = true
	}
	c.peek()
	k.whole, k.size, k.holes = !c.bad, c.i, c.holes
	return k
}

var done = []byte("[DONE]")

// member reads one member of the top level.
func (k *chunk) member(c *cursor) {
	switch string(c.key()) {
	case "choices":
		k.known = true
		if c.open('[') {
			for c.more(']') {
				k.choice(c)
			}
		}
	case "usage":
		k.usage.read(c)
	case "type":
		k.kind = c.text()
	case "object":
		k.object = c.text()
	case "model":
		k.model = c.text()
	case "delta":
		if c.peek() == '"' {
			k.text = c.filled()
		} else {
			k.part(c)
		}
	case "error":
		k.err = c.value()
	case "message":
		if c.peek() == '"' {
			k.message = c.value()
		} else {
			k.envelope(c)
		}
	case "response":
		if c.peek() == '"' {
			k.turn.seen, k.turn.content = true, c.filled()
		} else {
			k.envelope(c)
		}
	case "done":
		c.peek()
		from := c.i
		c.skip()
		k.ended = c.b[from:c.i]
	case "done_reason":
		k.finish = c.text()
	case "thinking":
		k.turn.reasoning = c.filled()
	case "prompt_eval_count":
		k.usage.set(&k.usage.input, c)
	case "eval_count":
		k.usage.set(&k.usage.output, c)
	case "content_block", "item":
		k.block(c)
	case "content", "output": // of an answer that was not streamed
		if c.open('[') {
			for c.more(']') {
				k.block(c)
				k.content = true
			}
		}
	case "stop_reason":
		k.finish = c.text()
	case "status":
		k.status = c.text()
	case "incomplete_details":
		k.incomplete(c)
	case "obfuscation": // random text that hides how long the token is
		c.filled()
	case "sequence_number":
		c.counter()
	default:
		c.skip()
	}
}

// bears reports whether the chunk bears tokens.
func (k *chunk) bears() bool { return k.content || k.reasoning || k.tool || k.refusal }

// choice reads an element of "choices".
func (k *chunk) choice(c *cursor) {
	if !c.open('{') {
		return
	}
	for c.more('}') {
		switch string(c.key()) {
		case "delta", "message":
			k.part(c)
		case "text":
			k.content = c.filled() || k.content
		case "finish_reason":
			if reason := c.text(); len(reason) > 0 {
				k.finish = reason
			}
		default:
			c.skip()
		}
	}
}

// part reads what was generated: a delta or a whole message.
func (k *chunk) part(c *cursor) {
	if !c.open('{') {
		return
	}
	for c.more('}') {
		switch string(c.key()) {
		case "content", "text":
			k.content = c.filled() || k.content
		case "reasoning_content", "reasoning", "thinking":
			k.reasoning = c.filled() || k.reasoning
		case "partial_json":
			k.tool = c.filled() || k.tool
		case "refusal":
			k.refusal = c.filled() || k.refusal
		case "tool_calls":
			if c.open('[') {
				for c.more(']') {
					k.call(c)
				}
			}
		case "function_call":
			k.call(c)
		case "stop_reason":
			k.finish = c.text()
		default:
			c.skip()
		}
	}
}

// call reads a tool call, whose name and arguments may lie one level deeper.
func (k *chunk) call(c *cursor) {
	if !c.open('{') {
		return
	}
	for c.more('}') {
		switch string(c.key()) {
		case "function", "custom":
			k.call(c)
		case "name":
			if c.filled() {
				k.tool = true
				k.calls++
			}
		case "arguments", "input":
			k.tool = c.filled() || k.tool
		default:
			c.skip()
		}
	}
}

// block reads a content block or an output item. One that has a name is a call.
func (k *chunk) block(c *cursor) {
	if !c.open('{') {
		return
	}
	for c.more('}') {
		switch string(c.key()) {
		case "name":
			if c.filled() {
				k.tool = true
				k.calls++
			}
		case "refusal":
			k.refusal = c.filled() || k.refusal
		case "text":
			k.content = c.filled() || k.content
		default:
			c.skip()
		}
	}
}

// envelope reads the object around a whole answer: the "message" or "response"
// that an event reports on. What was generated came in other events.
func (k *chunk) envelope(c *cursor) {
	if !c.open('{') {
		return
	}
	for c.more('}') {
		switch string(c.key()) {
		case "usage":
			k.usage.read(c)
		case "error":
			k.err = c.value()
		case "stop_reason":
			k.finish = c.text()
		case "incomplete_details":
			k.incomplete(c)
		case "content":
			k.turn.seen, k.turn.content = true, c.filled()
		case "thinking":
			k.turn.reasoning = c.filled()
		case "tool_calls":
			k.turn.read(c)
		default:
			c.skip()
		}
	}
}

// read reads tool calls, which come whole.
func (t *turn) read(c *cursor) {
	if !c.open('[') {
		return
	}
	var all chunk
	for c.more(']') {
		all.call(c)
	}
	t.tool, t.calls = all.tool, all.calls
}

// incomplete reads why a response is not complete.
func (k *chunk) incomplete(c *cursor) {
	if !c.open('{') {
		return
	}
	for c.more('}') {
		if string(c.key()) == "reason" {
			k.finish = c.text()
		} else {
			c.skip()
		}
	}
}

// interpret draws the conclusions that need more than one member.
func (k *chunk) interpret() {
	if k.err == nil && string(k.object) == "error" {
		k.err = k.message
		if k.err == nil {
			k.err = k.object
		}
	}
	if k.err != nil {
		k.known = true
	}
	if string(k.object) == "response" {
		// One that is queued or in progress has no output to speak of yet.
		k.known = string(k.status) != "queued" && string(k.status) != "in_progress"
	}
	switch string(k.kind) {
	case "":
		k.ollama()
	case "message_stop", "response.completed", "response.incomplete", "response.failed":
		k.done, k.known = true, true
	case "message_start", "content_block_start", "content_block_delta", "content_block_stop",
		"message_delta", "message", "ping":
		k.known = true
	case "response.output_item.done":
		// It repeats an item that was announced and streamed before.
		k.tool, k.content, k.refusal, k.calls = false, false, false, 0
		k.known = true
	default:
		k.responses()
	}
}

// ollama interprets an event of Ollama's interfaces, /api/chat and /api/generate.
func (k *chunk) ollama() {
	over := string(k.ended) == "true"
	if !k.turn.seen || !over && string(k.ended) != "false" {
		return
	}
	t := k.turn
	k.known, k.done = true, over
	k.content, k.reasoning, k.tool, k.calls = k.content || t.content, k.reasoning || t.reasoning, k.tool || t.tool, k.calls+t.calls
}

// responses interprets the other events of the responses interface.
func (k *chunk) responses() {
	if !bytes.HasPrefix(k.kind, []byte("response.")) {
		return
	}
	k.known = true
	if !k.text || !bytes.HasSuffix(k.kind, []byte(".delta")) {
		return
	}
	switch {
	case bytes.Contains(k.kind, []byte("reasoning")):
		k.reasoning = true
	case bytes.Contains(k.kind, []byte("refusal")):
		k.refusal = true
	case bytes.Contains(k.kind, []byte("_call")):
		k.tool = true
	default:
		k.content = true
	}
}

// tail looks for what usually stands at the end of a document whose middle was
// not kept. A key between plain quotes and before a colon cannot be inside a
// string, where its quotes would be escaped.
func (k *chunk) tail(last []byte) {
	for _, key := range []string{`"finish_reason"`, `"stop_reason"`, `"usage"`} {
		i := bytes.LastIndex(last, []byte(key))
		if i < 0 {
			continue
		}
		c := cursor{b: last, i: i + len(key)}
		if c.peek() != ':' {
			continue
		}
		c.i++
		if key == `"usage"` {
			k.usage.read(&c)
		} else if reason := c.text(); len(reason) > 0 && !c.bad {
			k.finish = reason
		}
	}
}
