package loadtest

import (
	"bytes"
	"compress/zlib"
	"encoding/base64"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"math"
	"math/bits"
)

// hdr is an HdrHistogram of microseconds from 1 to one hour with three digits:
// buckets are at most 0.1 % wide, adding costs a few nanoseconds, and merging
// loses nothing. Its binary form is the V2 format of hdrhistogram.org, which
// the tools of that project read. The zero value is empty.
type hdr struct {
	counts [hdrSlots]uint64
	total  uint64
}

const (
	hdrHalfBits = 10           // 2,048 buckets in the first octaves, 1,024 in each further one
	hdrHighest  = 3600_000_000 // µs
	hdrDigits   = 3
	hdrSlots    = 23 << hdrHalfBits
	hdrCookie   = 0x1c849313 // V2, counts of any width
	hdrZipped   = 0x1c849314
	hdrHeader   = 40
)

func hdrSlot(us uint64) int { return slotOf(min(us, hdrHighest), hdrHalfBits) }

func hdrValue(slot int) float64 { return slotValue(slot, hdrHalfBits) }

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

func (h *hdr) add(us uint64) { h.addN(us, 1) }

func (h *hdr) addN(us, n uint64) {
	h.counts[hdrSlot(us)] += n
	h.total += n
}

func (h *hdr) merge(o *hdr) {
	for i, n := range o.counts {
		h.counts[i] += n
	}
	h.total += o.total
}

// quantile returns the value of rank ceil(q*count), in microseconds.
func (h *hdr) quantile(q float64) float64 {
	rank := uint64(max(1, math.Ceil(max(0, min(q, 1))*float64(h.total))))
	seen := uint64(0)
	for i, n := range h.counts {
		if seen += n; n > 0 && seen >= rank {
			return hdrValue(i)
		}
	}
	return 0
}

// encode returns the V2 form, compressed and in base64, as in histogram logs.
func (h *hdr) encode() string {
	var counts []byte
	last := len(h.counts) - 1
	for last >= 0 && h.counts[last] == 0 {
		last--
	}
	for i := 0; i <= last; i++ {
		n := int64(h.counts[i])
		if n == 0 {
			for ; h.counts[i] == 0; i++ {
				n-- // a run of empty slots is their number, negative
			}
			i--
		}
		counts = appendZigZag(counts, n)
	}
	raw := binary.BigEndian.AppendUint32(nil, hdrCookie)
	raw = binary.BigEndian.AppendUint32(raw, uint32(len(counts)))
	raw = binary.BigEndian.AppendUint32(raw, 0)
	raw = binary.BigEndian.AppendUint32(raw, hdrDigits)
	raw = binary.BigEndian.AppendUint64(raw, 1)
	raw = binary.BigEndian.AppendUint64(raw, hdrHighest)
	raw = binary.BigEndian.AppendUint64(raw, math.Float64bits(1))
	raw = append(raw, counts...)
	var zipped bytes.Buffer
	z := zlib.NewWriter(&zipped)
	_, _ = z.Write(raw) // a buffer takes everything
	_ = z.Close()
	out := binary.BigEndian.AppendUint32(nil, hdrZipped)
	out = binary.BigEndian.AppendUint32(out, uint32(zipped.Len()))
	return base64.StdEncoding.EncodeToString(append(out, zipped.Bytes()...))
}

// decodeHDR reads what encode wrote. Histograms of another layout are refused.
func decodeHDR(s string) (*hdr, error) {
	data, err := base64.StdEncoding.DecodeString(s)
	if err != nil {
		return nil, fmt.Errorf("loadtest: histogram: %w", err)
	}
	if len(data) < 8 || binary.BigEndian.Uint32(data) != hdrZipped {
		return nil, errors.New("loadtest: histogram: no compressed V2 histogram")
	}
	z, err := zlib.NewReader(bytes.NewReader(data[8:]))
	if err != nil {
		return nil, fmt.Errorf("loadtest: histogram: %w", err)
	}
	const most = hdrHeader + hdrSlots*binary.MaxVarintLen64
	raw, err := io.ReadAll(io.LimitReader(z, most+1))
	switch {
	case err != nil:
		return nil, fmt.Errorf("loadtest: histogram: %w", err)
	case len(raw) < hdrHeader || len(raw) > most || binary.BigEndian.Uint32(raw) != hdrCookie:
		return nil, errors.New("loadtest: histogram: no V2 histogram")
	case binary.BigEndian.Uint32(raw[12:]) != hdrDigits || binary.BigEndian.Uint64(raw[16:]) != 1 || binary.BigEndian.Uint64(raw[24:]) != hdrHighest:
		return nil, errors.New("loadtest: histogram: another layout, want 1 to 3,600,000,000 with 3 digits")
	}
	h := new(hdr)
	slot := uint64(0)
	for rest := raw[hdrHeader:]; len(rest) > 0; {
		n, used := zigZag(rest)
		if used == 0 {
			return nil, errors.New("loadtest: histogram: it ends within a count")
		}
		rest = rest[used:]
		if n < 0 {
			// In unsigned arithmetic, as the smallest number has no opposite.
			slot += min(-uint64(n), hdrSlots)
			continue
		}
		if slot >= hdrSlots {
			return nil, errors.New("loadtest: histogram: more counts than slots")
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
