package anomaly

import (
	"cmp"
	"fmt"
	"math"
	"math/rand/v2"
	"slices"
	"time"

	"github.com/serin-go/serin/checks"
)

// Limits are limits of detectors for a number of false alarms.
type Limits struct {
	// PerWeek is the number of false alarms a week that was asked for.
	PerWeek float64
	// Autocorrelation of the history at one step, 0 to 0.95.
	Autocorrelation     float64
	Robust, EWMA, CUSUM float64
}

const (
	minHistory = 1000
	week       = 7 * 24 * 60 // values
	mostSteps  = 2_000_000
	apart      = 15 // values without an alarm, after which another one is a new alarm
)

// Calibrate returns limits for [Tuning] with the default windows and weights, so that a series
// like the history has about perWeek false alarms a week, with a value each minute. Neighbouring
// values of a real series are similar, which the limits of textbooks do not allow for: it
// simulates a series with the autocorrelation of the history, and raises limits that the
// history itself exceeds too often. The history has at least 1,000 values, in order and without
// outages; remove the rhythm first, as [Seasonal] does. perWeek is from 0.001 to 100. It takes
// up to a few seconds. Equal input gives equal limits.
//
// Errors are [*checks.InvalidError] values.
func Calibrate(history []float64, perWeek float64) (Limits, error) {
	bad := func(field string, value any, want string) (Limits, error) {
		return Limits{}, &checks.InvalidError{Package: "anomaly", Field: field, Value: value, Want: want}
	}
	if len(history) < minHistory {
		return bad("history", fmt.Sprintf("%d values", len(history)), fmt.Sprintf("at least %d values", minHistory))
	}
	if !(perWeek >= 0.001 && perWeek <= 100) {
		return bad("perWeek", perWeek, "0.001 to 100")
	}
	for i, x := range history {
		if math.IsNaN(x) || math.IsInf(x, 0) {
			return bad(fmt.Sprintf("history[%d]", i), x, "a number")
		}
	}
	phi, ok := autocorrelation(history)
	if !ok {
		return bad("history", "constant", "values that differ")
	}
	l := Limits{PerWeek: perWeek, Autocorrelation: phi}
	l.simulate(min(mostSteps, max(40*week, int(100/perWeek*week))))
	l.raise(history)
	return l, nil
}

// autocorrelation returns the correlation of neighbouring values, from 0 to 0.95. Values far
// out count as if they were 4 standard deviations from the median.
func autocorrelation(history []float64) (phi float64, ok bool) {
	w := newWindow(len(history))
	w.ring, w.sorted = history, slices.Sorted(slices.Values(history))
	mean, sigma := w.centre(0)
	if sigma == 0 {
		return 0, false
	}
	var both, square, last float64
	for i, x := range history {
		y := min(4, max(-4, (x-mean)/sigma))
		square += y * y
		if i > 0 {
			both += y * last
		}
		last = y
	}
	return min(0.95, max(0, both/square)), true
}

// peaks are the highest scores of a detector, one for each excursion.
type peaks struct {
	all  []float64
	peak float64
	calm int
}

// least is the score, in units of the default limit, from which an excursion is noted.
const least = 0.5

func (p *peaks) add(score, limit float64) {
	if score = math.Abs(score); score > limit*least {
		p.peak, p.calm = max(p.peak, score), 0
		return
	}
	if p.calm++; p.calm == apart && p.peak > 0 {
		p.all, p.peak = append(p.all, p.peak), 0
	}
}

// limit returns the score that about n excursions exceed.
func (p *peaks) limit(n float64, otherwise float64) float64 {
	slices.SortFunc(p.all, func(a, b float64) int { return cmp.Compare(b, a) })
	i := int(n)
	if i >= len(p.all) || len(p.all) == 0 {
		return otherwise * least
	}
	if i == 0 {
		return p.all[0]
	}
	return (p.all[i-1] + p.all[i]) / 2
}

// scores runs the three detectors, without limits, over a series.
func scores(next func() (float64, bool)) (robust, average, sums peaks) {
	unlimited := Tuning{Limit: math.MaxFloat64}
	r, _ := NewRobust(unlimited) // valid
	e, _ := NewEWMA(unlimited)
	c, _ := NewCUSUM(unlimited)
	at := time.Unix(0, 0)
	for n := 0; ; n++ {
		x, more := next()
		if !more {
			return robust, average, sums
		}
		at = at.Add(time.Minute)
		a, b, d := r.Add(at, x), e.Add(at, x), c.Add(at, x)
		if n < 480 {
			continue
		}
		robust.add(a.Score, 5)
		average.add(b.Score, 4.5)
		sums.add(d.Score, 11)
	}
}

// simulate sets the limits by a series of normal values with the autocorrelation.
func (l *Limits) simulate(steps int) {
	random := rand.New(rand.NewPCG(1, 2))
	noise := math.Sqrt(1 - l.Autocorrelation*l.Autocorrelation)
	x, i := random.NormFloat64(), 0
	robust, average, sums := scores(func() (float64, bool) {
		x = l.Autocorrelation*x + noise*random.NormFloat64()
		i++
		return x, i <= steps
	})
	n := l.PerWeek * float64(steps) / week
	l.Robust, l.EWMA, l.CUSUM = robust.limit(n, 5), average.limit(n, 4.5), sums.limit(n, 11)
}

// raise raises limits that the history exceeds more than three times as often as asked.
func (l *Limits) raise(history []float64) {
	i := 0
	robust, average, sums := scores(func() (float64, bool) {
		if i == len(history) {
			return 0, false
		}
		i++
		return history[i-1], true
	})
	n := 3*l.PerWeek*float64(len(history))/week + 2
	l.Robust, l.EWMA, l.CUSUM = max(l.Robust, robust.limit(n, 0)), max(l.EWMA, average.limit(n, 0)), max(l.CUSUM, sums.limit(n, 0))
}
