package sse

import "bytes"

// interpret draws the conclusions that need more than one member.
func (k *chunk) interpret() {
	t := &k.top
	k.fault.join(k.rare.groq)
	if k.turns.listed {
		k.known, k.listed, k.seen = true, true, k.turns.seen
		if k.turns.text {
			k.shapes |= ShapeCompletions
		}
		switch {
		case !k.turns.message:
		case string(t.object) == "transcription.chunk", string(t.object) == "translation.chunk": // vLLM
			k.shapes |= ShapeTranscription
		default:
			k.shapes |= ShapeChat
		}
		k.tokens.join(k.turns.tokens)
		k.fault.join(k.turns.fault)
	}
	if string(t.object) == "error" || string(t.kind) == "error" {
		k.fault.seen = true
	}
	if k.fault.seen && len(t.code) > 0 {
		k.fault.note(t.code)
	}
	if len(t.kind) == 0 || !k.typed() {
		k.untyped()
	}
	k.known = k.known || k.shapes != 0 || k.fault.seen
}

// typed interprets an event that says its type. It reports whether it knows it.
func (k *chunk) typed() bool {
	t := &k.top
	switch string(t.kind) {
	case "content_block_delta":
		k.tokens.join(t.delta)
		k.content = k.content || t.deltaText && !t.delta.bears() // a type that came later than this
		k.shapes |= ShapeMessages
	case "message_start", "content_block_stop":
		k.shapes |= ShapeMessages
	case "content_block_start":
		k.tokens.join(t.block)
		k.shapes |= ShapeMessages
	case "message_delta":
		k.finish = t.deltaFinish
		k.shapes |= ShapeMessages
	case "message_stop":
		k.done = true
		k.shapes |= ShapeMessages
	case "message":
		if t.blocksSeen {
			k.tokens.join(t.blocks)
			k.finish = t.stopReason
			k.shapes |= ShapeMessages
		}
	case "ping", "error":
		k.known = true
	case "message-start", "content-start", "content-end", "tool-call-end", "citation-start", "citation-end", "tool-plan-start", "debug":
		k.shapes |= ShapeCohere
	case "content-delta", "tool-plan-delta", "tool-call-start", "tool-call-delta":
		k.tokens.join(t.delta)
		k.shapes |= ShapeCohere
	case "message-end":
		k.done, k.finish = true, t.deltaFinish
		k.shapes |= ShapeCohere
	case "speech.audio.delta":
		k.content = k.rare.media
		k.shapes |= ShapeSpeech
	case "speech.audio.done":
		k.done = true
		k.shapes |= ShapeSpeech
	case "transcript.text.delta":
		k.content = t.deltaText
		k.shapes |= ShapeTranscription
	case "transcript.text.segment":
		k.content = t.text.content
		k.shapes |= ShapeTranscription
	case "transcript.text.done":
		k.done, k.repeats = true, true
		k.content = t.text.content
		k.shapes |= ShapeTranscription
	case "image_generation.partial_image", "image_edit.partial_image":
		k.content = k.rare.media
		k.shapes |= ShapeImages
	case "image_generation.completed", "image_edit.completed":
		k.done, k.content = true, k.rare.media
		k.shapes |= ShapeImages
		if k.rare.media {
			k.items = 1
		}
	default:
		return k.responses()
	}
	return true
}

// responses interprets the events of the responses interface.
func (k *chunk) responses() bool {
	t := &k.top
	kind, is := bytes.CutPrefix(t.kind, []byte("response."))
	if !is {
		return false
	}
	k.shapes |= ShapeResponses
	k.usage.merge(&k.rare.envelope.usage)
	k.fault.join(k.rare.envelope.fault)
	if len(k.rare.envelope.model) > 0 {
		k.model = k.rare.envelope.model
	}
	if len(k.rare.envelope.tier) > 0 {
		k.tier = k.rare.envelope.tier
	}
	switch string(kind) {
	case "completed", "incomplete", "failed", "cancelled", "canceled", "done":
		k.done = true
		status := k.rare.envelope.status
		if len(status) == 0 {
			status = kind
		}
		k.status(status, k.rare.envelope.finish)
		k.failed = k.failed || string(kind) == "failed" || bytes.HasPrefix(kind, []byte("cancel"))
		k.tokens, k.repeats = k.rare.envelope.output, true
	case "output_item.added":
		k.tokens = t.block
		k.searches = 0 // until it is done
	case "output_item.done":
		k.tokens, k.repeats = t.block, true
	default:
		k.delta(kind)
	}
	return true
}

// delta interprets an event of the responses interface that brings a part of the
// answer.
func (k *chunk) delta(kind []byte) {
	t := &k.top
	if bytes.HasSuffix(kind, []byte(".partial_image")) {
		k.content = k.rare.media
		return
	}
	if !bytes.HasSuffix(kind, []byte(".delta")) || !t.deltaText {
		return
	}
	switch {
	case bytes.Contains(kind, []byte("reasoning")):
		k.reasoning = true
	case bytes.Contains(kind, []byte("refusal")):
		k.refusal = true
	case bytes.Contains(kind, []byte("_call")):
		k.tool = true
	default:
		k.content = true
	}
}

// status interprets the status of a response, and why it is not complete.
func (k *chunk) status(status, incomplete []byte) {
	switch string(status) {
	case "completed", "done", "":
	case "incomplete":
		k.finish = incomplete
		if len(incomplete) == 0 {
			k.finish = []byte("incomplete")
		}
	case "queued", "in_progress":
		k.deferred = true
	default:
		k.failed = true
	}
}

// untyped interprets a document by the members that it has.
func (k *chunk) untyped() {
	t := &k.top
	over, more := string(t.ended) == "true", string(t.ended) == "false"
	switch {
	case bytes.HasPrefix(t.object, []byte("response")) && (k.rare.outputSeen || len(t.status) > 0):
		k.shapes |= ShapeResponses
		incomplete := k.finish
		k.finish = nil
		k.status(t.status, incomplete)
		// A compacted response has no status; any other must say that it is complete.
		k.done = !k.deferred && !k.failed && (len(t.status) > 0 || string(t.object) != "response")
		k.tokens.join(k.rare.output)
	case (t.chatSeen || t.responseString) && (over || more):
		k.shapes |= ShapeOllama
		k.done = over
		k.finish = t.doneReason
		k.tokens.join(t.chat)
		k.tokens.join(t.text)
		k.reasoning = k.reasoning || t.thinking
	case len(k.rare.eventType) > 0:
		k.shapes |= ShapeCohere
		k.done = string(k.rare.eventType) == "stream-end"
		k.content = t.text.content && string(k.rare.eventType) == "text-generation"
		k.tool = bytes.HasPrefix(k.rare.eventType, []byte("tool-calls-"))
		k.usage.merge(&k.rare.envelope.usage)
	case t.chatSeen && len(k.finish) > 0 && !k.turns.listed:
		k.shapes |= ShapeCohere
		k.done = true
		k.tokens.join(t.chat)
	case t.contentString && (string(t.stop) == "true" || string(t.stop) == "false"):
		k.shapes |= ShapeCompletions
		k.done = t.stop[0] == 't'
		k.tokens.join(t.text)
		if k.done && string(t.stopReason) != "none" {
			k.finish = t.stopReason
		}
	case t.generated:
		k.shapes |= ShapeTGI
		k.done = true
		k.tokens.join(t.text)
	case k.shapes&ShapeTGI != 0:
		k.tokens.join(k.rare.token)
	case k.rare.metaSeen && t.textString:
		k.shapes |= ShapeTGI
		k.finish = k.rare.meta
		k.done = len(k.rare.meta) > 0
		k.tokens.join(t.text)
	case t.textString && len(k.finish) > 0:
		k.shapes |= ShapeCohere
		k.done = true
		k.tokens.join(t.text)
		k.tokens.join(k.rare.calls)
	case t.textString:
		k.shapes |= ShapeTranscription
		k.done = true
		k.tokens.join(t.text)
	case t.textList:
		k.shapes |= ShapeTGI
		k.done = true
		k.tokens.join(t.text)
	case k.rare.converse && len(k.finish) > 0:
		k.shapes |= ShapeOther
		k.done = true
		k.tokens.join(k.rare.output)
	case !k.turns.listed:
		k.lists()
	}
}

// lists interprets a document that is a list of results.
func (k *chunk) lists() {
	add := func(s Shape, n, empty int) {
		k.shapes |= s
		k.items, k.empty, k.done = n, empty, true
	}
	switch {
	case k.rare.embeddingsSeen:
		add(ShapeEmbeddings, k.rare.embeddings.vectors, k.rare.embeddings.empty)
	case k.rare.dataSeen && k.rare.data.vectors > 0:
		add(ShapeEmbeddings, k.rare.data.vectors, k.rare.data.empty)
	case k.rare.dataSeen && k.rare.data.images > 0:
		add(ShapeImages, k.rare.data.images, 0)
	case k.rare.dataSeen && k.rare.data.scores > 0:
		add(ShapeRerank, k.rare.data.scores, 0)
	case k.rare.dataSeen && k.rare.data.n == 0:
		add(ShapeEmbeddings|ShapeImages|ShapeRerank, 0, 0)
	case k.rare.resultsSeen && k.rare.results.flags > 0:
		add(ShapeModerations, k.rare.results.flags, 0)
	case k.rare.resultsSeen && k.rare.results.scores > 0:
		add(ShapeRerank, k.rare.results.scores, 0)
	case k.rare.resultsSeen && k.rare.results.vectors > 0:
		add(ShapeEmbeddings|ShapeOther, k.rare.results.vectors, k.rare.results.empty)
	case k.rare.resultsSeen && k.rare.results.n == 0:
		add(ShapeModerations|ShapeRerank, 0, 0)
	case k.rare.resultsSeen:
		add(ShapeOther, k.rare.results.filled, 0)
	}
}
