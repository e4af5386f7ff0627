package exposition

import (
	"iter"
	"strings"
	"time"
)

// Type is the type of a metric family.
type Type int

const (
	Untyped Type = iota // no TYPE line, or "untyped", or "unknown"
	Counter
	Gauge
	Histogram
	Summary
	GaugeHistogram // OpenMetrics
	Info           // OpenMetrics
	StateSet       // OpenMetrics
)

// Sample is one value of a page. It stays valid when the page changes.
type Sample struct {
	// Name is the name of the sample, with suffixes such as _total or _bucket.
	Name string
	// Value may be infinite or NaN.
	Value float64
	// Type is the type of the family that the sample belongs to.
	Type Type
	// Time is the timestamp of the sample. It is zero if the page has none.
	Time time.Time

	labels string // the text between the braces, which is valid
	om     bool
}

// Label returns the value of a label. ok is false if the sample does not have it.
func (s Sample) Label(name string) (value string, ok bool) {
	for n, v := range s.Labels() {
		if n == name {
			return v, true
		}
	}
	return "", false
}

// Labels yields the labels in the order of the page.
func (s Sample) Labels() iter.Seq2[string, string] {
	return func(yield func(name, value string) bool) {
		c := cursor{s: s.labels, om: s.om}
		for c.blanks(); c.i < len(c.s); c.blanks() {
			name, value, isLabel, ok := c.item()
			if !ok {
				return
			}
			if isLabel && !yield(name, unescape(value, s.om)) {
				return
			}
			c.blanks()
			c.skip(',')
		}
	}
}

// unescape resolves the escapes of a quoted text. OpenMetrics keeps a backslash that
// begins no escape.
func unescape(s string, om bool) string {
	if strings.IndexByte(s, '\\') < 0 {
		return s
	}
	var b strings.Builder
	for i := 0; i < len(s); i++ {
		c := s[i]
		if c == '\\' && i+1 < len(s) {
			i++
			switch c = s[i]; {
			case c == 'n':
				c = '\n'
			case om && c != '\\' && c != '"':
				b.WriteByte('\\')
			}
		}
		b.WriteByte(c)
	}
	return b.String()
}
