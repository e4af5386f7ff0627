package evalue

import (
	"fmt"
	"math"
	"slices"
	"testing"

	"github.com/google/go-cmp/cmp"
)

// Tests named by row hold reference values that other implementations of the
// same formulas give: confseq (rows 37 to 47), GrowthBook (53 to 71), scipy and
// statsmodels (81), river (89 and 91), and Python code written for this (105 to
// 109).

func TestRow37NormalMixture(t *testing.T) {
	// A sum of 10 whose increments have a variance of 100 in total.
	near(t, "two-sided", AsymptoticLogE(100, 0.1, 1, 0.05, 100, false), -0.6510052, 1e-6)

	near(t, "one-sided", AsymptoticLogE(100, 0.1, 1, 0.05, 100, true), -0.06502391, 1e-6)
}

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

func TestPredictablePlugIn(t *testing.T) {
	type at struct {
		n         int
		low, high float64
	}
	for _, tt := range []struct {
		values []float64
		want   []at
	}{
		{[]float64{0, 1}, []at{{10, 0, 1}, {50, .243373, .762622}, {100, .323014, .678869}}},
		{[]float64{.8, 1, .6, 1, .2}, []at{{50, .530272, .905093}, {100, .607410, .830777}}},
	} {
		var b Bounded
		for i := range 100 {
			b.Add(tt.values[i%len(tt.values)], 0.05)
			for _, w := range tt.want {
				if i+1 == w.n {
					low, high := b.Interval(0.05)
					near(t, fmt.Sprintf("%v, %d, low", tt.values, w.n), low, w.low, 1e-6)
					near(t, fmt.Sprintf("%v, %d, high", tt.values, w.n), high, w.high, 1e-6)
				}
			}
		}
	}
}

// fromSums returns the state of n values of y by their sum and that of their
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
	d, v := Difference(a, growthB)
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
	d, v := RelativeDifference(growthA, growthB)
	near(t, "difference", d, .50336, 1e-5)
	near(t, "standard error", math.Sqrt(v), .33341, 1e-5)
	n := float64(growthA.N + growthB.N)
	h := AsymptoticHalfWidth(n, n*v, 0.05, 1000, false)
	near(t, "low", d-h, -.55844, 1e-5)
	near(t, "high", d+h, 1.56516, 1e-5)
	p := min(1, math.Exp(-AsymptoticLogE(n, d, n*v, 0.05, 1000, false)))
	near(t, "p", p, 1, 0)
}

// withCovariate is a with the sum of x, that of its squares and that of xy.
func withCovariate(a Regression, x, xx, xy float64) Regression {
	n := float64(a.N)
	a.X, a.XX, a.XY = x/n, xx-x*x/n, xy-x*a.Y
	return a
}

func TestRow57SequentialCUPED(t *testing.T) {
	a, b := withCovariate(growthA, 16.87, 527.9767, 1), withCovariate(growthB, 22.7, 1348.29, 1)
	d, v := RelativeDifference(a, b)
	near(t, "difference", d, .50338, 5e-6)
	n := float64(a.N + b.N)
	h := AsymptoticHalfWidth(n, n*v, 0.05, 5000, false)
	near(t, "low", d-h, -.50969, 5e-6)
	near(t, "high", d+h, 1.51646, 5e-6)
}

func TestRow59SequentialOneSided(t *testing.T) {
	n := float64(growthA.N + growthB.N)
	d, v := RelativeDifference(growthA, growthB)
	near(t, "relative", d-AsymptoticHalfWidth(n, n*v, 0.05, 5000, true), -.423564546028, 1e-9)
	d, v = Difference(growthA, growthB)
	near(t, "absolute", d-AsymptoticHalfWidth(n, n*v, 0.05, 5000, true), -.126568441728, 1e-9)
}

func TestRow61Tuning(t *testing.T) {
	n := float64(growthA.N + growthB.N)
	d, v := Difference(growthA, growthB)
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
			near(t, fmt.Sprintf("quantile of %v, %v", p, df), chiSquaredTail(chiSquaredQuantile(p, df), df), 1-p, 1e-10)
		}
	}
	near(t, "one degree", chiSquaredTail(1.959963984540054*1.959963984540054, 1), 0.05, 1e-14)
	near(t, "two degrees", chiSquaredTail(7, 2), math.Exp(-3.5), 1e-15)
}

// mismatch returns the p-value of the chi-squared test of a split, which is
// right for one look only: an oracle for [DirichletLogE].
func mismatch(counts []int, weights []float64) float64 {
	var n, sum, x float64
	for i, c := range counts {
		n, sum = n+float64(c), sum+weights[i]
	}
	for i, c := range counts {
		e := n * weights[i] / sum
		x += (float64(c) - e) * (float64(c) - e) / e
	}
	return chiSquaredTail(x, float64(len(counts)-1))
}

// The sequential test and the classic one agree on what is clear: where either
// is certain, the other is at least suspicious.
func TestSplitAgainstChiSquared(t *testing.T) {
	for _, n := range []int{1000, 10_000, 100_000} {
		for _, off := range []float64{0, 0.002, 0.01, 0.05, 0.2} {
			counts := []int{int(float64(n) * (0.9 - off)), int(float64(n) * (0.1 + off))}
			weights := []float64{0.9, 0.1}
			logE, p := DirichletLogE(counts, weights, 0), mismatch(counts, weights)
			if logE > math.Log(100) && p > 0.01 || p < 1e-7 && logE < math.Log(100) {
				t.Errorf("%v: ln E = %v, chi-squared p = %v", counts, logE, p)
			}
		}
	}
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
	d, v := Difference(b, a)
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

func TestRow89And91PageHinkley(t *testing.T) {
	// random.Random(12345).choices([0, 1], k=1000) + choices(range(4, 8), k=1000)
	mt := newTwister(12345)
	var stream []float64
	for range 1000 {
		stream = append(stream, math.Floor(2*mt.float()))
	}
	for range 1000 {
		stream = append(stream, 4+math.Floor(4*mt.float()))
	}
	steps := append(make([]float64, 100), slices.Repeat([]float64{1}, 900)...)
	for _, tt := range []struct {
		name      string
		stream    []float64
		index     int
		sum       float64
		tolerance float64
	}{
		{"row 89", stream, 1006, 50.80334686, 5e-9},
		{"row 91", steps, 166, 50.56574, 5e-6},
	} {
		var p PageHinkley
		at := slices.IndexFunc(tt.stream, p.Add)
		if at != tt.index {
			t.Errorf("%s: change at %d, want %d", tt.name, at, tt.index)
		}
		near(t, tt.name, p.Sum, tt.sum, tt.tolerance)
		p.Add(1)
		if p.N != 1 {
			t.Errorf("%s: after a change the test has %d values, want 1", tt.name, p.N)
		}
	}
}

// twister is the Mersenne Twister MT19937 as Python seeds and reads it
// (Matsumoto and Nishimura, init_by_array with one key; 53 bits a number).
type twister struct {
	state [624]uint32
	next  int
}

func newTwister(key uint32) *twister {
	m := new(twister)
	m.state[0] = 19650218
	for i := uint32(1); i < 624; i++ {
		m.state[i] = 1812433253*(m.state[i-1]^m.state[i-1]>>30) + i
	}
	i := 1
	wrap := func() {
		if i++; i == 624 {
			m.state[0], i = m.state[623], 1
		}
	}
	for range 624 {
		m.state[i] = (m.state[i] ^ (m.state[i-1]^m.state[i-1]>>30)*1664525) + key
		wrap()
	}
	for range 623 {
		m.state[i] = (m.state[i] ^ (m.state[i-1]^m.state[i-1]>>30)*1566083941) - uint32(i)
		wrap()
	}
	m.state[0] = 1 << 31
	m.next = 624
	return m
}

func (m *twister) uint32() uint32 {
	if m.next == 624 {
		for i := range m.state {
			y := m.state[i]&(1<<31) | m.state[(i+1)%624]&(1<<31-1)
			m.state[i] = m.state[(i+397)%624] ^ y>>1 ^ (y&1)*0x9908b0df
		}
		m.next = 0
	}
	y := m.state[m.next]
	m.next++
	y ^= y >> 11
	y ^= y << 7 & 0x9d2c5680
	y ^= y << 15 & 0xefc60000
	return y ^ y>>18
}

func (m *twister) float() float64 {
	a, b := m.uint32()>>5, m.uint32()>>6
	return (float64(a)*(1<<26) + float64(b)) / (1 << 53)
}

func TestRow105MixtureSPRT(t *testing.T) {
	for _, tt := range []struct{ x, y, n, tau2, want float64 }{
		{.01, .02, 2000, 1e-4, 6.878113},
		{.1, .12, 5000, 1e-4, 20.916014},
		{.5, .55, 1000, .01, 2.384140},
	} {
		v := tt.x*(1-tt.x) + tt.y*(1-tt.y)
		d := tt.y - tt.x
		lambda := math.Sqrt(v/(v+tt.n*tt.tau2)) * math.Exp(tt.n*tt.n*tt.tau2*d*d/(2*v*(v+tt.n*tt.tau2)))
		near(t, "mSPRT", lambda, tt.want, 5e-7)
		// It is our asymptotic test with ρ² = τ²/V: choose N* to make it so.
		l := -2 * math.Log(0.05)
		nStar := (l + math.Log1p(l)) * v / tt.tau2
		near(t, "AsymptoticLogE", AsymptoticLogE(tt.n, d, v, 0.05, nStar, false), math.Log(tt.want), 1e-6)
	}
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
