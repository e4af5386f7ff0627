package sse

import (
	"bytes"
	"time"
)

// Meter measures one stream of server-sent events or, with Form set, of another
// form. The zero value is ready. It is not safe for concurrent use.
//
// A Meter keeps nothing of the stream but the event under way, and of that no
// more than 60 KiB: a larger one is shortened to its structure as it comes.
type Meter struct {
	// OnToken, if not nil, is called for each chunk that bears tokens, in order.
	OnToken func(at time.Duration)
	// Form is the form of the bytes. Set it before the first Feed.
	Form Form
	// Model asks for the names of the model and the service tier. Set it before the
	// first Feed.
	Model bool

	run
	template template
	parsed   chunk
	data     carry // the event under way
}

// run is what a Meter knows of one stream.
type run struct {
	stream      Stream
	from, to    time.Duration // of the events, of any kind
	usage       usage
	seen, ended [2]uint64 // choices
	further     further   // choices
	over        bool      // End was called

	// The event under way, and the line of it under way.
	lines   int           // data lines of the event that are complete
	tries   int           // how often it was read and found to be incomplete
	lineAt  time.Duration // when the last of them was complete
	state   lineState
	field   [maxField]byte // the beginning of the line
	matched int            // how much of it has come
	skipLF  bool           // the last line ended in CR; an LF that follows belongs to it
	failing bool           // the event under way is named "error"
	bom     int            // bytes of a byte order mark that were seen, or noBOM

	depth    int  // within an array
	inString bool // within a string of an array
	escaped  bool
}

// Form is the form of what a [Meter] reads.
type Form uint8

// The forms. The zero value is Events.
const (
	Events   Form = iota // server-sent events
	Document             // one JSON document
	Lines                // JSON documents, each on a line of its own
	Array                // a JSON array whose elements are streamed
)

type lineState uint8

const (
	inField  lineState = iota // at the start of a line, or within its field's name
	inColon                   // right behind "data:", where one space is skipped
	inValue                   // in the value of a data line
	inOthers                  // in a comment or in a field of no interest
)

const (
	dataField  = "data:"
	eventField = "event:"
	maxField   = 24
	noBOM      = -1
)

const byteOrderMark = "\xEF\xBB\xBF"

// Feed takes the bytes of one read or write and the instant at which they
// passed, counted from the start of the request. It does not keep p. Streams may
// be cut anywhere, also inside a rune.
func (m *Meter) Feed(p []byte, at time.Duration) {
	if m.bom != noBOM {
		if p = m.skipBOM(p); len(p) == 0 {
			return
		}
	}
	switch m.Form {
	case Document:
		m.data.add(p)
		return
	case Lines:
		m.feedLines(p, at)
		return
	case Array:
		m.feedArray(p, at)
		return
	}
	for len(p) > 0 {
		if m.lines == 0 && m.state == inField && m.matched == 0 && !m.skipLF {
			if p[0] == '\n' { // behind an event that was read already
				if m.failing {
					m.endEvent()
				}
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

// skipBOM skips a byte order mark at the start, wherever it is cut.
func (m *Meter) skipBOM(p []byte) []byte {
	for len(p) > 0 && m.bom < len(byteOrderMark) {
		if p[0] != byteOrderMark[m.bom] {
			m.bom = noBOM
			return p
		}
		m.bom++
		p = p[1:]
	}
	if m.bom == len(byteOrderMark) {
		m.bom = noBOM
	}
	return p
}

// End says that no more bytes will come. An event that lacks its final newline
// still counts if it is complete. Calls after the first have no effect.
func (m *Meter) End(at time.Duration) {
	if m.over {
		return
	}
	m.over = true
	switch m.Form {
	case Document:
		m.endDocument()
	case Lines:
		m.feedLines(newline, at)
	case Array:
		m.endArray()
	default:
		m.endLine(at)
		m.endEvent()
	}
}

// Stream returns what was seen so far.
func (m *Meter) Stream() Stream {
	s := m.stream
	m.conclude(&s)
	return s
}

// Final returns what was seen, after End. It is valid until Reset.
func (m *Meter) Final() *Stream {
	m.conclude(&m.stream)
	return &m.stream
}

// conclude fills in what is kept apart while the stream passes.
func (m *Meter) conclude(s *Stream) {
	if m.usage.seen {
		s.InputTokens, s.CachedTokens, s.WrittenTokens = m.usage.inputTotal()
		m.usage.apart(s)
		s.ReasoningTokens = m.usage.reasoning + m.usage.thoughts
		s.Reported = m.usage.outputTotal()
		s.OutputTokens = s.Reported
		s.FromUsage = s.OutputTokens > 0 || s.Chunks == 0
	}
	n, open := m.further.choices()
	s.Choices, s.Open = n+count(m.seen), open+count([2]uint64{m.seen[0] &^ m.ended[0], m.seen[1] &^ m.ended[1]})
	if m.Form != Document {
		// A stream that breaks off may have reported its first token alone.
		complete := s.Terminated || s.Choices > 0 && s.Open == 0
		if !complete && s.OutputTokens < s.Chunks || s.OutputTokens == 0 {
			s.OutputTokens, s.FromUsage = s.Chunks, s.Chunks == 0 && m.usage.seen
		}
	}
	if !s.Known && s.Chunks == 0 {
		s.First, s.Last = m.from, m.to
	}
}

// Progress returns how many chunks bore tokens so far, how many events there were,
// and whether the stream has shown an error and its terminator.
func (m *Meter) Progress() (chunks, events int, failed, terminated bool) {
	s := &m.stream
	return s.Chunks, s.Events, s.Failed, s.Terminated
}

// Chunks returns how many chunks bore tokens so far.
func (m *Meter) Chunks() int { return m.stream.Chunks }

// Reset makes m ready for another stream. It keeps the memory, and forgets
// everything else, OnToken, Form and Model included.
func (m *Meter) Reset() {
	m.OnToken, m.Form, m.Model = nil, Events, false
	m.run = run{}
	m.template.forget()
	m.data.reset()
}

// wholeLine handles the ordinary case without copying: no event is under way and
// p begins with a whole data line. It returns how much of p it has consumed, 0 if
// the case is another.
func (m *Meter) wholeLine(p []byte, at time.Duration) int {
	if len(p) < len(dataField) || string(p[:len(dataField)]) != dataField || m.failing {
		return 0
	}
	from := len(dataField)
	if len(p) > from && p[from] == ' ' {
		from++
	}
	if n := m.template.match(p[from:]); n > 0 {
		if end := from + n; len(p) > end && p[end] == '\n' {
			m.bears(&m.template.said, at)
			if len(p) > end+1 && p[end+1] == '\n' { // the end of the event
				return end + 2
			}
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

// feedArray is Feed for an array whose elements are streamed. It hands each
// element on when it is complete.
func (m *Meter) feedArray(p []byte, at time.Duration) {
	from := 0 // of the element under way
	for i, ch := range p {
		switch {
		case m.inString:
			switch {
			case m.escaped:
				m.escaped = false
			case ch == '\\':
				m.escaped = true
			case ch == '"':
				m.inString = false
			}
		case ch == '"':
			m.inString = true
		case ch == '{' || ch == '[':
			if m.depth++; m.depth == 2 {
				from = i
			}
		case ch == '}' || ch == ']':
			if m.depth--; m.depth == 1 {
				m.data.add(p[from : i+1])
				m.lines, m.lineAt = 1, at
				m.endEvent()
				from = i + 1
			} else if m.depth <= 0 {
				m.depth = 0
				if ch == '}' {
					m.stream.Malformed++
				}
				m.stream.Terminated = m.stream.Terminated || ch == ']'
			}
		}
	}
	if m.depth >= 2 {
		m.data.add(p[from:])
	}
}

// endArray ends an array: one that is not closed has been cut.
func (m *Meter) endArray() {
	m.stream.Cut = m.depth > 0 || !m.stream.Terminated
	m.stream.Terminated = m.stream.Terminated && !m.stream.Cut
	m.forget()
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
			n := copy(m.field[m.matched:], part)
			name := m.field[:m.matched+n]
			if len(name) < len(dataField) {
				m.matched += n
				return
			}
			if string(name[:len(dataField)]) == dataField {
				part = part[len(dataField)-m.matched:]
				m.matched = len(dataField)
				m.state = inColon
				continue
			}
			m.matched += n
			if m.matched == maxField {
				m.state = inOthers
			}
			return
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

// endLine ends the line under way. A data line is read immediately if it makes sense
// so far: not every server ends its events with an empty line, and some put
// several documents into one event.
func (m *Meter) endLine(at time.Duration) {
	state, line := m.state, m.field[:m.matched]
	m.state, m.matched = inField, 0
	switch {
	case state == inField && len(line) == 0:
		m.endEvent()
	case state == inField && bytes.HasPrefix(line, []byte(eventField)):
		m.failing = bytes.EqualFold(bytes.TrimSpace(line[len(eventField):]), []byte("error"))
	case state == inField, state == inOthers:
		m.otherLine(line)
	case state == inColon, state == inValue:
		m.lines++
		m.lineAt = at
		if m.tries < maxTries && !m.data.squeezed {
			m.tries++
			if m.read(m.data.head, at) {
				m.forget()
			}
		}
	}
}

// otherLine takes the beginning of a line that is neither data nor the name of an
// event.
func (m *Meter) otherLine(line []byte) {
	switch {
	case line[0] == ':', bytes.HasPrefix(line, []byte("id:")), bytes.HasPrefix(line, []byte("retry:")), bytes.HasPrefix(line, []byte(eventField)):
	case m.over && (bytes.HasPrefix([]byte(dataField), line) || bytes.HasPrefix([]byte(eventField), line)):
		m.stream.Cut = true
	default:
		m.stream.Strange++
	}
}

// endEvent ends the event under way, whose data could not be read so far.
func (m *Meter) endEvent() {
	defer func() { m.failing = false }()
	data := bytes.TrimSpace(m.data.whole())
	if m.lines > 0 && len(data) > 0 {
		switch {
		case m.data.full:
			m.event(m.lineAt)
			m.stream.TooLarge = true
		case !m.read(data, m.lineAt):
			m.event(m.lineAt)
			m.stream.Malformed++
			m.stream.Cut = m.stream.Cut || m.over && m.parsed.short
		}
	}
	if m.failing {
		m.stream.Failed = true
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
	if len(data) > 0 && !m.failing && m.template.match(data) == len(data) {
		m.bears(&m.template.said, at)
		return true
	}
	k := &m.parsed
	k.parse(data)
	if !k.whole {
		return false
	}
	if k.size == len(data) {
		m.apply(k, at)
		if m.lines <= 1 && !m.data.squeezed { // lines that were joined are not one
			m.template.learn(data, k)
		}
		return true
	}
	for rest := data[k.size:]; len(rest) > 0; {
		n, whole := sizeOf(rest)
		if !whole {
			return false
		}
		rest = rest[n:]
	}
	for {
		m.apply(k, at)
		data = data[k.size:]
		if len(data) == 0 {
			return true
		}
		k.parse(data)
	}
}

// apply adds one document to the account of the stream.
func (m *Meter) apply(k *chunk, at time.Duration) {
	s := &m.stream
	if n := &s.Billed.Searches; k.done { // with all of the output
		*n = max(*n, k.searches)
	} else {
		*n += k.searches
	}
	if k.repeats && s.Chunks > 0 {
		k.tokens = tokens{refusal: k.refusal && !s.Refusal}
	}
	s.Terminated = s.Terminated || k.done
	s.Marker = s.Marker || k.marker
	s.ToolCalls += k.calls
	s.Blocked = s.Blocked || k.blocked
	s.Deferred = k.deferred || s.Deferred && !k.done
	s.Items, s.EmptyItems = s.Items+k.items, s.EmptyItems+k.empty
	if k.turns.further.largest > 0 {
		m.further.join(k.turns.further)
	}
	if k.turns.finishes > 0 {
		for i := range k.turns.ended {
			m.ended[i] |= k.turns.ended[i]
		}
		for _, f := range k.turns.finish[:k.turns.finishes] {
			m.finished(f)
		}
	}
	if len(k.finish) > 0 {
		m.finished(k.finish)
	}
	if m.failing || k.fault.seen || k.failed {
		s.Failed, s.Limited = true, s.Limited || k.fault.limited
		if s.Fault == "" && s.Code == "" {
			s.Fault, s.Code = codeOf(k.fault.kind), codeOf(k.fault.code)
		}
		m.failing = false
	}
	m.usage.merge(&k.usage)
	if m.Model {
		if s.Model == "" {
			s.Model = name(k.model)
		}
		if tier := k.tier; len(tier) > 0 {
			s.ServiceTier = name(tier)
		} else if tier = k.usage.tier; len(tier) > 0 {
			s.ServiceTier = name(tier)
		}
	}
	m.count(&k.summary, at)
	if k.usage.output > 0 || k.usage.billedOutput > 0 {
		s.Unreported = 0
	}
}

// finished notes a finish reason.
func (m *Meter) finished(reason []byte) {
	s := &m.stream
	s.FinishReason = intern(reason)
	for _, f := range s.Finishes[:s.NumFinishes] {
		if f == s.FinishReason {
			return
		}
	}
	if s.NumFinishes == maxFinish {
		s.FinishReason, s.Finishes[maxFinish-1] = manyFinishes, manyFinishes
		return
	}
	s.Finishes[s.NumFinishes] = s.FinishReason
	s.NumFinishes++
}

// name returns a name that an answer states, bounded in length.
func name(raw []byte) string { return clip(string(raw[:min(len(raw), maxText)])) }

// count does what remains of apply for a chunk that is plain.
func (m *Meter) count(k *summary, at time.Duration) {
	s := &m.stream
	s.Known = s.Known || k.known
	s.Shapes |= k.shapes
	s.Listed = s.Listed || k.listed
	m.seen[0] |= k.seen[0]
	m.seen[1] |= k.seen[1]
	if !k.bears() {
		m.event(at)
		return
	}
	s.Refusal = s.Refusal || k.refusal
	s.Visible = s.Visible || k.content || k.tool || k.refusal
	m.bears(k, at)
}

// bears counts a chunk that bears tokens. Of one like the template nothing else
// need be counted: it says what the template has said before.
func (m *Meter) bears(k *summary, at time.Duration) {
	s := &m.stream
	m.event(at)
	s.Chunks++
	s.Text += k.said
	s.Unreported += k.said
	if k.content {
		s.ContentChunks++
	}
	if m.Form == Document {
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
	if k.content && s.ContentChunks == 1 {
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

// endDocument reads the one document.
func (m *Meter) endDocument() {
	s := &m.stream
	data := bytes.TrimSpace(m.data.whole())
	if len(data) == 0 {
		return
	}
	if m.data.full {
		s.TooLarge = true
		return
	}
	k := &m.parsed
	k.parse(data)
	switch {
	case k.whole && k.size < len(data):
		s.Trailing = true
	case k.short:
		s.Cut = true
	case !k.whole:
		s.Malformed++
	}
	m.apply(k, 0)
	s.Terminated = s.Terminated && k.whole && !s.Trailing
	m.forget()
}
