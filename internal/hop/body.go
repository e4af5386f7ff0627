package hop

import (
	"bytes"
	"errors"
	"io"
	"maps"
	"net/http"
	"strconv"
)

// States of the body of an answer.
const (
	atRest int32 = iota
	reading
	ended    // to its end, or with an error
	released // by Close
)

// Read implements [io.Reader]. Like the body of an answer from net/http, it may be
// closed while it is read.
func (x *exchange) Read(p []byte) (int, error) {
	if !x.state.CompareAndSwap(atRest, reading) {
		if x.state.Load() == ended {
			return 0, x.err
		}
		return 0, http.ErrBodyReadAfterClose
	}
	if len(p) == 0 {
		x.rest()
		return 0, nil
	}
	n, err := x.receive(p)
	if err == nil {
		x.rest()
		return n, nil
	}
	if err != io.EOF {
		err = x.fault(err)
	}
	x.err = err
	open := x.state.CompareAndSwap(reading, ended)
	x.end(open && err == io.EOF)
	return n, err
}

// rest ends a read, and the exchange if it was closed meanwhile.
func (x *exchange) rest() {
	if !x.state.CompareAndSwap(reading, atRest) {
		x.end(false)
	}
}

// Close implements [io.Closer]. Closing a body before its end was read closes the
// connection.
func (x *exchange) Close() error {
	for s := x.state.Load(); s == atRest || s == reading; s = x.state.Load() {
		if !x.state.CompareAndSwap(s, released) {
			continue
		}
		if x.c.close(); s == atRest { // otherwise the read fails, and does the rest
			x.end(false)
		}
	}
	return nil
}

// receive reads a part of the body. Its error is io.EOF only at the end of a body that
// is whole.
func (x *exchange) receive(p []byte) (int, error) {
	switch x.framing {
	case chunked:
		return x.receiveChunks(p)
	case closed:
		return x.copy(p, int64(len(p)))
	}
	n, err := x.copy(p, x.left)
	x.left -= int64(n)
	switch {
	case err == io.EOF:
		err = io.ErrUnexpectedEOF
	case x.left == 0:
		err = io.EOF
	}
	return n, err
}

// copy reads up to limit bytes, at least one: those that were received already, or
// else from the connection.
func (x *exchange) copy(p []byte, limit int64) (int, error) {
	if int64(len(p)) > limit {
		p = p[:limit]
	}
	if x.r == x.w {
		if len(p) >= bufferSize/8 {
			return x.read(p)
		}
		if err := x.fill(); err != nil {
			return 0, err
		}
	}
	n := copy(p, x.buf[x.r:x.w])
	x.r += n
	return n, nil
}

// phase is what comes next in a chunked body.
type phase uint8

const (
	atSize phase = iota
	atData
	atDataEnd
	atTrailer
)

const (
	maxSizeDigits = 8
	maxExtension  = 256
	// The bytes that are not data that net/http allows, see its chunked reader.
	maxExcess = 16 << 10
	// maxTrailer is the size of a trailer that net/http allows.
	maxTrailer = 4 << 10
)

// receiveChunks reads the data of one or more chunks. It waits for the connection only
// until there is some.
func (x *exchange) receiveChunks(p []byte) (n int, err error) {
	for err == nil {
		switch x.phase {
		case atSize:
			err = x.chunkSize(n == 0)
		case atData:
			if n == len(p) || n > 0 && x.r == x.w {
				return n, nil
			}
			var k int
			if k, err = x.chunkData(p[n:]); err == io.EOF {
				err = io.ErrUnexpectedEOF
			}
			n += k
		case atDataEnd:
			err = x.chunkEnd(n == 0)
		case atTrailer:
			if n > 0 && !bytes.HasPrefix(x.buf[x.r:x.w], crlf) {
				return n, nil
			}
			if err = x.trailer(); err == nil {
				err = io.EOF
			}
		}
	}
	if err == errWait {
		err = nil
	}
	return n, err
}

var crlf = []byte("\r\n")

// errWait means that a body goes on with something that was not received yet.
var errWait = errors.New("hop: more is to come")

// more receives more of a body if it may wait for that.
func (x *exchange) more(wait bool) error {
	if !wait {
		return errWait
	}
	err := x.fill()
	if err == io.EOF {
		err = io.ErrUnexpectedEOF
	}
	return err
}

// chunkSize reads the line that a chunk begins with.
func (x *exchange) chunkSize(wait bool) error {
	for {
		line := x.buf[x.r:x.w]
		end := bytes.IndexByte(line, '\n')
		if end < 0 {
			if len(line) > maxSizeDigits+maxExtension+len(crlf) {
				return &ResponseError{BadChunk}
			}
			if err := x.more(wait); err != nil {
				return err
			}
			continue
		}
		x.r += end + 1
		size, ok := chunkSize(line[:end])
		if !ok {
			return &ResponseError{BadChunk}
		}
		x.excess = max(0, x.excess+int64(end)+1-16-2*size)
		if x.excess > maxExcess {
			return &ResponseError{LargeExtensions}
		}
		x.left, x.phase = size, atData
		if size == 0 {
			x.phase = atTrailer
		}
		return nil
	}
}

// chunkSize returns the size in a line without its LF.
func chunkSize(line []byte) (int64, bool) {
	text, isLine := bytes.CutSuffix(line, crlf[:1])
	digits, extension, _ := bytes.Cut(bytes.TrimRight(text, " \t"), []byte(";")) // as old servers pad it
	if len(digits) > maxSizeDigits || len(text) > len(digits)+maxExtension {
		return 0, false
	}
	n, err := strconv.ParseUint(string(digits), 16, 32)
	return int64(n), isLine && err == nil && isValue(extension)
}

// chunkData reads data of a chunk.
func (x *exchange) chunkData(p []byte) (int, error) {
	if x.r == x.w && x.left < bufferSize {
		if err := x.fill(); err != nil { // with it comes what is behind the chunk
			return 0, err
		}
	}
	n, err := x.copy(p, x.left)
	if x.left -= int64(n); x.left == 0 {
		x.phase = atDataEnd
	}
	return n, err
}

// chunkEnd reads the line end behind the data of a chunk.
func (x *exchange) chunkEnd(wait bool) error {
	for x.w-x.r < len(crlf) {
		if err := x.more(wait); err != nil {
			return err
		}
	}
	if !bytes.HasPrefix(x.buf[x.r:x.w], crlf) {
		return &ResponseError{BadChunk}
	}
	x.r += len(crlf)
	x.phase = atSize
	return nil
}

// trailer reads what stands behind the last chunk.
func (x *exchange) trailer() error {
	block, n, err := x.block(false, maxTrailer)
	if err != nil || n == 0 {
		return err
	}
	trailer := fields(block, n)
	for name := range trailer {
		if reframes(name) {
			return &ResponseError{BadTrailer}
		}
	}
	if x.resp.Trailer == nil {
		x.resp.Trailer = trailer
		return nil
	}
	maps.Copy(x.resp.Trailer, trailer)
	return nil
}

// FreesRequest reports whether the request is not used any more after the body has ended.
func (x *exchange) FreesRequest() bool { return x.up.done == nil }

// Buffered returns how many bytes of what follows the header were received already. It may
// be called before the body is read.
func (x *exchange) Buffered() int { return x.w - x.r }
