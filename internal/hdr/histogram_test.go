package hdr

import (
	"bytes"
	"encoding/json"
	"strings"
	"testing"
	"time"
)

// TestHistogramFormat compares with what HdrHistogram-go v1.4.0 writes for the
// same values, and reads it.
func TestHistogramFormat(t *testing.T) {
	h := new(Histogram)
	for _, us := range []uint64{0, 1, 1, 1000, 2047, 2048, 4097, 250_000, 3600_000_000} {
		h.Add(us, 1)
	}
	got, err := Decode(h.Encode())
	if err != nil || *got != *h {
		t.Errorf("read back: %v", err)
	}
	other, err := Decode(golden)
	if err != nil || *other != *h {
		t.Errorf("HdrHistogram-go's: %v", err)
	}
	for _, bad := range []string{"", "%", "AAAA", golden[:40], "HISTFAAAAAB4nA=="} {
		if _, err := Decode(bad); err == nil {
			t.Errorf("%q is read as a histogram", bad)
		}
	}
}

func FuzzDecodeHistogram(f *testing.F) {
	f.Add(golden)
	f.Add("HISTFAAAAAB4nA==")
	f.Fuzz(func(t *testing.T, s string) {
		h, err := Decode(s)
		if err != nil {
			return
		}
		if again, err := Decode(h.Encode()); err != nil || *again != *h {
			t.Errorf("not stable: %v", err)
		}
	})
}

const golden = "HISTFAAAADh42pJpmSzMwMAAwiDADKUZQcS1yUsY7D9ABJhYTvMzrRZgYvrLz7Q/jmnxHUYmQAAAAP//2x4J6g=="

// TestSketchSurvivesJSON merges two sketches, one of which was read from JSON.
func TestSketchSurvivesJSON(t *testing.T) {
	var one, two, back Sketch
	for i := range 1000 {
		one.Add(time.Duration(i) * time.Millisecond)
		two.Add(time.Duration(i) * time.Second)
	}
	data, err := json.Marshal(&two)
	if err == nil {
		err = json.Unmarshal(data, &back)
	}
	if err != nil || back != two {
		t.Fatalf("read back: %v", err)
	}
	one.Merge(&back)
	if got := one.Quantile(0.25); got < 0.49 || got > 0.51 {
		t.Errorf("p25 is %v s, want about 0.5 s", got)
	}
	for _, bad := range []string{`"AA=="`, `"gP8BAQ=="`, `3`} {
		if json.Unmarshal([]byte(bad), &back) == nil {
			t.Errorf("%s is read as a sketch", bad)
		}
	}
}

func TestHistogramCounts(t *testing.T) {
	var h Histogram
	h.Add(5, 2)
	h.Add(900, 3)
	h.Add(1<<40, 1) // counts as one hour
	n := uint64(0)
	for us, k := range h.Buckets() {
		n += k
		if us != 5 && us != 900 && us < 3.59e9 {
			t.Errorf("a bucket of %v µs", us)
		}
	}
	if n != 6 || h.Count() != 6 || h.AtMost(5) != 2 || h.AtMost(899) != 2 || h.AtMost(900) != 5 || h.AtMost(1<<40) != 6 {
		t.Errorf("%d values, %d, %d and %d of them at most 5, 900 and 2^40 µs", n, h.AtMost(5), h.AtMost(900), h.AtMost(1<<40))
	}
}

func TestLogHasOneHeader(t *testing.T) {
	var h Histogram
	h.Add(7, 1)
	var b bytes.Buffer
	l := NewLog(&b)
	at := time.Unix(1700000000, 5e6)
	l.Write(at, time.Second, []Interval{{"time to first", 7 * time.Microsecond, &h}})
	l.Write(at.Add(time.Second), time.Second, []Interval{{"b", 7 * time.Microsecond, &h}})
	want := []string{"#[Histogram log format version 1.3]", "#[StartTime: 1700000000.005 (seconds since epoch), 2023-11-14T22:13:20Z]",
		`"StartTimestamp","Interval_Length","Interval_Max","Interval_Compressed_Histogram"`,
		"Tag=time-to-first,1700000000.005,1.000,7.000," + h.Encode(), "Tag=b,1700000001.005,1.000,7.000," + h.Encode()}
	if got := strings.Split(strings.TrimSpace(b.String()), "\n"); l.Err() != nil || strings.Join(got, "\n") != strings.Join(want, "\n") {
		t.Errorf("%v, %q", l.Err(), got)
	}
}
