package hist

import (
	"encoding/binary"
	"errors"
	"fmt"
	"math"
)

// The binary form: a version; sum, minimum and maximum as floats; the numbers of clamped
// and invalid values; then two varints for each bucket in use, the distance from the
// previous one and the count. A histogram of latencies takes about a kilobyte.
const (
	version   = 1
	headBytes = 1 + 3*8
)

// AppendTo appends the binary form of h to b and returns the result.
func (h *Histogram) AppendTo(b []byte) []byte {
	b = append(b, version)
	for _, f := range []float64{h.sum, h.Min(), h.Max()} {
		b = binary.LittleEndian.AppendUint64(b, math.Float64bits(f))
	}
	b = binary.AppendUvarint(b, h.clamped)
	b = binary.AppendUvarint(b, h.invalid)
	if h.count == 0 {
		return b
	}
	last := 0
	for i, hi := h.lo(), h.hi(); i <= hi; i++ {
		if h.counts[i] > 0 {
			b = binary.AppendUvarint(b, uint64(i-last))
			b = binary.AppendUvarint(b, uint64(h.counts[i]))
			last = i
		}
	}
	return b
}

// MarshalBinary implements [encoding.BinaryMarshaler].
func (h *Histogram) MarshalBinary() ([]byte, error) { return h.AppendTo(nil), nil }

var errCut = errors.New("hist: the data are incomplete")

// UnmarshalBinary implements [encoding.BinaryUnmarshaler]. If data is not a histogram, it
// returns an error and does not change h.
func (h *Histogram) UnmarshalBinary(data []byte) error {
	if err := Check(data); err != nil {
		return err
	}
	*h = Histogram{}
	h.add(data)
	return nil
}

// MergeBinary adds the values of another histogram, given in binary form. If data is not a
// histogram, it returns an error and does not change h.
func (h *Histogram) MergeBinary(data []byte) error {
	if err := Check(data); err != nil {
		return err
	}
	h.add(data)
	return nil
}

// Check returns an error if data is not the binary form of a histogram.
func Check(data []byte) error {
	_, err := parse(data, func(int, uint32) {})
	return err
}

// add adds the histogram in data, which has been checked.
func (h *Histogram) add(data []byte) {
	n, _ := parse(data, func(i int, count uint32) {
		h.counts[i] = uint32(min(uint64(h.counts[i])+uint64(count), math.MaxUint32))
	})
	h.invalid += n.invalid
	if n.count == 0 {
		return
	}
	h.maxBits, h.notMinBits = max(h.maxBits, math.Float64bits(n.most)), max(h.notMinBits, ^math.Float64bits(n.least+0))
	h.count += n.count
	h.clamped += n.clamped
	h.sum += n.sum
}

// head has the fields of a histogram without its buckets.
type head struct {
	sum, least, most        float64
	count, clamped, invalid uint64
}

// parse reads the binary form, and calls put for each bucket in use.
func parse(data []byte, put func(bucket int, count uint32)) (n head, err error) {
	if len(data) < headBytes {
		return n, errCut
	}
	if data[0] != version {
		return n, fmt.Errorf("hist: version %d, want %d", data[0], version)
	}
	for i, f := range []*float64{&n.sum, &n.least, &n.most} {
		*f = math.Float64frombits(binary.LittleEndian.Uint64(data[1+8*i:]))
	}
	data = data[headBytes:]
	uvarint := func() (v uint64, ok bool) {
		v, size := binary.Uvarint(data)
		if size <= 0 {
			return 0, false
		}
		data = data[size:]
		return v, true
	}
	var ok [2]bool
	n.clamped, ok[0] = uvarint()
	n.invalid, ok[1] = uvarint()
	if !ok[0] || !ok[1] {
		return n, errCut
	}
	at, first := uint64(0), uint64(0)
	for len(data) > 0 {
		var step, count uint64
		step, ok[0] = uvarint()
		count, ok[1] = uvarint()
		switch {
		case !ok[0] || !ok[1]:
			return n, errCut
		case step >= numBuckets-at || step == 0 && n.count > 0:
			return n, fmt.Errorf("hist: bucket %d after bucket %d of %d", at+step, at, numBuckets)
		case count == 0 || count > math.MaxUint32:
			return n, fmt.Errorf("hist: bucket %d holds %d", at+step, count)
		}
		at += step
		if n.count == 0 {
			first = at
		}
		put(int(at), uint32(count))
		n.count += count
	}
	return n, n.check(int(first), int(at))
}

// check returns an error if the fields of h contradict each other. first and last are the
// first and the last bucket in use.
func (h *head) check(first, last int) error {
	least, most := h.least, h.most
	switch {
	case h.count == 0:
		if h.sum != 0 || least != 0 || most != 0 || h.clamped != 0 {
			return errors.New("hist: a sum, minimum or maximum without values")
		}
	case !(least >= 0 && least <= most && most <= math.MaxFloat64):
		return fmt.Errorf("hist: minimum %v and maximum %v", least, most)
	case bucket(least) != first || bucket(most) != last:
		return fmt.Errorf("hist: minimum %v and maximum %v are not in the first and last bucket", least, most)
	case !(h.sum >= most):
		return fmt.Errorf("hist: the sum %v is less than the maximum %v", h.sum, most)
	case h.clamped > h.count:
		return fmt.Errorf("hist: %d of %d values clamped", h.clamped, h.count)
	}
	return nil
}
