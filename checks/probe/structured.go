package probe

import (
	"encoding/json"
	"fmt"
	"maps"
	"math"
	"slices"
	"strings"

	"github.com/serin-go/serin/checks"
)

// types are the JSON types that members may have.
var types = []string{"string", "number", "integer", "boolean", "array", "object"}

// JSONModeOptions configures [JSONMode].
type JSONModeOptions struct {
	// Prompt is what is asked. Default: the capital of France and its population in
	// millions.
	Prompt string
	// Members are the members of the wanted object with their JSON types: string, number,
	// integer, boolean, array or object. All are required, and no others are accepted.
	// Default: {"capital": "string", "population": "number"}. It is required with Prompt.
	Members map[string]string
	// MaxTokens limits the answer. Default 64.
	MaxTokens int
}

// JSONMode returns a check that a model keeps to a JSON schema (response_format with
// json_schema). The answer must be one object with all members of the wanted types.
// Evidence: as for [Completion].
func JSONMode(e Endpoint, o JSONModeOptions) checks.Check {
	bad := &invalid{}
	u := e.invalid(bad, "/v1/chat/completions")
	bad.options = "JSONModeOptions"
	if o.Prompt == "" && o.Members == nil {
		o.Prompt = "What is the capital of France, and how many million people live there? Answer in JSON."
		o.Members = map[string]string{"capital": "string", "population": "number"}
	}
	if o.Prompt == "" {
		bad.add("Prompt", o.Prompt, "a prompt, since Members is set")
	}
	o.Members = maps.Clone(o.Members)
	o.MaxTokens = bad.members(o.Members, o.MaxTokens)
	return e.check("JSON mode", bad, u, o, func(send func(map[string]any) (*reply, *checks.Result)) checks.Result {
		r, end := send(map[string]any{
			"max_tokens": o.MaxTokens, "temperature": 0, "messages": user(o.Prompt),
			"response_format": map[string]any{"type": "json_schema", "json_schema": map[string]any{
				"name": "probe", "strict": true, "schema": schema(o.Members),
			}},
		})
		if end != nil {
			return *end
		}
		said := r.text()
		r.evidence["finish"] = fmt.Sprintf("%.40s", said.Finish)
		if why := conforms(said.Content, o.Members); why != "" {
			return r.fail("%s does not keep to a JSON schema: %s", e.Model, why)
		}
		return checks.Result{Status: checks.Pass, Summary: e.Model + " keeps to a JSON schema", Evidence: r.evidence}
	})
}

// ToolCallOptions configures [ToolCall].
type ToolCallOptions struct {
	// Prompt is what is asked. Default: the weather in Paris.
	Prompt string
	// Tool is the name of the tool that is offered and must be called. Default
	// get_weather.
	Tool string
	// Arguments are the arguments of the tool with their JSON types, as in
	// [JSONModeOptions.Members]. Default {"city": "string"}. It is required with Prompt or
	// Tool.
	Arguments map[string]string
	// MaxTokens limits the answer. Default 64.
	MaxTokens int
}

// ToolCall returns a check that a model calls a tool that is offered, once, with arguments
// that keep to its schema. Evidence: as for [Completion].
func ToolCall(e Endpoint, o ToolCallOptions) checks.Check {
	bad := &invalid{}
	u := e.invalid(bad, "/v1/chat/completions")
	bad.options = "ToolCallOptions"
	if o.Prompt == "" && o.Tool == "" && o.Arguments == nil {
		o.Prompt, o.Tool, o.Arguments = "What is the weather in Paris?", "get_weather", map[string]string{"city": "string"}
	}
	if o.Prompt == "" {
		bad.add("Prompt", o.Prompt, "a prompt, since Tool or Arguments is set")
	}
	if o.Tool == "" || strings.Trim(o.Tool, "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789_-") != "" || len(o.Tool) > 64 {
		bad.add("Tool", o.Tool, "a name of 1 to 64 letters, digits, underscores and hyphens")
	}
	o.Arguments = maps.Clone(o.Arguments)
	o.MaxTokens = bad.members(o.Arguments, o.MaxTokens)
	return e.check("tool call", bad, u, o, func(send func(map[string]any) (*reply, *checks.Result)) checks.Result {
		r, end := send(map[string]any{
			"max_tokens": o.MaxTokens, "temperature": 0, "messages": user(o.Prompt),
			"tools": []any{map[string]any{"type": "function", "function": map[string]any{
				"name": o.Tool, "parameters": schema(o.Arguments),
			}}},
		})
		if end != nil {
			return *end
		}
		said := r.text()
		r.evidence["finish"] = fmt.Sprintf("%.40s", said.Finish)
		if len(said.ToolCalls) != 1 {
			return r.fail("%s calls %d tools, want 1", e.Model, len(said.ToolCalls))
		}
		call := said.ToolCalls[0]
		if call.Name != o.Tool {
			return r.fail("%s calls the tool %.100q, want %q", e.Model, call.Name, o.Tool)
		}
		if why := conforms(call.Arguments, o.Arguments); why != "" {
			return r.fail("%s calls %s with arguments that do not keep to its schema: %s", e.Model, o.Tool, why)
		}
		return checks.Result{Status: checks.Pass, Summary: e.Model + " calls a tool", Evidence: r.evidence}
	})
}

// members refuses members of unknown types, and returns the limit of tokens.
func (v *invalid) members(members map[string]string, tokens int) int {
	field := "Members"
	if v.options == "ToolCallOptions" {
		field = "Arguments"
	}
	if len(members) == 0 {
		v.add(field, "empty", "at least one name with its type")
	}
	for _, name := range slices.Sorted(maps.Keys(members)) {
		if !slices.Contains(types, members[name]) {
			v.add(fmt.Sprintf("%s[%q]", field, name), members[name], strings.Join(types, ", "))
		}
	}
	if tokens < 0 {
		v.add("MaxTokens", tokens, "a positive number, or 0 for the default")
	}
	if tokens == 0 {
		return 64
	}
	return tokens
}

// schema is the JSON schema of an object with these members.
func schema(members map[string]string) map[string]any {
	properties := make(map[string]any, len(members))
	for name, typ := range members {
		properties[name] = map[string]any{"type": typ}
	}
	return map[string]any{
		"type": "object", "properties": properties,
		"required": slices.Sorted(maps.Keys(members)), "additionalProperties": false,
	}
}

// conforms says why a text is not an object with these members, or "".
func conforms(text string, members map[string]string) string {
	v, err := decode([]byte(text))
	if err != nil {
		return "it is not JSON: " + err.Error()
	}
	object, ok := v.(map[string]any)
	if !ok {
		return "it is not an object"
	}
	for _, name := range slices.Sorted(maps.Keys(members)) {
		if have, want := typeOf(object[name]), members[name]; have != want && !(want == "number" && have == "integer") {
			return fmt.Sprintf("%q is %s, want %s", name, have, want)
		}
	}
	for _, name := range slices.Sorted(maps.Keys(object)) {
		if _, ok := members[name]; !ok {
			return fmt.Sprintf("%.40q is not in the schema", name)
		}
	}
	return ""
}

// typeOf is the JSON type of a decoded value; "null" also for a missing one.
func typeOf(v any) string {
	switch v := v.(type) {
	case string:
		return "string"
	case bool:
		return "boolean"
	case []any:
		return "array"
	case map[string]any:
		return "object"
	case json.Number:
		if f, err := v.Float64(); err == nil && f == math.Trunc(f) {
			return "integer"
		}
		return "number"
	}
	return "null"
}
