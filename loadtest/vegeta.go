package loadtest

import (
	"fmt"
	"io"
	"slices"
	"time"

	vegeta "github.com/tsenart/vegeta/v12/lib"
)

// VegetaReport makes the reports of vegeta's own commands of this package's
// results, for tools and eyes that are used to them. Its latencies are those
// that were measured, not corrected, and its percentiles are vegeta's estimates,
// which a [Report] has more exactly. It is not safe for concurrent use; make one
// by [NewVegetaReport].
type VegetaReport struct {
	metrics vegeta.Metrics
	seen    map[string]struct{} // error texts
}

// maxErrorSet is how many different errors a VegetaReport lists.
const maxErrorSet = 100

// NewVegetaReport returns an empty report. buckets are the lower bounds of the
// histogram's buckets, ascending; one that begins at 0 is added, as vegeta would
// count what is shorter than the first among the longest. Without buckets there
// is no histogram.
func NewVegetaReport(buckets ...time.Duration) (*VegetaReport, error) {
	if !slices.IsSorted(buckets) || len(buckets) > 0 && buckets[0] < 0 {
		return nil, &InvalidError{"buckets", buckets, "durations of at least 0 in ascending order"}
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

// Add takes in one result.
func (v *VegetaReport) Add(r Result) {
	text := ""
	if r.Err != nil {
		text = r.Err.Error()
		if _, known := v.seen[text]; !known && len(v.seen) >= maxErrorSet {
			text = "(other errors)" // vegeta would keep them all
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

// WriteJSON writes that of vegeta report -type=json.
func (v *VegetaReport) WriteJSON(w io.Writer) error { return v.write(w, vegeta.NewJSONReporter) }

// WriteHistogram writes that of vegeta report -type=hist.
func (v *VegetaReport) WriteHistogram(w io.Writer) error {
	if v.metrics.Histogram == nil {
		return &InvalidError{"buckets", 0, "at least one for a histogram"}
	}
	return v.write(w, func(m *vegeta.Metrics) vegeta.Reporter { return vegeta.NewHistogramReporter(m.Histogram) })
}

func (v *VegetaReport) write(w io.Writer, reporter func(*vegeta.Metrics) vegeta.Reporter) error {
	done := v.metrics // Close computes rates of totals, which more results would need again
	done.Close()
	if err := reporter(&done).Report(w); err != nil {
		return fmt.Errorf("loadtest: write vegeta's report: %w", err)
	}
	return nil
}
