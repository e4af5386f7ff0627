package worlds

import "fmt"

// failures are worlds whose candidate fails more often, or answers something else.
func failures() (list []World) {
	for _, v := range []struct {
		name      string
		baseline  Service
		candidate Service
	}{
		{"abandoned 2 -> 20 %", Service{Errors: .01, Abandoned: .02}, Service{Errors: .01, Abandoned: .2}},
		{"refusals 1 -> 30 %", Service{Errors: .01, Refused: .01}, Service{Errors: .01, Refused: .3}},
		{"cut by length 1 -> 20 %", Service{Errors: .01, Cut: .01}, Service{Errors: .01, Cut: .2}},
		{"outputs x.5", usual, Service{Errors: .01, Longer: .5}},
	} {
		w := World{Number: 9, Name: "other answers", Variant: v.name, Runs: 60, Arms: against(v.baseline, v.candidate),
			Claims: claims(harmed(.99, 1000), Claim{Kind: SafeAtMost, Bound: .01})}
		list = append(list, in(w, tenAndTen)...)
	}

	for _, v := range []struct {
		name               string
		from, to           float64
		median, withoutPst float64
	}{
		{"errors 1 -> 5 %", .01, .05, 590, 430}, {"errors 1 -> 2 %", .01, .02, 4200, 3100}, {"errors .1 -> .5 %", .001, .005, 4800, 3700},
	} {
		w := World{Number: 16, Name: "more failures", Variant: v.name, Runs: 12, Arms: against(failing(v.from), failing(v.to)), Claims: claims(median(v.median))}
		list = append(list, in(w, tenAndTen)...)
		w.Variant, w.Plan, w.Claims = v.name+", need not persist", Settings{NoPersist: true}, claims(median(v.withoutPst))
		list = append(list, in(w, tenAndTen)...)
	}

	for _, v := range []struct {
		from, margin float64
		proven       float64 // share of equal candidates within 6,000 requests
		runs         int
	}{{.0001, .0031, .9, 10}, {.00001, .00301, .9, longForm}, {.001, .004, .65, 10}, {.01, .02, .8, 10}, {.05, .075, .9, longForm}, {.1, .125, .9, 10}} {
		w := World{Number: 17, Name: "failures at the margin", Variant: fmt.Sprintf("%s -> %s", percent(v.from), percent(v.margin)), Runs: v.runs,
			Before: history, Arms: against(failing(v.from), failing(v.margin)), Claims: claims(neverSafe)}
		list = append(list, in(w, shape{"75 + 75 a second", 150, 80, fixed(.5), 0})...)
		list = append(list, in(w, shape{"400 a second at 5 %", 400, 200, fixed(.05), longForm})...)
		w.Runs, w.Variant, w.Arms, w.Claims = v.runs, percent(v.from)+", equal", both(failing(v.from)), claims(proven(v.proven, 6000))
		if v.from == .001 {
			w.Claims = append(w.Claims, proven(.9, 12_000))
		}
		list = append(list, in(w, shape{"75 + 75 a second", 150, 160, fixed(.5), 0})...)
	}

	for _, before := range []Before{{}, history} {
		w := World{Number: 18, Name: "a baseline in trouble at first", Variant: "without a profile", Runs: 14, PerSecond: 20, Looks: 450, Split: fixed(.5), Before: before,
			Arms: against(usual, failing(.05)), Phases: []Phase{{From: 0, To: 24, Arm: Baseline, Errors: .1}},
			Claims: claims(Claim{Kind: SafeAtEndAtMost, Bound: .05}, harmed(.95, 4000))}
		if before.Seconds > 0 {
			w.Variant = "with a profile"
		}
		list = append(list, w)
	}

	for _, n := range []int{50, 200, 1000} {
		for _, times := range []float64{2, 3} {
			for _, users := range []Users{{N: n}, {N: n, Bad: .05, BadTimes: 30}} {
				w := World{Number: 26, Name: "more failures of few users", Variant: fmt.Sprintf("%d users, errors x%g", n, times), Runs: longForm,
					PerSecond: 250, Looks: 240, Split: fixed(.5), Before: history, Users: users,
					Arms: against(usual, failing(.01*times)), Claims: claims(neverSafe)}
				if n > 50 && times == 2 && users.Bad > 0 || n == 200 && users.Bad == 0 {
					w.Runs = 10
				}
				if users.Bad > 0 {
					w.Variant += ", 5 % of them x30"
				}
				list = append(list, w)
			}
		}
	}

	// Each of these users fails soon, on either arm.
	list = append(list, World{Number: 26, Name: "more failures of few users", Variant: "100 users, errors 2 -> 4 %", Runs: longForm,
		PerSecond: 250, Looks: 240, Split: fixed(.5), Before: history, Users: Users{N: 100}, Arms: against(failing(.02), failing(.04)), Claims: claims(neverSafe)})

	down := func(variant string, c float64, users, looks, runs int, list ...Claim) World {
		return World{Number: 30, Name: "the candidate is down", Variant: variant, Runs: runs, PerSecond: 20, Looks: looks, Split: fixed(c),
			Users: Users{N: users}, Arms: against(usual, failing(1)), Claims: list}
	}
	never := Claim{Kind: SafeAtMost}
	tenth := down("independent requests at .1 %", .001, 0, 120, 20, harmed(.99, 20), never)
	tenth.PerSecond = 200
	calm := down("200 users at 5 %, 200 a second, no breaker", .05, 200, 60, 30, harmed(.9, 200), never)
	calm.PerSecond, calm.Plan.NoBreaker = 200, true
	return append(list, calm,
		down("200 users at 5 %", .05, 200, 120, 60, harmed(.9, 60), never),
		down("10 users at 50/50", .5, 10, 60, 60, harmed(.8, 200), never),
		down("6 users at 50/50", .5, 6, 60, 60, Claim{Kind: CannotTellAtLeast, Bound: 1}, never),
		down("independent requests at 1 %", .01, 0, 200, 40, harmed(.99, 20), never), tenth)
}

// amounts are worlds whose candidate is slower, or just as slow.
func amounts() (list []World) {
	const name10, name13, name20 = "a slow tail", "slower answers", "one tenant of ten"
	for _, v := range []struct {
		name string
		Service
	}{
		{"slowest 1 % of TTFT x3", Service{Errors: .01, Tail: 3}}, {"slowest 1 % of TTFT x10", Service{Errors: .01, Tail: 10}},
		{"1 % of requests x20", Service{Errors: .01, Rare: 20}}, {"1 % of streams stall 20 s", Service{Errors: .01, Stall: 20}},
	} {
		w := World{Number: 10, Name: name10, Variant: v.name, Runs: 16, Arms: against(usual, v.Service), Before: history,
			Claims: claims(harmed(.9, 4000), harmed(.99, 6000), neverSafe)}
		list = append(list, in(w, shape{"10 + 10 a second", 20, 650, fixed(.5), 0})...)
	}

	for _, slower := range []float64{1.02, 1.05} {
		w := World{Number: 13, Name: name13, Variant: fmt.Sprintf("all times x%g", slower), Runs: 20,
			Arms: against(usual, Service{Errors: .01, Slower: slower}), Claims: claims(neverHarmed)}
		list = append(list, in(w, half60, half1200.of(longForm))...)
	}
	for _, v := range []struct {
		name string
		Service
		claims []Claim
	}{
		{"TTFT x1.2", Service{Errors: .01, SlowerFirst: 1.2}, claims(harmed(.98, 0), median(1100))},
		{"TTFT x1.5", Service{Errors: .01, SlowerFirst: 1.5}, claims(harmed(.98, 0), median(330))},
		{"all times x1.5", Service{Errors: .01, Slower: 1.5}, claims(harmed(.98, 0), median(300))},
	} {
		w := World{Number: 13, Name: name13, Variant: v.name + ", without a profile", Runs: 30, Arms: against(usual, v.Service), Claims: v.claims}
		list = append(list, in(w, tenAndTen)...)
		w.Variant, w.Before = v.name+", with a profile", history
		list = append(list, in(w, tenAndTen)...)
	}

	for _, v := range []struct {
		name string
		bad  Service
	}{{"errors 1 -> 10 %", failing(.1)}, {"TTFT x2", Service{Errors: .01, SlowerFirst: 2}}} {
		w := World{Number: 20, Name: name20, Variant: v.name, Runs: 20, Tenants: 10, ForTenant: v.bad, Arms: both(usual),
			Claims: claims(harmed(.95, 3000), Claim{Kind: NamedAtLeast, Bound: .95, Within: 3000, Open: "some rollouts are harmed as a whole first"}, Claim{Kind: OthersAtMost, Bound: .05})}
		list = append(list, in(w, shape{"10 + 10 a second", 20, 320, fixed(.5), 0})...)
	}

	prompts := World{Number: 21, Name: "TTFT follows the prompt", Runs: 20, Variant: "TTFT x1.1, tolerance x1", Plan: Settings{Tolerance: 1},
		Arms: against(Service{Errors: .01, ByPrompt: true}, Service{Errors: .01, ByPrompt: true, SlowerFirst: 1.1}), Claims: claims(median(400))}
	list = append(list, in(prompts, tenAndTen)...)
	prompts.Variant, prompts.Plan, prompts.Arms, prompts.Claims = "equal", Settings{}, both(Service{Errors: .01, ByPrompt: true}), claims(neverHarmed)
	return append(list, in(prompts, half60)...)
}

// later are worlds whose candidate becomes worse after a good time.
func later() (list []World) {
	points := failing(.05)
	for _, v := range []struct {
		name string
		Service
		bound float64
	}{{"errors +4 points", points, 2500}, {"TTFT x2", Service{Errors: .01, SlowerFirst: 2}, 800}} {
		list = append(list, World{Number: 11, Name: "2,000 users have been seen", Variant: "then " + v.name, Runs: 12, PerSecond: 100, Looks: 400, Split: fixed(.5),
			Users: Users{N: 2000}, Arms: both(usual), Change: Change{10_000, v.Service}, Claims: claims(median(v.bound))})
	}
	for _, v := range []struct {
		name        string
		good        int
		ratio       float64
		runs, looks int
	}{
		{"fresh", 0, 0, 30, 100}, {"after 5,000 good requests", 5000, 3, 12, 80}, {"after 50,000 good requests", 50_000, 4, longForm, 560},
		{"after 200,000 good requests", 200_000, 5, longForm, 2100},
	} {
		w := World{Number: 12, Name: "errors 1 -> 5 % after a good time", Variant: v.name, Runs: v.runs, PerSecond: 200, Looks: v.looks, Split: fixed(.5),
			Arms: both(usual), Change: Change{v.good, points}, Claims: claims(Claim{Kind: HarmedRatio, Bound: v.ratio})}
		if v.good == 0 {
			w.Arms, w.Claims = against(usual, points), claims(median(1200))
		}
		list = append(list, w)
	}
	return list
}
