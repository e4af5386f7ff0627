package worlds

import (
	"fmt"
	"strings"
)

// mature returns how many requests of the candidate, of which there are perSecond in a
// second, a verdict may take that needs a number of them and some seconds.
func mature(perSecond, seconds, requests float64) float64 { return perSecond*seconds + requests }

const (
	persist  = 3   // seconds, the default of Plan.Persist
	warm     = 5   // seconds, the default of Plan.Warm
	slack    = 1.2 // the margin of times
	silence  = 5   // seconds after which a usual stream is silent, at most
	fullHour = 3600
)

// slowAnswers are worlds whose answers take long, so that much is in flight.
func slowAnswers() (list []World) {
	for _, answer := range []float64{2, 5, 12, 30} {
		for _, rate := range []float64{20, 50, 200, 800} {
			for _, errors := range []float64{.01, .05} {
				arms := both(Service{Document: answer, Errors: errors, FailsIn: .1})
				w := World{Number: 6, Name: "equal, failures are quick", Arms: arms, Claims: claims(neverHarmed),
					Variant: fmt.Sprintf("answers of %g s, %g a second, %s", answer, rate, percent(errors)), Before: Before{Seconds: int(4 * answer)}}
				list = append(list, in(w,
					shape{"60 looks at 50/50", rate, 60, fixed(.5), 0}, shape{"60 looks on a ramp", rate, 60, ramp(60), 0})...)
			}
		}
	}
	for i := range list { // a choice for the short form
		switch w := &list[i]; w.Variant {
		case "answers of 30 s, 50 a second, 1 %; 60 looks at 50/50", "answers of 12 s, 50 a second, 5 %; 60 looks at 50/50",
			"answers of 2 s, 20 a second, 5 %; 60 looks at 50/50":
			w.Runs = 20
		case "answers of 30 s, 200 a second, 1 %; 60 looks on a ramp", "answers of 5 s, 200 a second, 5 %; 60 looks on a ramp":
			w.Runs = 10
		}
	}

	for _, answer := range []float64{2, 5, 12, 30} {
		for _, slower := range []float64{1.2, 1.5, 2} {
			w := World{Number: 7, Name: "slower documents", Variant: fmt.Sprintf("answers of %g s, times x%g", answer, slower),
				PerSecond: 50, Looks: 240, Split: fixed(.5), Before: history,
				Arms:   against(Service{Document: answer}, Service{Document: answer, Slower: slower}),
				Claims: claims(neverSafe)}
			if slower == 1.5 {
				w.Claims = append(w.Claims, median(mature(25, warm+2*persist+slack*answer, 200)))
			}
			if answer == 2 || answer == 30 {
				w.Runs = 12
			}
			list = append(list, w)
		}
	}

	for _, v := range []struct {
		name    string
		s       Service
		patient float64 // seconds until it is known that there is no answer
	}{
		{"30 % never answered, patient callers", Service{Errors: .01, Hangs: .3}, silence},
		{"30 % never answered, callers leave after 1.5 s", Service{Errors: .01, Hangs: .3, Patience: 1.5}, 1.5},
		{"30 % never answered, callers leave after 30 s", Service{Errors: .01, Hangs: .3, Patience: 30}, silence},
		{"80 % never answered, patient callers", Service{Errors: .01, Hangs: .8}, silence},
		{"30 % rejected", Service{Errors: .01, Rejected: .3}, 2},
		{"30 % cannot be read", Service{Errors: .01, Unread: .3}, 2},
	} {
		for _, perSecond := range []float64{20, 100} {
			list = append(list, World{Number: 8, Name: "no answer", Variant: fmt.Sprintf("%s, %g a second", v.name, perSecond), Runs: 40,
				PerSecond: perSecond, Looks: 120, Split: fixed(.5), Arms: against(usual, v.s),
				Claims: claims(harmed(.99, 0), Claim{Kind: SafeAtMost, Bound: .01}, median(mature(perSecond/2, v.patient+2*persist, 60)))})
		}
	}

	for _, answer := range []float64{5, 30} {
		for _, rate := range []float64{.01, .05, .3} {
			quick, late := Service{Document: answer, Errors: rate, FailsIn: .1}, Service{Document: answer, Errors: rate, FailsIn: answer}
			for _, arms := range [][NumArms]Service{against(late, quick), against(quick, late)} {
				w := World{Number: 19, Name: "equal, failures come at different times",
					Variant:   fmt.Sprintf("%s, baseline after %g s, candidate after %g s", percent(rate), arms[Baseline].FailsIn, arms[Candidate].FailsIn),
					PerSecond: 50, Looks: 60, Split: fixed(.5), Before: Before{Seconds: max(60, int(.5/rate)) + int(2*answer)},
					Arms: arms, Claims: claims(neverHarmed, noBreaker)}
				if answer == 30 {
					w.Runs = 10
				}
				list = append(list, w)
			}
		}
	}

	for _, v := range []struct {
		name   string
		slower float64
		claim  Claim
	}{{"equal", 1, neverHarmed}, {"times x1.2", 1.2, neverSafe}, {"times x1.5", 1.5, neverSafe}} {
		list = append(list, World{Number: 33, Name: "a restart each 30 s, answers of 30 s", Variant: v.name, Runs: 12,
			PerSecond: 20, Looks: 300, Split: fixed(.5), Before: history, Restart: 30,
			Arms:   against(Service{Document: 30, Errors: .01, FailsIn: 30}, Service{Document: 30, Errors: .01, FailsIn: 30, Slower: v.slower}),
			Claims: claims(v.claim)})
	}

	for _, leavers := range []float64{.15, .5} {
		for _, slower := range []float64{1, 1.2, 1.5} {
			claim := neverSafe
			name := fmt.Sprintf("%s leave, times x%g", percent(leavers), slower)
			if slower == 1 {
				claim, name = neverHarmed, strings.Replace(name, "times x1", "equal", 1)
			}
			list = append(list, World{Number: 35, Name: "callers who leave flowing streams", Variant: name, Runs: 10,
				PerSecond: 100, Looks: 150, Split: fixed(.5), Before: history, Leavers: leavers,
				Arms: against(usual, Service{Errors: .01, Slower: slower}), Claims: claims(claim)})
		}
	}
	return list
}

// fleets are worlds in which requests wait for servers, and those with little traffic.
func fleets() (list []World) {
	for _, v := range []struct{ used, bound float64 }{{.6, .05}, {.85, .15}} {
		rate := 2 * 10 * v.used / usual.MeanServiceTime()
		w := World{Number: 31, Name: "equal fleets with queues of their own", Variant: "10 + 10 servers, utilisation " + percent(v.used), Runs: 14,
			Fleet: Fleet{Servers: 10}, Arms: both(usual), Claims: claims(Claim{Kind: HarmedAtMost, Bound: v.bound})}
		list = append(list, in(w, shape{"600 looks at 50/50", rate, 600, fixed(.5), 0})...)
	}
	for _, slower := range []float64{1.5, 2.5} {
		rate := 20 * .6 / usual.MeanServiceTime()
		before := history
		before.PerSecond = rate
		w := World{Number: 32, Name: "one pool of 20 servers", Variant: fmt.Sprintf("candidate's service x%g", slower), Runs: 20,
			PerSecond: rate, Looks: 600, Split: fixed(.5), Before: before, Fleet: Fleet{Servers: 20, Pool: true},
			Arms: against(usual, Service{Errors: .01, Slower: slower}), Claims: claims(neverSafe)}
		if slower == 1.5 {
			w.Claims = append(w.Claims, harmed(.95, 1000))
		}
		list = append(list, w)
	}
	for _, v := range []struct {
		name string
		Service
	}{{"errors x2", failing(.02)}, {"times x1.3", Service{Errors: .01, Slower: 1.3}}} {
		list = append(list, World{Number: 25, Name: "200 requests a day", Variant: v.name, Runs: 20,
			PerSecond: 200. / 24 / fullHour, Every: fullHour / 2, Looks: 48 * 120, Split: fixed(.5), Arms: against(usual, v.Service)})
	}
	return list
}
