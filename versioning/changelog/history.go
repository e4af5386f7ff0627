package changelog

import (
	"context"
	"errors"
	"fmt"
	"iter"
	"slices"
	"strings"
	"time"

	"github.com/serin-go/serin/versioning"
)

// Source lists the commits of a repository. Package gitlog reads them from git,
// and [Entries] from a slice.
type Source interface {
	// Commits yields commits, the newest first, children before their parents.
	// After an error it stops.
	Commits(ctx context.Context) iter.Seq2[Entry, error]
}

// Entry is one commit of a [Source].
type Entry struct {
	Hash    string   // full hash, in hexadecimal
	Parents []string // full hashes; if no Entry has any, the history is linear
	Message string
	Author  string // name
	Email   string
	Time    time.Time // of the commit
	Tags    []string  // names of the tags on the commit, "v1.2.0"
	// Elsewhere marks a commit outside of the selected paths. Only its tags and
	// parents count.
	Elsewhere bool
}

// Entries is a [Source] that reads from a slice.
type Entries []Entry

// Commits yields the entries in their order. It stops when ctx ends.
func (e Entries) Commits(ctx context.Context) iter.Seq2[Entry, error] {
	return func(yield func(Entry, error) bool) {
		for _, entry := range e {
			if err := ctx.Err(); err != nil {
				yield(Entry{}, err)
				return
			}
			if !yield(entry, nil) {
				return
			}
		}
	}
}

// HistoryOptions configures [ReadHistory]. The zero value reads tags such as
// "v1.2.3" and "1.2.3".
type HistoryOptions struct {
	// TagPrefix precedes the version in a tag: "client/v" selects
	// "client/v1.2.3" and ignores other tags. Empty selects tags with and
	// without a leading "v".
	TagPrefix string
	// Base is the version before the oldest commit, for a Source that does not
	// reach back to a tag. It is ignored unless HasBase is true.
	Base    versioning.Version
	HasBase bool
	// First is the version of the first release. Default 0.1.0.
	First versioning.Version
	// Changes maps types of commits to the size of their change. Default
	// [DefaultChanges].
	Changes map[string]versioning.Change
	// BreakingBefore1 is the size of a breaking change below 1.0.0. Default
	// Minor: SemVer, paragraph 4, lets such versions change at any time. Major
	// makes the next version 1.0.0.
	BreakingBefore1 versioning.Change
	// MinorBefore1 is the size of an addition below 1.0.0. Default Minor.
	MinorBefore1 versioning.Change
	// Prerelease makes the next version a prerelease with this identifier: "rc"
	// gives 1.3.0-rc.1, and then 1.3.0-rc.2.
	Prerelease string
}

// DefaultChanges returns the size of the change for each type of commit: Minor
// for a new feature or a deprecation, Patch for a fix. Other types count as None.
// It returns a new map each time.
func DefaultChanges() map[string]versioning.Change {
	return map[string]versioning.Change{
		"feat": versioning.Minor, "feature": versioning.Minor, "deprecate": versioning.Minor,
		"fix": versioning.Patch, "perf": versioning.Patch, "security": versioning.Patch, "revert": versioning.Patch, "remove": versioning.Patch, "change": versioning.Patch,
	}
}

// History holds the commits of a repository, grouped into releases.
type History struct {
	// Releases lists the newest first. If commits follow the newest tag, the first
	// element is Unreleased.
	Releases []LogRelease
	// SkippedTags lists tags that have the prefix but no valid version, and tags
	// on a commit that also has a tag with a later version.
	SkippedTags []versioning.Ignored

	options HistoryOptions
}

// LogRelease is one release in a [History].
type LogRelease struct {
	Tag        string // "" if unreleased
	Version    versioning.Version
	Unreleased bool
	Time       time.Time // of the tagged commit; if unreleased, of the newest commit
	// Changes lists the conventional commits, newest first. Commits that were
	// reverted before their release are left out, and so are their reverts.
	Changes []LogChange
	// Skipped lists the commits that Changes leaves out, with the reason.
	Skipped []Skipped
}

// LogChange is one conventional commit in a [History].
type LogChange struct {
	versioning.Commit
	Hash   string
	Author string
	Time   time.Time
	// Reverts lists the commits of earlier releases that this commit reverts, by
	// hash, or by header if no hash is given.
	Reverts []string
}

// Skipped is a commit that is left out of the changes, with the reason.
type Skipped struct {
	Hash, Header, Reason string
}

// ReadHistory reads all commits of src and groups them into releases. A commit
// belongs to the earliest release that contains it. It wraps errors of src, and
// returns an error if src is nil or o.Prerelease is not a valid identifier.
func ReadHistory(ctx context.Context, src Source, o HistoryOptions) (*History, error) {
	if src == nil {
		return nil, errors.New("changelog: source: missing (have nil, want a Source)")
	}
	if o.Prerelease != "" {
		if _, err := (versioning.Version{}).WithPrerelease(o.Prerelease); err != nil {
			return nil, fmt.Errorf("changelog: HistoryOptions.Prerelease: not a prerelease identifier (have %q, want one such as \"rc\"): %w", o.Prerelease, err)
		}
	}
	if o.Changes == nil {
		o.Changes = DefaultChanges()
	}
	if o.First == (versioning.Version{}) {
		o.First = versioning.MustParse("0.1.0")
	}
	h := &History{options: o}
	r := historyReader{History: h, ordinals: map[string]int32{}}
	for entry, err := range src.Commits(ctx) {
		if err != nil {
			return nil, fmt.Errorf("changelog: read history: %w", err)
		}
		r.read(entry)
	}
	r.group()
	return h, nil
}

// historyReader groups commits into releases.
type historyReader struct {
	*History
	nodes    []*node
	ordinals map[string]int32 // of nodes, by hash
	graph    bool             // a commit has parents
}

type node struct {
	change  LogChange
	header  string
	problem string // why it is not a conventional commit
	parents []string
	tagged  *tagged  // nil without a tag
	reverts *targets // nil if the commit is not a revert
	release int32    // index of its release, counted from the oldest, plus one
	skip    bool
}

type tagged struct {
	tag     string
	version versioning.Version
}

func (r *historyReader) read(e Entry) {
	n := &node{parents: e.Parents, skip: e.Elsewhere}
	n.change = LogChange{Hash: e.Hash, Author: e.Author, Time: e.Time}
	if tag, v := r.tagOf(e.Tags); tag != "" {
		n.tagged = &tagged{tag, v}
	}
	if !e.Elsewhere {
		n.header, _, _ = strings.Cut(strings.TrimLeft(e.Message, "\r\n"), "\n")
		n.header = strings.TrimRight(n.header, "\r")
		c, err := versioning.ParseCommit(e.Message)
		if bad, ok := err.(*versioning.CommitError); ok {
			n.problem = bad.Problem
		}
		n.change.Commit = c
		n.reverts = revertsOf(n.header, e.Message, &c)
	}
	if _, seen := r.ordinals[e.Hash]; !seen {
		r.ordinals[e.Hash] = int32(len(r.nodes))
	}
	r.graph = r.graph || len(e.Parents) > 0
	r.nodes = append(r.nodes, n)
}

// tagOf returns the latest version among tags.
func (r *historyReader) tagOf(tags []string) (tag string, v versioning.Version) {
	for _, name := range tags {
		rest, found := strings.CutPrefix(name, r.options.TagPrefix)
		if r.options.TagPrefix == "" {
			rest = strings.TrimPrefix(rest, "v")
		}
		if !found {
			continue
		}
		w, err := versioning.Parse(rest)
		switch {
		case err != nil:
			r.skipTag(name, err.Error())
		case tag == "" || w.Compare(v) > 0:
			if tag != "" {
				r.skipTag(tag, "the commit also has the tag "+name)
			}
			tag, v = name, w
		default:
			r.skipTag(name, "the commit also has the tag "+tag)
		}
	}
	return tag, v
}

func (r *historyReader) skipTag(tag, reason string) {
	r.SkippedTags = append(r.SkippedTags, versioning.Ignored{Text: tag, Reason: reason})
}

// group assigns each commit to the earliest release that contains it.
func (r *historyReader) group() {
	releases := []LogRelease{}
	for i := len(r.nodes) - 1; i >= 0; i-- {
		if n := r.nodes[i]; n.tagged != nil {
			releases = append(releases, LogRelease{Tag: n.tagged.tag, Version: n.tagged.version, Time: n.change.Time})
			r.assign(i, int32(len(releases)))
		}
	}
	open := LogRelease{Unreleased: true}
	opened := false
	for _, n := range r.nodes {
		if n.release == 0 && !n.skip {
			if !opened {
				opened, open.Time = true, n.change.Time
			}
			n.release = int32(len(releases) + 1)
		}
	}
	if opened {
		releases = append(releases, open)
	}
	members := make([][]*node, len(releases)+1)
	for _, n := range r.nodes {
		if n.release > 0 && !n.skip {
			members[n.release] = append(members[n.release], n)
		}
	}
	r.nodes, r.ordinals = nil, nil
	for i := range releases {
		releases[i].fill(members[i+1])
		members[i+1] = nil
	}
	slices.Reverse(releases)
	r.Releases = releases
}

// assign gives node i and its ancestors to a release, except those that belong
// to an earlier release.
func (r *historyReader) assign(i int, release int32) {
	if !r.graph { // linear: all older commits without a release
		for ; i < len(r.nodes) && r.nodes[i].release == 0; i++ {
			r.nodes[i].release = release
		}
		return
	}
	for stack := []int32{int32(i)}; len(stack) > 0; {
		n := r.nodes[stack[len(stack)-1]]
		stack = stack[:len(stack)-1]
		if n.release != 0 {
			continue
		}
		n.release = release
		for _, parent := range n.parents {
			if j, found := r.ordinals[parent]; found && r.nodes[j].release == 0 {
				stack = append(stack, j)
			}
		}
	}
}

// fill splits the commits of one release, newest first, into changes and skipped.
func (l *LogRelease) fill(members []*node) {
	cancelled := cancel(members)
	l.Changes = make([]LogChange, 0, len(members))
	for _, n := range members {
		reason := n.problem
		switch {
		case cancelled[n] != "":
			reason = cancelled[n]
		case n.reverts != nil && len(n.reverts.left) > 0:
			if reason != "" {
				n.change.Commit = versioning.Commit{Type: "revert", Description: n.reverts.description}
			}
			n.change.Reverts = n.reverts.left
			reason = ""
		}
		if reason != "" {
			l.Skipped = append(l.Skipped, Skipped{n.change.Hash, n.header, reason})
			continue
		}
		l.Changes = append(l.Changes, n.change)
	}
}

// NextVersion is the result of [History.NextVersion].
type NextVersion struct {
	Version versioning.Version // the last version without a change
	Change  versioning.Change  // after the rules for versions below 1.0.0
	Last    versioning.Version
	// HasLast is false before the first release.
	HasLast bool
	// Cause is the oldest of the largest changes. It is nil if there is nothing to
	// release.
	Cause *LogChange
	// Reason explains the version in words.
	Reason string
}

// NextVersion returns the version that the unreleased changes require.
func (h *History) NextVersion() NextVersion {
	var n NextVersion
	n.Last, n.HasLast = h.options.Base, h.options.HasBase
	for i := range h.Releases {
		if l := &h.Releases[i]; !l.Unreleased {
			n.Last, n.HasLast = l.Version, true
			break
		}
	}
	if len(h.Releases) == 0 || !h.Releases[0].Unreleased {
		n.Version, n.Reason = n.Last, "no commits since the last release"
		return n
	}
	changes := h.Releases[0].Changes
	for i := range changes {
		if as, ok := releaseAs(&changes[i]); ok {
			n.Version, n.Cause = as, &changes[i]
			n.Change, _ = n.Last.Diff(as)
			n.Reason = fmt.Sprintf("%s has the footer Release-As: %v", shortHash(changes[i].Hash), as)
			return n
		}
	}
	for i := range changes {
		if c := h.sizeOf(&changes[i]); c >= n.Change && c > versioning.None {
			n.Change, n.Cause = c, &changes[i]
		}
	}
	h.decide(&n)
	return n
}

func (h *History) decide(n *NextVersion) {
	if n.Cause == nil {
		n.Version, n.Reason = n.Last, "no change that affects users"
		return
	}
	n.Reason = fmt.Sprintf("%s (%s) is a %s change", shortHash(n.Cause.Hash), n.Cause.Description, n.Change)
	if !n.HasLast {
		n.Version = h.options.First
		n.Reason = "first release"
	} else {
		if n.Last.Major() == 0 {
			shift := n.Change
			if n.Change == versioning.Major {
				shift = max(h.options.BreakingBefore1, versioning.Patch)
				if h.options.BreakingBefore1 == versioning.None {
					shift = versioning.Minor
				}
			} else if n.Change == versioning.Minor && h.options.MinorBefore1 == versioning.Patch {
				shift = versioning.Patch
			}
			if shift != n.Change {
				n.Reason += fmt.Sprintf(", which is %s before 1.0.0", shift)
				n.Change = shift
			}
		}
		n.Version = n.Last.Next(n.Change)
	}
	if id := h.options.Prerelease; id != "" {
		if n.HasLast && n.Last.Prerelease() != "" && n.Version == n.Last.Core() && strings.HasPrefix(n.Last.Prerelease(), id+".") {
			n.Version, _ = n.Last.NextPre(versioning.None, id)
		} else {
			n.Version, _ = n.Version.WithPrerelease(id + ".1")
		}
	}
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

func releaseAs(c *LogChange) (v versioning.Version, ok bool) {
	for value := range c.Values("Release-As") {
		if v, err := versioning.ParseTolerant(value); err == nil {
			return v, true
		}
	}
	return versioning.Version{}, false
}

func shortHash(hash string) string { return hash[:min(len(hash), 10)] }
