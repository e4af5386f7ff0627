package hdr

import (
	"encoding/binary"
	"encoding/json"
	"errors"
	"math"
	"time"

	"github.com/serin-go/serin/internal/units"
)

// Sketch is a small histogram of durations up to one hour for plots. Buckets are
// at most 3 % wide, so the error of a quantile is at most 1.6 %. It takes 3.6 KB,
// since a run keeps hundreds of them. The zero value is empty.
type Sketch struct {
	counts [sketchSlots]uint32
	total  uint64
}

const (
	sketchHalfBits = 5
	sketchSlots    = 28 << sketchHalfBits
)

// Add counts d.
func (s *Sketch) Add(d time.Duration) {
	s.counts[slotOf(min(units.Micros(d.Seconds()), highest), sketchHalfBits)]++
	s.total++
}

// Merge adds the durations of o to s. It does not change o.
func (s *Sketch) Merge(o *Sketch) {
	for i, n := range o.counts {
		s.counts[i] += n
	}
	s.total += o.total
}

// Quantile returns the value of rank ceil(q*count) in seconds, or 0 if s is empty.
func (s *Sketch) Quantile(q float64) float64 {
	rank := uint64(max(1, math.Ceil(q*float64(s.total))))
	seen := uint64(0)
	for i, n := range s.counts {
		if seen += uint64(n); n > 0 && seen >= rank {
			return slotValue(i, sketchHalfBits) / 1e6
		}
	}
	return 0
}

// MarshalJSON implements [json.Marshaler]. It writes two varints for each slot in
// use: the distance from the previous one and the count.
func (s *Sketch) MarshalJSON() ([]byte, error) {
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

// UnmarshalJSON implements [json.Unmarshaler].
func (s *Sketch) UnmarshalJSON(data []byte) error {
	var b []byte
	if err := json.Unmarshal(data, &b); err != nil {
		return err
	}
	*s = Sketch{}
	at := uint64(0)
	for len(b) > 0 {
		gap, used := binary.Uvarint(b)
		n, more := binary.Uvarint(b[max(0, used):])
		if used <= 0 || more <= 0 || gap >= sketchSlots || at+gap >= sketchSlots || n > math.MaxUint32 {
			return errors.New("hdr: the data are not a sketch")
		}
		at += gap
		s.counts[at] = uint32(n)
		s.total += n
		b = b[used+more:]
	}
	return nil
}
