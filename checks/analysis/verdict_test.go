package analysis

import (
	"encoding/json"
	"math"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"
	"time"
)

// feed records n requests of an arm of which nothing but their end is known: they are
// counted, and compared with nothing until a split is expected.
func feed(c *Comparison, arm string, n int, o Observation) {
	if o.At.IsZero() {
		o.At = time.Unix(0, max(c.r.looked, 1e18))
	}
	for range n {
		c.r.Arm(arm).Record(o)
	}
}

// even expects both arms of c to have the same share of what has no generation.
func even(t testing.TB, c *Comparison) *Comparison {
	t.Helper()
	if err := c.r.Expect(0, map[string]float64{base: 1, cand: 1}); err != nil {
		t.Fatal(err)
	}
	return c
}

func ok(ttft time.Duration) Observation {
	return Observation{Class: OK, TTFT: ttft, ITL: ttft / 10, Latency: 10 * ttft, Cost: 100}
}

// sideBySide plays n requests of each arm, ten a second of each, and judges each
// second; it stops once the verdict is want, and returns the last judgement. With
// them all have ended.
func sideBySide(c *Comparison, n int, want Verdict, b, k func(i int) Observation) Judgement {
	l := newLoad(1, 0.5)
	if c.r.looked > 0 {
		l.now = time.Unix(0, c.r.looked)
	}
	longest := time.Duration(0)
	j := l.play(c, 2*n, func(i int) Observation {
		// The order within a pair is drawn: what comes first is no arm's.
		first := mix(uint64(i/2))&1 == uint64(i&1)
		o, arm := b(i/2), base
		if first {
			o, arm = k(i/2), cand
		}
		longest = max(longest, o.Latency)
		o.Arm = arm
		return o
	}, func(j Judgement) bool { return j.Verdict == want })
	if j.Verdict != want {
		j = l.rest(c, 1+int(1.3*longest.Seconds()))
	}
	return j
}

func always(o Observation) func(int) Observation { return func(int) Observation { return o } }

// each returns o for one request in k, and good for the others.
func each(k int, o, good Observation) func(int) Observation {
	return func(i int) Observation {
		if i%k == k-1 {
			return o
		}
		return good
	}
}

// What is not proven is not Safe, and each kind of ignorance has its name.
func TestNothingIsSafeWithoutEvidence(t *testing.T) {
	good, failed := ok(100*time.Millisecond), Observation{Class: Error}
	both := func(n int, b, k Observation) func(c *Comparison) {
		return func(c *Comparison) { sideBySide(c, n, -1, always(b), always(k)) }
	}
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
		{"nothing expected", func(c *Comparison) {
			for range 20 {
				feed(c, base, 50, good)
				feed(c, cand, 50, good)
				c.Judge(time.Unix(1e9, 0))
			}
		}, Unmeasurable, "see Recorder.Expect"},
		{"nothing expected, all fail", func(c *Comparison) {
			feed(c, base, 500, good)
			feed(c, cand, 1, good)
			feed(c, cand, 500, failed)
		}, Unmeasurable, "see Recorder.Expect"},
		{"all cancelled", both(1000, good, Observation{Class: Cancelled, TTFT: time.Second}), NoEvidence, "no request of 1.5.0"},
		{"all rejected", both(1000, good, Observation{Class: Rejected}), Harmed, "breaker: unanswered above 20 %"},
		{"all rejected on both sides", both(1000, Observation{Class: Rejected}, Observation{Class: Rejected}), NoEvidence, "no request of 1.5.0 could be counted: 1,000 rejected"},
		{"nothing can be read on both sides", func(c *Comparison) {
			sideBySide(c, 1000, -1, always(Observation{}), each(500, Observation{Class: Cancelled}, Observation{}))
		}, NoEvidence, "no request of 1.5.0 could be counted: 998 unread, 2 cancelled"},
		{"enough, but most of it unread", func(c *Comparison) {
			mixed := each(20, good, Observation{})
			sideBySide(c, 980, -1, mixed, mixed)
		}, Continue, "collecting: 49 of 50"},
		{"too few", both(49, good, good), Continue, "collecting: 49 of 50"},
		{"too few of the baseline", func(c *Comparison) {
			sideBySide(c, 9, -1, always(good), always(good))
			feed(c, cand, 1000, good)
		}, Continue, "9 of 50 answers of 1.4.0"},
		{"candidate never streams", both(1000, good, Observation{Class: OK, Latency: time.Second, Cost: 100}), Unmeasurable, "ttft is measured on the baseline alone"},
		{"all errors on both sides", both(1000, failed, failed), NoEvidence, "no request of 1.5.0 was answered well: all 1,000 that were counted have failed"},
		{"equal and constant", both(6000, good, good), Safe, "no worse than 1.4.0"},
		{"all candidate requests fail", both(100, good, failed), Harmed, "breaker: error rate above 20 %"},
		{"no stream anywhere", both(6000, Observation{Class: OK, Latency: time.Second}, Observation{Class: OK, Latency: time.Second}), Safe, "in error rate, unanswered, latency, after"},
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

// Of what is recorded alone it is known that it began and ended: it is evidence once
// its split is known, and nothing that hangs can be seen.
func TestRecordedAlone(t *testing.T) {
	c := even(t, compare(t, Plan{Breakers: []Breaker{}}))
	var j Judgement
	for i := range 60 {
		feed(c, base, 10, ok(100*time.Millisecond))
		feed(c, cand, 7, ok(100*time.Millisecond))
		feed(c, cand, 3, Observation{Class: Error})
		j = c.Judge(time.Unix(1e9+int64(i), 0))
	}
	if j.Verdict != Harmed || j.blamed().Metric != nameErrors || j.Followed != 1 {
		t.Errorf("%s (%s), followed %v", j.Verdict, j.Reason, j.Followed)
	}
	if e := c.Evidence(); e.Compared != [2]int{600, 600} || e.Assigned != e.Compared {
		t.Errorf("%v of %v are compared", e.Compared, e.Assigned)
	}
}

// Harm stays, whatever comes after. What was safe is proven of its stage alone.
func TestVerdictsStay(t *testing.T) {
	alone(t)
	c, l := compare(t, Plan{}), newLoad(2, 0.5)
	c.Stage(1, l.now)
	if j := l.run(c, 12_000); j.Verdict != Safe || j.Stage != 1 {
		t.Fatalf("%s (%s) in stage %d", j.Verdict, j.Reason, j.Stage)
	}
	c.Stage(2, l.now)
	if j := c.Judge(l.now); j.Verdict != Continue || j.Stage != 2 {
		t.Errorf("of a stage that has just begun: %s (%s) in stage %d", j.Verdict, j.Reason, j.Stage)
	}
	if j := l.run(c, 12_000); j.Verdict != Safe {
		t.Errorf("in the second stage: %s (%s)", j.Verdict, j.Reason)
	}
	l.slower = 3
	j := l.run(c, 4000)
	if j.Verdict != Harmed {
		t.Fatalf("after becoming slow: %s (%s)", j.Verdict, j.Reason)
	}
	l.slower = 0.2
	if j = l.run(c, 12_000); j.Verdict != Harmed || !(j.Harm.Now < j.Harm.E) {
		t.Errorf("after becoming quick: %s, e-value %v, now %v", j.Verdict, j.Harm.E, j.Harm.Now)
	}
}

// Safe rests on what is known now: a proof that has gone proves nothing.
func TestSafeRestsOnThePresent(t *testing.T) {
	p := Plan{Metrics: []Metric{ErrorRate()}, Breakers: []Breaker{}}
	c, l := compare(t, p), newLoad(2, 0.5)
	if j := l.run(c, 12_000); j.Verdict != Safe {
		t.Fatalf("%s (%s)", j.Verdict, j.Reason)
	}
	l.errors[cand] = 0.03
	for range 100 {
		if j := l.run(c, 200); j.Metrics[0].Safe.E != j.Metrics[0].Safe.Now {
			t.Fatalf("e-value for safety %v, now %v", j.Metrics[0].Safe.E, j.Metrics[0].Safe.Now)
		} else if j.Metrics[0].Safe.Now < 20 {
			if j.Verdict == Safe {
				t.Errorf("%s (%s)", j.Verdict, j.Reason)
			}
			return
		}
	}
	t.Error("the proof stays although errors have tripled")
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
	// 3 durations (of an unknown class, which is an error, 2), a score in two
	// metrics, 5 odd ones, each time.
	if want := (2 + 2 + 5) + (3 + 2 + 5); s.Invalid != want || s.Classes[Error] != 1 || s.Classes[OK] != 1 {
		t.Errorf("%d invalid values, want %d; classes %v", s.Invalid, want, s.Classes)
	}
	for _, m := range s.Metrics {
		if r, ok := ready[m.Metric]; ok && (r.byClass() || r.source == fromLength || r.source == fromStall) {
			continue // has a value nevertheless
		}
		if m.N != 0 || m.Mean != 0 || m.Max != 0 {
			t.Errorf("an invalid value was counted: %+v", m)
		}
	}
	l := newLoad(2, 0.5)
	if j := l.run(c, 14_000); j.Verdict != Safe {
		t.Errorf("%s (%s), want safe as if nothing had been odd", j.Verdict, j.Reason)
	}
}

// A clock that goes back gives no time back, one that jumps makes all wait longer,
// on both arms alike: harm is found, and no equal candidate is harmed.
func TestClockMayJump(t *testing.T) {
	for name, jump := range map[string]func(i int) time.Duration{
		"back and forth": func(i int) time.Duration { return time.Duration(i%7-3) * time.Hour },
		"an hour ahead":  func(i int) time.Duration { return time.Duration(i/150) * time.Hour },
		"an hour back":   func(i int) time.Duration { return -time.Duration(i/150) * time.Hour },
	} {
		for errors, want := range map[float64]bool{0.01: false, 0.12: true} {
			c, l := compare(t, Plan{}), newLoad(5, 0.5)
			l.errors[cand] = errors
			start := l.now
			var j Judgement
			for i := range 600 {
				l.now = start.Add(time.Duration(i)*time.Second + jump(i))
				for range l.second {
					l.begin(c.r, l.next())
				}
				l.now = l.now.Add(time.Second)
				l.end()
				at := l.now
				if i%50 == 49 {
					at = time.Time{}
				}
				j = c.Judge(at)
			}
			if (j.Verdict == Harmed) != want {
				t.Errorf("%s, errors %v: %s (%s)", name, errors, j.Verdict, j.Reason)
			}
		}
	}
}

// The effect that is reported pairs requests in time: while one arm is silent the
// other's requests wait for it within the window, and are not compared beyond it.
func TestWindow(t *testing.T) {
	for _, tt := range []struct {
		wait time.Duration
		want bool
	}{{time.Minute, true}, {time.Minute + time.Second, false}} {
		c := compare(t, Plan{})
		now := time.Unix(1e9, 0)
		c.Judge(now)
		feed(c, base, 50, ok(time.Second))
		c.Judge(now.Add(time.Second))
		c.Judge(now.Add(tt.wait))
		feed(c, cand, 50, ok(2*time.Second))
		j := c.Judge(now.Add(tt.wait + time.Second))
		if got := finding(t, j, nameTTFT).Effect.Known; got != tt.want {
			t.Errorf("after %v: known %v, want %v", tt.wait, got, tt.want)
		}
	}
}

// finding returns what j says about a metric.
func finding(t testing.TB, j Judgement, metric string) Finding {
	t.Helper()
	for _, f := range j.Metrics {
		if f.Metric == metric {
			return f
		}
	}
	t.Fatalf("no metric %q", metric)
	return Finding{}
}

// A metric in other units gives the same verdicts. The steps of the past are known to
// within a bucket of a histogram, whose bounds move with the unit, so the e-values are
// the same otherwise.
func TestScaleEquivariance(t *testing.T) {
	alone(t)
	judge := func(scale, slower float64, requests int) Judgement {
		amount := func(value func(Observation) float64) func(Observation) (float64, bool) {
			return func(o Observation) (float64, bool) { return scale * value(o), o.Class == OK }
		}
		c := compare(t, Plan{Metrics: []Metric{
			{Name: "wait", Kind: Amount, Of: amount(func(o Observation) float64 { return o.Latency.Seconds() })},
			{Name: "speed", Kind: Amount, Better: Higher, Of: amount(func(o Observation) float64 { return o.TokensPerSecond() / 50 })},
			{Name: "ties", Kind: Amount, Of: amount(func(o Observation) float64 { return math.Ceil(o.TTFT.Seconds() * 20) })},
		}})
		l := newLoad(6, 0.3)
		l.slower = slower
		return l.run(c, requests)
	}
	for slower, want := range map[float64]Verdict{1: Safe, 1.5: Harmed} {
		plain := judge(1, slower, 8000)
		if plain.Verdict != want {
			t.Fatalf("times %v: %s (%s)", slower, plain.Verdict, plain.Reason)
		}
		for scale := 1e-9; scale < 2e7; scale *= 10 {
			j := judge(scale, slower, 8000)
			if j.Verdict != want {
				t.Errorf("times %v in units of %g: %s (%s)", slower, scale, j.Verdict, j.Reason)
			}
			for i, f := range j.Metrics {
				a, b := math.Log(plain.Metrics[i].Harm.Now), math.Log(f.Harm.Now)
				if f.Metric != "ties" && math.Abs(a-b) > 1+0.3*math.Abs(a) {
					t.Errorf("%s, times %v in units of %g: ln E for harm %v, want about %v", f.Metric, slower, scale, b, a)
				}
			}
		}
	}
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
			if j := newLoad(7, 0.5).run(c, 16_000); j.Verdict != tt.want {
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
		return l.run(c, 14_000).Verdict
	}
	got := map[Role]Verdict{Gate: slow(Gate), Guard: slow(Guard), Report: slow(Report)}
	if diff := differences(map[Role]Verdict{Gate: Harmed, Guard: Harmed, Report: Safe}, got); diff != "" {
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
	if _, err := r.Comparison(base); !slices.Equal(invalidFields(err), []string{"candidate"}) {
		t.Errorf("comparing the baseline with itself: %v", err)
	}
	l := newLoad(10, 0.5)
	rng := rand.New(rand.NewPCG(10, 2))
	if err := r.Expect(1, map[string]float64{base: 1, cand: 1, "1.6.0": 1}); err != nil {
		t.Fatal(err)
	}
	var a, b Judgement
	for range 400 {
		for range 30 {
			o := l.next()
			if o.Arm = []string{base, cand, "1.6.0"}[rng.IntN(3)]; o.Arm == "1.6.0" && rng.IntN(10) == 0 {
				o = Observation{Arm: o.Arm, Class: Error}
			}
			f := r.Begin(Assigned{Arm: o.Arm, Generation: 1, At: l.now})
			o.At = l.now.Add(o.Latency)
			l.flying = append(l.flying, flying{f, o})
		}
		l.now = l.now.Add(time.Second)
		l.end()
		a, b = first.Judge(l.now), second.Judge(l.now)
	}
	if a.Verdict == Harmed || b.Verdict != Harmed || b.blamed().Metric != nameErrors {
		t.Errorf("%s (%s) and %s (%s)", a.Verdict, a.Reason, b.Verdict, b.Reason)
	}
}

func TestJudgementSurvivesJSON(t *testing.T) {
	c, l := compare(t, Plan{}), newLoad(11, 0.5)
	l.slower = 50
	want := l.run(c, 8000) // an e-value beyond every limit
	if diff := differences(want, viaJSON(t, want)); diff != "" {
		t.Errorf("judgement (-want +got):\n%s", diff)
	}
}

// A breaker on a rate where higher is better is about the requests that are not
// events.
func TestBreakerWhereHigherIsBetter(t *testing.T) {
	plan := Plan{Metrics: []Metric{ErrorRate(), cited}, Breakers: []Breaker{{Metric: cited.Name, Above: 0.5}}}
	for _, tt := range []struct {
		score float64
		want  bool
	}{{1, false}, {0, true}} {
		c := compare(t, plan)
		j := sideBySide(c, 100, Harmed, always(Observation{Class: OK, Score: 1}), always(Observation{Class: OK, Score: tt.score}))
		if got := strings.Contains(j.Reason, "breaker: not cites a source above 50 %: "); got != tt.want {
			t.Errorf("all scores %v: %s (%s)", tt.score, j.Verdict, j.Reason)
		}
	}
}

// cited is a rate of one's own where higher is better.
var cited = Metric{Name: "cites a source", Better: Higher, Of: func(o Observation) (float64, bool) {
	return o.Score, o.Class == OK
}}

// A breaker trips on a candidate that is above its limit and worse than the baseline,
// each with an e-value of 1,000: soon if all fail, and never where both do alike.
func TestBreakers(t *testing.T) {
	failing := func(k int) func(int) Observation {
		return func(i int) Observation {
			if int(mix(uint64(i)*7+uint64(k))%10) < k {
				return Observation{Class: Error}
			}
			return ok(100 * time.Millisecond)
		}
	}
	for _, tt := range []struct {
		name string
		b, k int // tenths that fail
		n    int
		want bool
	}{
		{"all fail", 0, 10, 60, true},
		{"half fail", 0, 5, 150, true},
		{"below the limit", 0, 1, 2000, false},
		{"both fail alike", 5, 5, 2000, false},
		{"too few", 0, 10, 5, false},
	} {
		c := compare(t, Plan{})
		sideBySide(c, tt.n, -1, failing(tt.b), failing(tt.k))
		if got := c.Evidence().Tripped; (got != "") != tt.want || tt.want && !strings.Contains(got, "breaker: error rate above 20 %: ") {
			t.Errorf("%s: %q", tt.name, got)
		}
	}
}
