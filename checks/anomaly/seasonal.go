package anomaly

import (
	"encoding/json"
	"math"
	"slices"
	"time"

	"github.com/serin-go/serin/checks"
)

// Seasonal compares values with the same hour of the week in earlier weeks, so that a rhythm
// of days and weeks is no anomaly. It expects
//
//	level + median over up to 8 weeks of (mean of the hour - level of that time)
//
// with a slope within the hour. The level begins with 0, and follows how far the hours are from
// their medians. What is left goes to another detector. An hour of the week is Unknown until 4
// weeks have had it. Make one with [NewSeasonal]. It is not safe for concurrent use.
type Seasonal struct {
	zone  *time.Location
	inner Detector
	slots [168][]float64 // of each hour of the week, the mean minus the level
	level float64

	hour  time.Time // that is being added up
	sum   float64
	count int
}

const (
	seasonWeeks = 8
	seasonMin   = 4
	// levelWeight is the weight of an hour in the level: half of it is forgotten in 3 days.
	levelWeight = 0.01
)

// NewSeasonal returns a detector that gives what is left of a series without its rhythm to
// inner; nil means a [Robust] with a window of a day. zone defines the hours; nil means UTC.
func NewSeasonal(zone *time.Location, inner Detector) *Seasonal {
	if zone == nil {
		zone = time.UTC
	}
	if inner == nil {
		inner, _ = NewRobust(Tuning{Window: 1440, Min: 480}) // it is valid
	}
	return &Seasonal{zone: zone, inner: inner}
}

// slot returns the hour of the week of a time.
func (d *Seasonal) slot(at time.Time) int {
	t := at.In(d.zone)
	return int(t.Weekday())*24 + t.Hour()
}

// Add implements [Detector].
func (d *Seasonal) Add(at time.Time, x float64) Reading {
	var b base
	if r, _, ok := b.enter(at, x); !ok {
		return r
	}
	if hour := at.Truncate(time.Hour); !hour.Equal(d.hour) {
		if hour.Before(d.hour) {
			return Reading{Value: x, Reason: reasonTime}
		}
		d.close()
		d.hour = hour
	}
	expected, n := d.expected(at)
	if n < seasonMin {
		d.sum, d.count = d.sum+x, d.count+1
		return Reading{Value: x, N: n, Reason: reasonFew}
	}
	r := d.inner.Add(at, x-expected)
	r.Value, r.Expected = x, r.Expected+expected
	if r.State != checks.Fail { // an outage does not become the rhythm
		d.sum, d.count = d.sum+x, d.count+1
	}
	return r
}

// expected returns the expectation at a time, and how many weeks it comes from. Within an hour
// it is a line through its middle, with the smaller one of the slopes to the hours before and
// after (the minmod limiter): a rhythm that jumps at the full hour has no slope.
func (d *Seasonal) expected(at time.Time) (x float64, weeks int) {
	own := d.slots[d.slot(at)]
	if len(own) < seasonMin {
		return 0, len(own)
	}
	x = d.level + middle(own)
	before, after := d.slots[d.slot(at.Add(-time.Hour))], d.slots[d.slot(at.Add(time.Hour))]
	if len(before) >= seasonMin && len(after) >= seasonMin {
		up, on := middle(own)-middle(before), middle(after)-middle(own)
		if up*on > 0 {
			past := at.Sub(at.Truncate(time.Hour)).Hours() - 0.5 // of the middle
			x += past * math.Copysign(min(math.Abs(up), math.Abs(on)), up)
		}
	}
	return x, len(own)
}

// middle returns the median of up to seasonWeeks values.
func middle(slot []float64) float64 {
	var sorted [seasonWeeks]float64
	n := copy(sorted[:], slot)
	slices.Sort(sorted[:n])
	return median(sorted[:n])
}

// close ends an hour. An hour most of whose values alarmed is left out.
func (d *Seasonal) close() {
	if d.count == 0 {
		return
	}
	mean := d.sum / float64(d.count)
	i := d.slot(d.hour)
	if len(d.slots[i]) > 0 {
		d.level += levelWeight * (mean - middle(d.slots[i]) - d.level)
	}
	d.slots[i] = append(d.slots[i], mean-d.level)
	if len(d.slots[i]) > seasonWeeks {
		d.slots[i] = slices.Delete(d.slots[i], 0, 1)
	}
	d.sum, d.count = 0, 0
}

// MarshalJSON implements [json.Marshaler]. It returns the state, with the one of the inner
// detector.
func (d *Seasonal) MarshalJSON() ([]byte, error) {
	inner, err := json.Marshal(d.inner)
	if err != nil {
		return nil, err
	}
	return json.Marshal(stored{Kind: "seasonal", Slots: d.slots[:], Level: d.level, Hour: d.hour, Sum: d.sum, Count: d.count, Inner: inner})
}

// UnmarshalJSON implements [json.Unmarshaler]. It restores a state into a detector that was
// made by [NewSeasonal] with an inner detector of the same kind and tuning.
func (d *Seasonal) UnmarshalJSON(data []byte) error {
	s, err := read(data, "seasonal")
	if err != nil {
		return err
	}
	if len(s.Slots) != len(d.slots) {
		return stateError("slots", len(s.Slots))
	}
	for _, slot := range s.Slots {
		if len(slot) > seasonWeeks {
			return stateError("a slot", len(slot))
		}
	}
	if err := json.Unmarshal(s.Inner, d.inner); err != nil {
		return err
	}
	copy(d.slots[:], s.Slots)
	d.level, d.hour, d.sum, d.count = s.Level, s.Hour, s.Sum, s.Count
	return nil
}
