package traffic

import (
	"bytes"
	"encoding/json"
	"net/http"
	"slices"
	"strings"

	"github.com/serin-go/serin/checks/analysis"
	"github.com/serin-go/serin/internal/sse"
)

// Pair is one request with two answers: the one that its caller got, and that to
// its copy. Nothing in it must be changed.
type Pair struct {
	Unit          string
	Request       []byte // the body
	Primary, Copy Answer
}

// Same reports whether the two answers say the same: equal texts but for space at
// the ends, the same tools called with the same arguments, and the same reason to
// end.
func (p Pair) Same() bool {
	return strings.TrimSpace(p.Primary.Text) == strings.TrimSpace(p.Copy.Text) &&
		slices.EqualFunc(p.Primary.ToolCalls, p.Copy.ToolCalls, ToolCall.equal) &&
		p.Primary.FinishReason == p.Copy.FinishReason
}

// Answer is a complete answer of a model, streamed or not.
type Answer struct {
	ID, Arm string
	// Text is what the model has said, without its reasoning; ToolCalls are the
	// tools that it calls. They are empty where the form of the answer is none that
	// the package comment names; Body is the answer as it came.
	Text         string
	ToolCalls    []ToolCall
	FinishReason string // as sent: "stop", "length", "tool_calls", "end_turn", ...
	Body         []byte
	// Observation is what was measured.
	Observation analysis.Observation
}

// ToolCall is a call of a tool. Arguments are JSON, as sent.
type ToolCall struct{ Name, Arguments string }

func (c ToolCall) equal(d ToolCall) bool {
	return c.Name == d.Name && (c.Arguments == d.Arguments || compact(c.Arguments) == compact(d.Arguments))
}

func compact(s string) string {
	var b bytes.Buffer
	if json.Compact(&b, []byte(s)) != nil {
		return s
	}
	return b.String()
}

// keeper keeps an answer that is to be compared, up to its limit. The zero keeper
// keeps nothing.
type keeper struct {
	limit  int
	body   []byte
	form   form
	spoilt bool // not the answer, or not all of it
}

func (k *keeper) kind(h http.Header) {
	k.form = formOf(h.Get("Content-Type"))
}

func (k *keeper) add(p []byte) {
	if k.limit == 0 || k.spoilt {
		return
	}
	if k.spoilt = len(k.body)+len(p) > k.limit; !k.spoilt {
		k.body = append(k.body, p...)
	}
}

// answer returns what was kept, or the zero Answer if there is nothing that could
// be compared.
func (k *keeper) answer(o analysis.Observation, s sse.Stream) Answer {
	if k.limit == 0 || k.spoilt || o.Class != analysis.OK && o.Class != analysis.Refused && o.Class != analysis.Empty {
		return Answer{}
	}
	a := Answer{ID: o.ID, Arm: o.Arm, FinishReason: s.FinishReason, Body: k.body, Observation: o}
	var t transcript
	switch k.form {
	case eventStream:
		for line := range bytes.Lines(k.body) {
			if data, ok := bytes.CutPrefix(line, []byte("data:")); ok {
				t.read(bytes.TrimSpace(data))
			}
		}
	case jsonLines:
		for line := range bytes.Lines(k.body) {
			t.read(line)
		}
	default:
		t.read(k.body)
	}
	a.Text, a.ToolCalls = t.text.String(), t.calls
	return a
}

// transcript gathers what a model says, from the events of a stream or from one
// document, in the forms of OpenAI's chats, completions and responses, of
// Anthropic's messages and of Ollama.
type transcript struct {
	text  strings.Builder
	calls []ToolCall
	at    map[int]int // where in calls the one is that an event names by its index
}

type message struct {
	Content   json.RawMessage // a string, or parts
	ToolCalls []struct {
		Index    *int
		Function struct {
			Name      string
			Arguments json.RawMessage // a string, or an object
		}
	} `json:"tool_calls"`
}

type part struct {
	Type, Text, Name string
	Arguments        string          // of a function_call of a response
	Input            json.RawMessage // of a tool_use of a message
	Content          []part          // of an item of a response
}

type document struct {
	Type    string
	Choices []struct {
		Text           string
		Delta, Message message
	}
	Delta        json.RawMessage // a string in responses, an object in messages
	Index        int
	OutputIndex  int  `json:"output_index"`
	Item         part // of a response's event
	ContentBlock part `json:"content_block"`
	Content      json.RawMessage
	Output       []part

	Message, Response json.RawMessage // of Ollama; others put other things there
}

// read takes one event, or a whole document. What is not JSON says nothing.
func (t *transcript) read(data []byte) {
	var d document
	if json.Unmarshal(data, &d) != nil {
		return
	}
	for _, c := range d.Choices {
		t.text.WriteString(c.Text)
		t.message(c.Delta)
		t.message(c.Message)
	}
	switch d.Type {
	case "content_block_start":
		if d.ContentBlock.Type == "tool_use" {
			t.call(d.Index, d.ContentBlock.Name, "")
		}
	case "content_block_delta":
		var delta struct {
			Text        string
			PartialJSON string `json:"partial_json"`
		}
		_ = json.Unmarshal(d.Delta, &delta) // of another kind, which says nothing
		t.text.WriteString(delta.Text)
		if delta.PartialJSON != "" {
			t.call(d.Index, "", delta.PartialJSON)
		}
	case "response.output_text.delta":
		var text string
		_ = json.Unmarshal(d.Delta, &text)
		t.text.WriteString(text)
	case "response.output_item.done":
		if d.Item.Type == "function_call" {
			t.call(d.OutputIndex, d.Item.Name, d.Item.Arguments)
		}
	case "message", "":
		t.content(d.Content)
		t.content(d.Response)
		var m message
		if json.Unmarshal(d.Message, &m) == nil {
			t.message(m)
		}
		for _, item := range d.Output {
			t.parts(append(item.Content, item))
		}
	}
}

func (t *transcript) message(m message) {
	t.content(m.Content)
	for i, c := range m.ToolCalls {
		if c.Index != nil {
			i = *c.Index
		}
		arguments := ""
		if raw := c.Function.Arguments; json.Unmarshal(raw, &arguments) != nil {
			arguments = string(raw) // an object
		}
		t.call(i, c.Function.Name, arguments)
	}
}

// content takes a text, or parts of an answer.
func (t *transcript) content(raw json.RawMessage) {
	var text string
	var parts []part
	if json.Unmarshal(raw, &text) == nil {
		t.text.WriteString(text)
	} else if json.Unmarshal(raw, &parts) == nil {
		t.parts(parts)
	}
}

func (t *transcript) parts(parts []part) {
	for _, p := range parts {
		switch p.Type {
		case "text", "output_text":
			t.text.WriteString(p.Text)
		case "tool_use":
			t.calls = append(t.calls, ToolCall{p.Name, string(p.Input)})
		case "function_call":
			t.calls = append(t.calls, ToolCall{p.Name, p.Arguments})
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
	t.calls[i].Arguments += arguments
}
