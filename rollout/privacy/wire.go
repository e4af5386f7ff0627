package privacy

import "bytes"

// wire redacts a stream of events as it is on the wire: server-sent events (WHATWG HTML,
// 9.2) or JSON lines.
type wire struct {
	events
	jsonl bool // JSON lines
	buf   []byte
	seen  int  // bytes of buf in which no event ends
	cr    bool // the last byte was a CR
	begun bool // the first event was seen
}

// append appends to dst what can be sent on after a piece.
func (w *wire) append(dst, piece []byte) []byte {
	if w.jsonl {
		w.buf = append(w.buf, piece...)
	} else {
		w.unify(piece)
	}
	from := 0
	for n := w.complete(from); n > 0; n = w.complete(from) {
		dst = w.block(dst, w.buf[from:n])
		from = n
	}
	w.buf = w.buf[:copy(w.buf, w.buf[from:])]
	w.seen = len(w.buf)
	return dst
}

// unify appends a piece with LF in place of CR and of CR LF.
func (w *wire) unify(piece []byte) {
	for _, c := range piece {
		if c == '\n' && w.cr {
			w.cr = false
			continue
		}
		if w.cr = c == '\r'; w.cr {
			c = '\n'
		}
		w.buf = append(w.buf, c)
	}
}

// flush appends the rest to dst. The stream has ended.
func (w *wire) flush(dst []byte) []byte {
	if len(w.buf) > 0 {
		dst = w.block(dst, w.buf)
		w.buf, w.seen = nil, 0
	}
	for _, rest := range append(w.settle(nil, nil), w.end("", nil)...) {
		dst = w.event(dst, rest)
	}
	return dst
}

// complete returns the end of the event that begins at from, 0 if it has not arrived.
func (w *wire) complete(from int) int {
	end := "\n\n"
	if w.jsonl {
		end = "\n"
	}
	start := from
	if from == 0 {
		start = max(0, w.seen-len(end)+1)
	}
	if n := bytes.Index(w.buf[start:], []byte(end)); n >= 0 {
		return start + n + len(end)
	}
	return 0
}

// block appends one event.
func (w *wire) block(dst, block []byte) []byte {
	if !w.begun {
		w.begun, block = true, withoutBOM(block)
	}
	if w.jsonl {
		if len(bytes.TrimSpace(block)) == 0 {
			return append(dst, block...)
		}
		line := bytes.TrimLeft(block, "\x1e") // of JSON text sequences, RFC 7464
		w.lines = append(w.lines[:0], block[:len(block)-len(line)]...)
		before, event := w.next(bytes.TrimSpace(line))
		for _, b := range before {
			dst = w.event(dst, b)
		}
		if event == nil {
			return dst
		}
		return w.event(dst, sent{w.lines, event})
	}
	var data []byte
	has := false
	other := w.lines[:0]
	for line := range bytes.Lines(block) {
		line = bytes.TrimRight(line, "\n")
		if value, is := bytes.CutPrefix(line, []byte("data:")); is {
			if has {
				data = append(data, '\n')
			}
			data, has = append(data, bytes.TrimPrefix(value, []byte(" "))...), true
		} else if len(line) > 0 {
			other = append(append(other, w.r.Redact(nil, line)...), '\n')
		}
	}
	if !has {
		return append(append(dst, other...), '\n')
	}
	w.lines = other
	before, event := w.next(data)
	for _, b := range before {
		dst = w.event(dst, b)
	}
	if event == nil {
		return dst
	}
	if bytes.Equal(event, data) && bytes.HasSuffix(block, []byte("\n")) && len(other) == 0 {
		return append(dst, block...)
	}
	return w.event(dst, sent{other, event})
}

// event appends an event.
func (w *wire) event(dst []byte, s sent) []byte {
	if w.jsonl {
		return append(append(append(dst, s.lines...), s.data...), '\n')
	}
	dst = append(dst, s.lines...)
	for line := range bytes.SplitSeq(s.data, []byte("\n")) {
		dst = append(append(append(dst, "data: "...), line...), '\n')
	}
	return append(dst, '\n')
}
