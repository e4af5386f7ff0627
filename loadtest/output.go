package loadtest

import (
	"fmt"
	"io"
	"time"

	"github.com/serin-go/serin/internal/hdr"
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
	log *hdr.Log
	at  time.Duration // where the next interval begins, since the start
}

// NewHistogramLog returns a log that writes to w.
func NewHistogramLog(w io.Writer) *HistogramLog { return &HistogramLog{log: hdr.NewLog(w)} }

// Add writes the durations of one interval.
func (l *HistogramLog) Add(interval *Report) { l.add(interval, interval.Generator.wall) }

// Err returns the first error of the writer. Nothing is written after it.
func (l *HistogramLog) Err() error {
	if err := l.log.Err(); err != nil {
		return fmt.Errorf("loadtest: write histogram log: %w", err)
	}
	return nil
}

func (l *HistogramLog) add(r *Report, length time.Duration) {
	var all []hdr.Interval
	for _, row := range r.rows() {
		if row.d.Count() > 0 {
			all = append(all, hdr.Interval{Tag: row.name, Max: row.d.Max(), Histogram: row.d.histogram()})
		}
	}
	l.log.Write(r.Began.Add(l.at), length, all)
	l.at += length
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
