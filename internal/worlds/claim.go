package worlds

import (
	"fmt"
	"math"
	"slices"
)

// Result is what an analysis concluded in one rollout.
type Result struct {
	// Harmed and Safe are the numbers of requests that the candidate had been assigned,
	// since its change if there is one, at the first such verdict; -1 without one.
	Harmed, Safe int
	// SafeAtEnd is about the last verdict.
	SafeAtEnd bool
	// Tripped says that a breaker has decided, SplitAlarm that the split was doubted.
	Tripped, SplitAlarm bool
	// Named says that tenant 0 was found to be harmed; Others counts other findings of
	// that kind, false ones.
	Named  bool
	Others int
	// Unrandomised is the share of requests that the analysis left out for that.
	Unrandomised float64
	// Agreed is in how many of Looks the replicas together said what one process
	// that sees all requests says.
	Agreed, Looks int
	// CannotTell says that the analysis explained that it cannot decide.
	CannotTell bool
}

// Kind is what a claim is about.
type Kind int

// The kinds of claims. A share is one of rollouts unless it says otherwise.
const (
	HarmedAtMost  Kind = iota // share that is ever judged Harmed
	HarmedAtLeast             // share that is judged Harmed, and not Safe before
	HarmedMedian              // median requests of the candidate until Harmed
	HarmedRatio               // the same, over the median of the variant "fresh"
	SafeAtMost                // share that is judged Safe, and not Harmed before
	SafeAtLeast
	SafeAtEndAtMost
	TrippedAtMost
	SplitAlarmAtMost
	NamedAtLeast      // share in which tenant 0 is named
	OthersAtMost      // share of all findings about tenants that are false
	UnrandomisedNear  // mean share of requests, within half a point
	AgreesAtLeast     // share of looks
	CannotTellAtLeast // share in which it is said that nothing can be decided
)

var kindNames = [...]string{
	"harmed <=", "harmed >=", "harmed median <=", "harmed ratio <=", "safe <=", "safe >=", "safe at end <=", "breaker <=",
	"split alarm <=", "named >=", "others named <=", "unrandomised ~", "agrees >=", "cannot tell >=",
}

func (k Kind) String() string { return kindNames[k] }

// Claim is what must hold in a world.
type Claim struct {
	Kind  Kind
	Bound float64
	// Within is the number of requests of the candidate within which a verdict counts.
	// Zero means any.
	Within int
	// Open says why the claim does not hold yet: it is measured, and not asserted.
	Open string
}

func (c Claim) String() string {
	if c.Within > 0 {
		return fmt.Sprintf("%v %g within %d", c.Kind, c.Bound, c.Within)
	}
	return fmt.Sprintf("%v %g", c.Kind, c.Bound)
}

// Check returns what was measured in results, and whether it is within the bound of c
// and three standard errors of its binomial distribution. A median holds unless too few
// rollouts are below the bound for its being the median. Fresh is the median of the
// variant "fresh", which [HarmedRatio] alone needs.
func (c Claim) Check(results []Result, fresh float64) (measured float64, ok bool) {
	n := len(results)
	if n == 0 {
		return math.NaN(), false
	}
	within := func(at int) bool { return at >= 0 && (c.Within == 0 || at <= c.Within) }
	harmed := func(r Result) bool { return within(r.Harmed) && (r.Safe < 0 || r.Harmed <= r.Safe) }
	safe := func(r Result) bool { return within(r.Safe) && (r.Harmed < 0 || r.Safe < r.Harmed) }
	switch c.Kind {
	case HarmedAtMost:
		return c.atMost(results, func(r Result) bool { return within(r.Harmed) })
	case HarmedAtLeast:
		return c.atLeast(results, harmed)
	case HarmedMedian:
		return MedianHarmed(results), c.median(results, c.Bound)
	case HarmedRatio:
		return MedianHarmed(results) / fresh, c.median(results, c.Bound*fresh)
	case SafeAtMost:
		return c.atMost(results, safe)
	case SafeAtLeast:
		return c.atLeast(results, safe)
	case SafeAtEndAtMost:
		return c.atMost(results, func(r Result) bool { return r.SafeAtEnd })
	case TrippedAtMost:
		return c.atMost(results, func(r Result) bool { return r.Tripped })
	case SplitAlarmAtMost:
		return c.atMost(results, func(r Result) bool { return r.SplitAlarm })
	case NamedAtLeast:
		return c.atLeast(results, func(r Result) bool { return r.Named && within(r.Harmed) })
	case CannotTellAtLeast:
		return c.atLeast(results, func(r Result) bool { return r.CannotTell })
	}
	var named, others, agreed, looks int
	var unrandomised float64
	for _, r := range results {
		if r.Named {
			named++
		}
		others += r.Others
		agreed += r.Agreed
		looks += r.Looks
		unrandomised += r.Unrandomised / float64(n)
	}
	switch c.Kind {
	case OthersAtMost:
		share := float64(others) / float64(max(named+others, 1))
		return share, share <= c.Bound+c.errors(max(named+others, 1))
	case UnrandomisedNear:
		return unrandomised, math.Abs(unrandomised-c.Bound) <= .005
	case AgreesAtLeast:
		share := float64(agreed) / float64(max(looks, 1))
		return share, looks > 0 && share >= c.Bound // looks of a rollout are not independent
	}
	return math.NaN(), false
}

// errors returns three standard errors of a share of n that is c.Bound.
func (c Claim) errors(n int) float64 { return 3 * math.Sqrt(c.Bound*(1-c.Bound)/float64(n)) }

func (c Claim) atMost(results []Result, is func(Result) bool) (float64, bool) {
	share := shareOf(results, is)
	return share, share <= c.Bound+c.errors(len(results))
}

func (c Claim) atLeast(results []Result, is func(Result) bool) (float64, bool) {
	share := shareOf(results, is)
	return share, share >= c.Bound-c.errors(len(results))
}

// median reports whether the median number of requests until Harmed may be at most
// bound. Of fewer than ten rollouts no outcome would contradict that, so all of them
// must be below the bound.
func (c Claim) median(results []Result, bound float64) bool {
	share := shareOf(results, func(r Result) bool { return r.Harmed >= 0 && float64(r.Harmed) <= bound })
	n := float64(len(results))
	if n < 10 {
		return share == 1
	}
	return share >= .5-1.5/math.Sqrt(n)
}

// MedianHarmed returns the median number of requests of the candidate until Harmed,
// +Inf if less than half of the rollouts came to that.
func MedianHarmed(results []Result) float64 {
	all := make([]float64, 0, len(results))
	for _, r := range results {
		if r.Harmed < 0 {
			all = append(all, math.Inf(1))
		} else {
			all = append(all, float64(r.Harmed))
		}
	}
	if len(all) == 0 {
		return math.Inf(1)
	}
	slices.Sort(all)
	return all[(len(all)-1)/2]
}

func shareOf(results []Result, is func(Result) bool) float64 {
	k := 0
	for _, r := range results {
		if is(r) {
			k++
		}
	}
	return float64(k) / float64(len(results))
}

// EndsAtSafe reports whether a rollout of w may end with the verdict Safe, as a stage
// would. Otherwise it is played to its end, or until it is judged Harmed.
func (w *World) EndsAtSafe() bool {
	return w.Change.After == 0 && !slices.ContainsFunc(w.Claims, func(c Claim) bool {
		switch c.Kind {
		case SafeAtMost, SafeAtLeast, HarmedAtLeast, HarmedMedian, HarmedRatio:
			return false
		}
		return true
	})
}
