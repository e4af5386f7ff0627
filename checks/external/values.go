package external

import (
	"encoding/json"
	"strconv"
)

// Values are the values of a measurement. They marshal to JSON as text, because JSON has
// no NaN and no infinity.
type Values []float64

// MarshalJSON implements [json.Marshaler].
func (v Values) MarshalJSON() ([]byte, error) {
	text := make([]string, len(v))
	for i, f := range v {
		text[i] = strconv.FormatFloat(f, 'g', -1, 64)
	}
	return json.Marshal(text)
}

// UnmarshalJSON implements [json.Unmarshaler].
func (v *Values) UnmarshalJSON(data []byte) error {
	var text []string
	if err := json.Unmarshal(data, &text); err != nil {
		return err
	}
	*v = nil
	for _, s := range text {
		f, err := strconv.ParseFloat(s, 64)
		if err != nil {
			return err
		}
		*v = append(*v, f)
	}
	return nil
}
