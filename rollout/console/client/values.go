package client

import (
	"time"
)

// Duration is a duration as the text "1m30s" in JSON.
type Duration time.Duration

// String returns the text of d, such as "1m30s".
func (d Duration) String() string { return time.Duration(d).String() }

// MarshalText implements [encoding.TextMarshaler].
func (d Duration) MarshalText() ([]byte, error) { return []byte(d.String()), nil }

// UnmarshalText implements [encoding.TextUnmarshaler]. It accepts what [time.ParseDuration]
// does.
func (d *Duration) UnmarshalText(text []byte) error {
	v, err := time.ParseDuration(string(text))
	*d = Duration(v)
	return err
}

// Share is a share of the traffic.
type Share struct {
	// Weight is in hundredths of a percent: 10,000 is everything. Text is for people: "5%".
	Weight int    `json:"weight"`
	Text   string `json:"text"`
}

// Release is a version of a model.
type Release struct {
	Version string `json:"version"`
	Digest  string `json:"digest,omitempty"`
	Model   string `json:"model,omitempty"`
}

// Actor is a person or a program that has done something.
type Actor struct {
	Name string `json:"name"`
	// Subject identifies the actor permanently. Empty means that the name does.
	Subject string   `json:"subject,omitempty"`
	Roles   []string `json:"roles,omitempty"`
	// Proved is the time of the last proof by a second factor, or zero.
	Proved time.Time `json:"proved,omitzero"`
	// Via is where the command came from, such as "console", "ctl" or "api".
	Via string `json:"via,omitempty"`
}

// Arm is a version with its share of the traffic.
type Arm struct {
	Name  string `json:"name"`
	Share Share  `json:"share"`
	// Copies is the share of the requests of which the arm gets copies, as a shadow.
	Copies *Share `json:"copies,omitempty"`
	// Requests have ended since the rollout began; it is set in a [State].
	Requests int `json:"requests,omitempty"`
}

// Proof is evidence for a claim: an e-value, which decides when it reaches Limit.
type Proof struct {
	E     float64 `json:"e"`
	Limit float64 `json:"limit"`
}

// Interval is how much the candidate differs from the baseline.
type Interval struct {
	// Ratio means that the values are the candidate's over the baseline's, and 1 is no
	// difference. Otherwise they are differences.
	Ratio bool    `json:"ratio,omitempty"`
	Value float64 `json:"value"`
	Low   float64 `json:"low"`
	High  float64 `json:"high"`
	// Level is the probability that the interval holds the truth, such as 0.95.
	Level float64 `json:"level"`
	Text  string  `json:"text"`
}
