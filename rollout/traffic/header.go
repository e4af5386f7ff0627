package traffic

import (
	"errors"
	"net/http"
	"strings"
)

const (
	// maxHeaderSize and maxHeaderLines bound the header of an answer, and its trailers.
	maxHeaderSize  = 64 << 10
	maxHeaderLines = 200
)

// errLargeHeader means that the header of an answer exceeds the bounds.
var errLargeHeader = errors.New("traffic: header of the answer: larger than 64 KiB or 200 lines")

// headerSize returns how many lines a header has, and their bytes as HTTP/1.1 sends
// them.
func headerSize(h http.Header) (lines, size int) {
	for name, values := range h {
		lines += len(values)
		for _, v := range values {
			size += len(name) + len(v) + len(": \r\n")
		}
	}
	return lines, size
}

// largeHeader reports whether a header exceeds the bounds, apart from what was in it
// before.
func largeHeader(h, before http.Header) bool {
	lines, size := headerSize(h)
	if lines <= maxHeaderLines && size <= maxHeaderSize {
		return false
	}
	linesBefore, sizeBefore := headerSize(before)
	return lines-linesBefore > maxHeaderLines || size-sizeBefore > maxHeaderSize
}

// dropLargeTrailers removes trailers that exceed the bounds from a header that was
// sent.
func dropLargeTrailers(h http.Header) {
	trailers := make(http.Header)
	for name, values := range h {
		if strings.HasPrefix(name, http.TrailerPrefix) {
			trailers[name] = values
		}
	}
	for _, list := range h["Trailer"] {
		for name := range strings.SplitSeq(list, ",") {
			name = http.CanonicalHeaderKey(strings.TrimSpace(name))
			if values, sent := h[name]; sent {
				trailers[name] = values
			}
		}
	}
	if largeHeader(trailers, nil) {
		for name := range trailers {
			delete(h, name)
		}
	}
}
