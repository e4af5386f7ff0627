package release_test

import (
	"context"
	"errors"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/serin-go/serin/checks"
	"github.com/serin-go/serin/checks/release"
	"github.com/serin-go/serin/versioning/registry"
)

// brokenRegistry cannot be read.
type brokenRegistry struct{ registry.Registry }

func (brokenRegistry) List(context.Context, string) ([]registry.Record, error) {
	return nil, errors.New("disk on fire")
}

func TestPromoted(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		digest := func(c string) string { return "sha256:" + strings.Repeat(c, 64) }
		build := func(v string) registry.Key { return registry.Key{Name: "chat", Version: version(v)} }
		reg := registry.NewMemory(registry.Options{})
		for v, d := range map[string]string{"1.3.0": digest("3"), "1.4.0": digest("4"), "1.5.0": digest("5"), "1.6.0": digest("6")} {
			if err := reg.Register(t.Context(), build(v), d); err != nil {
				t.Fatal(err)
			}
		}
		stay := func(from, to string, d time.Duration) {
			t.Helper()
			m := registry.Move{Name: "chat", Alias: "staging", To: build(to), By: "ben"}
			if from != "" {
				m.From = build(from)
			}
			if err := reg.Move(t.Context(), m); err != nil {
				t.Fatal(err)
			}
			time.Sleep(d)
		}
		stay("", "1.3.0", time.Hour)
		stay("1.3.0", "1.5.0", 30*time.Hour)
		stay("1.5.0", "1.4.0", time.Hour)
		stay("1.4.0", "1.5.0", 20*time.Hour)
		stay("1.5.0", "1.4.0", 3*time.Hour)
		for name, tt := range map[string]struct {
			digest string
			o      release.PromotedOptions
			want   checks.Status
			part   string
		}{
			"as wanted":        {digest("5"), release.PromotedOptions{For: 48 * time.Hour, Within: 24 * time.Hour}, checks.Pass, "was in staging for 50h0m0s"},
			"there now":        {digest("4"), release.PromotedOptions{For: 4 * time.Hour, Within: time.Second}, checks.Pass, "for 4h0m0s"},
			"not long enough":  {digest("5"), release.PromotedOptions{For: 51 * time.Hour}, checks.Fail, "for 50h0m0s, want 51h0m0s"},
			"not lately":       {digest("3"), release.PromotedOptions{Within: 24 * time.Hour}, checks.Fail, "was last in staging 54h0m0s ago"},
			"never":            {digest("6"), release.PromotedOptions{}, checks.Fail, "was never in staging"},
			"other contents":   {digest("7"), release.PromotedOptions{}, checks.Unknown, "no build of chat with the digest"},
			"no digest":        {"", release.PromotedOptions{}, checks.Unknown, "not known"},
			"not readable":     {digest("5"), release.PromotedOptions{Builds: brokenRegistry{}}, checks.Unknown, "disk on fire"},
			"another alias":    {digest("5"), release.PromotedOptions{Alias: "production"}, checks.Fail, "never in production"},
			"another model":    {digest("5"), release.PromotedOptions{Model: "search"}, checks.Unknown, "no build of search"},
			"a negative time":  {digest("5"), release.PromotedOptions{For: -1}, checks.Unknown, ""},
			"a negative limit": {digest("5"), release.PromotedOptions{Within: -1}, checks.Unknown, ""},
		} {
			o := tt.o
			if o.Builds == nil {
				o.Builds = reg
			}
			if o.Model == "" {
				o.Model = "chat"
			}
			if o.Alias == "" {
				o.Alias = "staging"
			}
			ctx := checks.WithSubject(t.Context(), checks.Subject{Target: "chat", Candidate: "1.5.0", Digest: tt.digest})
			if r := release.Promoted(o).Check(ctx); r.Status != tt.want || !strings.Contains(r.Summary, tt.part) {
				t.Errorf("%s: %v: %s (%v), want %v", name, r.Status, r.Summary, r.Err, tt.want)
			}
		}
		if err := reg.Yank(t.Context(), build("1.5.0"), "a poisoned tokenizer"); err != nil {
			t.Fatal(err)
		}
		ctx := checks.WithSubject(t.Context(), checks.Subject{Target: "chat", Digest: digest("5")})
		if r := release.Promoted(release.PromotedOptions{Builds: reg, Model: "chat", Alias: "staging"}).Check(ctx); r.Status != checks.Fail || !strings.Contains(r.Summary, "withdrawn: a poisoned tokenizer") {
			t.Errorf("withdrawn: %v: %s", r.Status, r.Summary)
		}
		if r := release.Promoted(release.PromotedOptions{Builds: reg, Model: "chat", Alias: "staging"}).Check(t.Context()); r.Status != checks.Unknown {
			t.Errorf("without a subject: %v: %s", r.Status, r.Summary)
		}
	})
}
