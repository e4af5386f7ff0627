// Package registry is a model registry: it binds model versions to content digests,
// once and permanently, and manages aliases such as "champion".
//
// A [Registry] binds a [Key] (name, version, variant) to a digest once. Aliases can
// move between versions. A move names the present version, so that concurrent moves
// do not overwrite each other. [NewMemory] keeps the registry in memory, and
// [OpenFile] in a file. Test other implementations with package registrytest.
package registry
