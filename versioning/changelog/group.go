package changelog

import (
	"path"
	"slices"
	"strings"
	"time"

	"github.com/serin-go/serin/versioning"
)

// historyReader groups commits into releases.
type historyReader struct {
	*History
	nodes     []*node
	hasParent bool // a commit has parents
}

// node is one commit while a history is read.
type node struct {
	change  LogChange
	header  string
	problem string   // why it is not a conventional commit
	parents []string // nil once the graph is known
	tags    []string
	reverts *targets // nil if the commit is not a revert
	in      *containers
	skip    bool // outside of the selected paths
	outside bool // not in the selected revision
	merge   bool // several parents
}

// release is a version that is tagged.
type release struct {
	tag     string
	version versioning.Version
	node    int
	time    time.Time
	outside bool
	since   int // index of the release before, or -1
}

func (r *release) final() bool { return r.version.Prerelease() == "" }

// heads are the releases that decide about the next version, as indices of
// History.tags, or -1.
type heads struct {
	final, any int // the highest that the history contains
	// fork is the highest release that the history does not contain, if the history
	// goes on after it: it finishes the highest version in the history, a
	// prerelease, or there is no version in the history, or HistoryOptions.Ahead.
	fork int
}

func (r *historyReader) read(e Entry) {
	n := &node{parents: e.Parents, merge: len(e.Parents) > 1, tags: e.Tags, skip: e.Elsewhere || e.Outside, outside: e.Outside}
	n.change = LogChange{Hash: e.Hash, Author: e.Author, Email: e.Email, Time: e.Time}
	if !n.skip {
		n.header, _, _ = strings.Cut(strings.TrimLeft(e.Message, "\r\n"), "\n")
		n.header = strings.TrimRight(n.header, "\r")
		c, err := versioning.ParseCommit(e.Message)
		if bad, ok := err.(*versioning.CommitError); ok {
			n.problem = bad.Problem
		}
		n.change.Commit = c
		n.reverts = revertsOf(n.header, e.Message, &c)
	}
	r.hasParent = r.hasParent || len(e.Parents) > 0
	r.nodes = append(r.nodes, n)
}

func (r *historyReader) skipTag(tag, reason string) {
	r.SkippedTags = append(r.SkippedTags, versioning.Ignored{Text: tag, Reason: reason})
}

// group lists the tagged versions and gives each its commits.
func (r *historyReader) group() (err error) {
	if r.graph, r.nodes, err = newGraph(r.nodes, !r.hasParent); err != nil {
		return err
	}
	r.graph.newest = max(slices.IndexFunc(r.nodes, func(n *node) bool { return !n.outside }), 0)
	for i, n := range r.nodes {
		if len(n.tags) > 0 {
			r.tagsOf(i, n)
		}
	}
	slices.SortStableFunc(r.tags, func(a, b release) int { return b.version.Compare(a.version) })
	r.dropRepeatedVersions()
	r.contain()
	for i := range r.tags {
		r.tags[i].since = r.before(i)
	}
	r.findHeads()
	r.fill()
	return nil
}

// tagsOf adds the versions among the tags of commit i.
func (r *historyReader) tagsOf(i int, n *node) {
	for _, name := range n.tags {
		r.names[name] = true
		rest, found := strings.CutPrefix(name, r.options.TagPrefix)
		if !found {
			continue
		}
		if r.options.TagPrefix == "" {
			rest = strings.TrimPrefix(rest, "v")
		}
		if slices.ContainsFunc(r.options.SkipTags, func(pattern string) bool { ok, _ := path.Match(pattern, name); return ok }) {
			r.skipTag(name, "SkipTags names it")
			continue
		}
		v, err := versioning.Parse(rest)
		if err != nil {
			r.skipTag(name, err.Error())
			continue
		}
		r.tags = append(r.tags, release{tag: name, version: v, node: i, time: n.change.Time, outside: n.outside, since: -1})
	}
}

// dropRepeatedVersions keeps one tag of each version: the oldest that the history
// contains.
func (r *historyReader) dropRepeatedVersions() {
	kept := r.tags[:0]
	for _, t := range r.tags {
		if len(kept) == 0 || kept[len(kept)-1].version.Compare(t.version) != 0 {
			kept = append(kept, t)
			continue
		}
		last := &kept[len(kept)-1]
		if last.node != t.node && (last.outside || !t.outside) {
			*last, t = t, *last
		}
		r.skipTag(t.tag, "the tag "+last.tag+" has the same version")
	}
	r.tags = kept
}

// contain sets node.in. Sets pass from children to parents.
func (r *historyReader) contain() {
	tagged := make(map[int][]int, len(r.tags))
	for i := range r.tags {
		tagged[r.tags[i].node] = append(tagged[r.tags[i].node], i)
	}
	for i, n := range r.nodes {
		if n.tags != nil {
			for _, tag := range tagged[i] {
				n.in = n.in.with(tag)
			}
		}
		for _, parent := range r.graph.parentsOf(i) {
			p := r.nodes[parent]
			p.in = p.in.union(n.in)
		}
	}
}

// contains reports whether version i contains the commit of version j.
func (r *historyReader) contains(i, j int) bool { return r.nodes[r.tags[j].node].in.has(i) }

// before returns the version whose commits are not news in version i, or -1.
func (r *historyReader) before(i int) int {
	for j := range r.tags { // the highest first
		t := &r.tags[j]
		if j == i || t.outside && !r.tags[i].outside || r.tags[i].final() && !t.final() || !r.contains(i, j) {
			continue
		}
		if t.node != r.tags[i].node || j > i {
			return j
		}
	}
	return -1
}

// relevant reports whether a version may come before the next one.
func (h *History) relevant(v versioning.Version) bool {
	return h.options.Within == (versioning.Range{}) || h.options.Within.Contains(v.Core())
}

// findHeads finds the releases that decide about the next version. A maintenance
// branch without a release of its own goes on from the highest release that it
// contains.
func (r *historyReader) findHeads() {
	d := heads{-1, -1, -1}
	for _, all := range []bool{false, true} {
		for i := range r.tags {
			t := &r.tags[i]
			if t.outside || !all && !r.relevant(t.version) {
				continue
			}
			if d.any < 0 {
				d.any = i
			}
			if d.final < 0 && t.final() {
				d.final = i
			}
		}
	}
	for i := range r.tags {
		if d.any >= 0 && i > d.any {
			break
		}
		if t := &r.tags[i]; t.outside && t.final() && r.relevant(t.version) && (d.any < 0 || r.options.Ahead || r.finishes(i, d.any)) {
			d.fork = i
			break
		}
	}
	r.heads = d
}

// finishes reports whether release i was made from prerelease j, or followed one that
// was.
func (r *historyReader) finishes(i, j int) bool {
	v, pre := r.tags[i].version, r.tags[j].version
	return pre.Prerelease() != "" && v.Major() == pre.Major() && v.Minor() == pre.Minor() && r.contains(i, j)
}

// fill gives each release its commits.
func (r *historyReader) fill() {
	members := make([][]*node, len(r.tags))
	var pending, fresh []*node
	for _, n := range r.nodes {
		if n.skip {
			continue
		}
		for _, i := range r.listsOf(n.in) {
			members[i] = append(members[i], n)
		}
		if n.in.has(r.heads.fork) {
			continue
		}
		if !n.in.has(r.heads.final) {
			pending = append(pending, n)
		}
		if !n.in.has(r.heads.any) {
			fresh = append(fresh, n)
		}
	}
	r.nodes = nil // each is freed with the last release that lists it
	r.pending = r.unreleased(pending, r.heads.final)
	r.fresh = r.pending
	if r.heads.any != r.heads.final {
		r.fresh = r.unreleased(fresh, r.heads.any)
	}
	newest, since := r.pending, pending
	if r.options.Prerelease != "" {
		newest, since = r.fresh, fresh
	}
	if len(since) > 0 {
		r.Releases = append(r.Releases, *newest)
	}
	for i := range r.tags {
		t := &r.tags[i]
		if t.outside {
			continue
		}
		l := LogRelease{Tag: t.tag, Version: t.version, Time: t.time, history: r.History, newest: r.graph.hashes[t.node]}
		if t.since >= 0 {
			l.Since = r.tags[t.since].tag
		}
		l.fill(members[i], r.options.Changes)
		members[i] = nil
		r.Releases = append(r.Releases, l)
	}
}

func (r *historyReader) unreleased(members []*node, since int) *LogRelease {
	l := &LogRelease{Unreleased: true, history: r.History}
	if len(r.graph.hashes) > 0 {
		l.newest = r.History.newest()
	}
	if len(members) > 0 {
		l.Time = members[0].change.Time
	}
	since = max(since, -1)
	if r.heads.fork >= 0 && (since < 0 || r.heads.fork < since) {
		since = r.heads.fork
	}
	if since >= 0 {
		l.Since = r.tags[since].tag
	}
	l.fill(members, r.options.Changes)
	return l
}

// listsOf returns the releases in whose notes the commits with this set are.
func (r *historyReader) listsOf(in *containers) []int32 {
	if in == nil || in.listed {
		if in == nil {
			return nil
		}
		return in.lists
	}
	in.all(func(i int) {
		if t := &r.tags[i]; !t.outside && (t.since < 0 || !in.has(t.since)) {
			in.lists = append(in.lists, int32(i))
		}
	})
	in.listed = true
	return in.lists
}

// fill splits the commits of one release, newest first, into changes and skipped.
func (l *LogRelease) fill(members []*node, sizes map[string]versioning.Change) {
	gone := cancel(members)
	l.Changes = make([]LogChange, 0, len(members))
	_, plain := sizes[""]
	for _, n := range members {
		change, reason := n.change, n.problem
		by := gone[n]
		switch {
		case by.reason != "":
			reason = by.reason
		case n.reverts != nil && len(n.reverts.left) > 0:
			if reason != "" {
				change.Commit = versioning.Commit{Type: "revert", Description: n.reverts.description}
			}
			change.Reverts = n.reverts.left
			reason = ""
		case reason == "" && !change.Breaking:
			reason = mistyped(change.Type, sizes)
		case reason != "" && plain && !isMerge(n) && n.header != "":
			change.Commit = versioning.Commit{Description: n.header}
			reason = ""
		}
		if reason != "" {
			s := Skipped{Hash: change.Hash, Header: n.header, Reason: reason, RevertedBy: by.hash}
			s.unconventional = n.problem != "" && by.reason == "" && !isMerge(n)
			if n.reverts != nil {
				s.reverts = n.reverts.hashes
			}
			l.Skipped = append(l.Skipped, s)
			continue
		}
		l.Changes = append(l.Changes, change)
	}
}

// isMerge reports whether a commit only joins branches.
func isMerge(n *node) bool {
	return n.merge || strings.HasPrefix(n.header, "Merge ")
}
