package analysis

import (
	"math"
	"math/rand/v2"
	"regexp"
	"strconv"
	"strings"
	"testing"
	"time"
)

// wordy is a plan with metrics of each kind and direction.
func wordy() Plan {
	of := func(Observation) (float64, bool) { return 0, false }
	return Plan{Metrics: []Metric{
		ErrorRate(), Unanswered(), TTFT(), Latency(), Cost(), TokensPerSecond(), OutputLength(), Satisfaction(), Stars(), ThumbsUp(),
		{Name: "in order", Better: Higher, Of: of}, {Name: "distance", Kind: Score, Of: of}, {Name: "steps", Kind: Amount, Unit: "steps", Of: of},
	}}.withDefaults()
}

// oneOf returns one of some values.
func oneOf[T any](rng *rand.Rand, values ...T) T { return values[rng.IntN(len(values))] }

// anyEvidence draws evidence of p in which nothing need fit together: the strongest evidence
// is older than the counts, or of another stage or split.
func anyEvidence(p Plan, rng *rand.Rand) Evidence {
	classes := map[Class]int{OK: 1000, Error: rng.IntN(500)}
	e := Evidence{evidence{
		Baseline: armEvidence{Arm: base, Classes: classes}, Candidate: armEvidence{Arm: cand, Classes: classes},
		Compared: [2]int{1000, 1000}, Harm: anyStrength(rng), Metrics: make([]metricEvidence, len(p.Metrics)),
	}}
	for i, m := range p.Metrics {
		x := &e.Metrics[i]
		x.Name, x.Harm, x.Safe = m.Name, anyStrength(rng), anyStrength(rng)
		var value float64
		for side, s := range []*sampleEvidence{&x.Baseline, &x.Candidate} {
			s.N = oneOf(rng, 0, 1, 1000, 1000, 1000)
			switch {
			case side == 1 && rng.IntN(3) == 0:
				s.Value = value * oneOf(rng, 1, 1.0001, .9999, 1.2, 1.3) // nearly, or by the margin
			case m.Kind == Amount:
				s.Value = math.Exp(4 * rng.NormFloat64())
			default:
				s.Value = math.Pow(rng.Float64(), oneOf(rng, 1., 4, .25))
			}
			if m.Kind != Amount {
				s.Value = min(s.Value, 1)
			}
			value = s.Value
			if m.Kind == Rate {
				n := oneOf(rng, 0, 10, 1000, 1_000_000)
				x.Counted[side] = Counted{N: n, Events: rng.IntN(n/oneOf(rng, 1, 10, 100) + 1)}
			}
		}
	}
	return e
}

// anyStrength draws evidence around the limits.
func anyStrength(rng *rand.Rand) strength {
	s := strength{LogE: 2 + 3*rng.NormFloat64()}
	s.Peak = s.LogE + oneOf(rng, 0, 0, 3*rng.Float64())
	return s
}

// shown are two values as a sentence shows them.
var (
	shown  = regexp.MustCompile(`candidate (.+?) against (.+?)(?: at the median| on average)?, e-value`)
	counts = regexp.MustCompile(`(\S+) of (\S+) requests of the candidate \((.+?)\) against (\S+) of (\S+) \((.+?)\), e-value`)
)

// number reads a value as FormatValue writes it.
func number(t *testing.T, text string) float64 {
	t.Helper()
	text = strings.ReplaceAll(text, ",", "")
	if d, err := time.ParseDuration(text); err == nil { // 10m12s
		return d.Seconds()
	}
	value, unit, _ := strings.Cut(text, " ")
	x, err := strconv.ParseFloat(value, 64)
	if err != nil {
		t.Fatalf("%q is no number", text)
	}
	switch unit {
	case "µs":
		return x * 1e-6
	case "ms":
		return x * 1e-3
	}
	return x
}

// TestReasonsDoNotContradictThemselves draws evidence at random: what a sentence calls worse
// is worse by the numbers that it shows, and what it calls safe is not beyond the margin.
func TestReasonsDoNotContradictThemselves(t *testing.T) {
	p := wordy()
	seen := map[string]int{}
	for n := range 100 * *runs {
		rng := rand.New(rand.NewPCG(uint64(n), 7))
		j := p.judge(anyEvidence(p, rng), time.Unix(1e9, 0))
		sentences := []string{}
		for _, f := range j.Metrics {
			sentences = append(sentences, f.Metric+" is "+f.Reason)
		}
		if j.Verdict == Harmed {
			sentences = append(sentences, j.Reason)
		}
		for _, s := range sentences {
			f := findingOf(t, j, s)
			worse := func(b, c float64) bool { return f.isWorse(b, c) }
			switch {
			case strings.Contains(s, "worse: ") && !strings.Contains(s, "no worse"):
				if m := counts.FindStringSubmatch(s); m != nil {
					seen["counted"]++
					nc, nb := number(t, m[1])/number(t, m[2]), number(t, m[4])/number(t, m[5])
					if !worse(nb, nc) || !worse(number(t, m[6]), number(t, m[3])) {
						t.Fatalf("rollout %d: %s", n, s)
					}
				} else if m := shown.FindStringSubmatch(s); m != nil && !strings.Contains(s, ", not its ") {
					seen["shown"]++
					if !worse(number(t, m[2]), number(t, m[1])) {
						t.Fatalf("rollout %d: %s", n, s)
					}
				} else if strings.Contains(s, ", not its ") {
					seen["other"]++
				} else {
					t.Fatalf("rollout %d: no number in %s", n, s)
				}
			case strings.Contains(s, "no worse within"):
				m := shown.FindStringSubmatch(s)
				if m == nil {
					seen["stage"]++
					continue
				}
				seen["safe"]++
				b, c := number(t, m[2]), number(t, m[1])
				if beyondMargin(f, b, c) {
					t.Fatalf("rollout %d: %s", n, s)
				}
			}
		}
	}
	for _, what := range []string{"counted", "shown", "other", "safe", "stage"} {
		if seen[what] < *runs {
			t.Errorf("%d sentences of the kind %q, want more", seen[what], what)
		}
	}
}

// TestStrataDoNotContradictThemselves does the same with parts of the traffic.
func TestStrataDoNotContradictThemselves(t *testing.T) {
	p := wordy()
	assigned := regexp.MustCompile(`(\S+) of (\S+) assigned against (\S+) of (\S+); e-value`)
	seen, other := 0, 0
	for n := range 100 * *runs {
		rng := rand.New(rand.NewPCG(uint64(n), 9))
		s := stratumEvidence{
			Kind: oneOf(rng, ByTenant, ByRoute, ByModel), Value: "acme", Metric: oneOf(rng, nameErrors, nameUnanswered), Weight: 1, Named: 1,
			Assigned: [2]int{1 + rng.IntN(1000), 1 + rng.IntN(1000)}, Harm: anyStrength(rng),
		}
		for side, n := range s.Assigned {
			s.Errors[side], s.Unanswered[side] = rng.IntN(n+1), rng.IntN(n+1)
		}
		reason := p.judgeStrata([]stratumEvidence{s})[0].Reason
		m := assigned.FindStringSubmatch(reason)
		if m == nil {
			if !strings.Contains(reason, "than its share of the traffic explains") {
				t.Fatalf("rollout %d: no number in %s", n, reason)
			}
			other++
			continue
		}
		seen++
		if number(t, m[1])/number(t, m[2]) <= number(t, m[3])/number(t, m[4]) {
			t.Fatalf("rollout %d: %s", n, reason)
		}
	}
	if min(seen, other) < *runs {
		t.Errorf("%d sentences with numbers that are worse and %d others, want more", seen, other)
	}
}

// findingOf returns the finding that a sentence is about.
func findingOf(t *testing.T, j Judgement, sentence string) Finding {
	t.Helper()
	for _, f := range j.Metrics {
		if strings.HasPrefix(sentence, f.Metric+" is ") {
			return f
		}
	}
	t.Fatalf("%q is about no metric", sentence)
	return Finding{}
}

// beyondMargin reports whether shown values, which are rounded, are clearly beyond the margin.
func beyondMargin(f Finding, b, c float64) bool {
	const rounding = .01
	switch {
	case f.Kind == Rate:
		b, c = b/100, c/100
	case f.Unit == unitStars:
		b, c = (b-1)/4, (c-1)/4
	}
	lower, higher := c-b, b-c
	if f.Kind == Amount {
		k := math.Log(factor(f.Margin)) + rounding
		lower, higher = math.Log(c/b)-k, math.Log(b/c)-k
	} else {
		bad := b
		if f.Better == Higher {
			bad = 1 - b
		}
		points := f.Margin.points(0)
		if f.Kind == Rate {
			points = f.Margin.points(bad)
		}
		lower, higher = lower-points-rounding, higher-points-rounding
	}
	switch f.Better {
	case Higher:
		return higher > 0
	case Same:
		return lower > 0 || higher > 0
	}
	return lower > 0
}

var alarmed = regexp.MustCompile(`(?:in|is) (\S+(?: %| of 5)?)(?: on average)?(?: of the last \S+ requests), where (?:at most )?(.+?) (?:may be|is allowed)$`)

// TestAlarmsDoNotContradictThemselves does the same with what raises an alarm of a monitor.
func TestAlarmsDoNotContradictThemselves(t *testing.T) {
	p := wordy()
	seen, of := 0, 0
	for n := range 100 * *runs {
		rng := rand.New(rand.NewPCG(uint64(n), 8))
		for i, m := range p.Metrics {
			if m.Better == Same {
				continue
			}
			g := guard{index: i, metric: m, n: 1 + rng.IntN(1000), parts: []part{{bound: rng.Float64() / 4, level: rng.Float64()}}}
			g.bad, g.sum = rng.IntN(g.n+1), rng.Float64()*float64(g.n)
			if m.Kind == Amount {
				g.parts = append(g.parts, part{bound: rng.Float64(), level: rng.Float64()})
			}
			for k := range g.parts {
				g.parts[k].Step(rng.NormFloat64(), rng.NormFloat64())
				for range 2 {
					g.parts[k].runs = append(g.parts[k].runs, runState{N: g.n, Bad: rng.IntN(g.n + 1), Sum: rng.Float64() * float64(g.n)})
				}
			}
			s := g.words()
			found := alarmed.FindStringSubmatch(s)
			if found == nil {
				if !strings.Contains(s, " latest requests than the ") {
					t.Fatalf("rollout %d: no number in %s", n, s)
				}
				of++
				continue
			}
			seen++
			is, may := number(t, found[1]), number(t, found[2])
			if worse := is > may; is == may || worse == (m.Kind == Score && m.Better == Higher) {
				t.Fatalf("rollout %d: %s", n, s)
			}
		}
	}
	if min(seen, of) < *runs {
		t.Errorf("%d sentences with numbers that are worse and %d others, want more", seen, of)
	}
}
