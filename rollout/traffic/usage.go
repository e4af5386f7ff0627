package traffic

import (
	"bytes"
	"net/http"
	"strings"
	"time"

	"github.com/serin-go/serin/checks/analysis/answer"
	"github.com/serin-go/serin/internal/jsonwalk"
)

// usageRefusedFor is how long an arm that refuses stream_options.include_usage is
// not asked for it again.
const usageRefusedFor = 10 * time.Minute

// asksUsage reports whether an arm is to be asked for a usage report that the caller
// has not asked for. Only these two interfaces have the option. A request with an
// Idempotency-Key stays as it is, since it could not be sent again with another body.
func (x *exchange) asksUsage(a *arm) bool {
	if !x.router.askUsage || !x.ask.Stream || x.ask.Usage || x.ask.Route.Kind != answer.Inference || a == x.plain || x.keyed {
		return false
	}
	if api := x.ask.Route.API; api != answer.Chat && api != answer.Completions {
		return false
	}
	until := a.plainUntil.Load()
	return until == 0 || int64(time.Since(x.router.epoch)) >= until
}

// alters reports whether a request may be sent to an arm in another form than the
// caller's.
func (x *exchange) alters(a *arm) bool { return a.renames() || x.asksUsage(a) }

// refusesUsage reports whether a status may mean that a server does not know the
// member that was added to the request.
func refusesUsage(status int) bool {
	return status == http.StatusBadRequest || status == http.StatusUnprocessableEntity
}

// askPlain has an arm that has refused a usage report asked without it from now on.
func (x *exchange) askPlain(a *arm) {
	x.plain = a
	if a == x.arm && x.first.usage {
		x.held.give(int64(cap(x.first.body.data)))
		x.first = shaped{}
	}
}

// answeredPlain takes the status of an answer to a request that was sent again
// without the usage option. A success shows that the option was the fault, and the
// arm is remembered. Otherwise any bad request of a caller would turn reports off.
func (x *exchange) answeredPlain(a *arm, status int) {
	if a == x.plain && status >= 200 && status < 300 {
		x.unasked(a)
	}
}

// usageFilter returns the filter for an answer of an arm; see [newUsageFilter]. An arm
// that compresses its streams, although it is asked not to, is not asked for usage for
// a while: its callers see the report.
func (x *exchange) usageFilter(a *arm, status int, h http.Header) *usageFilter {
	if status >= 200 && status < 300 && coded(h) {
		x.unasked(a)
	}
	return newUsageFilter(status, h)
}

// unasked has an arm not asked for usage for a while.
func (x *exchange) unasked(a *arm) {
	a.plainUntil.Store(int64(time.Since(x.router.epoch) + usageRefusedFor))
}

// coded reports whether an answer has a content coding.
func coded(h http.Header) bool {
	for _, v := range h["Content-Encoding"] {
		if v != "" && !strings.EqualFold(v, "identity") {
			return true
		}
	}
	return false
}

// newUsageFilter returns the filter for an answer to a request to which the usage
// option was added, nil if the answer passes as it is. The header loses what no
// longer holds for the shorter body.
func newUsageFilter(status int, h http.Header) *usageFilter {
	if status < 200 || status >= 300 || coded(h) {
		return nil
	}
	switch answer.FormOf(h.Get("Content-Type")) {
	case answer.EventStream:
	case answer.UnknownForm:
		if len(h["Content-Length"]) > 0 {
			return nil // no stream is of known length
		}
	default:
		return nil
	}
	delete(h, "Content-Length")
	dropDigests(h)
	return new(usageFilter)
}

// maxUsageEvent is the size of the largest event that can be a usage report, in
// bytes. A larger one passes, so that a filter needs no more memory.
const maxUsageEvent = 8 << 10

// usageFilter takes usage reports out of a stream of events: events without choices
// that have a usage. Everything else passes byte for byte, also comments within such
// an event. An event is held back until it shows that it is another one, which it
// does with its first choice. The zero value is at the start of a stream.
type usageFilter struct {
	lines   eventLines
	passing bool   // the event under way goes to the caller
	dropped bool   // the event before it did not
	comment bool   // a comment between events is under way
	held    []byte // of the event under way
	out     []byte
	joined  []byte // data of several lines
}

// feed takes a part of the stream and returns what goes to the caller. The result is
// valid until the next call.
func (f *usageFilter) feed(p []byte) []byte {
	f.out = f.out[:0]
	from, i := 0, 0 // p[from:i] passes
	if f.lines.cr && !f.lines.begun && len(p) > 0 && p[0] == '\n' {
		f.lines.cr = false // it ends what has passed, or not
		if i = 1; f.dropped {
			from = 1
		}
	}
	for i < len(p) {
		begin := i
		if f.comment || !f.lines.begun && p[i] == ':' {
			n, ended := f.lines.line(p[i:])
			i, f.comment, f.dropped = i+n, !ended, false
			continue
		}
		n, ended := f.lines.event(p[i:])
		i += n
		if f.passing {
			f.passing = !ended
			continue
		}
		event, verdict := p[begin:i], passes
		if len(f.held)+n <= maxUsageEvent {
			if len(f.held) > 0 {
				f.held = append(f.held, event...)
				event, begin = f.held, i
			}
			verdict = f.judge(event, ended)
		}
		switch verdict {
		case passes:
			if len(f.held) > 0 {
				f.out = append(append(f.out, p[from:i-n]...), f.held...)
				f.held, from = f.held[:0], begin
			}
			f.passing = !ended
		case drops:
			f.out = appendComments(append(f.out, p[from:i-n]...), event)
			f.held, from = f.held[:0], i
		case unclear:
			f.out = append(f.out, p[from:i-n]...)
			if from = i; len(f.held) == 0 {
				f.held = append(f.held, event...)
			}
		}
		f.dropped = verdict == drops
	}
	if len(f.out) == 0 {
		return p[from:i]
	}
	f.out = append(f.out, p[from:i]...)
	return f.out
}

// end returns what is left to pass on when the stream has ended. The last event may
// lack the empty line behind it.
func (f *usageFilter) end() []byte {
	held := f.held
	if f.held = nil; len(held) > 0 && f.judge(held, true) == drops {
		return appendComments(nil, held)
	}
	return held
}

// verdict says what becomes of an event.
type verdict uint8

const (
	passes verdict = iota
	drops
	unclear // more of it has to come
)

// judge judges an event, or its beginning if whole is false.
func (f *usageFilter) judge(event []byte, whole bool) verdict {
	if !isField(event) {
		return passes // the first line shows it, before there are data
	}
	open := unclear
	if whole {
		open = passes
	}
	c := jsonwalk.Cursor{B: f.data(event)}
	switch c.Peek() {
	case 0:
		return open
	case '{':
	default:
		return passes
	}
	listed, reported := false, false
	c.Open('{')
	for c.More('}') {
		switch string(c.Key()) {
		case "choices":
			if ch := c.Peek(); ch == 0 {
				return open
			} else if ch != '[' {
				return passes
			}
			c.I++
			if ch := c.Peek(); ch == 0 {
				return open
			} else if ch != ']' {
				return passes
			}
			c.I++
			listed = true
		case "usage":
			if ch := c.Peek(); ch != 0 && ch != '{' {
				return passes
			}
			c.Skip()
			reported = true
		case "error":
			if c.Value() != nil {
				return passes
			}
		default:
			c.Skip()
		}
	}
	switch {
	case c.Bad && c.Short:
		return open
	case c.Bad || c.Peek() != 0 || !listed || !reported:
		return passes
	case !whole:
		return unclear
	case named(event):
		return passes
	}
	return drops
}

// named reports whether an event has a name beside "message", the default: an event named
// error is an error, whatever its data.
func named(event []byte) bool {
	for len(event) > 0 {
		line := event
		if i := lineEnd(event); i >= 0 {
			line, event = event[:i], event[i+1:]
		} else {
			event = nil
		}
		if value, ok := bytes.CutPrefix(line, []byte("event:")); ok {
			if name := string(bytes.TrimPrefix(value, []byte(" "))); name != "" && name != "message" {
				return true
			}
		}
	}
	return false
}

// isField reports whether an event begins with a field, as far as it has come.
func isField(event []byte) bool {
	for _, name := range [...]string{"data:", "event:", "id:", "retry:"} {
		if n := min(len(event), len(name)); string(event[:n]) == name[:n] {
			return true
		}
	}
	return false
}

// data returns the data of an event: the values of its fields of that name, one a
// line.
func (f *usageFilter) data(event []byte) []byte {
	var data []byte
	several := false
	for len(event) > 0 {
		line := event
		if i := lineEnd(event); i >= 0 {
			line, event = event[:i], event[i+1:]
		} else {
			event = nil
		}
		value, ok := bytes.CutPrefix(line, []byte("data:"))
		if !ok {
			continue
		}
		if len(value) > 0 && value[0] == ' ' {
			value = value[1:]
		}
		switch {
		case data == nil:
			data = value
			continue
		case !several:
			f.joined, several = append(f.joined[:0], data...), true
		}
		f.joined = append(append(f.joined, '\n'), value...)
		data = f.joined
	}
	return data
}

// appendComments appends the comments of an event.
func appendComments(out, event []byte) []byte {
	for lines := (eventLines{}); len(event) > 0; {
		n, _ := lines.line(event)
		if event[0] == ':' {
			out = append(out, event[:n]...)
		}
		event = event[n:]
	}
	return out
}

// eventLines follows the lines of a stream of events, which end with LF, CR LF or
// CR, across its parts.
type eventLines struct {
	begun bool // the event has a line, or a part of one
	open  bool // the line has a byte
	cr    bool // the part before ended with CR: a LF belongs to it
}

// line returns the size of the line at the start of p, and whether it ends there.
func (l *eventLines) line(p []byte) (n int, ended bool) {
	l.cr = false
	i := lineEnd(p)
	if i < 0 {
		return len(p), false
	}
	if p[i] == '\r' {
		if l.cr = i+1 == len(p); !l.cr && p[i+1] == '\n' {
			i++
		}
	}
	return i + 1, true
}

// event returns the size of the event at the start of p, with the empty line that
// ends it, and whether it ends there.
func (l *eventLines) event(p []byte) (n int, ended bool) {
	for n < len(p) {
		if l.cr && p[n] == '\n' {
			l.cr = false
			n++
			continue
		}
		empty := !l.open && (p[n] == '\n' || p[n] == '\r')
		size, ended := l.line(p[n:])
		n += size
		l.begun, l.open = !empty, !ended
		if empty {
			return n, true
		}
	}
	return n, false
}

// lineEnd returns the index of the first CR or LF, -1 if there is neither.
func lineEnd(p []byte) int {
	i := bytes.IndexByte(p, '\n')
	if i >= 0 {
		p = p[:i]
	}
	if j := bytes.IndexByte(p, '\r'); j >= 0 {
		return j
	}
	return i
}
