// Package worlds simulates services that serve two versions of a model, in virtual
// time. Each [World] is plain data: what arrives, how traffic is split, how each arm
// answers, and what an analysis of that traffic must and must not conclude.
//
// [Play] plays one rollout of a world before an [Observer], request by request, in
// the order in which a router would see it. [All] is the catalogue. [Claim] compares
// results of many rollouts with what was promised.
//
// The package imports nothing of the product, so that the tests of every package can
// use it. Nothing in it starts a goroutine or reads a clock. A rollout is determined
// by its world and its number.
package worlds
