package loadtest

import (
	"bytes"
	"encoding/json"
	"iter"
	"strings"
	"time"
)

// Recording is one stream as it arrived: its bytes, and how many of them had
// come by when.
type Recording struct {
	Body  []byte
	Reads []Read
	// Truncated says that the stream was longer than what is kept.
	Truncated bool
}

// Read is one read of a stream: At is the instant since the request was sent,
// Size the number of bytes. A Size of 0 is the end of the stream.
type Read struct {
	At   time.Duration `json:"at_ns"`
	Size int           `json:"size"`
}

// maxRecording is how many bytes of a stream are kept.
const maxRecording = 4 << 20

func (r *Recording) add(p []byte, at time.Duration, err error) {
	if len(r.Body)+len(p) > maxRecording {
		r.Truncated = true
	}
	if !r.Truncated && len(p) > 0 {
		r.Body = append(r.Body, p...)
		r.Reads = append(r.Reads, Read{at, len(p)})
	}
	if err != nil {
		r.Reads = append(r.Reads, Read{At: at})
	}
}

func (r Recording) end() *time.Duration {
	if len(r.Reads) == 0 {
		return nil
	}
	at := r.Reads[len(r.Reads)-1].At
	return &at
}

// moments decodes the events of r, and the number of output tokens.
func (r Recording) moments(tokens func(string) int) (all []moment, n int) {
	counted, reported := 0, 0
	for p, end := range r.pieces() {
		m, usage := p.moment(tokens)
		m.at = r.arrival(end)
		reported = max(reported, usage)
		counted += m.tokens
		all = append(all, m)
	}
	if reported > 0 {
		return all, reported
	}
	return all, counted
}

// eventEnd returns the length of the first event of b and of the empty line
// after it.
func eventEnd(b []byte) (length, sep int) {
	length = len(b)
	for _, s := range []string{"\n\n", "\r\n\r\n", "\r\r"} {
		if i := bytes.Index(b[:length], []byte(s)); i >= 0 {
			length, sep = i, len(s)
		}
	}
	return length, sep
}

// arrival returns when the byte before offset came.
func (r Recording) arrival(offset int) time.Duration {
	for _, read := range r.Reads {
		if offset -= read.Size; offset <= 0 {
			return read.At
		}
	}
	return *r.end()
}

// piece is one event of a stream, decoded as far as it is of interest.
type piece struct {
	Choices []struct {
		Text  string `json:"text"`
		Delta struct {
			Content          string            `json:"content"`
			Refusal          string            `json:"refusal"`
			Reasoning        string            `json:"reasoning"`
			ReasoningContent string            `json:"reasoning_content"`
			ToolCalls        []json.RawMessage `json:"tool_calls"`
		} `json:"delta"`
	} `json:"choices"`
	Usage *struct {
		CompletionTokens int `json:"completion_tokens"`
	} `json:"usage"`
	// Of the responses interface.
	Type  string          `json:"type"`
	Delta json.RawMessage `json:"delta"`
}

// pieces yields the events of r that can be read, and where each of them ends.
func (r Recording) pieces() iter.Seq2[piece, int] {
	return func(yield func(piece, int) bool) {
		for begin := 0; begin < len(r.Body); {
			length, sep := eventEnd(r.Body[begin:])
			p, ok := decodePiece(r.Body[begin : begin+length])
			begin += length + sep
			if ok && !yield(p, begin) {
				return
			}
		}
	}
}

func decodePiece(event []byte) (p piece, ok bool) {
	var data []byte
	for line := range bytes.Lines(event) {
		if rest, found := bytes.CutPrefix(bytes.TrimRight(line, "\r\n"), []byte("data:")); found {
			data = append(append(data, bytes.TrimPrefix(rest, []byte(" "))...), '\n')
		}
	}
	// Otherwise it is a comment, [DONE], or what no tool could read.
	return p, len(data) > 0 && json.Unmarshal(data, &p) == nil
}

// spoken returns the text of an event of the responses interface that is a part
// of the kind's text, such as output_text.
func (p piece) spoken(kind string) (text string) {
	if p.Type == "response."+kind+".delta" {
		_ = json.Unmarshal(p.Delta, &text) // or there is none
	}
	return text
}

// content returns the text of the answer itself.
func (p piece) content() string {
	text := p.spoken("output_text")
	for _, c := range p.Choices {
		text += c.Text + c.Delta.Content
	}
	return text
}

// Text returns the content of the answer, without reasoning.
func (r Recording) Text() string {
	var b strings.Builder
	for p := range r.pieces() {
		b.WriteString(p.content())
	}
	return b.String()
}

// texts returns the text of each chunk that bears any: content, reasoning or a
// refusal.
func (r Recording) texts() (all []string) {
	for p := range r.pieces() {
		text := p.content() + p.spoken("reasoning_text") + p.spoken("reasoning_summary_text") + p.spoken("refusal")
		for _, c := range p.Choices {
			text += c.Delta.Reasoning + c.Delta.ReasoningContent + c.Delta.Refusal
		}
		if text != "" {
			all = append(all, text)
		}
	}
	return all
}
