// Package changelog computes the next semantic version from Conventional
// Commits, renders release notes, and edits CHANGELOG.md files.
//
// [ReadHistory] groups the commits of a [Source], such as a git repository
// (package gitlog), into releases. A commit that was reverted before its release
// appears in no release. [History.NextVersion] returns the next version and the
// commit that caused it, or an error that says why no version can be right.
// [LogRelease.Render] returns release notes, and [LogRelease.NotShown] the commits
// that they leave out, each with the reason.
//
// # The next version
//
// The last version is the highest that the history contains. The next one is higher
// than every tag, also than tags on other branches. The release after some
// prereleases has the changes of all of them. [HistoryOptions] says what a branch
// releases: Prerelease and Channels for branches of candidates, Within for a
// maintenance branch, Ahead for a main branch whose releases are tagged elsewhere,
// SkipTags for nightly builds.
//
// # A changelog that people edit
//
// A [Changelog] is a file in the format of Keep a Changelog 2.0.0. It is edited
// in place: lines that an edit does not concern keep their bytes. Files with
// headings of other tools are read, or refused with the line.
//
// [Changelog.AddRelease] drafts entries. A comment binds each to its commits, and
// another comment names the newest commit. So people reword, merge, move and delete
// entries, and none comes back; a revert removes its entry. [Changelog.Adopt] takes a
// file that people wrote as it is. A footer "Release-Note:" in a commit replaces its
// subject. The text of a commit is escaped, so that it shows as it was written and
// breaks nothing.
//
// A [Fragment] is one entry in a file of its own, so that branches do not conflict.
//
// # Dependencies
//
// Package versioning; nothing outside of this module. All functions, and all methods
// that do not change a Changelog, are safe for concurrent use.
package changelog
