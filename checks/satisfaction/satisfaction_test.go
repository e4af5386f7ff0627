package satisfaction_test

import (
	"errors"
	"fmt"
	"math"
	"strings"
	"sync"
	"testing"

	"github.com/serin-go/serin/checks"
	"github.com/serin-go/serin/checks/satisfaction"
)

// rate rates n answers of version 1.5.0, whose requests are numbered from first.
func rate(t *testing.T, tally *satisfaction.Tally, s satisfaction.Scale, value float64, first, n int) {
	t.Helper()
	for i := range n {
		if err := tally.Rate(satisfaction.Rating{ID: fmt.Sprint(first + i), Version: "1.5.0", Scale: s, Value: value}); err != nil {
			t.Fatal(err)
		}
	}
}

func TestSummary(t *testing.T) {
	var tally satisfaction.Tally
	tally.Answered("1.5.0", 5000)
	rate(t, &tally, satisfaction.Stars, 5, 0, 60)
	rate(t, &tally, satisfaction.Stars, 4, 60, 25)
	rate(t, &tally, satisfaction.Stars, 1, 85, 15)
	rate(t, &tally, satisfaction.Recommend, 10, 200, 6)
	rate(t, &tally, satisfaction.Recommend, 8, 206, 3)
	rate(t, &tally, satisfaction.Recommend, 6, 209, 1)
	rate(t, &tally, satisfaction.Thumbs, 1, 300, 9)
	rate(t, &tally, satisfaction.Thumbs, 0, 309, 1)
	want := "1.5.0: 120 of 5000 answers rated, CSAT 85.0 % (76.7 to 90.7) of 100, thumbs up 90.0 % (59.6 to 98.2) of 10, NPS +50 of 10"
	if s := tally.Summary("1.5.0"); s.String() != want || s.Response != 0.024 {
		t.Errorf("%v\n%s", s, want)
	}
	if s := tally.Summary("1.4.0"); s != (satisfaction.Summary{Version: "1.4.0"}) {
		t.Errorf("%+v", s)
	}
}

// TestLaterRatingReplaces: the same answer is counted once, whatever the scale and the version
// of its ratings.
func TestLaterRatingReplaces(t *testing.T) {
	var tally satisfaction.Tally
	for range 3 {
		rate(t, &tally, satisfaction.Stars, 1, 0, 10)
	}
	rate(t, &tally, satisfaction.Stars, 5, 0, 10)
	rate(t, &tally, satisfaction.Thumbs, 1, 0, 4)
	if err := tally.Rate(satisfaction.Rating{ID: "9", Version: "1.4.0", Scale: satisfaction.Stars, Value: 2}); err != nil {
		t.Fatal(err)
	}
	if s := tally.Summary("1.5.0"); s.Ratings != 9 || s.CSAT.Of != 5 || s.CSAT.Value != 1 || s.Up.Of != 4 {
		t.Errorf("%+v", s)
	}
	if s := tally.Summary("1.4.0"); s.Ratings != 1 {
		t.Errorf("%+v", s)
	}
	small := satisfaction.Tally{Remember: 5}
	rate(t, &small, satisfaction.Stars, 1, 0, 10)
	rate(t, &small, satisfaction.Stars, 5, 5, 5) // remembered
	rate(t, &small, satisfaction.Stars, 5, 0, 1) // forgotten
	if s := small.Summary("1.5.0"); s.Ratings != 11 || s.CSAT.Value != 6.0/11 {
		t.Errorf("%+v", s)
	}
}

func TestRatingsThatAreRefused(t *testing.T) {
	var tally satisfaction.Tally
	good := satisfaction.Rating{ID: "1", Version: "1.5.0", Scale: satisfaction.Stars, Value: 3}
	for field, change := range map[string]func(*satisfaction.Rating){
		"Rating.ID":      func(r *satisfaction.Rating) { r.ID = "" },
		"Rating.Version": func(r *satisfaction.Rating) { r.Version = strings.Repeat("1", 129) },
		"Rating.Scale":   func(r *satisfaction.Rating) { r.Scale = "smiles" },
		"Rating.Value":   func(r *satisfaction.Rating) { r.Value = 6 },
	} {
		r := good
		change(&r)
		var invalid *checks.InvalidError
		if err := tally.Rate(r); !errors.As(err, &invalid) || invalid.Field != field {
			t.Errorf("%s: %v", field, err)
		}
	}
	for _, v := range []float64{0, 5.5, -1, math.NaN(), math.Inf(1)} {
		r := good
		if r.Value = v; tally.Rate(r) == nil {
			t.Errorf("%v stars are accepted", v)
		}
	}
	tally.Answered("1.5.0", -5)
	tally.Answered("", 5)
	if s := tally.Summary("1.5.0"); s.Ratings != 0 || s.Answers != 0 {
		t.Errorf("%+v", s)
	}
	for i := range 200 {
		r := good
		r.ID, r.Version = fmt.Sprint(i), fmt.Sprint(i)
		if err := tally.Rate(r); (err != nil) != (i >= 100) {
			t.Fatalf("version %d: %v", i, err)
		}
	}
}

func TestCheck(t *testing.T) {
	for name, tt := range map[string]struct {
		good, bad int
		response  float64
		want      checks.Status
	}{
		"satisfied":       {950, 50, 0, checks.Pass},
		"not":             {600, 400, 0, checks.Fail},
		"perhaps":         {82, 18, 0, checks.Unknown},
		"few":             {99, 0, 0, checks.Unknown},
		"few of them all": {950, 50, 0.5, checks.Unknown},
	} {
		for _, scale := range []satisfaction.Scale{satisfaction.Stars, satisfaction.Thumbs} {
			var tally satisfaction.Tally
			tally.Answered("1.5.0", 10_000)
			best := map[satisfaction.Scale]float64{satisfaction.Stars: 5, satisfaction.Thumbs: 1}[scale]
			worst := best - 1
			if scale == satisfaction.Stars {
				worst = 3
			}
			rate(t, &tally, scale, best, 0, tt.good)
			rate(t, &tally, scale, worst, tt.good, tt.bad)
			r := satisfaction.Check(satisfaction.Options{Tally: &tally, Version: "1.5.0", MinCSAT: 0.8, MinResponse: tt.response}).Check(t.Context())
			if r.Status != tt.want {
				t.Errorf("%s by %s: %v, %s", name, scale, r.Status, r.Summary)
			}
		}
	}
	for field, o := range map[string]satisfaction.Options{
		"Options.Tally":       {Version: "1.5.0", MinCSAT: 0.8},
		"Options.Version":     {Tally: new(satisfaction.Tally), MinCSAT: 0.8},
		"Options.MinCSAT":     {Tally: new(satisfaction.Tally), Version: "1.5.0", MinCSAT: 80},
		"Options.MinRatings":  {Tally: new(satisfaction.Tally), Version: "1.5.0", MinCSAT: 0.8, MinRatings: -1},
		"Options.MinResponse": {Tally: new(satisfaction.Tally), Version: "1.5.0", MinCSAT: 0.8, MinResponse: 2},
	} {
		var invalid *checks.InvalidError
		if r := satisfaction.Check(o).Check(t.Context()); r.Status != checks.Unknown || !errors.As(r.Err, &invalid) || invalid.Field != field {
			t.Errorf("%s: %v, %v", field, r.Status, r.Err)
		}
	}
}

// TestConcurrent rates the same answers from many goroutines.
func TestConcurrent(t *testing.T) {
	var tally satisfaction.Tally
	var all sync.WaitGroup
	for worker := range 8 {
		all.Go(func() {
			for i := range 200 {
				tally.Answered("1.5.0", 1)
				if err := tally.Rate(satisfaction.Rating{ID: fmt.Sprint(i), Version: "1.5.0", Scale: satisfaction.Stars, Value: float64(1 + worker%5)}); err != nil {
					t.Error(err)
				}
			}
		})
	}
	all.Wait()
	if s := tally.Summary("1.5.0"); s.Ratings != 200 || s.Answers != 1600 {
		t.Errorf("%+v", s)
	}
}

func BenchmarkRate(b *testing.B) {
	var tally satisfaction.Tally
	ids := make([]string, 1000)
	for i := range ids {
		ids[i] = fmt.Sprint(i)
	}
	b.ReportAllocs()
	for i := 0; b.Loop(); i++ {
		if err := tally.Rate(satisfaction.Rating{ID: ids[i%1000], Version: "1.5.0", Scale: satisfaction.Thumbs, Value: 1}); err != nil {
			b.Fatal(err)
		}
	}
}

func Example() {
	var tally satisfaction.Tally
	tally.Answered("1.5.0", 3)
	for id, stars := range map[string]float64{"a": 5, "b": 4} {
		if err := tally.Rate(satisfaction.Rating{ID: id, Version: "1.5.0", Scale: satisfaction.Stars, Value: stars}); err != nil {
			fmt.Println(err)
		}
	}
	fmt.Println(tally.Summary("1.5.0"))
	// Output:
	// 1.5.0: 2 of 3 answers rated, CSAT 100.0 % (34.2 to 100.0) of 2
}
