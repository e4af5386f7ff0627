package sse

import (
	"bytes"
	"time"
)

// Meter measures one stream of server-sent events, with Lines set one of JSON
// documents on lines, or with JSON set one JSON document. The zero value is ready. It is not safe for concurrent use.
//
// A Meter keeps nothing of the stream but the event under way, and of that no
// more than a fixed amount: see [Meter.Feed].
type Meter struct {
	// OnToken, if not nil, is called for each chunk that bears tokens, in order.
	OnToken func(at time.Duration)
	// JSON says that the bytes are one JSON document, an answer that was not
	// streamed. Set it before the first Feed.
	JSON bool
	// Lines says that the bytes are JSON documents, each on a line of its own
	// (NDJSON). Set it before the first Feed.
	Lines bool
	// Model asks for the model's name. Set it before the first Feed.
	Model bool

	stream   Stream
	from, to time.Duration // of the events, of any kind
	usage    usage
	ended    bool
	template template

	// The event under way, and the line of it under way.
	data    carry
	lines   int           // data lines of the event that are complete
	tries   int           // how often it was read and found to be incomplete
	lineAt  time.Duration // when the last of them was complete
	state   lineState
	matched int  // how much of "data:" the line has shown, in state inField
	skipLF  bool // the last line ended in CR; an LF that follows belongs to it
}

type lineState uint8

const (
	inField  lineState = iota // at the start of a line, or within "data:"
	inColon                   // right behind "data:", where one space is skipped
	inValue                   // in the value of a data line
	inOthers                  // in a comment or in a field of no interest
)

const dataField = "data:"

// Feed takes the bytes of one read or write and the instant at which they
// passed, counted from the start of the request. It does not keep p. Streams may
// be cut anywhere, also inside a rune. An event that is cut by a Feed is carried
// over; of an event above 64 KiB, the first 64 KiB and the last 4 KiB are looked
// at and the rest is forgotten.
func (m *Meter) Feed(p []byte, at time.Duration) {
	if m.JSON {
		m.data.add(p)
		return
	}
	if m.Lines {
		m.feedLines(p, at)
		return
	}
	for len(p) > 0 {
		if m.lines == 0 && m.state == inField && m.matched == 0 && !m.skipLF {
			if p[0] == '\n' { // behind an event that was read already
				p = p[1:]
				continue
			}
			if n := m.wholeLine(p, at); n > 0 {
				p = p[n:]
				continue
			}
		}
		p = m.partOfLine(p, at)
	}
}

// End says that no more bytes will come. An event that lacks its final newline
// still counts if it is complete. Calls after the first have no effect.
func (m *Meter) End(at time.Duration) {
	if m.ended {
		return
	}
	m.ended = true
	if m.JSON {
		m.endDocument()
		return
	}
	if m.Lines {
		m.feedLines(newline, at)
		return
	}
	m.endLine(at)
	m.endEvent()
}

// Stream returns what was seen so far.
func (m *Meter) Stream() Stream {
	s := m.stream
	s.InputTokens, s.CachedTokens = m.usage.inputTotal()
	s.ReasoningTokens = m.usage.reasoning
	s.OutputTokens = m.usage.output
	s.FromUsage = m.usage.output > 0 || m.usage.seen && s.Chunks == 0
	if !s.FromUsage && !m.JSON {
		s.OutputTokens = s.Chunks
	}
	if !s.Known && s.Chunks == 0 {
		s.First, s.Last = m.from, m.to
	}
	return s
}

// Reset makes m ready for another stream. It keeps the memory, and forgets
// everything else, OnToken, JSON and Lines included.
func (m *Meter) Reset() {
	data, text := m.data, m.template.text[:0]
	data.reset()
	*m = Meter{data: data, template: template{text: text}}
}

// wholeLine handles the ordinary case without copying: no event is under way and
// p begins with a whole data line. It returns how much of p it has consumed, 0 if
// the case is another.
func (m *Meter) wholeLine(p []byte, at time.Duration) int {
	if len(p) < len(dataField) || string(p[:len(dataField)]) != dataField {
		return 0
	}
	from := len(dataField)
	if len(p) > from && p[from] == ' ' {
		from++
	}
	if n := m.template.match(p[from:]); n > 0 {
		if end := from + n; len(p) > end && p[end] == '\n' {
			m.count(&m.template.chunk, at)
			return end + 1
		}
	}
	end := bytes.IndexByte(p, '\n')
	if end < 0 {
		return 0
	}
	line := p[from:end]
	if cr := bytes.IndexByte(line, '\r'); cr >= 0 {
		if cr != len(line)-1 {
			return 0 // a lone CR ends a line as well
		}
		line = line[:cr]
	}
	if len(line) > headSize || !m.read(line, at) {
		m.data.add(line)
		m.lines, m.tries, m.lineAt = 1, 1, at
	}
	return end + 1
}

// feedLines is Feed for documents on lines of their own.
func (m *Meter) feedLines(p []byte, at time.Duration) {
	for len(p) > 0 {
		end := bytes.IndexByte(p, '\n')
		if end < 0 {
			m.data.add(p)
			return
		}
		line := p[:end]
		p = p[end+1:]
		if len(m.data.head) == 0 && len(line) <= headSize {
			if line = bytes.TrimSpace(line); len(line) == 0 || m.read(line, at) {
				continue
			}
		}
		m.data.add(line)
		m.lines, m.lineAt = 1, at
		m.endEvent()
	}
}

// window bounds how far ahead one search for the end of a line looks, so that
// the cost stays linear whatever the mix of CR and LF.
const window = 1 << 10

// partOfLine handles all other cases: it consumes at most one line of p, whole
// or in part, and returns what is left of p.
func (m *Meter) partOfLine(p []byte, at time.Duration) []byte {
	if m.skipLF {
		m.skipLF = false
		if p[0] == '\n' {
			return p[1:]
		}
	}
	near := p[:min(len(p), window)]
	end := bytes.IndexByte(near, '\n')
	if end >= 0 {
		near = near[:end]
	}
	if cr := bytes.IndexByte(near, '\r'); cr >= 0 {
		end, near = cr, near[:cr]
		m.skipLF = true
	}
	m.text(near)
	if end < 0 {
		return p[len(near):]
	}
	m.endLine(at)
	return p[end+1:]
}

// text takes a part of a line that holds no line end.
func (m *Meter) text(part []byte) {
	for len(part) > 0 {
		switch m.state {
		case inField:
			if part[0] != dataField[m.matched] {
				m.state = inOthers
				return
			}
			part = part[1:]
			if m.matched++; m.matched == len(dataField) {
				m.state = inColon
			}
		case inColon:
			if part[0] == ' ' {
				part = part[1:]
			}
			if m.lines > 0 {
				m.data.add(newline)
			}
			m.state = inValue
		case inValue:
			m.data.add(part)
			return
		case inOthers:
			return
		}
	}
}

var newline = []byte("\n")

// maxTries bounds how often the data of one event is read before the event ends.
const maxTries = 8

// endLine ends the line under way. A data line is read at once if it makes sense
// so far: not every server ends its events with an empty line, and some put
// several documents into one event.
func (m *Meter) endLine(at time.Duration) {
	state, matched := m.state, m.matched
	m.state, m.matched = inField, 0
	switch {
	case state == inField && matched == 0:
		m.endEvent()
	case state == inValue:
		m.lines++
		m.lineAt = at
		if m.tries < maxTries && !m.data.over() {
			m.tries++
			if m.read(m.data.head, at) {
				m.forget()
			}
		}
	}
}

// endEvent ends the event under way, whose data could not be read so far.
func (m *Meter) endEvent() {
	if m.lines == 0 {
		return
	}
	if m.data.over() {
		c := parse(m.data.head)
		c.tail(m.data.last())
		m.apply(&c, m.lineAt)
	} else if !m.read(m.data.head, m.lineAt) && len(bytes.TrimSpace(m.data.head)) > 0 {
		m.event(m.lineAt)
		m.stream.Malformed++
	}
	m.forget()
}

func (m *Meter) forget() {
	m.data.reset()
	m.lines, m.tries = 0, 0
}

// read reads one event's data, which is usually one document. It reports false,
// and has no effect, if data does not consist of whole documents.
func (m *Meter) read(data []byte, at time.Duration) bool {
	if len(data) > 0 && m.template.match(data) == len(data) {
		m.count(&m.template.chunk, at)
		return true
	}
	c := parse(data)
	if !c.whole {
		return false
	}
	if c.size == len(data) {
		m.apply(&c, at)
		if m.lines <= 1 { // lines that were joined are not one
			m.template.learn(data, &c)
		}
		return true
	}
	for rest := data[c.size:]; len(rest) > 0; {
		d := parse(rest)
		if !d.whole {
			return false
		}
		rest = rest[d.size:]
	}
	for {
		m.apply(&c, at)
		data = data[c.size:]
		if len(data) == 0 {
			return true
		}
		c = parse(data)
	}
}

// apply adds one document to the account of the stream.
func (m *Meter) apply(c *chunk, at time.Duration) {
	s := &m.stream
	s.Done = s.Done || c.done
	s.ToolCalls += c.calls
	if len(c.finish) > 0 {
		s.FinishReason = intern(c.finish)
		s.Done = true
		s.Refused = s.Refused || refusing(s.FinishReason)
	}
	if c.err != nil && s.Err == "" {
		s.Err = errorText(c.err)
	}
	m.usage.merge(c.usage)
	if m.Model && s.Model == "" {
		s.Model = string(c.model)
	}
	m.count(c, at)
}

// count does what remains of apply for a chunk that is plain.
func (m *Meter) count(c *chunk, at time.Duration) {
	s := &m.stream
	m.event(at)
	s.Known = s.Known || c.known
	s.Refused = s.Refused || c.refusal
	if !c.bears() {
		return
	}
	s.Chunks++
	if c.content {
		s.ContentChunks++
	}
	if m.JSON {
		return
	}
	if s.Chunks == 1 {
		s.First = at
	} else if gap := at - s.Last; gap == 0 {
		s.Coalesced++
	} else if gap > s.Stall {
		s.Stall = gap
	}
	s.Last = at
	if c.content && s.ContentChunks == 1 {
		s.FirstContent = at
	}
	if m.OnToken != nil {
		m.OnToken(at)
	}
}

// event counts an event of any kind.
func (m *Meter) event(at time.Duration) {
	if m.stream.Events == 0 {
		m.from = at
	}
	m.to = at
	m.stream.Events++
}

// endDocument reads the one document of a JSON meter.
func (m *Meter) endDocument() {
	head := bytes.TrimSpace(m.data.head)
	if len(head) == 0 {
		return
	}
	c := parse(head)
	whole := c.whole
	if m.data.over() {
		last := bytes.TrimSpace(m.data.last())
		c.tail(last)
		whole = len(last) > 0 && last[len(last)-1] == '}'
	}
	m.apply(&c, 0)
	m.stream.Done = whole
	if !whole {
		m.stream.Malformed++
	}
	m.forget()
}
