package worlds

import (
	"fmt"
	"slices"
)

// All returns the catalogue in the order of its numbers. Each row of the
// acceptance table is a world. Worlds 23 and 24 need an engine and a router and are not here.
func All() []World {
	all := slices.Concat(equalRequests(), equalUsers(), equalAwkward(), slowAnswers(), failures(), amounts(), later(), fleets())
	slices.SortStableFunc(all, func(a, b World) int { return a.Number - b.Number })
	return all
}

// Find returns the world with the given number and variant. It panics without one,
// since its arguments are constants of tests.
func Find(number int, variant string) World {
	for _, w := range All() {
		if w.Number == number && w.Variant == variant {
			return w
		}
	}
	panic(fmt.Sprintf("worlds: no world %d with variant %q", number, variant))
}

// shape is how much traffic there is and how it is split.
type shape struct {
	name      string
	perSecond float64
	looks     int
	split     []Stage
	runs      int // in the short form; zero: as many as the world says
}

// The shapes that worlds have unless they say otherwise.
var (
	half60   = shape{"60 x 200 at 50/50", 200, 60, fixed(.5), 0}
	ramp60   = shape{"60 x 200 on a ramp", 200, 60, ramp(60), 0}
	half1200 = shape{"1200 x 20 at 50/50", 20, 1200, fixed(.5), 0}
	ramp1200 = shape{"1200 x 20 on a ramp", 20, 1200, ramp(1200), 0}
	// tenAndTen is ten requests of each arm in a second, for detection.
	tenAndTen = shape{"10 + 10 a second", 20, 1200, fixed(.5), 0}
)

// share returns the split in which the candidate has a share.
func share(c float64) Shares { return Shares{Baseline: 1 - c, Candidate: c} }

// fixed returns the split that never changes.
func fixed(c float64) []Stage { return []Stage{{0, share(c)}} }

// ramp returns the split that gives the candidate 5, 25 and 50 %, for a third of the
// looks each.
func ramp(looks int) []Stage {
	return []Stage{{0, share(.05)}, {looks / 3, share(.25)}, {2 * looks / 3, share(.5)}}
}

// longForm is the number of runs of a shape that only the long form plays.
const longForm = -1

// of returns s with a number of runs in the short form.
func (s shape) of(runs int) shape {
	s.runs = runs
	return s
}

// in returns w in each of the shapes.
func in(w World, shapes ...shape) []World {
	var list []World
	for _, s := range shapes {
		v := w
		v.Variant += "; " + s.name
		v.PerSecond, v.Looks, v.Split = s.perSecond, s.looks, s.split
		if s.runs != 0 {
			v.Runs = max(s.runs, 0)
		}
		list = append(list, v)
	}
	return list
}

// both returns the arms of a service that is the same on all of them.
func both(s Service) [NumArms]Service { return [NumArms]Service{s, s, s} }

// against returns the arms of a baseline and its candidate.
func against(baseline, candidate Service) [NumArms]Service {
	return [NumArms]Service{Baseline: baseline, Candidate: candidate, Third: baseline}
}

// usual is the service whose answers take about a second, 1 % of which fail.
var usual = Service{Errors: .01}

// failing returns the usual service with another share of failures.
func failing(share float64) Service { return Service{Errors: share} }

// history is a time of the baseline alone that is long enough for a profile.
var history = Before{Seconds: 660, PerSecond: 2}

const alpha = .05

// These are the claims of most worlds.
var (
	neverHarmed = Claim{Kind: HarmedAtMost, Bound: alpha}
	neverSafe   = Claim{Kind: SafeAtMost, Bound: alpha}
	noBreaker   = Claim{Kind: TrippedAtMost, Bound: .001}
)

func harmed(bound float64, within int) Claim {
	return Claim{Kind: HarmedAtLeast, Bound: bound, Within: within}
}
func median(bound float64) Claim { return Claim{Kind: HarmedMedian, Bound: bound} }
func proven(bound float64, within int) Claim {
	return Claim{Kind: SafeAtLeast, Bound: bound, Within: within}
}

func claims(list ...Claim) []Claim { return list }
