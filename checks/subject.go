package checks

import (
	"context"
	"time"
)

// Subject describes the rollout that runs a check. A check that needs a Subject and finds
// none in its context returns Unknown.
type Subject struct {
	// Rollout is the id of the rollout, "chat/3". Target is its target. Model is the
	// name that callers request; it may be empty.
	Rollout, Target, Model string
	// Baseline and Candidate are versions. BaselineDigest and Digest (of the candidate)
	// identify their contents, "sha256:...". They are empty if unknown.
	Baseline, Candidate, BaselineDigest, Digest string
	// Plan is the digest of the plan and of its checks; see [Digester].
	Plan string
	// Phase is the phase that waits for the check, "preflight". Stage is the index of
	// the stage, from 0.
	Phase string
	Stage int
	// Starter identifies the person who started the rollout: the subject of an identity
	// provider or, without one, the name in lower case. StarterName is the name.
	Starter, StarterName string
	// Until is the latest end of the rollout and its monitoring, by its limits, without
	// the time that it waits for people. Zero means unknown.
	Until time.Time
}

type subjectKey struct{}

// WithSubject returns a context for checks that carries s.
func WithSubject(ctx context.Context, s Subject) context.Context {
	return context.WithValue(ctx, subjectKey{}, s)
}

// SubjectOf returns the Subject of ctx. ok is false if ctx has no Subject.
func SubjectOf(ctx context.Context) (s Subject, ok bool) {
	s, ok = ctx.Value(subjectKey{}).(Subject)
	return s, ok
}
