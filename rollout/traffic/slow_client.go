package traffic

import "time"

// caller keeps the time for which a slow caller holds up an answer apart from the
// time that the model takes. While the caller does not take what is there, the
// router does not read from the model. What it can read immediately afterwards has
// been waiting, for an unknown time that is no longer than the caller's.
type caller struct {
	total time.Duration // for which the answer was held up, so far
	held  time.Duration // what was handed on last
	back  time.Duration // when that had been taken
	away  time.Duration // all the time in which the answer was not read
}

// A write that takes longer than wink holds up the answer. A read that takes less
// than blink returns what has been waiting.
const (
	wink  = time.Millisecond
	blink = 200 * time.Microsecond
)

// arrives takes the instant at which something came from the model, since when it
// was waited for, and returns it without the time for which the caller held up the
// answer.
func (c *caller) arrives(since, at time.Duration) time.Duration {
	if c.held > wink && at-since < blink {
		c.total += c.held
	}
	c.held = 0
	return at - c.total
}

// took notes that the caller has taken something that it was given at from.
func (c *caller) took(from, to time.Duration) {
	c.held, c.back = to-from, to
	c.away += to - from
}
