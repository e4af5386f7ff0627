package analysis

import (
	"fmt"
	"time"
)

// Class says how a request ended, as its user would see it. The classes are a
// closed set: each request has exactly one. The zero value is Unread, so that a
// request whose class was never set proves nothing.
//
// A value that is no class counts as Error, in all methods and wherever it is
// recorded: what is not recognised is not known to be good.
type Class uint8

const (
	// Unread is an answer that came to its end, on a route or in a form that
	// nothing here can read. It may be good or bad, so it counts in [Unanswered]
	// alone, and proves nothing.
	Unread Class = iota
	// OK is a complete answer that was recognised, of the kind that was asked for.
	OK
	// Error is an error or no answer: 5xx, a redirect, a refused connection, an
	// error document, an error inside a 200 stream, or a 4xx that is not the
	// caller's fault.
	Error
	// Timeout is an answer whose first byte, next part or end did not come in time.
	Timeout
	// Truncated is an answer that ended before its end.
	Truncated
	// Refused is a complete answer in which the model declined: a content filter
	// or a refusal.
	Refused
	// Empty is an answer without a single generated thing: no content, not one
	// byte, or complete without a token.
	Empty
	// Invalid is a complete answer, but not to this request: the wrong form, no
	// JSON, an unknown shape, fewer results than were asked for.
	Invalid
	// Rejected is a 4xx that is the caller's own fault, other than 429.
	Rejected
	// Limited is a limit that was reached: 429, or an error inside a 200 that is
	// about a rate or a quota.
	Limited
	// Cancelled means that the caller left an answer that was on its way. It is
	// neither a success nor a failure, and counts in no metric.
	Cancelled
	// Abandoned means that the caller left while the arm kept it waiting: before
	// any content, or in a long silence. It counts in [Unanswered] alone.
	Abandoned
)

// NumClasses is the number of classes. Ranging over it yields each of them, and
// an array of that length has a place for each.
const NumClasses = Abandoned + 1

var classNames = [NumClasses]string{
	"unread", "ok", "error", "timeout", "truncated", "refused", "empty", "invalid", "rejected", "limited", "cancelled", "abandoned",
}

// classes is a set of classes, as bits.
type classes uint16

const (
	failures = classes(1<<Error | 1<<Timeout | 1<<Truncated | 1<<Empty | 1<<Invalid | 1<<Limited)
	served   = classes(1<<OK | 1<<Refused)
	answered = failures | served
	complete = served | 1<<Invalid | 1<<Timeout
	begun    = answered &^ (1 << Limited)
	// lasting requests were not given up by callers who had no reason to.
	lasting = classes(1<<NumClasses-1) &^ (1 << Cancelled)
)

func (s classes) has(c Class) bool { return s>>c&1 == 1 }

// known returns c, or Error if c is no class.
func (c Class) known() Class {
	if c >= NumClasses {
		return Error
	}
	return c
}

// Failed reports whether the user got no usable answer, by the fault of the arm:
// Error, Timeout, Truncated, Empty, Invalid or Limited. These are the events of
// [ErrorRate].
func (c Class) Failed() bool { return failures.has(c.known()) }

// Answered reports whether c belongs to the population of rates: OK, Refused, or
// a class that failed. The others say nothing about the arm, or nothing that can
// be read: Unread, Rejected, Cancelled, Abandoned.
func (c Class) Answered() bool { return answered.has(c.known()) }

// Begun reports whether the arm may have produced tokens and cost that count:
// Answered, except for Limited.
func (c Class) Begun() bool { return begun.has(c.known()) }

// Complete reports whether the latency of such a request says something: OK,
// Refused, Invalid or Timeout. An error may be quick, and a timeout is at least
// as slow as it looks.
func (c Class) Complete() bool { return complete.has(c.known()) }

// String returns the lower-case name of the class.
func (c Class) String() string {
	if c < NumClasses {
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

// Finish says why a model stopped. The zero value is FinishUnknown.
type Finish uint8

const (
	FinishUnknown Finish = iota // the answer does not say
	FinishStop                  // it had said all
	FinishLength                // a limit of tokens was reached
	FinishTool                  // it wants a tool to be called
	FinishFilter                // it declined, or a filter did
	numFinishes
)

var finishNames = [numFinishes]string{"unknown", "stop", "length", "tool", "filter"}

// String returns the name of f in lower case.
func (f Finish) String() string {
	if f < numFinishes {
		return finishNames[f]
	}
	return fmt.Sprintf("Finish(%d)", uint8(f))
}

// MarshalText implements [encoding.TextMarshaler].
func (f Finish) MarshalText() ([]byte, error) {
	return marshalName(int(f), finishNames[:], "Finish")
}

// UnmarshalText implements [encoding.TextUnmarshaler].
func (f *Finish) UnmarshalText(text []byte) error {
	var i int
	if err := unmarshalName(&i, text, finishNames[:], "Finish"); err != nil {
		return err
	}
	*f = Finish(i)
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
	// Unit names what the split assigned: a user, a session, or the request itself.
	Unit string
	// Generation is the generation of the split that was in force when the
	// request was assigned.
	Generation uint64

	// Route labels the kind of request, such as "POST /v1/chat/completions". Empty:
	// unknown. It must have few values: each arm distinguishes the first 32, if
	// they are printable and no longer than 128 bytes, and counts the rest as
	// "other".
	Route string
	// Tenant is the tenant that sent the request, and Model the model that it asked for.
	// Empty: unknown.
	Tenant, Model string
	// Class says how the request ended. The zero value is Unread.
	Class Class
	// Finish is why the model stopped. Zero: unknown.
	Finish Finish
	// Why is a short, stable reason for the class, such as "html" or "stalled",
	// with few values too. Empty: none, as of OK.
	Why string
	// Unfinished says that the answer, although it ended well, has no finish
	// reason: the stream may have died before that. See [Unfinished].
	Unfinished bool
	// Latency is the time from the request to the end of its answer.
	Latency time.Duration
	// TTFT is the time to the first generated token (content, reasoning or tool
	// call; not the response header, not the role chunk). Zero: none was seen.
	TTFT time.Duration
	// ITL is the mean gap between generated tokens after the first. Zero: fewer
	// than two were seen.
	ITL time.Duration
	// Stall is the longest gap between generated tokens. ClientStall is how long the
	// caller kept the answer waiting, as far as it was measured; the other times do not
	// contain it.
	Stall, ClientStall time.Duration

	// InputTokens is also what a request that no [Flight] follows is compared by with others
	// of the same length: count it alike for both arms.
	InputTokens, OutputTokens, CachedTokens int
	// Cost is what the request cost. Negative: unknown, and left out of the
	// cost metric.
	Cost Money
	// Paid reports whether an account has been charged with what the request cost, so
	// that a ledger that observes it as well does not count it twice.
	Paid bool
	// Score is the caller's or a judge's satisfaction from 0 to 1; see
	// [FromStars] and [FromThumb]. Zero: none, unless Scored says that it is one.
	// A score that comes later goes to [Recorder.Feedback].
	Score  float64
	Scored bool
	// Err is what went wrong, for people; verdicts look at Class alone.
	Err error
}

// TokensPerSecond returns the output tokens generated per second after the
// first one, or 0 if o lacks the times for it.
func (o Observation) TokensPerSecond() float64 {
	if o.ITL <= 0 {
		return 0
	}
	return float64(time.Second) / float64(o.ITL)
}
