package analysis

import (
	"encoding/json"
	"errors"
	"math"
	"slices"
	"testing"

	"github.com/google/go-cmp/cmp/cmpopts"
	"github.com/serin-go/serin/checks"
)

// The recorded evidence reproduces each judgement to the last bit, on the way
// through JSON, without the functions of custom metrics.
func TestJudgementIsReproduced(t *testing.T) {
	custom := Metric{Name: "custom", Kind: Score, Better: Higher, Of: func(o Observation) (float64, bool) {
		return float64(o.OutputTokens%10) / 10, true
	}}
	plan := Plan{Metrics: append(DefaultMetrics(), Stars(), custom)}
	c, l := compare(t, plan), newLoad(1, 0.3)
	stored := viaJSON(t, plan)
	for i := range 60 {
		switch i {
		case 20:
			l.slower = 1.2
		case 30:
			l.errors[base], l.errors[cand] = 0.4, 0.4
		}
		want := l.play(c, 40, func(int) Observation {
			o := l.next()
			o.Score = 0.1 + 0.8*l.rng.Float64()
			return o
		}, nil)
		got, err := stored.Judge(viaJSON(t, c.Evidence()), l.now)
		if err != nil {
			t.Fatal(err)
		}
		if diff := differences(want, got); diff != "" {
			t.Fatalf("look %d (-want +got):\n%s", i, diff)
		}
	}
}

func TestJudgeRefuses(t *testing.T) {
	c, l := compare(t, Plan{}), newLoad(1, 0.5)
	l.run(c, 200)
	var invalid *checks.InvalidError
	if _, err := (Plan{AlphaRollback: 0.01}).Judge(c.Evidence(), l.now); !errors.As(err, &invalid) {
		t.Errorf("another plan: %v", err)
	}
	if _, err := (Plan{}).Judge(Evidence{}, l.now); !errors.As(err, &invalid) {
		t.Errorf("no evidence at all: %v", err)
	}
	e := c.Evidence()
	e.Metrics[2].Contrast.YY = math.Inf(1)
	if _, err := (Plan{}).Judge(e, l.now); !errors.As(err, &invalid) {
		t.Errorf("an infinite sum: %v", err)
	}
	if _, err := (Plan{Metrics: []Metric{}}).Judge(c.Evidence(), l.now); !errors.As(err, &invalid) {
		t.Errorf("an invalid plan: %v", err)
	}
}

// Attribution names the metrics in which the candidate is worse, not those that
// are only measured along.
func TestAttribution(t *testing.T) {
	c, l := compare(t, Plan{Breakers: []Breaker{}}), newLoad(1, 0.5)
	l.errors[cand] = 0.15
	j := l.play(c, 4000, func(int) Observation {
		o := l.next()
		if o.Arm == cand {
			o.Cost = o.Cost * 3 / 2
		}
		return o
	}, nil)
	var named []string
	for _, f := range j.Metrics {
		if f.Attributed {
			named = append(named, f.Metric)
		}
	}
	if diff := differences([]string{nameErrors, nameUnanswered, nameCost}, named); diff != "" || j.Verdict != Harmed {
		t.Errorf("%s (%s); attributed (-want +got):\n%s", j.Verdict, j.Reason, diff)
	}
}

// What is forecast in the middle of a rollout is about what it takes.
func TestForecastOfNeeded(t *testing.T) {
	alone(t)
	var ratios []float64
	for seed := range uint64(*runs) {
		c, l := compare(t, Plan{}), newLoad(seed, 0.5)
		forecast, from := 0, 0
		for range 1200 {
			j := l.run(c, 20)
			if j.Verdict == Safe {
				if j.Needed != 0 {
					t.Errorf("safe, but %d requests are still needed", j.Needed)
				}
				if forecast > 0 {
					ratios = append(ratios, float64(j.Candidate.Requests-from)/float64(forecast))
				}
				break
			}
			if forecast == 0 && j.Candidate.Requests > 800 {
				forecast, from = j.Needed, j.Candidate.Requests
			}
		}
	}
	slices.Sort(ratios)
	median := ratios[len(ratios)/2]
	t.Logf("of %d forecasts after 800 requests, what it took is %.2f times the forecast at the median", len(ratios), median)
	if 4*len(ratios) < *runs || median < 0.3 || median > 3 {
		t.Errorf("%d forecasts, off by a factor of %.2f at the median", len(ratios), median)
	}
}

// Evidence keeps nothing of the comparison that could change under its owner.
func TestEvidenceIsACopy(t *testing.T) {
	c, l := compare(t, Plan{}), newLoad(1, 0.5)
	l.run(c, 3000)
	e := c.Evidence()
	data, err := json.Marshal(e)
	if err != nil {
		t.Fatal(err)
	}
	l.run(c, 3000)
	var before Evidence
	if err := json.Unmarshal(data, &before); err != nil {
		t.Fatal(err)
	}
	if diff := differences(before, e, cmpopts.EquateEmpty()); diff != "" {
		t.Errorf("changed by later looks (-want +got):\n%s", diff)
	}
}

// Before a proof has begun there is no telling how long it takes.
func TestForecastWithoutGrowth(t *testing.T) {
	c := compare(t, Plan{Metrics: []Metric{ErrorRate()}, Breakers: []Breaker{}})
	j := sideBySide(c, 100, -1, always(Observation{Class: OK}), each(50, Observation{Class: Error}, Observation{Class: OK}))
	if f := j.Metrics[0]; f.Verdict != Continue || f.Safe.Now != 1 || f.Needed != 0 || j.Needed != 0 {
		t.Errorf("%s, e-value for safety %v, needed %d and %d", f.Verdict, f.Safe.Now, f.Needed, j.Needed)
	}
	j = sideBySide(c, 1500, -1, always(Observation{Class: OK}), each(50, Observation{Class: OK}, Observation{Class: OK}))
	if f := j.Metrics[0]; f.Verdict != Continue || f.Needed < 100 || f.Needed > 6000 || j.Needed != f.Needed {
		t.Errorf("%s, e-value for safety %v, needed %d and %d", f.Verdict, f.Safe.Now, f.Needed, j.Needed)
	}
}
