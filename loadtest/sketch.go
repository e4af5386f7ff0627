package loadtest

import (
	"encoding/binary"
	"encoding/json"
	"errors"
	"math"
	"time"
)

// sketch is a small histogram of microseconds up to an hour: buckets are at most
// 3 % wide, so quantiles are off by at most 1.6 %, which no plot shows. A run
// keeps hundreds of them. The zero value is empty.
type sketch struct {
	counts [sketchSlots]uint32
	total  uint64
}

const (
	sketchHalfBits = 5
	sketchSlots    = 28 << sketchHalfBits
)

func (s *sketch) add(d time.Duration) {
	s.counts[slotOf(min(micros(d.Seconds()), hdrHighest), sketchHalfBits)]++
	s.total++
}

func (s *sketch) merge(o *sketch) {
	for i, n := range o.counts {
		s.counts[i] += n
	}
	s.total += o.total
}

// quantile returns the value of rank ceil(q*count) in seconds, 0 when s is
// empty.
func (s *sketch) quantile(q float64) float64 {
	rank := uint64(max(1, math.Ceil(q*float64(s.total))))
	seen := uint64(0)
	for i, n := range s.counts {
		if seen += uint64(n); n > 0 && seen >= rank {
			return slotValue(i, sketchHalfBits) / 1e6
		}
	}
	return 0
}

// MarshalJSON writes the slots in use, each as the distance from the one before
// and its count, as varints.
func (s *sketch) MarshalJSON() ([]byte, error) {
	var b []byte
	last := 0
	for i, n := range s.counts {
		if n > 0 {
			b = binary.AppendUvarint(b, uint64(i-last))
			b = binary.AppendUvarint(b, uint64(n))
			last = i
		}
	}
	return json.Marshal(b)
}

// UnmarshalJSON reads what MarshalJSON wrote.
func (s *sketch) UnmarshalJSON(data []byte) error {
	var b []byte
	if err := json.Unmarshal(data, &b); err != nil {
		return err
	}
	*s = sketch{}
	at := uint64(0)
	for len(b) > 0 {
		gap, used := binary.Uvarint(b)
		n, more := binary.Uvarint(b[max(0, used):])
		if used <= 0 || more <= 0 || gap >= sketchSlots || at+gap >= sketchSlots || n > math.MaxUint32 {
			return errors.New("loadtest: the course of a run has a histogram that cannot be read")
		}
		at += gap
		s.counts[at] = uint32(n)
		s.total += n
		b = b[used+more:]
	}
	return nil
}
