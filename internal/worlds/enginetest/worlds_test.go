package enginetest_test

import (
	"cmp"
	"flag"
	"fmt"
	"math"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/serin-go/serin/internal/worlds"
	"github.com/serin-go/serin/strategies"
)

var (
	rollouts = flag.Int("worlds", 0, "rollouts of each world; 0: the short form, with the numbers of the tests")
	only     = flag.String("world", "", "regular expression of the worlds to play")
)

// The claims of most worlds.
var (
	neverHarmed = worlds.Claim{Kind: worlds.HarmedAtMost, Bound: .05}
	neverSafe   = worlds.Claim{Kind: worlds.SafeAtMost, Bound: .05}
	found       = worlds.Claim{Kind: worlds.HarmedAtLeast, Bound: .99}
)

const second = time.Second

// half and ramp are stages that look for harm alone, for a minute.
func half(past time.Duration) []strategies.Stage {
	return []strategies.Stage{alone(past), baked("half", strategies.Percent(50), 60*second), baked("all", strategies.Full, 0)}
}

func ramp(past time.Duration) []strategies.Stage {
	return []strategies.Stage{
		alone(past), baked("5 %", strategies.Percent(5), 20*second), baked("25 %", strategies.Percent(25), 20*second),
		baked("50 %", strategies.Percent(50), 20*second), baked("all", strategies.Full, 0),
	}
}

// toProof are stages that end with the proof, or at a limit.
func toProof(past, limit time.Duration) []strategies.Stage {
	return []strategies.Stage{alone(past), proven(strategies.Percent(50), limit), baked("all", strategies.Full, 0)}
}

func versus(baseline, candidate worlds.Service) []worlds.Service {
	return []worlds.Service{baseline, candidate}
}

func both(s worlds.Service) []worlds.Service { return versus(s, s) }

// short is a service of short streams, which take about a second.
var short = worlds.Service{Tokens: 4, ITL: .1, Errors: .01}

// hanging is the same service when it never answers 30 % of all requests.
var hanging = worlds.Service{Tokens: 4, ITL: .1, Errors: .01, Hangs: .3}

func slowed(s worlds.Service, times float64) worlds.Service {
	s.Slower = times
	return s
}

// trials are the worlds that end with one verdict on one candidate.
func trials() (list []trial) {
	for _, answer := range []float64{2, 12, 30} {
		for _, errors := range []float64{.01, .05} {
			past := time.Duration(4*answer) * second
			for name, stages := range map[string][]strategies.Stage{"50/50": half(past), "ramp": ramp(past)} {
				list = append(list, trial{
					number: 6, variant: fmt.Sprintf("equal, answers of %g s, %g %% fail, %s", answer, 100*errors, name), perSecond: 50,
					services: both(worlds.Service{Document: answer, Errors: errors, FailsIn: .1}), stages: stages, claims: []worlds.Claim{neverHarmed},
				})
			}
		}
	}
	for _, answer := range []float64{12, 30} {
		for _, slower := range []float64{1.5, 2} {
			list = append(list, trial{
				number: 7, variant: fmt.Sprintf("documents of %g s, times x%g", answer, slower), perSecond: 50,
				services: versus(worlds.Service{Document: answer}, worlds.Service{Document: answer, Slower: slower}),
				stages:   toProof(time.Duration(4*answer)*second, 240*second), claims: []worlds.Claim{neverSafe, found},
			})
		}
	}
	for name, patience := range map[string]time.Duration{"patient callers": 0, "callers leave after 1.5 s": 1500 * time.Millisecond} {
		for shape, handler := range map[string]bool{"Handler": true, "RoundTripper": false} {
			list = append(list, trial{
				number: 8, variant: "30 % never answered, " + name + ", " + shape, perSecond: 20, patience: patience, handler: handler,
				services: versus(short, hanging), stages: toProof(20*second, 240*second), claims: []worlds.Claim{neverSafe, found},
			})
		}
	}
	queued := 2 * 10 * .6 / short.MeanServiceTime()
	list = append(list,
		trial{
			number: 31, variant: "equal fleets of 10 servers, utilisation .6", perSecond: queued, servers: 10,
			services: both(short), stages: half(20 * second), claims: []worlds.Claim{neverHarmed},
		},
		trial{
			number: 32, variant: "one pool of 20 servers, candidate x2.5", perSecond: queued, servers: 20, pool: true,
			services: versus(short, slowed(short, 2.5)), stages: toProof(660*second, 240*second), claims: []worlds.Claim{neverSafe},
		},
	)
	for name, slower := range map[string]float64{"equal": 1, "times x1.2": 1.2, "times x1.5": 1.5} {
		long := worlds.Service{Document: 30, Errors: .01, FailsIn: 30}
		tr := trial{
			number: 33, variant: "a restart each 30 s, " + name, perSecond: 20, restart: 30 * second,
			services: versus(long, slowed(long, slower)), stages: toProof(120*second, 300*second), claims: []worlds.Claim{neverSafe},
		}
		if slower == 1 {
			tr.stages = []strategies.Stage{alone(120 * second), baked("half", strategies.Percent(50), 300*second), baked("all", strategies.Full, 0)}
			tr.claims = []worlds.Claim{neverHarmed}
		}
		list = append(list, tr)
	}
	slices.SortStableFunc(list, func(a, b trial) int {
		return cmp.Or(cmp.Compare(a.number, b.number), strings.Compare(a.variant, b.variant))
	})
	return list
}

// TestWorlds plays the worlds through an engine and a router.
func TestWorlds(t *testing.T) {
	pattern, err := regexp.Compile(*only)
	if err != nil {
		t.Fatal(err)
	}
	for _, tr := range trials() {
		id := fmt.Sprintf("%02d %s", tr.number, tr.variant)
		if !pattern.MatchString(id) {
			continue
		}
		t.Run(id, func(t *testing.T) {
			n := number(max(tr.runs, 1))
			var all []worlds.Result
			for i := range n {
				out := tr.play(t, uint64(i+1))
				t.Log(out.end)
				all = append(all, out.Result)
			}
			hold(t, tr.claims, all)
		})
	}
}

// number returns how often a world is played: as often as the flag says, or its short form.
func number(short int) int {
	if *rollouts > 0 {
		return *rollouts
	}
	return short
}

// hold checks claims.
func hold(t *testing.T, claims []worlds.Claim, all []worlds.Result) {
	t.Helper()
	for _, c := range claims {
		measured, ok := c.Check(all, math.NaN())
		t.Logf("%v: measured %.4g of %d, median %g", c, measured, len(all), worlds.MedianHarmed(all))
		if !ok {
			t.Errorf("%v: measured %.4g of %d rollouts", c, measured, len(all))
		}
	}
}
