package workload

import (
	"bufio"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"strings"
)

// Prompt is the prompt of one request: the messages of a chat.
type Prompt struct {
	Messages []Message `json:"messages"`
}

// Message is one message of a chat.
type Message struct {
	// Role is "system", "user", "assistant" or another role of the server.
	Role string `json:"role"`
	// Content is the text.
	Content string `json:"content"`
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
}

// Validate returns an error that joins a [*checks.InvalidError] for each empty turn, or one
// if c has no turns.
func (c Conversation) Validate() error {
	if len(c.Turns) == 0 {
		return invalid("Conversation.Turns", "[]", "at least one turn")
	}
	var errs []error
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
// these forms. Other members and empty lines are ignored.
//
//	{"prompt": "What is light?"}
//	{"messages": [{"role": "user", "content": "What is light?"}]}
//	{"turns": ["What is light?", "And heat?"]}
//
// The last is the form of MT-bench. ReadPrompts takes only its first turn, since
// the others need an answer; see [ReadConversations].
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
	lines := bufio.NewScanner(r)
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
	c := Conversation{Turns: entry.Turns}
	if c.Turns == nil {
		for _, m := range p.Messages {
			switch {
			case m.Role == "user":
				c.Turns = append(c.Turns, m.Content)
			case c.System == "" && m.Role != "assistant":
				c.System = m.Content
			}
		}
	}
	return c, c.Validate()
}

func parsePrompt(line []byte) (Prompt, error) {
	var entry struct {
		Prompt   *string   `json:"prompt"`
		Messages []Message `json:"messages"`
		Turns    []string  `json:"turns"`
	}
	if err := json.Unmarshal(line, &entry); err != nil {
		return Prompt{}, err
	}
	var found []Prompt
	if entry.Prompt != nil {
		found = append(found, Ask(*entry.Prompt))
	}
	if entry.Messages != nil {
		found = append(found, Prompt{entry.Messages})
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
	return found[0], found[0].Validate()
}

// Validate returns an error that joins a [*checks.InvalidError] for each message without a
// role or content, or one if p has no messages.
func (p Prompt) Validate() error {
	if len(p.Messages) == 0 {
		return invalid("Prompt.Messages", "[]", "at least one message")
	}
	var errs []error
	for i, m := range p.Messages {
		if m.Role == "" {
			errs = append(errs, invalid(fmt.Sprintf("Prompt.Messages[%d].Role", i), m.Role, "a role such as user"))
		}
		if m.Content == "" {
			errs = append(errs, invalid(fmt.Sprintf("Prompt.Messages[%d].Content", i), m.Content, "a text"))
		}
	}
	return errors.Join(errs...)
}
