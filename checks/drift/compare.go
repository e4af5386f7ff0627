package drift

import (
	"cmp"
	"fmt"
	"math"
	"slices"
	"unicode"

	"github.com/serin-go/serin/internal/evalue"
)

// Feature is what is compared.
type Feature string

// The features of a [Profile].
const (
	Input     Feature = "input length"
	Output    Feature = "output length"
	Refusals  Feature = "refusals"
	Languages Feature = "languages"
	Scores    Feature = "scores"
)

// Shift is the comparison of one feature.
type Shift struct {
	Feature Feature
	// Before and Now are the numbers of samples with the feature.
	Before, Now int
	// Index is the population stability index, and Limit what it exceeds by chance once in
	// 1,000 comparisons of all features.
	Index, Limit float64
	// Distance is the Kolmogorov-Smirnov distance of lengths and scores, and DistanceLimit its
	// limit by chance. Both are 0 for other features.
	Distance, DistanceLimit float64
	// Known says that there were enough samples: at least 100 on both sides.
	Known bool
	// Moved and Large say that the feature has moved, and by much.
	Moved, Large bool
	// Text says in words what has moved most.
	Text string
}

const (
	minSamples = 100
	alpha      = 0.001 / 5 // for each of five features
	moved      = 0.1
	large      = 0.25
	maxBins    = 10
)

// Compare compares two profiles, feature by feature. Features that neither has are left out.
func Compare(reference, current *Profile) []Shift {
	a, b := reference.copied(), current.copied()
	var list []Shift
	for _, f := range []struct {
		feature Feature
		a, b    []int
		ordered bool
		name    func(bin int) string
	}{
		{Input, a.Input, b.Input, true, length},
		{Output, a.Output, b.Output, true, length},
		{Refusals, []int{a.Samples - a.Refused, a.Refused}, []int{b.Samples - b.Refused, b.Refused}, false, func(i int) string { return []string{"answered", "refused"}[i] }},
		{Scores, a.Scores, b.Scores, true, func(i int) string { return fmt.Sprintf("%.2f", float64(i)/scoreBins) }},
	} {
		if len(f.a)+len(f.b) > 0 {
			list = append(list, present(compare(f.feature, f.a, f.b, f.ordered, f.name), a.Samples, b.Samples))
		}
	}
	if names, x, y := languages(a, b); len(names) > 0 {
		list = append(list, present(compare(Languages, x, y, false, func(i int) string { return names[i] }), a.Samples, b.Samples))
	}
	return list
}

// present adds the comparison of how many samples have a feature at all: one that has vanished,
// such as the length of answers that are all empty, has moved too.
func present(s Shift, before, now int) Shift {
	if before < minSamples || now < minSamples {
		return s
	}
	index, limit := evalue.PSI([]int{before - s.Before, s.Before}, []int{now - s.Now, s.Now}, alpha)
	if math.IsInf(limit, 1) || index <= moved || index <= limit || s.Known && index <= s.Index {
		return s
	}
	s.Known, s.Moved, s.Large = true, true, index > large
	s.Index, s.Limit = index, limit
	s.Text = fmt.Sprintf("%.1f %% of the samples have it, %.1f %% had it before", 100*float64(s.Now)/float64(now), 100*float64(s.Before)/float64(before))
	return s
}

// length is the least length of a bin.
func length(bin int) string { return fmt.Sprintf("%.0f", math.Exp2(float64(bin)/perOctave)) }

// languages returns the names of both sides, the most frequent of the reference first, and
// their counts. Those that make less than 1 % of both sides are one.
func languages(a, b counts) (names []string, x, y []int) {
	total := func(m map[string]int) (n int) {
		for _, v := range m {
			n += v
		}
		return n
	}
	na, nb := total(a.Languages), total(b.Languages)
	all := make(map[string]bool)
	for _, m := range []map[string]int{a.Languages, b.Languages} {
		for name := range m {
			all[name] = true
		}
	}
	rare := [2]int{}
	for name := range all {
		if name == otherWords || 100*a.Languages[name] < na && 100*b.Languages[name] < nb {
			rare[0], rare[1] = rare[0]+a.Languages[name], rare[1]+b.Languages[name]
			continue
		}
		names = append(names, name)
	}
	slices.SortFunc(names, func(p, q string) int { return cmp.Or(cmp.Compare(a.Languages[q], a.Languages[p]), cmp.Compare(p, q)) })
	for _, name := range names {
		x, y = append(x, a.Languages[name]), append(y, b.Languages[name])
	}
	if rare != [2]int{} {
		names, x, y = append(names, otherWords), append(x, rare[0]), append(y, rare[1])
	}
	return names, x, y
}

// compare compares the counts of one feature.
func compare(feature Feature, a, b []int, ordered bool, name func(int) string) Shift {
	n := max(len(a), len(b))
	a, b = grown(slices.Clone(a), n), grown(slices.Clone(b), n)
	s := Shift{Feature: feature, Before: total(a), Now: total(b)}
	s.Known = s.Before >= minSamples && s.Now >= minSamples
	if !s.Known {
		s.Text = fmt.Sprintf("%d and %d samples, want at least %d", s.Before, s.Now, minSamples)
		return s
	}
	at := make([]int, n)
	for i := range at {
		at[i] = i
	}
	if ordered {
		s.Distance, s.DistanceLimit = distance(a, b)
		a, b, at = coarse(a, b)
	}
	s.Index, s.Limit = evalue.PSI(a, b, alpha)
	if math.IsInf(s.Limit, 1) {
		s.Limit = 0 // one bin on both sides: nothing can have moved
	}
	s.Moved = s.Index > moved && s.Index > s.Limit || s.Distance > moved && s.Distance > s.DistanceLimit
	s.Large = s.Index > large && s.Index > s.Limit || s.Distance > large && s.Distance > s.DistanceLimit
	s.Text = most(a, b, at, ordered, name)
	return s
}

func total(bins []int) (n int) {
	for _, v := range bins {
		n += v
	}
	return n
}

// distance is the largest difference of the two distribution functions, and its limit.
func distance(a, b []int) (d, limit float64) {
	n, m := float64(total(a)), float64(total(b))
	var x, y float64
	for i := range a {
		x, y = x+float64(a[i])/n, y+float64(b[i])/m
		d = max(d, math.Abs(x-y))
	}
	return d, math.Sqrt(-math.Log(alpha/2) / 2 * (n + m) / (n * m))
}

// coarse puts neighbouring bins together, so that each has about a tenth of the reference. at
// has the first of the former bins of each.
func coarse(a, b []int) (x, y, at []int) {
	n := total(a)
	p, q, from, seen := 0, 0, 0, 0
	for i := range a {
		p, q, seen = p+a[i], q+b[i], seen+a[i]
		if p*maxBins >= n && seen < n {
			x, y, at = append(x, p), append(y, q), append(at, from)
			p, q, from = 0, 0, i+1
		}
	}
	return append(x, p), append(y, q), append(at, from)
}

// most names the bin whose share has changed most.
func most(a, b, at []int, ordered bool, name func(int) string) string {
	n, m := float64(total(a)), float64(total(b))
	best, change := 0, 0.0
	for i := range a {
		if d := math.Abs(float64(b[i])/m - float64(a[i])/n); d > change {
			best, change = i, d
		}
	}
	label := name(at[best])
	switch {
	case ordered && best+1 < len(at) && best > 0:
		label = name(at[best]) + " to " + name(at[best+1])
	case ordered && best == 0 && len(at) > 1:
		label = "below " + name(at[1])
	case ordered:
		label = "from " + label
	}
	return fmt.Sprintf("%s: %.1f %% before, %.1f %% now", label, 100*float64(a[best])/n, 100*float64(b[best])/m)
}

// Script returns the script in which most letters of a text are written, such as "Latin" or
// "Han", or "" for a text without letters. It looks at the first 1,000 characters.
func Script(text string) string {
	counts := make(map[string]int)
	seen := 0
	for _, r := range text {
		if seen++; seen > 1000 {
			break
		}
		if !unicode.IsLetter(r) {
			continue
		}
		for _, s := range scripts {
			if unicode.Is(s.table, r) {
				counts[s.name]++
				break
			}
		}
	}
	best := ""
	for _, s := range scripts {
		if counts[s.name] > counts[best] {
			best = s.name
		}
	}
	return best
}

var scripts = []struct {
	name  string
	table *unicode.RangeTable
}{
	{"Latin", unicode.Latin}, {"Han", unicode.Han}, {"Cyrillic", unicode.Cyrillic}, {"Arabic", unicode.Arabic}, {"Devanagari", unicode.Devanagari},
	{"Hiragana", unicode.Hiragana}, {"Katakana", unicode.Katakana}, {"Hangul", unicode.Hangul}, {"Greek", unicode.Greek}, {"Hebrew", unicode.Hebrew},
	{"Thai", unicode.Thai}, {"Bengali", unicode.Bengali}, {"Tamil", unicode.Tamil}, {"Telugu", unicode.Telugu}, {"Georgian", unicode.Georgian}, {"Armenian", unicode.Armenian},
}
