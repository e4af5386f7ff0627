package rollout_test

import (
	"context"
	"fmt"
	"log/slog"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/serin-go/serin/checks"
	"github.com/serin-go/serin/rollout"
	"github.com/serin-go/serin/strategies"
)

// TestRefused: everything that is refused is made known, with who asked for what, and
// by which rule; a panic of the hook changes nothing.
func TestRefused(t *testing.T) {
	for _, panics := range []bool{false, true} {
		t.Run(fmt.Sprint("panics ", panics), func(t *testing.T) {
			run(t, func(t *testing.T, tgt *target, cfg rollout.Config) {
				var mu sync.Mutex
				var got []string
				cfg.Refused = func(_ context.Context, r rollout.Refusal) {
					mu.Lock()
					got = append(got, fmt.Sprintf("%s: %s %s %q by %s", r.Rule, r.Action, r.Target, r.Rollout, r.By.Name))
					mu.Unlock()
					if r.Reason == "" {
						t.Error("no reason")
					}
					if panics {
						panic("hook")
					}
				}
				cfg.Authorize = rollout.Roles{"sre": {"*"}, "dev": {rollout.ActionStart}}.Authorize
				var log strings.Builder // the engine writes to it one line at a time
				cfg.Logger = slog.New(slog.NewTextHandler(&log, nil))
				e := open(t, cfg)
				go tgt.serve(t.Context(), 100*time.Millisecond)
				ana, dan := rollout.Actor{Name: "ana", Roles: []string{"sre"}}, rollout.Actor{Name: "dan", Roles: []string{"dev"}}
				id, err := e.Start(t.Context(), briskly("1.4.0", "1.5.0"), ana)
				if err != nil {
					t.Fatal(err)
				}
				time.Sleep(2 * time.Second)
				refuse := func(err error) {
					t.Helper()
					if err == nil {
						t.Error("it was not refused")
					}
				}
				refuse(e.Do(t.Context(), id, strategies.Abort, dan))
				refuse(e.Do(t.Context(), id, strategies.Resume, ana))
				refuse(e.Do(t.Context(), id, strategies.Abort, ana, rollout.IfSeq(1)))
				_, err = e.Start(t.Context(), briskly("1.4.0", "1.6.0"), dan)
				refuse(err)
				over := briskly("1.4.0", "1.6.0")
				over.Supersede = true
				_, err = e.Start(t.Context(), over, dan)
				refuse(err)
				_, err = e.Retry(t.Context(), id, ana)
				refuse(err)
				if err := e.Do(t.Context(), id, strategies.Pause, ana, rollout.Key("k")); err != nil {
					t.Fatal(err)
				}
				refuse(e.Do(t.Context(), id, strategies.Abort, ana, rollout.Key("k")))
				if err := e.Do(t.Context(), id, strategies.Abort, ana); err != nil {
					t.Fatal(err)
				}
				_, err = e.Start(t.Context(), briskly("1.5.0", "1.6.0"), ana)
				refuse(err)
				refuse(e.Do(t.Context(), "chat/9", strategies.Abort, ana)) // there is no such rollout: not a refusal
				want := []string{
					`authorize: abort chat "chat/1" by dan`,
					`state: resume chat "chat/1" by ana`,
					`conflict: abort chat "chat/1" by ana`,
					`busy: start chat "" by dan`,
					`authorize: supersede chat "" by dan`,
					`busy: retry chat "chat/1" by ana`,
					`key: abort chat "chat/1" by ana`,
					`baseline: start chat "" by ana`,
				}
				mu.Lock()
				defer mu.Unlock()
				if lines := strings.Count(log.String(), `msg="action refused"`); lines != len(want) {
					t.Errorf("%d refusals are in the log, want %d", lines, len(want))
				}
				if !slices.Equal(got, want) {
					t.Errorf("refused:\n%q, want\n%q", got, want)
				}
			})
		})
	}
}

// TestRolesTakeOldSpellings: commands have names that fit into addresses, and a table of
// rights that says them with blanks grants the same.
func TestRolesTakeOldSpellings(t *testing.T) {
	rights := rollout.Roles{"sre": {"promote fully", "ramp-down"}}
	by := rollout.Actor{Name: "ana", Roles: []string{"sre"}}
	for _, c := range []strategies.Command{strategies.PromoteFully, strategies.RampDown} {
		if err := rights.Authorize(t.Context(), by, rollout.Action(c.String()), "chat"); err != nil {
			t.Error(err)
		}
		var read strategies.Command
		if err := read.UnmarshalText([]byte(strings.ReplaceAll(c.String(), "-", " "))); err != nil || read != c {
			t.Errorf("the name of %v with blanks is read as %v, %v", c, read, err)
		}
	}
	if err := rights.Authorize(t.Context(), by, "promote", "chat"); err == nil {
		t.Error("what is not in the table is allowed")
	}
}

// TestChecksKnowTheirSubject: a check finds in its context what it is asked about, and the
// plan.
func TestChecksKnowTheirSubject(t *testing.T) {
	run(t, func(t *testing.T, tgt *target, cfg rollout.Config) {
		var seen []checks.Subject
		var mu sync.Mutex
		cfg.Checks["asks"] = checks.Func(func(ctx context.Context) checks.Result {
			mu.Lock()
			defer mu.Unlock()
			s, ok := checks.SubjectOf(ctx)
			p, okPlan := rollout.PlanOf(ctx)
			if !ok || !okPlan || p.Candidate.Digest != s.Digest {
				return checks.Result{}
			}
			seen = append(seen, s)
			return checks.Result{Status: checks.Pass}
		})
		e := open(t, cfg)
		go tgt.serve(t.Context(), 20*time.Millisecond)
		p := briskly("1.4.0", "1.5.0")
		p.Baseline.Digest, p.Candidate.Digest = "sha256:a", "sha256:b"
		stages, err := p.Strategy.Stages("1.4.0", "1.5.0")
		if err != nil {
			t.Fatal(err)
		}
		stages[1].Before = []string{"asks"}
		p.Stages, p.Preflight, p.Monitor = stages, []string{"asks"}, time.Hour
		began := time.Now()
		id := begin(t, e, p)
		time.Sleep(5 * time.Minute)
		mu.Lock()
		defer mu.Unlock()
		if len(seen) != 2 {
			t.Fatalf("asked about %+v", seen)
		}
		want := checks.Subject{
			Rollout: string(id), Target: "chat", Model: "chat", Baseline: "1.4.0", Candidate: "1.5.0", BaselineDigest: "sha256:a", Digest: "sha256:b",
			Plan: status(t, e, id).Digest, Phase: "preflight", Starter: "ana", StarterName: "ana",
		}
		until := seen[0].Until
		seen[0].Until = time.Time{}
		if seen[0] != want {
			t.Errorf("preflight is asked about %+v, want %+v", seen[0], want)
		}
		if latest := until.Sub(began); latest < 3*time.Hour || latest > 3*time.Hour+time.Minute { // two stages of an hour, and the monitoring
			t.Errorf("it is over by %v", latest)
		}
		if seen[1].Stage != 1 || seen[1].Phase == "preflight" || seen[1].Until.Before(began.Add(2*time.Hour)) {
			t.Errorf("before the second stage: %+v", seen[1])
		}
	})
	if s, ok := checks.SubjectOf(t.Context()); ok || s != (checks.Subject{}) {
		t.Error("a context without a subject has one")
	}
	if _, ok := rollout.PlanOf(t.Context()); ok {
		t.Error("a context without a plan has one")
	}
}
