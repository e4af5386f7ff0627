// Package hdr provides HdrHistograms of durations, their V2 format and logs of
// them, and a smaller histogram for plots.
package hdr

import (
	"bytes"
	"compress/zlib"
	"encoding/base64"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"iter"
	"math"
	"math/bits"
)

// Histogram is an HdrHistogram of microseconds from 1 to one hour with three
// digits: buckets are at most 0.1 % wide and merging loses nothing. Its binary
// form is the V2 format of hdrhistogram.org, which the tools of that project
// read. The zero value is empty. It is safe for concurrent reading.
type Histogram struct {
	counts [slots]uint64
	total  uint64
}

const (
	halfBits = 10           // 2,048 buckets in the first octaves, 1,024 in each further one
	highest  = 3600_000_000 // µs
	digits   = 3
	slots    = 23 << halfBits
	cookie   = 0x1c849313 // V2, counts of any width
	zipped   = 0x1c849314
	header   = 40
)

func slotIn(us uint64) int { return slotOf(min(us, highest), halfBits) }

func valueOf(slot int) float64 { return slotValue(slot, halfBits) }

// slotOf returns the slot of a number in a histogram with 2^(half+1) slots of
// width one at its low end, and 2^half in each octave above.
func slotOf(us uint64, half int) int {
	octave := bits.Len64(us|(2<<half-1)) - (half + 1)
	return (octave+1)<<half + int(us>>octave) - 1<<half
}

// slotValue returns the middle of a slot.
func slotValue(slot, half int) float64 {
	octave := slot>>half - 1
	if octave < 1 {
		return float64(slot) // these slots are one microsecond wide
	}
	sub := slot&(1<<half-1) + 1<<half
	return float64(uint64(sub)<<octave) + float64(uint64(1)<<octave)/2
}

// Add counts a value of us microseconds n times.
func (h *Histogram) Add(us, n uint64) {
	h.counts[slotIn(us)] += n
	h.total += n
}

// Merge adds the values of o to h. It does not change o.
func (h *Histogram) Merge(o *Histogram) {
	for i, n := range o.counts {
		h.counts[i] += n
	}
	h.total += o.total
}

// Count returns the number of values.
func (h *Histogram) Count() uint64 { return h.total }

// Quantile returns the value of rank ceil(q*count) in microseconds, or 0 if h is
// empty. It uses 0 or 1 for a q outside of that range.
func (h *Histogram) Quantile(q float64) float64 {
	rank := uint64(max(1, math.Ceil(max(0, min(q, 1))*float64(h.total))))
	seen := uint64(0)
	for i, n := range h.counts {
		if seen += n; n > 0 && seen >= rank {
			return valueOf(i)
		}
	}
	return 0
}

// AtMost returns the number of values up to and including the bucket of us
// microseconds.
func (h *Histogram) AtMost(us uint64) (n uint64) {
	for _, k := range h.counts[:slotIn(us)+1] {
		n += k
	}
	return n
}

// Buckets yields the buckets in use in ascending order: the middle of each in
// microseconds and its count.
func (h *Histogram) Buckets() iter.Seq2[float64, uint64] {
	return func(yield func(float64, uint64) bool) {
		for slot, n := range h.counts {
			if n > 0 && !yield(valueOf(slot), n) {
				return
			}
		}
	}
}

// Encode returns the compressed V2 form in base64, as in histogram logs.
func (h *Histogram) Encode() string {
	var counts []byte
	last := len(h.counts) - 1
	for last >= 0 && h.counts[last] == 0 {
		last--
	}
	for i := 0; i <= last; i++ {
		n := int64(h.counts[i])
		if n == 0 {
			for ; h.counts[i] == 0; i++ {
				n-- // a run of empty slots is written as their negative number
			}
			i--
		}
		counts = appendZigZag(counts, n)
	}
	raw := binary.BigEndian.AppendUint32(nil, cookie)
	raw = binary.BigEndian.AppendUint32(raw, uint32(len(counts)))
	raw = binary.BigEndian.AppendUint32(raw, 0)
	raw = binary.BigEndian.AppendUint32(raw, digits)
	raw = binary.BigEndian.AppendUint64(raw, 1)
	raw = binary.BigEndian.AppendUint64(raw, highest)
	raw = binary.BigEndian.AppendUint64(raw, math.Float64bits(1))
	raw = append(raw, counts...)
	var packed bytes.Buffer
	z := zlib.NewWriter(&packed)
	_, _ = z.Write(raw) // a buffer returns no errors
	_ = z.Close()
	out := binary.BigEndian.AppendUint32(nil, zipped)
	out = binary.BigEndian.AppendUint32(out, uint32(packed.Len()))
	return base64.StdEncoding.EncodeToString(append(out, packed.Bytes()...))
}

// Decode returns the histogram that [Histogram.Encode] wrote, or another program
// in the same format. A histogram with another range or precision is an error.
func Decode(s string) (*Histogram, error) {
	data, err := base64.StdEncoding.DecodeString(s)
	if err != nil {
		return nil, fmt.Errorf("hdr: %w", err)
	}
	if len(data) < 8 || binary.BigEndian.Uint32(data) != zipped {
		return nil, errors.New("hdr: not a compressed V2 histogram")
	}
	z, err := zlib.NewReader(bytes.NewReader(data[8:]))
	if err != nil {
		return nil, fmt.Errorf("hdr: %w", err)
	}
	const most = header + slots*binary.MaxVarintLen64
	raw, err := io.ReadAll(io.LimitReader(z, most+1))
	switch {
	case err != nil:
		return nil, fmt.Errorf("hdr: %w", err)
	case len(raw) < header || len(raw) > most || binary.BigEndian.Uint32(raw) != cookie:
		return nil, errors.New("hdr: not a V2 histogram")
	case binary.BigEndian.Uint32(raw[12:]) != digits || binary.BigEndian.Uint64(raw[16:]) != 1 || binary.BigEndian.Uint64(raw[24:]) != highest:
		return nil, errors.New("hdr: unsupported layout, want 1 to 3,600,000,000 with 3 digits")
	}
	h := new(Histogram)
	slot := uint64(0)
	for rest := raw[header:]; len(rest) > 0; {
		n, used := zigZag(rest)
		if used == 0 {
			return nil, errors.New("hdr: the last count is incomplete")
		}
		rest = rest[used:]
		if n < 0 {
			// In unsigned arithmetic: the smallest int64 has no opposite.
			slot += min(-uint64(n), slots)
			continue
		}
		if slot >= slots {
			return nil, errors.New("hdr: more counts than slots")
		}
		h.counts[slot] = uint64(n)
		h.total += uint64(n)
		slot++
	}
	return h, nil
}

// appendZigZag appends v in the format's own variable-length code: like a
// varint, but the ninth byte has all of its eight bits.
func appendZigZag(b []byte, v int64) []byte {
	u := uint64(v<<1) ^ uint64(v>>63)
	for range 8 {
		if u < 0x80 {
			return append(b, byte(u))
		}
		b = append(b, byte(u)|0x80)
		u >>= 7
	}
	return append(b, byte(u))
}

func zigZag(b []byte) (v int64, used int) {
	var u uint64
	for i, c := range b {
		if i == 8 {
			u |= uint64(c) << 56
		} else {
			u |= uint64(c&0x7f) << (7 * i)
		}
		if c < 0x80 || i == 8 {
			return int64(u>>1) ^ -int64(u&1), i + 1
		}
	}
	return 0, 0
}
