package units

import (
	"math"
	"testing"
	"time"
)

func TestUnits(t *testing.T) {
	for s, want := range map[float64]time.Duration{0: 0, 1.5: 1500 * time.Millisecond, 1e-9: 1, -2: -2 * time.Second, math.Inf(1): 1 << 62, 1e300: 1 << 62} {
		if got := Seconds(s); got != want {
			t.Errorf("%v s are %v, want %v", s, got, want)
		}
	}
	if Micros(-1) != 0 || Micros(0.0000015) != 2 {
		t.Errorf("%d and %d µs", Micros(-1), Micros(0.0000015))
	}
}

func TestShort(t *testing.T) {
	for in, want := range map[time.Duration]string{
		0: "0s", 7: "7ns", 999: "999ns", 1234: "1.23µs", 123456: "123µs", 1234567: "1.23ms", 123456789: "123ms",
		12345678901: "12.3s", 754 * time.Second: "12m34s", -1234567: "-1.23ms",
	} {
		if got := Short(in).String(); got != want {
			t.Errorf("short(%d) = %s, want %s", int64(in), got, want)
		}
	}
}
