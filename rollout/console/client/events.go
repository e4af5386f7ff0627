package client

import (
	"context"
	"encoding/json"
	"net/http"
	"net/url"
	"strconv"
	"time"
)

// Event is one thing that has happened to a rollout: an entry of its audit trail.
type Event struct {
	Rollout string    `json:"rollout"`
	Seq     uint64    `json:"seq"` // from 1, without gaps
	At      time.Time `json:"at"`
	Kind    string    `json:"kind"`
	By      Actor     `json:"by"`
	Reason  string    `json:"reason"`
	// Rule names the rule that has decided, such as "harm" or "command".
	Rule   string `json:"rule,omitempty"`
	Urgent bool   `json:"urgent,omitempty"`
	// What follows is the state after the event.
	Phase     string   `json:"phase"`
	Stage     int      `json:"stage"`
	StageName string   `json:"stage_name,omitempty"`
	Paused    bool     `json:"paused,omitempty"`
	Arms      []Arm    `json:"arms"`
	Baked     Duration `json:"baked,omitzero"`
	// Verdict is the verdict that the decision was based on, or empty. Checks are the results
	// that it was based on.
	Verdict string  `json:"verdict,omitempty"`
	Checks  []Check `json:"checks,omitempty"`
	// Prev and Hash chain the events of a rollout.
	Prev string `json:"prev,omitempty"`
	Hash string `json:"hash"`
	// Text is the event in one line.
	Text string `json:"text"`
}

// Check is the result of a check.
type Check struct {
	Name string `json:"name"`
	// Status is "pass", "warn", "fail" or "unknown".
	Status   string            `json:"status"`
	Summary  string            `json:"summary,omitempty"`
	Error    string            `json:"error,omitempty"`
	Evidence map[string]string `json:"evidence,omitempty"`
	Took     Duration          `json:"took,omitzero"`
}

// Judgement is the newest judgement on a candidate.
type Judgement struct {
	Rollout string    `json:"rollout"`
	At      time.Time `json:"at"`
	// Verdict is as in [State], and Reason a sentence.
	Verdict   string   `json:"verdict"`
	Reason    string   `json:"reason"`
	Baseline  ArmCount `json:"baseline"`
	Candidate ArmCount `json:"candidate"`
	Harm      Proof    `json:"harm"`
	// Followed is the share of the assigned requests of which the end is known.
	Followed float64 `json:"followed"`
	// Needed forecasts how many more requests of the candidate prove it safe; 0 means that
	// it is proven or that there is no forecast.
	Needed  int      `json:"needed,omitempty"`
	Metrics []Metric `json:"metrics"`
}

// ArmCount is how many requests of a version a judgement rests on.
type ArmCount struct {
	Arm      string `json:"arm"`
	Requests int    `json:"requests"`
	Served   int    `json:"served"` // ended well
	Excluded int    `json:"excluded,omitempty"`
}

// Metric is what a judgement says about one metric.
type Metric struct {
	Name string `json:"name"`
	Unit string `json:"unit,omitempty"`
	// Better is "lower", "higher" or "same"; Role is "gate", "guard" or "report".
	Better string `json:"better"`
	Role   string `json:"role"`
	// Baseline and Candidate are rates, medians or means, of BaselineN and CandidateN
	// requests that have a value.
	Baseline   float64 `json:"baseline"`
	Candidate  float64 `json:"candidate"`
	BaselineN  int     `json:"baseline_n"`
	CandidateN int     `json:"candidate_n"`
	Harm       Proof   `json:"harm"`
	Safe       Proof   `json:"safe"`
	// Effect is nil while too little is known.
	Effect  *Interval `json:"effect,omitempty"`
	Needed  int       `json:"needed,omitempty"`
	Verdict string    `json:"verdict"`
	Reason  string    `json:"reason"`
}

// Judgement returns the newest judgement on a rollout's candidate.
func (c *Client) Judgement(ctx context.Context, id string) (Judgement, error) {
	var out Judgement
	_, err := c.do(ctx, get(segments(id, "judgement")...), &out)
	return out, err
}

// Events returns up to limit events of a rollout, from number from on. limit is 1 to 200; 0
// means 50. If there is no such event yet, the server waits for one as long as wait says, up
// to 30 s, and then returns no events. ended reports whether no further events will come
// after these.
func (c *Client) Events(ctx context.Context, id string, from uint64, limit int, wait time.Duration) (events []Event, ended bool, err error) {
	in := get(segments(id, "events")...)
	in.query = url.Values{"from": {strconv.FormatUint(max(from, 1), 10)}}
	if limit != 0 {
		in.query.Set("limit", strconv.Itoa(limit))
	}
	if wait != 0 {
		in.query.Set("wait", wait.String())
	}
	var out struct {
		Events []Event
		Ended  bool
	}
	_, err = c.do(ctx, in, &out)
	return out.Events, out.Ended, err
}

// Event returns one event of a rollout.
func (c *Client) Event(ctx context.Context, id string, seq uint64) (Event, error) {
	var out Event
	_, err := c.do(ctx, get(segments(id, "events", strconv.FormatUint(seq, 10))...), &out)
	return out, err
}

// Explain returns a text of several lines about what an event's decision was based on.
func (c *Client) Explain(ctx context.Context, id string, seq uint64) (string, error) {
	in := get(segments(id, "events", strconv.FormatUint(seq, 10), "explain")...)
	in.header = http.Header{"Accept": {"text/plain"}}
	var out []byte
	_, err := c.do(ctx, in, &out)
	return string(out), err
}

// EventProof proves that an event is in the audit trail of its target.
type EventProof struct {
	// Inclusion is an audit.Inclusion in JSON.
	Inclusion json.RawMessage `json:"inclusion"`
	// Checkpoint is a signed checkpoint of the same size, for audit.Inclusion.Check. It is
	// empty if the server has no key to sign with.
	Checkpoint string `json:"checkpoint,omitempty"`
}

// Prove returns the proof that an event is in the audit trail.
func (c *Client) Prove(ctx context.Context, id string, seq uint64) (EventProof, error) {
	var out EventProof
	_, err := c.do(ctx, get(segments(id, "events", strconv.FormatUint(seq, 10), "proof")...), &out)
	return out, err
}
