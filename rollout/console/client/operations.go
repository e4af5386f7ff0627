package client

import (
	"context"
	"encoding/json"
	"io"
	"net/http"
	"net/url"
	"strconv"
	"time"
)

// Verification is the result of verifying the audit trail of a target.
type Verification struct {
	Target string    `json:"target"`
	At     time.Time `json:"at"`
	Sound  bool      `json:"sound"`
	// Events is how many events the store has, and Archived how many were before them.
	Events   int `json:"events"`
	Archived int `json:"archived,omitempty"`
	// Root is the root of the Merkle tree over all events, in base64.
	Root string `json:"root,omitempty"`
	// Problems are all entries that are not as they were written.
	Problems []string `json:"problems,omitempty"`
}

// Verify verifies the audit trail of a target. What is found is in the result, and no error.
func (c *Client) Verify(ctx context.Context, target string) (Verification, error) {
	var out Verification
	_, err := c.do(ctx, get("audit", target, "verify"), &out)
	return out, err
}

// Export returns the audit trail of a target as JSON lines, which audit.ReadJSONL reads. The
// caller closes it.
func (c *Client) Export(ctx context.Context, target string) (io.ReadCloser, error) {
	in := get("audit", target, "export")
	in.header = http.Header{"Accept": {"application/jsonl"}}
	resp, err := c.open(ctx, in)
	if err != nil {
		return nil, err
	}
	return resp.Body, nil
}

// Checkpoint returns a signed checkpoint of the audit trail of a target: a signed note of
// C2SP. Keep it in another place.
func (c *Client) Checkpoint(ctx context.Context, target string) ([]byte, error) {
	in := get("audit", target, "checkpoint")
	in.header = http.Header{"Accept": {"text/plain"}}
	var out []byte
	_, err := c.do(ctx, in, &out)
	return out, err
}

// DeadLetter is an event that a sink has not taken.
type DeadLetter struct {
	Sink string `json:"sink"`
	// Key identifies the event, for [Client.Redeliver].
	Key      string    `json:"key"`
	Event    Event     `json:"event"`
	Error    string    `json:"error"`
	Attempts int       `json:"attempts,omitempty"`
	At       time.Time `json:"at,omitzero"`
}

// DeadLetters returns the events that sinks have not taken, of targets that the caller may
// read, up to 1,000.
func (c *Client) DeadLetters(ctx context.Context) ([]DeadLetter, error) {
	var out struct {
		DeadLetters []DeadLetter `json:"dead_letters"`
	}
	_, err := c.do(ctx, get("deadletters"), &out)
	return out.DeadLetters, err
}

// Redeliver offers a dead letter to its sink again.
func (c *Client) Redeliver(ctx context.Context, sink, key string) error {
	in := post("", "deadletters")
	in.body = map[string]string{"sink": sink, "key": key}
	_, err := c.do(ctx, in, nil)
	return err
}

// Checklist is the state of a checklist for a rollout.
type Checklist struct {
	List    string    `json:"list"`
	Digest  string    `json:"digest"`
	Rollout string    `json:"rollout,omitempty"`
	At      time.Time `json:"at"`
	// State is "pass", "warn", "fail" or "unknown".
	State    string    `json:"state"`
	Score    float64   `json:"score"`
	Problem  string    `json:"problem,omitempty"`
	Sections []Section `json:"sections"`
}

// Section is a part of a checklist.
type Section struct {
	Name  string  `json:"name"`
	Score float64 `json:"score"`
	Items []Item  `json:"items"`
}

// Item is the state of one item of a checklist.
type Item struct {
	ID    string `json:"id"`
	Title string `json:"title"`
	Owner string `json:"owner"`
	// State is "pass", "warn", "fail", "unknown", "expired", "waived", "skipped" or
	// "blocked". Holds reports whether the item is good enough.
	State string `json:"state"`
	Holds bool   `json:"holds"`
	// Level is "must", "should" or "info".
	Level     string   `json:"level"`
	Automated bool     `json:"automated"`
	Text      string   `json:"text,omitempty"`
	Error     string   `json:"error,omitempty"`
	People    []string `json:"people,omitempty"`
	// Since is the time of the oldest evidence, and Until when it lapses.
	Since    time.Time         `json:"since,omitzero"`
	Until    time.Time         `json:"until,omitzero"`
	Link     string            `json:"link,omitempty"`
	Sum      string            `json:"sum,omitempty"`
	Evidence map[string]string `json:"evidence,omitempty"`
	Controls []string          `json:"controls,omitempty"`
	Runbook  string            `json:"runbook,omitempty"`
}

// Checklist returns the state of a checklist for a rollout. An empty rollout stands for the
// newest one of the only target.
func (c *Client) Checklist(ctx context.Context, list, rollout string) (Checklist, error) {
	in := get("checklists", list)
	if rollout != "" {
		in.query = url.Values{"rollout": {rollout}}
	}
	var out Checklist
	_, err := c.do(ctx, in, &out)
	return out, err
}

// Vouching is a vote for an item of a checklist, or against it.
type Vouching struct {
	// Rollout is the rollout that the vote is about.
	Rollout string `json:"rollout"`
	Reject  bool   `json:"reject,omitempty"`
	// Reason is required for a rejection.
	Reason string `json:"reason,omitempty"`
	// Link and Sum are the proof: an address, and "sha256:" with the digest of what is there.
	Link string `json:"link,omitempty"`
	Sum  string `json:"sum,omitempty"`
}

// Waiver accepts an item that does not hold, for a time.
type Waiver struct {
	Rollout string `json:"rollout"`
	// Reason has at least 20 characters.
	Reason string    `json:"reason"`
	Until  time.Time `json:"until"`
}

// Vouch records a vote and returns the number of its record. An empty key is random.
func (c *Client) Vouch(ctx context.Context, list, item string, v Vouching, key string) (uint64, error) {
	return c.record(ctx, post(key, "checklists", list, "items", item, "votes"), v)
}

// Waive records a waiver and returns the number of its record. An empty key is random.
func (c *Client) Waive(ctx context.Context, list, item string, w Waiver, key string) (uint64, error) {
	return c.record(ctx, post(key, "checklists", list, "items", item, "waivers"), w)
}

func (c *Client) record(ctx context.Context, in call, body any) (uint64, error) {
	in.body = body
	var out struct{ Seq uint64 }
	_, err := c.do(ctx, in, &out)
	return out.Seq, err
}

// Withdraw takes back the vote or the waiver with a number. reason is recorded.
func (c *Client) Withdraw(ctx context.Context, seq uint64, reason string) error {
	in := call{method: http.MethodDelete, path: []string{"records", strconv.FormatUint(seq, 10)}, query: url.Values{"reason": {reason}}}
	_, err := c.do(ctx, in, nil)
	return err
}

// Alerts are the alerts and silences of a service.
type Alerts struct {
	// Firing are the alerts that fire, the worst first. History are the alerts that ended in
	// the last 24 h, the newest first.
	Firing   []Alert   `json:"firing"`
	History  []Alert   `json:"history,omitempty"`
	Silences []Silence `json:"silences,omitempty"`
}

// Alert is something that people should know.
type Alert struct {
	Key    string            `json:"key"`
	Name   string            `json:"name"`
	Labels map[string]string `json:"labels,omitempty"`
	// Severity is "info", "warning", "error" or "critical".
	Severity string            `json:"severity"`
	Summary  string            `json:"summary,omitempty"`
	Detail   string            `json:"detail,omitempty"`
	Values   map[string]string `json:"values,omitempty"`
	Began    time.Time         `json:"began,omitzero"`
	Ended    time.Time         `json:"ended,omitzero"`
	Runbook  string            `json:"runbook,omitempty"`
	URL      string            `json:"url,omitempty"`
	// Unknown means that the source of the alert does not answer. The alert goes on.
	Unknown bool `json:"unknown,omitempty"`
}

// Silence keeps alerts from being sent.
type Silence struct {
	// ID, By, Seconded and NeedsSecond are set by the server.
	ID string `json:"id,omitempty"`
	// Match are values of labels, and of "alertname", that an alert must have. A value that
	// ends with '*' matches what begins with the rest. It must not be empty.
	Match map[string]string `json:"match"`
	// From is when it begins; zero is now.
	From     time.Time `json:"from,omitzero"`
	To       time.Time `json:"to"`
	Reason   string    `json:"reason"`
	By       Actor     `json:"by,omitzero"`
	Seconded Actor     `json:"seconded,omitzero"`
	// NeedsSecond means that it has no effect before a second person agrees; see
	// [Client.Second]. Seconded is that person.
	NeedsSecond bool `json:"needs_second,omitempty"`
}

// Alerts returns the alerts and silences.
func (c *Client) Alerts(ctx context.Context) (Alerts, error) {
	var out Alerts
	_, err := c.do(ctx, get("alerts"), &out)
	return out, err
}

// Silence begins a silence and returns it with its ID and NeedsSecond: if that is true, the
// silence has no effect before a second person agrees. An empty key is random.
func (c *Client) Silence(ctx context.Context, s Silence, key string) (Silence, error) {
	in := post(key, "silences")
	in.body = s
	var out struct {
		ID          string `json:"id"`
		NeedsSecond bool   `json:"needs_second"`
	}
	_, err := c.do(ctx, in, &out)
	s.ID, s.NeedsSecond = out.ID, out.NeedsSecond
	return s, err
}

// Second agrees to a silence that needs a second person, which its author cannot do: that is the
// problem [Refused]. An empty key is random.
func (c *Client) Second(ctx context.Context, id, key string) error {
	_, err := c.do(ctx, post(key, "silences", id, "second"), nil)
	return err
}

// Unsilence ends a silence.
func (c *Client) Unsilence(ctx context.Context, id string) error {
	_, err := c.do(ctx, call{method: http.MethodDelete, path: []string{"silences", id}}, nil)
	return err
}

// Receipt says how far a test message has come.
type Receipt struct {
	ID        string    `json:"id"`
	Receiver  string    `json:"receiver"`
	Made      time.Time `json:"made"`
	Accepted  time.Time `json:"accepted,omitzero"`
	Confirmed time.Time `json:"confirmed,omitzero"`
}

// TestReceiver sends a test message to a receiver of alerts.
func (c *Client) TestReceiver(ctx context.Context, receiver string) (Receipt, error) {
	var out Receipt
	_, err := c.do(ctx, post("", "receivers", receiver, "test"), &out)
	return out, err
}

// Health is what the server knows about its components. Statuses are "pass", "warn", "fail"
// and "unknown".
type Health struct {
	At         time.Time   `json:"at"`
	Live       string      `json:"live"`
	Ready      string      `json:"ready"`
	Startup    string      `json:"startup"`
	Draining   bool        `json:"draining,omitempty"`
	Components []Component `json:"components,omitempty"`
}

// Component is the state of a component.
type Component struct {
	Name   string    `json:"name"`
	Status string    `json:"status"`
	State  string    `json:"state,omitempty"`
	Output string    `json:"output,omitempty"`
	Since  time.Time `json:"since,omitzero"`
	Looked time.Time `json:"looked,omitzero"`
	Took   Duration  `json:"took,omitzero"`
}

// Health returns the state of the server's components.
func (c *Client) Health(ctx context.Context) (Health, error) {
	var out Health
	_, err := c.do(ctx, get("health"), &out)
	return out, err
}

// Panel returns the data of a panel in JSON, such as "versions", "cost" or "feedback". The
// panels are the ones that the server is configured with. id selects one of several, such as
// a load test, and may be empty.
func (c *Client) Panel(ctx context.Context, name, id string) (json.RawMessage, error) {
	in := get(name)
	if id != "" {
		in = get(name, id)
	}
	var out json.RawMessage
	_, err := c.do(ctx, in, &out)
	return out, err
}
