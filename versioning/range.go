package versioning

import (
	"fmt"
	"iter"
	"strings"
)

// MaxRangeLength is the maximum length of a range in bytes.
const MaxRangeLength = 4096

// Range is a set of versions in npm syntax: "^1.2.0 || >=3.0.0-rc <4". Make one with
// [ParseRange] or [RangeOptions.Parse]. The zero value contains no version. A Range
// is immutable.
//
// A prerelease is in a range only if one of the comparators of the same alternative
// has a prerelease with the same major, minor and patch: ">=1.2.3-rc.1 <3" contains
// 1.2.3-rc.2, but not 2.0.0-rc.1. IncludePrerelease of [RangeOptions] disables this
// rule.
//
// A bare version means exactly this version, as in npm. In Cargo it means "^".
type Range struct {
	// A pointer, so that a call of Contains passes one word instead of six. Nil is
	// the empty range. The conditions are immutable.
	set *conditions
}

type conditions struct {
	text    string
	terms   []comparator // of all alternatives, in order
	include bool         // of RangeOptions.IncludePrerelease
}

// comparator is one condition. A range is a disjunction of conjunctions of
// comparators. The last comparator of each conjunction is marked.
type comparator struct {
	v    Version
	op   operator
	last bool
}

// operator has a bit for each accepted outcome of a comparison.
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

// String returns the condition in the form of node-semver. "" means any version.
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

// containsRelease is contains for releases, the most frequent case. The rule for
// prereleases does not apply to them.
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

// String returns r in normal form, with comparators joined by spaces and
// alternatives by "||": ">=1.2.0 <2.0.0-0||3.1.4" for "^1.2 || 3.1.4". The range of
// all versions is "*". Parsing the result with the same options gives the same range.
func (r Range) String() string {
	return describe(r.conditions().terms)
}

// describe is [Range.String] for some comparators of a range.
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

// MarshalText returns the text from which r was parsed. The error is always nil.
func (r Range) MarshalText() ([]byte, error) {
	if r.set == nil {
		return []byte(r.String()), nil
	}
	return []byte(r.set.text), nil
}

// UnmarshalText sets r to the result of [ParseRange]. On an error, r is unchanged.
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

// Filter yields the versions that are in r, in their order.
func (r Range) Filter(versions iter.Seq[Version]) iter.Seq[Version] {
	return func(yield func(Version) bool) {
		for v := range versions {
			if r.Contains(v) && !yield(v) {
				return
			}
		}
	}
}

// MaxSatisfying returns the latest of the versions in r. Of versions with equal
// precedence, it returns the first. ok is false if no version is in r.
func (r Range) MaxSatisfying(versions []Version) (v Version, ok bool) { return r.best(versions, +1) }

// MinSatisfying is like [Range.MaxSatisfying], but returns the earliest version.
func (r Range) MinSatisfying(versions []Version) (v Version, ok bool) { return r.best(versions, -1) }

func (r Range) best(versions []Version, direction int) (best Version, ok bool) {
	for i := range versions {
		if (!ok || compareTo(&versions[i], &best) == direction) && r.Contains(versions[i]) {
			best, ok = versions[i], true
		}
	}
	return best, ok
}

// Unsatisfied means that a version is not in a range.
type Unsatisfied struct {
	Version Version
	// Range is the text of the range.
	Range string
	// Failed has one element for each alternative of the range, in their order.
	Failed []Failure
}

// Failure is the reason why a version is not in one alternative of a range.
type Failure struct {
	// Alternative is the alternative in normal form, ">=1.2.0 <2.0.0-0".
	Alternative string
	// Comparator is the condition that does not hold, "<2.0.0-0". It is "" if all
	// conditions hold, but the rule for prereleases excludes the version.
	Comparator string
}

func (e *Unsatisfied) Error() string {
	var b strings.Builder
	fmt.Fprintf(&b, "versioning: version %v: not in range %q: ", e.Version, e.Range)
	for i, f := range e.Failed {
		if i > 0 {
			b.WriteString("; ")
		}
		if f.Comparator != "" {
			fmt.Fprintf(&b, "not %s", f.Comparator)
		} else {
			fmt.Fprintf(&b, "%q does not include prereleases of %v", f.Alternative, e.Version.Core())
		}
	}
	if len(e.Failed) == 0 {
		b.WriteString("the range is empty")
	}
	return b.String()
}

// Explain returns nil if v is in r. Otherwise it returns an [*Unsatisfied] that has,
// for each alternative, the first comparator that does not hold.
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
