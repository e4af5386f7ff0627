package anomaly

import (
	"encoding/json"
	"fmt"
	"math"
	"slices"
	"time"
)

// stored is the state of a detector in JSON. Its tuning is not in it: a state is read by a
// detector of the same tuning.
type stored struct {
	Kind    string     `json:"kind"`
	Values  []float64  `json:"values,omitempty"` // the oldest first
	Last    time.Time  `json:"last,omitzero"`
	Alarmed time.Time  `json:"alarmed,omitzero"`
	Calm    int        `json:"calm,omitempty"`
	Run     int        `json:"run,omitempty"`
	Value   float64    `json:"value,omitempty"`
	Centre  [2]float64 `json:"centre,omitzero"` // mean and standard deviation
	Age     int        `json:"age,omitempty"`
	// Follows is what EWMA and CUSUM follow.
	Follows [2]float64 `json:"follows,omitzero"`
	// Seasonal has these.
	Slots [][]float64     `json:"slots,omitempty"`
	Level float64         `json:"level,omitempty"`
	Hour  time.Time       `json:"hour,omitzero"`
	Sum   float64         `json:"sum,omitempty"`
	Count int             `json:"count,omitempty"`
	Inner json.RawMessage `json:"inner,omitempty"`
}

func (b *base) store(kind string) stored {
	return stored{Kind: kind, Values: b.window.values(), Last: b.last, Alarmed: b.alarmed, Calm: b.calm, Run: b.run, Value: b.value,
		Centre: [2]float64{b.mean, b.sigma}, Age: b.age}
}

func read(data []byte, kind string) (stored, error) {
	var s stored
	if err := json.Unmarshal(data, &s); err != nil {
		return s, fmt.Errorf("anomaly: state: %w", err)
	}
	if s.Kind != kind {
		return s, stateError("kind", fmt.Sprintf("%.20q", s.Kind))
	}
	if s.Calm < 0 || s.Age < -1 || s.Age > 10_000 || s.Centre[1] < 0 || s.Run < 0 || s.Count < 0 {
		return s, stateError("a count", "negative")
	}
	for _, x := range slices.Concat(s.Values, s.Follows[:], s.Centre[:], []float64{s.Value, s.Level, s.Sum}) {
		if math.IsNaN(x) || math.IsInf(x, 0) {
			return s, stateError("a value", x)
		}
	}
	return s, nil
}

func (b *base) restore(s stored) error {
	if len(s.Values) > b.window.size {
		return stateError("values", len(s.Values))
	}
	b.window.fill(s.Values)
	b.last, b.alarmed, b.calm, b.run, b.value = s.Last, s.Alarmed, s.Calm, s.Run, s.Value
	b.mean, b.sigma, b.age = s.Centre[0], s.Centre[1], s.Age
	return nil
}

// MarshalJSON implements [json.Marshaler]. It returns the state.
func (d *Robust) MarshalJSON() ([]byte, error) { return json.Marshal(d.store("robust")) }

// UnmarshalJSON implements [json.Unmarshaler]. It restores a state into a detector of the same
// tuning, made by [NewRobust].
func (d *Robust) UnmarshalJSON(data []byte) error {
	s, err := read(data, "robust")
	if err != nil {
		return err
	}
	return d.restore(s)
}

// MarshalJSON implements [json.Marshaler]. It returns the state.
func (d *EWMA) MarshalJSON() ([]byte, error) {
	s := d.store("ewma")
	s.Follows = [2]float64{d.z, d.decay}
	return json.Marshal(s)
}

// UnmarshalJSON implements [json.Unmarshaler]. It restores a state into a detector of the same
// tuning, made by [NewEWMA].
func (d *EWMA) UnmarshalJSON(data []byte) error {
	s, err := read(data, "ewma")
	if err != nil {
		return err
	}
	if s.Follows[1] < 0 || s.Follows[1] > 1 {
		return stateError("follows", s.Follows)
	}
	if err := d.restore(s); err != nil {
		return err
	}
	d.z, d.decay = s.Follows[0], s.Follows[1]
	return nil
}

// MarshalJSON implements [json.Marshaler]. It returns the state.
func (d *CUSUM) MarshalJSON() ([]byte, error) {
	s := d.store("cusum")
	s.Follows = [2]float64{d.above, d.below}
	return json.Marshal(s)
}

// UnmarshalJSON implements [json.Unmarshaler]. It restores a state into a detector of the same
// tuning, made by [NewCUSUM].
func (d *CUSUM) UnmarshalJSON(data []byte) error {
	s, err := read(data, "cusum")
	if err != nil {
		return err
	}
	if s.Follows[0] < 0 || s.Follows[1] < 0 {
		return stateError("follows", s.Follows)
	}
	if err := d.restore(s); err != nil {
		return err
	}
	d.above, d.below = s.Follows[0], s.Follows[1]
	return nil
}
