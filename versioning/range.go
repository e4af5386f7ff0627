package versioning

import (
	"fmt"
	"iter"
	"strings"
)

// MaxRangeLength is the length in bytes of the longest text that is accepted as
// a range.
const MaxRangeLength = 4096

// Range is a set of versions, written as npm writes them: "^1.2.0 || >=3.0.0-rc
// <4". Make one with [ParseRange] or [RangeOptions.Parse]. The zero value
// contains nothing. A Range is never changed after it has been made.
//
// A prerelease is in a range only when a comparator beside those that admit it
// has a prerelease of the same major, minor and patch: ">=1.2.3-rc.1 <3" opens
// the range to 1.2.3-rc.2 and not to 2.0.0-rc.1. IncludePrerelease of
// [RangeOptions] lifts that rule.
//
// A bare version means exactly that version, as for npm; Cargo reads it as "^".
type Range struct {
	// A pointer, so that a call of Contains passes one word and not six. Nil is
	// the empty range; what it points to is never changed.
	set *conditions
}

type conditions struct {
	text    string
	terms   []comparator // alternatives one after the other
	include bool         // prereleases need no invitation
}

// comparator is one condition. A range is a disjunction of conjunctions of
// them; the last of each conjunction is marked.
type comparator struct {
	v    Version
	op   operator
	last bool
}

// operator has a bit for each outcome of a comparison that satisfies it.
type operator uint8

const (
	opLess operator = 1 << iota
	opEqual
	opGreater

	opLessEqual    = opLess | opEqual
	opGreaterEqual = opGreater | opEqual
	opAny          = opLess | opEqual | opGreater
)

var operatorText = [...]string{opLess: "<", opEqual: "", opLessEqual: "<=", opGreater: ">", opGreaterEqual: ">="}

// String returns the condition as node-semver prints it: "" is any version.
func (c *comparator) String() string {
	if c.op == opAny {
		return ""
	}
	return operatorText[c.op] + c.v.String()
}

func (c *comparator) holds(v *Version) bool { return c.op>>(compareTo(v, &c.v)+1)&1 != 0 }

// compareTo is [Version.Compare] without copying two versions.
func compareTo(v, w *Version) int {
	switch {
	case v.major != w.major:
		return sign(v.major > w.major)
	case v.minor != w.minor:
		return sign(v.minor > w.minor)
	case v.patch != w.patch:
		return sign(v.patch > w.patch)
	}
	return comparePre(v.pre, w.pre)
}

func comparePre(a, b string) int {
	switch {
	case a == b:
		return 0
	case a == "":
		return +1
	case b == "":
		return -1
	}
	return comparePrerelease(a, b)
}

func sign(positive bool) int {
	if positive {
		return +1
	}
	return -1
}

func (c *comparator) invites(v *Version) bool {
	return c.op != opAny && c.v.pre != "" && sameCore(&c.v, v)
}

func sameCore(v, w *Version) bool {
	return v.major == w.major && v.minor == w.minor && v.patch == w.patch
}

// Contains reports whether v is in r. It does not allocate.
func (r Range) Contains(v Version) bool {
	switch {
	case r.set == nil:
		return false
	case v.pre == "":
		return containsRelease(r.set.terms, v.major, v.minor, v.patch)
	}
	return contains(r.set.terms, &v, r.set.include)
}

var emptySet conditions

// conditions is r.set, which may be nil.
func (r Range) conditions() *conditions {
	if r.set == nil {
		return &emptySet
	}
	return r.set
}

func contains(terms []comparator, v *Version, include bool) bool {
	if v.pre == "" {
		return containsRelease(terms, v.major, v.minor, v.patch)
	}
	ok, invited := true, include
	for i := range terms {
		c := &terms[i]
		if ok {
			ok = c.holds(v)
			invited = invited || c.invites(v)
		}
		if c.last {
			if ok && invited {
				return true
			}
			ok, invited = true, include
		}
	}
	return false
}

// containsRelease is contains for versions that are no prereleases, which are
// most: they need no invitation, and come after every prerelease of theirs.
func containsRelease(terms []comparator, major, minor, patch uint64) bool {
	ok := true
	for i := range terms {
		c := &terms[i]
		if ok {
			outcome := opGreater
			switch {
			case major != c.v.major:
				if major < c.v.major {
					outcome = opLess
				}
			case minor != c.v.minor:
				if minor < c.v.minor {
					outcome = opLess
				}
			case patch != c.v.patch:
				if patch < c.v.patch {
					outcome = opLess
				}
			case c.v.pre == "":
				outcome = opEqual
			}
			ok = c.op&outcome != 0
		}
		if c.last {
			if ok {
				return true
			}
			ok = true
		}
	}
	return false
}

// String returns r in its plainest form, comparators joined by spaces and
// alternatives by "||": ">=1.2.0 <2.0.0-0||3.1.4" for "^1.2 || 3.1.4". The range
// of all versions is "*". Parsed with the same options it gives the same range.
func (r Range) String() string {
	return describe(r.conditions().terms)
}

// describe is String for some of the comparators of a range.
func describe(terms []comparator) string {
	var b strings.Builder
	start := true
	for i := range terms {
		if !start {
			b.WriteByte(' ')
		}
		b.WriteString(terms[i].String())
		if start = terms[i].last; start && i+1 < len(terms) {
			b.WriteString("||")
		}
	}
	switch {
	case terms == nil:
		return "<0.0.0-0"
	case b.Len() == 0:
		return "*"
	}
	return b.String()
}

// MarshalText returns the text that r was parsed from.
func (r Range) MarshalText() ([]byte, error) {
	if r.set == nil {
		return []byte(r.String()), nil
	}
	return []byte(r.set.text), nil
}

// UnmarshalText sets r to what [ParseRange] makes of text. On an error r is left
// as it was.
func (r *Range) UnmarshalText(text []byte) error {
	parsed, err := ParseRange(string(text))
	if err != nil {
		return err
	}
	*r = parsed
	return nil
}

// alternatives yields the conjunctions of r.
func (r Range) alternatives() iter.Seq[[]comparator] {
	terms := r.conditions().terms
	return func(yield func([]comparator) bool) {
		start := 0
		for i := range terms {
			if terms[i].last {
				if !yield(terms[start : i+1]) {
					return
				}
				start = i + 1
			}
		}
	}
}

// Filter yields the versions that are in r, in the order in which they come.
func (r Range) Filter(versions iter.Seq[Version]) iter.Seq[Version] {
	return func(yield func(Version) bool) {
		for v := range versions {
			if r.Contains(v) && !yield(v) {
				return
			}
		}
	}
}

// MaxSatisfying returns the latest of the versions that is in r. Of versions
// with equal precedence it returns the first. ok is false when none is in r.
func (r Range) MaxSatisfying(versions []Version) (v Version, ok bool) { return r.best(versions, +1) }

// MinSatisfying returns the earliest of the versions that is in r, in the way of
// [Range.MaxSatisfying].
func (r Range) MinSatisfying(versions []Version) (v Version, ok bool) { return r.best(versions, -1) }

func (r Range) best(versions []Version, direction int) (best Version, ok bool) {
	for i := range versions {
		if (!ok || compareTo(&versions[i], &best) == direction) && r.Contains(versions[i]) {
			best, ok = versions[i], true
		}
	}
	return best, ok
}

// Unsatisfied says why a version is not in a range.
type Unsatisfied struct {
	Version Version
	// Range is the range as it was written.
	Range string
	// Failed has one entry for each alternative of the range, in their order.
	Failed []Failure
}

// Failure says why a version is not in one alternative of a range.
type Failure struct {
	// Alternative is the alternative in its plainest form, ">=1.2.0 <2.0.0-0".
	Alternative string
	// Comparator is the condition that does not hold, "<2.0.0-0", or "" when all
	// hold and the version is a prerelease that none of them invites.
	Comparator string
}

func (e *Unsatisfied) Error() string {
	var b strings.Builder
	fmt.Fprintf(&b, "versioning: %v is not in %q: ", e.Version, e.Range)
	for i, f := range e.Failed {
		if i > 0 {
			b.WriteString("; ")
		}
		if f.Comparator != "" {
			fmt.Fprintf(&b, "not %s", f.Comparator)
		} else {
			fmt.Fprintf(&b, "%q does not invite prereleases of %v", f.Alternative, e.Version.Core())
		}
	}
	if len(e.Failed) == 0 {
		b.WriteString("the range is empty")
	}
	return b.String()
}

// Explain returns nil when v is in r, and otherwise an [*Unsatisfied] that names
// for each alternative the first comparator that does not hold.
func (r Range) Explain(v Version) error {
	if r.Contains(v) {
		return nil
	}
	e := &Unsatisfied{Version: v, Range: r.conditions().text}
	for terms := range r.alternatives() {
		f := Failure{Alternative: describe(terms)}
		for i := range terms {
			if !terms[i].holds(&v) {
				f.Comparator = terms[i].String()
				break
			}
		}
		e.Failed = append(e.Failed, f)
	}
	return e
}
