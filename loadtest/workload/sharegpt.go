package workload

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"maps"
	"slices"
	"strings"

	"github.com/serin-go/serin/internal/units"
)

// ShareGPT has the conversations of a data set in the format of ShareGPT, and the numbers
// of those that were left out.
type ShareGPT struct {
	// Conversations have the turns of the users.
	Conversations []Conversation
	// Requests have the first turn of each conversation as prompt, with as many output
	// tokens as the recorded answer has. The system message, if there is one, comes first.
	Requests Requests
	// Skipped has the number of conversations that were left out, by reason.
	Skipped map[string]int
	// Cut is the number of Conversations without their last turns, which would have been
	// beyond MaxTotal.
	Cut int
}

// Reasons why a conversation is left out; see [ReadShareGPT].
const (
	skipShort   = "fewer than two messages"
	skipRole    = "an unknown role"
	skipText    = "a message without text"
	skipOrder   = "messages that are not from user and assistant in turn"
	skipTooFew  = "fewer tokens than MinTokens"
	skipTooMany = "more tokens than MaxInput or MaxTotal"
)

// ShareGPTOptions are the limits of conversations.
type ShareGPTOptions struct {
	// MinTokens is the smallest number of tokens of the first prompt and of its answer.
	// Default 4.
	MinTokens int
	// MaxInput is the largest number of tokens of the first prompt. Default 1,024.
	MaxInput int
	// MaxTotal is the largest number of tokens of a conversation with its answers. The
	// first turn must fit. Default 2,048.
	MaxTotal int
	// Tokenizer returns the number of tokens of a text. If nil, four bytes count as one
	// token, and a text has at least one.
	Tokenizer func(text string) int
}

// Validate returns an error that joins a [*checks.InvalidError] for each invalid field.
func (o ShareGPTOptions) Validate() error {
	var errs []error
	for _, f := range []struct {
		field string
		value int
	}{{"MinTokens", o.MinTokens}, {"MaxInput", o.MaxInput}, {"MaxTotal", o.MaxTotal}} {
		if f.value < 0 || f.value > maxLength {
			errs = append(errs, invalid("ShareGPTOptions."+f.field, f.value, "0 to 1,048,576 tokens"))
		}
	}
	return errors.Join(errs...)
}

func (o ShareGPTOptions) withDefaults() ShareGPTOptions {
	for _, f := range []struct {
		value    *int
		fallback int
	}{{&o.MinTokens, 4}, {&o.MaxInput, 1024}, {&o.MaxTotal, 2048}} {
		if *f.value == 0 {
			*f.value = f.fallback
		}
	}
	if o.Tokenizer == nil {
		o.Tokenizer = func(text string) int { return (len(text) + 3) / 4 }
	}
	return o
}

// shareGPTEntry is one conversation of a data set.
type shareGPTEntry struct {
	Conversations *[]struct {
		From  string `json:"from"`
		Value string `json:"value"`
	} `json:"conversations"`
}

// maxShareGPTErrors is the number of bad conversations after which reading stops.
const maxShareGPTErrors = 20

// ReadShareGPT reads a JSON array of conversations:
//
//	[{"id": "a", "conversations": [{"from": "human", "value": "What is light?"}, {"from": "gpt", "value": "A wave."}]}]
//
// It decodes one conversation after another. Other members of a conversation are not
// used. These conversations are left out, as in the benchmark of vLLM, and counted in
// Skipped:
//
//   - fewer than two messages after a system message;
//   - a message that is not from human, user, gpt, assistant, chatgpt, bing, bard or
//     system, or has no text;
//   - messages that are not from the user and the assistant in turn, with the user first,
//     after at most one system message;
//   - a first prompt or a first answer that is shorter or longer than the limits of o.
//
// A conversation that becomes longer than MaxTotal keeps the turns before, and counts in
// Cut. The error joins one for each of the first 20 conversations with a member of a wrong
// type. If no conversation is left, that is an error as well.
func ReadShareGPT(r io.Reader, o ShareGPTOptions) (*ShareGPT, error) {
	if err := o.Validate(); err != nil {
		return nil, err
	}
	o = o.withDefaults()
	d := json.NewDecoder(withoutMark(r))
	start, err := d.Token()
	if err != nil {
		return nil, fmt.Errorf("workload: ShareGPT: %w", err)
	}
	if start != json.Delim('[') {
		return nil, fmt.Errorf("workload: ShareGPT: begins with %v, want a JSON array of conversations", start)
	}
	s := &ShareGPT{Skipped: make(map[string]int)}
	var errs []error
	for i := 0; d.More() && len(errs) < maxShareGPTErrors; i++ {
		var entry shareGPTEntry
		err := d.Decode(&entry)
		var mismatch *json.UnmarshalTypeError
		switch {
		case errors.As(err, &mismatch):
			errs = append(errs, invalid(strings.TrimSuffix(fmt.Sprintf("ShareGPT[%d].%s", i, mismatch.Field), "."), "a "+mismatch.Value, kindWanted(mismatch)))
			continue
		case err != nil: // the rest cannot be read
			return nil, errors.Join(append(errs, fmt.Errorf("workload: ShareGPT[%d]: %w", i, err))...)
		case entry.Conversations == nil:
			errs = append(errs, invalid(fmt.Sprintf("ShareGPT[%d].conversations", i), "missing", "an array of messages with from and value"))
			continue
		}
		s.add(entry, o)
	}
	if len(errs) > 0 {
		return nil, errors.Join(errs...)
	}
	if _, err := d.Token(); err != nil {
		return nil, fmt.Errorf("workload: ShareGPT: after %d conversations: %w", s.read(), err)
	}
	if _, err := d.Token(); !errors.Is(err, io.EOF) {
		return nil, fmt.Errorf("workload: ShareGPT: more text after the array of %d conversations", s.read())
	}
	if len(s.Conversations) == 0 {
		return nil, fmt.Errorf("workload: ShareGPT: no conversation can be used: %v", s)
	}
	return s, nil
}

// add adds a conversation or counts why it is left out.
func (s *ShareGPT) add(entry shareGPTEntry, o ShareGPTOptions) {
	c, request, cut, skip := entry.conversation(o)
	if skip != "" {
		s.Skipped[skip]++
		return
	}
	if cut {
		s.Cut++
	}
	s.Conversations, s.Requests = append(s.Conversations, c), append(s.Requests, request)
}

// conversation returns the conversation of an entry and its first request, or why it is
// left out.
func (e shareGPTEntry) conversation(o ShareGPTOptions) (c Conversation, first Request, cut bool, skip string) {
	var said []Message
	for _, m := range *e.Conversations {
		role := ""
		switch strings.ToLower(m.From) {
		case "human", "user":
			role = "user"
		case "gpt", "assistant", "chatgpt", "bing", "bard":
			role = "assistant"
		case "system":
			role = "system"
		default:
			return c, first, false, skipRole
		}
		if strings.TrimSpace(m.Value) == "" {
			return c, first, false, skipText
		}
		if role == "system" && len(said) == 0 && c.System == "" {
			c.System = m.Value
			continue
		}
		said = append(said, Message{Role: role, Content: m.Value})
	}
	if len(said) < 2 {
		return c, first, false, skipShort
	}
	for i, m := range said {
		if m.Role != []string{"user", "assistant"}[i%2] {
			return c, first, false, skipOrder
		}
	}
	total := 0
	for i, m := range said {
		n := o.Tokenizer(m.Content)
		total += n
		switch {
		case i < 2 && n < o.MinTokens:
			return c, first, false, skipTooFew
		case i == 0 && n > o.MaxInput, i < 2 && total > o.MaxTotal:
			return c, first, false, skipTooMany
		}
		if total > o.MaxTotal {
			cut = m.Role == "user" || i+1 < len(said)
			break
		}
		if i == 1 {
			first.MaxTokens = n
		}
		if m.Role == "user" {
			c.Turns = append(c.Turns, m.Content)
		}
	}
	if c.System != "" {
		first.Prompt.Messages = append(first.Prompt.Messages, Message{Role: "system", Content: c.System})
	}
	first.Prompt.Messages = append(first.Prompt.Messages, said[0])
	return c, first, cut, ""
}

// read returns the number of conversations that were read.
func (s *ShareGPT) read() int {
	n := len(s.Conversations)
	for _, skipped := range s.Skipped {
		n += skipped
	}
	return n
}

// String returns the numbers of conversations, used and left out.
func (s *ShareGPT) String() string {
	text := fmt.Sprintf("%s of %s conversations", units.Grouped(len(s.Conversations)), units.Grouped(s.read()))
	for i, reason := range slices.Sorted(maps.Keys(s.Skipped)) {
		text += fmt.Sprintf("%s %s with %s", []string{"; left out:", ","}[min(i, 1)], units.Grouped(s.Skipped[reason]), reason)
	}
	if s.Cut > 0 {
		text += fmt.Sprintf("; %s without their last turns", units.Grouped(s.Cut))
	}
	return text
}
