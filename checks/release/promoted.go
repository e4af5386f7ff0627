package release

import (
	"context"
	"fmt"
	"time"

	"github.com/serin-go/serin/checks"
	"github.com/serin-go/serin/checks/internal/probing"
	"github.com/serin-go/serin/versioning/registry"
)

// Builds is what [Promoted] needs of a registry; every [registry.Registry] has it.
type Builds interface {
	List(ctx context.Context, name string) ([]registry.Record, error)
	History(ctx context.Context, name, alias string) ([]registry.Move, error)
}

// PromotedOptions configures [Promoted]. Builds, Model and Alias are required.
type PromotedOptions struct {
	Builds Builds `json:"-"`
	// Model is the name of the model in the registry.
	Model string
	// Alias is the name of the environment that the candidate must have been in, such as
	// staging.
	Alias string
	// For is the least time that it was there, in all. Default 0: any time.
	For time.Duration
	// Within is the longest time since it was there last. Default 0: any time.
	Within time.Duration
}

// Promoted returns a check that a build has been in another environment before, by the history of
// an alias in the model registry. The build is the one with the digest of the candidate, so the
// context must have a [checks.Subject]: a build with the same version and other contents does not
// count. Fail means that the build was never there, not long enough, or not lately, or is
// withdrawn. A digest that the registry does not know is Unknown. Evidence: build, in, for.
func Promoted(o PromotedOptions) checks.Check {
	bad := &invalid{options: "PromotedOptions"}
	if o.Builds == nil {
		bad.add("Builds", nil, "a registry")
	}
	if o.Model == "" {
		bad.add("Model", o.Model, "the name of a model")
	}
	if o.Alias == "" {
		bad.add("Alias", o.Alias, "an alias such as staging")
	}
	bad.age("For", o.For)
	bad.age("Within", o.Within)
	return probing.New("promoted", 0, o, bad.err(), func(ctx context.Context) checks.Result {
		s, ok := checks.SubjectOf(ctx)
		if !ok || s.Digest == "" {
			return unknown("the digest of the candidate is not known")
		}
		builds, err := o.Builds.List(ctx, o.Model)
		if err != nil {
			return unread(ctx, "the registry", err)
		}
		moves, err := o.Builds.History(ctx, o.Model, o.Alias)
		if err != nil {
			return unread(ctx, "the registry", err)
		}
		return o.judge(s.Digest, builds, moves)
	})
}

// judge looks for the builds with a digest in the history of an alias.
func (o *PromotedOptions) judge(digest string, builds []registry.Record, moves []registry.Move) checks.Result {
	same := make(map[registry.Key]bool)
	name, yanked := "", ""
	for _, b := range builds {
		if b.Digest != digest {
			continue
		}
		same[b.Key] = true
		if name, yanked = b.Key.String(), b.Yanked; yanked != "" {
			return fail("the build %s is withdrawn: %.200s", name, yanked)
		}
	}
	if len(same) == 0 {
		return unknown("the registry has no build of %s with the digest %s", o.Model, digest)
	}
	now := time.Now()
	var stayed time.Duration
	var last time.Time // the end of the last stay
	for i, m := range moves {
		if !same[m.To] {
			continue
		}
		end := now
		if i+1 < len(moves) {
			end = moves[i+1].At
		}
		if m.At.After(now.Add(clockSkew)) || end.Before(m.At) {
			return unknown("the history of %s is not in order at %s", o.Alias, m.At.UTC().Format(time.RFC3339))
		}
		stayed, last = stayed+max(0, end.Sub(m.At)), end
	}
	r := checks.Result{Status: checks.Fail, Evidence: map[string]string{"build": name, "in": o.Alias, "for": stayed.Round(time.Second).String()}}
	switch {
	case last.IsZero():
		r.Summary = fmt.Sprintf("the build %s was never in %s", name, o.Alias)
	case stayed < o.For:
		r.Summary = fmt.Sprintf("the build %s was in %s for %v, want %v", name, o.Alias, stayed.Round(time.Second), o.For)
	case o.Within > 0 && now.Sub(last) > o.Within:
		r.Summary = fmt.Sprintf("the build %s was last in %s %v ago, want at most %v", name, o.Alias, now.Sub(last).Round(time.Second), o.Within)
	default:
		r.Status, r.Summary = checks.Pass, fmt.Sprintf("the build %s was in %s for %v", name, o.Alias, stayed.Round(time.Second))
	}
	return r
}
