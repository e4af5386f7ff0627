package traffic

import (
	"bytes"
	"encoding/json"
	"slices"
	"strings"

	"github.com/serin-go/serin/checks/analysis"
	"github.com/serin-go/serin/checks/analysis/answer"
)

// Pair is one request with two answers: the one that its caller got, and that to
// its copy. Nothing in it must be changed.
type Pair struct {
	Unit          string
	Request       []byte // the body
	Primary, Copy Answer
}

// Same reports whether the two answers are equal: their texts without space at the
// ends, their tool calls with the arguments, and their finish reasons.
func (p Pair) Same() bool {
	return strings.TrimSpace(p.Primary.Text) == strings.TrimSpace(p.Copy.Text) &&
		slices.EqualFunc(p.Primary.ToolCalls, p.Copy.ToolCalls, sameCall) &&
		p.Primary.FinishReason == p.Copy.FinishReason
}

// Answer is a complete answer of a model, streamed or not.
type Answer struct {
	ID, Arm string
	// Text is what the model has said, without its reasoning; ToolCalls are the
	// tools that it calls. They are empty if the package comment does not name the
	// form of the answer; Body is the answer as it came.
	Text         string
	ToolCalls    []ToolCall
	FinishReason string // as sent: "stop", "length", "tool_calls", "end_turn", ...
	Body         []byte
	// Observation is what was measured.
	Observation analysis.Observation
}

// ToolCall is a call of a tool. Arguments are JSON, as sent.
type ToolCall = answer.ToolCall

func sameCall(c, d ToolCall) bool {
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
	spoilt bool // not the answer, or not all of it
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
func (k *keeper) answer(route answer.Route, o analysis.Observation, out answer.Outcome) Answer {
	if k.limit == 0 || k.spoilt || o.Class != analysis.OK && o.Class != analysis.Refused && o.Class != analysis.Empty {
		return Answer{}
	}
	text := answer.TextOf(route, out.Form, k.body)
	return Answer{
		ID: o.ID, Arm: o.Arm, Text: text.Content, ToolCalls: text.ToolCalls, FinishReason: out.Finish, Body: k.body, Observation: o,
	}
}
