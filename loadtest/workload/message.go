package workload

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"
)

// Message is one message of a chat. Its JSON has the form of the chat completions API.
type Message struct {
	// Role is "system", "user", "assistant", "tool" or another role of the server.
	Role string
	// Content is the text.
	Content string
	// Parts is the content as a JSON array of objects with a "type": texts, images,
	// audio and what else the server knows. If set, Content is empty. It is sent as
	// it is.
	Parts json.RawMessage
	// Other has further members, such as "tool_calls", "tool_call_id" and "name". They
	// are sent as they are. A message with "tool_calls" may have no content.
	Other map[string]json.RawMessage
}

// MarshalJSON implements [json.Marshaler].
func (m Message) MarshalJSON() ([]byte, error) {
	if m.Parts == nil && len(m.Other) == 0 {
		return json.Marshal(struct {
			Role    string `json:"role"`
			Content string `json:"content"`
		}{m.Role, m.Content})
	}
	all := make(map[string]any, len(m.Other)+2)
	for name, value := range m.Other {
		all[name] = value
	}
	all["role"], all["content"] = m.Role, m.Content
	switch {
	case m.Parts != nil:
		all["content"] = m.Parts
	case m.Content == "":
		all["content"] = nil
	}
	return json.Marshal(all)
}

// UnmarshalJSON implements [json.Unmarshaler].
func (m *Message) UnmarshalJSON(data []byte) error {
	var members map[string]json.RawMessage
	if err := json.Unmarshal(data, &members); err != nil {
		return err
	}
	*m = Message{}
	for name, value := range members {
		var err error
		switch {
		case name == "role":
			err = json.Unmarshal(value, &m.Role)
		case name == "content" && bytes.HasPrefix(value, []byte("[")):
			m.Parts, err = slices.Clone(value), validateParts(value)
		case name == "content":
			err = json.Unmarshal(value, &m.Content)
		default:
			if m.Other == nil {
				m.Other = make(map[string]json.RawMessage)
			}
			m.Other[name] = slices.Clone(value)
		}
		if err != nil {
			return fmt.Errorf("%s: %w", name, err)
		}
	}
	return nil
}

func validateParts(parts json.RawMessage) error {
	var all []struct {
		Type string `json:"type"`
	}
	if err := json.Unmarshal(parts, &all); err != nil {
		return err
	}
	if len(all) == 0 {
		return errors.New("an empty array, want at least one part")
	}
	for i, part := range all {
		if part.Type == "" {
			return fmt.Errorf("part %d has no type, want a type such as text or image_url", i)
		}
	}
	return nil
}

func (m Message) validate(field string) error {
	var errs []error
	if m.Role == "" {
		errs = append(errs, invalid(field+".Role", m.Role, "a role such as user"))
	}
	switch {
	case m.Parts != nil && m.Content != "":
		errs = append(errs, invalid(field+".Content", m.Content, "no text beside Parts"))
	case m.Parts != nil:
		if err := validateParts(m.Parts); err != nil {
			errs = append(errs, invalid(field+".Parts", brief(m.Parts), "a JSON array of objects with a type: "+err.Error()))
		}
	case m.Content == "" && m.Other["tool_calls"] == nil && m.Other["function_call"] == nil:
		errs = append(errs, invalid(field+".Content", m.Content, "a text"))
	}
	for _, name := range slices.Sorted(maps.Keys(m.Other)) {
		if name == "role" || name == "content" || !json.Valid(m.Other[name]) {
			errs = append(errs, invalid(fmt.Sprintf("%s.Other[%q]", field, name), brief(m.Other[name]), "JSON of a member other than role and content"))
		}
	}
	return errors.Join(errs...)
}

// Text returns the text of m: Content, or the texts of Parts with line ends between
// them.
func (m Message) Text() string {
	if m.Parts == nil {
		return m.Content
	}
	var parts []struct {
		Text string `json:"text"`
	}
	if json.Unmarshal(m.Parts, &parts) != nil {
		return ""
	}
	var texts []string
	for _, part := range parts {
		if part.Text != "" {
			texts = append(texts, part.Text)
		}
	}
	return strings.Join(texts, "\n")
}

// brief returns the beginning of a value for an error.
func brief(value json.RawMessage) string { return string(value[:min(len(value), 64)]) }
