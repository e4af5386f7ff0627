package loadtest

import (
	"fmt"
	"io"
	"strings"
	"time"
)

// WriteHistogramLog writes all durations of r as an HdrHistogram log of version
// 1.3, one tagged histogram in microseconds for each kind; the tools of
// hdrhistogram.org plot and merge it.
func (r *Report) WriteHistogramLog(w io.Writer) error {
	var b strings.Builder
	began := float64(r.Began.UnixMilli()) / 1000
	fmt.Fprintf(&b, "#[Histogram log format version 1.3]\n#[StartTime: %.3f (seconds since epoch), %s]\n", began, r.Began.UTC().Format(time.RFC3339))
	b.WriteString("\"StartTimestamp\",\"Interval_Length\",\"Interval_Max\",\"Interval_Compressed_Histogram\"\n")
	for _, row := range r.rows() {
		if row.d.Count() > 0 {
			fmt.Fprintf(&b, "Tag=%s,%.3f,%.3f,%.3f,%s\n", strings.ReplaceAll(row.name, " ", "-"), began, r.Elapsed.Seconds(),
				row.d.Max().Seconds()*1e6, row.d.histogram().encode())
		}
	}
	if _, err := io.WriteString(w, b.String()); err != nil {
		return fmt.Errorf("loadtest: write histogram log: %w", err)
	}
	return nil
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
