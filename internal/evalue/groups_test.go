package evalue

import (
	"math"
	"math/rand/v2"
	"testing"
)

// mixed is ln of the mean of exp(theta d - theta^2 v/2), term by term.
func mixed(d, v float64, thetas ...float64) float64 {
	sum := 0.0
	for _, t := range thetas {
		sum += math.Exp(t*d - t*t*v/2)
	}
	return math.Log(sum / float64(len(thetas)))
}

func TestNormalMixtures(t *testing.T) {
	for _, x := range [][2]float64{{0, 0}, {0, 1}, {3, 2}, {-3, 2}, {12, 40}, {150, 300}} {
		d, v := x[0], x[1]
		near(t, "rate, harm", RateHarm(d, v), mixed(d, v, .02, .05, .12, .3, .8), 1e-12)
		near(t, "amount, harm", AmountHarm(d, v), mixed(d, v, .03, .1, .3, .8, 2, 4), 1e-12)
		late := .01 * math.Exp(mixed(d, v, .04, .01, .0025, .0006, .00015))
		near(t, "proof", GroupProof(d, v), math.Log(.99*math.Exp(mixed(d, v, .08, .25, .5, .9, 1.6, 3))+late), 1e-12)
		near(t, "rate, proof", RateProof(d, v, .4), math.Log(.99*math.Exp(mixed(d, v, .18, .4, .88))+late), 1e-12)
	}
	// Where exp overflows or is nothing, the logarithm is neither.
	near(t, "much", RateHarm(1e6, 1e6), .8*1e6-.32e6-math.Log(5), 1e-9*1e6)
	if got := GroupProof(-1e9, 1e9); !(got < -1e5) || math.IsInf(got, 0) || math.IsNaN(got) {
		t.Errorf("nothing: %v", got)
	}
}

// A difference that lasts is in the sums of all groups, so that their variance grows with
// its square. What it has proven stays proven.
func TestProofsLast(t *testing.T) {
	for n := 2e3; n < 1e7; n *= 1.5 {
		d := .2 * n
		v := d * d / GroupCount / 3
		if a, b := GroupProof(d, v), RateProof(d, v, .75); a < 20 || b < 20 {
			t.Errorf("after %.0f requests: ln E %v and %v", n, a, b)
		}
	}
}

// A score counts with the label less the share, so that its mean is 0 whatever it is;
// sums are of whole units, in which order does not matter.
func TestGroupsAdd(t *testing.T) {
	type score struct {
		slot      uint16
		candidate bool
		share, y  float64
	}
	rng := rand.New(rand.NewPCG(1, 1))
	var scores []score
	for range 5000 {
		scores = append(scores, score{uint16(rng.IntN(1 << 14)), rng.IntN(3) == 0, .05 + .9*rng.Float64(), 2*rng.Float64() - 1})
	}
	add := func() *Groups {
		var g Groups
		for _, s := range scores {
			g.Add(Group(s.slot), FixedOf(s.candidate, s.share, math.Sqrt(s.share*(1-s.share)), s.y))
		}
		return &g
	}
	g := add()
	var c, q [GroupCount]float64
	for _, s := range scores {
		a := 0.0
		if s.candidate {
			a = 1
		}
		c[Group(s.slot)] += (a - s.share) * s.y
		q[Group(s.slot)] += math.Sqrt(s.share*(1-s.share)) * s.y
	}
	var d, cc, qq, fourth float64
	for i := range c {
		d += c[i]
		cc += c[i] * c[i]
		qq += q[i] * q[i]
		fourth += math.Pow(c[i], 4)
	}
	// Each group is read to within half of 2^-8.
	s := g.Sums()
	near(t, "D", s.D, d, GroupCount/2048.)
	near(t, "sum of C^2", s.CC, cc, .01*cc)
	near(t, "sum of Q^2", s.QQ, qq, .01*qq)
	near(t, "clusters", s.Clusters, cc*cc/fourth, .02*cc*cc/fourth)
	rng.Shuffle(len(scores), func(i, j int) { scores[i], scores[j] = scores[j], scores[i] })
	if *add() != *g {
		t.Error("the order of the scores matters")
	}
	for i := range g.C {
		if Read(Raise(Read(g.C[i]))) != Read(g.C[i]) {
			t.Errorf("group %d: %d is stored as another number", i, g.C[i])
		}
	}
	if s := new(Groups).Sums(); s != (GroupSums{}) {
		t.Errorf("nothing adds up to %+v", s)
	}
	var one Groups
	one.Add(3, FixedOf(true, .5, .5, 4))
	if s := one.Sums(); s.D != 2 || s.CC != 4 || s.QQ != 4 || s.Clusters != 1 {
		t.Errorf("one score adds up to %+v", s)
	}
}

// Slots are spread evenly over the groups, the slots of a split's table too.
func TestGroupIsEven(t *testing.T) {
	for _, n := range []int{1000, 10_000, 1 << 14} {
		var counts [GroupCount]int
		for slot := range n {
			counts[Group(uint16(slot))]++
		}
		mean := float64(n) / GroupCount
		for g, c := range counts {
			if math.Abs(float64(c)-mean) > 6*math.Sqrt(mean) {
				t.Errorf("of %d slots, group %d has %d, where %.0f are meant", n, g, c, mean)
			}
		}
	}
}

// clustered plays requests of slots that share a fate, assigned at random, and calls look
// after each twentieth part.
func clustered(rng *rand.Rand, slots, requests int, share float64, look func(g *Groups)) {
	fate, label := make([]float64, slots), make([]bool, slots)
	for i := range fate {
		fate[i] = .02
		if rng.IntN(20) == 0 {
			fate[i] = .3
		}
		label[i] = rng.Float64() < share
	}
	var g Groups
	mean := .034
	for i := range requests {
		s := rng.IntN(slots)
		y := -mean
		if rng.Float64() < fate[s] {
			y++
		}
		g.Add(Group(uint16(s)), FixedOf(label[s], share, math.Sqrt(share*(1-share)), y))
		if i%(requests/20) == requests/20-1 {
			look(&g)
		}
	}
}

// Of arms that are equal the sums by group are evidence of harm no more often than
// promised, whatever the requests of a slot have in common, and have a mean of at most 1
// at each look.
func TestGroupsAreValid(t *testing.T) {
	n := 5 * *runs
	for _, share := range []float64{.5, .1} {
		for _, slots := range []int{400, 2000} {
			harmed, sum := 0, 0.0
			for seed := range n {
				peak, last := 0.0, 0.0
				clustered(rand.New(rand.NewPCG(uint64(seed), 7)), slots, 6000, share, func(g *Groups) {
					s := g.Sums()
					if s.Clusters < MinClusters {
						return
					}
					last = RateHarm(s.D, (s.CC+2*s.QQ)/3)
					peak = max(peak, last)
				})
				if peak >= math.Log(1/alpha) {
					harmed++
				}
				sum += math.Exp(min(last, math.Log(1/alpha)))
			}
			rate, mean := float64(harmed)/float64(n), sum/float64(n)
			t.Logf("%d slots, share %v: reached in %.4f, mean at the end %.2f", slots, share, rate, mean)
			if limit := alpha + 3*math.Sqrt(alpha*(1-alpha)/float64(n)); rate > limit {
				t.Errorf("%d slots, share %v: reached in %.4f, want at most %.4f", slots, share, rate, limit)
			}
			if mean > 1 {
				t.Errorf("%d slots, share %v: the e-value up to its limit has a mean of %.2f, want at most 1", slots, share, mean)
			}
		}
	}
}

// With symmetric scores each term has a mean of at most 1 (de la Peña): exp(theta D -
// theta^2 sum C^2/2), of which V is the smaller part and its mean the rest.
func TestMixtureHasMeanAtMostOne(t *testing.T) {
	rng := rand.New(rand.NewPCG(3, 3))
	n := 200 * *runs
	var harm, amount, group, rate float64
	for range n {
		var d, cc float64
		for range 60 {
			c := (1 + rng.Float64()) * float64(2*rng.IntN(2)-1) / 8
			d += c
			cc += c * c
		}
		v := cc // of which the expectation is the same: the sizes do not depend on the sign
		harm += math.Exp(RateHarm(d, v)) / float64(n)
		amount += math.Exp(AmountHarm(d, v)) / float64(n)
		group += math.Exp(GroupProof(d, v)) / float64(n)
		rate += math.Exp(RateProof(d, v, .5)) / float64(n)
	}
	for name, mean := range map[string]float64{"RateHarm": harm, "AmountHarm": amount, "GroupProof": group, "RateProof": rate} {
		t.Logf("%-10s mean %.4f", name, mean)
		if mean > 1.1 || mean < .2 {
			t.Errorf("%s has a mean of %v, want about 1 and no more", name, mean)
		}
	}
}
