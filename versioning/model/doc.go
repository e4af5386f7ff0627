// Package model provides manifests, semantic version checks, release notes, SBOMs and
// signatures for versions of AI models (LLMs and others).
//
// A [Manifest] describes one build of one version: files, interface, evaluations and
// provenance. [Diff] compares two manifests. [CheckVersion] rejects a version number
// that is too small for the changes, and says how many more items to evaluate where
// nothing is proven. [Notes] are release notes for users. [Manifest.CycloneDX] exports
// a bill of materials, and [Sign] an in-toto statement in a DSSE envelope.
//
// [ImportHuggingFace], [ImportGGUF], [ImportOCI] and [ImportOllama] describe models that
// are stored in other formats. [Manifest.ContentDigest] identifies what answers: files,
// prompts, chat template and sampling parameters.
//
// Values are plain data. Functions do not change their Manifest and are safe for
// concurrent use.
package model
