package analysis

import (
	"fmt"
	"slices"

	"github.com/serin-go/serin/internal/evalue"
	"github.com/serin-go/serin/internal/hist"
)

// LengthDrift compares the lengths of inputs or outputs with what they were on
// the baseline, window by window of 1,000 requests, by the population stability
// index. The customary limits of 0.1 and 0.25 are no test; this one is exceeded
// by one window in a thousand if nothing has changed.
type LengthDrift struct {
	Metric string `json:"metric"`
	// Windows counts those that were compared, Drifted those that exceeded the
	// limit.
	Windows int `json:"windows"`
	Drifted int `json:"drifted"`
	// Index and Limit belong to the last full window. They are 0 before the first one.
	Index float64 `json:"index"`
	Limit float64 `json:"limit"`
	// Counts holds the window that is being filled, by bin.
	Counts []int `json:"counts,omitempty"`
}

const (
	lengthWindow = 1000
	lengthAlpha  = 0.001
	lengthBins   = 10
)

// lengthMonitor monitors a metric of lengths.
type lengthMonitor struct {
	index int
	edges []float64 // upper bounds of the bins but the last
	past  []int     // the baseline's counts, by bin
	n     int       // in the window
	drift LengthDrift
}

// newLengthMonitor returns a monitor over the lengths of metric i, false if it is no
// length or the profile has too few.
func newLengthMonitor(i int, m meter, profile sampleEvidence) (lengthMonitor, bool) {
	l := lengthMonitor{index: i, drift: LengthDrift{Metric: m.Name}}
	var h hist.Histogram
	if m.source != fromInput && m.source != fromOutput || h.UnmarshalBinary(profile.Values) != nil || h.Count() < profileMin {
		return l, false
	}
	// Bins of about a tenth each, cut where buckets of the histogram are: there,
	// its counts are exact.
	seen, cut := 0, 0
	for upper, n := range h.Buckets() {
		seen += n
		if next := (len(l.edges) + 1) * int(h.Count()) / lengthBins; seen >= next && seen < int(h.Count()) {
			l.edges, l.past = append(l.edges, upper), append(l.past, seen-cut)
			cut = seen
		}
	}
	l.past = append(l.past, int(h.Count())-cut)
	l.drift.Counts = make([]int, len(l.past))
	return l, true
}

// look takes in new lengths.
func (l *lengthMonitor) look(values []float64) {
	for _, v := range values {
		at, found := slices.BinarySearch(l.edges, v)
		if found {
			at++ // a bound belongs to the bin above it
		}
		l.drift.Counts[at]++
		if l.n++; l.n == lengthWindow {
			l.close()
		}
	}
}

// close compares the window that is full.
func (l *lengthMonitor) close() {
	d := &l.drift
	d.Index, d.Limit = evalue.PSI(l.past, d.Counts, lengthAlpha)
	if len(l.past) < 2 {
		d.Index, d.Limit = 0, 0 // all of one length: there is no index
	}
	d.Windows++
	if d.Index > d.Limit {
		d.Drifted++
	}
	clear(d.Counts)
	l.n = 0
}

// check reports whether d can be a state of l.
func (l *lengthMonitor) check(d LengthDrift) error {
	sum := 0
	for _, c := range d.Counts {
		if c < 0 {
			sum = lengthWindow
			break
		}
		sum += c
	}
	if d.Metric != l.drift.Metric || len(d.Counts) != len(l.past) || sum >= lengthWindow || d.Windows < 0 || d.Drifted < 0 || d.Drifted > d.Windows || !(d.Index >= 0) || !(d.Limit >= 0) {
		return fmt.Errorf("the state of %q cannot be one of %q", d.Metric, l.drift.Metric)
	}
	return nil
}

// restore takes in a state that was checked.
func (l *lengthMonitor) restore(d LengthDrift) {
	d.Counts = slices.Clone(d.Counts)
	l.drift, l.n = d, 0
	for _, c := range d.Counts {
		l.n += c
	}
}
