package loadtest

import (
	"encoding/json"
	"fmt"
	"maps"
	"slices"

	"github.com/serin-go/serin/checks/analysis"
)

// Tagged is the part of a report for the requests with one tag.
type Tagged struct {
	// Sent is the number of requests that were sent, Trimmed the number of them in the
	// warm-up or the cool-down.
	Sent, Trimmed int
	Classes       map[analysis.Class]int
	// Rate is the number of requests per second, without warm-up and cool-down.
	Rate float64
	// The tokens and durations are of the requests that are not trimmed, as in [Report].
	InputTokens, CachedTokens, OutputTokens             int
	CorrectedTTFT, TPOT, CorrectedE2E, CorrectedLatency Distribution
}

// OtherTags is the tag of requests whose tags did not fit in [Report].Tags.
const OtherTags = "other tags"

// maxTags is the largest number of tags of a report, without OtherTags.
const maxTags = 64

// Failed returns the number of requests with a class that counts as failure; see
// [analysis.Class.Failed].
func (t *Tagged) Failed() (n int) {
	for c, k := range t.Classes {
		if c.Failed() {
			n += k
		}
	}
	return n
}

// failedShare returns the share of requests that failed.
func (t *Tagged) failedShare() float64 { return float64(t.Failed()) / float64(max(1, t.Sent)) }

// whole returns CorrectedE2E, or CorrectedLatency for answers without token chunks.
func (t *Tagged) whole() *Distribution {
	if t.CorrectedE2E.Count() == 0 {
		return &t.CorrectedLatency
	}
	return &t.CorrectedE2E
}

// rows returns the durations with their names in JSON.
func (t *Tagged) rows() []row {
	return []row{{name: "corrected TTFT", d: &t.CorrectedTTFT}, {name: "TPOT", d: &t.TPOT}, {name: "corrected E2E", d: &t.CorrectedE2E}, {name: "corrected Latency", d: &t.CorrectedLatency}}
}

// tagged returns the part for a tag, which can be from a file of results.
func (r *Report) tagged(tag string) *Tagged {
	tag = plain(tag)
	if t := r.Tags[tag]; t != nil {
		return t
	}
	if len(r.Tags) >= maxTags && tag != OtherTags {
		return r.tagged(OtherTags)
	}
	if r.Tags == nil {
		r.Tags = make(map[string]*Tagged)
	}
	t := &Tagged{Classes: make(map[analysis.Class]int)}
	r.Tags[tag] = t
	return t
}

// addTag adds one request to the part for its tag.
func (r *Report) addTag(res Result) {
	if res.Tag == "" {
		return
	}
	t := r.tagged(res.Tag)
	t.Sent++
	t.Classes[res.Class]++
	if res.Trimmed {
		t.Trimmed++
		return
	}
	t.InputTokens += res.InputTokens
	t.CachedTokens += res.CachedTokens
	t.OutputTokens += res.OutputTokens
	lag := res.SchedLag()
	if res.Chunks > 0 {
		t.CorrectedTTFT.add(res.TTFT + lag)
	}
	if res.complete() && res.Chunks > 0 {
		t.CorrectedE2E.add(res.E2E + lag)
	}
	if res.complete() && res.Chunks > 1 {
		t.TPOT.add(res.TPOT)
	}
	if res.complete() || res.Class == analysis.Timeout {
		t.CorrectedLatency.add(res.Latency + lag)
	}
}

// finish sets the rate of t, a part of r.
func (t *Tagged) finish(r *Report) {
	for _, row := range t.rows() {
		row.d.seal()
	}
	t.Rate = r.perSecond(t.Sent - t.Trimmed)
}

// mergeTags adds the parts of o to the parts of r.
func (r *Report) mergeTags(o *Report) {
	for _, tag := range slices.Sorted(maps.Keys(o.Tags)) {
		mine, theirs := r.tagged(tag), o.Tags[tag]
		mine.Sent, mine.Trimmed = mine.Sent+theirs.Sent, mine.Trimmed+theirs.Trimmed
		for c, n := range theirs.Classes {
			mine.Classes[c] += n
		}
		mine.InputTokens, mine.CachedTokens = mine.InputTokens+theirs.InputTokens, mine.CachedTokens+theirs.CachedTokens
		mine.OutputTokens += theirs.OutputTokens
		rows := theirs.rows()
		for i, row := range mine.rows() {
			row.d.merge(rows[i].d)
		}
	}
}

// taggedJSON is the JSON of a Tagged.
type taggedJSON struct {
	Sent      int                      `json:"sent"`
	Trimmed   int                      `json:"trimmed"`
	Rate      float64                  `json:"rate"`
	Classes   map[analysis.Class]int   `json:"classes"`
	Input     int                      `json:"input_tokens"`
	Cached    int                      `json:"cached_tokens"`
	Output    int                      `json:"output_tokens"`
	Durations map[string]*Distribution `json:"durations"`
}

// MarshalJSON implements [json.Marshaler]. The JSON can be read back.
func (t *Tagged) MarshalJSON() ([]byte, error) {
	j := taggedJSON{t.Sent, t.Trimmed, t.Rate, t.Classes, t.InputTokens, t.CachedTokens, t.OutputTokens, make(map[string]*Distribution)}
	for _, row := range t.rows() {
		j.Durations[row.name] = row.d
	}
	return json.Marshal(j)
}

// UnmarshalJSON implements [json.Unmarshaler].
func (t *Tagged) UnmarshalJSON(data []byte) error {
	var j taggedJSON
	if err := json.Unmarshal(data, &j); err != nil {
		return err
	}
	*t = Tagged{Sent: j.Sent, Trimmed: j.Trimmed, Rate: j.Rate, Classes: ensure(j.Classes), InputTokens: j.Input, CachedTokens: j.Cached, OutputTokens: j.Output}
	for _, row := range t.rows() {
		if d := j.Durations[row.name]; d != nil {
			*row.d = *d
		}
	}
	return nil
}

// checkTags returns an error for tags of a report that was read and cannot be.
func checkTags(tags map[string]*Tagged) error {
	if len(tags) > maxTags+1 {
		return invalid("len(Report.Tags)", len(tags), fmt.Sprintf("up to %d tags", maxTags+1))
	}
	for tag, t := range tags {
		if t == nil || min(t.Sent, t.Trimmed, t.InputTokens, t.CachedTokens, t.OutputTokens) < 0 || t.Trimmed > t.Sent {
			return invalid(fmt.Sprintf("Report.Tags[%q]", tag), t, "counts of at least 0, and Trimmed up to Sent")
		}
	}
	return nil
}
