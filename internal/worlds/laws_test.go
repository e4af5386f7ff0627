package worlds_test

import (
	"encoding/json"
	"math"
	"math/rand/v2"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/serin-go/serin/checks/analysis"
	"github.com/serin-go/serin/internal/worlds"
)

// law returns a short world for the laws. Its candidate is in the given service.
func law(candidate worlds.Service) worlds.World {
	return worlds.World{Number: 50, Name: "laws", PerSecond: 100, Looks: 40, Split: []worlds.Stage{{Shares: worlds.Shares{.5, .5}}},
		Before: worlds.Before{Seconds: 660, PerSecond: 2},
		Arms:   [worlds.NumArms]worlds.Service{{Errors: .01}, candidate}}
}

// candidates are equal, harmful in a rate, and harmful in times.
var candidates = map[string]worlds.Service{
	"equal": {Errors: .01}, "errors x8": {Errors: .08}, "times x1.5": {Errors: .01, Slower: 1.5},
}

// verdicts plays w to its end and returns the judgement of each look.
func verdicts(t *testing.T, w worlds.World, number int, change func(*player)) (list []analysis.Judgement) {
	t.Helper()
	p := newPlayer(t, &w, planOf(&w))
	p.calm = true
	if change != nil {
		change(p)
	}
	after := p.onLook
	p.onLook = func(look int, now time.Time, j analysis.Judgement) {
		list = append(list, j)
		if after != nil {
			after(look, now, j)
		}
	}
	worlds.Play(&w, uint64(number), p)
	return list
}

// differ returns the first look at which verdicts differ, -1 without one.
func differ(a, b []analysis.Judgement) int {
	for i := range a {
		if a[i].Verdict != b[i].Verdict {
			return i
		}
	}
	return -1
}

// ever reports whether a judgement has verdict v.
func ever(list []analysis.Judgement, v analysis.Verdict) bool {
	for _, j := range list {
		if j.Verdict == v {
			return true
		}
	}
	return false
}

// relabelled passes on what happens with the first two arms exchanged.
type relabelled struct{ *player }

func (r relabelled) Split(g uint64, s worlds.Shares, now time.Duration) {
	s[worlds.Baseline], s[worlds.Candidate] = s[worlds.Candidate], s[worlds.Baseline]
	r.player.Split(g, s, now)
}

func (r relabelled) as(q *worlds.Request, f func(*worlds.Request)) {
	q.Arm = 1 - q.Arm
	f(q)
	q.Arm = 1 - q.Arm
}
func (r relabelled) Begin(q *worlds.Request) { r.as(q, r.player.Begin) }
func (r relabelled) First(q *worlds.Request) { r.as(q, r.player.First) }
func (r relabelled) End(q *worlds.Request)   { r.as(q, r.player.End) }

// TestRelabellingTheArms exchanges the arms in the input: a harmful candidate becomes the
// baseline of a better one, which is never harm. New names alone change nothing.
func TestRelabellingTheArms(t *testing.T) {
	alone(t)
	t.Parallel()
	for name, service := range candidates {
		for number := range 4 {
			w := law(service)
			w.Before = worlds.Before{}
			straight := verdicts(t, w, number, nil)
			var exchanged []analysis.Judgement
			p := newPlayer(t, &w, planOf(&w))
			p.calm = true
			p.onLook = func(_ int, _ time.Time, j analysis.Judgement) { exchanged = append(exchanged, j) }
			worlds.Play(&w, uint64(number), relabelled{p})
			if equal := name == "equal"; ever(straight, analysis.Harmed) == equal {
				t.Errorf("%s, rollout %d: harmed is %v", name, number, !equal)
			}
			if ever(exchanged, analysis.Harmed) {
				t.Errorf("%s, rollout %d: with the arms exchanged, the better one is harm: %s", name, number, exchanged[len(exchanged)-1].Reason)
			}
			if a, b := straight[len(straight)-1], exchanged[len(exchanged)-1]; a.Baseline.Requests != b.Candidate.Requests || a.Candidate.Requests != b.Baseline.Requests {
				t.Errorf("%s, rollout %d: arms have %d and %d requests, %d and %d when exchanged", name, number,
					a.Baseline.Requests, a.Candidate.Requests, b.Baseline.Requests, b.Candidate.Requests)
			}
			w.Arms[0], w.Arms[1] = w.Arms[1], w.Arms[0]
			if again := verdicts(t, w, number, nil); name != "equal" && ever(again, analysis.Harmed) {
				t.Errorf("%s, rollout %d: the candidate that is better is harm", name, number)
			}
			w.Arms[0], w.Arms[1] = w.Arms[1], w.Arms[0]
			renamed := verdicts(t, w, number, func(p *player) {
				p.arms = [worlds.NumArms]string{"zebra", "ant", "bee"}
				p.processes = []*process{p.start()}
			})
			for i := range straight {
				if a, b := straight[i], renamed[i]; a.Verdict != b.Verdict || a.Harm != b.Harm {
					t.Errorf("%s, rollout %d, look %d: %v with %v, under other names %v with %v", name, number, i, a.Verdict, a.Harm, b.Verdict, b.Harm)
					break
				}
			}
		}
	}
}

// TestUnitsOfAmounts multiplies an amount: whether it is in nanoseconds or in years must
// not matter.
func TestUnitsOfAmounts(t *testing.T) {
	alone(t)
	t.Parallel()
	for name, service := range candidates {
		w := law(service)
		var one []analysis.Judgement
		for _, factor := range []float64{1, 1e-9, 1e-4, 1e3, 1e9} {
			list := verdicts(t, w, 3, func(p *player) {
				p.plan.Metrics = append(analysis.DefaultMetrics(), analysis.Metric{
					Name: "weight", Kind: analysis.Amount, Weight: 20,
					Of: func(o analysis.Observation) (float64, bool) {
						return o.Latency.Seconds() * factor, o.Class == analysis.OK
					},
				})
				p.processes = []*process{p.start()}
			})
			if one == nil {
				one = list
			}
			if i := differ(one, list); i >= 0 {
				t.Errorf("%s, times %g: look %d is %v, want %v", name, factor, i, list[i].Verdict, one[i].Verdict)
			}
			f, g := list[len(list)-1].Metrics, one[len(one)-1].Metrics
			// Quantiles are read from a histogram, whose steps do not move with the unit.
			if a, b := math.Log(f[len(f)-1].Harm.E), math.Log(g[len(g)-1].Harm.E); !(math.Abs(a-b) <= .5+.1*math.Abs(b)) {
				t.Errorf("%s, times %g: the logarithm of the e-value is %.3g, want about %.3g", name, factor, a, b)
			}
		}
	}
}

// TestOrderOfParts shuffles the parts of a merge: the evidence must be the same to the
// bit.
func TestOrderOfParts(t *testing.T) {
	alone(t)
	t.Parallel()
	rng := rand.New(rand.NewPCG(1, 2))
	for name, service := range candidates {
		w := law(service)
		w.Replicas, w.Users = 8, worlds.Users{N: 500, Bad: .05, BadTimes: 30}
		w.Before = worlds.Before{}
		p := newPlayer(t, &w, planOf(&w))
		p.one, p.calm = nil, true
		p.onLook = func(look int, _ time.Time, _ analysis.Judgement) {
			if look%8 != 7 {
				return
			}
			var parts []analysis.Evidence
			for _, proc := range p.processes {
				parts = append(parts, proc.cmp.Evidence())
			}
			var want string
			for range 5 {
				sum, err := p.plan.Merge(parts...)
				if err != nil {
					t.Fatal(err)
				}
				data, err := json.Marshal(sum)
				if err != nil {
					t.Fatal(err)
				}
				if want == "" {
					want = string(data)
				} else if want != string(data) {
					t.Errorf("%s, look %d: the evidence depends on the order of its parts", name, look)
					return
				}
				rng.Shuffle(len(parts), func(i, j int) { parts[i], parts[j] = parts[j], parts[i] })
			}
		}
		worlds.Play(&w, 1, p)
	}
}

// TestRestartsLoseWhatIsInFlight restarts at every tenth look, when nothing is in flight
// and all deadlines have passed: nothing may change.
func TestRestartsLoseWhatIsInFlight(t *testing.T) {
	alone(t)
	t.Parallel()
	for name, service := range candidates {
		for number := range 3 {
			w := law(service)
			// Requests come in the first fifth of a look, and are soon answered.
			w.PerSecond, w.Burst, w.Looks, w.Before = 40, .2, 60, worlds.Before{Seconds: 120, PerSecond: 10}
			for arm := range w.Arms {
				w.Arms[arm].Document = .02
			}
			straight := verdicts(t, w, number, nil)
			w.Restart = 10
			restarted := verdicts(t, w, number, nil)
			// What is restored was read from a histogram, so that deadlines differ a little.
			const slack = 5
			for i := range straight {
				a, b := straight[i], restarted[i]
				if x, y := math.Log(a.Harm.Now), math.Log(b.Harm.Now); !(math.Abs(x-y) <= .7+.15*math.Abs(x)) {
					t.Errorf("%s, rollout %d, look %d: %v with %+v, with restarts %v with %+v", name, number, i, a.Verdict, a.Harm, b.Verdict, b.Harm)
					break
				}
				if i+slack < len(restarted) && a.Verdict != b.Verdict && straight[i+slack].Verdict == a.Verdict && restarted[i+slack].Verdict != a.Verdict {
					t.Errorf("%s, rollout %d, look %d: %v, with restarts %v and still so %d looks later", name, number, i, a.Verdict, b.Verdict, slack)
					break
				}
			}
		}
	}
}

// TestSharesOfZeroAndOne adds requests that were assigned while one arm had all of the
// traffic. They are no evidence, whatever they look like.
func TestSharesOfZeroAndOne(t *testing.T) {
	alone(t)
	t.Parallel()
	for name, service := range candidates {
		for arm := range 2 {
			w := law(service)
			straight := verdicts(t, w, 5, nil)
			with := verdicts(t, w, 5, func(p *player) {
				generation := uint64(1000)
				p.onLook = func(look int, now time.Time, j analysis.Judgement) {
					if look != 10 && look != 20 {
						return
					}
					alone := worlds.Shares{}
					alone[arm] = 1
					generation++
					p.expect(p.processes[0], generation, alone)
					for i := range 200 {
						a := analysis.Assigned{Arm: p.arms[arm], Slot: uint16(i * 37), Slotted: true, Generation: generation, Stream: true, At: now}
						f := p.processes[0].rec.Begin(a)
						f.First(now.Add(300 * time.Millisecond))
						// Each is slower than most, and no worse than some.
						f.Done(analysis.Observation{At: now.Add(900 * time.Millisecond), Class: analysis.OK, Finish: analysis.FinishStop,
							TTFT: 300 * time.Millisecond, ITL: 20 * time.Millisecond, Stall: 60 * time.Millisecond, Latency: 900 * time.Millisecond,
							InputTokens: 500, OutputTokens: 31, Cost: 348})
					}
				}
			})
			if a, b := straight[len(straight)-1], with[len(with)-1]; a.Verdict != b.Verdict {
				t.Errorf("%s, arm %d alone: %v, want %v", name, arm, b.Verdict, a.Verdict)
			}
		}
	}
	t.Run("failures", func(t *testing.T) {
		// All of the candidate's traffic fails, while it has all of the traffic: bad,
		// but no evidence against it in comparison with the baseline.
		w := law(worlds.Service{Errors: .01})
		with := verdicts(t, w, 6, func(p *player) {
			p.plan.Breakers = []analysis.Breaker{}
			p.processes = []*process{p.start()}
			p.onLook = func(look int, now time.Time, _ analysis.Judgement) {
				if look != 10 {
					return
				}
				p.expect(p.processes[0], 1000, worlds.Shares{0, 1})
				for i := range 300 {
					f := p.processes[0].rec.Begin(analysis.Assigned{Arm: p.arms[1], Slot: uint16(i), Slotted: true, Generation: 1000, At: now})
					f.Done(analysis.Observation{At: now.Add(time.Second), Class: analysis.Error, Latency: time.Second, Cost: -1})
				}
			}
		})
		if ever(with, analysis.Harmed) {
			t.Errorf("failures at a share of one are harm: %s", with[len(with)-1].Reason)
		}
	})
}

// TestVerdictsAreDetermined plays a rollout twice.
func TestVerdictsAreDetermined(t *testing.T) {
	alone(t)
	t.Parallel()
	w := law(worlds.Service{Errors: .03})
	if diff := cmp.Diff(verdicts(t, w, 1, nil), verdicts(t, w, 1, nil)); diff != "" {
		t.Errorf("the judgements of one rollout are not the same twice:\n%s", diff)
	}
}
