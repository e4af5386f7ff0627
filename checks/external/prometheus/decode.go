package prometheus

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"strconv"
)

// sample is a pair [time, "value"].
type sample float64

// UnmarshalJSON implements [json.Unmarshaler].
func (s *sample) UnmarshalJSON(data []byte) error {
	var pair []json.RawMessage
	if err := json.Unmarshal(data, &pair); err != nil {
		return err
	}
	if len(pair) != 2 {
		return fmt.Errorf("a sample has %d parts, want a time and a value", len(pair))
	}
	var text string // NaN and infinities have no place in JSON's numbers
	if err := json.Unmarshal(pair[1], &text); err != nil {
		return err
	}
	v, err := strconv.ParseFloat(text, 64)
	if err != nil && !errors.Is(err, strconv.ErrRange) {
		return fmt.Errorf("a sample has the value %q, want a number", text)
	}
	*s = sample(v)
	return nil
}

// series is an element of a vector or a matrix.
type series struct {
	Value     *sample         `json:"value"`
	Values    []sample        `json:"values"`
	Histogram json.RawMessage `json:"histogram"`
	// Histograms are those of a matrix.
	Histograms json.RawMessage `json:"histograms"`
}

// decode returns the values of the data of an answer.
func decode(data []byte) ([]float64, error) {
	var d struct {
		ResultType string          `json:"resultType"`
		Result     json.RawMessage `json:"result"`
	}
	if err := json.Unmarshal(data, &d); err != nil {
		return nil, fmt.Errorf("prometheus: the data of the answer: %w", err)
	}
	if len(d.Result) == 0 || bytes.Equal(d.Result, []byte("null")) {
		d.Result = []byte("[]")
	}
	switch d.ResultType {
	case "scalar":
		var s sample
		if err := json.Unmarshal(d.Result, &s); err != nil {
			return nil, fmt.Errorf("prometheus: a scalar: %w", err)
		}
		return []float64{float64(s)}, nil
	case "vector", "matrix":
	case "string":
		return nil, errors.New("prometheus: the answer is a string, want a number")
	default:
		return nil, fmt.Errorf("prometheus: the answer is a %q, want a scalar, a vector or a matrix", d.ResultType)
	}
	var all []series
	if err := json.Unmarshal(d.Result, &all); err != nil {
		return nil, fmt.Errorf("prometheus: a %s: %w", d.ResultType, err)
	}
	var values []float64
	for _, s := range all {
		switch {
		case s.Histogram != nil || s.Histograms != nil:
			return nil, errors.New("prometheus: the answer has a histogram, want numbers; use histogram_quantile or histogram_avg")
		case s.Value != nil:
			values = append(values, float64(*s.Value))
		case s.Values == nil:
			return nil, fmt.Errorf("prometheus: a series of a %s has no value", d.ResultType)
		}
		for _, v := range s.Values {
			values = append(values, float64(v))
		}
	}
	return values, nil
}
