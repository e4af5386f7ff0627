package client

import (
	"context"
	"net/http"
	"net/url"
	"strings"
)

// Order is a command to a rollout.
type Order struct {
	// Command is "approve", "reject", "pause", "resume", "promote", "promote-fully", "skip",
	// "abort" or "ramp-down".
	Command string
	// Reason is recorded.
	Reason string
	// IfSeq is the [Rollout.Changed] that the caller has seen: if something has happened
	// since, the command is refused as [Conflict]. It is required for approve, promote,
	// promote-fully, skip and resume. 0 sends no condition.
	IfSeq uint64
	// OfPlan binds an approval to the plan with this [Rollout.Digest]. It is optional.
	OfPlan string
	// Key makes the command idempotent: repeated with the same key, it is carried out once.
	// Default a random one.
	Key string
}

// Do gives a command and returns when it is stored, and in force in the server. An error that
// is no [*Problem], and [OutcomeUnknown], leave open whether it was carried out: repeat it
// with the same key.
func (c *Client) Do(ctx context.Context, id string, o Order) error {
	in := post(o.Key, segments(id, "commands")...)
	if o.IfSeq != 0 {
		in.header = http.Header{"If-Match": {tag(o.IfSeq)}}
	}
	in.body = struct {
		Command string `json:"command"`
		Reason  string `json:"reason,omitempty"`
		OfPlan  string `json:"of_plan,omitempty"`
	}{o.Command, o.Reason, o.OfPlan}
	_, err := c.do(ctx, in, nil)
	return err
}

// Start starts a rollout of a plan file in YAML or JSON, and returns its id. It returns when
// the plan is stored. The key makes the start idempotent, for the last 16 starts of the target, also
// after a restart of the server and through another one with the same store; an empty key is
// random.
func (c *Client) Start(ctx context.Context, plan, key string) (string, error) {
	in := post(key, "rollouts")
	in.text = plan
	var out struct{ ID string }
	_, err := c.do(ctx, in, &out)
	return out.ID, err
}

// Retry starts a rollout again that has ended otherwise than promoted, and returns the id of
// the new one. The key is as for [Client.Start].
func (c *Client) Retry(ctx context.Context, id, key string) (string, error) {
	var out struct{ ID string }
	_, err := c.do(ctx, post(key, segments(id, "retry")...), &out)
	return out.ID, err
}

// Validation is what the server says about a plan.
type Validation struct {
	Target string `json:"target"`
	// Digest identifies the plan, without its checks.
	Digest string  `json:"digest"`
	Stages []Stage `json:"stages"`
	// Plan is the plan as a plan file in canonical form.
	Plan string `json:"plan"`
}

// Validate returns what the server would carry out for a plan file. It starts nothing. The
// problem [InvalidPlan] has every mistake. What the server lacks, and whether the caller may
// start it, [Client.MayStart] finds.
func (c *Client) Validate(ctx context.Context, plan string) (Validation, error) {
	in := post("", "plans", "validate")
	in.text = plan
	var out Validation
	_, err := c.do(ctx, in, &out)
	return out, err
}

// MayStart returns what the server would carry out, if it would start the plan file for the
// caller now; otherwise the problem that [Client.Start] would return. It starts nothing.
func (c *Client) MayStart(ctx context.Context, plan string) (Validation, error) {
	in := post("", "plans", "validate")
	in.text, in.query = plan, url.Values{"start": {"true"}}
	var out Validation
	_, err := c.do(ctx, in, &out)
	return out, err
}

// Forecast is what to expect of a plan.
type Forecast struct {
	Stages []StageForecast `json:"stages"`
	// Expected is how long the rollout takes if nothing is wrong, without checks and
	// approvals; Longest is when its last limit ends it.
	Expected Duration `json:"expected"`
	Longest  Duration `json:"longest"`
	Warnings []string `json:"warnings,omitempty"`
	// Text is the timeline for people, one line for each stage.
	Text string `json:"text"`
}

// StageForecast is what to expect of one stage.
type StageForecast struct {
	Name  string `json:"name"`
	Share Share  `json:"share"`
	// Begins counts from the start of the rollout.
	Begins   Duration `json:"begins"`
	Lasts    Duration `json:"lasts"`
	Requests int      `json:"requests"` // of the candidate, expected
	Needed   int      `json:"needed"`   // that the stage asks for
}

// Forecast returns what to expect of a plan file at the given traffic: requests a second of
// all versions together, above 0.
func (c *Client) Forecast(ctx context.Context, plan string, perSecond float64) (Forecast, error) {
	in := post("", "plans", "forecast")
	in.body = planBody{Plan: plan, PerSecond: perSecond}
	var out Forecast
	_, err := c.do(ctx, in, &out)
	return out, err
}

// planBody is a plan file as a member, where it comes with something else.
type planBody struct {
	Plan      string  `json:"plan"`
	PerSecond float64 `json:"per_second,omitempty"`
	Against   string  `json:"against,omitempty"`
}

// Diff is how a plan differs from the plan of a rollout.
type Diff struct {
	// Against is the rollout, or empty if the target has no promoted rollout. Then all Lines
	// are new, and there are no Changes.
	Against string `json:"against,omitempty"`
	// Equal reports whether both plans ask for the same.
	Equal bool `json:"equal"`
	// Changes are the values that differ.
	Changes []Change `json:"changes,omitempty"`
	// Lines is the difference of the plan files in canonical form, line by line, each with
	// "  ", "- " or "+ " before it.
	Lines []string `json:"lines,omitempty"`
}

// Change is one value that differs.
type Change struct {
	// Pointer is a JSON pointer into the plan.
	Pointer string `json:"pointer"`
	// Before and After are as in a plan file; empty means that the value is missing there.
	Before string `json:"before,omitempty"`
	After  string `json:"after,omitempty"`
}

// String returns the change in one line.
func (c Change) String() string {
	return strings.TrimSpace(c.Pointer + ": " + or(c.Before, "nothing") + " -> " + or(c.After, "nothing"))
}

func or(s, zero string) string {
	if s == "" {
		return zero
	}
	return s
}

// Diff returns how a plan file differs from the plan of a rollout. An empty rollout stands
// for the last promoted one of the plan's target.
func (c *Client) Diff(ctx context.Context, plan, against string) (Diff, error) {
	in := post("", "plans", "diff")
	in.body = planBody{Plan: plan, Against: against}
	var out Diff
	_, err := c.do(ctx, in, &out)
	return out, err
}
