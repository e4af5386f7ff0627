package loadtest

import (
	"bytes"
	"encoding/json"
	"fmt"
	"iter"
	"slices"
	"strings"
	"time"
)

// Definition is the way in which a tool computes its figures. The tools use
// the same names for different things; from one [Recording] the figures of each
// can be computed, so that they can be compared with numbers measured by it.
type Definition string

const (
	// VLLM is benchmark_serving of vLLM: each chunk with choices counts, so the
	// role chunk is the first token and the finish chunk the last.
	VLLM Definition = "vllm"
	// GuideLLM has a TPOT that contains the time to the first token.
	GuideLLM Definition = "guidellm"
	// AIPerf gives one ITL for each request, and has no TPOT.
	AIPerf Definition = "aiperf"
	// InferencePerf knows content only; tokens of one chunk are 0 apart.
	InferencePerf Definition = "inference-perf"
)

// Definitions lists all of them.
func Definitions() []Definition { return []Definition{VLLM, GuideLLM, AIPerf, InferencePerf} }

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

// Figures are the figures of one request as a tool computes them. A nil or
// empty one means that the tool gives none.
type Figures struct {
	TTFT, TPOT, E2E *time.Duration
	// ITL has one value for each gap, or a single one where the tool gives one
	// for each request. ICL are the gaps between chunks where the tool tells
	// them apart from ITL.
	ITL, ICL []time.Duration
}

// moment is one event of a stream.
type moment struct {
	at                        time.Duration
	choices, content, product bool // product: content, reasoning or a tool call
	tokens                    int
}

// Figures computes the figures of r as the tool does. tokens counts the tokens
// of a text for inference-perf, which has its own tokenizer; nil takes each
// chunk for one token. The number of output tokens is that of the server's usage
// report, and without one the count. The error says what r lacks.
func (r Recording) Figures(d Definition, tokens func(text string) int) (Figures, error) {
	if !slices.Contains(Definitions(), d) {
		return Figures{}, &InvalidError{"Definition", string(d), "one of vllm, guidellm, aiperf, inference-perf"}
	}
	if r.Truncated {
		return Figures{}, fmt.Errorf("loadtest: the recording is not complete")
	}
	if tokens == nil {
		tokens = func(string) int { return 1 }
	}
	moments, n := r.moments(tokens)
	var all []moment // those that count for d
	for _, m := range moments {
		if d == VLLM && m.choices || d == InferencePerf && m.content || (d == GuideLLM || d == AIPerf) && m.product {
			all = append(all, m)
		}
	}
	if len(all) == 0 {
		return Figures{}, fmt.Errorf("loadtest: the recording has no chunk that %s counts", d)
	}
	first, last := all[0].at, all[len(all)-1].at
	var gaps []time.Duration
	for i := 1; i < len(all); i++ {
		gaps = append(gaps, all[i].at-all[i-1].at)
	}
	each := func(d time.Duration, n int) *time.Duration {
		if n < 1 {
			return nil
		}
		d = time.Duration(float64(d)/float64(n) + 0.5)
		return &d
	}
	f := Figures{TTFT: &first, E2E: &last}
	switch d {
	case VLLM:
		f.ITL, f.TPOT = gaps, each(last-first, n-1)
	case GuideLLM, AIPerf:
		if mean := each(last-first, n-1); mean != nil {
			f.ITL = []time.Duration{*mean}
		}
		if d == AIPerf {
			f.ICL = gaps
			break
		}
		f.TPOT = each(last, n)
		f.E2E = r.end()
	case InferencePerf:
		f.E2E = r.end()
		f.inference(all, first, last)
	}
	return f, nil
}

// inference spreads each chunk over its tokens, which all get its instant.
func (f *Figures) inference(all []moment, first, last time.Duration) {
	n := 0
	for i, m := range all {
		for j := range m.tokens {
			if i > 0 && j == 0 {
				f.ITL = append(f.ITL, m.at-all[i-1].at)
			} else if j > 0 {
				f.ITL = append(f.ITL, 0)
			}
		}
		n += m.tokens
	}
	if n < 2 {
		f.TTFT = nil // the tool wants two instants for it
		return
	}
	tpot := (last - first) / time.Duration(n-1)
	f.TPOT = &tpot
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

// moment returns what tools see in an event.
func (chunk piece) moment(tokens func(string) int) (m moment, usage int) {
	m.choices = len(chunk.Choices) > 0
	for _, c := range chunk.Choices {
		text := c.Text + c.Delta.Content
		m.content = m.content || text != ""
		thought := c.Delta.Reasoning + c.Delta.ReasoningContent
		m.product = m.product || text+thought != "" || len(c.Delta.ToolCalls) > 0
		if text+thought != "" {
			m.tokens += tokens(text + thought)
		}
	}
	if chunk.Usage != nil {
		usage = chunk.Usage.CompletionTokens
	}
	return m, usage
}
