package kayenta

import (
	"maps"
	"math"
	"slices"
)

// GroupScore is the share of a group's metrics that pass, in percent.
type GroupScore struct {
	Name  string
	Score float64
	// NoData means that no metric of the group has points. Then the score is 100.
	NoData bool
}

// Score returns the score of a canary, from 0 to 100 with two decimals: the sum of the
// groups' scores by their weights in percent. Groups without a weight share the rest to
// 100. The score is 0 if a critical metric does not pass, or if at least half of all
// metrics have no data. The caller decides which score is sufficient.
func Score(results []Result, weights map[string]float64) (score float64, groups []GroupScore) {
	type tally struct{ pass, all int }
	tallies := make(map[string]*tally)
	missing, critical := 0, false
	for _, r := range results {
		if r.Label == Nodata {
			missing++
		}
		critical = critical || r.Critical && r.Label != Pass
		for _, g := range r.Groups {
			if tallies[g] == nil {
				tallies[g] = new(tally)
			}
			if r.Label != Nodata {
				tallies[g].all++
			}
			if r.Label == Pass {
				tallies[g].pass++
			}
		}
	}
	left, others := 100.0, 0
	for _, w := range weights {
		left -= w
	}
	for g := range tallies {
		if _, weighted := weights[g]; !weighted {
			others++
		}
	}
	for _, g := range slices.Sorted(maps.Keys(tallies)) {
		t := tallies[g]
		gs := GroupScore{Name: g, Score: 100, NoData: t.all == 0}
		if !gs.NoData {
			gs.Score = 100 * float64(t.pass) / float64(t.all)
		}
		groups = append(groups, gs)
		w, weighted := weights[g]
		if !weighted {
			w = left / float64(others)
		}
		score += gs.Score * w / 100
	}
	if critical || 2*missing >= len(results) {
		return 0, groups
	}
	return math.Round(score*100) / 100, groups
}
