package evalue

import "math"

// GroupCount is how many groups [Groups] divides the slots of a split into.
const GroupCount = 128

// Groups adds up scores of requests by groups of slots. Slots are assigned to the
// arms at random, each with a known share. So the sum of a group is centred if the
// score does not depend on the arm, even if the requests of one slot are dependent.
//
// A score y of a request adds (A-share)*y to C and sqrt(share*(1-share))*y to Q of
// its group, where A is 1 for the candidate. Both are fixed-point numbers, so sums
// do not depend on the order of addition. The zero Groups is empty. It is not safe
// for concurrent use.
type Groups struct {
	C, Q [GroupCount]int64 // in units of 2^-32
}

// unit is the resolution of scores, and grain the resolution of stored sums. Tests
// use the stored sums, so that a restart changes no result.
const (
	unit   = 1 << 32
	coarse = 24 // bits that are not stored
	grain  = unit >> coarse
)

// Group returns the group of a slot.
func Group(slot uint16) int {
	h := uint32(slot) * 0x9e3779b1
	h ^= h >> 15
	h *= 0x85ebca77
	return int(h >> 25)
}

// Fixed is a score in units of 2^-32.
type Fixed struct{ C, Q int64 }

// FixedOf returns the score y of a request under a share of the candidate. root is
// sqrt(share*(1-share)).
func FixedOf(candidate bool, share, root, y float64) Fixed {
	a := -share
	if candidate {
		a = 1 - share
	}
	return Fixed{C: round(a * y * unit), Q: round(root * y * unit)}
}

// round rounds v, which must be in the range of an int64.
func round(v float64) int64 {
	if v < 0 {
		return int64(v - .5)
	}
	return int64(v + .5)
}

// Add adds a score in a group.
func (g *Groups) Add(group int, f Fixed) {
	g.C[group] += f.C
	g.Q[group] += f.Q
}

// HalfGroups is [Groups] with half as many groups, for strata of the traffic. The zero
// HalfGroups is empty. It is not safe for concurrent use.
type HalfGroups struct {
	C, Q [GroupCount / 2]int64 // in units of 2^-32
}

// Add adds a score. group is a result of [Group].
func (g *HalfGroups) Add(group int, f Fixed) {
	g.C[group/2] += f.C
	g.Q[group/2] += f.Q
}

// Sums returns the sums of g.
func (g *HalfGroups) Sums() GroupSums { return sums(g.C[:], g.Q[:]) }

// Read converts a sum to units of 2^-8, the resolution of stored sums.
func Read(sum int64) int64 { return (sum + 1<<(coarse-1)) >> coarse }

// Raise converts a stored sum to units of 2^-32.
func Raise(stored int64) int64 { return stored << coarse }

// GroupSums is the result of [Groups.Sums].
type GroupSums struct {
	// D is the excess of the candidate. CC and QQ are the sums of squares. Clusters
	// is Kish's effective number of groups.
	D, CC, QQ, Clusters float64
}

// Sums returns the sums of g.
func (g *Groups) Sums() GroupSums { return sums(g.C[:], g.Q[:]) }

func sums(cs, qs []int64) (s GroupSums) {
	var fourth float64
	qs = qs[:len(cs)]
	for i := range cs {
		c, q := float64(Read(cs[i]))*(1./grain), float64(Read(qs[i]))*(1./grain)
		cc := c * c
		s.D += c
		s.CC += cc
		s.QQ += q * q
		fourth += cc * cc
	}
	if fourth > 0 {
		s.Clusters = s.CC * s.CC / fourth
	}
	return s
}

// MinClusters is the least number of clusters at which group sums are evidence.
const MinClusters = 12

var (
	rateThetas   = []float64{0.02, 0.05, 0.12, 0.3, 0.8}
	amountThetas = []float64{0.03, 0.1, 0.3, 0.8, 2, 4}
	proofThetas  = []float64{0.08, 0.25, 0.5, 0.9, 1.6, 3}
)

// RateHarm returns ln E for "the candidate has more events", given the excess d and
// its variance v. It is a mixture of exp(theta*d - theta^2*v/2). With v =
// (sum C^2 + 2 sum Q^2)/3, each term has a mean of at most 1 (Delyon 2009; Bercu and
// Touati 2008).
func RateHarm(d, v float64) float64 { return normalMixture(d, v, rateThetas) }

// AmountHarm is [RateHarm] for scores that are not rare events.
func AmountHarm(d, v float64) float64 { return normalMixture(d, v, amountThetas) }

// GroupProof returns ln E for "the candidate has fewer events than the margin
// allows", given the difference d to the margin and its variance v.
func GroupProof(d, v float64) float64 { return lasting(d, v, proofThetas) }

// RateProof is [GroupProof] for a rate. theta is the value that proves an equal
// candidate soonest. It must be known before the data.
func RateProof(d, v, theta float64) float64 {
	grid := [...]float64{0.45 * theta, theta, 2.2 * theta}
	return lasting(d, v, grid[:])
}

// lateThetas have a hundredth of the weight. If a difference lasts, the sums of all
// groups grow with it, and v grows with the square of d. Then the evidence of the
// larger thetas is lost again.
var (
	lateThetas  = []float64{0.04, 0.01, 0.0025, 0.0006, 0.00015}
	lateWeights = []float64{0.99, 0.01}
)

func lasting(d, v float64, thetas []float64) float64 {
	return Average([]float64{normalMixture(d, v, thetas), normalMixture(d, v, lateThetas)}, lateWeights)
}

func normalMixture(d, v float64, thetas []float64) float64 {
	top := math.Inf(-1)
	for _, t := range thetas {
		top = max(top, t*d-t*t*v/2)
	}
	var sum float64
	for _, t := range thetas {
		if x := t*d - t*t*v/2 - top; x > -30 {
			sum += math.Exp(x)
		}
	}
	return top + math.Log(sum/float64(len(thetas)))
}
