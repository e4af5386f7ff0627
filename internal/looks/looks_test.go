package looks_test

import (
	"math"
	"testing"
	"time"

	"github.com/serin-go/serin/internal/looks"
)

// TestRate and TestQuotient read counts that grow, stand still, are reset and are gone.
func TestRate(t *testing.T) {
	count, there := 0.0, true
	rate := looks.Rate(time.Minute, func(time.Time) (float64, bool) { return count, there })
	at := time.Date(2026, 3, 2, 0, 0, 0, 0, time.UTC)
	nan := math.NaN()
	for i, look := range []struct {
		after time.Duration
		count float64
		there bool
		want  float64
	}{
		{0, 100, true, nan},
		{10 * time.Second, 120, true, 2},
		{10 * time.Second, 120, true, 0},
		{0, 130, true, nan},
		{-time.Second, 130, true, nan},
		{time.Minute, 190, true, 1},
		{time.Minute + 1, 200, true, nan},
		{time.Second, 1, true, nan},
		{time.Second, 4, true, 3},
		{time.Second, 5, false, nan},
		{time.Second, 6, true, nan},
		{time.Second, nan, true, nan},
		{time.Second, 7, true, nan},
		{time.Second, 8, true, 1},
	} {
		at, count, there = at.Add(look.after), look.count, look.there
		if got := rate(at); got != look.want && !(math.IsNaN(got) && math.IsNaN(look.want)) {
			t.Errorf("look %d: %v, want %v", i, got, look.want)
		}
	}
}

func TestQuotient(t *testing.T) {
	var count, of float64
	share := looks.Quotient(looks.Longest, func(time.Time) (float64, float64, bool) { return count, of, true })
	at := time.Date(2026, 3, 2, 0, 0, 0, 0, time.UTC)
	nan := math.NaN()
	for i, look := range []struct{ count, of, want float64 }{
		{5, 10, nan}, {6, 14, 0.25}, {6, 14, nan}, {6, 15, 0}, {0, 16, nan}, {1, 17, 1}, {2, 3, nan}, {3, 4, 1},
	} {
		at, count, of = at.Add(time.Second), look.count, look.of
		if got := share(at); got != look.want && !(math.IsNaN(got) && math.IsNaN(look.want)) {
			t.Errorf("look %d: %v, want %v", i, got, look.want)
		}
	}
}
