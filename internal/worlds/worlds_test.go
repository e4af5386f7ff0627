package worlds_test

import (
	"flag"
	"fmt"
	"math"
	"os"
	"regexp"
	"strconv"
	"testing"

	"github.com/serin-go/serin/internal/worlds"
)

var (
	runs    = flag.Int("runs", 0, "rollouts of each world; 0: the short form, with the numbers of the catalogue")
	only    = flag.String("world", "", "number of the worlds to play, or a regular expression of their names")
	results = flag.String("results", "", "file to which the table of results is written")
)

// TestWorlds plays the catalogue and holds the analysis against its claims. The long
// form, such as -runs 10000, plays every world that often.
func TestWorlds(t *testing.T) {
	alone(t)
	groups := map[int][]worlds.World{}
	for _, w := range chosen(t, *only, *runs) {
		groups[w.Number] = append(groups[w.Number], w)
	}
	table := make([]string, 100)
	t.Cleanup(func() {
		if *results == "" {
			return
		}
		var all []byte
		for _, rows := range table {
			all = append(all, rows...)
		}
		if err := os.WriteFile(*results, all, 0o666); err != nil {
			t.Error(err)
		}
	})
	for n, list := range groups {
		t.Run(fmt.Sprintf("%02d", n), func(t *testing.T) {
			t.Parallel()
			fresh := math.NaN()
			for _, w := range list {
				t.Run(w.Variant, func(t *testing.T) { table[n] += try(t, &w, &fresh) })
			}
		})
	}
}

// chosen returns the worlds with a number, or whose names match a regular expression. They
// are played n times, or with zero as often as the catalogue says.
func chosen(t *testing.T, which string, n int) (list []worlds.World) {
	t.Helper()
	pattern, err := regexp.Compile(which)
	if err != nil {
		t.Fatal(err)
	}
	number, err := strconv.Atoi(which)
	byNumber := err == nil
	for _, w := range worlds.All() {
		if byNumber && w.Number != number || !byNumber && !pattern.MatchString(w.ID()) {
			continue
		}
		if n > 0 {
			w.Runs = n
		}
		if w.Runs > 0 && w.Number != outlookWorld {
			list = append(list, w)
		}
	}
	return list
}

// try plays w and returns the rows of the table about it. Fresh is the median of the
// variant "fresh" of the same number.
func try(t *testing.T, w *worlds.World, fresh *float64) (rows string) {
	all := make([]worlds.Result, w.Runs)
	for i := range all {
		all[i] = rollout(t, w, i+1)
	}
	if w.Variant == "fresh" {
		*fresh = worlds.MedianHarmed(all)
	}
	for _, c := range w.Claims {
		measured, ok := c.Check(all, *fresh)
		row := fmt.Sprintf("%-90s %-32s measured %-8.4g %d runs, median %g", w.ID(), c, measured, len(all), worlds.MedianHarmed(all))
		t.Log(row)
		switch {
		case ok:
		case c.Open != "":
			row += "  OPEN: " + c.Open
		default:
			t.Errorf("%v: measured %.4g", c, measured)
			row += "  FAILS"
		}
		rows += row + "\n"
	}
	return rows
}

func rollout(t *testing.T, w *worlds.World, number int) worlds.Result {
	t.Helper()
	p := newPlayer(t, w, planOf(w))
	worlds.Play(w, uint64(number), p)
	return p.finish()
}
