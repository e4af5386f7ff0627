package evalue

import (
	"fmt"
	"math"
	"slices"
	"testing"

	"github.com/google/go-cmp/cmp"
)

// Tests named by row hold reference values that other implementations of the
// same formulas give: confseq (rows 41 to 49), GrowthBook (53 to 71), scipy and
// statsmodels (81), and Python code written for this (109).

func TestRow41BetaBinomial(t *testing.T) {
	near(t, "log", betaBinomialLogE(10, 100, 0.2, 0.8, 100, 0.05), -0.6941012, 1e-6)
	// The bound is the sum at which E is 1/alpha.
	lo, hi := 0.0, 100.0
	for range 60 {
		if mid := (lo + hi) / 2; betaBinomialLogE(mid, 100, 0.2, 0.8, 100, 0.05) < math.Log(20) {
			lo = mid
		} else {
			hi = mid
		}
	}
	near(t, "bound", lo, 31.4308, 1e-4)
}

func TestRow47And49RateInterval(t *testing.T) {
	for _, tt := range []struct {
		events, n int
		opt       float64
		low, high float64
	}{
		{700, 1000, 100, 0.651629, 0.745949},
		{1, 2, 50, 0, 1},
		{0, 1, 50, 0, 1},
		{1, 1, 50, 0, 1},
	} {
		low, high := RateInterval(tt.events, tt.n, 0.05, tt.opt)
		name := fmt.Sprintf("%d of %d", tt.events, tt.n)
		near(t, name+", low", low, tt.low, 1e-5)
		near(t, name+", high", high, tt.high, 1e-5)
	}
}

// fromSums returns the state of n values of y, given their sum and the sum of their
// squares.
func fromSums(n int, sum, squares float64) Regression {
	return Regression{N: n, Y: sum / float64(n), YY: squares - sum*sum/float64(n)}
}

var (
	growthA = fromSums(3000, 1396.87, 52377.9767)
	growthB = fromSums(3461, 2422.7, 134698.29)
)

func TestRow53Welch(t *testing.T) {
	a := fromSums(3407, 1396.87, 52377.9767)
	d, v := difference(a, growthB)
	se := math.Sqrt(v)
	near(t, "difference", d, .29, 5e-6)
	near(t, "standard error", se, .12478, 5e-6)
	df := welch(a, growthB)
	near(t, "p", 2*studentTail(d/se, df), .02016, 5e-6)
	// The ends of the interval are where the tail is 2.5 %.
	near(t, "low", studentTail((d-.04538)/se, df), 0.025, 1e-5)
	near(t, "high", studentTail((.53462-d)/se, df), 0.025, 1e-5)
}

func TestRow55SequentialRelative(t *testing.T) {
	d, v := relativeDifference(growthA, growthB)
	near(t, "difference", d, .50336, 1e-5)
	near(t, "standard error", math.Sqrt(v), .33341, 1e-5)
	n := float64(growthA.N + growthB.N)
	h := AsymptoticHalfWidth(n, n*v, 0.05, 1000, false)
	near(t, "low", d-h, -.55844, 1e-5)
	near(t, "high", d+h, 1.56516, 1e-5)
}

// withCovariate adds the sums of x, x² and xy to a.
func withCovariate(a Regression, x, xx, xy float64) Regression {
	n := float64(a.N)
	a.X, a.XX, a.XY = x/n, xx-x*x/n, xy-x*a.Y
	return a
}

func TestRow57SequentialCUPED(t *testing.T) {
	a, b := withCovariate(growthA, 16.87, 527.9767, 1), withCovariate(growthB, 22.7, 1348.29, 1)
	d, v := relativeDifference(a, b)
	near(t, "difference", d, .50338, 5e-6)
	n := float64(a.N + b.N)
	h := AsymptoticHalfWidth(n, n*v, 0.05, 5000, false)
	near(t, "low", d-h, -.50969, 5e-6)
	near(t, "high", d+h, 1.51646, 5e-6)
}

func TestRow59SequentialOneSided(t *testing.T) {
	n := float64(growthA.N + growthB.N)
	d, v := relativeDifference(growthA, growthB)
	near(t, "relative", d-AsymptoticHalfWidth(n, n*v, 0.05, 5000, true), -.423564546028, 1e-9)
	d, v = difference(growthA, growthB)
	near(t, "absolute", d-AsymptoticHalfWidth(n, n*v, 0.05, 5000, true), -.126568441728, 1e-9)
}

func TestRow61Tuning(t *testing.T) {
	n := float64(growthA.N + growthB.N)
	d, v := difference(growthA, growthB)
	for _, tt := range []struct{ nStar, low, high float64 }{
		{10, -.26063, .72939}, {1000, -.17909, .64784}, {5000, -.16012, .62887}, {6461, -.15969, .62844}, {10000, -.16211, .63087},
	} {
		h := AsymptoticHalfWidth(n, n*v, 0.05, tt.nStar, false)
		near(t, fmt.Sprintf("low at %v", tt.nStar), d-h, tt.low, 6e-6)
		near(t, fmt.Sprintf("high at %v", tt.nStar), d+h, tt.high, 6e-6)
	}
}

func TestRow67And69ChiSquared(t *testing.T) {
	for _, tt := range []struct {
		counts  []int
		weights []float64
		want    float64
	}{
		{[]int{1000, 1200}, []float64{1, 1}, 0.000020079},
		{[]int{0, 10, 10}, []float64{.34, .33, .33}, 0.005790624},
		{[]int{500, 500, 600}, []float64{.34, .33, .33}, 0.000592638},
	} {
		near(t, fmt.Sprint(tt.counts), mismatch(tt.counts, tt.weights), tt.want, 5e-10)
	}
	for _, df := range []float64{1, 2, 3, 9, 50, 400} {
		for _, p := range []float64{0.001, 0.05, 0.5, 0.95, 0.99, 0.9999} {
			near(t, fmt.Sprintf("quantile of %v, %v", p, df), ChiSquaredTail(chiSquaredQuantile(p, df), df), 1-p, 1e-10)
		}
	}
	near(t, "one degree", ChiSquaredTail(1.959963984540054*1.959963984540054, 1), 0.05, 1e-14)
	near(t, "two degrees", ChiSquaredTail(7, 2), math.Exp(-3.5), 1e-15)
}

// mismatch returns the p-value of the chi-squared test of a split, which is
// right for one look only.
func mismatch(counts []int, weights []float64) float64 {
	var n, sum, x float64
	for i, c := range counts {
		n, sum = n+float64(c), sum+weights[i]
	}
	for i, c := range counts {
		e := n * weights[i] / sum
		x += (float64(c) - e) * (float64(c) - e) / e
	}
	return ChiSquaredTail(x, float64(len(counts)-1))
}

func TestRow71Holm(t *testing.T) {
	// Holm's adjustment is the oracle: on e-values 1/p, e-BH rejects no more,
	// since p = 1/E is the worst that an e-value can be.
	p := []float64{.01, .04, .03, .005, .55, .6}
	order := []int{3, 0, 2, 1, 4, 5}
	var got []float64
	for _, a := range holm(p) {
		got = append(got, math.Round(a*1e12)/1e12)
	}
	var byP []float64
	for _, i := range order {
		byP = append(byP, got[i])
	}
	if diff := cmp.Diff([]float64{.03, .05, .12, .12, 1, 1}, byP); diff != "" {
		t.Errorf("adjusted (-want +got):\n%s", diff)
	}
	e := make([]float64, len(p))
	for i := range p {
		e[i] = 1 / p[i]
	}
	for i, reject := range EBH(e, 0.05) {
		if reject && got[i] > 0.05 {
			t.Errorf("p = %v was rejected", p[i])
		}
	}
}

func holm(p []float64) []float64 {
	order := make([]int, len(p))
	for i := range order {
		order[i] = i
	}
	slices.SortFunc(order, func(a, b int) int {
		if p[a] < p[b] {
			return -1
		}
		return 1
	})
	adjusted, top := make([]float64, len(p)), 0.0
	for k, i := range order {
		top = max(top, min(1, float64(len(p)-k)*p[i]))
		adjusted[i] = top
	}
	return adjusted
}

func TestRow81Welch(t *testing.T) {
	var a, b Regression
	for i := 1; i <= 5; i++ {
		a.Add(0, float64(i))
		b.Add(0, float64(2*i))
	}
	d, v := difference(b, a)
	near(t, "t", d/math.Sqrt(v), -1.8973666, 5e-8)
	near(t, "p", 2*studentTail(-d/math.Sqrt(v), welch(a, b)), .1075311949, 5e-11)
}

// welch returns the Welch-Satterthwaite degrees of freedom.
func welch(a, b Regression) float64 {
	part := func(r Regression) (v, w float64) {
		v = r.YY / float64(r.N-1) / float64(r.N)
		return v, v * v / float64(r.N-1)
	}
	va, wa := part(a)
	vb, wb := part(b)
	return (va + vb) * (va + vb) / (wa + wb)
}

// studentTail returns the probability that Student's t with df degrees of
// freedom exceeds x >= 0, by Simpson's rule.
func studentTail(x, df float64) float64 {
	c := math.Exp(logGamma((df+1)/2)-logGamma(df/2)) / math.Sqrt(df*math.Pi)
	density := func(u float64) float64 { return c * math.Pow(1+u*u/df, -(df+1)/2) }
	const steps = 20000
	sum, h := density(0)+density(x), x/steps
	for i := 1; i < steps; i++ {
		sum += float64(2+2*(i%2)) * density(float64(i)*h)
	}
	return 0.5 - sum*h/3
}

func TestRow109PSI(t *testing.T) {
	index, _ := PSI([]int{10, 20, 30, 40}, []int{12, 22, 28, 38}, 0.01)
	near(t, "PSI", index, .00795836, 5e-9)
	index, limit := PSI([]int{10, 20, 30, 40}, []int{25, 25, 25, 25}, 0.01)
	near(t, "PSI", index, .22821741, 5e-9)
	near(t, "limit", limit, 0.02*11.344866730144373, 1e-9)
}

// fixedSample returns how many values of each arm a classic test with one look
// needs, with variance a of one arm and b of the other, to find a difference
// with the power given: what always looking is compared with.
func fixedSample(a, b, difference, alpha, power float64) float64 {
	quantile := func(p float64) float64 { return math.Sqrt2 * math.Erfinv(2*p-1) }
	z := quantile(1-alpha) + quantile(power)
	return z * z * (a + b) / (difference * difference)
}

func TestRow83And87FixedSample(t *testing.T) {
	n := fixedSample(100, 100, 0.3, 0.025, 0.85)
	near(t, "row 83: two arms", 2*n, 39_906, 0.005*39_906)
	near(t, "row 87: three arms, each with each", n, 19_953, 0.005*19_953)
	near(t, "row 87: the control of two", n*3/2, 29_929, 0.005*29_929)
	// The rates of TestDetection, whose sequential test may look at any time and
	// needs at the median no more than a third more.
	rate := func(p float64) float64 { return p * (1 - p) }
	near(t, "1 -> 2 %", fixedSample(rate(0.01), rate(0.02), 0.01, 0.05, 0.8), 1824, 0.5)
	near(t, "1 -> 5 %", fixedSample(rate(0.01), rate(0.05), 0.04, 0.05, 0.8), 222, 0.5)
}
