package loadtest

import (
	"bufio"
	"encoding/json"
	"errors"
	"fmt"
	"io"
)

// Prompt is what one request asks: the messages of a chat.
type Prompt struct {
	Messages []Message `json:"messages"`
}

// IsZero reports whether p has no messages.
func (p Prompt) IsZero() bool { return len(p.Messages) == 0 }

// Message is one message of a chat.
type Message struct {
	// Role is "system", "user", "assistant" or what else the server knows.
	Role string `json:"role"`
	// Content is the text.
	Content string `json:"content"`
}

// Ask returns the prompt that consists of one message by the user.
func Ask(text string) Prompt {
	return Prompt{Messages: []Message{{Role: "user", Content: text}}}
}

// maxLine is the length in bytes of the longest line that [ReadPrompts] reads.
const maxLine = 16 << 20

// LineError says which line of a file of prompts cannot be used, and why.
type LineError struct {
	Line int // from 1
	Err  error
}

func (e *LineError) Error() string {
	return fmt.Sprintf("loadtest: prompts, line %d: %v", e.Line, e.Err)
}

// Unwrap returns the reason.
func (e *LineError) Unwrap() error { return e.Err }

// ReadPrompts reads prompts from JSON lines, one object a line, in any of these
// forms; other members are ignored, and so are empty lines:
//
//	{"prompt": "What is light?"}
//	{"messages": [{"role": "user", "content": "What is light?"}]}
//	{"turns": ["What is light?", "And heat?"]}
//
// The last is the form of MT-bench. Of its turns only the first is asked, as a
// later one needs the answer to the one before: see [ReadConversations].
//
// The error joins a [*LineError] for each line that cannot be used. A file
// without any prompt is an error too.
func ReadPrompts(r io.Reader) ([]Prompt, error) { return readLines(r, parsePrompt) }

// ReadConversations reads the same files as [ReadPrompts], with all turns: those
// of "turns", or of "messages" the ones of the user, after the first one of the
// system. The answers of an assistant in the file are left out: each user hears
// what the server under test says.
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
			errs = append(errs, &LineError{n, err})
			continue
		}
		all = append(all, v)
	}
	if err := lines.Err(); err != nil {
		errs = append(errs, &LineError{n + 1, err})
	}
	if len(all) == 0 && len(errs) == 0 {
		errs = append(errs, errors.New("loadtest: there are no prompts"))
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
	return c, c.check()
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
	return found[0], found[0].check()
}

// check returns the first thing that makes p unfit to be sent.
func (p Prompt) check() error {
	if len(p.Messages) == 0 {
		return errors.New("no messages, want at least one")
	}
	for i, m := range p.Messages {
		if m.Role == "" {
			return fmt.Errorf("message %d has no role", i+1)
		}
		if m.Content == "" {
			return fmt.Errorf("message %d has no content", i+1)
		}
	}
	return nil
}
