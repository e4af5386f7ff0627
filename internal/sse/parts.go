package sse

import "bytes"

// readList reads a list of parts.
func readList(c *cursor, read func(*cursor) tokens) (t tokens) {
	if !c.Open('[') {
		return t
	}
	for c.More(']') {
		t.join(read(c))
	}
	return t
}

// readPart reads a delta, or a message.
func readPart(c *cursor) (t tokens) {
	if !c.Open('{') {
		return t
	}
	var content, audio, calls, call tokens
	var thoughts [4]bool // by name: of a name that stands twice the last counts
	var media [3]bool
	for c.More('}') {
		switch string(c.Key()) {
		case "content":
			content = readContent(c)
		case "text":
			t.content = c.Filled()
		case "reasoning_content":
			thoughts[0] = c.Filled()
		case "reasoning":
			thoughts[1] = c.Filled()
		case "thinking":
			thoughts[2] = c.Filled()
		case "reasoning_details":
			thoughts[3] = c.Filled()
		case "refusal":
			t.refusal = c.Filled()
		case "tool_calls":
			calls = readList(c, readCall)
		case "function_call":
			call = readCall(c)
		case "audio":
			audio.content = readAudio(c)
		case "images":
			media[0] = holds(c, maxHeld)
		case "video":
			media[1] = holds(c, maxHeld)
		case "image":
			media[2] = holds(c, maxHeld)
		default:
			c.Skip()
		}
	}
	t.reasoning = thoughts != [4]bool{}
	t.content = t.content || media != [3]bool{}
	t.join(content)
	t.join(audio)
	t.join(calls)
	t.join(call)
	return t
}

// readContent reads a text, or a list of parts.
func readContent(c *cursor) (t tokens) {
	switch c.Peek() {
	case '[':
		return readList(c, readBlock)
	case '{':
		return readBlock(c)
	}
	t.content = c.Filled()
	return t
}

// maxHeld is how deep holds looks.
const maxHeld = 4

// holds skips a value and reports whether there is any text or number in it, beside
// the names of types: {"type": "image_url", "image_url": {"url": ""}} holds nothing.
// What lies deeper than depth levels counts.
func holds(c *cursor, depth int) (any bool) {
	ch := c.Peek()
	switch {
	case ch == '-' || ch >= '0' && ch <= '9':
		c.Skip()
		return true
	case depth == 0 || ch != '{' && ch != '[':
		return c.Filled()
	case ch == '[':
		c.Open('[')
		for c.More(']') {
			any = holds(c, depth-1) || any
		}
		return any
	}
	c.Open('{')
	for c.More('}') {
		switch string(c.Key()) {
		case "type", "detail", "mime_type", "media_type", "index":
			c.Skip()
		default:
			any = holds(c, depth-1) || any
		}
	}
	return any
}

// readAudio reports whether an audio object holds any of it.
func readAudio(c *cursor) (filled bool) {
	if c.Peek() != '{' {
		return c.Filled()
	}
	c.Open('{')
	for c.More('}') {
		switch string(c.Key()) {
		case "data", "transcript":
			filled = c.Filled() || filled
		default:
			c.Skip()
		}
	}
	return filled
}

// readCall reads a tool call, whose name and arguments may lie one level deeper.
func readCall(c *cursor) (t tokens) {
	if !c.Open('{') {
		return t
	}
	var inner tokens
	for c.More('}') {
		switch string(c.Key()) {
		case "function", "custom":
			inner = readCall(c)
		case "name":
			if c.Filled() {
				t.tool, t.calls = true, 1
			}
		case "arguments", "input":
			t.tool = c.Filled() || t.tool
		default:
			c.Skip()
		}
	}
	t.join(inner)
	return t
}

// readBlock reads a content block: an element of a message's content.
func readBlock(c *cursor) (t tokens) {
	if c.Peek() != '{' {
		t.content = c.Filled()
		return t
	}
	c.Open('{')
	var kind []byte
	var text, name, thought, refusal, other bool
	for c.More('}') {
		switch string(c.Key()) {
		case "type":
			kind = c.Text()
		case "text":
			text = c.Filled()
		case "name":
			name = c.Filled()
		case "thinking", "signature", "encrypted_content", "summary":
			thought = c.Filled() || thought
		case "refusal":
			refusal = c.Filled()
		case "id", "index", "status", "role", "annotations", "citations", "cache_control", "caller":
			c.Skip()
		default:
			other = holds(c, maxHeld) || other
		}
	}
	t.refusal = refusal
	switch {
	case string(kind) == "text", string(kind) == "output_text", string(kind) == "input_text":
		t.content = text
	case string(kind) == "thinking", string(kind) == "redacted_thinking", string(kind) == "reasoning":
		t.reasoning = thought || text || other
	case string(kind) == "refusal":
	case name:
		t.tool, t.calls = true, 1
	default: // an image, a result of a tool, something that came later than this
		t.content = text || other || thought
	}
	return t
}

// readItem reads an output item of the responses interface.
func readItem(c *cursor) (t tokens) {
	if !c.Open('{') {
		return t
	}
	var kind, action []byte
	var content tokens
	var name, result, thought bool
	for c.More('}') {
		switch string(c.Key()) {
		case "type":
			kind = c.Text()
		case "content":
			content = readContent(c)
		case "name":
			name = c.Filled()
		case "action":
			inside := *c
			action = fieldOf(&inside, "type")
			result = c.Filled() || result
		case "result", "code", "output", "arguments", "input":
			result = c.Filled() || result
		case "summary", "encrypted_content":
			thought = c.Filled() || thought
		case "text":
			content.content = c.Filled() || content.content
		case "refusal":
			content.refusal = c.Filled() || content.refusal
		default:
			c.Skip()
		}
	}
	switch {
	case string(kind) == "reasoning":
		t.reasoning = thought || content.bears()
	case string(kind) == "compaction":
		t.content = thought
	case name:
		t.tool, t.calls = true, 1
	case bytes.HasSuffix(kind, []byte("_call")):
		t.tool, t.content = true, result
	default:
		t = content
	}
	if string(kind) == "web_search_call" && (len(action) == 0 || string(action) == "search") {
		t.searches = 1 // opening a page is not billed
	}
	return t
}

// readToken reads the token of a text generation server.
func readToken(c *cursor) (t tokens) {
	if !c.Open('{') {
		return t
	}
	for c.More('}') {
		if string(c.Key()) == "text" {
			t.content = c.Filled()
		} else {
			c.Skip()
		}
	}
	return t
}

// readGeminiContent reads the content of a candidate.
func readGeminiContent(c *cursor) (t tokens) {
	if !c.Open('{') {
		return t
	}
	for c.More('}') {
		if string(c.Key()) == "parts" {
			t = readList(c, readGeminiPart)
		} else {
			c.Skip()
		}
	}
	return t
}

func readGeminiPart(c *cursor) (t tokens) {
	if !c.Open('{') {
		return t
	}
	var text, thought bool
	for c.More('}') {
		switch string(c.Key()) {
		case "text":
			text = c.Filled()
		case "thought":
			thought = c.True()
		case "functionCall":
			t.join(readCall(c))
		case "inlineData", "fileData", "executableCode", "codeExecutionResult":
			t.content = c.Filled() || t.content
		default:
			c.Skip()
		}
	}
	t.reasoning = t.reasoning || text && thought
	t.content = t.content || text && !thought
	return t
}

// readDelta reads what an event calls its delta.
func (t *top) readDelta(c *cursor, u *usage) {
	t.delta, t.deltaText, t.deltaFinish = tokens{}, false, nil
	if c.Peek() != '{' {
		t.deltaText = c.Filled()
		return
	}
	c.Open('{')
	for c.More('}') {
		switch string(c.Key()) {
		case "type", "stop_sequence":
			c.Skip()
		case "text", "citation":
			t.delta.content = c.Filled() || t.delta.content
		case "partial_json":
			t.delta.tool = c.Filled()
		case "thinking", "signature":
			t.delta.reasoning = c.Filled() || t.delta.reasoning
		case "stop_reason", "finish_reason":
			t.deltaFinish = c.Text()
		case "message":
			t.delta.join(readCohere(c))
		case "usage":
			u.read(c)
		default:
			t.deltaText = present(c) || t.deltaText
		}
	}
	t.deltaText = t.deltaText || t.delta.bears()
}

// present skips a value and reports whether it holds anything: it is neither null
// nor empty.
func present(c *cursor) bool {
	switch ch := c.Peek(); {
	case ch == 't', ch == 'f', ch == '-', ch >= '0' && ch <= '9':
		c.Skip()
		return true
	}
	return c.Filled()
}

// readCohere reads the message of a delta.
func readCohere(c *cursor) (t tokens) {
	if !c.Open('{') {
		return t
	}
	for c.More('}') {
		switch string(c.Key()) {
		case "content":
			t.join(readContent(c))
		case "tool_plan":
			t.reasoning = c.Filled()
		case "tool_calls":
			if c.Peek() == '[' {
				t.join(readList(c, readCall))
			} else {
				t.join(readCall(c))
			}
		default:
			c.Skip()
		}
	}
	return t
}

// readMessage reads the outermost "message": words about an error, a turn of a
// chat, or the answer that an event reports on.
func (t *top) readMessage(c *cursor, k *chunk) {
	t.message, t.chatSeen, t.chat = false, false, tokens{}
	if c.Peek() != '{' {
		t.message = c.Filled()
		return
	}
	t.chatSeen = true
	var content, calls tokens
	c.Open('{')
	for c.More('}') {
		switch string(c.Key()) {
		case "content":
			content = readContent(c)
		case "thinking", "tool_plan":
			t.chat.reasoning = c.Filled() || t.chat.reasoning
		case "images":
			t.chat.content = c.Filled()
		case "tool_calls":
			calls = readList(c, readCall)
		case "usage":
			k.usage.read(c)
		case "model":
			k.model = c.Text()
		case "error":
			k.fault.read(c)
		case "stop_reason":
			t.stopReason = c.Text()
		default:
			c.Skip()
		}
	}
	t.chat.join(content)
	t.chat.join(calls)
}

// readOutput reads the outermost "output".
func (t *rare) readOutput(c *cursor) {
	t.output, t.outputSeen, t.converse = tokens{}, false, false
	switch c.Peek() {
	case '[':
		t.outputSeen = true
		t.output = readList(c, readItem)
	case '{':
		t.converse = true
		c.Open('{')
		for c.More('}') {
			if string(c.Key()) == "message" {
				t.output = readPart(c)
			} else {
				c.Skip()
			}
		}
	default:
		c.Skip()
	}
}

// read reads the object around a whole answer.
func (e *envelope) read(c *cursor) {
	*e = envelope{}
	if !c.Open('{') {
		return
	}
	for c.More('}') {
		switch string(c.Key()) {
		case "usage", "meta":
			e.usage.read(c)
		case "error":
			e.fault.read(c)
		case "status":
			e.status = c.Text()
		case "incomplete_details":
			e.finish = reasonOf(c)
		case "output":
			e.output = readList(c, readItem)
		case "model":
			e.model = c.Text()
		case "service_tier":
			e.tier = c.Text()
		default:
			c.Skip()
		}
	}
}

// readDetails reads what a text generation server says at the end.
func (k *chunk) readDetails(c *cursor) (finish []byte) {
	if !c.Open('{') {
		return nil
	}
	for c.More('}') {
		switch string(c.Key()) {
		case "finish_reason":
			finish = c.Text()
		case "generated_tokens":
			k.usage.set(&k.usage.output, c)
		case "input_length":
			k.usage.set(&k.usage.input, c)
		default:
			c.Skip()
		}
	}
	return finish
}

// readMeta reads what SGLang says beside the text.
func (k *chunk) readMeta(c *cursor) (finish []byte) {
	if !c.Open('{') {
		return nil
	}
	for c.More('}') {
		switch string(c.Key()) {
		case "finish_reason":
			if c.Peek() == '{' {
				finish = fieldOf(c, "type")
			} else {
				finish = c.Text()
			}
		case "prompt_tokens":
			k.usage.set(&k.usage.prompt, c)
		case "completion_tokens":
			k.usage.set(&k.usage.output, c)
		case "cached_tokens":
			k.usage.set(&k.usage.cached, c)
		default:
			c.Skip()
		}
	}
	return finish
}

// readGroq reads what Groq adds to the first and the last event of a stream: its
// usage, and an error that stopped it.
func (k *chunk) readGroq(c *cursor) {
	if !c.Open('{') {
		return
	}
	for c.More('}') {
		switch string(c.Key()) {
		case "usage":
			k.usage.read(c)
		case "error":
			k.rare.groq.read(c)
		default:
			c.Skip()
		}
	}
}
