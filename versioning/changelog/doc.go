// Package changelog computes the next semantic version from Conventional
// Commits, renders release notes, and edits CHANGELOG.md files.
//
// [ReadHistory] groups the commits of a [Source], such as a git repository
// (package gitlog), into releases. A commit that was reverted before its release
// appears in no release. [History.NextVersion] returns the next version and the
// commit that caused it. [LogRelease.Render] returns release notes.
//
// A [Changelog] is a file in the format of Keep a Changelog 2.0.0. It is edited
// in place: lines that an edit does not concern keep their bytes. A [Fragment] is
// one entry in a file of its own, so that branches do not conflict.
//
// All functions, and all methods that do not change a Changelog, are safe for
// concurrent use. The package imports only the standard library and package
// versioning.
package changelog
