package analysis

import (
	"encoding/json"
	"math"
	"math/rand/v2"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"
	"pgregory.net/rapid"
)

// feed records n requests of an arm.
func feed(c *Comparison, arm string, n int, o Observation) {
	for range n {
		c.r.Arm(arm).Record(o)
	}
}

func ok(ttft time.Duration) Observation {
	return Observation{Class: OK, TTFT: ttft, ITL: ttft / 10, Latency: 10 * ttft, Cost: 100}
}

// What is not proven is not Safe, and each kind of ignorance has its name.
func TestNothingIsSafeWithoutEvidence(t *testing.T) {
	good, failed := ok(time.Second), Observation{Class: Error}
	for _, tt := range []struct {
		name   string
		feed   func(c *Comparison)
		want   Verdict
		reason string
	}{
		{"nothing", func(*Comparison) {}, NoEvidence, "no request of 1.5.0"},
		{"baseline alone", func(c *Comparison) { feed(c, base, 1000, good) }, NoEvidence, "no request of 1.5.0"},
		{"candidate alone", func(c *Comparison) { feed(c, cand, 1000, good) }, Unmeasurable, "no request of 1.4.0"},
		{"unknown arm alone", func(c *Comparison) { feed(c, "2.0.0", 1000, good) }, NoEvidence, "no request of 1.5.0"},
		{"all cancelled", func(c *Comparison) {
			feed(c, base, 1000, good)
			feed(c, cand, 1000, Observation{Class: Cancelled, TTFT: time.Second})
		}, NoEvidence, "no request of 1.5.0"},
		{"all rejected", func(c *Comparison) {
			feed(c, base, 1000, good)
			feed(c, cand, 1000, Observation{Class: Rejected})
		}, Harmed, "breaker: unanswered above 50 %: 50 of the last 50 requests of 1.5.0"},
		{"all rejected on both sides", func(c *Comparison) {
			feed(c, base, 1000, Observation{Class: Rejected})
			feed(c, cand, 1000, Observation{Class: Rejected})
		}, NoEvidence, "no request of 1.5.0 could be counted: 1,000 rejected"},
		{"nothing can be read on both sides", func(c *Comparison) {
			feed(c, base, 1000, Observation{})
			feed(c, cand, 998, Observation{})
			feed(c, cand, 2, Observation{Class: Cancelled})
		}, NoEvidence, "no request of 1.5.0 could be counted: 998 unread, 2 cancelled"},
		{"enough, but most of it unread", func(c *Comparison) {
			for _, arm := range []string{base, cand} {
				feed(c, arm, 49, good)
				feed(c, arm, 1000, Observation{})
			}
		}, Continue, "collecting: 49 of 50"},
		{"too few", func(c *Comparison) { feed(c, base, 1000, good); feed(c, cand, 49, good) }, Continue, "collecting: 49 of 50"},
		{"too few of the baseline", func(c *Comparison) { feed(c, base, 9, good); feed(c, cand, 1000, good) }, Continue, "9 of 50 requests of 1.4.0"},
		{"candidate never streams", func(c *Comparison) {
			feed(c, base, 1000, good)
			feed(c, cand, 1000, Observation{Class: OK, Latency: time.Second, Cost: 100})
		}, Unmeasurable, "ttft is measured on the baseline alone"},
		{"all errors on both sides", func(c *Comparison) { feed(c, base, 1000, failed); feed(c, cand, 1000, failed) }, NoEvidence, "no request of 1.5.0 was answered well: all 1,000 that were counted have failed"},
		{"equal and constant", func(c *Comparison) { feed(c, base, 1000, good); feed(c, cand, 1000, good) }, Safe, "no worse than 1.4.0"},
		{"all candidate requests fail", func(c *Comparison) { feed(c, base, 100, good); feed(c, cand, 100, failed) }, Harmed, "breaker: error rate above 20 %: 50 of the last 50"},
		{"no stream anywhere", func(c *Comparison) {
			o := Observation{Class: OK, Latency: time.Second}
			feed(c, base, 1000, o)
			feed(c, cand, 1000, o)
		}, Safe, "in error rate, latency, after"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			c := compare(t, Plan{})
			tt.feed(c)
			j := judge(t, c, tt.want, tt.reason)
			if _, err := json.Marshal(j); err != nil {
				t.Errorf("no JSON: %v", err)
			}
		})
	}
}

func TestVerdictsStay(t *testing.T) {
	c, l := compare(t, Plan{}), newLoad(1, 0.5)
	if j := l.run(c, 8000); j.Verdict != Safe {
		t.Fatalf("%s (%s)", j.Verdict, j.Reason)
	}
	l.share = 1 // promoted: the baseline gets nothing more
	if j := l.run(c, 1000); j.Verdict != Safe {
		t.Errorf("without a baseline: %s (%s)", j.Verdict, j.Reason)
	}
	l.share, l.slower = 0.5, 3
	j := l.run(c, 8000)
	if j.Verdict != Harmed {
		t.Fatalf("after becoming slow: %s (%s)", j.Verdict, j.Reason)
	}
	l.slower = 0.2
	if j = l.run(c, 20_000); j.Verdict != Harmed || !(j.Harm.Now < j.Harm.E) {
		t.Errorf("after becoming quick: %s, e-value %v, now %v", j.Verdict, j.Harm.E, j.Harm.Now)
	}
}

// Values that no request can have are counted and change nothing else.
func TestOddValuesDoNoHarm(t *testing.T) {
	nan := func(Observation) (float64, bool) { return math.NaN(), true }
	inf := func(Observation) (float64, bool) { return math.Inf(1), true }
	half := func(Observation) (float64, bool) { return 0.5, true }
	two := func(Observation) (float64, bool) { return 2, true }
	boom := func(Observation) (float64, bool) { panic("boom") }
	odd := []Metric{
		{Name: "nan", Kind: Amount, Of: nan, Role: Report}, {Name: "inf", Kind: Amount, Of: inf, Role: Report},
		{Name: "half", Kind: Rate, Of: half, Role: Report}, {Name: "two", Kind: Score, Of: two, Role: Report},
		{Name: "boom", Kind: Rate, Of: boom, Role: Report},
	}
	c := compare(t, Plan{Metrics: append(append(DefaultMetrics(), Satisfaction()), odd...)})
	feed(c, cand, 1, Observation{Class: 200, TTFT: -1, ITL: math.MinInt64, Latency: -5, Cost: -1, Score: math.NaN()})
	feed(c, cand, 1, Observation{Class: OK, TTFT: -1, ITL: -1, Latency: -5, Score: 2})
	s, err := c.r.Summary(cand)
	if err != nil {
		t.Fatal(err)
	}
	// 3 durations (of an unknown class, which is an error, 2), a score, 5 odd
	// metrics, each time.
	if want := (2 + 1 + 5) + (3 + 1 + 5); s.Invalid != want || s.Classes[Error] != 1 || s.Classes[OK] != 1 {
		t.Errorf("%d invalid values, want %d; classes %v", s.Invalid, want, s.Classes)
	}
	for _, m := range s.Metrics {
		if r, ok := ready[m.Metric]; ok && r.byClass() {
			continue // has a value nevertheless
		}
		if m.N != 0 || m.Mean != 0 || m.Max != 0 {
			t.Errorf("an invalid value was counted: %+v", m)
		}
	}
	l := newLoad(1, 0.5)
	if j := l.run(c, 6000); j.Verdict != Safe {
		t.Errorf("%s (%s), want safe as if nothing had been odd", j.Verdict, j.Reason)
	}
}

func TestClockMayJump(t *testing.T) {
	c, l := compare(t, Plan{}), newLoad(5, 0.5)
	l.errors[cand] = 0.1
	var j Judgement
	for i := range 300 {
		for range 10 {
			c.r.Record(l.next())
		}
		at := time.Unix(1e9, 0).Add(time.Duration(i%7-3) * time.Hour)
		if i%50 == 0 {
			at = time.Time{}
		}
		j = c.Judge(at)
	}
	if j.Verdict != Harmed {
		t.Errorf("%s (%s), want harmed", j.Verdict, j.Reason)
	}
}

// While one arm is silent the other's requests wait for it within the window,
// and are not compared beyond it.
func TestWindow(t *testing.T) {
	for _, tt := range []struct {
		wait time.Duration
		want int // pairs
	}{{time.Minute, 5}, {time.Minute + time.Second, 0}} {
		c := compare(t, Plan{})
		now := time.Unix(1e9, 0)
		c.Judge(now)
		feed(c, base, 5, ok(time.Second))
		c.Judge(now.Add(time.Second))
		c.Judge(now.Add(tt.wait))
		feed(c, cand, 5, ok(2*time.Second))
		c.Judge(now.Add(tt.wait + time.Second))
		if got := c.Evidence().Metrics[1].Harm.Sums; got[0]+got[1] != float64(tt.want) {
			t.Errorf("after %v: %v wins and losses, want %d", tt.wait, got, tt.want)
		}
	}
}

// A metric in other units gives the same verdicts and the same evidence at every
// look, to the last bit.
func TestScaleEquivariance(t *testing.T) {
	judge := func(scale, slower float64, seed uint64, requests int) (all []Judgement) {
		amount := func(value func(Observation) float64) func(Observation) (float64, bool) {
			return func(o Observation) (float64, bool) { return scale * value(o), o.Class == OK }
		}
		c := compare(t, Plan{Metrics: []Metric{
			{Name: "wait", Kind: Amount, Of: amount(func(o Observation) float64 { return float64(o.Latency) })},
			{Name: "speed", Kind: Amount, Better: Higher, Of: amount(func(o Observation) float64 { return o.TokensPerSecond() })},
			{Name: "ties", Kind: Amount, Of: amount(func(o Observation) float64 { return float64(o.Cost / 100) })},
		}})
		l := newLoad(seed, 0.3)
		l.slower = slower
		for i := range 20 {
			if i == 10 {
				l.common = 5 // an incident has no unit either
			}
			all = append(all, l.run(c, requests/20))
		}
		return all
	}
	values := cmp.FilterPath(func(p cmp.Path) bool {
		name := p.Last().String()
		return name == ".Baseline" || name == ".Candidate" || name == ".Reason"
	}, cmp.Ignore())
	effects := cmp.Comparer(func(a, b Effect) bool {
		return a.Known == b.Known && cmp.Equal([]float64{a.Value, a.Low, a.High}, []float64{b.Value, b.Low, b.High}, cmpopts.EquateApprox(1e-9, 0))
	})
	check := func(t interface {
		Errorf(format string, args ...any)
	}, scale, slower float64, seed uint64, requests int) {
		if diff := cmp.Diff(judge(1, slower, seed, requests), judge(scale, slower, seed, requests), values, effects); diff != "" {
			t.Errorf("times %g, candidate %v times slower, seed %d (-want +got):\n%s", scale, slower, seed, diff)
		}
	}
	for scale := 1e-9; scale < 2e9; scale *= 10 {
		check(t, scale, 1.08, 6, 3000)
	}
	rapid.Check(t, func(t *rapid.T) {
		scale := math.Pow(10, rapid.Float64Range(-9, 9).Draw(t, "power of ten"))
		check(t, scale, rapid.Float64Range(0.5, 2).Draw(t, "slower"), rapid.Uint64Range(0, 1e6).Draw(t, "seed"), 800)
	})
}

func TestHigherIsBetter(t *testing.T) {
	quality := func(mean map[string]float64, rng *rand.Rand, kind Kind) func(o Observation) (float64, bool) {
		return func(o Observation) (float64, bool) {
			v := mean[o.Arm] + 0.2*(rng.Float64()-0.5)
			if kind == Rate {
				v = math.Round(v + 0.3*(rng.Float64()-0.5))
			}
			return min(max(v, 0), 1), true
		}
	}
	for _, kind := range []Kind{Rate, Amount, Score} {
		for _, tt := range []struct {
			candidate float64
			want      Verdict
		}{{0.8, Safe}, {0.6, Harmed}, {0.9, Safe}} {
			rng := rand.New(rand.NewPCG(7, 7))
			m := Metric{Name: "quality", Kind: kind, Better: Higher, Of: quality(map[string]float64{base: 0.8, cand: tt.candidate}, rng, kind)}
			c := compare(t, Plan{Metrics: []Metric{m}})
			if j := newLoad(7, 0.5).run(c, 3000); j.Verdict != tt.want {
				t.Errorf("%s, candidate %v: %s (%s), want %s", kind, tt.candidate, j.Verdict, j.Reason, tt.want)
			}
		}
	}
}

// What the roles mean.
func TestRoles(t *testing.T) {
	slow := func(role Role) Verdict {
		latency := Latency()
		latency.Role = role
		c, l := compare(t, Plan{Metrics: []Metric{ErrorRate(), latency}}), newLoad(8, 0.5)
		l.slower = 3
		return l.run(c, 12_000).Verdict
	}
	got := map[Role]Verdict{Gate: slow(Gate), Guard: slow(Guard), Report: slow(Report)}
	if diff := cmp.Diff(map[Role]Verdict{Gate: Harmed, Guard: Harmed, Report: Safe}, got); diff != "" {
		t.Errorf("verdicts (-want +got):\n%s", diff)
	}
}

// An equal candidate within a tolerance is not harm; beyond it, it is.
func TestTolerance(t *testing.T) {
	for slower, want := range map[float64]bool{1.2: false, 2: true} {
		latency := Latency()
		latency.Tolerance, latency.Margin = Times(1.3), Times(1.5)
		c, l := compare(t, Plan{Metrics: []Metric{latency}}), newLoad(9, 0.5)
		l.slower = slower
		if j := l.run(c, 6000); (j.Verdict == Harmed) != want {
			t.Errorf("times %v: %s (%s)", slower, j.Verdict, j.Reason)
		}
	}
}

func TestSeveralCandidates(t *testing.T) {
	r, err := NewRecorder(Plan{}, base, cand, "1.6.0")
	if err != nil {
		t.Fatal(err)
	}
	first, err := r.Comparison(cand)
	if err != nil {
		t.Fatal(err)
	}
	second, err := r.Comparison("1.6.0")
	if err != nil {
		t.Fatal(err)
	}
	if _, err := r.Comparison(base); err == nil || !strings.Contains(err.Error(), "1.6.0") {
		t.Errorf("comparing the baseline with itself: %v", err)
	}
	l := newLoad(10, 0.5)
	for i := range 4000 {
		o := l.next()
		r.Record(o)
		if o.Arm == cand { // the same request, but failed
			r.Arm("1.6.0").Record(Observation{Class: []Class{OK, Error}[i%2]})
		}
		if i%10 == 9 {
			first.Judge(l.now)
			second.Judge(l.now)
		}
	}
	if a, b := first.Judge(l.now), second.Judge(l.now); a.Verdict == Harmed || b.Verdict != Harmed {
		t.Errorf("%s (%s) and %s (%s)", a.Verdict, a.Reason, b.Verdict, b.Reason)
	}
}

func TestJudgementSurvivesJSON(t *testing.T) {
	c, l := compare(t, Plan{}), newLoad(11, 0.5)
	l.slower = 50
	want := l.run(c, 20_000) // an e-value beyond every limit
	if diff := cmp.Diff(want, viaJSON(t, want)); diff != "" {
		t.Errorf("judgement (-want +got):\n%s", diff)
	}
}

// A breaker on a rate where higher is better is about the requests that are not
// events.
func TestBreakerWhereHigherIsBetter(t *testing.T) {
	plan := Plan{Metrics: []Metric{ErrorRate(), ThumbsUp()}, Breakers: []Breaker{{Metric: nameThumbs, Above: 0.5, Requests: 20}}}
	for _, tt := range []struct {
		score float64
		want  bool
	}{{1, false}, {0, true}} {
		c := compare(t, plan)
		feed(c, base, 40, Observation{Class: OK, Score: 1})
		feed(c, cand, 40, Observation{Class: OK, Score: tt.score, Scored: true})
		j := c.Judge(time.Unix(1e9, 0))
		if got := strings.Contains(j.Reason, "breaker: not thumbs up above 50 %: 20 of the last 20"); got != tt.want {
			t.Errorf("all scores %v: %s (%s)", tt.score, j.Verdict, j.Reason)
		}
	}
}
