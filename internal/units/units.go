// Package units converts durations and formats durations and counts for people.
package units

import (
	"math"
	"strconv"
	"time"
)

// Seconds returns s seconds as a Duration, rounded to nanoseconds. It returns
// about 146 years for longer times.
func Seconds(s float64) time.Duration {
	return time.Duration(min(math.Round(s*float64(time.Second)), float64(math.MaxInt64/2)))
}

// Micros returns s seconds in microseconds, rounded, and 0 for negative times.
func Micros(s float64) uint64 { return uint64(max(0, math.Round(s*1e6))) }

// Short returns d rounded to three significant digits.
func Short(d time.Duration) time.Duration {
	if d == 0 {
		return 0
	}
	digits := math.Floor(math.Log10(math.Abs(float64(d))))
	return d.Round(time.Duration(math.Pow(10, max(0, digits-2))))
}

// Grouped returns n in decimal with commas between thousands.
func Grouped(n int) string {
	s := strconv.Itoa(n)
	for i := len(s) - 3; i > 0 && s[i-1] != '-'; i -= 3 {
		s = s[:i] + "," + s[i:]
	}
	return s
}
