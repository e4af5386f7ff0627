package probe

import (
	"context"
	"errors"
	"fmt"

	"github.com/serin-go/serin/checks"
	"github.com/serin-go/serin/versioning/model"
)

// ModelVersionOptions configures [ModelVersion].
type ModelVersionOptions struct {
	// Manifests returns the manifests of the baseline and of the candidate of a
	// rollout. It is required.
	Manifests func(ctx context.Context, s checks.Subject) (baseline, candidate model.Manifest, err error)
}

// ModelVersion returns a check that the version of a candidate is large enough for its
// differences from the baseline, by [model.CheckVersion]. It is a gate before a rollout:
// the context must have a [checks.Subject], as in every check of a plan.
//
// The check fails if the version is too small, and if a manifest is not of the version or
// of the digest that the subject names. The result is Unknown if evaluations prove
// neither that the candidate is worse nor that it is not, and says how many more items
// decide; and if a manifest cannot be had.
func ModelVersion(o ModelVersionOptions) checks.Check {
	bad := &invalid{options: "ModelVersionOptions"}
	if o.Manifests == nil {
		bad.add("Manifests", nil, "a function that returns two manifests")
	}
	return newProbe("model version", 0, nil, bad.err(), func(ctx context.Context) checks.Result {
		s, ok := checks.SubjectOf(ctx)
		if !ok {
			return checks.Result{Status: checks.Unknown, Summary: "no rollout is the subject of the check"}
		}
		old, new, err := o.Manifests(ctx, s)
		if err != nil {
			return checks.Result{Status: checks.Unknown, Summary: fmt.Sprintf("no manifests of %s and %s: %v", s.Baseline, s.Candidate, err)}
		}
		if problem := isNot(old, s.Baseline, s.BaselineDigest); problem != "" {
			return checks.Result{Status: checks.Fail, Summary: "baseline: " + problem}
		}
		if problem := isNot(new, s.Candidate, s.Digest); problem != "" {
			return checks.Result{Status: checks.Fail, Summary: "candidate: " + problem}
		}
		err = model.CheckVersion(old, new)
		var unproven *model.UnprovenError
		switch {
		case errors.As(err, &unproven):
			return checks.Result{Status: checks.Unknown, Summary: err.Error(), Evidence: map[string]string{"measure": fmt.Sprint(unproven.Measure)}}
		case err != nil:
			return checks.Result{Status: checks.Fail, Summary: err.Error()}
		}
		change, _ := model.RequiredBump(old, new)
		return checks.Result{Status: checks.Pass, Summary: fmt.Sprintf("%v is enough after %v for a change that is %v", new.Version, old.Version, change)}
	})
}

// isNot returns in what a manifest is not the build that a subject names.
func isNot(m model.Manifest, version, digest string) string {
	if err := m.Validate(); err != nil {
		return err.Error()
	}
	switch {
	case version != "" && m.Version.String() != version:
		return fmt.Sprintf("the manifest is of another version (have %v, want %s)", m.Version, version)
	case digest != "" && m.ContentDigest() != digest:
		return fmt.Sprintf("the manifest is of another build (have %s, want %s)", m.ContentDigest(), digest)
	}
	return ""
}
