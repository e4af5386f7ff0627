package compat

import (
	"fmt"
	"io"
	"slices"
	"strings"
	"time"
	"unicode"

	vegeta "github.com/tsenart/vegeta/v12/lib"

	"github.com/serin-go/serin/checks"
	"github.com/serin-go/serin/loadtest"
)

// VegetaReport writes the reports of the command vegeta report from results of a
// load test. Latencies are not corrected for coordinated omission, and percentiles
// are vegeta's estimates; a [loadtest.Report] has exact ones. A VegetaReport is not
// safe for concurrent use. Make one by [NewVegetaReport].
type VegetaReport struct {
	metrics vegeta.Metrics
	seen    map[string]struct{} // error texts
}

// maxErrorSet is the number of different errors that a VegetaReport lists.
const maxErrorSet = 100

// NewVegetaReport returns an empty report. buckets are the lower bounds of the
// histogram's buckets in ascending order. A bucket that begins at 0 is added if
// needed, because vegeta counts latencies below the first bucket in the last one.
// If there are no buckets, there is no histogram.
func NewVegetaReport(buckets ...time.Duration) (*VegetaReport, error) {
	if !slices.IsSorted(buckets) || len(buckets) > 0 && buckets[0] < 0 {
		return nil, &checks.InvalidError{Package: "compat", Field: "buckets", Value: buckets, Want: "durations of at least 0 in ascending order"}
	}
	v := &VegetaReport{seen: make(map[string]struct{})}
	if len(buckets) > 0 {
		if buckets[0] > 0 {
			buckets = append([]time.Duration{0}, buckets...)
		}
		v.metrics.Histogram = &vegeta.Histogram{Buckets: buckets}
	}
	return v, nil
}

// Add adds a result.
func (v *VegetaReport) Add(r loadtest.Result) {
	text := ""
	if r.Err != nil {
		text = strings.Map(func(r rune) rune {
			if unicode.IsControl(r) {
				return ' ' // servers state parts of it, and a terminal would obey them
			}
			return r
		}, r.Err.Error())
		if _, known := v.seen[text]; !known && len(v.seen) >= maxErrorSet {
			text = "(other errors)" // vegeta keeps all error texts
		}
		v.seen[text] = struct{}{}
	}
	v.metrics.Add(&vegeta.Result{
		Seq: r.Seq, Code: uint16(r.Status), Timestamp: r.Sent, Latency: r.Latency,
		BytesIn: uint64(r.BytesIn), BytesOut: uint64(r.BytesOut), Error: text,
	})
}

// WriteText writes the report of vegeta report.
func (v *VegetaReport) WriteText(w io.Writer) error { return v.write(w, vegeta.NewTextReporter) }

// WriteJSON writes the report of vegeta report -type=json.
func (v *VegetaReport) WriteJSON(w io.Writer) error { return v.write(w, vegeta.NewJSONReporter) }

// WriteHistogram writes the report of vegeta report -type=hist. It is an error if
// there are no buckets.
func (v *VegetaReport) WriteHistogram(w io.Writer) error {
	if v.metrics.Histogram == nil {
		return &checks.InvalidError{Package: "compat", Field: "buckets", Value: 0, Want: "at least one for a histogram"}
	}
	return v.write(w, func(m *vegeta.Metrics) vegeta.Reporter { return vegeta.NewHistogramReporter(m.Histogram) })
}

func (v *VegetaReport) write(w io.Writer, reporter func(*vegeta.Metrics) vegeta.Reporter) error {
	done := v.metrics // a copy, since Close overwrites totals
	done.Close()
	if err := reporter(&done).Report(w); err != nil {
		return fmt.Errorf("compat: write vegeta report: %w", err)
	}
	return nil
}
