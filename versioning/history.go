package versioning

import (
	"context"
	"errors"
	"fmt"
	"iter"
	"slices"
	"strings"
	"time"
)

// Source is where a history comes from: a git repository (package gitlog), a
// slice ([Entries]), or anything else that can list commits.
type Source interface {
	// Commits yields commits, the newest first, children before their parents.
	// After an error it yields nothing more.
	Commits(ctx context.Context) iter.Seq2[Entry, error]
}

// Entry is one commit as a [Source] tells of it.
type Entry struct {
	Hash    string   // full hash, in hexadecimal
	Parents []string // full hashes; with none at all the history is read as a line
	Message string
	Author  string // name
	Email   string
	Time    time.Time // when it was committed
	Tags    []string  // names of the tags on it, "v1.2.0"
	// Elsewhere marks a commit that did not touch the part of the repository
	// that is asked about. Only its tags and parents count.
	Elsewhere bool
}

// Entries is a [Source] made of a slice.
type Entries []Entry

// Commits yields the entries in their order.
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

// HistoryOptions says how commits become releases. The zero value reads tags
// such as "v1.2.3" and "1.2.3".
type HistoryOptions struct {
	// TagPrefix stands before the version in a tag: "client/v" finds
	// "client/v1.2.3" and passes over all other tags. Empty means "v" or nothing.
	TagPrefix string
	// Base is the version before the oldest commit, for a Source that does not
	// reach back to its tag. It counts only when HasBase is true.
	Base    Version
	HasBase bool
	// First is the version of the first release. The zero value means 0.1.0.
	First Version
	// Changes says what types of commits mean; nil means [DefaultChanges].
	Changes map[string]Change
	// BreakingBefore1 is what a breaking change means to a version below 1.0.0.
	// None means Minor, after §4: such versions promise nothing yet. Major makes
	// 1.0.0 of it.
	BreakingBefore1 Change
	// MinorBefore1 is what an addition means to a version below 1.0.0. None means
	// Minor.
	MinorBefore1 Change
	// Prerelease makes the next version a prerelease with this identifier,
	// "rc": 1.3.0-rc.1, and 1.3.0-rc.2 after that.
	Prerelease string
}

// DefaultChanges says what the types of commits mean where nothing else is said:
// a new feature or a deprecation is Minor, a repair is Patch. Types that are not
// listed change nothing for users. It returns a new map each time.
func DefaultChanges() map[string]Change {
	return map[string]Change{
		"feat": Minor, "feature": Minor, "deprecate": Minor,
		"fix": Patch, "perf": Patch, "security": Patch, "revert": Patch, "remove": Patch, "change": Patch,
	}
}

// History is what happened to something, release by release.
type History struct {
	// Releases holds the newest first. When commits follow the newest tag, the
	// first one is Unreleased.
	Releases []LogRelease
	// SkippedTags are tags with the prefix that name no version, and tags of a
	// commit that another, later version names too.
	SkippedTags []Ignored

	options HistoryOptions
}

// LogRelease is one release in a [History].
type LogRelease struct {
	Tag        string // "" when unreleased
	Version    Version
	Unreleased bool
	Time       time.Time // of the tagged commit, or of the newest one
	// Changes are the conventional commits, newest first, without those that
	// were reverted before they were released, and their reverts.
	Changes []LogChange
	// Skipped are the commits that are in Changes in no form, and why.
	Skipped []Skipped
}

// LogChange is one conventional commit in a [History].
type LogChange struct {
	Commit
	Hash   string
	Author string
	Time   time.Time
	// Reverts holds the hashes and headers of what the commit takes back and
	// was released before; it is empty for other commits.
	Reverts []string
}

// Skipped is a commit that does not appear among the changes, and why.
type Skipped struct {
	Hash, Header, Reason string
}

// ReadHistory reads all commits of src and sorts them into releases. A commit
// belongs to the earliest release that contains it. Errors of src are returned
// as they are, wrapped.
func ReadHistory(ctx context.Context, src Source, o HistoryOptions) (*History, error) {
	if src == nil {
		return nil, errors.New("versioning: the history has no Source")
	}
	if o.Prerelease != "" {
		if _, err := (Version{}).WithPrerelease(o.Prerelease); err != nil {
			return nil, fmt.Errorf("versioning: HistoryOptions.Prerelease: %w", err)
		}
	}
	if o.Changes == nil {
		o.Changes = DefaultChanges()
	}
	if o.First == (Version{}) {
		o.First = Version{minor: 1}
	}
	h := &History{options: o}
	r := historyReader{History: h, ordinals: map[string]int32{}}
	for entry, err := range src.Commits(ctx) {
		if err != nil {
			return nil, fmt.Errorf("versioning: reading the history: %w", err)
		}
		r.read(entry)
	}
	r.group()
	return h, nil
}

// historyReader sorts commits into releases.
type historyReader struct {
	*History
	nodes    []*node
	ordinals map[string]int32 // of nodes, by hash
	graph    bool             // the source tells of parents
}

type node struct {
	change  LogChange
	header  string
	problem string // why it is no conventional commit
	parents []string
	tagged  *tagged  // nil without a tag
	reverts *targets // nil when it takes nothing back
	release int32    // index of its release, counted from the oldest, plus one
	skip    bool
}

type tagged struct {
	tag     string
	version Version
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
		c, err := ParseCommit(e.Message)
		if bad, ok := err.(*CommitError); ok {
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
func (r *historyReader) tagOf(tags []string) (tag string, v Version) {
	for _, name := range tags {
		rest, found := strings.CutPrefix(name, r.options.TagPrefix)
		if r.options.TagPrefix == "" {
			rest = strings.TrimPrefix(rest, "v")
		}
		if !found {
			continue
		}
		w, err := Parse(rest)
		switch {
		case err != nil:
			r.SkippedTags = append(r.SkippedTags, Ignored{name, err.Error()})
		case tag == "" || w.Compare(v) > 0:
			if tag != "" {
				r.SkippedTags = append(r.SkippedTags, Ignored{tag, "the same commit is also " + name})
			}
			tag, v = name, w
		default:
			r.SkippedTags = append(r.SkippedTags, Ignored{name, "the same commit is also " + tag})
		}
	}
	return tag, v
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

// assign gives node i and all that it contains to a release, but for what
// belongs to an earlier one.
func (r *historyReader) assign(i int, release int32) {
	if !r.graph { // a line: everything older that is still free
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

// fill sorts the commits of one release, newest first, into changes and skipped.
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
				n.change.Commit = Commit{Type: "revert", Description: n.reverts.description}
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

// NextVersion is what a [History] says should be released next.
type NextVersion struct {
	Version Version // the last one when Change is None
	Change  Change  // after the rules for versions below 1.0.0
	Last    Version
	// HasLast is false before the first release.
	HasLast bool
	// Cause is the change that forced the version: of those that demand the most,
	// the oldest. It is nil when there is nothing to release.
	Cause *LogChange
	// Reason says the same for people.
	Reason string
}

// NextVersion infers the next version from what is unreleased.
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
		n.Version, n.Reason = n.Last, "nothing has been committed since"
		return n
	}
	changes := h.Releases[0].Changes
	for i := range changes {
		if as, ok := releaseAs(&changes[i]); ok {
			n.Version, n.Cause = as, &changes[i]
			n.Change, _ = n.Last.Diff(as)
			n.Reason = fmt.Sprintf("%s says Release-As: %v", shortHash(changes[i].Hash), as)
			return n
		}
	}
	for i := range changes {
		if c := h.weigh(&changes[i]); c >= n.Change && c > None {
			n.Change, n.Cause = c, &changes[i]
		}
	}
	h.decide(&n)
	return n
}

func (h *History) decide(n *NextVersion) {
	if n.Cause == nil {
		n.Version, n.Reason = n.Last, "no change that users would notice"
		return
	}
	n.Reason = fmt.Sprintf("%s (%s) is a %s change", shortHash(n.Cause.Hash), n.Cause.Description, n.Change)
	if !n.HasLast {
		n.Version = h.options.First
		n.Reason = "the first release"
	} else {
		if n.Last.major == 0 {
			shift := n.Change
			if n.Change == Major {
				shift = max(h.options.BreakingBefore1, Patch)
				if h.options.BreakingBefore1 == None {
					shift = Minor
				}
			} else if n.Change == Minor && h.options.MinorBefore1 == Patch {
				shift = Patch
			}
			if shift != n.Change {
				n.Reason += fmt.Sprintf(", which is %s before 1.0.0", shift)
				n.Change = shift
			}
		}
		n.Version = n.Last.Next(n.Change)
	}
	if id := h.options.Prerelease; id != "" {
		if n.HasLast && n.Last.pre != "" && n.Version == n.Last.Core() && strings.HasPrefix(n.Last.pre, id+".") {
			n.Version, _ = n.Last.NextPre(None, id)
		} else {
			n.Version, _ = n.Version.WithPrerelease(id + ".1")
		}
	}
}

// weigh says how much a change matters.
func (h *History) weigh(c *LogChange) Change {
	if c.Breaking {
		return Major
	}
	if len(c.Reverts) > 0 {
		return Patch // it takes something back, and adds nothing
	}
	for range c.Values("DEPRECATED") {
		return max(Minor, h.options.Changes[c.Type])
	}
	return h.options.Changes[c.Type]
}

func releaseAs(c *LogChange) (v Version, ok bool) {
	for value := range c.Values("Release-As") {
		if v, err := ParseTolerant(value); err == nil {
			return v, true
		}
	}
	return Version{}, false
}

func shortHash(hash string) string { return hash[:min(len(hash), 10)] }
