// Package gitlog answers what a repository's history says, by running git.
//
// A [Log] is a versioning.Source: hand it to versioning.ReadHistory. Programs
// that run where there is no git binary pass another Source.
package gitlog
