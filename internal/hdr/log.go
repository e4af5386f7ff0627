package hdr

import (
	"fmt"
	"io"
	"strings"
	"time"
)

// Log writes an HdrHistogram log of version 1.3. Durations are in microseconds.
// It is not safe for concurrent use.
type Log struct {
	w     io.Writer
	start time.Time // of the log, zero until the header is written
	err   error
}

// NewLog returns a log that writes to w.
func NewLog(w io.Writer) *Log { return &Log{w: w} }

// Interval is a histogram of one interval of a log.
type Interval struct {
	Tag string
	Max time.Duration
	*Histogram
}

// Write writes the histograms of the interval that begins at from and lasts for
// length. The first call writes the header.
func (l *Log) Write(from time.Time, length time.Duration, all []Interval) {
	var b strings.Builder
	seconds := float64(from.UnixMilli()) / 1000
	if l.start.IsZero() {
		l.start = from
		fmt.Fprintf(&b, "#[Histogram log format version 1.3]\n#[StartTime: %.3f (seconds since epoch), %s]\n", seconds, from.UTC().Format(time.RFC3339))
		b.WriteString("\"StartTimestamp\",\"Interval_Length\",\"Interval_Max\",\"Interval_Compressed_Histogram\"\n")
	}
	for _, i := range all {
		fmt.Fprintf(&b, "Tag=%s,%.3f,%.3f,%.3f,%s\n", strings.ReplaceAll(i.Tag, " ", "-"), seconds, length.Seconds(), i.Max.Seconds()*1e6, i.Encode())
	}
	if l.err == nil {
		_, l.err = io.WriteString(l.w, b.String())
	}
}

// Err returns the first error of the writer. After an error nothing is written.
func (l *Log) Err() error { return l.err }
