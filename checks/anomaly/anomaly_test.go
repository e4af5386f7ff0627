package anomaly

import (
	"encoding/json"
	"errors"
	"fmt"
	"math"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/serin-go/serin/checks"
)

func near(t *testing.T, what string, got, want, by float64) {
	t.Helper()
	if math.Abs(got-want) > by {
		t.Errorf("%s = %v, want %v", what, got, want)
	}
}

func must[T any](d T, err error) T {
	if err != nil {
		panic(err)
	}
	return d
}

// minutes adds values of a minute each, and returns the last reading.
func minutes(d Detector, at *time.Time, values ...float64) (r Reading) {
	for _, x := range values {
		*at = at.Add(time.Minute)
		r = d.Add(*at, x)
	}
	return r
}

var monday = time.Date(2026, 3, 2, 0, 0, 0, 0, time.UTC)

// published is a series with mean 10 and standard deviation 1 that rises.
var published = []float64{10, 12, 9, 11, 10, 10, 15, 16, 15, 17}

func TestRobustVectors(t *testing.T) {
	for _, tt := range []struct {
		before []float64
		x      float64
		score  float64
	}{
		{[]float64{100, 102, 98, 101, 99, 100, 103, 97, 100, 101, 99, 100}, 106, 4.047},
		{[]float64{100, 102, 98, 101, 99, 100, 103, 97, 100, 101, 99, 100}, 104, 2.698},
		{[]float64{100, 102, 98, 101, 99, 100, 103, 97, 100, 101, 99, 100}, 93, -4.7215},
		{[]float64{10, 11, 9, 10, 12, 10, 9, 11}, 20, 6.745},
	} {
		at := monday
		d := must(NewRobust(Tuning{Window: len(tt.before), Min: len(tt.before)}))
		if r := minutes(d, &at, tt.before...); r.State != checks.Unknown {
			t.Errorf("%+v", r)
		}
		near(t, fmt.Sprint("score of ", tt.x), minutes(d, &at, tt.x).Score, tt.score, 1e-9)
	}
}

func TestEWMAVector(t *testing.T) {
	at := monday
	d := must(NewEWMA(Tuning{Mean: 10, Sigma: 1, Limit: 3, Weight: 0.2}))
	for i, x := range published {
		r := minutes(d, &at, x)
		limit := 10 + r.Limit*math.Sqrt(0.2/1.8*(1-d.decay))
		switch i + 1 {
		case 6:
			near(t, "z6", 10+d.z, 10.189440, 1e-6)
			near(t, "limit", limit, 10.965029, 1e-6)
		case 7:
			near(t, "z7", 10+d.z, 11.151552, 1e-6)
			near(t, "limit", limit, 10.977763, 1e-6)
		}
		if i < 7 && (r.State == checks.Fail) != (i == 6) {
			t.Errorf("value %d: %+v", i+1, r)
		}
	}
}

func TestCUSUMVector(t *testing.T) {
	at := monday
	d := must(NewCUSUM(Tuning{Mean: 10, Sigma: 1, Limit: 5, Weight: 0.5}))
	for i, want := range []float64{0, 1.5, 0, 0.5, 0, 0, 4.5, 10} {
		r := minutes(d, &at, published[i])
		if (r.State == checks.Fail) != (i == 7) {
			t.Errorf("value %d: %+v", i+1, r)
		}
		above := d.above
		if i == 7 {
			above = r.Score // the sum begins again
		}
		near(t, fmt.Sprint("C", i+1), above, want, 1e-9)
	}
}

func TestConstantSeries(t *testing.T) {
	for name, d := range detectors(Tuning{}) {
		at := monday
		minutes(d, &at, slices.Repeat([]float64{5}, 500)...)
		var states []checks.Status
		for range 4 {
			states = append(states, minutes(d, &at, 6).State)
		}
		if want := []checks.Status{checks.Pass, checks.Pass, checks.Fail, checks.Fail}; name == "robust" && !slices.Equal(states[:3], want[:3]) {
			t.Errorf("%s: %v", name, states)
		}
	}
	at := monday
	d := must(NewRobust(Tuning{Resolution: 1}))
	minutes(d, &at, slices.Repeat([]float64{5}, 60)...)
	if r := minutes(d, &at, 8); r.State != checks.Pass || r.Score != 3 {
		t.Errorf("within the resolution: %+v", r)
	}
	// MAD is 0, and the mean absolute deviation is not.
	d = must(NewRobust(Tuning{Window: 10, Min: 10}))
	minutes(d, &at, 5, 5, 5, 5, 5, 5, 5, 5, 5, 10)
	near(t, "score by the mean absolute deviation", minutes(d, &at, 7).Score, 2/(0.5*1.2533), 1e-9)
}

func detectors(t Tuning) map[string]Detector {
	return map[string]Detector{"robust": must(NewRobust(t)), "ewma": must(NewEWMA(t)), "cusum": must(NewCUSUM(t))}
}

func TestValuesThatAreNone(t *testing.T) {
	for name, d := range detectors(Tuning{}) {
		at := monday
		random := rand.New(rand.NewPCG(1, 1))
		for range 500 {
			minutes(d, &at, random.NormFloat64())
		}
		before, _ := json.Marshal(d)
		for _, r := range []Reading{d.Add(at.Add(time.Minute), math.NaN()), d.Add(at.Add(time.Minute), math.Inf(1)), d.Add(at, 1), d.Add(at.Add(-time.Hour), 1)} {
			if r.State != checks.Unknown || r.Reason == "" {
				t.Errorf("%s: %+v", name, r)
			}
		}
		if after, _ := json.Marshal(d); !slices.Equal(before, after) {
			t.Errorf("%s has changed", name)
		}
	}
}

// An outage is no ordinary level for 3 hours, and then it is learned.
func TestLevelIsLearned(t *testing.T) {
	at := monday
	d := must(NewRobust(Tuning{}))
	random := rand.New(rand.NewPCG(1, 1))
	for range 100 {
		minutes(d, &at, random.NormFloat64())
	}
	alarms := 0
	for i := range 400 {
		r := minutes(d, &at, 20+random.NormFloat64())
		if r.State == checks.Fail {
			alarms++
		}
		if i < 180 && r.State != checks.Fail {
			t.Fatalf("minute %d of an outage: %+v", i, r)
		}
	}
	if alarms > 300 || alarms < 180 {
		t.Errorf("%d alarms of a new level", alarms)
	}
}

func TestGap(t *testing.T) {
	for name, d := range map[string]Detector{"ewma": must(NewEWMA(Tuning{Mean: 0, Sigma: 1})), "cusum": must(NewCUSUM(Tuning{Mean: 0, Sigma: 1}))} {
		at := monday
		minutes(d, &at, 2, 2, 2)
		at = at.Add(time.Hour)
		if r := minutes(d, &at, 0); r.Score != 0 {
			t.Errorf("%s goes on after a gap: %+v", name, r)
		}
	}
}

func TestStateSurvivesJSON(t *testing.T) {
	random := rand.New(rand.NewPCG(3, 3))
	makes := map[string]func() Detector{
		"robust":   func() Detector { return must(NewRobust(Tuning{})) },
		"ewma":     func() Detector { return must(NewEWMA(Tuning{Window: 60, Min: 60})) },
		"cusum":    func() Detector { return must(NewCUSUM(Tuning{Window: 60, Min: 60})) },
		"seasonal": func() Detector { return NewSeasonal(time.UTC, must(NewRobust(Tuning{}))) },
	}
	for name, make := range makes {
		whole, parts, at := make(), make(), monday
		for i := range 300 {
			x := random.NormFloat64()
			if i > 250 {
				x += 10
			}
			if at = at.Add(time.Minute); name == "seasonal" {
				at = at.Add(2*time.Hour - time.Minute)
			}
			data, err := json.Marshal(parts)
			if err != nil {
				t.Fatal(err)
			}
			parts = make()
			if err := json.Unmarshal(data, parts); err != nil {
				t.Fatal(err)
			}
			if diff := cmp.Diff(whole.Add(at, x), parts.Add(at, x)); diff != "" {
				t.Fatalf("%s, value %d: %s", name, i, diff)
			}
		}
	}
	for _, bad := range []string{`{`, `{"kind":"cusum"}`, `{"kind":"robust","calm":-1}`, `{"kind":"robust","values":[` + strings.Repeat("1,", 100) + `1]}`} {
		if err := json.Unmarshal([]byte(bad), must(NewRobust(Tuning{}))); err == nil {
			t.Errorf("%.40s is read", bad)
		}
	}
}

func FuzzState(f *testing.F) {
	f.Add([]byte(`{"kind":"robust","values":[1,2]}`))
	f.Add([]byte(`{"kind":"seasonal","slots":[],"inner":{}}`))
	f.Fuzz(func(t *testing.T, data []byte) {
		for _, d := range []Detector{must(NewRobust(Tuning{})), must(NewEWMA(Tuning{})), must(NewCUSUM(Tuning{})), NewSeasonal(nil, nil)} {
			if json.Unmarshal(data, d) == nil {
				at := monday
				minutes(d, &at, 1, 2, 3)
			}
		}
	})
}

func TestTuningsThatAreNotValid(t *testing.T) {
	for field, tuning := range map[string]Tuning{
		"Tuning.Limit": {Limit: math.NaN()}, "Tuning.Window": {Window: 3}, "Tuning.Min": {Min: 1000}, "Tuning.Weight": {Weight: -1},
		"Tuning.Every": {Every: -1}, "Tuning.Resolution": {Resolution: math.Inf(1)}, "Tuning.Sigma": {Sigma: -1},
	} {
		_, err := NewRobust(tuning)
		var invalid *checks.InvalidError
		if !errors.As(err, &invalid) || invalid.Field != field {
			t.Errorf("%+v: %v", tuning, err)
		}
	}
	if _, err := NewEWMA(Tuning{Weight: 2}); err == nil {
		t.Error("a weight of 2")
	}
}

// The window agrees with a plain computation.
func TestWindow(t *testing.T) {
	random := rand.New(rand.NewPCG(5, 5))
	for _, size := range []int{4, 5, 60, 481} {
		w := newWindow(size)
		var all []float64
		for range 3 * size {
			x := math.Round(random.NormFloat64() * 3)
			w.add(x)
			all = append(all, x)
			last := slices.Clone(all[max(0, len(all)-size):])
			if !slices.Equal(w.values(), last) {
				t.Fatal("other values")
			}
			slices.Sort(last)
			m := median(last)
			var far []float64
			for _, x := range last {
				far = append(far, math.Abs(x-m))
			}
			slices.Sort(far)
			if !slices.Equal(w.sorted, last) || w.mad(m) != median(far) {
				t.Fatalf("size %d: MAD %v, want %v", size, w.mad(m), median(far))
			}
		}
	}
}

func TestSeries(t *testing.T) {
	constant := func(x float64) func(time.Time) float64 { return func(time.Time) float64 { return x } }
	near(t, "ratio", Ratio(constant(8), constant(2))(monday), math.Log(4), 1e-12)
	if x := Ratio(constant(0), constant(2))(monday); !math.IsNaN(x) {
		t.Error(x)
	}
	counts, i := []float64{0, 60, 30, 90, 150, 150}, -1
	rate := PerSecond(time.Minute, func(time.Time) float64 { i++; return counts[i] })
	var got []float64
	for n := range 4 {
		got = append(got, rate(monday.Add(time.Duration(n)*time.Minute)))
	}
	got = append(got, rate(monday.Add(time.Hour)), rate(monday.Add(time.Hour+time.Minute)))
	for i, want := range []float64{math.NaN(), 1, math.NaN(), 1, math.NaN(), 0} {
		if got[i] != want && !(math.IsNaN(got[i]) && math.IsNaN(want)) {
			t.Errorf("rate %d is %v, want %v", i, got[i], want)
		}
	}
}

func TestSeasonalKnowsTheRhythm(t *testing.T) {
	random := rand.New(rand.NewPCG(9, 9))
	d := NewSeasonal(time.UTC, nil)
	value := func(at time.Time) float64 {
		x := 100 + 50*math.Sin(2*math.Pi*float64(at.Hour()*60+at.Minute())/1440)
		if at.Weekday() == time.Sunday || at.Weekday() == time.Saturday {
			x -= 10 // a jump at midnight
		}
		return x + 5*random.NormFloat64()
	}
	alarms, known := 0, 0
	at := monday
	for ; at.Before(monday.AddDate(0, 0, 42)); at = at.Add(time.Minute) {
		r := d.Add(at, value(at))
		if at.Before(monday.AddDate(0, 0, 28)) {
			if r.State != checks.Unknown {
				t.Fatalf("%v: %+v", at, r)
			}
			continue
		}
		if r.State == checks.Pass {
			known++
		}
		if r.State == checks.Fail {
			alarms++
		}
	}
	if alarms > 0 || known < 13*1440 {
		t.Errorf("%d alarms, %d ordinary values", alarms, known)
	}
	if r := d.Add(at, value(at)*3); r.State != checks.Fail {
		t.Errorf("three times as much: %+v", r)
	}
}

func BenchmarkAdd(b *testing.B) {
	for _, name := range []string{"robust", "ewma", "cusum"} {
		b.Run(name, func(b *testing.B) {
			d := detectors(Tuning{})[name]
			random := rand.New(rand.NewPCG(1, 1))
			values := make([]float64, 1<<16)
			for i := range values {
				values[i] = random.NormFloat64()
			}
			at := monday
			for i := range 1000 {
				at = at.Add(time.Minute)
				d.Add(at, values[i])
			}
			b.ReportAllocs()
			i := 0
			for b.Loop() {
				at = at.Add(time.Minute)
				d.Add(at, values[i&(1<<16-1)])
				i++
			}
		})
	}
}
