// Package versioning answers what a version is and which of two is newer.
//
// A [Version] is a small value after Semantic Versioning 2.0.0: it can be
// compared with ==, be the key of a map, and be copied freely. [Parse] accepts
// exactly the grammar of the specification and nothing else: "v1.2.3" is the
// name of a tag and "1.2" is half a version, and both are errors that say where
// the text went wrong. Versions are ordered by [Version.Compare] and moved
// forward by [Version.Next] with a [Change].
//
// A [Release] is one version of one model as it is deployed.
//
// All functions and methods are safe for concurrent use, as values are never
// changed after they have been made.
//
// The specification is at https://semver.org/spec/v2.0.0.html; paragraph
// numbers in this package refer to it.
package versioning
