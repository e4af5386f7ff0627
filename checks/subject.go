package checks

import (
	"context"
	"time"
)

// Subject is what a check is asked about. A check that needs to know it and finds none
// in its context is Unknown. The zero Subject names nothing.
type Subject struct {
	// Rollout is the rollout that asks, "chat/3"; Target what it moves; Model the name
	// that callers ask for, which may be empty.
	Rollout, Target, Model string
	// Baseline and Candidate are versions; BaselineDigest and Digest identify their
	// contents, "sha256:...", and are empty where that is not known. Digest is the
	// candidate's.
	Baseline, Candidate, BaselineDigest, Digest string
	// Plan is the digest of the plan and of its checks; see [Digester].
	Plan string
	// Phase is the phase that waits for the check, "preflight"; Stage the index of the
	// stage that it is about, from 0.
	Phase string
	Stage int
	// Starter is the name of the person who began the rollout.
	Starter string
	// Until is when the rollout and its monitoring are over at the latest, by its limits and
	// without the time that it waits for people. Zero means that it is not known.
	Until time.Time
}

type subjectKey struct{}

// WithSubject returns a context that carries s, for the checks that are called with it.
func WithSubject(ctx context.Context, s Subject) context.Context {
	return context.WithValue(ctx, subjectKey{}, s)
}

// SubjectOf returns what a check is asked about, and whether ctx carries that.
func SubjectOf(ctx context.Context) (Subject, bool) {
	s, ok := ctx.Value(subjectKey{}).(Subject)
	return s, ok
}
