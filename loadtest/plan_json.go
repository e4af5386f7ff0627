package loadtest

import (
	"bytes"
	"encoding/json"
	"fmt"
	"time"

	"github.com/serin-go/serin/checks/analysis"
	"github.com/serin-go/serin/loadtest/pace"
	"github.com/serin-go/serin/loadtest/workload"
)

// planJSON is the JSON of a Plan. Durations are texts such as "1m30s".
type planJSON struct {
	Target        string                     `json:"target,omitempty"`
	API           API                        `json:"api,omitempty"`
	Model         string                     `json:"model,omitempty"`
	Prompts       []workload.Prompt          `json:"prompts,omitempty"`
	Workload      json.RawMessage            `json:"workload,omitempty"`
	Pacer         json.RawMessage            `json:"pacer,omitempty"`
	Users         int                        `json:"users,omitempty"`
	Think         duration                   `json:"think,omitzero"`
	Conversations []workload.Conversation    `json:"conversations,omitempty"`
	Start         time.Time                  `json:"start,omitzero"`
	Duration      duration                   `json:"duration,omitzero"`
	Requests      int                        `json:"requests,omitempty"`
	MaxTokens     int                        `json:"max_tokens,omitempty"`
	ExtraBody     map[string]json.RawMessage `json:"extra_body,omitempty"`
	SessionHeader string                     `json:"session_header,omitempty"`
	Timeout       duration                   `json:"timeout,omitzero"`
	FirstToken    duration                   `json:"first_token_timeout,omitzero"`
	Idle          duration                   `json:"idle_timeout,omitzero"`
	Drain         duration                   `json:"drain,omitzero"`
	Workers       int                        `json:"workers,omitempty"`
	LagBound      duration                   `json:"lag_bound,omitzero"`
	WarmUp        duration                   `json:"warm_up,omitzero"`
	CoolDown      duration                   `json:"cool_down,omitzero"`
	SLOs          []SLO                      `json:"slos,omitempty"`
	Thresholds    []analysis.Threshold       `json:"thresholds,omitempty"`
	AbortOnBreach bool                       `json:"abort_on_breach,omitempty"`
	Record        bool                       `json:"record,omitempty"`
}

// duration is a text in JSON.
type duration time.Duration

func (d duration) MarshalText() ([]byte, error) { return []byte(time.Duration(d).String()), nil }

func (d *duration) UnmarshalText(text []byte) error {
	v, err := time.ParseDuration(string(text))
	*d = duration(v)
	return err
}

// MarshalJSON implements [json.Marshaler]. It omits fields that are functions or
// may hold secrets: Header, APIKey, Tokenizer, Prepare, Transport, OnResult and
// OnInterval. A Pacer or Workload that [pace.Marshal] or [workload.Marshal] cannot
// write is a [*checks.InvalidError].
func (p Plan) MarshalJSON() ([]byte, error) {
	j := planJSON{
		Target: p.Target, API: p.API, Model: p.Model, Prompts: p.Prompts, Users: p.Users, Think: duration(p.Think), Conversations: p.Conversations,
		Start: p.Start, Duration: duration(p.Duration), Requests: p.Requests, MaxTokens: p.MaxTokens, ExtraBody: p.ExtraBody, SessionHeader: p.SessionHeader, Timeout: duration(p.Timeout),
		FirstToken: duration(p.FirstToken), Idle: duration(p.Idle), Drain: duration(p.Drain), Workers: p.Workers, LagBound: duration(p.LagBound),
		WarmUp: duration(p.WarmUp), CoolDown: duration(p.CoolDown), SLOs: p.SLOs, Thresholds: p.Thresholds, AbortOnBreach: p.AbortOnBreach, Record: p.Record,
	}
	var err error
	if p.Pacer != nil {
		if j.Pacer, err = pace.Marshal(p.Pacer); err != nil {
			return nil, err
		}
	}
	if p.Workload != nil {
		if j.Workload, err = workload.Marshal(p.Workload); err != nil {
			return nil, err
		}
	}
	return json.Marshal(j)
}

// UnmarshalJSON implements [json.Unmarshaler]. It does not validate the plan; see
// [Plan.Validate]. Unknown members are errors. It does not change the fields that
// MarshalJSON omits.
func (p *Plan) UnmarshalJSON(data []byte) error {
	var j planJSON
	d := json.NewDecoder(bytes.NewReader(data))
	d.DisallowUnknownFields()
	if err := d.Decode(&j); err != nil {
		return fmt.Errorf("loadtest: Plan: %w", err)
	}
	p.Target, p.API, p.Model, p.Prompts, p.Users, p.Think, p.Conversations = j.Target, j.API, j.Model, j.Prompts, j.Users, time.Duration(j.Think), j.Conversations
	p.Start, p.Duration, p.Requests, p.MaxTokens, p.ExtraBody, p.SessionHeader, p.Timeout = j.Start, time.Duration(j.Duration), j.Requests, j.MaxTokens, j.ExtraBody, j.SessionHeader, time.Duration(j.Timeout)
	p.FirstToken, p.Idle, p.Drain, p.Workers, p.LagBound = time.Duration(j.FirstToken), time.Duration(j.Idle), time.Duration(j.Drain), j.Workers, time.Duration(j.LagBound)
	p.WarmUp, p.CoolDown, p.SLOs, p.Thresholds = time.Duration(j.WarmUp), time.Duration(j.CoolDown), j.SLOs, j.Thresholds
	p.AbortOnBreach, p.Record, p.Pacer, p.Workload = j.AbortOnBreach, j.Record, nil, nil
	var err error
	if present(j.Pacer) {
		if p.Pacer, err = pace.Unmarshal(j.Pacer); err != nil {
			return err
		}
	}
	if present(j.Workload) {
		p.Workload, err = workload.Unmarshal(j.Workload)
	}
	return err
}

// present reports whether a member was there and is not null.
func present(member json.RawMessage) bool { return len(member) > 0 && string(member) != "null" }
