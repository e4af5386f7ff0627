package answer

import (
	"bytes"
	"compress/flate"
	"compress/gzip"
	"compress/zlib"
	"errors"
	"io"
	"strings"
	"time"
)

// coding is the content coding of a body (RFC 9110, section 8.4.1).
type coding uint8

const (
	identity coding = iota
	gzipped
	deflated
	otherCoding
)

func codingOf(v string) coding {
	switch v = strings.ToLower(strings.TrimSpace(v)); v {
	case "", "identity":
		return identity
	case "gzip", "x-gzip":
		return gzipped
	case "deflate":
		return deflated
	}
	return otherCoding
}

const (
	maxPacked   = 1 << 20  // of a compressed body that is kept
	maxUnpacked = 16 << 20 // of what it becomes
)

// pack keeps a part of a compressed body until its end.
func (r *Reader) pack(p []byte) {
	if r.coding == otherCoding || r.spilled {
		return
	}
	if len(r.packed)+len(p) > maxPacked {
		r.spilled, r.packed = true, nil
		return
	}
	r.packed = append(r.packed, p...)
}

// errTooLarge means that a body is larger than what is decompressed.
var errTooLarge = errors.New("answer: compressed body: too large")

// unpack reads a compressed body, all at the instant of its end. It returns
// io.ErrUnexpectedEOF for one that is cut, and another error for one that is
// damaged.
func (r *Reader) unpack(at time.Duration) error {
	var from io.Reader
	var err error
	packed := bytes.NewReader(r.packed)
	switch {
	case r.coding == gzipped:
		from, err = gzip.NewReader(packed)
	default:
		if from, err = zlib.NewReader(packed); err != nil { // some servers send bare deflate
			packed.Reset(r.packed)
			from, err = flate.NewReader(packed), nil
		}
	}
	if errors.Is(err, io.EOF) {
		return io.ErrUnexpectedEOF
	} else if err != nil {
		return err
	}
	var buf [4 << 10]byte
	for total := 0; ; {
		n, err := from.Read(buf[:])
		r.read(buf[:n], at)
		if total += n; total > maxUnpacked {
			return errTooLarge
		}
		if err == io.EOF {
			return nil
		} else if err != nil {
			return err
		}
	}
}
