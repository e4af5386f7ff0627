package answer

import (
	"bytes"
	"encoding/json"
	"errors"
	"iter"
	"strings"
)

// Part is one event of a stream, or a whole document.
type Part struct {
	// Text is what the event adds. The name and the arguments of a tool call may
	// come in different events.
	Text
	// Choices is the number of choices that the event lists.
	Choices int
	// Output is the number of output tokens that the event reports, 0 if none.
	Output int
}

// TextOf returns what a model said in a complete body of the given form. A body
// that is Plain is text as it is; of one that cannot be read the Text is zero.
func TextOf(route Route, f Form, body []byte) Text {
	if f == UnknownForm {
		f = Sniff(body[:min(len(body), maxLead)])
	}
	t := transcript{api: route.API}
	if f == Plain || f == UnknownForm {
		if f == Plain && route.API == Transcription {
			t.content.Write(body)
		}
		return t.result()
	}
	for data := range documents(f, body) {
		t.read(data)
	}
	return t.result()
}

// Parts yields the events of a body that can be read, and the offset in body at
// which each of them ends, with the line that ends it.
func Parts(route Route, f Form, body []byte) iter.Seq2[Part, int] {
	if f == UnknownForm {
		f = Sniff(body[:min(len(body), maxLead)])
	}
	return func(yield func(Part, int) bool) {
		for data, end := range documents(f, body) {
			t := transcript{api: route.API}
			d, ok := t.read(data)
			if !ok {
				continue
			}
			p := Part{Text: t.result(), Choices: len(d.Choices) + len(d.Candidates), Output: d.Usage.output()}
			if !yield(p, end) {
				return
			}
		}
	}
}

// documents yields the JSON documents of a body, and where each of them ends.
func documents(f Form, body []byte) iter.Seq2[[]byte, int] {
	body, skipped := bytes.CutPrefix(body, []byte("\xEF\xBB\xBF"))
	offset := 0
	if skipped {
		offset = 3
	}
	return func(yield func([]byte, int) bool) {
		switch f {
		case Document:
			if whole := bytes.TrimSpace(body); len(whole) > 0 && whole[0] == '[' {
				elements(body, func(data []byte, end int) bool { return yield(data, offset+end) })
				return
			}
			yield(bytes.TrimSpace(body), offset+len(body))
		case Lines:
			for line, end := range lines(body) {
				if line = bytes.TrimSpace(line); len(line) > 0 && !yield(line, offset+end) {
					return
				}
			}
		case EventStream:
			events(body, func(data []byte, end int) bool { return yield(data, offset+end) })
		case Array:
			elements(body, func(data []byte, end int) bool { return yield(data, offset+end) })
		}
	}
}

// elements yields the elements of an array.
func elements(body []byte, yield func([]byte, int) bool) {
	d := json.NewDecoder(bytes.NewReader(body))
	if _, err := d.Token(); err != nil {
		return
	}
	for d.More() {
		var element json.RawMessage
		if d.Decode(&element) != nil || !yield(element, int(d.InputOffset())) {
			return
		}
	}
}

// lines yields lines that end in LF, CRLF or CR, without their ends, and where the
// next one begins.
func lines(body []byte) iter.Seq2[[]byte, int] {
	return func(yield func([]byte, int) bool) {
		for at := 0; at < len(body); {
			n := bytes.IndexAny(body[at:], "\r\n")
			end, next := at+n, at+n+1
			if n < 0 {
				end, next = len(body), len(body)
			} else if body[end] == '\r' && next < len(body) && body[next] == '\n' {
				next++
			}
			if !yield(body[at:end], next) {
				return
			}
			at = next
		}
	}
}

// events yields the data of server-sent events. A data line that is a document by
// itself is one even if no empty line follows.
func events(body []byte, yield func([]byte, int) bool) {
	const maxTries = 8 // each reads all lines of the event
	var data []byte
	last, tries := 0, 0
	flush := func() bool {
		whole := data
		data, tries = nil, 0
		return len(whole) == 0 || yield(whole, last)
	}
	for line, end := range lines(body) {
		if len(line) == 0 {
			if !flush() {
				return
			}
			continue
		}
		value, is := bytes.CutPrefix(line, []byte("data:"))
		if !is {
			continue
		}
		value = bytes.TrimPrefix(value, []byte(" "))
		last = end
		if data == nil && json.Valid(value) {
			if !yield(value, end) {
				return
			}
			continue
		}
		data = append(append(data, value...), '\n')
		if tries++; tries <= maxTries && json.Valid(data) && !flush() {
			return
		}
	}
	flush()
}

// transcript gathers what a model says from the events of a stream or from one
// document.
type transcript struct {
	api                         API
	content, reasoning, refusal strings.Builder
	calls                       []ToolCall
	arguments                   [][]byte    // of calls that come in parts
	at                          map[int]int // where in calls the one is that an event names by its index
	finish                      string
}

func (t *transcript) result() Text {
	for i, a := range t.arguments {
		t.calls[i].Arguments += string(a)
	}
	return Text{Content: t.content.String(), Reasoning: t.reasoning.String(), Refusal: t.refusal.String(), ToolCalls: t.calls, Finish: t.finish}
}

// message is a turn of a chat, or a part of one. It decodes into itself what is
// an object, and nothing otherwise.
type message struct {
	Content          json.RawMessage // a string, or parts
	Text             string
	Refusal          string
	Reasoning        string
	ReasoningContent string `json:"reasoning_content"`
	Thinking         string
	ToolPlan         string          `json:"tool_plan"`
	ToolCalls        json.RawMessage `json:"tool_calls"`
	FunctionCall     *function       `json:"function_call"`
	StopReason       string          `json:"stop_reason"`
}

type function struct {
	Name      string
	Arguments json.RawMessage // a string, or an object
}

type toolCall struct {
	Index    *int
	Function function
}

// part is a content block, an output item, or a part of either.
type part struct {
	Type, Text, Name, Refusal string
	Thinking                  json.RawMessage // a string, or parts
	Thought                   bool
	Arguments                 string          // of a function_call of a response
	Input                     json.RawMessage // of a tool_use of a message
	Content                   json.RawMessage // of an item of a response: parts
	Summary                   []part
	FunctionCall              *struct {
		Name string
		Args json.RawMessage
	} `json:"functionCall"`
}

type document struct {
	Type      string
	EventType string `json:"event_type"`
	Choices   []struct {
		Text           string
		Delta, Message json.RawMessage
		FinishReason   string `json:"finish_reason"`
	}
	Candidates []struct {
		Content      struct{ Parts []part }
		FinishReason string `json:"finishReason"`
	}
	Delta         json.RawMessage // a string in responses, an object in messages
	Index         int
	OutputIndex   int  `json:"output_index"`
	Item          part // of a response's event
	ContentBlock  part `json:"content_block"`
	Content       json.RawMessage
	Output        json.RawMessage
	Text          json.RawMessage
	GeneratedText string `json:"generated_text"`
	Token         *struct {
		Text    string
		Special bool
	}
	Message, Response, Thinking json.RawMessage // of Ollama; others put other things there
	FinishReason                string          `json:"finish_reason"`
	StopReason                  string          `json:"stop_reason"`
	DoneReason                  string          `json:"done_reason"`
	Usage                       usageReport
}

// usageReport is the part of a usage report that counts output.
type usageReport struct {
	Completion *float64 `json:"completion_tokens"`
	Out        *float64 `json:"output_tokens"`
}

func (u usageReport) output() int {
	switch {
	case u.Completion != nil && *u.Completion > 0 && *u.Completion < 1<<40:
		return int(*u.Completion)
	case u.Out != nil && *u.Out > 0 && *u.Out < 1<<40:
		return int(*u.Out)
	}
	return 0
}

// loosely decodes what fits of data into v: a member of another type than
// expected leaves the others as they are.
func loosely(data []byte, v any) bool {
	err := json.Unmarshal(data, v)
	var mismatch *json.UnmarshalTypeError
	return err == nil || errors.As(err, &mismatch)
}

// read takes one event, or a whole document. It reports false for what is no
// object.
func (t *transcript) read(data []byte) (d document, ok bool) {
	if trimmed := bytes.TrimSpace(data); len(trimmed) == 0 || trimmed[0] != '{' || !loosely(trimmed, &d) {
		return d, false
	}
	for _, c := range d.Choices {
		t.content.WriteString(c.Text)
		t.turn(c.Delta)
		t.turn(c.Message)
		t.end(c.FinishReason)
	}
	for _, c := range d.Candidates {
		t.parts(c.Content.Parts)
		t.end(c.FinishReason)
	}
	t.end(d.FinishReason)
	t.end(d.StopReason)
	t.end(d.DoneReason)
	switch d.Type {
	case "content_block_start":
		if d.ContentBlock.Type == "tool_use" {
			t.call(d.Index, d.ContentBlock.Name, "")
		}
	case "content_block_delta", "message_delta":
		var delta struct {
			Text, Thinking string
			PartialJSON    string `json:"partial_json"`
			StopReason     string `json:"stop_reason"`
		}
		loosely(d.Delta, &delta)
		t.content.WriteString(delta.Text)
		t.reasoning.WriteString(delta.Thinking)
		if delta.PartialJSON != "" {
			t.call(d.Index, "", delta.PartialJSON)
		}
		t.end(delta.StopReason)
	case "content-delta", "tool-plan-delta", "tool-call-start", "tool-call-delta", "message-end":
		t.cohere(d)
	case "response.output_text.delta", "transcript.text.delta":
		t.content.WriteString(textValue(d.Delta))
	case "response.refusal.delta":
		t.refusal.WriteString(textValue(d.Delta))
	case "response.reasoning_text.delta", "response.reasoning_summary_text.delta":
		t.reasoning.WriteString(textValue(d.Delta))
	case "response.output_item.done":
		if d.Item.Type == "function_call" {
			t.call(d.OutputIndex, d.Item.Name, d.Item.Arguments)
		}
	case "message", "":
		t.untyped(d)
	}
	return d, true
}

// untyped takes a document that does not say its type.
func (t *transcript) untyped(d document) {
	if d.EventType != "" {
		if d.EventType == "text-generation" {
			t.content.WriteString(textValue(d.Text))
		}
		return
	}
	t.parted(d.Content)
	t.content.WriteString(textValue(d.Response))
	t.reasoning.WriteString(textValue(d.Thinking))
	t.turn(d.Message)
	var output []part
	if loosely(d.Output, &output) {
		t.parts(output)
	}
	var converse struct{ Message json.RawMessage }
	if loosely(d.Output, &converse) {
		t.turn(converse.Message)
	}
	switch {
	case d.Token != nil:
		if !d.Token.Special {
			t.content.WriteString(d.Token.Text)
		}
	case d.GeneratedText != "":
		t.content.WriteString(d.GeneratedText)
	case len(d.Choices) == 0:
		t.content.WriteString(textValue(d.Text))
	}
}

// cohere takes an event of Cohere's chat.
func (t *transcript) cohere(d document) {
	var delta struct {
		FinishReason string `json:"finish_reason"`
		Message      struct {
			Content   json.RawMessage
			ToolPlan  string          `json:"tool_plan"`
			ToolCalls json.RawMessage `json:"tool_calls"`
		}
	}
	loosely(d.Delta, &delta)
	t.parted(delta.Message.Content)
	t.reasoning.WriteString(delta.Message.ToolPlan)
	t.toolCalls(d.Index, delta.Message.ToolCalls)
	t.end(delta.FinishReason)
}

func (t *transcript) end(reason string) {
	if reason != "" {
		t.finish = reason
	}
}

// turn takes a message or a delta.
func (t *transcript) turn(raw json.RawMessage) {
	var m message
	if len(raw) == 0 || raw[0] != '{' || !loosely(raw, &m) {
		return
	}
	t.parted(m.Content)
	t.content.WriteString(m.Text)
	t.refusal.WriteString(m.Refusal)
	t.reasoning.WriteString(m.Reasoning + m.ReasoningContent + m.Thinking + m.ToolPlan)
	t.toolCalls(0, m.ToolCalls)
	if m.FunctionCall != nil {
		t.call(0, m.FunctionCall.Name, arguments(m.FunctionCall.Arguments))
	}
	t.end(m.StopReason)
}

// toolCalls takes a list of tool calls, or a single one whose index is given.
func (t *transcript) toolCalls(index int, raw json.RawMessage) {
	var all []toolCall
	var one toolCall
	switch {
	case len(raw) == 0:
		return
	case raw[0] == '{':
		if loosely(raw, &one) {
			t.call(index, one.Function.Name, arguments(one.Function.Arguments))
		}
		return
	case !loosely(raw, &all):
		return
	}
	for i, c := range all {
		if c.Index != nil {
			i = *c.Index
		}
		t.call(i, c.Function.Name, arguments(c.Function.Arguments))
	}
}

// arguments returns the arguments of a tool call as JSON.
func arguments(raw json.RawMessage) string {
	var s string
	if json.Unmarshal(raw, &s) != nil {
		return string(raw) // an object
	}
	return s
}

// textValue returns a string value, "" for any other.
func textValue(raw json.RawMessage) (s string) {
	if len(raw) > 0 && raw[0] == '"' {
		_ = json.Unmarshal(raw, &s) // it was decoded once already
	}
	return s
}

// parted takes a text, or parts of an answer.
func (t *transcript) parted(raw json.RawMessage) {
	if len(raw) == 0 {
		return
	}
	var several []part
	var one part
	switch raw[0] {
	case '"':
		t.content.WriteString(textValue(raw))
	case '[':
		if loosely(raw, &several) {
			t.parts(several)
		}
	case '{':
		if loosely(raw, &one) {
			t.parts([]part{one})
		}
	}
}

func (t *transcript) parts(parts []part) {
	for _, p := range parts {
		switch {
		case p.FunctionCall != nil:
			t.calls = append(t.calls, ToolCall{p.FunctionCall.Name, string(p.FunctionCall.Args)})
		case p.Type == "tool_use":
			t.calls = append(t.calls, ToolCall{p.Name, string(p.Input)})
		case p.Type == "function_call":
			t.calls = append(t.calls, ToolCall{p.Name, p.Arguments})
		case p.Type == "message":
			t.parted(p.Content)
		case p.Type == "reasoning":
			for _, s := range p.Summary {
				t.reasoning.WriteString(s.Text)
			}
		case p.Type == "thinking":
			var thoughts []part
			if t.reasoning.WriteString(textValue(p.Thinking)); loosely(p.Thinking, &thoughts) {
				for _, s := range thoughts {
					t.reasoning.WriteString(s.Text)
				}
			}
		case p.Thought:
			t.reasoning.WriteString(p.Text)
		case p.Type == "refusal":
			t.refusal.WriteString(p.Refusal)
		case p.Type == "text", p.Type == "output_text", p.Type == "":
			t.content.WriteString(p.Text)
		}
	}
}

// call adds to the call with the given index.
func (t *transcript) call(index int, name, arguments string) {
	if t.at == nil {
		t.at = make(map[int]int)
	}
	i, known := t.at[index]
	if !known {
		i = len(t.calls)
		t.at[index], t.calls = i, append(t.calls, ToolCall{})
	}
	t.calls[i].Name += name
	for len(t.arguments) <= i {
		t.arguments = append(t.arguments, nil)
	}
	t.arguments[i] = append(t.arguments[i], arguments...)
}
