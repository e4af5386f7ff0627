package analysis

import (
	"math"
	"strings"
	"testing"
)

// playRated plays n requests of which a share of each arm's is rated, and a share of those
// ratings is bad.
func playRated(l *load, c *Comparison, n int, answers, bad map[string]float64, stop func(Judgement) bool) Judgement {
	return l.play(c, n, func(int) Observation {
		o := l.next()
		if l.rng.Float64() < answers[o.Arm] {
			o.Scored, o.Score = true, FromThumb(l.rng.Float64() >= bad[o.Arm])
		}
		return o
	}, stop)
}

func byArm(b, k float64) map[string]float64 { return map[string]float64{base: b, cand: k} }

func thumbsPlan() Plan {
	return Plan{Metrics: []Metric{ErrorRate(), guardOf(ThumbsUp())}, Breakers: []Breaker{}}
}

func harmed(j Judgement) bool { return j.Verdict == Harmed }

// Ratings of one request in fifty are enough to find what users dislike, and what they
// like no less is no harm.
func TestSparseThumbs(t *testing.T) {
	for name, tt := range map[string]struct {
		answers, bad map[string]float64
		requests     int
		least, most  int // of 20 rollouts are harmed by thumbs
	}{
		"disliked":              {byArm(.02, .02), byArm(.1, .6), 8000, 18, 20},
		"equal":                 {byArm(.02, .02), byArm(.1, .1), 8000, 0, 4},
		"within the tolerance":  {byArm(1, 1), byArm(.02, .027), 6000, 0, 4},
		"few dislikes":          {byArm(1, 1), byArm(.02, .08), 6000, 18, 20},
		"liked better":          {byArm(.02, .02), byArm(.6, .1), 8000, 0, 4},
		"candidate rated alone": {byArm(0, .2), byArm(.5, .5), 4000, 0, 0},
		"baseline rated alone":  {byArm(.2, 0), byArm(.5, .5), 4000, 0, 0},
	} {
		t.Run(name, func(t *testing.T) {
			n := 0
			var last Judgement
			for seed := range uint64(20) {
				c, l := compare(t, thumbsPlan()), newLoad(seed, 0.5)
				if last = playRated(l, c, tt.requests, tt.answers, tt.bad, harmed); last.Metrics[1].Verdict == Harmed {
					n++
				}
			}
			t.Logf("%d of 20 harmed; the last: %s", n, last.Metrics[1].Reason)
			if n < tt.least || n > tt.most {
				t.Errorf("%d of 20 harmed, want %d to %d", n, tt.least, tt.most)
			}
		})
	}
}

// That one arm's users answer more often is shown, and decides nothing.
func TestAnswered(t *testing.T) {
	plan := Plan{Metrics: []Metric{ErrorRate(), guardOf(Satisfaction())}, Breakers: []Breaker{}}
	for name, tt := range map[string]struct {
		answers map[string]float64
		differ  bool
	}{
		"alike":          {byArm(.05, .05), false},
		"candidate more": {byArm(.02, .06), true},
		"baseline more":  {byArm(.06, .02), true},
	} {
		t.Run(name, func(t *testing.T) {
			c, l := compare(t, plan), newLoad(4, 0.5)
			j := playRated(l, c, 10000, tt.answers, byArm(.2, .2), harmed)
			a := j.Metrics[1].Answered
			if harmed(j) || a == nil {
				t.Fatalf("%s (%s), %+v", j.Verdict, j.Reason, a)
			}
			// Failed requests are not rated, so somewhat fewer are.
			if math.Abs(a.Baseline-tt.answers[base]) > .01 || math.Abs(a.Candidate-tt.answers[cand]) > .01 {
				t.Errorf("shares of %v and %v, want about %v", a.Baseline, a.Candidate, tt.answers)
			}
			if a.Differ.Reached() != tt.differ || strings.Contains(j.Metrics[1].Reason, "have a value") != tt.differ {
				t.Errorf("%+v: %s", a, j.Metrics[1].Reason)
			}
			if j.Metrics[0].Answered != nil {
				t.Error("answers of a metric of failures")
			}
			stored, err := plan.Judge(viaJSON(t, c.Evidence()), j.At)
			if diff := differences(j, stored); err != nil || diff != "" {
				t.Errorf("%v (-live +stored):\n%s", err, diff)
			}
		})
	}
}

// A restart loses nothing of what was rated, and replicas add up what each has seen.
func TestRatingsThroughRestartsAndMerges(t *testing.T) {
	plan := thumbsPlan()
	c, l := compare(t, plan), newLoad(5, 0.5)
	playRated(l, c, 4000, byArm(.1, .1), byArm(.02, .1), nil)
	e := viaJSON(t, c.Evidence())
	again := compare(t, plan)
	if err := again.Restore(e); err != nil {
		t.Fatal(err)
	}
	if diff := differences(e.Tests, again.Evidence().Tests); diff != "" {
		t.Errorf("the tests differ after a restart:\n%s", diff)
	}
	if got, want := again.tests.downTimes(1), c.tests.downTimes(1); got != want || want <= 1 {
		t.Errorf("the tolerance allows %v times as many after a restart, %v before", got, want)
	}
	one, err := plan.Merge(e)
	if err != nil {
		t.Fatal(err)
	}
	other, k := newLoad(6, 0.5), compare(t, plan)
	playRated(other, k, 4000, byArm(.1, .1), byArm(.02, .1), nil)
	both, err := plan.Merge(e, k.Evidence())
	if err != nil {
		t.Fatal(err)
	}
	if a, b := one.Metrics[1].Harm, both.Metrics[1].Harm; a.LogE <= 0 || b.LogE <= a.LogE {
		t.Errorf("one replica has ln E %v, two %v", a, b)
	}
	e.Metrics[1].Answered.LogE = math.NaN()
	if _, err := plan.Judge(e, l.now); err == nil {
		t.Error("evidence that is no number is accepted")
	}
}
