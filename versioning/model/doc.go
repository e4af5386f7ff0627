// Package model answers what a model version is made of, and how large a change
// it is for those who use it.
//
// A [Manifest] describes one build of one version: its files, its interface, its
// evaluations and where it comes from. [Diff] compares two of them, and
// [CheckVersion] refuses a version number that is too small for what changed:
// the evidence decides, not the word of whoever made the model. [Notes] tells
// users about it; [CycloneDX] and [Sign] hand it to other tools.
//
// Values are plain data. Functions that take a Manifest do not change it, and
// may be called concurrently.
package model
