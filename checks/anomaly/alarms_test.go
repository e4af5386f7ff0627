package anomaly

import (
	"encoding/json"
	"math"
	"math/rand/v2"
	"slices"
	"testing"
	"time"

	"github.com/serin-go/serin/checks"
)

// runLength returns the mean number of independent values before an alarm, from n series.
func runLength(n int, limit float64, make func(limit float64) Detector) float64 {
	random := rand.New(rand.NewPCG(11, uint64(limit*10)))
	total := 0
	for range n {
		d, at := make(limit), monday
		for {
			total++
			at = at.Add(time.Minute)
			if d.Add(at, random.NormFloat64()).State == checks.Fail {
				break
			}
		}
	}
	return float64(total) / float64(n)
}

// shiftFound returns the median number of values until a shift is found.
func shiftFound(n int, limit, shift float64, make func(limit float64) Detector) int {
	random := rand.New(rand.NewPCG(12, uint64(limit*10)))
	var all []int
	for range n {
		d, at := make(limit), monday
		found := 0
		for i := 1; found == 0; i++ {
			at = at.Add(time.Minute)
			x := random.NormFloat64()
			if i > 100 {
				x += shift
			}
			if r := d.Add(at, x); r.State == checks.Fail && i > 100 {
				found = i - 100
			}
		}
		all = append(all, found)
	}
	slices.Sort(all)
	return all[len(all)/2]
}

// TestRunLengths prints the table of run lengths. EWMA is compared with Lucas and Saccucci
// (1990), CUSUM with the approximation of Siegmund (1985).
func TestRunLengths(t *testing.T) {
	ewma := func(limit float64) Detector { return must(NewEWMA(Tuning{Sigma: 1, Limit: limit})) }
	cusum := func(limit float64) Detector { return must(NewCUSUM(Tuning{Sigma: 1, Limit: limit})) }
	robust := func(limit float64) Detector { return must(NewRobust(Tuning{Limit: limit, Min: 60})) }
	t.Logf("%-8s %6s %12s %6s %6s", "", "limit", "in control", "2σ", "1σ")
	for _, tt := range []struct {
		name     string
		limit    float64
		make     func(float64) Detector
		length   float64 // 0 is too long for a test
		two, one int
	}{
		{"EWMA", 3, ewma, 562, 3, 8}, {"EWMA", 4, ewma, 19_200, 5, 20}, {"EWMA", 4.5, ewma, 0, 6, 35}, {"EWMA", 4.8, ewma, 0, 7, 53},
		{"CUSUM", 5, cusum, 469, 4, 9}, {"CUSUM", 8, cusum, 9_564, 6, 15}, {"CUSUM", 10, cusum, 0, 7, 19}, {"CUSUM", 11, cusum, 0, 8, 21},
		{"Robust", 3.5, robust, 487, 0, 0}, {"Robust", 4.5, robust, 5_700, 0, 0},
	} {
		length, two, one := 0., 0, 0
		if tt.length > 0 {
			n := 1000
			if race || testing.Short() {
				n = 100
			}
			if tt.name == "CUSUM" {
				n *= 3
			}
			if length = runLength(n, tt.limit, tt.make); tt.name == "Robust" {
				length -= 60 // until it begins
			}
			if by := 0.10; n >= 1000 && math.Abs(length-tt.length) > by*tt.length {
				t.Errorf("%s %v runs for %.0f, want %.0f", tt.name, tt.limit, length, tt.length)
			}
		}
		if tt.two > 0 {
			two, one = shiftFound(1001, tt.limit, 2, tt.make), shiftFound(301, tt.limit, 1, tt.make)
			if abs(two-tt.two) > 1 || math.Abs(float64(one-tt.one)) > max(1, 0.15*float64(tt.one)) {
				t.Errorf("%s %v finds shifts after %d and %d, want %d and %d", tt.name, tt.limit, two, one, tt.two, tt.one)
			}
		}
		t.Logf("%-8s %6.1f %12.0f %6d %6d", tt.name, tt.limit, length, two, one)
	}
}

func abs(n int) int { return max(n, -n) }

// correlated returns a series with a mean of 0, a standard deviation of 1 and a correlation of
// phi between neighbours.
func correlated(random *rand.Rand, phi float64) func() float64 {
	x := random.NormFloat64()
	return func() float64 {
		x = phi*x + math.Sqrt(1-phi*phi)*random.NormFloat64()
		return x
	}
}

// weeks counts alarms; those within 15 values are one.
func countAlarms(d Detector, values int, next func() float64) (n int) {
	at, calm := monday, apart
	for range values {
		at = at.Add(time.Minute)
		if d.Add(at, next()).State == checks.Fail {
			if calm >= apart {
				n++
			}
			calm = 0
		} else {
			calm++
		}
	}
	return n
}

// TestCalibrate: limits from a week of a dependent series give the rate that was asked for.
func TestCalibrate(t *testing.T) {
	const perWeek = 2
	next := correlated(rand.New(rand.NewPCG(21, 1)), 0.6)
	history := make([]float64, week)
	for i := range history {
		history[i] = 100 + 5*next()
	}
	l, err := Calibrate(history, perWeek)
	if err != nil {
		t.Fatal(err)
	}
	weeks := 100
	if race || testing.Short() {
		weeks = 20
	}
	for name, d := range map[string]Detector{
		"Robust": must(NewRobust(Tuning{Limit: l.Robust})), "EWMA": must(NewEWMA(Tuning{Limit: l.EWMA})), "CUSUM": must(NewCUSUM(Tuning{Limit: l.CUSUM})),
	} {
		other := correlated(rand.New(rand.NewPCG(22, 2)), 0.6)
		rate := float64(countAlarms(d, weeks*week, func() float64 { return 100 + 5*other() })) / float64(weeks)
		t.Logf("%s: %.2f false alarms a week, asked %v (%+v)", name, rate, perWeek, l)
		if rate > 2*perWeek || rate < perWeek/2. {
			t.Errorf("%s: %.2f false alarms a week, asked %v", name, rate, perWeek)
		}
	}
	if math.Abs(l.Autocorrelation-0.6) > 0.03 {
		t.Errorf("autocorrelation %v", l.Autocorrelation)
	}
	for _, bad := range [][]float64{nil, make([]float64, 2000), append(slices.Clone(history), math.NaN())} {
		if _, err := Calibrate(bad, 1); err == nil {
			t.Errorf("calibrated by %d values", len(bad))
		}
	}
	if _, err := Calibrate(history, math.NaN()); err == nil {
		t.Error("calibrated for NaN alarms")
	}
}

// series is one of a realistic service.
type series struct {
	name  string
	daily float64 // amplitude of the daily rhythm, in standard deviations of the noise
	phi   float64
	tail  bool // now and then a value is far out, as of a p95
}

func (s series) value(at time.Time, noise float64, random *rand.Rand) float64 {
	day := math.Sin(2 * math.Pi * (float64(at.Hour()*60+at.Minute())/1440 - 0.3))
	// At weekends the rhythm is weaker. It changes over 12 hours.
	hours := float64(at.Weekday())*24 + float64(at.Hour()*60+at.Minute())/60 // since Sunday, 0:00
	weekend := 1/(1+math.Exp((24-hours)/-2)) + 1/(1+math.Exp((144-hours)/2)) + 1/(1+math.Exp((192-hours)/2))
	x := 100 + s.daily*day*(1-0.4*min(1, weekend))
	if s.tail && random.IntN(200) == 0 {
		noise *= 2
	}
	// A deploy each working day at 14:00 disturbs for two minutes.
	if at.Hour() == 14 && at.Minute() < 2 && at.Weekday() != time.Saturday && at.Weekday() != time.Sunday {
		noise += 1
	}
	return x + noise
}

// TestFalseAlarms prints the table of false alarms: 20 series of a service over four weeks, after
// four weeks of history that the detectors have seen.
func TestFalseAlarms(t *testing.T) {
	if race || testing.Short() {
		t.Skip("takes half a minute")
	}
	var all []series
	for i, name := range []string{"requests", "errors", "refusals", "TTFT p50", "TTFT p95", "ITL", "output length", "cost", "fallback rate", "drift of languages",
		"drift of lengths", "queue", "in flight", "feedback rate", "denied rights", "requests of the candidate", "errors of the candidate", "TTFT p95 of the candidate", "cost of the candidate", "queue of the candidate"} {
		all = append(all, series{name: name, daily: []float64{20, 0, 2, 8}[i%4], phi: []float64{0, 0.1, 0.15}[i%3], tail: i%5 == 4})
	}
	const history = 4 * week
	total := 0
	var every []int // looks until a shift was found
	t.Logf("%-28s %6s %5s %6s %6s %6s", "series", "rhythm", "auto", "limit", "false", "2σ in")
	for i, s := range all {
		random := rand.New(rand.NewPCG(31, uint64(i)))
		next := correlated(random, s.phi)
		// What is left of the history without its rhythm calibrates the detector.
		learn := NewSeasonal(nil, nil)
		var left []float64
		at := monday
		step := func(d Detector, shift float64) Reading {
			at = at.Add(time.Minute)
			return d.Add(at, s.value(at, next()+shift, random))
		}
		for range history + week {
			if r := step(learn, 0); r.State != checks.Unknown && r.N >= 480 {
				left = append(left, r.Value-r.Expected)
			}
		}
		l, err := Calibrate(left, 1/30.)
		if err != nil {
			t.Fatal(err)
		}
		d := NewSeasonal(nil, must(NewEWMA(Tuning{Limit: l.EWMA, PerWeek: l.PerWeek})))
		d.slots, d.level = learn.slots, learn.level
		alarms, calm := 0, apart
		for range 4 * week {
			if r := step(d, 0); r.State == checks.Fail {
				if calm >= apart {
					alarms++
				}
				calm = 0
			} else {
				calm++
			}
		}
		state, err := json.Marshal(d)
		if err != nil {
			t.Fatal(err)
		}
		var looks []int
		for range 21 {
			shifted := NewSeasonal(nil, must(NewEWMA(Tuning{Limit: l.EWMA})))
			if err := json.Unmarshal(state, shifted); err != nil {
				t.Fatal(err)
			}
			began := at
			for range 30 {
				step(shifted, 0)
			}
			n := 1
			for step(shifted, 2).State != checks.Fail {
				n++
			}
			at, looks = began, append(looks, n)
		}
		every = append(every, looks...)
		slices.Sort(looks)
		found := looks[len(looks)/2]
		total += alarms
		t.Logf("%-28s %6.0f %5.1f %6.2f %6d %6d", s.name, s.daily, s.phi, l.EWMA, alarms, found)
	}
	slices.Sort(every)
	t.Logf("%d false alarms of 20 series in 4 weeks; a shift of 2σ is found after %d looks in the median", total, every[len(every)/2])
	if total > 4 {
		t.Errorf("%d false alarms in 4 weeks, want at most one a week", total)
	}
	if every[len(every)/2] > 10 {
		t.Error("shifts are found too late")
	}
}
