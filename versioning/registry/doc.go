// Package registry answers which content a model version stands for, for ever.
//
// A [Registry] binds (name, version, variant) to a digest once and never again.
// Names that move, such as "champion", are aliases beside the versions, and move
// only from where the caller believes them to be. [NewMemory] keeps everything in
// memory and [OpenFile] in one file; whoever writes another checks it with
// package registrytest.
package registry
