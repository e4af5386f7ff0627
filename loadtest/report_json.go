package loadtest

import (
	"encoding/json"
	"errors"
	"fmt"
	"iter"
	"time"

	"github.com/serin-go/serin/checks/analysis"
)

// reportJSON is the JSON of a Report: its figures, and the state for merging.
type reportJSON struct {
	Generator   Generator                 `json:"generator"`
	Verdict     string                    `json:"verdict"`
	Target      string                    `json:"target"`
	Model       string                    `json:"model"`
	Began       time.Time                 `json:"began"`
	Elapsed     float64                   `json:"elapsed_s"`
	Interrupted bool                      `json:"interrupted"`
	Aborted     string                    `json:"aborted,omitempty"`
	Sent        int                       `json:"sent"`
	Unsent      int                       `json:"unsent"`
	Trimmed     int                       `json:"trimmed"`
	Missing     int                       `json:"missing"`
	Incomplete  string                    `json:"incomplete,omitempty"`
	Notes       []string                  `json:"notes,omitempty"`
	Classes     map[analysis.Class]int    `json:"classes"`
	Faults      map[Fault]int             `json:"faults"`
	Errors      []errorCount              `json:"errors,omitempty"`
	FirstErrors map[analysis.Class]string `json:"first_errors,omitempty"`
	Goodput     []Goodput                 `json:"goodput,omitempty"`
	Judged      []Judged                  `json:"thresholds,omitempty"`
	Input       int                       `json:"input_tokens"`
	Cached      int                       `json:"cached_tokens"`
	Output      int                       `json:"output_tokens"`
	Reasoning   int                       `json:"reasoning_tokens"`
	OutputRate  float64                   `json:"output_tokens_per_s"`
	TotalRate   float64                   `json:"total_tokens_per_s"`
	Sources     map[TokenSource]int       `json:"token_sources"`
	Chunks      int                       `json:"chunks"`
	Coalesced   int                       `json:"coalesced"`
	Peak        int                       `json:"peak_concurrency"`
	UnderWay    int                       `json:"under_way,omitempty"`
	Tags        map[string]*Tagged        `json:"tags,omitempty"`
	Durations   map[string]*Distribution  `json:"durations"`
	Series      []Interval                `json:"series,omitempty"`
	Server      *ServerSide               `json:"server,omitempty"`
	State       stateJSON                 `json:"state"`
}

// stateJSON is the state for merging that is not part of the figures.
type stateJSON struct {
	Elapsed   time.Duration `json:"elapsed_ns"`
	LagBound  time.Duration `json:"lag_bound_ns"`
	Wall      time.Duration `json:"wall_ns"`
	FirstDue  time.Time     `json:"first_due,omitzero"`
	LastDue   time.Time     `json:"last_due,omitzero"`
	FirstSent time.Time     `json:"first_sent,omitzero"`
	LastSent  time.Time     `json:"last_sent,omitzero"`
	KeptDue   time.Time     `json:"kept_due,omitzero"`
	KeptEnd   time.Time     `json:"kept_end,omitzero"`
	Series    seriesJSON    `json:"series"`
	Batches   []batchesJSON `json:"batches,omitempty"` // of Goodput
	Waits     []batchesJSON `json:"waits,omitempty"`
	Tally     *tally        `json:"tally"`
	OwnLag    *Distribution `json:"own_lag,omitempty"`
}

// MarshalJSON implements [json.Marshaler]. The JSON has all figures, with their units in
// the names of members, and the distributions as histograms. It can be read back.
func (r *Report) MarshalJSON() ([]byte, error) {
	j := reportJSON{
		Generator: r.Generator, Verdict: r.verdict().Text, Target: r.Target, Model: r.Model, Began: r.Began, Elapsed: r.Elapsed.Seconds(), Interrupted: r.Interrupted,
		Aborted: r.Aborted, Sent: r.Sent, Unsent: r.Unsent, Trimmed: r.Trimmed, Missing: r.Missing, Incomplete: r.Incomplete, Notes: r.Notes, Classes: r.Classes, Faults: r.Faults,
		Errors: r.errorCounts(), FirstErrors: make(map[analysis.Class]string), Goodput: r.Goodput, Judged: r.Judged, Input: r.InputTokens, Cached: r.CachedTokens,
		Output: r.OutputTokens, Reasoning: r.ReasoningTokens, OutputRate: r.TokenRate(), TotalRate: r.totalTokenRate(),
		Sources: r.TokenSources, Chunks: r.Chunks, Coalesced: r.Coalesced, Peak: r.PeakConcurrency, UnderWay: r.UnderWay,
		Tags: r.Tags, Durations: make(map[string]*Distribution), Series: r.Series(), Server: r.Server,
		State: stateJSON{r.Elapsed, r.LagBound, r.Generator.wall, r.firstDue, r.lastDue, r.firstSent, r.lastSent, r.keptDue, r.keptEnd, r.series.json(), nil, nil, &r.tally, r.ownLag},
	}
	for i := range r.batches {
		j.State.Batches = append(j.State.Batches, r.batches[i].json())
	}
	for i := range r.waits {
		j.State.Waits = append(j.State.Waits, r.waits[i].json())
	}
	for c, err := range r.FirstErrors {
		j.FirstErrors[c] = cut(err.Error())
	}
	for _, row := range r.rows() {
		j.Durations[row.name] = row.d
	}
	return json.Marshal(j)
}

// UnmarshalJSON implements [json.Unmarshaler]. Distributions have the precision of
// their histograms, and the results of thresholds have no errors.
func (r *Report) UnmarshalJSON(data []byte) error {
	var j reportJSON
	if err := json.Unmarshal(data, &j); err != nil {
		return err
	}
	if j.State.Tally == nil {
		return errors.New("loadtest: Report: member state is missing")
	}
	if n := min(j.Sent, j.Unsent, j.Trimmed, j.Missing, j.UnderWay, j.Chunks, j.Coalesced, j.Input, j.Output); n < 0 {
		return invalid("Report", n, "counts of at least 0")
	}
	for _, e := range j.Errors {
		if e.N < 0 {
			return invalid("Report", e.N, "counts of at least 0")
		}
	}
	for f := range j.Faults {
		if _, err := parseFault(f); err != nil {
			return fmt.Errorf("loadtest: Report: %w", err)
		}
	}
	if err := checkTags(j.Tags); err != nil {
		return err
	}
	s := j.State
	*r = Report{
		Tags:      j.Tags,
		Generator: j.Generator, Target: j.Target, Model: j.Model, Began: j.Began, Elapsed: s.Elapsed, Interrupted: j.Interrupted, Aborted: j.Aborted,
		Sent: j.Sent, Unsent: j.Unsent, Trimmed: j.Trimmed, Missing: j.Missing, Incomplete: j.Incomplete, Notes: j.Notes, Classes: ensure(j.Classes), Faults: ensure(j.Faults),
		Errors: make(map[ErrorKind]int), FirstErrors: make(map[analysis.Class]error), Server: j.Server, Goodput: j.Goodput, Judged: j.Judged, InputTokens: j.Input, CachedTokens: j.Cached,
		OutputTokens: j.Output, ReasoningTokens: j.Reasoning, TokenSources: ensure(j.Sources), Chunks: j.Chunks, Coalesced: j.Coalesced,
		PeakConcurrency: j.Peak, UnderWay: j.UnderWay, LagBound: s.LagBound, firstDue: s.FirstDue, lastDue: s.LastDue, firstSent: s.FirstSent, lastSent: s.LastSent, keptDue: s.KeptDue, keptEnd: s.KeptEnd, ownLag: s.OwnLag, tally: *s.Tally,
	}
	r.Generator.wall = s.Wall
	for _, e := range j.Errors {
		r.countError(e.ErrorKind, e.N)
	}
	for c, text := range j.FirstErrors {
		r.FirstErrors[c] = errors.New(text)
	}
	for _, row := range r.rows() {
		if d := j.Durations[row.name]; d != nil {
			*row.d = *d
		}
	}
	if err := r.series.restore(s.Series); err != nil {
		return err
	}
	r.batches = goodputBatches(len(r.Goodput))
	for i := range min(len(r.batches), len(s.Batches)) {
		if err := r.batches[i].restore(s.Batches[i]); err != nil {
			return err
		}
	}
	for i := range min(len(r.waits), len(s.Waits)) {
		if err := r.waits[i].restore(s.Waits[i]); err != nil {
			return err
		}
	}
	r.finish()
	return nil
}

// Durations returns all distributions of r with their names, such as "TTFT" and
// "corrected TTFT".
func (r *Report) Durations() iter.Seq2[string, *Distribution] {
	return func(yield func(string, *Distribution) bool) {
		for _, row := range r.rows() {
			if !yield(row.name, row.d) {
				return
			}
		}
	}
}

func ensure[K comparable](m map[K]int) map[K]int {
	if m == nil {
		return make(map[K]int)
	}
	return m
}
