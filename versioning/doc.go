// Package versioning implements semantic versions (SemVer 2.0.0), npm version
// ranges and Conventional Commits.
//
// A [Version] is a small comparable value: use it with ==, as a map key, and copy
// it freely. [Parse] accepts exactly the grammar of the specification: "v1.2.3" and
// "1.2" are errors, which name the position. [ParseTolerant] accepts both.
// [Version.Compare] orders versions, and [Version.Next] returns the version after a
// [Change].
//
// A [Range] is a set of versions in npm syntax, "^1.2 || >=3.0.0-rc <4". It gives
// the same answers as node-semver, also for prereleases.
//
// [ParseCommit] parses Conventional Commits. Package changelog computes the next
// version from commits, renders release notes and edits changelogs. Package gitlog
// reads commits from git.
//
// A [Release] is one deployed version of one model. Package model describes what a
// version contains and how large a change it is. Package registry keeps the digest
// of each version.
//
// All functions and methods are safe for concurrent use, except UnmarshalText and
// Scan, which change their receiver. Texts that exceed a limit are errors; see the
// constants that begin with Max. The package imports only the standard library.
//
// Paragraph numbers refer to https://semver.org/spec/v2.0.0.html.
//
// # What belongs here
//
// Versions, their order, and the differences between them. Packages below this one read
// repositories, edit changelogs, describe models and keep registries. Package rollout
// deploys versions.
package versioning
