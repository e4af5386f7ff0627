package analysis

import (
	"math"
	"sync"
	"testing"
	"time"
)

// Only the first Done has an effect, and a Flight of another recorder
// or of no request changes nothing.
func TestDoneCountsOnce(t *testing.T) {
	c := even(t, compare(t, Plan{}))
	at := time.Unix(1e9, 0)
	f := c.r.Begin(Assigned{Arm: cand, Unit: "somebody", At: at})
	var wg sync.WaitGroup
	for range 8 {
		wg.Go(func() { f.Done(Observation{Class: Error, At: at, Arm: base, Unit: "another", Generation: 9}) })
	}
	wg.Wait()
	f.First(at)
	c.Judge(at.Add(time.Second))
	f.Done(Observation{Class: OK, At: at})
	Flight{}.Done(Observation{Class: OK})
	Flight{}.First(at)
	// The row is another request's by now.
	g := c.r.Begin(Assigned{Arm: base, Unit: "somebody", At: at})
	f.Done(Observation{Class: OK, At: at})
	f.First(at)
	c.r.Begin(Assigned{Arm: "2.0.0", At: at}).Done(Observation{Class: OK, At: at})
	e := c.Evidence()
	c.Judge(at.Add(2 * time.Second))
	e = c.Evidence()
	if e.Baseline.of(answered) != 0 || e.Candidate.Classes[Error] != 1 || e.Candidate.of(answered) != 1 || e.Assigned != [2]int{1, 1} {
		t.Errorf("baseline %v, candidate %v, assigned %v", e.Baseline.Classes, e.Candidate.Classes, e.Assigned)
	}
	g.Done(Observation{Class: OK, At: at})
	c.Judge(at.Add(3 * time.Second))
	if got := c.Evidence().Baseline.Classes[OK]; got != 1 || c.r.Unknown() != 1 {
		t.Errorf("%d answers of the baseline, %d of an unknown arm", got, c.r.Unknown())
	}
}

// What hangs is evidence, although it never ends: of a stream that stays silent the
// share that is unanswered, of any other the time that has passed.
func TestHangingIsEvidence(t *testing.T) {
	for _, tt := range []struct {
		name   string
		stream bool
		metric string
	}{{"stream", true, nameUnanswered}, {"document", false, nameLatency}} {
		c, l := compare(t, Plan{Breakers: []Breaker{}}), newLoad(1, 0.5)
		var j Judgement
		seconds := 0
		for ; seconds < 120 && j.Verdict != Harmed; seconds++ {
			for range l.second {
				o := l.next()
				if !tt.stream {
					o.TTFT, o.ITL = 0, 0
				}
				l.expect(c.r)
				f := c.r.Begin(Assigned{Arm: o.Arm, Generation: l.generation, Stream: tt.stream, At: l.now})
				o.At = l.now.Add(o.Latency)
				if o.Arm == base {
					l.flying = append(l.flying, flying{f, o})
				}
			}
			l.now = l.now.Add(time.Second)
			l.end()
			j = c.Judge(l.now)
		}
		if !finding(t, j, tt.metric).Harm.Reached() && j.blamed().Metric != tt.metric || j.Verdict != Harmed || seconds > 60 {
			t.Errorf("%s: after %d s %s (%s)", tt.name, seconds, j.Verdict, j.Reason)
		}
		t.Logf("%s: after %d s %s", tt.name, seconds, j.Reason)
	}
}

// Requests under a share of 0 or 1, and those that chance has not assigned, are counted
// and carry no evidence: with them or without, it is the same.
func TestWhatCarriesNoEvidence(t *testing.T) {
	serve := func(other func(r *Recorder, at time.Time)) (*Comparison, Judgement) {
		c, l := compare(t, Plan{}), newLoad(1, 0.5)
		for g, share := range map[uint64]float64{100: 0, 101: 1} {
			if err := c.r.Expect(g, map[string]float64{base: 1 - share, cand: share}); err != nil {
				t.Fatal(err)
			}
		}
		var j Judgement
		for range 60 {
			if other != nil {
				for range 5 {
					other(c.r, l.now)
				}
			}
			j = l.play(c, 20, func(i int) Observation { o := l.next(); o.Unit = string(rune('a' + i)); return o }, nil)
		}
		return c, j
	}
	fails := Observation{Class: Error}
	plain, _ := serve(nil)
	for name, other := range map[string]func(r *Recorder, at time.Time){
		"share 0": func(r *Recorder, at time.Time) {
			r.Begin(Assigned{Arm: base, Unit: "x", Generation: 100, At: at}).Done(Observation{Class: OK, At: at})
		},
		"share 1": func(r *Recorder, at time.Time) {
			r.Begin(Assigned{Arm: cand, Unit: "y", Generation: 101, At: at}).Done(fails)
		},
		"no expectation": func(r *Recorder, at time.Time) {
			r.Begin(Assigned{Arm: cand, Unit: "z", Generation: 102, At: at}).Done(fails)
		},
	} {
		c, _ := serve(other)
		want, got := plain.Evidence(), c.Evidence()
		if got.Compared != want.Compared || got.Split != want.Split {
			t.Errorf("%s: compared %v and %+v, want %v and %+v", name, got.Compared, got.Split, want.Compared, want.Split)
		}
		if n := got.Assigned[0] + got.Assigned[1] - want.Assigned[0] - want.Assigned[1]; n != 300 {
			t.Errorf("%s: %d more are counted, want 300", name, n)
		}
	}
	c, j := serve(func(r *Recorder, at time.Time) {
		r.Begin(Assigned{Arm: cand, Unit: "forced", Unrandomised: true, Generation: 1, At: at}).Done(fails)
	})
	e, want := c.Evidence(), plain.Evidence()
	if e.Unrandomised != 300 || math.Abs(j.Unrandomised-300./1500) > 1e-9 || e.Harm != want.Harm || e.Compared != want.Compared {
		t.Errorf("%d forced, a share of %v; harm %+v, want %+v; compared %v, want %v", e.Unrandomised, j.Unrandomised, e.Harm, want.Harm, e.Compared, want.Compared)
	}
}

// A request that the baseline serves and the candidate is sent a copy of has a share of
// one half, whatever the split is.
func TestShadow(t *testing.T) {
	for errors, want := range map[float64]bool{0.01: false, 0.1: true} {
		c, l := compare(t, Plan{Breakers: []Breaker{}}), newLoad(1, 0)
		l.errors[cand] = errors
		var j Judgement
		for range 200 {
			for range 10 {
				for _, share := range []float64{0, 1} {
					l.share = share
					o := l.next()
					f := c.r.Begin(Assigned{Arm: o.Arm, Shadow: cand, Generation: 7, Stream: o.TTFT > 0, At: l.now})
					o.At = l.now.Add(o.Latency)
					l.flying = append(l.flying, flying{f, o})
				}
			}
			l.now = l.now.Add(time.Second)
			l.end()
			j = c.Judge(l.now)
		}
		if (j.Verdict == Harmed) != want || j.Split.Baseline != 0 {
			t.Errorf("errors %v: %s (%s), split %+v", errors, j.Verdict, j.Reason, j.Split)
		}
		if got := c.tests.shares; len(got) != 1 || !got[0].Shadow || got[0].Share != .5 {
			t.Errorf("shares %+v", got)
		}
		if n := c.Evidence().Compared; n != [2]int{2000, 2000} {
			t.Errorf("compared %v, want 2,000 each", n)
		}
	}
}

// More requests under way than the table holds are counted too, and how many
// are not followed is said; while it is not, nothing is safe.
func TestFullTable(t *testing.T) {
	c := even(t, compare(t, Plan{}))
	at := time.Unix(1e9, 0)
	const n = 3 * feedRows
	var list []Flight
	for i := range n {
		list = append(list, c.r.Begin(Assigned{Arm: []string{base, cand}[i%2], At: at}))
	}
	j := c.Judge(at.Add(time.Second))
	if e := c.Evidence(); e.Assigned != [2]int{n / 2, n / 2} || e.Unfollowed < n-feedRows || e.Unfollowed > n-feedRows*9/10 {
		t.Errorf("assigned %v, %d not followed", e.Assigned, e.Unfollowed)
	}
	if want := 1 - float64(n-feedRows)/n; j.Followed > want || j.Followed < 0.9*want {
		t.Errorf("followed %v, want about %v", j.Followed, want)
	}
	for _, f := range list {
		f.Done(ok(time.Second))
	}
	j = c.Judge(at.Add(2 * time.Second))
	if e := c.Evidence(); e.Baseline.Classes[OK] != n/2 || e.Candidate.Classes[OK] != n/2 || e.Unfollowed != 0 || j.Followed != 1 {
		t.Errorf("baseline %v, candidate %v, %d not followed", e.Baseline.Classes, e.Candidate.Classes, e.Unfollowed)
	}
}

// So it is with those whose assignment and end are reported separately.
func TestFullFeed(t *testing.T) {
	c := even(t, compare(t, Plan{}))
	at := time.Unix(1e9, 0)
	const n = 3 * feedRows
	for second := range 5 {
		for i := range n {
			c.r.Assign([]string{base, cand}[i%2], "", 0)
		}
		for i := range n {
			c.r.Record(Observation{Class: OK, Arm: []string{base, cand}[i%2], At: at.Add(time.Duration(second) * time.Second)})
		}
		c.Judge(at.Add(time.Duration(second+1) * time.Second))
	}
	if e := c.Evidence(); e.Baseline.Classes[OK] != 5*n/2 || e.Candidate.Classes[OK] != 5*n/2 || e.Assigned != [2]int{5 * n / 2, 5 * n / 2} {
		t.Errorf("baseline %v, candidate %v, assigned %v", e.Baseline.Classes, e.Candidate.Classes, e.Assigned)
	}
}

// An assignment is closed by the record of the same request: what is left over has not
// ended, and harms.
func TestAssignedAndNeverRecorded(t *testing.T) {
	c := compare(t, Plan{Metrics: []Metric{ErrorRate(), Latency()}, Breakers: []Breaker{}})
	l := newLoad(1, 0.5)
	l.expect(c.r)
	type ending struct {
		o  Observation
		at time.Time
	}
	var list []ending
	var j Judgement
	for range 60 {
		for i := range l.second {
			o := l.next()
			o.Generation = l.generation
			c.r.Assign(o.Arm, o.Unit, o.Generation)
			if o.Arm == base || i%2 == 0 {
				o.At = l.now.Add(o.Latency)
				list = append(list, ending{o, o.At})
			}
		}
		l.now = l.now.Add(time.Second)
		var still []ending
		for _, e := range list {
			if e.at.After(l.now) {
				still = append(still, e)
				continue
			}
			c.r.Record(e.o)
		}
		list = still
		j = c.Judge(l.now)
	}
	if j.Verdict != Harmed || j.blamed().Metric != nameLatency {
		t.Errorf("half of the candidate's requests hang: %s (%s)", j.Verdict, j.Reason)
	}
}

// While the candidate is getting warm its times do not count, and errors do.
func TestWarm(t *testing.T) {
	at := func(p Plan, errors float64) (Judgement, bool) {
		c, l := compare(t, p), newLoad(1, 0.5)
		l.slower, l.errors[cand] = 2, errors
		j := l.run(c, 1200)
		return j, c.Evidence().Warming
	}
	long := Warm{Requests: 1, For: 4 * time.Minute}
	if j, warming := at(Plan{Warm: long}, 0.01); j.Verdict != Continue || !warming || finding(t, j, nameLatency).Harm.E != 1 {
		t.Errorf("twice as slow while it gets warm: %s (%s)", j.Verdict, j.Reason)
	}
	if j, warming := at(Plan{}, 0.01); j.Verdict != Harmed || warming {
		t.Errorf("twice as slow when it is warm: %s (%s)", j.Verdict, j.Reason)
	}
	if j, _ := at(Plan{Warm: long}, 0.3); j.Verdict != Harmed {
		t.Errorf("errors while it gets warm: %s (%s)", j.Verdict, j.Reason)
	}
	if j, warming := at(Plan{Warm: Warm{Requests: -1}}, 0.01); j.Verdict != Harmed || warming {
		t.Errorf("without a time to get warm: %s (%s)", j.Verdict, j.Reason)
	}
}

// One burst of trouble on one arm proves nothing, unless the plan says so.
func TestPersist(t *testing.T) {
	alone(t)
	harmed := func(persist time.Duration) (n int) {
		for seed := range uint64(30) {
			c, l := compare(t, Plan{Persist: persist, Breakers: []Breaker{}}), newLoad(seed, 0.5)
			l.second = 200
			var j Judgement
			for second := range 40 {
				l.errors[cand] = 0.01
				if second == 20 {
					l.errors[cand] = 0.25
				}
				j = l.run(c, 200)
			}
			if j.Verdict == Harmed {
				n++
			}
		}
		return n
	}
	with, without := harmed(0), harmed(-1)
	t.Logf("a second of 25 %% errors: %d of 30 harmed, %d where harm need not persist", with, without)
	if with > 3 || without < 2*with+5 {
		t.Errorf("a second of 25 %% errors: %d of 30 harmed, %d where harm need not persist", with, without)
	}
}

// Of an output that should stay the same both directions are worse.
func TestBetterSame(t *testing.T) {
	for factor, want := range map[float64]Verdict{0.5: Harmed, 2: Harmed, 1: Continue} {
		c, l := compare(t, Plan{}), newLoad(1, 0.5)
		j := l.play(c, 2000, func(int) Observation {
			o := l.next()
			o.OutputTokens = 1 + int(200*math.Exp(.5*l.rng.NormFloat64()))
			if o.Arm == cand {
				o.OutputTokens = max(1, int(factor*float64(o.OutputTokens)))
			}
			return o
		}, nil)
		if got := finding(t, j, nameOutput).Harm.Reached(); got != (want == Harmed) {
			t.Errorf("times %v: %s (%s)", factor, j.Verdict, j.Reason)
		}
	}
}

// A tenth slower is within nothing but the tolerance: 1.05 times by default.
func TestDefaultTolerance(t *testing.T) {
	for _, tt := range []struct {
		slower float64
		want   bool
	}{{1.04, false}, {1.3, true}} {
		c, l := compare(t, Plan{Metrics: []Metric{ErrorRate(), Latency()}}), newLoad(1, 0.5)
		l.slower = tt.slower
		if j := l.run(c, 12_000); (j.Verdict == Harmed) != tt.want {
			t.Errorf("times %v: %s (%s)", tt.slower, j.Verdict, j.Reason)
		}
	}
}

// A proof that is reached stays while nothing changes, of constant values too.
func TestProofsStay(t *testing.T) {
	alone(t)
	c := compare(t, Plan{})
	good := always(ok(100 * time.Millisecond))
	if j := sideBySide(c, 6000, -1, good, good); j.Verdict != Safe {
		t.Fatalf("%s (%s)", j.Verdict, j.Reason)
	}
	if j := sideBySide(c, 24_000, -1, good, good); j.Verdict != Safe {
		t.Errorf("after 30,000 requests: %s (%s)", j.Verdict, j.Reason)
	}
}

// What the default margins allow.
func TestMargins(t *testing.T) {
	m := ErrorRate().defaults()
	for base, want := range map[float64]float64{0: .003, .001: .003, .01: .01, .02: .02, .05: .025, .3: .025} {
		if got := m.Margin.points(base); math.Abs(got-want) > 1e-12 {
			t.Errorf("of a rate of %v the margin is %v points, want %v", base, got, want)
		}
	}
	got := map[string]Margin{}
	for _, m := range []Metric{ErrorRate(), Latency(), Satisfaction(), OutputLength()} {
		got[m.Name+" tolerance"], got[m.Name+" margin"] = m.defaults().Tolerance, m.defaults().Margin
	}
	want := map[string]Margin{
		"error rate tolerance": {}, "error rate margin": {Factor: 2, Points: .003, AtMost: .025},
		"latency tolerance": {Factor: 1.05}, "latency margin": {Factor: 1.2},
		"satisfaction tolerance": {Points: .01}, "satisfaction margin": {Points: .05},
		"output length tolerance": {Factor: 1.15}, "output length margin": got["output length margin"],
	}
	if diff := differences(want, got); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
}

func TestFlightsAllocateNothing(t *testing.T) {
	c := even(t, compare(t, Plan{}))
	at := time.Unix(1e9, 0)
	o := ok(time.Second)
	o.At, o.ID = at, "some request"
	a := Assigned{Arm: cand, Unit: "somebody", Stream: true, At: at}
	c.r.Begin(a).Done(o) // the table is made
	if n := testing.AllocsPerRun(300, func() {
		f := c.r.Begin(a)
		f.First(at)
		f.Done(o)
	}); n != 0 {
		t.Errorf("Begin, First and Done allocate %v times", n)
	}
	if n := testing.AllocsPerRun(300, func() { c.r.Assign(base, "somebody", 0); c.r.Arm(base).Record(o) }); n != 0 {
		t.Errorf("Assign and Record allocate %v times", n)
	}
}

func BenchmarkFlight(b *testing.B) {
	r := benchRecorder(b)
	c, err := r.Comparison("1.5.0")
	if err != nil {
		b.Fatal(err)
	}
	at := time.Unix(1e9, 0)
	o := ok(time.Second)
	o.At = at
	b.ReportAllocs()
	for i := range b.N {
		f := r.Begin(Assigned{Arm: []string{"1.4.0", "1.5.0"}[i%2], Unit: "somebody", At: at})
		f.First(at)
		f.Done(o)
		if i%2000 == 1999 {
			b.StopTimer()
			at = at.Add(time.Minute)
			c.Judge(at)
			b.StartTimer()
		}
	}
}
