package loadtest

import (
	"encoding/json"
	"fmt"
	"io"
	"maps"
	"strings"
	"time"

	"github.com/serin-go/serin/checks/analysis"
)

// reportJSON is the form of a Report in JSON.
type reportJSON struct {
	Generator   Generator                 `json:"generator"`
	Target      string                    `json:"target"`
	Model       string                    `json:"model"`
	Began       time.Time                 `json:"began"`
	Elapsed     float64                   `json:"elapsed_s"`
	Interrupted bool                      `json:"interrupted"`
	Aborted     string                    `json:"aborted,omitempty"`
	Sent        int                       `json:"sent"`
	Unsent      int                       `json:"unsent"`
	Trimmed     int                       `json:"trimmed"`
	Classes     map[analysis.Class]int    `json:"classes"`
	Faults      map[Fault]int             `json:"faults"`
	FirstErrors map[analysis.Class]string `json:"first_errors,omitempty"`
	Goodput     []Goodput                 `json:"goodput,omitempty"`
	Judged      []Judged                  `json:"thresholds,omitempty"`
	Input       int                       `json:"input_tokens"`
	Cached      int                       `json:"cached_tokens"`
	Output      int                       `json:"output_tokens"`
	Reasoning   int                       `json:"reasoning_tokens"`
	Counted     int                       `json:"requests_with_counted_tokens"`
	Chunks      int                       `json:"chunks"`
	Coalesced   int                       `json:"coalesced"`
	Durations   map[string]Distribution   `json:"durations"`
	Series      []Interval                `json:"series,omitempty"`
}

// MarshalJSON implements [json.Marshaler]. All figures are there, the
// distributions as histograms too; names in JSON carry their units.
func (r *Report) MarshalJSON() ([]byte, error) {
	j := reportJSON{
		Generator: r.Generator, Target: r.Target, Model: r.Model, Began: r.Began, Elapsed: r.Elapsed.Seconds(), Interrupted: r.Interrupted,
		Aborted: r.Aborted, Sent: r.Sent, Unsent: r.Unsent, Trimmed: r.Trimmed, Classes: r.Classes, Faults: r.Faults,
		FirstErrors: make(map[analysis.Class]string), Goodput: r.Goodput, Judged: r.Judged, Input: r.InputTokens, Cached: r.CachedTokens,
		Output: r.OutputTokens, Reasoning: r.ReasoningTokens, Counted: r.CountedTokens, Chunks: r.Chunks, Coalesced: r.Coalesced,
		Durations: make(map[string]Distribution), Series: r.Series(),
	}
	for c, err := range r.FirstErrors {
		j.FirstErrors[c] = err.Error()
	}
	for _, row := range r.rows() {
		j.Durations[row.name] = *row.d
	}
	return json.Marshal(j)
}

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

// Merge adds what o has found to r, as if one run had sent the requests of
// both: counts add up and distributions merge without loss. It is meant for runs
// of parts of one schedule; see [Shard]. Thresholds are not judged anew, and
// rates are those of both together.
func (r *Report) Merge(o *Report) {
	r.Elapsed = max(r.Elapsed, o.Elapsed)
	r.Interrupted = r.Interrupted || o.Interrupted
	r.Sent, r.Unsent, r.Trimmed = r.Sent+o.Sent, r.Unsent+o.Unsent, r.Trimmed+o.Trimmed
	for c, n := range o.Classes {
		r.Classes[c] += n
	}
	for f, n := range o.Faults {
		r.Faults[f] += n
	}
	firsts := maps.Clone(o.FirstErrors)
	maps.Copy(firsts, r.FirstErrors)
	r.FirstErrors = firsts
	r.InputTokens, r.CachedTokens = r.InputTokens+o.InputTokens, r.CachedTokens+o.CachedTokens
	r.OutputTokens, r.ReasoningTokens = r.OutputTokens+o.OutputTokens, r.ReasoningTokens+o.ReasoningTokens
	r.CountedTokens, r.Chunks, r.Coalesced = r.CountedTokens+o.CountedTokens, r.Chunks+o.Chunks, r.Coalesced+o.Coalesced
	for i := range min(len(r.Goodput), len(o.Goodput)) {
		r.Goodput[i].Good += o.Goodput[i].Good
		r.Goodput[i].Sent += o.Goodput[i].Sent
	}
	theirs := o.rows()
	for i, row := range r.rows() {
		row.d.merge(theirs[i].d)
	}
	for i := range o.series.bins {
		r.series.merge(o.series.width, i, &o.series.bins[i])
	}
	for _, at := range []time.Time{o.firstDue, o.lastDue} {
		if !at.IsZero() {
			r.firstDue, r.lastDue = span(r.firstDue, r.lastDue, at)
		}
	}
	for _, at := range []time.Time{o.firstSent, o.lastSent} {
		if !at.IsZero() {
			r.firstSent, r.lastSent = span(r.firstSent, r.lastSent, at)
		}
	}
	mine := r.Generator
	r.Generator = Generator{CPU: max(mine.CPU, o.Generator.CPU), Procs: max(mine.Procs, o.Generator.Procs),
		GCPauses: mine.GCPauses + o.Generator.GCPauses, GCPauseMax: max(mine.GCPauseMax, o.Generator.GCPauseMax)}
	r.finish()
}

// Summarise reads a file of results, as [Writer] wrote it in JSON lines, and
// returns the report on them. The gaps between the single tokens are not in the
// file, so ITL is empty; neither is what the generator used. SLOs are counted
// anew.
func Summarise(in io.Reader, slos ...SLO) (*Report, error) {
	r := newReport(Plan{LagBound: defaultLagBound, SLOs: slos}, "")
	r.Began = time.Time{}
	err := ReadResults(in, func(res Result) error {
		if r.Began.IsZero() {
			r.Began = res.Due
		}
		r.add(res, nil)
		return nil
	})
	r.Generator.CPU = -1
	r.finish()
	return r, err
}
