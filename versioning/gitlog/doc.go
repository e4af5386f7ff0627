// Package gitlog reads the commits and tags of a git repository for changelogs and
// release notes. It runs the git program.
//
// A [Log] is a [changelog.Source] for [changelog.ReadHistory]. A program that runs
// without a git binary needs another Source.
package gitlog
