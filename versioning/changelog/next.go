package changelog

import (
	"fmt"
	"slices"
	"strconv"
	"strings"

	"github.com/serin-go/serin/versioning"
)

// NextVersion is the result of [History.NextVersion].
type NextVersion struct {
	// Version is the next version. It is Last if there is nothing to release, and
	// on an error.
	Version versioning.Version
	Change  versioning.Change // after the rules for versions below 1.0.0
	// Last is the highest version that the history contains.
	Last versioning.Version
	// HasLast is false before the first release.
	HasLast bool
	// Cause is the oldest of the largest changes. It is nil if there is nothing to
	// release, and if Promotes alone is the reason.
	Cause *LogChange
	// Promotes is the prerelease that becomes a release, 1.3.0-rc.2 for 1.3.0, or
	// the zero Version.
	Promotes versioning.Version
	// Reason explains the version in words.
	Reason string
	// Err is a [*NextError] if no version can be right. Then Version is Last, and
	// Release reports false.
	Err error
}

// Release reports whether there is something to release.
func (n NextVersion) Release() bool {
	return n.Err == nil && (n.Cause != nil || n.Promotes != versioning.Version{})
}

// NextError means that the version that the changes require cannot be released.
type NextError struct {
	Version versioning.Version // that the changes require
	Tag     string             // that is in its way, or ""
	Problem string
}

func (e *NextError) Error() string {
	return fmt.Sprintf("changelog: next version %v: %s", e.Version, e.Problem)
}

// NextVersion returns the version that the unreleased changes require. It is higher
// than every tagged version, whether the history contains it or not, except the
// versions that HistoryOptions.Within and Channels leave out. If no such version
// follows from the changes, Err says why.
//
// Changes count from the highest release that the history contains, so that the
// release after some prereleases has the changes of all of them. If the highest
// version is a prerelease and its release was tagged on a branch that is not merged,
// changes count from where this branch began.
func (h *History) NextVersion() NextVersion {
	n := NextVersion{Last: h.options.Base, HasLast: h.options.HasBase}
	if h.heads.any >= 0 {
		n.Last, n.HasLast = h.tags[h.heads.any].version, true
	}
	n.Version = n.Last
	h.decide(&n)
	if n.Release() {
		n.Err = h.check(n.Version)
	}
	if n.Err != nil {
		n.Version, n.Change, n.Cause, n.Promotes = n.Last, versioning.None, nil, versioning.Version{}
		n.Reason = strings.TrimPrefix(n.Err.Error(), "changelog: ")
	}
	return n
}

// decide sets the version without a look at tags that are in its way.
func (h *History) decide(n *NextVersion) {
	if h.releaseAs(n) {
		return
	}
	base, hasBase, pre := h.bases(n)
	changes := h.pending.Changes
	if !hasBase && pre != (versioning.Version{}) || h.options.Prerelease != "" {
		changes = h.fresh.Changes
	}
	n.Change, n.Cause = h.largest(changes)
	if n.Cause == nil && !h.promotes(n, base, hasBase, pre) {
		return
	}
	core := h.options.First
	switch {
	case hasBase:
		size, _ := h.largest(h.pending.Changes)
		core = base.Next(h.shift(base, size))
	case pre != versioning.Version{}:
		core = pre.Next(h.shift(pre, n.Change))
	}
	if pre.Core().Compare(core) > 0 {
		core = pre.Core()
	}
	h.explain(n, base, hasBase || pre != versioning.Version{}, pre)
	n.Version = core
	if h.options.Prerelease != "" {
		n.Version, n.Err = h.nextCandidate(core)
	}
}

// bases returns the release from which the changes count, and the prerelease of a
// later release that the history contains, or zero.
func (h *History) bases(n *NextVersion) (base versioning.Version, hasBase bool, pre versioning.Version) {
	switch {
	case h.heads.any < 0 && n.HasLast && n.Last.Prerelease() != "":
		pre = n.Last
	case h.heads.any < 0:
		base, hasBase = n.Last, n.HasLast
	case h.heads.final >= 0:
		base, hasBase = h.tags[h.heads.final].version, true
	}
	if h.heads.any >= 0 && !h.tags[h.heads.any].final() {
		pre = h.tags[h.heads.any].version
	}
	if h.heads.fork >= 0 {
		if fork := h.tags[h.heads.fork].version; !hasBase || fork.Compare(base) > 0 {
			base, hasBase = fork, true
		}
	}
	if hasBase && pre.Compare(base) < 0 {
		pre = versioning.Version{}
	}
	return base, hasBase, pre
}

// promotes reports whether the next version only repeats a prerelease, and says so in
// n. If not, there is nothing to release.
func (h *History) promotes(n *NextVersion, base versioning.Version, hasBase bool, pre versioning.Version) bool {
	if pre == (versioning.Version{}) || hasBase && pre.Core().Compare(base) <= 0 || h.options.Prerelease != "" && channelOf(pre) == h.options.Prerelease {
		n.Reason = h.nothing()
		return false
	}
	n.Promotes = pre
	return true
}

// nothing explains why there is nothing to release.
func (h *History) nothing() string {
	l := h.pending
	if h.options.Prerelease != "" {
		l = h.fresh
	}
	after := "since " + l.Since
	if l.Since == "" {
		after = "in the history"
	}
	if len(l.Changes)+len(l.Skipped) == 0 {
		return "no commits " + after
	}
	plain := 0
	for i := range l.Skipped {
		if l.Skipped[i].unconventional {
			plain++
		}
	}
	if len(l.Changes) == 0 && plain > 0 {
		return fmt.Sprintf("none of the %d commits %s is a Conventional Commit", plain, after)
	}
	return "no change that affects users " + after
}

func (h *History) explain(n *NextVersion, base versioning.Version, hasBase bool, pre versioning.Version) {
	if n.Cause == nil {
		n.Reason = fmt.Sprintf("%v becomes a release", n.Promotes)
		if h.options.Prerelease != "" {
			n.Reason = fmt.Sprintf("%v becomes %s", n.Promotes, h.options.Prerelease)
		}
		return
	}
	n.Reason = fmt.Sprintf("%s (%s) is a %s change", shortHash(n.Cause.Hash), n.Cause.Description, n.Change)
	if !hasBase {
		n.Reason = "first release"
		return
	}
	from := base
	if pre != (versioning.Version{}) {
		from = pre
		if h.options.Prerelease == "" {
			n.Promotes = pre
		}
	}
	if shift := h.shift(from, n.Change); shift != n.Change {
		n.Reason += fmt.Sprintf(", which is %s before 1.0.0", shift)
		n.Change = shift
	}
}

// shift applies the rules for versions below 1.0.0.
func (h *History) shift(from versioning.Version, c versioning.Change) versioning.Change {
	switch {
	case from.Major() > 0:
	case c == versioning.Major && h.options.BreakingBefore1 == versioning.None:
		return versioning.Minor
	case c == versioning.Major:
		return h.options.BreakingBefore1
	case c == versioning.Minor && h.options.MinorBefore1 == versioning.Patch:
		return versioning.Patch
	}
	return c
}

// largest returns the size of the largest change and the oldest change of this size.
func (h *History) largest(changes []LogChange) (size versioning.Change, cause *LogChange) {
	for i := range changes {
		if c := h.sizeOf(&changes[i]); c >= size && c > versioning.None {
			size, cause = c, &changes[i]
		}
	}
	return size, cause
}

// sizeOf returns the size of a change.
func (h *History) sizeOf(c *LogChange) versioning.Change {
	if c.Breaking {
		return versioning.Major
	}
	if len(c.Reverts) > 0 {
		return versioning.Patch // a revert adds nothing
	}
	for range c.Values("DEPRECATED") {
		return max(versioning.Minor, h.options.Changes[c.Type])
	}
	return h.options.Changes[c.Type]
}

// releaseAs applies the newest footer Release-As of a commit without a version.
func (h *History) releaseAs(n *NextVersion) bool {
	changes := h.fresh.Changes
	for i := range changes {
		c := &changes[i]
		for value := range c.Values("Release-As") {
			as, err := versioning.ParseTolerant(value)
			if err != nil {
				n.Err = &NextError{n.Last, "", fmt.Sprintf("%s has the footer Release-As: %s, which is not a version", shortHash(c.Hash), clipText(value))}
				return true
			}
			n.Version, n.Cause = as, c
			n.Change, _ = n.Last.Diff(as)
			n.Reason = fmt.Sprintf("%s has the footer Release-As: %v", shortHash(c.Hash), as)
			if h.options.Prerelease != "" && as.Prerelease() == "" {
				n.Version, n.Err = h.nextCandidate(as)
			}
			return true
		}
	}
	return false
}

// channelOf returns the identifier of a prerelease, "rc" in 1.2.0-rc.1 and in
// 1.2.0-rc1.
func channelOf(v versioning.Version) string {
	pre := v.Prerelease()
	end := len(pre)
	for end > 0 && (pre[end-1]-'0' <= 9 || pre[end-1] == '.') {
		end--
	}
	return pre[:end]
}

// nextCandidate returns the next prerelease of a release, in the spelling of the last
// prerelease of this channel.
func (h *History) nextCandidate(core versioning.Version) (versioning.Version, error) {
	id := h.options.Prerelease
	separator, first, last := ".", "1", ""
	spelt := false
	for i := range h.tags { // the highest first
		v := h.tags[i].version
		digits, ok := strings.CutPrefix(v.Prerelease(), id)
		if !ok || channelOf(v) != id {
			continue
		}
		dotted := strings.HasPrefix(digits, ".")
		digits = strings.TrimPrefix(digits, ".")
		if digits == "" || strings.Contains(digits, ".") {
			continue
		}
		if !spelt && !dotted {
			separator = ""
		}
		spelt = true
		if digits == "0" {
			first = "0"
		}
		// Without a dot, 10 sorts before 9, so the highest is not the latest.
		if v.Core().Compare(core) == 0 && dotted == (separator == ".") && (len(digits) > len(last) || len(digits) == len(last) && digits > last) {
			last = digits
		}
	}
	if last != "" {
		first = addOne(last)
	}
	return parseNext(core, id+separator+first)
}

func parseNext(core versioning.Version, pre string) (versioning.Version, error) {
	v, err := core.WithPrerelease(pre)
	if err != nil {
		return core, &NextError{core, "", err.Error()}
	}
	return v, nil
}

// addOne adds one to a decimal number of any length.
func addOne(digits string) string {
	if n, err := strconv.ParseUint(digits, 10, 63); err == nil {
		return strconv.FormatUint(n+1, 10)
	}
	return digits + "1"
}

// check returns a [*NextError] if a version cannot be released.
func (h *History) check(v versioning.Version) error {
	switch {
	case !h.relevant(v):
		return &NextError{v, "", fmt.Sprintf("outside of the range %v of this branch", h.options.Within)}
	case h.options.HasBase && h.heads.any < 0 && v.Compare(h.options.Base) <= 0:
		return &NextError{v, "", fmt.Sprintf("not higher than the base %v", h.options.Base)}
	}
	for i := range h.tags { // the highest first
		t := &h.tags[i]
		switch c := t.version.Compare(v); {
		case c == 0:
			return &NextError{v, t.tag, fmt.Sprintf("the tag %s has this version", t.tag)}
		case c > 0 && h.binds(t):
			return &NextError{v, t.tag, h.inTheWay(t)}
		}
	}
	for _, prefix := range h.prefixes() {
		if name := prefix + v.String(); h.names[name] {
			return &NextError{v, name, fmt.Sprintf("the tag %s exists", name)}
		}
	}
	return nil
}

func (h *History) prefixes() []string {
	if h.options.TagPrefix == "" {
		return []string{"v", ""}
	}
	return []string{h.options.TagPrefix}
}

// binds reports whether the next version must be higher than a tagged one.
func (h *History) binds(t *release) bool {
	id := channelOf(t.version)
	switch {
	case !h.relevant(t.version):
		return false
	case t.final() || id == h.options.Prerelease || !slices.Contains(h.options.Channels, id):
		return true
	}
	return h.options.Prerelease == "" && !t.outside
}

func (h *History) inTheWay(t *release) string {
	switch {
	case !t.outside:
		return fmt.Sprintf("not higher than %s, which the history contains", t.tag)
	case !t.final():
		return fmt.Sprintf("%s is higher and was tagged on another branch; if its prereleases have a branch of their own, add %q to Channels", t.tag, channelOf(t.version))
	case h.options.Within == versioning.Range{} && h.heads.any >= 0:
		last := h.tags[h.heads.any].version
		return fmt.Sprintf("%s is higher and was tagged on another branch; if this is a maintenance branch, limit it to a range such as %d.%d.x, and if it is ahead of all others, say so", t.tag, last.Major(), last.Minor())
	}
	return fmt.Sprintf("%s is higher and was tagged on another branch", t.tag)
}

func shortHash(hash string) string { return hash[:min(len(hash), 10)] }
