package probe

import (
	"cmp"
	"fmt"
	"maps"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/serin-go/serin/checks"
)

// Turn is one question of a conversation, and what the answer must be.
type Turn struct {
	// Say is what the user says. It is required.
	Say string
	// Contains are texts that the answer must have, in any case of letters, and Lacks are
	// those that it must not have.
	Contains, Lacks []string
	// Matches is a regular expression (package regexp) that must match in the answer.
	Matches string
	// Members are the members of a JSON object, with their types, that the answer must be; see
	// [JSONModeOptions.Members].
	Members map[string]string
	// Tool is the name of the tool that must be called, and Result what the tool returns to
	// the model, which then answers again. Contains, Lacks, Matches and Members are about that
	// answer. Result is required except in the last turn. Without Tool, a call of a tool is a
	// Fail.
	Tool, Result string
	// MaxTime is the time limit of the answer. Default: the limit of the [Endpoint].
	MaxTime time.Duration
	// MaxOutput is the largest number of output tokens. Default: no limit.
	MaxOutput int
}

// ScriptOptions configures [Script].
type ScriptOptions struct {
	// Turns are the questions, each with all questions and answers before it. At least one is
	// required.
	Turns []Turn
	// System is the system message. Default: none.
	System string
	// Tools are the tools that the model may call, by name, with the types of their arguments;
	// see [ToolCallOptions.Arguments].
	Tools map[string]map[string]string
	// MaxTokens limits each answer. Default 256.
	MaxTokens int
}

// Script returns a check that a conversation goes as it should, end to end: through the router,
// with real answers. To speak to a candidate alone, give [Endpoint.Header] what a rule of the
// split looks at. Requests are sent at temperature 0. A Fail names the turn, counted from 1.
// Evidence: as for [Completion], of the last answer, and turns.
func Script(e Endpoint, o ScriptOptions) checks.Check {
	bad := &invalid{}
	u := e.invalid(bad, "/v1/chat/completions")
	bad.options = "ScriptOptions"
	patterns := o.check(bad)
	o.Turns, o.Tools = slices.Clone(o.Turns), maps.Clone(o.Tools)
	requests, usual := 0, cmp.Or(e.MaxTime, defaultTimeout)
	for _, t := range o.Turns {
		requests += 2 // the second after the result of a tool
		if t.MaxTime > cmp.Or(e.MaxTime, defaultTimeout) {
			e.MaxTime = t.MaxTime
		}
	}
	return e.checkOf("script", max(1, requests), bad, u, o, func(send func(map[string]any) (*reply, *checks.Result)) checks.Result {
		var messages []any
		if o.System != "" {
			messages = append(messages, map[string]any{"role": "system", "content": o.System})
		}
		var last *reply
		for i, t := range o.Turns {
			messages = append(messages, map[string]any{"role": "user", "content": t.Say})
			r, end := o.ask(send, &messages, t)
			if end == nil {
				if why := t.wrong(r, patterns[i], cmp.Or(t.MaxTime, usual)); why != "" {
					res := r.fail("%s", why)
					end = &res
				}
			}
			if end != nil {
				if end.Evidence != nil {
					end.Evidence["turns"] = strconv.Itoa(i)
				}
				end.Summary = fmt.Sprintf("turn %d, %.60q: %s", i+1, t.Say, end.Summary)
				return *end
			}
			last = r
			messages = append(messages, map[string]any{"role": "assistant", "content": r.text().Content})
		}
		last.evidence["turns"] = strconv.Itoa(len(o.Turns))
		return checks.Result{Status: checks.Pass, Summary: fmt.Sprintf("%s: all answers as expected, turns %d", e.Model, len(o.Turns)), Evidence: last.evidence}
	})
}

// check adds what is wrong with o, and returns the expressions of the turns.
func (o *ScriptOptions) check(bad *invalid) []*regexp.Regexp {
	if len(o.Turns) == 0 {
		bad.add("Turns", "empty", "at least one turn")
	}
	if o.MaxTokens < 0 {
		bad.add("MaxTokens", o.MaxTokens, "a positive number, or 0 for 256")
	}
	if o.MaxTokens == 0 {
		o.MaxTokens = 256
	}
	kinds := func(field string, members map[string]string) {
		for _, name := range slices.Sorted(maps.Keys(members)) {
			if !slices.Contains(types, members[name]) {
				bad.add(fmt.Sprintf("%s[%q]", field, name), members[name], strings.Join(types, ", "))
			}
		}
	}
	for _, name := range slices.Sorted(maps.Keys(o.Tools)) {
		kinds(fmt.Sprintf("Tools[%q]", name), o.Tools[name])
	}
	patterns := make([]*regexp.Regexp, len(o.Turns))
	for i, t := range o.Turns {
		field := fmt.Sprintf("Turns[%d].", i)
		if strings.TrimSpace(t.Say) == "" {
			bad.add(field+"Say", t.Say, "what the user says")
		}
		if p, err := regexp.Compile(t.Matches); err != nil {
			bad.add(field+"Matches", t.Matches, "a regular expression")
		} else {
			patterns[i] = p
		}
		if _, known := o.Tools[t.Tool]; t.Tool != "" && !known {
			bad.add(field+"Tool", t.Tool, "the name of one of Tools")
		}
		if t.Tool != "" && t.Result == "" && i < len(o.Turns)-1 {
			bad.add(field+"Result", t.Result, "what the tool returns, since the conversation goes on")
		}
		if t.Tool == "" && t.Result != "" {
			bad.add(field+"Result", t.Result, "no result, since no tool is called")
		}
		kinds(field+"Members", t.Members)
		bad.positive(field+"MaxTime", t.MaxTime)
		if t.MaxOutput < 0 {
			bad.add(field+"MaxOutput", t.MaxOutput, "a positive number, or 0 for no limit")
		}
		for _, list := range [][]string{t.Contains, t.Lacks} {
			if slices.Contains(list, "") {
				bad.add(field+"Contains", "", "texts that are not empty, also in Lacks")
			}
		}
	}
	return patterns
}

// ask asks one question, and gives the model the result of a tool that it must call. messages
// gets what was said in between.
func (o *ScriptOptions) ask(send func(map[string]any) (*reply, *checks.Result), messages *[]any, t Turn) (*reply, *checks.Result) {
	r, end := o.send(send, *messages)
	if end != nil || t.Tool == "" {
		return r, end
	}
	calls := r.text().ToolCalls
	if len(calls) != 1 || calls[0].Name != t.Tool {
		res := r.fail("the model calls %d tools, want a call of %s", len(calls), t.Tool)
		return nil, &res
	}
	if why := conforms(calls[0].Arguments, o.Tools[t.Tool]); why != "" {
		res := r.fail("the model calls %s with arguments that do not keep to its schema: %s", t.Tool, why)
		return nil, &res
	}
	if t.Result == "" {
		return r, nil
	}
	*messages = append(*messages,
		map[string]any{"role": "assistant", "tool_calls": []any{map[string]any{"id": "call_1", "type": "function",
			"function": map[string]any{"name": t.Tool, "arguments": calls[0].Arguments}}}},
		map[string]any{"role": "tool", "tool_call_id": "call_1", "content": t.Result})
	return o.send(send, *messages)
}

// send sends one request with a conversation.
func (o *ScriptOptions) send(send func(map[string]any) (*reply, *checks.Result), messages []any) (*reply, *checks.Result) {
	body := map[string]any{"max_tokens": o.MaxTokens, "temperature": 0, "messages": slices.Clone(messages)}
	if len(o.Tools) > 0 {
		var tools []any
		for _, name := range slices.Sorted(maps.Keys(o.Tools)) {
			tools = append(tools, map[string]any{"type": "function", "function": map[string]any{"name": name, "parameters": schema(o.Tools[name])}})
		}
		body["tools"] = tools
	}
	return send(body)
}

// wrong says what an answer lacks, or "".
func (t Turn) wrong(r *reply, pattern *regexp.Regexp, limit time.Duration) string {
	said := r.text()
	content, lower := said.Content, strings.ToLower(said.Content)
	if t.Tool == "" && len(said.ToolCalls) > 0 || t.Result != "" && len(said.ToolCalls) > 0 {
		return fmt.Sprintf("the model calls the tool %.60q", said.ToolCalls[0].Name)
	}
	for _, want := range t.Contains {
		if !strings.Contains(lower, strings.ToLower(want)) {
			return fmt.Sprintf("the answer %.100q does not have %q", content, want)
		}
	}
	for _, not := range t.Lacks {
		if strings.Contains(lower, strings.ToLower(not)) {
			return fmt.Sprintf("the answer %.100q has %q", content, not)
		}
	}
	took, err := strconv.ParseInt(r.evidence["milliseconds"], 10, 64)
	switch {
	case !pattern.MatchString(content):
		return fmt.Sprintf("the answer %.100q does not match %s", content, t.Matches)
	case err != nil || time.Duration(took)*time.Millisecond > limit:
		return fmt.Sprintf("the answer takes %d ms, want at most %v", took, limit)
	case t.MaxOutput > 0 && !r.Usage.Reported:
		return "the answer does not say how many tokens it has"
	case t.MaxOutput > 0 && r.Usage.Output > t.MaxOutput:
		return fmt.Sprintf("the answer has %d tokens, want at most %d", r.Usage.Output, t.MaxOutput)
	case len(t.Members) > 0:
		if why := conforms(content, t.Members); why != "" {
			return "the answer does not keep to its schema: " + why
		}
	case content == "" && len(said.ToolCalls) == 0:
		return "the answer is empty"
	}
	return ""
}
