// Package versioning answers what a version is, which of two is newer, and what
// changed between them.
//
// A [Version] is a small value after Semantic Versioning 2.0.0: it can be
// compared with ==, be the key of a map, and be copied freely. [Parse] accepts
// exactly the grammar of the specification and nothing else: "v1.2.3" is the
// name of a tag and "1.2" is half a version, and both are errors that say where
// the text went wrong; [ParseTolerant] takes them. Versions are ordered by
// [Version.Compare] and moved forward by [Version.Next] with a [Change].
//
// A [Range] is a set of versions as npm writes it, "^1.2 || >=3.0.0-rc <4". It
// gives the answers of node-semver, prereleases included.
//
// [ParseCommit] reads Conventional Commits, and [ReadHistory] turns the commits
// of a [Source], of git for example (package gitlog), into releases: what was
// reverted before it was released is in none of them, and
// [History.NextVersion] says what comes next and which commit forced it. A
// [Changelog] is a file after Keep a Changelog that is edited in place and never
// rewritten; a [Fragment] is one entry for it in a file of its own.
//
// A [Release] is one version of one model as it is deployed. Package model says
// what it is made of and how large a change it is; package registry keeps its
// digest for ever.
//
// All functions, and all methods but those that change a Changelog, are safe for
// concurrent use. Texts that are too long to be meant are refused: see the
// constants that begin with Max. The packages import the standard library and
// nothing else.
//
// The specification is at https://semver.org/spec/v2.0.0.html; paragraph
// numbers in this package refer to it.
//
// # What belongs here
//
// What a version is, how versions compare, and what changed between them. Packages
// below this one read repositories, describe models and keep registries. How a version
// is deployed belongs to rollout.
package versioning
