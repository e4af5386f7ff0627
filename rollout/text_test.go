package rollout_test

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"strings"
	"testing"
	"time"
	"unicode/utf8"

	"github.com/serin-go/serin/checks"
	"github.com/serin-go/serin/rollout"
	"github.com/serin-go/serin/strategies"
)

// TestWhatPeopleSayIsBounded: a reason is kept as UTF-8 and cut at 4 KiB, with a note of
// what was cut, and the service starts again over it.
func TestWhatPeopleSayIsBounded(t *testing.T) {
	long := strings.Repeat("é", 150_000)
	for name, tt := range map[string]struct{ said, want string }{
		"short":            {"it is slow", "aborted: it is slow"},
		"Latin-1":          {"caf\xe9", "aborted: caf\ufffd"},
		"long":             {long, "aborted: " + long[:2000]},
		"long, cut at odd": {"x" + long, "aborted: x" + long[:2000]},
		"long and broken":  {strings.Repeat("\xe9a", 100_000), "aborted: \ufffda"},
	} {
		t.Run(name, func(t *testing.T) {
			run(t, func(t *testing.T, tgt *target, cfg rollout.Config) {
				e := open(t, cfg)
				go tgt.serve(t.Context(), 100*time.Millisecond)
				id := begin(t, e, plan())
				time.Sleep(2 * time.Second)
				if err := e.Do(t.Context(), id, strategies.Abort, ana, rollout.Because(tt.said)); err != nil {
					t.Fatal(err)
				}
				e.Close()
				e = open(t, cfg)
				end := last(finish(t, e, id))
				if !strings.HasPrefix(end.Reason, tt.want) || !utf8.ValidString(end.Reason) || len(end.Reason) > 5<<10 {
					t.Errorf("the reason is %d bytes, %.60q", len(end.Reason), end.Reason)
				}
				if cut := strings.Contains(end.Reason, "bytes, sha256:"); cut != (len(tt.said) > 4<<10) {
					t.Errorf("it ends with %q", end.Reason[max(0, len(end.Reason)-60):])
				}
			})
		})
	}
}

// TestWhatChecksSayIsBounded: the report of checks that have much to say has at most
// 64 KiB, with every check and its status in it.
func TestWhatChecksSayIsBounded(t *testing.T) {
	run(t, func(t *testing.T, tgt *target, cfg rollout.Config) {
		const n = 100
		p := plan()
		for i := range n {
			name := fmt.Sprintf("check-%02d", i)
			status := checks.Pass
			if i == n/2 {
				status = checks.Fail
			}
			cfg.Checks[name] = checks.Func(func(context.Context) checks.Result {
				r := checks.Result{Status: status, Summary: strings.Repeat("s\xff", 100_000), Evidence: map[string]string{}}
				for j := range 100 {
					r.Evidence[fmt.Sprint(j, strings.Repeat("k", 1000))] = strings.Repeat("v", 1000)
				}
				if status == checks.Fail {
					r.Err = errors.New(strings.Repeat("e", 100_000))
				}
				return r
			})
			p.Preflight = append(p.Preflight, name)
		}
		e := open(t, cfg)
		id := begin(t, e, p)
		end := last(finish(t, e, id))
		body, err := json.Marshal(end.Checks)
		if err != nil || len(body) > 64<<10 || len(end.Checks.Results) != n || end.Checks.Status != checks.Fail {
			t.Fatalf("%d bytes, %d results, %v, %v", len(body), len(end.Checks.Results), end.Checks.Status, err)
		}
		failed := end.Checks.Results[n/2]
		if failed.Status != checks.Fail || len(failed.Err.Error()) < 2<<10 || len(failed.Summary) < 1<<10 || len(failed.Evidence) > 32 {
			t.Errorf("of what failed there are %d bytes of error, %d of summary, %d pairs", len(failed.Err.Error()), len(failed.Summary), len(failed.Evidence))
		}
		if len(end.Reason) > 5<<10 {
			t.Errorf("the reason has %d bytes", len(end.Reason))
		}
	})
}

// TestNamesAreRefused: who acts has a name that shows and that is one name.
func TestNamesAreRefused(t *testing.T) {
	run(t, func(t *testing.T, tgt *target, cfg rollout.Config) {
		e := open(t, cfg)
		id := begin(t, e, plan())
		for name, tt := range map[string]struct {
			by    rollout.Actor
			field string
		}{
			"empty":                {rollout.Actor{}, "Actor.Name"},
			"blank":                {rollout.Actor{Name: " "}, "Actor.Name"},
			"control":              {rollout.Actor{Name: "ana\x1b[2K"}, "Actor.Name"},
			"direction":            {rollout.Actor{Name: "ana\u202e"}, "Actor.Name"},
			"combining":            {rollout.Actor{Name: "ana\u0301"}, "Actor.Name"},
			"not UTF-8":            {rollout.Actor{Name: "an\xe1"}, "Actor.Name"},
			"long":                 {rollout.Actor{Name: strings.Repeat("a", 129)}, "Actor.Name"},
			"role that is long":    {rollout.Actor{Name: "ana", Roles: []string{"sre", strings.Repeat("a", 129)}}, "Actor.Roles[1]"},
			"subject not ASCII":    {rollout.Actor{Name: "ana", Subject: "aná"}, "Actor.Subject"},
			"subject with blanks":  {rollout.Actor{Name: "ana", Subject: "a b"}, "Actor.Subject"},
			"subject that is long": {rollout.Actor{Name: "ana", Subject: strings.Repeat("a", 256)}, "Actor.Subject"},
		} {
			var invalid *checks.InvalidError
			if err := e.Do(t.Context(), id, strategies.Pause, tt.by); !errors.As(err, &invalid) || invalid.Field != tt.field || len(err.Error()) > 500 {
				t.Errorf("%s: Do: %v", name, err)
			}
			other := plan()
			other.Supersede = true
			if _, err := e.Start(t.Context(), other, tt.by); !errors.As(err, &invalid) || invalid.Field != tt.field {
				t.Errorf("%s: Start: %v", name, err)
			}
		}
		if err := e.Do(t.Context(), id, strategies.Pause, rollout.Actor{Name: "Àna Größe", Subject: strings.Repeat("a", 255)}); err != nil {
			t.Error(err)
		}
	})
}

// TestOnePersonIsOne: votes of one person are one, however the name is spelled, and two
// subjects of one name are two.
func TestOnePersonIsOne(t *testing.T) {
	for name, tt := range map[string]struct {
		starter, first, second rollout.Actor
		want                   strategies.Phase
		votes                  int
	}{
		"two people":                  {rollout.Actor{Name: "cy"}, rollout.Actor{Name: "ana"}, rollout.Actor{Name: "ben"}, strategies.Baking, 0},
		"one name in two spellings":   {rollout.Actor{Name: "cy"}, rollout.Actor{Name: "ana@example.com"}, rollout.Actor{Name: " Ana@Example.com"}, strategies.Approving, 1},
		"one subject of two names":    {rollout.Actor{Name: "cy"}, rollout.Actor{Name: "ana", Subject: "i/1"}, rollout.Actor{Name: "anna", Subject: "i/1"}, strategies.Approving, 1},
		"two subjects of one name":    {rollout.Actor{Name: "cy"}, rollout.Actor{Name: "ana", Subject: "i/1"}, rollout.Actor{Name: "ana", Subject: "i/2"}, strategies.Baking, 0},
		"starter in another spelling": {rollout.Actor{Name: "Ana"}, rollout.Actor{Name: "ana "}, rollout.Actor{Name: "ben"}, strategies.Approving, 1},
		"starter of another name":     {rollout.Actor{Name: "anna", Subject: "i/1"}, rollout.Actor{Name: "ana", Subject: "i/1"}, rollout.Actor{Name: "ben"}, strategies.Approving, 1},
	} {
		t.Run(name, func(t *testing.T) {
			run(t, func(t *testing.T, tgt *target, cfg rollout.Config) {
				e := open(t, cfg)
				p := plan()
				stages, err := p.Strategy.Stages("1.4.0", "1.5.0")
				if err != nil {
					t.Fatal(err)
				}
				stages[0].Approve = &strategies.Approval{Need: 2, FourEyes: true}
				p.Stages = stages
				id, err := e.Start(t.Context(), p, tt.starter)
				if err != nil {
					t.Fatal(err)
				}
				time.Sleep(2 * time.Second)
				_ = e.Do(t.Context(), id, strategies.Approve, tt.first)
				_ = e.Do(t.Context(), id, strategies.Approve, tt.second)
				time.Sleep(2 * time.Second)
				if st := status(t, e, id); st.Phase != tt.want || len(st.Votes) != tt.votes {
					t.Errorf("%v with %d votes, want %v with %d", st.Phase, len(st.Votes), tt.want, tt.votes)
				}
			})
		})
	}
}

// TestKeysAreOfOneCommand: a key that was used for another command, or by another actor,
// is no repetition.
func TestKeysAreOfOneCommand(t *testing.T) {
	run(t, func(t *testing.T, tgt *target, cfg rollout.Config) {
		e := open(t, cfg)
		go tgt.serve(t.Context(), 100*time.Millisecond)
		id := begin(t, e, plan())
		time.Sleep(2 * time.Second)
		do := func(c strategies.Command, by string) error {
			return e.Do(t.Context(), id, c, rollout.Actor{Name: by}, rollout.Key("OPS-17"))
		}
		if err := do(strategies.Pause, "ben"); err != nil {
			t.Fatal(err)
		}
		if err := do(strategies.Pause, "ben"); err != nil {
			t.Errorf("the same again: %v", err)
		}
		var reused *rollout.KeyReusedError
		for _, err := range []error{do(strategies.Abort, "ben"), do(strategies.Pause, "cy"), do(strategies.Resume, "ben")} {
			if !errors.As(err, &reused) || reused.Key != "OPS-17" || reused.Rollout != id {
				t.Errorf("another: %v", err)
			}
		}
		if st := status(t, e, id); !st.Paused || st.Phase.Terminal() {
			t.Errorf("%v, paused %t", st.Phase, st.Paused)
		}
	})
}

// TestWhatIsShown: an event in words holds no character that does not show.
func TestWhatIsShown(t *testing.T) {
	ev := rollout.Event{Rollout: "chat/1", Reason: "well\x1b[2K\u202e\u200b", Name: "a\nb", By: rollout.Actor{Name: "an\x07a"},
		Checks: &checks.Report{Results: []checks.NamedResult{{Name: "x\x1b", Result: checks.Result{Summary: "y\r\nz"}}}}}
	for _, s := range []string{ev.String(), ev.Explain()} {
		if strings.ContainsAny(s, "\x1b\x07\r\u202e\u200b") || !strings.Contains(s, "well␛[2K[U+202E][U+200B]") {
			t.Errorf("%q", s)
		}
	}
	if n := bytes.Count([]byte(ev.Explain()), []byte("\n")); n != 6 {
		t.Errorf("%d lines:\n%s", n, ev.Explain())
	}
}
