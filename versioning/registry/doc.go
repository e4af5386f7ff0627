// Package registry is a model registry: it binds model versions to content digests,
// once and permanently, and manages aliases such as "champion".
//
// A [Registry] binds a [Key] (name, version, variant) to a digest once. Aliases can
// move between versions. A move names the present version, so that concurrent moves
// do not overwrite each other, and stays in the history of the alias with its actor,
// time, rollout and reason. [Registry.Withdraw] yanks a build and moves its aliases in
// one change.
//
// [NewMemory] keeps the registry in memory, [OpenFile] in a file, and [NewStored] in a
// [Storage]; package rollout/registrystore is one in the store of rollouts. Test other
// implementations with package registrytest.
package registry
