package analysis

import (
	"math/bits"
	"sync/atomic"
	"time"
)

// FeedbackResult says what became of a score that came after its request.
type FeedbackResult int

const (
	// FeedbackCounted means that the score is in the metrics of the arm that
	// served the request.
	FeedbackCounted FeedbackResult = iota
	// FeedbackRepeated means that the request had a score already, with its
	// Observation or by feedback. The first one stays.
	FeedbackRepeated
	// FeedbackLate means that the request is longer ago than
	// [Plan.FeedbackWithin].
	FeedbackLate
	// FeedbackUnknown means that no such request is remembered: there was none,
	// it has not ended yet, it did not end with an answer, it has made room for
	// newer ones, or the process has been restarted since.
	FeedbackUnknown
	// FeedbackInvalid means that the score is not a number from 0 to 1.
	FeedbackInvalid
	numFeedback
)

var feedbackNames = []string{"counted", "repeated", "late", "unknown", "invalid"}

// String returns the name of r in lower case.
func (r FeedbackResult) String() string { return nameOf(r, feedbackNames) }

// MarshalText implements [encoding.TextMarshaler].
func (r FeedbackResult) MarshalText() ([]byte, error) {
	return marshalName(r, feedbackNames, "FeedbackResult")
}

// UnmarshalText implements [encoding.TextUnmarshaler].
func (r *FeedbackResult) UnmarshalText(text []byte) error {
	return unmarshalName(r, text, feedbackNames, "FeedbackResult")
}

// Feedback adds a score from 0 to 1 that has come after the request with the
// given [Observation.ID] was recorded, to the arm that served it; see
// [FromStars] and [FromThumb]. It joins the ready-made metrics of satisfaction;
// a plan without one remembers no requests. Only what is counted changes
// anything. It allocates nothing, and may be called from any goroutine.
func (r *Recorder) Feedback(id string, score float64) FeedbackResult {
	result := r.feedback(id, score)
	r.feedbacks[result].Add(1)
	return result
}

func (r *Recorder) feedback(id string, score float64) FeedbackResult {
	if !(score >= 0 && score <= 1) {
		return FeedbackInvalid
	}
	key := hashOf(id)
	for _, a := range r.arms {
		if a.memory == nil {
			break
		}
		if result := a.feedback(key, score, r.plan.FeedbackWithin); result != FeedbackUnknown {
			return result
		}
	}
	return FeedbackUnknown
}

// FeedbackCounts returns how often [Recorder.Feedback] had each result.
// Results that did not occur are absent.
func (r *Recorder) FeedbackCounts() map[FeedbackResult]int {
	counts := make(map[FeedbackResult]int)
	for i := range r.feedbacks {
		if n := r.feedbacks[i].Load(); n > 0 {
			counts[FeedbackResult(i)] = int(n)
		}
	}
	return counts
}

type feedbackCounts [numFeedback]atomic.Uint64

func (a *Arm) feedback(key uint64, score float64, within time.Duration) FeedbackResult {
	a.lock()
	defer a.mu.Unlock()
	e := a.memory.find(key)
	switch {
	case e == nil:
		return FeedbackUnknown
	case e.scored:
		return FeedbackRepeated
	case time.Since(time.Unix(int64(e.at), 0)) > within:
		return FeedbackLate
	}
	e.scored = true
	for i := range a.meters {
		if m := &a.meters[i]; m.graded() {
			a.add(i, m.score(score))
		}
	}
	a.grades.add(a.meters, &row{slot: e.slot, shadow: e.shadow, arm: a.index, generation: e.generation}, score)
	return FeedbackCounted
}

// memory holds the newest requests of an arm, so that feedback finds them. It is
// a table of sets of four; a request that finds its set full takes the place of
// the oldest in it.
type memory struct {
	entries []remembered
	shift   int // of a key, to its set
}

// remembered is a request that may still be scored.
type remembered struct {
	key, generation uint64
	at              uint32 // when it ended, in seconds since 1970
	slot            uint16
	shadow          uint8
	known           bool
	scored          bool
}

const memoryWays = 4

// newMemory returns a memory of n requests or somewhat more.
func newMemory(n int) *memory {
	sets := bits.Len(uint((n - 1) / memoryWays))
	return &memory{entries: make([]remembered, memoryWays<<sets), shift: 64 - sets}
}

func (m *memory) set(key uint64) []remembered {
	i := int(key>>m.shift) * memoryWays
	return m.entries[i : i+memoryWays]
}

// find returns the request with the given key, nil if it is not remembered.
func (m *memory) find(key uint64) *remembered {
	set := m.set(key)
	for i := range set {
		if set[i].known && set[i].key == key {
			return &set[i]
		}
	}
	return nil
}

// add remembers r, unless its key is known already.
func (m *memory) add(r remembered) {
	set := m.set(r.key)
	oldest := &set[0]
	for i := range set {
		switch e := &set[i]; {
		case !e.known:
			*e = r
			return
		case e.key == r.key:
			return
		case e.at < oldest.at:
			oldest = e
		}
	}
	*oldest = r
}
