package analysis

import (
	"strings"
	"testing"
)

// Both arms fail together: hold, and say so; go on when it is over. Where the
// candidate alone fails, that is harm; where the baseline alone does, it is neither.
func TestIncident(t *testing.T) {
	alone(t)
	for _, tt := range []struct {
		name    string
		trouble func(l *load)
		during  Verdict
		reason  string
		after   Verdict
	}{
		{"errors on both", func(l *load) { l.errors[base], l.errors[cand] = 0.25, 0.25 }, Incident, "incident: 1.4.0 and 1.5.0 are both worse than 1.4.0 was before, in error rate", Continue},
		{"both slow", func(l *load) { l.common = 4 }, Incident, "in ttft, itl, latency", Continue},
		{"errors on the candidate", func(l *load) { l.errors[cand] = 0.15 }, Harmed, "error rate is worse", Harmed},
		{"errors on the baseline", func(l *load) { l.errors[base] = 0.25 }, Continue, "", Continue},
		{"both a little slower", func(l *load) { l.common = 1.4 }, Continue, "", Continue},
		{"both fail, the candidate more", func(l *load) { l.errors[base], l.errors[cand] = 0.2, 0.6 }, Harmed, "error rate", Harmed},
	} {
		t.Run(tt.name, func(t *testing.T) {
			c, l := compare(t, Plan{}), newLoad(1, 0.3)
			check := func(when string, j Judgement, want Verdict, reason string) {
				t.Helper()
				// An equal candidate may be proven by then.
				if j.Verdict != want && !(want == Continue && j.Verdict == Safe) || !strings.Contains(j.Reason, reason) {
					t.Errorf("%s: %s (%s), want %s (%s)", when, j.Verdict, j.Reason, want, reason)
				}
			}
			check("before", l.run(c, 6000), Continue, "")
			tt.trouble(l)
			check("during", l.run(c, 2000), tt.during, tt.reason)
			// What is going on survives a restart.
			again := compare(t, Plan{})
			if err := again.Restore(viaJSON(t, c.Evidence())); err != nil {
				t.Fatal(err)
			}
			if want, got := c.Judge(l.now), again.Judge(l.now); want.Verdict != got.Verdict {
				t.Errorf("after a restart: %s, want %s", got.Verdict, want.Verdict)
			}
			l.errors, l.common = map[string]float64{base: 0.01, cand: 0.01}, 1
			check("after", l.run(again, 3000), tt.after, "")
		})
	}
}

// An incident is found in time, and soon over.
func TestIncidentIsQuick(t *testing.T) {
	c, l := compare(t, Plan{}), newLoad(1, 0.5)
	l.run(c, 4000)
	until := func(want bool) (requests int) {
		for requests = 0; requests < 20_000; requests += 10 {
			if j := l.run(c, 10); (j.Verdict == Incident) == want {
				break
			}
		}
		return requests
	}
	l.errors[base], l.errors[cand] = 0.25, 0.25
	found := until(true)
	l.errors[base], l.errors[cand] = 0.01, 0.01
	over := until(false)
	t.Logf("25 %% errors on both arms: an incident after %d requests, over after %d", found, over)
	if found > 400 || over > 2000 {
		t.Errorf("an incident after %d requests, over after %d; want at most 400 and 2,000", found, over)
	}
}

// Nothing is an incident when nothing happens, from the first request on, and
// without enough of a past.
func TestNoIncident(t *testing.T) {
	alone(t)
	incidents := 0
	for seed := range uint64(20) {
		c, l := compare(t, Plan{}), newLoad(seed, 0.5)
		for range 300 {
			if l.run(c, 10).Verdict == Incident {
				incidents++
			}
		}
	}
	if incidents > 0 {
		t.Errorf("%d of 6,000 looks at nothing are an incident", incidents)
	}
	c, l := compare(t, Plan{Breakers: []Breaker{}}), newLoad(1, 0.5)
	l.errors[base], l.errors[cand] = 0.9, 0.9 // from the start: there is no past to compare with
	if j := l.run(c, 4000); j.Verdict == Incident || j.Verdict == Safe {
		t.Errorf("failing from the start: %s (%s)", j.Verdict, j.Reason)
	}
}

func TestDriftRefuses(t *testing.T) {
	c, l := compare(t, Plan{}), newLoad(1, 0.5)
	l.run(c, 1000)
	for name, change := range map[string]func(e *Evidence){
		"sums":    func(e *Evidence) { e.Metrics[0].Drift[1].Sums = []float64{1} },
		"profile": func(e *Evidence) { e.Metrics[0].Profile.Events = e.Metrics[0].Profile.N + 1 },
	} {
		e := c.Evidence()
		if diff := differences(profileState{}, e.Metrics[0].Profile); diff == "" {
			t.Fatal("there is no profile")
		}
		change(&e)
		if err := compare(t, Plan{}).Restore(e); err == nil {
			t.Errorf("%s: restored", name)
		}
	}
}
