package versioning

import (
	"slices"
	"strings"
)

// The functions of this file follow node-semver's min-version.js, range.js,
// subset.js and simplify.js step by step, so that their answers are the same.

// MinVersion returns the earliest possible version in r. ok is false if r is empty.
func (r Range) MinVersion() (v Version, ok bool) {
	for _, least := range []Version{{}, {pre: "0"}} {
		if r.Contains(least) {
			return least, true
		}
	}
	for terms := range r.alternatives() {
		low, found := lowest(terms)
		if found && (!ok || low.Compare(v) < 0) {
			v, ok = low, true
		}
	}
	if !ok || !r.Contains(v) {
		return Version{}, false
	}
	return v, true
}

func lowest(terms []comparator) (low Version, found bool) {
	for _, c := range terms {
		v := c.v
		switch c.op {
		case opGreater:
			if v.pre == "" {
				v.patch++
			} else {
				v.pre += ".0"
			}
		case opEqual, opGreaterEqual:
		default:
			continue
		}
		if !found || v.Compare(low) > 0 {
			low, found = v, true
		}
	}
	return low, found
}

// Intersects reports whether a version can be in both r and s. The rule for
// prereleases applies unless both ranges have IncludePrerelease. Like node-semver, it
// compares pairs of comparators. So for prereleases it may report an overlap that no
// version is in.
func (r Range) Intersects(s Range) bool {
	include := r.conditions().include && s.conditions().include
	for a := range r.alternatives() {
		if !satisfiable(a, include) {
			continue
		}
		for b := range s.alternatives() {
			if satisfiable(b, include) && allMeet(a, b, include) {
				return true
			}
		}
	}
	return false
}

func allMeet(a, b []comparator, include bool) bool {
	for i := range a {
		for j := range b {
			if !a[i].meets(&b[j], include) {
				return false
			}
		}
	}
	return true
}

func satisfiable(terms []comparator, include bool) bool {
	for i := range terms {
		for j := range i {
			if !terms[i].meets(&terms[j], include) {
				return false
			}
		}
	}
	return true
}

// meets reports whether a version could satisfy both conditions.
func (c *comparator) meets(d *comparator, include bool) bool {
	switch {
	case c.op == opAny:
		return true
	case c.op == opEqual: // a prerelease needs a comparator of d with a prerelease
		return contains([]comparator{{v: d.v, op: d.op, last: true}}, &c.v, include)
	case d.op == opAny:
		return true
	case d.op == opEqual:
		return contains([]comparator{{v: c.v, op: c.op, last: true}}, &d.v, include)
	case c.belowEverything(include) || d.belowEverything(include):
		return false
	case c.upper() == d.upper():
		return true
	}
	low, high := c, d
	if c.upper() {
		low, high = d, c
	}
	order := compareTo(&low.v, &high.v)
	return order < 0 || order == 0 && low.op == opGreaterEqual && high.op == opLessEqual
}

func (c *comparator) upper() bool { return c.op == opLess || c.op == opLessEqual }

// belowEverything reports whether no version can be as low as c requires.
func (c *comparator) belowEverything(include bool) bool {
	if c.op != opLess || !sameCore(&c.v, &Version{}) {
		return false
	}
	return !include || c.v.pre == "0"
}

// Subset reports whether every version in r is also in s. It applies the options of
// r to both. A result of true is always correct. A result of false can be wrong if
// only several alternatives of s together cover an alternative of r.
func (r Range) Subset(s Range) bool {
	sawSome := false
next:
	for sub := range r.alternatives() {
		for dom := range s.alternatives() {
			within, empty := subset(sub, dom, r.conditions().include)
			sawSome = sawSome || !empty
			if within && !empty {
				continue next
			}
		}
		if sawSome {
			return false
		}
	}
	return true
}

// bounds are the strictest conditions of a conjunction.
type bounds struct {
	low, high, equal *comparator
	touching         bool // low and high are inclusive and the same version
	empty            bool
}

func boundsOf(terms []comparator, include bool) (b bounds) {
	for i := range terms {
		c := &terms[i]
		switch c.op {
		case opGreater, opGreaterEqual:
			b.low = higher(b.low, c)
		case opLess, opLessEqual:
			b.high = lower(b.high, c)
		default:
			// Equal comparators have been merged, so a second exact version is
			// different, and no version satisfies both.
			b.empty = b.empty || b.equal != nil
			b.equal = c
		}
	}
	if b.low != nil && b.high != nil {
		order := compareTo(&b.low.v, &b.high.v)
		b.touching = order == 0
		if order > 0 || order == 0 && (b.low.op != opGreaterEqual || b.high.op != opLessEqual) {
			b.empty = true
		}
	}
	if b.equal != nil {
		for _, c := range []*comparator{b.low, b.high} {
			if c != nil && !contains([]comparator{{v: c.v, op: c.op, last: true}}, &b.equal.v, include) {
				b.empty = true
			}
		}
	}
	return b
}

// subset compares two conjunctions.
func subset(sub, dom []comparator, include bool) (within, empty bool) {
	anySub, anyDom := sub[0].op == opAny, dom[0].op == opAny
	if anySub && anyDom || anyDom && include {
		return true, false
	}
	everything := []comparator{{op: opGreaterEqual, last: true}}
	if include {
		everything[0].v.pre = "0"
	}
	if anySub {
		sub = everything
	}
	if anyDom {
		dom = everything
	}
	b := boundsOf(sub, include)
	switch {
	case b.empty:
		return false, true
	case b.equal != nil:
		for i := range dom {
			if !contains([]comparator{{v: dom[i].v, op: dom[i].op, last: true}}, &b.equal.v, include) {
				return false, false
			}
		}
		return true, false
	}
	return b.within(dom, include), false
}

// within reports whether dom contains the interval b.
func (b bounds) within(dom []comparator, include bool) bool {
	needLow := b.low != nil && !include && b.low.v.pre != ""
	needHigh := b.high != nil && !include && b.high.v.pre != "" && (b.high.op != opLess || b.high.v.pre != "0")
	var domLow, domHigh bool
	for i := range dom {
		c := &dom[i]
		isLow, isHigh := c.op == opGreater || c.op == opGreaterEqual, c.upper()
		domLow, domHigh = domLow || isLow, domHigh || isHigh
		if b.low != nil {
			needLow = needLow && !c.invites(&b.low.v)
			if isLow && higher(b.low, c) == c || !isLow && b.low.op == opGreaterEqual && !c.holds(&b.low.v) {
				return false
			}
		}
		if b.high != nil {
			needHigh = needHigh && !c.invites(&b.high.v)
			if isHigh && lower(b.high, c) == c || !isHigh && b.high.op == opLessEqual && !c.holds(&b.high.v) {
				return false
			}
		}
		if !isLow && !isHigh && (b.low != nil || b.high != nil) && !b.touching {
			return false
		}
	}
	if b.low != nil && domHigh && b.high == nil || b.high != nil && domLow && b.low == nil {
		return false
	}
	return !needLow && !needHigh
}

// higher returns the stricter of two lower bounds, or a if they are equal.
func higher(a, b *comparator) *comparator {
	if a == nil {
		return b
	}
	order := compareTo(&a.v, &b.v)
	if order < 0 || order == 0 && b.op == opGreater && a.op == opGreaterEqual {
		return b
	}
	return a
}

// lower returns the stricter of two upper bounds, or a if they are equal.
func lower(a, b *comparator) *comparator {
	if a == nil {
		return b
	}
	order := compareTo(&a.v, &b.v)
	if order > 0 || order == 0 && b.op == opLess && a.op == opLessEqual {
		return b
	}
	return a
}

// Simplify returns a shorter range that contains the same subset of the given
// versions, or r if there is no shorter one.
func (r Range) Simplify(versions []Version) Range {
	sorted := slices.Clone(versions)
	slices.SortStableFunc(sorted, Version.Compare)
	var parts []string
	for i := 0; i < len(sorted); i++ {
		if !r.Contains(sorted[i]) {
			continue
		}
		first := i
		for i+1 < len(sorted) && r.Contains(sorted[i+1]) {
			i++
		}
		low, high := sorted[first], sorted[i]
		switch atStart, atEnd := first == 0, i == len(sorted)-1; {
		case low == high && !atEnd:
			parts = append(parts, low.String())
		case atStart && atEnd:
			parts = append(parts, "*")
		case atEnd:
			parts = append(parts, ">="+low.String())
		case atStart:
			parts = append(parts, "<="+high.String())
		default:
			parts = append(parts, low.String()+" - "+high.String())
		}
	}
	text := strings.Join(parts, " || ")
	if len(parts) == 0 {
		text = "<0.0.0-0"
	}
	if len(text) >= len(r.conditions().text) {
		return r
	}
	shorter, err := RangeOptions{IncludePrerelease: r.conditions().include}.Parse(text)
	// A run of prereleases does not always have a short form: its bounds may exclude
	// prereleases between them.
	if err != nil || slices.ContainsFunc(sorted, func(v Version) bool { return shorter.Contains(v) != r.Contains(v) }) {
		return r
	}
	return shorter
}
