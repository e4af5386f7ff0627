package analysis

import (
	"fmt"
	"time"
)

// Class says how a request ended, as its user would see it. The classes are a
// closed set: each request has exactly one. The zero value is OK.
type Class uint8

const (
	OK        Class = iota // a complete, ordinary answer
	Error                  // an error answer or no answer: 5xx, refused connection, error inside a 200 stream
	Timeout                // no answer, or the rest of it, within the deadline
	Truncated              // a stream that ended before its terminator
	Refused                // the model declined: a content filter or a refusal
	Empty                  // complete, but without a single generated token
	Invalid                // complete, but not in the structure that was asked for
	Rejected               // the caller's own fault: 4xx other than 429
	Limited                // 429: a limit was reached
	Cancelled              // the caller went away; neither a success nor a failure of the model
	numClasses
)

var classNames = [numClasses]string{"ok", "error", "timeout", "truncated", "refused", "empty", "invalid", "rejected", "limited", "cancelled"}

// String returns the lower-case name of the class.
func (c Class) String() string {
	if c < numClasses {
		return classNames[c]
	}
	return fmt.Sprintf("Class(%d)", uint8(c))
}

// MarshalText implements [encoding.TextMarshaler].
func (c Class) MarshalText() ([]byte, error) {
	return marshalName(int(c), classNames[:], "Class")
}

// UnmarshalText implements [encoding.TextUnmarshaler].
func (c *Class) UnmarshalText(text []byte) error {
	var i int
	if err := unmarshalName(&i, text, classNames[:], "Class"); err != nil {
		return err
	}
	*c = Class(i)
	return nil
}

// Money is an amount in millionths of the currency in use (micro-dollars, say):
// 1_500_000 is 1.50. The zero value is free or unknown; see [Observation.Cost].
type Money int64

// Observation is one finished request: who served it, how it ended, how fast
// it was and what it cost. It is a plain value, passed by value.
type Observation struct {
	// At is when the request ended. The zero time means now.
	At time.Time
	// ID identifies the request, so that feedback can be joined to it later.
	ID string
	// Arm is the version that served the request, or failed to.
	Arm string
	// Unit is whom the split assigned: a user, a session, or the request itself.
	Unit string
	// Generation is the generation of the split that was in force when the
	// request was assigned.
	Generation uint64

	Class Class
	// Latency is the time from the request to the end of its answer.
	Latency time.Duration
	// TTFT is the time to the first generated token (content, reasoning or tool
	// call; not the response header, not the role chunk). Zero: none was seen.
	TTFT time.Duration
	// ITL is the mean gap between generated tokens after the first. Zero: fewer
	// than two were seen.
	ITL time.Duration
	// Stall is the longest gap between generated tokens. ClientStall is how long the
	// caller kept the answer waiting, as far as can be told; none of the other
	// times contains it.
	Stall, ClientStall time.Duration

	InputTokens, OutputTokens, CachedTokens int
	// Cost is what the request cost. Negative: unknown, and left out of the
	// cost metric.
	Cost Money
	// Score is the caller's or a judge's satisfaction from 0 to 1; see
	// [FromStars] and [FromThumb]. Zero: none, unless Scored says that it is one.
	// A score that comes later goes to [Recorder.Feedback].
	Score  float64
	Scored bool
	// Err is what went wrong, for people; verdicts look at Class alone.
	Err error
}

// TokensPerSecond returns the output tokens generated per second after the
// first one, or 0 when that cannot be told from o.
func (o Observation) TokensPerSecond() float64 {
	if o.ITL <= 0 {
		return 0
	}
	return float64(time.Second) / float64(o.ITL)
}
