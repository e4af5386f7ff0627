package loadtest

import (
	"fmt"
	"io"
	"strings"
	"time"
)

// WriteHistogramLog writes all durations of r as an HdrHistogram log of version
// 1.3, one tagged histogram in microseconds for each kind; the tools of
// hdrhistogram.org plot and merge it. For a line each second see
// [HistogramLog].
func (r *Report) WriteHistogramLog(w io.Writer) error {
	l := NewHistogramLog(w)
	l.add(r, r.Elapsed)
	return l.Err()
}

// HistogramLog is an HdrHistogram log of version 1.3 with a line for each kind
// of duration and each interval of a run, as it goes on: its Add is meant for
// [Plan].OnInterval. It is not safe for concurrent use.
type HistogramLog struct {
	w     io.Writer
	begun bool
	at    time.Duration // where the next interval begins, since the start
	err   error
}

// NewHistogramLog returns a log that writes to w.
func NewHistogramLog(w io.Writer) *HistogramLog { return &HistogramLog{w: w} }

// Add writes the durations of one interval.
func (l *HistogramLog) Add(interval *Report) { l.add(interval, interval.Generator.wall) }

// Err returns the first error of the writer. Nothing is written after it.
func (l *HistogramLog) Err() error {
	if l.err != nil {
		return fmt.Errorf("loadtest: write histogram log: %w", l.err)
	}
	return nil
}

func (l *HistogramLog) add(r *Report, length time.Duration) {
	began := float64(r.Began.UnixMilli()) / 1000
	var b strings.Builder
	if !l.begun {
		l.begun = true
		fmt.Fprintf(&b, "#[Histogram log format version 1.3]\n#[StartTime: %.3f (seconds since epoch), %s]\n", began, r.Began.UTC().Format(time.RFC3339))
		b.WriteString("\"StartTimestamp\",\"Interval_Length\",\"Interval_Max\",\"Interval_Compressed_Histogram\"\n")
	}
	for _, row := range r.rows() {
		if row.d.Count() > 0 {
			fmt.Fprintf(&b, "Tag=%s,%.3f,%.3f,%.3f,%s\n", strings.ReplaceAll(row.name, " ", "-"), began+l.at.Seconds(), length.Seconds(),
				row.d.Max().Seconds()*1e6, row.d.histogram().encode())
		}
	}
	l.at += length
	if l.err == nil {
		_, l.err = io.WriteString(l.w, b.String())
	}
}

// Summarise reads a file of results, as [Writer] wrote it in JSON lines, and
// returns the report on them. The gaps between the single tokens are not in the
// file, so ITL is empty; neither is what the generator used. SLOs are counted
// anew.
func Summarise(in io.Reader, slos ...SLO) (*Report, error) {
	r := newReport(Plan{LagBound: defaultLagBound, SLOs: slos}, "")
	err := ReadResults(in, func(res Result) error {
		if r.Began.IsZero() {
			r.Began = res.Due
		}
		r.add(res, chunks{})
		return nil
	})
	r.Generator.CPU = -1
	r.finish()
	return r, err
}
