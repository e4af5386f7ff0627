package worlds_test

import (
	"math"
	"slices"
	"testing"
	"time"

	"github.com/serin-go/serin/internal/worlds"
)

func TestServicesAnswerAsDescribed(t *testing.T) {
	tp := play(simple(worlds.Service{Errors: .01}, worlds.Service{Errors: .05, SlowerFirst: 1.5, Refused: .3, Cut: .1}), 1)
	if tp.late > 0 || tp.looks != 200 || len(tp.began) != 40_000 {
		t.Fatalf("%d events out of order, %d looks, %d requests", tp.late, tp.looks, len(tp.began))
	}
	b, c := of(tp.began, worlds.Baseline), of(tp.began, worlds.Candidate)
	near(t, "share of the candidate", float64(len(c))/40_000, .5, .01)
	near(t, "errors of the baseline", share(b, is(worlds.Failed)), .01, .003)
	near(t, "errors of the candidate", share(c, is(worlds.Failed)), .05, .005)
	near(t, "refusals", share(c, is(worlds.Refused)), .3, .01)
	near(t, "cuts", share(c, func(r worlds.Request) bool { return r.Cut }), .1, .007)
	near(t, "median TTFT", quantile(b, .5, ttft), .3, .01)
	near(t, "p95 of TTFT", quantile(b, .95, ttft), .3*math.Exp(.6*1.645), .04)
	near(t, "median TTFT of the candidate", quantile(c, .5, ttft), .45, .015)
	near(t, "median tokens", quantile(b, .5, func(r worlds.Request) time.Duration { return time.Duration(r.Tokens) }), 22e-9, 1e-9)
	var sum float64
	for _, r := range b {
		sum += r.Latency.Seconds() / float64(len(b))
	}
	near(t, "mean latency", sum, worlds.Service{}.MeanServiceTime(), .02)
	failed := slices.DeleteFunc(slices.Clone(c), func(r worlds.Request) bool { return r.Outcome != worlds.Failed })
	near(t, "median time of a failure", quantile(failed, .5, latency), quantile(c, .5, latency), .06)
	near(t, "first contents", float64(tp.first), share(tp.began, func(r worlds.Request) bool { return r.TTFT > 0 })*40_000, 300)
}

func TestSpecialAnswers(t *testing.T) {
	slow := func(v worlds.Service) []worlds.Request {
		return of(play(simple(worlds.Service{}, v), 2).began, worlds.Candidate)
	}
	c := slow(worlds.Service{Tail: 10})
	near(t, "p98 with a slow tail", quantile(c, .98, ttft), .3*math.Exp(.6*2.054), .06)
	near(t, "share above ten times the p99", share(c, func(r worlds.Request) bool { return r.TTFT > 12*time.Second }), .01, .003)
	c = slow(worlds.Service{Document: 30, Sigma: -1, Rare: 20, FailsIn: .1, Errors: .1})
	near(t, "rare documents", share(c, func(r worlds.Request) bool { return r.Latency == 600*time.Second }), .009, .003)
	near(t, "failures in .1 s", share(c, func(r worlds.Request) bool { return r.Latency == 100*time.Millisecond }), .1, .01)
	c = slow(worlds.Service{Stall: 20})
	near(t, "stalls", share(c, func(r worlds.Request) bool { return r.Stall == 20*time.Second && r.Latency > r.Stall }), .01, .003)
	c = slow(worlds.Service{Tick: .01})
	near(t, "values between ticks", share(c, func(r worlds.Request) bool { return r.TTFT%(10*time.Millisecond) != 0 }), 0, 0)
	c = slow(worlds.Service{ByPrompt: true})
	near(t, "TTFT that does not follow the prompt", share(c, func(r worlds.Request) bool {
		return math.Abs(math.Log(r.TTFT.Seconds()/.3*500/float64(r.Prompt))) > .6
	}), 0, .001)
	c = slow(worlds.Service{Hangs: .3})
	near(t, "hanging requests", share(c, func(r worlds.Request) bool { return r.Ends == worlds.Never && r.TTFT == 0 }), .3, .01)
	w := simple(worlds.Service{Hangs: .3}, worlds.Service{Hangs: .3, Patience: 1.5})
	tp := play(w, 3)
	near(t, "hanging requests that end", share(of(tp.ended, worlds.Baseline), is(worlds.Abandoned)), 0, 0)
	near(t, "left after 1.5 s", share(of(tp.ended, worlds.Candidate), func(r worlds.Request) bool {
		return r.Outcome == worlds.Abandoned && r.Latency == 1500*time.Millisecond
	}), .3, .01)
	w = simple(worlds.Service{}, worlds.Service{})
	w.Leavers = .5
	tp = play(w, 4)
	near(t, "left streams", share(tp.began, is(worlds.Left)), .17, .02)
	if s := share(tp.began, func(r worlds.Request) bool { return r.Outcome == worlds.Left && r.Latency <= r.TTFT }); s > 0 {
		t.Errorf("%v of the callers leave before the first content", s)
	}
}

func TestRaisingTheShareMovesSlotsToTheCandidateAlone(t *testing.T) {
	w := simple(worlds.Service{}, worlds.Service{})
	w.Split = []worlds.Stage{{0, worlds.Shares{.95, .05}}, {60, worlds.Shares{.75, .25}}, {120, worlds.Shares{.5, .5}}}
	w.Users = worlds.Users{N: 3000, Heavy: 10, HeavyShare: .3}
	tp := play(w, 1)
	arms, heavy := map[uint16]int{}, 0
	counts := map[uint64][2]int{}
	for _, r := range tp.began {
		if arm, met := arms[r.Slot]; met && arm > r.Arm {
			t.Fatalf("slot %d goes from arm %d to %d", r.Slot, arm, r.Arm)
		}
		arms[r.Slot] = r.Arm
		n := counts[r.Generation]
		n[r.Arm]++
		counts[r.Generation] = n
		if r.User < 10 {
			heavy++
		}
	}
	near(t, "share of heavy users", float64(heavy)/float64(len(tp.began)), .3, .01)
	w.Users = worlds.Users{}
	for _, r := range play(w, 1).began {
		n := counts[100+r.Generation]
		n[r.Arm]++
		counts[100+r.Generation] = n
	}
	for g, want := range map[uint64]float64{101: .05, 102: .25, 103: .5} {
		near(t, "share of the candidate", float64(counts[g][1])/float64(counts[g][0]+counts[g][1]), want, .015)
	}
	w.Users, w.Sticky = worlds.Users{N: 100}, true
	users := map[int]worlds.Request{}
	for _, r := range play(w, 1).began {
		if first, met := users[r.User]; met && (first.Arm != r.Arm || first.Generation != r.Generation) {
			t.Fatalf("a sticky user goes from arm %d under %d to %d under %d", first.Arm, first.Generation, r.Arm, r.Generation)
		} else if !met {
			users[r.User] = r
		}
	}
	w = worlds.Find(29, "its slots go to the candidate")
	thirds := [worlds.NumArms][2]float64{}
	for _, r := range play(w, 1).began {
		thirds[r.Arm][r.Generation-1]++
	}
	if thirds[worlds.Third][1] > 0 {
		t.Errorf("an arm that was dropped is assigned %v requests", thirds[worlds.Third][1])
	}
	near(t, "share of the heir", thirds[1][1]/(thirds[0][1]+thirds[1][1]), 2./3, .1)
}

func TestCallersReact(t *testing.T) {
	w := simple(worlds.Service{Errors: .05}, worlds.Service{Errors: .05})
	w.Users, w.Retries = worlds.Users{N: 500, Bad: .05, BadTimes: 30}, 4
	tp := play(w, 1)
	near(t, "requests with retries", float64(len(tp.began))/40_000, 1+.05*2.5, .05)
	near(t, "failures of uneven users", share(tp.began, is(worlds.Failed)), .05*(1+.05*2.5*.6), .04)
	w.Retries, w.Leave = 0, true
	leavers := 0
	for _, r := range play(w, 1).began {
		leavers = max(leavers, r.User)
	}
	if leavers < 800 {
		t.Errorf("%d users come in a world in which 5 %% of 40,000 requests make one leave", leavers)
	}
	w.Leave, w.Crowd = false, 100
	near(t, "requests with crowds", float64(len(play(w, 1).began)), 40_000+40*99, 2500)
	w.Crowd, w.Forced, w.ForcedErrors = 0, .05, .2
	forced := play(w, 1).began
	near(t, "forced requests", share(forced, func(r worlds.Request) bool { return r.Forced && r.Arm == worlds.Candidate }), .05, .005)
	near(t, "failures of forced requests", share(forced, func(r worlds.Request) bool { return r.Forced && r.Outcome == worlds.Failed }), .01, .002)
}

func TestDisturbancesHaveTheirTimeAndArm(t *testing.T) {
	w := simple(worlds.Service{Errors: .01}, worlds.Service{Errors: .01})
	w.Phases = []worlds.Phase{{From: 10, To: 20, Every: 20, Arm: worlds.BothArms, Errors: .5, Slower: 4}}
	tp := play(w, 1)
	during := func(from, to float64) (list []worlds.Request) {
		for _, r := range tp.began {
			if b := r.Began.Seconds(); b >= from && b < to {
				list = append(list, r)
			}
		}
		return list
	}
	near(t, "before", share(during(0, 10), is(worlds.Failed)), .01, .01)
	near(t, "in the phase", share(during(10, 20), is(worlds.Failed)), .5, .04)
	near(t, "times in the phase", quantile(during(30, 40), .5, ttft), 1.2, .1)
	near(t, "after", share(during(20, 30), is(worlds.Failed)), .01, .01)
	w.Phases = []worlds.Phase{{From: 100, To: 110, Arm: worlds.Candidate, Errors: .9}}
	tp = play(w, 1)
	near(t, "one arm", share(of(during(100, 110), worlds.Candidate), is(worlds.Failed)), .9, .04)
	near(t, "the other", share(of(during(100, 110), worlds.Baseline), is(worlds.Failed)), .01, .02)

	w = simple(worlds.Service{}, worlds.Service{})
	w.Cold, w.Change = worlds.Cold{Requests: 1000, Times: 3}, worlds.Change{After: 5000, Service: worlds.Service{Errors: 1}}
	c := of(play(w, 1).began, worlds.Candidate)
	near(t, "cold", quantile(c[:1000], .5, ttft), .9, .08)
	near(t, "warm", quantile(c[1000:5000], .5, ttft), .3, .02)
	near(t, "before the change", share(c[:5000], is(worlds.Failed)), 0, 0)
	near(t, "after the change", share(c[5000:], is(worlds.Failed)), 1, 0)

	w = simple(worlds.Service{}, worlds.Service{})
	w.Clusters = worlds.Clusters{Share: .002, Size: 5}
	near(t, "clusters", share(play(w, 1).began, is(worlds.Failed)), .0099, .002)

	w = worlds.Find(31, "10 + 10 servers, utilisation 85 %; 600 looks at 50/50")
	tp = play(w, 1)
	for arm := range 2 {
		busy := 0.
		for _, r := range of(tp.began, arm) {
			busy += r.Ends.Seconds() - r.Began.Seconds()
		}
		near(t, "requests in a fleet", busy/600, 9.7, 2) // 8.5 are served, the others wait
	}
	near(t, "median TTFT of a pool with room", quantile(of(play(worlds.Find(32, "candidate's service x1.5"), 1).began, worlds.Baseline), .5, ttft), .3, .02)

	w = simple(worlds.Service{}, worlds.Service{})
	w.Before = worlds.Before{Seconds: 10, PerSecond: 50}
	tp = play(w, 1)
	near(t, "requests before", share(tp.began[:500], func(r worlds.Request) bool { return r.Arm == 0 && r.Began < 0 && r.Generation == 1 }), 1, 0)
	if tp.began[500].Began < 0 || tp.shares[0] != (worlds.Shares{1}) {
		t.Errorf("request 501 began at %v, the first shares are %v", tp.began[500].Began, tp.shares[0])
	}
}

func TestRolloutsAreDeterminedByTheirNumber(t *testing.T) {
	for _, w := range worlds.All() {
		w.Looks = min(w.Looks, 8)
		w.Before.Seconds = min(w.Before.Seconds, 4)
		a, b, c := play(w, 7), play(w, 7), play(w, 8)
		if !slices.Equal(a.began, b.began) || !slices.Equal(a.ended, b.ended) {
			t.Errorf("%s: rollout 7 is not the same twice", w.ID())
		}
		if len(a.began) > 100 && slices.Equal(a.began, c.began) {
			t.Errorf("%s: rollouts 7 and 8 are the same", w.ID())
		}
		if a.late > 0 {
			t.Errorf("%s: %d events out of order", w.ID(), a.late)
		}
	}
}

func TestRolloutsStop(t *testing.T) {
	w := simple(worlds.Service{}, worlds.Service{})
	tp := &tape{stopAt: 5}
	if worlds.Play(&w, 1, tp); tp.looks != 6 {
		t.Errorf("%d looks of a rollout that is stopped at the sixth", tp.looks)
	}
	w.Adaptive = true
	tp = &tape{lean: 1}
	worlds.Play(&w, 1, tp)
	near(t, "share at full evidence", tp.shares[len(tp.shares)-1][worlds.Candidate], .5, 1e-12)
}

func BenchmarkPlay(b *testing.B) {
	w := worlds.Find(3, "3,000 users; 60 x 200 at 50/50")
	o := new(blind)
	b.ReportAllocs()
	for i := range b.N {
		worlds.Play(&w, uint64(i), o)
	}
	b.ReportMetric(float64(o.n)/b.Elapsed().Seconds(), "requests/s")
}

// blind sees nothing.
type blind struct{ n int }

func (*blind) Split(uint64, worlds.Shares, time.Duration) {}
func (b *blind) Begin(*worlds.Request)                    { b.n++ }
func (*blind) First(*worlds.Request)                      {}
func (*blind) End(*worlds.Request)                        {}
func (*blind) Look(int, time.Duration) (float64, bool)    { return 0, false }
