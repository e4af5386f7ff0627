package worlds

import "fmt"

// equalRequests are worlds in which both versions are the same and requests are
// independent.
func equalRequests() (list []World) {
	for _, v := range []struct {
		name string
		Service
		runs int
	}{
		{"independent requests", usual, 24},
		{"sigma 1.5", Service{Errors: .01, Sigma: 1.5}, 16},
		{"ticks of 10 ms", Service{Errors: .01, Tick: .01}, 16},
		{"constant times", Service{Errors: .01, Sigma: -1}, 16},
	} {
		w := World{Number: 1, Name: "equal, independent requests", Variant: v.name, Runs: v.runs, Arms: both(v.Service), Claims: claims(neverHarmed)}
		if v.name == "independent requests" {
			list = append(list, in(w, half60, ramp60.of(16), half1200.of(10), ramp1200.of(longForm))...)
		} else {
			list = append(list, in(w, half60, ramp60.of(longForm), half1200.of(longForm), ramp1200.of(longForm))...)
		}
		w.Runs, w.Before, w.Claims = 16, history, claims(proven(.95, 10_000))
		list = append(list, in(w, shape{"20 + 20 a second", 40, 500, fixed(.5), 0})...)
	}
	for _, w := range []World{
		{Variant: "AR(1) of sd .7", Arms: both(usual), Drift: .7},
		{Variant: "regimes of ten looks, times x4, 10 % errors", Arms: both(usual), Phases: []Phase{{From: 10, To: 20, Every: 20, Arm: BothArms, Errors: .1, Slower: 4}}},
		{Variant: "incident of both arms, times x2, 30 % errors", Arms: both(usual), Phases: []Phase{{From: 20, To: 30, Arm: BothArms, Errors: .3, Slower: 2}}},
	} {
		w.Number, w.Name, w.Runs, w.Claims = 2, "equal, shared disturbances", 16, claims(neverHarmed)
		list = append(list, in(w, half60, ramp60.of(longForm), half1200.of(longForm))...)
	}
	for _, rate := range []float64{.001, .01, .05, .07, .1, .15, .2, .3} {
		w := World{Number: 5, Name: "equal, many failures", Variant: percent(rate), Runs: longForm, Arms: both(failing(rate)), Claims: claims(neverHarmed, noBreaker)}
		list = append(list, in(w, half60.of(10), ramp60, half1200, ramp1200)...)
	}
	return list
}

func percent(share float64) string { return fmt.Sprintf("%.4g %%", 100*share) }

// uneven describes users: ten make 30 % of the requests, and 5 % fail 30 times as
// often as the others.
var uneven = Users{N: 3000, Heavy: 10, HeavyShare: .3, Bad: .05, BadTimes: 30}

// equalUsers are worlds in which both versions are the same and the requests of a user
// are not independent.
func equalUsers() (list []World) {
	w := World{Number: 3, Name: "equal, heavy and failing users", Variant: "3,000 users", Runs: longForm, Users: uneven, Arms: both(usual), Claims: claims(neverHarmed)}
	list = append(list, in(w, half60.of(20), ramp60.of(12), half1200, ramp1200)...)

	for _, n := range []int{50, 200, 1000, 5000} {
		for _, c := range []float64{.05, .5} {
			runs := longForm
			if n == 200 && c == .05 || n == 1000 && c == .5 {
				runs = 10
			}
			list = append(list, World{
				Number: 4, Name: "equal, few users", Variant: fmt.Sprintf("%d users at %s", n, percent(c)), Runs: runs,
				PerSecond: 500, Looks: 120, Split: fixed(c), Users: Users{N: n}, Arms: both(usual),
				Claims: claims(neverHarmed, Claim{Kind: SplitAlarmAtMost, Bound: .01}),
			})
		}
	}

	w = World{Number: 22, Name: "equal, eight replicas", Users: Users{N: 2000, Bad: .02, BadTimes: 50}, Replicas: 8, Arms: both(usual),
		Variant: "users of all", Runs: 10, Claims: claims(neverHarmed, Claim{Kind: AgreesAtLeast, Bound: .99, Open: "each replica expects by its own past"})}
	list = append(list, in(w, shape{"30 x 200 at 50/50", 200, 30, fixed(.5), 0}, half60.of(longForm), ramp60.of(longForm))...)
	w.Variant, w.Runs, w.Arms, w.Claims = "errors 1 -> 5 %", 5, against(usual, failing(.05)), claims(harmed(.99, 0))
	list = append(list, in(w, shape{"30 x 200 at 50/50", 200, 30, fixed(.5), 0})...)

	for _, v := range []struct {
		name      string
		candidate Service
		claim     Claim
	}{
		{"equal", usual, neverHarmed}, {"errors x2", failing(.02), neverSafe}, {"errors x3", failing(.03), neverSafe},
	} {
		w := World{Number: 27, Name: "sticky users on a ramp", Variant: v.name, Runs: 12, PerSecond: 200, Looks: 150, Split: ramp(150),
			Users: Users{N: 1000}, Sticky: true, Arms: against(usual, v.candidate), Before: history, Claims: claims(v.claim)}
		list = append(list, w)
	}

	w = World{Number: 28, Name: "equal, 5 % forced to the candidate", Variant: "a fifth of them fail", Runs: 16, Forced: .05, ForcedErrors: .2, Arms: both(usual),
		Claims: claims(neverHarmed, Claim{Kind: UnrandomisedNear, Bound: .05})}
	list = append(list, in(w, half60, ramp60, half1200.of(longForm))...)
	w.Variant, w.Users = "1,000 users, a fifth of the forced fail", Users{N: 1000}
	list = append(list, in(w, half60)...)

	for arm, name := range []string{Baseline: "the baseline", Candidate: "the candidate"} {
		then := Shares{1. / 3, 1. / 3}
		then[arm] += 1. / 3
		w := World{Number: 29, Name: "three equal arms, one dropped", Variant: "its slots go to " + name, Runs: 14, PerSecond: 200, Looks: 90,
			Split: []Stage{{0, Shares{1. / 3, 1. / 3, 1. / 3}}, {30, then}},
			// A tenth fail in 30 %, the others in 1 %.
			Users: Users{N: 1000, Bad: .1, BadTimes: 30}, Arms: both(failing(.039)), Claims: claims(neverHarmed)}
		list = append(list, w)
	}
	// A tenth fail always, the others in .1 %. Half of those who fail come to the
	// candidate after they have failed elsewhere.
	list = append(list, World{Number: 29, Name: "three equal arms, one dropped", Variant: "half of all slots go to the candidate, need not persist", Runs: 14,
		PerSecond: 200, Looks: 90, Split: []Stage{{0, Shares{.45, .05, .5}}, {30, share(.55)}}, Plan: Settings{NoPersist: true},
		Users: Users{N: 1000, Bad: .1, BadTimes: 1000}, Arms: both(failing(.1)), Claims: claims(neverHarmed)})

	for _, v := range []World{
		{Variant: "1 to 4 retries of independent requests", Retries: 4},
		{Variant: "1 to 4 retries of 1,000 users", Retries: 4, Users: Users{N: 1000, Bad: .05, BadTimes: 30}},
		{Variant: "users who leave after a failure", Leave: true, Users: Users{N: 500, Bad: .05, BadTimes: 30}},
		{Variant: "shares follow the evidence", Adaptive: true},
		{Variant: "shares follow the evidence, 1,000 users", Adaptive: true, Users: Users{N: 1000, Bad: .05, BadTimes: 30}},
		{Variant: "a hundred requests of one user in one moment", Crowd: 100, Users: Users{N: 1000, Bad: .05, BadTimes: 30}},
	} {
		v.Number, v.Name, v.Runs, v.Arms, v.Claims = 34, "equal, callers who react", 12, both(usual), claims(neverHarmed)
		shapes := []shape{half60, ramp60.of(longForm)}
		if v.Adaptive {
			shapes = shapes[:1]
		}
		list = append(list, in(v, shapes...)...)
	}
	return list
}

// equalAwkward are worlds in which both versions are the same, and something afflicts
// one arm for a while.
func equalAwkward() (list []World) {
	atFive := shape{"60 x 200 at 5 %", 200, 60, fixed(.05), 0}
	w := World{Number: 14, Name: "equal, cold start", Arms: both(usual), Runs: 16, Claims: claims(neverHarmed, noBreaker)}
	w.Variant, w.Cold = "first 20 requests x3", Cold{Requests: 20, Times: 3}
	list = append(list, in(w, atFive, half60.of(longForm), half1200.of(longForm))...)
	w.Variant, w.Cold, w.Plan = "first 100 requests x3, declared", Cold{Requests: 100, Times: 3}, Settings{Warm: 100}
	list = append(list, in(w, atFive, half60.of(longForm))...)
	w.Variant, w.Cold, w.Plan = "a cache that fills over 1,000 requests, declared", Cold{Requests: 1000, Times: 3, Fills: true}, Settings{Warm: 1000}
	list = append(list, in(w, half60)...)

	for _, v := range []struct {
		World
		bound float64
		open  string
	}{
		{World{Variant: "3 s of 30 % each 20 s, on one arm at a time", Arms: both(usual), Phases: []Phase{{From: 8, To: 11, Every: 20, Arm: RandomArm, Errors: .3}}}, .1, "two or three bursts in a row on the candidate are harm"},
		{World{Variant: "1 s of 10 % each 20 s, on one arm at a time", Arms: both(usual), Phases: []Phase{{From: 8, To: 9, Every: 20, Arm: RandomArm, Errors: .1}}}, .05, ""},
		{World{Variant: "errors by fives of one cause", Arms: both(Service{}), Clusters: Clusters{Share: .002, Size: 5}}, .05, ""},
	} {
		w := v.World
		w.Number, w.Name, w.Runs, w.Claims = 15, "equal, bursts of failures", 24, claims(Claim{Kind: HarmedAtMost, Bound: v.bound, Open: v.open})
		list = append(list, in(w, half60, ramp60.of(longForm))...)
	}
	return list
}
