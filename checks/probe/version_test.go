package probe_test

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"testing"

	"github.com/serin-go/serin/checks"
	"github.com/serin-go/serin/checks/probe"
	"github.com/serin-go/serin/versioning"
	"github.com/serin-go/serin/versioning/model"
)

func manifests() (old, new model.Manifest) {
	margin := 0.02
	m := model.Manifest{
		Name: "chat", Version: versioning.MustParse("1.4.0"), ToolUsage: true,
		Files: []model.File{{Path: "w", Digest: "sha256:" + strings.Repeat("a", 64)}},
		Evals: []model.Eval{{Task: "qa", Metric: "accuracy", Value: .8, Low: .795, High: .805, N: 4000, Margin: &margin}},
	}
	old, new = m, m
	new.Version = versioning.MustParse("1.5.0")
	new.Evals = []model.Eval{m.Evals[0]}
	return old, new
}

func TestModelVersion(t *testing.T) {
	tests := map[string]struct {
		change func(old, new *model.Manifest, s *checks.Subject)
		want   checks.Status
	}{
		"enough":          {func(_, _ *model.Manifest, _ *checks.Subject) {}, checks.Pass},
		"too small":       {func(_, new *model.Manifest, _ *checks.Subject) { new.ToolUsage = false }, checks.Fail},
		"not proven":      {func(_, new *model.Manifest, _ *checks.Subject) { new.Evals[0].Low, new.Evals[0].High = .7, .9 }, checks.Unknown},
		"worse":           {func(_, new *model.Manifest, _ *checks.Subject) { new.Evals[0].Value, new.Evals[0].Low = .7, .69 }, checks.Fail},
		"another build":   {func(_, _ *model.Manifest, s *checks.Subject) { s.Digest = "sha256:" + strings.Repeat("b", 64) }, checks.Fail},
		"another version": {func(old, _ *model.Manifest, _ *checks.Subject) { old.Version = versioning.MustParse("1.3.0") }, checks.Fail},
		"invalid":         {func(_, new *model.Manifest, _ *checks.Subject) { new.Files = nil }, checks.Fail},
	}
	for name, test := range tests {
		old, new := manifests()
		s := checks.Subject{Target: "chat", Baseline: "1.4.0", Candidate: "1.5.0"}
		test.change(&old, &new, &s)
		check := probe.ModelVersion(probe.ModelVersionOptions{Manifests: func(context.Context, checks.Subject) (a, b model.Manifest, err error) { return old, new, nil }})
		if r := check.Check(checks.WithSubject(t.Context(), s)); r.Status != test.want || r.Summary == "" {
			t.Errorf("%s: %v: %s, want %v", name, r.Status, r.Summary, test.want)
		}
	}
	failing := probe.ModelVersion(probe.ModelVersionOptions{Manifests: func(context.Context, checks.Subject) (a, b model.Manifest, err error) {
		return a, b, errors.New("no such model")
	}})
	for name, r := range map[string]checks.Result{
		"no subject":   failing.Check(t.Context()),
		"no manifests": failing.Check(checks.WithSubject(t.Context(), checks.Subject{})),
		"no options":   probe.ModelVersion(probe.ModelVersionOptions{}).Check(checks.WithSubject(t.Context(), checks.Subject{})),
	} {
		if r.Status != checks.Unknown {
			t.Errorf("%s: %v: %s", name, r.Status, r.Summary)
		}
	}
}

// A candidate that lost a capability needs a major version.
func ExampleModelVersion() {
	old, new := manifests()
	new.ToolUsage = false
	check := probe.ModelVersion(probe.ModelVersionOptions{Manifests: func(context.Context, checks.Subject) (a, b model.Manifest, err error) {
		return old, new, nil
	}})
	ctx := checks.WithSubject(context.Background(), checks.Subject{Target: "chat", Baseline: "1.4.0", Candidate: "1.5.0"})
	fmt.Println(check.Check(ctx).Status)
	// Output: fail
}
