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
		return fmt.Errorf("sample: wrong length (have %d parts, want a time and a value)", len(pair))
	}
	var text string // JSON numbers have no NaN and no infinity
	if err := json.Unmarshal(pair[1], &text); err != nil {
		return err
	}
	v, err := strconv.ParseFloat(text, 64)
	if err != nil && !errors.Is(err, strconv.ErrRange) {
		return fmt.Errorf("sample: invalid value (have %q, want a number)", text)
	}
	*s = sample(v)
	return nil
}

// series is an element of a vector or a matrix.
type series struct {
	Value     *sample         `json:"value"`
	Values    []sample        `json:"values"`
	Histogram json.RawMessage `json:"histogram"`
	// Histograms belongs to a matrix.
	Histograms json.RawMessage `json:"histograms"`
}

// decode returns the values in the data of a response.
func decode(data []byte) ([]float64, error) {
	var d struct {
		ResultType string          `json:"resultType"`
		Result     json.RawMessage `json:"result"`
	}
	if err := json.Unmarshal(data, &d); err != nil {
		return nil, fmt.Errorf("prometheus: response: data: %w", err)
	}
	if len(d.Result) == 0 || bytes.Equal(d.Result, []byte("null")) {
		d.Result = []byte("[]")
	}
	switch d.ResultType {
	case "scalar":
		var s sample
		if err := json.Unmarshal(d.Result, &s); err != nil {
			return nil, fmt.Errorf("prometheus: response: scalar: %w", err)
		}
		return []float64{float64(s)}, nil
	case "vector", "matrix":
	case "string":
		return nil, errors.New("prometheus: response: wrong type (have a string, want a number)")
	default:
		return nil, fmt.Errorf("prometheus: response: unknown type (have %q, want a scalar, a vector or a matrix)", d.ResultType)
	}
	var all []series
	if err := json.Unmarshal(d.Result, &all); err != nil {
		return nil, fmt.Errorf("prometheus: response: %s: %w", d.ResultType, err)
	}
	var values []float64
	for _, s := range all {
		switch {
		case s.Histogram != nil || s.Histograms != nil:
			return nil, errors.New("prometheus: response: wrong type (have a histogram, want numbers); use histogram_quantile or histogram_avg")
		case s.Value != nil:
			values = append(values, float64(*s.Value))
		case s.Values == nil:
			return nil, fmt.Errorf("prometheus: response: series of a %s without a value", d.ResultType)
		}
		for _, v := range s.Values {
			values = append(values, float64(v))
		}
	}
	return values, nil
}
