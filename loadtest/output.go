package loadtest

import (
	"cmp"
	"fmt"
	"io"
	"time"

	"github.com/serin-go/serin/internal/hdr"
)

// HistogramLog writes an HdrHistogram log of version 1.3, which the tools of
// hdrhistogram.org plot and merge. It has a line for each kind of duration and each
// interval, in microseconds. Add can be the [Plan].OnInterval of a run, or be called
// once with the report of the whole run. It is not safe for concurrent use.
type HistogramLog struct {
	log *hdr.Log
	at  time.Duration // since the start, where the next interval begins
}

// NewHistogramLog returns a log that writes to w.
func NewHistogramLog(w io.Writer) *HistogramLog { return &HistogramLog{log: hdr.NewLog(w)} }

// Err returns the first error of the writer. After an error, nothing is written.
func (l *HistogramLog) Err() error {
	if err := l.log.Err(); err != nil {
		return fmt.Errorf("loadtest: write histogram log: %w", err)
	}
	return nil
}

// Add writes the durations of r as the next interval.
func (l *HistogramLog) Add(r *Report) {
	length := cmp.Or(r.Generator.wall, r.Elapsed)
	var all []hdr.Interval
	for _, row := range r.rows() {
		if row.d.Count() > 0 {
			all = append(all, hdr.Interval{Tag: row.name, Max: row.d.Quantile(1), Histogram: row.d.histogram()})
		}
	}
	l.log.Write(r.Began.Add(l.at), length, all)
	l.at += length
}

// Summarise returns the report of a file of results that [Writer] wrote as JSON lines,
// or of several such files one after another. Memory does not grow with their length.
// The files have no gaps between tokens and no figures of the generator, so ITL and ICL
// are empty. Goodput is computed for slos. With an error of [ReadResults], it returns
// the report of the lines before it, with the error as [Report].Incomplete.
func Summarise(in io.Reader, slos ...SLO) (*Report, error) {
	r := newReport(Plan{LagBound: defaultLagBound, SLOs: slos}, "")
	var first []Result // in the order of their ends
	begin := func() {
		for _, res := range first {
			if r.Began.IsZero() || res.Due.Before(r.Began) {
				r.Began = res.Due
			}
		}
		for _, res := range first {
			r.add(res, chunks{})
		}
		first = nil
	}
	err := ReadResults(in, func(res Result) error {
		if !r.Began.IsZero() {
			r.add(res, chunks{})
		} else if first = append(first, res); len(first) == maxFirst {
			begin()
		}
		return nil
	})
	begin()
	if early := r.Began.Sub(r.firstDue); early > 0 {
		r.Began, r.Elapsed = r.firstDue, r.Elapsed+early
	}
	r.Generator.CPU = -1
	r.finish()
	if err != nil {
		r.Incomplete = cut(err.Error())
	}
	return r, err
}

// maxFirst is the number of results among which the start of a run is searched.
const maxFirst = 1000
