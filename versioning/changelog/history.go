package changelog

import (
	"context"
	"errors"
	"fmt"
	"iter"
	"path"
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
	// Outside marks a commit that the selected revision does not contain, such as
	// the commit of a tag on another branch. It belongs to no release in the
	// history, but no next version collides with its tags. Only its tags and
	// parents count.
	Outside bool
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
	// gives 1.3.0-rc.1, and then 1.3.0-rc.2. The spelling of earlier tags is kept:
	// after 1.3.0-rc1 comes 1.3.0-rc2.
	Prerelease string
	// Within limits the next version to a range, as the maintenance branch of
	// "1.9.x" needs it. Versions outside of the range do not count. The zero Range
	// means any version. Prereleases belong to the range of their release.
	Within versioning.Range
	// Ahead declares that the history goes on after all releases that were tagged on
	// other branches, as a main branch does if releases are tagged on branches of
	// their own. By default, a higher release on another branch is an error, unless
	// it finishes a prerelease in the history.
	Ahead bool
	// Channels lists identifiers of prereleases that come from branches of their
	// own, "alpha" and "beta". Their tags limit neither each other nor other
	// releases, unless the release contains them. By default, a tag of any
	// prerelease limits the next version.
	Channels []string
	// SkipTags lists patterns of path.Match for tags that are no releases,
	// "*-nightly.*". They do not divide the history. The next version is still
	// none of them.
	SkipTags []string
}

// DefaultChanges returns the size of the change for each type of commit: Minor
// for a new feature or a deprecation, Patch for a fix. Other types count as None.
// It returns a new map each time. The type "" stands for commits that are not
// Conventional Commits: by default they are skipped. Map it to a change to count
// them, for a repository that does not use Conventional Commits.
func DefaultChanges() map[string]versioning.Change {
	return map[string]versioning.Change{
		"feat": versioning.Minor, "feature": versioning.Minor, "deprecate": versioning.Minor,
		"fix": versioning.Patch, "perf": versioning.Patch, "security": versioning.Patch, "revert": versioning.Patch, "remove": versioning.Patch, "change": versioning.Patch,
	}
}

// History holds the commits of a repository, grouped into releases.
type History struct {
	// Releases lists the highest version first. If there are commits to release,
	// the first element is Unreleased: the commits since the highest release that
	// the history contains, or since the highest version of any kind if
	// HistoryOptions.Prerelease is set.
	Releases []LogRelease
	// SkippedTags lists tags that have the prefix but no valid version, tags that
	// SkipTags names, and tags of a version that another tag has.
	SkippedTags []versioning.Ignored

	options HistoryOptions
	graph   graph
	tags    []release       // all versions, the highest first
	names   map[string]bool // all tags, those that are skipped too
	heads   heads
	pending *LogRelease // since the last release that is no prerelease
	fresh   *LogRelease // since the highest version
}

// LogRelease is one release in a [History].
type LogRelease struct {
	Tag        string // "" if unreleased
	Version    versioning.Version
	Unreleased bool
	Time       time.Time // of the tagged commit; if unreleased, of the newest commit
	// Since is the tag of the release before, whose commits do not count. Before a
	// release that is no prerelease, it is the highest such release that the
	// tagged commit contains. Before a prerelease, it is the highest version of any
	// kind. It is "" for the first release.
	Since string
	// Changes lists the conventional commits, newest first. Commits that were
	// reverted before their release are left out, and so are their reverts.
	Changes []LogChange
	// Skipped lists the commits that Changes leaves out, with the reason.
	Skipped []Skipped

	history *History // nil unless read by ReadHistory
	newest  string   // hash of the tagged commit; if unreleased, of the newest
}

// LogChange is one conventional commit in a [History].
type LogChange struct {
	versioning.Commit
	Hash   string
	Author string // name
	Email  string
	Time   time.Time
	// Reverts lists the commits of earlier releases that this commit reverts, by
	// hash, or by header if no hash is given.
	Reverts []string
}

// Skipped is a commit that is left out of the changes, with the reason.
type Skipped struct {
	Hash, Header, Reason string
	// RevertedBy is the hash of the commit that reverted this one before its
	// release, or "".
	RevertedBy string

	unconventional bool     // and no merge
	reverts        []string // hashes that the commit reverts
}

// ReadHistory reads all commits of src and groups them into releases. The commits
// of a release are those that it contains and that the release before, Since, does
// not contain. So the notes of 1.2.0 repeat the notes of 1.2.0-rc.1. It wraps errors of
// src, and returns an error if src is nil, if o has an invalid prerelease
// identifier or pattern, or if commits are repeated or are their own ancestors.
func ReadHistory(ctx context.Context, src Source, o HistoryOptions) (*History, error) {
	if src == nil {
		return nil, errors.New("changelog: source: missing (have nil, want a Source)")
	}
	if o.Prerelease != "" {
		if _, err := (versioning.Version{}).WithPrerelease(o.Prerelease); err != nil {
			return nil, fmt.Errorf("changelog: HistoryOptions.Prerelease: not a prerelease identifier (have %q, want one such as \"rc\"): %w", o.Prerelease, err)
		}
	}
	for i, pattern := range o.SkipTags {
		if _, err := path.Match(pattern, ""); err != nil {
			return nil, fmt.Errorf("changelog: HistoryOptions.SkipTags[%d]: invalid pattern (have %q, want one such as \"*-nightly.*\"): %w", i, pattern, err)
		}
	}
	if o.Changes == nil {
		o.Changes = DefaultChanges()
	}
	if o.First == (versioning.Version{}) {
		o.First = versioning.MustParse("0.1.0")
	}
	h := &History{options: o, names: map[string]bool{}}
	r := historyReader{History: h}
	for entry, err := range src.Commits(ctx) {
		if err != nil {
			return nil, fmt.Errorf("changelog: read history: %w", err)
		}
		r.read(entry)
	}
	if err := r.group(); err != nil {
		return nil, fmt.Errorf("changelog: read history: %w", err)
	}
	return h, nil
}
