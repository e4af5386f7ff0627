package workload

import (
	"bufio"
	"cmp"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"reflect"
	"strings"
)

// Prompt is the prompt of one request: the messages of a chat.
type Prompt struct {
	Messages []Message `json:"messages"`
	// ExtraBody has further members of the request's body, such as "temperature",
	// "ignore_eos", "tools" or "model". They replace what the plan says.
	ExtraBody map[string]json.RawMessage `json:"extra_body,omitempty"`
}

// Ask returns a prompt of one message with the role "user".
func Ask(text string) Prompt {
	return Prompt{Messages: []Message{{Role: "user", Content: text}}}
}

// Conversation is a conversation of one user in several turns. A user sends each
// turn after the answer to the previous one, with all earlier turns and answers.
// If an answer fails or has no text, the conversation ends early and the report
// counts it.
type Conversation struct {
	// System is the text of the first message, with the role "system". If empty, the
	// conversation begins with a turn.
	System string   `json:"system,omitempty"`
	Turns  []string `json:"turns"`
	// ExtraBody has further members of the body of each request, as in [Prompt].
	ExtraBody map[string]json.RawMessage `json:"extra_body,omitempty"`
}

// Validate returns an error that joins a [*checks.InvalidError] for each empty turn, one
// if c has no turns, and one for each member of ExtraBody that cannot be sent.
func (c Conversation) Validate() error {
	errs := []error{ValidateExtraBody("Conversation.ExtraBody", c.ExtraBody)}
	if len(c.Turns) == 0 {
		errs = append(errs, invalid("Conversation.Turns", "[]", "at least one turn"))
	}
	for i, turn := range c.Turns {
		if turn == "" {
			errs = append(errs, invalid(fmt.Sprintf("Conversation.Turns[%d]", i), turn, "a text"))
		}
	}
	return errors.Join(errs...)
}

// maxLine is the length in bytes of the longest line of a file.
const maxLine = 16 << 20

// LineError reports a line of a file that cannot be used.
type LineError struct {
	File string // "prompts", "trace" or "targets"
	Line int    // from 1
	Err  error
}

func (e *LineError) Error() string {
	problem := strings.TrimPrefix(e.Err.Error(), "workload: ")
	problem = strings.ReplaceAll(problem, "\nworkload: ", "; ")
	return fmt.Sprintf("workload: %s: line %d: %s", e.File, e.Line, problem)
}

// Unwrap returns Err.
func (e *LineError) Unwrap() error { return e.Err }

// ReadPrompts reads prompts from JSON lines. Each line is an object in one of
// these forms. Empty lines are ignored.
//
//	{"prompt": "What is light?"}
//	{"messages": [{"role": "user", "content": "What is light?"}]}
//	{"turns": ["What is light?", "And heat?"]}
//
// The last is the form of MT-bench. ReadPrompts takes only its first turn, since
// the others need an answer; see [ReadConversations].
//
// Other members that are parameters of a request, such as "temperature", "min_tokens",
// "ignore_eos", "tools", "response_format" and "model", are sent with it in place of what
// the plan says. A parameter of a wrong type is an error, as is more than one limit of
// the output tokens. The members of an object "extra_body" are sent too, whatever they
// are. Columns of data sets, such as "id" and "category", are ignored. Any other member
// is an error.
//
// The error joins a [*LineError] for each line that cannot be used. A file
// without prompts is an error.
func ReadPrompts(r io.Reader) ([]Prompt, error) { return readLines(r, parsePrompt) }

// ReadConversations reads the same files as [ReadPrompts] with all turns: the
// turns of "turns", or the user's messages in "messages" with the first system
// message. It leaves out the assistant's messages, because in a load test the
// answers come from the server under test.
func ReadConversations(r io.Reader) ([]Conversation, error) { return readLines(r, parseConversation) }

func readLines[T any](r io.Reader, parse func(line []byte) (T, error)) ([]T, error) {
	var all []T
	var errs []error
	lines := bufio.NewScanner(withoutMark(r))
	lines.Buffer(nil, maxLine)
	n := 0
	for lines.Scan() {
		n++
		if len(lines.Bytes()) == 0 {
			continue
		}
		v, err := parse(lines.Bytes())
		if err != nil {
			errs = append(errs, &LineError{"prompts", n, err})
			continue
		}
		all = append(all, v)
	}
	if err := lines.Err(); err != nil {
		errs = append(errs, &LineError{"prompts", n + 1, err})
	}
	if len(all) == 0 && len(errs) == 0 {
		errs = append(errs, errors.New("workload: prompts: the file is empty"))
	}
	if len(errs) > 0 {
		return nil, errors.Join(errs...)
	}
	return all, nil
}

// withoutMark returns a reader of r without a byte order mark.
func withoutMark(r io.Reader) *bufio.Reader {
	in := bufio.NewReader(r)
	if mark, _ := in.Peek(3); string(mark) == "\ufeff" {
		_, _ = in.Discard(len(mark)) // they were read
	}
	return in
}

func parseConversation(line []byte) (Conversation, error) {
	var entry struct {
		Turns []string `json:"turns"`
	}
	p, err := parsePrompt(line)
	if err != nil {
		return Conversation{}, err
	}
	if err := json.Unmarshal(line, &entry); err != nil {
		return Conversation{}, err
	}
	c := Conversation{Turns: entry.Turns, ExtraBody: p.ExtraBody}
	if c.Turns == nil {
		for i, m := range p.Messages {
			if m.Parts != nil || m.Other != nil {
				return Conversation{}, fmt.Errorf("messages[%d] has more than a text, want texts only in a conversation", i)
			}
			switch {
			case m.Role == "user":
				c.Turns = append(c.Turns, m.Content)
			case m.Role == "assistant":
			case c.System == "" && (m.Role == "system" || m.Role == "developer"):
				c.System = m.Content
			default:
				return Conversation{}, fmt.Errorf("messages[%d] has the role %.64q, want user, assistant, and once system", i, m.Role)
			}
		}
	}
	return c, c.Validate()
}

// mismatched returns a [*checks.InvalidError] in place of an error of a type of JSON.
func mismatched(err error) error {
	var e *json.UnmarshalTypeError
	if !errors.As(err, &e) {
		return err
	}
	return invalid(cmp.Or(e.Field, "line"), "a "+e.Value, kindWanted(e))
}

// kindWanted returns the type of JSON that was wanted in place of another.
func kindWanted(e *json.UnmarshalTypeError) string {
	switch e.Type.Kind() {
	case reflect.String:
		return "a text"
	case reflect.Slice, reflect.Array:
		return "an array"
	case reflect.Struct, reflect.Map:
		return "an object"
	case reflect.Bool:
		return "true or false"
	case reflect.Int, reflect.Int64:
		return "an integer"
	}
	return "a number"
}

func parsePrompt(line []byte) (Prompt, error) {
	var members map[string]json.RawMessage
	if err := json.Unmarshal(line, &members); err != nil {
		return Prompt{}, mismatched(err)
	}
	var entry struct {
		Prompt   *string   `json:"prompt"`
		Messages []Message `json:"messages"`
		Turns    []string  `json:"turns"`
	}
	if err := json.Unmarshal(line, &entry); err != nil {
		return Prompt{}, mismatched(err)
	}
	var found []Prompt
	if entry.Prompt != nil {
		found = append(found, Ask(*entry.Prompt))
	}
	if entry.Messages != nil {
		found = append(found, Prompt{Messages: entry.Messages})
	}
	if entry.Turns != nil {
		p := Prompt{}
		if len(entry.Turns) > 0 {
			p = Ask(entry.Turns[0])
		}
		found = append(found, p)
	}
	if len(found) != 1 {
		return Prompt{}, fmt.Errorf(`%d of "prompt", "messages" and "turns", want exactly one`, len(found))
	}
	var err error
	if found[0].ExtraBody, err = extraBody(members, "prompt", "messages", "turns"); err != nil {
		return Prompt{}, err
	}
	return found[0], found[0].Validate()
}

// Validate returns an error that joins a [*checks.InvalidError] for each message without a
// role or content, one if p has no messages, and one for each member of ExtraBody that
// is not JSON or would replace the messages.
func (p Prompt) Validate() error { return p.validate("Prompt") }

func (p Prompt) validate(field string) error {
	var errs []error
	if len(p.Messages) == 0 {
		errs = append(errs, invalid(field+".Messages", "[]", "at least one message"))
	}
	for i, m := range p.Messages {
		errs = append(errs, m.validate(fmt.Sprintf("%s.Messages[%d]", field, i)))
	}
	return errors.Join(append(errs, ValidateExtraBody(field+".ExtraBody", p.ExtraBody))...)
}
